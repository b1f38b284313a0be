// SPDX-License-Identifier: Apache-2.0
/*
 * Requests and replies over a double of /dev/datafs (a socket that keeps the
 * borders of messages), and the status socket.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "frontend/frontend.h"
#include "no_memory.h"
#include "tmpdir.h"
#include "vfs/vfs_internal.h"
#include "wire/keys.h"

static char top[2048], src[2100], cache_dir[2100], sock_path[2100], key_path[2100];
static struct datafs_loop *loop;
static struct datafs_pool *pool;
static struct datafs_vfs *v;
static struct datafs_frontend *f;
static struct datafs_socket *sock;
static pthread_t thread;
static int kernel;	/* our end of the device */
static int device;
static atomic_int changes;
static atomic_bool stopping;
static bool unanswered;	/* and so shall the rest be */

static int backing_add(void *arg, int fd, uint32_t id)
{
	(void)arg;
	(void)fd;
	(void)id;
	return 0;
}

static int send_revoke(void *arg, uint64_t cookie,
		       const struct datafs_range *ranges, uint32_t n)
{
	(void)arg;
	(void)cookie;
	(void)ranges;
	(void)n;
	return -EIO;
}

static void changed(void *arg)
{
	(void)arg;
	atomic_fetch_add(&changes, 1);
	datafs_loop_wake(loop);
}

static void on_wake(void *arg)
{
	(void)arg;
	if (atomic_load(&stopping))
		datafs_loop_stop(loop);
}

static void answer_stats(void *arg, const char *args, FILE *out)
{
	(void)args;
	datafs_vfs_stats(arg, out);
}

static void answer_status(void *arg, const char *args, FILE *out)
{
	(void)args;
	datafs_vfs_status(arg, out);
}

static atomic_int asked, told;
static atomic_bool go;

static void answer_tell(void *arg, const char *args, FILE *out)
{
	(void)arg;
	atomic_fetch_add(&asked, 1);
	while (!atomic_load(&go))
		usleep(1000);
	fprintf(out, "told %s\n", args);
}

static void was_told(void *arg)
{
	(void)arg;
	atomic_fetch_add(&told, 1);
}

static const struct datafs_socket_command commands[] = {
	{ .word = "stats", .answer = answer_stats },
	{ .word = "status", .answer = answer_status, .slow = true },
	{ .word = "tell", .answer = answer_tell, .sent = was_told },
	{ .word = NULL }
};

static void *run(void *arg)
{
	(void)arg;
	datafs_loop_run(loop);
	datafs_frontend_stop(f);
	datafs_socket_stop(sock);
	return NULL;
}

static int setup(void **state)
{
	const char *base = getenv("TMPDIR");
	struct datafs_vfs_config cfg = {
		.dir = cache_dir, .cache_size = 2 * DATAFS_SLAB_SIZE,
		.key_file = key_path, .backing_add = backing_add, .revoke = send_revoke,
	};
	int sv[2];

	(void)state;
	is_test = true;
	atomic_store(&no_memory, false);
	datafs_log_set_level(LOG_CRIT);
	snprintf(top, sizeof(top), "%s/datafs-fe.XXXXXX", base ? base : "/var/tmp");
	if (!mkdtemp(top))
		return -1;
	snprintf(src, sizeof(src), "%s/src", top);
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache", top);
	snprintf(sock_path, sizeof(sock_path), "%s/s.sock", top);
	snprintf(key_path, sizeof(key_path), "%s/key", top);
	if (mkdir(src, 0755) || mkdir(cache_dir, 0755) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv))
		return -1;
	kernel = sv[0];
	device = sv[1];
	atomic_store(&stopping, false);
	assert_int_equal(datafs_loop_new(&loop), 0);
	assert_int_equal(datafs_pool_new(8, &pool), 0);
	cfg.pool = pool;
	assert_int_equal(datafs_vfs_open(&cfg, &v), 0);
	assert_int_equal(datafs_vfs_start(v, DATAFS_FEATURE_LISTING), 0);
	assert_int_equal(datafs_frontend_new(device, loop, pool, v, changed,
					     NULL, &f), 0);
	assert_int_equal(datafs_socket_open(sock_path, loop, pool, commands, v,
					    &sock), 0);
	datafs_loop_on_wake(loop, on_wake, NULL);
	pthread_create(&thread, NULL, run, NULL);
	return 0;
}

