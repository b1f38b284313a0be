/* SPDX-License-Identifier: Apache-2.0 */
/* What is set for each mount of an under-store: one table of options, in under_opts.c. */
#ifndef DATAFS_UNDER_OPTS_H
#define DATAFS_UNDER_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which stores take an option. */
#define DATAFS_UNDER_FOR_ALL	(1u << 0)
#define DATAFS_UNDER_FOR_NET	(1u << 1)	/* reached by HTTP */
#define DATAFS_UNDER_FOR_S3	(1u << 2)
#define DATAFS_UNDER_FOR_WEBHDFS	(1u << 3)

struct datafs_under_opts {
	const char *mount;		/* no option: what log lines begin with, or NULL; the caller's */
	bool read_only;
	uint64_t part_size;		/* of an upload, and of a fetch at the most; bytes */
	uint32_t concurrency;		/* requests at one time */
	uint64_t down, up;		/* bytes a second; 0: no limit */
	uint64_t requests_down, requests_up;	/* ... requests */
	double price_get, price_put, price_down;	/* see the table */

	/* of what has none in the store */
	uint32_t uid, gid, file_mode, dir_mode;

	/* FOR_NET; strings are NULL if not set */
	char *ca_file;
	/* FOR_S3 */
	char *endpoint, *region, *credentials, *profile;
	bool path_style, requester_pays, anonymous;
	/* FOR_WEBHDFS */
	char *user, *token_file;

	uint64_t set;			/* the bit of a line in the table: it was told */
};

/*
 * One line. How a value is parsed says the type of the member at @offset: a flag takes
 * no value, and "0" and "1".
 */
struct datafs_under_opt {
	const char *name;
	size_t offset;
	int (*parse)(const struct datafs_under_opt *opt, const char *value, void *at);
	uint64_t min, max;	/* of a number, or of the length of a text */
	uint32_t stores;	/* DATAFS_UNDER_FOR_* */
	const char *want;	/* what a value looks like; NULL: a flag */
	const char *doc;
};

/* Ends with a name of NULL. */
extern const struct datafs_under_opt datafs_under_opt_table[];

extern const struct datafs_under_opts datafs_under_opts_default;	/* to begin with */
void datafs_under_opts_free(struct datafs_under_opts *o);	/* leaves the defaults */
/*
 * @value NULL: there was none. -ENOENT: no such option; -EINVAL, and *@want is what is
 * wanted, as in "a price of 1000"; -ENOMEM.
 */
int datafs_under_opts_set(struct datafs_under_opts *o, const char *name, const char *value,
			  const char **want);
/* An option that was set and is for none of @stores, or NULL. */
const char *datafs_under_opts_alien(const struct datafs_under_opts *o, uint32_t stores);

#endif
