// SPDX-License-Identifier: Apache-2.0
/* `datafs node`: the routing table. Daemons come into it by themselves. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta_internal.h"
#include "metad/nodes.h"
#include "node.h"
#include "report.h"

/* What was said beside how to reach the quorum. */
struct node_request {
	struct meta_request q;		/* the first: it is handed through meta_run() */
	const char *name;
	uint32_t weight;		/* 0: not said */
	bool drain, undrain;
};

static struct node_request *request_of(struct meta_request *q)
{
	return (struct node_request *)q;
}

static const char *why(uint32_t error)
{
	switch (error) {
	case ENOENT:
		return "there is no such node";
	case EBUSY:
		return "it is joined; `datafs node set NAME --drain` it first, or end its daemon";
	case EHOSTDOWN:
		return "it is away; there is nothing to drain";
	case EPROTO:
		return meta_why(EOPNOTSUPP);
	case EACCES:
	case EOPNOTSUPP:
		return meta_why(error);
	default:
		return strerror((int)error);
	}
}

static int change(const struct node_request *n, Metad__Command *c)
{
	return meta_change(&n->q, c, n->name, why, "datafs node list");
}

static ProtobufCBinaryData name_of(const struct node_request *n)
{
	return (ProtobufCBinaryData) { strlen(n->name), (uint8_t *)n->name };
}

static int cmd_set(struct meta_request *q)
{
	const struct node_request *n = request_of(q);
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__NodeSet set = METAD__NODE_SET__INIT;

	set.has_name = true;
	set.name = name_of(n);
	set.has_weight = n->weight != 0;
	set.weight = n->weight;
	set.has_drain = n->drain || n->undrain;
	set.drain = n->drain;
	c.op_case = METAD__COMMAND__OP_NODE_SET;
	c.node_set = &set;
	return change(n, &c);
}

static int cmd_remove(struct meta_request *q)
{
	const struct node_request *n = request_of(q);
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__NodeRemove remove = METAD__NODE_REMOVE__INIT;

	remove.has_name = true;
	remove.name = name_of(n);
	c.op_case = METAD__COMMAND__OP_NODE_REMOVE;
	c.node_remove = &remove;
	return change(n, &c);
}

struct node_listing {
	struct meta_listing l;
	Metad__Nodes from;
};

static void list_begin(struct meta_listing *l)
{
	Metad__Nodes *from = &((struct node_listing *)l)->from;

	metad__nodes__init(from);
	from->has_after = true;
	l->query.of_case = METAD__QUERY__OF_NODES;
	l->query.nodes = from;
}

static size_t list_piece(struct meta_listing *l, const Metad__Answer *a, uint64_t *version)
{
	for (size_t i = 0; i < a->n_nodes; i++) {
		const Metad__Node *n = a->nodes[i];

		fprintf(l->f, "id %llu %.*s %.*s weight %u %s\n", (unsigned long long)n->id,
			(int)n->name.len, (const char *)n->name.data,
			n->address.len ? (int)n->address.len : 1,
			n->address.len ? (const char *)n->address.data : "-", n->weight,
			datafs_node_state_name(n->state));
		l->query.nodes->after = n->id;
	}
	*version = a->routing_version;
	return a->n_nodes;
}

static int cmd_list(struct meta_request *q)
{
	struct node_listing n = {
		.l = { METAD__QUERY__INIT, .begin = list_begin, .piece = list_piece },
	};

	return meta_list_print(q, &n.l, "node list");
}

static const struct command {
	const char *name, *args, *what;
	bool takes_name, takes_changes;
	int (*run)(struct meta_request *q);
} commands[] = {
	{ "list", "", "the routing version, and each node: address, weight, state", false, false,
	  cmd_list },
	{ "set", "NAME [--weight N] [--drain | --undrain]", "its share, and whether it gets more",
	  true, true, cmd_set },
	{ "remove", "NAME", "it is no node any more; it is draining or away", true, false,
	  cmd_remove },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	fputs("usage: datafs node COMMAND [ARGUMENT]... --members HOST:PORT,...\n"
	      "                   --key-file FILE | --no-authentication CLUSTER\n", stderr);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %-8s%-41s%s\n", commands[i].name, commands[i].args,
			commands[i].what);
	fprintf(stderr, "N: 1 to %u\n", DATAFS_NODE_WEIGHT_MAX);
	return DATAFS_EXIT_USAGE;
}

static bool parse_weight(const char *arg, uint32_t *res)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(arg, &end, 10);
	*res = (uint32_t)n;
	return !errno && !*end && *arg >= '1' && *arg <= '9' && n <= DATAFS_NODE_WEIGHT_MAX;
}

static bool parse_flag(struct node_request *n, const struct command *c, const char *name)
{
	if (c->takes_changes && !strcmp(name, "--drain"))
		n->drain = true;
	else if (c->takes_changes && !strcmp(name, "--undrain"))
		n->undrain = true;
	else
		return false;
	return true;
}

static bool parse(struct node_request *n, const struct command *c, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (*argv[i] != '-') {
			if (!c->takes_name || n->name)
				return false;
			n->name = argv[i];
			continue;
		}
		if (parse_flag(n, c, argv[i]))
			continue;
		if (++i == argc)
			return false;
		if (c->takes_changes && !strcmp(argv[i - 1], "--weight")) {
			if (!parse_weight(argv[i], &n->weight))
				return false;
		} else if (!meta_option(&n->q, argv[i - 1], argv[i])) {
			return false;
		}
	}
	if (c->takes_changes && (n->drain + n->undrain + !!n->weight == 0 ||
				 (n->drain && n->undrain)))
		return false;
	return !c->takes_name == !n->name && n->q.members && meta_has_key(&n->q);
}

int datafs_node_command(int argc, char **argv)
{
	struct node_request n = { 0 };
	const char *wrong;
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (argc > 1 && !strcmp(argv[1], commands[i].name))
			break;
	if (i == NCOMMANDS || !parse(&n, &commands[i], argc, argv))
		return usage();
	wrong = n.name ? datafs_node_name_wrong(n.name, strlen(n.name)) : NULL;
	if (wrong) {
		warnx("node %s: %s", n.name, wrong);
		return DATAFS_EXIT_USAGE;
	}
	return meta_run(&n.q, commands[i].run);
}
