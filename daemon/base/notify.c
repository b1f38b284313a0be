// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int datafs_notify(const char *state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len, all = strlen(state);
	ssize_t n;
	int fd, err = 0;

	if (!path || !*path)
		return 0;
	len = strlen(path);
	/* A path, or a name of the abstract kind, whose NUL is written as '@'. */
	if ((*path != '/' && *path != '@') || len >= sizeof(sa.sun_path))
		return -EINVAL;
	memcpy(sa.sun_path, path, len);
	if (*path == '@')
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do
		n = sendto(fd, state, all, MSG_NOSIGNAL, (struct sockaddr *)&sa,
			   offsetof(struct sockaddr_un, sun_path) + len);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)all)
		err = n < 0 ? -errno : -EIO;
	close(fd);
	return err;
}
