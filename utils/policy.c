// SPDX-License-Identifier: Apache-2.0
/* `datafs policy`: what holds below paths of the namespace. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/word.h"
#include "meta_internal.h"
#include "metad/mounts.h"
#include "metad/policies.h"
#include "own.h"
#include "policy.h"
#include "report.h"

/* What was said beside how to reach the quorum. */
struct policy_request {
	struct meta_request q;		/* the first: it is handed through meta_run() */
	const char *instance;		/* without members: of whose own namespace */
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

/* @what: "policy set", ... */
static int change_own(const struct policy_request *p, const char *what)
{
	struct own_question q = {
		.instance = p->instance, .about = p->path, .look = "datafs policy list", .why = why,
	};
	const char *const words[] = { p->path, p->cache ? datafs_policy_cache_name(p->cache) : NULL };

	return own_ask(&q, what, words, p->cache ? 2 : 1);
}

static int list_own(const struct policy_request *p)
{
	struct own_question q = {
		.instance = p->instance, .none = "there are no policies",
		.look = "datafs policy list", .why = why,
	};

	return own_ask(&q, "policy list", NULL, 0);
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

	if (p->instance)
		return change_own(p, "policy set");
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

	if (p->instance)
		return change_own(p, "policy remove");
	remove.has_path = true;
	remove.path = path_of(p);
	c.op_case = METAD__COMMAND__OP_POLICY_REMOVE;
	c.policy_remove = &remove;
	return change(p, &c);
}

static void print_policy(FILE *f, const Metad__Policy *p)
{
	const char *cache = datafs_policy_cache_name(p->cache);

	datafs_word_put(f, p->path.data, p->path.len);
	fprintf(f, " cache=%s\n", cache ? cache : "?");
}

struct policy_listing {
	struct meta_listing l;
	Metad__Policies from;
	char after[DATAFS_METAD_PATH_MAX];
};

static void list_begin(struct meta_listing *l)
{
	Metad__Policies *from = &((struct policy_listing *)l)->from;

	metad__policies__init(from);
	l->query.of_case = METAD__QUERY__OF_POLICIES;
	l->query.policies = from;
}

static size_t list_piece(struct meta_listing *l, const Metad__Answer *a, uint64_t *version)
{
	struct policy_listing *p = (struct policy_listing *)l;
	const ProtobufCBinaryData *last;

	for (size_t i = 0; i < a->n_policies; i++)
		print_policy(l->f, a->policies[i]);
	*version = a->policies_version;
	if (!a->n_policies)
		return 0;
	last = &a->policies[a->n_policies - 1]->path;
	p->from.has_after = true;
	p->from.after.len = last->len < sizeof(p->after) ? last->len : sizeof(p->after);
	p->from.after.data = (uint8_t *)p->after;
	memcpy(p->after, last->data, p->from.after.len);
	return a->n_policies;
}

static int cmd_list(struct meta_request *q)
{
	struct policy_listing p = {
		.l = { METAD__QUERY__INIT, .begin = list_begin, .piece = list_piece },
	};

	if (request_of(q)->instance)
		return list_own(request_of(q));
	return meta_list_print(q, &p.l, "policy list");
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
	fputs("usage: datafs policy COMMAND [ARGUMENT]... [--instance NAME]\n"
	      "       datafs policy COMMAND [ARGUMENT]... --members HOST:PORT,...\n"
	      "                     --key-file FILE | --no-authentication CLUSTER\n"
	      "Without --members: of the namespace of this machine's daemon.\n", stderr);
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

/* One that takes a value. */
static bool parse_option(struct policy_request *p, const char *name, const char *value)
{
	if (strcmp(name, "--instance"))
		return meta_option(&p->q, name, value);
	if (p->instance)
		return false;
	p->instance = value;
	return true;
}

static bool parse(struct policy_request *p, const struct command *c, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (*argv[i] == '-') {
			if (++i == argc || !parse_option(p, argv[i - 1], argv[i]))
				return false;
		} else if (c->takes_path && !p->path) {
			p->path = argv[i];
		} else if (!c->takes_policy || !parse_policy(p, argv[i])) {
			return false;
		}
	}
	if (!c->takes_path != !p->path || !c->takes_policy != !p->cache)
		return false;
	if (p->q.members)
		return !p->instance && meta_has_key(&p->q);
	if (!p->instance)
		p->instance = "default";
	return !p->q.key_file && !*p->q.cluster;
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
	return p.instance ? commands[i].run(&p.q) : meta_run(&p.q, commands[i].run);
}
