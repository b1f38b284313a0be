/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of a server:
 *
 *	server.c	its life
 *	server_make.c	its directory
 *	server_raft.c	the raft thread
 *	server_fsm.c	the namespace, applied to there and read by workers
 *	server_net.c	the network thread: connections and frames
 *	server_peers.c	... whom to be connected to
 *	server_ask.c	what clients ask, from the call to the reply
 *	server_admin.c	... who is in the quorum
 *	server_quota.c	... quotas
 *	server_level.c	the feature level, which rises when all members know the next
 *	server_backup.c	... its state, to take away
 */
#ifndef DATAFS_SERVER_INTERNAL_H
#define DATAFS_SERVER_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/loop.h"
#include "base/pool.h"
#include "metad/ask.h"
#include "metad/fsm.h"
#include "metad/member.h"
#include "metad/raft_uv.h"
#include "metad/server.h"
#include "wire/address.h"
#include "wire/messenger.h"

#define SERVER_WORKERS		8
#define SERVER_ASKS_MAX		4096u		/* calls that are not answered */
#define SERVER_ASKS_BYTES	(128u << 20)	/* ... of them and their replies */
#define SERVER_FRAMES_BYTES	(64u << 20)	/* that wait for a thread, each way */
#define SERVER_LINKS		64u		/* members connected to or from */

/*
 * Who has a member's key and a number above this is a tool of an operator's: it asks,
 * and takes no part.
 */
#define SERVER_ID_MAX		((uint64_t)INT64_MAX)

/* Something for the raft thread. Its fn owns it. */
struct letter {
	STAILQ_ENTRY(letter) link;
	void (*fn)(struct datafs_server *s, struct letter *l);
	size_t bytes;		/* of a frame that may be lost; else 0 */
};

/* A call of a client, on its way through the threads. One at a time has it. */
struct ask {
	struct letter letter;
	struct datafs_task task;
	struct datafs_job job;
	struct datafs_server *s;
	struct datafs_conn *conn;	/* referenced; the network thread's */
	uint64_t call;
	size_t bytes;			/* of the call, and that the reply may have */
	struct datafs_ask what;
	TAILQ_ENTRY(ask) owed;
	union {
		struct datafs_member_op op;
		struct datafs_member_read read;
		struct datafs_member_change change;
		struct datafs_member_backup backup;
		struct {
			struct datafs_member_op own;	/* the leader's own command */
			uint8_t command[64];
		};
	};
	bool asked;			/* of add: the new member was; */
	uint32_t level;			/* ... it knows this, 0: it did not answer */
	uint8_t *reply;			/* a packed Reply; NULL: @error is all */
	size_t reply_len;
	int error;			/* positive */
};

/* Another member, as the network thread knows it. */
struct server_link {
	uint64_t id;			/* 0: free */
	bool wanted;			/* it is in the configuration */
	bool looking;			/* a worker looks its host up */
	char address[DATAFS_ADDRESS_MAX + 1];
	struct datafs_peer *peer;	/* NULL: not connected to */
	struct datafs_conn *out, *in;	/* that are up */
	struct datafs_deadline again;
	struct datafs_server *s;
};

/* The feature level, of the raft thread. */
struct server_level {
	struct datafs_member_op op;	/* that raises it */
	uint8_t command[16];
	uint32_t raising;		/* to this; 0: it is not being raised */
	bool asking;			/* the other members are being asked */
};

enum disk_room { ROOM_ENOUGH, ROOM_LITTLE, ROOM_NONE };

struct datafs_server {
	struct datafs_server_config cfg;
	char *dir, *snapshots;
	struct datafs_keys keys;
	struct datafs_fsm *fsm;
	struct datafs_raft_fsm apply;	/* its calls */
	/* Read-locked by who reads, written while there is another. */
	pthread_rwlock_t ns_lock;
	struct datafs_metad *ns;
	struct datafs_pool *pool;

	/* To the raft thread. */
	pthread_mutex_t lock;		/* protects these */
	STAILQ_HEAD(, letter) letters;
	size_t letters_bytes;
	bool raft_ends;			/* no letter is taken, yet or any more */
	struct letter last;

	/* Of the raft thread. */
	pthread_t raft_thread;
	uv_loop_t uv;
	uv_async_t mail;
	uv_prepare_t before_wait;
	uv_timer_t tick, look;
	struct datafs_raft_uv *disk;
	struct datafs_member *member;
	enum disk_room room;
	bool told_halted;
	struct server_who *who;		/* the configuration that the network was told */
	struct server_level level;

