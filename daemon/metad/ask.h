/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks (proto/quorum.proto), as bytes that nobody vouches for. What
 * is accepted here no member halts at: a command has no field that this version
 * does not know, and is one that a client may send.
 */
#ifndef DATAFS_METAD_ASK_H
#define DATAFS_METAD_ASK_H

#include <stddef.h>
#include <stdint.h>

#include "metad/member.h"
#include "quorum.pb-c.h"

/* Bytes of an Ask; a command's are a little fewer. */
#define DATAFS_ASK_MAX		(DATAFS_MEMBER_OP_MAX + 64u)

/* Enough for a readdir's answer to stay below the longest frame. */
#define DATAFS_READDIR_MAX	(512u << 10)

/* Texts of one answer with mounts, but for its last one; all of it is below twice that. */
#define DATAFS_MOUNTS_TEXTS	(128u << 10)

/* Nodes of one answer; each is below 512 bytes there. */
#define DATAFS_NODES_PAGE	256u

/* Paths of one answer with policies, but for its last one; all of it is below twice that. */
#define DATAFS_POLICIES_TEXTS	(128u << 10)

struct datafs_ask {
	Metad__Ask *what;		/* a command is in @command, too */
	Metad__Command *command;	/* NULL: it is no command */
};

/*
 * 0; -EPROTO: not an Ask of this version; -EINVAL: a command or a lease without a
 * session, or a command that is not a client's to send, or of a mount that cannot be;
 * -EMSGSIZE; -ENOMEM. @res is to
 * be freed after 0.
 */
int datafs_ask_decode(const void *buf, size_t len, struct datafs_ask *res);
void datafs_ask_free(struct datafs_ask *ask);

#endif
