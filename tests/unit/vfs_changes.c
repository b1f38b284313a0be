// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "vfs_changes.h"

#include <dirent.h>
#include <unistd.h>

static const uint8_t incarnation[16] = { 2 };
static uint64_t next = 1000;

/* A change by mount @mount, with the id @id. */
int change_as(uint32_t mount, uint64_t id, enum datafs_opcode op, uint64_t ino,
	      const void *body, size_t len, const char *name, const char *more,
	      struct datafs_change_rep *rep)
{
	struct datafs_req req = {
		.opcode = op, .mount_id = mount, .ino = ino, .id = id,
		.namelen = name ? strlen(name) : 0,
	};
	char *buf = calloc(1, len + 2 * (DATAFS_NAME_MAX + 9) +
			   (more ? strlen(more) : 0));
	struct datafs_call call = { .req = &req, .body = buf };
	struct datafs_change_req *c = (void *)buf;
	int ret;

	memcpy(buf, body, len);
	c->lowest = c->lowest ? c->lowest : id;
	if (name) {
		strcpy(call.name, name);
		strcpy(buf + len, name);
	}
	if (more)
		strcpy(buf + len + datafs_round_up(req.namelen, 8), more);
	call.out = op == DATAFS_OP_RELEASE ? NULL : malloc(DATAFS_REPLY_MAX);
	ret = datafs_vfs_call(v, &call);
	if (!ret && call.out) {
		assert_int_equal(call.out_len, sizeof(*rep));
		if (rep)
			memcpy(rep, call.out, sizeof(*rep));
	}
	free(call.out);
	free(buf);
	return ret;
}

int change(enum datafs_opcode op, uint64_t ino, const void *body, size_t len,
	   const char *name, const char *more, struct datafs_change_rep *rep)
{
	return change_as(2, next++, op, ino, body, len, name, more, rep);
}

int make(enum datafs_opcode op, uint64_t dir, const char *name,
	 struct datafs_change_rep *rep)
{
	struct datafs_make_req m = { .mode = 0755, .umask = 022, .uid = 7, .gid = 8 };

	return change(op, dir, &m, sizeof(m), name, NULL, rep);
}

int find(uint32_t mount, uint64_t dir, const char *name, struct datafs_attr *attr)
{
	struct answer a = up_flags(DATAFS_OP_LOOKUP, mount, dir, NULL, name, 0);
	const struct datafs_entry *e = (void *)a.out;
	int ret = a.err ? a.err : e->attr.ino ? 0 : -ENOENT;

	if (!a.err)
		assert_int_equal(e->valid_ms, DATAFS_FOREVER);
	if (!ret)
		*attr = e->attr;
	free(a.out);
	return ret;
}

int attr_of(uint64_t ino, struct datafs_attr *attr)
{
	struct answer a = up_flags(DATAFS_OP_GETATTR, 2, ino, NULL, NULL, 0);

	if (!a.err)
		memcpy(attr, a.out, sizeof(*attr));
	free(a.out);
	return a.err;
}

/* An inode that is there, named or not, has no such attribute. */
int there(uint64_t ino)
{
	struct answer a = up_flags(DATAFS_OP_GETXATTR, 2, ino, NULL, "user.none", 0);

	free(a.out);
	return a.err == -ENODATA ? 0 : a.err;
}

int mount_quorum(uint32_t id, const char *source, struct datafs_attr *root)
{
	return mount_as(id, source, "", root);
}

/* How many sessions there are files of. */
int session_files(void)
{
	char path[4300];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/../cache/sessions", src);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += *e->d_name != '.';
	if (d)
		closedir(d);
	return n;
}

void adopt(void)
{
	assert_int_equal(datafs_vfs_adopt_mount(v, 2, incarnation, ":/", ""), 0);
}

int changes_setup(void **state)
{
	struct datafs_attr root_attr;
	int ret;

	before_start = NULL;
	ret = vfs_setup(state);
	if (ret || mount_quorum(2, ":/", &root_attr))
		return -1;
	invalidations = 0;
	return 0;
}

int changes_teardown(void **state)
{
	before_start = NULL;
	invalidations_fail = 0;
	return vfs_teardown(state);
}
