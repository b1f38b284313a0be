// SPDX-License-Identifier: Apache-2.0
#include "metad_check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "metad/ns_internal.h"

/* An inode and what was counted of it. */
struct seen {
	struct rec_inode in;
	uint64_t names, children, subdirs, holders, xattrs;
	bool orphan;
};

struct seen_quota {
	struct datafs_metad_quota q;
	uint64_t inodes, bytes;
};

struct seen_session {
	uint64_t id;
	struct rec_session s;
	uint64_t answers, holds;
};

static struct {
	struct txn t;
	struct rec_node n;
	struct seen *in;
	struct seen_session *s;
	struct seen_quota *q;
	struct datafs_metad_mounts table;
	struct datafs_metad_routing routing;
	struct datafs_metad_policies policies_table;
	size_t inodes, sessions, quotas, mounts, names, entries;
	struct datafs_metad_jobs jobs_table;
	size_t nodes, node_names, spoken, speakers, policies, jobs, running, holders;
	struct rec_listings all;
	size_t listings, listing_pages, pages, listed, over, listings_over;
	uint64_t charge;
	const char *why;
} w;

/* What does not hold is remembered. */
#define HOLDS(cond)	((cond) || (w.why = #cond, false))

static int by_ino(const void *a, const void *b)
{
	const uint64_t *ino = a;
	const struct seen *s = b;

	return (*ino > s->in.a.ino) - (*ino < s->in.a.ino);
}

static struct seen *inode(uint64_t ino)
{
	return bsearch(&ino, w.in, w.inodes, sizeof(*w.in), by_ino);
}

static struct seen_session *session(uint64_t id)
{
	for (size_t i = 0; i < w.sessions; i++)
		if (w.s[i].id == id)
			return &w.s[i];
	return NULL;
}

static void *more(void *p, size_t n, size_t size)
{
	if (n & (n + 1) && n)
		return p;
	p = realloc(p, (n + 1) * 2 * size);
	if (!p)
		abort();
	return p;
}

static const char *see_inode(struct txn_bytes key, struct txn_bytes val)
{
	struct seen *s;

	(void)val;
	if (!HOLDS(key.len == 9))
		return w.why;
	w.in = more(w.in, w.inodes, sizeof(*w.in));
	s = &w.in[w.inodes++];
	*s = (struct seen){ 0 };
	if (!HOLDS(rec_inode_get(&w.t, datafs_get_be64(key.p + 1), &s->in) == 1))
		return w.why;
	if (!HOLDS(s->in.a.ino && s->in.a.ino < w.n.next_ino))
		return w.why;
	if (!HOLDS(s->in.a.version))
		return w.why;
	return NULL;
}

static const char *see_session(struct txn_bytes key, struct txn_bytes val)
{
	struct seen_session *s;

	(void)val;
	if (!HOLDS(key.len == 9))
		return w.why;
	w.s = more(w.s, w.sessions, sizeof(*w.s));
	s = &w.s[w.sessions++];
	*s = (struct seen_session){ .id = datafs_get_be64(key.p + 1) };
	if (!HOLDS(s->id && rec_session_get(&w.t, s->id, &s->s) == 1))
		return w.why;
	return NULL;
}

static const char *see_name(struct txn_bytes key, struct txn_bytes val)
{
	struct seen *dir = inode(datafs_get_be64(key.p + 1)), *in;
	struct txn_bytes name = { key.p + 9, key.len - 9 }, cval, cname;
	uint64_t cookie, ino;
	struct rec_dirent de;
	struct key c;

	(void)val;
	if (!HOLDS(dir && S_ISDIR(dir->in.a.mode) && dir->in.a.nlink))
		return w.why;
	if (!HOLDS(rec_dirent_get(&w.t, dir->in.a.ino, name, &de) == 1))
		return w.why;
	if (!HOLDS(de.cookie >= DATAFS_FIRST_COOKIE && de.cookie < dir->in.cookie))
		return w.why;
	c = key_make2('C', dir->in.a.ino, de.cookie);
	if (!HOLDS(txn_get(&w.t, key_bytes(&c), &cval) == 1))
		return w.why;
	if (!HOLDS(!rec_cookie_decode(&w.t, key_bytes(&c), cval, &cookie, &ino, &cname)))
		return w.why;
	if (!HOLDS(ino == de.ino && cname.len == name.len &&
	      !memcmp(cname.p, name.p, name.len)))
		return w.why;
	in = inode(de.ino);
	if (!HOLDS(in))
		return w.why;
	in->names++;
	dir->children++;
	if (S_ISDIR(in->in.a.mode)) {
		dir->subdirs++;
		if (!HOLDS(in->in.parent == dir->in.a.ino))
			return w.why;
	}
	w.names++;
	return NULL;
}

