#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 cpus=1 mem=2048 disk=2G timeout=1800
#
# The units, under a systemd that is process 1 of a container: a mount of fstab
# and one by hand, one with an embedded daemon, restarts of the daemon that no reader
# sees, and two shutdowns: one in which the daemons outlive their mounts, one in which
# a daemon is dead and a service waits for it.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
NAME=x
HAND=/mnt/hand
EMBEDDED=/mnt/e
SYSTEMD=/lib/systemd/systemd
UNITS=/run/units
manager=

# What a system has of systemd's own, but for devices, logs and logins.
make_units()
{
	local u

	mkdir -p "$UNITS/shutdown.target.wants" "$UNITS/datafsd@.service.d" &&
	for u in basic final local-fs local-fs-pre network network-online poweroff \
		 remote-fs remote-fs-pre shutdown sysinit umount; do
		cp "/lib/systemd/system/$u.target" "$UNITS" || return 1
	done &&
	cp /lib/systemd/system/{modprobe@,systemd-poweroff}.service "$UNITS" &&
	# Without cache.conf: as if /var were no filesystem of its own, as the guest
	# has it.
	cp "$DATAFS_TOP"/systemd/*.service "$UNITS" &&
	ln -s ../datafs-shutdown.service "$UNITS/shutdown.target.wants/" &&
	printf '[Service]\nStandardError=append:/run/datafsd.log\n' \
		> "$UNITS/datafsd@.service.d/log.conf" &&
	ln -s "$DATAFS_TOP/build/datafsd" /usr/sbin/datafsd &&
	mkdir -p /etc/default &&
	echo "OPTIONS=\"--cache-dir $CACHE --cache-size $CACHE_SIZE\"" > "/etc/default/datafsd-$NAME" &&
	cat > /etc/fstab <<-END &&
	$SRC $MNT datafs _netdev,instance=$NAME,sync_interval=1,x-systemd.after=datafsd@$NAME.service 0 0
	$SRC $EMBEDDED datafs _netdev,instance=own,cache=$DISK/cache2,cache_size=$CACHE_SIZE 0 0
	END
	cat > "$UNITS/test.target" <<-END &&
	[Unit]
	Wants=datafsd@$NAME.service remote-fs.target witness.service
	After=remote-fs.target
	Requires=basic.target
	END
	# What it wants when it stops has never been read before; by then whatever
	# has no reason to stay has stopped.
	cat > "$UNITS/user.service" <<-END &&
	[Unit]
	RequiresMountsFor=$MNT $HAND $EMBEDDED $SRC
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=/bin/true
	ExecStop=/bin/sh -c 'sleep 2; cmp $SRC/late $MNT/late && cmp $SRC/late $HAND/late && cmp $SRC/late $EMBEDDED/late && : > /run/user.ok'
	END
	# It has a handler: SIGTERM does not end it in its wait.
	cat > "$UNITS/waiter.service" <<-END &&
	[Unit]
	RequiresMountsFor=$MNT
	[Service]
	ExecStart=/bin/bash -c 'trap : TERM; : > /run/waiter.waits; read -r x < $MNT/never; echo "\$\$?" > /run/waiter.status'
	StandardError=append:/run/waiter.log
	TimeoutStopSec=500
	END
	# Stops when the mounts have, and is waited for.
	cat > "$UNITS/witness.service" <<-END
	[Unit]
	Before=mnt-m.mount mnt-e.mount mnt-hand.mount shutdown.target
	DefaultDependencies=no
	Conflicts=shutdown.target
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=/bin/true
	ExecStop=/bin/sh -c 'ls /sys/fs/datafs > /run/witness'
	END
}

# In what systemd sees.
inside()
{
	nsenter -t "$manager" -m -p "$@"
}

is_up()
{
	inside systemctl is-active -q test.target
}

start_systemd()
{
	SYSTEMD_UNIT_PATH=$UNITS:/run/systemd/generator container=datafs \
		unshare --pid --mount --fork --mount-proc "$SYSTEMD" --system \
		--unit=test.target --show-status=no --log-target=console --log-level=info \
		> /run/systemd.log 2>&1 < /dev/null &
	shell=$!
	until_true 60 eval 'manager=$(pgrep -P $shell)' && until_true 120 is_up
}

systemd_ended()
{
	! kill -0 "$shell" 2> /dev/null
}

# What the daemon has as its main process, as systemd sees it; and others of it.
property()
{
	inside systemctl show --value -p "$2" "$1"
}

epoch()
{
	cat /sys/fs/datafs/"$mount"/epoch
}

followed()
{
	[ "$(epoch)" -gt "$1" ] && [ "$(cat /sys/fs/datafs/"$mount"/state)" = LIVE ]
}

restarts()
{
	local before

	for _ in 1 2 3; do
		before=$(epoch)
		inside systemctl restart "datafsd@$NAME" && followed "$before" || return 1
		! reader_failed || return 1
	done
}

mounts()
{
	find /sys/fs/datafs -maxdepth 1 -name '[0-9]*' -printf '%f '
}

# mount_of INSTANCE: the number of its first
mount_of()
{
	local dir

	dir=$(grep -lx "$1" /sys/fs/datafs/[0-9]*/instance | head -n 1)
	basename "${dir%/instance}"
}

