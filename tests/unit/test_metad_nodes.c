// SPDX-License-Identifier: Apache-2.0
/* The routing table: its states, its version, its texts, what is refused. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "metad/ns_internal.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define OTHER	8	/* a session, open from the begin */

/* Of sessions whose ids are said; above those that the fixture makes up. */
static uint64_t asked = 1ull << 32;

static int join(uint64_t session, const char *name, const char *address, uint32_t weight)
{
	return error_of((struct req){ OP(NODE_JOIN), .name = name, .source = address,
				      .has_weight = weight, .level = weight, .session = session,
				      .request = ++asked });
}

static int weigh(const char *name, uint32_t weight)
{
	return error_of((struct req){ OP(NODE_SET), .name = name, .has_weight = true,
				      .level = weight });
}

static int drain(const char *name)
{
	return error_of((struct req){ OP(NODE_SET), .name = name, .create = true });
}

static int undrain(const char *name)
{
	return error_of((struct req){ OP(NODE_SET), .name = name, .replace = true });
}

static int take_away(const char *name)
{
	return error_of((struct req){ OP(NODE_REMOVE), .name = name });
}

static int session_open(uint64_t id)
{
	return error_of((struct req){ OP(SESSION_OPEN), .session = id, .request = 1 });
}

static int session_close(uint64_t id)
{
	return error_of((struct req){ OP(SESSION_CLOSE), .session = id, .request = ++asked });
}

static int print(void *arg, const struct datafs_metad_node *one)
{
	char *to = arg;

	sprintf(to + strlen(to), "%llu %.*s %.*s %u %s %llu;", (unsigned long long)one->id,
		(int)one->name_len, one->name, (int)one->address_len, one->address, one->weight,
		datafs_node_state_name(one->state), (unsigned long long)one->session);
	return 0;
}

/* "ID NAME ADDRESS WEIGHT STATE SESSION;..." */
static void assert_listed(uint64_t version, const char *want)
{
	struct datafs_metad_routing routing;
	char is[4096] = "";
	bool eof;

	assert_int_equal(datafs_metad_nodes(m, 0, print, is, &eof, &routing), 0);
	assert_true(eof);
	assert_string_equal(is, want);
	assert_int_equal(routing.version, version);
	assert_null(metad_check(m));
}

static uint64_t version(void)
{
	struct datafs_metad_routing routing;

	assert_int_equal(datafs_metad_routing(m, &routing), 0);
	return routing.version;
}

static int raise_level(uint32_t level)
{
	return error_of((struct req){ OP(FEATURE), .level = level, .request = 1 });
}

static int setup(void **state)
{
	int ret = metad_setup(state);

	if (ret)
		return ret;
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_NODE), 0);
	assert_int_equal(session_open(OTHER), 0);
	return 0;
}

#define NODE_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

static void test_versions(void **state)
{
	(void)state;
	assert_listed(0, "");
	assert_int_equal(join(SESSION, "a", "h:1", 7), 0);
	assert_listed(1, "1 a h:1 7 joined 7;");
	/* the same again, in other words */
	assert_int_equal(join(SESSION, "a", "h:1", 7), 0);
	assert_int_equal(join(SESSION, "a", "h:1", 0), 0);
	assert_listed(1, "1 a h:1 7 joined 7;");
	assert_int_equal(join(OTHER, "b", NULL, 0), 0);
	assert_listed(2, "1 a h:1 7 joined 7;2 b  100 joined 8;");
	/* another one's name */
	assert_int_equal(join(OTHER, "a", "h:2", 9), EEXIST);
	assert_int_equal(join(SESSION, "b", "h:2", 9), EEXIST);
	assert_listed(2, "1 a h:1 7 joined 7;2 b  100 joined 8;");
	/* address and weight, each and together */
	assert_int_equal(join(SESSION, "a", "h:2", 7), 0);
	assert_listed(3, "1 a h:2 7 joined 7;2 b  100 joined 8;");
	assert_int_equal(join(SESSION, "a", "h:2", 8), 0);
	assert_listed(4, "1 a h:2 8 joined 7;2 b  100 joined 8;");
	assert_int_equal(join(SESSION, "a", "", 65535), 0);
	assert_listed(5, "1 a  65535 joined 7;2 b  100 joined 8;");
	assert_int_equal(weigh("b", 1), 0);
	assert_listed(6, "1 a  65535 joined 7;2 b  1 joined 8;");
	assert_int_equal(weigh("b", 1), 0);
	assert_int_equal(error_of((struct req){ OP(NODE_SET), .name = "b" }), 0);
	assert_listed(6, "1 a  65535 joined 7;2 b  1 joined 8;");
	/* both at once are one change */
	assert_int_equal(error_of((struct req){ OP(NODE_SET), .name = "b", .has_weight = true,
						.level = 2, .create = true }), 0);
	assert_listed(7, "1 a  65535 joined 7;2 b  2 draining 8;");
	reopen();
	assert_listed(7, "1 a  65535 joined 7;2 b  2 draining 8;");
	/* no other command raises it */
	make_file(ROOT, "f");
	assert_int_equal(session_open(20), 0);
	assert_int_equal(session_close(20), 0);
	assert_int_equal(version(), 7);
}

