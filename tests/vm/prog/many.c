// SPDX-License-Identifier: Apache-2.0
/*
 * many DIR SLABDIR: more inodes and extents than memory is allowed to have. They
 * are given back when memory is wanted, and all stays right. DIR is an empty
 * directory to mount on; SLABDIR has direct I/O. The environment says how many:
 * DIRS (100) directories of FILES (1000) files, WIDE (96) files of 4,096 extents.
 */
#define _GNU_SOURCE 1
#include "many.h"

/* An extent has no less. */
#define EXTENT_BYTES	100

static void drop_caches(const char *what)
{
	int err = write_file("/proc/sys/vm/drop_caches", what);

	if (err)
		die("drop_caches: %s", strerror(err));
}

/* Inodes are freed after a grace period. */
static uint64_t inodes_below(uint64_t bound)
{
	uint64_t n;
	int i;

	for (i = 0; (n = slab_objects("datafs_inode")) >= bound && i < 100; i++)
		usleep(50000);
	return n;
}

static bool less(const char *what, uint64_t got, uint64_t bound)
{
	return ok(got < bound, "%s: %llu, below %llu", what, (unsigned long long)got,
		  (unsigned long long)bound);
}

static bool more(const char *what, uint64_t got, uint64_t bound)
{
	return ok(got >= bound, "%s: %llu, at least %llu", what, (unsigned long long)got,
		  (unsigned long long)bound);
}

static bool same(const char *what, uint64_t got, uint64_t want)
{
	return ok(got == want, "%s: %llu, exactly %llu", what, (unsigned long long)got,
		  (unsigned long long)want);
}

/* Bytes of slab objects that are charged to the cgroup. */
static uint64_t charged(const char *cgroup)
{
	return cgroup_number(cgroup, "memory.stat", "slab");
}

/* ------------------------------------------------------------- without limit */

static bool cgroups;	/* this kernel has them */
static uint64_t extents_bytes;	/* what all extents of the wide files are charged for */

/* Half of what a cgroup has is wanted: it goes, though nobody is short of memory. */
static void half_given_back(void)
{
	uint64_t before = cgroup_number("free", "memory.current", NULL);
	int err = cgroup_set("free", "memory.reclaim", before / 2);

	printf("# memory.reclaim: %s\n", strerror(err));
	less("bytes of the cgroup after half of them were wanted",
	     cgroup_number("free", "memory.current", NULL), before - before / 4);
	/* The wide files are open: their inodes stay, and only the extents can go. */
	less("extents", counted("extents"), extents_in_all());
	less("inodes", inodes_below(inodes_in_all()), inodes_in_all());
}

/* All are there at once, whose they are is known, and they go when asked to. */
static void given_back(void)
{
	uint64_t extents = extents_in_all(), inodes = inodes_in_all();
	uint64_t start = slab_bytes(), before = 0, asked, full;
	struct reader r;

	if (cgroups) {
		cgroup_make("free", 0);
		before = charged("free");
	}
	r = reader_start(cgroups ? "free" : NULL);
	does(&r, fill, 0, "extents of all wide files");
	same("extents", counted("extents"), extents);
	if (cgroups) {
		extents_bytes = charged("free") - before;
		more("bytes of them charged to their reader", extents_bytes,
		     extents * EXTENT_BYTES);
		before = charged("free");
	}
	same("inodes listed", does(&r, walk, 0, "all directories").done, inodes);
	more("inodes", slab_objects("datafs_inode"), inodes);
	if (cgroups)
		more("bytes of them charged to their reader", charged("free") - before,
		     inodes * slab_object_size("datafs_inode"));
	asked = counted("requests_lookup");
	before = counted("requests_getattr");
	does(&r, glance, 0, "attributes");
	same("lookups for what was listed", counted("requests_lookup"), asked);
	same("attributes asked for", counted("requests_getattr"), before);
	same("extents still", counted("extents"), extents);
	full = slab_bytes();

	before = counted("extents_reclaimed");
	if (cgroups)
		half_given_back();
	drop_caches("2");
	less("extents, all dropped", counted("extents"), extents / 100);
	same("extents that were given back", counted("extents_reclaimed") - before,
	     extents - counted("extents"));
	less("inodes, all dropped", inodes_below(inodes / 100 + wides), inodes / 100 + wides);
	less("bytes of slab caches", slab_bytes(), start + (full - start) / 4);

	before = counted("requests_extent");
	does(&r, direct, 1, "extents once more");
	more("which were asked for", counted("requests_extent") - before,
	     extents / DATAFS_EXTENTS_MAX * 9 / 10);
	before = counted("requests_lookup");
	does(&r, samples, 1, "one file of each directory");
	more("which were looked up", counted("requests_lookup") - before, dirs);
	reader_end(&r);
	if (cgroups)
		ok(cgroup_remove("free"), "the cgroup goes");
}

/* --------------------------------------------------------------- with a limit */

/*
 * Less than the extents alone would take, so that inodes going does not do. Yet not
 * much less: inodes are freed after a grace period, and the kernel kills who lists
 * many, on any filesystem, if it finds nothing else to take meanwhile. With 15 to 32
 * MB that happens to one of a few listings, on ext4 as well.
 */
