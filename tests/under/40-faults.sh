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
