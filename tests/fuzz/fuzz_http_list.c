// SPDX-License-Identifier: Apache-2.0
/* daemon/under/http_list.c against whatever a web server may send. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "under/http_list.h"

/* The first byte says which media type the server tells. */
static const char *const types[] = { "text/html", "application/json", "text/html;charset=UTF-8" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_http_list l;
	char *body;
	int ret;

	if (!size)
		return 0;
	/* A copy of its own, so that a byte too many is seen. */
	body = malloc(size);
	MUST(body);
	memcpy(body, data + 1, size - 1);
	ret = datafs_http_list_parse(body, size - 1, types[*data % 3], &l);
	free(body);
	if (ret) {
		MUST(ret == -EOPNOTSUPP || ret == -EPROTO);
		MUST(!l.v && !l.text && !l.n);
		return 0;
	}
	for (size_t i = 0; i < l.n; i++) {
		const char *name = l.v[i].name;

		MUST(*name && strlen(name) <= 255 && !strchr(name, '/'));
		MUST(strcmp(name, ".") && strcmp(name, ".."));
		MUST(!i || strcmp(l.v[i - 1].name, name) < 0);
	}
	datafs_http_list_free(&l);
	return 0;
}
