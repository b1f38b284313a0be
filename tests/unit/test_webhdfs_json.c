// SPDX-License-Identifier: Apache-2.0
/* What WebHDFS answers, and what it should not. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "under/webhdfs_json.h"

/* As Hadoop's page has them, with more or less of each. */
#define FILE_OF(name, more)	"{\"accessTime\":1320171722771,\"blockSize\":33554432," \
				"\"group\":\"supergroup\",\"length\":24930,\"modificationTime\":1320171722772," \
				"\"owner\":\"webuser\",\"pathSuffix\":\"" name "\",\"permission\":\"644\"," \
				"\"replication\":1,\"type\":\"FILE\"" more "}"
#define DIR_OF(name)		"{\"accessTime\":0,\"blockSize\":0,\"group\":\"supergroup\",\"length\":0," \
				"\"modificationTime\":1320895981256,\"owner\":\"szetszwo\",\"pathSuffix\":\"" name \
				"\",\"permission\":\"1711\",\"replication\":0,\"type\":\"DIRECTORY\"," \
				"\"childrenNum\":2,\"fileId\":16386}"
#define STATUS(s)		"{\"FileStatus\":" s "}"
#define STATUSES(s)		"{\"FileStatuses\":{\"FileStatus\":[" s "]}}"
#define BATCH(s, n)		"{\"DirectoryListing\":{\"partialListing\":" STATUSES(s) ",\"remainingEntries\":" n "}}"

static void one(void **state)
{
	static const char file[] = STATUS(FILE_OF("", ",\"fileId\":16387"));
	static const char dir[] = STATUS(DIR_OF(""));
	struct webhdfs_statuses l;

	(void)state;
	assert_int_equal(datafs_webhdfs_status(file, strlen(file), &l), 0);
	assert_false(l.v->dir);
	assert_int_equal(l.v->file_id, 16387);
	assert_int_equal(l.v->length, 24930);
	assert_int_equal(l.v->mtime, 1320171722772);
	assert_int_equal(l.v->atime, 1320171722771);
	assert_int_equal(l.v->mode, 0644);
	assert_string_equal(l.v->owner, "webuser");
	assert_string_equal(l.v->group, "supergroup");
	datafs_webhdfs_statuses_free(&l);
	assert_int_equal(datafs_webhdfs_status(dir, strlen(dir), &l), 0);
	assert_true(l.v->dir);
	assert_int_equal(l.v->mode, 01711);
	assert_int_equal(l.v->length, 0);
	assert_int_equal(l.v->children, 2);
	datafs_webhdfs_statuses_free(&l);
	/* of HDFS 2.0 */
	assert_int_equal(datafs_webhdfs_status(STATUS(FILE_OF("", "")),
					       strlen(STATUS(FILE_OF("", ""))), &l), 0);
	assert_int_equal(l.v->file_id, 0);
	datafs_webhdfs_statuses_free(&l);
}

#define OF(member)	"{\"FileStatus\":{" member "\"owner\":\"o\",\"group\":\"g\",\"pathSuffix\":\"\"}}"
#define GOOD		"\"type\":\"FILE\",\"permission\":\"644\",\"modificationTime\":1,"

static void broken(void **state)
{
	static const char *const bad[] = {
		"", "x", "[]", "{}", "{\"FileStatus\":1}", "{\"FileStatus\":{}}", "{\"FileStatus\":[]}",
		"null", STATUS(FILE_OF("", "")) "x", "{\"FileStatus\":{},\"FileStatus\":{}}",
		OF(GOOD), OF(GOOD "\"length\":-1,"), OF(GOOD "\"length\":1.5,"),
		OF(GOOD "\"length\":\"1\","), OF(GOOD "\"length\":99999999999999999999,"),
		OF(GOOD "\"length\":1,\"fileId\":-5,"), OF(GOOD "\"length\":1,\"accessTime\":null,"),
		OF("\"type\":1,\"permission\":\"644\",\"modificationTime\":1,\"length\":1,"),
		OF("\"type\":\"FILE\",\"permission\":644,\"modificationTime\":1,\"length\":1,"),
		OF("\"type\":\"FILE\",\"permission\":\"\",\"modificationTime\":1,\"length\":1,"),
		OF("\"type\":\"FILE\",\"permission\":\"10000\",\"modificationTime\":1,\"length\":1,"),
		OF("\"type\":\"FILE\",\"permission\":\"-1\",\"modificationTime\":1,\"length\":1,"),
		OF("\"type\":\"FILE\",\"permission\":\"648\",\"modificationTime\":1,\"length\":1,"),
	};
	struct webhdfs_statuses l;
	bool yes;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(datafs_webhdfs_status(bad[i], strlen(bad[i]), &l), -EPROTO);
		assert_null(l.v);
		assert_int_equal(datafs_webhdfs_list(bad[i], strlen(bad[i]), &l), -EPROTO);
		assert_int_equal(datafs_webhdfs_boolean(bad[i], strlen(bad[i]), &yes), -EPROTO);
		assert_false(yes);
	}
	assert_int_equal(datafs_webhdfs_status(NULL, 0, &l), -EPROTO);
	assert_int_equal(datafs_webhdfs_boolean("{\"boolean\":1}", 13, &yes), -EPROTO);
	assert_int_equal(datafs_webhdfs_boolean("{\"boolean\":true}", 16, &yes), 0);
	assert_true(yes);
	assert_int_equal(datafs_webhdfs_boolean("{\"boolean\":false}", 17, &yes), 0);
	assert_false(yes);
}

