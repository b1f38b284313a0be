#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=2048 disk=1G timeout=900
#
# The VM world itself: what the other tests build upon.

failed=0
check()
{
	local name=$1

	shift
	if "$@" > /tmp/check.log 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		sed 's/^/# /' /tmp/check.log
		failed=1
	fi
}

arguments()
{
	[ $# -eq 3 ] && [ "$2" = "two words" ] && [ -z "$3" ]
}

direct_write()
{
	dd if=/dev/urandom of=/tmp/in bs=1M count=8 &&
	dd if=/tmp/in of=/mnt/disk/f bs=1M oflag=direct &&
	echo 3 > /proc/sys/vm/drop_caches &&
	dd if=/mnt/disk/f of=/tmp/back bs=64k iflag=direct &&
	cmp /tmp/in /tmp/back
}

modules()
{
	local m

	for m in fuse loop dm_mod crc32c_generic; do
		modprobe "$m" || return 1
	done
	# The debug kernel has none.
	[ ! -d "/lib/modules/$KVER/kernel" ] || modprobe nfsd || return 1
	grep -q '\<fuse$' /proc/filesystems
}

results()
{
	echo "$KVER" > /run/out/kver && [ "$(cat /run/out/kver)" = "$(uname -r)" ]
}

writable()
{
	local d

	for d in /etc /root /var /usr/local /usr/sbin /usr/lib/modules /tmp /mnt /run; do
		: > "$d/datafs-vm-test" && rm "$d/datafs-vm-test" || return 1
	done
}

host_is_read_only()
{
	! : > /run/host/datafs-vm-test
}

loopback()
{
	ip -4 addr show dev lo | grep -q 127.0.0.1 && ip link show lo | grep -q LOWER_UP
}

check "direct I/O on the disk" direct_write
check "in-tree modules load" modules
check "results reach the host" results
check "writable copies" writable
check "the host's root is read-only" host_is_read_only
check "the project is there" test -e "$DATAFS_TOP/scripts/vm"
check "loopback is up" loopback
[ ! -e /proc/self/ns/user ] || check "a user namespace can be made" unshare -Ur true
check "two processors" test "$(nproc)" -eq 2
check "arguments of a function" arguments a "two words" ""
exit $failed
