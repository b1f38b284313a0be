// SPDX-License-Identifier: Apache-2.0
/* Entries for fuzz_entry.c, whose namespace they know; commands for fuzz_command.c. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "metad_req.h"

/* root: d (2), in it f (3) and e (4), g (5); sessions 1, which holds 3, and 2 */
static const struct req reqs[] = {
	{ OP(NOOP) },
	{ OP(FEATURE), .level = 1 },
	{ OP(SESSION_OPEN), .session = 3 },
	{ OP(SESSION_RENEW) },
	{ OP(CREATE), 1, "x", .mode = 0644, .umask = 022 },
	{ OP(MKDIR), 2, "x", .mode = 0755 },
	{ OP(MKNOD), 4, "x", .mode = S_IFCHR | 0600 },
	{ OP(SYMLINK), 1, "x", .value = "d/f", .len = 3 },
	{ OP(LINK), 3, .to = 1, .new_name = "hard" },
	{ OP(UNLINK), 2, "f" },
	{ OP(RMDIR), 2, "e" },
	{ OP(RENAME), 2, "e", 1, "e2" },
	{ OP(RENAME), 1, "d", 4, "x" },
	{ OP(RENAME), 2, "f", 1, "g", .replace = true },
	{ OP(RENAME), 2, "f", 1, "g", .create = true },
	{ OP(SETATTR), 3, .set = { .has_mode = true, .mode = 0600, .has_size = true,
				   .size = 77, .has_atime = true, .atime = 1 } },
	{ OP(SETXATTR), 3, "user.x", .value = "v", .len = 1 },
	{ OP(SETXATTR), 2, "system.posix_acl_default",
	  .value = "\2\0\0\0\1\0\7\0\0\0\0\0\4\0\5\0\0\0\0\0\x20\0\1\0\0\0\0\0", .len = 28 },
	{ OP(REMOVEXATTR), 3, "user.a" },
	{ OP(HOLD), 5 },
	{ OP(RELEASE), 3 },
	{ OP(SESSION_CLOSE) },
	{ OP(SET_QUOTA), 4, .inodes = 10, .bytes = 1000 },
	{ OP(REMOVE_QUOTA), 4 },
	{ OP(SESSION_LEASE), .ino = 2, .level = 300 },
	{ OP(MOUNT_ADD), .name = "/d/new", .source = "s3://bucket/key", .options = "uid=1,read_only" },
	{ OP(MOUNT_ADD), .name = "/x", .source = "http://u:p@h:80/", .options = "" },
	{ OP(MOUNT_SET), .name = "/d", .generation = 1, .options = "part_size=5m" },
	{ OP(MOUNT_REMOVE), .name = "/d", .generation = 1 },
	{ OP(NODE_JOIN), .name = "m", .source = "h:2", .level = 7, .has_weight = true },
	{ OP(NODE_JOIN), .name = "n", .session = 2 },
	{ OP(NODE_SET), .name = "n", .level = 9, .has_weight = true, .create = true },
	{ OP(NODE_SET), .name = "n", .replace = true },
	{ OP(NODE_REMOVE), .name = "n" },
	{ OP(JOB_ADD), .name = "/x", .mode = 1, .to = 1 },
	{ OP(JOB_CLAIM), .ino = 2 },
	{ OP(JOB_REPORT), .ino = 1, .inodes = 3, .bytes = 4096, .session = 2 },
	{ OP(JOB_REPORT), .ino = 1, .uid = 1, .source = "f: gone", .level = 4, .session = 2 },
	{ OP(JOB_CANCEL), .ino = 1 },
	{ OP(JOB_REMOVE), .ino = 2 },
	{ OP(POLICY_SET), .name = "/d/e", .level = 3 },
	{ OP(POLICY_SET), .name = "/d", .level = 9 },
	{ OP(POLICY_REMOVE), .name = "/d" },
	{ OP(LISTING_TICKET), 1, "d", .generation = 1, .bytes = 5000 },
	{ OP(LISTING_TICKET), 1, "", .generation = 1, .session = 2 },
	{ OP(LISTING_PUT), 1, .to = 1, .create = true, .session = 2 },
	{ OP(LISTING_DROP), 1, .session = 2 },
};

#define N	(sizeof(reqs) / sizeof(reqs[0]))

uint8_t *seed_entry(size_t i, size_t *len)
{
	struct req r;

	if (i >= N)
		return NULL;
	r = reqs[i];
	if (!r.session)
		r.session = 1;
	r.request = r.lowest = 100 + i;
	return req_pack(&r, 1, 5000000000, 0, len);
}

void seeds_entry(void)
{
	struct req all[N];
	char name[20];
	uint8_t *buf;
	size_t len;

	for (size_t i = 0; i < N; i++) {
		all[i] = reqs[i];
		if (!all[i].session)
			all[i].session = 1;
		all[i].request = all[i].lowest = 100 + i;
		buf = req_pack(&all[i], 1, 5000000000, 0, &len);
		snprintf(name, sizeof(name), "one%zu", i);
		seed_save("entry", name, buf, len);
		free(buf);
		buf = req_pack_command(&all[i], &len);
		seed_save("command", name, buf, len);
		free(buf);
	}
	buf = req_pack(all, N, 5000000000, 1000, &len);
	seed_save("entry", "all", buf, len);
	free(buf);
}
