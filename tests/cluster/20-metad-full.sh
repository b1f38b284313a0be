#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# A member whose disk is full. As a leader it refuses what makes something, answers
# questions, and goes on when there is room. As a follower without any room it holds
# nobody up, and comes back by itself once there is some; here in the hands of who
# starts it again, as a service manager does.

. "$(dirname "$0")/lib.sh"

small=$D/small
mkdir "$small"
if ! mount -t tmpfs -o size=200M none "$small" 2> /dev/null; then
	echo "ok - a member whose disk is full # SKIP no filesystem can be mounted"
	exit 0
fi
mounts+=("$small")
dir[3]=$small/3

load()
{
	"$PROG/metaload" "$MEMBERS" "$D/key" "$1" 4 "$SEED" < /dev/null > "$D/load.out"
}

# leave MIB: as much as that is free
leave()
{
	local free

	rm -f "$small/fill"
	free=$(($(df --output=avail -k "$small" | tail -n 1) / 1024))
	[ "$1" -ge "$free" ] || fallocate -l $((free - $1))M "$small/fill"
	# it looks once a second
	sleep 2.5
}

refused_for_room()
{
	! load 2 && grep -q 'No space left' "$D/load.out"
}

# The service manager of member 3, until it is told to stop it.
keep_3()
{
	local child=''

	trap '[ -z "$child" ] || kill -TERM "$child"; exit 0' TERM
	while :; do
		"$BIN/datafs-metad" --config "$D/3.conf" >> "$D/3.log" 2>&1 &
		child=$!
		wait $child
		child=''
		sleep 1
	done
}

fill_up()
{
	dd if=/dev/zero of="$small/fill2" bs=64k 2> /dev/null
	[ "$(df --output=avail -k "$small" | tail -n 1)" -lt 64 ]
}

check "a quorum is made" quorum_make || exit 1
for n in 1 2 3; do
	member_start $n
done
check "the one with a small disk leads" lead 3
check "it takes what it is told" load 2
leave 40
check "almost full, it refuses what makes something" refused_for_room
check "... and still leads and tells" leads 3
leave 500
check "with room it goes on" load 2
check "another leads" lead 1

member_end 3 TERM
keep_3 &
pid[keeper]=$!
check "all are there" wait_for 30 all_equal
check "its disk is full" fill_up
check "it holds nobody up" load 10
grep '^wrong' "$D/load.out"
note "member 3 was started $(grep -c ': serving at' "$D/3.log") times"
rm -f "$small/fill" "$small/fill2"
check "with room it comes to the same" wait_for 60 all_equal
member_end keeper TERM
check "it ends on a signal" wait_for 30 eval 'tail -n 1 "$D/3.log" | grep -q "ending on a signal"'
for n in 2 1; do
	member_end $n TERM
done
check "all have the same state" same_states
exit "$FAILED"
