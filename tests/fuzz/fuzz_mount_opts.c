// SPDX-License-Identifier: Apache-2.0
/*
 * utils/mount_opts.c against arbitrary options; a NUL begins the next -o.
 */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "datafs_abi.h"
#include "fuzz.h"
#include "mount_opts.h"

static void holds(const struct datafs_mount_opts *o)
{
	uint64_t set, clr;
	size_t i, j;

	MUST(o->instance && *o->instance);
	MUST(strlen(o->instance) <= DATAFS_INSTANCE_MAX);
	MUST(!strchr(o->instance, '/'));
	for (i = 0; i < o->nparams; i++) {
		MUST(o->params[i].key && *o->params[i].key);
		for (j = 0; j < i; j++)
			MUST(strcmp(o->params[i].key, o->params[j].key));
	}
	MUST(!(o->attr & ~o->attr_named));
	datafs_mount_opts_remount_attr(o, &set, &clr);
	MUST(!(set & ~clr) || datafs_mount_opts_attr(o));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_mount_opts o;
	char *text = malloc(size + 1);
	size_t at;
	int ret = 0;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	MUST(!datafs_mount_opts_init(&o));
	for (at = 0; at < size && !ret; at += strlen(text + at) + 1) {
		char err[160] = "";

		ret = datafs_mount_opts_parse(&o, text + at, err, sizeof(err));
		MUST(!ret || ret == -EINVAL);
		MUST(!ret == !*err);
		MUST(!strchr(err, '\n'));
	}
	holds(&o);
	datafs_mount_opts_free(&o);
	free(text);
	return 0;
}