/* Each event in each state. */
static void test_states(void **state)
{
	static const struct {
		const char *in;
		int (*event)(const char *name);
		int err;
		const char *then;
		unsigned int raised;
	} steps[] = {
		{ "joined", drain, 0, "draining", 1 },
		{ "joined", undrain, 0, "joined", 0 },
		{ "joined", take_away, EBUSY, "joined", 0 },
		{ "draining", drain, 0, "draining", 0 },
		{ "draining", undrain, 0, "joined", 1 },
		{ "draining", take_away, 0, NULL, 1 },
		{ "away", drain, EHOSTDOWN, "away", 0 },
		{ "away", undrain, EHOSTDOWN, "away", 0 },
		{ "away", take_away, 0, NULL, 1 },
	};
	uint64_t session = 100, was;
	char want[100];

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		session++;
		assert_int_equal(session_open(session), 0);
		assert_int_equal(join(session, "n", "h:1", 5), 0);
		if (!strcmp(steps[i].in, "draining"))
			assert_int_equal(drain("n"), 0);
		if (!strcmp(steps[i].in, "away"))
			assert_int_equal(session_close(session), 0);
		was = version();
		assert_int_equal(steps[i].event("n"), steps[i].err);
		/* a node that is removed comes back as another one */
		want[0] = '\0';
		if (steps[i].then)
			snprintf(want, sizeof(want), "%zu n h:1 5 %s %llu;", i + 1, steps[i].then,
				 !strcmp(steps[i].then, "away") ? 0 :
				 (unsigned long long)session);
		assert_listed(was + steps[i].raised, want);
		if (steps[i].then && !strcmp(steps[i].then, "joined"))
			assert_int_equal(drain("n"), 0);
		if (steps[i].then)
			assert_int_equal(take_away("n"), 0);
		assert_int_equal(session_close(session), 0);
		/* its session has ended, and what it spoke for was gone */
		assert_listed(version(), "");
	}
	assert_int_equal(drain("n"), ENOENT);
	assert_int_equal(weigh("n", 1), ENOENT);
	assert_int_equal(take_away("n"), ENOENT);
	/* what is no state has no way out */
	for (int e = 0; e < DATAFS_NODE_EVENTS; e++) {
		assert_int_equal(datafs_node_next(0, e), 0);
		assert_int_equal(datafs_node_next(DATAFS_NODE_AWAY + 1, e), 0);
	}
	assert_int_equal(datafs_node_next(DATAFS_NODE_AWAY, DATAFS_NODE_ENDS), 0);
	assert_int_equal(datafs_node_next(DATAFS_NODE_JOINED, DATAFS_NODE_EVENTS), 0);
}

