// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "server_client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

#define PATIENCE	60	/* seconds */

struct datafs_grant_object attr_of(uint64_t ino)
{
	return (struct datafs_grant_object) { .ino = ino, .kind = DATAFS_GRANT_ATTR };
}

struct datafs_grant_object names_of(uint64_t ino)
{
	return (struct datafs_grant_object) { .ino = ino, .kind = DATAFS_GRANT_NAMES };
}

struct datafs_grant_object name_of(uint64_t ino, const char *name)
{
	return (struct datafs_grant_object) {
		.ino = ino, .kind = DATAFS_GRANT_NAME, .name = name,
		.len = (uint8_t)strlen(name),
	};
}

/* With the lock. */
static void answer(struct client *c, uint64_t ticket)
{
	if (!c->silent) {
		datafs_quorum_forgotten(c->q, ticket);
		return;
	}
	assert_true(c->n_tickets < CLIENT_TICKETS);
	c->tickets[c->n_tickets++] = ticket;
}

static void on_recalled(void *arg, uint64_t ticket, const struct datafs_grant_object *o,
			unsigned int n)
{
	struct client *c = arg;

	pthread_mutex_lock(&c->lock);
	if (c->recalled)
		c->recalled(c, o, n);
	/* before a change of its own */
	if (!ticket) {
		c->own++;
		pthread_mutex_unlock(&c->lock);
		return;
	}
	c->recalls++;
	c->n = n;
	for (unsigned int i = 0; i < n && i < CLIENT_OBJECTS; i++)
		c->objects[i] = o[i];
	answer(c, ticket);
	pthread_cond_broadcast(&c->told);
	pthread_mutex_unlock(&c->lock);
}

static void on_lost(void *arg, uint64_t ticket)
{
	struct client *c = arg;

	pthread_mutex_lock(&c->lock);
	c->losses++;
	if (c->lost)
		c->lost(c);
	answer(c, ticket);
	pthread_cond_broadcast(&c->told);
	pthread_mutex_unlock(&c->lock);
}

void client_held(struct client *c)
{
	static const struct timespec pause = { .tv_nsec = 2000000 };

	for (unsigned int i = 0; datafs_quorum_until(c->q) <= datafs_now(); i++) {
		if (i == PATIENCE * 500)
			fail_msg("session %llu gets no lease", (unsigned long long)c->session);
		nanosleep(&pause, NULL);
	}
}

static void wait_for(struct client *c, const unsigned int *count, unsigned int n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	pthread_mutex_lock(&c->lock);
	while (*count < n)
		if (pthread_cond_timedwait(&c->told, &c->lock, &until))
			break;
	pthread_mutex_unlock(&c->lock);
	assert_true(*count >= n);
}

void client_recalls(struct client *c, unsigned int n)
{
	wait_for(c, &c->recalls, n);
}

void client_losses(struct client *c, unsigned int n)
{
	wait_for(c, &c->losses, n);
}

void client_speak(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	c->silent = false;
	for (unsigned int i = 0; i < c->n_tickets; i++)
		answer(c, c->tickets[i]);
	c->n_tickets = 0;
	pthread_mutex_unlock(&c->lock);
}

void client_mute(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	c->silent = true;
	pthread_mutex_unlock(&c->lock);
}

static void begin(struct client *c, uint64_t session)
{
	const struct datafs_quorum_watch watch = {
		.recalled = on_recalled, .lost = on_lost, .arg = c,
	};
	struct datafs_told told;

	c->session = session;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->told, NULL);
	metad__result__free_unpacked(client_do(c, (struct req){ OP(SESSION_OPEN) }, &told), NULL);
	assert_int_equal(datafs_quorum_lease(c->q, session, &watch), 0);
	client_held(c);
}

void client_open(struct client *c, uint64_t session)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };

	assert_int_equal(datafs_quorum_open_remote(&cfg, &c->q), 0);
	begin(c, session);
}

void client_open_shared(struct client *c, uint64_t session, struct client *with)
{
	assert_int_equal(datafs_quorum_share(with->q, &c->q), 0);
	begin(c, session);
}

void client_close(struct client *c)
{
	datafs_quorum_stop(c->q);
	datafs_quorum_close(c->q);
	pthread_cond_destroy(&c->told);
	pthread_mutex_destroy(&c->lock);
}

Metad__Result *client_do(struct client *c, struct req r, struct datafs_told *told)
{
	Metad__Result *res = NULL;
	Metad__Command *cmd;
	uint8_t *buf;
	size_t len;

	r.session = c->session;
	r.request = r.request ? r.request : ++c->request;
	r.lowest = r.lowest ? r.lowest : r.request;
	buf = req_pack_command(&r, &len);
	cmd = metad__command__unpack(NULL, len, buf);
	free(buf);
	assert_non_null(cmd);
	assert_int_equal(datafs_quorum_change_told(c->q, cmd, &res, told), 0);
	metad__command__free_unpacked(cmd, NULL);
	return res;
}

uint64_t client_must(struct client *c, struct req r)
{
	struct datafs_told told;
	Metad__Result *res = client_do(c, r, &told);
	uint64_t ino = res->node ? res->node->ino : 0;

	assert_int_equal(res->error, 0);
	metad__result__free_unpacked(res, NULL);
	return ino;
}

static Metad__Answer *ask(struct client *c, Metad__Query__OfCase of, void *what,
			  struct datafs_told *told)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	q.of_case = of;
	q.getattr = what;
	assert_int_equal(datafs_quorum_ask_told(c->q, &q, &a, told), 0);
	return a;
}

Metad__Answer *client_lookup(struct client *c, uint64_t parent, const char *name,
			     struct datafs_told *told)
{
	Metad__Name n = METAD__NAME__INIT;

	n.has_parent = n.has_name = true;
	n.parent = parent;
	n.name = (ProtobufCBinaryData) { strlen(name), (uint8_t *)name };
	return ask(c, METAD__QUERY__OF_LOOKUP, &n, told);
}

Metad__Answer *client_getattr(struct client *c, uint64_t ino, struct datafs_told *told)
{
	Metad__Inode in = METAD__INODE__INIT;

	in.has_ino = true;
	in.ino = ino;
	return ask(c, METAD__QUERY__OF_GETATTR, &in, told);
}

Metad__Answer *client_readdir(struct client *c, uint64_t ino, uint64_t cookie, uint32_t max,
			      struct datafs_told *told)
{
	Metad__Readdir rd = METAD__READDIR__INIT;

	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = ino;
	rd.cookie = cookie;
	rd.max = max;
	return ask(c, METAD__QUERY__OF_READDIR, &rd, told);
}
