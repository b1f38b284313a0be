// SPDX-License-Identifier: Apache-2.0
/*
 * The quorum of one: what is answered is there after a loss of power, what comes again
 * is done once, threads share an entry, and nothing a client sends halts it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "base/util.h"
#include "fault_env.h"
#include "meta/quorum.h"
#include "metad/ns.h"
#include "quorum_wrap.h"
#include "tmpdir.h"

#define SESSION	77
#define ROOT	DATAFS_METAD_ROOT

static char top[4096], dir[4200];
static struct datafs_quorum *q;

/* ---- what is below it ---- */

static struct fault_env *disk;	/* NULL: the machine's */

int __wrap_datafs_env_open(struct datafs_env **res)
{
	if (!disk)
		return __real_datafs_env_open(res);
	*res = fault_env_shim(disk);
	return 0;
}

/* The next entry is not applied before so many commands have come. */
static atomic_ullong wait_for;

int __wrap_datafs_metad_apply(struct datafs_metad *m, uint64_t index, uint64_t term,
			      const void *entry, size_t len, struct datafs_metad_results *res)
{
	while (atomic_load(&q->changes) < atomic_load(&wait_for))
		usleep(1000);
	return __real_datafs_metad_apply(m, index, term, entry, len, res);
}

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	disk = NULL;
	atomic_store(&wait_for, 0);
	if (tmpdir_make(top, sizeof(top), "quorum"))
		return -1;
	snprintf(dir, sizeof(dir), "%s/namespace", top);
	return datafs_quorum_open_local(dir, &q);
}

static int teardown(void **state)
{
	(void)state;
	datafs_quorum_close(q);
	if (disk)
		fault_env_free(disk);
	return tmpdir_remove(top);
}

/* ---- commands ---- */

static int send(Metad__Command *c, uint64_t request, uint64_t lowest, Metad__Result **res)
{
	c->has_session = c->has_request = c->has_lowest = true;
	c->session = SESSION;
	c->request = request;
	c->lowest = lowest;
	return datafs_quorum_change(q, c, res);
}

static int open_session(void)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__SessionOpen o = METAD__SESSION_OPEN__INIT;
	Metad__Result *res;
	int err;

	c.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	c.session_open = &o;
	err = send(&c, 1, 1, &res);
	if (err)
		return err;
	err = -(int)res->error;
	metad__result__free_unpacked(res, NULL);
	return err;
}

/* The inode that is made, or 0 and *err: of the way if negative, else of the command. */
static uint64_t create(const char *name, uint64_t request, uint64_t lowest, int *err)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Make m = METAD__MAKE__INIT;
	Metad__Result *res;
	uint64_t ino = 0;

	m.has_parent = m.has_name = m.has_mode = true;
	m.parent = ROOT;
	m.name = (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
	m.mode = 0644;
	c.op_case = METAD__COMMAND__OP_CREATE;
	c.create = &m;
	*err = send(&c, request, lowest, &res);
	if (*err)
		return 0;
	*err = (int)res->error;
	if (!*err)
		ino = res->node->ino;
	metad__result__free_unpacked(res, NULL);
	return ino;
}

static uint64_t must_create(const char *name, uint64_t request)
{
	uint64_t ino;
	int err;

	ino = create(name, request, 1, &err);
	assert_int_equal(err, 0);
	return ino;
}

/* What the name leads to; 0: nothing. */
static uint64_t find(const char *name)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	Metad__Answer *a;
	uint64_t ino;

	n.has_parent = n.has_name = true;
	n.parent = ROOT;
	n.name = (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
	query.of_case = METAD__QUERY__OF_LOOKUP;
	query.lookup = &n;
	assert_int_equal(datafs_quorum_ask(q, &query, &a), 0);
	assert_true(!a->error || a->error == ENOENT);
	ino = a->attr ? a->attr->ino : 0;
	metad__answer__free_unpacked(a, NULL);
	return ino;
}

static void reopen(void)
{
	datafs_quorum_close(q);
	q = NULL;
	assert_int_equal(datafs_quorum_open_local(dir, &q), 0);
}

/* ---- tests ---- */

