// SPDX-License-Identifier: Apache-2.0
/*
 * datafsd: a node's cache daemon. Puts the rooms together, says when it is
 * ready, and ends when it is told to or, embedded, after the last umount.
 */
#define _GNU_SOURCE	/* asprintf */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/guard.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/notify.h"
#include "base/pool.h"
#include "base/program.h"
#include "base/util.h"
#include "frontend/frontend.h"
#include "vfs/vfs.h"

#define WORKERS		32
/* Embedded: without a mount by then, none will come. */
#define FIRST_MOUNT_MS	30000
/* Somebody is mounting, or will: asked again so soon. */
#define LEAVE_AGAIN_MS	200
/* So often the module is told what requests to stores have cost, if that has changed. */
#define COUNTS_MS	2000
#define DEVICE		"/dev/" DATAFS_DEVICE
#define SYSFS		"/sys/fs/datafs"

/* What is open; closed from the last to the first. */
struct daemon {
	struct datafs_config cfg;
	int ready_arg;			/* of --ready-fd */
	char *dir;			/* the instance's own */
	uint64_t epoch, cache_size;
	bool have_life;
	struct datafs_life life;
	struct datafs_loop *loop;
	struct datafs_device *dev;
	struct datafs_control *control;
	struct datafs_control *recalls;	/* of the network thread, which waits for nobody else */
	struct datafs_pool *pool;
	struct datafs_vfs *vfs;
	struct datafs_frontend *frontend;
	struct datafs_socket *socket;
	sigset_t signals;		/* that tell it to end; blocked */
	int signal_fd;
	struct signalfd_siginfo info;
	struct datafs_event signal, leave, counts;
	bool ending;			/* on a signal */
	atomic_bool upgrade;		/* asked for */
	int64_t started;
};

/*
 * An embedded daemon is nobody's service: the socket that its mount(8) may have in
 * its environment is another's.
 */
static void tell_manager(struct daemon *d, const char *state)
{
	int err = d->cfg.embedded ? 0 : datafs_notify(state);

	if (err)
		datafs_log(LOG_WARNING, "service manager: %s", strerror(-err));
}

/* Who started us learns whether mounts are served now. */
static void tell_ready(struct daemon *d, int err)
{
	char error[512], line[600];
	int n;

	if (!err)
		tell_manager(d, "READY=1\nSTATUS=serving");
	if (d->cfg.ready_fd < 0)
		return;
	datafs_log_last_error(error, sizeof(error));
	n = !err ? snprintf(line, sizeof(line), "ready\n") :
		   snprintf(line, sizeof(line), "error: %s\n",
			    *error ? error : strerror(-err));
	if (write(d->cfg.ready_fd, line, n) != n)
		datafs_log(LOG_WARNING, "ready-fd: nobody reads it");
	close(d->cfg.ready_fd);
	d->cfg.ready_fd = -1;
}

static int backing_add(void *arg, int fd, uint32_t id)
{
	struct daemon *d = arg;

	return datafs_device_backing_add(d->dev, fd, id);
}

static int send_revoke(void *arg, uint64_t cookie,
		  const struct datafs_range *ranges, uint32_t n)
{
	struct daemon *d = arg;

	return datafs_control_revoke(d->control, cookie, ranges, n);
}

static int send_invalidate(void *arg, const void *items, size_t bytes)
{
	struct daemon *d = arg;

	return datafs_control_invalidate(d->control, items, bytes);
}

static int send_recall(void *arg, const void *items, size_t bytes)
{
	struct daemon *d = arg;

	return datafs_control_invalidate(d->recalls, items, bytes);
}

static int send_lease(void *arg, uint32_t mount, uint64_t until)
{
	struct daemon *d = arg;

	return datafs_device_lease(d->dev, mount, until);
}

/* Epochs only go up, also when the clock is set back. */
static int next_epoch(struct daemon *d)
{
	char path[PATH_MAX], text[256];
	unsigned long long epoch = 0;
	struct timespec now;
	int err;

	snprintf(path, sizeof(path), "%s/epoch", d->dir);
	if (datafs_read_small(path, text, sizeof(text)) <= 0 ||
	    sscanf(text, "%llu", &epoch) != 1)
		epoch = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	d->epoch = DATAFS_MAX(now.tv_sec * DATAFS_SEC + now.tv_nsec,
			      (int64_t)epoch + 1);
	sprintf(text, "%llu\n", (unsigned long long)d->epoch);
	err = datafs_write_small(path, text);
	if (err)
		datafs_log(LOG_ERR, "cache directory %s: cannot write: %s; make it writable or choose another (--cache-dir)",
			   d->dir, strerror(-err));
	return err;
}

