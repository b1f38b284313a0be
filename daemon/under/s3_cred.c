// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "s3_cred.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "http_text.h"
#include "under_ops.h"

/* Keys that are about to expire are looked for again so often, in seconds. */
#define EARLY_SEC	60
#define AGAIN_SEC	5

struct datafs_s3_cred {
	const struct datafs_under_opts *opts;
	const char *name;
	char *path, *profile;		/* path NULL: of the environment, which stays */
	pthread_mutex_t lock;		/* of the rest */
	struct datafs_s3_keys keys;
	int64_t read_at;
};

/* ---- what such a file says ---- */

struct span {
	const char *p;
	size_t len;
};

static struct span trim(struct span s)
{
	static const char blank[] = " \t\r";

	while (s.len && strchr(blank, *s.p)) {
		s.p++;
		s.len--;
	}
	while (s.len && strchr(blank, s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool is(struct span s, const char *word)
{
	return s.len == strlen(word) && !memcmp(s.p, word, s.len);
}

/* "[default]", or "[profile default]", as the file of the configuration has it. */
static bool is_section(struct span s, const char *profile)
{
	static const char more[] = "profile ";

	if (s.len < 2 || s.p[s.len - 1] != ']')
		return false;
	s = trim((struct span){ s.p + 1, s.len - 2 });
	if (s.len > sizeof(more) - 1 && !memcmp(s.p, more, sizeof(more) - 1))
		s = trim((struct span){ s.p + sizeof(more) - 1, s.len - sizeof(more) + 1 });
	return is(s, profile);
}

static int copy_to(char *to, size_t room, struct span v)
{
	if (v.len >= room || memchr(v.p, 0, v.len))
		return -EINVAL;
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.p[i] <= ' ' || v.p[i] == 0x7f)
			return -EINVAL;
	memcpy(to, v.p, v.len);
	to[v.len] = 0;
	return 0;
}

static int take_expiry(struct datafs_s3_keys *k, struct span v)
{
	struct timespec ts;
	char date[64];

	/* One that is not understood is not known: who is refused reads again anyway. */
	if (!copy_to(date, sizeof(date), v) && !datafs_iso_date(date, &ts))
		k->expires = ts.tv_sec;
	return 0;
}

static int take_line(struct datafs_s3_keys *k, struct span name, struct span v)
{
	if (is(name, "aws_access_key_id"))
		return copy_to(k->id, sizeof(k->id), v);
	if (is(name, "aws_secret_access_key"))
		return copy_to(k->secret, sizeof(k->secret), v);
	if (is(name, "aws_session_token"))
		return copy_to(k->token, sizeof(k->token), v);
	if (is(name, "x_security_token_expires") || is(name, "expiration"))
		return take_expiry(k, v);
	return 0;
}

int datafs_s3_cred_parse(const char *text, size_t len, const char *profile,
			 struct datafs_s3_keys *keys)
{
	const char *end = text + len;
	bool found = false, ours = false;
	int err = 0;

	memset(keys, 0, sizeof(*keys));
	while (text < end && !err) {
		const char *eol = memchr(text, '\n', end - text) ?: end, *eq;
		struct span line = trim((struct span){ text, eol - text });

		text = eol + (eol < end);
		if (!line.len || *line.p == '#' || *line.p == ';')
			continue;
		if (*line.p == '[') {
			ours = is_section(line, profile);
			found = found || ours;
			continue;
		}
		eq = memchr(line.p, '=', line.len);
		if (ours && eq)
			err = take_line(keys, trim((struct span){ line.p, eq - line.p }),
					trim((struct span){ eq + 1, line.p + line.len - eq - 1 }));
	}
	if (!err && !found)
		err = -ENOENT;
	if (!err && (!*keys->id || !*keys->secret))
		err = -EINVAL;
	if (err)
		explicit_bzero(keys, sizeof(*keys));
	return err;
}

/* ---- files ---- */

static int refuse(const struct datafs_s3_cred *c, const char *why)
{
	datafs_under_log(c->opts, LOG_ERR, "%s: credentials in %s: %s", c->name, c->path, why);
	return -EACCES;
}

static int check_file(const struct datafs_s3_cred *c, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return refuse(c, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(c, "no regular file");
	if (st.st_uid && st.st_uid != geteuid())
		return refuse(c, "owned by somebody else, who knows the key; chown root");
	if (st.st_mode & 077)
		return refuse(c, "its mode lets others at the key; chmod 600");
	return 0;
}

static int read_file(const struct datafs_s3_cred *c, char *text, size_t *len)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;
	ssize_t n = 0;

	if (fd < 0)
		return refuse(c, strerror(errno));
	err = check_file(c, fd);
	for (*len = 0; !err && *len < DATAFS_S3_CRED_FILE_MAX; *len += n) {
		n = read(fd, text + *len, DATAFS_S3_CRED_FILE_MAX - *len);
		if (n < 0)
			err = refuse(c, strerror(errno));
		if (n <= 0)
			break;
	}
	close(fd);
	if (!err && *len == DATAFS_S3_CRED_FILE_MAX)
		err = refuse(c, "longer than such a file is");
	return err;
}

static int load(const struct datafs_s3_cred *c, struct datafs_s3_keys *keys)
{
	char *text = malloc(DATAFS_S3_CRED_FILE_MAX), why[300];
	size_t len;
	int err;

	if (!text)
		return -ENOMEM;
	err = read_file(c, text, &len);
	if (!err) {
		err = datafs_s3_cred_parse(text, len, c->profile, keys);
		if (err) {
			snprintf(why, sizeof(why), err == -ENOENT ? "it has no profile [%s]" :
				 "its profile [%s] has no keys, or such that are none", c->profile);
			err = refuse(c, why);
		}
	}
	explicit_bzero(text, DATAFS_S3_CRED_FILE_MAX);
	free(text);
	return err;
}

/* ---- where they are ---- */

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* Sets c->path. */
static int find_file(struct datafs_s3_cred *c)
{
	const struct datafs_under_opts *o = c->opts;
	const char *home = env("HOME") ?: "/root", *path = o->credentials;

	if (!path)
		path = env("AWS_SHARED_CREDENTIALS_FILE");
	if (path)
		c->path = strdup(path);
	else if (asprintf(&c->path, "%s/.aws/credentials", home) < 0)
		c->path = NULL;
	c->profile = strdup(o->profile ?: (o->credentials ? NULL : env("AWS_PROFILE")) ?: "default");
	if (!c->path || !c->profile)
		return -ENOMEM;
	if (path || !access(c->path, F_OK))
		return 0;
	datafs_under_log(c->opts, LOG_ERR, "%s: no keys, neither in the environment nor in %s; name a file with option credentials, or set anonymous",
			 c->name, c->path);
	return -EACCES;
}

static int take_env(struct datafs_s3_cred *c, const char *id, const char *secret)
{
	const char *token = env("AWS_SESSION_TOKEN") ?: "";
	struct datafs_s3_keys *k = &c->keys;

	if (!copy_to(k->id, sizeof(k->id), (struct span){ id, strlen(id) }) &&
	    !copy_to(k->secret, sizeof(k->secret), (struct span){ secret, strlen(secret) }) &&
	    !copy_to(k->token, sizeof(k->token), (struct span){ token, strlen(token) }))
		return 0;
	datafs_under_log(c->opts, LOG_ERR, "%s: the keys in the environment are none (AWS_ACCESS_KEY_ID and those beside it)",
			 c->name);
	return -EINVAL;
}

int datafs_s3_cred_open(const struct datafs_under_opts *o, const char *name,
			struct datafs_s3_cred **res)
{
	const char *id = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
	struct datafs_s3_cred *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->opts = o;
	c->name = name;
	pthread_mutex_init(&c->lock, NULL);
	if (!o->credentials && !o->profile && id && secret) {
		err = take_env(c, id, secret);
	} else {
		err = find_file(c);
		if (!err)
			err = load(c, &c->keys);
		c->read_at = time(NULL);
	}
	if (err)
		datafs_s3_cred_close(c);
	else
		*res = c;
	return err;
}

void datafs_s3_cred_close(struct datafs_s3_cred *c)
{
	if (!c)
		return;
	explicit_bzero(&c->keys, sizeof(c->keys));
	pthread_mutex_destroy(&c->lock);
	free(c->path);
	free(c->profile);
	free(c);
}

/* Under the lock. What cannot be read leaves what there was. */
static void read_again(struct datafs_s3_cred *c)
{
	struct datafs_s3_keys keys;

	c->read_at = time(NULL);
	if (!load(c, &keys))
		c->keys = keys;
	explicit_bzero(&keys, sizeof(keys));
}

void datafs_s3_cred_get(struct datafs_s3_cred *c, struct datafs_s3_keys *keys)
{
	int64_t now = time(NULL);

	pthread_mutex_lock(&c->lock);
	if (c->path && c->keys.expires && now >= c->keys.expires - EARLY_SEC &&
	    now >= c->read_at + AGAIN_SEC)
		read_again(c);
	*keys = c->keys;
	pthread_mutex_unlock(&c->lock);
}

bool datafs_s3_cred_again(struct datafs_s3_cred *c, const struct datafs_s3_keys *used)
{
	bool others;

	pthread_mutex_lock(&c->lock);
	others = !!memcmp(&c->keys, used, sizeof(*used));
	if (!others && c->path) {
		read_again(c);
		others = !!memcmp(&c->keys, used, sizeof(*used));
	}
	pthread_mutex_unlock(&c->lock);
	return others;
}
