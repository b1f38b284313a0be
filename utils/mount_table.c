// SPDX-License-Identifier: Apache-2.0
/* `datafs mount`: which sources are mounted where, for all nodes. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/word.h"
#include "meta/source.h"
#include "meta_internal.h"
#include "metad/mounts.h"
#include "mount_table.h"
#include "own.h"
#include "report.h"
#include "under/under_opts.h"
#include "vfs/options.h"

/* What was said beside how to reach the quorum. */
struct table_request {
	struct meta_request q;		/* the first: it is handed through meta_run() */
	const char *instance;		/* without members: whose own table it is */
	const char *path, *source, *options;
};

static struct table_request *request_of(struct meta_request *q)
{
	return (struct table_request *)q;
}

static const char *why(uint32_t error)
{
	switch (error) {
	case EEXIST:
		return "there is a mount already; remove it first, or `datafs mount set` its options";
	case ENOENT:
		return "there is no mount";
	case ESTALE:
		return "somebody else has changed it meanwhile; look at it again";
	case ENOSPC:
		return "the table is full, or the members' disks are";
	case EPROTO:
		return meta_why(EOPNOTSUPP);
	case EACCES:
	case EOPNOTSUPP:
		return meta_why(error);
	default:
		return strerror((int)error);
	}
}

static int change(const struct table_request *t, Metad__Command *c)
{
	return meta_change(&t->q, c, t->path, why, "datafs mount list");
}

/* ---- the table of a daemon's own namespace ---- */

#define NO_MOUNTS	"there are no mounts"

/* @what: "table add", ... */
static int change_own(const struct table_request *t, const char *what)
{
	struct own_question q = {
		.instance = t->instance, .about = t->path, .look = "datafs mount list", .why = why,
	};
	char generation[24];
	const char *const words[] = { t->path, t->source, t->options, generation };

	snprintf(generation, sizeof(generation), "%llu", (unsigned long long)t->q.id);
	return own_ask(&q, what, words, 4);
}

static int list_own(const struct table_request *t)
{
	struct own_question q = {
		.instance = t->instance, .none = NO_MOUNTS, .look = "datafs mount list", .why = why,
	};

	return own_ask(&q, "table list", NULL, 0);
}

/* ---- what is said ---- */

static ProtobufCBinaryData text(const char *s)
{
	return (ProtobufCBinaryData) { strlen(s), (uint8_t *)s };
}

static bool option_ok(struct datafs_options *opts, char *option)
{
	char *value = strchr(option, '=');
	const char *want = NULL;
	int err;

	if (value)
		*value++ = '\0';
	err = datafs_options_set(opts, option, value, &want);
	if (err == -EINVAL)
		warnx("option %s: it takes %s", option, want);
	else if (err)
		warnx("option %s: %s", option, err == -ENOENT ? "there is none of that name" :
		      strerror(-err));
	return !err;
}

/* As text, and as what it says to who mounts it. What is wrong may be a password: not shown. */
static bool options_ok(const char *options)
{
	const char *reason = datafs_mount_options_wrong(options, strlen(options));
	struct datafs_options opts;
	char *copy, *option, *next;
	bool ok = true;

	if (reason) {
		warnx("the options: %s", reason);
		return false;
	}
	copy = next = strdup(options);
	if (!copy)
		return false;
	datafs_options_init(&opts);
	while (ok && *options && (option = strsep(&next, ",")))
		ok = option_ok(&opts, option);
	free(copy);
	datafs_options_free(&opts);
	return ok;
}

static bool source_ok(const char *source)
{
	const char *reason = datafs_mount_source_wrong(source, strlen(source));

	/* it may have a password: not shown */
	if (reason) {
		warnx("the source: %s", reason);
		return false;
	}
	if (datafs_source_kind(source) == DATAFS_SOURCE_UNDER &&
	    (*source == '/' || strstr(source, "://")))
		return true;
	warnx("the source is not /DIR, nor SCHEME://...");
	return false;
}

/* ---- the commands ---- */

