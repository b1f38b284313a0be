// SPDX-License-Identifier: Apache-2.0
/*
 * extents DIR SLABDIR [DM-DEVICE]: a daemon that answers data upcalls, rightly,
 * wrongly, and late. DIR is an empty directory to mount on; SLABDIR has direct
 * I/O, and lies on the device-mapper device DM-DEVICE, if that is given: then
 * what happens while its I/O stands still is tested as well.
 *
 * Each case has a file of its own, of which the kernel knows nothing yet. SEED
 * and ROUNDS in the environment are those of the random part.
 */
#define _GNU_SOURCE 1
#include <signal.h>
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

/* RFC 3720, appendix B.4: bit by bit, so that nothing is shared with the code tested. */
static uint32_t crc32c(const unsigned char *p, size_t n)
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
static pid_t reading(uint64_t ino, int flags)
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

static struct datafs_attr file_attr(uint64_t ino)
{
	struct datafs_attr attr = attr_of(ino, S_IFREG | 0644);

	attr.size = SIZE;
	return attr;
}

/*
 * The next request for data; on the way there names and attributes are answered,
 * and what nobody waits for is refused.
 */
static struct datafs_req *next_data_or_none(void)
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

static struct datafs_req *next_data(void)
{
	struct datafs_req *r;

	while (!(r = next_data_or_none()))
		if (!ready(device, 10000))
			die("no request for data came");
	return r;
}

/* The reader of a file has asked: its request, and the reader in *@pid. */
static struct datafs_req *asked(pid_t *pid, int flags)
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

static struct reply right(const struct datafs_req *r)
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

static void send_reply(const struct reply *p)
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

static void send_right(const struct datafs_req *r)
{
	struct reply p = right(r);

	send_reply(&p);
}

static void many(struct reply *p)
{
	int i;

	p->rep.count = p->rep.crcs = EXTENTS;
	for (i = 0; i < EXTENTS; i++)
		p->ext[i] = (struct datafs_extent) {
			.off = i * GRANULE, .len = GRANULE, .backing_id = BACKING,
		};
}

#define SPOIL(name, what) static void name(struct reply *p) { what; }
SPOIL(no_content, p->rep.content = 0)
SPOIL(no_extent, p->rep.count = 0; p->rep.crcs = 0)
SPOIL(more_extents, p->rep.count = ~0u)
SPOIL(more_crcs, p->rep.crcs = ~0u)
SPOIL(fewer_crcs, p->rep.crcs--)
SPOIL(cut_short, p->cut = 4)
SPOIL(no_backing, p->ext[1].backing_id = 0)
SPOIL(other_backing, p->ext[1].backing_id = 77)
SPOIL(huge_backing, p->ext[1].backing_id = DATAFS_BACKING_IDS)
SPOIL(reserved, p->ext[0].reserved = 1)
SPOIL(behind_backing, p->ext[1].backing_off = SLAB - GRANULE)
SPOIL(far_behind, p->ext[1].backing_off = 1ull << 62)
SPOIL(wraps, p->ext[1].backing_off = -(uint64_t)GRANULE)
SPOIL(odd_backing_off, p->ext[1].backing_off += 512)
SPOIL(odd_off, p->ext[1].off += 512)
SPOIL(odd_len, p->ext[1].len -= 512)
SPOIL(no_len, p->ext[0].len = 0)
SPOIL(huge_len, p->ext[1].len = 1ull << 40)
SPOIL(overlap, p->ext[1].off -= GRANULE)
SPOIL(backwards, p->ext[1].off = 0; p->ext[0].off = SIZE)
SPOIL(far_off, p->ext[1].off = ~0ull << 12)
SPOIL(elsewhere, p->ext[0].off = SIZE; p->ext[1].off = 2 * SIZE)

static const struct {
	const char *name;
	void (*spoil)(struct reply *p);
} spoilt[] = {
	{ "no content", no_content }, { "no extent", no_extent },
	{ "more extents than there are", more_extents },
	{ "more checksums than there are", more_crcs },
	{ "a checksum less", fewer_crcs }, { "a body cut short", cut_short },
	{ "backing file 0", no_backing },
	{ "a backing file that is not registered", other_backing },
	{ "a backing file of no number", huge_backing },
	{ "a reserved field", reserved },
	{ "a range that ends behind the backing file", behind_backing },
	{ "a range far behind it", far_behind },
	{ "a range that wraps around", wraps },
	{ "an unaligned backing offset", odd_backing_off },
	{ "an unaligned offset", odd_off }, { "an unaligned length", odd_len },
	{ "no length", no_len }, { "a length of 2^40", huge_len },
	{ "extents that overlap", overlap }, { "extents in no order", backwards },
	{ "an offset of nearly 2^64", far_off },
	{ "extents of another place", elsewhere },
	{ "too many extents", many },
};

