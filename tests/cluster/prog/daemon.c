// SPDX-License-Identifier: Apache-2.0
/*
 * daemon DIR NODE KEYFILE SOURCE...: what a daemon is but for a kernel: it mounts these
 * sources, says "mounted", and serves nothing but these lines of its input:
 *
 *	umount N	the N-th mount (1: the first) is taken away; answer: "unmounted N"
 *	read PATH	the beginning of a file of the first mount is read, by upcalls; answer:
 *			"read PATH: ERRNO slots NORMAL KEEP ONCE", how many there are then
 *	end		as the end of its input: it leaves the others mounted, as a daemon that
 *			ends does. One that is there before, in DIR, is taken over.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "vfs/vfs.h"

#define LINE_LEN	256

static struct datafs_vfs *v;
static struct datafs_attr root;	/* of the first mount, if it is new */

static int backing_add(void *arg, int fd, uint32_t id)
{
	(void)arg, (void)fd, (void)id;
	return 0;
}

static int revoke(void *arg, uint64_t cookie, const struct datafs_range *ranges, uint32_t n)
{
	(void)arg, (void)cookie, (void)ranges, (void)n;
	return 0;
}

static int invalidate(void *arg, const void *items, size_t bytes)
{
	(void)arg, (void)items, (void)bytes;
	return 0;
}

static int lease(void *arg, uint32_t mount, uint64_t until)
{
	(void)arg, (void)mount, (void)until;
	return 0;
}

/* Of its answer the first @len bytes are to be in @res. */
static int ask(enum datafs_opcode op, uint32_t mount, uint64_t ino, const char *name,
	       const void *body, void *res, size_t len)
{
	struct datafs_req req = {
		.opcode = op, .mount_id = mount, .id = mount, .ino = ino,
		.namelen = (uint16_t)strlen(name),
	};
	struct datafs_call c = { .req = &req, .body = body };
	int ret;

	memcpy(c.name, name, req.namelen);

	c.out = aligned_alloc(8, (DATAFS_REPLY_MAX + 7) / 8 * 8);
	if (!c.out)
		err(1, "call");
	ret = datafs_vfs_call(v, &c);
	datafs_vfs_finish(v, &c);
	if (!ret && len)
		memcpy(res, c.out, len);
	free(c.out);
	return ret;
}

static int call(enum datafs_opcode op, uint32_t mount, const void *body)
{
	return ask(op, mount, 0, "", body, NULL, 0);
}

/* @path is taken apart. */
static int read_file(char *path)
{
	struct datafs_extent_req want = { .len = DATAFS_GRANULE };
	struct datafs_entry e = { .attr.ino = root.ino };
	char *name;
	int ret = 0;

	for (name = strtok(path, "/"); name && !ret; name = strtok(NULL, "/")) {
		if (strlen(name) > DATAFS_NAME_MAX)
			return -ENAMETOOLONG;
		ret = ask(DATAFS_OP_LOOKUP, 1, e.attr.ino, name, NULL, &e, sizeof(e));
		if (!ret && !e.attr.ino)
			ret = -ENOENT;
	}
	want.content = e.attr.content;
	return ret ? ret : ask(DATAFS_OP_EXTENT, 1, e.attr.ino, "", &want, NULL, 0);
}

static unsigned long long counter(const char *key)
{
	unsigned long long val = 0;
	char *text = NULL, *at;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		err(1, "stats");
	datafs_vfs_stats(v, f);
	if (fclose(f))
		err(1, "stats");
	at = strstr(text, key);
	if (!at || sscanf(at + strlen(key), " %llu", &val) != 1)
		errx(1, "it is not among the stats: %s", key);
	free(text);
	return val;
}

static void tell_read(char *path)
{
	char said[LINE_LEN];
	int ret;

	snprintf(said, sizeof(said), "%s", path);
	ret = read_file(path);
	printf("read %s: %d slots %llu %llu %llu\n", said, -ret, counter("\ncache_normal_slots"),
	       counter("\ncache_keep_slots"), counter("\ncache_once_slots"));
}

/* Its incarnation has the number as the first byte. */
static void mount_new(uint32_t id, const char *source)
{
	struct datafs_mount_req *m = calloc(1, sizeof(*m) + strlen(source) + 8);
	int ret;

	if (!m)
		err(1, "mount");
	m->incarnation[0] = (uint8_t)id;
	m->source_len = (uint32_t)strlen(source);
	memcpy(m + 1, source, m->source_len);
	ret = ask(DATAFS_OP_MOUNT, id, 0, "", m, id == 1 ? &root : NULL,
		  id == 1 ? sizeof(root) : 0);
	if (ret)
		errx(1, "mount of %s: %s", source, strerror(-ret));
	free(m);
}

static void adopt(uint32_t id, const char *source)
{
	uint8_t incarnation[16] = { (uint8_t)id };
	int ret = datafs_vfs_adopt_mount(v, id, incarnation, source, "");

	if (ret)
		errx(1, "%s: %s", source, strerror(-ret));
}

int main(int argc, char **argv)
{
	struct datafs_vfs_config cfg = {
		.cache_size = 2 * DATAFS_SLAB_SIZE, .backing_add = backing_add,
		.revoke = revoke, .invalidate = invalidate, .recall = invalidate, .lease = lease,
	};
	bool is_new;
	char line[LINE_LEN], path[LINE_LEN];
	unsigned int id;

	if (argc < 5)
		errx(2, "usage: daemon DIR NODE KEYFILE SOURCE...");
	datafs_log_set_level(LOG_INFO);
	is_new = !mkdir(argv[1], 0700);
	cfg.dir = argv[1];
	cfg.node_name = argv[2];
	cfg.key_file = argv[3];
	if (datafs_pool_new(8, &cfg.pool) || datafs_vfs_open(&cfg, &v))
		errx(1, "no daemon");
	for (int i = 4; !is_new && i < argc; i++)
		adopt((uint32_t)i - 3, argv[i]);
	if (datafs_vfs_start(v, 0))
		errx(1, "no start");
	for (int i = 4; is_new && i < argc; i++)
		mount_new((uint32_t)i - 3, argv[i]);
	printf("mounted\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n")) {
		if (sscanf(line, "umount %u", &id) == 1) {
			call(DATAFS_OP_UMOUNT, id, NULL);
			printf("unmounted %u\n", id);
		} else if (sscanf(line, "read %255s", path) == 1) {
			tell_read(path);
		} else {
			errx(2, "no command: %s", line);
		}
		fflush(stdout);
	}
	datafs_vfs_stop(v);
	datafs_pool_free(cfg.pool);
	datafs_vfs_close(v);
	return 0;
}
