// SPDX-License-Identifier: Apache-2.0
/* What clients ask, and pieces of snapshots, for fuzz_ask.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "metad/piece.h"
#include "quorum.pb-c.h"

static void save_ask(const Metad__Ask *ask, const char *what, size_t i)
{
	uint8_t buf[1024];
	char name[32];

	snprintf(name, sizeof(name), "%s%zu", what, i);
	seed_save("ask", name, buf, metad__ask__pack(ask, buf));
}

static void commands(void)
{
	Metad__Entry *e;
	uint8_t *entry;
	size_t len;

	for (size_t i = 0; (entry = seed_entry(i, &len)); i++) {
		Metad__Ask ask = METAD__ASK__INIT;
		uint8_t buf[512];

		e = metad__entry__unpack(NULL, len, entry);
		ask.what_case = METAD__ASK__WHAT_COMMAND;
		ask.command = (ProtobufCBinaryData) { metad__command__pack(e->commands[0], buf), buf };
		save_ask(&ask, "command", i);
		metad__entry__free_unpacked(e, NULL);
		free(entry);
	}
}

static void queries(void)
{
	Metad__Inode ino = METAD__INODE__INIT;
	Metad__Name name = METAD__NAME__INIT;
	Metad__Readdir readdir = METAD__READDIR__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	void *of[] = { NULL, &ino, &name, &readdir, &ino, &name, &ino, &ino, &counts };

	ino.has_ino = name.has_parent = name.has_name = readdir.has_ino = readdir.has_max = true;
	ino.ino = name.parent = readdir.ino = 1;
	name.name = (ProtobufCBinaryData) { 1, (uint8_t *)"x" };
	readdir.max = 1000;
	for (size_t i = 1; i < sizeof(of) / sizeof(of[0]); i++) {
		Metad__Query q = METAD__QUERY__INIT;
		Metad__Ask ask = METAD__ASK__INIT;

		q.of_case = (Metad__Query__OfCase)i;
		q.getattr = of[i];
		ask.what_case = METAD__ASK__WHAT_QUERY;
		ask.query = &q;
		save_ask(&ask, "query", i);
	}
}

static void nodes(void)
{
	Metad__Nodes nodes = METAD__NODES__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;

	q.of_case = METAD__QUERY__OF_NODES;
	q.nodes = &nodes;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	save_ask(&ask, "nodes", 0);
	nodes.has_after = nodes.has_known = true;
	nodes.after = 1;
	nodes.known = 2;
	save_ask(&ask, "nodes", 1);
}

static void jobs(void)
{
	Metad__Jobs jobs = METAD__JOBS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;

	q.of_case = METAD__QUERY__OF_JOBS;
	q.jobs = &jobs;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	save_ask(&ask, "jobs", 0);
	jobs.has_after = jobs.has_known = true;
	jobs.after = 1;
	jobs.known = 2;
	save_ask(&ask, "jobs", 1);
}

static void policies(void)
{
	Metad__Policies policies = METAD__POLICIES__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;

	q.of_case = METAD__QUERY__OF_POLICIES;
	q.policies = &policies;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	save_ask(&ask, "policies", 0);
	policies.has_after = policies.has_known = true;
	policies.after = (ProtobufCBinaryData) { 2, (uint8_t *)"/d" };
	policies.known = 2;
	save_ask(&ask, "policies", 1);
}

static void listings(void)
{
	Metad__ListingPage page = METAD__LISTING_PAGE__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;

	q.of_case = METAD__QUERY__OF_LISTING_PAGE;
	q.listing_page = &page;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	page.has_number = page.has_page = true;
	page.number = 1;
	save_ask(&ask, "listings", 0);
	page.page = 1;
	save_ask(&ask, "listings", 1);
}

static void mounts(void)
{
	Metad__Mounts mounts = METAD__MOUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Ask ask = METAD__ASK__INIT;

	q.of_case = METAD__QUERY__OF_MOUNTS;
	q.mounts = &mounts;
	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = &q;
	save_ask(&ask, "mounts", 0);
	mounts.has_after = true;
	mounts.after = (ProtobufCBinaryData) { 4, (uint8_t *)"/a/b" };
	save_ask(&ask, "mounts", 1);
}

static void admins(void)
{
	Metad__StatusAsk status = METAD__STATUS_ASK__INIT;
	Metad__BackupAsk backup = METAD__BACKUP_ASK__INIT;
	Metad__Piece piece = METAD__PIECE__INIT;
	Metad__Change change = METAD__CHANGE__INIT;

	piece.has_index = piece.has_len = true;
	piece.file = "000005.ldb";
	change.has_id = change.has_standby = true;
	change.id = 4;
	change.address = "127.0.0.1:7440";
	for (size_t i = 1; i <= 8; i++) {
		Metad__Admin admin = METAD__ADMIN__INIT;
		Metad__Ask ask = METAD__ASK__INIT;

		admin.of_case = (Metad__Admin__OfCase)i;
		if (i == 1)
			admin.status = &status;
		else if (i == METAD__ADMIN__OF_BACKUP)
			admin.backup = &backup;
		else if (i == METAD__ADMIN__OF_PIECE)
			admin.piece = &piece;
		else
			admin.add = &change;
		ask.what_case = METAD__ASK__WHAT_ADMIN;
		ask.admin = &admin;
		save_ask(&ask, "admin", i);
	}
}

static void leases(void)
{
	Metad__Object attr = METAD__OBJECT__INIT, name = attr, names = attr, table = attr;
	Metad__Object *all[] = { &attr, &name, &names, &table };
	Metad__Lease lease = METAD__LEASE__INIT;
	Metad__Recall recall = METAD__RECALL__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	uint8_t buf[128];

	lease.has_session = lease.has_fresh = true;
	lease.session = 7;
	ask.what_case = METAD__ASK__WHAT_LEASE;
	ask.lease = &lease;
	save_ask(&ask, "lease", 0);
	recall.has_session = true;
	recall.session = 7;
	for (size_t i = 0; i < 4; i++) {
		all[i]->has_ino = all[i]->has_kind = true;
		all[i]->ino = 1 + i;
		all[i]->kind = METAD__OBJECT_KIND__ATTR + (int)i;
	}
	name.has_name = true;
	name.name = (ProtobufCBinaryData) { 1, (uint8_t *)"x" };
	recall.n_objects = 4;
	recall.objects = all;
	seed_save("ask", "recall", buf, metad__recall__pack(&recall, buf));
}

static void pieces(void)
{
	struct datafs_raft_piece piece = { 7, 3, "000005.ldb", 4096, 65536 };
	uint8_t buf[DATAFS_PIECE_ASKED + DATAFS_MANIFEST_NAME_MAX + 8];

	seed_save("ask", "piece-asked", buf, datafs_piece_ask(&piece, buf));
	datafs_piece_give(0, buf);
	memcpy(buf + DATAFS_PIECE_HEAD, "bytes", 5);
	seed_save("ask", "piece", buf, DATAFS_PIECE_HEAD + 5);
	datafs_piece_give(-2, buf);
	seed_save("ask", "piece-not-there", buf, DATAFS_PIECE_HEAD);
}

void seeds_ask(void)
{
	commands();
	queries();
	mounts();
	nodes();
	jobs();
	policies();
	listings();
	admins();
	leases();
	pieces();
}
