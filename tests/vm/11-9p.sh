#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1 long=6.12 mem=2048 disk=2G timeout=900
#
# A source on a filesystem that is neither local nor quick.

. "$DATAFS_TOP/tests/vm/lib.sh"

load
check "mount what 9p has" mnt /usr/include/linux "$MNT"
check "by mixed ways" verify -n -m mixed -t 4 /usr/include/linux "$MNT"
check "unmount" umnt "$MNT"
finish
