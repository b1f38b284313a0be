/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot is made of: the names, sizes and CRC32Cs of the files of a
 * checkpoint. It is what libraft has for the snapshot; the files are brought
 * over apart.
 *
 * Encoded, all big-endian: u32 magic "DFSM", u32 version 1, u64 index, u64 term,
 * u32 files; each: u64 size, u32 CRC32C, u8 length of the name, name; at the end
 * u32 CRC32C of all before it.
 */
#ifndef DATAFS_MANIFEST_H
#define DATAFS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATAFS_MANIFEST_FILES_MAX	65536u
#define DATAFS_MANIFEST_NAME_MAX	63u

struct datafs_manifest_file {
	char name[DATAFS_MANIFEST_NAME_MAX + 1];
	uint64_t size;
	uint32_t crc;
};

struct datafs_manifest {
	uint64_t index, term;
	struct datafs_manifest_file *files;	/* by name */
	unsigned int n;
};

/* May it be a file of a snapshot? Letters, digits, '.', '-', '_'; no leading dot. */
bool datafs_manifest_name(const char *name);

/*
 * Of the files of @dir, which are read, but the tables (*.ldb) that @old, which
 * may be NULL, has under the same name and with the same size: a table is never
 * changed. 0, -EUCLEAN (a file with an impossible name, too many), -ENOMEM, or
 * what the disk said.
 */
int datafs_manifest_make(const char *dir, uint64_t index, uint64_t term,
			 const struct datafs_manifest *old, struct datafs_manifest *res);

/* The same in parts. */
struct datafs_manifest_job {
	struct datafs_manifest manifest;	/* the result, once it is done */
	unsigned int next;
	int dir, fd;
};

/* 0, or an error as above: then there is nothing to end. */
int datafs_manifest_begin(struct datafs_manifest_job *job, const char *dir, uint64_t index,
			  uint64_t term);
/* About so many bytes more, with the same @old. 1: there is more; 0: done; an error. */
int datafs_manifest_step(struct datafs_manifest_job *job, const struct datafs_manifest *old,
			 uint64_t bytes);
/* Frees the result too. */
void datafs_manifest_end(struct datafs_manifest_job *job);

/* Bytes for free() in *@res; their number or -ENOMEM. */
long datafs_manifest_encode(const struct datafs_manifest *m, void **res);

/* 0, -EBADMSG, -ENOMEM. */
int datafs_manifest_decode(const void *buf, size_t len, struct datafs_manifest *res);

/* Are the files of @dir there, with these sizes and bytes? 0, -EUCLEAN, or errno. */
int datafs_manifest_check(const char *dir, const struct datafs_manifest *m);

void datafs_manifest_free(struct datafs_manifest *m);

#endif
