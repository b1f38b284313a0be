// SPDX-License-Identifier: Apache-2.0
#include "wire_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

static uint64_t x;

void wire_seed(void)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);

	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	x = seed * 0x9e3779b97f4a7c15ull | 1;
}

uint64_t wire_rnd(void)
{
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

void wire_fill(void *p, size_t n)
{
	for (uint8_t *b = p; n; n--)
		*b++ = wire_rnd() >> 24;
}

struct datafs_keys wire_keys(uint32_t newest, unsigned int n)
{
	struct datafs_keys keys = { .holder = DATAFS_ROLE_MEMBER, .n = n };

	memset(keys.cluster, 0xc1, sizeof(keys.cluster));
	for (unsigned int i = 0; i < n; i++) {
		keys.key[i].id = newest - i;
		memset(keys.key[i].key, 0x40 + (newest - i), DATAFS_HASH_LEN);
	}
	return keys;
}

struct datafs_keys wire_client_keys(const struct datafs_keys *keys,
				    uint64_t node)
{
	struct datafs_keys res = *keys;

	res.holder = DATAFS_ROLE_CLIENT;
	res.node = node;
	for (unsigned int i = 0; i < keys->n; i++)
		assert_int_equal(datafs_keys_derive(keys->key[i].key,
						    keys->cluster, node,
						    res.key[i].key), 0);
	return res;
}

void wire_feed(struct datafs_decoder *dec, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n) {
		size_t room, part;
		void *to = datafs_decoder_room(dec, &room);

		assert_non_null(to);
		assert_true(room);
		part = DATAFS_MIN(n, room);
		memcpy(to, from, part);
		datafs_decoder_came(dec, part);
		from += part;
		n -= part;
	}
}
