// SPDX-License-Identifier: Apache-2.0
/* A backup becomes a member's directory, or nothing does. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/fsm.h"
#include "metad/restore.h"
#include "tmpdir.h"

#define INDEX	5u
#define TERM	2u

static const uint8_t old_id[DATAFS_BACKUP_CLUSTER] = "old cluster", new_id[] = "the new cluster";
static char dir[4096], state[4200], snap[4200], file[4200], to[4200];

static void fsm_open(const char *where, const uint8_t *id, struct datafs_fsm **fsm)
{
	struct datafs_fsm_options opt = { .dir = where };

	memcpy(opt.id, id, sizeof(opt.id));
	assert_int_equal(datafs_fsm_open(&opt, fsm), 0);
}

/* A snapshot of a namespace whose last entry is INDEX of TERM. */
static void make_state(void)
{
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;

	fsm_open(state, old_id, &fsm);
	ops = datafs_fsm_ops(fsm);
	assert_int_equal(ops.apply(ops.ctx, INDEX, TERM, NULL, 0), 0);
	assert_int_equal(ops.checkpoint(ops.ctx, snap), 0);
	datafs_fsm_close(fsm);
}

static void put_file(FILE *f, unsigned int n, const struct datafs_manifest_file *of)
{
	uint8_t *buf = malloc(of->size + 4);
	char path[4300];
	FILE *from;

	/* one piece; none of these is longer */
	assert_true(buf && of->size <= DATAFS_BACKUP_PIECE);
	snprintf(path, sizeof(path), "%s/%s", snap, of->name);
	from = fopen(path, "r");
	assert_non_null(from);
	assert_int_equal(fread(buf, 1, of->size, from), of->size);
	fclose(from);
	datafs_put_be32(buf + of->size, datafs_backup_sum(n, 0, buf, of->size));
	if (of->size)
		assert_int_equal(fwrite(buf, 1, of->size + 4, f), of->size + 4);
	free(buf);
}

/* What it says of the files; they are what they are. */
static void make_backup(const uint8_t *id, uint64_t index)
{
	struct datafs_backup_head head = { .index = index, .term = TERM, .time = 77 };
	uint8_t buf[DATAFS_BACKUP_HEAD];
	struct datafs_manifest m;
	FILE *f = fopen(file, "w");
	void *manifest;
	long len;

	assert_non_null(f);
	assert_int_equal(datafs_manifest_make(snap, index, TERM, NULL, &m), 0);
	len = datafs_manifest_encode(&m, &manifest);
	assert_true(len > 0);
	memcpy(head.cluster, id, sizeof(head.cluster));
	head.manifest = (uint32_t)len;
	datafs_backup_head_encode(&head, buf);
	assert_int_equal(fwrite(buf, 1, sizeof(buf), f), sizeof(buf));
	assert_int_equal(fwrite(manifest, 1, (size_t)len, f), len);
	for (unsigned int i = 0; i < m.n; i++)
		put_file(f, i, &m.files[i]);
	assert_int_equal(fclose(f), 0);
	free(manifest);
	datafs_manifest_free(&m);
}

static int setup(void **unused)
{
	(void)unused;
	if (tmpdir_make(dir, sizeof(dir), "restore"))
		return -1;
	snprintf(state, sizeof(state), "%s/state", dir);
	snprintf(snap, sizeof(snap), "%s/snap", dir);
	snprintf(file, sizeof(file), "%s/backup", dir);
	snprintf(to, sizeof(to), "%s/member", dir);
	make_state();
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	return tmpdir_remove(dir);
}

static int restore(struct datafs_backup_head *head)
{
	struct datafs_restore r = {
		.file = file, .dir = to, .id = 4, .address = "10.0.0.1:7440", .cluster = new_id,
	};

	return datafs_restore(&r, head);
}

