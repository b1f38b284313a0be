#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=3000 long
#
# Two kernels, each in a guest of its own, and one quorum: what is changed on one is
# seen on the other at once, through all that it keeps, and what has not changed costs
# no upcall. guest/first.sh has the quorum and tells guest/second.sh what to do. What is at
# random follows from DATAFS_SEED, and goes on for DATAFS_ROUNDS (600).

TOP=$(cd "$(dirname "$0")/../.." && pwd)
D=$(mktemp -d "${TMPDIR:-$TOP/build}/cluster-XXXXXX") || exit 1
SEED=${DATAFS_SEED:-$(date +%s)}
second=
cleanup()
{
	[ -z "$second" ] || kill -TERM "$second" 2> /dev/null
	wait
	rm -rf "$D"
}
trap cleanup EXIT
trap 'exit 143' TERM

guest()
{
	exec "$TOP/scripts/vm" --kernel 6.12 --cpus 1 --mem 1024 --disk 1G --timeout 2900 \
		--link "$D/link" --out "$D/shared" --console "$D/$1.console" \
		-- "tests/cluster/guest/$1.sh" "$SEED" "${DATAFS_ROUNDS:-600}"
}

(guest first) > "$D/first.out" 2>&1 &
first=$!
for ((i = 0; i < 600; i++)); do
	[ ! -S "$D/link" ] || break
	sleep 0.1
done
(guest second) > "$D/second.out" 2>&1 &
second=$!
wait $first
status=$?
cat "$D/first.out"
[ $status -eq 0 ] || sed 's/^/# second: /' "$D/second.out"
# Told to end by the first, if that has come to its end.
[ $status -le 1 ] || kill -TERM $second 2> /dev/null
wait $second
other=$?
second=
if [ $status -eq 0 ] && [ $other -eq 0 ]; then
	echo "ok - both guests end without a complaint of their kernels"
else
	echo "not ok - both guests end without a complaint of their kernels: $status, $other"
	exit 1
fi
