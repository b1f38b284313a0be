// SPDX-License-Identifier: Apache-2.0
/*
 * The table of mounts as an operator changes it, and as clients see it at once; that of nodes as
 * it is listed, and who may change it.
 */
#define _GNU_SOURCE
#include "server_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metad/ns.h"

#define OPERATOR	2001u	/* the session of who has the cluster's key */

static uint64_t operators;	/* requests of that session */

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void wait_for_level(uint32_t level)
{
	Metad__Status st;

	for (unsigned int i = 0; i < 1000; i++) {
		if (status_of(leader(), &st) && st.feature_level == level)
			return;
		pause_ms(20);
	}
	fail_msg("the level does not come to %u", level);
}

/* The error of the Reply, or of the Result. */
static int send_as(struct datafs_remote *r, struct req c)
{
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Reply *reply;
	Metad__Result *res;
	uint8_t buf[16384];
	size_t len;
	int err;

	ask.what_case = METAD__ASK__WHAT_COMMAND;
	ask.command.data = req_pack_command(&c, &ask.command.len);
	len = metad__ask__pack(&ask, buf);
	free(ask.command.data);
	assert_int_equal(datafs_remote_call(r, buf, len, DATAFS_REMOTE_LEADER, 60000, &reply), 0);
	err = (int)reply->error;
	if (!err) {
		res = metad__result__unpack(NULL, reply->result.len, reply->result.data);
		assert_non_null(res);
		err = (int)res->error;
		metad__result__free_unpacked(res, NULL);
	}
	metad__reply__free_unpacked(reply, NULL);
	return err;
}

static int change(struct req c)
{
	c.session = OPERATOR;
	c.request = c.request ? c.request : ++operators;
	c.lowest = c.lowest ? c.lowest : c.request;
	return send_as(admin, c);
}

static int add(const char *path, const char *source)
{
	return change((struct req){ OP(MOUNT_ADD), .name = path, .source = source });
}

static Metad__Answer *mounts(struct datafs_quorum *q, Metad__Mount *after,
			     struct datafs_told *told)
{
	Metad__Mounts from = METAD__MOUNTS__INIT;
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Answer *a;

	if (after) {
		from.has_after = true;
		from.after = after->path;
	}
	query.of_case = METAD__QUERY__OF_MOUNTS;
	query.mounts = &from;
	assert_int_equal(datafs_quorum_ask_told(q, &query, &a, told), 0);
	assert_int_equal(a->error, 0);
	return a;
}

static bool is_text(ProtobufCBinaryData b, const char *s)
{
	return b.len == strlen(s) && !memcmp(b.data, s, b.len);
}

static int setup(void **state)
{
	server_setup(state);
	operators = 0;
	wait_for_level(DATAFS_METAD_LEVEL);
	assert_int_equal(change((struct req){ OP(SESSION_OPEN) }), 0);
	return 0;
}

static void test_changed(void **state)
{
	struct datafs_told told;
	Metad__Answer *a = mounts(quorum, NULL, &told);

	(void)state;
	assert_true(a->eof && !a->n_mounts && !a->mounts_version);
	metad__answer__free_unpacked(a, NULL);
	assert_int_equal(add("/b", "/srv/b"), 0);
	assert_int_equal(add("/a", "s3://a"), 0);
	assert_int_equal(add("/a", "s3://a"), EEXIST);
	assert_int_equal(add("/c", "s3://key:secret@c"), EINVAL);
	assert_int_equal(change((struct req){ OP(MOUNT_SET), .name = "/b", .generation = 1,
					      .options = "uid=7" }), 0);
	a = mounts(quorum, NULL, &told);
	assert_true(a->eof && a->n_mounts == 2 && a->mounts_version == 3);
	assert_true(is_text(a->mounts[0]->path, "/a") && is_text(a->mounts[0]->source, "s3://a"));
	assert_true(a->mounts[0]->id == 2 && a->mounts[0]->generation == 2);
	assert_true(is_text(a->mounts[1]->path, "/b") && is_text(a->mounts[1]->options, "uid=7"));
	assert_true(a->mounts[1]->id == 1 && a->mounts[1]->generation == 3);
	metad__answer__free_unpacked(a, NULL);
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/b", .generation = 1 }),
			 ESTALE);
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/b" }), 0);
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/b" }), ENOENT);
	check_same_states();
}

