#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 cpus=1 mem=2048 disk=2G timeout=1800
#
# `datafs daemon upgrade` puts another version in the place of a daemon that
# serves, one that mount(8) started and one of a supervisor's, while programs read,
# list and map a tree: none of them sees it. What cannot work is refused before
# anything ends.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
UPGRADES=${UPGRADES:-2}
NAME=supervised
CONFIG=/run/$NAME.conf
# Of 128 MiB of cache, which is not enough for these.
SLOTS=32
MANY=$DISK/many
BIN=/run/bin
export DATAFSD=$BIN/datafsd
VERSION=$(datafsd --version | awk '$1 == "version" { print $2 }')

# The same with other last digits of the version, ready to be installed: those that are.
make_versions()
{
	local n

	strip -o "$BIN/plain" "$DATAFS_TOP/build/datafsd" || return 1
	for n in 0 1 9 $(seq 2 $((UPGRADES < 8 ? UPGRADES + 1 : 8))); do
		LC_ALL=C sed "s/\<${VERSION//./\\.}\>/${VERSION%?}$n/g" "$BIN/plain" > "$BIN/$n" &&
			chmod 755 "$BIN/$n" || return 1
	done
}

# install_as DIGIT: as a package does, the file is another one afterwards
install_as()
{
	cp "$BIN/$1" "$DATAFSD.new" && mv -f "$DATAFSD.new" "$DATAFSD"
}

# told NAME: what the last upgrade said
told()
{
	awk -v k="$1" '$1 == k { print $2 }' /tmp/upgraded
}

# A reader of what is not in memory: pages, then names.
forgetful()
{
	drop_pages
	verify -m mmap -t 1 "$SRC" "$MNT" && drop_all && same_names
}

# upgrade INSTANCE DIGIT: and nobody else was in between
upgrade()
{
	install_as "$2" && datafs daemon upgrade --instance "$1" > /tmp/upgraded || return 1
	cat /tmp/upgraded
	[ "$(told new_version)" = "${VERSION%?}$2" ] &&
		[ "$(told old_epoch)" -eq "$epoch" ] &&
		[ "$(told new_epoch)" -gt "$epoch" ] || return 1
	epoch=$(told new_epoch)
	serving "$1"
}

upgrades()
{
	local i

	for i in $(seq "$UPGRADES"); do
		sleep 0.5
		upgrade "$1" "$((i % 9 + 1))" || { echo "upgrade $i"; return 1; }
		! reader_failed || { echo "after upgrade $i"; return 1; }
	done
}

# under_load INSTANCE: a first one while nothing is forgotten, then all the others
under_load()
{
	local asked

	check "read" verify -m mixed "$SRC" "$MNT"
	epoch=$(datafs status | awk -v of="# daemon of instance $1" \
		'$0 == of { ours = 1 } ours && $1 == "epoch" { print $2; exit }')
	asked=$(stat_of requests_extent "$1")
	drop_pages
	reader 1 verify -m read -t 1 "$SRC" "$MNT" &
	reader 2 verify -m direct -t 1 "$SRC" "$MNT" &
	check "an upgrade" upgrade "$1" 9
	drop_pages
	check "all is there" verify -m read "$SRC" "$MNT"
	count_is "without a data upcall" "$(stat_of requests_extent "$1")" -eq "$asked"
	reader 3 forgetful &
	check "$UPGRADES upgrades" upgrades "$1"
	: > /run/enough
	check "the readers come to an end" until_true 120 readers_ended
	readers_report 3
}

# refused REGEX ARGUMENT...: it says why, and changes nothing
refused()
{
	local want=$1 status

	shift
	datafs daemon upgrade "$@" > /tmp/said 2>&1
	status=$?
	cat /tmp/said
	[ "$status" -eq 1 ] && grep -Eq "$want" /tmp/said
}

make_tree()
{
	mkdir -p "$SRC/a/b" &&
	cp /usr/include/linux/[a-b]*.h "$SRC/a/b" &&
	gen "$SRC/big" 6m 1 &&
	gen "$SRC/odd" 70001 2 &&
	ln -s a/b "$SRC/link"
}

# A file of more than 1 MiB has a slot for itself.
make_many()
{
	local i

	mkdir -p "$MANY" /mnt/many &&
	for i in $(seq $((SLOTS + 8))); do
		gen "$MANY/$i" 1100k "$i" || return 1
	done
}

