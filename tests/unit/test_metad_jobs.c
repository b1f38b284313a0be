// SPDX-License-Identifier: Apache-2.0
/* Jobs: their states, their table's version, who may have one, what is refused. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "metad/ns_internal.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define OTHER	8	/* a session, open from the begin; it speaks for node 1, "n" */

/* Of sessions whose ids are said; above those that the fixture makes up. */
static uint64_t asked = 1ull << 32;

static int add(unsigned int kind, const char *path, uint64_t node)
{
	return error_of((struct req){ OP(JOB_ADD), .mode = kind, .name = path, .to = node });
}

static int by(uint64_t session, struct req r)
{
	r.session = session;
	r.request = ++asked;
	return error_of(r);
}

static int claim(uint64_t session, uint64_t id)
{
	return by(session, (struct req){ OP(JOB_CLAIM), .ino = id });
}

/* @end 0: it goes on. */
static int report(uint64_t session, uint64_t id, uint32_t errors, const char *error, uint32_t end)
{
	return by(session, (struct req){ OP(JOB_REPORT), .ino = id, .inodes = 3, .bytes = 4096,
					 .uid = errors, .source = error, .level = end });
}

static int cancel(uint64_t id)
{
	return error_of((struct req){ OP(JOB_CANCEL), .ino = id });
}

static int take_away(uint64_t id)
{
	return error_of((struct req){ OP(JOB_REMOVE), .ino = id });
}

static int join(uint64_t session, const char *name)
{
	return by(session, (struct req){ OP(NODE_JOIN), .name = name });
}

static int session_open(uint64_t id)
{
	return error_of((struct req){ OP(SESSION_OPEN), .session = id, .request = 1 });
}

static int session_close(uint64_t id)
{
	return by(id, (struct req){ OP(SESSION_CLOSE) });
}

static int print(void *arg, const struct datafs_metad_job *one)
{
	char *to = arg;

	sprintf(to + strlen(to), "%llu %s %.*s %llu %s %llu %llu/%llu/%llu %.*s;",
		(unsigned long long)one->id, datafs_job_kind_name(one->kind), (int)one->path_len,
		one->path, (unsigned long long)one->node, datafs_job_state_name(one->state),
		(unsigned long long)one->session, (unsigned long long)one->files,
		(unsigned long long)one->bytes, (unsigned long long)one->errors,
		(int)one->error_len, one->error);
	return 0;
}

/* "ID KIND PATH NODE STATE SESSION FILES/BYTES/ERRORS ERROR;..." */
static void assert_listed(uint64_t version, const char *want)
{
	struct datafs_metad_jobs table;
	char is[4096] = "";
	bool eof;

	assert_int_equal(datafs_metad_jobs(m, 0, print, is, &eof, &table), 0);
	assert_true(eof);
	assert_string_equal(is, want);
	assert_int_equal(table.version, version);
	assert_null(metad_check(m));
}

static uint64_t version(void)
{
	struct datafs_metad_jobs table;

	assert_int_equal(datafs_metad_jobs_table(m, &table), 0);
	return table.version;
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
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_JOB), 0);
	assert_int_equal(session_open(OTHER), 0);
	assert_int_equal(join(OTHER, "n"), 0);
	return 0;
}

#define JOB_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

