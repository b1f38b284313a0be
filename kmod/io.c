// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: reads of backing files, straight into the folios of a file.
 *
 * Nothing here makes an upcall: it runs under folio locks. What has no extent
 * is left to the readers above (file.c), who resolve and come again.
 */
#include <linux/blkdev.h>
#include <linux/crc32c.h>
#include <linux/cred.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "io.h"
#include "trace.h"

/* Reads of no more than this are waited for where they are submitted. */
#define DATAFS_SYNC_MAX		(4u << DATAFS_GRANULE_SHIFT)

#define DATAFS_GROUP_FOLIOS	64
#define DATAFS_GROUP_IOS	8

struct workqueue_struct *datafs_wq;
static struct kmem_cache *datafs_group_cache;

/* ------------------------------------------------------------- one read */

/* The checksum of the next granule, which may lie in several segments. */
static u32 datafs_granule_crc(const struct bio_vec **bv, u32 *done)
{
	u32 left = DATAFS_GRANULE;
	u32 crc = ~0u;

	while (left) {
		u32 at = (*bv)->bv_offset + *done;
		struct page *page = (*bv)->bv_page + (at >> PAGE_SHIFT);
		u32 n = min3(left, (*bv)->bv_len - *done,
			     (u32)(PAGE_SIZE - offset_in_page(at)));
		void *p = kmap_local_page(page);

		crc = crc32c(crc, p + offset_in_page(at), n);
		kunmap_local(p);
		left -= n;
		*done += n;
		if (*done == (*bv)->bv_len) {
			(*bv)++;
			*done = 0;
		}
	}
	return ~crc;
}

/* Returns the granule that does not match, as an offset in the file, or ~0. */
static u64 datafs_io_verify(struct datafs_io *io)
{
	struct datafs_ext *ext = io->ext;
	enum datafs_verify verify = READ_ONCE(ext->mnt->verify);
	u32 g = (io->off - ext->off) >> DATAFS_GRANULE_SHIFT;
	const struct bio_vec *bv = io->bv;
	u32 i, done = 0;

	if (verify == DATAFS_VERIFY_NEVER)
		return U64_MAX;
	if (verify == DATAFS_VERIFY_FIRST && ext->verified &&
	    find_next_zero_bit(ext->verified, g + (io->len >> DATAFS_GRANULE_SHIFT), g) >=
	    g + (io->len >> DATAFS_GRANULE_SHIFT))
		return U64_MAX;
	for (i = 0; i < io->len; i += DATAFS_GRANULE, g++) {
		if (datafs_granule_crc(&bv, &done) != ext->crc[g])
			return io->off + i;
		if (ext->verified)
			set_bit(g, ext->verified);
	}
	return U64_MAX;
}

/*
 * What the kernel had no means for just now, or refused to try, says nothing
 * about the slab. All else does: a disk's error is not always EIO (ENODATA for
 * a bad sector, EILSEQ, EREMOTEIO, ETIMEDOUT ...).
 */
static bool datafs_io_blames_slab(int error)
{
	switch (error) {
	case 0:
	case -ENOMEM:
	case -EAGAIN:
	case -EINTR:
	case -EINVAL:
	case -EOPNOTSUPP:
		return false;
	}
	return true;
}

/* @ret is what the read returned. */
static void datafs_io_end(struct datafs_io *io, long ret)
{
	struct datafs_ext *ext = io->ext;
	u64 bad = U64_MAX;

	io->error = 0;
	if (ret != io->len) {
		/*
		 * A read that fails, or comes out short, gets the same cure as
		 * a damaged granule.
		 */
		io->error = ret < 0 ? ret : -EIO;
		if (datafs_io_blames_slab(io->error))
			bad = io->off;
	} else {
		bad = datafs_io_verify(io);
		if (bad != U64_MAX)
			io->error = -EBADMSG;
	}
	if (bad != U64_MAX && !io->users)
		datafs_ext_bad(ext, bad);
	datafs_ext_put(ext);
	io->ext = NULL;
	io->done(io);
}

