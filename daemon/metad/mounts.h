/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of mounts: at which path of the namespace which source is mounted, with which
 * options. Documentation/metadata.rst says why it is kept by paths.
 *
 * What texts may be. All are without control characters (below 0x20, and 0x7f):
 *
 *   path     "/", or "/NAME/NAME...": names as those of files, no "." and no ".."
 *   source   any text; not one that has a password, as "scheme://USER:PASSWORD@HOST/..."
 *   options  "", or "name,name=value,...": names of a-z, 0-9 and '_', each once, 64 at
 *            the most; no value that has a password
 *
 * Members must agree on it, and have records of it: it may become more with a feature level,
 * and never less.
 *
 * Which options there are, and for which sources, is not looked at: that is for who asks
 * for a mount, and for who mounts it.
 */
#ifndef DATAFS_METAD_MOUNTS_H
#define DATAFS_METAD_MOUNTS_H

#include <stddef.h>

#define DATAFS_METAD_MOUNTS_MAX	1024	/* lines */
#define DATAFS_METAD_PATH_MAX	4095	/* bytes of a mount's path */
#define DATAFS_METAD_OPTIONS_MAX	4095	/* ... of its options; of its source: DATAFS_SOURCE_MAX */
#define DATAFS_METAD_MOUNT_OPTIONS	64u

/* NULL, or what is wrong: a static text. */
const char *datafs_mount_path_wrong(const void *path, size_t len);
const char *datafs_mount_source_wrong(const void *source, size_t len);
const char *datafs_mount_options_wrong(const void *options, size_t len);

#endif
