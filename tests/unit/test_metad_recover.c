// SPDX-License-Identifier: Apache-2.0
/* What the last member of a quorum has becomes a new quorum, or nothing does. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "metad/fsm.h"
#include "metad/member_internal.h"
#include "metad/raft_uv.h"
#include "metad/recover.h"
#include "metad/server.h"
#include "tmpdir.h"

#define TERM	3u
#define TIME	7000000011u	/* of entry 1; of each that follows one more */

static const uint8_t old_id[DATAFS_METAD_ID_LEN] = "old cluster", new_id[] = "the new cluster";
static const struct datafs_raft_peer peers[] = {
	{ 1, "10.0.0.1:7440" }, { 2, "10.0.0.2:7440" }, { 3, "10.0.0.3:7440" },
};

/* Entry N of the log, from 2 on, is of requests[N - 2]; entry 1 is the configuration. */
static const struct req requests[] = {
	{ OP(SESSION_OPEN), .session = SESSION, .request = 1 },
	{ OP(MKDIR), ROOT, "a", .mode = 0755, .session = SESSION, .request = 2 },
	{ OP(MKDIR), ROOT, "b", .mode = 0755, .session = SESSION, .request = 3 },
	{ OP(MKDIR), ROOT, "c", .mode = 0755, .session = SESSION, .request = 4 },
	{ OP(MKDIR), ROOT, "d", .mode = 0755, .session = SESSION, .request = 5 },
};
#define LAST	(1 + sizeof(requests) / sizeof(requests[0]))

static char top[4096], from[4200], to[4200];
static uv_loop_t loop;
static struct datafs_raft_uv *uv;
static struct datafs_recovered was;

static int setup(void **state)
{
	if (metad_setup(state) || tmpdir_make(top, sizeof(top), "recover"))
		return -1;
	snprintf(from, sizeof(from), "%s/old", top);
	snprintf(to, sizeof(to), "%s/new", top);
	assert_int_equal(datafs_server_make(from, 1, peers, 3), 0);
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	assert_int_equal(uv_loop_close(&loop), 0);
	tmpdir_remove(top);
	return metad_teardown(state);
}

static const char *in(const char *dir, const char *name)
{
	static char path[4][4400];
	static unsigned int next;

	snprintf(path[++next % 4], sizeof(path[0]), "%s/%s", dir, name);
	return path[next % 4];
}

/* As the leader stamps and packs entry @index. */
static size_t stamp(uint64_t index, uint8_t *buf)
{
	Metad__Entry e = METAD__ENTRY__INIT;

	e.has_time = e.has_feature_level = true;
	e.time = TIME + index - 1;
	e.feature_level = 1;
	return metad__entry__pack(&e, buf);
}

static uint8_t *put(uint8_t *p, const void *buf, size_t len)
{
	datafs_put_be32(p, (uint32_t)len);
	memcpy(p + 4, buf, len);
	return p + 4 + len;
}

static struct raft_entry entry(uint64_t index, uint64_t term)
{
	uint8_t st[DATAFS_MEMBER_STAMP_MAX], *cmd, *p;
	size_t st_len = stamp(index, st), len;
	struct raft_entry e = { .term = term, .type = RAFT_COMMAND };

	cmd = req_pack_command(&requests[index - 2], &len);
	e.buf.len = (8 + 4 + st_len + 4 + len + 7) / 8 * 8;
	e.buf.base = calloc(1, e.buf.len);
	assert_non_null(e.buf.base);
	p = e.buf.base;
	datafs_put_be32(p, 1);
	datafs_put_be32(p + 4, 2);
	put(put(p + 8, st, st_len), cmd, len);
	free(cmd);
	return e;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static unsigned int under_way;

static void io_done(struct datafs_raft_io *io, int err)
{
	(void)io;
	assert_int_equal(err, 0);
	under_way--;
}

static struct datafs_raft_io io = { .done = io_done };

static void io_wait(void)
{
	under_way++;
	while (under_way)
		uv_run(&loop, UV_RUN_ONCE);
}

static struct datafs_raft_disk log_open(void)
{
	struct datafs_raft_loaded l = { 0 };
	struct datafs_raft_disk disk;

