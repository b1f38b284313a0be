# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the two guests of 70-two-kernels.sh share.

. "$DATAFS_TOP/tests/vm/lib.sh"

NAME=client
SHARED=/run/out
server=

# net_up NUMBER: the link to the other guest
net_up()
{
	local dev

	modprobe -q virtio_net
	for dev in /sys/class/net/*; do
		[ "${dev##*/}" != lo ] || continue
		ETH=${dev##*/}
	done
	ip link set lo up && ip link set "$ETH" up && ip addr add "10.77.0.$1/24" dev "$ETH"
}

daemon_start()
{
	supervise datafsd --name $NAME --cache-dir "$CACHE" --cache-size 128M \
		--key-file "$1" &
	server=$!
	until_true 120 test -S "/run/datafs/$NAME.sock" || { tail -n 2 /run/daemon.log; return 1; }
}

daemon_end()
{
	[ -n "$server" ] || return 0
	: > /run/stop
	kill -TERM "$(cat /run/daemon.pid)"
	wait "$server"
	server=
}

# What is asked of the daemon because the kernel does not know it
upcalls()
{
	local op n=0

	for op in lookup getattr readdir; do
		n=$((n + $(stat_of requests_$op $NAME)))
	done
	echo $n
}

# Milliseconds for which the kernel goes on without asking
lease_ms()
{
	cat /sys/fs/datafs/[0-9]*/lease_ms
}

lease_held()
{
	[ "$(lease_ms)" != none ] && [ "$(lease_ms)" -gt 0 ]
}

lease_over()
{
	[ "$(lease_ms)" = 0 ]
}
