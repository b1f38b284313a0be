// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: mount options. The module knows its own; all others are the daemon's, which
 * it only collects, shows, and keeps from being changed.
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
	{}
};

/* The place of the option @key, or the first free one. */
static unsigned int datafs_opts_find(const struct datafs_opts *opts, const char *key)
{
	size_t len = strlen(key);
	unsigned int i;

	for (i = 0; i < opts->ndaemon; i++)
		if (!strncmp(opts->daemon[i], key, len) &&
		    (!opts->daemon[i][len] || opts->daemon[i][len] == '='))
			break;
	return i;
}

/* Who alone knows them is the daemon: here they are only to be told and shown. */
static int datafs_parse_daemon(struct fs_context *fc, const struct fs_parameter *param)
{
	bool value = param->type == fs_value_is_string;
	struct datafs_opts *opts = fc->fs_private;
	unsigned int at;
	char *s;

	/* What the VFS has for all is no filesystem's, nor what is no word. */
	if (!strcmp(param->key, "source") || (!value && param->type != fs_value_is_flag) ||
	    param->key[strspn(param->key, "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return -ENOPARAM;
	/* fsconfig(2) could smuggle in an option of another name. */
	if (value && strchr(param->string, ','))
		return invalfc(fc, "%s: a value must not have a comma",
			       param->key);
	at = datafs_opts_find(opts, param->key);
	if (at == DATAFS_DAEMON_OPTIONS)
		return invalfc(fc, "more than %d options", DATAFS_DAEMON_OPTIONS);
	s = kasprintf(GFP_KERNEL, "%s%s%s", param->key, value ? "=" : "",
		      value ? param->string : "");
	if (!s)
		return -ENOMEM;
	if (at == opts->ndaemon)
		opts->ndaemon++;
	else
		kfree(opts->daemon[at]);
	opts->daemon[at] = s;
	return 0;
}

int datafs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct datafs_opts *opts = fc->fs_private;
	struct fs_parse_result res;
	int opt;

	opt = fs_parse(fc, datafs_params, param, &res);
	if (opt == -ENOPARAM)
		return datafs_parse_daemon(fc, param);
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
	return -ENOPARAM;
}

void datafs_opts_free(struct datafs_opts *opts)
{
	unsigned int i;

	if (!opts)
		return;
	for (i = 0; i < opts->ndaemon; i++)
		kfree(opts->daemon[i]);
	kfree(opts->instance);
	kfree(opts);
}

char *datafs_daemon_options(const struct datafs_opts *opts)
{
	unsigned int i;
	size_t size = 1;
	char *all;

	for (i = 0; i < opts->ndaemon; i++)
		size += strlen(opts->daemon[i]) + 1;
	all = kzalloc(size, GFP_KERNEL);
	for (i = 0; all && i < opts->ndaemon; i++) {
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
	unsigned int i;

	if (opts->instance && strcmp(opts->instance, mnt->inst->name))
		return invalfc(fc, "a remount cannot change the instance");
	for (i = 0; i < opts->ndaemon; i++)
		if (!datafs_has_option(mnt->options, opts->daemon[i]))
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
