#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=120
#
# `datafs meta quota-set`, -list and -remove: what they say, to whom, and that the members
# count the same under a load.

. "$(dirname "$0")/lib.sh"

LOAD=3

quota()
{
	local command=$1

	shift
	meta "quota-$command" "$@"
}

listed()
{
	[ "$(quota list)" = "$1" ]
}

# The inodes that the quota of / counts
used()
{
	quota list | sed -n 's,^inodes \([0-9]*\)/1000000 bytes 0/- /$,\1,p'
}

load()
{
	"$PROG/metaload" "$MEMBERS" "$D/client.key" "$@" "$SEED" < /dev/null > "$D/load.out"
}

all_know()
{
	[ "$(meta status | awk '/^level/ && $2 == $4 && $2 >= 2' | wc -l)" -eq 3 ]
}

check "a quorum is made" quorum_make || exit 1
"$BIN/datafs" key client "$D/key" 5 "$D/client.key" > /dev/null
sed -i '$a feature_level = 1' "$D/1.conf"
for n in 1 2 3; do
	member_start $n
done
check "somebody leads" wait_for 60 eval '[ -n "$(leader)" ]' || exit 1
check "there are none before all members know them" \
	refuses 'before all members know the feature level' quota set / --inodes 10
sed -i '/^feature_level/d' "$D/1.conf"
member_end 1 TERM
member_start 1
check "all know them" wait_for 30 all_know || exit 1

check "there is none at first" listed ''
check "one is set for all" quota set / --inodes 1000000
check "... and listed" listed 'inodes 1/1000000 bytes 0/- /'
check "one makes a directory" load 0 1
one=$(sed -n 's/^made //p' "$D/load.out")
check "... which counts" [ "$(used)" = 2 ]
check "one inside has limits of its own" quota set "$one" --inodes 3 --bytes 1M
check "... and does not count for the other" \
	listed "$(printf 'inodes 1/1000000 bytes 0/- /\ninodes 1/3 bytes 0/1048576 %s' "$one")"
check "the limits are changed" quota set "$one/" --bytes 2G
check "... both of them" eval "quota list | grep -qx 'inodes 1/- bytes 0/2147483648 $one'"

check "a name that is not there is refused" refuses 'No such file' quota set /none --inodes 1
check "a limit that is no number is refused" refuses 'usage' quota set "$one" --bytes 5X
check "a client's key is refused" refuses "only with the quorum's own key" \
	"$BIN/datafs" meta quota-set "$one" --inodes 1 --members "$MEMBERS" --key-file "$D/client.key"
check "a load runs" load $LOAD 3
check "... and is counted" [ "$(used)" -ge 4 ]
two=$(sed -n 's/^made //p' "$D/load.out" | head -n 1)
check "a directory that is not empty is refused" refuses 'is not empty' quota set "$two" --inodes 9

check "one is removed" quota remove "$one"
check "... once" refuses 'it has no quota' quota remove "$one"
check "... and the other" quota remove /
check "there is none" listed ''
check "all have applied the same" wait_for 30 all_equal
check "the members end on a signal" members_end
check "their states are equal" same_states
exit "$FAILED"
