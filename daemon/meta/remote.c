// SPDX-License-Identifier: Apache-2.0
#include "meta/remote_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* A member that comes back is soon connected to. */
#define BACKOFF_MAX_MS	1000
#define IDLE_MS		300	/* so that who lives gives a sign in less than a second */

int remote_target_add(struct datafs_remote *r, const char *text,
		      const struct datafs_address *at)
{
	struct remote_target *t = &r->targets[r->n];
	int err;

	if (r->n == DATAFS_REMOTE_MEMBERS)
		return -ENOBUFS;
	*t = (struct remote_target){ 0 };
	snprintf(t->address, sizeof(t->address), "%s", text);
	err = datafs_wire_connect(r->wire, (const struct sockaddr *)&at->sa, at->len, 0, &t->peer);
	if (!err)
		r->n++;
	return err;
}

struct remote_target *remote_target_of(struct datafs_remote *r, uint64_t node,
				       const char *address)
{
	struct remote_target *before = NULL;
	struct datafs_address at;

	/* Where it was is not where it is, if it has been removed and added since. */
	for (unsigned int i = 0; node && i < r->n; i++) {
		struct remote_target *t = &r->targets[i];

		if (t->node != node)
			continue;
		if (t->conn || !address || !strcmp(t->address, address))
			return t;
		before = t;
	}
	for (unsigned int i = 0; address && i < r->n; i++)
		if (!strcmp(r->targets[i].address, address))
			return &r->targets[i];
	if (!address || datafs_address_resolve(address, true, &at) || remote_target_add(r, address, &at))
		return before;
	return &r->targets[r->n - 1];
}

static struct remote_target *target_with(struct datafs_remote *r, struct datafs_peer *peer)
{
	for (unsigned int i = 0; peer && i < r->n; i++)
		if (r->targets[i].peer == peer)
			return &r->targets[i];
	return NULL;
}

static void on_up(void *arg, struct datafs_conn *conn)
{
	struct datafs_remote *r = arg;
	struct remote_target *t = target_with(r, datafs_conn_peer(conn));

	if (!t)
		return;
	t->conn = conn;
	t->node = datafs_conn_who(conn)->node;
	remote_up(r);
	remote_leases_up(r);
}

static void on_down(void *arg, struct datafs_conn *conn, int err)
{
	struct datafs_remote *r = arg;

	(void)err;
	for (unsigned int i = 0; i < r->n; i++) {
		if (r->targets[i].conn != conn)
			continue;
		r->targets[i].conn = NULL;
		if (r->leader == &r->targets[i])
			r->leader = NULL;
	}
	remote_leases_down(r, conn);
}

/* Nobody has anything to tell a client. */
static void on_frame(void *arg, struct datafs_conn *conn, const struct datafs_frame *f)
{
	(void)arg;
	(void)conn;
	(void)f;
}

static void on_call(void *arg, struct datafs_conn *conn, uint64_t id, const void *body,
		    uint32_t len)
{
	remote_recall(arg, conn, id, body, len);
}

static void on_ready(void *arg, struct datafs_conn *conn)
{
	remote_recalls_ready(arg, conn);
}

static const struct datafs_wire_ops ops = {
	.up = on_up, .down = on_down, .frame = on_frame, .call = on_call, .ready = on_ready,
};

/*
 * On the thread that has run the loop, if one has: what a thread waits for is
 * cancelled when it ends.
 */
static void remote_shut(struct datafs_remote *r)
{
	datafs_wire_free(r->wire);
	if (r->deadlines)
		datafs_deadlines_free(r->deadlines);
	r->wire = NULL;
	r->deadlines = NULL;
}

static void *network(void *arg)
{
	struct datafs_remote *r = arg;

	datafs_loop_serve(r->loop);
	remote_shut(r);
	return NULL;
}

int remote_resolve(const char *text, struct datafs_address *at)
{
	int err = datafs_address_check(text, false);

	if (!err)
		err = datafs_address_resolve(text, false, at);
	if (err)
		datafs_log(LOG_ERR, "member of the quorum at \"%s\": %s; it is HOST:PORT", text,
			   strerror(-err));
	return err;
}

