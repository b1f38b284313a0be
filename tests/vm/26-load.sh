#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug cpus=1 mem=1536 disk=4G timeout=1800
#
# datafs load, du, stat and free: what is loaded is read without a request, what is
# freed is fetched again, and what was interrupted goes on; each byte once.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=1G

make_tree()
{
	mkdir -p "$SRC/t/sub" "$SRC/t/other" "$SRC/big" && gen "$SRC/t/nine" 9m 1 &&
	gen "$SRC/t/sub/odd" 100001 2 && : > "$SRC/t/sub/empty" &&
	cp /usr/include/linux/can/*.h "$SRC/t/sub" && ln "$SRC/t/nine" "$SRC/t/again" &&
	ln -s /etc "$SRC/t/link" && ln -s sub/odd "$SRC/t/short" && mkfifo "$SRC/t/pipe" &&
	echo hidden > "$SRC/t/other/below" || return 1
	for i in 1 2 3 4 5; do
		gen "$SRC/big/f$i" 128m "$i" || return 1
	done
}

# bytes_below DIR: each file once, whatever names it has
bytes_below()
{
	find "$1" -type f -printf '%i %s\n' | sort -u | awk '{ n += $2 } END { print n }'
}

# files_below DIR
files_below()
{
	find "$1" -type f -printf '%i\n' | sort -u | wc -l
}

# told NAME: the number that the last command told by it
told()
{
	awk -v k="$1" '$1 == k { print $2 }' /tmp/told
}

# run COMMAND...: what it prints is kept
run()
{
	"$@" > /tmp/told 2> /tmp/errors
}

# cached PATH, sized PATH, counted PATH: by du
du_field()
{
	datafs du "$2" | awk -v n="$1" '!/^#/ { print $n }'
}

requests()
{
	datafs stats --instance default |
		awk '$1 ~ /^under_requests_/ { n += $2 } END { print n }'
}

begun()
{
	[ "$(stat_of under_bytes)" -gt 0 ]
}

load
check "a tree" make_tree || finish
ALL=$(bytes_below "$SRC/t") FILES=$(files_below "$SRC/t") G=$(bytes_below "$SRC/big")
check "mount" mnt "$SRC" "$MNT" sync_interval=never || finish
check "another mount, below it" mnt "$SRC/t/sub" "$MNT/t/other" sync_interval=never,instance=o,cache=$DISK/o

check "--dry-run" run datafs load --dry-run "$MNT/t"
count_is "tells how many files there are" "$(told files)" -eq $((FILES - 1))
ALL=$((ALL - 7)) FILES=$((FILES - 1))
count_is "... and bytes" "$(told bytes)" -eq "$ALL"
count_is "... all of which are missing" "$(told missing)" -eq "$ALL"
count_is "and fetches none" "$(stat_of under_bytes)" -eq 0
count_is "du: nothing is there" "$(du_field 1 "$MNT/t")" -eq 0
count_is "... of so many bytes" "$(du_field 2 "$MNT/t")" -eq "$ALL"

check "load" run datafs load "$MNT/t"
count_is "fetches all of it" "$(told fetched)" -eq "$ALL"
count_is "each byte once" "$(stat_of under_bytes)" -eq "$ALL"
is "and says how far it is" "$(tail -n 1 /tmp/errors)" = "100% $ALL of $ALL"
is "nothing of the mount below" "$(stat_of under_bytes o)" -eq 0
count_is "du: it is there" "$(du_field 1 "$MNT/t")" -eq "$ALL"
count_is "... in so many files" "$(du_field 3 "$MNT/t")" -eq "$FILES"
check "du of where we are" eval '[ "$(cd "$MNT/t" && datafs du | tail -n 1)" = "$ALL $ALL $FILES ." ]'

n=$(requests)
check "what is loaded is right" cmp "$SRC/t/nine" "$MNT/t/nine"
check "a tree of it too" diff -r --no-dereference -x other -x pipe -x again "$SRC/t" "$MNT/t"
drop_pages
check "and again" cmp "$SRC/t/again" "$MNT/t/again"
count_is "reading asks the source for no byte" "$(stat_of under_bytes)" -eq "$ALL"
links=$(($(requests) - n))
count_is "... and only where links lead to" "$links" -le 2
n=$(requests)
check "load again" run datafs load "$MNT/t"
count_is "fetches nothing" "$(told fetched)" -eq 0
count_is "since it is there" "$(told cached)" -eq "$ALL"
count_is "without a request" "$(requests)" -eq "$n"
check "a single file too" run datafs load "$MNT/t/nine"
count_is "of so many bytes" "$(told cached)" -eq $((9 << 20))

check "stat" run datafs stat "$MNT/t/nine"
count_is "knows its size" "$(told size)" -eq $((9 << 20))
count_is "... and what is there of it" "$(told cached)" -eq $((9 << 20))
count_is "its parts are all of it" "$(awk '$1 == "run" { n += $3 } END { print n }' /tmp/told)" -eq $((9 << 20))
read -r _ off len slab at < <(grep ^run /tmp/told)
check "and are where it says" cmp -n "$len" -i "$off:$at" "$SRC/t/nine" "$STORE/$slab"

# ------------------------------------------------------------------- free

small=$(du_field 1 "$MNT/t/sub")
check "free" run datafs free "$MNT/t/nine"
count_is "frees all of it" "$(told freed)" -eq $((9 << 20))
count_is "du: nothing of it is there" "$(du_field 1 "$MNT/t/nine")" -eq 0
count_is "and of the others everything" "$(du_field 1 "$MNT/t/sub")" -eq "$small"
check "it can be read" cmp "$SRC/t/nine" "$MNT/t/nine"
count_is "each byte comes again, once" "$(stat_of under_bytes)" -eq $((ALL + (9 << 20)))
check "a small one, of many in one place" run datafs free "$MNT/t/sub/odd"
count_is "its bytes only" "$(du_field 1 "$MNT/t/sub")" -eq $((small - 100001))
check "it can be read" cmp "$SRC/t/sub/odd" "$MNT/t/sub/odd"
count_is "and comes again" "$(stat_of under_bytes)" -eq $((ALL + (9 << 20) + 100001))
check "free of a tree" run datafs free "$MNT/t"
count_is "frees all of it" "$(told freed)" -eq "$ALL"
count_is "the cache is empty" "$(stat_of cache_used)" -eq 0
check "one that is read all the while" eval 'cat "$MNT/t/nine" > /dev/null &
	datafs free "$MNT/t/nine"; wait; cmp "$SRC/t/nine" "$MNT/t/nine"'

# ---------------------------------------------------------------- trouble

check "a path elsewhere is refused" eval '! datafs load "$SRC/t" 2>&1 | grep -v "not in a mount"'
check "a symbolic link is not followed" eval '! datafs load "$MNT/t/link" > /tmp/told 2>&1 && grep -q "symbolic link" /tmp/told'
rm -f "$SRC/t/sub/odd"
datafs free "$MNT/t/sub" > /dev/null
run datafs load "$MNT/t/sub"
is "what is gone is told by the status" $? -eq 1
check "... and by name" grep -q "^datafs: $MNT/t/sub/odd: " /tmp/errors
count_is "... alone" "$(told failed)" -eq 1
count_is "the others are there" "$(du_field 1 "$MNT/t/sub/error.h")" -eq \
	"$(stat -c %s "$SRC/t/sub/error.h")"
check "only root may" eval '! setpriv --reuid 1000 --clear-groups datafs load "$MNT/t" 2> /dev/null'

# --------------------------------------------------- interrupted, and again

check "unmount" eval 'umnt "$MNT/t/other" && umnt "$MNT"'
forget_cache
drop_all
check "mount again, cold" mnt "$SRC" "$MNT" sync_interval=never
datafs load "$MNT/big" > /tmp/told 2> /tmp/errors &
pid=$!
check "it has begun" until_true 60 begun
kill -INT $pid
wait $pid
is "interrupted" $? -eq 130
check "it says so" grep -q 'goes on from there' /tmp/errors
count_is "which is no failure" "$(told failed)" -eq 0
part=$(told fetched)
count_is "it has a part" "$part" -gt 0
count_is "and not all" "$part" -lt "$G"
count_is "it tells of all that came" "$part" -eq "$(stat_of under_bytes)"
count_is "which is in the cache" "$(du_field 1 "$MNT/big")" -eq "$part"
check "resumed" run datafs load "$MNT/big"
count_is "it fetches the rest" "$(told fetched)" -eq $((G - part))
count_is "each byte came once" "$(stat_of under_bytes)" -eq "$G"
check "and is right" diff -r "$SRC/big" "$MNT/big"
count_is "read without another" "$(stat_of under_bytes)" -eq "$G"
check "unmount" umnt "$MNT"

# What was loaded outlives the daemon.
check "mount again, warm" mnt "$SRC" "$MNT" sync_interval=never
check "load" run datafs load "$MNT/big"
count_is "fetches nothing" "$(told fetched)" -eq 0
check "unmount" umnt "$MNT"
finish