/* ------------------------------------------------------------------ parts */

static void bad_answers(void)
{
	struct reply p;
	unsigned int i;
	pid_t pid;
	int tries;

	for (i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		p = right(asked(&pid, 0));
		/* What is right but of no use is asked for again, for a while. */
		for (tries = 0; ; tries++) {
			spoilt[i].spoil(&p);
			send_reply(&p);
			if (spoilt[i].spoil != elsewhere || tries == 63)
				break;
			p = right(next_data());
		}
		ok(reap(pid) == EIO, "%s: EIO", spoilt[i].name);
	}
	pid = reading(last_ino, 0);
	send_right(next_data());
	ok(!reap(pid), "after a wrong answer a right one does");
}

/* Answers what comes until the reader has ended; its status as reap() has it. */
static int serve(pid_t pid)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT))
			die("waitid: %m");
		if (info.si_pid)
			return reap(pid);
		if (ready(device, 20))
			send_right(next_data());
	}
}

static void checksums(int flags, const char *way)
{
	struct datafs_bad_extent_req bad;
	struct datafs_req *r;
	struct reply p;
	pid_t pid;

	p = right(asked(&pid, flags));
	p.crc[5]++;
	send_reply(&p);
	r = next_data();
	memcpy(&bad, r + 1, sizeof(bad));
	ok(r->opcode == DATAFS_OP_BAD_EXTENT && bad.want.content == 1 &&
	   bad.want.off == 5 * GRANULE && bad.want.len == GRANULE &&
	   bad.backing_id == BACKING && bad.backing_off == 5 * GRANULE,
	   "%s: a checksum that does not hold is reported", way);
	send_right(r);
	/* The extent went as a whole: what else it had may be asked for. */
	ok(!serve(pid), "%s: and the reader gets the right bytes", way);
}

static struct datafs_range range_of(uint64_t ino)
{
	return (struct datafs_range) { .ino = ino, .mount_id = control.mount };
}

static void take_back(uint64_t ino)
{
	struct datafs_range range = range_of(ino);

	if (do_revoke("extents", &range, sizeof(range)))
		die("REVOKE: %s", strerror(control.outcome));
}

static uint64_t counted(const char *name)
{
	uint32_t id = control.mount;
	struct nl_msg *msg = command(DATAFS_CMD_GET_STATS, 0);

	nla_put_u32(msg, DATAFS_A_MOUNT_ID, id);
	if (transact(msg))
		die("GET_STATS: %s", strerror(control.outcome));
	return counter(name);
}

static bool is_done(const struct datafs_req *r)
{
	const struct datafs_revoke_done *done = (const void *)(r + 1);

	return r->opcode == DATAFS_OP_REVOKE_DONE && done->cookie == 0xc00c1e;
}

static void done(const char *what)
{
	struct datafs_req *r = next(device);

	ok(is_done(r), "REVOKE_DONE %s", what);
	answer(device, r->id, 0, NULL, 0);
}

/* What was asked before a revocation is not believed when it comes after it. */
static void order(void)
{
	uint64_t before = counted("extents_installed"), first;
	struct datafs_req *r;
	struct reply p;
	pid_t pid;

	r = asked(&pid, 0);
	first = r->seq;
	p = right(r);
	take_back(last_ino);
	done("of what was only asked for");
	send_reply(&p);
	r = next_data();
	ok(r->opcode == DATAFS_OP_EXTENT && r->id > p.id && r->seq > first,
	   "an answer that a revocation overtook is asked for again");
	ok(counted("extents_installed") == before, "and nothing of it was kept");
	send_right(r);
	ok(!reap(pid), "the second answer is believed");
	ok(counted("extents_installed") == before + 2, "both extents of it");

	/* Of another content: the attributes are asked for, then the bytes. */
	p = right(asked(&pid, 0));
	p.rep.content = 2;
	send_reply(&p);
	r = next(device);
	ok(r->opcode == DATAFS_OP_GETATTR, "an answer of another content: which is it?");
	p.id = r->id;
	{
		struct datafs_attr attr = file_attr(r->ino);

		answer(device, p.id, 0, &attr, sizeof(attr));
	}
	send_right(next_data());
	ok(!reap(pid), "and the right one is taken");
}

