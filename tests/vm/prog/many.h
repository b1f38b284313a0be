/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A double of the daemon that serves a tree which it computes, from a backing file
 * of 256 granules that all files share, and says of everything that it holds for
 * ever; and a reader that compares what it gets with the same formulas.
 *
 *   /dN        @dirs directories
 *   /dN/fN     @files files in each, of one to three granules
 *   /wN        @wides files of 4,096 granules, an extent for each of them
 */
#ifndef DATAFS_TEST_MANY_H
#define DATAFS_TEST_MANY_H

#include <dirent.h>
#include <sched.h>

#include "files.h"
#include "memory.h"

#define WIDE_GRANULES	4096
#define PLACES		(SLAB / GRANULE)
#define KEPT_MAX	900

static unsigned int wides_read;	/* of them, by fill() and direct() of readers begun now */
static unsigned int dirs = 100, files = 1000, wides = 96;

static uint64_t inodes_in_all(void)
{
	return (uint64_t)dirs * files;
}

static uint64_t extents_in_all(void)
{
	return (uint64_t)wides_read * WIDE_GRANULES;
}

/* ---------------------------------------------------------------- the tree */

/* In the upper half of an inode's number; the root's number is 1. */
enum kind { ROOT, DIRECTORY, SMALL, BROAD };

#define INO(kind, n)	((uint64_t)(kind) << 32 | (n))

static enum kind kind_of(uint64_t ino)
{
	return ino >> 32;
}

static uint64_t granules_of(uint64_t ino)
{
	return kind_of(ino) == BROAD ? WIDE_GRANULES : 1 + ino % 3;
}

/* Which of the backing file's granules is this one of the file? */
static unsigned int place(uint64_t ino, uint64_t granule)
{
	return (mix(ino) + granule) % PLACES;
}

static uint64_t children(uint64_t dir)
{
	return kind_of(dir) == ROOT ? dirs + wides : files;
}

static uint64_t child(uint64_t dir, uint64_t i)
{
	if (kind_of(dir) == DIRECTORY)
		return INO(SMALL, (dir & UINT32_MAX) * files + i);
	return i < dirs ? INO(DIRECTORY, i) : INO(BROAD, i - dirs);
}

/* With zeros behind it, which pad it in a message. */
static void name_of(uint64_t ino, char name[16])
{
	uint32_t n = ino;

	memset(name, 0, 16);
	snprintf(name, 16, "%c%u", "/dfw"[kind_of(ino)],
		 kind_of(ino) == SMALL ? n % files : n);
}

static struct datafs_attr attr_for(uint64_t ino)
{
	bool file = kind_of(ino) >= SMALL;
	struct datafs_attr attr = attr_of(ino, file ? S_IFREG | 0644 : S_IFDIR | 0755);

	attr.size = file ? granules_of(ino) * GRANULE : GRANULE;
	attr.mtime = ino & UINT32_MAX;
	return attr;
}

/* ----------------------------------------------------------------- the double */

static uint32_t crcs[PLACES];
static uint64_t most_extents;	/* at once, right after an answer; see @watched */
static bool watched;
static unsigned int revoke_every;	/* answers of extents; 0: none is revoked */
static unsigned int answers, revokes, revoked;

static void answer_lookup(const struct datafs_req *r)
{
	struct datafs_entry ent = { .valid_ms = DATAFS_FOREVER };
	char asked_for[16] = "", name[16];
	uint64_t i;

	if (r->namelen < sizeof(asked_for)) {
		memcpy(asked_for, r + 1, r->namelen);
		i = strtoull(asked_for + 1, NULL, 10) + (*asked_for == 'w' ? dirs : 0);
		if (i < children(r->ino)) {
			name_of(child(r->ino, i), name);
			if (!strcmp(name, asked_for))
				ent.attr = attr_for(child(r->ino, i));
		}
	}
	answer(device, r->id, 0, &ent, sizeof(ent));
}

static void answer_getattr(const struct datafs_req *r)
{
	struct datafs_attr attr = attr_for(r->ino);

	answer(device, r->id, 0, &attr, sizeof(attr));
}

