// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: O_DIRECT.
 *
 * Whole granules go from the backing file into the caller's pages, which are
 * pinned here, before backing I/O starts: the backing filesystem must never
 * fault them in while it holds its locks, for they may be mapped from DataFS.
 * What is no whole granule (the ends of an unaligned range, the end of the
 * file) goes through pages of our own, and so does what did not match its
 * checksum: the caller may be writing to its buffer while we read it.
 */
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include "io.h"

#define DATAFS_DIO_MAX		(1u << 20)	/* bytes of one direct read */
#define DATAFS_BOUNCE_PAGES	16
#define DATAFS_DIO_TRIES	16
#define DATAFS_DIO_WATCH	(HZ / 2)	/* how often a waiting one's process is looked at */

/* struct datafs_dio - a read into pinned pages */
struct datafs_dio {
	struct datafs_io	io;
	struct kiocb		*iocb;		/* NULL if the submitter waits */
	struct inode		*inode;
	u64			pos;
	size_t			len;		/* multiple of DATAFS_GRANULE */
	struct pid		*process;	/* of the submitter */
	struct mm_struct	*mm;		/* likewise; not in use, but there */
	struct work_struct	retry;		/* the same, slowly, after a failure */
	struct delayed_work	watch;		/* whether the process is to end */
	struct task_struct	*worker;	/* that is at the retry */
	unsigned int		nr;
	struct page		**pages;
	struct bio_vec		bv[];
};

static void datafs_dio_free(struct datafs_dio *dio, bool dirty)
{
	datafs_unpin_pages(dio->pages, dio->nr, dirty);
	put_pid(dio->process);
	if (dio->mm)
		mmdrop(dio->mm);
	kfree(dio->pages);
	kfree(dio);
}

/*
 * Pins the caller's pages for up to @len bytes, whole granules only. NULL if
 * they are not to be had in that shape; @to is as it was then, else advanced.
 */
static struct datafs_dio *datafs_dio_pin(struct iov_iter *to, size_t len)
{
	size_t start, left, extra;
	struct datafs_dio *dio;
	unsigned int max, i;
	ssize_t got;

	len = min_t(size_t, round_down(len, DATAFS_GRANULE), DATAFS_DIO_MAX);
	if (!user_backed_iter(to) || !len)
		return NULL;
	max = len / PAGE_SIZE + 1;
	dio = kzalloc(struct_size(dio, bv, max), GFP_KERNEL);
	if (!dio)
		return NULL;
	dio->pages = kmalloc_array(max, sizeof(*dio->pages), GFP_KERNEL);
	if (!dio->pages)
		goto none;
	got = datafs_pin_pages(to, dio->pages, len, max, &start);
	if (got <= 0)
		goto none;
	dio->nr = DIV_ROUND_UP(start + got, PAGE_SIZE);
	dio->len = round_down(got, DATAFS_GRANULE);
	extra = got - dio->len;
	if (start % DATAFS_DIO_ALIGN || !dio->len) {
		iov_iter_revert(to, got);
		goto none;
	}
	iov_iter_revert(to, extra);

	left = dio->len;
	for (i = 0; left; i++) {
		size_t n = min_t(size_t, left, PAGE_SIZE - start);

		dio->bv[i].bv_page = dio->pages[i];
		dio->bv[i].bv_offset = start;
		dio->bv[i].bv_len = n;
		left -= n;
		start = 0;
	}
	dio->io.nr = i;
	dio->io.bv = dio->bv;
	dio->io.len = dio->len;
	dio->io.direct = true;
	dio->io.users = true;
	dio->io.owner = dio;
	return dio;
none:
	datafs_dio_free(dio, false);
	return NULL;
}

/* Bytes that did not match may be anybody's: the program shall not see them. */
static void datafs_dio_wipe(struct datafs_dio *dio)
{
	struct iov_iter to;

	iov_iter_bvec(&to, READ, dio->bv, dio->io.nr, dio->len);
	iov_iter_zero(dio->len, &to);
}

static void datafs_dio_nothing(struct datafs_io *io)
{
}

/* Gives back what is beyond @len, a multiple of DATAFS_GRANULE. */
static void datafs_dio_shorten(struct datafs_dio *dio, size_t len,
			       struct iov_iter *to)
{
	size_t left = len;
	unsigned int i;

