#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=240
#
# Nodes: who comes into the table, when it is away, what `datafs node` says, to whom, and that
# members keep it. A daemon without a kernel (prog/daemon.c) has the mounts.

. "$(dirname "$0")/lib.sh"

TIMEOUT=10	# seconds, of a session of which nothing is heard

node()
{
	"$BIN/datafs" node "$@" --members "$MEMBERS" --key-file "$D/key"
}

# listed TEXT: it is all that is listed
listed()
{
	[ "$(node list 2> "$D/list.err")" = "$(printf '%b' "$1")" ]
}

will_list()
{
	wait_for 60 listed "$1" && return
	node list | sed 's/^/# /'
	return 1
}

# daemon_start NAME NODE SOURCE...: its directory has its name; its input is kept open
daemon_start()
{
	local name=$1 node=$2 fd

	shift 2
	rm -f "$D/$name.in" "$D/$name.out"
	mkfifo "$D/$name.in"
	"$PROG/daemon" "$D/$name.d" "$node" "$D/client.key" "$@" < "$D/$name.in" \
		> "$D/$name.out" 2>> "$D/$name.log" &
	pid["$name"]=$!
	exec {fd}> "$D/$name.in"
	in["$name"]=$fd
	wait_for 60 grep -q '^mounted' "$D/$name.out"
}

# daemon_end NAME [SIGNAL]: its mounts stay
daemon_end()
{
	local fd=${in[$1]}

	if [ -n "${2:-}" ]; then
		kill "-$2" "${pid[$1]}"
	else
		# others have inherited the other end, so to close it is not enough
		echo end >&"$fd"
	fi
	wait "${pid[$1]}" 2> /dev/null
	exec {fd}>&-
	unset "pid[$1]" "in[$1]"
}

# daemon_umount NAME N
daemon_umount()
{
	echo "umount $2" >&"${in[$1]}"
	wait_for 60 grep -qx "unmounted $2" "$D/$1.out"
}

levels_are()
{
	[ "$(meta status | awk '/^level/ && $2 == n' n="$1" | wc -l)" -eq 3 ]
}

declare -A in
check "a quorum is made" quorum_make || exit 1
"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
echo 'feature_level = 4' >> "$D/1.conf"
for n in 1 2 3; do
	echo "session_timeout = $TIMEOUT" >> "$D/$n.conf"
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
check "the level is the one before" wait_for 60 levels_are 4
check "a daemon mounts the quorum" daemon_start a a "$MEMBERS:/" "$MEMBERS:/"
check "... and is no node yet" listed 'version 0'
check "nothing is set before all members know it" \
	refuses 'before all members know the feature level' node set a --weight 1
sed -i '/^feature_level/d' "$D/1.conf"
member_end 1 TERM
member_start 1
check "the level rises" wait_for 60 levels_are 6 || exit 1
check "then it joins by itself" will_list 'version 1\nid 1 a - weight 100 joined'
check "another one joins" daemon_start b b "$MEMBERS:/"
check "... with an id of its own" \
	will_list 'version 2\nid 1 a - weight 100 joined\nid 2 b - weight 100 joined'

check "one is weighed" node set a --weight 7
check "... again, which is no change" node set a --weight 7
check "one drains" node set b --drain
check "both are listed" listed 'version 4\nid 1 a - weight 7 joined\nid 2 b - weight 100 draining'
check "a client's key is refused" refuses "only with the quorum's own key" \
	"$BIN/datafs" node set a --weight 1 --members "$MEMBERS" --key-file "$D/client.key"
check "... but lists" eval '"$BIN/datafs" node list --members "$MEMBERS" \
	--key-file "$D/client.key" | grep -qx "version 4"'
check "one that is joined is not removed" refuses 'it is joined' node remove a
check "nor one that is not there" refuses 'there is no such node' node remove c
check "a weight that is none is refused" refuses 'usage' node set a --weight 65536
check "a name that is none is refused" refuses 'other characters' node set a:b --drain
check "one does not drain any more" node set b --undrain
check "the version rose with what was done only" \
	listed 'version 5\nid 1 a - weight 7 joined\nid 2 b - weight 100 joined'

check "a third one has the name of another" daemon_start c b "$MEMBERS:/"
check "... and is told so, once its mount is there" \
	wait_for 60 grep -q 'node b does not join the quorum: another daemon' "$D/c.log"
check "... which changes nothing" \
	listed 'version 5\nid 1 a - weight 7 joined\nid 2 b - weight 100 joined'

daemon_umount c 1
daemon_end c
check "its end changes nothing either" \
	listed 'version 5\nid 1 a - weight 7 joined\nid 2 b - weight 100 joined'

check "a mount goes, and the node stays" daemon_umount a 2
check "a daemon ends; the next one goes on with its session" daemon_end a
check "..." daemon_start a a "$MEMBERS:/"
check "... which is no change" \
	listed 'version 5\nid 1 a - weight 7 joined\nid 2 b - weight 100 joined'
daemon_end b KILL
check "one that is killed is away when its session has ended" \
	will_list 'version 6\nid 1 a - weight 7 joined\nid 2 b - weight 100 away'
check "it drains no more" refuses 'it is away' node set b --drain
check "with its next daemon it is back" daemon_start b b "$MEMBERS:/"
check "... as what it was" \
	will_list 'version 7\nid 1 a - weight 7 joined\nid 2 b - weight 100 joined'

check "all have applied the same" wait_for 60 all_equal
for n in 1 2 3; do
	member_end $n KILL
done
for n in 1 2 3; do
	member_start $n
done
check "all members are killed and started again: nothing is lost" \
	will_list 'version 7\nid 1 a - weight 7 joined\nid 2 b - weight 100 joined'
check "a backup is taken" meta backup "$D/backup"
check "the last mount goes, and the node is away at once" daemon_umount b 1
check "..." listed 'version 8\nid 1 a - weight 7 joined\nid 2 b - weight 100 away'
check "it is removed" node remove b
check "... and gone" listed 'version 9\nid 1 a - weight 7 joined'
daemon_umount a 1
daemon_end a
daemon_end b
check "so is the other away" listed 'version 10\nid 1 a - weight 7 away'
check "all have applied the same" wait_for 60 all_equal
check "the members end on a signal" members_end
check "their states are equal" same_states

"$BIN/datafs" key new "$D/new.key" > /dev/null
addr[3]=$("$PROG/ports" 4 | tail -n 1)
check "a new quorum is made of the backup" "$BIN/datafs" meta restore "$D/backup" "$D/4" 1 \
	"${addr[3]}" --key-file "$D/new.key"
printf 'id = 1\ndir = %s\nlisten = %s\nkey_file = %s\n' "$D/4" "${addr[3]}" "$D/new.key" > "$D/4.conf"
member_start 4
cp "$D/new.key" "$D/key"
MEMBERS=${addr[3]}
check "it has the same nodes, all away" \
	will_list 'version 8\nid 1 a - weight 7 away\nid 2 b - weight 100 away'
member_end 4 TERM
exit "$FAILED"
