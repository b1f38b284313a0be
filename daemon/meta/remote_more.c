// SPDX-License-Identifier: Apache-2.0
/* What other threads have the network thread do meanwhile: they wait for it. */
#include "meta/remote_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void remote_have_done(struct remote_order *o, void (*fn)(struct datafs_task *task))
{
	o->task.fn = fn;
	sem_init(&o->done, 0, 0);
	datafs_loop_post(o->r->loop, &o->task);
	while (sem_wait(&o->done))
		;
	sem_destroy(&o->done);
}

void remote_is_done(struct remote_order *o)
{
	sem_post(&o->done);
}

static void do_over(struct datafs_task *task)
{
	struct remote_order *o = (struct remote_order *)task;

	remote_fail_over(o->r);
	remote_is_done(o);
}

void datafs_remote_over(struct datafs_remote *r)
{
	struct remote_order o = { .r = r };

	remote_have_done(&o, do_over);
}

struct adding {
	struct remote_order o;
	const char *text;		/* a member to be added */
	const struct datafs_address *at;
	int err;
};

static bool known(const struct datafs_remote *r, const char *text)
{
	for (unsigned int i = 0; i < r->n; i++)
		if (!strcmp(r->targets[i].address, text))
			return true;
	return false;
}

static void do_add(struct datafs_task *task)
{
	struct adding *a = (struct adding *)task;
	struct datafs_remote *r = a->o.r;

	/* Whether it is, only this thread may look. */
	if (a->at)
		a->err = known(r, a->text) ? 0 : remote_target_add(r, a->text, a->at);
	else
		a->err = known(r, a->text) ? 0 : -ENOENT;
	remote_is_done(&a->o);
}

static int add_one(struct datafs_remote *r, const char *text)
{
	struct adding a = { .o.r = r, .text = text };
	struct datafs_address at;
	int err;

	remote_have_done(&a.o, do_add);
	if (!a.err)
		return 0;
	err = remote_resolve(text, &at);
	if (err)
		return err;
	a.at = &at;
	remote_have_done(&a.o, do_add);
	if (a.err)
		datafs_log(LOG_ERR, "member of the quorum at \"%s\": not added: %s", text,
			   strerror(-a.err));
	return a.err;
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