/* A revocation takes extents away, and only those it names. */
static void revocation(void)
{
	uint64_t one, two, before;
	pid_t pid;

	send_right(asked(&pid, 0));
	one = last_ino;
	ok(!reap(pid), "one file");
	send_right(asked(&pid, O_DIRECT));
	two = last_ino;
	ok(!reap(pid), "another");
	pid = reading(two, O_DIRECT);
	ok(!reap(pid), "no upcall for what has extents");
	before = counted("extents");
	take_back(two);
	done("of extents in no use");
	ok(counted("extents") == before - 2, "two extents less");
	pid = reading(one, O_DIRECT);
	ok(!reap(pid), "the other file has its own");
	pid = reading(two, O_DIRECT);
	send_right(next_data());
	ok(!reap(pid), "what was revoked is asked for again");
}

static void dm(const char *device_name, const char *what)
{
	char command_line[300];

	snprintf(command_line, sizeof(command_line),
		 "dmsetup --noudevrules --noudevsync %s %s", what, device_name);
	if (system(command_line))
		die("%s failed", command_line);
}

/* While I/O uses an extent, its space is not given back. */
static void in_flight(const char *disk)
{
	uint64_t before;
	pid_t pid;
	int way;

	for (way = 0; way < 2; way++) {
		dm(disk, "suspend --noflush --nolockfs");
		before = counted("backing_reads");
		send_right(asked(&pid, way ? O_DIRECT : 0));
		while (counted("backing_reads") == before)
			usleep(1000);
		take_back(last_ino);
		ok(!ready(device, 1500), "%s: no REVOKE_DONE while its I/O stands still",
		   way ? "O_DIRECT" : "read");
		ok(counted("extents_revoked") > 0, "though they are forgotten");
		dm(disk, "resume");
		done("when the I/O has ended");
		/* What it had not begun to read went too, and is asked for again. */
		ok(!serve(pid), "and the reader has its bytes");
	}
}

/* ------------------------------------------------- answers of any shape */

#define READERS	4

/* Reads granules that it is told, by O_DIRECT, and says whether they are right. */
struct reader {
	pid_t pid;
	int to, from;
	bool busy;
	bool may_ask;		/* it was not known to be there when it began */
	uint64_t granule;
};

static void reader_run(uint64_t ino, int from, int to)
{
	unsigned char *got;
	uint64_t granule;
	char name[20], verdict;
	int fd;

	snprintf(name, sizeof(name), "f%llu", (unsigned long long)ino);
	fd = open(at(name), O_RDONLY | O_DIRECT);
	if (fd < 0 || posix_memalign((void **)&got, GRANULE, GRANULE))
		_exit(1);
	while (read(from, &granule, sizeof(granule)) == sizeof(granule)) {
		verdict = pread(fd, got, GRANULE, granule * GRANULE) == GRANULE &&
			  !memcmp(got, slab + granule * GRANULE, GRANULE);
		if (write(to, &verdict, 1) != 1)
			break;
	}
	_exit(0);
}

