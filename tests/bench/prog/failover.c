// SPDX-License-Identifier: Apache-2.0
/*
 * failover load MEMBERS KEYFILE CLIENTS: what goes on while tests/bench/failover ends
 * members. Each client is a thread with a connection, a session and a lease of its own, as a
 * daemon has them. All make files in one directory, look at those of the next client, and
 * believe what "/held" has for as long as they may; so each change takes something back from
 * others. One more client changes "/held", and only when it is told that a signal was sent.
 *
 * A line "LABEL SIGNAL PID..." on standard input sends it to these processes, in this order;
 * then come, in milliseconds from just before the last one on, until a change was
 * acknowledged that was begun when all were sent:
 *
 *	first LABEL MS	anybody's
 *	held LABEL MS	that of "/held"
 *	all LABEL MS	one of each client
 *
 * When standard input ends all is listed: what was acknowledged is there, and nothing else;
 * "done makes N changes N". An error of a call, an answer that is not what it must be, or
 * something that is believed after it was changed, ends it with a line and a failing status.
 *
 * failover hold MEMBERS KEYFILE: a session that believes what "/held" has, and changes
 * nothing, until it is killed. "holds SESSION" when it does, "lost" when it does not.
 * failover close MEMBERS KEYFILE SESSION: closes it, whoever has it.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/quorum.h"
#include "meta/remote.h"

#define CLIENTS		64u
#define PAUSE_US	5000u		/* between what a client does: it is no test of speed */
#define LOOK_US		20000u
#define LIST_BYTES	(64u << 10)
#define CLOSE_REQUEST	(1ull << 40)	/* behind all that a session has asked for */

struct client {
	pthread_t id;
	unsigned int n;
	struct datafs_quorum *q;
	uint64_t session, request;
	uint64_t seen;		/* the last moment that it is past; under moment.lock */
	atomic_ullong done;	/* changes of its own that were acknowledged */
	pthread_mutex_t lock;
	bool believes;		/* what /held has is kept */
	uint64_t held;		/* ... and it is this */
};

static struct client clients[CLIENTS + 1], setup;
static unsigned int nclients;
static uint64_t work_dir, held_dir;
static struct datafs_remote_config remote;
static atomic_bool ends;
static bool tells;		/* of hold: when something is believed, and when not */

/* When signals were sent the last time. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t comes;
	uint64_t nr;
	int64_t at;
	unsigned int past;
	char label[64];
} moment = { .lock = PTHREAD_MUTEX_INITIALIZER, .comes = PTHREAD_COND_INITIALIZER };

static struct client *changer(void)
{
	return &clients[nclients];
}

static uint64_t moment_now(void)
{
	uint64_t nr;

	pthread_mutex_lock(&moment.lock);
	nr = moment.nr;
	pthread_mutex_unlock(&moment.lock);
	return nr;
}

static void tell(const char *what)
{
	printf("%s %s %lld\n", what, moment.label,
	       (long long)((datafs_now() - moment.at) / DATAFS_MSEC));
	fflush(stdout);
}

/* What it began in moment @began is acknowledged. */
static void moment_past(struct client *c, uint64_t began)
{
	pthread_mutex_lock(&moment.lock);
	if (began == moment.nr && c->seen != began) {
		c->seen = began;
		if (!moment.past++)
			tell("first");
		if (c == changer())
			tell("held");
		if (moment.past == nclients + 1)
			tell("all");
	}
	pthread_mutex_unlock(&moment.lock);
}

static void wrong(const struct client *c, const char *what, const char *why)
{
	printf("wrong: client %u: %s: %s\n", c->n, what, why);
	fflush(stdout);
	exit(1);
}

/* ------------------------------------------------------------- calls */

/* As session @session; dies of any error. */
static void change_as(struct client *c, Metad__Command *cmd, const char *what, uint64_t session,
		      uint64_t request)
{
	Metad__Result *res;
	int ret;

	cmd->has_session = cmd->has_request = cmd->has_lowest = true;
	cmd->session = session;
	cmd->request = cmd->lowest = request;
	ret = datafs_quorum_change(c->q, cmd, &res);
	if (ret || res->error)
		wrong(c, what, strerror(ret ? -ret : (int)res->error));
	metad__result__free_unpacked(res, NULL);
}

static void change(struct client *c, Metad__Command *cmd, const char *what)
{
	change_as(c, cmd, what, c->session, ++c->request);
}

static Metad__Answer *ask(struct client *c, Metad__Query *q, const char *what,
			  struct datafs_told *told)
{
	Metad__Answer *a;
	int ret = datafs_quorum_ask_told(c->q, q, &a, told);

