// SPDX-License-Identifier: Apache-2.0
/* The network thread: frames from members to the raft thread, and back. */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/piece.h"

/* A member that comes back is soon connected to. */
#define BACKOFF_MAX_MS	1000

/* A frame of a member, for the raft thread. */
struct frame_letter {
	struct letter letter;
	uint64_t from, id;
	uint16_t type;
	size_t len;
	uint8_t body[];
};

/* A frame to a member, for the network thread. */
struct parcel {
	struct datafs_task task;
	struct datafs_server *s;
	uint64_t to, id;
	uint16_t type;
	uint32_t len;
	uint8_t body[];
};

static void give_piece(struct datafs_server *s, uint64_t to, uint64_t token,
		       const struct datafs_raft_piece *piece)
{
	uint8_t head[DATAFS_PIECE_HEAD], *buf = malloc(piece->len + 1);
	long n = buf ? datafs_member_piece(s->member, piece, buf) : -ENOMEM;

	datafs_piece_give(n < 0 ? (int)n : 0, head);
	server_send(s, to, DATAFS_FRAME_BULK, token, head, sizeof(head), buf,
		    n < 0 ? 0 : (size_t)n);
	free(buf);
}

static void read_bulk(struct datafs_server *s, const struct frame_letter *f)
{
	struct datafs_piece_frame p;

	if (datafs_piece_decode(f->body, f->len, &p))
		datafs_log(LOG_WARNING, "member %llu: a piece of a snapshot is malformed; it may be of another version",
			   (unsigned long long)f->from);
	else if (p.kind == DATAFS_PIECE_ASK)
		give_piece(s, f->from, f->id, &p.piece);
	else
		datafs_member_fetched(s->member, f->id, p.err, p.data, p.len);
}

static void read_frame(struct datafs_server *s, struct letter *l)
{
	struct frame_letter *f = (struct frame_letter *)l;

	if (f->type == DATAFS_FRAME_RAFT)
		datafs_member_receive(s->member, f->from, f->body, f->len);
	else
		read_bulk(s, f);
	free(f);
}

static bool is_member(const struct datafs_conn *conn)
{
	const struct datafs_wire_peer *who = datafs_conn_who(conn);

	return who->role == DATAFS_ROLE_MEMBER && who->node <= SERVER_ID_MAX;
}

/* The messenger has seen to it that it is no client's. */
static void on_frame(void *arg, struct datafs_conn *conn, const struct datafs_frame *f)
{
	struct datafs_server *s = arg;
	struct frame_letter *l;

	if (!is_member(conn))
		return;
	l = malloc(sizeof(*l) + f->len);
	if (!l)
		return;
	l->letter = (struct letter) { .fn = read_frame, .bytes = sizeof(*l) + f->len };
	l->from = datafs_conn_who(conn)->node;
	l->id = f->id;
	l->type = f->type;
	l->len = f->len;
	if (f->len)
		memcpy(l->body, f->body, f->len);
	if (!server_mail_later(s, &l->letter))
		free(l);
}

static void send_parcel(struct datafs_task *task)
{
	struct parcel *p = (struct parcel *)task;
	struct datafs_server *s = p->s;
	const struct server_link *link = server_link_find(s, p->to);
	struct datafs_conn *conn = !link ? NULL : link->out ? link->out : link->in;
	struct datafs_frame f = { .type = p->type, .id = p->id, .body = p->body, .len = p->len };

	if (p->type == DATAFS_FRAME_BULK)
		f.flags = DATAFS_FRAME_LAST;
	/* one that is not taken is lost */
	if (conn)
		datafs_conn_send(conn, &f);
	atomic_fetch_sub(&s->outgoing, sizeof(*p) + p->len);
	free(p);
}

void server_send(struct datafs_server *s, uint64_t to, uint16_t type, uint64_t id,
		 const void *head, size_t head_len, const void *body, size_t len)
{
	size_t all = sizeof(struct parcel) + head_len + len;
	struct parcel *p;

	if (atomic_load(&s->outgoing) + all > SERVER_FRAMES_BYTES)
		return;
	p = malloc(all);
	if (!p)
		return;
	p->task.fn = send_parcel;
	p->s = s;
	p->to = to;
	p->type = type;
	p->id = id;
	p->len = (uint32_t)(head_len + len);
	if (head_len)
		memcpy(p->body, head, head_len);
	if (len)
		memcpy(p->body + head_len, body, len);
	atomic_fetch_add(&s->outgoing, all);
	server_post(s, &p->task);
}

