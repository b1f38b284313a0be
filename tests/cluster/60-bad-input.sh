#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# A member whose disk is damaged, or which is given what is not its own, says which object
# is wrong and what to do, and takes part in nothing; the others serve, and nothing that was
# acknowledged is lost. So do those to whose port somebody sends nonsense.

. "$(dirname "$0")/lib.sh"

acked()
{
	tail -n 1 "$D/seq"
}

at_least()
{
	local is

	is=$(acked)
	[ "${is:-0}" -ge "$1" ]
}

serves_on()
{
	local n

	n=$(acked)
	wait_for 60 at_least $((n + 20))
}

# one_of WHAT MEMBER: that number of its status
one_of()
{
	"$BIN/datafs" meta status --members "${addr[$2 - 1]}" --key-file "$D/key" 2> /dev/null |
		sed -n "s/^$1 *//p"
}

has_applied()
{
	local is

	is=$(one_of applied 3)
	[ "${is:-0}" -ge "$1" ]
}

# Member 3 comes to what was acknowledged by now.
comes_back()
{
	local n

	n=$(one_of commit 1)
	: > "$D/3.log"
	member_start 3
	wait_for 90 has_applied "$n" && return
	sed 's/^/# /' "$D/3.log"
	return 1
}

# What it was, as long as it has not run since.
keep()
{
	rm -rf "$D/3.kept"
	cp -a "$D/3" "$D/3.kept"
}

bring_back()
{
	rm -rf "$D/3"
	cp -a "$D/3.kept" "$D/3"
}

# refused WORDS [OPTION...]: member 3 does not start, and says so; the others serve
refused()
{
	local words=$1

	shift
	timeout 60 "$BIN/datafs-metad" --config "$D/3.conf" "$@" > "$D/3.log" 2>&1
	status=$?
	if [ "$status" -ne 0 ] && [ "$status" -lt 124 ] && grep -q -- "$words" "$D/3.log"; then
		note "$(grep -m 1 -- "$words" "$D/3.log" | sed "s,$D/,,g")"
		serves_on
		return
	fi
	note "status $status"
	sed 's/^/# /' "$D/3.log"
	return 1
}

ended_or_halted()
{
	! kill -0 "${pid[3]}" 2> /dev/null || grep -q ' halts: ' "$D/3.log"
}

# The damage is met when it is opened, or when an entry needs it.
finds_damage()
{
	: > "$D/3.log"
	member_start 3
	wait_for 90 ended_or_halted
	kill -TERM "${pid[3]}" 2> /dev/null
	wait "${pid[3]}"
	unset "pid[3]"
	if grep -q 'namespace in .*3/db' "$D/3.log"; then
		note "$(grep -m 1 'namespace in' "$D/3.log" | sed "s,$D/,,g")"
		serves_on
		return
	fi
	sed 's/^/# /' "$D/3.log"
	return 1
}

only_db()
{
	db=$(find "$D/3/db" -name 'db-*')
	[ -d "$db" ]
}

