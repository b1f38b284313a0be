// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "side.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define LISTED_MAX	(4 * NAMES)

const char *const dirs[DIRS] = { "few", "large" };
const char *top, *instance = "client";
unsigned int listed[LISTED_MAX];

static int peer;

NORETURN PRINTF(1, 2) void broken(const char *fmt, ...)
{
	va_list ap;

	printf("not ok - ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

/* ------------------------------------------------------------- what is done */

void name_of(unsigned int name, char to[16])
{
	if (name < STAY)
		snprintf(to, 16, "stay%u", name);
	else
		snprintf(to, 16, "come%u", name - STAY);
}

static const char *path_of(unsigned int dir, unsigned int name, char to[4200])
{
	char text[16];

	name_of(name, text);
	snprintf(to, 4200, "%s/%s/%s", top, dirs[dir], text);
	return to;
}

/* NAMES: it is none of ours. */
static unsigned int number_of(const char *text)
{
	char want[16];
	unsigned int n = NAMES;

	if (sscanf(text, "stay%u", &n) != 1) {
		if (sscanf(text, "come%u", &n) != 1)
			return NAMES;
		n += STAY;
	}
	if (n >= NAMES)
		return NAMES;
	name_of(n, want);
	return strcmp(text, want) ? NAMES : n;
}

/* One getdents64; how many bytes it had. */
static long read_piece(int fd, unsigned int room, struct answer *a)
{
	static char buf[ROOM];
	long got = syscall(SYS_getdents64, fd, buf, room);

	if (got < 0)
		a->err = errno;
	for (long at = 0; at < got;) {
		const struct dirent64 *d = (const void *)(buf + at);

		at += d->d_reclen;
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (a->n == LISTED_MAX)
			a->err = EOVERFLOW;
		else
			listed[a->n++] = number_of(d->d_name);
	}
	return got;
}

static int open_dir(unsigned int dir)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", top, dirs[dir]);
	return open(path, O_RDONLY | O_DIRECTORY);
}

static void list(const struct request *r, struct answer *a)
{
	int fd = open_dir(r->dir);

	if (fd < 0) {
		a->err = errno;
		return;
	}
	while (read_piece(fd, r->room, a) > 0 && !a->err)
		;
	close(fd);
}

/* A listing that is begun, or begun again, and gone on with; one at a time. */
static void list_on(const struct request *r, struct answer *a)
{
	static int fd = -1;
	static unsigned int dir;

	if (r->op == BEGIN && fd >= 0 && dir == r->dir) {
		if (lseek(fd, 0, SEEK_SET))
			a->err = errno;
	} else if (r->op == BEGIN) {
		if (fd >= 0)
			close(fd);
		dir = r->dir;
		fd = open_dir(dir);
		if (fd < 0)
			a->err = errno;
	}
	/* more than the dots, but at the end */
	while (!a->err && !a->n && read_piece(fd, r->room, a) > 0)
		;
}

/* Of this kernel for a name, attributes or a listing, of all its mounts. */
static void upcalls(struct answer *a)
{
	char line[256], name[64];
	unsigned long long n;
	unsigned int seen = 0;
	FILE *f;

	snprintf(line, sizeof(line), "datafs stats --instance %s", instance);
	f = popen(line, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %llu", name, &n) != 2 ||
		    (strcmp(name, "requests_lookup") && strcmp(name, "requests_getattr") &&
		     strcmp(name, "requests_readdir")))
			continue;
		a->value += n;
		seen++;
	}
	if (!f || pclose(f) || seen < 3)
		a->err = ENODATA;
}

void act(const struct request *r, struct answer *a)
{
	char from[4200], to[4200];
	struct stat st;
	int ret = 0;

	*a = (struct answer) { 0 };
	path_of(r->dir, r->name, from);
	switch (r->op) {
	case MAKE:
		ret = mkdir(from, 0755);
		break;
	case REMOVE:
		ret = rmdir(from);
		break;
	case RENAME:
		ret = rename(from, path_of(r->to_dir, r->to_name, to));
		break;
	case STAT:
		ret = lstat(from, &st);
		break;
	case LIST:
		list(r, a);
		break;
	case UPCALLS:
		upcalls(a);
		break;
	default:
		list_on(r, a);
	}
	if (ret)
		a->err = errno;
}

/* ------------------------------------------------------------- the other side */

static void send_all(const void *buf, size_t len)
{
	if (send(peer, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		broken("the other side is gone: %m");
}

static bool recv_all(void *buf, size_t len)
{
	return recv(peer, buf, len, MSG_WAITALL) == (ssize_t)len;
}

int serve(unsigned int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct request r;
	struct answer a;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (void *)&sa, sizeof(sa)) || listen(s, 1))
		die("port %u: %m", port);
	peer = accept(s, NULL, NULL);
	if (peer < 0)
		die("accept: %m");
	setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (recv_all(&r, sizeof(r))) {
		act(&r, &a);
		send_all(&a, sizeof(a));
		send_all(listed, a.n * sizeof(*listed));
	}
	return 0;
}

void connect_to(const char *host, unsigned int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int one = 1;

	if (inet_pton(AF_INET, host, &sa.sin_addr) != 1)
		die("not an address: %s", host);
	for (int i = 0; i < 600; i++) {
		peer = socket(AF_INET, SOCK_STREAM, 0);
		if (!connect(peer, (void *)&sa, sizeof(sa))) {
			setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return;
		}
		close(peer);
		usleep(100000);
	}
	broken("%s, port %u: %m", host, port);
}

/* Goes on beside what is done here, until its end is asked for. */
void there_begin(const struct request *r)
{
	send_all(r, sizeof(*r));
}

struct answer there_end(void)
{
	struct answer a;

	if (!recv_all(&a, sizeof(a)) || a.n > LISTED_MAX ||
	    (a.n && !recv_all(listed, a.n * sizeof(*listed))))
		broken("the other side is gone");
	return a;
}

struct answer on(unsigned int side, const struct request *r)
{
	struct answer a;

	if (side == THERE) {
		there_begin(r);
		return there_end();
	}
	act(r, &a);
	return a;
}
