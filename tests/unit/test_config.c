// SPDX-License-Identifier: Apache-2.0
/* What a daemon starts with: its options, and the files it locks. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "frontend/frontend.h"
#include "tmpdir.h"

static char top[2048];

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	return tmpdir_make(top, sizeof(top), "config");
}

static int teardown(void **state)
{
	(void)state;
	return tmpdir_remove(top);
}

static void test_life(void **state)
{
	struct datafs_life life, other;
	char path[2100];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/x.lock", top);
	assert_int_equal(datafs_life_begin(&life, top, "x"), 0);
	assert_int_equal(datafs_life_begin(&other, top, "x"), -EBUSY);
	assert_int_equal(datafs_life_begin(&other, top, "y"), 0);
	datafs_life_end(&other);
	fd = open(path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_SH), 0);	/* a mount is under way */
	assert_false(datafs_life_may_end(&life));
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_true(datafs_life_may_end(&life));
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
	datafs_life_end(&life);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	close(fd);
	assert_int_equal(datafs_life_begin(&life, top, "x"), 0);
	datafs_life_end(&life);
}

static int parse(struct datafs_config *cfg, const char *a, const char *b,
		 const char *c, const char *d)
{
	char *argv[6] = { "datafsd", (char *)a, (char *)b, (char *)c, (char *)d };
	int argc = 1;

	while (argv[argc])
		argc++;
	return datafs_config_parse(cfg, argc, argv);
}

static void test_config(void **state)
{
	char path[2100], host[65] = "";
	struct datafs_config cfg;
	uint64_t size;
	int fd;

	(void)state;
	assert_int_equal(parse(&cfg, NULL, NULL, NULL, NULL), 0);
	assert_string_equal(cfg.name, "default");
	assert_false(cfg.embedded);
	assert_int_equal(datafs_config_size(&cfg, top, &size), 0);
	assert_true(size && size <= 10ull << 30);
	assert_int_equal(parse(&cfg, "--nonsense", NULL, NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "argument", NULL, NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--name", NULL, NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--name", "a/b", NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--cache-dir", "relative", NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--cache-size", "10Q", NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--cache-size", "99999999999T", NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--ready-fd", "12345", NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--log-level", "loud", NULL, NULL), -EINVAL);
	assert_int_equal(parse(&cfg, "--key-file", "relative", NULL, NULL), -EINVAL);
	assert_string_equal(cfg.key_file, DATAFS_KEY_FILE);
	assert_int_equal(parse(&cfg, "--key-file", "/k", NULL, NULL), 0);
	assert_string_equal(cfg.key_file, "/k");
	assert_int_equal(parse(&cfg, "--embedded", "--cache-size", "2g", NULL), 0);
	assert_true(cfg.embedded);
	assert_int_equal(cfg.cache_size, 2ull << 30);

	/* each instance on a host is another node */
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_string_equal(cfg.node_name, host);
	assert_int_equal(parse(&cfg, "--name", "x", NULL, NULL), 0);
	assert_int_equal(strlen(cfg.node_name), strlen(host) + 2);
	assert_string_equal(cfg.node_name + strlen(host), "-x");
	assert_int_equal(parse(&cfg, "--name", "x", "--node-name", "n"), 0);
	assert_string_equal(cfg.node_name, "n");

	snprintf(path, sizeof(path), "%s/conf", top);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(dprintf(fd, "# words\nname = fast\ncache_size=1G\nlog-level = crit\n") > 0);
	assert_int_equal(parse(&cfg, "--cache-size", "3g", "--config", path), 0);
	assert_string_equal(cfg.name, "fast");
	assert_int_equal(cfg.cache_size, 3ull << 30);
	assert_int_equal(parse(&cfg, "--config", "/does/not/exist", NULL, NULL), -EINVAL);
	assert_true(dprintf(fd, "embedded = yes\n") > 0);
	assert_int_equal(parse(&cfg, "--config", path, NULL, NULL), -EINVAL);
	close(fd);
	datafs_log_set_level(LOG_CRIT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_life), T(test_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
