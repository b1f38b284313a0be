// SPDX-License-Identifier: Apache-2.0
/* One step of the protocol, and what it wants done: store, then say. */
#include "metad/member_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

int datafs_raft_error(int rv)
{
	switch (rv) {
	case 0:
		return 0;
	case RAFT_NOMEM:
		return -ENOMEM;
	case RAFT_NOTLEADER:
		return -EREMOTE;
	case RAFT_CANTCHANGE:
		return -EBUSY;
	case RAFT_BADID:
	case RAFT_NOTFOUND:
		return -ENOENT;
	default:
		return -EIO;
	}
}

void datafs_append_free(struct append *a)
{
	for (unsigned int i = 0; a->bytes && i < a->n; i++)
		if (a->bytes[i])
			datafs_log_bytes_put(a->bytes[i]);
	free(a->bytes);
	free(a->entries);
	free(a);
}

static void append_done(struct datafs_raft_io *io, int err)
{
	struct append *a = (struct append *)io;
	struct datafs_member *m = a->m;
	struct event *e;

	if (err)
		datafs_member_halt(m, err, "log");
	e = err || m->halted ? NULL : datafs_member_event(m, EVENT_PERSISTED);
	if (e)
		e->append = a;
	else
		datafs_append_free(a);
	datafs_member_run(m);
}

static struct append *append_new(struct datafs_member *m, uint64_t index, unsigned int n)
{
	struct append *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->io.done = append_done;
	a->m = m;
	a->index = index;
	a->n = n;
	a->bytes = calloc(n, sizeof(*a->bytes));
	a->entries = calloc(n, sizeof(*a->entries));
	if (!a->bytes || !a->entries) {
		datafs_append_free(a);
		return NULL;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct log_entry *e = datafs_log_get(&m->log, index + i);

		a->bytes[i] = e->bytes;
		e->bytes->refs++;
		a->entries[i] = (struct raft_entry) {
			.term = e->term, .type = e->type,
			.buf = { .base = e->bytes->data, .len = e->bytes->len },
		};
	}
	return a;
}

/* New entries: to the log in memory, and to the disk. */
static int store_entries(struct datafs_member *m, struct raft_update *u)
{
	struct raft_entry *entries = u->entries.batch;
	uint64_t index = u->entries.index;
	bool cut = index <= datafs_log_last(&m->log);
	struct append *a;
	int err;

	err = datafs_log_put(&m->log, index, entries, u->entries.n);
	raft_free(entries[0].batch);
	if (!err && cut)
		err = datafs_member_conf_cut(m);
	if (err)
		return err;
	a = append_new(m, index, u->entries.n);
	if (!a)
		return -ENOMEM;
	err = m->cfg.disk.append(m->cfg.disk.ctx, index, a->entries, a->n, &a->io);
	if (err)
		datafs_append_free(a);
	return err;
}

void datafs_member_send(struct datafs_member *m, uint64_t to,
			const struct datafs_raft_frame *frame)
{
	void *buf;
	long len = datafs_raft_encode(frame, &buf);

	/* one that is lost is sent again */
	if (len < 0) {
		datafs_log(LOG_WARNING, "quorum: a message to member %llu is not sent: %s",
			   (unsigned long long)to, strerror((int)-len));
		return;
	}
	m->cfg.net.send(m->cfg.net.ctx, to, buf, (size_t)len);
	free(buf);
}

/* How many entries from @index on go into one frame. */
static unsigned int frame_entries(struct datafs_member *m, uint64_t index, unsigned int max,
				  struct raft_entry *entries)
{
	size_t bytes = 0;
	unsigned int n = 0;

	while (n < max && n < DATAFS_RAFT_ENTRIES_MAX) {
		struct log_entry *e = datafs_log_get(&m->log, index + n);

		if (!e || (n && e->type == RAFT_CHANGE))
			break;
		bytes += e->bytes->len;
		if (n && bytes > DATAFS_RAFT_BATCH_MAX)
			break;
		entries[n++] = (struct raft_entry) {
			.term = e->term, .type = e->type,
			.buf = { .base = e->bytes->data, .len = e->bytes->len },
		};
	}
	return n;
}

/* Does member @id vote, by the configuration that is entry @e? */
static bool votes_by(const struct log_entry *e, uint64_t id)
{
	struct raft_buffer buf = { .base = e->bytes->data, .len = e->bytes->len };
	struct raft_configuration conf;
	bool votes = false;

	/* no memory: it is sent again */
	if (raft_configuration_decode(&buf, &conf))
		return false;
	for (unsigned int i = 0; i < conf.n; i++)
		votes |= conf.servers[i].id == id && conf.servers[i].role == RAFT_VOTER;
	raft_configuration_close(&conf);
	return votes;
}

/*
 * How many of @n entries behind @prev member @to may have. Who does not vote gets those that
 * are committed; and so is the one that makes it so. Otherwise nobody might be elected:
 *
 *	1			2			3
 *	demotes 3: sends that	(it is lost)		has it
 *	is gone
 *				asks 3: needs 2 of 3
 *							its log is longer: refuses
 *							it is no voter: never asks
 */
