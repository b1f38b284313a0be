// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "looks.h"
#include "share.h"

/*
 * How often what was just synced may turn out to be out of date again (an
 * inode that loses one name after the other) before the caller hears of it.
 */
#define SYNC_TRIES	16

int64_t vfs_fresh(const struct vfs_mount *mnt)
{
	int64_t sync = mnt->options.sync, fresh;
	int64_t not_before = atomic_load(&mnt->not_before);

	if (sync == DATAFS_SYNC_NEVER)
		return not_before;
	/* Never 0: that would take what is known from before a restart. */
	fresh = DATAFS_MAX(datafs_now() - sync, 1);
	return DATAFS_MAX(fresh, not_before);
}

/* For how long is good what was seen at @synced? */
static uint32_t valid_ms(const struct vfs_mount *mnt, int64_t synced)
{
	int64_t sync = mnt->options.sync, left;

	if (sync == DATAFS_SYNC_NEVER)
		return DATAFS_FOREVER;
	left = (synced + sync - datafs_now()) / DATAFS_MSEC;
	if (sync == DATAFS_SYNC_ALWAYS)
		return 0;
	/* Never 0, which means more than that it has expired. */
	if (left <= 0)
		return 1;
	return DATAFS_MIN(left, DATAFS_FOREVER - 1);
}

void vfs_attr(const struct vfs_mount *mnt, const struct datafs_meta_inode *in,
	      struct datafs_attr *attr)
{
	const struct datafs_under_stat *st = &in->st;

	*attr = (struct datafs_attr) {
		.ino = in->ino, .content = in->content,
		.size = DATAFS_MIN(st->size, (uint64_t)INT64_MAX),
		.blocks = st->blocks,
		.atime = st->atime.tv_sec, .atime_ns = st->atime.tv_nsec,
		.mtime = st->mtime.tv_sec, .mtime_ns = st->mtime.tv_nsec,
		.ctime = st->ctime.tv_sec, .ctime_ns = st->ctime.tv_nsec,
		.mode = st->mode, .nlink = DATAFS_MAX(st->nlink, 1u),
		.uid = st->uid, .gid = st->gid,
		.flags = (st->has_xattr ? DATAFS_ATTR_XATTR : 0) |
			 (st->has_acl ? DATAFS_ATTR_ACL : 0) |
			 (st->has_btime ? DATAFS_ATTR_BTIME : 0),
		.valid_ms = valid_ms(mnt, in->synced),
	};
	if (st->has_btime) {
		attr->btime = st->btime.tv_sec;
		attr->btime_ns = st->btime.tv_nsec;
	}
	if (S_ISBLK(st->mode) || S_ISCHR(st->mode)) {
		attr->rdev_major = st->rdev_major;
		attr->rdev_minor = st->rdev_minor;
	}
}

static void entry_of(const struct vfs_mount *mnt,
		     const struct datafs_meta_inode *in,
		     struct datafs_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	if (in->ino)
		vfs_attr(mnt, in, &entry->attr);
	entry->valid_ms = valid_ms(mnt, in->name_synced);
}

/* Does the errno say that a key does not lead to anything any more? */
static bool key_lost(int err)
{
	return err == -ENOENT || err == -ENOTDIR || err == -ELOOP ||
	       err == -ESTALE;
}

int vfs_lost(struct vfs_mount *mnt, uint64_t ino, int err)
{
	struct datafs_meta_inode in;
	int ret;

	if (!key_lost(err))
		return err;
	ret = vfs_getattr(mnt, ino, datafs_now(), &in);
	if (ret)
		return ret;
	/* It is there, so it was another that was not. */
	return err == -ENOENT ? -ESTALE : err;
}

/* Looks at @key in the under-store. */
static int look(struct vfs_mount *mnt, const char *key,
		struct datafs_under_stat *st)
{
	struct datafs_under *u;
	int err = vfs_under(mnt, &u);

	if (err)
		return err;
	return datafs_under_stat(u, key, st);
}

/* Looks at what a ticket of one name asks for, and imports it. */
static int sync_name(struct vfs_mount *mnt,
		     const struct datafs_meta_ticket *ticket)
{
	struct datafs_meta *meta = mnt->v->meta;
	struct datafs_under_stat st;
	int64_t looked;
	char *key;
	int err, ret;

	err = datafs_meta_ticket_key(meta, ticket, &key);
	if (err) {
		datafs_meta_import(meta, ticket, 0, err, NULL);
		return err;
	}
	looked = datafs_now();
	err = look(mnt, key, &st);
	free(key);
	ret = datafs_meta_import(meta, ticket, looked, err, &st);
	if (!*ticket->name)	/* the root */
		return err ? err : ret == -EAGAIN ? 0 : ret;
	/* Something on the way is no directory now: find out what. */
	if (err == -ENOTDIR || err == -ELOOP)
		return vfs_lost(mnt, ticket->dir, err);
	if (err && err != -ENOENT)
		return err;
	return ret == -EAGAIN ? 0 : ret;
}

