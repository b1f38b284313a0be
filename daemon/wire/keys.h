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
 *	peer		the daemons of all nodes, to each other: have one key that
 *			is derived from the cluster's
 *
 * so that a client's file neither lets it speak as a member nor as another
 * node to a member; and a peers' file to no member at all, but as any node to
 * other peers. The file must be regular, owned by the effective user or root, and its
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
	uint64_t node;		/* of a client, else 0 */
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
 * The file of another holder, client @node or the peers (0), that belongs to a
 * member's: with all its keys. 0, -EACCES (@member is no member's), -EIO.
 */
int datafs_keys_for(const struct datafs_keys *member, enum datafs_role holder,
		    uint64_t node, struct datafs_keys *res);
/* Are they of one cluster and one holder, both with authentication or without? */
bool datafs_keys_same_holder(const struct datafs_keys *a,
			     const struct datafs_keys *b);
/*
 * What two sides prove to each other that they have: between members the
 * cluster's key, between a member and a client the client's, between peers
 * theirs. 0, -ENOKEY (no key of that id), -EACCES (what @keys has is no key for
 * such a pair), -EIO.
 */
int datafs_keys_between(const struct datafs_keys *keys, uint32_t id,
			enum datafs_role role_a, uint64_t node_a,
			enum datafs_role role_b, uint64_t node_b,
			uint8_t out[DATAFS_HASH_LEN]);

/* keys_write.c: what an operator's tool does. Errors are its to tell. */

/* Of a new cluster, with one key. 0, or why there are no random bytes. */
int datafs_keys_new(struct datafs_keys *keys);
/*
 * One more, newer than the other: -ENOSPC (two are live), -ERANGE (no higher id),
 * -EACCES (no member's: others are derived).
 */
int datafs_keys_add(struct datafs_keys *keys);
/* Without key @id: -ENOENT (there is none), -EBUSY (there is no other). */
int datafs_keys_retire(struct datafs_keys *keys, uint32_t id);
/*
 * Writes @path as a whole and durably, mode 0600, owned by who does it. With
 * @replace it takes the place of what is there; else -EEXIST. @keys are not off.
 */
int datafs_keys_store(const struct datafs_keys *keys, const char *path,
		      bool replace);

#endif
