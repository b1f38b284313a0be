// SPDX-License-Identifier: Apache-2.0
/* What is only removed or replaced if it is what the client thinks. */
#define _GNU_SOURCE
#include "metad_fixture.h"

/* The errno of one command of the fixture's session. */
static int error_of_command(Metad__Command *c)
{
	Metad__Entry e = METAD__ENTRY__INIT;
	struct datafs_metad_results res;
	Metad__Result *one;
	uint8_t *buf;
	int err;

	c->has_session = c->has_request = c->has_lowest = true;
	c->session = SESSION;
	c->request = c->lowest = ++request;
	e.has_time = true;
	e.time = entry_time += 1000000007;
	e.n_commands = 1;
	e.commands = &c;
	buf = malloc(metad__entry__get_packed_size(&e));
	assert_int_equal(datafs_metad_apply(m, ++entry_index, 1, buf,
					    metad__entry__pack(&e, buf), &res), 0);
	free(buf);
	one = metad__result__unpack(NULL, res.r[0].len, res.r[0].data);
	datafs_metad_results_free(&res);
	err = (int)one->error;
	result_free(one);
	return err;
}

static ProtobufCBinaryData bytes(const char *name)
{
	return (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
}

static int remove_it(Metad__Command__OpCase op, const char *name, uint64_t ino)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Remove r = METAD__REMOVE__INIT;

	r.has_parent = r.has_name = r.has_ino = true;
	r.parent = ROOT;
	r.name = bytes(name);
	r.ino = ino;
	c.op_case = op;
	c.unlink = &r;
	return error_of_command(&c);
}

static int rename_it(const char *name, const char *to, uint64_t ino, bool noreplace,
		     bool exchange)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Rename r = METAD__RENAME__INIT;

	r.has_parent = r.has_name = r.has_new_parent = r.has_new_name = true;
	r.has_new_ino = true;
	r.parent = r.new_parent = ROOT;
	r.name = bytes(name);
	r.new_name = bytes(to);
	r.new_ino = ino;
	r.has_noreplace = r.noreplace = noreplace;
	r.has_exchange = r.exchange = exchange;
	c.op_case = METAD__COMMAND__OP_RENAME;
	c.rename = &r;
	return error_of_command(&c);
}

static void removal(void **state)
{
	uint64_t a = make_file(ROOT, "a"), b = make_file(ROOT, "b"), d = make_dir(ROOT, "d");

	(void)state;
	assert_int_equal(remove_it(OP(UNLINK), "a", b), ESTALE);
	assert_int_equal(remove_it(OP(UNLINK), "a", 0), ESTALE);
	assert_int_equal(remove_it(OP(RMDIR), "d", a), ESTALE);
	assert_int_equal(remove_it(OP(UNLINK), "none", a), ENOENT);
	assert_string_equal(names_in(ROOT), "a b d");
	/* It is what was meant: then it is the wrong command. */
	assert_int_equal(remove_it(OP(UNLINK), "d", d), EISDIR);
	assert_int_equal(remove_it(OP(UNLINK), "a", a), 0);
	assert_int_equal(remove_it(OP(RMDIR), "d", d), 0);
	assert_string_equal(names_in(ROOT), "b");
}

static void renaming(void **state)
{
	uint64_t a = make_file(ROOT, "a"), b = make_file(ROOT, "b");

	(void)state;
	assert_int_equal(rename_it("a", "b", 0, false, false), ESTALE);
	assert_int_equal(rename_it("a", "b", a, false, false), ESTALE);
	assert_int_equal(rename_it("a", "b", 0, true, false), EEXIST);
	assert_int_equal(rename_it("a", "c", b, false, false), ESTALE);
	assert_int_equal(rename_it("a", "b", 0, false, true), ESTALE);
	assert_int_equal(rename_it("none", "b", 0, false, false), ENOENT);
	assert_string_equal(names_in(ROOT), "a b");
	assert_int_equal(rename_it("a", "b", b, false, true), 0);
	assert_int_equal(rename_it("a", "b", a, false, false), 0);
	assert_int_equal(rename_it("b", "c", 0, false, false), 0);
	assert_string_equal(names_in(ROOT), "c");
	/* To itself. */
	assert_int_equal(rename_it("c", "c", b, false, false), 0);
	assert_int_equal(rename_it("c", "c", 0, false, false), ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(removal),
		METAD_TEST(renaming),
	};

	return cmocka_run_group_tests_name("metad_guard", tests, NULL, NULL);
}
