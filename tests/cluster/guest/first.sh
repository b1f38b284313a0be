#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# first.sh SEED ROUNDS: the first guest of 70-two-kernels.sh: the quorum, a mount of it,
# and the test.

. "$DATAFS_TOP/tests/cluster/guest/lib.sh"

Q=$DISK/quorum
LEASE=3000
HOSTS=10.77.0.1:7441,10.77.0.1:7442,10.77.0.1:7443
SEED=$1
ROUNDS=$2
RANDOM=$((SEED % 32768))
echo "# DATAFS_SEED=$SEED"
sent=0
declare -A member

# b COMMAND: done by the other guest
b_begin()
{
	echo "$*" > "$SHARED/cmd.new"
	mv "$SHARED/cmd.new" "$SHARED/cmd.$sent"
	sent=$((sent + 1))
}

b_done()
{
	[ -e "$SHARED/res.$((sent - 1))" ]
}

b_end()
{
	local res

	until_true 120 b_done || { echo "the other guest does not answer"; return 125; }
	res=$(cat "$SHARED/res.$((sent - 1))")
	[ "$res" = "${res##*$'\n'}" ] || echo "${res%$'\n'*}"
	return "${res##*$'\n'}"
}

b()
{
	b_begin "$@"
	b_end
}

quorum_make()
{
	local n

	mkdir -p "$Q" && datafs key new "$Q/key" && datafs key client "$Q/key" 1 "$Q/1.key" &&
	datafs key client "$Q/key" 2 "$SHARED/2.key" || return 1
	for n in 1 2 3; do
		cat > "$Q/$n.conf" <<-END
		id = $n
		dir = $Q/$n
		listen = 10.77.0.1:744$n
		key_file = $Q/key
		lease_ms = $LEASE
		peers = 1=10.77.0.1:7441,2=10.77.0.1:7442,3=10.77.0.1:7443
		END
		datafs-metad --config "$Q/$n.conf" --bootstrap || return 1
	done
}

members_start()
{
	local n

	for n in 1 2 3; do
		datafs-metad --config "$Q/$n.conf" >> "$Q/$n.log" 2>&1 &
		member[$n]=$!
	done
}

has_leader()
{
	datafs meta status --members "$HOSTS" --key-file "$Q/key" 2> /dev/null |
		grep -q '^state *leads'
}

mount_it()
{
	mount -t datafs -o "instance=$NAME" "$HOSTS:/" "$MNT"
}

