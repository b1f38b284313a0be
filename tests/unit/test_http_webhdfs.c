// SPDX-License-Identifier: Apache-2.0
/* HDFS by WebHDFS, of a namenode that does not do as it should. */
#define _GNU_SOURCE
#include "http_fixture.h"

#include <unistd.h>

#include "base/log.h"

#define JSON(body_len, body) \
	"HTTP/1.1 200 OK\r\nDate: Sun, 09 Sep 2001 02:00:00 GMT\r\nContent-Type: application/json\r\n" \
	"Content-Length: " body_len "\r\n\r\n" body
#define EMPTY(status)	"HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
/* A file of 10 bytes; @id has three digits. */
#define STATUS(id) \
	JSON("162", "{\"FileStatus\":{\"fileId\":" id ",\"length\":10,\"modificationTime\":1000000000000," \
	     "\"owner\":\"0\",\"group\":\"0\",\"pathSuffix\":\"\",\"permission\":\"644\",\"type\":\"FILE\"" \
	     ",\"accessTime\":0}}")
#define NO(code, name, len) \
	"HTTP/1.1 " code " No\r\nContent-Length: " len "\r\n\r\n{\"RemoteException\":{\"exception\":\"" name "\"}}"
#define MISSING		NO("404", "FileNotFoundException", "57")

static struct datafs_under *u;
static char buf[4096];

static void serve(const struct http_say *say, size_t n)
{
	char source[128];

	http_serve(say, n);
	snprintf(source, sizeof(source), "webhdfs%s/top", http_base + 4);
	assert_int_equal(datafs_under_open(source, NULL, &u), 0);
}

#define SERVE(...) do {							\
	static const struct http_say say[] = { __VA_ARGS__ };		\
									\
	serve(say, sizeof(say) / sizeof(say[0]));			\
} while (0)

static void served(size_t n)
{
	datafs_under_close(u);
	assert_int_equal(http_served(), n);
}

static struct datafs_under_stat look(void)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(u, "f", &st), 0);
	return st;
}

static void looks(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = STATUS("123") }, { .text = JSON("2", "{}") }, { .text = JSON("0", "") },
	      { .text = MISSING }, { .text = EMPTY("404 No") }, { .text = EMPTY("410 No") },
	      { .text = EMPTY("412 No") }, { .text = NO("403", "ParentNotDirectoryException", "63") },
	      { .text = NO("403", "AccessControlException", "58") },
	      { .text = NO("403", "IOException", "47") }, { .text = EMPTY("401 No") },
	      { .text = "HTTP/1.1 307 Elsewhere\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n" });
	st = look();
	assert_int_equal(st.file_id, 123);
	assert_int_equal(st.size, 10);
	assert_int_equal(st.mode, S_IFREG | 0644);
	assert_int_equal(st.mtime.tv_sec, 1000000000);
	assert_int_equal(st.seen.tv_sec, 1000000800);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EPROTO);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EPROTO);
	assert_int_equal(datafs_under_stat(u, "f", &st), -ENOENT);
	/* Of something that knows of no files, whatever it does not have. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(datafs_under_stat(u, "f", &st), -EIO);
	assert_int_equal(datafs_under_stat(u, "f", &st), -ENOENT);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EACCES);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EIO);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EACCES);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EPROTO);
	served(12);
	assert_non_null(strstr(http_asked(0), "GET /webhdfs/v1/top/f?op=GETFILESTATUS HTTP/1.1\r\n"));
}

static ssize_t rd(const struct datafs_under_stat *st)
{
	return datafs_under_read(u, "f", &st->fp, 2, buf, 3);
}

static void reads(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = STATUS("123") },
	      /* by itself, and not enough of it */
	      { .text = JSON("3", "cde") }, { .text = STATUS("123") },
	      { .text = JSON("2", "cd") }, { .text = STATUS("123") },
	      /* another file has the name by now */
	      { .text = JSON("3", "cde") }, { .text = STATUS("124") },
	      { .text = JSON("3", "cde") }, { .text = MISSING },
	      { .text = MISSING },
	      { .text = NO("403", "IOException", "47") }, { .text = STATUS("124") },
	      { .text = NO("403", "IOException", "47") }, { .text = STATUS("123") },
	      /* a datanode that cannot be, one that is not named, one where another file is */
	      { .text = "HTTP/1.1 307 There\r\nLocation: ftp://h/f\r\nContent-Length: 0\r\n\r\n" },
	      { .text = STATUS("123") },
	      { .text = EMPTY("307 There") }, { .text = STATUS("123") },
	      { .text = "HTTP/1.1 307 There\r\nLocation: /dn\r\nContent-Length: 5\r\n\r\nthere" },
	      { .text = JSON("4", "cdef") }, { .text = STATUS("123") },
	      { .text = "HTTP/1.1 307 There\r\nLocation: /dn\r\nContent-Length: 5\r\n\r\nthere" },
	      { .text = JSON("3", "cde") }, { .text = STATUS("123") });
	st = look();
	assert_int_equal(rd(&st), 3);
	assert_memory_equal(buf, "cde", 3);
	assert_int_equal(rd(&st), -EPROTO);
	assert_int_equal(rd(&st), -ESTALE);
	assert_int_equal(rd(&st), -ESTALE);
	assert_int_equal(rd(&st), -ESTALE);
	assert_int_equal(rd(&st), -ESTALE);
	assert_int_equal(rd(&st), -EIO);
	assert_int_equal(rd(&st), -EPROTO);
	assert_int_equal(rd(&st), -EPROTO);
	assert_int_equal(rd(&st), -EPROTO);
	assert_int_equal(rd(&st), 3);
	served(24);
	assert_non_null(strstr(http_asked(1), "?op=OPEN&offset=2&length=3 "));
	assert_int_equal(strncmp(http_asked(22), "GET /dn HTTP/1.1\r\n", 18), 0);
}