static int cmd_add(struct meta_request *q)
{
	const struct table_request *t = request_of(q);
	Metad__MountAdd add = METAD__MOUNT_ADD__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	if (!source_ok(t->source) || !options_ok(t->options))
		return DATAFS_EXIT_USAGE;
	if (t->instance)
		return change_own(t, "table add");
	add.has_path = add.has_source = add.has_options = true;
	add.path = text(t->path);
	add.source = text(t->source);
	add.options = text(t->options);
	c.op_case = METAD__COMMAND__OP_MOUNT_ADD;
	c.mount_add = &add;
	return change(t, &c);
}

static int cmd_set(struct meta_request *q)
{
	const struct table_request *t = request_of(q);
	Metad__MountSet set = METAD__MOUNT_SET__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	if (!options_ok(t->options))
		return DATAFS_EXIT_USAGE;
	if (t->instance)
		return change_own(t, "table set");
	set.has_path = set.has_options = true;
	set.has_generation = q->id != 0;
	set.generation = q->id;
	set.path = text(t->path);
	set.options = text(t->options);
	c.op_case = METAD__COMMAND__OP_MOUNT_SET;
	c.mount_set = &set;
	return change(t, &c);
}

static int cmd_remove(struct meta_request *q)
{
	const struct table_request *t = request_of(q);
	Metad__MountRemove remove = METAD__MOUNT_REMOVE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	if (t->instance)
		return change_own(t, "table remove");
	remove.has_path = true;
	remove.has_generation = q->id != 0;
	remove.generation = q->id;
	remove.path = text(t->path);
	c.op_case = METAD__COMMAND__OP_MOUNT_REMOVE;
	c.mount_remove = &remove;
	return change(t, &c);
}

/* Those of one version; what they were in is freed by the caller. */
struct table {
	struct Metad__Answer *pieces[DATAFS_METAD_MOUNTS_MAX];
	size_t n;
};

static void table_free(struct table *all)
{
	while (all->n)
		metad__answer__free_unpacked(all->pieces[--all->n], NULL);
}

/* 0: an error that was told. 1: all of it; 2: it was changed meanwhile. */
static int get_table(const struct meta_request *q, struct table *all)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Mounts from = METAD__MOUNTS__INIT;
	Metad__Answer *a;

	query.of_case = METAD__QUERY__OF_MOUNTS;
	query.mounts = &from;
	for (;;) {
		a = meta_ask(q, &query);
		if (!a)
			return 0;
		if (a->error || all->n == DATAFS_METAD_MOUNTS_MAX) {
			warnx("%s", strerror(a->error ? (int)a->error : EFBIG));
			metad__answer__free_unpacked(a, NULL);
			return 0;
		}
		all->pieces[all->n++] = a;
		if (a->mounts_version != all->pieces[0]->mounts_version)
			return 2;
		if (a->eof || !a->n_mounts)
			return 1;
		from.has_after = true;
		from.after = a->mounts[a->n_mounts - 1]->path;
	}
}

static void print_text(ProtobufCBinaryData t)
{
	datafs_word_put(stdout, t.data, t.len);
}

static void print_mount(const Metad__Mount *m)
{
	printf("id %llu generation %llu ", (unsigned long long)m->id,
	       (unsigned long long)m->generation);
	print_text(m->path);
	putchar(' ');
	print_text(m->source);
	putchar(' ');
	if (m->options.len)
		print_text(m->options);
	else
		putchar('-');
	putchar('\n');
}

static int cmd_list(struct meta_request *q)
{
	struct table all = { .n = 0 };
	int ret;

	if (request_of(q)->instance)
		return list_own(request_of(q));
	while ((ret = get_table(q, &all)) == 2)
		table_free(&all);
	if (ret) {
		printf("version %llu\n", (unsigned long long)all.pieces[0]->mounts_version);
		for (size_t i = 0; i < all.n; i++)
			for (size_t k = 0; k < all.pieces[i]->n_mounts; k++)
				print_mount(all.pieces[i]->mounts[k]);
		if (!all.pieces[0]->n_mounts)
			/* beside the listing, which a program may read */
			fprintf(stderr, "%s\n", NO_MOUNTS);
	}
	table_free(&all);
	return ret ? 0 : DATAFS_EXIT_FAIL;
}

