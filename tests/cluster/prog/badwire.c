// SPDX-License-Identifier: Apache-2.0
/*
 * What no client says to a member. Addresses are HOST:PORT, of numbers.
 *
 * badwire relay LISTEN TO FILE: a connection to LISTEN goes to TO, and what its client
 * says to FILE, until one side ends it.
 * badwire replay TO FILE: what was recorded, once more, at once.
 * badwire frames TO SEED N: N connections of a stranger, each with something malformed.
 * badwire known TO SEED N KEYFILE: the same behind the handshake of a client's key.
 * badwire silent TO N: N connections that say nothing.
 *
 * But for the relay it prints, and is successful if, the member has ended them all.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/util.h"
#include "wire/frame.h"
#include "wire/handshake.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define END_MS	20000	/* a member waits five seconds for a stranger */
#define LONGEST	8192u	/* of what is sent here at once */

static uint64_t state;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 11;
}

static void fill(uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)rnd();
}

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	unsigned int port = 0;
	char host[64] = "";

	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 ||
	    inet_pton(AF_INET, host, &in.sin_addr) != 1)
		errx(2, "not HOST:PORT: %s", text);
	in.sin_port = htons((uint16_t)port);
	return in;
}

static int dial(const char *to)
{
	struct sockaddr_in in = address(to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)))
		err(1, "%s", to);
	return fd;
}

/* All of it, or as much as the other side takes: it may have ended it. */
static void say(int fd, const void *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		buf = (const char *)buf + n;
		len -= (size_t)n;
	}
}

/* Reads until the other side ends it: it does. */
static bool is_ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];
	bool yes = false;

	while (!yes && poll(&p, 1, END_MS) == 1)
		yes = read(fd, buf, sizeof(buf)) <= 0;
	close(fd);
	return yes;
}

static int tell(unsigned int ended, unsigned int of)
{
	printf("ended %u of %u\n", ended, of);
	return ended != of;
}

/* What came from @from. False: its end. */
static bool pass(int from, int to, int file)
{
	char buf[LONGEST];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n <= 0)
		return false;
	if (file >= 0 && write(file, buf, (size_t)n) != n)
		err(1, "the record");
	say(to, buf, (size_t)n);
	return true;
}

static int relay(char **argv)
{
	struct sockaddr_in in = address(argv[0]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
	bool goes_on = true;

	if (file < 0 || fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 1))
		err(1, "relay");
	p[0].fd = accept(fd, NULL, NULL);
	if (p[0].fd < 0)
		err(1, "accept");
	close(fd);
	p[1].fd = dial(argv[1]);
	while (goes_on && poll(p, 2, -1) > 0)
		goes_on = (!p[0].revents || pass(p[0].fd, p[1].fd, file)) &&
			  (!p[1].revents || pass(p[1].fd, p[0].fd, -1));
	return 0;
}

static int replay(char **argv)
{
	int file = open(argv[1], O_RDONLY | O_CLOEXEC), fd = dial(argv[0]);
	char buf[LONGEST];
	ssize_t n;

	if (file < 0)
		err(1, "%s", argv[1]);
	while ((n = read(file, buf, sizeof(buf))) > 0)
		say(fd, buf, (size_t)n);
	close(file);
	return tell(is_ended(fd), 1);
}

/* A frame as it is on the wire, by no rules. Returns its length. */
static size_t frame(uint8_t *out, uint16_t type, uint32_t says, size_t len)
{
	memset(out, 0, DATAFS_FRAME_HEAD);
	datafs_put_be32(out, 0x44465700u | DATAFS_FRAME_VERSION);
	datafs_put_be16(out + 4, type);
	datafs_put_be32(out + 8, says);
	datafs_put_be32(out + 12, datafs_crc32c(out + DATAFS_FRAME_HEAD, len));
	datafs_put_be32(out + 24, datafs_crc32c(out, 24));
	return DATAFS_FRAME_HEAD + len;
}

static size_t noise(uint8_t *out)
{
	size_t len = DATAFS_FRAME_HEAD + rnd() % 4096;

	fill(out, len);
	return len;
}

static size_t too_long(uint8_t *out)
{
	uint32_t says = DATAFS_FRAME_MAX_HANDSHAKE + 1 + (uint32_t)(rnd() % 0xfffffe00u);

	fill(out + DATAFS_FRAME_HEAD, 2048);
	return frame(out, DATAFS_FRAME_HELLO, says, 2048);
}

static size_t other_type(uint8_t *out)
{
	size_t len = rnd() % 200;

	fill(out + DATAFS_FRAME_HEAD, len);
	return frame(out, (uint16_t)(DATAFS_FRAME_PING + rnd() % 60000), (uint32_t)len, len);
}

static size_t no_hello(uint8_t *out)
{
	size_t len = rnd() % (DATAFS_FRAME_MAX_HANDSHAKE + 1);

	fill(out + DATAFS_FRAME_HEAD, len);
	return frame(out, DATAFS_FRAME_HELLO, (uint32_t)len, len);
}

static size_t proof_first(uint8_t *out)
{
	fill(out + DATAFS_FRAME_HEAD, DATAFS_PROOF_LEN);
	return frame(out, DATAFS_FRAME_PROOF, DATAFS_PROOF_LEN, DATAFS_PROOF_LEN);
}

static size_t changed(uint8_t *out)
{
	size_t len = no_hello(out);

	out[rnd() % len] ^= (uint8_t)(1 << rnd() % 8);
	return len;
}

static size_t (*const malformed[])(uint8_t *out) = {
	noise, too_long, other_type, no_hello, proof_first, changed,
};