static void test_once(void **state)
{
	uint8_t id[16];
	uint64_t ino;
	int err;

	(void)state;
	memcpy(id, q->id, sizeof(id));
	assert_int_equal(open_session(), 0);
	ino = must_create("a", 2);
	assert_int_equal(must_create("a", 2), ino);
	create("a", 3, 1, &err);
	assert_int_equal(err, EEXIST);
	assert_int_equal(atomic_load(&q->changes), 4);
	assert_int_equal(atomic_load(&q->entries), 4);
	reopen();
	assert_memory_equal(q->id, id, sizeof(id));
	assert_int_equal(must_create("a", 2), ino);
	assert_int_equal(find("a"), ino);
	assert_int_equal(atomic_load(&q->questions), 1);
	create("b", 4, 4, &err);
	assert_int_equal(err, 0);
	create("a", 2, 1, &err);
	assert_int_equal(err, EALREADY);
	datafs_quorum_stop(q);
	create("c", 5, 4, &err);
	assert_int_equal(err, -ESHUTDOWN);
	assert_int_equal(find("c"), 0);
}

/* One is under way: all that come meanwhile are the next entry. */
#define THREADS	20

static void *create_one(void *arg)
{
	char name[20];

	snprintf(name, sizeof(name), "t%u", (unsigned int)(uintptr_t)arg);
	return (void *)(uintptr_t)must_create(name, 100 + (uintptr_t)arg);
}

static void test_packed(void **state)
{
	pthread_t t[THREADS];
	char name[20];
	void *ino;

	(void)state;
	assert_int_equal(open_session(), 0);
	atomic_store(&wait_for, 1 + THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, create_one, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(t[i], &ino), 0);
		snprintf(name, sizeof(name), "t%d", i);
		assert_int_equal(find(name), (uintptr_t)ino);
	}
	assert_int_equal(atomic_load(&q->changes), 1 + THREADS);
	/* The session, the first of them, and all others. */
	assert_int_equal(atomic_load(&q->entries), 3);
}

/* What is long does not make an entry without end. */
#define BIG	60000

static void *set_big(void *arg)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Setxattr x = METAD__SETXATTR__INIT;
	static uint8_t value[BIG];
	Metad__Result *res;

	x.has_ino = x.has_name = x.has_value = true;
	x.ino = ROOT;
	x.name = (ProtobufCBinaryData) { 6, (uint8_t *)"user.x" };
	x.value = (ProtobufCBinaryData) { sizeof(value), value };
	c.op_case = METAD__COMMAND__OP_SETXATTR;
	c.setxattr = &x;
	assert_int_equal(send(&c, 100 + (uintptr_t)arg, 1, &res), 0);
	assert_int_equal(res->error, 0);
	metad__result__free_unpacked(res, NULL);
	return NULL;
}

