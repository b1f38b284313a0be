#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=2048 disk=2G timeout=1800
#
# More inodes and extents than a memory cgroup may hold, and than a mount's bound
# allows: many.c. DIRS, FILES and WIDE in the environment say how many.

. "$DATAFS_TOP/tests/vm/lib.sh"

# A disk of memory, where the kernel has one: this test is not about I/O.
SLABS=/mnt/slabs
slabs()
{
	mkdir -p $SLABS && modprobe -q brd rd_nr=1 rd_size=16384 &&
		mkfs.ext4 -q -O ^has_journal /dev/ram0 && mount /dev/ram0 $SLABS
}

load
slabs || SLABS=$DISK
# Under KASAN and lockdep the same is some ten times slower.
case $KVER in
*-debug|6.12.117)	export DIRS=${DIRS:-20} WIDE=${WIDE:-20} ;;
esac
tap many "$MNT" "$SLABS"
check "nothing is left of it" eval '! grep -q " - datafs " /proc/self/mountinfo'
finish
