// SPDX-License-Identifier: Apache-2.0
/* Bounds of sessions and of memory, how sessions end, and time that does not go back. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "base/util.h"
#include "metad/ns_internal.h"

#define MANY	(DATAFS_METAD_CLOSE_STEP + 1)
#define PACKED	1000

static void time_stays(void **state)
{
	struct datafs_metad_attr a, b;
	uint64_t f;

	(void)state;
	entry_time = 1000000000000;
	f = make_file(ROOT, "f");
	a = attr_of(f);
	/* Another leader, whose clock is behind. */
	entry_time -= 600000000000;
	must((struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 0600 } });
	b = attr_of(f);
	assert_memory_equal(&b.ctime, &a.ctime, sizeof(a.ctime));
	reopen();
	b = attr_of(make_file(ROOT, "g"));
	assert_memory_equal(&b.btime, &a.btime, sizeof(a.btime));
	entry_time += 700000000000;
	assert_true(attr_of(make_file(ROOT, "h")).btime.tv_sec > a.btime.tv_sec);
}

/* All that can be said in a time is a time. */
static void last_time(void **state)
{
	struct datafs_metad_attr a;

	(void)state;
	entry_time = UINT64_MAX - 1000000007;
	a = attr_of(make_file(ROOT, "f"));
	assert_int_equal(a.btime.tv_sec, UINT64_MAX / 1000000000);
	assert_int_equal(a.btime.tv_nsec, UINT64_MAX % 1000000000);
	make_file(ROOT, "g");
}

/* What an ended session sent comes once more. */
static void ended_for_good(void **state)
{
	struct req open = { OP(SESSION_OPEN), .session = 9, .request = 1, .lowest = 1 };
	struct req make = { OP(CREATE), ROOT, "f", .session = 9, .request = 2, .lowest = 1 };
	struct datafs_metad_counts n;

	(void)state;
	must(open);
	must(make);
	must((struct req){ OP(SESSION_CLOSE), .session = 9, .request = 3, .lowest = 1 });
	must((struct req){ OP(UNLINK), ROOT, "f" });
	assert_int_equal(error_of(open), ESTALE);
	reopen();
	assert_int_equal(error_of(open), ESTALE);
	assert_int_equal(error_of(make), ENOTCONN);
	assert_string_equal(names_in(ROOT), "");
	open.session = 8;
	assert_int_equal(error_of(open), ESTALE);
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(n.sessions == 1 && n.session_ended == 9);
	open.session = 9 + DATAFS_METAD_SESSION_AHEAD;
	must(open);
	open.session++;
	assert_int_equal(error_of(open), EINVAL);
	/* A lower one that ends takes nothing back. */
	must((struct req){ OP(SESSION_CLOSE), .ino = SESSION, .request = 1 });
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(n.sessions == 1 && n.session_ended == 9);
}

/* @op of all files, packed. */
static void of_all(struct req r, uint64_t first)
{
	struct req *all = calloc(PACKED, sizeof(*all));
	static char names[PACKED][8];
	struct datafs_metad_results res;
	int n;

	for (int done = 0; done < MANY; done += n) {
		n = MANY - done < PACKED ? MANY - done : PACKED;
		for (int i = 0; i < n; i++) {
			snprintf(names[i], sizeof(names[i]), "%d", done + i);
			all[i] = r;
			all[i].name = names[i];
			if (first)
				all[i].ino = first + (uint64_t)(done + i);
			if (r.session)
				all[i].request = all[i].lowest = (uint64_t)(done + i) + 2;
		}
		assert_int_equal(apply_reqs(all, (size_t)n, &res), 0);
		datafs_metad_results_free(&res);
	}
	free(all);
}

static bool close_says_more(struct req r)
{
	Metad__Result *res = call(r);
	bool more = res->more;

	assert_int_equal(res->error, 0);
	assert_true(res->has_more == more);
	result_free(res);
	return more;
}

static void ends_in_steps(void **state)
{
	struct req own = { OP(SESSION_CLOSE), .session = 9, .request = MANY + 9, .lowest = 1 };
	struct datafs_metad_counts n;

	(void)state;
	must((struct req){ OP(SESSION_OPEN), .session = 9, .request = 1, .lowest = 1 });
	of_all((struct req){ OP(CREATE), ROOT }, 0);
	of_all((struct req){ OP(HOLD), .session = 9 }, 2);
	of_all((struct req){ OP(UNLINK), ROOT }, 0);
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_int_equal(n.orphans, MANY);
	must((struct req){ OP(FEATURE), .level = DATAFS_METAD_LEVEL_LEASE, .request = 1 });
	must((struct req){ OP(SESSION_LEASE), .ino = 9, .level = 300, .request = 1 });
	assert_true(close_says_more((struct req){ OP(SESSION_CLOSE), .ino = 9, .request = 1 }));
	assert_int_equal(error_of((struct req){ OP(SESSION_LEASE), .ino = 9, .level = 300,
						.request = 1 }), ENOTCONN);
	assert_null(metad_check(m));
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(n.orphans == 1 && n.sessions == 2 && !n.session_ended);
	assert_null(metad_check(m));
	reopen();
	/* It is ending. */
	assert_int_equal(error_of((struct req){ OP(HOLD), ROOT, .session = 9,
						.request = MANY + 8 }), ENOTCONN);
	assert_int_equal(error_of((struct req){ OP(SESSION_OPEN), .session = 9,
						.request = 1 }), ENOTCONN);
	assert_false(close_says_more(own));
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(!n.orphans && n.inodes == 1 && n.sessions == 1 && n.session_ended == 9);
	assert_false(close_says_more(own));
}

