#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# under: timeout=300
#
# What goes wrong between the daemon and a store: nginx and Swift behind fault_proxy. Each case has
# a proxy and a plan of its own, and they run at one time, as some wait. Of each: what the caller
# gets, which requests the proxy saw, the one line in the log or none; and of all: no secret.

. "$(dirname "$0")/lib.sh"

SECRETS='testing|sesame-token|[Ss]ignature=|AWS4-HMAC|Authorization'
SIZE=200000
cases=()

nginx_start()
{
	nginx_conf "$1" "$2"
	server /usr/sbin/nginx -p "$D" -c "$D/nginx.conf" 2> "$D/nginx.err"
	wait_for 20 listens "$1"
}

crc_of()
{
	"$PROG/ask" "$D" stat "$1" read 0 "$SIZE" | sed -n 's/^read //p'
}

# fault NAME KIND PLAN LINES SEEN LOG ASK-ARGUMENTS...: begins a case. In the arguments, @ is the
# proxy's port. SEEN: "FAULT*TIMES ..." in the order of the first; LOG: a pattern, or "", with "N*"
# before it if there are N such lines.
fault()
{
	local c=$D/case/${#cases[@]} kind=http port=$2 args=()

	mkdir -p "$c"
	printf '%s\n' "$4" > "$c/want"
	printf '%s\n' "$5" > "$c/want-seen"
	printf '%s\n' "$6" > "$c/want-log"
	cases+=("$1")
	[ "$2" != tls ] || kind=raw port=$tls
	proxied "$c" "$kind" "$port" "$3" || return
	args=("${@:7}")
	args=("${args[@]//@/$(cat "$c/port")}")
	"$PROG/ask" "${args[@]}" > "$c/out" 2> "$c/err" &
	echo $! > "$c/id"
}

# right DIR: what came out is what should
right()
{
	if cmp -s "$1/out" "$1/want" && [ "$(seen "$1")" = "$(cat "$1/want-seen")" ] &&
	   logged "$1/err" "$(cat "$1/want-log")"; then
		return 0
	fi
	echo "# seen: $(seen "$1")"
	sed 's/^/# /' "$1/out" "$1/err"
	return 1
}

# web NAME PLAN READ SEEN LOG: a look and a read of a file of nginx
web()
{
	local dir=w${#cases[@]}

	has "$dir"
	fault "nginx: $1" "$plain" "${2//REPLACE/"$(replace "$D/www/$dir/f")"}" "stat f $SIZE 1000000000 weak 0644
read $3" "$4" "$5" "http://127.0.0.1:@/$dir" stat f read 0 "$SIZE"
}

# slow NAME PLAN READ SEEN LOG ASK-OPTIONS...: as web, with what -t makes of times
slow()
{
	local dir=w${#cases[@]}

	has "$dir"
	fault "nginx: $1" "$plain" "$2" "stat f $SIZE 1000000000 weak 0644
read $3" "$4" "$5" "${@:6}" "http://127.0.0.1:@/$dir" stat f read 0 "$SIZE"
}

# s3 NAME PLAN LINES SEEN LOG COMMAND...: of the bucket
s3()
{
	fault "Swift: $1" "$swift" "$2" "$3" "$4" "$5" -o path_style -o region=us-east-1 \
		-o read_only -o "endpoint=http://127.0.0.1:@" -o "credentials=$D/keys" s3://faults "${@:6}"
}

# direct COMMAND...: of the bucket, without a proxy
direct()
{
	"$PROG/ask" -o path_style -o region=us-east-1 -o "endpoint=http://127.0.0.1:$swift" \
		-o "credentials=$D/keys" s3://faults "$@"
}

check "there is a certificate" tls_make || exit 1
mapfile -t port < <(ports 2)
plain=${port[0]} tls=${port[1]}
check "nginx serves" nginx_start "$plain" "$tls" || { sed 's/^/# /' "$D/nginx.err"; exit 1; }
mkdir "$D/case"
server "$TOP/tests/under/fault_proxy" "$D/case" 2> "$D/proxy.log"
blob two > "$D/other"
has tls
one=$(crc_of www/tls/f)

web "nothing goes wrong" "" "$one" "pass*2" ""
web "a short storm of 503" "3 answer:503 ^GET" "$one" "pass*2 answer*3" ""
web "a storm of 503" "99 answer:503 ^GET" EBUSY "pass*1 answer*8" \
	'http://127.*: GET of "f": Device or resource busy, status 503, request canned-1'
web "no answer, once" "1 reset:-1 ^GET" "$one" "pass*2 reset*1" ""
web "a reset in mid-body, once" "1 reset:1000 ^GET" "$one" "pass*2 reset*1" ""
web "a reset in each body" "99 reset:1000 ^GET" ECONNRESET "pass*1 reset*8" \
	'http://127.*: GET of "f": Connection reset'
web "a short body, once" "1 short:1 ^GET" "$one" "pass*2 short*1" ""
web "each body is short" "99 short:1 ^GET" ECONNRESET "pass*1 short*8" \
	'http://127.*: GET of "f": Connection reset'
web "a Content-Length that is too long" "99 length:1 ^GET" EPROTO "pass*2 length*1" \
	'GET of "f": Protocol error, status 206: the Content-Length is not that of the range'
web "... too short" "99 length:-1 ^GET" EPROTO "pass*2 length*1" \
	'GET of "f": Protocol error, status 206: the Content-Length is not that of the range'
web "another ETag" '99 etag:"x" ^GET' ESTALE "pass*1 etag*1" ""
web "a trickle" "1 trickle:0.05 ^GET" "$one" "pass*1 trickle*1" ""
web "a stall of 10 s" "1 stall:10 ^GET" "$one" "pass*1 stall*1" ""
web "another in its place before it is read" "1 run:REPLACE ^GET" ESTALE "pass*1 run*1" ""
web "... while it is sent" "1 midway:REPLACE ^GET" "$one" "pass*1 midway*1" ""
web "... between a reset and the next try" "1 reset:1000 ^GET
1 run:REPLACE ^GET" ESTALE "pass*1 reset*1 run*1" ""
has gone
fault "nginx: gone before it is read" "$plain" "1 run:rm $D/www/gone/f ^GET" \
	"stat f $SIZE 1000000000 weak 0644
read ESTALE" "pass*1 run*1" "" "http://127.0.0.1:@/gone" stat f read 0 "$SIZE"
has list
touch "$D/www/list/g"
fault "nginx: a reset in a listing, once" "$plain" "1 reset:60 ^GET" "list  f g" "reset*1 pass*1" "" \
	"http://127.0.0.1:@/list" list ""
fault "nginx: each listing is short" "$plain" "99 short:20 ^GET" "list  ECONNRESET" "short*8" \
	'GET of "": Connection reset' "http://127.0.0.1:@/list" list ""
fault "no such host" "$plain" "" "stat f EHOSTUNREACH
count stat 8 7 8" "" 'http://store.invalid.*: HEAD of "f": No route to host' \
	-t lookups=99 "http://store.invalid/" stat f count stat
fault "a host that is found in the end" "$plain" "" "stat f $SIZE 1000000000 weak 0644
count stat 3 2 2" "pass*1" "" -t lookups=2 "http://store.invalid:@/tls" stat f count stat
slow "a stall that is too long, once" "1 stall:20 ^GET" "$one" "pass*2 stall*1" "" -t stall=1
slow "each body is too slow" "99 trickle:2 ^GET" ETIMEDOUT "pass*1 trickle*8" \
	'http://127.*: GET of "f": Connection timed out' -t deadline=3000 -t naps=100
has budget
reads=() busy="stat f $SIZE 1000000000 weak 0644"
for ((n = 0; n < 20; n++)); do
	reads+=(read 0 "$SIZE")
	busy+=$'\nread EBUSY'
done
fault "nginx: where nothing gets through, 100 are sent twice" "$plain" "999 answer:503 ^GET" "$busy" \
	"pass*1 answer*120" '20*GET of "f": Device or resource busy, status 503' -t naps=100 \
	"http://127.0.0.1:@/budget" stat f "${reads[@]}"

tls_web()
{
	fault "nginx with TLS: $1" tls "$2" "$3" "$4" "$5" "${@:6}" "https://127.0.0.1:@/tls" \
		stat f read 0 "$SIZE"
}

tls_web "nothing goes wrong" "" "stat f $SIZE 1000000000 weak 0644
read $one" "pass*1" "" -o "ca_file=$D/ca.pem"
tls_web "cut in the handshake, and in a body" "1 cut:500 .
1 cut:60000 ." "stat f $SIZE 1000000000 weak 0644
read $one" "cut*2 pass*1" "" -o "ca_file=$D/ca.pem"

fault "nginx with TLS: an unknown authority" tls "" "stat f EKEYREJECTED" "pass*1" \
	'https://127.*: HEAD of "f": Key was rejected by service: .*certificate' \
	"https://127.0.0.1:@/tls" stat f
fault "nginx with TLS: no TLS" tls "99 plain ." "stat f ECONNABORTED" "plain*8" \
	'https://127.*: HEAD of "f": Software caused connection abort' \
	-o "ca_file=$D/ca.pem" "https://127.0.0.1:@/tls" stat f

for days in 30 -30; do
	fault "nginx with TLS: a clock that is wrong by $days days" tls "" "stat f EKEYREJECTED" "pass*1" \
		'https://127.*: HEAD of "f": Key was rejected by service: .*certificate' \
		-o "ca_file=$D/ca.pem" -t "skew=$((days * 86400))" "https://127.0.0.1:@/tls" stat f
done

# Names, of which nothing goes wrong.
names=('a b' 'a%41' 'a+b' 'a&b' 'a;b' 'a=b' 'a?b' 'a#b' "a'b" 'a"b' 'ü€' '%2f' '100%' '~' '...')
long=$(printf '%0255d' 0)
names+=("$long")
mkdir -p "$D/www/names"
for name in "${names[@]}"; do
	printf x > "$D/www/names/$name"
	touch -d @1000000000 "$D/www/names/$name"
done
x=$(crc_of "www/names/a b")
of_names=() want=""
for name in "${names[@]}"; do
	of_names+=(stat "$name" read 0 1)
	want+="stat $name 1 1000000000 weak 0644
read $x
"
done
fault "nginx: names" "$plain" "" "${want%?}" "pass*$((2 * ${#names[@]}))" "" \
	"http://127.0.0.1:@/names" "${of_names[@]}"
for name in . .. a/../b a//b /a a/; do
	check "not a name: \"$name\"" asks "stat $name EINVAL" "http://127.0.0.1:$plain/names" stat "$name"
done

if /usr/bin/python3 -c 'import swift' 2> /dev/null; then
	. "$TOP/tests/under/faults_s3.sh"
else
	echo "ok - Swift # SKIP no swift (scripts/install test)"
fi

for ((i = 0; i < ${#cases[@]}; i++)); do
	[ ! -s "$D/case/$i/id" ] || wait "$(cat "$D/case/$i/id")"
	check "${cases[i]}" right "$D/case/$i"
done
# -q, as a file that is missing would hide what was found.
no_secrets()
{
	! grep -qsE "$SECRETS" "$D"/case/*/{err,out,seen} "$D/proxy.log" "$D/err" "$D/error.log" \
		"$D"/swift/{log,err,put,requests}
}
check "no secret is told" no_secrets
[ "$FAILED" -eq 0 ] || sed 's/^/# /' "$D/proxy.log"
exit "$FAILED"
