// SPDX-License-Identifier: Apache-2.0
/* The generic netlink family "datafs", as datafs_abi.h has it. */
#define _GNU_SOURCE 1
#include <endian.h>
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "datafs_netlink.h"
#include "genl.h"

struct datafs_genl {
	struct nl_sock *sk;
	int family;
};

/* One exchange: what came, and how it ended. */
struct exchange {
	int done;
	int error;
	struct datafs_genl_mount *mounts;
	size_t nmounts;
	datafs_genl_stat_fn stat;
	void *arg;
};

static struct nla_policy policy[DATAFS_A_NR] = {
	[DATAFS_A_MOUNT_ID]	= { .type = NLA_U32 },
	[DATAFS_A_INSTANCE]	= { .type = NLA_STRING },
	[DATAFS_A_SOURCE]	= { .type = NLA_STRING },
	[DATAFS_A_STATE]	= { .type = NLA_U32 },
	[DATAFS_A_EPOCH]	= { .type = NLA_U64 },
	[DATAFS_A_STAT]		= { .type = NLA_NESTED },
};

static struct nla_policy stat_policy[DATAFS_A_NR] = {
	[DATAFS_A_STAT_NAME]	= { .type = NLA_STRING },
	[DATAFS_A_STAT_VALUE]	= { .type = NLA_U64 },
};

/* libnl has its own error numbers; those that a user may meet. */
static int nl_errno(int err)
{
	switch (-err) {
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_OBJ_NOTFOUND:
	case NLE_NOADDR:
		return -ENOENT;
	case NLE_OPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

int datafs_genl_open(struct datafs_genl **res)
{
	struct datafs_genl *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return -ENOMEM;
	g->sk = nl_socket_alloc();
	if (!g->sk) {
		free(g);
		return -ENOMEM;
	}
	ret = genl_connect(g->sk);
	if (ret >= 0)
		ret = genl_ctrl_resolve(g->sk, DATAFS_GENL_NAME);
	if (ret < 0) {
		datafs_genl_close(g);
		return nl_errno(ret);
	}
	g->family = ret;
	*res = g;
	return 0;
}

void datafs_genl_close(struct datafs_genl *g)
{
	nl_socket_free(g->sk);
	free(g);
}

static int take_mount(struct exchange *x, struct nlattr **a)
{
	struct datafs_genl_mount *l, *m;

	if (!a[DATAFS_A_MOUNT_ID])
		return -EBADMSG;
	l = realloc(x->mounts, (x->nmounts + 1) * sizeof(*l));
	if (!l)
		return -ENOMEM;
	x->mounts = l;
	m = memset(&l[x->nmounts], 0, sizeof(*m));
	m->source = strdup(a[DATAFS_A_SOURCE] ?
			   nla_get_string(a[DATAFS_A_SOURCE]) : "");
	if (!m->source)
		return -ENOMEM;
	m->id = nla_get_u32(a[DATAFS_A_MOUNT_ID]);
	if (a[DATAFS_A_INSTANCE])
		nla_strlcpy(m->instance, a[DATAFS_A_INSTANCE], sizeof(m->instance));
	if (a[DATAFS_A_STATE])
		m->state = nla_get_u32(a[DATAFS_A_STATE]);
	if (a[DATAFS_A_EPOCH])
		m->epoch = nla_get_u64(a[DATAFS_A_EPOCH]);
	if (a[DATAFS_A_INCARNATION])
		nla_memcpy(m->incarnation, a[DATAFS_A_INCARNATION],
			   sizeof(m->incarnation));
	x->nmounts++;
	return 0;
}

/* STAT is repeated, so the message is walked, not parsed into a table. */
static int take_stats(struct exchange *x, struct nlmsghdr *nlh)
{
	struct nlattr *a[DATAFS_A_NR], *pos;
	int rem;

	nlmsg_for_each_attr(pos, nlh, GENL_HDRLEN, rem) {
		if (nla_type(pos) != DATAFS_A_STAT)
			continue;
		if (nla_parse_nested(a, DATAFS_A_NR - 1, pos, stat_policy) ||
		    !a[DATAFS_A_STAT_NAME] || !a[DATAFS_A_STAT_VALUE])
			return -EBADMSG;
		x->stat(x->arg, nla_get_string(a[DATAFS_A_STAT_NAME]),
			nla_get_u64(a[DATAFS_A_STAT_VALUE]));
	}
	return 0;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct nlattr *a[DATAFS_A_NR];
	struct exchange *x = arg;
	int ret;

	if (genlmsg_parse(nlh, 0, a, DATAFS_A_NR - 1, policy))
		ret = -EBADMSG;
	else if (x->stat)
		ret = take_stats(x, nlh);
	else
		ret = take_mount(x, a);
	if (ret && !x->error)
		x->error = ret;
	return NL_OK;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;

	(void)msg;
	x->done = 1;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct exchange *x = arg;

	(void)who;
	x->error = e->error;
	x->done = 1;
	return NL_STOP;
}

/* Sends @msg, which it takes, and gathers the answer in @x. */
static int exchange(struct datafs_genl *g, struct nl_msg *msg,
		    struct exchange *x)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	if (!cb) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, x);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, x);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, x);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, x);
	ret = nl_send_auto(g->sk, msg);
	nlmsg_free(msg);
	while (ret >= 0 && !x->done)
		ret = nl_recvmsgs(g->sk, cb);
	nl_cb_put(cb);
	/* the kernel's own errno comes by on_error() */
	return x->error ? x->error : ret < 0 ? nl_errno(ret) : 0;
}

