// SPDX-License-Identifier: Apache-2.0
/* What the control socket is asked about the table of mounts; see frontend.h. */
#include "frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In place: what `datafs mount` has for spaces and backslashes. "-" is "". */
static void unescape(char *word)
{
	char *to = word;
	unsigned int c;
	int len;

	if (!strcmp(word, "-"))
		*word = 0;
	for (; *word; to++) {
		len = 0;
		if (*word == '\\' && sscanf(word, "\\%3o%n", &c, &len) == 1 && len == 4) {
			*to = (char)c;
			word += len;
		} else {
			*to = *word++;
		}
	}
	*to = 0;
}

static int change(struct datafs_vfs *v, char *args)
{
	static const char *const ops[DATAFS_TABLE_NR] = {
		[DATAFS_TABLE_ADD] = "add", [DATAFS_TABLE_SET] = "set",
		[DATAFS_TABLE_REMOVE] = "remove",
	};
	struct datafs_table_change c = { .op = DATAFS_TABLE_ADD };
	char *word[5], *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(args, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n == 5)
			return -EINVAL;
		unescape(word[n++] = w);
	}
	if (n != 5)
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

void datafs_table_answer(struct datafs_vfs *v, const char *args, FILE *f)
{
	char *copy;
	int err;

	if (!strcmp(args, "list")) {
		err = datafs_vfs_table_list(v, f);
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