	iov_iter_revert(to, dio->len - len);
	for (i = 0; left; i++) {
		dio->bv[i].bv_len = min_t(size_t, left, dio->bv[i].bv_len);
		left -= dio->bv[i].bv_len;
	}
	dio->io.nr = i;
	dio->io.len = len;
	dio->len = len;
}

/*
 * The extent at @pos, and in *@len how much of *@len it has; or NULL. No user
 * memory is touched while one has it: it may be anybody's, whom a revocation
 * would wait for. The size is read after the extent: it is not of an older
 * content.
 */
static struct datafs_ext *datafs_dio_ext(struct inode *inode, u64 pos,
					 size_t *len)
{
	struct datafs_ext *ext = datafs_ext_get(datafs_i(inode), pos);
	u64 size = i_size_read(inode);

	if (ext && pos >= size) {
		datafs_ext_put(ext);
		ext = NULL;
	}
	if (ext)
		*len = min3((u64)*len, size - pos, ext->off + ext->len - pos);
	return ext;
}

/*
 * One piece of an extent, waited for. Returns bytes; 0 if it cannot be had this
 * way, or did not match: then datafs_dio_bounce() can, or tells why not.
 */
static ssize_t datafs_dio_direct(struct inode *inode, u64 pos, size_t len,
				 struct iov_iter *to)
{
	struct datafs_dio *dio;
	struct datafs_ext *ext;
	ssize_t ret;

	/* no more than is likely to be read */
	ext = datafs_dio_ext(inode, pos, &len);
	if (!ext)
		return 0;
	datafs_ext_put(ext);
	dio = datafs_dio_pin(to, len);
	if (!dio)
		return 0;
	len = dio->len;
	ext = datafs_dio_ext(inode, pos, &len);
	len = ext ? round_down(len, DATAFS_GRANULE) : 0;
	datafs_dio_shorten(dio, len, to);
	if (!len) {
		if (ext)
			datafs_ext_put(ext);
		datafs_dio_free(dio, false);
		return 0;
	}
	dio->io.ext = ext;	/* which gives it back */
	dio->io.off = pos;
	dio->io.done = datafs_dio_nothing;
	datafs_io_start(&dio->io, true);
	ret = dio->len;
	if (dio->io.error) {
		datafs_dio_wipe(dio);
		iov_iter_revert(to, ret);
		ret = 0;
	}
	datafs_dio_free(dio, true);
	return ret;
}

/*
 * The same through our own pages. -DATAFS_AGAIN: there is no extent, or it did
 * not match.
 */
static ssize_t datafs_dio_bounce(struct inode *inode, u64 pos, size_t len,
				 struct iov_iter *to)
{
	struct page *pages[DATAFS_BOUNCE_PAGES];
	struct bio_vec bv[DATAFS_BOUNCE_PAGES];
	u64 off = round_down(pos, DATAFS_GRANULE);
	struct datafs_io io = {
		.off = off, .bv = bv,
		.done = datafs_dio_nothing, .direct = true,
	};
	ssize_t ret = -ENOMEM, total = 0;
	struct datafs_ext *ext;
	unsigned int i, nr;
	u64 end;

	ext = datafs_dio_ext(inode, pos, &len);
	if (!ext)
		return -DATAFS_AGAIN;
	end = min_t(u64, round_up(pos + len, DATAFS_GRANULE),
		    off + ARRAY_SIZE(pages) * PAGE_SIZE);
	len = min_t(u64, len, end - pos);
	nr = DIV_ROUND_UP(end - off, PAGE_SIZE);
	for (i = 0; i < nr; i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i]) {
			datafs_ext_put(ext);
			goto free;
		}
		bv[i].bv_page = pages[i];
		bv[i].bv_offset = 0;
		bv[i].bv_len = PAGE_SIZE;
	}
	io.nr = nr;
	io.len = end - off;
	io.ext = ext;	/* which gives it back */
	datafs_io_start(&io, true);
	if (io.error) {
		ret = -DATAFS_AGAIN;
		goto free;
	}
	while (total < len) {
		size_t at = pos + total - off;
		size_t n = min_t(size_t, len - total,
				 PAGE_SIZE - offset_in_page(at));
		/* A copy, also into a pipe: the page must not go there itself. */
		void *p = kmap_local_page(pages[at >> PAGE_SHIFT]);
		size_t got = copy_to_iter(p + offset_in_page(at), n, to);

		kunmap_local(p);
		total += got;
		if (got < n)
			break;
	}
	ret = total ?: -EFAULT;
