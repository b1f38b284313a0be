// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tmpdir.h"

char top[4096], src[4200];
struct datafs_vfs *v;
struct datafs_pool *pool;
int slabs[SLABS_MAX];
uint64_t root;
struct datafs_invalid invalidated;
unsigned int invalidations, invalidations_fail;
size_t invalid_bytes;
void (*before_start)(void);

static char cache_dir[4200];
static _Atomic uint64_t next_id = 1;

/* ---- the kernel's double ---- */

static int backing_add(void *arg, int fd, uint32_t id)
{
	(void)arg;
	if (id >= SLABS_MAX)
		return -EINVAL;
	slabs[id] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return slabs[id] < 0 ? -errno : 0;
}

static void *revoke_done(void *arg)
{
	struct datafs_revoke_done done = { .cookie = (uintptr_t)arg };
	struct datafs_req req = { .opcode = DATAFS_OP_REVOKE_DONE };
	struct datafs_call call = { .req = &req, .body = &done };

	datafs_vfs_call(v, &call);
	return NULL;
}

static int send_revoke(void *arg, uint64_t cookie,
		       const struct datafs_range *ranges, uint32_t n)
{
	pthread_t thread;
	int err;

	(void)arg;
	(void)ranges;
	(void)n;
	err = pthread_create(&thread, NULL, revoke_done, (void *)(uintptr_t)cookie);
	if (!err)
		pthread_detach(thread);
	return -err;
}

struct answer up_flags(enum datafs_opcode op, uint32_t mount, uint64_t ino,
		       const void *body, const char *name, int flags)
{
	struct datafs_req req = {
		.opcode = op, .mount_id = mount, .ino = ino, .flags = flags,
		.id = atomic_fetch_add(&next_id, 1),
		.namelen = name ? strlen(name) : 0,
	};
	struct datafs_call call = { .req = &req, .body = body };
	struct answer a = { 0 };

	if (name)
		strcpy(call.name, name);
	call.out = a.out = malloc(DATAFS_REPLY_MAX);
	a.err = datafs_vfs_call(v, &call);
	a.len = call.out_len;
	datafs_vfs_finish(v, &call);
	return a;
}

struct answer up(enum datafs_opcode op, uint64_t ino, const void *body,
		 const char *name)
{
	return up_flags(op, 1, ino, body, name, 0);
}

int mount_as(uint32_t id, const char *source, const char *options,
	     struct datafs_attr *attr)
{
	struct datafs_mount_req *m;
	struct answer a;

	m = calloc(1, sizeof(*m) + strlen(source) + strlen(options) + 8);
	m->incarnation[0] = id;
	m->source_len = strlen(source);
	m->options_len = strlen(options);
	memcpy(m + 1, source, m->source_len);
	memcpy((char *)(m + 1) + m->source_len, options, m->options_len);
	a = up_flags(DATAFS_OP_MOUNT, id, 0, m, NULL, 0);
	if (!a.err && attr)
		memcpy(attr, a.out, sizeof(*attr));
	free(a.out);
	free(m);
	return a.err;
}

void umount_id(uint32_t id)
{
	free(up_flags(DATAFS_OP_UMOUNT, id, 0, NULL, NULL, 0).out);
}

int lookup(uint64_t dir, const char *name, struct datafs_entry *e)
{
	struct answer a = up(DATAFS_OP_LOOKUP, dir, NULL, name);

	if (!a.err)
		memcpy(e, a.out, sizeof(*e));
	free(a.out);
	return a.err;
}

int getattr(uint64_t ino, struct datafs_attr *attr)
{
	struct answer a = up(DATAFS_OP_GETATTR, ino, NULL, NULL);

	if (!a.err)
		memcpy(attr, a.out, sizeof(*attr));
	free(a.out);
	return a.err;
}

uint64_t stat_value(const char *key)
{
	char *text = NULL, *line;
	unsigned long long val = 0;
	size_t len, klen = strlen(key);
	FILE *f = open_memstream(&text, &len);

	datafs_vfs_stats(v, f);
	fclose(f);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, key, klen) && line[klen] == ' ')
			val = strtoull(line + klen, NULL, 10);
	free(text);
	return val;
}

/* ---- the store ---- */

const char *in_src(const char *name)
{
	/* Two, for rename and link. */
	static _Thread_local char path[2][8192];
	static _Thread_local int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", src, name);
	return path[turn];
}

void put_file(const char *name, uint64_t size, unsigned int seed)
{
	char *buf = malloc(size + 1);
	int fd;

	for (uint64_t i = 0; i < size; i++)
		buf[i] = byte_at(i, seed);
	fd = open(in_src(name), O_CREAT | O_WRONLY | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, size), size);
	close(fd);
	free(buf);
}

void grow_old(void)
{
	usleep(30000);
}

/* ---- set-up ---- */

static int send_invalidate(void *arg, const void *items, size_t bytes)
{
	(void)arg;
	assert_true(bytes >= sizeof(invalidated));
	memcpy(&invalidated, items, sizeof(invalidated));
	invalid_bytes = bytes;
	if (invalidations_fail) {
		invalidations_fail--;
		return -EIO;
	}
	invalidations++;
	return 0;
}

void start(const char *options)
{
	struct datafs_vfs_config cfg = {
		.dir = cache_dir, .cache_size = 2 * DATAFS_SLAB_SIZE,
		.backing_add = backing_add, .revoke = send_revoke,
		.invalidate = send_invalidate,
	};
	struct datafs_attr attr;

	assert_int_equal(datafs_pool_new(8, &pool), 0);
	cfg.pool = pool;
	assert_int_equal(datafs_vfs_open(&cfg, &v), 0);
	if (before_start)
		before_start();
	assert_int_equal(datafs_vfs_start(v, DATAFS_FEATURE_LISTING), 0);
	assert_int_equal(mount_as(1, src, options, &attr), 0);
	root = attr.ino;
}

void stop(void)
{
	umount_id(1);
	datafs_pool_free(pool);
	datafs_vfs_close(v);
	for (int i = 0; i < SLABS_MAX; i++) {
		if (slabs[i] >= 0)
			close(slabs[i]);
		slabs[i] = -1;
	}
}

int vfs_dirs(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	if (tmpdir_make(top, sizeof(top), "vfs"))
		return -1;
	snprintf(src, sizeof(src), "%s/src", top);
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache", top);
	memset(slabs, -1, sizeof(slabs));
	return mkdir(src, 0755) || mkdir(cache_dir, 0755) ? -1 : 0;
}

int vfs_setup(void **state)
{
	if (vfs_dirs(state))
		return -1;
	start("sync_interval=always");
	return 0;
}

int vfs_teardown(void **state)
{
	(void)state;
	stop();
	return tmpdir_remove(top);
}
