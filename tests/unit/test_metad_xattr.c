// SPDX-License-Identifier: Apache-2.0
/* Extended attributes, and how ACLs and modes follow each other. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <endian.h>

#define ACCESS	"system.posix_acl_access"
#define DEFAULT	"system.posix_acl_default"

struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} e[8];
};

/* "u7 U5:1000 g5 m7 o0": a letter (capital: named), permission, id. */
static size_t acl_of(const char *text, struct acl *a)
{
	static const char letters[] = "uUgGmo";
	int n = 0, id, used;
	char c;

	memset(a, 0, sizeof(*a));
	a->version = htole32(2);
	while (sscanf(text, " %c%n", &c, &used) == 1) {
		text += used;
		a->e[n].tag = htole16((uint16_t)(1 << (strchr(letters, c) - letters)));
		a->e[n].perm = htole16((uint16_t)(*text++ - '0'));
		if (*text == ':' && sscanf(text, ":%d%n", &id, &used) == 1) {
			a->e[n].id = htole32((uint32_t)id);
			text += used;
		}
		n++;
	}
	return 4 + 8 * (size_t)n;
}

static int set_acl(uint64_t ino, const char *name, const char *text)
{
	struct acl a;
	size_t len = acl_of(text, &a);

	return error_of((struct req){ OP(SETXATTR), ino, name, .value = &a, .len = len });
}

static void assert_acl(uint64_t ino, const char *name, const char *text)
{
	struct acl want;
	size_t len = acl_of(text, &want);
	char buf[256];
	ssize_t ret = datafs_metad_getxattr(m, ino, name, strlen(name), buf, sizeof(buf));

	if (!*text) {
		assert_int_equal(ret, -ENODATA);
		return;
	}
	assert_int_equal(ret, len);
	assert_memory_equal(buf, &want, len);
}

static const char *const bad_acls[] = {
	"u7", "u7 g7", "g7 o7", "u7 o7 g7", "u7 U5:1 g7 o7", "u7 g7 o7 o7",
	"u7 g7 G5:1 o7", "u8 g7 o7", "u7 u7 g7 o7", "u7 g7 m7 m7 o7",
	"u7 U5:-1 g7 m7 o7", "u7 g7 m7 G1:1 o7", "u7 G7:1 m7 o7",
};

static void access_acl(void **state)
{
	uint64_t f = make_file(ROOT, "f");

	(void)state;
	for (size_t i = 0; i < sizeof(bad_acls) / sizeof(bad_acls[0]); i++)
		assert_int_equal(set_acl(f, ACCESS, bad_acls[i]), EINVAL);
	assert_int_equal(attr_of(f).mode, S_IFREG | 0644);
	/* No more than a mode: not stored. */
	assert_int_equal(set_acl(f, ACCESS, "u7 g5 o1"), 0);
	assert_int_equal(attr_of(f).mode, S_IFREG | 0751);
	assert_acl(f, ACCESS, "");
	/* The group's bits are the mask's. */
	assert_int_equal(set_acl(f, ACCESS, "u6 U7:1000 g4 G1:5 m6 o0"), 0);
	assert_int_equal(attr_of(f).mode, S_IFREG | 0660);
	must((struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 04715 } });
	assert_acl(f, ACCESS, "u7 U7:1000 g4 G1:5 m1 o5");
	assert_int_equal(set_acl(f, ACCESS, "u6 g4 o4"), 0);
	assert_acl(f, ACCESS, "");
	assert_int_equal(attr_of(f).mode, S_IFREG | 04644);
	assert_int_equal(set_acl(f, DEFAULT, "u7 g5 o1"), EACCES);
	assert_int_equal(set_acl(f, ACCESS, "u6 g4 m7 o4"), 0);
	must((struct req){ OP(SETXATTR), f, ACCESS });
	assert_acl(f, ACCESS, "");
}

/* As Linux: of an access ACL only, and one that is taken away is none. */
static void setgid_goes(void **state)
{
	uint64_t f = make_file(ROOT, "f"), d = make_dir(ROOT, "d");
	struct req user = { OP(SETXATTR), f, "user.a", .kill_setgid = true };
	struct acl acl;

	(void)state;
	must((struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 06755 } });
	must((struct req){ OP(SETATTR), d, .set = { .has_mode = true, .mode = 03755 } });
	must(user);
	must((struct req){ OP(SETXATTR), f, ACCESS, .kill_setgid = true });
	must((struct req){ OP(SETXATTR), d, DEFAULT, .value = &acl,
			   .len = acl_of("u7 g5 o5", &acl), .kill_setgid = true });
	assert_int_equal(attr_of(f).mode, S_IFREG | 06755);
	assert_int_equal(attr_of(d).mode, S_IFDIR | 03755);
	assert_int_equal(set_acl(f, ACCESS, "u7 U5:1 g5 m5 o0"), 0);
	assert_int_equal(attr_of(f).mode, S_IFREG | 06750);
	must((struct req){ OP(SETXATTR), f, ACCESS, .value = &acl,
			   .len = acl_of("u7 U5:1 g5 m5 o5", &acl), .kill_setgid = true });
	assert_int_equal(attr_of(f).mode, S_IFREG | 04755);
	/* one that says no more than a mode */
	must((struct req){ OP(SETXATTR), d, ACCESS, .value = &acl,
			   .len = acl_of("u7 g5 o0", &acl), .kill_setgid = true });
	assert_int_equal(attr_of(d).mode, S_IFDIR | 01750);
}

