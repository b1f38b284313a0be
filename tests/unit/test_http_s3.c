// SPDX-License-Identifier: Apache-2.0
/* The S3 store, and servers that are older, newer, worse or further away than Swift. */
#define _GNU_SOURCE
#include "http_fixture.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "tmpdir.h"
#include "under/s3_internal.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))
#define SAY(t)	{ .text = (t) }

#define EMPTY	"\r\nContent-Length: 0\r\n\r\n"
#define MADE	"HTTP/1.1 200 OK\r\nETag: \"new\"" EMPTY
#define DATE	"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define IS(tag, id) \
	"HTTP/1.1 200 OK\r\nETag: \"" tag "\"\r\n" DATE "x-amz-meta-datafs-id: " id \
	"\r\nContent-Length: 3\r\n\r\n"
#define NONE	"HTTP/1.1 404 Not Found" EMPTY
#define FAILED	"HTTP/1.1 412 Precondition Failed" EMPTY
#define BUSY	"HTTP/1.1 503 Slow Down\r\nRetry-After: 100" EMPTY
#define LOST	{ "", 0, THEN_CLOSE }

static struct datafs_under_opts opts;
static struct datafs_under *u;
static char dir[4096], keys[4200];

static char *xml_answer(const char *head, const char *body)
{
	char *s;

	assert_true(asprintf(&s, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head,
			     strlen(body), body) > 0);
	return s;
}

#define LIST(s)	"<ListBucketResult><IsTruncated>false</IsTruncated>" s "</ListBucketResult>"
#define MORE(s)	"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" \
		s "</ListBucketResult>"
#define KEY(k)	"<Contents><Key>" k "</Key><LastModified>2009-10-12T17:50:30Z</LastModified>" \
		"<ETag>x</ETag><Size>3</Size></Contents>"
#define PREFIX(k)	"<CommonPrefixes><Prefix>" k "</Prefix></CommonPrefixes>"

static void write_keys(const char *id)
{
	FILE *f = fopen(keys, "w");

	fprintf(f, "[default]\naws_access_key_id=%s\naws_secret_access_key=s\n", id);
	fclose(f);
	assert_int_equal(chmod(keys, 0600), 0);
}

static int64_t now(void)
{
	return 1000000000000ll + http_waited;
}

static void sleep_not(int64_t until)
{
	http_waited += until - now();
}

static double chance(void)
{
	return 0.5;
}

static const struct datafs_http_clock quick = { now, sleep_not, chance };

static int setup(void **state)
{
	(void)state;
	if (tmpdir_make(dir, sizeof(dir), "s3"))
		return -1;
	snprintf(keys, sizeof(keys), "%s/keys", dir);
	write_keys("KEY1");
	opts = datafs_under_opts_default;
	opts.credentials = keys;
	opts.endpoint = http_base;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	datafs_under_close(u);
	u = NULL;
	return tmpdir_remove(dir);
}

#define MOST	24

static struct http_say said[MOST];
static char *list_of_none;

/* Opens it, with @probe as the answer to what finds out about conditions, and says @say then. */
static void begin(const char *probe, const struct http_say *say, size_t n)
{
	size_t at = 0;

	free(list_of_none);
	list_of_none = xml_answer("200 OK", LIST(""));
	said[at++] = (struct http_say){ .text = list_of_none };
	if (probe)
		said[at++] = (struct http_say){ .text = probe };
	assert_true(at + n <= MOST);
	memcpy(said + at, say, n * sizeof(*say));
	http_serve(said, at + n);
	opts.read_only = !probe;
	assert_int_equal(datafs_under_open("s3://bucket", &opts, &u), 0);
	s3_of(u)->http->clock = &quick;
}

static int put(int is, struct datafs_fingerprint *fp)
{
	struct datafs_under_cond cond = { .is = is };

	return datafs_under_put(u, "f", "abc", 3, NULL, &cond, fp);
}

static struct datafs_fingerprint fp_of(const char *tag)
{
	return datafs_fingerprint_tag(tag, strlen(tag), 3);
}

/* ---- conditions ---- */