static const char *see_entry(struct txn_bytes key, struct txn_bytes val)
{
	(void)key, (void)val;
	w.entries++;
	return NULL;
}

static const char *see_xattr(struct txn_bytes key, struct txn_bytes val)
{
	struct seen *in = inode(datafs_get_be64(key.p + 1));

	if (!HOLDS(in && val.len && key.len > 9))
		return w.why;
	in->xattrs += key.len - 8;
	return NULL;
}

static const char *see_orphan(struct txn_bytes key, struct txn_bytes val)
{
	struct seen *in = inode(datafs_get_be64(key.p + 1));

	if (!HOLDS(key.len == 9 && val.len == 1 && in))
		return w.why;
	in->orphan = true;
	return NULL;
}

static const char *see_hold(struct txn_bytes key, struct txn_bytes val)
{
	struct seen_session *s = session(datafs_get_be64(key.p + 1));
	struct seen *in = inode(datafs_get_be64(key.p + 9));

	if (!HOLDS(key.len == 17 && val.len == 1 && s && in))
		return w.why;
	in->holders++;
	s->holds++;
	return NULL;
}

static const char *see_lease(struct txn_bytes key, struct txn_bytes val)
{
	const struct seen_session *s = session(datafs_get_be64(key.p + 1));

	return HOLDS(key.len == 9 && val.len == 13 && s && !s->s.closing) ? NULL : w.why;
}

static const char *see_answer(struct txn_bytes key, struct txn_bytes val)
{
	struct seen_session *s = session(datafs_get_be64(key.p + 1));

	if (!HOLDS(key.len == 17 && val.len > 1 && s))
		return w.why;
	if (!HOLDS(datafs_get_be64(key.p + 9) >= s->s.lowest))
		return w.why;
	s->answers++;
	return NULL;
}

static const char *see_quota(struct txn_bytes key, struct txn_bytes val)
{
	struct seen_quota *s;

	w.q = more(w.q, w.quotas, sizeof(*w.q));
	s = &w.q[w.quotas++];
	*s = (struct seen_quota){ 0 };
	if (!HOLDS(w.n.c.feature_level >= 2))
		return w.why;
	if (!HOLDS(!rec_quota_decode(&w.t, key, val, &s->q)))
		return w.why;
	if (!HOLDS(s->q.id < w.n.next_ino && !inode(s->q.id)))
		return w.why;
	return NULL;
}

static const char *see_table(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	if (!HOLDS(key.len == 1 && w.n.c.feature_level >= 4))
		return w.why;
	if (!HOLDS(rec_mounts_get(&w.t, &w.table) == 1))
		return w.why;
	return NULL;
}

static const char *see_mount(struct txn_bytes key, struct txn_bytes val)
{
	struct datafs_metad_mount mount;

	w.mounts++;
	if (!HOLDS(!rec_mount_decode(&w.t, key, val, &mount)))
		return w.why;
	if (!HOLDS(mount.generation <= w.table.version))
		return w.why;
	return NULL;
}

static const char *see_routing(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	if (!HOLDS(key.len == 1 && w.n.c.feature_level >= 5))
		return w.why;
	if (!HOLDS(rec_routing_get(&w.t, &w.routing) == 1))
		return w.why;
	return NULL;
}

static const char *see_routed(struct txn_bytes key, struct txn_bytes val)
{
	struct datafs_metad_node node, by;

	w.nodes++;
	if (!HOLDS(!rec_routed_decode(&w.t, key, val, &node)))
		return w.why;
	w.spoken += node.session != 0;
	if (!HOLDS(node.id <= w.routing.last_id))
		return w.why;
	if (!HOLDS(rec_routed_by_name(&w.t, node.name, node.name_len, &by) == 1 && by.id == node.id))
		return w.why;
	if (!HOLDS(!node.session || (rec_routed_by_session(&w.t, node.session, &by) == 1 &&
				     by.id == node.id)))
		return w.why;
	return NULL;
}

static const char *see_node_name(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	w.node_names++;
	if (!HOLDS(key.len > 1))
		return w.why;
	return NULL;
}

