// SPDX-License-Identifier: Apache-2.0
/*
 * fsopen(2) and its kin, since a filesystem context has a log: what the kernel
 * says there is the message that the user needs.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount_call.h"

/* fsconfig(2) takes strings of less than this. */
#define FSCONFIG_STRING_MAX	256

/*
 * Empty the context's log. Errors are joined in @text; the rest is printed if
 * @verbose says so.
 */
static void read_log(int fs, bool verbose, char *text, size_t size)
{
	char msg[1024];
	size_t used = 0;
	ssize_t n;

	if (size)
		*text = '\0';
	for (;;) {
		n = read(fs, msg, sizeof(msg) - 1);
		if (n < 0 && errno == EMSGSIZE)
			continue;	/* it is gone from the log */
		if (n <= 0)
			return;
		while (n && msg[n - 1] == '\n')
			n--;
		msg[n] = '\0';
		if (n < 2)
			continue;
		if (*msg != 'e') {
			if (verbose)
				warnx("%s", msg + 2);
		} else if (used < size) {
			n = snprintf(text + used, size - used, "%s%s",
				     used ? "; " : "", msg + 2);
			used += (size_t)n;
		}
	}
}

/* One line on what failed with @error: the kernel's if it said something. */
static int failed(int fs, const struct datafs_mount_call *call,
		  const char *what, int error, char *err, size_t errlen)
{
	char text[1024];

	read_log(fs, call->verbose, text, sizeof(text));
	snprintf(err, errlen, "%s: %s (%s)", call->place->dir,
		 *text ? text : what, strerror(error));
	return -error;
}

static int set_param(int fs, const struct datafs_mount_call *call,
		     const struct datafs_mount_param *p, char *err,
		     size_t errlen)
{
	char what[400];
	int ret;

	if (p->value)
		ret = fsconfig(fs, FSCONFIG_SET_STRING, p->key, p->value, 0);
	else
		ret = fsconfig(fs, FSCONFIG_SET_FLAG, p->key, NULL, 0);
	if (!ret)
		return 0;
	snprintf(what, sizeof(what), "option %.100s%s%.200s is refused", p->key,
		 p->value ? "=" : "", p->value ? p->value : "");
	ret = failed(fs, call, what, errno, err, errlen);
	if (ret == -EINVAL && call->sloppy) {
		warnx("%s; it is left out", err);
		return 0;
	}
	return ret;
}

static int set_params(int fs, const struct datafs_mount_call *call, char *err,
		      size_t errlen)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < call->opts->nparams; i++)
		ret = set_param(fs, call, &call->opts->params[i], err, errlen);
	return ret;
}

