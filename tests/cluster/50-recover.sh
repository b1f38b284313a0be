#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# The last member of a quorum goes on: with all that was acknowledged, if nothing could be
# acknowledged without it; else with a beginning of it, and of two survivors the one that
# says so has more. Killed at any moment, a recovery leaves nothing or all, and the old
# directory as it was. Nobody of the old quorum is heard by the new one.

. "$(dirname "$0")/lib.sh"

# at KEY MEMBERS COMMAND...: datafs meta, of that quorum
at()
{
	local key=$1 members=$2 command=$3

	shift 3
	"$BIN/datafs" meta "$command" "$@" --members "$members" --key-file "$D/$key"
}

somebody_leads()
{
	at "$1" "$2" status 2> /dev/null | grep -q '^state *leads'
}

# conf KEY N DIR ADDRESS
conf()
{
	cat > "$D/$2.conf" <<-END
	id = $2
	dir = $3
	listen = $4
	key_file = $D/$1
	snapshot_entries = 300
	END
}

# recover DIR NEW N ADDRESS KEY [OPTION]
recover()
{
	"$BIN/datafs" meta recover "$1" "$2" "$3" "$4" --key-file "$D/$5" "${@:6}" > "$D/out" 2>&1
}

inspect()
{
	"$BIN/datafs" meta inspect "$1"
}

# What of an inspection stands behind WORD.
said()
{
	inspect "$1" | sed -n "s/^$2 *//p"
}

# sequence MODE KEY MEMBERS: in the background, to $D/seq
sequence()
{
	"$PROG/metaseq" "$1" "$3" "$D/$2" > "$D/seq" 2> "$D/seq.err" &
	pid[seq]=$!
}

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

# clients_end NAME...: their quorum is not there any more
clients_end()
{
	local name

	for name in "$@"; do
		check "its client waits" kill -KILL "${pid[$name]}"
		wait "${pid[$name]}" 2> /dev/null
		unset "pid[$name]"
	done
}

# has_applied KEY ADDRESS N
has_applied()
{
	[ "$(at "$1" "$2" status | sed -n 's/^applied *//p')" -ge "$3" ]
}

# Its files but the locks, which are made if they are missing.
sum_of()
{
	(cd "$1" && find . -type f ! -name LOCK -print0 | sort -z | xargs -0 sha256sum)
}

crash_recover()
{
	"$@" "$BIN/datafs" meta recover "$D/3" "$D/c" 9 "${addr[8]}" --key-file "$D/new.key" \
		--accept-loss > /dev/null 2>&1
}

# killed_after MS: sets made
killed_after()
{
	rm -rf "$D/c"
	crash_recover timeout -s KILL "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
	made=0
	[ ! -e "$D/c" ] || made=1
}

# One that is whole can be started.
one_crash()
{
	killed_after "$1" 2> /dev/null
	if [ "$made" -eq 0 ]; then
		none=$((none + 1))
		return
	fi
	whole=$((whole + 1))
	[ "$whole" -eq 1 ] || return 0
	conf new.key 9 "$D/c" "${addr[8]}"
	member_start 9
	wait_for 60 somebody_leads new.key "${addr[8]}" || return
	member_end 9 TERM
}

# At times all over what it takes, which may be more with each.
all_crashes()
{
	local begin all i whole=0 none=0

	begin=$(date +%s%3N)
	crash_recover || return
	all=$(($(date +%s%3N) - begin))
	for i in $(seq 1 30); do
		one_crash $((all * i / 24)) || return
	done
	for ((i = 2 * all; whole == 0 && i < 60000; i *= 2)); do
		one_crash "$i" || return
	done
	note "it takes $all ms; killed at a time: $none left nothing, $whole all"
	rm -rf "$D/c" "$D/c.new"
	[ "$none" -gt 0 ] && [ "$whole" -gt 0 ]
}

check "a quorum is made" quorum_make || exit 1
mapfile -t addr < <(printf '%s\n' "${addr[@]}"; "$PROG/ports" 9 | tail -n 6)
for key in new third fourth; do
	"$BIN/datafs" key new "$D/$key.key" > /dev/null
done
for n in 1 2 3; do
	member_start $n
done
check "another than the survivor leads" lead 2
# shellcheck disable=SC2153 # quorum_make sets it
sequence make key "$MEMBERS"
"$PROG/metaload" "$MEMBERS" "$D/key" 600 4 "$SEED" < /dev/null > "$D/load.out" &
pid[load]=$!
check "it is changed" wait_for 30 at_least 300
check "a member that runs is not looked at" refuses 'stop the member first' \
	"$BIN/datafs" meta inspect "$D/3"

# From here on all that is acknowledged is on the disk of member 3.
member_end 1 KILL
mv "$D/1" "$D/1.gone"
n=$(acked)
check "two go on" wait_for 30 at_least $((n + 300))
member_end 2 KILL
mv "$D/2" "$D/2.gone"
sleep 0.5
last=$(acked)
clients_end seq load
check "no answer was wrong" eval '! grep "^wrong" "$D/load.out"'
check "the survivor has no leader" eval '! somebody_leads key "$MEMBERS"'
member_end 3 TERM

