// SPDX-License-Identifier: Apache-2.0
#include "metad/nodes.h"

#include <stdbool.h>
#include <string.h>

#define STATES	(DATAFS_NODE_AWAY + 1)

unsigned int datafs_node_next(unsigned int state, enum datafs_node_event event)
{
	static const uint8_t next[DATAFS_NODE_EVENTS][STATES] = {
		[DATAFS_NODE_JOINS] = {
			[DATAFS_NODE_JOINED] = DATAFS_NODE_JOINED,
			[DATAFS_NODE_DRAINING] = DATAFS_NODE_DRAINING,
			[DATAFS_NODE_AWAY] = DATAFS_NODE_JOINED,
		},
		[DATAFS_NODE_DRAIN] = {
			[DATAFS_NODE_JOINED] = DATAFS_NODE_DRAINING,
			[DATAFS_NODE_DRAINING] = DATAFS_NODE_DRAINING,
		},
		[DATAFS_NODE_UNDRAIN] = {
			[DATAFS_NODE_JOINED] = DATAFS_NODE_JOINED,
			[DATAFS_NODE_DRAINING] = DATAFS_NODE_JOINED,
		},
		[DATAFS_NODE_REMOVE] = {
			[DATAFS_NODE_DRAINING] = DATAFS_NODE_DRAINING,
			[DATAFS_NODE_AWAY] = DATAFS_NODE_AWAY,
		},
		[DATAFS_NODE_ENDS] = {
			[DATAFS_NODE_JOINED] = DATAFS_NODE_AWAY,
			[DATAFS_NODE_DRAINING] = DATAFS_NODE_AWAY,
		},
	};

	return state < STATES && event < DATAFS_NODE_EVENTS ? next[event][state] : 0;
}

const char *datafs_node_state_name(unsigned int state)
{
	static const char *const names[STATES] = {
		[DATAFS_NODE_JOINED] = "joined",
		[DATAFS_NODE_DRAINING] = "draining",
		[DATAFS_NODE_AWAY] = "away",
	};

	return state < STATES && names[state] ? names[state] : "?";
}

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const char *datafs_node_name_wrong(const void *name, size_t len)
{
	const uint8_t *p = name;

	if (!len)
		return "it is empty";
	if (len > DATAFS_NODE_NAME_MAX)
		return "it is longer than 64 bytes";
	if (!is_alnum(*p))
		return "it does not begin with a letter or a digit";
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(p[i]) && p[i] != '-' && p[i] != '.' && p[i] != '_')
			return "it has other characters than letters, digits, '-', '.' and '_'";
	return NULL;
}

static bool is_port(const uint8_t *p, size_t len)
{
	unsigned int port = 0;

	if (!len || len > 5 || *p == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		port = port * 10 + p[i] - '0';
	}
	return port <= UINT16_MAX;
}

const char *datafs_node_address_wrong(const void *address, size_t len)
{
	const uint8_t *p = address;
	size_t host = len;

	if (!len)
		return NULL;
	if (len > DATAFS_NODE_ADDRESS_MAX)
		return "it is longer than 255 bytes";
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x21 || p[i] > 0x7e)
			return "it has a space, or a character that is not ASCII";
	while (host && p[host - 1] != ':')
		host--;
	return host > 1 && is_port(p + host, len - host) ? NULL : "it is not HOST:PORT";
}
