// SPDX-License-Identifier: Apache-2.0
/*
 * waiters HOW INSTANCE PID STORE MNT N: N callers of each opcode wait for a
 * daemon (process PID) that is stopped, and end by
 *
 *   kill     SIGKILL
 *   force    umount -f
 *   abort    the file of that name in sysfs
 *   suspend  the daemon's going on, after the machine was to sleep meanwhile
 */
#define _GNU_SOURCE 1
#include "callers.h"

static char sysfs[100];		/* of the mount MNT */
static pid_t stopped;		/* the daemon */

static void put(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);

	ok(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value),
	   "%s takes %s", file, value);
	close(fd);
}

static long number_in(const char *group, const char *name)
{
	char file[200], text[30] = "";
	int fd;

	snprintf(file, sizeof(file), "%s/%s/%s", sysfs, group, name);
	fd = open(file, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 1)
		die("%s: %m", file);
	close(fd);
	return atol(text);
}

/* A stopped daemon has taken what it had been woken for, perhaps. */
static long waiting(const char *name)
{
	return number_in("requests_pending", name) + number_in("requests_sent", name);
}

/*
 * Of MOUNT and UMOUNT the mounts are others. That of a handle waits for the
 * inode before it can ask for its parent.
 */
static bool all_wait(void)
{
	size_t k;

	for (k = 0; k < KINDS; k++) {
		switch (kinds[k].op) {
		case DATAFS_OP_MOUNT:
		case DATAFS_OP_UMOUNT:
		case DATAFS_OP_REVOKE_DONE:
		case DATAFS_OP_PARENT:
			break;
		case DATAFS_OP_GETATTR:
			if (waiting(kinds[k].name) < 2 * callers)
				return false;
			break;
		default:
			if (waiting(kinds[k].name) < callers)
				return false;
		}
	}
	return true;
}

static void find_sysfs(void)
{
	struct nl_msg *msg = command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP);

	if (transact(msg))
		die("GET_MOUNT: %s", strerror(control.outcome));
	/* before the callers' own: there is one mount */
	snprintf(sysfs, sizeof(sysfs), "/sys/fs/datafs/%u", control.mount);
}

/* Who unmounts waits for nobody, and may just not have come to its end. */
static void kill_them(void)
{
	size_t k;
	int i;

	for (k = 0; k < KINDS; k++)
		for (i = 0; kinds[k].act && kinds[k].op != DATAFS_OP_UMOUNT && i < callers; i++)
			kill(pids[k][i], SIGKILL);
}

/*
 * All have @error but those of other mounts: who mounts has what @mounting says,
 * and who unmounts waits for nobody. A handle's errors are ESTALE to the VFS.
 */
static void end_with(int error, int handles, int mounting)
{
	size_t k;

	for (k = 0; k < KINDS; k++) {
		switch (kinds[k].op) {
		case DATAFS_OP_MOUNT:
			kinds[k].expect = mounting;
			break;
		case DATAFS_OP_UMOUNT:
			break;
		case DATAFS_OP_PARENT:
			kinds[k].expect = handles;
			break;
		default:
			kinds[k].expect = error;
		}
	}
	callers_end();
}

static void by_kill(void)
{
	kill_them();
	end_with(1000 + SIGKILL, 1000 + SIGKILL, 1000 + SIGKILL);
}

static void by_force(void)
{
	FAILS(umount2(dir, MNT_FORCE), EBUSY);
	kill(stopped, SIGCONT);
	end_with(EIO, ESTALE, 0);
}

static void by_abort(void)
{
	char file[200];

	snprintf(file, sizeof(file), "%s/abort", sysfs);
	put(file, "1");
	kill(stopped, SIGCONT);
	end_with(ENOTCONN, ESTALE, 0);
}

/* Tasks are frozen, and thawed after five seconds: the kernel's own test. */
static void by_suspend(void)
{
	put("/sys/power/pm_test", "freezer");
	put("/sys/power/state", "freeze");
	put("/sys/power/pm_test", "none");
	ok(all_wait(), "they wait as before");
	kill(stopped, SIGCONT);
	end_with(0, 0, 0);
}

static const struct {
	const char *name;
	void (*act)(void);
} ways[] = {
	{ "kill", by_kill },
	{ "force", by_force },
	{ "abort", by_abort },
	{ "suspend", by_suspend },
};

#define WAYS	(sizeof(ways) / sizeof(ways[0]))

int main(int argc, char **argv)
{
	int go[2], tries = 0;
	size_t w;

	for (w = 0; argc == 7 && w < WAYS && strcmp(ways[w].name, argv[1]); w++)
		;
	if (argc != 7 || w == WAYS)
		die("usage: waiters HOW INSTANCE PID STORE MNT N");
	instance = argv[2];
	stopped = atoi(argv[3]);
	dir = argv[5];
	callers = atoi(argv[6]);
	if (stopped <= 0 || callers < 1 || callers > CALLERS_MAX || pipe(go) ||
	    control_open() < 0)
		die("bad arguments");
	find_sysfs();
	prepare_callers(argv[4], go);
	kill(stopped, SIGSTOP);
	tell_callers(go);
	while (!all_wait() && tries++ < 300)
		usleep(100000);
	ok(all_wait(), "all wait for the daemon");
	ways[w].act();
	kill(stopped, SIGCONT);
	return failures != 0;
}
