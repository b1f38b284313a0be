// SPDX-License-Identifier: Apache-2.0
/* Who asks what must not be asked: it is refused, and nobody halts. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "metad/answer.h"
#include "metad/ask.h"
#include "wire/address.h"
#include "wire/messenger_internal.h"

/* An Ask with this packed command in it. */
static size_t wrap(const uint8_t *cmd, size_t len, uint8_t *buf)
{
	Metad__Ask ask = METAD__ASK__INIT;

	ask.what_case = METAD__ASK__WHAT_COMMAND;
	ask.command = (ProtobufCBinaryData) { len, (uint8_t *)cmd };
	return metad__ask__pack(&ask, buf);
}

static size_t pack_create(uint64_t session, uint8_t *buf)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Make m = METAD__MAKE__INIT;

	c.has_session = c.has_request = true;
	c.session = session;
	c.request = 1000;
	m.has_parent = m.has_name = true;
	m.parent = 1;
	m.name = (ProtobufCBinaryData) { 3, (uint8_t *)"new" };
	c.op_case = METAD__COMMAND__OP_CREATE;
	c.create = &m;
	return metad__command__pack(&c, buf);
}

static int command_error(const uint8_t *cmd, size_t len)
{
	uint8_t *buf = malloc(len + 32);
	size_t n = wrap(cmd, len, buf);
	int err = raw_error(admin, DATAFS_REMOTE_LEADER, buf, n);

	free(buf);
	return err;
}

/* All members run on, and none has anything that was not there before. */
static void check_nothing_done(uint64_t commit)
{
	Metad__Status st;

	assert_int_equal(lookup(quorum, 1, "new", NULL), ENOENT);
	for (unsigned int id = 1; id <= 3; id++) {
		assert_true(status_of(id, &st));
		assert_int_equal(st.halted, 0);
	}
	assert_true(status_of(leader(), &st));
	assert_int_equal(st.commit, commit);
	must((struct req){ OP(CREATE), 1, "good", .mode = 0644 });
}

static void test_malformed(void **state)
{
	static const uint8_t unknown_in_ask[] = { 0x98, 0x06, 1 };
	static const uint8_t unknown_in_make[] = { 0x98, 0x06, 1 };
	uint8_t buf[512], cmd[256], *big;
	uint64_t commit;
	Metad__Status st;
	size_t n, len;

	(void)state;
	assert_true(status_of(leader(), &st));
	commit = st.commit;
	assert_int_equal(raw_error(admin, DATAFS_REMOTE_LEADER, "", 0), EPROTO);
	assert_int_equal(raw_error(admin, DATAFS_REMOTE_LEADER, "\xff\xff\xff", 3), EPROTO);
	/* a command that is none, or nothing */
	assert_int_equal(command_error((const uint8_t *)"\xff", 1), EPROTO);
	assert_int_equal(command_error((const uint8_t *)"", 0), EPROTO);
	/* unknown: beside the command, in it, and below it */
	n = pack_create(SESSION, cmd);
	len = wrap(cmd, n, buf);
	memcpy(buf + len, unknown_in_ask, sizeof(unknown_in_ask));
	assert_int_equal(raw_error(admin, DATAFS_REMOTE_LEADER, buf,
				   len + sizeof(unknown_in_ask)), EPROTO);
	memcpy(cmd + n, unknown_in_ask, sizeof(unknown_in_ask));
	assert_int_equal(command_error(cmd, n + sizeof(unknown_in_ask)), EPROTO);
	n = pack_create(SESSION, cmd);
	/* the message of create is the last field: longer by an unknown one */
	memcpy(cmd + n, unknown_in_make, sizeof(unknown_in_make));
	for (size_t i = 0; i + 2 < n; i++)
		if (cmd[i] == 0xaa && cmd[i + 1] == 0x01)
			cmd[i + 2] += sizeof(unknown_in_make);
	assert_int_equal(command_error(cmd, n + sizeof(unknown_in_make)), EPROTO);
	/* a field of a later version: an operation with number 60 */
	assert_int_equal(command_error((const uint8_t *)"\x08\x07\x10\x01\xe2\x03\x00", 7), EPROTO);
	/* longer than an operation may be */
	len = DATAFS_ASK_MAX + 1;
	big = calloc(1, len);
	assert_int_equal(raw_error(admin, DATAFS_REMOTE_LEADER, big, len), EMSGSIZE);
	free(big);
	check_nothing_done(commit);
}

static void test_not_a_clients(void **state)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Feature feature = METAD__FEATURE__INIT;
	uint8_t cmd[256];
	Metad__Status st;
	uint64_t commit;

	(void)state;
	assert_true(status_of(leader(), &st));
	commit = st.commit;
	assert_int_equal(command_error(cmd, pack_create(0, cmd)), EINVAL);
	/* a level that not all may have; and one that nobody has, which would halt all */
	c.has_session = c.has_request = true;
	c.session = SESSION;
	c.request = 1000;
	feature.has_level = true;
	feature.level = 1;
	c.op_case = METAD__COMMAND__OP_FEATURE;
	c.feature = &feature;
	assert_int_equal(command_error(cmd, metad__command__pack(&c, cmd)), EINVAL);
	feature.level = 1000;
	assert_int_equal(command_error(cmd, metad__command__pack(&c, cmd)), EPROTO);
	check_nothing_done(commit);
}

