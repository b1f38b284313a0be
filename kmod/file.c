// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: reading a file through the page cache.
 *
 * Extents are resolved here, before the page cache is entered, with no lock
 * held: an upcall below a folio lock, invalidate_lock or mmap_lock would hang
 * truncation, eviction and umount behind a dead daemon. What is cached is
 * read first and without asking whether it has extents.
 */
#include <linux/fadvise.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include "datafs.h"

/* How far extents are resolved ahead of a copy. */
#define DATAFS_WINDOW		(2u << 20)
/* Reads that found nothing to copy, in a row, before they fail. */
#define DATAFS_READ_TRIES	16

static int datafs_file_open(struct inode *inode, struct file *file)
{
	int err = generic_file_open(inode, file);

	/* A mount that can be changed: but bytes of files cannot, as yet. */
	if (!err && (file->f_mode & FMODE_WRITE))
		err = -EROFS;
	if (!err)
		err = datafs_inode_revalidate(inode, false);
	if (!err)
		file->f_mode |= FMODE_NOWAIT | FMODE_CAN_ODIRECT;
	return err;
}

int datafs_content_settle(struct datafs_inode *di)
{
	if (mutex_lock_killable(&di->update_lock))
		return -EINTR;
	mutex_unlock(&di->update_lock);
	return 0;
}

/*
 * At the end of what is known of the file: does it go on? Only a living
 * daemon is asked; without one, what is known is what there is.
 */
int datafs_file_grew(struct kiocb *iocb)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	if (datafs_inode_attr_valid(inode) ||
	    !datafs_mount_is_live(datafs_mnt(inode->i_sb)))
		return 0;
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	return !datafs_inode_revalidate(inode, false) &&
	       iocb->ki_pos < i_size_read(inode);
}

/* Errors of the page cache that mean: resolve, and come again. */
static bool datafs_read_again(ssize_t ret)
{
	return ret == -DATAFS_AGAIN || ret == -EAGAIN;
}

/*
 * The folio at @pos, or the page where there is none yet: where it begins and
 * ends, and whether it can be read without any extent.
 */
static bool datafs_folio_at(struct inode *inode, u64 pos, u64 *start, u64 *end)
{
	struct folio *folio = filemap_get_folio(inode->i_mapping,
						pos >> PAGE_SHIFT);
	bool ready;

	*start = round_down(pos, PAGE_SIZE);
	*end = *start + PAGE_SIZE;
	if (IS_ERR_OR_NULL(folio))
		return false;
	ready = folio_test_uptodate(folio);
	*start = folio_pos(folio);
	*end = *start + folio_size(folio);
	folio_put(folio);
	return ready;
}

/*
 * Have what the folio at @pos needs, and up to @end what the next ones will. A
 * folio is read as a whole, so it is resolved as a whole. After @tries in vain
 * the cache may be too small to hold so much: ask for no more than a page.
 */
static int datafs_folio_resolve(struct inode *inode, u64 pos, u64 start,
				u64 folio_end, u64 end, int tries)
{
	if (tries > DATAFS_READ_TRIES / 2) {
		invalidate_inode_pages2_range(inode->i_mapping,
					      pos >> PAGE_SHIFT,
					      pos >> PAGE_SHIFT);
		return datafs_miss_resolve(inode, pos, pos + 1);
	}
	return datafs_miss_resolve(inode, start,
				   tries ? folio_end : max(folio_end, end));
}

/* What has to come from backing files; upcalls as needed. */
static ssize_t datafs_read_missing(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret, total = 0;
	int tries = 0;

	while (iov_iter_count(to) && iocb->ki_pos < i_size_read(inode)) {
		size_t count = iov_iter_count(to), cut = 0;
		u64 pos = iocb->ki_pos, start, end;

		if (datafs_folio_at(inode, pos, &start, &end)) {
			/*
			 * Ready, but it marks where to read ahead, which the
			 * pass without I/O does not do.
			 */
			if (count > end - pos)
				cut = count - (end - pos);
		} else {
			ret = datafs_folio_resolve(inode, pos, start, end, pos +
						   min_t(u64, count, DATAFS_WINDOW),
						   tries);
			if (ret)
				return total ?: ret;
		}
		iov_iter_truncate(to, count - cut);
		ret = filemap_read(iocb, to, 0);
		iov_iter_reexpand(to, iov_iter_count(to) + cut);
		if (ret > 0) {
			total += ret;
			tries = 0;
		} else if (!ret) {
			break;
		} else if (!datafs_read_again(ret)) {
			return total ?: ret;
		} else if (++tries == DATAFS_READ_TRIES) {
			return total ?: -EIO;
		}
	}
	return total;
}

