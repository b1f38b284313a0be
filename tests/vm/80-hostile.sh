#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=2048 disk=2G timeout=3000
#
# A daemon that answers in all wrong ways (prog/hostile.c), and programs that go on
# using its mount. The arguments are how many bad answers it gives, and the seed
# that says which. Where the kernel has fault injection, the same once more while
# allocations fail.

. "$DATAFS_TOP/tests/vm/lib.sh"

# Under KASAN and lockdep the same is some ten times slower.
case $KVER in
*-debug|6.12.117)	REPLIES=${1:-8000} WAYS=8 ;;
*)			REPLIES=${1:-20000} WAYS=1 ;;
esac
# Of those while allocations fail, which find theirs within thousands.
FAULTY=$((REPLIES / 4 < 5000 ? REPLIES / 4 : 5000))
SEED=${2:-}
SLABS=$DISK/slabs
DEBUGFS=/sys/kernel/debug

# fault NAME: one in so many allocations fails, of those programs that ask for it,
# and the kernel does not tell of each.
fault()
{
	local dir=$DEBUGFS/$1

	echo Y > "$dir/task-filter" && echo 1 > "$dir/probability" &&
	echo 3 > "$dir/interval" && echo -1 > "$dir/times" && echo 0 > "$dir/verbose" &&
	{ [ ! -e "$dir/ignore-gfp-wait" ] || echo N > "$dir/ignore-gfp-wait"; }
}

no_fault()
{
	echo 0 > "$DEBUGFS/$1/probability"
}

kmemleak_clean()
{
	# Twice: the first scan may see what is only just being freed.
	echo scan > "$DEBUGFS/kmemleak" && sleep 6 && echo scan > "$DEBUGFS/kmemleak" &&
	cat "$DEBUGFS/kmemleak" && ! grep -q datafs "$DEBUGFS/kmemleak"
}

mkdir -p "$SLABS"
mounted $DEBUGFS || mount -t debugfs debugfs $DEBUGFS
load
SEED=$SEED REPLIES=$REPLIES WAYS=$WAYS tap hostile "$MNT" "$SLABS"
check "nothing is left of it" eval '! grep -q " - datafs " /proc/self/mountinfo'

for f in failslab fail_page_alloc; do
	if [ ! -e $DEBUGFS/$f/probability ]; then
		skip "bad answers while allocations fail" "this kernel has no $f"
		continue
	fi
	check "$f is set" fault $f || continue
	FAULTS=1 SEED=$SEED REPLIES=$FAULTY tap hostile "$MNT" "$SLABS"
	no_fault $f
	check "nothing is left of it" eval '! grep -q " - datafs " /proc/self/mountinfo'
done

if [ -e $DEBUGFS/kmemleak ]; then
	check "nothing leaked" kmemleak_clean
fi
finish
