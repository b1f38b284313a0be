// SPDX-License-Identifier: Apache-2.0
/*
 * Operations on their way: queued, packed into an entry, proposed, applied,
 * answered. An entry is, big-endian: u32 version 1, u32 operations, and each as
 * u32 length and bytes; then zeroes up to a multiple of 8, as libraft stores it. The
 * leader's stamp, if the state machine has such, is the first of them.
 */
#include "metad/member_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define ENTRY_VERSION	1u
#define ENTRY_HEAD	8u

/* The leader's part of an entry. */
struct stamp {
	bool there;
	size_t len;
	uint8_t buf[DATAFS_MEMBER_STAMP_MAX];
};

static void op_end(struct datafs_member *m, struct datafs_member_op *op, int err)
{
	op->err = err;
	TAILQ_INSERT_TAIL(&m->ops_done, op, next);
}

static void proposal_end(struct datafs_member *m, struct proposal *p, int err)
{
	struct datafs_member_op *op;

	TAILQ_REMOVE(&m->proposals, p, next);
	m->proposed--;
	while ((op = TAILQ_FIRST(&p->ops))) {
		TAILQ_REMOVE(&p->ops, op, next);
		op_end(m, op, err);
	}
	free(p);
}

void datafs_member_drop_ops(struct datafs_member *m, int err, int unproposed)
{
	struct datafs_member_op *op;
	struct proposal *p;

	while ((p = TAILQ_FIRST(&m->proposals)))
		proposal_end(m, p, err);
	while ((op = TAILQ_FIRST(&m->queue))) {
		TAILQ_REMOVE(&m->queue, op, next);
		op_end(m, op, unproposed);
	}
	m->queued = 0;
}

bool datafs_member_answer(struct datafs_member *m)
{
	struct datafs_member_op *op = TAILQ_FIRST(&m->ops_done);
	void *res;

	if (!op)
		return false;
	TAILQ_REMOVE(&m->ops_done, op, next);
	/* the caller may free it in the call */
	res = op->res;
	op->done(op, op->err, res, op->res_len);
	free(res);
	return true;
}

/* The answers of an entry to who waits for them, if somebody here does. */
static void hand_out(struct datafs_member *m, uint64_t index,
		     struct datafs_raft_command *cmds, unsigned int n)
{
	struct proposal *p = TAILQ_FIRST(&m->proposals);
	struct datafs_member_op *op;
	unsigned int i = m->cfg.fsm.stamp ? 1 : 0;

	if (!p || p->index != index)
		return;
	TAILQ_FOREACH(op, &p->ops, next) {
		if (i >= n)
			break;
		op->res = cmds[i].res;
		op->res_len = cmds[i].res_len;
		cmds[i++].res = NULL;
	}
	proposal_end(m, p, 0);
}

long datafs_member_unpack(const void *entry, size_t size, struct datafs_raft_command *cmds)
{
	const uint8_t *buf = entry;
	size_t pos = ENTRY_HEAD;
	uint32_t n;

	if (size < ENTRY_HEAD || datafs_get_be32(buf) != ENTRY_VERSION)
		return -EBADMSG;
	n = datafs_get_be32(buf + 4);
	if (n > DATAFS_MEMBER_ENTRY_CMDS)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		size_t len;

		if (size - pos < 4)
			return -EBADMSG;
		len = datafs_get_be32(buf + pos);
		pos += 4;
		if (size - pos < len)
			return -EBADMSG;
		cmds[i] = (struct datafs_raft_command) { .buf = buf + pos, .len = len };
		pos += len;
	}
	return size - pos < 8 ? (long)n : -EBADMSG;
}

static int apply_command(struct datafs_member *m, uint64_t index, const struct log_entry *e)
{
	struct datafs_raft_command *cmds = calloc(DATAFS_MEMBER_ENTRY_CMDS, sizeof(*cmds));
	long n;
	int err;

	if (!cmds)
		return -ENOMEM;
	n = datafs_member_unpack(e->bytes->data, e->bytes->len, cmds);
	err = n < 0 ? (int)n :
		      m->cfg.fsm.apply(m->cfg.fsm.ctx, index, e->term, cmds, (unsigned int)n);
	if (!err)
		hand_out(m, index, cmds, (unsigned int)n);
	for (long i = 0; i < n; i++)
		free(cmds[i].res);
	free(cmds);
	return err;
}

/* A configuration is in force since it was in the log; now it is committed. */
static int apply_change(struct datafs_member *m, uint64_t index, const struct log_entry *e)
{
	struct raft_buffer buf = { .base = e->bytes->data, .len = e->bytes->len };
	struct raft_configuration conf;
	struct event *ev;

	if (raft_configuration_decode(&buf, &conf))
		return -EBADMSG;
	ev = datafs_member_event(m, EVENT_STEP);
	if (!ev) {
		raft_configuration_close(&conf);
		return -ENOMEM;
	}
	ev->raft.type = RAFT_CONFIGURATION;
	ev->raft.configuration.index = index;
	ev->raft.configuration.conf = conf;
	return 0;
}

