// SPDX-License-Identifier: Apache-2.0
/* `datafs job`: what nodes of the quorum are to do. Their daemons do it. */
#define _GNU_SOURCE 1
#include "job.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meta_internal.h"
#include "metad/jobs.h"
#include "metad/mounts.h"
#include "metad/nodes.h"
#include "report.h"

#define WAIT_S	1	/* between looks at what is waited for */

/* What was said beside how to reach the quorum. */
struct job_request {
	struct meta_request q;		/* the first: it is handed through meta_run() */
	char **words;			/* a kind and a path, or ids */
	size_t n;
	uint64_t *ids;			/* of @words, where they are ids */
	unsigned int *states;		/* ... of their jobs; 0: there is none */
	const char *node;
	bool all;
};

static struct job_request *request_of(struct meta_request *q)
{
	return (struct job_request *)q;
}

static const char *why(uint32_t error)
{
	switch (error) {
	case ENOENT:
		return "there is none";
	case EBUSY:
		return "it has not ended; `datafs job cancel ID` it first";
	case ESTALE:
		return "it has ended";
	case ENOSPC:
		return "there are too many that have not ended, or the quorum's disk is full";
	case EPROTO:
		return meta_why(EOPNOTSUPP);
	case EACCES:
	case EOPNOTSUPP:
		return meta_why(error);
	default:
		return strerror((int)error);
	}
}

/* ------------------------------------------------------------------ the nodes */

struct nodes {
	struct Metad__Answer *pages[DATAFS_METAD_NODES_MAX];
	size_t n;
};

static void nodes_free(struct nodes *l)
{
	for (size_t i = 0; i < l->n; i++)
		metad__answer__free_unpacked(l->pages[i], NULL);
	free(l);
}

/* NULL: an error that was told. A node that comes meanwhile may be missing. */
static struct nodes *nodes_get(const struct meta_request *q)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Nodes from = METAD__NODES__INIT;
	struct nodes *l = calloc(1, sizeof(*l));
	Metad__Answer *a;

	if (!l)
		err(DATAFS_EXIT_FAIL, "job");
	from.has_after = true;
	query.of_case = METAD__QUERY__OF_NODES;
	query.nodes = &from;
	do {
		a = meta_ask(q, &query);
		if (!a || a->error) {
			if (a)
				warnx("%s", strerror((int)a->error));
			metad__answer__free_unpacked(a, NULL);
			nodes_free(l);
			return NULL;
		}
		l->pages[l->n++] = a;
		if (a->n_nodes)
			from.after = a->nodes[a->n_nodes - 1]->id;
	} while (!a->eof && a->n_nodes && l->n < DATAFS_METAD_NODES_MAX);
	return l;
}

/* The next one behind @node (NULL: the first); NULL: there is none. */
static const Metad__Node *next_node(const struct nodes *l, size_t *page, size_t *at)
{
	while (*page < l->n && *at == l->pages[*page]->n_nodes) {
		++*page;
		*at = 0;
	}
	return *page < l->n ? l->pages[*page]->nodes[(*at)++] : NULL;
}

/* By its name, or by its id if @name is NULL. NULL: there is none. */
static const Metad__Node *find_node(const struct nodes *l, const char *name, uint64_t id)
{
	size_t page = 0, at = 0;
	const Metad__Node *n;

	while ((n = next_node(l, &page, &at)))
		if (name ? n->name.len == strlen(name) && !memcmp(n->name.data, name, n->name.len) :
			   n->id == id)
			return n;
	return NULL;
}

/* -------------------------------------------------------------------- changes */

/* @node 0: any. An exit status. */
static int add_one(const struct job_request *j, uint64_t node)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__JobAdd add = METAD__JOB_ADD__INIT;
	Metad__Result *res;
	int ret;

	add.has_kind = add.has_path = add.has_node = true;
	add.kind = datafs_job_kind_of(j->words[0]);
	add.path = (ProtobufCBinaryData) { strlen(j->words[1]), (uint8_t *)j->words[1] };
	add.node = node;
	c.op_case = METAD__COMMAND__OP_JOB_ADD;
	c.job_add = &add;
	ret = meta_change_told(&j->q, &c, j->words[1], why, "datafs job list", &res);
	if (!ret)
		printf("id %llu\n", (unsigned long long)res->job);
	metad__result__free_unpacked(res, NULL);
	return ret;
}

/* One for each node that is not away. */
static int add_all(const struct job_request *j, const struct nodes *l)
{
	size_t page = 0, at = 0, added = 0;
	const Metad__Node *n;
	int ret = 0;

	while (!ret && (n = next_node(l, &page, &at))) {
		if (n->state == DATAFS_NODE_AWAY)
			continue;
		ret = add_one(j, n->id);
		added++;
	}
	if (!ret && !added) {
		warnx("no node has joined the quorum");
		return DATAFS_EXIT_FAIL;
	}
	return ret;
}

