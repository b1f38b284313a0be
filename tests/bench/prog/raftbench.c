// SPDX-License-Identifier: Apache-2.0
/*
 * raftbench LIMIT OUTSTANDING BYTES DIR ADDRESS ADDRESS ADDRESS: libraft by itself.
 * Three processes, its own disk and network (raft_uv), entries of so many bytes, one
 * raft_apply() each, applied to nothing. The first leads, since the others wait longer
 * for a sign of a leader, and has so many under way.
 */
#define _GNU_SOURCE
#include <err.h>
#include <raft.h>
#include <raft/uv.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define MEMBERS		3u
#define INFLIGHT	512u		/* as daemon/metad/member.h has it */
#define WARM_OPS	1000u		/* not measured: members connect, files are made */
#define NO_SNAPSHOT	(1u << 30)	/* entries: none is taken */

static struct bench bench;
static struct raft raft;
static struct raft_apply *ops;
static unsigned int outstanding, under_way, warm = WARM_OPS;
static size_t bytes;
static uv_loop_t loop;
static uv_timer_t wait_to_lead;
static const char *limit;

static int apply_nothing(struct raft_fsm *fsm, const struct raft_buffer *buf, void **res)
{
	(void)fsm;
	(void)buf;
	*res = NULL;
	return 0;
}

static int no_snapshot(struct raft_fsm *fsm, struct raft_buffer **bufs, unsigned int *n)
{
	(void)fsm;
	(void)bufs;
	(void)n;
	return RAFT_BUSY;
}

static int no_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	(void)fsm;
	(void)buf;
	return RAFT_INVALID;
}

static void begin_op(struct raft_apply *op);

static void op_done(struct raft_apply *req, int status, void *result)
{
	(void)result;
	if (status)
		errx(1, "an entry: %s", raft_strerror(status));
	if (!warm)
		atomic_fetch_add(&bench.done, 1);
	else if (!--warm)
		bench_begin(&bench, limit);
	under_way--;
	begin_op(req);
}

static void begin_op(struct raft_apply *op)
{
	struct raft_buffer buf = { .len = bytes };
	int rv;

	if (!warm && !bench_next(&bench)) {
		if (!under_way)
			uv_stop(&loop);
		return;
	}
	buf.base = raft_malloc(bytes);
	if (!buf.base)
		errx(1, "no memory");
	memset(buf.base, (int)(op - ops), bytes);
	under_way++;
	rv = raft_apply(&raft, op, &buf, 1, op_done);
	if (rv)
		errx(1, "raft_apply: %s", raft_errmsg(&raft));
}

static void look_who_leads(uv_timer_t *t)
{
	if (raft_state(&raft) != RAFT_LEADER)
		return;
	uv_timer_stop(t);
	for (unsigned int i = 0; i < outstanding; i++)
		begin_op(&ops[i]);
}

static void must(int rv, const char *what)
{
	if (rv)
		errx(1, "%s: %s", what, raft_strerror(rv));
}

static void configure(struct raft_configuration *conf, char **address)
{
	raft_configuration_init(conf);
	for (unsigned int i = 0; i < MEMBERS; i++)
		must(raft_configuration_add(conf, i + 1, address[i], RAFT_VOTER), "configuration");
}

static void member(unsigned int n, const char *dir, char **address)
{
	struct raft_fsm fsm = {
		.version = 1, .apply = apply_nothing, .snapshot = no_snapshot,
		.restore = no_restore,
	};
	struct raft_uv_transport transport = { .version = 1 };
	struct raft_io io = { .version = 1 };
	struct raft_configuration conf;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%u", dir, n + 1);
	if (mkdir(path, 0700))
		err(1, "%s", path);
	if (uv_loop_init(&loop))
		errx(1, "no loop");
	must(raft_uv_tcp_init(&transport, &loop), "network");
	must(raft_uv_init(&io, &loop, path, &transport), "disk");
	must(raft_init(&raft, &io, &fsm, n + 1, address[n]), "raft_init");
	configure(&conf, address);
	must(raft_bootstrap(&raft, &conf), "raft_bootstrap");
	raft_configuration_close(&conf);
	raft_set_election_timeout(&raft, n ? 20000 : 300);
	raft_set_heartbeat_timeout(&raft, 100);
	raft_set_snapshot_threshold(&raft, NO_SNAPSHOT);
	raft_set_max_inflight_entries(&raft, INFLIGHT);
	must(raft_start(&raft), "raft_start");
	if (!n) {
		uv_timer_init(&loop, &wait_to_lead);
		uv_timer_start(&wait_to_lead, look_who_leads, 10, 10);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
}

static pid_t follow(unsigned int n, const char *dir, char **address)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	member(n, dir, address);
	_exit(1);
}

int main(int argc, char **argv)
{
	pid_t pid[MEMBERS] = { 0 };

	if (argc != 5 + (int)MEMBERS || atoi(argv[2]) < 1 || atoi(argv[3]) < 1)
		errx(2, "usage: raftbench LIMIT OUTSTANDING BYTES DIR ADDRESS ADDRESS ADDRESS");
	signal(SIGPIPE, SIG_IGN);
	limit = argv[1];
	outstanding = (unsigned int)atoi(argv[2]);
	/* libraft wants whole words */
	bytes = (size_t)datafs_round_up((uint64_t)atoi(argv[3]), 8);
	ops = calloc(outstanding, sizeof(*ops));
	if (!ops)
		errx(1, "no memory");
	for (unsigned int n = 1; n < MEMBERS; n++)
		pid[n] = follow(n, argv[4], &argv[5]);
	member(0, argv[4], &argv[5]);
	bench_print(&bench, atomic_load(&bench.done));
	for (unsigned int n = 1; n < MEMBERS; n++) {
		kill(pid[n], SIGKILL);
		waitpid(pid[n], NULL, 0);
	}
	/* its log is thrown away: nothing is to be closed in order */
	return 0;
}
