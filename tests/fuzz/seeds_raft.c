// SPDX-License-Identifier: Apache-2.0
/* Seeds of raft_message: one frame of each kind, and a manifest. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
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

/* Its checksum is made by the fuzzer. */
static const unsigned char manifest[] =
	"DFSM\0\0\0\1\0\0\0\0\0\0\0\14\0\0\0\0\0\0\0\3\0\0\0\2"
	"\0\0\0\0\0\0\0\20\1\2\3\4\7CURRENT"
	"\0\0\0\0\0\0\1\0\5\6\7\10\12" "000005.ldb"
	"crc!";

void raft_seeds(const char *dir)
{
	save_frame(dir, 0, manifest, sizeof(manifest) - 1);
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
