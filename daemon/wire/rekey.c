// SPDX-License-Identifier: Apache-2.0
/* Other keys for a messenger that runs; see messenger.h. */
#include "messenger_internal.h"

#include <errno.h>

#include "base/log.h"

static bool has_key(const struct datafs_keys *keys, const struct datafs_key *key)
{
	for (unsigned int i = 0; i < keys->n; i++)
		if (keys->key[i].id == key->id)
			return datafs_same_secret(keys->key[i].key, key->key,
						  DATAFS_HASH_LEN);
	return false;
}

/* With which key it is up, or would be. */
static uint32_t key_of(const struct datafs_conn *conn)
{
	return conn->state == CONN_UP ? conn->who.key :
	       conn->state == CONN_HANDSHAKE ? conn->hs.peer.key : 0;
}

/* Who has only just proven a key that is gone is not let in either. */
static unsigned int end_those_of(struct datafs_wire *wire, uint32_t key)
{
	struct datafs_conn *conn, *next;
	unsigned int n = 0;

	for (conn = TAILQ_FIRST(&wire->conns); conn; conn = next) {
		datafs_conn_get(conn);
		if (key_of(conn) == key) {
			datafs_conn_end(conn, -EKEYREVOKED);
			n++;
		}
		next = TAILQ_NEXT(conn, link);
		datafs_conn_put(conn);
	}
	return n;
}

int datafs_wire_rekey(struct datafs_wire *wire, const struct datafs_keys *keys)
{
	struct datafs_keys old = wire->keys;
	unsigned int n = 0;

	if (!datafs_keys_same_holder(&old, keys)) {
		datafs_log(LOG_ERR, "new keys are of another cluster or holder, or turn authentication on or off: not taken; start again for that");
		datafs_keys_wipe(&old);
		return -EINVAL;
	}
	wire->keys = *keys;
	for (unsigned int i = 0; i < old.n; i++)
		if (!has_key(&wire->keys, &old.key[i]))
			n += end_those_of(wire, old.key[i].id);
	datafs_log(LOG_INFO, "keys taken: %u, the newest is %u; %u connections ended with others",
		   keys->n, keys->key[0].id, n);
	datafs_keys_wipe(&old);
	return 0;
}

int datafs_wire_reload(struct datafs_wire *wire, const char *path)
{
	struct datafs_keys keys;
	int err = datafs_keys_load(&keys, path);

	if (!err)
		err = datafs_wire_rekey(wire, &keys);
	datafs_keys_wipe(&keys);
	return err;
}
