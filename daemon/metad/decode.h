/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of the log as what they mean, or why no member of this version can apply
 * them. One rule for who proposes a command and for who applies it.
 */
#ifndef DATAFS_METAD_DECODE_H
#define DATAFS_METAD_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "meta.pb-c.h"

/*
 * @level: the highest feature level that is understood; of a command DATAFS_METAD_LEVEL.
 * 0: to be freed with metad__x__free_unpacked(*res, NULL). -ENOMEM, or -EPROTO with
 * the reason in @why.
 */
int metad_decode_entry(const void *buf, size_t len, uint32_t level, struct Metad__Entry **res,
		       const char **why);
int metad_decode_command(const void *buf, size_t len, struct Metad__Command **res,
			 const char **why);

/* A message of @of, *@res being a pointer to such a one. 0, -ENOMEM, -EPROTO: *@res is NULL. */
int metad_unpack(const ProtobufCMessageDescriptor *of, const void *buf, size_t len, void *res);

/* Only the leader may propose it, not a client. */
bool metad_is_leaders(const Metad__Command *c);
/* Only who may administer the quorum may send it, in a session. */
bool metad_is_operators(const Metad__Command *c);

/* All of it is known, up to this feature level? NULL, or what is not: a static text. */
const char *metad_check_command(const Metad__Command *c, uint32_t level);

#endif
