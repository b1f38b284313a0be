// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "http_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKED_LEN	(64 << 10)

char http_base[64];
struct datafs_under http_under;
struct datafs_under_opts http_opts;
int64_t http_waited;

static const struct http_say *say;
static size_t nsay, nasked;
static char *asked[HTTP_ASKED_MAX];
static int listener = -1, wake[2];
static pthread_t thread;

static bool wait_for(int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = wake[0], .events = POLLIN } };

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	return p[0].revents && !p[1].revents;
}

static size_t body_of(const char *head)
{
	const char *at = strcasestr(head, "\r\nContent-Length:");

	return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* A request with its body; false: there is none any more. */
static bool hear(int fd)
{
	char *buf = calloc(1, ASKED_LEN), *end = NULL;
	size_t n = 0, want = 0;
	ssize_t got;

	while (!end || n < want) {
		got = wait_for(fd) ? read(fd, buf + n, ASKED_LEN - 1 - n) : 0;
		if (got <= 0) {
			free(buf);
			return false;
		}
		n += got;
		if (end)
			continue;
		end = strstr(buf, "\r\n\r\n");
		if (end)
			want = end + 4 - buf + body_of(buf);
		if (end && strcasestr(buf, "Expect: 100"))
			assert_true(write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 25);
	}
	assert_true(nasked < HTTP_ASKED_MAX);
	asked[nasked++] = buf;
	return true;
}

/* The answer with the id in its place, to be freed. */
static char *text_of(const struct http_say *s, size_t *len)
{
	static const char header[] = "x-amz-meta-datafs-id: ", mark[] = "@ID@";
	const char *at = s->len ? NULL : strstr(s->text, mark), *id = NULL, *told;
	char *text;

	*len = s->len ? s->len : strlen(s->text);
	for (size_t i = 0; at && i < nasked; i++) {
		told = strstr(asked[i], header);
		if (told)
			id = told;
	}
	if (!at || !id) {
		text = malloc(*len + 1);
		memcpy(text, s->text, *len);
		return text;
	}
	*len = asprintf(&text, "%.*s%.32s%s", (int)(at - s->text), s->text,
			id + sizeof(header) - 1, at + sizeof(mark) - 1);
	return text;
}

/* False: it is over with this connection. */
static bool answer(int fd)
{
	const struct http_say *s;
	size_t len, done = 0;
	char *text;

	if (nasked > nsay)
		return false;
	s = &say[nasked - 1];
	text = text_of(s, &len);
	while (done < len) {
		ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);

		if (n < 0)
			break;
		done += n;
	}
	free(text);
	if (done < len)
		return false;
	if (s->then == THEN_RESET) {
		/* What was sent is to arrive before the news. */
		usleep(20000);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
			   sizeof(struct linger));
	}
	return s->then == THEN_GO_ON;
}

static void *serve(void *arg)
{
	int fd;

	(void)arg;
	while (wait_for(listener)) {
		fd = accept(listener, NULL, NULL);
		while (fd >= 0 && hear(fd) && answer(fd))
			;
		close(fd);
	}
	return NULL;
}

void http_serve(const struct http_say *what, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	setenv("no_proxy", "*", 1);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	snprintf(http_base, sizeof(http_base), "http://127.0.0.1:%u", ntohs(a.sin_port));
	for (size_t i = 0; i < nasked; i++)
		free(asked[i]);
	say = what;
	nsay = n;
	nasked = 0;
	assert_int_equal(pipe(wake), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
}

size_t http_served(void)
{
	if (listener < 0)
		return nasked;
	assert_int_equal(write(wake[1], "", 1), 1);
	pthread_join(thread, NULL);
	close(wake[0]);
	close(wake[1]);
	close(listener);
	listener = -1;
	return nasked;
}

const char *http_asked(size_t i)
{
	assert_true(i < nasked);
	return asked[i];
}

/* ---- a client ---- */

static int64_t fake_now(void)
{
	return 1000000000000ll + http_waited;
}

static void fake_sleep(int64_t until)
{
	http_waited += until - fake_now();
}

static double fake_chance(void)
{
	return 0.5;
}

static const struct datafs_http_clock fake = { fake_now, fake_sleep, fake_chance };

struct datafs_http *http_client(void)
{
	struct datafs_http *h;

	memset(&http_under, 0, sizeof(http_under));
	http_opts = datafs_under_opts_default;
	http_under.opts = &http_opts;
	http_waited = 0;
	assert_int_equal(datafs_http_open(&http_under, "test", &h), 0);
	h->clock = &fake;
	return h;
}

struct datafs_under_stats http_counts(void)
{
	struct datafs_under_stats s;

	datafs_under_stats(&http_under, &s);
	return s;
}
