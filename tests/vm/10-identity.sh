#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 cpus=1 mem=2048 disk=4G timeout=2400 trees
#
# Every byte of real trees, by every way of reading, with 8 readers at once;
# with a cache smaller than the data; after a restart of the daemon.

. "$DATAFS_TOP/tests/vm/lib.sh"

BIG=$SRC/linux-source.tar.xz

# The host's files, on the guest's disk: 9p is slow and has no real times. As one
# stream, if scripts/check has packed them.
make_tree()
{
	local trees=$DATAFS_TOP/build/vm/trees.tar tarball

	mkdir -p "$SRC"
	if [ -e "$trees" ]; then
		tar -C "$SRC" -xf "$trees" || return 1
	else
		tar -C /usr -cf - include share/doc | tar -C "$SRC" -xf - || return 1
	fi
	tarball=$(find /usr/src -maxdepth 1 -name 'linux-source-*.tar.xz' | head -n 1)
	if [ -n "$tarball" ]; then
		cp "$tarball" "$BIG"
	else
		gen "$BIG" 150m 1
	fi
}

check "real trees to read" make_tree || finish
du -sm "$SRC" | sed 's/^/# /'
load

CACHE_SIZE=1G
check "mount" mnt "$SRC" "$MNT" sync_interval=never || finish
check "cold, every file in every way, 8 readers" verify -m every -t 8 -b "$MNT/${BIG##*/}" "$SRC" "$MNT"
is "no checksum failed" "$(stat_of crc_errors)" -eq 0
check "unmount, and the daemon ends" umnt "$MNT"

check "mount again" mnt "$SRC" "$MNT"
check "warm after a restart, 8 readers" verify -m mixed -t 8 -b "$MNT/${BIG##*/}" "$SRC" "$MNT"
count_is "no byte from the source" "$(stat_of under_bytes)" -eq 0
check "unmount" umnt "$MNT"

# The tree has 170 MB or more: what is read is evicted for what comes.
forget_cache
CACHE_SIZE=128M
check "mount with a cache smaller than the data" mnt "$SRC" "$MNT"
check "by mixed ways, 8 readers" verify -m mixed -t 8 -b "$MNT/${BIG##*/}" "$SRC" "$MNT"
count_is "slots were evicted" "$(stat_of cache_evicted_slots)" -gt 0
count_is "the kernel was told" "$(stat_of cache_revokes)" -gt 0
count_is "and forgot extents" "$(stat_of extents_revoked)" -gt 0
drop_pages
check "once more, by mmap" verify -m mmap -t 8 "$BIG" "$MNT/${BIG##*/}"
is "no checksum failed" "$(stat_of crc_errors)" -eq 0
check "unmount" umnt "$MNT"

finish
