/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace in the simulation: what its clients ask, are told, and should be. */
#ifndef DATAFS_TEST_SIM_NS_H
#define DATAFS_TEST_SIM_NS_H

#include "metad/ns.h"
#include "metad_req.h"
#include "sim.h"

#define NS_LIST	8u	/* names of a directory; there are fewer */
#define NS_TREE	96u	/* inodes, and names, of a whole tree */
#define NS_LINES	3u	/* paths that are mounted at; names of nodes */

enum ns_kind {
	NS_OTHER,	/* a session is opened: not in the history */
	NS_CHANGE,
	NS_LOOKUP,
	NS_GETATTR,
	NS_READDIR,
	NS_MOUNTS,
	NS_NODES,
	NS_EVERYTHING,	/* of the test itself, at the end */
};

/* Without times. */
struct ns_attr {
	uint64_t ino, version, size;
	uint32_t mode, nlink, uid, gid;
};

struct ns_name {
	uint64_t dir, ino;
	char name[8];
};

/* A mount or a node, by what a client is told of it. */
struct ns_line {
	uint64_t id;
	uint64_t by;			/* generation; or the session that speaks for it */
	uint32_t weight, state;		/* of a node */
	char name[8], text[8], options[8];	/* @name: or the path, @text: source or address */
};

/* In their order. All that is not used is 0. */
struct ns_table {
	uint64_t version;
	uint32_t lines, unused;
	struct ns_line line[NS_LINES];
};

/* In which order attributes are told of. */
enum ns_role { NS_NODE, NS_PARENT, NS_NEW_PARENT, NS_OTHER_NODE, NS_ROLES };

/* No padding that is not zeroed: it is sent as it is. */
struct ns_answer {
	int err;			/* 0 or negative */
	unsigned int told;		/* a bit for each role */
	struct ns_attr attr[NS_ROLES];
	uint64_t time;			/* the node's ctime, in nanoseconds */
	unsigned int names;
	struct ns_name list[NS_LIST];
	struct ns_table table;
};

/* A read, as it is sent. */
struct ns_read {
	enum ns_kind kind;
	uint64_t ino;
	char name[8];
};

/* All there is, directory by directory; and the tables. */
struct ns_tree {
	unsigned int inodes, names;
	struct ns_attr in[NS_TREE];
	struct ns_name name[NS_TREE];
	struct ns_table mounts, nodes;
};

/* An operation of the history. */
struct ns_op {
	enum ns_kind kind;
	bool gave_up;
	bool silent;		/* its answer says only that it was done: a planted fault */
	bool late;		/* a copy of it may do what it did not, whatever was answered */
	struct req r;
	struct ns_answer answer;
	const struct ns_tree *tree;
};

/* sim_ns.c */
struct sim_ns;
struct datafs_metad *sim_ns_of(void *state);
struct datafs_fsm *sim_ns_fsm(void *state);

/* sim_ns_client.c */
/* What is told of an inode; NULL: nothing. */
void ns_take_attr(struct ns_answer *a, enum ns_role role, const Metad__Attr *m);
void ns_take_result(struct ns_answer *a, const Metad__Result *res);
/*
 * NULL, or what is wrong with the history, or with what member @state has at its end. @all
 * and @tree are where that is read to.
 */
const char *ns_linearizable(struct sim *s, void *state, struct ns_op *all, struct ns_tree *tree);

/* sim_ns_read.c */
/* Adds it, with texts shorter than 8 bytes. */
void ns_add_mount(struct ns_table *t, const struct datafs_metad_mount *m);
void ns_add_node(struct ns_table *t, const struct datafs_metad_node *node);

/* sim_ns_model.c: struct ns_op as what of an operation. */
extern const struct lin_model ns_model;

#endif
