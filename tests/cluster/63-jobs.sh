#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# Jobs: what `datafs job` says, to whom; that daemons do them, and that they are done though the
# daemon, the leader and all members are killed. A daemon without a kernel (prog/daemon.c) has
# the mounts.

. "$(dirname "$0")/lib.sh"

TIMEOUT=10	# seconds, of a session of which nothing is heard
FILES=15000	# of a job that is not done at once

job()
{
	"$BIN/datafs" job "$@" --members "$MEMBERS" --key-file "$D/key"
}

# add WORDS...: sets id
add()
{
	id=$(job add "$@" | sed -n 's/^id //p')
	[ -n "$id" ]
}

# is ID WORDS: its line has these behind its kind
is()
{
	job list 2> "$D/list.err" | grep -q "^id $1 [a-z]* $2"
}

will_be()
{
	wait_for 90 is "$1" "$2" && return
	job list | sed 's/^/# /'
	return 1
}

# daemon_start NAME: its input is kept open, and nobody has inherited it
daemon_start()
{
	local fd

	rm -f "$D/$1.in" "$D/$1.out"
	mkfifo "$D/$1.in"
	"$PROG/daemon" "$D/$1.d" "$1" "$D/client.key" "$MEMBERS:/" < "$D/$1.in" > "$D/$1.out" \
		2>> "$D/$1.log" &
	pid["$1"]=$!
	exec {fd}> "$D/$1.in"
	in["$1"]=$fd
	wait_for 60 grep -q '^mounted' "$D/$1.out"
}

joined()
{
	"$BIN/datafs" node list --members "$MEMBERS" --key-file "$D/key" | grep -q " $1 .* joined$"
}

# daemon_end NAME [SIGNAL]: its mount stays
daemon_end()
{
	local fd=${in[$1]}

	if [ -n "${2:-}" ]; then
		kill "-$2" "${pid[$1]}"
	else
		echo end >&"$fd"
	fi
	wait "${pid[$1]}" 2> /dev/null
	exec {fd}>&-
	unset "pid[$1]" "in[$1]"
}

levels_are()
{
	[ "$(meta status | awk '/^level/ && $2 == n' n="$1" | wc -l)" -eq 3 ]
}

declare -A in
mkdir "$D/few" "$D/few/sub" "$D/many"
printf '%05000d' 7 | tee "$D/few/a" "$D/few/b" > "$D/few/sub/c"
seq -w "$FILES" | split -l 1 -a 4 - "$D/many/f"

check "a quorum is made" quorum_make || exit 1
"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
for n in 1 2 3; do
	echo "session_timeout = $TIMEOUT" >> "$D/$n.conf"
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
check "the level is the newest" wait_for 60 levels_are 6 || exit 1
check "there is nothing" eval '[ "$(job list)" = "version 0" ]'
for n in few many; do
	check "$n is mounted" "$BIN/datafs" mount add "/$n" "$D/$n" --members "$MEMBERS" \
		--key-file "$D/key"
done

check "a job waits while nobody is there" add load /few
check "..." is 1 'waiting node - files 0 bytes 0 errors 0 /few$'
check "one for a node that is none is refused" refuses 'there is none' job add load /few --node a
check "one for all is, without any" refuses 'no node has joined' job add load /few --all
check "a client's key is refused" refuses "only with the quorum's own key" \
	"$BIN/datafs" job add load /few --members "$MEMBERS" --key-file "$D/client.key"
check "... but lists" eval '"$BIN/datafs" job list --members "$MEMBERS" \
	--key-file "$D/client.key" | grep -q "^id 1 "'
check "a path that is none is refused" refuses 'does not begin with a slash' job add load few
check "a kind that is none is refused" refuses 'usage' job add copy /few
check "one that has not ended is not removed" refuses 'it has not ended' job remove 1

check "a daemon mounts the quorum" daemon_start a
check "it does what waits" job wait 1
check "... all of it" is 1 'done node - files 3 bytes 15000 errors 0 /few$'
check "one that has ended is not cancelled" refuses 'it has ended' job cancel 1
check "what is not there fails, and so does the wait" add load /few/none --node a
check "..." refuses "job 2 failed: few/none: No such file" job wait 1 2
check "a job for all nodes" add free /few --all
check "... is one for one" eval '[ "$id" -eq 3 ] && job wait 3'
check "what was loaded is not there any more" is 3 'done node a files 3 bytes 15000 errors 0 /few$'
check "one is removed" job remove 2
check "... and gone" refuses 'there is none' job cancel 2
check "nobody waits for what is not there" refuses 'job 2: there is none' job wait 2

check "much is to be loaded" add load /many --node a
check "it is begun" will_be "$id" running
check "... and cancelled" job cancel "$id"
check "its daemon stops" wait_for 60 grep -q "job $id: cancelled" "$D/a.log"
check "... before all is done" is "$id" cancelled
check "much is to be loaded by whoever is there" add load /many
check "it is begun" will_be "$id" running
# It must not be done with it before it is killed.
kill -STOP "${pid[a]}"
n=$(leader)
check "the leader is killed" member_end "$n" KILL
member_start "$n"
check "... and the daemon" daemon_end a KILL
check "nobody has it when its session has ended" will_be "$id" waiting
check "another daemon comes" daemon_start b
check "... and does it" job wait "$id"
check "... all of it" is "$id" "done node - files $FILES bytes .* errors 0 /many$"
check "the first daemon comes back" daemon_start a
check "... as the node that it was" wait_for 60 joined a
check "what only it may do it does" add free /many --node a
check "..." job wait "$id"

check "much is to be loaded once more" add load /many --node a
check "it is begun" will_be "$id" running
kill -STOP "${pid[a]}"
stopped[a]=1
check "a backup is taken" meta backup "$D/backup"
kill -CONT "${pid[a]}"
unset "stopped[a]"
check "the daemon ends" daemon_end a
check "the next one goes on with its session" daemon_start a
check "... and does it" job wait "$id"
check "all have applied the same" wait_for 60 all_equal
job list > "$D/before"
for n in 1 2 3; do
	member_end $n KILL
done
for n in 1 2 3; do
	member_start $n
done
check "all members are killed and started again: nothing is lost" \
	wait_for 60 eval 'job list 2> "$D/list.err" | cmp -s - "$D/before"'
daemon_end a
daemon_end b
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
check "in it what was running waits" will_be "$id" 'waiting node a'
check "... and what was done is done" is 1 'done'
member_end 4 TERM
exit "$FAILED"
