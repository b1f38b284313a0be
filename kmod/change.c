// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: changes of the namespace: asking for one, and what is known after it.
 *
 * The daemon makes each change once, by its id, however often it is sent. What it
 * answers is published by who waits for it, with the locks of the VFS. If that one
 * is killed the request goes on, for it must be known when it is over: before
 * that, whoever asks may be told of the time before it.
 *
 *   waiter                  daemon                  somebody else
 *   UNLINK is read
 *   killed: left
 *                                                   LOOKUP: there, for ever
 *                           done, answered
 *   (nobody) ended():
 *     the name and all attributes are asked for again
 */
#include <linux/dcache.h>
#include <linux/slab.h>
#include "change.h"

/* struct datafs_change - @private of its request; references until it is ended */
struct datafs_change {
	struct datafs_about	about;
	struct datafs_change_want want;
	u32			name_at;	/* in the body */
	u32			more_at;
	u32			more_len;
	bool			leased;	/* others may see it before it is answered */
};

static u32 datafs_change_pad(u32 len)
{
	return round_up(len, 8);
}

/* ------------------------------------------------------------- under way */

/*
 * A change is under way until its request is over, and until its waiter has published
 * what became of it, or has left: two ends, in any order.
 */
#define DATAFS_CHANGE_ENDS	2

static void datafs_names_ended(struct inode *dir)
{
	atomic_inc(&datafs_i(dir)->changed);
	smp_mb__after_atomic();	/* before names are looked for; datafs_names_changed() */
}

static void datafs_names_end(struct inode *dir)
{
	datafs_names_ended(dir);
	atomic_dec(&datafs_i(dir)->changing);
}

static void datafs_change_one_end(const struct datafs_change *ch,
				  const struct datafs_about *about)
{
	struct inode *of[] = {
		about->dir, about->new_dir, about->node, about->other,
	};
	int i;

	if (about->dir)
		datafs_names_end(about->dir);
	if (about->new_dir)
		datafs_names_end(about->new_dir);
	for (i = 0; ch->leased && i < ARRAY_SIZE(of); i++)
		if (of[i])
			datafs_inode_change_end(of[i]);
}

/* ------------------------------------------------------------ forgetting */

/* The names are asked for anew, and what is being answered is not kept. */
static void datafs_change_expire(struct datafs_request *req,
				 const struct datafs_about *about)
{
	const struct datafs_change *ch = req->private;
	const char *body = (const char *)req->body;

	datafs_entry_expire(about->dir, body + ch->name_at, req->head.namelen);
	if (req->head.opcode == DATAFS_OP_RENAME)
		datafs_entry_expire(about->new_dir ?: about->dir,
				    body + ch->more_at, ch->more_len);
}

/*
 * What became of the change is not known. Waits, if at all, for reads of backing
 * files: a content that is being published holds update_lock.
 */
static void datafs_change_forget(struct datafs_request *req,
				 const struct datafs_about *about)
{
	struct inode *of[] = {
		about->dir, about->new_dir, about->node, about->other,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(of); i++)
		if (of[i])
			datafs_inode_changed(of[i], NULL, 0, 0);
	if (!about->dir)
		return;
	datafs_names_ended(about->dir);
	if (about->new_dir)
		datafs_names_ended(about->new_dir);
	datafs_change_expire(req, about);
}

/*
 * The answer that nobody waits for says of what was removed while it is open that
 * it has no name any more. That must be known: it is held, and not asked for again.
 */
static void datafs_change_removed(struct datafs_request *req,
				  const struct datafs_change *ch)
{
	struct datafs_change_rep rep;

	if (req->error ||
	    datafs_reply_change(req->reply, req->reply_len, &ch->want, &rep))
		return;
	if (ch->about.node && !rep.node.attr.nlink)
		datafs_inode_removed(ch->about.node);
	if (ch->about.other && !rep.other.nlink)
		datafs_inode_removed(ch->about.other);
}

static void datafs_change_drop(struct datafs_change *ch)
{
	iput(ch->about.dir);
	iput(ch->about.new_dir);
	iput(ch->about.node);
	iput(ch->about.other);
}

/* Is over: whoever waited for it has not been told yet. */
static void datafs_change_ended(struct datafs_request *req)
{
	struct datafs_change *ch = req->private;

	if (req->left || !req->epoch)
		datafs_change_forget(req, &ch->about);
	if (req->left)
		datafs_change_removed(req, ch);
	datafs_change_one_end(ch, &ch->about);
	datafs_change_drop(ch);
}

/* ----------------------------------------------------------------- asking */

struct datafs_request *datafs_change_alloc(enum datafs_opcode op,
					   struct inode *inode, u32 fixed,
					   const struct qstr *name,
					   const void *more, u32 more_len)
{
	u32 namelen = name ? name->len : 0;
	struct datafs_request *req;
	struct datafs_change *ch;

	ch = kzalloc(sizeof(*ch), GFP_KERNEL);
	if (!ch)
		return NULL;
	ch->name_at = fixed;
	ch->more_at = fixed + datafs_change_pad(namelen);
	ch->more_len = more_len;
	req = datafs_request_alloc(datafs_mnt(inode->i_sb), op, inode->i_ino,
				   ch->more_at + datafs_change_pad(more_len),
				   GFP_KERNEL);
	if (!req) {
		kfree(ch);
		return NULL;
	}
	req->private = ch;
	req->ended = datafs_change_ended;
	req->head.namelen = namelen;
	if (name)
		memcpy((char *)req->body + ch->name_at, name->name, namelen);
	if (more)
		memcpy((char *)req->body + ch->more_at, more, more_len);
	return req;
}

