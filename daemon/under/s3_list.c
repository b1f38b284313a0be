// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 under-store: what a directory holds. Keys are listed in the order of their bytes,
 * and each is given once it is known, so that a listing can go on after any of them; those
 * that cannot be names are left out, as Documentation/understores.rst says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "datafs_abi.h"
#include "s3_internal.h"

/* 1000 keys of 1024 bytes, each encoded as %XX, and what is said of them. */
#define PAGE_BYTES	(8 << 20)
/* Answers without a key in a listing that goes on: more are no listing. */
#define IDLE_MAX	100

int datafs_s3_page(struct s3 *s, const char *prefix, const char *after, const char *token,
		   bool delimited, uint32_t max, struct datafs_s3_page *page)
{
	char number[16];
	struct s3_req r;
	int err;

	memset(page, 0, sizeof(*page));
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_LIST, "GET", NULL, false);
	if (err)
		goto out;
	if (token)
		datafs_s3_param(&r, "continuation-token", token);
	if (delimited)
		datafs_s3_param(&r, "delimiter", "/");
	datafs_s3_param(&r, "encoding-type", "url");
	datafs_s3_param(&r, "list-type", "2");
	snprintf(number, sizeof(number), "%u", max);
	datafs_s3_param(&r, "max-keys", number);
	datafs_s3_param(&r, "prefix", prefix);
	if (after)
		datafs_s3_param(&r, "start-after", after);
	r.http.text_max = PAGE_BYTES;
	r.key = strdup(prefix);
	err = datafs_s3_call(s, &r);
	/* Of a bucket that says "there is none" nothing is proven. */
	if (err == -ENOENT || err == -ESTALE || err == -ERANGE)
		err = datafs_s3_log(s, &r, -EIO, NULL);
	if (err)
		goto out;
	err = datafs_s3_parse_list(r.a.text, r.a.text_len, page);
	if (err)
		datafs_s3_log(s, &r, err, "the answer is no list of keys");
out:
	datafs_s3_end(&r);
	return err;
}

/* ---- names ---- */

struct listing {
	struct s3 *s;
	char *dir;		/* the prefix of its keys */
	size_t dir_len;
	struct datafs_under_place *place;
	char *last;		/* the last key of the last page: they ascend */
	uint32_t idle;		/* pages since one had keys that were new */
	/*
	 * A file and keys below the same name: the file's own key comes first, and all between
	 * it and those begin with its name. So it is enough to know which beginnings of the
	 * last name are files: files[n] of the first n bytes of it.
	 */
	char name[DATAFS_NAME_MAX + 1];
	enum { NO_FILE, A_FILE, MAY_BE } files[DATAFS_NAME_MAX + 1];
	bool any;		/* there was something, though perhaps not to be shown */
	uint32_t hidden;
	char hidden_key[80];	/* one of them, cut */
};

static void hide(struct listing *l, const char *key)
{
	l->hidden++;
	snprintf(l->hidden_key, sizeof(l->hidden_key), "%s", key);
}

static bool is_name(const char *name, size_t len)
{
	return len && len <= DATAFS_NAME_MAX && strcmp(name, ".") && strcmp(name, "..");
}

/* @name is the next in the order of keys; what @state its first @len bytes have. */
static void come_to(struct listing *l, const char *name, size_t len, int state)
{
	size_t same = 0;

	while (same < len && l->name[same] == name[same])
		same++;
	for (size_t n = same + 1; n <= DATAFS_NAME_MAX; n++)
		l->files[n] = NO_FILE;
	memcpy(l->name, name, len);
	l->name[len] = 0;
	if (state != NO_FILE)
		l->files[len] = state;
}

/* Does a file have this name, which is a prefix of keys, too? */
static int hidden_by_file(struct listing *l, const char *name, size_t len)
{
	struct s3_object o;
	char *key;
	int err;

	come_to(l, name, len, NO_FILE);
	if (l->files[len] != MAY_BE)
		return l->files[len] == A_FILE;
	if (asprintf(&key, "%s%s", l->dir + strlen(l->s->prefix), name) < 0)
		return -ENOMEM;
	err = datafs_s3_head(l->s, key, &o);
	free(key);
	return err == -ENOENT ? 0 : err ?: 1;
}

/*
 * Its place in the listing begins after an entry of which only the name is known: what came
 * before it may have been files.
 */
static void come_back(struct listing *l, const char *token)
{
	size_t len = strlen(token);
	bool dir = len && token[len - 1] == '/';
	char name[DATAFS_NAME_MAX + 1];

	len -= dir;
	if (!len || len > DATAFS_NAME_MAX)
		return;
	memcpy(name, token, len);
	name[len] = 0;
	come_to(l, name, len, dir ? NO_FILE : A_FILE);
	for (size_t n = 1; n < len; n++)
		l->files[n] = MAY_BE;
}

/* ---- entries ---- */

