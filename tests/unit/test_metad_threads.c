// SPDX-License-Identifier: Apache-2.0
/*
 * Readers beside the applier: each answer is of the state between two entries, and no
 * later one is of an earlier state.
 */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define READERS	3
#define LOG_LEN	1500

/* In the root: "both" at first, what is "here" or "back", and "dir_". */
enum { BOTH = 2, MOVED, UP };

static atomic_bool done;
static atomic_int reads;

/* No assertion of cmocka's in a thread: the line of the first thing that is wrong. */
static atomic_int wrong;

static bool holds(bool is, int line)
{
	int none = 0;

	if (!is)
		atomic_compare_exchange_strong(&wrong, &none, line);
	return is;
}

#define HOLDS(cond) holds(cond, __LINE__)

struct names {
	int moved, other, cookies;
	uint64_t last;
};

static int see(void *arg, uint64_t cookie, const char *name, size_t len,
	       const struct datafs_metad_attr *attr)
{
	struct names *n = arg;

	n->cookies += cookie <= n->last;
	n->last = cookie;
	n->moved += attr->ino == MOVED;
	n->other += len != 4 || (memcmp(name, "both", 4) && memcmp(name, "here", 4) &&
				 memcmp(name, "back", 4));
	return 0;
}

/* One listing: MOVED has one name, "here" or "back", in the root. */
static void read_names(void)
{
	struct names n = { 0 };
	bool eof;

	HOLDS(!datafs_metad_readdir(m, ROOT, 0, see, &n, &eof));
	HOLDS(eof && n.moved == 1 && !n.cookies);
	HOLDS(n.other == 1);	/* dir_, and never tmp beside it */
}

/* "both" is replaced in each entry, and is always there. */
static void read_replaced(uint64_t *last_version)
{
	struct datafs_metad_attr a;
	uint64_t up;

	HOLDS(!datafs_metad_lookup(m, ROOT, "both", 4, &a));
	/* Made, sized and dated in one entry. */
	HOLDS((time_t)a.size == a.mtime.tv_sec);
	HOLDS(a.nlink == 1);
	HOLDS(!datafs_metad_getattr(m, ROOT, &a));
	HOLDS(a.version >= *last_version && a.nlink == 3);
	*last_version = a.version;
	HOLDS(!datafs_metad_parent(m, UP, &up) && up == ROOT);
}

static void read_counts(uint64_t *last_index)
{
	struct datafs_metad_counts n;

	HOLDS(!datafs_metad_counts(m, &n));
	HOLDS(n.index >= *last_index && n.inodes == 4 && !n.orphans);
	*last_index = n.index;
}

static void read_xattrs(void)
{
	char list[64];

	/* One of the two, never none or both. */
	HOLDS(datafs_metad_listxattr(m, MOVED, list, sizeof(list)) == 7);
}

static void *reader(void *arg)
{
	uint64_t index = 0, version = 0;

	(void)arg;
	while (!atomic_load(&done) && !atomic_load(&wrong)) {
		read_names();
		read_replaced(&version);
		read_counts(&index);
		read_xattrs();
		atomic_fetch_add(&reads, 1);
	}
	return NULL;
}

static void one_entry(uint64_t i, uint64_t next)
{
	bool odd = i % 2;
	struct req r[] = {
		{ OP(RENAME), ROOT, odd ? "here" : "back", ROOT, odd ? "back" : "here" },
		{ OP(CREATE), ROOT, "new", .mode = 0600 },
		{ OP(SETATTR), next, .set = { .has_size = true, .size = i, .has_mtime = true,
					      .mtime = (int64_t)i } },
		{ OP(RENAME), ROOT, "new", ROOT, "both" },
		{ OP(REMOVEXATTR), MOVED, odd ? "user.a" : "user.b" },
		{ OP(SETXATTR), MOVED, odd ? "user.b" : "user.a" },
		/* Gone and back within the entry. */
		{ OP(MKDIR), ROOT, "tmp" },
		{ OP(RENAME), ROOT, "dir_", ROOT, "tmp", .replace = true },
		{ OP(RMDIR), ROOT, "dir_" },
		{ OP(RENAME), ROOT, "tmp", ROOT, "dir_" },
	};
	struct datafs_metad_results res;

	assert_int_equal(apply_reqs(r, sizeof(r) / sizeof(r[0]), &res), 0);
	for (size_t k = 0; k < res.n; k++) {
		Metad__Result *one = metad__result__unpack(NULL, res.r[k].len, res.r[k].data);

		assert_int_equal(one->error, 0);
		result_free(one);
	}
	datafs_metad_results_free(&res);
}

static void between_entries(void **state)
{
	pthread_t t[READERS];

	(void)state;
	assert_int_equal(make_file(ROOT, "both"), BOTH);
	must((struct req){ OP(SETATTR), BOTH, .set = { .has_size = true, .has_mtime = true } });
	assert_int_equal(make_file(ROOT, "here"), MOVED);
	assert_int_equal(make_dir(ROOT, "dir_"), UP);
	must((struct req){ OP(SETXATTR), MOVED, "user.a" });
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, NULL), 0);
	/* Each has two new inodes. */
	for (uint64_t i = 1; i <= LOG_LEN && !atomic_load(&wrong); i++)
		one_entry(i, UP + 2 * i - 1);
	/* Readers have had their turn. */
	while (atomic_load(&reads) < 10 * READERS && !atomic_load(&wrong))
		sched_yield();
	atomic_store(&done, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(t[i], NULL);
	if (atomic_load(&wrong))
		fail_msg("line %d does not hold", atomic_load(&wrong));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(between_entries),
	};

	return cmocka_run_group_tests_name("metad_threads", tests, NULL, NULL);
}
