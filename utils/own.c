// SPDX-License-Identifier: Apache-2.0
/* A daemon's own namespace; see own.h. */
#include "own.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_client.h"
#include "report.h"

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

void own_put_word(FILE *f, const char *s)
{
	fputc(' ', f);
	if (!s || !*s)
		fputc('-', f);
	for (; s && *s; s++)
		if (*s == ' ' || *s == '\\')
			fprintf(f, "\\%03o", (unsigned char)*s);
		else
			fputc(*s, f);
}

int own_ask(const struct own_question *q, const char *line)
{
	struct own_answer a = { .error = -1, .print = !q->about };
	int ret = datafs_daemon_ask(q->instance, line, DATAFS_DAEMON_ASK_S, own_line, &a);

	if (ret && ret != -ECONNRESET)
		warnx("instance %s: %s; name --members of a quorum elsewhere", q->instance,
		      ret == -ENOENT || ret == -ECONNREFUSED ? "no daemon runs" : strerror(-ret));
	else if (ret || a.error < 0)
		warnx("instance %s: no answer; whether it is done `%s` tells", q->instance,
		      q->look);
	else if (a.error)
		warnx("%s: %s", q->about ? q->about : q->instance, q->why((uint32_t)a.error));
	else if (!q->about && !a.lines)
		/* beside the listing, which a program may read */
		fprintf(stderr, "%s\n", q->none);
	return ret || a.error ? DATAFS_EXIT_FAIL : 0;
}
