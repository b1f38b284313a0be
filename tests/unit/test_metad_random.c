// SPDX-License-Identifier: Apache-2.0
/*
 * Commands at random, many in an entry, some sent twice, against a model; a second
 * member gets the same entries, a third the same commands packed otherwise.
 */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <time.h>

#include "metad_model.h"
#include "tmpdir.h"

#define ROUNDS	3
#define BATCHES	100
#define BATCH	64
#define INODES	8192	/* at once */
#define NAMES	4096

#define ARRAY(a)	(sizeof(a) / sizeof((a)[0]))

static struct model *w;
static struct datafs_metad *same, *other;
static char same_dir[4096], other_dir[4096];
static uint64_t same_index, other_index, sent[MODEL_SESSIONS + 1];
/* Their ids, which change when one is opened again. */
static uint64_t ids[MODEL_SESSIONS + 1], last_id;
static char names[8][8] = { "a", "b", "c", "d", "e", "f", "g", "h" };
static char xattrs[MODEL_XATTRS][8] = { "user.0", "user.1", "user.2" };
static const char *const paths[] = {
	"/", "/a", "/a/b", "/a/b/c/d", "/ab", "/a-b", "/b", "/b/a", "/c/..d", "/c", "?", "?/a/",
};
static const char *const sources[] = { "/srv/a", "s3://bucket/key", "posix:///srv/b c", "?\n" };
static const char *const options[] = { "", "read_only", "uid=3,part_size=5m", "?" };
static const char targets[] = "abcdefghij";

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Mostly one that is there; what was there lately, too. Often one that a quota counts. */
static uint64_t some_inode(uint64_t *x, bool want_dir)
{
	bool want_quota = w->quotas && rnd(x) % 2;
	const struct model_inode *in;
	uint64_t ino = 1;

	for (int i = 0; i < 40; i++) {
		ino = 1 + rnd(x) % w->next;
		if (!(rnd(x) % 50))
			break;
		in = model_inode(w, ino);
		if (in && S_ISDIR(in->mode) == want_dir && (!want_quota || in->quota))
			break;
		ino = 1;
	}
	return ino;
}

/* A file that a quota counts and that has a size, if there is one; else @ino. */
static uint64_t some_counted(uint64_t *x, uint64_t ino)
{
	int from = (int)(rnd(x) % (uint64_t)w->inodes);

	for (int i = 0; i < w->inodes; i++) {
		const struct model_inode *in = &w->in[(from + i) % w->inodes];

		if (in->quota && in->size && S_ISREG(in->mode))
			return in->ino;
	}
	return ino;
}

/* Often one that is there, of its generation or another one. */
static void some_mount(uint64_t *x, struct req *r)
{
	const struct model_mount *is = w->mounts ? &w->mount[rnd(x) % (uint64_t)w->mounts] : NULL;

	r->name = is && rnd(x) % 2 ? is->path : paths[rnd(x) % ARRAY(paths)];
	r->source = sources[rnd(x) % ARRAY(sources)];
	r->options = options[rnd(x) % ARRAY(options)];
	if (rnd(x) % 2)
		r->generation = is ? is->generation : 1;
}

/* Often one that is there. */
static void some_node(uint64_t *x, struct req *r)
{
	static const char *const hosts[] = { "n1", "n2", "n3.net", "N_4", "?" };
	static const char *const addresses[] = { NULL, "", "h:1", "h:65535", "?" };

	r->name = hosts[rnd(x) % ARRAY(hosts)];
	r->source = addresses[rnd(x) % ARRAY(addresses)];
	r->has_weight = rnd(x) % 2;
	r->level = (uint32_t)(rnd(x) % 4);
	r->create = !(rnd(x) % 3);
	r->replace = !(rnd(x) % 3);
}

static void some_policy(uint64_t *x, struct req *r)
{
	r->name = paths[rnd(x) % ARRAY(paths)];
	r->level = (uint32_t)(rnd(x) % 5);
}

