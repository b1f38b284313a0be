// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "vfs_range.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX	256
#define PATIENCE	10	/* seconds */

struct range_server range_server;
char range_base[64];

static int listener = -1;
static pthread_t acceptor, threads[CONNECTIONS_MAX];
static int fds[CONNECTIONS_MAX];
static unsigned int running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static unsigned int here;	/* GETs that are being answered */

unsigned char range_byte(uint64_t at)
{
	return at * 31 + (at >> 12) * 7 + (at >> 20) * 3;
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		p += done;
		n -= done;
	}
	return true;
}

static bool send_range(int fd, uint64_t from, uint64_t to)
{
	char buf[64 << 10];

	while (from < to) {
		size_t n = sizeof(buf) < to - from ? sizeof(buf) : to - from;

		for (size_t i = 0; i < n; i++)
			buf[i] = range_byte(from + i);
		/* Before they are there: who has got the last of them looks at the sum. */
		range_server.bytes += n;
		if (!send_all(fd, buf, n))
			return false;
		from += n;
	}
	return true;
}

/* Those that come one after the other, and never together, wait for nobody in the end. */
static void meet(void)
{
	struct range_server *s = &range_server;
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	pthread_mutex_lock(&lock);
	if (++here > s->most)
		s->most = here;
	pthread_cond_broadcast(&came);
	while (s->most < s->together && !err)
		err = pthread_cond_timedwait(&came, &lock, &until);
	pthread_mutex_unlock(&lock);
}

static void part(void)
{
	pthread_mutex_lock(&lock);
	here--;
	pthread_mutex_unlock(&lock);
}

static bool answer_get(int fd, uint64_t from, uint64_t to, unsigned int nth)
{
	struct range_server *s = &range_server;
	char head[400];

	if (nth <= s->refuse_first)
		return send_all(fd, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 40);
	if (s->whole) {
		from = 0;
		to = s->size;
		snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\nETag: \"one\"\r\n\r\n", to);
	} else {
		snprintf(head, sizeof(head),
			 "HTTP/1.1 206 Partial Content\r\nContent-Length: %" PRIu64 "\r\n"
			 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n%s%s\r\n\r\n",
			 to - from, from, to - 1, s->size,
			 s->dated ? "Last-Modified: " : "ETag: \"one\"",
			 s->dated ? s->dated : "");
	}
	if (!send_all(fd, head, strlen(head)))
		return false;
	if (nth == s->break_nth) {
		send_range(fd, from, from + (to - from) / 2);
		return false;
	}
	return send_range(fd, from, to);
}

static bool answer(int fd, const char *asked)
{
	struct range_server *s = &range_server;
	const char *range = strcasestr(asked, "\r\nRange: bytes=");
	uint64_t from = 0, to = s->size - 1;
	char head[300];
	bool ok;

	if (!strncmp(asked, "HEAD ", 5)) {
		s->heads++;
		snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\n%s%s\r\n\r\n", s->size,
			 s->dated ? "Last-Modified: " : "ETag: \"one\"", s->dated ? s->dated : "");
		return send_all(fd, head, strlen(head));
	}
	if (range)
		sscanf(range + 15, "%" SCNu64 "-%" SCNu64, &from, &to);
	meet();
	ok = answer_get(fd, from, to + 1, ++s->gets);
	part();
	return ok;
}

static void *serve(void *arg)
{
	int fd = *(int *)arg;
	char buf[8192];
	size_t n = 0;

	for (;;) {
		ssize_t got = read(fd, buf + n, sizeof(buf) - 1 - n);

		if (got <= 0)
			break;
		n += got;
		buf[n] = 0;
		if (!strstr(buf, "\r\n\r\n"))
			continue;
		if (!answer(fd, buf))
			break;
		n = 0;
	}
	shutdown(fd, SHUT_RDWR);
	return NULL;
}

static void *accept_all(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(listener, NULL, NULL)) >= 0 && running < CONNECTIONS_MAX) {
		range_server.connections++;
		fds[running] = fd;
		if (!pthread_create(&threads[running], NULL, serve, &fds[running]))
			running++;
	}
	return NULL;
}

void range_start(uint64_t size)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	setenv("no_proxy", "*", 1);
	memset(&range_server, 0, sizeof(range_server));
	range_server.size = size;
	running = 0;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, len) || listen(listener, 64) ||
	    getsockname(listener, (struct sockaddr *)&a, &len) ||
	    pthread_create(&acceptor, NULL, accept_all, NULL))
		abort();
	snprintf(range_base, sizeof(range_base), "http://127.0.0.1:%u/", ntohs(a.sin_port));
}

void range_stop(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(acceptor, NULL);
	close(listener);
	for (unsigned int i = 0; i < running; i++) {
		shutdown(fds[i], SHUT_RDWR);
		pthread_join(threads[i], NULL);
		close(fds[i]);
	}
}
