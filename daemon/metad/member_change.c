// SPDX-License-Identifier: Apache-2.0
/* Who is in the quorum, one change at a time. */
#include "metad/member_internal.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

struct raft_server *datafs_member_find(struct datafs_member *m, uint64_t id)
{
	for (unsigned int i = 0; i < m->raft.configuration.n; i++)
		if (m->raft.configuration.servers[i].id == id)
			return &m->raft.configuration.servers[i];
	return NULL;
}

static int check(struct datafs_member *m, const struct datafs_member_change *c)
{
	const struct raft_server *s = datafs_member_find(m, c->id);
	bool voter = s && s->role == RAFT_VOTER;

	if (c->kind == DATAFS_CHANGE_ADD) {
		if (!c->id || !c->address || strlen(c->address) > DATAFS_RAFT_ADDRESS_MAX ||
		    (c->role != RAFT_STANDBY && c->role != RAFT_SPARE) ||
		    m->raft.configuration.n >= DATAFS_RAFT_SERVERS_MAX)
			return -EINVAL;
		return s ? -EEXIST : 0;
	}
	if (!s)
		return -ENOENT;
	/*
	 * A member that is not in the last configuration of its log refuses to vote
	 * (libraft). A leader that goes down with its own removal in its log alone
	 * could so be missed by the others for ever.
	 */
	if (s->id == m->cfg.id && c->kind != DATAFS_CHANGE_PROMOTE)
		return -EINVAL;
	switch (c->kind) {
	case DATAFS_CHANGE_PROMOTE:
		return voter ? -EALREADY : 0;
	case DATAFS_CHANGE_DEMOTE:
		if (c->role != RAFT_STANDBY && c->role != RAFT_SPARE)
			return -EINVAL;
		if (s->role == c->role)
			return -EALREADY;
		break;
	default:
		break;
	}
	return voter && datafs_member_voters(m) == 1 ? -EINVAL : 0;
}

/*
 * Change @index is committed. libraft takes no notice if the next change is in the
 * log already (so it is with most followers: they hear of the one with the other),
 * or was and was replaced. It would go back to a configuration before @index then,
 * whose majorities need not meet those of the configuration in force.
 */
int datafs_member_conf_committed(struct datafs_member *m, struct raft_event *event)
{
	struct raft *r = &m->raft;
	struct raft_configuration *conf = &event->configuration.conf;

	if (event->configuration.index == r->configuration_uncommitted_index)
		return datafs_member_step(m, event);
	if (event->configuration.index <= r->configuration_committed_index) {
		raft_configuration_close(conf);
		return 0;
	}
	raft_configuration_close(&r->configuration_committed);
	r->configuration_committed = *conf;
	r->configuration_committed_index = event->configuration.index;
	return 0;
}

/*
 * The log was cut: in force is the last configuration that is left in it. libraft
 * goes back to the last one that it knows to be committed.
 */
int datafs_member_conf_cut(struct datafs_member *m)
{
	struct raft *r = &m->raft;
	const struct log_entry *e;
	struct raft_configuration conf;
	struct raft_buffer buf;
	uint64_t index = datafs_log_last(&m->log);

	for (; index > r->configuration_committed_index; index--) {
		e = datafs_log_get(&m->log, index);
		if (!e || index == r->configuration_uncommitted_index)
			return 0;
		if (e->type != RAFT_CHANGE)
			continue;
		buf = (struct raft_buffer) { .base = e->bytes->data, .len = e->bytes->len };
		if (raft_configuration_decode(&buf, &conf))
			return -ENOMEM;
		raft_configuration_close(&r->configuration);
		r->configuration = conf;
		r->configuration_uncommitted_index = index;
		return 0;
	}
	return 0;
}

/* The configuration as it is to be. */
static int make(struct datafs_member *m, const struct datafs_member_change *c,
		struct raft_configuration *to)
{
	const struct raft_configuration *from = &m->raft.configuration;
	int rv = 0;

	raft_configuration_init(to);
	for (unsigned int i = 0; !rv && i < from->n; i++) {
		const struct raft_server *s = &from->servers[i];
		int role = s->role;

		if (s->id == c->id && c->kind == DATAFS_CHANGE_REMOVE)
			continue;
		if (s->id == c->id)
			role = c->kind == DATAFS_CHANGE_PROMOTE ? RAFT_VOTER : c->role;
		rv = raft_configuration_add(to, s->id, s->address, role);
	}
	if (!rv && c->kind == DATAFS_CHANGE_ADD)
		rv = raft_configuration_add(to, c->id, c->address, c->role);
	if (rv)
		raft_configuration_close(to);
	return rv == RAFT_NOMEM ? -ENOMEM : rv ? -EEXIST : 0;
}

