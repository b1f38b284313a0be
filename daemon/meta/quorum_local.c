// SPDX-License-Identifier: Apache-2.0
/*
 * The quorum of one, inside the daemon: the state machine of datafs-metad, and no
 * log but LevelDB's own. What several threads change at the same time is one entry,
 * and one sync of the disk: who comes while one is written waits, and the first of
 * those who waited writes the next.
 */
#define _GNU_SOURCE	/* asprintf */
#include "quorum.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/env.h"
#include "base/log.h"
#include "base/util.h"
#include "metad/answer.h"
#include "metad/ns.h"

#define TERM		1
#define COMMANDS_MAX	256	/* in an entry */

struct waiter {
	STAILQ_ENTRY(waiter) next;
	const Metad__Command *cmd;
	bool done;
	int err;
	Metad__Result *res;
};

STAILQ_HEAD(waiters, waiter);

struct local {
	struct datafs_quorum q;
	char *dir;
	struct datafs_env *env;
	struct datafs_metad *m;
	uint64_t index;		/* of the last entry; of who writes */

	pthread_mutex_t lock;	/* protects all below, and the waiters in it */
	pthread_cond_t written;
	struct waiters waiters;
	bool writing, stopped;
};

static uint64_t wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * DATAFS_SEC + (uint64_t)ts.tv_nsec;
}

/* One entry of the commands of @w. 0, or an error and none of them is done. */
static int write_entry(struct local *l, struct waiter **w, size_t n,
		       struct datafs_metad_results *res)
{
	Metad__Command *commands[COMMANDS_MAX];
	Metad__Entry e = METAD__ENTRY__INIT;
	uint8_t *buf;
	size_t len;
	int err;

	for (size_t i = 0; i < n; i++)
		commands[i] = (Metad__Command *)w[i]->cmd;
	e.has_time = e.has_feature_level = true;
	e.time = wall_clock();
	e.feature_level = DATAFS_METAD_LEVEL;
	e.n_commands = n;
	e.commands = commands;
	buf = malloc(metad__entry__get_packed_size(&e));
	if (!buf)
		return -ENOMEM;
	len = metad__entry__pack(&e, buf);
	err = datafs_metad_apply(l->m, l->index + 1, TERM, buf, len, res);
	free(buf);
	if (!err)
		l->index++;
	/* It has halted, with a line in the log. */
	return err && err != -ENOMEM ? -EIO : err;
}

static void tell(struct waiter **w, size_t n, int err,
		 const struct datafs_metad_results *res)
{
	for (size_t i = 0; i < n; i++) {
		w[i]->err = err;
		if (!err) {
			w[i]->res = metad__result__unpack(NULL, res->r[i].len,
							  res->r[i].data);
			if (!w[i]->res)
				w[i]->err = -ENOMEM;
		}
	}
}

/* Called with the lock, which is given up meanwhile. */
static void write_some(struct local *l)
{
	struct waiter *w[COMMANDS_MAX] = { NULL };
	struct datafs_metad_results res = { 0 };
	size_t n = 0;
	int err;

	while (n < COMMANDS_MAX && !STAILQ_EMPTY(&l->waiters)) {
		w[n++] = STAILQ_FIRST(&l->waiters);
		STAILQ_REMOVE_HEAD(&l->waiters, next);
	}
	l->writing = true;
	pthread_mutex_unlock(&l->lock);
	err = write_entry(l, w, n, &res);
	tell(w, n, err, &res);
	datafs_metad_results_free(&res);
	pthread_mutex_lock(&l->lock);
	l->writing = false;
	for (size_t i = 0; i < n; i++)
		w[i]->done = true;
	pthread_cond_broadcast(&l->written);
}

static int local_change(struct datafs_quorum *q, const Metad__Command *cmd,
			Metad__Result **res)
{
	struct local *l = (struct local *)q;
	struct waiter w = { .cmd = cmd };

	pthread_mutex_lock(&l->lock);
	if (l->stopped) {
		pthread_mutex_unlock(&l->lock);
		return -ESHUTDOWN;
	}
	STAILQ_INSERT_TAIL(&l->waiters, &w, next);
	while (!w.done)
		if (l->writing)
			pthread_cond_wait(&l->written, &l->lock);
		else
			write_some(l);
	pthread_mutex_unlock(&l->lock);
	*res = w.res;
	return w.err;
}

static int local_ask(struct datafs_quorum *q, const Metad__Query *query,
		     Metad__Answer **res)
{
	struct local *l = (struct local *)q;

	return datafs_metad_answer(l->m, query, res);
}

static void local_stop(struct datafs_quorum *q)
{
	struct local *l = (struct local *)q;

	pthread_mutex_lock(&l->lock);
	l->stopped = true;
	pthread_mutex_unlock(&l->lock);
}

static void local_close(struct datafs_quorum *q)
{
	struct local *l = (struct local *)q;

	datafs_metad_close(l->m);
	datafs_env_close(l->env);
	pthread_cond_destroy(&l->written);
	pthread_mutex_destroy(&l->lock);
	free(l->dir);
	free(l);
}

static const struct datafs_quorum_ops local_ops = {
	.change = local_change,
	.ask = local_ask,
	.stop = local_stop,
	.close = local_close,
};

/* The id in DIR/id; a random one if there is no such file. */
static int load_id(struct local *l)
{
	char path[4096], text[64];
	int n, err;

	snprintf(path, sizeof(path), "%s/id", l->dir);
	n = datafs_read_small(path, text, sizeof(text));
	if (n == -ENOENT) {
		if (getrandom(l->q.id, sizeof(l->q.id), 0) != sizeof(l->q.id))
			return -EIO;
		datafs_hex(l->q.id, sizeof(l->q.id), text);
		strcat(text, "\n");
		err = datafs_write_small(path, text);
	} else {
		err = n < 0 ? n : datafs_unhex(text, l->q.id, sizeof(l->q.id));
	}
	if (err)
		datafs_log(LOG_ERR, "%s: %s; it names the namespace: restore it, or remove the directory with all names in it",
			   path, strerror(-err));
	return err;
}

static int open_namespace(struct local *l)
{
	struct datafs_metad_options opt = { .sync = true };
	struct datafs_metad_counts c = { 0 };
	char *db;
	int err;

	err = datafs_mkdirs(l->dir, 0700);
	if (!err)
		err = load_id(l);
	if (!err)
		err = datafs_env_open(&l->env);
	if (err)
		return err;
	if (asprintf(&db, "%s/db", l->dir) < 0)
		return -ENOMEM;
	opt.dir = db;
	opt.env = datafs_env_leveldb(l->env);
	memcpy(opt.id, l->q.id, sizeof(opt.id));
	err = datafs_metad_open(&opt, &l->m);
	free(db);
	if (!err)
		err = datafs_metad_counts(l->m, &c);
	if (!err)
		l->index = c.index;
	return err;
}

int datafs_quorum_open_local(const char *dir, struct datafs_quorum **res)
{
	struct local *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->q.ops = &local_ops;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->written, NULL);
	STAILQ_INIT(&l->waiters);
	l->dir = strdup(dir);
	err = l->dir ? open_namespace(l) : -ENOMEM;
	if (err) {
		datafs_log(LOG_ERR, "namespace in %s: not opened: %s", dir, strerror(-err));
		local_close(&l->q);
		return err;
	}
	*res = &l->q;
	return 0;
}
