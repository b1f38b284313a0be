#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# Two versions in one quorum, under a load: member by member becomes one of the next
# feature level, one of them goes back, one is held back by its configuration. The level
# rises when the last one knows it, and then nobody goes back, nor is an old one added.

. "$(dirname "$0")/lib.sh"

NEXT=$PROG/metad-next
LOAD=60

# "N LEVEL KNOWN;" of each member
levels()
{
	meta status 2> /dev/null |
		awk '/^member/ { n = $2 } /^level/ { print n, $2, $4 }' | sort | tr '\n' ';'
}

are()
{
	[ "$(levels)" = "$1" ]
}

# restart N PROGRAM: and wait until somebody leads, it among those who answer
restart()
{
	member_end "$1" TERM
	metad[$1]=$2
	member_start "$1"
	wait_for 30 eval '[ -n "$(leader)" ]' && wait_for 30 answers "$1"
}

answers()
{
	meta status 2> /dev/null | grep -q "^member  *$1\$"
}

loaded()
{
	kill -0 "${pid[load]}" 2> /dev/null
}

# The leader asks once a second.
look_on()
{
	sleep 3
}

check "a quorum is made" quorum_make || exit 1
addr[3]=$("$PROG/ports" 4 | tail -n 1)
for n in 1 2 3; do
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
old=$(meta status | awk '/^level/ { print $4; exit }')
new=$((old + 1))
check "all are of one level" wait_for 20 are "1 $old $old;2 $old $old;3 $old $old;" || exit 1

"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
coproc load { exec "$PROG/metaload" "$MEMBERS" "$D/client.key" $LOAD 4 "$SEED" > "$D/load.out"; }
pid[load]=$!

check "the first is of the next version" restart 1 "$NEXT"
check "... and tells so" wait_for 20 are "1 $old $new;2 $old $old;3 $old $old;"
check "... goes back to the version before" restart 1 "$BIN/datafs-metad"
check "... and forth" restart 1 "$NEXT"
check "the second is" restart 2 "$NEXT"
sed -i "\$a feature_level = $old" "$D/3.conf"
check "the third is, and does not use it" restart 3 "$NEXT"
check "who knows the next level leads" lead 1
look_on
check "it has not risen" are "1 $old $new;2 $old $new;3 $old $old;"
check "one of them goes back even now" restart 2 "$BIN/datafs-metad"
check "... and forth again" restart 2 "$NEXT"
sed -i '/^feature_level/d' "$D/3.conf"
check "the third may use it" restart 3 "$NEXT"
check "now it rises" wait_for 20 are "1 $new $new;2 $new $new;3 $new $new;"
check "... under the load" loaded

member_end 2 TERM
check "the version before does not start any more" refuses "its feature level is $new" \
	timeout 20 "$BIN/datafs-metad" --config "$D/2.conf"
echo "feature_level = $old" >> "$D/2.conf"
check "nor one that is held back" refuses 'member is configured for' timeout 20 "$NEXT" --config "$D/2.conf"
sed -i '/^feature_level/d' "$D/2.conf"
member_start 2
check "the next does" wait_for 30 answers 2

sed "s,^id = .*,id = 4,; s,^dir = .*,dir = $D/4,; s,^listen = .*,listen = ${addr[3]}," \
	"$D/1.conf" > "$D/4.conf"
check "one that joins is made" "$BIN/datafs-metad" --config "$D/4.conf" --join
check "it is not added while it does not run" refuses 'it must run before it is added' \
	"$BIN/datafs" meta add 4 "${addr[3]}" --members "$MEMBERS" --key-file "$D/key"
member_start 4
check "... nor as the version before" refuses "does not know the quorum's feature level" \
	"$BIN/datafs" meta add 4 "${addr[3]}" --members "$MEMBERS" --key-file "$D/key"
member_end 4 TERM
metad[4]=$NEXT
member_start 4
check "... but as the next" meta add 4 "${addr[3]}"
check "... and is removed" meta remove 4
member_end 4 TERM
check "all this was under the load" loaded

wait "${pid[load]}"
check "no answer was wrong meanwhile, and none an error" [ $? -eq 0 ]
unset "pid[load]"
grep '^wrong' "$D/load.out"
check "something was done" grep -q '^done changes [1-9]' "$D/load.out"
note "$(cat "$D/load.out")"
check "all have applied the same" wait_for 30 all_equal
check "the members end on a signal" members_end
check "their states are equal" same_states
exit "$FAILED"
