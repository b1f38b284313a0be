// SPDX-License-Identifier: Apache-2.0
/* datafs key; see key.h, and daemon/wire/keys.h for the files. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "key.h"
#include "report.h"
#include "wire/keys.h"

#define LABEL_CHECK	"datafs key check"
#define CHECK_LEN	4

/* One of the commands: what its arguments are is in the table below. */
struct command {
	const char *name, *args, *what;
	int nargs;
	int (*run)(char **args);
};

static int load(struct datafs_keys *keys, const char *path)
{
	char why[512];
	int ret = datafs_keys_load(keys, path);

	if (ret) {
		datafs_log_last_error(why, sizeof(why));
		warnx("%s", why);
	}
	return ret;
}

/* 1 to @max, in digits only; 0: it is not. */
static uint64_t number(const char *text, uint64_t max)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno || v > max ? 0 : v;
}

/*
 * Tells whether the keys of two files are the same, and nothing about them: so
 * many bits of a hash of 256 random ones.
 */
static int print_key(const struct datafs_key *key)
{
	uint8_t hash[DATAFS_HASH_LEN];

	if (datafs_hmac(key->key, LABEL_CHECK, strlen(LABEL_CHECK), hash)) {
		warnx("libcrypto cannot do HMAC-SHA256");
		return -EIO;
	}
	printf("key %" PRIu32 " ", key->id);
	for (unsigned int i = 0; i < CHECK_LEN; i++)
		printf("%02x", hash[i]);
	putchar('\n');
	return 0;
}

static int print_keys(const struct datafs_keys *keys)
{
	int ret = 0;

	fputs("cluster ", stdout);
	for (unsigned int i = 0; i < sizeof(keys->cluster); i++)
		printf("%02x", keys->cluster[i]);
	if (keys->holder == DATAFS_ROLE_CLIENT)
		printf("\nholder client:%" PRIu64 "\n", keys->node);
	else
		printf("\nholder %s\n", keys->holder == DATAFS_ROLE_PEER ?
		       "peer" : "member");
	for (unsigned int i = 0; i < keys->n && !ret; i++)
		ret = print_key(&keys->key[i]);
	return ret;
}

static int store(const struct datafs_keys *keys, const char *path, bool replace)
{
	int ret = datafs_keys_store(keys, path, replace);

	if (!ret)
		return print_keys(keys);
	if (ret == -EEXIST)
		warnx("%s: is there already, and is left alone", path);
	else
		warnx("%s: %s", path, strerror(-ret));
	return ret;
}

static int cmd_new(char **args)
{
	struct datafs_keys keys;
	int ret = datafs_keys_new(&keys);

	if (ret)
		warnx("no random bytes: %s", strerror(-ret));
	else
		ret = store(&keys, args[0], false);
	datafs_keys_wipe(&keys);
	return ret;
}

static int cmd_show(char **args)
{
	struct datafs_keys keys;
	int ret = load(&keys, args[0]);

	if (!ret)
		ret = print_keys(&keys);
	datafs_keys_wipe(&keys);
	return ret;
}

/* What is there may be replaced if it is an earlier one of the same. */
static int store_derived(const struct datafs_keys *keys, const char *path)
{
	bool there = !access(path, F_OK);
	struct datafs_keys old;
	int ret = 0;

	if (there) {
		ret = load(&old, path);
		if (!ret && !datafs_keys_same_holder(keys, &old)) {
			warnx("%s: is of another cluster or holder, and is left alone",
			      path);
			ret = -EEXIST;
		}
		datafs_keys_wipe(&old);
	}
	return ret ? ret : store(keys, path, there);
}

