// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/util.h"

void datafs_metad_tell(const struct datafs_metad_attr *a, Metad__Attr *res)
{
	metad__attr__init(res);
	res->has_ino = res->has_version = res->has_mode = res->has_nlink = true;
	res->has_uid = res->has_gid = res->has_size = res->has_xattrs = true;
	res->has_rdev_major = res->has_rdev_minor = true;
	res->has_atime = res->has_atime_ns = res->has_mtime = res->has_mtime_ns = true;
	res->has_ctime = res->has_ctime_ns = res->has_btime = res->has_btime_ns = true;
	res->ino = a->ino;
	res->version = a->version;
	res->mode = a->mode;
	res->nlink = a->nlink;
	res->uid = a->uid;
	res->gid = a->gid;
	res->size = a->size;
	res->rdev_major = a->rdev_major;
	res->rdev_minor = a->rdev_minor;
	res->atime = a->atime.tv_sec;
	res->atime_ns = (uint32_t)a->atime.tv_nsec;
	res->mtime = a->mtime.tv_sec;
	res->mtime_ns = (uint32_t)a->mtime.tv_nsec;
	res->ctime = a->ctime.tv_sec;
	res->ctime_ns = (uint32_t)a->ctime.tv_nsec;
	res->btime = a->btime.tv_sec;
	res->btime_ns = (uint32_t)a->btime.tv_nsec;
	res->xattrs = a->xattrs;
}

static int set_attr(const struct datafs_metad_attr *a, Metad__Attr **res)
{
	*res = malloc(sizeof(**res));
	if (!*res)
		return -ENOMEM;
	datafs_metad_tell(a, *res);
	return 0;
}

static int getattr(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct datafs_metad_attr attr;
	int err = datafs_metad_getattr(m, q->getattr->ino, &attr);

	return err ? err : set_attr(&attr, &a->attr);
}

static int lookup(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	const Metad__Name *n = q->lookup;
	struct datafs_metad_attr attr;
	int err = datafs_metad_lookup(m, n->parent, (const char *)n->name.data,
				      n->name.len, &attr);

	return err ? err : set_attr(&attr, &a->attr);
}

static int parent(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct datafs_metad_attr attr;
	uint64_t ino;
	int err = datafs_metad_parent(m, q->parent->ino, &ino);

	if (!err)
		err = datafs_metad_getattr(m, ino, &attr);
	return err ? err : set_attr(&attr, &a->attr);
}

struct listing {
	Metad__Answer *a;
	size_t room, left;
	int err;
};

static Metad__Dirent *entry_new(uint64_t cookie, const char *name, size_t len,
				const struct datafs_metad_attr *attr)
{
	Metad__Dirent *d = malloc(sizeof(*d));

	if (!d)
		return NULL;
	metad__dirent__init(d);
	d->has_cookie = d->has_name = true;
	d->cookie = cookie;
	d->name.len = len;
	d->name.data = malloc(len);
	if (d->name.data && !set_attr(attr, &d->attr)) {
		memcpy(d->name.data, name, len);
		return d;
	}
	metad__dirent__free_unpacked(d, NULL);
	return NULL;
}

static int add_entry(void *arg, uint64_t cookie, const char *name, size_t len,
		     const struct datafs_metad_attr *attr)
{
	struct listing *l = arg;
	Metad__Dirent *d, **more;
	size_t size;

	d = entry_new(cookie, name, len, attr);
	if (!d) {
		l->err = -ENOMEM;
		return 1;
	}
	/* With its tag and length. */
	size = metad__dirent__get_packed_size(d) + 4;
	if (l->a->n_entries && size > l->left) {
		metad__dirent__free_unpacked(d, NULL);
		return 1;
	}
	l->left -= DATAFS_MIN(size, l->left);
	if (l->a->n_entries == l->room) {
		l->room = DATAFS_MAX(2 * l->room, (size_t)64);
		more = realloc(l->a->entries, l->room * sizeof(*more));
		if (!more) {
			metad__dirent__free_unpacked(d, NULL);
			l->err = -ENOMEM;
			return 1;
		}
		l->a->entries = more;
	}
	l->a->entries[l->a->n_entries++] = d;
	return 0;
}

static int readdir(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct listing l = { .a = a, .left = q->readdir->max };
	bool eof;
	int err;

	if (!l.left || l.left > DATAFS_READDIR_MAX)
		return -EINVAL;
	err = datafs_metad_readdir(m, q->readdir->ino, q->readdir->cookie, add_entry, &l,
				   &eof);
	if (!err)
		err = l.err;
	a->has_eof = true;
	a->eof = !err && eof;
	return err;
}

