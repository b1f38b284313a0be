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
	mkdir -p "$D/tmp"
	cat > "$D/nginx.conf" <<-END
	daemon off;
	pid $D/nginx.pid;
	error_log $D/error.log;
	worker_processes 1;
	user $(id -un) $(id -gn);
	events { worker_connections 256; }
	http {
		access_log off;
		default_type application/octet-stream;
		client_body_temp_path $D/tmp; proxy_temp_path $D/tmp; fastcgi_temp_path $D/tmp;
		uwsgi_temp_path $D/tmp; scgi_temp_path $D/tmp;
		server {
			listen 127.0.0.1:$1;
			listen 127.0.0.1:$2 ssl http2;
			ssl_certificate $D/cert.pem;
			ssl_certificate_key $D/cert.key;
			root $D/www;
			autoindex on;
		}
	}
	END
	server /usr/sbin/nginx -p "$D" -c "$D/nginx.conf" 2> "$D/nginx.err"
	wait_for 20 listens "$1"
}

# blob SEED: SIZE bytes
blob()
{
	yes "bytes of $1" | head -c "$SIZE"
}

crc_of()
{
	"$PROG/ask" "$D" stat "$1" read 0 "$SIZE" | sed -n 's/^read //p'
}

# keys FILE LINE...: credentials
keys()
{
	(umask 077 && printf '%s\n' '[default]' 'aws_access_key_id = test:tester' \
		'aws_secret_access_key = testing' "${@:2}" > "$1")
}

# has DIR NAME: a file of its own for a case
has()
{
	mkdir -p "$D/www/$1"
	blob one > "$D/www/$1/f"
	touch -d @1000000000 "$D/www/$1/f"
}

# replace DIR: words for sh: another state in its place, of the same length and time but a second
replace()
{
	echo "cp $D/other $D/www/$1/g && touch -d @1000000001 $D/www/$1/g && mv $D/www/$1/g $D/www/$1/f"
}

# fault NAME KIND PLAN LINES SEEN LOG ASK-ARGUMENTS...: begins a case. In the arguments, @ is the
# proxy's port. SEEN: "FAULT*TIMES ..." in the order of the first; LOG: a pattern, or "".
fault()
{
	local c=$D/case/${#cases[@]} server="http $2" args=()

	mkdir -p "$c"
	printf '%s\n' "$3" > "$c/plan"
	printf '%s\n' "$4" > "$c/want"
	printf '%s\n' "$5" > "$c/want-seen"
	printf '%s\n' "$6" > "$c/want-log"
	cases+=("$1")
	[ "$2" != tls ] || server="raw $tls"
	echo "$server" > "$c/server.new" && mv "$c/server.new" "$c/server"
	wait_port "$c" || return
	args=("${@:7}")
	args=("${args[@]//@/$(cat "$c/port")}")
	"$PROG/ask" "${args[@]}" > "$c/out" 2> "$c/err" &
	echo $! > "$c/id"
}

# wait_port DIR: quicker than appears()
wait_port()
{
	local n

	for ((n = 0; n < 1000; n++)); do
		[ ! -e "$1/port" ] || return 0
		sleep 0.02
	done
	return 1
}

# right DIR: what came out is what should
right()
{
	local seen

	touch "$1/seen"
	seen=$(awk '!($NF in n) { name[++k] = $NF } { n[$NF]++ }
		END { for (i = 1; i <= k; i++) print name[i] "*" n[name[i]] }' "$1/seen" | paste -sd ' ')
	if cmp -s "$1/out" "$1/want" && [ "$seen" = "$(cat "$1/want-seen")" ] && logged "$1"; then
		return 0
	fi
	echo "# seen: $seen"
	sed 's/^/# /' "$1/out" "$1/err"
	return 1
}

# logged DIR: one line that has the pattern, or none
logged()
{
	local want

	want=$(cat "$1/want-log")
	if [ -z "$want" ]; then
		[ ! -s "$1/err" ]
	else
		[ "$(wc -l < "$1/err")" -eq 1 ] && grep -qE -- "$want" "$1/err"
	fi
}

# web NAME PLAN READ SEEN LOG: a look and a read of a file of nginx
web()
{
	local dir=w${#cases[@]}

	has "$dir"
	fault "nginx: $1" "$plain" "${2//REPLACE/"$(replace "$dir")"}" "stat f $SIZE 1000000000 weak 0644
read $3" "$4" "$5" "http://127.0.0.1:@/$dir" stat f read 0 "$SIZE"
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
	"http://store.invalid/" stat f count stat

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