static const char *see_speaker(struct txn_bytes key, struct txn_bytes val)
{
	struct rec_session s;

	(void)val;
	w.speakers++;
	if (!HOLDS(key.len == 9 &&
		   rec_session_get(&w.t, datafs_get_be64(key.p + 1), &s) == 1 && !s.closing))
		return w.why;
	return NULL;
}

static const char *see_jobs_table(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	if (!HOLDS(key.len == 1 && w.n.c.feature_level >= 6))
		return w.why;
	if (!HOLDS(rec_jobs_get(&w.t, &w.jobs_table) == 1))
		return w.why;
	return NULL;
}

static const char *see_job(struct txn_bytes key, struct txn_bytes val)
{
	struct datafs_metad_job job;
	struct datafs_metad_node node = { 0 };
	struct key by;

	w.jobs++;
	if (!HOLDS(!rec_job_decode(&w.t, key, val, &job)))
		return w.why;
	w.running += job.session != 0;
	by = key_make2('K', job.session, job.id);
	if (!HOLDS(job.id <= w.jobs_table.last_id))
		return w.why;
	if (!HOLDS(!job.session || rec_mark_get(&w.t, &by) == 1))
		return w.why;
	if (!HOLDS(datafs_job_ended(job.state) || !job.node ||
		   rec_routed_get(&w.t, job.node, &node) == 1))
		return w.why;
	if (!HOLDS(!job.session || !job.node || node.session == job.session))
		return w.why;
	return NULL;
}

static const char *see_holder(struct txn_bytes key, struct txn_bytes val)
{
	struct rec_session s;

	(void)val;
	w.holders++;
	if (!HOLDS(key.len == 17 &&
		   rec_session_get(&w.t, datafs_get_be64(key.p + 1), &s) == 1 && !s.closing))
		return w.why;
	return NULL;
}

static const char *see_policies(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	if (!HOLDS(key.len == 1 && w.n.c.feature_level >= 6))
		return w.why;
	if (!HOLDS(rec_policies_get(&w.t, &w.policies_table) == 1))
		return w.why;
	return NULL;
}

static const char *see_policy(struct txn_bytes key, struct txn_bytes val)
{
	struct datafs_metad_policy policy;

	w.policies++;
	if (!HOLDS(!rec_policy_decode(&w.t, key, val, &policy)))
		return w.why;
	return NULL;
}

/* What the record of a directory says is there, of that directory, and so. */
static const char *see_listed_as(const struct datafs_metad_listing *dir, uint64_t number,
				 bool coming)
{
	struct datafs_metad_listing l;

	if (!number)
		return NULL;
	w.listed++;
	if (!HOLDS(rec_listing_get(&w.t, number, &l) == 1))
		return w.why;
	if (!HOLDS(l.state != DATAFS_LISTING_OVER &&
		   coming == (l.state == DATAFS_LISTING_COMING)))
		return w.why;
	if (!HOLDS(l.mount == dir->mount && l.generation == dir->generation &&
		   l.key_len == dir->key_len && !memcmp(l.key, dir->key, l.key_len)))
		return w.why;
	return NULL;
}

static const char *see_listed(struct txn_bytes key, struct txn_bytes val)
{
	struct datafs_metad_listing dir;
	struct rec_listed listed;
	const char *why;

	(void)val;
	if (key.len == 1) {
		if (!HOLDS(w.n.c.feature_level >= 6 && rec_listings_get(&w.t, &w.all) == 1))
			return w.why;
		return NULL;
	}
	if (!HOLDS(key.len >= 17))
		return w.why;
	if (!datafs_get_be64(key.p + 1)) {
		w.over++;
		return NULL;
	}
	dir = (struct datafs_metad_listing) {
		.mount = datafs_get_be64(key.p + 1), .generation = datafs_get_be64(key.p + 9),
		.key = key.p + 17, .key_len = key.len - 17,
	};
	if (!HOLDS(rec_listed_get(&w.t, &dir, &listed) == 1))
		return w.why;
	why = see_listed_as(&dir, listed.published, false);
	return why ? why : see_listed_as(&dir, listed.coming, true);
}

