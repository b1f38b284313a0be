// SPDX-License-Identifier: Apache-2.0
/*
 * invalidate name DIR SUB NAME: tells the kernel that what it knows of NAME in
 * DIR/SUB, in the only mount there is, is not to be believed any more.
 * invalidate bad DIR: tells it all that is no item.
 * invalidate races DIR: is the daemon of a mount there, and invalidates what it
 * is being asked for, after the request was read and before it is answered.
 */
#define _GNU_SOURCE 1
#include <stddef.h>
#include <sys/stat.h>

#include "channel.h"

/* 0 or an errno. */
static int tell(const char *instance, const void *items, size_t len)
{
	struct nl_msg *msg = command(DATAFS_CMD_INVALIDATE, NLM_F_REQUEST | NLM_F_ACK);

	nla_put_string(msg, DATAFS_A_INSTANCE, instance);
	nla_put(msg, DATAFS_A_ITEMS, (int)len, items);
	return transact(msg);
}

struct item {
	struct datafs_invalid i;
	char name[DATAFS_NAME_MAX + 9];
};

static struct item item_of(uint64_t ino, uint16_t what, const char *name)
{
	struct item it = {
		.i = { .ino = ino, .mount_id = control.mount, .what = what,
		       .namelen = (uint16_t)strlen(name) },
	};

	snprintf(it.name, sizeof(it.name), "%s", name);
	return it;
}

static size_t size_of(const struct item *it)
{
	return sizeof(it->i) + (it->i.namelen + 7u) / 8 * 8;
}

static uint64_t ino_of(const char *p)
{
	struct stat st;

	if (lstat(p, &st))
		die("%s: %m", p);
	return st.st_ino;
}

static int bad(void)
{
	const uint64_t ino = ino_of(dir);
	const struct {
		const char *what;
		size_t len;	/* 0: as it should be */
		struct item it;
	} t[] = {
		{ "no flag", 0, item_of(ino, 0, "") },
		{ "an unknown flag", 0, item_of(ino, 8, "") },
		{ "a name without its flag", 0, item_of(ino, DATAFS_INVALID_ATTR, "n") },
		{ "a flag without its name", 0, item_of(ino, DATAFS_INVALID_NAME, "") },
		{ "a name of no inode", 0, item_of(0, DATAFS_INVALID_NAME, "n") },
		{ "half of a mount", 0, item_of(0, DATAFS_INVALID_ATTR, "") },
		{ "half a head", 8, item_of(ino, DATAFS_INVALID_ATTR, "") },
		{ "half a name", 20, item_of(ino, DATAFS_INVALID_NAME, "n") },
		{ "a head and a half", 24, item_of(ino, DATAFS_INVALID_ATTR, "") },
	};
	struct item it = item_of(ino, DATAFS_INVALID_NAME, "n");
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(*t); i++)
		ok(tell("default", &t[i].it, t[i].len ?: size_of(&t[i].it)) == EINVAL,
		   "%s: EINVAL", t[i].what);
	it.i.namelen = DATAFS_NAME_MAX + 1;
	ok(tell("default", &it, size_of(&it)) == EINVAL, "a long name: EINVAL");
	it = item_of(ino, DATAFS_INVALID_ATTR, "");
	ok(tell("nobody", &it, size_of(&it)) == ENOENT, "an unknown instance: ENOENT");
	it.i.mount_id = 4711;
	ok(tell("default", &it, size_of(&it)) == 0, "an unknown mount is passed over");
	it = item_of(1ull << 62, DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES, "");
	ok(tell("default", &it, size_of(&it)) == 0, "an unknown inode is passed over");
	it = item_of(ino, DATAFS_INVALID_NAME, "not there");
	ok(tell("default", &it, size_of(&it)) == 0, "an unknown name is passed over");
	printf("# %d failed\n", failures);
	return !!failures;
}

/*
 * A program calls stat(2) for "n", inode 2 in the root. All that is asked meanwhile
 * is answered, for ever, and counted in @asked. Before the first answer to @op, if
 * that is one, @it is invalidated.
 */
