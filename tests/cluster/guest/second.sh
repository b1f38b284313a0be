#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The second guest: does what the first one tells it, one command after another, each in
# this shell. SHARED/cmd.N is one, SHARED/res.N its output, the last line its status.

. "$DATAFS_TOP/tests/cluster/guest/lib.sh"

exec 2>&1
n=0
while :; do
	until [ -e "$SHARED/cmd.$n" ]; do
		sleep 0.05
	done
	cmd=$(cat "$SHARED/cmd.$n")
	[ "$cmd" != end ] || break
	eval "$cmd" > /tmp/res 2>&1
	status=$?
	{
		cat /tmp/res
		[ -z "$(tail -c 1 /tmp/res)" ] || echo
		echo $status
	} > "$SHARED/res.new"
	mv "$SHARED/res.new" "$SHARED/res.$n"
	n=$((n + 1))
done
daemon_end
exit 0
