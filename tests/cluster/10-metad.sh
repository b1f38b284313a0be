#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300 timeout-long=1200
#
# Three members, a load that knows what every answer must be, and members that are
# killed and stopped all the time: no answer is wrong, nothing acknowledged is lost,
# nobody gets an error, and at the end all three have the same.

. "$(dirname "$0")/lib.sh"

seconds=${1:-20}
[ -z "$LONG" ] || seconds=${1:-600}

# What has happened, by name.
declare -A did

members_start()
{
	local n

	for n in 1 2 3; do
		member_start $n
	done
}

# mark LABEL: the load tells when all its threads have gone on
mark()
{
	did[$1]=$((${did[$1]:-0} + 1))
	[ -z "${load[1]}" ] || echo "$1" >&"${load[1]}"
}

nap()
{
	pick "$2"
	sleep "$(printf '%d.%03d' $((($1 + picked) / 1000)) $((($1 + picked) % 1000)))"
}

kill_one()
{
	kill -KILL "${pid[$1]}"
	mark "$2"
	wait "${pid[$1]}" 2> /dev/null
	unset "pid[$1]"
	nap 200 1500
	member_start "$1"
}

stop_one()
{
	kill -STOP "${pid[$1]}"
	stopped[$1]=1
	mark "$2"
	nap 500 2500
	kill -CONT "${pid[$1]}"
	unset "stopped[$1]"
}

kill_all()
{
	local n

	for n in 1 2 3; do
		member_end $n KILL
	done
	mark all-killed
	members_start
	nap 1500 1000
}

hand_over()
{
	meta transfer 0 > /dev/null 2>&1
	mark transfer
}

trouble()
{
	local who

	pick 10
	case $picked in
	0|1|2)	who=$(leader); [ -z "$who" ] || kill_one "$who" leader-killed ;;
	3|4)	who=$(leader); [ -z "$who" ] || stop_one "$who" leader-stopped ;;
	5|6)	pick 3; kill_one $((picked + 1)) any-killed ;;
	7)	pick 3; stop_one $((picked + 1)) any-stopped ;;
	8)	hand_over ;;
	9)	kill_all ;;
	esac
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}

report()
{
	local what

	note "load: $(grep '^done' "$D/load.out")"
	for what in $(printf '%s\n' "${!did[@]}" | sort); do
		note "$what: ${did[$what]} times, all go on after a median of" \
			"$(awk -v l="$what" '$1 == "recovered" && $2 == l { print $3 }' "$D/load.out" |
				median) ms"
	done
}

check "a quorum is made" quorum_make || exit 1
members_start
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1

# Its output goes to a file; its input is the marks.
coproc load { exec "$PROG/metaload" "$MEMBERS" "$D/key" "$seconds" 8 "$SEED" > "$D/load.out" 2> "$D/load.err"; }
load_pid=$!
pid[load]="$load_pid"
end=$((SECONDS + seconds - 4))
while [ $SECONDS -lt $end ] && kill -0 "$load_pid" 2> /dev/null; do
	nap 600 900
	trouble
done
wait "$load_pid"
check "no answer was wrong, and none an error" [ $? -eq 0 ]
unset "pid[load]"
grep '^wrong' "$D/load.out"
check "something was done" grep -q '^done changes [1-9]' "$D/load.out"
check "all come to the same" wait_for 60 all_equal
report
check "all end on a signal" members_end
check "all have the same state" same_states
check "nobody has halted" eval '! grep -l " halts: " "$D"/[123].log'
check "nobody has an error in its log" eval '! grep -h "^<[0-3]>" "$D"/[123].log "$D/load.err"'
exit "$FAILED"
