#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1 long=6.12 cpus=1 mem=2048 disk=3G timeout=2400
#
# What is wrong is refused in one clear line, and what is damaged is noticed.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=256M

# fails STATUS NAME PATTERN COMMAND...: with one line on stderr that matches
fails()
{
	local want=$1 name=$2 pattern=$3 status

	shift 3
	"$@" > /dev/null 2> $OUT
	status=$?
	if [ $status -ne "$want" ]; then
		not_ok "$name: status $status, expected $want" $OUT
	elif [ "$(wc -l < $OUT)" -ne 1 ]; then
		not_ok "$name: one line expected" $OUT
	elif ! grep -Eqe "$pattern" $OUT; then
		not_ok "$name: /$pattern/ expected" $OUT
	else
		ok "$name: $(cat $OUT)"
	fi
}

# Mounts that start at once, of a daemon that cannot: each has an end of its own.
all_fail()
{
	local i pids=() status

	for i in 1 2 3 4; do
		mkdir -p "$MNT$i"
		timeout -k 1 100 mount -t datafs -o "$1" "$SRC" "$MNT$i" > "/tmp/fail.$i" 2>&1 &
		pids+=($!)
	done
	for i in 1 2 3 4; do
		wait "${pids[i - 1]}"
		status=$?
		[ "$status" -eq 32 ] || { echo "mount $i: status $status"; cat "/tmp/fail.$i"; return 1; }
	done
}

log_says()
{
	grep -Eqe "$1" /run/datafs/default.log
}

load
gen "$SRC/file" 5m 1
gen "$SRC/small" 9000 2
mkdir -p "$SRC/sub" "$SRC/here"

fails 32 "an unknown mount option" "frobnicate.*Invalid argument" \
	mnt "$SRC" "$MNT" frobnicate=1
fails 32 "a bad value" "verify.*Invalid argument" mnt "$SRC" "$MNT" verify=sometimes
fails 32 "a bad interval" "Invalid argument" mnt "$SRC" "$MNT" sync_interval=soon
fails 32 "a bad page size" "Invalid argument" mnt "$SRC" "$MNT" page_size=3000
fails 1 "a bad instance" "instance=a/b.*Invalid argument" \
	mnt "$SRC" "$MNT" instance=a/b
fails 1 "a hidden instance" "instance=\.a.*dot.*Invalid argument" mnt "$SRC" "$MNT" instance=.a
fails 1 "a bad size" "cache_size=lots.*Invalid argument" mnt "$SRC" "$MNT" cache_size=lots
fails 32 "a missing source" "No such file or directory" mnt /mnt/disk/none "$MNT"
fails 32 "a source that is a file" "Not a directory" mnt "$SRC/file" "$MNT"
fails 32 "a source that contains the mount point" \
	"contains the mount point.*Too many levels" \
	mnt "$SRC" "$SRC/here"
fails 32 "a mount on itself" "is the mount point.*Too many levels" mnt "$SRC" "$SRC"
fails 32 "a missing mount point" "No such file|does not exist" \
	mount -t datafs "$SRC" /mnt/nowhere
fails 32 "an unknown kind of source" "[Pp]rotocol not supported" mnt gopher://x/y "$MNT"
fails 1 "a user who is not root" "root" setpriv --reuid 65534 --clear-groups \
	mount.datafs "$SRC" "$MNT"

mkdir -p "$DISK/ro"
mount --bind "$DISK/ro" "$DISK/ro" && mount -o remount,bind,ro "$DISK/ro"
fails 32 "a cache directory that cannot be written" "Read-only" mnt "$SRC" "$MNT" cache="$DISK/ro"
umount "$DISK/ro"
fails 32 "a cache directory that is a file" "Not a directory|not a directory" \
	mnt "$SRC" "$MNT" cache="$SRC/file"
fails 32 "a cache that is too small" "too small|at least|smaller" mnt "$SRC" "$MNT" \
	cache="$DISK/tiny",cache_size=1M

modprobe -q loop
mkdir -p "$DISK/full"
# Without extents nothing can be allocated ahead: that there is no room is found out
# late, when others have begun to count on the daemon.
truncate -s 60M "$DISK/full.img"
check "a small disk" eval 'mkfs.ext4 -q -m 0 -O ^extent,^64bit,^has_journal "$DISK/full.img" &&
	mount -o loop "$DISK/full.img" "$DISK/full"'
