/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The segments of libraft's log that were being written when a member ended ("open-N"), as
 * libraft 0.22.1 writes them; all numbers are little-endian:
 *
 *	format 8	1
 *	batches:	CRC of the header 4, of the data 4; the header: entries 8, and of each
 *			term 8, type 1, nothing 3, bytes 4; the data: those bytes
 *	zeros, to the end
 *
 * A batch is what one write was asked for. The CRCs are those of polynomial 0x04c11db7, the
 * highest bit first, from 0 on.
 */
#ifndef DATAFS_RAFT_SEGMENT_H
#define DATAFS_RAFT_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum datafs_segment {
	SEGMENT_SOUND,		/* or damaged in a way that libraft finds */
	SEGMENT_CUT_OFF,	/* a batch goes on behind its end */
	SEGMENT_TORN,		/* the last batch was not written to its end */
};

/*
 * Looks at all of a segment. *@at: where the batch begins, if it is not sound.
 *
 * A batch is torn if its header is whole and its data is not, all behind it is zero, and
 * so is a sector (512 bytes) of the data: what was never written. So was never said to be.
 */
enum datafs_segment datafs_segment_check(const uint8_t *buf, size_t len, size_t *at);

/*
 * Of all open segments in @dir, before libraft reads them. It would end the process at one
 * that is cut off, and refuse one that is torn: that batch is made zeros, which is logged.
 * 0; -EUCLEAN: cut off, which was logged; -ENOMEM, or another error of reading.
 */
int datafs_segments_mend(const char *dir);

#endif
