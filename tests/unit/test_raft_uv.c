// SPDX-License-Identifier: Apache-2.0
/* The disk of a member's log: what a crash or a damaged disk leaves of it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <uv.h>

#include "base/log.h"
#include "metad/raft_conf.h"
#include "metad/raft_uv.h"
#include "tmpdir.h"

#define SNAPSHOT	15u	/* index; its term is 5, and that of entries 1 */

static uv_loop_t loop;
static char top[4096], dir[4200];
static unsigned int done_n;
static bool closed;
static struct datafs_raft_uv *uv;	/* NULL: closed */
static struct datafs_member *member;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(tmpdir_make(top, sizeof(top), "raft_uv"), 0);
	snprintf(dir, sizeof(dir), "%s/log", top);
	return mkdir(dir, 0700);
}

static void on_closed(void *ctx)
{
	(void)ctx;
	closed = true;
}

static void stop(void)
{
	closed = false;
	datafs_raft_uv_close(uv, on_closed, NULL);
	uv = NULL;
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
	if (member)
		datafs_member_close(member);
	member = NULL;
}

static int teardown(void **state)
{
	(void)state;
	if (uv)
		stop();
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return tmpdir_remove(top);
}

static void io_done(struct datafs_raft_io *io, int err)
{
	(void)io;
	assert_int_equal(err, 0);
	done_n++;
}

static void wait_done(unsigned int n)
{
	while (done_n < n)
		uv_run(&loop, UV_RUN_ONCE);
}

static void loaded_free(struct datafs_raft_loaded *l)
{
	void *batch = NULL;

	for (size_t i = 0; i < l->n; i++) {
		if (l->entries[i].batch != batch)
			raft_free(l->entries[i].batch);
		batch = l->entries[i].batch;
	}
	raft_free(l->entries);
	if (l->snapshot) {
		raft_configuration_close(&l->snapshot->configuration);
		raft_free(l->snapshot->bufs[0].base);
		raft_free(l->snapshot->bufs);
		raft_free(l->snapshot);
	}
	memset(l, 0, sizeof(*l));
}

/* Entries 2 to @last of term 1, behind the configuration. */
static void make_log(uint64_t last)
{
	static const struct datafs_raft_peer peers[] = { { 1, "m1" }, { 2, "m2" }, { 3, "m3" } };
	static uint64_t data[1024];	/* an entry is longer than a block */
	struct datafs_raft_loaded l = { 0 };
	struct datafs_raft_io io = { .done = io_done };
	struct raft_configuration conf;
	struct datafs_raft_disk disk;

	assert_int_equal(datafs_raft_uv_open(&loop, dir, 1, true, &uv), 0);
	assert_int_equal(datafs_raft_conf_first(peers, 3, &conf), 0);
	assert_int_equal(datafs_raft_uv_bootstrap(uv, &conf), 0);
	raft_configuration_close(&conf);
	disk = datafs_raft_uv_disk(uv);
	assert_int_equal(disk.load(disk.ctx, &l), 0);
	loaded_free(&l);
	for (uint64_t i = 2; i <= last; i++) {
		struct raft_entry e = {
			.term = 1, .type = RAFT_COMMAND, .buf = { data, sizeof(data) },
		};

		data[0] = data[1023] = i;
		done_n = 0;
		assert_int_equal(disk.append(disk.ctx, i, &e, 1, &io), 0);
		wait_done(1);
	}
	stop();
}

static void copy_files(const char *from, const char *to, const char *pattern)
{
	char cmd[9000];

	snprintf(cmd, sizeof(cmd), "cp '%s/'%s '%s/'", from, pattern, to);
	assert_int_equal(system(cmd), 0);
}

/*
 * As a crash leaves it in the middle of the install of a snapshot: it is there, and
 * so is the log that it replaces, with a segment that is prepared.
 */
