// SPDX-License-Identifier: Apache-2.0
/* Shared listings: who has the ticket, which pages there are, and what gives way. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "base/util.h"
#include "metad/ns_internal.h"

#define OTHER	8	/* a session, open from the begin */
#define HOUR	3600000ull
#define LEVEL	DATAFS_METAD_LEVEL_LISTING

/* Of sessions whose ids are said; above those that the fixture makes up. */
static uint64_t asked = 1ull << 32;
static uint8_t page[DATAFS_LISTING_PAGE_MAX + 1];

struct told {
	int err;
	unsigned int state;
	uint64_t number, age;
	uint32_t pages;
};

static struct told told(struct req r)
{
	struct told t = { 0 };
	Metad__Result *res;

	r.request = r.lowest = ++asked;
	res = call(r);
	t.err = (int)res->error;
	if (res->listing) {
		t.state = res->listing->state;
		t.number = res->listing->number;
		t.pages = res->listing->pages;
		t.age = res->listing->age;
	}
	result_free(res);
	return t;
}

static struct told ticket_of(uint64_t session, uint64_t generation, const char *key,
			     uint64_t max_age)
{
	return told((struct req){ OP(LISTING_TICKET), 1, key, .generation = generation,
				  .bytes = max_age, .session = session });
}

static struct told ticket(uint64_t session, const char *key, uint64_t max_age)
{
	return ticket_of(session, 1, key, max_age);
}

static struct told put_bytes(uint64_t session, uint64_t number, uint64_t nr, const void *p,
			     size_t len, bool last)
{
	return told((struct req){ OP(LISTING_PUT), number, .to = nr, .value = p, .len = len,
				  .create = last, .session = session });
}

static struct told put(uint64_t session, uint64_t number, uint64_t nr, const char *text,
		       bool last)
{
	return put_bytes(session, number, nr, text, strlen(text), last);
}

static int drop(uint64_t session, uint64_t number)
{
	return told((struct req){ OP(LISTING_DROP), number, .session = session }).err;
}

static void assert_told(struct told t, unsigned int state, uint64_t number, uint32_t pages)
{
	assert_int_equal(t.err, 0);
	assert_int_equal(t.state, state);
	assert_int_equal(t.number, number);
	assert_int_equal(t.pages, pages);
	assert_null(metad_check(m));
}

/* "STATE PAGES TEXT", or the error. */
static void assert_page(uint64_t number, uint32_t nr, const char *want)
{
	struct datafs_metad_listing l;
	char is[256];
	uint8_t *p;
	size_t len;
	int err = datafs_metad_listing_page(m, number, nr, &l, &p, &len);

	if (err)
		snprintf(is, sizeof(is), "%d", -err);
	else
		snprintf(is, sizeof(is), "%u %u %.*s", l.state, l.pages, p ? (int)len : 1,
			 p ? (char *)p : "-");
	free(p);
	assert_string_equal(is, want);
}

static struct rec_listings all(void)
{
	struct rec_listings res;
	struct txn t;

	txn_view(&t, m->db, m->dir);
	assert_int_equal(rec_listings_get(&t, &res), 1);
	txn_end(&t);
	return res;
}

static int session_open(uint64_t id)
{
	return error_of((struct req){ OP(SESSION_OPEN), .session = id, .request = 1 });
}

static int session_close(uint64_t id)
{
	return error_of((struct req){ OP(SESSION_CLOSE), .session = id, .request = ++asked });
}

static int setup(void **state)
{
	int ret = metad_setup(state);

	if (ret)
		return ret;
	must((struct req){ OP(FEATURE), .level = LEVEL, .request = 1 });
	must((struct req){ OP(MOUNT_ADD), .name = "/m", .source = "s3://b" });
	assert_int_equal(session_open(OTHER), 0);
	return 0;
}

#define LISTING_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

