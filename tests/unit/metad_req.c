// SPDX-License-Identifier: Apache-2.0
#include "metad_req.h"

#include <stdlib.h>
#include <string.h>

union op {
	Metad__Noop noop;
	Metad__Feature feature;
	Metad__SessionOpen open;
	Metad__SessionRenew renew;
	Metad__SessionClose close;
	Metad__SessionLease lease;
	Metad__Make make;
	Metad__Symlink symlink;
	Metad__Link link;
	Metad__Remove remove;
	Metad__Rename rename;
	Metad__Setattr setattr;
	Metad__Setxattr setxattr;
	Metad__Removexattr removexattr;
	Metad__Hold hold;
	Metad__SetQuota set_quota;
	Metad__RemoveQuota remove_quota;
	Metad__MountAdd mount_add;
	Metad__MountSet mount_set;
	Metad__MountRemove mount_remove;
	Metad__NodeJoin node_join;
	Metad__NodeSet node_set;
	Metad__NodeRemove node_remove;
	Metad__JobAdd job_add;
	Metad__JobClaim job_claim;
	Metad__JobReport job_report;
	Metad__JobCancel job_cancel;
	Metad__JobRemove job_remove;
	Metad__PolicySet policy_set;
	Metad__PolicyRemove policy_remove;
	Metad__ListingTicket listing_ticket;
	Metad__ListingPut listing_put;
	Metad__ListingDrop listing_drop;
};

static ProtobufCBinaryData bytes(const void *p, size_t len)
{
	return (ProtobufCBinaryData){ len, (uint8_t *)p };
}

static ProtobufCBinaryData text(const char *s)
{
	return bytes(s, s ? strlen(s) : 0);
}

static void make(Metad__Make *m, const struct req *r)
{
	metad__make__init(m);
	m->has_parent = m->has_name = m->has_mode = m->has_umask = true;
	m->has_uid = m->has_gid = m->has_rdev_major = m->has_rdev_minor = true;
	m->parent = r->ino;
	m->name = text(r->name);
	m->mode = r->mode;
	m->umask = r->umask;
	m->uid = r->uid;
	m->gid = r->gid;
	m->rdev_major = 8;
	m->rdev_minor = 1;
}

static void rename_of(Metad__Rename *m, const struct req *r)
{
	metad__rename__init(m);
	m->has_parent = m->has_name = m->has_new_parent = m->has_new_name = true;
	m->has_noreplace = m->has_exchange = true;
	m->parent = r->ino;
	m->name = text(r->name);
	m->new_parent = r->to;
	m->new_name = text(r->new_name);
	m->noreplace = r->create;
	m->exchange = r->replace;
}

static void setxattr_of(Metad__Setxattr *m, const struct req *r)
{
	metad__setxattr__init(m);
	m->has_ino = m->has_name = m->has_value = true;
	m->has_create = m->has_replace = m->has_kill_setgid = true;
	m->ino = r->ino;
	m->name = text(r->name);
	m->value = bytes(r->value, r->len);
	m->create = r->create;
	m->replace = r->replace;
	m->kill_setgid = r->kill_setgid;
}

static void symlink_of(Metad__Symlink *m, const struct req *r)
{
	metad__symlink__init(m);
	m->has_parent = m->has_name = m->has_target = m->has_uid = m->has_gid = true;
	m->parent = r->ino;
	m->name = text(r->name);
	m->target = bytes(r->value, r->len);
	m->uid = r->uid;
	m->gid = r->gid;
}

static void setattr_of(Metad__Setattr *m, const struct req *r)
{
	ProtobufCMessage base;

	metad__setattr__init(m);
	base = m->base;
	*m = r->set;
	m->base = base;
	m->has_atime_ns = m->has_atime;
	m->has_mtime_ns = m->has_mtime;
	m->has_guard_ns = m->has_guard;
	m->has_ino = true;
	m->ino = r->ino;
}

static void mount_of(union op *u, const struct req *r)
{
	switch (r->op) {
	case OP(MOUNT_ADD):
		metad__mount_add__init(&u->mount_add);
		u->mount_add.has_path = !!r->name;
		u->mount_add.path = text(r->name);
		u->mount_add.has_source = !!r->source;
		u->mount_add.source = text(r->source);
		u->mount_add.has_options = !!r->options;
		u->mount_add.options = text(r->options);
		break;
	case OP(MOUNT_SET):
		metad__mount_set__init(&u->mount_set);
		u->mount_set.has_path = !!r->name;
		u->mount_set.path = text(r->name);
		u->mount_set.has_generation = !!r->generation;
		u->mount_set.generation = r->generation;
		u->mount_set.has_options = !!r->options;
		u->mount_set.options = text(r->options);
		break;
	default:
		metad__mount_remove__init(&u->mount_remove);
		u->mount_remove.has_path = !!r->name;
		u->mount_remove.path = text(r->name);
		u->mount_remove.has_generation = !!r->generation;
		u->mount_remove.generation = r->generation;
	}
}

