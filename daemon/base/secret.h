/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords where none may be: sources and options are shown, logged and kept. */
#ifndef DATAFS_SECRET_H
#define DATAFS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Is there "scheme://USER:PASSWORD@" in @text, of @len bytes without NUL? Also where the
 * password has a character at which an URL's authority ends. A token in a query is not
 * found.
 */
bool datafs_has_password(const char *text, size_t len);

#endif
