// SPDX-License-Identifier: Apache-2.0
/* The S3 under-store: where it is, and whether it is there. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "s3_internal.h"

#define DEFAULT_REGION	"us-east-1"

static int refuse(const struct s3 *s, const char *source, const char *why)
{
	char shown[DATAFS_UNDER_SOURCE_SHOWN];

	datafs_under_log(s->u.opts, LOG_ERR, "source %s: %s",
			 datafs_under_source_shown(source, shown, sizeof(shown)), why);
	return -EINVAL;
}

/* ---- names ---- */

/* As it is in a host's name and in a path; AWS' own rules are stricter. */
static bool is_bucket(const char *s, size_t len)
{
	if (len < 3 || len > 63 || !isalnum((unsigned char)*s))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("-._", s[i]))
			return false;
	return true;
}

/* s3://BUCKET[/PREFIX] */
static int take_source(struct s3 *s, const char *source)
{
	const char *at = source + strlen("s3://"), *end = strchrnul(at, '/');
	const char *prefix = *end ? end + 1 : end;
	size_t len = strlen(prefix);

	if (!is_bucket(at, end - at))
		return refuse(s, source, "no bucket; a source is s3://BUCKET[/PREFIX]");
	if (len && prefix[len - 1] == '/')
		len--;
	s->bucket = strndup(at, end - at);
	s->prefix = strndup(prefix, len);
	if (!s->bucket || !s->prefix)
		return -ENOMEM;
	if (!datafs_under_key_ok(s->prefix) || len + 1 >= DATAFS_S3_KEY_MAX ||
	    !datafs_text_is_utf8(s->prefix))
		return refuse(s, source, "the prefix has parts that are empty, \".\" or \"..\", or is too long, or no UTF-8");
	if (asprintf(&s->name, "s3://%s%s%s", s->bucket, len ? "/" : "", s->prefix) < 0)
		return -ENOMEM;
	if (!len)
		return 0;
	free(s->prefix);
	return asprintf(&s->prefix, "%.*s/", (int)len, prefix) < 0 ? -ENOMEM : 0;
}

/* ---- hosts ---- */

/* A bucket cannot be put before an address, nor one with dots before what is in a certificate. */
static bool wants_path_style(const struct s3 *s, const char *host, bool tls)
{
	struct in_addr addr;
	char name[256];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, ":"), host);
	return s->u.opts->path_style || *host == '[' || inet_aton(name, &addr) ||
	       !strcmp(name, "localhost") || (tls && strchr(s->bucket, '.')) ||
	       strchr(s->bucket, '_');
}

static int set_base(struct s3 *s, const char *endpoint)
{
	bool tls = !strncasecmp(endpoint, "https://", 8);
	const char *host = strstr(endpoint, "://") + 3;
	char *base;
	int n;

	if (wants_path_style(s, host, tls))
		n = asprintf(&base, "http%s://%s/%s", tls ? "s" : "", host, s->bucket);
	else
		n = asprintf(&base, "http%s://%s.%s", tls ? "s" : "", s->bucket, host);
	if (n < 0)
		return -ENOMEM;
	free(s->base);
	s->base = base;
	return 0;
}

/* http[s]://HOST[:PORT], perhaps with a '/' at its end, and without a user's name. */
static int take_endpoint(struct s3 *s, const char *source)
{
	const char *given = s->u.opts->endpoint, *host;
	char endpoint[1024];
	size_t len;

	if (!given) {
		snprintf(endpoint, sizeof(endpoint), "https://s3.%s.amazonaws.com%s", s->region,
			 strncmp(s->region, "cn-", 3) ? "" : ".cn");
		return set_base(s, endpoint);
	}
	snprintf(endpoint, sizeof(endpoint), "%s", given);
	len = strlen(endpoint);
	if (len && endpoint[len - 1] == '/')
		endpoint[--len] = 0;
	host = strstr(endpoint, "://");
	if ((strncasecmp(endpoint, "http://", 7) && strncasecmp(endpoint, "https://", 8)) ||
	    !host[3] || strpbrk(host + 3, "/@?#\\"))
		return refuse(s, source, "option endpoint: wanted is http[s]://HOST[:PORT]; keys are in a file");
	return set_base(s, endpoint);
}