static int context_mount(const struct datafs_mount_call *call, char *err,
			 size_t errlen)
{
	unsigned int attr = (unsigned int)datafs_mount_opts_attr(call->opts);
	int fs, mnt, ret;

	fs = fsopen("datafs", FSOPEN_CLOEXEC);
	if (fs < 0) {
		ret = -errno;
		snprintf(err, errlen, "%s: %s", call->place->dir,
			 ret == -ENODEV ?
			 "the kernel knows no datafs: modprobe datafs" :
			 strerror(-ret));
		return ret;
	}
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", call->source, 0)) {
		ret = failed(fs, call, "the source is refused", errno, err, errlen);
		goto out;
	}
	ret = set_params(fs, call, err, errlen);
	if (ret)
		goto out;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		ret = failed(fs, call, "the mount is refused", errno, err, errlen);
		goto out;
	}
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, attr);
	if (mnt < 0) {
		ret = failed(fs, call, "fsmount", errno, err, errlen);
		goto out;
	}
	if (move_mount(mnt, "", call->place->fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		ret = failed(fs, call, "cannot mount here", errno, err, errlen);
	else if (call->verbose)
		read_log(fs, true, err, errlen);
	close(mnt);
out:
	close(fs);
	return ret;
}

/* ---------------------------------------------------------- long strings */

static bool needs_mount2(const struct datafs_mount_call *call)
{
	size_t i;

	if (strlen(call->source) >= FSCONFIG_STRING_MAX)
		return true;
	for (i = 0; i < call->opts->nparams; i++)
		if (call->opts->params[i].value &&
		    strlen(call->opts->params[i].value) >= FSCONFIG_STRING_MAX)
			return true;
	return false;
}

static const struct {
	unsigned int attr, mask;
	unsigned long flag;
} attr_flags[] = {
	{ MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY, MS_RDONLY },
	{ MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSUID, MS_NOSUID },
	{ MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV, MS_NODEV },
	{ MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOEXEC, MS_NOEXEC },
	{ MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, MS_NOATIME },
	{ MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, MS_STRICTATIME },
	{ MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME, MS_NODIRATIME },
	{ MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW },
};

/* The parameters as mount(2)'s last argument wants them, or NULL. */
static char *join_params(const struct datafs_mount_opts *o)
{
	const struct datafs_mount_param *p;
	size_t size = 0;
	char *data;
	FILE *f;

	f = open_memstream(&data, &size);
	if (!f)
		return NULL;
	for (p = o->params; p < o->params + o->nparams; p++)
		fprintf(f, "%s%s%s%s", p > o->params ? "," : "", p->key,
			p->value ? "=" : "", p->value ? p->value : "");
	return fclose(f) ? NULL : data;
}

/*
 * mount(2) takes a source as long as a path may be, fsconfig(2) does not. Its
 * messages go to the kernel's log.
 */
static int classic_mount(const struct datafs_mount_call *call, char *err,
			 size_t errlen)
{
	uint64_t attr = datafs_mount_opts_attr(call->opts);
	unsigned long flags = 0;
	char *data, place[32];
	size_t i;
	int ret = 0;

	for (i = 0; i < call->opts->nparams; i++) {
		const struct datafs_mount_param *p = &call->opts->params[i];

		if (p->value && strchr(p->value, ',')) {
			snprintf(err, errlen,
				 "%s: option %.80s has a comma, which cannot be given with a source or an option of %d bytes or more",
				 call->place->dir, p->key, FSCONFIG_STRING_MAX);
			return -EINVAL;
		}
	}
	for (i = 0; i < sizeof(attr_flags) / sizeof(*attr_flags); i++)
		if ((attr & attr_flags[i].mask) == attr_flags[i].attr)
			flags |= attr_flags[i].flag;
	data = join_params(call->opts);
	if (!data)
		return -ENOMEM;
	/* the directory that was checked, whatever its path leads to by now */
	snprintf(place, sizeof(place), "/proc/self/fd/%d", call->place->fd);
	if (mount(call->source, place, "datafs", flags, data)) {
		ret = -errno;
		snprintf(err, errlen, "%s: the mount is refused (%s), dmesg(1) may say why",
			 call->place->dir, strerror(-ret));
	}
	free(data);
	return ret;
}

int datafs_mount_new(const struct datafs_mount_call *call, char *err,
		     size_t errlen)
{
	return needs_mount2(call) ? classic_mount(call, err, errlen) :
				    context_mount(call, err, errlen);
}

int datafs_mount_change(const struct datafs_mount_call *call, char *err,
			size_t errlen)
{
	struct mount_attr attr = { 0 };
	uint64_t set, clr;
	int fs, ret;

	fs = fspick(call->place->fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	if (fs < 0) {
		ret = -errno;
		snprintf(err, errlen, "%s: cannot remount (%s)",
			 call->place->dir, strerror(-ret));
		return ret;
	}
	ret = set_params(fs, call, err, errlen);
	if (!ret && fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0))
		ret = failed(fs, call, "the remount is refused", errno, err, errlen);
	else if (!ret && call->verbose)
		read_log(fs, true, err, errlen);
	close(fs);
	if (ret)
		return ret;

	datafs_mount_opts_remount_attr(call->opts, &set, &clr);
	attr.attr_set = set;
	attr.attr_clr = clr;
	if (mount_setattr(call->place->fd, "", AT_EMPTY_PATH, &attr, sizeof(attr))) {
		ret = -errno;
		snprintf(err, errlen, "%s: cannot change the mount's flags (%s)",
			 call->place->dir, strerror(-ret));
	}
	return ret;
}
