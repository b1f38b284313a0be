// SPDX-License-Identifier: Apache-2.0
#include "wire_messenger_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/util.h"
#include "wire/messenger.h"

static struct datafs_loop *loop;
static pthread_t thread;
struct side a, b;
struct datafs_peer *peer;
unsigned int wrong;

static void up(void *arg, struct datafs_conn *conn)
{
	struct side *s = arg;

	s->ups++;
	s->conn = conn;
}

static void down(void *arg, struct datafs_conn *conn, int err)
{
	struct side *s = arg;

	s->downs++;
	s->err = err;
	wrong += s->conn != conn;
	s->conn = NULL;
	s->kept = 0;
}

static void frame(void *arg, struct datafs_conn *conn,
		  const struct datafs_frame *f)
{
	struct side *s = arg;

	(void)conn;
	s->frames++;
	s->crc = datafs_crc32c_more(s->crc, f->body, f->len);
}

static void call(void *arg, struct datafs_conn *conn, uint64_t id,
		 const void *body, uint32_t len)
{
	struct side *s = arg;

	s->calls++;
	if (s->answer)
		s->answer(conn, id, body, len);
	else
		s->ids[s->kept++ % DATAFS_CALLS_MAX] = id;
}

static void cancelled(void *arg, struct datafs_conn *conn, uint64_t id)
{
	struct side *s = arg;

	(void)conn;
	(void)id;
	s->cancels++;
}

static void ready(void *arg, struct datafs_conn *conn)
{
	struct side *s = arg;

	(void)conn;
	s->readies++;
	if (s->on_ready)
		s->on_ready();
}

static const struct datafs_wire_ops ops = {
	.up = up, .down = down, .frame = frame, .call = call,
	.cancelled = cancelled, .ready = ready,
};

/* One step on the loop's thread. */
struct step {
	struct datafs_task task;
	void (*fn)(void);
	sem_t done;
};

static void step_run(struct datafs_task *task)
{
	struct step *s = (struct step *)task;

	s->fn();
	sem_post(&s->done);
}

void on_loop(void (*fn)(void))
{
	struct step s = { .task.fn = step_run, .fn = fn };

	sem_init(&s.done, 0, 0);
	datafs_loop_post(loop, &s.task);
	while (sem_wait(&s.done))
		;
	sem_destroy(&s.done);
}

static bool (*until_fn)(void);
static bool until_res;

static void until_step(void)
{
	until_res = until_fn();
}

void until(bool (*fn)(void))
{
	until_fn = fn;
	for (int i = 0; i < 60000; i++) {
		on_loop(until_step);
		if (until_res)
			return;
		usleep(1000);
	}
	fail_msg("did not happen");
}

static void *run(void *arg)
{
	(void)arg;
	datafs_loop_run(loop);
	return NULL;
}

static void be(struct side *s, enum datafs_role role, uint64_t node,
	       struct datafs_keys keys)
{
	memset(s, 0, sizeof(*s));
	s->keys = keys;
	s->conf = (struct datafs_wire_conf) {
		.loop = loop, .limits = datafs_wire_limits, .ops = &ops,
		.arg = s,
		.self = { .role = role, .node = node, .keys = &s->keys,
			  .peers = 1u << DATAFS_ROLE_MEMBER |
				   1u << DATAFS_ROLE_CLIENT },
	};
	s->conf.limits.backoff = 5;
	s->conf.limits.backoff_max = 20;
}

int messenger_setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_ERR);
	wrong = 0;
	peer = NULL;
	if (datafs_loop_new(&loop))
		return -1;
	be(&a, DATAFS_ROLE_MEMBER, 1, wire_keys(1, 1));
	be(&b, DATAFS_ROLE_MEMBER, 2, wire_keys(1, 1));
	return pthread_create(&thread, NULL, run, NULL);
}

static void stop(void)
{
	datafs_wire_free(a.wire);
	datafs_wire_free(b.wire);
	datafs_loop_stop(loop);
}

int messenger_teardown(void **state)
{
	(void)state;
	on_loop(stop);
	pthread_join(thread, NULL);
	datafs_loop_free(loop);
	return a.ups == a.downs && b.ups == b.downs && !wrong ? 0 : -1;
}

void listen_b(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(datafs_wire_new(&b.conf, &b.wire), 0);
	assert_int_equal(datafs_wire_listen(b.wire, (void *)&in, sizeof(in)), 0);
	assert_int_not_equal(datafs_wire_port(b.wire), 0);
}

void connect_a(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(datafs_wire_port(b.wire));
	assert_int_equal(datafs_wire_new(&a.conf, &a.wire), 0);
	assert_int_equal(datafs_wire_connect(a.wire, (void *)&in, sizeof(in), 2,
					     &peer), 0);
}

bool both_up(void)
{
	return a.conn && b.conn;
}

bool both_down(void)
{
	return a.downs && b.downs;
}

void both(void)
{
	on_loop(listen_b);
	on_loop(connect_a);
	until(both_up);
}