static int frames(char **argv)
{
	unsigned int n = (unsigned int)atoi(argv[2]), ended = 0;
	uint8_t buf[LONGEST];

	state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15ull | 1;
	for (unsigned int i = 0; i < n; i++) {
		int fd = dial(argv[0]);

		say(fd, buf, malformed[i % COUNT(malformed)](buf));
		/* of one that says that more comes: none does */
		shutdown(fd, SHUT_WR);
		ended += is_ended(fd);
	}
	return tell(ended, n);
}

/* What it must be: a whole frame with a body of @len. */
static void hear(int fd, uint16_t type, uint8_t *body, size_t len)
{
	uint8_t head[DATAFS_FRAME_HEAD];

	if (recv(fd, head, sizeof(head), MSG_WAITALL) != sizeof(head) ||
	    datafs_get_be16(head + 4) != type || datafs_get_be32(head + 8) != len ||
	    recv(fd, body, len, MSG_WAITALL) != (ssize_t)len)
		errx(1, "the handshake was refused");
}

static void say_handshake(int fd, const struct datafs_handshake_msg *m)
{
	uint8_t buf[LONGEST];

	memcpy(buf + DATAFS_FRAME_HEAD, m->body, m->len);
	say(fd, buf, frame(buf, m->type, m->len, m->len));
}

/* @enc: with the keys of a client, and what a member may send. */
static int join(const char *to, const struct datafs_keys *keys, struct datafs_encoder *enc)
{
	struct datafs_handshake_conf conf = {
		.role = DATAFS_ROLE_CLIENT, .node = keys->node, .keys = keys,
		.peers = 1u << DATAFS_ROLE_MEMBER,
	};
	uint8_t nonce[DATAFS_NONCE_LEN], body[DATAFS_ANSWER_LEN];
	struct datafs_handshake_msg out;
	struct datafs_handshake hs;
	int fd = dial(to);

	datafs_random(nonce, sizeof(nonce));
	datafs_handshake_begin(&hs, &conf, true, 0, nonce, &out);
	say_handshake(fd, &out);
	hear(fd, DATAFS_FRAME_ANSWER, body, sizeof(body));
	if (datafs_handshake_input(&hs, DATAFS_FRAME_ANSWER, body, sizeof(body), &out))
		errx(1, "the member has no such key");
	say_handshake(fd, &out);
	datafs_encoder_init(enc);
	if (datafs_encoder_agreed(enc, DATAFS_ROLE_MEMBER, hs.send_key))
		errx(1, "no libcrypto");
	datafs_handshake_end(&hs);
	return fd;
}

static size_t put(struct datafs_encoder *enc, uint16_t type, uint8_t *out)
{
	uint8_t body[1024];
	struct datafs_frame f = { .type = type, .id = 1, .len = 64 + (uint32_t)(rnd() % 900),
				  .body = body };

	fill(body, f.len);
	if (datafs_encoder_put(enc, &f, out))
		errx(1, "no frame");
	return datafs_encoder_size(enc, f.len);
}

static size_t of_a_member(struct datafs_encoder *enc, uint8_t *out)
{
	return put(enc, rnd() % 2 ? DATAFS_FRAME_RAFT : DATAFS_FRAME_BULK, out);
}

static size_t forged(struct datafs_encoder *enc, uint8_t *out)
{
	size_t len = put(enc, DATAFS_FRAME_CALL, out);

	out[len - 1 - rnd() % DATAFS_MAC_LEN] ^= (uint8_t)(1 << rnd() % 8);
	return len;
}

static size_t said_twice(struct datafs_encoder *enc, uint8_t *out)
{
	size_t len = put(enc, DATAFS_FRAME_CALL, out);

	memcpy(out + len, out, len);
	return 2 * len;
}

static size_t oversized(struct datafs_encoder *enc, uint8_t *out)
{
	uint32_t says = DATAFS_FRAME_MAX_CALL + 1 + (uint32_t)(rnd() % 0xffefff00u);

	(void)enc;
	return frame(out, DATAFS_FRAME_CALL, says, 512);
}

static size_t (*const forbidden[])(struct datafs_encoder *enc, uint8_t *out) = {
	of_a_member, forged, said_twice, oversized,
};

static int known(char **argv)
{
	unsigned int n = (unsigned int)atoi(argv[2]), ended = 0;
	struct datafs_encoder enc;
	struct datafs_keys keys;
	uint8_t buf[LONGEST] = { 0 };

	state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15ull | 1;
	if (datafs_keys_load(&keys, argv[3]))
		return 1;
	for (unsigned int i = 0; i < n; i++) {
		int fd = join(argv[0], &keys, &enc);

		say(fd, buf, forbidden[i % COUNT(forbidden)](&enc, buf));
		ended += is_ended(fd);
		datafs_encoder_free(&enc);
	}
	datafs_keys_wipe(&keys);
	return tell(ended, n);
}

static int silent(char **argv)
{
	unsigned int n = (unsigned int)atoi(argv[1]), ended = 0;
	int *fd = calloc(n, sizeof(*fd));

	for (unsigned int i = 0; fd && i < n; i++)
		fd[i] = dial(argv[0]);
	for (unsigned int i = 0; fd && i < n; i++)
		ended += is_ended(fd[i]);
	free(fd);
	return tell(ended, n);
}

static const struct {
	const char *name;
	int args;
	int (*fn)(char **argv);
} modes[] = {
	{ "relay", 3, relay }, { "replay", 2, replay }, { "frames", 3, frames },
	{ "known", 4, known }, { "silent", 2, silent },
};

int main(int argc, char **argv)
{
	datafs_log_set_level(LOG_ERR);
	for (unsigned int i = 0; argc > 1 && i < COUNT(modes); i++)
		if (!strcmp(argv[1], modes[i].name) && argc == modes[i].args + 2)
			return modes[i].fn(argv + 2);
	errx(2, "usage: badwire relay|replay|frames|known|silent ...");
}
