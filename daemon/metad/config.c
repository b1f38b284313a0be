// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "base/options.h"
#include "metad/ns.h"
#include "metad/server.h"

static int number(const char *v, uint64_t max, uint64_t *res)
{
	unsigned long long n;
	char *end;

	if (*v < '0' || *v > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(v, &end, 10);
	if (errno || *end || !n || n > max)
		return -EINVAL;
	*res = n;
	return 0;
}

static int set_id(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	return number(v, INT64_MAX, &cfg->id);
}

static int set_dir(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	if (v[0] != '/' || strlen(v) >= sizeof(cfg->dir))
		return -EINVAL;
	strcpy(cfg->dir, v);
	/* another one is made beside it, with a name of its own */
	for (size_t n = strlen(cfg->dir); n > 1 && cfg->dir[n - 1] == '/'; n--)
		cfg->dir[n - 1] = 0;
	return 0;
}

static int set_key_file(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	if (v[0] != '/' || strlen(v) >= sizeof(cfg->key_file))
		return -EINVAL;
	strcpy(cfg->key_file, v);
	return 0;
}

static int set_listen(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	if (strlen(v) >= sizeof(cfg->listen) || datafs_address_check(v, true))
		return -EINVAL;
	strcpy(cfg->listen, v);
	return 0;
}

static int set_peer(struct datafs_metad_config *cfg, char *text)
{
	struct datafs_raft_peer *p = &cfg->peers[cfg->n_peers];
	char *address = strchr(text, '=');

	if (!address || cfg->n_peers == DATAFS_RAFT_SERVERS_MAX)
		return -EINVAL;
	*address++ = 0;
	if (number(text, INT64_MAX, &p->id) || datafs_address_check(address, false))
		return -EINVAL;
	for (unsigned int i = 0; i < cfg->n_peers; i++)
		if (cfg->peers[i].id == p->id || !strcmp(cfg->peers[i].address, address))
			return -EINVAL;
	p->address = address;
	cfg->n_peers++;
	return 0;
}

static int set_peers(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;
	char *rest = cfg->peers_text, *one;
	int err = 0;

	if (strlen(v) >= sizeof(cfg->peers_text))
		return -EINVAL;
	strcpy(cfg->peers_text, v);
	cfg->n_peers = 0;
	while (!err && (one = strsep(&rest, ",")))
		err = set_peer(cfg, one + strspn(one, " "));
	return err;
}

static int set_authentication(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	cfg->no_authentication = !strcmp(v, "off");
	return cfg->no_authentication || !strcmp(v, "on") ? 0 : -EINVAL;
}

static int set_cluster(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	if (strlen(v) != 2 * sizeof(cfg->cluster) ||
	    datafs_unhex(v, cfg->cluster, sizeof(cfg->cluster)))
		return -EINVAL;
	cfg->has_cluster = true;
	return 0;
}

static int set_snapshot_entries(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;
	uint64_t n;
	int err = number(v, 1u << 24, &n);

	if (err)
		return err;
	cfg->threshold = (unsigned int)n;
	cfg->trailing = (unsigned int)(n / 4 + 1);
	return 0;
}

static int set_feature_level(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;
	uint64_t n;
	int err = number(v, DATAFS_METAD_LEVEL, &n);

	if (!err)
		cfg->level = (uint32_t)n;
	return err;
}

/* Below, who is slow loses it again and again; above, a change waits for too long. */
static int set_lease(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;
	uint64_t n;

	if (number(v, 60000, &n) || n < 100)
		return -EINVAL;
	cfg->lease = (uint32_t)n;
	return 0;
}

static int set_session(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;
	uint64_t n;
	int err = number(v, 366 * 86400, &n);

	if (!err)
		cfg->session = (uint32_t)n;
	return err;
}

static int set_bytes(const char *v, uint64_t min, uint64_t max, uint64_t *res)
{
	uint64_t n;
	int err = datafs_parse_size(v, &n);

	if (err || n < min || n > max)
		return -EINVAL;
	*res = n;
	return 0;
}

static int set_write_buffer(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	return set_bytes(v, 1 << 20, DATAFS_SERVER_WRITE_BUFFER_MAX, &cfg->memory.write_buffer);
}

static int set_block_cache(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	return set_bytes(v, 1 << 20, 1ull << 40, &cfg->memory.block_cache);
}

static int set_bootstrap(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	(void)v;
	cfg->bootstrap = true;
	return 0;
}

static int set_join(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	(void)v;
	cfg->join = true;
	return 0;
}

static int set_ready_fd(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	return datafs_option_fd(v, &cfg->ready_fd);
}

static int set_log_level(void *arg, const char *v)
{
	(void)arg;
	return datafs_option_log_level(v, NULL);
}

static int set_help(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	(void)v;
	cfg->help = true;
	return 0;
}

static int set_version(void *arg, const char *v)
{
	struct datafs_metad_config *cfg = arg;

	(void)v;
	cfg->version = true;
	return 0;
}

static const struct datafs_option options[] = {
	{ "config", "FILE", false, NULL, "read \"key = value\" lines first" },
	{ "id", "N", true, set_id,
	  "of this member; one that has lost its directory needs another" },
	{ "dir", "DIR", true, set_dir, "absolute; what the member keeps" },
	{ "listen", "HOST:PORT", true, set_listen, "for members and clients" },
	{ "key-file", "FILE", true, set_key_file, "absolute; a member's key file" },
	{ "peers", "N=HOST:PORT,...", true, set_peers,
	  "all members of a new quorum, itself included; only --bootstrap reads it" },
	{ "snapshot-entries", "N", true, set_snapshot_entries,
	  "entries of the log that make a snapshot (default 65536)" },
	{ "feature-level", "N", true, set_feature_level,
	  "take part up to this level only, so that the version before can come back" },
	{ "lease-ms", "MS", true, set_lease,
	  "how long clients believe what they are told (default 5000)" },
	{ "session-timeout", "SECONDS", true, set_session,
	  "a client that is silent for so long is forgotten (default: never)" },
	{ "write-buffer", "SIZE", true, set_write_buffer,
	  "of the database, from 1m to 128m, twice (default 16m)" },
	{ "block-cache", "SIZE", true, set_block_cache,
	  "of the database, from 1m to 1t (default 16m)" },
	{ "authentication", "on|off", true, set_authentication,
	  "off: no keys, and whoever reaches the port is believed" },
	{ "cluster", "ID", true, set_cluster,
	  "32 hexadecimal digits; with authentication off, else the key file has it" },
	{ "bootstrap", NULL, false, set_bootstrap,
	  "make the directory of a member of a new quorum, and end" },
	{ "join", NULL, false, set_join,
	  "make that of a member which will be added to a quorum, and end" },
	{ "ready-fd", "FD", false, set_ready_fd,
	  "write \"ready\" or \"error: ...\" there" },
	{ "log-level", "LEVEL", true, set_log_level,
	  "err, warning, notice, info or debug" },
	{ "version", NULL, false, set_version, "of this program" },
	{ "help", NULL, false, set_help, "this text" },
	{ NULL, NULL, false, NULL, NULL }
};

void datafs_metad_config_usage(void)
{
	printf("usage: datafs-metad [OPTION]...\n");
	datafs_options_usage(options);
}

/* NULL, or what is wrong with all of it. */
static const char *check(const struct datafs_metad_config *cfg)
{
	if (!cfg->id)
		return "no id: which member is it (--id)?";
	if (!*cfg->dir)
		return "no directory (--dir)";
	if (!*cfg->listen)
		return "nothing to listen on (--listen)";
	if (cfg->no_authentication && *cfg->key_file)
		return "authentication is off, and there is a key file: one of the two is not meant";
	if (!cfg->no_authentication && !*cfg->key_file)
		return "no key file (--key-file); without one it does not start, unless authentication is off";
	if (cfg->no_authentication != cfg->has_cluster)
		return "a cluster is named if authentication is off, and only then (--cluster)";
	if (cfg->bootstrap && cfg->join)
		return "a member either begins a quorum or joins one (--bootstrap, --join)";
	if (cfg->bootstrap && !cfg->n_peers)
		return "a new quorum needs its members (--peers)";
	return NULL;
}

int datafs_metad_config_parse(struct datafs_metad_config *cfg, int argc, char **argv)
{
	const char *wrong;
	int err;

	memset(cfg, 0, sizeof(*cfg));
	cfg->ready_fd = -1;
	cfg->threshold = DATAFS_SERVER_THRESHOLD;
	cfg->trailing = DATAFS_SERVER_TRAILING;
	cfg->lease = DATAFS_SERVER_LEASE;
	cfg->session = DATAFS_SERVER_SESSION;
	cfg->memory.write_buffer = DATAFS_SERVER_WRITE_BUFFER;
	cfg->memory.block_cache = DATAFS_METAD_BLOCK_CACHE;
	err = datafs_options_read(options, cfg, argc, argv);
	if (err || cfg->help || cfg->version)
		return err;
	wrong = check(cfg);
	if (wrong)
		datafs_log(LOG_ERR, "%s; see --help", wrong);
	return wrong ? -EINVAL : 0;
}

int datafs_metad_config_keys(const struct datafs_metad_config *cfg, struct datafs_keys *res)
{
	int err;

	if (cfg->no_authentication) {
		datafs_keys_off(res, cfg->cluster);
		return 0;
	}
	err = datafs_keys_load(res, cfg->key_file);
	if (err || res->holder == DATAFS_ROLE_MEMBER)
		return err;
	datafs_log(LOG_ERR, "%s: it is a client's; a member needs one that says \"member\"",
		   cfg->key_file);
	datafs_keys_wipe(res);
	return -EINVAL;
}