/* How far a directory is listed, and since when. */
struct list_state {
	char *key;		/* the directory's */
	int64_t looked;
	struct datafs_under_place place;
	struct vfs_share *share;	/* NULL: of this daemon alone */
};

static void list_state_free(void *arg)
{
	struct list_state *s = arg;

	vfs_share_free(s->share);
	free(s->key);
	free(s);
}

struct list_arg {
	struct datafs_meta_listing *listing;
	struct vfs_looks *looks;	/* NULL: the store looks at what it lists */
	struct vfs_share *share;	/* it is put there; NULL: it is not */
};

static int list_add(void *arg, const char *name, const struct datafs_under_stat *st)
{
	struct list_arg *a = arg;

	vfs_share_add(a->share, name, st);
	return datafs_meta_list_add(a->listing, name, st);
}

/* Looks at what has come together. */
static int list_look(struct list_arg *a)
{
	struct vfs_looks *l = a->looks;
	int err = 0;

	vfs_looks_go(l);
	for (unsigned int i = 0; i < l->n && !err; i++) {
		const struct vfs_look *look = &l->looks[i];

		if (look->err == -ENOMEM)
			err = -ENOMEM;
		else if (look->err != -ENOENT)	/* else it is gone meanwhile */
			err = list_add(a, look->name, look->err ? NULL : &look->st);
	}
	l->n = 0;
	return err;
}

static int list_entry(void *arg, const char *name,
		      const struct datafs_under_stat *st)
{
	struct list_arg *a = arg;

	if (st || !a->looks)
		return list_add(a, name, st);
	strcpy(a->looks->looks[a->looks->n++].name, name);
	return a->looks->n < VFS_LOOKS_MAX ? 0 : list_look(a);
}

/*
 * A directory that changed while it was listed: what is known and was not listed
 * is looked at, name by name. Of an error nothing is concluded.
 */
static int sync_unseen(struct vfs_mount *mnt, uint64_t dir, int64_t looked,
		       struct datafs_meta_listing *listing)
{
	struct datafs_meta *meta = mnt->v->meta;
	char name[DATAFS_NAME_MAX + 1] = "";
	struct datafs_meta_ticket ticket;
	struct datafs_meta_inode in;
	int ret;

	while ((ret = datafs_meta_list_unseen(listing, name)) == 1)
		if (datafs_meta_lookup(meta, dir, name, looked, &in,
				       &ticket) == DATAFS_META_SYNC)
			sync_name(mnt, &ticket);
	return ret;
}

/*
 * What the directory at @key is, before and after it is listed. Where directories have no
 * state it is what is known of it: listing it says whether it is there, and a look would
 * be one more request.
 */
static int look_at_dir(struct vfs_mount *mnt, uint64_t dir, const char *key,
		       struct datafs_under_stat *st)
{
	struct datafs_meta_inode in;
	struct datafs_under *u;
	int err = vfs_under(mnt, &u);

	if (err || datafs_under_caps(u) & DATAFS_UNDER_ATTRS)
		return err ? err : look(mnt, key, st);
	err = datafs_meta_peek(mnt->v->meta, dir, &in);
	*st = in.st;
	return err;
}

/* Of the store. What it tells is there for others when this returns. */
static int ask_page(struct datafs_under *u, struct list_state *state,
		    struct datafs_meta_listing *listing)
{
	struct list_arg arg = { .listing = listing, .share = state->share };
	int err, ret;

	if (!(datafs_under_caps(u) & DATAFS_UNDER_ATTRS)) {
		arg.looks = malloc(sizeof(*arg.looks));
		if (!arg.looks)
			return -ENOMEM;
		arg.looks->u = u;
		arg.looks->key = state->key;
		arg.looks->n = 0;
	}
	err = datafs_under_list(u, state->key, &state->place, list_entry, &arg);
	/* What was taken before it ended, or broke off. */
	ret = arg.looks ? list_look(&arg) : 0;
	free(arg.looks);
	err = ret ? ret : err;
	if (err == DATAFS_UNDER_STOP)
		vfs_share_flush(state->share);
	else
		vfs_share_end(state->share, err);
	return err;
}

/* Of another daemon, that has looked at it. */
static int take_page(struct list_state *state, struct datafs_meta_listing *listing)
{
	struct list_arg arg = { .listing = listing };

	return vfs_share_next(state->share, list_add, &arg);
}

