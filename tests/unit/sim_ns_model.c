// SPDX-License-Identifier: Apache-2.0
/*
 * What the namespace should be: the model of metad_model.h, whose changes are
 * compared with what clients were told. Times are not in it but for one thing:
 * that of changes does not go back.
 */
#include "sim_ns.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "metad_model.h"

struct ns_state {
	uint64_t time;
	struct model w;		/* with what is behind it */
};

#define STATE_SIZE	(offsetof(struct ns_state, w) + sizeof(struct model) +		\
			 NS_TREE * (sizeof(struct model_inode) + sizeof(struct model_name)))

static void init(void *state)
{
	struct ns_state *s = state;

	s->time = 0;
	model_init(&s->w, NS_TREE, NS_TREE);
}

static struct ns_attr attr_of(const struct model *w, const struct model_inode *in)
{
	return (struct ns_attr) {
		.ino = in->ino, .version = in->version, .size = in->size, .mode = in->mode,
		.nlink = model_nlink(w, in->ino), .uid = in->uid, .gid = in->gid,
	};
}

static bool same_attr(const struct ns_attr *a, const struct ns_attr *b)
{
	return a->ino == b->ino && a->version == b->version && a->size == b->size &&
	       a->mode == b->mode && a->nlink == b->nlink && a->uid == b->uid &&
	       a->gid == b->gid;
}

/* Is what was told of an inode so? One that is gone has no links any more. */
static bool so(const struct model *w, uint64_t ino, const struct ns_attr *told)
{
	const struct model_inode *in = model_inode(w, ino);
	struct ns_attr a;

	if (told->ino != ino)
		return false;
	if (!in)
		return !told->nlink;
	a = attr_of(w, in);
	return same_attr(&a, told);
}

static uint64_t ino_at(const struct model *w, uint64_t dir, const char *name)
{
	const struct model_name *n = model_find(w, dir, name);

	return n ? n->ino : 0;
}

/* Of whom a change that succeeds tells, by role; 0: of none. */
static void expect(const struct model *w, const struct req *r, uint64_t ino[NS_ROLES])
{
	memset(ino, 0, NS_ROLES * sizeof(*ino));
	ino[NS_PARENT] = r->ino;
	switch (r->op) {
	case OP(LINK):
		ino[NS_NODE] = r->ino;
		ino[NS_PARENT] = r->to;
		break;
	case OP(SETATTR):
		ino[NS_NODE] = r->ino;
		ino[NS_PARENT] = 0;
		break;
	case OP(RENAME):
		ino[NS_NODE] = ino_at(w, r->ino, r->name);
		if (r->to != r->ino)
			ino[NS_NEW_PARENT] = r->to;
		ino[NS_OTHER_NODE] = ino_at(w, r->to, r->new_name);
		if (ino[NS_OTHER_NODE] == ino[NS_NODE])
			ino[NS_OTHER_NODE] = 0;
		break;
	case OP(UNLINK):
	case OP(RMDIR):
		ino[NS_NODE] = ino_at(w, r->ino, r->name);
		break;
	default:
		ino[NS_NODE] = w->next;
	}
}

/* A rename of a name to another of the same inode does nothing. */
static bool nothing(const struct model *w, const struct req *r)
{
	return r->op == OP(RENAME) &&
	       ino_at(w, r->ino, r->name) == ino_at(w, r->to, r->new_name);
}

static bool change(struct ns_state *s, const struct ns_op *o, bool maybe)
{
	bool idle = nothing(&s->w, &o->r);
	uint64_t ino[NS_ROLES];
	int err;

	expect(&s->w, &o->r, ino);
	err = model_do(&s->w, &o->r);
	/* one that changes nothing may as well not have been */
	if (maybe)
		return !err && !idle;
	if (err != o->answer.err)
		return false;
	if (err || o->silent)
		return true;
	for (int i = 0; i < NS_ROLES; i++) {
		if (!ino[i] != !(o->answer.told >> i & 1))
			return false;
		if (ino[i] && !so(&s->w, ino[i], &o->answer.attr[i]))
			return false;
	}
	if (idle)
		return true;
	if (o->answer.time < s->time)
		return false;
	s->time = o->answer.time;
	return true;
}

