# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # for those who source it
#
# A quorum of three members in this guest, for tests that have sourced lib.sh.

Q=$DISK/quorum
# Their port is the one that a source need not name.
HOSTS=127.0.0.11,127.0.0.12,127.0.0.13
MEMBERS=127.0.0.11:7440,127.0.0.12:7440,127.0.0.13:7440
declare -A member

quorum_make()
{
	local n

	mkdir -p "$Q" && datafs key new "$Q/key" && datafs key client "$Q/key" 1 "$Q/client.key" ||
		return 1
	for n in 1 2 3; do
		cat > "$Q/$n.conf" <<-END
		id = $n
		dir = $Q/$n
		listen = 127.0.0.1$n:7440
		key_file = $Q/key
		peers = 1=127.0.0.11:7440,2=127.0.0.12:7440,3=127.0.0.13:7440
		END
		datafs-metad --config "$Q/$n.conf" --bootstrap || return 1
	done
}

member_start()
{
	datafs-metad --config "$Q/$1.conf" >> "$Q/$1.log" 2>&1 &
	member[$1]=$!
}

members_start()
{
	local n

	for n in 1 2 3; do
		member_start "$n"
	done
}

# member_end N SIGNAL
member_end()
{
	kill "-$2" "${member[$1]}"
	wait "${member[$1]}" 2> /dev/null
	unset "member[$1]"
}

members_end()
{
	local n

	for n in "${!member[@]}"; do
		member_end "$n" "$1"
	done
}

status()
{
	datafs meta status --members "$MEMBERS" --key-file "$Q/key" 2> /dev/null
}

# The number of the one that leads; "": none does
leader()
{
	status | awk '/^member/ { n = $2 } /^state +leads/ { print n; exit }'
}

has_leader()
{
	[ -n "$(leader)" ]
}

# All three are there.
all_answer()
{
	[ "$(status | grep -c '^applied')" -eq 3 ]
}

# All three have applied the same, and that is all there is.
all_equal()
{
	status | awk '/^applied/ { n++; seen[$2]++ } /^commit/ { seen[$2]++ }
		END { for (a in seen) k++; exit !(n == 3 && k == 1) }'
}

done_with()
{
	members_end TERM
	finish
}
