// SPDX-License-Identifier: Apache-2.0
/*
 * Changes of HDFS. Whatever appears is made where nobody looks and then renamed, with the
 * options that the namenode's own clients use (OVERWRITE, NONE): at once, and only into a
 * directory that is there. What leaves such options out (HttpFS) says no to the name of a
 * file that is there, but moves into a directory: so it is found out once, with a directory
 * of our own, and then looked at before each rename.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "http_text.h"
#include "webhdfs_internal.h"

int datafs_webhdfs_temp(char key[WEBHDFS_TEMP_MAX], char id[WEBHDFS_ID_LEN + 1])
{
	uint8_t random[WEBHDFS_ID_LEN / 2];
	int err = datafs_random(random, sizeof(random));

	if (err)
		return err;
	datafs_hex(random, sizeof(random), id);
	snprintf(key, WEBHDFS_TEMP_MAX, WEBHDFS_HIDDEN "/%s", id);
	return 0;
}

int datafs_webhdfs_check(struct webhdfs *s, const char *key, const struct datafs_under_cond *cond)
{
	struct datafs_under_stat st;
	int err;

	if (cond->is == DATAFS_UNDER_ANY)
		return 0;
	err = datafs_webhdfs_look(s, key, &st);
	if (cond->is == DATAFS_UNDER_ABSENT)
		return err == -ENOENT ? 0 : err ? err : -EEXIST;
	if (err == -ENOENT || (!err && memcmp(&st.fp, &cond->fp, sizeof(st.fp))))
		return -ESTALE;
	return err;
}

int datafs_webhdfs_delete(struct webhdfs *s, const char *key, bool recursive)
{
	struct webhdfs_call c = {
		DATAFS_UNDER_M_DELETE, "DELETE", key,
		recursive ? "DELETE&recursive=true" : "DELETE&recursive=false", false,
	};
	bool yes;
	int err = datafs_webhdfs_do(s, &c, &yes, NULL);

	/* No: there was nothing. */
	return err == -ENOENT ? 0 : err;
}

/* The path as the namenode has it, which begins with a '/'; encoded for a query. */
static void add_path(struct datafs_text *t, const struct webhdfs *s, const char *key)
{
	/* The root is encoded already, but for a query a '/' may stay as it is. */
	datafs_text_puts(t, s->base + s->root);
	datafs_text_puts(t, "/");
	datafs_text_percent(t, key, true);
}

/* A RENAME, and what is said to it; @said as in datafs_webhdfs_do(). */
static int ask_rename(struct webhdfs *s, const char *from, const char *key, bool over, bool *yes,
		      bool *said)
{
	struct webhdfs_call c = { DATAFS_UNDER_M_PUT, "PUT", from, NULL, false };
	struct datafs_text op = { 0 };
	int err;

	*yes = true;
	datafs_text_puts(&op, "RENAME&destination=");
	add_path(&op, s, key);
	datafs_text_puts(&op, over ? "&renameoptions=OVERWRITE" : "&renameoptions=NONE");
	c.op = op.s;
	err = op.failed ? -ENOMEM : datafs_webhdfs_do(s, &c, yes, said);
	datafs_text_free(&op);
	return err;
}

/* One that minds the options has nothing to say to a rename that was done. */
static int learn_renames(struct webhdfs *s)
{
	char from[WEBHDFS_TEMP_MAX], to[WEBHDFS_TEMP_MAX], id[WEBHDFS_ID_LEN + 1];
	struct webhdfs_call c = {
		DATAFS_UNDER_M_PUT, "PUT", from, "MKDIRS&permission=700", false,
	};
	bool yes = true, said = false;
	int err;

	if (atomic_load(&s->renames) != WEBHDFS_RENAMES_UNKNOWN)
		return 0;
	err = datafs_webhdfs_temp(from, id);
	if (!err)
		err = datafs_webhdfs_temp(to, id);
	if (!err)
		err = datafs_webhdfs_do(s, &c, &yes, NULL);
	if (err)
		return err;
	err = yes ? ask_rename(s, from, to, false, &yes, &said) : -EIO;
	datafs_webhdfs_delete(s, to, false);
	if (err || !yes) {
		datafs_webhdfs_delete(s, from, false);
		/* What is said of these two is no fact of the caller's. */
		return !err || err == -ENOENT || err == -EEXIST ? -EIO : err;
	}
	atomic_store(&s->renames, said ? WEBHDFS_RENAMES_PLAIN : WEBHDFS_RENAMES_AT_ONCE);
	return 0;
}

