// SPDX-License-Identifier: Apache-2.0
/*
 * Arbitrary bytes as what a client asks. What must hold: a command that is accepted
 * is of a session, and an entry with it is understood by all members; a question or
 * a change that is accepted says what it is. And as a piece of a snapshot: a name in
 * it leads nowhere else.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "metad/ask.h"
#include "metad/decode.h"
#include "metad/ns.h"
#include "metad/piece.h"

static void check_command(const struct datafs_ask *ask)
{
	ProtobufCBinaryData c = ask->what->command;
	uint8_t *entry = malloc(c.len + 16), *p = entry;
	Metad__Entry *e;
	const char *why;
	size_t n;

	MUST(entry && ask->command->session && c.len <= DATAFS_MEMBER_OP_MAX);
	*p++ = 4 << 3 | 2;
	for (n = c.len; n > 127; n >>= 7)
		*p++ = (uint8_t)(n | 128);
	*p++ = (uint8_t)n;
	memcpy(p, c.data, c.len);
	MUST(!metad_decode_entry(entry, (size_t)(p - entry) + c.len, DATAFS_METAD_LEVEL, &e, &why));
	MUST(e->n_commands == 1 && e->commands[0]->op_case == ask->command->op_case &&
	     e->commands[0]->op_case != METAD__COMMAND__OP_FEATURE);
	metad__entry__free_unpacked(e, NULL);
	free(entry);
}

static void as_ask(const uint8_t *data, size_t size)
{
	struct datafs_ask ask;
	int ret = datafs_ask_decode(data, size, &ask);

	MUST(!ret || ret == -EPROTO || ret == -EINVAL);
	MUST(!ret || (!ask.what && !ask.command));
	if (ret)
		return;
	if (ask.command)
		check_command(&ask);
	else if (ask.what->what_case == METAD__ASK__WHAT_QUERY)
		MUST(ask.what->query->of_case && ask.what->query->getattr);
	else
		MUST(ask.what->admin->of_case && ask.what->admin->add);
	datafs_ask_free(&ask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_piece_frame piece;

	as_ask(data, size);
	if (!datafs_piece_decode(data, size, &piece) && piece.kind == DATAFS_PIECE_ASK)
		MUST(!strchr(piece.name, '/') && piece.piece.len <= DATAFS_MEMBER_PIECE_MAX);
	return 0;
}
