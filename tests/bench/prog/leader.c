// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "leader.h"

#include <err.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "wire/address.h"

#define CALL_MS	60000
#define MEMBERS_MAX	5u

static struct datafs_loop *loop;
static struct datafs_wire *wire;
static struct datafs_conn *leader;
static void (*on_leader)(void);
static bool stopped;
static struct probe {
	struct leader_call c;
	struct datafs_conn *conn;
} probes[MEMBERS_MAX];
static unsigned int members, probed, refused;

static void call_done(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	struct leader_call *c = (void *)((char *)call - offsetof(struct leader_call, call));
	Metad__Reply *reply;

	/* whether it leads, too late */
	if (stopped)
		return;
	if (err)
		errx(1, "the leader does not answer: %s", strerror(-err));
	reply = metad__reply__unpack(NULL, len, body);
	if (!reply)
		errx(1, "an answer is none");
	c->done(c, reply);
	metad__reply__free_unpacked(reply, NULL);
}

static void ask(struct datafs_conn *conn, struct leader_call *c, const Metad__Ask *a)
{
	static uint8_t buf[64 << 10];
	int err;

	if (metad__ask__get_packed_size(a) > sizeof(buf))
		errx(1, "a call is too long");
	c->call.fn = call_done;
	err = datafs_conn_call(conn, &c->call, buf, (uint32_t)metad__ask__pack(a, buf), CALL_MS);
	if (err)
		errx(1, "the leader cannot be asked: %s", strerror(-err));
}

void leader_ask(struct leader_call *c, const Metad__Ask *a)
{
	ask(leader, c, a);
}

/* It leads, or another one does. */
static void probe_done(struct leader_call *c, const Metad__Reply *reply)
{
	if (leader)
		return;
	if (reply->error == EREMOTE) {
		if (++refused == members)
			errx(1, "no member leads");
		return;
	}
	if (reply->error)
		errx(1, "a member says: %s", strerror((int)reply->error));
	leader = ((struct probe *)c)->conn;
	on_leader();
}

static void probe(struct probe *p, struct datafs_conn *conn)
{
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Ask a = METAD__ASK__INIT;

	query.of_case = METAD__QUERY__OF_COUNTS;
	query.counts = &counts;
	a.what_case = METAD__ASK__WHAT_QUERY;
	a.query = &query;
	p->c.done = probe_done;
	p->conn = conn;
	ask(conn, &p->c, &a);
}

static void on_up(void *arg, struct datafs_conn *conn)
{
	(void)arg;
	if (!leader && probed < MEMBERS_MAX)
		probe(&probes[probed++], conn);
}

static void on_down(void *arg, struct datafs_conn *conn, int err)
{
	(void)arg;
	if (conn == leader && err != -ESHUTDOWN)
		errx(1, "the leader is gone: %s", strerror(-err));
}

static void on_frame(void *arg, struct datafs_conn *conn, const struct datafs_frame *f)
{
	(void)arg;
	(void)conn;
	(void)f;
}

/* It has no lease, so nothing is recalled. */
static void on_call(void *arg, struct datafs_conn *conn, uint64_t id, const void *body,
		    uint32_t len)
{
	(void)arg;
	(void)body;
	(void)len;
	datafs_conn_reply(conn, id, NULL, 0);
}

static void connect_all(const char *named)
{
	char *list = strdup(named), *rest = list, *text;

	if (!list)
		errx(1, "no memory");
	while ((text = strsep(&rest, ","))) {
		struct datafs_address at;
		struct datafs_peer *peer;

		if (datafs_address_resolve(text, false, &at) ||
		    datafs_wire_connect(wire, (const struct sockaddr *)&at.sa, at.len, 0, &peer))
			errx(1, "no member at %s", text);
		members++;
	}
	free(list);
}

void leader_run(const char *named, const struct datafs_keys *keys, void (*begin)(void))
{
	static const struct datafs_wire_ops ops = {
		.up = on_up, .down = on_down, .frame = on_frame, .call = on_call,
	};
	struct datafs_wire_conf conf = {
		.limits = datafs_wire_limits, .ops = &ops,
		.self = { .role = keys->holder, .keys = keys,
			  .peers = 1u << DATAFS_ROLE_MEMBER },
	};

	/* no member's: those are small */
	datafs_random(&conf.self.node, sizeof(conf.self.node));
	conf.self.node |= 1ull << 63;
	on_leader = begin;
	if (datafs_loop_new(&loop))
		errx(1, "no loop");
	conf.loop = loop;
	if (datafs_wire_new(&conf, &wire))
		errx(1, "no messenger");
	connect_all(named);
	if (datafs_loop_run(loop))
		errx(1, "the loop ended");
	datafs_wire_free(wire);
	datafs_loop_free(loop);
}

void leader_stop(void)
{
	stopped = true;
	datafs_loop_stop(loop);
}
