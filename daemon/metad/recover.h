/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last survivor of a quorum that has lost more than half of its voters for good, and
 * of which there is no backup, becomes the first member of a new one (first.h).
 *
 * All of its log counts, also what it does not know to be committed: it may be that the
 * others had that, too, and acknowledged it, and who would drop it would lose that. What
 * was not is something whose sender was never told, and may be done as well as not. What
 * the others acknowledged without this member is lost.
 *
 * The directory that is recovered is of a stopped member, which the lock of its database
 * tells. Nothing in it is changed: its tables are linked, which no database changes, and
 * the rest is copied.
 */
#ifndef DATAFS_METAD_RECOVER_H
#define DATAFS_METAD_RECOVER_H

#include "metad/ns.h"
#include "metad/raft_conf.h"

/* A member of the old quorum, by the last configuration of the log. */
struct datafs_recover_peer {
	uint64_t id;
	bool votes;
	char address[DATAFS_RAFT_ADDRESS_MAX + 1];
};

/* What a stopped member has. */
struct datafs_recovered {
	uint64_t id;			/* its own */
	uint8_t cluster[DATAFS_METAD_ID_LEN];
	uint64_t applied;		/* what its namespace had before */
	/*
	 * After its whole log. Of two members the one with the higher term, then with
	 * the higher index, has more.
	 */
	struct datafs_metad_counts counts;
	uint64_t time;			/* of that entry, nanoseconds since 1970 */
	struct datafs_recover_peer peers[DATAFS_RAFT_SERVERS_MAX];
	unsigned int npeers;
};

struct datafs_recover {
	const char *from;		/* a stopped member's */
	const char *dir;		/* empty or not there, on the same filesystem */
	uint64_t id;			/* of the new member */
	const char *address;		/* its own, HOST:PORT */
	const uint8_t *cluster;		/* the new one's, DATAFS_METAD_ID_LEN bytes */
};

/*
 * Blocks on the disk. 0, or an error that was logged: -ENOENT (no member's directory), -EBUSY
 * (it runs), -EUCLEAN (damaged), -ENODATA (it has no entry), -EXDEV (another
 * filesystem), or what the disk said.
 */
/* What a recovery of @from would have; with a directory in it meanwhile, "inspect-...". */
int datafs_recover_look(const char *from, struct datafs_recovered *res);
/*
 * @dir is there as a whole or not at all. Also -EINVAL (the cluster is the old one, or
 * the member makes no sense), -EEXIST (@dir).
 */
int datafs_recover(const struct datafs_recover *r, struct datafs_recovered *res);

#endif
