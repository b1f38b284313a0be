/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a mount is to S3: keys of the file of option "credentials", else of the environment
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), else of AWS' shared file
 * (AWS_SHARED_CREDENTIALS_FILE, or ~/.aws/credentials) and its profile (option "profile",
 * AWS_PROFILE, or "default"). A file that others than its owner can read is refused. No line
 * of the log has any of a key.
 */
#ifndef DATAFS_S3_CRED_H
#define DATAFS_S3_CRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "under_opts.h"

#define DATAFS_S3_CRED_FILE_MAX	(64 << 10)
#define DATAFS_S3_TOKEN_MAX	4096

/* Wipe copies with explicit_bzero(). */
struct datafs_s3_keys {
	char id[129], secret[257], token[DATAFS_S3_TOKEN_MAX + 1];	/* token "": there is none */
	int64_t expires;	/* seconds since 1970; 0: not known */
};

struct datafs_s3_cred;

/* @o, and @name of log lines, stay the caller's. -EACCES, -EINVAL and others after a line. */
int datafs_s3_cred_open(const struct datafs_under_opts *o, const char *name,
			struct datafs_s3_cred **res);
void datafs_s3_cred_close(struct datafs_s3_cred *c);	/* NULL is fine */

/* Any thread; may read the file, if what is known expires within a minute. */
void datafs_s3_cred_get(struct datafs_s3_cred *c, struct datafs_s3_keys *keys);
/* @used were refused: reads the file again. Are there others now? Any thread. */
bool datafs_s3_cred_again(struct datafs_s3_cred *c, const struct datafs_s3_keys *used);

/*
 * Of the text of such a file the section @profile. -ENOENT: there is none such; -EINVAL:
 * it has no key, or one that is too long.
 */
int datafs_s3_cred_parse(const char *text, size_t len, const char *profile,
			 struct datafs_s3_keys *keys);

#endif
