#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 mem=2048 disk=2G timeout=2400
#
# A quorum of three members in this guest, and mounts of it: leaders are killed under
# load and nobody sees an error, the daemon is killed with the mounts in place, all members
# are, and what waits for them waits without holding up anything else. The argument
# says how many leaders are killed (2); from 5 on each operation is compared with ext4,
# too, as 35-changes.sh does with a quorum of one.

. "$DATAFS_TOP/tests/vm/lib.sh"
. "$DATAFS_TOP/tests/vm/quorum.sh"

KILLS=${1:-2}
NAME=client
TWO=/mnt/two
LOCAL=/mnt/local

# --- the load

rounds()
{
	changes once "$MNT/once" 1000000 > /run/once.out 2>&1
}

count_rounds()
{
	grep -c '^# round' /run/once.out
}

more_rounds()
{
	[ "$(count_rounds)" -gt "$1" ]
}

# Two more than there are: the last one was begun after this was called.
goes_on()
{
	until_true 120 more_rounds $(($(count_rounds) + 1))
}

leaders_die()
{
	local i who

	for i in $(seq "$KILLS"); do
		until_true 60 has_leader || { echo "no leader before kill $i"; return 1; }
		who=$(leader)
		member_end "$who" KILL
		goes_on || { echo "nothing goes on after kill $i of $who"; tail -n 3 /run/once.out; return 1; }
		member_start "$who"
		goes_on || return 1
		until_true 60 all_answer || { echo "member $who is not back"; status; return 1; }
	done
}

daemon_dies()
{
	local old

	read -r old < /run/daemon.pid
	kill -KILL "$old"
	until_true 60 eval '[ "$(cat /run/daemon.pid)" != '"$old"' ]' &&
	until_true 60 serving "$NAME" && goes_on
}

same_trees()
{
	changes tree "$MNT/once" > /tmp/one &&
	changes tree "$TWO/once" | diff /tmp/one -
}

load
for dir in "$TWO" "$LOCAL" "$SRC/sub"; do
	mkdir -p "$dir"
done
check "a quorum is made" quorum_make || finish
members_start
check "somebody leads" until_true 60 has_leader || done_with

# --- refused, without a word of a member
supervise datafsd --name $NAME --cache-dir "$CACHE" --cache-size "$CACHE_SIZE" \
	--key-file "$Q/client.key" &
server=$!
check "a daemon" until_true 60 test -S "/run/datafs/$NAME.sock" || done_with

mount_of()
{
	mount -t datafs -o "instance=$NAME" "$1" "$2"
}

refused()
{
	! mount_of "$1" "$MNT" 2> /tmp/err && grep -q "$2" /tmp/err
}

for bad in "a,,b:/" "[::1:/" "h:0:/" "::1,h:/" "h,h:/"; do
	check "refused: $bad" refused "$bad" "host"
done

# --- two mounts through one daemon
check "mount" mount_of "$HOSTS:/" "$MNT" || done_with
check "it can be written" eval 'grep -q " $MNT rw" /proc/self/mountinfo'
check "a second mount, of one member" mount_of "127.0.0.12:/" "$TWO"
at_once()
{
	local i

	for i in $(seq $((4 * KILLS))); do
		mkdir "$MNT/d$i" && [ -d "$TWO/d$i" ] && chmod 711 "$TWO/d$i" &&
		[ "$(stat -c %a "$MNT/d$i")" = 711 ] && mv "$TWO/d$i" "$TWO/e$i" &&
		[ ! -e "$MNT/d$i" ] && rmdir "$MNT/e$i" && [ ! -e "$TWO/e$i" ] || return 1
	done
	[ -z "$(names "$MNT")$(names "$TWO")" ]
}
check "each sees what the other changes, at once" at_once

# --- as elsewhere
mkdir -p "$DISK/ref/same"
check "directories" mkdir "$MNT/same" "$MNT/race" "$MNT/once" "$MNT/sub"
[ "$KILLS" -lt 5 ] || tap changes same "$MNT/same" "$DISK/ref/same"
tap changes race "$MNT/race" $((10 * KILLS))
check "a directory of it is mounted" eval 'umount "$TWO" && mount_of "$HOSTS:/sub" "$TWO" && mkdir "$TWO/x" && [ -d "$MNT/sub/x" ]'
check "and all of it again" eval 'umount "$TWO" && mount_of "$HOSTS:/" "$TWO"'

