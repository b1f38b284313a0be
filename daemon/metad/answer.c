// SPDX-License-Identifier: Apache-2.0
#include "metad/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metad/ask.h"
#include "metad/attr.h"

#define VALUE_MAX	DATAFS_METAD_LIST_MAX	/* of a value, a target or a list */

/* What an answer points to while it is made. */
struct making {
	struct datafs_metad *m;
	Metad__Answer a;
	Metad__Attr attr;
	uint8_t *data;
	struct entry **entries;
	size_t n, room, bytes, max;
	bool no_memory;
};

struct entry {
	Metad__Dirent d;
	Metad__Attr attr;
	uint8_t name[];
};

static int tell_attr(struct making *k, int err, const struct datafs_metad_attr *attr)
{
	if (err)
		return err;
	k->attr = metad_attr_message(attr);
	k->a.attr = &k->attr;
	return 0;
}

static int do_getattr(struct making *k, const Metad__Query *q)
{
	struct datafs_metad_attr attr;
	int err = datafs_metad_getattr(k->m, q->getattr->ino, &attr);

	return tell_attr(k, err, &attr);
}

static int do_lookup(struct making *k, const Metad__Query *q)
{
	struct datafs_metad_attr attr;
	int err = datafs_metad_lookup(k->m, q->lookup->parent, (char *)q->lookup->name.data,
				      q->lookup->name.len, &attr);

	return tell_attr(k, err, &attr);
}

static int do_parent(struct making *k, const Metad__Query *q)
{
	struct datafs_metad_attr attr;
	uint64_t ino;
	int err = datafs_metad_parent(k->m, q->parent->ino, &ino);

	if (!err)
		err = datafs_metad_getattr(k->m, ino, &attr);
	return tell_attr(k, err, &attr);
}

static struct entry *entry_new(uint64_t cookie, const char *name, size_t len,
			       const struct datafs_metad_attr *attr)
{
	struct entry *e = malloc(sizeof(*e) + len);

	if (!e)
		return NULL;
	metad__dirent__init(&e->d);
	e->attr = metad_attr_message(attr);
	memcpy(e->name, name, len);
	e->d.has_cookie = e->d.has_name = true;
	e->d.cookie = cookie;
	e->d.name = (ProtobufCBinaryData) { len, e->name };
	e->d.attr = &e->attr;
	return e;
}

static bool entry_room(struct making *k)
{
	size_t room = k->room ? 2 * k->room : 64;
	struct entry **more;

	if (k->n < k->room)
		return true;
	more = realloc(k->entries, room * sizeof(*more));
	if (!more)
		return false;
	k->entries = more;
	k->room = room;
	return true;
}

static int take_entry(void *arg, uint64_t cookie, const char *name, size_t len,
		      const struct datafs_metad_attr *attr)
{
	struct making *k = arg;
	struct entry *e = entry_room(k) ? entry_new(cookie, name, len, attr) : NULL;
	size_t bytes;

	if (!e) {
		k->no_memory = true;
		return 1;
	}
	bytes = metad__dirent__get_packed_size(&e->d);
	if (k->n && k->bytes + bytes > k->max) {
		free(e);
		return 1;
	}
	k->bytes += bytes;
	k->entries[k->n++] = e;
	return 0;
}

static int do_readdir(struct making *k, const Metad__Query *q)
{
	const Metad__Readdir *r = q->readdir;
	bool eof = false;
	int err;

	if (!r->max || r->max > DATAFS_READDIR_MAX)
		return -EINVAL;
	k->max = r->max;
	err = datafs_metad_readdir(k->m, r->ino, r->cookie, take_entry, k, &eof);
	if (err)
		return err;
	k->a.has_eof = true;
	k->a.eof = eof;
	k->a.n_entries = k->n;
	/* an entry begins with its message */
	k->a.entries = (Metad__Dirent **)k->entries;
	return 0;
}

static int tell_data(struct making *k, ssize_t n)
{
	if (n < 0)
		return (int)n;
	k->a.has_data = true;
	k->a.data = (ProtobufCBinaryData) { (size_t)n, k->data };
	return 0;
}

static int do_readlink(struct making *k, const Metad__Query *q)
{
	return tell_data(k, datafs_metad_readlink(k->m, q->readlink->ino, (char *)k->data));
}

static int do_getxattr(struct making *k, const Metad__Query *q)
{
	const Metad__Name *x = q->getxattr;

	return tell_data(k, datafs_metad_getxattr(k->m, x->parent, (char *)x->name.data,
						  x->name.len, k->data, VALUE_MAX));
}

static int do_listxattr(struct making *k, const Metad__Query *q)
{
	return tell_data(k, datafs_metad_listxattr(k->m, q->listxattr->ino, (char *)k->data,
						   VALUE_MAX));
}

static int do_counts(struct making *k, const Metad__Query *q)
{
	struct datafs_metad_counts c;
	int err = datafs_metad_counts(k->m, &c);

	(void)q;
	if (err)
		return err;
	k->a.has_inodes = k->a.has_bytes = k->a.has_session_ended = true;
	k->a.inodes = c.inodes;
	k->a.bytes = c.bytes;
	k->a.session_ended = c.session_ended;
	return 0;
}

static const struct {
	int (*fn)(struct making *k, const Metad__Query *q);
	bool data;
} questions[] = {
	[METAD__QUERY__OF_GETATTR] = { do_getattr, false },
	[METAD__QUERY__OF_LOOKUP] = { do_lookup, false },
	[METAD__QUERY__OF_READDIR] = { do_readdir, false },
	[METAD__QUERY__OF_READLINK] = { do_readlink, true },
	[METAD__QUERY__OF_GETXATTR] = { do_getxattr, true },
	[METAD__QUERY__OF_LISTXATTR] = { do_listxattr, true },
	[METAD__QUERY__OF_PARENT] = { do_parent, false },
	[METAD__QUERY__OF_COUNTS] = { do_counts, false },
};

#define NQUESTIONS	(sizeof(questions) / sizeof(questions[0]))

static int make(struct making *k, const Metad__Query *q)
{
	int err;

	if ((size_t)q->of_case >= NQUESTIONS || !questions[q->of_case].fn)
		return -ENOSYS;
	if (questions[q->of_case].data) {
		k->data = malloc(VALUE_MAX);
		if (!k->data)
			return -ENOMEM;
	}
	err = questions[q->of_case].fn(k, q);
	return k->no_memory ? -ENOMEM : err;
}

static long pack(const Metad__Reply *r, uint8_t **res)
{
	*res = malloc(metad__reply__get_packed_size(r) + 1);
	return *res ? (long)metad__reply__pack(r, *res) : -ENOMEM;
}

long datafs_answer(struct datafs_metad *m, const Metad__Query *query, uint8_t **res)
{
	struct making k = { .m = m, .a = METAD__ANSWER__INIT };
	Metad__Reply r = METAD__REPLY__INIT;
	int err = make(&k, query);
	long len = -ENOMEM;

	if (err != -ENOMEM) {
		k.a.has_error = true;
		/* a damaged record has its line in the log */
		k.a.error = (uint32_t)(err == -EUCLEAN ? EIO : -err);
		r.answer = &k.a;
		len = pack(&r, res);
	}
	for (size_t i = 0; i < k.n; i++)
		free(k.entries[i]);
	free(k.entries);
	free(k.data);
	return len;
}
