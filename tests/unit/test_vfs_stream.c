// SPDX-License-Identifier: Apache-2.0
/*
 * The read-ahead policy against a double of the kernel: how many upcalls, how
 * many pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "vfs/stream.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define PAGE (64 * KIB)
#define NPAGES (GIB / PAGE)
#define PART (8 * MIB)
#define PARTS 4

static struct datafs_streams *s;
static unsigned char cached[NPAGES];
static uint64_t asked, fetched;

static int setup(void **state)
{
	(void)state;
	s = datafs_streams_new();
	memset(cached, 0, sizeof(cached));
	asked = fetched = 0;
	return !s;
}

static int teardown(void **state)
{
	(void)state;
	datafs_streams_free(s);
	return 0;
}

static void fetch(uint64_t from, uint64_t to)
{
	for (uint64_t p = from / PAGE; p * PAGE < to; p++) {
		fetched += !cached[p];
		cached[p] = 1;
	}
}

/* One upcall; answers where it ends. @ahead: what is fetched ahead is there. */
static uint64_t ask(uint64_t ino, uint64_t size, uint64_t off, uint64_t len,
		    bool prefetch, bool ahead)
{
	struct datafs_read r = {
		{ ino, 1 }, size, off, len, prefetch, .part = PART, .parts = PARTS,
	};
	struct datafs_plan p = datafs_streams_plan(s, &r);
	uint64_t end;

	asked++;
	assert_true(p.must % DATAFS_GRANULE == 0 && p.must <= DATAFS_ANSWER_MAX);
	/* Parts, as wholes, and not too many of them. */
	assert_true(p.now % PART == 0 || p.now == datafs_round_up(size, 4096) || p.now == off);
	assert_true(p.now == off || p.now >= off + p.must);
	assert_true(p.from >= p.to || p.from % PART == 0);
	assert_true(p.to <= DATAFS_MAX(p.now, off / PART * PART + PARTS * PART));
	if (!p.must) {
		assert_true(prefetch);
		if (!cached[off / PAGE])
			return off;
	}
	fetch(off, DATAFS_MAX(off + p.must, p.now));
	if (ahead && p.from < p.to)
		fetch(p.from, p.to);
	for (end = off; end < size && end - off < DATAFS_ANSWER_MAX &&
			cached[end / PAGE];)
		end = (end / PAGE + 1) * PAGE;
	end = DATAFS_MIN(end, datafs_round_up(size, DATAFS_GRANULE));
	datafs_streams_answered(s, &r, end, ahead ? p.to : 0);
	return end;
}

static void read_all(uint64_t size, uint64_t block, bool kernel_ahead,
		     bool ahead, uint64_t start)
{
	uint64_t have = start, pos;

	for (pos = start; pos < size; pos += block) {
		uint64_t end = DATAFS_MIN(pos + block, size);

		while (have < end)
			have = ask(7, size, have, end - have, false, ahead);
		/* The kernel's window reaches the end of what it has. */
		if (kernel_ahead && have < size && have < pos + 512 * KIB)
			have = ask(7, size, have, 512 * KIB, true, ahead);
	}
}

static void test_sequential(void **state)
{
	static const uint64_t blocks[] = { 4 * KIB, 64 * KIB, 128 * KIB, MIB, 16 * MIB };

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		for (int how = 0; how < 4; how++) {
			teardown(state);
			setup(state);
			read_all(GIB, blocks[i], how & 1, how & 2, 0);
			assert_true(asked <= 140);
			assert_int_equal(fetched, NPAGES);
			teardown(state);
			setup(state);
			read_all(GIB, blocks[i], how & 1, how & 2, 5 * MIB + 4 * KIB);
			/* more, until two steps have shown that it is in order */
			assert_true(asked <= 200);
		}
}

static void test_random(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t off = (((uint64_t)rand_r(&seed) << 8) ^ rand_r(&seed)) %
			       (GIB / 4096) * 4096;
		uint64_t end = ask(7, GIB, off, 4096, false, true);

		/* The kernel may guess; it gets nothing for it. */
		if (i % 3 == 0 && end < GIB)
			ask(7, GIB, end, 128 * KIB, true, true);
	}
	assert_true(fetched <= 1000);
}

static void test_sizes(void **state)
{
	(void)state;
	/* small: as a whole, the last granule included */
	assert_int_equal(ask(1, 100 * KIB + 1, 0, 4 * KIB, false, true), 104 * KIB);
	/* larger: only what was asked for, or a chunk for a large request */
	assert_int_equal(ask(2, 3 * MIB, 0, 4 * KIB, false, true), 128 * KIB);
	memset(cached, 0, sizeof(cached));
	assert_int_equal(ask(3, 3 * MIB, 0, 4 * KIB, false, true), PAGE);
	assert_int_equal(ask(4, 3 * MIB, 0, 128 * KIB, false, true), 3 * MIB);
	/* asked again after an invalidation: as much as the first time */
	memset(cached, 0, sizeof(cached));
	assert_int_equal(ask(4, 3 * MIB, 0, 128 * KIB, false, true), 3 * MIB);
	/* an empty rest is never asked for, a tail is */
	assert_int_equal(ask(5, GIB, GIB - 4 * KIB, 4 * KIB, false, true), GIB);
}