# events INSTANCE: what has come of it since the events were marked
events()
{
	tail -n +$(($(wc -l < /tmp/events.before) + 1)) /tmp/events |
		awk -v of="instance=$1" '$2 == of { print $1 }' | tr '\n' ' '
}

# Without a mount the directory has the module's files only; both times.
unmounted()
{
	[ -s /run/witness ] && ! grep '[0-9]' /run/witness && [ -z "$(mounts)" ]
}

[ -x "$SYSTEMD" ] || { skip "all of it" "no systemd here"; exit 0; }
mkdir -p "$SRC/a" "$HAND" "$EMBEDDED"
cp /usr/include/linux/[a-b]*.h "$SRC/a"
gen "$SRC/big" 4m 1
gen "$SRC/late" 100k 2
echo never > "$SRC/never"
mkdir "$SRC/early"
cp "$SRC/a/"a*.h "$SRC/early"
load
datafs events > /tmp/events &
listener=$!
check "units" make_units || finish
if ! check "systemd comes up" start_systemd; then
	sed 's/^/# /' /run/systemd.log
	finish
fi

# --- restarts
is "the daemon is a service" "$(property datafsd@$NAME ActiveState)" = active
is "and said that it is ready" "$(property datafsd@$NAME StatusText)" = serving
is "the mount of fstab is there" "$(property mnt-m.mount ActiveState)" = active
check "it comes after the daemon" eval 'property mnt-m.mount After | grep -q "datafsd@$NAME.service"'
check "and after what the daemon is before of" eval 'property mnt-m.mount After | grep -q remote-fs-pre.target'
is "no other daemon was started" "$(daemons $NAME | wc -l)" -eq 1
is "but for the other mount, in its unit" "$(sed 's,.*/,,' "/proc/$(daemons own)/cgroup")" = mnt-e.mount
mount=$(mount_of $NAME)
since=$(property mnt-m.mount ActiveEnterTimestampMonotonic)
check "read" inside verify -m mixed "$SRC/early" "$MNT/early"
reader 1 inside verify -m read -t 1 "$SRC/early" "$MNT/early" &
reader 2 inside verify -m direct -t 1 "$SRC/early" "$MNT/early" &
check "3 times systemctl restart" restarts
before=$(epoch)
pid=$(property datafsd@$NAME MainPID)
check "datafs daemon upgrade" datafs daemon upgrade --instance $NAME
check "a new daemon" followed "$before"
is "in the process that systemd knows" "$(property datafsd@$NAME MainPID)" = "$pid"
is "it counts no restart" "$(property datafsd@$NAME NRestarts)" -eq 0
before=$(epoch)
kill -KILL "$(daemons $NAME)"
check "killed: there is another" until_true 60 followed "$before"
is "by systemd" "$(property datafsd@$NAME NRestarts)" -eq 1
: > /run/enough
check "the readers come to an end" until_true 60 readers_ended
readers_report 2
is "the mount has stayed" "$(mount_of $NAME)" = "$mount"
is "its unit too" "$(property mnt-m.mount ActiveEnterTimestampMonotonic)" = "$since"

# --- a shutdown
check "a mount by hand" inside mount -t datafs -o instance=$NAME "$SRC" "$HAND"
check "a service that reads when it stops" inside systemctl start user.service
cp /tmp/events /tmp/events.before
check "systemctl poweroff" inside systemctl poweroff
check "it comes to an end" until_true 120 systemd_ended
check "the service could read" test -e /run/user.ok
check "systemd has unmounted all" unmounted
check "no daemon is there" no_daemon
is "the mounts went before the daemon" "$(events $NAME)" = "unmounted unmounted daemon_lost "
is "and before the embedded one" "$(events own)" = "unmounted daemon_lost "

# --- a shutdown with a dead daemon
rm -f /run/witness
check "systemd comes up again" start_systemd
mount=$(mount_of $NAME)
check "no daemon can start any more" ln -sf /bin/false /usr/sbin/datafsd
kill -KILL "$(daemons $NAME)"
check "the daemon is dead" until_true 30 no_daemon $NAME
check "a service waits for it" eval 'inside systemctl start waiter && until_true 30 test -e /run/waiter.waits'
is "the mount waits for one" "$(cat "/sys/fs/datafs/$mount/state")" = GRACE
check "systemctl poweroff" inside systemctl poweroff
check "it comes to an end" until_true 120 systemd_ended
check "systemd has unmounted all" unmounted
is "the service was not killed, but got an error" "$(cat /run/waiter.status)" = 1
check "namely this one" grep -q "not connected" /run/waiter.log
kill $listener
finish
