#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 mem=2048 disk=2G timeout=2400
#
# Mounts, daemons and the module come and go, and leave nothing.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=128M
RACES=${DATAFS_RACES:-20}

use()
{
	verify -m mixed -t 2 "$SRC" "$MNT" && find "$MNT" -ls > /dev/null &&
		getfattr -d -m . -R "$MNT" > /dev/null
}

cp -r /usr/include/linux/can "$SRC-small" 2> /dev/null || mkdir -p "$SRC-small"
mkdir -p "$SRC"
cp -r "$SRC-small" "$SRC/can"
gen "$SRC/file" 3m 1
ln -s file "$SRC/link"
load

# --- who keeps the daemon
check "mount" mnt "$SRC" "$MNT"
pid=$(daemons)
check "mount a second" mnt "$SRC/can" /mnt/m2
is "the same daemon" "$(daemons)" = "$pid"
check "mount the first source once more" mnt "$SRC" /mnt/m3
is "the same daemon" "$(daemons)" = "$pid"
check "all three read" eval 'cmp "$SRC/file" "$MNT/file" && cmp "$SRC/file" /mnt/m3/file &&
	verify /mnt/disk/src/can /mnt/m2'
check "unmount the first" umount "$MNT"
check "unmount the third" umount /mnt/m3
sleep 2
is "the daemon stays" "$(daemons)" = "$pid"
check "what is left reads" verify -m mixed "$SRC/can" /mnt/m2
check "unmount the last: the daemon ends" umnt /mnt/m2

check "another instance" mnt "$SRC" "$MNT" instance=second,cache="$DISK/cache2"
check "beside the first" mnt "$SRC" /mnt/m2
count_is "two daemons" "$(daemons | wc -l)" -eq 2
check "one ends" eval 'umount "$MNT" && until_true 30 no_daemon second'
count_is "the other does not" "$(daemons | wc -l)" -eq 1
check "and reads" cmp "$SRC/file" /mnt/m2/file
check "unmount" umnt /mnt/m2

check "mount" mnt "$SRC" "$MNT"
exec 7< "$MNT/file"
check "busy: a plain umount is refused" eval '! umount "$MNT" 2> /dev/null'
pid=$(daemons)
check "a lazy one is not" umount -l "$MNT"
sleep 2
is "the daemon stays while a file is open" "$(daemons)" = "$pid"
check "which reads" cmp "$SRC/file" /proc/self/fd/7
check "mount again meanwhile" mnt "$SRC" "$MNT"
is "the same daemon" "$(daemons)" = "$pid"
exec 7<&-
check "and closed: the mount is still served" cmp "$SRC/file" "$MNT/file"
check "unmount: the daemon ends" umnt "$MNT"

check "mount" mnt "$SRC" "$MNT"
exec 7< "$MNT/file"
check "lazy" umount -l "$MNT"
exec 7<&-
check "the daemon ends when the file is closed" until_true 30 no_daemon

check "mount" mnt "$SRC" "$MNT"
check "read" cmp "$SRC/file" "$MNT/file"
check "forced" umount -f "$MNT"
check "the daemon ends" until_true 30 no_daemon

# --- fstab, options, remount
echo "$SRC $MNT datafs noauto,cache=$CACHE,cache_size=$CACHE_SIZE,sync_interval=5,_netdev 0 0" >> /etc/fstab
check "mount from fstab" mount "$MNT"
check "read" cmp "$SRC/file" "$MNT/file"
flags()
{
	awk -v dir="$MNT" '$2 == dir && $3 == "datafs" { print $4 }' /proc/mounts | cut -d, -f"$1"
}
is "ro, nosuid and nodev" "$(flags 1-3)" = ro,nosuid,nodev
check "its options are shown" eval 'grep " $MNT datafs " /proc/mounts | grep -q "sync_interval=5"'
check "remount noexec" mount -o remount,noexec "$MNT"
is "noexec as well" "$(flags 1-4)" = ro,nosuid,nodev,noexec
check "remount rw does not make it writable" \
	eval 'mount -o remount,rw "$MNT"; ! touch "$MNT/x" 2> /dev/null'
check "unmount" umnt "$MNT"

# --- the daemon dies, and has a successor
check "mount" mnt "$SRC" "$MNT"
check "read" use
pid=$(daemons)
kill -KILL "$pid"
another()
{
	local now

	now=$(daemons)
	[ -n "$now" ] && [ "$now" != "$1" ]
}
check "killed, it is started again" until_true 30 another "$pid"
check "and serves the mount" eval 'drop_all && use'
count_is "without asking the source for a byte" "$(stat_of under_bytes)" -eq 0
check "unmount: it ends" umnt "$MNT"
check "and so does who started it again" until_true 10 no_guard

# --- the daemon dies for good
check "mount" mnt "$SRC" "$MNT" sync_interval=1
check "read" use
kill_for_good
check "the daemon is dead" until_true 10 no_daemon
sleep 2
check "what is known is found, long after it expired" \
	eval '[ "$(stat -c %s "$MNT/file")" = "$(stat -c %s "$SRC/file")" ]'
check "what is cached reads" cmp "$SRC/file" "$MNT/file"
drop_pages
check "and from the cache's disk" cmp "$SRC/file" "$MNT/file"
check "unmount" umount "$MNT"
check "mount again" mnt "$SRC" "$MNT"
check "warm" eval 'use && [ "$(stat_of under_bytes)" -eq 0 ]'
kill_for_good
check "the daemon is dead again" until_true 10 no_daemon
drop_all
# Somebody waits for a daemon; umount -f ends that.
cat "$MNT/can/bcm.h" > /dev/null 2>&1 &
waiter=$!
sleep 1
check "a reader without a daemon waits" kill -0 $waiter
umount -f "$MNT" 2> /dev/null || umount -l "$MNT"
check "umount -f ends its wait" eval 'wait $waiter; [ $? -ne 127 ]'
mounted "$MNT" && umount "$MNT"
check "mount again" mnt "$SRC" "$MNT"
pid=$(daemons)
kill -STOP "$pid"
drop_all
cat "$MNT/can/gw.h" > /dev/null 2>&1 &
waiter=$!
sleep 1
kill -KILL $waiter
check "a waiter can be killed" until_true 10 eval '! kill -0 $waiter 2> /dev/null'
kill -CONT "$pid"
check "and the mount goes on" verify -m mixed "$SRC" "$MNT"
check "unmount" umnt "$MNT"

# --- races
race()
{
	local i

	for i in $(seq "$RACES"); do
		mnt "$SRC" "$1" > "/tmp/race.${1##*/}" 2>&1 || { echo "round $i"; cat "/tmp/race.${1##*/}"; return 1; }
		cat "$1/link" > /dev/null || return 1
		umount "$1" || return 1
	done
}
both()
{
	local a b status=0

	race /mnt/m2 &
	a=$!
	race /mnt/m3 &
	b=$!
	wait "$a" || status=1
	wait "$b" || status=1
	return "$status"
}
check "$RACES mounts racing with $RACES umounts" both
check "the daemon ends" until_true 60 no_daemon

# --- the module
check "mounted, the module does not unload" \
	eval 'mnt "$SRC" "$MNT" && ! rmmod datafs 2> /dev/null'
check "unmount" umnt "$MNT"
finish
