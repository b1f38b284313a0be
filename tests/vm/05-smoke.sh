#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1,debug mem=2048 disk=2G timeout=3600 append=slab_nomerge early
#
# Load, mount, read a small tree in every way, unmount, unload; again and again,
# and nothing is left. ROUNDS in the environment says how often.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
# Under KASAN and lockdep a round takes some 20 seconds, and each byte several times as long.
case $KVER in
*-debug|6.12.117)	ROUNDS=${ROUNDS:-2} BIG=3m ;;
*)			ROUNDS=${ROUNDS:-8} BIG=9m ;;
esac
SMALL=$DISK/small

make_tree()
{
	mkdir -p "$SRC/a/b/c" "$SRC/empty-dir" &&
	cp /usr/include/linux/[a-b]*.h "$SRC/a/b" &&
	gen "$SRC/big" "$BIG" 1 &&
	gen "$SRC/odd" 70001 2 &&
	: > "$SRC/nothing" &&
	ln -s a/b/c "$SRC/link" &&
	ln -s /nowhere/at/all "$SRC/dangling" &&
	setfattr -n user.colour -v blue "$SRC/odd" &&
	setfattr -n user.colour -v green "$SRC/a" &&
	ln "$SRC/odd" "$SRC/a/hard" &&
	mkdir "$SMALL" &&
	cp /usr/include/linux/can/*.h "$SMALL" &&
	gen "$SMALL/file" 1m 3 &&
	ln -s file "$SMALL/link"
}

# The objects in use of the module's own caches. What lies in the processors'
# own lists is given back first.
objects()
{
	local c k n=0

	for c in /sys/kernel/slab/datafs*; do
		[ -e "$c/objects" ] || continue
		echo 1 > "$c/shrink"
		read -r k _ < "$c/objects"
		n=$((n + k))
	done
	echo $n
}

at_baseline()
{
	[ "$(objects)" -eq "$1" ]
}

rounds()
{
	local i

	for i in $(seq "$ROUNDS"); do
		mnt "$SMALL" "$MNT" && verify -m mixed -t 2 "$SMALL" "$MNT" &&
			find "$MNT" -ls > /dev/null &&
			getfattr -d -m . -R "$MNT" > /dev/null || return 1
		# Half of them with what is cached, half without.
		[ $((i % 2)) -eq 0 ] || drop_all
		umnt "$MNT" || return 1
	done
}

reload()
{
	local i

	for i in $(seq "$ROUNDS"); do
		insmod "$KO" && rmmod datafs || return 1
	done
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
check "there are slab caches to look at" test -e /sys/kernel/slab/datafs_inode/objects
base=$(objects)
count_is "no objects before the first mount" "$base" -eq 0
is "the version of the protocol" "$(datafs version | awk '$1 == "abi" { print $2 }')" = 1.4
check "the module is loaded" eval 'datafs version | grep -Eq "^module +loaded\$"'
check "mount" mnt "$SRC" "$MNT" || finish
check "it is one" mounted "$MNT"
mapfile -t pids < <(daemons)
count_is "one daemon" ${#pids[@]} -eq 1
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

# What comes and goes is told.
datafs events > /tmp/events &
listener=$!
check "datafs events listens" until_true 30 grep -q listening /tmp/events
check "mount again" mnt "$SRC" "$MNT"
check "warm" verify -m mixed -t 2 "$SRC" "$MNT"
count_is "no byte from the source" "$(stat_of under_bytes)" -eq 0
check "unmount" umnt "$MNT"

told()
{
	local what who

	while read -r what who _; do
		printf '%s ' "$what${who:+ $who}"
	done < /tmp/events
}
all_told()
{
	[ "$(told)" = "listening daemon_back instance=default mounted instance=default unmounted instance=default daemon_lost instance=default " ]
}
check "a daemon and a mount came and went" until_true 10 all_told
check "the mount is named" grep -q "^mounted instance=default mount=[0-9]* source=$SRC\$" /tmp/events
kill $listener
check "not to a user" eval '! setpriv --reuid 65534 --clear-groups datafs events 2> /tmp/err && grep -q "not permitted" /tmp/err'
check "$ROUNDS mounts, uses and umounts" rounds
# Inodes are freed by RCU.
check "the slab caches are at their baseline" until_true 60 at_baseline "$base"

if [ -e /sys/kernel/debug/kmemleak ]; then
	check "nothing leaked" kmemleak_clean
fi
check "the module unloads" rmmod datafs
is "no slab cache is left" "$(slab_objects)" -eq 0
check "nor a device" test ! -e /dev/datafs
check "insmod and rmmod $ROUNDS times" reload

# As a system has it: mount(8) has the module loaded. An index of all modules
# (depmod) would take minutes here. What modprobe says on the way does no harm.
echo "install datafs { echo one; sleep 1; echo two; } >&2; insmod $KO" > /etc/modprobe.d/datafs.conf
is "the module's alias" "$(modinfo -F alias "$KO" | grep fs-)" = fs-datafs
check "mount(8) loads the module" mnt "$SRC" "$MNT"
check "and it reads" cmp "$SRC/odd" "$MNT/odd"
check "unmount" umnt "$MNT"
finish
