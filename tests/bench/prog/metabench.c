// SPDX-License-Identifier: Apache-2.0
/*
 * metabench CASE LIMIT CLIENTS MEMBERS KEYFILE: a load on a quorum. Each client has one
 * operation under way, all of them on one thread (leader.h); those that change something
 * have a session and a directory each. What comes before and after it, and the listings,
 * are asked for by the client that the daemon has.
 *
 *	create	new files in the client's directory
 *	rename	a file to another name in its directory, and back
 *	getattr	of any inode there is (so nothing may be removed between the runs)
 *	fill	LIMIT files in one directory, "big"
 *	readdir	that directory, by one client, as often as LIMIT says; entries are counted
 *	size	prints the bytes of a packed command of "create"; asks nobody
 *
 * Any error ends it with a failing status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "bench.h"
#include "leader.h"
#include "meta/quorum.h"
#include "meta/remote.h"

#define LIST_BYTES	(512u << 10)
#define BIG		"big"

struct client {
	struct leader_call call;
	uint64_t random, session, request, dir, n;
};

static struct datafs_quorum *quorum;
static struct bench bench;
static struct client *clients;
static unsigned int n_clients, busy;	/* those with an operation under way */
static unsigned long long done;
static const char *limit;
static uint64_t big, inodes;

static void ids(struct client *c, Metad__Command *cmd)
{
	cmd->has_session = cmd->has_request = cmd->has_lowest = true;
	cmd->session = c->session;
	cmd->request = cmd->lowest = ++c->request;
}

static void check(const Metad__Result *res)
{
	if (res->error && res->error != EEXIST)
		errx(1, "the quorum, of a command: %s", strerror((int)res->error));
}

/* One that is waited for. */
static void changed(struct client *c, Metad__Command *cmd)
{
	Metad__Result *res;
	int err;

	ids(c, cmd);
	err = datafs_quorum_change(quorum, cmd, &res);
	if (err)
		errx(1, "the quorum, of a command: %s", strerror(-err));
	check(res);
	metad__result__free_unpacked(res, NULL);
}

static Metad__Answer *ask(Metad__Query *q)
{
	Metad__Answer *a;
	int ret = datafs_quorum_ask(quorum, q, &a);

	if (ret || a->error)
		errx(1, "the quorum, of a question: %s", strerror(ret ? -ret : (int)a->error));
	return a;
}

static ProtobufCBinaryData text(const char *s)
{
	return (ProtobufCBinaryData){ strlen(s), (uint8_t *)s };
}

static void make_init(Metad__Command *cmd, Metad__Make *m, Metad__Command__OpCase op,
		      uint64_t parent, const char *name)
{
	metad__command__init(cmd);
	metad__make__init(m);
	m->has_parent = m->has_name = m->has_mode = m->has_uid = m->has_gid = true;
	m->parent = parent;
	m->name = text(name);
	m->mode = op == METAD__COMMAND__OP_MKDIR ? 0755 : 0644;
	m->uid = m->gid = 1000;
	cmd->op_case = op;
	cmd->create = m;
}

static uint64_t lookup(uint64_t parent, const char *name)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	Metad__Answer *a;
	uint64_t ino;

	n.has_parent = n.has_name = true;
	n.parent = parent;
	n.name = text(name);
	q.of_case = METAD__QUERY__OF_LOOKUP;
	q.lookup = &n;
	a = ask(&q);
	ino = a->attr->ino;
	metad__answer__free_unpacked(a, NULL);
	return ino;
}

static uint64_t make_dir(struct client *c, const char *name)
{
	Metad__Command cmd;
	Metad__Make m;

	make_init(&cmd, &m, METAD__COMMAND__OP_MKDIR, 1, name);
	changed(c, &cmd);
	return lookup(1, name);
}

static Metad__Answer *counts(void)
{
	Metad__Counts of = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;

	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &of;
	return ask(&q);
}

