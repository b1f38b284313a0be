// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metad/member_internal.h"

#define CALM_MS	30000u	/* for all to agree, once nothing is in the way */

uint64_t sim_random(struct sim *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random >> 11;
}

unsigned int sim_pick(struct sim *s, unsigned int n)
{
	return (unsigned int)(sim_random(s) % n);
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
	struct sim_event t = *a;

	*a = *b;
	*b = t;
}

void sim_event(struct sim *s, uint64_t delay, struct sim_event e)
{
	size_t i = s->n;

	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 256;
		s->heap = realloc(s->heap, s->room * sizeof(*s->heap));
		assert(s->heap);
	}
	e.time = s->now + delay;
	e.order = ++s->order;
	s->heap[s->n++] = e;
	for (; i && before(&s->heap[i], &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&s->heap[i], &s->heap[(i - 1) / 2]);
}

static struct sim_event take_event(struct sim *s)
{
	struct sim_event e = s->heap[0];
	size_t i = 0;

	s->heap[0] = s->heap[--s->n];
	for (;;) {
		size_t next = 2 * i + 1;

		if (next + 1 < s->n && before(&s->heap[next + 1], &s->heap[next]))
			next++;
		if (next >= s->n || !before(&s->heap[next], &s->heap[i]))
			return e;
		swap(&s->heap[next], &s->heap[i]);
		i = next;
	}
}

/* What the network does to what is sent. */
static uint64_t delay_of(struct sim *s)
{
	return sim_pick(s, 40) ? 1 + sim_pick(s, 12) : sim_pick(s, 250);
}

static void transmit(struct sim *s, struct sim_event e, const void *buf, size_t len)
{
	unsigned int times = 1;

	if (s->cut[e.from][e.to] || sim_pick(s, 1000) < s->drop)
		return;
	if (sim_pick(s, 1000) < s->twice)
		times = 2;
	while (times--) {
		e.buf = malloc(len ? len : 1);
		assert(e.buf);
		if (len)
			memcpy(e.buf, buf, len);
		e.len = len;
		sim_event(s, delay_of(s), e);
	}
}

/* What a member's calls are given: the world, and which member it is. */
struct place {
	struct sim *s;
	unsigned int id;
};

static struct place places[SIM_MEMBERS + 1];

/* Who has just promised something may go down: did it keep the promise? */
static void maybe_crash(struct sim *s, unsigned int id, unsigned int kind)
{
	unsigned int one_of = kind == RAFT_REQUEST_VOTE_RESULT ? 15 :
			      kind == RAFT_APPEND_ENTRIES_RESULT ? 600 : 0;

	if (!s->calm && !s->isolate && one_of && !sim_pick(s, one_of))
		sim_event(s, 0, (struct sim_event) { .kind = SIM_CRASH, .to = id });
}

static void net_send(void *ctx, uint64_t to, const void *buf, size_t len)
{
	const struct place *p = ctx;

	maybe_crash(p->s, p->id, ((const uint8_t *)buf)[1]);
	assert(to && to <= SIM_MEMBERS && to != p->id);
	transmit(p->s, (struct sim_event) {
		.kind = SIM_MESSAGE, .from = p->id, .to = (unsigned int)to
	}, buf, len);
}

static void net_fetch(void *ctx, uint64_t from, const struct datafs_raft_piece *piece,
		      uint64_t token)
{
	const struct place *p = ctx;

	transmit(p->s, (struct sim_event) {
		.kind = SIM_FETCH, .from = p->id, .to = (unsigned int)from, .a = piece->index,
		.b = piece->term, .c = piece->off, .d = token, .err = (int)piece->len,
	}, piece->file, strlen(piece->file) + 1);
}

static uint64_t now_of(void *ctx)
{
	return ((struct place *)ctx)->s->now;
}

void sim_member_start(struct sim *s, unsigned int id)
{
	struct sim_member *m = &s->members[id];
	struct datafs_member_config cfg = {
		.id = id, .address = "", .snapshots = s->machine->snapshots(m->state),
		.seed = (uint32_t)sim_random(s), .threshold = s->threshold,
		.trailing = s->threshold / 4 + 1, .fsm = s->machine->ops(m->state),
		.net = { &places[id], net_send, net_fetch }, .disk = sim_disk_ops(m->disk),
		.now = now_of, .ctx = &places[id],
	};

	s->at = id;
	places[id] = (struct place) { s, id };
	m->life++;
	m->paused = m->stopped = false;
	s->machine->open(m->state);
	assert(!datafs_member_open(&cfg, &m->m));
	if (datafs_member_start(m->m))
		fprintf(stderr, "sim: member %u does not start\n", id);
}

