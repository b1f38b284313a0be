// SPDX-License-Identifier: Apache-2.0
#include "metad_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

size_t model_size(int inodes_max, int names_max)
{
	return sizeof(struct model) + (size_t)inodes_max * sizeof(struct model_inode) +
	       (size_t)names_max * sizeof(struct model_name);
}

void model_init(struct model *w, int inodes_max, int names_max)
{
	memset(w, 0, model_size(inodes_max, names_max));
	w->inodes_max = inodes_max;
	w->names_max = names_max;
	w->in[0] = (struct model_inode){ .ino = 1, .mode = S_IFDIR | 0755, .version = 1 };
	w->inodes = 1;
	w->next = 2;
	w->level = 1;
}

static int by_ino(const void *key, const void *in)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct model_inode *)in)->ino;

	return (a > b) - (a < b);
}

struct model_inode *model_inode(const struct model *w, uint64_t ino)
{
	return bsearch(&ino, w->in, (size_t)w->inodes, sizeof(w->in[0]), by_ino);
}

static bool is_dir(const struct model *w, uint64_t ino)
{
	const struct model_inode *in = model_inode(w, ino);

	return in && S_ISDIR(in->mode);
}

static int children(const struct model *w, uint64_t dir, bool dirs_only)
{
	int n = 0;

	for (int i = 0; i < w->names; i++)
		n += model_names(w)[i].dir == dir &&
		     (!dirs_only || is_dir(w, model_names(w)[i].ino));
	return n;
}

uint32_t model_nlink(const struct model *w, uint64_t ino)
{
	uint32_t n = 0;

	for (int i = 0; i < w->names; i++)
		n += model_names(w)[i].ino == ino;
	if (!is_dir(w, ino))
		return n;
	return n || ino == 1 ? 2 + (uint32_t)children(w, ino, true) : 0;
}

bool model_held(const struct model *w, uint64_t ino)
{
	for (int i = 1; i <= MODEL_SESSIONS; i++)
		if (model_inode(w, ino)->held[i])
			return true;
	return false;
}

void model_used(const struct model *w, uint64_t id, uint64_t *inodes, uint64_t *bytes)
{
	*inodes = *bytes = 0;
	for (int i = 0; i < w->inodes; i++) {
		if (w->in[i].quota != id)
			continue;
		++*inodes;
		if (S_ISREG(w->in[i].mode))
			*bytes += w->in[i].size;
	}
}

/* That which counts it; NULL: none. */
static struct model_quota *quota_of(struct model *w, uint64_t ino)
{
	uint64_t id = model_inode(w, ino)->quota;

	for (int i = 0; id && i < w->quotas; i++)
		if (w->quota[i].id == id)
			return &w->quota[i];
	return NULL;
}

static void del_quota(struct model *w, int i)
{
	w->quotas--;
	memmove(&w->quota[i], &w->quota[i + 1], (size_t)(w->quotas - i) * sizeof(w->quota[0]));
}

/* Those whose last inode is gone. */
static void reap_quotas(struct model *w)
{
	uint64_t inodes, bytes;

	for (int i = w->quotas - 1; i >= 0; i--) {
		model_used(w, w->quota[i].id, &inodes, &bytes);
		if (!inodes)
			del_quota(w, i);
	}
}

static bool inodes_left(struct model *w, uint64_t dir)
{
	const struct model_quota *q = quota_of(w, dir);
	uint64_t inodes, bytes;

	if (!q || !q->inodes_max)
		return true;
	model_used(w, q->id, &inodes, &bytes);
	return inodes < q->inodes_max;
}

static bool bytes_left(struct model *w, const struct model_inode *in, uint64_t size)
{
	const struct model_quota *q = quota_of(w, in->ino);
	uint64_t inodes, bytes;

	if (!q || !q->bytes_max || size <= in->size)
		return true;
	model_used(w, q->id, &inodes, &bytes);
	return bytes - in->size + size <= q->bytes_max;
}

static void reap(struct model *w, uint64_t ino)
{
	struct model_inode *in = model_inode(w, ino), *end = w->in + w->inodes;

	if (model_nlink(w, ino) || model_held(w, ino))
		return;
	memmove(in, in + 1, (size_t)(end - in - 1) * sizeof(*in));
	w->inodes--;
}

struct model_name *model_find(const struct model *w, uint64_t dir, const char *name)
{
	struct model_name *n = model_names(w);

