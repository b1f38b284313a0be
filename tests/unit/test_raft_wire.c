// SPDX-License-Identifier: Apache-2.0
/* Messages of the quorum as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "raft_samples.h"
#include "wire/frame.h"

struct sample {
	struct datafs_raft_frame frame;
	struct raft_configuration conf;
	struct raft_buffer buf;
	struct raft_entry entries[SAMPLE_ENTRIES];
	void *bytes;
	long len;
};

static void sample_make(struct sample *s, unsigned int kind)
{
	assert_int_equal(sample_frame(kind, &s->frame, &s->conf, &s->buf, s->entries), 0);
	s->len = datafs_raft_encode(&s->frame, &s->bytes);
	assert_true(s->len > 0 && s->len <= (long)DATAFS_RAFT_FRAME_MAX);
}

static void sample_end(struct sample *s)
{
	raft_configuration_close(&s->conf);
	raft_free(s->buf.base);
	free(s->bytes);
}

/* In memory of its exact size, so that the sanitizer sees a read past it. */
static int decode_exact(const void *buf, size_t len, struct datafs_raft_frame *f)
{
	void *copy = malloc(len);
	int err;

	assert_true(copy || !len);
	if (len)
		memcpy(copy, buf, len);
	err = datafs_raft_decode(copy, len, f);
	free(copy);
	return err;
}

static void same_entries(const struct raft_append_entries *a,
			 const struct raft_append_entries *b)
{
	assert_int_equal(a->n_entries, b->n_entries);
	for (unsigned int i = 0; i < a->n_entries; i++) {
		assert_int_equal(a->entries[i].term, b->entries[i].term);
		assert_int_equal(a->entries[i].type, b->entries[i].type);
		assert_int_equal(a->entries[i].buf.len, b->entries[i].buf.len);
		assert_memory_equal(a->entries[i].buf.base, b->entries[i].buf.base,
				    a->entries[i].buf.len);
		assert_ptr_equal(b->entries[i].batch, b->entries[0].buf.base);
	}
}

static void same_configuration(const struct raft_configuration *a,
			       const struct raft_configuration *b)
{
	assert_int_equal(a->n, b->n);
	for (unsigned int i = 0; i < a->n; i++) {
		assert_int_equal(a->servers[i].id, b->servers[i].id);
		assert_int_equal(a->servers[i].role, b->servers[i].role);
		assert_string_equal(a->servers[i].address, b->servers[i].address);
	}
}

/* What comes back is encoded to the same bytes, and says the same. */
static void round_trip(void **state)
{
	(void)state;
	for (unsigned int kind = 1; kind < DATAFS_RAFT_KIND_END; kind++) {
		struct datafs_raft_frame back;
		struct sample s;
		void *again;

		sample_make(&s, kind);
		assert_int_equal(decode_exact(s.bytes, (size_t)s.len, &back), 0);
		assert_int_equal(back.kind, kind);
		assert_int_equal(datafs_raft_encode(&back, &again), s.len);
		assert_memory_equal(again, s.bytes, (size_t)s.len);
		if (kind == RAFT_APPEND_ENTRIES)
			same_entries(&s.frame.raft.append_entries,
				     &back.raft.append_entries);
		if (kind == RAFT_INSTALL_SNAPSHOT)
			same_configuration(&s.conf, &back.raft.install_snapshot.conf);
		if (kind == RAFT_REQUEST_VOTE) {
			assert_int_equal(back.raft.request_vote.version, 2);
			assert_int_equal(back.raft.request_vote.last_log_index, 100);
			assert_true(back.raft.request_vote.pre_vote);
			assert_false(back.raft.request_vote.disrupt_leader);
		}
		free(again);
		datafs_raft_frame_free(&back);
		sample_end(&s);
	}
}

static void cut_or_longer(void **state)
{
	(void)state;
	for (unsigned int kind = 1; kind < DATAFS_RAFT_KIND_END; kind++) {
		struct datafs_raft_frame back;
		struct sample s;
		uint8_t *longer;

		sample_make(&s, kind);
		for (long len = 0; len < s.len; len++)
			assert_int_equal(decode_exact(s.bytes, (size_t)len, &back), -EBADMSG);
		longer = calloc(1, (size_t)s.len + 1);
		assert_non_null(longer);
		memcpy(longer, s.bytes, (size_t)s.len);
		assert_int_equal(decode_exact(longer, (size_t)s.len + 1, &back), -EBADMSG);
		free(longer);
		sample_end(&s);
	}
}

