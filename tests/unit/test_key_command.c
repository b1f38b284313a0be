// SPDX-License-Identifier: Apache-2.0
/* datafs key, as an operator uses it. */
#define _GNU_SOURCE
#include "wire_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../utils/key.h"
#include "../../utils/report.h"
#include "tmpdir.h"

static char top[2000], text[2000];

static int setup(void **state)
{
	(void)state;
	text[0] = 0;
	return tmpdir_make(top, sizeof(top), "key") || chdir(top);
}

static int teardown(void **state)
{
	(void)state;
	return chdir("..") || tmpdir_remove(top);
}

/* In a process of its own; both of what it prints is in @text then. */
static int key(const char *words)
{
	int fd = open("out", O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	char copy[300], *argv[8] = { "key" }, *save;
	int argc = 1, status;
	ssize_t n;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (!pid) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		status = datafs_key_command(argc, argv);
		fflush(stdout);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static struct datafs_keys load(const char *path)
{
	struct datafs_keys keys;

	assert_int_equal(datafs_keys_load(&keys, path), 0);
	return keys;
}

static bool has(const char *words)
{
	return strstr(text, words);
}

/* A cluster, from its first key to its second. */
static void whole_life(void **state)
{
	struct datafs_keys member, client, peer, want;
	char lines[2000];

	(void)state;
	assert_int_equal(key("new m"), 0);
	assert_true(has("cluster "));
	assert_true(has("\nholder member\nkey 1 "));
	member = load("m");
	strcpy(lines, text);
	assert_int_equal(key("show m"), 0);
	assert_string_equal(text, lines);

	assert_int_equal(key("client m 17 c"), 0);
	assert_true(has("\nholder client:17\nkey 1 "));
	client = load("c");
	assert_int_equal(datafs_keys_for(&member, DATAFS_ROLE_CLIENT, 17, &want), 0);
	assert_memory_equal(&client, &want, sizeof(want));
	assert_int_equal(key("peer m p"), 0);
	assert_true(has("\nholder peer\nkey 1 "));
	peer = load("p");
	assert_int_equal(datafs_keys_for(&member, DATAFS_ROLE_PEER, 0, &want), 0);
	assert_memory_equal(&peer, &want, sizeof(want));

	assert_int_equal(key("add m"), 0);
	assert_true(has("\nkey 2 "));
	assert_true(has("\nkey 1 "));
	member = load("m");
	assert_int_equal(member.n, 2);
	/* Those that are derived follow, in the place of the earlier ones. */
	assert_int_equal(key("client m 17 c"), 0);
	client = load("c");
	assert_int_equal(datafs_keys_for(&member, DATAFS_ROLE_CLIENT, 17, &want), 0);
	assert_memory_equal(&client, &want, sizeof(want));
	assert_int_equal(key("retire c 1"), 0);
	assert_int_equal(key("retire m 1"), 0);
	assert_false(has("\nkey 1 "));
	member = load("m");
	assert_int_equal(member.n, 1);
	assert_int_equal(member.key[0].id, 2);
	client = load("c");
	assert_int_equal(client.n, 1);
	assert_int_equal(client.key[0].id, 2);
}

/* Each is refused with one line that says why, and changes nothing. */
static void refused(void **state)
{
	static const struct {
		const char *words, *why;
	} all[] = {
		{ "new m", "m: is there already" },
		{ "retire m 1", "key 1 is the only one" },
		{ "retire m 2", "has no key 2" },
		{ "retire m 0", "is no id of a key" },
		{ "retire m 4294967296", "is no id of a key" },
		{ "retire m 1x", "is no id of a key" },
		{ "client m 0 x", "is no node" },
		{ "client m -1 x", "is no node" },
		{ "client m 18446744073709551616 x", "is no node" },
		{ "client c 5 x", "no member's file" },
		{ "peer c x", "no member's file" },
		{ "add c", "no member's file" },
		{ "client m 5 c", "of another cluster or holder" },
		{ "peer m c", "of another cluster or holder" },
		{ "peer m m", "of another cluster or holder" },
		{ "client m2 17 c", "of another cluster or holder" },
		{ "show nowhere", "nowhere: No such file" },
		{ "add nowhere", "nowhere: No such file" },
		{ "new nowhere/m", "nowhere/m: No such file" },
		{ "show open", "chmod 600" },
		{ "add open", "chmod 600" },
		{ "peer open x", "chmod 600" },
		{ "peer m open", "chmod 600" },
	};
	struct datafs_keys m, c;

	(void)state;
	assert_int_equal(key("new m") | key("new m2") | key("new open"), 0);
	assert_int_equal(key("client m 17 c"), 0);
	assert_int_equal(chmod("open", 0644), 0);
	m = load("m");
	c = load("c");
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct datafs_keys now;

		assert_int_equal(key(all[i].words), DATAFS_EXIT_FAIL);
		if (!has(all[i].why))
			fail_msg("%s: %s", all[i].words, text);
		assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
		now = load("m");
		assert_memory_equal(&now, &m, sizeof(m));
		now = load("c");
		assert_memory_equal(&now, &c, sizeof(c));
		assert_int_equal(access("x", F_OK), -1);
	}
	assert_int_equal(key("add m"), 0);
	assert_int_equal(key("add m"), DATAFS_EXIT_FAIL);
	assert_true(has("two keys are live"));
}

static void usage(void **state)
{
	static const char *const all[] = {
		"", "new", "new m m", "client m 5", "peer m", "retire m", "add",
		"show", "revoke m",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		assert_int_equal(key(all[i]), DATAFS_EXIT_USAGE);
		assert_true(has("usage: datafs key"));
	}
	assert_int_equal(access("m", F_OK), -1);
}

/* A link stays one; and nothing that is printed is a key. */
static void link_and_secret(void **state)
{
	char hex[3] = "", all[2 * DATAFS_HASH_LEN + 1] = "";
	struct datafs_keys keys;
	struct stat st;

	(void)state;
	assert_int_equal(key("new m"), 0);
	assert_int_equal(symlink("m", "l"), 0);
	assert_int_equal(key("add l"), 0);
	assert_int_equal(lstat("l", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	keys = load("m");
	assert_int_equal(keys.n, 2);
	for (unsigned int i = 0; i < 2; i++) {
		all[0] = 0;
		for (unsigned int j = 0; j < 4; j++) {
			snprintf(hex, sizeof(hex), "%02x", keys.key[i].key[j]);
			strcat(all, hex);
		}
		assert_false(has(all));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(whole_life), T(refused), T(usage), T(link_and_secret),
	};

	return cmocka_run_group_tests_name("key_command", tests, NULL, NULL);
}
