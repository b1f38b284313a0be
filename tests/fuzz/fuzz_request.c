// SPDX-License-Identifier: Apache-2.0
/*
 * daemon/frontend/frontend.c and check.c against arbitrary bytes from the device. Loop,
 * pool and vfs are doubles: a read completes at once with the input, jobs run
 * where they are added. What must hold: each message that is framed well is
 * answered exactly once and in a frame of its own, and the vfs sees only what
 * vfs.h promises it.
 */
#include <errno.h>
#include <string.h>
#include <sanitizer/asan_interface.h>
#include <unistd.h>

#include "base/util.h"
#include "frontend/frontend.h"
#include "fuzz.h"

#define DEVICE_FD	1000	/* no such file: write() is caught */

static struct {
	struct datafs_event *ev;
	char *buf;
} pending;
static unsigned int replies;
static uint32_t sum;		/* of all that was looked at */

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	const struct datafs_rep *rep = buf;
	size_t i;

	if (fd != DEVICE_FD)
		return __real_write(fd, buf, len);
	MUST(len >= sizeof(*rep) && rep->len == len && len <= DATAFS_MSG_MAX);
	MUST(rep->error <= 0 && rep->error >= -511);
	MUST(!rep->error || len == sizeof(*rep));
	for (i = 0; i < len; i++)
		sum += ((const unsigned char *)buf)[i];
	replies++;
	return (ssize_t)len;
}

int datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     void *buf, size_t len)
{
	(void)loop;
	MUST(fd == DEVICE_FD && len == DATAFS_MSG_MAX);
	pending.ev = ev;
	pending.buf = buf;
	return 0;
}

void datafs_loop_cancel(struct datafs_loop *loop, struct datafs_event *ev)
{
	(void)loop, (void)ev;
}

void datafs_loop_stop(struct datafs_loop *loop)
{
	(void)loop;
}

int datafs_pool_new(int max, struct datafs_pool **res)
{
	(void)max;
	*res = NULL;
	return 0;
}

void datafs_pool_free(struct datafs_pool *pool)
{
	(void)pool;
}

void datafs_pool_add(struct datafs_pool *pool, struct datafs_job *job,
		     enum datafs_prio prio)
{
	(void)pool;
	MUST(prio == DATAFS_PRIO_WAITED || prio == DATAFS_PRIO_AHEAD);
	job->run(job);
}

static void mount_holds(const struct datafs_mount_req *m, size_t len)
{
	const unsigned char *text = (const void *)(m + 1);

	MUST(m->source_len && m->source_len <= DATAFS_SOURCE_MAX);
	MUST(m->options_len <= DATAFS_OPTIONS_MAX);
	MUST(sizeof(*m) + m->source_len + m->options_len <= len);
	for (uint32_t i = 0; i < m->source_len + m->options_len; i++)
		MUST(text[i]);
}

