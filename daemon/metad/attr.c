// SPDX-License-Identifier: Apache-2.0
#include "metad/attr.h"

Metad__Attr metad_attr_message(const struct datafs_metad_attr *a)
{
	Metad__Attr res = METAD__ATTR__INIT;

	res.has_ino = res.has_version = res.has_mode = res.has_nlink = true;
	res.has_uid = res.has_gid = res.has_size = true;
	res.has_rdev_major = res.has_rdev_minor = true;
	res.has_atime = res.has_atime_ns = res.has_mtime = res.has_mtime_ns = true;
	res.has_ctime = res.has_ctime_ns = res.has_btime = res.has_btime_ns = true;
	res.ino = a->ino;
	res.version = a->version;
	res.mode = a->mode;
	res.nlink = a->nlink;
	res.uid = a->uid;
	res.gid = a->gid;
	res.size = a->size;
	res.rdev_major = a->rdev_major;
	res.rdev_minor = a->rdev_minor;
	res.atime = a->atime.tv_sec;
	res.atime_ns = (uint32_t)a->atime.tv_nsec;
	res.mtime = a->mtime.tv_sec;
	res.mtime_ns = (uint32_t)a->mtime.tv_nsec;
	res.ctime = a->ctime.tv_sec;
	res.ctime_ns = (uint32_t)a->ctime.tv_nsec;
	res.btime = a->btime.tv_sec;
	res.btime_ns = (uint32_t)a->btime.tv_nsec;
	return res;
}
