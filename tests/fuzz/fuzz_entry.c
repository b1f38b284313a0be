// SPDX-License-Identifier: Apache-2.0
/*
 * Arbitrary bytes as an entry of the Raft log, applied to a small namespace in
 * memory. What must hold: it is applied or halts the member, the same twice is
 * the same, and the namespace keeps all that metad_check() knows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "metad/ns_internal.h"
#include "metad/record_cache.h"
#include "metad_check.h"
#include "metad_req.h"

static const struct req small[] = {
	{ OP(SESSION_OPEN), .session = 1 },
	{ OP(SESSION_OPEN), .session = 2 },
	{ OP(MKDIR), 1, "d", .mode = 0755, .session = 1 },
	{ OP(CREATE), 2, "f", .mode = 0644, .session = 1 },
	{ OP(MKDIR), 2, "e", .mode = 0755, .session = 1 },
	{ OP(CREATE), 1, "g", .mode = 0644, .session = 1 },
	{ OP(HOLD), 3, .session = 1 },
	{ OP(SETXATTR), 3, "user.a", .value = "1", .len = 1, .session = 1 },
	{ OP(FEATURE), .level = DATAFS_METAD_LEVEL },
	{ OP(MOUNT_ADD), .name = "/d", .source = "/srv", .session = 1 },
	{ OP(NODE_JOIN), .name = "n", .source = "h:1", .session = 2 },
	{ OP(JOB_ADD), .name = "/d", .mode = DATAFS_JOB_LOAD, .to = 1, .session = 1 },
	{ OP(JOB_ADD), .name = "/e", .mode = DATAFS_JOB_FREE, .session = 1 },
	{ OP(JOB_CLAIM), .ino = 1, .session = 2 },
	{ OP(POLICY_SET), .name = "/d", .level = DATAFS_POLICY_KEEP, .session = 1 },
	{ OP(LISTING_TICKET), 1, "d", .generation = 1, .session = 2 },
	{ OP(LISTING_PUT), 1, .value = "p", .len = 1, .session = 2 },
};

#define N	(sizeof(small) / sizeof(small[0]))

static char dir[64];
static struct datafs_metad *m;
static uint8_t *start;
static size_t start_len;

static void remove_db(void)
{
	leveldb_options_t *opt = leveldb_options_create();
	char *said = NULL;

	datafs_metad_close(m);
	m = NULL;
	leveldb_destroy_db(opt, dir, &said);
	leveldb_free(said);
	leveldb_options_destroy(opt);
}

static void open_db(void)
{
	struct datafs_metad_options opt = { .dir = dir };
	struct req r[N];
	uint8_t *buf;
	size_t len;

	MUST(!datafs_metad_open(&opt, &m));
	for (size_t i = 0; i < N; i++) {
		r[i] = small[i];
		r[i].request = i + 1;
	}
	buf = req_pack(r, N, 1000000000, 0, &len);
	MUST(!datafs_metad_apply(m, 1, 1, buf, len, NULL));
	free(buf);
	free(start);
	start = metad_dump(m, &start_len);
}

/* The namespace as it was at the start, without opening a database anew. */
static void rewind_db(const uint8_t *is, size_t is_len)
{
	leveldb_writebatch_t *b = leveldb_writebatch_create();
	char *said = NULL;
	uint64_t len[2];
	struct txn t;

	for (size_t at = 0; at < is_len; at += sizeof(len) + len[0] + len[1]) {
		memcpy(len, is + at, sizeof(len));
		if (!memmem(start, start_len, is + at, sizeof(len) + len[0] + len[1]))
			leveldb_writebatch_delete(b, (const char *)is + at + sizeof(len), len[0]);
	}
	for (size_t at = 0; at < start_len; at += sizeof(len) + len[0] + len[1]) {
		const char *p = (const char *)start + at + sizeof(len);

		memcpy(len, start + at, sizeof(len));
		if (!memmem(is, is_len, start + at, sizeof(len) + len[0] + len[1]))
			leveldb_writebatch_put(b, p, len[0], p + len[0], len[1]);
	}
	leveldb_write(m->db, m->wopt, b, &said);
	MUST(!said);
	leveldb_writebatch_destroy(b);
	txn_begin(&t, m->db, m->ropt, dir);
	MUST(rec_node_get(&t, &m->n) == 1);
	txn_end(&t);
	/* it knows what was written by the namespace itself only */
	record_cache_free(m->cache);
	m->cache = record_cache_new();
	MUST(m->cache);
	m->state = METAD_RUNS;
}

/* Now and then in a new one: what was deleted makes reads slow. */
static void begin(void)
{
	static int runs;

	if (!runs) {
		strcpy(dir, "/dev/shm/fuzz_entry-XXXXXX");
		MUST(mkdtemp(dir));
		atexit(remove_db);
	}
	if (!(runs++ % 256)) {
		if (m)
			remove_db();
		open_db();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_metad_results res;
	size_t len, again_len;
	uint8_t *is, *again;
	const char *why;
	int ret;

	begin();
	ret = datafs_metad_apply(m, 2, 1, data, size, &res);
	MUST(!ret || ret == -EPROTO);
	MUST(!ret || !res.n);
	datafs_metad_results_free(&res);
	why = metad_check(m);
	if (why)
		fprintf(stderr, "does not hold: %s\n", why);
	MUST(!why);
	is = metad_dump(m, &len);
	MUST(!ret || (len == start_len && !memcmp(is, start, len)));
	rewind_db(is, len);
	MUST(datafs_metad_apply(m, 2, 1, data, size, NULL) == ret);
	again = metad_dump(m, &again_len);
	MUST(len == again_len && !memcmp(is, again, len));
	rewind_db(again, again_len);
	free(is);
	free(again);
	return 0;
}
