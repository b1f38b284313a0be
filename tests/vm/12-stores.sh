#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 cpus=1 swift mem=2048 disk=2G timeout=2400
#
# Stores that are reached by HTTP, through a mount: the files of a web server (nginx), and
# a bucket of an S3 store (Swift). The servers' own logs say how many requests it took.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
WWW=$DISK/www
LOG=$DISK/web.log
ODD=$DISK/odd

make_files()
{
	mkdir -p "$WWW/dir/deep" "$WWW/empty" "$WWW/a space" &&
	gen "$WWW/big" 9m 1 && gen "$WWW/dir/small" 5k 2 && gen "$WWW/dir/deep/page" 64k 3 &&
	: > "$WWW/dir/none" && echo percent > "$WWW/100% +ä" && echo two > "$WWW/a space/b c" &&
	for i in $(seq 12); do
		echo "$i" > "$WWW/dir/f$i" || return 1
	done
	chmod -R a+rX "$WWW" "$DISK"
	# Not of this second: what is changed within one a web server cannot tell.
	find "$WWW" -type f -exec touch -d '1 hour ago' {} +
}

# requests FILE METHOD: how many it has, once no more come
requests()
{
	sleep 1
	grep -c "^$2 " "$1"
}

# Names, types and the sizes of files
tree()
{
	(cd "$1" && find . -mindepth 1 \( -type d -printf '%p d\n' \) -o -printf '%p %s\n' | sort)
}

same_tree()
{
	diff <(tree "$1") <(tree "$2")
}

same_bytes()
{
	diff <(cd "$1" && find . -type f -exec sha256sum {} + | sort) \
	     <(cd "$2" && find . -type f -exec sha256sum {} + | sort)
}

# shown SOURCE LOG DIRS OPTIONS: mounted at $MNT, it is what is in $WWW
shown()
{
	local name=${1%%:*} before

	check "$name: mount" mnt "$1" "$MNT" "sync_interval=never,$4" || return 1
	: > "$2"
	check "$name: names and sizes" same_tree "$WWW" "$MNT"
	is "$name: a request for each directory" "$(requests "$2" GET)" -eq "$3"
	before=$(wc -l < "$2")
	check "$name: once more" same_tree "$WWW" "$MNT"
	is "$name: without a request" "$(wc -l < "$2")" -eq "$before"
	check "$name: every byte" same_bytes "$WWW" "$MNT"
	before=$(wc -l < "$2")
	drop_all
	check "$name: again, when the kernel has forgotten it" same_bytes "$WWW" "$MNT"
	is "$name: no request" "$(wc -l < "$2")" -eq "$before"
	check "$name: what is not there" test ! -e "$MNT/dir/not-there"
	check "$name: it is read-only" eval '! touch "$MNT/new" 2> /tmp/err && grep -q "Read-only" /tmp/err'
	check "$name: unmount" umnt "$MNT"
	check "$name: mount again, with what is cached" mnt "$1" "$MNT" "sync_interval=never,$4"
	: > "$2"
	check "$name: every byte of it" same_bytes "$WWW" "$MNT"
	is "$name: none is fetched" "$(stat_of under_bytes)" -eq 0
	check "$name: unmount again" umnt "$MNT"
}

# What is changed is seen as a whole, old or new.
changes()
{
	check "$1: mount, to look each time" mnt "$2" "$MNT" "sync_interval=always,$3"
	is "$1: a file" "$(cat "$MNT/dir/f7")" = 7
	check "$1: it is changed" "$4" dir/f7 "a longer text"
	is "$1: the new text" "$(cat "$MNT/dir/f7")" = "a longer text"
	check "$1: one is made" "$4" dir/made "made later"
	is "$1: it is there" "$(cat "$MNT/dir/made")" = "made later"
	check "$1: and listed" eval 'ls "$MNT/dir" | grep -qx made'
	check "$1: it goes" "$5" dir/made
	check "$1: it is not there" test ! -e "$MNT/dir/made"
	check "$1: nor listed" eval '! ls "$MNT/dir" | grep -qx made'
	check "$1: as it was" "$4" dir/f7 7
	is "$1: the old text" "$(cat "$MNT/dir/f7")" = 7
	check "$1: unmount at the end" umnt "$MNT"
}

www_put()
{
	echo "$2" > "$WWW/new" && touch -d "1 hour ago $((RANDOM % 1000)) seconds ago" "$WWW/new" &&
		mv "$WWW/new" "$WWW/$1"
}

www_del()
{
	rm "$WWW/$1"
}

