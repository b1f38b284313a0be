/* SPDX-License-Identifier: Apache-2.0 */
/* What datafs-metad is told: base/options.h says how. */
#ifndef DATAFS_METAD_CONFIG_H
#define DATAFS_METAD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "metad/ns.h"
#include "metad/raft_conf.h"
#include "wire/address.h"
#include "wire/keys.h"

struct datafs_metad_config {
	uint64_t id;
	char dir[3072], key_file[3072];
	char listen[DATAFS_ADDRESS_MAX + 1];
	struct datafs_raft_peer peers[DATAFS_RAFT_SERVERS_MAX];
	unsigned int n_peers;
	char peers_text[4096];		/* what the peers' addresses point into */
	bool no_authentication, has_cluster;
	uint8_t cluster[DATAFS_CLUSTER_LEN];
	bool bootstrap, join;		/* make the directory, and end */
	unsigned int threshold, trailing;
	uint32_t level;			/* 0: that of this version */
	uint32_t lease;			/* milliseconds */
	uint32_t session;		/* seconds */
	struct datafs_metad_memory memory;
	int ready_fd;			/* -1: nobody wants to know */
	bool help, version;
};

/*
 * 0, or -EINVAL after one line in the log saying what was wrong, also of what is
 * missing or contradicts itself. Sets the log's level.
 */
int datafs_metad_config_parse(struct datafs_metad_config *cfg, int argc, char **argv);
/* For --help. */
void datafs_metad_config_usage(void);
/*
 * The keys that it names, or none if it says that authentication is off. 0, or an
 * error that was logged.
 */
int datafs_metad_config_keys(const struct datafs_metad_config *cfg, struct datafs_keys *res);

#endif