static int teardown(void **state)
{
	int ret = 0;
	char byte;

	(void)state;
	atomic_store(&stopping, true);
	datafs_loop_wake(loop);
	pthread_join(thread, NULL);
	datafs_pool_free(pool);
	datafs_frontend_free(f);
	if (unanswered && recv(kernel, &byte, 1, MSG_DONTWAIT) >= 0)
		ret = -1;
	unanswered = false;
	datafs_socket_free(sock);
	datafs_vfs_close(v);
	datafs_loop_free(loop);
	close(kernel);
	close(device);
	return tmpdir_remove(top) ?: ret;
}

/* ---- messages ---- */

struct msg {
	char buf[16384] __attribute__((aligned(8)));
	uint32_t len;
};

/* Adds a request; @body is padded. */
static struct datafs_req *add(struct msg *m, int op, uint64_t id, uint64_t ino,
			      const void *body, uint32_t len)
{
	struct datafs_req *req = (void *)(m->buf + m->len);

	memset(req, 0, sizeof(*req) + datafs_round_up(len, 8));
	req->len = sizeof(*req) + datafs_round_up(len, 8);
	req->opcode = op;
	req->id = id;
	req->ino = ino;
	req->mount_id = 1;
	if (len)
		memcpy(req + 1, body, len);
	m->len += req->len;
	return req;
}

static struct datafs_req *add_name(struct msg *m, int op, uint64_t id,
				   uint64_t ino, const char *name, uint16_t len)
{
	struct datafs_req *req = add(m, op, id, ino, name, len);

	req->namelen = len;
	return req;
}

static void add_mount(struct msg *m, uint64_t id, const char *source)
{
	struct datafs_mount_req req = { .source_len = strlen(source) };
	char body[4096];

	memcpy(body, &req, sizeof(req));
	memcpy(body + sizeof(req), source, req.source_len);
	add(m, DATAFS_OP_MOUNT, id, 0, body, sizeof(req) + req.source_len);
}

static void put(struct msg *m)
{
	assert_int_equal(send(kernel, m->buf, m->len, 0), m->len);
	m->len = 0;
}

/* The next reply; its errno. */
static int get(struct msg *m, uint64_t *id)
{
	struct datafs_rep *rep = (void *)m->buf;
	ssize_t n = recv(kernel, m->buf, sizeof(m->buf), 0);

	assert_true(n >= (ssize_t)sizeof(*rep));
	assert_int_equal(rep->len, n);
	*id = rep->id;
	return rep->error;
}

static uint64_t mount_it(void)
{
	struct msg m = { .len = 0 };
	uint64_t id;

	add_mount(&m, 1000, src);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 1000);
	return ((struct datafs_mount_rep *)(m.buf + sizeof(struct datafs_rep)))->root.ino;
}

/* ---- tests ---- */

static void test_requests(void **state)
{
	struct msg m = { .len = 0 };
	bool ever, seen[20] = { 0 };
	uint64_t root, id;

	(void)state;
	assert_false(datafs_frontend_mounted(f, &ever));
	assert_false(ever);
	root = mount_it();
	assert_true(datafs_frontend_mounted(f, &ever));
	assert_true(ever);
	/* Many in one message, answered in any order. */
	for (id = 0; id < 20; id++)
		if (id % 2)
			add(&m, DATAFS_OP_GETATTR, id, root, NULL, 0);
		else
			add_name(&m, DATAFS_OP_LOOKUP, id, root, "nobody", 6);
	put(&m);
	for (int i = 0; i < 20; i++) {
		struct datafs_rep *rep = (void *)m.buf;

		assert_int_equal(get(&m, &id), 0);
		assert_true(id < 20 && !seen[id]);
		seen[id] = true;
		assert_int_equal(rep->len - sizeof(*rep), id % 2 ?
				 sizeof(struct datafs_attr) :
				 sizeof(struct datafs_entry));
	}
	m.len = 0;
	add(&m, DATAFS_OP_UMOUNT, 30, 0, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 30);
	for (int i = 0; i < 100 && datafs_frontend_mounted(f, &ever); i++)
		usleep(10000);
	assert_false(datafs_frontend_mounted(f, &ever));
	assert_true(atomic_load(&changes) >= 2);
}

/* A mount, its umount and the next: never out of order. */
static void test_mount_order(void **state)
{
	struct msg m = { .len = 0 };
	uint64_t id;
	bool ever;

	(void)state;
	for (int i = 0; i < 50; i++) {
		add_mount(&m, 2 * i, src);
		add(&m, DATAFS_OP_UMOUNT, 2 * i + 1, 0, NULL, 0);
		put(&m);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(get(&m, &id), 0);
			assert_int_equal(id, 2 * i + k);
		}
		m.len = 0;
	}
	usleep(10000);
	assert_false(datafs_frontend_mounted(f, &ever));
}

