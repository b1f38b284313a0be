// SPDX-License-Identifier: Apache-2.0
#include "metad/raft_conf.h"

#include <errno.h>
#include <string.h>

/*
 * Of one server: u64 id, the address with its NUL, u8 role. NULL: it is none, or
 * goes beyond @end.
 */
static const uint8_t *skip_server(const uint8_t *p, const uint8_t *end)
{
	static const uint8_t no_id[8];
	const uint8_t *nul;

	if (end - p < 8 || !memcmp(p, no_id, 8))
		return NULL;
	p += 8;
	nul = memchr(p, 0, (size_t)(end - p));
	if (!nul || nul - p > (long)DATAFS_RAFT_ADDRESS_MAX || end - nul < 2 ||
	    nul[1] > RAFT_SPARE)
		return NULL;
	return nul + 2;
}

/* u8 1, u64 servers (little-endian), the servers, zeroes up to a multiple of 8. */
int datafs_raft_conf_check(const void *buf, size_t len)
{
	struct raft_buffer whole = { .base = (void *)buf, .len = len };
	const uint8_t *p = buf, *end = p + len;
	struct raft_configuration conf;
	int rv;

	if (len % 8 || len < 16 || p[0] != 1 || !p[1] || p[1] > DATAFS_RAFT_SERVERS_MAX)
		return -EBADMSG;
	for (unsigned int i = 2; i < 9; i++)
		if (p[i])
			return -EBADMSG;
	p += 9;
	for (unsigned int n = ((const uint8_t *)buf)[1]; n; n--) {
		p = skip_server(p, end);
		if (!p)
			return -EBADMSG;
	}
	if (end - p >= 8)
		return -EBADMSG;
	/* now it can be trusted with it: it finds what is there twice */
	rv = raft_configuration_decode(&whole, &conf);
	if (rv)
		return rv == RAFT_NOMEM ? -ENOMEM : -EBADMSG;
	raft_configuration_close(&conf);
	return 0;
}

int datafs_raft_conf_copy(const struct raft_configuration *from,
			  struct raft_configuration *to)
{
	raft_configuration_init(to);
	for (unsigned int i = 0; i < from->n; i++) {
		const struct raft_server *s = &from->servers[i];

		if (raft_configuration_add(to, s->id, s->address, s->role)) {
			raft_configuration_close(to);
			raft_configuration_init(to);
			return -ENOMEM;
		}
	}
	return 0;
}

int datafs_raft_conf_first(const struct datafs_raft_peer *peers, unsigned int n,
			   struct raft_configuration *res)
{
	raft_configuration_init(res);
	if (!n || n > DATAFS_RAFT_SERVERS_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < n; i++) {
		int rv = strlen(peers[i].address) > DATAFS_RAFT_ADDRESS_MAX ? RAFT_INVALID :
			raft_configuration_add(res, peers[i].id, peers[i].address, RAFT_VOTER);

		if (rv) {
			raft_configuration_close(res);
			return rv == RAFT_NOMEM ? -ENOMEM : -EINVAL;
		}
	}
	return 0;
}