static int set_data(Metad__Answer *a, void *buf, ssize_t n)
{
	if (n < 0) {
		free(buf);
		return (int)n;
	}
	a->has_data = true;
	a->data.data = buf;
	a->data.len = (size_t)n;
	return 0;
}

static int readlink(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	char *buf = malloc(DATAFS_SYMLINK_MAX);

	if (!buf)
		return -ENOMEM;
	return set_data(a, buf, datafs_metad_readlink(m, q->readlink->ino, buf));
}

static int getxattr(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	const Metad__Name *n = q->getxattr;
	char *buf = malloc(DATAFS_XATTR_MAX);

	if (!buf)
		return -ENOMEM;
	return set_data(a, buf, datafs_metad_getxattr(m, n->parent,
						      (const char *)n->name.data,
						      n->name.len, buf, DATAFS_XATTR_MAX));
}

static int listxattr(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	char *buf = malloc(DATAFS_METAD_LIST_MAX);

	if (!buf)
		return -ENOMEM;
	return set_data(a, buf, datafs_metad_listxattr(m, q->listxattr->ino, buf,
						       DATAFS_METAD_LIST_MAX));
}

#define QUOTAS_MAX	512u

static int add_quota(void *arg, const struct datafs_metad_quota *from)
{
	struct listing *l = arg;
	Metad__Quota *q;

	if (l->a->n_quotas == QUOTAS_MAX)
		return 1;
	q = malloc(sizeof(*q));
	if (!q) {
		l->err = -ENOMEM;
		return 1;
	}
	metad__quota__init(q);
	q->has_id = q->has_root = q->has_inodes_max = q->has_bytes_max = true;
	q->has_inodes = q->has_bytes = true;
	q->id = from->id;
	q->root = from->root;
	q->inodes_max = from->inodes_max;
	q->bytes_max = from->bytes_max;
	q->inodes = from->inodes;
	q->bytes = from->bytes;
	l->a->quotas[l->a->n_quotas++] = q;
	return 0;
}

static int quotas(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct listing l = { .a = a };
	bool eof;
	int err;

	a->quotas = calloc(QUOTAS_MAX, sizeof(Metad__Quota *));
	if (!a->quotas)
		return -ENOMEM;
	err = datafs_metad_quotas(m, q->quotas->after, add_quota, &l, &eof);
	if (!err)
		err = l.err;
	a->has_eof = true;
	a->eof = !err && eof;
	return err;
}

static bool copy_bytes(const char *from, size_t len, protobuf_c_boolean *has,
		       ProtobufCBinaryData *to)
{
	to->data = malloc(len + 1);
	if (!to->data)
		return false;
	memcpy(to->data, from, len);
	to->len = len;
	*has = true;
	return true;
}

static Metad__Mount *mount_new(const struct datafs_metad_mount *from)
{
	Metad__Mount *res = malloc(sizeof(*res));

	if (!res)
		return NULL;
	metad__mount__init(res);
	res->has_id = res->has_generation = true;
	res->id = from->id;
	res->generation = from->generation;
	if (copy_bytes(from->path, from->path_len, &res->has_path, &res->path) &&
	    copy_bytes(from->source, from->source_len, &res->has_source, &res->source) &&
	    copy_bytes(from->options, from->options_len, &res->has_options, &res->options))
		return res;
	metad__mount__free_unpacked(res, NULL);
	return NULL;
}

static int add_mount(void *arg, const struct datafs_metad_mount *from)
{
	struct listing *l = arg;
	Metad__Mount *one;

	if (!l->left || l->a->n_mounts == DATAFS_METAD_MOUNTS_MAX)
		return 1;
	one = mount_new(from);
	if (!one) {
		l->err = -ENOMEM;
		return 1;
	}
	l->left -= DATAFS_MIN(from->path_len + from->source_len + from->options_len, l->left);
	l->a->mounts[l->a->n_mounts++] = one;
	return 0;
}

static int mounts(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct listing l = { .a = a, .left = DATAFS_MOUNTS_TEXTS };
	struct datafs_metad_mounts table;
	bool eof;
	int err;

	a->mounts = calloc(DATAFS_METAD_MOUNTS_MAX, sizeof(Metad__Mount *));
	if (!a->mounts)
		return -ENOMEM;
	err = datafs_metad_mounts(m, q->mounts->after.data, q->mounts->after.len, add_mount, &l,
				  &eof, &table);
	if (!err)
		err = l.err;
	a->has_eof = a->has_mounts_version = true;
	a->eof = !err && eof;
	a->mounts_version = err ? 0 : table.version;
	return err;
}

