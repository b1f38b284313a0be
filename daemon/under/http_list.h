/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of directories as web servers make them: nginx (autoindex, html and json) and
 * Apache (mod_autoindex, fancy and plain), and others that look the same.
 *
 * An entry is a link to a name in the directory itself. Links with a query or fragment
 * (those that sort), with a scheme or host, to absolute paths, upwards, or deeper are
 * none. Names are percent-decoded; one that cannot be a name here (with '/' or NUL, ".",
 * "..", or of more than 255 bytes) is left out and counted.
 *
 * Sizes and times in a listing are rounded or without a zone: they are not looked at.
 */
#ifndef DATAFS_HTTP_LIST_H
#define DATAFS_HTTP_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a listing, at the most: some half a million entries. */
#define DATAFS_HTTP_LIST_MAX	(64u << 20)
/* ... of one in JSON, whose tree in memory is some 80 times as large. */
#define DATAFS_HTTP_JSON_MAX	(8u << 20)
/* ... between a '<' and its '>', as the parser's time grows with the square of that. */
#define DATAFS_HTTP_TAG_MAX	(64u << 10)

struct datafs_http_entry {
	const char *name;
	bool dir;		/* is known to be one; otherwise it may be anything */
};

struct datafs_http_list {
	struct datafs_http_entry *v;	/* in the order of bytes, each name once */
	size_t n;
	size_t skipped;		/* that cannot be shown */
	char *text;		/* of the names */
};

/*
 * @type is the media type that the server told, or NULL. -EOPNOTSUPP: this is no listing
 * that is understood; -EPROTO: one that is broken; -EFBIG; -ENOMEM. After an error @l is
 * empty. Does not block.
 */
int datafs_http_list_parse(const char *body, size_t len, const char *type,
			   struct datafs_http_list *l);
void datafs_http_list_free(struct datafs_http_list *l);

#endif
