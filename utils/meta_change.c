// SPDX-License-Identifier: Apache-2.0
/*
 * A change that an operator asks for: a command of a session that is opened for it and closed
 * after it, so that it is done once, however often it is sent.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "meta_internal.h"
#include "report.h"

#define SESSION_AHEAD	(1ull << 40)	/* as mounts choose theirs */
#define SESSION_TRIES	10

/* 0, with *@res to be freed; or the negative errno of the command, or of the way there. */
static int send_told(const struct meta_request *q, Metad__Command *c, uint64_t session,
		     uint64_t request, Metad__Result **res)
{
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Reply *reply;
	uint8_t *buf;
	int ret;

	c->has_session = c->has_request = c->has_lowest = true;
	c->session = session;
	c->request = c->lowest = request;
	buf = malloc(metad__command__get_packed_size(c) + 1);
	if (!buf)
		return -ENOMEM;
	ask.what_case = METAD__ASK__WHAT_COMMAND;
	ask.command = (ProtobufCBinaryData) { metad__command__pack(c, buf), buf };
	ret = meta_send(q, &ask, DATAFS_REMOTE_LEADER, META_ASK_MS, &reply);
	free(buf);
	if (ret)
		return ret;
	ret = -(int)reply->error;
	if (!ret)
		*res = metad__result__unpack(NULL, reply->result.len, reply->result.data);
	if (!ret)
		ret = *res ? -(int)(*res)->error : -EBADMSG;
	metad__reply__free_unpacked(reply, NULL);
	if (!ret)
		return 0;
	metad__result__free_unpacked(*res, NULL);
	*res = NULL;
	return ret;
}

static int send_command(const struct meta_request *q, Metad__Command *c, uint64_t session,
			uint64_t request)
{
	Metad__Result *res = NULL;
	int ret = send_told(q, c, session, request, &res);

	metad__result__free_unpacked(res, NULL);
	return ret;
}

/* 0: an error that was told. */
static uint64_t choose_session(const struct meta_request *q)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Answer *a;
	uint64_t random, id;

	if (datafs_random(&random, sizeof(random))) {
		warnx("no random numbers");
		return 0;
	}
	query.of_case = METAD__QUERY__OF_COUNTS;
	query.counts = &counts;
	a = meta_ask(q, &query);
	if (!a)
		return 0;
	id = a->session_ended + 1 + random % SESSION_AHEAD;
	metad__answer__free_unpacked(a, NULL);
	return id;
}

/*
 * What is not closed is a session of the quorum until session_timeout, if that is set. A
 * change that was sent in it is not made later than it is closed. 0 or the error, told.
 */
static int close_session(const struct meta_request *q, uint64_t id)
{
	Metad__SessionClose close = METAD__SESSION_CLOSE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	int err;

	c.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	c.session_close = &close;
	err = send_command(q, &c, id, UINT64_MAX);
	if (err)
		warnx("session %llu is not closed: %s", (unsigned long long)id, strerror(-err));
	return err;
}

/* 0: an error that was told. Others end their sessions meanwhile: then it is another one. */
static uint64_t open_session(const struct meta_request *q)
{
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	uint64_t id;
	int err;

	c.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	c.session_open = &open;
	for (int tries = 0; tries < SESSION_TRIES; tries++) {
		id = choose_session(q);
		err = id ? send_command(q, &c, id, 1) : 0;
		if (!err)
			return id;
		if (err != -ESTALE && err != -EEXIST)
			break;
	}
	warnx("no session: %s", strerror(-err));
	/* It may be there all the same. */
	if (err == -ETIMEDOUT)
		close_session(q, id);
	return 0;
}

int meta_change_told(const struct meta_request *q, Metad__Command *c, const char *subject,
		     const char *(*why)(uint32_t error), const char *look, Metad__Result **res)
{
	uint64_t session = open_session(q);
	int err, closed;

	*res = NULL;
	if (!session)
		return DATAFS_EXIT_FAIL;
	err = send_told(q, c, session, 2, res);
	if (err && err != -ETIMEDOUT)
		warnx("%s: %s", subject, why((uint32_t)-err));
	closed = close_session(q, session);
	if (err == -ETIMEDOUT && closed)
		warnx("no answer; it may be done still");
	else if (err == -ETIMEDOUT)
		warnx("no answer; whether it is done `%s` tells", look);
	return err ? DATAFS_EXIT_FAIL : 0;
}

int meta_change(const struct meta_request *q, Metad__Command *c, const char *subject,
		const char *(*why)(uint32_t error), const char *look)
{
	Metad__Result *res;
	int ret = meta_change_told(q, c, subject, why, look, &res);

	metad__result__free_unpacked(res, NULL);
	return ret;
}
