// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/word.h"
#include "metad/mounts.h"
#include "metad/policies.h"
#include "vfs_internal.h"

#define ASK_MS		5000	/* a quorum elsewhere that is away holds up no worker longer */
#define READ_TRIES	100	/* of a listing that is changed all the time */

/* What a node of the trie has: its entry here. */
static const enum datafs_cache_class classes[] = {
	[DATAFS_POLICY_NORMAL] = DATAFS_CACHE_NORMAL,
	[DATAFS_POLICY_KEEP] = DATAFS_CACHE_KEEP,
	[DATAFS_POLICY_ONCE] = DATAFS_CACHE_ONCE,
};

void vfs_policies_init(struct vfs_policies *p)
{
	pthread_mutex_init(&p->lock, NULL);
}

void vfs_policies_exit(struct vfs_policies *p)
{
	trie_free(p->root);
	pthread_mutex_destroy(&p->lock);
}

/* ------------------------------------------------------------------- asking */

struct reading {
	struct datafs_quorum *q;
	bool listed;		/* into @text, as lines, instead of the trie */
	struct trie_node *root;
	char *text;
	size_t text_len;
	FILE *lines;
	uint64_t version;
	bool begun, eof;
	char after[DATAFS_METAD_PATH_MAX];
	Metad__Policies from;
};

/* An answer is input. A value that a newer member knows is as if there were none. */
static int add(struct reading *r, const Metad__Policy *p)
{
	const char *name = datafs_policy_cache_name(p->cache);
	uint32_t cache = name ? p->cache : DATAFS_POLICY_NORMAL;
	struct trie_node *n;

	if (datafs_mount_path_wrong(p->path.data, p->path.len))
		return -EIO;
	if (r->lines) {
		datafs_word_put(r->lines, p->path.data, p->path.len);
		fprintf(r->lines, " cache=%s\n", name ? name : "?");
		return 0;
	}
	n = trie_add(r->root, (char *)p->path.data, p->path.len);
	if (!n)
		return -ENOMEM;
	n->mount = (void *)&classes[cache];
	return 0;
}

/* -EAGAIN: it is of another version than those before. */
static int add_piece(struct reading *r, const Metad__Answer *a)
{
	const ProtobufCBinaryData *last;
	int ret = 0;

	if (a->error)
		return -(int)a->error;
	if (r->begun && a->policies_version != r->version)
		return -EAGAIN;
	r->begun = true;
	r->version = a->policies_version;
	r->eof = a->eof || !a->n_policies;
	for (size_t i = 0; !ret && i < a->n_policies; i++)
		ret = add(r, a->policies[i]);
	if (ret || r->eof)
		return ret;
	last = &a->policies[a->n_policies - 1]->path;
	memcpy(r->after, last->data, last->len);
	r->from.has_after = true;
	r->from.after = (ProtobufCBinaryData) { last->len, (uint8_t *)r->after };
	return 0;
}

/* All pieces of one version; there are none if @known is the version still. */
static int read_once(struct reading *r, const uint64_t *known)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;
	int ret = 0;

	*r = (struct reading) { .q = r->q, .listed = r->listed };
	metad__policies__init(&r->from);
	r->from.has_known = known != NULL;
	r->from.known = known ? *known : 0;
	q.of_case = METAD__QUERY__OF_POLICIES;
	q.policies = &r->from;
	if (r->listed)
		r->lines = open_memstream(&r->text, &r->text_len);
	else
		r->root = trie_new();
	if (!r->lines && !r->root)
		return -ENOMEM;
	while (!ret && !r->eof) {
		ret = datafs_quorum_ask(r->q, &q, &a);
		if (ret)
			break;
		ret = add_piece(r, a);
		metad__answer__free_unpacked(a, NULL);
	}
	if (r->lines && fclose(r->lines) && !ret)
		ret = -ENOMEM;
	if (ret) {
		trie_free(r->root);
		free(r->text);
		r->root = NULL;
		r->text = NULL;
	}
	return ret;
}

static int read_all(struct reading *r, const uint64_t *known)
{
	int ret = -EAGAIN;

	for (int i = 0; ret == -EAGAIN && i < READ_TRIES; i++)
		ret = read_once(r, known);
	return ret;
}

int vfs_policies_list(struct datafs_quorum *q, FILE *f)
{
	struct reading r = { .q = q, .listed = true };
	int ret = read_all(&r, NULL);

	if (ret)
		return ret;
	fprintf(f, "version %llu\n", (unsigned long long)r.version);
	fwrite(r.text, 1, r.text_len, f);
	free(r.text);
	return 0;
}

