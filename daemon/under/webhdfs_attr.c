// SPDX-License-Identifier: Apache-2.0
/* Owners are names there and numbers here; times are milliseconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http_text.h"
#include "webhdfs_internal.h"

#define NSS_ROOM	16384

static bool is_number(const char *name, uint32_t *id)
{
	char *end;
	unsigned long n;

	if (*name < '0' || *name > '9')
		return false;
	errno = 0;
	n = strtoul(name, &end, 10);
	*id = n;
	return !errno && !*end && n < UINT32_MAX;
}

static uint32_t uid_of(const char *name, uint32_t otherwise)
{
	char room[NSS_ROOM];
	struct passwd pw, *res = NULL;
	uint32_t id;

	if (!getpwnam_r(name, &pw, room, sizeof(room), &res) && res)
		return pw.pw_uid;
	return is_number(name, &id) ? id : otherwise;
}

static uint32_t gid_of(const char *name, uint32_t otherwise)
{
	char room[NSS_ROOM];
	struct group gr, *res = NULL;
	uint32_t id;

	if (!getgrnam_r(name, &gr, room, sizeof(room), &res) && res)
		return gr.gr_gid;
	return is_number(name, &id) ? id : otherwise;
}

/* Most of a directory is of one owner. */
static void owners(const struct webhdfs *s, const struct webhdfs_status *from,
		   struct webhdfs_owners *o)
{
	if (!*o->user || strcmp(o->user, from->owner)) {
		snprintf(o->user, sizeof(o->user), "%s", from->owner);
		o->uid = uid_of(from->owner, s->u.opts->uid);
	}
	if (!*o->group || strcmp(o->group, from->group)) {
		snprintf(o->group, sizeof(o->group), "%s", from->group);
		o->gid = gid_of(from->group, s->u.opts->gid);
	}
}

static struct timespec time_of(int64_t ms)
{
	return (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
}

void datafs_webhdfs_attributes(const struct webhdfs *s, const struct webhdfs_status *from,
			       const struct timespec *seen, struct webhdfs_owners *o,
			       struct datafs_under_stat *st)
{
	owners(s, from, o);
	*st = (struct datafs_under_stat){
		.file_id = from->file_id,
		.size = from->length,
		.blocks = datafs_round_up(from->length, 512) / 512,
		.atime = time_of(from->atime ? from->atime : from->mtime),
		.mtime = time_of(from->mtime),
		.ctime = time_of(from->mtime),
		.mode = (from->dir ? S_IFDIR : S_IFREG) | from->mode,
		.nlink = 1,
		.uid = o->uid,
		.gid = o->gid,
		.fp.v = { from->file_id, from->length, from->mtime, from->dir },
		.seen = *seen,
	};
}

static int change(struct webhdfs *s, const char *key, const char *op)
{
	struct webhdfs_call c = { DATAFS_UNDER_M_PUT, "PUT", key, op, false };
	bool yes;

	return datafs_webhdfs_do(s, &c, &yes, NULL);
}

static int set_owner(struct webhdfs *s, const char *key, const struct datafs_under_attr *attr)
{
	char room[NSS_ROOM], number[16];
	struct datafs_text op = { 0 };
	struct passwd pw, *u = NULL;
	struct group gr, *g = NULL;
	int err;

	if (attr->uid == UINT32_MAX && attr->gid == UINT32_MAX)
		return 0;
	datafs_text_puts(&op, "SETOWNER");
	if (attr->uid != UINT32_MAX) {
		snprintf(number, sizeof(number), "%u", attr->uid);
		getpwuid_r(attr->uid, &pw, room, sizeof(room), &u);
		datafs_text_puts(&op, "&owner=");
		datafs_text_percent(&op, u ? pw.pw_name : number, false);
	}
	if (attr->gid != UINT32_MAX) {
		snprintf(number, sizeof(number), "%u", attr->gid);
		getgrgid_r(attr->gid, &gr, room, sizeof(room), &g);
		datafs_text_puts(&op, "&group=");
		datafs_text_percent(&op, g ? gr.gr_name : number, false);
	}
	err = op.failed ? -ENOMEM : change(s, key, op.s);
	datafs_text_free(&op);
	return err;
}

int datafs_webhdfs_set(struct webhdfs *s, const char *key, const struct datafs_under_attr *attr,
		       bool dir)
{
	char op[96];
	int err;

	/* It has no bits that change who runs a program; to leave them out would not be honest. */
	if (attr->mode & 06000)
		return -EOPNOTSUPP;
	err = set_owner(s, key, attr);
	snprintf(op, sizeof(op), "SETPERMISSION&permission=%o", attr->mode & 01777);
	if (!err)
		err = change(s, key, op);
	if (err || dir)
		return err;
	snprintf(op, sizeof(op), "SETTIMES&modificationtime=%" PRId64 "&accesstime=-1",
		 (int64_t)attr->mtime.tv_sec * 1000 + attr->mtime.tv_nsec / 1000000);
	return change(s, key, op);
}