	if (ret)
		wrong(c, what, strerror(-ret));
	return a;
}

static ProtobufCBinaryData text(const char *s)
{
	return (ProtobufCBinaryData){ strlen(s), (uint8_t *)s };
}

static void make(struct client *c, Metad__Command__OpCase op, uint64_t parent, const char *name)
{
	Metad__Command cmd = METAD__COMMAND__INIT;
	Metad__Make m = METAD__MAKE__INIT;

	m.has_parent = m.has_name = m.has_mode = true;
	m.parent = parent;
	m.name = text(name);
	m.mode = 0755;
	cmd.op_case = op;
	cmd.create = &m;
	change(c, &cmd, name);
}

/* Its inode; 0: it is not there. */
static uint64_t lookup(struct client *c, uint64_t parent, const char *name)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	struct datafs_told told;
	Metad__Answer *a;
	uint64_t ino;

	n.has_parent = n.has_name = true;
	n.parent = parent;
	n.name = text(name);
	q.of_case = METAD__QUERY__OF_LOOKUP;
	q.lookup = &n;
	a = ask(c, &q, name, &told);
	if (a->error && a->error != ENOENT)
		wrong(c, name, strerror((int)a->error));
	ino = a->error ? 0 : a->attr->ino;
	metad__answer__free_unpacked(a, NULL);
	return ino;
}

static Metad__Answer *list(struct client *c, uint64_t ino, uint64_t cookie,
			   struct datafs_told *told)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = ino;
	rd.cookie = cookie;
	rd.max = LIST_BYTES;
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	a = ask(c, &q, "a listing", told);
	if (a->error)
		wrong(c, "a listing", strerror((int)a->error));
	return a;
}

/* ---------------------------------------------------- what is believed */

static void forget(struct client *c, uint64_t ticket)
{
	pthread_mutex_lock(&c->lock);
	if (c->believes && tells) {
		puts("lost");
		fflush(stdout);
	}
	c->believes = false;
	pthread_mutex_unlock(&c->lock);
	if (ticket)
		datafs_quorum_forgotten(c->q, ticket);
}

static void recalled(void *arg, uint64_t ticket, const struct datafs_grant_object *objects,
		     unsigned int n)
{
	struct client *c = arg;
	bool is_held = false;

	for (unsigned int i = 0; i < n; i++)
		is_held |= objects[i].ino == held_dir && objects[i].kind == DATAFS_GRANT_NAMES;
	if (is_held)
		forget(c, ticket);
	else if (ticket)
		datafs_quorum_forgotten(c->q, ticket);
}

static void lost(void *arg, uint64_t ticket)
{
	forget(arg, ticket);
}

/* The number of the one file there. */
static uint64_t held_of(struct client *c, const Metad__Answer *a)
{
	char name[32] = "";

	if (a->n_entries != 1 || !a->eof)
		wrong(c, "/held", "not one file");
	memcpy(name, a->entries[0]->name.data,
	       DATAFS_MIN(a->entries[0]->name.len, sizeof(name) - 1));
	return strtoull(name, NULL, 10);
}

static void look_at_held(struct client *c)
{
	const struct datafs_grant_object names = { .ino = held_dir, .kind = DATAFS_GRANT_NAMES };
	struct datafs_told told;
	Metad__Answer *a = list(c, held_dir, 0, &told);

	pthread_mutex_lock(&c->lock);
	c->held = held_of(c, a);
	c->believes = a->believe && datafs_quorum_keep(c->q, &told, &names);
	if (c->believes && tells) {
		printf("holds %llu\n", (unsigned long long)c->session);
		fflush(stdout);
	}
	pthread_mutex_unlock(&c->lock);
	metad__answer__free_unpacked(a, NULL);
}

