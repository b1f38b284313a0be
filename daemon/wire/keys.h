/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, as an operator puts them into a file:
 *
 *	# cluster                         id  holder     key
 *	7b1e...32 hexadecimal digits      2   member     64 hexadecimal digits
 *	7b1e...                           1   member     64 hexadecimal digits
 *
 * One line a key, one or two of them, fields separated by spaces or tabs. '#'
 * begins a comment line. Ids are 1 to 4294967295; the key with the higher id is
 * the newer one. All lines are of one cluster and one holder, which is
 *
 *	member		of the quorum: has the cluster's key
 *	client:NODE	the daemon of node NODE (1 to 2^64 - 1): has a key that
 *			is derived from the cluster's and good for that node only
 *
 * so that a client's file neither lets it speak as a member nor as another
 * node. The file must be regular, owned by the effective user or root, and its
 * mode must give nothing to group and others.
 */
#ifndef DATAFS_WIRE_KEYS_H
#define DATAFS_WIRE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"
#include "frame.h"

#define DATAFS_CLUSTER_LEN	16
#define DATAFS_KEYS_MAX		2
#define DATAFS_KEYS_FILE_MAX	4096	/* bytes of a file */

struct datafs_key {
	uint32_t id;
	uint8_t key[DATAFS_HASH_LEN];
};

/* Copied at will; each copy is to be wiped. */
struct datafs_keys {
	uint8_t cluster[DATAFS_CLUSTER_LEN];
	bool off;		/* authentication is off, and there are no keys */
	enum datafs_role holder;
	uint64_t node;		/* of a client */
	unsigned int n;
	struct datafs_key key[DATAFS_KEYS_MAX];	/* newest first */
};

/*
 * Reads @path. May block on the disk. 0, or a negative errno after one line in
 * the log that says what is wrong and never what a key is: -EACCES (owner or
 * mode), -EINVAL (what is in it), or why it cannot be read. @keys is wiped then.
 */
int datafs_keys_load(struct datafs_keys *keys, const char *path);
/* The same of a text, which need not end in a NUL; @name is for the log. */
int datafs_keys_parse(struct datafs_keys *keys, const char *text, size_t len,
		      const char *name);
/*
 * "Authentication is off": what the caller must have been told in so many
 * words. Whoever reaches the port is believed to be what it says it is.
 */
void datafs_keys_off(struct datafs_keys *keys,
		     const uint8_t cluster[DATAFS_CLUSTER_LEN]);
void datafs_keys_wipe(struct datafs_keys *keys);

/* The key of client @node that belongs to a member's @key. 0 or -EIO. */
int datafs_keys_derive(const uint8_t key[DATAFS_HASH_LEN],
		       const uint8_t cluster[DATAFS_CLUSTER_LEN], uint64_t node,
		       uint8_t out[DATAFS_HASH_LEN]);
/*
 * What two sides prove to each other that they have: between members the
 * cluster's key, between a member and a client the client's. 0, -ENOKEY (no key
 * of that id), -EACCES (what @keys has is no key for such a pair), -EIO.
 */
int datafs_keys_between(const struct datafs_keys *keys, uint32_t id,
			enum datafs_role role_a, uint64_t node_a,
			enum datafs_role role_b, uint64_t node_b,
			uint8_t out[DATAFS_HASH_LEN]);

#endif
