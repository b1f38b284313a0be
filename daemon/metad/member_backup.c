// SPDX-License-Identifier: Apache-2.0
/*
 * A snapshot for somebody who takes it away: with all that is applied now, and kept as
 * long as it is being fetched. It is one as any other, only taken sooner.
 */
#include "metad/member_internal.h"

#include <errno.h>

static bool is_held(const struct datafs_member *m, const struct hold *h)
{
	return h->index && m->cfg.now(m->cfg.ctx) < h->at + DATAFS_MEMBER_HOLD_MS;
}

bool datafs_member_holds(const struct datafs_member *m, uint64_t index)
{
	for (unsigned int i = 0; i < DATAFS_MEMBER_HOLDS; i++)
		if (m->holds[i].index == index && is_held(m, &m->holds[i]))
			return true;
	return false;
}

static int hold(struct datafs_member *m, uint64_t index)
{
	struct hold *h = NULL;

	for (unsigned int i = 0; i < DATAFS_MEMBER_HOLDS; i++)
		if (m->holds[i].index == index || (!h && !is_held(m, &m->holds[i])))
			h = &m->holds[i];
	if (!h)
		return -EBUSY;
	*h = (struct hold) { index, m->cfg.now(m->cfg.ctx) };
	return 0;
}

static void end(struct datafs_member *m, struct datafs_member_backup *b, int err)
{
	TAILQ_REMOVE(&m->backups, b, next);
	b->err = err;
	TAILQ_INSERT_TAIL(&m->backups_done, b, next);
}

void datafs_member_drop_backups(struct datafs_member *m, int err)
{
	struct datafs_member_backup *b;

	while ((b = TAILQ_FIRST(&m->backups)))
		end(m, b, err);
}

bool datafs_member_backups(struct datafs_member *m)
{
	struct datafs_member_backup *b, *next;

	for (b = TAILQ_FIRST(&m->backups); b; b = next) {
		next = TAILQ_NEXT(b, next);
		if (b->index > m->snap.index)
			continue;
		b->index = m->snap.index;
		b->term = m->snap.term;
		end(m, b, hold(m, b->index));
	}
	return !TAILQ_EMPTY(&m->backups);
}

bool datafs_member_answer_backup(struct datafs_member *m)
{
	struct datafs_member_backup *b = TAILQ_FIRST(&m->backups_done);

	if (!b)
		return false;
	TAILQ_REMOVE(&m->backups_done, b, next);
	/* a callback before may have led to another one */
	if (!b->err && (m->halted || b->index != m->snap.index))
		b->err = m->halted ? -EIO : -EAGAIN;
	b->manifest = m->snap.manifest;
	b->len = m->snap.len;
	b->done(b, b->err);
	return true;
}

int datafs_member_backup(struct datafs_member *m, struct datafs_member_backup *b)
{
	if (m->halted)
		return -EIO;
	b->index = m->applied;
	TAILQ_INSERT_TAIL(&m->backups, b, next);
	datafs_member_run(m);
	return 0;
}

long datafs_member_backup_piece(struct datafs_member *m, const struct datafs_raft_piece *piece,
				void *buf)
{
	if (!datafs_member_holds(m, piece->index))
		return -ESTALE;
	hold(m, piece->index);
	return datafs_member_read_piece(m, piece, buf);
}