static void test_clients_do_not_administer(void **state)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	Metad__Change change = METAD__CHANGE__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	struct datafs_remote *client;
	Metad__Status before, after;
	uint8_t buf[256];

	(void)state;
	assert_int_equal(datafs_remote_open(&cfg, &client), 0);
	a.of_case = METAD__ADMIN__OF_REMOVE;
	a.remove = &change;
	change.has_id = true;
	change.id = leader() % 3 + 1;
	ask.what_case = METAD__ASK__WHAT_ADMIN;
	ask.admin = &a;
	assert_true(status_of(leader(), &before));
	assert_int_equal(raw_error(client, DATAFS_REMOTE_LEADER, buf, metad__ask__pack(&ask, buf)),
			 EACCES);
	assert_true(status_of(leader(), &after));
	assert_int_equal(before.commit, after.commit);
	datafs_remote_close(client);
}

/* Wrong keys: nobody is up, so nothing is answered; with the right ones it is. */
static void test_keys(void **state)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .node = CLIENT };
	struct datafs_keys keys[3];
	struct datafs_remote *r;
	Metad__Reply *reply;

	(void)state;
	datafs_keys_off(&keys[0], member_keys.cluster);
	keys[1] = client_keys;
	keys[1].key[0].key[5] ^= 1;
	keys[2] = client_keys;
	keys[2].cluster[5] ^= 1;
	for (unsigned int i = 0; i < 3; i++) {
		cfg.keys = &keys[i];
		assert_int_equal(datafs_remote_open(&cfg, &r), 0);
		assert_int_equal(datafs_remote_call(r, "", 0, DATAFS_REMOTE_LEADER, 1000, &reply),
				 -EHOSTUNREACH);
		datafs_remote_close(r);
	}
	cfg.keys = &client_keys;
	assert_int_equal(datafs_remote_open(&cfg, &r), 0);
	assert_int_equal(raw_error(r, DATAFS_REMOTE_LEADER, "", 0), EPROTO);
	datafs_remote_close(r);
}

/* A client that says it is one, and then sends what only members may. */

struct liar {
	struct datafs_loop *loop;
	struct datafs_wire *wire;
	unsigned int ups, downs;
};

static void liar_up(void *arg, struct datafs_conn *conn)
{
	static const uint8_t vote[48] = { 1, 1 };
	struct datafs_frame f = { .type = DATAFS_FRAME_RAFT, .body = vote, .len = sizeof(vote) };
	struct liar *l = arg;

	l->ups++;
	assert_int_equal(datafs_conn_send(conn, &f), -EPROTO);
	/* our own side does not hold us back any more */
	conn->enc.self = DATAFS_ROLE_MEMBER;
	assert_int_equal(datafs_conn_send(conn, &f), 0);
}

static void liar_down(void *arg, struct datafs_conn *conn, int err)
{
	struct liar *l = arg;

	(void)conn;
	(void)err;
	l->downs++;
	datafs_loop_stop(l->loop);
}

static void liar_frame(void *arg, struct datafs_conn *conn, const struct datafs_frame *f)
{
	(void)arg;
	(void)conn;
	(void)f;
}

static void liar_call(void *arg, struct datafs_conn *conn, uint64_t id, const void *body,
		      uint32_t len)
{
	(void)arg;
	(void)conn;
	(void)id;
	(void)body;
	(void)len;
}

static void test_clients_speak_no_raft(void **state)
{
	static const struct datafs_wire_ops ops = {
		.up = liar_up, .down = liar_down, .frame = liar_frame, .call = liar_call,
	};
	struct datafs_wire_conf conf = {
		.self = { .role = DATAFS_ROLE_CLIENT, .node = CLIENT, .keys = &client_keys,
			  .peers = 1u << DATAFS_ROLE_MEMBER },
		.limits = datafs_wire_limits, .ops = &ops,
	};
	Metad__Status before, after;
	struct datafs_address at;
	struct liar l = { 0 };
	struct datafs_peer *peer;
	unsigned int id = leader();

	(void)state;
	assert_true(status_of(id, &before));
	assert_int_equal(datafs_loop_new(&l.loop), 0);
	conf.loop = l.loop;
	conf.arg = &l;
	assert_int_equal(datafs_wire_new(&conf, &l.wire), 0);
	assert_int_equal(datafs_address_resolve(nodes[id].address, true, &at), 0);
	assert_int_equal(datafs_wire_connect(l.wire, (void *)&at.sa, at.len, id, &peer), 0);
	assert_int_equal(datafs_loop_run(l.loop), 0);
	assert_int_equal(l.ups, 1);
	assert_int_equal(l.downs, 1);
	datafs_wire_free(l.wire);
	datafs_loop_free(l.loop);
	assert_true(status_of(id, &after));
	assert_int_equal(after.term, before.term);
	assert_int_equal(after.leader, id);
}