static void default_acl(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), f, e;

	(void)state;
	assert_int_equal(set_acl(d, DEFAULT, "u7 U7:1000 g5 m7 o5"), 0);
	assert_int_equal(attr_of(d).mode, S_IFDIR | 0755);
	/* The umask does not count beside it. */
	f = must((struct req){ OP(CREATE), d, "f", .mode = 0664, .umask = 077 });
	assert_int_equal(attr_of(f).mode, S_IFREG | 0664);
	assert_acl(f, ACCESS, "u6 U7:1000 g5 m6 o4");
	assert_acl(f, DEFAULT, "");
	e = must((struct req){ OP(MKDIR), d, "e", .mode = 0777, .umask = 077 });
	assert_int_equal(attr_of(e).mode, S_IFDIR | 0775);
	assert_acl(e, ACCESS, "u7 U7:1000 g5 m7 o5");
	assert_acl(e, DEFAULT, "u7 U7:1000 g5 m7 o5");
	assert_int_equal(set_acl(e, DEFAULT, "u7 g5 o1"), 0);
	f = must((struct req){ OP(CREATE), e, "f", .mode = 0666, .umask = 077 });
	assert_int_equal(attr_of(f).mode, S_IFREG | 0640);
	assert_acl(f, ACCESS, "");
	must((struct req){ OP(REMOVEXATTR), e, DEFAULT });
	f = must((struct req){ OP(CREATE), e, "g", .mode = 0666, .umask = 077 });
	assert_int_equal(attr_of(f).mode, S_IFREG | 0600);
	f = must((struct req){ OP(SYMLINK), d, "s", .value = "x", .len = 1 });
	assert_int_equal(datafs_metad_listxattr(m, f, NULL, 0), 0);
}

static void plain(void **state)
{
	uint64_t f = make_file(ROOT, "f");
	struct req set = { OP(SETXATTR), f, "user.a", .value = "one", .len = 3 };
	char buf[64], *big = calloc(1, DATAFS_XATTR_MAX + 1);

	(void)state;
	must(set);
	set.create = true;
	assert_int_equal(error_of(set), EEXIST);
	set = (struct req){ OP(SETXATTR), f, "user.a", .value = "2", .len = 1, .replace = true };
	must(set);
	assert_int_equal(datafs_metad_getxattr(m, f, "user.a", 6, buf, sizeof(buf)), 1);
	assert_int_equal(*buf, '2');
	must((struct req){ OP(SETXATTR), f, "trusted.empty" });
	assert_int_equal(datafs_metad_getxattr(m, f, "trusted.empty", 13, buf, 1), 0);
	assert_int_equal(datafs_metad_listxattr(m, f, NULL, 0), 21);
	assert_int_equal(datafs_metad_listxattr(m, f, buf, 20), -ERANGE);
	assert_int_equal(datafs_metad_listxattr(m, f, buf, 21), 21);
	assert_memory_equal(buf, "trusted.empty\0user.a", 21);
	must((struct req){ OP(SETXATTR), f, "user.big", .value = big, .len = DATAFS_XATTR_MAX });
	assert_int_equal(datafs_metad_getxattr(m, f, "user.big", 8, buf, 64), -ERANGE);
	assert_int_equal(datafs_metad_getxattr(m, f, "user.big", 8, NULL, 0), DATAFS_XATTR_MAX);
	assert_int_equal(error_of((struct req){ OP(SETXATTR), f, "user.big", .value = big,
						.len = DATAFS_XATTR_MAX + 1 }), E2BIG);
	free(big);
	must((struct req){ OP(REMOVEXATTR), f, "user.a" });
	assert_int_equal(datafs_metad_getxattr(m, f, "user.a", 6, buf, 1), -ENODATA);
}

/* As many as listxattr(2) can tell. */
static void full_list(void **state)
{
	uint64_t f = make_file(ROOT, "f");
	char name[256];

	(void)state;
	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "user.%0250d", i);
		must((struct req){ OP(SETXATTR), f, name });
	}
	assert_int_equal(datafs_metad_listxattr(m, f, NULL, 0), 65536);
	assert_int_equal(error_of((struct req){ OP(SETXATTR), f, "user.x" }), ENOSPC);
	must((struct req){ OP(SETXATTR), f, name, .value = "x", .len = 1 });
	must((struct req){ OP(UNLINK), ROOT, "f" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(access_acl),
		METAD_TEST(setgid_goes),
		METAD_TEST(default_acl),
		METAD_TEST(plain),
		METAD_TEST(full_list),
	};

	return cmocka_run_group_tests_name("metad_xattr", tests, NULL, NULL);
}
