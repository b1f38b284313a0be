// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "meta.h"
#include "meta_internal.h"
#include "report.h"
#include "wire/address.h"

static void print_member(const char *address, const Metad__Status *s)
{
	printf("member     %llu\n", (unsigned long long)s->id);
	printf("address    %s\n", address);
	printf("state      %s%s\n", s->halted ? "halted: " :
	       s->leader == s->id ? s->ready ? "leads" : "begins to lead" :
	       s->leader ? "follows" : "without a leader",
	       s->halted ? strerror((int)s->halted) : "");
	printf("leader     %llu\n", (unsigned long long)s->leader);
	printf("term       %llu\n", (unsigned long long)s->term);
	printf("commit     %llu\n", (unsigned long long)s->commit);
	printf("applied    %llu\n", (unsigned long long)s->applied);
	printf("snapshot   %llu\n", (unsigned long long)s->snapshot);
	/* who tells none is of an older version */
	printf("level      %u of %u\n", s->has_feature_level ? s->feature_level : 1,
	       s->has_feature_known ? s->feature_known : 1);
}

static void print_servers(const Metad__Status *s)
{
	for (size_t i = 0; i < s->n_servers; i++)
		printf("quorum     %llu %s %s\n", (unsigned long long)s->servers[i]->id,
		       s->servers[i]->role, s->servers[i]->address);
}

/* Of all that were named; of those that answer, who is in the quorum, of the last one. */
static int cmd_status(struct meta_request *q)
{
	Metad__StatusAsk status = METAD__STATUS_ASK__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;
	Metad__Reply *reply;
	int answered = 0, ret;

	admin.of_case = METAD__ADMIN__OF_STATUS;
	admin.status = &status;
	for (unsigned int i = 0; i < datafs_remote_members(q->r); i++) {
		ret = meta_call(q, (int)i, &admin, META_STATUS_MS, &reply);
		if (i)
			putchar('\n');
		if (ret || !reply->status) {
			printf("address    %s\nstate      does not answer\n",
			       datafs_remote_member(q->r, i));
		} else {
			answered++;
			print_member(datafs_remote_member(q->r, i), reply->status);
			print_servers(reply->status);
		}
		if (!ret)
			metad__reply__free_unpacked(reply, NULL);
	}
	return answered ? 0 : DATAFS_EXIT_FAIL;
}

const char *meta_why(uint32_t error)
{
	switch (error) {
	case EACCES:
		return "only with the quorum's own key (a member's key file)";
	case EBUSY:
		return "another change is under way, or the leader has just begun; try again";
	case EINVAL:
		return "it would leave no voter, or it is the leader (transfer first), or it makes no sense";
	case EEXIST:
		return "there is a member with that number";
	case ENOENT:
		return "there is no such member, or it has no vote";
	case EALREADY:
		return "it is so already";
	case EOPNOTSUPP:
		return "not before all members know the feature level that has it (`datafs meta status` tells which do not)";
	case EPROTONOSUPPORT:
		return "it does not know the quorum's feature level: it needs a newer version, or another feature_level (`datafs meta status` tells both)";
	case EHOSTUNREACH:
		return "nothing answers as that member at that address; it must run before it is added";
	case ETIMEDOUT:
		return "its log does not catch up; is it running?";
	default:
		return strerror((int)error);
	}
}

