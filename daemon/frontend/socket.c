// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE	/* accept4 */
#include "frontend.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

/* Who does not say what it wants in this time is left alone. */
#define CLIENT_SECONDS	2
/* A line of the table of mounts: three texts, each byte of which may be four. */
#define LINE_BYTES	(3 * 4 * 4096 + 128)

struct datafs_socket {
	int fd;
	struct sockaddr_un addr;
	struct datafs_loop *loop;
	struct datafs_pool *pool;
	const struct datafs_socket_command *commands;
	void *arg;
	struct datafs_event accept;
};

struct client {
	struct datafs_job job;
	struct datafs_socket *socket;
	int fd;
	char line[LINE_BYTES];	/* what it has said */
	const struct datafs_socket_command *command;	/* which that is, or NULL */
};

static const struct datafs_socket_command *find(const struct datafs_socket *s, const char *line)
{
	const struct datafs_socket_command *c;
	size_t len = strcspn(line, " ");

	for (c = s->commands; c->word; c++)
		if (strlen(c->word) == len && !strncmp(c->word, line, len))
			return c;
	return NULL;
}

static bool send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static void client_end(struct client *c)
{
	close(c->fd);
	free(c);
}

static void client_answer(struct datafs_job *job)
{
	struct client *c = (struct client *)job;
	const struct datafs_socket_command *command = c->command;
	size_t len = 0, word = strcspn(c->line, " ");
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	if (f && command)
		command->answer(c->socket->arg, c->line + word + strspn(c->line + word, " "), f);
	else if (f)
		fprintf(f, "error unknown request\n");
	if (f && !fclose(f) && send_all(c->fd, text, len) && command && command->sent)
		command->sent(c->socket->arg);
	free(text);
	client_end(c);
}

static void client_run(struct datafs_job *job)
{
	struct client *c = (struct client *)job;
	struct timeval limit = { .tv_sec = CLIENT_SECONDS };
	const size_t room = sizeof(c->line) - 1;
	size_t have = 0;
	char *end;
	ssize_t n;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	while (have < room && !memchr(c->line, '\n', have)) {
		n = recv(c->fd, c->line + have, room - have, 0);
		if (n <= 0)
			break;
		have += n;
	}
	c->line[have] = 0;
	end = strchr(c->line, '\n');
	if (!end) {
		client_end(c);
		return;
	}
	*end = 0;
	c->command = find(c->socket, c->line);
	if (!c->command || !c->command->slow) {
		client_answer(job);
		return;
	}
	c->job.run = client_answer;
	datafs_pool_add(c->socket->pool, &c->job, DATAFS_PRIO_AHEAD);
}

static void accepted(struct datafs_event *ev, int res)
{
	struct datafs_socket *s = (void *)((char *)ev -
				offsetof(struct datafs_socket, accept));
	struct client *c;
	int fd;

	if (res < 0 && res != -EINTR) {
		datafs_log(LOG_ERR, "%s: %s: no longer served", s->addr.sun_path,
			   strerror(-res));
		return;
	}
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	c = fd < 0 ? NULL : malloc(sizeof(*c));
	if (c) {
		c->job.run = client_run;
		c->socket = s;
		c->fd = fd;
		datafs_pool_add(s->pool, &c->job, DATAFS_PRIO_WAITED);
	} else if (fd >= 0) {
		close(fd);
	}
	datafs_loop_poll(s->loop, &s->accept, s->fd);
}

int datafs_socket_open(const char *path, struct datafs_loop *loop,
		       struct datafs_pool *pool,
		       const struct datafs_socket_command *commands, void *arg,
		       struct datafs_socket **res)
{
	struct datafs_socket *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->pool = pool;
	s->commands = commands;
	s->arg = arg;
	s->accept.fn = accepted;
	s->addr.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(s->addr.sun_path)) {
		free(s);
		return -ENAMETOOLONG;
	}
	strcpy(s->addr.sun_path, path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The name is ours: the daemon's lock is held. 0600 by the umask. */
	unlink(path);
	if (s->fd < 0 ||
	    bind(s->fd, (struct sockaddr *)&s->addr, sizeof(s->addr)) ||
	    listen(s->fd, 16)) {
		err = -errno;
		datafs_log(LOG_ERR, "%s: %s", path, strerror(-err));
		if (s->fd >= 0)
			close(s->fd);
		free(s);
		return err;
	}
	datafs_loop_poll(loop, &s->accept, s->fd);
	*res = s;
	return 0;
}

void datafs_socket_stop(struct datafs_socket *s)
{
	if (!s)
		return;
	datafs_loop_cancel(s->loop, &s->accept);
	unlink(s->addr.sun_path);
}

void datafs_socket_free(struct datafs_socket *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}