static const struct command {
	const char *name, *args, *what;
	unsigned int takes;	/* PATH; SOURCE */
	enum { NO_OPTIONS, MAY_HAVE_OPTIONS, HAS_OPTIONS } options;
	bool guarded;		/* takes --generation */
	int (*run)(struct meta_request *q);
} commands[] = {
	{ "add", "PATH SOURCE [-o OPTIONS]", "SOURCE is mounted at PATH, on all nodes", 2,
	  MAY_HAVE_OPTIONS, false, cmd_add },
	{ "list", "", "the table's version, and each mount: path, source, options", 0, NO_OPTIONS,
	  false, cmd_list },
	{ "set", "PATH -o OPTIONS", "it has these options, instead of those that it had", 1,
	  HAS_OPTIONS, true, cmd_set },
	{ "remove", "PATH", "nothing is mounted there any more", 1, NO_OPTIONS, true, cmd_remove },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	fputs("usage: datafs mount COMMAND [ARGUMENT]... [--instance NAME]\n"
	      "       datafs mount COMMAND [ARGUMENT]... --members HOST:PORT,...\n"
	      "                   --key-file FILE | --no-authentication CLUSTER\n"
	      "Without --members: the table of the namespace of this machine's daemon.\n", stderr);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %-8s%-26s%s\n", commands[i].name, commands[i].args,
			commands[i].what);
	fputs("set, remove: --generation N, only if the mount is that of `list`\n"
	      "OPTIONS: name,name=value,...\n", stderr);
	for (const struct datafs_under_opt *o = datafs_under_opt_table; o->name; o++)
		fprintf(stderr, "  %-16s%s%s%s\n", o->name, o->want ? o->want : "",
			o->want ? ": " : "", o->doc);
	return DATAFS_EXIT_USAGE;
}

static bool parse_generation(const char *arg, uint64_t *res)
{
	char *end;

	errno = 0;
	*res = strtoull(arg, &end, 10);
	return !errno && !*end && *arg >= '1' && *arg <= '9';
}

/* One that takes a value. */
static bool parse_option(struct table_request *t, const struct command *c, const char *name,
			 const char *value)
{
	if (!strcmp(name, "-o") && c->options != NO_OPTIONS && !t->options) {
		t->options = value;
		return true;
	}
	if (!strcmp(name, "--instance") && !t->instance) {
		t->instance = value;
		return true;
	}
	if (!strcmp(name, "--generation") && c->guarded)
		return parse_generation(value, &t->q.id);
	return meta_option(&t->q, name, value);
}

static bool parse(struct table_request *t, const struct command *c, int argc, char **argv)
{
	const char **texts[] = { &t->path, &t->source };
	unsigned int n = 0;

	for (int i = 2; i < argc; i++) {
		if (*argv[i] != '-') {
			if (n == c->takes)
				return false;
			*texts[n++] = argv[i];
		} else if (++i == argc || !parse_option(t, c, argv[i - 1], argv[i])) {
			return false;
		}
	}
	if (c->options != HAS_OPTIONS && !t->options)
		t->options = "";
	if (n != c->takes || !t->options)
		return false;
	if (t->q.members)
		return !t->instance && meta_has_key(&t->q);
	if (!t->instance)
		t->instance = "default";
	return !t->q.key_file && !*t->q.cluster;
}

int datafs_mount_table_command(int argc, char **argv)
{
	struct table_request t = { 0 };
	const char *wrong;
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (argc > 1 && !strcmp(argv[1], commands[i].name))
			break;
	if (i == NCOMMANDS || !parse(&t, &commands[i], argc, argv))
		return usage();
	wrong = t.path ? datafs_mount_path_wrong(t.path, strlen(t.path)) : NULL;
	if (wrong) {
		warnx("path %s: %s", t.path, wrong);
		return DATAFS_EXIT_USAGE;
	}
	return t.instance ? commands[i].run(&t.q) : meta_run(&t.q, commands[i].run);
}
