/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer means, and the line that says so. */
#ifndef DATAFS_HTTP_JUDGE_H
#define DATAFS_HTTP_JUDGE_H

#include "http_io.h"

/* The errno of a curl_easy_perform(); *@again: it may pass. */
int datafs_http_curl_errno(CURLcode code, bool *again);
/* May a request with this status do better next time? */
bool datafs_http_status_again(uint32_t status);
/*
 * The errno of a status: 0 of 2xx; -ENOENT of 404 and 410; -EACCES of 401, 403 and 407;
 * -ESTALE of 412; -EOPNOTSUPP of 405 and 501; -EBUSY of 429 and 503; -ETIMEDOUT of 408 and
 * 504; -ERANGE of 416; -EPROTO of redirects; -EIO of all others.
 */
int datafs_http_errno(uint32_t status);

/*
 * One line: the store, the method, @key, @err, the status, the server's request id, and
 * @detail (NULL: none), in which what cannot be printed is replaced. Of the URL nothing.
 * When there are many in a second, some are left out, and how many is told. Returns @err.
 */
int datafs_http_log(struct datafs_http *h, const struct datafs_http_request *r,
		    const struct datafs_http_answer *a, const char *key, int err,
		    const char *detail);

#endif
