// SPDX-License-Identifier: Apache-2.0
/* Other keys for messengers that run. */
#define _GNU_SOURCE
#include "wire_messenger_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "tmpdir.h"

/* What the next steps give to each side: so many keys, the newest first. */
static uint32_t newest;
static unsigned int n_keys;

static void rekey(struct side *s)
{
	struct datafs_keys keys = wire_keys(newest, n_keys);

	assert_int_equal(datafs_wire_rekey(s->wire, &keys), 0);
}

static void rekey_a(void)
{
	rekey(&a);
}

static void rekey_b(void)
{
	rekey(&b);
}

static void keys_are(uint32_t id, unsigned int n)
{
	newest = id;
	n_keys = n;
}

static void uses(uint32_t id)
{
	assert_int_equal(datafs_conn_who(a.conn)->key, id);
	assert_int_equal(datafs_conn_who(b.conn)->key, id);
}

static void uses_1(void)
{
	uses(1);
}

static void uses_2(void)
{
	uses(2);
}

static void end_a(void)
{
	datafs_conn_end(a.conn, -EIO);
}

static bool up_twice(void)
{
	return a.ups == 2 && b.ups == 2 && both_up();
}

static bool up_thrice(void)
{
	return a.ups == 3 && b.ups == 3 && both_up();
}

/* The new one on one side, on the other, then the old one goes: nothing ends. */
static void rotated(void **state)
{
	(void)state;
	both();
	on_loop(uses_1);
	keys_are(2, 2);
	on_loop(rekey_a);
	/* The next one would offer both, and the other side has the old one. */
	on_loop(end_a);
	until(up_twice);
	on_loop(uses_1);
	on_loop(rekey_b);
	on_loop(end_a);
	until(up_thrice);
	on_loop(uses_2);
	keys_are(2, 1);
	on_loop(rekey_b);
	on_loop(rekey_a);
	on_loop(uses_2);
	assert_int_equal(a.downs, 2);
	assert_int_equal(b.downs, 2);
}

/* What was made with the key that goes ends, and is made anew with the other. */
static void retired(void **state)
{
	(void)state;
	both();
	keys_are(2, 2);
	on_loop(rekey_a);
	on_loop(rekey_b);
	on_loop(uses_1);
	keys_are(2, 1);
	on_loop(rekey_b);
	assert_int_equal(b.err, -EKEYREVOKED);
	until(up_twice);
	on_loop(uses_2);
	assert_int_equal(b.downs, 1);
}

static void replace_key(void)
{
	b.keys.key[0].key[5] ^= 1;
	assert_int_equal(datafs_wire_rekey(b.wire, &b.keys), 0);
	assert_int_equal(b.err, -EKEYREVOKED);
	b.keys.key[0].key[5] ^= 1;
	assert_int_equal(datafs_wire_rekey(b.wire, &b.keys), 0);
}

/* The same id, and another key. */
static void replaced(void **state)
{
	(void)state;
	both();
	on_loop(replace_key);
	until(up_twice);
	assert_int_equal(b.downs, 1);
}

static void refuse_others(void)
{
	struct datafs_keys keys = wire_keys(2, 1), other = keys;

	other.cluster[3] ^= 1;
	assert_int_equal(datafs_wire_rekey(a.wire, &other), -EINVAL);
	other = wire_client_keys(&keys, 1);
	assert_int_equal(datafs_wire_rekey(a.wire, &other), -EINVAL);
	datafs_keys_off(&other, keys.cluster);
	other.holder = DATAFS_ROLE_MEMBER;
	assert_int_equal(datafs_wire_rekey(a.wire, &other), -EINVAL);
}

static void not_taken(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	both();
	on_loop(refuse_others);
	assert_int_equal(a.downs, 0);
	/* Those that it has are still good. */
	on_loop(end_a);
	until(up_twice);
	on_loop(uses_1);
}

static char dir[2000], path[2100];

static void reload_b(void)
{
	struct datafs_keys keys = wire_keys(2, 2);

	assert_int_equal(datafs_wire_reload(b.wire, path), -ENOENT);
	assert_int_equal(datafs_keys_store(&keys, path, false), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(datafs_wire_reload(b.wire, path), -EACCES);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(datafs_wire_reload(b.wire, path), 0);
	assert_int_equal(b.downs, 0);
	assert_int_equal(datafs_keys_retire(&keys, 1), 0);
	assert_int_equal(datafs_keys_store(&keys, path, true), 0);
	assert_int_equal(datafs_wire_reload(b.wire, path), 0);
	assert_int_equal(b.err, -EKEYREVOKED);
	rekey(&a);
}

static void reloaded(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	assert_int_equal(tmpdir_make(dir, sizeof(dir), "rekey"), 0);
	snprintf(path, sizeof(path), "%s/keys", dir);
	keys_are(2, 2);
	both();
	on_loop(reload_b);
	until(up_twice);
	on_loop(uses_2);
	assert_int_equal(tmpdir_remove(dir), 0);
}

/* One that has begun with a key that goes, and proves it afterwards. */
static void half_way(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct datafs_keys keys = wire_keys(1, 1);
	struct datafs_handshake_conf conf = {
		.role = DATAFS_ROLE_MEMBER, .node = 7, .keys = &keys,
		.peers = 1u << DATAFS_ROLE_MEMBER,
	};
	struct datafs_handshake_msg msg;
	struct datafs_encoder enc;
	struct datafs_handshake hs;
	uint8_t nonce[DATAFS_NONCE_LEN], buf[DATAFS_FRAME_HEAD + DATAFS_ANSWER_LEN];
	struct datafs_frame f;
	int fd;

	(void)state;
	on_loop(listen_b);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(datafs_wire_port(b.wire));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (void *)&in, sizeof(in)), 0);
	datafs_encoder_init(&enc);
	assert_int_equal(datafs_random(nonce, sizeof(nonce)), 0);
	datafs_handshake_begin(&hs, &conf, true, 2, nonce, &msg);
	f = (struct datafs_frame) { .type = msg.type, .body = msg.body,
				    .len = msg.len };
	assert_int_equal(datafs_encoder_put(&enc, &f, buf), 0);
	assert_int_equal(send(fd, buf, datafs_encoder_size(&enc, f.len), 0),
			 datafs_encoder_size(&enc, f.len));
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_WAITALL), sizeof(buf));
	assert_int_equal(datafs_handshake_input(&hs, DATAFS_FRAME_ANSWER,
						buf + DATAFS_FRAME_HEAD,
						DATAFS_ANSWER_LEN, &msg), 0);
	keys_are(2, 1);
	on_loop(rekey_b);
	f = (struct datafs_frame) { .type = msg.type, .body = msg.body,
				    .len = msg.len };
	assert_int_equal(datafs_encoder_put(&enc, &f, buf), 0);
	if (send(fd, buf, datafs_encoder_size(&enc, f.len), MSG_NOSIGNAL) < 0)
		assert_true(errno == EPIPE || errno == ECONNRESET);
	assert_true(recv(fd, buf, sizeof(buf), 0) <= 0);
	assert_int_equal(b.ups, 0);
	close(fd);
}

int main(void)
{
#define T(f) MESSENGER_TEST(f)
	const struct CMUnitTest tests[] = {
		T(rotated), T(retired), T(replaced), T(not_taken), T(reloaded),
		T(half_way),
	};

	return cmocka_run_group_tests_name("wire_messenger_keys", tests, NULL,
					   NULL);
}
