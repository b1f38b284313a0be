// SPDX-License-Identifier: Apache-2.0
/* Changes over the database: seen, taken back, scanned, written; damage sticks. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "metad/ns_internal.h"

static struct txn_bytes bytes(const char *s)
{
	return (struct txn_bytes){ (const uint8_t *)s, strlen(s) };
}

static const char *get(struct txn *t, const char *key)
{
	static char text[64];
	struct txn_bytes val;
	int ret = txn_get(t, bytes(key), &val);

	if (ret != 1)
		return ret ? "error" : "none";
	snprintf(text, sizeof(text), "%.*s", (int)val.len, (const char *)val.p);
	return text;
}

/* "key=value key=value " */
static const char *scan(struct txn *t, const char *prefix, const char *from)
{
	static char text[256];
	struct txn_bytes key, val;
	struct txn_scan s;

	*text = '\0';
	txn_scan_begin(&s, t, bytes(prefix), bytes(from));
	while (txn_scan_next(&s, &key, &val) == 1)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s=%.*s ",
			 (int)key.len, (const char *)key.p, (int)val.len, (const char *)val.p);
	txn_scan_end(&s);
	return text;
}

static void put(struct txn *t, const char *key, const char *val)
{
	txn_put(t, bytes(key), bytes(val));
}

/* z1=a z3=c z5=e in the database; "z" is no kind of record. */
static void begin(struct txn *t)
{
	txn_begin(t, m->db, m->ropt, dir);
	put(t, "z1", "a");
	put(t, "z3", "c");
	put(t, "z5", "e");
	assert_int_equal(txn_commit(t, m->wopt), 0);
	txn_end(t);
	txn_begin(t, m->db, m->ropt, dir);
}

static void end(struct txn *t)
{
	txn_end(t);
	txn_begin(t, m->db, m->ropt, dir);
	for (char c = '0'; c <= '9'; c++)
		txn_del(t, bytes((char[]){ 'z', c, '\0' }));
	assert_int_equal(txn_commit(t, m->wopt), 0);
	txn_end(t);
}

static void seen_and_scanned(void **state)
{
	struct txn t, view;

	(void)state;
	begin(&t);
	put(&t, "z2", "B");
	put(&t, "z3", "C");
	txn_del(&t, bytes("z5"));
	put(&t, "z6", "F");
	put(&t, "zz", "out");
	txn_del(&t, bytes("zz"));
	assert_string_equal(get(&t, "z3"), "C");
	assert_string_equal(get(&t, "z5"), "none");
	assert_string_equal(scan(&t, "z", "z"), "z1=a z2=B z3=C z6=F ");
	assert_string_equal(scan(&t, "z", "z3"), "z3=C z6=F ");
	assert_string_equal(scan(&t, "z2", "z2"), "z2=B ");
	/* Not written yet: nobody else sees it. */
	txn_view(&view, m->db, dir);
	assert_string_equal(scan(&view, "z", "z"), "z1=a z3=c z5=e ");
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	assert_string_equal(scan(&view, "z", "z"), "z1=a z3=c z5=e ");
	txn_end(&view);
	txn_view(&view, m->db, dir);
	assert_string_equal(scan(&view, "z", "z"), "z1=a z2=B z3=C z6=F ");
	txn_end(&view);
	end(&t);
}

static void taken_back(void **state)
{
	struct txn t;

	(void)state;
	begin(&t);
	put(&t, "z2", "kept");
	txn_save(&t);
	put(&t, "z2", "x");
	put(&t, "z2", "y");
	txn_del(&t, bytes("z1"));
	put(&t, "z4", "new");
	assert_string_equal(scan(&t, "z", "z"), "z2=y z3=c z4=new z5=e ");
	txn_drop(&t);
	assert_string_equal(scan(&t, "z", "z"), "z1=a z2=kept z3=c z5=e ");
	assert_string_equal(get(&t, "z1"), "a");
	assert_string_equal(get(&t, "z4"), "none");
	txn_save(&t);
	put(&t, "z4", "d");
	txn_keep(&t);
	txn_save(&t);
	txn_del(&t, bytes("z4"));
	txn_drop(&t);
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
	txn_begin(&t, m->db, m->ropt, dir);
	assert_string_equal(scan(&t, "z", "z"), "z1=a z2=kept z3=c z4=d z5=e ");
	end(&t);
}

/* A scan sees what is changed ahead of it, and not what is deleted there. */
static void changed_meanwhile(void **state)
{
	struct txn_bytes key, val;
	struct txn_scan s;
	struct txn t;

	(void)state;
	begin(&t);
	txn_scan_begin(&s, &t, bytes("z"), bytes("z"));
	assert_int_equal(txn_scan_next(&s, &key, &val), 1);
	txn_del(&t, key);
	txn_del(&t, bytes("z3"));
	put(&t, "z4", "d");
	assert_int_equal(txn_scan_next(&s, &key, &val), 1);
	assert_memory_equal(key.p, "z4", 2);
	assert_int_equal(txn_scan_next(&s, &key, &val), 1);
	assert_memory_equal(key.p, "z5", 2);
	assert_int_equal(txn_scan_next(&s, &key, &val), 0);
	txn_scan_end(&s);
	end(&t);
}

static void damage_sticks(void **state)
{
	struct txn t;

	(void)state;
	begin(&t);
	put(&t, "z2", "x");
	assert_int_equal(txn_damaged(&t, bytes("z2"), "test"), -EUCLEAN);
	assert_int_equal(txn_fail(&t, -ENOMEM), -EUCLEAN);
	assert_string_equal(get(&t, "z1"), "error");
	assert_string_equal(scan(&t, "z", "z"), "");
	assert_int_equal(txn_commit(&t, m->wopt), -EUCLEAN);
	txn_end(&t);
	txn_begin(&t, m->db, m->ropt, dir);
	assert_string_equal(get(&t, "z2"), "none");
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(seen_and_scanned),
		METAD_TEST(taken_back),
		METAD_TEST(changed_meanwhile),
		METAD_TEST(damage_sticks),
	};

	return cmocka_run_group_tests_name("metad_txn", tests, NULL, NULL);
}
