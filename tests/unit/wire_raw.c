// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "wire_raw.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/util.h"

int raw_rcvbuf;

void raw_open(struct raw *r)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct timeval limit = { .tv_sec = 60 };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(datafs_wire_port(b.wire));
	datafs_encoder_init(&r->enc);
	datafs_decoder_init(&r->dec);
	r->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (raw_rcvbuf)
		setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &raw_rcvbuf, sizeof(raw_rcvbuf));
	assert_int_equal(connect(r->fd, (void *)&in, sizeof(in)), 0);
}

void raw_close(struct raw *r)
{
	close(r->fd);
	datafs_encoder_free(&r->enc);
	datafs_decoder_free(&r->dec);
}

void raw_send(struct raw *r, uint16_t type, uint64_t id,
		     const void *body, uint32_t len)
{
	struct datafs_frame f = { .type = type, .id = id, .body = body, .len = len };
	static uint8_t out[DATAFS_FRAME_MAX_CALL + 100];
	size_t n = datafs_encoder_size(&r->enc, len);

	assert_int_equal(datafs_encoder_put(&r->enc, &f, out), 0);
	for (size_t at = 0; at < n;) {
		ssize_t part = send(r->fd, out + at, n - at, MSG_NOSIGNAL);

		if (part < 0 && errno == EINTR)
			continue;
		/* It may have been hung up on us already. */
		if (part < 0) {
			assert_true(errno == EPIPE || errno == ECONNRESET);
			return;
		}
		at += part;
	}
}

ssize_t raw_recv(struct raw *r, void *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(r->fd, buf, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	return n;
}

bool raw_next(struct raw *r, struct datafs_frame *f)
{
	size_t room;
	ssize_t n;
	void *to;
	int res;

	while (!(res = datafs_decoder_next(&r->dec, f))) {
		to = datafs_decoder_room(&r->dec, &room);
		n = raw_recv(r, to, room);
		if (n <= 0)
			return false;
		datafs_decoder_came(&r->dec, n);
	}
	assert_int_equal(res, 1);
	return true;
}

bool raw_hung_up(struct raw *r)
{
	struct datafs_frame f;

	while (raw_next(r, &f))
		assert_true(f.type == DATAFS_FRAME_PING ||
			    f.type == DATAFS_FRAME_REPLY);
	return true;
}

void raw_up(struct raw *r, enum datafs_role role, uint64_t node)
{
	uint8_t nonce[DATAFS_NONCE_LEN];
	struct datafs_handshake_msg out;
	struct datafs_handshake hs;
	struct datafs_frame f;

	r->keys = wire_keys(1, 1);
	r->conf = (struct datafs_handshake_conf) {
		.role = role, .node = node, .keys = &r->keys,
		.peers = 1u << DATAFS_ROLE_MEMBER,
	};
	raw_open(r);
	assert_int_equal(datafs_random(nonce, sizeof(nonce)), 0);
	datafs_handshake_begin(&hs, &r->conf, true, 2, nonce, &out);
	raw_send(r, out.type, 0, out.body, out.len);
	assert_true(raw_next(r, &f));
	assert_int_equal(datafs_handshake_input(&hs, f.type, f.body, f.len, &out), 0);
	raw_send(r, out.type, 0, out.body, out.len);
	assert_int_equal(datafs_encoder_agreed(&r->enc, role, hs.send_key), 0);
	assert_int_equal(datafs_decoder_agreed(&r->dec, DATAFS_ROLE_MEMBER,
					       hs.recv_key), 0);
	datafs_handshake_end(&hs);
	/* That it is up. */
	assert_true(raw_next(r, &f));
	assert_int_equal(f.type, DATAFS_FRAME_PING);
}

bool b_downs_1(void)
{
	return b.downs == 1;
}
