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
		errno = hello_error;
		return hello_error ? -1 : 0;
	}
	if (request == DATAFS_IOC_BACKING_ADD) {
		struct datafs_backing *b = arg;

		snprintf(told + at, sizeof(told) - at, "backing %u = %d, ", b->id,
			 b->fd);
		errno = backing_error;
		return backing_error ? -1 : 0;
	}
	errno = ENOTTY;
	return -1;
}

static int setup(void **state)
{
	(void)state;
	hello_error = backing_error = 0;
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
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), 0);
	assert_string_equal(told, "hello x 5, backing 2 = 50, backing 1 = 51, ");
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
	hello_error = EBUSY;
	assert_int_equal(datafs_device_backing_add(dev, 50, 1), 0);
	assert_int_equal(datafs_device_hello(dev, "x", session, 5), -EBUSY);
	assert_string_equal(told, "hello x 5, ");
	assert_logged("instance x: the name has a living daemon");
}

static void test_other_version(void **state)
{
	(void)state;
	hello_error = EPROTONOSUPPORT;
	assert_int_equal(datafs_device_hello(dev, "x", session, 5),
			 -EPROTONOSUPPORT);
	assert_logged("instance x: the module speaks protocol 9.3, this datafsd 1.0");
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_hello_last), T(test_refused), T(test_other_version),
		T(test_backing_refused), T(test_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
