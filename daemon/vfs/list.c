// SPDX-License-Identifier: Apache-2.0
/* Directories of an under-store are listed, a page at a time, and what is in them is known. */
#define _GNU_SOURCE
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "looks.h"
#include "share.h"

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
			vfs_sync_name(mnt, &ticket);
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
		return err ? err : vfs_look(mnt, key, st);
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

int vfs_list(struct vfs_mount *mnt, uint64_t dir, uint64_t cookie, int64_t fresh,
	     datafs_meta_entry_fn fn, void *arg, bool *eof)
{
	struct datafs_meta_ticket ticket;
	int ret, tries = 0;
	bool end;

	while (tries < VFS_SYNC_TRIES) {
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
