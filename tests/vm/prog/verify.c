// SPDX-License-Identifier: Apache-2.0
/*
 * verify [-m MODE] [-t THREADS] [-s SEED] [-b BUFFER-FILE] [-n] A B
 *
 * Compares tree (or file) B with A: names, attributes, link targets, and the
 * bytes of every regular file, B's by MODE:
 *   read       buffers of changing sizes, and from changing offsets
 *   mmap       the pages in order, or of large files in random order
 *   direct     O_DIRECT, offsets, lengths and memory aligned to 4096
 *   unaligned  O_DIRECT, nothing aligned
 *   mapped     O_DIRECT, into a private mapping of BUFFER-FILE, which had
 *              better be on the filesystem that is tested
 *   crooked    O_DIRECT, nothing aligned, into such a mapping
 *   mixed      one of the above for each file, by the seed
 *   every      all of them for each file, from an own one on, and what the page
 *              cache has of the file is dropped before each
 * -n compares bytes only, no attributes. Prints "FILES files, BYTES bytes".
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "prog.h"

#define BUF	(1u << 20)

enum mode {
	MODE_READ, MODE_MMAP, MODE_DIRECT, MODE_UNALIGNED,
	/* From here on with a BUFFER-FILE only. */
	MODE_MAPPED, MODE_CROOKED, MODE_MIXED, MODE_EVERY
};

static const char *const mode_names[] = {
	[MODE_READ] = "read", [MODE_MMAP] = "mmap", [MODE_DIRECT] = "direct",
	[MODE_UNALIGNED] = "unaligned", [MODE_MAPPED] = "mapped",
	[MODE_CROOKED] = "crooked", [MODE_MIXED] = "mixed",
	[MODE_EVERY] = "every",
};

#define MODES	(sizeof(mode_names) / sizeof(mode_names[0]))

static const char *tree_a, *tree_b, *buffer_file;
static enum mode mode;
static bool bytes_only;
static uint64_t seed;
static char **files;		/* relative names of regular files */
static uint64_t *sizes;
static size_t nfiles;
static uint64_t total;

static char *join(const char *dir, const char *name)
{
	char *p;

	if (asprintf(&p, "%s%s%s", dir, *name ? "/" : "", name) < 0)
		die("no memory");
	return p;
}

/* ------------------------------------------------------------ the trees */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void *bigger(void *p, size_t size)
{
	void *q = realloc(p, size);

	if (!q)
		die("no memory");
	return q;
}

static char **list(const char *dir, size_t *n)
{
	char **names = NULL;
	struct dirent *de;
	size_t room = 0;
	DIR *d = opendir(dir);

	*n = 0;
	if (!d)
		die("%s: %m", dir);
	for (;;) {
		errno = 0;
		de = readdir(d);
		if (!de)
			break;
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (*n == room) {
			room = room * 2 + 16;
			names = bigger(names, room * sizeof(*names));
		}
		names[*n] = strdup(de->d_name);
		if (!names[(*n)++])
			die("no memory");
	}
	if (errno)
		die("%s: readdir: %m", dir);
	closedir(d);
	qsort(names, *n, sizeof(*names), by_name);
	return names;
}

static void same_attributes(const char *name, const struct stat *a,
			    const struct stat *b)
{
#define SAME(field) do {						\
	if (a->field != b->field)					\
		die("%s: " #field " is %lld, expected %lld", name,	\
		    (long long)b->field, (long long)a->field);		\
} while (0)
	SAME(st_mode);
	if (bytes_only)
		return;
	SAME(st_uid);
	SAME(st_gid);
	SAME(st_nlink);
	SAME(st_mtim.tv_sec);
	SAME(st_mtim.tv_nsec);
	SAME(st_ctim.tv_sec);
	SAME(st_ctim.tv_nsec);
	SAME(st_rdev);
	if (!S_ISDIR(a->st_mode)) {
		SAME(st_size);
		SAME(st_blocks);
	}
#undef SAME
}

static void same_link(const char *name, const char *pa, const char *pb)
{
	static char a[8192], b[8192];
	ssize_t na = readlink(pa, a, sizeof(a)), nb = readlink(pb, b, sizeof(b));

	if (na < 0 || na != nb || memcmp(a, b, (size_t)na))
		die("%s: another link target", name);
}

