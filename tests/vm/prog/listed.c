// SPDX-License-Identifier: Apache-2.0
/*
 * listed DIR: a daemon whose listings may be kept: which upcalls they save, and when they
 * do not. DIR is an empty directory to mount on.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "channel.h"

enum { ROOT = 1, EMPTY_INO = 2, FIRST_FILE = 100 };

#define INSTANCE	"listed"
#define MANY		2000u

static int device;
static uint32_t mount_id;
static unsigned int asked[DATAFS_OP_NR];	/* since forget() */

/* What there is: the root has "empty", a directory, and @files times "fN". */
static struct {
	unsigned int files, page;	/* entries of an answer */
	bool keeps, extra;		/* there is "extra", too */
	bool same;			/* all files have one name */
	unsigned int not_kept;		/* the page that is not; 0: none */
	unsigned int change_at;		/* before that page it changes; 0: never */
} tree;

/* What a child listed; shared with it. */
static struct seen {
	unsigned int n, sum;
	bool extra, in_order, right;
} *seen;

static int lease(uint64_t until)
{
	return lease_of(device, mount_id, until);
}

static struct datafs_attr attr(uint64_t ino)
{
	struct datafs_attr a = attr_of(ino, ino < FIRST_FILE ? S_IFDIR | 0755 : S_IFREG | 0644);

	a.flags = DATAFS_ATTR_CHANGES;
	a.nlink = ino < FIRST_FILE ? 2 : 1;
	return a;
}

/* The name and number of the root's entry @i, or 0. */
static uint64_t entry(unsigned int i, char *name)
{
	if (!i) {
		strcpy(name, "empty");
		return EMPTY_INO;
	}
	if (i <= tree.files) {
		if (tree.same)
			i = 1;
		sprintf(name, "f%u", i);
		return FIRST_FILE + i;
	}
	strcpy(name, "extra");
	return i == tree.files + 1 && tree.extra ? FIRST_FILE + i : 0;
}

static int invalidate(uint16_t what, const char *name);

static void answer_readdir(const struct datafs_req *r)
{
	static char out[DATAFS_MSG_MAX];
	struct datafs_readdir_rep *rep = (void *)out;
	const struct datafs_readdir_req *req = (const void *)(r + 1);
	unsigned int i = req->cookie ? req->cookie - DATAFS_FIRST_COOKIE + 1 : 0, n = 0;
	size_t len = sizeof(*rep);
	char name[32];
	uint64_t ino;

	if (tree.change_at && req->cookie && i / tree.page == tree.change_at) {
		tree.change_at = 0;
		if (invalidate(DATAFS_INVALID_NAME, "other"))
			ok(false, "INVALIDATE");
	}
	for (; r->ino == ROOT && n < tree.page && (ino = entry(i, name)); i++, n++) {
		struct datafs_dirent d = {
			.cookie = DATAFS_FIRST_COOKIE + i, .valid_ms = DATAFS_FOREVER,
			.namelen = (uint16_t)strlen(name), .attr = attr(ino),
		};
		size_t padded = (strlen(name) + 7) / 8 * 8;

		memcpy(out + len, &d, sizeof(d));
		memset(out + len + sizeof(d), 0, padded);
		memcpy(out + len + sizeof(d), name, strlen(name));
		len += sizeof(d) + padded;
	}
	rep->count = n;
	rep->flags = r->ino != ROOT || !entry(i, name) ? DATAFS_READDIR_EOF : 0;
	if (tree.keeps && (!tree.not_kept || (i - 1) / tree.page != tree.not_kept))
		rep->flags |= DATAFS_READDIR_KEEP;
	answer(device, r->id, 0, out, len);
}

static void answer_lookup(const struct datafs_req *r)
{
	struct datafs_entry e = { .valid_ms = DATAFS_FOREVER };
	char name[32] = "", want[256] = "";
	uint64_t ino = 0;

	memcpy(want, r + 1, r->namelen);
	for (unsigned int i = 0; r->ino == ROOT && (ino = entry(i, name)); i++)
		if (!strcmp(name, want))
			break;
	if (ino)
		e.attr = attr(ino);
	answer(device, r->id, 0, &e, sizeof(e));
}

static void serve_one(int fd)
{
	struct datafs_req *r = next(fd);
	struct datafs_attr a = attr(r->ino);
	struct datafs_change_rep rep = {
		.node = { .attr = attr(FIRST_FILE + tree.files + 1), .valid_ms = DATAFS_FOREVER },
		.parent = attr(ROOT),
	};

	asked[r->opcode]++;
	switch (r->opcode) {
	case DATAFS_OP_MOUNT:
		mount_id = r->mount_id;
		a = attr(ROOT);
		/* fall through */
	case DATAFS_OP_GETATTR:
		answer(fd, r->id, 0, &a, sizeof(a));
		break;
	case DATAFS_OP_LOOKUP:
		answer_lookup(r);
		break;
	case DATAFS_OP_READDIR:
		answer_readdir(r);
		break;
	case DATAFS_OP_CREATE:
		tree.extra = true;
		answer(fd, r->id, 0, &rep, sizeof(rep));
		break;
	default:
		answer(fd, r->id, r->opcode == DATAFS_OP_RELEASE ? 0 : -EOPNOTSUPP, NULL, 0);
	}
}

