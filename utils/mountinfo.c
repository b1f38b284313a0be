// SPDX-License-Identifier: Apache-2.0
/* /proc/self/mountinfo; proc(5) has its format. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/word.h"
#include "mountinfo.h"

static void mountinfo_clear(struct datafs_mountinfo *mi)
{
	free(mi->dir);
	free(mi->source);
	free(mi->super_options);
}

/* The next field of *@line, or NULL at its end. */
static char *field(char **line)
{
	char *f;

	do {
		f = strsep(line, " \n");
	} while (f && !*f);
	return f;
}

/* Returns 1 if it is a datafs mount, 0 if not, -ENOMEM. */
static int parse_line(char *line, struct datafs_mountinfo *mi)
{
	char *dev, *dir, *type, *source, *super, *f;

	memset(mi, 0, sizeof(*mi));
	field(&line);			/* id */
	field(&line);			/* parent */
	dev = field(&line);
	field(&line);			/* root */
	dir = field(&line);
	if (!dir || sscanf(dev, "%u:%u", &mi->dev_major, &mi->dev_minor) != 2)
		return 0;
	/* mount options, then any number of tags up to a lone "-" */
	do {
		f = field(&line);
	} while (f && strcmp(f, "-"));
	type = f ? field(&line) : NULL;
	if (!type || strcmp(type, "datafs"))
		return 0;
	source = field(&line);
	super = field(&line);
	if (!source || !super)
		return 0;
	datafs_word_take(dir);
	datafs_word_take(source);
	mi->dir = strdup(dir);
	mi->source = strdup(source);
	mi->super_options = strdup(super);
	if (mi->dir && mi->source && mi->super_options)
		return 1;
	mountinfo_clear(mi);
	return -ENOMEM;
}

int datafs_mountinfo_parse(FILE *stream, struct datafs_mountinfo **list,
			   size_t *n)
{
	struct datafs_mountinfo *l = NULL, *bigger, mi;
	size_t count = 0, size = 0;
	char *line = NULL;
	int ret = 0;

	while (getline(&line, &size, stream) >= 0) {
		ret = parse_line(line, &mi);
		if (ret < 0)
			break;
		if (!ret)
			continue;
		bigger = realloc(l, (count + 1) * sizeof(*l));
		if (!bigger) {
			mountinfo_clear(&mi);
			ret = -ENOMEM;
			break;
		}
		l = bigger;
		l[count++] = mi;
		ret = 0;
	}
	if (!ret && ferror(stream))
		ret = -EIO;
	free(line);
	if (ret < 0) {
		datafs_mountinfo_free(l, count);
		return ret;
	}
	*list = l;
	*n = count;
	return 0;
}

int datafs_mountinfo_read(struct datafs_mountinfo **list, size_t *n)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int ret;

	if (!f)
		return -errno;
	ret = datafs_mountinfo_parse(f, list, n);
	fclose(f);
	return ret;
}

void datafs_mountinfo_free(struct datafs_mountinfo *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		mountinfo_clear(&list[i]);
	free(list);
}

const struct datafs_mountinfo *
datafs_mountinfo_at(const struct datafs_mountinfo *list, size_t n,
		    const char *dir)
{
	while (n--)
		if (!strcmp(list[n].dir, dir))
			return &list[n];
	return NULL;
}

const char *datafs_mountinfo_instance(const struct datafs_mountinfo *mi,
				      char *buf, size_t size)
{
	static const char key[] = "instance=";
	const char *s;
	size_t len;

	for (s = mi->super_options; *s; s += len + (s[len] == ',')) {
		len = strcspn(s, ",");
		if (len < strlen(key) || strncmp(s, key, strlen(key)))
			continue;
		snprintf(buf, size, "%.*s", (int)(len - strlen(key)), s + strlen(key));
		return buf;
	}
	return "default";
}
