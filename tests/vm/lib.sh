# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Shared by the tests of this directory; source it. A test calls load, then
# what it tests, and at the end finish, which never returns.
#
#   SRC, MNT, CACHE   the source tree, the mount point, the cache directory
#   STORE             what the daemon of the default instance has in that
#   KO                the module for this kernel
#
# Where a test waits, it waits for a state, with a limit; nothing is concluded
# from how long something took. What is done often here starts no program: that takes
# tenths of a second in a guest, and seconds under the debug kernel.

PATH=$DATAFS_TOP/build:$DATAFS_TOP/build/tests/vm:$PATH
KO=$DATAFS_KMOD/datafs.ko
DISK=/mnt/disk
SRC=$DISK/src
MNT=/mnt/m
CACHE=$DISK/cache
STORE=$CACHE/default
CACHE_SIZE=512M
OUT=/tmp/out
failed=0
bad_replies=0
# The exit status of what setup does is looked at where it matters.
set -u
mkdir -p "$SRC" "$MNT" "$CACHE"
[ -p /run/idle ] || mkfifo /run/idle

# -------------------------------------------------------------- reporting

ok()
{
	echo "ok - $*"
}

# not_ok NAME [FILE]: with what FILE holds as a comment
not_ok()
{
	echo "not ok - $1"
	failed=1
	[ -z "${2:-}" ] || tail -n 25 "$2" | sed 's/^/# /'
	state_of_things
}

skip()
{
	echo "ok - $1 # SKIP $2"
}

# check NAME COMMAND...: its output is shown only if it fails
check()
{
	local name=$1

	shift
	if "$@" > $OUT 2>&1; then
		ok "$name"
	else
		not_ok "$name" $OUT
		return 1
	fi
}

# is NAME GOT OPERATOR WANT: OPERATOR of test(1)
is()
{
	# shellcheck disable=SC2086 # the operator may be = or -eq
	if test "$2" $3 "$4" 2> $OUT; then
		ok "$1${5:+ ($2)}"
	else
		not_ok "$1: got '$2', expected $3 '$4'"
		return 1
	fi
}

# The same where numbers are worth telling.
count_is()
{
	is "$1" "$2" "$3" "$4" told
}

# A program that reports by itself.
tap()
{
	local status

	"$@" 2>&1
	status=$?
	[ $status -eq 0 ] && return
	failed=1
	[ $status -eq 1 ] || not_ok "$1 ended with status $status"
	state_of_things
}

