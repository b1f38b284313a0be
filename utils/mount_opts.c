// SPDX-License-Identifier: Apache-2.0
/* The options of mount.datafs; see mount_opts.h. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "datafs_abi.h"
#include "mount_opts.h"

#define DATAFS_ATTR_DEFAULTS	(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define DATAFS_ATTR_ALL		(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | \
				 MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
				 MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | \
				 MOUNT_ATTR_NOSYMFOLLOW)

struct datafs_opt;

typedef int (*datafs_opt_fn)(struct datafs_mount_opts *o,
			     const struct datafs_opt *opt, const char *key,
			     const char *value, char *err, size_t errlen);

/* Has the option a value? */
enum datafs_opt_value {
	VALUE_NONE,
	VALUE_ANY,	/* with or without */
	VALUE_NEEDED,
};

struct datafs_opt {
	const char *name;	/* a '*' at the end stands for anything */
	enum datafs_opt_value value;
	datafs_opt_fn take;
	uint64_t attr;		/* value of the bits in @mask */
	uint64_t mask;
};

void datafs_mount_opts_drop(struct datafs_mount_opts *o, size_t i)
{
	free(o->params[i].key);
	free(o->params[i].value);
	memmove(o->params + i, o->params + i + 1, (--o->nparams - i) * sizeof(*o->params));
}

static int add_param(struct datafs_mount_opts *o, const char *key,
		     const char *value)
{
	struct datafs_mount_param *p;
	char *k, *v = NULL;
	size_t i;

	k = strdup(key);
	if (value)
		v = strdup(value);
	p = realloc(o->params, (o->nparams + 1) * sizeof(*p));
	if (p)
		o->params = p;
	if (!k || !p || (value && !v)) {
		free(k);
		free(v);
		return -ENOMEM;
	}

	for (i = 0; i < o->nparams; i++)
		if (!strcmp(o->params[i].key, key))
			break;
	if (i < o->nparams)
		datafs_mount_opts_drop(o, i);
	p[o->nparams++] = (struct datafs_mount_param){ .key = k, .value = v };
	return 0;
}

static int take_ignored(struct datafs_mount_opts *o,
			const struct datafs_opt *opt, const char *key,
			const char *value, char *err, size_t errlen)
{
	(void)o, (void)opt, (void)key, (void)value, (void)err, (void)errlen;
	return 0;
}

static int take_refused(struct datafs_mount_opts *o,
			const struct datafs_opt *opt, const char *key,
			const char *value, char *err, size_t errlen)
{
	(void)o, (void)opt, (void)value;
	snprintf(err, errlen, "option %s is not for a filesystem's helper: use mount(8)",
		 key);
	return -EINVAL;
}

static int take_attr(struct datafs_mount_opts *o, const struct datafs_opt *opt,
		     const char *key, const char *value, char *err,
		     size_t errlen)
{
	(void)key, (void)value, (void)err, (void)errlen;
	o->attr = (o->attr & ~opt->mask) | opt->attr;
	o->attr_named |= opt->mask;
	return 0;
}

/* The superblock and the mount each have this one. */
static int take_sb_flag(struct datafs_mount_opts *o,
			const struct datafs_opt *opt, const char *key,
			const char *value, char *err, size_t errlen)
{
	take_attr(o, opt, key, value, err, errlen);
	return add_param(o, key, NULL);
}

static int take_remount(struct datafs_mount_opts *o,
			const struct datafs_opt *opt, const char *key,
			const char *value, char *err, size_t errlen)
{
	(void)opt, (void)key, (void)value, (void)err, (void)errlen;
	o->remount = true;
	return 0;
}

static int replace(char **where, const char *value)
{
	char *s = strdup(value);

	if (!s)
		return -ENOMEM;
	free(*where);
	*where = s;
	return 0;
}

/*
 * The name becomes part of paths below /run/datafs, and of the cache's. So it is
 * as the daemon's --name: what the kernel takes, but hidden from nobody.
 */
