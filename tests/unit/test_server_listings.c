// SPDX-License-Identifier: Apache-2.0
/*
 * A directory of an under-store is listed once for two daemons of one quorum: each request
 * that the store gets is counted, and none more than it is told to answer.
 */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "http_fixture.h"
#include "metad/ns.h"
#include "server_mounts.h"
#include "vfs/share_page.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))
#define OPERATOR	2001u	/* the session of who has the cluster's key */

#define LAST(s)	"<ListBucketResult><IsTruncated>false</IsTruncated>" s "</ListBucketResult>"
#define MORE(s)	"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" \
		s "</ListBucketResult>"
#define KEY(k)	"<Contents><Key>" k "</Key><LastModified>2009-10-12T17:50:30Z</LastModified>" \
		"<ETag>x</ETag><Size>3</Size></Contents>"

static struct {
	struct datafs_vfs *v;	/* NULL: it does not run */
	struct datafs_pool *pool;
	char dir[4200];
	uint64_t bucket;
} daemons[2];

static struct http_say say[16];
static uint64_t operators;

static void use(unsigned int i)
{
	v = daemons[i].v;
	pool = daemons[i].pool;
	strcpy(cache_dir, daemons[i].dir);
}

static void change(struct req r)
{
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Reply *reply;
	Metad__Result *res;
	uint8_t buf[1024];

	r.session = OPERATOR;
	r.request = r.lowest = ++operators;
	ask.what_case = METAD__ASK__WHAT_COMMAND;
	ask.command.data = req_pack_command(&r, &ask.command.len);
	assert_int_equal(datafs_remote_call(admin, buf, metad__ask__pack(&ask, buf),
					    DATAFS_REMOTE_LEADER, 60000, &reply), 0);
	free(ask.command.data);
	assert_int_equal(reply->error, 0);
	res = metad__result__unpack(NULL, reply->result.len, reply->result.data);
	assert_int_equal(res->error, 0);
	metad__result__free_unpacked(res, NULL);
	metad__reply__free_unpacked(reply, NULL);
}

static void wait_for_level(void)
{
	uint32_t level = first_level ? first_level : DATAFS_METAD_LEVEL;
	Metad__Status st;

	for (unsigned int i = 0; i < 1000; i++) {
		if (status_of(leader(), &st) && st.feature_level == level)
			return;
		pause_ms(20);
	}
	fail_msg("the level does not rise");
}

static int setup(void **state)
{
	if (mounts_setup(state))
		return -1;
	memset(daemons, 0, sizeof(daemons));
	daemons[0].v = v;
	daemons[0].pool = pool;
	strcpy(daemons[0].dir, cache_dir);
	snprintf(cache_dir, sizeof(cache_dir), "%s/other", top);
	assert_int_equal(mkdir(cache_dir, 0700), 0);
	begin(NULL);
	daemons[1].v = v;
	daemons[1].pool = pool;
	strcpy(daemons[1].dir, cache_dir);
	operators = 0;
	wait_for_level();
	change((struct req){ OP(SESSION_OPEN) });
	return 0;
}

static int setup_before(void **state)
{
	int ret;

	first_level = DATAFS_METAD_LEVEL_LISTING - 1;
	ret = setup(state);
	first_level = 0;
	return ret;
}

static void leave(unsigned int i)
{
	use(i);
	end();
	daemons[i].v = NULL;
}

/* The last of them is ended by mounts_teardown(). */
static int teardown(void **state)
{
	if (daemons[0].v && daemons[1].v)
		leave(1);
	use(daemons[0].v ? 0 : 1);
	return mounts_teardown(state);
}

#define SHARE_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What the store answers to each request, in their order. */
static void store_says(const char *const *pages, size_t n)
{
	char options[200];

	for (size_t i = 0; i < n; i++) {
		char *s;

		assert_true(asprintf(&s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
				     strlen(pages[i]), pages[i]) > 0);
		say[i] = (struct http_say){ .text = s, .then = THEN_CLOSE };
	}
	http_serve(say, n);
	snprintf(options, sizeof(options), "endpoint=%s,anonymous,read_only,sync_interval=600",
		 http_base);
	change((struct req){ OP(MOUNT_ADD), .name = "/m", .source = "s3://bucket",
			     .options = options });
}

