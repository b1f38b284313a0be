#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 mem=2048 disk=2G timeout=2400
#
# Daemons are killed, again and again, while programs read, stat, list and map a
# tree and compare all of it: none of them sees it. KILLS in the environment says
# how often (15), SEED when; beside those, a daemon dies with requests of each
# opcode taken and not answered, as often as STEALS says (1), CALLERS (10) of each,
# twice.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
KILLS=${KILLS:-15}
SEED=${SEED:-$RANDOM}
STEALS=${STEALS:-1}
CALLERS=${CALLERS:-10}
NAME=killed

make_tree()
{
	mkdir -p "$SRC/a/b" &&
	cp /usr/include/linux/[a-c]*.h "$SRC/a/b" &&
	gen "$SRC/big" 40m 1 &&
	gen "$SRC/odd" 70001 2 &&
	ln -s a/b "$SRC/link" &&
	setfattr -n user.colour -v blue "$SRC/odd"
}

same_attributes()
{
	local x

	x=$(getfattr --absolute-names --only-values -n user.colour "$MNT/odd")
	[ "$x" = blue ] || { echo "the attribute is '$x'"; return 1; }
	x=$(getfattr --absolute-names -d -m . "$MNT/big")
	[ -z "$x" ] || { echo "big has '$x'"; return 1; }
	x=$(readlink "$MNT/link")
	[ "$x" = a/b ] || { echo "the link is '$x'"; return 1; }
	stat -f "$MNT/odd"
}

# A reader of what is not cached: pages, and every other time inodes too.
forgetful()
{
	flock /run/drop.lock bash -c "$(declare -f drop_pages); drop_pages"
	verify -m mixed -t 1 "$SRC" "$MNT" &&
		flock /run/drop.lock bash -c "$(declare -f drop_all); drop_all" &&
		verify -m read -t 1 "$SRC" "$MNT"
}

# In a tree of their own, for others would find what is corrupted there first, by a
# mount whose attributes do not expire, or all would ask for those. Before there are
# readers, beside whom each program takes seconds to start.
AT=/mnt/long
mount_callers()
{
	make_callers "$CALLERS" "$DISK/calls" && mkdir -p "$AT" &&
	mount -t datafs -o "instance=$NAME,sync_interval=3600" "$DISK/calls" "$AT"
}

# Nobody else drops what the callers have prepared.
steals()
{
	local i pid

	for i in $(seq "$STEALS"); do
		until_true 60 serving "$NAME" || return 1
		read -r pid < /run/daemon.pid
		: > /run/hold
		flock /run/drop.lock steal "$NAME" "$pid" "$CACHE/$NAME" "$AT" "$CALLERS" \
			> /run/steal.out 2>&1 || { grep -v "^ok" /run/steal.out; rm -f /run/hold; return 1; }
	done
	umount "$AT"
}

start_readers()
{
	reader 1 verify -m read -t 1 "$SRC" "$MNT" &
	reader 2 verify -m mmap -t 1 "$SRC" "$MNT" &
	reader 3 verify -m direct -t 1 "$SRC" "$MNT" &
	reader 4 same_names &
	reader 5 same_attributes &
	reader 6 forgetful &
	reader 7 verify -m unaligned -t 1 "$SRC" "$MNT" &
	reader 8 verify -m mapped -t 1 -b "$MNT/big" "$SRC" "$MNT" &
}

# A moment within the next two seconds, from the seed.
moment()
{
	SEED=$(((SEED * 1103515245 + 12345) % 2147483648))
	sleep "$((SEED / 65536 % 2)).$((SEED / 1048576 % 10))"
}

# Whether it serves already, or has not begun to, is up to the moment.
kills()
{
	local i pid

	for i in $(seq "$KILLS"); do
		moment
		read -r pid < /run/daemon.pid
		kill -KILL "$pid" 2> /dev/null
		! reader_failed || { echo "after kill $i"; return 1; }
	done
}

load
echo "# SEED=$SEED KILLS=$KILLS"
check "a tree" make_tree
supervise datafsd --name $NAME --cache-dir "$CACHE" --cache-size "$CACHE_SIZE" &
server=$!
check "a daemon" until_true 60 test -S "/run/datafs/$NAME.sock"
check "mount" mount -t datafs -o "instance=$NAME,sync_interval=1" "$SRC" "$MNT"
check "read" verify -m mixed "$SRC" "$MNT"
before=$(stat_of extents "$NAME")
read -r pid < /run/daemon.pid
kill -KILL "$pid"
another()
{
	serving "$NAME" && [ "$(cat /run/daemon.pid)" != "$1" ]
}
check "killed: there is another" until_true 60 another "$pid"
count_is "the extents are still there" "$(stat_of extents "$NAME")" -eq "$before"
asked=$(stat_of requests_extent "$NAME")
drop_pages
check "and serve" verify -m read "$SRC" "$MNT"
count_is "without a data upcall" "$(stat_of requests_extent "$NAME")" -eq "$asked"
count_is "adopted, all of them" "$(stat_of cache_adopted "$NAME")" -eq "$before"
count_is "none is a stray" "$(stat_of cache_strays "$NAME")" -eq 0

check "a mount for callers" mount_callers
start_readers
check "$STEALS times a daemon dies with requests of all kinds" steals
check "$KILLS kills" kills
: > /run/enough
check "a daemon at the end" until_true 60 serving "$NAME"
check "the readers come to an end" until_true 300 readers_ended
readers_report 8
datafs stats --instance $NAME | grep -E 'requeued|adopted|strays|replies_stale' | sed 's/^/# /'
for op in mount umount lookup getattr readdir readlink extent bad_extent getxattr \
	  listxattr statfs revoke_done parent; do
	count_is "$op was sent again" "$(stat_of "requeued_$op" "$NAME")" -ge \
		$((STEALS * CALLERS < 20 ? STEALS * CALLERS : 20))
done
readers_done $server
finish
