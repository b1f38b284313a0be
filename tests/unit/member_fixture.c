// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "member_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "tmpdir.h"

/* --- the disk --- */

static void *copy_of(const void *buf, size_t len)
{
	void *p = raft_malloc(len ? len : 1);

	assert_non_null(p);
	if (len)
		memcpy(p, buf, len);
	return p;
}

static void load_snapshot(const struct bench *b, struct datafs_raft_loaded *res)
{
	struct raft_snapshot *s = raft_calloc(1, sizeof(*s));

	*s = b->snapshot;
	assert_int_equal(datafs_raft_conf_copy(&b->snapshot.configuration, &s->configuration), 0);
	s->n_bufs = 1;
	s->bufs = raft_calloc(1, sizeof(*s->bufs));
	s->bufs[0].len = b->snapshot_buf.len;
	s->bufs[0].base = copy_of(b->snapshot_buf.base, b->snapshot_buf.len);
	res->snapshot = s;
}

static int load(void *ctx, struct datafs_raft_loaded *res)
{
	static const uint8_t command[16] = { 0, 0, 0, 1 };
	struct bench *b = ctx;

	res->term = b->term;
	res->vote = b->vote;
	res->first = 1;
	res->n = b->n + 1;
	res->entries = raft_calloc(res->n, sizeof(*res->entries));
	for (unsigned int i = 0; i < res->n; i++) {
		struct raft_entry *e = &res->entries[i];

		e->term = i ? b->terms[i - 1] : 1;
		e->type = i ? RAFT_COMMAND : RAFT_CHANGE;
		if (i)
			e->buf = (struct raft_buffer) { copy_of(command, 8), 8 };
		else
			e->buf = bench_conf_role(3, b->standby ? RAFT_STANDBY : RAFT_VOTER);
		e->batch = e->buf.base;
	}
	if (b->snapshot.index)
		load_snapshot(b, res);
	return 0;
}

static int set_term(void *ctx, uint64_t term)
{
	struct bench *b = ctx;

	if (b->term_err)
		return b->term_err;
	assert_true(term > b->term);
	b->term = term;
	b->vote = 0;
	return 0;
}

static int set_vote(void *ctx, uint64_t id)
{
	struct bench *b = ctx;

	assert_int_equal(b->vote, 0);
	b->vote = id;
	return 0;
}

static int ask(struct bench *b, struct datafs_raft_io *io)
{
	if (!b->hold) {
		io->done(io, 0);
		return 0;
	}
	assert_true(b->n_held < BENCH_LOG);
	b->held[b->n_held++] = io;
	return 0;
}

static int append(void *ctx, uint64_t index, const struct raft_entry *entries, unsigned int n,
		  struct datafs_raft_io *io)
{
	(void)index;
	(void)entries;
	(void)n;
	return ask(ctx, io);
}

static int snapshot(void *ctx, const struct raft_snapshot *s, unsigned int trailing,
		    struct datafs_raft_io *io)
{
	struct bench *b = ctx;

	b->snapshots++;
	b->snapshot_index = s->index;
	b->snapshot_conf_index = s->configuration_index;
	b->snapshot_servers = s->configuration.n;
	b->snapshot_trailing = trailing;
	return ask(b, io);
}

void bench_release(struct bench *b)
{
	b->hold = false;
	for (unsigned int i = 0; i < b->n_held; i++)
		b->held[i]->done(b->held[i], 0);
	b->n_held = 0;
}

/* --- the state machine --- */

static uint64_t applied(void *ctx)
{
	return ((struct bench *)ctx)->applied;
}

static int apply(void *ctx, uint64_t index, uint64_t term, struct datafs_raft_command *cmds,
		 unsigned int n)
{
	struct bench *b = ctx;

	(void)term;
	assert_int_equal(index, b->applied + 1);
	/* each is answered with itself */
	for (unsigned int i = 0; i < n && cmds[i].len; i++) {
		cmds[i].res = malloc(cmds[i].len);
		if (!cmds[i].res)
			return -ENOMEM;
		memcpy(cmds[i].res, cmds[i].buf, cmds[i].len);
		cmds[i].res_len = cmds[i].len;
	}
	if (n && cmds[0].len == sizeof(b->first))
		memcpy(&b->first, cmds[0].buf, sizeof(b->first));
	b->cmds = n;
	b->applied = index;
	return 0;
}

static int checkpoint(void *ctx, const char *dir)
{
	struct bench *b = ctx;
	char path[4200], buf[4096];
	FILE *f;

	b->checkpoints++;
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/000001.ldb", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	memset(buf, 'x', sizeof(buf));
	for (size_t left = b->file_size; left;) {
		size_t len = left < sizeof(buf) ? left : sizeof(buf);

		assert_int_equal(fwrite(buf, 1, len, f), len);
		left -= len;
	}
	assert_int_equal(fclose(f), 0);
	return b->checkpoint_err;
}

