// SPDX-License-Identifier: Apache-2.0
/*
 * metaload MEMBERS KEYFILE SECONDS THREADS SEED: changes and questions to a quorum,
 * each answer checked against what must be. Each thread has a session, and a directory
 * that is its own; it knows what is in it. Any answer that is wrong, and any error of
 * the way there, ends the program with a line and a failing status.
 *
 * Each thread's directory is told: "made /NAME".
 *
 * A line "LABEL" on standard input marks a moment; when every thread has done something
 * that it began after it, "recovered LABEL MS" is printed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/quorum.h"
#include "meta/remote.h"

#define SLOTS	48u
#define THREADS	64u
#define DIRECT_MS	100u

struct thread {
	pthread_t id;
	unsigned int n;
	uint64_t random, session, request, dir;
	uint64_t slot[SLOTS];	/* the inode of that name; 0: not there */
	unsigned int seen;	/* the last mark that it is past */
	uint64_t changes, questions, direct;
};

static struct datafs_quorum *quorum;
static struct datafs_remote *direct;
static int64_t until;
static struct thread threads[THREADS];
static unsigned int nthreads;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int mark, past;		/* under the lock */
static int64_t marked;
static char label[64];

static uint64_t rnd(struct thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random >> 11;
}

static unsigned int current_mark(void)
{
	unsigned int is;

	pthread_mutex_lock(&lock);
	is = mark;
	pthread_mutex_unlock(&lock);
	return is;
}

static void done(struct thread *t, unsigned int began)
{
	pthread_mutex_lock(&lock);
	if (began == mark && t->seen != mark) {
		t->seen = mark;
		if (++past == nthreads) {
			printf("recovered %s %lld\n", label,
			       (long long)((datafs_now() - marked) / DATAFS_MSEC));
			fflush(stdout);
		}
	}
	pthread_mutex_unlock(&lock);
}

static void wrong(struct thread *t, const char *what, unsigned int slot, int is, int want)
{
	printf("wrong: thread %u request %llu: %s of %u: %s, and not %s\n", t->n,
	       (unsigned long long)t->request, what, slot, strerror(is), strerror(want));
	exit(1);
}

static Metad__Result *change(struct thread *t, Metad__Command *c)
{
	unsigned int began = current_mark();
	Metad__Result *res;
	int ret;

	c->has_session = c->has_request = c->has_lowest = true;
	c->session = t->session;
	c->request = c->lowest = ++t->request;
	ret = datafs_quorum_change(quorum, c, &res);
	if (ret) {
		printf("wrong: thread %u: a change: %s\n", t->n, strerror(-ret));
		exit(1);
	}
	t->changes++;
	done(t, began);
	return res;
}

static Metad__Answer *ask(struct thread *t, Metad__Query *q)
{
	unsigned int began = current_mark();
	Metad__Answer *a;
	int ret = datafs_quorum_ask(quorum, q, &a);

	if (ret) {
		printf("wrong: thread %u: a question: %s\n", t->n, strerror(-ret));
		exit(1);
	}
	t->questions++;
	done(t, began);
	return a;
}

/*
 * Of one member, whichever: one that does not lead, or does not lead any more and has
 * not heard of it yet, must not answer. NULL: it has not.
 */
static Metad__Answer *ask_one(struct thread *t, Metad__Query *q)
{
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Answer *a = NULL;
	Metad__Reply *reply;
	uint8_t buf[256];
	int member = (int)(rnd(t) % datafs_remote_members(direct));

	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = q;
	if (datafs_remote_call(direct, buf, metad__ask__pack(&ask, buf), member, DIRECT_MS, &reply))
		return NULL;
	if (!reply->error) {
		a = reply->answer;
		reply->answer = NULL;
		t->direct++;
	}
	metad__reply__free_unpacked(reply, NULL);
	return a;
}

static ProtobufCBinaryData name_of(unsigned int slot, char *buf)
{
	return (ProtobufCBinaryData) { (size_t)sprintf(buf, "name-%u", slot), (uint8_t *)buf };
}

