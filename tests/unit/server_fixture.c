// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "server_fixture.h"

#include <arpa/inet.h>
#include <glob.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "metad_check.h"
#include "tmpdir.h"

struct node nodes[NODES + 1];
unsigned int threshold;
struct datafs_metad_memory memory;
uint32_t lease, session_timeout;
struct datafs_keys member_keys, client_keys;
struct datafs_quorum *quorum;
struct datafs_remote *admin;
uint64_t request;

static char root[4096], addresses[NODES * 64];

/*
 * A port that was free just now. Each node has an address of its own, so that none
 * of them gets it for a connection that it makes.
 */
static void find_address(unsigned int id)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 10 + id);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	snprintf(nodes[id].address, sizeof(nodes[id].address), "127.0.0.%u:%u", 11 + id,
		 ntohs(in.sin_port));
}

const char *all_addresses(void)
{
	return addresses;
}

int node_open(unsigned int id, struct datafs_server **res)
{
	struct datafs_server_config cfg = {
		.id = id, .dir = nodes[id].dir, .listen = nodes[id].address,
		.keys = &member_keys, .threshold = threshold, .trailing = threshold / 4 + 1,
		.level = nodes[id].level, .memory = memory,
		.lease = lease, .session = session_timeout,
	};

	return datafs_server_open(&cfg, res);
}

void node_start(unsigned int id)
{
	assert_null(nodes[id].s);
	assert_int_equal(node_open(id, &nodes[id].s), 0);
}

void node_stop(unsigned int id)
{
	datafs_server_close(nodes[id].s);
	nodes[id].s = NULL;
}

static void make_keys(void)
{
	member_keys = (struct datafs_keys){ .holder = DATAFS_ROLE_MEMBER, .n = 1 };
	memset(member_keys.cluster, 0xc1, sizeof(member_keys.cluster));
	member_keys.key[0].id = 1;
	memset(member_keys.key[0].key, 0x41, DATAFS_HASH_LEN);
	client_keys = member_keys;
	client_keys.holder = DATAFS_ROLE_CLIENT;
	client_keys.node = CLIENT;
	assert_int_equal(datafs_keys_derive(member_keys.key[0].key, member_keys.cluster, CLIENT,
					    client_keys.key[0].key), 0);
}

uint32_t first_level;

static int set_up(uint32_t level)
{
	struct datafs_remote_config cfg = { .members = addresses, .keys = &client_keys };
	struct datafs_raft_peer peers[3];

	datafs_log_set_level(getenv("DATAFS_TEST_LOG") ? LOG_DEBUG : LOG_CRIT);
	threshold = 1000;
	memory = (struct datafs_metad_memory){ 0 };
	lease = 300;
	session_timeout = DATAFS_SERVER_SESSION;
	request = 0;
	make_keys();
	assert_int_equal(tmpdir_make(root, sizeof(root), "server"), 0);
	addresses[0] = 0;
	for (unsigned int id = 1; id <= NODES; id++) {
		find_address(id);
		nodes[id].level = level;
		snprintf(nodes[id].dir, sizeof(nodes[id].dir), "%s/%u", root, id);
		sprintf(addresses + strlen(addresses), "%s%s", id > 1 ? "," : "",
			nodes[id].address);
	}
	for (unsigned int id = 1; id <= 3; id++)
		peers[id - 1] = (struct datafs_raft_peer){ id, nodes[id].address };
	for (unsigned int id = 1; id <= 3; id++) {
		assert_int_equal(datafs_server_make(nodes[id].dir, id, peers, 3), 0);
		node_start(id);
	}
	assert_int_equal(datafs_quorum_open_remote(&cfg, &quorum), 0);
	cfg.keys = &member_keys;
	assert_int_equal(datafs_remote_open(&cfg, &admin), 0);
	must((struct req){ OP(SESSION_OPEN) });
	return 0;
}

int server_setup(void **state)
{
	(void)state;
	return set_up(first_level);
}

int server_setup_level_1(void **state)
{
	(void)state;
	return set_up(1);
}

int server_teardown(void **state)
{
	(void)state;
	datafs_quorum_close(quorum);
	datafs_remote_close(admin);
	quorum = NULL;
	admin = NULL;
	for (unsigned int id = 1; id <= NODES; id++)
		node_stop(id);
	tmpdir_remove(root);
	return 0;
}

/* Of a packed entry with this one command. */
static Metad__Entry *entry_of(struct req r)
{
	Metad__Entry *e;
	uint8_t *buf;
	size_t len;

	buf = req_pack(&r, 1, 0, 0, &len);
	e = metad__entry__unpack(NULL, len, buf);
	free(buf);
	assert_non_null(e);
	return e;
}

Metad__Result *do_req(struct datafs_quorum *q, struct req r)
{
	Metad__Result *res = NULL;
	Metad__Entry *e;

	r.session = r.session ? r.session : SESSION;
	r.request = r.request ? r.request : ++request;
	r.lowest = r.lowest ? r.lowest : r.request;
	e = entry_of(r);
	assert_int_equal(datafs_quorum_change(q, e->commands[0], &res), 0);
	metad__entry__free_unpacked(e, NULL);
	assert_non_null(res);
	assert_int_equal(res->request, r.request);
	return res;
}

uint64_t must(struct req r)
{
	Metad__Result *res = do_req(quorum, r);
	uint64_t ino = res->node ? res->node->ino : 0;

	assert_int_equal(res->error, 0);
	metad__result__free_unpacked(res, NULL);
	return ino;
}

