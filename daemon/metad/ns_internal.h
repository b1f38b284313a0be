/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_METAD_NS_INTERNAL_H
#define DATAFS_METAD_NS_INTERNAL_H

#include "schema.h"

/*
 * Faults that a test plants, to see that it would find them: it defines this
 * function. In a program without such a test it is not there.
 */
enum datafs_metad_plant {
	DATAFS_METAD_PLANT_TWICE,	/* what was answered before is done again */
	DATAFS_METAD_PLANT_LOST,	/* some of what is answered was not done */
	DATAFS_METAD_PLANT_AWAY,	/* a session's end leaves the routing version as it was */
};
bool datafs_metad_plant(enum datafs_metad_plant what) __attribute__((weak));

static inline bool metad_planted(enum datafs_metad_plant what)
{
	return datafs_metad_plant && datafs_metad_plant(what);
}

/*
 * A member runs until it meets an entry that it cannot apply as the others do;
 * there is no way back but a new start.
 */
enum metad_state { METAD_RUNS, METAD_HALTED };

struct datafs_metad {
	char *dir;
	uint32_t level;		/* the highest that it takes part in */
	leveldb_t *db;
	leveldb_options_t *opt;
	leveldb_filterpolicy_t *filter;
	leveldb_cache_t *block_cache;
	leveldb_readoptions_t *ropt;
	leveldb_writeoptions_t *wopt;

	/* The rest is the applier's alone; reads take all from the database. */
	struct rec_node n;	/* as it is in the database */
	enum metad_state state;
	int halted;		/* why, a negative errno */
};

#endif