free:
	while (i--)
		__free_page(pages[i]);
	return ret;
}

/*
 * Up to @len bytes of one extent. Returns bytes, -DATAFS_AGAIN, -EFAULT, -ENOMEM.
 */
static ssize_t datafs_dio_piece(struct inode *inode, u64 pos, size_t len,
				struct iov_iter *to, bool bounce)
{
	ssize_t ret = 0;

	if (!bounce && IS_ALIGNED(pos, DATAFS_GRANULE))
		ret = datafs_dio_direct(inode, pos, len, to);
	return ret ?: datafs_dio_bounce(inode, pos, len, to);
}

/* Upcalls as needed, and waits for each piece. @bounce: use no caller's page. */
static ssize_t datafs_direct_pass(struct inode *inode, u64 pos,
				  struct iov_iter *to, bool bounce)
{
	ssize_t ret, total = 0;
	u64 slow_until = 0;
	int tries = 0;

	while (iov_iter_count(to) && pos < i_size_read(inode)) {
		u64 max = pos < slow_until ?
			  DATAFS_GRANULE - pos % DATAFS_GRANULE :
			  DATAFS_DIO_MAX;
		u64 len = min_t(u64, iov_iter_count(to), max);

		ret = datafs_miss_resolve(inode, pos, pos + len);
		if (ret)
			return total ?: ret;
		ret = datafs_dio_piece(inode, pos, len, to, bounce || tries);
		if (ret > 0) {
			total += ret;
			pos += ret;
			tries = 0;
		} else if (ret != -DATAFS_AGAIN) {
			return total ?: ret;
		} else if (++tries == DATAFS_DIO_TRIES) {
			return total ?: -EIO;
		} else if (tries == 2) {
			/*
			 * It did not match again, or was gone again before the
			 * end of the range was there: by granules, then.
			 */
			slow_until = max(slow_until, pos + len);
		}
	}
	return total;
}

/* The same, of one content. */
static ssize_t datafs_direct_slow(struct inode *inode, u64 pos,
				  struct iov_iter *to, bool bounce)
{
	struct datafs_inode *di = datafs_i(inode);
	unsigned int seq;
	ssize_t ret;

	for (;;) {
		seq = datafs_content_seq(di);
		ret = datafs_direct_pass(inode, pos, to, bounce);
		if (likely(datafs_content_same(di, seq)))
			return ret;
		if (ret > 0)
			iov_iter_revert(to, ret);
		ret = datafs_content_settle(di);
		if (ret)
			return ret;
	}
}

/* ------------------------------------------------------ not waited for */

static void datafs_dio_finish(struct datafs_dio *dio, ssize_t ret)
{
	struct kiocb *iocb = dio->iocb;

	if (ret > 0)
		iocb->ki_pos += ret;
	datafs_dio_free(dio, true);
	iocb->ki_complete(iocb, ret);
}

/*
 * Whose submitter ends waits for it, where no signal reaches that any more: all
 * its threads are to end, or the last one has left its memory.
 */
static bool datafs_dio_is_orphan(struct datafs_dio *dio)
{
	struct task_struct *task;
	bool res;

	if (!atomic_read(&dio->mm->mm_users))
		return true;
	rcu_read_lock();
	task = pid_task(dio->process, PIDTYPE_TGID);
	res = !task || READ_ONCE(task->signal->flags) & SIGNAL_GROUP_EXIT;
	rcu_read_unlock();
	return res;
}

/*
 * A retry may wait for a daemon, and nobody can kill a worker. So the watch does,
 * for the time of the retry, when its submitter is killed:
 *
 *   retry, in the mount's workqueue      watch, in one that never waits long
 *   -------------------------------      -----------------------------------
 *                                        not begun: takes it, -EINTR
 *   takes SIGKILL, worker = itself
 *   ... waits, killably                  worker: SIGKILL
 *   cancels the watch, waits for it
 *   forgets the signal
 *   tells the submitter
 */
