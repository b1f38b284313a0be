/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of `datafs meta`: meta.c (arguments; the quorum looked at and
 * changed), meta_ask.c (what all of them need to ask it), meta_backup.c (its state taken
 * away, and brought back), meta_recover.c (gone on with by the last member that is left),
 * meta_quota.c; and of `datafs mount`, `datafs node` and `datafs job`, mount_table.c,
 * node.c and job.c, whose changes are sent by meta_change.c.
 */
#ifndef DATAFS_UTIL_META_INTERNAL_H
#define DATAFS_UTIL_META_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "meta/remote.h"

#define META_ASK_MS	60000	/* until it is given up */
#define META_STATUS_MS	3000	/* a member that says nothing meanwhile is down */

/* What was said, and whom to ask. */
struct meta_request {
	struct datafs_remote *r;	/* NULL: nobody is asked */
	const char *members, *key_file;
	char cluster[2 * DATAFS_CLUSTER_LEN + 1];	/* with authentication off; else "" */
	uint8_t cluster_id[DATAFS_CLUSTER_LEN];		/* of that, or of the key file */
	bool spare, accept_loss;
	uint64_t id;
	const char *address, *file, *from, *dir, *path;
	uint64_t inodes, bytes;		/* limits of a quota; 0: none */
};

/* --members, --key-file, --no-authentication, with their values. False: it is none of them. */
bool meta_option(struct meta_request *q, const char *name, const char *value);
/* Is it said whose quorum it is, once? */
bool meta_has_key(const struct meta_request *q);
/*
 * Runs a command, with a remote if members are named. Its exit status, or that of a failure
 * before, which is told.
 */
int meta_run(struct meta_request *q, int (*run)(struct meta_request *q));

/* The leader's answer to be freed, or NULL after a line that says why there is none. */
Metad__Answer *meta_ask(const struct meta_request *q, const Metad__Query *query);
/*
 * A list that takes several answers. @piece: does what is to be done with an answer's entries,
 * has @query go on behind the last one, and returns how many there were and, in *@version,
 * which version of the list they are of.
 */
struct meta_listing {
	Metad__Query query;
	void (*begin)(struct meta_listing *l);	/* from the first one on */
	size_t (*piece)(struct meta_listing *l, const Metad__Answer *a, uint64_t *version);
	FILE *f;	/* where to, of meta_list_print() */
	uint64_t version;
	bool changed;	/* meanwhile: it is to be got once more */
};

/* False: an error that was told. */
bool meta_list(const struct meta_request *q, struct meta_listing *l);
/* The version, and what @piece prints of it. An exit status; an error is told, of @what. */
int meta_list_print(const struct meta_request *q, struct meta_listing *l, const char *what);
/* As datafs_remote_call(). */
int meta_send(const struct meta_request *q, const Metad__Ask *ask, int member, uint32_t ms,
	      Metad__Reply **res);
int meta_call(const struct meta_request *q, int member, const Metad__Admin *admin, uint32_t ms,
	      Metad__Reply **res);
/*
 * One command, in a session of its own: done once. An exit status; an error is told, of
 * @subject, as @why has it. @look: what tells whether it is done, if there is no answer.
 */
int meta_change(const struct meta_request *q, Metad__Command *c, const char *subject,
		const char *(*why)(uint32_t error), const char *look);
/* ... with its Result, to be freed; NULL with an error. */
int meta_change_told(const struct meta_request *q, Metad__Command *c, const char *subject,
		     const char *(*why)(uint32_t error), const char *look, Metad__Result **res);
/* What a Reply's error means for who administers. */
const char *meta_why(uint32_t error);

/* The commands; an exit status is returned. */
int meta_backup(struct meta_request *q);
int meta_restore(struct meta_request *q);
int meta_inspect(struct meta_request *q);
int meta_recover(struct meta_request *q);
int meta_quota_set(struct meta_request *q);
int meta_quota_list(struct meta_request *q);
int meta_quota_remove(struct meta_request *q);

#endif