static void caps(void **state)
{
	static const struct {
		const char *probe;
		bool minds;
		size_t asked;
	} c[] = {
		{ FAILED, true, 2 }, { NONE, true, 2 },
		{ "HTTP/1.1 501 Not Implemented" EMPTY, false, 2 },
		{ "HTTP/1.1 403 Forbidden" EMPTY, false, 2 },
		/* one that minds nothing has made an object, and one in trouble may have */
		{ BUSY, false, 3 }, { MADE, false, 3 },
	};
	const struct http_say del = SAY("HTTP/1.1 204 No Content\r\n\r\n");
	const uint32_t both = DATAFS_UNDER_IF_ABSENT | DATAFS_UNDER_IF_MATCH;

	(void)state;
	for (size_t i = 0; i < N(c); i++) {
		begin(c[i].probe, &del, 1);
		assert_int_equal(datafs_under_caps(u) & both, c[i].minds ? both : 0);
		assert_int_equal(http_served(), c[i].asked);
		assert_non_null(strstr(http_asked(1), "PUT /bucket/.datafs-probe-"));
		assert_non_null(strstr(http_asked(1), "\r\nIf-Match: \""));
		if (c[i].asked > 2)
			assert_non_null(strstr(http_asked(2), "DELETE /bucket/.datafs-probe-"));
		datafs_under_close(u);
		u = NULL;
	}
}

static void conditions(void **state)
{
	const struct http_say say[] = {
		SAY(MADE), SAY(FAILED), SAY(IS("other", "x")),
		/* the one state, then another */
		SAY(IS("old", "x")), SAY(MADE), SAY(IS("old", "x")), SAY(FAILED), SAY(IS("new", "x")),
		SAY(IS("other", "x")),
	};
	struct datafs_under_cond match = { .is = DATAFS_UNDER_MATCH, .fp = fp_of("old") };
	struct datafs_fingerprint fp, want = fp_of("new");

	(void)state;
	begin(FAILED, say, N(say));
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), 0);
	assert_memory_equal(&fp, &want, sizeof(fp));
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), -EEXIST);
	assert_int_equal(datafs_under_put(u, "f", "abc", 3, NULL, &match, &fp), 0);
	assert_int_equal(datafs_under_put(u, "f", "abc", 3, NULL, &match, &fp), -ESTALE);
	assert_int_equal(datafs_under_put(u, "f", "abc", 3, NULL, &match, &fp), -ESTALE);
	assert_int_equal(http_served(), 2 + N(say));
	assert_non_null(strstr(http_asked(2), "\r\nIf-None-Match: *\r\n"));
	assert_non_null(strstr(http_asked(6), "\r\nIf-Match: \"old\"\r\n"));
}

/* ---- lost answers ---- */

static void lost(void **state)
{
	const struct http_say say[] = {
		/* carried out, though nobody said so; found by what it wrote */
		LOST, SAY(FAILED), SAY(IS("mine", "@ID@")),
		/* not: somebody else's */
		LOST, SAY(FAILED), SAY(IS("other", "0123456789abcdef0123456789abcdef")),
		/* not, at the second time yes */
		LOST, SAY(MADE),
		/* perhaps: nobody knows */
		LOST, SAY(FAILED), SAY(BUSY),
		/* no answer to the condition */
		SAY(NONE), SAY(NONE),
	};
	struct datafs_fingerprint fp, mine = fp_of("mine"), made = fp_of("new");

	(void)state;
	begin(FAILED, say, N(say));
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), 0);
	assert_memory_equal(&fp, &mine, sizeof(fp));
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), -EEXIST);
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), 0);
	assert_memory_equal(&fp, &made, sizeof(fp));
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), -EBUSY);
	assert_int_equal(put(DATAFS_UNDER_ABSENT, &fp), -EIO);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 2 + N(say));
}