static size_t store_ends(void)
{
	size_t n = http_served();

	for (size_t i = 0; i < N(say); i++)
		free((void *)say[i].text);
	memset(say, 0, sizeof(say));
	return n;
}

static void mount_at(unsigned int i)
{
	struct datafs_attr root;

	use(i);
	assert_int_equal(mount_as(1 + i, source, &root), 0);
	assert_int_equal(find(1 + i, "m", &daemons[i].bucket), 0);
}

/* The names after *@cookie that one upcall tells; at the end "$" after them; or the error. */
static const char *names_at(unsigned int i, uint64_t *cookie)
{
	struct datafs_readdir_req req = { .cookie = *cookie, .max = 60000 };
	static char names[65536];
	static uint64_t buf[8192];
	const struct datafs_readdir_rep *rep = (void *)buf;
	const char *p = (const char *)(rep + 1);
	int ret;

	use(i);
	*names = 0;
	ret = up(DATAFS_OP_READDIR, 1 + i, 0, daemons[i].bucket, &req, NULL, buf, sizeof(buf));
	if (ret) {
		snprintf(names, sizeof(names), "%d", ret);
		return names;
	}
	for (uint32_t k = 0; k < rep->count; k++) {
		const struct datafs_dirent *de = (const void *)p;

		sprintf(names + strlen(names), "%.*s ", (int)de->namelen, (const char *)(de + 1));
		*cookie = de->cookie;
		p += sizeof(*de) + datafs_round_up(de->namelen, 8);
	}
	if (rep->flags & DATAFS_READDIR_EOF)
		strcat(names, "$");
	return names;
}

/* "TAKEN PUT ALONE" */
static const char *counted(unsigned int i)
{
	static char text[80];

	snprintf(text, sizeof(text), "%llu %llu %llu", atomic_load(&daemons[i].v->listings_taken),
		 atomic_load(&daemons[i].v->listings_put),
		 atomic_load(&daemons[i].v->listings_alone));
	return text;
}

/* One after the other: what the first one got the second does not ask for. */
static void test_published(void **state)
{
	static const char *const pages[] = {
		LAST(""),	/* the first one's branch is opened */
		MORE(KEY("a") KEY("b")), MORE(KEY("c")), LAST(KEY("d")),
		LAST(""),	/* ... the second one's */
	};
	uint64_t cookie = 0;

	(void)state;
	store_says(pages, N(pages));
	mount_at(0);
	assert_string_equal(names_at(0, &cookie), "a b ");
	assert_string_equal(names_at(0, &cookie), "c ");
	assert_string_equal(names_at(0, &cookie), "d $");
	mount_at(1);
	cookie = 0;
	assert_string_equal(names_at(1, &cookie), "a b ");
	assert_string_equal(names_at(1, &cookie), "c ");
	assert_string_equal(names_at(1, &cookie), "d $");
	assert_int_equal(store_ends(), N(pages));
	assert_string_equal(counted(0), "0 1 0");
	assert_string_equal(counted(1), "1 0 0");
}

/* At one time: the second one has each page as soon as the first one has it. */
static void test_coming(void **state)
{
	static const char *const pages[] = {
		LAST(""), MORE(KEY("a") KEY("b")), LAST(""), MORE(KEY("c")), LAST(KEY("d")),
	};
	uint64_t cookie = 0, other = 0;

	(void)state;
	store_says(pages, N(pages));
	mount_at(0);
	assert_string_equal(names_at(0, &cookie), "a b ");
	mount_at(1);
	assert_string_equal(names_at(1, &other), "a b ");
	assert_string_equal(names_at(0, &cookie), "c ");
	assert_string_equal(names_at(1, &other), "c ");
	assert_string_equal(names_at(0, &cookie), "d $");
	assert_string_equal(names_at(1, &other), "d $");
	assert_int_equal(store_ends(), N(pages));
	assert_string_equal(counted(0), "0 1 0");
	assert_string_equal(counted(1), "1 0 0");
}