/* However a session ends, its node is away with it, once. */
static void test_session_ends(void **state)
{
	struct req many[4];
	size_t n = 0;

	(void)state;
	assert_int_equal(join(SESSION, "a", "h:1", 3), 0);
	assert_int_equal(join(OTHER, "b", "h:2", 4), 0);
	assert_int_equal(drain("b"), 0);
	assert_int_equal(session_close(OTHER), 0);
	assert_listed(4, "1 a h:1 3 joined 7;2 b h:2 4 away 0;");
	assert_int_equal(session_close(OTHER), 0);
	assert_listed(4, "1 a h:1 3 joined 7;2 b h:2 4 away 0;");
	/* it comes back as what it was, and is not draining any more */
	assert_int_equal(session_open(9), 0);
	assert_int_equal(join(9, "b", "h:2", 0), 0);
	assert_listed(5, "1 a h:1 3 joined 7;2 b h:2 4 joined 9;");
	/* the leader ends one of which nothing was heard */
	assert_int_equal(error_of((struct req){ OP(SESSION_CLOSE), .ino = 9, .request = 1 }), 0);
	assert_listed(6, "1 a h:1 3 joined 7;2 b h:2 4 away 0;");
	/* one that is away may be weighed, and is taken by whoever comes */
	assert_int_equal(weigh("b", 6), 0);
	assert_int_equal(join(SESSION, "b", "h:3", 0), 0);
	/* ... and what it spoke for is away: one change */
	assert_listed(8, "1 a h:1 3 away 0;2 b h:3 6 joined 7;");
	assert_int_equal(join(SESSION, "c", NULL, 0), 0);
	assert_listed(9, "1 a h:1 3 away 0;2 b h:3 6 away 0;3 c  100 joined 7;");
	/* several in one entry */
	assert_int_equal(session_open(10), 0);
	many[n++] = (struct req){ OP(NODE_JOIN), .name = "a", .source = "h:1", .session = 10,
				  .request = 50 };
	many[n++] = (struct req){ OP(NODE_SET), .name = "a", .create = true };
	many[n++] = (struct req){ OP(SESSION_CLOSE), .session = 10, .request = 51 };
	many[n++] = (struct req){ OP(NODE_REMOVE), .name = "a" };
	assert_int_equal(apply_reqs(many, n, NULL), 0);
	assert_listed(13, "2 b h:3 6 away 0;3 c  100 joined 7;");
}

/* A session that holds much ends in steps: the node is away with the first. */
static void test_long_end(void **state)
{
	enum { HELD = DATAFS_METAD_CLOSE_STEP + 1 };
	struct req r[512];
	Metad__Result *res;

	(void)state;
	assert_int_equal(join(OTHER, "a", "h:1", 3), 0);
	for (unsigned int i = 0; i < HELD;) {
		size_t n = 0;
		char names[256][16];

		for (; n < 512 && i < HELD; n += 2, i++) {
			sprintf(names[n / 2], "%u", i);
			r[n] = (struct req){ OP(CREATE), ROOT, names[n / 2], .session = OTHER,
					     .request = 1000 + 2 * i, .lowest = 1000 + 2 * i };
			r[n + 1] = (struct req){ OP(HOLD), 2 + i, .session = OTHER,
						 .request = 1001 + 2 * i, .lowest = 1001 + 2 * i };
		}
		assert_int_equal(apply_reqs(r, n, NULL), 0);
	}
	res = call((struct req){ OP(SESSION_CLOSE), .session = OTHER, .request = 100000 });
	assert_true(!res->error && res->more);
	result_free(res);
	assert_listed(2, "1 a h:1 3 away 0;");
	/* what is ending speaks for nothing */
	assert_int_equal(error_of((struct req){ OP(NODE_JOIN), .name = "a", .session = OTHER,
						.request = 100001 }), ENOTCONN);
	res = call((struct req){ OP(SESSION_CLOSE), .session = OTHER, .request = 100002 });
	assert_true(!res->error && !res->more);
	result_free(res);
	assert_listed(2, "1 a h:1 3 away 0;");
}

