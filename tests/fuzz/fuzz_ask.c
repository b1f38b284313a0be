// SPDX-License-Identifier: Apache-2.0
/*
 * Arbitrary bytes as what a client asks. What must hold: a command that is accepted
 * is of a session, and an entry with it is understood by all members; a question or
 * a change that is accepted says what it is. And as a piece of a snapshot: a name in
 * it leads nowhere else; and as a recall, which is the other way: a name in it is one.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "meta/recall.h"
#include "metad/ask.h"
#include "metad/decode.h"
#include "metad/ns.h"
#include "metad/piece.h"
#include "metad/touched.h"

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

/* The names that a command changes are in it. */
static void check_names(const Metad__Command *c)
{
	struct datafs_grant_object names[DATAFS_TOUCHED_NAMES];
	unsigned int n = datafs_touched_names(c, names), sum = 0;

	MUST(n <= DATAFS_TOUCHED_NAMES && (!n || datafs_touches(c)));
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k < names[i].len; k++)
			sum += (uint8_t)names[i].name[k];
	MUST(sum <= n * 255 * 255);
}

static void as_ask(const uint8_t *data, size_t size)
{
	struct datafs_ask ask;
	int ret = datafs_ask_decode(data, size, &ask);

	MUST(!ret || ret == -EPROTO || ret == -EINVAL);
	MUST(!ret || (!ask.what && !ask.command));
	if (ret)
		return;
	if (ask.command) {
		check_command(&ask);
		check_names(ask.command);
	} else if (ask.what->what_case == METAD__ASK__WHAT_QUERY) {
		MUST(ask.what->query->of_case && ask.what->query->getattr);
	} else if (ask.what->what_case == METAD__ASK__WHAT_LEASE) {
		MUST(ask.what->lease->session);
	} else {
		MUST(ask.what->admin->of_case && ask.what->admin->add);
	}
	datafs_ask_free(&ask);
}

static void as_recall(const uint8_t *data, size_t size)
{
	struct datafs_recall r;
	unsigned int sum = 0;
	int ret = datafs_recall_decode(data, size, &r);

	MUST(!ret || ret == -EPROTO);
	if (ret)
		return;
	MUST(r.m->session && r.n <= DATAFS_RECALL_OBJECTS);
	for (unsigned int i = 0; i < r.n; i++) {
		MUST(r.objects[i].ino && r.objects[i].kind <= DATAFS_GRANT_MOUNTS);
		for (unsigned int k = 0; k < r.objects[i].len; k++)
			sum += (uint8_t)r.objects[i].name[k];
	}
	MUST(sum <= r.n * 255 * 255);
	datafs_recall_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_piece_frame piece;

	as_ask(data, size);
	as_recall(data, size);
	if (!datafs_piece_decode(data, size, &piece) && piece.kind == DATAFS_PIECE_ASK)
		MUST(!strchr(piece.name, '/') && piece.piece.len <= DATAFS_MEMBER_PIECE_MAX);
	return 0;
}