/* By whoever leads: it is done once, and all of it is there. */
static void test_another_leads(void **state)
{
	struct datafs_told told;
	Metad__Answer *a;
	char path[8];

	(void)state;
	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "/%d", i);
		assert_int_equal(add(path, "/srv"), 0);
		if (i % 2)
			let_another_lead();
		/* the answer got lost */
		assert_int_equal(change((struct req){ OP(MOUNT_ADD), .name = path,
					.source = "/srv", .request = operators }), 0);
	}
	a = mounts(quorum, NULL, &told);
	assert_true(a->eof && a->n_mounts == 6 && a->mounts_version == 6);
	metad__answer__free_unpacked(a, NULL);
	check_same_states();
}

/* More than one answer has room for, in pieces of one version. */
static void test_many(void **state)
{
	static char source[4000];
	struct datafs_told told;
	Metad__Answer *a = NULL, *next;
	unsigned int pieces = 0, n = 0;
	char path[8];

	(void)state;
	memset(source, 's', sizeof(source) - 1);
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/%02u", i);
		assert_int_equal(add(path, source), 0);
	}
	do {
		next = mounts(quorum, a ? a->mounts[a->n_mounts - 1] : NULL, &told);
		metad__answer__free_unpacked(a, NULL);
		a = next;
		assert_int_equal(a->mounts_version, 100);
		for (size_t i = 0; i < a->n_mounts; i++) {
			snprintf(path, sizeof(path), "/%02u", n++);
			assert_true(is_text(a->mounts[i]->path, path));
		}
		pieces++;
	} while (!a->eof);
	metad__answer__free_unpacked(a, NULL);
	assert_int_equal(n, 100);
	/* 32 of 4002 bytes are less than 2^17, 33 are not */
	assert_int_equal(pieces, 4);
}

static void test_only_for_operators(void **state)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	struct req r = { OP(MOUNT_ADD), .name = "/a", .source = "/srv", .session = SESSION,
			 .request = 100 };
	struct datafs_remote *client;
	struct datafs_told told;
	Metad__Answer *a;

	(void)state;
	assert_int_equal(datafs_remote_open(&cfg, &client), 0);
	assert_int_equal(send_as(client, r), EACCES);
	r.op = OP(MOUNT_SET);
	assert_int_equal(send_as(client, r), EACCES);
	r.op = OP(MOUNT_REMOVE);
	assert_int_equal(send_as(client, r), EACCES);
	datafs_remote_close(client);
	/* a session is not who has it */
	r.op = OP(MOUNT_ADD);
	assert_int_equal(send_as(admin, r), 0);
	r.session = 0;
	assert_int_equal(send_as(admin, r), EINVAL);
	a = mounts(quorum, NULL, &told);
	assert_int_equal(a->mounts_version, 1);
	metad__answer__free_unpacked(a, NULL);
}

/* What it does comes not into the log. */
static void assert_not_logged(void (*refused)(void))
{
	Metad__Status was, is;

	/* another leader begins with an entry of its own */
	do {
		assert_true(status_of(leader(), &was));
		refused();
		assert_true(status_of(leader(), &is));
	} while (is.term != was.term);
	assert_int_equal(is.commit, was.commit);
}

static void too_early(void)
{
	assert_int_equal(change((struct req){ OP(NODE_JOIN), .name = "a" }), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(NODE_SET), .name = "a" }), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(NODE_REMOVE), .name = "a" }), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(JOB_ADD), .mode = 1, .name = "/a" }), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(JOB_CLAIM), .ino = 1 }), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(JOB_REPORT), .ino = 1 }), EOPNOTSUPP);
	assert_int_equal(add("/a", "/srv"), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(MOUNT_SET), .name = "/a" }), EOPNOTSUPP);
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/a" }), EOPNOTSUPP);
}

