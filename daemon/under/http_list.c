// SPDX-License-Identifier: Apache-2.0
/*
 * The HTML parser calls back for each element and keeps no tree, so what a listing takes
 * is bounded by its names.
 */
#include "http_list.h"

#include <errno.h>
#include <jansson.h>
#include <libxml/HTMLparser.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"
#include "datafs_abi.h"

#define TITLE	"Index of "

/* Names one behind the other, each with what is known of it in front. */
struct names {
	char *text;
	size_t len, room, n, skipped;
	int err;
	/* of HTML */
	bool in_title, is_listing;
	char title[sizeof(TITLE)];
	size_t title_len;
};

/* ---- names ---- */

static void add_name(struct names *s, const char *name, size_t len, bool dir)
{
	size_t need = s->len + len + 2;
	char *text;

	if (s->err)
		return;
	if (need > s->room) {
		s->room = DATAFS_MAX(2 * s->room, need + 4096);
		text = realloc(s->text, s->room);
		if (!text) {
			s->err = -ENOMEM;
			return;
		}
		s->text = text;
	}
	s->text[s->len++] = dir;
	memcpy(s->text + s->len, name, len);
	s->len += len;
	s->text[s->len++] = 0;
	s->n++;
}

static bool is_name(const char *name, size_t len)
{
	if (!len || len > DATAFS_NAME_MAX || memchr(name, '/', len) || memchr(name, 0, len))
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of what is no escape the '%' stands for itself. */
static size_t decode(const char *from, size_t len, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (from[i] == '%' && i + 2 < len && hex(from[i + 1]) >= 0 &&
		    hex(from[i + 2]) >= 0) {
			to[n++] = hex(from[i + 1]) << 4 | hex(from[i + 2]);
			i += 2;
		} else {
			to[n++] = from[i];
		}
	}
	return n;
}

/* Is @href, without its query, the name of something in the directory itself? */
static void add_link(struct names *s, const char *href)
{
	char name[3 * DATAFS_NAME_MAX];
	const char *ends = ":/";
	size_t len;
	bool dir;

	href += strspn(href, " \t\r\n\f");
	for (len = strlen(href); len && strchr(" \t\r\n\f", href[len - 1]); len--)
		;
	if (memchr(href, '?', len) || memchr(href, '#', len))
		return;
	/* Apache, so that a ':' in a name does not make a scheme. */
	if (len > 2 && href[0] == '.' && href[1] == '/') {
		href += 2;
		len -= 2;
		ends = "/";
	}
	dir = len && href[len - 1] == '/';
	len -= dir;
	if (!len || strcspn(href, ends) < len)
		return;
	if (len == 1 && href[0] == '.')
		return;
	if (len == 2 && href[0] == '.' && href[1] == '.')
		return;
	if (len > sizeof(name)) {
		s->skipped++;
		return;
	}
	len = decode(href, len, name);
	if (is_name(name, len))
		add_name(s, name, len, dir);
	else
		s->skipped++;
}

/* ---- HTML ---- */

static void on_start(void *arg, const xmlChar *name, const xmlChar **attr)
{
	struct names *s = arg;

	s->in_title = !strcmp((const char *)name, "title");
	if (strcmp((const char *)name, "a") || !attr)
		return;
	for (; attr[0]; attr += 2)
		if (!strcmp((const char *)attr[0], "href") && attr[1])
			add_link(s, (const char *)attr[1]);
}

static void on_end(void *arg, const xmlChar *name)
{
	struct names *s = arg;

	(void)name;
	s->in_title = false;
}

static void on_text(void *arg, const xmlChar *text, int len)
{
	struct names *s = arg;
	size_t n;

	if (!s->in_title)
		return;
	n = DATAFS_MIN((size_t)len, sizeof(TITLE) - 1 - s->title_len);
	memcpy(s->title + s->title_len, text, n);
	s->title_len += n;
	s->is_listing = !strcmp(s->title, TITLE);
}

static void init_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, xmlInitParser);
}

/* What is not of the charset it claims to be: the parser stops there, and says so to stderr. */
static void on_trouble(void *arg, const char *fmt, ...)
{
	struct names *s = arg;

	(void)fmt;
	s->err = -EPROTO;
}

