// SPDX-License-Identifier: Apache-2.0
/*
 * daemon/under/s3_xml.c against arbitrary answers, and s3_cred.c against arbitrary files. The
 * first byte says which of them.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "under/s3_cred.h"
#include "under/s3_xml.h"

static void list(const char *text, size_t len)
{
	struct datafs_s3_page p;
	int ret = datafs_s3_parse_list(text, len, &p);

	MUST(!ret || ret == -EPROTO);
	if (ret) {
		MUST(!p.n && !p.entry && !p.next);
		return;
	}
	MUST(!p.truncated || (p.next && *p.next));
	for (size_t i = 0; i < p.n; i++) {
		MUST(p.entry[i].key && *p.entry[i].key);
		MUST(!i || strcmp(p.entry[i - 1].key, p.entry[i].key) < 0);
		MUST(p.entry[i].prefix == !*p.entry[i].tag);
		MUST(strlen(p.entry[i].tag) <= DATAFS_S3_TAG_MAX);
		MUST(!strchr(p.entry[i].tag, '"'));
		MUST(p.entry[i].size <= INT64_MAX && !p.entry[i].mtime.tv_nsec);
	}
	datafs_s3_page_free(&p);
}

static void error(const char *text, size_t len)
{
	struct datafs_s3_error e;
	int ret = datafs_s3_parse_error(text, len, &e);

	MUST(!ret || ret == -EPROTO);
	MUST(!ret == !!*e.code);
	MUST(strlen(e.code) < sizeof(e.code) && strlen(e.message) < sizeof(e.message));
}

static void result(const char *text, size_t len)
{
	struct datafs_s3_result r;
	int ret = datafs_s3_parse_result(text, len, &r);

	MUST(!ret || ret == -EPROTO);
	MUST(!ret || (!*r.tag && !*r.upload));
	MUST(strlen(r.tag) <= DATAFS_S3_TAG_MAX && strlen(r.upload) < sizeof(r.upload));
}

static void keys(const char *text, size_t len)
{
	struct datafs_s3_keys k;
	int ret = datafs_s3_cred_parse(text, len, "default", &k);

	MUST(!ret || ret == -ENOENT || ret == -EINVAL);
	MUST(!ret == (*k.id && *k.secret));
	MUST(!strpbrk(k.id, " \r\n") && !strpbrk(k.token, " \r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *text, size_t len) = {
		list, error, result, keys,
	};
	char *text;

	if (!size)
		return 0;
	/* What is read behind its end is seen. */
	text = malloc(size - 1 ? size - 1 : 1);
	MUST(text);
	memcpy(text, data + 1, size - 1);
	parsers[*data % 4](text, size - 1);
	free(text);
	return 0;
}