static void lost_uploads(void **state)
{
	char *begun = xml_answer("200 OK", "<InitiateMultipartUploadResult><UploadId>up&amp;1</UploadId></InitiateMultipartUploadResult>"),
	     *gone = xml_answer("404 Not Found", "<Error><Code>NoSuchUpload</Code></Error>"),
	     *no_key = xml_answer("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>"),
	     *bad = xml_answer("200 OK", "<Error><Code>InternalError</Code></Error>");
	const struct http_say say[] = {
		SAY(begun), SAY(MADE),
		LOST, SAY(gone), SAY(IS("mine-1", "@ID@")),
		SAY(bad), SAY(NONE),
		SAY(gone), SAY(IS("other", "x")),
		SAY(gone), SAY(BUSY),
		/* gone while it was asked for, the upload not */
		SAY(IS("old", "x")), SAY(no_key), SAY(NONE),
		/* again, after it was done */
		SAY(IS("mine-1", "@ID@")), SAY(IS("mine-1", "@ID@")),
	};
	struct datafs_under_cond match = { .is = DATAFS_UNDER_MATCH, .fp = fp_of("old") };
	struct datafs_under_part part = { .number = 1, .len = 3 };
	struct datafs_fingerprint fp, mine = fp_of("mine-1");
	struct datafs_under_upload up;

	(void)state;
	begin(FAILED, say, N(say));
	assert_int_equal(datafs_under_begin(u, "f", NULL, &up), 0);
	assert_int_equal(datafs_under_part(u, "f", &up, &part, "abc"), 0);
	assert_string_equal(part.tag, "new");
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, NULL, &fp), 0);
	assert_memory_equal(&fp, &mine, sizeof(fp));
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, NULL, &fp), -EIO);
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, NULL, &fp), -ENOENT);
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, NULL, &fp), -EBUSY);
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, &match, &fp), -ESTALE);
	memset(&fp, 0, sizeof(fp));
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, &match, &fp), 0);
	assert_memory_equal(&fp, &mine, sizeof(fp));
	strcpy(part.tag, "a\"<b");
	assert_int_equal(datafs_under_complete(u, "f", &up, &part, 1, NULL, NULL, &fp), -EINVAL);
	strcpy(up.token, "short");
	assert_int_equal(datafs_under_abort(u, "f", &up), -EINVAL);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 2 + N(say));
	assert_non_null(strstr(http_asked(2), "POST /bucket/f?uploads="));
	assert_non_null(strstr(http_asked(3), "PUT /bucket/f?partNumber=1&uploadId=up%261 "));
	free(begun);
	free(gone);
	free(no_key);
	free(bad);
}

/* ---- reading ---- */

#define RANGE(tag, total) \
	"HTTP/1.1 206 Part\r\nETag: \"" tag "\"\r\n" DATE "Content-Range: bytes 0-1/" total \
	"\r\nContent-Length: 2\r\n\r\nab"

static void reads(void **state)
{
	const struct http_say say[] = {
		SAY(RANGE("t", "3")),
		SAY(RANGE("other", "3")), SAY(RANGE("t", "4")), SAY(RANGE("t", "*")),
		SAY("HTTP/1.1 206 Part\r\n" DATE "Content-Range: bytes 0-1/3\r\nContent-Length: 2\r\n\r\nab"),
		SAY(FAILED), SAY(NONE), SAY("HTTP/1.1 416 No" EMPTY),
		{ "HTTP/1.1 206 Part\r\nETag: \"t\"\r\n" DATE "Content-Range: bytes 0-1/3\r\nContent-Length: 2\r\n\r\nx", 0, THEN_RESET },
		SAY(RANGE("t", "3")),
	};
	static const int want[] = { 2, -ESTALE, -ESTALE, -EPROTO, -EPROTO, -ESTALE, -ESTALE, -ESTALE, 2 };
	struct datafs_fingerprint fp = fp_of("t");
	char buf[8];

	(void)state;
	begin(NULL, say, N(say));
	for (size_t i = 0; i < N(want); i++) {
		memset(buf, 0, sizeof(buf));
		assert_int_equal(datafs_under_read(u, "f", &fp, 0, buf, 2), want[i]);
		if (want[i] > 0)
			assert_string_equal(buf, "ab");
	}
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 1 + N(say));
	assert_non_null(strstr(http_asked(1), "\r\nIf-Match: \"t\"\r\n"));
	assert_non_null(strstr(http_asked(1), "\r\nRange: bytes=0-1\r\n"));
}

static int add_bytes(void *arg, uint64_t at, const void *p, size_t n)
{
	char *buf = arg;

	assert_true(at + n <= 3);
	memcpy(buf + at, p, n);
	return *(const char *)p == '!' ? -ECANCELED : 0;
}