static bool believes(struct client *c, uint64_t *held)
{
	bool ret;

	pthread_mutex_lock(&c->lock);
	ret = c->believes && datafs_now() < datafs_quorum_until(c->q);
	*held = c->held;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/* What was acknowledged to anybody before is what is believed, or older than that. */
static void check_held(struct client *c)
{
	uint64_t before = atomic_load(&changer()->done), held;

	if (!believes(c, &held))
		look_at_held(c);
	else if (held < before)
		wrong(c, "/held", "believed after it was changed");
}

/* ------------------------------------------------------------- clients */

static void client_open(struct client *c)
{
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	Metad__Command cmd = METAD__COMMAND__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	struct datafs_told told;
	Metad__Answer *a;

	pthread_mutex_init(&c->lock, NULL);
	if (datafs_quorum_open_remote(&remote, &c->q) ||
	    datafs_random(&c->session, sizeof(c->session)))
		exit(1);
	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	a = ask(c, &q, "counts", &told);
	c->session = a->session_ended + 1 + (c->session >> 20);
	metad__answer__free_unpacked(a, NULL);
	cmd.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	cmd.session_open = &open;
	change(c, &cmd, "a session");
}

static void client_lease(struct client *c)
{
	const struct datafs_quorum_watch watch = { .recalled = recalled, .lost = lost, .arg = c };

	if (datafs_quorum_lease(c->q, c->session, &watch))
		errx(1, "no memory");
}

static void name_of(char *name, size_t size, unsigned int client, unsigned long long n)
{
	snprintf(name, size, "%u-%llu", client, n);
}

static void make_next(struct client *c)
{
	uint64_t began = moment_now();
	char name[32];

	name_of(name, sizeof(name), c->n, atomic_load(&c->done) + 1);
	make(c, METAD__COMMAND__OP_CREATE, work_dir, name);
	atomic_fetch_add(&c->done, 1);
	moment_past(c, began);
}

/* The last one that it has, and the next one, which will be made soon. */
static void look_at(struct client *c, struct client *other)
{
	uint64_t last = atomic_load(&other->done);
	char name[32];

	name_of(name, sizeof(name), other->n, last);
	if (last && !lookup(c, work_dir, name))
		wrong(c, name, "it was acknowledged, and is not there");
	name_of(name, sizeof(name), other->n, last + 1);
	lookup(c, work_dir, name);
}

static void *work(void *arg)
{
	struct client *c = arg;

	while (!atomic_load(&ends)) {
		make_next(c);
		look_at(c, &clients[(c->n + 1) % nclients]);
		check_held(c);
		usleep(PAUSE_US);
	}
	return NULL;
}

static void change_held(struct client *c, uint64_t began)
{
	unsigned long long n = atomic_load(&c->done);
	Metad__Command cmd = METAD__COMMAND__INIT;
	Metad__Rename r = METAD__RENAME__INIT;
	char from[32], to[32];

	snprintf(from, sizeof(from), "%llu", n);
	snprintf(to, sizeof(to), "%llu", n + 1);
	r.has_parent = r.has_name = r.has_new_parent = r.has_new_name = true;
	r.parent = r.new_parent = held_dir;
	r.name = text(from);
	r.new_name = text(to);
	cmd.op_case = METAD__COMMAND__OP_RENAME;
	cmd.rename = &r;
	change(c, &cmd, "/held");
	atomic_fetch_add(&c->done, 1);
	moment_past(c, began);
}

static void *work_at_moments(void *arg)
{
	struct client *c = arg;
	uint64_t nr = 0;

	for (;;) {
		pthread_mutex_lock(&moment.lock);
		while (moment.nr == nr && !atomic_load(&ends))
			pthread_cond_wait(&moment.comes, &moment.lock);
		if (moment.nr == nr) {
			pthread_mutex_unlock(&moment.lock);
			return NULL;
		}
		nr = moment.nr;
		pthread_mutex_unlock(&moment.lock);
		change_held(c, nr);
	}
}

/* "LABEL SIGNAL PID..." */
static void send_signals(char *line)
{
	char *rest = line, *label = strsep(&rest, " "), *sig = strsep(&rest, " "), *pid;
	int64_t at = 0;

	if (!rest)
		errx(1, "\"%s\" is no LABEL SIGNAL PID...", line);
	while ((pid = strsep(&rest, " "))) {
		at = datafs_now();
		if (atoi(pid) < 2 || kill(atoi(pid), atoi(sig)))
			err(1, "no signal to \"%s\"", pid);
	}
	pthread_mutex_lock(&moment.lock);
	moment.nr++;
	moment.at = at;
	moment.past = 0;
	snprintf(moment.label, sizeof(moment.label), "%s", label);
	pthread_cond_broadcast(&moment.comes);
	pthread_mutex_unlock(&moment.lock);
}

static void read_orders(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		send_signals(line);
	}
	pthread_mutex_lock(&moment.lock);
	atomic_store(&ends, true);
	pthread_cond_broadcast(&moment.comes);
	pthread_mutex_unlock(&moment.lock);
}

/* ----------------------------------------------------------- at the end */

