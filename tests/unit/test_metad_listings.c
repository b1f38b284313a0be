// SPDX-License-Identifier: Apache-2.0
/* Shared listings: who has the ticket, which pages there are, and what gives way. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <time.h>

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
		snprintf(is, sizeof(is), "%d %u %.*s", (int)l.state, l.pages, p ? (int)len : 1,
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

/* ---- a model, and commands by chance ---- */

#define SESSIONS	3
#define DIRS	3
#define ROUNDS	1000

struct model_listing {
	uint64_t number, session, looked, progress;	/* number 0: there is none */
	uint32_t pages;
};

static struct {
	struct {
		struct model_listing published, coming;
	} dir[DIRS];
	uint64_t session[SESSIONS], last_session, last;
} w;

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t ms_since(uint64_t then)
{
	return (entry_time - then + 999999) / 1000000;
}

static bool is_open(uint64_t session)
{
	for (unsigned int i = 0; i < SESSIONS; i++)
		if (w.session[i] == session)
			return true;
	return false;
}

static bool is_held(const struct model_listing *l)
{
	return l->number && is_open(l->session) && entry_time - l->progress <= 60000000000ull;
}

static bool is_young(const struct model_listing *l, uint64_t max_age)
{
	return l->number && max_age && ms_since(l->looked) <= max_age;
}

static void random_ticket(uint64_t session, unsigned int d)
{
	static const uint64_t ages[] = { 0, 3000, 8000, HOUR };
	char key[2] = { (char)('0' + d) };
	struct model_listing *p = &w.dir[d].published, *c = &w.dir[d].coming;
	struct req r = { OP(LISTING_TICKET), 1, key, .generation = 1, .bytes = ages[rnd() % 4],
			 .session = session, .inodes = rnd() % 4 ? 0 : w.last - rnd() % 2 };
	struct told t = told(r);

	if (is_young(p, r.bytes)) {
		assert_told(t, DATAFS_LISTING_PUBLISHED, p->number, p->pages);
		return;
	}
	if (is_held(c) && c->session != session && c->number != r.inodes &&
	    is_young(c, r.bytes)) {
		assert_told(t, DATAFS_LISTING_COMING, c->number, c->pages);
		return;
	}
	*c = (struct model_listing){ ++w.last, session, entry_time, entry_time };
	assert_told(t, DATAFS_LISTING_YOURS, c->number, 0);
}

static void random_put(uint64_t session, unsigned int d)
{
	struct model_listing *p = &w.dir[d].published, *c = &w.dir[d].coming;
	uint32_t nr = c->pages + !(rnd() % 8);
	uint64_t number = c->number ? c->number : w.last + 1;
	bool last = !(rnd() % 3);
	char text[40];
	struct told t;

	sprintf(text, "%llu.%u", (unsigned long long)number, nr);
	t = put(session, number, nr, text, last);
	if (!is_held(c) || c->session != session) {
		assert_int_equal(t.err, ESTALE);
	} else if (nr != c->pages) {
		assert_int_equal(t.err, EINVAL);
	} else {
		c->pages++;
		c->progress = entry_time;
		assert_told(t, last ? DATAFS_LISTING_PUBLISHED : DATAFS_LISTING_YOURS, number,
			    c->pages);
		if (last) {
			*p = *c;
			c->number = 0;
		}
	}
}

static void random_drop(uint64_t session, unsigned int d)
{
	struct model_listing *c = &w.dir[d].coming;
	int err = drop(session, c->number ? c->number : w.last + 1);

	if (!is_held(c) || c->session != session) {
		assert_int_equal(err, ESTALE);
	} else {
		assert_int_equal(err, 0);
		c->number = 0;
	}
}

static void random_end(unsigned int i)
{
	assert_int_equal(session_close(w.session[i]), 0);
	w.session[i] = ++w.last_session;
	assert_int_equal(session_open(w.session[i]), 0);
}

static void assert_listing(const struct model_listing *l, bool there, unsigned int state)
{
	char want[80];

	if (!l->number)
		return;
	for (uint32_t i = 0; i < l->pages; i++) {
		sprintf(want, "%u %u %llu.%u", state, l->pages, (unsigned long long)l->number, i);
		assert_page(l->number, i, there ? want : "116");
	}
}

/* All that is told, and all pages, are as of the model. */
static void test_random(void **state)
{
	const char *given = getenv("DATAFS_SEED");

	(void)state;
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	memset(&w, 0, sizeof(w));
	w.last_session = 100;
	for (unsigned int i = 0; i < SESSIONS; i++) {
		w.session[i] = ++w.last_session;
		assert_int_equal(session_open(w.session[i]), 0);
	}
	for (unsigned int n = 0; n < ROUNDS; n++) {
		unsigned int what = rnd() % 32, i = rnd() % SESSIONS, d = rnd() % DIRS;

		if (what < 12)
			random_ticket(w.session[i], d);
		else if (what < 28)
			random_put(w.session[i], d);
		else if (what < 30)
			random_drop(w.session[i], d);
		else if (what < 31)
			random_end(i);
		else
			entry_time += (rnd() % 2 ? 20 : 58) * 1000000000ull;
		for (unsigned int k = 0; what < 31 && k < DIRS; k++) {
			assert_listing(&w.dir[k].published, true, DATAFS_LISTING_PUBLISHED);
			assert_listing(&w.dir[k].coming, is_held(&w.dir[k].coming),
				       DATAFS_LISTING_COMING);
		}
	}
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
		LISTING_TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
