#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# under: timeout=300
#
# Faults between the stores and their servers, nginx and Swift: each gives the right bytes or
# one errno, takes so many requests and no other, and is one line of the log, which names
# source, key and, where the server told it, the request. No secret is in any log.

. "$(dirname "$0")/lib.sh"
. "$TOP/tests/under/faults.sh"

unset AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_SESSION_TOKEN
export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing

nginx_start()
{
	mkdir -p "$D/www/d" "$D/tmp"
	cat > "$D/nginx.conf" <<-END
	daemon off;
	pid $D/nginx.pid;
	error_log $D/nginx-error.log;
	worker_processes 1;
	user $(id -un) $(id -gn);
	events { worker_connections 256; }
	http {
		access_log $D/nginx-access.log;
		default_type application/octet-stream;
		client_body_temp_path $D/tmp; proxy_temp_path $D/tmp; fastcgi_temp_path $D/tmp;
		uwsgi_temp_path $D/tmp; scgi_temp_path $D/tmp;
		server {
			listen 127.0.0.1:$1;
			root $D/www;
			autoindex on;
			location /untagged/ { alias $D/www/; etag off; }
		}
	}
	END
	server /usr/sbin/nginx -p "$D" -c "$D/nginx.conf" 2> "$D/nginx.err"
	wait_for 20 listens "$1"
}

check "a certificate" tls_make || exit 1
mapfile -t port < <(ports 1)
check "nginx serves" nginx_start "${port[0]}" || { sed 's/^/# /' "$D/nginx.err"; exit 1; }
check "a proxy" proxy plain "${port[0]}" || exit 1
check "... and one with TLS" proxy tls "${port[0]}" "$D/cert.pem" "$D/cert.key" || exit 1

made f 1000000000 1
stat="stat f $LEN 1000000000 weak 0644"
bytes="read $(crc_of f)"
look="HEAD /f 200"
read_f=(stat f read 0 "$LEN")

# Each of 20 reads once, and 100 repetitions among them all.
budget()
{
	local -a often=()
	local n

	for ((n = 0; n < 20; n++)); do
		often+=(read 0 "$LEN")
	done
	"$PROG/ask" "${through[@]}" stat f "${often[@]}" > "$D/out" 2>> "$D/said.log" &&
		[ "$(grep -c '^read EBUSY$' "$D/out")" -eq 20 ] &&
		told seen && [ "$answer" = "$look; GET /f status 503 x120" ]
}

use plain "http://127.0.0.1:${plain[0]}/"
reads "no fault" "$look; GET /f 206"

# ---- a server in trouble ----

fault 3 GET /f status 503
reads "three times 503" "$look; GET /f status 503 x3; GET /f 206"
fault 0 GET /f status 503
reads_not "always 503" EBUSY "$look; GET /f status 503 x8" \
	'GET of "f": Device or resource busy, status 503, request id-of-fault-[0-9]*$'
fault 0 GET /f status 500
reads_not "always 500" EIO "$look; GET /f status 500 x8" 'GET of "f": .*status 500, request id-'
fault 0 GET /f status 504
reads_not "always 504" ETIMEDOUT "$look; GET /f status 504 x8" 'GET of "f": .*status 504, request'
fault 1 GET /f status 429 '' Retry-After:1
reads "429, and when to ask again" "$look; GET /f status 429; GET /f 206"
fault 1 GET /f status 503 '' Retry-After:31
reads_not "503, and to be left alone for long" EBUSY "$look; GET /f status 503" 'GET of "f": .*status 503'
fault 0 GET /f status 401
reads_not "who is refused, is so at once" EACCES "$look; GET /f status 401" 'GET of "f": .*status 401'

# ---- connections and bodies that end ----

# A kind is of two words.
# shellcheck disable=SC2086
for kind in reset nothing "cut 1000" "short 1000" "short $((LEN - 1))"; do
	fault 2 GET /f $kind
	reads "$kind, twice" "$look; GET /f ${kind% *} x2; GET /f 206"
	fault 0 GET /f $kind
	reads_not "$kind, always" ECONNRESET "$look; GET /f ${kind% *} x8" 'GET of "f": Connection reset by peer'
done
fault 1 HEAD /f keep
fault 1 GET /f nothing
faces "a connection that was kept, and is just being closed" "$stat
$bytes
count get 1 0 0" "$look; GET /f nothing; GET /f 206" "" "${read_f[@]}" count get
fault 0 GET /f status 503
check "nothing is sent twice when nothing gets through" budget
told clear

# ---- answers that do not hold together ----

