/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs (POSIX.1e draft 17) as Linux gives them to programs in the xattrs
 * system.posix_acl_access and system.posix_acl_default: little-endian, a header with
 * version 2, then entries in the order owner, users, group, groups, mask, others.
 * The entries of owner, others, and of the mask or (without one) the group are
 * the permission bits of the mode.
 */
#ifndef DATAFS_METAD_ACL_H
#define DATAFS_METAD_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_ACCESS	"system.posix_acl_access"
#define ACL_DEFAULT	"system.posix_acl_default"

/* No entries: it is to be removed. */
bool acl_empty(const uint8_t *acl, size_t len);
bool acl_valid(const uint8_t *acl, size_t len);

/* The rest take valid ones. */

/* Does it say more than a mode does? */
bool acl_extended(const uint8_t *acl, size_t len);
/* The permission bits (0777) that it means. */
uint32_t acl_mode(const uint8_t *acl, size_t len);
/* It is to mean these bits of @mode. */
void acl_set_mode(uint8_t *acl, size_t len, uint32_t mode);
/* A default ACL becomes the access ACL of what is made with @mode; the mode's bits. */
uint32_t acl_inherit(uint8_t *acl, size_t len, uint32_t mode);

#endif
