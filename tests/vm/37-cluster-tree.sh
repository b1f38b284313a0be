#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1,debug cpus=1 swift mem=2048 disk=2G timeout=2400
#
# The table of mounts of a quorum, and its jobs, by two daemons: once `datafs mount` says that it is done
# both trees show it, through the kernel's caches, and while it does not change nobody asks
# for it. A daemon that is stopped delays a change by its lease, and its kernel does not
# believe the table for longer; leaders are killed meanwhile. A directory of an S3 store
# (Swift) or of a web server (nginx) is listed once for both.

. "$DATAFS_TOP/tests/vm/lib.sh"
. "$DATAFS_TOP/tests/vm/quorum.sh"

ROUNDS=${1:-4}
TWO=/mnt/two
WWW=$DISK/www
A=$DISK/a B=$DISK/b
declare -A daemon

# daemon_start NAME ID
daemon_start()
{
	datafs key client "$Q/key" "$2" "$Q/$1.key" || return 1
	datafsd --name "$1" --cache-dir "$DISK/cache-$1" --cache-size 192M --key-file "$Q/$1.key" \
		2> "/run/datafs-$1.log" &
	daemon[$1]=$!
	until_true 60 test -S "/run/datafs/$1.sock"
}

mount_by()
{
	mount -t datafs -o "instance=$1" "$HOSTS:/" "$2"
}

table()
{
	datafs mount "$@" --members "$MEMBERS" --key-file "$Q/key" > /dev/null
}

# reads PATH WANT: both do, at once
reads()
{
	[ "$(cat "$MNT/$1")" = "$2" ] && [ "$(cat "$TWO/$1")" = "$2" ]
}

gone()
{
	[ ! -e "$MNT/$1" ] && [ ! -e "$TWO/$1" ]
}

lists()
{
	[ "$(names "$MNT/$1")" = "$2 " ] && [ "$(names "$TWO/$1")" = "$2 " ]
}

# Each change is looked at by both, who know the state before it by heart.
come_and_go()
{
	local i

	for i in $(seq "$ROUNDS"); do
		gone "x$i" && table add "/x$i" "$A" -o sync_interval=never && reads "x$i/who" a &&
		lists "" "old x$i" && gone "x$i/deep" &&
		table add "/x$i/deep/er" "$B" -o sync_interval=never && reads "x$i/deep/er/who" b &&
		lists "x$i" "deep sub who" && reads "x$i/sub/file" a &&
		table add "/x$i/sub" "$B" -o sync_interval=never && reads "x$i/sub/who" b &&
		gone "x$i/sub/file" && table remove "/x$i" && gone "x$i/who" && reads "x$i/sub/who" b &&
		table remove "/x$i/sub" && gone "x$i/sub" && reads "x$i/deep/er/who" b &&
		table remove "/x$i/deep/er" && gone "x$i" && lists "" old ||
			{ echo "round $i"; names "$MNT"; names "$TWO"; return 1; }
	done
}

# Upcalls of both, so far, by kind
asked()
{
	datafs stats | awk '/^requests_/ { n[$1] += $2 } END { for (k in n) if (n[k]) print k, n[k] }' |
		sort | tr '\n' ' '
}

look()
{
	cat "$MNT/at/sub/file" "$TWO/at/sub/file" && ls -l "$MNT" "$TWO" "$MNT/at/who" &&
		[ ! -e "$MNT/at/none" ] && [ ! -e "$TWO/at/none" ]
} > /dev/null

job()
{
	datafs job "$@" --members "$MEMBERS" --key-file "$Q/key"
}

# in_cache WANT: so many bytes of /at are in the cache of each
in_cache()
{
	[ "$(datafs du "$MNT/at" | tail -n 1 | cut -d ' ' -f 1)" = "$1" ] &&
		[ "$(datafs du "$TWO/at" | tail -n 1 | cut -d ' ' -f 1)" = "$1" ]
}

# Some directories with one object, and three with 120
objects()
{
	local i

	echo s3 > /run/object
	{
		printf 'first%d/x\0/run/object\0' {1..20}
		for i in 1 2 3; do
			printf "many$i/%d\\0/run/object\\0" {1..120}
		done
	} | put_objects bucket/top
}

# listings WHAT: of both daemons together
listings()
{
	echo $(($(stat_of "listings_$1" one) + $(stat_of "listings_$1" two)))
}

# Both list a directory at one time, and see the same.
list()
{
	ls "$TWO/$1" > /run/list.two &
	ls "$MNT/$1" > /run/list.one
	wait $! && cmp /run/list.one /run/list.two && [ "$(wc -l < /run/list.one)" -eq "$2" ]
}

first=0
# Until one has taken a listing from the other: both have a session then.
shared()
{
	first=$((first + 1))
	[ "$first" -le 20 ] && list "s3/first$first" 1 && [ "$(listings taken)" -gt 0 ]
}

