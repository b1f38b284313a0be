// SPDX-License-Identifier: Apache-2.0
#include "trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

struct trie_node *trie_new(void)
{
	struct trie_node *root = calloc(1, sizeof(*root));

	if (root)
		root->name = strdup("");
	if (root && !root->name) {
		free(root);
		return NULL;
	}
	return root;
}

void trie_free(struct trie_node *root)
{
	struct trie_node *n = root, *up;

	/* By hand, not by recursion: a path may have thousands of names. */
	while (n) {
		if (n->children) {
			n = n->child[--n->children];
			continue;
		}
		up = n == root ? NULL : n->parent;
		free(n->child);
		free(n->name);
		free(n);
		n = up;
	}
}

/* Where the name is among the children, or would be. */
static size_t place(const struct trie_node *at, const char *name, size_t len, bool *found)
{
	size_t low = 0, high = at->children;

	*found = false;
	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct trie_node *c = at->child[mid];
		int cmp = memcmp(c->name, name, DATAFS_MIN(c->len, len));

		if (!cmp && c->len == len) {
			*found = true;
			return mid;
		}
		if (cmp < 0 || (!cmp && c->len < len))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct trie_node *trie_child(const struct trie_node *at, const char *name, size_t len)
{
	bool found;
	size_t i = place(at, name, len, &found);

	return found ? at->child[i] : NULL;
}

static struct trie_node *insert(struct trie_node *at, size_t i, const char *name, size_t len)
{
	struct trie_node *n = calloc(1, sizeof(*n)), **more;

	more = n ? realloc(at->child, (at->children + 1) * sizeof(struct trie_node *)) : NULL;
	if (more)
		at->child = more;
	if (more)
		n->name = strndup(name, len);
	if (!more || !n->name) {
		free(n);
		return NULL;
	}
	n->parent = at;
	n->len = len;
	memmove(more + i + 1, more + i, (at->children - i) * sizeof(struct trie_node *));
	more[i] = n;
	at->children++;
	return n;
}

/* The next name from @at on; its length, 0: none. */
static size_t next_name(const char **at, const char *end)
{
	const char *name;

	while (*at < end && **at == '/')
		(*at)++;
	name = memchr(*at, '/', end - *at);
	return (name ? name : end) - *at;
}

struct trie_node *trie_add(struct trie_node *at, const char *path, size_t len)
{
	const char *end = path + len;
	bool found;
	size_t i;

	for (; at && (len = next_name(&path, end)); path += len) {
		i = place(at, path, len, &found);
		at = found ? at->child[i] : insert(at, i, path, len);
	}
	return at;
}

struct trie_node *trie_find(struct trie_node *at, const char *path, size_t len)
{
	const char *end = path + len;

	for (; at && (len = next_name(&path, end)); path += len)
		at = trie_child(at, path, len);
	return at;
}

struct trie_node *trie_along(struct trie_node *at, const char *path, size_t len, bool *all)
{
	const char *end = path + len;
	struct trie_node *n = at;

	for (; (len = next_name(&path, end)); path += len, at = n) {
		n = trie_child(at, path, len);
		if (!n)
			break;
	}
	*all = n != NULL;
	return at;
}

struct trie_node *trie_next(const struct trie_node *n)
{
	const struct trie_node *up;
	bool found;
	size_t i;

	if (n->children)
		return n->child[0];
	for (up = n->parent; up; n = up, up = up->parent) {
		i = place(up, n->name, n->len, &found) + 1;
		if (i < up->children)
			return up->child[i];
	}
	return NULL;
}
