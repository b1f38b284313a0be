// SPDX-License-Identifier: Apache-2.0
/* What happens to clients, beside what does to members. */
#include "sim_lease.h"

#define TROUBLE_MS	800u

/* An end of a connection of @c that is up, of a member that runs; NULL. */
static struct datafs_conn *some_end(struct sim *s, const struct lease_client *c)
{
	struct lease_work *w = s->work;

	for (unsigned int tries = 0; w->conns && tries < 20; tries++) {
		struct datafs_conn *end = w->conn[sim_pick(s, w->conns)];

		if (end->up && end->client == c->nr && s->members[end->member].m)
			return end;
	}
	return NULL;
}

static void lose_connection(struct sim *s, const struct lease_client *c)
{
	struct datafs_conn *end = some_end(s, c);

	if (end)
		lease_break(end);
}

/* What is sent meanwhile arrives later. */
static void stall(struct sim *s, struct lease_client *c)
{
	unsigned int only = sim_pick(s, 2) ? sim_leader(s) : 0;
	uint64_t until = s->now + 50 + sim_pick(s, 1500);

	for (unsigned int id = 1; id <= SIM_MEMBERS; id++)
		if (!only || id == only)
			c->stalled[id] = until;
}

static void stand_still(struct sim *s, struct lease_client *c)
{
	c->paused = true;
	lease_event(s, 50 + sim_pick(s, 1200), LEASE_RESUME, 0, c->nr, 0, 0);
}

void lease_trouble(struct sim *s)
{
	struct lease_work *w = s->work;
	struct lease_client *c = &w->c[sim_pick(s, s->n_clients)];

	if (s->calm)
		return;
	switch (sim_pick(s, 4)) {
	case 0:
	case 1:
		lose_connection(s, c);
		break;
	case 2:
		stall(s, c);
		break;
	default:
		stand_still(s, c);
	}
	lease_event(s, 20 + sim_pick(s, TROUBLE_MS), LEASE_TROUBLE, 0, 0, 0, 0);
}
