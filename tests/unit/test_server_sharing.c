// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions that share a connection, that keep nothing, and that had a longer lease; and what
 * a session believes of what it is changing.
 */
#define _GNU_SOURCE
#include "server_client.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/util.h"

/* B is on A's connection; C has its own. The fixture's session is open and keeps nothing. */
static struct client a, b, c;

static int setup_with(void **state, uint32_t ms)
{
	server_setup(state);
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	lease = ms;
	for (unsigned int id = 1; id <= 3; id++)
		node_start(id);
	a = b = c = (struct client){ 0 };
	client_open(&a, 1001);
	client_open_shared(&b, 1002, &a);
	client_open(&c, 1003);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 3000);
}

static int setup_long(void **state)
{
	return setup_with(state, 60000);
}

static int teardown(void **state)
{
	if (b.q)
		client_close(&b);
	client_close(&a);
	client_close(&c);
	return server_teardown(state);
}

static bool keeps(struct client *cl, const struct datafs_told *told, struct datafs_grant_object o)
{
	return datafs_quorum_keep(cl->q, told, &o);
}

static void chmod_of(struct client *cl, uint64_t ino, uint32_t mode)
{
	client_must(cl, (struct req){ OP(SETATTR), ino, .set = { .has_mode = true, .mode = mode } });
}

static uint64_t file(struct client *cl, const char *name)
{
	return client_must(cl, (struct req){ OP(CREATE), 1, name, .mode = 0644 });
}

/* Soon: a copy of a change that was asked for again may be under way still. */
static struct datafs_told believe_attr(struct client *cl, uint64_t ino)
{
	static const struct timespec pause = { .tv_nsec = 10000000 };
	struct datafs_told told = { 0 };
	bool believed = false;

	for (unsigned int i = 0; !believed && i < 2000; i++) {
		Metad__Answer *r = client_getattr(cl, ino, &told);

		believed = r->believe && keeps(cl, &told, attr_of(ino));
		metad__answer__free_unpacked(r, NULL);
		if (!believed)
			nanosleep(&pause, NULL);
	}
	assert_true(believed);
	return told;
}

struct changing {
	pthread_t thread;
	struct client *by;
	uint64_t ino;
	int64_t ended;
	struct datafs_told told;
	Metad__Result *res;
};

static void *change(void *arg)
{
	struct changing *ch = arg;

	ch->res = client_do(ch->by, (struct req){ OP(SETATTR), ch->ino,
			    .set = { .has_mode = true, .mode = 0600 } }, &ch->told);
	ch->ended = datafs_now();
	return NULL;
}

static void begin_change(struct changing *ch, struct client *by, uint64_t ino)
{
	*ch = (struct changing){ .by = by, .ino = ino };
	assert_int_equal(pthread_create(&ch->thread, NULL, change, ch), 0);
}

static void end_change(struct changing *ch)
{
	pthread_join(ch->thread, NULL);
	assert_int_equal(ch->res->error, 0);
	metad__result__free_unpacked(ch->res, NULL);
}

/* Each hears of the other's changes, and of a third's; one ends, and the other goes on. */
static void test_shared(void **state)
{
	uint64_t f = file(&c, "f");
	struct changing ch;
	int64_t until;

	(void)state;
	believe_attr(&a, f);
	believe_attr(&b, f);
	chmod_of(&c, f, 0600);
	assert_int_equal(a.recalls, 1);
	assert_int_equal(b.recalls, 1);
	believe_attr(&a, f);
	believe_attr(&b, f);
	chmod_of(&a, f, 0640);
	assert_int_equal(a.recalls, 1);
	assert_int_equal(b.recalls, 2);
	believe_attr(&b, f);
	until = datafs_quorum_until(b.q);
	client_close(&b);
	b.q = NULL;
	/* nobody can be told any more for B's session, which was not closed: its lease runs out */
	begin_change(&ch, &c, f);
	believe_attr(&a, 1);
	end_change(&ch);
	assert_true(ch.ended > until);
	assert_int_equal(a.losses, 0);
	believe_attr(&a, f);
	chmod_of(&c, f, 0600);
	assert_int_equal(a.losses, 0);
}

/* From before it is sent until it returns nothing of it is believed by who changes it. */
static void test_own_change(void **state)
{
	uint64_t f = file(&c, "f"), other = file(&c, "g");
	struct datafs_told before;
	struct changing ch;
	Metad__Answer *r;
	unsigned int own;

	(void)state;
	before = believe_attr(&a, f);
	believe_attr(&c, f);
	own = a.own;
	client_mute(&c);
	begin_change(&ch, &a, f);
	client_recalls(&c, 1);
	assert_int_equal(a.own, own + 1);
	assert_int_equal(a.recalls, 0);
	assert_false(keeps(&a, &before, attr_of(f)));
	believe_attr(&a, other);
	r = client_getattr(&a, f, &before);
	assert_false(r->believe);
	metad__answer__free_unpacked(r, NULL);
	client_speak(&c);
	end_change(&ch);
	/* before it was asked for again: what was asked meanwhile is not kept, its own answer is */
	assert_true(keeps(&a, &ch.told, attr_of(f)));
	assert_false(keeps(&a, &before, attr_of(f)));
	believe_attr(&a, f);
}

