/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kmod/reply.c needs of the kernel, in userspace: it is pure, and tested
 * here byte for byte as the module has it.
 */
#ifndef DATAFS_REPLY_SHIM_H
#define DATAFS_REPLY_SHIM_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define S64_MAX	INT64_MAX

#include "../../kmod/reply.h"

#endif /* DATAFS_REPLY_SHIM_H */
