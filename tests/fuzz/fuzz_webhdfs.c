// SPDX-License-Identifier: Apache-2.0
/* daemon/under/webhdfs_json.c against whatever a namenode may answer. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "under/webhdfs_json.h"

static void hold(const struct webhdfs_statuses *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct webhdfs_status *s = &l->v[i];

		MUST(s->owner && s->group && s->mode <= 07777 && s->mtime >= 0 && s->atime >= 0);
		MUST(s->length <= INT64_MAX && (!s->dir || !s->length));
	}
}

static void as_list(const char *text, size_t len)
{
	struct webhdfs_statuses l;
	int ret = datafs_webhdfs_list(text, len, &l);

	MUST(!ret || ret == -EPROTO);
	MUST(!ret || (!l.v && !l.doc));
	if (ret)
		return;
	hold(&l);
	MUST(!l.more || l.n);
	for (size_t i = 0; i < l.n; i++) {
		const char *name = l.v[i].name;

		MUST(l.n == 1 || *name);
		MUST(strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."));
		MUST(!i || strcmp(l.v[i - 1].name, name) < 0);
	}
	datafs_webhdfs_statuses_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct webhdfs_statuses l;
	char *text = malloc(size + 1), why[100];
	bool yes;
	int ret;

	MUST(text);
	memcpy(text, data, size);
	as_list(text, size);
	ret = datafs_webhdfs_status(text, size, &l);
	MUST(!ret || ret == -EPROTO || ret == -EOPNOTSUPP);
	if (!ret)
		hold(&l);
	datafs_webhdfs_statuses_free(&l);
	ret = datafs_webhdfs_boolean(text, size, &yes);
	MUST(!ret || (ret == -EPROTO && !yes));
	ret = datafs_webhdfs_exception(text, size, why, sizeof(why));
	MUST(ret <= 0 && strlen(why) < sizeof(why) && !strchr(why, '\n'));
	free(text);
	return 0;
}
