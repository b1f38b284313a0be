/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a namespace should be, in the plainest way: a list of inodes and a list
 * of names in the order in which they came. Links, children and orphans are counted
 * when somebody asks. It is one piece of memory without pointers to itself, as large
 * as its user says, that can be copied.
 */
#ifndef DATAFS_TEST_METAD_MODEL_H
#define DATAFS_TEST_METAD_MODEL_H

#include <time.h>

#include "metad_req.h"

#define MODEL_SESSIONS	3	/* 1 to this */
#define MODEL_QUOTAS	512	/* at once */
#define MODEL_MOUNTS	32	/* at once */
#define MODEL_NODES	8	/* at once */
#define MODEL_JOBS	64	/* at once */
#define MODEL_POLICIES	16	/* at once */
#define MODEL_XATTRS	3	/* user.0 to user.2 */

struct model_inode {
	uint64_t ino;
	uint32_t mode, uid, gid;
	uint64_t size, version;
	uint64_t quota;		/* the id of one that may be there no more */
	struct timespec atime, mtime, ctime, btime;
	bool held[MODEL_SESSIONS + 1];
	int xattr[MODEL_XATTRS];	/* 0: none, else the value's first byte */
	const char *target;
};

struct model_name {
	uint64_t dir, ino;
	char name[8];
};

/* What it has counted is counted when somebody asks. */
struct model_quota {
	uint64_t id, root, inodes_max, bytes_max;
};

/* The texts are the test's. */
struct model_mount {
	const char *path, *source, *options;
	uint64_t id, generation;
};

/* As they came, so by their ids. */
struct model_node {
	const char *name, *address;
	uint64_t id, session;	/* @session: 1 to MODEL_SESSIONS; 0: away */
	uint32_t weight;
	bool draining;
};

/* As they came, so by their ids. */
struct model_job {
	const char *path, *error;	/* @error: "": none */
	uint64_t id, node, session;	/* @session: 1 to MODEL_SESSIONS; 0: none */
	uint64_t files, bytes, errors;
	uint32_t kind, state;
};

struct model_policy {
	const char *path;
	uint32_t cache;
};

struct model {
	int inodes, names;		/* so many there are */
	int inodes_max, names_max;	/* more abort the test */
	uint64_t next;			/* inode number, and id of a quota */
	int level;			/* feature level */
	int quotas;
	struct model_quota quota[MODEL_QUOTAS];	/* by their ids */
	uint64_t mounts_version;
	int mounts;
	struct model_mount mount[MODEL_MOUNTS];	/* as they came */
	uint64_t routing_version, last_node;
	int nodes;
	struct model_node node[MODEL_NODES];
	uint64_t jobs_version, last_job;
	int jobs;
	struct model_job job[MODEL_JOBS];
	uint64_t policies_version;
	int policies;
	struct model_policy policy[MODEL_POLICIES];	/* as they came */
	struct timespec now;
	struct model_inode in[];	/* by their numbers; then the names */
};

size_t model_size(int inodes_max, int names_max);
void model_init(struct model *w, int inodes_max, int names_max);
/* In the order in which they came. */
static inline struct model_name *model_names(const struct model *w)
{
	return (struct model_name *)&w->in[w->inodes_max];
}

/* metad_model_job.c: as model_do(), of the commands of jobs. */
int model_job_do(struct model *w, const struct req *r);
/* The id of the node that it speaks for; 0: none. */
uint64_t model_spoken(const struct model *w, uint64_t session);
/*
 * What a command of a session's end or of nodes, which was done, leaves of the jobs. @was: the
 * node that its session spoke for before.
 */
void model_jobs_follow(struct model *w, const struct req *r, uint64_t was);

/* NULL: not there. */
struct model_inode *model_inode(const struct model *w, uint64_t ino);
/* NULL: not there. */
struct model_name *model_find(const struct model *w, uint64_t dir, const char *name);
/* Does it; the negative errno of its answer. */
int model_do(struct model *w, const struct req *r);
uint32_t model_nlink(const struct model *w, uint64_t ino);
bool model_held(const struct model *w, uint64_t ino);
/* The mount with the first path behind @after (NULL: of all); NULL: there is none. */
const struct model_mount *model_mount_after(const struct model *w, const char *after);
/* The policy with the first path behind @after (NULL: of all); NULL: there is none. */
const struct model_policy *model_policy_after(const struct model *w, const char *after);
/* What a quota counts. */
void model_used(const struct model *w, uint64_t id, uint64_t *inodes, uint64_t *bytes);

#endif