	for (int i = 0; i < w->names; i++)
		if (n[i].dir == dir && !strcmp(n[i].name, name))
			return &n[i];
	return NULL;
}

static void del_name(struct model *w, struct model_name *n)
{
	struct model_name *end = model_names(w) + w->names;

	memmove(n, n + 1, (size_t)(end - n - 1) * sizeof(*n));
	w->names--;
}

static int usable(const struct model *w, uint64_t dir)
{
	if (!model_inode(w, dir))
		return -ESTALE;
	if (!is_dir(w, dir))
		return -ENOTDIR;
	return model_nlink(w, dir) ? 0 : -ENOENT;
}

static void changed(struct model *w, uint64_t ino, bool mtime)
{
	struct model_inode *in = model_inode(w, ino);

	in->version++;
	in->ctime = w->now;
	if (mtime)
		in->mtime = w->now;
}

static void add(struct model *w, uint64_t dir, const char *name, uint64_t ino)
{
	struct model_name *n = &model_names(w)[w->names++];

	if (w->names > w->names_max)
		abort();
	memset(n, 0, sizeof(*n));
	n->dir = dir;
	n->ino = ino;
	strcpy(n->name, name);
}

static int make(struct model *w, const struct req *r, uint32_t type)
{
	struct model_inode *dir = model_inode(w, r->ino), *in = &w->in[w->inodes];
	int err = usable(w, r->ino);

	if (!err && model_find(w, r->ino, r->name))
		err = -EEXIST;
	if (!err && !inodes_left(w, r->ino))
		err = -EDQUOT;
	if (err)
		return err;
	if (++w->inodes > w->inodes_max)
		abort();
	*in = (struct model_inode){
		.ino = w->next,
		.mode = type | (type == S_IFLNK ? 0777 : r->mode & 07777 & ~r->umask),
		.uid = r->uid, .gid = dir->mode & S_ISGID ? dir->gid : r->gid,
		.atime = w->now, .mtime = w->now, .ctime = w->now, .btime = w->now,
		.version = 1, .quota = dir->quota,
	};
	if (type == S_IFDIR)
		in->mode |= dir->mode & S_ISGID;
	if (type == S_IFLNK) {
		in->size = r->len;
		in->target = r->value;
	}
	add(w, r->ino, r->name, w->next++);
	changed(w, r->ino, true);
	return 0;
}

static int link_to(struct model *w, const struct req *r)
{
	int err;

	if (!model_inode(w, r->ino))
		return -ESTALE;
	err = usable(w, r->to);
	if (!err && model_find(w, r->to, r->new_name))
		err = -EEXIST;
	if (!err && is_dir(w, r->ino))
		err = -EPERM;
	if (!err && !model_nlink(w, r->ino))
		err = -ENOENT;
	if (!err && quota_of(w, r->ino) != quota_of(w, r->to))
		err = -EXDEV;
	if (err)
		return err;
	add(w, r->to, r->new_name, r->ino);
	changed(w, r->ino, false);
	changed(w, r->to, true);
	return 0;
}

static int removal(struct model *w, const struct req *r)
{
	int err = usable(w, r->ino);
	struct model_name *n = err ? NULL : model_find(w, r->ino, r->name);
	uint64_t ino;

	if (err || !n)
		return err ? err : -ENOENT;
	ino = n->ino;
	if (r->op == OP(UNLINK) && is_dir(w, ino))
		return -EISDIR;
	if (r->op == OP(RMDIR) && !is_dir(w, ino))
		return -ENOTDIR;
	if (children(w, ino, false))
		return -ENOTEMPTY;
	del_name(w, n);
	changed(w, r->ino, true);
	changed(w, ino, false);
	reap(w, ino);
	return 0;
}

static bool below(const struct model *w, uint64_t ino, uint64_t above)
{
	while (ino != above && ino != 1)
		for (int i = 0; i < w->names; i++)
			if (model_names(w)[i].ino == ino) {
				ino = model_names(w)[i].dir;
				break;
			}
	return ino == above;
}

