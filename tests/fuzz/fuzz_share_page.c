// SPDX-License-Identifier: Apache-2.0
/* daemon/vfs/share_page.c against pages that another daemon may have put. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "vfs/share_page.h"

/* What is believed, written again */
static struct vfs_share_page again;

static int entry(void *arg, const char *name, const struct datafs_under_stat *st)
{
	size_t len = strlen(name);

	(void)arg;
	MUST(len && len <= DATAFS_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
	     strcmp(name, ".."));
	MUST(vfs_share_page_add(&again, name, st));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);
	int ret;

	MUST(bytes);
	memcpy(bytes, data, size);
	vfs_share_page_begin(&again);
	ret = vfs_share_page_each(bytes, size, entry, NULL);
	MUST(!ret || ret == -EPROTO);
	/* There is one way to write each page. */
	MUST(ret || (again.len == size && !memcmp(again.b, bytes, size)));
	free(bytes);
	return 0;
}
