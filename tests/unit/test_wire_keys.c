// SPDX-License-Identifier: Apache-2.0
/* Key files: what is taken, what is refused, and what is said about it. */
#define _GNU_SOURCE
#include "wire_fixture.h"

#include <dirent.h>
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
	assert_int_equal(parse(&k, C1 " 1 peer " K1 "\n" C1 " 2 peer " K2), 0);
	assert_int_equal(k.holder, DATAFS_ROLE_PEER);
	assert_int_equal(k.node, 0);
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
		C1 " 1 peers " K1, C1 " 1 peer:1 " K1,
		C1 " 1 member " K1 "\n" C1 " 2 peer " K2,
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
	static const uint8_t want_peer[DATAFS_HASH_LEN] = {
		0x32, 0x93, 0xf9, 0x0d, 0x3a, 0x12, 0xad, 0xcd, 0x0f, 0xb0, 0x91,
		0x8f, 0x75, 0xb9, 0xa1, 0x62, 0x40, 0x53, 0x8e, 0x07, 0x14, 0x89,
		0xcc, 0xf4, 0x43, 0x1c, 0x98, 0xbb, 0x48, 0xd1, 0x3f, 0xd0,
	};
	struct datafs_keys member = { .holder = DATAFS_ROLE_MEMBER, .n = 2 };
	struct datafs_keys k;

	(void)state;
	member.key[0].id = 9;
	member.key[1].id = 4;
	for (size_t i = 0; i < DATAFS_HASH_LEN; i++)
		member.key[1].key[i] = i;
	for (size_t i = 0; i < sizeof(member.cluster); i++)
		member.cluster[i] = 0x10 + i;
	assert_int_equal(datafs_keys_for(&member, DATAFS_ROLE_CLIENT,
					 0x0102030405060708, &k), 0);
	assert_int_equal(k.n, 2);
	assert_int_equal(k.key[0].id, 9);
	assert_int_equal(k.key[1].id, 4);
	assert_int_equal(k.node, 0x0102030405060708);
	assert_memory_equal(k.key[1].key, want, sizeof(want));
	assert_memory_not_equal(k.key[0].key, want, sizeof(want));
	assert_int_equal(datafs_keys_for(&member, DATAFS_ROLE_PEER, 0, &k), 0);
	assert_int_equal(k.holder, DATAFS_ROLE_PEER);
	assert_memory_equal(k.key[1].key, want_peer, sizeof(want_peer));
	/* Of a derived one none is derived. */
	member.holder = DATAFS_ROLE_PEER;
	assert_int_equal(datafs_keys_for(&member, DATAFS_ROLE_PEER, 0, &k), -EACCES);
	assert_memory_equal(&k, nothing, sizeof(k));
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

/* The peers' is theirs only, and all of them have the same. */
static void peer_pairs(void **state)
{
	const enum datafs_role m = DATAFS_ROLE_MEMBER, c = DATAFS_ROLE_CLIENT,
			       p = DATAFS_ROLE_PEER;
	struct datafs_keys member = wire_keys(5, 2), peer;
	struct datafs_keys five = wire_client_keys(&member, 5);
	uint8_t a[DATAFS_HASH_LEN];

	(void)state;
	assert_int_equal(datafs_keys_for(&member, p, 0, &peer), 0);
	assert_int_equal(datafs_keys_between(&peer, 5, p, 1, p, 2, a), 0);
	assert_memory_equal(a, peer.key[0].key, sizeof(a));
	for (enum datafs_role other = 0; other < DATAFS_ROLE_NR; other++) {
		const struct datafs_keys *all[] = { &member, &five, &peer };

		if (other == p)
			continue;
		for (int i = 0; i < 3; i++) {
			assert_int_equal(datafs_keys_between(all[i], 5, p, 5,
							     other, 5, a), -EACCES);
			assert_int_equal(datafs_keys_between(all[i], 5, other, 5,
							     p, 5, a), -EACCES);
		}
	}
	assert_int_equal(datafs_keys_between(&member, 5, p, 1, p, 2, a), -EACCES);
	assert_int_equal(datafs_keys_between(&five, 5, p, 5, p, 2, a), -EACCES);
	assert_int_equal(datafs_keys_between(&peer, 5, m, 1, m, 2, a), -EACCES);
	assert_int_equal(datafs_keys_between(&peer, 5, m, 1, c, 0, a), -EACCES);
}

