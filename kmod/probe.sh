#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: probe.sh KDIR OUT
#
# Finds out which interfaces a kernel has and writes OUT/datafs_config.h.
# Stable kernels take interfaces back, so a version number tells nothing: each
# question is a snippet that compiles, with kbuild's own flags, or does not.

set -eu

# Warnings and checkers that the outer make was asked for would change answers.
unset MAKEFLAGS MFLAGS MAKELEVEL W C

kdir=$1
out=$2
dir=$out/probe

rm -rf "$dir"
mkdir -p "$dir"

# probe NAME < snippet: DATAFS_HAVE_NAME is defined if it compiles
probe()
{
	cat > "$dir/$1.c"
	names="$names $1"
}
names=

# Two whose answers are known: they tell a broken compiler from an old kernel.
probe SANITY <<'END'
#include <linux/fs.h>
int x(struct inode *i);
int x(struct inode *i) { return i->i_mode; }
END
probe NONSENSE <<'END'
#include <linux/fs.h>
int x(struct inode *i);
int x(struct inode *i) { return i->i_no_such_member; }
END

# ---------------------------------------------------------- namespace

# struct mnt_idmap in inode operations, before it struct user_namespace (6.3)
probe MNT_IDMAP <<'END'
#include <linux/fs.h>
#include <linux/mnt_idmapping.h>
static int p(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	return generic_permission(idmap, inode, mask);
}
extern const struct inode_operations ops;
const struct inode_operations ops = { .permission = p };
END
# ->get_inode_acl, before it ->get_acl of the same shape (6.2)
probe GET_INODE_ACL <<'END'
#include <linux/fs.h>
static struct posix_acl *g(struct inode *inode, int type, bool rcu)
{
	return NULL;
}
extern const struct inode_operations ops;
const struct inode_operations ops = { .get_inode_acl = g };
END
# ->set_acl is given the dentry, before it the inode (6.2)
probe SET_ACL_DENTRY <<'END'
#include <linux/fs.h>
int x(const struct inode_operations *ops, struct dentry *dentry);
int x(const struct inode_operations *ops, struct dentry *dentry)
{
	return ops->set_acl(NULL, dentry, NULL, 0);
}
END
# ->mkdir answers a dentry (6.15)
probe MKDIR_DENTRY <<'END'
#include <linux/fs.h>
#include <linux/mnt_idmapping.h>
static struct dentry *m(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode)
{
	return NULL;
}
extern const struct inode_operations ops;
const struct inode_operations ops = { .mkdir = m };
END
# ACLs need a handler of their own among s_xattr (until 6.3)
probe POSIX_ACL_XATTR_HANDLER <<'END'
#include <linux/fs.h>
#include <linux/posix_acl_xattr.h>
const struct xattr_handler *x(void);
const struct xattr_handler *x(void) { return &posix_acl_access_xattr_handler; }
END
# s_xattr is an array of const (6.7)
probe XATTR_CONST <<'END'
#include <linux/fs.h>
void x(struct super_block *sb, const struct xattr_handler * const *h);
void x(struct super_block *sb, const struct xattr_handler * const *h)
{
	sb->s_xattr = h;
}
END
# generic_fillattr() is told which attributes are wanted (6.6)
probe FILLATTR_MASK <<'END'
#include <linux/fs.h>
#include <linux/mnt_idmapping.h>
void x(struct inode *i, struct kstat *s);
void x(struct inode *i, struct kstat *s)
{
	generic_fillattr(&nop_mnt_idmap, STATX_BASIC_STATS, i, s);
}
END
# ctime through accessors (6.6)
probe INODE_CTIME <<'END'
#include <linux/fs.h>
void x(struct inode *i, struct timespec64 t);
void x(struct inode *i, struct timespec64 t) { inode_set_ctime_to_ts(i, t); }
END
# atime and mtime through accessors (6.7)
probe INODE_TIMES <<'END'
#include <linux/fs.h>
void x(struct inode *i, struct timespec64 t);
void x(struct inode *i, struct timespec64 t)
{
	inode_set_atime_to_ts(i, t);
	inode_set_mtime_to_ts(i, t);
}
END
# i_state behind an accessor (6.19)
probe INODE_STATE_READ <<'END'
#include <linux/fs.h>
bool x(struct inode *i);
bool x(struct inode *i) { return inode_state_read_once(i) & I_NEW; }
END
# s_uuid with its length (6.9)
probe SUPER_SET_UUID <<'END'
#include <linux/fs.h>
void x(struct super_block *sb, const u8 *u);
void x(struct super_block *sb, const u8 *u) { super_set_uuid(sb, u, 16); }
END
# s_d_op is set by a function (6.17)
probe SET_DEFAULT_D_OP <<'END'
#include <linux/fs.h>
#include <linux/dcache.h>
void x(struct super_block *sb, const struct dentry_operations *ops);
void x(struct super_block *sb, const struct dentry_operations *ops)
{
	set_default_d_op(sb, ops);
}
END
# ->d_revalidate is given the directory and a stable name (6.14)
probe D_REVALIDATE_NAME <<'END'
#include <linux/fs.h>
#include <linux/dcache.h>
static int r(struct inode *dir, const struct qstr *name, struct dentry *dentry,
	     unsigned int flags)
{
	return 1;
}
extern const struct dentry_operations ops;
const struct dentry_operations ops = { .d_revalidate = r };
END
# d_alloc_parallel() makes its own wait queue
probe D_ALLOC_PARALLEL_NO_WQ <<'END'
#include <linux/fs.h>
#include <linux/dcache.h>
struct dentry *x(struct dentry *parent, const struct qstr *name);
struct dentry *x(struct dentry *parent, const struct qstr *name)
{
	return d_alloc_parallel(parent, name);
}
END