int error_of(struct req r)
{
	Metad__Result *res = do_req(quorum, r);
	int err = (int)res->error;

	metad__result__free_unpacked(res, NULL);
	return err;
}

int lookup(struct datafs_quorum *q, uint64_t parent, const char *name, uint64_t *ino)
{
	Metad__Name n = METAD__NAME__INIT;
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Answer *a = NULL;
	int err;

	n.has_parent = n.has_name = true;
	n.parent = parent;
	n.name = (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
	query.of_case = METAD__QUERY__OF_LOOKUP;
	query.lookup = &n;
	assert_int_equal(datafs_quorum_ask(q, &query, &a), 0);
	err = (int)a->error;
	if (ino)
		*ino = a->attr ? a->attr->ino : 0;
	metad__answer__free_unpacked(a, NULL);
	return err;
}

static int ask_admin(const Metad__Admin *a, int member, uint32_t ms, Metad__Reply **res)
{
	Metad__Ask ask = METAD__ASK__INIT;
	uint8_t buf[512];

	ask.what_case = METAD__ASK__WHAT_ADMIN;
	ask.admin = (Metad__Admin *)a;
	return datafs_remote_call(admin, buf, metad__ask__pack(&ask, buf), member, ms, res);
}

int admin_error(const Metad__Admin *a)
{
	Metad__Reply *r;
	int err;

	assert_int_equal(ask_admin(a, DATAFS_REMOTE_LEADER, 60000, &r), 0);
	err = (int)r->error;
	metad__reply__free_unpacked(r, NULL);
	return err;
}

void let_another_lead(void)
{
	Metad__Change to = METAD__CHANGE__INIT;
	Metad__Admin ask = METAD__ADMIN__INIT;
	unsigned int old = leader();

	ask.of_case = METAD__ADMIN__OF_TRANSFER;
	ask.transfer = &to;
	to.has_id = true;
	to.id = old % 3 + 1;
	assert_int_equal(admin_error(&ask), 0);
	while (leader() == old)
		;
}

bool status_of(unsigned int id, Metad__Status *res)
{
	Metad__StatusAsk status = METAD__STATUS_ASK__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;
	Metad__Reply *r;

	a.of_case = METAD__ADMIN__OF_STATUS;
	a.status = &status;
	if (ask_admin(&a, (int)id - 1, 2000, &r))
		return false;
	assert_int_equal(r->error, 0);
	assert_int_equal(r->status->id, id);
	*res = *r->status;
	/* its numbers only */
	res->servers = NULL;
	metad__reply__free_unpacked(r, NULL);
	return true;
}

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

unsigned int leader(void)
{
	for (unsigned int i = 0; i < 3000; i++) {
		for (unsigned int id = 1; id <= NODES; id++) {
			Metad__Status st;

			if (nodes[id].s && status_of(id, &st) && st.leader == id && st.ready)
				return id;
		}
		pause_ms(20);
	}
	fail_msg("nobody leads");
	return 0;
}

static bool are_equal(void)
{
	uint64_t applied = 0;

	for (unsigned int id = 1; id <= NODES; id++) {
		Metad__Status st;

		if (!nodes[id].s)
			continue;
		if (!status_of(id, &st) || st.commit != st.applied ||
		    (applied && st.applied != applied))
			return false;
		applied = st.applied;
	}
	return true;
}

void all_equal(void)
{
	for (unsigned int i = 0; i < 3000; i++) {
		if (are_equal())
			return;
		pause_ms(20);
	}
	fail_msg("members do not come to the same");
}

static uint8_t *dump_of(unsigned int id, size_t *len)
{
	struct datafs_metad_options opt = { .level = UINT32_MAX };
	struct datafs_metad *m;
	char pattern[4300];
	glob_t found;
	uint8_t *is;

	/* one database: those before it are gone */
	snprintf(pattern, sizeof(pattern), "%s/db/db-*", nodes[id].dir);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	opt.dir = found.gl_pathv[0];
	memcpy(opt.id, member_keys.cluster, sizeof(opt.id));
	assert_int_equal(datafs_metad_open(&opt, &m), 0);
	globfree(&found);
	assert_null(metad_check(m));
	is = metad_dump(m, len);
	datafs_metad_close(m);
	return is;
}

static bool same_states(unsigned int first)
{
	size_t first_len, len;
	uint8_t *one = dump_of(first, &first_len), *is;
	bool same = true;

	for (unsigned int id = 1; id <= 3; id++) {
		is = dump_of(id, &len);
		same = same && len == first_len && !memcmp(is, one, len);
		free(is);
	}
	free(one);
	return same;
}

/* The leader is the last one to be stopped; so nobody is elected meanwhile, or seldom. */
void check_same_states(void)
{
	for (unsigned int i = 0; i < 5; i++) {
		unsigned int last = leader();

		all_equal();
		for (unsigned int id = 1; id <= NODES; id++)
			if (id != last)
				node_stop(id);
		node_stop(last);
		if (same_states(last))
			return;
		for (unsigned int id = 1; id <= 3; id++)
			node_start(id);
	}
	fail_msg("members have different states");
}

int raw_error(struct datafs_remote *r, int member, const void *buf, size_t len)
{
	Metad__Reply *reply;
	int err;

	assert_int_equal(datafs_remote_call(r, buf, len, member, 60000, &reply), 0);
	err = (int)reply->error;
	metad__reply__free_unpacked(reply, NULL);
	return err;
}