/* Older members would halt at it. */
static void test_not_before_its_level(void **state)
{
	(void)state;
	operators = 0;
	assert_int_equal(change((struct req){ OP(SESSION_OPEN) }), 0);
	assert_not_logged(too_early);
	all_equal();
}

static void malformed(void)
{
	assert_int_equal(add("/c", "s3://key:secret@c"), EINVAL);
	assert_int_equal(change((struct req){ OP(MOUNT_SET), .name = "/a",
					      .options = "a=http://u:p@h" }), EINVAL);
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/a/" }), EINVAL);
}

/* It may have a password. */
static void test_malformed(void **state)
{
	(void)state;
	assert_int_equal(add("/a", "/srv"), 0);
	assert_not_logged(malformed);
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/a" }), 0);
}

/* @known 0: it is not said to be. */
static Metad__Answer *list_nodes(uint64_t after, uint64_t known)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Nodes from = METAD__NODES__INIT;
	Metad__Answer *a;

	from.has_after = true;
	from.after = after;
	from.has_known = known != 0;
	from.known = known;
	query.of_case = METAD__QUERY__OF_NODES;
	query.nodes = &from;
	assert_int_equal(datafs_quorum_ask(quorum, &query, &a), 0);
	assert_int_equal(a->error, 0);
	return a;
}

static void test_nodes(void **state)
{
	char name[8];
	Metad__Answer *a = list_nodes(0, 0);

	(void)state;
	assert_true(a->eof && !a->n_nodes && !a->routing_version && !a->nodes_unchanged);
	metad__answer__free_unpacked(a, NULL);
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(change((struct req){ OP(NODE_JOIN), .name = name,
						      .source = "h:1" }), 0);
	}
	a = list_nodes(0, 299);
	assert_true(!a->eof && a->n_nodes == 256 && a->routing_version == 300);
	assert_false(a->nodes_unchanged);
	assert_true(is_text(a->nodes[0]->name, "n0") && is_text(a->nodes[0]->address, "h:1"));
	assert_true(a->nodes[0]->id == 1 && a->nodes[0]->weight == 100);
	assert_true(a->nodes[0]->state == DATAFS_NODE_AWAY && !a->nodes[0]->session);
	metad__answer__free_unpacked(a, NULL);
	a = list_nodes(256, 0);
	assert_true(a->eof && a->n_nodes == 44 && a->routing_version == 300);
	assert_true(a->nodes[43]->id == 300 && a->nodes[43]->session == OPERATOR);
	assert_int_equal(a->nodes[43]->state, DATAFS_NODE_JOINED);
	metad__answer__free_unpacked(a, NULL);
	/* nothing is listed, from wherever on */
	a = list_nodes(256, 300);
	assert_true(a->eof && !a->n_nodes && a->nodes_unchanged && a->routing_version == 300);
	metad__answer__free_unpacked(a, NULL);
	let_another_lead();
	assert_int_equal(change((struct req){ OP(NODE_SET), .name = "n299", .create = true }), 0);
	/* the answer got lost */
	assert_int_equal(change((struct req){ OP(NODE_SET), .name = "n299", .create = true,
					      .request = operators }), 0);
	a = list_nodes(299, 300);
	assert_true(a->eof && a->n_nodes == 1 && a->routing_version == 301);
	assert_int_equal(a->nodes[0]->state, DATAFS_NODE_DRAINING);
	metad__answer__free_unpacked(a, NULL);
	check_same_states();
}

