/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two messengers on one loop, in a thread of its own. Steps run on the loop's
 * thread: on_loop().
 */
#ifndef DATAFS_TEST_WIRE_MESSENGER_FIXTURE_H
#define DATAFS_TEST_WIRE_MESSENGER_FIXTURE_H

#include "wire_fixture.h"

#include "wire/messenger.h"

struct side {
	struct datafs_keys keys;
	struct datafs_wire_conf conf;
	struct datafs_wire *wire;
	struct datafs_conn *conn;	/* while it is up */
	unsigned int ups, downs, frames, calls, cancels, readies;
	int err;			/* of the last down */
	uint32_t crc;			/* of all frames' bodies */
	void (*on_ready)(void);		/* may be NULL */
	/* NULL: the ids are kept. */
	void (*answer)(struct datafs_conn *conn, uint64_t id, const void *body,
		       uint32_t len);
	uint64_t ids[DATAFS_CALLS_MAX];
	unsigned int kept;
};

extern struct side a, b;		/* a connects to b */
extern struct datafs_peer *peer;
extern unsigned int wrong;		/* the teardown fails if it is not 0 */

int messenger_setup(void **state);
int messenger_teardown(void **state);
#define MESSENGER_TEST(f) \
	cmocka_unit_test_setup_teardown(f, messenger_setup, messenger_teardown)

void on_loop(void (*fn)(void));
/* Long enough for any machine; a test that passes does not wait for it. */
void until(bool (*fn)(void));

/* Steps. */
void listen_b(void);
void connect_a(void);
bool both_up(void);
bool both_down(void);

/* All of these. */
void both(void);

#endif
