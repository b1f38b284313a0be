// SPDX-License-Identifier: Apache-2.0
/*
 * etcdbench put|get LIMIT OUTSTANDING BYTES KEYS HOST:PORT...: a load on an etcd, of
 * one key an operation, spoken to as its own clients do: gRPC, which is HTTP/2
 * (libnghttp2's) with a message and five bytes before it as the body. All go to the
 * member that leads, which its /metrics tell ("leader" instead of "put" prints it).
 * Gets are linearizable, of keys among the first KEYS, which puts write in turn. The
 * operations are spread over THREADS connections, each with a thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "etcd.pb-c.h"
#include "wire/address.h"

#define THREADS		4u
#define GRPC_HEAD	5u	/* u8 compressed, u32 length, big-endian */
#define KEY_BYTES	16u
#define BYTES_MAX	1024u
#define ANSWER_MAX	4096u

struct op {
	uint8_t ask[BYTES_MAX + 64], answer[ANSWER_MAX];
	size_t len, sent, got;
	int status;		/* grpc-status, of the trailer; -1: there was none */
};

struct worker {
	pthread_t thread;
	struct op *ops;
	unsigned int n, under_way;
	int fd;
	nghttp2_session *session;
	uint64_t random;
	unsigned long long done;
};

static struct bench bench;
static bool puts_keys;
static size_t bytes;
static unsigned long long keys;
static atomic_ullong next_key;
static const char *leader;

static void must(long rv, const char *what)
{
	if (rv < 0)
		errx(1, "etcd: %s: %s", what, nghttp2_strerror((int)rv));
}

static void pack(struct op *op, uint64_t n)
{
	Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
	Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
	uint8_t value[BYTES_MAX];
	char key[32];
	size_t len;

	snprintf(key, sizeof(key), "file%0*llu", (int)KEY_BYTES - 4, (unsigned long long)n);
	memset(value, (int)n, sizeof(value));
	put.key = get.key = (ProtobufCBinaryData) { KEY_BYTES, (uint8_t *)key };
	put.value = (ProtobufCBinaryData) { bytes - KEY_BYTES, value };
	len = puts_keys ? etcdserverpb__put_request__pack(&put, op->ask + GRPC_HEAD) :
			  etcdserverpb__range_request__pack(&get, op->ask + GRPC_HEAD);
	op->ask[0] = 0;
	datafs_put_be32(op->ask + 1, (uint32_t)len);
	op->len = len + GRPC_HEAD;
	op->sent = op->got = 0;
	op->status = -1;
}

static void check(const struct op *op)
{
	Etcdserverpb__RangeResponse *r;

	if (op->status || op->got < GRPC_HEAD)
		errx(1, "etcd: grpc-status %d", op->status);
	if (puts_keys)
		return;
	r = etcdserverpb__range_response__unpack(NULL, op->got - GRPC_HEAD,
						 op->answer + GRPC_HEAD);
	if (!r || r->n_kvs != 1 || r->kvs[0]->value.len != bytes - KEY_BYTES)
		errx(1, "etcd: a get does not find its key");
	etcdserverpb__range_response__free_unpacked(r, NULL);
}

static ssize_t give_body(nghttp2_session *s, int32_t stream, uint8_t *buf, size_t len,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct op *op = source->ptr;
	size_t n = DATAFS_MIN(len, op->len - op->sent);

	(void)s;
	(void)stream;
	(void)arg;
	memcpy(buf, op->ask + op->sent, n);
	op->sent += n;
	if (op->sent == op->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
			     NGHTTP2_NV_FLAG_NO_COPY_NAME };
}

static void begin_op(struct worker *w, struct op *op)
{
	const nghttp2_nv headers[] = {
		header(":method", "POST"), header(":scheme", "http"),
		header(":path", puts_keys ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range"),
		header(":authority", leader), header("content-type", "application/grpc"),
		header("te", "trailers"),
	};
	nghttp2_data_provider body = { .source.ptr = op, .read_callback = give_body };

	if (!bench_next(&bench))
		return;
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	pack(op, (puts_keys ? atomic_fetch_add(&next_key, 1) : w->random) % keys);
	must(nghttp2_submit_request(w->session, NULL, headers, sizeof(headers) / sizeof(*headers),
				    &body, op), "a request");
	w->under_way++;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
	struct op *op = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);

	(void)flags;
	(void)arg;
	(void)len;
	/* values end with a NUL here */
	if (op && name_len == strlen("grpc-status") && !memcmp(name, "grpc-status", name_len))
		op->status = atoi((const char *)value);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *data,
		   size_t len, void *arg)
{
	struct op *op = nghttp2_session_get_stream_user_data(s, stream);

	(void)flags;
	(void)arg;
	if (!op || op->got + len > sizeof(op->answer))
		errx(1, "etcd: an answer is too long");
	memcpy(op->answer + op->got, data, len);
	op->got += len;
	return 0;
}

