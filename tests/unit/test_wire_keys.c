// SPDX-License-Identifier: Apache-2.0
/* Key files: what is taken, what is refused, and what is said about it. */
#define _GNU_SOURCE
#include "wire_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tmpdir.h"

#define C1 "00112233445566778899aabbccddeeff"
#define C2 "00112233445566778899aabbccddeefe"
#define K1 "1111111111111111111111111111111111111111111111111111111111111111"
#define K2 "22222222222222222222222222222222222222222222222222222222222222Ff"
#define K0 "0000000000000000000000000000000000000000000000000000000000000000"

static char top[2048], path[2100];

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	if (tmpdir_make(top, sizeof(top), "keys"))
		return -1;
	snprintf(path, sizeof(path), "%s/keys", top);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return tmpdir_remove(top);
}

static void put(const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int parse(struct datafs_keys *keys, const char *text)
{
	return datafs_keys_parse(keys, text, strlen(text), "text");
}

static const uint8_t nothing[sizeof(struct datafs_keys)];

static void good(void **state)
{
	struct datafs_keys k;

	(void)state;
	assert_int_equal(parse(&k, "# words\n\n" C1 " 7 member " K1 "\n"), 0);
	assert_false(k.off);
	assert_int_equal(k.n, 1);
	assert_int_equal(k.holder, DATAFS_ROLE_MEMBER);
	assert_int_equal(k.key[0].id, 7);
	assert_int_equal(k.cluster[1], 0x11);
	assert_int_equal(k.cluster[15], 0xff);
	assert_int_equal(k.key[0].key[31], 0x11);
	/* The newest first, in either order; no newline at the end. */
	assert_int_equal(parse(&k, C1 " 7 member " K1 "\n\t" C1 "\t8  member " K2), 0);
	assert_int_equal(k.n, 2);
	assert_int_equal(k.key[0].id, 8);
	assert_int_equal(k.key[0].key[31], 0xff);
	assert_int_equal(k.key[1].id, 7);
	assert_int_equal(parse(&k, C1 " 8 member " K2 "\n" C1 " 7 member " K1 "\n"), 0);
	assert_int_equal(k.key[0].id, 8);
	assert_int_equal(k.key[1].id, 7);
	assert_int_equal(parse(&k, C1 " 4294967295 client:18446744073709551615 " K1), 0);
	assert_int_equal(k.key[0].id, UINT32_MAX);
	assert_int_equal(k.holder, DATAFS_ROLE_CLIENT);
	assert_int_equal(k.node, UINT64_MAX);
}

static void bad(void **state)
{
	static const char *const texts[] = {
		"", "\n# only words\n", C1, C1 " 1 member", "1 member " K1,
		C1 " 1 member " K1 " more", C1 " 1 " K1,
		C1 "0 1 member " K1, "0011 1 member " K1,
		"g0112233445566778899aabbccddeeff 1 member " K1,
		"00000000000000000000000000000000 1 member " K1,
		C1 " 0 member " K1, C1 " 4294967296 member " K1,
		C1 " -1 member " K1, C1 " 1x member " K1, C1 " x member " K1,
		C1 " 99999999999999999999999 member " K1,
		C1 " 1 members " K1, C1 " 1 client " K1, C1 " 1 client: " K1,
		C1 " 1 client:0 " K1, C1 " 1 client:18446744073709551616 " K1,
		C1 " 1 member 11" K1, C1 " 1 member 1111", C1 " 1 member " K0,
		C1 " 1 member " K1 "\r\n",
		C1 " 1 member " K1 "\n" C2 " 2 member " K2,
		C1 " 1 member " K1 "\n" C1 " 2 client:1 " K2,
		C1 " 1 client:2 " K1 "\n" C1 " 2 client:1 " K2,
		C1 " 1 member " K1 "\n" C1 " 1 member " K2,
		C1 " 1 member " K1 "\n" C1 " 2 member " K1,
		C1 " 1 member " K1 "\n" C1 " 2 member " K2 "\n" C1 " 3 member 33" K1,
		C1 " 1 member " K2 "\nnonsense",
	};
	char said[512];
	struct datafs_keys k;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		datafs_log_set_level(LOG_ERR);
		assert_int_equal(parse(&k, texts[i]), -EINVAL);
		datafs_log_set_level(LOG_CRIT);
		assert_memory_equal(&k, nothing, sizeof(k));
		/* Nothing of a key gets into the log. */
		datafs_log_last_error(said, sizeof(said));
		assert_int_equal(strncmp(said, "text: ", 6), 0);
		assert_null(strstr(said, "1111"));
		assert_null(strstr(said, "2222"));
	}
	assert_int_equal(datafs_keys_parse(&k, C1 " 1 member " K1 "\0x",
					   sizeof(C1 " 1 member " K1 "\0x"),
					   "text"), -EINVAL);
}

/* The line that is wrong is the one that is named. */
static void names_line(void **state)
{
	struct datafs_keys k;
	char said[512];

	(void)state;
	datafs_log_set_level(LOG_ERR);
	assert_int_equal(parse(&k, "#\n" C1 " 1 member " K1 "\n\nx\n#\n"), -EINVAL);
	datafs_log_last_error(said, sizeof(said));
	assert_non_null(strstr(said, "line 4: "));
}

