/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile daemon: what its parts share. Written from Documentation/protocol.rst
 * and the header of the protocol alone, so that it also tells whether these are
 * enough to write a daemon from.
 *
 *   tree.c     the tree that is served, and the right answer to each request
 *   law.c      what the page says of an answer: does it break the contract?
 *   spoil.c    ways in which an answer is spoilt; ways.c those that are no field's
 *   serve.c    requests in, answers out: right ones, spoilt ones, late ones
 *   death.c    the end of a daemon, at any moment, and the next one
 *   callers.c  programs that use the mount
 *   check.c    what they must get while the daemon behaves well
 *   walk.c     each way to spoil each answer once, and what comes of it
 *   ../hostile.c  phases and counts
 */
#ifndef DATAFS_TEST_HOSTILE_H
#define DATAFS_TEST_HOSTILE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "datafs_netlink.h"
#include "../prog.h"

#define GRANULE		DATAFS_GRANULE
#define INSTANCE	"hostile"
#define NODES		200
#define VERSIONS	3		/* of the bytes of a file */
#define CALLERS		32
#define NO_NODE		(~0u)

/* Of inode numbers that no name leads to when the daemon behaves well. */
#define UNKNOWN_GENERATION	(1ull << 30)
#define MADE_GENERATION		(1ull << 40)	/* of what was made on request */

/* What callers must know too: it lies in shared memory. */
enum order { RUN, REST, CHECK, END };

struct caller {
	pid_t pid;
	volatile unsigned int obeyed;	/* the last order that was carried out */
	volatile unsigned int ops;	/* begun */
	volatile int op;
	volatile unsigned int checks, wrong;
	char what[160];			/* was the first thing wrong */
};

struct shared {
	volatile unsigned int orders;	/* given; rises with each */
	volatile enum order order;
	uint64_t generation;		/* of inode numbers */
	uint64_t content[NODES];
	/* A file handle of "dir", and where in it the inode's number is. */
	int handle_type, handle_bytes, handle_ino;
	unsigned char handle[128];
	struct caller caller[CALLERS];
};

extern struct shared *shared;
extern uint64_t seed;
extern bool faults;			/* allocations fail, on purpose */
extern const char *mount_dir;

/* An answer on its way; the kernel sees @head and @len bytes of @body. */
struct draft {
	struct datafs_rep head;
	size_t len;
	unsigned char body[DATAFS_MSG_MAX];
};

/* ----------------------------------------------------------------- tree.c */

struct node {
	unsigned int parent;
	uint32_t mode;
	int data;			/* which bytes a file has */
	bool xattrs, acl;
	char name[DATAFS_NAME_MAX + 1];
	const char *target;
};

/* Some of them, whose inodes are new where nobody else asks for them. */
enum { DIR_NODE = 1, SUB_NODE = 2, EMPTY_NODE = 4, FILE_NODE = 10, LINK_NODE = 13, FIFO_NODE = 17 };

extern struct node nodes[NODES];
extern unsigned int n_nodes;

void tree_init(const char *slabs);
/* Tells the kernel the files that have the bytes; false: it did not take them. */
bool tree_register(int fd);
uint64_t tree_ino(unsigned int node, uint64_t generation);
unsigned int tree_node(uint64_t ino);
struct datafs_attr tree_attr(uint64_t ino);
/* Where a name of @dir leads, or NO_NODE. */
unsigned int tree_child(unsigned int dir, const char *name, size_t len);
uint64_t tree_size(unsigned int node, uint64_t content);
const unsigned char *tree_bytes(unsigned int node, uint64_t content);
#define PATHS	2048
const char *tree_path(unsigned int node, char *out);	/* out[PATHS], which is returned */
size_t tree_xattr(unsigned int node, const char *name, unsigned char *out);
size_t tree_xattrs(unsigned int node, char *out);
struct datafs_statfs tree_statfs(void);
/* The right answer to @r; where several are right, @choice picks one. */
void tree_answer(const struct datafs_req *r, struct draft *d, uint64_t *choice);

/* Backing files that are there only to be named wrongly. */
#define BACKING_GONE	3u		/* registered once, and deleted */
#define BACKING_SHORT	4u		/* became shorter */

