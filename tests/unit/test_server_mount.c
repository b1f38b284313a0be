// SPDX-License-Identifier: Apache-2.0
/* Mounts of a quorum on other machines: three members on loopback, and a daemon's vfs. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "server_mounts.h"

/* How many sessions there are files of; or only of mounts that are gone. */
static int session_files(const char *suffix)
{
	char path[4300];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/sessions", cache_dir);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += *e->d_name != '.' && strstr(e->d_name, suffix);
	if (d)
		closedir(d);
	return n;
}

static void members(void (*fn)(unsigned int id))
{
	for (unsigned int id = 1; id <= 3; id++)
		if (fn == node_start || nodes[id].s)
			fn(id);
}

/* ---- tests ---- */

/* One connection, however many mounts, and whatever members they name. */
static void test_share(void **state)
{
	struct datafs_change_rep rep;
	struct datafs_quorum *remote;
	struct datafs_attr root;
	char other[300];
	uint64_t ino;

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_int_equal(root.ino, TOP);
	assert_int_equal(root.valid_ms, 0);
	assert_true(root.flags & DATAFS_ATTR_CHANGES);
	remote = atomic_load(&v->remote);
	assert_non_null(remote);
	snprintf(other, sizeof(other), "%s:/", nodes[2].address);
	assert_int_equal(mount_as(2, other, &root), 0);
	assert_ptr_equal(atomic_load(&v->remote), remote);
	assert_null(atomic_load(&v->quorum));
	assert_int_equal(session_files(""), 2);
	assert_int_equal(create(1, 100, "f", &rep), 0);
	assert_int_equal(find(2, "f", &ino), 0);
	assert_int_equal(ino, rep.node.attr.ino);
	/* ... and what others have made. */
	assert_int_equal(find(2, "g", &ino), -ENOENT);
	must((struct req){ OP(CREATE), 1, "g", .mode = 0644 });
	assert_int_equal(find(2, "g", &ino), 0);
	assert_int_equal(create(2, 100, "g", &rep), -EEXIST);
	assert_int_equal(mount_as(3, ":/", &root), 0);
	assert_int_equal(root.valid_ms, 1);
	assert_int_equal(up(DATAFS_OP_GETATTR, 3, 0, TOP, NULL, NULL, &root, sizeof(root)), 0);
	assert_int_equal(root.valid_ms, DATAFS_FOREVER);
	umount_id(3);
	umount_id(1);
	assert_int_equal(session_files(""), 1);
	assert_int_equal(find(2, "f", &ino), 0);
	umount_id(2);
	assert_int_equal(session_files(""), 0);
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_ptr_equal(atomic_load(&v->remote), remote);
}

static void test_listing(void **state)
{
	struct datafs_readdir_req req = { .max = 4000 };
	struct datafs_change_rep rep;
	struct datafs_attr root;
	struct {
		struct datafs_readdir_rep rep;
		struct datafs_dirent de;
	} out;

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_int_equal(create(1, 100, "f", &rep), 0);
	assert_int_equal(up(DATAFS_OP_READDIR, 1, 0, TOP, &req, NULL, &out, sizeof(out)), 0);
	assert_int_equal(out.rep.count, 1);
}

static void test_refused(void **state)
{
	char bad_key[4200], text[400];
	struct datafs_attr root;

	(void)state;
	assert_int_equal(mount_as(1, "a,,b:/", &root), -EINVAL);
	assert_int_equal(mount_as(1, "[fe80::1%none0]:/", &root), -EHOSTUNREACH);
	snprintf(text, sizeof(text), "%s,[fe80::1%%none0]:/none", nodes[1].address);
	assert_int_equal(mount_as(1, text, &root), -ENOENT);
	assert_int_equal(session_files(""), 0);
	assert_int_equal(datafs_vfs_mounts(v), 0);
	end();
	snprintf(bad_key, sizeof(bad_key), "%s/member", top);
	key_file = bad_key;
	begin(NULL);
	assert_int_equal(mount_as(1, source, &root), -ENOKEY);
	/* A member's, which a daemon shall not have. */
	assert_int_equal(datafs_keys_store(&member_keys, bad_key, false), 0);
	assert_int_equal(mount_as(1, source, &root), -ENOKEY);
	/* It is read when it is needed. */
	assert_int_equal(datafs_keys_store(&client_keys, bad_key, true), 0);
	assert_int_equal(mount_as(1, source, &root), 0);
}

