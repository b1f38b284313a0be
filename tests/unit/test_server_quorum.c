// SPDX-License-Identifier: Apache-2.0
/* Three members on loopback, and what a client sees of them while they come and go. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_names(void **state)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;
	uint64_t dir, found;
	char name[32];

	(void)state;
	dir = must((struct req){ OP(MKDIR), 1, "d", .mode = 0755 });
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "file-%02d", i);
		must((struct req){ OP(CREATE), dir, name, .mode = 0644 });
	}
	assert_int_equal(error_of((struct req){ OP(CREATE), dir, "file-07" }), EEXIST);
	assert_int_equal(lookup(quorum, 1, "d", &found), 0);
	assert_int_equal(found, dir);
	assert_int_equal(lookup(quorum, dir, "file-40", NULL), ENOENT);
	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = dir;
	rd.max = 1000;
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	for (int i = 0; i < 40;) {
		assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
		assert_int_equal(a->error, 0);
		assert_true(a->n_entries > 0);
		for (size_t e = 0; e < a->n_entries; e++, i++) {
			snprintf(name, sizeof(name), "file-%02d", i);
			assert_memory_equal(a->entries[e]->name.data, name, 7);
			assert_int_equal(a->entries[e]->attr->mode, 0100644);
			rd.cookie = a->entries[e]->cookie;
		}
		assert_true(a->eof == (i == 40));
		metad__answer__free_unpacked(a, NULL);
	}
	rd.max = 0;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	assert_int_equal(a->error, EINVAL);
	metad__answer__free_unpacked(a, NULL);
}

static Metad__Answer *ask_inode(Metad__Query__OfCase of, uint64_t ino)
{
	Metad__Inode in = METAD__INODE__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	in.has_ino = true;
	in.ino = ino;
	q.of_case = of;
	q.getattr = &in;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	return a;
}

static void test_questions(void **state)
{
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	uint64_t dir, file, link;
	Metad__Answer *a;

	(void)state;
	dir = must((struct req){ OP(MKDIR), 1, "d", .mode = 0755 });
	file = must((struct req){ OP(CREATE), dir, "f", .mode = 0640, .uid = 5, .gid = 6 });
	link = must((struct req){ OP(SYMLINK), dir, "l", .value = "target", .len = 6 });
	must((struct req){ OP(SETXATTR), file, "user.a", .value = "val", .len = 3 });
	must((struct req){ OP(SETXATTR), file, "user.b", .value = "", .len = 0 });
	a = ask_inode(METAD__QUERY__OF_GETATTR, file);
	assert_int_equal(a->attr->mode, 0100640);
	assert_int_equal(a->attr->uid, 5);
	assert_true(a->attr->mtime > 0);
	metad__answer__free_unpacked(a, NULL);
	a = ask_inode(METAD__QUERY__OF_GETATTR, 4711);
	assert_int_equal(a->error, ESTALE);
	metad__answer__free_unpacked(a, NULL);
	a = ask_inode(METAD__QUERY__OF_READLINK, link);
	assert_int_equal(a->data.len, 6);
	assert_memory_equal(a->data.data, "target", 6);
	metad__answer__free_unpacked(a, NULL);
	a = ask_inode(METAD__QUERY__OF_PARENT, dir);
	assert_int_equal(a->attr->ino, 1);
	metad__answer__free_unpacked(a, NULL);
	a = ask_inode(METAD__QUERY__OF_LISTXATTR, file);
	assert_int_equal(a->data.len, 14);
	assert_memory_equal(a->data.data, "user.a\0user.b", 14);
	metad__answer__free_unpacked(a, NULL);
	n.has_parent = n.has_name = true;
	n.parent = file;
	n.name = (ProtobufCBinaryData) { 6, (uint8_t *)"user.a" };
	q.of_case = METAD__QUERY__OF_GETXATTR;
	q.getxattr = &n;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	assert_int_equal(a->data.len, 3);
	assert_memory_equal(a->data.data, "val", 3);
	metad__answer__free_unpacked(a, NULL);
	n.name.len = 5;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	assert_int_equal(a->error, ENODATA);
	metad__answer__free_unpacked(a, NULL);
	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	assert_int_equal(a->inodes, 4);
	metad__answer__free_unpacked(a, NULL);
}

static void test_leader_goes(void **state)
{
	unsigned int first = leader(), second;
	uint64_t a, b, c, found;
	struct req again;

	(void)state;
	a = must((struct req){ OP(CREATE), 1, "a", .mode = 0644 });
	request++;
	again = (struct req){ OP(CREATE), 1, "a2", .mode = 0644, .request = request };
	b = must(again);
	node_stop(first);
	/* the same bytes, to another leader: the same answer, and it is not done again */
	again.lowest = again.request;
	assert_int_equal(must(again), b);
	c = must((struct req){ OP(CREATE), 1, "c", .mode = 0644 });
	assert_int_equal(lookup(quorum, 1, "a", &found), 0);
	assert_int_equal(found, a);
	second = leader();
	assert_int_not_equal(first, second);
	node_start(first);
	all_equal();
	/* it has all, and may lead again */
	node_stop(second);
	assert_int_equal(lookup(quorum, 1, "c", &found), 0);
	assert_int_equal(found, c);
	assert_int_equal(lookup(quorum, 1, "a2", &found), 0);
	assert_int_equal(found, b);
	node_start(second);
	all_equal();
	check_same_states();
}