/* The error, which must be @want; *@ino: of what it tells. */
static void must(struct thread *t, Metad__Command *c, const char *what, unsigned int slot,
		 int want, uint64_t *ino)
{
	Metad__Result *res = change(t, c);

	if ((int)res->error != want)
		wrong(t, what, slot, (int)res->error, want);
	if (ino)
		*ino = res->node ? res->node->ino : 0;
	metad__result__free_unpacked(res, NULL);
}

static uint64_t make(struct thread *t, Metad__Command__OpCase op, uint64_t parent,
		     ProtobufCBinaryData name, unsigned int slot, int want)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Make m = METAD__MAKE__INIT;
	uint64_t ino;

	m.has_parent = m.has_name = m.has_mode = true;
	m.parent = parent;
	m.name = name;
	m.mode = 0755;
	c.op_case = op;
	c.create = &m;
	must(t, &c, "make", slot, want, &ino);
	return ino;
}

static void do_create(struct thread *t)
{
	unsigned int s = (unsigned int)(rnd(t) % SLOTS);
	int want = t->slot[s] ? EEXIST : 0;
	char buf[32];
	uint64_t ino;

	ino = make(t, METAD__COMMAND__OP_CREATE, t->dir, name_of(s, buf), s, want);
	if (!want)
		t->slot[s] = ino;
}

static void do_unlink(struct thread *t)
{
	unsigned int s = (unsigned int)(rnd(t) % SLOTS);
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Remove r = METAD__REMOVE__INIT;
	char buf[32];

	r.has_parent = r.has_name = true;
	r.parent = t->dir;
	r.name = name_of(s, buf);
	c.op_case = METAD__COMMAND__OP_UNLINK;
	c.unlink = &r;
	must(t, &c, "unlink", s, t->slot[s] ? 0 : ENOENT, NULL);
	t->slot[s] = 0;
}

static void do_rename(struct thread *t)
{
	unsigned int from = (unsigned int)(rnd(t) % SLOTS), to = (unsigned int)(rnd(t) % SLOTS);
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Rename r = METAD__RENAME__INIT;
	char a[32], b[32];

	r.has_parent = r.has_name = r.has_new_parent = r.has_new_name = true;
	r.parent = r.new_parent = t->dir;
	r.name = name_of(from, a);
	r.new_name = name_of(to, b);
	c.op_case = METAD__COMMAND__OP_RENAME;
	c.rename = &r;
	must(t, &c, "rename", from, t->slot[from] ? 0 : ENOENT, NULL);
	if (t->slot[from] && from != to) {
		t->slot[to] = t->slot[from];
		t->slot[from] = 0;
	}
}

static void check_lookup(struct thread *t, unsigned int s)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	Metad__Answer *a;
	char buf[32];

	n.has_parent = n.has_name = true;
	n.parent = t->dir;
	n.name = name_of(s, buf);
	q.of_case = METAD__QUERY__OF_LOOKUP;
	q.lookup = &n;
	a = rnd(t) % 2 ? ask_one(t, &q) : NULL;
	if (!a)
		a = ask(t, &q);
	if ((int)a->error != (t->slot[s] ? 0 : ENOENT))
		wrong(t, "lookup", s, (int)a->error, t->slot[s] ? 0 : ENOENT);
	if (t->slot[s] && a->attr->ino != t->slot[s]) {
		printf("wrong: thread %u: lookup of %u finds another inode\n", t->n, s);
		exit(1);
	}
	metad__answer__free_unpacked(a, NULL);
}

static void do_lookup(struct thread *t)
{
	check_lookup(t, (unsigned int)(rnd(t) % SLOTS));
}

/* Each name once, with its inode, and no other. */
static void check_entry(struct thread *t, const Metad__Dirent *e, bool *found)
{
	unsigned int s = SLOTS;
	char text[32] = "";

	memcpy(text, e->name.data, DATAFS_MIN(e->name.len, sizeof(text) - 1));
	if (sscanf(text, "name-%u", &s) != 1 || s >= SLOTS || found[s] ||
	    t->slot[s] != e->attr->ino) {
		printf("wrong: thread %u: list has \"%s\" that it must not have\n", t->n, text);
		exit(1);
	}
	found[s] = true;
}