/* An inode that a command does not name may be believed by who does not know that. */
static void test_found_inode(void **state)
{
	uint64_t f = file(&c, "f");

	(void)state;
	client_must(&c, (struct req){ OP(LINK), f, NULL, 1, "g" });
	believe_attr(&a, f);
	believe_attr(&a, 1);
	client_must(&a, (struct req){ OP(UNLINK), 1, "g" });
	assert_int_equal(a.recalls, 1);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.objects[0].ino, f);
	assert_int_equal(a.objects[0].kind, DATAFS_GRANT_ATTR);
	believe_attr(&a, f);
	client_must(&a, (struct req){ OP(LINK), f, NULL, 1, "h" });
	assert_int_equal(a.recalls, 1);
}

/* It is asked for, and nobody waits for what becomes of it. */
static void give_up(struct client *cl, struct req req)
{
	struct datafs_told told;
	Metad__Command *cmd;
	Metad__Result *res;
	uint8_t *buf;
	size_t len;

	req.session = cl->session;
	req.request = req.lowest = 900;
	buf = req_pack_command(&req, &len);
	cmd = metad__command__unpack(NULL, len, buf);
	free(buf);
	datafs_quorum_limit(cl->q, 300);
	assert_int_equal(datafs_quorum_change_told(cl->q, cmd, &res, &told), -ETIMEDOUT);
	metad__command__free_unpacked(cmd, NULL);
	datafs_quorum_limit(cl->q, 0);
}

/* What may be done at any time is not believed any more. */
static void test_unknown_end(void **state)
{
	uint64_t f = file(&c, "f");
	struct datafs_told told;
	Metad__Answer *r;

	(void)state;
	believe_attr(&a, f);
	believe_attr(&c, f);
	client_mute(&c);
	give_up(&a, (struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 0600 } });
	client_speak(&c);
	believe_attr(&c, f);
	r = client_getattr(&a, f, &told);
	assert_int_equal(r->attr->mode, 0100600);
	assert_false(keeps(&a, &told, attr_of(f)));
	metad__answer__free_unpacked(r, NULL);
	believe_attr(&a, 1);
}

/* One user of the session has asked for a change and gone; the next one is told of it. */
static void test_asked_before(void **state)
{
	static const struct timespec pause = { .tv_nsec = 10000000 };
	uint64_t f = file(&c, "f"), found = 0;
	struct datafs_told told;
	Metad__Answer *r;
	int err;

	(void)state;
	r = client_lookup(&c, 1, "x", &told);
	assert_true(r->believe);
	metad__answer__free_unpacked(r, NULL);
	client_mute(&c);
	/* B's waits behind A's, for one name of it */
	give_up(&a, (struct req){ OP(LINK), f, NULL, 1, "x" });
	give_up(&b, (struct req){ OP(RENAME), 1, "x", 1, "y" });
	client_close(&b);
	b = (struct client){ 0 };
	client_open_shared(&b, 1002, &a);
	r = client_lookup(&b, 1, "y", &told);
	assert_int_equal(r->error, ENOENT);
	assert_true(r->believe && keeps(&b, &told, name_of(1, "y")));
	metad__answer__free_unpacked(r, NULL);
	client_speak(&c);
	do {
		nanosleep(&pause, NULL);
		err = lookup(quorum, 1, "y", &found);
	} while (err == ENOENT);
	assert_int_equal(found, f);
	assert_false(keeps(&b, &told, name_of(1, "y")));
	assert_int_equal(b.recalls, 1);
}

static void transfer(unsigned int to_id)
{
	Metad__Change to = METAD__CHANGE__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;

	admin.of_case = METAD__ADMIN__OF_TRANSFER;
	admin.transfer = &to;
	to.has_id = true;
	to.id = to_id;
	assert_int_equal(admin_error(&admin), 0);
	while (leader() != to_id)
		;
}

/* No leader waits for who never had a lease: a minute, here. */
static void test_keeps_nothing(void **state)
{
	uint64_t f = file(&c, "f");
	int64_t began;

	(void)state;
	must((struct req){ OP(CREATE), 1, "g", .mode = 0644 });
	began = datafs_now();
	transfer(leader() % 3 + 1);
	chmod_of(&a, f, 0600);
	must((struct req){ OP(CREATE), 1, "h", .mode = 0644 });
	assert_true(datafs_now() - began < lease * DATAFS_MSEC / 2);
	assert_true(a.losses && b.losses && c.losses);
}

/* A leader whose own leases are shorter waits for those that its predecessor has given. */
static void test_longer_lease(void **state)
{
	uint64_t f = file(&c, "f");
	unsigned int first = leader();
	struct changing ch;
	int64_t until;

	(void)state;
	lease = 200;
	for (unsigned int id = 1; id <= 3; id++) {
		if (id == first)
			continue;
		all_equal();
		node_stop(id);
		node_start(id);
	}
	all_equal();
	if (leader() != first)
		transfer(first);
	client_held(&a);
	client_held(&c);
	believe_attr(&a, f);
	client_mute(&a);
	until = datafs_quorum_until(a.q);
	assert_true(until > datafs_now() + 1000 * DATAFS_MSEC);
	node_stop(first);
	begin_change(&ch, &c, f);
	end_change(&ch);
	assert_true(ch.ended > until);
	client_speak(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_change, setup_long, teardown),
		cmocka_unit_test_setup_teardown(test_found_inode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_end, setup_long, teardown),
		cmocka_unit_test_setup_teardown(test_asked_before, setup_long, teardown),
		cmocka_unit_test_setup_teardown(test_keeps_nothing, setup_long, teardown),
		cmocka_unit_test_setup_teardown(test_longer_lease, setup, teardown),
	};

	return cmocka_run_group_tests_name("server_sharing", tests, NULL, NULL);
}
