// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Both tables are LRU lists: new and used ones go to the head. */
#define LRU_DEL(e) do {						\
	(e)->lru_prev->lru_next = (e)->lru_next;		\
	(e)->lru_next->lru_prev = (e)->lru_prev;		\
} while (0)

#define LRU_ADD(head, e) do {					\
	(e)->lru_next = (head)->lru_next;			\
	(e)->lru_prev = (head);					\
	(head)->lru_next->lru_prev = (e);			\
	(head)->lru_next = (e);					\
} while (0)

void nodes_init(struct datafs_meta *m)
{
	m->nodes_lru.lru_prev = m->nodes_lru.lru_next = &m->nodes_lru;
	m->names_lru.lru_prev = m->names_lru.lru_next = &m->names_lru;
}

static struct node **node_slot(struct datafs_meta *m, uint64_t ino)
{
	struct node **p;

	p = &m->nodes[ino * 0x9e3779b97f4a7c15ull >> (64 - META_HASH_BITS)];
	while (*p && (*p)->ino != ino)
		p = &(*p)->hash_next;
	return p;
}

static void node_drop(struct datafs_meta *m, struct node **p)
{
	struct node *n = *p;

	*p = n->hash_next;
	LRU_DEL(n);
	m->nnodes--;
	free(n->name);
	free(n);
}

void node_forget(struct datafs_meta *m, uint64_t ino)
{
	struct node **p = node_slot(m, ino);

	if (*p)
		node_drop(m, p);
}

static void node_insert(struct datafs_meta *m, struct node *n)
{
	struct node **p = node_slot(m, n->ino);

	n->hash_next = NULL;
	*p = n;
	LRU_ADD(&m->nodes_lru, n);
	m->nnodes++;
	while (m->nnodes > META_NODES_MAX)
		node_drop(m, node_slot(m, m->nodes_lru.lru_prev->ino));
}

struct node *node_new(struct datafs_meta *m, uint64_t ino)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->ino = ino;
	node_insert(m, n);
	return n;
}

int node_set_name(struct node *n, uint64_t parent, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	free(n->name);
	n->name = copy;
	n->parent = parent;
	return 0;
}

int node_get(struct datafs_meta *m, uint64_t ino, struct node **res)
{
	struct node *n = *node_slot(m, ino);
	int ret;

	if (n) {
		LRU_DEL(n);
		LRU_ADD(&m->nodes_lru, n);
		*res = n;
		return 0;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	ret = store_node_get(m, ino, n);
	if (ret <= 0) {
		free(n);
		return ret ? ret : -ESTALE;
	}
	n->ino = ino;
	node_insert(m, n);
	*res = n;
	return 0;
}

bool node_complete(const struct datafs_meta *m, const struct node *n)
{
	return n->flags & NODE_COMPLETE && n->list_epoch == m->epoch;
}

bool node_proves(const struct datafs_meta *m, const struct node *n)
{
	return node_complete(m, n) && !(n->flags & (NODE_TORN | NODE_HIDDEN));
}

void node_tell(const struct node *n, struct datafs_meta_inode *res)
{
	*res = (struct datafs_meta_inode) {
		.ino = n->ino, .root = n->root, .content = n->content,
		.young = n->flags & NODE_YOUNG, .synced = n->synced,
		.st = n->st,
	};
}

static struct name_entry **name_slot(struct datafs_meta *m, uint64_t dir,
				     const char *name)
{
	uint64_t h = dir * 0x9e3779b97f4a7c15ull;
	struct name_entry **p;

	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 0x100000001b3ull;
	h *= 0x9e3779b97f4a7c15ull;
	p = &m->names[h >> (64 - META_HASH_BITS)];
	while (*p && ((*p)->dir != dir || strcmp((*p)->name, name)))
		p = &(*p)->hash_next;
	return p;
}

static void name_drop(struct datafs_meta *m, struct name_entry **p)
{
	struct name_entry *e = *p;

	*p = e->hash_next;
	LRU_DEL(e);
	m->nnames--;
	free(e);
}

struct name_entry *name_get(struct datafs_meta *m, uint64_t dir,
			    const char *name)
{
	struct name_entry *e = *name_slot(m, dir, name);

	if (e) {
		LRU_DEL(e);
		LRU_ADD(&m->names_lru, e);
	}
	return e;
}

void name_set(struct datafs_meta *m, uint64_t dir, const char *name,
	      uint64_t ino, int64_t synced)
{
	struct name_entry *e = name_get(m, dir, name);
	size_t len = strlen(name) + 1;

	if (!e) {
		e = calloc(1, sizeof(*e) + len);
		if (!e)
			return;
		e->dir = dir;
		memcpy(e->name, name, len);
		*name_slot(m, dir, name) = e;
		LRU_ADD(&m->names_lru, e);
		m->nnames++;
	}
	e->ino = ino;
	e->synced = synced;
	while (m->nnames > META_NAMES_MAX) {
		e = m->names_lru.lru_prev;
		name_drop(m, name_slot(m, e->dir, e->name));
	}
}

void name_forget(struct datafs_meta *m, uint64_t dir, const char *name)
{
	struct name_entry **p = name_slot(m, dir, name);

	if (*p)
		name_drop(m, p);
}

void nodes_exit(struct datafs_meta *m)
{
	while (m->nnodes)
		node_drop(m, node_slot(m, m->nodes_lru.lru_next->ino));
	while (m->nnames) {
		struct name_entry *e = m->names_lru.lru_next;

		name_drop(m, name_slot(m, e->dir, e->name));
	}
}