static int cmd_add(struct meta_request *q)
{
	const struct job_request *j = request_of(q);
	const Metad__Node *node;
	struct nodes *l;
	int ret = DATAFS_EXIT_FAIL;

	if (!j->node && !j->all)
		return add_one(j, 0);
	l = nodes_get(q);
	if (!l)
		return DATAFS_EXIT_FAIL;
	node = j->node ? find_node(l, j->node, 0) : NULL;
	if (j->all)
		ret = add_all(j, l);
	else if (node)
		ret = add_one(j, node->id);
	else
		warnx("node %s: there is none of this name; `datafs node list` tells which there are",
		      j->node);
	nodes_free(l);
	return ret;
}

static int cmd_cancel(struct meta_request *q)
{
	const struct job_request *j = request_of(q);
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__JobCancel cancel = METAD__JOB_CANCEL__INIT;

	cancel.has_id = true;
	cancel.id = *j->ids;
	c.op_case = METAD__COMMAND__OP_JOB_CANCEL;
	c.job_cancel = &cancel;
	return meta_change(q, &c, *j->words, why, "datafs job list");
}

static int cmd_remove(struct meta_request *q)
{
	const struct job_request *j = request_of(q);
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__JobRemove remove = METAD__JOB_REMOVE__INIT;

	remove.has_id = true;
	remove.id = *j->ids;
	c.op_case = METAD__COMMAND__OP_JOB_REMOVE;
	c.job_remove = &remove;
	return meta_change(q, &c, *j->words, why, "datafs job list");
}

/* -------------------------------------------------------------------- listing */

/* What is done with each job. */
struct listing {
	struct meta_listing l;
	Metad__Jobs from;
	void (*each)(struct listing *l, const Metad__Job *job);
	const struct nodes *nodes;
	struct job_request *j;
};

static void list_begin(struct meta_listing *l)
{
	Metad__Jobs *from = &((struct listing *)l)->from;

	metad__jobs__init(from);
	from->has_after = true;
	l->query.of_case = METAD__QUERY__OF_JOBS;
	l->query.jobs = from;
}

static size_t list_piece(struct meta_listing *l, const Metad__Answer *a, uint64_t *version)
{
	struct listing *own = (struct listing *)l;

	for (size_t i = 0; i < a->n_jobs; i++) {
		own->each(own, a->jobs[i]);
		own->from.after = a->jobs[i]->id;
	}
	*version = a->jobs_version;
	return a->n_jobs;
}

#define LISTING	{ METAD__QUERY__INIT, .begin = list_begin, .piece = list_piece }

static void print_job(struct listing *l, const Metad__Job *job)
{
	const Metad__Node *node = job->node ? find_node(l->nodes, NULL, job->node) : NULL;
	const char *kind = datafs_job_kind_name(job->kind);

	fprintf(l->l.f, "id %llu %s %s node ", (unsigned long long)job->id, kind ? kind : "?",
		datafs_job_state_name(job->state));
	if (node)
		fprintf(l->l.f, "%.*s", (int)node->name.len, (const char *)node->name.data);
	else
		fputs(job->node ? "?" : "-", l->l.f);
	fprintf(l->l.f, " files %llu bytes %llu errors %llu %.*s\n", (unsigned long long)job->files,
		(unsigned long long)job->bytes, (unsigned long long)job->errors,
		(int)job->path.len, (const char *)job->path.data);
	if (job->errors)
		fprintf(l->l.f, "\terror %.*s\n", (int)job->error.len, (const char *)job->error.data);
}

static int cmd_list(struct meta_request *q)
{
	struct nodes *nodes = nodes_get(q);
	struct listing l = { .l = LISTING, .each = print_job, .nodes = nodes };
	int ret;

	if (!nodes)
		return DATAFS_EXIT_FAIL;
	ret = meta_list_print(q, &l.l, "job list");
	nodes_free(nodes);
	return ret;
}

/* -------------------------------------------------------------------- waiting */

static void note_state(struct listing *l, const Metad__Job *job)
{
	for (size_t i = 0; i < l->j->n; i++)
		if (l->j->ids[i] == job->id)
			l->j->states[i] = job->state;
}

static void tell_end(struct listing *l, const Metad__Job *job)
{
	for (size_t i = 0; i < l->j->n; i++)
		if (l->j->ids[i] == job->id && job->state != DATAFS_JOB_DONE)
			warnx("job %s %s%s%.*s", l->j->words[i], datafs_job_state_name(job->state),
			      job->errors ? ": " : "", job->errors ? (int)job->error.len : 0,
			      (const char *)job->error.data);
}

