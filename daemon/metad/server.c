// SPDX-License-Identifier: Apache-2.0
#include "metad/server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void server_free(struct datafs_server *s)
{
	server_leases_free(s);
	server_fsm_close(s);
	datafs_pool_free(s->pool);
	datafs_keys_wipe(&s->keys);
	pthread_mutex_destroy(&s->lock);
	pthread_rwlock_destroy(&s->ns_lock);
	pthread_mutex_destroy(&s->reads_lock);
	sem_destroy(&s->is_quiet);
	free(s->who);
	free(s->snapshots);
	free(s->dir);
	free(s);
}

static char *path_in(const char *dir, const char *name)
{
	size_t len = strlen(dir) + strlen(name) + 2;
	char *path = malloc(len);

	if (path)
		snprintf(path, len, "%s/%s", dir, name);
	return path;
}

static struct datafs_server *server_new(const struct datafs_server_config *cfg)
{
	struct datafs_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->cfg = *cfg;
	s->keys = *cfg->keys;
	s->cfg.keys = &s->keys;
	if (!s->cfg.level)
		s->cfg.level = DATAFS_METAD_LEVEL;
	STAILQ_INIT(&s->letters);
	s->raft_ends = true;
	TAILQ_INIT(&s->owed);
	TAILQ_INIT(&s->known);
	TAILQ_INIT(&s->reads);
	pthread_mutex_init(&s->reads_lock, NULL);
	TAILQ_INIT(&s->level_asks);
	TAILQ_INIT(&s->clients);
	server_leases_init(s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_rwlock_init(&s->ns_lock, NULL);
	sem_init(&s->is_quiet, 0, 0);
	s->dir = strdup(cfg->dir);
	s->snapshots = path_in(cfg->dir, "snapshots");
	if (s->dir && s->snapshots)
		return s;
	server_free(s);
	return NULL;
}

static int check_dir(const struct datafs_server *s)
{
	struct stat st;

	if (!stat(s->snapshots, &st) && S_ISDIR(st.st_mode))
		return 0;
	datafs_log(LOG_ERR, "%s: is no member's directory; one that is to begin is made with --bootstrap or --join",
		   s->dir);
	return -ENOENT;
}

/* The namespace first: its lock tells of another process that runs here. */
static int open_parts(struct datafs_server *s)
{
	int err = check_dir(s);

	if (!err)
		err = server_fsm_open(s);
	if (!err)
		err = datafs_pool_new(SERVER_WORKERS, &s->pool);
	return err;
}

static void net_end(struct datafs_server *s)
{
	server_net_end(s);
	pthread_join(s->net_thread, NULL);
	server_net_close(s);
}

/* What the member says when it starts needs a network already. */
static int start(struct datafs_server *s)
{
	int err = server_net_open(s);

	if (err)
		return err;
	s->port = datafs_wire_port(s->wire);
	err = -pthread_create(&s->net_thread, NULL, server_net_main, s);
	if (err) {
		server_net_close(s);
		return err;
	}
	err = server_raft_open(s);
	if (!err) {
		err = -pthread_create(&s->raft_thread, NULL, server_raft_main, s);
		if (err)
			server_raft_close(s);
	}
	if (err) {
		server_net_quiet(s);
		datafs_pool_free(s->pool);
		s->pool = NULL;
		net_end(s);
	}
	return err;
}

int datafs_server_open(const struct datafs_server_config *cfg, struct datafs_server **res)
{
	struct datafs_server *s = server_new(cfg);
	int err;

	if (!s)
		return -ENOMEM;
	err = open_parts(s);
	if (!err)
		err = start(s);
	if (err) {
		/* why has a line of its own, which is the one to be told */
		datafs_log(LOG_NOTICE, "member %llu in %s: not started: %s",
			   (unsigned long long)cfg->id, cfg->dir, strerror(-err));
		server_free(s);
		return err;
	}
	*res = s;
	return 0;
}

/*
 * The member first: all that it was asked goes back to the network, or to workers.
 * Then these; then the network, which says the last words.
 */
void datafs_server_close(struct datafs_server *s)
{
	if (!s)
		return;
	server_raft_end(s);
	pthread_join(s->raft_thread, NULL);
	server_net_quiet(s);
	datafs_pool_free(s->pool);
	s->pool = NULL;
	net_end(s);
	server_free(s);
}

uint16_t datafs_server_port(const struct datafs_server *s)
{
	return s->port;
}
