// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/util.h"

#define MAGIC	0x4446534du
#define VERSION	1u
#define HEAD	28u	/* bytes before the files */
#define FILE_MIN	14u	/* bytes of one */

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_';
}

bool datafs_manifest_name(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > DATAFS_MANIFEST_NAME_MAX || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!name_char(name[i]))
			return false;
	return true;
}

void datafs_manifest_free(struct datafs_manifest *m)
{
	free(m->files);
	m->files = NULL;
	m->n = 0;
}

static int by_name(const void *a, const void *b)
{
	const struct datafs_manifest_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static bool is_table(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && !strcmp(name + len - 4, ".ldb");
}

/* Opens the next file, unless all that is wanted of it is known already. */
static int next_file(struct datafs_manifest_job *job, const struct datafs_manifest *old)
{
	struct datafs_manifest_file *f = &job->manifest.files[job->next];
	const struct datafs_manifest_file *known = NULL;
	struct stat st;

	job->fd = openat(job->dir, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (job->fd < 0 || fstat(job->fd, &st))
		return -errno;
	if (old && old->n && is_table(f->name))
		known = bsearch(f, old->files, old->n, sizeof(*f), by_name);
	if (!known || known->size != (uint64_t)st.st_size)
		return 0;
	f->size = known->size;
	f->crc = known->crc;
	close(job->fd);
	job->fd = -1;
	job->next++;
	return 0;
}

/* A part of the open file: the bytes that were read, 0 at its end. */
static ssize_t sum(struct datafs_manifest_job *job)
{
	static _Thread_local uint8_t buf[64 << 10];
	struct datafs_manifest_file *f = &job->manifest.files[job->next];
	ssize_t n = read(job->fd, buf, sizeof(buf));

	if (n < 0)
		return -errno;
	if (n) {
		f->crc = datafs_crc32c_more(f->crc, buf, (size_t)n);
		f->size += (uint64_t)n;
		return n;
	}
	close(job->fd);
	job->fd = -1;
	job->next++;
	return 0;
}

static int list(DIR *d, struct datafs_manifest *res)
{
	struct datafs_manifest_file *files;
	struct dirent *e;
	size_t room = 0;

	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!datafs_manifest_name(e->d_name) || res->n == DATAFS_MANIFEST_FILES_MAX)
			return -EUCLEAN;
		if (res->n == room) {
			room = room ? room * 2 : 16;
			files = reallocarray(res->files, room, sizeof(*files));
			if (!files)
				return -ENOMEM;
			res->files = files;
		}
		memset(&res->files[res->n], 0, sizeof(*res->files));
		/* it fits: the name was looked at */
		memcpy(res->files[res->n++].name, e->d_name, strlen(e->d_name));
	}
	return 0;
}

int datafs_manifest_begin(struct datafs_manifest_job *job, const char *dir, uint64_t index,
			  uint64_t term)
{
	DIR *d = opendir(dir);
	int err;

	*job = (struct datafs_manifest_job) {
		.manifest = { .index = index, .term = term }, .dir = -1, .fd = -1,
	};
	if (!d)
		return -errno;
	err = list(d, &job->manifest);
	if (!err) {
		job->dir = dup(dirfd(d));
		err = job->dir < 0 ? -errno : 0;
	}
	closedir(d);
	if (err)
		datafs_manifest_end(job);
	else if (job->manifest.n)
		qsort(job->manifest.files, job->manifest.n, sizeof(*job->manifest.files), by_name);
	return err;
}

int datafs_manifest_step(struct datafs_manifest_job *job, const struct datafs_manifest *old,
			 uint64_t bytes)
{
	for (uint64_t done = 0; job->next < job->manifest.n;) {
		ssize_t n = 0;
		int err = 0;

		if (done >= bytes)
			return 1;
		if (job->fd < 0)
			err = next_file(job, old);
		if (!err && job->fd >= 0)
			n = sum(job);
		if (err || n < 0)
			return err ? err : (int)n;
		/* a file costs something, whatever its length */
		done += (uint64_t)n + 4096;
	}
	return 0;
}

void datafs_manifest_end(struct datafs_manifest_job *job)
{
	if (job->dir >= 0)
		close(job->dir);
	if (job->fd >= 0)
		close(job->fd);
	job->dir = job->fd = -1;
	datafs_manifest_free(&job->manifest);
}

