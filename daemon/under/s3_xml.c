// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http_text.h"

/* No answer that is understood here goes deeper, or has longer text in an element. */
#define DEPTH_MAX	8
#define PATH_ROOM	256
#define TEXT_LEN_MAX	(16 << 10)

/* An element has ended: its path from the root, and the text directly in it. */
typedef int (*leaf_fn)(void *arg, const char *path, const char *text);

struct walk {
	XML_Parser parser;
	leaf_fn leaf;
	void *arg;
	char path[PATH_ROOM];
	size_t at[DEPTH_MAX];	/* where the name of each level begins */
	int depth;
	struct datafs_text text;
	int err;
};

static void fail(struct walk *w, int err)
{
	if (!w->err)
		w->err = err;
	XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL start_element(void *arg, const char *name, const char **attr)
{
	size_t len = strlen(name), end;
	struct walk *w = arg;

	(void)attr;
	end = strlen(w->path);
	if (w->depth == DEPTH_MAX || end + 1 + len >= PATH_ROOM) {
		fail(w, -EPROTO);
		return;
	}
	w->at[w->depth++] = end;
	if (end)
		w->path[end++] = '/';
	memcpy(w->path + end, name, len + 1);
	w->text.len = 0;
}

static void XMLCALL end_element(void *arg, const char *name)
{
	struct walk *w = arg;
	int err;

	(void)name;
	if (w->err)
		return;
	datafs_text_add(&w->text, "", 0);
	if (w->text.failed) {
		fail(w, -ENOMEM);
		return;
	}
	err = w->leaf(w->arg, w->path, w->text.s);
	if (err)
		fail(w, err);
	w->path[w->at[--w->depth]] = 0;
	w->text.len = 0;
}

static void XMLCALL character_data(void *arg, const char *s, int len)
{
	struct walk *w = arg;

	if (w->err)
		return;
	if (w->text.len + len > TEXT_LEN_MAX)
		fail(w, -EPROTO);
	else
		datafs_text_add(&w->text, s, len);
}

/* Entities are defined in such a thing, and no store sends one. */
static void XMLCALL start_doctype(void *arg, const char *name, const char *sysid,
				  const char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	fail(arg, -EPROTO);
}

static int walk(const char *xml, size_t len, leaf_fn leaf, void *arg)
{
	struct walk w = { .leaf = leaf, .arg = arg };

	if (len > INT32_MAX)
		return -EPROTO;
	w.parser = XML_ParserCreate(NULL);
	if (!w.parser)
		return -ENOMEM;
	XML_SetUserData(w.parser, &w);
	XML_SetElementHandler(w.parser, start_element, end_element);
	XML_SetCharacterDataHandler(w.parser, character_data);
	XML_SetStartDoctypeDeclHandler(w.parser, start_doctype);
	if (XML_Parse(w.parser, xml ? xml : "", len, 1) != XML_STATUS_OK && !w.err)
		w.err = XML_GetErrorCode(w.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EPROTO;
	XML_ParserFree(w.parser);
	datafs_text_free(&w.text);
	return w.err;
}

/* Of an ETag: false if it is none or too long. */
static bool take_tag(char *to, const char *text)
{
	const char *tag;
	size_t len;

	if (datafs_http_etag(text, &tag, &len) || len > DATAFS_S3_TAG_MAX)
		return false;
	memcpy(to, tag, len);
	to[len] = 0;
	return true;
}

/* ---- lists ---- */

#define LIST	"ListBucketResult"

struct list {
	struct datafs_s3_page *page;
	struct datafs_s3_entry now;	/* what is being told */
	bool seen;			/* it is a list at all */
	bool encoded;
	bool has_size, has_mtime;
	bool has_truncated;
};

static int list_add(struct list *l)
{
	struct datafs_s3_page *p = l->page;
	struct datafs_s3_entry *e;

	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 64;

		e = reallocarray(p->entry, room, sizeof(*e));
		if (!e)
			return -ENOMEM;
		p->entry = e;
		p->room = room;
	}
	p->entry[p->n++] = l->now;
	memset(&l->now, 0, sizeof(l->now));
	l->has_size = l->has_mtime = false;
	return 0;
}

static int list_key(struct list *l, const char *text)
{
	free(l->now.key);
	l->now.key = strdup(text);
	return l->now.key ? 0 : -ENOMEM;
}

static int list_size(struct list *l, const char *text)
{
	int64_t n;

	if (datafs_http_number(text, &n))
		return -EPROTO;
	l->now.size = n;
	l->has_size = true;
	return 0;
}

static int list_mtime(struct list *l, const char *text)
{
	if (datafs_iso_date(text, &l->now.mtime))
		return -EPROTO;
	l->now.mtime.tv_nsec = 0;
	l->has_mtime = true;
	return 0;
}

static int list_tag(struct list *l, const char *text)
{
	return take_tag(l->now.tag, text) ? 0 : -EPROTO;
}

static int list_object(struct list *l, const char *text)
{
	(void)text;
	if (!l->now.key || !*l->now.key || !l->has_size || !l->has_mtime || !*l->now.tag)
		return -EPROTO;
	return list_add(l);
}

static int list_prefix(struct list *l, const char *text)
{
	(void)text;
	if (!l->now.key || !*l->now.key)
		return -EPROTO;
	l->now.prefix = true;
	return list_add(l);
}

static int list_truncated(struct list *l, const char *text)
{
	l->page->truncated = !strcmp(text, "true");
	l->has_truncated = true;
	return l->page->truncated || !strcmp(text, "false") ? 0 : -EPROTO;
}

static int list_next(struct list *l, const char *text)
{
	free(l->page->next);
	l->page->next = strdup(text);
	return l->page->next ? 0 : -ENOMEM;
}

static int list_encoding(struct list *l, const char *text)
{
	l->encoded = !strcmp(text, "url");
	return *text && !l->encoded ? -EPROTO : 0;
}

static int list_end(struct list *l, const char *text)
{
	(void)text;
	l->seen = true;
	return 0;
}

static int list_leaf(void *arg, const char *path, const char *text)
{
	static const struct {
		const char *path;
		int (*take)(struct list *l, const char *text);
	} leaves[] = {
		{ LIST "/Contents/Key", list_key },
		{ LIST "/Contents/Size", list_size },
		{ LIST "/Contents/ETag", list_tag },
		{ LIST "/Contents/LastModified", list_mtime },
		{ LIST "/Contents", list_object },
		{ LIST "/CommonPrefixes/Prefix", list_key },
		{ LIST "/CommonPrefixes", list_prefix },
		{ LIST "/IsTruncated", list_truncated },
		{ LIST "/NextContinuationToken", list_next },
		{ LIST "/EncodingType", list_encoding },
		{ LIST, list_end },
	};

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		if (!strcmp(path, leaves[i].path))
			return leaves[i].take(arg, text);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct datafs_s3_entry *)a)->key,
		      ((const struct datafs_s3_entry *)b)->key);
}

