// SPDX-License-Identifier: Apache-2.0
/*
 * The table is asked for when somebody needs it, and believed until it is recalled or the
 * lease has ended: what the kernel is told by it may be kept as long.
 *
 *   kernel             daemon                            quorum
 *   LOOKUP        ->   epoch 1: the table is asked for ->   granted
 *                      valid in epoch 1              <-   version 7
 *   for ever      <-   a branch's root
 *                      epoch 2                       <-   MOUNTS is recalled
 *   all is asked  <-   INVALIDATE of all
 *   anew               forgotten                     ->   somebody's change goes on
 *   LOOKUP        ->   it is asked for               ->   version 8
 *
 * So mnt->table_epoch is raised before the kernel is told, and what was read before and is
 * answered later is older than what the kernel was told, and not kept. A table that is not
 * believed (no lease; a change is under way) is good for the call that has asked for it,
 * and the kernel keeps no name that was told by it.
 *
 * The same holds for the directories of the quorum on the way to a mount, which are known
 * by their numbers: a name that makes one of them another is recalled as the table is.
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "metad/mounts.h"

/* A listing that is changed all the time: the caller hears of it. */
#define READ_TRIES	100

/* What has been told, and of what: all of it must be kept, or nothing is. */
struct heard {
	struct datafs_told told;
	struct datafs_grant_object o;
	bool believe;
};

struct reading {
	struct vfs_mount *mnt;
	struct datafs_quorum *q;
	uint64_t epoch;
	struct Metad__Answer *piece[DATAFS_METAD_MOUNTS_MAX];
	size_t pieces;
	struct heard *heard;
	size_t n_heard, room;
};