# --------------------------------------------------------------- data

# filemap_splice_read(), before it generic_file_splice_read() (6.5)
probe FILEMAP_SPLICE_READ <<'END'
#include <linux/fs.h>
extern const struct file_operations ops;
const struct file_operations ops = { .splice_read = filemap_splice_read };
END
# folio_end_read() (6.7)
probe FOLIO_END_READ <<'END'
#include <linux/pagemap.h>
void x(struct folio *f);
void x(struct folio *f) { folio_end_read(f, true); }
END
# faults may come under the VMA's lock alone (6.6)
probe RELEASE_FAULT_LOCK <<'END'
#include <linux/mm.h>
void x(struct vm_fault *vmf);
void x(struct vm_fault *vmf) { release_fault_lock(vmf); }
END
# user pages are pinned, not only referenced (6.3)
probe IOV_ITER_EXTRACT_PAGES <<'END'
#include <linux/uio.h>
ssize_t x(struct iov_iter *i, struct page ***p, size_t *off);
ssize_t x(struct iov_iter *i, struct page ***p, size_t *off)
{
	return iov_iter_extract_pages(i, p, 1 << 20, 16, 0, off);
}
END
# A workqueue says that it is not unbound (6.18; some older ones have it, too)
probe WQ_PERCPU <<'END'
#include <linux/workqueue.h>
extern const int flag;
const int flag = WQ_PERCPU;
END
# no_llseek is gone: a file without ->llseek does not seek (6.12)
probe NO_LLSEEK <<'END'
#include <linux/fs.h>
extern const struct file_operations ops;
const struct file_operations ops = { .llseek = no_llseek };
END

# ------------------------------------------------------------- memory

# a superblock's shrinker is allocated (6.7)
probe SB_SHRINKER_POINTER <<'END'
#include <linux/fs.h>
struct shrinker *x(struct super_block *sb);
struct shrinker *x(struct super_block *sb) { return sb->s_shrink; }
END
# list_lru_add() is told node and cgroup, and has a variant that finds them (6.8)
probe LIST_LRU_ADD_OBJ <<'END'
#include <linux/list_lru.h>
bool x(struct list_lru *lru, struct list_head *item);
bool x(struct list_lru *lru, struct list_head *item)
{
	return list_lru_add_obj(lru, item);
}
END
# the walker of a list_lru is given the lock (until 6.13)
probe LIST_LRU_WALK_LOCK <<'END'
#include <linux/list_lru.h>
static enum lru_status f(struct list_head *item, struct list_lru_one *lru,
			 spinlock_t *lock, void *arg)
{
	return LRU_SKIP;
}
extern const list_lru_walk_cb x;
const list_lru_walk_cb x = f;
END

# The output of always-y is the answer itself. Not through the shell's status:
# one kbuild run must ask all questions, whatever the answers.
# shellcheck disable=SC2016 # for make to expand
{
	echo 'always-y := $(addsuffix .have,$(DATAFS_PROBES))'
	echo 'ccflags-y := -Werror -Wno-missing-declarations'
	printf '%s\n\t%s\n' '$(obj)/%.have: $(src)/%.c FORCE' \
		'@if $(CC) $(c_flags) -fsyntax-only $< 2>$@.log; then echo y; else echo n; fi >$@'
} > "$dir/Kbuild"

if ! make -C "$kdir" M="$dir" DATAFS_PROBES="$names" modules \
	> "$dir/log" 2>&1; then
	cat "$dir/log" >&2
	echo "probe.sh: kbuild does not work with $kdir (above)" >&2
	exit 1
fi

answer()
{
	cat "$dir/$1.have"
}

if [ "$(answer SANITY)$(answer NONSENSE)" != yn ]; then
	cat "$dir/SANITY.have.log" >&2
	echo "probe.sh: the compiler does not compile against $kdir (above)" >&2
	exit 1
fi

{
	echo '/* SPDX-License-Identifier: GPL-2.0-only */'
	echo '/* Written by kmod/probe.sh: what this kernel has. */'
	for n in $names; do
		case $n in
		SANITY|NONSENSE)
			;;
		*)
			[ "$(answer "$n")" = y ] &&
				echo "#define DATAFS_HAVE_$n 1" ||
				echo "/* DATAFS_HAVE_$n is not set */"
			;;
		esac
	done
} > "$out/datafs_config.h.new"
mv "$out/datafs_config.h.new" "$out/datafs_config.h"
