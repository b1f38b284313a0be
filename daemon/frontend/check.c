// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <stddef.h>
#include <string.h>

#include "base/util.h"

static bool name_ok(const char *name, uint32_t len, enum datafs_name_kind kind)
{
	if (!len || len > DATAFS_NAME_MAX || memchr(name, 0, len))
		return false;
	return kind == DATAFS_NAME_XATTR ||
	       (!memchr(name, '/', len) && (len > 2 || memcmp(name, "..", len)));
}

static bool mount_ok(const void *body, const char *more, uint32_t room, uint32_t *len)
{
	const struct datafs_mount_req *m = body;

	*len = m->source_len + m->options_len;
	return !m->flags && !m->reserved && m->source_len &&
	       m->source_len <= DATAFS_SOURCE_MAX &&
	       m->options_len <= DATAFS_OPTIONS_MAX && *len <= room &&
	       !memchr(more, 0, *len);
}

static bool make_ok(const void *body, const char *more, uint32_t room, uint32_t *len)
{
	const struct datafs_make_req *m = body;

	(void)more;
	(void)room;
	*len = 0;
	return !m->reserved && !m->target_len;
}

static bool symlink_ok(const void *body, const char *more, uint32_t room, uint32_t *len)
{
	const struct datafs_make_req *m = body;

	*len = m->target_len;
	return !m->reserved && *len && *len <= DATAFS_SYMLINK_MAX && *len <= room &&
	       !memchr(more, 0, *len);
}

static bool remove_ok(const void *body, const char *more, uint32_t room, uint32_t *len)
{
	const struct datafs_remove_req *r = body;

	(void)more;
	(void)room;
	*len = 0;
	return !r->reserved && !(r->flags & ~DATAFS_REMOVE_HOLD);
}

static bool rename_ok(const void *body, const char *more, uint32_t room, uint32_t *len)
{
	const struct datafs_rename_req *r = body;

	*len = r->new_namelen;
	return !r->reserved && !(r->flags & ~(DATAFS_RENAME_NOREPLACE |
					      DATAFS_RENAME_EXCHANGE |
					      DATAFS_RENAME_HOLD)) &&
	       *len <= room && name_ok(more, *len, DATAFS_NAME_ENTRY);
}

static bool setxattr_ok(const void *body, const char *more, uint32_t room, uint32_t *len)
{
	const struct datafs_setxattr_req *s = body;

	(void)more;
	*len = s->value_len;
	return !(s->flags & ~(DATAFS_XATTR_CREATE | DATAFS_XATTR_REPLACE)) &&
	       *len <= DATAFS_XATTR_MAX && *len <= room;
}

const struct datafs_shape datafs_shapes[DATAFS_OP_NR] = {
	[DATAFS_OP_MOUNT]	= { sizeof(struct datafs_mount_req), .more = mount_ok,
				    .lane = DATAFS_LANE_MOUNTS },
	[DATAFS_OP_UMOUNT]	= { .once = true, .lane = DATAFS_LANE_MOUNTS },
	[DATAFS_OP_LOOKUP]	= { .name = DATAFS_NAME_ENTRY },
	[DATAFS_OP_READDIR]	= { sizeof(struct datafs_readdir_req) },
	[DATAFS_OP_EXTENT]	= { sizeof(struct datafs_extent_req) },
	[DATAFS_OP_BAD_EXTENT]	= { sizeof(struct datafs_bad_extent_req) },
	[DATAFS_OP_GETXATTR]	= { .name = DATAFS_NAME_XATTR },
	[DATAFS_OP_REVOKE_DONE]	= { sizeof(struct datafs_revoke_done), .once = true,
				    .lane = DATAFS_LANE_REVOKED },
	[DATAFS_OP_CREATE]	= { sizeof(struct datafs_make_req), DATAFS_NAME_ENTRY,
				    make_ok },
	[DATAFS_OP_MKDIR]	= { sizeof(struct datafs_make_req), DATAFS_NAME_ENTRY,
				    make_ok },
	[DATAFS_OP_MKNOD]	= { sizeof(struct datafs_make_req), DATAFS_NAME_ENTRY,
				    make_ok },
	[DATAFS_OP_SYMLINK]	= { sizeof(struct datafs_make_req), DATAFS_NAME_ENTRY,
				    symlink_ok },
	[DATAFS_OP_LINK]	= { sizeof(struct datafs_link_req), DATAFS_NAME_ENTRY },
	[DATAFS_OP_UNLINK]	= { sizeof(struct datafs_remove_req), DATAFS_NAME_ENTRY,
				    remove_ok },
	[DATAFS_OP_RMDIR]	= { sizeof(struct datafs_remove_req), DATAFS_NAME_ENTRY,
				    remove_ok },
	[DATAFS_OP_RENAME]	= { sizeof(struct datafs_rename_req), DATAFS_NAME_ENTRY,
				    rename_ok },
	[DATAFS_OP_SETATTR]	= { sizeof(struct datafs_setattr_req) },
	[DATAFS_OP_SETXATTR]	= { sizeof(struct datafs_setxattr_req), DATAFS_NAME_XATTR,
				    setxattr_ok },
	[DATAFS_OP_REMOVEXATTR]	= { sizeof(struct datafs_change_req), DATAFS_NAME_XATTR },
	/* Who gives up memory for it must not wait for the pool's. */
	[DATAFS_OP_RELEASE]	= { sizeof(struct datafs_change_req), .once = true },
};

const char *datafs_request_check(const struct datafs_req *req, const void *body)
{
	const struct datafs_shape *s = &datafs_shapes[req->opcode];
	uint32_t len = req->len - sizeof(*req), want, more = 0;

	if (req->reserved)
		return "its reserved field is not zero";
	want = s->body + (s->name ? datafs_round_up(req->namelen, 8) : 0);
	if (len < want)
		return "its length is not that of its opcode";
	if (!s->name && req->namelen)
		return "it has a name";
	if (s->name && !name_ok((const char *)body + s->body, req->namelen, s->name))
		return "its name is not valid";
	if (req->opcode == DATAFS_OP_MOUNT && !req->mount_id)
		return "it has no mount";
	if (s->more && !s->more(body, (const char *)body + want, len - want, &more))
		return "what it asks for is not valid";
	if (len != want + datafs_round_up(more, 8))
		return "its length is not that of its opcode";
	return NULL;
}