static int take_instance(struct datafs_mount_opts *o,
			 const struct datafs_opt *opt, const char *key,
			 const char *value, char *err, size_t errlen)
{
	size_t len = strlen(value);
	int ret;

	(void)opt;
	if (!len || len > DATAFS_INSTANCE_MAX || *value == '.' ||
	    strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len) {
		snprintf(err, errlen,
			 "instance=%.80s: a name is 1 to %d of the characters A-Z a-z 0-9 . _ - and does not begin with a dot",
			 value, DATAFS_INSTANCE_MAX);
		return -EINVAL;
	}
	ret = replace(&o->instance, value);
	return ret ? ret : add_param(o, key, value);
}

static int take_cache(struct datafs_mount_opts *o, const struct datafs_opt *opt,
		      const char *key, const char *value, char *err,
		      size_t errlen)
{
	(void)opt, (void)key;
	if (!*value) {
		snprintf(err, errlen, "cache=: a directory is needed");
		return -EINVAL;
	}
	return replace(&o->cache_dir, value);
}

static int take_cache_size(struct datafs_mount_opts *o,
			   const struct datafs_opt *opt, const char *key,
			   const char *value, char *err, size_t errlen)
{
	size_t digits = strspn(value, "0123456789");
	const char *unit = value + digits;

	(void)opt, (void)key;
	if (!digits || digits > 18 ||
	    (*unit && (unit[1] || !strchr("kKmMgGtT", *unit)))) {
		snprintf(err, errlen,
			 "cache_size=%.80s: a number of bytes, or one with K, M, G or T, is needed",
			 value);
		return -EINVAL;
	}
	return replace(&o->cache_size, value);
}

#define ATTR(name, attr, mask)	{ name, VALUE_NONE, take_attr, attr, mask }
#define ON(name, bit)		ATTR(name, bit, bit)
#define OFF(name, bit)		ATTR(name, 0, bit)
#define ATIME(name, attr)	ATTR(name, attr, MOUNT_ATTR__ATIME)
#define IGNORED(name)		{ name, VALUE_ANY, take_ignored, 0, 0 }
#define REFUSED(name)		{ name, VALUE_ANY, take_refused, 0, 0 }

static const struct datafs_opt datafs_opts[] = {
	{ "ro", VALUE_NONE, take_sb_flag, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY },
	{ "rw", VALUE_NONE, take_sb_flag, 0, MOUNT_ATTR_RDONLY },
	ON("nosuid", MOUNT_ATTR_NOSUID),
	OFF("suid", MOUNT_ATTR_NOSUID),
	ON("nodev", MOUNT_ATTR_NODEV),
	OFF("dev", MOUNT_ATTR_NODEV),
	/* mount(8) does not hand "suid" and "dev" to a helper, but these */
	OFF("allow_suid", MOUNT_ATTR_NOSUID),
	OFF("allow_dev", MOUNT_ATTR_NODEV),
	ON("noexec", MOUNT_ATTR_NOEXEC),
	OFF("exec", MOUNT_ATTR_NOEXEC),
	ON("nosymfollow", MOUNT_ATTR_NOSYMFOLLOW),
	OFF("symfollow", MOUNT_ATTR_NOSYMFOLLOW),
	ON("nodiratime", MOUNT_ATTR_NODIRATIME),
	OFF("diratime", MOUNT_ATTR_NODIRATIME),
	ATIME("noatime", MOUNT_ATTR_NOATIME),
	ATIME("atime", MOUNT_ATTR_RELATIME),
	ATIME("relatime", MOUNT_ATTR_RELATIME),
	ATIME("norelatime", MOUNT_ATTR_RELATIME),
	ATIME("strictatime", MOUNT_ATTR_STRICTATIME),
	ATIME("nostrictatime", MOUNT_ATTR_RELATIME),

	{ "remount", VALUE_NONE, take_remount, 0, 0 },
	{ "instance", VALUE_NEEDED, take_instance, 0, 0 },
	{ "cache", VALUE_NEEDED, take_cache, 0, 0 },
	{ "cache_size", VALUE_NEEDED, take_cache_size, 0, 0 },

	IGNORED("defaults"),
	IGNORED("auto"),
	IGNORED("noauto"),
	IGNORED("user"),
	IGNORED("nouser"),
	IGNORED("users"),
	IGNORED("nousers"),
	IGNORED("owner"),
	IGNORED("noowner"),
	IGNORED("group"),
	IGNORED("nogroup"),
	IGNORED("nofail"),
	IGNORED("_netdev"),
	IGNORED("comment"),
	IGNORED("helper"),
	IGNORED("uhelper"),
	IGNORED("silent"),
	IGNORED("loud"),
	IGNORED("x-*"),
	IGNORED("X-*"),

	REFUSED("bind"),
	REFUSED("rbind"),
	REFUSED("move"),
	REFUSED("shared"),
	REFUSED("rshared"),
	REFUSED("slave"),
	REFUSED("rslave"),
	REFUSED("private"),
	REFUSED("rprivate"),
	REFUSED("unbindable"),
	REFUSED("runbindable"),
};

