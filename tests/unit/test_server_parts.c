// SPDX-License-Identifier: Apache-2.0
/* What a server is made of: addresses, pieces of snapshots, options. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metad/config.h"
#include "metad/piece.h"
#include "tmpdir.h"
#include "wire/address.h"

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		bool any;
		int err;
	} t[] = {
		{ "127.0.0.1:7440", false, 0 }, { "[::1]:7440", false, 0 },
		{ "host.example:1", false, 0 }, { "h:65535", false, 0 },
		{ "h:0", true, 0 }, { "h:0", false, -EINVAL }, { "h:65536", true, -EINVAL },
		{ "h:", true, -EINVAL }, { "h", true, -EINVAL }, { ":1", true, -EINVAL },
		{ "", true, -EINVAL }, { "h:1x", true, -EINVAL }, { "h:-1", true, -EINVAL },
		{ "::1:7440", true, -EINVAL }, { "[]:1", true, -EINVAL },
		{ "[::1:1", true, -EINVAL }, { "h: 1", true, -EINVAL },
	};
	struct datafs_address at;
	char big[400];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(datafs_address_check(t[i].text, t[i].any), t[i].err);
	memset(big, 'h', sizeof(big));
	strcpy(big + 254, ":1");
	assert_int_equal(datafs_address_check(big, false), -EINVAL);
	assert_int_equal(datafs_address_check(big + 1, false), 0);
	assert_int_equal(datafs_address_resolve("127.0.0.1:7440", true, &at), 0);
	assert_int_equal(((struct sockaddr_in *)&at.sa)->sin_port, htons(7440));
	assert_int_equal(datafs_address_resolve("[::1]:7440", true, &at), 0);
	assert_int_equal(((struct sockaddr_in6 *)&at.sa)->sin6_port, htons(7440));
	/* a name is not looked up */
	assert_int_equal(datafs_address_resolve("localhost:7440", true, &at), -EINVAL);
	assert_int_equal(datafs_address_resolve("nonsense", false, &at), -EINVAL);
}

static void test_pieces(void **state)
{
	struct datafs_raft_piece piece = { 7, 3, "000005.ldb", 4096, 65536 };
	uint8_t buf[DATAFS_PIECE_ASKED + DATAFS_MANIFEST_NAME_MAX];
	struct datafs_piece_frame f;
	size_t n;

	(void)state;
	n = datafs_piece_ask(&piece, buf);
	assert_int_equal(datafs_piece_decode(buf, n, &f), 0);
	assert_int_equal(f.kind, DATAFS_PIECE_ASK);
	assert_int_equal(f.piece.index, 7);
	assert_int_equal(f.piece.term, 3);
	assert_int_equal(f.piece.off, 4096);
	assert_int_equal(f.piece.len, 65536);
	assert_string_equal(f.piece.file, "000005.ldb");
	for (size_t i = 0; i < n; i++)
		assert_int_equal(datafs_piece_decode(buf, i, &f), -EBADMSG);
	piece.len = DATAFS_MEMBER_PIECE_MAX + 1;
	assert_int_equal(datafs_piece_decode(buf, datafs_piece_ask(&piece, buf), &f), -EBADMSG);
	piece.len = 1;
	piece.file = "../key";
	assert_int_equal(datafs_piece_decode(buf, datafs_piece_ask(&piece, buf), &f), -EBADMSG);
	piece.file = "a.ldb";
	n = datafs_piece_ask(&piece, buf);
	buf[n - 2] = 0;
	assert_int_equal(datafs_piece_decode(buf, n, &f), -EBADMSG);
	datafs_piece_give(-ENOENT, buf);
	assert_int_equal(datafs_piece_decode(buf, DATAFS_PIECE_HEAD, &f), 0);
	assert_int_equal(f.err, -ENOENT);
	/* bytes of what is not there */
	assert_int_equal(datafs_piece_decode(buf, DATAFS_PIECE_HEAD + 1, &f), -EBADMSG);
	datafs_piece_give(0, buf);
	buf[DATAFS_PIECE_HEAD] = 'x';
	assert_int_equal(datafs_piece_decode(buf, DATAFS_PIECE_HEAD + 1, &f), 0);
	assert_int_equal(f.len, 1);
	assert_memory_equal(f.data, "x", 1);
	buf[0] = 3;
	assert_int_equal(datafs_piece_decode(buf, DATAFS_PIECE_HEAD + 1, &f), -EBADMSG);
}

#define GOOD	"--id", "1", "--dir", "/d", "--listen", "h:1"
#define CLUSTER	"00112233445566778899aabbccddeeff"

static int parse(struct datafs_metad_config *cfg, const char *const *args)
{
	char *argv[32] = { "datafs-metad" };
	int argc = 1;

	while (*args)
		argv[argc++] = (char *)*args++;
	return datafs_metad_config_parse(cfg, argc, argv);
}

