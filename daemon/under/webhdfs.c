// SPDX-License-Identifier: Apache-2.0
/*
 * HDFS, by WebHDFS: opening, looking, listing, reading.
 *
 * A state is the file's id, its length, and the time of its last change in milliseconds:
 * what HDFS calls a file is written once, appended to, or replaced by another file. Bytes
 * are asked for by name, and come from a datanode; that they were of the state which was
 * wanted is known by looking again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "http_judge.h"
#include "http_text.h"
#include "webhdfs_internal.h"

#define TOKEN_ROOM	8192

/* ---- looking ---- */

/* By the clock that stamps, which counts in seconds here; by ours if it is not told. */
static struct timespec now_of(const struct datafs_http_answer *a)
{
	struct timespec now;

	if (!a->value[0] || datafs_http_date(a->value[0], &now))
		clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

/* Length and time are not enough: anybody may set the time of another file with that length. */
static bool has_state(const struct webhdfs_status *s)
{
	return s->dir || s->file_id;
}

int datafs_webhdfs_look(struct webhdfs *s, const char *key, struct datafs_under_stat *st)
{
	struct webhdfs_call c = { DATAFS_UNDER_M_STAT, "GET", key, "GETFILESTATUS", false };
	struct webhdfs_owners o = { .user = "" };
	struct webhdfs_statuses l;
	struct datafs_http_answer a;
	struct timespec seen;
	int err;

	err = datafs_webhdfs_ask(s, &c, &a);
	if (!err) {
		err = datafs_webhdfs_status(a.text, a.text_len, &l);
		if (err && err != -ENOMEM)
			datafs_under_log(s->u.opts, LOG_ERR, "%s: status of \"%s\": not an answer of WebHDFS",
					 s->base, key);
	}
	if (!err) {
		seen = now_of(&a);
		datafs_webhdfs_attributes(s, l.v, &seen, &o, st);
		if (!has_state(l.v)) {
			err = -EOPNOTSUPP;
			datafs_under_log(s->u.opts, LOG_ERR, "%s: \"%s\": the server tells no fileId: states cannot be told apart; ask a namenode",
					 s->base, key);
		}
		datafs_webhdfs_statuses_free(&l);
	}
	datafs_http_answer_free(&a);
	/* Below what is no directory there is nothing: proven. */
	return err == -ENOTDIR ? -ENOENT : err;
}

static int webhdfs_stat(struct datafs_under *u, const char *key, struct datafs_under_stat *st)
{
	return datafs_webhdfs_key_ok(key) ? datafs_webhdfs_look(webhdfs_of(u), key, st) : -ENOENT;
}

/* ---- listing ---- */

/* The entries behind *@place, some or all of them. */
static int ask_list(struct webhdfs *s, const char *key, const struct datafs_under_place *place,
		    struct webhdfs_statuses *l, struct timespec *seen)
{
	struct webhdfs_call c = { DATAFS_UNDER_M_LIST, "GET", key, "LISTSTATUS", false };
	struct datafs_text op = { 0 };
	struct datafs_http_answer a;
	int err;

	if (!atomic_load(&s->no_batch)) {
		datafs_text_puts(&op, "LISTSTATUS_BATCH");
		if (*place->token) {
			datafs_text_puts(&op, "&startAfter=");
			datafs_text_percent(&op, place->token, false);
		}
		if (op.failed) {
			datafs_text_free(&op);
			return -ENOMEM;
		}
		c.op = op.s;
		c.quiet = true;
	}
	err = datafs_webhdfs_ask(s, &c, &a);
	/* What an older one says of an operation that it does not know. */
	if (c.quiet && (err == -EINVAL || err == -EOPNOTSUPP)) {
		datafs_http_answer_free(&a);
		c.op = "LISTSTATUS";
		c.quiet = false;
		err = datafs_webhdfs_ask(s, &c, &a);
		/* Else it was something else that it did not take. */
		if (!err)
			atomic_store(&s->no_batch, true);
	}
	if (!err) {
		*seen = now_of(&a);
		err = datafs_webhdfs_list(a.text, a.text_len, l);
		if (err && err != -ENOMEM)
			datafs_under_log(s->u.opts, LOG_ERR, "%s: listing of \"%s\": not an answer of WebHDFS",
					 s->base, key);
	} else if (c.quiet && err != -ENOENT && err != -ENOTDIR) {
		datafs_under_log(s->u.opts, LOG_ERR, "%s: listing of \"%s\": %s", s->base, key,
				 strerror(-err));
	}
	datafs_http_answer_free(&a);
	datafs_text_free(&op);
	return err;
}

static int give(struct webhdfs *s, const struct webhdfs_statuses *l, const struct timespec *seen,
		struct datafs_under_place *place, datafs_under_list_fn fn, void *arg)
{
	struct webhdfs_owners o = { .user = "" };
	struct datafs_under_stat st;
	int ret;