static const char *see_listing(struct txn_bytes key, struct txn_bytes val)
{
	uint64_t charge = 0;
	struct datafs_metad_listing l;
	struct txn_bytes page;
	struct key over;

	if (!HOLDS(!rec_listing_decode(&w.t, key, val, &l) && l.number <= w.all.last))
		return w.why;
	w.listings++;
	w.listing_pages += l.pages;
	w.charge += l.charge;
	for (uint32_t i = 0; i < l.pages; i++) {
		if (!HOLDS(rec_listing_page_get(&w.t, l.number, i, &page) == 1))
			return w.why;
		charge += rec_listing_page_charge(page.len);
	}
	if (!HOLDS(l.charge == charge + rec_listing_charge(l.key_len)))
		return w.why;
	over = key_make2('U', 0, l.number);
	w.listings_over += l.state == DATAFS_LISTING_OVER;
	if (!HOLDS(rec_mark_get(&w.t, &over) == (l.state == DATAFS_LISTING_OVER)))
		return w.why;
	return NULL;
}

static const char *see_page(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	w.pages++;
	if (!HOLDS(key.len == 17))
		return w.why;
	return NULL;
}

static const char *see_node(struct txn_bytes key, struct txn_bytes val)
{
	(void)val;
	if (!HOLDS(key.len == 1))
		return w.why;
	return NULL;
}

/* In an order in which each finds what it needs. */
static const struct {
	char type;
	const char *(*see)(struct txn_bytes key, struct txn_bytes val);
} kinds[] = {
	{ 'N', see_node }, { 'I', see_inode }, { 'S', see_session },
	{ 'D', see_name }, { 'C', see_entry }, { 'X', see_xattr },
	{ 'O', see_orphan }, { 'H', see_hold }, { 'R', see_answer }, { 'Q', see_quota },
	{ 'L', see_lease }, { 'T', see_table }, { 'M', see_mount },
	{ 'V', see_routing }, { 'P', see_routed }, { 'E', see_node_name }, { 'B', see_speaker },
	{ 'A', see_jobs_table }, { 'J', see_job }, { 'K', see_holder },
	{ 'Z', see_policies }, { 'Y', see_policy },
	{ 'U', see_listed }, { 'G', see_listing }, { 'F', see_page },
};

/* That of a mount or a policy is its path, and one of a node its name. */
static bool length_ok(int kind, size_t len)
{
	return len == 1 || len >= 9 || strchr("MEY", kinds[kind].type);
}

static const char *scan(int kind)
{
	struct txn_bytes prefix = { (const uint8_t *)&kinds[kind].type, 1 };
	struct txn_bytes key, val;
	const char *why = NULL;
	struct txn_scan s;

	txn_scan_begin(&s, &w.t, prefix, prefix);
	while (!why && txn_scan_next(&s, &key, &val) == 1)
		why = length_ok(kind, key.len) ? kinds[kind].see(key, val) : "key";
	txn_scan_end(&s);
	return why;
}

static const char *keys_known(void)
{
	struct txn_bytes key, val, none = { 0 };
	struct txn_scan s;
	bool known = true;

	txn_scan_begin(&s, &w.t, none, none);
	while (known && txn_scan_next(&s, &key, &val) == 1)
		known = key.len && memchr("NISDCXOHRQLTMVPEBZYJKAUGF", key.p[0], 25);
	txn_scan_end(&s);
	if (!HOLDS(known))
		return w.why;
	return NULL;
}

static const char *sum_inode(const struct seen *s)
{
	const struct rec_inode *in = &s->in;
	uint64_t ino = in->a.ino, steps = 0;

	if (!HOLDS(in->holders == s->holders && in->xattrs == s->xattrs))
		return w.why;
	if (!HOLDS(s->orphan == !in->a.nlink))
		return w.why;
	if (!HOLDS(in->a.nlink || in->holders))
		return w.why;
	if (!S_ISDIR(in->a.mode)) {
		if (!HOLDS(in->a.nlink == s->names))
			return w.why;
		return NULL;
	}
	if (!HOLDS(in->children == s->children))
		return w.why;
	if (!HOLDS(in->a.nlink == (in->a.nlink ? 2 : 0) + s->subdirs))
		return w.why;
	if (!HOLDS(s->names == (in->a.nlink && ino != DATAFS_METAD_ROOT)))
		return w.why;
	while (in->a.nlink && ino != DATAFS_METAD_ROOT) {
		if (!HOLDS(++steps <= w.inodes && inode(ino)))
			return w.why;
		ino = inode(ino)->in.parent;
	}
	return NULL;
}

