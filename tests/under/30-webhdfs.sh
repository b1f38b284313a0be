#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# under: timeout=400
#
# HDFS by WebHDFS, of a double (webhdfs): all that every store promises, of
# namenodes that know more and less, and which requests it takes.

. "$(dirname "$0")/lib.sh"

# double_start WORD...: on new ports, with nothing in it
double_start()
{
	local port

	mapfile -t port < <(ports 2)
	: > "$D/log"
	server "$TOP/tests/under/webhdfs" "${port[@]}" "$D/log" "$@" > "$D/double.err" 2>&1
	double=$!
	hdfs=webhdfs://127.0.0.1:${port[0]}
	wait_for 20 listens "${port[0]}" && wait_for 20 listens "${port[1]}"
}

# with NAME WORDS CHECKS CONFORM-ARGUMENTS: the list, against a double with these words
with()
{
	local name=$1 words=$2 n=$3

	shift 3
	# shellcheck disable=SC2086 # words
	check "a double serves: $name" double_start $words || return
	conforms "$name" "$n" -m 1777 -g 1000000 -x : -o part_size=5m "$@" \
		"${scheme:-webhdfs}${hdfs#webhdfs}/mounted/here"
	server_end "$double"
}

# costs LINES COMMAND...: the double logs these requests meanwhile, and no others
costs()
{
	local want=$1 before

	before=$(wc -l < "$D/log")
	shift
	"$@" || return 1
	[ "$(tail -n "+$((before + 1))" "$D/log" | sed 's/\.datafs-uploads\/[0-9a-f]*/TEMP/')" = "$want" ] && return
	tail -n "+$((before + 1))" "$D/log" | sed 's/^/# /'
	return 1
}

# made NAME TEXT: a file, behind the store's back
made()
{
	"$PROG/ask" "$hdfs" put "$1" "$2" > "$D/made" 2>&1 && [ "$(cat "$D/made")" = "put $1" ]
}

check "there is a certificate" tls_make || exit 1
with "HDFS 3" "" 22
with "HDFS 2, which lists all at once" no-batch 22
with "without CONCAT" no-concat 22
scheme=swebhdfs with "TLS" "tls=$D/cert.pem,$D/cert.key" 22 -o "ca_file=$D/ca.pem"
(umask 077; echo sesame > "$D/token")
with "a token" token=sesame 22 -o "token_file=$D/token"
with "a user" "" 22 -o hdfs_user=someone

check "a double serves" double_start page=3 || exit 1
check "somebody has written" eval '"$PROG/ask" "$hdfs" mkdir d > /dev/null && made d/f 0123456789 && made d/g x && made d/h x && made d/i x'
check "a look is one request" costs "nn GET GETFILESTATUS /d/g 200" eval \
	'"$PROG/ask" "$hdfs/d" stat g | grep -q "^stat g 1 [0-9]* weak 0644"'
check "... of nothing too" costs "nn GET GETFILESTATUS /d/none 404" \
	asks "stat none ENOENT" "$hdfs/d" stat none
