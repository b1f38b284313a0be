/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: one read of a backing file, shared by the page cache's reads (io.c)
 * and O_DIRECT (dio.c).
 */
#ifndef DATAFS_IO_H
#define DATAFS_IO_H

#include <linux/bvec.h>
#include "datafs.h"

/**
 * struct datafs_io - a read of part of one extent
 * @ext:	reference; given back before @done is called, because what @done
 *		unlocks may be all that keeps the inode (and so the extent)
 * @off:	in the file; @off and @len are multiples of DATAFS_GRANULE
 * @bv:		where the bytes go; lives until @done
 * @done:	called in a workqueue's or the submitter's context
 * @error:	0; -EBADMSG: a checksum did not hold; else what the backing
 *		filesystem said, -EIO for a short read
 * @users:	the bytes go into a program's pages, which it may write to while
 *		they are read: a mismatch proves nothing and is not reported.
 *		Otherwise a bad extent has been reported when @done is called.
 * @refs:	not waited for: the completion, and the submitter for as long as
 *		the backing filesystem uses @iocb after it has completed
 */
struct datafs_io {
	struct kiocb		iocb;
	struct work_struct	work;
	struct datafs_ext	*ext;
	u64			off;
	u32			len;
	u32			nr;
	struct bio_vec		*bv;
	void (*done)(struct datafs_io *io);
	void			*owner;		/* for @done */
	atomic_t		refs;
	int			error;
	bool			direct;		/* for the statistics */
	bool			users;
};

static inline void datafs_bvec_set(struct bio_vec *bv, struct folio *folio,
				   u32 len, u32 offset)
{
	bv->bv_page = folio_page(folio, 0);
	bv->bv_len = len;
	bv->bv_offset = offset;
}

/*
 * datafs_io_start - read, verify, and call @io->done
 * @wait:	do all of it before returning
 *
 * May sleep. The caller has set all but iocb, work, refs and error.
 */
void datafs_io_start(struct datafs_io *io, bool wait);

#endif /* DATAFS_IO_H */
