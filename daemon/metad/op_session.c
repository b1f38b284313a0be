// SPDX-License-Identifier: Apache-2.0
/* Sessions, what they hold, and what concerns no name. */
#include <errno.h>

#include "base/util.h"
#include "op.h"

#define FEW_ANSWERS	64u

int op_noop(struct op *o, const Metad__Command *c)
{
	(void)o, (void)c;
	return 0;
}

/* One above ours has halted the member already. */
int op_feature(struct op *o, const Metad__Command *c)
{
	if (o->session)
		return -EPERM;
	if (c->feature->level < o->n->c.feature_level)
		return -EINVAL;
	o->n->c.feature_level = c->feature->level;
	return 0;
}

int op_session_open(struct op *o, const Metad__Command *c)
{
	(void)c;
	if (o->opened)
		return -EEXIST;
	/* A late copy of what opened a session must not make one that has ended. */
	if (o->session <= o->n->c.session_ended)
		return -ESTALE;
	if (o->session - o->n->c.session_ended > DATAFS_METAD_SESSION_AHEAD)
		return -EINVAL;
	if (o->n->c.sessions >= DATAFS_METAD_SESSIONS_MAX)
		return -EUSERS;
	o->n->c.sessions++;
	o->s->opened = o->time;
	o->s->renewed = o->time;
	o->opened = true;
	return 0;
}

int op_session_renew(struct op *o, const Metad__Command *c)
{
	(void)c;
	o->s->renewed = o->time;
	return 0;
}

/* Lets go what the session holds, up to a bound. Is there more? */
static bool let_go_some(struct op *o, uint64_t id, struct rec_session *s)
{
	struct key prefix = key_make('H', id), from = key_make2('H', id, s->closing);
	struct op_inode *in;
	struct txn_scan scan;
	struct txn_bytes key;
	uint64_t ino;
	int n = 0, ret;

	txn_scan_begin(&scan, o->t, key_bytes(&prefix), key_bytes(&from));
	while (txn_scan_next(&scan, &key, NULL) == 1 && n++ < DATAFS_METAD_CLOSE_STEP) {
		if (key.len != 17 || !s->holds) {
			txn_damaged(o->t, key, "a hold that is not counted");
			break;
		}
		ino = datafs_get_be64(key.p + 9);
		ret = op_get(o, ino, &in);
		if (!txn_error(o->t) && (ret || !in->r.holders))
			txn_damaged(o->t, key, "not held");
		if (txn_error(o->t))
			break;
		txn_del(o->t, key);
		op_let_go(o, in);
		op_flush(o);
		s->holds--;
		s->closing = ino + 1;
	}
	txn_scan_end(&scan);
	return n > DATAFS_METAD_CLOSE_STEP;
}

static void del_answers(struct op *o, uint64_t id)
{
	struct key prefix = key_make('R', id);
	struct txn_bytes key;
	struct txn_scan s;

	txn_scan_begin(&s, o->t, key_bytes(&prefix), key_bytes(&prefix));
	while (txn_scan_next(&s, &key, NULL) == 1)
		txn_del(o->t, key);
	txn_scan_end(&s);
}

int op_session_close(struct op *o, const Metad__Command *c)
{
	uint64_t id = o->session ? o->session : c->session_close->session;
	struct key k = key_make('S', id), lease = key_make('L', id);
	struct rec_session s;
	int ret;

	if (o->session && c->session_close->has_session)
		return -EINVAL;
	ret = rec_session_get(o->t, id, &s);
	if (ret <= 0)
		return ret;
	if (!s.closing) {
		s.closing = DATAFS_METAD_ROOT;
		/* who ends it has forgotten all, or had no lease for long */
		rec_del(o->t, &lease);
		ret = op_node_session_ends(o, id);
		if (!ret)
			ret = op_job_session_leaves(o, id);
		if (ret)
			return ret;
	}
	o->opened = false;
	o->more = let_go_some(o, id, &s);
	if (o->more) {
		rec_session_put(o->t, id, &s);
		return 0;
	}
	del_answers(o, id);
	rec_del(o->t, &k);
	o->n->c.sessions--;
	o->n->c.session_ended = DATAFS_MAX(o->n->c.session_ended, id);
	return 0;
}

