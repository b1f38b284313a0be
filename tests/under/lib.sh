# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of stores share that are servers: they run on loopback, below a directory of
# the test's own, and are ended by their ids.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${DATAFS_BIN:-$TOP/build}
PROG=$BIN/tests/under
D=$(mktemp -d "${TMPDIR:-$TOP/build}/under-XXXXXX") || exit 1
FAILED=0
# Nobody is between them and us.
export no_proxy='*'
servers=()	# ids of processes

ok()
{
	echo "ok - $*"
}

not_ok()
{
	echo "not ok - $*"
	FAILED=1
}

# check NAME COMMAND...
check()
{
	local name=$1

	shift
	if "$@"; then
		ok "$name"
	else
		not_ok "$name"
		return 1
	fi
}

# server COMMAND...: until the test ends
server()
{
	"$@" &
	servers+=($!)
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