before=$(sum_of "$D/3")
check "it is looked at" inspect "$D/3"
entry=$(said "$D/3" entry)
check "who else was in it is told" [ "$(said "$D/3" quorum | wc -l)" -eq 3 ]
check "what it costs is told, and nothing done" refuses 'Nothing was done' \
	recover "$D/3" "$D/r" 4 "${addr[2]}" new.key
check "... and what is lost" grep -q 'IS LOST' "$D/out"
check "... and who must not come back" grep -q "member 2 at ${addr[1]}" "$D/out"
check "with the old keys it is refused" refuses 'keys of its own' \
	recover "$D/3" "$D/r" 4 "${addr[2]}" key --accept-loss
check "a directory with something in it is refused" refuses 'empty or not there' \
	recover "$D/3" "$D/1.gone" 4 "${addr[2]}" new.key --accept-loss
check "killed at any time it leaves nothing or all" all_crashes
rm -rf "$D"/3/inspect-*
check "the old directory is as it was" [ "$(sum_of "$D/3")" = "$before" ]

check "it is recovered" recover "$D/3" "$D/r" 4 "${addr[2]}" new.key --accept-loss
check "... and the old directory as it was" [ "$(sum_of "$D/3")" = "$before" ]
conf new.key 4 "$D/r" "${addr[2]}"
member_start 4
check "it leads" wait_for 60 somebody_leads new.key "${addr[2]}"
k=$("$PROG/metaseq" check "${addr[2]}" "$D/new.key")
note "acknowledged: $last; there: $k; lost: $((k < last ? last - k : 0)); its last entry: $entry"
check "all that was acknowledged is there" [ "${k:-0}" -ge "$last" ] && [ "$k" -le $((last + 1)) ]
check "it goes on alone" eval \
	'"$PROG/metaload" "${addr[2]}" "$D/new.key" 2 4 "$SEED" < /dev/null > "$D/load.out"'

# An old one comes back, with its directory and its key.
mv "$D/2.gone" "$D/2"
member_start 2
check "an old member hears why it is not heard" wait_for 30 grep -q \
	"node 3: cannot connect: .*cluster" "$D/2.log"
check "... and so does who looks at the new one's log" wait_for 30 grep -q \
	"somebody was refused: .*cluster" "$D/4.log"
check "its state is not taken for the new quorum's" eval \
	'! at new.key "${addr[1]}" status > /dev/null 2>&1'
member_end 2 TERM
check "an old directory is refused with the new key" refuses 'is not of this cluster' \
	"$BIN/datafs-metad" --config "$D/2.conf" --key-file "$D/new.key"
check "an old client is not heard" eval '! at key "${addr[2]}" status > /dev/null 2>&1'

NEW=${addr[2]}
for n in 5 6; do
	conf new.key $n "$D/$n" "${addr[n - 1]}"
	check "member $n is made to join" "$BIN/datafs-metad" --config "$D/$n.conf" --join
	member_start $n
	check "... added" at new.key "$NEW" add $n "${addr[n - 1]}"
	NEW=$NEW,${addr[n - 1]}
	check "... and has a vote" at new.key "$NEW" promote $n
done
sequence more new.key "$NEW"
check "three take changes" wait_for 30 at_least $((k + 200))
check "no one has halted" eval '! grep -l " halts: " "$D"/[1-6].log'

# Member 6 has all that was acknowledged by now, and is gone; the others acknowledge more.
behind=$(acked)
n=$(at new.key "$NEW" status | sed -n 's/^commit *//p' | sort -n | tail -n 1)
check "one has applied what was acknowledged" wait_for 30 has_applied new.key "${addr[5]}" "$n"
member_end 6 KILL
check "two of them go on" wait_for 30 at_least $((behind + 300))
member_end 4 KILL
member_end 5 KILL
last=$(acked)
clients_end seq
note "member 5: term $(said "$D/5" term) entry $(said "$D/5" entry);" \
	"member 6: term $(said "$D/6" term) entry $(said "$D/6" entry)"
check "who has more says so" [ "$(said "$D/5" entry)" -gt "$(said "$D/6" entry)" ]
check "the better one is recovered" recover "$D/5" "$D/r5" 7 "${addr[6]}" third.key --accept-loss
check "so could the other be" recover "$D/6" "$D/r6" 8 "${addr[7]}" fourth.key --accept-loss
conf third.key 7 "$D/r5" "${addr[6]}"
conf fourth.key 8 "$D/r6" "${addr[7]}"
member_start 7
member_start 8
check "each leads" eval 'wait_for 60 somebody_leads third.key "${addr[6]}" &&
	wait_for 60 somebody_leads fourth.key "${addr[7]}"'
k5=$("$PROG/metaseq" check "${addr[6]}" "$D/third.key")
k6=$("$PROG/metaseq" check "${addr[7]}" "$D/fourth.key")
note "acknowledged: $last; the better one has $k5, the other $k6: it has lost $((last - k6))"
check "the better one has all that was acknowledged" [ "${k5:-0}" -ge "$last" ] && [ "$k5" -le $((last + 1)) ]
check "the other what it had heard of" [ "${k6:-0}" -ge "$behind" ] && [ "$k6" -lt "$last" ]
for n in 7 8; do
	member_end $n TERM
	check "member $n ends on a signal" [ "$status" -eq 0 ]
done
exit "$FAILED"