/* Who does not lead says who does, and where. */
static void test_hint(void **state)
{
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	unsigned int leads = leader(), other = leads % 3 + 1;
	Metad__Reply *r;
	uint8_t buf[64];
	size_t len;

	(void)state;
	all_equal();
	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	len = metad__ask__pack(&ask, buf);
	assert_int_equal(datafs_remote_call(admin, buf, len, (int)other - 1, 60000, &r), 0);
	assert_int_equal(r->error, EREMOTE);
	assert_int_equal(r->leader, leads);
	assert_string_equal(r->leader_address, nodes[leads].address);
	metad__reply__free_unpacked(r, NULL);
}

static void test_snapshot_is_installed(void **state)
{
	unsigned int away = leader() % 3 + 1;
	Metad__Status st;
	char name[300];

	(void)state;
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	threshold = 50;
	for (unsigned int id = 1; id <= 3; id++)
		if (id != away)
			node_start(id);
	memset(name, 'n', sizeof(name));
	for (int i = 0; i < 400; i++) {
		sprintf(name + 200, "-%d", i);
		must((struct req){ OP(CREATE), 1, name, .mode = 0644 });
	}
	assert_true(status_of(leader(), &st));
	assert_true(st.snapshot > 200);
	node_start(away);
	all_equal();
	assert_true(status_of(away, &st));
	assert_true(st.snapshot > 200);
	/* and once more, now that it has a state of its own */
	node_stop(away);
	for (int i = 0; i < 200; i++) {
		sprintf(name + 200, "+%d", i);
		must((struct req){ OP(CREATE), 1, name, .mode = 0644 });
	}
	node_start(away);
	all_equal();
	check_same_states();
}

#define THREADS	6
#define EACH	60

struct worker {
	pthread_t thread;
	unsigned int n;
	atomic_uint *done;
};

/* A session of its own: creates, and finds what it has created. */
static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t session = 100 + w->n, found;
	Metad__Result *res;
	char name[32];

	res = do_req(quorum, (struct req){ OP(SESSION_OPEN), .session = session, .request = 1 });
	assert_int_equal(res->error, 0);
	metad__result__free_unpacked(res, NULL);
	for (uint64_t i = 0; i < EACH; i++) {
		snprintf(name, sizeof(name), "%u-%u", w->n, (unsigned int)i);
		res = do_req(quorum, (struct req){ OP(CREATE), 1, name, .mode = 0644,
			     .session = session, .request = 2 + i });
		assert_int_equal(res->error, 0);
		assert_int_equal(lookup(quorum, 1, name, &found), 0);
		assert_int_equal(found, res->node->ino);
		metad__result__free_unpacked(res, NULL);
		atomic_fetch_add(w->done, 1);
	}
	return NULL;
}

static void test_threads_and_failures(void **state)
{
	struct worker w[THREADS];
	atomic_uint done = 0;
	unsigned int gone;

	(void)state;
	for (unsigned int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .n = i, .done = &done };
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned int i = 1; i <= 3; i++) {
		while (atomic_load(&done) < i * THREADS * EACH / 5)
			sched_yield();
		gone = leader();
		node_stop(gone);
		node_start(gone);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(atomic_load(&done), THREADS * EACH);
	all_equal();
	check_same_states();
}

static void *ask_in_vain(void *arg)
{
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	(void)arg;
	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	return (void *)(intptr_t)datafs_quorum_ask(quorum, &q, &a);
}

static void test_stop(void **state)
{
	pthread_t thread;
	void *res;

	(void)state;
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	assert_int_equal(pthread_create(&thread, NULL, ask_in_vain, NULL), 0);
	datafs_quorum_stop(quorum);
	pthread_join(thread, &res);
	assert_int_equal((intptr_t)res, -ESHUTDOWN);
	assert_int_equal((intptr_t)ask_in_vain(NULL), -ESHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_names),
		SERVER_TEST(test_questions),
		SERVER_TEST(test_leader_goes),
		SERVER_TEST(test_hint),
		SERVER_TEST(test_snapshot_is_installed),
		SERVER_TEST(test_threads_and_failures),
		SERVER_TEST(test_stop),
	};

	return cmocka_run_group_tests_name("server_quorum", tests, NULL, NULL);
}
