// SPDX-License-Identifier: Apache-2.0
/* The trie of the paths of mounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/trie.h"

#define NAMES	300

static struct trie_node *add(struct trie_node *root, const char *path)
{
	struct trie_node *n = trie_add(root, path, strlen(path));

	assert_non_null(n);
	return n;
}

static struct trie_node *find(struct trie_node *root, const char *path)
{
	return trie_find(root, path, strlen(path));
}

static void test_paths(void **state)
{
	struct trie_node *root = trie_new(), *deep, *n;

	(void)state;
	assert_ptr_equal(add(root, "/"), root);
	assert_ptr_equal(find(root, ""), root);
	deep = add(root, "/shared/pub/mine");
	assert_ptr_equal(add(root, "/shared/pub/mine"), deep);
	assert_ptr_equal(find(root, "shared/pub/mine/"), deep);
	n = find(root, "/shared");
	assert_non_null(n);
	assert_null(n->mount);
	assert_ptr_equal(find(n, "pub/mine"), deep);
	assert_ptr_equal(deep->parent->parent, n);
	/* A name is no other's beginning. */
	assert_null(find(root, "/share"));
	assert_null(find(root, "/shared/pub/mine/more"));
	add(root, "/share");
	add(root, "/shared2");
	assert_ptr_equal(find(root, "/shared"), n);
	assert_null(trie_child(root, "sha", 3));
	assert_ptr_equal(trie_child(root, "shared", 6), n);
	trie_free(root);
	trie_free(NULL);
}

/* As far as a path is there. */
static void test_along(void **state)
{
	struct trie_node *root = trie_new(), *a, *deep;
	bool all;

	(void)state;
	assert_ptr_equal(trie_along(root, "/x/y", 4, &all), root);
	assert_false(all);
	assert_ptr_equal(trie_along(root, "/", 1, &all), root);
	assert_true(all);
	deep = add(root, "/a/b/c");
	a = find(root, "a");
	assert_ptr_equal(trie_along(root, "/a/b/c", 6, &all), deep);
	assert_true(all);
	assert_ptr_equal(trie_along(root, "/a/b/c/d/e", 10, &all), deep);
	assert_false(all);
	assert_ptr_equal(trie_along(root, "/a/bc/c", 7, &all), a);
	assert_false(all);
	assert_ptr_equal(trie_along(a, "b/c", 3, &all), deep);
	assert_true(all);
	assert_ptr_equal(trie_along(a, "", 0, &all), a);
	assert_true(all);
	trie_free(root);
}

/* Many names, added in an order without order, are met once each, by their names. */
static void test_order(void **state)
{
	struct trie_node *root = trie_new(), *n, *last = NULL;
	unsigned int met = 0;
	char path[40];

	(void)state;
	for (unsigned int i = 0; i < NAMES; i++) {
		snprintf(path, sizeof(path), "/d/n%u", i * 7 % NAMES);
		add(root, path);
	}
	assert_int_equal(find(root, "/d")->children, NAMES);
	for (n = trie_next(root); n; n = trie_next(n)) {
		if (n->parent == root)
			continue;
		assert_true(!last || strcmp(last->name, n->name) < 0);
		last = n;
		met++;
	}
	assert_int_equal(met, NAMES);
	trie_free(root);
}

/* The longest path that a table may have, of names of one byte. */
static void test_deep(void **state)
{
	struct trie_node *root = trie_new(), *n;
	char path[4096] = "";
	unsigned int met = 0;

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(path); i += 2)
		memcpy(path + i, "/x", 3);
	add(root, path);
	for (n = root; n; n = trie_next(n))
		met++;
	assert_int_equal(met, strlen(path) / 2 + 1);
	trie_free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_along),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
