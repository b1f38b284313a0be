// SPDX-License-Identifier: Apache-2.0
/*
 * ports N: N addresses on loopback, one a line, each with a port that was free just now.
 * Each has a host part of its own, so that nobody gets its port for a connection.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int i = 0; argc == 2 && i < atoi(argv[1]); i++) {
		struct sockaddr_in in = { .sin_family = AF_INET };
		socklen_t len = sizeof(in);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 20 + (unsigned int)i);
		if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) ||
		    getsockname(fd, (struct sockaddr *)&in, &len))
			err(1, "bind");
		printf("127.0.0.%d:%u\n", 21 + i, ntohs(in.sin_port));
		close(fd);
	}
	return 0;
}
