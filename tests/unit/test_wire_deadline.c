// SPDX-License-Identifier: Apache-2.0
/* Deadlines: each once, in order; and what happens when the timer is lost. */
#define _GNU_SOURCE
#include "wire_fixture.h"

#include <errno.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/util.h"
#include "loop_wrap.h"
#include "wire/deadline.h"

#define N	500

static struct datafs_loop *loop;
static struct datafs_deadlines *ds;
static struct datafs_deadline all[N];
static bool wanted[N];
static unsigned int n_wanted, n_fired;
static int64_t last;
static bool no_read;

int __wrap_datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev,
			    int fd, void *buf, size_t len)
{
	return no_read ? -EBUSY : __real_datafs_loop_read(loop, ev, fd, buf, len);
}

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	n_wanted = n_fired = 0;
	last = 0;
	no_read = false;
	return datafs_loop_new(&loop) || datafs_deadlines_new(loop, &ds);
}

static int teardown(void **state)
{
	(void)state;
	datafs_deadlines_free(ds);
	datafs_loop_free(loop);
	return 0;
}

static void fired(struct datafs_deadline *d)
{
	assert_true(wanted[d - all]);
	wanted[d - all] = false;
	assert_int_equal(d->pos, 0);
	assert_true(d->at >= last);
	assert_true(d->at <= datafs_now());
	last = d->at;
	if (++n_fired == n_wanted)
		datafs_loop_stop(loop);
}

/* Set, set anew and cleared at random. */
static void in_order(void **state)
{
	(void)state;
	wire_seed();
	for (unsigned int i = 0; i < N; i++)
		all[i] = (struct datafs_deadline) { .fn = fired };
	for (unsigned int i = 0; i < 10 * N; i++) {
		unsigned int which = wire_rnd() % N;

		n_wanted -= wanted[which];
		wanted[which] = wire_rnd() % 4;
		n_wanted += wanted[which];
		if (wanted[which])
			assert_int_equal(datafs_deadline_set(ds, &all[which],
							     wire_rnd() % 50), 0);
		else
			datafs_deadline_clear(ds, &all[which]);
	}
	assert_int_equal(datafs_loop_run(loop), 0);
	assert_int_equal(n_fired, n_wanted);
	for (unsigned int i = 0; i < N; i++)
		assert_false(wanted[i] || all[i].pos);
}

/* Without its timer all would wait for ever: the loop ends instead. */
static void no_timer(void **state)
{
	(void)state;
	all[0] = (struct datafs_deadline) { .fn = fired };
	wanted[0] = true;
	n_wanted = 2;
	assert_int_equal(datafs_deadline_set(ds, &all[0], 1), 0);
	no_read = true;
	assert_int_equal(datafs_loop_run(loop), -EBUSY);
	wanted[0] = false;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(in_order), T(no_timer) };

	return cmocka_run_group_tests_name("wire_deadline", tests, NULL, NULL);
}