/* Who has the ticket is gone in the middle: the other one takes it, and begins anew. */
static void test_lost(void **state)
{
	static const char *const pages[] = {
		LAST(""), MORE(KEY("a") KEY("b")), LAST(""),
		MORE(KEY("a") KEY("b")), LAST(KEY("c")),
	};
	uint64_t cookie = 0;

	(void)state;
	store_says(pages, N(pages));
	mount_at(0);
	assert_string_equal(names_at(0, &cookie), "a b ");
	leave(0);
	mount_at(1);
	cookie = 0;
	assert_string_equal(names_at(1, &cookie), "a b ");
	assert_string_equal(names_at(1, &cookie), "c $");
	assert_int_equal(store_ends(), N(pages));
	assert_string_equal(counted(1), "0 1 0");
}

/* Of the first ticket's first page: 0, or the errno. */
static int first_page(void)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__ListingPage page = METAD__LISTING_PAGE__INIT;
	Metad__Answer *a;
	int err;

	q.of_case = METAD__QUERY__OF_LISTING_PAGE;
	q.listing_page = &page;
	page.has_number = true;
	page.number = 1;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	err = (int)a->error;
	assert_true(err || a->has_data);
	metad__answer__free_unpacked(a, NULL);
	return err;
}

/* The store's error is the first one's alone, and nobody takes anything for gone. */
static void test_error(void **state)
{
	static const char *const pages[] = {
		LAST(""), MORE(KEY("a") KEY("b")), LAST(""), "not a list",
		MORE(KEY("a") KEY("b")), LAST(KEY("c")),
	};
	uint64_t cookie = 0, other = 0;
	char error[16];

	(void)state;
	store_says(pages, N(pages));
	mount_at(0);
	assert_string_equal(names_at(0, &cookie), "a b ");
	mount_at(1);
	assert_string_equal(names_at(1, &other), "a b ");
	snprintf(error, sizeof(error), "%d", -EPROTO);
	assert_int_equal(first_page(), 0);
	assert_string_equal(names_at(0, &cookie), error);
	assert_int_equal(first_page(), ESTALE);
	assert_string_equal(names_at(1, &other), "c $");
	/* and then it is shared again */
	assert_string_equal(names_at(0, &cookie), "c $");
	assert_int_equal(store_ends(), N(pages));
	assert_string_equal(counted(0), "1 0 0");
	assert_string_equal(counted(1), "0 1 0");
}

/*
 * A listing that was begun for a mount, and is gone on with for the next one, which shows the
 * same: nothing of the first one is used any more. @puts: it is the one who has the ticket.
 */
static void goes_on(bool puts)
{
	static const char *const pages[] = {
		LAST(""), MORE(KEY("a") KEY("b")), LAST(""), MORE(KEY("c")), LAST(KEY("d")),
	};
	static const char *const others[] = {
		LAST(""), MORE(KEY("a") KEY("b")), MORE(KEY("c")), LAST(KEY("d")),
		LAST(""), LAST(""),
	};
	unsigned int i = !puts;
	uint64_t cookie = 0, was;

	if (puts) {
		store_says(pages, N(pages));
	} else {
		store_says(others, N(others));
		mount_at(0);
		while (!strchr(names_at(0, &cookie), '$'))
			;
	}
	mount_at(i);
	cookie = 0;
	assert_string_equal(names_at(i, &cookie), "a b ");
	umount_id(1 + i);
	was = daemons[i].bucket;
	mount_at(i);
	assert_int_equal(daemons[i].bucket, was);
	assert_string_equal(names_at(i, &cookie), "c ");
	assert_string_equal(names_at(i, &cookie), "d $");
	assert_int_equal(store_ends(), puts ? N(pages) : N(others));
	/* the ticket ended with its session, but what is published is anybody's */
	assert_string_equal(counted(i), puts ? "0 0 1" : "1 0 0");
}

static void test_goes_on_putting(void **state)
{
	(void)state;
	goes_on(true);
}