static void look(int fd, unsigned int asked[DATAFS_OP_NR], unsigned int op,
		 const struct item *it)
{
	struct datafs_entry entry = {
		.attr = attr_of(2, S_IFREG | 0644), .valid_ms = DATAFS_FOREVER,
	};
	struct datafs_attr root = attr_of(1, S_IFDIR | 0755);
	const struct datafs_req *r;
	pid_t pid = stating("n");
	int status;

	memset(asked, 0, DATAFS_OP_NR * sizeof(*asked));
	for (;;) {
		if (!ready(fd, 10)) {
			if (waitpid(pid, &status, WNOHANG) == pid)
				break;
			continue;
		}
		r = next(fd);
		if (r->opcode == op && !asked[op]++)
			ok(!tell("races", it, size_of(it)), "invalidated while it is asked for");
		else if (r->opcode != op)
			asked[r->opcode]++;
		if (r->opcode == DATAFS_OP_LOOKUP)
			answer(fd, r->id, 0, &entry, sizeof(entry));
		else if (r->opcode == DATAFS_OP_GETATTR)
			answer(fd, r->id, 0, r->ino == 1 ? &root : &entry.attr,
			       sizeof(root));
		else
			answer(fd, r->id, -EIO, NULL, 0);
	}
	ok(WIFEXITED(status) && !WEXITSTATUS(status), "the program sees it");
}

static int races(void)
{
	struct datafs_attr root = attr_of(1, S_IFDIR | 0755);
	unsigned int asked[DATAFS_OP_NR], before;
	int fd = dev(O_NONBLOCK);
	size_t i;
	pid_t pid;

	if (hello(fd, "races"))
		die("hello: %m");
	pid = mounting("races");
	answer(fd, next(fd)->id, 0, &root, sizeof(root));
	if (reap(pid))
		die("mount");
	if (transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_REQUEST | NLM_F_DUMP)))
		die("no mount is told of");

	const struct {
		const char *what;
		unsigned int op;	/* that is asked when it is invalid */
		struct item it;
	} t[] = {
		{ "a name", DATAFS_OP_LOOKUP, item_of(1, DATAFS_INVALID_NAME, "n") },
		{ "all names", DATAFS_OP_LOOKUP, item_of(1, DATAFS_INVALID_NAMES, "") },
		{ "attributes", DATAFS_OP_GETATTR, item_of(2, DATAFS_INVALID_ATTR, "") },
		{ "the directory's attributes", DATAFS_OP_GETATTR,
		  item_of(1, DATAFS_INVALID_ATTR, "") },
		{ "the whole mount", DATAFS_OP_LOOKUP,
		  item_of(0, DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES, "") },
	};

	look(fd, asked, 0, NULL);
	ok(asked[DATAFS_OP_LOOKUP] == 1, "the name is asked for");
	for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
		look(fd, asked, 0, NULL);
		ok(!asked[DATAFS_OP_LOOKUP] && !asked[DATAFS_OP_GETATTR],
		   "%s: known for ever", t[i].what);
		ok(!tell("races", &t[i].it, size_of(&t[i].it)), "%s: invalidated", t[i].what);
		look(fd, asked, t[i].op, &t[i].it);
		before = asked[t[i].op];
		ok(before, "%s: asked for (%u)", t[i].what, before);
		look(fd, asked, 0, NULL);
		/* or by the same call, of which the name and stat(2) need it */
		ok(before > 1 || asked[t[i].op],
		   "%s: asked for once more (%u): that answer was from before", t[i].what,
		   asked[t[i].op]);
	}
	look(fd, asked, 0, NULL);
	ok(!asked[DATAFS_OP_LOOKUP] && !asked[DATAFS_OP_GETATTR], "known for ever again");
	umount2(dir, 0);
	printf("# %d failed\n", failures);
	return !!failures;
}

int main(int argc, char **argv)
{
	struct item it;

	if (argc < 3)
		die("usage: invalidate name DIR SUB NAME | bad DIR | races DIR");
	dir = argv[2];
	if (control_open() < 0)
		die("no module");
	if (!strcmp(argv[1], "races"))
		return races();
	if (transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_REQUEST | NLM_F_DUMP)))
		die("no mount is told of");
	if (!strcmp(argv[1], "bad"))
		return bad();
	if (argc != 5)
		die("usage: invalidate name DIR SUB NAME");
	it = item_of(ino_of(at(argv[3])), DATAFS_INVALID_NAME, argv[4]);
	return tell("default", &it, size_of(&it));
}