static const struct datafs_opt *find_opt(const char *key)
{
	const struct datafs_opt *opt;
	size_t i, len;

	for (i = 0; i < sizeof(datafs_opts) / sizeof(*datafs_opts); i++) {
		opt = &datafs_opts[i];
		len = strlen(opt->name);
		if (opt->name[len - 1] == '*' ?
		    !strncmp(key, opt->name, len - 1) : !strcmp(key, opt->name))
			return opt;
	}
	return NULL;
}

static int take_word(struct datafs_mount_opts *o, char *word, char *err,
		     size_t errlen)
{
	const struct datafs_opt *opt;
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	if (!*word) {
		snprintf(err, errlen, "option \"=%.80s\" has no name", value ? value : "");
		return -EINVAL;
	}
	opt = find_opt(word);
	if (!opt)
		return add_param(o, word, value);
	if (opt->value == VALUE_NONE && value) {
		snprintf(err, errlen, "option %s takes no value", word);
		return -EINVAL;
	}
	if (opt->value == VALUE_NEEDED && !value) {
		snprintf(err, errlen, "option %s needs a value", word);
		return -EINVAL;
	}
	return opt->take(o, opt, word, value, err, errlen);
}

int datafs_mount_opts_init(struct datafs_mount_opts *o)
{
	memset(o, 0, sizeof(*o));
	o->instance = strdup("default");
	return o->instance ? 0 : -ENOMEM;
}

void datafs_mount_opts_free(struct datafs_mount_opts *o)
{
	size_t i;

	for (i = 0; i < o->nparams; i++) {
		free(o->params[i].key);
		free(o->params[i].value);
	}
	free(o->params);
	free(o->instance);
	free(o->cache_dir);
	free(o->cache_size);
	memset(o, 0, sizeof(*o));
}

int datafs_mount_opts_parse(struct datafs_mount_opts *o, const char *text,
			    char *err, size_t errlen)
{
	const char *p = text;
	char *word, *w;
	bool quoted;
	int ret = 0;

	word = malloc(strlen(text) + 1);
	if (!word)
		return -ENOMEM;
	while (!ret && *p) {
		quoted = false;
		for (w = word; *p && (quoted || *p != ','); p++) {
			if (*p == '"')
				quoted = !quoted;
			else
				*w++ = *p;
		}
		*w = '\0';
		if (quoted) {
			snprintf(err, errlen, "option %.80s: a quote is not closed", word);
			ret = -EINVAL;
			break;
		}
		if (*p == ',')
			p++;
		if (*word)
			ret = take_word(o, word, err, errlen);
	}
	free(word);
	/* One line, whatever was typed. */
	for (w = err; ret == -EINVAL && *w; w++)
		if ((unsigned char)*w < ' ')
			*w = '?';
	return ret;
}

uint64_t datafs_mount_opts_attr(const struct datafs_mount_opts *o)
{
	return o->attr | (DATAFS_ATTR_DEFAULTS & ~o->attr_named);
}

void datafs_mount_opts_remount_attr(const struct datafs_mount_opts *o,
				    uint64_t *set, uint64_t *clr)
{
	uint64_t kept = DATAFS_ATTR_DEFAULTS & ~o->attr_named;

	*set = o->attr;
	*clr = DATAFS_ATTR_ALL & ~kept;
}
