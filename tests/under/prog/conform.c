// SPDX-License-Identifier: Apache-2.0
/*
 * conform [-d DIR] [-h] [-g NS] [-m MODES] [-x BYTES] [-n CHECK] [-N CHECKS] [-o NAME[=VALUE]]... SOURCE
 *
 * Runs the list of tests/unit/under_conform.h against a store that somebody else serves:
 *	-d	it is read only, and this is the directory that it shows, to plant objects in
 *	-h	its listings hide names that begin with a '.'
 *	-g	the grain of its times, in nanoseconds
 *	-m	the bits that a mode has there, octal
 *	-x	bytes that its names cannot have
 *	-n	only that check
 *	-N	fails unless so many were run
 */
#define _GNU_SOURCE
#include "under_conform.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"

static const char *source, *dir;
static struct datafs_under_opts opts;
static struct under_conform c = { .many = 300 };
static int expected = -1;

/* Each has a time of its own, in whole seconds, which is all that HTTP tells. */
static void plant(void *arg, const char *key, const void *buf, size_t len)
{
	static time_t when = 1000000000;
	struct timespec times[2] = { { .tv_sec = ++when }, { .tv_sec = when } };
	int dfd = *(int *)arg, fd;
	char above[2048], *end = above;

	snprintf(above, sizeof(above), "%s", key);
	while ((end = strchr(end, '/'))) {
		*end = 0;
		assert_true(!mkdirat(dfd, above, 0755) || errno == EEXIST);
		*end++ = '/';
	}
	/* Where nobody looks. */
	fd = openat(dfd, "../planted", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, len), len);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
	assert_int_equal(renameat(dfd, "../planted", dfd, key), 0);
}

static void uproot(void *arg, const char *key)
{
	assert_int_equal(unlinkat(*(int *)arg, key, 0), 0);
}

static void conforms(void **state)
{
	unsigned int n;
	int dfd = -1;

	(void)state;
	c.part = opts.part_size;
	if (dir) {
		dfd = open(dir, O_RDONLY | O_DIRECTORY);
		assert_true(dfd >= 0);
		c.plant = plant;
		c.uproot = uproot;
		c.arg = &dfd;
	}
	assert_int_equal(datafs_under_open(source, &opts, &c.u), 0);
	n = under_conform(&c);
	print_message("      %u checks\n", n);
	if (expected >= 0)
		assert_int_equal(n, expected);
	datafs_under_close(c.u);
	if (dir)
		close(dfd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(conforms) };
	int o;

	opts = datafs_under_opts_default;
	while ((o = getopt(argc, argv, "d:hg:m:x:n:N:o:")) != -1) {
		switch (o) {
		case 'd':
			dir = optarg;
			break;
		case 'h':
			c.hides_dots = true;
			break;
		case 'g':
			c.grain = atol(optarg);
			break;
		case 'm':
			c.modes = strtoul(optarg, NULL, 8);
			break;
		case 'x':
			c.not_in_names = optarg;
			break;
		case 'n':
			c.only = optarg;
			break;
		case 'N':
			expected = atoi(optarg);
			break;
		case 'o':
			under_option(&opts, optarg);
			break;
		default:
			return 2;
		}
	}
	if (optind != argc - 1)
		errx(2, "usage: conform [OPTION]... SOURCE");
	source = argv[optind];
	o = cmocka_run_group_tests_name("conform", tests, NULL, NULL);
	datafs_under_opts_free(&opts);
	return o;
}