static int serve(pid_t pid)
{
	return serve_until(device, pid, serve_one);
}

static void forget(void)
{
	memset(asked, 0, sizeof(asked));
}

/* Each name is the one of its cookie, and no other comes before it. */
static void look_at(struct dirent *d, long *last)
{
	char name[32];
	unsigned int i = d->d_off - DATAFS_FIRST_COOKIE;

	if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
		return;
	seen->n++;
	if (!strcmp(d->d_name, "extra"))
		seen->extra = true;
	if (d->d_off <= *last)
		seen->in_order = false;
	if (d->d_ino != entry(i, name) || strcmp(d->d_name, name) ||
	    d->d_type != (i ? DT_REG : DT_DIR))
		seen->right = false;
	*last = d->d_off;
}

/* Lists @name of the mount in a child, from @from on. */
static pid_t listing(const char *name, long from)
{
	struct dirent *d = NULL;
	long last = 0;
	pid_t pid;
	DIR *dp;

	/* what "extra" is may change before it is listed */
	*seen = (struct seen) { .in_order = true, .right = true };
	pid = fork();
	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	tree.extra = true;
	dp = opendir(at(name));
	if (!dp)
		_exit(errno);
	if (from)
		seekdir(dp, from);
	errno = 0;
	while ((d = readdir(dp)))
		look_at(d, &last);
	_exit(errno);
}

/* Lists as little of @name as it can. */
static pid_t first_of(const char *name)
{
	char out[64];
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	fd = open(at(name), O_RDONLY | O_DIRECTORY);
	_exit(fd < 0 || syscall(SYS_getdents64, fd, out, sizeof(out)) < 1 ||
	      syscall(SYS_getdents64, fd, out, sizeof(out)) < 1 ? errno : 0);
}

/* READDIRs that one listing of @name costs. */
static unsigned int costs(const char *name)
{
	int err;

	forget();
	err = serve(listing(name, 0));
	if (err || !seen->in_order || !seen->right)
		ok(false, "listing: %s, %s", strerrorname_np(err), seen->right ? "" : "wrong");
	return asked[DATAFS_OP_READDIR];
}

static unsigned int pages(void)
{
	return (1 + tree.files + tree.extra + tree.page - 1) / tree.page;
}

/* LOOKUPs of a stat that ends with @error. */
static unsigned int stat_costs(const char *name, int error)
{
	int got;

	forget();
	got = serve(stating(name));
	if (got != error)
		ok(false, "%s: %s", name, strerrorname_np(got));
	return asked[DATAFS_OP_LOOKUP];
}

static int invalidate(uint16_t what, const char *name)
{
	struct {
		struct datafs_invalid i;
		char name[8];
	} item = {
		.i = { .ino = what & DATAFS_INVALID_ATTR ? 0 : ROOT, .mount_id = mount_id,
		       .what = what, .namelen = (uint16_t)strlen(name) },
	};
	struct nl_msg *msg = command(DATAFS_CMD_INVALIDATE, NLM_F_REQUEST | NLM_F_ACK);

	memcpy(item.name, name, item.i.namelen);
	nla_put_string(msg, DATAFS_A_INSTANCE, INSTANCE);
	nla_put(msg, DATAFS_A_ITEMS, sizeof(item.i) + (item.i.namelen ? 8 : 0), &item);
	return transact(msg);
}

/* It costs all pages once more, then none. */
static void again(const char *why)
{
	unsigned int n = costs("");

	ok(n == pages(), "%s: it is listed anew: %u", why, n);
	n = costs("");
	ok(!n && seen->n == 1 + tree.files + tree.extra, "%s: then it is known: %u", why, n);
}

static void known(void)
{
	unsigned int n;

	ok(stat_costs("absent", ENOENT) == 1, "what is not there is asked for");
	n = costs("");
	ok(n == pages() && seen->n == 1 + tree.files, "a listing in %u answers: %u", pages(), n);
	ok(!costs("") && seen->n == 1 + tree.files, "the next one in none, of %u", seen->n);
	ok(!stat_costs("nothing", ENOENT) && !stat_costs("f0", ENOENT) &&
	   !stat_costs("f1000000", ENOENT), "what is not in it is not asked for");
	n = stat_costs("f1", 0) + stat_costs("f7", 0) + stat_costs("empty", 0);
	ok(!n, "nor is what is: %u", n);
	n = costs("empty");
	ok(n == 1 && !seen->n, "an empty one: %u", n);
	ok(!costs("empty") && !seen->n, "is known, too");
	ok(!stat_costs("empty/x", ENOENT), "and what is not in it");
}

