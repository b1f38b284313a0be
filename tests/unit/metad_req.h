/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the metadata quorum, as a line of a table says them. */
#ifndef DATAFS_TEST_METAD_REQ_H
#define DATAFS_TEST_METAD_REQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "meta.pb-c.h"

/* What a line does not say is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* METAD__COMMAND__OP_X, but shorter */
#define OP(x) METAD__COMMAND__OP_ ## x

struct req {
	Metad__Command__OpCase op;
	uint64_t ino;		/* or the parent; a listing's mount, or number */
	const char *name;
	uint64_t to;		/* the new parent; a listing's page */
	const char *new_name;
	uint32_t mode, umask, uid, gid, level;	/* @level: also of a lease, in ms; a node's weight; a policy's cache */
	bool has_weight;
	uint64_t inodes, bytes;	/* of a quota; @inodes: also a ticket that is to be over; @bytes: also the holder of a lease, a listing's age */
	const void *value;	/* of xattrs, links */
	size_t len;
	bool create, replace;	/* of rename: noreplace, exchange; of node_set: drain, undrain; a last page */
	bool kill_setgid;
	const char *source, *options;	/* of a mount, whose path is @name, as of a policy; @source: a node's address; NULL: absent */
	uint64_t generation;	/* the same; 0: absent */
	Metad__Setattr set;	/* all but its ino */
	/*
	 * Of jobs: @ino is the id, @name the path, @mode the kind, @to the node; of a report
	 * @level the state in which it ends, @inodes the files, @uid the errors, @source the first.
	 */
	uint64_t session, request, lowest;
};

/* A packed entry, to be freed. Aborts without memory. */
uint8_t *req_pack(const struct req *r, size_t n, uint64_t time,
		  uint64_t first_ino, size_t *len);

/* A packed command alone, likewise. */
uint8_t *req_pack_command(const struct req *r, size_t *len);

#endif
