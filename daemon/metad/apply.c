// SPDX-License-Identifier: Apache-2.0
/* An entry: its commands, whose sessions, what was answered before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "answer.h"
#include "decode.h"
#include "ns_internal.h"
#include "op.h"

static int halt(struct datafs_metad *m, uint64_t index, int err, const char *why)
{
	datafs_log(LOG_ERR, "namespace in %s: halted at entry %llu: %s", m->dir,
		   (unsigned long long)index, why);
	m->state = METAD_HALTED;
	m->halted = err;
	return err;
}

/* The Result, packed. */
static void pack(struct op *o, const Metad__Command *c, int err,
		 struct txn_bytes *res)
{
	Metad__Result r = METAD__RESULT__INIT;
	Metad__Attr attr[TOLD_NR], **field[TOLD_NR] = {
		[TOLD_NODE] = &r.node, [TOLD_PARENT] = &r.parent,
		[TOLD_NEW_PARENT] = &r.new_parent, [TOLD_OTHER] = &r.other,
	};
	uint8_t *p;

	r.has_session = r.has_request = r.has_error = true;
	r.session = c->session;
	r.request = c->request;
	r.error = (uint32_t)-err;
	for (int i = 0; !err && i < TOLD_NR; i++) {
		if (!o->told[i])
			continue;
		o->told[i]->r.a.xattrs = o->told[i]->r.xattrs;
		datafs_metad_tell(&o->told[i]->r.a, &attr[i]);
		*field[i] = &attr[i];
	}
	if (!err && o->listing.has_state)
		r.listing = &o->listing;
	r.has_more = o->more && !err;
	r.more = r.has_more;
	r.has_job = o->job && !err;
	r.job = r.has_job ? o->job : 0;
	*res = (struct txn_bytes){ 0 };
	p = txn_alloc(o->t, metad__result__get_packed_size(&r));
	if (p)
		*res = (struct txn_bytes){ p, metad__result__pack(&r, p) };
}

/* 0: the command may be tried. 1: @res is the answer that it had. Else a refusal. */
static int begin(struct op *o, const Metad__Command *c, struct txn_bytes *res)
{
	struct key k = key_make2('R', c->session, c->request);
	int ret;

	if (!c->session)
		return c->op_case == METAD__COMMAND__OP_NOOP ||
		       c->op_case == METAD__COMMAND__OP_FEATURE ||
		       c->op_case == METAD__COMMAND__OP_SET_QUOTA ||
		       c->op_case == METAD__COMMAND__OP_REMOVE_QUOTA ||
		       c->op_case == METAD__COMMAND__OP_SESSION_CLOSE ||
		       c->op_case == METAD__COMMAND__OP_SESSION_LEASE ? 0 : -EINVAL;
	if (!c->request || c->lowest > c->request)
		return -EINVAL;
	ret = rec_session_get(o->t, c->session, o->s);
	if (ret < 0)
		return ret;
	if (!ret) {
		*o->s = (struct rec_session){ .lowest = c->lowest };
		return c->op_case == METAD__COMMAND__OP_SESSION_OPEN ||
		       c->op_case == METAD__COMMAND__OP_SESSION_CLOSE ? 0 : -ENOTCONN;
	}
	if (o->s->closing)
		return c->op_case == METAD__COMMAND__OP_SESSION_CLOSE ? 0 : -ENOTCONN;
	o->opened = true;
	op_forget_answers(o, c->lowest);
	rec_session_put(o->t, c->session, o->s);
	if (c->request < o->s->lowest)
		return -EALREADY;
	/* none is remembered: it has not been answered */
	if (!o->s->answers)
		return 0;
	ret = rec_bytes_get(o->t, &k, res);
	if (ret == 1 && metad_planted(DATAFS_METAD_PLANT_TWICE)) {
		rec_del(o->t, &k);
		o->s->answers--;
		return 0;
	}
	if (ret)
		return ret;
	return o->s->answers >= DATAFS_METAD_ANSWERS_MAX ? -EBUSY : 0;
}

/* Remembers the answer of a session's command. */
static void remember(struct op *o, const Metad__Command *c, struct txn_bytes res)
{
	struct key k = key_make2('R', c->session, c->request);

	if (!c->session || !o->opened)
		return;
	o->s->answers++;
	rec_session_put(o->t, c->session, o->s);
	rec_bytes_put(o->t, &k, res);
}