static void session_open(struct client *c)
{
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	Metad__Command cmd = METAD__COMMAND__INIT;
	Metad__Answer *a = counts();

	datafs_random(&c->session, sizeof(c->session));
	c->session = a->session_ended + 1 + (c->session >> 20);
	c->random = c->session | 1;
	metad__answer__free_unpacked(a, NULL);
	cmd.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	cmd.session_open = &open;
	changed(c, &cmd);
}

/* --- what is under way --- */

static void load_next(struct client *c);

static void under_way_done(struct leader_call *call, const Metad__Reply *reply)
{
	Metad__Result *res;

	if (reply->error)
		errx(1, "the quorum: %s", strerror((int)reply->error));
	if (reply->answer) {
		if (reply->answer->error)
			errx(1, "the quorum, of a question: %s",
			     strerror((int)reply->answer->error));
	} else {
		res = metad__result__unpack(NULL, reply->result.len, reply->result.data);
		if (!res)
			errx(1, "a result is none");
		check(res);
		metad__result__free_unpacked(res, NULL);
	}
	done++;
	load_next((struct client *)call);
}

static void send_command(struct client *c, Metad__Command *cmd)
{
	Metad__Ask a = METAD__ASK__INIT;
	uint8_t buf[1024];

	ids(c, cmd);
	if (metad__command__get_packed_size(cmd) > sizeof(buf))
		errx(1, "a command is too long");
	a.what_case = METAD__ASK__WHAT_COMMAND;
	a.command.data = buf;
	a.command.len = metad__command__pack(cmd, buf);
	leader_ask(&c->call, &a);
}

static void create_in(struct client *c, uint64_t dir, uint64_t n)
{
	Metad__Command cmd;
	Metad__Make m;
	char name[32];

	snprintf(name, sizeof(name), "file-%08llu", (unsigned long long)n);
	make_init(&cmd, &m, METAD__COMMAND__OP_CREATE, dir, name);
	send_command(c, &cmd);
}

static void do_create(struct client *c)
{
	create_in(c, c->dir, c->n++);
}

static void do_fill(struct client *c)
{
	create_in(c, big, atomic_fetch_add(&bench.done, 1));
}

static void do_rename(struct client *c)
{
	static const char *const names[] = { "file-here", "file-there" };
	Metad__Rename r = METAD__RENAME__INIT;
	Metad__Command cmd;

	metad__command__init(&cmd);
	r.has_parent = r.has_name = r.has_new_parent = r.has_new_name = true;
	r.parent = r.new_parent = c->dir;
	r.name = text(names[c->n % 2]);
	r.new_name = text(names[++c->n % 2]);
	cmd.op_case = METAD__COMMAND__OP_RENAME;
	cmd.rename = &r;
	send_command(c, &cmd);
}

static void do_getattr(struct client *c)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Inode in = METAD__INODE__INIT;
	Metad__Ask a = METAD__ASK__INIT;

	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	in.has_ino = true;
	in.ino = 1 + c->random % inodes;
	q.of_case = METAD__QUERY__OF_GETATTR;
	q.getattr = &in;
	a.what_case = METAD__ASK__WHAT_QUERY;
	a.query = &q;
	leader_ask(&c->call, &a);
}

/* --- listings --- */

/* The entries of the whole directory. */
static unsigned long long list(void)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	unsigned long long n = 0;
	Metad__Answer *a;
	bool eof;

	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = big;
	rd.max = LIST_BYTES;
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	do {
		a = ask(&q);
		n += a->n_entries;
		if (a->n_entries)
			rd.cookie = a->entries[a->n_entries - 1]->cookie;
		eof = a->eof;
		metad__answer__free_unpacked(a, NULL);
	} while (!eof);
	return n;
}

/* --- the loads --- */

static const struct load {
	const char *name;
	bool changes;
	void (*begin)(struct client *c);	/* NULL: one listing after the other */
} loads[] = {
	{ "create", true, do_create },
	{ "rename", true, do_rename },
	{ "getattr", false, do_getattr },
	{ "fill", true, do_fill },
	{ "readdir", false, NULL },
};

