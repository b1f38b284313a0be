// SPDX-License-Identifier: Apache-2.0
/* Records of the routing table. */
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "nodes.h"

#define NODE_FIXED	(1 + 1 + 2 + 8 + 1)	/* the name and the address follow */
#define NODE_MAX	(NODE_FIXED + DATAFS_NODE_NAME_MAX + DATAFS_NODE_ADDRESS_MAX)
#define ID_LEN		(1 + 8)
#define TABLE_LEN	(1 + 8 + 8 + 4)

static const struct key table_key = { "V", 1 };

/* @len up to DATAFS_NODE_NAME_MAX. */
static struct key name_key(const void *name, size_t len)
{
	struct key k = { .len = 1 + len };

	k.b[0] = 'E';
	memcpy(k.b + 1, name, len);
	return k;
}

static bool node_ok(const struct datafs_metad_node *node)
{
	return node->id && node->weight &&
	       node->state >= DATAFS_NODE_JOINED && node->state <= DATAFS_NODE_AWAY &&
	       !node->session == (node->state == DATAFS_NODE_AWAY) &&
	       !datafs_node_name_wrong(node->name, node->name_len) &&
	       !datafs_node_address_wrong(node->address, node->address_len);
}

int rec_routed_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		      struct datafs_metad_node *node)
{
	const char *texts = (const char *)val.p + NODE_FIXED;
	size_t name;

	if (key.len != 9 || val.len < NODE_FIXED || *val.p != REC_VERSION)
		return txn_damaged(t, key, "node");
	name = val.p[NODE_FIXED - 1];
	if (name > val.len - NODE_FIXED)
		return txn_damaged(t, key, "node's name");
	*node = (struct datafs_metad_node){
		.id = datafs_get_be64(key.p + 1), .session = datafs_get_be64(val.p + 4),
		.name = texts, .name_len = name,
		.address = texts + name, .address_len = val.len - NODE_FIXED - name,
		.weight = (uint32_t)val.p[2] << 8 | val.p[3],
		.state = (enum datafs_node_state)val.p[1],
	};
	return node_ok(node) ? 0 : txn_damaged(t, key, "node's texts or numbers");
}

int rec_routed_get(struct txn *t, uint64_t id, struct datafs_metad_node *node)
{
	struct key k = key_make('P', id);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret == 1)
		ret = rec_routed_decode(t, key_bytes(&k), val, node) ? txn_error(t) : 1;
	return ret;
}

/* The node whose id is under @k, which is there for as long as the node is. */
static int get_by(struct txn *t, const struct key *k, struct datafs_metad_node *node)
{
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(k), &val);

	if (ret <= 0)
		return ret;
	if (val.len != ID_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(k), "id of a node");
	ret = rec_routed_get(t, datafs_get_be64(val.p + 1), node);
	return ret ? ret : txn_damaged(t, key_bytes(k), "a node that is not there");
}

int rec_routed_by_name(struct txn *t, const void *name, size_t len,
		       struct datafs_metad_node *node)
{
	struct key k = name_key(name, len);
	int ret = get_by(t, &k, node);

	if (ret == 1 && (node->name_len != len || memcmp(node->name, name, len)))
		return txn_damaged(t, key_bytes(&k), "a node of another name");
	return ret;
}

int rec_routed_by_session(struct txn *t, uint64_t session, struct datafs_metad_node *node)
{
	struct key k = key_make('B', session);
	int ret = get_by(t, &k, node);

	if (ret == 1 && node->session != session)
		return txn_damaged(t, key_bytes(&k), "a node of another session");
	return ret;
}

static void put_id(struct txn *t, const struct key *k, uint64_t id)
{
	uint8_t val[ID_LEN] = { REC_VERSION };

	datafs_put_be64(val + 1, id);
	txn_put(t, key_bytes(k), (struct txn_bytes){ val, sizeof(val) });
}

void rec_routed_put(struct txn *t, const struct datafs_metad_node *node,
		    const struct datafs_metad_node *was)
{
	struct key k = key_make('P', node->id), name = name_key(node->name, node->name_len);
	uint8_t val[NODE_MAX] = { REC_VERSION, (uint8_t)node->state };
	struct key by;

	val[2] = (uint8_t)(node->weight >> 8);
	val[3] = (uint8_t)node->weight;
	datafs_put_be64(val + 4, node->session);
	val[NODE_FIXED - 1] = (uint8_t)node->name_len;
	memcpy(val + NODE_FIXED, node->name, node->name_len);
	if (node->address_len)
		memcpy(val + NODE_FIXED + node->name_len, node->address, node->address_len);
	txn_put(t, key_bytes(&k), (struct txn_bytes){
		val, NODE_FIXED + node->name_len + node->address_len });
	if (!was)
		put_id(t, &name, node->id);
	if (was && was->session && was->session != node->session) {
		by = key_make('B', was->session);
		rec_del(t, &by);
	}
	if (node->session && (!was || was->session != node->session)) {
		by = key_make('B', node->session);
		put_id(t, &by, node->id);
	}
}

void rec_routed_del(struct txn *t, const struct datafs_metad_node *node)
{
	struct key k = key_make('P', node->id), name = name_key(node->name, node->name_len);
	struct key by = key_make('B', node->session);

	rec_del(t, &k);
	rec_del(t, &name);
	if (node->session)
		rec_del(t, &by);
}

int rec_routing_get(struct txn *t, struct datafs_metad_routing *routing)
{
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&table_key), &val);

	*routing = (struct datafs_metad_routing){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != TABLE_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&table_key), "routing table");
	routing->version = datafs_get_be64(val.p + 1);
	routing->last_id = datafs_get_be64(val.p + 9);
	memcpy(&routing->nodes, val.p + 17, 4);
	routing->nodes = __builtin_bswap32(routing->nodes);
	if (!routing->version || routing->last_id > routing->version ||
	    routing->nodes > routing->last_id || routing->nodes > DATAFS_METAD_NODES_MAX)
		return txn_damaged(t, key_bytes(&table_key), "numbers of the routing table");
	return 1;
}

void rec_routing_put(struct txn *t, const struct datafs_metad_routing *routing)
{
	uint8_t val[TABLE_LEN] = { REC_VERSION };
	uint32_t nodes = __builtin_bswap32(routing->nodes);

	datafs_put_be64(val + 1, routing->version);
	datafs_put_be64(val + 9, routing->last_id);
	memcpy(val + 17, &nodes, 4);
	txn_put(t, key_bytes(&table_key), (struct txn_bytes){ val, sizeof(val) });
}

int rec_routing_all_away(struct txn *t)
{
	struct txn_bytes key, val, prefix = { (const uint8_t *)"P", 1 };
	struct datafs_metad_node node, was;
	struct datafs_metad_routing routing;
	struct txn_scan s;
	bool changed = false;

	if (rec_routing_get(t, &routing) < 0)
		return txn_error(t);
	txn_scan_begin(&s, t, prefix, prefix);
	while (txn_scan_next(&s, &key, &val) == 1 && !rec_routed_decode(t, key, val, &was)) {
		if (was.state == DATAFS_NODE_AWAY)
			continue;
		node = was;
		node.state = DATAFS_NODE_AWAY;
		node.session = 0;
		rec_routed_put(t, &node, &was);
		changed = true;
	}
	txn_scan_end(&s);
	routing.version += changed;
	if (changed)
		rec_routing_put(t, &routing);
	return txn_error(t);
}
