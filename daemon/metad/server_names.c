// SPDX-License-Identifier: Apache-2.0
/*
 * Commands that change the same name come one after the other, each until it is done:
 * so where a name leads stays as it is from when a command's turn has come, when is
 * looked up what else it changes (touched.h), until it is applied. All that changes
 * names comes by here. A command takes its names at once, in the order of coming, and
 * waits for those before it only: none waits for ever.
 *
 * What was proposed by a member that leads no more may be applied later, without a name
 * here. But nothing of it is left when there is a table again: see server_lease.c.
 */
#include "metad/server_internal.h"

#include <isa-l/crc64.h>

static struct server_names *bucket(struct datafs_server *s, const struct server_name *n)
{
	return &s->leases.names[(n->sum ^ n->ino * 0x9e3779b97f4a7c15ull) % SERVER_NAME_BUCKETS];
}

static bool same(const struct server_name *a, const struct server_name *b)
{
	return a->ino == b->ino && a->sum == b->sum;
}

static bool is_first(const struct server_name *n)
{
	const struct server_name *before = n;

	while ((before = TAILQ_PREV(before, server_names, next)))
		if (same(before, n))
			return false;
	return true;
}

static bool all_first(const struct ask *a)
{
	for (unsigned int i = 0; i < DATAFS_TOUCHED_NAMES; i++)
		if (a->names[i].there && !is_first(&a->names[i]))
			return false;
	return true;
}

bool server_names_take(struct datafs_server *s, struct ask *a)
{
	struct datafs_grant_object names[DATAFS_TOUCHED_NAMES];
	unsigned int n = datafs_touched_names(a->what.command, names);

	for (unsigned int i = 0; i < n; i++) {
		struct server_name *name = &a->names[i];

		name->ino = names[i].ino;
		name->sum = crc64_ecma_refl(0, (const unsigned char *)names[i].name, names[i].len);
		name->a = a;
		/* two of one sum: the command must not wait for itself */
		name->there = !i || !same(name, &a->names[0]);
		if (name->there)
			TAILQ_INSERT_TAIL(bucket(s, name), name, next);
	}
	return all_first(a);
}

void server_names_give(struct datafs_server *s, struct ask *a)
{
	for (unsigned int i = 0; i < DATAFS_TOUCHED_NAMES; i++) {
		struct server_name *n = &a->names[i], *after;

		if (!n->there)
			continue;
		after = TAILQ_NEXT(n, next);
		TAILQ_REMOVE(bucket(s, n), n, next);
		n->there = false;
		while (after && !same(after, n))
			after = TAILQ_NEXT(after, next);
		if (after && all_first(after->a))
			TAILQ_INSERT_TAIL(&s->leases.ready, after->a, ready);
	}
}
