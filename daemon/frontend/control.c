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

/* Keeps the errno, which libnl's own numbers would lose. */
static int revoke_error(struct sockaddr_nl *from, struct nlmsgerr *err,
			void *arg)
{
	(void)from;
	*(int *)arg = err->error;
	return NL_STOP;
}

static int revoke_ack(struct nl_msg *msg, void *arg)
{
	(void)msg;
	*(int *)arg = 0;
	return NL_STOP;
}

static int revoke_skip(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

static int revoke_send(struct datafs_control *c, struct nl_msg *msg)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int result = 1, err;

	if (!cb)
		return -ENOMEM;
	nl_cb_err(cb, NL_CB_CUSTOM, revoke_error, &result);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, revoke_ack, &result);
	/* What is left of an answer that was not waited for. */
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, revoke_skip, NULL);
	err = nl_send_auto(c->sk, msg);
	while (err >= 0 && result > 0)
		err = nl_recvmsgs(c->sk, cb);
	nl_cb_put(cb);
	if (result <= 0)
		return result;
	datafs_log(LOG_ERR, "netlink: %s", nl_geterror(err));
	return -EIO;
}

int datafs_control_revoke(struct datafs_control *c, uint64_t cookie,
			  const struct datafs_range *ranges, uint32_t n)
{
	struct nl_msg *msg;
	int err;

	msg = nlmsg_alloc_size(4096 + n * sizeof(*ranges));
	if (!msg)
		return -ENOMEM;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, c->family, 0,
			 NLM_F_REQUEST | NLM_F_ACK, DATAFS_CMD_REVOKE,
			 DATAFS_GENL_VERSION) ||
	    nla_put_string(msg, DATAFS_A_INSTANCE, c->instance) ||
	    nla_put_u64(msg, DATAFS_A_COOKIE, cookie) ||
	    nla_put(msg, DATAFS_A_RANGES, n * sizeof(*ranges), ranges)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	pthread_mutex_lock(&c->lock);
	err = revoke_send(c, msg);
	pthread_mutex_unlock(&c->lock);
	nlmsg_free(msg);
	if (err)
		datafs_log(LOG_ERR, "revocation of %u ranges: %s", n,
			   strerror(-err));
	return err;
}