static bool has_long_tag(const char *body, size_t len)
{
	const char *end = body + len, *from = memchr(body, '<', len), *to;

	while (from) {
		to = memchr(from, '>', end - from);
		if ((size_t)((to ? to : end) - from) > DATAFS_HTTP_TAG_MAX)
			return true;
		from = to ? memchr(to, '<', end - to) : NULL;
	}
	return false;
}

static int parse_html(struct names *s, const char *body, size_t len)
{
	static const xmlSAXHandler sax = {
		.startElement = on_start, .endElement = on_end, .characters = on_text,
		.initialized = 1,
	};
	htmlParserCtxtPtr ctx;

	/* The parser would end at a NUL, as if the listing did. */
	if (memchr(body, 0, len) || has_long_tag(body, len))
		return -EPROTO;
	init_once();
	ctx = htmlCreateMemoryParserCtxt(body, (int)len);
	if (!ctx)
		return -ENOMEM;
	htmlCtxtUseOptions(ctx, HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET);
	*ctx->sax = sax;
	ctx->userData = s;
	/* Of this thread. */
	xmlSetGenericErrorFunc(s, on_trouble);
	htmlParseDocument(ctx);
	xmlSetGenericErrorFunc(NULL, NULL);
	if (ctx->errNo == XML_ERR_NO_MEMORY)
		s->err = -ENOMEM;
	if (ctx->myDoc)
		xmlFreeDoc(ctx->myDoc);
	htmlFreeParserCtxt(ctx);
	return s->err ? s->err : s->is_listing ? 0 : -EOPNOTSUPP;
}

/* ---- JSON ---- */

static int parse_json(struct names *s, const char *body, size_t len)
{
	json_t *all, *e;
	size_t i;

	if (len > DATAFS_HTTP_JSON_MAX)
		return -EFBIG;
	all = json_loadb(body, len, JSON_ALLOW_NUL, NULL);
	if (!all)
		return -EPROTO;
	if (!json_is_array(all))
		s->err = -EOPNOTSUPP;
	json_array_foreach(all, i, e) {
		json_t *name = json_object_get(e, "name");
		const char *type = json_string_value(json_object_get(e, "type"));

		if (!json_is_string(name) || !type)
			s->err = -EOPNOTSUPP;
		else if (is_name(json_string_value(name), json_string_length(name)))
			add_name(s, json_string_value(name), json_string_length(name),
				 !strcmp(type, "directory"));
		else
			s->skipped++;
	}
	json_decref(all);
	return s->err;
}

/* ---- what comes of it ---- */

static int by_name(const void *a, const void *b)
{
	const struct datafs_http_entry *l = a, *r = b;

	return strcmp(l->name, r->name);
}

/* Icons are links, too; of one that is linked as a directory and not, nothing is known. */
static size_t once_each(struct datafs_http_entry *v, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (k && !strcmp(v[k - 1].name, v[i].name))
			v[k - 1].dir = v[k - 1].dir && v[i].dir;
		else
			v[k++] = v[i];
	}
	return k;
}

static int sort(struct names *s, struct datafs_http_list *l)
{
	const char *p = s->text;

	l->v = calloc(s->n + 1, sizeof(*l->v));
	if (!l->v)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		l->v[i].dir = *p++;
		l->v[i].name = p;
		p += strlen(p) + 1;
	}
	qsort(l->v, s->n, sizeof(*l->v), by_name);
	l->n = once_each(l->v, s->n);
	l->skipped = s->skipped;
	l->text = s->text;
	return 0;
}

static bool is_type(const char *type, const char *want)
{
	size_t n = strlen(want);

	return !strncasecmp(type, want, n) && (!type[n] || strchr("; \t", type[n]));
}

int datafs_http_list_parse(const char *body, size_t len, const char *type,
			   struct datafs_http_list *l)
{
	struct names s = { 0 };
	int err;

	memset(l, 0, sizeof(*l));
	if (len > DATAFS_HTTP_LIST_MAX)
		return -EFBIG;
	if (!type || !len)
		err = -EOPNOTSUPP;
	else if (is_type(type, "text/html") || is_type(type, "application/xhtml+xml"))
		err = parse_html(&s, body, len);
	else if (is_type(type, "application/json"))
		err = parse_json(&s, body, len);
	else
		err = -EOPNOTSUPP;
	if (!err)
		err = sort(&s, l);
	if (err)
		free(s.text);
	return err;
}

void datafs_http_list_free(struct datafs_http_list *l)
{
	free(l->v);
	free(l->text);
	memset(l, 0, sizeof(*l));
}
