#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=240
#
# Policies: what `datafs policy` says and changes, to whom, from which feature level on, and that
# members, a backup and a restored quorum keep them; and what a daemon without a kernel
# (prog/daemon.c) makes of them.

. "$(dirname "$0")/lib.sh"

policy()
{
	"$BIN/datafs" policy "$@" --members "$MEMBERS" --key-file "$D/key"
}

# listed TEXT: it is all that is listed
listed()
{
	[ "$(policy list 2> "$D/list.err")" = "$(printf '%b' "$1")" ]
}

levels_are()
{
	[ "$(meta status | awk '/^level/ && $2 == n' n="$1" | wc -l)" -eq 3 ]
}

mount_table()
{
	"$BIN/datafs" mount "$@" --members "$MEMBERS" --key-file "$D/key"
}

daemon_start()
{
	mkfifo "$D/in"
	"$PROG/daemon" "$D/a.d" a "$D/client.key" "$MEMBERS:/" < "$D/in" >> "$D/out" 2>> "$D/a.log" &
	daemon=$!
	exec {in}> "$D/in"
	wait_for 60 grep -q '^mounted' "$D/out"
}

# slots PATH NORMAL KEEP ONCE: there are so many, after the file was read
slots()
{
	: > "$D/out"
	echo "read $1" >&"$in"
	wait_for 60 grep -q '^read' "$D/out" && grep -qx "read $1: 0 slots $2 $3 $4" "$D/out"
}

will_have()
{
	wait_for 60 slots "$@" && return
	sed 's/^/# /' "$D/out"
	return 1
}

check "a quorum is made" quorum_make || exit 1
"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
echo 'feature_level = 5' >> "$D/1.conf"
for n in 1 2 3; do
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
check "the level is the one before" wait_for 60 levels_are 5
check "there are none" listed 'version 0'
check "nothing is set before all members know it" \
	refuses 'before all members know the feature level' policy set /a cache=keep
sed -i '/^feature_level/d' "$D/1.conf"
member_end 1 TERM
member_start 1
check "the level rises" wait_for 60 levels_are 6 || exit 1

check "one is set" policy set /a cache=keep
check "another one, above" policy set / cache=once
check "one with a space" policy set '/a b/c' cache=normal
check "what is so already is no change" policy set /a cache=keep
check "all are listed" \
	listed 'version 3\n/ cache=once\n/a cache=keep\n/a\\040b/c cache=normal'
check "one is changed" policy set / cache=normal
check "one is removed" policy remove /a
check "... and is not there to be removed" refuses 'there is no policy of that path' policy remove /a
check "the version rose with what was done only" \
	listed 'version 5\n/ cache=normal\n/a\\040b/c cache=normal'

check "a client's key is refused" refuses "only with the quorum's own key" \
	"$BIN/datafs" policy set /a cache=keep --members "$MEMBERS" --key-file "$D/client.key"
check "... but lists" eval '"$BIN/datafs" policy list --members "$MEMBERS" \
	--key-file "$D/client.key" | grep -qx "version 5"'
check "a value that is none is refused" refuses 'usage' policy set /a cache=hot
check "... and none at all" refuses 'usage' policy set /a
check "... and two" refuses 'usage' policy set /a cache=keep cache=once
check "a path that is none is refused" refuses 'does not begin with a slash' \
	policy set a cache=keep
check "nothing of that was done" listed 'version 5\n/ cache=normal\n/a\\040b/c cache=normal'

mkdir -p "$D/src/raw" "$D/src/hot"
for f in raw/1 raw/2 hot/1 plain; do
	head -c 2000000 /dev/zero > "$D/src/$f"
done
check "a store is mounted" mount_table add /s "$D/src"
check "a daemon mounts the quorum" daemon_start
check "its files are read, and have the class of no policy" slots /s/plain 1 0 0
check "... another one as well" slots /s/raw/1 2 0 0
policy set /s/raw cache=once
policy set /s cache=keep
check "what is read again is of the policy's class soon" will_have /s/plain 1 1 0
check "... by the longest path" slots /s/raw/1 0 1 1
check "... and what is new" slots /s/raw/2 0 1 2
check "... and" slots /s/hot/1 0 2 2
policy remove /s
check "a policy that is removed holds no more" will_have /s/plain 1 1 2
policy remove /s/raw
check "... nor another one" will_have /s/raw/1 2 1 1
echo end >&"$in"
wait "$daemon"
check "the daemon ends" [ $? -eq 0 ]
exec {in}>&-
check "each was a version" listed \
	'version 9\n/ cache=normal\n/a\\040b/c cache=normal'

check "all have applied the same" wait_for 60 all_equal
for n in 1 2 3; do
	member_end $n KILL
done
for n in 1 2 3; do
	member_start $n
done
check "all members are killed and started again: nothing is lost" \
	wait_for 60 listed 'version 9\n/ cache=normal\n/a\\040b/c cache=normal'
check "a backup is taken" meta backup "$D/backup"
check "one more is set" policy set /z cache=once
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
check "it has the same policies" \
	wait_for 60 listed 'version 9\n/ cache=normal\n/a\\040b/c cache=normal'
member_end 4 TERM
exit "$FAILED"