static int count(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)name;
	(void)st;
	++*(int *)arg;
	return 0;
}

#define ENTRY(name) \
	"{\"fileId\":7,\"length\":0,\"modificationTime\":1,\"owner\":\"o\",\"group\":\"g\",\"permission\":\"0\"," \
	"\"type\":\"FILE\",\"pathSuffix\":\"" name "\"}"
#define BATCH(len, entry, n) \
	JSON(len, "{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":[" entry \
	     "]}},\"remainingEntries\":" n "}}")

/* One that gives the same again and again is an error, and ends. */
static void listings(void **state)
{
	int n = 0;

	(void)state;
	SERVE({ .text = BATCH("211", ENTRY("b"), "5") }, { .text = BATCH("211", ENTRY("b"), "5") },
	      { .text = BATCH("211", ENTRY("b"), "5") }, { .text = BATCH("211", ENTRY("c"), "0") },
	      { .text = BATCH("211", ENTRY("b"), "5") }, { .text = MISSING });
	assert_int_equal(datafs_under_list(u, "d", NULL, count, &n), -EPROTO);
	assert_int_equal(n, 1);
	assert_int_equal(datafs_under_list(u, "d", NULL, count, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(datafs_under_list(u, "d", NULL, count, &n), -ENOENT);
	served(6);
	assert_non_null(strstr(http_asked(1), "?op=LISTSTATUS_BATCH&startAfter=b "));
}

/* What does not know one operation is asked again, unless it is something else that it minds. */
static void no_batch(void **state)
{
#define WRONG	{ .text = NO("400", "IllegalArgumentException", "60") }
	int n = 0;

	(void)state;
	SERVE(WRONG, WRONG,
	      { .text = BATCH("211", ENTRY("b"), "0") },
	      WRONG, { .text = JSON("34", "{\"FileStatuses\":{\"FileStatus\":[]}}") },
	      { .text = JSON("34", "{\"FileStatuses\":{\"FileStatus\":[]}}") });
	assert_int_equal(datafs_under_list(u, "d", NULL, count, &n), -EINVAL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(datafs_under_list(u, "d", NULL, count, &n), 0);
	assert_int_equal(n, 1);
	served(6);
	assert_non_null(strstr(http_asked(4), "?op=LISTSTATUS "));
	assert_non_null(strstr(http_asked(5), "?op=LISTSTATUS "));
}

static int unknown(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)arg;
	assert_string_equal(name, "b");
	assert_null(st);
	return 0;
}

/* Without an id states cannot be told apart: nothing is read, and nothing written. */
static void no_ids(void **state)
{
#define NAMELESS(name, type) \
	"\"length\":0,\"modificationTime\":1,\"owner\":\"o\",\"group\":\"g\",\"permission\":\"0\"," \
	"\"type\":\"" type "\",\"pathSuffix\":\"" name "\"}"
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = JSON("119", "{\"FileStatus\":{" NAMELESS("", "FILE") "}") },
	      { .text = JSON("124", "{\"FileStatus\":{" NAMELESS("", "DIRECTORY") "}") },
	      { .text = JSON("139", "{\"FileStatuses\":{\"FileStatus\":[{" NAMELESS("b", "FILE") "]}}") });
	assert_int_equal(datafs_under_stat(u, "f", &st), -EOPNOTSUPP);
	assert_int_equal(datafs_under_stat(u, "d", &st), 0);
	assert_int_equal(datafs_under_list(u, "d", NULL, unknown, NULL), 0);
	served(3);
}