static void walk(const char *name)
{
	char *pa = join(tree_a, name), *pb = join(tree_b, name);
	struct stat a, b;
	char **na, **nb;
	size_t i, ca, cb;

	if (lstat(pa, &a))
		die("%s: %m", pa);
	if (lstat(pb, &b))
		die("%s: %m", pb);
	same_attributes(name, &a, &b);
	if (S_ISLNK(a.st_mode)) {
		same_link(name, pa, pb);
	} else if (S_ISREG(a.st_mode)) {
		if (!(nfiles & (nfiles + 1))) {
			files = bigger(files, (nfiles * 2 + 2) * sizeof(*files));
			sizes = bigger(sizes, (nfiles * 2 + 2) * sizeof(*sizes));
		}
		sizes[nfiles] = (uint64_t)a.st_size;
		files[nfiles++] = strdup(name);
		total += (uint64_t)a.st_size;
	} else if (S_ISDIR(a.st_mode)) {
		na = list(pa, &ca);
		nb = list(pb, &cb);
		for (i = 0; i < ca || i < cb; i++)
			if (i == ca || i == cb || strcmp(na[i], nb[i]))
				die("%s: the listings differ at %s / %s", name,
				    i < ca ? na[i] : "(end)",
				    i < cb ? nb[i] : "(end)");
		for (i = 0; i < ca; i++) {
			char *sub = *name ? join(name, na[i]) : strdup(na[i]);

			walk(sub);
			free(sub);
			free(na[i]);
			free(nb[i]);
		}
		free(na);
		free(nb);
	}
	free(pa);
	free(pb);
}

/* ------------------------------------------------------------ the bytes */

struct buffers {
	unsigned char *want;	/* of A */
	bool whole;		/* all of it, from 0 on, and it stays there */
	unsigned char *got;	/* of B: BUF bytes and a page */
	unsigned char *mapped;
	uint64_t rnd;
};

static NORETURN void differ(const char *name, const char *how, uint64_t off,
			    const unsigned char *want, const unsigned char *got,
			    size_t n)
{
	size_t i = 0;

	while (i < n && want[i] == got[i])
		i++;
	die("%s: by %s: byte %llu is %02x, expected %02x (seed %llu)", name, how,
	    (unsigned long long)(off + i), got[i], want[i],
	    (unsigned long long)seed);
}

/* The @n bytes of A at @off. */
static const unsigned char *want_bytes(struct buffers *b, int fd, const char *name,
				       uint64_t off, size_t n)
{
	size_t done = 0;

	if (b->whole)
		return b->want + off;
	while (done < n) {
		ssize_t r = pread(fd, b->want + done, n - done, (off_t)(off + done));

		if (r <= 0)
			die("%s: the original: %s", name, r ? strerror(errno) : "short");
		done += (size_t)r;
	}
	return b->want;
}

static void check_mmap(struct buffers *b, int fa, int fb, const char *name,
		       uint64_t size)
{
	uint64_t chunks, step, start, i, off;
	const unsigned char *want;
	unsigned char *m;
	size_t n;

	if (!size)
		return;
	m = mmap(NULL, size, PROT_READ, rnd(&b->rnd) & 1 ? MAP_SHARED : MAP_PRIVATE,
		 fb, 0);
	if (m == MAP_FAILED)
		die("%s: mmap: %m", name);
	chunks = (size + 65535) / 65536;
	/* Large files out of order: an odd step, so that every piece comes once. */
	start = chunks > 4 ? rnd(&b->rnd) % chunks : 0;
	step = 1;
	if (chunks > 4)
		for (step = rnd(&b->rnd) % chunks | 1; ; step += 2) {
			uint64_t x = step, y = chunks, t;

			while (y)
				t = x % y, x = y, y = t;
			if (x == 1)
				break;
		}
	for (i = 0; i < chunks; i++) {
		off = (start + i * step) % chunks * 65536;
		n = size - off < 65536 ? size - off : 65536;
		want = want_bytes(b, fa, name, off, n);
		if (memcmp(want, m + off, n))
			differ(name, "mmap", off, want, m + off, n);
	}
	/* Behind the end of the file the page is zeros. */
	for (off = size; off % 4096; off++)
		if (m[off])
			die("%s: mmap: byte %llu behind the end is %02x", name,
			    (unsigned long long)off, m[off]);
	munmap(m, size);
}

static void check_reads(struct buffers *b, int fa, int fb, const char *name,
			uint64_t size, enum mode how)
{
	unsigned char *buf = how >= MODE_MAPPED ? b->mapped : b->got;
	uint64_t off = 0;

	/* One read past the end as well: it must say so. */
	for (;;) {
		size_t len = 1 + rnd(&b->rnd) % BUF, want;
		const unsigned char *bytes;
		size_t shift = 0;
		ssize_t n;

		if (how == MODE_DIRECT || how == MODE_MAPPED)
			len = (len + 4095) & ~4095ul;
		else if (how == MODE_UNALIGNED || how == MODE_CROOKED)
			shift = rnd(&b->rnd) % 4096;
		else if (rnd(&b->rnd) & 1)
			len = 1 + len % 70000;
		n = pread(fb, buf + shift, len, (off_t)off);
		if (n < 0)
			die("%s: by %s: %zu bytes at %llu: %m (seed %llu)", name,
			    mode_names[how], len, (unsigned long long)off,
			    (unsigned long long)seed);
		want = off >= size ? 0 : size - off < len ? size - off : len;
		/* A regular file's read is short only at its end. */
		if ((size_t)n != want)
			die("%s: by %s: %zu bytes at %llu gave %zd, expected %zu",
			    name, mode_names[how], len, (unsigned long long)off,
			    n, want);
		bytes = want_bytes(b, fa, name, off, want);
		if (memcmp(bytes, buf + shift, want))
			differ(name, mode_names[how], off, bytes, buf + shift, want);
		if (!want)
			return;
		off += want;
	}
}