static int add_named(struct datafs_remote *r, const char *text)
{
	struct datafs_address at;
	int err = remote_resolve(text, &at);

	return err ? err : remote_target_add(r, text, &at);
}

/* One that is not found is passed over, if another is. */
static int add_all(struct datafs_remote *r, const char *members)
{
	char *list = strdup(members), *rest = list, *text;
	int err = list ? -EINVAL : -ENOMEM, one;

	while ((text = strsep(&rest, ","))) {
		one = add_named(r, text);
		if (one == -EINVAL || one == -ENOBUFS || one == -ENOMEM) {
			free(list);
			return one;
		}
		if (one)
			err = one;
	}
	free(list);
	r->named = r->n;
	return r->n ? 0 : err;
}

static int open_wire(struct datafs_remote *r, const struct datafs_remote_config *cfg)
{
	struct datafs_wire_conf conf = {
		.loop = r->loop, .limits = datafs_wire_limits, .ops = &ops, .arg = r,
		.self = { .role = DATAFS_ROLE_CLIENT, .node = cfg->node, .keys = &r->keys,
			  .peers = 1u << DATAFS_ROLE_MEMBER },
	};
	int err;

	if (r->keys.holder == DATAFS_ROLE_MEMBER && !r->keys.off) {
		conf.self.role = DATAFS_ROLE_MEMBER;
		/* no member's: those are small */
		err = datafs_random(&conf.self.node, sizeof(conf.self.node));
		if (err)
			return err;
		conf.self.node |= 1ull << 63;
	} else if (!r->keys.off) {
		conf.self.node = r->keys.node;
	}
	conf.limits.backoff_max = BACKOFF_MAX_MS;
	conf.limits.idle = IDLE_MS;
	return datafs_wire_new(&conf, &r->wire);
}

static void remote_free(struct datafs_remote *r)
{
	struct datafs_lease *l;

	remote_shut(r);
	while ((l = TAILQ_FIRST(&r->leases))) {
		TAILQ_REMOVE(&r->leases, l, link);
		remote_lease_free(l);
	}
	datafs_loop_free(r->loop);
	datafs_keys_wipe(&r->keys);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int datafs_remote_open(const struct datafs_remote_config *cfg, struct datafs_remote **res)
{
	struct datafs_remote *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->keys = *cfg->keys;
	TAILQ_INIT(&r->requests);
	TAILQ_INIT(&r->leases);
	pthread_mutex_init(&r->lock, NULL);
	err = datafs_loop_new(&r->loop);
	if (!err)
		err = datafs_deadlines_new(r->loop, &r->deadlines);
	if (!err)
		err = open_wire(r, cfg);
	if (!err)
		err = add_all(r, cfg->members);
	if (!err)
		err = -pthread_create(&r->thread, NULL, network, r);
	if (err)
		remote_free(r);
	else
		*res = r;
	return err;
}

static void do_stop(struct datafs_task *task)
{
	struct datafs_remote *r = (void *)((char *)task - offsetof(struct datafs_remote, stop));

	r->stopped = true;
	remote_leases_stop(r);
	remote_fail_all(r, -ESHUTDOWN);
}

void datafs_remote_stop(struct datafs_remote *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop.fn = do_stop;
	if (!r->stop_posted)
		datafs_loop_post(r->loop, &r->stop);
	r->stop_posted = true;
	pthread_mutex_unlock(&r->lock);
}

static void do_end(struct datafs_task *task)
{
	struct datafs_remote *r = (void *)((char *)task - offsetof(struct datafs_remote, end));

	r->stopped = true;
	remote_leases_stop(r);
	datafs_loop_stop(r->loop);
}

void datafs_remote_close(struct datafs_remote *r)
{
	if (!r)
		return;
	r->end.fn = do_end;
	datafs_loop_post(r->loop, &r->end);
	pthread_join(r->thread, NULL);
	remote_free(r);
}

unsigned int datafs_remote_members(const struct datafs_remote *r)
{
	return r->named;
}

const char *datafs_remote_member(const struct datafs_remote *r, unsigned int i)
{
	return r->targets[i].address;
}