static int not_replaced(struct webhdfs *s, const char *key)
{
	datafs_under_log(s->u.opts, LOG_ERR, "%s: \"%s\" is not replaced: the server renames to what is not there only; is it a namenode?",
			 s->base, key);
	return -EOPNOTSUPP;
}

/* What is at @key keeps a plain rename from it. */
static int is_taken(struct webhdfs *s, const char *key, bool over)
{
	struct datafs_under_stat st;
	int err = datafs_webhdfs_look(s, key, &st);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (!over)
		return -EEXIST;
	return S_ISDIR(st.mode) ? -EISDIR : not_replaced(s, key);
}

/* A plain rename was refused, and nothing is at @key. */
static int why_not(struct webhdfs *s, const char *key)
{
	const char *slash = strrchr(key, '/');
	char *above = strndup(key, slash ? slash - key : 0);
	struct datafs_under_stat st;
	int err = above ? datafs_webhdfs_look(s, above, &st) : -ENOMEM;

	free(above);
	return err ? err : S_ISDIR(st.mode) ? -EIO : -ENOTDIR;
}

int datafs_webhdfs_publish(struct webhdfs *s, const char *from, uint64_t id, const char *key,
			   bool over)
{
	struct datafs_under_stat st;
	int err, looked;
	bool yes;

	err = learn_renames(s);
	if (!err && atomic_load(&s->renames) == WEBHDFS_RENAMES_PLAIN)
		err = is_taken(s, key, over);
	if (err)
		return err;
	err = ask_rename(s, from, key, over, &yes, NULL);
	if (!err && yes)
		return 0;
	/* It may have been done by a request whose answer was lost: only a look tells. */
	looked = datafs_webhdfs_look(s, key, &st);
	if (looked && looked != -ENOENT)
		return looked;
	if (!looked && id && st.file_id == id)
		return 0;
	if (err)
		return err;
	if (looked)
		return why_not(s, key);
	return over ? not_replaced(s, key) : -EEXIST;
}

int datafs_webhdfs_create(struct webhdfs *s, const char *key, const void *buf, size_t len)
{
	/* One that is sent again replaces what came of it before: nobody else has this name. */
	struct webhdfs_call c = {
		DATAFS_UNDER_M_PUT, "PUT", key, "CREATE&overwrite=true&permission=600", false,
	};

	return datafs_webhdfs_send(s, &c, buf, len);
}

/* What the namenode does not tell by a name of its own: a directory is in the way. */
static int in_the_way(struct webhdfs *s, const char *key, int err)
{
	struct datafs_under_stat st;

	if (err != -EIO && err != -EEXIST)
		return err;
	return !datafs_webhdfs_look(s, key, &st) && S_ISDIR(st.mode) ? -EISDIR : err;
}

int datafs_webhdfs_whole(struct webhdfs *s, const char *key, const struct datafs_under_stat *st,
			 uint64_t size)
{
	if (st->size == size)
		return 0;
	datafs_under_log(s->u.opts, LOG_ERR, "%s: \"%s\": of %" PRIu64 " bytes that were written %" PRIu64 " are there; it is not used",
			 s->base, key, size, st->size);
	return -EIO;
}

int datafs_webhdfs_finish(struct webhdfs *s, const char *from, uint64_t size, const char *key,
			  const struct datafs_under_attr *attr,
			  const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	struct datafs_under_stat st;
	int err = datafs_webhdfs_set(s, from, attr, false);

	if (!err)
		err = datafs_webhdfs_look(s, from, &st);
	if (!err)
		err = datafs_webhdfs_whole(s, from, &st, size);
	if (!err && cond->is == DATAFS_UNDER_MATCH)
		err = datafs_webhdfs_check(s, key, cond);
	if (err)
		return err;
	err = datafs_webhdfs_publish(s, from, st.file_id, key, cond->is != DATAFS_UNDER_ABSENT);
	*fp = st.fp;
	return cond->is == DATAFS_UNDER_ABSENT ? err : in_the_way(s, key, err);
}