static int apply_one(struct datafs_member *m, uint64_t index, const struct log_entry *e)
{
	/* after a crash the state machine has more than the last snapshot */
	bool old = index <= m->cfg.fsm.applied(m->cfg.fsm.ctx);
	int err = 0;

	if (e->type == RAFT_CHANGE)
		err = apply_change(m, index, e);
	if (!err && !old)
		err = e->type == RAFT_COMMAND ? apply_command(m, index, e) :
			m->cfg.fsm.apply(m->cfg.fsm.ctx, index, e->term, NULL, 0);
	return err;
}

/*
 * Only what this member has on its disk: so its state is never ahead of its log,
 * and a snapshot has an entry to be named after.
 */
static uint64_t apply_to(const struct datafs_member *m)
{
	return m->raft.snapshot.installing ? 0 :
		DATAFS_MIN(raft_commit_index(&m->raft), m->raft.last_stored);
}

bool datafs_member_lags(const struct datafs_member *m)
{
	return m->applied < apply_to(m);
}

void datafs_member_apply(struct datafs_member *m)
{
	uint64_t to = apply_to(m);
	size_t bytes = 0;

	if (m->raft.snapshot.installing || m->halted)
		return;
	datafs_member_snap_restore(m);
	to = DATAFS_MIN(to, m->applied + DATAFS_MEMBER_APPLY_ENTRIES);
	while (m->applied < to && bytes < DATAFS_MEMBER_APPLY_BYTES && !m->halted) {
		const struct log_entry *e = datafs_log_get(&m->log, m->applied + 1);
		int err = e ? apply_one(m, m->applied + 1, e) : -EUCLEAN;

		if (err) {
			datafs_member_halt(m, err, "an entry cannot be applied");
			break;
		}
		m->applied++;
		m->applied_bytes += e->bytes->len;
		bytes += e->bytes->len;
	}
}

/* As many operations as go into one entry, moved to @p; the bytes of the entry. */
static size_t choose(struct datafs_member *m, struct proposal *p, const struct stamp *st,
		     uint32_t *n)
{
	size_t len = ENTRY_HEAD + (st->there ? 4 + st->len : 0);
	struct datafs_member_op *op;

	*n = 0;
	while ((op = TAILQ_FIRST(&m->queue)) && *n < DATAFS_MEMBER_ENTRY_OPS) {
		if (datafs_round_up(len + 4 + op->len, 8) > DATAFS_RAFT_ENTRY_MAX)
			break;
		len += 4 + op->len;
		TAILQ_REMOVE(&m->queue, op, next);
		m->queued -= op->len;
		TAILQ_INSERT_TAIL(&p->ops, op, next);
		++*n;
	}
	return datafs_round_up(len, 8);
}

static uint8_t *pack_one(uint8_t *pos, const void *buf, size_t len)
{
	datafs_put_be32(pos, (uint32_t)len);
	if (len)
		memcpy(pos + 4, buf, len);
	return pos + 4 + len;
}

static void *pack(const struct proposal *p, const struct stamp *st, uint32_t n, size_t len)
{
	uint8_t *buf = raft_calloc(1, len), *pos;
	struct datafs_member_op *op;

	if (!buf)
		return NULL;
	datafs_put_be32(buf, ENTRY_VERSION);
	datafs_put_be32(buf + 4, n + st->there);
	pos = buf + ENTRY_HEAD;
	if (st->there)
		pos = pack_one(pos, st->buf, st->len);
	TAILQ_FOREACH(op, &p->ops, next)
		pos = pack_one(pos, op->buf, op->len);
	return buf;
}

static void propose_some(struct datafs_member *m)
{
	struct proposal *p = calloc(1, sizeof(*p));
	struct raft_buffer buf = { 0 };
	struct stamp st = { .there = m->cfg.fsm.stamp };
	int err = -ENOMEM;
	uint32_t n;

	if (!p) {
		datafs_member_drop_ops(m, -EAGAIN, -EIO);
		return;
	}
	TAILQ_INIT(&p->ops);
	if (st.there)
		st.len = m->cfg.fsm.stamp(m->cfg.fsm.ctx, st.buf);
	buf.len = choose(m, p, &st, &n);
	buf.base = pack(p, &st, n, buf.len);
	/* in the list first: the step can end leadership */
	p->index = datafs_log_last(&m->log) + 1;
	TAILQ_INSERT_TAIL(&m->proposals, p, next);
	m->proposed++;
	if (buf.base)
		datafs_member_propose(m, RAFT_COMMAND, buf, &err);
	if (err)
		proposal_end(m, p, err);
	else if (datafs_planted(DATAFS_PLANT_EARLY_ANSWER) && TAILQ_FIRST(&m->proposals) == p)
		proposal_end(m, p, 0);
}

void datafs_member_flush(struct datafs_member *m)
{
	while (m->leads && !m->halted && !TAILQ_EMPTY(&m->queue) &&
	       m->proposed < DATAFS_MEMBER_PROPOSED)
		propose_some(m);
}

int datafs_member_submit(struct datafs_member *m, struct datafs_member_op *op)
{
	if (m->halted)
		return -EIO;
	if (!m->leads)
		return -EREMOTE;
	if (op->len > DATAFS_MEMBER_OP_MAX)
		return -EMSGSIZE;
	if (m->queued + op->len > DATAFS_MEMBER_QUEUE_MAX)
		return -EBUSY;
	op->res = NULL;
	op->res_len = 0;
	TAILQ_INSERT_TAIL(&m->queue, op, next);
	m->queued += op->len;
	datafs_member_run(m);
	return 0;
}
