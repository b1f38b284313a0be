/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a quorum in this process, on loopback, and a client. Include after
 * _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_SERVER_FIXTURE_H
#define DATAFS_TEST_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include "meta/quorum.h"
#include "meta/remote.h"
#include "metad/server.h"
#include "metad_req.h"

#define NODES	4u	/* ids 1 to that; the first three begin */
#define SESSION	7u
#define CLIENT	77u	/* the client's node */

struct node {
	char dir[4200];
	char address[64];
	struct datafs_server *s;	/* NULL: down */
	uint32_t level;			/* the highest feature level; 0: this version's */
};

extern struct node nodes[NODES + 1];	/* by id */
extern struct datafs_metad_memory memory;	/* for those started next */
extern unsigned int threshold;		/* of snapshots, for those started next */
extern uint32_t lease, session_timeout;	/* the same */
extern uint32_t first_level;		/* of all members, in server_setup(); 0: this version's */
extern struct datafs_keys member_keys, client_keys;
extern struct datafs_quorum *quorum;	/* a client's, with an open session */
extern struct datafs_remote *admin;	/* who has the cluster's key */
extern uint64_t request;		/* the session's last one */

/* Three members that run; of the first feature level. */
int server_setup(void **state);
int server_setup_level_1(void **state);
int server_teardown(void **state);
#define SERVER_TEST(f) \
	cmocka_unit_test_setup_teardown(f, server_setup, server_teardown)

void node_start(unsigned int id);
void node_stop(unsigned int id);

/* The addresses of all nodes. */
const char *all_addresses(void);

/* A command of the session, with the next id; ids that are given stay. */
Metad__Result *do_req(struct datafs_quorum *q, struct req r);
/* ... which succeeds: the number of its inode, 0 if it tells none. */
uint64_t must(struct req r);
int error_of(struct req r);
/* 0 or the question's error. @ino of what was found. */
int lookup(struct datafs_quorum *q, uint64_t parent, const char *name, uint64_t *ino);

/* Of one member; false: it does not answer soon. */
bool status_of(unsigned int id, struct Metad__Status *res);
/* As node_start() starts it, perhaps in vain. */
int node_open(unsigned int id, struct datafs_server **res);
/* The one that leads and may be asked: waits for it. */
unsigned int leader(void);
/* Of the first three: waits until it does. */
void let_another_lead(void);
/* All that run have applied all: waits for it. */
void all_equal(void);
/* Closes all; the databases of the first three are the same, byte by byte. */
void check_same_states(void);

/* An Ask of these bytes, to one member or the leader: the error of the Reply. */
int raw_error(struct datafs_remote *r, int member, const void *buf, size_t len);
int admin_error(const Metad__Admin *a);

#endif
