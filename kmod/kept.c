// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: listings that are kept. What a daemon has told of a directory from its
 * first entry to the last, each answer with DATAFS_READDIR_KEEP, answers readdir, and
 * lookup of what is not in it, until it is invalidated.
 *
 * It is one copy of names, numbers and types in the order of their cookies; nothing of
 * it ever changes. It holds as long as a name of its first request's time would, see
 * datafs_entry_confirm(), and as long as this mount changes no name in the directory:
 *
 *   READDIR, sequence 7; names, changed
 *   ...                                     INVALIDATE: name_seq or names go up
 *   READDIR, sequence 9: the rest
 *   kept, of sequence 7                     (in whatever order)
 *   used: older than name_seq? names? changed?
 *
 * So neither who invalidates nor who changes looks for it, and what it says is never
 * put into a dentry but with these numbers.
 *
 * Once names that were listed have left the dcache, it lists no more: one READDIR
 * brings back what would cost a LOOKUP each.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include "datafs.h"
#include "kept.h"

/* Bytes of names and what goes with them; what is longer is not kept. */
#define DATAFS_KEPT_MAX		(16u << 20)
#define DATAFS_KEPT_FIRST	(4u << 10)

/* No memory is no error. It is paid for by who lists. */
#define DATAFS_KEPT_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* The next one begins at a multiple of eight. */
struct datafs_kept_entry {
	u64	cookie;
	u64	ino;
	u8	type;		/* DT_* */
	u8	len;
	char	name[];
};

/**
 * struct datafs_kept - a directory's listing
 * @lru:	in mnt->kept while it is the directory's
 * @ref:	the directory, or who makes it; and each who reads it
 * @di:		the directory
 * @used:	since the shrinker passed it last; attr_lock
 * @names:	the directory's, before the first request
 * @changed:	what datafs_names_begin() said then
 * @pruned:	the directory's, then
 * @seq:	of the first request
 * @until:	datafs_until()
 * @last:	cookie of the last entry
 * @count:	entries
 * @len:	bytes of @entries that are used, of @room
 * @entries:	struct datafs_kept_entry, in the order of their cookies
 * @at:		where each is; NULL until it is complete
 * @bits:	of the number of places in @table
 * @table:	the entries by the hash of their names, from 1; 0: none. In a row if
 *		they meet; behind @at in one allocation.
 */
struct datafs_kept {
	struct list_head	lru;
	refcount_t		ref;
	struct datafs_inode	*di;
	bool			used;
	int			changed;
	int			pruned;
	u64			names;
	u64			seq;
	u64			until;
	u64			last;
	u32			count;
	u32			len;
	u32			room;
	char			*entries;
	u32			*at;
	unsigned int		bits;
	u32			*table;
};

static struct kmem_cache *datafs_kept_cache;

static void datafs_kept_put(struct datafs_kept *kept)
{
	if (!kept || !refcount_dec_and_test(&kept->ref))
		return;
	kvfree(kept->at);
	kvfree(kept->entries);
	kmem_cache_free(datafs_kept_cache, kept);
}

/* ----------------------------------------------------------------- making it */

struct datafs_kept *datafs_kept_begin(struct inode *dir)
{
	struct datafs_inode *di = datafs_i(dir);
	struct datafs_kept *kept;

	kept = kmem_cache_alloc_lru(datafs_kept_cache, &datafs_mnt(dir->i_sb)->kept,
				    DATAFS_KEPT_GFP);
	if (!kept)
		return NULL;
	*kept = (struct datafs_kept) {
		.di = di,
		.changed = datafs_names_begin(dir),
		.pruned = atomic_read(&di->pruned),
		.names = datafs_dir_names(dir),
		.last = DATAFS_ROOT_COOKIE,
		.used = true,
	};
	INIT_LIST_HEAD(&kept->lru);
	refcount_set(&kept->ref, 1);
	return kept;
}

void datafs_kept_abandon(struct datafs_kept *kept)
{
	datafs_kept_put(kept);
}

static int datafs_kept_grow(struct datafs_kept *kept)
{
	u32 room = kept->room ? 2 * kept->room : DATAFS_KEPT_FIRST;
	char *entries;

	if (room > DATAFS_KEPT_MAX)
		return -EFBIG;
	entries = kvmalloc(room, DATAFS_KEPT_GFP);
	if (!entries)
		return -ENOMEM;
	if (kept->len)
		memcpy(entries, kept->entries, kept->len);
	kvfree(kept->entries);
	kept->entries = entries;
	kept->room = room;
	return 0;
}

static u32 datafs_kept_bytes(u32 len)
{
	return round_up(offsetof(struct datafs_kept_entry, name) + len, 8);
}

