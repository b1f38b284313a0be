// SPDX-License-Identifier: Apache-2.0
/* Questions that may be answered, and other work, of one worker: who comes when. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>

#include "metad/server_internal.h"
#include "questions_wrap.h"

#define QUESTIONS	8u	/* that come together: two jobs */
#define ASKS		(3 * QUESTIONS)

static struct datafs_server server;
static struct ask asks[ASKS];
static Metad__Ask what = METAD__ASK__INIT;
static Metad__Query query = METAD__QUERY__INIT;
static sem_t begun, go, over;
static unsigned int answered, before_other;

/* It leads. */
int __wrap_datafs_member_read(struct datafs_member *m, struct datafs_member_read *read)
{
	(void)m;
	read->done(read, 0);
	return 0;
}

/* The first one waits. What they are told is nobody's here. */
int __wrap_datafs_metad_answer(struct datafs_metad *m, const Metad__Query *q,
			       Metad__Answer **res)
{
	(void)m;
	(void)q;
	(void)res;
	if (!answered) {
		sem_post(&begun);
		sem_wait(&go);
	}
	if (++answered == ASKS)
		sem_post(&over);
	return -ENOMEM;
}

static void other(struct datafs_job *job)
{
	(void)job;
	before_other = answered;
}

static void come(unsigned int from)
{
	for (unsigned int i = from; i < from + QUESTIONS; i++) {
		asks[i].s = &server;
		asks[i].what.what = &what;
		server_query(&asks[i]);
	}
	server_push(&server);
}

/* All are answered, with fewer jobs than there are; and what came before some is done before. */
static void in_turn(void **state)
{
	struct datafs_job job = { .run = other };

	(void)state;
	what.query = &query;
	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&over, 0, 0);
	TAILQ_INIT(&server.known);
	TAILQ_INIT(&server.reads);
	pthread_mutex_init(&server.reads_lock, NULL);
	pthread_rwlock_init(&server.ns_lock, NULL);
	assert_int_equal(datafs_loop_new(&server.loop), 0);
	assert_int_equal(datafs_pool_new(1, &server.pool), 0);
	come(0);
	sem_wait(&begun);
	datafs_pool_add(server.pool, &job, DATAFS_PRIO_WAITED);
	come(QUESTIONS);
	come(2 * QUESTIONS);
	sem_post(&go);
	sem_wait(&over);
	datafs_pool_free(server.pool);
	assert_int_equal(answered, ASKS);
	assert_int_equal(before_other, QUESTIONS);
	assert_true(TAILQ_EMPTY(&server.reads));
	datafs_loop_free(server.loop);
	pthread_mutex_destroy(&server.reads_lock);
	pthread_rwlock_destroy(&server.ns_lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_turn),
	};

	return cmocka_run_group_tests_name("server_questions", tests, NULL, NULL);
}