static void test_no_leader(void **state)
{
	struct datafs_attr root;

	(void)state;
	members(node_stop);
	v->mount_ms = 300;
	assert_int_equal(mount_as(1, source, &root), -EHOSTUNREACH);
	node_start(1);
	v->mount_ms = 2000;
	assert_int_equal(mount_as(1, source, &root), -ETIMEDOUT);
	assert_int_equal(datafs_vfs_mounts(v), 0);
	assert_int_equal(session_files(""), 0);
	/* It is not what the next one finds. */
	node_start(2);
	v->mount_ms = 60000;
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_int_equal(session_files(""), 1);
}

#define THREADS	6
#define EACH	50

static atomic_uint done;

static void *work(void *arg)
{
	uint32_t mount = 1 + (uintptr_t)arg % 2;
	struct datafs_change_rep rep;
	uint64_t ino, id;
	char name[40];

	for (unsigned int i = 0; i < EACH; i++) {
		struct datafs_make_req m = { .mode = 0644, .change.lowest = 1000 };

		snprintf(name, sizeof(name), "%u-%u", (unsigned int)(uintptr_t)arg, i);
		id = 1000 + (uintptr_t)arg * EACH + i;
		assert_int_equal(up(DATAFS_OP_CREATE, mount, id, TOP, &m, name, &rep,
				    sizeof(rep)), 0);
		assert_int_equal(find(3 - mount, name, &ino), 0);
		assert_int_equal(ino, rep.node.attr.ino);
		atomic_fetch_add(&done, 1);
	}
	return NULL;
}

/* Nobody gets an error, and nothing is lost. */
static void test_leader_goes(void **state)
{
	struct datafs_attr root;
	pthread_t t[THREADS];
	unsigned int gone;
	uint64_t ino;
	char name[40];

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_int_equal(mount_as(2, source, &root), 0);
	atomic_store(&done, 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, work, (void *)i), 0);
	for (unsigned int i = 1; i <= 3; i++) {
		while (atomic_load(&done) < i * THREADS * EACH / 5)
			sched_yield();
		gone = leader();
		node_stop(gone);
		node_start(gone);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&done), THREADS * EACH);
	for (unsigned int i = 0; i < THREADS * EACH; i++) {
		snprintf(name, sizeof(name), "%u-%u", i / EACH, i % EACH);
		assert_int_equal(find(1, name, &ino), 0);
	}
	all_equal();
	umount_id(1);
	umount_id(2);
	check_same_states();
}

static void adopt(void)
{
	static const uint8_t incarnation[16] = { 1 };

	assert_int_equal(datafs_vfs_adopt_mount(v, 1, incarnation, source, ""), 0);
}

/* The next daemon goes on with the session, and its start does not wait for the quorum. */
static void test_restart(void **state)
{
	struct datafs_change_rep one, two;
	struct datafs_attr root;
	uint64_t session, ino;
	struct vfs_mount *mnt;
	char path[4400];

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	mnt = vfs_mount_get(v, 1);
	session = mnt->session;
	vfs_mount_put(mnt);
	assert_int_equal(create(1, 100, "f", &one), 0);
	members(node_stop);
	end();
	assert_int_equal(session_files(""), 1);
	begin(adopt);
	assert_null(atomic_load(&v->remote));
	members(node_start);
	assert_int_equal(create(1, 100, "f", &two), 0);
	/* but for how long it may be believed */
	one.node.valid_ms = one.node.attr.valid_ms = one.parent.valid_ms = 0;
	assert_memory_equal(&one, &two, sizeof(one));
	assert_int_equal(create(1, 101, "f", &two), -EEXIST);
	mnt = vfs_mount_get(v, 1);
	assert_int_equal(mnt->session, session);
	vfs_mount_put(mnt);
	/* Without what tells the session nothing is asked. */
	end();
	snprintf(path, sizeof(path), "%s/sessions/01%030d", cache_dir, 0);
	assert_int_equal(datafs_write_small(path, "x\n"), 0);
	begin(adopt);
	assert_int_equal(find(1, "f", &ino), -ESTALE);
	assert_int_equal(create(1, 102, "g", &two), -ESTALE);
	umount_id(1);
	assert_int_equal(session_files(""), 0);
}