for by in 100 -100; do
	fault 0 GET /f length $by
	reads_not "a Content-Length that is wrong by $by" EPROTO "$look; GET /f length; $look" \
		'GET of "f": Protocol error, status 206: the Content-Length is not that of the range'
done
fault 0 GET /f bare
reads "no Content-Length, but a range" "$look; GET /f bare"
fault 0 GET /f header Content-Range "bytes 1-$LEN/$((LEN + 1))"
reads_not "another range" EPROTO "$look; GET /f header; $look" \
	'GET of "f": Protocol error, status 206: another range than was asked for'
fault 0 GET /f header Content-Range
reads_not "no range" EPROTO "$look; GET /f header; $look" 'GET of "f": .*the Content-Range is none'
fault 0 GET /f header ETag '"other"'
reads_not "another ETag" ESTALE "$look; GET /f header" ""
fault 0 GET /f header ETag
reads_not "no ETag" ESTALE "$look; GET /f header" ""
fault 0 HEAD /f header ETag '"other"'
reads_not "an ETag that no state has" ESTALE "HEAD /f header; GET /f 412" ""
fault 0 GET /f garbage
reads_not "what is no HTTP" EPROTONOSUPPORT "$look; GET /f garbage" 'GET of "f": .*HTTP/0.9'
fault 0 '*' /f header Date "Thu, 01 Jan 1970 00:00:00 GMT"
reads "a server's clock that is slow" "HEAD /f header; GET /f header"
fault 0 '*' /f header Date "Tue, 01 Jan 2097 00:00:00 GMT"
reads "... and one that is fast" "HEAD /f header; GET /f header"

# ---- slow ones ----

use plain "http://127.0.0.1:${plain[0]}/" -t stall=1
fault 0 GET /f trickle 20000 20
reads "slow, but not too slow" "$look; GET /f trickle"
# For 5 s libcurl minds what has come just before.
fault 1 GET /f stall 1000
reads "a stall" "$look; GET /f stall; GET /f 206"
fault 0 GET /f stall 0
reads_not "a stall, always" ETIMEDOUT "$look; GET /f stall x8" 'GET of "f": Connection timed out.*too slow'
fault 1 GET /f silent
reads "silence" "$look; GET /f silent; GET /f 206"
use plain "http://127.0.0.1:${plain[0]}/" -t deadline=700
fault 0 GET /f trickle 1 50
reads_not "a trickle, always" ETIMEDOUT "$look; GET /f trickle x8" 'GET of "f": Connection timed out'

# ---- names and TLS ----

logged_as="http://store.test:${plain[0]}/"
use plain "$logged_as" -t lookups=2
faces "a name that is found in the end" "stat f $LEN 1000000000 weak 0644
count stat 3 2 2" "$look" "" stat f count stat
use plain "$logged_as" -t lookups=100
faces "a name that is not found: EHOSTUNREACH" "stat f EHOSTUNREACH
count stat 8 7 8" "" 'HEAD of "f": No route to host: Could not resolve host' stat f count stat
logged_as=
secure=https://127.0.0.1:${tls[0]}/
use tls "$secure" -o "ca_file=$D/ca.pem"
reads "TLS" "$look; GET /f 206"
for kind in garbage reset nothing; do
	fault 2 connect '*' $kind
	reads "TLS: $kind, twice" "connect  $kind x2; $look; GET /f 206"
done
fault 0 connect '*' garbage
faces "TLS: garbage, always: ECONNABORTED" "stat f ECONNABORTED" "connect  garbage x8" \
	'HEAD of "f": Software caused connection abort: ' stat f
fault 0 GET /f short 1000
reads_not "TLS: short, always" ECONNRESET "$look; GET /f short x8" 'GET of "f": Connection reset by peer'
use tls "$secure" -o "ca_file=$D/ca.pem" -t connect=200
fault 0 connect '*' silent
faces "TLS: silence, always: ETIMEDOUT" "stat f ETIMEDOUT" "connect  silent x8" \
	'HEAD of "f": Connection timed out' stat f
for days in 30 -30; do
	use tls "$secure" -o "ca_file=$D/ca.pem" -t skew=$((days * 86400))
	faces "a certificate when the clock is wrong by $days days: EKEYREJECTED" "stat f EKEYREJECTED
count stat 1 0 1" "" 'HEAD of "f": Key was rejected by service: .*certificate' stat f count stat
done
use tls "https://localhost:${tls[0]}/" -o "ca_file=$D/ca.pem"
faces "a certificate of another name: EKEYREJECTED" "stat f EKEYREJECTED
count stat 1 0 1" "" 'HEAD of "f": Key was rejected by service: .*certificate' stat f count stat

# ---- what changes meanwhile ----