# For whoever has to find out why.
state_of_things()
{
	local f

	dmesg -c > /tmp/dmesg.new
	cat /tmp/dmesg.new >> /tmp/dmesg
	grep -i datafs /tmp/dmesg.new | tail -n 15 | sed 's/^/# /'
	for f in /run/datafs/*.log; do
		[ -s "$f" ] || continue
		echo "# the end of $f:"
		tail -n 8 "$f" | sed 's/^/# /'
	done
}

# ------------------------------------------------------- module and daemon

modules()
{
	local m

	for m in $(modinfo -F depends "$KO" | tr , ' ') \
		 $(modinfo -F softdep "$KO" | sed 's/\(pre\|post\)://g'); do
		modprobe -q "$m" || true
	done
}

# load: everything a mount needs; without it there is nothing to test
load()
{
	dmesg -c > /tmp/dmesg
	# Where mount(8) looks for it; it finds the daemon beside itself.
	ln -sf "$DATAFS_TOP/build/mount.datafs" /usr/sbin/mount.datafs
	modules
	check "the module loads" insmod "$KO" || finish
}

# The pids of daemons, of one instance or of all.
daemons()
{
	local p comm
	local -a words

	for p in /proc/[0-9]*; do
		read -r comm < "$p/comm" || continue
		[ "$comm" = datafsd ] || continue
		mapfile -d '' -t words < "$p/cmdline"
		# Without words it is ending: not for us to wait for its parent.
		[ ${#words[@]} -gt 0 ] || continue
		case " ${words[*]} " in
		*" --name ${1:-} "*)	;;
		*)			[ -z "${1:-}" ] || continue ;;
		esac
		echo "${p#/proc/}"
	done 2> /dev/null
}

# pause SECONDS: nobody writes there
pause()
{
	read -rt "$1" <> /run/idle || true
}

# until_true SECONDS COMMAND...: the limit says only that it hangs
until_true()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		pause 0.1
	done
}

# Who starts an embedded daemon again.
guards()
{
	local p comm

	for p in /proc/[0-9]*; do
		read -r comm < "$p/comm" && [ "$comm" = datafs-guard ] && echo "${p#/proc/}"
	done 2> /dev/null
}

no_guard()
{
	[ -z "$(guards)" ]
}

# Daemons, and who would start them again.
kill_for_good()
{
	local pid

	for pid in $(guards) $(daemons); do
		kill -KILL "$pid"
	done
}

no_daemon()
{
	[ -z "$(daemons "${1:-}")" ]
}

# mnt SOURCE DIR [OPTIONS]: by mount(8); an own instance has an own cache
mnt()
{
	local opts="cache_size=$CACHE_SIZE${3:+,$3}"

	case ",$opts," in
	*,cache=*)	;;
	*)		opts=$opts,cache=$CACHE ;;
	esac
	[ -d "$2" ] || mkdir -p "$2"
	mount -t datafs -o "$opts" "$1" "$2"
}

mounted()
{
	[[ $(< /proc/self/mountinfo) == *" $1 "* ]]
}

# umnt DIR: and the daemon ends, if it was the last
umnt()
{
	note_bad_replies
	umount "$1" || return 1
	[[ $(< /proc/self/mountinfo) == *' - datafs '* ]] || until_true 30 no_daemon
}

# stat_of NAME [INSTANCE]: a counter of the kernel (all mounts) or the daemon
stat_of()
{
	sum_of "$1" "$(datafs stats --instance "${2:-default}")"
}

# sum_of NAME TEXT: of its lines "NAME NUMBER"
sum_of()
{
	local text=$2 n=no-such-counter

	while [[ $text =~ (^|$'\n')$1\ +([0-9]+)(.*) ]]; do
		n=$((${n/#no*/0} + BASH_REMATCH[2]))
		text=${BASH_REMATCH[3]}
	done
	echo "$n"
}