static int on_close(nghttp2_session *s, int32_t stream, uint32_t error, void *arg)
{
	struct op *op = nghttp2_session_get_stream_user_data(s, stream);
	struct worker *w = arg;

	if (!op || error)
		errx(1, "etcd: a stream ends with error %u", error);
	check(op);
	w->done++;
	w->under_way--;
	begin_op(w, op);
	return 0;
}

static ssize_t give_frames(nghttp2_session *s, const uint8_t *data, size_t len, int flags, void *arg)
{
	const struct worker *w = arg;
	ssize_t n = send(w->fd, data, len, MSG_NOSIGNAL);

	(void)s;
	(void)flags;
	if (n < 0)
		err(1, "etcd: send");
	return n;
}

static int dial(const char *to)
{
	struct datafs_address at;
	int fd;

	if (datafs_address_resolve(to, true, &at))
		errx(2, "\"%s\": HOST:PORT, of numbers", to);
	fd = socket(at.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (struct sockaddr *)&at.sa, at.len)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void worker_open(struct worker *w, unsigned int n)
{
	nghttp2_session_callbacks *calls;

	w->n = n;
	w->ops = calloc(n, sizeof(*w->ops));
	if (!w->ops || datafs_random(&w->random, sizeof(w->random)))
		errx(1, "no memory");
	w->random |= 1;
	w->fd = dial(leader);
	if (w->fd < 0)
		err(1, "etcd: %s", leader);
	must(nghttp2_session_callbacks_new(&calls), "session");
	nghttp2_session_callbacks_set_send_callback(calls, give_frames);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
	must(nghttp2_session_client_new(&w->session, calls, w), "session");
	nghttp2_session_callbacks_del(calls);
	must(nghttp2_submit_settings(w->session, NGHTTP2_FLAG_NONE, NULL, 0), "settings");
}

static void worker_close(struct worker *w)
{
	nghttp2_session_del(w->session);
	close(w->fd);
	free(w->ops);
}

static void *work(void *arg)
{
	static _Thread_local uint8_t buf[64 << 10];
	struct worker *w = arg;
	ssize_t n;

	for (unsigned int i = 0; i < w->n; i++)
		begin_op(w, &w->ops[i]);
	while (w->under_way) {
		must(nghttp2_session_send(w->session), "send");
		n = recv(w->fd, buf, sizeof(buf), 0);
		if (n <= 0)
			errx(1, "etcd: the connection ends: %s", n ? strerror(errno) : "closed");
		must(nghttp2_session_mem_recv(w->session, buf, (size_t)n), "what it answers");
	}
	return NULL;
}

static bool is_leader(const char *endpoint)
{
	static const char ask[] = "GET /metrics HTTP/1.0\r\n\r\n", sign[] = "etcd_server_is_leader 1";
	static char buf[1 << 20];
	size_t got = 0;
	ssize_t n;
	int fd = dial(endpoint);

	if (fd < 0)
		return false;
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) > 0)
		while ((n = recv(fd, buf + got, sizeof(buf) - got, 0)) > 0)
			got += (size_t)n;
	close(fd);
	return memmem(buf, got, sign, sizeof(sign) - 1);
}

int main(int argc, char **argv)
{
	struct worker w[THREADS] = { 0 };
	unsigned long long done = 0;
	unsigned int outstanding;

	if (argc < 7)
		errx(2, "usage: etcdbench put|get|leader LIMIT OUTSTANDING BYTES KEYS HOST:PORT...");
	puts_keys = !strcmp(argv[1], "put");
	outstanding = (unsigned int)atoi(argv[3]);
	bytes = (size_t)atoi(argv[4]);
	keys = strtoull(argv[5], NULL, 10);
	if (bytes <= KEY_BYTES || bytes > BYTES_MAX || !keys || outstanding < THREADS)
		errx(2, "more bytes than a key's %u, and at least %u outstanding", KEY_BYTES, THREADS);
	for (int i = 6; i < argc && !leader; i++)
		if (is_leader(argv[i]))
			leader = argv[i];
	if (!leader)
		errx(1, "none of these etcds leads");
	if (!strcmp(argv[1], "leader")) {
		puts(leader);
		return 0;
	}
	for (unsigned int i = 0; i < THREADS; i++)
		worker_open(&w[i], outstanding / THREADS + (i < outstanding % THREADS));
	bench_begin(&bench, argv[2]);
	for (unsigned int i = 0; i < THREADS; i++)
		if (pthread_create(&w[i].thread, NULL, work, &w[i]))
			errx(1, "no thread");
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		done += w[i].done;
	}
	bench_print(&bench, done);
	for (unsigned int i = 0; i < THREADS; i++)
		worker_close(&w[i]);
	return 0;
}