/* One pass over all that @to wants, of whatever contents. */
static ssize_t datafs_read_pass(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int flags = iocb->ki_flags;
	ssize_t ret, more;

	iocb->ki_flags |= IOCB_NOIO;
	ret = filemap_read(iocb, to, 0);
	iocb->ki_flags = flags;
	if (ret < 0 && !datafs_read_again(ret))
		return ret;
	if (ret < 0)
		ret = 0;
	if (!iov_iter_count(to) || iocb->ki_pos >= i_size_read(inode))
		return ret;
	if (flags & IOCB_NOWAIT) {
		datafs_miss_prefetch(inode, iocb->ki_pos,
				     iocb->ki_pos + iov_iter_count(to));
		return ret ?: -EAGAIN;
	}
	more = datafs_read_missing(iocb, to);
	if (more < 0)
		return ret ?: more;
	return ret + more;
}

static ssize_t datafs_file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct datafs_inode *di = datafs_i(file_inode(iocb->ki_filp));
	loff_t pos = iocb->ki_pos;
	unsigned int seq;
	ssize_t ret;

	if (!iov_iter_count(to))
		return 0;
	if (iocb->ki_flags & IOCB_DIRECT)
		return datafs_direct_read(iocb, to);
	for (;;) {
		seq = datafs_content_seq(di);
		ret = datafs_read_pass(iocb, to);
		if (unlikely(!datafs_content_same(di, seq))) {
			/* Perhaps of two contents: all again, of the new one. */
			if (ret > 0) {
				iov_iter_revert(to, ret);
				iocb->ki_pos = pos;
			}
			if (iocb->ki_flags & IOCB_NOWAIT)
				return -EAGAIN;
			ret = datafs_content_settle(di);
			if (ret)
				return ret;
			continue;
		}
		if (ret)
			return ret;
		ret = datafs_file_grew(iocb);
		if (ret <= 0)
			return ret;
	}
}

/*
 * Pages in a pipe cannot be taken back, so a splice that met a change of
 * content could not be done again. A folio is of one content: no more than one
 * at a time, and of that no more than the size that was known before.
 */
static ssize_t datafs_file_splice_read(struct file *in, loff_t *ppos,
				       struct pipe_inode_info *pipe, size_t len,
				       unsigned int flags)
{
	struct inode *inode = file_inode(in);
	u64 start, end, size;
	ssize_t ret;
	int tries;

	for (tries = 0; tries < DATAFS_READ_TRIES; tries++) {
		if (datafs_content_seq(datafs_i(inode)) & 1) {
			ret = datafs_content_settle(datafs_i(inode));
			if (ret)
				return ret;
		}
		size = i_size_read(inode);
		if (*ppos >= size)
			return 0;
		if (!datafs_folio_at(inode, *ppos, &start, &end)) {
			ret = datafs_folio_resolve(inode, *ppos, start, end,
						   *ppos + min_t(u64, len, DATAFS_WINDOW),
						   tries);
			if (ret)
				return ret;
		}
		ret = datafs_generic_splice_read(in, ppos, pipe,
						 min3((u64)len, end - *ppos,
						      size - *ppos), flags);
		if (ret != -DATAFS_AGAIN)
			return ret;
	}
	return -EIO;
}

/* ------------------------------------------------------------------ faults */

/*
 * struct datafs_fault - a fault that let mmap_lock go and is to come again
 *
 * An error cannot be returned with the lock gone, so it is kept here for the
 * next round. A task has one fault at a time; a place that another task's fault
 * takes is that of the oldest of its row, whose error is met once more then.
 */
struct datafs_fault {
	struct task_struct	*task;		/* compared, never followed */
	struct inode		*inode;		/* as well */
	u64			start_time;	/* of the task: pointers come again */
	pgoff_t			pgoff;
	unsigned long		when;		/* jiffies */
	int			error;
	int			tries;
};

#define DATAFS_FAULT_BITS	6
#define DATAFS_FAULT_WAYS	8

static struct datafs_fault datafs_faults[1 << DATAFS_FAULT_BITS][DATAFS_FAULT_WAYS];
static DEFINE_SPINLOCK(datafs_fault_lock);	/* protects them; a leaf */

/* The caller's place, or the one it may take. */
static struct datafs_fault *datafs_fault_find(void)
{
	struct datafs_fault *row = datafs_faults[hash_ptr(current, DATAFS_FAULT_BITS)];
	struct datafs_fault *oldest = row;
	int i;

	lockdep_assert_held(&datafs_fault_lock);
	for (i = 0; i < DATAFS_FAULT_WAYS; i++) {
		if (row[i].task == current)
			return &row[i];
		if (!row[i].task)
			oldest = &row[i];
		else if (oldest->task && time_before(row[i].when, oldest->when))
			oldest = &row[i];
	}
	return oldest;
}

