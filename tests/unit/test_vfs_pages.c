// SPDX-License-Identifier: Apache-2.0
/* A directory whose listing takes several requests is listed no further than it is read. */
#define _GNU_SOURCE
#include "http_fixture.h"
#include "vfs_fixture.h"

#include <unistd.h>

#define N(a)	(sizeof(a) / sizeof((a)[0]))
#define MOUNT	7

#define LAST(s)	"<ListBucketResult><IsTruncated>false</IsTruncated>" s "</ListBucketResult>"
#define MORE(s)	"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" \
		s "</ListBucketResult>"
#define KEY(k)	"<Contents><Key>" k "</Key><LastModified>2009-10-12T17:50:30Z</LastModified>" \
		"<ETag>x</ETag><Size>3</Size></Contents>"
#define PREFIX(k)	"<CommonPrefixes><Prefix>" k "</Prefix></CommonPrefixes>"

static struct http_say say[8];
static uint64_t bucket;

static void begin(const char *const *pages, size_t n)
{
	char options[200];
	struct datafs_attr attr;

	for (size_t i = 0; i < n; i++) {
		char *s;

		assert_true(asprintf(&s, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
				     strlen(pages[i]), pages[i]) > 0);
		say[i] = (struct http_say){ .text = s };
	}
	http_serve(say, n);
	snprintf(options, sizeof(options), "endpoint=%s,anonymous,read_only,sync_interval=60",
		 http_base);
	assert_int_equal(mount_as(MOUNT, "s3://bucket", options, &attr), 0);
	bucket = attr.ino;
}

static size_t end(void)
{
	size_t n = http_served();

	umount_id(MOUNT);
	for (size_t i = 0; i < N(say); i++)
		free((void *)say[i].text);
	memset(say, 0, sizeof(say));
	return n;
}

/* The names after *@cookie that one upcall tells; at the end "$" after them. */
static const char *names_from(uint64_t *cookie)
{
	struct datafs_readdir_req req = { .cookie = *cookie, .max = 65536 };
	static char names[200];
	struct answer a = up_flags(DATAFS_OP_READDIR, MOUNT, bucket, &req, NULL, 0);
	const struct datafs_readdir_rep *rep = (void *)a.out;
	const char *p = (const char *)(rep + 1);

	*names = 0;
	assert_int_equal(a.err, 0);
	for (uint32_t i = 0; i < rep->count; i++) {
		const struct datafs_dirent *de = (const void *)p;

		sprintf(names + strlen(names), "%.*s ", (int)de->namelen, (const char *)(de + 1));
		*cookie = de->cookie;
		p += sizeof(*de) + datafs_round_up(de->namelen, 8);
	}
	if (rep->flags & DATAFS_READDIR_EOF)
		strcat(names, "$");
	free(a.out);
	return names;
}

static void test_pages(void **state)
{
	static const char *const pages[] = {
		LAST(""),	/* of the mount */
		MORE(KEY("a") KEY("b")),
		/* its last key cannot be shown: it is no place to go on from */
		MORE(KEY("c") PREFIX("c/")),
		LAST(KEY("e")),
	};
	uint64_t cookie = 0;

	(void)state;
	begin(pages, N(pages));
	assert_string_equal(names_from(&cookie), "a b ");
	assert_int_equal(stat_value("under_requests_list"), 2);
	assert_string_equal(names_from(&cookie), "c e $");
	assert_int_equal(stat_value("under_requests_list"), 4);
	cookie = 0;
	assert_string_equal(names_from(&cookie), "a b c e $");
	assert_int_equal(end(), N(pages));
	assert_non_null(strstr(http_asked(2), "start-after=b "));
	assert_non_null(strstr(http_asked(3), "continuation-token=t"));
}

/* A page that fails is an error for who reads on; and then it is asked for again. */
static void test_broken(void **state)
{
	static const char *const pages[] = {
		LAST(""),
		MORE(KEY("a") KEY("b")),
		"not a list",
		MORE(KEY("a") KEY("b")),
		LAST(KEY("c")),
	};
	struct datafs_readdir_req req = { .max = 65536 };
	uint64_t cookie = 0;
	struct answer a;

	(void)state;
	begin(pages, N(pages));
	assert_string_equal(names_from(&cookie), "a b ");
	req.cookie = cookie;
	a = up_flags(DATAFS_OP_READDIR, MOUNT, bucket, &req, NULL, 0);
	assert_int_equal(a.err, -EPROTO);
	free(a.out);
	assert_string_equal(names_from(&cookie), "c $");
	assert_int_equal(end(), N(pages));
}

/* All of it, for who says that something was changed. */
static void test_whole(void **state)
{
	static const char *const pages[] = {
		LAST(""),
		MORE(KEY("a") KEY("b")),
		MORE(KEY("a")),
		LAST(KEY("c")),
	};
	uint64_t cookie = 0;

	(void)state;
	begin(pages, N(pages));
	assert_string_equal(names_from(&cookie), "a b ");
	usleep(1010000);
	assert_int_equal(datafs_vfs_invalidate(v, MOUNT, bucket), 0);
	cookie = 0;
	assert_string_equal(names_from(&cookie), "a c $");
	assert_int_equal(end(), N(pages));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VFS_TEST(test_pages),
		VFS_TEST(test_broken),
		VFS_TEST(test_whole),
	};

	return cmocka_run_group_tests_name("vfs_pages", tests, NULL, NULL);
}
