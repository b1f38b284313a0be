/* SPDX-License-Identifier: Apache-2.0 */
/* "NAME" or "NAME=VALUE", into options of an under-store; ends the program if it is wrong. */
#ifndef DATAFS_TEST_UNDER_OPTIONS_H
#define DATAFS_TEST_UNDER_OPTIONS_H

#include <err.h>
#include <string.h>

#include "under/under_opts.h"

static inline void under_option(struct datafs_under_opts *o, char *text)
{
	char *value = strchr(text, '=');
	const char *want;

	if (value)
		*value++ = 0;
	if (datafs_under_opts_set(o, text, value, &want))
		errx(2, "option %s", text);
}

#endif