	/* Of the network thread. */
	pthread_t net_thread;
	struct datafs_loop *loop;
	struct datafs_wire *wire;
	struct datafs_deadlines *deadlines;
	struct server_link links[SERVER_LINKS];
	TAILQ_HEAD(, level_ask) level_asks;
	unsigned int asks;
	size_t asks_bytes;
	TAILQ_HEAD(, ask) owed;		/* replies for which there was no room */
	int64_t said;			/* when something refused was last in the log */
	unsigned int unsaid;
	bool net_ends;
	uint16_t port;
	struct datafs_task quiet, stop;
	sem_t is_quiet;

	atomic_size_t outgoing;		/* bytes for the network thread */
};

/* server_fsm.c */
int server_fsm_open(struct datafs_server *s);
void server_fsm_close(struct datafs_server *s);
struct datafs_raft_fsm server_fsm_ops(struct datafs_server *s);
/* Any thread: it stays meanwhile. */
struct datafs_metad *server_read_begin(struct datafs_server *s);
void server_read_end(struct datafs_server *s);

/* server_raft.c */
int server_raft_open(struct datafs_server *s);
/* Without a thread, after server_raft_open(). */
void server_raft_close(struct datafs_server *s);
void *server_raft_main(void *arg);
/* Any thread. False: there is no room, or it ends; the letter is still the caller's. */
bool server_mail(struct datafs_server *s, struct letter *l);
/* The raft thread ends soon. */
void server_raft_end(struct datafs_server *s);

/* server_net.c */
int server_net_open(struct datafs_server *s);
void server_net_close(struct datafs_server *s);
void *server_net_main(void *arg);
/* Any thread: a frame to a member, copied; may be lost. */
void server_send(struct datafs_server *s, uint64_t to, uint16_t type, uint64_t id,
		 const void *head, size_t head_len, const void *body, size_t len);
/* No name is looked up any more, and the network asks the raft thread for nothing. */
void server_net_quiet(struct datafs_server *s);
void server_net_end(struct datafs_server *s);

/* server_peers.c */
struct server_who {
	struct datafs_task task;
	struct datafs_server *s;
	unsigned int n;
	struct {
		uint64_t id;
		int role;
		char address[DATAFS_ADDRESS_MAX + 1];
	} m[DATAFS_RAFT_SERVERS_MAX];
};
/* The raft thread: tells the network if the configuration is another. */
void server_peers_look(struct datafs_server *s);
/* ... which it is told anew: whoever else is connected to is not in it. */
void server_peers_again(struct datafs_server *s);
/* The network thread. NULL: not known. */
struct server_link *server_link_find(struct datafs_server *s, uint64_t id);
/* To be connected to, until the configuration is told without it. */
void server_link_want(struct datafs_server *s, uint64_t id, const char *address);
void server_link_up(struct datafs_server *s, struct datafs_conn *conn);
void server_link_down(struct datafs_server *s, struct datafs_conn *conn);
void server_links_end(struct datafs_server *s);

/* server_ask.c */
void server_call(void *arg, struct datafs_conn *conn, uint64_t id, const void *body,
		 uint32_t len);
/* There is room for replies again; or the connection is down. */
void server_ask_ready(struct datafs_server *s, struct datafs_conn *conn);
void server_ask_down(struct datafs_server *s, struct datafs_conn *conn);
/*
 * Back to the client with an error (positive, 0: none). Any thread; EREMOTE from the
 * raft thread only.
 */
void server_ask_end(struct ask *a, int error);
/* ... with this. */
void server_ask_reply(struct ask *a, const Metad__Reply *reply);

/* server_admin.c: on the raft thread. */
void server_admin(struct ask *a);
/* A member is added; it knows the feature level. */
void server_admin_add(struct ask *a);

/* server_quota.c: on the raft thread. */
void server_quota(struct ask *a);

/* server_level.c: on the raft thread. */
/* Once a second: who leads has it risen, if all members know more than is in force. */
void server_level_look(struct datafs_server *s);
/* server_admin_add(), if the member is reached and knows the level; else an error. */
void server_level_add(struct ask *a);
/* The network thread, when there is no raft thread any more: nobody is asked any more. */
void server_level_quiet(struct datafs_server *s);

/* server_backup.c: on the raft thread. */
void server_backup(struct ask *a);
void server_backup_piece(struct ask *a);

/* server_make.c */
/* What is below the member's directory @new, which is there, with raft/ and snapshots/. */
typedef int (*server_fill)(const char *new, void *arg);
/* All of @dir, which is empty or not there, or nothing. 0, or an error that was logged. */
int server_make_dir(const char *dir, server_fill fill, void *arg);
int server_remove_tree(const char *path);

#endif