static int open_dir(struct daemon *d)
{
	int err;

	if (asprintf(&d->dir, "%s/%s", d->cfg.cache_dir, d->cfg.name) < 0) {
		d->dir = NULL;
		return -ENOMEM;
	}
	err = datafs_mkdirs(d->dir, 0700);
	if (err) {
		datafs_log(LOG_ERR, "cache directory %s: %s; make it writable or choose another (--cache-dir)",
			   d->dir, strerror(-err));
		return err;
	}
	err = datafs_config_size(&d->cfg, d->dir, &d->cache_size);
	return err ? err : next_epoch(d);
}

static void changed(void *arg)
{
	struct daemon *d = arg;

	datafs_loop_wake(d->loop);
}

static void on_signal(struct datafs_event *ev, int res)
{
	struct daemon *d = (void *)((char *)ev - offsetof(struct daemon, signal));
	unsigned int mounts;

	if (res == -EINTR || res == -EAGAIN) {
		datafs_loop_read(d->loop, ev, d->signal_fd, &d->info,
				 sizeof(d->info));
		return;
	}
	d->ending = true;
	datafs_guard_ending();
	tell_manager(d, "STOPPING=1");
	mounts = datafs_vfs_mounts(d->vfs);
	if (mounts)
		datafs_log(LOG_WARNING, "ending on a signal with %u mounts: what is not cached waits for a daemon",
			   mounts);
	else
		datafs_log(LOG_INFO, "ending on a signal");
	datafs_loop_stop(d->loop);
}

/* Embedded: is it time to go? */
static void consider_leaving(void *arg)
{
	struct daemon *d = arg;
	bool ever;

	if (!d->cfg.embedded || d->leave.pending ||
	    datafs_frontend_mounted(d->frontend, &ever))
		return;
	if (!ever)
		ever = datafs_now() - d->started >= FIRST_MOUNT_MS * DATAFS_MSEC;
	if (ever && datafs_life_may_end(&d->life)) {
		datafs_log(LOG_INFO, "nothing is mounted: ending");
		datafs_loop_stop(d->loop);
		return;
	}
	datafs_loop_timer(d->loop, &d->leave, LEAVE_AGAIN_MS);
}

static void leave_timer(struct datafs_event *ev, int res)
{
	(void)res;
	consider_leaving((char *)ev - offsetof(struct daemon, leave));
}

static void woken(void *arg)
{
	struct daemon *d = arg;

	if (!atomic_load(&d->upgrade)) {
		consider_leaving(d);
		return;
	}
	datafs_log(LOG_NOTICE, "giving way to what is installed as %s",
		   datafs_program_path());
	datafs_guard_upgrade();
	datafs_loop_stop(d->loop);
}

static int tell_counts(void *arg, uint32_t mount, const struct datafs_under_stats *st)
{
	struct daemon *d = arg;

	return datafs_device_counts(d->dev, mount, st);
}

static void counts_timer(struct datafs_event *ev, int res)
{
	struct daemon *d = (void *)((char *)ev - offsetof(struct daemon, counts));

	(void)res;
	datafs_vfs_tell_stats(d->vfs, tell_counts, d);
	datafs_loop_timer(d->loop, &d->counts, COUNTS_MS);
}

/* ------------------------------------------------------ the control socket */

static void answer_stats(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;

	(void)args;
	datafs_vfs_stats(d->vfs, f);
}

/* MOUNT, in decimal */
static void answer_store(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;
	unsigned int mount;
	int err = -EINVAL;
	char end;

	if (sscanf(args, "%u%c", &mount, &end) == 1)
		err = datafs_vfs_put_mount_stats(d->vfs, mount, f);
	if (err)
		fprintf(f, "error %s\n", strerror(-err));
}

static void answer_status(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;

	(void)args;
	fprintf(f, "version %s\nepoch %llu\nprogram %s\ndirectory %s\n",
		DATAFS_VERSION, (unsigned long long)d->epoch,
		datafs_program_path(), datafs_program_cwd());
	datafs_vfs_status(d->vfs, f);
}

static void answer_upgrade(void *arg, const char *args, FILE *f)
{
	(void)arg;
	(void)args;
	fprintf(f, "upgrade begins\n");
}

static void begin_upgrade(void *arg)
{
	struct daemon *d = arg;

	atomic_store(&d->upgrade, true);
	datafs_loop_wake(d->loop);
}

/* MOUNT INODE, in decimal; inode 0: all of the mount */
static void answer_invalidate(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;
	unsigned long long ino;
	unsigned int mount;
	int err = -EINVAL;
	char end;

	if (sscanf(args, "%u %llu%c", &mount, &ino, &end) == 2)
		err = datafs_vfs_invalidate(d->vfs, mount, ino);
	if (err)
		fprintf(f, "error %s\n", strerror(-err));
	else
		fprintf(f, "invalidated %llu\n", ino);
}

