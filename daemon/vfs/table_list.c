// SPDX-License-Identifier: Apache-2.0
/*
 * Listings of directories in which something is mounted, or on the way to it. What is
 * there below comes first; a name of it that is the table's is shown as that, in its place,
 * so that it is listed once whether what is mounted there comes or goes meanwhile. Names
 * that only the table has come after it, in the order of their inode numbers, which are
 * their cookies: above all others, since they have DATAFS_META_BRANCH, and each of its name
 * for as long as that is mounted.
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

struct listing {
	struct vfs_mount *mnt;
	const struct vfs_table_use *use;
	const struct vfs_where *w;
	struct trie_node *node;
	struct datafs_call *call;
	uint64_t after;
	size_t max;		/* bytes of the reply's body */
};

/* One of the table's in the directory. */
struct own {
	const struct trie_node *child;
	struct datafs_entry e;
	bool below;		/* the name is there without the table, too */
};

static int own_cmp(const void *a, const void *b)
{
	const struct own *x = a, *y = b;

	return x->e.attr.ino < y->e.attr.ino ? -1 : x->e.attr.ino > y->e.attr.ino;
}

/* 1: it is the table's; 0: it is there without that; or an error. */
static int own_entry(const struct listing *l, struct trie_node *child, struct own *own)
{
	struct datafs_entry *e = &own->e;
	int ret;

	/* An error is met again, and told, by who lists what is there. */
	ret = vfs_where_lookup(l->mnt, l->w, child->name, e);
	own->below = !ret && e->attr.ino;
	if (child->mount) {
		ret = vfs_mounted_entry(l->mnt, l->use, child, e);
		if (!ret)
			return 1;
		/* It is listed; who asks for it hears what is wrong. */
		*e = (struct datafs_entry) { .valid_ms = 0 };
		ret = vfs_way_attr(l->mnt, child, &e->attr);
		if (vfs_branch_root(child->mount))
			e->attr.ino = vfs_branch_root(child->mount);
		e->attr.valid_ms = 0;
		return ret ? ret : 1;
	}
	if (ret)
		return ret;
	if (e->attr.ino && S_ISDIR(e->attr.mode)) {
		vfs_table_learn(l->mnt, l->use->epoch, child, e->attr.ino);
		return 0;
	}
	ret = vfs_way_attr(l->mnt, child, &e->attr);
	if (!ret)
		vfs_table_learn(l->mnt, l->use->epoch, child, e->attr.ino);
	return ret ? ret : 1;
}

/* By their cookies; to be freed. */
static int own_entries(const struct listing *l, struct own **res, size_t *n)
{
	struct own *own = calloc(l->node->children + 1, sizeof(*own));
	int ret = own ? 0 : -ENOMEM;

	*n = 0;
	for (size_t i = 0; ret >= 0 && i < l->node->children; i++) {
		own[*n].child = l->node->child[i];
		ret = own_entry(l, l->node->child[i], &own[*n]);
		if (ret == 1)
			++*n;
	}
	if (ret < 0) {
		free(own);
		return ret;
	}
	qsort(own, *n, sizeof(*own), own_cmp);
	*res = own;
	return 0;
}

static const struct own *own_of(const struct own *own, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (own[i].child->len == len && !memcmp(own[i].child->name, name, len))
			return &own[i];
	return NULL;
}

static void show(const struct listing *l, const struct own *own, struct datafs_dirent *de)
{
	struct datafs_readdir_rep *rep = l->call->out;

	de->valid_ms = l->use->believed ? own->e.valid_ms : 0;
	de->attr = own->e.attr;
	/* Else it may go without a word. */
	if (de->valid_ms != DATAFS_FOREVER)
		rep->flags &= ~DATAFS_READDIR_KEEP;
}

static size_t dirent_len(size_t namelen)
{
	return sizeof(struct datafs_dirent) + datafs_round_up(namelen, 8);
}

/*
 * Shows the table's names in what is there below, which begins after *@cookie, as what they
 * are. One that came only just now is left out: it is shown at the end.
 */
static void cover(struct listing *l, const struct own *own, size_t n, uint64_t *cookie)
{
	struct datafs_readdir_rep *rep = l->call->out;
	char *from = (char *)(rep + 1), *to = from;
	uint32_t left = rep->count;

	for (; left; left--) {
		struct datafs_dirent *de = (void *)from;
		const struct own *o = own_of(own, n, (const char *)(de + 1), de->namelen);
		size_t len = dirent_len(de->namelen);

		*cookie = de->cookie;
		if (o && o->below)
			show(l, o, de);
		if (o && !o->below) {
			rep->count--;
		} else {
			memmove(to, from, len);
			to += len;
		}
		from += len;
	}
	l->call->out_len = (uint32_t)(to - (char *)l->call->out);
}

