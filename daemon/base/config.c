// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"
#include "options.h"
#include "util.h"

#define NAME_CHARS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

#define DEFAULT_SIZE	(10ull << 30)

static int set_name(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;
	size_t len = strlen(v);

	if (!len || len > DATAFS_INSTANCE_MAX || v[0] == '.' ||
	    strspn(v, NAME_CHARS) != len)
		return -EINVAL;
	strcpy(cfg->name, v);
	return 0;
}

static int set_cache_dir(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	if (v[0] != '/' || strlen(v) >= sizeof(cfg->cache_dir))
		return -EINVAL;
	strcpy(cfg->cache_dir, v);
	return 0;
}

static int set_cache_size(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;
	int err = datafs_parse_size(v, &cfg->cache_size);

	return err ? err : cfg->cache_size ? 0 : -EINVAL;
}

static int set_key_file(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	if (v[0] != '/' || strlen(v) >= sizeof(cfg->key_file))
		return -EINVAL;
	strcpy(cfg->key_file, v);
	return 0;
}

static int set_node_name(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	if (!*v || strlen(v) >= sizeof(cfg->node_name))
		return -EINVAL;
	strcpy(cfg->node_name, v);
	return 0;
}

static int set_log_level(void *arg, const char *v)
{
	return datafs_option_log_level(v, &((struct datafs_config *)arg)->log_level);
}

static int set_ready_fd(void *arg, const char *v)
{
	return datafs_option_fd(v, &((struct datafs_config *)arg)->ready_fd);
}

static int set_embedded(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	(void)v;
	cfg->embedded = true;
	return 0;
}

static int set_foreground(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	(void)v;
	cfg->foreground = true;
	return 0;
}

static int set_help(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	(void)v;
	cfg->help = true;
	return 0;
}

static int set_version(void *arg, const char *v)
{
	struct datafs_config *cfg = arg;

	(void)v;
	cfg->version = true;
	return 0;
}

static const struct datafs_option options[] = {
	{ "config", "FILE", false, NULL, "read \"key = value\" lines first" },
	{ "name", "NAME", true, set_name,
	  "instance that mounts name (default \"default\"); no dot first" },
	{ "cache-dir", "DIR", true, set_cache_dir,
	  "absolute; default " DATAFS_CACHE_DIR },
	{ "cache-size", "BYTES", true, set_cache_size,
	  "with k, M, G or T; default 10G or 80 % of what is free" },
	{ "key-file", "FILE", true, set_key_file,
	  "a client's, absolute; default " DATAFS_KEY_FILE },
	{ "node-name", "NAME", true, set_node_name,
	  "of this daemon in a quorum's table of nodes; default HOST, or HOST-INSTANCE" },
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
	{ NULL, NULL, false, NULL, NULL }
};

void datafs_config_usage(void)
{
	printf("usage: datafsd [OPTION]...\n");
	datafs_options_usage(options);
}

void datafs_config_version(void)
{
	printf("version %s\nabi %d.%d\n", DATAFS_VERSION, DATAFS_ABI_MAJOR,
	       DATAFS_ABI_MINOR);
}

/* Cut off where it is too long; should another node have it then, that is told. */
static void default_node_name(struct datafs_config *cfg)
{
	size_t len;

	/* one that is cut off has no NUL; 64 bytes at most, as Linux has it */
	if (gethostname(cfg->node_name, sizeof(cfg->node_name) - 1)) {
		*cfg->node_name = '\0';
		return;
	}
	len = strlen(cfg->node_name);
	if (strcmp(cfg->name, "default"))
		snprintf(cfg->node_name + len, sizeof(cfg->node_name) - len, "-%s", cfg->name);
}

int datafs_config_parse(struct datafs_config *cfg, int argc, char **argv)
{
	int err;

	memset(cfg, 0, sizeof(*cfg));
	strcpy(cfg->name, "default");
	strcpy(cfg->cache_dir, DATAFS_CACHE_DIR);
	strcpy(cfg->key_file, DATAFS_KEY_FILE);
	cfg->ready_fd = -1;
	cfg->log_level = LOG_INFO;
	err = datafs_options_read(options, cfg, argc, argv);
	if (!err && !*cfg->node_name)
		default_node_name(cfg);
	return err;
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
