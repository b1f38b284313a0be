#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=2048 disk=2G timeout=2400
#
# Changes of DataFS's own namespace: each does what it does on another filesystem,
# costs one upcall, and is done once, whoever dies meanwhile. The argument says how many
# daemons do (8).

. "$DATAFS_TOP/tests/vm/lib.sh"

KILLS=${1:-8}
NAME=changed
REF=$DISK/ref

# All of a mount: sum of its counters whose names begin with one of the words
asked()
{
	local id sum=0 n f

	id=$(awk -v m="$MNT" '$5 == m { print $3 }' /proc/self/mountinfo)
	id=$(grep -lx "$id" /sys/fs/datafs/*/dev) || return 1
	id=${id%/dev}
	for n in "$@"; do
		for f in "$id"/requests/$n; do
			sum=$((sum + $(cat "$f")))
		done
	done
	echo $sum
}

# cost NAME COUNT OPCODES COMMAND...: what a command asks the daemon for
cost()
{
	local name=$1 want=$2 ops=$3 before

	shift 3
	# shellcheck disable=SC2086 # a list
	before=$(asked $ops)
	check "$name" "$@"
	# shellcheck disable=SC2086
	count_is "$name: requests ($ops)" $(($(asked $ops) - before)) -eq "$want"
}

looking='lookup getattr readdir readlink getxattr listxattr parent'

# A regular file for each name: without opening it, which mknod(1) cannot make.
mknod_all()
{
	/usr/bin/python3 -c 'import os, sys
for n in sys.argv[1:]:
	os.mknod(n, 0o100644)' "$@"
}

stat_files()
{
	/usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(1, 101):
	os.stat("f%d" % i)' "$MNT/count"
}

unlink_files()
{
	/usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(1, 101):
	os.unlink("f%d" % i)' "$MNT/count"
}

none_left()
{
	/usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(1, 101):
	assert not os.path.lexists("f%d" % i)' "$MNT/count"
}

load
mkdir -p "$REF/same" "$MNT"
tap changing "$MNT"
check "mount" mnt :/ "$MNT" || finish
check "it can be written" eval 'grep -q " $MNT rw" /proc/self/mountinfo'

# --- as elsewhere
check "a directory for it" mkdir "$MNT/same" "$MNT/race" "$MNT/count" || finish
tap changes same "$MNT/same" "$REF/same"
tap changes race "$MNT/race" 100

# --- bytes of files, as yet
check "a file" mknod_all "$MNT/file"
for how in '>> "$MNT/file"' '> "$MNT/file"'; do
	check "no write: $how" eval "! { : $how; } 2> /tmp/err && grep -q 'Read-only file system' /tmp/err"
done
check "no truncate" eval '! truncate -s 1 "$MNT/file" 2> /tmp/err && grep -q "Read-only file system" /tmp/err'
is "an empty file is read" "$(cat "$MNT/file" 2>&1)" = ""

# --- what it costs
cost "100 files" 100 "create mknod" mknod_all "$MNT"/count/f{1..100}
cost "their attributes" 0 "$looking" stat_files
cost "100 removed" 100 "unlink rmdir" unlink_files
cost "which are not there" 0 "$looking" none_left
cost "nothing was held" 0 release true

hold()
{
	/usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
os.mknod("held", 0o100640)
fd = os.open("held", os.O_RDONLY)
os.unlink("held")
for i in range(10):
	assert os.fstat(fd).st_nlink == 0
os.close(fd)' "$MNT/count"
}
cost "what is open is held, and let go" 1 release hold
cost "and not asked for" 0 getattr hold
listed()
{
	/usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(50):
	os.mkdir("d%d" % i)
assert len(os.listdir(".")) == 50
for i in range(0, 50, 2):
	os.rmdir("d%d" % i)
assert sorted(os.listdir(".")) == sorted("d%d" % i for i in range(1, 50, 2))
for i in range(50):
	assert os.path.isdir("d%d" % i) == (i % 2 == 1)' "$MNT/count"
}
check "a listing is right after each change" listed
cost "of which each name is known" 0 "lookup getattr" \
	eval 'for i in 1 3 5 7 9; do test -d "$MNT/count/d$i" || exit 1; done'

# --- it is there when all is forgotten
changes tree "$MNT" > /tmp/before
drop_all
check "caches dropped" eval 'changes tree "$MNT" | diff /tmp/before -'
check "unmount" umnt "$MNT"
check "mount again" mnt :/ "$MNT"
check "the same tree" eval 'changes tree "$MNT" | diff /tmp/before -'
check "mount read-only" mount -o remount,ro "$MNT"
check "nothing is made" eval '! mkdir "$MNT/ro" 2> /tmp/err && grep -q "Read-only" /tmp/err'
check "and writable again" mount -o remount,rw "$MNT"
check "unmount" umnt "$MNT"

# --- a source that lies elsewhere stays as it is
check "mount a directory" mnt "$SRC" "$MNT"
check "it cannot be written" eval 'grep -q " $MNT datafs ro" /proc/mounts && ! mkdir "$MNT/new" 2> /dev/null'
check "nor remounted" eval 'mount -o remount,rw "$MNT"; ! mkdir "$MNT/x" 2> /dev/null'
check "unmount" umnt "$MNT"

# --- daemons die
supervise datafsd --name $NAME --cache-dir "$CACHE" --cache-size "$CACHE_SIZE" &
server=$!
check "a daemon" until_true 60 test -S "/run/datafs/$NAME.sock"
check "mount" mount -t datafs -o "instance=$NAME" :/ "$MNT"
check "a directory" mkdir "$MNT/once" "$MNT/killed"

rounds()
{
	changes once "$MNT/once" 1000000 > /run/once.out 2>&1
}

kills()
{
	local i pid at=0 now

	for i in $(seq "$KILLS"); do
		until_true 60 serving "$NAME" || return 1
		# The work goes on for a while with each daemon.
		until_true 60 eval 'now=$(grep -c round /run/once.out); [ "$now" -gt "$((at + i % 3))" ]' || return 1
		at=$now
		read -r pid < /run/daemon.pid
		kill -KILL "$pid"
		kill -0 "$worker" 2> /dev/null || { echo "after kill $i"; tail -n 3 /run/once.out; return 1; }
	done
}

rounds &
worker=$!
check "$KILLS daemons are killed in a loop of changes" kills
check "a daemon at the end" until_true 60 serving $NAME
kill -0 $worker 2> /dev/null || not_ok "each was done once" /run/once.out
pkill -TERM -P $worker
wait $worker
count_is "rounds, each change done once" "$(grep -c round /run/once.out)" -ge "$KILLS"
check "no round failed" eval '! grep -v "^# round" /run/once.out'
for op in mkdir create link unlink rename setattr setxattr; do
	echo "# $op sent again: $(stat_of requeued_$op $NAME)"
done
# One change may be on its way still.
remembered()
{
	changes tree "$MNT/once" > /tmp/before
	drop_all
	changes tree "$MNT/once" | diff /tmp/before -
}
check "what is known is what is there" until_true 30 remembered

# Who waits for a daemon that does not answer, or is about to, is killed: whether it was
# done or not, all agree.
interrupt()
{
	local i waiters=

	seq -f "$MNT/killed/p%g" "$1" "$2" | xargs mkdir || return 1
	for i in $(seq "$1" "$2"); do
		# Then only the change itself waits.
		[ ! -e "$MNT/killed/p$i/d" ] || return 1
	done
	[ -z "$3" ] || kill -STOP "$3"
	for i in $(seq "$1" "$2"); do
		mkdir "$MNT/killed/p$i/d" 2> /dev/null &
		waiters="$waiters $!"
		[ -n "$3" ] || sleep "0.0$((i % 10))"
		[ -n "$3" ] || kill -KILL $!
	done
	if [ -n "$3" ]; then
		sleep 1
		for i in $waiters; do
			kill -KILL "$i"
		done
		kill -CONT "$3"
	fi
	for i in $waiters; do
		wait "$i"
	done
	return 0
}
agree()
{
	/usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(1, 41):
	p = "p%d" % i
	n = int(os.path.isdir(p + "/d"))
	assert os.listdir(p) == ["d"] * n
	assert os.stat(p).st_nlink == 2 + n' "$MNT/killed"
}
read -r pid < /run/daemon.pid
check "20 waiters are killed" interrupt 1 20 "$pid"
check "and 20 on their way" interrupt 21 40 ""
check "names, listings and attributes agree" until_true 30 agree
(cd "$MNT/killed" && find . | sort) > /tmp/before
drop_all
check "also with caches dropped" eval 'agree && (cd "$MNT/killed" && find . | sort) | diff /tmp/before -'

: > /run/stop
check "unmount" umount "$MNT"
kill -TERM "$(cat /run/daemon.pid)"
wait $server
finish