static void test_texts(void **state)
{
	static const char *const names[] = {
		"", "-a", ".a", "_a", "a b", "a/b", "a:1", "\xc3\xa4", "a\n",
		"12345678901234567890123456789012345678901234567890123456789012345",
	};
	static const char *const addresses[] = {
		"h", ":1", "h:", "h:0", "h:01", "h:65536", "h:123456", "h:1x", "h :1", "h:1 ",
		"\xc3\xa4:1", "h:-1",
	};
	static const char *const good[] = {
		"h:1", "h:65535", "10.0.0.1:7440", "[::1]:7440", "a.b-c.example:80",
	};
	char address[300];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(join(SESSION, names[i], "h:1", 1), EINVAL);
		assert_int_equal(drain(names[i]), EINVAL);
		assert_int_equal(take_away(names[i]), EINVAL);
	}
	assert_int_equal(join(SESSION, NULL, "h:1", 1), EINVAL);
	for (size_t i = 0; i < COUNT(addresses); i++)
		assert_int_equal(join(SESSION, "a", addresses[i], 1), EINVAL);
	memset(address, 'h', sizeof(address));
	strcpy(address + 254, ":1");
	assert_int_equal(join(SESSION, "a", address, 1), EINVAL);
	assert_int_equal(join(SESSION, "a", "h:1", 65536), EINVAL);
	assert_int_equal(error_of((struct req){ OP(NODE_JOIN), .name = "a", .has_weight = true }),
			 EINVAL);
	assert_listed(0, "");
	assert_int_equal(join(SESSION, names[9] + 1, address + 1, 1), 0);
	assert_int_equal(weigh(names[9] + 1, 65536), EINVAL);
	assert_int_equal(weigh(names[9] + 1, 0), EINVAL);
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(join(SESSION, names[9] + 1, good[i], 1), 0);
	assert_int_equal(version(), 1 + COUNT(good));
	assert_null(metad_check(m));
}

struct some {
	unsigned int left;
	uint64_t last;
};

static int take_some(void *arg, const struct datafs_metad_node *one)
{
	struct some *s = arg;

	if (!s->left)
		return 1;
	s->left--;
	assert_int_equal(one->id, s->last + 1);
	s->last = one->id;
	return 0;
}

static void test_full(void **state)
{
	struct datafs_metad_routing routing;
	struct some some = { 0 };
	unsigned int pages = 0;
	char name[16];
	bool eof;

	(void)state;
	for (unsigned int i = 0; i < DATAFS_METAD_NODES_MAX; i++) {
		sprintf(name, "n%u", i);
		/* its session speaks for the next one */
		assert_int_equal(join(SESSION, name, "h:1", 1), 0);
	}
	assert_int_equal(join(SESSION, "more", "h:1", 1), ENOSPC);
	/* nothing of it was done: the last one is spoken for still */
	assert_int_equal(take_away("n1023"), EBUSY);
	assert_int_equal(version(), DATAFS_METAD_NODES_MAX);
	do {
		some.left = 100;
		assert_int_equal(datafs_metad_nodes(m, some.last, take_some, &some, &eof,
						    &routing), 0);
		assert_int_equal(routing.nodes, DATAFS_METAD_NODES_MAX);
		pages++;
	} while (!eof);
	assert_int_equal(some.last, DATAFS_METAD_NODES_MAX);
	assert_int_equal(pages, 11);
	assert_int_equal(datafs_metad_nodes(m, UINT64_MAX, take_some, &some, &eof, &routing), 0);
	assert_true(eof);
	/* ids are never given again */
	assert_int_equal(take_away("n3"), 0);
	assert_int_equal(take_away("n4"), 0);
	assert_int_equal(join(OTHER, "n3", NULL, 0), 0);
	assert_int_equal(datafs_metad_routing(m, &routing), 0);
	assert_int_equal(routing.last_id, DATAFS_METAD_NODES_MAX + 1);
	assert_int_equal(routing.nodes, DATAFS_METAD_NODES_MAX - 1);
	assert_int_equal(routing.version, DATAFS_METAD_NODES_MAX + 3);
	assert_null(metad_check(m));
}