static Metad__Node *node_new(const struct datafs_metad_node *from)
{
	Metad__Node *res = malloc(sizeof(*res));

	if (!res)
		return NULL;
	metad__node__init(res);
	res->has_id = res->has_weight = res->has_state = res->has_session = true;
	res->id = from->id;
	res->weight = from->weight;
	res->state = from->state;
	res->session = from->session;
	if (copy_bytes(from->name, from->name_len, &res->has_name, &res->name) &&
	    copy_bytes(from->address, from->address_len, &res->has_address, &res->address))
		return res;
	metad__node__free_unpacked(res, NULL);
	return NULL;
}

static int add_node(void *arg, const struct datafs_metad_node *from)
{
	struct listing *l = arg;
	Metad__Node *one;

	if (l->a->n_nodes == DATAFS_NODES_PAGE)
		return 1;
	one = node_new(from);
	if (!one) {
		l->err = -ENOMEM;
		return 1;
	}
	l->a->nodes[l->a->n_nodes++] = one;
	return 0;
}

static int nodes(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct listing l = { .a = a };
	struct datafs_metad_routing routing;
	bool eof = true;
	int err = datafs_metad_routing(m, &routing);

	a->has_eof = a->has_routing_version = a->has_nodes_unchanged = true;
	a->nodes_unchanged = !err && q->nodes->has_known && q->nodes->known == routing.version;
	if (!err && !a->nodes_unchanged) {
		a->nodes = calloc(DATAFS_NODES_PAGE, sizeof(Metad__Node *));
		if (!a->nodes)
			return -ENOMEM;
		err = datafs_metad_nodes(m, q->nodes->after, add_node, &l, &eof, &routing);
		if (!err)
			err = l.err;
	}
	a->eof = !err && eof;
	a->routing_version = err ? 0 : routing.version;
	return err;
}

static Metad__Job *job_new(const struct datafs_metad_job *from)
{
	Metad__Job *res = malloc(sizeof(*res));

	if (!res)
		return NULL;
	metad__job__init(res);
	res->has_id = res->has_kind = res->has_state = res->has_node = res->has_session = true;
	res->has_files = res->has_bytes = res->has_errors = true;
	res->has_added = res->has_changed = true;
	res->id = from->id;
	res->kind = from->kind;
	res->state = from->state;
	res->node = from->node;
	res->session = from->session;
	res->files = from->files;
	res->bytes = from->bytes;
	res->errors = from->errors;
	res->added = from->added;
	res->changed = from->changed;
	if (copy_bytes(from->path, from->path_len, &res->has_path, &res->path) &&
	    copy_bytes(from->error, from->error_len, &res->has_error, &res->error))
		return res;
	metad__job__free_unpacked(res, NULL);
	return NULL;
}

static int add_job(void *arg, const struct datafs_metad_job *from)
{
	struct listing *l = arg;
	Metad__Job *one;

	if (!l->left || l->a->n_jobs == DATAFS_METAD_JOBS_MAX)
		return 1;
	one = job_new(from);
	if (!one) {
		l->err = -ENOMEM;
		return 1;
	}
	l->left -= DATAFS_MIN(from->path_len + from->error_len + DATAFS_JOB_BYTES, l->left);
	l->a->jobs[l->a->n_jobs++] = one;
	return 0;
}

static int jobs(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct listing l = { .a = a, .left = DATAFS_JOBS_BYTES };
	struct datafs_metad_jobs table;
	bool eof = true;
	int err = datafs_metad_jobs_table(m, &table);

	a->has_eof = a->has_jobs_version = true;
	if (!err && !(q->jobs->has_known && q->jobs->known == table.version)) {
		a->jobs = calloc(DATAFS_METAD_JOBS_MAX, sizeof(Metad__Job *));
		if (!a->jobs)
			return -ENOMEM;
		err = datafs_metad_jobs(m, q->jobs->after, add_job, &l, &eof, &table);
		if (!err)
			err = l.err;
	}
	a->eof = !err && eof;
	a->jobs_version = err ? 0 : table.version;
	return err;
}

static int add_policy(void *arg, const struct datafs_metad_policy *from)
{
	struct listing *l = arg;
	Metad__Policy *one;

	if (!l->left || l->a->n_policies == DATAFS_METAD_POLICIES_MAX)
		return 1;
	one = malloc(sizeof(*one));
	if (one)
		metad__policy__init(one);
	if (!one || !copy_bytes(from->path, from->path_len, &one->has_path, &one->path)) {
		free(one);
		l->err = -ENOMEM;
		return 1;
	}
	one->has_cache = true;
	one->cache = from->cache;
	l->left -= DATAFS_MIN(from->path_len, l->left);
	l->a->policies[l->a->n_policies++] = one;
	return 0;
}

