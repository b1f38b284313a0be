#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12,6.1 long mem=2048 disk=6G timeout=2400
#
# 20-counts.sh with files of 1 GiB.

exec "$DATAFS_TOP/tests/vm/20-counts.sh" 1024
