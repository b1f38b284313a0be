// SPDX-License-Identifier: Apache-2.0
/*
 * `datafs meta backup`: the member that leads takes a snapshot, whose pieces are fetched
 * one by one, checked, and written to a file that replaces the one that is named as a
 * whole. `datafs meta restore`: daemon/metad/restore.h.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "meta_internal.h"
#include "metad/backup.h"
#include "metad/restore.h"
#include "report.h"
#include "whole_file.h"

#define BEGIN_MS	600000	/* the snapshot's files are read once */
#define PIECE_MS	60000
#define LOOKS		20	/* for who leads, a moment apart */

/* One that is being written. */
struct backup {
	const struct meta_request *q;
	int member;			/* who leads */
	struct datafs_backup_head head;
	struct datafs_manifest manifest;
	struct datafs_whole file;
};

static bool leads(const struct meta_request *q, int member)
{
	Metad__StatusAsk status = METAD__STATUS_ASK__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;
	Metad__Reply *reply;
	bool yes;

	admin.of_case = METAD__ADMIN__OF_STATUS;
	admin.status = &status;
	if (meta_call(q, member, &admin, META_STATUS_MS, &reply))
		return false;
	yes = reply->status && reply->status->ready && !reply->status->halted;
	metad__reply__free_unpacked(reply, NULL);
	return yes;
}

static int find_leader(struct backup *b)
{
	for (unsigned int look = 0; look < LOOKS; look++) {
		for (unsigned int i = 0; i < datafs_remote_members(b->q->r); i++) {
			if (leads(b->q, (int)i)) {
				b->member = (int)i;
				return 0;
			}
		}
		usleep(200000);
	}
	warnx("none of the members that are named leads; name all of them (--members)");
	return -ENOENT;
}

/* The snapshot, as its manifest tells it; which is the reply's for as long as that lives. */
static int begin(struct backup *b, Metad__Reply **reply)
{
	Metad__BackupAsk ask = METAD__BACKUP_ASK__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;
	const Metad__Backup *is;
	int ret;

	admin.of_case = METAD__ADMIN__OF_BACKUP;
	admin.backup = &ask;
	ret = meta_call(b->q, b->member, &admin, BEGIN_MS, reply);
	if (ret) {
		warnx("%s: no snapshot: %s", datafs_remote_member(b->q->r, (unsigned int)b->member),
		      strerror(-ret));
		return ret;
	}
	is = (*reply)->backup;
	if ((*reply)->error || !is) {
		warnx("%s: no snapshot: %s", datafs_remote_member(b->q->r, (unsigned int)b->member),
		      meta_why((*reply)->error ? (*reply)->error : EPROTO));
		ret = -EIO;
	} else if (datafs_manifest_decode(is->manifest.data, is->manifest.len, &b->manifest) ||
		   b->manifest.index != is->index || b->manifest.term != is->term) {
		warnx("%s: what it tells of its snapshot makes no sense; it may be of another version",
		      datafs_remote_member(b->q->r, (unsigned int)b->member));
		ret = -EBADMSG;
	} else {
		memcpy(b->head.cluster, b->q->cluster_id, sizeof(b->head.cluster));
		b->head.index = is->index;
		b->head.term = is->term;
		b->head.time = (uint64_t)time(NULL);
		b->head.manifest = (uint32_t)is->manifest.len;
	}
	if (ret)
		metad__reply__free_unpacked(*reply, NULL);
	return ret;
}

static int put(const struct backup *b, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(b->file.fd, (const char *)buf + done, len - done);

		if (n < 0) {
			warn("%s", b->file.path);
			return -errno;
		}
		done += (size_t)n;
	}
	return 0;
}

