#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# under: timeout=300
#
# Files of nginx, by HTTP, and by HTTPS, which is HTTP/2: all that every store promises, and
# how many requests it takes, as nginx's own log has them.

. "$(dirname "$0")/lib.sh"

# nginx_start: nobody else's nginx is touched, nor its files
nginx_start()
{
	mkdir -p "$D/www/plain" "$D/tmp"
	cat > "$D/nginx.conf" <<-END
	daemon off;
	pid $D/nginx.pid;
	error_log $D/error.log;
	worker_processes 1;
	user $(id -un) $(id -gn);
	events { worker_connections 256; }
	http {
		log_format line '\$request_method \$request_uri \$status \$server_protocol \$http_range';
		access_log $D/access.log line;
		default_type application/octet-stream;
		client_body_temp_path $D/tmp; proxy_temp_path $D/tmp; fastcgi_temp_path $D/tmp;
		uwsgi_temp_path $D/tmp; scgi_temp_path $D/tmp;
		large_client_header_buffers 4 16k;
		server {
			listen 127.0.0.1:$1;
			listen 127.0.0.1:$2 ssl http2;
			ssl_certificate $D/cert.pem;
			ssl_certificate_key $D/cert.key;
			root $D/www;
			autoindex on;
			location /json/ { alias $D/www/; autoindex_format json; }
			location /untagged/ { alias $D/www/; etag off; }
			location /unnamed/ { alias $D/www/; etag off; add_header Last-Modified ""; }
			location /unranged/ { alias $D/www/; max_ranges 0; }
			location /closed/ { alias $D/www/; autoindex off; }
			location = /moved { return 302 /plain/f; }
			location = /moved-often { return 302 /moved-often; }
			location = /moved-open { return 302 http://127.0.0.1:$1/plain/f; }
			location = /page/ { default_type text/html; return 200 '<a href="x">x</a>'; }
			location /broken/ { return 500; }
			location /secret/ { return 401; }
		}
	}
	END
	server /usr/sbin/nginx -p "$D" -c "$D/nginx.conf" 2> "$D/nginx.err"
	wait_for 20 listens "$1"
}

# made NAME TEXT SECONDS: a file with this time, in the place of what was there
made()
{
	printf %s "$2" > "$D/new" && touch -d "@$3" "$D/new" && mv "$D/new" "$D/www/$1"
}

# The same for a store that is asked something else meanwhile.
made_sh()
{
	echo "printf %s '$2' > '$D/new' && touch -d '@$3' '$D/new' && mv '$D/new' '$D/www/$1'"
}

# costs LINES COMMAND...: nginx logs these requests meanwhile, and no others
costs()
{
	local want=$1 before

	before=$(wc -l < "$D/access.log")
	shift
	"$@" || return 1
	logged "$before" "$want" || wait_for 5 logged "$before" "$want" && return
	tail -n "+$((before + 1))" "$D/access.log" | sed 's/^/# /'
	return 1
}

logged()
{
	[ "$(tail -n "+$(($1 + 1))" "$D/access.log" | sed 's/ -$//')" = "$2" ]
}

crc_of()
{
	"$PROG/ask" "$D" stat "$1" read "${2:-0}" "${3:-100}" | sed -n 's/^read //p'
}

check "there is a certificate" tls_make || exit 1
mapfile -t port < <(ports 2)
http=http://127.0.0.1:${port[0]} https=https://127.0.0.1:${port[1]}
check "nginx serves" nginx_start "${port[@]}" || { sed 's/^/# /' "$D/nginx.err"; exit 1; }

# shows NAME CONFORM-ARGUMENTS: its listings leave out names that begin with a '.'
shows()
{
	mkdir -p "$D/www/all"
	conforms "$1" 10 -h -d "$D/www/all" "${@:2}"
	rm -rf "$D/www/all"
}

shows HTTP "$http/all"
shows HTTPS -o "ca_file=$D/ca.pem" "$https/all"
shows "HTTP without ETags" "$http/untagged/all"
shows "HTTP with listings in JSON" "$http/json/all"
check "HTTP/2 was spoken by TLS, and without it not" eval \
	'grep -q "HTTP/2.0" "$D/access.log" && grep -q "HTTP/1.1" "$D/access.log"'

made plain/f "0123456789" 1000000000
mkdir -p "$D/www/plain/d"
f=$(crc_of www/plain/f 2 5)

check "a look is one HEAD" costs "HEAD /plain/f 200 HTTP/1.1" \
	asks "stat f 10 1000000000 weak 0644" "$http/plain" stat f
check "... of a directory too" costs "HEAD /plain/d 301 HTTP/1.1" \
	asks "stat d dir 0755" "$http/plain/" stat d
check "... and of the root" costs "HEAD /plain/ 200 HTTP/1.1" \
	asks "stat  dir 0755" "$http/plain" stat ""
check "... and of nothing" costs "HEAD /plain/g 404 HTTP/1.1" \
	asks "stat g ENOENT" "$http/plain" stat g
check "a listing is one GET" costs "GET /plain/ 200 HTTP/1.1" \
	asks "list  d/ f" "$http/plain" list ""
check "a read is one GET" costs "HEAD /plain/f 200 HTTP/1.1
GET /plain/f 206 HTTP/1.1 bytes=2-6" asks "stat f 10 1000000000 weak 0644
read $f" "$http/plain" stat f read 2 5
check "... of no more than there is" costs "HEAD /plain/f 200 HTTP/1.1
GET /plain/f 206 HTTP/1.1 bytes=8-9" asks "stat f 10 1000000000 weak 0644
read $(crc_of www/plain/f 8 100)
read 0 00000000" "$http/plain" stat f read 8 100 read 10 100
check "without an ETag it is looked at again" costs "HEAD /untagged/plain/f 200 HTTP/1.1
GET /untagged/plain/f 206 HTTP/1.1 bytes=2-6
HEAD /untagged/plain/f 200 HTTP/1.1" asks "stat f 10 1000000000 weak 0644
read $f" "$http/untagged/plain" stat f read 2 5
check "what is read is counted" asks "stat f 10 1000000000 weak 0644
read $f
count stat 1 0 0
count get 1 0 0
count list 0 0 0" "$http/plain" stat f read 2 5 count stat count get count list

for where in plain untagged/plain unranged/plain; do
	made plain/f "0123456789" 1000000000
	check "another in its place is not read: $where" asks "stat f 10 1000000000 weak 0644
sh 0
read ESTALE" "$http/$where" stat f sh "$(made_sh plain/f abcdefghij 1000000001)" read 0 10
done
made plain/f "0123456789" 1000000000
check "nor is one that is shorter" asks "stat f 10 1000000000 weak 0644
sh 0
read ESTALE" "$http/untagged/plain" stat f sh "$(made_sh plain/f abc 1000000001)" read 5 5
made plain/f "0123456789" 1000000000
check "nor one that is gone" asks "stat f 10 1000000000 weak 0644
sh 0
read ESTALE" "$http/plain" stat f sh "rm '$D/www/plain/f'" read 5 5
made plain/f "0123456789" 1000000000
check "nor a directory" asks "stat f 10 1000000000 weak 0644
sh 0
read ESTALE" "$http/plain" stat f sh "rm '$D/www/plain/f'; mkdir '$D/www/plain/f'" read 5 5
rmdir "$D/www/plain/f"
made plain/f "0123456789" 1000000000
made plain/new "0123456789" "$(date +%s)"

check "a server without ranges gives all of a file" asks "stat f 10 1000000000 weak 0644
read $(crc_of www/plain/f 0 10)" "$http/unranged/plain" stat f read 0 4096
check "... and of a part nothing" asks "stat f 10 1000000000 weak 0644
read EPROTO" "$http/unranged/plain" stat f read 5 5
check "... which is told" says "GET of \"f\".*does not answer to ranges"
check "states without names are none" asks "stat f EOPNOTSUPP" "$http/unnamed/plain" stat f
check "... which is told" says "neither ETag nor Last-Modified"
check "a redirect is followed" costs "HEAD /moved 302 HTTP/1.1
HEAD /plain/f 200 HTTP/1.1
GET /moved 302 HTTP/1.1 bytes=2-6
GET /plain/f 206 HTTP/1.1 bytes=2-6" asks "stat moved 10 1000000000 weak 0644
read $f" "$http" stat moved read 2 5
check "... not for ever" asks "stat moved-often ELOOP" "$http" stat moved-often
check "... and not out of TLS" asks "stat moved-open EPROTO" -o "ca_file=$D/ca.pem" "$https" stat moved-open
check "... which is told" says "redirect that is not followed"
check "a page is no listing" asks "list page EOPNOTSUPP" "$http" list page
check "... which is told" says "not a listing"
check "what is not listed is there" asks "stat  dir 0755
stat f 10 1000000000 weak 0644
list  EACCES" "$http/closed/plain" stat "" stat f list ""
check "trouble of the server is tried again" asks "stat f EIO
count stat 8 7 8" "$http/broken" stat f count stat
check "... and told" says "status 500"
check "a secret is an error" asks "stat f EACCES" "$http/secret" stat f
check "... which is told" says "status 401"
check "an unknown authority is an error" asks "stat f EKEYREJECTED" "$https/plain" stat f
check "... which is told" says "certificate"
check "nobody there is an error" asks "stat f ECONNREFUSED" "http://127.0.0.1:1/" stat f
check "... which is told" says "HEAD of \"f\""
for source in "http://u:sesame@127.0.0.1/" "http://127.0.0.1/?sesame" "http://127.0.0.1/#sesame"; do
	check "refused: $source" asks "open EINVAL" "$source" stat ""
	check "... and its secret is not told" eval 'says "leave it out" && ! grep -q sesame "$D/err"'
done
check "... nor where an option is wrong, too" asks "open EINVAL" -o anonymous "http://u:sesame@127.0.0.1/" stat ""
check "... and told" eval 'says "http://...@127.0.0.1/" && ! grep -q sesame "$D/err"'
check "nothing is written" asks "put a EROFS
mkdir EROFS
remove EROFS" "$http/plain" put a b mkdir c remove f
exit "$FAILED"