static void test_long(void **state)
{
	pthread_t t[THREADS];

	(void)state;
	assert_int_equal(open_session(), 0);
	atomic_store(&wait_for, 1 + THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, set_big, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	/* 17 of them are less than 1 MiB. */
	assert_int_equal(atomic_load(&q->entries), 4);
}

static void test_refused(void **state)
{
	static uint8_t value[256 << 10];
	ProtobufCMessageUnknownField field = {
		.tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = value,
	};
	Metad__Setxattr x = METAD__SETXATTR__INIT;
	Metad__Feature f = METAD__FEATURE__INIT;
	Metad__Noop noop = METAD__NOOP__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Result *res;

	(void)state;
	assert_int_equal(open_session(), 0);
	assert_int_equal(send(&c, 2, 1, &res), -EIO);
	c.op_case = METAD__COMMAND__OP_FEATURE;
	c.feature = &f;
	f.has_level = true;
	f.level = 1;
	assert_int_equal(send(&c, 2, 1, &res), -EIO);
	f.level = 99;
	assert_int_equal(send(&c, 2, 1, &res), -EIO);
	c.op_case = METAD__COMMAND__OP_NOOP;
	c.noop = &noop;
	assert_int_equal(datafs_quorum_change(q, &(Metad__Command) {
		.base = PROTOBUF_C_MESSAGE_INIT(&metad__command__descriptor),
		.op_case = METAD__COMMAND__OP_NOOP, .noop = &noop,
	}, &res), -EIO);
	noop.base.n_unknown_fields = 1;
	noop.base.unknown_fields = &field;
	assert_int_equal(send(&c, 2, 1, &res), -EIO);
	c.op_case = METAD__COMMAND__OP_SETXATTR;
	c.setxattr = &x;
	x.has_value = true;
	x.value = (ProtobufCBinaryData) { sizeof(value), value };
	assert_int_equal(send(&c, 2, 1, &res), -EIO);
	assert_int_equal(atomic_load(&q->changes), 1);
	must_create("a", 2);
}

/* Without its id it is not taken for another one, which would be empty. */
static void test_lost_id(void **state)
{
	char path[4300], text[64];
	struct datafs_quorum *other;

	(void)state;
	snprintf(path, sizeof(path), "%s/id", dir);
	assert_int_equal(datafs_quorum_open_local(dir, &other), -EIO);
	datafs_quorum_close(q);
	q = NULL;
	assert_true(datafs_read_small(path, text, sizeof(text)) > 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(datafs_quorum_open_local(dir, &q), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(datafs_write_small(path, "nonsense\n"), 0);
	assert_int_equal(datafs_quorum_open_local(dir, &q), -EINVAL);
	assert_int_equal(datafs_write_small(path, "00112233445566778899aabbccddeeff\n"), 0);
	assert_int_equal(datafs_quorum_open_local(dir, &q), -EINVAL);
	assert_int_equal(datafs_write_small(path, text), 0);
	assert_int_equal(datafs_quorum_open_local(dir, &q), 0);
}

/* ---- power ---- */

#define LIVES	10
#define WRITERS	4

static uint64_t seed;

struct writer {
	pthread_t thread;
	unsigned int who;
	uint64_t acked;		/* names "wN-1" to "wN-acked" were answered */
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	char name[40];
	int err;

	do {
		snprintf(name, sizeof(name), "w%u-%llu", w->who, (unsigned long long)w->acked + 1);
		create(name, 2 + (w->acked + 1) * WRITERS + w->who, 1, &err);
		assert_true(!err || err == -EIO);
		if (!err)
			w->acked++;
	} while (!err && w->acked < 900);
	return NULL;
}

/* All that was answered, the next perhaps, and what comes again is not made twice. */
static void check_writer(const struct writer *w)
{
	uint64_t ino, request;
	char name[40];

	for (uint64_t i = 1; i <= w->acked; i++) {
		snprintf(name, sizeof(name), "w%u-%llu", w->who, (unsigned long long)i);
		request = 2 + i * WRITERS + w->who;
		ino = find(name);
		assert_true(ino);
		if (i == w->acked)
			assert_int_equal(must_create(name, request), ino);
	}
	snprintf(name, sizeof(name), "w%u-%llu", w->who, (unsigned long long)w->acked + 2);
	assert_int_equal(find(name), 0);
}

static void test_power(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	struct writer w[WRITERS] = { { .who = 0 } };
	char root[4300];
	int err;

	(void)state;
	seed = env ? strtoull(env, NULL, 0) : (uint64_t)datafs_now();
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	datafs_quorum_close(q);
	q = NULL;
	snprintf(root, sizeof(root), "%s/disk", top);
	snprintf(dir, sizeof(dir), "%s/disk/namespace", top);
	assert_int_equal(mkdir(root, 0700), 0);
	disk = fault_env_new(root, seed);
	assert_non_null(disk);
	for (unsigned int i = 0; i < WRITERS; i++)
		w[i].who = i;
	assert_int_equal(datafs_quorum_open_local(dir, &q), 0);
	assert_int_equal(open_session(), 0);
	for (int life = 0; life < LIVES; life++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		fault_env_cut(disk, 1 + (unsigned int)(seed >> 33) % 100);
		for (unsigned int i = 0; i < WRITERS; i++)
			assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
		for (unsigned int i = 0; i < WRITERS; i++)
			assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		/* What has failed once says so from then on. */
		create("late", 1000000, 1, &err);
		assert_int_equal(err, -EIO);
		datafs_quorum_close(q);
		q = NULL;
		fault_env_restart(disk);
		assert_int_equal(datafs_quorum_open_local(dir, &q), 0);
		assert_int_equal(find("late"), 0);
		for (unsigned int i = 0; i < WRITERS; i++)
			check_writer(&w[i]);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_once), T(test_packed), T(test_long), T(test_refused), T(test_lost_id),
		T(test_power),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