use plain "http://127.0.0.1:${plain[0]}/"
fault 1 GET /f cut 1000
fault 1 GET /f pass -- "$(made_sh f 1000000001 2)"
reads_not "another file, when a part of the first has come" ESTALE "$look; GET /f cut; GET /f 412" ""
made f 1000000000 1
fault 1 GET /f cut 1000
fault 1 GET /f pass -- "rm '$D/www/f'"
reads_not "no file, when a part of it has come" ESTALE "$look; GET /f cut; GET /f 404" ""
replaced=$(made_sh f 1000000001 2) removed="rm '$D/www/f'"
for what in replaced removed; do
	made f 1000000000 1
	fault 1 GET /f pause 1000 -- "${!what}"
	reads "it is $what in mid-body" "$look; GET /f pause"
done
made f 1000000000 1
use plain "http://127.0.0.1:${plain[0]}/untagged/"
fault 1 GET /untagged/f pause 1000 -- "$(made_sh f 1000000001 2)"
reads_not "in mid-body, without ETags" ESTALE "HEAD /untagged/f 200; GET /untagged/f pause; HEAD /untagged/f 200" ""
made f 1000000000 1
fault 1 GET /untagged/f cut 1000
fault 1 GET /untagged/f pass -- "$(made_sh f 1000000001 2)"
reads_not "... and between two sendings" ESTALE \
	"HEAD /untagged/f 200; GET /untagged/f cut; GET /untagged/f 412" ""
use plain "http://127.0.0.1:${plain[0]}/"
truncate -s 16M "$D/www/big" && touch -d @1000000000 "$D/www/big"
fault 1 GET /big pause 1000 -- "truncate -s 1000 '$D/www/big'"
faces "a file that is cut in mid-body: ESTALE" "stat big $((16 << 20)) 1000000000 weak 0644
read ESTALE" "HEAD /big 200; GET /big pause; GET /big 412" "" stat big read 0 $((16 << 20))
rm "$D/www/big"

fault 1 GET / cut 100
fault 1 GET / pass -- "mkdir '$D/www/e'"
made f 1000000000 1
faces "a listing that changes between two sendings" "list  d/ e/ f" "GET / cut; GET / 200" "" list ""
fault 0 GET / short 100
faces "a listing that ends too soon, always: ECONNRESET" "list  ECONNRESET" "GET / short x8" \
	'GET of "": Connection reset by peer' list ""
fault 0 GET / status 503
faces "a listing of a server in trouble: EBUSY" "list  EBUSY" "GET / status 503 x8" \
	'GET of "": .*status 503, request id' list ""

# ---- a bucket ----

/usr/bin/python3 -c 'import swift' 2> /dev/null || {
	echo "ok - S3 # SKIP no swift (scripts/install test)"
	exit "$FAILED"
}