static void answer_load(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;

	datafs_files_load(d->vfs, args, f);
}

static void answer_file(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;

	datafs_files_answer(d->vfs, args, f);
}

static void answer_table(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;

	datafs_table_answer(d->vfs, args, f);
}

static void answer_policy(void *arg, const char *args, FILE *f)
{
	struct daemon *d = arg;

	datafs_policy_answer(d->vfs, args, f);
}

static const struct datafs_socket_command commands[] = {
	{ .word = "stats", .answer = answer_stats },
	{ .word = "store", .answer = answer_store },
	{ .word = "status", .answer = answer_status },
	{ .word = "upgrade", .answer = answer_upgrade, .sent = begin_upgrade },
	{ .word = "invalidate", .answer = answer_invalidate },
	{ .word = "load", .answer = answer_load, .slow = true },
	{ .word = "file", .answer = answer_file },
	{ .word = "table", .answer = answer_table },
	{ .word = "policy", .answer = answer_policy },
	{ .word = NULL }
};

static int open_signals(struct daemon *d)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&d->signals);
	sigaddset(&d->signals, SIGTERM);
	sigaddset(&d->signals, SIGINT);
	/* Before any thread is made: they all inherit it. */
	sigprocmask(SIG_BLOCK, &d->signals, NULL);
	d->signal_fd = signalfd(-1, &d->signals, SFD_CLOEXEC);
	return d->signal_fd < 0 ? -errno : 0;
}

static int open_vfs(struct daemon *d)
{
	struct datafs_vfs_config cfg = {
		.dir = d->dir, .cache_size = d->cache_size,
		.key_file = d->cfg.key_file, .node_name = d->cfg.node_name, .pool = d->pool,
		.backing_add = backing_add, .revoke = send_revoke,
		.invalidate = send_invalidate, .recall = send_recall,
		.lease = send_lease, .arg = d,
	};

	return datafs_vfs_open(&cfg, &d->vfs);
}

/*
 * Who started us has given up: then nothing may be mounted that would lose its
 * daemon at once. The signal is taken, since it has its effect hereby.
 */
static int check_given_up(struct daemon *d)
{
	static const struct timespec at_once;
	int sig = sigtimedwait(&d->signals, NULL, &at_once);

	if (sig < 0)
		return 0;
	datafs_log(LOG_ERR, "instance %s: ended by signal %d before it was ready",
		   d->cfg.name, sig);
	return -EINTR;
}

static int adopt_mount(void *arg, uint32_t id, const uint8_t incarnation[16],
		       const char *source, const char *options)
{
	struct daemon *d = arg;

	return datafs_vfs_adopt_mount(d->vfs, id, incarnation, source, options);
}

static int adopt_extent(void *arg, const struct datafs_held *held)
{
	struct daemon *d = arg;

	return datafs_vfs_adopt_extent(d->vfs, held);
}

/*
 * The name, with what a predecessor left. Only when all that is known, answers
 * may be given and space be used.
 */
static int take_over(struct daemon *d)
{
	int err;

	err = datafs_device_hello(d->dev, d->cfg.name, datafs_vfs_id(d->vfs),
				  d->epoch);
	if (!err)
		err = datafs_control_mounts(d->control, adopt_mount, d);
	if (!err)
		err = datafs_device_held(d->dev, adopt_extent, d);
	return err ? err : datafs_vfs_start(d->vfs, datafs_device_features(d->dev));
}

/*
 * What can fail comes before the hello: a mount that comes after it waits for
 * an answer.
 */
static int open_all(struct daemon *d)
{
	char path[PATH_MAX];
	int err;

	err = open_signals(d);
	if (!err)
		err = datafs_life_begin(&d->life, DATAFS_RUN_DIR, d->cfg.name);
	if (err)
		return err;
	d->have_life = true;
	err = open_dir(d);
	if (!err)
		err = datafs_loop_new(&d->loop);
	if (!err)
		err = datafs_device_open(DEVICE, &d->dev);
	if (!err)
		err = datafs_control_open(d->cfg.name, &d->control);
	if (!err)
		err = datafs_control_open(d->cfg.name, &d->recalls);
	if (!err)
		err = datafs_pool_new(WORKERS, &d->pool);
	if (!err)
		err = open_vfs(d);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/%s.sock", DATAFS_RUN_DIR, d->cfg.name);
	err = datafs_socket_open(path, d->loop, d->pool, commands, d, &d->socket);
	if (err)
		return err;
	d->signal.fn = on_signal;
	d->leave.fn = leave_timer;
	d->counts.fn = counts_timer;
	datafs_loop_on_wake(d->loop, woken, d);
	err = datafs_loop_read(d->loop, &d->signal, d->signal_fd, &d->info,
			       sizeof(d->info));
	if (!err)
		err = check_given_up(d);
	if (!err)
		err = take_over(d);
	if (!err)
		err = check_given_up(d);
	/* Last: it takes what mounts have asked since the hello. */
	if (!err)
		err = datafs_frontend_new(datafs_device_fd(d->dev), d->loop,
					  d->pool, d->vfs, changed, d,
					  &d->frontend);
	if (!err && datafs_device_features(d->dev) & DATAFS_FEATURE_COUNTS)
		err = datafs_loop_timer(d->loop, &d->counts, COUNTS_MS);
	return err;
}