/* How a file is made, until a name is given to it; what comes of that last step varies. */
#define THERE	{ .text = "HTTP/1.1 307 There\r\nLocation: /dn\r\nContent-Length: 0\r\n\r\n" }
#define CREATED	{ .text = EMPTY("201 Created") }
#define DONE	{ .text = EMPTY("200 OK") }
#define KNOWN	{ .text = STATUS("123") }
#define YES	{ .text = JSON("16", "{\"boolean\":true}") }
#define REFUSED	{ .text = JSON("17", "{\"boolean\":false}") }
#define OTHER	{ .text = STATUS("124") }
#define NONE	{ .text = MISSING }

static void renames(void **state)
{
	static const int want[] = { 0, 0, 0, -EIO, -EOPNOTSUPP };

	(void)state;
	SERVE(THERE, CREATED, DONE, DONE, KNOWN,
	      /* found out once: the options of a rename are minded, so that it has nothing to say */
	      YES, DONE, YES, DONE,
	      THERE, CREATED, DONE, DONE, KNOWN, { .text = JSON("16", "{\"boolean\":true}") },
	      /* It was carried out, but we were not told. */
	      THERE, CREATED, DONE, DONE, KNOWN, { .text = JSON("16", "{"), .then = THEN_CLOSE },
	      { .text = MISSING }, KNOWN,
	      THERE, CREATED, DONE, DONE, KNOWN, { .text = NO("403", "IOException", "47") },
	      OTHER, OTHER, YES,
	      THERE, CREATED, DONE, DONE, KNOWN, REFUSED, OTHER, YES);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(datafs_under_put(u, "d/f", "0123456789", 10, NULL, NULL, NULL), want[i]);
	served(9 + 6 + 8 + 9 + 8);
	assert_non_null(strstr(http_asked(6), "op=RENAME&destination=/top/.datafs-uploads/"));
	assert_non_null(strstr(http_asked(7), "DELETE /webhdfs/v1/top/.datafs-uploads/"));
	assert_non_null(strstr(http_asked(8), "op=RENAME&destination=/top/d/f&renameoptions=OVERWRITE "));
	assert_non_null(strstr(http_asked(1), "PUT /dn "));
	assert_non_null(strstr(http_asked(1), "\r\n\r\n0123456789"));
	assert_null(strstr(http_asked(0), "0123456789 "));
	assert_int_equal(strncmp(http_asked(31), "DELETE ", 7), 0);
}

/* A no, and an error, may be of a rename that was done already: what is there says so. */
static void settled(void **state)
{
	static const int want[] = { 0, 0, -ENOENT, -ENOENT, -EACCES };

	(void)state;
	SERVE(THERE, CREATED, DONE, DONE, KNOWN, YES, DONE, YES, REFUSED, KNOWN,
	      THERE, CREATED, DONE, DONE, KNOWN, NONE, KNOWN,
	      THERE, CREATED, DONE, DONE, KNOWN, NONE, NONE, YES,
	      THERE, CREATED, DONE, DONE, KNOWN, REFUSED, NONE, NONE, YES,
	      /* What cannot be looked at is nothing that is known. */
	      THERE, CREATED, DONE, DONE, KNOWN, NONE, { .text = EMPTY("401 No") }, YES);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(datafs_under_put(u, "d/f", "0123456789", 10, NULL, NULL, NULL), want[i]);
	served(10 + 7 + 8 + 9 + 8);
}

