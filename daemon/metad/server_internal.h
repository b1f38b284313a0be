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
 *	server_query.c	... questions
 *	server_change.c	... commands
 *	server_admin.c	... who is in the quorum
 *	server_quota.c	... quotas
 *	server_level.c	the feature level, which rises when all members know the next
 *	server_backup.c	... its state, to take away
 *	server_lease.c	the raft thread: sessions, their leases, the table of grants
 *	server_names.c	... which commands change which names
 *	server_recall.c	the network thread: recalls, on their way to sessions and back
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
#include "metad/grants.h"
#include "metad/member.h"
#include "metad/raft_uv.h"
#include "metad/server.h"
#include "metad/touched.h"
#include "wire/address.h"
#include "wire/messenger.h"

#define SERVER_WORKERS		8
#define SERVER_ASKS_MAX		4096u		/* calls that are not answered */
#define SERVER_LEASES_MAX	1024u		/* ... more, of leases */
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
	bool gathers;		/* what it asks of the member goes with what the next ones ask */
};

/* A name that a command changes, from when it came until it is done. */
struct server_name {
	TAILQ_ENTRY(server_name) next;	/* of those with its hash, in the order of coming */
	uint64_t ino, sum;		/* of another name only by chance: then it waits */
	struct ask *a;
	bool there;
};

TAILQ_HEAD(server_names, server_name);
TAILQ_HEAD(asks, ask);

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
	uint64_t conn_nr;		/* see server_recall.c; 0: no session is told there */
	uint64_t came;			/* milliseconds */
	uint64_t arrival;		/* grows from ask to ask */
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
	/* Of a command that changes what is believed. */
	TAILQ_ENTRY(ask) ready;		/* also of a question: on known or reads */
	struct server_name names[DATAFS_TOUCHED_NAMES];
	struct datafs_change marks;
	uint64_t marked_in;		/* the table's number; 0: it is in none */
	uint64_t unmarked_in;		/* ... of which it is one of leases.unmarked */
	int refused;			/* by the table */
	/* Of a question of a session. */
	bool granted;			/* what was asked of */
	unsigned int seen;		/* the state, by the count of what was applied */
	Metad__Answer *answer;		/* the first time it was looked at */
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

#define SERVER_SESSION_BUCKETS	1024u
#define SERVER_NAME_BUCKETS	1024u

/* A session of the state, as the leader knows it. */
struct server_session {
	TAILQ_ENTRY(server_session) next;
	struct server_session *hash_next;
	uint64_t id;
	uint64_t conn_nr;	/* where it said fresh; 0: it did not */
	uint64_t arrival;	/* when it did, last */
	uint64_t holder, number;	/* who said so, and which time of theirs it was */
	uint32_t lease;		/* how long one of it may be, as the state said, in ms; 0: none */
	uint64_t seen;		/* milliseconds: its last sign of life */
	bool closing;		/* a command that ends it is under way */
};

/* Of the raft thread: what sessions may believe, while this member leads. */
struct server_leases {
	struct datafs_grants *table;	/* NULL: it does not lead, or the state is not all there */
	uint64_t nr;			/* of the table; grows, also when there is none */
	uint64_t term, since, last;	/* of leading; the log's end then */
	uint64_t looked;		/* milliseconds: at who is long gone */
	bool leads, closed;
	/*
	 * Nobody was given a lease yet, nor had one: changes are proposed without the table's
	 * knowing. None of these must be left when the first lease begins.
	 */
	bool idle;
	unsigned int unmarked;
	TAILQ_HEAD(, server_session) sessions;
	struct server_session *by_id[SERVER_SESSION_BUCKETS];
	struct server_names names[SERVER_NAME_BUCKETS];
	struct asks ready;		/* commands whose names are free */
	struct asks going;		/* ... that the table has let go */
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
	pthread_mutex_t reads_lock;	/* protects this */
	struct asks reads;		/* questions that some worker comes to */

	/* To the raft thread. */
	pthread_mutex_t lock;		/* protects these */
	STAILQ_HEAD(, letter) letters;
	size_t letters_bytes;
	bool raft_ends;			/* no letter is taken, yet or any more */
	struct letter last;
	/* Of the network thread. */
	struct datafs_task delivery;	/* of letters that the raft thread is not told of yet */
	bool delivers;			/* ... is deferred */

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
	struct server_leases leases;
	struct asks known;		/* questions that may be answered now */