static void lists(const char *text, int err, const char *want, size_t skipped, bool more)
{
	struct webhdfs_statuses l;
	char got[1024] = "";

	assert_int_equal(datafs_webhdfs_list(text, strlen(text), &l), err);
	for (size_t i = 0; i < l.n; i++) {
		strcat(got, i ? "|" : "");
		strcat(got, l.v[i].name);
		strcat(got, l.v[i].dir ? "/" : "");
	}
	assert_string_equal(got, want);
	assert_int_equal(l.skipped, skipped);
	assert_int_equal(l.more, more);
	datafs_webhdfs_statuses_free(&l);
}

static void many(void **state)
{
	(void)state;
	lists(STATUSES(""), 0, "", 0, false);
	lists(STATUSES(FILE_OF("b", "") "," DIR_OF("a") "," FILE_OF("\xc3\xbc", "")), 0, "a/|b|\xc3\xbc", 0, false);
	lists(STATUSES(FILE_OF("", "")), 0, "", 0, false);
	lists(BATCH("", "0"), 0, "", 0, false);
	lists(BATCH(FILE_OF("a", "") "," FILE_OF("b", ""), "7"), 0, "a|b", 0, true);
	/* It would begin there again and again. */
	lists(BATCH("", "7"), -EPROTO, "", 0, false);
	lists(BATCH(FILE_OF("a", ""), "-1"), -EPROTO, "", 0, false);
	lists("{\"DirectoryListing\":{\"partialListing\":" STATUSES("") "}}", -EPROTO, "", 0, false);
	/* what cannot be shown */
	lists(STATUSES(FILE_OF("a/b", "") "," FILE_OF("..", "") "," DIR_OF(".") "," FILE_OF("", "") ","
		       FILE_OF("c", "")), 0, "c", 4, false);
	lists(STATUSES("{\"length\":0,\"modificationTime\":1,\"owner\":\"o\",\"group\":\"g\",\"pathSuffix\":\"l\",\n"
		       "\"permission\":\"777\",\"type\":\"SYMLINK\"}"), 0, "", 1, false);
	/* one that is broken is not left out: it would be taken for absent */
	lists(STATUSES(FILE_OF("a", "") ",{}"), -EPROTO, "", 0, false);
	lists(STATUSES(FILE_OF("a", "") "," FILE_OF("a", "")), -EPROTO, "", 0, false);
	lists(STATUSES(FILE_OF("a\\u0000b", "")), -EPROTO, "", 0, false);
}

static void says(const char *name, const char *message, int err, const char *want)
{
	char text[600], why[60];

	snprintf(text, sizeof(text), "{\"RemoteException\":{\"exception\":\"%s\",\"javaClassName\":\"x\",\"message\":\"%s\"}}",
		 name, message);
	assert_int_equal(datafs_webhdfs_exception(text, strlen(text), why, sizeof(why)), err);
	assert_string_equal(why, want);
}

static void exceptions(void **state)
{
	static const char *const none[] = {
		"", "x", "{}", "<html>", "{\"RemoteException\":{}}", "{\"RemoteException\":{\"exception\":1}}",
	};
	char why[60];

	(void)state;
	says("FileNotFoundException", "File does not exist: /foo/a.patch", -ENOENT,
	     "FileNotFoundException: File does not exist: /foo/a.patch");
	says("AccessControlException", "Permission denied", -EACCES, "AccessControlException: Permission denied");
	says("FSLimitException$PathComponentTooLongException", "", -ENAMETOOLONG,
	     "FSLimitException$PathComponentTooLongException: ");
	says("PathIsNotEmptyDirectoryException", "x", -ENOTEMPTY, "PathIsNotEmptyDirectoryException: x");
	says("DSQuotaExceededException", "x", -EDQUOT, "DSQuotaExceededException: x");
	says("StandbyException", "x\\n\\tat java", -EHOSTDOWN, "StandbyException: x");
	says("Some\\nthing", "x", -EIO, "Some");
	says("IOException", "x", -EIO, "IOException: x");
	says("IOException", "rename destination directory is not empty: /d", -ENOTEMPTY,
	     "IOException: rename destination directory is not empty: /d");
	says("SomethingNew", "x", -EIO, "SomethingNew: x");
	says("IOException", "012345678901234567890123456789012345678901234567890123456789", -EIO,
	     "IOException: 0123456789012345678901234567890123456789012345");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_int_equal(datafs_webhdfs_exception(none[i], strlen(none[i]), why, sizeof(why)), 0);
		assert_string_equal(why, "");
	}
	assert_int_equal(datafs_webhdfs_exception(NULL, 0, why, sizeof(why)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one),
		cmocka_unit_test(broken),
		cmocka_unit_test(many),
		cmocka_unit_test(exceptions),
	};

	return cmocka_run_group_tests_name("webhdfs_json", tests, NULL, NULL);
}
