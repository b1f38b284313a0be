// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE	/* program_invocation_short_name, close_range */
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "program.h"
#include "util.h"

#define NAME		"datafs-guard"	/* not that of the daemon in ps(1) */
/* Who lived for so long has not died of how it begins. */
#define LONG_LIFE	(5 * DATAFS_SEC)
#define WAIT_MIN	(100 * DATAFS_MSEC)
#define WAIT_MAX	(10 * DATAFS_SEC)

/* Between the guard and its children. */
static struct shared {
	atomic_bool ever;	/* one was ready */
	atomic_bool ready;	/* the present one is */
	atomic_bool ending;	/* it was told to end, by whomever */
	atomic_bool upgrade;	/* whatever its end is: it has given way */
} *shared;

static pid_t guard;	/* in the child */

static sigset_t guard_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	return set;
}

/* Until @child has ended: its status. *@told: it was told to. */
static int await(pid_t child, bool *told)
{
	static const struct timespec grace = { .tv_nsec = 100000000 };
	sigset_t set = guard_signals();
	int sig, status;

	for (;;) {
		sig = sigwaitinfo(&set, NULL);
		if (sig == SIGTERM || sig == SIGINT) {
			*told = true;
			/*
			 * Who tells all of a service tells the child as well,
			 * and a second signal would end it at once.
			 */
			nanosleep(&grace, NULL);
			if (!atomic_load(&shared->ending))
				kill(child, sig);
		}
		/* Whatever came: SIGCHLD may have been one for two. */
		if (waitpid(child, &status, WNOHANG) == child)
			return status;
	}
}

/* True if it is to end meanwhile. */
static bool pause_told(int64_t wait)
{
	struct timespec ts = {
		.tv_sec = wait / DATAFS_SEC, .tv_nsec = wait % DATAFS_SEC,
	};
	sigset_t set = guard_signals();
	int sig;

	sigdelset(&set, SIGCHLD);
	do
		sig = sigtimedwait(&set, NULL, &ts);
	while (sig < 0 && errno == EINTR);
	return sig > 0;
}

static void be_child(const sigset_t *mask, pid_t parent)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	prctl(PR_SET_NAME, program_invocation_short_name);
	guard = parent;
	if (atomic_load(&shared->ever))
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static bool told_to_end(int status)
{
	return WIFSIGNALED(status) &&
	       (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT);
}

/* Is this end one that a successor should follow? */
static bool bereaved(int status)
{
	if (!atomic_load(&shared->ever) || atomic_load(&shared->ending))
		return false;
	if (WIFSIGNALED(status))
		return !told_to_end(status);
	if (WEXITSTATUS(status) == DATAFS_LOOP_EXIT)
		return true;
	/* It could not begin; what it lacked may be there another time. */
	return WEXITSTATUS(status) && WEXITSTATUS(status) != DATAFS_GUARD_TAKEN &&
	       !atomic_load(&shared->ready);
}

/* Killed as well, since it did not come to its end. */
static bool gave_way(int status)
{
	return atomic_exchange(&shared->upgrade, false) &&
	       !atomic_load(&shared->ending) && !told_to_end(status);
}

int datafs_guard(bool *again, int ready_fd)
{
	sigset_t set = guard_signals(), mask;
	pid_t parent = getpid(), child;
	bool told = false, first = true;
	int64_t born, wait = 0;
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		shared = NULL;
		return -ENOMEM;
	}
	/* A mount may wait already: then a first one that fails is not the last. */
	atomic_store(&shared->ever, *again);
	sigprocmask(SIG_BLOCK, &set, &mask);
	for (;;) {
		born = datafs_now();
		atomic_store(&shared->ready, false);
		child = fork();
		if (!child) {
			be_child(&mask, parent);
			return 0;
		}
		if (child < 0 && first && !*again) {
			status = -errno;
			sigprocmask(SIG_SETMASK, &mask, NULL);
			return status;
		}
		if (first) {
			prctl(PR_SET_NAME, NAME);
			/* The first one alone is waited for. */
			close_range(3, ~0u, 0);
		}
		first = false;
		*again = true;
		status = child > 0 ? await(child, &told) : SIGKILL;
		if (!told && gave_way(status)) {
			sigprocmask(SIG_SETMASK, &mask, NULL);
			datafs_program_again(ready_fd);
			sigprocmask(SIG_BLOCK, &set, NULL);
			close_range(3, ~0u, 0);
			wait = 0;
			continue;
		}
		if (told || !bereaved(status))
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
		if (datafs_now() - born > LONG_LIFE)
			wait = 0;
		datafs_log(LOG_ERR, "the daemon %s%s; starting another in %lld ms",
			   WIFSIGNALED(status) ? "was ended: " :
			   WEXITSTATUS(status) == DATAFS_LOOP_EXIT ?
			   "could not go on" : "did not start",
			   WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "",
			   (long long)(wait / DATAFS_MSEC));
		if (wait && pause_told(wait))
			_exit(1);
		wait = wait ? DATAFS_MIN(2 * wait, WAIT_MAX) : WAIT_MIN;
	}
}

void datafs_guard_ready(void)
{
	if (!shared)
		return;
	atomic_store(&shared->ready, true);
	atomic_store(&shared->ever, true);
	prctl(PR_SET_PDEATHSIG, 0);
}

void datafs_guard_ending(void)
{
	if (shared)
		atomic_store(&shared->ending, true);
}

void datafs_guard_upgrade(void)
{
	if (shared)
		atomic_store(&shared->upgrade, true);
}

bool datafs_guard_watches(void)
{
	return guard && getppid() == guard;
}
