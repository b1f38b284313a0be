// SPDX-License-Identifier: Apache-2.0
#include "metad/member_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

void datafs_member_halt(struct datafs_member *m, int err, const char *what)
{
	if (m->halted)
		return;
	m->halted = err && err != -ECANCELED ? err : -EIO;
	/* the disk is being closed, and the member is next */
	if (err == -ECANCELED)
		return;
	datafs_log(LOG_ERR, "quorum: member %llu halts: %s: %s",
		   (unsigned long long)m->cfg.id, what, strerror(-m->halted));
}

struct event *datafs_member_event(struct datafs_member *m, enum event_kind kind)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e) {
		datafs_member_halt(m, -ENOMEM, "event");
		return NULL;
	}
	e->kind = kind;
	STAILQ_INSERT_TAIL(&m->events, e, next);
	return e;
}

static void event_free(struct event *e)
{
	if (e->kind == EVENT_RECEIVE)
		datafs_raft_frame_free(&e->frame);
	if (e->append)
		datafs_append_free(e->append);
	if (e->kind == EVENT_STEP && e->raft.type == RAFT_CONFIGURATION)
		raft_configuration_close(&e->raft.configuration.conf);
	if (e->kind == EVENT_STEP && e->raft.type == RAFT_SNAPSHOT)
		raft_configuration_close(&e->raft.snapshot.metadata.configuration);
	if (e->kind == EVENT_STEP && e->raft.type == RAFT_PERSISTED_SNAPSHOT)
		raft_configuration_close(&e->raft.persisted_snapshot.metadata.configuration);
	free(e);
}

/*
 * What is still in the log as it was written; the rest was replaced meanwhile,
 * by what is written behind it.
 */
static uint64_t still_there(struct datafs_member *m, const struct append *a)
{
	uint64_t last = 0;

	for (unsigned int i = 0; i < a->n; i++) {
		const struct log_entry *e = datafs_log_get(&m->log, a->index + i);

		if (!e || e->term != a->entries[i].term)
			break;
		last = a->index + i;
	}
	return last;
}

/*
 * The asserts that are not in Debian's libraft: what no correct member sends
 * would damage its state.
 */
static bool plausible(struct datafs_member *m, uint64_t from, const struct raft_message *msg)
{
	uint64_t term = raft_current_term(&m->raft);
	bool leads = raft_state(&m->raft) == RAFT_LEADER;

	switch (msg->type) {
	case RAFT_APPEND_ENTRIES:
		return !leads || msg->append_entries.term != term;
	case RAFT_REQUEST_VOTE:
		return msg->request_vote.candidate_id == from;
	case RAFT_REQUEST_VOTE_RESULT:
		/* it looks at the candidate's part of its state before it asks
		 * whether it is one
		 */
		return raft_state(&m->raft) == RAFT_CANDIDATE;
	case RAFT_INSTALL_SNAPSHOT:
		return (!leads || msg->install_snapshot.term != term) &&
		       !m->raft.snapshot.installing && !m->snap_write.active;
	default:
		return true;
	}
}

/*
 * What the snapshot covers is committed, so any leader's log has the same there.
 * libraft does not take that into account: it would refuse entries that begin
 * before it, for ever, or append them at its log's end. So they begin behind it.
 */
static void skip_snapshot(struct datafs_member *m, struct raft_append_entries *a)
{
	uint64_t index = m->log.snap_index;
	unsigned int n;

	if (a->prev_log_index >= index || datafs_log_term(&m->log, a->prev_log_index))
		return;
	n = (unsigned int)DATAFS_MIN(a->n_entries, index - a->prev_log_index);
	a->prev_log_index = index;
	a->prev_log_term = m->log.snap_term;
	a->n_entries -= n;
	if (a->n_entries) {
		memmove(a->entries, a->entries + n, a->n_entries * sizeof(*a->entries));
	} else if (n) {
		raft_free(a->entries[0].batch);
		raft_free(a->entries);
		a->entries = NULL;
	}
}

/*
 * A rejection that was overtaken by an answer. libraft would go back before what
 * the follower is known to have, and then never send it an entry again. False: it
 * says nothing.
 */
static bool fresh_rejection(struct datafs_member *m, uint64_t from,
			    struct raft_append_entries_result *a)
{
	raft_index match;

	if (!a->rejected || a->term != raft_current_term(&m->raft) ||
	    raft_match_index(&m->raft, from, &match))
		return true;
	if (a->last_log_index < match)
		a->last_log_index = match;
	return a->rejected > match;
}

