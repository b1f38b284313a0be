/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a node is, as an operator writes it: "HOST:PORT", with a name, an IPv4
 * address or "[IPv6 address]" for the host.
 */
#ifndef DATAFS_WIRE_ADDRESS_H
#define DATAFS_WIRE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define DATAFS_ADDRESS_MAX	255u	/* bytes of the text */

struct datafs_address {
	struct sockaddr_storage sa;
	socklen_t len;
};

/*
 * @numeric: a host's name is -EINVAL, and nothing blocks. Else it may block on
 * the resolver, for seconds. 0, -EINVAL (no address), -ENOENT (no such host),
 * -EAGAIN (the resolver does not know now), -ENOMEM.
 */
int datafs_address_resolve(const char *text, bool numeric, struct datafs_address *res);

/* Port 0 is allowed only with @any. 0 or -EINVAL; the host is not looked up. */
int datafs_address_check(const char *text, bool any);

#endif