static bool datafs_fault_is(const struct datafs_fault *f, struct inode *inode,
			    pgoff_t pgoff)
{
	return f->task == current && f->start_time == current->start_time &&
	       f->inode == inode && f->pgoff == pgoff;
}

/*
 * Is this the same fault once more? Answers the error that its last round kept
 * (or -EIO after too many), once, and counts the rounds. Old rounds are
 * forgotten: they belong to a fault that was given up.
 */
static int datafs_fault_again(struct inode *inode, pgoff_t pgoff, int *tries)
{
	struct datafs_fault *f;
	int error = 0;

	spin_lock(&datafs_fault_lock);
	f = datafs_fault_find();
	if (datafs_fault_is(f, inode, pgoff) &&
	    time_before(jiffies, f->when + HZ)) {
		error = f->error;
		if (++f->tries == DATAFS_READ_TRIES)
			error = -EIO;
	} else {
		*f = (struct datafs_fault) {
			.task = current, .start_time = current->start_time,
			.inode = inode, .pgoff = pgoff,
		};
	}
	f->error = 0;
	f->when = jiffies;
	*tries = f->tries;
	if (error)
		f->task = NULL;
	spin_unlock(&datafs_fault_lock);
	return error;
}

static void datafs_fault_keep(struct inode *inode, pgoff_t pgoff, int error)
{
	struct datafs_fault *f;

	spin_lock(&datafs_fault_lock);
	f = datafs_fault_find();
	if (datafs_fault_is(f, inode, pgoff)) {
		f->error = error;
		f->when = jiffies;
	}
	spin_unlock(&datafs_fault_lock);
}

/*
 * Let mmap_lock (or the vma's) go, have the extents, and have the fault done
 * again. An error cannot be returned with the lock gone: it is kept for the
 * retry.
 */
static vm_fault_t datafs_fault_resolve(struct vm_fault *vmf, u64 start, u64 end)
{
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	pgoff_t pgoff = vmf->pgoff;
	u64 off = (u64)pgoff << PAGE_SHIFT;
	int err, tries;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		/* It must not wait, and cannot come again. */
		datafs_miss_prefetch(inode, start, end);
		return VM_FAULT_SIGBUS;
	}
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
		datafs_miss_prefetch(inode, start, end);
		return VM_FAULT_RETRY;
	}
	err = datafs_fault_again(inode, pgoff, &tries);
	if (err)
		return vmf_error(err);
	get_file(file);
	datafs_release_fault_lock(vmf);
	err = datafs_folio_resolve(inode, off, start, end, end, tries);
	/* A killed task does not come back for its error. */
	if (err && !fatal_signal_pending(current))
		datafs_fault_keep(inode, pgoff, err);
	fput(file);
	return VM_FAULT_RETRY;
}

static vm_fault_t datafs_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	u64 off = (u64)vmf->pgoff << PAGE_SHIFT;
	u64 start, end;
	vm_fault_t ret;

	if (off >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	if (!datafs_folio_at(inode, off, &start, &end)) {
		end = min(end, datafs_eof(inode));
		if (datafs_ext_gap(datafs_i(inode), start, end) < end)
			return datafs_fault_resolve(vmf, start, end);
	}
	ret = filemap_fault(vmf);
	/*
	 * An extent went meanwhile, or a checksum did not hold. With
	 * VM_FAULT_RETRY the lock is gone already, and the retry comes here.
	 */
	if ((ret & VM_FAULT_SIGBUS) && !(ret & VM_FAULT_RETRY) &&
	    off < i_size_read(inode))
		return datafs_fault_resolve(vmf, start, end);
	return ret;
}

static const struct vm_operations_struct datafs_vm_ops = {
	.fault		= datafs_fault,
	.map_pages	= filemap_map_pages,
};

static int datafs_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	vma->vm_ops = &datafs_vm_ops;
	return 0;
}

static int datafs_file_fadvise(struct file *file, loff_t off, loff_t len,
			       int advice)
{
	u64 end = len > 0 ? (u64)off + len : U64_MAX;

	if (advice == POSIX_FADV_WILLNEED && off >= 0 && len >= 0)
		datafs_miss_prefetch(file_inode(file), off, end);
	return generic_fadvise(file, off, len, advice);
}

const struct file_operations datafs_file_ops = {
	.owner		= THIS_MODULE,
	.open		= datafs_file_open,
	.llseek		= generic_file_llseek,
	.read_iter	= datafs_file_read_iter,
	.splice_read	= datafs_file_splice_read,
	.mmap		= datafs_file_mmap,
	.fadvise	= datafs_file_fadvise,
};
