// SPDX-License-Identifier: Apache-2.0
/*
 * In the database: "A" the index applied, "V" key the value, "R" client the last
 * request and its answer. What is there is kept in memory too.
 */
#define _GNU_SOURCE
#include "sim.h"

#include <assert.h>
#include <errno.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lin_register.h"

bool sim_fsm_apply_twice;

struct session {
	uint64_t request, answer;
};

struct sim_fsm {
	struct sim_store st;
	char db_path[4300];
	unsigned int generation;	/* of the database's directory: a new one when restored */
	unsigned int checkpoints;
	struct datafs_env *env;
	leveldb_t *db;
	leveldb_options_t *options;
	leveldb_writeoptions_t *write;
	leveldb_readoptions_t *read;

	uint64_t applied, values[SIM_KEYS];
	struct session sessions[SIM_SESSIONS];
};

void *sim_fsm_new(struct sim *s, const char *dir)
{
	struct sim_fsm *f = calloc(1, sizeof(*f));

	assert(f);
	sim_store_init(&f->st, s, dir);
	f->write = leveldb_writeoptions_create();
	f->read = leveldb_readoptions_create();
	return f;
}

const char *sim_fsm_snapshots(const void *state)
{
	return ((const struct sim_fsm *)state)->st.snapshots;
}

uint64_t sim_fsm_value(const struct sim_fsm *f, uint32_t key)
{
	return f->values[key];
}

static void load_one(struct sim_fsm *f, const char *key, size_t klen, const char *val)
{
	uint64_t n = 0;

	if (klen == 9)
		memcpy(&n, key + 1, 8);
	if (key[0] == 'A') {
		memcpy(&f->applied, val, 8);
	} else if (key[0] == 'V') {
		assert(n < SIM_KEYS);
		memcpy(&f->values[n], val, 8);
	} else {
		assert(n < SIM_SESSIONS);
		memcpy(&f->sessions[n], val, sizeof(f->sessions[n]));
	}
}

static void load_all(struct sim_fsm *f)
{
	leveldb_iterator_t *it = leveldb_create_iterator(f->db, f->read);

	f->applied = 0;
	memset(f->values, 0, sizeof(f->values));
	memset(f->sessions, 0, sizeof(f->sessions));
	for (leveldb_iter_seek_to_first(it); leveldb_iter_valid(it); leveldb_iter_next(it)) {
		size_t klen, vlen;
		const char *key = leveldb_iter_key(it, &klen);

		load_one(f, key, klen, leveldb_iter_value(it, &vlen));
	}
	leveldb_iter_destroy(it);
}

static void open_db(struct sim_fsm *f)
{
	char *err = NULL;

	snprintf(f->db_path, sizeof(f->db_path), "%s/db-%u", f->st.root, f->generation);
	f->env = fault_env_shim(f->st.disk);
	f->options = leveldb_options_create();
	leveldb_options_set_env(f->options, datafs_env_leveldb(f->env));
	leveldb_options_set_create_if_missing(f->options, 1);
	leveldb_options_set_paranoid_checks(f->options, 1);
	leveldb_options_set_write_buffer_size(f->options, 64 << 10);
	leveldb_options_set_compression(f->options, leveldb_no_compression);
	f->db = leveldb_open(f->options, f->db_path, &err);
	if (err)
		fprintf(stderr, "sim: %s\n", err);
	assert(f->db);
	fault_env_settle(f->st.disk);
	load_all(f);
}

static void close_db(struct sim_fsm *f)
{
	if (!f->db)
		return;
	leveldb_close(f->db);
	leveldb_options_destroy(f->options);
	datafs_env_close(f->env);
	f->db = NULL;
}

void sim_fsm_open(void *state)
{
	open_db(state);
}

void sim_fsm_crash(void *state)
{
	struct sim_fsm *f = state;

	fault_env_cut(f->st.disk, 0);
	close_db(f);
	fault_env_restart(f->st.disk);
}

void sim_fsm_free(void *state)
{
	struct sim_fsm *f = state;

	close_db(f);
	fault_env_free(f->st.disk);
	leveldb_writeoptions_destroy(f->write);
	leveldb_readoptions_destroy(f->read);
	free(f);
}