/* Whoever has a key joins; who has the cluster's sets and removes. */
static void test_who_changes_nodes(void **state)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	struct req r = { OP(NODE_JOIN), .name = "a", .session = SESSION, .request = 100 };
	struct datafs_remote *client;

	(void)state;
	assert_int_equal(datafs_remote_open(&cfg, &client), 0);
	assert_int_equal(send_as(client, r), 0);
	r.op = OP(NODE_SET);
	assert_int_equal(send_as(client, r), EACCES);
	r.op = OP(NODE_REMOVE);
	assert_int_equal(send_as(client, r), EACCES);
	datafs_remote_close(client);
	assert_int_equal(change((struct req){ OP(NODE_JOIN), .name = "a" }), EEXIST);
	assert_int_equal(change((struct req){ OP(NODE_REMOVE), .name = "a" }), EBUSY);
}

/* @known 0: it is not said to be. */
static Metad__Answer *list_jobs(uint64_t after, uint64_t known)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Jobs from = METAD__JOBS__INIT;
	Metad__Answer *a;

	from.has_after = true;
	from.after = after;
	from.has_known = known != 0;
	from.known = known;
	query.of_case = METAD__QUERY__OF_JOBS;
	query.jobs = &from;
	assert_int_equal(datafs_quorum_ask(quorum, &query, &a), 0);
	assert_int_equal(a->error, 0);
	return a;
}

/* As many as an answer of 128 KiB takes, and one more: of each its path, and 128 bytes. */
static void test_jobs(void **state)
{
	enum { PATH = 4000, PAGE = (128 << 10) / (PATH + 128) + 1 };
	static char path[PATH + 1];
	Metad__Answer *a = list_jobs(0, 0);

	(void)state;
	assert_true(a->eof && !a->n_jobs && !a->jobs_version);
	metad__answer__free_unpacked(a, NULL);
	for (int i = 0; i < PATH; i++)
		path[i] = i % 100 ? 'a' : '/';
	for (int i = 0; i < 2 * PAGE; i++)
		assert_int_equal(change((struct req){ OP(JOB_ADD), .mode = 2, .name = path }), 0);
	a = list_jobs(0, 2 * PAGE - 1);
	assert_true(!a->eof && a->n_jobs == PAGE && a->jobs_version == 2 * PAGE);
	assert_true(a->jobs[0]->id == 1 && a->jobs[0]->kind == 2 && is_text(a->jobs[0]->path, path));
	assert_true(a->jobs[0]->state == DATAFS_JOB_WAITING && a->jobs[0]->added);
	metad__answer__free_unpacked(a, NULL);
	a = list_jobs(PAGE, 0);
	assert_true(a->eof && a->n_jobs == PAGE && a->jobs[0]->id == PAGE + 1);
	metad__answer__free_unpacked(a, NULL);
	/* nothing is listed, from wherever on */
	a = list_jobs(1, 2 * PAGE);
	assert_true(a->eof && !a->n_jobs && a->jobs_version == 2 * PAGE);
	metad__answer__free_unpacked(a, NULL);
	let_another_lead();
	assert_int_equal(change((struct req){ OP(JOB_CLAIM), .ino = 1 }), 0);
	/* the answer got lost */
	assert_int_equal(change((struct req){ OP(JOB_CLAIM), .ino = 1, .request = operators }), 0);
	a = list_jobs(0, 2 * PAGE);
	assert_true(a->n_jobs == PAGE && a->jobs_version == 2 * PAGE + 1);
	assert_true(a->jobs[0]->state == DATAFS_JOB_RUNNING && a->jobs[0]->session == OPERATOR);
	metad__answer__free_unpacked(a, NULL);
	check_same_states();
}