int op_session_lease(struct op *o, const Metad__Command *c)
{
	uint64_t id = c->session_lease->session;
	uint32_t ms = c->session_lease->ms;
	struct datafs_metad_lease l;
	struct rec_session s;
	int ret;

	if (o->session)
		return -EPERM;
	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_LEASE)
		return -EOPNOTSUPP;
	ret = rec_session_get(o->t, id, &s);
	if (ret <= 0 || s.closing)
		return ret < 0 ? ret : -ENOTCONN;
	ret = rec_lease_get(o->t, id, &l);
	if (ret < 0)
		return ret;
	l.ms = DATAFS_MAX(l.ms, ms);
	l.holder = c->session_lease->holder;
	if (l.ms)
		rec_lease_put(o->t, id, &l);
	return 0;
}

int op_hold(struct op *o, const Metad__Command *c)
{
	struct key k = key_make2('H', o->session, c->hold->ino);
	struct op_inode *in;
	int ret = op_get(o, c->hold->ino, &in);

	if (!ret)
		ret = rec_mark_get(o->t, &k);
	if (ret < 0)
		return ret;
	o->told[TOLD_NODE] = in;
	if (ret)
		return 0;
	if (o->s->holds >= DATAFS_METAD_HOLDS_MAX)
		return -EMFILE;
	o->s->holds++;
	in->r.holders++;
	in->dirty = true;
	rec_mark_put(o->t, &k);
	return 0;
}

int op_release(struct op *o, const Metad__Command *c)
{
	struct key k = key_make2('H', o->session, c->release->ino);
	struct op_inode *in;
	int ret = op_get(o, c->release->ino, &in);

	if (ret)
		return ret;
	ret = rec_mark_get(o->t, &k);
	if (ret <= 0)
		return ret ? ret : -EBADF;
	if (!in->r.holders || !o->s->holds)
		return txn_damaged(o->t, key_bytes(&k), "a hold that is not counted");
	o->told[TOLD_NODE] = in;
	o->s->holds--;
	rec_del(o->t, &k);
	op_let_go(o, in);
	return 0;
}

/* Ids one by one: a scan has to pass all those that were forgotten before. */
static void forget_few(struct op *o, uint64_t from, uint64_t to)
{
	struct txn_bytes val;

	for (uint64_t id = from; id < to && o->s->answers; id++) {
		struct key k = key_make2('R', o->session, id);

		if (rec_bytes_get(o->t, &k, &val) != 1)
			continue;
		rec_del(o->t, &k);
		o->s->answers--;
	}
}

static void forget_many(struct op *o, uint64_t from, uint64_t to)
{
	struct key prefix = key_make('R', o->session);
	struct key first = key_make2('R', o->session, from);
	struct txn_bytes key;
	struct txn_scan s;

	txn_scan_begin(&s, o->t, key_bytes(&prefix), key_bytes(&first));
	while (txn_scan_next(&s, &key, NULL) == 1) {
		if (key.len != 17 || !o->s->answers) {
			txn_damaged(o->t, key, "an answer that is not counted");
			break;
		}
		if (datafs_get_be64(key.p + 9) >= to)
			break;
		txn_del(o->t, key);
		o->s->answers--;
	}
	txn_scan_end(&s);
}

void op_forget_answers(struct op *o, uint64_t lowest)
{
	uint64_t from = o->s->lowest;

	if (lowest <= from)
		return;
	if (lowest - from <= FEW_ANSWERS)
		forget_few(o, from, lowest);
	else
		forget_many(o, from, lowest);
	o->s->lowest = lowest;
}
