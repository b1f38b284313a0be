// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "http_judge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "http_pool.h"

#define LINES_MAX	20	/* in a second */

static const struct {
	CURLcode code;
	int err;
	bool again;
} codes[] = {
	{ CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH, true },
	{ CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, true },
	{ CURLE_COULDNT_CONNECT, -ECONNREFUSED, true },
	{ CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, true },
	{ CURLE_PARTIAL_FILE, -ECONNRESET, true },
	{ CURLE_GOT_NOTHING, -ECONNRESET, true },
	{ CURLE_SEND_ERROR, -ECONNRESET, true },
	{ CURLE_RECV_ERROR, -ECONNRESET, true },
	{ CURLE_SSL_CONNECT_ERROR, -ECONNABORTED, true },
	{ CURLE_HTTP2, -ECONNRESET, true },
	{ CURLE_HTTP2_STREAM, -ECONNRESET, true },
	{ CURLE_WEIRD_SERVER_REPLY, -EPROTO, true },
	{ CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED, false },
	{ CURLE_SSL_ISSUER_ERROR, -EKEYREJECTED, false },
	{ CURLE_SSL_CERTPROBLEM, -EKEYREJECTED, false },
	{ CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED, false },
	{ CURLE_URL_MALFORMAT, -EINVAL, false },
	{ CURLE_UNSUPPORTED_PROTOCOL, -EPROTONOSUPPORT, false },
	{ CURLE_OUT_OF_MEMORY, -ENOMEM, false },
};

int datafs_http_curl_errno(CURLcode code, bool *again)
{
	*again = false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code) {
			*again = codes[i].again;
			return codes[i].err;
		}
	return code == CURLE_OK ? 0 : -EIO;
}

bool datafs_http_status_again(uint32_t status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 ||
	       status == 503 || status == 504;
}

int datafs_http_errno(uint32_t status)
{
	static const struct {
		uint32_t status;
		int err;
	} known[] = {
		{ 401, -EACCES }, { 403, -EACCES }, { 407, -EACCES },
		{ 404, -ENOENT }, { 410, -ENOENT },
		{ 405, -EOPNOTSUPP }, { 501, -EOPNOTSUPP },
		{ 408, -ETIMEDOUT }, { 504, -ETIMEDOUT },
		{ 412, -ESTALE }, { 416, -ERANGE }, { 429, -EBUSY }, { 503, -EBUSY },
	};

	if (status / 100 == 2)
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == status)
			return known[i].err;
	return status / 100 == 3 ? -EPROTO : -EIO;
}

/* Is a line left out? Else *@before is how many were. */
static bool leave_out(struct datafs_http *h, uint64_t *before)
{
	int64_t now = h->clock->now() / DATAFS_SEC;
	bool out;

	pthread_mutex_lock(&h->lock);
	if (h->log_since != now) {
		h->log_since = now;
		h->log_lines = 0;
	}
	out = h->log_lines >= LINES_MAX;
	*before = 0;
	if (out) {
		h->log_left_out++;
	} else {
		h->log_lines++;
		*before = h->log_left_out;
		h->log_left_out = 0;
	}
	pthread_mutex_unlock(&h->lock);
	return out;
}

/* What others have chosen is one line of what can be printed. */
static const char *clean(char *to, size_t room, const char *s)
{
	size_t n = 0;

	for (; *s && n + 1 < room; s++)
		to[n++] = (unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s;
	to[n] = 0;
	return to;
}

int datafs_http_log(struct datafs_http *h, const struct datafs_http_request *r,
		    const struct datafs_http_answer *a, const char *key, int err,
		    const char *detail)
{
	char name[1100], id[DATAFS_HTTP_ID_MAX], more[400], status[32] = "";
	uint64_t before;

	if (leave_out(h, &before))
		return err;
	if (before)
		datafs_under_log(h->u->opts, LOG_ERR, "%s: %" PRIu64 " more lines like the next one were left out",
				 h->name, before);
	if (a->status)
		snprintf(status, sizeof(status), ", status %u", a->status);
	detail = detail && *detail ? detail : a->why;
	datafs_under_log(h->u->opts, LOG_ERR, "%s: %s of \"%s\": %s%s%s%s%s%s", h->name, r->method,
			 clean(name, sizeof(name), key), strerror(-err), status,
			 *a->id ? ", request " : "", clean(id, sizeof(id), a->id),
			 *detail ? ": " : "", clean(more, sizeof(more), detail));
	return err;
}