static void datafs_io_work(struct work_struct *work)
{
	struct datafs_io *io = container_of(work, struct datafs_io, work);

	datafs_io_end(io, io->error);
}

/*
 *   submitter                          completion
 *   ---------                          ----------
 *   vfs_iocb_iter_read
 *     bio is submitted
 *                                      ki_complete
 *     unlocks the backing inode,
 *     looks at iocb->ki_filp
 *
 * Whoever comes last lets the work go, which frees the kiocb and may drop the
 * last reference of the backing file.
 */
static void datafs_io_put(struct datafs_io *io)
{
	if (atomic_dec_and_test(&io->refs))
		queue_work(datafs_wq, &io->work);
}

/* Perhaps in interrupt context: checksums and folios are for the workqueue. */
static void datafs_io_complete(struct kiocb *iocb, long ret)
{
	struct datafs_io *io = container_of(iocb, struct datafs_io, iocb);

	io->error = ret;
	datafs_io_put(io);
}

void datafs_io_start(struct datafs_io *io, bool wait)
{
	struct datafs_backing_file *bf = io->ext->bf;
	struct datafs_mount *mnt = io->ext->mnt;
	const struct cred *old;
	struct iov_iter iter;
	ssize_t ret;

	trace_datafs_extent_hit(io->ext);
	datafs_count(mnt, DATAFS_STAT_EXTENT_HITS, 1);
	datafs_count(mnt, DATAFS_STAT_BACKING_READS, 1);
	datafs_count(mnt, DATAFS_STAT_BACKING_BYTES, io->len);
	if (io->direct)
		datafs_count(mnt, DATAFS_STAT_DIRECT_BYTES, io->len);

	init_sync_kiocb(&io->iocb, bf->file);
	io->iocb.ki_flags |= IOCB_DIRECT;
	io->iocb.ki_pos = io->ext->backing_off + (io->off - io->ext->off);
	if (!wait) {
		INIT_WORK(&io->work, datafs_io_work);
		atomic_set(&io->refs, 2);
		io->iocb.ki_complete = datafs_io_complete;
	}
	iov_iter_bvec(&iter, READ, io->bv, io->nr, io->len);
	old = override_creds(bf->cred);
	ret = vfs_iocb_iter_read(bf->file, &io->iocb, &iter);
	revert_creds(old);
	if (ret != -EIOCBQUEUED)
		datafs_io_end(io, ret);
	else
		datafs_io_put(io);
}

/* ------------------------------------------------------- folios of a file */

/*
 * struct datafs_group - folios that are read together
 *
 * A folio may lie in several extents and an extent may hold several folios:
 * the group's folios end when all its reads have. Folios touched by a read
 * that failed stay not uptodate; their readers read them one by one.
 */
struct datafs_group {
	atomic_t		pending;	/* reads, and the submitter */
	unsigned int		nr_folios;
	unsigned int		nr_ios;
	unsigned int		nr_bv;
	struct folio		*folios[DATAFS_GROUP_FOLIOS];
	struct datafs_io	ios[DATAFS_GROUP_IOS];
	struct bio_vec		bv[DATAFS_GROUP_FOLIOS + DATAFS_GROUP_IOS];
};

static struct datafs_group *datafs_group_alloc(gfp_t gfp)
{
	struct datafs_group *g = kmem_cache_alloc(datafs_group_cache, gfp);

	if (g) {
		atomic_set(&g->pending, 1);
		g->nr_folios = 0;
		g->nr_ios = 0;
		g->nr_bv = 0;
	}
	return g;
}

static bool datafs_group_folio_ok(struct datafs_group *g, struct folio *folio)
{
	u64 pos = folio_pos(folio);
	unsigned int i;

	for (i = 0; i < g->nr_ios; i++) {
		struct datafs_io *io = &g->ios[i];

		if (io->error && io->off < pos + folio_size(folio) &&
		    io->off + io->len > pos)
			return false;
	}
	return true;
}