static void test_goes_on_taking(void **state)
{
	(void)state;
	goes_on(false);
}

/* Who says that something was changed has the store asked. */
static void test_on_demand(void **state)
{
	static const char *const pages[] = {
		LAST(""), MORE(KEY("a") KEY("b")), LAST(KEY("c")), LAST(""),
		MORE(KEY("a")), LAST(KEY("d")),
	};
	uint64_t cookie = 0;

	(void)state;
	store_says(pages, N(pages));
	mount_at(0);
	assert_string_equal(names_at(0, &cookie), "a b ");
	assert_string_equal(names_at(0, &cookie), "c $");
	mount_at(1);
	cookie = 0;
	assert_string_equal(names_at(1, &cookie), "a b ");
	assert_string_equal(names_at(1, &cookie), "c $");
	/* so that no ms of its age is left out */
	pause_ms(5);
	assert_int_equal(datafs_vfs_invalidate(v, 2, daemons[1].bucket), 0);
	cookie = 0;
	assert_string_equal(names_at(1, &cookie), "a d $");
	assert_int_equal(store_ends(), N(pages));
	assert_string_equal(counted(0), "0 1 0");
	assert_string_equal(counted(1), "1 1 0");
}

/* A quorum that has no shared listings, or not yet, is tried once in a while, and no more. */
static void test_before(void **state)
{
	static const char *const pages[] = {
		LAST(""), MORE(KEY("a") KEY("b")), LAST(KEY("c")),
		LAST(""), MORE(KEY("a") KEY("b")), LAST(KEY("c")), LAST(KEY("d")),
	};
	uint64_t cookie = 0;

	(void)state;
	store_says(pages, N(pages));
	for (unsigned int i = 0; i < 2; i++) {
		mount_at(i);
		cookie = 0;
		assert_string_equal(names_at(i, &cookie), "a b ");
		assert_string_equal(names_at(i, &cookie), "c $");
		assert_string_equal(counted(i), "0 0 1");
	}
	pause_ms(5);
	assert_int_equal(datafs_vfs_invalidate(v, 2, daemons[1].bucket), 0);
	assert_string_equal(counted(1), "0 0 2");
	assert_int_equal(store_ends(), N(pages));
}

/* More names than a page of the quorum has room for, of one of the store. */
static void test_many(void **state)
{
	static char page[200000];
	const char *const pages[] = { LAST(""), page, LAST("") };
	struct datafs_attr attr;
	char name[16];
	uint64_t cookie, ino;
	unsigned int n;

	(void)state;
	strcpy(page, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (unsigned int i = 0; i < 1000; i++)
		sprintf(page + strlen(page), "<Contents><Key>f%03u</Key><LastModified>2009-10-12T17:50:30Z</LastModified><ETag>%u</ETag><Size>%u</Size></Contents>",
			i, i, i);
	strcat(page, "</ListBucketResult>");
	store_says(pages, N(pages));
	for (unsigned int i = 0; i < 2; i++) {
		mount_at(i);
		for (n = 0, cookie = 0; ; n++) {
			const char *names = names_at(i, &cookie);

			if (strchr(names, '$'))
				break;
			assert_true(n < 1000);
		}
		for (unsigned int k = 0; k < 1000; k += 111) {
			struct datafs_entry e;

			snprintf(name, sizeof(name), "f%03u", k);
			assert_int_equal(up(DATAFS_OP_LOOKUP, 1 + i, 0, daemons[i].bucket, NULL,
					    name, &e, sizeof(e)), 0);
			ino = e.attr.ino;
			assert_int_equal(up(DATAFS_OP_GETATTR, 1 + i, 0, ino, NULL, NULL, &attr,
					    sizeof(attr)), 0);
			assert_int_equal(attr.size, k);
			assert_int_equal(attr.mtime, 1255369830);
		}
	}
	assert_int_equal(store_ends(), N(pages));
	assert_string_equal(counted(0), "0 1 0");
	assert_string_equal(counted(1), "1 0 0");
}

static int keep(void *arg, const char *name, const struct datafs_under_stat *st)
{
	char *to = arg;

	sprintf(to + strlen(to), "%.3s:%zu:%llu ", name, strlen(name),
		st ? (unsigned long long)st->size : 0);
	return 0;
}

static const struct datafs_under_stat some = {
	.file_id = 1, .size = 2, .blocks = 3, .atime = { 4, 5 }, .mtime = { -6, 7 },
	.ctime = { 8, 9 }, .btime = { 10, 11 }, .mode = S_IFREG | 0644, .nlink = 12, .uid = 13,
	.gid = 14, .rdev_major = 15, .rdev_minor = 16, .has_btime = true, .has_acl = true,
	.strong = true, .fp = { { 17, 18, 19, 20, 21, UINT64_MAX } }, .seen = { 22, 999999999 },
};

static int same(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)name;
	assert_memory_equal(&st->fp, &some.fp, sizeof(some.fp));
	assert_true(st->file_id == 1 && st->size == 2 && st->blocks == 3 && st->nlink == 12);
	assert_true(st->atime.tv_nsec == 5 && st->mtime.tv_sec == -6 && st->ctime.tv_sec == 8);
	assert_true(st->btime.tv_sec == 10 && st->seen.tv_nsec == 999999999 && st->gid == 14);
	assert_true(st->uid == 13 && st->rdev_major == 15 && st->rdev_minor == 16);
	assert_true(st->has_btime && !st->has_xattr && st->has_acl && st->strong);
	assert_int_equal(st->mode, S_IFREG | 0644);
	++*(int *)arg;
	return 0;
}