static void test_life(void **state)
{
	Metad__Result *res;

	(void)state;
	assert_listed(0, "");
	res = call((struct req){ OP(JOB_ADD), .mode = DATAFS_JOB_LOAD, .name = "/a" });
	assert_true(!res->error && res->has_job && res->job == 1);
	result_free(res);
	assert_int_equal(add(DATAFS_JOB_FREE, "/", 1), 0);
	assert_listed(2, "1 load /a 0 waiting 0 0/0/0 ;2 free / 1 waiting 0 0/0/0 ;");
	assert_int_equal(claim(SESSION, 1), 0);
	assert_listed(3, "1 load /a 0 running 7 0/0/0 ;2 free / 1 waiting 0 0/0/0 ;");
	/* what it does is no other version */
	assert_int_equal(report(SESSION, 1, 0, NULL, 0), 0);
	assert_listed(3, "1 load /a 0 running 7 3/4096/0 ;2 free / 1 waiting 0 0/0/0 ;");
	assert_int_equal(report(SESSION, 1, 2, "f: gone", 0), 0);
	assert_listed(3, "1 load /a 0 running 7 3/4096/2 f: gone;2 free / 1 waiting 0 0/0/0 ;");
	reopen();
	/* another one has it; by its own session it is begun anew */
	assert_int_equal(claim(OTHER, 1), EBUSY);
	assert_int_equal(report(OTHER, 1, 0, NULL, DATAFS_JOB_DONE), ESTALE);
	assert_int_equal(claim(SESSION, 1), 0);
	assert_listed(4, "1 load /a 0 running 7 0/0/0 ;2 free / 1 waiting 0 0/0/0 ;");
	assert_int_equal(report(SESSION, 1, 1, "f: gone", DATAFS_JOB_FAILED), 0);
	assert_listed(5, "1 load /a 0 failed 0 3/4096/1 f: gone;2 free / 1 waiting 0 0/0/0 ;");
	/* only who speaks for the node */
	assert_int_equal(claim(SESSION, 2), EPERM);
	assert_int_equal(claim(OTHER, 2), 0);
	assert_int_equal(report(OTHER, 2, 0, NULL, DATAFS_JOB_DONE), 0);
	assert_listed(7, "1 load /a 0 failed 0 3/4096/1 f: gone;2 free / 1 done 0 3/4096/0 ;");
	assert_int_equal(take_away(1), 0);
	assert_int_equal(take_away(1), ENOENT);
	assert_listed(8, "2 free / 1 done 0 3/4096/0 ;");
	/* an id is never given again */
	assert_int_equal(take_away(2), 0);
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a/b", 0), 0);
	assert_listed(10, "3 load /a/b 0 waiting 0 0/0/0 ;");
}

/* Brings job @id into a state. */
static void bring(uint64_t id, unsigned int state)
{
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 0), 0);
	if (state == DATAFS_JOB_CANCELLED)
		assert_int_equal(cancel(id), 0);
	else if (state != DATAFS_JOB_WAITING)
		assert_int_equal(claim(SESSION, id), 0);
	if (state == DATAFS_JOB_DONE)
		assert_int_equal(report(SESSION, id, 0, NULL, state), 0);
	if (state == DATAFS_JOB_FAILED)
		assert_int_equal(report(SESSION, id, 1, "x", state), 0);
}

static int other_claims(uint64_t id)
{
	return claim(OTHER, id);
}

static int reports(uint64_t id)
{
	return report(SESSION, id, 0, NULL, 0);
}