/* Those that have come are answered in the end, when the pool is gone already. */
static void test_mounts_at_the_end(void **state)
{
	struct msg m = { .len = 0 };

	(void)state;
	for (uint32_t i = 0; i < 60; i++) {
		uint32_t at = m.len;

		add_mount(&m, i, src);
		((struct datafs_req *)(m.buf + at))->mount_id = i + 1;
	}
	put(&m);
	while (!datafs_vfs_mounts(v))
		usleep(100);
}

/* Without memory for anything else. There is no second time for these two. */
static void test_no_memory(void **state)
{
	struct datafs_revoke_done done = { .cookie = 5 };
	struct msg m = { .len = 0 };
	uint64_t id, root;

	(void)state;
	/* Nothing was answered yet: there is no buffer to take. */
	atomic_store(&no_memory, true);
	add(&m, DATAFS_OP_REVOKE_DONE, 1, 0, &done, sizeof(done));
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 1);
	m.len = 0;
	add(&m, DATAFS_OP_UMOUNT, 2, 0, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	atomic_store(&no_memory, false);

	root = mount_it();
	assert_int_equal(datafs_vfs_mounts(v), 1);
	atomic_store(&no_memory, true);
	m.len = 0;
	add(&m, DATAFS_OP_GETATTR, 3, root, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), -ENOMEM);
	/* More than are kept for it. */
	m.len = 0;
	for (id = 10; id < 110; id++)
		add(&m, DATAFS_OP_UMOUNT, id, 0, NULL, 0);
	put(&m);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(get(&m, &id), 0);
		assert_int_equal(id, 10 + i);
	}
	atomic_store(&no_memory, false);
	assert_int_equal(datafs_vfs_mounts(v), 0);
}

/* Nobody listens at the discard port of this machine. */
#define NOBODY	"127.0.0.1:9:/"
#define WAITING	100

static void make_key(void)
{
	struct datafs_keys keys = { .holder = DATAFS_ROLE_CLIENT, .node = 7, .n = 1 };

	memset(keys.cluster, 0xc1, sizeof(keys.cluster));
	keys.key[0].id = 1;
	memset(keys.key[0].key, 0x41, sizeof(keys.key[0].key));
	assert_int_equal(datafs_keys_store(&keys, key_path, false), 0);
}

/* However many wait for other machines, nobody else does. */
static void test_elsewhere(void **state)
{
	static const uint8_t incarnation[16] = { 7 };
	struct msg m = { .len = 0 };
	uint64_t root, id;

	(void)state;
	make_key();
	v->mount_ms = 60000;
	assert_int_equal(datafs_vfs_adopt_mount(v, 2, incarnation, NOBODY, ""), 0);
	for (id = 1; id <= WAITING; id++)
		add(&m, DATAFS_OP_GETATTR, id, 1, NULL, 0)->mount_id = 2;
	put(&m);
	add_mount(&m, 500, NOBODY);
	((struct datafs_req *)m.buf)->mount_id = 3;
	put(&m);
	root = mount_it();
	m.len = 0;
	add(&m, DATAFS_OP_GETATTR, 600, root, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 600);
	m.len = 0;
	add(&m, DATAFS_OP_UMOUNT, 601, 0, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 601);
	/* The daemon ends: the next one is asked again. */
	unanswered = true;
}

/* In order there, too: a MOUNT that is given up, and what ends it. */
static void test_elsewhere_order(void **state)
{
	struct msg m = { .len = 0 };
	uint64_t id;
	bool ever;

	(void)state;
	make_key();
	v->mount_ms = 300;
	add_mount(&m, 1, NOBODY);
	add(&m, DATAFS_OP_UMOUNT, 2, 0, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), -EHOSTUNREACH);
	assert_int_equal(id, 1);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 2);
	for (int i = 0; i < 100 && datafs_frontend_mounted(f, &ever); i++)
		usleep(10000);
	assert_false(datafs_frontend_mounted(f, &ever));
}

