/* SPDX-License-Identifier: Apache-2.0 */
/* The XML that S3 answers with. The answers are anybody's: all is bounded and checked. */
#ifndef DATAFS_S3_XML_H
#define DATAFS_S3_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define DATAFS_S3_TAG_MAX	128	/* of an ETag, without its quotes */

struct datafs_s3_entry {
	char *key;		/* whole; of a prefix with the '/' at its end */
	bool prefix;		/* of keys that are not listed one by one */
	uint64_t size;		/* ... and what follows, if it is none */
	char tag[DATAFS_S3_TAG_MAX + 1];	/* ETag without quotes */
	struct timespec mtime;	/* in whole seconds, as HEAD has it */
};

/* One answer of ListObjectsV2. */
struct datafs_s3_page {
	struct datafs_s3_entry *entry;	/* in the order of their keys, each once */
	size_t n, room;
	uint32_t unreadable;	/* keys that cannot be decoded, are no UTF-8, or have a NUL */
	bool truncated;		/* ... and goes on with @next */
	char *next;
};

/* -EPROTO: this is no such answer; -ENOMEM. @page is freed then. */
int datafs_s3_parse_list(const char *xml, size_t len, struct datafs_s3_page *page);
void datafs_s3_page_free(struct datafs_s3_page *page);

struct datafs_s3_error {
	char code[64], message[256], region[64];	/* "" if not told; cut */
};

/* -EPROTO: it says of no error. */
int datafs_s3_parse_error(const char *xml, size_t len, struct datafs_s3_error *e);

/* What uploads and copies end with. */
struct datafs_s3_result {
	char upload[1280];	/* of an upload that begins */
	char tag[DATAFS_S3_TAG_MAX + 1];
};

/*
 * Initiate..., CompleteMultipartUploadResult, CopyObjectResult, CopyPartResult. -EPROTO:
 * none of these, or what it says is too long.
 */
int datafs_s3_parse_result(const char *xml, size_t len, struct datafs_s3_result *r);

#endif