static void answer_readdir(const struct datafs_req *r)
{
	static char out[DATAFS_MSG_MAX];
	const struct datafs_readdir_req *want = (const void *)(r + 1);
	struct datafs_readdir_rep rep = { .flags = DATAFS_READDIR_EOF };
	uint64_t i = want->cookie ? want->cookie - DATAFS_FIRST_COOKIE + 1 : 0;
	size_t len = sizeof(rep);

	for (; i < children(r->ino); i++) {
		struct datafs_dirent ent = {
			.cookie = DATAFS_FIRST_COOKIE + i, .valid_ms = DATAFS_FOREVER,
			.attr = attr_for(child(r->ino, i)),
		};
		char name[16];
		size_t padded;

		name_of(ent.attr.ino, name);
		ent.namelen = strlen(name);
		padded = (ent.namelen + 7) & ~7;
		if (sizeof(struct datafs_rep) + len + sizeof(ent) + padded > want->max) {
			rep.flags = 0;
			break;
		}
		memcpy(out + len, &ent, sizeof(ent));
		memcpy(out + len + sizeof(ent), name, padded);
		len += sizeof(ent) + padded;
		rep.count++;
	}
	memcpy(out, &rep, sizeof(rep));
	answer(device, r->id, 0, out, len);
}

/* A granule an extent, and as many as one answer takes: a whole row of them. */
static void answer_extent(const struct datafs_req *r)
{
	const struct datafs_extent_req *want = (const void *)(r + 1);
	struct datafs_extent_rep rep = { .content = want->content };
	struct datafs_extent ext[DATAFS_EXTENTS_MAX] = { };
	char out[sizeof(rep) + sizeof(ext) + DATAFS_EXTENTS_MAX * sizeof(uint32_t)];
	uint64_t ino = r->ino, id = r->id, g;
	uint32_t crc[DATAFS_EXTENTS_MAX] = { };
	size_t len = sizeof(rep);

	g = want->off / GRANULE / DATAFS_EXTENTS_MAX * DATAFS_EXTENTS_MAX;
	for (; rep.count < DATAFS_EXTENTS_MAX && g < granules_of(ino); g++) {
		ext[rep.count] = (struct datafs_extent) {
			.off = g * GRANULE, .len = GRANULE, .backing_id = BACKING,
			.backing_off = place(ino, g) * GRANULE,
		};
		crc[rep.count++] = crcs[place(ino, g)];
	}
	rep.crcs = rep.count;
	memcpy(out, &rep, sizeof(rep));
	memcpy(out + len, ext, rep.count * sizeof(ext[0]));
	len += rep.count * sizeof(ext[0]);
	memcpy(out + len, crc, rep.count * sizeof(crc[0]));
	len += rep.count * sizeof(crc[0]);
	/* With this one under way: the answer is then too old for it. */
	if (revoke_every && ++answers % revoke_every == 0) {
		take_back(ino);
		revokes++;
	}
	answer(device, id, 0, out, len);
	if (watched) {
		uint64_t now = counted("extents");

		most_extents = now > most_extents ? now : most_extents;
	}
}

static void answer_revoke_done(const struct datafs_req *r)
{
	revoked++;
	answer(device, r->id, 0, NULL, 0);
}

static void serve(const struct datafs_req *r)
{
	static void (*const answers_to[DATAFS_OP_NR])(const struct datafs_req *r) = {
		[DATAFS_OP_LOOKUP] = answer_lookup,
		[DATAFS_OP_GETATTR] = answer_getattr,
		[DATAFS_OP_READDIR] = answer_readdir,
		[DATAFS_OP_EXTENT] = answer_extent,
		[DATAFS_OP_REVOKE_DONE] = answer_revoke_done,
	};

	if (r->opcode >= DATAFS_OP_NR || !answers_to[r->opcode])
		die("a %u came", r->opcode);
	answers_to[r->opcode](r);
}

/* Of the mount: how many it may have, or 0. 0 or an errno. */
#define MAX_EXTENTS_MIN	1024