	for (size_t i = 0; i < l->n; i++) {
		const char *name = l->v[i].name;

		if (strcmp(name, place->token) <= 0)
			continue;
		ret = 0;
		if (datafs_webhdfs_key_ok(name)) {
			datafs_webhdfs_attributes(s, &l->v[i], seen, &o, &st);
			ret = fn(arg, name, has_state(&l->v[i]) ? &st : NULL);
		}
		if (ret < 0)
			return ret;
		snprintf(place->token, sizeof(place->token), "%s", name);
		if (ret)
			return ret;
	}
	return 0;
}

static int webhdfs_list(struct datafs_under *u, const char *key, struct datafs_under_place *place,
			datafs_under_list_fn fn, void *arg)
{
	struct webhdfs *s = webhdfs_of(u);
	struct webhdfs_statuses l;
	struct timespec seen;
	bool more;
	int ret;

	if (!datafs_webhdfs_key_ok(key))
		return -ENOENT;
	place->token[sizeof(place->token) - 1] = 0;
	do {
		ret = ask_list(s, key, place, &l, &seen);
		if (ret)
			return ret;
		more = l.more;
		if (l.n == 1 && !*l.v[0].name)
			ret = -ENOTDIR;
		/* It must go on, or it would for ever. */
		else if (more && strcmp(l.v[l.n - 1].name, place->token) <= 0)
			ret = -EPROTO;
		else
			ret = give(s, &l, &seen, place, fn, arg);
		if (!ret && more && place->by_page)
			ret = DATAFS_UNDER_STOP;
		datafs_webhdfs_statuses_free(&l);
	} while (!ret && more);
	return ret;
}

/* ---- reading ---- */

static ssize_t webhdfs_read(struct datafs_under *u, const char *key,
			    const struct datafs_fingerprint *fp, uint64_t off, void *buf,
			    size_t len)
{
	struct webhdfs *s = webhdfs_of(u);
	uint64_t size = fp->v[1];
	struct datafs_under_stat st;
	char op[96];
	struct webhdfs_call c = { DATAFS_UNDER_M_GET, "GET", key, op, false };
	int err, again;

	if (!datafs_webhdfs_key_ok(key))
		return -ESTALE;
	if (!len || off >= size)
		return 0;
	len = DATAFS_MIN(len, size - off);
	snprintf(op, sizeof(op), "OPEN&offset=%" PRIu64 "&length=%zu", off, len);
	err = datafs_webhdfs_fetch(s, &c, buf, len);
	if (err == -ENOENT || err == -ENOTDIR)
		return -ESTALE;
	/* What cannot be read may be another by now. */
	again = datafs_webhdfs_look(s, key, &st);
	if (again == -ENOENT || (!again && memcmp(&st.fp, fp, sizeof(*fp))))
		return -ESTALE;
	err = err ? err : again;
	return err ? err : (ssize_t)len;
}

/* ---- the store ---- */

/* The line of a file that only its owner can read. @room is to be wiped after errors too. */
static int read_line(const struct datafs_under_opts *o, char room[TOKEN_ROOM])
{
	const char *path = o->token_file;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = fd < 0 ? -errno : 0;
	struct stat st;
	ssize_t n = 0;

	if (!err && fstat(fd, &st))
		err = -errno;
	if (!err && (!S_ISREG(st.st_mode) || st.st_mode & 077 ||
		     (st.st_uid && st.st_uid != geteuid()))) {
		datafs_under_log(o, LOG_ERR, "token_file %s: must be a file that nobody but its owner, root, can read; chmod 600",
				 path);
		close(fd);
		return -EPERM;
	}
	if (!err) {
		n = read(fd, room, TOKEN_ROOM);
		err = n < 0 ? -errno : 0;
	}
	if (fd >= 0)
		close(fd);
	if (err) {
		datafs_under_log(o, LOG_ERR, "token_file %s: %s", path, strerror(-err));
		return err;
	}
	if (n < TOKEN_ROOM) {
		room[n] = 0;
		room[strcspn(room, "\r\n")] = 0;
	}
	if (n == TOKEN_ROOM || !*room) {
		datafs_under_log(o, LOG_ERR, "token_file %s: is %s; it must have a token in its first line, as the namenode gave it",
				 path, *room ? "too long" : "empty");
		return -EINVAL;
	}
	return 0;
}

static int read_secret(const struct datafs_under_opts *o, struct datafs_text *t)
{
	char room[TOKEN_ROOM];
	int err = read_line(o, room);

	if (!err) {
		datafs_text_puts(t, "&delegation=");
		datafs_text_percent(t, room, false);
	}
	explicit_bzero(room, sizeof(room));
	return err;
}

static int identify(struct webhdfs *s, const struct datafs_under_opts *o)
{
	struct datafs_text t = { 0 };
	int err = 0;

	if (o->token_file) {
		err = read_secret(o, &t);
	} else if (o->user) {
		datafs_text_puts(&t, "&user.name=");
		datafs_text_percent(&t, o->user, false);
	} else {
		datafs_text_puts(&t, "");
	}
	s->who = t.s;
	return t.failed ? -ENOMEM : err;
}

static int refuse(const struct webhdfs *s, const char *source, const char *why)
{
	datafs_under_log(s->u.opts, LOG_ERR, "source %.*s://...: %s",
			 (int)strcspn(source, ":"), source, why);
	return -EINVAL;
}

/* webhdfs://HOST[:PORT][/DIR], of which DIR is a path as HDFS has it, not encoded. */
static int locate(struct webhdfs *s, const char *source)
{
	bool tls = *source == 's';
	const char *host = strstr(source, "://") + 3, *dir = host + strcspn(host, "/");
	const char *port = memrchr(host, ':', dir - host), *close = memrchr(host, ']', dir - host);
	struct datafs_text t = { 0 };
	size_t len;

	if (dir == host || strcspn(host, "@?#% \t") < (size_t)(dir - host))
		return refuse(s, source, "not webhdfs://HOST[:PORT]/DIR; a user is told with the option hdfs_user");
	while (*dir == '/')
		dir++;
	len = strlen(dir);
	while (len && dir[len - 1] == '/')
		len--;
	if (port && close && port < close)
		port = NULL;
	datafs_text_printf(&t, "%s://%.*s%s/webhdfs/v1", tls ? "https" : "http",
			   (int)(strcspn(host, "/")), host, port ? "" : tls ? ":9871" : ":9870");
	s->root = t.len;
	if (len && !t.failed) {
		char *path = strndup(dir, len);

		datafs_text_puts(&t, "/");
		if (path)
			datafs_text_percent(&t, path, true);
		t.failed = t.failed || !path;
		if (path && !datafs_under_key_ok(path)) {
			free(path);
			datafs_text_free(&t);
			return refuse(s, source, "its directory has an empty part, \".\" or \"..\"");
		}
		free(path);
	}
	s->base = t.s;
	return t.failed ? -ENOMEM : 0;
}

static void webhdfs_close(struct datafs_under *u)
{
	struct webhdfs *s = webhdfs_of(u);

	datafs_http_close(s->http);
	if (s->who)
		explicit_bzero(s->who, strlen(s->who));
	free(s->who);
	free(s->base);
}

static int webhdfs_open(struct datafs_under *u, const char *source)
{
	struct webhdfs *s = webhdfs_of(u);
	int err;

	u->caps = DATAFS_UNDER_WRITE | DATAFS_UNDER_DIRS | DATAFS_UNDER_ATTRS |
		  DATAFS_UNDER_SORTED | DATAFS_UNDER_RENAME | DATAFS_UNDER_RENAME_DIR |
		  DATAFS_UNDER_IF_ABSENT;
	err = locate(s, source);
	if (!err)
		err = identify(s, u->opts);
	if (!err)
		err = datafs_http_open(u, s->base, &s->http);
	if (err)
		webhdfs_close(u);
	return err;
}

const struct datafs_under_ops datafs_under_webhdfs = {
	.size = sizeof(struct webhdfs),
	.options = DATAFS_UNDER_FOR_NET | DATAFS_UNDER_FOR_WEBHDFS,
	.open = webhdfs_open,
	.close = webhdfs_close,
	.stat = webhdfs_stat,
	.list = webhdfs_list,
	.read = webhdfs_read,
	.put = datafs_webhdfs_put,
	.begin = datafs_webhdfs_begin,
	.part = datafs_webhdfs_part,
	.complete = datafs_webhdfs_complete,
	.abort = datafs_webhdfs_abort,
	.mkdir = datafs_webhdfs_mkdir,
	.rmdir = datafs_webhdfs_rmdir,
	.remove = datafs_webhdfs_remove,
	.rename = datafs_webhdfs_rename,
};
