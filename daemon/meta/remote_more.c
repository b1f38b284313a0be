// SPDX-License-Identifier: Apache-2.0
/* What other threads have the network thread do meanwhile: they wait for it. */
#include "meta/remote_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct order {
	struct datafs_task task;
	struct datafs_remote *r;
	const char *text;		/* a member to be added */
	const struct datafs_address *at;
	int err;
	sem_t done;
};

static void run(struct order *o, void (*fn)(struct datafs_task *task))
{
	o->task.fn = fn;
	sem_init(&o->done, 0, 0);
	datafs_loop_post(o->r->loop, &o->task);
	while (sem_wait(&o->done))
		;
	sem_destroy(&o->done);
}

static void do_over(struct datafs_task *task)
{
	struct order *o = (struct order *)task;

	remote_fail_over(o->r);
	sem_post(&o->done);
}

void datafs_remote_over(struct datafs_remote *r)
{
	struct order o = { .r = r };

	run(&o, do_over);
}

static bool known(const struct datafs_remote *r, const char *text)
{
	for (unsigned int i = 0; i < r->n; i++)
		if (!strcmp(r->targets[i].address, text))
			return true;
	return false;
}

static void do_add(struct datafs_task *task)
{
	struct order *o = (struct order *)task;

	/* Whether it is, only this thread may look. */
	if (o->at)
		o->err = known(o->r, o->text) ? 0 : remote_target_add(o->r, o->text, o->at);
	else
		o->err = known(o->r, o->text) ? 0 : -ENOENT;
	sem_post(&o->done);
}

static int add_one(struct datafs_remote *r, const char *text)
{
	struct order o = { .r = r, .text = text };
	struct datafs_address at;
	int err;

	run(&o, do_add);
	if (!o.err)
		return 0;
	err = remote_resolve(text, &at);
	if (err)
		return err;
	o.at = &at;
	run(&o, do_add);
	if (o.err)
		datafs_log(LOG_ERR, "member of the quorum at \"%s\": not added: %s", text,
			   strerror(-o.err));
	return o.err;
}

int datafs_remote_add(struct datafs_remote *r, const char *members)
{
	char *list = strdup(members), *rest = list, *text;
	int err = list ? -EINVAL : -ENOMEM, one;
	bool some = false;

	while ((text = strsep(&rest, ","))) {
		one = add_one(r, text);
		some = some || !one;
		err = one ? one : err;
	}
	free(list);
	return some ? 0 : err;
}

int datafs_remote_call_until(struct datafs_remote *r, const void *ask, size_t len, uint32_t ms,
			     const atomic_bool *over, Metad__Reply **res)
{
	return remote_call(r, ask, len, DATAFS_REMOTE_LEADER, ms, over, res);
}
