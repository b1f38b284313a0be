/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the WebHDFS store: webhdfs.c (opening, looking, listing, reading),
 * webhdfs_call.c (requests), webhdfs_attr.c (owners), webhdfs_write.c (changes),
 * webhdfs_upload.c (in parts).
 *
 * What is not published yet is in a directory of the root, which nobody sees. Its files
 * and directories have names of 32 hexadecimal digits.
 */
#ifndef DATAFS_WEBHDFS_INTERNAL_H
#define DATAFS_WEBHDFS_INTERNAL_H

#include "http_io.h"
#include "under_ops.h"
#include "webhdfs_json.h"

#define WEBHDFS_HIDDEN	".datafs-uploads"
#define WEBHDFS_ID_LEN	32
#define WEBHDFS_TEMP_MAX	128	/* of a hidden key */
#define WEBHDFS_TEXT_MAX	(8u << 20)	/* of a listing; in memory its tree is some 80 times that */

/* What RENAME does with renameoptions. */
enum webhdfs_renames {
	WEBHDFS_RENAMES_UNKNOWN,
	WEBHDFS_RENAMES_AT_ONCE,	/* what they say */
	WEBHDFS_RENAMES_PLAIN,		/* it leaves them out: into a directory that is there */
};

struct webhdfs {
	struct datafs_under u;
	struct datafs_http *http;
	char *base;		/* http[s]://HOST:PORT/webhdfs/v1, then the root without a '/' at its end */
	size_t root;		/* where in @base the root begins, which is encoded */
	char *who;		/* a secret: "&user.name=..." or "&delegation=...", or "" */
	atomic_bool no_batch;	/* the server has no LISTSTATUS_BATCH */
	atomic_int renames;	/* enum webhdfs_renames */
};

static inline struct webhdfs *webhdfs_of(struct datafs_under *u)
{
	return (struct webhdfs *)u;
}

/* ---- webhdfs_call.c ---- */

struct webhdfs_call {
	enum datafs_under_method m;
	const char *method;
	const char *key;
	const char *op;		/* the query behind "op=", encoded */
	bool quiet;		/* no line in the log of an error that the caller expects */
};

/*
 * Asks the namenode. 0: a 2xx; otherwise the errno of what it says, after a line in the log
 * unless it is a fact of the object. @a is to be freed after either.
 */
int datafs_webhdfs_ask(struct webhdfs *s, const struct webhdfs_call *c,
		       struct datafs_http_answer *a);
/* Where it says yes or no, or nothing, which is yes. @said: which of these; may be NULL. */
int datafs_webhdfs_do(struct webhdfs *s, const struct webhdfs_call *c, bool *yes, bool *said);
/*
 * Asks the namenode, then the datanode that it names: reads into @into[@len], all of which
 * must come; or sends @body[@len].
 */
int datafs_webhdfs_fetch(struct webhdfs *s, const struct webhdfs_call *c, void *into, size_t len);
int datafs_webhdfs_send(struct webhdfs *s, const struct webhdfs_call *c, const void *body,
			size_t len);

/* No '/'-separated part of it is reserved. */
bool datafs_webhdfs_key_ok(const char *key);

/* ---- webhdfs_attr.c ---- */

/* Numbers of names that were looked up last. May block in the name service. */
struct webhdfs_owners {
	char user[256], group[256];
	uint32_t uid, gid;
};

/* @o: zeros at first. A name that this machine does not know is the mount's owner. */
void datafs_webhdfs_attributes(const struct webhdfs *s, const struct webhdfs_status *from,
			       const struct timespec *seen, struct webhdfs_owners *o,
			       struct datafs_under_stat *st);
/* Sets all that @attr says, but of a directory no time. */
int datafs_webhdfs_set(struct webhdfs *s, const char *key, const struct datafs_under_attr *attr,
		       bool dir);

/* ---- webhdfs.c ---- */

/* As stat(), of keys that are hidden too. */
int datafs_webhdfs_look(struct webhdfs *s, const char *key, struct datafs_under_stat *st);

/* ---- webhdfs_write.c ---- */

/* A hidden key that nobody has had: WEBHDFS_HIDDEN "/" and @id. */
int datafs_webhdfs_temp(char key[WEBHDFS_TEMP_MAX], char id[WEBHDFS_ID_LEN + 1]);
/* Of a key that must be as @cond says; not at once with what comes then. */
int datafs_webhdfs_check(struct webhdfs *s, const char *key, const struct datafs_under_cond *cond);
/*
 * Gives the object @from, whose file_id is @id (0: unknown), the name @key. What is there is
 * replaced if @over, and otherwise -EEXIST: at once, or, where RENAME has no options, looked
 * at just before; there nothing is replaced (-EISDIR, -EOPNOTSUPP).
 */
int datafs_webhdfs_publish(struct webhdfs *s, const char *from, uint64_t id, const char *key,
			   bool over);
/* 0 if nothing is there, too. */
int datafs_webhdfs_delete(struct webhdfs *s, const char *key, bool recursive);
/* A new file with these bytes, private and without its attributes. */
int datafs_webhdfs_create(struct webhdfs *s, const char *key, const void *buf, size_t len);
/* Is it as long as what was written? -EIO, after a line in the log. */
int datafs_webhdfs_whole(struct webhdfs *s, const char *key, const struct datafs_under_stat *st,
			 uint64_t size);
/* Attributes, conditions, name: what is left to do for a new file of @size bytes. */
int datafs_webhdfs_finish(struct webhdfs *s, const char *from, uint64_t size, const char *key,
			  const struct datafs_under_attr *attr,
			  const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);

int datafs_webhdfs_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		       const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		       struct datafs_fingerprint *fp);
int datafs_webhdfs_mkdir(struct datafs_under *u, const char *key,
			 const struct datafs_under_attr *attr);
int datafs_webhdfs_rmdir(struct datafs_under *u, const char *key);
int datafs_webhdfs_remove(struct datafs_under *u, const char *key,
			  const struct datafs_under_cond *cond);
int datafs_webhdfs_rename(struct datafs_under *u, const char *from, const char *to);

/* ---- webhdfs_upload.c ---- */

int datafs_webhdfs_begin(struct datafs_under *u, const char *key,
			 const struct datafs_under_attr *attr, struct datafs_under_upload *up);
int datafs_webhdfs_part(struct datafs_under *u, const char *key,
			const struct datafs_under_upload *up, struct datafs_under_part *part,
			const void *buf);
int datafs_webhdfs_complete(struct datafs_under *u, const char *key,
			    const struct datafs_under_upload *up,
			    const struct datafs_under_part *parts, size_t n,
			    const struct datafs_under_attr *attr,
			    const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);
int datafs_webhdfs_abort(struct datafs_under *u, const char *key,
			 const struct datafs_under_upload *up);

#endif
