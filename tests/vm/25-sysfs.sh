#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug cpus=1 mem=1536 disk=2G timeout=1800
#
# /sys/fs/datafs: what is there is what its page says, values take effect at once,
# and bad ones are refused. The tables of debugfs, and tracepoints.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
PAGE=$DATAFS_TOP/Documentation/ABI/testing/sysfs-fs-datafs

make_tree()
{
	mkdir -p "$SRC/a" && gen "$SRC/big" 9m 1 && gen "$SRC/more" 1m 9 &&
	cp /usr/include/linux/can/*.h "$SRC/a"
}

# What the page describes, and what there is; with the mount's id, counters and
# opcodes as the page has them.
described()
{
	sed -n 's/^What:[[:space:]]*//p' "$PAGE" | sort
}

present()
{
	find /sys/fs/datafs -type f | sed -E \
		-e 's#^(/sys/fs/datafs)/[0-9]+/#\1/<mount>/#' \
		-e 's#(<mount>/stats)/.*#\1/<counter>#' \
		-e 's#(<mount>/store)/.*#\1/<count>#' \
		-e 's#(<mount>/re[a-z_]*)/[a-z_]+$#\1/<opcode>#' | sort -u
}

# knob NAME VALUE: written, and read back
knob()
{
	echo "$2" > "$DIR/$1" && [ "$(cat "$DIR/$1")" = "$2" ]
}

# refused NAME VALUE
refused()
{
	local out

	! out=$( { echo "$2" > "$DIR/$1"; } 2>&1) && [[ $out == *"Invalid argument"* ]]
}

counter()
{
	cat "$DIR/$1"
}

load
check "a tree" make_tree
is "before a mount there is no mount" "$(find /sys/fs/datafs -maxdepth 1 -name '[0-9]*' | wc -l)" -eq 0
check "mount" mnt "$SRC" "$MNT" sync_interval=3600
DIR=$(find /sys/fs/datafs -maxdepth 1 -name '[0-9]*')
check "the page describes what there is, and nothing else" \
	diff <(described) <(present)
is "the source" "$(counter source)" = "$SRC"
is "the device" "$(counter dev)" = "$(mountpoint -d "$MNT")"
is "the state" "$(counter state)" = LIVE
is "the instance" "$(counter instance)" = default

# --- values
for v in always first never; do
	check "verify=$v" knob verify $v
done
check "verify is in the mount's options" eval 'grep -q "verify=never" /proc/mounts'
knob verify always
check "read_ahead_kb" eval 'knob read_ahead_kb 128 && knob read_ahead_kb 0 && knob read_ahead_kb 65536'
check "attr_max_ms" eval 'knob attr_max_ms 0 && knob attr_max_ms 4294967295'
check "entry_max_ms" eval 'knob entry_max_ms 0 && knob entry_max_ms 4294967295'
check "max_extents" eval 'knob max_extents 1024 && knob max_extents 4294967295 && knob max_extents 0'
check "max_requests" eval 'knob max_requests 65536 && knob max_requests 1 && knob max_requests 1024'
check "grace_timeout_s" eval 'knob grace_timeout_s 864000 && knob grace_timeout_s 0'
for v in "verify sometimes" "verify " "read_ahead_kb 65537" "read_ahead_kb -1" \
	 "attr_max_ms 4294967296" "attr_max_ms one" "entry_max_ms " "grace_timeout_s 864001" \
	 "max_extents 1023" "max_extents 4294967296" "max_requests 0" "max_requests 65537" \
	 "abort 2" "abort " "drop_caches 0" "drop_caches 4"; do
	check "refused: $v" refused "${v%% *}" "${v#* }"
done
is "a value that was refused changes nothing" "$(counter verify)" = always
chmod 0666 "$DIR"/state "$DIR"/abort "$DIR"/stats/extents
check "what is only read cannot be written" eval \
	'! echo 1 > "$DIR/state" && ! echo 1 > "$DIR/stats/extents" && ! cat "$DIR/abort"'

# --- for how long answers are believed
stat "$MNT/big" > /dev/null
before=$(counter requests/getattr)
stat "$MNT/big" > /dev/null
count_is "believed for an hour" "$(counter requests/getattr)" -eq "$before"
knob attr_max_ms 0
stat "$MNT/big" > /dev/null
count_is "asked at once, by a bound of 0" "$(counter requests/getattr)" -gt "$before"
knob attr_max_ms 4294967295
stat "$MNT/big" > /dev/null
before=$(counter requests/getattr)
stat "$MNT/big" > /dev/null
count_is "without a bound, what was told since is believed" "$(counter requests/getattr)" -eq "$before"
before=$(counter requests/lookup)
stat "$MNT/a/bcm.h" > /dev/null
stat "$MNT/a/bcm.h" > /dev/null
first=$(counter requests/lookup)
knob entry_max_ms 100
sleep 1
stat "$MNT/a/bcm.h" > /dev/null
count_is "a name that was believed for longer is asked for again" "$(counter requests/lookup)" -gt "$first"
knob entry_max_ms 4294967295

# --- caches
check "read" cmp "$SRC/big" "$MNT/big"
count_is "there are extents" "$(counter stats/extents)" -gt 0
reads=$(counter stats/backing_bytes)
cmp "$SRC/big" "$MNT/big"
count_is "pages are cached" "$(counter stats/backing_bytes)" -eq "$reads"
echo 1 > "$DIR/drop_caches"
asked=$(counter requests/extent)
check "pages dropped" cmp "$SRC/big" "$MNT/big"
count_is "they are read again" "$(counter stats/backing_bytes)" -gt "$reads"
count_is "by extents that were kept" "$(counter requests/extent)" -eq "$asked"
echo 3 > "$DIR/drop_caches"
is "extents dropped" "$(counter stats/extents)" -eq 0
check "read once more" cmp "$SRC/big" "$MNT/big"
count_is "they were asked for" "$(counter requests/extent)" -gt "$asked"

