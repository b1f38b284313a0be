// SPDX-License-Identifier: Apache-2.0
/*
 * mount.datafs: what mount(8) runs for "mount -t datafs SOURCE DIR".
 *
 * Checks what can be checked here, loads the module, mounts; if no daemon
 * serves the instance, starts an embedded one and mounts again.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "datafs_abi.h"
#include "mount_call.h"
#include "mount_check.h"
#include "mount_daemon.h"
#include "mountinfo.h"
#include "mount_opts.h"

/* As mount(8) has them. */
enum {
	EXIT_USAGE = 1,
	EXIT_SYSTEM = 2,
	EXIT_FAIL = 32,
};

#define ERR_MAX	4096

/* Between attempts, while another daemon of the name gets ready: ever longer. */
#define RETRY_US	100000
#define RETRY_MAX_US	800000

static void usage(FILE *f)
{
	fputs("usage: mount.datafs SOURCE DIR [-sfnv] [-t datafs] [-o OPTION[,OPTION]...]\n"
	      "  -s  leave out options that the kernel does not know\n"
	      "  -f  only check, do not mount\n"
	      "  -n  ignored\n"
	      "  -v  say what is done\n"
	      "options: instance=NAME verify=always|first|never sync_interval=SECONDS|always|never\n"
	      "         page_size=BYTES cache=DIR cache_size=BYTES allow_suid allow_dev,\n"
	      "         those of under-stores (Documentation/understores.rst) and of mount(8);\n"
	      "         see Documentation/filesystems/datafs.rst\n", f);
}

static int exit_status(int error)
{
	return error == -ENOMEM || error == -EAGAIN ? EXIT_SYSTEM : EXIT_FAIL;
}

/*
 * Mounts, under the instance's lock, with a daemon that is there or that is
 * started here. Two who start one at once: one of the daemons gives up, and
 * its starter goes on trying to mount until the other daemon serves.
 */
static int mount_served(const struct datafs_mount_call *call, char *err)
{
	const struct datafs_mount_opts *o = call->opts;
	useconds_t retry = RETRY_US;
	bool started = false;
	time_t deadline = 0;
	int ret, start;

	for (;;) {
		ret = datafs_mount_new(call, err, ERR_MAX);
		if (ret != -ENOTCONN)
			break;
		if (started)
			return ret;	/* it was ready, and is gone */
		if (!deadline)
			deadline = time(NULL) + DATAFS_DAEMON_WAIT_MS / 1000;
		else if (time(NULL) >= deadline)
			return ret;
		if (call->verbose)
			warnx("no daemon serves instance %s: starting one", o->instance);
		start = datafs_daemon_start(o, DATAFS_DAEMON_WAIT_MS, err, ERR_MAX);
		if (start && start != -EBUSY)
			return start;
		started = !start;
		if (start) {
			usleep(retry);
			retry = retry < RETRY_MAX_US ? 2 * retry : retry;
		}
	}
	if (!ret && !started && (o->cache_dir || o->cache_size))
		warnx("note: a daemon of instance %s was running already, with its own cache and cache_size",
		      o->instance);
	return ret;
}

static int do_mount(const char *source, struct datafs_mount_call *call,
		    bool fake, char *err)
{
	char *where;
	int lock, ret;

	ret = datafs_mount_source(source, call->place, &where, err, ERR_MAX);
	if (ret || fake) {
		if (!ret)
			free(where);
		return ret;
	}
	call->source = where;
	ret = datafs_module_load(err, ERR_MAX);
	if (ret)
		goto out;
	lock = datafs_instance_lock(call->opts->instance, err, ERR_MAX);
	if (lock < 0) {
		ret = lock;
		goto out;
	}
	ret = mount_served(call, err);
	close(lock);
	if (!ret && call->verbose)
		warnx("%s mounted on %s", where, call->place->dir);
out:
	free(where);
	return ret;
}

/* Nothing else lies on top of @mi; asks no daemon. */
static bool is_device(int fd, const struct datafs_mountinfo *mi)
{
	struct statx stx;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) &&
	       stx.stx_dev_major == mi->dev_major &&
	       stx.stx_dev_minor == mi->dev_minor;
}

static int do_remount(const struct datafs_mount_call *call, bool fake, char *err)
{
	const struct datafs_mountinfo *mi;
	struct datafs_mountinfo *list;
	size_t n;
	int ret;

	ret = datafs_mountinfo_read(&list, &n);
	if (ret) {
		snprintf(err, ERR_MAX, "/proc/self/mountinfo: %s", strerror(-ret));
		return ret;
	}
	mi = datafs_mountinfo_at(list, n, call->place->dir);
	if (!mi || !is_device(call->place->fd, mi)) {
		snprintf(err, ERR_MAX, "%s: no datafs is mounted there",
			 call->place->dir);
		ret = -EINVAL;
	}
	datafs_mountinfo_free(list, n);
	return ret || fake ? ret : datafs_mount_change(call, err, ERR_MAX);
}

/* One -o, or the end of the program. */
static void take_options(struct datafs_mount_opts *o, const char *text,
			 char *err)
{
	int ret = datafs_mount_opts_parse(o, text, err, ERR_MAX);

	if (ret == -EINVAL)
		errx(EXIT_USAGE, "%s (%s)", err, strerror(EINVAL));
	if (ret)
		errx(EXIT_SYSTEM, "%s", strerror(-ret));
}

int main(int argc, char **argv)
{
	/* not freed where the program ends in the middle */
	static struct datafs_mount_opts opts;
	struct datafs_mount_place place;
	struct datafs_mount_call call = { .place = &place, .opts = &opts };
	bool fake = false;
	char err[ERR_MAX] = "";
	int c, ret;

	if (datafs_mount_opts_init(&opts))
		errx(EXIT_SYSTEM, "%s", strerror(ENOMEM));
	while ((c = getopt(argc, argv, "sfnvo:t:h")) != -1) {
		switch (c) {
		case 's':
			call.sloppy = true;
			break;
		case 'f':
			fake = true;
			break;
		case 'n':
			break;
		case 'v':
			call.verbose = true;
			break;
		case 'o':
			take_options(&opts, optarg, err);
			break;
		case 't':
			if (strcmp(optarg, "datafs"))
				errx(EXIT_USAGE, "-t %s: only datafs is mounted by this program",
				     optarg);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (geteuid())
		errx(EXIT_USAGE, "only root can mount datafs");

	ret = datafs_mount_place_open(argv[optind + 1], &place, err, sizeof(err));
	if (!ret) {
		ret = datafs_mount_options(&opts, call.sloppy, err, sizeof(err));
		if (!ret)
			ret = opts.remount ? do_remount(&call, fake, err) :
					     do_mount(argv[optind], &call, fake, err);
		datafs_mount_place_close(&place);
	}
	datafs_mount_opts_free(&opts);
	if (ret) {
		warnx("%s", *err ? err : strerror(-ret));
		return exit_status(ret);
	}
	return 0;
}
