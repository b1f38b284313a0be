// SPDX-License-Identifier: Apache-2.0
#include "metad_model.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void model_init(struct model *w)
{
	memset(w, 0, sizeof(*w));
	w->in[1] = (struct model_inode){ .mode = S_IFDIR | 0755, .version = 1 };
	w->next = 2;
}

static bool is_dir(const struct model *w, uint64_t ino)
{
	return S_ISDIR(w->in[ino].mode);
}

static int children(const struct model *w, uint64_t dir, bool dirs_only)
{
	int n = 0;

	for (int i = 0; i < w->names; i++)
		n += w->name[i].ino && w->name[i].dir == dir &&
		     (!dirs_only || is_dir(w, w->name[i].ino));
	return n;
}

uint32_t model_nlink(const struct model *w, uint64_t ino)
{
	uint32_t n = 0;

	for (int i = 0; i < w->names; i++)
		n += w->name[i].ino == ino;
	if (!is_dir(w, ino))
		return n;
	return n || ino == 1 ? 2 + (uint32_t)children(w, ino, true) : 0;
}

bool model_held(const struct model *w, uint64_t ino)
{
	for (int i = 1; i <= MODEL_SESSIONS; i++)
		if (w->in[ino].held[i])
			return true;
	return false;
}

static void reap(struct model *w, uint64_t ino)
{
	if (!model_nlink(w, ino) && !model_held(w, ino))
		w->in[ino].mode = 0;
}

static struct model_name *find(struct model *w, uint64_t dir, const char *name)
{
	for (int i = 0; i < w->names; i++)
		if (w->name[i].ino && w->name[i].dir == dir &&
		    !strcmp(w->name[i].name, name))
			return &w->name[i];
	return NULL;
}

static bool there(const struct model *w, uint64_t ino)
{
	return ino && ino < w->next && w->in[ino].mode;
}

static int usable(const struct model *w, uint64_t dir)
{
	if (!there(w, dir))
		return -ESTALE;
	if (!is_dir(w, dir))
		return -ENOTDIR;
	return model_nlink(w, dir) ? 0 : -ENOENT;
}

static void changed(struct model *w, uint64_t ino, bool mtime)
{
	w->in[ino].version++;
	w->in[ino].ctime = w->now;
	if (mtime)
		w->in[ino].mtime = w->now;
}

static void add(struct model *w, uint64_t dir, const char *name, uint64_t ino)
{
	struct model_name *n;
	int keep = 0;

	if (w->names == MODEL_NAMES) {
		for (int i = 0; i < w->names; i++)
			if (w->name[i].ino)
				w->name[keep++] = w->name[i];
		w->names = keep;
	}
	n = &w->name[w->names++];
	*n = (struct model_name){ .dir = dir, .ino = ino };
	strcpy(n->name, name);
}

static int make(struct model *w, const struct req *r, uint32_t type)
{
	struct model_inode *dir = &w->in[r->ino], *in = &w->in[w->next];
	int err = usable(w, r->ino);

	if (!err && find(w, r->ino, r->name))
		err = -EEXIST;
	if (err)
		return err;
	*in = (struct model_inode){
		.mode = type | (type == S_IFLNK ? 0777 : r->mode & 07777 & ~r->umask),
		.uid = r->uid, .gid = dir->mode & S_ISGID ? dir->gid : r->gid,
		.atime = w->now, .mtime = w->now, .ctime = w->now, .btime = w->now,
		.version = 1,
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

	if (!there(w, r->ino))
		return -ESTALE;
	err = usable(w, r->to);
	if (!err && find(w, r->to, r->new_name))
		err = -EEXIST;
	if (!err && is_dir(w, r->ino))
		err = -EPERM;
	if (!err && !model_nlink(w, r->ino))
		err = -ENOENT;
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
	struct model_name *n = err ? NULL : find(w, r->ino, r->name);
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
	n->ino = 0;
	changed(w, r->ino, true);
	changed(w, ino, false);
	reap(w, ino);
	return 0;
}

static bool below(const struct model *w, uint64_t ino, uint64_t above)
{
	while (ino != above && ino != 1)
		for (int i = 0; i < w->names; i++)
			if (w->name[i].ino == ino) {
				ino = w->name[i].dir;
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
	a = find(w, r->ino, r->name);
	b = find(w, r->to, r->new_name);
	if (!a || (r->replace && !b))
		return -ENOENT;
	if (r->create && b)
		return -EEXIST;
	moved = a->ino;
	other = b ? b->ino : 0;
	if (moved == other)
		return 0;
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
	a->ino = r->replace ? other : 0;
	if (b)
		b->ino = moved;
	else
		add(w, r->to, r->new_name, moved);
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
	struct model_inode *in = &w->in[r->ino];
	const Metad__Setattr *s = &r->set;

	if (!there(w, r->ino))
		return -ESTALE;
	if (s->has_guard && (s->guard != in->ctime.tv_sec ||
			     (long)s->guard_ns != in->ctime.tv_nsec))
		return -EAGAIN;
	if (s->has_mode && S_ISLNK(in->mode))
		return -EOPNOTSUPP;
	if (s->has_size && !S_ISREG(in->mode))
		return is_dir(w, r->ino) ? -EISDIR : -EINVAL;
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
	int *x = &w->in[r->ino].xattr[r->name[5] - '0'];

	if (!there(w, r->ino))
		return r->create && r->replace && r->op == OP(SETXATTR) ? -EINVAL : -ESTALE;
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
	bool *held = &w->in[r->ino].held[r->session];

	if (!there(w, r->ino))
		return -ESTALE;
	if (r->op == OP(RELEASE) && !*held)
		return -EBADF;
	*held = r->op == OP(HOLD);
	reap(w, r->ino);
	return 0;
}

static int end_session(struct model *w, const struct req *r)
{
	for (uint64_t i = 1; i < w->next; i++) {
		if (!w->in[i].mode || !w->in[i].held[r->session])
			continue;
		w->in[i].held[r->session] = false;
		reap(w, i);
	}
	return 0;
}

int model_do(struct model *w, const struct req *r)
{
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
		return end_session(w, r);
	default:
		return 0;
	}
}
