/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of libraft: who is in the quorum, and as what. */
#ifndef DATAFS_RAFT_CONF_H
#define DATAFS_RAFT_CONF_H

#include <stddef.h>
#include <stdint.h>

#include <raft.h>

#define DATAFS_RAFT_SERVERS_MAX	32u
#define DATAFS_RAFT_ADDRESS_MAX	255u

/*
 * Is it a configuration as libraft encodes one, within these bounds? Its own
 * decoder trusts the number of servers. 0, -EBADMSG, -ENOMEM.
 */
int datafs_raft_conf_check(const void *buf, size_t len);

/* 0 or -ENOMEM; then @to is empty. */
int datafs_raft_conf_copy(const struct raft_configuration *from,
			  struct raft_configuration *to);

struct datafs_raft_peer {
	uint64_t id;
	const char *address;
};

/*
 * The first configuration of a quorum, all of it voters: each of its members has
 * it as the first entry of its log. 0, -ENOMEM, -EINVAL.
 */
int datafs_raft_conf_first(const struct datafs_raft_peer *peers, unsigned int n,
			   struct raft_configuration *res);

#endif
