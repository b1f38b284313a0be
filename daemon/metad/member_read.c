// SPDX-License-Identifier: Apache-2.0
/*
 * Reads: a leader that is no longer one does not know it. So it asks the voters,
 * once for all reads that wait, whether its term is still theirs; a majority
 * that says so had elected nobody else when the reads began, and what it knows to
 * be committed is all that was acknowledged to anybody. libraft has no such call.
 */
#include "metad/member_internal.h"

#include <errno.h>

static void read_end(struct datafs_member *m, struct read_list *from,
		     struct datafs_member_read *r, int err)
{
	TAILQ_REMOVE(from, r, next);
	r->err = err;
	TAILQ_INSERT_TAIL(&m->reads_done, r, next);
}

static void drop(struct datafs_member *m, struct read_list *list, int err)
{
	struct datafs_member_read *r;

	while ((r = TAILQ_FIRST(list)))
		read_end(m, list, r, err);
}

void datafs_member_drop_reads(struct datafs_member *m, int err)
{
	drop(m, &m->reads.known, err);
	drop(m, &m->reads.asked, err);
	drop(m, &m->reads.fresh, err);
}

bool datafs_member_answer_reads(struct datafs_member *m)
{
	struct datafs_member_read *r = TAILQ_FIRST(&m->reads_done);

	if (!r)
		return false;
	TAILQ_REMOVE(&m->reads_done, r, next);
	r->done(r, r->err);
	return true;
}

static bool is_voter(const struct raft_server *s)
{
	return s->role == RAFT_VOTER;
}

static uint64_t confirmed_by(const struct datafs_member *m, uint64_t id)
{
	for (unsigned int i = 0; i < DATAFS_RAFT_SERVERS_MAX; i++)
		if (m->reads.peers[i].id == id)
			return m->reads.peers[i].round;
	return 0;
}

/* By the configuration in force, which for libraft is the last one in the log. */
static bool round_done(const struct datafs_member *m)
{
	const struct raft_configuration *conf = &m->raft.configuration;
	unsigned int yes = 0;

	if (datafs_planted(DATAFS_PLANT_STALE_READ))
		return true;
	for (unsigned int i = 0; i < conf->n; i++)
		if (is_voter(&conf->servers[i]) &&
		    (conf->servers[i].id == m->cfg.id ||
		     confirmed_by(m, conf->servers[i].id) >= m->reads.round))
			yes++;
	return yes > datafs_member_voters(m) / 2;
}

static void ask(struct datafs_member *m)
{
	struct datafs_raft_frame frame = {
		.kind = DATAFS_RAFT_KIND_CONFIRM,
		.confirm = { m->leads_term, m->reads.round },
	};
	const struct raft_configuration *conf = &m->raft.configuration;

	m->reads.sent_at = m->cfg.now(m->cfg.ctx);
	for (unsigned int i = 0; i < conf->n; i++)
		if (is_voter(&conf->servers[i]) && conf->servers[i].id != m->cfg.id)
			datafs_member_send(m, conf->servers[i].id, &frame);
}

static void begin_round(struct datafs_member *m)
{
	struct datafs_member_read *r;

	m->reads.round++;
	TAILQ_FOREACH(r, &m->reads.fresh, next)
		r->index = raft_commit_index(&m->raft);
	TAILQ_CONCAT(&m->reads.asked, &m->reads.fresh, next);
	if (!round_done(m))
		ask(m);
}

void datafs_member_reads(struct datafs_member *m)
{
	struct datafs_member_read *r;

	if (TAILQ_EMPTY(&m->reads.asked) && !TAILQ_EMPTY(&m->reads.fresh) &&
	    datafs_member_ready(m))
		begin_round(m);
	if (!TAILQ_EMPTY(&m->reads.asked)) {
		if (round_done(m))
			TAILQ_CONCAT(&m->reads.known, &m->reads.asked, next);
		else if (m->cfg.now(m->cfg.ctx) >= m->reads.sent_at + DATAFS_MEMBER_HEARTBEAT_MS)
			ask(m);
	}
	while ((r = TAILQ_FIRST(&m->reads.known)) && r->index <= m->applied)
		read_end(m, &m->reads.known, r, 0);
	/* those that came meanwhile */
	if (TAILQ_EMPTY(&m->reads.asked) && !TAILQ_EMPTY(&m->reads.fresh) &&
	    datafs_member_ready(m))
		begin_round(m);
}

/*
 * A voter's word that it has not voted in a later term: its term is on its disk
 * before it votes.
 */
static void answer_confirm(struct datafs_member *m, uint64_t from,
			   const struct datafs_raft_frame *frame)
{
	struct datafs_raft_frame yes = *frame;

	if (frame->confirm.term != raft_current_term(&m->raft) ||
	    raft_state(&m->raft) != RAFT_FOLLOWER)
		return;
	yes.kind = DATAFS_RAFT_KIND_CONFIRMED;
	datafs_member_send(m, from, &yes);
}

void datafs_member_confirm(struct datafs_member *m, uint64_t from,
			   const struct datafs_raft_frame *frame)
{
	struct confirmed *c = m->reads.peers, *end = c + DATAFS_RAFT_SERVERS_MAX;

	if (frame->kind == DATAFS_RAFT_KIND_CONFIRM) {
		answer_confirm(m, from, frame);
		return;
	}
	if (!m->leads || frame->confirm.term != m->leads_term ||
	    frame->confirm.round > m->reads.round)
		return;
	while (c < end && c->id && c->id != from)
		c++;
	/* members that come and go in one term could fill it */
	if (c == end)
		c--;
	if (c->id != from)
		*c = (struct confirmed) { .id = from };
	if (c->round < frame->confirm.round)
		c->round = frame->confirm.round;
}

int datafs_member_read(struct datafs_member *m, struct datafs_member_read *read)
{
	if (m->halted)
		return -EIO;
	if (!m->leads)
		return -EREMOTE;
	TAILQ_INSERT_TAIL(&m->reads.fresh, read, next);
	datafs_member_run(m);
	return 0;
}