/* A client that asks for much more than it reads: all of it comes, when it does. */

#define MAKERS	8u
#define EACH	190u
#define LISTS	100u

static void *make_names(void *arg)
{
	uint64_t session = 100 + (uintptr_t)arg;
	char name[251];

	memset(name, 'n', sizeof(name));
	name[250] = 0;
	for (unsigned int i = 0; i <= EACH; i++) {
		Metad__Result *res;
		struct req r = { OP(CREATE), 1, name, .mode = 0644, .session = session };

		if (!i)
			r = (struct req){ OP(SESSION_OPEN), .session = session };
		r.request = i + 1;
		name[sprintf(name, "%02u-%03u", (unsigned int)(uintptr_t)arg, i)] = 'n';
		res = do_req(quorum, r);
		assert_int_equal(res->error, 0);
		metad__result__free_unpacked(res, NULL);
	}
	return NULL;
}

struct lister {
	struct datafs_loop *loop;
	struct datafs_event timer;
	struct datafs_call calls[LISTS];
	unsigned int replies, whole;
};

static struct lister lister;

static void list_replied(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	Metad__Reply *r;

	(void)call;
	assert_int_equal(err, 0);
	r = metad__reply__unpack(NULL, len, body);
	assert_non_null(r);
	if (r->answer && len > DATAFS_READDIR_MAX / 10 * 9)
		lister.whole++;
	metad__reply__free_unpacked(r, NULL);
	if (++lister.replies == LISTS)
		datafs_loop_stop(lister.loop);
}

/* Nobody reads meanwhile; others are answered all the same. */
static void lister_pauses(struct datafs_event *ev, int res)
{
	struct timespec pause = { .tv_sec = 3 };

	(void)ev;
	(void)res;
	assert_int_equal(lookup(quorum, 1, "none", NULL), ENOENT);
	nanosleep(&pause, NULL);
}

static void lister_up(void *arg, struct datafs_conn *conn)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	uint8_t buf[64];
	size_t len;

	(void)arg;
	rd.has_ino = rd.has_max = true;
	rd.ino = 1;
	rd.max = DATAFS_READDIR_MAX;
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	len = metad__ask__pack(&ask, buf);
	for (unsigned int i = 0; i < LISTS; i++) {
		lister.calls[i].fn = list_replied;
		assert_int_equal(datafs_conn_call(conn, &lister.calls[i], buf, (uint32_t)len,
						  100000), 0);
	}
	lister.timer.fn = lister_pauses;
	assert_int_equal(datafs_loop_timer(lister.loop, &lister.timer, 20), 0);
}

static void lister_down(void *arg, struct datafs_conn *conn, int err)
{
	(void)arg;
	(void)conn;
	(void)err;
}

static void test_slow_reader(void **state)
{
	static const struct datafs_wire_ops ops = {
		.up = lister_up, .down = lister_down, .frame = liar_frame, .call = liar_call,
	};
	struct datafs_wire_conf conf = {
		.self = { .role = DATAFS_ROLE_CLIENT, .node = CLIENT, .keys = &client_keys,
			  .peers = 1u << DATAFS_ROLE_MEMBER },
		.limits = datafs_wire_limits, .ops = &ops,
	};
	struct datafs_address at;
	struct datafs_peer *peer;
	struct datafs_wire *wire;
	pthread_t makers[MAKERS];
	unsigned int id;

	(void)state;
	for (uintptr_t i = 0; i < MAKERS; i++)
		assert_int_equal(pthread_create(&makers[i], NULL, make_names, (void *)i), 0);
	for (unsigned int i = 0; i < MAKERS; i++)
		pthread_join(makers[i], NULL);
	lister = (struct lister){ 0 };
	assert_int_equal(datafs_loop_new(&lister.loop), 0);
	conf.loop = lister.loop;
	assert_int_equal(datafs_wire_new(&conf, &wire), 0);
	id = leader();
	assert_int_equal(datafs_address_resolve(nodes[id].address, true, &at), 0);
	assert_int_equal(datafs_wire_connect(wire, (void *)&at.sa, at.len, id, &peer), 0);
	assert_int_equal(datafs_loop_run(lister.loop), 0);
	assert_int_equal(lister.replies, LISTS);
	assert_int_equal(lister.whole, LISTS);
	datafs_wire_free(wire);
	datafs_loop_free(lister.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_malformed),
		SERVER_TEST(test_not_a_clients),
		SERVER_TEST(test_clients_do_not_administer),
		SERVER_TEST(test_keys),
		SERVER_TEST(test_clients_speak_no_raft),
		SERVER_TEST(test_slow_reader),
	};

	return cmocka_run_group_tests_name("server_ask", tests, NULL, NULL);
}
