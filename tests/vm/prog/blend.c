// SPDX-License-Identifier: Apache-2.0
/*
 * blend [-w HOW] [-g GENERATIONS] [-e EACH] [-r READERS] [-s SEED] SRCDIR MNTDIR
 *
 * A writer changes SRCDIR/blend, generation after generation, and readers of
 * MNTDIR/blend check that what one read(2) gives is of one generation, and
 * never of an older one than the same reader saw before. At the end all see the
 * last one. HOW it changes:
 *   rename   another file takes the name; each 4 KiB block of it is full of the
 *            generation's number, and its size follows from the number
 *   append   it grows by some bytes, which follow from where they are
 * After every EACH generations the writer waits until a reader has seen the last
 * one; the others are in the middle of their reads then.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "prog.h"

#define BLOCK		4096u
#define BLOCKS_MAX	96u
#define ROOM		((BLOCKS_MAX + 1) * BLOCK)

/*
 * @write:	makes the next generation
 * @mark:	what a reader of that generation has seen: goes up with it
 * @check:	of @n bytes that one read gave: their mark; ends the program if
 *		they are of no generation
 */
struct how {
	const char *name;
	void (*write)(uint64_t gen);
	uint64_t (*mark)(uint64_t gen);
	uint64_t (*check)(const char *way, const unsigned char *buf, size_t n);
};

static const struct how *how;
static char src_path[4096], temp_path[4096], mnt_path[4096];
static uint64_t seed, generations = 200, each = 1;
static atomic_ulong written;		/* the last generation that is there */
static atomic_ulong seen;		/* the highest mark any reader had */
static atomic_ulong reads, seen_changes, stale;

static void write_file(const char *path, int flags, const void *buf, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);

	if (fd < 0 || write(fd, buf, n) != (ssize_t)n || close(fd))
		die("writing %s: %m", path);
}

/* ---------------------------------------------------------------- rename */

/* Most have several daemon pages (64 KiB); the tail is no whole block. */
static size_t size_of(uint64_t gen)
{
	uint64_t r = mix(seed ^ gen);

	return (1 + r % (BLOCKS_MAX - 1)) * BLOCK + (r >> 32) % BLOCK;
}

static void rename_write(uint64_t gen)
{
	static uint64_t buf[ROOM / 8];
	size_t i;

	for (i = 0; i < ROOM / 8; i++)
		buf[i] = gen;
	write_file(temp_path, O_TRUNC, buf, size_of(gen));
	if (rename(temp_path, src_path))
		die("renaming generation %llu: %m", (unsigned long long)gen);
}

static uint64_t rename_mark(uint64_t gen)
{
	return gen;
}

static uint64_t rename_check(const char *way, const unsigned char *buf, size_t n)
{
	uint64_t gen, v;
	size_t i;

	if (n < 8)
		die("%s: %zu bytes only (seed %llu)", way, n, (unsigned long long)seed);
	memcpy(&gen, buf, 8);
	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&v, buf + i, 8);
		if (v != gen)
			die("%s: a blend: generation %llu at 0, %llu at %zu (seed %llu)",
			    way, (unsigned long long)gen, (unsigned long long)v, i,
			    (unsigned long long)seed);
	}
	if (gen < 1 || gen > generations || n != size_of(gen))
		die("%s: generation %llu has %zu bytes, expected %zu (seed %llu)", way,
		    (unsigned long long)gen, n, size_of(gen), (unsigned long long)seed);
	return gen;
}

/* ---------------------------------------------------------------- append */

/* The size after @gen; the ends are no blocks' ends. */
static uint64_t append_mark(uint64_t gen)
{
	uint64_t i, size = 0, most = (ROOM - BLOCK) / generations;

	for (i = 1; i <= gen; i++)
		size += 1 + mix(seed ^ i) % most;
	return size;
}

static unsigned char append_byte(size_t at)
{
	return (unsigned char)(1 + mix(seed + at) % 255);
}

static void append_write(uint64_t gen)
{
	static unsigned char buf[ROOM];
	uint64_t from = append_mark(gen - 1), n = append_mark(gen) - from, i;

	for (i = 0; i < n; i++)
		buf[i] = append_byte(from + i);
	write_file(src_path, O_APPEND | (gen == 1 ? O_TRUNC : 0), buf, n);
}

/* A size in the middle of an append is one that the file had. */
static uint64_t append_check(const char *way, const unsigned char *buf, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (buf[i] != append_byte(i))
			die("%s: byte %zu of %zu is %02x, expected %02x (seed %llu)",
			    way, i, n, buf[i], append_byte(i),
			    (unsigned long long)seed);
	if (n > append_mark(generations))
		die("%s: %zu bytes are more than were ever written", way, n);
	return n;
}

static const struct how hows[] = {
	{ "rename", rename_write, rename_mark, rename_check },
	{ "append", append_write, append_mark, append_check },
};

/* ------------------------------------------------------ writer and readers */

