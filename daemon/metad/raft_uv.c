// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad/raft_uv.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <raft/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/raft_segment.h"

/* It wants to be told a time for a callback that nobody has set. */
#define TICK_MS	60000

struct datafs_raft_uv {
	struct raft_io io;
	struct raft_uv_transport transport;
	char *dir;			/* for the log */
	struct append *refused;		/* it may still be called, or not */
	bool closing;
	void (*closed)(void *ctx);
	void *ctx;
};

/*
 * When a write of the log fails, libraft 0.22.1 starts a timer to try it again, but
 * not the one that knows of it: what it is called with then is no segment. It says
 * so before, and only so.
 */
static void on_trace(struct raft_tracer *t, int type, const void *info)
{
	static const char failed[] = "retry failed write";
	const struct raft_tracer_info *i = info;

	(void)t;
	if (type != RAFT_TRACER_DIAGNOSTIC ||
	    strncmp(i->diagnostic.message, failed, sizeof(failed) - 1))
		return;
	datafs_log(LOG_CRIT, "quorum: the log cannot be written, and this process ends: %s",
		   i->diagnostic.message);
	abort();
}

static struct raft_tracer tracer = { .version = 2, .emit = on_trace };

struct append {
	struct raft_io_append req;
	struct datafs_raft_io *io;
};

struct put {
	struct raft_io_snapshot_put req;
	struct datafs_raft_io *io;
};

