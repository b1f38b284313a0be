// SPDX-License-Identifier: Apache-2.0
/*
 * Requests in, answers out. What is done to an answer depends on the seed, its
 * opcode and how many of that opcode there were before, and not on when it came.
 */
#define _GNU_SOURCE 1
#include <sys/mman.h>

#include "../channel.h"
#include "hostile.h"

struct tally tally;
int device = -1;
bool hostile;
uint32_t mount_id;
struct pending pending[PENDING];
unsigned int n_pending;

static uint64_t now_round, ordinal[DATAFS_OP_NR], batches;
static bool succeeded;			/* nothing has been read since a daemon ended */

/* Of 100 answers so many are spoilt. What leads to others must not be bad too often. */
static const unsigned char bad_share[DATAFS_OP_NR] = {
	[DATAFS_OP_MOUNT] = 60, [DATAFS_OP_UMOUNT] = 60, [DATAFS_OP_LOOKUP] = 40,
	[DATAFS_OP_GETATTR] = 45, [DATAFS_OP_READDIR] = 60, [DATAFS_OP_READLINK] = 70,
	[DATAFS_OP_EXTENT] = 60, [DATAFS_OP_BAD_EXTENT] = 60, [DATAFS_OP_GETXATTR] = 70,
	[DATAFS_OP_LISTXATTR] = 80, [DATAFS_OP_STATFS] = 70, [DATAFS_OP_REVOKE_DONE] = 80,
	[DATAFS_OP_PARENT] = 60, [DATAFS_OP_CREATE ... DATAFS_OP_RELEASE] = 70,
};

/* ------------------------------------------------------------ what is known */

#define ANSWERED	65536

static uint64_t answered[ANSWERED];	/* the last ids, each at id modulo this */

/* REVOKEs: their cookies are 1, 2, 3 ... */
#define COOKIES		(1u << 20)

static uint64_t cookies;
static uint64_t done_by[COOKIES];	/* the id of the REVOKE_DONE */
static bool certain[COOKIES];		/* the kernel has said that it took it */

static void forget(unsigned int i)
{
	pending[i] = pending[--n_pending];
}

static struct datafs_req *req_of(struct pending *p)
{
	return (struct datafs_req *)p->req;
}

static void note_done(const struct datafs_req *r)
{
	const struct datafs_revoke_done *done = (const void *)(r + 1);
	uint64_t *by = &done_by[done->cookie % COOKIES];

	if (!done->cookie || done->cookie > cookies || (*by && *by != r->id))
		tally.done_twice++;
	else if (!*by)
		tally.revokes_done += certain[done->cookie];
	*by = r->id;
}

static void note(const struct datafs_req *r)
{
	struct pending *p = NULL;
	unsigned int i;

	tally.requests[r->opcode < DATAFS_OP_NR ? r->opcode : 0]++;
	for (i = 0; i < n_pending && !p; i++)
		if (req_of(&pending[i])->id == r->id)
			p = &pending[i];
	if (p) {
		tally.resent++;
		tally.unmarked += !p->lost || !(r->flags & DATAFS_REQ_RESEND);
	} else {
		tally.again += answered[r->id % ANSWERED] == r->id;
		if (n_pending == PENDING || r->len > sizeof(p->req))
			die("more requests than there can be");
		tally.outlived[r->opcode % DATAFS_OP_NR][1] += succeeded;
		p = &pending[n_pending++];
		p->excused = false;
		p->due = 0;
	}
	if (r->opcode == DATAFS_OP_REVOKE_DONE)
		note_done(r);
	p->lost = false;
	memcpy(p->req, r, r->len);
}

/* All that can be had at once; false: there was nothing. */
static bool take(int ms)
{
	static char in[DATAFS_MSG_MAX];
	struct pollfd p = { .fd = device, .events = POLLIN };
	const struct datafs_req *r;
	unsigned int i;
	int waiting;
	ssize_t n;
	bool empty;

	waiting = poll(&p, 1, ms);
	n = waiting > 0 ? read(device, in, now_round % 3 ? sizeof(in) : DATAFS_READ_MIN) : waiting;
	if (n < 0 && errno != EAGAIN && !no_memory(errno))
		die("read: %m");
	empty = !n || (n < 0 && errno == EAGAIN);
	for (r = (void *)in; n > 0 && (char *)r < in + n; r = (void *)((char *)r + r->len)) {
		if (r->len < sizeof(*r) || r->len % 8 || (char *)r + r->len > in + n)
			die("a request of %u bytes in %zd", r->len, n);
		note(r);
	}
	succeeded = false;
	/* There is no more: what has not come again never will. */
	for (i = n_pending; empty && i--; )
		if (pending[i].lost) {
			tally.missing += !pending[i].excused;
			forget(i);
		}
	return n > 0;
}

void serve_died(void)
{
	unsigned int i;

	succeeded = true;
	for (i = 0; i < n_pending; i++) {
		tally.outlived[req_of(&pending[i])->opcode % DATAFS_OP_NR][0]++;
		pending[i].lost = true;
		/* A mount(2) under way ends with its daemon. */
		pending[i].excused |= req_of(&pending[i])->opcode == DATAFS_OP_MOUNT;
	}
}

