// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

#define PAGE_SIZE_MIN	(4u << 10)
#define PAGE_SIZE_MAX	(4u << 20)
#define SYNC_SECONDS_MAX	(365 * 86400)

static int parse_sync(struct datafs_options *opt, const char *v)
{
	double seconds;
	char *end;

	if (!strcmp(v, "always")) {
		opt->sync = DATAFS_SYNC_ALWAYS;
		return 0;
	}
	if (!strcmp(v, "never")) {
		opt->sync = DATAFS_SYNC_NEVER;
		return 0;
	}
	if (!isdigit((unsigned char)*v) || strpbrk(v, "xXpP"))
		return -EINVAL;
	seconds = strtod(v, &end);
	if (*end || !(seconds >= 0 && seconds <= SYNC_SECONDS_MAX))
		return -EINVAL;
	opt->sync = (int64_t)(seconds * DATAFS_SEC);
	return 0;
}

static int parse_page_size(struct datafs_options *opt, const char *v)
{
	uint64_t size;

	if (datafs_parse_size(v, &size) || size < PAGE_SIZE_MIN ||
	    size > PAGE_SIZE_MAX || size & (size - 1))
		return -EINVAL;
	opt->page_size = size;
	return 0;
}

static const struct {
	const char *name;
	int (*parse)(struct datafs_options *opt, const char *v);
	const char *want;
} table[] = {
	{ "sync_interval", parse_sync, "SECONDS, always or never" },
	{ "page_size", parse_page_size, "a power of two from 4k to 4m" },
};

#define NTABLE (sizeof(table) / sizeof(table[0]))

void datafs_options_init(struct datafs_options *opt)
{
	*opt = (struct datafs_options) {
		.sync = DATAFS_SEC, .page_size = 64 << 10,
		.under = datafs_under_opts_default,
	};
}

int datafs_options_set(struct datafs_options *opt, const char *name, const char *value,
		       const char **want)
{
	size_t i;

	for (i = 0; i < NTABLE; i++)
		if (!strcmp(name, table[i].name))
			break;
	if (i == NTABLE)
		return datafs_under_opts_set(&opt->under, name, value, want);
	*want = table[i].want;
	return value && !table[i].parse(opt, value) ? 0 : -EINVAL;
}

static int parse_one(const char *source, char *word, struct datafs_options *opt)
{
	char *value = strchr(word, '=');
	const char *want;
	int ret;

	if (value)
		*value++ = 0;
	ret = datafs_options_set(opt, word, value, &want);
	if (ret == -ENOENT) {
		datafs_log(LOG_ERR, "mount of %s refused: unknown option \"%s\"", source, word);
		return -EINVAL;
	}
	if (ret == -EINVAL)
		datafs_log(LOG_ERR, "mount of %s refused: %s%s%s: wanted %s", source, word,
			   value ? "=" : "", value ? value : "", want);
	return ret;
}

int datafs_options_parse(const char *source, const char *text,
			 struct datafs_options *opt)
{
	char *copy = strdup(text), *save = NULL, *word;
	int ret = 0;

	datafs_options_init(opt);
	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, ",", &save); word && !ret;
	     word = strtok_r(NULL, ",", &save))
		ret = parse_one(source, word, opt);
	free(copy);
	return ret;
}

void datafs_options_free(struct datafs_options *opt)
{
	datafs_under_opts_free(&opt->under);
}