int datafs_webhdfs_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		       const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		       struct datafs_fingerprint *fp)
{
	char temp[WEBHDFS_TEMP_MAX], id[WEBHDFS_ID_LEN + 1];
	struct webhdfs *s = webhdfs_of(u);
	int err;

	if (!datafs_webhdfs_key_ok(key))
		return -EINVAL;
	err = datafs_webhdfs_temp(temp, id);
	if (err)
		return err;
	err = datafs_webhdfs_create(s, temp, buf, len);
	if (!err)
		err = datafs_webhdfs_finish(s, temp, len, key, attr, cond, fp);
	if (err)
		datafs_webhdfs_delete(s, temp, false);
	return err;
}

int datafs_webhdfs_mkdir(struct datafs_under *u, const char *key,
			 const struct datafs_under_attr *attr)
{
	char temp[WEBHDFS_TEMP_MAX], id[WEBHDFS_ID_LEN + 1];
	struct webhdfs *s = webhdfs_of(u);
	struct webhdfs_call c = {
		DATAFS_UNDER_M_PUT, "PUT", temp, "MKDIRS&permission=700", false,
	};
	struct datafs_under_stat st = { .file_id = 0 };
	bool yes = true;
	int err;

	if (!datafs_webhdfs_key_ok(key))
		return -EINVAL;
	err = datafs_webhdfs_temp(temp, id);
	if (!err)
		err = datafs_webhdfs_do(s, &c, &yes, NULL);
	if (!err && !yes)
		err = -EIO;
	if (err)
		return err;
	err = datafs_webhdfs_set(s, temp, attr, true);
	if (!err)
		err = datafs_webhdfs_look(s, temp, &st);
	if (!err)
		err = datafs_webhdfs_publish(s, temp, st.file_id, key, false);
	if (err)
		datafs_webhdfs_delete(s, temp, true);
	return err;
}

int datafs_webhdfs_rmdir(struct datafs_under *u, const char *key)
{
	struct webhdfs *s = webhdfs_of(u);
	struct datafs_under_stat st;
	int err;

	if (!datafs_webhdfs_key_ok(key))
		return -ENOENT;
	err = datafs_webhdfs_look(s, key, &st);
	if (!err && !S_ISDIR(st.mode))
		err = -ENOTDIR;
	return err ? err : datafs_webhdfs_delete(s, key, false);
}

int datafs_webhdfs_remove(struct datafs_under *u, const char *key,
			  const struct datafs_under_cond *cond)
{
	struct webhdfs *s = webhdfs_of(u);
	struct datafs_under_stat st;
	int err;

	if (!datafs_webhdfs_key_ok(key))
		return -ENOENT;
	err = datafs_webhdfs_look(s, key, &st);
	if (cond->is == DATAFS_UNDER_MATCH &&
	    (err == -ENOENT || (!err && memcmp(&st.fp, &cond->fp, sizeof(st.fp)))))
		return -ESTALE;
	if (!err && S_ISDIR(st.mode))
		err = -EISDIR;
	return err ? err : datafs_webhdfs_delete(s, key, false);
}

/* Is @key below @dir, or the same? */
static bool is_below(const char *key, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(key, dir, len) && (!key[len] || key[len] == '/');
}

/* The namenode has one word for all that rename(2) tells apart. */
int datafs_webhdfs_rename(struct datafs_under *u, const char *from, const char *to)
{
	struct webhdfs *s = webhdfs_of(u);
	struct datafs_under_stat a, b;
	int err;

	if (!datafs_webhdfs_key_ok(from) || !datafs_webhdfs_key_ok(to))
		return -EINVAL;
	err = datafs_webhdfs_look(s, from, &a);
	if (err || !strcmp(from, to))
		return err;
	if (is_below(to, from))
		return S_ISDIR(a.mode) ? -EINVAL : -ENOTDIR;
	err = datafs_webhdfs_look(s, to, &b);
	if (err && err != -ENOENT)
		return err;
	if (!err && S_ISDIR(a.mode) && !S_ISDIR(b.mode))
		return -ENOTDIR;
	if (!err && !S_ISDIR(a.mode) && S_ISDIR(b.mode))
		return -EISDIR;
	err = datafs_webhdfs_publish(s, from, a.file_id, to, true);
	/* A directory that is in the way of a directory is one to be replaced. */
	return err == -EISDIR && S_ISDIR(a.mode) ? not_replaced(s, to) : err;
}
