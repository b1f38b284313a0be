// SPDX-License-Identifier: Apache-2.0
/* Records of the table of mounts. */
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "mounts.h"

#define MOUNT_FIXED	(1 + 8 + 8 + 2)		/* the source and the options follow */
#define TABLE_LEN	(1 + 8 + 4)

static const struct key table_key = { "T", 1 };

struct txn_bytes rec_mount_key(struct txn *t, const void *path, size_t len)
{
	uint8_t *p = txn_alloc(t, 1 + len);

	if (!p)
		return (struct txn_bytes){ 0 };
	*p = 'M';
	if (len)
		memcpy(p + 1, path, len);
	return (struct txn_bytes){ p, 1 + len };
}

static bool mount_ok(const struct datafs_metad_mount *mount)
{
	return mount->id && mount->generation >= mount->id &&
	       !datafs_mount_path_wrong(mount->path, mount->path_len) &&
	       !datafs_mount_source_wrong(mount->source, mount->source_len) &&
	       !datafs_mount_options_wrong(mount->options, mount->options_len);
}

int rec_mount_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		     struct datafs_metad_mount *mount)
{
	const char *texts = (const char *)val.p + MOUNT_FIXED;
	size_t source;

	if (key.len < 2 || val.len < MOUNT_FIXED || *val.p != REC_VERSION)
		return txn_damaged(t, key, "mount");
	source = (size_t)val.p[17] << 8 | val.p[18];
	if (source > val.len - MOUNT_FIXED)
		return txn_damaged(t, key, "mount's source");
	*mount = (struct datafs_metad_mount){
		.path = (const char *)key.p + 1, .path_len = key.len - 1,
		.source = texts, .source_len = source,
		.options = texts + source, .options_len = val.len - MOUNT_FIXED - source,
		.id = datafs_get_be64(val.p + 1), .generation = datafs_get_be64(val.p + 9),
	};
	return mount_ok(mount) ? 0 : txn_damaged(t, key, "mount's texts or numbers");
}

int rec_mount_get(struct txn *t, struct txn_bytes key, struct datafs_metad_mount *mount)
{
	struct txn_bytes val;
	int ret = txn_get(t, key, &val);

	if (ret == 1)
		ret = rec_mount_decode(t, key, val, mount) ? txn_error(t) : 1;
	return ret;
}

void rec_mount_put(struct txn *t, const struct datafs_metad_mount *mount)
{
	struct txn_bytes key = rec_mount_key(t, mount->path, mount->path_len);
	size_t len = MOUNT_FIXED + mount->source_len + mount->options_len;
	uint8_t *val = txn_alloc(t, len);

	if (!key.len || !val)
		return;
	*val = REC_VERSION;
	datafs_put_be64(val + 1, mount->id);
	datafs_put_be64(val + 9, mount->generation);
	val[17] = (uint8_t)(mount->source_len >> 8);
	val[18] = (uint8_t)mount->source_len;
	memcpy(val + MOUNT_FIXED, mount->source, mount->source_len);
	if (mount->options_len)
		memcpy(val + MOUNT_FIXED + mount->source_len, mount->options, mount->options_len);
	txn_put(t, key, (struct txn_bytes){ val, len });
}

int rec_mounts_get(struct txn *t, struct datafs_metad_mounts *table)
{
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&table_key), &val);

	*table = (struct datafs_metad_mounts){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != TABLE_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&table_key), "table of mounts");
	table->version = datafs_get_be64(val.p + 1);
	memcpy(&table->mounts, val.p + 9, 4);
	table->mounts = __builtin_bswap32(table->mounts);
	if (!table->version || table->mounts > DATAFS_METAD_MOUNTS_MAX)
		return txn_damaged(t, key_bytes(&table_key), "numbers of the table of mounts");
	return 1;
}

void rec_mounts_put(struct txn *t, const struct datafs_metad_mounts *table)
{
	uint8_t val[TABLE_LEN] = { REC_VERSION };
	uint32_t mounts = __builtin_bswap32(table->mounts);

	datafs_put_be64(val + 1, table->version);
	memcpy(val + 9, &mounts, 4);
	txn_put(t, key_bytes(&table_key), (struct txn_bytes){ val, sizeof(val) });
}