/* Of a page each part that is not whole is refused, and what no page has. */
static void test_page(void **state)
{
	static struct vfs_share_page page;
	char longest[DATAFS_NAME_MAX + 1], text[4096] = "";
	int n = 0;

	(void)state;
	memset(longest, 'l', DATAFS_NAME_MAX);
	longest[DATAFS_NAME_MAX] = '\0';
	vfs_share_page_begin(&page);
	assert_true(vfs_share_page_empty(&page));
	assert_true(vfs_share_page_add(&page, "a", &some));
	assert_int_equal(vfs_share_page_each(page.b, page.len, same, &n), 0);
	assert_int_equal(n, 1);
	assert_true(vfs_share_page_add(&page, longest, NULL));
	assert_int_equal(vfs_share_page_each(page.b, page.len, keep, text), 0);
	assert_string_equal(text, "a:1:2 lll:255:0 ");
	for (size_t len = 0; len < page.len; len++) {
		bool whole = len == 1 || len == 161;

		*text = '\0';
		assert_int_equal(vfs_share_page_each(page.b, len, keep, text),
				 whole ? 0 : -EPROTO);
	}
	for (n = 0; vfs_share_page_add(&page, longest, &some); n++)
		;
	assert_int_equal(n, (int)((DATAFS_LISTING_PAGE_MAX - 1 - 160 - 258) /
				  VFS_SHARE_ENTRY_MAX));
	/* another version, flags that nobody knows or of nothing, no names, no kind of file */
	for (unsigned int i = 0; i < 7; i++) {
		static const struct { unsigned int at; uint8_t is; } bad[] = {
			{ 0, 2 }, { 1, 0x21 }, { 161, 4 }, { 4, 0 }, { 4, '/' }, { 4, '.' },
			{ 5 + 24 + 48, 0xff },
		};
		uint8_t was = page.b[bad[i].at];

		*text = '\0';
		page.b[bad[i].at] = bad[i].is;
		if (i == 6)
			page.b[5 + 24 + 48 + 2] = 0xff;
		assert_int_equal(vfs_share_page_each(page.b, 161 + 258, keep, text), -EPROTO);
		page.b[bad[i].at] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),
		SHARE_TEST(test_published),
		SHARE_TEST(test_coming),
		SHARE_TEST(test_lost),
		SHARE_TEST(test_error),
		SHARE_TEST(test_goes_on_putting),
		SHARE_TEST(test_goes_on_taking),
		SHARE_TEST(test_on_demand),
		SHARE_TEST(test_many),
		cmocka_unit_test_setup_teardown(test_before, setup_before, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