static void do_receive(struct datafs_member *m, struct event *e)
{
	struct raft_message *msg = &e->frame.raft;
	struct raft_entry *entries;
	struct raft_event event = { .type = RAFT_RECEIVE };
	int err;

	if (!plausible(m, e->from, msg))
		return;
	if (msg->type == RAFT_APPEND_ENTRIES_RESULT &&
	    !fresh_rejection(m, e->from, &msg->append_entries_result))
		return;
	if (msg->type == RAFT_APPEND_ENTRIES &&
	    msg->append_entries.term >= raft_current_term(&m->raft))
		skip_snapshot(m, &msg->append_entries);
	entries = msg->type == RAFT_APPEND_ENTRIES ? msg->append_entries.entries : NULL;
	msg->server_id = e->from;
	/* only to be given back with messages, which go by the id */
	msg->server_address = "";
	event.receive.message = msg;
	/* from here on what the entries point to, or a snapshot, is the step's */
	e->frame.kind = 0;
	err = datafs_member_step_receive(m, &event);
	if (err)
		datafs_member_halt(m, err, "a message contradicts what is committed");
	raft_free(entries);
}

static void do_persisted(struct datafs_member *m, struct event *e)
{
	struct raft_event event = { .type = RAFT_PERSISTED_ENTRIES };
	uint64_t last = still_there(m, e->append);
	int err;

	if (m->raft.snapshot.installing || last <= m->raft.last_stored)
		return;
	event.persisted_entries.index = last;
	err = datafs_member_step(m, &event);
	if (err)
		datafs_member_halt(m, err, "stored entries");
}

static void do_event(struct datafs_member *m, struct event *e)
{
	int err;

	switch (e->kind) {
	case EVENT_RECEIVE:
		do_receive(m, e);
		break;
	case EVENT_PERSISTED:
		do_persisted(m, e);
		break;
	case EVENT_STEP:
		err = e->raft.type == RAFT_CONFIGURATION ?
			      datafs_member_conf_committed(m, &e->raft) :
			      datafs_member_step(m, &e->raft);
		/* what it points to is libraft's now */
		e->raft.type = RAFT_TIMEOUT;
		if (err)
			datafs_member_halt(m, err, "step");
		break;
	}
}

static void drop_all(struct datafs_member *m, int err)
{
	datafs_member_drop_ops(m, err, err);
	datafs_member_drop_reads(m, err);
	datafs_member_drop_change(m, err);
	datafs_member_drop_backups(m, err);
}

/* All that can be done without anything new. */
static void settle(struct datafs_member *m)
{
	struct event *e;

	while (!m->halted && (e = STAILQ_FIRST(&m->events))) {
		STAILQ_REMOVE_HEAD(&m->events, next);
		do_event(m, e);
		event_free(e);
		if (!m->halted)
			datafs_member_apply(m);
	}
	if (m->halted) {
		drop_all(m, -EIO);
		return;
	}
	datafs_member_flush(m);
	datafs_member_changes(m);
	datafs_member_reads(m);
	datafs_member_apply(m);
	if (STAILQ_EMPTY(&m->events))
		datafs_member_snaps(m);
}

static bool answer(struct datafs_member *m)
{
	return datafs_member_answer(m) || datafs_member_answer_reads(m) ||
	       datafs_member_answer_change(m) || datafs_member_answer_backup(m);
}

void datafs_member_run(struct datafs_member *m)
{
	if (m->busy || m->corked || !m->started)
		return;
	m->busy = true;
	do
		settle(m);
	while (answer(m) || (!m->halted && !STAILQ_EMPTY(&m->events)));
	m->busy = false;
}

void datafs_member_cork(struct datafs_member *m)
{
	m->corked = true;
}

void datafs_member_uncork(struct datafs_member *m)
{
	m->corked = false;
	datafs_member_run(m);
}

void datafs_member_fail(struct datafs_member *m, int err, const char *what)
{
	datafs_member_halt(m, err, what);
	datafs_member_run(m);
}

void datafs_member_receive(struct datafs_member *m, uint64_t from, const void *buf,
			   size_t len)
{
	struct datafs_raft_frame frame;
	struct event *e;
	int err;

	if (m->halted || !m->started)
		return;
	err = datafs_raft_decode(buf, len, &frame);
	if (err) {
		datafs_log(LOG_WARNING, "quorum: a message of member %llu is no message: %s",
			   (unsigned long long)from, strerror(-err));
		return;
	}
	if (frame.kind == RAFT_INSTALL_SNAPSHOT) {
		datafs_member_snap_offer(m, from, &frame);
	} else if (frame.kind > DATAFS_RAFT_KIND_RAFT_LAST) {
		datafs_member_confirm(m, from, &frame);
	} else {
		e = datafs_member_event(m, EVENT_RECEIVE);
		if (!e) {
			datafs_raft_frame_free(&frame);
		} else {
			e->frame = frame;
			e->from = from;
		}
	}
	datafs_member_run(m);
}

