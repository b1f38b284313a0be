/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The member of a quorum that leads, asked by one thread with many calls under way: a load
 * that costs as little as those on etcd and on libraft beside it. What a daemon has for
 * that (meta/quorum.h) wakes a thread for each answer. Any error ends the program.
 */
#ifndef BENCH_LEADER_H
#define BENCH_LEADER_H

#include "quorum.pb-c.h"
#include "wire/keys.h"
#include "wire/messenger.h"

struct leader_call {
	/* The reply is valid during the call, in which it may be asked again. */
	void (*done)(struct leader_call *c, const Metad__Reply *reply);
	struct datafs_call call;
};

/*
 * @begin: called when it is known who leads; returns after leader_stop(). @named:
 * "HOST:PORT,HOST:PORT", five at most.
 */
void leader_run(const char *named, const struct datafs_keys *keys, void (*begin)(void));
/* In @begin and done(), as the next. @c is the caller's until it is done. */
void leader_ask(struct leader_call *c, const Metad__Ask *ask);
/* Nothing may be under way. */
void leader_stop(void);

#endif