# flip FILE OFFSET
flip()
{
	local was

	was=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # it is the byte
	printf "\\x$(printf %x $((was ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

# All blocks of a table, but not its end, so that it is one still.
spoil_table()
{
	local size

	size=$(stat -c %s "$1")
	head -c $((size - 100)) "$1" | tr '\001\002\003' '\004\005\006' > "$D/table"
	tail -c 100 "$1" >> "$D/table"
	# as a disk would: the same inode is in a snapshot
	cat "$D/table" > "$1"
}

spoil_tables()
{
	local f n=0

	for f in "$db"/*.ldb; do
		[ ! -e "$f" ] || spoil_table "$f"
		n=$((n + 1))
	done
	[ $n -gt 0 ]
}

# How many of the first blocks of a segment were written, which is as long as it can become.
blocks_of()
{
	head -c 1000000 "$1" 2> /dev/null | od -An -v -tx8 -w4096 | awk '/[1-9a-f]/ { n = NR } END { print n + 0 }'
}

# The open segment that was written to last has some blocks.
open_segment()
{
	local f

	while read -r f; do
		blocks=$(blocks_of "$f")
		[ "$blocks" -eq 0 ] || segment=$f
	done < <(find "$D/3/raft" -name 'open-*' | sort -V)
	blocks=$(blocks_of "$segment")
	[ "$blocks" -ge 4 ]
}

closed_segment()
{
	segment=$(find "$D/3/raft" -regex '.*/[0-9]+-[0-9]+' -size +1k | sort | tail -n 1)
	[ -n "$segment" ]
}

kill_3()
{
	member_end 3 KILL
	keep
}

# ... when it has written to its log for a while.
kill_3_in_segment()
{
	wait_for 60 open_segment && kill_3 && open_segment
}

# What somebody is sent who is no member and no client.
nonsense()
{
	local host=${addr[0]%:*} port=${addr[0]##*:} fd
	local -a fds=()

	for _ in $(seq 20); do
		{ head -c $((RANDOM + 1)) /dev/urandom > "/dev/tcp/$host/$port"; } 2> /dev/null
	done
	{ printf 'GET / HTTP/1.1\r\nHost: datafs\r\n\r\n' > "/dev/tcp/$host/$port"; } 2> /dev/null
	{ head -c 3000000 /dev/zero | tr '\0' '\377' > "/dev/tcp/$host/$port"; } 2> /dev/null
	# who says nothing at all
	for _ in $(seq 100); do
		{ exec {fd}<> "/dev/tcp/$host/$port"; } 2> /dev/null && fds+=("$fd")
	done
	serves_on
	status=$?
	for fd in "${fds[@]}"; do
		exec {fd}>&-
	done
	return "$status"
}

# another_quorum: of one, with keys and a member 3 of its own, in $D/other
another_quorum()
{
	local at

	at=$("$PROG/ports" 5 | tail -n 1)
	"$BIN/datafs" key new "$D/other.key" > /dev/null
	sed "s,^dir = .*,dir = $D/other,; s,^listen = .*,listen = $at,; s,$D/key,$D/other.key,
		s,^peers = .*,peers = 3=$at," "$D/3.conf" > "$D/4.conf"
	"$BIN/datafs-metad" --config "$D/4.conf" --bootstrap || return
	member_start 4
	wait_for 60 eval '"$BIN/datafs" meta status --members '"$at"' \
		--key-file "$D/other.key" 2> /dev/null | grep -q "^state *leads"' || return
	member_end 4 TERM
}

check "a quorum is made" quorum_make || exit 1
for n in 1 2 3; do
	member_start $n
done
check "another than the one with the trouble leads" lead 1
"$PROG/metaseq" make "$MEMBERS" "$D/key" > "$D/seq" 2> "$D/seq.err" &
pid[seq]=$!
"$PROG/metaload" "$MEMBERS" "$D/key" 1000 1 "$SEED" < /dev/null > "$D/load.out" &
pid[load]=$!
check "it is changed" wait_for 60 at_least 400
member_end 3 TERM
check "with what it has it goes on" comes_back

# Its database.
member_end 3 TERM
keep
check "it has one database" only_db
rm "$db/CURRENT"
check "a database without CURRENT is refused" refused 'CURRENT of its database is lost'
check "... what to do is said" grep -q 'made again of the snapshot and the log' "$D/3.log"
check "... and nothing thrown away" [ "$(find "$db" -name '*.ldb' -o -name '*.log' | wc -l)" -gt 0 ]
bring_back
echo MANIFEST-999999 > "$db/CURRENT"
check "one that names what is not there, too" refused 'namespace in .*3/db'
bring_back
manifest=$(find "$db" -name 'MANIFEST-*')
flip "$manifest" $(($(stat -c %s "$manifest") / 2))
check "one with a damaged MANIFEST, too" refused 'namespace in .*3/db'
rm -rf "$D/3/db"
check "without its database it has it made again" comes_back
member_end 3 TERM
check "it has one database" only_db
check "its tables are spoilt" spoil_tables
check "damaged tables are found" finds_damage
rm -rf "$D/3/db"
check "without its database it has it made again" comes_back
kill_3
only_db
log=$(find "$db" -name '*.log' | sort | tail -n 1)
truncate -s $(($(stat -c %s "$log") * 2 / 3)) "$log"
check "one whose end was not written any more takes it from its log" comes_back

# Its log; with a snapshot it would begin another segment.
sed -i 's/^snapshot_entries.*/snapshot_entries = 1000000/' "$D/3.conf"
member_end 3 TERM
check "with what it has it goes on" comes_back
check "it has an open segment" kill_3_in_segment
head -c 5000 /dev/urandom |
	dd of="$segment" bs=4096 seek=$((blocks + 1)) conv=notrunc 2> /dev/null
check "what was not written to its end is passed over" comes_back
check "it has an open segment" kill_3_in_segment
dd if=/dev/zero of="$segment" bs=4096 seek=1 count=250 conv=notrunc 2> /dev/null
check "a log without its end is refused" refused 'the log has lost entries'
bring_back
truncate -s 4096 "$segment"
check "a log that is cut off is refused" refused "load: .*${segment##*/}"
check "... and what to do is said" grep -q '3/raft: .*replace this member' "$D/3.log"
bring_back
check "with what it has it goes on" comes_back
member_end 3 TERM
keep
check "it has a closed segment" closed_segment
flip "$segment" $(($(stat -c %s "$segment") / 2))
check "a log with damage inside is refused" refused "load: .*${segment##*/}"
check "... and what to do is said" grep -q '3/raft: .*replace this member' "$D/3.log"
bring_back

# What is not its own.
check "another quorum is made" another_quorum
rm -rf "$D/3/db"
cp -a "$D/other/db" "$D/3/db"
check "another cluster's database is refused" refused 'is not of this cluster'
bring_back
rm -rf "$D/3/raft"
cp -a "$D/other/raft" "$D/3/raft"
check "another cluster's log is refused" refused 'not of the same member'
bring_back
check "no key is refused" refused 'none.key: No such file' --key-file "$D/none.key"
sed "s/[0-9a-f]*\$/$(random_hex 32)/" "$D/key" > "$D/wrong.key"
: > "$D/3.log"
"$BIN/datafs-metad" --config "$D/3.conf" --key-file "$D/wrong.key" >> "$D/3.log" 2>&1 &
pid[3]=$!
check "with a wrong key it is told why nobody hears it" wait_for 60 \
	grep -q 'node [12]: cannot connect: .*key' "$D/3.log"
check "... and so are the others" wait_for 60 grep -q 'somebody was refused: .*key' "$D/1.log"
note "$(grep -m 1 'cannot connect: .*key' "$D/3.log"); $(grep -m 1 'refused: .*key' "$D/1.log")"
check "... which serve on" serves_on
check "a client with it is not heard" eval \
	'! "$BIN/datafs" meta status --members "${addr[0]}" --key-file "$D/wrong.key" > /dev/null 2>&1'
member_end 3 TERM

# What is no message.
check "nonsense stops nobody" nonsense
check "... and is told once in a while" eval \
	'n=$(grep -c "somebody was refused" "$D/1.log"); [ $n -gt 0 ] && [ $n -lt 50 ]'
note "$(grep 'somebody was refused' "$D/1.log" | tail -n 1)"

check "with its own it comes back" comes_back
kill -TERM "${pid[seq]}"
check "nothing was refused to clients" wait "${pid[seq]}"
unset "pid[seq]"
last=$(acked)
kill -KILL "${pid[load]}"
wait "${pid[load]}" 2> /dev/null
unset "pid[load]"
check "no answer was wrong" eval '! grep "^wrong" "$D/load.out"'
k=$("$PROG/metaseq" check "$MEMBERS" "$D/key")
check "all that was acknowledged is there: $last" [ "${k:-0}" -eq "${last:-1}" ]
check "all come to the same" wait_for 60 all_equal
check "nobody else has halted" eval '! grep -l " halts: " "$D"/[12].log'
check "all end" members_end
check "all have the same state" same_states
exit "$FAILED"
