// SPDX-License-Identifier: Apache-2.0
/* What of a source is a secret. */
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "under.h"

bool datafs_under_source_secret(const char *source)
{
	const char *host = strstr(source, "://");

	if (!host)
		return false;
	host += strlen("://");
	/* http:///user@host is taken for http://user@host. */
	if (strncmp(source, "posix:", 6))
		host += strspn(host, "/");
	return memchr(host, '@', strcspn(host, "/?#")) ||
	       datafs_has_password(source, strlen(source));
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