static void test_once(void **state)
{
	struct req r = { OP(NODE_JOIN), .name = "a", .session = OTHER, .request = 50 };

	(void)state;
	assert_int_equal(error_of(r), 0);
	assert_int_equal(error_of(r), 0);
	assert_listed(1, "1 a  100 joined 8;");
	r = (struct req){ OP(NODE_SET), .name = "a", .create = true, .session = SESSION,
			  .request = 1ull << 33 };
	assert_int_equal(error_of(r), 0);
	assert_int_equal(undrain("a"), 0);
	/* late: it was answered, and is not done again */
	assert_int_equal(error_of(r), 0);
	assert_listed(3, "1 a  100 joined 8;");
	assert_int_equal(drain("a"), 0);
	r = (struct req){ OP(NODE_REMOVE), .name = "a", .session = SESSION,
			  .request = 1ull << 34 };
	assert_int_equal(error_of(r), 0);
	assert_int_equal(error_of(r), 0);
	assert_listed(5, "");
	/* the leader has none of its own */
	r = (struct req){ OP(NODE_JOIN), .name = "a", .request = 1 };
	assert_int_equal(error_of(r), EINVAL);
	r.op = OP(NODE_REMOVE);
	assert_int_equal(error_of(r), EINVAL);
	assert_listed(5, "");
}

static void test_not_before_its_level(void **state)
{
	(void)state;
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_NODE - 1), 0);
	assert_int_equal(join(SESSION, "a", "", 0), EOPNOTSUPP);
	assert_int_equal(weigh("a", 1), EOPNOTSUPP);
	assert_int_equal(take_away("a"), EOPNOTSUPP);
	assert_listed(0, "");
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_NODE), 0);
	assert_int_equal(join(SESSION, "a", "", 0), 0);
	assert_listed(1, "1 a  100 joined 7;");
}

/* @val NULL: it is removed. */
static void damage(const char *key, size_t klen, const char *val, size_t vlen)
{
	leveldb_writeoptions_t *o = leveldb_writeoptions_create();
	char *said = NULL;

	if (val)
		leveldb_put(m->db, o, key, klen, val, vlen, &said);
	else
		leveldb_delete(m->db, o, key, klen, &said);
	assert_null(said);
	leveldb_writeoptions_destroy(o);
}

static int list(void)
{
	struct datafs_metad_routing routing;
	char is[4096] = "";
	bool eof;

	return datafs_metad_nodes(m, 0, print, is, &eof, &routing);
}

#define NUMBER(c)	"\0\0\0\0\0\0\0" c
#define PUT(key, val)	damage(key, sizeof(key) - 1, val, sizeof(val) - 1)

static void test_damaged(void **state)
{
	(void)state;
	assert_int_equal(join(SESSION, "a", "h:1", 1), 0);
	/* no such version, state, weight, session, name, address */
	PUT("P" NUMBER("\1"), "\2\1\0\1" NUMBER("\7") "\1ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\4\0\1" NUMBER("\7") "\1ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\0" NUMBER("\7") "\1ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\1" NUMBER("\0") "\1ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\3\0\1" NUMBER("\7") "\1ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\1" NUMBER("\7") "\5ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\1" NUMBER("\7") "\0ah:1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\1" NUMBER("\7") "\1ah:");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("P" NUMBER("\1"), "\1\1\0\1" NUMBER("\7") "\1ah:1");
	assert_int_equal(list(), 0);
	/* numbers that cannot be */
	PUT("V", "\1" NUMBER("\0") NUMBER("\0") "\0\0\0\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("V", "\1" NUMBER("\1") NUMBER("\2") "\0\0\0\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("V", "\1" NUMBER("\1") NUMBER("\1") "\0\0\0\2");
	assert_int_equal(list(), -EUCLEAN);
	PUT("V", "\1" NUMBER("\1") NUMBER("\1") "\0\0\0\1");
	assert_int_equal(list(), 0);
	/* a command that meets it halts the member */
	PUT("Ea", "\1" NUMBER("\2"));
	assert_int_equal(apply_reqs(&(struct req){ OP(NODE_REMOVE), .name = "a",
				.session = SESSION, .request = 1ull << 33 }, 1, NULL), -EUCLEAN);
	PUT("Ea", "\1" NUMBER("\1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_versions),
		NODE_TEST(test_states),
		NODE_TEST(test_session_ends),
		NODE_TEST(test_long_end),
		NODE_TEST(test_texts),
		NODE_TEST(test_full),
		NODE_TEST(test_once),
		METAD_TEST(test_not_before_its_level),
		NODE_TEST(test_damaged),
	};

	return cmocka_run_group_tests_name("metad_nodes", tests, NULL, NULL);
}
