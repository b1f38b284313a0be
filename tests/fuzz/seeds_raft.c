// SPDX-License-Identifier: Apache-2.0
/* Seeds of raft_message: one frame of each kind, and a manifest. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "metad/manifest.h"
#include "raft_samples.h"

static void save_frame(const char *dir, unsigned int kind, const void *buf, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/raft_message/kind%u", dir, kind);
	f = fopen(path, "w");
	if (!f || fwrite(buf, 1, len, f) != len || fclose(f))
		err(1, "%s", path);
}

static void save_manifest(const char *dir)
{
	struct datafs_manifest_file files[] = {
		{ "000005.ldb", 4096, 0x12345678 }, { "CURRENT", 16, 1 }, { "MANIFEST-000004", 0, 0 },
	};
	struct datafs_manifest m = { .index = 12, .term = 3, .files = files, .n = 3 };
	void *buf;
	long len = datafs_manifest_encode(&m, &buf);

	if (len < 0)
		errx(1, "no memory");
	save_frame(dir, 0, buf, (size_t)len);
	free(buf);
}

void raft_seeds(const char *dir)
{
	save_manifest(dir);
	for (unsigned int kind = 1; kind < DATAFS_RAFT_KIND_END; kind++) {
		struct raft_entry entries[SAMPLE_ENTRIES];
		struct raft_configuration conf;
		struct datafs_raft_frame frame;
		struct raft_buffer buf;
		void *bytes;
		long len;

		if (sample_frame(kind, &frame, &conf, &buf, entries))
			errx(1, "no memory");
		len = datafs_raft_encode(&frame, &bytes);
		if (len < 0)
			errx(1, "frame %u cannot be encoded", kind);
		save_frame(dir, kind, bytes, (size_t)len);
		free(bytes);
		raft_free(buf.base);
		raft_configuration_close(&conf);
	}
}