/* --- the tables of mounts and of nodes --- */

static void mounts_of(const struct model *w, struct ns_table *t)
{
	const struct model_mount *m = NULL;

	*t = (struct ns_table) { .version = w->mounts_version };
	while ((m = model_mount_after(w, m ? m->path : NULL)))
		ns_add_mount(t, &(struct datafs_metad_mount) {
			.path = m->path, .path_len = strlen(m->path),
			.source = m->source, .source_len = strlen(m->source),
			.options = m->options, .options_len = strlen(m->options),
			.id = m->id, .generation = m->generation,
		});
}

static void nodes_of(const struct model *w, struct ns_table *t)
{
	*t = (struct ns_table) { .version = w->routing_version };
	for (int i = 0; i < w->nodes; i++) {
		const struct model_node *n = &w->node[i];

		ns_add_node(t, &(struct datafs_metad_node) {
			.name = n->name, .name_len = strlen(n->name),
			.address = n->address, .address_len = strlen(n->address),
			.id = n->id, .session = n->session, .weight = n->weight,
			.state = !n->session ? DATAFS_NODE_AWAY :
				 n->draining ? DATAFS_NODE_DRAINING : DATAFS_NODE_JOINED,
		});
	}
}

static bool same_mounts(const struct model *w, const struct ns_table *told)
{
	struct ns_table t;

	mounts_of(w, &t);
	return !memcmp(&t, told, sizeof(t));
}

static bool same_nodes(const struct model *w, const struct ns_table *told)
{
	struct ns_table t;

	nodes_of(w, &t);
	return !memcmp(&t, told, sizeof(t));
}

static bool of_tables(Metad__Command__OpCase op)
{
	switch (op) {
	case OP(FEATURE):
	case OP(SESSION_CLOSE):
	case OP(MOUNT_ADD):
	case OP(MOUNT_SET):
	case OP(MOUNT_REMOVE):
	case OP(NODE_JOIN):
	case OP(NODE_SET):
	case OP(NODE_REMOVE):
		return true;
	default:
		return false;
	}
}

/* Also the level that has them, and the end of a session, which a node may have been of. */
static bool table_change(struct model *w, const struct ns_op *o, bool maybe)
{
	int level = w->level, err;
	struct ns_table mounts, nodes;
	struct req r = o->r;

	if (r.op == OP(SESSION_CLOSE))
		r.session = r.ino;
	mounts_of(w, &mounts);
	nodes_of(w, &nodes);
	err = model_do(w, &r);
	if (!maybe)
		return err == o->answer.err && !o->answer.told;
	return !err && (level != w->level || !same_mounts(w, &mounts) || !same_nodes(w, &nodes));
}

static int usable(const struct model *w, uint64_t dir)
{
	const struct model_inode *in = model_inode(w, dir);

	return !in ? -ESTALE : S_ISDIR(in->mode) ? 0 : -ENOTDIR;
}

static bool lookup(const struct model *w, const struct ns_op *o)
{
	uint64_t ino = ino_at(w, o->r.ino, o->r.name);
	int err = usable(w, o->r.ino);

	if (!err && !ino)
		err = -ENOENT;
	return err == o->answer.err && (err || so(w, ino, &o->answer.attr[NS_NODE]));
}

static bool getattr(const struct model *w, const struct ns_op *o)
{
	int err = model_inode(w, o->r.ino) ? 0 : -ESTALE;

	return err == o->answer.err && (err || so(w, o->r.ino, &o->answer.attr[NS_NODE]));
}

/* Are the next names of @list those of the directory, and so many? -1: not. */
static int same_names(const struct model *w, uint64_t dir, const struct ns_name *list,
		      unsigned int n)
{
	const struct model_name *name = model_names(w);
	unsigned int at = 0;

	for (int i = 0; i < w->names; i++) {
		if (name[i].dir != dir)
			continue;
		if (at == n || list[at].dir != dir || list[at].ino != name[i].ino ||
		    strcmp(list[at].name, name[i].name))
			return -1;
		at++;
	}
	return (int)at;
}