/* A user of the connection elsewhere for this alone, so that what it waits is bounded. */
static int ask(struct vfs_mount *mnt, struct reading *r, const uint64_t *known)
{
	struct datafs_quorum *q = atomic_load(&mnt->quorum), *remote = atomic_load(&mnt->v->remote);
	int ret;

	/* It is not joined yet, or cannot be served. */
	if (!q || (mnt->members && !remote))
		return -EAGAIN;
	r->q = q;
	if (mnt->members) {
		ret = datafs_quorum_share(remote, &r->q);
		if (ret)
			return ret;
		datafs_quorum_limit(r->q, ASK_MS);
	}
	ret = read_all(r, known);
	if (mnt->members)
		datafs_quorum_close(r->q);
	return ret;
}

/* In the end, and of members that do not know of policies, there is nothing to be told. */
static bool is_quiet(int ret)
{
	return ret == -ESHUTDOWN || ret == -EOPNOTSUPP || ret == -EAGAIN;
}

static void tell(struct vfs_mount *mnt, int ret)
{
	struct vfs_policies *p = &mnt->policies;

	if (ret && !is_quiet(ret) && !p->told)
		datafs_log(LOG_WARNING, "mount %u: the policies of the quorum cannot be read: %s; those known before hold, and they are asked for again",
			   mnt->id, strerror(-ret));
	p->told = ret && !is_quiet(ret);
}

/* The new ones, unless they are those that were @known. What is to be freed. */
static struct trie_node *publish(struct vfs_policies *p, const struct reading *r,
				 const uint64_t *known)
{
	struct trie_node *old = r->root;

	pthread_mutex_lock(&p->lock);
	if (!known || r->version != p->version) {
		old = p->root;
		p->root = r->root;
		p->version = r->version;
	}
	pthread_mutex_unlock(&p->lock);
	return old;
}

static void run(struct datafs_job *job)
{
	struct vfs_mount *mnt = (void *)((char *)job - offsetof(struct vfs_mount, policies.job));
	struct vfs_policies *p = &mnt->policies;
	struct reading r = { 0 };
	/* none but this job changes them */
	uint64_t version = p->version;
	const uint64_t *known = p->root ? &version : NULL;
	int ret = atomic_load(&mnt->v->stopping) ? -ESHUTDOWN : ask(mnt, &r, known);

	tell(mnt, ret);
	if (!ret)
		trie_free(publish(p, &r, known));
	pthread_mutex_lock(&p->lock);
	p->busy = false;
	p->next = datafs_now() + VFS_POLICY_AGAIN;
	pthread_mutex_unlock(&p->lock);
	vfs_mount_put(mnt);
}

void vfs_policy_look(struct vfs_mount *mnt)
{
	struct vfs_policies *p = &mnt->policies;
	struct datafs_vfs *v = mnt->v;
	bool due, stopping;

	pthread_mutex_lock(&p->lock);
	due = !p->busy && datafs_now() >= p->next;
	p->busy |= due;
	pthread_mutex_unlock(&p->lock);
	if (!due)
		return;
	p->job.run = run;
	pthread_mutex_lock(&v->lock);
	/* No job is added to a pool that is about to end: a read may be of another one. */
	stopping = atomic_load(&v->stopping);
	if (!stopping) {
		mnt->refs++;
		datafs_pool_add(v->pool, &p->job, DATAFS_PRIO_AHEAD);
	}
	pthread_mutex_unlock(&v->lock);
	if (!stopping)
		return;
	pthread_mutex_lock(&p->lock);
	p->busy = false;
	pthread_mutex_unlock(&p->lock);
}

/* ------------------------------------------------------------------ answering */

enum datafs_cache_class vfs_policy_class(struct vfs_mount *mnt, const char *key)
{
	enum datafs_cache_class res = DATAFS_CACHE_AS_IS;
	struct vfs_policies *p;
	struct trie_node *n;
	bool all;

	if (!mnt->over)
		return res;
	vfs_policy_look(mnt->over);
	p = &mnt->over->policies;
	pthread_mutex_lock(&p->lock);
	if (p->root) {
		res = DATAFS_CACHE_NORMAL;
		n = trie_along(p->root, mnt->path, strlen(mnt->path), &all);
		if (all)
			n = trie_along(n, key, strlen(key), &all);
		while (n && !n->mount)
			n = n->parent;
		if (n)
			res = *(const enum datafs_cache_class *)n->mount;
	}
	pthread_mutex_unlock(&p->lock);
	return res;
}