int datafs_manifest_make(const char *dir, uint64_t index, uint64_t term,
			 const struct datafs_manifest *old, struct datafs_manifest *res)
{
	struct datafs_manifest_job job;
	int err = datafs_manifest_begin(&job, dir, index, term);

	if (err)
		return err;
	err = datafs_manifest_step(&job, old, UINT64_MAX);
	if (!err) {
		*res = job.manifest;
		job.manifest = (struct datafs_manifest) { 0 };
	}
	datafs_manifest_end(&job);
	return err;
}

long datafs_manifest_encode(const struct datafs_manifest *m, void **res)
{
	size_t len = HEAD + 4;
	uint8_t *buf, *p;

	for (unsigned int i = 0; i < m->n; i++)
		len += FILE_MIN - 1 + strlen(m->files[i].name);
	buf = malloc(len);
	if (!buf)
		return -ENOMEM;
	datafs_put_be32(buf, MAGIC);
	datafs_put_be32(buf + 4, VERSION);
	datafs_put_be64(buf + 8, m->index);
	datafs_put_be64(buf + 16, m->term);
	datafs_put_be32(buf + 24, m->n);
	p = buf + HEAD;
	for (unsigned int i = 0; i < m->n; i++) {
		const struct datafs_manifest_file *f = &m->files[i];
		size_t n = strlen(f->name);

		datafs_put_be64(p, f->size);
		datafs_put_be32(p + 8, f->crc);
		p[12] = (uint8_t)n;
		memcpy(p + 13, f->name, n);
		p += 13 + n;
	}
	datafs_put_be32(p, datafs_crc32c(buf, (size_t)(p - buf)));
	*res = buf;
	return (long)len;
}

static int decode_file(const uint8_t **p, const uint8_t *end, struct datafs_manifest_file *f)
{
	size_t n;

	memset(f, 0, sizeof(*f));
	if (end - *p < (long)FILE_MIN - 1)
		return -EBADMSG;
	f->size = datafs_get_be64(*p);
	f->crc = datafs_get_be32(*p + 8);
	n = (*p)[12];
	*p += 13;
	if (n > DATAFS_MANIFEST_NAME_MAX || (size_t)(end - *p) < n || memchr(*p, 0, n))
		return -EBADMSG;
	memcpy(f->name, *p, n);
	*p += n;
	return datafs_manifest_name(f->name) && !(f->size >> 62) ? 0 : -EBADMSG;
}

int datafs_manifest_decode(const void *buf, size_t len, struct datafs_manifest *res)
{
	const uint8_t *p = buf, *end;
	unsigned int n;
	int err = 0;

	memset(res, 0, sizeof(*res));
	if (len < HEAD + 4)
		return -EBADMSG;
	end = p + len - 4;
	if (datafs_get_be32(end) != datafs_crc32c(buf, len - 4) || datafs_get_be32(p) != MAGIC ||
	    datafs_get_be32(p + 4) != VERSION)
		return -EBADMSG;
	res->index = datafs_get_be64(p + 8);
	res->term = datafs_get_be64(p + 16);
	n = datafs_get_be32(p + 24);
	p += HEAD;
	if (n > DATAFS_MANIFEST_FILES_MAX || n > (size_t)(end - p) / (FILE_MIN - 1))
		return -EBADMSG;
	res->files = calloc(n ? n : 1, sizeof(*res->files));
	if (!res->files)
		return -ENOMEM;
	for (; !err && res->n < n; res->n++) {
		err = decode_file(&p, end, &res->files[res->n]);
		/* by name, each once */
		if (!err && res->n && by_name(&res->files[res->n - 1], &res->files[res->n]) >= 0)
			err = -EBADMSG;
	}
	if (!err && p != end)
		err = -EBADMSG;
	if (err)
		datafs_manifest_free(res);
	return err;
}

int datafs_manifest_check(const char *dir, const struct datafs_manifest *m)
{
	struct datafs_manifest found;
	int err = datafs_manifest_make(dir, m->index, m->term, NULL, &found);

	if (err)
		return err;
	if (found.n != m->n)
		err = -EUCLEAN;
	for (unsigned int i = 0; !err && i < m->n; i++)
		if (strcmp(found.files[i].name, m->files[i].name) ||
		    found.files[i].size != m->files[i].size ||
		    found.files[i].crc != m->files[i].crc)
			err = -EUCLEAN;
	datafs_manifest_free(&found);
	return err;
}