/* As they come: none of another state; after a break only what is missing is asked for. */
static void streams(void **state)
{
	const struct http_say say[] = {
		SAY(RANGE("t", "3")),
		SAY(RANGE("other", "3")), SAY(FAILED), SAY("HTTP/1.1 416 No" EMPTY),
		{ "HTTP/1.1 206 Part\r\nETag: \"t\"\r\n" DATE "Content-Range: bytes 0-1/3\r\nContent-Length: 2\r\n\r\nx", 0, THEN_RESET },
		SAY("HTTP/1.1 206 Part\r\nETag: \"t\"\r\n" DATE "Content-Range: bytes 1-1/3\r\nContent-Length: 1\r\n\r\ny"),
		{ "HTTP/1.1 206 Part\r\nETag: \"t\"\r\n" DATE "Content-Range: bytes 0-1/3\r\nContent-Length: 2\r\n\r\nx", 0, THEN_RESET },
		SAY("HTTP/1.1 206 Part\r\nETag: \"u\"\r\n" DATE "Content-Range: bytes 1-1/3\r\nContent-Length: 1\r\n\r\ny"),
		SAY("HTTP/1.1 206 Part\r\nETag: \"t\"\r\n" DATE "Content-Range: bytes 0-1/3\r\nContent-Length: 2\r\n\r\n!!"),
	};
	static const struct {
		int err;
		const char *buf;
	} want[] = {
		{ 0, "ab" }, { -ESTALE, "" }, { -ESTALE, "" }, { -ESTALE, "" }, { 0, "xy" },
		{ -ESTALE, "x" }, { -ECANCELED, "!!" },
	};
	struct datafs_fingerprint fp = fp_of("t");
	char buf[8];

	(void)state;
	begin(NULL, say, N(say));
	for (size_t i = 0; i < N(want); i++) {
		memset(buf, 0, sizeof(buf));
		assert_int_equal(datafs_under_stream(u, "f", &fp, 0, 2, add_bytes, buf),
				 want[i].err);
		assert_string_equal(buf, want[i].buf);
	}
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 1 + N(say));
	assert_non_null(strstr(http_asked(5), "\r\nRange: bytes=0-1\r\n"));
	assert_non_null(strstr(http_asked(6), "\r\nRange: bytes=1-1\r\n"));
}

static int add_name(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)st;
	strcat(arg, name);
	strcat(arg, " ");
	return 0;
}

static int list_of(const char *token, char *names)
{
	struct datafs_under_place place = { .token = "" };

	strcpy(place.token, token);
	*names = 0;
	return datafs_under_list(u, "d", &place, add_name, names);
}

static void listings(void **state)
{
	static const char *const pages[] = {
		MORE(KEY("d/a")),
		LIST(KEY("d/b")),
		/* the one after which it goes on is told again */
		LIST(PREFIX("d/c/") KEY("d/e")),
		/* of others, out of order, and what cannot be one */
		LIST(KEY("x/a")),
		MORE(KEY("d/b")),
		LIST(KEY("d/a")),
		LIST(KEY("d/a/b")),
		LIST(PREFIX("d/a")),
	};
	struct http_say say[N(pages)];
	char names[64];

	(void)state;
	for (size_t i = 0; i < N(pages); i++)
		say[i] = (struct http_say){ .text = xml_answer("200 OK", pages[i]) };
	begin(NULL, say, N(say));
	assert_int_equal(list_of("", names), 0);
	assert_string_equal(names, "a b ");
	assert_int_equal(list_of("c/", names), 0);
	assert_string_equal(names, "e ");
	assert_int_equal(list_of("", names), -EPROTO);
	assert_int_equal(list_of("", names), -EPROTO);
	assert_int_equal(list_of("", names), -EPROTO);
	assert_int_equal(list_of("", names), -EPROTO);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 1 + N(say));
	assert_non_null(strstr(http_asked(0), "GET /bucket/?encoding-type=url&list-type=2&max-keys=1&prefix= "));
	assert_non_null(strstr(http_asked(2), "GET /bucket/?continuation-token=t&delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=d%2F "));
	assert_non_null(strstr(http_asked(3), "&prefix=d%2F&start-after=d%2Fc%2F "));
	for (size_t i = 0; i < N(pages); i++)
		free((void *)say[i].text);
}