/* Each command in each state. */
static void test_states(void **state)
{
	static const struct {
		int (*command)(uint64_t id);
		int err[DATAFS_JOB_STATES];	/* waiting, running, done, failed, cancelled */
		unsigned int then;
	} steps[] = {
		{ other_claims, { 0, 0, EBUSY, ESTALE, ESTALE, ESTALE }, DATAFS_JOB_RUNNING },
		{ reports, { 0, ESTALE, 0, ESTALE, ESTALE, ESTALE }, DATAFS_JOB_RUNNING },
		{ cancel, { 0, 0, 0, ESTALE, ESTALE, ESTALE }, DATAFS_JOB_CANCELLED },
		{ take_away, { 0, EBUSY, EBUSY, 0, 0, 0 }, 0 },
	};
	char want[100], is[4096];
	struct datafs_metad_jobs table;
	uint64_t id = 0;
	bool eof;

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++)
		for (unsigned int s = 1; s < DATAFS_JOB_STATES; s++) {
			unsigned int then = steps[i].err[s] ? s : steps[i].then;

			bring(++id, s);
			assert_int_equal(steps[i].command(id), steps[i].err[s]);
			is[0] = '\0';
			assert_int_equal(datafs_metad_jobs(m, id - 1, print, is, &eof, &table), 0);
			snprintf(want, sizeof(want), "%llu load /a 0 %s ", (unsigned long long)id,
				 datafs_job_state_name(then));
			assert_true(then ? !strncmp(is, want, strlen(want)) : !*is);
			assert_null(metad_check(m));
		}
	assert_int_equal(claim(SESSION, 1000), ENOENT);
	assert_int_equal(cancel(1000), ENOENT);
	assert_int_equal(take_away(1000), ENOENT);
	assert_int_equal(report(SESSION, 1000, 0, NULL, 0), ESTALE);
	/* what is no state has no way out, and what is no event leads nowhere */
	for (int e = 0; e < DATAFS_JOB_EVENTS; e++) {
		assert_int_equal(datafs_job_next(0, e), 0);
		assert_int_equal(datafs_job_next(DATAFS_JOB_STATES, e), 0);
	}
	assert_int_equal(datafs_job_next(DATAFS_JOB_RUNNING, DATAFS_JOB_EVENTS), 0);
}

/* However a session ends, what it has waits again with it, once. */
static void test_session_ends(void **state)
{
	struct req many[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(DATAFS_JOB_LOAD, "/a", i == 1), 0);
	assert_int_equal(claim(OTHER, 1), 0);
	assert_int_equal(claim(OTHER, 2), 0);
	assert_int_equal(claim(SESSION, 3), 0);
	assert_int_equal(report(OTHER, 1, 1, "f: gone", 0), 0);
	assert_int_equal(session_close(OTHER), 0);
	/* what was reported is seen until somebody begins anew */
	assert_listed(7, "1 load /a 0 waiting 0 3/4096/1 f: gone;2 load /a 1 waiting 0 0/0/0 ;"
			 "3 load /a 0 running 7 0/0/0 ;");
	assert_int_equal(report(OTHER, 1, 0, NULL, 0), ENOTCONN);
	assert_int_equal(claim(SESSION, 1), 0);
	assert_listed(8, "1 load /a 0 running 7 0/0/0 ;2 load /a 1 waiting 0 0/0/0 ;"
			 "3 load /a 0 running 7 0/0/0 ;");
	/* the node comes back, and its job is done; the leader ends its session */
	assert_int_equal(session_open(9), 0);
	assert_int_equal(join(9, "n"), 0);
	assert_int_equal(claim(9, 2), 0);
	assert_int_equal(error_of((struct req){ OP(SESSION_CLOSE), .ino = 9, .request = 1 }), 0);
	assert_listed(10, "1 load /a 0 running 7 0/0/0 ;2 load /a 1 waiting 0 0/0/0 ;"
			  "3 load /a 0 running 7 0/0/0 ;");
	/* in one entry with what comes before it */
	assert_int_equal(session_open(10), 0);
	many[0] = (struct req){ OP(NODE_JOIN), .name = "n", .session = 10, .request = 50 };
	many[1] = (struct req){ OP(JOB_CLAIM), .ino = 2, .session = 10, .request = 51 };
	many[2] = (struct req){ OP(SESSION_CLOSE), .session = 10, .request = 52 };
	assert_int_equal(apply_reqs(many, 3, NULL), 0);
	assert_listed(12, "1 load /a 0 running 7 0/0/0 ;2 load /a 1 waiting 0 0/0/0 ;"
			  "3 load /a 0 running 7 0/0/0 ;");
}