/* Counted anew: each inode with the id of a quota that is there. */
static const char *sum_quotas(void)
{
	for (size_t i = 0; i < w.inodes; i++) {
		const struct rec_inode *in = &w.in[i].in;

		if (!HOLDS(!in->quota || w.n.c.feature_level >= 2))
			return w.why;
		for (size_t j = 0; j < w.quotas; j++) {
			if (w.q[j].q.id != in->quota)
				continue;
			w.q[j].inodes++;
			if (S_ISREG(in->a.mode))
				w.q[j].bytes += in->a.size;
		}
	}
	for (size_t j = 0; j < w.quotas; j++) {
		const struct seen *root = inode(w.q[j].q.root);

		if (!HOLDS(w.q[j].q.inodes == w.q[j].inodes && w.q[j].q.bytes == w.q[j].bytes))
			return w.why;
		if (!HOLDS(!root || root->in.quota == w.q[j].q.id))
			return w.why;
	}
	return NULL;
}

static const char *sum(void)
{
	uint64_t bytes = 0, orphans = 0;
	const char *why;

	for (size_t i = 0; i < w.inodes; i++) {
		why = sum_inode(&w.in[i]);
		if (why)
			return why;
		if (S_ISREG(w.in[i].in.a.mode))
			bytes += w.in[i].in.a.size;
		orphans += w.in[i].orphan;
	}
	for (size_t i = 0; i < w.sessions; i++)
		if (!HOLDS(w.s[i].answers == w.s[i].s.answers &&
		      w.s[i].holds == w.s[i].s.holds))
			return w.why;
	if (!HOLDS(inode(DATAFS_METAD_ROOT)))
		return w.why;
	if (!HOLDS(w.names == w.entries))
		return w.why;
	if (!HOLDS(w.n.c.inodes == w.inodes && w.n.c.orphans == orphans))
		return w.why;
	if (!HOLDS(w.n.c.sessions == w.sessions && w.n.c.bytes == bytes))
		return w.why;
	if (!HOLDS(w.table.mounts == w.mounts))
		return w.why;
	if (!HOLDS(w.routing.nodes == w.nodes && w.node_names == w.nodes))
		return w.why;
	if (!HOLDS(w.policies_table.policies == w.policies))
		return w.why;
	if (!HOLDS(w.spoken == w.speakers))
		return w.why;
	if (!HOLDS(w.jobs_table.jobs == w.jobs && w.running == w.holders))
		return w.why;
	if (!HOLDS(w.listings == w.all.listings && w.charge == w.all.charge))
		return w.why;
	/* each is said by its directory, once, or is over */
	if (!HOLDS(w.listed + w.listings_over == w.listings && w.over == w.listings_over))
		return w.why;
	if (!HOLDS(w.pages == w.listing_pages))
		return w.why;
	return NULL;
}

static const char *check(void)
{
	const char *why;

	if (!HOLDS(rec_node_get(&w.t, &w.n) == 1))
		return w.why;
	why = keys_known();
	for (size_t i = 0; !why && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		why = scan((int)i);
	if (!why)
		why = sum();
	if (!why)
		why = sum_quotas();
	if (!HOLDS(!txn_error(&w.t)))
		return w.why;
	return why;
}

const char *metad_check(struct datafs_metad *m)
{
	const char *why;

	memset(&w, 0, sizeof(w));
	txn_view(&w.t, m->db, m->dir);
	why = check();
	txn_end(&w.t);
	free(w.in);
	free(w.s);
	free(w.q);
	return why;
}

uint8_t *metad_dump(struct datafs_metad *m, size_t *len)
{
	struct txn_bytes key, val, none = { 0 };
	uint64_t lens[2];
	uint8_t *buf = NULL;
	struct txn_scan s;
	struct txn t;

	*len = 0;
	txn_view(&t, m->db, m->dir);
	txn_scan_begin(&s, &t, none, none);
	while (txn_scan_next(&s, &key, &val) == 1) {
		lens[0] = key.len;
		lens[1] = val.len;
		buf = realloc(buf, *len + sizeof(lens) + key.len + val.len);
		if (!buf)
			abort();
		memcpy(buf + *len, lens, sizeof(lens));
		*len += sizeof(lens);
		memcpy(buf + *len, key.p, key.len);
		*len += key.len;
		memcpy(buf + *len, val.p, val.len);
		*len += val.len;
	}
	txn_scan_end(&s);
	if (txn_error(&t))
		abort();
	txn_end(&t);
	return buf;
}
