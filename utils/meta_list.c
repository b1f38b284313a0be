// SPDX-License-Identifier: Apache-2.0
/* What a quorum lists, in pieces: all of one version, or once more. See meta_internal.h. */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "meta_internal.h"
#include "report.h"

bool meta_list(const struct meta_request *q, struct meta_listing *l)
{
	bool begun = false, eof = false;
	uint64_t version = 0;
	Metad__Answer *a;
	size_t n;

	l->changed = false;
	l->begin(l);
	while (!eof && !l->changed) {
		a = meta_ask(q, &l->query);
		if (!a)
			return false;
		if (a->error) {
			warnx("%s", strerror((int)a->error));
			metad__answer__free_unpacked(a, NULL);
			return false;
		}
		n = l->piece(l, a, &version);
		l->changed = begun && version != l->version;
		begun = true;
		l->version = version;
		eof = a->eof || !n;
		metad__answer__free_unpacked(a, NULL);
	}
	return true;
}

int meta_list_print(const struct meta_request *q, struct meta_listing *l, const char *what)
{
	char *text = NULL;
	size_t len;
	bool ok;

	do {
		free(text);
		text = NULL;
		l->f = open_memstream(&text, &len);
		if (!l->f)
			err(DATAFS_EXIT_FAIL, "%s", what);
		ok = meta_list(q, l);
		fclose(l->f);
	} while (ok && l->changed);
	if (ok)
		printf("version %llu\n%s", (unsigned long long)l->version, text);
	free(text);
	return ok ? 0 : DATAFS_EXIT_FAIL;
}