static int derive(const char *from, enum datafs_role holder, uint64_t node,
		  const char *path)
{
	struct datafs_keys member, keys = { 0 };
	int ret = load(&member, from);

	if (!ret) {
		ret = datafs_keys_for(&member, holder, node, &keys);
		if (ret == -EACCES)
			warnx("%s: no member's file: others are derived from that only",
			      from);
		else if (ret)
			warnx("libcrypto cannot do HMAC-SHA256");
	}
	datafs_keys_wipe(&member);
	if (!ret)
		ret = store_derived(&keys, path);
	datafs_keys_wipe(&keys);
	return ret;
}

static int cmd_client(char **args)
{
	uint64_t node = number(args[1], UINT64_MAX);

	if (!node) {
		warnx("\"%s\" is no node: a number from 1 to 2^64 - 1", args[1]);
		return -EINVAL;
	}
	return derive(args[0], DATAFS_ROLE_CLIENT, node, args[2]);
}

static int cmd_peer(char **args)
{
	return derive(args[0], DATAFS_ROLE_PEER, 0, args[1]);
}

/* Of two that change a file one waits: its change is not lost. */
static int lock_dir(const char *path)
{
	char copy[PATH_MAX];
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		warn("%s", copy);
	return fd;
}

static void say_why(const char *path, int err, uint32_t id)
{
	if (err == -ENOSPC)
		warnx("%s: two keys are live: retire one first", path);
	else if (err == -EACCES)
		warnx("%s: no member's file: add the key there, and derive this anew",
		      path);
	else if (err == -ENOENT)
		warnx("%s: has no key %" PRIu32, path, id);
	else if (err == -EBUSY)
		warnx("%s: key %" PRIu32 " is the only one: add another first",
		      path, id);
	else
		warnx("%s: %s", path, strerror(-err));
}

/* @id 0: a new one comes; else that one goes. */
static int change(const char *file, uint32_t id)
{
	/* A link stays one, to the file that it is of. */
	char *path = realpath(file, NULL);
	struct datafs_keys keys;
	int lock, ret;

	if (!path) {
		warn("%s", file);
		return -ENOENT;
	}
	lock = lock_dir(path);
	if (lock < 0) {
		free(path);
		return -EIO;
	}
	ret = load(&keys, path);
	if (!ret) {
		ret = id ? datafs_keys_retire(&keys, id) : datafs_keys_add(&keys);
		if (ret)
			say_why(path, ret, id);
		else
			ret = store(&keys, path, true);
	}
	datafs_keys_wipe(&keys);
	close(lock);
	free(path);
	return ret;
}

static int cmd_add(char **args)
{
	return change(args[0], 0);
}

static int cmd_retire(char **args)
{
	uint64_t id = number(args[1], UINT32_MAX);

	if (!id) {
		warnx("\"%s\" is no id of a key: a number from 1 to 4294967295",
		      args[1]);
		return -EINVAL;
	}
	return change(args[0], id);
}

static const struct command commands[] = {
	{ "new", "FILE", "a new cluster, and its members' file", 1, cmd_new },
	{ "client", "FILE NODE OUT",
	  "the file of a node's daemon, from a member's FILE", 3, cmd_client },
	{ "peer", "FILE OUT",
	  "what daemons of nodes have for each other, from a member's FILE", 2,
	  cmd_peer },
	{ "add", "FILE", "one more key, newer, to a member's FILE", 1, cmd_add },
	{ "retire", "FILE ID", "without the key of that id", 2, cmd_retire },
	{ "show", "FILE", "whose it is, and which keys: ids and check values", 1,
	  cmd_show },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	size_t i;

	fputs("usage: datafs key COMMAND\n", stderr);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %-7s%-15s%s\n", commands[i].name,
			commands[i].args, commands[i].what);
	return DATAFS_EXIT_USAGE;
}

int datafs_key_command(int argc, char **argv)
{
	size_t i;

	/* The lines of the log are told here, in this program's name. */
	datafs_log_set_level(LOG_EMERG);
	for (i = 0; argc > 1 && i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name) &&
		    argc == commands[i].nargs + 2)
			return commands[i].run(argv + 2) ? DATAFS_EXIT_FAIL : 0;
	return usage();
}