static int set_max_extents(unsigned int n)
{
	char file[100], text[24];

	snprintf(file, sizeof(file), "/sys/fs/datafs/%u/max_extents", control.mount);
	snprintf(text, sizeof(text), "%u", n);
	return write_file(file, text);
}

/* ----------------------------------------------------------------- the reader */

struct outcome {
	uint64_t done;
	uint64_t wrong;
	int error;		/* an errno, of what failed last */
};

/* A thing that a reader does; @round: which of several that are alike. */
typedef void (*job_fn)(struct outcome *out, unsigned int round);

/* It is a fork: what a pointer means to its parent, it means there. */
struct order {
	job_fn job;
	unsigned int round;
};

struct reader {
	pid_t pid;
	int to, from;
	struct timespec since;
};

/* The reader's own: the wide files that it keeps open. */
static int kept[KEPT_MAX];

static void compare(struct outcome *out, int fd, uint64_t ino, uint64_t granule)
{
	static unsigned char got[GRANULE] __attribute__((aligned(GRANULE)));
	ssize_t n = pread(fd, got, GRANULE, granule * GRANULE);

	if (n < 0)
		out->error = errno;
	out->done++;
	out->wrong += n != GRANULE || memcmp(got, slab + place(ino, granule) * GRANULE, GRANULE);
}

static int open_file(struct outcome *out, uint64_t in, uint64_t ino, int flags)
{
	char name[16], above[16];
	int fd;

	name_of(ino, name);
	name_of(in, above);
	snprintf(path, sizeof(path), "%s/%s/%s", dir, kind_of(in) ? above : ".", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0) {
		out->error = errno;
		out->wrong++;
	}
	return fd;
}

/* One granule of each row, by pages: all extents come. The files stay open. */
static void fill(struct outcome *out, unsigned int round)
{
	unsigned int w, row;

	for (w = 0; w < wides_read; w++) {
		if (!kept[w])
			kept[w] = open_file(out, 1, INO(BROAD, w), 0);
		posix_fadvise(kept[w], 0, 0, POSIX_FADV_RANDOM);
		for (row = 0; row < WIDE_GRANULES; row += DATAFS_EXTENTS_MAX)
			compare(out, kept[w], INO(BROAD, w),
				row + (w + round) % DATAFS_EXTENTS_MAX);
	}
}

/* The same without pages: nothing serves but extents. */
static void direct(struct outcome *out, unsigned int round)
{
	unsigned int w, row;
	int fd;

	for (w = 0; w < wides_read; w++) {
		fd = open_file(out, 1, INO(BROAD, w), O_DIRECT);
		for (row = 0; row < WIDE_GRANULES; row += DATAFS_EXTENTS_MAX)
			compare(out, fd, INO(BROAD, w),
				row + (w + round) % DATAFS_EXTENTS_MAX);
		close(fd);
	}
}

static bool stat_is_right(const struct stat *st, uint64_t ino)
{
	struct datafs_attr attr = attr_for(ino);

	return st->st_ino == ino && (uint64_t)st->st_size == attr.size &&
	       st->st_mtime == attr.mtime && st->st_mode == attr.mode;
}

/* All directories, and the attributes of all files. */
static void walk(struct outcome *out, unsigned int round)
{
	unsigned int d;

	(void)round;
	for (d = 0; d < dirs; d++) {
		uint64_t expected = 0, parent = INO(DIRECTORY, d);
		struct dirent *ent;
		struct stat st;
		char name[16];
		DIR *list;

		name_of(parent, name);
		list = opendir(at(name));
		while (list && (ent = readdir(list))) {
			if (*ent->d_name == '.')
				continue;
			name_of(child(parent, expected), name);
			out->wrong += expected >= files || strcmp(name, ent->d_name) ||
				fstatat(dirfd(list), name, &st, 0) ||
				!stat_is_right(&st, child(parent, expected));
			expected++;
		}
		if (!list)
			out->error = errno;
		else
			closedir(list);
		out->wrong += expected != files;
		out->done += expected;
	}
}