/* Keys that cannot be read are there, too. */
static void rmdirs(void **state)
{
	static const struct {
		const char *page;
		int err;
	} c[] = {
		{ LIST("<EncodingType>url</EncodingType>" KEY("d%2F%00")), -ENOTEMPTY },
		{ LIST("<EncodingType>url</EncodingType>" KEY("d%2F") KEY("d%2F%00")), -ENOTEMPTY },
		{ LIST(KEY("d/a")), -ENOTEMPTY }, { LIST(KEY("d/") KEY("d/a")), -ENOTEMPTY },
		{ MORE(""), -ENOTEMPTY }, { LIST(""), -ENOENT }, { LIST(KEY("d/")), 0 },
	};
	struct http_say say[N(c) + 1];

	(void)state;
	for (size_t i = 0; i < N(c); i++)
		say[i] = (struct http_say){ .text = xml_answer("200 OK", c[i].page) };
	say[N(c)] = (struct http_say)SAY("HTTP/1.1 204 No Content\r\n\r\n");
	begin(FAILED, say, N(say));
	for (size_t i = 0; i < N(c); i++)
		assert_int_equal(datafs_under_rmdir(u, "d"), c[i].err);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 2 + N(say));
	for (size_t i = 0; i < N(c); i++)
		free((void *)say[i].text);
}

/* Of keys that there cannot be the server is not asked. */
static void no_keys(void **state)
{
	char too_long[1026], part[259];
	const struct {
		const char *key;
		int there, read, made;
	} c[] = {
		{ too_long, -ENAMETOOLONG, -ENAMETOOLONG, -ENAMETOOLONG },
		{ part, -ENAMETOOLONG, -ENAMETOOLONG, -ENAMETOOLONG },
		{ "d/\xff", -ENOENT, -ESTALE, -EILSEQ }, { "\xff/f", -ENOENT, -ESTALE, -EILSEQ },
	};
	const struct http_say nothing = { .text = "" };
	struct datafs_fingerprint fp = fp_of("x");
	struct datafs_under_stat st;
	char names[64] = "", byte;

	(void)state;
	for (int i = 0; i < 1025; i++)
		too_long[i] = i % 200 == 199 ? '/' : 'k';
	too_long[1025] = 0;
	snprintf(part, sizeof(part), "d/%0256d", 0);
	begin(FAILED, &nothing, 0);
	for (size_t i = 0; i < N(c); i++) {
		const char *key = c[i].key;

		assert_int_equal(datafs_under_stat(u, key, &st), c[i].there);
		assert_int_equal(datafs_under_list(u, key, NULL, add_name, names), c[i].there);
		assert_int_equal(datafs_under_rmdir(u, key), c[i].there);
		assert_int_equal(datafs_under_read(u, key, &fp, 0, &byte, 1), c[i].read);
		assert_int_equal(datafs_under_put(u, key, "x", 1, NULL, NULL, NULL), c[i].made);
		assert_int_equal(datafs_under_mkdir(u, key, NULL), c[i].made);
		assert_int_equal(datafs_under_remove(u, key, NULL), c[i].made);
	}
	assert_string_equal(names, "");
	assert_int_equal(http_served(), 2);
}

/* ---- who asks ---- */

static void other_keys(void **state)
{
	char *expired = xml_answer("400 Bad Request", "<Error><Code>ExpiredToken</Code></Error>");
	const struct http_say say[] = {
		SAY("HTTP/1.1 403 Forbidden" EMPTY), SAY(IS("t", "x")),
		SAY("HTTP/1.1 403 Forbidden" EMPTY), SAY(expired), SAY(MADE),
	};
	struct datafs_under_stat st;

	(void)state;
	begin(FAILED, say, N(say));
	write_keys("KEY2");
	assert_int_equal(datafs_under_stat(u, "f", &st), 0);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EACCES);
	write_keys("KEY3");
	assert_int_equal(put(DATAFS_UNDER_ANY, NULL), 0);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 2 + N(say));
	assert_non_null(strstr(http_asked(2), "Credential=KEY1/"));
	assert_non_null(strstr(http_asked(3), "Credential=KEY2/"));
	assert_non_null(strstr(http_asked(5), "Credential=KEY2/"));
	assert_non_null(strstr(http_asked(6), "Credential=KEY3/"));
	free(expired);
}

