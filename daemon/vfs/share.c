// SPDX-License-Identifier: Apache-2.0
/*
 * Who lists a directory that is shared: see share.h.
 *
 *	sessions/INCARNATION.list	the session of a mount's tickets
 *
 * It is another session than the mount's, whose requests have the kernel's numbers. None of
 * its tickets outlives it, so a successor begins with a new one.
 */
#define _GNU_SOURCE	/* asprintf */
#include "share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "share_page.h"
#include "vfs_internal.h"

/* The quorum answers until then, or is not asked again for a while. */
#define SHARE_MS	2000
#define AGAIN_MS	5000
#define AGAIN_LEVEL_MS	60000	/* ... of one that has no shared listings */
/* Without a page for so long whoever makes it is taken for lost. */
#define PATIENCE_MS	3000
#define TELL_MS		1000	/* ... so there is one, be it short */
#define NAP_MS		50
#define NAP_MAX_MS	1000

/* A command under way: answers below the lowest of them are wanted no more. */
struct request {
	uint64_t nr;
	struct request *next;
};

struct vfs_shares {
	struct vfs_mount *mnt;
	char *name;			/* of the session's file */
	pthread_mutex_t lock;		/* protects what follows; held over the opening of the session */
	uint64_t session;		/* 0: none yet, or it has ended */
	uint64_t last;			/* request */
	struct request *requests;	/* by their numbers */
	int64_t not_before;		/* datafs_now() */
	/* of the instance's connection; written with the lock */
	_Atomic(struct datafs_quorum *) way;
	atomic_ullong given_up;		/* the last ticket of which nothing came */
};

struct vfs_share {
	/* of the call that is under way; between two pages they may be gone */
	struct vfs_shares *all;
	struct vfs_mount *branch;
	bool follows;
	bool over;		/* of one that is put: it is, or was dropped, or cannot be */
	uint64_t number;
	uint32_t pages;		/* that were put, or taken */
	int64_t looked;
	int64_t told;			/* when a page was put last; datafs_now() */
	struct vfs_share_page *page;	/* of one that is put: what is not there yet */
};

static bool is_over(const struct vfs_shares *s)
{
	return atomic_load(&s->mnt->gone) || atomic_load(&s->mnt->v->stopping);
}

struct vfs_shares *vfs_shares_new(struct vfs_mount *mnt)
{
	char hex[2 * sizeof(mnt->incarnation) + 1];
	struct vfs_shares *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	datafs_hex(mnt->incarnation, sizeof(mnt->incarnation), hex);
	if (asprintf(&s->name, "%s.list", hex) < 0) {
		free(s);
		return NULL;
	}
	s->mnt = mnt;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void vfs_shares_free(struct vfs_shares *s)
{
	if (!s)
		return;
	datafs_quorum_close(atomic_load(&s->way));
	pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s);
}

void vfs_shares_leave(struct vfs_mount *mnt)
{
	struct vfs_shares *s = mnt->shares;
	struct datafs_quorum *way = s ? atomic_load(&s->way) : NULL;

	if (!way)
		return;
	datafs_quorum_stop(way);
	vfs_session_end_at(mnt->v, s->name);
}

/* ---------------------------------------------------------------- the session */

/* With the lock. */
static int way_have(struct vfs_shares *s)
{
	struct datafs_quorum *remote = atomic_load(&s->mnt->v->remote), *way;
	int ret;

	if (atomic_load(&s->way))
		return 0;
	if (!remote)
		return -ENOTCONN;
	ret = datafs_quorum_share(remote, &way);
	if (ret)
		return ret;
	atomic_store(&s->way, way);
	/* vfs_shares_leave() has not seen it, or stops it a second time */
	if (is_over(s))
		datafs_quorum_stop(way);
	return 0;
}