/* What is there below. */
static int list_below(struct listing *l, uint64_t cookie)
{
	const struct datafs_readdir_req *req = l->call->body;
	struct datafs_readdir_req from = { .cookie = cookie, .max = req->max };
	struct datafs_readdir_rep *rep = l->call->out;
	int ret;

	if (l->w->of == VFS_OF_WAY || cookie & DATAFS_META_BRANCH) {
		*rep = (struct datafs_readdir_rep) {
			.flags = DATAFS_READDIR_EOF |
				 (l->mnt->v->listings ? DATAFS_READDIR_KEEP : 0),
		};
		l->call->out_len = sizeof(*rep);
		return 0;
	}
	l->call->body = &from;
	l->call->out_len = 0;
	if (l->w->of == VFS_OF_BRANCH)
		ret = vfs_call_as(l->w->branch, l->call, l->w->ino, vfs_readdir);
	else
		ret = vfs_quorum_readdir(l->mnt, l->call);
	l->call->body = req;
	return ret;
}

/* Adds what fits of the table's own, and says whether that was all. */
static bool add_own(struct listing *l, const struct own *own, size_t n)
{
	struct datafs_readdir_rep *rep = l->call->out;

	for (size_t i = 0; i < n; i++) {
		size_t len = dirent_len(own[i].child->len);
		struct datafs_dirent *de = (void *)((char *)rep + l->call->out_len);

		if (own[i].below || own[i].e.attr.ino <= l->after)
			continue;
		if (l->call->out_len + len > (rep->count ? l->max : DATAFS_REPLY_MAX))
			return false;
		memset(de, 0, len);
		de->cookie = own[i].e.attr.ino;
		de->namelen = (uint16_t)own[i].child->len;
		memcpy(de + 1, own[i].child->name, own[i].child->len);
		show(l, &own[i], de);
		l->call->out_len += len;
		rep->count++;
	}
	return true;
}

/* The kernel is to ask for each name again, or at the end of the listing's time. */
static void not_believed(struct datafs_call *call)
{
	struct datafs_readdir_rep *rep = call->out;
	char *p = (char *)(rep + 1);

	rep->flags &= ~DATAFS_READDIR_KEEP;
	for (uint32_t i = 0; i < rep->count; i++) {
		struct datafs_dirent *de = (void *)p;

		de->valid_ms = 0;
		p += dirent_len(de->namelen);
	}
}

static int list(struct listing *l)
{
	struct datafs_readdir_rep *rep = l->call->out;
	uint64_t cookie = l->after;
	struct own *own = NULL;
	uint32_t count;
	size_t n = 0;
	int ret = 0;

	if (l->node)
		ret = own_entries(l, &own, &n);
	/* At least one, if there is one. */
	do {
		if (!ret)
			ret = list_below(l, cookie);
		if (ret)
			break;
		count = rep->count;
		cover(l, own, n, &cookie);
	} while (count && !rep->count && !(rep->flags & DATAFS_READDIR_EOF));
	if (!ret && rep->flags & DATAFS_READDIR_EOF && !add_own(l, own, n))
		rep->flags &= ~DATAFS_READDIR_EOF;
	free(own);
	return ret;
}

int vfs_table_readdir(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_readdir_req *req = call->body;
	size_t max = DATAFS_MIN(req->max, DATAFS_MSG_MAX);
	struct vfs_table_use use;
	struct vfs_where w;
	struct listing l = {
		.mnt = mnt, .use = &use, .w = &w, .call = call, .after = req->cookie,
		.max = max - DATAFS_MIN(max, sizeof(struct datafs_rep)),
	};
	int ret;

	if (req->cookie >= INT64_MAX)
		return -EINVAL;
	ret = vfs_table_get(mnt, &use);
	if (ret)
		return ret;
	ret = vfs_where(mnt, use.t, call->req->ino, &w);
	if (!ret)
		ret = vfs_where_node(mnt, use.t, &w, &l.node);
	if (!ret)
		ret = list(&l);
	if (!ret && !use.believed)
		not_believed(call);
	vfs_table_put(mnt, use.t);
	return ret;
}
