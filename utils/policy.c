// SPDX-License-Identifier: Apache-2.0
/* `datafs policy`: what holds below paths of the namespace. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta_internal.h"
#include "metad/mounts.h"
#include "metad/policies.h"
#include "policy.h"
#include "report.h"

/* What was said beside how to reach the quorum. */
struct policy_request {
	struct meta_request q;		/* the first: it is handed through meta_run() */
	const char *path;
	uint32_t cache;			/* 0: not said */
};

static struct policy_request *request_of(struct meta_request *q)
{
	return (struct policy_request *)q;
}

static const char *why(uint32_t error)
{
	switch (error) {
	case ENOENT:
		return "there is no policy of that path";
	case ENOSPC:
		return "there are as many policies as there may be, or the members' disks are full";
	case EPROTO:
		return meta_why(EOPNOTSUPP);
	case EACCES:
	case EOPNOTSUPP:
		return meta_why(error);
	default:
		return strerror((int)error);
	}
}

static int change(const struct policy_request *p, Metad__Command *c)
{
	return meta_change(&p->q, c, p->path, why, "datafs policy list");
}

static ProtobufCBinaryData path_of(const struct policy_request *p)
{
	return (ProtobufCBinaryData) { strlen(p->path), (uint8_t *)p->path };
}

static int cmd_set(struct meta_request *q)
{
	const struct policy_request *p = request_of(q);
	Metad__PolicySet set = METAD__POLICY_SET__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	set.has_path = set.has_cache = true;
	set.path = path_of(p);
	set.cache = p->cache;
	c.op_case = METAD__COMMAND__OP_POLICY_SET;
	c.policy_set = &set;
	return change(p, &c);
}

static int cmd_remove(struct meta_request *q)
{
	const struct policy_request *p = request_of(q);
	Metad__PolicyRemove remove = METAD__POLICY_REMOVE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	remove.has_path = true;
	remove.path = path_of(p);
	c.op_case = METAD__COMMAND__OP_POLICY_REMOVE;
	c.policy_remove = &remove;
	return change(p, &c);
}

/* A path has no control characters; a space or a backslash is \040, \134. */
static void print_policy(FILE *f, const Metad__Policy *p)
{
	const char *cache = datafs_policy_cache_name(p->cache);

	for (size_t i = 0; i < p->path.len; i++)
		if (p->path.data[i] == ' ' || p->path.data[i] == '\\')
			fprintf(f, "\\%03o", p->path.data[i]);
		else
			fputc(p->path.data[i], f);
	fprintf(f, " cache=%s\n", cache ? cache : "?");
}

/* What the pieces of one version say, to be printed if none was of another. */
struct listing {
	FILE *f;
	uint64_t version;
	bool begun, changed, eof;
	char after[DATAFS_METAD_PATH_MAX];
};

static void add_piece(struct listing *l, const Metad__Answer *a, Metad__Policies *from)
{
	const ProtobufCBinaryData *last;

	l->changed = l->begun && a->policies_version != l->version;
	l->begun = true;
	l->version = a->policies_version;
	l->eof = a->eof || !a->n_policies;
	for (size_t i = 0; i < a->n_policies; i++)
		print_policy(l->f, a->policies[i]);
	if (l->eof)
		return;
	last = &a->policies[a->n_policies - 1]->path;
	from->has_after = true;
	from->after.len = last->len < sizeof(l->after) ? last->len : sizeof(l->after);
	from->after.data = (uint8_t *)l->after;
	memcpy(l->after, last->data, from->after.len);
}

/* False: an error that was told. */
static bool get_all(const struct meta_request *q, struct listing *l)
{
	Metad__Policies from = METAD__POLICIES__INIT;
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Answer *a;
	bool ok = true;

	query.of_case = METAD__QUERY__OF_POLICIES;
	query.policies = &from;
	while (ok && !l->eof && !l->changed) {
		a = meta_ask(q, &query);
		if (!a)
			return false;
		ok = !a->error;
		if (ok)
			add_piece(l, a, &from);
		else
			warnx("%s", strerror((int)a->error));
		metad__answer__free_unpacked(a, NULL);
	}
	return ok;
}

static int cmd_list(struct meta_request *q)
{
	struct listing l;
	char *text = NULL;
	size_t len;
	bool ok;

	do {
		free(text);
		text = NULL;
		l = (struct listing) { .f = open_memstream(&text, &len) };
		if (!l.f)
			err(DATAFS_EXIT_FAIL, "policy list");
		ok = get_all(q, &l);
		fclose(l.f);
	} while (ok && l.changed);
	if (ok)
		printf("version %llu\n%s", (unsigned long long)l.version, text);
	free(text);
	return ok ? 0 : DATAFS_EXIT_FAIL;
}

static const struct command {
	const char *name, *args, *what;
	bool takes_path, takes_policy;
	int (*run)(struct meta_request *q);
} commands[] = {
	{ "list", "", "their version, and each: its path, and what it says", false, false,
	  cmd_list },
	{ "set", "PATH cache=VALUE", "it holds for all files below, but where a longer path has one",
	  true, true, cmd_set },
	{ "remove", "PATH", "that path has none any more", true, false, cmd_remove },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	fputs("usage: datafs policy COMMAND [ARGUMENT]... --members HOST:PORT,...\n"
	      "                     --key-file FILE | --no-authentication CLUSTER\n", stderr);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %-8s%-18s%s\n", commands[i].name, commands[i].args,
			commands[i].what);
	fputs("VALUE: what caches do with these files\n"
	      "  normal  as without a policy\n"
	      "  keep    they are evicted last\n"
	      "  once    they are evicted first\n", stderr);
	return DATAFS_EXIT_USAGE;
}

static bool parse_policy(struct policy_request *p, const char *arg)
{
	if (strncmp(arg, "cache=", 6) || p->cache)
		return false;
	p->cache = datafs_policy_cache_value(arg + 6);
	return p->cache != 0;
}

static bool parse(struct policy_request *p, const struct command *c, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (*argv[i] == '-') {
			if (++i == argc || !meta_option(&p->q, argv[i - 1], argv[i]))
				return false;
		} else if (c->takes_path && !p->path) {
			p->path = argv[i];
		} else if (!c->takes_policy || !parse_policy(p, argv[i])) {
			return false;
		}
	}
	return !c->takes_path == !p->path && !c->takes_policy == !p->cache && p->q.members &&
	       meta_has_key(&p->q);
}

int datafs_policy_command(int argc, char **argv)
{
	struct policy_request p = { 0 };
	const char *wrong;
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (argc > 1 && !strcmp(argv[1], commands[i].name))
			break;
	if (i == NCOMMANDS || !parse(&p, &commands[i], argc, argv))
		return usage();
	wrong = p.path ? datafs_mount_path_wrong(p.path, strlen(p.path)) : NULL;
	if (wrong) {
		warnx("%s: %s", p.path, wrong);
		return DATAFS_EXIT_USAGE;
	}
	return meta_run(&p.q, commands[i].run);
}
