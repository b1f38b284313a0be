// SPDX-License-Identifier: Apache-2.0
/* What of a source is a secret. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "under.h"

#define PORT_DIGITS	5

/* A ':' in @host[@len] that no port follows: behind it is what is not to be seen. */
static bool has_password(const char *host, size_t len, bool ports)
{
	const char *close = memchr(host, ']', len), *from = close ? close : host;
	const char *colon = memchr(from, ':', len - (from - host));
	size_t digits = 0, left;

	if (!colon)
		return false;
	left = host + len - (colon + 1);
	while (digits < left && isdigit((unsigned char)colon[1 + digits]))
		digits++;
	return !ports || digits < left || digits > PORT_DIGITS;
}

bool datafs_under_source_secret(const char *source)
{
	const char *host = strstr(source, "://");
	bool ports = strncmp(source, "s3:", 3); /* a bucket has none */
	size_t len;

	if (!host)
		return false;
	host += strlen("://");
	/* http:///user@host is taken for http://user@host. */
	if (strncmp(source, "posix:", 6))
		host += strspn(host, "/");
	len = strcspn(host, "/?#");
	if (memchr(host, '@', len))
		return true;
	/* A key may have a '/' in it, which seems to end the host. */
	return strchr(host, '@') && has_password(host, len, ports);
}

const char *datafs_under_source_shown(const char *source, char *buf, size_t size)
{
	if (datafs_under_source_secret(source))
		snprintf(buf, size, "%.*s://...%s", (int)strcspn(source, ":"), source,
			 strrchr(source, '@'));
	else
		snprintf(buf, size, "%s", source);
	return buf;
}