# A program that is there and says what is wanted, but does not serve.
install_script()
{
	rm -f "$DATAFSD"
	printf '#!/bin/sh\n%s\n' "$1" > "$DATAFSD"
	chmod 755 "$DATAFSD"
}

mkdir -p $BIN
load
check "a tree" make_tree
check "daemons to install" make_versions
install_as 0
check "usage" eval 'datafs daemon; [ $? -eq 2 ]'
check "no such option" eval 'datafs daemon upgrade --instance; [ $? -eq 2 ]'
check "no daemon" refused "no daemon of that name runs"

# --- one that mount(8) started
check "mount" mnt "$SRC" "$MNT" sync_interval=1
guard=$(guards)
check "not by a user" eval '! setpriv --reuid 65534 --clear-groups datafs daemon upgrade 2> /tmp/err &&
	grep -q "only root" /tmp/err'
check "no daemon of another name" refused "no daemon of that name runs" --instance other
pid=$(daemons)
check "a program that is broken is refused" \
	eval 'install_script "exit 3" && refused "is broken, or no datafsd"'
check "and one that is not there" eval 'rm -f "$DATAFSD" && refused "No such file"'
check "and one of another protocol" \
	eval 'install_script "echo version 9; echo abi 99.0" && refused "version 99 of the protocol"'
is "the daemon is the same" "$(daemons)" = "$pid"
install_as 0
exec 7< /run/datafs/default.lock
flock -s 7
check "nor while somebody mounts" refused "somebody is mounting" --timeout 1
exec 7<&-
is "the daemon is still the same" "$(daemons)" = "$pid"
under_load default
is "the guard has kept its process" "$(guards)" = "$guard"
is "and is the new program" "$(readlink "/proc/$guard/exe")" = "$DATAFSD"
pid=$(daemons)
kill -KILL "$pid"
another()
{
	local now

	now=$(daemons)
	[ -n "$now" ] && [ "$now" != "$1" ] && serving default
}
check "killed, there is another" until_true 30 another "$pid"
is "of the new version" "$(datafs status | awk '$1 == "version" { print $2 }')" = \
	"${VERSION%?}$((UPGRADES % 9 + 1))"
check "all is right" verify -m mixed "$SRC" "$MNT"
check "unmount: the daemon ends" umnt "$MNT"
check "and the guard" until_true 10 no_guard

# --- one of a supervisor's
install_as 0
echo "cache_size = 128M" > $CONFIG
supervise "$DATAFSD" --config $CONFIG --name $NAME --cache-dir "$DISK/cache2" &
server=$!
check "a daemon" until_true 60 test -S "/run/datafs/$NAME.sock"
read -r pid < /run/daemon.pid
check "mount" mount -t datafs -o "instance=$NAME,sync_interval=1" "$SRC" "$MNT"
under_load $NAME
is "it has kept its process" "$(daemons $NAME)" = "$pid"
echo "no_such_key = 1" >> $CONFIG
check "a configuration that it would not take is refused" \
	refused "refuses the options or the configuration" --instance $NAME
is "that one still serves" "$(daemons $NAME)" = "$pid"
sed -i /no_such_key/d $CONFIG

# --- with a cache that is full, and too small
check "a larger tree" make_many
check "mount it" mount -t datafs -o "instance=$NAME" "$MANY" /mnt/many
check "read it" verify -n -m read -t 1 "$MANY" /mnt/many
count_is "the cache is full" "$(stat_of cache_evicted_slots $NAME)" -gt 0
drop_pages
reader 1 verify -n -m direct -t 4 "$MANY" /mnt/many &
check "$UPGRADES upgrades" upgrades $NAME
: > /run/enough
check "the reader comes to an end" until_true 120 readers_ended
readers_report 1
check "unmount it" umount /mnt/many

# --- one that says what is wanted, and does not serve
reader 1 forgetful &
install_script 'case $* in *--version*) echo version 9; echo abi 1.0 ;; *) sleep 0.2; exit 1 ;; esac'
check "a successor that does not serve is told" refused "no new daemon serves" --instance $NAME --timeout 3
check "the mount waits" eval 'datafs status | grep -q "grace .*$NAME"'
install_as 1
check "until there is one that does" until_true 60 serving $NAME
sleep 1
: > /run/enough
check "the reader comes to an end" until_true 60 readers_ended
readers_report 1
readers_done $server
finish
