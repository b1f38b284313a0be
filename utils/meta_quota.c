// SPDX-License-Identifier: Apache-2.0
/* `datafs meta`: quotas of directories. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta_internal.h"
#include "report.h"

#define ROOT		1u	/* the inode of the namespace's root */
#define LIST_BYTES	(256u << 10)

/* 0: an error that was told. */
static uint64_t lookup(const struct meta_request *q, uint64_t dir, const char *name, size_t len)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Name n = METAD__NAME__INIT;
	Metad__Answer *a;
	uint64_t ino = 0;

	n.has_parent = n.has_name = true;
	n.parent = dir;
	n.name = (ProtobufCBinaryData) { len, (uint8_t *)name };
	query.of_case = METAD__QUERY__OF_LOOKUP;
	query.lookup = &n;
	a = meta_ask(q, &query);
	if (!a)
		return 0;
	if (a->error || !a->attr)
		warnx("%s: \"%.*s\": %s", q->path, (int)len, name, strerror((int)a->error));
	else
		ino = a->attr->ino;
	metad__answer__free_unpacked(a, NULL);
	return ino;
}

/* Of q->path, in the namespace; 0: an error that was told. */
static uint64_t resolve(const struct meta_request *q)
{
	const char *at = q->path + strspn(q->path, "/");
	uint64_t ino = ROOT;

	while (ino && *at) {
		size_t len = strcspn(at, "/");

		ino = lookup(q, ino, at, len);
		at += len;
		at += strspn(at, "/");
	}
	return ino;
}

static const char *why(uint32_t error)
{
	switch (error) {
	case ENOTEMPTY:
		return "it is not empty; a quota is given to an empty directory, before what it counts is made";
	case ENOENT:
		return "it has no quota";
	case EACCES:
	case EOPNOTSUPP:
		return meta_why(error);
	default:
		return strerror((int)error);
	}
}

static int change(struct meta_request *q, const Metad__Admin *admin)
{
	Metad__Reply *reply;
	int ret = meta_call(q, DATAFS_REMOTE_LEADER, admin, META_ASK_MS, &reply);

	if (ret) {
		warnx("%s", ret == -ETIMEDOUT ?
		      "no answer; whether it is done `datafs meta quota-list` tells" :
		      strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	if (reply->error)
		warnx("%s: %s", q->path, why(reply->error));
	ret = reply->error ? DATAFS_EXIT_FAIL : 0;
	metad__reply__free_unpacked(reply, NULL);
	return ret;
}

int meta_quota_set(struct meta_request *q)
{
	Metad__SetQuota set = METAD__SET_QUOTA__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;

	set.has_ino = set.has_inodes = set.has_bytes = true;
	set.ino = resolve(q);
	set.inodes = q->inodes;
	set.bytes = q->bytes;
	admin.of_case = METAD__ADMIN__OF_SET_QUOTA;
	admin.set_quota = &set;
	return set.ino ? change(q, &admin) : DATAFS_EXIT_FAIL;
}

int meta_quota_remove(struct meta_request *q)
{
	Metad__RemoveQuota remove = METAD__REMOVE_QUOTA__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;

	remove.has_ino = true;
	remove.ino = resolve(q);
	admin.of_case = METAD__ADMIN__OF_REMOVE_QUOTA;
	admin.remove_quota = &remove;
	return remove.ino ? change(q, &admin) : DATAFS_EXIT_FAIL;
}

/* Of the entry of @dir that is @ino, for free(); NULL: it has gone. */
static char *name_in(const struct meta_request *q, uint64_t dir, uint64_t ino)
{
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query query = METAD__QUERY__INIT;
	char *name = NULL;
	bool eof = false;
	Metad__Answer *a;

	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = dir;
	rd.max = LIST_BYTES;
	query.of_case = METAD__QUERY__OF_READDIR;
	query.readdir = &rd;
	while (!name && !eof) {
		a = meta_ask(q, &query);
		if (!a)
			return NULL;
		eof = a->error || a->eof;
		for (size_t i = 0; !name && i < a->n_entries; i++) {
			const Metad__Dirent *e = a->entries[i];

			rd.cookie = e->cookie;
			if (e->attr && e->attr->ino == ino)
				name = strndup((const char *)e->name.data, e->name.len);
		}
		metad__answer__free_unpacked(a, NULL);
	}
	return name;
}

/* 0: there is none. */
static uint64_t parent_of(const struct meta_request *q, uint64_t ino)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Inode in = METAD__INODE__INIT;
	Metad__Answer *a;
	uint64_t parent = 0;

	in.has_ino = true;
	in.ino = ino;
	query.of_case = METAD__QUERY__OF_PARENT;
	query.parent = &in;
	a = meta_ask(q, &query);
	if (a && !a->error && a->attr)
		parent = a->attr->ino;
	metad__answer__free_unpacked(a, NULL);
	return parent;
}

/* From the root down. False: the directory is removed, or was moved meanwhile. */
static bool print_path(const struct meta_request *q, uint64_t ino)
{
	uint64_t parent;
	char *name;
	bool found;

	if (ino == ROOT)
		return true;
	parent = parent_of(q, ino);
	name = parent ? name_in(q, parent, ino) : NULL;
	found = name && print_path(q, parent);
	if (found)
		printf("/%s", name);
	free(name);
	return found;
}

static void print_limit(uint64_t used, uint64_t max)
{
	printf("%llu/", (unsigned long long)used);
	if (max)
		printf("%llu ", (unsigned long long)max);
	else
		printf("- ");
}

static void print_quota(const struct meta_request *q, const Metad__Quota *one)
{
	printf("inodes ");
	print_limit(one->inodes, one->inodes_max);
	printf("bytes ");
	print_limit(one->bytes, one->bytes_max);
	if (one->root == ROOT)
		putchar('/');
	else if (!print_path(q, one->root))
		printf("(a removed directory)");
	putchar('\n');
}

int meta_quota_list(struct meta_request *q)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Quotas from = METAD__QUOTAS__INIT;
	Metad__Answer *a;
	bool eof = false;

	from.has_after = true;
	query.of_case = METAD__QUERY__OF_QUOTAS;
	query.quotas = &from;
	while (!eof) {
		a = meta_ask(q, &query);
		if (!a)
			return DATAFS_EXIT_FAIL;
		eof = a->eof || !a->n_quotas;
		for (size_t i = 0; i < a->n_quotas; i++) {
			print_quota(q, a->quotas[i]);
			from.after = a->quotas[i]->id;
		}
		metad__answer__free_unpacked(a, NULL);
	}
	return 0;
}
