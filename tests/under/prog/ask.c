// SPDX-License-Identifier: Apache-2.0
/*
 * ask [-v] [-o NAME[=VALUE]]... [-t NAME=N]... SOURCE COMMAND...: asks a store, one command
 * after the other, in a world as -t makes it (trouble.h), and prints a line for each; -v logs
 * all that there is to tell:
 *
 *	stat KEY	"stat KEY dir MODE" or "stat KEY SIZE MTIME strong|weak MODE"
 *	list KEY	"list KEY NAME[/]...", '/' where it is known to be a directory
 *	read OFF LEN	of the last one that was looked at: "read N CRC32C"
 *	put KEY TEXT	"put KEY"; also mkdir KEY, rmdir KEY, remove KEY, rename FROM TO
 *	sh COMMAND	runs it, meanwhile
 *	count METHOD	"count METHOD REQUESTS RETRIES ERRORS", since it was opened
 *
 * with the name of an error, such as "stat KEY ENOENT", where there is one.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../trouble.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "options.h"
#include "under/under.h"

static struct datafs_under *u;
static struct datafs_under_stat st;
static const char *key = "";

static int err_of(int err)
{
	printf(" %s", strerrorname_np(-err));
	return 0;
}

static int do_stat(char **arg)
{
	int err = datafs_under_stat(u, arg[0], &st);

	key = arg[0];
	if (err)
		return err_of(err);
	if (S_ISDIR(st.mode))
		return printf(" dir %04o", st.mode & 07777);
	return printf(" %" PRIu64 " %jd %s %04o", st.size, (intmax_t)st.mtime.tv_sec,
		      st.strong ? "strong" : "weak", st.mode & 07777);
}

static int name(void *arg, const char *name, const struct datafs_under_stat *known)
{
	(void)arg;
	printf(" %s%s", name, known && S_ISDIR(known->mode) ? "/" : "");
	return 0;
}

static int do_list(char **arg)
{
	int err = datafs_under_list(u, arg[0], NULL, name, NULL);

	return err ? err_of(err) : 0;
}

static int do_read(char **arg)
{
	size_t len = strtoull(arg[1], NULL, 0);
	char *buf = aligned_alloc(4096, (len + 4096) / 4096 * 4096);
	ssize_t n = datafs_under_read(u, key, &st.fp, strtoull(arg[0], NULL, 0), buf, len);

	if (n < 0)
		err_of(n);
	else
		printf(" %zd %08x", n, datafs_crc32c(buf, n));
	free(buf);
	return 0;
}

static int changed(int err)
{
	return err ? err_of(err) : 0;
}

static int do_put(char **arg)
{
	return changed(datafs_under_put(u, arg[0], arg[1], strlen(arg[1]), NULL, NULL, NULL));
}

static int do_mkdir(char **arg)
{
	return changed(datafs_under_mkdir(u, arg[0], NULL));
}

static int do_rmdir(char **arg)
{
	return changed(datafs_under_rmdir(u, arg[0]));
}

static int do_remove(char **arg)
{
	return changed(datafs_under_remove(u, arg[0], NULL));
}

static int do_rename(char **arg)
{
	return changed(datafs_under_rename(u, arg[0], arg[1]));
}

static int do_sh(char **arg)
{
	return printf(" %d", system(arg[0]));
}

static int do_count(char **arg)
{
	struct datafs_under_stats s;

	datafs_under_stats(u, &s);
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++)
		if (!strcmp(datafs_under_method_name(m), arg[0]))
			printf(" %" PRIu64 " %" PRIu64 " %" PRIu64, s.by[m].requests,
			       s.by[m].retries, s.by[m].errors);
	return 0;
}

static const struct {
	const char *name;
	int args;
	int (*run)(char **arg);
} commands[] = {
	{ "stat", 1, do_stat }, { "list", 1, do_list }, { "read", 2, do_read },
	{ "put", 2, do_put }, { "mkdir", 1, do_mkdir }, { "rmdir", 1, do_rmdir },
	{ "remove", 1, do_remove }, { "rename", 2, do_rename }, { "sh", 1, do_sh },
	{ "count", 1, do_count },
};

/* How many words it took. */
static int run(char **word, int n)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, word[0]) || n <= commands[i].args)
			continue;
		printf("%s", word[0]);
		if (!strcmp(word[0], "stat") || !strcmp(word[0], "list") ||
		    !strcmp(word[0], "count") || !strcmp(word[0], "put"))
			printf(" %s", word[1]);
		fflush(stdout);
		commands[i].run(word + 1);
		printf("\n");
		fflush(stdout);
		return 1 + commands[i].args;
	}
	errx(2, "no command %s", word[0]);
}

int main(int argc, char **argv)
{
	struct datafs_under_opts opts = datafs_under_opts_default;
	int c, err;

	while ((c = getopt(argc, argv, "+o:t:v")) != -1)
		switch (c) {
		case 'o':
			under_option(&opts, optarg);
			break;
		case 't':
			trouble(optarg);
			break;
		case 'v':
			datafs_log_set_level(LOG_DEBUG);
			break;
		default:
			errx(2, "see the head of ask.c");
		}
	if (optind >= argc)
		errx(2, "usage: ask [-v] [-o NAME[=VALUE]]... [-t NAME=N]... SOURCE COMMAND...");
	err = datafs_under_open(argv[optind], &opts, &u);
	if (err) {
		printf("open %s\n", strerrorname_np(-err));
		return 1;
	}
	for (int i = optind + 1; i < argc;)
		i += run(argv + i, argc - i);
	datafs_under_close(u);
	datafs_under_opts_free(&opts);
	return 0;
}
