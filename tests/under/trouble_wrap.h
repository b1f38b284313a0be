/* SPDX-License-Identifier: Apache-2.0 */
/* For trouble.c, which stands in front of these (the linker's --wrap). */
#ifndef DATAFS_TEST_UNDER_TROUBLE_WRAP_H
#define DATAFS_TEST_UNDER_TROUBLE_WRAP_H

#include <pthread.h>
#include <time.h>

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __real_clock_nanosleep(clockid_t id, int flags, const struct timespec *until,
			   struct timespec *left);
int __wrap_clock_nanosleep(clockid_t id, int flags, const struct timespec *until,
			   struct timespec *left);
int __real_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *until);

#endif