/* With the lock. */
static int session_have(struct vfs_shares *s)
{
	struct datafs_quorum *way;
	struct timespec now;
	int ret = way_have(s);

	if (ret || s->session)
		return ret;
	way = atomic_load(&s->way);
	datafs_quorum_limit(way, SHARE_MS);
	ret = vfs_session_at(s->mnt->v, way, s->mnt->members, s->name, &s->session);
	if (ret) {
		s->session = 0;
		return ret;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	s->last = DATAFS_MAX(s->last, (uint64_t)now.tv_sec * DATAFS_SEC + (uint64_t)now.tv_nsec);
	return 0;
}

/* With the lock. */
static void request_add(struct vfs_shares *s, struct request *r)
{
	struct request **p;

	r->nr = ++s->last;
	r->next = NULL;
	for (p = &s->requests; *p; p = &(*p)->next)
		;
	*p = r;
}

/* With the lock. */
static void request_del(struct vfs_shares *s, struct request *r)
{
	struct request **p;

	for (p = &s->requests; *p != r; p = &(*p)->next)
		;
	*p = r->next;
}

/* With the lock. What stands in the way stands there for a while. */
static void judge(struct vfs_shares *s, uint64_t session, int err)
{
	if (err == -ENOTCONN && s->session == session)
		s->session = 0;
	else if (err == -EOPNOTSUPP)
		s->not_before = datafs_now() + AGAIN_LEVEL_MS * DATAFS_MSEC;
	else if (err != -ESTALE && err != -EINVAL)
		s->not_before = datafs_now() + AGAIN_MS * DATAFS_MSEC;
}

/* @c; *@l is what its Result says of a listing, if anything. 0 or the error, of either. */
static int command(struct vfs_shares *s, Metad__Command *c, Metad__Listing *l)
{
	struct request r;
	Metad__Result *res;
	int ret;

	metad__listing__init(l);
	pthread_mutex_lock(&s->lock);
	ret = datafs_now() < s->not_before ? -EAGAIN : session_have(s);
	if (ret) {
		if (ret != -EAGAIN)
			judge(s, 0, ret);
		pthread_mutex_unlock(&s->lock);
		return ret;
	}
	request_add(s, &r);
	c->has_session = c->has_request = c->has_lowest = true;
	c->session = s->session;
	c->request = r.nr;
	c->lowest = s->requests->nr;
	pthread_mutex_unlock(&s->lock);

	datafs_quorum_limit(atomic_load(&s->way), SHARE_MS);
	ret = datafs_quorum_change(atomic_load(&s->way), c, &res);
	if (!ret) {
		ret = -(int)res->error;
		if (res->listing)
			*l = *res->listing;
		metad__result__free_unpacked(res, NULL);
	}
	pthread_mutex_lock(&s->lock);
	request_del(s, &r);
	if (ret)
		judge(s, c->session, ret);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

/* ------------------------------------------------------------------ beginning */

/* In ms, as the quorum counts them. Something began long ago, if it is to be of any time. */
static uint64_t age_of(int64_t fresh, int64_t now)
{
	if (fresh <= 0)
		return UINT64_MAX;
	return fresh < now ? (uint64_t)((now - fresh) / DATAFS_MSEC) : 0;
}

static int ask_ticket(struct vfs_share *sh, const char *key, int64_t fresh, Metad__Listing *l)
{
	Metad__ListingTicket t = METAD__LISTING_TICKET__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	uint64_t given_up = atomic_load(&sh->all->given_up);
	/* it is applied after this, so the look was not before this less its age */
	int64_t now = datafs_now();
	int ret;

	c.op_case = METAD__COMMAND__OP_LISTING_TICKET;
	c.listing_ticket = &t;
	t.has_mount = t.has_generation = t.has_key = t.has_max_age = true;
	t.mount = sh->branch->row;
	t.generation = sh->branch->generation;
	t.key = (ProtobufCBinaryData) { strlen(key), (uint8_t *)key };
	t.max_age = age_of(fresh, now);
	t.has_instead_of = given_up;
	t.instead_of = given_up;
	ret = command(sh->all, &c, l);
	sh->number = l->number;
	if (l->age < (uint64_t)now / DATAFS_MSEC)
		sh->looked = now - (int64_t)l->age * DATAFS_MSEC;
	return ret;
}

/* What is to be listed is shared, if the mount wants looks to be saved at all. */
static bool may_share(const struct vfs_mount *branch)
{
	struct datafs_under *u = atomic_load(&branch->under);
	uint32_t caps = u ? datafs_under_caps(u) : 0;

	return branch->over && branch->over->shares &&
	       branch->options.sync != DATAFS_SYNC_ALWAYS && caps & DATAFS_UNDER_SAME &&
	       !(caps & DATAFS_UNDER_ATTRS);
}

/* 1: it is shared; 0: it is not. */
static int begin(struct vfs_share *sh, const char *key, int64_t fresh)
{
	Metad__Listing l;

	if (ask_ticket(sh, key, fresh, &l))
		return 0;
	sh->follows = l.state == DATAFS_LISTING_PUBLISHED || l.state == DATAFS_LISTING_COMING;
	/* its age says no less than it is: a quorum that counts otherwise is not followed */
	if (sh->follows)
		return sh->looked >= fresh;
	if (l.state != DATAFS_LISTING_YOURS)
		return 0;
	sh->page = malloc(sizeof(*sh->page));
	if (!sh->page)
		return 0;
	vfs_share_page_begin(sh->page);
	sh->told = datafs_now();
	return 1;
}

struct vfs_share *vfs_share_begin(struct vfs_mount *branch, const char *key, int64_t fresh)
{
	struct vfs_share *sh = may_share(branch) ? malloc(sizeof(*sh)) : NULL;

	if (!sh)
		return NULL;
	*sh = (struct vfs_share) { .all = branch->over->shares, .branch = branch, .looked = 1 };
	if (begin(sh, key, fresh))
		return sh;
	atomic_fetch_add_explicit(&branch->v->listings_alone, 1, memory_order_relaxed);
	vfs_share_free(sh);
	return NULL;
}

bool vfs_share_goes_on(struct vfs_share *sh, struct vfs_mount *branch)
{
	bool may = may_share(branch);

	if (!sh)
		return true;
	/* a ticket is its session's, and what is published is anybody's */
	if (!sh->follows && !sh->over && (!may || branch->over->shares != sh->all)) {
		sh->over = true;
		atomic_fetch_add_explicit(&branch->v->listings_alone, 1, memory_order_relaxed);
	}
	sh->all = may ? branch->over->shares : NULL;
	sh->branch = branch;
	return may || sh->over;
}

bool vfs_share_follows(const struct vfs_share *sh)
{
	return sh->follows;
}

int64_t vfs_share_looked(const struct vfs_share *sh)
{
	return sh->looked;
}

/* -------------------------------------------------------------------- taking */

static int ask_page(struct vfs_share *sh, Metad__Answer **res)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__ListingPage p = METAD__LISTING_PAGE__INIT;
	struct datafs_quorum *way;
	int ret;

	/* the ticket may be one that another mount has asked for */
	pthread_mutex_lock(&sh->all->lock);
	ret = way_have(sh->all);
	pthread_mutex_unlock(&sh->all->lock);
	if (ret)
		return ret;
	q.of_case = METAD__QUERY__OF_LISTING_PAGE;
	q.listing_page = &p;
	p.has_number = p.has_page = true;
	p.number = sh->number;
	p.page = sh->pages;
	way = atomic_load(&sh->all->way);
	datafs_quorum_limit(way, SHARE_MS);
	ret = datafs_quorum_ask(way, &q, res);
	if (!ret && (*res)->error) {
		ret = -(int)(*res)->error;
		metad__answer__free_unpacked(*res, NULL);
	}
	if (ret) {
		pthread_mutex_lock(&sh->all->lock);
		judge(sh->all, 0, ret);
		pthread_mutex_unlock(&sh->all->lock);
	}
	return ret;
}

static void nap(const struct vfs_shares *s, unsigned int ms)
{
	static const struct timespec ts = { .tv_nsec = NAP_MS * DATAFS_MSEC };

	for (unsigned int at = 0; at < ms && !is_over(s); at += NAP_MS)
		nanosleep(&ts, NULL);
}

/* Until it is there. */
static int wait_page(struct vfs_share *sh, Metad__Answer **res)
{
	unsigned int ms = NAP_MS;
	int64_t end = datafs_now() + PATIENCE_MS * DATAFS_MSEC;
	int ret;

	for (;;) {
		ret = ask_page(sh, res);
		if (ret || (*res)->has_data)
			return ret;
		ret = (*res)->listing && (*res)->listing->state == DATAFS_LISTING_COMING ?
		      0 : -EPROTO;
		metad__answer__free_unpacked(*res, NULL);
		if (!ret && is_over(sh->all))
			ret = -ESHUTDOWN;
		if (!ret && datafs_now() >= end) {
			atomic_store(&sh->all->given_up, sh->number);
			ret = -EAGAIN;
		}
		if (ret)
			return ret;
		nap(sh->all, ms);
		ms = DATAFS_MIN(2 * ms, (unsigned int)NAP_MAX_MS);
	}
}

struct taking {
	datafs_under_list_fn fn;
	void *arg;
	int err;
};

/* What stops the page is told apart from what is wrong with it. */
static int take_one(void *arg, const char *name, const struct datafs_under_stat *st)
{
	struct taking *t = arg;

	t->err = t->fn(t->arg, name, st);
	return t->err;
}

/* It is no page: nobody need try that again. */
static int damaged(const struct vfs_share *sh)
{
	datafs_log(LOG_WARNING, "mount %u: at %s of the table: page %u of shared listing %llu is none that this version can read; the store is asked",
		   sh->branch->id, sh->branch->path, sh->pages, (unsigned long long)sh->number);
	pthread_mutex_lock(&sh->all->lock);
	judge(sh->all, 0, -EOPNOTSUPP);
	pthread_mutex_unlock(&sh->all->lock);
	return -EAGAIN;
}

int vfs_share_next(struct vfs_share *sh, datafs_under_list_fn fn, void *arg)
{
	struct taking t = { .fn = fn, .arg = arg };
	Metad__Answer *a;
	bool last;
	int ret = wait_page(sh, &a);

	if (ret)
		return ret == -ESHUTDOWN ? ret : -EAGAIN;
	ret = a->data.len ? vfs_share_page_each(a->data.data, a->data.len, take_one, &t) : 0;
	last = a->listing && a->listing->state == DATAFS_LISTING_PUBLISHED &&
	       sh->pages + 1 >= a->listing->pages;
	metad__answer__free_unpacked(a, NULL);
	if (t.err)
		return t.err;
	if (ret)
		return damaged(sh);
	sh->pages++;
	if (!last)
		return DATAFS_UNDER_STOP;
	atomic_fetch_add_explicit(&sh->branch->v->listings_taken, 1, memory_order_relaxed);
	return 0;
}

/* ------------------------------------------------------------------- putting */

static void put(struct vfs_share *sh, bool last)
{
	Metad__ListingPut p = METAD__LISTING_PUT__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Listing l;
	bool lost;

	c.op_case = METAD__COMMAND__OP_LISTING_PUT;
	c.listing_put = &p;
	p.has_number = p.has_page = p.has_bytes = p.has_last = true;
	p.number = sh->number;
	p.page = sh->pages++;
	p.bytes = (ProtobufCBinaryData) { sh->page->len, sh->page->b };
	p.last = last;
	lost = command(sh->all, &c, &l) || l.state == DATAFS_LISTING_NONE;
	sh->over = lost || last;
	if (sh->over)
		atomic_fetch_add_explicit(lost ? &sh->branch->v->listings_alone :
						 &sh->branch->v->listings_put,
					  1, memory_order_relaxed);
	vfs_share_page_begin(sh->page);
	sh->told = datafs_now();
}

void vfs_share_add(struct vfs_share *sh, const char *name, const struct datafs_under_stat *st)
{
	/* one that no filesystem can have is left out by all */
	if (!sh || sh->over || !vfs_share_page_name(name, strlen(name)))
		return;
	if (!vfs_share_page_add(sh->page, name, st)) {
		put(sh, false);
		if (sh->over)
			return;
		vfs_share_page_add(sh->page, name, st);
	}
	if (datafs_now() - sh->told > TELL_MS * DATAFS_MSEC)
		put(sh, false);
}

void vfs_share_flush(struct vfs_share *sh)
{
	if (sh && !sh->over && !vfs_share_page_empty(sh->page))
		put(sh, false);
}

static void drop(struct vfs_share *sh)
{
	Metad__ListingDrop d = METAD__LISTING_DROP__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Listing l;

	c.op_case = METAD__COMMAND__OP_LISTING_DROP;
	c.listing_drop = &d;
	d.has_number = true;
	d.number = sh->number;
	command(sh->all, &c, &l);
	sh->over = true;
}

void vfs_share_end(struct vfs_share *sh, int err)
{
	if (!sh || sh->follows || sh->over)
		return;
	if (err)
		drop(sh);
	else
		put(sh, true);
}

void vfs_share_free(struct vfs_share *sh)
{
	if (sh)
		free(sh->page);
	free(sh);
}
