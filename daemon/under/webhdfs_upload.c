// SPDX-License-Identifier: Apache-2.0
/*
 * Uploads in parts. An upload is a hidden directory, its token the name of that; a part
 * is a file in it, which is written elsewhere and renamed into it: with the directory gone,
 * by complete() or abort(), it has nowhere to go.
 *
 * complete() joins the parts to the first one (CONCAT), some at a time: how long that is
 * says how far it has come, so that it can be called again after any failure. Where there
 * is no CONCAT (encryption zones, erasure coding, HttpFS), the bytes are read and written
 * once more, through here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http_text.h"
#include "webhdfs_internal.h"

#define SLICE		(8u << 20)	/* bytes that pass through here at once */
#define SOURCES_MAX	4000		/* bytes of the names of parts in a URL */

struct upload {
	struct webhdfs *s;
	char dir[WEBHDFS_TEMP_MAX];	/* its key */
	const struct datafs_under_part *parts;
	size_t n;
	uint64_t size;
};

static int upload_of(struct webhdfs *s, const struct datafs_under_upload *up, struct upload *res)
{
	uint8_t id[WEBHDFS_ID_LEN / 2];

	*res = (struct upload){ .s = s };
	if (strnlen(up->token, sizeof(up->token)) != WEBHDFS_ID_LEN ||
	    datafs_unhex(up->token, id, sizeof(id)))
		return -ENOENT;
	snprintf(res->dir, sizeof(res->dir), WEBHDFS_HIDDEN "/%s", up->token);
	return 0;
}

static void part_key(const struct upload *up, uint32_t number, char key[WEBHDFS_TEMP_MAX])
{
	snprintf(key, WEBHDFS_TEMP_MAX, "%.100s/%010u", up->dir, number);
}

int datafs_webhdfs_begin(struct datafs_under *u, const char *key,
			 const struct datafs_under_attr *attr, struct datafs_under_upload *up)
{
	char temp[WEBHDFS_TEMP_MAX];
	struct webhdfs_call c = {
		DATAFS_UNDER_M_PUT, "PUT", temp, "MKDIRS&permission=700", false,
	};
	bool yes = true;
	int err;

	(void)attr;
	if (!datafs_webhdfs_key_ok(key))
		return -EINVAL;
	err = datafs_webhdfs_temp(temp, up->token);
	if (!err)
		err = datafs_webhdfs_do(webhdfs_of(u), &c, &yes, NULL);
	return err ? err : yes ? 0 : -EIO;
}

int datafs_webhdfs_part(struct datafs_under *u, const char *key,
			const struct datafs_under_upload *up, struct datafs_under_part *part,
			const void *buf)
{
	char temp[WEBHDFS_TEMP_MAX], id[WEBHDFS_ID_LEN + 1], to[WEBHDFS_TEMP_MAX];
	struct webhdfs *s = webhdfs_of(u);
	struct datafs_under_stat st = { .file_id = 0 };
	struct upload it;
	int err;

	(void)key;
	err = upload_of(s, up, &it);
	if (!err)
		err = datafs_webhdfs_temp(temp, id);
	if (err)
		return err;
	err = datafs_webhdfs_create(s, temp, buf, part->len);
	if (!err)
		err = datafs_webhdfs_look(s, temp, &st);
	if (!err)
		err = datafs_webhdfs_whole(s, temp, &st, part->len);
	part_key(&it, part->number, to);
	if (!err)
		err = datafs_webhdfs_publish(s, temp, st.file_id, to, true);
	if (!err)
		snprintf(part->tag, sizeof(part->tag), "%" PRIu64, st.file_id);
	else
		datafs_webhdfs_delete(s, temp, false);
	return err;
}

/* ---- completing ---- */

/* How many parts the first one has in it by now; an error if others are not what they were. */
static int joined(const struct upload *up, uint64_t *id, size_t *k)
{
	char key[WEBHDFS_TEMP_MAX], tag[sizeof(up->parts->tag)];
	struct datafs_under_stat st;
	uint64_t len = 0;
	int err;

	part_key(up, 1, key);
	err = datafs_webhdfs_look(up->s, key, &st);
	if (err)
		return err;
	*id = st.file_id;
	for (*k = 0; *k < up->n && len < st.size; len += up->parts[(*k)++].len)
		;
	*k = DATAFS_MAX(*k, 1u);
	if (len != st.size)
		return -ENOENT;
	snprintf(tag, sizeof(tag), "%" PRIu64, st.file_id);
	return *k > 1 || !strcmp(tag, up->parts[0].tag) ? 0 : -ENOENT;
}

static int check_part(const struct upload *up, size_t i)
{
	char key[WEBHDFS_TEMP_MAX], tag[sizeof(up->parts->tag)];
	struct datafs_under_stat st;
	int err;

	part_key(up, up->parts[i].number, key);
	err = datafs_webhdfs_look(up->s, key, &st);
	if (err)
		return err;
	snprintf(tag, sizeof(tag), "%" PRIu64, st.file_id);
	return st.size == up->parts[i].len && !strcmp(tag, up->parts[i].tag) ? 0 : -ENOENT;
}