static int datafs_kept_add(struct datafs_kept *kept, const struct datafs_dirent *ent,
			   const char *name)
{
	u32 bytes = datafs_kept_bytes(ent->namelen);
	struct datafs_kept_entry *e;
	int ret;

	if (kept->len + bytes > kept->room) {
		ret = datafs_kept_grow(kept);
		if (ret)
			return ret;
	}
	e = (struct datafs_kept_entry *)(kept->entries + kept->len);
	e->cookie = ent->cookie;
	e->ino = ent->attr.ino;
	e->type = fs_umode_to_dtype(ent->attr.mode);
	e->len = ent->namelen;
	memcpy(e->name, name, ent->namelen);
	kept->len += bytes;
	kept->count++;
	return 0;
}

bool datafs_kept_take(struct datafs_kept *kept, const struct datafs_request *req,
		      u64 cookie, const struct datafs_readdir_rep *rep, u64 when)
{
	struct datafs_dirent ent;
	const char *name;
	u32 i, pos = 0;

	if (!(rep->flags & DATAFS_READDIR_KEEP) || cookie != kept->last)
		return false;
	if (cookie == DATAFS_ROOT_COOKIE) {
		kept->seq = req->head.seq;
		kept->until = datafs_entry_until(&kept->di->vfs_inode, DATAFS_FOREVER,
						 kept->seq, when);
	}
	for (i = 0; i < rep->count; i++) {
		if (datafs_reply_dirent(req->reply, req->reply_len, &pos, kept->last,
					&ent, &name) ||
		    datafs_kept_add(kept, &ent, name))
			return false;
		kept->last = ent.cookie;
	}
	return true;
}

static const struct datafs_kept_entry *datafs_kept_at(const struct datafs_kept *kept,
						      u32 i)
{
	return (const struct datafs_kept_entry *)(kept->entries + kept->at[i]);
}

static u32 datafs_kept_place(const struct datafs_kept *kept, const char *name, u32 len)
{
	return full_name_hash(kept, name, len) & ((1u << kept->bits) - 1);
}

/* Where each entry is, and by its name. */
static int datafs_kept_index(struct datafs_kept *kept)
{
	const struct datafs_kept_entry *e;
	u32 i, at = 0, place, mask;
	size_t places;

	/* at the most two thirds of them are taken, and one never is */
	kept->bits = order_base_2(kept->count + kept->count / 2 + 1);
	places = (size_t)1 << kept->bits;
	mask = places - 1;
	kept->at = kvcalloc(kept->count + places, sizeof(*kept->at), DATAFS_KEPT_GFP);
	if (!kept->at)
		return -ENOMEM;
	kept->table = kept->at + kept->count;
	for (i = 0; i < kept->count; i++) {
		kept->at[i] = at;
		e = datafs_kept_at(kept, i);
		place = datafs_kept_place(kept, e->name, e->len);
		while (kept->table[place])
			place = (place + 1) & mask;
		kept->table[place] = i + 1;
		at += datafs_kept_bytes(e->len);
	}
	return 0;
}

/* It is out of di->kept and of the shrinker's list; its reference is the caller's. */
static struct datafs_kept *datafs_kept_unlink(struct datafs_inode *di)
{
	struct datafs_kept *kept = di->kept;

	lockdep_assert_held(&di->attr_lock);
	di->kept = NULL;
	if (kept)
		datafs_list_lru_del(&datafs_mnt(di->vfs_inode.i_sb)->kept, &kept->lru);
	return kept;
}

void datafs_kept_publish(struct datafs_kept *kept)
{
	struct datafs_inode *di = kept->di;
	struct datafs_kept *old;

	if (datafs_kept_index(kept)) {
		datafs_kept_put(kept);
		return;
	}
	spin_lock(&di->attr_lock);
	old = datafs_kept_unlink(di);
	di->kept = kept;
	datafs_list_lru_add(&datafs_mnt(di->vfs_inode.i_sb)->kept, &kept->lru);
	spin_unlock(&di->attr_lock);
	datafs_kept_put(old);
}

void datafs_kept_evict(struct datafs_inode *di)
{
	struct datafs_kept *kept;

	spin_lock(&di->attr_lock);
	kept = datafs_kept_unlink(di);
	spin_unlock(&di->attr_lock);
	datafs_kept_put(kept);
}

/* ------------------------------------------------------------------ using it */

static bool datafs_kept_holds(const struct datafs_kept *kept)
{
	const struct inode *dir = &kept->di->vfs_inode;
	const struct datafs_mount *mnt = datafs_mnt(dir->i_sb);

	return datafs_is_valid(mnt, &mnt->entry_policy, kept->until) &&
	       kept->names == datafs_dir_names(dir) &&
	       kept->seq >= READ_ONCE(kept->di->name_seq) &&
	       !datafs_names_changed(dir, kept->changed);
}

/* The directory's, with a reference; NULL: there is none that holds. */
static struct datafs_kept *datafs_kept_get(struct inode *dir)
{
	struct datafs_inode *di = datafs_i(dir);
	struct datafs_kept *kept, *drop = NULL;

