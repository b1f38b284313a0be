// SPDX-License-Identifier: Apache-2.0
/* What S3 answers with, and the files that say who asks. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tmpdir.h"
#include "under/s3_cred.h"
#include "under/s3_xml.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

#define HEAD	"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define TAIL	"</ListBucketResult>"
#define OBJECT(key, size, tag) \
	"<Contents><Key>" key "</Key><LastModified>2009-10-12T17:50:30.123Z</LastModified>" \
	"<ETag>" tag "</ETag><Size>" size "</Size><StorageClass>STANDARD</StorageClass></Contents>"
#define WHOLE		"<IsTruncated>false</IsTruncated>"
#define NEXT		"<NextContinuationToken>a</NextContinuationToken>"
#define PREFIX(key)	"<CommonPrefixes><Prefix>" key "</Prefix></CommonPrefixes>"

static int parse(const char *xml, struct datafs_s3_page *p)
{
	return datafs_s3_parse_list(xml, strlen(xml), p);
}

static void lists(void **state)
{
	struct datafs_s3_page p;

	(void)state;
	assert_int_equal(parse(HEAD "<Prefix>d%2F</Prefix><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>"
			       OBJECT("d/%C3%BC+%2B", "12", "&quot;abc&quot;")
			       OBJECT("d/a", "0", "abc-2")
			       PREFIX("d/e%2F") PREFIX("d/e%2F")
			       OBJECT("d/%00", "1", "x") OBJECT("d/%zz", "1", "x")
			       OBJECT("d/%FF", "1", "x") PREFIX("d/%C3%2F") TAIL, &p), 0);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.unreadable, 4);
	assert_true(p.truncated);
	assert_string_equal(p.next, "a&b");
	assert_string_equal(p.entry[0].key, "d/a");
	assert_string_equal(p.entry[0].tag, "abc-2");
	assert_int_equal(p.entry[0].mtime.tv_sec, 1255369830);
	assert_int_equal(p.entry[0].mtime.tv_nsec, 0);
	assert_true(p.entry[1].prefix);
	assert_string_equal(p.entry[1].key, "d/e/");
	assert_string_equal(p.entry[2].key, "d/\xc3\xbc +");
	assert_string_equal(p.entry[2].tag, "abc");
	assert_int_equal(p.entry[2].size, 12);
	datafs_s3_page_free(&p);
	/* Keys are what they are, where they are not encoded. */
	assert_int_equal(parse(HEAD WHOLE OBJECT("a%20+&lt;", "1", "x") TAIL, &p), 0);
	assert_string_equal(p.entry[0].key, "a%20+<");
	datafs_s3_page_free(&p);
	assert_int_equal(parse(HEAD WHOLE TAIL, &p), 0);
	assert_int_equal(p.n, 0);
	assert_false(p.truncated);
	datafs_s3_page_free(&p);
}

static void no_lists(void **state)
{
	static const char *const bad[] = {
		"", "no", "<a/>", HEAD, HEAD WHOLE OBJECT("a", "1", "x"),
		HEAD WHOLE OBJECT("", "1", "x") TAIL, HEAD WHOLE OBJECT("a", "-1", "x") TAIL,
		HEAD WHOLE OBJECT("a", "99999999999999999999", "x") TAIL, HEAD WHOLE OBJECT("a", "", "x") TAIL,
		HEAD WHOLE OBJECT("a", "1", "") TAIL, HEAD WHOLE OBJECT("a", "1", "W/&quot;x&quot;") TAIL,
		HEAD WHOLE "<Contents><Key>a</Key></Contents>" TAIL, HEAD WHOLE PREFIX("") TAIL,
		HEAD WHOLE "<Contents/>" TAIL, HEAD "<IsTruncated>true</IsTruncated>" TAIL,
		HEAD TAIL, HEAD "<IsTruncated/>" TAIL, HEAD "<IsTruncated>False</IsTruncated>" TAIL,
		HEAD "<IsTruncated>1</IsTruncated>" NEXT TAIL, HEAD NEXT TAIL, HEAD WHOLE NEXT TAIL,
		HEAD WHOLE "<EncodingType>rot13</EncodingType>" TAIL,
		HEAD WHOLE "<a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a>" TAIL,
		"<!DOCTYPE a [<!ENTITY x \"y\">]>" HEAD WHOLE OBJECT("&x;", "1", "x") TAIL,
		HEAD WHOLE OBJECT("&none;", "1", "x") TAIL, HEAD WHOLE OBJECT("\xff", "1", "x") TAIL,
		"<Error><Code>NoSuchKey</Code></Error>",
	};
	struct datafs_s3_page p;
	char *xml;

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		assert_int_equal(parse(bad[i], &p), -EPROTO);
		assert_null(p.entry);
	}
	assert_true(asprintf(&xml, HEAD WHOLE OBJECT("%017000d", "1", "x") TAIL, 1) > 0);
	assert_int_equal(parse(xml, &p), -EPROTO);
	free(xml);
	assert_true(asprintf(&xml, HEAD WHOLE OBJECT("a", "1", "%0129d") TAIL, 1) > 0);
	assert_int_equal(parse(xml, &p), -EPROTO);
	free(xml);
}