static void test_published(void **state)
{
	struct told t;

	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_COMING, 1, 0);
	assert_page(1, 0, "2 0 -");
	assert_told(put(SESSION, 1, 0, "a", false), DATAFS_LISTING_YOURS, 1, 1);
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_COMING, 1, 1);
	assert_page(1, 0, "2 1 a");
	assert_page(1, 1, "2 1 -");
	assert_told(put(SESSION, 1, 1, "b", true), DATAFS_LISTING_PUBLISHED, 1, 2);
	/* the fifth entry since the ticket, of a second and a little each */
	t = ticket(OTHER, "d", HOUR);
	assert_told(t, DATAFS_LISTING_PUBLISHED, 1, 2);
	assert_int_equal(t.age, 5001);
	assert_page(1, 1, "1 2 b");
	assert_page(1, 2, "1 2 -");
	assert_page(2, 0, "116");
	/* it is published, and nobody's ticket */
	assert_int_equal(put(SESSION, 1, 2, "c", true).err, ESTALE);
	assert_int_equal(drop(SESSION, 1), ESTALE);
	reopen();
	assert_page(1, 0, "1 2 a");
	/* the session's end is none of its business */
	assert_int_equal(session_close(SESSION), 0);
	assert_page(1, 0, "1 2 a");
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_PUBLISHED, 1, 2);
	/* another directory, another state of the mount */
	assert_told(ticket(OTHER, "", HOUR), DATAFS_LISTING_YOURS, 2, 0);
	must((struct req){ OP(MOUNT_SET), .name = "/m", .options = "uid=1", .session = OTHER,
			   .request = ++asked });
	assert_told(ticket_of(OTHER, 2, "d", HOUR), DATAFS_LISTING_YOURS, 3, 0);
	/* an empty directory has one empty page */
	assert_told(put(OTHER, 3, 0, "", true), DATAFS_LISTING_PUBLISHED, 3, 1);
	assert_page(3, 0, "1 1 ");
}

/* How old it is says who looks again. */
static void test_age(void **state)
{
	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	assert_told(put(SESSION, 1, 0, "a", true), DATAFS_LISTING_PUBLISHED, 1, 1);
	/* it is 3001 ms old when the third command after the ticket asks */
	assert_told(ticket(OTHER, "d", 2001), DATAFS_LISTING_PUBLISHED, 1, 1);
	assert_told(ticket(OTHER, "d", 3000), DATAFS_LISTING_YOURS, 2, 0);
	/* what was published is there until the other one is */
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_PUBLISHED, 1, 1);
	assert_page(1, 0, "1 1 a");
	assert_told(put(OTHER, 2, 0, "b", true), DATAFS_LISTING_PUBLISHED, 2, 1);
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_PUBLISHED, 2, 1);
	assert_page(1, 0, "116");
	/* "now" takes neither what is there nor what somebody has begun */
	assert_told(ticket(SESSION, "d", 0), DATAFS_LISTING_YOURS, 3, 0);
	assert_told(ticket(OTHER, "d", 0), DATAFS_LISTING_YOURS, 4, 0);
	assert_int_equal(put(SESSION, 3, 0, "a", true).err, ESTALE);
	assert_told(put(OTHER, 4, 0, "c", true), DATAFS_LISTING_PUBLISHED, 4, 1);
	/* nor one that is coming and too old */
	assert_told(ticket(SESSION, "e", 1), DATAFS_LISTING_YOURS, 5, 0);
	assert_told(ticket(OTHER, "e", 1000), DATAFS_LISTING_YOURS, 6, 0);
	assert_page(5, 0, "116");
}

static void test_holders(void **state)
{
	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	/* not the other's */
	assert_int_equal(put(OTHER, 1, 0, "a", true).err, ESTALE);
	assert_int_equal(drop(OTHER, 1), ESTALE);
	assert_int_equal(put(SESSION, 9, 0, "a", true).err, ESTALE);
	/* in order, each once; not longer than a page */
	assert_int_equal(put(SESSION, 1, 1, "b", false).err, EINVAL);
	assert_told(put(SESSION, 1, 0, "a", false), DATAFS_LISTING_YOURS, 1, 1);
	assert_int_equal(put(SESSION, 1, 0, "a", false).err, EINVAL);
	assert_int_equal(put(SESSION, 1, 1, "", false).err, EINVAL);
	assert_int_equal(put_bytes(SESSION, 1, 1, page, sizeof(page), false).err, EINVAL);
	assert_told(put_bytes(SESSION, 1, 1, page, sizeof(page) - 1, false),
		    DATAFS_LISTING_YOURS, 1, 2);
	/* an error is not remembered */
	assert_int_equal(drop(SESSION, 1), 0);
	assert_page(1, 0, "116");
	assert_int_equal(drop(SESSION, 1), ESTALE);
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_YOURS, 2, 0);
	/* who asks again begins anew */
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_YOURS, 3, 0);
	assert_int_equal(put(OTHER, 2, 0, "a", true).err, ESTALE);
	/* what cannot be */
	assert_int_equal(ticket_of(OTHER, 0, "d", HOUR).err, EINVAL);
	assert_int_equal(ticket_of(OTHER, 2, "d", HOUR).err, EINVAL);
	assert_int_equal(told((struct req){ OP(LISTING_TICKET), 0, "d", .generation = 1,
					    .session = OTHER }).err, EINVAL);
}

