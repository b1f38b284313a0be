/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the wire share. */
#ifndef DATAFS_TEST_WIRE_FIXTURE_H
#define DATAFS_TEST_WIRE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/frame.h"
#include "wire/handshake.h"
#include "wire/keys.h"

/* Random numbers from $DATAFS_SEED, else from the time; prints it. */
void wire_seed(void);
uint64_t wire_rnd(void);
void wire_fill(void *p, size_t n);

/* Keys with @n ids counted down from @newest; the bytes depend on the id only. */
struct datafs_keys wire_keys(uint32_t newest, unsigned int n);
/* The file of client @node that belongs to them. */
struct datafs_keys wire_client_keys(const struct datafs_keys *keys,
				    uint64_t node);

/* Gives @n bytes to the decoder as a reader would. */
void wire_feed(struct datafs_decoder *dec, const void *p, size_t n);

#endif
