// SPDX-License-Identifier: Apache-2.0
/* Who is in the quorum, and how it is: asked and changed. On the raft thread. */
#include "metad/server_internal.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

static const char *role_name(int role)
{
	switch (role) {
	case RAFT_VOTER:
		return "voter";
	case RAFT_STANDBY:
		return "standby";
	default:
		return "spare";
	}
}

static void do_status(struct ask *a)
{
	Metad__Server servers[DATAFS_RAFT_SERVERS_MAX], *list[DATAFS_RAFT_SERVERS_MAX];
	Metad__Status status = METAD__STATUS__INIT;
	Metad__Reply r = METAD__REPLY__INIT;
	struct datafs_member_status st;
	struct datafs_member_server m;

	datafs_member_status(a->s->member, &st);
	status.has_id = status.has_leader = status.has_term = status.has_commit = true;
	status.has_applied = status.has_snapshot = status.has_halted = status.has_ready = true;
	status.id = a->s->cfg.id;
	status.leader = st.leader;
	status.term = st.term;
	status.commit = st.commit;
	status.applied = st.applied;
	status.snapshot = st.snapshot;
	status.halted = (uint32_t)-st.halted;
	status.ready = st.ready;
	status.has_feature_level = status.has_feature_known = true;
	status.feature_level = datafs_metad_level(datafs_fsm_ns(a->s->fsm));
	status.feature_known = a->s->cfg.level;
	status.servers = list;
	while (status.n_servers < DATAFS_RAFT_SERVERS_MAX &&
	       datafs_member_server(a->s->member, (unsigned int)status.n_servers, &m)) {
		Metad__Server *to = &servers[status.n_servers];

		metad__server__init(to);
		to->has_id = true;
		to->id = m.id;
		to->address = (char *)m.address;
		to->role = (char *)role_name(m.role);
		list[status.n_servers++] = to;
	}
	r.status = &status;
	server_ask_reply(a, &r);
}

static void change_done(struct datafs_member_change *change, int err)
{
	struct ask *a = (void *)((char *)change - offsetof(struct ask, change));

	datafs_log(LOG_NOTICE, "quorum: change of member %llu: %s",
		   (unsigned long long)change->id, err ? strerror(-err) : "done");
	server_ask_end(a, -err);
}

static void do_change(struct ask *a, enum datafs_change_kind kind, const Metad__Change *c)
{
	int err;

	a->change = (struct datafs_member_change) {
		.kind = kind, .id = c->id, .role = c->standby ? RAFT_STANDBY : RAFT_SPARE,
		.address = c->address, .done = change_done,
	};
	err = datafs_member_change(a->s->member, &a->change);
	if (err)
		server_ask_end(a, -err);
}

static void check_add(struct ask *a, const Metad__Change *c)
{
	if (!c->id || c->id > SERVER_ID_MAX || !c->address ||
	    datafs_address_check(c->address, false))
		server_ask_end(a, EINVAL);
	else
		server_level_add(a);
}

void server_admin_add(struct ask *a)
{
	do_change(a, DATAFS_CHANGE_ADD, a->what.what->admin->add);
}

void server_admin(struct ask *a)
{
	const Metad__Admin *admin = a->what.what->admin;

	switch (admin->of_case) {
	case METAD__ADMIN__OF_STATUS:
		do_status(a);
		break;
	case METAD__ADMIN__OF_ADD:
		check_add(a, admin->add);
		break;
	case METAD__ADMIN__OF_PROMOTE:
		do_change(a, DATAFS_CHANGE_PROMOTE, admin->promote);
		break;
	case METAD__ADMIN__OF_DEMOTE:
		do_change(a, DATAFS_CHANGE_DEMOTE, admin->demote);
		break;
	case METAD__ADMIN__OF_REMOVE:
		do_change(a, DATAFS_CHANGE_REMOVE, admin->remove);
		break;
	case METAD__ADMIN__OF_BACKUP:
		server_backup(a);
		break;
	case METAD__ADMIN__OF_PIECE:
		server_backup_piece(a);
		break;
	case METAD__ADMIN__OF_SET_QUOTA:
	case METAD__ADMIN__OF_REMOVE_QUOTA:
		server_quota(a);
		break;
	case METAD__ADMIN__OF_TRANSFER:
		server_ask_end(a, -datafs_member_transfer(a->s->member, admin->transfer->id));
		break;
	default:
		server_ask_end(a, EPROTO);
	}
}