/* What is not as long as it should be gets no name. */
static void too_short(void **state)
{
	(void)state;
	SERVE(THERE, CREATED, DONE, DONE, KNOWN, YES);
	assert_int_equal(datafs_under_put(u, "f", "0123456789a", 11, NULL, NULL, NULL), -EIO);
	served(6);
	assert_int_equal(strncmp(http_asked(5), "DELETE ", 7), 0);
}

/* A rename without options moves into a directory that is there: it is not asked for. */
static void plain_renames(void **state)
{
#define DIR { .text = JSON("166", "{\"FileStatus\":{\"fileId\":125,\"length\":0,\"modificationTime\":1000000000000," \
	     "\"owner\":\"0\",\"group\":\"0\",\"pathSuffix\":\"\",\"permission\":\"755\",\"type\":\"DIRECTORY\"" \
	     ",\"accessTime\":0}}") }
	(void)state;
	SERVE(YES, DONE, DIR,
	      /* found out once: they are left out */
	      YES, YES, YES, DIR, YES,
	      THERE, CREATED, DONE, DONE, KNOWN, DIR, YES,
	      THERE, CREATED, DONE, DONE, KNOWN, OTHER, YES,
	      DIR, DIR, DIR,
	      THERE, CREATED, DONE, DONE, KNOWN, NONE, YES);
	assert_int_equal(datafs_under_mkdir(u, "d", NULL), -EEXIST);
	assert_int_equal(datafs_under_put(u, "d", "0123456789", 10, NULL, NULL, NULL), -EISDIR);
	assert_int_equal(datafs_under_put(u, "f", "0123456789", 10, NULL, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(datafs_under_rename(u, "a", "b"), -EOPNOTSUPP);
	assert_int_equal(datafs_under_put(u, "f", "0123456789", 10, NULL, NULL, NULL), 0);
	served(8 + 7 + 7 + 3 + 7);
	for (int i = 6; i < 31; i++)
		assert_null(strstr(http_asked(i), "op=RENAME"));
	assert_non_null(strstr(http_asked(31), "op=RENAME&destination=/top/f&"));
}

#define SAYS(len, words) \
	"HTTP/1.1 400 No\r\nContent-Length: " len "\r\n\r\n{\"RemoteException\":{\"exception\":" \
	"\"IOException\",\"message\":\"" words "\"}}"

/* Of what a server says, that which it was sent in confidence is not in the log. */
static void secrets(void **state)
{
	static const struct http_say say[] = {
		{ .text = SAYS("89", "invalid: ?delegation=abcdefgh") },
		{ .text = SAYS("91", "cannot read 0123456789ABCDEFGHI") },
		{ .text = SAYS("69", "no secret") },
	};
	struct datafs_under_opts opts = datafs_under_opts_default;
	char source[128], path[] = "/tmp/token-XXXXXX", log[512];
	int fd = mkstemp(path);
	struct datafs_under_stat st;

	(void)state;
	assert_int_equal(write(fd, "0123456789ABCDEFGHIJKLMNOP\n", 27), 27);
	close(fd);
	opts.token_file = path;
	http_serve(say, 3);
	snprintf(source, sizeof(source), "webhdfs%s/top", http_base + 4);
	assert_int_equal(datafs_under_open(source, &opts, &u), 0);
	unlink(path);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(datafs_under_stat(u, "f", &st), -EIO);
		datafs_log_last_error(log, sizeof(log));
		assert_non_null(strstr(log, "GET of \"f\": Input/output error, status 400: "));
		assert_non_null(strstr(log, i < 2 ? "(has a secret in it)" : "no secret"));
	}
	served(3);
	assert_non_null(strstr(http_asked(2), "&delegation=0123456789ABCDEFGHIJKLMNOP "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks),
		cmocka_unit_test(reads),
		cmocka_unit_test(listings),
		cmocka_unit_test(no_batch),
		cmocka_unit_test(no_ids),
		cmocka_unit_test(renames),
		cmocka_unit_test(settled),
		cmocka_unit_test(too_short),
		cmocka_unit_test(plain_renames),
		cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests_name("http_webhdfs", tests, NULL, NULL);
}