/* Of what a server says, that which it was sent in confidence is not in the log. */
static void secrets(void **state)
{
	static const char *const echo[] = {
		"no such Signature=0123456789abcdef", "no such token: 0123456789ABCDEFGHI",
		"a word and 0123456789ABCDEF", "no secret",
	};
	struct datafs_under_stat st;
	struct http_say say[2 * N(echo)];
	char *text[N(echo)], *body, log[512];
	FILE *f;

	(void)state;
	f = fopen(keys, "a");
	fprintf(f, "aws_session_token=0123456789ABCDEFGHIJKLMNOP\n");
	fclose(f);
	for (size_t i = 0; i < N(echo); i++) {
		assert_true(asprintf(&body, "<Error><Code>Said</Code><Message>%s</Message></Error>",
				     echo[i]) > 0);
		text[i] = xml_answer("400 Bad Request", body);
		free(body);
		say[2 * i] = (struct http_say){ .text = "HTTP/1.1 404 Not Found" EMPTY };
		say[2 * i + 1] = (struct http_say){ .text = text[i] };
	}
	begin(NULL, say, N(say));
	for (size_t i = 0; i < N(echo); i++) {
		assert_int_equal(datafs_under_stat(u, "f", &st), -EIO);
		datafs_log_last_error(log, sizeof(log));
		assert_non_null(strstr(log, "Said: "));
		assert_non_null(strstr(log, i < 3 ? "(has a secret in it)" : "no secret"));
		assert_null(strstr(log, "0123456789"));
	}
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 1 + N(say));
	for (size_t i = 0; i < N(echo); i++)
		free(text[i]);
}

/* Who pays, with what token; and who is nobody. */
static void headers(void **state)
{
	const struct http_say say[] = { SAY(IS("t", "x")) };
	struct datafs_under_stat st;
	FILE *f;

	(void)state;
	f = fopen(keys, "a");
	fprintf(f, "aws_session_token=TOKEN\n");
	fclose(f);
	opts.requester_pays = true;
	begin(NULL, say, 1);
	assert_int_equal(datafs_under_stat(u, "a b", &st), 0);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 2);
	assert_non_null(strstr(http_asked(1), "HEAD /bucket/a%20b HTTP"));
	assert_non_null(strstr(http_asked(1), "\r\nx-amz-request-payer: requester\r\n"));
	assert_non_null(strstr(http_asked(1), "\r\nx-amz-security-token: TOKEN\r\n"));
	assert_non_null(strstr(http_asked(1), "x-amz-request-payer;x-amz-security-token"));

	opts = datafs_under_opts_default;
	opts.endpoint = http_base;
	opts.anonymous = true;
	begin(NULL, say, 1);
	assert_int_equal(datafs_under_stat(u, "f", &st), 0);
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(http_served(), 2);
	assert_null(strstr(http_asked(1), "Authorization"));
	assert_null(strstr(http_asked(1), "x-amz-"));
}

static void sources(void **state)
{
	static const char *const bad[] = {
		"s3://", "s3://ab", "s3:///x", "s3://bucket/a//b", "s3://bucket/../x", "s3://b@d/x",
		"s3://bucket/a\xff",
	};
	static char ends[][32] = { "ftp://x", "https://", "http://user:pw@host", "http://h/p", "h" };
	struct datafs_under *o = NULL;

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(datafs_under_open(bad[i], &opts, &o), -EINVAL);
	for (size_t i = 0; i < N(ends); i++) {
		opts.endpoint = ends[i];
		assert_int_equal(datafs_under_open("s3://bucket", &opts, &o), -EINVAL);
	}
	opts.endpoint = http_base;
	opts.anonymous = true;
	assert_int_equal(datafs_under_open("s3://bucket", &opts, &o), -EINVAL);
	assert_null(o);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(caps),
		T(conditions),
		T(lost),
		T(lost_uploads),
		T(reads),
		T(streams),
		T(listings),
		T(rmdirs),
		T(no_keys),
		T(other_keys),
		T(headers),
		T(secrets),
		T(sources),
	};
	int ret = cmocka_run_group_tests_name("http_s3", tests, NULL, NULL);

	free(list_of_none);
	return ret;
}
