// SPDX-License-Identifier: Apache-2.0
#include "metad/raft_wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "metad/raft_conf.h"
#include "wire/frame.h"

#define WIRE_VERSION	1

_Static_assert(DATAFS_RAFT_FRAME_MAX <= DATAFS_FRAME_MAX_BULK, "the wire carries no such frame");

/* Where bytes are put. Without a buffer they are only counted. */
struct out {
	uint8_t *p;
	size_t len;
};

/* Where they are taken from. Past the end all is 0, and bad is set. */
struct in {
	const uint8_t *p;
	size_t left;
	bool bad;
};

/* Of the messages of libraft 0.22.1, by type. */
static const uint8_t message_version[DATAFS_RAFT_KIND_END] = {
	[RAFT_APPEND_ENTRIES_RESULT] = 2,
	[RAFT_REQUEST_VOTE] = 2,
	[RAFT_REQUEST_VOTE_RESULT] = 2,
};

static void put(struct out *o, uint64_t v, unsigned int bytes)
{
	for (unsigned int i = bytes; o->p && i; i--)
		o->p[o->len + bytes - i] = (uint8_t)(v >> 8 * (i - 1));
	o->len += bytes;
}

static void put_bytes(struct out *o, const void *buf, size_t len)
{
	if (o->p && len)
		memcpy(o->p + o->len, buf, len);
	o->len += len;
}

static uint64_t get(struct in *in, unsigned int bytes)
{
	uint64_t v = 0;

	if (in->left < bytes) {
		in->bad = true;
		in->left = 0;
		return 0;
	}
	for (unsigned int i = 0; i < bytes; i++)
		v = v << 8 | in->p[i];
	in->p += bytes;
	in->left -= bytes;
	return v;
}

static const void *get_bytes(struct in *in, size_t len)
{
	const void *p = in->p;

	if (in->left < len) {
		in->bad = true;
		in->left = 0;
		return NULL;
	}
	in->p += len;
	in->left -= len;
	return p;
}

static void get_zero(struct in *in, unsigned int bytes)
{
	if (get(in, bytes))
		in->bad = true;
}

static bool get_bool(struct in *in)
{
	uint64_t v = get(in, 1);

	if (v > 1)
		in->bad = true;
	return v == 1;
}

/* A term: those of messages and entries begin with 1. */
static uint64_t get_term(struct in *in)
{
	uint64_t v = get(in, 8);

	if (!v)
		in->bad = true;
	return v;
}

/* An index, small enough that a count can be added. */
static uint64_t get_index(struct in *in)
{
	uint64_t v = get(in, 8);

	if (v >> 62)
		in->bad = true;
	return v;
}

static int put_vote(struct out *o, const struct raft_message *m)
{
	const struct raft_request_vote *v = &m->request_vote;

	put(o, v->term, 8);
	put(o, v->candidate_id, 8);
	put(o, v->last_log_index, 8);
	put(o, v->last_log_term, 8);
	put(o, v->disrupt_leader, 1);
	put(o, v->pre_vote, 1);
	put(o, 0, 2);
	return 0;
}

static int get_vote(struct in *in, struct raft_message *m)
{
	struct raft_request_vote *v = &m->request_vote;

	v->version = message_version[RAFT_REQUEST_VOTE];
	v->term = get_term(in);
	v->candidate_id = get(in, 8);
	v->last_log_index = get_index(in);
	v->last_log_term = get(in, 8);
	v->disrupt_leader = get_bool(in);
	v->pre_vote = get_bool(in);
	get_zero(in, 2);
	return v->candidate_id ? 0 : -EBADMSG;
}

static int put_vote_result(struct out *o, const struct raft_message *m)
{
	const struct raft_request_vote_result *v = &m->request_vote_result;

	put(o, v->term, 8);
	put(o, v->vote_granted, 1);
	put(o, v->pre_vote, 1);
	put(o, v->features, 2);
	put(o, v->capacity, 2);
	put(o, 0, 2);
	return 0;
}