static atomic_int result;

static void *look(void *arg)
{
	uint64_t ino;

	(void)arg;
	atomic_store(&result, find(1, "f", &ino));
	return NULL;
}

/* What waits for the quorum waits for as long as it takes, and not longer than its mount. */
static void test_waits(void **state)
{
	struct datafs_change_rep rep;
	struct datafs_attr root;
	pthread_t t;

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_int_equal(create(1, 100, "f", &rep), 0);
	members(node_stop);
	atomic_store(&result, 1);
	assert_int_equal(pthread_create(&t, NULL, look, NULL), 0);
	pause_ms(300);
	assert_int_equal(atomic_load(&result), 1);
	/* Others do not notice. */
	assert_int_equal(mount_as(2, src, &root), 0);
	assert_int_equal(up(DATAFS_OP_GETATTR, 2, 0, root.ino, NULL, NULL, &root, sizeof(root)), 0);
	members(node_start);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&result), 0);

	members(node_stop);
	atomic_store(&result, 1);
	assert_int_equal(pthread_create(&t, NULL, look, NULL), 0);
	pause_ms(100);
	umount_id(1);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&result), -ESHUTDOWN);
	/* It could not be ended there. */
	assert_int_equal(session_files(".gone"), 1);
	assert_int_equal(session_files(""), 1);
	members(node_start);
	for (int i = 0; i < 3000 && session_files(""); i++)
		pause_ms(20);
	assert_int_equal(session_files(""), 0);
}

/* The end of the daemon ends it, too; joining or joined. */
static void test_stop(void **state)
{
	struct datafs_attr root;
	pthread_t t;

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	members(node_stop);
	for (int i = 0; i < 2; i++) {
		atomic_store(&result, 1);
		assert_int_equal(pthread_create(&t, NULL, look, NULL), 0);
		pause_ms(100);
		datafs_vfs_stop(v);
		pthread_join(t, NULL);
		assert_int_equal(atomic_load(&result), -ESHUTDOWN);
		end();
		begin(adopt);
	}
	/* The mount has gone without its daemon: the next one ends the session. */
	end();
	begin(NULL);
	assert_int_equal(session_files(".gone"), 1);
	end();
	begin(NULL);
	assert_int_equal(session_files(".gone"), 1);
	members(node_start);
	for (int i = 0; i < 3000 && session_files(""); i++)
		pause_ms(20);
	assert_int_equal(session_files(""), 0);
}

/* Key and hosts need not be there when a mount is taken over. */
static void test_key_comes_later(void **state)
{
	struct datafs_change_rep rep;
	struct datafs_attr root;
	char away[4300];
	pthread_t t;

	(void)state;
	assert_int_equal(mount_as(1, source, &root), 0);
	assert_int_equal(create(1, 100, "f", &rep), 0);
	end();
	snprintf(away, sizeof(away), "%s.away", key_path);
	assert_int_equal(rename(key_path, away), 0);
	begin(adopt);
	atomic_store(&result, 1);
	assert_int_equal(pthread_create(&t, NULL, look, NULL), 0);
	pause_ms(300);
	assert_int_equal(atomic_load(&result), 1);
	assert_int_equal(rename(away, key_path), 0);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&result), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_share),
		MOUNT_TEST(test_listing),
		MOUNT_TEST(test_refused),
		MOUNT_TEST(test_no_leader),
		MOUNT_TEST(test_leader_goes),
		MOUNT_TEST(test_restart),
		MOUNT_TEST(test_waits),
		MOUNT_TEST(test_stop),
		MOUNT_TEST(test_key_comes_later),
	};

	return cmocka_run_group_tests_name("server_mount", tests, NULL, NULL);
}
