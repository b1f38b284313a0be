// SPDX-License-Identifier: Apache-2.0
/*
 * Arbitrary bytes as a command that somebody submits. What must hold: what is taken
 * as one is understood in an entry, too, behind others and before them, as the same;
 * what is refused would not be.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "metad/decode.h"
#include "metad/ns.h"

#define COPIES	3
#define HEAD	6	/* a tag, and a length up to 2^35 */

static size_t put_command(uint8_t *p, const uint8_t *data, size_t size)
{
	size_t at = 0, left = size;

	p[at++] = 4 << 3 | 2;
	for (; left > 0x7f; left >>= 7)
		p[at++] = (uint8_t)(left | 0x80);
	p[at++] = (uint8_t)left;
	memcpy(p + at, data, size);
	return at + size;
}

static uint8_t *packed(const Metad__Command *c, size_t *len)
{
	uint8_t *buf;

	*len = metad__command__get_packed_size(c);
	buf = malloc(*len + 1);
	MUST(buf);
	MUST(metad__command__pack(c, buf) == *len);
	return buf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *entry = malloc(COPIES * (size + HEAD)), *is, *want;
	size_t len = 0, is_len, want_len;
	const char *why = NULL;
	Metad__Command *c;
	Metad__Entry *e;
	int err = metad_decode_command(data, size, &c, &why);

	MUST(entry && (!err || (err == -EPROTO && why)));
	for (int i = 0; i < COPIES; i++)
		len += put_command(entry + len, data, size);
	MUST(metad_decode_entry(entry, len, DATAFS_METAD_LEVEL, &e, &why) == err);
	if (!err) {
		want = packed(c, &want_len);
		MUST(e->n_commands == COPIES);
		for (int i = 0; i < COPIES; i++) {
			is = packed(e->commands[i], &is_len);
			MUST(is_len == want_len && !memcmp(is, want, is_len));
			free(is);
		}
		free(want);
		metad__entry__free_unpacked(e, NULL);
		metad__command__free_unpacked(c, NULL);
	}
	free(entry);
	return 0;
}
