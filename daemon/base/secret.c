// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <string.h>

struct piece {
	const char *p;
	size_t len;
};

/* Where the first of @chars is, or the end. */
static size_t upto(struct piece t, const char *chars)
{
	size_t n = 0;

	while (n < t.len && !strchr(chars, t.p[n]))
		n++;
	return n;
}

/*
 * "USER:PASSWORD@HOST". A password may have any of "/?#", where an URL's authority ends:
 * so what is behind a colon there, and is no port, is taken for one if an '@' follows.
 */
static bool is_secret(struct piece rest, bool ports)
{
	size_t end = upto(rest, "/?#"), at = end;

	while (at && rest.p[at - 1] != '@')
		at--;
	if (at)
		return memchr(rest.p, ':', at);
	/* [::1]:8080 */
	if (end && rest.p[0] == '[')
		at = upto(rest, "]");
	while (at < end && rest.p[at] != ':')
		at++;
	for (at++; at < end; at++)
		if (!ports || rest.p[at] < '0' || rest.p[at] > '9')
			return memchr(rest.p + end, '@', rest.len - end);
	return false;
}

bool datafs_has_password(const char *text, size_t len)
{
	for (size_t i = 0; i + 3 <= len; i++)
		if (!memcmp(text + i, "://", 3) &&
		    is_secret((struct piece){ text + i + 3, len - i - 3 },
			      /* a bucket has none */
			      i < 2 || memcmp(text + i - 2, "s3", 2)))
			return true;
	return false;
}