static unsigned int sendable(struct datafs_member *m, uint64_t to, uint64_t prev, unsigned int n)
{
	const struct raft_server *s = datafs_member_find(m, to);
	uint64_t index = DATAFS_MAX(raft_commit_index(&m->raft), prev) + 1;
	const struct log_entry *e;

	if (!s || s->role != RAFT_VOTER)
		return (unsigned int)DATAFS_MIN(n, index - 1 - prev);
	for (; index <= prev + n; index++) {
		e = datafs_log_get(&m->log, index);
		if (e && e->type == RAFT_CHANGE && !votes_by(e, to))
			return (unsigned int)(index - 1 - prev);
	}
	return n;
}

/*
 * As many frames as it takes: a change of the configuration begins one
 * (raft_wire.h). The receiver refuses a later one that comes first. But libraft counts
 * entries, whatever their length: what is too much now it sends again later.
 */
static void send_entries(struct datafs_member *m, uint64_t to, struct datafs_raft_frame *frame)
{
	struct raft_append_entries *a = &frame->raft.append_entries;
	unsigned int left = sendable(m, to, a->prev_log_index, a->n_entries), frames = 0;
	struct raft_entry *entries;

	entries = left ? calloc(left, sizeof(*entries)) : NULL;
	if (left && !entries)
		return;
	a->entries = entries;
	do {
		a->n_entries = frame_entries(m, a->prev_log_index + 1, left, entries);
		if (left && !a->n_entries)
			break;
		datafs_member_send(m, to, frame);
		left -= a->n_entries;
		a->prev_log_index += a->n_entries;
		if (a->n_entries)
			a->prev_log_term = entries[a->n_entries - 1].term;
	} while (left && ++frames < DATAFS_MEMBER_SEND_FRAMES);
	free(entries);
}

/*
 * Whether one would be elected is answered with the term that was asked about, also
 * if that is over. libraft would so leave a member in an old term for ever; and if
 * its log is the longest of a majority's, nobody else can be elected.
 */
static void tell_term(struct datafs_member *m, struct raft_request_vote_result *res)
{
	if (res->pre_vote && !res->vote_granted)
		res->term = DATAFS_MAX(res->term, raft_current_term(&m->raft));
}

/*
 * Entries or a snapshot of an old term are answered with the new one, and an index that libraft
 * has not set; in that of a snapshot, and of entries from the first on, nothing is rejected.
 * If who sent them leads the new term too, it would take that index for the end of what is
 * stored here, and could commit what no majority has. Index 0 is of no rejection, and nothing.
 */
static void tell_only_term(struct raft_append_entries_result *res)
{
	res->rejected = 0;
	res->last_log_index = 0;
}

static void send_message(struct datafs_member *m, const struct raft_message *message)
{
	struct datafs_raft_frame frame = { .kind = message->type, .raft = *message };

	if (message->type == RAFT_REQUEST_VOTE_RESULT)
		tell_term(m, &frame.raft.request_vote_result);
	if (message->type == RAFT_APPEND_ENTRIES_RESULT && m->stale)
		tell_only_term(&frame.raft.append_entries_result);
	switch (message->type) {
	case RAFT_APPEND_ENTRIES:
		send_entries(m, message->server_id, &frame);
		break;
	case RAFT_INSTALL_SNAPSHOT:
		if (!datafs_member_snap_fill(m, &frame.raft.install_snapshot))
			datafs_member_send(m, message->server_id, &frame);
		break;
	default:
		datafs_member_send(m, message->server_id, &frame);
	}
}

/*
 * Term and vote. Storing a term clears the vote, so it is not done again for the
 * same term: a crash between the two would forget a vote that was given.
 */
static int store_vote(struct datafs_member *m)
{
	uint64_t term = raft_current_term(&m->raft), vote = raft_voted_for(&m->raft);
	int err = 0;

	if (term != m->disk_term) {
		err = m->cfg.disk.set_term(m->cfg.disk.ctx, term);
		if (err)
			return err;
		m->disk_term = term;
		m->disk_vote = 0;
	}
	if (vote != m->disk_vote) {
		err = m->cfg.disk.set_vote(m->cfg.disk.ctx, vote);
		if (!err)
			m->disk_vote = vote;
	}
	return err;
}

/* What it points to is ours, stored or not. */
static void update_free(struct raft_update *u)
{
	if (u->flags & RAFT_UPDATE_ENTRIES)
		raft_free(u->entries.batch[0].batch);
	if (u->flags & RAFT_UPDATE_SNAPSHOT) {
		raft_configuration_close(&u->snapshot.metadata.configuration);
		raft_free(u->snapshot.chunk.base);
	}
}

