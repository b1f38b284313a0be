// SPDX-License-Identifier: Apache-2.0
#include "metad/ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "metad/decode.h"
#include "metad/op.h"

static bool is_known(const struct ProtobufCMessage *m);

/* The field holds a message that is set, and has something unknown. */
static bool field_unknown(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *at = (const char *)m + f->offset;
	const char *quantifier = (const char *)m + f->quantifier_offset;
	const ProtobufCMessage *below;

	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return false;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		for (size_t i = 0; i < *(const size_t *)quantifier; i++)
			if (!is_known((*(ProtobufCMessage *const *const *)at)[i]))
				return true;
		return false;
	}
	/* all members of a union are at one place */
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(const uint32_t *)quantifier != f->id)
		return false;
	below = *(const ProtobufCMessage *const *)at;
	return below && !is_known(below);
}

static bool is_known(const ProtobufCMessage *m)
{
	if (m->n_unknown_fields)
		return false;
	for (unsigned int i = 0; i < m->descriptor->n_fields; i++)
		if (field_unknown(m, &m->descriptor->fields[i]))
			return false;
	return true;
}

static int decode_command(ProtobufCBinaryData b, struct datafs_ask *res)
{
	const char *why;
	int err;

	if (b.len > DATAFS_MEMBER_OP_MAX)
		return -EMSGSIZE;
	err = metad_decode_command(b.data, b.len, &res->command, &why);
	if (err)
		return err;
	/* what may have a password does not come into the log */
	return metad_is_leaders(res->command) || op_mount_wrong(res->command) ? -EINVAL : 0;
}

static int check(struct datafs_ask *a)
{
	if (!is_known(&a->what->base))
		return -EPROTO;
	switch (a->what->what_case) {
	case METAD__ASK__WHAT_COMMAND:
		return decode_command(a->what->command, a);
	case METAD__ASK__WHAT_QUERY:
		return a->what->query->of_case ? 0 : -EPROTO;
	case METAD__ASK__WHAT_ADMIN:
		return a->what->admin->of_case ? 0 : -EPROTO;
	case METAD__ASK__WHAT_LEASE:
		return a->what->lease->session ? 0 : -EINVAL;
	default:
		return -EPROTO;
	}
}

int datafs_ask_decode(const void *buf, size_t len, struct datafs_ask *res)
{
	int err;

	*res = (struct datafs_ask){ 0 };
	if (len > DATAFS_ASK_MAX)
		return -EMSGSIZE;
	err = metad_unpack(&metad__ask__descriptor, buf, len, &res->what);
	if (!err)
		err = check(res);
	if (err)
		datafs_ask_free(res);
	return err;
}

void datafs_ask_free(struct datafs_ask *ask)
{
	if (ask->what)
		metad__ask__free_unpacked(ask->what, NULL);
	if (ask->command)
		metad__command__free_unpacked(ask->command, NULL);
	*ask = (struct datafs_ask){ 0 };
}
