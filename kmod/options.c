// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: mount options. The module knows its own; those of the daemon it only
 * collects, shows, and keeps from being changed.
 */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "options.h"

const struct constant_table datafs_verify_names[] = {
	{ "always",	DATAFS_VERIFY_ALWAYS },
	{ "first",	DATAFS_VERIFY_FIRST },
	{ "never",	DATAFS_VERIFY_NEVER },
	{}
};

const struct fs_parameter_spec datafs_params[] = {
	fsparam_string("instance",	DATAFS_PARAM_INSTANCE),
	fsparam_enum("verify",		DATAFS_PARAM_VERIFY, datafs_verify_names),
	fsparam_string("sync_interval",	DATAFS_PARAM_SYNC_INTERVAL),
	fsparam_string("page_size",	DATAFS_PARAM_PAGE_SIZE),
	{}
};

int datafs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct datafs_opts *opts = fc->fs_private;
	struct fs_parse_result res;
	char *s;
	int opt;

	/* What is not in the table, the VFS refuses, and names it. */
	opt = fs_parse(fc, datafs_params, param, &res);
	if (opt < 0)
		return opt;
	switch (opt) {
	case DATAFS_PARAM_INSTANCE:
		if (strlen(param->string) > DATAFS_INSTANCE_MAX)
			return invalfc(fc, "instance: the name is longer than %d bytes",
				       DATAFS_INSTANCE_MAX);
		kfree(opts->instance);
		opts->instance = param->string;
		param->string = NULL;
		return 0;
	case DATAFS_PARAM_VERIFY:
		opts->verify = res.uint_32;
		opts->verify_given = true;
		return 0;
	}
	/* fsconfig(2) could smuggle in an option that the table has not. */
	if (strchr(param->string, ','))
		return invalfc(fc, "%s: a value must not have a comma",
			       param->key);
	s = kasprintf(GFP_KERNEL, "%s=%s", param->key, param->string);
	if (!s)
		return -ENOMEM;
	kfree(opts->daemon[opt - DATAFS_PARAM_DAEMON]);
	opts->daemon[opt - DATAFS_PARAM_DAEMON] = s;
	return 0;
}

void datafs_opts_free(struct datafs_opts *opts)
{
	int i;

	if (!opts)
		return;
	for (i = 0; i < DATAFS_DAEMON_PARAMS; i++)
		kfree(opts->daemon[i]);
	kfree(opts->instance);
	kfree(opts);
}

char *datafs_daemon_options(const struct datafs_opts *opts)
{
	size_t size = 1;
	char *all;
	int i;

	for (i = 0; i < DATAFS_DAEMON_PARAMS; i++)
		size += opts->daemon[i] ? strlen(opts->daemon[i]) + 1 : 0;
	all = kzalloc(size, GFP_KERNEL);
	for (i = 0; all && i < DATAFS_DAEMON_PARAMS; i++) {
		if (!opts->daemon[i])
			continue;
		if (*all)
			strlcat(all, ",", size);
		strlcat(all, opts->daemon[i], size);
	}
	return all;
}

/* Is @option one of the comma-separated @all? */
static bool datafs_has_option(const char *all, const char *option)
{
	size_t n = strlen(option);

	for (; all; all = strchr(all, ',')) {
		all += *all == ',';
		if (!strncmp(all, option, n) && (!all[n] || all[n] == ','))
			return true;
	}
	return false;
}

int datafs_show_options(struct seq_file *m, struct dentry *root)
{
	const struct datafs_mount *mnt = datafs_mnt(root->d_sb);

	seq_show_option(m, "instance", mnt->inst->name);
	seq_printf(m, ",verify=%s",
		   datafs_verify_names[READ_ONCE(mnt->verify)].name);
	if (*mnt->options) {
		seq_putc(m, ',');
		seq_escape(m, mnt->options, " \t\n\\#");
	}
	return 0;
}

/*
 * mount(8) gives all options of the mount again, so the same value is no
 * change. Whose root cannot be changed stays read-only whatever is asked.
 */
int datafs_reconfigure(struct fs_context *fc)
{
	struct datafs_mount *mnt = datafs_mnt(fc->root->d_sb);
	const struct datafs_opts *opts = fc->fs_private;
	int i;

	if (opts->instance && strcmp(opts->instance, mnt->inst->name))
		return invalfc(fc, "a remount cannot change the instance");
	for (i = 0; i < DATAFS_DAEMON_PARAMS; i++)
		if (opts->daemon[i] &&
		    !datafs_has_option(mnt->options, opts->daemon[i]))
			return invalfc(fc, "a remount cannot change to %s",
				       opts->daemon[i]);
	if (!(mnt->root.flags & DATAFS_ATTR_CHANGES)) {
		fc->sb_flags |= SB_RDONLY;
		fc->sb_flags_mask |= SB_RDONLY;
	}
	if (opts->verify_given)
		WRITE_ONCE(mnt->verify, opts->verify);
	return 0;
}