static int rename_to(struct model *w, const struct req *r)
{
	int err = r->create && r->replace ? -EINVAL : usable(w, r->ino);
	struct model_name *a, *b;
	uint64_t moved, other;

	if (!err)
		err = usable(w, r->to);
	if (err)
		return err;
	a = model_find(w, r->ino, r->name);
	b = model_find(w, r->to, r->new_name);
	if (!a || (r->replace && !b))
		return -ENOENT;
	if (r->create && b)
		return -EEXIST;
	moved = a->ino;
	other = b ? b->ino : 0;
	if (moved == other)
		return 0;
	if (quota_of(w, r->ino) != quota_of(w, r->to))
		return -EXDEV;
	if (is_dir(w, moved) && below(w, r->to, moved))
		return -EINVAL;
	if (r->replace && is_dir(w, other) && below(w, r->ino, other))
		return -EINVAL;
	if (b && !r->replace) {
		if (is_dir(w, other) && below(w, r->ino, other))
			return -ENOTEMPTY;
		if (is_dir(w, moved) != is_dir(w, other))
			return is_dir(w, moved) ? -ENOTDIR : -EISDIR;
		if (children(w, other, false))
			return -ENOTEMPTY;
	}
	if (b)
		b->ino = moved;
	else
		add(w, r->to, r->new_name, moved);
	if (r->replace)
		a->ino = other;
	else
		del_name(w, a);
	changed(w, moved, false);
	changed(w, r->ino, true);
	if (r->to != r->ino)
		changed(w, r->to, true);
	if (b) {
		changed(w, other, false);
		reap(w, other);
	}
	return 0;
}

static int setattr(struct model *w, const struct req *r)
{
	struct model_inode *in = model_inode(w, r->ino);
	const Metad__Setattr *s = &r->set;

	if (!in)
		return -ESTALE;
	if (s->has_guard && (s->guard != in->ctime.tv_sec ||
			     (long)s->guard_ns != in->ctime.tv_nsec))
		return -EAGAIN;
	if (s->has_mode && S_ISLNK(in->mode))
		return -EOPNOTSUPP;
	if (s->has_size && !S_ISREG(in->mode))
		return is_dir(w, r->ino) ? -EISDIR : -EINVAL;
	if (s->has_size && !bytes_left(w, in, s->size))
		return -EDQUOT;
	if (s->has_mode)
		in->mode = (in->mode & S_IFMT) | s->mode;
	if (s->has_uid)
		in->uid = s->uid;
	if (s->has_gid)
		in->gid = s->gid;
	if (s->has_size)
		in->size = s->size;
	if (s->has_mode || s->has_uid || s->has_gid || s->has_size || s->has_mtime)
		changed(w, r->ino, s->has_size);
	if (s->has_mtime)
		in->mtime = (struct timespec){ s->mtime, s->mtime_ns };
	return 0;
}

static int xattr(struct model *w, const struct req *r)
{
	struct model_inode *in = model_inode(w, r->ino);
	int *x;

	if (!in)
		return r->create && r->replace && r->op == OP(SETXATTR) ? -EINVAL : -ESTALE;
	x = &in->xattr[r->name[5] - '0'];
	if (r->op == OP(REMOVEXATTR)) {
		if (!*x)
			return -ENODATA;
		*x = 0;
	} else {
		if (r->create && r->replace)
			return -EINVAL;
		if (*x ? r->create : r->replace)
			return *x ? -EEXIST : -ENODATA;
		*x = *(const char *)r->value;
	}
	changed(w, r->ino, false);
	return 0;
}

static int hold(struct model *w, const struct req *r)
{
	struct model_inode *in = model_inode(w, r->ino);

	if (!in)
		return -ESTALE;
	if (r->op == OP(RELEASE) && !in->held[r->session])
		return -EBADF;
	in->held[r->session] = r->op == OP(HOLD);
	reap(w, r->ino);
	return 0;
}

/* Sessions above MODEL_SESSIONS hold nothing. */
static int end_session(struct model *w, const struct req *r)
{
	if (r->session > MODEL_SESSIONS)
		return 0;
	/* from the last one: those behind it move when it goes */
	for (int i = w->inodes - 1; i >= 0; i--) {
		if (!w->in[i].held[r->session])
			continue;
		w->in[i].held[r->session] = false;
		reap(w, w->in[i].ino);
	}
	return 0;
}