uint64_t backing_length(uint32_t id);	/* 0: no such file is registered */

/* ------------------------------------------------------------------ law.c */

enum verdict { LAWFUL, BREACH, UNSAID };

enum verdict law(const struct datafs_req *r, const struct draft *d);
extern const char *law_why;		/* of the last breach */

/* ---------------------------------------------------------------- spoil.c */

/* How many ways there are to spoil an answer to @opcode. */
unsigned int spoil_ways(unsigned int opcode);
/* Spoils @d in way @n; false: there is nothing in @d to be spoilt so. */
bool spoil(unsigned int n, const struct datafs_req *r, struct draft *d, uint64_t *choice);
const char *spoil_name(unsigned int opcode, unsigned int n);

/* ---------------------------------------------------------------- serve.c */

enum kind { BAD_BODY, BAD_LIE, BAD_FRAME, BAD_STRAY, KINDS };

struct tally {
	uint64_t requests[DATAFS_OP_NR], right[DATAFS_OP_NR];
	uint64_t bad[DATAFS_OP_NR][KINDS];
	uint64_t total, strays;		/* bad ones; of these, to no request */
	uint64_t deaths, fenced, cut_writes, resent, revokes, revokes_done;
	uint64_t kills, good_phases, checks, hostile_ms;
	/* Requests that lived when their daemon ended: read by it, and not read. */
	uint64_t outlived[DATAFS_OP_NR][2];
	/* What must not be: */
	uint64_t unmarked;		/* requests that came again without RESEND */
	uint64_t missing;		/* that did not come again */
	uint64_t again;			/* that came again though they were answered */
	uint64_t done_twice;		/* two REVOKE_DONE of one REVOKE, or of none */
	uint64_t miscut;		/* writes consumed to another place than they should */
};

extern struct tally tally;
extern int device;
extern bool hostile;			/* or well-behaved */
extern uint32_t mount_id;

/* What has been read and not been answered. */
struct pending {
	uint64_t due;			/* the round in which it is answered; 0: not known yet */
	uint64_t choice;		/* decides what is done to its answer */
	bool lost;			/* its daemon died: it must come again */
	bool excused;			/* unless its caller was killed */
	char req[1024] __attribute__((aligned(8)));
};

#define PENDING		1024

extern struct pending pending[PENDING];
extern unsigned int n_pending;

void serve(int ms);			/* one round: waits for at most @ms */
/* The oldest request that waits, if there is one within @ms; NULL if not. */
struct datafs_req *serve_next(int ms);
void serve_send(const struct draft *d);
void serve_died(void);			/* what was read comes again */
void serve_excuse(void);		/* a caller was killed */
void serve_init(void);
/* Takes back what the kernel was told of a range; false: it refused. */
bool take_back(uint64_t ino, uint64_t off, uint64_t len);
uint64_t revokes_open(void);

/* ---------------------------------------------------------------- death.c */

void daemon_first(void);
/* This daemon ends in one of several ways, and another follows. */
void daemon_next(uint64_t *choice);
/* Fences the daemon while it writes @batch, if that can be; returns as write(2). */
ssize_t daemon_fenced_at(const void *batch, size_t len, bool *fenced);

/* -------------------------------------------------------------- callers.c */

void callers_start(void);
void callers_order(enum order order);
bool callers_obeyed(void);
/* Kills one of them, which must end; another takes its place. */
void callers_kill(unsigned int i);
/* Has anyone been in the same call for too long? */
void callers_watch(void);
void callers_end(void);
void fail_allocations(bool on);		/* of this process, if @faults */

/* ---------------------------------------------------------------- check.c */

/* Looks at all of the tree, of the files at some; counts in @me what is wrong. */
void check_all(struct caller *me, uint64_t *choice);

/* ----------------------------------------------------------------- walk.c */

/* Mounts at @other_dir as well; takes every @step-th way. */
void walk(const char *other_dir, unsigned int step);

/* ----------------------------------------------------------------- main.c */

bool report(bool good, const char *fmt, ...) PRINTF(2, 3);
uint64_t now_ms(void);
/* Is the error @e one of memory that was not to be had, on purpose? */
bool no_memory(int e);
void knob(const char *name, const char *value);
uint64_t mount_counter(const char *name);

#endif
