# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of stores share that are servers: they run on loopback, below a directory of
# the test's own, and are ended by their ids.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${DATAFS_BIN:-$TOP/build}
PROG=$BIN/tests/under
D=$(mktemp -d "${TMPDIR:-$TOP/build}/under-XXXXXX") || exit 1
# Nobody is between them and us.
export no_proxy='*'
servers=()	# ids of processes

. "$TOP/tests/tap.sh"
. "$TOP/tests/under/shared.sh"

# server COMMAND...: until the test ends
server()
{
	"$@" &
	servers+=($!)
}

# server_end ID: now
server_end()
{
	local p
	local -a rest=()

	kill "$1"
	wait "$1" 2> /dev/null
	for p in "${servers[@]}"; do
		[ "$p" = "$1" ] || rest+=("$p")
	done
	servers=("${rest[@]}")
}

# appears FILE SECONDS
appears()
{
	local n

	for ((n = 0; n < $2 * 10; n++)); do
		[ ! -e "$1" ] || return 0
		sleep 0.1
	done
	return 1
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# ports N: that many which nobody uses, one a line
ports()
{
	"$BIN/tests/cluster/ports" "$1" | sed 's/.*://'
}

# listens PORT
listens()
{
	(exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

# asks LINES ASK-ARGUMENTS...: that is what the store answers; its log is in $D/err
asks()
{
	local want=$1

	shift
	"$PROG/ask" "$@" > "$D/out" 2> "$D/err"
	[ "$(cat "$D/out")" = "$want" ] && return
	sed 's/^/# /' "$D/out" "$D/err"
	return 1
}

# says WORDS: what the last asks() logged is one line, which has them
says()
{
	[ "$(grep -c -- "$1" "$D/err")" -eq 1 ] && [ "$(wc -l < "$D/err")" -eq 1 ] && return
	sed 's/^/# /' "$D/err"
	return 1
}

# conforms NAME CHECKS CONFORM-ARGUMENTS...: the list of tests/unit/under_conform.h
conforms()
{
	local name=$1 n=$2

	shift 2
	"$PROG/conform" -N "$n" "$@" > "$D/conform" 2>&1 || sed 's/^/# /' "$D/conform"
	check "conforms: $name" grep -q '^\[       OK \] conforms' "$D/conform"
}

cleanup()
{
	local p

	for p in "${servers[@]}"; do
		kill "$p" 2> /dev/null
		wait "$p" 2> /dev/null
	done
	rm -rf "$D"
}
trap cleanup EXIT