static int take_region(struct s3 *s, const char *source, const char *region)
{
	for (const char *c = region; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_", *c))
			return refuse(s, source, "the region is no name of letters, digits and '-'");
	if (!*region || strlen(region) >= sizeof(s->region))
		return refuse(s, source, "the region is too long, or empty");
	strcpy(s->region, region);
	snprintf(s->sigv4, sizeof(s->sigv4), "aws:amz:%s:s3", region);
	return 0;
}

static const char *default_region(const struct datafs_under_opts *o)
{
	const char *v = o->region ?: getenv("AWS_REGION");

	if (!v || !*v)
		v = getenv("AWS_DEFAULT_REGION");
	return v && *v ? v : DEFAULT_REGION;
}

/* ---- is it there? ---- */

/* One key of the mount, whatever it is: bucket, keys and signature are right, then. */
static int look(struct s3 *s, char *region, size_t room)
{
	static const char *const want[] = { "x-amz-bucket-region", NULL };
	struct s3_req r;
	const char *v;
	int err;

	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_LIST, "GET", NULL, false);
	/* Some servers fail at a key that their XML cannot have. */
	datafs_s3_param(&r, "encoding-type", "url");
	datafs_s3_param(&r, "list-type", "2");
	datafs_s3_param(&r, "max-keys", "1");
	datafs_s3_param(&r, "prefix", s->prefix);
	r.http.want = want;
	if (!err)
		err = datafs_s3_call(s, &r);
	v = datafs_http_value(&r.http, &r.a, "x-amz-bucket-region") ?: r.e.region;
	snprintf(region, room, "%s", v);
	/* Not what a bucket answers. */
	if (err == -ENOENT || err == -ESTALE || err == -ERANGE)
		err = datafs_s3_log(s, &r, -ENODEV, NULL);
	datafs_s3_end(&r);
	return err;
}

/* Where no region was told, the bucket's own is, if it says so. */
static int find_bucket(struct s3 *s, const char *source)
{
	char region[sizeof(s->region)];
	int err = look(s, region, sizeof(region));

	if (!err || !*region || s->u.opts->region || !strcmp(region, s->region))
		return err;
	datafs_under_log(s->u.opts, LOG_INFO, "%s: the bucket is in region %s; say so with option region", s->name,
			 region);
	err = take_region(s, source, region);
	if (!err)
		err = take_endpoint(s, source);
	return err ?: look(s, region, sizeof(region));
}

/* ---- the store ---- */

static void s3_close(struct datafs_under *u)
{
	struct s3 *s = s3_of(u);

	datafs_http_close(s->http);
	datafs_s3_cred_close(s->cred);
	free(s->base);
	free(s->prefix);
	free(s->bucket);
	free(s->name);
}

static int s3_open(struct datafs_under *u, const char *source)
{
	struct s3 *s = s3_of(u);
	int err;

	u->caps = DATAFS_UNDER_WRITE | DATAFS_UNDER_COPY | DATAFS_UNDER_SAME;
	err = take_source(s, source);
	if (!err)
		err = take_region(s, source, default_region(u->opts));
	if (!err)
		err = take_endpoint(s, source);
	if (!err && u->opts->anonymous && (u->opts->credentials || u->opts->profile))
		err = refuse(s, source, "options anonymous and credentials or profile: one or the other");
	if (!err && !u->opts->anonymous)
		err = datafs_s3_cred_open(u->opts, s->name, &s->cred);
	if (!err)
		err = datafs_http_open(u, s->name, &s->http);
	if (!err)
		err = find_bucket(s, source);
	if (err)
		s3_close(u);
	else
		datafs_s3_probe(s);
	return err;
}

const struct datafs_under_ops datafs_under_s3 = {
	.size = sizeof(struct s3),
	.options = DATAFS_UNDER_FOR_NET | DATAFS_UNDER_FOR_S3,
	.open = s3_open,
	.close = s3_close,
	.stat = datafs_s3_stat,
	.list = datafs_s3_list,
	.read = datafs_s3_read,
	.stream = datafs_s3_stream,
	.put = datafs_s3_put,
	.begin = datafs_s3_upload,
	.part = datafs_s3_part,
	.complete = datafs_s3_complete,
	.abort = datafs_s3_abort,
	.mkdir = datafs_s3_mkdir,
	.rmdir = datafs_s3_rmdir,
	.remove = datafs_s3_remove,
	.copy = datafs_s3_copy,
};
