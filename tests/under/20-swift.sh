#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# under: timeout=1500
#
# The S3 store against OpenStack Swift: what every store promises, what that costs in
# requests, which keys are shown and under which names, who is refused; again through TLS; and
# no secret in any log.

. "$(dirname "$0")/lib.sh"

/usr/bin/python3 -c 'import swift' 2> /dev/null || {
	echo "ok - all # SKIP no swift (scripts/install test)"
	exit 0
}

export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION

# cmocka PROGRAM ARGS...: its tests as lines of ours
cmocka()
{
	local log=$D/$1-${2%%:*}.log status

	"$PROG/$1" "${@:2}" > "$log" 2>&1
	status=$?
	sed -n "s/^\[       OK \] \(.*\)/ok - ${2%%:*} \1/p" "$log"
	[ $status -ne 0 ] || return 0
	sed 's/^/# /' "$log"
	not_ok "${2%%:*}: ended with status $status"
}

# Buckets are the servers' own: each run of the program has a Swift of its own.
# swift_start NAME [CERTIFICATE KEY]
swift_start()
{
	mkdir "$D/$1" && server "$TOP/tests/under/swift" "$D/$1" "${@:2}" 2> "$D/$1/log"
	appears "$D/$1/url" 60 || { sed 's/^/# /' "$D/$1/log"; return 1; }
}

certificate()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=test -addext "subjectAltName=IP:127.0.0.1" -keyout "$D/key" \
		-out "$D/cert" 2> /dev/null
}

# What is secret is neither in a log of ours nor in what a server was asked for.
no_secrets()
{
	! grep -rlE 'testing|wrong-secret|[Ss]ignature=' "$D"/*.log "$D"/*/requests
}

check "a server of S3" swift_start one || exit 1
cmocka s3 "$(cat "$D/one/url")"
cmocka s3_names "$(cat "$D/one/url")"
check "one line says which keys are not shown" \
	[ "$(grep -c 'list of "n/d/": 1 keys are not shown.* such as "n/d//"' "$D"/s3_names-http.log)" -eq 1 ]
check "a certificate" certificate && check "one with TLS" swift_start two "$D/cert" "$D/key" &&
	cmocka s3 "$(cat "$D/two/url")" "$D/cert" conforms
check "no secrets are told" no_secrets
check "one line says who was refused" \
	[ "$(grep -c 's3://refused: GET of "".*status 403' "$D"/s3-http.log)" -eq 1 ]
exit "$FAILED"
