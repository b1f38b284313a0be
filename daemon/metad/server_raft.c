// SPDX-License-Identifier: Apache-2.0
/* The raft thread: a libuv loop with the log's disk, the member, and its mail. */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/piece.h"
#include "metad/raft_wire.h"

#define LOOK_MS		1000	/* at the room on the disk */
#define LETTERS_AT_ONCE	256

_Static_assert(DATAFS_RAFT_FRAME_MAX <= DATAFS_FRAME_MAX_BULK, "a frame carries it");
_Static_assert(DATAFS_PIECE_HEAD + DATAFS_MEMBER_PIECE_MAX <= DATAFS_FRAME_MAX_BULK,
	       "a frame carries it");

static uint64_t now_ms(void *ctx)
{
	(void)ctx;
	return (uint64_t)(datafs_now() / DATAFS_MSEC);
}

static void net_send(void *ctx, uint64_t to, const void *buf, size_t len)
{
	server_send(ctx, to, DATAFS_FRAME_RAFT, 0, NULL, 0, buf, len);
}

static void net_fetch(void *ctx, uint64_t from, const struct datafs_raft_piece *piece,
		      uint64_t token)
{
	uint8_t buf[DATAFS_PIECE_ASKED + DATAFS_MANIFEST_NAME_MAX];

	server_send(ctx, from, DATAFS_FRAME_BULK, token, NULL, 0, buf,
		    datafs_piece_ask(piece, buf));
}

/* The thread that this is true of has its tasks for the network pushed. */
static _Thread_local bool pushes;

static bool put_letter(struct datafs_server *s, struct letter *l, bool wake)
{
	bool taken;

	pthread_mutex_lock(&s->lock);
	taken = !s->raft_ends && s->letters_bytes + l->bytes <= SERVER_FRAMES_BYTES;
	if (taken) {
		STAILQ_INSERT_TAIL(&s->letters, l, link);
		s->letters_bytes += l->bytes;
		/* under the lock: it is not closed yet */
		if (wake)
			uv_async_send(&s->mail);
	}
	pthread_mutex_unlock(&s->lock);
	return taken;
}

bool server_mail(struct datafs_server *s, struct letter *l)
{
	return put_letter(s, l, true);
}

static void deliver(struct datafs_task *task)
{
	struct datafs_server *s = (void *)((char *)task -
					   offsetof(struct datafs_server, delivery));

	s->delivers = false;
	pthread_mutex_lock(&s->lock);
	/* who has it end has woken it, for all letters before */
	if (!s->raft_ends)
		uv_async_send(&s->mail);
	pthread_mutex_unlock(&s->lock);
}

bool server_mail_later(struct datafs_server *s, struct letter *l)
{
	if (!put_letter(s, l, false))
		return false;
	if (!s->delivers) {
		s->delivery.fn = deliver;
		datafs_loop_defer(s->loop, &s->delivery);
	}
	s->delivers = true;
	return true;
}

void server_post(struct datafs_server *s, struct datafs_task *task)
{
	if (pushes)
		datafs_loop_add(s->loop, task);
	else
		datafs_loop_post(s->loop, task);
}

void server_push(struct datafs_server *s)
{
	server_queries_push(s);
	if (pushes)
		datafs_loop_push(s->loop);
}

void server_cork(struct datafs_server *s)
{
	if (s->member)
		datafs_member_cork(s->member);
}

void server_uncork(struct datafs_server *s)
{
	if (s->member)
		datafs_member_uncork(s->member);
}

static struct letter *take_letter(struct datafs_server *s)
{
	struct letter *l;

	pthread_mutex_lock(&s->lock);
	l = STAILQ_FIRST(&s->letters);
	if (l) {
		STAILQ_REMOVE_HEAD(&s->letters, link);
		s->letters_bytes -= l->bytes;
	}
	pthread_mutex_unlock(&s->lock);
	return l;
}

bool server_read_mail(struct datafs_server *s, unsigned int most)
{
	struct letter *l = NULL;
	bool corked = false;

	for (unsigned int i = 0; i < most; i++) {
		l = take_letter(s);
		if (!l)
			break;
		if (l->gathers && !corked)
			server_cork(s);
		else if (!l->gathers && corked)
			server_uncork(s);
		corked = l->gathers;
		l->fn(s, l);
	}
	if (corked)
		server_uncork(s);
	return l;
}

/* Not all at once: the disk and the clock have their turn, too. */
static void on_mail(uv_async_t *h)
{
	/* after the last one of all it is closed, and this is nothing */
	if (server_read_mail(h->data, LETTERS_AT_ONCE) && !uv_is_closing((uv_handle_t *)h))
		uv_async_send(h);
}

static void on_tick(uv_timer_t *h)
{
	struct datafs_server *s = h->data;

	if (now_ms(NULL) >= datafs_member_deadline(s->member))
		datafs_member_tick(s->member);
}