check "files" make_files || finish
load
check "nginx" web_up "$WWW" || finish
# The root, "a space", dir, dir/deep and empty.
shown http://127.0.0.1:8080/ "$LOG" 5 "file_mode=444"
changes http http://127.0.0.1:8080/ concurrency=4 www_put www_del
refused()
{
	! mnt "$1" "$MNT" "$2" 2> /tmp/err && grep -q "$3" /tmp/err
}
check "http: an option of another store" refused http://127.0.0.1:8080/ path_style "log says why"
check "a value that is none" refused http://127.0.0.1:8080/ concurrency=0 "wanted NUMBER"
check "a server that is not there" refused http://127.0.0.1:8081/ concurrency=1 "log says why"
kill "$web"
wait "$web"

s3_put()
{
	printf '%s\n' "$2" > /run/object && curl_s3 "bucket/top/$1" -T /run/object
}

s3_del()
{
	curl_s3 "bucket/top/$1" -X DELETE
}

fill_bucket()
{
	# A directory without an object in it needs one that says so.
	{
		printf 'empty/\0%s/dir/none\0' "$WWW"
		(cd "$WWW" && find . -type f -printf "%P\\0$WWW/%P\\0")
	} | put_objects bucket/top
}

# Keys of any bytes but NUL. Those that are names are files of $ODD, too; those that are not, are not.
long=$(printf '%0199d/' 1 2 3 4 5)$(printf '%020d' 6)
odd_names=(" " "a b " "100%" "%41" "%2F" "a+b" "?" "a?b=c&d;e" "#x" "~" "'\"\`" "\\" "<x>" "*" "[x]" "-rf"
	"..." "..a" $'new\nline' $'\t' $'\r' $'\x01' $'\x7f' "ü€" $'u\xcc\x88' $'\xf0\x9f\x90\xa7'
	both both-and both.and n/f sub/"a b"/"%41" "$long")
no_names=(/lead // //x ./x ../x n/. n/.. n/./x n/../x n//x n//f only//x "$(printf '%0256d' 7)"
	"n/$(printf '%0256d' 8)/x" both/below both/sub/below)

# Objects of these keys, that have the key in them
odd_keys()
{
	local k n=0

	# One directory is empty, and of one nothing can be shown.
	mkdir -p "$ODD/marker" "$ODD/only" /run/objects && : > /run/objects/none || return 1
	for k in "${odd_names[@]}"; do
		case $k in
		*/*)	mkdir -p "$ODD/${k%/*}" ;;
		esac
		printf '%s' "$k" > "$ODD/$k" || return 1
	done
	printf 'marker/\0/run/objects/none\0' > /run/pairs
	for k in "${odd_names[@]}" "${no_names[@]}"; do
		n=$((n + 1))
		printf '%s' "$k" > "/run/objects/$n" || return 1
		printf '%s\0/run/objects/%d\0' "$k" "$n"
	done >> /run/pairs
	put_objects bucket/odd < /run/pairs
}

# Names that are too long, or no UTF-8, or of nothing that is shown
odd_errors()
{
	local name

	stat "$MNT/$(printf '%0256d' 7)" 2>&1 | grep "name too long" || return 1
	for name in $'\xff' $'n/\xc3' x lead n/x only/x both.and/; do
		! stat "$MNT/$name" 2> /dev/null || return 1
	done
}

odd()
{
	check "S3: odd keys" odd_keys || return
	check "S3: odd keys: mount" mnt s3://bucket/odd "$MNT" "sync_interval=always,$1" || return
	check "S3: odd keys: names and sizes" same_tree "$ODD" "$MNT"
	check "S3: odd keys: every byte" same_bytes "$ODD" "$MNT"
	is "S3: odd keys: so many" "$(find "$MNT" -type f -printf x | wc -c)" -eq ${#odd_names[@]}
	drop_all
	check "S3: odd keys: looked at by name" same_bytes "$ODD" "$MNT"
	check "S3: odd keys: what is none" odd_errors
	check "S3: of a file and a directory of one name, the file" test -f "$MNT/both"
	check "S3: nothing is below it" eval '! stat "$MNT/both/below" 2> /tmp/err && grep -q "Not a dir" /tmp/err'
	check "S3: the file goes" curl_s3 bucket/odd/both -X DELETE
	is "S3: the directory is there" "$(cat "$MNT/both/sub/below")" = both/sub/below
	is "S3: and what is in it" "$(names "$MNT/both")" = "below sub "
	check "S3: the log says what is not shown" grep -q 'list of "odd/n/": .* not shown' /run/datafs/*.log
	check "S3: odd keys: unmount" umnt "$MNT"
}

check "an S3 store" swift_up || finish
check "objects" fill_bucket
opts=endpoint=$URL,path_style,region=us-east-1,credentials=/run/credentials
shown s3://bucket/top "$SWIFT/requests" 5 "$opts"
changes s3 s3://bucket/top "$opts" s3_put s3_del
odd "$opts"
check "no secret is told" eval '! grep -rlE "testing|[Ss]ignature=" /run/datafs /proc/mounts /tmp/err'
finish