/* *@crc: of the file, with this piece of it. */
static int copy_piece(const struct backup *b, unsigned int n, uint64_t off, uint32_t *crc)
{
	const struct datafs_manifest_file *f = &b->manifest.files[n];
	Metad__Piece piece = METAD__PIECE__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;
	Metad__Reply *reply;
	uint8_t sum[4];
	int ret;

	piece.has_index = piece.has_term = piece.has_off = piece.has_len = true;
	piece.index = b->head.index;
	piece.term = b->head.term;
	piece.file = (char *)f->name;
	piece.off = off;
	piece.len = (uint32_t)DATAFS_MIN(f->size - off, DATAFS_BACKUP_PIECE);
	admin.of_case = METAD__ADMIN__OF_PIECE;
	admin.piece = &piece;
	ret = meta_call(b->q, b->member, &admin, PIECE_MS, &reply);
	if (ret || reply->error || reply->piece.len != piece.len) {
		warnx("%s: file %s of its snapshot: %s",
		      datafs_remote_member(b->q->r, (unsigned int)b->member), f->name,
		      ret ? strerror(-ret) : reply->error == ESTALE ?
		      "it does not keep the snapshot any more; try again" :
		      reply->error ? meta_why(reply->error) : "it is shorter than it should be");
		if (!ret)
			metad__reply__free_unpacked(reply, NULL);
		return ret ? ret : -EIO;
	}
	*crc = datafs_crc32c_more(*crc, reply->piece.data, reply->piece.len);
	datafs_put_be32(sum, datafs_backup_sum(n, off, reply->piece.data, reply->piece.len));
	ret = put(b, reply->piece.data, reply->piece.len);
	if (!ret)
		ret = put(b, sum, sizeof(sum));
	metad__reply__free_unpacked(reply, NULL);
	return ret;
}

static int copy_file(const struct backup *b, unsigned int n)
{
	const struct datafs_manifest_file *f = &b->manifest.files[n];
	uint32_t crc = 0;
	int ret = 0;

	for (uint64_t off = 0; !ret && off < f->size; off += DATAFS_BACKUP_PIECE)
		ret = copy_piece(b, n, off, &crc);
	if (ret || crc == f->crc)
		return ret;
	warnx("%s: file %s of its snapshot is damaged; another member may lead (datafs meta transfer), and this one's disk should be looked at",
	      datafs_remote_member(b->q->r, (unsigned int)b->member), f->name);
	return -EIO;
}

static int copy(struct backup *b, const ProtobufCBinaryData *manifest)
{
	uint8_t head[DATAFS_BACKUP_HEAD];
	int ret;

	datafs_backup_head_encode(&b->head, head);
	ret = put(b, head, sizeof(head));
	if (!ret)
		ret = put(b, manifest->data, manifest->len);
	for (unsigned int i = 0; !ret && i < b->manifest.n; i++)
		ret = copy_file(b, i);
	return ret;
}

static int write_file(struct backup *b, const ProtobufCBinaryData *manifest)
{
	int ret;

	/* with mode 0600: all names of the namespace are in it */
	if (datafs_whole_begin(&b->file, b->q->file))
		return -EIO;
	ret = copy(b, manifest);
	if (!ret)
		ret = datafs_whole_commit(&b->file);
	datafs_whole_end(&b->file);
	return ret;
}

int meta_backup(struct meta_request *q)
{
	struct backup b = { .q = q };
	Metad__Reply *reply;
	int ret = find_leader(&b);

	if (!ret)
		ret = begin(&b, &reply);
	if (ret)
		return DATAFS_EXIT_FAIL;
	ret = write_file(&b, &reply->backup->manifest);
	if (!ret)
		printf("entry      %llu\nterm       %llu\nfiles      %u\n",
		       (unsigned long long)b.head.index, (unsigned long long)b.head.term,
		       b.manifest.n);
	datafs_manifest_free(&b.manifest);
	metad__reply__free_unpacked(reply, NULL);
	return ret ? DATAFS_EXIT_FAIL : 0;
}

int meta_restore(struct meta_request *q)
{
	char old[2 * DATAFS_CLUSTER_LEN + 1], new[2 * DATAFS_CLUSTER_LEN + 1], made[32];
	struct datafs_restore r = {
		.file = q->file, .dir = q->dir, .id = q->id, .address = q->address,
		.cluster = q->cluster_id,
	};
	struct datafs_backup_head head;
	struct tm tm;
	time_t at;

	if (datafs_restore(&r, &head))
		return DATAFS_EXIT_FAIL;
	at = (time_t)head.time;
	datafs_hex(head.cluster, sizeof(head.cluster), old);
	datafs_hex(q->cluster_id, sizeof(q->cluster_id), new);
	if (!gmtime_r(&at, &tm) || !strftime(made, sizeof(made), "%F %T UTC", &tm))
		strcpy(made, "a time that cannot be told");
	printf("backup     entry %llu of cluster %s, of %s\n"
	       "cluster    %s\n"
	       "member     %llu\n"
	       "address    %s\n"
	       "directory  %s\n",
	       (unsigned long long)head.index, old, made, new, (unsigned long long)q->id,
	       q->address, q->dir);
	fputs("This is another cluster: what was acknowledged after the backup is not in it, and\n"
	      "nobody of the old one may go on. Start this member alone; add the others, made\n"
	      "anew with --join and the new key file.\n", stderr);
	return 0;
}
