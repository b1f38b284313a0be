// SPDX-License-Identifier: Apache-2.0
/*
 * metaseq make MEMBERS KEYFILE: files "/seq/1", "/seq/2"... one after the other, each
 * number printed when it was acknowledged, until a SIGTERM.
 * metaseq more MEMBERS KEYFILE: the same, behind the last one that is there.
 * metaseq check MEMBERS KEYFILE: these are there, each once, in order, and without a
 * gap; prints the last number.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/quorum.h"
#include "meta/remote.h"

static struct datafs_quorum *quorum;
static uint64_t session, request;
static atomic_bool ends;

static void on_term(int sig)
{
	(void)sig;
	atomic_store(&ends, true);
}

static void change(Metad__Command *c)
{
	Metad__Result *res;
	int ret;

	c->has_session = c->has_request = c->has_lowest = true;
	c->session = session;
	c->request = c->lowest = ++request;
	ret = datafs_quorum_change(quorum, c, &res);
	if (ret || res->error)
		errx(1, "a command: %s", strerror(ret ? -ret : (int)res->error));
	metad__result__free_unpacked(res, NULL);
}

static Metad__Answer *ask(Metad__Query *q)
{
	Metad__Answer *a;
	int ret = datafs_quorum_ask(quorum, q, &a);

	if (ret || a->error)
		errx(1, "a question: %s", strerror(ret ? -ret : (int)a->error));
	return a;
}

static void make(Metad__Command__OpCase op, uint64_t parent, char *name)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Make m = METAD__MAKE__INIT;

	m.has_parent = m.has_name = m.has_mode = true;
	m.parent = parent;
	m.name = (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
	m.mode = 0755;
	c.op_case = op;
	c.create = &m;
	change(&c);
}

static uint64_t find(char *name)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	Metad__Answer *a;
	uint64_t ino;

	n.has_parent = n.has_name = true;
	n.parent = 1;
	n.name = (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
	q.of_case = METAD__QUERY__OF_LOOKUP;
	q.lookup = &n;
	a = ask(&q);
	ino = a->attr->ino;
	metad__answer__free_unpacked(a, NULL);
	return ino;
}

static void session_open(void)
{
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	a = ask(&q);
	session = a->session_ended + 1;
	metad__answer__free_unpacked(a, NULL);
	datafs_random(&request, sizeof(request));
	session += request >> 32;
	request = 0;
	c.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	c.session_open = &open;
	change(&c);
}

static void make_from(uint64_t dir, unsigned long long n)
{
	char name[32];

	for (; !atomic_load(&ends); n++) {
		snprintf(name, sizeof(name), "%llu", n);
		make(METAD__COMMAND__OP_CREATE, dir, name);
		printf("%llu\n", n);
		fflush(stdout);
	}
}

static void make_all(void)
{
	session_open();
	make(METAD__COMMAND__OP_MKDIR, 1, "seq");
	make_from(find("seq"), 1);
}

/* The last of them. */
static unsigned long long count(void)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	unsigned long long n = 0;
	Metad__Answer *a;
	char name[32];
	bool eof;

	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = find("seq");
	rd.max = 65536;
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	do {
		a = ask(&q);
		for (size_t i = 0; i < a->n_entries; i++) {
			const Metad__Dirent *e = a->entries[i];

			snprintf(name, sizeof(name), "%llu", ++n);
			if (e->name.len != strlen(name) || memcmp(e->name.data, name, e->name.len))
				errx(1, "\"%.*s\" is where \"%s\" must be", (int)e->name.len,
				     (char *)e->name.data, name);
			rd.cookie = e->cookie;
		}
		eof = a->eof;
		metad__answer__free_unpacked(a, NULL);
	} while (!eof);
	return n;
}

static void make_more(void)
{
	session_open();
	make_from(find("seq"), count() + 1);
}

static void check_all(void)
{
	printf("%llu\n", count());
}

static const struct {
	const char *name;
	void (*fn)(void);
} modes[] = {
	{ "make", make_all }, { "more", make_more }, { "check", check_all },
};

#define NMODES	(sizeof(modes) / sizeof(modes[0]))

int main(int argc, char **argv)
{
	struct datafs_remote_config cfg = { 0 };
	struct datafs_keys keys;
	size_t mode = 0;

	while (argc == 4 && mode < NMODES && strcmp(argv[1], modes[mode].name))
		mode++;
	if (argc != 4 || mode == NMODES)
		errx(2, "usage: metaseq make|more|check MEMBERS KEYFILE");
	datafs_log_set_level(LOG_ERR);
	if (datafs_keys_load(&keys, argv[3]))
		return 1;
	signal(SIGTERM, on_term);
	cfg.members = argv[2];
	cfg.keys = &keys;
	if (datafs_quorum_open_remote(&cfg, &quorum))
		return 1;
	modes[mode].fn();
	datafs_quorum_close(quorum);
	return 0;
}