# What the kernel had to refuse from our own daemon is a mistake of one of them.
note_bad_replies()
{
	local n

	n=$(sum_of replies_bad "$(datafs stats 2> /dev/null)")
	bad_replies=$((bad_replies + ${n/#no*/0}))
}

# What a directory lists, in one line. Without starting a program, as daemons().
names() (
	[ -d "$1" ] || { echo "no directory"; exit 1; }
	shopt -s nullglob dotglob
	for f in "$1"/*; do
		printf '%s ' "${f##*/}"
	done
)

drop_pages()
{
	sync
	echo 1 > /proc/sys/vm/drop_caches
}

drop_all()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
}

# forget_cache: the next mount is cold
forget_cache()
{
	rm -rf "$CACHE"
	mkdir -p "$CACHE"
}

# make_callers N DIR: what each of the callers of prog/callers.h has to itself, or
# shares, below DIR
make_callers()
{
	local i s=$2/s

	mkdir -p "$s/links0" "$s/cold0" "$s/bad0" && gen "$s/odd0" 70001 2 &&
	setfattr -n user.colour -v blue "$s/odd0" || return 1
	for i in $(seq 0 $(($1 - 1))); do
		mkdir -p "$s/dirs0/d$i" && ln -s "to/$i" "$s/links0/l$i" &&
		printf '%04d' $((i + 1)) > "$s/cold0/f$i" &&
		truncate -s 5000 "$s/cold0/f$i" &&
		gen "$s/bad0/f$i" 4096 $((i + 77)) || return 1
	done
	cat "$s"/bad0/* > /run/bad
}

# supervise DAEMON ARGUMENTS... &: what a service manager does, until there is
# /run/stop; while there is /run/hold, not
supervise()
{
	while [ ! -e /run/stop ]; do
		while [ -e /run/hold ]; do
			pause 0.1
		done
		"$@" 2>> /run/daemon.log &
		echo $! > /run/daemon.pid
		wait $!
	done
}

# serving INSTANCE
serving()
{
	datafs status | grep -Eq "^[0-9]+ +live +serves +$1 "
}

# ---------------------------------------------------------------- readers

# reader N COMMAND... &: again and again until there is /run/enough; the first
# failure is kept
reader()
{
	local n=$1

	shift
	while [ ! -e /run/enough ]; do
		if ! "$@" > "/run/reader.$n.out" 2>&1; then
			{ echo "$*"; tail -n 20 "/run/reader.$n.out"; } > "/run/reader.$n.failed"
			return
		fi
		echo >> "/run/reader.$n.rounds"
	done
}

readers_ended()
{
	! jobs -r | grep -q reader
}

# readers_done SERVER: the mount is right at the end, and goes, and its daemon with it,
# whose guard is the process SERVER
readers_done()
{
	check "all is right at the end" verify -m mixed "$SRC" "$MNT"
	: > /run/stop
	check "unmount" umount "$MNT"
	kill -TERM "$(cat /run/daemon.pid)"
	wait "$1"
}

# What they compare, beside bytes.
same_names()
{
	diff <(cd "$SRC" && find . -printf '%p %y %s %m %T@ %l\n' | sort) \
	     <(cd "$MNT" && find . -printf '%p %y %s %m %T@ %l\n' | sort)
}

# True after the first failure of any.
reader_failed()
{
	compgen -G '/run/reader.*.failed' > /dev/null
}

# readers_report COUNT: a line for each from 1 on, and as if none had been
readers_report()
{
	local n

	for n in $(seq "$1"); do
		if [ -e "/run/reader.$n.failed" ]; then
			not_ok "reader $n saw it" "/run/reader.$n.failed"
		else
			ok "reader $n: $(wc -l < "/run/reader.$n.rounds") rounds, nothing but the right bytes"
		fi
	done
	rm -f /run/enough /run/reader.*
}

# --------------------------------------------------------------------- S3

# swift_up: the way to the S3 store of scripts/vm --swift. Sets SWIFT, its directory, which has
# "requests" (see tests/under/swift), and URL; makes "bucket".
swift_up()
{
	local net

	SWIFT=/run/out/swift
	URL=$(cat $SWIFT/url) && modprobe virtio_net || return 1
	net=$(grep -l 52:54:00:da:7a:0f /sys/class/net/*/address) || return 1
	net=${net%/address}
	ip addr add 10.0.2.15/24 dev "${net##*/}" && ip link set "${net##*/}" up &&
		until_true 30 curl_s3 bucket -X PUT || return 1
	printf '[default]\naws_access_key_id = test:tester\naws_secret_access_key = testing\n' \
		> /run/credentials
	chmod 600 /run/credentials
}

# curl_s3 KEY OPTION...: the name test:tester has a colon, so it cannot be an option's
curl_s3()
{
	curl -sS -f --aws-sigv4 aws:amz:us-east-1:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
		"${@:2}" "http://test%3Atester:testing@${URL#http://}/$1" > /dev/null
}