/* Its answer is in @res; only the transaction can fail. */
static void run(struct txn *t, struct rec_node *n, const Metad__Command *c,
		struct txn_bytes *res)
{
	struct rec_node n_was = *n;
	struct rec_session s = { 0 }, s_was;
	struct op o = {
		.t = t, .n = n, .s = &s, .session = c->session, .time = n->time,
		.now = { (time_t)(n->time / DATAFS_SEC), (long)(n->time % DATAFS_SEC) },
		.listing = METAD__LISTING__INIT,
	};
	int ret = begin(&o, c, res);

	if (ret == 1)
		return;
	if (ret) {
		pack(&o, c, ret, res);
		return;
	}
	s_was = s;
	txn_save(t);
	ret = op_find(c->op_case)(&o, c);
	if (!ret)
		op_flush(&o);
	if (ret || (c->op_case >= METAD__COMMAND__OP_CREATE && !(n->c.index % 8) &&
		    metad_planted(DATAFS_METAD_PLANT_LOST))) {
		txn_drop(t);
		*n = n_was;
		s = s_was;
	} else {
		txn_keep(t);
	}
	pack(&o, c, ret, res);
	remember(&o, c, *res);
}

static int keep_result(struct datafs_metad_results *res, struct txn_bytes b)
{
	struct datafs_metad_result *r = &res->r[res->n];

	r->data = malloc(b.len ? b.len : 1);
	if (!r->data)
		return -ENOMEM;
	memcpy(r->data, b.p, b.len);
	r->len = b.len;
	res->n++;
	return 0;
}

static int apply(struct datafs_metad *m, struct txn *t, struct rec_node *n,
		 const Metad__Entry *e, struct datafs_metad_results *res)
{
	struct txn_bytes b;

	if (res && e->n_commands) {
		res->r = calloc(e->n_commands, sizeof(*res->r));
		if (!res->r)
			return txn_fail(t, -ENOMEM);
	}
	if (e->first_ino > n->next_ino)
		n->next_ino = DATAFS_MIN(e->first_ino, (uint64_t)DATAFS_METAD_INO_MAX + 1);
	n->time = DATAFS_MAX(e->time, n->time);
	for (size_t i = 0; i < e->n_commands && !txn_error(t); i++) {
		run(t, n, e->commands[i], &b);
		if (res && !txn_error(t) && keep_result(res, b))
			txn_fail(t, -ENOMEM);
	}
	rec_node_put(t, n);
	return txn_commit(t, m->wopt);
}

int datafs_metad_apply(struct datafs_metad *m, uint64_t index, uint64_t term,
		       const void *entry, size_t len,
		       struct datafs_metad_results *res)
{
	struct rec_node n = m->n;
	Metad__Entry *e;
	const char *why;
	struct txn t;
	int err;

	if (res)
		*res = (struct datafs_metad_results){ 0 };
	if (m->state == METAD_HALTED)
		return m->halted;
	if (index && index <= n.c.index)
		return 1;
	if (!index || term < n.c.term)
		return -EINVAL;
	err = metad_decode_entry(entry, len, m->level, &e, &why);
	if (err)
		return err == -ENOMEM ? err : halt(m, index, err, why);
	n.c.index = index;
	n.c.term = term;
	txn_begin(&t, m->db, m->ropt, m->dir);
	t.cache = m->cache;
	t.batch = m->batch;
	err = apply(m, &t, &n, e, res);
	txn_end(&t);
	metad__entry__free_unpacked(e, NULL);
	if (!err) {
		if (n.c.feature_level != m->n.c.feature_level)
			datafs_log(LOG_NOTICE, "namespace in %s: feature level %u from entry %llu on",
				   m->dir, n.c.feature_level, (unsigned long long)index);
		m->n = n;
		return 0;
	}
	if (res)
		datafs_metad_results_free(res);
	return err == -ENOMEM ? err : halt(m, index, err, strerror(-err));
}

void datafs_metad_results_free(struct datafs_metad_results *res)
{
	for (size_t i = 0; i < res->n; i++)
		free(res->r[i].data);
	free(res->r);
	*res = (struct datafs_metad_results){ 0 };
}
