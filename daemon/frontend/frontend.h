/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of the daemon: requests are taken from /dev/datafs by the
 * event loop, answered by workers, who write their replies themselves.
 *
 *   device.c    opening, hello, backing files
 *   frontend.c  requests and replies
 *   control.c   netlink: the mounts there are, revocation
 *   socket.c    the control socket
 *   files.c     what it is asked about files in the cache
 *   table.c     ... about the table of mounts and the policies of the daemon's own namespace
 *   life.c      lock files: one daemon a name, and when it may end
 */
#ifndef DATAFS_FRONTEND_H
#define DATAFS_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/loop.h"
#include "base/pool.h"
#include "datafs_netlink.h"
#include "vfs/vfs.h"

/* ---- device.c ---- */

struct datafs_device;

/*
 * All that can fail is logged, in one line that says what to do; errors are
 * negative errnos.
 */
int datafs_device_open(const char *path, struct datafs_device **res);
/* The instance, if hello was said, has no daemon from now on. */
void datafs_device_close(struct datafs_device *dev);
/* For datafs_frontend_new(); stays the device's. */
int datafs_device_fd(const struct datafs_device *dev);
/*
 * datafs_device_hello - take the instance's name, register the backing files
 *
 * From here on mounts come, and wait for answers, and those of a predecessor
 * are this daemon's: say it when nothing that is known to fail is left to be
 * done. Once. -EEXIST: they were made with another @session; -ESTALE: a later
 * daemon has the name.
 */
int datafs_device_hello(struct datafs_device *dev, const char *name,
			const uint8_t session[16], uint64_t epoch);
/* DATAFS_FEATURE_* that the module has, too; 0 before the hello. */
uint64_t datafs_device_features(const struct datafs_device *dev);
/* Calls @fn with each extent that the kernel holds; stops at its first error. */
int datafs_device_held(struct datafs_device *dev,
		       int (*fn)(void *arg, const struct datafs_held *held),
		       void *arg);
/*
 * Registers @fd as backing file @id, or, before the hello, keeps both to be
 * registered with it: @fd then must stay open until that. Any thread.
 */
int datafs_device_backing_add(struct datafs_device *dev, int fd, uint32_t id);
/*
 * Until when the kernel uses what it keeps of @mount: CLOCK_BOOTTIME in nanoseconds.
 * -ENOENT, -ENOTTY (the module has no leases), -ENOTCONN. Does not block. Any thread.
 */
int datafs_device_lease(struct datafs_device *dev, uint32_t mount, uint64_t until);

/*
 * What the module shows of a mount's store in sysfs, with DATAFS_FEATURE_COUNTS. -ENOENT,
 * -ENOTCONN. Does not block. Any thread.
 */
int datafs_device_counts(struct datafs_device *dev, uint32_t mount,
			 const struct datafs_under_stats *st);

/* ---- frontend.c ---- */

struct datafs_frontend;

/*
 * Begins to take requests from @fd (the device, or a stand-in that keeps the
 * borders of messages). @changed is called on any thread after a mount came or
 * went. @vfs and @pool must outlive it.
 */
int datafs_frontend_new(int fd, struct datafs_loop *loop,
			struct datafs_pool *pool, struct datafs_vfs *vfs,
			void (*changed)(void *arg), void *arg,
			struct datafs_frontend **res);
/*
 * On the loop's thread, before the pool's end: takes no more requests. Mounts, what is
 * told once and what runs are still answered, unless it waits for room in the cache, which
 * nobody makes any more, or for other machines; all others the module has to ask again.
 * Returns when mounts have been.
 */
void datafs_frontend_stop(struct datafs_frontend *f);
/* After the pool's end. */
void datafs_frontend_free(struct datafs_frontend *f);
/*
 * Is anything mounted or being mounted? *@ever: a MOUNT has come at all. Any
 * thread.
 */
bool datafs_frontend_mounted(struct datafs_frontend *f, bool *ever);
/* The device has failed; the loop has been stopped. */
bool datafs_frontend_lost(struct datafs_frontend *f);

/* ---- control.c ---- */

struct datafs_control;

int datafs_control_open(const char *instance, struct datafs_control **res);
void datafs_control_close(struct datafs_control *c);
/*
 * Calls @fn with each mount of the instance; its first error is returned. A
 * negative errno, logged.
 */