# --- what the source was asked
# store_is: sysfs has what the daemon says of it
store_is()
{
	local k v

	while read -r k v; do
		[ "$(counter "store/$k")" = "$v" ] || return 1
	done < <(datafs stats "$MNT" | sed -n '/^store_price/d; s/^store_//p')
}
check "sysfs knows what the source was asked" until_true 30 store_is
count_is "that was something" "$(counter store/requests_get)" -gt 0
count_is "with its bytes, each once" "$(counter store/bytes)" -eq "$(stat_of store_bytes)"
count_is "without a price it cost nothing" "$(counter store/price_millionths)" -eq 0
count_is "it has all there is" "$(find "$DIR/store" -type f | wc -l)" -eq 12
got=$(counter store/requests_get)
check "something more" cmp "$SRC/more" "$MNT/more"
more=$(stat_of store_requests_get)
count_is "is asked for" "$more" -gt "$got"
check "and told" until_true 30 eval '[ "$(counter store/requests_get)" -eq "$more" ]'

# --- tracepoints, and the live tables
tracefs=/sys/kernel/tracing
mounted "$tracefs" || mount -t tracefs tracefs "$tracefs"
mounted /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
DEBUG=/sys/kernel/debug/datafs/${DIR##*/}
echo 1 > "$tracefs/events/datafs/enable"

# --- how many may be under way
# queue STATE: so many requests are in that state
queue()
{
	[ "$(grep -c "^[0-9]* $1 " "$DEBUG/requests")" -eq "$2" ]
}
drop_all
stat "$MNT/a" > /dev/null
kill -STOP "$(daemons)"
knob max_requests 1
waiters=
for f in bcm gw raw error; do
	cat "$MNT/a/$f.h" > /run/waiter.$f 2>&1 &
	waiters="$waiters $!"
done
check "of four, three wait for the first" until_true 20 queue waiting 3
check "one is under way" queue '\(pending\|sent\)' 1
knob max_requests 3
check "three are, when three may" until_true 20 queue '\(pending\|sent\)' 3
check "one waits" queue waiting 1
knob max_requests 1
check "it goes on waiting when one may" queue waiting 1
pid=${waiters##* }
kill -KILL "$pid"
wait "$pid" 2> /dev/null
# whichever of them it was
check "who is killed waits no more" until_true 20 eval \
	'[ "$(grep -cE "(waiting|pending|sent) lookup" "$DEBUG/requests")" -eq 3 ]'
kill -CONT "$(daemons)"
check "all others are answered, one after another" eval 'wait ${waiters% *}'
for f in bcm gw raw; do
	check "rightly: $f" cmp "$SRC/a/$f.h" /run/waiter.$f
done
knob max_requests 1024

# --- who waits
kill -STOP "$(daemons)"
drop_all
cat "$MNT/a/gw.h" > /run/waiter 2>&1 &
waiter=$!
check "a request is pending or sent" until_true 10 eval \
	'[ $(cat "$DIR"/requests_pending/* "$DIR"/requests_sent/* | paste -sd+ | bc) -gt 0 ]'
check "the table of requests shows it" grep -E '^[0-9]+ (pending|sent) (lookup|getattr) ino ' "$DEBUG/requests"
echo 1 > "$DIR/abort"
check "abort ends it" eval 'until_true 10 eval "! kill -0 $waiter 2> /dev/null"'
check "with ENOTCONN" grep -q "not connected" /run/waiter
is "the state is ABORTED" "$(counter state)" = ABORTED
check "what is not cached is ENOTCONN" eval 'LC_ALL=C cat "$MNT/a/raw.h" 2>&1 | grep -q "not connected"'
pid=$(daemons)
kill -KILL "$pid"
check "the next daemon revives it" until_true 30 eval '[ "$(counter state)" = LIVE ]'
check "and serves" verify -m read "$SRC" "$MNT"
check "the table of extents" grep -E '^ino [0-9]+ content [0-9]+ off 0 len [0-9]+ backing 1:' "$DEBUG/extents"
is "all of them" "$(wc -l < "$DEBUG/extents")" -eq "$(counter stats/extents)"
echo 0 > "$tracefs/events/datafs/enable"
for e in 'datafs_request_queue: .* op=lookup ' 'datafs_request_send: .* op=extent ' \
	 'datafs_request_answer: .* op=extent .* error=0 answered' \
	 'datafs_request_answer: .* error=-107 ended' 'datafs_extent_insert: ' \
	 'datafs_extent_hit: ' 'datafs_extent_revoke: ' \
	 'datafs_mount_state: .* LIVE -> ABORTED' 'datafs_mount_state: .* ABORTED -> LIVE'; do
	check "traced: $e" grep -q "$e" "$tracefs/trace"
done

# --- the end of patience
kill_for_good
check "GRACE" until_true 10 eval '[ "$(counter state)" = GRACE ]'
drop_all
LC_ALL=C cat "$MNT/a/gw.h" > /run/waiter 2>&1 &
waiter=$!
check "a timeout that is set meanwhile" knob grace_timeout_s 1
check "after a second it is ABORTED" until_true 10 eval '[ "$(counter state)" = ABORTED ]'
wait $waiter
check "and who waited has ENOTCONN" grep -q "not connected" /run/waiter
check "unmount" umount "$MNT"
is "the directory goes with the mount" "$(find /sys/fs/datafs -maxdepth 1 -name '[0-9]*' | wc -l)" -eq 0
finish
