#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 cpus=1 mem=2048 disk=3G timeout=2400
#
# How often the daemon and the source are asked: bounds that hold whatever the
# machine's speed. 20-counts.sh [MIB]: the size of the large files

. "$DATAFS_TOP/tests/vm/lib.sh"

PAGE=65536
MIB=${1:-256}
CACHE_SIZE=$((2 * MIB))M
SIZE=$((MIB << 20))
MOST=$((MIB / 4))	# data upcalls: one for 4 MiB

extents()
{
	stat_of requests_extent
}

# delta NAME BEFORE
delta()
{
	echo $(($(stat_of "$1") - $2))
}

load
check "a file of $MIB MiB" gen "$SRC/one" "${MIB}m" 1 || finish
check "the same again" eval 'cp --reflink=never "$SRC/one" "$SRC/two"'
check "files of 64 MiB" eval 'gen "$SRC/m1" 64m 1 && gen "$SRC/m2" 64m 2 && gen "$SRC/m3" 64m 3'
mkdir -p "$SRC/tree"
check "a small tree" cp -r /usr/include/linux "$SRC/tree"
drop_all
check "mount" mnt "$SRC" "$MNT" "sync_interval=never,page_size=$PAGE" || finish

# 1,000 of 65,536 blocks or more.
bytes=$(stat_of under_bytes)
check "1,000 random blocks of a cold file" randread -n 1000 "$SRC/two" "$MNT/two"
bytes=$(delta under_bytes "$bytes")
count_is "fetch at most 1,000 pages" "$bytes" -le $((1000 * PAGE))
count_is "and no fewer bytes than were read" "$bytes" -ge $((1000 * 4096))

before=$(extents) bytes=$(stat_of under_bytes)
check "a cold file of $MIB MiB in order" cmp "$SRC/one" "$MNT/one"
count_is "at most $MOST data upcalls" $(($(extents) - before)) -le $MOST
count_is "each byte comes from the source once" "$(delta under_bytes "$bytes")" -eq $SIZE

drop_pages
before=$(extents) bytes=$(stat_of under_bytes)
check "the page cache dropped" dd if="$MNT/one" of=/dev/null bs=64k
count_is "no data upcall" $(($(extents) - before)) -eq 0
drop_pages
check "the same by O_DIRECT" dd if="$MNT/one" of=/dev/null bs=1M iflag=direct
count_is "no data upcall" $(($(extents) - before)) -eq 0
count_is "no byte from the source" "$(delta under_bytes "$bytes")" -eq 0
check "unmount" umnt "$MNT"

# The kernel knows nothing, the daemon's cache has it.
check "mount again" mnt "$SRC" "$MNT" "sync_interval=never,page_size=$PAGE"
drop_all
before=$(extents)
check "$MIB MiB, warm, by 64 KiB" dd if="$MNT/one" of=/dev/null bs=64k
count_is "at most $MOST data upcalls" $(($(extents) - before)) -le $MOST
count_is "no byte from the source" "$(stat_of under_bytes)" -eq 0
check "unmount" umnt "$MNT"

forget_cache
check "mount, cold" mnt "$SRC" "$MNT" "sync_interval=never,page_size=$PAGE"
drop_all
before=$(extents)
check "$MIB MiB, cold, by 64 KiB" dd if="$MNT/one" of=/dev/null bs=64k
count_is "at most $MOST data upcalls" $(($(extents) - before)) -le $MOST
before=$(extents)
check "64 MiB, cold, by 5,000 bytes" dd if="$MNT/m1" of=/dev/null bs=5000
count_is "at most 16 data upcalls" $(($(extents) - before)) -le 16
before=$(extents)
check "64 MiB, cold, by O_DIRECT" dd if="$MNT/m2" of=/dev/null bs=1M iflag=direct
count_is "at most 16 data upcalls" $(($(extents) - before)) -le 16

bytes=$(stat_of under_bytes)
eight_readers()
{
	local i pids=

	for i in 1 2 3 4 5 6 7 8; do
		cmp "$SRC/m3" "$MNT/m3" &
		pids="$pids $!"
	done
	for i in $pids; do
		wait "$i" || return 1
	done
}
check "8 readers of one cold file" eight_readers
count_is "each byte comes from the source once" "$(delta under_bytes "$bytes")" \
	-eq $((64 << 20))

upcalls()
{
	# datafs(1) itself asks statfs(2) which of its mounts is meant.
	datafs stats "$MNT" | awk '$1 ~ /^requests_/ &&
		$1 != "requests_readdir" && $1 != "requests_statfs" { n += $2 }
		END { print n }'
}
check "find, cold" eval 'find "$MNT/tree" -type f -size +0 > /tmp/found'
count_is "finds files" "$(wc -l < /tmp/found)" -gt 100
before=$(upcalls) listings=$(stat_of requests_readdir)
check "find, warm" eval 'find "$MNT/tree" -type f -size +0 | cmp - /tmp/found'
check "ls -lR, warm" eval 'ls -lR "$MNT/tree" > /dev/null'
count_is "no upcall but listings" $(($(upcalls) - before)) -eq 0
# One for each directory and pass; a large one takes two.
count_is "few for a directory listed" $(($(stat_of requests_readdir) - listings)) \
	-le $((3 * $(find "$SRC/tree" -type d | wc -l)))
absent()
{
	local i

	for i in $(seq 100); do
		[ ! -e "$MNT/no/$((i % 10))" ] || return 1
	done
}
before=$(upcalls)
check "names that are not there" absent
count_is "make one upcall" $(($(upcalls) - before)) -le 1
check "unmount" umnt "$MNT"
finish
