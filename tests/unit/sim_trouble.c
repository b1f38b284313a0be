// SPDX-License-Identifier: Apache-2.0
/* What goes wrong, and who comes and goes. */
#include "sim.h"

#include <string.h>

#include "metad/member_internal.h"

void sim_heal(struct sim *s)
{
	memset(s->cut, 0, sizeof(s->cut));
}

/* One that is up; 0: none was found. */
static unsigned int some_member(struct sim *s)
{
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int id = 1 + sim_pick(s, s->next_id - 1);

		if (s->members[id].m && !s->members[id].gone)
			return id;
	}
	return 0;
}

void sim_crash(struct sim *s, unsigned int id)
{
	if (!id || !s->members[id].m)
		return;
	sim_member_crash(s, id);
	sim_event(s, sim_pick(s, 3) ? 20 + sim_pick(s, 1500) : 1 + sim_pick(s, 5),
		  (struct sim_event) { .kind = SIM_RESTART, .to = id });
}

static void crash(struct sim *s)
{
	sim_crash(s, sim_pick(s, 2) ? sim_leader(s) : some_member(s));
}

/* Power fails everywhere. */
static void crash_all(struct sim *s)
{
	for (unsigned int id = 1; id < s->next_id; id++) {
		if (!s->members[id].m)
			continue;
		sim_member_crash(s, id);
		sim_event(s, 20 + sim_pick(s, 500),
			  (struct sim_event) { .kind = SIM_RESTART, .to = id });
	}
}

static void pause_one(struct sim *s)
{
	unsigned int id = sim_pick(s, 2) ? sim_leader(s) : some_member(s);

	if (!id)
		return;
	s->members[id].paused = true;
	sim_event(s, 100 + sim_pick(s, 1200), (struct sim_event) { .kind = SIM_RESUME, .to = id });
}

/* Two parts; at times in one direction only. */
static void partition(struct sim *s)
{
	unsigned int part = sim_pick(s, 1u << SIM_MEMBERS), lone = sim_leader(s);
	bool one_way = !sim_pick(s, 4);

	if (lone && (s->isolate || sim_pick(s, 2))) {
		part = 1u << (lone - 1);
		/* one that does not see how long it is alone */
		s->members[lone].stopped = s->isolate || sim_pick(s, 2);
		sim_event(s, 500 + s->apart + sim_pick(s, 1500),
			  (struct sim_event) { .kind = SIM_RESUME, .to = lone });
	}
	for (unsigned int a = 1; a <= SIM_MEMBERS; a++)
		for (unsigned int b = 1; b <= SIM_MEMBERS; b++) {
			bool out = part >> (a - 1) & 1, in = part >> (b - 1) & 1;

			s->cut[a][b] = one_way ? out && !in : out != in;
		}
	s->partitions++;
	sim_event(s, 200 + s->apart + sim_pick(s, 2000), (struct sim_event) { .kind = SIM_HEAL });
}

static void transfer(struct sim *s)
{
	unsigned int id = sim_leader(s);

	s->at = id;
	if (id && !datafs_member_transfer(s->members[id].m, sim_pick(s, 2) ? 0 : some_member(s)))
		s->transfers++;
}

static void change_done(struct datafs_member_change *change, int err)
{
	struct sim *s = (struct sim *)((char *)change - offsetof(struct sim, change));

	s->changing = false;
	if (err)
		return;
	s->changed++;
	if (change->kind == DATAFS_CHANGE_REMOVE)
		s->members[change->id].gone = true;
}

static const struct raft_server *pick_server(struct sim *s, unsigned int leader, bool voter)
{
	const struct raft_configuration *conf = &s->members[leader].m->raft.configuration;
	unsigned int from = sim_pick(s, conf->n);

	for (unsigned int i = 0; i < conf->n; i++) {
		const struct raft_server *server = &conf->servers[(from + i) % conf->n];

		if ((server->role == RAFT_VOTER) == voter)
			return server;
	}
	return NULL;
}

/* A new id joins, one that stands by is promoted, or a voter is removed. */
static bool choose_change(struct sim *s, unsigned int leader)
{
	static const char *const names[] = { "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8" };
	const struct raft_server *standby = pick_server(s, leader, false);
	const struct raft_server *voter = pick_server(s, leader, true);
	struct datafs_member_status st;

	datafs_member_status(s->members[leader].m, &st);
	memset(&s->change, 0, sizeof(s->change));
	s->change.done = change_done;
	if (standby && sim_pick(s, 3)) {
		s->change.kind = DATAFS_CHANGE_PROMOTE;
		s->change.id = standby->id;
	} else if (st.voters > s->first_members - 1 && sim_pick(s, 2)) {
		s->change.kind = sim_pick(s, 3) ? DATAFS_CHANGE_REMOVE : DATAFS_CHANGE_DEMOTE;
		s->change.role = RAFT_STANDBY;
		s->change.id = voter->id;
		/* a leader hands over before it goes */
		if (voter->id == leader)
			return false;
	} else if (s->next_id <= SIM_MEMBERS) {
		s->change.kind = DATAFS_CHANGE_ADD;
		s->change.role = RAFT_STANDBY;
		s->change.id = s->next_id++;
		s->change.address = names[s->change.id - 1];
		sim_member_start(s, (unsigned int)s->change.id);
	} else {
		return false;
	}
	return true;
}

static void change(struct sim *s)
{
	unsigned int leader = sim_leader(s);

	if (!leader || s->changing || !choose_change(s, leader))
		return;
	s->changing = true;
	s->at = leader;
	if (datafs_member_change(s->members[leader].m, &s->change))
		s->changing = false;
}

void sim_trouble(struct sim *s)
{
	if (s->calm)
		return;
	switch (s->isolate ? 6 : sim_pick(s, s->changes ? 16 : 10)) {
	case 0:
	case 1:
	case 2:
		crash(s);
		break;
	case 3:
		if (!sim_pick(s, 3))
			crash_all(s);
		break;
	case 4:
	case 5:
		pause_one(s);
		break;
	case 6:
	case 7:
		partition(s);
		break;
	case 8:
		transfer(s);
		break;
	case 9:
		sim_heal(s);
		break;
	default:
		change(s);
	}
	sim_event(s, 30 + sim_pick(s, s->pace),
		  (struct sim_event) { .kind = SIM_TROUBLE });
}