	assert_int_equal(datafs_raft_uv_open(&loop, in(from, "raft"), 1, false, &uv), 0);
	disk = datafs_raft_uv_disk(uv);
	assert_int_equal(disk.load(disk.ctx, &l), 0);
	datafs_member_loaded_free(&l);
	return disk;
}

static void log_close(void)
{
	bool closed = false;

	datafs_raft_uv_close(uv, on_closed, &closed);
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* Entries 2 to @last to the log. */
static void make_log(uint64_t last)
{
	struct datafs_raft_disk disk = log_open();
	struct raft_entry e[LAST];

	assert_int_equal(disk.set_term(disk.ctx, TERM), 0);
	for (uint64_t i = 2; i <= last; i++)
		e[i - 2] = entry(i, TERM);
	assert_int_equal(disk.append(disk.ctx, 2, e, (unsigned int)last - 1, &io), 0);
	io_wait();
	log_close();
	for (uint64_t i = 2; i <= last; i++)
		free(e[i - 2].buf.base);
}

static void fsm_open(const char *dir, const uint8_t *id, struct datafs_fsm **fsm,
		     struct datafs_raft_fsm *ops)
{
	struct datafs_fsm_options opt = { .dir = dir };

	memcpy(opt.id, id, sizeof(opt.id));
	assert_int_equal(datafs_fsm_open(&opt, fsm), 0);
	*ops = datafs_fsm_ops(*fsm);
}

/* The error of the answer; which is kept. */
static int apply(const struct datafs_raft_fsm *ops, uint64_t index, const struct req *r,
		 uint64_t *ino)
{
	uint8_t st[DATAFS_MEMBER_STAMP_MAX];
	struct datafs_raft_command cmds[2] = { { .buf = st, .len = stamp(index, st) } };
	Metad__Result *res;
	int err;

	cmds[1].buf = req_pack_command(r, &cmds[1].len);
	assert_int_equal(ops->apply(ops->ctx, index, TERM, cmds, 2), 0);
	free((void *)cmds[1].buf);
	res = metad__result__unpack(NULL, cmds[1].res_len, cmds[1].res);
	assert_non_null(res);
	err = (int)res->error;
	if (ino)
		*ino = res->node ? res->node->ino : 0;
	metad__result__free_unpacked(res, NULL);
	free(cmds[1].res);
	return err;
}

/* The namespace has entries up to @index. */
static void make_state(uint64_t index)
{
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;

	fsm_open(in(from, "db"), old_id, &fsm, &ops);
	assert_int_equal(ops.apply(ops.ctx, 1, 1, NULL, 0), 0);
	for (uint64_t i = 2; i <= index; i++)
		assert_int_equal(apply(&ops, i, &requests[i - 2], NULL), 0);
	datafs_fsm_close(fsm);
}

/* A snapshot of entry @index, of @term, in front of the log, and the state is older. */
static void make_snapshot(uint64_t index, uint64_t term)
{
	char state[4300], snap[4300];
	struct raft_snapshot s = { .index = index, .term = term, .configuration_index = 1 };
	struct datafs_raft_fsm ops;
	struct datafs_manifest m;
	struct datafs_raft_disk disk;
	struct raft_buffer buf;
	struct datafs_fsm *fsm;

	snprintf(state, sizeof(state), "%s/other", top);
	snprintf(snap, sizeof(snap), "%s/snapshots/snap-%llu-%llu", from,
		 (unsigned long long)index, (unsigned long long)term);
	fsm_open(state, old_id, &fsm, &ops);
	assert_int_equal(ops.apply(ops.ctx, 1, 1, NULL, 0), 0);
	for (uint64_t i = 2; i <= index; i++)
		assert_int_equal(apply(&ops, i, &requests[i - 2], NULL), 0);
	assert_int_equal(ops.checkpoint(ops.ctx, snap), 0);
	datafs_fsm_close(fsm);
	assert_int_equal(datafs_manifest_make(snap, index, term, NULL, &m), 0);
	buf.len = (size_t)datafs_manifest_encode(&m, &buf.base);
	datafs_manifest_free(&m);
	assert_int_equal(datafs_raft_conf_first(peers, 2, &s.configuration), 0);
	s.bufs = &buf;
	s.n_bufs = 1;
	disk = log_open();
	/* the log stays, as after a crash */
	assert_int_equal(disk.snapshot(disk.ctx, &s, LAST, &io), 0);
	io_wait();
	log_close();
	raft_configuration_close(&s.configuration);
	free(buf.base);
}

static int recover(void)
{
	struct datafs_recover r = {
		.from = from, .dir = to, .id = 4, .address = "10.0.0.4:7440", .cluster = new_id,
	};

	return datafs_recover(&r, &was);
}

/* The names of what was recovered, at entry @index; and nothing is done twice. */
static void has(uint64_t index, const char *names)
{
	char snap[4400], state[4400], found[LAST + 1] = "";
	struct datafs_metad_attr attr;
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;
	uint64_t ino;

	snprintf(snap, sizeof(snap), "%s/snapshots/snap-%llu-%u", to, (unsigned long long)index,
		 TERM);
	snprintf(state, sizeof(state), "%s/again", top);
	fsm_open(state, new_id, &fsm, &ops);
	assert_int_equal(ops.restore(ops.ctx, snap), 0);
	assert_int_equal(ops.applied(ops.ctx), index);
	for (char c[2] = "a"; *c < 'f'; ++*c)
		if (!datafs_metad_lookup(datafs_fsm_ns(fsm), ROOT, c, 1, &attr))
			strcat(found, c);
	assert_string_equal(found, names);
	/* The last request comes again: it has the answer that it had. */
	assert_int_equal(apply(&ops, index + 1, &requests[strlen(names)], &ino), 0);
	assert_int_equal(ino, attr.ino);
	datafs_fsm_close(fsm);
	tmpdir_remove(state);
	assert_int_equal(access(in(to, "recovered"), F_OK), -1);
	assert_int_equal(access(in(to, "replay"), F_OK), -1);
	assert_int_equal(access(in(to, "log"), F_OK), -1);
}

static void nothing_is_made(void)
{
	assert_int_equal(access(to, F_OK), -1);
	assert_int_equal(access(in(top, "new.new"), F_OK), -1);
}

static uint32_t sum;

static int sum_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static uint8_t buf[9 << 20];
	FILE *f;
	size_t n;

	(void)ftw;
	sum = datafs_crc32c_more(sum, path, strlen(path));
	/* the lock is made if it is missing, and is empty */
	if (type != FTW_F || !st->st_size)
		return 0;
	f = fopen(path, "r");
	assert_non_null(f);
	while ((n = fread(buf, 1, sizeof(buf), f)))
		sum = datafs_crc32c_more(sum, buf, n);
	fclose(f);
	return 0;
}

/* Of all that is in the old directory; in the order in which it is found, as long as it is left. */
static uint32_t sum_of(const char *dir)
{
	sum = 0;
	assert_int_equal(nftw(dir, sum_one, 16, FTW_PHYS), 0);
	return sum;
}

static void all_of_the_log(void **state)
{
	uint32_t before;

	(void)state;
	make_log(LAST);
	make_state(3);
	before = sum_of(from);
	assert_int_equal(datafs_recover_look(from, &was), 0);
	assert_int_equal(was.id, 1);
	assert_memory_equal(was.cluster, old_id, sizeof(old_id));
	assert_int_equal(was.applied, 3);
	assert_int_equal(was.counts.index, LAST);
	assert_int_equal(was.counts.term, TERM);
	assert_int_equal(was.time, TIME + LAST - 1);
	assert_int_equal(was.npeers, 3);
	assert_int_equal(was.peers[2].id, 3);
	assert_true(was.peers[2].votes);
	assert_string_equal(was.peers[2].address, "10.0.0.3:7440");
	nothing_is_made();
	assert_int_equal(sum_of(from), before);

	memset(&was, 0, sizeof(was));
	assert_int_equal(recover(), 0);
	assert_int_equal(was.counts.index, LAST);
	assert_int_equal(sum_of(from), before);
	has(LAST, "abcd");
	/* no second one in its place */
	assert_int_equal(recover(), -EEXIST);
	assert_int_equal(sum_of(from), before);
}

/* What a crash has left of one that was being made. */
static void after_a_crash(void **state)
{
	(void)state;
	make_log(LAST);
	make_state(1);
	assert_int_equal(mkdir(in(top, "new.new"), 0700), 0);
	assert_int_equal(mkdir(in(top, "new.new/replay"), 0700), 0);
	assert_int_equal(recover(), 0);
	has(LAST, "abcd");
}

static void the_state_is_behind_the_snapshot(void **state)
{
	(void)state;
	make_log(LAST);
	make_state(2);
	make_snapshot(4, TERM);
	assert_int_equal(recover(), 0);
	assert_int_equal(was.applied, 2);
	assert_int_equal(was.counts.index, LAST);
	has(LAST, "abcd");
}

/* Its log is to be replaced by the snapshot: nothing of that log counts. */
static void a_snapshot_was_being_installed(void **state)
{
	(void)state;
	make_log(LAST);
	make_state(2);
	make_snapshot(4, TERM + 1);
	assert_int_equal(recover(), 0);
	assert_int_equal(was.counts.index, 4);
	assert_int_equal(was.npeers, 2);
	has(4, "ab");
}

/* It has lost the end of its log, but not what it had applied. */
static void the_state_is_ahead_of_the_log(void **state)
{
	(void)state;
	make_log(3);
	make_state(LAST);
	assert_int_equal(recover(), 0);
	assert_int_equal(was.counts.index, LAST);
	has(LAST, "abcd");
}

static void flip(const char *path, long off)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
	close(fd);
}