#define NLOADS	(sizeof(loads) / sizeof(*loads))

static const struct load *load;

static void load_next(struct client *c)
{
	if (bench_next(&bench))
		load->begin(c);
	else
		busy--;
	if (busy)
		return;
	bench_print(&bench, done);
	leader_stop();
}

static void client_open(struct client *c)
{
	Metad__Command cmd;
	Metad__Make m;
	char name[32];

	c->call.done = under_way_done;
	datafs_random(&c->random, sizeof(c->random));
	c->random |= 1;
	if (!load->changes)
		return;
	session_open(c);
	snprintf(name, sizeof(name), "dir-%llx", (unsigned long long)c->session);
	c->dir = make_dir(c, name);
	if (load->begin != do_rename)
		return;
	make_init(&cmd, &m, METAD__COMMAND__OP_CREATE, c->dir, "file-here");
	changed(c, &cmd);
}

static void client_close(struct client *c)
{
	Metad__SessionClose close = METAD__SESSION_CLOSE__INIT;
	Metad__Command cmd = METAD__COMMAND__INIT;

	cmd.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	cmd.session_close = &close;
	if (load->changes)
		changed(c, &cmd);
}

static void begin(void)
{
	busy = n_clients;
	bench_begin(&bench, limit);
	for (unsigned int i = 0; i < n_clients; i++)
		load_next(&clients[i]);
}

static void run(const char *members, const struct datafs_keys *keys)
{
	clients = calloc(n_clients, sizeof(*clients));
	if (!clients)
		errx(1, "no memory");
	for (unsigned int i = 0; i < n_clients; i++)
		client_open(&clients[i]);
	leader_run(members, keys, begin);
	for (unsigned int i = 0; i < n_clients; i++)
		client_close(&clients[i]);
	free(clients);
}

static void run_listings(void)
{
	bench_begin(&bench, limit);
	while (bench_next(&bench))
		done += list();
	bench_print(&bench, done);
}

static int print_size(void)
{
	Metad__Command cmd;
	Metad__Make m;

	make_init(&cmd, &m, METAD__COMMAND__OP_CREATE, 1000, "file-00000000");
	cmd.has_session = cmd.has_request = cmd.has_lowest = true;
	cmd.session = 1ull << 43;
	cmd.request = cmd.lowest = 1000;
	printf("%zu\n", metad__command__get_packed_size(&cmd));
	return 0;
}

static void prepare(void)
{
	struct client c = { 0 };
	Metad__Answer *a;

	if (!strcmp(load->name, "fill")) {
		session_open(&c);
		big = make_dir(&c, BIG);
		client_close(&c);
	} else if (!strcmp(load->name, "readdir")) {
		big = lookup(1, BIG);
	}
	a = counts();
	inodes = a->inodes;
	metad__answer__free_unpacked(a, NULL);
}

int main(int argc, char **argv)
{
	struct datafs_remote_config cfg = { 0 };
	struct datafs_keys keys;

	if (argc == 2 && !strcmp(argv[1], "size"))
		return print_size();
	for (size_t i = 0; argc == 6 && i < NLOADS; i++)
		if (!strcmp(argv[1], loads[i].name))
			load = &loads[i];
	if (!load || atoi(argv[3]) < 1)
		errx(2, "usage: metabench CASE LIMIT CLIENTS MEMBERS KEYFILE");
	limit = argv[2];
	datafs_log_set_level(LOG_ERR);
	if (datafs_keys_load(&keys, argv[5]))
		return 1;
	cfg.members = argv[4];
	cfg.keys = &keys;
	if (datafs_quorum_open_remote(&cfg, &quorum))
		return 1;
	prepare();
	n_clients = (unsigned int)atoi(argv[3]);
	if (load->begin)
		run(argv[4], &keys);
	else
		run_listings();
	datafs_quorum_close(quorum);
	return 0;
}