fails 32 "a cache on a full disk" "No space left|no room|too small" mnt "$SRC" "$MNT" \
	cache="$DISK/full/cache"
check "none of several at once waits for it" all_fail "cache=$DISK/full/cache,cache_size=$CACHE_SIZE"
check "nor for a cache that is too small" all_fail "cache=$DISK/tiny,cache_size=1M"
umount "$DISK/full"
truncate -s 220M "$DISK/full.img"
check "a disk with room for some slabs" \
	eval 'mkfs.ext4 -q -F "$DISK/full.img" && mount -o loop "$DISK/full.img" "$DISK/full"'
check "a cache that does not fit works with what there is" \
	mnt "$SRC" "$MNT" cache="$DISK/full/cache",cache_size=1G
check "and reads" verify -m mixed -t 4 "$SRC" "$MNT"
check "more than it has room for" eval 'gen "$SRC/more" 300m 9 && cmp "$SRC/more" "$MNT/more"'
check "and says so in the log" log_says "No space left|no room|slabs"
rm "$SRC/more"
check "unmount" umnt "$MNT"
check "the small disk is free" umount "$DISK/full"
check "refused mounts leave no daemon" until_true 40 no_daemon

# --- a cache that is damaged
check "mount" mnt "$SRC" "$MNT" sync_interval=never || finish
check "read" verify -m read "$SRC" "$MNT"

