// SPDX-License-Identifier: Apache-2.0
#include "meta/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "wire/address.h"

#define NAME_CHARS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define PORT_DIGITS	5

enum datafs_source_kind datafs_source_kind(const char *source)
{
	const char *at = strstr(source, ":/");

	/* "./a:/b" is a path, and "a://b" a URL. */
	if (*source == '/' || *source == '.' || !at || at[2] == '/')
		return DATAFS_SOURCE_UNDER;
	return at == source ? DATAFS_SOURCE_OWN : DATAFS_SOURCE_QUORUM;
}

/* A zone may follow: it is the resolver's to know. */
static bool is_ipv6(const char *text, size_t len)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr in;
	size_t n = strcspn(text, "%]");

	if (n >= sizeof(address) || (n < len && n + 1 == len))
		return false;
	memcpy(address, text, n);
	address[n] = 0;
	return inet_pton(AF_INET6, address, &in) == 1;
}

static bool is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");
	unsigned long port = strtoul(text, NULL, 10);

	return n && n <= PORT_DIGITS && !text[n] && port && port <= 65535;
}

/* Where the port begins, with its colon, or the end; NULL and what is wrong. */
static const char *host_end(const char *text, const char **wrong)
{
	const char *end;

	*wrong = NULL;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || !is_ipv6(text + 1, (size_t)(end - text - 1)))
			*wrong = "in brackets there is an IPv6 address";
		else if (end[1] && end[1] != ':')
			*wrong = "after the bracket there is nothing but a port";
		return *wrong ? NULL : end + 1;
	}
	end = text + strspn(text, NAME_CHARS);
	if (end == text)
		*wrong = "a host is missing";
	else if (*end && *end != ':')
		*wrong = "that is no name of a host";
	else if (*end && strchr(end + 1, ':'))
		*wrong = "an IPv6 address is to be in brackets";
	return *wrong ? NULL : end;
}

static bool is_in(const char *list, const char *text)
{
	size_t len = strlen(text), n;

	for (; *list; list += n + !!list[n]) {
		n = strcspn(list, ",");
		if (n == len && !memcmp(list, text, len))
			return true;
	}
	return false;
}

/* Appends it; or what is wrong with it. */
static const char *add(char *list, const char *text)
{
	char full[DATAFS_ADDRESS_MAX + 1];
	const char *wrong, *port;
	int n;

	port = host_end(text, &wrong);
	if (wrong)
		return wrong;
	if (*port && !is_port(port + 1))
		return "a port is a number from 1 to 65535";
	n = snprintf(full, sizeof(full), "%s%s", text, *port ? "" : ":" DATAFS_SOURCE_PORT);
	if (n >= (int)sizeof(full))
		return "it is too long";
	if (is_in(list, full))
		return "it is there twice";
	if (*list)
		strcat(list, ",");
	strcat(list, full);
	return NULL;
}

static int bad(const char *source, const char *text, const char *wrong, char *err,
	       size_t errlen)
{
	snprintf(err, errlen, "source %.80s: host \"%.80s\": %s", source, text, wrong);
	/* One line, whatever was typed. */
	for (; *err; err++)
		if ((unsigned char)*err < ' ')
			*err = '?';
	return -EINVAL;
}

int datafs_source_parse(const char *source, struct datafs_source *res, char *err,
			size_t errlen)
{
	const char *at = source, *end = strstr(source, ":/"), *wrong;
	char text[DATAFS_ADDRESS_MAX + 1];
	unsigned int n = 0;
	size_t len;

	*res->members = 0;
	res->dir = end + 1;
	if (end - source > DATAFS_SOURCE_MAX)
		return bad(source, source, "the list is too long", err, errlen);
	while (end > source) {
		len = DATAFS_MIN(strcspn(at, ","), (size_t)(end - at));
		if (len >= sizeof(text))
			return bad(source, at, "it is too long", err, errlen);
		memcpy(text, at, len);
		text[len] = 0;
		wrong = n++ < DATAFS_SOURCE_MEMBERS ? add(res->members, text) :
						     "a quorum has not so many members";
		if (wrong)
			return bad(source, text, wrong, err, errlen);
		at += len;
		if (at == end)
			break;
		at++;
	}
	return 0;
}
