#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Shared by the scripts of this directory; source it, do not run it.
# Defines TOP (the project) and BUILD (everything generated goes there).

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$TOP/build
ME=${0##*/}
export TOP BUILD

log()
{
	printf '%s: %s\n' "$ME" "$*" >&2
}

# die [-STATUS] MESSAGE: one line on stderr, then exit (1 unless told).
die()
{
	local status=1

	case $1 in
	-[0-9]*)
		status=${1#-}
		shift
		;;
	esac
	log "$@"
	exit "$status"
}

need_root()
{
	[ "$(id -u)" -eq 0 ] || die "must be run as root (sudo $0)"
}

# The release a bzImage was built as, read from its own header (the string's
# offset, less 0x200, is the little-endian word at 0x20e).
kernel_release()
{
	local word

	word=$(od -An -tu2 -j526 -N2 "$1" 2>/dev/null | tr -d ' ')
	[ -n "$word" ] || return 1
	tail -c +$((word + 512 + 1)) "$1" | head -c 200 | tr '\0' '\n' |
		head -n 1 | cut -d' ' -f1
}

# The debug kernel (KASAN, lockdep): $DATAFS_DEBUG_KERNEL (the vmlinuz, or its
# directory) if that is set; else one that lies beside the project; else what
# scripts/debug-kernel built. Of several in a directory, the newest version.
debug_kernel()
{
	local where f
	local -a places=("$TOP/../shared/debug-kernel" "$BUILD/debug-kernel")

	[ -z "$DATAFS_DEBUG_KERNEL" ] || places=("$DATAFS_DEBUG_KERNEL")
	for where in "${places[@]}"; do
		if [ -f "$where" ]; then
			realpath "$where"
			return
		fi
		f=$(printf '%s\n' "$where"/vmlinuz-* | sort -V | tail -n 1)
		if [ -f "$f" ]; then
			realpath "$f"
			return
		fi
	done
	return 1
}

# find_kernel NAME: the vmlinuz that NAME (a path, "debug", or a series such
# as 6.1 or 6.12) stands for; of a series, the newest one installed.
find_kernel()
{
	local f best=

	case $1 in
	debug)
		debug_kernel
		return
		;;
	*/*)
		[ -f "$1" ] && realpath "$1"
		return
		;;
	esac
	for f in /boot/vmlinuz-"$1"[.-]*; do
		# The cloud flavour lacks 9p and half of the drivers.
		case $f in
		*cloud*) continue ;;
		esac
		[ -f "$f" ] || continue
		if [ -z "$best" ] ||
		   [ "$(printf '%s\n%s\n' "$best" "$f" | sort -V | tail -n 1)" = "$f" ]; then
			best=$f
		fi
	done
	[ -n "$best" ] && echo "$best"
}

# kernel_headers NAME: the build directory for modules of that kernel. The
# debug kernel's come as a tarball beside it, unpacked under build/ at need: each
# tarball where no other is, for two kernels may have one name.
kernel_headers()
{
	local vmlinuz rel tar dir tmp

	vmlinuz=$(find_kernel "$1") || return 1
	rel=$(kernel_release "$vmlinuz") || return 1
	if [ -e "/lib/modules/$rel/build/Makefile" ]; then
		echo "/lib/modules/$rel/build"
		return 0
	fi
	# Named as the vmlinuz is, which need not be what the kernel calls itself.
	rel=${vmlinuz##*/vmlinuz-}
	tar=${vmlinuz%/*}/linux-headers-$rel.tar.xz
	[ -f "$tar" ] || return 1
	dir=$BUILD/headers/linux-headers-$rel-$(cksum < "$tar" | cut -d' ' -f1)
	if [ ! -e "$dir/Makefile" ]; then
		mkdir -p "$BUILD/headers" &&
		tmp=$(mktemp -d "$BUILD/headers/unpack.XXXXXX") &&
		tar -C "$tmp" -xf "$tar" || return 1
		# A concurrent unpacker may have won: then its copy serves.
		mv -T "$tmp/linux-headers-$rel" "$dir" 2>/dev/null
		rm -rf "$tmp"
	fi
	[ -e "$dir/Makefile" ] && echo "$dir"
}

# takes_modules: true where the running kernel takes modules that we build; else
# prints why not
takes_modules()
{
	local lockdown

	if [ ! -e /proc/modules ]; then
		echo "this kernel has no modules"
	elif [ "$(cat /proc/sys/kernel/modules_disabled 2>/dev/null)" != 0 ]; then
		echo "this kernel takes no more modules (sysctl kernel.modules_disabled)"
	else
		# The mode in force is the one in brackets: [none] integrity confidentiality
		lockdown=$(cat /sys/kernel/security/lockdown 2>/dev/null)
		case $lockdown in
		*"[integrity]"*|*"[confidentiality]"*)
			echo "this kernel is locked down: it takes signed modules only"
			;;
		*)
			return 0
			;;
		esac
	fi
	return 1
}

# True where there is what modules for the running kernel are built with.
have_headers()
{
	[ -e "/lib/modules/$(uname -r)/build/Makefile" ]
}
