// SPDX-License-Identifier: Apache-2.0
#include "metad/mounts.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/secret.h"
#include "datafs_abi.h"

/* A part of a text. */
struct piece {
	const uint8_t *p;
	size_t len;
};

static const char control[] = "it has a control character";
static const char password[] = "it has a password, which everybody could read who lists the mounts";

static bool has_control(struct piece t)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.p[i] < 0x20 || t.p[i] == 0x7f)
			return true;
	return false;
}

/* Takes what is before the next @end, or all, from the front. */
static struct piece take(struct piece *t, char end)
{
	const uint8_t *at = t->len ? memchr(t->p, end, t->len) : NULL;
	struct piece res = { t->p, at ? (size_t)(at - t->p) : t->len };
	size_t past = res.len + !!at;

	t->p += past;
	t->len -= past;
	return res;
}

static const char *name_wrong(struct piece name)
{
	if (!name.len)
		return "it has an empty name, or ends with a slash";
	if (name.len > DATAFS_NAME_MAX)
		return "a name in it is longer than 255 bytes";
	if (name.p[0] == '.' && (name.len == 1 || (name.len == 2 && name.p[1] == '.')))
		return "it has a name that is . or ..";
	return NULL;
}

const char *datafs_mount_path_wrong(const void *path, size_t len)
{
	struct piece rest = { path, len };
	const char *why = NULL;

	if (len > DATAFS_METAD_PATH_MAX)
		return "it is longer than 4095 bytes";
	if (!len || rest.p[0] != '/')
		return "it does not begin with a slash";
	if (has_control(rest))
		return control;
	take(&rest, '/');
	if (!rest.len)
		return NULL;
	/* what ends with a slash has an empty name behind it */
	if (rest.p[rest.len - 1] == '/')
		return name_wrong((struct piece){ 0 });
	while (rest.len && !why)
		why = name_wrong(take(&rest, '/'));
	return why;
}

const char *datafs_mount_source_wrong(const void *source, size_t len)
{
	struct piece t = { source, len };

	if (!len)
		return "it is empty";
	if (len > DATAFS_SOURCE_MAX)
		return "it is too long";
	if (has_control(t))
		return control;
	return datafs_has_password((const char *)t.p, t.len) ? password : NULL;
}

static const char *option_wrong(struct piece option)
{
	struct piece value = option, name = take(&value, '=');

	if (!name.len)
		return "an option has no name";
	for (size_t i = 0; i < name.len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.p[i]))
			return "the name of an option has other characters than a-z, 0-9 and _";
	return datafs_has_password((const char *)value.p, value.len) ? password : NULL;
}

static bool same_name(struct piece a, struct piece b)
{
	a = take(&a, '=');
	b = take(&b, '=');
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

const char *datafs_mount_options_wrong(const void *options, size_t len)
{
	struct piece rest = { options, len }, seen[DATAFS_METAD_MOUNT_OPTIONS];
	const char *why = NULL;
	unsigned int n = 0;

	if (len > DATAFS_METAD_OPTIONS_MAX)
		return "they are longer than 4095 bytes";
	if (has_control(rest))
		return control;
	if (len && rest.p[len - 1] == ',')
		return "an option has no name";
	while (rest.len && !why) {
		if (n == DATAFS_METAD_MOUNT_OPTIONS)
			return "they are more than 64";
		seen[n] = take(&rest, ',');
		why = option_wrong(seen[n]);
		for (unsigned int i = 0; i < n && !why; i++)
			if (same_name(seen[i], seen[n]))
				why = "an option is there twice";
		n++;
	}
	return why;
}
