// SPDX-License-Identifier: Apache-2.0
/* Limits on requests and bytes, in a time that passes when somebody waits for it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/util.h"
#include "under/under_limit.h"

#define MS	DATAFS_MSEC
#define SEC	DATAFS_SEC

static atomic_llong now_is;
static atomic_int waits;	/* how often somebody slept */
static atomic_bool held;	/* time stands still */

#define WAITERS	8

/* Whose waits have ended, in this order. */
static __thread int me;
static int order[WAITERS];
static unsigned int nth;

static int64_t fake_now(void)
{
	return now_is;
}

/* Sleeps for real while time stands still; else it is @until at once. */
static void fake_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until)
{
	struct timespec ts = { 0, MS };

	waits++;
	if (!held) {
		order[nth++ % WAITERS] = me;
		now_is = until;
		return;
	}
	pthread_mutex_unlock(lock);
	nanosleep(&ts, NULL);
	pthread_mutex_lock(lock);
	(void)c;
}

static const struct datafs_limit_clock fake = { fake_now, fake_wait };

static void begin(struct datafs_limit *l, uint64_t rate)
{
	now_is = 1000 * SEC;
	waits = 0;
	held = false;
	datafs_limit_init(l, rate, &fake);
}

/* When it is taken, since the beginning. */
static int64_t taken_at(struct datafs_limit *l, uint64_t n)
{
	datafs_limit_take(l, n);
	return now_is - 1000 * SEC;
}

static void none(void **state)
{
	struct datafs_limit l;

	(void)state;
	begin(&l, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(taken_at(&l, UINT64_MAX), 0);
	datafs_limit_owe(&l, UINT64_MAX);
	assert_int_equal(taken_at(&l, 1), 0);
	assert_int_equal(waits, 0);
	datafs_limit_destroy(&l);
}

static void steady(void **state)
{
	struct datafs_limit l;

	(void)state;
	begin(&l, 100);		/* a burst of 10, then one in 10 ms */
	for (int i = 0; i < 10; i++)
		assert_int_equal(taken_at(&l, 1), 0);
	assert_int_equal(waits, 0);
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(taken_at(&l, 1), i * 10 * MS);
		assert_int_equal(waits, i);
	}
	/* what is not used is saved up, to a burst */
	now_is += 3600 * SEC;
	for (int i = 0; i < 10; i++)
		assert_int_equal(taken_at(&l, 1), 3610 * SEC);
	assert_int_equal(taken_at(&l, 1), 3610 * SEC + 10 * MS);
	assert_int_equal(taken_at(&l, 0), 3610 * SEC + 10 * MS);
	datafs_limit_destroy(&l);
}

static void slow(void **state)
{
	struct datafs_limit l;

	(void)state;
	begin(&l, 1);		/* less than one in a tenth of a second: the burst is one */
	assert_int_equal(taken_at(&l, 1), 0);
	assert_int_equal(taken_at(&l, 1), SEC);
	assert_int_equal(taken_at(&l, 1), 2 * SEC);
	datafs_limit_destroy(&l);
}

/* More than the bucket holds is had when it is full; the next pays. */
static void debt(void **state)
{
	struct datafs_limit l;

	(void)state;
	begin(&l, 1000000);	/* a burst of 100000 */
	assert_int_equal(taken_at(&l, 4000000), 0);
	/* full again only when the debt is paid and the burst has come in */
	assert_int_equal(taken_at(&l, 100000), 4 * SEC);
	assert_int_equal(taken_at(&l, 4000000), 4 * SEC + 100 * MS);
	assert_int_equal(taken_at(&l, 1), 8 * SEC + 1000);
	datafs_limit_owe(&l, 1000000);
	assert_int_equal(taken_at(&l, 1), 9 * SEC + 2000);
	datafs_limit_destroy(&l);
}

static void huge(void **state)
{
	struct datafs_limit l;

	(void)state;
	begin(&l, 1);
	datafs_limit_owe(&l, UINT64_MAX);
	datafs_limit_owe(&l, UINT64_MAX);
	assert_true(taken_at(&l, UINT64_MAX) > 0);
	assert_true(now_is > 0);
	datafs_limit_destroy(&l);
	begin(&l, UINT64_MAX);
	assert_int_equal(taken_at(&l, UINT64_MAX / 20), 0);
	assert_int_equal(taken_at(&l, 1000), 0);
	datafs_limit_destroy(&l);
}

struct waiter {
	struct datafs_limit *l;
	uint64_t n;
	int number;
};

static void *wait_one(void *arg)
{
	struct waiter *w = arg;

	me = w->number;
	datafs_limit_take(w->l, w->n);
	return NULL;
}

/* Another one with each waiter. */
static const void *end_of_queue(struct datafs_limit *l)
{
	const void *end;

	pthread_mutex_lock(&l->lock);
	end = l->waiters.stqh_last;
	pthread_mutex_unlock(&l->lock);
	return end;
}

/* Small ones do not overtake a big one that came first. */
static void fair(void **state)
{
	const struct timespec a_moment = { 0, 100000 };
	struct waiter w[WAITERS];
	pthread_t t[WAITERS];
	struct datafs_limit l;

	(void)state;
	begin(&l, 1000);
	nth = 0;
	held = true;
	datafs_limit_owe(&l, 1000);
	for (int i = 0; i < WAITERS; i++) {
		const void *end = end_of_queue(&l);

		w[i] = (struct waiter){ .l = &l, .n = i % 2 ? 1 : 5000, .number = i };
		assert_int_equal(pthread_create(&t[i], NULL, wait_one, &w[i]), 0);
		while (end_of_queue(&l) == end)
			nanosleep(&a_moment, NULL);
	}
	assert_int_equal(nth, 0);
	held = false;
	for (int i = 0; i < WAITERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(nth, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		assert_int_equal(order[i], i);
	datafs_limit_destroy(&l);
}

/* In real time: never sooner, and nobody spins. */
static void real(void **state)
{
	struct timespec cpu, a, b;
	struct datafs_limit l;
	int64_t took, used;

	(void)state;
	datafs_limit_init(&l, 1000, NULL);
	datafs_limit_take(&l, 100);
	clock_gettime(CLOCK_MONOTONIC, &a);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	used = cpu.tv_sec * SEC + cpu.tv_nsec;
	for (int i = 0; i < 4; i++)
		datafs_limit_take(&l, 50);
	clock_gettime(CLOCK_MONOTONIC, &b);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	used = cpu.tv_sec * SEC + cpu.tv_nsec - used;
	took = (b.tv_sec - a.tv_sec) * SEC + b.tv_nsec - a.tv_nsec;
	assert_true(took >= 195 * MS);
	assert_true(used < 100 * MS);
	datafs_limit_destroy(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none),
		cmocka_unit_test(steady),
		cmocka_unit_test(slow),
		cmocka_unit_test(debt),
		cmocka_unit_test(huge),
		cmocka_unit_test(fair),
		cmocka_unit_test(real),
	};

	return cmocka_run_group_tests_name("under_limit", tests, NULL, NULL);
}
