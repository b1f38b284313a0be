// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define OPTIONS_MAX	32

int datafs_option_log_level(const char *v, int *level)
{
	int is = datafs_log_level_of(v);

	if (is < 0)
		return is;
	if (level)
		*level = is;
	datafs_log_set_level(is);
	return 0;
}

int datafs_option_fd(const char *v, int *fd)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(v, &end, 10);
	if (errno || *end || end == v || n < 0 || n > INT_MAX || fcntl(n, F_GETFD) < 0)
		return -EINVAL;
	*fd = n;
	return 0;
}

void datafs_options_usage(const struct datafs_option *table)
{
	for (; table->name; table++)
		printf("  --%s%s%-*s%s\n", table->name, table->arg ? " " : "",
		       (int)(22 - strlen(table->name) - !!table->arg),
		       table->arg ? table->arg : "", table->text);
}

struct ini_arg {
	const struct datafs_option *table;
	void *cfg;
	const char *file;
	bool failed;
};

static int ini_line(void *arg, const char *section, const char *key, const char *value)
{
	const struct datafs_option *o;
	struct ini_arg *a = arg;
	char name[64];

	snprintf(name, sizeof(name), "%s", key);
	for (size_t i = 0; name[i]; i++)
		if (name[i] == '_')
			name[i] = '-';
	for (o = a->table; o->name; o++)
		if (o->in_file && !strcmp(o->name, name))
			break;
	if (*section) {
		datafs_log(LOG_ERR, "%s: section [%s]: sections are not used",
			   a->file, section);
	} else if (!o->name) {
		datafs_log(LOG_ERR, "%s: unknown key \"%s\"", a->file, key);
	} else if (o->set(a->cfg, value)) {
		datafs_log(LOG_ERR, "%s: %s = \"%s\" is not valid (%s: %s)",
			   a->file, key, value, o->arg, o->text);
	} else {
		return 1;
	}
	a->failed = true;
	return 0;
}

static int read_file(const struct datafs_option *table, void *cfg, const char *file)
{
	struct ini_arg arg = { .table = table, .cfg = cfg, .file = file };
	int line;

	errno = 0;
	line = ini_parse(file, ini_line, &arg);
	if (!line)
		return 0;
	if (line < 0)
		datafs_log(LOG_ERR, "%s: cannot read it: %s", file,
			   errno ? strerror(errno) : "no memory");
	else if (!arg.failed)
		datafs_log(LOG_ERR, "%s: line %d is no \"key = value\"", file, line);
	return -EINVAL;
}

static int fill_longs(const struct datafs_option *table, struct option *longs)
{
	int n = 0;

	for (; table[n].name; n++) {
		longs[n].name = table[n].name;
		longs[n].has_arg = table[n].arg ? required_argument : no_argument;
		longs[n].val = 'A' + n;
	}
	return n;
}

/* One walk over the command line: for --config only, or for the rest. */
static int walk(const struct datafs_option *table, void *cfg, int argc, char **argv, bool file)
{
	struct option longs[OPTIONS_MAX + 1] = { 0 };
	int n = fill_longs(table, longs), i, c;

	optind = 0;	/* glibc: begin anew, everything */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == ':') {
			datafs_log(LOG_ERR, "%s needs a value", argv[optind - 1]);
			return -EINVAL;
		}
		i = c - 'A';
		if (c == '?' || i < 0 || i >= n) {
			datafs_log(LOG_ERR, "unknown option %s; see --help",
				   argv[optind - 1]);
			return -EINVAL;
		}
		if (!table[i].set) {
			if (file && read_file(table, cfg, optarg))
				return -EINVAL;
		} else if (!file && table[i].set(cfg, optarg)) {
			datafs_log(LOG_ERR, "--%s %s is not valid (%s: %s)", table[i].name,
				   optarg ? optarg : "", table[i].arg ? table[i].arg : "",
				   table[i].text);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		datafs_log(LOG_ERR, "unknown argument %s; see --help", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

int datafs_options_read(const struct datafs_option *table, void *cfg, int argc, char **argv)
{
	int err = walk(table, cfg, argc, argv, true);

	return err ? err : walk(table, cfg, argc, argv, false);
}