static bool readdir(const struct model *w, const struct ns_op *o)
{
	int err = usable(w, o->r.ino);

	if (err || o->answer.err)
		return err == o->answer.err;
	return same_names(w, o->r.ino, o->answer.list, o->answer.names) ==
	       (int)o->answer.names;
}

static bool everything(const struct model *w, const struct ns_tree *t)
{
	unsigned int at = 0;

	if (!same_mounts(w, &t->mounts) || !same_nodes(w, &t->nodes))
		return false;
	if (t->inodes != (unsigned int)w->inodes || t->names != (unsigned int)w->names)
		return false;
	for (unsigned int i = 0; i < t->inodes; i++) {
		int n;

		if (!model_inode(w, t->in[i].ino) || !so(w, t->in[i].ino, &t->in[i]))
			return false;
		n = same_names(w, t->in[i].ino, t->name + at, t->names - at);
		if (n < 0)
			return false;
		at += (unsigned int)n;
	}
	return at == t->names;
}

static bool step(void *state, const void *op, bool maybe)
{
	struct ns_state *s = state;
	const struct ns_op *o = op;

	switch (o->kind) {
	case NS_CHANGE:
		if (of_tables(o->r.op))
			return table_change(&s->w, o, maybe);
		return change(s, o, maybe);
	case NS_LOOKUP:
		return lookup(&s->w, o);
	case NS_GETATTR:
		return getattr(&s->w, o);
	case NS_READDIR:
		return readdir(&s->w, o);
	case NS_MOUNTS:
		return !o->answer.err && same_mounts(&s->w, &o->answer.table);
	case NS_NODES:
		return !o->answer.err && same_nodes(&s->w, &o->answer.table);
	case NS_EVERYTHING:
		return everything(&s->w, o->tree);
	default:
		return false;
	}
}

/* So does a change, with an error. */
static bool reads(const void *op)
{
	const struct ns_op *o = op;

	return o->kind != NS_CHANGE || o->answer.err;
}

static uint64_t mix(uint64_t hash, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

/* What is beyond the inodes and names there are does not count. */
static uint64_t hash(const void *state)
{
	const struct ns_state *s = state;
	const struct model *w = &s->w;
	uint64_t h = mix(s->time ^ 0xcbf29ce484222325ull, &w->next, sizeof(w->next));

	h = mix(mix(h, &w->mounts_version, 8), &w->routing_version, 8);
	for (int i = 0; i < w->nodes; i++)
		h = mix(h, &w->node[i].session, 8);
	for (int i = 0; i < w->inodes; i++)
		h = mix(mix(h, &w->in[i].ino, 8), &w->in[i].version, 8);
	return mix(h, model_names(w), (size_t)w->names * sizeof(struct model_name));
}

static bool same_inode(const struct model_inode *a, const struct model_inode *b)
{
	return a->ino == b->ino && a->version == b->version && a->size == b->size &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

static bool equal_tables(const struct model *x, const struct model *y)
{
	struct ns_table mounts, nodes;

	mounts_of(x, &mounts);
	nodes_of(x, &nodes);
	return x->level == y->level && x->last_node == y->last_node &&
	       same_mounts(y, &mounts) && same_nodes(y, &nodes);
}

static bool equal(const void *a, const void *b)
{
	const struct ns_state *x = a, *y = b;

	if (x->time != y->time || x->w.next != y->w.next || x->w.inodes != y->w.inodes ||
	    x->w.names != y->w.names)
		return false;
	if (!equal_tables(&x->w, &y->w))
		return false;
	for (int i = 0; i < x->w.inodes; i++)
		if (!same_inode(&x->w.in[i], &y->w.in[i]))
			return false;
	return !memcmp(model_names(&x->w), model_names(&y->w),
		       (size_t)x->w.names * sizeof(struct model_name));
}

const struct lin_model ns_model = {
	.size = STATE_SIZE, .init = init, .step = step, .reads = reads,
	.hash = hash, .equal = equal,
};
