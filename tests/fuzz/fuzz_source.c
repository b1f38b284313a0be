// SPDX-License-Identifier: Apache-2.0
/* daemon/meta/source.c against arbitrary sources of mounts. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "meta/source.h"

static void holds(const struct datafs_source *s, const char *text)
{
	const char *at = s->members;
	unsigned int n = 0;
	size_t len;

	MUST(s->dir > text && s->dir[0] == '/' && s->dir[-1] == ':');
	MUST(!*at == (*text == ':'));
	for (; *at; at += len + !!at[len]) {
		len = strcspn(at, ",");
		MUST(len >= 3 && len <= 255);
		MUST(memchr(at, ':', len));
		n++;
	}
	MUST(n <= DATAFS_SOURCE_MEMBERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct datafs_source s;
	char *text = malloc(size + 1), error[300] = "";
	int ret;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (datafs_source_kind(text) != DATAFS_SOURCE_UNDER) {
		ret = datafs_source_parse(text, &s, error, sizeof(error));
		MUST(!ret || ret == -EINVAL);
		MUST(!ret == !*error);
		MUST(!strchr(error, '\n'));
		if (!ret)
			holds(&s, text);
	}
	free(text);
	return 0;
}