static int quota(struct model *w, const struct req *r)
{
	struct model_quota *q;
	int err = w->level < 2 ? -EOPNOTSUPP : usable(w, r->ino);

	if (err)
		return err;
	q = quota_of(w, r->ino);
	if (q && q->root != r->ino)
		q = NULL;
	if (r->op == OP(REMOVE_QUOTA)) {
		if (!q)
			return -ENOENT;
		model_inode(w, r->ino)->quota = 0;
		del_quota(w, (int)(q - w->quota));
		return 0;
	}
	if (!q) {
		if (children(w, r->ino, false))
			return -ENOTEMPTY;
		if (w->quotas == MODEL_QUOTAS)
			abort();
		q = &w->quota[w->quotas++];
		q->id = w->next++;
		q->root = r->ino;
		model_inode(w, r->ino)->quota = q->id;
	}
	q->inodes_max = r->inodes;
	q->bytes_max = r->bytes;
	return 0;
}

const struct model_mount *model_mount_after(const struct model *w, const char *after)
{
	const struct model_mount *res = NULL;

	for (int i = 0; i < w->mounts; i++)
		if ((!after || strcmp(w->mount[i].path, after) > 0) &&
		    (!res || strcmp(w->mount[i].path, res->path) < 0))
			res = &w->mount[i];
	return res;
}

/* By the tests' own texts: what is no path, source or option begins with '?'. */
static bool malformed(const char *s)
{
	return s && *s == '?';
}

static int mount(struct model *w, const struct req *r)
{
	struct model_mount *at = w->mount, *end = w->mount + w->mounts;

	if (w->level < 4)
		return -EOPNOTSUPP;
	if (malformed(r->name) || (r->op != OP(MOUNT_REMOVE) && malformed(r->options)) ||
	    (r->op == OP(MOUNT_ADD) && malformed(r->source)))
		return -EINVAL;
	while (at < end && strcmp(at->path, r->name))
		at++;
	if (r->op == OP(MOUNT_ADD) ? at < end : at == end)
		return at < end ? -EEXIST : -ENOENT;
	if (r->op != OP(MOUNT_ADD) && r->generation && r->generation != at->generation)
		return -ESTALE;
	w->mounts_version++;
	if (r->op == OP(MOUNT_REMOVE)) {
		memmove(at, at + 1, (size_t)(end - at - 1) * sizeof(*at));
		w->mounts--;
		return 0;
	}
	if (r->op == OP(MOUNT_ADD)) {
		if (++w->mounts > MODEL_MOUNTS)
			abort();
		*at = (struct model_mount){ r->name, r->source, .id = w->mounts_version };
	}
	at->options = r->options;
	at->generation = w->mounts_version;
	return 0;
}

static void node_away(struct model *w, uint64_t session)
{
	for (int i = 0; i < w->nodes; i++)
		if (w->node[i].session == session) {
			w->node[i].session = 0;
			w->node[i].draining = false;
		}
}

static int node_join(struct model *w, const struct req *r, struct model_node *at)
{
	const char *address = r->source ? r->source : "";

	if (malformed(r->source) || (r->has_weight && !r->level))
		return -EINVAL;
	if (at && at->session && at->session != r->session)
		return -EEXIST;
	if (at && at->session == r->session) {
		at->address = address;
		at->weight = r->has_weight ? r->level : at->weight;
		return 0;
	}
	node_away(w, r->session);
	if (!at) {
		if (w->nodes == MODEL_NODES)
			abort();
		at = &w->node[w->nodes++];
		*at = (struct model_node){ r->name, .id = ++w->last_node, .weight = 100 };
	}
	at->address = address;
	at->weight = r->has_weight ? r->level : at->weight;
	at->session = r->session;
	return 0;
}

static int node_set(const struct req *r, struct model_node *at)
{
	if (r->has_weight && !r->level)
		return -EINVAL;
	if (!at)
		return -ENOENT;
	if ((r->create || r->replace) && !at->session)
		return -EHOSTDOWN;
	if (r->create || r->replace)
		at->draining = r->create;
	at->weight = r->has_weight ? r->level : at->weight;
	return 0;
}

static int node_remove(struct model *w, struct model_node *at)
{
	if (!at)
		return -ENOENT;
	if (at->session && !at->draining)
		return -EBUSY;
	memmove(at, at + 1, (size_t)(w->node + w->nodes - at - 1) * sizeof(*at));
	w->nodes--;
	return 0;
}

/* What placement sees, as a text. */
static void routing_text(const struct model *w, char *to)
{
	for (int i = 0; i < w->nodes; i++)
		to += sprintf(to, "%llu %s %u %d;", (unsigned long long)w->node[i].id,
			      w->node[i].address, w->node[i].weight,
			      w->node[i].session ? 1 + w->node[i].draining : 0);
	*to = '\0';
}

