/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_CRC32C_H
#define DATAFS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC32C as datafs_abi.h defines it: Castagnoli's polynomial, initial value and
 * final XOR all ones. "123456789" gives 0xE3069283, nothing gives 0.
 */
uint32_t datafs_crc32c(const void *buf, size_t len);

/* Goes on: @crc is that of what came before (0 for nothing). */
uint32_t datafs_crc32c_more(uint32_t crc, const void *buf, size_t len);

#endif