static void reader_start(struct reader *r, uint64_t ino)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		die("pipe: %m");
	*r = (struct reader) { .to = to[1], .from = from[0] };
	r->pid = fork();
	if (!r->pid) {
		close(device);
		reader_run(ino, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
}

/* A right answer to an upcall for @off, of any shape that has its granule. */
static struct reply shaped(uint64_t id, uint64_t off, uint64_t *rnd_state, bool *there)
{
	uint64_t at_granule = off / GRANULE, first, last, g, n;
	struct reply p = { .id = id, .rep.content = 1 };

	first = at_granule - rnd(rnd_state) % (at_granule + 1);
	last = at_granule + 1 + rnd(rnd_state) % (GRANULES - at_granule);
	for (g = first; g < last; g += n) {
		n = 1 + rnd(rnd_state) % (last - g);
		p.ext[p.rep.count++] = (struct datafs_extent) {
			.off = g * GRANULE, .backing_off = g * GRANULE,
			.len = n * GRANULE, .backing_id = BACKING,
		};
	}
	for (g = first; g < last; g++) {
		p.crc[p.rep.crcs++] = crc32c(slab + g * GRANULE, GRANULE);
		there[g] = true;
	}
	return p;
}

/*
 * Several readers, whose answers come in any order and overlap in any way. What
 * was told once is not asked for again until it is taken back, and taking it
 * back leaves nothing.
 */
static void shapes(const char *given, unsigned int rounds)
{
	uint64_t base = counted("extents"), state = parse_seed(given), ino = ++last_ino;
	struct { uint64_t id, off; } ask[READERS];
	unsigned int asks = 0, asked_in_all = 0, told_twice = 0, wrong = 0, left = 0;
	struct reader r[READERS];
	bool there[GRANULES] = { false };
	unsigned int i, k, round;

	for (i = 0; i < READERS; i++)
		reader_start(&r[i], ino);
	for (round = 0; round < rounds; round++) {
		bool taking_back = round % 32 == 31;

		/* To take back, all must be at rest: then nobody begins. */
		for (;;) {
			struct pollfd p[READERS + 1] = {
				[READERS] = { .fd = device, .events = POLLIN },
			};
			unsigned int busy = 0;

			for (i = 0; i < READERS; i++) {
				p[i] = (struct pollfd) { .fd = r[i].from, .events = POLLIN };
				if (!r[i].busy && !taking_back) {
					r[i].busy = true;
					r[i].granule = rnd(&state) % GRANULES;
					r[i].may_ask = !there[r[i].granule];
					if (write(r[i].to, &r[i].granule, 8) != 8)
						die("reader: %m");
				}
				busy += r[i].busy;
			}
			if (taking_back && !busy)
				break;
			/* Who waits for another's answer neither asks nor ends. */
			if (poll(p, READERS + 1, ready(device, 0) ? 0 : asks ? 1 : 10000) < 0)
				die("poll: %m");
			for (i = 0; i < READERS; i++) {
				char verdict;

				if (!(p[i].revents & POLLIN))
					continue;
				if (read(r[i].from, &verdict, 1) != 1)
					die("a reader ended");
				wrong += !verdict;
				r[i].busy = false;
			}
			if (ready(device, 0)) {
				struct datafs_req *q = next_data_or_none();

				if (q) {
					ask[asks].id = q->id;
					ask[asks].off = ((struct datafs_extent_req *)(q + 1))->off;
					for (i = 0, k = 0; i < READERS; i++)
						k |= r[i].busy && r[i].may_ask &&
						     r[i].granule == ask[asks].off / GRANULE;
					told_twice += !k;
					asked_in_all++;
					asks++;
				}
			} else if (asks) {
				struct reply p2;

				k = rnd(&state) % asks;
				p2 = shaped(ask[k].id, ask[k].off, &state, there);
				send_reply(&p2);
				ask[k] = ask[--asks];
			}
			if (!taking_back)
				break;
		}
		if (!taking_back)
			continue;
		take_back(ino);
		if (!is_done(next(device)))
			die("another request than REVOKE_DONE");
		answer(device, ((struct datafs_req *)buf)->id, 0, NULL, 0);
		memset(there, 0, sizeof(there));
		left += counted("extents") != base;
	}
	for (i = 0; i < READERS; i++) {
		close(r[i].to);
		kill(r[i].pid, SIGKILL);
		reap(r[i].pid);
	}
	ok(!wrong, "%u answers of any shape: the right bytes (%u wrong)", asked_in_all, wrong);
	ok(!told_twice, "nothing is asked for that is there (%u times)", told_twice);
	ok(!left, "nothing is left of what was taken back (%u times)", left);
}

static void setup(const char *slabs)
{
	struct datafs_attr root = attr_of(1, S_IFDIR | 0755);
	struct datafs_backing b = { .id = BACKING };
	char file[4200];
	uint64_t state = 1;
	size_t i;
	pid_t pid;

	slab = mmap(NULL, SLAB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
		die("no memory");
	for (i = 0; i < SLAB; i++)
		slab[i] = rnd(&state);
	snprintf(file, sizeof(file), "%s/extents-slab", slabs);
	b.fd = open(file, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (b.fd < 0 || write(b.fd, slab, SLAB) != (ssize_t)SLAB || fsync(b.fd))
		die("%s: %m", file);
	device = dev(O_NONBLOCK);
	if (hello(device, "extents") || ioctl(device, DATAFS_IOC_BACKING_ADD, &b))
		die("hello: %m");
	pid = mounting("extents");
	answer(device, next(device)->id, 0, &root, sizeof(root));
	if (reap(pid) || control_open() < 0 ||
	    transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP)))
		die("no mount");
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		die("usage: extents DIR SLABDIR [DM-DEVICE]");
	dir = argv[1];
	alarm(500);
	setup(argv[2]);
	bad_answers();
	checksums(0, "read");
	checksums(O_DIRECT, "O_DIRECT");
	order();
	revocation();
	shapes(getenv("SEED"), getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 3000);
	if (argc == 4)
		in_flight(argv[3]);
	ok(!umount(dir), "unmount");
	printf("# %d failed\n", failures);
	return !!failures;
}
