#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 cpus=1 mem=2048 disk=2G timeout=2400
#
# What programs expect of a filesystem, on one that cannot be written.

. "$DATAFS_TOP/tests/vm/lib.sh"

CACHE_SIZE=256M
MANY=${DATAFS_MANY:-5000}

as_nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

make_tree()
{
	mkdir -p "$SRC/rofs/dir" "$SRC/rofs/empty" "$SRC/many" "$SRC/perm" "$SRC/names" "$SRC/bin"
	chmod 755 "$SRC"
	echo text > "$SRC/rofs/file"
	ln -s file "$SRC/rofs/link"
	(cd "$SRC/many" && seq -f 'entry-%.0f' "$MANY" | xargs touch) || return 1

	echo secret > "$SRC/perm/private"
	chmod 600 "$SRC/perm/private"
	echo acl > "$SRC/perm/acl"
	chmod 600 "$SRC/perm/acl"
	setfacl -m u:65534:r "$SRC/perm/acl" || return 1
	echo denied > "$SRC/perm/denied"
	setfacl -m u:65534:- "$SRC/perm/denied" || return 1
	mkdir "$SRC/perm/closed" "$SRC/perm/opened"
	echo x > "$SRC/perm/closed/x"
	echo x > "$SRC/perm/opened/x"
	chmod 700 "$SRC/perm/closed" "$SRC/perm/opened"
	setfacl -m u:65534:rx -d -m u:65534:r "$SRC/perm/opened" || return 1
	echo group > "$SRC/perm/group"
	chown 0:65534 "$SRC/perm/group"
	chmod 640 "$SRC/perm/group"

	echo x > "$SRC/attr"
	setfattr -n user.one -v first "$SRC/attr" &&
	setfattr -n user.empty "$SRC/attr" &&
	setfattr -n trusted.two -v second "$SRC/attr" &&
	setfattr -n security.three -v third "$SRC/attr" &&
	setfattr -n user.long -v "$(head -c 3000 /dev/zero | tr '\0' v)" "$SRC/attr" &&
	setfattr -h -n trusted.link -v l "$SRC/rofs/link" || return 1

	echo x > "$SRC/hard1"
	ln "$SRC/hard1" "$SRC/hard2"
	ln "$SRC/hard1" "$SRC/perm/hard3"
	ln -s "$(head -c 4095 /dev/zero | tr '\0' l)" "$SRC/long-link" || return 1
	ln -s nowhere "$SRC/dangling"
	ln -s perm "$SRC/to-dir"
	ln -s loop "$SRC/loop"
	mkfifo "$SRC/fifo"
	mknod "$SRC/chr" c 1 3
	mknod "$SRC/blk" b 7 200

	(cd "$SRC/names" && : > "$(head -c 255 /dev/zero | tr '\0' n)" &&
		: > $'new\nline' && : > $'\xff\xfe\x80' && : > ' ' && : > 'a b' &&
		: > '*' && : > $'\\' && : > $'\x01' && : > '...' && : > 'ümläut' &&
		: > '-rf') || return 1

	: > "$SRC/nothing"
	truncate -s 3m "$SRC/sparse"
	echo middle | dd of="$SRC/sparse" bs=1 seek=1500000 conv=notrunc status=none
	truncate -s 20g "$SRC/huge"
	echo end | dd of="$SRC/huge" bs=4096 seek=5242879 conv=notrunc status=none
	gen "$SRC/big" 6000001 7 || return 1
	cp /bin/ls "$SRC/bin/ls"
	cp /bin/ls "$SRC/bin/suid"
	chmod 4755 "$SRC/bin/suid"
	mkdir "$SRC/bin/pkg"
	echo 'def answer(): return 42' > "$SRC/bin/pkg/__init__.py"
	printf '#!/bin/sh\necho script $1\n' > "$SRC/bin/script"
	chmod 755 "$SRC/bin/script"
}

check "a tree to read" make_tree || finish
load
check "mount" mnt "$SRC" "$MNT" || finish

# --- nothing is written
tap erofs "$MNT/rofs"
is "and nothing has changed" "$(cat "$SRC/rofs/file") $(names "$SRC/rofs")" \
	= "text dir empty file link "

# --- who may
is "root reads all" "$(cat "$MNT/perm/private")" = secret
check "another may not" eval '! as_nobody cat "$MNT/perm/private" 2> /tmp/err && grep -q "Permission denied" /tmp/err'
is "an ACL allows" "$(as_nobody cat "$MNT/perm/acl" 2>&1)" = acl
check "an ACL forbids" eval '! as_nobody cat "$MNT/perm/denied" 2> /tmp/err && grep -q "Permission denied" /tmp/err'
is "a group may" "$(as_nobody cat "$MNT/perm/group" 2>&1)" = group
check "a closed directory" eval '! as_nobody ls "$MNT/perm/closed" 2> /dev/null'
check "nor what is in it" eval '! as_nobody cat "$MNT/perm/closed/x" 2> /dev/null'
is "an ACL opens one" "$(as_nobody ls "$MNT/perm/opened" 2>&1)" = x
acls()
{
	(cd "$1" && find perm -print0 | sort -z | xargs -0 getfacl)
}
acls "$SRC" > /tmp/a
acls "$MNT" > /tmp/b
check "getfacl is the same" diff /tmp/a /tmp/b
drop_all
is "an ACL allows, caches dropped" "$(as_nobody cat "$MNT/perm/acl" 2>&1)" = acl
check "an ACL forbids, caches dropped" eval '! as_nobody cat "$MNT/perm/denied" 2> /dev/null'
check "nosuid" eval 'as_nobody "$MNT/bin/suid" "$MNT/bin" > /dev/null'

