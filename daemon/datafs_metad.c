// SPDX-License-Identifier: Apache-2.0
/*
 * datafs-metad: a member of the metadata quorum (Documentation/metadata.rst).
 * Makes its directory, or runs it until a signal or until the member has halted for
 * a reason that another start may mend. A SIGHUP has it read its key file again.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/notify.h"
#include "metad/config.h"
#include "metad/server.h"

static atomic_int halted;
static pthread_t main_thread;

static void tell_manager(const char *state)
{
	int err = datafs_notify(state);

	if (err)
		datafs_log(LOG_WARNING, "service manager: %s", strerror(-err));
}

/* Who started us learns whether it serves. */
static void tell_ready(struct datafs_metad_config *cfg, int err)
{
	char error[512], line[600];
	int n;

	if (!err)
		tell_manager("READY=1\nSTATUS=serving");
	if (cfg->ready_fd < 0)
		return;
	datafs_log_last_error(error, sizeof(error));
	n = !err ? snprintf(line, sizeof(line), "ready\n") :
		   snprintf(line, sizeof(line), "error: %s\n", *error ? error : strerror(-err));
	if (write(cfg->ready_fd, line, n) != n)
		datafs_log(LOG_WARNING, "ready-fd: nobody reads it");
	close(cfg->ready_fd);
	cfg->ready_fd = -1;
}

/* The disk was full or failed, or memory ran out: the log is read again. */
static bool is_mended_by_start(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EIO || err == -ENOMEM;
}

/* On the server's thread. */
static void on_halted(void *arg, int err)
{
	(void)arg;
	if (!is_mended_by_start(err)) {
		datafs_log(LOG_ERR, "the member takes part in nothing any more; `datafs meta status` tells of it, and a version that understands its log, or another disk, is needed");
		return;
	}
	atomic_store(&halted, err);
	pthread_kill(main_thread, SIGUSR1);
}

/* The key file has changed, says who has sent a SIGHUP. */
static void reload_keys(const struct datafs_metad_config *cfg, struct datafs_server *s)
{
	struct datafs_keys keys;

	if (datafs_metad_config_keys(cfg, &keys))
		return;
	if (datafs_server_rekey(s, &keys))
		datafs_log(LOG_ERR, "%s: no memory; the keys are as they were", cfg->key_file);
	datafs_keys_wipe(&keys);
}

/* Until it is to end: 0, or why the member has halted. */
static int wait_for_end(const struct datafs_metad_config *cfg, struct datafs_server *s,
			const sigset_t *signals)
{
	for (;;) {
		int sig = sigwaitinfo(signals, NULL);

		if (sig == SIGHUP)
			reload_keys(cfg, s);
		else if (sig > 0 && (sig != SIGUSR1 || atomic_load(&halted)))
			return atomic_load(&halted);
	}
}

static int run(struct datafs_metad_config *cfg, const struct datafs_keys *keys)
{
	struct datafs_server_config sc = {
		.id = cfg->id, .dir = cfg->dir, .listen = cfg->listen, .keys = keys,
		.threshold = cfg->threshold, .trailing = cfg->trailing, .level = cfg->level,
		.lease = cfg->lease, .session = cfg->session, .memory = cfg->memory,
		.halted = on_halted,
	};
	struct datafs_server *s;
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	/* Before any thread is made: they all inherit it. */
	sigprocmask(SIG_BLOCK, &signals, NULL);
	main_thread = pthread_self();
	err = datafs_server_open(&sc, &s);
	tell_ready(cfg, err);
	if (err)
		return err;
	datafs_log(LOG_INFO, "member %llu: serving at port %u, in %s",
		   (unsigned long long)cfg->id, datafs_server_port(s), cfg->dir);
	err = wait_for_end(cfg, s, &signals);
	tell_manager("STOPPING=1");
	datafs_log(LOG_INFO, "member %llu: ending %s", (unsigned long long)cfg->id,
		   err ? "since it has halted" : "on a signal");
	/* A second signal ends one whose disk does not answer. */
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	datafs_server_close(s);
	return err;
}

int main(int argc, char **argv)
{
	static struct datafs_metad_config cfg;
	struct datafs_keys keys;
	int err;

	datafs_log_set_program("datafs-metad");
	signal(SIGPIPE, SIG_IGN);
	if (datafs_metad_config_parse(&cfg, argc, argv)) {
		tell_ready(&cfg, -EINVAL);
		return 2;
	}
	if (cfg.help) {
		datafs_metad_config_usage();
		return 0;
	}
	if (cfg.version) {
		printf("version %s\n", DATAFS_VERSION);
		return 0;
	}
	umask(077);
	if (chdir("/"))
		datafs_log(LOG_WARNING, "/: %s", strerror(errno));
	datafs_limits_set();
	err = datafs_metad_config_keys(&cfg, &keys);
	if (err)
		tell_ready(&cfg, err);
	else if (cfg.bootstrap || cfg.join)
		err = datafs_server_make(cfg.dir, cfg.id, cfg.peers,
					 cfg.bootstrap ? cfg.n_peers : 0);
	else
		err = run(&cfg, &keys);
	datafs_keys_wipe(&keys);
	return err ? 1 : 0;
}
