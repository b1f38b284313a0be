# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What tests/vm needs of the tests of stores: functions, and nothing that is done. $D is a
# directory of the test's own.

# tls_make: an authority, $D/ca.pem, and a certificate of it for 127.0.0.1, $D/cert.pem and .key
tls_make()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj /CN=authority -keyout "$D/ca.key" -out "$D/ca.pem" 2> "$D/tls.log" &&
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 \
		-keyout "$D/cert.key" -out "$D/cert.csr" 2>> "$D/tls.log" &&
	echo 'subjectAltName = IP:127.0.0.1' > "$D/cert.ext" &&
	openssl x509 -req -in "$D/cert.csr" -CA "$D/ca.pem" -CAkey "$D/ca.key" -CAcreateserial \
		-days 2 -extfile "$D/cert.ext" -out "$D/cert.pem" 2>> "$D/tls.log"
}

# nginx_conf PLAIN TLS [WORDS [SERVER]]: $D/nginx.conf, for $D/www at two ports; WORDS are of the
# one with TLS, SERVER is one more
nginx_conf()
{
	mkdir -p "$D/tmp" "$D/www"
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
		root $D/www;
		autoindex on;
		server { listen 127.0.0.1:$1; }
		server {
			listen 127.0.0.1:$2 ssl http2;
			ssl_certificate $D/cert.pem;
			ssl_certificate_key $D/cert.key;
			${3:-}
		}
		${4:-}
	}
	END
}

# blob SEED: SIZE bytes
blob()
{
	yes "bytes of $1" | head -c "$SIZE"
}

# has DIR: a file "f" of its own for a case, below $D/www
has()
{
	mkdir -p "$D/www/$1"
	blob one > "$D/www/$1/f"
	touch -d @1000000000 "$D/www/$1/f"
}

# replace FILE: words for sh: another state in its place, of the same length and time but a second;
# the bytes are those of $D/other
replace()
{
	echo "cp $D/other $1.new && touch -d @1000000001 $1.new && mv $1.new $1"
}

# keys FILE ID SECRET LINE...: credentials
keys()
{
	(umask 077 && printf '%s\n' '[default]' "aws_access_key_id = $2" \
		"aws_secret_access_key = $3" "${@:4}" > "$1")
}

# proxied DIR KIND PORT PLAN: fault_proxy, which runs on the directory above, does as the plan says
proxied()
{
	printf '%s\n' "$4" > "$1/plan"
	echo "$2 $3" > "$1/server.new" && mv "$1/server.new" "$1/server"
	wait_port "$1"
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

# seen DIR: what the proxy has done, "FAULT*TIMES ..." in the order of the first
seen()
{
	touch "$1/seen"
	awk '!($NF in n) { name[++k] = $NF } { n[$NF]++ }
		END { for (i = 1; i <= k; i++) print name[i] "*" n[name[i]] }' "$1/seen" | paste -sd ' '
}

# logged FILE WANT: one line, which has the pattern WANT; "N*PATTERN": as many; "": none
logged()
{
	local want=$2 lines=1

	if [ -z "$want" ]; then
		[ ! -s "$1" ]
	else
		[[ ! $want =~ ^([0-9]+)\*(.*) ]] || lines=${BASH_REMATCH[1]} want=${BASH_REMATCH[2]}
		[ "$(wc -l < "$1")" -eq "$lines" ] &&
			[ "$(grep -cE -- "$want" "$1")" -eq "$lines" ]
	fi
}
