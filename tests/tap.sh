# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of processes on this machine say: a line for each thing tested. FAILED is
# what they end with.

FAILED=0

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