static int error_of(struct datafs_raft_uv *u, int rv, const char *what)
{
	if (!rv)
		return 0;
	if (rv == RAFT_CANCELED)
		return -ECANCELED;
	datafs_log(LOG_ERR, "quorum: %s: %s (%s)", what, u->io.errmsg, raft_strerror(rv));
	switch (rv) {
	case RAFT_NOMEM:
		return -ENOMEM;
	case RAFT_NOSPACE:
		return -ENOSPC;
	case RAFT_CORRUPT:
	case RAFT_MALFORMED:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

/* A transport that carries nothing. */

static int transport_init(struct raft_uv_transport *t, raft_id id, const char *address)
{
	(void)t;
	(void)id;
	(void)address;
	return 0;
}

static int transport_listen(struct raft_uv_transport *t, raft_uv_accept_cb cb)
{
	(void)t;
	(void)cb;
	return 0;
}

static int transport_connect(struct raft_uv_transport *t, struct raft_uv_connect *req,
			     raft_id id, const char *address, raft_uv_connect_cb cb)
{
	(void)t;
	(void)req;
	(void)id;
	(void)address;
	(void)cb;
	return RAFT_NOCONNECTION;
}

static void transport_close(struct raft_uv_transport *t, raft_uv_transport_close_cb cb)
{
	cb(t);
}

static int refuse(const char *dir, uint64_t id, const char *why)
{
	datafs_log(LOG_ERR, "quorum: %s is not the directory of member %llu: %s", dir,
		   (unsigned long long)id, why);
	return -ESTALE;
}

/* Has it anything in it but what a crash may have left of the first start? */
static bool in_use(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
			strcmp(e->d_name, "lost+found") && strcmp(e->d_name, "member.new");
	if (d)
		closedir(d);
	return found;
}

static int check_owner(const char *dir, uint64_t id, bool fresh)
{
	char path[PATH_MAX], text[32], want[32], why[128];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/member", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	snprintf(want, sizeof(want), "%llu\n", (unsigned long long)id);
	n = datafs_read_small(path, text, sizeof(text));
	if (n == -ENOENT && fresh)
		return in_use(dir) ? refuse(dir, id, "it is not empty") :
				     datafs_write_small(path, want);
	if (n == -ENOENT)
		return refuse(dir, id, "it is nobody's; a member whose disk is lost joins under a new id");
	if (n < 0)
		return (int)n;
	text[strcspn(text, "\n")] = 0;
	snprintf(why, sizeof(why), "it is of member %s", text);
	if (fresh)
		return refuse(dir, id, "it is not empty");
	want[strcspn(want, "\n")] = 0;
	return strcmp(text, want) ? refuse(dir, id, why) : 0;
}

static void uv_free(struct datafs_raft_uv *u)
{
	free(u->dir);
	free(u);
}

int datafs_raft_uv_open(struct uv_loop_s *loop, const char *dir, uint64_t id, bool fresh,
			struct datafs_raft_uv **res)
{
	struct datafs_raft_uv *u;
	int err = check_owner(dir, id, fresh);

	if (err)
		return err;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->dir = strdup(dir);
	if (!u->dir) {
		free(u);
		return -ENOMEM;
	}
	u->transport = (struct raft_uv_transport) {
		.version = 1, .init = transport_init, .listen = transport_listen,
		.connect = transport_connect, .close = transport_close,
	};
	/* with no data in it raft_uv knows that there is no struct raft */
	err = error_of(u, raft_uv_init(&u->io, loop, dir, &u->transport), dir);
	if (!err) {
		/* it would rename a damaged segment, and go on without its entries */
		raft_uv_set_auto_recovery(&u->io, false);
		raft_uv_set_tracer(&u->io, &tracer);
		err = error_of(u, u->io.init(&u->io, id, ""), dir);
		if (err)
			raft_uv_close(&u->io);
	}
	if (err)
		uv_free(u);
	else
		*res = u;
	return err;
}

int datafs_raft_uv_bootstrap(struct datafs_raft_uv *u, const struct raft_configuration *conf)
{
	int rv = u->io.bootstrap(&u->io, conf);

	return rv == RAFT_CANTBOOTSTRAP ? -EEXIST : error_of(u, rv, "bootstrap");
}

static int load(void *ctx, struct datafs_raft_loaded *res)
{
	struct datafs_raft_uv *u = ctx;
	raft_id vote;
	raft_term term;
	raft_index first;
	int rv, err = datafs_segments_mend(u->dir);

	if (err)
		return err;
	rv = u->io.load(&u->io, &term, &vote, &res->snapshot, &first, &res->entries, &res->n);
	/*
	 * A log that ends before the snapshot is taken for damaged as long as there
	 * are segments that were prepared. Now there are none any more.
	 */
	if (rv == RAFT_CORRUPT)
		rv = u->io.load(&u->io, &term, &vote, &res->snapshot, &first,
				&res->entries, &res->n);
	err = error_of(u, rv, "load");
	if (err == -EUCLEAN || err == -EIO)
		datafs_log(LOG_ERR, "%s: the log is damaged, or cannot be read, and others count on it; replace this member by one with a new number",
			   u->dir);
	if (err)
		return err;
	res->term = term;
	res->vote = vote;
	res->first = first;
	return error_of(u, u->io.start(&u->io, TICK_MS, NULL, NULL), "start");
}

static int set_term(void *ctx, uint64_t term)
{
	struct datafs_raft_uv *u = ctx;

	if (u->closing)
		return -ECANCELED;
	return error_of(u, u->io.set_term(&u->io, term), "term");
}

static int set_vote(void *ctx, uint64_t id)
{
	struct datafs_raft_uv *u = ctx;

	if (u->closing)
		return -ECANCELED;
	return error_of(u, u->io.set_vote(&u->io, id), "vote");
}

static int done_error(int status)
{
	return status == RAFT_CANCELED ? -ECANCELED : status ? -EIO : 0;
}

static void append_done(struct raft_io_append *req, int status)
{
	struct append *a = (struct append *)req;
	struct datafs_raft_io *io = a->io;

	if (!io)
		return;
	free(a);
	io->done(io, done_error(status));
}

static int append(void *ctx, uint64_t index, const struct raft_entry *entries,
		  unsigned int n, struct datafs_raft_io *io)
{
	struct datafs_raft_uv *u = ctx;
	struct append *a;
	int err;

	/* libraft looks at neither */
	if (u->closing || u->refused)
		return -ECANCELED;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->io = io;
	/* nothing, if it is where the log ends */
	err = error_of(u, u->io.truncate(&u->io, index), "truncate");
	if (!err)
		err = error_of(u, u->io.append(&u->io, &a->req, entries, n, append_done), "append");
	/* it does not say whether it has queued what it failed to write */
	if (err) {
		a->io = NULL;
		u->refused = a;
	}
	return err;
}

static void put_done(struct raft_io_snapshot_put *req, int status)
{
	struct put *p = (struct put *)req;
	struct datafs_raft_io *io = p->io;

	free(p);
	io->done(io, done_error(status));
}

static int snapshot(void *ctx, const struct raft_snapshot *snap, unsigned int trailing,
		    struct datafs_raft_io *io)
{
	struct datafs_raft_uv *u = ctx;
	struct put *p;
	int err;

	if (u->closing)
		return -ECANCELED;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->io = io;
	err = error_of(u, u->io.snapshot_put(&u->io, trailing, &p->req, snap, put_done),
		       "snapshot");
	if (err)
		free(p);
	return err;
}

struct datafs_raft_disk datafs_raft_uv_disk(struct datafs_raft_uv *u)
{
	return (struct datafs_raft_disk) {
		.ctx = u, .load = load, .set_term = set_term, .set_vote = set_vote,
		.append = append, .snapshot = snapshot,
	};
}

static void io_closed(struct raft_io *io)
{
	struct datafs_raft_uv *u = (struct datafs_raft_uv *)io;

	raft_uv_close(io);
	u->closed(u->ctx);
	free(u->refused);
	uv_free(u);
}

void datafs_raft_uv_close(struct datafs_raft_uv *u, void (*closed)(void *ctx), void *ctx)
{
	u->closing = true;
	u->closed = closed;
	u->ctx = ctx;
	u->io.close(&u->io, io_closed);
}