static void modes(void **state)
{
	struct datafs_keys k;

	(void)state;
	for (mode_t mode = 0; mode <= 0777; mode++) {
		if (!(mode & 0400))
			continue;
		put(C1 " 1 member " K1 "\n", mode);
		assert_int_equal(datafs_keys_load(&k, path),
				 mode & 077 ? -EACCES : 0);
		assert_int_equal(k.n, mode & 077 ? 0 : 1);
	}
}

static void files(void **state)
{
	char text[DATAFS_KEYS_FILE_MAX + 2];
	struct datafs_keys k;

	(void)state;
	assert_int_equal(datafs_keys_load(&k, path), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(datafs_keys_load(&k, path), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(datafs_keys_load(&k, path), -EINVAL);
	assert_int_equal(rmdir(path), 0);
	put("", 0600);
	assert_int_equal(datafs_keys_load(&k, path), -EINVAL);
	/* Room for comments, but not for anything. */
	memset(text, '#', sizeof(text));
	memcpy(text, C1 " 1 member " K1 "\n", strlen(C1 " 1 member " K1 "\n"));
	text[DATAFS_KEYS_FILE_MAX] = 0;
	put(text, 0600);
	assert_int_equal(datafs_keys_load(&k, path), 0);
	text[DATAFS_KEYS_FILE_MAX] = '#';
	text[DATAFS_KEYS_FILE_MAX + 1] = 0;
	put(text, 0600);
	assert_int_equal(datafs_keys_load(&k, path), -EINVAL);
	assert_memory_equal(&k, nothing, sizeof(k));
}

static void owners(void **state)
{
	struct datafs_keys k;

	(void)state;
	if (geteuid()) {
		skip();
		return;
	}
	put(C1 " 1 member " K1 "\n", 0600);
	assert_int_equal(chmod(top, 0755), 0);
	assert_int_equal(chown(path, 12345, 0), 0);
	assert_int_equal(datafs_keys_load(&k, path), -EACCES);
	/* Its owner may; so may another read root's, if it can be opened. */
	assert_int_equal(seteuid(12345), 0);
	if (!access(top, X_OK))
		assert_int_equal(datafs_keys_load(&k, path), 0);
	assert_int_equal(seteuid(0), 0);
}

/* Made with Python's hmac from the same words. */
static void derived(void **state)
{
	static const uint8_t want[DATAFS_HASH_LEN] = {
		0xe5, 0x63, 0x63, 0xb4, 0xa5, 0xb9, 0x15, 0x1e, 0xa1, 0xfa, 0x0f,
		0x16, 0x84, 0x40, 0xa7, 0x97, 0x12, 0x92, 0xcc, 0x90, 0xdf, 0xce,
		0x14, 0x3b, 0x74, 0xc3, 0x4f, 0xdc, 0x74, 0xd6, 0x36, 0x49,
	};
	uint8_t key[DATAFS_HASH_LEN], cluster[16], out[DATAFS_HASH_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	for (size_t i = 0; i < sizeof(cluster); i++)
		cluster[i] = 0x10 + i;
	assert_int_equal(datafs_keys_derive(key, cluster, 0x0102030405060708,
					    out), 0);
	assert_memory_equal(out, want, sizeof(want));
}

/* Who has a key with whom, and that both sides have the same one. */
static void pairs(void **state)
{
	const enum datafs_role m = DATAFS_ROLE_MEMBER, c = DATAFS_ROLE_CLIENT;
	struct datafs_keys keys = wire_keys(5, 2);
	struct datafs_keys five = wire_client_keys(&keys, 5);
	uint8_t a[DATAFS_HASH_LEN], b[DATAFS_HASH_LEN];

	(void)state;
	assert_int_equal(datafs_keys_between(&keys, 3, m, 1, m, 2, a), -ENOKEY);
	assert_int_equal(datafs_keys_between(&keys, 0, m, 1, m, 2, a), -ENOKEY);
	assert_int_equal(datafs_keys_between(&keys, 4, m, 1, m, 2, a), 0);
	assert_memory_equal(a, keys.key[1].key, sizeof(a));
	assert_int_equal(datafs_keys_between(&keys, 5, m, 1, c, 5, a), 0);
	assert_int_equal(datafs_keys_between(&five, 5, c, 5, m, 1, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, keys.key[0].key, sizeof(a));
	/* Another node's is another one, and nobody else's to use. */
	assert_int_equal(datafs_keys_between(&keys, 5, m, 1, c, 6, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(datafs_keys_between(&five, 5, c, 6, m, 1, b), -EACCES);
	assert_int_equal(datafs_keys_between(&five, 5, m, 5, m, 1, b), -EACCES);
	assert_int_equal(datafs_keys_between(&five, 5, c, 5, c, 6, b), -EACCES);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(good), T(bad), T(names_line), T(modes), T(files), T(owners),
		T(derived), T(pairs),
	};

	return cmocka_run_group_tests_name("wire_keys", tests, NULL, NULL);
}
