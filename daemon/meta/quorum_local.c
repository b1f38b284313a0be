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
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "base/util.h"
#include "metad/answer.h"
#include "metad/decode.h"
#include "metad/member.h"
#include "metad/ns.h"

#define TERM		1
/* In an entry: commands, and bytes unless it is one alone. */
#define COMMANDS_MAX	256
#define BYTES_MAX	(1u << 20)
/* Without memory for an answer. */
#define AGAIN_MS	10

struct waiter {
	STAILQ_ENTRY(waiter) next;
	const Metad__Command *cmd;
	size_t bytes;
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
	e.feature_level = datafs_metad_level(l->m);
	e.n_commands = n;
	e.commands = commands;
	buf = malloc(metad__entry__get_packed_size(&e));
	if (!buf)
		return -ENOMEM;
	len = metad__entry__pack(&e, buf);
	err = datafs_metad_apply(l->m, l->index + 1, TERM, buf, len, res);
	free(buf);
	if (!err) {
		l->index++;
		atomic_fetch_add_explicit(&l->q.entries, 1, memory_order_relaxed);
	}
	/* It has halted, with a line in the log. */
	return err && err != -ENOMEM ? -EIO : err;
}

/* It is done: whoever waits must not hear of an error. */
static Metad__Result *unpack(const struct datafs_metad_result *r)
{
	static const struct timespec again = { .tv_nsec = AGAIN_MS * DATAFS_MSEC };
	Metad__Result *res;

	while (!(res = metad__result__unpack(NULL, r->len, r->data)))
		nanosleep(&again, NULL);
	return res;
}

/* Those who wait, up to one entry. */
static size_t take_waiters(struct local *l, struct waiter **w)
{
	size_t n = 0, bytes = 0;
	struct waiter *next;

	while (n < COMMANDS_MAX && (next = STAILQ_FIRST(&l->waiters))) {
		bytes += next->bytes;
		if (n && bytes > BYTES_MAX)
			break;
		w[n++] = next;
		STAILQ_REMOVE_HEAD(&l->waiters, next);
	}
	return n;
}

/* Called with the lock, which is given up meanwhile. */
static void write_some(struct local *l)
{
	struct waiter *w[COMMANDS_MAX] = { NULL };
	struct datafs_metad_results res = { 0 };
	size_t n = take_waiters(l, w);
	int err;

	l->writing = true;
	pthread_mutex_unlock(&l->lock);
	err = write_entry(l, w, n, &res);
	for (size_t i = 0; i < n; i++) {
		w[i]->err = err;
		w[i]->res = err ? NULL : unpack(&res.r[i]);
	}
	datafs_metad_results_free(&res);
	pthread_mutex_lock(&l->lock);
	l->writing = false;
	for (size_t i = 0; i < n; i++)
		w[i]->done = true;
	pthread_cond_broadcast(&l->written);
}

/* One that no client may send could halt the state machine, for good. */
static int check(const struct local *l, struct waiter *w)
{
	const Metad__Command *c = w->cmd;
	const char *why = metad_check_command(c, DATAFS_METAD_LEVEL);

	if (!why && metad_is_leaders(c))
		why = "it is not a client's";
	w->bytes = why ? 0 : metad__command__get_packed_size(c);
	if (w->bytes > DATAFS_MEMBER_OP_MAX)
		why = "it is too long";
	if (!why)
		return 0;
	datafs_log(LOG_ERR, "namespace in %s: a command is refused: %s", l->dir, why);
	return -EIO;
}

/* Blocks until it is written. */
static int enter(struct local *l, struct waiter *w)
{
	pthread_mutex_lock(&l->lock);
	if (l->stopped) {
		pthread_mutex_unlock(&l->lock);
		return -ESHUTDOWN;
	}
	STAILQ_INSERT_TAIL(&l->waiters, w, next);
	while (!w->done)
		if (l->writing)
			pthread_cond_wait(&l->written, &l->lock);
		else
			write_some(l);
	pthread_mutex_unlock(&l->lock);
	return w->err;
}

