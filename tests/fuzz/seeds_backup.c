// SPDX-License-Identifier: Apache-2.0
/* Backups of small files, for fuzz_backup.c. */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "fuzz.h"
#include "metad/backup.h"

static const char text[] = "MANIFEST-000004\n";

static void save(const char *name, unsigned int files, uint8_t how)
{
	struct datafs_manifest_file f[] = {
		{ .name = "000005.ldb", .size = sizeof(text) },
		{ .name = "000006.log" },
		{ .name = "CURRENT", .size = 4 },
	};
	struct datafs_manifest m = { .index = 9, .term = 2, .files = f, .n = files };
	struct datafs_backup_head head = { .index = 9, .term = 2, .time = 1 };
	uint8_t buf[1024], *p = buf;
	void *manifest;
	long len;

	for (unsigned int i = 0; i < files; i++)
		f[i].crc = datafs_crc32c(text, f[i].size);
	len = datafs_manifest_encode(&m, &manifest);
	if (len < 0)
		abort();
	*p++ = how;
	head.manifest = (uint32_t)len;
	datafs_backup_head_encode(&head, p);
	p += DATAFS_BACKUP_HEAD;
	memcpy(p, manifest, (size_t)len);
	p += len;
	free(manifest);
	for (unsigned int i = 0; i < files; i++) {
		if (!f[i].size)
			continue;
		memcpy(p, text, f[i].size);
		p += f[i].size;
		datafs_put_be32(p, datafs_backup_sum(i, 0, text, f[i].size));
		p += 4;
	}
	seed_save("backup", name, buf, (size_t)(p - buf));
}

void seeds_backup(void)
{
	save("none", 0, 255);
	save("three", 3, 254);
	save("three-by-byte", 3, 1);
}