/* The attributes of ten files of each directory, without listing it. */
static void glance(struct outcome *out, unsigned int round)
{
	unsigned int d, i;

	for (d = 0; d < dirs; d++)
		for (i = 0; i < 10; i++) {
			uint64_t ino = child(INO(DIRECTORY, d),
					     (i * files / 10 + d + round) % files);
			struct stat st;
			char name[40];

			snprintf(name, sizeof(name), "d%u/f%u", d, (uint32_t)ino % files);
			out->wrong += stat(at(name), &st) || !stat_is_right(&st, ino);
			out->done++;
		}
}

/* All bytes of one file of each directory. */
static void samples(struct outcome *out, unsigned int round)
{
	unsigned int d;
	uint64_t ino, g;
	int fd;

	for (d = 0; d < dirs; d++) {
		ino = child(INO(DIRECTORY, d), (d * 7 + round) % files);
		fd = open_file(out, INO(DIRECTORY, d), ino, 0);
		for (g = 0; fd >= 0 && g < granules_of(ino); g++)
			compare(out, fd, ino, g);
		close(fd);
	}
}

/* Memory is wanted and extents are limited, and then not, again and again. */
static void want(struct outcome *out, unsigned int round)
{
	for (; out->done < round; out->done++) {
		int err = write_file("/proc/sys/vm/drop_caches", "2");

		if (!err)
			err = set_max_extents(MAX_EXTENTS_MIN);
		usleep(20000);
		if (!err)
			err = set_max_extents(0);
		if (err)
			out->error = err;
	}
}

/*
 * Who ask and answer in turn do it sooner on one processor than by waking up another
 * one, above all where processors are emulated. Holds for what is forked later.
 */
static void on_one_processor(bool yes)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < (yes ? 1 : CPU_SETSIZE); i++)
		CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity: %m");
}

/* @cgroup: NULL for none */
static struct reader reader_start(const char *cgroup)
{
	struct reader r = { };
	int to[2], from[2];
	struct outcome out;
	struct order order;

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		die("pipe: %m");
	r.pid = fork();
	if (r.pid) {
		close(to[0]);
		close(from[1]);
		r.to = to[1];
		r.from = from[0];
		return r;
	}
	dup2(to[0], 0);
	dup2(from[1], 1);
	close_range(3, ~0u, 0);
	if (cgroup)
		cgroup_enter(cgroup);
	while (read(0, &order, sizeof(order)) == sizeof(order)) {
		out = (struct outcome) { };
		order.job(&out, order.round);
		if (write(1, &out, sizeof(out)) != sizeof(out))
			break;
	}
	_exit(0);
}

static void begin(struct reader *r, job_fn job, unsigned int round)
{
	struct order order = { .job = job, .round = round };

	clock_gettime(CLOCK_MONOTONIC, &r->since);
	if (write(r->to, &order, sizeof(order)) != sizeof(order))
		die("a reader ended");
}

/* Serves until @r has done its job, and says what became of it. */
static struct outcome end(struct reader *r, const char *name)
{
	struct outcome out;
	struct timespec now;
	double seconds;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = device, .events = POLLIN },
			{ .fd = r->from, .events = POLLIN },
		};

		if (taken_at < taken_len) {
			serve(next(device));
			continue;
		}
		if (poll(p, 2, -1) < 0)
			die("poll: %m");
		if (p[0].revents & POLLIN)
			serve(next(device));
		else if (p[1].revents)
			break;
	}
	if (read(r->from, &out, sizeof(out)) != sizeof(out))
		out = (struct outcome) { .wrong = 1, .error = ECHILD };
	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = now.tv_sec - r->since.tv_sec + (now.tv_nsec - r->since.tv_nsec) / 1e9;
	printf("# %s: %llu in %.1f s\n", name, (unsigned long long)out.done, seconds);
	ok(!out.wrong && !out.error, "%s: all is right (%llu of %llu are not; %s)", name,
	   (unsigned long long)out.wrong, (unsigned long long)out.done, strerror(out.error));
	return out;
}

static struct outcome does(struct reader *r, job_fn job, unsigned int round, const char *name)
{
	begin(r, job, round);
	return end(r, name);
}

static void reader_end(struct reader *r)
{
	close(r->to);
	close(r->from);
	ok(!reap(r->pid), "the reader lives until it is told to end");
}

#endif
