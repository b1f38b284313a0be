/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client with a session and a lease, for test_server_lease*.c: it counts what it is
 * told, and can be made not to answer. Include after server_fixture.h.
 */
#ifndef DATAFS_TEST_SERVER_CLIENT_H
#define DATAFS_TEST_SERVER_CLIENT_H

#include <pthread.h>

#include "server_fixture.h"

#define CLIENT_OBJECTS	16
#define CLIENT_TICKETS	64

struct client {
	struct datafs_quorum *q;
	uint64_t session, request;
	pthread_mutex_t lock;		/* protects all below */
	pthread_cond_t told;
	unsigned int recalls, losses, own;	/* @own: before changes of its own */
	/* Of the last recall; names are not kept. */
	unsigned int n;
	struct datafs_grant_object objects[CLIENT_OBJECTS];
	bool silent;			/* recalls and losses are not answered */
	uint64_t tickets[CLIENT_TICKETS];
	unsigned int n_tickets;
	/* On each, with the lock, before it is answered; may be NULL. */
	void (*recalled)(struct client *c, const struct datafs_grant_object *o, unsigned int n);
	void (*lost)(struct client *c);
	void *arg;
};

/* With an open session and a lease that is held. */
void client_open(struct client *c, uint64_t session);
/* ... on the connection of another, which is closed after it. */
void client_open_shared(struct client *c, uint64_t session, struct client *with);
void client_close(struct client *c);
/* Waits until the lease is held, as of now. */
void client_held(struct client *c);
/* Waits for so many. */
void client_recalls(struct client *c, unsigned int n);
void client_losses(struct client *c, unsigned int n);
/* What was not answered is answered, and what comes too. */
void client_speak(struct client *c);
void client_mute(struct client *c);

/* A command, as do_req(). */
Metad__Result *client_do(struct client *c, struct req r, struct datafs_told *told);
uint64_t client_must(struct client *c, struct req r);
Metad__Answer *client_lookup(struct client *c, uint64_t parent, const char *name,
			     struct datafs_told *told);
Metad__Answer *client_getattr(struct client *c, uint64_t ino, struct datafs_told *told);
Metad__Answer *client_readdir(struct client *c, uint64_t ino, uint64_t cookie, uint32_t max,
			      struct datafs_told *told);

struct datafs_grant_object attr_of(uint64_t ino);
struct datafs_grant_object names_of(uint64_t ino);
struct datafs_grant_object name_of(uint64_t ino, const char *name);

#endif