static struct req some_req(uint64_t *x)
{
	static const struct {
		Metad__Command__OpCase op;
		int weight;
	} ops[] = {
		{ OP(CREATE), 6 }, { OP(MKDIR), 5 }, { OP(MKNOD), 1 }, { OP(SYMLINK), 1 },
		{ OP(LINK), 3 }, { OP(UNLINK), 6 }, { OP(RMDIR), 4 }, { OP(RENAME), 10 },
		{ OP(SETATTR), 3 }, { OP(SETXATTR), 3 }, { OP(REMOVEXATTR), 2 },
		{ OP(HOLD), 4 }, { OP(RELEASE), 2 }, { OP(NOOP), 1 },
		{ OP(SET_QUOTA), 2 }, { OP(REMOVE_QUOTA), 1 },
		{ OP(MOUNT_ADD), 3 }, { OP(MOUNT_SET), 2 }, { OP(MOUNT_REMOVE), 2 },
		{ OP(NODE_JOIN), 4 }, { OP(NODE_SET), 3 }, { OP(NODE_REMOVE), 2 },
		{ OP(POLICY_SET), 4 }, { OP(POLICY_REMOVE), 2 },
	};
	int at = (int)(rnd(x) % 76), i = 0;
	const struct model_inode *in;
	struct req r = { 0 };

	while ((at -= ops[i].weight) >= 0)
		i++;
	r.op = ops[i].op;
	r.ino = some_inode(x, r.op < OP(LINK) || (r.op > OP(LINK) && r.op <= OP(RENAME)));
	if (r.op >= OP(SETATTR) && rnd(x) % 2)
		r.ino = some_inode(x, true);
	if ((r.op == OP(SETATTR) || r.op == OP(HOLD)) && rnd(x) % 2)
		r.ino = some_counted(x, r.ino);
	r.to = some_inode(x, true);
	r.name = r.op == OP(SETXATTR) || r.op == OP(REMOVEXATTR) ?
		xattrs[rnd(x) % MODEL_XATTRS] : names[rnd(x) % 8];
	r.new_name = names[rnd(x) % 8];
	r.mode = (uint32_t)(rnd(x) % 010000);
	if (r.op == OP(MKNOD))
		r.mode |= rnd(x) % 2 ? S_IFIFO : S_IFREG;
	r.umask = (uint32_t)(rnd(x) % 0100);
	r.uid = (uint32_t)(rnd(x) % 3);
	r.gid = (uint32_t)(rnd(x) % 3);
	r.value = targets + rnd(x) % 9;
	r.len = 1;
	r.create = !(rnd(x) % 5);
	r.replace = !(rnd(x) % 4);
	in = model_inode(w, r.ino);
	r.set = (struct Metad__Setattr){
		.has_mode = rnd(x) % 2, .mode = (uint32_t)(rnd(x) % 010000),
		.has_uid = rnd(x) % 2, .uid = 4, .has_gid = rnd(x) % 2, .gid = 5,
		.has_size = rnd(x) % 2, .size = rnd(x) % 1000,
		.has_mtime = rnd(x) % 2, .mtime = -3, .mtime_ns = 7,
		.has_guard = !(rnd(x) % 4), .guard = in ? in->ctime.tv_sec : 0,
		.guard_ns = in ? (uint32_t)in->ctime.tv_nsec : 0,
	};
	r.session = 1 + rnd(x) % MODEL_SESSIONS;
	if (r.op >= OP(POLICY_SET))
		some_policy(x, &r);
	else if (r.op >= OP(NODE_JOIN))
		some_node(x, &r);
	else if (r.op >= OP(MOUNT_ADD))
		some_mount(x, &r);
	if (r.op == OP(SET_QUOTA) || r.op == OP(REMOVE_QUOTA)) {
		r.session = 0;
		r.inodes = rnd(x) % 3 ? 1 + rnd(x) % 12 : 0;
		r.bytes = rnd(x) % 3 ? 1 + rnd(x) % 3000 : 0;
	}
	return r;
}

static void number(struct req *r, uint64_t *x)
{
	uint64_t *last = &sent[r->session];

	/* the leader's own have no ids */
	if (!r->session)
		return;
	r->request = ++*last;
	r->lowest = *last > 20 ? *last - 1 - rnd(x) % 20 : 1;
}

static void apply_to(struct datafs_metad *to, uint64_t index, const struct req *r,
		     size_t n, struct datafs_metad_results *res)
{
	struct req named[BATCH + BATCH / 8];
	size_t len;
	uint8_t *buf;

	for (size_t i = 0; i < n; i++) {
		named[i] = r[i];
		named[i].session = ids[r[i].session];
	}
	buf = req_pack(named, n, entry_time, 0, &len);

	assert_int_equal(datafs_metad_apply(to, index, 1, buf, len, res), 0);
	free(buf);
}

