/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted, as an operator writes it:
 *
 *	/DIR, posix:///DIR, ...		a path or a URL: an under-store
 *	:/DIR				of the namespace that the daemon has itself
 *	HOST[:PORT],HOST[:PORT]...:/DIR	of the namespace of a quorum on other machines
 *
 * A host is a name, an IPv4 address or an "[IPv6 address]"; the first ":/" ends the list.
 */
#ifndef DATAFS_META_SOURCE_H
#define DATAFS_META_SOURCE_H

#include <stddef.h>

#include "datafs_abi.h"

#define DATAFS_SOURCE_PORT	"7440"	/* of a member, unless told */
#define DATAFS_SOURCE_MEMBERS	32u	/* in a list, at the most */

enum datafs_source_kind {
	DATAFS_SOURCE_UNDER,
	DATAFS_SOURCE_OWN,
	DATAFS_SOURCE_QUORUM,
};

struct datafs_source {
	/* "HOST:PORT,HOST:PORT": with all ports, as meta/remote.h has it; "" if OWN. */
	char members[DATAFS_SOURCE_MAX + DATAFS_SOURCE_MEMBERS * sizeof(DATAFS_SOURCE_PORT) + 1];
	const char *dir;	/* in the source, with its first '/' */
};

/* By its form alone: the list of a QUORUM may be malformed. */
enum datafs_source_kind datafs_source_kind(const char *source);
/*
 * One that is not an UNDER. 0, or -EINVAL and in @err, in one line without a newline,
 * what is wrong with which host.
 */
int datafs_source_parse(const char *source, struct datafs_source *res, char *err,
			size_t errlen);

#endif