void serve_excuse(void)
{
	unsigned int i;

	for (i = 0; i < n_pending; i++)
		pending[i].excused = true;
}

uint64_t revokes_open(void)
{
	return tally.revokes - tally.revokes_done;
}

bool take_back(uint64_t ino, uint64_t off, uint64_t len)
{
	struct datafs_range range = {
		.ino = ino, .off = off, .len = len, .mount_id = mount_id,
	};

	if (cookies + 1 == COOKIES)
		return false;
	cookies++;
	switch (do_revoke_as(INSTANCE, cookies, &range, sizeof(range))) {
	case 0:
		break;
	case 1000:
		/* What has not come would be taken for the answer to the next. */
		fail_allocations(false);
		nl_socket_free(control.sock);
		if (control_open() < 0)
			die("no netlink any more");
		/* fallthrough */
	default:
		return false;
	}
	certain[cookies] = true;
	tally.revokes++;
	return true;
}

/* -------------------------------------------------------------- the batch */

#define BATCH		(4u << 20)
#define ITEMS		(3 * PENDING)

static struct item {
	size_t at;
	uint64_t id;			/* 0: of no request */
	uint16_t opcode;
	int kind;			/* enum kind, or -1: it is right */
} item[ITEMS];
static unsigned int n_items;
static unsigned char *batch;		/* a page that cannot be read follows it */
static size_t batch_len;

