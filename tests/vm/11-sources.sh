#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1 long=6.12 cpus=1 mem=2048 disk=2G timeout=1800
#
# Sources on filesystems that are not local: 9p, which is slow and has poor
# times; NFS, whose client remembers what it has seen for some seconds.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M

load
check "mount what 9p has" mnt /usr/include/linux "$MNT"
check "by mixed ways" verify -n -m mixed -t 4 /usr/include/linux "$MNT"
check "unmount" umnt "$MNT"

if ! have_nfsd; then
	skip "NFS" "no nfsd here"
	finish
fi
mkdir -p "$SRC/linux" && cp /usr/include/linux/[a-f]*.h "$SRC/linux"
gen "$SRC/big" 9m 1
head -c 300000 /dev/zero | tr '\0' a > "$SRC/file"
if check "exported by nfsd and mounted" nfs_up "$SRC"; then
	check "mount it" mnt /mnt/nfs "$MNT" sync_interval=always
	check "by mixed ways" verify -n -m mixed -t 4 -b "$MNT/big" "$SRC" "$MNT"
	count_is "the bytes came from there" "$(stat_of under_bytes)" -gt 9000000
	# Both are changed behind the client's back, who believes for seconds.
	is "a file" "$(tr -d a < "$MNT/file" | wc -c)" -eq 0
	head -c 300000 /dev/zero | tr '\0' b > "$SRC/file"
	is "overwritten on the server: the new bytes" "$(tr -d b < "$MNT/file" | wc -c)" -eq 0
	check "a name that is not there" test ! -e "$MNT/late"
	: > "$SRC/late"
	check "made on the server: it is found" test -e "$MNT/late"
	rm "$SRC/late"
	check "removed on the server: it is gone" test ! -e "$MNT/late"
	check "generations by rename on the server" blend -g 25 -r 4 "$SRC" "$MNT"
	check "a file that grows on the server" blend -w append -g 25 -r 4 "$SRC" "$MNT"
	check "unmount" umnt "$MNT"
	check "mount again, warm" mnt /mnt/nfs "$MNT"
	check "by read" cmp "$SRC/big" "$MNT/big"
	count_is "no byte from there" "$(stat_of under_bytes)" -eq 0
	check "unmount" umnt "$MNT"
	check "NFS is down" nfs_down
fi
finish
