// SPDX-License-Identifier: Apache-2.0
/* datafs events; see report.h. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/word.h"
#include "datafs_netlink.h"
#include "genl.h"
#include "report.h"

static const char *const event_names[DATAFS_CMD_NR] = {
	[DATAFS_CMD_UNSPEC]		= "lost",
	[DATAFS_CMD_MOUNTED]		= "mounted",
	[DATAFS_CMD_UNMOUNTED]		= "unmounted",
	[DATAFS_CMD_DAEMON_LOST]	= "daemon_lost",
	[DATAFS_CMD_DAEMON_BACK]	= "daemon_back",
};

/* Who reads may be a pipe: a line is worth something only when it is there. */
static void end_line(void)
{
	putchar('\n');
	if (fflush(stdout))
		exit(DATAFS_EXIT_FAIL);
}

static void print_joined(void *arg)
{
	(void)arg;
	fputs("listening", stdout);
	end_line();
}

static void print_event(void *arg, const struct datafs_genl_event *ev)
{
	(void)arg;
	/* A newer module's, which has come since this program was made. */
	if (ev->cmd >= DATAFS_CMD_NR || !event_names[ev->cmd])
		return;
	fputs(event_names[ev->cmd], stdout);
	if (*ev->instance)
		printf(" instance=%s", ev->instance);
	if (ev->epoch)
		printf(" epoch=%llu", (unsigned long long)ev->epoch);
	if (ev->mount_id)
		printf(" mount=%u", ev->mount_id);
	if (*ev->source) {
		fputs(" source=", stdout);
		datafs_word_puts(stdout, ev->source);
	}
	end_line();
}

int datafs_report_events(int argc, char **argv)
{
	struct datafs_genl *g;
	int ret;

	(void)argv;
	if (argc > 1)
		errx(DATAFS_EXIT_USAGE, "events takes no arguments");
	ret = datafs_genl_open(&g);
	if (!ret) {
		ret = datafs_genl_events(g, print_joined, print_event, NULL);
		datafs_genl_close(g);
	}
	if (ret == -ENOENT)
		warnx("the module datafs is not loaded (modprobe datafs), or this is not the initial network namespace");
	else
		warnx("netlink: %s", strerror(-ret));
	return DATAFS_EXIT_FAIL;
}