/* Who waits in vain says whose ticket is over; of another one that says nothing. */
static void test_given_up(void **state)
{
	struct req r = { OP(LISTING_TICKET), 1, "d", .generation = 1, .bytes = HOUR,
			 .session = OTHER, .inodes = 2 };

	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	assert_told(told(r), DATAFS_LISTING_COMING, 1, 0);
	r.inodes = 1;
	assert_told(told(r), DATAFS_LISTING_YOURS, 2, 0);
	assert_int_equal(put(SESSION, 1, 0, "a", true).err, ESTALE);
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_COMING, 2, 0);
	assert_told(put(OTHER, 2, 0, "a", true), DATAFS_LISTING_PUBLISHED, 2, 1);
	/* nor of one that is published */
	r.inodes = 2;
	assert_told(told(r), DATAFS_LISTING_PUBLISHED, 2, 1);
}

static void test_lost(void **state)
{
	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	assert_told(put(SESSION, 1, 0, "a", false), DATAFS_LISTING_YOURS, 1, 1);
	/* with its session */
	assert_int_equal(session_close(SESSION), 0);
	assert_page(1, 0, "116");
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_YOURS, 2, 0);
	/* without progress: 60 s after the last page, but not at 60 s */
	assert_told(put(OTHER, 2, 0, "a", false), DATAFS_LISTING_YOURS, 2, 1);
	assert_int_equal(session_open(20), 0);
	entry_time += 56ull * 1000000000;
	assert_page(2, 0, "2 1 a");
	assert_told(ticket(20, "d", HOUR), DATAFS_LISTING_COMING, 2, 1);
	assert_told(put(OTHER, 2, 1, "b", false), DATAFS_LISTING_YOURS, 2, 2);
	entry_time += 60ull * 1000000000;
	assert_int_equal(put(OTHER, 2, 2, "c", true).err, ESTALE);
	assert_page(2, 0, "116");
	assert_told(ticket(20, "d", HOUR), DATAFS_LISTING_YOURS, 3, 0);
	assert_int_equal(put(OTHER, 2, 2, "c", true).err, ESTALE);
	assert_told(put(20, 3, 0, "x", true), DATAFS_LISTING_PUBLISHED, 3, 1);
	assert_page(3, 0, "1 1 x");
}

static uint32_t publish(const char *key, unsigned int pages, size_t len)
{
	struct told t = ticket(SESSION, key, 0);
	uint64_t number = t.number;

	assert_int_equal(t.state, DATAFS_LISTING_YOURS);
	for (unsigned int i = 0; i < pages; i++) {
		t = put_bytes(SESSION, number, i, page, len, i + 1 == pages);
		assert_int_equal(t.err, 0);
	}
	return t.state;
}

/* All the room is used; then the oldest ones give way, a few pages with each command. */
static void test_bound(void **state)
{
	char key[16];
	unsigned int n;

	(void)state;
	for (n = 0; n < 8; n++) {
		snprintf(key, sizeof(key), "%u", n);
		assert_int_equal(publish(key, 127, DATAFS_LISTING_PAGE_MAX),
				 DATAFS_LISTING_PUBLISHED);
	}
	assert_true(all().charge > 8u * 127 * DATAFS_LISTING_PAGE_MAX);
	assert_int_equal(all().listings, 8);
	assert_null(metad_check(m));
	/* 512 KiB less are free */
	assert_int_equal(publish("more", 16, DATAFS_LISTING_PAGE_MAX), DATAFS_LISTING_PUBLISHED);
	assert_true(all().charge <= DATAFS_LISTINGS_BYTES);
	assert_null(metad_check(m));
	assert_page(1, 0, "116");
	for (uint64_t i = 2; i <= 9; i++) {
		struct datafs_metad_listing l;
		size_t len;
		uint8_t *p;

		assert_int_equal(datafs_metad_listing_page(m, i, 0, &l, &p, &len), 0);
		assert_int_equal(len, DATAFS_LISTING_PAGE_MAX);
		free(p);
	}
	/* what is over goes with the commands that come */
	for (n = 0; n < 127 / 8; n++)
		ticket(OTHER, "x", HOUR);
	assert_int_equal(all().listings, 9);
	assert_null(metad_check(m));
}