# once WHERE REQUESTS LOG PATTERN: a listing of a directory below WHERE takes so many requests,
# which are lines of LOG with that, where @ is the directory's name. A daemon to which the
# quorum does not answer in time asks the store itself: that is told, and counts for nothing.
once()
{
	local i alone taken asked

	for i in many1 many2 many3; do
		alone=$(listings alone) taken=$(listings taken)
		list "$1/$i" 120 || return 1
		[ "$(listings alone)" -eq "$alone" ] || { echo "# $i: alone"; continue; }
		taken=$(($(listings taken) - taken))
		asked=$(grep -c "${4//@/$i}" "$3")
		echo "$i: $asked requests, $taken taken"
		[ "$asked" -eq "$2" ] && [ "$taken" -eq 1 ]
		return
	done
	return 1
}

# What the web server shows.
pages()
{
	local i f

	for i in many1 many2 many3; do
		mkdir -p "$WWW/$i" || return 1
		for f in {1..120}; do
			echo web > "$WWW/$i/$f"
		done
	done
	chmod -R a+rX "$WWW"
}

load
mkdir -p "$TWO" "$A/sub" "$B/sub"
echo a > "$A/who" && echo a > "$A/sub/file" && echo b > "$B/who"
check "a quorum is made" quorum_make || finish
members_start
check "somebody leads" until_true 60 has_leader || done_with
check "a daemon" daemon_start one 1 || done_with
check "and another" daemon_start two 2 || done_with
check "mount" mount_by one "$MNT" || done_with
check "mount by the other" mount_by two "$TWO" || done_with
check "a directory of the quorum" mkdir "$MNT/old"
# The level rises by itself, when all members are known to know it.
check "the table can be changed" until_true 60 table add /at "$A" -o sync_interval=never
check "both see it" reads at/who a
check "both see what is taken out" eval 'table remove /at && gone at && lists "" old'
check "at once, $((6 * ROUNDS)) times" come_and_go

check "one that stays" table add /at "$A" -o sync_interval=never
check "it is looked at" eval 'look && look'
n=$(asked)
for i in 1 2 3 4 5 6 7 8; do
	look || not_ok "look $i"
done
is "while nothing changes nobody is asked" "$(asked)" = "$n"
check "what is on the way to a mount is not removed" eval 'table add /old/in/it "$B" && ! rmdir "$TWO/old" 2> /dev/null && reads old/in/it/who b'
check "... nor moved" eval '! mv "$TWO/old" "$TWO/new" 2> /dev/null && table remove /old/in/it && gone old/in'

who=$(leader)
member_end "$who" KILL
check "a leader is killed: the table is changed" until_true 60 table add /led "$B" -o sync_interval=never
check "... and seen" reads led/who b
member_start "$who"
check "it is back" until_true 60 all_answer

# Its kernel has the names of /led, and cannot be told that they are gone.
check "both know it by heart" reads led/who b
kill -STOP "${daemon[two]}"
check "a stopped daemon delays a change" table remove /led
check "... for the other it is done" [ ! -e "$MNT/led" ]
stat "$TWO/led/who" > /tmp/stale 2>&1 &
pid=$!
sleep 2
check "its kernel believes it no longer: who looks waits" kill -0 $pid
kill -CONT "${daemon[two]}"
check "and is told the truth" eval '! wait $pid && grep -q "No such file" /tmp/stale'
check "both go on" eval 'gone led && table add /led "$A" && reads led/who a'

# What they were asked to show is in the cache already.
check "both are to let go of what is loaded" eval 'ids=$(job add free /at --all | sed -n "s/^id //p")'
is "... each by a job of its own" "$(echo "$ids" | wc -w)" -eq 2
check "... and do" eval 'job wait $ids && until_true 30 in_cache 0'
check "both are to load it" eval 'ids=$(job add load /at --all | sed -n "s/^id //p") && job wait $ids'
check "... and have it, though nobody has read it" in_cache 4
check "what is not there is an error" eval '! job wait "$(job add load /none | sed -n "s/^id //p")"'

# An answer of this store has 100 keys.
if check "an S3 store" swift_up && check "380 objects" objects; then
	check "it is mounted" table add /s3 s3://bucket/top -o \
		"endpoint=$URL,path_style,region=us-east-1,credentials=/run/credentials,sync_interval=never"
	check "one takes a listing from the other" until_true 60 shared
	check "which both ask for at one time: the store is asked once" \
		once s3 2 "$SWIFT/requests" '^GET .*delimiter=.*prefix=top%2F@%2F[& ]'
fi
if check "a web server" eval 'pages && web_up "$WWW"'; then
	check "it is mounted" table add /web http://127.0.0.1:8080/ -o sync_interval=never
	check "a directory of it, by both at one time: the server is asked once" \
		once web 1 "$DISK/web.log" '^GET /@/ '
	kill "$web"
	wait "$web"
fi

check "unmount" umount "$MNT" "$TWO"
for i in one two; do
	kill -TERM "${daemon[$i]}"
	wait "${daemon[$i]}"
	is "daemon $i ends" $? -eq 0
done
check "the members come to the same" until_true 60 all_equal
done_with