int datafs_control_mounts(struct datafs_control *c,
			  int (*fn)(void *arg, uint32_t id,
				    const uint8_t incarnation[16],
				    const char *source, const char *options),
			  void *arg);
/*
 * The kernel is told to forget the ranges. Returns when it has taken that
 * (REVOKE_DONE follows later), or a negative errno, logged. Any thread.
 */
int datafs_control_revoke(struct datafs_control *c, uint64_t cookie,
			  const struct datafs_range *ranges, uint32_t n);

/*
 * What @items name (struct datafs_invalid, each with its name) is asked for anew
 * when this returns. A negative errno, logged. Any thread.
 */
int datafs_control_invalidate(struct datafs_control *c, const void *items,
			      size_t bytes);

/* ---- socket.c ---- */

struct datafs_socket;

/* A word that a client says, and who prints the answer: "key value" lines. */
struct datafs_socket_command {
	const char *word;
	/* On a worker thread. @args: what follows the word, "" if nothing does. */
	void (*answer)(void *arg, const char *args, FILE *f);
	/*
	 * Or NULL: called when the client has been sent the answer. One that
	 * has given up believes that it was not heard.
	 */
	void (*sent)(void *arg);
	/*
	 * It takes its time: answered in the part of the pool's threads where what is
	 * fetched ahead is, so that many of them do not keep upcalls waiting.
	 */
	bool slow;
};

/*
 * Serves @commands, which end with an empty one, on a unix socket of root's at
 * @path. It answers as soon as the loop runs.
 */
int datafs_socket_open(const char *path, struct datafs_loop *loop,
		       struct datafs_pool *pool,
		       const struct datafs_socket_command *commands, void *arg,
		       struct datafs_socket **res);
/* On the loop's thread, before the pool's end: takes no more. */
void datafs_socket_stop(struct datafs_socket *s);
void datafs_socket_free(struct datafs_socket *s);

/* ---- files.c ---- */

/*
 * "load MOUNT INODE OFF LEN": answers when these bytes are in the cache, with "loaded"
 * and "fetched" (struct datafs_vfs_loaded). Numbers are decimal; "error TEXT" else.
 */
void datafs_files_load(struct datafs_vfs *v, const char *args, FILE *f);
/*
 * "file WORD MOUNT INODE [OFF]", answered at once:
 *
 *   cached   "size", "content" and "cached" (struct datafs_vfs_cached)
 *   where    from OFF on: "run OFF LEN SLAB SLAB_OFF" of some runs; of none: that was all
 *   free     the file's bytes begin to leave the cache: "staying", and "leaving"
 *   leaving  "leaving", bytes that have not left yet
 */
void datafs_files_answer(struct datafs_vfs *v, const char *args, FILE *f);

/* ---- life.c ---- */

/*
 * DIR/NAME.daemon is held exclusively for as long as the daemon lives.
 * DIR/NAME.lock is held shared by who mounts, from before it looks for a
 * daemon until mount(2) has returned. A daemon that wants to end because
 * nothing is mounted takes it exclusively first, and keeps it until its device
 * is closed: then no mount can be under way that still counts on it.
 */
struct datafs_life {
	int lock, daemon;
};

/* -EBUSY: a second daemon of the same name. Logged. */
int datafs_life_begin(struct datafs_life *life, const char *dir,
		      const char *name);
/* Below @sysfs (/sys/fs/datafs): has a mount of the name no daemon? */
bool datafs_life_missed(const char *sysfs, const char *name);
/* Nobody is mounting, and nobody will before datafs_life_end(). */
bool datafs_life_may_end(struct datafs_life *life);
void datafs_life_end(struct datafs_life *life);

/* ---- table.c ---- */

/*
 * "list"; or "add|set|remove PATH SOURCE OPTIONS GENERATION", with spaces and backslashes as
 * \ooo and "-" for nothing. Answers "done" at the end, after what is listed, or "error
 * ERRNO". May block on the disk.
 */
void datafs_table_answer(struct datafs_vfs *v, const char *args, FILE *f);
/* "list"; "set PATH VALUE" or "remove PATH": answered alike. */
void datafs_policy_answer(struct datafs_vfs *v, const char *args, FILE *f);

#endif