# --- attributes
attributes()
{
	(cd "$1" && getfattr -h -d -m - -R attr bin names perm rofs 2> /dev/null | sort)
}
attributes "$SRC" > /tmp/a
attributes "$MNT" > /tmp/b
check "extended attributes are the same" diff /tmp/a /tmp/b
is "the four kinds are there" "$(grep -cE '^(user.one|trusted.two|security.three|system.posix_acl_access)=' /tmp/b | head -1)" -ge 4
check "no such attribute" eval '! getfattr -n user.none "$MNT/attr" 2> /tmp/err && grep -q "No such attribute" /tmp/err'
check "a user does not see trusted ones" eval '! as_nobody getfattr -d -m - "$MNT/attr" | grep -q trusted'
is "but his own" "$(as_nobody getfattr --absolute-names --only-values -n user.one "$MNT/attr")" = first

# --- directories
tap listing "$MNT/many" "$MANY"
drop_all
is "listed with caches dropped" "$(find "$MNT/many" -type f | wc -l)" -eq "$MANY"
check "the same names" eval 'ls "$SRC/many" > /tmp/a; ls "$MNT/many" | cmp - /tmp/a'
tap listing "$MNT/rofs/empty" 0
check "odd names" eval '(cd "$SRC/names" && find . -print0 | sort -z) > /tmp/a; (cd "$MNT/names" && find . -print0 | sort -z) | cmp - /tmp/a'
check "each can be found" eval '(cd "$MNT/names" && find . -print0 | xargs -0 stat --) > /dev/null'
check "a name that is too long" eval '! stat "$MNT/names/$(head -c 256 /dev/zero | tr "\0" n)" 2> /tmp/err && grep -q "too long" /tmp/err'
is "dot dot" "$(cd "$MNT/perm/opened/.." && stat -c %i .)" = "$(stat -c %i "$MNT/perm")"

# --- kinds of files
is "hard links have one number" "$(stat -c %i "$MNT/hard1" "$MNT/hard2" "$MNT/perm/hard3" | sort -u | wc -l)" -eq 1
is "and a count" "$(stat -c %h "$MNT/hard2")" -eq 3
is "a long link" "$(readlink "$MNT/long-link" | wc -c)" -eq 4096
is "a dangling link" "$(readlink "$MNT/dangling")" = nowhere
check "leads nowhere" eval '! cat "$MNT/dangling" 2> /tmp/err && grep -q "No such file" /tmp/err'
is "a link to a directory" "$(cat "$MNT/to-dir/group")" = group
check "a loop" eval '! cat "$MNT/loop" 2> /tmp/err && grep -q "Too many levels" /tmp/err'
is "a FIFO, devices" "$(cd "$MNT" && stat -c '%F %t %T' fifo chr blk | tr '\n' ,)" \
	= "$(cd "$SRC" && stat -c '%F %t %T' fifo chr blk | tr '\n' ,)"
check "nodev" eval '! head -c 1 "$MNT/chr" 2> /dev/null'
check "an empty file" cmp "$SRC/nothing" "$MNT/nothing"
check "a sparse file" cmp "$SRC/sparse" "$MNT/sparse"
is "the end of a file of 20 GiB" "$(tail -c 4096 "$MNT/huge" | tr -d '\0')" = end
is "the middle of it" "$(dd if="$MNT/huge" bs=4096 skip=3000000 count=1 status=none | tr -d '\0' | wc -c)" -eq 0
tap statx "$SRC/big" "$MNT/big"
check "stat -f" eval 'test "$(stat -f -c "%t %l" "$MNT")" = "44617461 255" && test "$(stat -f -c %b "$MNT")" -gt 0'
check "df" eval 'df "$MNT" | grep -q "$MNT\$"'

# --- programs
is "a program from the mount" "$("$MNT/bin/ls" "$MNT/rofs" | tr '\n' ' ')" = "dir empty file link "
is "a script" "$("$MNT/bin/script" runs)" = "script runs"
is "a module of python" "$(PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$MNT/bin /usr/bin/python3 -c 'import pkg; print(pkg.answer())')" = 42
tap reads "$SRC/big" "$MNT/big" "$DISK/reads-out"
check "cp" eval 'cp -a "$MNT/big" "$DISK/copy" && cmp "$DISK/copy" "$SRC/big"'
check "tar" eval 'tar -C "$MNT" --exclude=./huge --exclude=./many -cf - . | tar -C "$SRC" --exclude=./huge -df -'
check "flock" flock "$MNT/big" true
tap handles "$MNT" big rofs rofs/file perm/hard3 rofs/link many/entry-7

# --- NFS on top
if have_nfsd; then
	mkdir -p "$SRC/exported"
	cp -r /usr/include/linux/can "$SRC/exported"
	check "exported by nfsd and mounted" nfs_up "$MNT" &&
		check "each byte through NFS" verify -n -m read "$SRC/exported" /mnt/nfs/exported
	check "a large file through NFS" cmp "$SRC/big" /mnt/nfs/big
	drop_all
	check "caches dropped" cmp "$SRC/big" /mnt/nfs/big
	is "a long directory through NFS" "$(find /mnt/nfs/many -mindepth 1 | wc -l)" -eq "$MANY"
	check "NFS is down" nfs_down
else
	skip "NFS on top" "no nfsd here"
fi
check "unmount" umnt "$MNT"
finish