/* Any call of the member may have changed its deadline, its peers, its state. */
static void on_before_wait(uv_prepare_t *h)
{
	struct datafs_server *s = h->data;
	struct datafs_member_status st;
	uint64_t at, now;

	server_leases_run(s);
	server_peers_look(s);
	datafs_member_status(s->member, &st);
	if (st.halted && !s->told_halted) {
		s->told_halted = true;
		if (s->cfg.halted)
			s->cfg.halted(s->cfg.arg, st.halted);
	}
	server_push(s);
	at = DATAFS_MIN(datafs_member_deadline(s->member), server_leases_deadline(s));
	if (at == UINT64_MAX) {
		uv_timer_stop(&s->tick);
		return;
	}
	/* libuv's clock is that of the begin of the round */
	uv_update_time(&s->uv);
	now = now_ms(NULL);
	uv_timer_start(&s->tick, on_tick, at > now ? at - now : 0, 0);
}

static enum disk_room room_of(const struct datafs_server *s)
{
	uint64_t bytes, reserve = DATAFS_MAX(DATAFS_SERVER_RESERVE, DATAFS_SERVER_RESERVE_BUFFERS *
					     s->cfg.memory.write_buffer);
	struct statvfs st;

	if (statvfs(s->dir, &st))
		return ROOM_ENOUGH;
	bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return bytes >= reserve ? ROOM_ENOUGH : bytes >= reserve / 4 ? ROOM_LITTLE : ROOM_NONE;
}

static void on_look(uv_timer_t *h)
{
	static const char *const said[] = {
		[ROOM_ENOUGH] = "there is room again",
		[ROOM_LITTLE] = "almost full: what makes something is refused; make room",
		[ROOM_NONE] = "full: all changes wait; make room",
	};
	struct datafs_server *s = h->data;
	enum disk_room room = room_of(s);

	if (room != s->room)
		datafs_log(room ? LOG_ERR : LOG_NOTICE, "%s: %s", s->dir, said[room]);
	s->room = room;
	server_level_look(s);
	server_sessions_look(s);
}

static int member_open(struct datafs_server *s)
{
	struct datafs_member_config cfg = {
		.id = s->cfg.id, .address = "", .snapshots = s->snapshots,
		.threshold = s->cfg.threshold, .trailing = s->cfg.trailing,
		.fsm = server_fsm_ops(s), .net = { s, net_send, net_fetch },
		.disk = datafs_raft_uv_disk(s->disk), .now = now_ms,
	};
	int err = datafs_random(&cfg.seed, sizeof(cfg.seed));

	return err ? err : datafs_member_open(&cfg, &s->member);
}

/* The loop's handles are there: from here on server_raft_close() undoes it. */
static void handles_open(struct datafs_server *s)
{
	uv_async_init(&s->uv, &s->mail, on_mail);
	uv_prepare_init(&s->uv, &s->before_wait);
	uv_timer_init(&s->uv, &s->tick);
	uv_timer_init(&s->uv, &s->look);
	s->mail.data = s->before_wait.data = s->tick.data = s->look.data = s;
	uv_prepare_start(&s->before_wait, on_before_wait);
	uv_timer_start(&s->look, on_look, 0, LOOK_MS);
}

int server_raft_open(struct datafs_server *s)
{
	char path[4096];
	int err;

	if (snprintf(path, sizeof(path), "%s/raft", s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (uv_loop_init(&s->uv))
		return -ENOMEM;
	err = datafs_raft_uv_open(&s->uv, path, s->cfg.id, false, &s->disk);
	if (err) {
		uv_loop_close(&s->uv);
		return err;
	}
	err = member_open(s);
	handles_open(s);
	if (!err)
		err = datafs_member_start(s->member);
	if (err) {
		server_raft_close(s);
		return err;
	}
	pthread_mutex_lock(&s->lock);
	s->raft_ends = false;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* The disk gives nothing back any more: now the member may go. */
static void disk_closed(void *ctx)
{
	struct datafs_server *s = ctx;

	server_leases_end(s);
	if (s->member)
		datafs_member_close(s->member);
	s->member = NULL;
	/* those that waited for what the member has given up */
	server_leases_end(s);
}

static void begin_close(struct datafs_server *s)
{
	uv_close((uv_handle_t *)&s->mail, NULL);
	uv_close((uv_handle_t *)&s->before_wait, NULL);
	uv_close((uv_handle_t *)&s->tick, NULL);
	uv_close((uv_handle_t *)&s->look, NULL);
	datafs_raft_uv_close(s->disk, disk_closed, s);
}

void server_raft_close(struct datafs_server *s)
{
	struct letter *l;

	pthread_mutex_lock(&s->lock);
	s->raft_ends = true;
	pthread_mutex_unlock(&s->lock);
	while ((l = take_letter(s)))
		l->fn(s, l);
	begin_close(s);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	uv_loop_close(&s->uv);
	server_push(s);
}

static void read_last_mail(struct datafs_server *s, struct letter *l)
{
	(void)l;
	begin_close(s);
}

/* The letters before it are read, and none comes behind it. */
void server_raft_end(struct datafs_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->last.fn = read_last_mail;
	STAILQ_INSERT_TAIL(&s->letters, &s->last, link);
	s->raft_ends = true;
	uv_async_send(&s->mail);
	pthread_mutex_unlock(&s->lock);
}

void *server_raft_main(void *arg)
{
	struct datafs_server *s = arg;

	pushes = true;
	uv_run(&s->uv, UV_RUN_DEFAULT);
	uv_loop_close(&s->uv);
	server_push(s);
	return NULL;
}
