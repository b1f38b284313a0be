// SPDX-License-Identifier: Apache-2.0
/* A daemon's own namespace; see own.h. */
#define _GNU_SOURCE 1
#include "own.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/word.h"
#include "daemon_client.h"
#include "report.h"

/* The first change makes the namespace, and each waits for the disk. */
#define CHANGE_S	60

struct own_answer {
	int error;		/* 0; an errno; -1: there was no answer */
	bool print;
	unsigned int lines;	/* of a listing, but for its version */
};

static void own_line(void *arg, const char *key, const char *value)
{
	struct own_answer *a = arg;

	if (!strcmp(key, "done")) {
		a->error = 0;
	} else if (!strcmp(key, "error")) {
		a->error = atoi(value) > 0 ? atoi(value) : EOPNOTSUPP;
	} else if (a->print) {
		printf("%s %s\n", key, value);
		a->lines += strcmp(key, "version") != 0;
	}
}

static char *line_of(const char *what, const char *const *words, size_t n)
{
	char *line = NULL;
	size_t len;
	FILE *f = open_memstream(&line, &len);

	if (!f)
		return NULL;
	fputs(what, f);
	for (size_t i = 0; i < n; i++) {
		fputc(' ', f);
		/* as the daemon reads it */
		datafs_word_puts(f, words[i] && *words[i] ? words[i] : "-");
	}
	if (!fclose(f))
		return line;
	free(line);
	return NULL;
}

/* It may have heard the question. */
static bool is_doubt(int ret)
{
	return ret == -ECONNRESET || ret == -EPIPE || ret == -ETIMEDOUT;
}

int own_ask(const struct own_question *q, const char *what, const char *const *words, size_t n)
{
	struct own_answer a = { .error = -1, .print = !q->about };
	char *line = line_of(what, words, n);
	int ret;

	if (!line) {
		warnx("%s", strerror(ENOMEM));
		return DATAFS_EXIT_FAIL;
	}
	ret = datafs_daemon_ask(q->instance, line, q->about ? CHANGE_S : DATAFS_DAEMON_ASK_S,
				own_line, &a);
	free(line);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		warnx("instance %s: no daemon runs; name --members of a quorum elsewhere",
		      q->instance);
	else if (ret && !is_doubt(ret))
		warnx("instance %s: %s", q->instance, strerror(-ret));
	else if (ret || a.error < 0)
		warnx("instance %s: no answer; whether it is done `%s --instance %s` tells",
		      q->instance, q->look, q->instance);
	else if (a.error)
		warnx("%s: %s", q->about ? q->about : q->instance, q->why((uint32_t)a.error));
	else if (!q->about && !a.lines)
		/* beside the listing, which a program may read */
		fprintf(stderr, "%s\n", q->none);
	return ret || a.error ? DATAFS_EXIT_FAIL : 0;
}