/* A file that is shorter is one that LevelDB would take. */
static void damaged_snapshot(void **state)
{
	struct stat st;
	glob_t g;

	(void)state;
	make_log(LAST);
	make_state(2);
	make_snapshot(4, TERM);
	assert_int_equal(glob(in(from, "snapshots/snap-4-3/*.log"), 0, NULL, &g), 0);
	assert_int_equal(g.gl_pathc, 1);
	assert_int_equal(stat(g.gl_pathv[0], &st), 0);
	assert_int_equal(truncate(g.gl_pathv[0], st.st_size - 1), 0);
	globfree(&g);
	assert_int_equal(recover(), -EUCLEAN);
	nothing_is_made();
}

static void damaged_log(void **state)
{
	(void)state;
	make_log(LAST);
	make_state(2);
	/* the first segment was closed when the log was made */
	flip(in(from, "raft/0000000000000001-0000000000000001"), 40);
	assert_int_equal(recover(), -EUCLEAN);
	nothing_is_made();
}

static void damaged_database(void **state)
{
	(void)state;
	make_log(LAST);
	make_state(2);
	assert_int_equal(unlink(in(from, "db/db-1/CURRENT")), 0);
	assert_int_equal(recover(), -EUCLEAN);
	nothing_is_made();
}

static void no_member(void **state)
{
	struct datafs_recover r = {
		.from = from, .dir = to, .id = 4, .address = "10.0.0.4", .cluster = new_id,
	};

	(void)state;
	assert_int_equal(recover(), -ENOENT);	/* it never had a namespace */
	assert_int_equal(datafs_recover(&r, &was), -EINVAL);
	r.address = "10.0.0.4:7440";
	r.from = top;
	assert_int_equal(datafs_recover(&r, &was), -ENOENT);
	nothing_is_made();
}

