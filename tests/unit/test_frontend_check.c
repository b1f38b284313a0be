// SPDX-License-Identifier: Apache-2.0
/* What a request that changes something must look like. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "frontend/check.h"

#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

/* Is it taken? @extra: bytes that it is too long. */
static bool taken(enum datafs_opcode op, const void *body, const char *name,
		  const char *more, size_t more_len, int extra)
{
	size_t namelen = name ? strlen(name) : 0, at = datafs_shapes[op].body, len;
	struct datafs_req req = { .opcode = op, .mount_id = 1, .namelen = namelen };
	bool ok;
	char *buf;

	len = at + datafs_round_up(namelen, 8) + datafs_round_up(more_len, 8);
	/* Exactly as long as it says, so that the sanitizer sees what is beyond. */
	req.len = sizeof(req) + len + extra;
	buf = calloc(1, len + extra ? len + extra : 1);
	if (at)
		memcpy(buf, body, DATAFS_MIN(at, len + extra));
	if (name && len + extra > at)
		memcpy(buf + at, name, DATAFS_MIN(namelen, len + extra - at));
	if (more && !extra)
		memcpy(buf + at + datafs_round_up(namelen, 8), more, more_len);
	ok = !datafs_request_check(&req, buf);
	free(buf);
	return ok;
}

static void test_names(void **state)
{
	static const enum datafs_opcode ops[] = {
		DATAFS_OP_CREATE, DATAFS_OP_MKDIR, DATAFS_OP_MKNOD, DATAFS_OP_LINK,
		DATAFS_OP_UNLINK, DATAFS_OP_RMDIR, DATAFS_OP_LOOKUP,
	};
	static const char body[64];

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		assert_true(taken(ops[i], body, "a", NULL, 0, 0));
		assert_true(taken(ops[i], body, "...", NULL, 0, 0));
		assert_true(taken(ops[i], body, LONG, NULL, 0, 0));
		assert_false(taken(ops[i], body, LONG "f", NULL, 0, 0));
		assert_false(taken(ops[i], body, "", NULL, 0, 0));
		assert_false(taken(ops[i], body, ".", NULL, 0, 0));
		assert_false(taken(ops[i], body, "..", NULL, 0, 0));
		assert_false(taken(ops[i], body, "a/b", NULL, 0, 0));
		assert_false(taken(ops[i], body, "a", NULL, 0, 8));
		assert_false(taken(ops[i], body, "a", NULL, 0, -8));
	}
	assert_true(taken(DATAFS_OP_REMOVEXATTR, body, "user.a/b", NULL, 0, 0));
	assert_false(taken(DATAFS_OP_SETATTR, body, "a", NULL, 0, 0));
	assert_false(taken(DATAFS_OP_SETATTR, body, NULL, NULL, 0, -8));
	assert_true(taken(DATAFS_OP_SETATTR, body, NULL, NULL, 0, 0));
	assert_true(taken(DATAFS_OP_RELEASE, body, NULL, NULL, 0, 0));
	assert_false(taken(DATAFS_OP_RELEASE, body, NULL, NULL, 0, 8));
}

static void test_strings(void **state)
{
	struct datafs_make_req sl = { .target_len = 5 };
	struct datafs_rename_req rn = { .new_namelen = 2 };
	struct datafs_setxattr_req x = { .value_len = 3 };
	struct datafs_remove_req rm = { .flags = 2 };
	char big[DATAFS_XATTR_MAX + 8] = "";

	(void)state;
	assert_true(taken(DATAFS_OP_SYMLINK, &sl, "s", "to/it", 5, 0));
	assert_false(taken(DATAFS_OP_SYMLINK, &sl, "s", "to\0it", 5, 0));
	assert_false(taken(DATAFS_OP_SYMLINK, &sl, "s", NULL, 0, 0));
	assert_false(taken(DATAFS_OP_SYMLINK, &sl, "s", "0123456789", 10, 0));
	assert_false(taken(DATAFS_OP_CREATE, &sl, "s", "to/it", 5, 0));
	sl.target_len = 0;
	assert_false(taken(DATAFS_OP_SYMLINK, &sl, "s", NULL, 0, 0));
	memset(big, 'a', sizeof(big));
	sl.target_len = DATAFS_SYMLINK_MAX + 1;
	assert_false(taken(DATAFS_OP_SYMLINK, &sl, "s", big, DATAFS_SYMLINK_MAX + 1, 0));
	sl = (struct datafs_make_req) { .reserved = 1 };
	assert_false(taken(DATAFS_OP_CREATE, &sl, "s", NULL, 0, 0));

	assert_true(taken(DATAFS_OP_RENAME, &rn, "a", "bb", 2, 0));
	assert_false(taken(DATAFS_OP_RENAME, &rn, "a", "..", 2, 0));
	assert_false(taken(DATAFS_OP_RENAME, &rn, "a", "b/", 2, 0));
	assert_false(taken(DATAFS_OP_RENAME, &rn, "a", NULL, 0, 0));
	rn.flags = 8;
	assert_false(taken(DATAFS_OP_RENAME, &rn, "a", "bb", 2, 0));
	rn = (struct datafs_rename_req) { .new_namelen = 9 };
	assert_false(taken(DATAFS_OP_RENAME, &rn, "a", "bb", 2, 0));
	assert_false(taken(DATAFS_OP_RMDIR, &rm, "a", NULL, 0, 0));

	assert_true(taken(DATAFS_OP_SETXATTR, &x, "user.a", "\0\0\0", 3, 0));
	x.flags = 4;
	assert_false(taken(DATAFS_OP_SETXATTR, &x, "user.a", "\0\0\0", 3, 0));
	x = (struct datafs_setxattr_req) { .value_len = DATAFS_XATTR_MAX };
	assert_true(taken(DATAFS_OP_SETXATTR, &x, "user.a", big, DATAFS_XATTR_MAX, 0));
	assert_false(taken(DATAFS_OP_SETXATTR, &x, "user.a", "abc", 3, 0));
	x.value_len++;
	assert_false(taken(DATAFS_OP_SETXATTR, &x, "user.a", big, DATAFS_XATTR_MAX + 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