/* A page more of a listing: DATAFS_UNDER_STOP, there is more; 0, that was the end; or an error. */
static int list_page(struct vfs_mount *mnt, uint64_t dir, struct list_state *state,
		     struct datafs_meta_listing *listing)
{
	struct datafs_under_stat st;
	struct datafs_under *u;
	int err;

	err = vfs_under(mnt, &u);
	if (err)
		return err;
	err = state->share && vfs_share_follows(state->share) ? take_page(state, listing) :
								ask_page(u, state, listing);
	if (!err)
		err = look_at_dir(mnt, dir, state->key, &st);
	if (!err && !datafs_meta_list_whole(listing, &st))
		err = sync_unseen(mnt, dir, state->looked, listing);
	return err;
}

/* Goes on with a listing, which has it then or is ended, and so is @state. */
static int list_on(struct vfs_mount *mnt, uint64_t dir, struct list_state *state,
		   struct datafs_meta_listing *listing)
{
	int err = list_page(mnt, dir, state, listing), ret;

	if (err == DATAFS_UNDER_STOP) {
		datafs_meta_list_pause(listing, state, list_state_free);
		return 0;
	}
	vfs_share_end(state->share, err);
	list_state_free(state);
	ret = datafs_meta_list_end(listing, err);
	err = err ? err : ret;
	if (err == -EAGAIN)
		return 0;
	return err ? vfs_lost(mnt, dir, err) : 0;
}

/* The next page of a listing that is under way. */
static int list_more(struct vfs_mount *mnt, uint64_t dir)
{
	struct datafs_meta_listing *listing;
	struct list_state *state;
	char *key = NULL;
	bool goes_on;
	void *held;
	int err;

	err = datafs_meta_list_resume(mnt->v->meta, dir, &listing, &held);
	if (err)
		return err == -EAGAIN ? 0 : err;
	state = held;
	goes_on = vfs_share_goes_on(state->share, mnt);
	err = datafs_meta_key(mnt->v->meta, dir, &key);
	/* What has moved is listed from its beginning. */
	if (err || !goes_on || strcmp(key, state->key)) {
		err = err ? err : -EAGAIN;
		vfs_share_end(state->share, err);
		list_state_free(state);
		datafs_meta_list_end(listing, err);
		err = err == -EAGAIN ? 0 : err;
	} else {
		err = list_on(mnt, dir, state, listing);
	}
	free(key);
	return err;
}

static int sync_list(struct vfs_mount *mnt, int64_t fresh,
		     const struct datafs_meta_ticket *ticket)
{
	struct list_state *state = calloc(1, sizeof(*state));
	struct datafs_meta *meta = mnt->v->meta;
	struct datafs_meta_listing *listing;
	struct datafs_under_stat st;
	int err;

	err = state ? datafs_meta_ticket_key(meta, ticket, &state->key) : -ENOMEM;
	if (err) {
		free(state);
		datafs_meta_import(meta, ticket, 0, err, NULL);
		return err;
	}
	state->place.by_page = true;
	state->share = vfs_share_begin(mnt, state->key, fresh);
	state->looked = state->share && vfs_share_follows(state->share) ?
			vfs_share_looked(state->share) : datafs_now();
	err = look_at_dir(mnt, ticket->dir, state->key, &st);
	if (err)
		datafs_meta_import(meta, ticket, state->looked, err, NULL);
	else
		err = datafs_meta_list_begin(meta, ticket, state->looked, &st, &listing);
	if (!err)
		return list_on(mnt, ticket->dir, state, listing);
	vfs_share_end(state->share, err);
	list_state_free(state);
	return err == -EAGAIN ? 0 : vfs_lost(mnt, ticket->dir, err);
}

int vfs_getattr(struct vfs_mount *mnt, uint64_t ino, int64_t fresh,
		struct datafs_meta_inode *res)
{
	struct datafs_meta_ticket ticket;
	int ret;

	for (int i = 0; i < SYNC_TRIES; i++) {
		ret = datafs_meta_getattr(mnt->v->meta, ino, fresh, res,
					  &ticket);
		if (ret == DATAFS_META_SYNC) {
			ret = sync_name(mnt, &ticket);
			if (!ret)
				continue;
		}
		if (!ret && res->root != mnt->root)
			ret = -ESTALE;
		return ret == -ENOENT ? -ESTALE : ret;
	}
	datafs_log(LOG_WARNING, "mount %u: inode %llu changes faster than it can be looked at",
		   mnt->id, (unsigned long long)ino);
	return -EIO;
}

int vfs_op_getattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_meta_inode in;
	int ret;

	ret = vfs_getattr(mnt, call->req->ino, vfs_fresh(mnt), &in);
	if (ret)
		return ret;
	vfs_attr(mnt, &in, call->out);
	call->out_len = sizeof(struct datafs_attr);
	return 0;
}

