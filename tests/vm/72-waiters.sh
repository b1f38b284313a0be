#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=1536 disk=2G timeout=1800
#
# Whoever waits for a daemon can be ended, whatever it waits for: by SIGKILL, by
# umount -f, by abort; and does not keep the machine from going to sleep. What
# happens to a file meanwhile is no hang either.

. "$DATAFS_TOP/tests/vm/lib.sh"

CALLERS=5

make_tree()
{
	make_callers "$CALLERS" "$SRC" && gen "$SRC/shrinks" 1m 3 && gen "$SRC/goes" 1m 4 &&
	gen "$SRC/stays" 1m 5 && gen "$SRC/damaged" 8m 6 && cp "$SRC/shrinks" "$SRC/goes" /run
}

# waiters HOW, with the daemon that there is; the mounts of its callers go again
ended_by()
{
	local m

	tap waiters "$1" default "$(daemons)" "$STORE" "$MNT" "$CALLERS"
	for m in /mnt/more* /mnt/none*; do
		! mounted "$m" || umount "$m"
	done
	is "$1: only the one mount is left" "$(grep -c ' - datafs ' /proc/self/mountinfo)" -eq 1
}

another_daemon()
{
	kill -KILL "$(daemons)"
	until_true 60 eval '[ "$(cat /sys/fs/datafs/*/state)" = LIVE ]'
}

# waiter FILE: reads in the background, from a file that is open; its output in OUT.FILE
waiter()
{
	exec {fd}< "$MNT/$1"
	cat <&"$fd" > "/run/out.$1" 2> "/run/err.$1" &
	readers[$1]=$!
	exec {fd}<&-
}

waits()
{
	[ "$(cat /sys/fs/datafs/*/requests_pending/extent /sys/fs/datafs/*/requests_sent/extent |
		paste -sd+ | bc)" -ge "$1" ]
}

load
check "a tree" make_tree
check "mount" mnt "$SRC" "$MNT" sync_interval=3600
check "read" verify -m mixed "$SRC" "$MNT"
ended_by kill
ended_by force
ended_by abort
is "ABORTED" "$(cat /sys/fs/datafs/*/state)" = ABORTED
check "another daemon revives it" another_daemon
if grep -qs freeze /sys/power/state && [ -e /sys/power/pm_test ]; then
	ended_by suspend
else
	skip "suspend" "this kernel cannot"
fi
check "all is right" verify -m mixed "$SRC" "$MNT"

# --- beside readers that wait: their files shrink, go, are evicted; lazy umount
declare -A readers
drop_all
for f in shrinks goes stays; do
	stat "$MNT/$f" > /dev/null
done
kill -STOP "$(daemons)"
for f in shrinks goes stays; do
	waiter $f
done
check "three readers wait for data" until_true 30 waits 3
truncate -s 5000 "$SRC/shrinks"
rm "$SRC/goes"
check "caches can be dropped" timeout 60 bash -c 'echo 3 > /proc/sys/vm/drop_caches'
# umount(2): umount(8) asks the daemon for statfs(2) first, unless it has -f or -l
is "a umount is refused: EBUSY" "$(python3 -c 'import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
print(libc.umount2(sys.argv[1].encode(), 0) and ctypes.get_errno())' "$MNT")" -eq 16
kill -CONT "$(daemons)"
for f in shrinks goes stays; do
	wait "${readers[$f]}"
	status=$?
	# what the source no longer has can be ESTALE, and is never a blend
	case $f.$status in
	stays.0)	check "the one that stays is right" cmp "$SRC/stays" /run/out.stays ;;
	shrinks.0)	check "the one that shrinks: old or new, and whole" eval \
				'cmp "$SRC/shrinks" /run/out.shrinks ||
				 cmp /run/shrinks /run/out.shrinks' ;;
	goes.0)		check "the one that goes: whole" cmp /run/goes /run/out.goes ;;
	*)		check "$f: ESTALE" grep -q "Stale" "/run/err.$f" ;;
	esac
done
# --- O_DIRECT that nobody waits for, after a checksum that does not match
check "a file is cached" cmp "$SRC/damaged" "$MNT/damaged"
kill -STOP "$(daemons)"
is "blocks of it are damaged" "$(corrupt "$SRC/damaged" 3 2 "$STORE"/slabs/*)" -ge 1
reads "$SRC/damaged" "$MNT/damaged" "$OUT.reads" aio > /run/aio.out &
aio=$!
check "its reader waits" until_true 30 eval \
	'[ "$(cat /sys/fs/datafs/*/requests_pending/bad_extent /sys/fs/datafs/*/requests_sent/bad_extent |
		paste -sd+ | bc)" -ge 1 ]'
kill -KILL $aio
check "it can be killed" until_true 30 eval "! kill -0 $aio"
wait $aio 2> /dev/null
kill -CONT "$(daemons)"
check "the next one reads" reads "$SRC/damaged" "$MNT/damaged" "$OUT.reads" aio

kill -STOP "$(daemons)"
drop_pages
echo 2 > "$(find /sys/fs/datafs -name drop_caches)"
waiter stays
check "a reader waits" until_true 30 waits 1
daemon=$(daemons)
check "umount -l does not wait" timeout 60 umount -l "$MNT"
kill -KILL "${readers[stays]}"
wait "${readers[stays]}" 2> /dev/null
kill -CONT "$daemon"
check "the mount ends with its last reader" until_true 30 eval \
	'[ -z "$(find /sys/fs/datafs -maxdepth 1 -name "[0-9]*")" ]'
finish
