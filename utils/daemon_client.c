// SPDX-License-Identifier: Apache-2.0
/* The client side of a daemon's status socket. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon_client.h"

static int connect_to(const char *instance, int seconds)
{
	const struct timeval limit = { .tv_sec = seconds };
	/* Also of the connect(2): nobody hurries to take it if the daemon is stopped. */
	const struct timeval ask = { .tv_sec = DATAFS_DAEMON_ASK_S };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, ret;

	ret = snprintf(sa.sun_path, sizeof(sa.sun_path), "/run/datafs/%s.sock",
		       instance);
	if (ret < 0 || (size_t)ret >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ask, sizeof(ask)) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

pid_t datafs_daemon_pid(const char *instance)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int fd = connect_to(instance, DATAFS_DAEMON_ASK_S);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		peer.pid = -errno;
	close(fd);
	return peer.pid ? peer.pid : -ESRCH;
}

static int send_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return errno ? -errno : -EIO;
	}
	return 0;
}

static int send_line(int fd, const char *request)
{
	int ret = send_all(fd, request, strlen(request));

	return ret ? ret : send_all(fd, "\n", 1);
}

int datafs_daemon_send(const char *instance, const char *request, int seconds)
{
	int fd = connect_to(instance, seconds), ret;

	if (fd < 0)
		return fd;
	ret = send_line(fd, request);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int datafs_daemon_receive(int fd, datafs_daemon_line_fn fn, void *arg)
{
	char *line = NULL, *value;
	FILE *f = fdopen(fd, "r");
	bool any = false;
	size_t size = 0;
	int ret = 0;

	if (!f) {
		ret = -errno;
		close(fd);
		return ret;
	}
	errno = 0;
	while (getline(&line, &size, f) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		value = strchr(line, ' ');
		if (value) {
			*value = '\0';
			value += 1 + strspn(value + 1, " ");
		}
		any = true;
		if (*line)
			fn(arg, line, value ? value : "");
	}
	if (ferror(f))
		ret = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else if (!any)
		ret = -ECONNRESET;
	free(line);
	fclose(f);
	return ret;
}

int datafs_daemon_ask(const char *instance, const char *request, int seconds,
		      datafs_daemon_line_fn fn, void *arg)
{
	int fd = datafs_daemon_send(instance, request, seconds);

	return fd < 0 ? fd : datafs_daemon_receive(fd, fn, arg);
}