/* One that is too large is not made again soon. */
static void test_large(void **state)
{
	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	for (unsigned int i = 0; i < DATAFS_LISTING_PAGES; i++)
		assert_int_equal(put(SESSION, 1, i, "a", false).state, DATAFS_LISTING_YOURS);
	assert_told(put(SESSION, 1, DATAFS_LISTING_PAGES, "a", true), DATAFS_LISTING_NONE, 0, 0);
	assert_page(1, 0, "116");
	assert_told(ticket(OTHER, "d", HOUR), DATAFS_LISTING_NONE, 0, 0);
	assert_told(ticket(OTHER, "d", 0), DATAFS_LISTING_NONE, 0, 0);
	/* 257 pages and a few: all that was over is gone by eights */
	for (unsigned int i = 0; i < DATAFS_LISTING_PAGES / 8; i++)
		assert_told(ticket(OTHER, "d", 0), DATAFS_LISTING_NONE, 0, 0);
	assert_int_equal(all().listings, 1);
	drop(OTHER, ticket(OTHER, "e", 0).number);
	entry_time += 3600ull * 1000000000;
	assert_int_equal(ticket(OTHER, "d", HOUR).state, DATAFS_LISTING_YOURS);
}

static void test_level(void **state)
{
	struct req r = { OP(LISTING_TICKET), 1, "d", .generation = 1 };

	(void)state;
	assert_int_equal(error_of(r), EOPNOTSUPP);
	must((struct req){ OP(FEATURE), .level = LEVEL - 1, .request = 1 });
	must((struct req){ OP(MOUNT_ADD), .name = "/m", .source = "s3://b" });
	assert_int_equal(error_of(r), EOPNOTSUPP);
	assert_int_equal(error_of((struct req){ OP(LISTING_PUT), 1 }), EOPNOTSUPP);
	assert_int_equal(error_of((struct req){ OP(LISTING_DROP), 1 }), EOPNOTSUPP);
	must((struct req){ OP(FEATURE), .level = LEVEL, .request = 1 });
	assert_int_equal(error_of((struct req){ OP(LISTING_PUT), 1 }), ESTALE);
	assert_int_equal(error_of(r), 0);
}

/* In a cluster that was restored no ticket is held; what was published is there. */
static void test_restored(void **state)
{
	struct txn t;

	(void)state;
	assert_told(ticket(SESSION, "d", HOUR), DATAFS_LISTING_YOURS, 1, 0);
	assert_told(put(SESSION, 1, 0, "a", true), DATAFS_LISTING_PUBLISHED, 1, 1);
	assert_told(ticket(SESSION, "e", HOUR), DATAFS_LISTING_YOURS, 2, 0);
	assert_told(put(SESSION, 2, 0, "b", false), DATAFS_LISTING_YOURS, 2, 1);
	txn_begin(&t, m->db, m->ropt, m->dir);
	assert_int_equal(listings_end_tickets(&t), 0);
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
	assert_null(metad_check(m));
	assert_page(1, 0, "1 1 a");
	assert_page(2, 0, "116");
	assert_int_equal(put(SESSION, 2, 1, "c", true).err, ESTALE);
	assert_told(ticket(OTHER, "e", HOUR), DATAFS_LISTING_YOURS, 3, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LISTING_TEST(test_published),
		LISTING_TEST(test_age),
		LISTING_TEST(test_holders),
		LISTING_TEST(test_given_up),
		LISTING_TEST(test_lost),
		LISTING_TEST(test_bound),
		LISTING_TEST(test_large),
		METAD_TEST(test_level),
		LISTING_TEST(test_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