# put_objects PREFIX: stdin has KEY\0FILE\0 for each. By one curl: each start of a program
# takes a second here.
put_objects()
{
	python3 -c '
import sys, urllib.parse
words = sys.stdin.buffer.read().split(b"\0")
for key, path in zip(words[0::2], words[1::2]):
    print("url = \"%s/%s\"" % (sys.argv[1], urllib.parse.quote(key)))
    print("request = \"PUT\"\ndata-binary = \"@%s\"" % path.decode())
    print("aws-sigv4 = \"aws:amz:us-east-1:s3\"")
    print("header = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"")
    print("output = \"/dev/null\"\nfail\ngloboff\npath-as-is\nnext")
' "http://test%3Atester:testing@${URL#http://}/$1" | sed '$d' > /run/puts
	curl -sS --fail-early -K /run/puts
}

# -------------------------------------------------------------------- web

# web_up DIR: nginx serves it and its listings at http://127.0.0.1:8080. Sets web, its pid; a
# request is a line "METHOD URI STATUS" of $DISK/web.log.
web_up()
{
	mkdir -p "$DISK/tmp"
	cat > "$DISK/nginx.conf" <<-END
	daemon off;
	pid $DISK/nginx.pid;
	error_log $DISK/error.log;
	worker_processes 1;
	user root root;
	events { worker_connections 64; }
	http {
		log_format line '\$request_method \$request_uri \$status';
		access_log $DISK/web.log line;
		client_body_temp_path $DISK/tmp; proxy_temp_path $DISK/tmp; uwsgi_temp_path $DISK/tmp;
		fastcgi_temp_path $DISK/tmp; scgi_temp_path $DISK/tmp;
		default_type application/octet-stream;
		server { listen 127.0.0.1:8080; root $1; autoindex on; }
	}
	END
	ip link set lo up
	/usr/sbin/nginx -p "$DISK" -c "$DISK/nginx.conf" 2> "$DISK/nginx.err" &
	web=$!
	until_true 30 curl -sfo /dev/null http://127.0.0.1:8080/
}

# -------------------------------------------------------------------- NFS

have_nfsd()
{
	[ -x /usr/sbin/rpc.nfsd ] && modprobe -q nfsd
}

# nfs_up DIR: exported by this kernel's nfsd, and mounted at /mnt/nfs
nfs_up()
{
	modprobe nfsd && modprobe nfs && { mounted /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd; } &&
	mkdir -p /var/lib/nfs /run/rpc_pipefs /mnt/nfs &&
	: > /var/lib/nfs/etab && : > /var/lib/nfs/rmtab &&
	rpc.mountd --no-udp -N 2 -N 3 &&
	exportfs -o ro,insecure,no_root_squash,no_subtree_check,fsid=0 "*:$1" &&
	rpc.nfsd -N 3 -U 2 || return 1
	[ ! -w /proc/fs/nfsd/v4_end_grace ] || echo Y > /proc/fs/nfsd/v4_end_grace
	mount -t nfs4 -o ro,soft,timeo=100 127.0.0.1:/ /mnt/nfs
}

nfs_down()
{
	local pid

	umount /mnt/nfs
	exportfs -ua
	rpc.nfsd 0
	for pid in $(pidof rpc.mountd); do
		kill "$pid"
	done
	exportfs -f
}

# ---------------------------------------------------------------- the end

splats='BUG: |WARNING: |KASAN: |UBSAN: |kmemleak: .* suspected|INFO: (task|trying|rcu|possible)'
splats="$splats|possible .*deadlock|general protection|Oops: |kernel BUG at"
splats="$splats|Objects remaining|suspicious RCU|unable to handle|Fix your code|Call Trace"

finish()
{
	local dir pid

	note_bad_replies
	# Innermost first: a mount may lie below another.
	grep ' - datafs ' /proc/self/mountinfo | cut -d' ' -f5 | tac > /tmp/left
	while read -r dir; do
		umount "$(printf '%b' "$dir")" || umount -l "$(printf '%b' "$dir")"
	done < /tmp/left
	if ! until_true 40 no_daemon; then
		not_ok "no daemon is left: $(daemons | tr '\n' ' ')"
		for pid in $(daemons); do
			kill "$pid"
		done
		until_true 10 no_daemon || for pid in $(daemons); do
			kill -KILL "$pid"
		done
	else
		ok "no daemon is left"
	fi
	is "no reply of the daemon was refused" "$bad_replies" -eq 0
	[ ! -e /sys/module/datafs ] || check "the module unloads" rmmod datafs
	dmesg -c >> /tmp/dmesg
	if grep -Eaq "$splats" /tmp/dmesg; then
		grep -Ea -m 1 -A 40 "$splats" /tmp/dmesg > $OUT
		not_ok "no complaint of the kernel" $OUT
	else
		ok "no complaint of the kernel"
	fi
	exit $failed
}
