/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that are a daemon with files: a backing file of known bytes, and
 * any number of files "fN" (inode N) of SIZE bytes, all of the same bytes.
 */
#ifndef DATAFS_TEST_FILES_H
#define DATAFS_TEST_FILES_H

#include <sys/mman.h>

#include "channel.h"

#define GRANULE		DATAFS_GRANULE
#define GRANULES	16		/* of each file */
#define SIZE		(GRANULES * GRANULE)
#define BACKING		1u
#define SLAB		(1u << 20)

static unsigned char *slab;		/* what the backing file has */
static uint64_t last_ino = 100;
static int device;
static const char *instance;

/* RFC 3720, appendix B.4: bit by bit, so that nothing is shared with the code tested. */
static inline uint32_t crc32c(const unsigned char *p, size_t n)
{
	uint32_t crc = ~0u;
	int i;

	while (n--) {
		crc ^= *p++;
		for (i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* ------------------------------------------------------------- the readers */

#define WRONG_BYTES	200

/* Opens a file and reads all of it, in a child: 0, an errno or WRONG_BYTES. */
static inline pid_t reading(uint64_t ino, int flags)
{
	static unsigned char *got;
	pid_t pid = fork();
	char name[20];
	ssize_t n;
	int fd;

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	snprintf(name, sizeof(name), "f%llu", (unsigned long long)ino);
	if (posix_memalign((void **)&got, GRANULE, SIZE))
		_exit(ENOMEM);
	fd = open(at(name), O_RDONLY | flags);
	if (fd < 0)
		_exit(errno);
	n = read(fd, got, SIZE);
	_exit(n < 0 ? errno : n != SIZE || memcmp(got, slab, SIZE) ? WRONG_BYTES : 0);
}

static inline struct datafs_attr file_attr(uint64_t ino)
{
	struct datafs_attr attr = attr_of(ino, S_IFREG | 0644);

	attr.size = SIZE;
	return attr;
}

/*
 * The next request for data; on the way there names and attributes are answered,
 * and what nobody waits for is refused.
 */
static inline struct datafs_req *next_data_or_none(void)
{
	while (ready(device, 0)) {
		struct datafs_req *r = next(device);
		struct datafs_entry ent = { .valid_ms = DATAFS_FOREVER };
		struct datafs_attr attr;

		switch (r->opcode) {
		case DATAFS_OP_LOOKUP:
			ent.attr = file_attr(strtoull((char *)(r + 1) + 1, NULL, 10));
			answer(device, r->id, 0, &ent, sizeof(ent));
			break;
		case DATAFS_OP_GETATTR:
			attr = file_attr(r->ino);
			answer(device, r->id, 0, &attr, sizeof(attr));
			break;
		case DATAFS_OP_EXTENT:
		case DATAFS_OP_BAD_EXTENT:
			if (!(r->flags & DATAFS_REQ_PREFETCH))
				return r;
			answer(device, r->id, -EIO, NULL, 0);
			break;
		default:
			die("a %u came", r->opcode);
		}
	}
	return NULL;
}

static inline struct datafs_req *next_data(void)
{
	struct datafs_req *r;

	while (!(r = next_data_or_none()))
		if (!ready(device, 10000))
			die("no request for data came");
	return r;
}

/* The reader of a file has asked: its request, and the reader in *@pid. */
static inline struct datafs_req *asked(pid_t *pid, int flags)
{
	*pid = reading(++last_ino, flags);
	return next_data();
}

/* ------------------------------------------------------------- the answers */

#define EXTENTS	(DATAFS_EXTENTS_MAX + 1)

/* A right answer in two extents, to be spoilt. */
struct reply {
	uint64_t id;
	struct datafs_extent_rep rep;
	struct datafs_extent ext[EXTENTS];
	uint32_t crc[EXTENTS + GRANULES];
	int cut;		/* bytes less than there should be */
};

static inline struct reply right(const struct datafs_req *r)
{
	struct reply p = {
		.id = r->id,
		.rep = { .content = 1, .count = 2, .crcs = GRANULES },
		.ext = {
			{ .len = SIZE / 4, .backing_id = BACKING },
			{ .off = SIZE / 4, .backing_off = SIZE / 4,
			  .len = SIZE - SIZE / 4, .backing_id = BACKING },
		},
	};
	int i;

	for (i = 0; i < GRANULES; i++)
		p.crc[i] = crc32c(slab + i * GRANULE, GRANULE);
	return p;
}

static inline void send_reply(const struct reply *p)
{
	static char out[sizeof(struct reply)];
	size_t ext = p->rep.count < EXTENTS ? p->rep.count : EXTENTS;
	size_t crc = p->rep.crcs < 100 ? p->rep.crcs : 100, len = sizeof(p->rep);

	memcpy(out, &p->rep, len);
	memcpy(out + len, p->ext, ext * sizeof(p->ext[0]));
	len += ext * sizeof(p->ext[0]);
	memcpy(out + len, p->crc, crc * sizeof(p->crc[0]));
	len += crc * sizeof(p->crc[0]) - p->cut;
	if (answer(device, p->id, 0, out, len) < 0)
		die("the module took no reply: %m");
}

static inline void send_right(const struct datafs_req *r)
{
	struct reply p = right(r);

	send_reply(&p);
}

/* ------------------------------------------------------------- control */

static inline struct datafs_range range_of(uint64_t ino)
{
	return (struct datafs_range) { .ino = ino, .mount_id = control.mount };
}

static inline void take_back(uint64_t ino)
{
	struct datafs_range range = range_of(ino);

	if (do_revoke(instance, &range, sizeof(range)))
		die("REVOKE: %s", strerror(control.outcome));
}

static inline uint64_t counted(const char *name)
{
	uint32_t id = control.mount;
	struct nl_msg *msg = command(DATAFS_CMD_GET_STATS, 0);

	nla_put_u32(msg, DATAFS_A_MOUNT_ID, id);
	if (transact(msg))
		die("GET_STATS: %s", strerror(control.outcome));
	return counter(name);
}

static inline bool is_done(const struct datafs_req *r)
{
	const struct datafs_revoke_done *done = (const void *)(r + 1);

	return r->opcode == DATAFS_OP_REVOKE_DONE && done->cookie == 0xc00c1e;
}

static inline void done(const char *what)
{
	struct datafs_req *r = next(device);

	ok(is_done(r), "REVOKE_DONE %s", what);
	answer(device, r->id, 0, NULL, 0);
}

static inline void dm(const char *device_name, const char *what)
{
	char command_line[300];

	snprintf(command_line, sizeof(command_line),
		 "dmsetup --noudevrules --noudevsync %s %s", what, device_name);
	if (system(command_line))
		die("%s failed", command_line);
}

/* A daemon of the name, with a backing file in @slabs, and a mount of its. */
static inline void setup(const char *name, const char *slabs)
{
	struct datafs_attr root = attr_of(1, S_IFDIR | 0755);
	struct datafs_backing b = { .id = BACKING };
	char file[4200];
	uint64_t state = 1;
	size_t i;
	pid_t pid;

	instance = name;
	slab = mmap(NULL, SLAB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
		die("no memory");
	for (i = 0; i < SLAB; i++)
		slab[i] = rnd(&state);
	snprintf(file, sizeof(file), "%s/%s-slab", slabs, name);
	b.fd = open(file, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (b.fd < 0 || write(b.fd, slab, SLAB) != (ssize_t)SLAB || fsync(b.fd))
		die("%s: %m", file);
	device = dev(O_NONBLOCK);
	if (hello(device, name) || ioctl(device, DATAFS_IOC_BACKING_ADD, &b))
		die("hello: %m");
	pid = mounting(name);
	answer(device, next(device)->id, 0, &root, sizeof(root));
	if (reap(pid) || control_open() < 0 ||
	    transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP)))
		die("no mount");
}

#endif