static void compare_inode(uint64_t ino)
{
	const struct model_inode *in = model_inode(w, ino);
	struct datafs_metad_attr a;
	char buf[8];
	int ret = datafs_metad_getattr(m, ino, &a);

	if (!in) {
		assert_int_equal(ret, -ESTALE);
		return;
	}
	assert_int_equal(ret, 0);
	assert_int_equal(a.mode, in->mode);
	assert_int_equal(a.nlink, model_nlink(w, ino));
	assert_true(a.uid == in->uid && a.gid == in->gid && a.size == in->size);
	assert_int_equal(a.version, in->version);
	assert_memory_equal(&a.atime, &in->atime, sizeof(a.atime));
	assert_memory_equal(&a.mtime, &in->mtime, sizeof(a.atime));
	assert_memory_equal(&a.ctime, &in->ctime, sizeof(a.atime));
	assert_memory_equal(&a.btime, &in->btime, sizeof(a.atime));
	for (int i = 0; i < MODEL_XATTRS; i++) {
		ret = (int)datafs_metad_getxattr(m, ino, xattrs[i], 6, buf, 8);
		assert_int_equal(ret, in->xattr[i] ? 1 : -ENODATA);
		if (ret == 1)
			assert_int_equal(*buf, in->xattr[i]);
	}
}

static void compare_dir(uint64_t ino)
{
	char want[4096] = "";

	for (int i = 0; i < w->names; i++)
		if (model_names(w)[i].dir == ino)
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%s",
				 *want ? " " : "", model_names(w)[i].name);
	assert_string_equal(names_in(ino), want);
}

static int compare_quota(void *arg, const struct datafs_metad_quota *q)
{
	const struct model_quota *want = &w->quota[*(int *)arg];
	uint64_t inodes, bytes;

	assert_true((*(int *)arg)++ < w->quotas);
	model_used(w, want->id, &inodes, &bytes);
	assert_int_equal(q->id, want->id);
	assert_int_equal(q->root, want->root);
	assert_true(q->inodes_max == want->inodes_max && q->bytes_max == want->bytes_max);
	assert_true(q->inodes == inodes && q->bytes == bytes);
	return 0;
}

static void compare_quotas(void)
{
	int n = 0;
	bool eof;

	assert_int_equal(datafs_metad_quotas(m, 0, compare_quota, &n, &eof), 0);
	assert_true(eof);
	assert_int_equal(n, w->quotas);
}

static bool is_text(const char *p, size_t len, const char *want)
{
	return len == strlen(want) && !memcmp(p, want, len);
}

static int compare_mount(void *arg, const struct datafs_metad_mount *is)
{
	const struct model_mount **want = arg;

	assert_non_null(*want);
	assert_true(is_text(is->path, is->path_len, (*want)->path));
	assert_true(is_text(is->source, is->source_len, (*want)->source));
	assert_true(is_text(is->options, is->options_len, (*want)->options));
	assert_int_equal(is->id, (*want)->id);
	assert_int_equal(is->generation, (*want)->generation);
	*want = model_mount_after(w, (*want)->path);
	return 0;
}

static void compare_mounts(void)
{
	const struct model_mount *first = model_mount_after(w, NULL);
	struct datafs_metad_mounts table;
	bool eof;

	assert_int_equal(datafs_metad_mounts(m, NULL, 0, compare_mount, &first, &eof, &table), 0);
	assert_true(eof && !first);
	assert_int_equal(table.mounts, w->mounts);
	assert_int_equal(table.version, w->mounts_version);
}

static int compare_node(void *arg, const struct datafs_metad_node *is)
{
	const struct model_node *want = &w->node[*(int *)arg];

	assert_true((*(int *)arg)++ < w->nodes);
	assert_int_equal(is->id, want->id);
	assert_true(is_text(is->name, is->name_len, want->name));
	assert_true(is_text(is->address, is->address_len, want->address));
	assert_int_equal(is->weight, want->weight);
	assert_int_equal(is->session, want->session ? ids[want->session] : 0);
	assert_int_equal(is->state, !want->session ? DATAFS_NODE_AWAY :
			 want->draining ? DATAFS_NODE_DRAINING : DATAFS_NODE_JOINED);
	return 0;
}

