// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "vfs_walk.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES	4000

struct lines {
	char *line[LINES];
	unsigned int n;
};

static void add_line(struct lines *l, const char *path, bool dir, uint64_t size)
{
	assert_true(l->n < LINES);
	assert_true(asprintf(&l->line[l->n++], "%s %s %llu\n", path, dir ? "d" : "f",
			     dir ? 0 : (unsigned long long)size) > 0);
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join(struct lines *l)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	qsort(l->line, l->n, sizeof(*l->line), line_cmp);
	for (unsigned int i = 0; i < l->n; i++) {
		fputs(l->line[i], f);
		free(l->line[i]);
	}
	fclose(f);
	return text;
}

/* ---- the model ---- */

struct model {
	const char *base;
	const struct walk_mount *mounts;
	unsigned int n;
	struct lines l;
};

/* Is @path above @below, or the same? */
static bool is_above(const char *path, const char *below)
{
	size_t len = strlen(path);

	return !strncmp(path, below, len) && (!below[len] || below[len] == '/');
}

/* What of the disk shows what is at @path, mounts above it left out. */
static void real_of(const struct model *m, const char *path, char real[8192])
{
	const struct walk_mount *best = NULL;

	for (unsigned int i = 0; i < m->n; i++)
		if (is_above(m->mounts[i].path, path) &&
		    (!best || strlen(m->mounts[i].path) > strlen(best->path)))
			best = &m->mounts[i];
	snprintf(real, 8192, "%s%s", best ? best->dir : m->base,
		 path + (best ? strlen(best->path) : 0));
}

static void model_dir(struct model *m, const char *path);

static void model_name(struct model *m, const char *dir, const char *name)
{
	char path[4096], real[8192];
	struct stat st = { .st_mode = S_IFDIR };
	bool inner = false;

	assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path));
	for (unsigned int i = 0; i < m->n; i++)
		inner |= is_above(path, m->mounts[i].path);
	real_of(m, path, real);
	if (!inner)
		assert_int_equal(lstat(real, &st), 0);
	add_line(&m->l, path, S_ISDIR(st.st_mode), (uint64_t)st.st_size);
	if (S_ISDIR(st.st_mode))
		model_dir(m, path);
}

static void model_dir(struct model *m, const char *path)
{
	char *names[200], real[8192];
	unsigned int n = 0;
	struct dirent *e;
	DIR *d;

	real_of(m, path, real);
	d = opendir(real);
	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			names[n++] = strdup(e->d_name);
	if (d)
		closedir(d);
	for (unsigned int i = 0; i < m->n; i++) {
		const char *rest = m->mounts[i].path + strlen(path) + 1;
		bool known = false;
		char *name;

		if (!is_above(path, m->mounts[i].path) || !strcmp(path, m->mounts[i].path))
			continue;
		name = strndup(rest, strcspn(rest, "/"));
		for (unsigned int k = 0; k < n; k++)
			known |= !strcmp(names[k], name);
		if (known)
			free(name);
		else
			names[n++] = name;
	}
	for (unsigned int i = 0; i < n; i++) {
		model_name(m, path, names[i]);
		free(names[i]);
	}
}

char *walk_expected(const char *base, const struct walk_mount *mounts, unsigned int n)
{
	struct model m = { .base = base, .mounts = mounts, .n = n };

	model_dir(&m, "");
	return join(&m.l);
}

/* ---- what is shown ---- */

struct shown {
	uint32_t max;
	const char *skip;
	struct lines l;
};

static int lookup2(uint64_t dir, const char *name, struct datafs_entry *e)
{
	struct answer a = up_flags(DATAFS_OP_LOOKUP, 2, dir, NULL, name, 0);

	if (!a.err)
		memcpy(e, a.out, sizeof(*e));
	free(a.out);
	return a.err;
}

static void shown_dir(struct shown *s, const char *path, uint64_t ino);

