/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wire takes from libcrypto: SHA-256, HMAC-SHA256 (RFC 2104), HKDF
 * (RFC 5869), and the authentication code of frames. All keys, hashes and
 * codes are DATAFS_HASH_LEN bytes, but a frame's code, which is cut. Errors:
 * -EIO, where libcrypto cannot do it at all, or has no memory.
 */
#ifndef DATAFS_WIRE_CRYPTO_H
#define DATAFS_WIRE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATAFS_HASH_LEN	32
#define DATAFS_MAC_LEN	16

int datafs_sha256(const void *data, size_t len, uint8_t out[DATAFS_HASH_LEN]);
int datafs_hmac(const uint8_t key[DATAFS_HASH_LEN], const void *data,
		size_t len, uint8_t out[DATAFS_HASH_LEN]);
/* @label: what the key is for, a different one for each use. */
int datafs_hkdf(const uint8_t secret[DATAFS_HASH_LEN],
		const uint8_t salt[DATAFS_HASH_LEN], const char *label,
		uint8_t out[DATAFS_HASH_LEN]);
/* In a time that does not depend on where they differ. */
bool datafs_same_secret(const void *a, const void *b, size_t len);
/* The compiler does not leave it out. */
void datafs_wipe(void *p, size_t len);

/* A key with which many frames are authenticated. Of one thread at a time. */
struct datafs_mac;
int datafs_mac_new(const uint8_t key[DATAFS_HASH_LEN], struct datafs_mac **res);
void datafs_mac_free(struct datafs_mac *mac);
/* Over @seq, @head and @body, in this order. */
int datafs_mac_frame(struct datafs_mac *mac, uint64_t seq, const void *head,
		     size_t head_len, const void *body, size_t len,
		     uint8_t out[DATAFS_MAC_LEN]);

#endif
