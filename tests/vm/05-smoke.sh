#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1,6.12 long=debug mem=2048 disk=2G timeout=1500
#
# Load, mount, read a small tree in every way, unmount, unload.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M

make_tree()
{
	mkdir -p "$SRC/a/b/c" "$SRC/empty-dir" &&
	cp /usr/include/linux/[a-d]*.h "$SRC/a/b" &&
	gen "$SRC/big" 9m 1 &&
	gen "$SRC/odd" 70001 2 &&
	: > "$SRC/nothing" &&
	ln -s a/b/c "$SRC/link" &&
	ln -s /nowhere/at/all "$SRC/dangling" &&
	setfattr -n user.colour -v blue "$SRC/odd" &&
	setfattr -n user.colour -v green "$SRC/a" &&
	ln "$SRC/odd" "$SRC/a/hard"
}

slab_objects()
{
	awk '$1 ~ /^datafs/ { n += $2 } END { print n + 0 }' /proc/slabinfo
}

kmemleak_clean()
{
	# Twice: the first scan may see what is only just being freed.
	echo scan > /sys/kernel/debug/kmemleak && sleep 6 &&
	echo scan > /sys/kernel/debug/kmemleak &&
	cat /sys/kernel/debug/kmemleak && ! grep -q datafs /sys/kernel/debug/kmemleak
}

check "a tree to read" make_tree || finish
load
check "mount" mnt "$SRC" "$MNT" || finish
check "it is one" mounted "$MNT"
count_is "one daemon" "$(daemons | wc -l)" -eq 1
is "statfs knows it" "$(stat -fc %t "$MNT")" = 44617461
for mode in read mmap direct unaligned; do
	check "the tree by $mode" verify -m $mode -s 1 "$SRC" "$MNT"
done
check "the tree by O_DIRECT into a mapping" verify -m mapped -b "$MNT/big" -s 1 "$SRC" "$MNT"
drop_all
check "caches dropped" verify -m mixed -t 4 -b "$MNT/big" "$SRC" "$MNT"
is "an extended attribute" "$(getfattr --absolute-names --only-values -n user.colour "$MNT/odd")" = blue
is "one of a directory" "$(getfattr --absolute-names --only-values -n user.colour "$MNT/a")" = green
is "a dangling link" "$(readlink "$MNT/dangling")" = /nowhere/at/all
check "no such file" test ! -e "$MNT/none"
check "it cannot be written" eval '! touch "$MNT/new" 2> /tmp/err && grep -q Read-only /tmp/err'
check "datafs status names it" eval 'datafs status | grep -q "$SRC $MNT\$"'
check "unmount, and the daemon ends" umnt "$MNT"

check "mount again" mnt "$SRC" "$MNT"
check "warm" verify -m mixed -t 2 "$SRC" "$MNT"
count_is "no byte from the source" "$(stat_of under_bytes)" -eq 0
check "unmount" umnt "$MNT"

if [ -e /sys/kernel/debug/kmemleak ]; then
	check "nothing leaked" kmemleak_clean
fi
check "the module unloads" rmmod datafs
is "no slab cache is left" "$(slab_objects)" -eq 0
check "nor a device" test ! -e /dev/datafs

# As a system has it: mount(8) has the module loaded. An index of all modules
# (depmod) would take minutes here.
echo "install datafs insmod $KO" > /etc/modprobe.d/datafs.conf
is "the module's alias" "$(modinfo -F alias "$KO" | grep fs-)" = fs-datafs
check "mount(8) loads the module" mnt "$SRC" "$MNT"
check "and it reads" cmp "$SRC/odd" "$MNT/odd"
check "unmount" umnt "$MNT"
finish