static void nothing_in_it(void **state)
{
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;

	(void)state;
	tmpdir_remove(from);
	assert_int_equal(datafs_server_make(from, 1, NULL, 0), 0);
	fsm_open(in(from, "db"), old_id, &fsm, &ops);
	datafs_fsm_close(fsm);
	assert_int_equal(recover(), -ENODATA);
	nothing_is_made();
}

static void the_old_keys(void **state)
{
	struct datafs_recover r = {
		.from = from, .dir = to, .id = 4, .address = "10.0.0.4:7440", .cluster = old_id,
	};

	(void)state;
	make_log(LAST);
	make_state(2);
	assert_int_equal(datafs_recover(&r, &was), -EINVAL);
	nothing_is_made();
}

/* The lock is of a process: another one has it. */
static void it_runs(void **state)
{
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;
	int ready[2];
	pid_t child;
	char c;

	(void)state;
	make_log(LAST);
	make_state(2);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		/* also if the test fails */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fsm_open(in(from, "db"), old_id, &fsm, &ops);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(datafs_recover_look(from, &was), -EBUSY);
	assert_int_equal(recover(), -EBUSY);
	nothing_is_made();
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(recover(), 0);
	close(ready[0]);
	close(ready[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_the_log),
		TEST(after_a_crash),
		TEST(the_state_is_behind_the_snapshot),
		TEST(a_snapshot_was_being_installed),
		TEST(the_state_is_ahead_of_the_log),
		TEST(damaged_snapshot),
		TEST(damaged_log),
		TEST(damaged_database),
		TEST(no_member),
		TEST(nothing_in_it),
		TEST(the_old_keys),
		TEST(it_runs),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("metad_recover", tests, NULL, NULL);
}
