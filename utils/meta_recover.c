// SPDX-License-Identifier: Apache-2.0
/*
 * `datafs meta inspect` and `datafs meta recover`: what a stopped member has, and going on
 * with it alone (daemon/metad/recover.h). What that costs is said before it is done.
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "meta_internal.h"
#include "metad/recover.h"
#include "report.h"

static void print_time(uint64_t ns)
{
	time_t at = (time_t)(ns / DATAFS_SEC);
	char text[32];
	struct tm tm;

	if (ns && gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%F %T UTC", &tm))
		printf("time       %s\n", text);
}

static void print(const struct datafs_recovered *r)
{
	char cluster[2 * DATAFS_METAD_ID_LEN + 1];

	datafs_hex(r->cluster, sizeof(r->cluster), cluster);
	printf("member     %llu\ncluster    %s\nterm       %llu\nentry      %llu\napplied    %llu\n",
	       (unsigned long long)r->id, cluster, (unsigned long long)r->counts.term,
	       (unsigned long long)r->counts.index, (unsigned long long)r->applied);
	print_time(r->time);
	printf("inodes     %llu\nsessions   %llu\n", (unsigned long long)r->counts.inodes,
	       (unsigned long long)r->counts.sessions);
	for (unsigned int i = 0; i < r->npeers; i++)
		printf("quorum     %llu %s %s\n", (unsigned long long)r->peers[i].id,
		       r->peers[i].votes ? "voter" : "without-vote", r->peers[i].address);
}

int meta_inspect(struct meta_request *q)
{
	struct datafs_recovered r;

	if (datafs_recover_look(q->from, &r))
		return DATAFS_EXIT_FAIL;
	print(&r);
	return 0;
}

static void warn_of_loss(const struct datafs_recovered *r)
{
	/* behind what was printed, where both are one file */
	fflush(stdout);
	fprintf(stderr,
		"Only for a quorum that has lost more than half of its voters for good, and has no\n"
		"backup. This goes on with what member %llu has, up to entry %llu of term %llu. What the\n"
		"others acknowledged without it IS LOST, and nobody can tell what that was. Of several\n"
		"survivors take the one with the highest term, then the highest entry (datafs meta\n"
		"inspect), and that one only.\n"
		"The new quorum is another cluster. All others of the old one must never be started\n"
		"again with their old directories: more than half of them would be the old quorum\n"
		"again, for all that have its keys.\n",
		(unsigned long long)r->id, (unsigned long long)r->counts.index,
		(unsigned long long)r->counts.term);
	for (unsigned int i = 0; i < r->npeers; i++)
		if (r->peers[i].id != r->id)
			fprintf(stderr, "  never again: member %llu at %s\n",
				(unsigned long long)r->peers[i].id, r->peers[i].address);
}

static int only_ask(struct meta_request *q)
{
	struct datafs_recovered r;

	if (datafs_recover_look(q->from, &r))
		return DATAFS_EXIT_FAIL;
	print(&r);
	warn_of_loss(&r);
	fputs("Nothing was done. With --accept-loss it is.\n", stderr);
	return DATAFS_EXIT_FAIL;
}

int meta_recover(struct meta_request *q)
{
	struct datafs_recover how = {
		.from = q->from, .dir = q->dir, .id = q->id, .address = q->address,
		.cluster = q->cluster_id,
	};
	char cluster[2 * DATAFS_METAD_ID_LEN + 1];
	struct datafs_recovered r;

	if (!q->accept_loss)
		return only_ask(q);
	if (datafs_recover(&how, &r))
		return DATAFS_EXIT_FAIL;
	datafs_hex(q->cluster_id, sizeof(q->cluster_id), cluster);
	print(&r);
	printf("\ncluster    %s\nmember     %llu\naddress    %s\ndirectory  %s\n", cluster,
	       (unsigned long long)q->id, q->address, q->dir);
	warn_of_loss(&r);
	fprintf(stderr, "%s is as it was, and is for nobody any more. Start the new member alone; add\n"
		"the others, made anew with --join and the new key file.\n", q->from);
	return 0;
}
