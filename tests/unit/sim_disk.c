// SPDX-License-Identifier: Apache-2.0
#include "sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	uint64_t term;
	enum raft_entry_type type;
	void *buf;
	size_t len;
};

/* Asked for, and not complete: in order. */
struct pending {
	struct pending *next;
	struct datafs_raft_io *io;
	uint64_t index;
	const struct raft_entry *entries;	/* NULL: a snapshot */
	unsigned int n;
	const struct raft_snapshot *snapshot;
	unsigned int trailing;
};

struct sim_disk {
	struct sim *sim;
	unsigned int id;
	uint64_t term, vote, first;
	struct entry *entries;
	size_t n;
	/* the snapshot; index 0: none */
	uint64_t index, snap_term, conf_index;
	struct raft_buffer conf, data;
	struct pending *pending;
	uint64_t busy_until;
};

struct sim_disk *sim_disk_new(struct sim *sim, unsigned int id)
{
	struct sim_disk *d = calloc(1, sizeof(*d));

	assert(d);
	d->sim = sim;
	d->id = id;
	d->first = 1;
	return d;
}

static void cut_from(struct sim_disk *d, uint64_t index)
{
	while (d->n && d->first + d->n > index)
		free(d->entries[--d->n].buf);
}

void sim_disk_free(struct sim_disk *d)
{
	cut_from(d, 0);
	free(d->entries);
	raft_free(d->conf.base);
	free(d->data.base);
	free(d);
}

static void add(struct sim_disk *d, uint64_t term, enum raft_entry_type type,
		const struct raft_buffer *buf)
{
	struct entry *e;

	d->entries = realloc(d->entries, (d->n + 1) * sizeof(*d->entries));
	assert(d->entries);
	e = &d->entries[d->n++];
	*e = (struct entry) { term, type, malloc(buf->len ? buf->len : 1), buf->len };
	assert(e->buf);
	if (buf->len)
		memcpy(e->buf, buf->base, buf->len);
}

void sim_disk_bootstrap(struct sim_disk *d, const struct raft_configuration *conf)
{
	struct raft_buffer buf;

	assert(!raft_configuration_encode(conf, &buf));
	d->term = 1;
	add(d, 1, RAFT_CHANGE, &buf);
	raft_free(buf.base);
}

static int load(void *ctx, struct datafs_raft_loaded *res)
{
	struct sim_disk *d = ctx;

	res->term = d->term;
	res->vote = d->vote;
	res->first = d->first;
	res->n = d->n;
	res->entries = d->n ? raft_calloc(d->n, sizeof(*res->entries)) : NULL;
	for (size_t i = 0; i < d->n; i++) {
		struct raft_entry *e = &res->entries[i];

		e->term = d->entries[i].term;
		e->type = d->entries[i].type;
		e->buf.len = d->entries[i].len;
		e->buf.base = e->batch = raft_malloc(e->buf.len ? e->buf.len : 1);
		memcpy(e->buf.base, d->entries[i].buf, e->buf.len);
	}
	if (!d->index)
		return 0;
	res->snapshot = raft_calloc(1, sizeof(*res->snapshot));
	res->snapshot->index = d->index;
	res->snapshot->term = d->snap_term;
	res->snapshot->configuration_index = d->conf_index;
	assert(!raft_configuration_decode(&d->conf, &res->snapshot->configuration));
	res->snapshot->n_bufs = 1;
	res->snapshot->bufs = raft_calloc(1, sizeof(*res->snapshot->bufs));
	res->snapshot->bufs[0].len = d->data.len;
	res->snapshot->bufs[0].base = raft_malloc(d->data.len);
	memcpy(res->snapshot->bufs[0].base, d->data.base, d->data.len);
	return 0;
}

static int set_term(void *ctx, uint64_t term)
{
	struct sim_disk *d = ctx;

	assert(term > d->term);
	d->term = term;
	d->vote = 0;
	return 0;
}

static int set_vote(void *ctx, uint64_t id)
{
	struct sim_disk *d = ctx;

	assert(!d->vote);
	d->vote = id;
	return 0;
}