	/* Of the network thread. */
	pthread_t net_thread;
	struct datafs_loop *loop;
	struct datafs_wire *wire;
	struct datafs_deadlines *deadlines;
	struct server_link links[SERVER_LINKS];
	TAILQ_HEAD(, level_ask) level_asks;
	unsigned int asks;
	size_t asks_bytes;
	struct asks owed;		/* replies for which there was no room */
	TAILQ_HEAD(, server_client) clients;
	uint64_t conn_nr, arrival;	/* the last ones given */
	int64_t said;			/* when something refused was last in the log */
	unsigned int unsaid;
	bool net_ends;
	uint16_t port;
	struct datafs_task quiet, stop;
	sem_t is_quiet;

	atomic_size_t outgoing;		/* bytes for the network thread */
	atomic_uint applies;		/* odd: an entry is being applied */
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
/* The same, on the network thread: the raft thread is woken once for all that came together. */
bool server_mail_later(struct datafs_server *s, struct letter *l);
/* The raft thread: reads so many letters. False: there was none any more. */
bool server_read_mail(struct datafs_server *s, unsigned int most);
/*
 * For the network thread, from any. The raft thread wakes it once for all that it has, before
 * it waits or applies something.
 */
void server_post(struct datafs_server *s, struct datafs_task *task);
/* The raft thread, which waits next, or ends, or is about something that takes long. */
void server_push(struct datafs_server *s);
/* datafs_member_cork() and datafs_member_uncork(), if the member is still there. */
void server_cork(struct datafs_server *s);
void server_uncork(struct datafs_server *s);
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

/* ... with an answer, which is freed; from any thread. */
void server_ask_answer(struct ask *a, Metad__Answer *answer);

/* server_query.c, server_change.c, server_admin.c: on the raft thread. */
void server_query(struct ask *a);
/* Those that may be answered go to workers; of server_push(). */
void server_queries_push(struct datafs_server *s);
void server_command(struct ask *a);
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

/* Its names are free, and the table is there, or it does not lead: asks it. */
void server_command_ready(struct ask *a);
/* The table has let it go, or refused it. */
void server_command_go(struct ask *a);

/* server_names.c: the raft thread. Its names are free now; else it is on leases.ready soon. */
bool server_names_take(struct datafs_server *s, struct ask *a);
/* Nothing, if it has none. */
void server_names_give(struct datafs_server *s, struct ask *a);

/* server_session.c: the raft thread. */
/* NULL: it is not known. */
struct server_session *server_session_find(struct datafs_server *s, uint64_t id);
/* NULL: no memory. */
struct server_session *server_session_get(struct datafs_server *s, uint64_t id);
void server_sessions_drop(struct datafs_server *s);

/* server_lease.c: the raft thread. */
void server_leases_init(struct datafs_server *s);
/* Without a thread. */
void server_leases_free(struct datafs_server *s);
/* Before the thread waits: what has become possible, and what is due. */
void server_leases_run(struct datafs_server *s);
uint64_t server_leases_deadline(const struct datafs_server *s);
/* It ends: whoever waits gets EIO. */
void server_leases_end(struct datafs_server *s);
/* A lease is asked for. */
void server_lease(struct ask *a);
/* NULL: nothing can be granted or changed, now. */
struct datafs_grants *server_table(struct datafs_server *s);
/* NULL: it is not known. Else a sign of life. */
struct server_session *server_session_seen(struct datafs_server *s, uint64_t id);
/* One that is new, or has ended. */
void server_session_opened(struct datafs_server *s, uint64_t id);
void server_session_closed(struct datafs_server *s, uint64_t id, bool more);
/* An error of reading the state: the member halts, unless it is for want of memory. */
void server_damaged(struct datafs_server *s, int err);
/* May it be granted something, on this connection? */
bool server_session_at(struct datafs_server *s, uint64_t id, uint64_t conn_nr);
/* Is that of the session's since it last said fresh? Else its client may not know of it. */
bool server_session_sent(struct datafs_server *s, uint64_t id, const struct ask *a);
/* Once in a while: ends those that are long gone. */
void server_sessions_look(struct datafs_server *s);
/* The raft thread's clock. */
uint64_t server_now(void);
/* A recall was answered, or not. */
void server_recalled(struct datafs_server *s, uint64_t nr, uint64_t session, uint64_t id);

/*
 * server_recall.c. The network thread: connections that sessions have leases on have a
 * number, never used again. 0: it has none.
 */
uint64_t server_client_nr(struct datafs_server *s, struct datafs_conn *conn, bool make);
void server_client_down(struct datafs_server *s, struct datafs_conn *conn);
void server_client_ready(struct datafs_server *s, struct datafs_conn *conn);
/* The raft thread: a session is to forget something. @nr: the table's. */
void server_recall(struct datafs_server *s, uint64_t conn_nr, uint64_t nr, uint64_t session,
		   uint64_t id, const struct datafs_grant_object *objects, unsigned int n);

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
