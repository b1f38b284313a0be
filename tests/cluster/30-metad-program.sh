#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=300
#
# The program and `datafs meta`: what it refuses to start with, and says; members that
# are added, get a vote and are removed under a load; keys that are changed under it.

. "$(dirname "$0")/lib.sh"

run()
{
	refuses "$1" timeout 20 "$BIN/datafs-metad" --config "$D/1.conf" "${@:2}"
}

other_conf()
{
	sed "s,^id = .*,id = 4,; s,^dir = .*,dir = $D/4,; s,^listen = .*,listen = ${addr[3]}," \
		"$D/1.conf" > "$D/4.conf"
}

in_quorum()
{
	meta status 2> /dev/null | grep -q "^quorum  *$1\$"
}

# It has said so in its log.
has_said()
{
	grep -q -- "$2" "$D/$1.log"
}

old_key_is_good()
{
	"$BIN/datafs" meta status --members "$MEMBERS" --key-file "$D/client.key" > /dev/null
}

# All lines of the members' logs, and there are some, are theirs.
only_own_lines()
{
	grep -qs . "$D"/[1-4].log && ! grep -v '^<[0-7]>datafs-metad: ' "$D"/[1-4].log
}

roles()
{
	meta status 2> /dev/null | awk '/^quorum/ { print $2, $3 }' | sort -u | tr '\n' ';'
}

check "a quorum is made" quorum_make || exit 1
addr[3]=$("$PROG/ports" 4 | tail -n 1)

check "a second bootstrap is refused" run 'begins in a directory that is empty' --bootstrap
check "another member's directory is refused" run 'is not the directory of member 9' --id 9
check "a directory that is not there is refused" run "is no member's directory" --dir "$D/none"
sed "s/^$CLUSTER/$(random_hex 16)/" "$D/key" > "$D/other.key"
check "another cluster's directory is refused" run 'is not of this cluster' --key-file "$D/other.key"
check "no key is refused" refuses 'no key file' timeout 20 "$BIN/datafs-metad" --id 1 --dir "$D/1" \
	--listen "${addr[0]}"
cp "$D/key" "$D/open.key" && chmod 644 "$D/open.key"
check "a key that others can read is refused" run 'open.key' --key-file "$D/open.key"
"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
check "a client's key is refused" run "it is a client's" --key-file "$D/client.key"

"$BIN/datafs-metad" --config "$D/1.conf" --ready-fd 1 > "$D/ready" 2>> "$D/1.log" &
pid[1]=$!
check "who starts one is told" wait_for 20 grep -q '^ready$' "$D/ready"
for n in 2 3; do
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
check "a second process is refused" run 'not started' --listen "${addr[3]}"

coproc load { exec "$PROG/metaload" "$MEMBERS" "$D/client.key" 20 4 "$SEED" > "$D/load.out"; }
pid[load]=$!
MEMBERS=$MEMBERS,${addr[3]}
other_conf
check "one that joins is made" "$BIN/datafs-metad" --config "$D/4.conf" --join
member_start 4
check "... and added" meta add 4 "${addr[3]}"
check "... without a vote" in_quorum "4 standby ${addr[3]}"
check "... and gets one" meta promote 4
check "... as the others see" in_quorum "4 voter ${addr[3]}"
check "what is so already is said" refuses 'it is so already' \
	"$BIN/datafs" meta promote 4 --members "$MEMBERS" --key-file "$D/key"
check "with a client's key nothing is changed" refuses "only with the quorum's own key" \
	"$BIN/datafs" meta remove 2 --members "$MEMBERS" --key-file "$D/client.key"
check "it leads" lead 4
check "one is removed" meta remove 1
member_end 1 TERM
check "three are left" [ "$(roles)" = "2 voter;3 voter;4 voter;" ]

# A key beside the old one, then without the old one: nobody is cut off.
check "a key is added" eval '"$BIN/datafs" key add "$D/key" > /dev/null'
for n in 2 3 4; do
	kill -HUP "${pid[$n]}"
	check "member $n takes it" wait_for 20 has_said $n 'other keys from now on'
done
check "all is well" eval "meta status > /dev/null"
check "... for clients with the old key" old_key_is_good

wait "${pid[load]}"
check "no answer was wrong meanwhile, and none an error" [ $? -eq 0 ]
unset "pid[load]"
grep '^wrong' "$D/load.out"
check "something was done" grep -q '^done changes [1-9]' "$D/load.out"
for n in 2 3 4; do
	member_end $n TERM
	check "member $n ends on a signal" [ "$status" -eq 0 ]
done
check "each line of their logs names the program" only_own_lines
exit "$FAILED"