/*
 * Nothing behind the end of the file is the daemon's to show. The size cannot
 * change under a locked folio: who publishes another waits for it.
 */
static void datafs_folio_zero_tail(struct folio *folio)
{
	u64 size = i_size_read(folio->mapping->host);
	u64 start = folio_pos(folio);

	if (size < start + folio_size(folio))
		folio_zero_segment(folio, size > start ? size - start : 0,
				   folio_size(folio));
}

static void datafs_group_put(struct datafs_group *g)
{
	unsigned int i;

	if (!atomic_dec_and_test(&g->pending))
		return;
	for (i = 0; i < g->nr_folios; i++) {
		bool ok = datafs_group_folio_ok(g, g->folios[i]);

		if (ok)
			datafs_folio_zero_tail(g->folios[i]);
		datafs_folio_end_read(g->folios[i], ok);
	}
	kmem_cache_free(datafs_group_cache, g);
}

static void datafs_group_io_done(struct datafs_io *io)
{
	datafs_group_put(io->owner);
}

/*
 * datafs_group_add - take a locked folio in, with the extents it lies in
 *
 * -ENOENT: part of it has no extent. -ENOSPC: no room in the group. Either
 * way nothing has changed.
 */
static int datafs_group_add(struct datafs_group *g, struct datafs_inode *di,
			    struct folio *folio)
{
	u64 eof = datafs_eof(&di->vfs_inode);
	u64 start = folio_pos(folio), pos = start;
	u64 end = min_t(u64, start + folio_size(folio), eof);
	unsigned int old_ios = g->nr_ios, old_bv = g->nr_bv;
	struct datafs_io *io = old_ios ? &g->ios[old_ios - 1] : NULL;
	u32 old_len = io ? io->len : 0, old_nr = io ? io->nr : 0;
	int err = -ENOSPC;

	if (start >= eof)
		return -ENOENT;
	if (g->nr_folios == DATAFS_GROUP_FOLIOS)
		return -ENOSPC;
	while (pos < end) {
		u64 stop = io ? io->ext->off + io->ext->len : 0;
		u32 n;

		if (!io || io->off + io->len != pos || pos >= stop) {
			struct datafs_ext *ext;

			if (g->nr_ios == DATAFS_GROUP_IOS)
				goto undo;
			ext = datafs_ext_get(di, pos);
			if (!ext) {
				err = -ENOENT;
				goto undo;
			}
			io = &g->ios[g->nr_ios++];
			io->ext = ext;
			io->off = pos;
			io->len = 0;
			io->nr = 0;
			io->bv = &g->bv[g->nr_bv];
			io->done = datafs_group_io_done;
			io->owner = g;
			io->error = 0;
			io->direct = false;
			io->users = false;
			stop = ext->off + ext->len;
		}
		if (g->nr_bv == ARRAY_SIZE(g->bv))
			goto undo;
		n = min(end, stop) - pos;
		datafs_bvec_set(&g->bv[g->nr_bv++], folio, n, pos - start);
		io->nr++;
		io->len += n;
		pos += n;
	}
	/* The extents may be of a content that ends elsewhere. */
	err = -ENOENT;
	if (datafs_eof(&di->vfs_inode) != eof)
		goto undo;
	g->folios[g->nr_folios++] = folio;
	return 0;
undo:
	while (g->nr_ios > old_ios)
		datafs_ext_put(g->ios[--g->nr_ios].ext);
	if (old_ios) {
		g->ios[old_ios - 1].len = old_len;
		g->ios[old_ios - 1].nr = old_nr;
	}
	g->nr_bv = old_bv;
	return err;
}