static void datafs_dio_watch(struct work_struct *work)
{
	struct datafs_dio *dio = container_of(to_delayed_work(work),
					      struct datafs_dio, watch);
	struct task_struct *worker;

	if (datafs_dio_is_orphan(dio)) {
		if (cancel_work(&dio->retry)) {
			datafs_dio_finish(dio, -EINTR);
			return;
		}
		/* after its allow_kernel_signal() */
		worker = smp_load_acquire(&dio->worker);
		if (worker)
			send_sig(SIGKILL, worker, 1);
	}
	/* Also then: it may just have begun. */
	queue_delayed_work(datafs_wq, &dio->watch, DATAFS_DIO_WATCH);
}

static void datafs_dio_retry(struct work_struct *work)
{
	struct datafs_dio *dio = container_of(work, struct datafs_dio, retry);
	struct iov_iter to;
	ssize_t ret;

	allow_kernel_signal(SIGKILL);
	/* from now on the watch may send one */
	smp_store_release(&dio->worker, current);
	iov_iter_bvec(&to, READ, dio->bv, dio->io.nr, dio->len);
	ret = datafs_direct_slow(dio->inode, dio->pos, &to, true);
	cancel_delayed_work_sync(&dio->watch);
	disallow_signal(SIGKILL);
	datafs_dio_finish(dio, ret);
}

static void datafs_dio_done(struct datafs_io *io)
{
	struct datafs_dio *dio = io->owner;

	if (!io->error) {
		datafs_dio_finish(dio, dio->len);
		return;
	}
	datafs_dio_wipe(dio);
	INIT_WORK(&dio->retry, datafs_dio_retry);
	INIT_DELAYED_WORK(&dio->watch, datafs_dio_watch);
	queue_delayed_work(datafs_wq, &dio->watch, DATAFS_DIO_WATCH);
	/*
	 * It will make an upcall: not in a workqueue that reclaim needs, nor in
	 * one with mounts of other daemons. It frees: so it is queued last. While
	 * the watch tries to take it, it seems to be queued.
	 */
	while (!queue_work(datafs_mnt(dio->inode->i_sb)->retry_wq, &dio->retry))
		cpu_relax();
}

/* The whole range from one extent, or false. */
static bool datafs_dio_submit(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct datafs_inode *di = datafs_i(inode);
	size_t count = iov_iter_count(to), len = count;
	struct datafs_ext *ext;
	struct datafs_dio *dio;
	unsigned int seq;

	if (!IS_ALIGNED(iocb->ki_pos | count, DATAFS_GRANULE) ||
	    count > DATAFS_DIO_MAX)
		return false;
	/* no pages for what is not there */
	ext = datafs_dio_ext(inode, iocb->ki_pos, &len);
	if (!ext)
		return false;
	datafs_ext_put(ext);
	if (len < count)
		return false;
	ext = NULL;
	dio = datafs_dio_pin(to, count);
	if (!dio)
		return false;
	seq = datafs_content_seq(di);
	if (dio->len == count)
		ext = datafs_dio_ext(inode, iocb->ki_pos, &len);
	/* The size and the extent are of one content, or both are not used. */
	if (!ext || len < count || !datafs_content_same(di, seq))
		goto no;
	dio->iocb = iocb;
	dio->inode = inode;
	dio->process = get_pid(task_tgid(current));
	mmgrab(current->mm);
	dio->mm = current->mm;
	dio->pos = iocb->ki_pos;
	dio->io.ext = ext;
	dio->io.off = iocb->ki_pos;
	dio->io.done = datafs_dio_done;
	datafs_io_start(&dio->io, false);
	return true;
no:
	if (ext)
		datafs_ext_put(ext);
	iov_iter_revert(to, dio->len);
	datafs_dio_free(dio, false);
	return false;
}

ssize_t datafs_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	if (iocb->ki_pos >= i_size_read(inode)) {
		ret = datafs_file_grew(iocb);
		if (ret <= 0)
			return ret;
	}
	if (!is_sync_kiocb(iocb) && datafs_dio_submit(iocb, to))
		return -EIOCBQUEUED;
	if (iocb->ki_flags & IOCB_NOWAIT) {
		datafs_miss_prefetch(inode, iocb->ki_pos,
				     iocb->ki_pos + iov_iter_count(to));
		return -EAGAIN;
	}
	ret = datafs_direct_slow(inode, iocb->ki_pos, to, false);
	if (ret > 0)
		iocb->ki_pos += ret;
	return ret;
}
