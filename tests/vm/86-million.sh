#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12 long=6.1 long mem=3072 disk=2G timeout=2400
#
# 85-memory.sh with 10^6 inodes and 10^6 extents.

export DIRS=1000 FILES=1000 WIDE=250

. "$DATAFS_TOP/tests/vm/85-memory.sh"
