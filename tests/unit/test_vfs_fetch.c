// SPDX-License-Identifier: Apache-2.0
/* What files of a web server cost: requests and bytes, as the server counts them. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <pthread.h>
#include <unistd.h>

#include "vfs_range.h"

#define MOUNT 2

/* "f" of the server, through a mount with @options. */
static struct datafs_entry file;
/* What its state is told by, instead of an ETag. */
static const char *dated;

static void server_up(uint64_t size, const char *options)
{
	struct datafs_attr attr;
	char text[200];
	struct answer a;

	range_start(size);
	range_server.dated = dated;
	snprintf(text, sizeof(text), "sync_interval=never%s", options);
	assert_int_equal(mount_as(MOUNT, range_base, text, &attr), 0);
	a = up_flags(DATAFS_OP_LOOKUP, MOUNT, attr.ino, NULL, "f", 0);
	assert_int_equal(a.err, 0);
	memcpy(&file, a.out, sizeof(file));
	free(a.out);
	assert_int_equal(file.attr.size, size);
	assert_int_equal(range_server.gets, 0);
}

static void server_down(void)
{
	while (!datafs_pool_idle(pool))
		usleep(1000);
	umount_id(MOUNT);
	range_stop();
}

/* Asks for [off, off+len), checks the bytes that came; answers where they end. */
static uint64_t ask(uint64_t off, uint64_t len, int flags)
{
	static _Thread_local unsigned char buf[64 * KIB] __attribute__((aligned(4096)));
	struct datafs_extent_req want = { file.attr.content, off, len };
	struct answer a = up_flags(DATAFS_OP_EXTENT, MOUNT, file.attr.ino, &want, NULL, flags);
	const struct datafs_extent_rep *rep = (void *)a.out;
	const struct datafs_extent *e = (void *)(rep + 1);
	uint64_t end = off;

	assert_int_equal(a.err, 0);
	for (uint32_t i = 0; i < rep->count; i++, e++) {
		if (e->off > end || e->off + e->len <= end)
			continue;
		while (end < e->off + e->len) {
			uint64_t n = DATAFS_MIN(e->off + e->len - end, sizeof(buf));

			assert_int_equal(pread(slabs[e->backing_id], buf, n,
					       e->backing_off + end - e->off), n);
			for (uint64_t j = 0; j < n; j += 61)
				if (buf[j] != (end + j < file.attr.size ? range_byte(end + j) : 0))
					fail_msg("byte %lu is wrong", end + j);
			end += n;
		}
	}
	free(a.out);
	return end;
}

/* As the kernel does for who reads in order, from @from on. */
static void read_on(uint64_t from)
{
	uint64_t at = from, size = datafs_round_up(file.attr.size, 4096);

	while (at < size) {
		uint64_t end = ask(at, DATAFS_MIN(128 * KIB, size - at), 0);

		assert_true(end > at);
		at = end;
	}
}

static void wait_idle(void)
{
	while (!datafs_pool_idle(pool))
		usleep(1000);
}

static void read_once(uint64_t size, uint64_t part, const char *options)
{
	server_up(size, options);
	read_on(0);
	wait_idle();
	assert_int_equal(range_server.gets, (size + part - 1) / part);
	assert_int_equal(range_server.bytes, size);
	read_on(0);
	wait_idle();
	assert_int_equal(range_server.gets, (size + part - 1) / part);
	assert_int_equal(range_server.heads, 2);
	server_down();
}

static void test_sequential(void **state)
{
	(void)state;
	read_once(61 * MIB + 7, 8 * MIB, "");
	read_once(48 * MIB, 5 * MIB, ",part_size=5m");
	/* no number of pages: the next smaller one */
	read_once(33 * MIB, 5 * MIB, ",part_size=5243000");
	/* the most that the cache lends */
	read_once(40 * MIB, 16 * MIB, ",part_size=1g");
	read_once(40 * MIB, 8 * MIB, ",concurrency=1");
	read_once(3 * MIB, 8 * MIB, "");
	read_once(200 * KIB, 8 * MIB, "");
}