static int restore(void *ctx, const char *dir)
{
	unsigned long long index, term;
	struct bench *b = ctx;

	if (sscanf(strrchr(dir, '/') + 1, "snap-%llu-%llu", &index, &term) != 2)
		fail();
	b->applied = index;
	b->restored++;
	return 0;
}

/* --- the network --- */

static void net_send(void *ctx, uint64_t to, const void *buf, size_t len)
{
	struct bench *b = ctx;

	assert_true(b->n_sent < BENCH_SENT);
	b->to[b->n_sent] = to;
	assert_int_equal(datafs_raft_decode(buf, len, &b->sent[b->n_sent++]), 0);
}

static void net_fetch(void *ctx, uint64_t from, const struct datafs_raft_piece *piece,
		      uint64_t token)
{
	struct bench *b = ctx;

	b->fetches++;
	b->fetch_from = from;
	b->fetch_token = token;
	b->fetch_index = piece->index;
	b->fetch_off = piece->off;
}

static uint64_t now_of(void *ctx)
{
	return ((struct bench *)ctx)->now;
}

/* --- what tests call --- */

void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(tmpdir_make(b->dir, sizeof(b->dir), "member"), 0);
	b->now = 100000;
	b->term = 1;
	b->threshold = 1000000;
	b->file_size = 10;
	b->entry_len = 8;
}

int bench_start(struct bench *b)
{
	struct datafs_member_config cfg = {
		.id = 1, .address = "m1", .snapshots = b->dir, .seed = 1,
		.threshold = b->threshold, .trailing = 4,
		.fsm = { b, applied, apply, checkpoint, restore, b->stamp },
		.net = { b, net_send, net_fetch },
		.disk = { b, load, set_term, set_vote, append, snapshot },
		.now = now_of, .ctx = b,
	};
	int err;

	assert_int_equal(datafs_member_open(&cfg, &b->m), 0);
	err = datafs_member_start(b->m);
	if (err)
		bench_stop(b);
	return err;
}

void bench_stop(struct bench *b)
{
	for (unsigned int i = 0; i < b->n_held; i++)
		b->held[i]->done(b->held[i], -ECANCELED);
	b->n_held = 0;
	datafs_member_close(b->m);
	b->m = NULL;
	bench_forget(b);
}

void bench_free(struct bench *b)
{
	if (b->m)
		bench_stop(b);
	raft_configuration_close(&b->snapshot.configuration);
	free(b->snapshot_buf.base);
	assert_int_equal(tmpdir_remove(b->dir), 0);
}

struct raft_buffer bench_conf(unsigned int n)
{
	return bench_conf_role(n, RAFT_VOTER);
}

struct raft_buffer bench_conf_role(unsigned int n, int role)
{
	struct raft_configuration conf;
	struct raft_buffer buf;
	char address[16];

	raft_configuration_init(&conf);
	for (unsigned int i = 1; i <= n; i++) {
		snprintf(address, sizeof(address), "m%u", i);
		assert_int_equal(raft_configuration_add(&conf, i, address,
							i == 1 ? role : RAFT_VOTER), 0);
	}
	assert_int_equal(raft_configuration_encode(&conf, &buf), 0);
	raft_configuration_close(&conf);
	return buf;
}

void bench_forget(struct bench *b)
{
	for (unsigned int i = 0; i < b->n_sent; i++)
		datafs_raft_frame_free(&b->sent[i]);
	b->n_sent = 0;
}

unsigned int bench_count(const struct bench *b, unsigned int kind)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->n_sent; i++)
		n += b->sent[i].kind == kind;
	return n;
}

void bench_receive(struct bench *b, uint64_t from, const struct datafs_raft_frame *frame)
{
	void *buf;
	long len = datafs_raft_encode(frame, &buf);

	assert_true(len > 0);
	datafs_member_receive(b->m, from, buf, (size_t)len);
	free(buf);
}

static struct datafs_raft_frame append_of(uint64_t term, uint64_t prev, uint64_t prev_term,
					  uint64_t commit)
{
	struct datafs_raft_frame f = { .kind = RAFT_APPEND_ENTRIES };

	f.raft.type = RAFT_APPEND_ENTRIES;
	f.raft.append_entries = (struct raft_append_entries) {
		.term = term, .prev_log_index = prev, .prev_log_term = prev_term,
		.leader_commit = commit,
	};
	return f;
}

void bench_heartbeat(struct bench *b, uint64_t term, uint64_t prev, uint64_t prev_term,
		     uint64_t commit)
{
	struct datafs_raft_frame f = append_of(term, prev, prev_term, commit);

	bench_receive(b, 2, &f);
}

