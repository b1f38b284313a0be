#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: kernels=6.12,6.1 long mem=2048 disk=2G timeout=10800
#
# 70-takeover.sh with a thousand kills.

KILLS=${KILLS:-1000} STEALS=${STEALS:-20} exec "$DATAFS_TOP/tests/vm/70-takeover.sh"
