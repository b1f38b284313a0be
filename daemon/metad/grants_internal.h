/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   grants.c          objects, sessions, who has what
 *   grants_change.c   changes, what is recalled for them; time
 */
#ifndef DATAFS_METAD_GRANTS_INTERNAL_H
#define DATAFS_METAD_GRANTS_INTERNAL_H

#include "grants.h"

/*
 * A fault that a test plants, to see that it would find it: it defines this function, which
 * says whether a change goes before all have forgotten what it changes. In a program
 * without such a test it is not there.
 */
bool datafs_grants_plant_early(void) __attribute__((weak));

#define GRANT_BUCKETS_MIN	1024
#define GRANT_SESSION_BUCKETS	1024

struct session;

LIST_HEAD(grant_list, grant);
TAILQ_HEAD(grant_ages, grant);
TAILQ_HEAD(grant_recalls, recall);
TAILQ_HEAD(grant_sessions, session);
TAILQ_HEAD(grant_changes, datafs_change);

/* Something that is granted, or is not to be. */
struct object {
	struct object *hash_next;
	uint64_t ino, name;	/* @name: its checksum; another's only costs a recall */
	enum datafs_grant_kind kind;
	unsigned int changing;	/* changes, and recalls for want of room */
	uint64_t begun;		/* changes that ever began */
	struct grant_list holders;
};

/* @session may believe @object. */
struct grant {
	LIST_ENTRY(grant) of_object;
	LIST_ENTRY(grant) of_session;
	TAILQ_ENTRY(grant) age;		/* the oldest first */
	struct object *object;
	struct session *session;
};

/* What a session was told to forget, until it has. */
struct recall {
	TAILQ_ENTRY(recall) next;	/* of the session, by id */
	uint64_t id, at;
	struct datafs_change *change;	/* that waits; NULL: for want of room */
	unsigned int n;
	struct {
		struct object *object;	/* is changing */
		struct grant *grant;	/* NULL: gone with another recall */
	} of[];
};

struct session {
	TAILQ_ENTRY(session) next;
	struct session *hash_next;
	uint64_t id;
	bool fresh;			/* since this member leads */
	uint64_t ends;			/* its lease, if it is fresh */
	bool lapsed;			/* somebody went on because that had ended */
	unsigned int deaf;		/* leases in a row that ended with a recall unanswered */
	uint64_t again;			/* none begins before */
	uint64_t last_recall;
	struct grant_list grants;
	struct grant_recalls recalls;
};

struct datafs_grants {
	struct datafs_grants_conf conf;
	uint64_t held_until;		/* changes do not go before; 0: they do */
	size_t unknown;			/* sessions that are not fresh */
	struct grant_sessions sessions;
	struct session *by_id[GRANT_SESSION_BUCKETS];
	struct grant_changes changes;	/* that have begun and not gone */
	struct object **buckets;
	size_t mask, objects, grants;
	struct grant_ages ages;
	unsigned int room_recalls;	/* under way */
};

/* The one there is, or a new one; NULL: no memory. */
struct object *grants_object_get(struct datafs_grants *g,
				 const struct datafs_grant_object *what);
/* Nobody has it and nobody changes it: forgotten. */
void grants_object_put(struct datafs_grants *g, struct object *o);
struct session *grants_session_find(const struct datafs_grants *g, uint64_t id);
struct session *grants_session_new(struct datafs_grants *g, uint64_t id);
/* Its lease has ended, and that is made use of: it believes nothing any more. */
void grants_lapse(struct datafs_grants *g, struct session *s);
/* The one that may believe something now; NULL. */
struct session *grants_believer(const struct datafs_grants *g, uint64_t id, uint64_t now);
/* What @s has of @o, or NULL. */
struct grant *grants_holder(const struct object *o, const struct session *s);
/* Notes it, if there is room; @o is not changing, but by who is about to end. */
bool grants_note(struct datafs_grants *g, struct session *s, struct object *o, uint64_t now);
/* What it named is believed by the session no more. */
void grants_recall_end(struct datafs_grants *g, struct session *s, struct recall *r);

/* grants_change.c: @c goes, if nothing is waited for any more. */
void grants_maybe_go(struct datafs_grants *g, struct datafs_change *c);
/* The new leader lets changes through. */
void grants_let_go(struct datafs_grants *g);

#endif