static void compare_nodes(void)
{
	struct datafs_metad_routing routing;
	int n = 0;
	bool eof;

	assert_int_equal(datafs_metad_nodes(m, 0, compare_node, &n, &eof, &routing), 0);
	assert_true(eof);
	assert_int_equal(n, w->nodes);
	assert_int_equal(routing.nodes, w->nodes);
	assert_int_equal(routing.version, w->routing_version);
	assert_int_equal(routing.last_id, w->last_node);
}

static int compare_policy(void *arg, const struct datafs_metad_policy *is)
{
	const struct model_policy **last = arg;
	const struct model_policy *want = model_policy_after(w, *last ? (*last)->path : NULL);

	assert_non_null(want);
	assert_true(is_text(is->path, is->path_len, want->path));
	assert_int_equal(is->cache, want->cache);
	*last = want;
	return 0;
}

static void compare_policies(void)
{
	const struct model_policy *last = NULL;
	struct datafs_metad_policies table;
	bool eof;

	assert_int_equal(datafs_metad_policies(m, NULL, 0, compare_policy, &last, &eof, &table), 0);
	assert_true(eof);
	assert_null(model_policy_after(w, last ? last->path : NULL));
	assert_int_equal(table.policies, w->policies);
	assert_int_equal(table.version, w->policies_version);
}

static void compare(void)
{
	struct datafs_metad_counts n;
	uint64_t orphans = 0;
	const char *why = metad_check(m);

	if (why)
		print_error("does not hold: %s\n", why);
	assert_null(why);
	for (uint64_t i = 1; i < w->next; i++) {
		const struct model_inode *in = model_inode(w, i);

		compare_inode(i);
		orphans += in && !model_nlink(w, i);
		if (in && S_ISDIR(in->mode))
			compare_dir(i);
	}
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_int_equal(n.inodes, w->inodes);
	assert_int_equal(n.orphans, orphans);
	compare_quotas();
	compare_mounts();
	compare_nodes();
	compare_policies();
}

static void assert_same(struct datafs_metad *a, struct datafs_metad *b)
{
	size_t alen, blen;
	uint8_t *abuf = metad_dump(a, &alen), *bbuf = metad_dump(b, &blen);

	assert_int_equal(alen, blen);
	assert_memory_equal(abuf, bbuf, alen);
	free(abuf);
	free(bbuf);
}

/* The same entry for all three. */
static void apply_all(const struct req *r, struct datafs_metad_results *res)
{
	apply_to(m, ++entry_index, r, 1, res);
	apply_to(same, ++same_index, r, 1, NULL);
	other_index = entry_index * 1000;
	apply_to(other, other_index, r, 1, NULL);
}

/* What the model says; and what was sent twice, @twice of the last, is answered alike. */
static void check_results(const struct req *r, size_t n, size_t twice,
			  const int *errors, const struct datafs_metad_results *res)
{
	for (size_t i = 0; i < n; i++) {
		Metad__Result *one = metad__result__unpack(NULL, res->r[i].len, res->r[i].data);

		assert_non_null(one);
		if ((int)one->error != -errors[i])
			print_error("op %d: %u, not %d\n", r[i].op, one->error, -errors[i]);
		assert_int_equal(one->error, -errors[i]);
		result_free(one);
	}
	/* What was sent twice is answered from R, unless it is below the lowest. */
	for (size_t i = 0; i < twice; i++) {
		struct datafs_metad_result *a = &res->r[n - twice + i], *b = &res->r[n + i];
		Metad__Result *one = metad__result__unpack(NULL, b->len, b->data);

		if (one->error != EALREADY) {
			assert_int_equal(a->len, b->len);
			assert_memory_equal(a->data, b->data, a->len);
		}
		result_free(one);
	}
}