static void nothing_is_there(void)
{
	char path[4300];

	assert_int_equal(access(to, F_OK), -1);
	snprintf(path, sizeof(path), "%s.new", to);
	assert_int_equal(access(path, F_OK), -1);
}

static void another_cluster(void **unused)
{
	struct datafs_backup_head head;
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;
	char path[4300];

	(void)unused;
	make_backup(old_id, INDEX);
	assert_int_equal(restore(&head), 0);
	assert_int_equal(head.index, INDEX);
	assert_int_equal(head.time, 77);
	/* whoever has the new id can have it, at this entry */
	snprintf(path, sizeof(path), "%s/again", dir);
	fsm_open(path, new_id, &fsm);
	ops = datafs_fsm_ops(fsm);
	snprintf(path, sizeof(path), "%s/snapshots/snap-%u-%u", to, INDEX, TERM);
	assert_int_equal(ops.restore(ops.ctx, path), 0);
	assert_int_equal(ops.applied(ops.ctx), INDEX);
	datafs_fsm_close(fsm);
	snprintf(path, sizeof(path), "%s/restored", to);
	assert_int_equal(access(path, F_OK), -1);
	/* and no second one in its place */
	assert_int_equal(restore(&head), -EEXIST);
}

/* All sums are right, but it is not of that entry, or of that cluster. */
static void says_what_is_not_so(void **unused)
{
	struct datafs_backup_head head;

	(void)unused;
	make_backup(old_id, INDEX + 1);
	assert_int_equal(restore(&head), -EUCLEAN);
	nothing_is_there();
	make_backup((const uint8_t *)"a third cluster", INDEX);
	assert_int_equal(restore(&head), -EUCLEAN);
	nothing_is_there();
	make_backup(old_id, INDEX);
	assert_int_equal(restore(&head), 0);
}

/* As a shell completes it. */
static void with_a_slash(void **unused)
{
	struct datafs_backup_head head;
	char path[4300];

	(void)unused;
	make_backup(old_id, INDEX);
	assert_int_equal(mkdir(to, 0700), 0);
	strcat(to, "//");
	assert_int_equal(restore(&head), 0);
	snprintf(path, sizeof(path), "%ssnapshots", to);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(restore(&head), -EEXIST);
}

static void no_database(void **unused)
{
	struct datafs_backup_head head;
	char path[4300];
	int fd;

	(void)unused;
	snprintf(path, sizeof(path), "%s/CURRENT", snap);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "junk\n", 5), 5);
	close(fd);
	make_backup(old_id, INDEX);
	assert_int_not_equal(restore(&head), 0);
	nothing_is_there();
}

static void old_cluster(void **unused)
{
	struct datafs_backup_head head;

	(void)unused;
	make_backup(new_id, INDEX);
	assert_int_equal(restore(&head), -EINVAL);
	nothing_is_there();
}

static void no_member(void **unused)
{
	struct datafs_restore r = {
		.file = file, .dir = to, .address = "10.0.0.1:7440", .cluster = new_id,
	};
	struct datafs_backup_head head;

	(void)unused;
	make_backup(old_id, INDEX);
	assert_int_equal(datafs_restore(&r, &head), -EINVAL);
	r.id = UINT64_MAX;
	assert_int_equal(datafs_restore(&r, &head), -EINVAL);
	r.id = 4;
	r.address = "10.0.0.1";
	assert_int_equal(datafs_restore(&r, &head), -EINVAL);
	nothing_is_there();
}

static void not_whole(void **unused)
{
	struct datafs_backup_head head;
	struct stat st;

	(void)unused;
	assert_int_equal(restore(&head), -ENOENT);
	make_backup(old_id, INDEX);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(truncate(file, st.st_size - 1), 0);
	assert_int_equal(restore(&head), -EBADMSG);
	nothing_is_there();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_cluster),
		TEST(says_what_is_not_so),
		TEST(with_a_slash),
		TEST(no_database),
		TEST(old_cluster),
		TEST(no_member),
		TEST(not_whole),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