static uint64_t applied(void *ctx)
{
	return ((struct sim_fsm *)ctx)->applied;
}

static void put(leveldb_writebatch_t *b, char what, uint64_t n, const void *val, size_t len)
{
	char key[9];

	key[0] = what;
	memcpy(key + 1, &n, 8);
	leveldb_writebatch_put(b, key, what == 'A' ? 1 : sizeof(key), val, len);
}

/* Once for each request of a client, whose requests have rising numbers. */
static void do_request(struct sim_fsm *f, leveldb_writebatch_t *b, const struct sim_request *r)
{
	struct session *s = &f->sessions[r->client];

	if (r->request < s->request || (r->request == s->request && !sim_fsm_apply_twice))
		return;
	if (r->kind == REGISTER_PUT)
		f->values[r->key] = r->value;
	else if (r->kind == REGISTER_ADD)
		f->values[r->key] += r->value;
	s->request = r->request;
	s->answer = f->values[r->key];
	put(b, 'V', r->key, &f->values[r->key], 8);
	put(b, 'R', r->client, s, sizeof(*s));
}

static int apply(void *ctx, uint64_t index, uint64_t term, struct datafs_raft_command *cmds,
		 unsigned int n)
{
	leveldb_writebatch_t *b = leveldb_writebatch_create();
	struct sim_fsm *f = ctx;
	char *err = NULL;

	(void)term;
	assert(index == f->applied + 1);
	for (unsigned int i = 0; i < n; i++) {
		struct sim_request r;

		assert(cmds[i].len == sizeof(r));
		memcpy(&r, cmds[i].buf, sizeof(r));
		assert(r.client < SIM_SESSIONS && r.key < SIM_KEYS);
		do_request(f, b, &r);
		cmds[i].res_len = 8;
		cmds[i].res = malloc(8);
		assert(cmds[i].res);
		memcpy(cmds[i].res, &f->sessions[r.client].answer, 8);
	}
	f->applied = index;
	put(b, 'A', 0, &f->applied, 8);
	leveldb_write(f->db, f->write, b, &err);
	leveldb_writebatch_destroy(b);
	if (err)
		fprintf(stderr, "sim: %s\n", err);
	return err ? -EIO : 0;
}

static int checkpoint(void *ctx, const char *dir)
{
	struct sim_fsm *f = ctx;
	char path[4300];
	int err;

	f->st.sim->snapshots++;
	snprintf(path, sizeof(path), "%s/cp-%u", f->st.root, ++f->checkpoints);
	err = datafs_checkpoint(f->env, f->db_path, path);
	if (!err)
		sim_copy_dir(path, dir);
	return err;
}

static int restore(void *ctx, const char *dir)
{
	struct sim_fsm *f = ctx;
	char path[4400];

	f->st.sim->restores++;
	close_db(f);
	f->generation++;
	snprintf(path, sizeof(path), "%s/db-%u", f->st.root, f->generation);
	sim_copy_dir(dir, path);
	open_db(f);
	return 0;
}

struct datafs_raft_fsm sim_fsm_ops(void *state)
{
	return (struct datafs_raft_fsm) {
		.ctx = state, .applied = applied, .apply = apply, .checkpoint = checkpoint,
		.restore = restore,
	};
}

char *sim_fsm_dump(void *state, size_t *len)
{
	struct sim_fsm *f = state;
	leveldb_iterator_t *it = leveldb_create_iterator(f->db, f->read);
	char *buf = NULL;

	*len = 0;
	for (leveldb_iter_seek_to_first(it); leveldb_iter_valid(it); leveldb_iter_next(it)) {
		size_t klen, vlen;
		const char *key = leveldb_iter_key(it, &klen);
		const char *val = leveldb_iter_value(it, &vlen);

		char *more = realloc(buf, *len + klen + vlen);

		assert(more);
		buf = more;
		memcpy(buf + *len, key, klen);
		memcpy(buf + *len + klen, val, vlen);
		*len += klen + vlen;
	}
	leveldb_iter_destroy(it);
	return buf;
}
