// SPDX-License-Identifier: Apache-2.0
/* Commands by netlink, and what comes of which: sendmsg(2) and recvmsg(2) are ours here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/util.h"
#include "frontend/frontend.h"

#define FAMILY	0x21
#define LETTERS	16

/* What comes of what was sent: datagrams, or errors of recvmsg(2). */
static struct letter {
	int error;
	uint32_t len;
	char buf[512] __attribute__((aligned(8)));
} letters[LETTERS];
static unsigned int head, tail;

/* Of the last command, and what is to be said when the next is sent. */
static uint32_t sent;
static void (*on_sent)(void);

static struct letter *add(uint16_t type, uint16_t flags, uint32_t seq)
{
	struct letter *l = &letters[tail++ % LETTERS];
	struct nlmsghdr h = {
		.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type, .nlmsg_flags = flags,
		.nlmsg_seq = seq,
	};

	*l = (struct letter) { .len = NLMSG_HDRLEN };
	memcpy(l->buf, &h, sizeof(h));
	return l;
}

static void put(struct letter *l, const void *p, uint32_t len)
{
	memcpy(l->buf + l->len, p, len);
	l->len += datafs_round_up(len, 4);
	memcpy(l->buf, &l->len, sizeof(l->len));
}

static void put_attr(struct letter *l, uint16_t type, const void *p, uint16_t len)
{
	const struct nlattr a = { .nla_len = NLA_HDRLEN + len, .nla_type = type };

	put(l, &a, sizeof(a));
	put(l, p, len);
}

static void add_ack(uint32_t seq, int error)
{
	struct nlmsgerr e = { .error = error, .msg.nlmsg_seq = seq };

	put(add(NLMSG_ERROR, 0, seq), &e, sizeof(e));
}

static void add_done(uint32_t seq)
{
	const int zero = 0;

	put(add(NLMSG_DONE, NLM_F_MULTI, seq), &zero, sizeof(zero));
}

static void add_mount(uint32_t seq, uint32_t id)
{
	static const uint8_t incarnation[16] = { 1 };
	const struct genlmsghdr g = { .cmd = DATAFS_CMD_GET_MOUNT };
	struct letter *l = add(FAMILY, NLM_F_MULTI, seq);

	put(l, &g, sizeof(g));
	put_attr(l, DATAFS_A_MOUNT_ID, &id, sizeof(id));
	put_attr(l, DATAFS_A_INSTANCE, "one", 4);
	put_attr(l, DATAFS_A_SOURCE, ":/", 3);
	put_attr(l, DATAFS_A_OPTIONS, "", 1);
	put_attr(l, DATAFS_A_INCARNATION, incarnation, sizeof(incarnation));
}

static void add_family(uint32_t seq)
{
	const struct genlmsghdr g = { .cmd = CTRL_CMD_NEWFAMILY, .version = 2 };
	struct letter *l = add(GENL_ID_CTRL, 0, seq);
	const uint16_t id = FAMILY;

	put(l, &g, sizeof(g));
	put_attr(l, CTRL_ATTR_FAMILY_NAME, DATAFS_GENL_NAME, sizeof(DATAFS_GENL_NAME));
	put_attr(l, CTRL_ATTR_FAMILY_ID, &id, sizeof(id));
	add_ack(seq, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const struct nlmsghdr *h = msg->msg_iov[0].iov_base;
	void (*fn)(void) = on_sent;

	(void)fd;
	(void)flags;
	sent = h->nlmsg_seq;
	on_sent = NULL;
	if (h->nlmsg_type == GENL_ID_CTRL)
		add_family(sent);
	else if (fn)
		fn();
	return h->nlmsg_len;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };
	struct letter *l = &letters[head % LETTERS];
	size_t len;

	(void)fd;
	/* it would wait for ever */
	assert_int_not_equal(head, tail);
	len = DATAFS_MIN((size_t)l->len, msg->msg_iov[0].iov_len);
	if (!(flags & MSG_PEEK) || l->error)
		head++;
	if (l->error) {
		errno = l->error;
		return -1;
	}
	memcpy(msg->msg_name, &from, sizeof(from));
	msg->msg_namelen = sizeof(from);
	msg->msg_controllen = 0;
	msg->msg_flags = l->len > len ? MSG_TRUNC : 0;
	memcpy(msg->msg_iov[0].iov_base, l->buf, len);
	return flags & MSG_TRUNC ? l->len : len;
}

/* ---- tests ---- */

static struct datafs_control *control;
static uint32_t first;	/* the command before */

static int setup(void **state)
{
	(void)state;
	head = tail = 0;
	on_sent = NULL;
	return datafs_control_open("one", &control);
}

static int teardown(void **state)
{
	(void)state;
	datafs_control_close(control);
	return 0;
}

static int invalidate(void (*answer)(void))
{
	const struct datafs_invalid all = {
		.mount_id = 1, .what = DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES,
	};

	on_sent = answer;
	return datafs_control_invalidate(control, &all, sizeof(all));
}

static void no_buffers(void)
{
	first = sent;
	letters[tail++ % LETTERS] = (struct letter) { .error = ENOBUFS };
}

static void done(void)
{
	add_ack(sent, 0);
}

static void no_memory(void)
{
	add_ack(sent, -ENOMEM);
}

static void test_answers(void **state)
{
	(void)state;
	assert_int_equal(invalidate(done), 0);
	assert_int_equal(invalidate(no_memory), -ENOMEM);
	assert_int_equal(invalidate(done), 0);
	assert_int_equal(head, tail);
}

static void late_done(void)
{
	add_ack(first, 0);
	add_ack(sent, -ENOMEM);
}

static void late_error(void)
{
	add_ack(first, -ENOMEM);
	add_ack(sent, 0);
}

/* The answer to a command that was given up is not the next one's. */
static void test_late(void **state)
{
	(void)state;
	assert_int_equal(invalidate(no_buffers), -EIO);
	assert_int_equal(invalidate(late_done), -ENOMEM);
	assert_int_equal(invalidate(no_buffers), -EIO);
	assert_int_equal(invalidate(late_error), 0);
	assert_int_equal(head, tail);
}

static int sum(void *arg, uint32_t id, const uint8_t incarnation[16], const char *source,
	       const char *options)
{
	(void)incarnation;
	(void)source;
	(void)options;
	*(unsigned int *)arg += id;
	return 0;
}

static void two_mounts(void)
{
	add_mount(first, 100);
	add_done(first);
	add_mount(sent, 1);
	add_mount(sent, 2);
	add_done(sent);
}

static void done_after_mounts(void)
{
	add_mount(first, 100);
	add_done(first);
	add_ack(sent, -ENOMEM);
}

/* Nor is what is left of a list. */
static void test_late_list(void **state)
{
	unsigned int ids = 0;

	(void)state;
	on_sent = no_buffers;
	assert_int_equal(datafs_control_mounts(control, sum, &ids), -EIO);
	on_sent = two_mounts;
	assert_int_equal(datafs_control_mounts(control, sum, &ids), 0);
	assert_int_equal(ids, 3);
	on_sent = no_buffers;
	assert_int_equal(datafs_control_mounts(control, sum, &ids), -EIO);
	assert_int_equal(invalidate(done_after_mounts), -ENOMEM);
	assert_int_equal(head, tail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_list, setup, teardown),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
