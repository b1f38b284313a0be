// SPDX-License-Identifier: Apache-2.0
/* Records that are known without the database: what is kept, and that it is what is there. */
#include "metad_fixture.h"

#include "metad/ns_internal.h"
#include "metad/record_cache.h"

static struct txn_bytes bytes(const char *s)
{
	return (struct txn_bytes){ (const uint8_t *)s, strlen(s) };
}

static const char *get(const struct record_cache *c, const char *key)
{
	static char text[300];
	struct txn_bytes val;

	if (!record_cache_get(c, bytes(key), &val))
		return "none";
	snprintf(text, sizeof(text), "%.*s", (int)val.len, (const char *)val.p);
	return text;
}

static void kept(void **state)
{
	struct record_cache *c = record_cache_new();
	char longest[] = "Rabcdefghijklmnop", longer[] = "Rabcdefghijklmnopq", val[256];

	(void)state;
	assert_string_equal(get(c, "S1"), "none");
	record_cache_put(c, bytes("S1"), bytes("a"));
	record_cache_put(c, bytes("I1"), bytes(""));
	record_cache_put(c, bytes(longest), bytes("b"));
	assert_string_equal(get(c, "S1"), "a");
	assert_string_equal(get(c, "I1"), "");
	assert_string_equal(get(c, longest), "b");
	record_cache_put(c, bytes("S1"), bytes("longer"));
	assert_string_equal(get(c, "S1"), "longer");
	/* what is not kept, and what a value is too long for, is not left as it was */
	record_cache_put(c, bytes(longer), bytes("c"));
	record_cache_put(c, bytes("D1"), bytes("c"));
	record_cache_put(c, bytes(""), bytes("c"));
	assert_string_equal(get(c, longer), "none");
	assert_string_equal(get(c, "D1"), "none");
	assert_string_equal(get(c, ""), "none");
	memset(val, 'v', 255);
	val[255] = '\0';
	record_cache_put(c, bytes("S1"), bytes(val));
	assert_string_equal(get(c, "S1"), "none");
	val[254] = '\0';
	record_cache_put(c, bytes("S1"), bytes(val));
	assert_string_equal(get(c, "S1"), val);
	record_cache_drop(c, bytes("S1"));
	record_cache_drop(c, bytes("S1"));
	record_cache_drop(c, bytes("D1"));
	assert_string_equal(get(c, "S1"), "none");
	assert_string_equal(get(c, "I1"), "");
	record_cache_free(c);
	record_cache_free(NULL);
}

/* More keys than it has room for: each is as it was put last, or not there. */
static void crowded(void **state)
{
	struct record_cache *c = record_cache_new();
	unsigned int there = 0;
	char key[17], val[17];

	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "S%u", i);
		snprintf(val, sizeof(val), "%u", i);
		record_cache_put(c, bytes(key), bytes(val));
		assert_string_equal(get(c, key), val);
	}
	for (unsigned int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "S%u", i);
		snprintf(val, sizeof(val), "%u", i);
		if (!strcmp(get(c, key), "none"))
			continue;
		assert_string_equal(get(c, key), val);
		there++;
	}
	assert_in_range(there, 2048, 4096);
	record_cache_free(c);
}

static const char *read(struct txn *t, const char *key)
{
	static char text[64];
	struct txn_bytes val;

	if (txn_get(t, bytes(key), &val) != 1)
		return "none";
	snprintf(text, sizeof(text), "%.*s", (int)val.len, (const char *)val.p);
	return text;
}

static void begin(struct txn *t)
{
	txn_begin(t, m->db, m->ropt, dir);
	t->cache = m->cache;
	t->batch = m->batch;
}

/* What is written is known, and what is taken back, or never written, is not. */
static void written(void **state)
{
	struct txn t;

	(void)state;
	begin(&t);
	txn_put(&t, bytes("R1"), bytes("a"));
	txn_put(&t, bytes("R2"), bytes("b"));
	assert_string_equal(get(m->cache, "R1"), "none");
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
	assert_string_equal(get(m->cache, "R1"), "a");
	begin(&t);
	txn_put(&t, bytes("R1"), bytes("never"));
	assert_string_equal(read(&t, "R1"), "never");
	txn_end(&t);
	begin(&t);
	assert_string_equal(read(&t, "R1"), "a");
	txn_save(&t);
	txn_put(&t, bytes("R1"), bytes("x"));
	txn_del(&t, bytes("R2"));
	assert_string_equal(read(&t, "R2"), "none");
	txn_drop(&t);
	assert_string_equal(read(&t, "R1"), "a");
	assert_string_equal(read(&t, "R2"), "b");
	txn_del(&t, bytes("R1"));
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
	assert_string_equal(get(m->cache, "R1"), "none");
	assert_string_equal(get(m->cache, "R2"), "b");
	/* what was read is known, too; and the batch has nothing of the last one */
	record_cache_drop(m->cache, bytes("R2"));
	begin(&t);
	assert_string_equal(read(&t, "R1"), "none");
	assert_string_equal(read(&t, "R2"), "b");
	assert_string_equal(get(m->cache, "R2"), "b");
	txn_del(&t, bytes("R2"));
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
	begin(&t);
	assert_string_equal(read(&t, "R2"), "none");
	txn_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept),
		cmocka_unit_test(crowded),
		METAD_TEST(written),
	};

	return cmocka_run_group_tests_name("metad_record_cache", tests, NULL, NULL);
}
