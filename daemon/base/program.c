// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/*
 * In the environment, not an argument: a program of another version, older ones
 * among them, passes over it if it does not know it.
 */
#define SUCCESSOR	"DATAFSD_SUCCESSOR"

static char *const *program_argv;
static char program_path[PATH_MAX];
static char program_cwd[PATH_MAX];

void datafs_program_note(char *const *argv)
{
	ssize_t n;

	program_argv = argv;
	/*
	 * As it was called, if that says where it is: a symbolic link may lead
	 * to another version later. What /proc tells has followed it.
	 */
	if (*argv[0] == '/' && strlen(argv[0]) < sizeof(program_path)) {
		strcpy(program_path, argv[0]);
	} else {
		n = readlink("/proc/self/exe", program_path,
			     sizeof(program_path) - 1);
		program_path[n < 0 ? 0 : n] = 0;
	}
	if (!getcwd(program_cwd, sizeof(program_cwd)))
		*program_cwd = 0;
}

bool datafs_program_successor(void)
{
	bool is = getenv(SUCCESSOR);

	unsetenv(SUCCESSOR);
	return is;
}

const char *datafs_program_path(void)
{
	return program_path;
}

const char *datafs_program_cwd(void)
{
	return program_cwd;
}

static int null_at(int fd)
{
	int null = open("/dev/null", O_RDWR);
	int err = 0;

	if (null < 0 || (null != fd && dup2(null, fd) < 0))
		err = -errno;
	if (null >= 0 && null != fd)
		close(null);
	return err;
}

static int become(const char *path, int fd)
{
	int err = fd < 0 ? 0 : null_at(fd);

	if (!err && *program_cwd && chdir(program_cwd))
		datafs_log(LOG_WARNING, "%s: %s", program_cwd, strerror(errno));
	if (!err && setenv(SUCCESSOR, "1", 1))
		err = -errno;
	if (!err) {
		execv(path, program_argv);
		err = -errno;
	}
	unsetenv(SUCCESSOR);
	datafs_log(LOG_ERR, "%s: cannot be started: %s", path, strerror(-err));
	return err;
}

int datafs_program_again(int fd)
{
	return become(program_path, fd);
}

int datafs_program_same(int fd)
{
	return become("/proc/self/exe", fd);
}
