// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define NAME_CHARS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

#define DEFAULT_SIZE	(10ull << 30)

static int set_name(struct datafs_config *cfg, const char *v)
{
	size_t len = strlen(v);

	if (!len || len > DATAFS_INSTANCE_MAX || v[0] == '.' ||
	    strspn(v, NAME_CHARS) != len)
		return -EINVAL;
	strcpy(cfg->name, v);
	return 0;
}

static int set_cache_dir(struct datafs_config *cfg, const char *v)
{
	if (v[0] != '/' || strlen(v) >= sizeof(cfg->cache_dir))
		return -EINVAL;
	strcpy(cfg->cache_dir, v);
	return 0;
}

static int set_cache_size(struct datafs_config *cfg, const char *v)
{
	int err = datafs_parse_size(v, &cfg->cache_size);

	return err ? err : cfg->cache_size ? 0 : -EINVAL;
}

static int set_log_level(struct datafs_config *cfg, const char *v)
{
	int level = datafs_log_level_of(v);

	if (level < 0)
		return level;
	cfg->log_level = level;
	datafs_log_set_level(level);
	return 0;
}

static int set_ready_fd(struct datafs_config *cfg, const char *v)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(v, &end, 10);
	if (errno || *end || end == v || fd < 0 || fd > INT_MAX ||
	    fcntl(fd, F_GETFD) < 0)
		return -EINVAL;
	cfg->ready_fd = fd;
	return 0;
}

static int set_embedded(struct datafs_config *cfg, const char *v)
{
	(void)v;
	cfg->embedded = true;
	return 0;
}

static int set_foreground(struct datafs_config *cfg, const char *v)
{
	(void)v;
	cfg->foreground = true;
	return 0;
}

static int set_help(struct datafs_config *cfg, const char *v)
{
	(void)v;
	cfg->help = true;
	return 0;
}

static int set_version(struct datafs_config *cfg, const char *v)
{
	(void)v;
	cfg->version = true;
	return 0;
}

static const struct {
	const char *name, *arg;		/* @arg NULL: takes no value */
	bool in_file;
	int (*set)(struct datafs_config *cfg, const char *v);
	const char *text;
} options[] = {
	{ "config", "FILE", false, NULL, "read \"key = value\" lines first" },
	{ "name", "NAME", true, set_name,
	  "instance that mounts name (default \"default\"); no dot first" },
	{ "cache-dir", "DIR", true, set_cache_dir,
	  "absolute; default " DATAFS_CACHE_DIR },
	{ "cache-size", "BYTES", true, set_cache_size,
	  "with k, M, G or T; default 10G or 80 % of what is free" },
	{ "embedded", NULL, false, set_embedded, "end after the last umount" },
	{ "foreground", NULL, false, set_foreground,
	  "stay in the working directory" },
	{ "ready-fd", "FD", false, set_ready_fd,
	  "write \"ready\" or \"error: ...\" there" },
	{ "log-level", "LEVEL", true, set_log_level,
	  "err, warning, notice, info or debug" },
	{ "version", NULL, false, set_version,
	  "of this program, and of the protocol that it speaks" },
	{ "help", NULL, false, set_help, "this text" },
};

#define NOPTIONS	(sizeof(options) / sizeof(options[0]))

void datafs_config_usage(void)
{
	printf("usage: datafsd [OPTION]...\n");
	for (size_t i = 0; i < NOPTIONS; i++)
		printf("  --%s%s%-*s%s\n", options[i].name,
		       options[i].arg ? " " : "",
		       (int)(22 - strlen(options[i].name) -
			     !!options[i].arg),
		       options[i].arg ? options[i].arg : "", options[i].text);
}

void datafs_config_version(void)
{
	printf("version %s\nabi %d.%d\n", DATAFS_VERSION, DATAFS_ABI_MAJOR,
	       DATAFS_ABI_MINOR);
}

struct ini_arg {
	struct datafs_config *cfg;
	const char *file;
	bool failed;
};