/* Any byte changed: refused, or a frame that can be encoded. */
static void changed_bytes(void **state)
{
	unsigned int refused = 0, taken = 0;

	(void)state;
	for (unsigned int kind = 1; kind < DATAFS_RAFT_KIND_END; kind++) {
		struct sample s;

		sample_make(&s, kind);
		for (long i = 0; i < s.len * 8; i++) {
			uint8_t *p = (uint8_t *)s.bytes + i / 8;
			struct datafs_raft_frame back;
			void *again;

			*p ^= (uint8_t)(1 << i % 8);
			if (decode_exact(s.bytes, (size_t)s.len, &back)) {
				refused++;
			} else {
				taken++;
				assert_int_equal(datafs_raft_encode(&back, &again), s.len);
				assert_memory_equal(again, s.bytes, (size_t)s.len);
				free(again);
				datafs_raft_frame_free(&back);
			}
			*p ^= (uint8_t)(1 << i % 8);
		}
		sample_end(&s);
	}
	assert_true(refused > 1000);
	assert_true(taken > 1000);
}

/* libraft would get its index wrong. */
static void change_is_first(void **state)
{
	struct sample s;
	void *bytes;

	(void)state;
	sample_make(&s, RAFT_APPEND_ENTRIES);
	s.entries[1].type = RAFT_CHANGE;
	assert_int_equal(datafs_raft_encode(&s.frame, &bytes), -EINVAL);
	sample_end(&s);
}

static void bounds(void **state)
{
	struct raft_append_entries *a;
	struct raft_entry *many;
	struct sample s;
	char *big;
	void *bytes;

	(void)state;
	sample_make(&s, RAFT_APPEND_ENTRIES);
	a = &s.frame.raft.append_entries;
	big = calloc(1, DATAFS_RAFT_ENTRY_MAX + 1);
	many = calloc(DATAFS_RAFT_ENTRIES_MAX + 1, sizeof(*many));
	assert_true(big && many);
	s.entries[1].buf.base = big;
	s.entries[1].buf.len = DATAFS_RAFT_ENTRY_MAX + 1;
	assert_int_equal(datafs_raft_encode(&s.frame, &bytes), -EINVAL);
	a->entries = many;
	a->n_entries = DATAFS_RAFT_ENTRIES_MAX + 1;
	assert_int_equal(datafs_raft_encode(&s.frame, &bytes), -EINVAL);
	for (int i = 0; i < 5; i++) {
		many[i].type = RAFT_COMMAND;
		many[i].buf.base = big;
		many[i].buf.len = DATAFS_RAFT_ENTRY_MAX;
	}
	a->n_entries = 5;
	assert_int_equal(datafs_raft_encode(&s.frame, &bytes), -EINVAL);
	free(big);
	free(many);
	sample_end(&s);
}

/* The longest frame of entries that can be made is one that can be sent. */
static void longest(void **state)
{
	const unsigned int n = DATAFS_RAFT_ENTRIES_MAX;
	struct raft_entry *many = calloc(n, sizeof(*many));
	char *big = calloc(1, DATAFS_RAFT_ENTRY_MAX);
	struct sample s;
	void *bytes;
	long len;

	(void)state;
	assert_true(big && many);
	sample_make(&s, RAFT_APPEND_ENTRIES);
	for (unsigned int i = 0; i < n; i++) {
		many[i].type = RAFT_COMMAND;
		many[i].buf.base = big;
		many[i].buf.len = DATAFS_RAFT_BATCH_MAX / n;
	}
	many[0].buf.len += DATAFS_RAFT_BATCH_MAX % n;
	s.frame.raft.append_entries.entries = many;
	s.frame.raft.append_entries.n_entries = n;
	len = datafs_raft_encode(&s.frame, &bytes);
	assert_true(len > (long)DATAFS_RAFT_BATCH_MAX);
	assert_true(len <= (long)DATAFS_FRAME_MAX_BULK);
	free(bytes);
	many[0].buf.len++;
	assert_int_equal(datafs_raft_encode(&s.frame, &bytes), -EINVAL);
	free(big);
	free(many);
	sample_end(&s);
}

/* Its own decoder would believe the count, and read on. */
static void configurations(void **state)
{
	struct raft_configuration conf;
	struct raft_buffer buf;
	uint8_t *p;

	(void)state;
	assert_int_equal(sample_configuration(&conf, &buf), 0);
	p = buf.base;
	assert_int_equal(datafs_raft_conf_check(p, buf.len), 0);
	assert_int_equal(datafs_raft_conf_check(p, buf.len - 8), -EBADMSG);
	p[1] = 200;
	assert_int_equal(datafs_raft_conf_check(p, buf.len), -EBADMSG);
	p[1] = 4;
	assert_int_equal(datafs_raft_conf_check(p, buf.len), -EBADMSG);
	p[1] = 3;
	/* the second server's id as the first one's */
	p[9 + 8 + 7 + 1] = 1;
	assert_int_equal(datafs_raft_conf_check(p, buf.len), -EBADMSG);
	raft_free(buf.base);
	raft_configuration_close(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(cut_or_longer),
		cmocka_unit_test(changed_bytes),
		cmocka_unit_test(change_is_first),
		cmocka_unit_test(bounds),
		cmocka_unit_test(longest),
		cmocka_unit_test(configurations),
	};

	return cmocka_run_group_tests_name("raft_wire", tests, NULL, NULL);
}