static struct inode *datafs_change_hold(struct inode *inode)
{
	if (inode)
		ihold(inode);
	return inode;
}

static u64 datafs_change_ino(const struct inode *inode)
{
	return inode ? inode->i_ino : 0;
}

/*
 * Under a lease all that the change names is believed by nobody from here on until its
 * end: somebody may hear of it from another machine before it is answered here.
 *
 *   asks for a name, or attributes        changes them
 *                                         changing += 2, changing_by += 2
 *                                         d_time = 0, attr_until = 0
 *   takes the answer, sees one of these:
 *   it is not kept
 *                                         is answered, publishes, ends
 */
static void datafs_change_begin(struct datafs_request *req,
				const struct datafs_about *about)
{
	struct datafs_change *ch = req->private;
	struct inode *of[] = {
		about->dir, about->new_dir, about->node, about->other,
	};
	int i;

	if (about->dir)
		atomic_add(DATAFS_CHANGE_ENDS, &datafs_i(about->dir)->changing);
	if (about->new_dir)
		atomic_add(DATAFS_CHANGE_ENDS, &datafs_i(about->new_dir)->changing);
	ch->leased = datafs_has_lease(req->mnt);
	if (!ch->leased)
		return;
	for (i = 0; i < ARRAY_SIZE(of); i++)
		if (of[i])
			datafs_inode_change_begin(of[i], DATAFS_CHANGE_ENDS);
	if (!about->dir)
		return;
	smp_mb__after_atomic();	/* before names are looked for; datafs_names_changed() */
	datafs_change_expire(req, about);
}

int datafs_change_call(struct datafs_request *req,
		       const struct datafs_about *about,
		       struct datafs_change_want *want,
		       struct datafs_change_rep *rep)
{
	struct datafs_change *ch = req->private;
	int ret;

	want->opcode = req->head.opcode;
	want->removed = about->node && !about->node->i_nlink;
	want->node = datafs_change_ino(about->node);
	want->parent = datafs_change_ino(about->dir);
	want->new_parent = datafs_change_ino(about->new_dir);
	want->other = datafs_change_ino(about->other);
	ch->want = *want;
	ch->about = (struct datafs_about) {
		.dir = datafs_change_hold(about->dir),
		.new_dir = datafs_change_hold(about->new_dir),
		.node = datafs_change_hold(about->node),
		.other = datafs_change_hold(about->other),
	};
	datafs_change_begin(req, about);

	ret = datafs_request_queue(req);
	if (ret) {
		datafs_change_one_end(ch, &ch->about);
		datafs_change_drop(ch);
		return ret;
	}
	ret = datafs_request_wait(req);
	if (!ret && datafs_reply_change(req->reply, req->reply_len, want, rep)) {
		ret = datafs_request_bad(req, "what was changed");
		datafs_change_forget(req, about);
	}
	return ret;
}

/* Sent to two daemons, its answer may be the first one's, and of the time before it died. */
static bool datafs_change_is_old(const struct datafs_request *req)
{
	return req->head.flags & DATAFS_REQ_RESEND;
}

/* What cannot be published was told, and is asked for when it is wanted. */
static void datafs_change_publish_one(const struct datafs_request *req,
				      struct inode *inode,
				      const struct datafs_attr *attr, u64 when)
{
	if (!inode)
		return;
	if (!datafs_change_is_old(req)) {
		datafs_inode_changed(inode, attr, req->head.seq, when);
		return;
	}
	datafs_inode_changed(inode, NULL, 0, 0);
	if (!attr->nlink)
		datafs_inode_removed(inode);
}

void datafs_change_publish(const struct datafs_request *req,
			   const struct datafs_about *about,
			   const struct datafs_change_rep *rep, u64 when)
{
	datafs_change_publish_one(req, about->dir, &rep->parent, when);
	datafs_change_publish_one(req, about->new_dir, &rep->new_parent, when);
	datafs_change_publish_one(req, about->node, &rep->node.attr, when);
	datafs_change_publish_one(req, about->other, &rep->other, when);
}

struct inode *datafs_change_made(const struct datafs_request *req,
				 const struct datafs_about *about,
				 const struct datafs_change_rep *rep, u64 when)
{
	struct inode *inode = datafs_iget(about->dir->i_sb, &rep->node.attr,
					  req->head.seq, when);

	if (!IS_ERR(inode) && datafs_change_is_old(req))
		datafs_inode_changed(inode, NULL, 0, 0);
	return inode;
}

u64 datafs_change_until(const struct datafs_request *req,
			const struct datafs_change_rep *rep, u64 when)
{
	if (datafs_change_is_old(req))
		return 0;
	return datafs_until(req->mnt, &req->mnt->entry_policy, rep->node.valid_ms,
			    req->head.seq, when);
}

void datafs_change_end(struct datafs_request *req,
		       const struct datafs_about *about)
{
	datafs_change_one_end(req->private, about);
	datafs_request_put(req);
}