check "... and of what is below a file" asks "stat f/x ENOENT" "$hdfs/d" stat f/x
check "a listing is one request for each batch" costs "nn GET LISTSTATUS_BATCH /d 200
nn GET LISTSTATUS_BATCH /d 200" asks "list d f g h i" "$hdfs" list d
check "... and hides what is not published" asks "list  d/" "$hdfs" list ""
check "what is hidden cannot be named" asks "stat .datafs-uploads ENOENT
put .datafs-uploads/x EINVAL
put d/.datafs-uploads EINVAL" "$hdfs" stat .datafs-uploads put .datafs-uploads/x y put d/.datafs-uploads y
check "a read is two requests, and a look" costs "nn GET GETFILESTATUS /d/f 200
nn GET OPEN /d/f 307
dn GET OPEN /d/f 200
nn GET GETFILESTATUS /d/f 200" eval '"$PROG/ask" "$hdfs/d" stat f read 2 5 > "$D/out" && grep -q "^read 5 " "$D/out"'
check "... and is counted so" eval '"$PROG/ask" "$hdfs/d" stat f read 2 5 count stat count get count other |
	tail -n 3 > "$D/out" && [ "$(cat "$D/out")" = "count stat 2 0 0
count get 1 0 0
count other 1 0 0" ]'
check "a file is written in six requests, the first one in nine" costs "nn PUT CREATE /TEMP 307
dn PUT CREATE /TEMP 201
nn PUT SETPERMISSION /TEMP 200
nn PUT SETTIMES /TEMP 200
nn GET GETFILESTATUS /TEMP 200
nn PUT MKDIRS /TEMP 200
nn PUT RENAME /TEMP 200
nn DELETE DELETE /TEMP 200
nn PUT RENAME /TEMP 200
nn PUT CREATE /TEMP 307
dn PUT CREATE /TEMP 201
nn PUT SETPERMISSION /TEMP 200
nn PUT SETTIMES /TEMP 200
nn GET GETFILESTATUS /TEMP 200
nn PUT RENAME /TEMP 200" asks "put d/f
put d/f" "$hdfs" put d/f abc put d/f 0123456789
check "a body that ends too early is asked for again" eval 'kill -USR1 "$double"
	"$PROG/ask" "$hdfs/d" stat f read 0 10 count get | tail -n 2 > "$D/out"
	grep -q "^read 10 " "$D/out" && grep -q "^count get 2 1 1" "$D/out"'
for what in "put d/f abcdefghij" "remove d/f"; do
	check "what has changed is not read: $what" eval '"$PROG/ask" "$hdfs/d" stat f sh "$PROG/ask $hdfs $what" \
		read 0 10 2> "$D/err" | tail -n 1 > "$D/out" && [ "$(cat "$D/out")" = "read ESTALE" ]'
	made d/f 0123456789
done
for bad in "webhdfs://u@127.0.0.1/" "webhdfs:///d" "webhdfs://127.0.0.1/a/../b"; do
	check "refused: $bad" asks "open EINVAL" "$bad" stat ""
done
chmod 644 "$D/token"
check "a token that others can read is refused" asks "open EPERM" -o "token_file=$D/token" "$hdfs" stat ""
check "... which is told" says "chmod 600"
(umask 077; echo > "$D/empty"; printf 'sesame%08192d' 0 > "$D/long")
check "one that is empty is refused" asks "open EINVAL" -o "token_file=$D/empty" "$hdfs" stat ""
check "... which is told" says "is empty"
check "one that is too long is refused" asks "open EINVAL" -o "token_file=$D/long" "$hdfs" stat ""
check "... which is told, but the token is not" eval 'says "is too long" && ! grep -q sesame "$D/err"'
server_end "$double"

check "a double serves" double_start token=other || exit 1
chmod 600 "$D/token"
check "a wrong token is an error" asks "stat f EACCES" -o "token_file=$D/token" "$hdfs" stat f
check "... which is told, but the token is not" eval 'says "SecurityException" && ! grep -q sesame "$D/err"'
server_end "$double"
check "a double serves" double_start standby || exit 1
check "a namenode that stands by is an error" asks "stat f EHOSTDOWN" "$hdfs" stat f
check "... which is told" says "StandbyException"
server_end "$double"
check "a double serves" double_start direct || exit 1
made f 0123456789
check "a server may give bytes by itself" eval '"$PROG/ask" "$hdfs" stat f read 2 5 | grep -q "^read 5 "'
server_end "$double"
check "a double serves" double_start no-options || exit 1
made f 0123456789
check "one that does not replace says so" asks "put f EOPNOTSUPP" "$hdfs" put f abc
check "... in the log too" says "is it a namenode"
check "... and moves nothing into what is there" asks "mkdir
mkdir
mkdir EEXIST
mkdir EEXIST
put d EISDIR
rename EOPNOTSUPP
put d/g
put none/f ENOENT
list d g
list e
list  d/ e/ f" "$hdfs" mkdir d mkdir e mkdir d mkdir f put d x rename e d put d/g x put none/f x list d list e list ""
server_end "$double"
check "a double serves" double_start no-id || exit 1
check "a file without an id is not written" asks "mkdir
put d/f EOPNOTSUPP
list d" "$hdfs" mkdir d put d/f x list d
check "... which is told" says "no fileId"
server_end "$double"
check "no authority is an error" double_start "tls=$D/cert.pem,$D/cert.key"
check "... of certificates" asks "stat f EKEYREJECTED" "s$hdfs" stat f
check "... which is told" says "certificate"
exit "$FAILED"