	if (!READ_ONCE(di->kept))
		return NULL;
	spin_lock(&di->attr_lock);
	kept = di->kept;
	if (kept && !datafs_kept_holds(kept)) {
		drop = datafs_kept_unlink(di);
		kept = NULL;
	}
	if (kept) {
		refcount_inc(&kept->ref);
		kept->used = true;
	}
	spin_unlock(&di->attr_lock);
	datafs_kept_put(drop);
	return kept;
}

/* Of the first entry whose cookie is above @cookie. */
static u32 datafs_kept_after(const struct datafs_kept *kept, u64 cookie)
{
	u32 low = 0, high = kept->count, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (datafs_kept_at(kept, mid)->cookie > cookie)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

bool datafs_kept_list(struct inode *dir, u64 cookie, struct dir_context *ctx)
{
	struct datafs_kept *kept = datafs_kept_get(dir);
	const struct datafs_kept_entry *e;
	u32 i;

	if (!kept)
		return false;
	if (kept->pruned != atomic_read(&datafs_i(dir)->pruned)) {
		datafs_kept_put(kept);
		return false;
	}
	for (i = datafs_kept_after(kept, cookie); i < kept->count; i++) {
		e = datafs_kept_at(kept, i);
		if (!dir_emit(ctx, e->name, e->len, e->ino, e->type))
			break;
		ctx->pos = e->cookie;
	}
	datafs_kept_put(kept);
	return true;
}

/* Its number; 0: it is not in the listing. */
static u64 datafs_kept_find(const struct datafs_kept *kept, const struct qstr *name)
{
	u32 place = datafs_kept_place(kept, name->name, name->len);
	const struct datafs_kept_entry *e;

	while (kept->table[place]) {
		e = datafs_kept_at(kept, kept->table[place] - 1);
		if (e->len == name->len && !memcmp(e->name, name->name, name->len))
			return e->ino;
		place = (place + 1) & ((1u << kept->bits) - 1);
	}
	return 0;
}

bool datafs_kept_lookup(struct inode *dir, const struct qstr *name,
			struct datafs_kept_name *res)
{
	struct datafs_kept *kept = datafs_kept_get(dir);
	bool known = true;
	u64 ino;

	if (!kept)
		return false;
	*res = (struct datafs_kept_name) {
		.names = kept->names, .seq = kept->seq, .until = kept->until,
	};
	ino = datafs_kept_find(kept, name);
	datafs_kept_put(kept);
	if (ino) {
		res->inode = datafs_ilookup(dir->i_sb, ino);
		known = res->inode && datafs_inode_attr_valid(res->inode);
	}
	if (!known)
		iput(res->inode);
	return known;
}

/* ------------------------------------------------------------- giving it back */

/*
 * The lock of the list_lru is the innermost, and is held here: so only a try of the
 * other. What is in the list is its directory's, hence that is there.
 */
DATAFS_LRU_ISOLATE(datafs_kept_isolate, item, lru, arg)
{
	struct datafs_kept *kept = list_entry(item, struct datafs_kept, lru);
	struct datafs_inode *di = kept->di;
	enum lru_status status = LRU_ROTATE;
	struct list_head *drop = arg;

	if (!spin_trylock(&di->attr_lock))
		return LRU_SKIP;
	if (!kept->used) {
		di->kept = NULL;
		list_lru_isolate_move(lru, item, drop);
		status = LRU_REMOVED;
	}
	kept->used = false;
	spin_unlock(&di->attr_lock);
	return status;
}

unsigned long datafs_kept_count(struct datafs_mount *mnt, struct shrink_control *sc)
{
	return list_lru_shrink_count(&mnt->kept, sc);
}

unsigned long datafs_kept_scan(struct datafs_mount *mnt, struct shrink_control *sc)
{
	struct datafs_kept *kept, *next;
	unsigned long freed;
	LIST_HEAD(drop);

	freed = list_lru_shrink_walk(&mnt->kept, sc, datafs_kept_isolate, &drop);
	list_for_each_entry_safe(kept, next, &drop, lru)
		datafs_kept_put(kept);
	return freed;
}

int datafs_kept_mount(struct datafs_mount *mnt, struct super_block *sb)
{
	return list_lru_init_memcg(&mnt->kept, datafs_sb_shrinker(sb));
}

void datafs_kept_umount(struct datafs_mount *mnt)
{
	list_lru_destroy(&mnt->kept);
}

int datafs_kept_init(void)
{
	datafs_kept_cache = kmem_cache_create("datafs_kept", sizeof(struct datafs_kept),
					      0, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, NULL);
	return datafs_kept_cache ? 0 : -ENOMEM;
}

void datafs_kept_exit(void)
{
	kmem_cache_destroy(datafs_kept_cache);
}