# damage WHAT MODE-COMMAND...: blocks 100 to 104 of the file
damage()
{
	local name=$1 n before bad

	shift
	drop_pages
	n=$(corrupt "$SRC/file" 100 5 "$STORE"/slabs/*)
	is "$name: blocks damaged in the cache" "$n" -ge 5
	before=$(stat_of crc_errors) bad=$(stat_of cache_bad_granules)
	tap "$@"
	is "$name: counted by the kernel" $(($(stat_of crc_errors) - before)) -ge 1
	is "$name: and by the daemon" $(($(stat_of cache_bad_granules) - bad)) -ge 1
	drop_pages
	before=$(stat_of crc_errors)
	check "$name: mended" cmp "$SRC/file" "$MNT/file"
	is "$name: no more errors" $(($(stat_of crc_errors) - before)) -eq 0
}

damage "read" check "read: the right bytes" cmp "$SRC/file" "$MNT/file"
damage "mmap" check "mmap: the right bytes" verify -m mmap "$SRC/file" "$MNT/file"
damage "O_DIRECT" check "O_DIRECT: the right bytes" verify -m direct "$SRC/file" "$MNT/file"
damage "unaligned" check "unaligned: the right bytes" verify -m unaligned "$SRC/file" "$MNT/file"
damage "io_uring" reads "$SRC/file" "$MNT/file" $OUT.reads uring
damage "io_uring, O_DIRECT" reads "$SRC/file" "$MNT/file" $OUT.reads direct-uring
damage "aio, O_DIRECT" reads "$SRC/file" "$MNT/file" $OUT.reads aio
damage "splice" reads "$SRC/file" "$MNT/file" $OUT.reads splice
drop_pages
n=$(corrupt "$SRC/small" 0 2 "$STORE"/slabs/*)
is "a packed file: damaged" "$n" -ge 2
check "a packed file: the right bytes" cmp "$SRC/small" "$MNT/small"
check "unmount" umnt "$MNT"

# Damaged while nobody looked.
n=$(corrupt "$SRC/file" 200 5 "$STORE"/slabs/*)
is "damaged while unmounted" "$n" -ge 5
check "mount" mnt "$SRC" "$MNT" sync_interval=never
check "the right bytes" cmp "$SRC/file" "$MNT/file"
count_is "counted" "$(stat_of crc_errors)" -ge 1
check "unmount" umnt "$MNT"

check "mount with verify=first" mnt "$SRC" "$MNT" sync_interval=never,verify=first
check "read" cmp "$SRC/file" "$MNT/file"
drop_pages
n=$(corrupt "$SRC/file" 300 5 "$STORE"/slabs/*)
check "nothing is checked twice" eval '! cmp "$SRC/file" "$MNT/file"'
check "unmount" umnt "$MNT"
check "mount with verify=never" mnt "$SRC" "$MNT" sync_interval=never,verify=never
check "nothing is checked" eval '! cmp "$SRC/file" "$MNT/file"'
check "remount with verify=always" mount -o remount,verify=always "$MNT"
drop_pages
check "the right bytes" cmp "$SRC/file" "$MNT/file"
check "unmount" umnt "$MNT"

# scribble DIR: over every file of a LevelDB
scribble()
{
	local f size

	for f in "$1"/*; do
		[ -f "$f" ] || continue
		size=$(stat -c %s "$f")
		head -c $((size + 100)) /dev/urandom > "$f"
	done
}
for what in index meta; do
	: > /run/datafs/default.log
	check "$what: there is one" test -e "$STORE/$what/CURRENT"
	scribble "$STORE/$what"
	check "a damaged $what: mount" mnt "$SRC" "$MNT"
	check "a damaged $what: the right bytes" verify -m mixed -t 2 "$SRC" "$MNT"
	check "a damaged $what: said in the log" log_says "$what"
	is "and nothing of the old cache is believed" "$(stat_of under_bytes)" -gt 0
	check "unmount" umnt "$MNT"
done

# --- a cache disk that fails
fail_disk()
{
	local loop

	truncate -s 300M "$DISK/dm.img" &&
	loop=$(losetup -f --show "$DISK/dm.img") &&
	echo "0 $((300 * 2048)) linear $loop 0" > /tmp/dm.good &&
	echo "0 $((300 * 2048)) error" > /tmp/dm.bad &&
	dmsetup --noudevrules --noudevsync create cachedisk < /tmp/dm.good &&
	dmsetup mknodes &&
	mkfs.ext4 -q -O ^has_journal /dev/mapper/cachedisk &&
	forget_cache && mkdir -p "$STORE/slabs" &&
	mount -o noatime /dev/mapper/cachedisk "$STORE/slabs"
}
# Without flushing: the disk is bad from one moment to the next.
table()
{
	dmsetup suspend --noflush --nolockfs cachedisk && dmsetup load cachedisk < "/tmp/dm.$1" &&
		dmsetup --noudevrules --noudevsync resume cachedisk
}
modprobe -q dm_mod
modprobe -q loop
if check "a cache disk of its own" fail_disk; then
	check "mount" mnt "$SRC" "$MNT" sync_interval=never,cache_size=128M
	check "read" cmp "$SRC/file" "$MNT/file"
	drop_pages
	check "the disk fails" table bad
	cat "$MNT/file" > /tmp/got 2> /tmp/err
	check "a read fails with EIO or has the right bytes" \
		eval 'grep -q "Input/output error" /tmp/err || cmp /tmp/got "$SRC/file"'
	check "the disk is back" table good
	check "the right bytes" cmp "$SRC/file" "$MNT/file"
	check "unmount" umnt "$MNT"
	check "the disk is free" umount "$STORE/slabs"
	dmsetup --noudevrules --noudevsync remove cachedisk
	losetup -D
fi
forget_cache

# --- a second daemon, other versions, other people
check "mount" mnt "$SRC" "$MNT"
fails 1 "a second daemon of the name" "second daemon of the same name" \
	datafsd --name default --cache-dir "$DISK/cache2" --cache-size 128M
fails 2 "an unknown option of the daemon" "frobnicate" datafsd --frobnicate
fails 1 "the device without privilege" "Permission denied" \
	setpriv --reuid 65534 --clear-groups dd if=/dev/datafs of=/dev/null status=none
chmod 666 /dev/datafs
fails 1 "the device without CAP_SYS_ADMIN" "Operation not permitted" \
	setpriv --reuid 65534 --clear-groups dd if=/dev/datafs of=/dev/null status=none
chmod 600 /dev/datafs
fails 32 "a mount on another of itself" "is on datafs itself.*Too many levels" \
	mnt "$MNT" "$DISK/ro"
dmesg -c >> /tmp/dmesg
tap userns "$MNT"
dmesg | tee -a /tmp/dmesg > /tmp/dmesg.userns
is "the kernel's log says why, in one line" \
	"$(grep -c 'a mount by a user namespace is refused' /tmp/dmesg.userns)" -eq 1
check "it still reads" cmp "$SRC/small" "$MNT/small"
check "unmount" umnt "$MNT"
dmesg -c >> /tmp/dmesg
tap hello
dmesg | tee -a /tmp/dmesg > /tmp/dmesg.hello
minor=$(awk '$2 == "DATAFS_ABI_MINOR" { print $3 }' "$DATAFS_TOP/proto/datafs_abi.h")
is "the kernel's log names both versions, in one line" \
	"$(grep -c "datafs: .*version 2\.$minor .*module 1\.$minor" /tmp/dmesg.hello)" -eq 1
finish