static void shown_name(struct shown *s, const char *dir, uint64_t dir_ino,
		       const struct datafs_dirent *de)
{
	char name[DATAFS_NAME_MAX + 1] = "", path[4096];
	struct datafs_entry e;

	memcpy(name, de + 1, de->namelen);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (s->skip && !strcmp(path, s->skip))
		return;
	assert_int_equal(lookup2(dir_ino, name, &e), 0);
	assert_int_equal(e.attr.ino, de->attr.ino);
	assert_int_equal(e.attr.mode, de->attr.mode);
	add_line(&s->l, path, S_ISDIR(e.attr.mode), e.attr.size);
	if (S_ISDIR(e.attr.mode)) {
		struct answer up = up_flags(DATAFS_OP_PARENT, 2, e.attr.ino, NULL, NULL, 0);

		assert_int_equal(up.err, 0);
		assert_int_equal(((struct datafs_entry *)up.out)->attr.ino, dir_ino);
		free(up.out);
		shown_dir(s, path, e.attr.ino);
	}
}

static void shown_dir(struct shown *s, const char *path, uint64_t ino)
{
	struct datafs_readdir_req req = { .max = s->max };
	struct datafs_entry e;
	bool eof = false;

	while (!eof) {
		struct answer a = up_flags(DATAFS_OP_READDIR, 2, ino, &req, NULL, 0);
		const struct datafs_readdir_rep *rep = (void *)a.out;
		const char *p = (char *)(rep + 1);

		assert_int_equal(a.err, 0);
		assert_true(rep->count || rep->flags & DATAFS_READDIR_EOF);
		assert_true(rep->count <= 1 || a.len + sizeof(struct datafs_rep) <= s->max);
		for (uint32_t i = 0; i < rep->count; i++) {
			const struct datafs_dirent *de = (void *)p;

			assert_true(de->cookie > req.cookie);
			req.cookie = de->cookie;
			shown_name(s, path, ino, de);
			p += sizeof(*de) + datafs_round_up(de->namelen, 8);
		}
		assert_ptr_equal(p, a.out + a.len);
		eof = rep->flags & DATAFS_READDIR_EOF;
		free(a.out);
	}
	assert_int_equal(lookup2(ino, "not there", &e), 0);
	assert_int_equal(e.attr.ino, 0);
}

char *walk_shown(uint32_t max, const char *skip)
{
	struct shown s = { .max = max, .skip = skip };

	shown_dir(&s, "", TOP);
	return join(&s.l);
}

int walk_to(const char *path, struct datafs_attr *attr)
{
	char name[DATAFS_NAME_MAX + 1];
	struct datafs_entry e;
	int ret = attr_of(TOP, attr);

	for (; !ret && *path; path += strlen(name)) {
		path += *path == '/';
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(path, "/"), path);
		if (!*name)
			break;
		ret = lookup2(attr->ino, name, &e);
		if (!ret && !e.attr.ino)
			ret = -ENOENT;
		*attr = e.attr;
	}
	return ret;
}

int walk_read(const struct datafs_attr *attr, char *buf, size_t len)
{
	struct datafs_extent_req req = { .content = attr->content, .len = DATAFS_GRANULE };
	struct answer a = up_flags(DATAFS_OP_EXTENT, 2, attr->ino, &req, NULL, 0);
	const struct datafs_extent *e = (void *)(a.out + sizeof(struct datafs_extent_rep));
	static char page[DATAFS_GRANULE] __attribute__((aligned(DATAFS_GRANULE)));

	if (!a.err) {
		assert_int_equal(pread(slabs[e->backing_id], page, sizeof(page),
				       (off_t)e->backing_off), sizeof(page));
		memcpy(buf, page, len);
	}
	free(a.out);
	return a.err;
}

int table_add(const char *path, const char *dir, const char *options)
{
	const struct datafs_table_change c = {
		.op = DATAFS_TABLE_ADD, .path = *path ? path : "/", .source = dir,
		.options = options,
	};

	return datafs_vfs_table_change(v, &c);
}

int table_remove(const char *path)
{
	const struct datafs_table_change c = {
		.op = DATAFS_TABLE_REMOVE, .path = *path ? path : "/",
	};

	return datafs_vfs_table_change(v, &c);
}
