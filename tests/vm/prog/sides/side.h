/* SPDX-License-Identifier: Apache-2.0 */
/* A side of "sides": what it is asked to do, and how the other one is asked. */
#ifndef DATAFS_TEST_SIDE_H
#define DATAFS_TEST_SIDE_H

#include "../prog.h"

enum { HERE, THERE, SIDES };
enum { FEW, LARGE, DIRS };

#define STAY		700u	/* names of the large one that stay: for several READDIRs */
#define COME		48u	/* ... of each that come and go, behind these */
#define NAMES		(STAY + COME)
#define ROOM		16384u	/* of getdents64, at the most */

enum op { MAKE, REMOVE, RENAME, STAT, LIST, BEGIN, NEXT, UPCALLS };

/* Directories and names are numbers. */
struct request {
	enum op op;
	unsigned int dir, name, to_dir, to_name;
	unsigned int room;	/* of each getdents64 */
};

struct answer {
	int err;		/* a positive errno */
	unsigned int n;		/* names in listed[]; of NEXT 0: that was the end */
	uint64_t value;		/* UPCALLS: of this kernel for a name, attributes or a listing */
};

/* Of the last answer; NAMES: a name that is none of ours. */
extern unsigned int listed[];
extern const char *const dirs[DIRS];
/* Where the directories are; the daemon's instance. */
extern const char *top, *instance;

/* "not ok - ..." and the end. */
NORETURN PRINTF(1, 2) void broken(const char *fmt, ...);
void name_of(unsigned int name, char to[16]);

/* Does it here. */
void act(const struct request *r, struct answer *a);
/* Asks the other side; it does what it is asked one after the other. */
void there_begin(const struct request *r);
/* The answer to the first one that has none yet. */
struct answer there_end(void);
/* On either. */
struct answer on(unsigned int side, const struct request *r);

void connect_to(const char *host, unsigned int port);
/* One connection, to its end. */
int serve(unsigned int port);

#endif
