/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths at which something is mounted, as a trie of their names: a node for each path
 * with a mount, and for each directory on the way to one. Nodes stay where they are until
 * all of it is freed. There are no locks in it: it is built by one thread, and then only
 * its atomic members change.
 */
#ifndef DATAFS_VFS_TRIE_H
#define DATAFS_VFS_TRIE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trie_node {
	struct trie_node *parent;	/* NULL: the root */
	struct trie_node **child;	/* by their names, byte by byte */
	size_t children;
	size_t len;
	char *name;			/* NUL-terminated; "" of the root */

	/* The user's; 0 at first. */
	void *mount;			/* what is mounted there, or NULL */
	_Atomic uint64_t ino;		/* which inode it is, as known */
};

/* Empty; to be freed. NULL: no memory. */
struct trie_node *trie_new(void);
/* All below as well, but not what is mounted. NULL is nothing. */
void trie_free(struct trie_node *root);
/*
 * The node of the @len bytes of @path below @at, made with those on the way if there is
 * none: names with '/' between, before or after. NULL: no memory.
 */
struct trie_node *trie_add(struct trie_node *at, const char *path, size_t len);
/* NULL: there is none. @path "": @at itself. */
struct trie_node *trie_find(struct trie_node *at, const char *path, size_t len);
/* As far as there are nodes: the last of them. *@all: that is the whole path. */
struct trie_node *trie_along(struct trie_node *at, const char *path, size_t len, bool *all);
struct trie_node *trie_child(const struct trie_node *at, const char *name, size_t len);
/* All of them, from the root on, each after its parent; NULL: @n was the last. */
struct trie_node *trie_next(const struct trie_node *n);

#endif