static void set_holds(uint32_t holds)
{
	struct rec_session s;
	struct txn t;

	txn_begin(&t, m->db, m->ropt, dir);
	t.cache = m->cache;
	assert_int_equal(rec_session_get(&t, SESSION, &s), 1);
	s.holds = holds;
	rec_session_put(&t, SESSION, &s);
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
}

static void many_holds(void **state)
{
	uint64_t f = make_file(ROOT, "f"), g = make_file(ROOT, "g");

	(void)state;
	set_holds(DATAFS_METAD_HOLDS_MAX - 1);
	must((struct req){ OP(HOLD), f });
	assert_int_equal(error_of((struct req){ OP(HOLD), g }), EMFILE);
	must((struct req){ OP(HOLD), f });
	must((struct req){ OP(RELEASE), f });
	must((struct req){ OP(HOLD), g });
	set_holds(1);
}

static void many_sessions(void **state)
{
	struct req open = { OP(SESSION_OPEN), .session = 8, .request = 1, .lowest = 1 };

	(void)state;
	m->n.c.sessions = DATAFS_METAD_SESSIONS_MAX - 1;
	must(open);
	open.session = 9;
	assert_int_equal(error_of(open), EUSERS);
	must((struct req){ OP(SESSION_CLOSE), .ino = 8, .request = 1 });
	must(open);
	m->n.c.sessions = 2;
	must((struct req){ OP(NOOP) });
}

/*
 * Whether a directory is above another is asked up to a depth, so that an entry takes
 * a bounded time. Files are moved below it, and directories within one.
 */
static void depth(void **state)
{
	uint64_t dir = make_dir(ROOT, "top"), last;
	struct req r[DATAFS_METAD_COMMANDS_MAX];

	(void)state;
	/* numbers are known before: "top" is at depth 1, the last one at the bound */
	for (unsigned int left = DATAFS_METAD_DEPTH_MAX - 1; left;) {
		size_t n = DATAFS_MIN(left, DATAFS_METAD_COMMANDS_MAX);

		for (size_t i = 0; i < n; i++)
			r[i] = (struct req){ OP(MKDIR), dir++, "d", .mode = 0755 };
		assert_int_equal(apply_reqs(r, n, NULL), 0);
		left -= (unsigned int)n;
	}
	last = make_dir(dir, "e");
	make_dir(last, "f");
	make_file(last, "file");
	make_dir(ROOT, "x");
	make_dir(ROOT, "y");
	must((struct req){ OP(RENAME), ROOT, "x", dir, "x" });
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "y", last, "y" }), ENAMETOOLONG);
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "top", last, "y" }), EINVAL);
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "y", last, "f",
						.replace = true }), ENAMETOOLONG);
	must((struct req){ OP(RENAME), last, "f", ROOT, "f" });
	must((struct req){ OP(RENAME), last, "file", ROOT, "file" });
	must((struct req){ OP(RENAME), ROOT, "file", last, "file" });
	must((struct req){ OP(MKDIR), last, "g", .mode = 0755 });
	must((struct req){ OP(RENAME), last, "g", last, "h" });
	assert_int_equal(error_of((struct req){ OP(RENAME), last, "file", ROOT, "top" }),
			 ENOTEMPTY);
}

/* More commands than an entry may have are not applied, and halt the member. */
static void commands(void **state)
{
	static struct req r[DATAFS_METAD_COMMANDS_MAX + 1];
	struct datafs_metad_results res;

	(void)state;
	for (size_t i = 0; i <= DATAFS_METAD_COMMANDS_MAX; i++)
		r[i] = (struct req){ OP(SESSION_RENEW) };
	assert_int_equal(apply_reqs(r, DATAFS_METAD_COMMANDS_MAX, &res), 0);
	assert_int_equal(res.n, DATAFS_METAD_COMMANDS_MAX);
	datafs_metad_results_free(&res);
	assert_int_equal(apply_reqs(r, DATAFS_METAD_COMMANDS_MAX + 1, NULL), -EPROTO);
	assert_int_equal(apply_reqs(r, 1, NULL), -EPROTO);
}

/* 2 MB are more than a write buffer of 1 MB holds, and less than one that nobody has set. */
static void write_buffer(void **state)
{
	struct datafs_metad_options opt = { .dir = dir, .id = "id" };
	unsigned int first;
	char name[24];

	(void)state;
	for (int small = 0; small < 2; small++) {
		datafs_metad_close(m);
		opt.memory.write_buffer = small << 20;
		assert_int_equal(datafs_metad_open(&opt, &m), 0);
		first = metad_log_number(dir);
		for (int i = 0; i < 4000; i++) {
			snprintf(name, sizeof(name), "%d-%d", small, i);
			make_file(ROOT, name);
		}
		if (small)
			assert_int_not_equal(metad_log_number(dir), first);
		else
			assert_int_equal(metad_log_number(dir), first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(commands),
		METAD_TEST(write_buffer),
		METAD_TEST(depth),
		METAD_TEST(time_stays),
		METAD_TEST(last_time),
		METAD_TEST(ended_for_good),
		METAD_TEST(ends_in_steps),
		METAD_TEST(many_holds),
		METAD_TEST(many_sessions),
	};

	return cmocka_run_group_tests_name("metad_limits", tests, NULL, NULL);
}
