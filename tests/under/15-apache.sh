#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# under: timeout=200
#
# Files of Apache: its listings, plain and fancy, and its ETags.

# It does not serve as root: another user must get there.
TMPDIR=${TMPDIR:-/tmp}
. "$(dirname "$0")/lib.sh"
chmod 755 "$D"
user=$(id -un)
[ "$(id -u)" -ne 0 ] || user=www-data

apache_start()
{
	local m=/usr/lib/apache2/modules

	mkdir -p "$D/www"
	echo "text/plain txt" > "$D/types"
	cat > "$D/apache.conf" <<-END
	ServerRoot $D
	PidFile $D/apache.pid
	ServerName localhost
	Listen 127.0.0.1:$1
	LoadModule mpm_event_module $m/mod_mpm_event.so
	LoadModule authz_core_module $m/mod_authz_core.so
	LoadModule dir_module $m/mod_dir.so
	LoadModule mime_module $m/mod_mime.so
	LoadModule alias_module $m/mod_alias.so
	LoadModule autoindex_module $m/mod_autoindex.so
	TypesConfig $D/types
	ErrorLog $D/error.log
	LogFormat "%m %U %>s"
	User $user
	Group $(id -gn "$user")
	DocumentRoot $D/www
	Alias /fancy $D/www
	Alias /table $D/www
	AllowEncodedSlashes On
	<Directory $D/www>
		Options Indexes
		Require all granted
	</Directory>
	<Location /fancy>
		IndexOptions FancyIndexing IconsAreLinks
	</Location>
	<Location /table>
		IndexOptions FancyIndexing HTMLTable NameWidth=*
	</Location>
	END
	# It ends when it is told to, without a daemon of its own.
	server /usr/sbin/apache2 -X -f "$D/apache.conf" > "$D/apache.log" 2>&1
	wait_for 20 listens "$1"
}

mapfile -t port < <(ports 1)
check "apache serves" apache_start "${port[0]}" || { sed 's/^/# /' "$D/apache.log"; exit 1; }
for how in "" /fancy /table; do
	mkdir -p "$D/www/all"
	conforms "listings ${how:-plain}" 10 -d "$D/www/all" "http://127.0.0.1:${port[0]}$how/all"
	rm -rf "$D/www/all"
done
exit "$FAILED"
