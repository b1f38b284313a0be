// SPDX-License-Identifier: Apache-2.0
/* What the control socket is asked about files in the cache; see frontend.h. */
#include "frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Runs in one answer. */
#define RUNS_MAX	512

struct question {
	unsigned int mount;
	unsigned long long ino, off, len;
};

static int answer_cached(struct datafs_vfs *v, const struct question *q, FILE *f)
{
	struct datafs_vfs_cached c;
	int ret = datafs_vfs_cached(v, q->mount, q->ino, &c);

	if (!ret)
		fprintf(f, "size %llu\ncontent %llu\ncached %llu\n",
			(unsigned long long)c.size, (unsigned long long)c.content,
			(unsigned long long)c.bytes);
	return ret;
}

static int answer_where(struct datafs_vfs *v, const struct question *q, FILE *f)
{
	struct datafs_extent runs[RUNS_MAX];
	int n = datafs_vfs_where(v, q->mount, q->ino, q->off, runs, RUNS_MAX);

	/* No answer is empty. */
	if (n >= 0)
		fprintf(f, "runs %d\n", n);
	for (int i = 0; i < n; i++)
		fprintf(f, "run %llu %llu %u %llu\n", (unsigned long long)runs[i].off,
			(unsigned long long)runs[i].len, runs[i].backing_id - 1,
			(unsigned long long)runs[i].backing_off);
	return n < 0 ? n : 0;
}

static int answer_free(struct datafs_vfs *v, const struct question *q, FILE *f)
{
	struct datafs_cache_left left;
	int ret = datafs_vfs_free(v, q->mount, q->ino, &left);

	if (!ret)
		fprintf(f, "staying %llu\nleaving %llu\n", (unsigned long long)left.staying,
			(unsigned long long)left.leaving);
	return ret;
}

static int answer_leaving(struct datafs_vfs *v, const struct question *q, FILE *f)
{
	uint64_t bytes;
	int ret = datafs_vfs_leaving(v, q->mount, q->ino, &bytes);

	if (!ret)
		fprintf(f, "leaving %llu\n", (unsigned long long)bytes);
	return ret;
}

static const struct {
	const char *word;
	int numbers;
	int (*answer)(struct datafs_vfs *v, const struct question *q, FILE *f);
} words[] = {
	{ "cached", 2, answer_cached },
	{ "where", 3, answer_where },
	{ "free", 2, answer_free },
	{ "leaving", 2, answer_leaving },
};

static bool parse(const char *args, struct question *q, int numbers)
{
	unsigned long long number[4] = { 0 };
	char *end;

	for (int i = 0; i < numbers; i++) {
		args += strspn(args, " ");
		errno = 0;
		number[i] = strtoull(args, &end, 10);
		if (*args < '0' || *args > '9' || errno)
			return false;
		args = end;
	}
	*q = (struct question){ number[0], number[1], number[2], number[3] };
	return !*args && number[0] <= UINT32_MAX;
}

void datafs_files_load(struct datafs_vfs *v, const char *args, FILE *f)
{
	struct datafs_vfs_loaded res;
	struct question q;
	int ret = -EINVAL;

	if (parse(args, &q, 4))
		ret = datafs_vfs_load(v, q.mount, q.ino, q.off, q.len, &res);
	if (ret)
		fprintf(f, "error %s\n", strerror(-ret));
	else
		fprintf(f, "loaded %llu\nfetched %llu\n", (unsigned long long)res.bytes,
			(unsigned long long)res.fetched);
}

void datafs_files_answer(struct datafs_vfs *v, const char *args, FILE *f)
{
	size_t len = strcspn(args, " ");
	struct question q;
	int ret = -EINVAL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].word) == len && !strncmp(words[i].word, args, len) &&
		    parse(args + len, &q, words[i].numbers))
			ret = words[i].answer(v, &q, f);
	if (ret)
		fprintf(f, "error %s\n", strerror(-ret));
}
