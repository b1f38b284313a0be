#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# A backup of a quorum that runs, and what comes of it in a new one: the state that was
# acknowledged before, and a cut between two changes of those that came meanwhile. A
# backup with any byte changed, or with an end too early, makes nothing.

. "$(dirname "$0")/lib.sh"

# load SECONDS
load()
{
	"$PROG/metaload" "$MEMBERS" "$D/key" "$1" 4 "$SEED" < /dev/null > "$D/load.out"
}

members_start()
{
	local n

	for n in 1 2 3; do
		member_start $n
	done
	wait_for 60 eval '[ -n "$(leader)" ]'
}

# restore FILE DIR N ADDRESS
restore()
{
	"$BIN/datafs" meta restore "$@" --key-file "$D/new.key" > "$D/restore.out" 2>&1
}

# conf N DIR ADDRESS
conf()
{
	cat > "$D/$1.conf" <<-END
	id = $1
	dir = $2
	listen = $3
	key_file = $D/new.key
	snapshot_entries = 300
	END
}

# Of the new quorum.
new_meta()
{
	local command=$1

	shift
	"$BIN/datafs" meta "$command" "$@" --members "$NEW" --key-file "$D/new.key"
}

new_leads()
{
	new_meta status 2> /dev/null | grep -q '^state *leads'
}

sum()
{
	"$PROG/metasum" "$1"/db/db-* | cut -d ' ' -f 1,2
}

# damaged FILE WHAT: no directory is made of it, and it says so
damaged()
{
	! restore "$1" "$D/no" 1 127.0.0.1:1 && [ ! -e "$D/no" ] && [ ! -e "$D/no.new" ] &&
		grep -q 'damaged or cut off' "$D/restore.out" && return
	note "not refused: $2"
	return 1
}

# The byte at OFFSET of a copy becomes another.
flipped()
{
	local was

	cp "$D/a" "$D/bad"
	was=$(od -An -tu1 -j "$1" -N 1 "$D/a")
	# shellcheck disable=SC2059 # it is the byte
	printf "\\x$(printf %x $((was ^ (1 << (RANDOM % 8)))))" |
		dd of="$D/bad" bs=1 seek="$1" conv=notrunc 2> /dev/null
	damaged "$D/bad" "byte $1"
}

all_flips()
{
	local i size

	size=$(stat -c %s "$D/a")
	for i in $(seq 0 7 119); do
		flipped "$i" || return
	done
	for i in $(seq 60); do
		flipped $(((RANDOM * 32768 + RANDOM) % size)) || return
	done
	flipped $((size - 1))
}

all_cuts()
{
	local i size

	size=$(stat -c %s "$D/a")
	for i in 0 1 55 56 57 $((size / 2)) $((size - 1)); do
		head -c "$i" "$D/a" > "$D/bad"
		damaged "$D/bad" "its first $i bytes" || return
	done
	{ cat "$D/a"; printf x; } > "$D/bad"
	damaged "$D/bad" "a byte more"
}

check "a quorum is made" quorum_make || exit 1
"$BIN/datafs" key new "$D/new.key" > /dev/null
check "it runs" members_start || exit 1
check "it takes what it is told" load 3
check "all come to the same" wait_for 60 all_equal
check "all end" members_end
check "all have the same state" same_states
before=$(sum "$D/1")
members_start
check "a backup" meta backup "$D/a"
check "only its owner reads it" [ "$(stat -c %a "$D/a")" = 600 ]
check "nothing lies beside it" [ "$(find "$D" -name 'a*' | wc -l)" -eq 1 ]
check "more changes" load 2

"$PROG/metaseq" make "$MEMBERS" "$D/key" > "$D/seq" 2> "$D/seq.err" &
pid[seq]=$!
load 8 &
pid[load]=$!
check "names are made one after the other" wait_for 30 [ -s "$D/seq" ]
sleep 1
first=$(tail -n 1 "$D/seq")
check "a backup while it is changed" meta backup "$D/b"
last=$(($(tail -n 1 "$D/seq") + 1))
sleep 0.5
kill -TERM "${pid[seq]}"
check "nothing was refused meanwhile" wait "${pid[seq]}"
unset "pid[seq]"
check "... nor was any answer wrong" wait "${pid[load]}"
unset "pid[load]"
grep '^wrong' "$D/load.out"
check "a client's key does not do" eval '
	"$BIN/datafs" key client "$D/key" 9 "$D/client.key" > /dev/null &&
	! "$BIN/datafs" meta backup "$D/none" --members "$MEMBERS" --key-file "$D/client.key" \
		2> "$D/client.err" && grep -q "own key" "$D/client.err" && [ ! -e "$D/none" ]'
check "a file that cannot be written is told" eval '! meta backup "$D/none/b" 2> /dev/null'

check "a changed byte is refused" all_flips
check "a backup that is cut off, or longer, is refused" all_cuts
check "with the old cluster's key it is refused" eval \
	'! "$BIN/datafs" meta restore "$D/a" "$D/no" 1 127.0.0.1:1 --key-file "$D/key" 2> /dev/null'
check "a directory with something in it is refused" eval \
	'! restore "$D/a" "$D/1" 1 127.0.0.1:1'

mapfile -t at < <("$PROG/ports" 6)
conf 4 "$D/r4" "${at[3]}"
NEW=${at[3]}
check "the first is restored" restore "$D/a" "$D/r4" 4 "${at[3]}"
member_start 4
check "it leads a quorum of one" wait_for 60 new_leads
check "nobody of the old cluster is heard" eval \
	'! "$BIN/datafs" meta status --members "$NEW" --key-file "$D/key" > /dev/null 2>&1'
member_end 4 TERM
check "it has what was acknowledged before" [ "$(sum "$D/r4")" = "$before" ]

conf 5 "$D/r5" "${at[4]}"
NEW=${at[4]}
check "the second is restored" restore "$D/b" "$D/r5" 5 "${at[4]}"
member_start 5
check "it leads" wait_for 60 new_leads
k=$("$PROG/metaseq" check "$NEW" "$D/new.key")
note "acknowledged before: $first; in the backup: $k; begun before it ended: $last"
check "it has a cut of what was done meanwhile" [ "${k:-0}" -ge "$first" ] && [ "$k" -le "$last" ]
conf 6 "$D/r6" "${at[5]}"
check "another is made to join" "$BIN/datafs-metad" --config "$D/6.conf" --join
member_start 6
check "it is added" new_meta add 6 "${at[5]}"
check "it gets a vote" new_meta promote 6
check "the new one is backed up, right after a change of who is in it" new_meta backup "$D/c"
"$BIN/datafs" key new "$D/third.key" > /dev/null
check "... and can be restored" eval \
	'"$BIN/datafs" meta restore "$D/c" "$D/r7" 7 127.0.0.1:1 --key-file "$D/third.key" > /dev/null 2>&1'
check "the two take changes" eval '"$PROG/metaload" "$NEW" "$D/new.key" 2 4 "$SEED" < /dev/null > "$D/load.out"'
check "members of the new quorum end" eval 'sleep 1; member_end 6 TERM && [ $status -eq 0 ] && member_end 5 TERM && [ $status -eq 0 ]'
check "both have the same state" [ "$(sum "$D/r5")" = "$(sum "$D/r6")" ]
check "the old ones end on a signal" members_end
check "nobody has halted" eval '! grep -l " halts: " "$D"/[1-6].log'
exit "$FAILED"