static void datafs_group_submit(struct datafs_group *g, bool wait)
{
	unsigned int i, n = g->nr_ios;

	atomic_set(&g->pending, n + 1);
	for (i = 0; i < n; i++)
		datafs_io_start(&g->ios[i], wait);
	datafs_group_put(g);
}

static void datafs_readahead(struct readahead_control *rac)
{
	struct inode *inode = rac->mapping->host;
	struct datafs_inode *di = datafs_i(inode);
	u64 pos = readahead_pos(rac);
	u64 end = min_t(u64, pos + readahead_length(rac), datafs_eof(inode));
	bool wait = readahead_length(rac) <= DATAFS_SYNC_MAX;
	u64 gap = datafs_ext_gap(di, pos, end);
	gfp_t gfp = GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN;
	struct datafs_group *g = NULL;
	struct folio *folio;

	/*
	 * What lies behind the gap is worth asking for now, while its reader
	 * is still busy with what lies before. The folios there are dropped
	 * by the caller and come back with their extents.
	 */
	if (gap < end)
		datafs_miss_prefetch(inode, gap, end);
	while (pos < gap && (folio = readahead_folio(rac))) {
		int err = -ENOMEM;

		pos = folio_pos(folio) + folio_size(folio);
		if (g && g->nr_folios) {
			err = datafs_group_add(g, di, folio);
			if (!err)
				continue;
			if (err == -ENOSPC) {
				datafs_group_submit(g, wait);
				g = NULL;
			}
		}
		if (!g) {
			g = datafs_group_alloc(gfp);
			if (g)
				err = datafs_group_add(g, di, folio);
			if (!err)
				continue;
		}
		/* Its reader gets it, alone. */
		folio_unlock(folio);
		break;
	}
	if (g)
		datafs_group_submit(g, wait);
}

static void datafs_io_nothing(struct datafs_io *io)
{
}

static int datafs_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	u64 eof = datafs_eof(inode);
	u64 start = folio_pos(folio), pos = start;
	u64 end = min_t(u64, start + folio_size(folio), eof);

	if (start >= eof)
		goto again;
	while (pos < end) {
		struct datafs_ext *ext = datafs_ext_get(datafs_i(inode), pos);
		struct datafs_io io;
		struct bio_vec bv;

		if (!ext)
			goto again;
		io.ext = ext;
		io.off = pos;
		io.len = min(end, ext->off + ext->len) - pos;
		io.nr = 1;
		io.bv = &bv;
		io.done = datafs_io_nothing;
		io.direct = false;
		io.users = false;
		datafs_bvec_set(&bv, folio, io.len, pos - start);
		datafs_io_start(&io, true);
		if (io.error)
			goto again;
		pos += io.len;
	}
	/* The extents may be of a content that ends elsewhere. */
	if (datafs_eof(inode) != eof)
		goto again;
	datafs_folio_zero_tail(folio);
	datafs_folio_end_read(folio, true);
	return 0;
again:
	folio_unlock(folio);
	return -DATAFS_AGAIN;
}

const struct address_space_operations datafs_aops = {
	.readahead	= datafs_readahead,
	.read_folio	= datafs_read_folio,
	.dirty_folio	= noop_dirty_folio,
	.migrate_folio	= filemap_migrate_folio,
};

int datafs_io_init(void)
{
	datafs_group_cache = kmem_cache_create("datafs_group",
					       sizeof(struct datafs_group), 0,
					       SLAB_RECLAIM_ACCOUNT, NULL);
	if (!datafs_group_cache)
		return -ENOMEM;
	datafs_wq = alloc_workqueue("datafs", WQ_MEM_RECLAIM | DATAFS_WQ_PERCPU,
				    0);
	if (!datafs_wq) {
		datafs_io_exit();
		return -ENOMEM;
	}
	return 0;
}

void datafs_io_exit(void)
{
	if (datafs_wq)
		destroy_workqueue(datafs_wq);
	kmem_cache_destroy(datafs_group_cache);
}