static void test_malformed(void **state)
{
	static const struct {
		int op;
		uint32_t len;
		uint16_t namelen;
		const char *body;
		int error;
	} cases[] = {
		{ 0, 0, 0, NULL, -ENOSYS },
		{ DATAFS_OP_NR, 0, 0, NULL, -ENOSYS },
		{ 65535, 8, 0, "12345678", -ENOSYS },
		{ DATAFS_OP_LOOKUP, 0, 0, NULL, -EIO },
		{ DATAFS_OP_LOOKUP, 8, 9, "12345678", -EIO },
		{ DATAFS_OP_LOOKUP, 16, 3, "abc\0\0\0\0\0\0\0\0\0\0\0\0", -EIO },
		{ DATAFS_OP_LOOKUP, 8, 3, "a/b\0\0\0\0", -EIO },
		{ DATAFS_OP_LOOKUP, 8, 3, "a\0b\0\0\0\0", -EIO },
		{ DATAFS_OP_LOOKUP, 8, 1, ".\0\0\0\0\0\0", -EIO },
		{ DATAFS_OP_LOOKUP, 8, 2, "..\0\0\0\0\0", -EIO },
		{ DATAFS_OP_LOOKUP, 8, 65535, "12345678", -EIO },
		{ DATAFS_OP_GETATTR, 8, 0, "12345678", -EIO },
		{ DATAFS_OP_GETATTR, 0, 5, NULL, -EIO },
		{ DATAFS_OP_READDIR, 8, 0, "12345678", -EIO },
		{ DATAFS_OP_EXTENT, 16, 0, "1234567812345678", -EIO },
		{ DATAFS_OP_BAD_EXTENT, 0, 0, NULL, -EIO },
		{ DATAFS_OP_REVOKE_DONE, 0, 0, NULL, -EIO },
		{ DATAFS_OP_MOUNT, 8, 0, "12345678", -EIO },
	};
	struct datafs_mount_req mreq = { .source_len = 5000 };
	struct msg m = { .len = 0 };
	uint64_t root = mount_it(), id;
	struct datafs_req *req;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m.len = 0;
		req = add(&m, cases[i].op, i, root, cases[i].body, cases[i].len);
		req->namelen = cases[i].namelen;
		put(&m);
		assert_int_equal(get(&m, &id), cases[i].error);
		assert_int_equal(id, i);
	}
	m.len = 0;
	add(&m, DATAFS_OP_MOUNT, 50, 0, &mreq, sizeof(mreq));
	put(&m);
	assert_int_equal(get(&m, &id), -EIO);
	/* Broken framing is dropped; what comes later is served. */
	m.len = 0;
	add(&m, DATAFS_OP_GETATTR, 51, root, NULL, 0)->len = 7;
	put(&m);
	add(&m, DATAFS_OP_GETATTR, 52, root, NULL, 0)->len = 4096;
	put(&m);
	m.len = 12;
	put(&m);
	add(&m, DATAFS_OP_GETATTR, 53, root, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
	assert_int_equal(id, 53);
	/* An inode nobody was told of. */
	m.len = 0;
	add(&m, DATAFS_OP_GETATTR, 54, 1ull << 62, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), -ESTALE);
}

static void test_garbage(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	uint64_t root = mount_it(), id, n;
	struct msg m = { .len = 0 };

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	for (int i = 0; i < 2000; i++) {
		struct datafs_req *req;
		char body[256];

		n = rand_r(&seed) % sizeof(body);
		for (uint64_t k = 0; k < n; k++)
			body[k] = rand_r(&seed) % 4 ? 0 : rand_r(&seed);
		m.len = 0;
		/* Not UMOUNT: then all the rest would be refused. */
		req = add(&m, 3 + rand_r(&seed) % 12, i, rand_r(&seed) % 2 ? root :
			  root + rand_r(&seed) % 9, body, n);
		if (rand_r(&seed) % 2)
			req->namelen = n;
		req->flags = rand_r(&seed) % 4;
		put(&m);
		get(&m, &id);
		assert_int_equal(id, i);
	}
	m.len = 0;
	add(&m, DATAFS_OP_GETATTR, 9999, root, NULL, 0);
	put(&m);
	assert_int_equal(get(&m, &id), 0);
}

static int say_to_socket(const char *line)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sa.sun_path, sock_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	return fd;
}

static void ask_socket(const char *line, char *text, size_t room)
{
	int fd = say_to_socket(line);
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, text + have, room - 1 - have)) > 0)
		have += n;
	text[have] = 0;
	close(fd);
}