static void close_all(struct daemon *d)
{
	/* A second signal ends a daemon whose store does not answer. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &d->signals, NULL);

	/*
	 * Waiting for the end of one event runs the others' callbacks: those
	 * that use the rooms end before any room does.
	 */
	if (d->loop) {
		datafs_loop_on_wake(d->loop, NULL, NULL);
		datafs_loop_cancel(d->loop, &d->signal);
		datafs_loop_cancel(d->loop, &d->leave);
		datafs_loop_cancel(d->loop, &d->counts);
	}
	datafs_socket_stop(d->socket);
	if (d->frontend)
		datafs_frontend_stop(d->frontend);
	else if (d->vfs)
		/* A job may wait for a quorum elsewhere since the start. */
		datafs_vfs_stop(d->vfs);
	datafs_pool_free(d->pool);
	datafs_frontend_free(d->frontend);
	datafs_socket_free(d->socket);
	datafs_vfs_close(d->vfs);
	datafs_loop_free(d->loop);
	datafs_control_close(d->recalls);
	datafs_control_close(d->control);
	datafs_device_close(d->dev);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	/* Last: the next daemon may begin. */
	if (d->have_life)
		datafs_life_end(&d->life);
	free(d->dir);
}

/* A start that failed has one line of error: the one where it did, or this. */
static void say_why(struct daemon *d, int err)
{
	char error[2];

	datafs_log_last_error(error, sizeof(error));
	if (!*error)
		datafs_log(LOG_ERR, "instance %s: not started: %s", d->cfg.name,
			   strerror(-err));
}

/*
 * Everything is closed: the kernel keeps what is asked until the successor is
 * there. Where a guard watches it is the guard that must become the new program
 * too; any other process that waits for this one sees the same go on.
 */
static int give_way(struct daemon *d)
{
	if (datafs_guard_watches())
		return 0;
	datafs_program_again(d->ready_arg);
	/* Nobody may be there to start another. */
	datafs_program_same(d->ready_arg);
	return 1;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	bool again, taken, lost;
	int err;

	datafs_program_note(argv);
	again = datafs_program_successor();
	d.signal_fd = -1;
	if (datafs_config_parse(&d.cfg, argc, argv)) {
		tell_ready(&d, -EINVAL);
		return 2;
	}
	if (d.cfg.help) {
		datafs_config_usage();
		return 0;
	}
	if (d.cfg.version) {
		datafs_config_version();
		return 0;
	}
	d.ready_arg = d.cfg.ready_fd;
	if (d.cfg.embedded) {
		err = datafs_guard(&again, d.ready_arg);
		if (err)
			datafs_log(LOG_WARNING, "it will not be started again if it dies: %s",
				   strerror(-err));
	}
	/* Who waited for the first one is long gone. */
	if (again && d.cfg.ready_fd >= 0) {
		close(d.cfg.ready_fd);
		d.cfg.ready_fd = -1;
	}
	umask(077);
	if (!d.cfg.foreground && chdir("/"))
		datafs_log(LOG_WARNING, "/: %s", strerror(errno));
	datafs_limits_set();
	d.started = datafs_now();
	err = open_all(&d);
	if (err) {
		say_why(&d, err);
		tell_ready(&d, err);
		close_all(&d);
		/* Who has the name may not be able to serve, and be gone soon. */
		taken = err == -EBUSY && !datafs_life_missed(SYSFS, d.cfg.name);
		return again && taken ? DATAFS_GUARD_TAKEN : 1;
	}
	datafs_log(LOG_INFO, "instance %s: serving, cache of %llu MiB in %s",
		   d.cfg.name, (unsigned long long)d.cache_size >> 20, d.dir);
	tell_ready(&d, 0);
	datafs_guard_ready();
	consider_leaving(&d);
	err = datafs_loop_run(d.loop);
	lost = err;
	if (lost)
		datafs_log(LOG_ERR, "event loop: %s", strerror(-err));
	if (datafs_frontend_lost(d.frontend))
		err = -EIO;
	close_all(&d);
	if (!err && !d.ending && atomic_load(&d.upgrade))
		return give_way(&d);
	return lost ? DATAFS_LOOP_EXIT : err ? 1 : 0;
}