/* In MiB: asks for one at @off, and gets so much, of which parts are fetched to @now and @to. */
struct step {
	uint64_t off;
	bool prefetch;
	uint64_t must, now, to;
};

static void take_steps(const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++, steps++) {
		struct datafs_read r = {
			{ 7, 1 }, GIB, steps->off * MIB, MIB, steps->prefetch,
			.part = PART, .parts = PARTS,
		};
		struct datafs_plan p = datafs_streams_plan(s, &r);

		assert_int_equal(p.must, steps->must * MIB);
		assert_int_equal(p.now, steps->now * MIB);
		assert_int_equal(p.from < p.to ? p.to : 0, steps->to * MIB);
		datafs_streams_answered(s, &r, r.off + p.must, DATAFS_MAX(p.now, p.to));
	}
}

/*
 * Who asks for much at the beginning: one part, of which he gets the first bytes soon, and
 * more as he goes on. What the kernel guesses near what he asked for is no sign of that.
 */
static void test_beginning(void **state)
{
	static const struct step waits[] = {
		{ 0, false, 1, 8, 0 }, { 1, false, 1, 8, 16 }, { 2, false, 6, 8, 32 },
		{ 8, false, 8, 16, 40 },
	}, guesses[] = {
		{ 0, false, 1, 8, 0 }, { 1, true, 1, 8, 0 }, { 2, true, 1, 8, 16 },
		{ 3, true, 5, 8, 32 }, { 8, true, 8, 16, 40 },
	};

	take_steps(waits, sizeof(waits) / sizeof(waits[0]));
	teardown(state);
	setup(state);
	take_steps(guesses, sizeof(guesses) / sizeof(guesses[0]));
}

/* Of who reads no more than the first MiB, one part is fetched, whatever the kernel does. */
static void test_header(void **state)
{
	uint64_t at;

	(void)state;
	at = ask(7, GIB, 0, MIB, false, true);
	ask(7, GIB, DATAFS_MIN(at, MIB), 512 * KIB, true, true);
	assert_int_equal(fetched, PART / PAGE);
}

static void test_readers(void **state)
{
	uint64_t pos[4] = { 0, 100 * MIB, 200 * MIB, 300 * MIB };

	(void)state;
	/* Four readers of one file, each in order. */
	for (int step = 0; step < 20; step++)
		for (int i = 0; i < 4; i++)
			pos[i] = ask(9, GIB, pos[i], 4 * KIB, false, false);
	for (int i = 0; i < 4; i++)
		assert_true(pos[i] - i * 100 * MIB >= 64 * MIB);
}

/* What is fetched ahead of many readers is no more than what each must have at once. */
static void test_share(void **state)
{
	enum { FILES = 8 };
	uint64_t pos[FILES] = { 0 }, ahead[FILES] = { 0 };

	(void)state;
	for (int step = 0; step < 200; step++) {
		int i = step % FILES;
		struct datafs_read r = {
			{ 100 + i, 1 }, GIB, pos[i], 128 * KIB, false,
			.part = PART, .parts = FILES,
		};
		struct datafs_plan p = datafs_streams_plan(s, &r);
		uint64_t sum = 0;

		pos[i] += p.must;
		ahead[i] = DATAFS_MAX(ahead[i], DATAFS_MAX(p.now, p.to));
		datafs_streams_answered(s, &r, pos[i], ahead[i]);
		for (int n = 0; n < FILES; n++)
			sum += ahead[n] - pos[n];
		if (step >= 4 * FILES)
			assert_true(sum <= 2 * FILES * PART);
	}
	/* The others are done: he has it all. */
	for (int step = 0; step < 100; step++) {
		struct datafs_read r = {
			{ 100, 1 }, GIB, pos[0], 128 * KIB, false, .part = PART, .parts = FILES,
		};
		struct datafs_plan p = datafs_streams_plan(s, &r);

		pos[0] += p.must;
		ahead[0] = DATAFS_MAX(ahead[0], DATAFS_MAX(p.now, p.to));
		datafs_streams_answered(s, &r, pos[0], ahead[0]);
		if (step >= 50 && pos[0] + 64 * MIB < GIB)
			assert_true(ahead[0] - pos[0] >= (FILES - 2) * PART);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_sequential), T(test_random), T(test_sizes),
		T(test_beginning), T(test_header), T(test_readers), T(test_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
