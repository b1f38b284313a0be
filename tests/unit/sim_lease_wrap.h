/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in front of the product's own (the linker's --wrap). */
#ifndef DATAFS_TEST_SIM_LEASE_WRAP_H
#define DATAFS_TEST_SIM_LEASE_WRAP_H

#include "sim_lease.h"

int64_t __wrap_datafs_now(void);
int64_t __real_datafs_now(void);
int __wrap_datafs_random(void *buf, size_t len);
int __wrap_uv_async_send(uv_async_t *h);
void __wrap_datafs_loop_post(struct datafs_loop *l, struct datafs_task *task);
void __wrap_datafs_loop_defer(struct datafs_loop *l, struct datafs_task *task);
void __wrap_datafs_loop_fail(struct datafs_loop *l, int err, const char *what);
int __wrap_datafs_deadline_set(struct datafs_deadlines *ds, struct datafs_deadline *d,
			       uint32_t ms);
void __wrap_datafs_deadline_clear(struct datafs_deadlines *ds, struct datafs_deadline *d);
void __wrap_datafs_pool_add(struct datafs_pool *pool, struct datafs_job *job,
			    enum datafs_prio prio);
int __wrap_sem_wait(sem_t *sem);
int __real_sem_wait(sem_t *sem);
int __wrap_sem_post(sem_t *sem);
int __real_sem_post(sem_t *sem);

struct datafs_conn *__wrap_datafs_conn_get(struct datafs_conn *conn);
void __wrap_datafs_conn_put(struct datafs_conn *conn);
const struct datafs_wire_peer *__wrap_datafs_conn_who(const struct datafs_conn *conn);
int64_t __wrap_datafs_conn_heard(const struct datafs_conn *conn);
void __wrap_datafs_conn_end(struct datafs_conn *conn, int err);
int __wrap_datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call, const void *body,
			    uint32_t len, uint32_t ms);
void __wrap_datafs_call_cancel(struct datafs_call *call);
int __wrap_datafs_conn_reply(struct datafs_conn *conn, uint64_t id, const void *body,
			     uint32_t len);

int __wrap_datafs_remote_open(const struct datafs_remote_config *cfg, struct datafs_remote **res);
void __wrap_datafs_remote_close(struct datafs_remote *r);

/* test_sim_lease.c: planted faults. */
int __wrap_datafs_member_read(struct datafs_member *m, struct datafs_member_read *read);
int __real_datafs_member_read(struct datafs_member *m, struct datafs_member_read *read);
int __wrap_datafs_grants_new(const struct datafs_grants_conf *conf, uint64_t now,
			     uint32_t longest, const uint64_t *sessions, size_t n,
			     struct datafs_grants **res);
int __real_datafs_grants_new(const struct datafs_grants_conf *conf, uint64_t now,
			     uint32_t longest, const uint64_t *sessions, size_t n,
			     struct datafs_grants **res);
bool __wrap_datafs_lease_keep(struct datafs_lease *l, const struct datafs_told *told,
			      const struct datafs_grant_object *o);
bool __real_datafs_lease_keep(struct datafs_lease *l, const struct datafs_told *told,
			      const struct datafs_grant_object *o);

#endif
