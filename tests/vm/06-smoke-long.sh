#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.1,6.12,debug long mem=2048 disk=2G timeout=2400 append=slab_nomerge
#
# 05-smoke.sh, more often.

ROUNDS=20 exec "$DATAFS_TOP/tests/vm/05-smoke.sh"