static void interrupt_install(void)
{
	static const struct datafs_raft_peer peers[] = { { 1, "m1" }, { 2, "m2" }, { 3, "m3" } };
	struct raft_buffer buf = { .base = "manifest", .len = 8 };
	struct raft_snapshot s = {
		.index = SNAPSHOT, .term = 5, .configuration_index = 1, .bufs = &buf, .n_bufs = 1,
	};
	struct datafs_raft_loaded l = { 0 };
	struct datafs_raft_io io = { .done = io_done };
	struct datafs_raft_disk disk;
	char other[4200], path[4300];
	int fd;

	snprintf(other, sizeof(other), "%s/other", top);
	assert_int_equal(mkdir(other, 0700), 0);
	copy_files(dir, other, "*");
	assert_int_equal(datafs_raft_uv_open(&loop, dir, 1, false, &uv), 0);
	disk = datafs_raft_uv_disk(uv);
	assert_int_equal(disk.load(disk.ctx, &l), 0);
	loaded_free(&l);
	assert_int_equal(datafs_raft_conf_first(peers, 3, &s.configuration), 0);
	done_n = 0;
	assert_int_equal(disk.snapshot(disk.ctx, &s, 0, &io), 0);
	wait_done(1);
	stop();
	raft_configuration_close(&s.configuration);
	copy_files(dir, other, "snapshot-*");
	snprintf(dir, sizeof(dir), "%s", other);
	snprintf(path, sizeof(path), "%s/open-99", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	close(fd);
}

/* A member on it, whose state machine has all of the snapshot. */

static uint64_t fsm_applied(void *ctx)
{
	(void)ctx;
	return SNAPSHOT;
}

static int fsm_apply(void *ctx, uint64_t index, uint64_t term,
		     struct datafs_raft_command *cmds, unsigned int n)
{
	(void)ctx;
	(void)index;
	(void)term;
	(void)cmds;
	(void)n;
	return 0;
}

static int fsm_dir(void *ctx, const char *path)
{
	(void)ctx;
	(void)path;
	return -EIO;
}

static void net_send(void *ctx, uint64_t to, const void *buf, size_t len)
{
	(void)ctx;
	(void)to;
	(void)buf;
	(void)len;
}

static void net_fetch(void *ctx, uint64_t from, const struct datafs_raft_piece *piece,
		      uint64_t token)
{
	(void)ctx;
	(void)from;
	(void)piece;
	(void)token;
}

static uint64_t now_of(void *ctx)
{
	(void)ctx;
	return uv_now(&loop);
}

static int start(void)
{
	struct datafs_member_config cfg = {
		.id = 1, .address = "m1", .snapshots = top, .seed = 1, .threshold = 1000,
		.trailing = 10, .fsm = { NULL, fsm_applied, fsm_apply, fsm_dir, fsm_dir, NULL },
		.net = { NULL, net_send, net_fetch }, .now = now_of,
	};

	assert_int_equal(datafs_raft_uv_open(&loop, dir, 1, false, &uv), 0);
	cfg.disk = datafs_raft_uv_disk(uv);
	assert_int_equal(datafs_member_open(&cfg, &member), 0);
	return datafs_member_start(member);
}

/* The log is the snapshot and what comes behind it, and stays that. */
static void installed(void)
{
	struct datafs_member_status st;
	struct datafs_raft_loaded l = { 0 };
	struct datafs_raft_disk disk;
	char path[4300];

	assert_int_equal(start(), 0);
	for (unsigned int i = 0; i < 200; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	datafs_member_status(member, &st);
	assert_int_equal(st.halted, 0);
	assert_int_equal(st.snapshot, SNAPSHOT);
	assert_int_equal(st.last, SNAPSHOT);
	assert_int_equal(st.commit, SNAPSHOT);
	stop();
	snprintf(path, sizeof(path), "%s/open-99", dir);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(datafs_raft_uv_open(&loop, dir, 1, false, &uv), 0);
	disk = datafs_raft_uv_disk(uv);
	assert_int_equal(disk.load(disk.ctx, &l), 0);
	assert_int_equal(l.first, SNAPSHOT + 1);
	assert_int_equal(l.n, 0);
	loaded_free(&l);
	stop();
}

static void crash_in_install_longer(void **state)
{
	(void)state;
	make_log(20);
	interrupt_install();
	installed();
}

static void crash_in_install_shorter(void **state)
{
	(void)state;
	make_log(10);
	interrupt_install();
	installed();
}

static void flip(const char *name)
{
	char path[4600];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 20000), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 20000), 1);
	close(fd);
}

/* What was acknowledged is not given up in silence: others count on it. */
static void damaged_log(void **state)
{
	struct datafs_member_status st;
	const char *segment = "0000000000000002-0000000000000020";

	(void)state;
	make_log(20);
	flip(segment);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(start(), -EUCLEAN);
		stop();
	}
	flip(segment);
	assert_int_equal(start(), 0);
	datafs_member_status(member, &st);
	assert_int_equal(st.last, 20);
	stop();
}

/*
 * The log goes on in a segment that is open, with a batch of an entry of its own; then
 * another batch, and of that only @len bytes of the file's.
 */