static void *writer(void *arg)
{
	uint64_t gen;

	(void)arg;
	for (gen = 2; gen <= generations; gen++) {
		how->write(gen);
		atomic_store(&written, gen);
		while (!(gen % each) && atomic_load(&seen) < how->mark(gen))
			usleep(200);
	}
	return NULL;
}

static uint64_t check(const char *way, const unsigned char *buf, size_t n,
		      uint64_t last)
{
	uint64_t mark = how->check(way, buf, n);
	unsigned long most = atomic_load(&seen);

	if (mark < last)
		die("%s: %s %llu after %llu (seed %llu)", way,
		    how->name, (unsigned long long)mark, (unsigned long long)last,
		    (unsigned long long)seed);
	while (most < mark && !atomic_compare_exchange_weak(&seen, &most, mark))
		;
	if (mark != last)
		atomic_fetch_add(&seen_changes, 1);
	atomic_fetch_add(&reads, 1);
	return mark;
}

enum { BY_READ, BY_HELD, BY_DIRECT, BY_PREADV, WAYS };

static const char *const ways[] = { "read", "held fd", "O_DIRECT", "preadv" };

static void *reader(void *arg)
{
	unsigned int way = (unsigned int)(uintptr_t)arg % WAYS;
	uint64_t last = 0, rounds = 0, end = how->mark(generations);
	unsigned char *buf;
	bool final = false;
	int fd = -1;
	ssize_t n;

	if (posix_memalign((void **)&buf, BLOCK, ROOM))
		die("no memory");
	while (!final || last != end) {
		/* What is opened after the last one was written is the last one. */
		final = atomic_load(&written) == generations;
		if (final && fd >= 0) {
			close(fd);
			fd = -1;
		}
		if (fd < 0)
			fd = open(mnt_path, O_RDONLY | (way == BY_DIRECT ? O_DIRECT : 0));
		if (fd < 0 && errno == ESTALE) {
			/* It was replaced between lookup and open, twice. */
			atomic_fetch_add(&stale, 1);
			continue;
		}
		if (fd < 0)
			die("%s: open: %m", ways[way]);
		if (way == BY_PREADV) {
			struct iovec iov[3] = {
				{ buf, 3 * BLOCK + 5 },
				{ buf + 3 * BLOCK + 5, 7 },
				{ buf + 3 * BLOCK + 12, ROOM - 3 * BLOCK - 12 },
			};

			n = preadv(fd, iov, 3, 0);
		} else if (way == BY_HELD) {
			n = pread(fd, buf, ROOM, 0);
		} else {
			n = read(fd, buf, ROOM);
		}
		if (n < 0 && errno == ESTALE) {
			/* It was replaced, and its bytes are gone: so it may be. */
			atomic_fetch_add(&stale, 1);
			close(fd);
			fd = -1;
			continue;
		}
		if (n < 0)
			die("%s: %m (seed %llu)", ways[way], (unsigned long long)seed);
		last = check(ways[way], buf, (size_t)n, last);
		if (final && last != end)
			die("%s: %s %llu, though %llu is there (seed %llu)",
			    ways[way], how->name, (unsigned long long)last,
			    (unsigned long long)end, (unsigned long long)seed);
		if (way != BY_HELD || ++rounds % 8 == 0) {
			close(fd);
			fd = -1;
		}
	}
	free(buf);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int readers = 4, i;
	const char *given = NULL;
	pthread_t w, r[64];
	int c;

	how = &hows[0];
	while ((c = getopt(argc, argv, "w:g:e:r:s:")) != -1) {
		switch (c) {
		case 'w':
			for (how = hows; how < hows + sizeof(hows) / sizeof(*hows); how++)
				if (!strcmp(how->name, optarg))
					break;
			if (how == hows + sizeof(hows) / sizeof(*hows))
				die("no way to change: %s", optarg);
			break;
		case 'g':
			generations = strtoull(optarg, NULL, 0);
			break;
		case 'e':
			each = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			readers = (unsigned int)atoi(optarg);
			break;
		case 's':
			given = optarg;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2 || !generations || !each || !readers || readers > 64)
		die("usage: blend [-w HOW] [-g N] [-e N] [-r N] [-s SEED] SRCDIR MNTDIR");
	snprintf(src_path, sizeof(src_path), "%s/blend", argv[optind]);
	snprintf(temp_path, sizeof(temp_path), "%s/.blend.new", argv[optind]);
	snprintf(mnt_path, sizeof(mnt_path), "%s/blend", argv[optind + 1]);
	seed = parse_seed(given);
	/* Nobody reads before there is a first one. */
	how->write(1);
	atomic_store(&written, 1);
	if (pthread_create(&w, NULL, writer, NULL))
		die("pthread_create: %m");
	for (i = 0; i < readers; i++)
		if (pthread_create(&r[i], NULL, reader, (void *)(uintptr_t)i))
			die("pthread_create: %m");
	pthread_join(w, NULL);
	for (i = 0; i < readers; i++)
		pthread_join(r[i], NULL);
	printf("# %lu reads, %lu changes seen, %lu ESTALE\n", reads, seen_changes, stale);
	return 0;
}