static int get_vote_result(struct in *in, struct raft_message *m)
{
	struct raft_request_vote_result *v = &m->request_vote_result;

	v->version = message_version[RAFT_REQUEST_VOTE_RESULT];
	v->term = get_index(in);
	v->vote_granted = get_bool(in);
	v->pre_vote = get_bool(in);
	v->features = (unsigned short)get(in, 2);
	v->capacity = (unsigned short)get(in, 2);
	get_zero(in, 2);
	return 0;
}

static int put_append(struct out *o, const struct raft_message *m)
{
	const struct raft_append_entries *a = &m->append_entries;
	size_t bytes = 0;

	if (a->n_entries > DATAFS_RAFT_ENTRIES_MAX)
		return -EINVAL;
	put(o, a->term, 8);
	put(o, a->prev_log_index, 8);
	put(o, a->prev_log_term, 8);
	put(o, a->leader_commit, 8);
	put(o, a->n_entries, 4);
	for (unsigned int i = 0; i < a->n_entries; i++) {
		const struct raft_entry *e = &a->entries[i];

		bytes += e->buf.len;
		if (e->buf.len > DATAFS_RAFT_ENTRY_MAX || bytes > DATAFS_RAFT_BATCH_MAX ||
		    (e->type == RAFT_CHANGE && i))
			return -EINVAL;
		put(o, e->term, 8);
		put(o, e->buf.len, 4);
		put(o, e->type, 1);
		put(o, 0, 3);
		put_bytes(o, e->buf.base, e->buf.len);
	}
	return 0;
}

/* One entry, its bytes still where they are. */
static int get_entry(struct in *in, struct raft_entry *e, bool first)
{
	memset(e, 0, sizeof(*e));
	e->term = get_term(in);
	e->buf.len = get(in, 4);
	e->type = get(in, 1);
	get_zero(in, 3);
	if (e->buf.len > DATAFS_RAFT_ENTRY_MAX)
		return -EBADMSG;
	e->buf.base = (void *)get_bytes(in, e->buf.len);
	if (in->bad)
		return -EBADMSG;
	switch (e->type) {
	case RAFT_COMMAND:
	case RAFT_BARRIER:
		return 0;
	case RAFT_CHANGE:
		return first ? datafs_raft_conf_check(e->buf.base, e->buf.len) :
			       -EBADMSG;
	default:
		return -EBADMSG;
	}
}

/* Gives them a memory of their own: one batch, which the first one names. */
static int own_entries(struct raft_entry *e, unsigned int n, size_t bytes)
{
	uint8_t *batch = raft_malloc(bytes ? bytes : 1), *p = batch;

	if (!batch)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		if (e[i].buf.len)
			memcpy(p, e[i].buf.base, e[i].buf.len);
		e[i].buf.base = p;
		e[i].batch = batch;
		p += e[i].buf.len;
	}
	return 0;
}

static int get_append(struct in *in, struct raft_message *m)
{
	struct raft_append_entries *a = &m->append_entries;
	size_t bytes = 0;
	uint64_t n;
	int err = 0;

	a->version = message_version[RAFT_APPEND_ENTRIES];
	a->term = get_term(in);
	a->prev_log_index = get_index(in);
	a->prev_log_term = get(in, 8);
	a->leader_commit = get_index(in);
	n = get(in, 4);
	if (in->bad || n > DATAFS_RAFT_ENTRIES_MAX || n * 16 > in->left ||
	    !a->prev_log_index != !a->prev_log_term || a->prev_log_term > a->term)
		return -EBADMSG;
	if (!n)
		return 0;
	a->entries = raft_calloc(n, sizeof(*a->entries));
	if (!a->entries)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < n; i++) {
		err = get_entry(in, &a->entries[i], !i);
		bytes += a->entries[i].buf.len;
		if (!err && (bytes > DATAFS_RAFT_BATCH_MAX || a->entries[i].term > a->term ||
			     a->entries[i].term < (i ? a->entries[i - 1].term :
						       a->prev_log_term)))
			err = -EBADMSG;
	}
	if (!err)
		err = own_entries(a->entries, (unsigned int)n, bytes);
	if (err) {
		raft_free(a->entries);
		a->entries = NULL;
		return err;
	}
	a->n_entries = (unsigned int)n;
	return 0;
}