/* What a step wants done, in this order: nothing is said before it is stored. */
static int do_update(struct datafs_member *m, struct raft_update *u)
{
	int err = store_vote(m);

	if (err)
		update_free(u);
	if (!err && u->flags & RAFT_UPDATE_ENTRIES)
		err = store_entries(m, u);
	if (!err && u->flags & RAFT_UPDATE_SNAPSHOT)
		datafs_member_snap_install(m, u);
	if (!err && u->flags & RAFT_UPDATE_MESSAGES)
		for (unsigned int i = 0; i < u->messages.n && !m->halted; i++)
			send_message(m, &u->messages.batch[i]);
	return err;
}

static void leadership_lost(struct datafs_member *m)
{
	m->leads = false;
	datafs_member_drop_ops(m, -EAGAIN, -EREMOTE);
	datafs_member_drop_reads(m, -EREMOTE);
	datafs_member_drop_change(m, -EAGAIN);
}

/* A leader knows what is committed once an entry of its own term is. */
static void leadership_won(struct datafs_member *m)
{
	uint64_t term = raft_current_term(&m->raft);
	struct raft_buffer buf = { .len = 8 };
	int err;

	m->leads = true;
	m->leads_term = term;
	memset(&m->reads.peers, 0, sizeof(m->reads.peers));
	if (datafs_log_term(&m->log, datafs_log_last(&m->log)) == term)
		return;
	buf.base = raft_calloc(1, buf.len);
	if (!buf.base)
		datafs_member_halt(m, -ENOMEM, "barrier");
	else
		datafs_member_propose(m, RAFT_BARRIER, buf, &err);
}

static void look_at_state(struct datafs_member *m)
{
	bool leads = raft_state(&m->raft) == RAFT_LEADER;

	if (m->leads && (!leads || m->leads_term != raft_current_term(&m->raft)))
		leadership_lost(m);
	if (!m->leads && leads)
		leadership_won(m);
}

int datafs_member_step(struct datafs_member *m, struct raft_event *event)
{
	struct raft_update update = { 0 };
	int rv, err;

	event->time = m->cfg.now(m->cfg.ctx);
	rv = raft_step(&m->raft, event, &update);
	if (rv)
		return datafs_raft_error(rv);
	err = do_update(m, &update);
	if (err)
		datafs_member_halt(m, err, "log");
	else
		look_at_state(m);
	return 0;
}

/*
 * Who votes is for the candidate's configuration to say. One that was made a voter by an
 * entry which it has not got yet may be missing for a majority, and it can get that entry
 * only from the leader that it helps to elect:
 *
 *	1		2		3
 *	promotes 3: 1 and 2 have it, it is committed
 *	demotes 2: 1 has it
 *	restarts
 *	asks to be elected: needs 2 of { 1, 3 }
 *					by its log no voter
 *
 * libraft lets vote who is a voter by its own log, and lets nobody else ever forget a leader;
 * its timer is no help, which goes on by itself there.
 */
static int step_vote(struct datafs_member *m, struct raft_event *event)
{
	raft_id *leader = &m->raft.follower_state.current_leader.id, was = *leader;
	struct raft_server *self = datafs_member_find(m, m->cfg.id);
	uint64_t term = raft_current_term(&m->raft);
	int err, role = self ? self->role : RAFT_VOTER;

	if (role == RAFT_VOTER || raft_state(&m->raft) != RAFT_FOLLOWER)
		return datafs_member_step(m, event);
	if (m->cfg.now(m->cfg.ctx) >= m->heard + DATAFS_MEMBER_ELECTION_MS)
		*leader = 0;
	self->role = RAFT_VOTER;
	err = datafs_member_step(m, event);
	/* a vote changes no configuration; and who asked for entries is told when they are stored */
	self->role = role;
	if (raft_current_term(&m->raft) == term)
		*leader = was;
	return err;
}

/* Of a leader: entries, or a snapshot. */
static int step_leader(struct datafs_member *m, struct raft_event *event, uint64_t term)
{
	int err;

	m->stale = term < raft_current_term(&m->raft);
	if (!m->stale)
		m->heard = m->cfg.now(m->cfg.ctx);
	err = datafs_member_step(m, event);
	m->stale = false;
	return err;
}

int datafs_member_step_receive(struct datafs_member *m, struct raft_event *event)
{
	const struct raft_message *msg = event->receive.message;

	switch (msg->type) {
	case RAFT_REQUEST_VOTE:
		return step_vote(m, event);
	case RAFT_APPEND_ENTRIES:
		return step_leader(m, event, msg->append_entries.term);
	case RAFT_INSTALL_SNAPSHOT:
		return step_leader(m, event, msg->install_snapshot.term);
	default:
		return datafs_member_step(m, event);
	}
}

uint64_t datafs_member_propose(struct datafs_member *m, enum raft_entry_type type,
			       struct raft_buffer buf, int *err)
{
	struct raft_entry entry = {
		.term = raft_current_term(&m->raft), .type = type, .buf = buf, .batch = buf.base,
	};
	struct raft_event event = { .type = RAFT_SUBMIT };
	uint64_t index = datafs_log_last(&m->log) + 1;

	event.submit.entries = &entry;
	event.submit.n = 1;
	*err = datafs_member_step(m, &event);
	if (*err)
		raft_free(buf.base);
	return *err ? 0 : index;
}