static void check_way(struct buffers *b, size_t i, enum mode how, int fa,
		      const char *pb)
{
	int fb = open(pb, O_RDONLY | (how == MODE_READ || how == MODE_MMAP ? 0 : O_DIRECT));

	if (fb < 0)
		die("%s: open: %m", pb);
	if (how == MODE_MMAP)
		check_mmap(b, fa, fb, files[i], sizes[i]);
	else
		check_reads(b, fa, fb, files[i], sizes[i], how);
	/* What is mapped elsewhere stays: that is no error. */
	if (mode == MODE_EVERY && (how == MODE_READ || how == MODE_MMAP))
		posix_fadvise(fb, 0, 0, POSIX_FADV_DONTNEED);
	close(fb);
}

static void check_file(struct buffers *b, size_t i)
{
	char *pa = join(tree_a, files[i]), *pb = join(tree_b, files[i]);
	unsigned int ways = buffer_file ? MODE_MIXED : MODE_MAPPED, first, k;
	int fa = open(pa, O_RDONLY | O_NOATIME);

	if (fa < 0)
		die("%s: open: %m", pa);
	/* The sequence of a file does not depend on which thread has it. */
	b->rnd = mix(seed ^ i);
	b->whole = false;
	if (sizes[i] <= BUF) {
		want_bytes(b, fa, files[i], 0, sizes[i]);
		b->whole = true;
	}
	if (mode < MODE_MIXED) {
		check_way(b, i, mode, fa, pb);
	} else {
		first = rnd(&b->rnd) % ways;
		for (k = 0; k < (mode == MODE_EVERY ? ways : 1); k++)
			check_way(b, i, (first + k) % ways, fa, pb);
	}
	close(fa);
	free(pa);
	free(pb);
}

static atomic_size_t next_file;
static size_t *order;

static void *worker(void *arg)
{
	struct buffers b = { 0 };
	size_t i;
	int fd;

	(void)arg;
	if (posix_memalign((void **)&b.want, 4096, BUF) ||
	    posix_memalign((void **)&b.got, 4096, BUF + 4096))
		die("no memory");
	if (buffer_file) {
		fd = open(buffer_file, O_RDONLY);
		if (fd < 0)
			die("%s: %m", buffer_file);
		b.mapped = mmap(NULL, BUF + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		if (b.mapped == MAP_FAILED)
			die("%s: mmap: %m", buffer_file);
		close(fd);
	}
	while ((i = atomic_fetch_add(&next_file, 1)) < nfiles) {
		/* A page that is not there yet each time, not one of our own. */
		if (buffer_file)
			madvise(b.mapped, BUF + 4096, MADV_DONTNEED);
		check_file(&b, order[i]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *given = NULL;
	unsigned int threads = 1;
	pthread_t t[64];
	size_t i, j, x;
	int c;

	while ((c = getopt(argc, argv, "m:t:s:b:n")) != -1) {
		switch (c) {
		case 'm':
			for (mode = 0; mode < MODES; mode++)
				if (!strcmp(optarg, mode_names[mode]))
					break;
			if (mode == MODES)
				die("no mode %s", optarg);
			break;
		case 't':
			threads = (unsigned int)atoi(optarg);
			break;
		case 's':
			given = optarg;
			break;
		case 'b':
			buffer_file = optarg;
			break;
		case 'n':
			bytes_only = true;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2 || !threads || threads > 64 ||
	    ((mode == MODE_MAPPED || mode == MODE_CROOKED) && !buffer_file))
		die("usage: verify [-m MODE] [-t THREADS] [-s SEED] [-b FILE] [-n] A B");
	tree_a = argv[optind];
	tree_b = argv[optind + 1];
	seed = parse_seed(given);
	walk("");

	order = calloc(nfiles + 1, sizeof(*order));
	for (i = 0; i < nfiles; i++)
		order[i] = i;
	uint64_t state = seed;

	for (i = nfiles; i > 1; i--) {
		j = rnd(&state) % i;
		x = order[i - 1];
		order[i - 1] = order[j];
		order[j] = x;
	}
	for (i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, worker, NULL))
			die("pthread_create: %m");
	for (i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	printf("# %zu files, %llu bytes by %s\n", nfiles, (unsigned long long)total,
	       mode_names[mode]);
	return 0;
}