static int hear(struct reading *r, const struct datafs_told *told, bool believe,
		const struct datafs_grant_object *o)
{
	struct heard *more;

	if (r->n_heard == r->room) {
		more = realloc(r->heard, 2 * (r->room + 8) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		r->heard = more;
		r->room = 2 * (r->room + 8);
	}
	r->heard[r->n_heard++] = (struct heard) { *told, *o, believe };
	return 0;
}

static void drop_pieces(struct reading *r)
{
	while (r->pieces)
		metad__answer__free_unpacked(r->piece[--r->pieces], NULL);
	r->n_heard = 0;
}

/* One that has not heard of tables has none. */
static bool is_older(const Metad__Answer *a)
{
	return a->error == EINVAL || a->error == EOPNOTSUPP;
}

/* One piece. 1: it was the last; 0; or an error, -EAGAIN: it is of another version. */
static int read_piece(struct reading *r)
{
	static const struct datafs_grant_object mounts = { .ino = 1, .kind = DATAFS_GRANT_MOUNTS };
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Mounts from = METAD__MOUNTS__INIT;
	const Metad__Answer *last;
	struct datafs_told told;
	Metad__Answer *a;
	int ret;

	q.of_case = METAD__QUERY__OF_MOUNTS;
	q.mounts = &from;
	if (r->pieces == DATAFS_METAD_MOUNTS_MAX)
		return -EIO;
	if (r->pieces) {
		last = r->piece[r->pieces - 1];
		from.has_after = true;
		from.after = last->mounts[last->n_mounts - 1]->path;
	}
	ret = datafs_quorum_ask_told(r->q, &q, &a, &told);
	if (ret)
		return ret;
	r->piece[r->pieces++] = a;
	if (a->error && !is_older(a))
		return -(int)a->error;
	if (a->mounts_version != r->piece[0]->mounts_version)
		return -EAGAIN;
	ret = hear(r, &told, a->believe, &mounts);
	return ret ? ret : a->error || a->eof || !a->n_mounts;
}

static int read_all(struct reading *r)
{
	int ret = 0;

	for (int i = 0; i < READ_TRIES; i++) {
		do
			ret = read_piece(r);
		while (!ret);
		if (ret == 1)
			return 0;
		drop_pieces(r);
		if (ret != -EAGAIN)
			return ret;
	}
	return -EIO;
}

/* What the name of @n leads to in the quorum's directory @dir: *@ino, 0 if it is none. */
static int ask_dir(struct reading *r, uint64_t dir, const struct trie_node *n, uint64_t *ino)
{
	const struct datafs_grant_object o = {
		.ino = dir, .kind = DATAFS_GRANT_NAME, .len = (uint8_t)n->len, .name = n->name,
	};
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Name name = METAD__NAME__INIT;
	struct datafs_told told;
	Metad__Answer *a;
	int ret;

	name.has_parent = name.has_name = true;
	name.parent = dir;
	name.name = (ProtobufCBinaryData) { n->len, (uint8_t *)n->name };
	q.of_case = METAD__QUERY__OF_LOOKUP;
	q.lookup = &name;
	ret = datafs_quorum_ask_told(r->q, &q, &a, &told);
	if (ret)
		return ret;
	*ino = !a->error && a->attr && S_ISDIR(a->attr->mode) ? a->attr->ino : 0;
	/* ESTALE, ENOTDIR: it was changed meanwhile, and is not believed. */
	if (a->error != EIO)
		ret = hear(r, &told, a->believe && (!a->error || a->error == ENOENT), &o);
	else
		ret = -EIO;
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

void vfs_table_learn(struct vfs_mount *mnt, uint64_t epoch, struct trie_node *n, uint64_t ino)
{
	pthread_mutex_lock(&mnt->table_lock);
	if (epoch == mnt->table_epoch || !atomic_load(&n->ino))
		atomic_store(&n->ino, ino);
	pthread_mutex_unlock(&mnt->table_lock);
}

/*
 * Which directories those on the way are. In a branch that follows from an inode's key
 * there, so nothing is asked; only one that was told without being there is looked for.
 */
static int resolve(struct reading *r, struct vfs_table *t)
{
	struct vfs_mount *mnt = r->mnt;
	uint64_t ino, up;
	int ret = 0;

	for (size_t i = 0; !ret && i < t->n_inner; i++) {
		struct trie_node *n = t->inner[i];

		up = n->parent ? atomic_load(&n->parent->ino) : 0;
		if (!n->parent) {
			ino = mnt->root;
		} else {
			ino = 0;
			if (!vfs_table_cover(n) && !(up & DATAFS_META_BRANCH))
				ret = ask_dir(r, up, n, &ino);
			if (!ret && !ino)
				ret = vfs_way_known(mnt, n, &ino);
			/* Then it is asked for by its number, and has one. */
			if (!ret && !ino && !vfs_table_cover(n)) {
				struct datafs_attr attr;

				ret = vfs_way_attr(mnt, n, &attr);
				ino = attr.ino;
			}
		}
		if (!ret)
			vfs_table_learn(mnt, r->epoch, n, ino);
	}
	return ret;
}

/* With mnt->table_lock. */
static bool all_kept(struct reading *r)
{
	for (size_t i = 0; i < r->n_heard; i++)
		if (!vfs_keep(r->mnt, &r->heard[i].told, r->heard[i].believe, &r->heard[i].o))
			return false;
	return r->epoch == r->mnt->table_epoch;
}

int vfs_table_read(struct datafs_quorum *q, struct Metad__Answer *piece[DATAFS_METAD_MOUNTS_MAX],
		   size_t *n)
{
	struct reading *r = calloc(1, sizeof(*r));
	int ret = -ENOMEM;

	if (r) {
		r->q = q;
		ret = read_all(r);
	}
	if (!ret) {
		*n = r->pieces;
		memcpy(piece, r->piece, r->pieces * sizeof(*piece));
	}
	free(r ? r->heard : NULL);
	free(r);
	return ret;
}

/* The last one gets a reference; NULL: there is none. */
struct vfs_table *vfs_table_last(struct vfs_mount *mnt)
{
	struct vfs_table *t;

	pthread_mutex_lock(&mnt->table_lock);
	t = mnt->table;
	if (t)
		t->refs++;
	pthread_mutex_unlock(&mnt->table_lock);
	return t;
}

void vfs_table_put(struct vfs_mount *mnt, struct vfs_table *t)
{
	bool last;

	if (!t)
		return;
	pthread_mutex_lock(&mnt->table_lock);
	last = !--t->refs;
	pthread_mutex_unlock(&mnt->table_lock);
	if (last)
		vfs_table_free(t);
}

/*
 * The one that was read, which becomes the last one unless that is newer: *@t with a
 * reference. One at a time, so that a branch of a version is one.
 */
static int publish(struct reading *r, struct vfs_table **t)
{
	struct vfs_mount *mnt = r->mnt;
	struct vfs_table *old, *new = NULL;
	int ret = 0;

	pthread_mutex_lock(&mnt->table_building);
	old = vfs_table_last(mnt);
	if (old && old->version >= r->piece[0]->mounts_version) {
		*t = old;
	} else {
		ret = vfs_table_build(mnt, r->piece, r->pieces, old, &new);
		if (!ret) {
			pthread_mutex_lock(&mnt->table_lock);
			mnt->table = new;
			new->refs++;
			pthread_mutex_unlock(&mnt->table_lock);
			/* That of mnt->table. */
			vfs_table_put(mnt, old);
			*t = new;
		}
		vfs_table_put(mnt, old);
	}
	pthread_mutex_unlock(&mnt->table_building);
	return ret;
}

static int read_table(struct vfs_mount *mnt, struct vfs_table_use *use)
{
	struct reading *r = calloc(1, sizeof(*r));
	int ret = r ? vfs_quorum_of(mnt, &r->q) : -ENOMEM;

	use->t = NULL;
	if (!ret) {
		r->mnt = mnt;
		pthread_mutex_lock(&mnt->table_lock);
		r->epoch = mnt->table_epoch;
		pthread_mutex_unlock(&mnt->table_lock);
		ret = read_all(r);
	}
	if (!ret)
		ret = publish(r, &use->t);
	if (!ret)
		ret = resolve(r, use->t);
	if (!ret) {
		pthread_mutex_lock(&mnt->table_lock);
		use->believed = all_kept(r);
		use->epoch = r->epoch;
		if (use->believed)
			use->t->valid = r->epoch;
		pthread_mutex_unlock(&mnt->table_lock);
	}
	if (r)
		drop_pieces(r);
	free(r ? r->heard : NULL);
	free(r);
	if (ret && use->t)
		vfs_table_put(mnt, use->t);
	return ret;
}

int vfs_table_get(struct vfs_mount *mnt, struct vfs_table_use *use)
{
	struct datafs_quorum *q = atomic_load(&mnt->quorum);

	pthread_mutex_lock(&mnt->table_lock);
	use->t = mnt->table;
	use->epoch = mnt->table_epoch;
	use->believed = q && use->t && use->t->valid == mnt->table_epoch;
	if (use->believed)
		use->t->refs++;
	pthread_mutex_unlock(&mnt->table_lock);
	if (use->believed && (!mnt->members || datafs_quorum_until(q) > datafs_now()))
		return 0;
	if (use->believed)
		vfs_table_put(mnt, use->t);
	return read_table(mnt, use);
}

void vfs_table_doubt(struct vfs_mount *mnt)
{
	pthread_mutex_lock(&mnt->table_lock);
	mnt->table_epoch++;
	pthread_mutex_unlock(&mnt->table_lock);
}

/* Does it make another directory of one on the way to a mount? With mnt->table_lock. */
static bool on_the_way(const struct vfs_mount *mnt, const struct datafs_grant_object *o)
{
	const struct vfs_table *t = mnt->table;
	struct trie_node *n;

	for (size_t i = 0; i < t->n_inner; i++) {
		n = t->inner[i];
		if (n->parent && atomic_load(&n->parent->ino) == o->ino &&
		    (!o->len || (o->len == n->len && !memcmp(o->name, n->name, n->len))))
			return true;
	}
	return false;
}

bool vfs_table_touched(struct vfs_mount *mnt, const struct datafs_grant_object *objects,
		       unsigned int n)
{
	bool known, res = false;

	if (mnt->tree != &vfs_tree_quorum)
		return false;
	pthread_mutex_lock(&mnt->table_lock);
	known = mnt->table && mnt->table->valid == mnt->table_epoch;
	for (unsigned int i = 0; i < n && !res; i++)
		switch (objects[i].kind) {
		case DATAFS_GRANT_MOUNTS:
			res = true;
			break;
		case DATAFS_GRANT_NAME:
		case DATAFS_GRANT_NAMES:
			res = known && on_the_way(mnt, &objects[i]);
			break;
		default:
			break;
		}
	/* Of one elsewhere datafs_quorum_keep() knows what is asked for just now. */
	if (res || (!known && !mnt->members))
		mnt->table_epoch++;
	pthread_mutex_unlock(&mnt->table_lock);
	return res;
}

void vfs_table_exit(struct vfs_mount *mnt)
{
	struct vfs_table *t;

	/* Whoever counts what mounts have asked of stores may still look. */
	pthread_mutex_lock(&mnt->table_lock);
	t = mnt->table;
	mnt->table = NULL;
	pthread_mutex_unlock(&mnt->table_lock);
	if (t)
		vfs_table_free(t);
}
