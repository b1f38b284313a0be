#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug mem=1024 disk=2G timeout=2400
#
# What is known for ever is forgotten when somebody says that it has changed: that
# and nothing else, at once, also for answers that are under way.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=256M

upcalls()
{
	local op n=0

	for op in lookup getattr; do
		n=$((n + $(stat_of requests_$op)))
	done
	echo $n
}

load
mkdir -p "$SRC/a/sub" "$SRC/b"
echo one > "$SRC/a/file"
echo one > "$SRC/b/file"
ln -s one "$SRC/a/link"
check "mount" mnt "$SRC" "$MNT" sync_interval=never || finish
look()
{
	cat "$MNT/a/file" "$MNT/b/file" && readlink "$MNT/a/link" &&
	ls -l "$MNT/a" "$MNT/b" && [ ! -e "$MNT/a/new" ] && [ ! -e "$MNT/b/new" ]
}
check "all of it is known" look
rm "$SRC/a/link"
ln -s two "$SRC/a/link"
for d in a b; do
	echo two, and longer > "$SRC/$d/file"
	echo new > "$SRC/$d/new"
done
before=$(upcalls)
check "and for ever" look
is "the old is read" "$(cat "$MNT/a/file")" = one
count_is "no upcall" $(($(upcalls) - before)) -eq 0

check "a file is invalidated" datafs invalidate "$MNT/a/file"
is "its new bytes are read" "$(cat "$MNT/a/file")" = "two, and longer"
before=$(upcalls)
is "the other file is as before" "$(cat "$MNT/b/file")" = one
check "what is not in its directory is not there" [ ! -e "$MNT/a/new" ]
count_is "no upcall" $(($(upcalls) - before)) -eq 0

mount -t tmpfs none "$MNT/a/sub"
check "a directory is invalidated" datafs invalidate "$MNT/a"
is "its new name is there" "$(cat "$MNT/a/new")" = new
is "its changed link leads elsewhere" "$(readlink "$MNT/a/link")" = two
is "it is listed anew" "$(names "$MNT/a")" = "file link new sub "
check "what is mounted below stays" mountpoint -q "$MNT/a/sub"
umount "$MNT/a/sub"
before=$(upcalls)
check "what is not in the other one is not there" [ ! -e "$MNT/b/new" ]
is "its file is as before" "$(cat "$MNT/b/file")" = one
count_is "no upcall" $(($(upcalls) - before)) -eq 0

rm "$SRC/a/new"
check "a directory again" datafs invalidate "$MNT/a"
check "a removed name is gone" [ ! -e "$MNT/a/new" ]

exec 7< "$MNT/b/file"
check "the whole mount" datafs invalidate --all "$MNT/b/file"
is "new bytes" "$(cat "$MNT/b/file")" = "two, and longer"
is "new names" "$(names "$MNT/b")" = "file new "
is "who had it open reads the new bytes" "$(cat <&7)" = "two, and longer"
exec 7<&-
before=$(upcalls)
check "and is known for ever again" eval 'names "$MNT/b" > /dev/null; cat "$MNT/b/new" "$MNT/a/file"'
before=$(upcalls)
check "without a question" stat "$MNT/b/new" "$MNT/a/file" "$MNT/b/file"
count_is "no upcall" $(($(upcalls) - before)) -eq 0
count_is "the kernel was told" "$(stat_of invalidations)" -eq 4

# What is known from before is doubted by the next daemon too.
echo three > "$SRC/b/file"
check "the whole mount again" datafs invalidate --all "$MNT"
guards | xargs -r kill -STOP
kill_daemon=$(daemons)
kill -KILL "$kill_daemon"
guards | xargs -r kill -CONT
check "another daemon comes" until_true 60 eval \
	'[ -n "$(daemons)" ] && [ "$(daemons)" != "$kill_daemon" ]'
is "it looks at what its predecessor was told of" "$(cat "$MNT/b/file")" = three

# Without a daemon too: what has changed waits, what has not answers.
check "a file is known" cat "$MNT/a/file"
echo four > "$SRC/b/file"
check "the whole mount, and the daemon goes" datafs invalidate --all "$MNT"
cat "$MNT/a/file" > /dev/null
guards | xargs -r kill -STOP
kill -KILL "$(daemons)"
check "it is gone" until_true 30 grep -q GRACE /sys/fs/datafs/*/state
is "what was asked for since answers" "$(cat "$MNT/a/file")" = "two, and longer"
cat "$MNT/b/file" > /run/late 2>&1 &
reader=$!
check "the other one waits" until_true 30 eval \
	'[ "$(cat /sys/fs/datafs/*/requests_pending/* | paste -sd+ | bc)" -ge 1 ]'
guards | xargs -r kill -CONT
wait $reader
is "for the next daemon" "$(cat /run/late)" = four

# The contract.
check "items that break it are refused" invalidate bad "$MNT"
check "a path elsewhere is refused" eval '! datafs invalidate /proc 2> /run/err && grep -q "not in a mount" /run/err'
check "no path is refused" eval '! datafs invalidate --all 2> /run/err && grep -q usage /run/err'
: > "$SRC/gone"
check "a file" datafs invalidate "$MNT"
exec 7< "$MNT/gone"
rm "$SRC/gone"
check "one that is gone" datafs invalidate "$MNT/gone"
check "is gone" [ ! -e "$MNT/gone" ]
exec 7<&-
check "a name that nobody knows" invalidate name "$MNT" a none
check "unmount" umnt "$MNT"

tap invalidate races "$MNT"
finish
