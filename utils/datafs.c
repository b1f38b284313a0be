// SPDX-License-Identifier: Apache-2.0
/* datafs: looks at what the kernel and the daemons of this machine do, and tells them. */
#define _GNU_SOURCE 1
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datafs_abi.h"
#include "invalidate.h"
#include "job.h"
#include "key.h"
#include "load.h"
#include "meta.h"
#include "mount_table.h"
#include "node.h"
#include "policy.h"
#include "report.h"
#include "upgrade.h"

struct command {
	const char *name;
	const char *args;
	const char *what;
	int (*run)(int argc, char **argv);
};

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

static const struct command commands[] = {
	{ "status", "", "mounts, their instances and daemons", datafs_report_status },
	{ "stats", "[MOUNTPOINT | --instance NAME]",
	  "counters of the kernel and of the daemon", datafs_report_stats },
	{ "events", "", "mounts and daemons that come and go, as they do",
	  datafs_report_events },
	{ "daemon", "upgrade [--instance NAME]",
	  "another version in the place of one that runs", datafs_daemon_command },
	{ "invalidate", "[--all] PATH...",
	  "what changed in the source is seen now, whatever sync_interval says",
	  datafs_invalidate_command },
	{ "load", "[--dry-run] PATH",
	  "all files there and below are brought into the cache", datafs_load_command },
	{ "free", "PATH", "... and removed from it", datafs_free_command },
	{ "du", "[PATH...]", "how many of their bytes are in it, and their sizes",
	  datafs_du_command },
	{ "stat", "PATH...", "where in the cache a file's bytes are",
	  datafs_stat_command },
	{ "key", "COMMAND FILE...", "files with which nodes know each other",
	  datafs_key_command },
	{ "meta", "COMMAND --members HOST:PORT,...",
	  "the metadata quorum, looked at and changed", datafs_meta_command },
	{ "mount", "COMMAND [--members HOST:PORT,...]",
	  "what is mounted in a namespace, on all nodes of it, looked at and changed",
	  datafs_mount_table_command },
	{ "node", "COMMAND --members HOST:PORT,...",
	  "the nodes of the quorum, looked at and changed", datafs_node_command },
	{ "job", "COMMAND --members HOST:PORT,...",
	  "what nodes of the quorum are to do, looked at and changed", datafs_job_command },
	{ "policy", "COMMAND [--members HOST:PORT,...]",
	  "what holds below paths of the namespace, looked at and changed",
	  datafs_policy_command },
	{ "version", "", "of this program, the contract and the module", cmd_version },
	{ "help", "", "this text", cmd_help },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static void usage(FILE *f)
{
	size_t i;

	fputs("usage: datafs COMMAND\n", f);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-11s%-34s%s\n", commands[i].name, commands[i].args,
			commands[i].what);
}

static int cmd_help(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		errx(DATAFS_EXIT_USAGE, "help takes no arguments");
	usage(stdout);
	return 0;
}

static void print_module(const char *name, const char *file)
{
	char path[100], text[200];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/datafs/%s", file);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(text, sizeof(text), f))
		printf("%-18s %s%s", name, text, strchr(text, '\n') ? "" : "\n");
	fclose(f);
}

static int cmd_version(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		errx(DATAFS_EXIT_USAGE, "version takes no arguments");
	printf("%-18s %s\n", "version", DATAFS_VERSION);
	printf("%-18s %d.%d\n", "abi", DATAFS_ABI_MAJOR, DATAFS_ABI_MINOR);
	printf("%-18s %s\n", "compiler", __VERSION__);
	if (access("/sys/module/datafs", F_OK)) {
		printf("%-18s %s\n", "module", "not loaded");
		return 0;
	}
	printf("%-18s %s\n", "module", "loaded");
	print_module("module_version", "version");
	print_module("module_srcversion", "srcversion");
	return 0;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		usage(stderr);
		return DATAFS_EXIT_USAGE;
	}
	for (i = 0; i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	warnx("no command \"%s\": try datafs help", argv[1]);
	return DATAFS_EXIT_USAGE;
}