void serve_init(void)
{
	batch = mmap(NULL, BATCH + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	if (batch == MAP_FAILED || mprotect(batch + BATCH, 4096, PROT_NONE))
		die("no memory");
	if (control_open() < 0)
		die("no netlink");
}

static bool append(const struct draft *d, uint16_t opcode, uint64_t id, int kind)
{
	size_t padded = (sizeof(d->head) + d->len + 7) / 8 * 8;

	if (n_items == ITEMS || batch_len + padded + 4096 > BATCH)
		return false;
	item[n_items++] = (struct item) {
		.at = batch_len, .id = id, .opcode = opcode, .kind = kind,
	};
	memcpy(batch + batch_len, &d->head, sizeof(d->head));
	memcpy(batch + batch_len + sizeof(d->head), d->body, d->len);
	/* What is between two answers is not looked at. */
	memset(batch + batch_len + sizeof(d->head) + d->len, 0xaa,
	       padded - sizeof(d->head) - d->len);
	batch_len += padded;
	return true;
}

static void count(uint16_t opcode, int kind)
{
	if (kind < 0) {
		tally.right[opcode]++;
		return;
	}
	tally.bad[opcode][kind]++;
	tally.total++;
	tally.strays += kind == BAD_STRAY;
}

/* What the kernel has consumed is answered; the rest goes on waiting. */
static void account(size_t consumed)
{
	unsigned int i, k;

	for (i = 0; i < n_items && item[i].at < consumed; i++) {
		count(item[i].opcode, item[i].kind);
		if (!item[i].id)
			continue;
		answered[item[i].id % ANSWERED] = item[i].id;
		for (k = 0; k < n_pending; k++)
			if (req_of(&pending[k])->id == item[i].id) {
				forget(k);
				break;
			}
	}
}

static void start_batch(void)
{
	n_items = 0;
	batch_len = 0;
}

/* In several pieces, cut anywhere. */
static ssize_t write_pieces(const unsigned char *p, size_t len, uint64_t *choice)
{
	struct iovec v[8];
	size_t at = 0, n;
	int i;

	for (i = 0; i < 8 && at < len; i++, at += n) {
		n = i == 7 ? len - at : 1 + rnd(choice) % (len - at);
		v[i] = (struct iovec) { (void *)(p + at), n };
	}
	return writev(device, v, i);
}

/*
 * A head that breaks the framing, at item @i, or memory there that cannot be read.
 * Returns where the kernel should stop.
 */
static size_t break_frame(unsigned int i, uint64_t *choice, const unsigned char **from)
{
	struct datafs_rep *head = (void *)(batch + item[i].at);
	const uint32_t lens[] = {
		0, 1, 15, DATAFS_MSG_MAX + 1, ~0u, 1u << 31,
		(uint32_t)(batch_len - item[i].at + 8),
	};
	size_t end = i + 1 < n_items ? item[i + 1].at : batch_len, readable;

	tally.cut_writes++;
	if (rnd(choice) % 4) {
		count(item[i].opcode, BAD_FRAME);
		head->len = lens[rnd(choice) % 7];
		return item[i].at;
	}
	/* A part of the head, or the head and a part of the body. */
	if (head->len == sizeof(*head) || rnd(choice) % 2) {
		count(item[i].opcode, BAD_FRAME);
		readable = item[i].at + rnd(choice) % sizeof(*head);
		end = item[i].at;
	} else {
		item[i].kind = BAD_BODY;
		readable = item[i].at + sizeof(*head) + rnd(choice) % (head->len - sizeof(*head));
	}
	*from = batch + BATCH - readable;
	memmove(batch + BATCH - readable, batch, readable);
	return end;
}

static void flush(void)
{
	uint64_t choice = mix(seed ^ 0xba7c4 ^ batches++ << 20);
	const unsigned char *from = batch;
	size_t stop = batch_len;
	bool fenced;
	ssize_t n;

	if (!n_items)
		return;
	if (hostile && rnd(&choice) % 12 == 0)
		stop = break_frame(rnd(&choice) % n_items, &choice, &from);
	fenced = rnd(&choice) % 300 == 0;
	if (fenced)
		n = daemon_fenced_at(from, batch_len, &fenced);
	else if (rnd(&choice) % 16 == 0)
		n = write_pieces(from, batch_len, &choice);
	else
		n = write(device, from, batch_len);
	if (n < 0 && (errno == EINVAL || errno == EFAULT || (errno == ENOTCONN && fenced) ||
		      no_memory(errno)))
		n = 0;
	if (fenced ? n > (ssize_t)stop : n != (ssize_t)stop && !faults) {
		if (!tally.miscut++)
			printf("# write: %zd (%m) and not %zu of %zu\n", n, stop, batch_len);
	}
	account(n < 0 ? 0 : n);
	if (fenced)
		serve_died();
}

/* ------------------------------------------------------------ one request */

static void stray(struct draft *d, const struct datafs_req *r, uint64_t *choice)
{
	static const uint64_t never[] = { 0, 1, ~0ull, 1ull << 63, 1ull << 32 };

	d->head.id = rnd(choice) % 2 ? never[rnd(choice) % 5] : r->id + 1000000 + rnd(choice) % 99;
	if (d->len > 4096)
		d->len = 64;
	d->head.len = sizeof(d->head) + d->len;
	append(d, r->opcode, 0, BAD_STRAY);
}

/* The world changes, as it may: before an answer, or while it is under way. */
static void disturb(const struct datafs_req *r, uint64_t *choice)
{
	unsigned int node = tree_node(r->ino);

	if (r->opcode == DATAFS_OP_EXTENT && rnd(choice) % 40 == 0)
		take_back(r->ino, rnd(choice) % 2 ? 0 : rnd(choice) % 64 * GRANULE,
			  rnd(choice) % 2 ? 0 : GRANULE);
	if (hostile && node != NO_NODE && rnd(choice) % 25 == 0)
		shared->content[node]++;
}

/* False: there is no room for it. */
static bool answer_one(struct pending *p)
{
	static struct draft d;
	const struct datafs_req *r = req_of(p);
	uint64_t choice = p->choice;
	unsigned int tries, n;
	int kind = -1;

	disturb(r, &choice);
	tree_answer(r, &d, &choice);
	if (hostile && rnd(&choice) % 100 < bad_share[r->opcode])
		for (tries = 0; tries < 4 && kind < 0; tries++) {
			n = rnd(&choice) % spoil_ways(r->opcode);
			if (spoil(n, r, &d, &choice))
				kind = law(r, &d) == BREACH ? BAD_BODY : BAD_LIE;
		}
	d.head.len = sizeof(d.head) + d.len;
	if (!append(&d, r->opcode, r->id, kind))
		return false;
	/* Once more: the kernel has forgotten the request. */
	if (rnd(&choice) % 40 == 0 && d.len < 4096)
		append(&d, r->opcode, 0, BAD_STRAY);
	if (rnd(&choice) % 40 == 0)
		stray(&d, r, &choice);
	return true;
}

void serve(int ms)
{
	static unsigned int order[PENDING];
	unsigned int i, k, n = 0, t;
	uint64_t choice;
	bool more;

	now_round++;
	for (i = 0; i < n_pending; i++)
		n += !pending[i].lost;
	more = take(n ? 1 : ms);
	for (i = 0, n = 0; i < n_pending; i++) {
		struct pending *p = &pending[i];
		const struct datafs_req *r = req_of(p);

		if (p->lost)
			continue;
		if (!p->due) {
			choice = mix(seed ^ (uint64_t)r->opcode << 56 ^ ordinal[r->opcode]++ << 8);
			p->due = now_round + (rnd(&choice) % 12 ? 0 : 1 + rnd(&choice) % 40);
			p->choice = choice;
		}
		/* If nobody asks any more, all may be waiting for what is held back. */
		if (p->due <= now_round || !more)
			order[n++] = i;
	}
	for (i = 0; i < n; i++) {
		k = i + mix(now_round << 10 | i) % (n - i);
		t = order[i];
		order[i] = order[k];
		order[k] = t;
	}
	start_batch();
	for (i = 0; i < n && answer_one(&pending[order[i]]); i++)
		;
	flush();
}

struct datafs_req *serve_next(int ms)
{
	if (!n_pending)
		take(ms);
	return n_pending ? req_of(&pending[0]) : NULL;
}

void serve_send(const struct draft *d)
{
	start_batch();
	append(d, req_of(&pending[0])->opcode, req_of(&pending[0])->id, -1);
	if (write(device, batch, batch_len) != (ssize_t)batch_len)
		die("an answer was not taken: %m");
	account(batch_len);
}