/* Joins parts from @k on to the first one, as many as a URL holds; @k becomes the next one. */
static int concat_some(const struct upload *up, size_t *k)
{
	struct webhdfs *s = up->s;
	char target[WEBHDFS_TEMP_MAX], source[WEBHDFS_TEMP_MAX];
	struct webhdfs_call c = { DATAFS_UNDER_M_PUT, "POST", target, NULL, true };
	struct datafs_text op = { 0 };
	size_t end = *k;
	bool yes;
	int err;

	part_key(up, 1, target);
	datafs_text_puts(&op, "CONCAT&sources=");
	while (end < up->n && up->parts[end].len && op.len < SOURCES_MAX) {
		part_key(up, up->parts[end].number, source);
		datafs_text_printf(&op, "%s%s/%s", end == *k ? "" : ",", s->base + s->root, source);
		end++;
	}
	c.op = op.s;
	err = op.failed ? -ENOMEM : end == *k ? 0 : datafs_webhdfs_do(s, &c, &yes, NULL);
	datafs_text_free(&op);
	/* Nothing is in a part that is empty, and it is the last one. */
	*k = end < up->n && !up->parts[end].len ? up->n : end;
	return err;
}

/* Appends the part @key to @to. */
static int copy_part(struct webhdfs *s, const char *key, uint64_t len, const char *to, void *buf)
{
	struct webhdfs_call append = { DATAFS_UNDER_M_PUT, "POST", to, "APPEND", false };
	char op[96];
	struct webhdfs_call open = { DATAFS_UNDER_M_GET, "GET", key, op, false };
	int err = 0;

	for (uint64_t off = 0; off < len && !err;) {
		size_t n = DATAFS_MIN(len - off, SLICE);

		snprintf(op, sizeof(op), "OPEN&offset=%" PRIu64 "&length=%zu", off, n);
		err = datafs_webhdfs_fetch(s, &open, buf, n);
		if (!err)
			err = datafs_webhdfs_send(s, &append, buf, n);
		off += n;
	}
	/* It was there when it was looked at: that it is gone is trouble, not an upload that ended. */
	return err == -ENOENT ? -EIO : err;
}

/* All parts into a new file, which becomes the first one, of which @k are in it already. */
static int copy_all(const struct upload *up, size_t k, uint64_t first_len)
{
	char temp[WEBHDFS_TEMP_MAX], id[WEBHDFS_ID_LEN + 1], key[WEBHDFS_TEMP_MAX];
	void *buf = aligned_alloc(4096, SLICE);
	struct webhdfs *s = up->s;
	struct datafs_under_stat st = { .file_id = 0 };
	int err;

	if (!buf)
		return -ENOMEM;
	err = datafs_webhdfs_temp(temp, id);
	if (!err)
		err = datafs_webhdfs_create(s, temp, "", 0);
	part_key(up, 1, key);
	if (!err)
		err = copy_part(s, key, first_len, temp, buf);
	for (size_t i = k; i < up->n && !err; i++) {
		part_key(up, up->parts[i].number, key);
		err = copy_part(s, key, up->parts[i].len, temp, buf);
	}
	part_key(up, 1, key);
	if (!err)
		err = datafs_webhdfs_look(s, temp, &st);
	if (!err)
		err = datafs_webhdfs_whole(s, temp, &st, up->size);
	if (!err)
		err = datafs_webhdfs_publish(s, temp, st.file_id, key, true);
	if (err)
		datafs_webhdfs_delete(s, temp, false);
	free(buf);
	return err;
}

/* All of it in the first part, whatever was done before. */
static int join(const struct upload *up)
{
	uint64_t id;
	size_t k, from;
	int err = joined(up, &id, &k);

	for (size_t i = k; i < up->n && !err; i++)
		err = check_part(up, i);
	while (!err && k < up->n) {
		from = k;
		err = concat_some(up, &k);
		if (!err || err == -ENOMEM)
			continue;
		/* It may have been done; or it cannot be. */
		err = joined(up, &id, &k);
		if (!err && k == from) {
			err = copy_all(up, k, up->parts[k].off);
			k = up->n;
		}
	}
	return err;
}

int datafs_webhdfs_complete(struct datafs_under *u, const char *key,
			    const struct datafs_under_upload *up,
			    const struct datafs_under_part *parts, size_t n,
			    const struct datafs_under_attr *attr,
			    const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	struct webhdfs *s = webhdfs_of(u);
	char first[WEBHDFS_TEMP_MAX];
	struct upload it;
	int err;

	if (!datafs_webhdfs_key_ok(key))
		return -EINVAL;
	err = upload_of(s, up, &it);
	if (err)
		return err;
	it.parts = parts;
	it.n = n;
	it.size = parts[n - 1].off + parts[n - 1].len;
	err = datafs_webhdfs_check(s, key, cond);
	if (!err)
		err = join(&it);
	part_key(&it, 1, first);
	if (!err)
		err = datafs_webhdfs_finish(s, first, it.size, key, attr, cond, fp);
	if (!err)
		datafs_webhdfs_delete(s, it.dir, true);
	return err;
}

int datafs_webhdfs_abort(struct datafs_under *u, const char *key,
			 const struct datafs_under_upload *up)
{
	struct upload it;
	int err = upload_of(webhdfs_of(u), up, &it);

	(void)key;
	/* One that nobody has begun has ended. */
	return err ? 0 : datafs_webhdfs_delete(webhdfs_of(u), it.dir, true);
}