static int put_append_result(struct out *o, const struct raft_message *m)
{
	const struct raft_append_entries_result *a = &m->append_entries_result;

	put(o, a->term, 8);
	put(o, a->rejected, 8);
	put(o, a->last_log_index, 8);
	put(o, a->features, 2);
	put(o, a->capacity, 2);
	return 0;
}

static int get_append_result(struct in *in, struct raft_message *m)
{
	struct raft_append_entries_result *a = &m->append_entries_result;

	a->version = message_version[RAFT_APPEND_ENTRIES_RESULT];
	a->term = get_term(in);
	a->rejected = get_index(in);
	a->last_log_index = get_index(in);
	a->features = (unsigned short)get(in, 2);
	a->capacity = (unsigned short)get(in, 2);
	return 0;
}

static int put_snapshot(struct out *o, const struct raft_message *m)
{
	const struct raft_install_snapshot *s = &m->install_snapshot;

	if (!s->conf.n || s->conf.n > DATAFS_RAFT_SERVERS_MAX ||
	    s->data.len > DATAFS_RAFT_MANIFEST_MAX)
		return -EINVAL;
	put(o, s->term, 8);
	put(o, s->last_index, 8);
	put(o, s->last_term, 8);
	put(o, s->conf_index, 8);
	put(o, s->conf.n, 4);
	for (unsigned int i = 0; i < s->conf.n; i++) {
		const struct raft_server *server = &s->conf.servers[i];
		size_t len = strlen(server->address);

		if (len > DATAFS_RAFT_ADDRESS_MAX)
			return -EINVAL;
		put(o, server->id, 8);
		put(o, (uint64_t)server->role, 1);
		put(o, len, 1);
		put_bytes(o, server->address, len);
	}
	put(o, s->data.len, 4);
	put_bytes(o, s->data.base, s->data.len);
	return 0;
}

static int get_server(struct in *in, struct raft_configuration *conf)
{
	char address[DATAFS_RAFT_ADDRESS_MAX + 1];
	uint64_t id = get(in, 8);
	uint64_t role = get(in, 1);
	size_t len = get(in, 1);
	const void *p = get_bytes(in, len);
	int rv;

	if (in->bad || !id || role > RAFT_SPARE || memchr(p, 0, len))
		return -EBADMSG;
	memcpy(address, p, len);
	address[len] = 0;
	rv = raft_configuration_add(conf, id, address, (int)role);
	return rv == RAFT_NOMEM ? -ENOMEM : rv ? -EBADMSG : 0;
}

static int get_manifest(struct in *in, struct raft_buffer *data)
{
	size_t len = get(in, 4);
	const void *p;

	if (len > DATAFS_RAFT_MANIFEST_MAX)
		return -EBADMSG;
	p = get_bytes(in, len);
	if (in->bad)
		return -EBADMSG;
	data->base = raft_malloc(len ? len : 1);
	if (!data->base)
		return -ENOMEM;
	memcpy(data->base, p, len);
	data->len = len;
	return 0;
}

static int get_snapshot(struct in *in, struct raft_message *m)
{
	struct raft_install_snapshot *s = &m->install_snapshot;
	uint64_t n;
	int err = 0;

	raft_configuration_init(&s->conf);
	s->version = message_version[RAFT_INSTALL_SNAPSHOT];
	s->term = get_term(in);
	s->last_index = get_index(in);
	s->last_term = get_term(in);
	s->conf_index = get_index(in);
	n = get(in, 4);
	if (in->bad || !n || n > DATAFS_RAFT_SERVERS_MAX || !s->last_index ||
	    !s->conf_index || s->conf_index > s->last_index || s->last_term > s->term)
		return -EBADMSG;
	while (!err && n--)
		err = get_server(in, &s->conf);
	if (!err)
		err = get_manifest(in, &s->data);
	if (err)
		raft_configuration_close(&s->conf);
	return err;
}

