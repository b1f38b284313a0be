#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1,6.12 long=debug mem=2048 disk=2G timeout=1500
#
# The channel with a daemon that keeps no rule: channel.c speaks to the module
# directly, and every answer it should refuse is refused.

. "$DATAFS_TOP/tests/vm/lib.sh"

load
# Under KASAN and lockdep the same is some ten times slower.
case $KVER in
*-debug|6.12.117)	rounds=20 ;;
*)			rounds=100 ;;
esac
ROUNDS=$rounds tap channel "$MNT" "$DISK"
check "nothing is left of it" eval '! grep -q " - datafs " /proc/self/mountinfo'
finish