static void limited(void)
{
	uint64_t limit = extents_bytes / 10 * 9;
	uint64_t installed, reclaimed;
	struct reader r;

	drop_caches("3");
	on_one_processor(false);
	installed = counted("extents_installed") - counted("extents");
	reclaimed = counted("extents_reclaimed");
	cgroup_make("tight", limit);
	r = reader_start("tight");
	does(&r, fill, 2, "limited: extents of all wide files");
	installed = counted("extents_installed") - installed;
	more("limited: extents installed", installed, extents_in_all());
	less("limited: extents that are left", counted("extents"), extents_in_all() / 10 * 9);
	same("limited: extents that were given back",
	     counted("extents_reclaimed") - reclaimed, installed - counted("extents"));
	same("limited: inodes listed", does(&r, walk, 0, "limited: all directories").done,
	     inodes_in_all());
	does(&r, samples, 2, "limited: one file of each directory");
	does(&r, direct, 3, "limited: extents once more");
	same("limited: processes killed for want of memory",
	     cgroup_number("tight", "memory.events", "oom_kill"), 0);
	less("limited: bytes of the cgroup, at the most",
	     cgroup_number("tight", "memory.peak", NULL), limit + 1);
	reader_end(&r);
	/* What is left belongs to a cgroup that is no more, and can go still. */
	ok(cgroup_remove("tight"), "the cgroup goes before its inodes and extents do");
	drop_caches("3");
	less("extents of a cgroup that is gone", counted("extents"), extents_in_all() / 100);
	less("inodes of a cgroup that is gone", inodes_below(inodes_in_all() / 100 + 10),
	     inodes_in_all() / 100 + 10);
	on_one_processor(true);
}

/* Installing, giving back for memory and for the limit, and revoking. */
static void at_once(void)
{
	struct reader r[3];
	int i;

	on_one_processor(false);
	for (i = 0; i < 3; i++)
		r[i] = reader_start(NULL);
	revoke_every = 16;
	begin(&r[0], fill, 4);
	begin(&r[1], direct, 5);
	begin(&r[2], want, 20);
	end(&r[0], "at once: by pages");
	begin(&r[0], samples, 5);
	end(&r[1], "at once: without pages");
	end(&r[2], "at once: memory wanted");
	end(&r[0], "at once: small files");
	revoke_every = 0;
	while (revoked < revokes)
		serve(next(device));
	more("at once: revocations, each told", revoked, 10);
	same("at once: answers refused", counted("replies_bad"), 0);
	for (i = 0; i < 3; i++)
		reader_end(&r[i]);
	on_one_processor(true);
}

/* -------------------------------------------------------------------- the knob */

static void bounded(void)
{
	static const unsigned int bounds[] = { 8 * MAX_EXTENTS_MIN, MAX_EXTENTS_MIN };
	struct reader r = reader_start(NULL);
	unsigned int i;

	drop_caches("3");
	does(&r, direct, 6, "bounded: extents of all wide files");
	same("extents", counted("extents"), extents_in_all());
	ok(set_max_extents(MAX_EXTENTS_MIN - 1) == EINVAL, "max_extents: too few are refused");
	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		int err = set_max_extents(bounds[i]);

		ok(!err, "max_extents %u: %s", bounds[i], strerror(err));
		same("extents right after that", counted("extents"), bounds[i]);
		most_extents = 0;
		watched = true;
		does(&r, direct, 7 + i, "bounded: extents once more");
		watched = false;
		less("extents at any time", most_extents, bounds[i] + 1);
		more("nearly as many as may be", most_extents, bounds[i] - DATAFS_EXTENTS_MAX);
	}
	ok(!set_max_extents(0), "max_extents 0: no bound");
	does(&r, direct, 9, "bounded no more");
	same("extents", counted("extents"), extents_in_all());
	reader_end(&r);
}

/* ----------------------------------------------------------------------- main */

static void from_environment(const char *name, unsigned int *value, unsigned int max)
{
	const char *s = getenv(name);

	if (s)
		*value = strtoul(s, NULL, 10);
	if (!*value || *value > max)
		die("%s: 1 to %u", name, max);
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc != 3)
		die("usage: many DIR SLABDIR");
	dir = argv[1];
	from_environment("DIRS", &dirs, 1u << 16);
	from_environment("FILES", &files, 1u << 16);
	from_environment("WIDE", &wides, KEPT_MAX);
	wides_read = wides;
	printf("# DIRS=%u FILES=%u WIDE=%u: %llu inodes, %llu extents\n", dirs, files, wides,
	       (unsigned long long)inodes_in_all(), (unsigned long long)extents_in_all());
	setup("many", argv[2]);
	for (i = 0; i < PLACES; i++)
		crcs[i] = crc32c(slab + i * GRANULE, GRANULE);
	cgroups = cgroups_there();
	on_one_processor(true);
	given_back();
	if (cgroups)
		limited();
	else
		printf("ok - limited # SKIP this kernel has no memory cgroups\n");
	/* Enough for what does not depend on how many there are. */
	wides_read = wides < 16 ? wides : 16;
	at_once();
	bounded();
	ok(!umount(dir), "unmount");
	printf("# %d failed\n", failures);
	return !!failures;
}