static int give(struct listing *l, const struct datafs_s3_entry *e, datafs_under_list_fn fn,
		void *arg)
{
	const char *rest = e->key + l->dir_len;
	size_t len = strlen(rest) - e->prefix;
	char name[DATAFS_NAME_MAX + 1];
	struct datafs_under_stat st;
	int ret = 0;

	/* The directory's own marker. */
	if (!*rest)
		return 0;
	memcpy(name, rest, DATAFS_MIN(len, DATAFS_NAME_MAX));
	name[DATAFS_MIN(len, DATAFS_NAME_MAX)] = 0;
	if (!is_name(name, len)) {
		hide(l, e->key);
		return 0;
	}
	if (e->prefix) {
		ret = hidden_by_file(l, name, len);
		if (ret > 0)
			hide(l, e->key);
		if (ret)
			return DATAFS_MIN(ret, 0);
		datafs_s3_fill_dir(l->s, &st);
	} else {
		come_to(l, name, len, A_FILE);
		datafs_s3_fill_entry(l->s, e, &st);
	}
	ret = fn(arg, name, &st);
	if (ret == 0 || ret == DATAFS_UNDER_STOP)
		strcpy(l->place->token, rest);
	return ret;
}

static int refuse(const struct listing *l, const char *why)
{
	datafs_under_log(l->s->u.opts, LOG_ERR, "%s: list of \"%s\": %s; this store cannot be used", l->s->name,
			 l->dir, why);
	return -EPROTO;
}

/* Is it a key of this directory, and the next one? -EPROTO. */
static int check_entry(const struct listing *l, const struct datafs_s3_entry *e)
{
	const char *slash;

	if (strncmp(e->key, l->dir, l->dir_len) || strlen(e->key) > DATAFS_S3_KEY_MAX)
		return -EPROTO;
	slash = strchr(e->key + l->dir_len, '/');
	if (e->prefix ? !slash || slash[1] : !!slash)
		return -EPROTO;
	return l->last && strcmp(e->key, l->last) < 0 ? -EPROTO : 0;
}

static int give_page(struct listing *l, const struct datafs_s3_page *page, const char *after,
		     datafs_under_list_fn fn, void *arg)
{
	int ret;

	for (size_t i = 0; i < page->n; i++) {
		const struct datafs_s3_entry *e = &page->entry[i];

		if (check_entry(l, e))
			return refuse(l, "the keys are others, or not in order");
		l->any = true;
		/* Some stores give the prefix again after which they were asked to go on. */
		if (after && strcmp(e->key, after) <= 0)
			continue;
		if (l->last && !strcmp(e->key, l->last))
			continue;
		l->idle = 0;
		ret = give(l, e, fn, arg);
		if (ret)
			return ret;
	}
	if (page->n) {
		free(l->last);
		l->last = strdup(page->entry[page->n - 1].key);
		if (!l->last)
			return -ENOMEM;
	}
	return 0;
}

static int list_pages(struct listing *l, datafs_under_list_fn fn, void *arg)
{
	struct datafs_s3_page page;
	char *after = NULL, *token = NULL;
	bool more;
	int ret;

	if (*l->place->token && asprintf(&after, "%s%s", l->dir, l->place->token) < 0)
		return -ENOMEM;
	do {
		ret = datafs_s3_page(l->s, l->dir, token ? NULL : after, token, true,
				     DATAFS_S3_PAGE, &page);
		free(token);
		token = NULL;
		if (ret)
			break;
		l->hidden += page.unreadable;
		if (page.unreadable && !*l->hidden_key)
			snprintf(l->hidden_key, sizeof(l->hidden_key), "%s... (no UTF-8)", l->dir);
		l->any = l->any || page.unreadable;
		l->idle++;
		ret = give_page(l, &page, after, fn, arg);
		if (!ret && l->idle > IDLE_MAX)
			ret = refuse(l, "it does not end");
		token = page.next;
		page.next = NULL;
		more = page.truncated;
		/* Where its last key is not shown, the place is before it. */
		if (!ret && more && l->place->by_page && l->last &&
		    !strcmp(l->last + l->dir_len, l->place->token))
			ret = DATAFS_UNDER_STOP;
		datafs_s3_page_free(&page);
	} while (!ret && more);
	free(token);
	free(after);
	return ret;
}

int datafs_s3_list(struct datafs_under *u, const char *key, struct datafs_under_place *place,
		   datafs_under_list_fn fn, void *arg)
{
	struct listing l = { .s = s3_of(u), .place = place };
	bool begins = !*place->token;
	int ret;

	if (strnlen(place->token, sizeof(place->token)) > DATAFS_NAME_MAX + 1)
		return -EINVAL;
	ret = datafs_s3_prefix(l.s, key, &l.dir);
	if (ret)
		return ret;
	l.dir_len = strlen(l.dir);
	come_back(&l, place->token);
	ret = list_pages(&l, fn, arg);
	/* Directories are what their keys make of them; the root alone is there without. */
	if (!ret && begins && !l.any && *key)
		ret = -ENOENT;
	if (l.hidden)
		datafs_under_log(l.s->u.opts, LOG_WARNING, "%s: list of \"%s\": %u keys are not shown, as they cannot be names beside the others; such as \"%s\"",
				 l.s->name, l.dir, l.hidden, l.hidden_key);
	free(l.last);
	free(l.dir);
	return ret;
}