static void errors(void **state)
{
	static const char xml[] = "<Error><Code>SlowDown</Code><Message>a &lt; b</Message><Region>eu-1</Region><StringToSign>secret</StringToSign></Error>";
	struct datafs_s3_error e;
	char *longer;

	(void)state;
	assert_int_equal(datafs_s3_parse_error(xml, strlen(xml), &e), 0);
	assert_string_equal(e.code, "SlowDown");
	assert_string_equal(e.message, "a < b");
	assert_string_equal(e.region, "eu-1");
	assert_int_equal(datafs_s3_parse_error("<html/>", 7, &e), -EPROTO);
	assert_int_equal(datafs_s3_parse_error(NULL, 0, &e), -EPROTO);
	assert_string_equal(e.code, "");
	assert_true(asprintf(&longer, "<Error><Code>%0400d</Code><Message>%0400d</Message></Error>",
			     1, 1) > 0);
	assert_int_equal(datafs_s3_parse_error(longer, strlen(longer), &e), 0);
	assert_int_equal(strlen(e.code), sizeof(e.code) - 1);
	assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
	free(longer);
}

static int result(const char *xml, struct datafs_s3_result *r)
{
	return datafs_s3_parse_result(xml, strlen(xml), r);
}

static void results(void **state)
{
	struct datafs_s3_result r;
	char *xml;

	(void)state;
	assert_int_equal(result("<InitiateMultipartUploadResult><Key>k</Key><UploadId>u~1</UploadId></InitiateMultipartUploadResult>", &r), 0);
	assert_string_equal(r.upload, "u~1");
	assert_int_equal(result("  <CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag></CompleteMultipartUploadResult>", &r), 0);
	assert_string_equal(r.tag, "x-2");
	assert_string_equal(r.upload, "");
	assert_int_equal(result("<CopyObjectResult><ETag>x</ETag></CopyObjectResult>", &r), 0);
	assert_string_equal(r.tag, "x");
	assert_int_equal(result("<Error><Code>InternalError</Code></Error>", &r), -EPROTO);
	assert_int_equal(result("<CopyObjectResult><ETag>x</ETag>", &r), -EPROTO);
	assert_string_equal(r.tag, "");
	assert_int_equal(result("<CopyObjectResultX><ETag>x</ETag></CopyObjectResultX>", &r), -EPROTO);
	assert_true(asprintf(&xml, "<InitiateMultipartUploadResult><UploadId>%01280d</UploadId></InitiateMultipartUploadResult>", 1) > 0);
	assert_int_equal(result(xml, &r), -EPROTO);
	free(xml);
}

/* ---- keys ---- */

static int keys_of(const char *text, const char *profile, struct datafs_s3_keys *k)
{
	return datafs_s3_cred_parse(text, strlen(text), profile, k);
}

