// SPDX-License-Identifier: Apache-2.0
#include "decode.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "ns.h"
#include "op.h"

/* Where memory ran out, and where the bytes are at fault, protobuf-c says the same. */
static void *unpack_alloc(void *failed, size_t size)
{
	void *p = malloc(size);

	if (!p)
		*(bool *)failed = true;
	return p;
}

static void unpack_free(void *failed, void *p)
{
	(void)failed;
	free(p);
}

int metad_unpack(const ProtobufCMessageDescriptor *of, const void *buf, size_t len, void *res)
{
	bool no_memory = false;
	ProtobufCAllocator mem = { unpack_alloc, unpack_free, &no_memory };
	ProtobufCMessage *m = protobuf_c_message_unpack(of, &mem, len, buf);

	*(ProtobufCMessage **)res = m;
	return m ? 0 : no_memory ? -ENOMEM : -EPROTO;
}

bool metad_is_leaders(const Metad__Command *c)
{
	return !c->session || c->op_case == METAD__COMMAND__OP_FEATURE ||
	       c->op_case == METAD__COMMAND__OP_SESSION_LEASE ||
	       c->op_case == METAD__COMMAND__OP_SET_QUOTA ||
	       c->op_case == METAD__COMMAND__OP_REMOVE_QUOTA;
}

bool metad_is_operators(const Metad__Command *c)
{
	return c->op_case == METAD__COMMAND__OP_MOUNT_ADD ||
	       c->op_case == METAD__COMMAND__OP_MOUNT_SET ||
	       c->op_case == METAD__COMMAND__OP_MOUNT_REMOVE ||
	       c->op_case == METAD__COMMAND__OP_NODE_SET ||
	       c->op_case == METAD__COMMAND__OP_NODE_REMOVE ||
	       c->op_case == METAD__COMMAND__OP_POLICY_SET ||
	       c->op_case == METAD__COMMAND__OP_POLICY_REMOVE;
}

const char *metad_check_command(const Metad__Command *c, uint32_t level)
{
	if (!op_find(c->op_case))
		return "it has a command that this version does not know";
	if (op_level(c->op_case) > level)
		return "it has a command of a feature level above this member's";
	/* All members of the union point to messages. */
	if (c->base.n_unknown_fields || c->noop->base.n_unknown_fields)
		return "a command has a field that this version does not know";
	if (c->op_case == METAD__COMMAND__OP_FEATURE && c->feature->level > level)
		return "it raises the feature level above this member's";
	return NULL;
}

static const char *check_entry(const Metad__Entry *e, uint32_t level)
{
	const char *why = NULL;

	if (e->base.n_unknown_fields)
		return "it has a field that this version does not know";
	if (e->feature_level > level)
		return "it is of a feature level above this member's";
	if (e->n_commands > DATAFS_METAD_COMMANDS_MAX)
		return "it has more commands than one may have";
	for (size_t i = 0; i < e->n_commands && !why; i++)
		why = metad_check_command(e->commands[i], level);
	return why;
}

int metad_decode_entry(const void *buf, size_t len, uint32_t level, Metad__Entry **res,
		       const char **why)
{
	Metad__Entry *e;
	int ret = metad_unpack(&metad__entry__descriptor, buf, len, &e);

	*why = e ? check_entry(e, level) : "it cannot be decoded";
	if (e && !*why) {
		*res = e;
		return 0;
	}
	metad__entry__free_unpacked(e, NULL);
	return ret ? ret : -EPROTO;
}

int metad_decode_command(const void *buf, size_t len, Metad__Command **res,
			 const char **why)
{
	Metad__Command *c;
	int ret = metad_unpack(&metad__command__descriptor, buf, len, &c);

	*why = c ? metad_check_command(c, DATAFS_METAD_LEVEL) : "it cannot be decoded";
	if (c && !*why) {
		*res = c;
		return 0;
	}
	metad__command__free_unpacked(c, NULL);
	return ret ? ret : -EPROTO;
}
