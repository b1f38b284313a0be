// SPDX-License-Identifier: Apache-2.0
#include "under_opts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static int parse_flag(const struct datafs_under_opt *opt, const char *v, void *at)
{
	(void)opt;
	if (v && strcmp(v, "0") && strcmp(v, "1"))
		return -EINVAL;
	*(bool *)at = !v || *v == '1';
	return 0;
}

static int in_range(const struct datafs_under_opt *opt, uint64_t n)
{
	return n < opt->min || n > opt->max ? -EINVAL : 0;
}

static int parse_size(const struct datafs_under_opt *opt, const char *v, void *at)
{
	uint64_t n;

	if (datafs_parse_size(v, &n) || in_range(opt, n))
		return -EINVAL;
	*(uint64_t *)at = n;
	return 0;
}

static int parse_digits(const char *v, int base, uint64_t *n)
{
	char *end;

	if (!isdigit((unsigned char)*v))
		return -EINVAL;
	errno = 0;
	*n = strtoull(v, &end, base);
	return errno || *end ? -EINVAL : 0;
}

static int parse_u64(const struct datafs_under_opt *opt, const char *v, void *at)
{
	uint64_t n;

	if (parse_digits(v, 10, &n) || in_range(opt, n))
		return -EINVAL;
	*(uint64_t *)at = n;
	return 0;
}

static int parse_based(const struct datafs_under_opt *opt, const char *v, int base, void *at)
{
	uint64_t n;

	if (parse_digits(v, base, &n) || in_range(opt, n))
		return -EINVAL;
	*(uint32_t *)at = n;
	return 0;
}

static int parse_u32(const struct datafs_under_opt *opt, const char *v, void *at)
{
	return parse_based(opt, v, 10, at);
}

static int parse_mode(const struct datafs_under_opt *opt, const char *v, void *at)
{
	return parse_based(opt, v, 8, at);
}

/* Digits and a point: neither signs nor exponents, and the same in every locale. */
static int parse_price(const struct datafs_under_opt *opt, const char *v, void *at)
{
	double n = 0, unit = 1;
	bool point = false;

	if (!isdigit((unsigned char)*v))
		return -EINVAL;
	for (; *v; v++) {
		if (*v == '.' && !point) {
			point = true;
			continue;
		}
		if (!isdigit((unsigned char)*v))
			return -EINVAL;
		n = n * 10 + (*v - '0');
		if (point)
			unit *= 10;
		if (n > 1e15)
			return -EINVAL;
	}
	n /= unit;
	if (n > opt->max)
		return -EINVAL;
	*(double *)at = n;
	return 0;
}

static int replace(const char *v, void *at)
{
	char *copy = strdup(v);

	if (!copy)
		return -ENOMEM;
	free(*(char **)at);
	*(char **)at = copy;
	return 0;
}

