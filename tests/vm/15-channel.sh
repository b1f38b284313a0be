#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=2048 disk=2G timeout=2400
#
# The channel with daemons that keep no rule: device.c (the device, names,
# backing files), channel.c (requests, the control socket), astray.c (directories
# that are not where they belong), lease.c, leased.c (until when answers are used),
# listed.c (listings that are kept) and
# extents.c (data upcalls, revocation) speak to the module directly, and every
# answer that it should refuse is refused.

. "$DATAFS_TOP/tests/vm/lib.sh"

load
# Under KASAN and lockdep the same is some ten times slower.
case $KVER in
*-debug|6.12.117)	rounds=20 ;;
*)			rounds=100 ;;
esac
tap device "$MNT" "$DISK"
ROUNDS=$rounds tap channel "$MNT"
tap astray "$MNT"
tap lease "$MNT"
tap leased "$MNT"
tap listed "$MNT"
# A disk whose I/O can be made to stand still.
slow_disk()
{
	local loop

	truncate -s 64M "$DISK/dm.img" &&
	loop=$(losetup -f --show "$DISK/dm.img") &&
	echo "0 $((64 * 2048)) linear $loop 0" |
		dmsetup --noudevrules --noudevsync create slow &&
	dmsetup mknodes && mkdir -p /mnt/slow &&
	mkfs.ext4 -q -O ^has_journal /dev/mapper/slow &&
	mount -o noatime /dev/mapper/slow /mnt/slow
}
modprobe -q dm_mod
modprobe -q loop
check "a disk that can stand still" slow_disk &&
	tap extents "$MNT" /mnt/slow slow && tap takeover "$MNT" /mnt/slow slow
umount /mnt/slow
dmsetup --noudevrules --noudevsync remove slow
losetup -D
check "nothing is left of it" eval '! grep -q " - datafs " /proc/self/mountinfo'
finish
