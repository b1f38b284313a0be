// SPDX-License-Identifier: Apache-2.0
/* What the control socket is asked about the daemon's own namespace; see frontend.h. */
#include "frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/word.h"
#include "metad/policies.h"

#define WORDS_MAX	5

/* Of @args, in place, "-" as ""; how many, or more than WORDS_MAX. */
static size_t split(char *args, char *word[WORDS_MAX])
{
	char *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(args, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n == WORDS_MAX)
			return n + 1;
		if (!strcmp(w, "-"))
			*w = '\0';
		datafs_word_take(w);
		word[n++] = w;
	}
	return n;
}

static int change_table(struct datafs_vfs *v, char *args)
{
	static const char *const ops[DATAFS_TABLE_NR] = {
		[DATAFS_TABLE_ADD] = "add", [DATAFS_TABLE_SET] = "set",
		[DATAFS_TABLE_REMOVE] = "remove",
	};
	struct datafs_table_change c = { .op = DATAFS_TABLE_ADD };
	char *word[WORDS_MAX];

	if (split(args, word) != 5)
		return -EINVAL;
	while (c.op < DATAFS_TABLE_NR && strcmp(ops[c.op], word[0]))
		c.op++;
	if (c.op == DATAFS_TABLE_NR)
		return -EINVAL;
	c.path = word[1];
	c.source = word[2];
	c.options = word[3];
	c.generation = strtoull(word[4], NULL, 10);
	return datafs_vfs_table_change(v, &c);
}

static int change_policy(struct datafs_vfs *v, char *args)
{
	char *word[WORDS_MAX];
	size_t n = split(args, word);
	uint32_t cache;

	if (n == 2 && !strcmp(word[0], "remove"))
		return datafs_vfs_policy_change(v, word[1], 0);
	cache = n == 3 && !strcmp(word[0], "set") ? datafs_policy_cache_value(word[2]) : 0;
	return cache ? datafs_vfs_policy_change(v, word[1], cache) : -EINVAL;
}

static void answer(struct datafs_vfs *v, const char *args, FILE *f,
		   int (*list)(struct datafs_vfs *v, FILE *f),
		   int (*change)(struct datafs_vfs *v, char *args))
{
	char *copy;
	int err;

	if (!strcmp(args, "list")) {
		err = list(v, f);
	} else {
		copy = strdup(args);
		err = copy ? change(v, copy) : -ENOMEM;
		free(copy);
	}
	if (err)
		fprintf(f, "error %d\n", -err);
	else
		fprintf(f, "done\n");
}

void datafs_table_answer(struct datafs_vfs *v, const char *args, FILE *f)
{
	answer(v, args, f, datafs_vfs_table_list, change_table);
}

void datafs_policy_answer(struct datafs_vfs *v, const char *args, FILE *f)
{
	answer(v, args, f, datafs_vfs_policy_list, change_policy);
}