/* As they were before they were sent, in order. */
static void list_settle(struct datafs_s3_page *p, bool encoded)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		char *key = p->entry[i].key;

		/* What is not encoded is UTF-8 as all of the answer is. */
		if (encoded && (datafs_http_unescape(key, true) < 0 || !datafs_text_is_utf8(key))) {
			free(key);
			p->unreadable++;
		} else {
			p->entry[n++] = p->entry[i];
		}
	}
	p->n = n;
	if (n)
		qsort(p->entry, n, sizeof(p->entry[0]), by_key);
	n = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (n && !strcmp(p->entry[n - 1].key, p->entry[i].key))
			free(p->entry[i].key);
		else
			p->entry[n++] = p->entry[i];
	}
	p->n = n;
}

int datafs_s3_parse_list(const char *xml, size_t len, struct datafs_s3_page *page)
{
	struct list l = { .page = page };
	int err;

	memset(page, 0, sizeof(*page));
	err = walk(xml, len, list_leaf, &l);
	free(l.now.key);
	/* Where it says two things of whether that was all, or none, keys may be missing. */
	if (!err && (!l.seen || !l.has_truncated ||
		     page->truncated != (page->next && *page->next)))
		err = -EPROTO;
	if (err)
		datafs_s3_page_free(page);
	else
		list_settle(page, l.encoded);
	return err;
}

void datafs_s3_page_free(struct datafs_s3_page *page)
{
	for (size_t i = 0; i < page->n; i++)
		free(page->entry[i].key);
	free(page->entry);
	free(page->next);
	memset(page, 0, sizeof(*page));
}

/* ---- errors ---- */

static void take_cut(char *to, size_t room, const char *text)
{
	size_t n = strnlen(text, room - 1);

	memcpy(to, text, n);
	to[n] = 0;
}

static int error_leaf(void *arg, const char *path, const char *text)
{
	struct datafs_s3_error *e = arg;

	if (!strcmp(path, "Error/Code"))
		take_cut(e->code, sizeof(e->code), text);
	else if (!strcmp(path, "Error/Message"))
		take_cut(e->message, sizeof(e->message), text);
	else if (!strcmp(path, "Error/Region"))
		take_cut(e->region, sizeof(e->region), text);
	return 0;
}

int datafs_s3_parse_error(const char *xml, size_t len, struct datafs_s3_error *e)
{
	int err;

	memset(e, 0, sizeof(*e));
	err = walk(xml, len, error_leaf, e);
	if (err || !*e->code) {
		memset(e, 0, sizeof(*e));
		return -EPROTO;
	}
	return 0;
}

/* ---- results ---- */

struct result {
	struct datafs_s3_result *r;
	bool seen;
};

static int result_leaf(void *arg, const char *path, const char *text)
{
	static const char *const roots[] = {
		"InitiateMultipartUploadResult", "CompleteMultipartUploadResult",
		"CopyObjectResult", "CopyPartResult",
	};
	const char *leaf = strchrnul(path, '/');
	struct result *res = arg;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (strlen(roots[i]) == (size_t)(leaf - path) &&
		    !memcmp(roots[i], path, leaf - path))
			res->seen = true;
	if (!res->seen)
		return 0;
	if (!strcmp(leaf, "/UploadId")) {
		if (strlen(text) >= sizeof(res->r->upload))
			return -EPROTO;
		strcpy(res->r->upload, text);
	} else if (!strcmp(leaf, "/ETag") && !take_tag(res->r->tag, text)) {
		return -EPROTO;
	}
	return 0;
}

int datafs_s3_parse_result(const char *xml, size_t len, struct datafs_s3_result *r)
{
	struct result res = { .r = r };
	int err;

	memset(r, 0, sizeof(*r));
	err = walk(xml, len, result_leaf, &res);
	if (!err && !res.seen)
		err = -EPROTO;
	if (err)
		memset(r, 0, sizeof(*r));
	return err;
}