void bench_entry(struct bench *b, uint64_t term, uint64_t prev, uint64_t prev_term,
		 uint64_t commit, uint64_t entry_term, unsigned int conf)
{
	struct datafs_raft_frame f = append_of(term, prev, prev_term, commit);
	static uint8_t command[DATAFS_RAFT_ENTRY_MAX];
	struct raft_entry e = {
		.term = entry_term, .type = conf ? RAFT_CHANGE : RAFT_COMMAND,
		.buf = { command, b->entry_len },
	};

	datafs_put_be32(command, 1);
	datafs_put_be32(command + 4, b->entry_len > 8);
	datafs_put_be32(command + 8, (uint32_t)b->entry_len - 12);
	if (conf)
		e.buf = bench_conf(conf);
	f.raft.append_entries.entries = &e;
	f.raft.append_entries.n_entries = 1;
	bench_receive(b, 2, &f);
	if (conf)
		raft_free(e.buf.base);
}

bool bench_tick(struct bench *b, uint64_t ms)
{
	uint64_t at = datafs_member_deadline(b->m);

	if (at > b->now + ms)
		return false;
	b->now = at > b->now ? at : b->now;
	datafs_member_tick(b->m);
	return true;
}

static void grant(struct bench *b, uint64_t term, bool pre_vote)
{
	struct datafs_raft_frame f = { .kind = RAFT_REQUEST_VOTE_RESULT };

	f.raft.type = RAFT_REQUEST_VOTE_RESULT;
	f.raft.request_vote_result = (struct raft_request_vote_result) {
		.version = 2, .term = term, .vote_granted = true, .pre_vote = pre_vote,
	};
	bench_receive(b, 2, &f);
}

void bench_lead(struct bench *b)
{
	uint64_t term = b->term + 1;
	struct datafs_member_status st;

	assert_true(bench_tick(b, 1000));
	grant(b, term, true);
	grant(b, term, false);
	datafs_member_status(b->m, &st);
	assert_true(st.leads);
	bench_ack(b, 2, st.last);
	datafs_member_status(b->m, &st);
	assert_true(st.ready);
}

void bench_ack(struct bench *b, uint64_t from, uint64_t index)
{
	bench_reject(b, from, 0, index);
}

void bench_reject(struct bench *b, uint64_t from, uint64_t prev, uint64_t last)
{
	struct datafs_raft_frame f = { .kind = RAFT_APPEND_ENTRIES_RESULT };

	f.raft.type = RAFT_APPEND_ENTRIES_RESULT;
	f.raft.append_entries_result = (struct raft_append_entries_result) {
		.version = 2, .term = b->term, .rejected = prev, .last_log_index = last,
	};
	bench_receive(b, from, &f);
}

static uint32_t crc_of(size_t size)
{
	uint32_t crc = 0;

	while (size--)
		crc = datafs_crc32c_more(crc, "x", 1);
	return crc;
}

void bench_offer(struct bench *b, uint64_t term, uint64_t index, size_t size)
{
	struct datafs_manifest_file file = { .name = "000001.ldb", .size = size, .crc = crc_of(size) };
	struct datafs_manifest m = { .index = index, .term = term, .files = &file, .n = 1 };
	struct datafs_raft_frame f = { .kind = RAFT_INSTALL_SNAPSHOT };
	struct raft_install_snapshot *s = &f.raft.install_snapshot;
	struct raft_buffer buf = bench_conf(3);
	void *bytes;
	long len;

	f.raft.type = RAFT_INSTALL_SNAPSHOT;
	/* a snapshot's own term stays as it is, whoever offers it */
	m.term = 2;
	len = datafs_manifest_encode(&m, &bytes);
	assert_true(len > 0);
	*s = (struct raft_install_snapshot) {
		.term = term, .last_index = index, .last_term = m.term, .conf_index = 1,
		.data = { bytes, (size_t)len },
	};
	assert_int_equal(raft_configuration_decode(&buf, &s->conf), 0);
	raft_free(buf.base);
	bench_receive(b, 2, &f);
	raft_configuration_close(&s->conf);
	free(bytes);
}

void bench_feed(struct bench *b, size_t size)
{
	static char buf[DATAFS_MEMBER_PIECE_MAX];
	uint64_t token = 0;

	memset(buf, 'x', sizeof(buf));
	while (b->fetch_token != token) {
		size_t left = size - b->fetch_off;

		token = b->fetch_token;
		datafs_member_fetched(b->m, token, 0, buf, left < sizeof(buf) ? left : sizeof(buf));
	}
}

unsigned int bench_dirs(const struct bench *b)
{
	DIR *d = opendir(b->dir);
	unsigned int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}
