// SPDX-License-Identifier: Apache-2.0
/*
 * What a user of the quorum keeps of answers, believes, and forgets. What it was told to
 * forget it forgets when it says so, no sooner.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "datafs_abi.h"
#include "sim_lease.h"

const char *const lease_names[LEASE_NAMES] = { "a", "b", "c", "e" };

/* ------------------------------------------------------ what is kept of answers */

static bool believes(struct lease_client *c)
{
	return datafs_quorum_until(c->q) > datafs_now();
}

static unsigned int dir_nr(const struct lease_work *w, uint64_t ino)
{
	return ino == w->dirs[0] ? 0 : 1;
}

void lease_keep_name(struct lease_client *c, const struct datafs_told *told, uint64_t dir,
		     const char *name, uint64_t ino)
{
	const struct datafs_grant_object o = {
		.ino = dir, .kind = DATAFS_GRANT_NAME, .name = name, .len = (uint8_t)strlen(name),
	};
	unsigned int d = dir_nr(lease_work(), dir);

	for (unsigned int i = 0; i < LEASE_NAMES; i++) {
		if (strcmp(lease_names[i], name) || !datafs_quorum_keep(c->q, told, &o))
			continue;
		c->name[d][i].known = true;
		c->name[d][i].ino = ino;
		lease_sums.kept++;
	}
}

static struct lease_attr *attr_of(struct lease_client *c, uint64_t ino)
{
	for (unsigned int i = 0; i < LEASE_KEPT; i++)
		if (c->attr[i].known && c->attr[i].a.ino == ino)
			return &c->attr[i];
	return NULL;
}

void lease_keep_attr(struct lease_client *c, const struct datafs_told *told,
		     const struct ns_attr *a)
{
	const struct datafs_grant_object o = { .ino = a->ino, .kind = DATAFS_GRANT_ATTR };
	struct lease_attr *at = attr_of(c, a->ino);

	if (!a->nlink || !datafs_quorum_keep(c->q, told, &o))
		return;
	for (unsigned int i = 0; !at && i < LEASE_KEPT; i++)
		if (!c->attr[i].known)
			at = &c->attr[i];
	if (!at)
		at = &c->attr[sim_pick(c->s, LEASE_KEPT)];
	*at = (struct lease_attr) { true, *a };
	lease_sums.kept++;
}

bool lease_believed(struct lease_client *c, const struct ns_op *o, unsigned int name,
		    struct ns_answer *a)
{
	unsigned int d = dir_nr(lease_work(), o->r.ino);
	uint64_t ino = o->r.ino;
	const struct lease_attr *at;

	if (!believes(c))
		return false;
	if (o->kind == NS_LOOKUP) {
		if (!c->name[d][name].known)
			return false;
		ino = c->name[d][name].ino;
		a->err = ino ? 0 : -ENOENT;
		if (!ino)
			return true;
	}
	at = attr_of(c, ino);
	if (!at)
		return false;
	a->told = 1 << NS_NODE;
	a->attr[NS_NODE] = at->a;
	return true;
}

/* ---------------------------------------------------------- what is forgotten */

struct told {
	uint64_t ticket;
	bool all;
	unsigned int n;
	struct {
		uint64_t ino;
		enum datafs_grant_kind kind;
		char name[DATAFS_NAME_MAX + 1];
	} o[];
};

static void forget_name(struct lease_client *c, uint64_t dir, const char *name)
{
	unsigned int d = dir_nr(lease_work(), dir);

	for (unsigned int i = 0; i < LEASE_NAMES; i++)
		if (!*name || !strcmp(lease_names[i], name))
			c->name[d][i].known = false;
}

static void forget_attr(struct lease_client *c, uint64_t ino)
{
	struct lease_attr *at = attr_of(c, ino);

	if (at)
		at->known = false;
}

static void forget(struct lease_client *c, const struct told *t)
{
	if (t->all) {
		memset(c->name, 0, sizeof(c->name));
		memset(c->attr, 0, sizeof(c->attr));
	}
	for (unsigned int i = 0; i < t->n; i++)
		if (t->o[i].kind == DATAFS_GRANT_NAME)
			forget_name(c, t->o[i].ino, t->o[i].name);
		else if (t->o[i].kind == DATAFS_GRANT_ATTR)
			forget_attr(c, t->o[i].ino);
}

void lease_user_forget(struct lease_client *c, const void *told)
{
	const struct told *t = told;

	forget(c, t);
	datafs_quorum_forgotten(c->q, t->ticket);
}

static struct told *told_new(const struct datafs_grant_object *objects, unsigned int n)
{
	struct told *t = calloc(1, sizeof(*t) + n * sizeof(t->o[0]));

	assert(t);
	t->n = n;
	for (unsigned int i = 0; i < n; i++) {
		t->o[i].ino = objects[i].ino;
		t->o[i].kind = objects[i].kind;
		if (objects[i].len)
			memcpy(t->o[i].name, objects[i].name, objects[i].len);
	}
	return t;
}

static void forget_later(struct lease_client *c, struct told *t)
{
	struct sim *s = c->s;
	uint64_t ms = sim_pick(s, 2) ? 0 : sim_pick(s, 12) ? sim_pick(s, 40) : sim_pick(s, 2000);

	sim_event(s, ms, (struct sim_event) {
		.kind = SIM_AT_CLIENT, .from = c->nr, .a = LEASE_FORGET, .buf = t,
	});
}

void lease_recalled(void *arg, uint64_t ticket, const struct datafs_grant_object *objects,
		    unsigned int n)
{
	struct told *t = told_new(objects, n);
	struct lease_client *c = arg;

	t->ticket = ticket;
	if (ticket) {
		forget_later(c, t);
		return;
	}
	forget(c, t);
	free(t);
}

void lease_lost(void *arg, uint64_t ticket)
{
	struct told *t = told_new(NULL, 0);

	lease_sums.lost++;
	t->ticket = ticket;
	t->all = true;
	forget_later(arg, t);
}
