// SPDX-License-Identifier: Apache-2.0
/* daemon/wire/keys.c against arbitrary files. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "wire/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct datafs_keys none;
	struct datafs_keys keys;
	char *text = malloc(size);
	int ret;

	MUST(text || !size);
	if (size)
		memcpy(text, data, size);
	ret = datafs_keys_parse(&keys, text, size, "keys");
	free(text);
	if (ret) {
		MUST(ret == -EINVAL);
		MUST(!memcmp(&keys, &none, sizeof(keys)));
		return 0;
	}
	MUST(keys.n >= 1 && keys.n <= DATAFS_KEYS_MAX && !keys.off);
	MUST(keys.key[0].id);
	MUST(keys.n == 1 || (keys.key[1].id && keys.key[1].id < keys.key[0].id));
	MUST(keys.holder == DATAFS_ROLE_CLIENT ? keys.node : !keys.node);
	MUST(keys.holder != DATAFS_ROLE_STRANGER && keys.holder < DATAFS_ROLE_NR);
	return 0;
}