/* Each client's next one: they are listed in the order in which they were made. */
static void check_entry(const Metad__Dirent *e, unsigned long long *last)
{
	char name[32] = "", want[32] = "";
	unsigned int n;

	memcpy(name, e->name.data, DATAFS_MIN(e->name.len, sizeof(name) - 1));
	n = (unsigned int)atoi(name);
	if (n < nclients)
		name_of(want, sizeof(want), n, ++last[n]);
	if (strcmp(name, want))
		wrong(&setup, name, "not the next one of its client");
}

static void check_work(void)
{
	unsigned long long last[CLIENTS] = { 0 };
	struct datafs_told told;
	uint64_t cookie = 0;
	Metad__Answer *a;
	bool eof;

	do {
		a = list(&setup, work_dir, cookie, &told);
		for (size_t i = 0; i < a->n_entries; i++) {
			check_entry(a->entries[i], last);
			cookie = a->entries[i]->cookie;
		}
		eof = a->eof;
		metad__answer__free_unpacked(a, NULL);
	} while (!eof);
	for (unsigned int i = 0; i < nclients; i++)
		if (last[i] != atomic_load(&clients[i].done))
			wrong(&clients[i], "its files", "not as many as were acknowledged");
}

static void check_all(void)
{
	unsigned long long makes = 0, changes = atomic_load(&changer()->done);

	check_work();
	look_at_held(&setup);
	if (setup.held != changes)
		wrong(changer(), "/held", "not what was acknowledged last");
	for (unsigned int i = 0; i < nclients; i++)
		makes += atomic_load(&clients[i].done);
	printf("done makes %llu changes %llu\n", makes, changes);
	fflush(stdout);
}

/* --------------------------------------------------------------- modes */

static void run_load(const char *arg)
{
	nclients = (unsigned int)atoi(arg);
	if (!nclients || nclients > CLIENTS)
		errx(2, "1 to %u clients", CLIENTS);
	client_open(&setup);
	make(&setup, METAD__COMMAND__OP_MKDIR, 1, "work");
	make(&setup, METAD__COMMAND__OP_MKDIR, 1, "held");
	work_dir = lookup(&setup, 1, "work");
	held_dir = lookup(&setup, 1, "held");
	make(&setup, METAD__COMMAND__OP_CREATE, held_dir, "0");
	for (unsigned int i = 0; i <= nclients; i++) {
		clients[i].n = i;
		client_open(&clients[i]);
		client_lease(&clients[i]);
	}
	for (unsigned int i = 0; i <= nclients; i++)
		if (pthread_create(&clients[i].id, NULL, i < nclients ? work : work_at_moments,
				   &clients[i]))
			errx(1, "no thread");
	puts("begins");
	fflush(stdout);
	read_orders();
	for (unsigned int i = 0; i <= nclients; i++)
		pthread_join(clients[i].id, NULL);
	check_all();
	for (unsigned int i = 0; i <= nclients; i++)
		datafs_quorum_close(clients[i].q);
	datafs_quorum_close(setup.q);
}

static void run_hold(const char *arg)
{
	uint64_t held;

	(void)arg;
	tells = true;
	client_open(&setup);
	held_dir = lookup(&setup, 1, "held");
	client_lease(&setup);
	for (;;) {
		if (!believes(&setup, &held))
			look_at_held(&setup);
		usleep(LOOK_US);
	}
}

static void run_close(const char *arg)
{
	Metad__SessionClose close = METAD__SESSION_CLOSE__INIT;
	Metad__Command cmd = METAD__COMMAND__INIT;

	pthread_mutex_init(&setup.lock, NULL);
	if (datafs_quorum_open_remote(&remote, &setup.q))
		exit(1);
	cmd.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	cmd.session_close = &close;
	change_as(&setup, &cmd, "to close a session", strtoull(arg, NULL, 10), CLOSE_REQUEST);
	datafs_quorum_close(setup.q);
}

static const struct {
	const char *name;
	int argc;
	void (*run)(const char *arg);
} modes[] = {
	{ "load", 5, run_load }, { "hold", 4, run_hold }, { "close", 5, run_close },
};

#define NMODES	(sizeof(modes) / sizeof(modes[0]))

int main(int argc, char **argv)
{
	struct datafs_keys keys;
	size_t i = 0;

	while (i < NMODES && (argc < 2 || strcmp(argv[1], modes[i].name)))
		i++;
	if (i == NMODES || argc != modes[i].argc)
		errx(2, "usage: failover load|hold|close MEMBERS KEYFILE [CLIENTS|SESSION]");
	datafs_log_set_level(LOG_ERR);
	if (datafs_keys_load(&keys, argv[3]))
		return 1;
	remote.members = argv[2];
	remote.keys = &keys;
	modes[i].run(argv[4]);
	return 0;
}
