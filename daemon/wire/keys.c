// SPDX-License-Identifier: Apache-2.0
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define LABEL_CLIENT	"datafs wire 1 client key"
#define LABEL_PEER	"datafs wire 1 peer key"
#define FIELDS		4

/* One line, taken apart. */
struct key_line {
	uint8_t cluster[DATAFS_CLUSTER_LEN];
	enum datafs_role holder;
	uint64_t node;
	struct datafs_key key;
};

struct field {
	const char *p;
	size_t len;
};

void datafs_keys_wipe(struct datafs_keys *keys)
{
	datafs_wipe(keys, sizeof(*keys));
}

void datafs_keys_off(struct datafs_keys *keys,
		     const uint8_t cluster[DATAFS_CLUSTER_LEN])
{
	struct datafs_keys off = { .off = true };

	/* @cluster may be that of @keys. */
	memcpy(off.cluster, cluster, DATAFS_CLUSTER_LEN);
	*keys = off;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool field_hex(struct field f, uint8_t *out, size_t len)
{
	uint8_t any = 0;

	if (f.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(f.p[2 * i]), lo = hex_digit(f.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = hi << 4 | lo;
		any |= out[i];
	}
	/* All zeroes is what a forgotten placeholder looks like. */
	return any;
}

/* 1 to @max, digits only. */
static bool field_number(struct field f, uint64_t max, uint64_t *res)
{
	uint64_t v = 0;

	for (size_t i = 0; i < f.len; i++) {
		unsigned int d = (unsigned char)f.p[i] - '0';

		if (d > 9 || v > max / 10 || (v == max / 10 && d > max % 10))
			return false;
		v = v * 10 + d;
	}
	*res = v;
	return v;
}

static bool field_holder(struct field f, struct key_line *line)
{
	static const char member[] = "member", peer[] = "peer", client[] = "client:";
	const size_t skip = sizeof(client) - 1;

	if (f.len == sizeof(member) - 1 && !memcmp(f.p, member, f.len)) {
		line->holder = DATAFS_ROLE_MEMBER;
		return true;
	}
	if (f.len == sizeof(peer) - 1 && !memcmp(f.p, peer, f.len)) {
		line->holder = DATAFS_ROLE_PEER;
		return true;
	}
	line->holder = DATAFS_ROLE_CLIENT;
	return f.len > skip && !memcmp(f.p, client, skip) &&
	       field_number((struct field) { f.p + skip, f.len - skip },
			    UINT64_MAX, &line->node);
}

/* NULL, or what is wrong. */
static const char *key_line(const struct field *f, size_t n,
			    struct key_line *line)
{
	uint64_t id;

	if (n != FIELDS)
		return "is no \"CLUSTER ID HOLDER KEY\"";
	if (!field_hex(f[0], line->cluster, sizeof(line->cluster)))
		return "the cluster is not 32 hexadecimal digits, or is zero";
	if (!field_number(f[1], UINT32_MAX, &id))
		return "the id is not a number from 1 to 4294967295";
	line->key.id = id;
	if (!field_holder(f[2], line))
		return "the holder is not \"member\", \"client:NODE\" or \"peer\"";
	if (!field_hex(f[3], line->key.key, sizeof(line->key.key)))
		return "the key is not 64 hexadecimal digits, or is zero";
	return NULL;
}

/* NULL, or what is wrong. */
static const char *keys_add(struct datafs_keys *keys,
			    const struct key_line *line)
{
	if (!keys->n) {
		memcpy(keys->cluster, line->cluster, sizeof(keys->cluster));
		keys->holder = line->holder;
		keys->node = line->node;
		keys->key[keys->n++] = line->key;
		return NULL;
	}
	if (keys->n == DATAFS_KEYS_MAX)
		return "a third key; two can be live";
	if (memcmp(keys->cluster, line->cluster, sizeof(keys->cluster)))
		return "another cluster than in the line above";
	if (keys->holder != line->holder || keys->node != line->node)
		return "another holder than in the line above";
	if (keys->key[0].id == line->key.id)
		return "the id of the line above";
	if (datafs_same_secret(keys->key[0].key, line->key.key,
			       DATAFS_HASH_LEN))
		return "the key of the line above";
	keys->key[keys->n++] = line->key;
	if (keys->key[1].id > keys->key[0].id) {
		keys->key[1] = keys->key[0];
		keys->key[0] = line->key;
	}
	return NULL;
}

/* Up to @max fields; their number, which is @max + 1 if there are more. */
static size_t split(const char *p, const char *end, struct field *f, size_t max)
{
	size_t n = 0;

	while (p < end) {
		const char *from;

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		from = p;
		while (p < end && *p != ' ' && *p != '\t')
			p++;
		if (p == from)
			break;
		if (n == max)
			return max + 1;
		f[n++] = (struct field) { from, p - from };
	}
	return n;
}

int datafs_keys_parse(struct datafs_keys *keys, const char *text, size_t len,
		      const char *name)
{
	const char *p = text, *end = text + len, *why = NULL;
	int no;

	memset(keys, 0, sizeof(*keys));
	for (no = 1; p < end && !why; no++) {
		const char *nl = memchr(p, '\n', end - p);
		const char *eol = nl ? nl : end;
		struct key_line line = { 0 };
		struct field f[FIELDS];
		size_t n = split(p, eol, f, FIELDS);

		p = nl ? nl + 1 : end;
		if (n && *f[0].p != '#') {
			why = key_line(f, n, &line);
			if (!why)
				why = keys_add(keys, &line);
			datafs_wipe(&line, sizeof(line));
		}
	}
	if (why)
		datafs_log(LOG_ERR, "%s: line %d: %s", name, no - 1, why);
	else if (!keys->n)
		datafs_log(LOG_ERR, "%s: no key in it", name);
	else
		return 0;
	datafs_keys_wipe(keys);
	return -EINVAL;
}

/* 0, or the error of which a line is in the log. */
static int check_file(int fd, const char *path)
{
	struct stat st;
	int err;

	if (fstat(fd, &st)) {
		err = -errno;
		datafs_log(LOG_ERR, "%s: %s", path, strerror(-err));
		return err;
	}
	if (!S_ISREG(st.st_mode)) {
		datafs_log(LOG_ERR, "%s: no regular file", path);
		return -EINVAL;
	}
	if (st.st_uid != geteuid() && st.st_uid) {
		datafs_log(LOG_ERR, "%s: owned by user %u, not by root or user %u: others know the key",
			   path, st.st_uid, geteuid());
		return -EACCES;
	}
	if (st.st_mode & 077) {
		datafs_log(LOG_ERR, "%s: mode %04o lets others at the key; chmod 600",
			   path, st.st_mode & 07777);
		return -EACCES;
	}
	return 0;
}

int datafs_keys_load(struct datafs_keys *keys, const char *path)
{
	char text[DATAFS_KEYS_FILE_MAX + 1];
	size_t have = 0;
	int fd, err;
	ssize_t n;

	memset(keys, 0, sizeof(*keys));
	/* Not to wait for who writes to a FIFO. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		err = -errno;
		datafs_log(LOG_ERR, "%s: %s", path, strerror(-err));
		return err;
	}
	err = check_file(fd, path);
	while (!err && have < sizeof(text)) {
		n = read(fd, text + have, sizeof(text) - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = -errno;
			datafs_log(LOG_ERR, "%s: %s", path, strerror(-err));
		}
		if (n <= 0)
			break;
		have += n;
	}
	close(fd);
	if (!err && have > DATAFS_KEYS_FILE_MAX) {
		datafs_log(LOG_ERR, "%s: longer than %d bytes", path,
			   DATAFS_KEYS_FILE_MAX);
		err = -EINVAL;
	}
	if (!err)
		err = datafs_keys_parse(keys, text, have, path);
	datafs_wipe(text, sizeof(text));
	return err;
}

int datafs_keys_derive(const uint8_t key[DATAFS_HASH_LEN],
		       const uint8_t cluster[DATAFS_CLUSTER_LEN], uint64_t node,
		       uint8_t out[DATAFS_HASH_LEN])
{
	uint8_t data[sizeof(LABEL_CLIENT) - 1 + DATAFS_CLUSTER_LEN + 8];
	uint8_t *p = data;

	memcpy(p, LABEL_CLIENT, sizeof(LABEL_CLIENT) - 1);
	p += sizeof(LABEL_CLIENT) - 1;
	memcpy(p, cluster, DATAFS_CLUSTER_LEN);
	datafs_put_be64(p + DATAFS_CLUSTER_LEN, node);
	return datafs_hmac(key, data, sizeof(data), out);
}

static int derive_peer(const uint8_t key[DATAFS_HASH_LEN],
		       const uint8_t cluster[DATAFS_CLUSTER_LEN],
		       uint8_t out[DATAFS_HASH_LEN])
{
	uint8_t data[sizeof(LABEL_PEER) - 1 + DATAFS_CLUSTER_LEN];

	memcpy(data, LABEL_PEER, sizeof(LABEL_PEER) - 1);
	memcpy(data + sizeof(LABEL_PEER) - 1, cluster, DATAFS_CLUSTER_LEN);
	return datafs_hmac(key, data, sizeof(data), out);
}

int datafs_keys_for(const struct datafs_keys *member, enum datafs_role holder,
		    uint64_t node, struct datafs_keys *res)
{
	int err = member->holder == DATAFS_ROLE_MEMBER ? 0 : -EACCES;

	*res = *member;
	res->holder = holder;
	res->node = node;
	for (unsigned int i = 0; i < member->n && !err; i++)
		err = holder == DATAFS_ROLE_PEER ?
		      derive_peer(member->key[i].key, member->cluster,
				  res->key[i].key) :
		      datafs_keys_derive(member->key[i].key, member->cluster,
					 node, res->key[i].key);
	if (err)
		datafs_keys_wipe(res);
	return err;
}

bool datafs_keys_same_holder(const struct datafs_keys *a,
			     const struct datafs_keys *b)
{
	return !memcmp(a->cluster, b->cluster, sizeof(a->cluster)) &&
	       a->off == b->off && a->holder == b->holder && a->node == b->node;
}

int datafs_keys_between(const struct datafs_keys *keys, uint32_t id,
			enum datafs_role role_a, uint64_t node_a,
			enum datafs_role role_b, uint64_t node_b,
			uint8_t out[DATAFS_HASH_LEN])
{
	bool a = role_a == DATAFS_ROLE_CLIENT;
	enum datafs_role other = a ? role_b : role_a;
	uint64_t node = a ? node_a : node_b;
	unsigned int i;

	for (i = 0; i < keys->n && keys->key[i].id != id; i++)
		;
	if (i == keys->n)
		return -ENOKEY;
	if (a || role_b == DATAFS_ROLE_CLIENT) {
		/* Two clients have no key in common, nor have a client and a peer. */
		if (other != DATAFS_ROLE_MEMBER)
			return -EACCES;
		if (keys->holder == DATAFS_ROLE_MEMBER)
			return datafs_keys_derive(keys->key[i].key,
						  keys->cluster, node, out);
		if (keys->holder != DATAFS_ROLE_CLIENT || keys->node != node)
			return -EACCES;
	} else if (role_a != role_b || keys->holder != role_a) {
		return -EACCES;
	}
	memcpy(out, keys->key[i].key, DATAFS_HASH_LEN);
	return 0;
}