done_with()
{
	b_begin end
	daemon_end
	[ ${#member[@]} -eq 0 ] || kill -TERM "${member[@]}"
	wait
	finish
}

load
check "the first network" net_up 1 || done_with
check "a quorum is made" quorum_make || done_with
members_start
check "somebody leads" until_true 60 has_leader || done_with
check "the second guest: module and network" b 'failed=0; load; net_up 2; [ $failed = 0 ]' || done_with
check "a daemon" daemon_start "$Q/1.key" || done_with
check "the second one" b 'cp $SHARED/2.key /run/key && chmod 600 /run/key && daemon_start /run/key' || done_with
check "mount" mount_it || done_with
check "in the second guest" b "mount -t datafs -o instance=$NAME $HOSTS:/ $MNT" || done_with
check "the kernel has a lease" until_true 60 lease_held
check "the second one too" b 'until_true 60 lease_held'

# --- nothing changes, nobody asks
check "a tree" eval 'mkdir "$MNT/tree" && for i in $(seq 20); do mkdir "$MNT/tree/$i" "$MNT/tree/$i/x" || exit 1; done'
look='for i in $(seq 20); do stat "$MNT/tree/$i/x" > /dev/null && [ ! -e "$MNT/tree/$i/y" ] || exit 1; done'
list='for i in $(seq 20); do [ "$(names "$MNT/tree/$i")" = "x " ] || exit 1; done'
all="($look) && ($list)"
check "all of it is known" b "$all && $all"
before=$(b upcalls)
check "looked at and listed" b "$all"
is "no upcall" $(($(b upcalls) - before)) -eq 0
# It is renewed three times in a lease.
sleep $((2 * LEASE / 1000))
check "two leases later" b "$all"
is "no upcall" $(($(b upcalls) - before)) -eq 0
before=$(upcalls)
check "here" eval "$all && $all"
before=$(upcalls)
check "the same" eval "$all"
is "no upcall" $(($(upcalls) - before)) -eq 0
# What a change tells is known after it, and all beside it still.
check "a name that is not there" eval '[ ! -e "$MNT/tree/1/made" ]'
before=$(upcalls)
check "it is made" mkdir "$MNT/tree/1/made"
check "and looked at" stat "$MNT/tree/1/made"
check "as is all else" eval "($look)"
is "no upcall" $(($(upcalls) - before)) -eq 0
check "it is removed" rmdir "$MNT/tree/1/made"
check "and is not there" eval '[ ! -e "$MNT/tree/1/made" ]'
is "no upcall" $(($(upcalls) - before)) -eq 0

# --- what is changed on one is seen by the other
here()
{
	eval "$1"
}

# rounds A B: A changes, B looks
rounds()
{
	local i d m

	for i in $(seq 12); do
		d=$MNT/tree/$((RANDOM % 20 + 1))
		m=7$((RANDOM % 8))$((RANDOM % 8))
		$2 "stat $d/x > /dev/null && [ ! -e $d/new ] && names $d" > /dev/null &&
		$1 "mkdir $d/new" && $2 "[ -d $d/new ] && [ \"\$(names $d)\" = 'new x ' ]" &&
		$1 "chmod $m $d/new" && $2 "[ \$(stat -c %a $d/new) = $m ]" &&
		$1 "mv $d/new $d/old" && $2 "[ ! -e $d/new ] && [ -d $d/old ]" &&
		$1 "rmdir $d/old" && $2 "[ ! -e $d/old ] && [ \"\$(names $d)\" = 'x ' ]" ||
			{ echo "round $i, $d"; return 1; }
	done
}
check "what is changed here is seen there" rounds here b
check "what is changed there is seen here" rounds b here

# --- at random, and listings: in two directories, which each of them changes and lists
check "the other side" b "sides -i $NAME serve 7450 $MNT > /run/sides.log 2>&1 & sides=\$!"
tap sides -s "$SEED" -i $NAME run 10.77.0.2 7450 "$MNT" "$ROUNDS"
check "has nothing to say" b 'wait $sides && [ ! -s /run/sides.log ] || { cat /run/sides.log; false; }'

# --- a holder that does not answer delays a change by a lease, and trusts nothing after it
gone()
{
	check "$1: it knows a name" b "stat $MNT/tree/1/x > /dev/null && stat $MNT/tree/2/x > /dev/null"
	check "$1" b "$2"
	check "$1: the name is removed all the same" timeout 60 rmdir "$MNT/tree/1/x"
	check "$1: by then its lease is over" b lease_over
	check "$1: it does not show the name" b "stat $MNT/tree/1/x > /run/look 2>&1 & look=\$!; sleep 1; kill -0 \$look || grep -q 'No such' /run/look"
	check "$1: it goes on" b "$3"
	check "$1: and finds that it is not there" b 'wait $look; [ $? = 1 ] && grep -q "No such" /run/look'
	check "$1: it gets a lease again" b 'until_true 60 lease_held'
	check "$1: other names are there" b "stat $MNT/tree/2/x"
	check "$1: the name is made again" mkdir "$MNT/tree/1/x"
	check "$1: and is seen" b "[ -d $MNT/tree/1/x ]"
}
gone "a daemon that is stopped" 'kill -STOP $(cat /run/daemon.pid)' 'kill -CONT $(cat /run/daemon.pid)'
gone "a guest that is cut off" 'ip link set $ETH down' 'ip link set $ETH up'
gone "a daemon that is killed, and not at once followed" \
	'read -r pid < /run/daemon.pid; touch /run/hold; kill -KILL $pid' 'rm /run/hold'

# --- a daemon is followed, whose kernel has kept what was told
check "names are known there" b "($look) && ($look)"
check "the daemon dies" b 'read -r pid < /run/daemon.pid; kill -KILL $pid; until_true 60 eval "[ \$(cat /run/daemon.pid) != $pid ]"; until_true 60 serving '$NAME
check "a change here" timeout 60 mv "$MNT/tree/3/x" "$MNT/tree/3/y"
check "is seen there" b "[ ! -e $MNT/tree/3/x ] && [ -d $MNT/tree/3/y ]"

check "unmount there" b "umount $MNT && daemon_end && rmmod datafs"
check "unmount" umount "$MNT"
done_with