static int ini_line(void *arg, const char *section, const char *key,
		    const char *value)
{
	struct ini_arg *a = arg;
	char name[64];
	size_t i;

	snprintf(name, sizeof(name), "%s", key);
	for (i = 0; name[i]; i++)
		if (name[i] == '_')
			name[i] = '-';
	for (i = 0; i < NOPTIONS; i++)
		if (options[i].in_file && !strcmp(options[i].name, name))
			break;
	if (*section) {
		datafs_log(LOG_ERR, "%s: section [%s]: sections are not used",
			   a->file, section);
	} else if (i == NOPTIONS) {
		datafs_log(LOG_ERR, "%s: unknown key \"%s\"", a->file, key);
	} else if (options[i].set(a->cfg, value)) {
		datafs_log(LOG_ERR, "%s: %s = \"%s\" is not valid (%s: %s)",
			   a->file, key, value, options[i].arg,
			   options[i].text);
	} else {
		return 1;
	}
	a->failed = true;
	return 0;
}

static int config_file(struct datafs_config *cfg, const char *file)
{
	struct ini_arg arg = { .cfg = cfg, .file = file };
	int line;

	errno = 0;
	line = ini_parse(file, ini_line, &arg);
	if (!line)
		return 0;
	if (line < 0)
		datafs_log(LOG_ERR, "%s: cannot read it: %s", file,
			   errno ? strerror(errno) : "no memory");
	else if (!arg.failed)
		datafs_log(LOG_ERR, "%s: line %d is no \"key = value\"", file,
			   line);
	return -EINVAL;
}

/* One walk over the command line: for --config only, or for the rest. */
static int config_walk(struct datafs_config *cfg, int argc, char **argv,
		       bool file)
{
	struct option longs[NOPTIONS + 1] = { 0 };
	int i, c;

	for (i = 0; i < (int)NOPTIONS; i++) {
		longs[i].name = options[i].name;
		longs[i].has_arg = options[i].arg ? required_argument :
						    no_argument;
		longs[i].val = 'A' + i;
	}
	optind = 0;	/* glibc: begin anew, everything */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == ':') {
			datafs_log(LOG_ERR, "%s needs a value",
				   argv[optind - 1]);
			return -EINVAL;
		}
		i = c - 'A';
		if (c == '?' || i < 0 || i >= (int)NOPTIONS) {
			datafs_log(LOG_ERR, "unknown option %s; see --help",
				   argv[optind - 1]);
			return -EINVAL;
		}
		if (!options[i].set) {
			if (file && config_file(cfg, optarg))
				return -EINVAL;
		} else if (!file && options[i].set(cfg, optarg)) {
			datafs_log(LOG_ERR, "--%s %s is not valid (%s: %s)",
				   options[i].name, optarg, options[i].arg,
				   options[i].text);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		datafs_log(LOG_ERR, "unknown argument %s; see --help",
			   argv[optind]);
		return -EINVAL;
	}
	return 0;
}

int datafs_config_parse(struct datafs_config *cfg, int argc, char **argv)
{
	memset(cfg, 0, sizeof(*cfg));
	strcpy(cfg->name, "default");
	strcpy(cfg->cache_dir, DATAFS_CACHE_DIR);
	cfg->ready_fd = -1;
	cfg->log_level = LOG_INFO;
	if (config_walk(cfg, argc, argv, true))
		return -EINVAL;
	return config_walk(cfg, argc, argv, false);
}

/* What the slabs of an earlier run occupy. */
static uint64_t config_used(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *de;
	uint64_t used = 0;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "%s/slabs", dir);
	d = opendir(path);
	if (!d)
		return 0;
	while ((de = readdir(d)))
		if (!fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISREG(st.st_mode))
			used += st.st_blocks * 512ull;
	closedir(d);
	return used;
}

int datafs_config_size(const struct datafs_config *cfg, const char *dir,
		       uint64_t *size)
{
	struct statvfs st;
	uint64_t room;

	if (cfg->cache_size) {
		*size = cfg->cache_size;
		return 0;
	}
	if (statvfs(dir, &st)) {
		int err = -errno;

		datafs_log(LOG_ERR, "cache directory %s: %s", dir,
			   strerror(errno));
		return err;
	}
	room = (uint64_t)st.f_bavail * st.f_frsize + config_used(dir);
	*size = DATAFS_MIN(DEFAULT_SIZE, room / 5 * 4);
	return 0;
}