void sim_member_crash(struct sim *s, unsigned int id)
{
	struct sim_member *m = &s->members[id];
	struct datafs_member *old = m->m;

	if (!old)
		return;
	s->at = id;
	if (s->machine->crashing)
		s->machine->crashing(s, id);
	/* who waits is not told: the machine is gone */
	m->m = NULL;
	m->life++;
	/* its calls back must find the member, which then is closed */
	sim_disk_crash(m->disk);
	datafs_member_close(old);
	s->machine->crash(m->state);
	s->crashes++;
}

unsigned int sim_leader(struct sim *s)
{
	struct datafs_member_status st;
	unsigned int best = 0;
	uint64_t term = 0;

	for (unsigned int id = 1; id <= SIM_MEMBERS; id++) {
		if (!s->members[id].m || s->members[id].paused)
			continue;
		datafs_member_status(s->members[id].m, &st);
		if (st.ready && st.term > term) {
			term = st.term;
			best = id;
		}
	}
	return best;
}

static void do_fetch(struct sim *s, const struct sim_event *e)
{
	struct datafs_raft_piece piece = {
		.index = e->a, .term = e->b, .off = e->c, .len = (uint32_t)e->err, .file = e->buf,
	};
	char *buf = malloc(piece.len ? piece.len : 1);
	long n;

	assert(buf);
	n = datafs_member_piece(s->members[e->to].m, &piece, buf);
	transmit(s, (struct sim_event) {
		.kind = SIM_FETCHED, .from = e->to, .to = e->from, .d = e->d,
		.err = n < 0 ? (int)n : 0,
	}, buf, n < 0 ? 0 : (size_t)n);
	free(buf);
}

/* To a member that is up. */
static void member_event(struct sim *s, struct sim_event *e)
{
	struct sim_member *m = &s->members[e->to];

	s->at = e->to;
	switch (e->kind) {
	case SIM_MESSAGE:
		datafs_member_receive(m->m, e->from, e->buf, e->len);
		break;
	case SIM_FETCH:
		do_fetch(s, e);
		break;
	case SIM_FETCHED:
		datafs_member_fetched(m->m, e->d, e->err, e->buf, e->len);
		break;
	case SIM_DISK:
		if (e->a == m->life)
			sim_disk_complete(m->disk);
		break;
	case SIM_AT_MEMBER:
		s->machine->event(s, e);
		break;
	default:
		sim_client_event(s, e);
	}
	if (s->machine->ran)
		s->machine->ran(s, e->to);
}

static void do_event(struct sim *s, struct sim_event *e)
{
	struct sim_member *m = &s->members[e->to];

	switch (e->kind) {
	case SIM_ANSWER:
	case SIM_CLIENT:
		sim_client_event(s, e);
		break;
	case SIM_AT_CLIENT:
		s->machine->event(s, e);
		break;
	case SIM_CRASH:
		sim_crash(s, e->to);
		break;
	case SIM_RESTART:
		if (!m->m && !m->gone)
			sim_member_start(s, e->to);
		break;
	case SIM_RESUME:
		m->paused = m->stopped = false;
		break;
	case SIM_HEAL:
		sim_heal(s);
		break;
	case SIM_TROUBLE:
		sim_trouble(s);
		break;
	default:
		if (!m->m)
			break;
		if (m->paused) {
			/* it is there when it goes on */
			sim_event(s, 10, *e);
			return;
		}
		member_event(s, e);
	}
	free(e->buf);
}