static void on_up(void *arg, struct datafs_conn *conn)
{
	if (is_member(conn))
		server_link_up(arg, conn);
}

static void on_down(void *arg, struct datafs_conn *conn, int err)
{
	(void)err;
	server_ask_down(arg, conn);
	server_client_down(arg, conn);
	if (is_member(conn))
		server_link_down(arg, conn);
}

static void on_ready(void *arg, struct datafs_conn *conn)
{
	server_ask_ready(arg, conn);
	server_client_ready(arg, conn);
}

static const struct datafs_wire_ops ops = {
	.up = on_up, .down = on_down, .frame = on_frame, .call = server_call,
	.ready = on_ready,
};

static int listen_at(struct datafs_server *s)
{
	struct datafs_address at;
	int err = datafs_address_resolve(s->cfg.listen, false, &at);

	if (err) {
		datafs_log(LOG_ERR, "cannot listen at \"%s\": no address: %s; it is HOST:PORT",
			   s->cfg.listen, strerror(-err));
		return err;
	}
	return datafs_wire_listen(s->wire, (struct sockaddr *)&at.sa, at.len);
}

int server_net_open(struct datafs_server *s)
{
	struct datafs_wire_conf conf = {
		.self = {
			.role = DATAFS_ROLE_MEMBER, .node = s->cfg.id, .keys = &s->keys,
			.peers = 1u << DATAFS_ROLE_MEMBER | 1u << DATAFS_ROLE_CLIENT,
		},
		.limits = datafs_wire_limits, .ops = &ops, .arg = s,
	};
	int err = datafs_loop_new(&s->loop);

	if (err)
		return err;
	conf.loop = s->loop;
	conf.limits.backoff_max = BACKOFF_MAX_MS;
	err = datafs_deadlines_new(s->loop, &s->deadlines);
	if (!err)
		err = datafs_wire_new(&conf, &s->wire);
	if (!err)
		err = listen_at(s);
	if (err)
		server_net_close(s);
	return err;
}

/*
 * On the thread that has run the loop, if one has: what a thread waits for is
 * cancelled when it ends.
 */
static void net_shut(struct datafs_server *s)
{
	server_links_end(s);
	datafs_wire_free(s->wire);
	if (s->deadlines)
		datafs_deadlines_free(s->deadlines);
	s->wire = NULL;
	s->deadlines = NULL;
}

/* Without a thread: who has posted the last task may still be about it when it ends. */
void server_net_close(struct datafs_server *s)
{
	net_shut(s);
	datafs_loop_free(s->loop);
	s->loop = NULL;
}

/* Keys on their way to the network thread. */
struct rekey {
	struct datafs_task task;
	struct datafs_server *s;
	struct datafs_keys keys;
};

static void do_rekey(struct datafs_task *task)
{
	struct rekey *r = (struct rekey *)task;

	if (!datafs_wire_rekey(r->s->wire, &r->keys))
		datafs_log(LOG_NOTICE, "member %llu: other keys from now on",
			   (unsigned long long)r->s->cfg.id);
	datafs_keys_wipe(&r->keys);
	free(r);
}

int datafs_server_rekey(struct datafs_server *s, const struct datafs_keys *keys)
{
	struct rekey *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->task.fn = do_rekey;
	r->s = s;
	r->keys = *keys;
	datafs_loop_post(s->loop, &r->task);
	return 0;
}

static void be_quiet(struct datafs_task *task)
{
	struct datafs_server *s = (void *)((char *)task - offsetof(struct datafs_server, quiet));

	s->net_ends = true;
	server_level_quiet(s);
	sem_post(&s->is_quiet);
}

void server_net_quiet(struct datafs_server *s)
{
	s->quiet.fn = be_quiet;
	datafs_loop_post(s->loop, &s->quiet);
	while (sem_wait(&s->is_quiet))
		;
}

static void do_stop(struct datafs_task *task)
{
	struct datafs_server *s = (void *)((char *)task - offsetof(struct datafs_server, stop));

	datafs_loop_stop(s->loop);
}

/* What was posted before is run before. */
void server_net_end(struct datafs_server *s)
{
	s->stop.fn = do_stop;
	datafs_loop_post(s->loop, &s->stop);
}

void *server_net_main(void *arg)
{
	struct datafs_server *s = arg;

	datafs_loop_serve(s->loop);
	net_shut(s);
	return NULL;
}