static int put_timeout(struct out *o, const struct raft_message *m)
{
	put(o, m->timeout_now.term, 8);
	put(o, m->timeout_now.last_log_index, 8);
	put(o, m->timeout_now.last_log_term, 8);
	return 0;
}

static int get_timeout(struct in *in, struct raft_message *m)
{
	m->timeout_now.version = message_version[RAFT_TIMEOUT_NOW];
	m->timeout_now.term = get_term(in);
	m->timeout_now.last_log_index = get_index(in);
	m->timeout_now.last_log_term = get(in, 8);
	return 0;
}

static const struct {
	int (*put)(struct out *o, const struct raft_message *m);
	int (*get)(struct in *in, struct raft_message *m);
} bodies[] = {
	[RAFT_APPEND_ENTRIES] = { put_append, get_append },
	[RAFT_APPEND_ENTRIES_RESULT] = { put_append_result, get_append_result },
	[RAFT_REQUEST_VOTE] = { put_vote, get_vote },
	[RAFT_REQUEST_VOTE_RESULT] = { put_vote_result, get_vote_result },
	[RAFT_INSTALL_SNAPSHOT] = { put_snapshot, get_snapshot },
	[RAFT_TIMEOUT_NOW] = { put_timeout, get_timeout },
};

static int put_frame(struct out *o, const struct datafs_raft_frame *f)
{
	if (!f->kind || f->kind >= DATAFS_RAFT_KIND_END)
		return -EINVAL;
	put(o, WIRE_VERSION, 1);
	put(o, f->kind, 1);
	put(o, message_version[f->kind], 1);
	put(o, 0, 1);
	if (f->kind <= DATAFS_RAFT_KIND_RAFT_LAST)
		return bodies[f->kind].put(o, &f->raft);
	put(o, f->confirm.term, 8);
	put(o, f->confirm.round, 8);
	return 0;
}

long datafs_raft_encode(const struct datafs_raft_frame *frame, void **res)
{
	struct out o = { 0 };
	int err = put_frame(&o, frame);

	if (err)
		return err;
	o.p = malloc(o.len);
	if (!o.p)
		return -ENOMEM;
	*res = o.p;
	o.len = 0;
	put_frame(&o, frame);
	return (long)o.len;
}

int datafs_raft_decode(const void *buf, size_t len, struct datafs_raft_frame *res)
{
	struct in in = { .p = buf, .left = len };
	int err = 0;

	memset(res, 0, sizeof(*res));
	if (len > DATAFS_RAFT_FRAME_MAX || get(&in, 1) != WIRE_VERSION)
		return -EBADMSG;
	res->kind = (unsigned int)get(&in, 1);
	if (in.bad || !res->kind || res->kind >= DATAFS_RAFT_KIND_END ||
	    get(&in, 1) != message_version[res->kind])
		return -EBADMSG;
	get_zero(&in, 1);
	if (res->kind <= DATAFS_RAFT_KIND_RAFT_LAST) {
		res->raft.type = res->kind;
		err = bodies[res->kind].get(&in, &res->raft);
	} else {
		res->confirm.term = get_term(&in);
		res->confirm.round = get(&in, 8);
	}
	if (!err && (in.bad || in.left)) {
		datafs_raft_frame_free(res);
		err = -EBADMSG;
	}
	return err;
}

void datafs_raft_frame_free(struct datafs_raft_frame *frame)
{
	struct raft_message *m = &frame->raft;

	switch (frame->kind) {
	case RAFT_APPEND_ENTRIES:
		if (m->append_entries.entries)
			raft_free(m->append_entries.entries[0].batch);
		raft_free(m->append_entries.entries);
		m->append_entries.entries = NULL;
		m->append_entries.n_entries = 0;
		break;
	case RAFT_INSTALL_SNAPSHOT:
		raft_configuration_close(&m->install_snapshot.conf);
		raft_configuration_init(&m->install_snapshot.conf);
		raft_free(m->install_snapshot.data.base);
		m->install_snapshot.data.base = NULL;
		break;
	default:
		break;
	}
}