static void add_open(size_t second, size_t file)
{
	static uint8_t buf[1 << 16];
	size_t at = 8;
	char path[4300];
	int fd;

	memset(buf, 0, sizeof(buf));
	buf[0] = 1;
	for (int i = 0; i < 2; i++) {
		uint32_t len = i ? (uint32_t)second : 1024, crcs[2];

		buf[at + 8] = buf[at + 16] = buf[at + 24] = 1;
		memcpy(buf + at + 28, &len, 4);
		memset(buf + at + 32, 0x77, len);
		crcs[0] = ~crc32_ieee(UINT32_MAX, buf + at + 8, 24);
		crcs[1] = ~crc32_ieee(UINT32_MAX, buf + at + 32, len);
		memcpy(buf + at, crcs, 8);
		at += 32 + len;
	}
	/* the second one's, if there is that much */
	if (second > 8192)
		memset(buf + 4096, 0, 1024);
	snprintf(path, sizeof(path), "%s/open-1", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, file), file);
	close(fd);
}

/* Refused, and not the end of the process. */
static void cut_off_log(void **state)
{
	(void)state;
	make_log(20);
	add_open(4096, 4096);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(start(), -EUCLEAN);
		stop();
	}
}

/* The power went in the middle of a write that nobody was told of. */
static void torn_log(void **state)
{
	struct datafs_member_status st;

	(void)state;
	make_log(20);
	add_open(16384, 1 << 16);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(start(), 0);
		datafs_member_status(member, &st);
		assert_int_equal(st.last, 21);
		stop();
	}
}

/* A log whose owner is not known is not adopted. */
static void fresh_is_empty(void **state)
{
	char path[4300];

	(void)state;
	make_log(3);
	snprintf(path, sizeof(path), "%s/member", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(datafs_raft_uv_open(&loop, dir, 2, true, &uv), -ESTALE);
	assert_int_not_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A message can come when it is being closed already; and what cannot be is refused. */
static void append_refused(void **state)
{
	static uint64_t data[1];
	struct raft_entry e = { .term = 1, .type = RAFT_COMMAND, .buf = { data, 7 } };
	struct datafs_raft_loaded l = { 0 };
	struct datafs_raft_io io = { .done = io_done };
	struct raft_snapshot s = { .index = 1 };
	struct datafs_raft_disk disk;

	(void)state;
	make_log(3);
	assert_int_equal(datafs_raft_uv_open(&loop, dir, 1, false, &uv), 0);
	disk = datafs_raft_uv_disk(uv);
	assert_int_equal(disk.load(disk.ctx, &l), 0);
	loaded_free(&l);
	assert_int_equal(disk.append(disk.ctx, 4, &e, 1, &io), -EIO);
	closed = false;
	datafs_raft_uv_close(uv, on_closed, NULL);
	uv = NULL;
	e.buf.len = 8;
	assert_int_equal(disk.append(disk.ctx, 4, &e, 1, &io), -ECANCELED);
	assert_int_equal(disk.snapshot(disk.ctx, &s, 4, &io), -ECANCELED);
	assert_int_equal(disk.set_term(disk.ctx, 7), -ECANCELED);
	assert_int_equal(disk.set_vote(disk.ctx, 7), -ECANCELED);
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
}

/* An entry that cannot be written, in a process of its own. */
static void append_without_room(void)
{
	static uint64_t data[1024];
	struct raft_entry e = {
		.term = 1, .type = RAFT_COMMAND, .buf = { data, sizeof(data) },
	};
	const struct rlimit limit = { 4096, 4096 };
	struct datafs_raft_loaded l = { 0 };
	struct datafs_raft_io io = { .done = io_done };
	struct datafs_raft_disk disk;

	assert_int_equal(datafs_raft_uv_open(&loop, dir, 1, false, &uv), 0);
	disk = datafs_raft_uv_disk(uv);
	assert_int_equal(disk.load(disk.ctx, &l), 0);
	loaded_free(&l);
	done_n = 0;
	assert_int_equal(disk.append(disk.ctx, 4, &e, 1, &io), 0);
	wait_done(1);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(disk.append(disk.ctx, 5, &e, 1, &io), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

/* libraft would go on with memory that is not its own. */
static void write_fails(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	make_log(3);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		assert_int_equal(uv_loop_fork(&loop), 0);
		append_without_room();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crash_in_install_longer),
		TEST(crash_in_install_shorter),
		TEST(damaged_log),
		TEST(cut_off_log),
		TEST(torn_log),
		TEST(fresh_is_empty),
		TEST(append_refused),
		TEST(write_fails),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("raft_uv", tests, NULL, NULL);
}