static void do_list(struct thread *t)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	bool found[SLOTS] = { false }, eof;
	Metad__Answer *a;

	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = t->dir;
	rd.max = 1500;
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	do {
		a = ask(t, &q);
		if (a->error)
			wrong(t, "list", 0, (int)a->error, 0);
		for (size_t i = 0; i < a->n_entries; i++) {
			check_entry(t, a->entries[i], found);
			rd.cookie = a->entries[i]->cookie;
		}
		eof = a->eof;
		metad__answer__free_unpacked(a, NULL);
	} while (!eof);
	for (unsigned int s = 0; s < SLOTS; s++)
		if (t->slot[s] && !found[s])
			wrong(t, "list", s, ENOENT, 0);
}

static void (*const what[])(struct thread *t) = {
	do_create, do_create, do_create, do_unlink, do_rename, do_rename, do_lookup, do_lookup,
	do_list,
};

static void open_session(struct thread *t)
{
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	a = ask(t, &q);
	datafs_random(&t->session, sizeof(t->session));
	t->session = a->session_ended + 1 + (t->session >> 32);
	metad__answer__free_unpacked(a, NULL);
	c.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	c.session_open = &open;
	must(t, &c, "session", 0, 0, NULL);
}

static void *work(void *arg)
{
	struct thread *t = arg;
	char buf[64];
	int n;

	open_session(t);
	n = snprintf(buf, sizeof(buf), "dir-%llx", (unsigned long long)t->session);
	t->dir = make(t, METAD__COMMAND__OP_MKDIR, 1,
		      (ProtobufCBinaryData) { (size_t)n, (uint8_t *)buf }, 0, 0);
	printf("made /%s\n", buf);
	while (datafs_now() < until)
		what[rnd(t) % (sizeof(what) / sizeof(what[0]))](t);
	do_list(t);
	for (unsigned int s = 0; s < SLOTS; s++)
		check_lookup(t, s);
	return NULL;
}

static void set_mark(const char *text)
{
	pthread_mutex_lock(&lock);
	mark++;
	past = 0;
	marked = datafs_now();
	snprintf(label, sizeof(label), "%s", text);
	pthread_mutex_unlock(&lock);
}

static void *read_marks(void *arg)
{
	char line[64];

	(void)arg;
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		set_mark(line);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct datafs_remote_config cfg = { 0 };
	uint64_t changes = 0, questions = 0, directly = 0, seed;
	struct datafs_keys keys;
	pthread_t reader;

	if (argc != 6)
		errx(2, "usage: metaload MEMBERS KEYFILE SECONDS THREADS SEED");
	datafs_log_set_level(LOG_ERR);
	if (datafs_keys_load(&keys, argv[2]))
		return 1;
	cfg.members = argv[1];
	cfg.keys = &keys;
	if (datafs_quorum_open_remote(&cfg, &quorum) || datafs_remote_open(&cfg, &direct))
		return 1;
	until = datafs_now() + atoll(argv[3]) * DATAFS_SEC;
	nthreads = (unsigned int)atoi(argv[4]);
	seed = strtoull(argv[5], NULL, 10);
	if (!nthreads || nthreads > THREADS)
		errx(2, "1 to %u threads", THREADS);
	if (pthread_create(&reader, NULL, read_marks, NULL))
		errx(1, "no thread");
	for (unsigned int i = 0; i < nthreads; i++) {
		threads[i].n = i;
		threads[i].random = (seed * nthreads + i) * 0x9e3779b97f4a7c15ull | 1;
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			errx(1, "no thread");
	}
	for (unsigned int i = 0; i < nthreads; i++) {
		pthread_join(threads[i].id, NULL);
		changes += threads[i].changes;
		questions += threads[i].questions;
		directly += threads[i].direct;
	}
	printf("done changes %llu questions %llu and %llu of one member\n",
	       (unsigned long long)changes, (unsigned long long)questions,
	       (unsigned long long)directly);
	fflush(stdout);
	datafs_quorum_close(quorum);
	datafs_remote_close(direct);
	/* the reader waits for its input, and ends with the process */
	return 0;
}