static void test_nodes(void **state)
{
	(void)state;
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 2), ENOENT);
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 1), 0);
	assert_int_equal(add(DATAFS_JOB_LOAD, "/b", 0), 0);
	assert_int_equal(claim(OTHER, 1), 0);
	assert_int_equal(claim(OTHER, 2), 0);
	/* it says so again, and has them still */
	assert_int_equal(join(OTHER, "n"), 0);
	assert_listed(4, "1 load /a 1 running 8 0/0/0 ;2 load /b 0 running 8 0/0/0 ;");
	/* it speaks for another node */
	assert_int_equal(join(OTHER, "o"), 0);
	assert_listed(5, "1 load /a 1 waiting 0 0/0/0 ;2 load /b 0 waiting 0 0/0/0 ;");
	assert_int_equal(claim(OTHER, 1), EPERM);
	assert_int_equal(claim(OTHER, 2), 0);
	/* what is for a node that goes has nobody left; the other one goes on */
	assert_int_equal(error_of((struct req){ OP(NODE_REMOVE), .name = "n" }), 0);
	assert_listed(7, "1 load /a 1 cancelled 0 0/0/0 ;2 load /b 0 running 8 0/0/0 ;");
	assert_int_equal(add(DATAFS_JOB_FREE, "/a", 2), 0);
	assert_int_equal(claim(OTHER, 3), 0);
	assert_int_equal(error_of((struct req){ OP(NODE_SET), .name = "o", .create = true }), 0);
	assert_int_equal(error_of((struct req){ OP(NODE_REMOVE), .name = "o" }), 0);
	assert_listed(10, "1 load /a 1 cancelled 0 0/0/0 ;2 load /b 0 running 8 0/0/0 ;"
			  "3 free /a 2 cancelled 0 0/0/0 ;");
	assert_int_equal(report(OTHER, 3, 0, NULL, 0), ESTALE);
	assert_int_equal(report(OTHER, 2, 0, NULL, 0), 0);
}

static void test_texts(void **state)
{
	static const char *const bad[] = { "", "a", "/a/", "//a", "/.", "/a/../b", "/a\n" };
	static char longest[DATAFS_METAD_PATH_MAX + 2], error[DATAFS_JOB_ERROR_MAX + 2];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(add(DATAFS_JOB_LOAD, bad[i], 0), EINVAL);
	assert_int_equal(add(DATAFS_JOB_LOAD, NULL, 0), EINVAL);
	assert_int_equal(add(0, "/a", 0), EINVAL);
	assert_int_equal(add(DATAFS_JOB_KINDS, "/a", 0), EINVAL);
	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = i % 200 ? 'a' : '/';
	assert_int_equal(add(DATAFS_JOB_LOAD, longest, 0), EINVAL);
	assert_int_equal(version(), 0);
	longest[DATAFS_METAD_PATH_MAX] = '\0';
	assert_int_equal(add(DATAFS_JOB_LOAD, longest, 0), 0);
	assert_int_equal(claim(SESSION, 1), 0);
	/* an error with its text, and in the end just if it failed */
	memset(error, 'e', sizeof(error) - 1);
	assert_int_equal(report(SESSION, 1, 1, error, 0), EINVAL);
	assert_int_equal(report(SESSION, 1, 1, "a\nb", 0), EINVAL);
	assert_int_equal(report(SESSION, 1, 1, "", 0), EINVAL);
	assert_int_equal(report(SESSION, 1, 0, "e", 0), EINVAL);
	assert_int_equal(report(SESSION, 1, 1, "e", DATAFS_JOB_DONE), EINVAL);
	assert_int_equal(report(SESSION, 1, 0, NULL, DATAFS_JOB_FAILED), EINVAL);
	assert_int_equal(report(SESSION, 1, 0, NULL, DATAFS_JOB_CANCELLED), EINVAL);
	assert_int_equal(report(SESSION, 1, 0, NULL, DATAFS_JOB_WAITING), EINVAL);
	assert_int_equal(report(SESSION, 1, 1, error + 1, DATAFS_JOB_FAILED), 0);
	assert_int_equal(version(), 3);
	assert_null(metad_check(m));
	/* the names of kinds lead back to them */
	for (unsigned int i = 1; i < DATAFS_JOB_KINDS; i++)
		assert_int_equal(datafs_job_kind_of(datafs_job_kind_name(i)), i);
	assert_int_equal(datafs_job_kind_of("no"), 0);
	assert_null(datafs_job_kind_name(0));
	assert_null(datafs_job_kind_name(DATAFS_JOB_KINDS));
}

