// SPDX-License-Identifier: Apache-2.0
/* A database whose CURRENT is lost is refused, and nothing of it thrown away. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <unistd.h>

#include "tmpdir.h"

static char current[4200], away[4200];

static int setup(void **state)
{
	if (metad_setup(state))
		return -1;
	snprintf(current, sizeof(current), "%s/CURRENT", dir);
	snprintf(away, sizeof(away), "%s/away", dir);
	return 0;
}

/* Again, without CURRENT; which comes back. */
static int open_without(void)
{
	struct datafs_metad_options opt = { .dir = dir, .id = "id" };
	struct datafs_metad *other;
	int err;

	datafs_metad_close(m);
	m = NULL;
	assert_int_equal(rename(current, away), 0);
	err = datafs_metad_open(&opt, &other);
	if (!err)
		datafs_metad_close(other);
	assert_int_equal(rename(away, current), 0);
	return err;
}

/* It has a log, and no table yet. */
static void with_a_log(void **state)
{
	int err;

	(void)state;
	make_file(ROOT, "f");
	err = open_without();
	reopen();
	assert_int_equal(err, -EUCLEAN);
	assert_string_equal(names_in(ROOT), "f");
}

/* ... and tables, which were made when it was opened again. */
static void with_tables(void **state)
{
	int err;

	(void)state;
	make_file(ROOT, "f");
	reopen();
	make_file(ROOT, "g");
	reopen();
	err = open_without();
	reopen();
	assert_int_equal(err, -EUCLEAN);
	assert_string_equal(names_in(ROOT), "f g");
}

/* A crash when it was made: there is nothing in it yet. */
static void made_by_half(void **state)
{
	struct datafs_metad *other;
	char path[4096], file[4200];
	FILE *f;

	(void)state;
	other = open_other(path, sizeof(path));
	datafs_metad_close(other);
	tmpdir_remove(path);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(file, sizeof(file), "%s/MANIFEST-000001", path);
	f = fopen(file, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(datafs_metad_open(&(struct datafs_metad_options){ .dir = path, .id = "id" },
					   &other), 0);
	datafs_metad_close(other);
	tmpdir_remove(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(with_a_log),
		TEST(with_tables),
		TEST(made_by_half),
	};

	return cmocka_run_group_tests_name("metad_damage", tests, NULL, NULL);
}
