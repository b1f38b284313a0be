#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 cpus=1 swift mem=2048 disk=2G timeout=2400
#
# One tree: an S3 bucket at /, an NFS export at /shared, a web server at /shared/pub and a
# local directory at /shared/pub/mine, in one mount of this machine's own namespace; while
# other mounts of its table come and go.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=192M
BUCKET=$DISK/bucket WWW=$DISK/www MINE=$DISK/mine WANT=$DISK/want

# fill DIR SEED: some files of its own, and what the others have too
fill()
{
	mkdir -p "$1/sub/deep" "$1/a space" && gen "$1/of $2" 3m "$2" && gen "$1/sub/deep/file" 90k "1$2" &&
		echo "$2" > "$1/same" && echo "$2" > "$1/a space/b c"
}

# What is to be shown, as one directory: each store over what is there below it.
make_files()
{
	fill "$BUCKET" 1 && fill "$SRC" 2 && fill "$WWW" 3 && fill "$MINE" 4 &&
	mkdir -p "$BUCKET/shared" "$SRC/pub" && echo hidden > "$BUCKET/shared/covered" &&
	echo hidden > "$SRC/pub/covered" && echo file > "$WWW/mine" || return 1
	mkdir "$WANT" && cp -r "$BUCKET/." "$WANT" && rm -r "$WANT/shared" &&
	cp -r "$SRC" "$WANT/shared" && rm -r "$WANT/shared/pub" &&
	cp -r "$WWW" "$WANT/shared/pub" && rm "$WANT/shared/pub/mine" &&
	cp -r "$MINE" "$WANT/shared/pub/mine" || return 1
	chmod -R a+rX "$WWW" "$DISK"
	find "$WWW" -type f -exec touch -d '1 hour ago' {} +
}

fill_bucket()
{
	local f

	while read -r f; do
		curl_s3 "bucket/top/${f// /%20}" -T "$BUCKET/$f" || return 1
	done < <(cd "$BUCKET" && find . -type f -printf '%P\n')
}

table()
{
	"$DATAFS_TOP/build/datafs" mount "$@"
}

names_of()
{
	(cd "$1" && find . -path ./shared/busy -prune -o -path ./way -prune -o \
		\( -type d -printf '%p d\n' -o -printf '%p %s\n' \) | sort)
}

sums_of()
{
	(cd "$1" && find . -path ./shared/busy -prune -o -path ./way -prune -o \
		-type f -print0 | sort -z | xargs -0 sha256sum)
}

same_names()
{
	diff <(names_of "$WANT") <(names_of "$MNT")
}

same_bytes()
{
	diff <(sums_of "$WANT") <(sums_of "$MNT")
}

come_and_go()
{
	while [ ! -e /run/over ]; do
		table add /shared/busy "$MINE" && table add /way/there "$MINE" &&
			table remove /shared/busy && table remove /way/there || return 1
		echo >> /run/rounds
	done
}

check "files" make_files || finish
load
check "a web server" web_up "$WWW" || finish
if ! have_nfsd; then
	skip "one tree" "no nfsd here"
	finish
fi
check "an NFS export" nfs_up "$SRC" || finish
check "an S3 store" swift_up || finish
check "objects" fill_bucket

check "mount" mnt :/ "$MNT"
check "S3 at the root" table add / s3://bucket/top \
	-o "endpoint=$URL,path_style,region=us-east-1,credentials=/run/credentials"
# Inside out: what is on the way need not be there.
check "a local directory, four deep" table add /shared/pub/mine "$MINE"
check "HTTP over what it is in" table add /shared/pub http://127.0.0.1:8080/
check "NFS over these" table add /shared /mnt/nfs
check "all names" same_names
check "every byte" same_bytes
: > /run/rounds
come_and_go 2> /run/table.err &
loop=$!
for i in 1 2 3; do
	check "all names while others come and go, $i" same_names
	check "every byte, $i" same_bytes
done
: > /run/over
wait "$loop"
is "none of that failed" $? -eq 0
count_is "mounts have come and gone" "$(wc -l < /run/rounds)" -gt 0
check "a mount cannot be renamed" eval '! mv "$MNT/shared/pub" "$MNT/shared/x" 2> /dev/null'
check "the daemon names them" eval \
	'"$DATAFS_TOP/build/datafs" mount list | grep -q " /shared/pub/mine "'
check "a policy" datafs policy set "/shared/pub/mine" cache=keep
is "it is listed" "$(datafs policy list)" = "$(printf 'version 1\n/shared/pub/mine cache=keep')"
check "none for it is an error" eval '! datafs policy remove /none 2> /tmp/err && grep -q "no policy of that path" /tmp/err'
# By extents the kernel reads without asking: they go with their inodes.
kept()
{
	drop_all
	cat "$MNT/shared/pub/mine/of 4" > /dev/null && [ "$(stat_of cache_keep_slots)" -gt 0 ]
}
check "what is read there is kept, some seconds later" until_true 60 kept
check "it is removed" eval 'datafs policy remove /shared/pub/mine && [ "$(datafs policy list 2> /dev/null)" = "version 2" ]'
check "remove one" table remove /shared/pub
is "what it covered is seen" "$(cat "$MNT/shared/pub/covered")" = hidden
is "what is in it stays" "$(cat "$MNT/shared/pub/mine/same")" = 4
check "unmount" umnt "$MNT"
check "NFS is down" nfs_down
kill "$web"
wait "$web"
finish