/* Have all ended that are there? */
static bool all_ended(const struct job_request *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->states[i] && !datafs_job_ended(j->states[i]))
			return false;
	return true;
}

static int cmd_wait(struct meta_request *q)
{
	struct job_request *j = request_of(q);
	struct listing l = { .l = LISTING, .each = note_state, .j = j };
	int ret = 0;

	for (;;) {
		memset(j->states, 0, j->n * sizeof(*j->states));
		if (!meta_list(q, &l.l))
			return DATAFS_EXIT_FAIL;
		if (!l.l.changed && all_ended(j))
			break;
		sleep(l.l.changed ? 0 : WAIT_S);
	}
	for (size_t i = 0; i < j->n; i++) {
		if (!j->states[i])
			warnx("job %s: there is none, or it was removed", j->words[i]);
		if (j->states[i] != DATAFS_JOB_DONE)
			ret = DATAFS_EXIT_FAIL;
	}
	/* why */
	l.each = tell_end;
	if (ret)
		meta_list(q, &l.l);
	return ret;
}

/* ------------------------------------------------------------------ arguments */

static const struct command {
	const char *name, *args, *what;
	size_t least, most;	/* words */
	bool ids;		/* ... they are; else a kind and a path */
	int (*run)(struct meta_request *q);
} commands[] = {
	{ "add", "load|free PATH [--node NAME | --all]",
	  "all below it into the node's cache, or out of it; of one node, or of each", 2, 2, false,
	  cmd_add },
	{ "list", "", "what there is, how far it is, how it has ended", 0, 0, false, cmd_list },
	{ "cancel", "ID", "it is not done, or not any further", 1, 1, true, cmd_cancel },
	{ "remove", "ID", "it has ended, and is not listed any more", 1, 1, true, cmd_remove },
	{ "wait", "ID...", "until all have ended; whether they were done is the exit status", 1,
	  SIZE_MAX, true, cmd_wait },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	fputs("usage: datafs job COMMAND [ARGUMENT]... --members HOST:PORT,...\n"
	      "                  --key-file FILE | --no-authentication CLUSTER\n", stderr);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %-8s%-38s%s\n", commands[i].name, commands[i].args,
			commands[i].what);
	fputs("PATH is that in the namespace, \"/\" its root; without --node and --all it is done\n"
	      "by whichever node comes first\n", stderr);
	return DATAFS_EXIT_USAGE;
}

static bool parse_id(const char *arg, uint64_t *res)
{
	char *end;

	errno = 0;
	*res = strtoull(arg, &end, 10);
	return !errno && !*end && *arg >= '1' && *arg <= '9';
}

static bool parse_words(struct job_request *j, const struct command *c)
{
	if (j->n < c->least || j->n > c->most)
		return false;
	for (size_t i = 0; c->ids && i < j->n; i++)
		if (!parse_id(j->words[i], &j->ids[i]))
			return false;
	return c->run != cmd_add || datafs_job_kind_of(j->words[0]);
}

static bool parse(struct job_request *j, const struct command *c, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (*argv[i] != '-') {
			j->words[j->n++] = argv[i];
			continue;
		}
		if (c->run == cmd_add && !strcmp(argv[i], "--all")) {
			j->all = true;
			continue;
		}
		if (++i == argc)
			return false;
		if (c->run == cmd_add && !strcmp(argv[i - 1], "--node"))
			j->node = argv[i];
		else if (!meta_option(&j->q, argv[i - 1], argv[i]))
			return false;
	}
	return parse_words(j, c) && !(j->all && j->node) && j->q.members && meta_has_key(&j->q);
}

static int run(struct job_request *j, int argc, char **argv)
{
	const char *wrong;
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (argc > 1 && !strcmp(argv[1], commands[i].name))
			break;
	if (i == NCOMMANDS || !parse(j, &commands[i], argc, argv))
		return usage();
	wrong = commands[i].run == cmd_add ?
		datafs_mount_path_wrong(j->words[1], strlen(j->words[1])) : NULL;
	if (wrong) {
		warnx("%s: %s", j->words[1], wrong);
		return DATAFS_EXIT_USAGE;
	}
	return meta_run(&j->q, commands[i].run);
}

int datafs_job_command(int argc, char **argv)
{
	struct job_request j = {
		.words = calloc((size_t)argc, sizeof(*j.words)),
		.ids = calloc((size_t)argc, sizeof(*j.ids)),
		.states = calloc((size_t)argc, sizeof(*j.states)),
	};
	int ret;

	if (!j.words || !j.ids || !j.states)
		err(DATAFS_EXIT_FAIL, "job");
	ret = run(&j, argc, argv);
	free(j.words);
	free(j.ids);
	free(j.states);
	return ret;
}