static void name_holds(const struct datafs_req *req, const char *name)
{
	MUST(req->namelen && strlen(name) == req->namelen);
	if (req->opcode == DATAFS_OP_GETXATTR || req->opcode == DATAFS_OP_SETXATTR ||
	    req->opcode == DATAFS_OP_REMOVEXATTR)
		return;
	MUST(!strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."));
}

/* The string behind the struct of @fixed bytes and the name: is it in the body? */
static const char *more_of(const struct datafs_req *req, const void *body, size_t fixed,
			   size_t len)
{
	size_t at = fixed + datafs_round_up(req->namelen, 8);

	MUST(sizeof(*req) + at + datafs_round_up(len, 8) == req->len);
	return (const char *)body + at;
}

static void make_holds(const struct datafs_req *req, const struct datafs_make_req *m)
{
	const char *target = more_of(req, m, sizeof(*m), m->target_len);

	MUST(!m->target_len == (req->opcode != DATAFS_OP_SYMLINK));
	MUST(m->target_len <= DATAFS_SYMLINK_MAX && !memchr(target, 0, m->target_len));
}

static void rename_holds(const struct datafs_req *req, const struct datafs_rename_req *r)
{
	const char *name = more_of(req, r, sizeof(*r), r->new_namelen);

	MUST(r->flags <= 7 && r->new_namelen && r->new_namelen <= DATAFS_NAME_MAX);
	MUST(!memchr(name, 0, r->new_namelen) && !memchr(name, '/', r->new_namelen));
	MUST(r->new_namelen > 2 || memcmp(name, "..", r->new_namelen));
}

static void setattr_holds(const struct datafs_setattr_req *s)
{
	MUST(s->valid <= 63 && !(s->size >> 63));
	MUST(s->atime_ns <= 999999999 && s->mtime_ns <= 999999999);
}

static void change_holds(const struct datafs_req *req, const void *body)
{
	const struct datafs_setxattr_req *x = body;

	switch (req->opcode) {
	case DATAFS_OP_CREATE:
	case DATAFS_OP_MKDIR:
	case DATAFS_OP_MKNOD:
	case DATAFS_OP_SYMLINK:
		make_holds(req, body);
		break;
	case DATAFS_OP_LINK:
		more_of(req, body, sizeof(struct datafs_link_req), 0);
		break;
	case DATAFS_OP_UNLINK:
	case DATAFS_OP_RMDIR:
		more_of(req, body, sizeof(struct datafs_remove_req), 0);
		break;
	case DATAFS_OP_RENAME:
		rename_holds(req, body);
		break;
	case DATAFS_OP_SETATTR:
		more_of(req, body, sizeof(struct datafs_setattr_req), 0);
		setattr_holds(body);
		break;
	case DATAFS_OP_SETXATTR:
		more_of(req, body, sizeof(*x), x->value_len);
		MUST(x->value_len <= DATAFS_XATTR_MAX && x->flags <= 3);
		break;
	case DATAFS_OP_REMOVEXATTR:
	case DATAFS_OP_RELEASE:
		more_of(req, body, sizeof(struct datafs_change_req), 0);
	}
}

int datafs_vfs_call(struct datafs_vfs *v, struct datafs_call *call)
{
	const struct datafs_req *req = call->req;
	size_t len = req->len - sizeof(*req);

	(void)v;
	MUST(req->opcode && req->opcode < DATAFS_OP_NR);
	for (size_t i = 0; i < len; i++)
		sum += ((const unsigned char *)call->body)[i];
	if (req->opcode == DATAFS_OP_MOUNT)
		mount_holds(call->body, len);
	if (req->opcode == DATAFS_OP_EXTENT)
		MUST(len == sizeof(struct datafs_extent_req));
	if (req->namelen || req->opcode == DATAFS_OP_LOOKUP ||
	    req->opcode == DATAFS_OP_GETXATTR ||
	    (req->opcode >= DATAFS_OP_CREATE && req->opcode != DATAFS_OP_SETATTR &&
	     req->opcode != DATAFS_OP_RELEASE))
		name_holds(req, call->name);
	change_holds(req, call->body);
	/* These are told once, and have no room for a reply. */
	MUST(!call->out == (req->opcode == DATAFS_OP_UMOUNT ||
			    req->opcode == DATAFS_OP_REVOKE_DONE ||
			    req->opcode == DATAFS_OP_RELEASE));
	if (!call->out)
		return 0;
	/* All of a reply's room is the vfs's, and any result is answered. */
	memset((char *)call->out + DATAFS_REPLY_MAX - 64, 0xa5, 64);
	memset(call->out, 0xa5, 64);
	call->out_len = req->ino % 64;
	return req->seq % 3 ? 0 : -(int)(req->seq % 200);
}

/* Some here, some there. */
bool datafs_vfs_elsewhere(struct datafs_vfs *v, const struct datafs_req *req, const void *body)
{
	(void)v;
	(void)body;
	return req->mount_id % 2;
}

void datafs_vfs_finish(struct datafs_vfs *v, struct datafs_call *call)
{
	(void)v;
	MUST(call->req);
}

void datafs_vfs_stop(struct datafs_vfs *v)
{
	(void)v;
}

unsigned int datafs_vfs_mounts(struct datafs_vfs *v)
{
	(void)v;
	return 0;
}

static void changed(void *arg)
{
	(void)arg;
}

/* Messages up to the first that is not framed well. */
static unsigned int framed(const char *buf, size_t have)
{
	unsigned int n = 0;
	size_t at = 0;

	while (at < have) {
		struct datafs_req req;

		if (have - at < sizeof(req))
			break;
		memcpy(&req, buf + at, sizeof(req));
		if (req.len < sizeof(req) || req.len % 8 || req.len > have - at)
			break;
		at += req.len;
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct datafs_frontend *f;
	struct datafs_event *ev;
	char *rest;
	bool ever;

	if (!size || size > DATAFS_MSG_MAX)
		return -1;
	if (!f)
		MUST(!datafs_frontend_new(DEVICE_FD, NULL, NULL, NULL, changed,
					  NULL, &f));
	ev = pending.ev;
	MUST(ev);
	pending.ev = NULL;
	replies = 0;
	memcpy(pending.buf, data, size);
	rest = pending.buf + size;
	ASAN_POISON_MEMORY_REGION(rest, DATAFS_MSG_MAX - size);
	ev->fn(ev, (int)size);
	ASAN_UNPOISON_MEMORY_REGION(rest, DATAFS_MSG_MAX - size);
	MUST(pending.ev == ev);
	MUST(replies == framed((const char *)data, size));
	MUST(!datafs_frontend_mounted(f, &ever));
	return 0;
}