/* The next thing that happens: an event, or a member's time is up. */
static void step(struct sim *s)
{
	uint64_t at = s->n ? s->heap[0].time : UINT64_MAX;
	unsigned int who = 0;
	struct sim_event e;

	for (unsigned int id = 1; id <= SIM_MEMBERS; id++) {
		struct sim_member *m = &s->members[id];
		uint64_t deadline = m->m && !m->paused && !m->stopped ?
					    datafs_member_deadline(m->m) : UINT64_MAX;

		if (deadline < s->now)
			deadline = s->now;
		if (deadline < at) {
			at = deadline;
			who = id;
		}
	}
	if (who) {
		/* a timer is late, never early; and it must get on */
		s->now = at > s->now ? at : s->now + 1;
		s->at = who;
		datafs_member_tick(s->members[who].m);
		if (s->machine->ran)
			s->machine->ran(s, who);
		return;
	}
	e = take_event(s);
	s->now = e.time > s->now ? e.time : s->now;
	do_event(s, &e);
}

static void new_member(struct sim *s, unsigned int id)
{
	struct sim_member *m = &s->members[id];
	char dir[4200];

	snprintf(dir, sizeof(dir), "%s/m%u", s->dir, id);
	m->state = s->machine->make(s, dir);
	m->disk = sim_disk_new(s, id);
	m->used = true;
}

static void begin(struct sim *s, const struct sim_options *opt)
{
	struct datafs_raft_peer peers[SIM_MEMBERS];
	static const char *const names[] = { "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8" };
	struct raft_configuration conf;

	s->machine = opt->machine;
	s->first_members = opt->members;
	s->n_clients = opt->clients ? opt->clients : 4;
	s->threshold = opt->threshold;
	s->apart = opt->apart;
	s->pace = opt->pace ? opt->pace : opt->isolate ? 3000 : 500;
	s->changes = opt->changes;
	s->isolate = opt->isolate;
	s->drop = sim_pick(s, 80);
	s->twice = sim_pick(s, 80);
	for (unsigned int i = 0; i < opt->members; i++)
		peers[i] = (struct datafs_raft_peer) { i + 1, names[i] };
	assert(!datafs_raft_conf_first(peers, opt->members, &conf));
	for (unsigned int id = 1; id <= SIM_MEMBERS; id++)
		new_member(s, id);
	for (unsigned int id = 1; id <= opt->members; id++) {
		sim_disk_bootstrap(s->members[id].disk, &conf);
		sim_member_start(s, id);
	}
	raft_configuration_close(&conf);
	s->next_id = opt->members + 1;
	sim_clients_begin(s);
	sim_event(s, 500, (struct sim_event) { .kind = SIM_TROUBLE });
}

static bool majority_without(struct sim *s, const struct raft_configuration *conf, unsigned int id)
{
	unsigned int voters = 0, left = 0;

	for (unsigned int i = 0; i < conf->n; i++) {
		const struct raft_server *v = &conf->servers[i];

		if (v->role != RAFT_VOTER)
			continue;
		voters++;
		left += v->id != id && s->members[v->id].m;
	}
	return !voters || left > voters / 2;
}

/*
 * It is dead for ever, if whatever configuration is in force in the end has a majority of
 * those that are left: that must do.
 */
static void bury(struct sim *s, unsigned int id)
{
	for (unsigned int i = 1; i < s->next_id; i++) {
		const struct datafs_member *m = s->members[i].m;

		if (m && !(majority_without(s, &m->raft.configuration, id) &&
			   majority_without(s, &m->raft.configuration_committed, id)))
			return;
	}
	s->members[id].gone = true;
	sim_member_crash(s, id);
}

/* A leader with a change of the configuration under way: 0, or the run ends with its death. */
static unsigned int doomed(struct sim *s, const struct sim_options *opt)
{
	unsigned int id;

	if (!opt->changes || !(s->seed % 2) || s->now < 1000 + opt->ms / 2)
		return 0;
	id = sim_leader(s);
	return id && s->members[id].m->raft.configuration_uncommitted_index && !sim_pick(s, 8) ? id : 0;
}

/* @dead: who is not to come back; 0: somebody, or nobody. */
static void calm_down(struct sim *s, unsigned int dead)
{
	s->calm = true;
	s->drop = s->twice = 0;
	sim_heal(s);
	for (unsigned int id = 1; id <= SIM_MEMBERS; id++) {
		s->members[id].paused = s->members[id].stopped = false;
		if (!s->members[id].m && !s->members[id].gone && s->members[id].life)
			sim_member_start(s, id);
	}
	if (dead || sim_pick(s, 2))
		bury(s, dead ? dead : 1 + sim_pick(s, s->next_id - 1));
}

