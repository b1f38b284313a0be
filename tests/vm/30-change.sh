#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 mem=2048 disk=2G timeout=2400
#
# What changes in the source is seen, whole or not at all.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=256M

# fill CHARACTER BYTES FILE
fill()
{
	head -c "$2" /dev/zero | tr '\0' "$1" > "$3"
}

# Behind the grain of the source's clock, so that each change can be told.
tick()
{
	sleep 0.05
}

# What the holder of an open and mapped file says.
held()
{
	local line

	echo "$1" >&"${HOLD[1]}"
	read -r -t 60 line <&"${HOLD[0]}" || line=nothing
	echo "$line"
}

hold_file()
{
	local line

	coproc HOLD { exec hold "$1"; }
	HOLDER=$HOLD_PID
	read -r -t 60 line <&"${HOLD[0]}"
	[ "$line" = ready ]
}

release_file()
{
	eval "exec ${HOLD[1]}>&-"
	wait "$HOLDER"
}

load
for f in rename overwrite grow shrink remove; do
	fill a 300000 "$SRC/$f"
done
mkdir -p "$SRC/dir"
: > "$SRC/dir/old"
fill a 5000 "$SRC/type"
ln -s a "$SRC/link"
check "mount" mnt "$SRC" "$MNT" sync_interval=always || finish

# Replaced by rename: another file under the name.
check "a file is held open" hold_file "$MNT/rename"
is "its bytes" "$(held read)" = "300000 a"
is "by mmap" "$(held map)" = a
fill b 400000 "$SRC/new"
mv "$SRC/new" "$SRC/rename"
is "replaced: a new open has the new bytes" "$(tr -d b < "$MNT/rename" | wc -c) $(stat -c %s "$MNT/rename")" = "0 400000"
got=$(held read)
case $got in
"300000 a"|ESTALE)	ok "the old open has the old bytes, or ESTALE ($got)" ;;
*)			not_ok "the old open has '$got'" ;;
esac
check "released" release_file

# Overwritten in place: the same file, other bytes, the same size.
check "a file is held open" hold_file "$MNT/overwrite"
is "its bytes" "$(held read)" = "300000 a"
is "by mmap" "$(held map)" = a
is "by O_DIRECT" "$(held direct)" = "300000 a"
tick
fill b 300000 "$SRC/overwrite"
is "overwritten: a new open has the new bytes" "$(tr -d b < "$MNT/overwrite" | wc -c)" -eq 0
is "the old open as well" "$(held read)" = "300000 b"
is "by mmap as well" "$(held map)" = b
is "by O_DIRECT as well" "$(held direct)" = "300000 b"
tick
printf z | dd of="$SRC/overwrite" conv=notrunc status=none
is "one byte: a new open" "$(head -c 2 "$MNT/overwrite")" = zb
is "by mmap" "$(held map)" = z
is "the old open" "$(held read)" = "300000 mixed"
check "released" release_file

check "a file is held open" hold_file "$MNT/grow"
is "its bytes" "$(held read)" = "300000 a"
tick
head -c 12345 /dev/zero | tr "\0" a >> "$SRC/grow"
is "grown: stat" "$(stat -c %s "$MNT/grow")" -eq 312345
is "a new open" "$(tr -d a < "$MNT/grow" | wc -c) $(wc -c < "$MNT/grow")" = "0 312345"
is "the old open" "$(held read)" = "312345 a"
is "by O_DIRECT" "$(held direct)" = "312345 a"
check "released" release_file

check "a file is held open" hold_file "$MNT/shrink"
is "its bytes" "$(held read)" = "300000 a"
is "by mmap" "$(held map)" = a
tick
truncate -s 100 "$SRC/shrink"
is "truncated: stat" "$(stat -c %s "$MNT/shrink")" -eq 100
is "a new open" "$(wc -c < "$MNT/shrink")" -eq 100
is "the old open" "$(held read)" = "100 a"
is "by mmap, what is left" "$(held map)" = a
tick
truncate -s 0 "$SRC/shrink"
is "to nothing: stat" "$(stat -c %s "$MNT/shrink")" -eq 0
is "the old open" "$(held read)" = "0 -"
is "by mmap, nothing is left" "$(held map)" = SIGBUS
tick
truncate -s 5000 "$SRC/shrink"
is "a hole instead" "$(tr -d '\0' < "$MNT/shrink" | wc -c) $(wc -c < "$MNT/shrink")" = "0 5000"
check "released" release_file