static void node_of(union op *u, const struct req *r)
{
	switch (r->op) {
	case OP(NODE_JOIN):
		metad__node_join__init(&u->node_join);
		u->node_join.has_name = !!r->name;
		u->node_join.name = text(r->name);
		u->node_join.has_address = !!r->source;
		u->node_join.address = text(r->source);
		u->node_join.has_weight = r->has_weight;
		u->node_join.weight = r->level;
		break;
	case OP(NODE_SET):
		metad__node_set__init(&u->node_set);
		u->node_set.has_name = !!r->name;
		u->node_set.name = text(r->name);
		u->node_set.has_weight = r->has_weight;
		u->node_set.weight = r->level;
		u->node_set.has_drain = r->create || r->replace;
		u->node_set.drain = r->create;
		break;
	default:
		metad__node_remove__init(&u->node_remove);
		u->node_remove.has_name = !!r->name;
		u->node_remove.name = text(r->name);
	}
}

static void job_report_of(Metad__JobReport *j, const struct req *r)
{
	metad__job_report__init(j);
	j->has_id = j->has_files = j->has_bytes = j->has_errors = true;
	j->id = r->ino;
	j->files = r->inodes;
	j->bytes = r->bytes;
	j->errors = r->uid;
	j->has_error = !!r->source;
	j->error = text(r->source);
	j->has_end = r->level != 0;
	j->end = r->level;
}

static void job_of(union op *u, const struct req *r)
{
	switch (r->op) {
	case OP(JOB_ADD):
		metad__job_add__init(&u->job_add);
		u->job_add.has_kind = u->job_add.has_node = true;
		u->job_add.kind = r->mode;
		u->job_add.node = r->to;
		u->job_add.has_path = !!r->name;
		u->job_add.path = text(r->name);
		break;
	case OP(JOB_CLAIM):
		metad__job_claim__init(&u->job_claim);
		u->job_claim.has_id = true;
		u->job_claim.id = r->ino;
		break;
	case OP(JOB_REPORT):
		job_report_of(&u->job_report, r);
		break;
	case OP(JOB_CANCEL):
		metad__job_cancel__init(&u->job_cancel);
		u->job_cancel.has_id = true;
		u->job_cancel.id = r->ino;
		break;
	default:
		metad__job_remove__init(&u->job_remove);
		u->job_remove.has_id = true;
		u->job_remove.id = r->ino;
	}
}

static void policy_of(union op *u, const struct req *r)
{
	if (r->op == OP(POLICY_SET)) {
		metad__policy_set__init(&u->policy_set);
		u->policy_set.has_path = !!r->name;
		u->policy_set.path = text(r->name);
		u->policy_set.has_cache = true;
		u->policy_set.cache = r->level;
		return;
	}
	metad__policy_remove__init(&u->policy_remove);
	u->policy_remove.has_path = !!r->name;
	u->policy_remove.path = text(r->name);
}

static void listing_of(union op *u, const struct req *r)
{
	switch (r->op) {
	case OP(LISTING_TICKET):
		metad__listing_ticket__init(&u->listing_ticket);
		u->listing_ticket.has_mount = u->listing_ticket.has_generation = true;
		u->listing_ticket.has_key = u->listing_ticket.has_max_age = true;
		u->listing_ticket.mount = r->ino;
		u->listing_ticket.generation = r->generation;
		u->listing_ticket.key = text(r->name);
		u->listing_ticket.max_age = r->bytes;
		u->listing_ticket.has_instead_of = r->inodes;
		u->listing_ticket.instead_of = r->inodes;
		break;
	case OP(LISTING_PUT):
		metad__listing_put__init(&u->listing_put);
		u->listing_put.has_number = u->listing_put.has_page = true;
		u->listing_put.has_bytes = u->listing_put.has_last = true;
		u->listing_put.number = r->ino;
		u->listing_put.page = (uint32_t)r->to;
		u->listing_put.bytes = bytes(r->value, r->len);
		u->listing_put.last = r->create;
		break;
	default:
		metad__listing_drop__init(&u->listing_drop);
		u->listing_drop.has_number = true;
		u->listing_drop.number = r->ino;
	}
}

