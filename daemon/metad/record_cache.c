// SPDX-License-Identifier: Apache-2.0
#include "record_cache.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS		4096u
#define KEY_MAX		17u	/* of the records below */
#define VAL_MAX		254u	/* an answer with the attributes of two inodes, and more */

/* A key has one slot, which has the last key that came to it. */
struct slot {
	uint8_t key_len;	/* 0: empty */
	uint8_t key[KEY_MAX];
	uint8_t val_len;
	uint8_t val[VAL_MAX];
};

struct record_cache {
	struct slot slots[SLOTS];
};

struct record_cache *record_cache_new(void)
{
	return calloc(1, sizeof(struct record_cache));
}

void record_cache_free(struct record_cache *c)
{
	free(c);
}

/* Those that the next command of who has sent this one asks for. */
static bool is_worth(struct txn_bytes key)
{
	return key.len && key.len <= KEY_MAX &&
	       (*key.p == 'S' || *key.p == 'R' || *key.p == 'I');
}

/* NULL: such keys are not kept. */
static struct slot *slot_of(const struct record_cache *c, struct txn_bytes key)
{
	uint64_t h = 0;

	if (!is_worth(key))
		return NULL;
	for (size_t i = 0; i < key.len; i++)
		h = (h ^ key.p[i]) * 0x9e3779b97f4a7c15u;
	return (struct slot *)&c->slots[(h >> 32) % SLOTS];
}

static bool has(const struct slot *s, struct txn_bytes key)
{
	return s && s->key_len == key.len && !memcmp(s->key, key.p, key.len);
}

bool record_cache_get(const struct record_cache *c, struct txn_bytes key, struct txn_bytes *val)
{
	const struct slot *s = slot_of(c, key);

	if (!has(s, key))
		return false;
	*val = (struct txn_bytes){ s->val, s->val_len };
	return true;
}

void record_cache_put(struct record_cache *c, struct txn_bytes key, struct txn_bytes val)
{
	struct slot *s = slot_of(c, key);

	if (!s)
		return;
	if (val.len > VAL_MAX) {
		record_cache_drop(c, key);
		return;
	}
	s->key_len = (uint8_t)key.len;
	memcpy(s->key, key.p, key.len);
	s->val_len = (uint8_t)val.len;
	if (val.len)
		memcpy(s->val, val.p, val.len);
}

void record_cache_drop(struct record_cache *c, struct txn_bytes key)
{
	struct slot *s = slot_of(c, key);

	if (has(s, key))
		s->key_len = 0;
}
