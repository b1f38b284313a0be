#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 mem=2048 disk=2G timeout=2400 long
#
# What goes wrong between the daemon and a store, as programs see it that read a mount:
# tests/under/fault_proxy before nginx, and before a double of an S3 store, which checks
# signatures (tests/bench/prog/s3double, behind nginx). Each case has a file and a program of its
# own; they run at one time, as some wait. Of each: the bytes or the errno, the requests that the
# proxy saw, the daemon's one line or none, and that the mount goes on; of all: no secret.

. "$DATAFS_TOP/tests/vm/lib.sh"
D=$DISK/faults
mkdir -p "$D/files" "$D/case"
. "$DATAFS_TOP/tests/under/shared.sh"

CACHE_SIZE=192M
SECRETS='bench-secret|sesame-token|[Ss]ignature=|AWS4-HMAC|Authorization'
SIZE=60000
LOG=/run/datafs/default.log
NGINX_ID='[0-9a-f]{32}'
plain=8080 tls=8443 s3=8081 double=8082
# A store is a proxy, $D/case/STORE, before a port, and what is mounted of it at /mnt/STORE.
declare -A KIND=([web]=http [name]=http [clock]=raw [none]=raw [s3]=http [keys]=http)
declare -A PORT=([web]=$plain [name]=$plain [clock]=$tls [none]=$tls [s3]=$s3 [keys]=$s3)
declare -A SOURCE=([web]=http://127.0.0.1:@/web/ [name]=http://store.test:@/name/
	[clock]=https://127.0.0.1:@/clock/ [none]=https://127.0.0.1:@/none/
	[s3]=s3://bench [keys]=s3://keys-1500)
of_s3=endpoint=http://127.0.0.1:@,path_style,region=us-east-1,read_only,credentials=$D/keys
declare -A OPTS=([web]=concurrency=32 [name]=concurrency=2 [clock]=ca_file=$D/ca.pem
	[none]=ca_file=$D/ca.pem [s3]="concurrency=32,$of_s3" [keys]=$of_s3)
declare -A PREFIX PLAN
cases=()

servers_up()
{
	ip link set lo up
	nginx_conf "$plain" "$tls" 'keepalive_timeout 0; ssl_session_tickets off; ssl_session_cache off;' "
		log_format id '\$request_id \$request_method \$uri';
		server {
			listen 127.0.0.1:$s3;
			access_log $D/requests id;
			add_header x-amz-request-id \$request_id always;
			location / {
				proxy_pass http://127.0.0.1:$double;
				proxy_http_version 1.1;
				proxy_set_header Host \$http_host;
			}
			location /files/ {
				internal;
				alias $D/files/;
				add_header x-amz-request-id \$request_id always;
			}
		}"
	/usr/sbin/nginx -p "$D" -c "$D/nginx.conf" 2> "$D/nginx.err" &
	servers=$!
	"$DATAFS_TOP/tests/bench/prog/s3double" "$double" "$D/files" 2> "$D/double.log" &
	servers+=" $!"
	"$DATAFS_TOP/tests/under/fault_proxy" "$D/case" 2> "$D/proxy.log" &
	servers+=" $!"
	until_true 60 eval "[ \$(curl -so /dev/null -w '%{http_code}' http://127.0.0.1:$s3/bench/) = 403 ]"
}

# fault STORE NAME PLAN WANT SEEN LOG AFTER [COMMAND]: a case. % is the name of its file, FILE the file
# in the store, and REPLACE what replaces it. WANT: a file that the output of the command (for sh) is
# as, or words of strerror(); SEEN and LOG: see shared.sh; AFTER: what the file is then, or "".
fault()
{
	local n=${#cases[@]} c=$D/case/n.${#cases[@]} dir=$D/www/$1 plan=$3

	case $1 in
	s3|keys) dir=$D/files ;;
	esac
	mkdir -p "$c" "$dir"
	cp -p "$D/one" "$dir/f$n"
	plan=${plan//REPLACE/"$(replace "$dir/f$n")"}
	plan=${plan//FILE/"$dir/f$n"}
	PLAN[$1]+=${plan//%/f$n}$'\n'
	cases+=("$1: $2")
	store[n]=$1 want[n]=$4 seen[n]=$5 log[n]=${6//%/f$n} after[n]=$7
	command[n]=${8:-cat %}
	command[n]=${command[n]//%/f$n}
}

# number_of DIR: of a mount, as the kernel counts them
number_of()
{
	local f of dev

	of=$(mountpoint -d "$1")
	for f in /sys/fs/datafs/[0-9]*/dev; do
		read -r dev < "$f"
		f=${f%/dev}
		[ "$dev" != "$of" ] || echo "${f##*/}"
	done
}

# store_up STORE: mounted, and what is in it is known, but for the bytes; without faults
store_up()
{
	local c=$D/case/$1 m=/mnt/$1 dir=$D/www/$1 port source n files=(next)

	mkdir -p "$c" "$dir"
	cp "$D/next" "$dir/next"
	: > "$c/hold"
	proxied "$c" "${KIND[$1]}" "${PORT[$1]}" "${PLAN[$1]}" || return
	port=$(< "$c/port")
	source=${SOURCE[$1]//@/$port}
	mnt "$source" "$m" "sync_interval=never,${OPTS[$1]//@/$port}" || return
	PREFIX[$1]="mount $(number_of "$m"): $source: "
	for ((n = 0; n < ${#cases[@]}; n++)); do
		[ "${store[n]}" != "$1" ] || files+=("f$n")
	done
	# Of keys-1500, nothing.
	[ "$1" = keys ] || (cd "$m" && stat "${files[@]}")
}

# go STORE: the programs of its cases, with faults
go()
{
	local n

	: > "$D/case/$1/seen"
	rm "$D/case/$1/hold"
	for ((n = 0; n < ${#cases[@]}; n++)); do
		[ "${store[n]}" = "$1" ] || continue
		(
			cd "/mnt/$1" || exit
			LC_ALL=C bash -c "${command[n]}" > "$D/case/n.$n/out" 2> "$D/case/n.$n/err"
			echo $? > "$D/case/n.$n/status"
		) &
		id[n]=$!
	done
}

# as_wanted N: what came out is what should
as_wanted()
{
	local c=$D/case/n.$1 what=/f$1\  lines="GET of \"f$1\"|HEAD of \"f$1\"" ret=0

	case ${store[$1]}${command[$1]} in
	*find*)			what='[?]' lines='GET of ""' ;;
	none*|clock*|name*)	what=. ;;
	esac
	grep -E -- "$what" "$D/case/${store[$1]}/seen" > "$c/seen"
	grep -E "^<[0-4]>" "$LOG" | grep -F "datafsd: ${PREFIX[${store[$1]}]}" | grep -E -- "$lines" > "$c/log"
	if [ -e "${want[$1]}" ]; then
		cmp "$c/out" "${want[$1]}" && [ "$(< "$c/status")" = 0 ] && [ ! -s "$c/err" ] || ret=1
	else
		logged "$c/err" ": ${want[$1]}\$" && [ "$(< "$c/status")" != 0 ] || ret=1
	fi
	[ "$(seen "$c")" = "${seen[$1]}" ] && logged "$c/log" "${log[$1]}" && is_request "$c/log" || ret=1
	# It is shown only if it is not.
	echo "wanted ${want[$1]}; status $(< "$c/status"), $(wc -c < "$c/out") bytes, seen: $(seen "$c")"
	cat "$c/err" "$c/log"
	return "$ret"
}

# is_request FILE: one that a line names, if it is not the proxy's, is nginx' own name of one
is_request()
{
	local id

	id=$(grep -oE "request $NGINX_ID" "$1") || return 0
	grep -q "^${id#request } " "$D/requests"
}

# ended STORE: its cases, what it is without faults, and another file
ended()
{
	local n

	for ((n = 0; n < ${#cases[@]}; n++)); do
		[ "${store[n]}" = "$1" ] || continue
		wait "${id[n]}"
		check "${cases[n]}" as_wanted "$n"
	done
	: > "$D/case/$1/hold"
	for ((n = 0; n < ${#cases[@]}; n++)); do
		[ "${store[n]}" != "$1" ] || [ -z "${after[n]}" ] ||
			check "${cases[n]}: and then" cmp "${after[n]}" "/mnt/$1/f$n"
	done
	[ "$1" = keys ] || check "$1: a file that was not read before" cmp "$D/next" "/mnt/$1/next"
}

refused()
{
	! mnt "$1" "$MNT" "$2" 2> /tmp/err && grep -q "$3" /tmp/err
}

blob one > "$D/one"
blob other > "$D/other"
blob next > "$D/next"
cp "$D/next" "$D/files"
touch -d @1000000000 "$D/one"
sha256sum < "$D/one" > "$D/one.sum"
keys "$D/keys" bench bench-secret 'aws_session_token = sesame-token'
one=$D/one
GET='^GET.*/%$'
find='set -o pipefail; find . -mindepth 1 | sort'

fault web "a short storm of 503" "3 answer:503 $GET" "$one" "answer*3 pass*1" "" "$one"
fault web "a storm of 503" "99 answer:503 $GET" "Device or resource busy" "answer*8" \
	'GET of "%": Device or resource busy, status 503, request canned-1' "$one"
fault web "a reset in mid-body, once" "1 reset:1000 $GET" "$one" "reset*1 pass*1" "" "$one"
fault web "a reset in each body" "99 reset:1000 $GET" "Connection reset by peer" "reset*8" \
	'GET of "%": Connection reset' "$one"
fault web "a short body, once" "1 short:1 $GET" "$one" "short*1 pass*1" "" "$one"
fault web "each body is short" "99 short:1 $GET" "Connection reset by peer" "short*8" \
	'GET of "%": Connection reset' "$one"
fault web "a Content-Length that is too long" "99 length:1 $GET" "Protocol error" "length*1 pass*1" \
	'GET of "%": Protocol error, status 206: the Content-Length is not that of the range' "$one"
fault web "another ETag, once" "1 etag:\"x\" $GET" "$one" "etag*1 pass*2" "" "$one"
fault web "another ETag each time" "99 etag:\"x\" $GET" "Stale file handle" "etag*9 pass*9" "" "$one"
fault web "a trickle" "1 trickle:0.05 $GET" "$one" "trickle*1" "" "$one"
fault web "a stall of 10 s" "1 stall:10 $GET" "$one" "stall*1" "" "$one"
fault web "another in its place before it is read" "1 run:REPLACE $GET" "$D/other" "run*1 pass*2" "" "$D/other"
fault web "... while it is sent" "1 midway:REPLACE $GET" "$one" "midway*1" "" "$one"
fault web "gone before it is read" "1 run:rm FILE $GET" "Stale file handle" "run*1 pass*1" "" ""

sum='sha256sum < %'
fault s3 "a storm of 503" "99 answer:503,SlowDown $GET" "Device or resource busy" "answer*8" \
	'GET of "%": Device or resource busy, status 503, request canned-1: SlowDown: told' "$one" "$sum"
fault s3 "each body is short" "99 short:1 $GET" "Connection reset by peer" "short*8" \
	"GET of \"%\": Connection reset.*, request $NGINX_ID: " "$one" "$sum"
fault s3 "another ETag, once" "1 etag:\"x\" $GET" "$D/one.sum" "etag*1 pass*2" "" "$one" "$sum"
fault s3 "a request that is signed at another time" "9 skew:3600 $GET" "Permission denied" "skew*1" \
	"GET of \"%\": Permission denied, status 403, request $NGINX_ID: SignatureDoesNotMatch" "$one" "$sum"
fault s3 "expired credentials" "9 answer:400,ExpiredToken $GET" "Permission denied" "answer*1" \
	'GET of "%": Permission denied, status 400, request canned-1: ExpiredToken' "$one" "$sum"
for header in Authorization x-amz-security-token; do
	fault s3 "a server that says again what $header was" "9 echo:$header $GET" "Input/output error" \
		"echo*1" 'GET of "%": Input/output error, status 400, .*: Echo: .has a secret' "$one" "$sum"
done
next='(start-after|continuation-token)='
# The kernel gives the names of the first part, and asks once more for what it says at the end.
fault keys "the second part of a listing breaks" "99 reset:100 $next" "Connection reset by peer" \
	"pass*2 reset*16" '2*GET of "": Connection reset' "" "$find"
fault s3 "a listing changes in mid-way" "1 run:cd $D/files && rm l0001 l1050 && touch l2000 $next" \
	"$D/names" "pass*1 run*1" "" "$one" "$find"
fault none "TLS, where it is none" "99 plain ." "Software caused connection abort" "plain*8" \
	'GET of "%": Software caused connection abort' "$one"
fault clock "30 days ahead" "" "Key was rejected by service" "pass*1" \
	'GET of "%": Key was rejected by service: .*certificate' "$one"
fault name "it is lost" "" "No route to host" "" 'GET of "%": No route to host' "$one"
(cd "$D/files" && touch l{0000..1050} && printf './%s\n' * l2000 | grep -v l1050) |
	LC_ALL=C sort > "$D/names"

load
check "a certificate" tls_make || finish
check "servers" servers_up || finish
echo nameserver 127.0.0.1 > /etc/resolv.conf
echo 127.0.0.1 store.test >> /etc/hosts
check "name: mount" store_up name
# libcurl knows it for a minute.
known=$SECONDS
for i in clock none web s3 keys; do
	check "$i: mount" store_up "$i"
done
for i in none web s3 keys; do
	go "$i"
done
check "an authority that is not known" refused "https://127.0.0.1:$tls/" concurrency=1 "log says why"
check "... as the log says" grep -q "mount [0-9]*: https://127.0.0.1:$tls/: HEAD of .*certificate" "$LOG"
for i in none web s3 keys; do
	ended "$i"
done
is "keys: what is listed then" "$(find /mnt/keys -mindepth 1 | wc -l)" -eq 1500

date -s "@$(($(date +%s) + 30 * 86400))" > /tmp/date
go clock
wait "${id[${#cases[@]} - 2]}"
date -s "@$(($(date +%s) - 30 * 86400))" > /tmp/date
ended clock
until_true 70 eval '[ $((SECONDS - known)) -gt 61 ]'
sed '/store.test/d' /etc/hosts > /tmp/hosts && cat /tmp/hosts > /etc/hosts
go name
wait "${id[${#cases[@]} - 1]}"
echo 127.0.0.1 store.test >> /etc/hosts
ended name

no_secrets()
{
	# It would find one.
	grep -qE "$SECRETS" "$D/keys" || return
	dmesg > /tmp/dmesg.now
	! grep -rlE "$SECRETS" /run/datafs /tmp/dmesg.now /tmp/dmesg /proc/mounts /proc/self/mountinfo \
		/sys/fs/datafs/*/source "$D"/case/n.*/{err,out}
}
check "no secret is told" no_secrets
check "each line says of which mount" eval '! grep -E "^<[0-4]>" "$LOG" | grep -v "datafsd: mount [0-9]"'
for i in "${!KIND[@]}"; do
	umount "/mnt/$i"
done
for i in $servers; do
	kill "$i"
done
finish
