// SPDX-License-Identifier: Apache-2.0
/*
 * blend [-g GENERATIONS] [-r READERS] [-s SEED] [-p USEC] SRCDIR MNTDIR
 *
 * A writer replaces SRCDIR/blend by rename, generation after generation; each
 * 4 KiB block of a generation is full of its number, and its size follows from
 * the number. Readers of MNTDIR/blend check that what one read(2) gives is one
 * generation, of its full size, and never an older one than the same reader
 * saw before. At the end all see the last one. -p: pause between generations.
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

static const char *src_dir, *mnt_dir;
static uint64_t seed, generations = 200;
static unsigned int pause_us;
static atomic_ulong written;
static atomic_ulong reads, seen_changes, stale;

/* Most have several daemon pages (64 KiB); the tail is no whole block. */
static size_t size_of(uint64_t gen)
{
	uint64_t r = mix(seed ^ gen);

	return (1 + r % (BLOCKS_MAX - 1)) * BLOCK + (r >> 32) % BLOCK;
}

/* @all: every generation; otherwise the first only. */
static void *writer(void *all)
{
	static uint64_t buf[ROOM / 8];
	char path[4096], temp[4096];
	uint64_t gen;
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/blend", src_dir);
	snprintf(temp, sizeof(temp), "%s/.blend.new", src_dir);
	for (gen = 1; gen <= generations; gen++) {
		for (i = 0; i < ROOM / 8; i++)
			buf[i] = gen;
		fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0 || write(fd, buf, size_of(gen)) != (ssize_t)size_of(gen) ||
		    close(fd) || rename(temp, path))
			die("writing generation %llu: %m", (unsigned long long)gen);
		atomic_store(&written, gen);
		if (!all)
			return NULL;
		if (pause_us)
			usleep(pause_us);
	}
	return NULL;
}

/* Of one generation, whole? Returns which. */
static uint64_t check(const char *how, const unsigned char *buf, size_t n,
		      uint64_t last)
{
	uint64_t gen, v;
	size_t i;

	if (n < 8)
		die("%s: %zu bytes only (seed %llu)", how, n, (unsigned long long)seed);
	memcpy(&gen, buf, 8);
	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&v, buf + i, 8);
		if (v != gen)
			die("%s: a blend: generation %llu at 0, %llu at %zu (seed %llu)",
			    how, (unsigned long long)gen, (unsigned long long)v, i,
			    (unsigned long long)seed);
	}
	if (gen < 1 || gen > generations || n != size_of(gen))
		die("%s: generation %llu has %zu bytes, expected %zu (seed %llu)", how,
		    (unsigned long long)gen, n, size_of(gen), (unsigned long long)seed);
	if (gen < last)
		die("%s: generation %llu after %llu (seed %llu)", how,
		    (unsigned long long)gen, (unsigned long long)last,
		    (unsigned long long)seed);
	if (gen != last)
		atomic_fetch_add(&seen_changes, 1);
	atomic_fetch_add(&reads, 1);
	return gen;
}

enum { BY_READ, BY_HELD, BY_DIRECT, BY_PREADV, WAYS };

static const char *const ways[] = { "read", "held fd", "O_DIRECT", "preadv" };

static void *reader(void *arg)
{
	unsigned int way = (unsigned int)(uintptr_t)arg % WAYS;
	uint64_t last = 0, rounds = 0;
	unsigned char *buf;
	char path[4096];
	bool final = false;
	int fd = -1;
	ssize_t n;

	if (posix_memalign((void **)&buf, BLOCK, ROOM))
		die("no memory");
	snprintf(path, sizeof(path), "%s/blend", mnt_dir);
	while (!final || last != generations) {
		/* What is opened after the last one was written is the last one. */
		final = atomic_load(&written) == generations;
		if (final && fd >= 0) {
			close(fd);
			fd = -1;
		}
		if (fd < 0)
			fd = open(path, O_RDONLY | (way == BY_DIRECT ? O_DIRECT : 0));
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
		if (final && last != generations)
			die("%s: generation %llu, though %llu is there (seed %llu)",
			    ways[way], (unsigned long long)last,
			    (unsigned long long)generations, (unsigned long long)seed);
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

	while ((c = getopt(argc, argv, "g:r:s:p:")) != -1) {
		switch (c) {
		case 'g':
			generations = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			readers = (unsigned int)atoi(optarg);
			break;
		case 's':
			given = optarg;
			break;
		case 'p':
			pause_us = (unsigned int)atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2 || !generations || !readers || readers > 64)
		die("usage: blend [-g N] [-r N] [-s SEED] [-p USEC] SRCDIR MNTDIR");
	src_dir = argv[optind];
	mnt_dir = argv[optind + 1];
	seed = parse_seed(given);
	/* Nobody reads before there is a first one. */
	writer(NULL);
	if (pthread_create(&w, NULL, writer, &seed))
		die("pthread_create: %m");
	for (i = 0; i < readers; i++)
		if (pthread_create(&r[i], NULL, reader, (void *)(uintptr_t)i))
			die("pthread_create: %m");
	pthread_join(w, NULL);
	for (i = 0; i < readers; i++)
		pthread_join(r[i], NULL);
	printf("# %lu reads, %lu changes seen, %lu ESTALE\n", reads, seen_changes, stale);
	/* Without changes seen nothing was tested. */
	if (seen_changes < generations / 8)
		die("only %lu changes seen of %llu generations", seen_changes,
		    (unsigned long long)generations);
	return 0;
}
