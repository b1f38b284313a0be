// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "server_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "server_mounts.h"
#include "tmpdir.h"

char top[4096], key_path[4200], cache_dir[4200], src[4200], source[300];
struct datafs_pool *pool;
struct datafs_vfs *v;
const char *key_file;
struct kernel kernel = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the kernel's double ---- */

static int backing_add(void *arg, int fd, uint32_t id)
{
	(void)arg;
	(void)fd;
	(void)id;
	return 0;
}

static int send_revoke(void *arg, uint64_t cookie, const struct datafs_range *ranges, uint32_t n)
{
	(void)arg;
	(void)cookie;
	(void)ranges;
	(void)n;
	return -EIO;
}

static int send_invalidate(void *arg, const void *items, size_t bytes)
{
	const char *at = items;
	int ret;

	(void)arg;
	pthread_mutex_lock(&kernel.lock);
	ret = kernel.invalidate_error;
	kernel.n_last = 0;
	for (size_t pos = 0; !ret && pos < bytes; ) {
		struct datafs_invalid item;

		memcpy(&item, at + pos, sizeof(item));
		pos += sizeof(item) + datafs_round_up(item.namelen, 8);
		kernel.items++;
		kernel.of_mount[item.mount_id % 4]++;
		if (!item.ino) {
			kernel.all++;
			kernel.until_at_all = kernel.until;
		}
		if (kernel.n_last < 16)
			kernel.last[kernel.n_last++] = item;
	}
	pthread_mutex_unlock(&kernel.lock);
	return ret;
}

static int send_recall(void *arg, const void *items, size_t bytes)
{
	pthread_mutex_lock(&kernel.lock);
	kernel.recalls++;
	pthread_mutex_unlock(&kernel.lock);
	return send_invalidate(arg, items, bytes);
}

static int send_lease(void *arg, uint32_t mount, uint64_t until)
{
	int ret;

	(void)arg;
	(void)mount;
	pthread_mutex_lock(&kernel.lock);
	ret = kernel.lease_error;
	kernel.lease_calls++;
	if (ret) {
		kernel.refused = until;
	} else {
		kernel.leases++;
		kernel.until = until;
		kernel.all_at_lease = kernel.all;
	}
	pthread_mutex_unlock(&kernel.lock);
	return ret;
}

int up(enum datafs_opcode op, uint32_t mount, uint64_t id, uint64_t ino, const void *body,
	const char *name, void *out, size_t len)
{
	struct datafs_req req = {
		.opcode = op, .mount_id = mount, .ino = ino, .id = id,
		.namelen = name ? strlen(name) : 0,
	};
	struct datafs_call call = { .req = &req, .body = body };
	int ret;

	if (name)
		strcpy(call.name, name);
	call.out = malloc(DATAFS_REPLY_MAX);
	ret = datafs_vfs_call(v, &call);
	if (!ret && out)
		memcpy(out, call.out, len);
	datafs_vfs_finish(v, &call);
	free(call.out);
	return ret;
}

int mount_as(uint32_t id, const char *text, struct datafs_attr *root)
{
	struct datafs_mount_req *m = calloc(1, sizeof(*m) + strlen(text) + 1);
	int ret;

	m->incarnation[0] = id;
	m->source_len = strlen(text);
	memcpy(m + 1, text, m->source_len);
	ret = up(DATAFS_OP_MOUNT, id, 0, 0, m, NULL, root, sizeof(*root));
	free(m);
	return ret;
}

void umount_id(uint32_t id)
{
	up(DATAFS_OP_UMOUNT, id, 0, 0, NULL, NULL, NULL, 0);
}

int create(uint32_t mount, uint64_t id, const char *name, struct datafs_change_rep *rep)
{
	struct datafs_make_req m = { .mode = 0644, .change.lowest = id };

	return up(DATAFS_OP_CREATE, mount, id, TOP, &m, name, rep, sizeof(*rep));
}

int find(uint32_t mount, const char *name, uint64_t *ino)
{
	struct datafs_entry e;
	int ret = up(DATAFS_OP_LOOKUP, mount, 0, TOP, NULL, name, &e, sizeof(e));

	if (ret)
		return ret;
	*ino = e.attr.ino;
	return *ino ? 0 : -ENOENT;
}

/* ---- the daemon ---- */

void begin(void (*adopt)(void))
{
	struct datafs_vfs_config cfg = {
		.dir = cache_dir, .cache_size = 2 * DATAFS_SLAB_SIZE, .key_file = key_file,
		.backing_add = backing_add, .revoke = send_revoke,
		.invalidate = send_invalidate, .recall = send_recall, .lease = send_lease,
	};

	assert_int_equal(datafs_pool_new(8, &pool), 0);
	cfg.pool = pool;
	assert_int_equal(datafs_vfs_open(&cfg, &v), 0);
	if (adopt)
		adopt();
	assert_int_equal(datafs_vfs_start(v, DATAFS_FEATURE_LISTING), 0);
}

void end(void)
{
	datafs_vfs_stop(v);
	datafs_pool_free(pool);
	datafs_vfs_close(v);
}

int mounts_setup(void **state)
{
	if (server_setup(state) || tmpdir_make(top, sizeof(top), "mount"))
		return -1;
	snprintf(key_path, sizeof(key_path), "%s/key", top);
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache", top);
	snprintf(src, sizeof(src), "%s/src", top);
	if (mkdir(cache_dir, 0700) || mkdir(src, 0700))
		return -1;
	assert_int_equal(datafs_keys_store(&client_keys, key_path, false), 0);
	snprintf(source, sizeof(source), "%s,%s,%s:/", nodes[1].address, nodes[2].address,
		 nodes[3].address);
	key_file = key_path;
	kernel = (struct kernel) { .lock = PTHREAD_MUTEX_INITIALIZER };
	begin(NULL);
	return 0;
}

int mounts_teardown(void **state)
{
	end();
	server_teardown(state);
	return tmpdir_remove(top);
}

void pause_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}