/*
 * When libraft wants to know the time. A leader that has made a server a spare
 * waits for ever for its turn to be sent a heartbeat, which it never is.
 */
static uint64_t raft_deadline(const struct datafs_member *m)
{
	uint64_t at = raft_timeout(&m->raft);

	return at > m->ticked ? at : m->ticked + DATAFS_MEMBER_HEARTBEAT_MS / 2;
}

void datafs_member_tick(struct datafs_member *m)
{
	uint64_t now = m->cfg.now(m->cfg.ctx);
	struct event *e;

	if (m->halted || !m->started)
		return;
	/* not too early: a leader takes who was silent since the last time for gone */
	if (now >= raft_deadline(m)) {
		m->ticked = now;
		e = datafs_member_event(m, EVENT_STEP);
		if (e)
			e->raft.type = RAFT_TIMEOUT;
	}
	datafs_member_run(m);
}

uint64_t datafs_member_deadline(const struct datafs_member *m)
{
	uint64_t at = raft_deadline(m);

	if (m->halted || !m->started)
		return UINT64_MAX;
	if (m->snap_write.summing || datafs_member_lags(m))
		return 0;
	if (!TAILQ_EMPTY(&m->reads.asked) &&
	    m->reads.sent_at + DATAFS_MEMBER_HEARTBEAT_MS < at)
		at = m->reads.sent_at + DATAFS_MEMBER_HEARTBEAT_MS;
	return DATAFS_MIN(at, datafs_member_fetch_deadline(m));
}

int datafs_member_open(const struct datafs_member_config *cfg, struct datafs_member **res)
{
	struct datafs_member *m;
	int rv;

	/* to keep nothing behind a snapshot means something else to the disk */
	if (!cfg->id || !cfg->threshold || !cfg->trailing)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->cfg = *cfg;
	m->log.first = 1;
	m->fetch.fd = -1;
	STAILQ_INIT(&m->events);
	TAILQ_INIT(&m->queue);
	TAILQ_INIT(&m->proposals);
	TAILQ_INIT(&m->ops_done);
	TAILQ_INIT(&m->reads_done);
	TAILQ_INIT(&m->backups);
	TAILQ_INIT(&m->backups_done);
	TAILQ_INIT(&m->reads.fresh);
	TAILQ_INIT(&m->reads.asked);
	TAILQ_INIT(&m->reads.known);
	rv = raft_init(&m->raft, NULL, NULL, cfg->id, cfg->address);
	if (rv) {
		free(m);
		return datafs_raft_error(rv);
	}
	raft_seed(&m->raft, cfg->seed);
	raft_set_election_timeout(&m->raft, DATAFS_MEMBER_ELECTION_MS);
	raft_set_heartbeat_timeout(&m->raft, DATAFS_MEMBER_HEARTBEAT_MS);
	raft_set_install_snapshot_timeout(&m->raft, DATAFS_MEMBER_FETCH_MS);
	raft_set_max_inflight_entries(&m->raft, DATAFS_MEMBER_INFLIGHT);
	raft_set_pre_vote(&m->raft, true);
	*res = m;
	return 0;
}

static void entries_free(struct datafs_raft_loaded *l)
{
	void *batch = NULL;

	for (size_t i = 0; i < l->n; i++) {
		if (l->entries[i].batch != batch)
			raft_free(l->entries[i].batch);
		batch = l->entries[i].batch;
	}
	raft_free(l->entries);
	l->entries = NULL;
	l->n = 0;
}

void datafs_member_loaded_free(struct datafs_raft_loaded *l)
{
	entries_free(l);
	if (!l->snapshot)
		return;
	raft_configuration_close(&l->snapshot->configuration);
	for (unsigned int i = 0; i < l->snapshot->n_bufs; i++)
		raft_free(l->snapshot->bufs[i].base);
	raft_free(l->snapshot->bufs);
	raft_free(l->snapshot);
}