static void profiles(void **state)
{
	static const char text[] =
		"# mine\r\n[default]\r\naws_access_key_id = A1\r\naws_secret_access_key=s/+=\r\n; other\n[ other ]\naws_access_key_id=A2\naws_secret_access_key = s2\naws_session_token = t2==\nx_security_token_expires = 2030-01-01T00:00:00Z\nregion = x\n[none]\naws_access_key_id=A3\n[profile named]\naws_access_key_id=A4\naws_secret_access_key=s4";
	struct datafs_s3_keys k;
	char *more;

	(void)state;
	assert_int_equal(keys_of(text, "default", &k), 0);
	assert_string_equal(k.id, "A1");
	assert_string_equal(k.secret, "s/+=");
	assert_string_equal(k.token, "");
	assert_int_equal(k.expires, 0);
	assert_int_equal(keys_of(text, "other", &k), 0);
	assert_string_equal(k.id, "A2");
	assert_string_equal(k.token, "t2==");
	assert_int_equal(k.expires, 1893456000);
	assert_int_equal(keys_of(text, "named", &k), 0);
	assert_string_equal(k.secret, "s4");
	assert_int_equal(keys_of(text, "none", &k), -EINVAL);
	assert_string_equal(k.id, "");
	assert_int_equal(keys_of(text, "nobody", &k), -ENOENT);
	assert_int_equal(keys_of("", "default", &k), -ENOENT);
	assert_int_equal(keys_of("[default]\naws_access_key_id=A\naws_secret_access_key=a b\n",
				 "default", &k), -EINVAL);
	assert_true(asprintf(&more, "[default]\naws_access_key_id=A\naws_secret_access_key=%0300d\n",
			     1) > 0);
	assert_int_equal(keys_of(more, "default", &k), -EINVAL);
	free(more);
}

static void write_keys(const char *path, const char *id, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "[default]\naws_access_key_id=%s\naws_secret_access_key=s-%s\n", id, id);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void files(void **state)
{
	struct datafs_under_opts o = datafs_under_opts_default;
	struct datafs_s3_cred *c = NULL;
	char dir[4096], path[4200];
	struct datafs_s3_keys k;

	(void)state;
	assert_int_equal(tmpdir_make(dir, sizeof(dir), "cred"), 0);
	snprintf(path, sizeof(path), "%s/keys", dir);
	o.credentials = path;
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), -EACCES);
	write_keys(path, "A1", 0644);
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), -EACCES);
	write_keys(path, "A1", 0640);
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), -EACCES);
	write_keys(path, "A1", 0600);
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), 0);
	datafs_s3_cred_get(c, &k);
	assert_string_equal(k.id, "A1");
	/* Refused, and still the same; then others; then none that can be read. */
	assert_false(datafs_s3_cred_again(c, &k));
	write_keys(path, "A2", 0600);
	assert_true(datafs_s3_cred_again(c, &k));
	datafs_s3_cred_get(c, &k);
	assert_string_equal(k.id, "A2");
	write_keys(path, "A3", 0644);
	assert_false(datafs_s3_cred_again(c, &k));
	datafs_s3_cred_get(c, &k);
	assert_string_equal(k.id, "A2");
	datafs_s3_cred_close(c);
	datafs_s3_cred_close(NULL);
	assert_int_equal(tmpdir_remove(dir), 0);
}

static void environment(void **state)
{
	struct datafs_under_opts o = datafs_under_opts_default;
	struct datafs_s3_cred *c = NULL;
	struct datafs_s3_keys k;
	char profile[] = "p";

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "E1", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s1", 1);
	setenv("AWS_SESSION_TOKEN", "t1", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/none/keys", 1);
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), 0);
	datafs_s3_cred_get(c, &k);
	assert_string_equal(k.id, "E1");
	assert_string_equal(k.token, "t1");
	assert_false(datafs_s3_cred_again(c, &k));
	datafs_s3_cred_close(c);
	/* A profile that is named is meant. */
	o.profile = profile;
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), -EACCES);
	o.profile = NULL;
	setenv("AWS_SECRET_ACCESS_KEY", "a b", 1);
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), -EINVAL);
	unsetenv("AWS_ACCESS_KEY_ID");
	assert_int_equal(datafs_s3_cred_open(&o, "test", &c), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(no_lists),
		cmocka_unit_test(errors),
		cmocka_unit_test(results),
		cmocka_unit_test(profiles),
		cmocka_unit_test(files),
		cmocka_unit_test(environment),
	};

	return cmocka_run_group_tests_name("s3_text", tests, NULL, NULL);
}