check "a file is held open" hold_file "$MNT/remove"
is "its bytes" "$(held read)" = "300000 a"
rm "$SRC/remove"
check "removed: the name is gone" test ! -e "$MNT/remove"
got=$(held read)
case $got in
"300000 a"|ESTALE)	ok "the old open has the old bytes, or ESTALE ($got)" ;;
*)			not_ok "the old open of a removed file has '$got'" ;;
esac
check "released" release_file

is "a directory" "$(names "$MNT/dir")" = "old "
: > "$SRC/dir/new"
is "a new name is listed" "$(names "$MNT/dir")" = "new old "
check "and found" test -e "$MNT/dir/new"
check "no such name" test ! -e "$MNT/dir/later"
: > "$SRC/dir/later"
check "a name that was not there is found" test -e "$MNT/dir/later"
rm "$SRC/dir/new"
is "a removed name is not listed" "$(names "$MNT/dir")" = "later old "
check "nor found" test ! -e "$MNT/dir/new"
mv "$SRC/dir/old" "$SRC/dir/renamed"
is "a renamed one" "$(names "$MNT/dir")" = "later renamed "
mkdir "$SRC/dir2" && mv "$SRC/dir" "$SRC/dir2/dir"
check "a moved directory is gone here" test ! -e "$MNT/dir"
is "and is there" "$(names "$MNT/dir2/dir")" = "later renamed "

is "a regular file" "$(stat -c %F "$MNT/type")" = "regular file"
rm "$SRC/type"; mkdir "$SRC/type"; : > "$SRC/type/inside"
is "becomes a directory" "$(stat -c %F "$MNT/type") $(names "$MNT/type")" = "directory inside "
rm -r "$SRC/type"; ln -s dir2 "$SRC/type"
is "becomes a symlink" "$(readlink "$MNT/type")" = dir2
rm "$SRC/type"; fill c 6000 "$SRC/type"
is "and a file again" "$(tr -d c < "$MNT/type" | wc -c) $(stat -c %s "$MNT/type")" = "0 6000"
is "a symlink" "$(readlink "$MNT/link")" = a
ln -sfn bb "$SRC/link"
is "has another target" "$(readlink "$MNT/link")" = bb
chmod 640 "$SRC/type"
is "another mode" "$(stat -c %a "$MNT/type")" = 640
chown 12:34 "$SRC/type"
is "another owner" "$(stat -c %u:%g "$MNT/type")" = 12:34
touch -d @1000000000 "$SRC/type"
is "another time" "$(stat -c %Y "$MNT/type")" = 1000000000
setfattr -n user.a -v 1 "$SRC/type"
is "a new attribute" "$(getfattr --absolute-names --only-values -n user.a "$MNT/type")" = 1
setfattr -n user.a -v 2 "$SRC/type"
is "another value" "$(getfattr --absolute-names --only-values -n user.a "$MNT/type")" = 2

check "generations by rename, 8 readers" blend -g 100 -r 8 "$SRC" "$MNT"
check "generations by rename, in bursts" blend -g 400 -e 20 -r 4 "$SRC" "$MNT"
check "a file that grows, 8 readers" blend -w append -g 100 -r 8 "$SRC" "$MNT"
check "a file that grows, in bursts" blend -w append -g 400 -e 20 -r 4 "$SRC" "$MNT"
count_is "contents changed" "$(stat_of content_changes)" -gt 0
check "unmount" umnt "$MNT"

# What was changed while nothing was mounted.
fill a 70000 "$SRC/overwrite"
check "mount" mnt "$SRC" "$MNT"
is "its bytes" "$(tr -d a < "$MNT/overwrite" | wc -c)" -eq 0
check "unmount" umnt "$MNT"
fill b 70000 "$SRC/overwrite"
check "mount" mnt "$SRC" "$MNT" sync_interval=1000
is "changed while unmounted: the new bytes" "$(tr -d b < "$MNT/overwrite" | wc -c)" -eq 0
check "unmount" umnt "$MNT"

# With an interval a change is seen later, but it is seen.
check "mount with an interval" mnt "$SRC" "$MNT" sync_interval=0.5
is "its bytes" "$(tr -d b < "$MNT/overwrite" | wc -c)" -eq 0
fill c 70000 "$SRC/overwrite"
changed()
{
	[ "$(tr -d c < "$MNT/overwrite" | wc -c)" -eq 0 ]
}
check "a change is seen" until_true 30 changed
check "unmount" umnt "$MNT"
finish
