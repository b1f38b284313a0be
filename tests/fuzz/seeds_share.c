// SPDX-License-Identifier: Apache-2.0
/* Pages of shared listings for fuzz_share_page.c. */
#include <sys/stat.h>

#include "fuzz.h"
#include "vfs/share_page.h"

void seeds_share(void)
{
	struct datafs_under_stat st = {
		.file_id = 1, .size = 2, .blocks = 3, .mtime = { 4, 5 }, .mode = S_IFREG | 0644,
		.nlink = 1, .uid = 6, .gid = 7, .fp = { .v = { 8 } }, .has_xattr = true,
	};
	static struct vfs_share_page page;

	vfs_share_page_begin(&page);
	seed_save("share_page", "none", page.b, page.len);
	vfs_share_page_add(&page, "a", &st);
	seed_save("share_page", "one", page.b, page.len);
	vfs_share_page_add(&page, "not looked at", NULL);
	st.mode = S_IFDIR | 0755;
	vfs_share_page_add(&page, "\xc3\xbc", &st);
	seed_save("share_page", "three", page.b, page.len);
}