static int start_step(struct datafs_member *m, struct datafs_raft_loaded *l)
{
	struct raft_snapshot_metadata meta = { 0 };
	struct raft_event event = { .type = RAFT_START };
	int err = 0;

	if (l->snapshot) {
		meta.index = l->snapshot->index;
		meta.term = l->snapshot->term;
		meta.configuration_index = l->snapshot->configuration_index;
		err = datafs_raft_conf_copy(&l->snapshot->configuration, &meta.configuration);
		if (err)
			return err;
		event.start.metadata = &meta;
	}
	event.start.term = l->term;
	event.start.voted_for = l->vote;
	event.start.start_index = l->first;
	event.start.entries = l->entries;
	event.start.n_entries = (unsigned int)l->n;
	m->disk_term = l->term;
	m->disk_vote = l->vote;
	return datafs_member_step(m, &event);
}

bool datafs_member_half_installed(struct datafs_raft_loaded *l)
{
	const struct raft_snapshot *s = l->snapshot;

	if (!s || s->index < l->first || s->index - l->first >= l->n ||
	    l->entries[s->index - l->first].term == s->term)
		return false;
	entries_free(l);
	l->first = s->index + 1;
	return true;
}

int datafs_member_start(struct datafs_member *m)
{
	struct datafs_raft_loaded l = { 0 };
	int err = m->cfg.disk.load(m->cfg.disk.ctx, &l);
	bool half;

	if (err)
		return err;
	m->busy = true;
	datafs_member_snap_clean(m);
	half = datafs_member_half_installed(&l);
	if (l.snapshot)
		err = datafs_member_snap_load(m, l.snapshot);
	m->log.first = l.first;
	/* it could only have got there with entries that are lost */
	if (!err && m->cfg.fsm.applied(m->cfg.fsm.ctx) > l.first + l.n - 1) {
		datafs_log(LOG_ERR, "quorum: the state has entry %llu, and the log ends with %llu: they are not of the same member, or the log has lost entries",
			   (unsigned long long)m->cfg.fsm.applied(m->cfg.fsm.ctx),
			   (unsigned long long)(l.first + l.n - 1));
		err = -EUCLEAN;
	}
	if (!err && l.n)
		err = datafs_log_put(&m->log, l.first, l.entries, (unsigned int)l.n);
	if (!err)
		err = start_step(m, &l);
	if (!err && half)
		err = datafs_member_snap_again(m);
	datafs_member_loaded_free(&l);
	m->busy = false;
	if (!err && m->halted)
		err = m->halted;
	if (err)
		return err;
	m->started = true;
	datafs_member_run(m);
	return m->halted;
}

void datafs_member_close(struct datafs_member *m)
{
	struct event *e;

	m->halted = m->halted ? m->halted : -EIO;
	m->busy = true;
	drop_all(m, -EIO);
	while (answer(m))
		;
	while ((e = STAILQ_FIRST(&m->events))) {
		STAILQ_REMOVE_HEAD(&m->events, next);
		event_free(e);
	}
	datafs_member_snap_free(m);
	datafs_log_free(&m->log);
	raft_close(&m->raft, NULL);
	free(m);
}

void datafs_member_status(struct datafs_member *m, struct datafs_member_status *res)
{
	const char *address;
	raft_id leader = 0;

	memset(res, 0, sizeof(*res));
	raft_leader(&m->raft, &leader, &address);
	res->term = raft_current_term(&m->raft);
	res->commit = raft_commit_index(&m->raft);
	res->applied = m->applied;
	res->snapshot = m->snap.index;
	res->last = datafs_log_last(&m->log);
	res->leader = leader;
	res->leads = m->leads && !m->halted;
	res->ready = datafs_member_ready(m);
	res->role = raft_role(&m->raft);
	res->halted = m->halted;
	res->servers = m->raft.configuration.n;
	res->voters = datafs_member_voters(m);
}

bool datafs_member_server(const struct datafs_member *m, unsigned int i,
			  struct datafs_member_server *res)
{
	const struct raft_server *s;

	if (i >= m->raft.configuration.n)
		return false;
	s = &m->raft.configuration.servers[i];
	*res = (struct datafs_member_server) { s->id, s->role, s->address };
	return true;
}

bool datafs_member_ready(struct datafs_member *m)
{
	return m->leads && !m->halted &&
	       datafs_log_term(&m->log, raft_commit_index(&m->raft)) == m->leads_term;
}

unsigned int datafs_member_voters(const struct datafs_member *m)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < m->raft.configuration.n; i++)
		n += m->raft.configuration.servers[i].role == RAFT_VOTER;
	return n;
}
