// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon that is killed at any time, and its successors: each change of a mount is done
 * once. What is not answered is sent again, with the same ids, as the kernel does.
 *
 * File N is made, gets another name, and loses it while it is open; each step has a name
 * of its own, so that what is done twice is an error, and what is not done one of the next.
 */
#define _GNU_SOURCE
#include "vfs_changes.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tmpdir.h"

#define FILES	150
#define LIVES	12
#define THREADS	4	/* of the daemon */
#define WINDOW	24	/* files that are under way */

enum step { STEP_MAKE, STEP_MOVE, STEP_REMOVE, STEP_RELEASE, STEP_DONE };

struct ask {
	uint64_t id, lowest, ino;
	uint32_t file;
	enum step step;
};

struct told {
	uint64_t id, ino;
	uint32_t file;
	int err;
};

/* ---- the daemon ---- */

static int daemon_fd;

static int do_step(const struct ask *a, struct datafs_change_rep *rep)
{
	struct datafs_change_req c = { .lowest = a->lowest };
	struct datafs_make_req make_it = { .change = c, .mode = 0644 };
	struct datafs_rename_req move = { .change = c, .new_parent = TOP };
	struct datafs_remove_req remove_it = {
		.change = c, .ino = a->ino, .flags = DATAFS_REMOVE_HOLD,
	};
	char name[20], other[20];

	snprintf(name, sizeof(name), "a%u", a->file);
	snprintf(other, sizeof(other), "b%u", a->file);
	move.new_namelen = strlen(other);
	switch (a->step) {
	case STEP_MAKE:
		return change_as(2, a->id, DATAFS_OP_CREATE, TOP, &make_it, sizeof(make_it), name,
				 NULL, rep);
	case STEP_MOVE:
		return change_as(2, a->id, DATAFS_OP_RENAME, TOP, &move, sizeof(move), name,
				 other, rep);
	case STEP_REMOVE:
		return change_as(2, a->id, DATAFS_OP_UNLINK, TOP, &remove_it, sizeof(remove_it),
				 other, NULL, rep);
	default:
		memset(rep, 0, sizeof(*rep));
		return change_as(2, a->id, DATAFS_OP_RELEASE, a->ino, &c, sizeof(c), NULL, NULL,
				 NULL);
	}
}

static void *serve(void *arg)
{
	struct datafs_change_rep rep;
	struct told t;
	struct ask a;

	(void)arg;
	while (recv(daemon_fd, &a, sizeof(a), 0) == sizeof(a)) {
		t = (struct told) { .id = a.id, .file = a.file };
		t.err = do_step(&a, &rep);
		t.ino = rep.node.attr.ino;
		if (send(daemon_fd, &t, sizeof(t), MSG_NOSIGNAL) != sizeof(t))
			break;
	}
	return NULL;
}

static void __attribute__((noreturn)) be_daemon(bool first)
{
	struct datafs_attr attr;
	pthread_t t[THREADS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	before_start = first ? NULL : adopt;
	start("sync_interval=always");
	if (first && mount_quorum(2, ":/", &attr))
		_exit(1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, serve, NULL))
			_exit(1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	_exit(0);
}

/* ---- the kernel ---- */

static struct file {
	struct ask ask;		/* its step that is under way */
	bool begun;
} files[FILES];

static pid_t child = -1;
static int fd = -1;
static uint64_t next_id = 1, seed;
static uint32_t done;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

static void start_daemon(bool first)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		close(sv[0]);
		daemon_fd = sv[1];
		be_daemon(first);
	}
	close(sv[1]);
	fd = sv[0];
}

static void end_daemon(int sig)
{
	int status;

	if (sig)
		assert_int_equal(kill(child, sig), 0);
	else
		shutdown(fd, SHUT_RDWR);
	assert_int_equal(waitpid(child, &status, 0), child);
	child = -1;
	close(fd);
	if (sig)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
	else
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

static uint64_t lowest(void)
{
	uint64_t low = next_id;

	for (uint32_t i = 0; i < FILES; i++)
		if (files[i].begun && files[i].ask.step != STEP_DONE && files[i].ask.id < low)
			low = files[i].ask.id;
	return low;
}

static void send_one(struct file *f)
{
	f->ask.lowest = DATAFS_MIN(lowest(), f->ask.id);
	assert_int_equal(send(fd, &f->ask, sizeof(f->ask), MSG_NOSIGNAL), sizeof(f->ask));
}

static void next_step(struct file *f, enum step step)
{
	f->ask.step = step;
	if (step == STEP_DONE) {
		done++;
		return;
	}
	f->ask.id = next_id++;
	send_one(f);
}

static void begin_files(void)
{
	for (uint32_t i = 0; i < FILES && i < done + WINDOW; i++) {
		if (files[i].begun)
			continue;
		files[i].begun = true;
		files[i].ask.file = i;
		next_step(&files[i], STEP_MAKE);
	}
}

static void take_answer(void)
{
	struct file *f;
	struct told t;

	assert_int_equal(recv(fd, &t, sizeof(t), 0), sizeof(t));
	assert_int_equal(t.err, 0);
	assert_true(t.file < FILES);
	f = &files[t.file];
	assert_int_equal(f->ask.id, t.id);
	if (f->ask.step == STEP_MAKE)
		f->ask.ino = t.ino;
	else if (f->ask.step != STEP_RELEASE)
		assert_int_equal(f->ask.ino, t.ino);
	next_step(f, f->ask.step + 1);
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = (*(struct file *const *)a)->ask.id, y = (*(struct file *const *)b)->ask.id;

	return (x > y) - (x < y);
}

/* All that was not answered, in the order of the ids. */
static void send_again(void)
{
	struct file *left[FILES] = { NULL };
	size_t n = 0;

	for (uint32_t i = 0; i < FILES; i++)
		if (files[i].begun && files[i].ask.step != STEP_DONE)
			left[n++] = &files[i];
	qsort(left, n, sizeof(*left), by_id);
	for (size_t i = 0; i < n; i++)
		send_one(left[i]);
}

static int teardown(void **state)
{
	(void)state;
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return tmpdir_remove(top);
}

static void test_kill(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	struct datafs_readdir_req rd = { .max = 65536 };
	struct answer a;

	(void)state;
	seed = env ? strtoull(env, NULL, 0) : (uint64_t)datafs_now();
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	start_daemon(true);
	begin_files();
	for (int life = 0; life < LIVES && done < FILES; life++) {
		for (uint32_t i = rnd(60); i && done < FILES; i--) {
			take_answer();
			begin_files();
		}
		usleep(rnd(3000));
		end_daemon(SIGKILL);
		start_daemon(false);
		send_again();
	}
	while (done < FILES) {
		take_answer();
		begin_files();
	}
	end_daemon(0);

	/* Nothing is left of all that, and no inode that somebody holds. */
	before_start = adopt;
	start("sync_interval=always");
	a = up_flags(DATAFS_OP_READDIR, 2, TOP, &rd, NULL, 0);
	assert_int_equal(a.err, 0);
	assert_int_equal(((struct datafs_readdir_rep *)a.out)->count, 0);
	free(a.out);
	for (uint32_t i = 0; i < FILES; i++)
		assert_int_equal(there(files[i].ask.ino), -ESTALE);
	umount_id(2);
	assert_int_equal(session_files(), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, vfs_dirs, teardown),
	};

	return cmocka_run_group_tests_name("vfs_kill", tests, NULL, NULL);
}