static int parse_text(const struct datafs_under_opt *opt, const char *v, void *at)
{
	for (const char *c = v; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return -EINVAL;
	return in_range(opt, strlen(v)) ? -EINVAL : replace(v, at);
}

static int parse_file(const struct datafs_under_opt *opt, const char *v, void *at)
{
	return *v != '/' || in_range(opt, strlen(v)) ? -EINVAL : replace(v, at);
}

#define LINE(name, member, parse, min, max, stores, want, doc) \
	{ name, offsetof(struct datafs_under_opts, member), parse, min, max, \
	  DATAFS_UNDER_FOR_##stores, want, doc }
#define FLAG(name, member, stores, doc) LINE(name, member, parse_flag, 0, 1, stores, NULL, doc)

const struct datafs_under_opt datafs_under_opt_table[] = {
	FLAG("read_only", read_only, ALL, "the store is never written"),
	LINE("part_size", part_size, parse_size, 5 << 20, 5ull << 30, ALL, "SIZE from 5m to 5g",
	     "of an upload, and of a fetch at the most"),
	LINE("limit_down", down, parse_size, 0, 1ull << 50, ALL, "BYTES a second, 0 for none",
	     "bytes read from the store"),
	LINE("limit_up", up, parse_size, 0, 1ull << 50, ALL, "BYTES a second, 0 for none",
	     "bytes written to it"),
	LINE("requests_down", requests_down, parse_u64, 0, 1000000, ALL, "NUMBER a second, 0 for none",
	     "requests that change nothing"),
	LINE("requests_up", requests_up, parse_u64, 0, 1000000, ALL, "NUMBER a second, 0 for none",
	     "requests that do"),
	LINE("price_get", price_get, parse_price, 0, 1000000, ALL, "a price of 1000",
	     "requests that only look or read, but for lists"),
	LINE("price_put", price_put, parse_price, 0, 1000000, ALL, "a price of 1000",
	     "requests that write, copy or list"),
	LINE("price_down", price_down, parse_price, 0, 1000000, ALL, "a price of 2^30 bytes",
	     "bytes read from the store"),
	LINE("uid", uid, parse_u32, 0, UINT32_MAX - 1, ALL, "a user's number",
	     "who owns what has no owner in the store"),
	LINE("gid", gid, parse_u32, 0, UINT32_MAX - 1, ALL, "a group's number", "... its group"),
	LINE("file_mode", file_mode, parse_mode, 0, 0777, ALL, "an octal mode up to 777",
	     "... its mode, if it is a file"),
	LINE("dir_mode", dir_mode, parse_mode, 0, 0777, ALL, "an octal mode up to 777",
	     "... and if it is a directory"),
	LINE("concurrency", concurrency, parse_u32, 1, 1024, NET, "NUMBER from 1 to 1024",
	     "requests at one time, at the most"),
	LINE("ca_file", ca_file, parse_file, 1, 4095, NET, "/FILE",
	     "certificates that are trusted, instead of the system's"),
	LINE("endpoint", endpoint, parse_text, 1, 1023, S3, "http[s]://HOST[:PORT]",
	     "where the store is, if it is not AWS"),
	LINE("region", region, parse_text, 1, 63, S3, "NAME", "the region to sign for"),
	LINE("credentials", credentials, parse_file, 1, 4095, S3, "/FILE",
	     "keys, as in AWS' shared file; only its owner may read it"),
	LINE("profile", profile, parse_text, 1, 127, S3, "NAME", "the section of that file"),
	FLAG("path_style", path_style, S3, "the bucket is in the path, not in the host's name"),
	FLAG("requester_pays", requester_pays, S3, "consents to being charged for a bucket of another"),
	FLAG("anonymous", anonymous, S3, "signs nothing"),
	LINE("hdfs_user", user, parse_text, 1, 255, WEBHDFS, "NAME",
	     "whom the cluster takes it for, where it asks for no proof"),
	LINE("token_file", token_file, parse_file, 1, 4095, WEBHDFS, "/FILE",
	     "a delegation token; only its owner may read it"),
	{ 0 },
};

const struct datafs_under_opts datafs_under_opts_default = {
	.part_size = 8 << 20,
	.concurrency = 32,
	.file_mode = 0644,
	.dir_mode = 0755,
};

void datafs_under_opts_free(struct datafs_under_opts *o)
{
	for (const struct datafs_under_opt *t = datafs_under_opt_table; t->name; t++)
		if (t->parse == parse_text || t->parse == parse_file)
			free(*(char **)((char *)o + t->offset));
	*o = datafs_under_opts_default;
}

int datafs_under_opts_set(struct datafs_under_opts *o, const char *name, const char *value,
			  const char **want)
{
	const struct datafs_under_opt *t;
	int ret;

	for (t = datafs_under_opt_table; t->name && strcmp(t->name, name); t++)
		;
	if (!t->name)
		return -ENOENT;
	ret = t->want && !value ? -EINVAL : t->parse(t, value, (char *)o + t->offset);
	if (ret == -EINVAL)
		*want = t->want ? t->want : "no value";
	if (!ret)
		o->set |= 1ull << (t - datafs_under_opt_table);
	return ret;
}

const char *datafs_under_opts_alien(const struct datafs_under_opts *o, uint32_t stores)
{
	for (const struct datafs_under_opt *t = datafs_under_opt_table; t->name; t++)
		if (o->set & 1ull << (t - datafs_under_opt_table) && !(t->stores & stores))
			return t->name;
	return NULL;
}
