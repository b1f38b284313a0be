// SPDX-License-Identifier: Apache-2.0
/* What the daemon says to /dev/datafs, in which order; ioctl(2) is ours here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "frontend/frontend.h"

static struct datafs_device *dev;
static char told[200];			/* to the module, in order */
static int hello_error, backing_error;
static bool taken;
static unsigned int held_left;		/* what a predecessor left */
static const uint8_t session[16] = { 7, 7 };

int ioctl(int fd, unsigned long request, ...)
{
	size_t at = strlen(told);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd != datafs_device_fd(dev))
		return -1;
	if (request == DATAFS_IOC_HELLO) {
		struct datafs_hello *h = arg;

		snprintf(told + at, sizeof(told) - at, "hello %s %llu, ", h->name,
			 (unsigned long long)h->epoch);
		if (hello_error == EPROTONOSUPPORT)
			h->major = 9, h->minor = 3;
		assert_int_equal(h->flags, DATAFS_HELLO_TAKEOVER);
		h->features &= ~(uint64_t)DATAFS_FEATURE_TAKEOVER;
		errno = hello_error;
		return hello_error ? -1 : 0;
	}
	if (request == DATAFS_IOC_BACKING_ADD) {
		struct datafs_backing *b = arg;

		snprintf(told + at, sizeof(told) - at, "backing %u = %d, ", b->id,
			 b->fd);
		errno = taken ? EEXIST : backing_error;
		return errno ? -1 : 0;
	}
	if (request == DATAFS_IOC_BACKING_DEL) {
		snprintf(told + at, sizeof(told) - at, "no backing %u, ",
			 *(uint32_t *)arg);
		taken = false;
		return 0;
	}
	if (request == DATAFS_IOC_HELD) {
		struct datafs_held_list *l = arg;
		struct datafs_held *items = (void *)(uintptr_t)l->items;

		for (l->count = 0; l->count < 3 && held_left; l->count++)
			items[l->count] = (struct datafs_held){
				.ino = held_left--,
			};
		return 0;
	}
	if (request == DATAFS_IOC_COUNTS) {
		struct datafs_counts *c = arg;

		snprintf(told + at, sizeof(told) - at, "counts %u:", c->mount_id);
		for (int i = 0; i < DATAFS_COUNT_NR; i++) {
			at = strlen(told);
			snprintf(told + at, sizeof(told) - at, " %llu",
				 (unsigned long long)c->count[i]);
		}
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

static int setup(void **state)
{
	(void)state;
	hello_error = backing_error = 0;
	taken = false;
	*told = 0;
	return datafs_device_open("/dev/null", &dev);
}

static int teardown(void **state)
{
	(void)state;
	datafs_device_close(dev);
	return 0;
}

static void assert_logged(const char *part)
{
	char error[512];

	datafs_log_last_error(error, sizeof(error));
	if (!strstr(error, part))
		fail_msg("\"%s\" is not in \"%s\"", part, error);
}

/* Mounts wait for who said hello: nothing may be said before it is all there. */
static void test_hello_last(void **state)
{
	(void)state;
	assert_int_equal(datafs_device_backing_add(dev, 50, 2), 0);
	assert_int_equal(datafs_device_backing_add(dev, 51, 1), 0);
	assert_string_equal(told, "");
	assert_int_equal(datafs_device_features(dev), 0);
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), 0);
	assert_int_equal(datafs_device_features(dev),
			 DATAFS_FEATURE_LEASE | DATAFS_FEATURE_LISTING |
			 DATAFS_FEATURE_COUNTS);
	assert_string_equal(told, "hello x 5, backing 2 = 50, backing 1 = 51, no backing 0, ");
	*told = 0;
	assert_int_equal(datafs_device_backing_add(dev, 52, 3), 0);
	assert_string_equal(told, "backing 3 = 52, ");
	backing_error = ENOMEM;
	assert_int_equal(datafs_device_backing_add(dev, 53, 4), -ENOMEM);
	assert_logged("slab 4");
}

static void test_refused(void **state)
{
	(void)state;
	hello_error = ESTALE;
	assert_int_equal(datafs_device_backing_add(dev, 50, 1), 0);
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), -ESTALE);
	assert_string_equal(told, "hello x 5, ");
	assert_logged("instance x: a later daemon has had the name");
}

/* The mounts are of another namespace: nothing of it may be touched. */
static void test_other_session(void **state)
{
	(void)state;
	hello_error = EEXIST;
	assert_int_equal(datafs_device_backing_add(dev, 50, 1), 0);
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), -EEXIST);
	assert_string_equal(told, "hello x 5, ");
	assert_logged("instance x: its mounts were made with another namespace");
}

/* A slab that was made anew gets its number back from the one before. */
static void test_slab_anew(void **state)
{
	(void)state;
	taken = true;
	assert_int_equal(datafs_device_backing_add(dev, 50, 1), 0);
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), 0);
	assert_string_equal(told, "hello x 5, backing 1 = 50, no backing 1, backing 1 = 50, no backing 0, ");
}

static int see_held(void *arg, const struct datafs_held *held)
{
	uint64_t *sum = arg;

	*sum += held->ino;
	return *sum > 100 ? -ENOMEM : 0;
}

static void test_held(void **state)
{
	uint64_t sum = 0;

	(void)state;
	held_left = 7;
	assert_int_equal(datafs_device_held(dev, see_held, &sum), 0);
	assert_int_equal(sum, 1 + 2 + 3 + 4 + 5 + 6 + 7);
	held_left = 20;
	assert_int_equal(datafs_device_held(dev, see_held, &sum), -ENOMEM);
	assert_logged("extents of a predecessor");
}

static void test_other_version(void **state)
{
	(void)state;
	hello_error = EPROTONOSUPPORT;
	assert_int_equal(datafs_device_hello(dev, "x", session, 5),
			 -EPROTONOSUPPORT);
	assert_logged("instance x: the module speaks protocol 9.3, this datafsd 1.4");
}

static void test_backing_refused(void **state)
{
	(void)state;
	backing_error = ELOOP;
	assert_int_equal(datafs_device_backing_add(dev, 50, 1), 0);
	assert_int_equal(datafs_device_backing_add(dev, 51, 2), 0);
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), -ELOOP);
	assert_string_equal(told, "hello x 5, backing 1 = 50, ");
	assert_logged("slab 1");
}

static void test_no_device(void **state)
{
	struct datafs_device *none;

	(void)state;
	assert_int_equal(datafs_device_open("/nonexistent", &none), -ENOENT);
	assert_logged("/nonexistent: it does not exist; load the module");
}

static void test_counts(void **state)
{
	struct datafs_under_stats st = { .price = 1.5 };

	(void)state;
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		st.by[m].requests = m + 1;
		st.by[m].retries = 10;
		st.by[m].errors = 100;
		st.by[m].down = 1000;
		st.by[m].up = 10000;
	}
	assert_int_equal(datafs_device_counts(dev, 3, &st), 0);
	assert_string_equal(told, "counts 3: 1 2 3 4 5 6 7 70 700 7000 70000 1500000");
	/* What has no place there is the most. */
	*told = 0;
	st.price = 1e300;
	assert_int_equal(datafs_device_counts(dev, 3, &st), 0);
	assert_non_null(strstr(told, " 1000000000000000000"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_hello_last), T(test_refused), T(test_other_version),
		T(test_backing_refused), T(test_no_device),
		T(test_other_session), T(test_slab_anew), T(test_held),
		T(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
