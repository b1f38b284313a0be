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

# reads NAME SEEN: the bytes are right, and there is nothing to tell
reads()
{
	faces "$1" "$stat
$bytes" "$2" "" "${read_f[@]}"
}

# reads_not NAME ERROR SEEN LOG
reads_not()
{
	faces "$1: $2" "$stat
read $2" "$3" "$4" "${read_f[@]}"
}

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
		[ "$(told seen)" = "$look; GET /f status 503 x120" ]
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

for kind in reset nothing "cut 1000" "short 0" "short 1000" "short $((LEN - 1))"; do
	fault 2 GET /f $kind
	reads "$kind, twice" "$look; GET /f ${kind% *} x2; GET /f 206"
	fault 0 GET /f $kind
	reads_not "$kind, always" ECONNRESET "$look; GET /f ${kind% *} x8" 'GET of "f": Connection reset by peer'
done
fault 0 GET /f status 503
check "nothing is sent twice when nothing gets through" budget
told clear > "$D/cleared"

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
for tag in '"other"' ''; do
	fault 0 GET /f header ETag $tag
	reads_not "an ETag that is ${tag:-missing}" ESTALE "$look; GET /f header" ""
done
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
fault 1 GET /f stall 1000
reads "a stall" "$look; GET /f stall; GET /f 206"
fault 0 GET /f stall 1000
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
for what in "$(made_sh f 1000000001 2)" "rm '$D/www/f'"; do
	made f 1000000000 1
	fault 1 GET /f pause 1000 -- "$what"
	reads "in mid-body, what has been opened: ${what%% *}" "$look; GET /f pause"
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
