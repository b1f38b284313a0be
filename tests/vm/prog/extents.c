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

#include "files.h"

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

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		die("usage: extents DIR SLABDIR [DM-DEVICE]");
	dir = argv[1];
	alarm(500);
	setup("extents", argv[2]);
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
