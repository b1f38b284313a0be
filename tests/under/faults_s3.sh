# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The part of 40-faults.sh that has Swift behind the proxy.

unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION
keys "$D/keys" test:tester testing
keys "$D/keys-old" test:tester testing 'aws_session_token = sesame-token'
mkdir "$D/swift" && server "$TOP/tests/under/swift" "$D/swift" 2> "$D/swift/log"
check "Swift serves" appears "$D/swift/url" 60 || exit 1
swift=$(sed 's/.*://' "$D/swift/url")
check "there is a bucket" curl -sf -o "$D/swift/bucket" --aws-sigv4 aws:amz:us-east-1:s3 \
	-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X PUT \
	"http://test%3Atester:testing@127.0.0.1:$swift/faults" || exit 1

text=$(blob s3 | head -c 1000 | tr '\n' ' ')
for key in f changed gone; do
	text_of+=(put "$key" "$text")
done
# A listing is of 100 keys at the most.
for ((n = 100; n < 220; n++)); do
	text_of+=(put "list/$n" x)
done
direct "${text_of[@]}" > "$D/swift/put" 2>&1 || exit 1

# ask_words COMMAND...: a script that asks Swift itself
ask_words()
{
	printf '%q ' env "no_proxy=*" "$PROG/ask" -o path_style -o region=us-east-1 \
		-o "endpoint=http://127.0.0.1:$swift" -o "credentials=$D/keys" s3://faults "$@"
}
ask_words put changed "other bytes" > "$D/change"
ask_words remove gone > "$D/remove"
# What stays while it is listed is there; what comes behind the place is, too.
ask_words remove list/101 remove list/210 put list/300 x > "$D/relist"

# What is there, of each key: all have the same bytes, and times of their own.
f=$(direct stat f read 0 1000 2> "$D/swift/err")
stat_f=${f%%$'\n'*}
stat_changed=$(direct stat changed 2> "$D/swift/err")
stat_gone=$(direct stat gone 2> "$D/swift/err")

GET_F='^GET./faults/f'
s3 "nothing goes wrong" "" "$f" "pass*3" "" stat f read 0 1000
s3 "a short storm of 503" "3 answer:503,SlowDown $GET_F" "$f" "pass*3 answer*3" "" stat f read 0 1000
s3 "a storm of 503" "99 answer:503,SlowDown $GET_F" "$stat_f
read EBUSY" "pass*2 answer*8" \
	's3://faults: GET of "f": Device or resource busy, status 503, request canned-1: SlowDown: told' \
	stat f read 0 1000
s3 "a reset in mid-body, once" "1 reset:500 $GET_F" "$f" "pass*3 reset*1" "" stat f read 0 1000
s3 "each body is short" "99 short:1 $GET_F" "$stat_f
read ECONNRESET" "pass*2 short*8" 's3://faults: GET of "f": Connection reset.*, request [^:]+:' stat f read 0 1000
s3 "a Content-Length that is too long" "99 length:1 $GET_F" "$stat_f
read EPROTO" "pass*2 length*1" 's3://faults: GET of "f": Protocol error, status 206, request [^:]+:' stat f read 0 1000
s3 "another ETag" "1 etag:\"00000000000000000000000000000000\" $GET_F" "$stat_f
read ESTALE" "pass*2 etag*1" "" stat f read 0 1000
s3 "another in its place before it is read" "1 run:. $D/change ^GET./faults/changed" "$stat_changed
read ESTALE" "pass*2 run*1" "" stat changed read 0 1000
s3 "gone before it is read" "1 run:. $D/remove ^GET./faults/gone" "$stat_gone
read ESTALE" "pass*2 run*1" "" stat gone read 0 1000
s3 "a wrong clock" "9 skew:3600 ^HEAD" "stat f EACCES" "pass*1 skew*1" \
	's3://faults: HEAD of "f": Permission denied, status 403, request ' stat f
s3 "... with words" "9 skew:3600 $GET_F" "$stat_f
read EACCES" "pass*2 skew*1" \
	's3://faults: GET of "f": Permission denied, status 403, request [^:]+: RequestTimeTooSkewed' \
	stat f read 0 1000
s3 "expired credentials" "9 answer:400,ExpiredToken $GET_F" "$stat_f
read EACCES" "pass*2 answer*1" \
	's3://faults: GET of "f": Permission denied, status 400, request canned-1: ExpiredToken' stat f read 0 1000
fault "Swift: expired credentials that are replaced" "$swift" "1 answer:400,ExpiredToken $GET_F" \
	"$stat_f
sh 0
read $(sed -n 's/^read //p' <<< "$f")" "pass*3 answer*1" "" -o path_style -o region=us-east-1 -o read_only \
	-o "endpoint=http://127.0.0.1:@" -o "credentials=$D/keys-old" s3://faults stat f \
	sh "cp -p '$D/keys' '$D/keys-new' && mv '$D/keys-new' '$D/keys-old'" read 0 1000

fault "Swift: a reset in the second part of a listing" "$swift" \
	"99 reset:100 (start-after|continuation-token)=" \
	"list list$(printf ' %s' {100..199}) ECONNRESET" "pass*2 reset*8" \
	's3://faults: GET of "list/": Connection reset' -t naps=100 -o path_style -o region=us-east-1 \
	-o read_only -o "endpoint=http://127.0.0.1:@" -o "credentials=$D/keys" s3://faults list list
# What it lists is changed by the next one.
wait "$(cat "$D/case/$((${#cases[@]} - 1))/id")"
s3 "a listing changes in mid-way" "1 run:. $D/relist (start-after|continuation-token)=" \
	"list list$(printf ' %s' {100..209} {211..219} 300)" "pass*2 run*1" "" list list

# told_again HEADER SAYS: no secret is logged, whoever says it
told_again()
{
	fault "Swift: a server that says again what $1 was" "$swift" "9 echo:$1 $GET_F" "$stat_f
read EIO" "pass*2 echo*1" 's3://faults: GET of "f": Input/output error, status 400, .*: Echo: .has a secret' \
		-v -o path_style -o region=us-east-1 -o read_only -o "endpoint=http://127.0.0.1:@" \
		-o "credentials=$D/keys-token" s3://faults stat f read 0 1000
}

keys "$D/keys-token" test:tester testing 'aws_session_token = sesame-token'
told_again Authorization
told_again x-amz-security-token

# written NAME PLAN LINES SEEN COMMAND...: the line is that of the first PUT, of a mount that writes
written()
{
	fault "Swift: $1" "$swift" "$2" "$3" "$4" '<6>.*minds no conditions' -t naps=100 -o path_style \
		-o region=us-east-1 -o "endpoint=http://127.0.0.1:@" -o "credentials=$D/keys" s3://faults "${@:5}"
}

written "a storm of 503 at a change" "3 answer:503,SlowDown ^PUT./faults/new" "put new-1" \
	"pass*3 answer*3" put new-1 x
written "a change whose answer is lost" "1 reset:-1 ^PUT./faults/new
1 reset:-1 ^DELETE./faults/new" "put new-2
remove
stat new-2 ENOENT" "pass*6 reset*2" put new-2 x remove new-2 stat new-2