# --- a quota, as programs meet it
quota()
{
	datafs meta quota-set "$1" --inodes "$2" --bytes "$3" --members "$MEMBERS" \
		--key-file "$Q/key"
}

full()
{
	! "$@" 2> /tmp/err && grep -q "quota exceeded" /tmp/err
}

check "a directory" mkdir "$MNT/quota"
# The level rises by itself, when all members are known to know it.
check "gets a quota" until_true 60 quota /quota 4 1M
check "it has room for three" mkdir "$MNT/quota/a" "$MNT/quota/a/b" "$MNT/quota/c"
check "a fourth is EDQUOT" full mkdir "$MNT/quota/d"
check "so it is below" full mknod "$TWO/quota/a/b/p" p
is "df tells the limit of inodes" "$(df --output=itotal,iavail "$MNT/quota/a/b" | tail -n 1 | tr -s ' ')" = " 4 0"
is "and of bytes" "$(df -B1 --output=size,avail "$MNT/quota" | tail -n 1 | tr -s ' ')" = " 1048576 1048576"
check "beside it there is room" mkdir "$MNT/quota-not"
is "of which df tells no limit" "$(df --output=iavail "$MNT/quota-not" | tail -n 1)" -gt 1000000
check "what is removed is room again" eval 'rmdir "$TWO/quota/c" && mkdir "$MNT/quota/d"'
check "all of it goes" rm -r "$MNT/quota" "$MNT/quota-not"

# --- members and daemons die
rounds &
worker=$!
check "the load begins" goes_on
check "$KILLS leaders are killed under load" leaders_die
check "the daemon is" daemon_dies
check "and once more" daemon_dies
check "then a leader once more" eval 'KILLS=1; leaders_die'
kill -0 $worker 2> /dev/null || not_ok "each was done once" /run/once.out
pkill -TERM -P $worker
wait $worker
count_is "rounds, each change done once" "$(count_rounds)" -ge 10
check "no round failed" eval '! grep -v "^# round" /run/once.out'
check "both mounts show the same" until_true 30 same_trees
drop_all
check "also when all is forgotten" same_trees
check "the members come to the same" until_true 60 all_equal

# --- nobody is there
cp /tmp/one /tmp/before
check "a source of this machine" mount_of "$SRC" "$LOCAL"
members_end KILL
for i in $(seq 60); do
	stat "$MNT/once" > "/run/waiter.$i" 2>&1 &
	waiters[i]=$!
done
check "others are served" eval 'drop_all; [ -d "$LOCAL/sub" ] && umount "$LOCAL" && mount_of "$SRC" "$LOCAL" && [ -d "$LOCAL/sub" ]'
still_waiting()
{
	local i

	for i in $(seq "$1" 60); do
		kill -0 "${waiters[i]}" 2> /dev/null || return 1
	done
}
check "60 wait" still_waiting 1
check "who waits is killed" eval 'kill -KILL "${waiters[@]:1:30}"; wait "${waiters[@]:1:30}"; true'
check "a mount is refused in the end" eval 'mkdir -p /mnt/three; ! mount_of "$HOSTS:/" /mnt/three 2> /tmp/err && grep -Eqi "no route to host|timed out" /tmp/err'
# Two mounts of the same source, which only their devices tell apart.
check "the daemon is killed meanwhile" eval 'read -r pid < /run/daemon.pid; kill -KILL $pid; until_true 60 eval "[ \$(cat /run/daemon.pid) != $pid ]"; until_true 60 serving "$NAME"'
check "its successor serves others" eval 'drop_all; [ -d "$LOCAL/sub" ]'
check "30 wait" still_waiting 31
members_start
answered()
{
	local i

	for i in $(seq 31 60); do
		! kill -0 "${waiters[i]}" 2> /dev/null || return 1
	done
}
check "and go on with the members" until_true 120 answered
no_error()
{
	local i

	for i in $(seq 31 60); do
		wait "${waiters[i]}" || { cat "/run/waiter.$i"; return 1; }
	done
}
check "without an error" no_error
check "nothing is lost" eval 'changes tree "$MNT/once" | diff /tmp/before -'

# --- the end
check "unmount" umount "$LOCAL" "$TWO" "$MNT"
no_sessions()
{
	[ -z "$(ls -A "$CACHE/$NAME/sessions")" ]
}
check "no session is left" until_true 60 no_sessions
: > /run/stop
kill -TERM "$(cat /run/daemon.pid)"
wait $server
check "nobody has halted" eval '! grep -l " halts: " "$Q"/[123].log'
done_with
