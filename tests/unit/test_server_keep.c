// SPDX-License-Identifier: Apache-2.0
/* What the kernel may keep of a quorum elsewhere, and until when. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "server_mounts.h"

static struct kernel told(void)
{
	struct kernel res;

	pthread_mutex_lock(&kernel.lock);
	res = kernel;
	pthread_mutex_unlock(&kernel.lock);
	return res;
}

static void says(int invalidate_error, int lease_error)
{
	pthread_mutex_lock(&kernel.lock);
	kernel.invalidate_error = invalidate_error;
	kernel.lease_error = lease_error;
	pthread_mutex_unlock(&kernel.lock);
}

static struct datafs_entry entry_of(uint32_t mount, const char *name)
{
	struct datafs_entry e;

	assert_int_equal(up(DATAFS_OP_LOOKUP, mount, 0, TOP, NULL, name, &e, sizeof(e)), 0);
	return e;
}

/* Until a name is told for ever. */
static struct datafs_entry kept(uint32_t mount, const char *name)
{
	struct datafs_entry e;

	for (int i = 0; i < 3000; i++) {
		e = entry_of(mount, name);
		if (e.valid_ms == DATAFS_FOREVER &&
		    (!e.attr.ino || e.attr.valid_ms == DATAFS_FOREVER))
			return e;
		pause_ms(10);
	}
	fail_msg("%s is never kept", name);
	return e;
}

static void mounted(uint32_t id)
{
	struct datafs_attr root;

	assert_int_equal(mount_as(id, source, &root), 0);
	assert_int_equal(root.valid_ms, 0);
}

/* Was that object among those of the last message? */
static bool was_told(const struct kernel *k, uint64_t ino, uint16_t what)
{
	for (unsigned int i = 0; i < k->n_last; i++)
		if (k->last[i].ino == ino && k->last[i].what & what)
			return true;
	return false;
}

static void test_kept(void **state)
{
	struct datafs_readdir_req req = { .max = 4000 };
	struct {
		struct datafs_readdir_rep rep;
		struct datafs_dirent de;
	} out;
	struct datafs_attr attr;
	struct datafs_entry e;
	struct kernel k;

	(void)state;
	must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	mounted(1);
	e = kept(1, "f");
	k = told();
	/* the kernel knew the end before */
	assert_true(k.leases > 0 && k.until > (uint64_t)datafs_now());
	assert_int_equal(k.items, 0);
	assert_int_equal(kept(1, "g").attr.ino, 0);
	assert_int_equal(up(DATAFS_OP_GETATTR, 1, 0, e.attr.ino, NULL, NULL, &attr, sizeof(attr)), 0);
	assert_int_equal(attr.valid_ms, DATAFS_FOREVER);
	assert_int_equal(up(DATAFS_OP_READDIR, 1, 0, TOP, &req, NULL, &out, sizeof(out)), 0);
	assert_int_equal(out.de.valid_ms, DATAFS_FOREVER);
	assert_int_equal(out.de.attr.valid_ms, DATAFS_FOREVER);
	assert_int_equal(out.rep.flags, DATAFS_READDIR_EOF | DATAFS_READDIR_KEEP);
	v->listings = false;	/* as of a module that does not know it */
	assert_int_equal(up(DATAFS_OP_READDIR, 1, 0, TOP, &req, NULL, &out, sizeof(out)), 0);
	assert_int_equal(out.rep.flags, DATAFS_READDIR_EOF);
	v->listings = true;
	/* somebody else makes what was known not to be there */
	must((struct req){ OP(CREATE), 1, "g", .mode = 0644 });
	k = told();
	assert_true(k.items > 0);
	assert_int_equal(k.all, 0);
	assert_true(was_told(&k, TOP, DATAFS_INVALID_NAME | DATAFS_INVALID_NAMES));
	assert_int_not_equal(kept(1, "g").attr.ino, 0);
	/* ... and changes what was known */
	must((struct req){ OP(SETATTR), e.attr.ino,
		.set = { .has_mode = true, .mode = 0600 } });
	k = told();
	assert_true(was_told(&k, e.attr.ino, DATAFS_INVALID_ATTR));
	umount_id(1);
}

/*
 * Of its own changes the kernel is not told: what it names it does not believe itself until
 * they are answered, and may then. Another mount of the daemon is told as others are.
 */
static void test_own(void **state)
{
	struct datafs_change_rep rep, removed;
	struct datafs_remove_req rm = { .change.lowest = 900 };
	unsigned int before;
	struct kernel k;

	(void)state;
	mounted(1);
	mounted(2);
	kept(1, "f");
	kept(2, "f");
	before = told().of_mount[1];
	assert_int_equal(create(1, 99, "f", &rep), 0);
	assert_int_equal(rep.node.valid_ms, DATAFS_FOREVER);
	assert_int_equal(rep.node.attr.valid_ms, DATAFS_FOREVER);
	assert_int_equal(rep.parent.valid_ms, DATAFS_FOREVER);
	k = told();
	assert_int_equal(k.of_mount[1], before);
	assert_true(k.of_mount[2] > 0);
	assert_int_equal(entry_of(2, "f").attr.ino, rep.node.attr.ino);
	kept(2, "f");
	/* what it may believe now it is told when others change it */
	must((struct req){ OP(SETATTR), rep.node.attr.ino,
		.set = { .has_mode = true, .mode = 0600 } });
	k = told();
	assert_true(k.of_mount[1] > before);
	assert_true(was_told(&k, rep.node.attr.ino, DATAFS_INVALID_ATTR));
	kept(1, "f");
	/* what has no name any more is not kept */
	rm.ino = rep.node.attr.ino;
	assert_int_equal(up(DATAFS_OP_UNLINK, 1, 900, TOP, &rm, "f", &removed, sizeof(removed)), 0);
	assert_int_equal(removed.node.attr.nlink, 0);
	assert_int_equal(removed.node.attr.valid_ms, 0);
	assert_int_equal(removed.node.valid_ms, DATAFS_FOREVER);
	must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	k = told();
	assert_true(was_told(&k, TOP, DATAFS_INVALID_NAME | DATAFS_INVALID_NAMES));
	umount_id(1);
	umount_id(2);
}