static void test_options(void **state)
{
	static const char *const good[][20] = {
		{ GOOD, "--key-file", "/k" },
		{ GOOD, "--key-file", "/k", "--bootstrap", "--peers", "1=h:1,2=i:1, 3=j:1" },
		{ GOOD, "--key-file", "/k", "--join" },
		{ GOOD, "--key-file", "/k", "--lease-ms", "60000", "--session-timeout", "60" },
		{ GOOD, "--key-file", "/k", "--write-buffer", "64m", "--block-cache", "1g" },
		{ GOOD, "--authentication", "off", "--cluster", CLUSTER, "--dir", "/d/e//" },
	};
	static const char *const bad[][20] = {
		/* no key, and not a word of it; and words that contradict themselves */
		{ GOOD },
		{ GOOD, "--authentication", "off" },
		{ GOOD, "--authentication", "no", "--cluster", CLUSTER },
		{ GOOD, "--authentication", "off", "--cluster", CLUSTER, "--key-file", "/k" },
		{ GOOD, "--key-file", "/k", "--cluster", CLUSTER },
		{ GOOD, "--key-file", "/k", "--bootstrap" },
		{ GOOD, "--key-file", "/k", "--bootstrap", "--join", "--peers", "1=h:1" },
		{ GOOD, "--key-file", "/k", "--peers", "1=h:1,1=i:1" },
		{ GOOD, "--key-file", "/k", "--peers", "1=h:1,2=h:1" },
		{ GOOD, "--key-file", "/k", "--peers", "1=h:1," },
		{ GOOD, "--key-file", "k" },
		{ GOOD, "--key-file", "/k", "--dir", "d" },
		{ GOOD, "--key-file", "/k", "--listen", "h" },
		{ GOOD, "--key-file", "/k", "--id", "0" },
		{ GOOD, "--key-file", "/k", "--id", "-1" },
		{ GOOD, "--key-file", "/k", "--lease-ms", "99" },
		{ GOOD, "--key-file", "/k", "--lease-ms", "60001" },
		{ GOOD, "--key-file", "/k", "--session-timeout", "0" },
		{ GOOD, "--key-file", "/k", "--write-buffer", "1023k" },
		{ GOOD, "--key-file", "/k", "--write-buffer", "129m" },
		{ GOOD, "--key-file", "/k", "--block-cache", "1023k" },
		{ GOOD, "--key-file", "/k", "--block-cache", "2t" },
		{ GOOD, "--key-file", "/k", "more" },
		{ "--dir", "/d", "--listen", "h:1", "--key-file", "/k" },
		{ "--id", "1", "--listen", "h:1", "--key-file", "/k" },
		{ "--id", "1", "--dir", "/d", "--key-file", "/k" },
	};
	struct datafs_metad_config cfg;

	(void)state;
	datafs_log_set_level(LOG_CRIT);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(parse(&cfg, good[i]), 0);
	assert_true(cfg.no_authentication);
	assert_int_equal(cfg.cluster[15], 0xff);
	assert_string_equal(cfg.dir, "/d/e");
	assert_int_equal(parse(&cfg, good[1]), 0);
	assert_int_equal(cfg.lease, DATAFS_SERVER_LEASE);
	assert_int_equal(cfg.session, DATAFS_SERVER_SESSION);
	assert_int_equal(cfg.memory.write_buffer, DATAFS_SERVER_WRITE_BUFFER);
	assert_int_equal(cfg.memory.block_cache, DATAFS_METAD_BLOCK_CACHE);
	assert_int_equal(cfg.n_peers, 3);
	assert_int_equal(cfg.peers[2].id, 3);
	assert_string_equal(cfg.peers[2].address, "j:1");
	assert_int_equal(parse(&cfg, good[3]), 0);
	assert_int_equal(cfg.lease, 60000);
	assert_int_equal(cfg.session, 60);
	assert_int_equal(parse(&cfg, good[4]), 0);
	assert_int_equal(cfg.memory.write_buffer, 64ull << 20);
	assert_int_equal(cfg.memory.block_cache, 1ull << 30);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(&cfg, bad[i]), -EINVAL);
}

/* Options in a file; its key file, which must be a member's. */
static void test_files(void **state)
{
	static const char *const args[] = { "--config", "metad.conf", "--id", "2", NULL };
	struct datafs_metad_config cfg;
	char dir[4096], cwd[4096];
	struct datafs_keys keys;
	FILE *f;

	(void)state;
	datafs_log_set_level(LOG_CRIT);
	assert_int_equal(tmpdir_make(dir, sizeof(dir), "parts"), 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(dir), 0);
	umask(077);
	f = fopen("metad.conf", "w");
	fprintf(f, "id = 1\ndir = /d\nlisten = h:1\nkey_file = %s/key\n", dir);
	fclose(f);
	assert_int_equal(parse(&cfg, args), 0);
	assert_int_equal(cfg.id, 2);
	assert_int_equal(datafs_metad_config_keys(&cfg, &keys), -ENOENT);
	f = fopen("key", "w");
	fprintf(f, CLUSTER " 1 client:7 %064d\n", 1);
	fclose(f);
	assert_int_equal(datafs_metad_config_keys(&cfg, &keys), -EINVAL);
	f = fopen("key", "w");
	fprintf(f, CLUSTER " 1 member %064d\n", 1);
	fclose(f);
	assert_int_equal(datafs_metad_config_keys(&cfg, &keys), 0);
	assert_int_equal(keys.holder, DATAFS_ROLE_MEMBER);
	assert_int_equal(chmod("key", 0640), 0);
	assert_int_equal(datafs_metad_config_keys(&cfg, &keys), -EACCES);
	assert_int_equal(chdir(cwd), 0);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("server_parts", tests, NULL, NULL);
}