static int policies(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct listing l = { .a = a, .left = DATAFS_POLICIES_TEXTS };
	const Metad__Policies *p = q->policies;
	struct datafs_metad_policies table;
	bool eof = true;
	int err = datafs_metad_policies_table(m, &table);

	a->has_eof = a->has_policies_version = true;
	if (!err && !(p->has_known && p->known == table.version)) {
		a->policies = calloc(DATAFS_METAD_POLICIES_MAX, sizeof(Metad__Policy *));
		if (!a->policies)
			return -ENOMEM;
		err = datafs_metad_policies(m, p->after.data, p->after.len, add_policy, &l,
					    &eof, &table);
		if (!err)
			err = l.err;
	}
	a->eof = !err && eof;
	a->policies_version = err ? 0 : table.version;
	return err;
}

static int listing_page(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	const Metad__ListingPage *p = q->listing_page;
	struct datafs_metad_listing l;
	int err = datafs_metad_listing_page(m, p->number, p->page, &l, &a->data.data, &a->data.len);

	if (err)
		return err;
	a->has_data = a->data.data != NULL;
	a->listing = malloc(sizeof(*a->listing));
	if (!a->listing)
		return -ENOMEM;
	metad__listing__init(a->listing);
	a->listing->has_state = a->listing->has_number = a->listing->has_pages = true;
	a->listing->state = l.state;
	a->listing->number = l.number;
	a->listing->pages = l.pages;
	return 0;
}

/* Of one inode. What it is of, or whether it is there, is no matter of the counts. */
static int add_quota_of(struct datafs_metad *m, uint64_t ino, Metad__Answer *a)
{
	struct listing l = { .a = a };
	struct datafs_metad_quota q;
	int ret = datafs_metad_quota_of(m, ino, &q);

	if (ret != 1)
		return ret == -ESTALE ? 0 : ret;
	a->quotas = calloc(1, sizeof(Metad__Quota *));
	if (!a->quotas)
		return -ENOMEM;
	add_quota(&l, &q);
	return l.err;
}

static int counts(struct datafs_metad *m, const Metad__Query *q, Metad__Answer *a)
{
	struct datafs_metad_counts c;
	int err = datafs_metad_counts(m, &c);

	if (err)
		return err;
	a->has_inodes = a->has_bytes = a->has_session_ended = true;
	a->inodes = c.inodes;
	a->bytes = c.bytes;
	a->session_ended = c.session_ended;
	return q->counts->has_ino ? add_quota_of(m, q->counts->ino, a) : 0;
}

static int (*const answers[])(struct datafs_metad *m, const Metad__Query *q,
			      Metad__Answer *a) = {
	[METAD__QUERY__OF_GETATTR]	= getattr,
	[METAD__QUERY__OF_LOOKUP]	= lookup,
	[METAD__QUERY__OF_READDIR]	= readdir,
	[METAD__QUERY__OF_READLINK]	= readlink,
	[METAD__QUERY__OF_GETXATTR]	= getxattr,
	[METAD__QUERY__OF_LISTXATTR]	= listxattr,
	[METAD__QUERY__OF_PARENT]	= parent,
	[METAD__QUERY__OF_COUNTS]	= counts,
	[METAD__QUERY__OF_QUOTAS]	= quotas,
	[METAD__QUERY__OF_MOUNTS]	= mounts,
	[METAD__QUERY__OF_NODES]	= nodes,
	[METAD__QUERY__OF_JOBS]	= jobs,
	[METAD__QUERY__OF_POLICIES]	= policies,
	[METAD__QUERY__OF_LISTING_PAGE]	= listing_page,
};

int datafs_metad_answer(struct datafs_metad *m, const Metad__Query *q,
			Metad__Answer **res)
{
	size_t of = (size_t)q->of_case;
	Metad__Answer *a = malloc(sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	metad__answer__init(a);
	err = of < sizeof(answers) / sizeof(*answers) && answers[of] ?
	      answers[of](m, q, a) : -ENOSYS;
	if (err == -ENOMEM) {
		metad__answer__free_unpacked(a, NULL);
		return err;
	}
	a->has_error = true;
	/* A damaged record has its line in the log. */
	a->error = (uint32_t)(err == -EUCLEAN ? EIO : -err);
	*res = a;
	return 0;
}
