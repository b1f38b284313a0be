/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon's vfs whose mounts are of the members of server_fixture.h, and a double of the
 * kernel. Include after server_fixture.h.
 */
#ifndef DATAFS_TEST_SERVER_MOUNTS_H
#define DATAFS_TEST_SERVER_MOUNTS_H

#include "vfs/vfs_internal.h"

#define TOP	1u

extern char top[4096], key_path[4200], cache_dir[4200], src[4200], source[300];
extern struct datafs_pool *pool;
extern struct datafs_vfs *v;
extern const char *key_file;	/* of the daemon that begins next */

/* What the kernel was told, and says. */
struct kernel {
	pthread_mutex_t lock;	/* protects all of it */
	unsigned int items;	/* invalidated */
	unsigned int of_mount[4];	/* ... by the mount */
	unsigned int recalls;	/* messages by the way for recalls */
	struct datafs_invalid last[16];	/* those of the last message, as many as fit */
	unsigned int n_last;
	unsigned int all;	/* of whole mounts */
	int invalidate_error, lease_error;
	unsigned int lease_calls;	/* also those that failed */
	unsigned int leases;	/* how often it was told one's end */
	uint64_t until;		/* of the last */
	uint64_t refused;	/* that of the last that failed */
	uint64_t until_at_all;	/* @until when a whole mount was invalidated last */
	unsigned int all_at_lease;	/* @all when it was */
};

extern struct kernel kernel;

int up(enum datafs_opcode op, uint32_t mount, uint64_t id, uint64_t ino, const void *body,
	const char *name, void *out, size_t len);
int mount_as(uint32_t id, const char *text, struct datafs_attr *root);
void umount_id(uint32_t id);
int create(uint32_t mount, uint64_t id, const char *name, struct datafs_change_rep *rep);
int find(uint32_t mount, const char *name, uint64_t *ino);
/* A daemon; @adopt: what it takes over, or NULL. */
void begin(void (*adopt)(void));
void end(void);
int mounts_setup(void **state);
int mounts_teardown(void **state);
#define MOUNT_TEST(f) cmocka_unit_test_setup_teardown(f, mounts_setup, mounts_teardown)
void pause_ms(long ms);

#endif