# swift_start: with a bucket
swift_start()
{
	local url

	mkdir "$D/swift" && server "$TOP/tests/under/swift" "$D/swift" 2> "$D/swift/log"
	appears "$D/swift/url" 60 || { sed 's/^/# /' "$D/swift/log"; return 1; }
	url=$(cat "$D/swift/url")
	swift_port=${url##*:}
	direct=(-o path_style -o "endpoint=$url" s3://bucket)
	curl -sf -X PUT --aws-sigv4 aws:amz:us-east-1:s3 \
		-H "x-amz-content-sha256: $(sha256sum < /dev/null | head -c 64)" \
		"http://test%3Atester:testing@127.0.0.1:$swift_port/bucket" > "$D/bucket" 2>&1
}

# bucket OPTIONS...: is read from now on
bucket()
{
	use s3 s3://bucket -o path_style -o "endpoint=http://127.0.0.1:${s3[0]}" "$@"
}

check "a server of S3" swift_start || exit 1
check "... behind a proxy" proxy s3 "$swift_port" || exit 1
bucket -o read_only
opened="GET /bucket/? 200"
text=$(content 3 | base64 -w 0 | head -c 100000)
# By another program, which asks the server itself; as commands for a shell.
changed="'$PROG/ask' ${direct[*]} put f '$(content 4 | base64 -w 0 | head -c 100000)' > '$D/changed'"
removed="'$PROG/ask' ${direct[*]} remove f > '$D/changed'"

# stored: f, as it is to be read
stored()
{
	"$PROG/ask" "${direct[@]}" put f "$text" stat f > "$D/out" 2>> "$D/said.log"
	stat=$(tail -n 1 "$D/out")
}

printf %s "$text" > "$D/www/text"
check "a file is stored" stored
LEN=100000 bytes="read $(crc_of text)"
look="$opened; HEAD /bucket/f 200"
read_f=(stat f read 0 "$LEN")
reads "S3: no fault" "$look; GET /bucket/f 206"

fault 3 GET /bucket/f status 503 SlowDown
reads "S3: three times 503" "$look; GET /bucket/f status 503 x3; GET /bucket/f 206"
fault 0 GET /bucket/f status 503 SlowDown
reads_not "S3: always 503" EBUSY "$look; GET /bucket/f status 503 x8" \
	'GET of "f": Device or resource busy, status 503, request id-of-fault-[0-9]*: SlowDown: Told to$'
# shellcheck disable=SC2086
for kind in reset "cut 1000" "short 1000"; do
	fault 2 GET /bucket/f $kind
	reads "S3: $kind, twice" "$look; GET /bucket/f ${kind% *} x2; GET /bucket/f 206"
done
fault 0 GET /bucket/f short 1000
reads_not "S3: short, always" ECONNRESET "$look; GET /bucket/f short x8" \
	'GET of "f": Connection reset by peer, status 206, request tx[-0-9a-f]*: '
fault 0 GET /bucket/f length 100
reads_not "S3: a Content-Length that is wrong" EPROTO "$look; GET /bucket/f length" \
	'GET of "f": Protocol error, status 206, request tx[-0-9a-f]*: the Content-Length is not'
fault 0 GET /bucket/f header ETag '"other"'
reads_not "S3: another ETag" ESTALE "$look; GET /bucket/f header" ""
fault 0 GET /bucket/f header ETag
reads_not "S3: no ETag" EPROTO "$look; GET /bucket/f header" \
	'GET of "f": Protocol error, status 206, request tx[-0-9a-f]*: .*ETag'
fault 0 GET /bucket/f status 404 NoSuchBucket
reads_not "S3: no bucket" ENODEV "$look; GET /bucket/f status 404" \
	'GET of "f": No such device, status 404, request id-of-fault-[0-9]*: NoSuchBucket'
bucket -o read_only -t stall=1
fault 1 GET /bucket/f silent
reads "S3: silence" "$look; GET /bucket/f silent; GET /bucket/f 206"

# ---- who asks, and when ----

for skew in 86400 -86400; do
	bucket -o read_only -t "skew=$skew"
	faces "S3: a clock that is wrong by $skew s: EACCES" "open EACCES" "GET /bucket/? 403" \
		'GET of "": Permission denied, status 403, request tx[-0-9a-f]*: RequestTimeTooSkewed' stat f
done

# keys FILE SECRET [TOKEN]
keys()
{
	printf '[default]\naws_access_key_id = test:tester\naws_secret_access_key = %s\n' "$2" > "$1"
	[ -z "${3:-}" ] || echo "aws_session_token = $3" >> "$1"
	chmod 600 "$1"
}

keys "$D/keys" testing token-of-a-session
bucket -o read_only -o "credentials=$D/keys"
fault 0 GET /bucket/f status 400 ExpiredToken
reads_not "S3: keys that have expired" EACCES "$look; GET /bucket/f status 400" \
	'GET of "f": Permission denied, status 400, request id-of-fault-[0-9]*: ExpiredToken: Told to$'
fault 0 HEAD /bucket/f status 400
faces "S3: ... which a HEAD cannot say: EIO" "stat f EIO" "$opened; HEAD /bucket/f status 400" \
	'HEAD of "f": Input/output error, status 400, request id-of-fault-[0-9]*$' stat f
keys "$D/keys.new" testing
fault 1 GET /bucket/f status 400 ExpiredToken -- "mv '$D/keys.new' '$D/keys'"
reads "S3: keys that are replaced when they have expired" "$look; GET /bucket/f status 400; GET /bucket/f 206"
keys "$D/keys" another-secret
faces "S3: a secret that is wrong: EACCES" "open EACCES" "GET /bucket/? 403" \
	'GET of "": Permission denied, status 403, request tx[-0-9a-f]*: SignatureDoesNotMatch' stat f

# ---- what changes meanwhile ----

bucket -o read_only
fault 1 GET /bucket/f cut 1000
fault 1 GET /bucket/f pass -- "$changed"
reads_not "S3: another object, when a part of the first has come" ESTALE \
	"$look; GET /bucket/f cut; GET /bucket/f 412" ""
stored
fault 1 GET /bucket/f cut 1000
fault 1 GET /bucket/f pass -- "$removed"
reads_not "S3: no object, when a part of it has come" ESTALE \
	"$look; GET /bucket/f cut; GET /bucket/f 404" ""
for what in changed removed; do
	stored
	fault 1 GET /bucket/f pause 1000 -- "${!what}"
	reads "S3: it is $what in mid-body" "$look; GET /bucket/f pause"
done

# Swift gives 100 keys at a time.
many=() names=''
for ((n = 100; n < 210; n++)); do
	many+=(put "d/k$n" x)
	[ $n -eq 205 ] || names+=" k$n"
done
"$PROG/ask" "${direct[@]}" "${many[@]}" > "$D/out" 2>> "$D/said.log"
twice='GET /bucket/? 200 x3'
fault 1 GET '*continuation-token*' pass -- "'$PROG/ask' ${direct[*]} put d/a x put d/k300 x remove d/k205 remove d/k150 > '$D/changed'"
faces "S3: a listing that changes between two pages" "list d$names k300" "$twice" "" list d
names=${names/ k150/}
fault 2 GET '*continuation-token*' status 503 SlowDown
faces "... with trouble between them" "list d a$names k300" \
	"GET /bucket/? 200 x2; GET /bucket/? status 503 x2; GET /bucket/? 200" "" list d
fault 0 GET '*continuation-token*' short 100
asks_first="list d a$(echo "$names" | cut -d ' ' -f 1-100) ECONNRESET"
faces "... which does not end: ECONNRESET" "$asks_first" "GET /bucket/? 200 x2; GET /bucket/? short x8" \
	'GET of "d/": Connection reset by peer, status 200, request tx' list d

# ---- changes ----

bucket
writable="$opened; PUT /bucket/.datafs-probe 501"
faces "S3: a change" "put g
remove
stat g ENOENT" "$writable; PUT /bucket/g 200; DELETE /bucket/g 204; HEAD /bucket/g 404; GET /bucket/? 200" \
	"" put g x remove g stat g
fault 2 PUT /bucket/g status 503 SlowDown
fault 2 DELETE /bucket/g status 503 SlowDown
faces "S3: changes, and twice 503" "put g
remove" "$writable; PUT /bucket/g status 503 x2; PUT /bucket/g 200; DELETE /bucket/g status 503 x2; DELETE /bucket/g 204" \
	"" put g x remove g
fault 0 PUT /bucket/g status 503 SlowDown
faces "S3: a change, and always 503: EBUSY" "put g EBUSY
stat g ENOENT" "$writable; PUT /bucket/g status 503 x8; HEAD /bucket/g 404 x2; GET /bucket/? 200" \
	'PUT of "g": Device or resource busy, status 503, request id-of-fault-[0-9]*: SlowDown' put g x stat g
fault 1 PUT /bucket/g lost
fault 1 DELETE /bucket/g lost
faces "S3: changes whose answers are lost" "put g
remove
stat g ENOENT" "$writable; PUT /bucket/g lost; PUT /bucket/g 200; DELETE /bucket/g lost; DELETE /bucket/g 204; HEAD /bucket/g 404; GET /bucket/? 200" \
	"" put g x remove g stat g
fault 0 PUT /bucket/g lost
faces "... always: it is there, and the trouble is told" "put g" \
	"$writable; PUT /bucket/g lost x8; HEAD /bucket/g 200" 'PUT of "g": Connection reset by peer: ' put g x

# ---- secrets ----

secrets=(testing another-secret token-of-a-session Signature= Authorization: AWS4-HMAC X-Amz-Signature)

# tells_secrets: which of all logs and outputs do
tells_secrets()
{
	grep -rliF "${secrets[@]/#/-e}" "$D"/*.log "$D"/*/log "$D"/*/requests "$D/nginx.err"
}

keys "$D/keys.all" testing token-of-a-session
bucket -v -o read_only -o "credentials=$D/keys.all"
stored
for header in Authorization x-amz-security-token; do
	fault 0 GET /bucket/f echo "$header"
	reads_not "S3: a server that says again what $header was" EIO "$look; GET /bucket/f echo $header" \
		'GET of "f": Input/output error, status 400: Echo: .*secret'
done
bucket -v -o "credentials=$D/keys.all"
fault 3 GET '/bucket/f' status 403 SignatureDoesNotMatch
fault 1 PUT '/bucket/f' lost
"$PROG/ask" "${through[@]}" put f "$text" stat f read 0 1 list "" mkdir m rmdir m remove f >> "$D/said.log" 2>&1
check "something is told" grep -q "SignatureDoesNotMatch" "$D/said.log"
check "no secret is" eval '! tells_secrets'
for secret in "${secrets[@]}"; do
	echo "a line with ${secret}x in it" > "$D/planted.log"
	check "... and $secret would be found" [ "$(tells_secrets)" = "$D/planted.log" ]
done
exit "$FAILED"