static void op_of(union op *u, const struct req *r)
{
	switch (r->op) {
	case OP(CREATE):
	case OP(MKDIR):
	case OP(MKNOD):
		make(&u->make, r);
		break;
	case OP(SYMLINK):
		symlink_of(&u->symlink, r);
		break;
	case OP(LINK):
		metad__link__init(&u->link);
		u->link.has_ino = u->link.has_parent = u->link.has_name = true;
		u->link.ino = r->ino;
		u->link.parent = r->to;
		u->link.name = text(r->new_name);
		break;
	case OP(UNLINK):
	case OP(RMDIR):
		metad__remove__init(&u->remove);
		u->remove.has_parent = u->remove.has_name = true;
		u->remove.parent = r->ino;
		u->remove.name = text(r->name);
		break;
	case OP(RENAME):
		rename_of(&u->rename, r);
		break;
	case OP(SETATTR):
		setattr_of(&u->setattr, r);
		break;
	case OP(SETXATTR):
		setxattr_of(&u->setxattr, r);
		break;
	case OP(REMOVEXATTR):
		metad__removexattr__init(&u->removexattr);
		u->removexattr.has_ino = u->removexattr.has_name = true;
		u->removexattr.ino = r->ino;
		u->removexattr.name = text(r->name);
		break;
	case OP(HOLD):
	case OP(RELEASE):
		metad__hold__init(&u->hold);
		u->hold.has_ino = true;
		u->hold.ino = r->ino;
		break;
	case OP(SET_QUOTA):
		metad__set_quota__init(&u->set_quota);
		u->set_quota.has_ino = u->set_quota.has_inodes = u->set_quota.has_bytes = true;
		u->set_quota.ino = r->ino;
		u->set_quota.inodes = r->inodes;
		u->set_quota.bytes = r->bytes;
		break;
	case OP(REMOVE_QUOTA):
		metad__remove_quota__init(&u->remove_quota);
		u->remove_quota.has_ino = true;
		u->remove_quota.ino = r->ino;
		break;
	case OP(MOUNT_ADD):
	case OP(MOUNT_SET):
	case OP(MOUNT_REMOVE):
		mount_of(u, r);
		break;
	case OP(NODE_JOIN):
	case OP(NODE_SET):
	case OP(NODE_REMOVE):
		node_of(u, r);
		break;
	case OP(JOB_ADD):
	case OP(JOB_CLAIM):
	case OP(JOB_REPORT):
	case OP(JOB_CANCEL):
	case OP(JOB_REMOVE):
		job_of(u, r);
		break;
	case OP(POLICY_SET):
	case OP(POLICY_REMOVE):
		policy_of(u, r);
		break;
	case OP(LISTING_TICKET):
	case OP(LISTING_PUT):
	case OP(LISTING_DROP):
		listing_of(u, r);
		break;
	case OP(FEATURE):
		metad__feature__init(&u->feature);
		u->feature.has_level = true;
		u->feature.level = r->level;
		break;
	case OP(SESSION_OPEN):
		metad__session_open__init(&u->open);
		break;
	case OP(SESSION_RENEW):
		metad__session_renew__init(&u->renew);
		break;
	case OP(SESSION_CLOSE):
		metad__session_close__init(&u->close);
		u->close.has_session = r->ino;
		u->close.session = r->ino;
		break;
	case OP(SESSION_LEASE):
		metad__session_lease__init(&u->lease);
		u->lease.has_session = u->lease.has_ms = u->lease.has_holder = true;
		u->lease.holder = r->bytes;
		u->lease.session = r->ino;
		u->lease.ms = r->level;
		break;
	default:
		metad__noop__init(&u->noop);
	}
}

static void command_of(Metad__Command *c, union op *u, const struct req *r)
{
	metad__command__init(c);
	op_of(u, r);
	c->has_session = c->has_request = c->has_lowest = true;
	c->session = r->session;
	c->request = r->request;
	c->lowest = r->lowest;
	c->op_case = r->op;
	c->noop = &u->noop;
}

uint8_t *req_pack_command(const struct req *r, size_t *len)
{
	Metad__Command c;
	uint8_t *buf;
	union op u;

	command_of(&c, &u, r);
	*len = metad__command__get_packed_size(&c);
	buf = malloc(*len);
	if (!buf)
		abort();
	metad__command__pack(&c, buf);
	return buf;
}

uint8_t *req_pack(const struct req *r, size_t n, uint64_t time,
		  uint64_t first_ino, size_t *len)
{
	Metad__Entry e = METAD__ENTRY__INIT;
	Metad__Command *c = calloc(n + 1, sizeof(*c)), **cp = calloc(n + 1, sizeof(*cp));
	union op *u = calloc(n + 1, sizeof(*u));
	uint8_t *buf;

	if (!c || !cp || !u)
		abort();
	for (size_t i = 0; i < n; i++) {
		command_of(&c[i], &u[i], &r[i]);
		cp[i] = &c[i];
	}
	e.has_time = e.has_first_ino = e.has_feature_level = true;
	e.time = time;
	e.first_ino = first_ino;
	e.feature_level = 1;
	e.n_commands = n;
	e.commands = cp;
	*len = metad__entry__get_packed_size(&e);
	buf = malloc(*len);
	if (!buf)
		abort();
	metad__entry__pack(&e, buf);
	free(c);
	free(cp);
	free(u);
	return buf;
}