static struct nl_msg *message(struct datafs_genl *g, enum datafs_genl_cmd cmd,
			      int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, g->family, 0,
				flags | NLM_F_REQUEST | NLM_F_ACK, (uint8_t)cmd,
				DATAFS_GENL_VERSION)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int datafs_genl_mounts(struct datafs_genl *g, struct datafs_genl_mount **list,
		       size_t *n)
{
	struct exchange x = { 0 };
	struct nl_msg *msg;
	int ret;

	msg = message(g, DATAFS_CMD_GET_MOUNT, NLM_F_DUMP);
	if (!msg)
		return -ENOMEM;
	ret = exchange(g, msg, &x);
	if (ret) {
		datafs_genl_mounts_free(x.mounts, x.nmounts);
		return ret;
	}
	*list = x.mounts;
	*n = x.nmounts;
	return 0;
}

void datafs_genl_mounts_free(struct datafs_genl_mount *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(list[i].source);
	free(list);
}

bool datafs_genl_is_fsid(const struct datafs_genl_mount *m, const fsid_t *fsid)
{
	uint64_t half[2], want;

	memcpy(half, m->incarnation, sizeof(half));
	want = le64toh(half[0]) ^ le64toh(half[1]);
	return (uint32_t)fsid->__val[0] == (uint32_t)want &&
	       (uint32_t)fsid->__val[1] == (uint32_t)(want >> 32);
}

int datafs_genl_stats(struct datafs_genl *g, uint32_t mount_id,
		      datafs_genl_stat_fn fn, void *arg)
{
	struct exchange x = { .stat = fn, .arg = arg };
	struct nl_msg *msg;

	msg = message(g, DATAFS_CMD_GET_STATS, 0);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, DATAFS_A_MOUNT_ID, mount_id)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return exchange(g, msg, &x);
}

/* -------------------------------------------------------------- events */

struct listener {
	datafs_genl_event_fn fn;
	void *arg;
};

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct datafs_genl_event ev = { .source = "" };
	struct nlattr *a[DATAFS_A_NR];
	struct listener *l = arg;

	if (genlmsg_parse(nlh, 0, a, DATAFS_A_NR - 1, policy))
		return NL_SKIP;
	ev.cmd = genlmsg_hdr(nlh)->cmd;
	if (a[DATAFS_A_MOUNT_ID])
		ev.mount_id = nla_get_u32(a[DATAFS_A_MOUNT_ID]);
	if (a[DATAFS_A_EPOCH])
		ev.epoch = nla_get_u64(a[DATAFS_A_EPOCH]);
	if (a[DATAFS_A_INSTANCE])
		nla_strlcpy(ev.instance, a[DATAFS_A_INSTANCE], sizeof(ev.instance));
	if (a[DATAFS_A_SOURCE])
		ev.source = nla_get_string(a[DATAFS_A_SOURCE]);
	l->fn(l->arg, &ev);
	return NL_OK;
}

int datafs_genl_events(struct datafs_genl *g, void (*joined)(void *arg),
		       datafs_genl_event_fn fn, void *arg)
{
	static const struct datafs_genl_event lost = {
		.cmd = DATAFS_CMD_UNSPEC, .source = "",
	};
	struct listener l = { .fn = fn, .arg = arg };
	int ret;

	nl_socket_disable_seq_check(g->sk);
	nl_socket_modify_cb(g->sk, NL_CB_VALID, NL_CB_CUSTOM, on_event, &l);
	ret = genl_ctrl_resolve_grp(g->sk, DATAFS_GENL_NAME, DATAFS_GENL_MCGRP);
	if (ret >= 0)
		ret = nl_socket_add_membership(g->sk, ret);
	if (ret < 0)
		return nl_errno(ret);
	joined(arg);
	for (;;) {
		ret = nl_recvmsgs_default(g->sk);
		/* ENOBUFS, as libnl says it: the reader was too slow. */
		if (ret == -NLE_NOMEM)
			fn(arg, &lost);
		else if (ret < 0 && ret != -NLE_INTR)
			return nl_errno(ret);
	}
}