struct some {
	unsigned int left;
	uint64_t last;
};

static int take_some(void *arg, const struct datafs_metad_job *one)
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
	struct datafs_metad_jobs table;
	struct some some = { 0 };
	unsigned int pages = 0;
	char is[4096] = "";
	bool eof;

	(void)state;
	for (unsigned int i = 0; i < DATAFS_METAD_JOBS_MAX; i++)
		assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 0), 0);
	assert_int_equal(claim(SESSION, 1), 0);
	assert_int_equal(add(DATAFS_JOB_LOAD, "/more", 0), ENOSPC);
	assert_int_equal(version(), DATAFS_METAD_JOBS_MAX + 1);
	do {
		some.left = 100;
		assert_int_equal(datafs_metad_jobs(m, some.last, take_some, &some, &eof, &table), 0);
		assert_int_equal(table.jobs, DATAFS_METAD_JOBS_MAX);
		pages++;
	} while (!eof);
	assert_int_equal(some.last, DATAFS_METAD_JOBS_MAX);
	assert_int_equal(pages, 11);
	assert_int_equal(datafs_metad_jobs(m, UINT64_MAX, take_some, &some, &eof, &table), 0);
	assert_true(eof);
	/* the oldest that has ended goes, which is the third: as one change */
	assert_int_equal(cancel(5), 0);
	assert_int_equal(cancel(3), 0);
	assert_int_equal(add(DATAFS_JOB_FREE, "/more", 0), 0);
	assert_int_equal(datafs_metad_jobs_table(m, &table), 0);
	assert_int_equal(table.jobs, DATAFS_METAD_JOBS_MAX);
	assert_int_equal(table.last_id, DATAFS_METAD_JOBS_MAX + 1);
	assert_int_equal(table.version, DATAFS_METAD_JOBS_MAX + 4);
	assert_int_equal(cancel(3), ENOENT);
	assert_int_equal(cancel(5), ESTALE);
	assert_int_equal(datafs_metad_jobs(m, DATAFS_METAD_JOBS_MAX, print, is, &eof, &table), 0);
	assert_string_equal(is, "1025 free /more 0 waiting 0 0/0/0 ;");
	assert_null(metad_check(m));
}

static void test_once(void **state)
{
	struct req r = { OP(JOB_ADD), .mode = DATAFS_JOB_LOAD, .name = "/a", .session = SESSION,
			 .request = 1ull << 33 };
	Metad__Result *res;

	(void)state;
	assert_int_equal(error_of(r), 0);
	/* the answer got lost: it is the same one */
	res = call(r);
	assert_true(!res->error && res->job == 1);
	result_free(res);
	assert_listed(1, "1 load /a 0 waiting 0 0/0/0 ;");
	r = (struct req){ OP(JOB_CLAIM), .ino = 1, .session = OTHER, .request = 1ull << 33 };
	assert_int_equal(error_of(r), 0);
	assert_int_equal(report(OTHER, 1, 0, NULL, 0), 0);
	/* late: it is not begun anew */
	assert_int_equal(error_of(r), 0);
	assert_listed(2, "1 load /a 0 running 8 3/4096/0 ;");
	/* the leader has none of its own */
	r = (struct req){ OP(JOB_CANCEL), .ino = 1, .request = 1 };
	assert_int_equal(error_of(r), EINVAL);
	r.op = OP(JOB_CLAIM);
	assert_int_equal(error_of(r), EINVAL);
	assert_listed(2, "1 load /a 0 running 8 3/4096/0 ;");
}