static void test_socket(void **state)
{
	char text[8192];

	(void)state;
	mount_it();
	ask_socket("stats\n", text, sizeof(text));
	assert_non_null(strstr(text, "upcalls_mount 1\n"));
	assert_non_null(strstr(text, "\nunder_bytes 0\n"));
	assert_non_null(strstr(text, "\nunder_requests_stat 1\n"));
	assert_non_null(strstr(text, "\ncache_evicted_slots 0\n"));
	assert_non_null(strstr(text, "\nmounts 1\n"));
	ask_socket("status\n", text, sizeof(text));
	assert_non_null(strstr(text, "mount 1 /"));
	assert_non_null(strstr(text, "/src -\n"));
	ask_socket("rubbish\n", text, sizeof(text));
	assert_string_equal(text, "error unknown request\n");
	ask_socket("tel 1\n", text, sizeof(text));
	assert_string_equal(text, "error unknown request\n");

	/* Nothing is begun for one that has gone before it heard of it. */
	close(say_to_socket("tell\n"));
	while (!atomic_load(&asked))
		usleep(1000);
	atomic_store(&go, true);
	while (!datafs_pool_idle(pool))
		usleep(1000);
	assert_int_equal(atomic_load(&told), 0);
	ask_socket("tell 1 2\n", text, sizeof(text));
	assert_string_equal(text, "told 1 2\n");
	while (!datafs_pool_idle(pool))
		usleep(1000);
	assert_int_equal(atomic_load(&told), 1);
}

static void sysfs_put(const char *mount, const char *attr, const char *text)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", src, mount);
	assert_int_equal(datafs_mkdirs(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/%s", src, mount, attr);
	assert_int_equal(datafs_write_small(path, text), 0);
}

/* Is another daemon's having the name a reason to give up? */
static void test_missed(void **state)
{
	(void)state;
	assert_false(datafs_life_missed("/nowhere", "a"));
	assert_false(datafs_life_missed(src, "a"));
	sysfs_put("features", "takeover", "1\n");
	sysfs_put("1", "instance", "a\n");
	sysfs_put("1", "state", "LIVE\n");
	sysfs_put("2", "instance", "ab\n");
	sysfs_put("2", "state", "GRACE\n");
	assert_false(datafs_life_missed(src, "a"));
	assert_true(datafs_life_missed(src, "ab"));
	sysfs_put("3", "instance", "a\n");
	sysfs_put("3", "state", "ABORTED\n");
	assert_true(datafs_life_missed(src, "a"));
}

static void test_lost(void **state)
{
	(void)state;
	/* The device's other end goes: the loop stops and says so. */
	shutdown(kernel, SHUT_RDWR);
	for (int i = 0; i < 500 && !datafs_frontend_lost(f); i++)
		usleep(10000);
	assert_true(datafs_frontend_lost(f));
}

/*
 * In the end nobody is told that there was no room, nor kept waiting for it: the
 * next daemon is asked again.
 */
static void test_full(void **state)
{
	enum { SLOTS = 2 * DATAFS_SLAB_SIZE / DATAFS_SLOT_SIZE, FILES = SLOTS + 12 };
	struct datafs_extent_req want = { .len = DATAFS_SLOT_SIZE };
	uint64_t root = mount_it(), id, ino[FILES], content[FILES];
	struct msg m = { .len = 0 };
	char path[2200];
	FILE *file;

	(void)state;
	for (int i = 0; i < FILES; i++) {
		struct datafs_entry *e = (void *)(m.buf + sizeof(struct datafs_rep));

		id = snprintf(path, sizeof(path), "%s/f%02d", src, i);
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(ftruncate(fileno(file), DATAFS_SLOT_SIZE), 0);
		fclose(file);
		m.len = 0;
		add_name(&m, DATAFS_OP_LOOKUP, i, root, path + id - 3, 3);
		put(&m);
		assert_int_equal(get(&m, &id), 0);
		ino[i] = e->attr.ino;
		content[i] = e->attr.content;
	}
	m.len = 0;
	for (int i = 0; i < FILES; i++) {
		want.content = content[i];
		add(&m, DATAFS_OP_EXTENT, i, ino[i], &want, sizeof(want));
	}
	put(&m);
	/* No revocation succeeds. */
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(get(&m, &id), 0);
	m.len = 0;
	/* All workers wait: it is never begun. */
	add(&m, DATAFS_OP_GETATTR, FILES, root, NULL, 0);
	put(&m);
	unanswered = true;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_requests), T(test_mount_order), T(test_no_memory),
		T(test_elsewhere), T(test_elsewhere_order), T(test_mounts_at_the_end),
		T(test_malformed), T(test_garbage), T(test_socket),
		T(test_full), T(test_missed), T(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
