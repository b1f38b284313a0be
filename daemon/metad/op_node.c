// SPDX-License-Identifier: Apache-2.0
/*
 * The routing table. Its version rises by one with each command that changes what placement
 * sees of it (which nodes there are, their addresses, weights and states), and never else:
 * not with another session that speaks for a node.
 */
#include <errno.h>
#include <string.h>

#include "nodes.h"
#include "ns_internal.h"
#include "op.h"

static bool looks_other(const struct datafs_metad_node *a, const struct datafs_metad_node *b)
{
	return a->weight != b->weight || a->state != b->state ||
	       a->address_len != b->address_len ||
	       (a->address_len && memcmp(a->address, b->address, a->address_len));
}

static bool weight_wrong(bool has, uint32_t weight)
{
	return has && (!weight || weight > DATAFS_NODE_WEIGHT_MAX);
}

/* 1: it is there, 0: it is not; or the error. */
static int find(struct op *o, ProtobufCBinaryData name, struct datafs_metad_routing *routing,
		struct datafs_metad_node *node)
{
	int ret;

	*node = (struct datafs_metad_node){ 0 };
	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_NODE)
		return -EOPNOTSUPP;
	if (datafs_node_name_wrong(name.data, name.len))
		return -EINVAL;
	ret = rec_routing_get(o->t, routing);
	if (ret >= 0)
		ret = rec_routed_by_name(o->t, name.data, name.len, node);
	if (ret == 1 && (!routing->nodes || node->id > routing->last_id)) {
		struct key k = key_make('P', node->id);

		return txn_damaged(o->t, key_bytes(&k), "a node that its table does not know");
	}
	return ret;
}

/* It is away; its record says so, and the version does not yet. */
static int leave(struct op *o, const struct datafs_metad_node *was)
{
	struct datafs_metad_node node = *was;
	struct key k = key_make('P', was->id);
	unsigned int state = datafs_node_next(was->state, DATAFS_NODE_ENDS);

	if (!state)
		return txn_damaged(o->t, key_bytes(&k), "away, with a session");
	node.state = (enum datafs_node_state)state;
	node.session = 0;
	rec_routed_put(o->t, &node, was);
	return 0;
}

int op_node_session_ends(struct op *o, uint64_t session)
{
	struct datafs_metad_routing routing;
	struct datafs_metad_node node;
	int ret = rec_routed_by_session(o->t, session, &node);

	if (ret <= 0)
		return ret;
	ret = rec_routing_get(o->t, &routing);
	if (ret >= 0)
		ret = leave(o, &node);
	if (ret)
		return ret;
	routing.version += !metad_planted(DATAFS_METAD_PLANT_AWAY);
	rec_routing_put(o->t, &routing);
	return 0;
}

/* What the session spoke for before, if that is another one. 1: it is away now, or the error. */
static int leave_other(struct op *o, uint64_t id)
{
	struct datafs_metad_node other;
	int ret = rec_routed_by_session(o->t, o->session, &other);

	if (ret <= 0 || other.id == id)
		return ret < 0 ? ret : 0;
	ret = leave(o, &other);
	return ret ? ret : 1;
}

int op_node_join(struct op *o, const Metad__Command *c)
{
	const Metad__NodeJoin *j = c->node_join;
	struct datafs_metad_routing routing;
	struct datafs_metad_node node, was;
	int there = find(o, j->name, &routing, &was), left;

	if (there < 0)
		return there;
	if (datafs_node_address_wrong(j->address.data, j->address.len) ||
	    weight_wrong(j->has_weight, j->weight))
		return -EINVAL;
	if (there && was.session && was.session != o->session)
		return -EEXIST;
	if (!there && routing.nodes >= DATAFS_METAD_NODES_MAX)
		return -ENOSPC;
	left = leave_other(o, was.id);
	if (left < 0)
		return left;
	node = was;
	if (!there) {
		node.id = ++routing.last_id;
		node.name = (const char *)j->name.data;
		node.name_len = j->name.len;
		node.weight = DATAFS_NODE_WEIGHT;
		node.state = DATAFS_NODE_AWAY;
		routing.nodes++;
	}
	node.state = (enum datafs_node_state)datafs_node_next(node.state, DATAFS_NODE_JOINS);
	node.session = o->session;
	node.address = (const char *)j->address.data;
	node.address_len = j->address.len;
	if (j->has_weight)
		node.weight = j->weight;
	rec_routed_put(o->t, &node, there ? &was : NULL);
	if (!left && there && !looks_other(&node, &was))
		return 0;
	routing.version++;
	rec_routing_put(o->t, &routing);
	return 0;
}

int op_node_set(struct op *o, const Metad__Command *c)
{
	const Metad__NodeSet *s = c->node_set;
	struct datafs_metad_routing routing;
	struct datafs_metad_node node, was;
	unsigned int state;
	int ret = find(o, s->name, &routing, &was);

	if (ret < 0)
		return ret;
	if (weight_wrong(s->has_weight, s->weight))
		return -EINVAL;
	if (!ret)
		return -ENOENT;
	node = was;
	if (s->has_weight)
		node.weight = s->weight;
	if (s->has_drain) {
		state = datafs_node_next(was.state, s->drain ? DATAFS_NODE_DRAIN :
							       DATAFS_NODE_UNDRAIN);
		if (!state)
			return -EHOSTDOWN;
		node.state = (enum datafs_node_state)state;
	}
	if (!looks_other(&node, &was))
		return 0;
	routing.version++;
	rec_routed_put(o->t, &node, &was);
	rec_routing_put(o->t, &routing);
	return 0;
}

int op_node_remove(struct op *o, const Metad__Command *c)
{
	struct datafs_metad_routing routing;
	struct datafs_metad_node node;
	int ret = find(o, c->node_remove->name, &routing, &node);

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	if (!datafs_node_next(node.state, DATAFS_NODE_REMOVE))
		return -EBUSY;
	routing.version++;
	routing.nodes--;
	rec_routed_del(o->t, &node);
	rec_routing_put(o->t, &routing);
	return 0;
}
