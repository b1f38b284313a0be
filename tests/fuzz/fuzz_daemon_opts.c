// SPDX-License-Identifier: Apache-2.0
/* daemon/vfs/options.c against arbitrary text from a mount request. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "vfs/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_options opt;
	char *text = malloc(size + 1);
	int ret;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	memset(&opt, 0xff, sizeof(opt));
	ret = datafs_options_parse("/source", text, &opt);
	MUST(!ret || ret == -EINVAL);
	if (!ret) {
		MUST(opt.page_size >= 4096 && opt.page_size <= 4u << 20);
		MUST(__builtin_popcount(opt.page_size) == 1);
		MUST(opt.sync == DATAFS_SYNC_NEVER || opt.sync >= 0);
		MUST(opt.sync <= 366ll * 86400 * 1000000000);
	}
	free(text);
	return 0;
}