/* Whoever has a key does them; who has the cluster's adds, cancels and removes. */
static void test_who_changes_jobs(void **state)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	struct req r = { OP(JOB_CLAIM), .ino = 1, .session = SESSION, .request = 200 };
	struct datafs_remote *client;

	(void)state;
	assert_int_equal(datafs_remote_open(&cfg, &client), 0);
	assert_int_equal(change((struct req){ OP(JOB_ADD), .mode = 1, .name = "/a" }), 0);
	assert_int_equal(send_as(client, r), 0);
	r.op = OP(JOB_REPORT);
	r.request++;
	assert_int_equal(send_as(client, r), 0);
	r.op = OP(JOB_ADD);
	r.mode = 1;
	r.name = "/a";
	assert_int_equal(send_as(client, r), EACCES);
	r.op = OP(JOB_CANCEL);
	assert_int_equal(send_as(client, r), EACCES);
	r.op = OP(JOB_REMOVE);
	assert_int_equal(send_as(client, r), EACCES);
	datafs_remote_close(client);
	assert_int_equal(change((struct req){ OP(JOB_CANCEL), .ino = 1 }), 0);
}

static struct datafs_grant_object the_table(void)
{
	return (struct datafs_grant_object) { .ino = 1, .kind = DATAFS_GRANT_MOUNTS };
}

static int setup_leases(void **state)
{
	server_setup(state);
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	lease = 20000;
	for (unsigned int id = 1; id <= 3; id++)
		node_start(id);
	operators = 0;
	wait_for_level(DATAFS_METAD_LEVEL);
	assert_int_equal(change((struct req){ OP(SESSION_OPEN) }), 0);
	return 0;
}

/* Who believes the table is told to forget it before a change of it is answered. */
static void test_seen_at_once(void **state)
{
	struct datafs_grant_object o = the_table();
	struct client one = { 0 }, two = { 0 };
	struct datafs_told told, other;
	Metad__Answer *a;

	(void)state;
	client_open(&one, 3001);
	client_open(&two, 3002);
	a = mounts(one.q, NULL, &told);
	assert_true(a->believe && datafs_quorum_keep(one.q, &told, &o));
	metad__answer__free_unpacked(a, NULL);

	assert_int_equal(add("/a", "/srv/a"), 0);
	assert_int_equal(one.recalls, 1);
	assert_int_equal(one.n, 1);
	assert_int_equal(one.objects[0].kind, DATAFS_GRANT_MOUNTS);
	assert_int_equal(one.objects[0].ino, 1);
	assert_int_equal(two.recalls, 0);
	assert_false(datafs_quorum_keep(one.q, &told, &o));

	/* it asks anew, and believes again; names are another thing */
	a = mounts(one.q, NULL, &told);
	assert_true(a->believe && a->mounts_version == 1 && a->n_mounts == 1);
	metad__answer__free_unpacked(a, NULL);
	a = mounts(two.q, NULL, &other);
	assert_true(a->believe && a->mounts_version == 1);
	metad__answer__free_unpacked(a, NULL);
	client_must(&two, (struct req){ OP(MKDIR), 1, "d", .mode = 0755 });
	assert_true(datafs_quorum_keep(one.q, &told, &o));
	assert_true(datafs_quorum_keep(two.q, &other, &o));
	assert_int_equal(one.recalls, 1);

	assert_int_equal(change((struct req){ OP(MOUNT_SET), .name = "/a", .options = "x" }), 0);
	assert_int_equal(one.recalls, 2);
	assert_int_equal(two.recalls, 1);
	/* nobody believes it now */
	assert_int_equal(change((struct req){ OP(MOUNT_REMOVE), .name = "/a" }), 0);
	assert_int_equal(one.recalls, 2);
	assert_int_equal(two.recalls, 1);
	a = mounts(two.q, NULL, &other);
	assert_true(a->mounts_version == 3 && !a->n_mounts);
	metad__answer__free_unpacked(a, NULL);
	assert_int_equal(one.losses + two.losses, 0);
	client_close(&one);
	client_close(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changed, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_another_leads, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_only_for_operators, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_nodes, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_who_changes_nodes, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_jobs, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_who_changes_jobs, setup, server_teardown),
		cmocka_unit_test_setup_teardown(test_not_before_its_level, server_setup_level_1,
						server_teardown),
		cmocka_unit_test_setup_teardown(test_seen_at_once, setup_leases, server_teardown),
	};

	return cmocka_run_group_tests_name("server_table", tests, NULL, NULL);
}
