// SPDX-License-Identifier: Apache-2.0
#include "crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "base/util.h"

_Static_assert(DATAFS_HASH_LEN == SHA256_DIGEST_LENGTH, "SHA-256");

struct datafs_mac {
	EVP_MAC *alg;
	EVP_MAC_CTX *ctx;	/* has the key */
};

int datafs_sha256(const void *data, size_t len, uint8_t out[DATAFS_HASH_LEN])
{
	return SHA256(data, len, out) ? 0 : -EIO;
}

int datafs_hmac(const uint8_t key[DATAFS_HASH_LEN], const void *data,
		size_t len, uint8_t out[DATAFS_HASH_LEN])
{
	return HMAC(EVP_sha256(), key, DATAFS_HASH_LEN, data, len, out, NULL) ?
		       0 : -EIO;
}

int datafs_hkdf(const uint8_t secret[DATAFS_HASH_LEN],
		const uint8_t salt[DATAFS_HASH_LEN], const char *label,
		uint8_t out[DATAFS_HASH_LEN])
{
	/* OSSL_PARAM has no constant pointers; nothing is written there. */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						 (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)(uintptr_t)secret,
						  DATAFS_HASH_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
						  (void *)(uintptr_t)salt,
						  DATAFS_HASH_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						  (void *)(uintptr_t)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *alg = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = alg ? EVP_KDF_CTX_new(alg) : NULL;
	int err = -EIO;

	if (ctx && EVP_KDF_derive(ctx, out, DATAFS_HASH_LEN, params) == 1)
		err = 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(alg);
	return err;
}

bool datafs_same_secret(const void *a, const void *b, size_t len)
{
	return !CRYPTO_memcmp(a, b, len);
}

void datafs_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}

int datafs_mac_new(const uint8_t key[DATAFS_HASH_LEN], struct datafs_mac **res)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	struct datafs_mac *mac = calloc(1, sizeof(*mac));

	if (!mac)
		return -ENOMEM;
	mac->alg = EVP_MAC_fetch(NULL, "HMAC", NULL);
	mac->ctx = mac->alg ? EVP_MAC_CTX_new(mac->alg) : NULL;
	if (!mac->ctx ||
	    EVP_MAC_init(mac->ctx, key, DATAFS_HASH_LEN, params) != 1) {
		datafs_mac_free(mac);
		return -EIO;
	}
	*res = mac;
	return 0;
}

void datafs_mac_free(struct datafs_mac *mac)
{
	if (!mac)
		return;
	EVP_MAC_CTX_free(mac->ctx);
	EVP_MAC_free(mac->alg);
	free(mac);
}

int datafs_mac_frame(struct datafs_mac *mac, uint64_t seq, const void *head,
		     size_t head_len, const void *body, size_t len,
		     uint8_t out[DATAFS_MAC_LEN])
{
	uint8_t first[8], full[DATAFS_HASH_LEN];
	size_t n;

	datafs_put_be64(first, seq);
	/* Without a key: begins anew with the one it has. */
	if (EVP_MAC_init(mac->ctx, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(mac->ctx, first, sizeof(first)) != 1 ||
	    EVP_MAC_update(mac->ctx, head, head_len) != 1 ||
	    (len && EVP_MAC_update(mac->ctx, body, len) != 1) ||
	    EVP_MAC_final(mac->ctx, full, &n, sizeof(full)) != 1)
		return -EIO;
	memcpy(out, full, DATAFS_MAC_LEN);
	return 0;
}
