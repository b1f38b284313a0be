// SPDX-License-Identifier: Apache-2.0
#include "frontend.h"

#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct datafs_control {
	pthread_mutex_t lock;	/* one request and its answer at a time */
	struct nl_sock *sk;
	int family;
	char instance[DATAFS_INSTANCE_MAX + 1];
};

int datafs_control_open(const char *instance, struct datafs_control **res)
{
	struct datafs_control *c = calloc(1, sizeof(*c));
	int err = -NLE_NOMEM;

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	strncpy(c->instance, instance, DATAFS_INSTANCE_MAX);
	c->sk = nl_socket_alloc();
	if (c->sk)
		err = genl_connect(c->sk);
	if (!err)
		err = c->family = genl_ctrl_resolve(c->sk, DATAFS_GENL_NAME);
	if (err < 0) {
		datafs_log(LOG_ERR, "generic netlink family " DATAFS_GENL_NAME ": %s; is the module loaded, and is this the initial network namespace?",
			   nl_geterror(err));
		datafs_control_close(c);
		return -EPROTO;
	}
	*res = c;
	return 0;
}

void datafs_control_close(struct datafs_control *c)
{
	if (!c)
		return;
	nl_socket_free(c->sk);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* A request and what comes of it. What is left of another's answer has its number. */
struct transaction {
	uint32_t seq;
	int result;		/* 1: not known yet */
	int (*fn)(void *arg, uint32_t id, const uint8_t incarnation[16],
		  const char *source, const char *options);
	void *arg;
	const char *instance;
	int error;		/* of @fn */
};

static bool is_of(const struct transaction *t, struct nl_msg *msg)
{
	return nlmsg_hdr(msg)->nlmsg_seq == t->seq;
}

/* Keeps the errno, which libnl's own numbers would lose. */
static int have_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct transaction *t = arg;

	(void)from;
	if (err->msg.nlmsg_seq != t->seq)
		return NL_SKIP;
	t->result = err->error;
	return NL_STOP;
}

static int have_end(struct nl_msg *msg, void *arg)
{
	struct transaction *t = arg;

	if (!is_of(t, msg))
		return NL_SKIP;
	t->result = 0;
	return NL_STOP;
}

static int skip(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

static int have_mount(struct nl_msg *msg, void *arg)
{
	struct transaction *t = arg;
	struct nlattr *a[DATAFS_A_NR];

	if (!t->fn || !is_of(t, msg) || genlmsg_parse(nlmsg_hdr(msg), 0, a, DATAFS_A_NR - 1, NULL) ||
	    !a[DATAFS_A_MOUNT_ID] || !a[DATAFS_A_INSTANCE] ||
	    !a[DATAFS_A_SOURCE] || !a[DATAFS_A_OPTIONS] ||
	    !a[DATAFS_A_INCARNATION] || nla_len(a[DATAFS_A_INCARNATION]) != 16 ||
	    strcmp(nla_get_string(a[DATAFS_A_INSTANCE]), t->instance))
		return NL_OK;
	if (!t->error)
		t->error = t->fn(t->arg, nla_get_u32(a[DATAFS_A_MOUNT_ID]),
				 nla_data(a[DATAFS_A_INCARNATION]),
				 nla_get_string(a[DATAFS_A_SOURCE]),
				 nla_get_string(a[DATAFS_A_OPTIONS]));
	return NL_OK;
}

/* Sends @msg and takes what comes until the end of that, or an error. */
static int transact(struct datafs_control *c, struct nl_msg *msg,
		    struct transaction *t)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err;

	if (!cb)
		return -ENOMEM;
	t->result = 1;
	nl_cb_err(cb, NL_CB_CUSTOM, have_error, t);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, have_end, t);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, have_end, t);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, have_mount, t);
	/* By is_of(): libnl's own check would end at an answer that was not waited for. */
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, skip, NULL);
	pthread_mutex_lock(&c->lock);
	err = nl_send_auto(c->sk, msg);
	t->seq = nlmsg_hdr(msg)->nlmsg_seq;
	while (err >= 0 && t->result > 0)
		err = nl_recvmsgs(c->sk, cb);
	pthread_mutex_unlock(&c->lock);
	nl_cb_put(cb);
	if (t->result <= 0)
		return t->result;
	datafs_log(LOG_ERR, "netlink: %s", nl_geterror(err));
	return -EIO;
}

int datafs_control_mounts(struct datafs_control *c,
			  int (*fn)(void *arg, uint32_t id,
				    const uint8_t incarnation[16],
				    const char *source, const char *options),
			  void *arg)
{
	struct transaction t = {
		.fn = fn, .arg = arg, .instance = c->instance,
	};
	struct nl_msg *msg = nlmsg_alloc();
	int err = -ENOMEM;

	if (msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, c->family, 0,
			       NLM_F_REQUEST | NLM_F_DUMP, DATAFS_CMD_GET_MOUNT,
			       DATAFS_GENL_VERSION))
		err = transact(c, msg, &t) ?: t.error;
	nlmsg_free(msg);
	if (err)
		datafs_log(LOG_ERR, "list of mounts: %s", strerror(-err));
	return err;
}

/* An acknowledged command to the instance, whose other attributes @fill puts. */
static int command(struct datafs_control *c, uint8_t cmd, size_t bytes,
		   int (*fill)(struct nl_msg *msg, const void *arg), const void *arg)
{
	struct nl_msg *msg = nlmsg_alloc_size(4096 + bytes);
	struct transaction t = { 0 };
	int err = -EMSGSIZE;

	if (!msg)
		return -ENOMEM;
	if (genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, c->family, 0,
			NLM_F_REQUEST | NLM_F_ACK, cmd, DATAFS_GENL_VERSION) &&
	    !nla_put_string(msg, DATAFS_A_INSTANCE, c->instance) && !fill(msg, arg))
		err = transact(c, msg, &t);
	nlmsg_free(msg);
	return err;
}

struct revoke {
	uint64_t cookie;
	const struct datafs_range *ranges;
	uint32_t n;
};

static int put_revoke(struct nl_msg *msg, const void *arg)
{
	const struct revoke *r = arg;

	return nla_put_u64(msg, DATAFS_A_COOKIE, r->cookie) ||
	       nla_put(msg, DATAFS_A_RANGES, r->n * sizeof(*r->ranges), r->ranges);
}

int datafs_control_revoke(struct datafs_control *c, uint64_t cookie,
			  const struct datafs_range *ranges, uint32_t n)
{
	const struct revoke r = { cookie, ranges, n };
	int err = command(c, DATAFS_CMD_REVOKE, n * sizeof(*ranges), put_revoke, &r);

	if (err)
		datafs_log(LOG_ERR, "revocation of %u ranges: %s", n,
			   strerror(-err));
	return err;
}

struct items {
	const void *p;
	size_t bytes;
};

static int put_items(struct nl_msg *msg, const void *arg)
{
	const struct items *i = arg;

	return nla_put(msg, DATAFS_A_ITEMS, i->bytes, i->p);
}

int datafs_control_invalidate(struct datafs_control *c, const void *items,
			      size_t bytes)
{
	const struct items i = { items, bytes };
	int err = command(c, DATAFS_CMD_INVALIDATE, bytes, put_items, &i);

	if (err)
		datafs_log(LOG_ERR, "invalidation: %s", strerror(-err));
	return err;
}