/* The server answers none of three before all are there. */
static void test_side_by_side(void **state)
{
	const uint64_t size = 64 * MIB;
	uint64_t at;

	(void)state;
	server_up(size, ",part_size=5m");
	/* The rest of it may come while the beginning is answered. */
	assert_true(ask(0, 128 * KIB, 0) >= MIB);
	wait_idle();
	assert_int_equal(ask(0, 128 * KIB, 0), 5 * MIB);
	assert_int_equal(range_server.gets, 1);
	/* Who goes on reads in order: two parts. */
	at = ask(5 * MIB, 128 * KIB, 0);
	wait_idle();
	assert_int_equal(range_server.gets, 3);
	range_server.most = 0;
	range_server.together = 3;
	read_on(at);
	wait_idle();
	/* three, as an eighth of the cache holds; and one that is waited for */
	assert_true(range_server.most >= 3 && range_server.most <= 4);
	assert_int_equal(range_server.gets, 13);
	assert_int_equal(range_server.bytes, size);
	/* Connections are used again. */
	assert_true(range_server.connections <= range_server.most + 1);
	server_down();
}

static pthread_barrier_t together;

static void *reader(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&together);
	read_on(0);
	return NULL;
}

static void test_eight_readers(void **state)
{
	/* A cache that holds it is what this is about. */
	const uint64_t size = 96 * MIB;
	pthread_t th[8];

	(void)state;
	server_up(size, "");
	pthread_barrier_init(&together, NULL, 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&th[i], NULL, reader, NULL), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	pthread_barrier_destroy(&together);
	wait_idle();
	assert_int_equal(range_server.bytes, size);
	server_down();
}

static void random_pages(const char *options, uint64_t page)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	bool touched[64 * MIB / 4096] = { false };
	unsigned int pages = 0;

	print_message("DATAFS_SEED=%u\n", seed);
	server_up(64 * MIB, options);
	for (int i = 0; i < 200; i++) {
		uint64_t off = rand_r(&seed) % (64 * MIB / 4096) * 4096;

		assert_true(ask(off, 4096, 0) >= off + 4096);
		pages += !touched[off / page];
		touched[off / page] = true;
		/* The kernel may guess; it gets nothing for it. */
		if (i % 3 == 0 && off + MIB < 64 * MIB)
			ask(off + 4096, 128 * KIB, DATAFS_REQ_PREFETCH);
	}
	wait_idle();
	assert_int_equal(range_server.gets, pages);
	assert_int_equal(range_server.bytes, pages * page);
	server_down();
}

static void test_random(void **state)
{
	(void)state;
	random_pages(",page_size=4k", 4 * KIB);
	random_pages("", 64 * KIB);
}

/* Trouble on the way: the rest is asked for, not all of it. */
static void test_trouble(void **state)
{
	(void)state;
	server_up(24 * MIB, "");
	range_server.break_nth = 2;
	read_on(0);
	wait_idle();
	assert_int_equal(range_server.gets, 3 + 1);
	assert_int_equal(range_server.bytes, 24 * MIB);
	server_down();
	server_up(24 * MIB, "");
	range_server.refuse_first = 2;
	read_on(0);
	wait_idle();
	assert_int_equal(range_server.gets, 3 + 2);
	assert_int_equal(range_server.bytes, 24 * MIB);
	server_down();
	/* Where no range can be asked for, all of it is. */
	server_up(6 * MIB, "");
	range_server.whole = true;
	range_server.break_nth = 1;
	read_on(0);
	wait_idle();
	assert_int_equal(range_server.gets, 2);
	assert_int_equal(range_server.bytes, 9 * MIB);
	server_down();
}

/* A date says afterwards only whether the bytes were right: a request for each chunk. */
static void test_dated(void **state)
{
	const uint64_t size = 18 * MIB;
	unsigned int heads;

	(void)state;
	dated = "Sun, 06 Nov 1994 08:49:37 GMT";
	server_up(size, ",part_size=8m");
	heads = range_server.heads;
	read_on(0);
	wait_idle();
	assert_int_equal(range_server.gets, 5);
	assert_int_equal(range_server.heads - heads, 5);
	assert_int_equal(range_server.bytes, size);
	server_down();
	dated = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VFS_TEST(test_sequential), VFS_TEST(test_side_by_side),
		VFS_TEST(test_eight_readers), VFS_TEST(test_random),
		VFS_TEST(test_trouble), VFS_TEST(test_dated),
	};

	return cmocka_run_group_tests_name("vfs_fetch", tests, NULL, NULL);
}
