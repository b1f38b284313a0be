// SPDX-License-Identifier: Apache-2.0
/* Looks at names: several at a time, each once, and what each has met. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "looks_wrap.h"
#include "vfs/looks.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned int asked, under_way, most;
	/* A look waits until so many have been under way. */
	unsigned int together;
} s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0};

/* A double of a store: names that begin with 'x' are not there, size is what follows. */
int __wrap_datafs_under_stat(struct datafs_under *u, const char *key,
			     struct datafs_under_stat *st)
{
	const char *name = strrchr(key, '/') + 1;
	struct timespec until;
	int err = 0;

	assert_ptr_equal(u, &s);
	assert_memory_equal(key, "some/dir/", 9);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&s.lock);
	s.asked++;
	s.under_way++;
	if (s.most < s.under_way)
		s.most = s.under_way;
	pthread_cond_broadcast(&s.more);
	while (s.most < s.together && !err)
		err = pthread_cond_timedwait(&s.more, &s.lock, &until);
	s.under_way--;
	pthread_mutex_unlock(&s.lock);
	st->size = strtoull(name + 1, NULL, 10);
	return *name == 'x' ? -ENOENT : 0;
}

/* Of @n names, @together are asked for at one time, and no more. */
static void look(unsigned int n, unsigned int together)
{
	static struct vfs_looks l;

	s.asked = s.most = 0;
	s.together = together;
	l.u = (struct datafs_under *)&s;
	l.key = "some/dir";
	l.n = n;
	for (unsigned int i = 0; i < n; i++)
		snprintf(l.looks[i].name, sizeof(l.looks[i].name), "%c%u",
			 i % 3 ? 'a' : 'x', i);
	vfs_looks_go(&l);
	assert_int_equal(s.asked, n);
	assert_int_equal(s.most, together);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(l.looks[i].err, i % 3 ? 0 : -ENOENT);
		assert_int_equal(l.looks[i].st.size, i);
	}
}

static void test_together(void **state)
{
	(void)state;
	look(VFS_LOOKS_MAX, VFS_LOOKS_THREADS);
	look(VFS_LOOKS_THREADS, VFS_LOOKS_THREADS);
	look(VFS_LOOKS_THREADS + 1, VFS_LOOKS_THREADS);
}

static void test_few(void **state)
{
	(void)state;
	look(0, 0);
	look(1, 1);
	look(3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
