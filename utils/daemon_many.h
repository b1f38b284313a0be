/* SPDX-License-Identifier: Apache-2.0 */
/* Several requests to a daemon at one time, a few of them in flight. */
#ifndef DATAFS_DAEMON_MANY_H
#define DATAFS_DAEMON_MANY_H

#define DATAFS_MANY	8	/* in flight, at the most */

struct datafs_many {
	const char *instance;
	int seconds;		/* for how long an answer may take; 0: as long as it likes */
	/* A line of the answer to what was asked for @item. */
	void (*line)(void *item, const char *key, const char *value);
	/* The answer's end; @err: 0 or a negative errno. */
	void (*done)(void *arg, void *item, int err);
	/* While nothing comes, some times a second; or NULL. */
	void (*tick)(void *arg);
	void *arg;

	/* Zeros at first. */
	int n;
	struct {
		int fd;
		void *item;
	} flying[DATAFS_MANY];
};

/*
 * Asks, once one of DATAFS_MANY is free: until then, answers are taken. What cannot even
 * be asked is told to done().
 */
void datafs_many_ask(struct datafs_many *m, const char *request, void *item);
/* Takes the answers of all that is in flight. */
void datafs_many_wait(struct datafs_many *m);

#endif
