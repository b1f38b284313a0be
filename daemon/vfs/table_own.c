// SPDX-License-Identifier: Apache-2.0
/* The table of the daemon's own namespace, which no member elsewhere changes. */
#include "table.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/word.h"
#include "metad/mounts.h"

static ProtobufCBinaryData text(const char *s)
{
	return (ProtobufCBinaryData) { strlen(s), (uint8_t *)s };
}

/* What a member would not take. */
static const char *wrong(const struct datafs_table_change *c)
{
	const char *why = datafs_mount_path_wrong(c->path, strlen(c->path));

	if (!why && c->op == DATAFS_TABLE_ADD)
		why = datafs_mount_source_wrong(c->source, strlen(c->source));
	if (!why && c->op != DATAFS_TABLE_REMOVE)
		why = datafs_mount_options_wrong(c->options, strlen(c->options));
	return why;
}

static int change(struct datafs_quorum *q, const struct datafs_table_change *t)
{
	Metad__MountAdd add = METAD__MOUNT_ADD__INIT;
	Metad__MountSet set = METAD__MOUNT_SET__INIT;
	Metad__MountRemove rm = METAD__MOUNT_REMOVE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	switch (t->op) {
	case DATAFS_TABLE_ADD:
		add.has_path = add.has_source = add.has_options = true;
		add.path = text(t->path);
		add.source = text(t->source);
		add.options = text(t->options);
		c.op_case = METAD__COMMAND__OP_MOUNT_ADD;
		c.mount_add = &add;
		break;
	case DATAFS_TABLE_SET:
		set.has_path = set.has_options = true;
		set.has_generation = t->generation;
		set.generation = t->generation;
		set.path = text(t->path);
		set.options = text(t->options);
		c.op_case = METAD__COMMAND__OP_MOUNT_SET;
		c.mount_set = &set;
		break;
	case DATAFS_TABLE_REMOVE:
		rm.has_path = true;
		rm.has_generation = t->generation;
		rm.generation = t->generation;
		rm.path = text(t->path);
		c.op_case = METAD__COMMAND__OP_MOUNT_REMOVE;
		c.mount_remove = &rm;
		break;
	default:
		return -EINVAL;
	}
	return vfs_session_once(q, &c);
}

int datafs_vfs_table_change(struct datafs_vfs *v, const struct datafs_table_change *t)
{
	struct datafs_quorum *q;
	int ret;

	if (wrong(t))
		return -EINVAL;
	ret = t->op == DATAFS_TABLE_ADD ? vfs_own_quorum(v, &q) : vfs_own_quorum_there(v, &q);
	if (ret)
		return ret;
	ret = change(q, t);
	/* Nobody has ever added one. */
	if (ret == -EOPNOTSUPP && t->op != DATAFS_TABLE_ADD)
		ret = -ENOENT;
	/* Also if it is not known whether it is done. */
	vfs_tell_doubt(v, q);
	if (!ret)
		datafs_log(LOG_INFO, "table of mounts: %s: %s%s%s", t->path,
			   t->op == DATAFS_TABLE_ADD ? t->source :
			   t->op == DATAFS_TABLE_SET ? "other options" : "removed",
			   t->op != DATAFS_TABLE_REMOVE && *t->options ? " with " : "",
			   t->op != DATAFS_TABLE_REMOVE ? t->options : "");
	return ret;
}

static void put_text(FILE *f, ProtobufCBinaryData t)
{
	if (!t.len)
		fputc('-', f);
	datafs_word_put(f, t.data, t.len);
}

int datafs_vfs_table_list(struct datafs_vfs *v, FILE *f)
{
	struct Metad__Answer *piece[DATAFS_METAD_MOUNTS_MAX];
	struct datafs_quorum *q;
	size_t n;
	int ret = vfs_own_quorum_there(v, &q);

	if (ret == -ENOENT) {
		/* Nor is one made, to look at it: as a new one has it. */
		fprintf(f, "version 0\n");
		return 0;
	}
	if (!ret)
		ret = vfs_table_read(q, piece, &n);
	if (ret)
		return ret;
	fprintf(f, "version %llu\n", (unsigned long long)piece[0]->mounts_version);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < piece[i]->n_mounts; k++) {
			const Metad__Mount *m = piece[i]->mounts[k];

			fprintf(f, "id %llu generation %llu ", (unsigned long long)m->id,
				(unsigned long long)m->generation);
			put_text(f, m->path);
			fputc(' ', f);
			put_text(f, m->source);
			fputc(' ', f);
			put_text(f, m->options);
			fputc('\n', f);
		}
		metad__answer__free_unpacked(piece[i], NULL);
	}
	return 0;
}
