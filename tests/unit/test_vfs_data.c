// SPDX-License-Identifier: Apache-2.0
/* The bytes of files, while they change too. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/crc32c.h"

/* Copies what an answer covers of [off, off+len); checks it all. 1st gap. */
static uint64_t take(const struct answer *a, uint64_t off, uint64_t len, char *buf)
{
	static _Thread_local char page[4096] __attribute__((aligned(4096)));
	const struct datafs_extent_rep *rep = (void *)a->out;
	const struct datafs_extent *e = (void *)(rep + 1);
	const uint32_t *crc = (void *)(e + rep->count);
	uint64_t end = off + len, at = off, prev = 0;

	assert_true(rep->count <= DATAFS_EXTENTS_MAX);
	assert_int_equal(a->len, sizeof(*rep) + rep->count * sizeof(*e) + rep->crcs * 4);
	for (uint32_t i = 0; i < rep->count; i++, e++) {
		assert_true(e->off >= prev && e->len && e->len % 4096 == 0);
		assert_true(e->backing_id && e->backing_id < SLABS_MAX);
		prev = e->off + e->len;
		for (uint64_t o = e->off; o < prev; o += 4096, crc++) {
			ssize_t n;

			if (o < off || o >= end)
				continue;
			n = pread(slabs[e->backing_id], page, 4096,
				  e->backing_off + o - e->off);
			assert_int_equal(n, 4096);
			assert_int_equal(datafs_crc32c(page, 4096), *crc);
			memcpy(buf + (o - off), page, 4096);
			if (o == at)
				at = o + 4096;
		}
	}
	return at;
}

static int ask(uint64_t ino, uint64_t content, uint64_t off, uint64_t len,
	       struct answer *a)
{
	struct datafs_extent_req want = { content, off, len };

	*a = up(DATAFS_OP_EXTENT, ino, &want, NULL);
	return a->err;
}

/* As the kernel reads: asks for what it has not, learns of new contents. */
static int read_file(uint64_t ino, char **data, uint64_t *size)
{
	struct datafs_attr attr;
	struct answer a;
	int err, tries = 0;

again:
	err = getattr(ino, &attr);
	if (err)
		return err;
	*size = attr.size;
	*data = malloc(datafs_round_up(attr.size, 4096) + 4096);
	for (uint64_t at = 0; at < attr.size;) {
		uint64_t len = DATAFS_MIN(datafs_round_up(attr.size, 4096) - at, 64 * KIB);

		err = ask(ino, attr.content, at, len, &a);
		if (!err) {
			len = take(&a, at, len, *data + at) - at;
			at += len;
		}
		free(a.out);
		if (!err)
			continue;
		free(*data);
		if (err == -ESTALE && tries++ < 8)
			goto again;
		return err;
	}
	for (uint64_t i = attr.size; i < datafs_round_up(attr.size, 4096); i++)
		assert_int_equal((*data)[i], 0);
	return 0;
}

static void check_file(uint64_t ino, uint64_t size, unsigned int seed)
{
	uint64_t have;
	char *data;

	assert_int_equal(read_file(ino, &data, &have), 0);
	assert_int_equal(have, size);
	for (uint64_t i = 0; i < size; i++)
		if ((data[i] & 0xff) != byte_at(i, seed))
			fail_msg("byte %lu is wrong", i);
	free(data);
}

/* ---- tests ---- */

static void test_data(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000,
					  262145, 5 * MIB + 3, 9 * MIB };
	struct datafs_entry e[9];
	uint64_t bytes;
	char name[16];

	(void)state;
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		put_file(name, sizes[i], i);
	}
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(lookup(root, name, &e[i]), 0);
		check_file(e[i].attr.ino, sizes[i], i);
	}
	while (!datafs_pool_idle(pool))
		usleep(1000);
	bytes = stat_value("under_bytes");
	for (int i = 0; i < 9; i++)
		check_file(e[i].attr.ino, sizes[i], i);
	assert_int_equal(stat_value("under_bytes"), bytes);
	/* ... and after a restart. */
	stop();
	start("sync_interval=always");
	for (int i = 0; i < 9; i++)
		check_file(e[i].attr.ino, sizes[i], i);
	assert_int_equal(stat_value("under_bytes"), 0);
}