static int node_do(struct model *w, const struct req *r)
{
	struct model_node *at = w->node, *end = w->node + w->nodes;

	if (w->level < 5)
		return -EOPNOTSUPP;
	if (malformed(r->name))
		return -EINVAL;
	while (at < end && strcmp(at->name, r->name))
		at++;
	at = at < end ? at : NULL;
	return r->op == OP(NODE_JOIN) ? node_join(w, r, at) :
	       r->op == OP(NODE_SET) ? node_set(r, at) : node_remove(w, at);
}

/* The version follows from what is seen before and after. */
static int node(struct model *w, const struct req *r)
{
	char before[1024], after[1024];
	int err = 0;

	routing_text(w, before);
	if (r->op == OP(SESSION_CLOSE))
		node_away(w, r->session);
	else
		err = node_do(w, r);
	routing_text(w, after);
	w->routing_version += strcmp(before, after) != 0;
	return err;
}

const struct model_policy *model_policy_after(const struct model *w, const char *after)
{
	const struct model_policy *res = NULL;

	for (int i = 0; i < w->policies; i++)
		if ((!after || strcmp(w->policy[i].path, after) > 0) &&
		    (!res || strcmp(w->policy[i].path, res->path) < 0))
			res = &w->policy[i];
	return res;
}

static int policy(struct model *w, const struct req *r)
{
	struct model_policy *at = w->policy, *end = w->policy + w->policies;

	if (w->level < 6)
		return -EOPNOTSUPP;
	if (malformed(r->name) || (r->op == OP(POLICY_SET) && (r->level < 1 || r->level > 3)))
		return -EINVAL;
	while (at < end && strcmp(at->path, r->name))
		at++;
	if (r->op == OP(POLICY_REMOVE)) {
		if (at == end)
			return -ENOENT;
		memmove(at, at + 1, (size_t)(end - at - 1) * sizeof(*at));
		w->policies--;
		w->policies_version++;
		return 0;
	}
	if (at == end) {
		if (++w->policies > MODEL_POLICIES)
			abort();
		*at = (struct model_policy){ .path = r->name };
	}
	w->policies_version += at->cache != r->level;
	at->cache = r->level;
	return 0;
}

static int run(struct model *w, const struct req *r)
{
	uint64_t spoken = model_spoken(w, r->session);
	int err;

	switch (r->op) {
	case OP(CREATE):
		return make(w, r, S_IFREG);
	case OP(MKDIR):
		return make(w, r, S_IFDIR);
	case OP(MKNOD):
		return make(w, r, r->mode & S_IFMT);
	case OP(SYMLINK):
		return make(w, r, S_IFLNK);
	case OP(LINK):
		return link_to(w, r);
	case OP(UNLINK):
	case OP(RMDIR):
		return removal(w, r);
	case OP(RENAME):
		return rename_to(w, r);
	case OP(SETATTR):
		return setattr(w, r);
	case OP(SETXATTR):
	case OP(REMOVEXATTR):
		return xattr(w, r);
	case OP(HOLD):
	case OP(RELEASE):
		return hold(w, r);
	case OP(SESSION_CLOSE):
		node(w, r);
		model_jobs_follow(w, r, spoken);
		return end_session(w, r);
	case OP(NODE_JOIN):
	case OP(NODE_SET):
	case OP(NODE_REMOVE):
		err = node(w, r);
		model_jobs_follow(w, r, spoken);
		return err;
	case OP(JOB_ADD):
	case OP(JOB_CLAIM):
	case OP(JOB_REPORT):
	case OP(JOB_CANCEL):
	case OP(JOB_REMOVE):
		return model_job_do(w, r);
	case OP(SET_QUOTA):
	case OP(REMOVE_QUOTA):
		return quota(w, r);
	case OP(MOUNT_ADD):
	case OP(MOUNT_SET):
	case OP(MOUNT_REMOVE):
		return mount(w, r);
	case OP(POLICY_SET):
	case OP(POLICY_REMOVE):
		return policy(w, r);
	case OP(FEATURE):
		w->level = (int)r->level;
		return 0;
	default:
		return 0;
	}
}

int model_do(struct model *w, const struct req *r)
{
	int err = run(w, r);

	reap_quotas(w);
	return err;
}