static void put_entries(struct sim_disk *d, const struct pending *p, unsigned int n)
{
	cut_from(d, p->index);
	assert(p->index == d->first + d->n);
	for (unsigned int i = 0; i < n; i++)
		add(d, p->entries[i].term, p->entries[i].type, &p->entries[i].buf);
}

static void put_snapshot(struct sim_disk *d, const struct pending *p, bool half)
{
	const struct raft_snapshot *s = p->snapshot;
	uint64_t first = s->index >= p->trailing ? s->index - p->trailing + 1 : 1;
	size_t drop;

	raft_free(d->conf.base);
	free(d->data.base);
	assert(!raft_configuration_encode(&s->configuration, &d->conf));
	d->data.len = s->bufs[0].len;
	d->data.base = malloc(d->data.len);
	memcpy(d->data.base, s->bufs[0].base, d->data.len);
	d->index = s->index;
	d->snap_term = s->term;
	d->conf_index = s->configuration_index;
	if (half && d->first + d->n > s->index)
		return;
	if (!p->trailing) {
		cut_from(d, 0);
		d->first = s->index + 1;
		return;
	}
	if (first <= d->first)
		return;
	drop = first - d->first;
	assert(drop <= d->n);
	for (size_t i = 0; i < drop; i++)
		free(d->entries[i].buf);
	d->n -= drop;
	memmove(d->entries, d->entries + drop, d->n * sizeof(*d->entries));
	d->first = first;
}

static void put(struct sim_disk *d, const struct pending *p)
{
	if (p->snapshot)
		put_snapshot(d, p, false);
	else
		put_entries(d, p, p->n);
}

/* One after the other, each as long as the seed says. */
static int enqueue(struct sim_disk *d, struct pending p)
{
	struct pending *q = malloc(sizeof(*q)), **end = &d->pending;
	uint64_t at = d->busy_until > d->sim->now ? d->busy_until : d->sim->now;

	assert(q);
	*q = p;
	while (*end)
		end = &(*end)->next;
	*end = q;
	at += sim_pick(d->sim, 50) ? sim_pick(d->sim, 4) : 100 + sim_pick(d->sim, 400);
	d->busy_until = at;
	sim_event(d->sim, at - d->sim->now, (struct sim_event) {
		.kind = SIM_DISK, .to = d->id, .a = d->sim->members[d->id].life
	});
	return 0;
}

static int append(void *ctx, uint64_t index, const struct raft_entry *entries,
		  unsigned int n, struct datafs_raft_io *io)
{
	return enqueue(ctx, (struct pending) {
		.io = io, .index = index, .entries = entries, .n = n
	});
}

static int snapshot(void *ctx, const struct raft_snapshot *snap, unsigned int trailing,
		    struct datafs_raft_io *io)
{
	return enqueue(ctx, (struct pending) {
		.io = io, .snapshot = snap, .trailing = trailing
	});
}

void sim_disk_complete(struct sim_disk *d)
{
	struct pending *p = d->pending;

	put(d, p);
	d->pending = p->next;
	p->io->done(p->io, 0);
	free(p);
}

void sim_disk_crash(struct sim_disk *d)
{
	bool lost = false;
	struct pending *p;

	while ((p = d->pending)) {
		if (!lost && p->snapshot && !p->trailing && sim_pick(d->sim, 2)) {
			/* the log that it replaces is still there, or some of it */
			lost = true;
			put_snapshot(d, p, true);
		} else if (!lost && sim_pick(d->sim, 2)) {
			put(d, p);
		} else if (!lost) {
			lost = true;
			/* of the last write a part */
			if (!p->snapshot)
				put_entries(d, p, sim_pick(d->sim, p->n));
		}
		d->pending = p->next;
		p->io->done(p->io, -ECANCELED);
		free(p);
	}
	d->busy_until = 0;
}

struct datafs_raft_disk sim_disk_ops(struct sim_disk *d)
{
	return (struct datafs_raft_disk) {
		.ctx = d, .load = load, .set_term = set_term, .set_vote = set_vote,
		.append = append, .snapshot = snapshot,
	};
}