/* Sets the change's index: from here on it waits to be applied. */
static int propose(struct datafs_member *m, struct datafs_member_change *c)
{
	struct raft_configuration conf;
	struct raft_buffer buf;
	int err = make(m, c, &conf);

	if (err)
		return err;
	err = raft_configuration_encode(&conf, &buf) ? -ENOMEM : 0;
	raft_configuration_close(&conf);
	if (err)
		return err;
	c->index = datafs_log_last(&m->log) + 1;
	datafs_member_propose(m, RAFT_CHANGE, buf, &err);
	return err;
}

/* libraft sends what the member lacks, and tells when that is little. */
static int begin_catch_up(struct datafs_member *m, struct datafs_member_change *c)
{
	struct raft_event event = { .type = RAFT_CATCH_UP };
	raft_index match;

	if (!raft_match_index(&m->raft, c->id, &match) && match == datafs_log_last(&m->log))
		return propose(m, c);
	event.catch_up.server_id = c->id;
	return datafs_member_step(m, &event);
}

static void change_end(struct datafs_member *m, int err)
{
	m->change_done = m->change;
	m->change = NULL;
	m->change_done->err = err;
}

void datafs_member_drop_change(struct datafs_member *m, int err)
{
	if (m->change && !m->change_done)
		change_end(m, err);
}

bool datafs_member_answer_change(struct datafs_member *m)
{
	struct datafs_member_change *c = m->change_done;

	if (!c)
		return false;
	m->change_done = NULL;
	c->done(c, c->err);
	return true;
}

static void look_at_catch_up(struct datafs_member *m)
{
	int status = RAFT_CATCH_UP_ABORTED, err = 0;

	if (raft_catch_up(&m->raft, m->change->id, &status))
		status = RAFT_CATCH_UP_ABORTED;
	if (status == RAFT_CATCH_UP_ABORTED)
		err = -ETIMEDOUT;
	else if (status == RAFT_CATCH_UP_FINISHED)
		err = propose(m, m->change);
	if (err && m->change)
		change_end(m, err);
}

/*
 * libraft tells who is to lead as soon as it has one entry more, and only then; who
 * has not got all of them yet takes no notice.
 */
static void look_at_transfer(struct datafs_member *m)
{
	struct datafs_raft_frame frame = { .kind = RAFT_TIMEOUT_NOW };
	uint64_t id = raft_transferee(&m->raft), last = datafs_log_last(&m->log);
	raft_index match;

	if (!id)
		m->hurried = 0;
	if (!id || m->hurried == last || raft_match_index(&m->raft, id, &match) || match < last)
		return;
	m->hurried = last;
	frame.raft.type = RAFT_TIMEOUT_NOW;
	frame.raft.timeout_now = (struct raft_timeout_now) {
		.term = m->leads_term, .last_log_index = last,
		.last_log_term = datafs_log_term(&m->log, last),
	};
	datafs_member_send(m, id, &frame);
}

void datafs_member_changes(struct datafs_member *m)
{
	if (m->leads)
		look_at_transfer(m);
	if (m->change && !m->change->index && m->leads)
		look_at_catch_up(m);
	if (m->change && m->change->index && m->change->index <= m->applied)
		change_end(m, 0);
}

int datafs_member_change(struct datafs_member *m, struct datafs_member_change *change)
{
	int err;

	if (m->halted)
		return -EIO;
	if (!m->leads)
		return -EREMOTE;
	/* inside a callback too: no step is under way then */
	if (!datafs_member_ready(m) || m->change || m->change_done ||
	    m->raft.configuration_uncommitted_index || raft_transferee(&m->raft))
		return -EBUSY;
	err = check(m, change);
	if (err)
		return err;
	change->index = 0;
	m->change = change;
	err = change->kind == DATAFS_CHANGE_PROMOTE ? begin_catch_up(m, change) :
						      propose(m, change);
	if (err) {
		m->change = NULL;
		return err;
	}
	datafs_member_run(m);
	return 0;
}

int datafs_member_transfer(struct datafs_member *m, uint64_t id)
{
	struct raft_event event = { .type = RAFT_TRANSFER };
	int err;

	if (m->halted)
		return -EIO;
	if (!m->leads)
		return -EREMOTE;
	event.transfer.server_id = id;
	err = datafs_member_step(m, &event);
	datafs_member_run(m);
	return err;
}