static void stored_is(const struct datafs_keys *want)
{
	struct datafs_keys k;
	struct stat st;

	assert_int_equal(datafs_keys_load(&k, path), 0);
	assert_memory_equal(&k, want, sizeof(k));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static unsigned int files_in(const char *dir)
{
	unsigned int n = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	while ((e = readdir(d)))
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

/* What is written is what is read, whatever the umask. */
static void stored(void **state)
{
	struct datafs_keys keys, other, derived;
	mode_t mask = umask(0);

	(void)state;
	assert_int_equal(datafs_keys_new(&keys), 0);
	assert_int_equal(datafs_keys_new(&other), 0);
	assert_memory_not_equal(keys.cluster, other.cluster, sizeof(keys.cluster));
	assert_memory_not_equal(keys.key[0].key, other.key[0].key, DATAFS_HASH_LEN);
	assert_int_equal(datafs_keys_store(&keys, path, false), 0);
	stored_is(&keys);
	assert_int_equal(datafs_keys_store(&other, path, false), -EEXIST);
	stored_is(&keys);
	assert_int_equal(datafs_keys_add(&keys), 0);
	assert_int_equal(datafs_keys_store(&keys, path, true), 0);
	stored_is(&keys);
	assert_int_equal(datafs_keys_for(&keys, DATAFS_ROLE_CLIENT, UINT64_MAX,
					 &derived), 0);
	assert_int_equal(datafs_keys_store(&derived, path, true), 0);
	stored_is(&derived);
	assert_int_equal(datafs_keys_for(&keys, DATAFS_ROLE_PEER, 0, &derived), 0);
	assert_int_equal(datafs_keys_store(&derived, path, true), 0);
	stored_is(&derived);
	assert_int_equal(files_in(top), 1);
	umask(mask);
	snprintf(path, sizeof(path), "%s/nowhere/keys", top);
	assert_int_equal(datafs_keys_store(&keys, path, false), -ENOENT);
}

static void rotation(void **state)
{
	struct datafs_keys keys, first;

	(void)state;
	assert_int_equal(datafs_keys_new(&keys), 0);
	first = keys;
	assert_int_equal(keys.key[0].id, 1);
	assert_int_equal(datafs_keys_retire(&keys, 1), -EBUSY);
	assert_int_equal(datafs_keys_retire(&keys, 2), -ENOENT);
	assert_int_equal(datafs_keys_add(&keys), 0);
	assert_int_equal(keys.n, 2);
	assert_int_equal(keys.key[0].id, 2);
	assert_memory_equal(&keys.key[1], &first.key[0], sizeof(first.key[0]));
	assert_int_equal(datafs_keys_add(&keys), -ENOSPC);
	assert_int_equal(datafs_keys_retire(&keys, 3), -ENOENT);
	/* The newer one was a mistake. */
	assert_int_equal(datafs_keys_retire(&keys, 2), 0);
	assert_memory_equal(&keys, &first, sizeof(keys));
	assert_int_equal(datafs_keys_add(&keys), 0);
	assert_int_equal(datafs_keys_retire(&keys, 1), 0);
	assert_int_equal(keys.n, 1);
	assert_int_equal(keys.key[0].id, 2);
	keys.key[0].id = UINT32_MAX;
	assert_int_equal(datafs_keys_add(&keys), -ERANGE);
	keys.holder = DATAFS_ROLE_PEER;
	assert_int_equal(datafs_keys_add(&keys), -EACCES);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(good), T(bad), T(names_line), T(modes), T(files), T(owners),
		T(derived), T(pairs), T(peer_pairs), T(stored),
		T(rotation),
	};

	return cmocka_run_group_tests_name("wire_keys", tests, NULL, NULL);
}