static int change(struct meta_request *q, Metad__Admin__OfCase of)
{
	Metad__Change change = METAD__CHANGE__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;
	Metad__Reply *reply;
	int ret;

	change.has_id = change.has_standby = true;
	change.id = q->id;
	change.address = (char *)q->address;
	change.standby = !q->spare;
	admin.of_case = of;
	/* all changes are at one place of the union */
	admin.add = &change;
	ret = meta_call(q, DATAFS_REMOTE_LEADER, &admin, META_ASK_MS, &reply);
	if (ret) {
		warnx("%s", ret == -ETIMEDOUT ?
		      "no answer; whether it is done `datafs meta status` tells" : strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	if (reply->error)
		warnx("member %llu: %s", (unsigned long long)q->id, meta_why(reply->error));
	ret = reply->error ? DATAFS_EXIT_FAIL : 0;
	metad__reply__free_unpacked(reply, NULL);
	return ret;
}

static int cmd_add(struct meta_request *q)
{
	return change(q, METAD__ADMIN__OF_ADD);
}

static int cmd_promote(struct meta_request *q)
{
	return change(q, METAD__ADMIN__OF_PROMOTE);
}

static int cmd_demote(struct meta_request *q)
{
	return change(q, METAD__ADMIN__OF_DEMOTE);
}

static int cmd_remove(struct meta_request *q)
{
	return change(q, METAD__ADMIN__OF_REMOVE);
}

static int cmd_transfer(struct meta_request *q)
{
	return change(q, METAD__ADMIN__OF_TRANSFER);
}

/*
 * What follows the command's name: a letter each, of N (a member's number), A (HOST:PORT),
 * F (a file), S (a stopped member's directory), D (a new one's), P (a path in the
 * namespace).
 */
static const struct command {
	const char *name, *args, *what, *takes;
	enum { ASKS, OFFLINE, KEYLESS } way;	/* no quorum is asked; ... nor is a key needed */
	int (*run)(struct meta_request *q);
} commands[] = {
	{ "status", "", "each member, as it sees the quorum", "", ASKS, cmd_status },
	{ "add", "N HOST:PORT", "a member that was made with --join: gets the log, has no vote",
	  "NA", ASKS, cmd_add },
	{ "promote", "N", "gets a vote, once its log has caught up", "N", ASKS, cmd_promote },
	{ "demote", "N", "has no vote any more (--spare: gets no log either)", "N", ASKS,
	  cmd_demote },
	{ "remove", "N", "is no member any more; not the leader", "N", ASKS, cmd_remove },
	{ "transfer", "N", "leads, from now on", "N", ASKS, cmd_transfer },
	{ "backup", "FILE", "all that was acknowledged by now, in one file", "F", ASKS,
	  meta_backup },
	{ "restore", "FILE DIR N HOST:PORT",
	  "makes of it the first member of a new quorum, with a new key file", "FDNA", OFFLINE,
	  meta_restore },
	{ "inspect", "DIR", "what a stopped member has; asks nobody, and needs no key", "S", KEYLESS,
	  meta_inspect },
	{ "recover", "DIR NEW N HOST:PORT",
	  "the last survivor's becomes the first of a new quorum; loses changes", "SDNA", OFFLINE,
	  meta_recover },
	{ "quota-set", "PATH",
	  "an empty directory gets limits, or others: --inodes N, --bytes N[K|M|G|T]",
	  "P", ASKS, meta_quota_set },
	{ "quota-list", "", "each quota: used and limit of inodes, of bytes, its directory", "",
	  ASKS, meta_quota_list },
	{ "quota-remove", "PATH", "the directory has none any more", "P", ASKS,
	  meta_quota_remove },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	size_t i;

	fputs("usage: datafs meta COMMAND [ARGUMENT]... --members HOST:PORT,...\n"
	      "                   --key-file FILE | --no-authentication CLUSTER\n"
	      "  (restore, recover: without --members; inspect: without both)\n", stderr);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %-14s%-22s%s\n", commands[i].name, commands[i].args,
			commands[i].what);
	return DATAFS_EXIT_USAGE;
}

static bool parse_one(struct meta_request *q, char kind, const char *arg)
{
	char *end;

	switch (kind) {
	case 'N':
		errno = 0;
		q->id = strtoull(arg, &end, 10);
		return !errno && !*end && *arg >= '0' && *arg <= '9';
	case 'A':
		q->address = arg;
		return !datafs_address_check(arg, false);
	case 'F':
		q->file = arg;
		return *arg;
	case 'S':
		q->from = arg;
		return *arg;
	case 'D':
		q->dir = arg;
		return *arg;
	case 'P':
		q->path = arg;
		return *arg == '/';
	default:
		return false;
	}
}

/* A number, perhaps with K, M, G or T, of 1024. */
static bool parse_limit(const char *arg, uint64_t *res)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift = 0;
	char *end;

	errno = 0;
	*res = strtoull(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9')
		return false;
	if (*end) {
		unit = strchr(units, *end++);
		if (!unit)
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (*end || *res > (uint64_t)INT64_MAX >> shift)
		return false;
	*res <<= shift;
	return true;
}

static bool parse(struct meta_request *q, const struct command *c, int argc, char **argv)
{
	const char *next = c->takes;

	for (int i = 2; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--spare")) {
			q->spare = true;
		} else if (!strcmp(argv[i], "--accept-loss") && c->run == meta_recover) {
			q->accept_loss = true;
		} else if (strncmp(argv[i], "--", 2)) {
			if (!*next || !parse_one(q, *next++, argv[i]))
				return false;
		} else if (!value) {
			return false;
		} else if (!strcmp(argv[i++], "--inodes")) {
			if (!parse_limit(value, &q->inodes))
				return false;
		} else if (!strcmp(argv[i - 1], "--bytes")) {
			if (!parse_limit(value, &q->bytes))
				return false;
		} else if (!meta_option(q, argv[i - 1], value)) {
			return false;
		}
	}
	return !*next && !q->members == (c->way != ASKS) &&
	       (c->way == KEYLESS ? !q->key_file && !*q->cluster : meta_has_key(q));
}

static int run(struct meta_request *q, const struct command *c)
{
	if (c->way != KEYLESS)
		return meta_run(q, c->run);
	datafs_log_set_level(LOG_ERR);
	return c->run(q);
}

int datafs_meta_command(int argc, char **argv)
{
	struct meta_request q = { 0 };
	size_t i;

	for (i = 0; argc > 1 && i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return parse(&q, &commands[i], argc, argv) ?
				       run(&q, &commands[i]) : usage();
	return usage();
}
