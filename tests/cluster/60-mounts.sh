#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=240
#
# `datafs mount`: what it says, to whom, and that each change that was acknowledged is there,
# once, whoever led, and was killed, meanwhile.

. "$(dirname "$0")/lib.sh"

ADDS=24		# while leaders are killed

# mount_by N COMMAND...: through member N
mount_by()
{
	local by=$1

	shift
	"$BIN/datafs" mount "$@" --members "${addr[by - 1]}" --key-file "$D/key"
}

mounts()
{
	"$BIN/datafs" mount "$@" --members "$MEMBERS" --key-file "$D/key"
}

# listed TEXT: it is all that is listed
listed()
{
	[ "$(mounts list)" = "$(printf '%b' "$1")" ] && return
	mounts list | sed 's/^/# /'
	return 1
}

# By all members alike
all_list()
{
	local n

	for n in 1 2 3; do
		[ "$(mount_by "$n" list)" = "$(printf '%b' "$1")" ] || return 1
	done
}

all_know()
{
	[ "$(meta status | awk '/^level/ && $2 == $4 && $2 >= 4' | wc -l)" -eq 3 ]
}

levels_are()
{
	[ "$(meta status | awk '/^level/ && $2 == n' n="$1" | wc -l)" -eq 3 ]
}

check "a quorum is made" quorum_make || exit 1
"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
echo 'feature_level = 3' >> "$D/1.conf"
for n in 1 2 3; do
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
check "the level is the one before" wait_for 30 levels_are 3
check "there is none before all members know them" \
	refuses 'before all members know the feature level' mounts add /a /srv/a
check "... and nothing to be listed" listed 'version 0'
sed -i '/^feature_level/d' "$D/1.conf"
member_end 1 TERM
member_start 1
check "all know them" wait_for 30 all_know || exit 1

check "one is added by a member" mount_by 1 add /data/logs s3://logs/2026 -o region=eu-west-1,read_only
check "... one above it by another" mount_by 2 add /data '/srv/my data'
check "... one over everything by the third" mount_by 3 add / posix:///srv
check "all list them, by their paths" all_list 'version 3
id 3 generation 3 / posix:///srv -
id 2 generation 2 /data /srv/my\\040data -
id 1 generation 1 /data/logs s3://logs/2026 region=eu-west-1,read_only'

check "a second one at a path is refused" refuses 'there is a mount already' mounts add /data /srv/b
check "a path that is not normal is refused" refuses 'ends with a slash' mounts add /x/ /srv/x
check "... with dots" refuses 'is . or ..' mounts add /a/../b /srv/x
check "a relative source is refused" refuses 'is not /DIR' mounts add /x srv/x
check "... and the quorum itself" refuses 'is not /DIR' mounts add /x node1:/x
check "an option that no store has is refused" refuses 'none of that name' \
	mounts add /x /srv/x -o colour=red
check "... a value that it does not take" refuses 'it takes SIZE' mounts add /x /srv/x -o part_size=1
check "... of one that is not the store's own" refuses 'it takes SECONDS' mounts add /x /srv/x -o sync_interval=soon
check "a password in the source is refused" refuses 'it has a password' \
	mounts add /x 's3://key:secret@bucket'
check "... and not shown" eval '! grep -q secret "$D/out"'
check "... in an option" refuses 'it has a password' \
	mounts set / -o endpoint=http://u:secret@h
check "... nor shown" eval '! grep -q secret "$D/out"'
check "... with what ends a host" refuses 'it has a password' mounts add /x 's3://key:a/secret@bucket'
check "a client's key is refused" refuses "only with the quorum's own key" \
	"$BIN/datafs" mount add /x /srv/x --members "$MEMBERS" --key-file "$D/client.key"
check "... but lists" eval '"$BIN/datafs" mount list --members "$MEMBERS" \
	--key-file "$D/client.key" | grep -qx "version 3"'
check "all of that changed nothing" eval 'mounts list | grep -qx "version 3"'

check "options are set, of that generation" mount_by 2 set /data -o uid=7 --generation 2
check "... not of an older one" refuses 'somebody else has changed it' \
	mounts set /data -o uid=8 --generation 2
check "... nor is it removed" refuses 'somebody else has changed it' \
	mounts remove /data --generation 2
check "the one over everything is removed" mount_by 3 remove /
check "... once" refuses 'there is no mount' mounts remove /
check "what is there is listed" all_list 'version 5
id 2 generation 4 /data /srv/my\\040data uid=7
id 1 generation 1 /data/logs s3://logs/2026 region=eu-west-1,read_only'

# Each is sent until it is acknowledged.
adds()
{
	local i

	for ((i = 0; i < ADDS; i++)); do
		mounts add "/n/$i" "/srv/$i" >> "$D/adds" 2>&1 || echo "failed $i" >> "$D/adds"
		echo $i > "$D/at"
	done
}

at_least()
{
	[ "$(cat "$D/at")" -ge "$1" ]
}

: > "$D/adds"
echo -1 > "$D/at"
adds &
pid[adds]=$!
for i in 1 2 3; do
	wait_for 60 at_least $((i * ADDS / 4 - 1))
	check "somebody leads" wait_for 60 eval 'last=$(leader); [ -n "$last" ]' || exit 1
	member_end "$last" KILL
	# the others go on without it
	check "another one leads" wait_for 60 eval '[ -n "$(leader)" ]'
	member_start "$last"
done
wait "${pid[adds]}"
unset "pid[adds]"
sed 's/^/# /' "$D/adds"
check "each of them was acknowledged" [ ! -s "$D/adds" ]
check "all of them are there" [ "$(mounts list | grep -c ' /n/')" -eq $ADDS ]
check "... and were added once" eval 'mounts list | grep -qx "version $((5 + ADDS))"'
check "... with numbers of their own" \
	[ "$(mounts list | awk '$1 == "id" { print $2 }' | sort -u | wc -l)" -eq $((2 + ADDS)) ]

check "a backup has them" meta backup "$D/backup"
"$BIN/datafs" key new "$D/new.key" > /dev/null
mounts list > "$D/list"
check "all have applied the same" wait_for 30 all_equal
check "the members end on a signal" members_end
check "their states are equal" same_states

addr[3]=$("$PROG/ports" 4 | tail -n 1)
check "a new quorum is made of it" "$BIN/datafs" meta restore "$D/backup" "$D/4" 1 "${addr[3]}" \
	--key-file "$D/new.key"
printf 'id = 1\ndir = %s\nlisten = %s\nkey_file = %s\n' "$D/4" "${addr[3]}" "$D/new.key" > "$D/4.conf"
member_start 4
check "it has the same mounts" wait_for 30 eval '"$BIN/datafs" mount list --members "${addr[3]}" \
	--key-file "$D/new.key" 2> /dev/null | cmp -s - "$D/list"'
member_end 4 TERM
exit "$FAILED"