/* A kernel that cannot be told has no lease until it can. */
static void test_not_told(void **state)
{
	struct kernel k;

	(void)state;
	mounted(1);
	kept(1, "f");
	says(-ENOMEM, 0);
	must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	k = told();
	assert_int_equal(k.until, 0);
	/* at renewals it is tried again */
	says(0, 0);
	for (int i = 0; i < 3000 && !told().until; i++)
		pause_ms(10);
	k = told();
	assert_true(k.until > (uint64_t)datafs_now());
	assert_int_equal(k.all_at_lease, 1);
	umount_id(1);
}

/* The module has no leases. */
static void test_no_leases(void **state)
{
	(void)state;
	says(0, -ENOTTY);
	mounted(1);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(entry_of(1, "f").valid_ms, 0);
		pause_ms(10);
	}
	must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	umount_id(1);
}

static void adopt(void)
{
	static const uint8_t incarnation[16] = { 1 };

	assert_int_equal(datafs_vfs_adopt_mount(v, 1, incarnation, source, ""), 0);
}

/* What a predecessor has told is not known: all is invalidated before anything is kept. */
static void test_adopted(void **state)
{
	struct kernel k;

	(void)state;
	mounted(1);
	kept(1, "f");
	end();
	k = told();
	assert_int_equal(k.all, 0);
	begin(adopt);
	kept(1, "f");
	k = told();
	assert_int_equal(k.all, 1);
	assert_int_equal(k.all_at_lease, 1);
	umount_id(1);
}

/* The lease is lost with its leader: all is invalidated before there is another. */
static void test_lost(void **state)
{
	unsigned int gone, leases;
	struct kernel k;

	(void)state;
	mounted(1);
	kept(1, "f");
	gone = leader();
	leases = told().leases;
	node_stop(gone);
	kept(1, "g");
	k = told();
	assert_true(k.all >= 1 && k.leases > leases);
	assert_int_equal(k.all_at_lease, k.all);
	/* until that is done it asks for everything */
	assert_int_equal(k.until_at_all, 0);
	/* and nobody who waits for another answer holds that up */
	assert_true(k.recalls > 0);
	node_start(gone);
	umount_id(1);
}

/* Calls that tell an end of a lease, from when they have become none. */
static unsigned int calls_at_rest(void)
{
	unsigned int calls = told().lease_calls, quiet = 0;

	for (int i = 0; i < 1000 && quiet < 150; i++, quiet++) {
		pause_ms(10);
		if (told().lease_calls != calls)
			quiet = 0;
		calls = told().lease_calls;
	}
	assert_true(quiet >= 150);
	return calls;
}

/* Another is the kernel's daemon: the lease is not renewed, and there is no other one. */
static void test_followed(void **state)
{
	unsigned int calls;

	(void)state;
	mounted(1);
	kept(1, "f");
	says(0, -ENOTCONN);
	calls = calls_at_rest();
	says(0, 0);
	pause_ms(500);
	assert_int_equal(told().lease_calls, calls);
	assert_int_equal(entry_of(1, "f").valid_ms, 0);
	/* nor has the kernel forgotten anything for it */
	assert_int_equal(told().all, 0);
	must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	umount_id(1);
}

/* The same, found when the lease is lost: it does not say that all is forgotten. */
static void test_followed_lost(void **state)
{
	unsigned int gone;

	(void)state;
	mounted(1);
	kept(1, "f");
	gone = leader();
	says(0, -ENOTCONN);
	node_stop(gone);
	calls_at_rest();
	says(0, 0);
	pause_ms(500);
	assert_int_equal(told().all, 0);
	assert_int_equal(entry_of(1, "f").valid_ms, 0);
	node_start(gone);
	umount_id(1);
}

static void each(void (*fn)(unsigned int id))
{
	for (unsigned int id = 1; id <= 3; id++)
		fn(id);
}

/* The same, while nobody is there to whom it could say that it is fresh. */
static void test_followed_asking(void **state)
{
	unsigned int calls, leases;

	(void)state;
	mounted(1);
	kept(1, "f");
	each(node_stop);
	calls_at_rest();
	assert_true(told().all >= 1);
	leases = told().leases;
	says(0, -ENOTCONN);
	each(node_start);
	calls = calls_at_rest();
	says(0, 0);
	pause_ms(500);
	assert_int_equal(told().lease_calls, calls);
	assert_int_equal(told().leases, leases);
	/* found before it was said */
	assert_int_equal(told().refused, 0);
	assert_int_equal(entry_of(1, "f").valid_ms, 0);
	umount_id(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_kept),
		MOUNT_TEST(test_own),
		MOUNT_TEST(test_not_told),
		MOUNT_TEST(test_no_leases),
		MOUNT_TEST(test_adopted),
		MOUNT_TEST(test_lost),
		MOUNT_TEST(test_followed),
		MOUNT_TEST(test_followed_lost),
		MOUNT_TEST(test_followed_asking),
	};

	return cmocka_run_group_tests_name("server_keep", tests, NULL, NULL);
}