/* An entry of commands, some of which come again in it or later. */
static void batch(uint64_t *x, struct req *old)
{
	struct req r[BATCH + BATCH / 8];
	struct datafs_metad_results res, again;
	size_t n = 1 + rnd(x) % BATCH, twice = rnd(x) % (BATCH / 8), at;
	int errors[BATCH];

	entry_time += rnd(x) % 3000000000;
	w->now = (struct timespec){ (time_t)(entry_time / 1000000000),
				   (long)(entry_time % 1000000000) };
	/* A second time follows from the same state, so the model is asked once. */
	for (size_t i = 0; i < n; i++) {
		/* the last one comes again, which only a session's may at any time */
		do
			r[i] = some_req(x);
		while (i == n - 1 && !r[i].session);
		number(&r[i], x);
		errors[i] = model_do(w, &r[i]);
	}
	if (twice > n)
		twice = n;
	for (size_t i = 1; i <= twice; i++)
		if (!r[n - i].session)
			twice = i - 1;
	for (size_t i = 0; i < twice; i++) {
		r[n + i] = r[n - twice + i];
		r[n + i].lowest = 0;
	}
	apply_to(m, ++entry_index, r, n + twice, &res);
	apply_to(same, ++same_index, r, n + twice, NULL);
	for (at = 0; at < n + twice;) {
		size_t some = 1 + rnd(x) % (n + twice - at);

		/* The last one has the index that it has elsewhere. */
		other_index = at + some == n + twice ? entry_index * 1000 : other_index + 1;
		apply_to(other, other_index, r + at, some, NULL);
		at += some;
	}
	check_results(r, n, twice, errors, &res);
	if (!(rnd(x) % 8))
		reopen();
	*old = r[n - 1];
	old->lowest = 0;
	apply_all(old, &again);
	assert_int_equal(again.r[0].len, res.r[n - 1].len);
	assert_memory_equal(again.r[0].data, res.r[n - 1].data, again.r[0].len);
	datafs_metad_results_free(&again);
	datafs_metad_results_free(&res);
}

static void sessions_open(uint64_t first, uint64_t last)
{
	for (uint64_t s = first; s <= last; s++) {
		struct req r = { OP(SESSION_OPEN), .session = s, .request = ++sent[s] };

		ids[s] = ++last_id;
		apply_all(&r, NULL);
	}
}

static void raise_level(uint32_t level)
{
	struct req r = { OP(FEATURE), .level = level };

	assert_true(level > DATAFS_METAD_LEVEL_QUOTA || !w->quotas);
	assert_int_equal(w->mounts_version, 0);
	assert_int_equal(w->routing_version, 0);
	assert_int_equal(w->policies_version, 0);
	assert_int_equal(model_do(w, &r), 0);
	apply_all(&r, NULL);
	assert_int_equal(datafs_metad_level(m), level);
}

static void session_end(uint64_t s)
{
	struct req r = { OP(SESSION_CLOSE), .session = s, .request = ++sent[s] };

	assert_int_equal(model_do(w, &r), 0);
	apply_all(&r, NULL);
}

static void one_more_index(void)
{
	struct req r = { OP(NOOP) };

	/* The members must not differ by their indexes. */
	entry_index = same_index = other_index = other_index + 1;
	apply_to(m, entry_index, &r, 1, NULL);
	apply_to(same, same_index, &r, 1, NULL);
	apply_to(other, other_index, &r, 1, NULL);
	assert_same(m, same);
	assert_same(m, other);
}

static void random_commands(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL), first;
	struct req old, r = { OP(SESSION_CLOSE), .ino = SESSION };

	(void)state;
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 0x9e3779b97f4a7c15ull | 1;
	same = open_other(same_dir, sizeof(same_dir));
	other = open_other(other_dir, sizeof(other_dir));
	apply_to(m, ++entry_index, &r, 1, NULL);
	w = malloc(model_size(INODES, NAMES));
	assert_non_null(w);
	model_init(w, INODES, NAMES);
	memset(sent, 0, sizeof(sent));
	last_id = SESSION;
	sessions_open(1, MODEL_SESSIONS);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < BATCHES; i++) {
			batch(&seed, &old);
			if (!(i % 32))
				compare();
		}
		first = 1 + rnd(&seed) % MODEL_SESSIONS;
		session_end(first);
		if (round < 2)
			raise_level(round ? DATAFS_METAD_LEVEL : DATAFS_METAD_LEVEL_QUOTA);
		compare();
		sessions_open(first, first);
		one_more_index();
	}
	free(w);
	datafs_metad_close(same);
	datafs_metad_close(other);
	tmpdir_remove(same_dir);
	tmpdir_remove(other_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(random_commands),
	};

	return cmocka_run_group_tests_name("metad_random", tests, NULL, NULL);
}