static bool idle(const struct sim *s)
{
	for (unsigned int i = 0; i < s->n_clients; i++)
		if (s->clients[i].busy)
			return false;
	return true;
}

/* Does the leader's configuration have it with a log? */
static bool counts(struct sim *s, unsigned int leader, unsigned int id)
{
	const struct raft_configuration *conf = &s->members[leader].m->raft.configuration;

	for (unsigned int i = 0; i < conf->n; i++)
		if (conf->servers[i].id == id)
			return conf->servers[i].role != RAFT_SPARE;
	return false;
}

static bool agreed(struct sim *s)
{
	struct datafs_member_status lead, st;
	unsigned int leader = sim_leader(s);

	if (!leader || !idle(s) || s->changing)
		return false;
	datafs_member_status(s->members[leader].m, &lead);
	if (lead.last != lead.applied)
		return false;
	for (unsigned int id = 1; id <= SIM_MEMBERS; id++) {
		if (!counts(s, leader, id) || s->members[id].gone)
			continue;
		if (!s->members[id].m)
			return false;
		datafs_member_status(s->members[id].m, &st);
		if (st.applied != lead.applied)
			return false;
	}
	return true;
}

static const char *states_equal(struct sim *s)
{
	unsigned int leader = sim_leader(s);
	size_t len, other;
	char *want = s->machine->dump(s->members[leader].state, &len);
	const char *bad = NULL;

	for (unsigned int id = 1; !bad && id <= SIM_MEMBERS; id++) {
		char *have;

		if (!counts(s, leader, id) || s->members[id].gone)
			continue;
		have = s->machine->dump(s->members[id].state, &other);
		if (other != len || memcmp(have, want, len))
			bad = "two members' states differ";
		else
			bad = s->machine->broken(s->members[id].state);
		free(have);
	}
	free(want);
	return bad;
}

/* What no member may do, and no client be told. */
static const char *wrong(struct sim *s)
{
	struct datafs_member_status st;

	if (s->bad)
		return s->bad;
	for (unsigned int id = 1; id <= SIM_MEMBERS; id++) {
		if (!s->members[id].m)
			continue;
		datafs_member_status(s->members[id].m, &st);
		if (st.halted)
			return "a member has halted";
	}
	return NULL;
}

/* Where each one is, for who reads a failure. */
static void report(struct sim *s)
{
	for (unsigned int id = 1; id < s->next_id; id++) {
		struct datafs_member_status st;

		if (!s->members[id].m)
			continue;
		datafs_member_status(s->members[id].m, &st);
		fprintf(stderr, "sim: %u leads %d role %d term %" PRIu64 " snapshot %" PRIu64 " applied %" PRIu64 " commit %" PRIu64 " last %" PRIu64 " halted %d\n",
			id, st.leads + st.ready, st.role, st.term, st.snapshot, st.applied,
			st.commit, st.last, st.halted);
	}
}

const char *sim_run(const struct sim_options *opt, uint64_t seed, const char *dir,
		    struct sim *s)
{
	const char *bad = NULL;
	unsigned int dead = 0;

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->random = (seed + 1) * 0x9e3779b97f4a7c15ull | 1;
	s->now = 1000;
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	begin(s, opt);
	while (!bad && !dead && s->now < 1000 + opt->ms) {
		step(s);
		bad = wrong(s);
		dead = bad ? 0 : doomed(s, opt);
	}
	if (!bad)
		calm_down(s, dead);
	while (!bad && !agreed(s)) {
		if (s->now > 1000 + opt->ms + CALM_MS)
			bad = "no agreement though nothing is in the way";
		step(s);
		bad = bad ? bad : wrong(s);
	}
	if (bad)
		report(s);
	else
		bad = states_equal(s);
	return bad ? bad : s->machine->check(s);
}

void sim_free(struct sim *s)
{
	unsigned int crashes = s->crashes;

	for (unsigned int id = 1; id <= SIM_MEMBERS; id++) {
		struct sim_member *m = &s->members[id];

		if (!m->used)
			continue;
		sim_member_crash(s, id);
		sim_disk_free(m->disk);
		s->machine->free(m->state);
	}
	sim_clients_end(s);
	for (size_t i = 0; i < s->n; i++)
		free(s->heap[i].buf);
	free(s->heap);
	s->heap = NULL;
	s->n = 0;
	s->crashes = crashes;
}
