/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of mount.datafs: which are the VFS's, which are for others
 * (fstab, mount(8)), which are this program's, and which are the kernel's.
 *
 * Every word that is not in the table of mount_opts.c is handed to the kernel, which
 * hands those that it does not know to the daemon; mount_check.h looks at these.
 */
#ifndef DATAFS_MOUNT_OPTS_H
#define DATAFS_MOUNT_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A parameter of the filesystem context; @value NULL: a flag. */
struct datafs_mount_param {
	char *key;
	char *value;
};

/**
 * struct datafs_mount_opts - what all -o of a command line say together
 * @remount:	change an existing mount
 * @attr:	MOUNT_ATTR_* wanted
 * @attr_named:	those bits of @attr that an option has named
 * @instance:	whose daemon serves it; never NULL
 * @cache_dir:	of a daemon that must be started, or NULL
 * @cache_size:	the same
 * @params:	for the kernel, in the order given, the last of each key only
 *
 * All strings are owned by it; datafs_mount_opts_free() ends it.
 */
struct datafs_mount_opts {
	bool remount;
	uint64_t attr;
	uint64_t attr_named;
	char *instance;
	char *cache_dir;
	char *cache_size;
	struct datafs_mount_param *params;
	size_t nparams;
};

/* Returns 0 or -ENOMEM. */
int datafs_mount_opts_init(struct datafs_mount_opts *o);
void datafs_mount_opts_free(struct datafs_mount_opts *o);

/*
 * datafs_mount_opts_parse - take in the value of one -o
 *
 * Later options win over earlier ones. A comma between double quotes does
 * not end an option; the quotes are dropped. On -EINVAL @err tells, in one
 * line without a newline, which option is wrong and why. -ENOMEM.
 */
int datafs_mount_opts_parse(struct datafs_mount_opts *o, const char *text,
			    char *err, size_t errlen);

/* Forgets the parameter @i. */
void datafs_mount_opts_drop(struct datafs_mount_opts *o, size_t i);

/* The MOUNT_ATTR_* of a new mount: nosuid and nodev unless named otherwise. */
uint64_t datafs_mount_opts_attr(const struct datafs_mount_opts *o);

/*
 * What a remount sets and clears. It is exact, as mount(2) is, since mount(8)
 * hands over all options of the mount and leaves out those it clears; but
 * nosuid and nodev go only if an option of this command line says so, because
 * an fstab line that relies on their being the default does not name them.
 */
void datafs_mount_opts_remount_attr(const struct datafs_mount_opts *o,
				    uint64_t *set, uint64_t *clr);

#endif
