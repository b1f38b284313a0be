// SPDX-License-Identifier: Apache-2.0
/* The loop's sockets, and what it is given to do. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "loop_wrap.h"

static struct datafs_loop *loop;
static unsigned int happened;
static int last_res;

static int setup(void **state)
{
	(void)state;
	happened = 0;
	return datafs_loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	datafs_loop_free(loop);
	return 0;
}

static void stop_at_once(struct datafs_event *ev, int res)
{
	(void)ev;
	last_res = res;
	happened++;
	datafs_loop_stop(loop);
}

static void count(struct datafs_event *ev, int res)
{
	(void)ev;
	last_res = res;
	happened++;
}

static int listener(struct sockaddr_in *in)
{
	socklen_t len = sizeof(*in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*in = (struct sockaddr_in) { .sin_family = AF_INET };
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (void *)in, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (void *)in, &len), 0);
	return fd;
}

/* One connects, the other accepts; then a word goes over. */
static struct datafs_event accept_ev, connect_ev, send_ev, recv_ev;
static struct iovec iov[2] = { { "wo", 2 }, { "rds", 3 } };
static struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
static char word[16];
static int out, in_fd;

static void speak_if_both(void)
{
	if (++happened < 2)
		return;
	assert_int_equal(datafs_loop_send(loop, &send_ev, out, &msg), 0);
	assert_int_equal(datafs_loop_recv(loop, &recv_ev, in_fd, word,
					  sizeof(word)), 0);
}

static void accepted(struct datafs_event *ev, int res)
{
	(void)ev;
	assert_true(res >= 0);
	in_fd = res;
	speak_if_both();
}

static void connected(struct datafs_event *ev, int res)
{
	(void)ev;
	assert_int_equal(res, 0);
	speak_if_both();
}

static void sockets(void **state)
{
	struct sockaddr_in in;
	int fd = listener(&in);

	(void)state;
	out = socket(AF_INET, SOCK_STREAM, 0);
	accept_ev.fn = accepted;
	connect_ev.fn = connected;
	send_ev.fn = count;
	recv_ev.fn = stop_at_once;
	assert_int_equal(datafs_loop_accept(loop, &accept_ev, fd), 0);
	assert_int_equal(datafs_loop_connect(loop, &connect_ev, out, (void *)&in,
					     sizeof(in)), 0);
	assert_int_equal(datafs_loop_run(loop), 0);
	assert_int_equal(happened, 4);
	assert_int_equal(last_res, 5);
	assert_memory_equal(word, "words", 5);
	close(out);
	close(in_fd);
	close(fd);
}

/* To a port on which nobody is; and to a reader who is gone, without SIGPIPE. */
static void failures(void **state)
{
	struct datafs_event ev = { .fn = stop_at_once };
	struct sockaddr_in in;
	int pair[2];

	(void)state;
	close(listener(&in));
	out = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(datafs_loop_connect(loop, &ev, out, (void *)&in,
					     sizeof(in)), 0);
	assert_int_equal(datafs_loop_run(loop), 0);
	assert_int_equal(last_res, -ECONNREFUSED);
	close(out);
	datafs_loop_free(loop);
	assert_int_equal(datafs_loop_new(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	assert_int_equal(datafs_loop_send(loop, &ev, pair[0], &msg), 0);
	assert_int_equal(datafs_loop_run(loop), 0);
	assert_int_equal(last_res, -EPIPE);
	close(pair[0]);
}

static void aborted(void **state)
{
	struct datafs_event ev = { .fn = stop_at_once };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	datafs_loop_abort(loop, &ev);	/* nothing is under way */
	assert_int_equal(datafs_loop_recv(loop, &ev, pair[0], word,
					  sizeof(word)), 0);
	datafs_loop_abort(loop, &ev);
	assert_int_equal(happened, 0);
	assert_int_equal(datafs_loop_run(loop), 0);
	assert_int_equal(happened, 1);
	assert_int_equal(last_res, -ECANCELED);
	close(pair[0]);
	close(pair[1]);
}

/* A connection that was accepted too late to be told of is closed. */
static void accept_cancelled(void **state)
{
	struct datafs_event ev = { .fn = count };
	struct sockaddr_in in;
	int fd = listener(&in);
	char c;

	(void)state;
	out = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(out, (void *)&in, sizeof(in)), 0);
	assert_int_equal(datafs_loop_accept(loop, &ev, fd), 0);
	/* It is submitted only here, and there is somebody to accept. */
	datafs_loop_cancel(loop, &ev);
	assert_int_equal(happened, 0);
	close(fd);
	assert_true(recv(out, &c, 1, 0) <= 0);
	close(out);
}

/* Reads of pipes; there is something in the second only. */
static struct datafs_event reads[3];
static int pipes[3][2];

static void cancel_third(struct datafs_event *ev, int res)
{
	count(ev, res);
	assert_ptr_equal(ev, &reads[1]);
	datafs_loop_cancel(loop, &reads[2]);
	assert_false(reads[2].pending);
}

static void cancel_first(struct datafs_event *ev, int res)
{
	count(ev, res);
	assert_ptr_equal(ev, &reads[1]);
	datafs_loop_cancel(loop, &reads[0]);
	assert_false(reads[0].pending);
	/* It is over, and may be something else by now. */
	memset(&reads[0], 0x5a, sizeof(reads[0]));
}

static void read_pipes(void (*second)(struct datafs_event *ev, int res))
{
	static char bytes[3];

	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		reads[i] = (struct datafs_event) { .fn = i == 1 ? second : count };
		assert_int_equal(datafs_loop_read(loop, &reads[i], pipes[i][0],
						  &bytes[i], 1), 0);
	}
	assert_int_equal(write(pipes[1][1], "x", 1), 1);
}