/* Below the level of mounts, nodes, or policies, there is none that it could be about. */
static bool is_about_one(const Metad__Command *c)
{
	return c->op_case == METAD__COMMAND__OP_MOUNT_SET ||
	       c->op_case == METAD__COMMAND__OP_MOUNT_REMOVE ||
	       c->op_case == METAD__COMMAND__OP_NODE_SET ||
	       c->op_case == METAD__COMMAND__OP_NODE_REMOVE ||
	       c->op_case == METAD__COMMAND__OP_POLICY_REMOVE;
}

/*
 * What needs a higher feature level than that of old raises it to the newest, since all
 * members know that. A namespace that needs none can be used by an older daemon.
 */
static int raise_level(struct local *l, const Metad__Command *cmd)
{
	Metad__Feature feature = METAD__FEATURE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	struct waiter w = { .cmd = &c };
	int err;

	if (!metad_is_operators(cmd) || is_about_one(cmd) ||
	    datafs_metad_level(l->m) >= DATAFS_METAD_LEVEL)
		return 0;
	feature.has_level = true;
	feature.level = DATAFS_METAD_LEVEL;
	c.op_case = METAD__COMMAND__OP_FEATURE;
	c.feature = &feature;
	w.bytes = metad__command__get_packed_size(&c);
	err = enter(l, &w);
	if (!err)
		err = -(int)w.res->error;
	metad__result__free_unpacked(w.res, NULL);
	return err;
}

static int local_change(struct datafs_quorum *q, const Metad__Command *cmd,
			Metad__Result **res)
{
	struct local *l = (struct local *)q;
	struct waiter w = { .cmd = cmd };
	int err = check(l, &w);

	if (!err)
		err = raise_level(l, cmd);
	if (err)
		return err;
	atomic_fetch_add_explicit(&q->changes, 1, memory_order_relaxed);
	err = enter(l, &w);
	*res = w.res;
	return err;
}

static int local_ask(struct datafs_quorum *q, const Metad__Query *query,
		     Metad__Answer **res)
{
	struct local *l = (struct local *)q;

	atomic_fetch_add_explicit(&q->questions, 1, memory_order_relaxed);
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

static int make_id(struct local *l, const char *path, const char *db)
{
	char text[2 * sizeof(l->q.id) + 2];
	int err;

	/* Who has lost it does not become another namespace. */
	if (!access(db, F_OK))
		return -ENOENT;
	err = datafs_random(l->q.id, sizeof(l->q.id));
	if (err)
		return err;
	datafs_hex(l->q.id, sizeof(l->q.id), text);
	strcat(text, "\n");
	return datafs_write_small(path, text);
}

/* The id in DIR/id; a random one if there is neither that nor a database. */
static int load_id(struct local *l, const char *db)
{
	char text[64], *path;
	ssize_t n;
	int err;

	if (asprintf(&path, "%s/id", l->dir) < 0)
		return -ENOMEM;
	n = datafs_read_small(path, text, sizeof(text));
	if (n == -ENOENT)
		err = make_id(l, path, db);
	else
		err = n < 0 ? (int)n : datafs_unhex(text, l->q.id, sizeof(l->q.id));
	if (err)
		datafs_log(LOG_ERR, "%s: %s; it names the namespace: restore it, or remove the directory with all names in it",
			   path, strerror(-err));
	free(path);
	return err;
}

static int open_db(struct local *l, const char *db)
{
	struct datafs_metad_options opt = { .dir = db, .sync = true };
	struct datafs_metad_counts c = { 0 };
	int err = load_id(l, db);

	if (!err)
		err = datafs_env_open(&l->env);
	if (err)
		return err;
	opt.env = datafs_env_leveldb(l->env);
	memcpy(opt.id, l->q.id, sizeof(opt.id));
	err = datafs_metad_open(&opt, &l->m);
	if (!err)
		err = datafs_metad_counts(l->m, &c);
	if (!err)
		l->index = c.index;
	return err;
}

static int open_namespace(struct local *l)
{
	int err = datafs_mkdirs(l->dir, 0700);
	char *db;

	if (err)
		return err;
	if (asprintf(&db, "%s/db", l->dir) < 0)
		return -ENOMEM;
	err = open_db(l, db);
	free(db);
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
