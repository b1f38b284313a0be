// SPDX-License-Identifier: Apache-2.0
#include "acl.h"

#include <endian.h>
#include <string.h>

#define HEAD		4
#define ENTRY		8
#define VERSION		2

enum {
	USER_OBJ	= 0x01,
	USER		= 0x02,
	GROUP_OBJ	= 0x04,
	GROUP		= 0x08,
	MASK		= 0x10,
	OTHER		= 0x20,
};

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static bool head_ok(const uint8_t *acl, size_t len)
{
	return len >= HEAD && !((len - HEAD) % ENTRY) && get32(acl) == VERSION;
}

bool acl_empty(const uint8_t *acl, size_t len)
{
	return !len || (len == HEAD && head_ok(acl, len));
}

/* How an ACL may go on; 0 is its begin. MASK must come if there are users or groups. */
static bool may_follow(unsigned int before, unsigned int tag, bool named)
{
	switch (tag) {
	case USER_OBJ:
		return !before;
	case USER:
	case GROUP_OBJ:
		return before == USER_OBJ || before == USER;
	case GROUP:
	case MASK:
		return before == GROUP_OBJ || before == GROUP;
	case OTHER:
		return before == MASK ||
		       (!named && before == GROUP_OBJ);
	}
	return false;
}

bool acl_valid(const uint8_t *acl, size_t len)
{
	unsigned int before = 0;
	bool named = false;

	if (!head_ok(acl, len))
		return false;
	for (size_t at = HEAD; at < len; at += ENTRY) {
		unsigned int tag = get16(acl + at);

		if (get16(acl + at + 2) > 7 || !may_follow(before, tag, named))
			return false;
		if (tag == USER || tag == GROUP) {
			if (get32(acl + at + 4) == UINT32_MAX)
				return false;
			named = true;
		}
		before = tag;
	}
	return before == OTHER;
}

/* The entry of a tag that comes once, or NULL. */
static const uint8_t *find(const uint8_t *acl, size_t len, unsigned int tag)
{
	for (size_t at = HEAD; at < len; at += ENTRY)
		if (get16(acl + at) == tag)
			return acl + at;
	return NULL;
}

/* The entry whose bits are the mode's of the group. */
static const uint8_t *group_entry(const uint8_t *acl, size_t len)
{
	const uint8_t *e = find(acl, len, MASK);

	return e ? e : find(acl, len, GROUP_OBJ);
}

bool acl_extended(const uint8_t *acl, size_t len)
{
	return find(acl, len, MASK);
}

uint32_t acl_mode(const uint8_t *acl, size_t len)
{
	return (uint32_t)get16(find(acl, len, USER_OBJ) + 2) << 6 |
	       (uint32_t)get16(group_entry(acl, len) + 2) << 3 |
	       get16(find(acl, len, OTHER) + 2);
}

static void set_perm(const uint8_t *e, uint8_t *acl, uint32_t perm)
{
	uint16_t v = htole16(perm & 7);

	memcpy(acl + (e - acl) + 2, &v, 2);
}

void acl_set_mode(uint8_t *acl, size_t len, uint32_t mode)
{
	set_perm(find(acl, len, USER_OBJ), acl, mode >> 6);
	set_perm(group_entry(acl, len), acl, mode >> 3);
	set_perm(find(acl, len, OTHER), acl, mode);
}

uint32_t acl_inherit(uint8_t *acl, size_t len, uint32_t mode)
{
	mode &= acl_mode(acl, len);
	acl_set_mode(acl, len, mode);
	return mode;
}
