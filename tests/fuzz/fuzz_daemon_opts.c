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
		MUST(opt.under.part_size >= 5 << 20 && opt.under.part_size <= 5ll << 30);
		MUST(opt.under.concurrency && opt.under.concurrency <= 1024);
		MUST(opt.under.file_mode <= 0777 && opt.under.dir_mode <= 0777);
		MUST(opt.under.uid != UINT32_MAX && opt.under.gid != UINT32_MAX);
		MUST(opt.under.price_put >= 0 && opt.under.price_put <= 1000000);
		MUST(!opt.under.ca_file || *opt.under.ca_file == '/');
	}
	datafs_options_free(&opt);
	free(text);
	return 0;
}
