// SPDX-License-Identifier: Apache-2.0
/* Sessions, what they hold, and what concerns no name. */
#include <errno.h>

#include "base/util.h"
#include "op.h"

int op_noop(struct op *o, const Metad__Command *c)
{
	(void)o, (void)c;
	return 0;
}

/* One above ours has halted the member already. */
int op_feature(struct op *o, const Metad__Command *c)
{
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

/* Deletes what begins with this; of holds the inodes are let go. */
static void close_records(struct op *o, struct key prefix, bool holds)
{
	struct txn_bytes key, val;
	struct op_inode *in;
	struct txn_scan s;

	txn_scan_begin(&s, o->t, key_bytes(&prefix), key_bytes(&prefix));
	while (txn_scan_next(&s, &key, &val) == 1) {
		if (key.len != 17) {
			txn_damaged(o->t, key, "no such key");
			break;
		}
		txn_del(o->t, key);
		if (!holds)
			continue;
		if (op_get(o, datafs_get_be64(key.p + 9), &in) || !in->r.holders) {
			txn_damaged(o->t, key, "not held");
			break;
		}
		op_let_go(o, in);
		op_flush(o);
	}
	txn_scan_end(&s);
}

int op_session_close(struct op *o, const Metad__Command *c)
{
	uint64_t id = o->session ? o->session : c->session_close->session;
	struct key k = key_make('S', id);
	struct rec_session s;
	int ret;

	if (o->session && c->session_close->has_session)
		return -EINVAL;
	ret = rec_session_get(o->t, id, &s);
	if (ret <= 0)
		return ret;
	close_records(o, key_make('H', id), true);
	close_records(o, key_make('R', id), false);
	rec_del(o->t, &k);
	o->n->c.sessions--;
	o->opened = false;
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

void op_forget_answers(struct op *o, uint64_t lowest)
{
	struct key prefix = key_make('R', o->session);
	struct key from = key_make2('R', o->session, o->s->lowest);
	struct txn_bytes key, val;
	struct txn_scan s;

	if (lowest <= o->s->lowest)
		return;
	txn_scan_begin(&s, o->t, key_bytes(&prefix), key_bytes(&from));
	while (txn_scan_next(&s, &key, &val) == 1) {
		if (key.len != 17 || !o->s->answers) {
			txn_damaged(o->t, key, "an answer that is not counted");
			break;
		}
		if (datafs_get_be64(key.p + 9) >= lowest)
			break;
		txn_del(o->t, key);
		o->s->answers--;
	}
	txn_scan_end(&s);
	o->s->lowest = lowest;
}
