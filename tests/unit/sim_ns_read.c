// SPDX-License-Identifier: Apache-2.0
/* What a member that may read answers, and all that is there: names, mounts, nodes. */
#include "sim_ns.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim_ns_client.h"

static struct ns_attr attr_of(const struct datafs_metad_attr *a)
{
	return (struct ns_attr) {
		.ino = a->ino, .version = a->version, .size = a->size, .mode = a->mode,
		.nlink = a->nlink, .uid = a->uid, .gid = a->gid,
	};
}

static struct ns_name name_of(uint64_t dir, const char *name, size_t len, uint64_t ino)
{
	struct ns_name n = { .dir = dir, .ino = ino };

	assert(len < sizeof(n.name));
	memcpy(n.name, name, len);
	return n;
}

struct listing {
	uint64_t dir;
	struct ns_answer *answer;
};

static int add_name(void *arg, uint64_t cookie, const char *name, size_t len,
		    const struct datafs_metad_attr *attr)
{
	struct listing *l = arg;
	struct ns_answer *a = l->answer;

	(void)cookie;
	assert(a->names < NS_LIST);
	a->list[a->names++] = name_of(l->dir, name, len, attr->ino);
	return 0;
}

static void text_of(char to[8], const char *p, size_t len)
{
	assert(len < 8);
	if (len)
		memcpy(to, p, len);
}

static struct ns_line *new_line(struct ns_table *t)
{
	assert(t->lines < NS_LINES);
	return &t->line[t->lines++];
}

void ns_add_mount(struct ns_table *t, const struct datafs_metad_mount *m)
{
	struct ns_line *l = new_line(t);

	l->id = m->id;
	l->by = m->generation;
	text_of(l->name, m->path, m->path_len);
	text_of(l->text, m->source, m->source_len);
	text_of(l->options, m->options, m->options_len);
}

void ns_add_node(struct ns_table *t, const struct datafs_metad_node *node)
{
	struct ns_line *l = new_line(t);

	l->id = node->id;
	l->by = node->session;
	l->weight = node->weight;
	l->state = node->state;
	text_of(l->name, node->name, node->name_len);
	text_of(l->text, node->address, node->address_len);
}

static int add_mount(void *arg, const struct datafs_metad_mount *m)
{
	ns_add_mount(arg, m);
	return 0;
}

static int add_node(void *arg, const struct datafs_metad_node *node)
{
	ns_add_node(arg, node);
	return 0;
}

static int read_mounts(struct datafs_metad *m, struct ns_table *t)
{
	struct datafs_metad_mounts table;
	bool eof;
	int err = datafs_metad_mounts(m, NULL, 0, add_mount, t, &eof, &table);

	t->version = table.version;
	return err ? err : eof && table.mounts == t->lines ? 0 : -EIO;
}

static int read_nodes(struct datafs_metad *m, struct ns_table *t)
{
	struct datafs_metad_routing routing;
	bool eof;
	int err = datafs_metad_nodes(m, 0, add_node, t, &eof, &routing);

	t->version = routing.version;
	return err ? err : eof && routing.nodes == t->lines ? 0 : -EIO;
}

void *ns_read(void *state, const void *req, size_t len, size_t *answer_len)
{
	struct datafs_metad *m = sim_ns_of(state);
	struct ns_answer *a = calloc(1, sizeof(*a));
	struct datafs_metad_attr attr;
	struct listing l = { .answer = a };
	struct ns_read r;
	bool eof;

	assert(a && len == sizeof(r));
	memcpy(&r, req, sizeof(r));
	l.dir = r.ino;
	if (r.kind == NS_LOOKUP)
		a->err = datafs_metad_lookup(m, r.ino, r.name, strlen(r.name), &attr);
	else if (r.kind == NS_GETATTR)
		a->err = datafs_metad_getattr(m, r.ino, &attr);
	else if (r.kind == NS_MOUNTS)
		a->err = read_mounts(m, &a->table);
	else if (r.kind == NS_NODES)
		a->err = read_nodes(m, &a->table);
	else
		a->err = datafs_metad_readdir(m, r.ino, 0, add_name, &l, &eof);
	if (!a->err && (r.kind == NS_LOOKUP || r.kind == NS_GETATTR)) {
		a->told = 1 << NS_NODE;
		a->attr[NS_NODE] = attr_of(&attr);
	}
	*answer_len = sizeof(*a);
	return a;
}

static bool add_inode(struct datafs_metad *m, struct ns_tree *t, uint64_t ino)
{
	struct datafs_metad_attr attr;

	for (unsigned int i = 0; i < t->inodes; i++)
		if (t->in[i].ino == ino)
			return true;
	if (t->inodes == NS_TREE || datafs_metad_getattr(m, ino, &attr))
		return false;
	t->in[t->inodes++] = attr_of(&attr);
	return true;
}

bool ns_read_all(void *state, struct ns_tree *t)
{
	struct datafs_metad *m = sim_ns_of(state);

	memset(t, 0, sizeof(*t));
	if (!add_inode(m, t, DATAFS_METAD_ROOT) || read_mounts(m, &t->mounts) ||
	    read_nodes(m, &t->nodes))
		return false;
	for (unsigned int i = 0; i < t->inodes; i++) {
		struct ns_answer a = { 0 };
		struct listing l = { t->in[i].ino, &a };
		bool eof;

		if (!S_ISDIR(t->in[i].mode))
			continue;
		if (datafs_metad_readdir(m, l.dir, 0, add_name, &l, &eof) || !eof)
			return false;
		for (unsigned int k = 0; k < a.names; k++) {
			if (t->names == NS_TREE || !add_inode(m, t, a.list[k].ino))
				return false;
			t->name[t->names++] = a.list[k];
		}
	}
	return true;
}
