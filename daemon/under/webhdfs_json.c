// SPDX-License-Identifier: Apache-2.0
#include "webhdfs_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datafs_abi.h"

static json_t *load(const char *text, size_t len)
{
	return text ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* ---- statuses ---- */

/* A number that is not negative; @missing where there is none. */
static int number(const json_t *o, const char *name, int64_t missing, int64_t *res)
{
	const json_t *v = json_object_get(o, name);

	*res = v ? json_integer_value(v) : missing;
	return (v && !json_is_integer(v)) || *res < 0 ? -EPROTO : 0;
}

static int mode(const json_t *o, uint32_t *res)
{
	const char *text = json_string_value(json_object_get(o, "permission"));
	char *end;

	if (!text || *text < '0' || *text > '7')
		return -EPROTO;
	*res = strtoul(text, &end, 8);
	return *end || *res > 07777 ? -EPROTO : 0;
}

static int status(const json_t *o, struct webhdfs_status *s)
{
	const char *type = json_string_value(json_object_get(o, "type"));
	int64_t id, length, children;

	*s = (struct webhdfs_status){
		.name = json_string_value(json_object_get(o, "pathSuffix")),
		.owner = json_string_value(json_object_get(o, "owner")),
		.group = json_string_value(json_object_get(o, "group")),
	};
	if (!type || !s->name || !s->owner || !s->group || mode(o, &s->mode) ||
	    number(o, "fileId", 0, &id) || number(o, "length", -1, &length) ||
	    number(o, "modificationTime", -1, &s->mtime) ||
	    number(o, "accessTime", 0, &s->atime) || number(o, "childrenNum", 0, &children))
		return -EPROTO;
	s->dir = !strcmp(type, "DIRECTORY");
	s->file_id = id;
	s->length = s->dir ? 0 : length;
	s->children = children;
	return s->dir || !strcmp(type, "FILE") ? 0 : -EOPNOTSUPP;
}

static bool is_name(const char *name)
{
	return *name && strlen(name) <= DATAFS_NAME_MAX && !strchr(name, '/') &&
	       strcmp(name, ".") && strcmp(name, "..");
}

static int by_name(const void *a, const void *b)
{
	const struct webhdfs_status *l = a, *r = b;

	return strcmp(l->name, r->name);
}

static int add_all(const json_t *all, struct webhdfs_statuses *res)
{
	const json_t *o;
	size_t i;
	int err;

	if (!json_is_array(all))
		return -EPROTO;
	res->v = calloc(json_array_size(all) + 1, sizeof(*res->v));
	if (!res->v)
		return -ENOMEM;
	json_array_foreach(all, i, o) {
		struct webhdfs_status *s = &res->v[res->n];

		err = status(o, s);
		if (err == -EPROTO)
			return err;
		/* A listing of a file is the file, without a name. */
		if (!err && (is_name(s->name) || (!*s->name && json_array_size(all) == 1)))
			res->n++;
		else
			res->skipped++;
	}
	qsort(res->v, res->n, sizeof(*res->v), by_name);
	for (i = 1; i < res->n; i++)
		if (!strcmp(res->v[i - 1].name, res->v[i].name))
			return -EPROTO;
	return 0;
}

int datafs_webhdfs_status(const char *text, size_t len, struct webhdfs_statuses *res)
{
	int err;

	memset(res, 0, sizeof(*res));
	res->doc = load(text, len);
	res->v = calloc(1, sizeof(*res->v));
	if (res->v)
		err = status(json_object_get(res->doc, "FileStatus"), res->v);
	else
		err = -ENOMEM;
	if (err)
		datafs_webhdfs_statuses_free(res);
	else
		res->n = 1;
	return err;
}

int datafs_webhdfs_list(const char *text, size_t len, struct webhdfs_statuses *res)
{
	const json_t *o, *batch;
	int64_t remaining = 0;
	int err = 0;

	memset(res, 0, sizeof(*res));
	res->doc = load(text, len);
	batch = json_object_get(res->doc, "DirectoryListing");
	if (batch)
		err = number(batch, "remainingEntries", -1, &remaining);
	o = batch ? json_object_get(batch, "partialListing") : res->doc;
	o = json_object_get(json_object_get(o, "FileStatuses"), "FileStatus");
	if (!err)
		err = add_all(o, res);
	/* More of it, but nothing behind which it would be: that would go on for ever. */
	if (!err && remaining && !res->n)
		err = -EPROTO;
	res->more = remaining > 0;
	if (err)
		datafs_webhdfs_statuses_free(res);
	return err;
}

void datafs_webhdfs_statuses_free(struct webhdfs_statuses *s)
{
	json_decref(s->doc);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

/* ---- other answers ---- */

int datafs_webhdfs_boolean(const char *text, size_t len, bool *res)
{
	json_t *doc = load(text, len);
	const json_t *v = json_object_get(doc, "boolean");
	int err = json_is_boolean(v) ? 0 : -EPROTO;

	*res = json_is_true(v);
	json_decref(doc);
	return err;
}

static const struct {
	const char *name;
	int err;
} exceptions[] = {
	{ "FileNotFoundException", -ENOENT },
	{ "FileAlreadyExistsException", -EEXIST },
	{ "ParentNotDirectoryException", -ENOTDIR },
	{ "PathIsNotDirectoryException", -ENOTDIR },
	{ "PathIsNotEmptyDirectoryException", -ENOTEMPTY },
	{ "AccessControlException", -EACCES },
	{ "SecurityException", -EACCES },
	{ "AuthenticationException", -EACCES },
	{ "AuthorizationException", -EACCES },
	{ "InvalidToken", -EACCES },
	{ "IllegalArgumentException", -EINVAL },
	{ "HadoopIllegalArgumentException", -EINVAL },
	{ "InvalidPathException", -EINVAL },
	{ "PathComponentTooLongException", -ENAMETOOLONG },
	{ "UnsupportedOperationException", -EOPNOTSUPP },
	{ "QuotaExceededException", -EDQUOT },
	{ "NSQuotaExceededException", -EDQUOT },
	{ "DSQuotaExceededException", -EDQUOT },
	{ "QuotaByStorageTypeExceededException", -EDQUOT },
	{ "SafeModeException", -EBUSY },
	{ "StandbyException", -EHOSTDOWN },
	{ "AlreadyBeingCreatedException", -EBUSY },
	{ "RecoveryInProgressException", -EBUSY },
	{ "RetriableException", -EBUSY },
};

/* "FSLimitException$PathComponentTooLongException" */
static const char *inner(const char *name)
{
	const char *dollar = strrchr(name, '$');

	return dollar ? dollar + 1 : name;
}

/* Those of which only the words tell what it is. */
static int by_words(const char *message)
{
	return strstr(message, "is not empty") ? -ENOTEMPTY : -EIO;
}

int datafs_webhdfs_exception(const char *text, size_t len, char *why, size_t room)
{
	json_t *doc = load(text, len);
	const json_t *e = json_object_get(doc, "RemoteException");
	const char *name = json_string_value(json_object_get(e, "exception"));
	const char *message = json_string_value(json_object_get(e, "message"));
	int err = name ? by_words(message ? message : "") : 0;

	for (size_t i = 0; name && i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (!strcmp(inner(name), exceptions[i].name))
			err = exceptions[i].err;
	snprintf(why, room, "%s%s%s", name ? name : "", message ? ": " : "", message ? message : "");
	why[strcspn(why, "\n")] = 0;
	json_decref(doc);
	return err;
}