/* Is the directory asked about one of this mount? */
static int check_dir(struct vfs_mount *mnt, uint64_t ino)
{
	struct datafs_meta_inode in;
	int ret = datafs_meta_peek(mnt->v->meta, ino, &in);

	if (ret)
		return ret;
	if (in.root != mnt->root)
		return -ESTALE;
	return S_ISDIR(in.st.mode) ? 0 : -ENOTDIR;
}

int vfs_lookup(struct vfs_mount *mnt, struct datafs_call *call)
{
	int64_t fresh = vfs_fresh(mnt);
	struct datafs_meta_ticket ticket;
	struct datafs_meta_inode in;
	int ret;

	ret = check_dir(mnt, call->req->ino);
	for (int i = 0; !ret && i < SYNC_TRIES; i++) {
		ret = datafs_meta_lookup(mnt->v->meta, call->req->ino,
					 call->name, fresh, &in, &ticket);
		if (ret == DATAFS_META_ANSWER) {
			entry_of(mnt, &in, call->out);
			call->out_len = sizeof(struct datafs_entry);
			return 0;
		}
		if (ret == DATAFS_META_SYNC)
			ret = sync_name(mnt, &ticket);
	}
	return ret ? ret : -EIO;
}

int vfs_parent(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_meta_inode in;
	uint64_t parent;
	int ret;

	ret = check_dir(mnt, call->req->ino);
	if (!ret)
		ret = datafs_meta_parent(mnt->v->meta, call->req->ino, &parent);
	if (!ret)
		ret = vfs_getattr(mnt, parent, vfs_fresh(mnt), &in);
	if (ret)
		return ret;
	entry_of(mnt, &in, call->out);
	call->out_len = sizeof(struct datafs_entry);
	return 0;
}

struct readdir_arg {
	const struct vfs_mount *mnt;
	char *out;
	size_t len, max;
	uint32_t count;
};

static int readdir_entry(void *arg, uint64_t cookie, const char *name,
			 const struct datafs_meta_inode *in)
{
	struct readdir_arg *a = arg;
	struct datafs_dirent *de = (void *)(a->out + a->len);
	size_t namelen = strlen(name);
	size_t padded = datafs_round_up(namelen, 8);

	if (a->len + sizeof(*de) + padded > (a->count ? a->max :
					     DATAFS_REPLY_MAX))
		return 1;
	memset(de, 0, sizeof(*de));
	de->cookie = cookie;
	de->valid_ms = valid_ms(a->mnt, in->name_synced);
	de->namelen = namelen;
	vfs_attr(a->mnt, in, &de->attr);
	memset((char *)(de + 1) + namelen, 0, padded - namelen);
	memcpy(de + 1, name, namelen);
	a->len += sizeof(*de) + padded;
	a->count++;
	return 0;
}

int vfs_list(struct vfs_mount *mnt, uint64_t dir, uint64_t cookie, int64_t fresh,
	     datafs_meta_entry_fn fn, void *arg, bool *eof)
{
	struct datafs_meta_ticket ticket;
	int ret, tries = 0;
	bool end;

	while (tries < SYNC_TRIES) {
		ret = datafs_meta_readdir(mnt->v->meta, dir, cookie, fresh, fn,
					  arg, eof ? eof : &end, &ticket);
		if (ret == DATAFS_META_MORE) {
			ret = list_more(mnt, dir);
		} else if (ret == DATAFS_META_SYNC) {
			ret = sync_list(mnt, fresh, &ticket);
			tries++;
		} else {
			return ret;
		}
		if (ret)
			return ret;
	}
	return -EIO;
}

int vfs_readdir(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_readdir_req *req = call->body;
	struct datafs_readdir_rep *rep = call->out;
	size_t max = DATAFS_MIN(req->max, DATAFS_MSG_MAX);
	struct readdir_arg arg = {
		.mnt = mnt, .out = call->out, .len = sizeof(*rep),
	};
	bool eof;
	int ret;

	if (req->cookie >= INT64_MAX)
		return -EINVAL;
	/* @max counts the reply's head, which is not in @out. */
	arg.max = max - DATAFS_MIN(max, sizeof(struct datafs_rep));
	ret = check_dir(mnt, call->req->ino);
	if (!ret)
		ret = vfs_list(mnt, call->req->ino, req->cookie, vfs_fresh(mnt),
			       readdir_entry, &arg, &eof);
	if (ret)
		return ret;
	rep->count = arg.count;
	rep->flags = eof ? DATAFS_READDIR_EOF : 0;
	call->out_len = arg.len;
	return 0;
}
