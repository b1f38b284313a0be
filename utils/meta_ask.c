// SPDX-License-Identifier: Apache-2.0
/* Who is asked, with which keys, and the way there. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "meta_internal.h"
#include "report.h"

#define NODE	1u	/* with authentication off: any number will do */

bool meta_option(struct meta_request *q, const char *name, const char *value)
{
	if (!strcmp(name, "--members"))
		q->members = value;
	else if (!strcmp(name, "--key-file"))
		q->key_file = value;
	else if (!strcmp(name, "--no-authentication") && strlen(value) < sizeof(q->cluster))
		strcpy(q->cluster, value);
	else
		return false;
	return true;
}

bool meta_has_key(const struct meta_request *q)
{
	return !!q->key_file + !!*q->cluster == 1;
}

static int load_keys(const struct meta_request *q, struct datafs_keys *keys)
{
	uint8_t cluster[DATAFS_CLUSTER_LEN];
	unsigned int byte;

	if (q->key_file)
		return datafs_keys_load(keys, q->key_file);
	if (strlen(q->cluster) != 2 * sizeof(cluster) ||
	    q->cluster[strspn(q->cluster, "0123456789abcdefABCDEF")]) {
		warnx("--no-authentication wants the cluster's id: %zu hexadecimal digits",
		      2 * sizeof(cluster));
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(cluster); i++) {
		if (sscanf(q->cluster + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		cluster[i] = (uint8_t)byte;
	}
	datafs_keys_off(keys, cluster);
	return 0;
}

int meta_run(struct meta_request *q, int (*run)(struct meta_request *q))
{
	struct datafs_remote_config cfg = { .members = q->members, .node = NODE };
	struct datafs_keys keys;
	int ret;

	datafs_log_set_level(LOG_ERR);
	if (load_keys(q, &keys))
		return DATAFS_EXIT_FAIL;
	memcpy(q->cluster_id, keys.cluster, sizeof(q->cluster_id));
	cfg.keys = &keys;
	ret = q->members ? datafs_remote_open(&cfg, &q->r) : 0;
	datafs_keys_wipe(&keys);
	if (ret)
		return DATAFS_EXIT_FAIL;
	ret = run(q);
	datafs_remote_close(q->r);
	return ret;
}

int meta_send(const struct meta_request *q, const Metad__Ask *ask, int member, uint32_t ms,
	      Metad__Reply **res)
{
	uint8_t *buf = malloc(metad__ask__get_packed_size(ask) + 1);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = datafs_remote_call(q->r, buf, metad__ask__pack(ask, buf), member, ms, res);
	free(buf);
	return ret;
}

int meta_call(const struct meta_request *q, int member, const Metad__Admin *admin, uint32_t ms,
	      Metad__Reply **res)
{
	Metad__Ask ask = METAD__ASK__INIT;

	ask.what_case = METAD__ASK__WHAT_ADMIN;
	ask.admin = (Metad__Admin *)admin;
	return meta_send(q, &ask, member, ms, res);
}

Metad__Answer *meta_ask(const struct meta_request *q, const Metad__Query *query)
{
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Answer *a = NULL;
	Metad__Reply *reply;
	int ret;

	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = (Metad__Query *)query;
	ret = meta_send(q, &ask, DATAFS_REMOTE_LEADER, META_ASK_MS, &reply);
	if (ret) {
		warnx("%s", strerror(-ret));
		return NULL;
	}
	if (reply->error || !reply->answer) {
		warnx("%s", reply->error ? strerror((int)reply->error) : "no answer");
	} else {
		a = reply->answer;
		reply->answer = NULL;
	}
	metad__reply__free_unpacked(reply, NULL);
	return a;
}
