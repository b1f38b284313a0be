// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX	(DATAFS_ADDRESS_MAX + 1)

/* The host without brackets, and where the port begins; NULL: no address. */
static const char *split(const char *text, char host[HOST_MAX])
{
	const char *colon = strrchr(text, ':');
	size_t len;

	if (!colon || colon == text || strlen(text) > DATAFS_ADDRESS_MAX)
		return NULL;
	len = (size_t)(colon - text);
	if (*text == '[') {
		if (len < 3 || text[len - 1] != ']')
			return NULL;
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return NULL;
	}
	memcpy(host, text, len);
	host[len] = 0;
	return colon + 1;
}

int datafs_address_check(const char *text, bool any)
{
	char host[HOST_MAX], *end;
	const char *port = split(text, host);
	unsigned long n;

	if (!port || *port < '0' || *port > '9')
		return -EINVAL;
	n = strtoul(port, &end, 10);
	return *end || n > 65535 || (!n && !any) ? -EINVAL : 0;
}

static int error_of(int said)
{
	switch (said) {
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_SYSTEM:
		return -errno;
	default:
		return -ENOENT;
	}
}

int datafs_address_resolve(const char *text, bool numeric, struct datafs_address *res)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : 0),
	}, *found;
	char host[HOST_MAX];
	const char *port;
	int said;

	if (datafs_address_check(text, true))
		return -EINVAL;
	port = split(text, host);
	said = getaddrinfo(host, port, &hints, &found);
	if (said)
		return numeric && said == EAI_NONAME ? -EINVAL : error_of(said);
	memcpy(&res->sa, found->ai_addr, found->ai_addrlen);
	res->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}
