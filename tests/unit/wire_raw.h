/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer made by hand, which may break the rules: on the test's own thread, with
 * a blocking socket to messenger b.
 */
#ifndef DATAFS_TEST_WIRE_RAW_H
#define DATAFS_TEST_WIRE_RAW_H

#include "wire_messenger_fixture.h"

/* Of a frame without a body. */
#define CONTROL	(DATAFS_FRAME_HEAD + DATAFS_MAC_LEN)

struct raw {
	int fd;
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_handshake_conf conf;
	struct datafs_keys keys;
};

/* Of the next socket, for one that takes little before it is read; 0: as it is. */
extern int raw_rcvbuf;

void raw_open(struct raw *r);
void raw_close(struct raw *r);
/* Opens it, and is @node to b. */
void raw_up(struct raw *r, enum datafs_role role, uint64_t node);
/* No failure, if it was hung up. */
void raw_send(struct raw *r, uint16_t type, uint64_t id, const void *body,
	      uint32_t len);
/* As recv(2). The end of an earlier ring may interrupt, though there are no signals. */
ssize_t raw_recv(struct raw *r, void *buf, size_t len);
/* The next frame, or false if it was hung up. */
bool raw_next(struct raw *r, struct datafs_frame *f);
/* That it is, after PINGs and REPLYs at most. */
bool raw_hung_up(struct raw *r);

/* b has lost its one connection. */
bool b_downs_1(void);

#endif
