// SPDX-License-Identifier: Apache-2.0
/*
 * listing [-s SEED] DIR COUNT: DIR lists COUNT entries, each once, whichever way it
 * is listed; a position leads to the same entry again, in another open of it
 * as well.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "prog.h"

struct entry {
	char name[256];
	uint64_t ino;
	long pos;	/* of this entry: the cookie of the one before */
	unsigned char type;
};

static struct entry *first, *again;

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static size_t list(DIR *d, struct entry *e, size_t max)
{
	struct dirent *de;
	size_t n = 0;
	long pos;

	for (;;) {
		pos = telldir(d);
		errno = 0;
		de = readdir(d);
		if (!de)
			break;
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (n == max)
			return max + 1;
		strcpy(e[n].name, de->d_name);
		e[n].ino = de->d_ino;
		e[n].type = de->d_type;
		e[n++].pos = pos;
	}
	if (errno)
		die("readdir: %m");
	return n;
}

static bool unique(const struct entry *e, size_t n)
{
	struct entry *sorted = malloc(n * sizeof(*e) + 1);
	bool res = true;
	size_t i;

	memcpy(sorted, e, n * sizeof(*e));
	qsort(sorted, n, sizeof(*e), by_name);
	for (i = 1; i < n; i++)
		if (!strcmp(sorted[i].name, sorted[i - 1].name))
			res = false;
	free(sorted);
	return res;
}

static bool same(size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(first[i].name, again[i].name) || first[i].ino != again[i].ino)
			return false;
	return true;
}

/* getdents64 with room for few, or one: the kernel's cursor, not glibc's. */
static size_t list_small(const char *dir, size_t room)
{
	char buf[1024];
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	size_t n = 0;
	long got, at;

	while ((got = syscall(SYS_getdents64, fd, buf, room)) > 0)
		for (at = 0; at < got; n++)
			at += ((struct dirent64 *)(buf + at))->d_reclen;
	if (got < 0)
		die("getdents64: %m");
	close(fd);
	return n - 2;
}

int main(int argc, char **argv)
{
	const char *given = NULL;
	size_t count, n, i, j, bad;
	uint64_t state;
	struct stat st;
	DIR *d, *d2;
	int c;

	while ((c = getopt(argc, argv, "s:")) != -1)
		if (c == 's')
			given = optarg;
		else
			return 2;
	if (argc - optind != 2)
		die("usage: listing [-s SEED] DIR COUNT");
	state = parse_seed(given);
	count = strtoul(argv[optind + 1], NULL, 0);
	first = calloc(count + 1, sizeof(*first));
	again = calloc(count + 1, sizeof(*again));
	d = opendir(argv[optind]);
	if (!d || !first || !again)
		die("%s: %m", argv[optind]);

	n = list(d, first, count);
	ok(n == count, "%zu entries listed, %zu expected", n, count);
	if (n != count)
		return 1;
	ok(unique(first, n), "each once");
	rewinddir(d);
	ok(list(d, again, count) == count && same(n), "the same after rewinddir");

	for (bad = i = 0; i < 200 && n; i++) {
		j = rnd(&state) % n;
		seekdir(d, first[j].pos);
		if (list(d, again, 1) < 1 || strcmp(again[0].name, first[j].name))
			bad++;
	}
	ok(!bad, "seekdir leads to the same entry again (%zu of 200 not)", bad);

	d2 = opendir(argv[optind]);
	for (bad = i = 0; d2 && i < 50 && n; i++) {
		j = rnd(&state) % n;
		seekdir(d2, first[j].pos);
		if (list(d2, again, 1) < 1 || strcmp(again[0].name, first[j].name))
			bad++;
	}
	ok(d2 && !bad, "and in another open of the directory (%zu of 50 not)", bad);

	for (bad = i = 0; i < 100 && n; i++) {
		j = rnd(&state) % n;
		if (fstatat(dirfd(d), first[j].name, &st, AT_SYMLINK_NOFOLLOW) ||
		    st.st_ino != first[j].ino || IFTODT(st.st_mode) != first[j].type)
			bad++;
	}
	ok(!bad, "d_ino and d_type are those of stat (%zu of 100 not)", bad);
	ok(list_small(argv[optind], 1024) == n, "all of them through a small buffer");
	ok(list_small(argv[optind], 320) == n, "all of them one at a time");
	closedir(d);
	return failures != 0;
}