static void test_changes(void **state)
{
	struct datafs_entry e, e2;
	struct datafs_attr attr;
	struct answer a;

	(void)state;
	put_file("f", 100000, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	check_file(e.attr.ino, 100000, 1);
	/* Written over, with the same size, at once. */
	put_file("f", 100000, 2);
	check_file(e.attr.ino, 100000, 2);
	put_file("f", 100000, 3);
	check_file(e.attr.ino, 100000, 3);
	put_file("f", 200000, 4);
	check_file(e.attr.ino, 200000, 4);
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_not_equal(attr.content, e.attr.content);
	/* An old generation: what is cached of it serves, the rest does not. */
	put_file("f", 300000, 5);
	assert_int_equal(getattr(e.attr.ino, &e2.attr), 0);
	assert_int_equal(ask(e.attr.ino, attr.content, 0, 196608 + 4096, &a), 0);
	assert_true(((struct datafs_extent_rep *)a.out)->content == attr.content);
	free(a.out);
	assert_int_equal(ask(e.attr.ino, attr.content, 0, 4 * MIB, &a), -ESTALE);
	free(a.out);
	assert_int_equal(ask(e.attr.ino, 123456789, 0, 4096, &a), -ESTALE);
	free(a.out);
	/* Changed since the attributes were told: ESTALE, then the new one. */
	assert_int_equal(lookup(root, "f", &e), 0);
	usleep(60000);
	assert_int_equal(lookup(root, "f", &e), 0);
	put_file("f", 400000, 6);
	assert_int_equal(ask(e.attr.ino, e.attr.content, 0, 4096, &a), -ESTALE);
	free(a.out);
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_equal(attr.size, 400000);
	/* Replaced: the inode is gone. */
	put_file("g", 1000, 7);
	assert_int_equal(rename(in_src("g"), in_src("f")), 0);
	assert_int_equal(getattr(e.attr.ino, &attr), -ESTALE);
	assert_int_equal(lookup(root, "f", &e2), 0);
	check_file(e2.attr.ino, 1000, 7);
	/* Requests that make no sense. */
	assert_int_equal(ask(e2.attr.ino, e2.attr.content, 1, 4096, &a), -EIO);
	free(a.out);
	assert_int_equal(ask(e2.attr.ino, e2.attr.content, 0, 0, &a), -EIO);
	free(a.out);
	assert_int_equal(ask(e2.attr.ino, e2.attr.content, ~0ull << 12, 8192, &a), -EIO);
	free(a.out);
	assert_int_equal(ask(root, 1, 0, 4096, &a), -ESTALE);
	free(a.out);
}

/* A reader who has not heard of the change asks for pieces of what it knows. */
static void test_pieces_of_old(void **state)
{
	static const struct {
		uint64_t off, len;
		int err;
	} pieces[] = {
		{ 0, 128 * KIB, 0 }, { 64 * KIB, 4096, 0 },
		{ 3 * MIB, 2 * MIB, 0 }, { 4 * MIB, MIB, 0 },
		{ 5 * MIB, 4096, 0 },
		{ 5 * MIB, 8192, -ESTALE }, { 5 * MIB + 4096, 4096, -ESTALE },
		{ 8 * MIB, 4096, -ESTALE },
	};
	char *buf = malloc(2 * MIB);
	struct datafs_entry e;
	struct datafs_attr attr;
	struct answer a;

	(void)state;
	put_file("f", 5 * MIB + 3, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	check_file(e.attr.ino, 5 * MIB + 3, 1);
	assert_int_equal(getattr(e.attr.ino, &e.attr), 0);
	put_file("f", 100, 2);
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_not_equal(attr.content, e.attr.content);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		uint64_t off = pieces[i].off, end = off + pieces[i].len;

		assert_int_equal(ask(e.attr.ino, e.attr.content, off,
				     pieces[i].len, &a), pieces[i].err);
		if (!a.err)
			assert_int_equal(take(&a, off, end - off, buf), end);
		for (uint64_t at = off; !a.err && at < end; at++)
			assert_int_equal(buf[at - off] & 0xff,
					 at < 5 * MIB + 3 ? byte_at(at, 1) : 0);
		free(a.out);
	}
	free(buf);
	check_file(e.attr.ino, 100, 2);
}

/* A whole cold file: few upcalls. A random reader: no byte too many. */
static void test_amounts(void **state)
{
	struct datafs_entry e;
	uint64_t ups, bytes;
	struct answer a;
	char buf[4096];
	unsigned int seed = 3;

	(void)state;
	put_file("seq", 64 * MIB, 1);
	put_file("rnd", 32 * MIB, 2);
	usleep(60000);
	ups = stat_value("upcalls_extent");
	assert_int_equal(lookup(root, "seq", &e), 0);
	check_file(e.attr.ino, 64 * MIB, 1);
	/* One reads and asks here for 64 KiB at a time, most are answered. */
	assert_true(stat_value("upcalls_extent") - ups <= 1024);
	while (!datafs_pool_idle(pool))
		usleep(1000);
	assert_int_equal(stat_value("under_bytes"), 64 * MIB);

	bytes = stat_value("under_bytes");
	assert_int_equal(lookup(root, "rnd", &e), 0);
	for (int i = 0; i < 100; i++) {
		uint64_t off = rand_r(&seed) % (32 * MIB / 4096) * 4096;

		assert_int_equal(ask(e.attr.ino, e.attr.content, off, 4096, &a), 0);
		assert_int_equal(take(&a, off, 4096, buf), off + 4096);
		free(a.out);
	}
	assert_true(stat_value("under_bytes") - bytes <= 100 * 64 * KIB);
}

static void test_bad_extent(void **state)
{
	struct datafs_bad_extent_req bad = { .want.len = 4096 };
	char junk[4096] __attribute__((aligned(4096))), buf[4096];
	const struct datafs_extent *x;
	struct datafs_entry e;
	struct answer a;

	(void)state;
	put_file("f", 50000, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	check_file(e.attr.ino, 50000, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(ask(e.attr.ino, e.attr.content, 8192, 4096, &a), 0);
	x = (void *)(a.out + sizeof(struct datafs_extent_rep));
	while (x->off + x->len <= 8192)
		x++;
	memset(junk, 0xee, sizeof(junk));
	bad.want.content = e.attr.content;
	bad.want.off = 8192;
	bad.backing_id = x->backing_id;
	bad.backing_off = x->backing_off + 8192 - x->off;
	assert_int_equal(pwrite(slabs[x->backing_id], junk, 4096, bad.backing_off), 4096);
	free(a.out);
	a = up(DATAFS_OP_BAD_EXTENT, e.attr.ino, &bad, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(take(&a, 8192, 4096, buf), 8192 + 4096);
	free(a.out);
	check_file(e.attr.ino, 50000, 1);
	assert_int_equal(stat_value("cache_bad_granules"), 1);
}

static void test_prefetch(void **state)
{
	struct datafs_extent_req want = { .off = MIB, .len = 128 * KIB };
	struct datafs_entry e;
	struct answer a;

	(void)state;
	put_file("f", 20 * MIB, 1);
	usleep(60000);
	assert_int_equal(lookup(root, "f", &e), 0);
	want.content = e.attr.content;
	/* Of nobody who reads in order: nothing. */
	a = up_flags(DATAFS_OP_EXTENT, 1, e.attr.ino, &want, NULL, DATAFS_REQ_PREFETCH);
	assert_int_equal(a.err, 0);
	assert_int_equal(((struct datafs_extent_rep *)a.out)->count, 0);
	assert_int_equal(stat_value("under_bytes"), 0);
	free(a.out);
	/* Behind a reader from the beginning: a window. */
	assert_int_equal(ask(e.attr.ino, e.attr.content, 0, 4096, &a), 0);
	free(a.out);
	want.off = 64 * KIB;
	a = up_flags(DATAFS_OP_EXTENT, 1, e.attr.ino, &want, NULL, DATAFS_REQ_PREFETCH);
	assert_int_equal(a.err, 0);
	assert_true(((struct datafs_extent_rep *)a.out)->crcs >= 1000);
	free(a.out);
}

static void test_sync_interval(void **state)
{
	struct datafs_entry e;
	uint64_t stats;

	(void)state;
	stop();
	start("sync_interval=1");
	put_file("f", 10, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_true(e.valid_ms > 0 && e.valid_ms <= 1000);
	stats = stat_value("under_requests_stat");
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(stat_value("under_requests_stat"), stats);
	put_file("f", 20, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 10);
	usleep(1010000);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 20);
	stop();
	start("sync_interval=never");
	put_file("f", 30, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 20);
	assert_int_equal(e.attr.valid_ms, DATAFS_FOREVER);
	/* ... but bytes that are not there are never made up. */
	check_file(e.attr.ino, 30, 1);
}

/* ---- readers against a writer ---- */

static atomic_bool done;
static atomic_int reads;

static void *reader(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!atomic_load(&done)) {
		struct datafs_entry e;
		char name[16], *data;
		uint64_t size;
		int err;

		snprintf(name, sizeof(name), "r%d", rand_r(&seed) % 8);
		err = lookup(root, name, &e);
		assert_true(!err || err == -ESTALE);
		if (err || !e.attr.ino)
			continue;
		err = read_file(e.attr.ino, &data, &size);
		if (err) {
			assert_int_equal(err, -ESTALE);
			continue;
		}
		/* All of one version: each byte is the version's number. */
		for (uint64_t i = 1; i < size; i++)
			if (data[i] != data[0])
				fail_msg("a blend of %d and %d", data[0], data[i]);
		free(data);
		atomic_fetch_add(&reads, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	char name[16], tmp[8300], *buf = malloc(MIB);
	int64_t end = datafs_now() + 3 * DATAFS_SEC;
	pthread_t th[8];

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	stop();
	start("sync_interval=0.02");
	atomic_store(&done, false);
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&th[i], NULL, reader, (void *)(seed + i));
	/* So long, and on a busy machine until enough was read. */
	while (datafs_now() < end || (atomic_load(&reads) <= 20 &&
				      datafs_now() < end + 60 * DATAFS_SEC)) {
		uint64_t size = 1 + rand_r(&seed) % (rand_r(&seed) % 3 ? 20000 : 700000);
		int fd;

		/* Versions come by rename, as whoever wants no blends does it. */
		memset(buf, rand_r(&seed) % 100, size);
		snprintf(tmp, sizeof(tmp), "%s/tmp", top);
		fd = open(tmp, O_CREAT | O_WRONLY | O_TRUNC, 0644);
		assert_int_equal(write(fd, buf, size), size);
		close(fd);
		snprintf(name, sizeof(name), "r%d", rand_r(&seed) % 8);
		if (rand_r(&seed) % 10)
			assert_int_equal(rename(tmp, in_src(name)), 0);
		else
			unlink(in_src(name));
		usleep(rand_r(&seed) % 20000);
	}
	atomic_store(&done, true);
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	assert_true(atomic_load(&reads) > 20);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VFS_TEST(test_data),
		VFS_TEST(test_changes),
		VFS_TEST(test_pieces_of_old),
		VFS_TEST(test_amounts),
		VFS_TEST(test_bad_extent),
		VFS_TEST(test_prefetch),
		VFS_TEST(test_sync_interval),
		VFS_TEST(test_threads),
	};

	return cmocka_run_group_tests_name("vfs_data", tests, NULL, NULL);
}
