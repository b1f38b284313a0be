# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of several processes share: a quorum of three members on loopback,
# below a directory of the test's own. Only processes that were started here are
# ended, by their ids.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${DATAFS_BIN:-$TOP/build}
PROG=$BIN/tests/cluster
D=$(mktemp -d "${TMPDIR:-$TOP/build}/cluster-XXXXXX") || exit 1
declare -A pid stopped metad	# metad: the program of members that run another one
mounts=()
declare -a addr dir	# dir: of members that are elsewhere

. "$TOP/tests/tap.sh"

# refuses WORDS COMMAND...: it ends with a failure, and with these words in one line
refuses()
{
	local words=$1

	shift
	! "$@" > "$D/out" 2>&1 && grep -q -- "$words" "$D/out" && return
	sed 's/^/# /' "$D/out"
	return 1
}

note()
{
	echo "## $*"
}

# The seed decides all that happens; what the machine makes of it is its own.
SEED=${DATAFS_SEED:-$(date +%s)}
RANDOM=$((SEED % 32768))
note "DATAFS_SEED=$SEED"

# pick N: sets picked to 0 to N - 1
pick()
{
	picked=$((RANDOM % $1))
}

random_hex()
{
	head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

quorum_make()
{
	local n peers=''

	CLUSTER=$(random_hex 16)
	umask 077
	echo "$CLUSTER 1 member $(random_hex 32)" > "$D/key"
	mapfile -t addr < <("$PROG/ports" 3)
	MEMBERS=$(IFS=,; echo "${addr[*]}")
	for n in 1 2 3; do
		peers=$peers,$n=${addr[n - 1]}
	done
	for n in 1 2 3; do
		cat > "$D/$n.conf" <<-END
		id = $n
		dir = ${dir[n]:-$D/$n}
		listen = ${addr[n - 1]}
		key_file = $D/key
		peers = ${peers#,}
		snapshot_entries = ${ENTRIES:-300}
		write_buffer = ${WRITE_BUFFER:-16m}
		lease_ms = ${LEASE:-300}
		END
		"$BIN/datafs-metad" --config "$D/$n.conf" --bootstrap || return 1
	done
}

member_start()
{
	"${metad[$1]:-$BIN/datafs-metad}" --config "$D/$1.conf" >> "$D/$1.log" 2>&1 &
	pid[$1]=$!
}

# member_end N SIGNAL: sets status
member_end()
{
	kill "-$2" "${pid[$1]}"
	wait "${pid[$1]}" 2> /dev/null
	status=$?
	unset "pid[$1]"
}

meta()
{
	local command=$1

	shift
	"$BIN/datafs" meta "$command" "$@" --members "$MEMBERS" --key-file "$D/key"
}

# The number of the one that leads, "" if none does.
leader()
{
	meta status 2> /dev/null | awk '/^member/ { n = $2 } /^state +leads/ { print n; exit }'
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

leads()
{
	[ "$(leader)" = "$1" ]
}

# lead N: it does, in the end
lead()
{
	local end=$((SECONDS + 60))

	until leads "$1"; do
		[ $SECONDS -lt $end ] || return 1
		meta transfer "$1" > /dev/null 2>&1
		sleep 0.3
	done
}

# They have all applied the same, and that is all there is.
all_equal()
{
	meta status 2> /dev/null | awk '/^applied/ { n++; seen[$2]++ } /^commit/ { seen[$2]++ }
		END { for (a in seen) k++; exit !(n == 3 && k == 1) }'
}

# The leader last, so that nobody is elected meanwhile.
members_end()
{
	local last n all=0

	last=$(leader)
	for n in 1 2 3; do
		[ "$n" != "$last" ] || continue
		member_end "$n" TERM
		[ "$status" -eq 0 ] || all=1
	done
	[ -z "$last" ] || member_end "$last" TERM
	[ "$status" -eq 0 ] || all=1
	return $all
}

# Of members that have ended.
same_states()
{
	local n
	local -a dbs=()

	for n in 1 2 3; do
		dbs+=("${dir[n]:-$D/$n}"/db/db-*)
	done
	"$PROG/metasum" "${dbs[@]}" > "$D/sums" || return 1
	note "states: $(tr '\n' ';' < "$D/sums")"
	[ "$(cut -d ' ' -f 1,2 "$D/sums" | sort -u | wc -l)" -eq 1 ] &&
		[ "$(wc -l < "$D/sums")" -eq 3 ]
}

finish()
{
	local n

	for n in "${!stopped[@]}"; do
		kill -CONT "${pid[$n]}" 2> /dev/null
	done
	# What is no member may have to end something itself.
	for n in "${!pid[@]}"; do
		case $n in
		[0-9])	kill -KILL "${pid[$n]}" 2> /dev/null ;;
		*)	kill -TERM "${pid[$n]}" 2> /dev/null ;;
		esac
	done
	wait
	for n in "${mounts[@]}"; do
		umount "$n"
	done
	if [ "$FAILED" -eq 0 ]; then
		rm -rf "$D"
	else
		note "see $D"
	fi
}
trap finish EXIT
trap 'exit 99' TERM INT