static void test_not_before_its_level(void **state)
{
	(void)state;
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_JOB - 1), 0);
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 0), EOPNOTSUPP);
	assert_int_equal(claim(SESSION, 1), EOPNOTSUPP);
	assert_int_equal(report(SESSION, 1, 0, NULL, 0), EOPNOTSUPP);
	assert_int_equal(cancel(1), EOPNOTSUPP);
	assert_int_equal(take_away(1), EOPNOTSUPP);
	assert_listed(0, "");
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_JOB), 0);
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 0), 0);
	assert_listed(1, "1 load /a 0 waiting 0 0/0/0 ;");
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
	struct datafs_metad_jobs table;
	char is[4096] = "";
	bool eof;

	return datafs_metad_jobs(m, 0, print, is, &eof, &table);
}

#define NUMBER(c)	"\0\0\0\0\0\0\0" c
#define PUT(key, val)	damage(key, sizeof(key) - 1, val, sizeof(val) - 1)
/* @head: the version, kind, state and length of the error; @texts: it, and the path. */
#define JOB(head, session, errors, added, texts) \
	PUT("J" NUMBER("\1"), head NUMBER("\0") NUMBER(session) NUMBER("\0") NUMBER("\0") \
	    NUMBER(errors) NUMBER(added) NUMBER("\2") texts)

static void test_damaged(void **state)
{
	(void)state;
	assert_int_equal(add(DATAFS_JOB_LOAD, "/a", 0), 0);
	JOB("\1\1\1\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), 0);
	/* no such version, kind, state */
	JOB("\2\1\1\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\0\1\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\3\1\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\0\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\6\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	/* running by nobody, or waiting with somebody; changed before it was added */
	JOB("\1\1\2\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\1\0", "\7", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\1\0", "\0", "\0", "\3", "/a");
	assert_int_equal(list(), -EUCLEAN);
	/* errors without one, one without errors, done with some, failed without */
	JOB("\1\1\1\0", "\0", "\1", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\1\1", "\0", "\0", "\1", "e/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\3\1", "\0", "\1", "\1", "e/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\4\0", "\0", "\0", "\1", "/a");
	assert_int_equal(list(), -EUCLEAN);
	/* texts: beyond the end, no path, a control character */
	JOB("\1\1\1\4", "\0", "\1", "\1", "e/a");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\1\0", "\0", "\0", "\1", "");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\1\1", "\0", "\1", "\1", "\n/a");
	assert_int_equal(list(), -EUCLEAN);
	PUT("J" NUMBER("\1"), "\1\1\1\0");
	assert_int_equal(list(), -EUCLEAN);
	JOB("\1\1\1\1", "\0", "\1", "\1", "e/a");
	assert_int_equal(list(), 0);
	/* numbers that cannot be */
	PUT("A", "\1" NUMBER("\0") NUMBER("\0") "\0\0\0\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("A", "\1" NUMBER("\1") NUMBER("\2") "\0\0\0\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("A", "\1" NUMBER("\1") NUMBER("\1") "\0\0\0\2");
	assert_int_equal(list(), -EUCLEAN);
	PUT("A", "\1" NUMBER("\1") NUMBER("\1") "\0\0\0\1");
	assert_int_equal(list(), 0);
	/* a command that meets it halts the member: the end of a session with a job it has not */
	PUT("K" NUMBER("\7") NUMBER("\1"), "\1");
	assert_int_equal(apply_reqs(&(struct req){ OP(SESSION_CLOSE), .session = SESSION,
				.request = 1ull << 33 }, 1, NULL), -EUCLEAN);
	damage("K" NUMBER("\7") NUMBER("\1"), 17, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		JOB_TEST(test_life),
		JOB_TEST(test_states),
		JOB_TEST(test_session_ends),
		JOB_TEST(test_nodes),
		JOB_TEST(test_texts),
		JOB_TEST(test_full),
		JOB_TEST(test_once),
		METAD_TEST(test_not_before_its_level),
		JOB_TEST(test_damaged),
	};

	return cmocka_run_group_tests_name("metad_jobs", tests, NULL, NULL);
}