/* From a place in the middle, and a part of it. */
static void parts(void)
{
	forget();
	ok(!serve(listing("", DATAFS_FIRST_COOKIE + 4)) && seen->n == tree.files - 4 &&
	   seen->right && !asked[DATAFS_OP_READDIR], "from the middle on: %u", seen->n);
	forget();
	ok(!serve(listing("", DATAFS_FIRST_COOKIE + tree.files)) && !seen->n &&
	   !asked[DATAFS_OP_READDIR], "from the end on: nothing");
	ok(!invalidate(DATAFS_INVALID_NAMES, ""), "INVALIDATE of its names");
	forget();
	ok(!serve(first_of("")) && asked[DATAFS_OP_READDIR] == 1, "a part of it is listed");
	again("after a part");
}

static void invalidated(void)
{
	ok(!invalidate(DATAFS_INVALID_NAME, "f3"), "INVALIDATE of a name in it");
	again("a name");
	ok(!invalidate(DATAFS_INVALID_NAMES, ""), "INVALIDATE of its names");
	again("its names");
	ok(!invalidate(DATAFS_INVALID_NAMES | DATAFS_INVALID_ATTR, ""), "INVALIDATE of all");
	again("all");
	ok(!invalidate(DATAFS_INVALID_NAME, "f3"), "INVALIDATE of a name in it");
	ok(stat_costs("nothing", ENOENT) <= 1 && stat_costs("never", ENOENT) == 1,
	   "what is not in it is asked for");
	costs("");
	ok(!lease(0), "no lease is left");
	ok(costs("") == pages() && costs("") == pages(), "each listing is asked for");
	ok(stat_costs("none", ENOENT) == 1, "so is what is not in it");
	ok(!lease(now() + HOUR), "a lease again");
	again("another lease");
	tree.change_at = 1;
	ok(!invalidate(DATAFS_INVALID_NAMES, ""), "INVALIDATE of its names");
	costs("");
	ok(!tree.change_at, "INVALIDATE of a name between two answers");
	again("changed in the middle");
}

static int make(const char *name)
{
	return mknod(at(name), S_IFREG | 0644, 0);
}

static void own(void)
{
	pid_t pid = fork();

	if (!pid) {
		close_range(3, ~0u, 0);
		_exit(make("extra") ? errno : 0);
	}
	forget();
	ok(!serve(pid) && asked[DATAFS_OP_CREATE] == 1, "a file is made");
	again("an own change");
	ok(seen->extra, "it is listed");
	ok(!stat_costs("nothing", ENOENT), "what is not in it is not asked for");
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "2", 1) != 1)
		die("drop_caches: %m");
	close(fd);
}

static void not_kept(void)
{
	unsigned int n;

	tree.keeps = false;
	ok(!invalidate(DATAFS_INVALID_NAMES, ""), "INVALIDATE of its names");
	ok(costs("") == pages() && costs("") == pages(), "without KEEP each is asked for");
	tree.keeps = true;
	tree.not_kept = 2;
	ok(costs("") == pages() && costs("") == pages(), "so it is if one answer has none");
	tree.not_kept = 0;
	again("all have it");
	/* Its names are gone: a LOOKUP each, or the listing once more. */
	drop_caches();
	n = costs("");
	ok(n == pages(), "names that are not in the dcache any more: %u", n);
	ok(!stat_costs("f5", 0), "are with the next listing");
	ok(!costs(""), "which is known");
}

/* Names enough for all that hashes do, and for many answers. */
static void many(void)
{
	unsigned int wrong = 0;
	char name[32];

	tree.files = MANY;
	tree.page = 130;
	tree.extra = false;
	ok(!invalidate(DATAFS_INVALID_NAMES | DATAFS_INVALID_ATTR, ""), "INVALIDATE of all");
	again("many names");
	for (unsigned int i = 1; i <= 40; i++) {
		sprintf(name, "f%u", 50 * i);
		wrong += stat_costs(name, 0);
		sprintf(name, "g%u", i);
		wrong += stat_costs(name, ENOENT);
	}
	ok(!wrong, "none of 80 names is asked for: %u", wrong);
}

/* Of a daemon that lies nothing is kept. */
static void same(void)
{
	tree.same = true;
	ok(!invalidate(DATAFS_INVALID_NAMES | DATAFS_INVALID_ATTR, ""), "INVALIDATE of all");
	ok(costs("") == pages() && seen->n == 1 + tree.files, "a name 2,000 times");
	ok(costs("") == pages(), "is not kept");
	tree.same = false;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: listed DIR");
	dir = argv[1];
	alarm(240);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		die("mmap: %m");
	tree.files = 9;
	tree.page = 3;
	tree.keeps = true;
	device = dev(O_NONBLOCK);
	if (hello(device, INSTANCE) || control_open() < 0)
		die("HELLO: %m");
	ok(!serve(mounting(INSTANCE)), "mount");
	ok(!lease(now() + HOUR), "a lease");
	known();
	parts();
	invalidated();
	own();
	not_kept();
	many();
	same();
	ok(!umount2(dir, 0), "unmount");
	close(device);
	printf("# %d failed\n", failures);
	return !!failures;
}
