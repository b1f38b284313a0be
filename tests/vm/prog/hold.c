// SPDX-License-Identifier: Apache-2.0
/*
 * hold FILE: keeps FILE open and mapped, and answers each line of its input
 * with one line:
 *   read    "N C": N bytes, all of them the character C ("mixed" if not), or
 *           an errno's name
 *   direct  the same by O_DIRECT
 *   map     "C", the first byte of the mapping, or "SIGBUS"
 *   size    what fstat says
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "prog.h"

#define ROOM	(4u << 20)

static sigjmp_buf bus;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(bus, 1);
}

static void say_read(int fd, unsigned char *buf)
{
	ssize_t n = pread(fd, buf, ROOM, 0), i;

	if (n < 0) {
		printf("%s\n", strerrorname_np(errno));
		return;
	}
	for (i = 1; i < n && buf[i] == buf[0]; i++)
		;
	if (i < n)
		printf("%zd mixed\n", n);
	else
		printf("%zd %c\n", n, n ? buf[0] : '-');
}

static void say_map(const volatile unsigned char *map)
{
	if (sigsetjmp(bus, 1))
		puts("SIGBUS");
	else
		printf("%c\n", map[0]);
}

int main(int argc, char **argv)
{
	const unsigned char *map;
	unsigned char *buf;
	struct stat st;
	char line[80];
	int fd, direct;

	if (argc != 2)
		die("usage: hold FILE");
	fd = open(argv[1], O_RDONLY);
	direct = open(argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0 || direct < 0)
		die("%s: %m", argv[1]);
	map = mmap(NULL, ROOM, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || posix_memalign((void **)&buf, 4096, ROOM))
		die("mmap: %m");
	signal(SIGBUS, on_bus);
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "read"))
			say_read(fd, buf);
		else if (!strcmp(line, "direct"))
			say_read(direct, buf);
		else if (!strcmp(line, "map"))
			say_map(map);
		else if (!strcmp(line, "size"))
			printf("%lld\n", fstat(fd, &st) ? -1LL : (long long)st.st_size);
		else
			die("no command %s", line);
	}
	return 0;
}
