// SPDX-License-Identifier: Apache-2.0
/*
 * Each allocation of an entry fails once, and then that one and all behind it: nothing
 * of the entry is there, and it succeeds when it comes again.
 */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "tmpdir.h"

/* The linker gives them all calls of our own code, none of libraries'. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);

static unsigned int fails_in;	/* 1: the next; 0: none */
static bool all_behind;

static bool fails(void)
{
	if (!fails_in || --fails_in)
		return false;
	fails_in = all_behind;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

#define COPIES	24
#define MORE	21	/* commands that are there once */

/* Commands that need what an entry can need, many times, so that each runs out. */
static uint8_t *big_entry(size_t *len)
{
	static const char value[3000];
	static char names[COPIES][8];
	struct req r[COPIES * 8 + MORE];
	size_t n = 0;

	for (int i = 0; i < COPIES; i++) {
		const char *name = snprintf(names[i], 8, "%d", i) > 0 ? names[i] : "";

		r[n++] = (struct req){ OP(MKDIR), 2, name, .mode = 0755 };
		r[n++] = (struct req){ OP(MKDIR), 2, name };
		r[n++] = (struct req){ OP(CREATE), ROOT, name };
		r[n++] = (struct req){ OP(SETXATTR), 3, "user.x", .value = value,
				       .len = sizeof(value) };
		r[n++] = (struct req){ OP(RENAME), 2, name, ROOT, name, .replace = true };
		r[n++] = (struct req){ OP(SYMLINK), ROOT, "s", .value = "x", .len = 1 };
		r[n++] = (struct req){ OP(UNLINK), ROOT, "s" };
		r[n++] = (struct req){ OP(HOLD), 3 };
	}
	r[n++] = (struct req){ OP(MOUNT_ADD), .name = "/a/b", .source = "/srv", .options = "uid=1" };
	r[n++] = (struct req){ OP(MOUNT_SET), .name = "/m", .options = "uid=2" };
	r[n++] = (struct req){ OP(MOUNT_REMOVE), .name = "/n" };
	r[n++] = (struct req){ OP(NODE_JOIN), .name = "new", .source = "h:1" };
	r[n++] = (struct req){ OP(NODE_SET), .name = "nine", .create = true };
	r[n++] = (struct req){ OP(NODE_REMOVE), .name = "nine" };
	r[n++] = (struct req){ OP(JOB_ADD), .name = "/a", .mode = DATAFS_JOB_LOAD };
	r[n++] = (struct req){ OP(JOB_CLAIM), .ino = 4 };
	r[n++] = (struct req){ OP(JOB_REPORT), .ino = 4, .uid = 1, .source = "f: bad",
			       .level = DATAFS_JOB_FAILED };
	r[n++] = (struct req){ OP(JOB_REMOVE), .ino = 4 };
	r[n++] = (struct req){ OP(JOB_CANCEL), .ino = 2 };
	r[n++] = (struct req){ OP(NODE_JOIN), .name = "other" };
	r[n++] = (struct req){ OP(POLICY_SET), .name = "/a/b", .level = DATAFS_POLICY_KEEP };
	r[n++] = (struct req){ OP(POLICY_SET), .name = "/p", .level = DATAFS_POLICY_ONCE };
	r[n++] = (struct req){ OP(POLICY_REMOVE), .name = "/p" };
	r[n++] = (struct req){ OP(LISTING_PUT), 1, .to = 1, .value = "q", .len = 1, .create = true };
	r[n++] = (struct req){ OP(LISTING_TICKET), 1, "other", .generation = 1 };
	r[n++] = (struct req){ OP(LISTING_DROP), 2 };
	for (size_t i = 0; i < n; i++) {
		r[i].session = SESSION;
		r[i].request = 100 + i;
		r[i].lowest = 90 + i;
	}
	r[n++] = (struct req){ OP(FEATURE), .level = DATAFS_METAD_LEVEL, .request = 1 };
	r[n++] = (struct req){ OP(SESSION_LEASE), .ino = 9, .level = 300, .request = 1 };
	r[n++] = (struct req){ OP(SESSION_CLOSE), .ino = 9, .request = 1 };
	return req_pack(r, n, 5000000000, 0, len);
}

static void prepare(void)
{
	static const char acl[] = "\2\0\0\0\1\0\7\0\0\0\0\0\4\0\5\0\0\0\0\0"
				  "\x20\0\1\0\0\0\0";

	assert_int_equal(make_dir(ROOT, "d"), 2);
	assert_int_equal(make_file(ROOT, "f"), 3);
	must((struct req){ OP(SETXATTR), 2, "system.posix_acl_default", .value = acl,
			   .len = sizeof(acl) });
	must((struct req){ OP(SESSION_OPEN), .session = 9, .request = 1 });
	must((struct req){ OP(HOLD), 2, .session = 9, .request = 2 });
	must((struct req){ OP(FEATURE), .level = DATAFS_METAD_LEVEL, .request = 1 });
	must((struct req){ OP(MOUNT_ADD), .name = "/m", .source = "/srv/m" });
	must((struct req){ OP(MOUNT_ADD), .name = "/n", .source = "/srv/n" });
	must((struct req){ OP(NODE_JOIN), .name = "nine", .session = 9, .request = 3 });
	must((struct req){ OP(JOB_ADD), .name = "/a", .mode = DATAFS_JOB_LOAD, .to = 1 });
	must((struct req){ OP(JOB_ADD), .name = "/b", .mode = DATAFS_JOB_FREE });
	must((struct req){ OP(JOB_ADD), .name = "/c", .mode = DATAFS_JOB_FREE });
	must((struct req){ OP(JOB_CLAIM), .ino = 2, .session = 9, .request = 4 });
	must((struct req){ OP(JOB_CLAIM), .ino = 3, .session = 9, .request = 5 });
	must((struct req){ OP(POLICY_SET), .name = "/p", .level = DATAFS_POLICY_KEEP });
	must((struct req){ OP(LISTING_TICKET), 1, "d", .generation = 1 });
	must((struct req){ OP(LISTING_PUT), 1, .value = "p", .len = 1 });
}

static unsigned int try_all(const uint8_t *entry, size_t len, bool behind)
{
	struct datafs_metad_results res;
	size_t was_len, is_len;
	uint8_t *was = metad_dump(m, &was_len), *is;
	unsigned int n = 0;
	int ret;

	for (;;) {
		fails_in = ++n;
		all_behind = behind;
		ret = datafs_metad_apply(m, entry_index + 1, 1, entry, len, &res);
		if (fails_in && !(behind && ret)) {
			fails_in = 0;
			break;	/* it needed fewer */
		}
		fails_in = 0;
		assert_int_equal(ret, -ENOMEM);
		assert_true(!res.n && !res.r);
		is = metad_dump(m, &is_len);
		assert_int_equal(is_len, was_len);
		assert_memory_equal(is, was, is_len);
		free(is);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(res.n, COPIES * 8 + MORE);
	datafs_metad_results_free(&res);
	free(was);
	return n - 1;
}

static void no_memory(bool behind)
{
	size_t len, is_len, want_len;
	uint8_t *entry = big_entry(&len), *is, *want;

	prepare();
	/* Each command alone has four: itself, its op, a name, its result. */
	assert_true(try_all(entry, len, behind) > COPIES * 8 * 4);
	assert_null(metad_check(m));
	is = metad_dump(m, &is_len);
	metad_teardown(NULL);
	/* A member that had memory. */
	assert_int_equal(metad_setup(NULL), 0);
	prepare();
	assert_int_equal(datafs_metad_apply(m, entry_index + 1, 1, entry, len, NULL), 0);
	want = metad_dump(m, &want_len);
	assert_int_equal(is_len, want_len);
	assert_memory_equal(is, want, is_len);
	free(is);
	free(want);
	free(entry);
}

static void one_fails(void **state)
{
	(void)state;
	no_memory(false);
}

static void the_rest_fails(void **state)
{
	(void)state;
	no_memory(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(one_fails),
		METAD_TEST(the_rest_fails),
	};

	return cmocka_run_group_tests_name("metad_memory", tests, NULL, NULL);
}