static void close_pipes(void)
{
	for (int i = 0; i < 3; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

/* Nobody is called who was cancelled, by whichever of the two it ends. */
static void cancel_in_cancel(void **state)
{
	(void)state;
	read_pipes(cancel_third);
	datafs_loop_cancel(loop, &reads[0]);
	assert_false(reads[0].pending);
	assert_false(reads[2].pending);
	assert_int_equal(happened, 1);
	assert_int_equal(last_res, 1);
	close_pipes();
}

/* Two wait for the end of the same one. */
static void cancel_twice(void **state)
{
	(void)state;
	read_pipes(cancel_first);
	datafs_loop_cancel(loop, &reads[0]);
	assert_int_equal(happened, 1);
	datafs_loop_cancel(loop, &reads[2]);
	assert_int_equal(happened, 1);
	close_pipes();
}

/* What a full ring does: nothing of what is asked for gets out of it. */
static bool full;

int __wrap_io_uring_submit(struct io_uring *ring)
{
	return full ? -EAGAIN : __real_io_uring_submit(ring);
}

static struct datafs_event polls[1000];

/* Before the loop's own read, which this wakes, is made again. */
static void fill_and_wake(struct datafs_event *ev, int res)
{
	unsigned int i = 0;

	count(ev, res);
	full = true;
	do
		polls[i].fn = count;
	while (!datafs_loop_poll(loop, &polls[i++], pipes[0][0]) && i < 1000);
	assert_true(i < 1000);
	datafs_loop_wake(loop);
}

static void never(struct datafs_task *t)
{
	(void)t;
	happened += 100;
}

/* A loop that nobody could wake any more ends, and says so. */
static void no_wake(void **state)
{
	struct datafs_task task = { .fn = never };

	(void)state;
	datafs_log_set_level(LOG_CRIT);
	read_pipes(fill_and_wake);
	assert_int_equal(datafs_loop_run(loop), -EBUSY);
	assert_int_equal(happened, 1);
	full = false;
	datafs_loop_post(loop, &task);
	assert_int_equal(datafs_loop_run(loop), -EBUSY);
	assert_int_equal(happened, 1);
	datafs_loop_free(loop);
	close_pipes();
	assert_int_equal(datafs_loop_new(&loop), 0);
}

/* Who depends on the loop ends it. */
static void failed(void **state)
{
	(void)state;
	datafs_loop_fail(loop, -EIO, "a test");
	assert_int_equal(datafs_loop_run(loop), -EIO);
	/* The first of the reasons. */
	datafs_loop_fail(loop, -EBUSY, "a test");
	assert_int_equal(datafs_loop_run(loop), -EIO);
}

static void fail_loop(struct datafs_task *t)
{
	(void)t;
	datafs_loop_fail(loop, -EIO, "a test");
}

/* A process whose loop others wait for: the status that it ends with. */
static int served(void (*fn)(struct datafs_task *t))
{
	struct datafs_task task = { .fn = fn };
	pid_t pid = fork();
	int status;

	if (!pid) {
		datafs_log_set_level(LOG_CRIT);
		if (datafs_loop_new(&loop))
			_exit(98);
		datafs_loop_post(loop, &task);
		datafs_loop_serve(loop);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void stop_loop(struct datafs_task *t)
{
	(void)t;
	datafs_loop_stop(loop);
}

/* It ends the process where it cannot go on, and only there. */
static void serves(void **state)
{
	(void)state;
	assert_int_equal(served(stop_loop), 0);
	assert_int_equal(served(fail_loop), DATAFS_LOOP_EXIT);
}

struct a_task {
	struct datafs_task task;
	unsigned int no;
};

static struct a_task tasks[3];
static unsigned int order[8], n_order;

static void note(struct datafs_task *t)
{
	order[n_order++] = ((struct a_task *)t)->no;
}

static void note_and_more(struct datafs_task *t)
{
	note(t);
	t->fn = note;
	datafs_loop_defer(loop, t);
}

static void note_and_stop(struct datafs_task *t)
{
	note(t);
	datafs_loop_stop(loop);
}

static void deferred_order(void **state)
{
	struct a_task posted = { { .fn = note_and_stop }, 9 };
	struct a_task forgotten = { { .fn = note }, 8 };

	(void)state;
	n_order = 0;
	for (unsigned int i = 0; i < 3; i++) {
		tasks[i] = (struct a_task) { { .fn = i ? note : note_and_more }, i };
		datafs_loop_defer(loop, &tasks[i].task);
	}
	datafs_loop_post(loop, &forgotten.task);
	datafs_loop_post(loop, &posted.task);
	datafs_loop_forget(loop, &forgotten.task);
	datafs_loop_forget(loop, &tasks[2].task);
	datafs_loop_forget(loop, &tasks[2].task);
	assert_int_equal(datafs_loop_run(loop), 0);
	assert_int_equal(n_order, 4);
	assert_int_equal(order[0], 0);
	assert_int_equal(order[1], 1);
	assert_int_equal(order[2], 0);
	assert_int_equal(order[3], 9);
}

static unsigned int wakes;

static void on_wake(void *arg)
{
	assert_ptr_equal(arg, &wakes);
	wakes++;
}

static void push(struct datafs_event *ev, int res)
{
	(void)ev;
	assert_int_equal(res, sizeof(uint64_t));
	assert_int_equal(wakes, 0);
	assert_int_equal(n_order, 0);
	datafs_loop_push(loop);
	datafs_loop_add(loop, &tasks[2].task);
}

/* Of tasks that are added the loop knows nothing before it is told. */
static void added(void **state)
{
	struct datafs_event ev = { .fn = push };
	int fd = eventfd(1, EFD_CLOEXEC);
	uint64_t value;

	(void)state;
	n_order = wakes = 0;
	assert_true(fd >= 0);
	datafs_loop_on_wake(loop, on_wake, &wakes);
	datafs_loop_push(loop);
	for (unsigned int i = 0; i < 3; i++)
		tasks[i] = (struct a_task) { { .fn = i < 2 ? note : note_and_stop }, i };
	datafs_loop_add(loop, &tasks[0].task);
	datafs_loop_add(loop, &tasks[1].task);
	assert_int_equal(datafs_loop_read(loop, &ev, fd, &value, sizeof(value)), 0);
	assert_int_equal(datafs_loop_run(loop), 0);
	close(fd);
	assert_int_equal(n_order, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(order[i], i);
	datafs_loop_on_wake(loop, NULL, NULL);
}

#define THREADS	4
#define POSTS	5000

struct poster {
	pthread_t thread;
	unsigned int next;	/* of those that ran: they do so in order */
	struct post { struct datafs_task task; struct poster *by; } posts[POSTS];
};

static struct poster posters[THREADS];

static void posted(struct datafs_task *t)
{
	struct post *p = (struct post *)t;

	assert_int_equal(p - p->by->posts, p->by->next++);
	if (++happened == THREADS * POSTS)
		datafs_loop_stop(loop);
}

static void *post_all(void *arg)
{
	struct poster *p = arg;

	for (unsigned int i = 0; i < POSTS; i++) {
		p->posts[i].task.fn = posted;
		p->posts[i].by = p;
		datafs_loop_post(loop, &p->posts[i].task);
	}
	return NULL;
}

static void posts(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
	assert_int_equal(datafs_loop_run(loop), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(posters[i].thread, NULL);
		assert_int_equal(posters[i].next, POSTS);
	}
	assert_int_equal(happened, THREADS * POSTS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(sockets), T(failures), T(aborted), T(accept_cancelled),
		T(cancel_in_cancel), T(cancel_twice), T(no_wake), T(failed),
		T(serves), T(deferred_order), T(added), T(posts),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
