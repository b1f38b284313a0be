/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routing table: which nodes there are, where they are reached, and what share of the data
 * each is to have. Documentation/metadata.rst, "Nodes".
 *
 * What texts may be:
 *
 *   name     1 to 64 of a-z, A-Z, 0-9, '-', '.' and '_', the first a letter or a digit
 *   address  "" (it is not reached), or HOST:PORT of printable ASCII without spaces, 255
 *            bytes at the most; the port 1 to 65535, without leading zeros
 *
 * Members must agree on it, and have records of it: it may become more with a feature level,
 * and never less.
 */
#ifndef DATAFS_METAD_NODES_H
#define DATAFS_METAD_NODES_H

#include <stddef.h>
#include <stdint.h>

#define DATAFS_METAD_NODES_MAX	1024	/* nodes, those that are away too */
#define DATAFS_NODE_NAME_MAX	64	/* bytes */
#define DATAFS_NODE_ADDRESS_MAX	255	/* bytes */
#define DATAFS_NODE_WEIGHT_MAX	65535u
#define DATAFS_NODE_WEIGHT	100	/* of a new one that says none */

/* As they are in records, and in what is answered. */
enum datafs_node_state {
	DATAFS_NODE_JOINED = 1,		/* a session speaks for it */
	DATAFS_NODE_DRAINING = 2,	/* likewise; it is to get nothing new */
	DATAFS_NODE_AWAY = 3,		/* none does */
};

enum datafs_node_event {
	DATAFS_NODE_JOINS,		/* a session speaks for it, or says so again */
	DATAFS_NODE_DRAIN,
	DATAFS_NODE_UNDRAIN,
	DATAFS_NODE_REMOVE,		/* where it may be, the state stays: it is gone */
	DATAFS_NODE_ENDS,		/* its session has ended, or speaks for another one */
	DATAFS_NODE_EVENTS
};

/* The state after @event, maybe the same; 0: that is not allowed in this one. */
unsigned int datafs_node_next(unsigned int state, enum datafs_node_event event);
/* "joined", ...; "?": there is no such state. */
const char *datafs_node_state_name(unsigned int state);

/* NULL, or what is wrong: a static text. */
const char *datafs_node_name_wrong(const void *name, size_t len);
const char *datafs_node_address_wrong(const void *address, size_t len);

#endif
