#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=debug long mem=2048 disk=2G timeout=2400 append=slab_nomerge
#
# 05-smoke.sh on the debug kernel, as often as on the others.

ROUNDS=20 exec "$DATAFS_TOP/tests/vm/05-smoke.sh"
