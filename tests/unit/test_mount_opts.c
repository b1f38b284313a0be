// SPDX-License-Identifier: Apache-2.0
/* mount.datafs: options, the mount table, and checks of sources. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../utils/mount_check.h"
#include "../../utils/mount_daemon.h"
#include "../../utils/mount_opts.h"
#include "../../utils/mountinfo.h"

#define DEFAULTS	(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static char err[400];

static struct datafs_mount_opts parsed(const char *text)
{
	struct datafs_mount_opts o;

	*err = '\0';
	assert_int_equal(datafs_mount_opts_init(&o), 0);
	if (datafs_mount_opts_parse(&o, text, err, sizeof(err)))
		fail_msg("%s: %s", text, err);
	assert_string_equal(err, "");
	return o;
}

/* "key=value key" of the parameters, in order */
static void assert_params(const struct datafs_mount_opts *o, const char *want)
{
	char got[400] = "";
	size_t i, n = 0;

	for (i = 0; i < o->nparams; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s%s%s",
				      i ? " " : "", o->params[i].key,
				      o->params[i].value ? "=" : "",
				      o->params[i].value ? o->params[i].value : "");
	assert_string_equal(got, want);
}

static void test_attributes(void **state)
{
	static const struct {
		const char *text;
		uint64_t attr;
	} cases[] = {
		{ "", DEFAULTS },
		{ "defaults", DEFAULTS },
		{ "rw", DEFAULTS },
		{ "ro", DEFAULTS | MOUNT_ATTR_RDONLY },
		{ "ro,rw", DEFAULTS },
		{ "suid", MOUNT_ATTR_NODEV },
		{ "allow_suid", MOUNT_ATTR_NODEV },
		{ "dev,suid", 0 },
		{ "allow_dev,allow_suid", 0 },
		{ "suid,nosuid", DEFAULTS },
		{ "noexec", DEFAULTS | MOUNT_ATTR_NOEXEC },
		{ "noexec,exec", DEFAULTS },
		{ "noatime", DEFAULTS | MOUNT_ATTR_NOATIME },
		{ "noatime,relatime", DEFAULTS },
		{ "noatime,strictatime", DEFAULTS | MOUNT_ATTR_STRICTATIME },
		{ "nodiratime,nosymfollow",
		  DEFAULTS | MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW },
	};
	struct datafs_mount_opts o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		o = parsed(cases[i].text);
		if (datafs_mount_opts_attr(&o) != cases[i].attr)
			fail_msg("%s: %#lx", cases[i].text,
				 (unsigned long)datafs_mount_opts_attr(&o));
		datafs_mount_opts_free(&o);
	}
}

static void test_remount_attributes(void **state)
{
	struct datafs_mount_opts o = parsed("remount,noatime,noexec");
	uint64_t set, clr;

	(void)state;
	assert_true(o.remount);
	datafs_mount_opts_remount_attr(&o, &set, &clr);
	assert_int_equal(set, MOUNT_ATTR_NOATIME | MOUNT_ATTR_NOEXEC);
	/* not named: they stay as they are */
	assert_int_equal(clr & DEFAULTS, 0);
	assert_int_equal(clr & MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME);
	assert_true(clr & MOUNT_ATTR_RDONLY);
	datafs_mount_opts_free(&o);

	o = parsed("remount,nodev,allow_suid");
	datafs_mount_opts_remount_attr(&o, &set, &clr);
	assert_int_equal(set, MOUNT_ATTR_NODEV);
	assert_int_equal(clr & DEFAULTS, DEFAULTS);
	datafs_mount_opts_free(&o);
}

static void test_words_of_others(void **state)
{
	struct datafs_mount_opts o =
		parsed("auto,noauto,user=joe,users,nofail,_netdev,x-a.b=c,X-d,comment=e,uhelper=f,,");

	(void)state;
	assert_params(&o, "");
	assert_false(o.remount);
	assert_string_equal(o.instance, "default");
	assert_null(o.cache_dir);
	assert_null(o.cache_size);
	datafs_mount_opts_free(&o);
}

static void test_params(void **state)
{
	struct datafs_mount_opts o =
		parsed("ro,verify=first,sync,sync_interval=5,frobnicate,empty=,verify=never");

	(void)state;
	assert_params(&o, "ro sync sync_interval=5 frobnicate empty= verify=never");
	/* a second -o goes on from there */
	assert_int_equal(datafs_mount_opts_parse(&o, "sync_interval=7", err,
						 sizeof(err)), 0);
	assert_params(&o, "ro sync frobnicate empty= verify=never sync_interval=7");
	datafs_mount_opts_free(&o);
}

static void test_own(void **state)
{
	struct datafs_mount_opts o =
		parsed("cache=/a,instance=a.B-c_9,cache_size=10G,cache=\"/b,c d\"");

	(void)state;
	assert_string_equal(o.cache_dir, "/b,c d");
	assert_string_equal(o.cache_size, "10G");
	assert_string_equal(o.instance, "a.B-c_9");
	assert_params(&o, "instance=a.B-c_9");
	datafs_mount_opts_free(&o);
}

static void test_quotes(void **state)
{
	struct datafs_mount_opts o = parsed("a=\"b,c\"d,\"e,f\",g");

	(void)state;
	assert_params(&o, "a=b,cd e,f g");
	datafs_mount_opts_free(&o);
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"bind", "move", "private", "rshared",
		"ro=1", "nosuid=yes", "remount=",
		"instance", "instance=", "instance=a/b", "instance=..\n",
		"instance=.", "instance=..", "instance=.a",
		"instance=a b", "instance=0123456789012345678901234567890123456789012345678901234567890123",
		"cache", "cache=", "cache_size", "cache_size=", "cache_size=G",
		"cache_size=-1", "cache_size=1X", "cache_size=1GB",
		"cache_size=1234567890123456789", "=x", "a=\"b",
	};
	struct datafs_mount_opts o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		*err = '\0';
		assert_int_equal(datafs_mount_opts_init(&o), 0);
		if (datafs_mount_opts_parse(&o, texts[i], err, sizeof(err)) != -EINVAL)
			fail_msg("%s is not refused", texts[i]);
		assert_true(*err);
		datafs_mount_opts_free(&o);
	}
}

static void test_mountinfo(void **state)
{
	static const char text[] =
		"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"40 22 0:50 / /mnt ro,nosuid shared:3 master:1 - datafs /a\\040b ro,instance=x,verify=first\n"
		"short line\n"
		"41 22 0:51 / /mnt rw - datafs /c rw\n"
		"42 22 0:52 / /o\\134p rw - datafs nfs://h/e rw,instance=\n";
	struct datafs_mountinfo *list;
	char buf[64];
	size_t n;
	FILE *f;

	(void)state;
	f = fmemopen((void *)text, sizeof(text) - 1, "r");
	assert_non_null(f);
	assert_int_equal(datafs_mountinfo_parse(f, &list, &n), 0);
	fclose(f);
	assert_int_equal(n, 3);
	assert_string_equal(list[0].source, "/a b");
	assert_int_equal(list[0].dev_minor, 50);
	assert_string_equal(datafs_mountinfo_instance(&list[0], buf, sizeof(buf)), "x");
	assert_string_equal(datafs_mountinfo_instance(&list[1], buf, sizeof(buf)),
			    "default");
	assert_ptr_equal(datafs_mountinfo_at(list, n, "/mnt"), &list[1]);
	assert_ptr_equal(datafs_mountinfo_at(list, n, "/o\\p"), &list[2]);
	assert_null(datafs_mountinfo_at(list, n, "/"));
	datafs_mountinfo_free(list, n);
}

/* A directory tree of its own: src/, src/in/mnt/, mnt/, file, link -> src */
static int setup_tree(void **state)
{
	static char top[64];
	FILE *f;

	strcpy(top, "/tmp/test_mount_opts.XXXXXX");
	if (!mkdtemp(top) || chdir(top) || mkdir("src", 0755) ||
	    mkdir("src/in", 0755) || mkdir("src/in/mnt", 0755) ||
	    mkdir("mnt", 0755) || symlink("src", "link"))
		return -1;
	f = fopen("file", "w");
	if (!f)
		return -1;
	fclose(f);
	*state = top;
	return 0;
}

static int teardown_tree(void **state)
{
	const char *top = *state;

	if (unlink("file") || unlink("link") || rmdir("mnt") ||
	    rmdir("src/in/mnt") || rmdir("src/in") || rmdir("src") ||
	    chdir("/"))
		return -1;
	return rmdir(top);
}

static int source(const char *src, const char *dir, char **res)
{
	struct datafs_mount_place place;
	int ret;

	*err = '\0';
	*res = NULL;
	ret = datafs_mount_place_open(dir, &place, err, sizeof(err));
	if (ret)
		return ret;
	ret = datafs_mount_source(src, &place, res, err, sizeof(err));
	datafs_mount_place_close(&place);
	return ret;
}

static void test_source(void **state)
{
	char *res, want[200];

	assert_int_equal(source("link/../src", "mnt", &res), 0);
	snprintf(want, sizeof(want), "%s/src", (char *)*state);
	assert_string_equal(res, want);
	free(res);
	assert_int_equal(source("posix://src", "mnt", &res), 0);
	assert_string_equal(res, want);
	free(res);
	assert_int_equal(source("s3://bucket/x y", "mnt", &res), 0);
	assert_string_equal(res, "s3://bucket/x y");
	free(res);
	assert_int_equal(source(":/x", "mnt", &res), 0);
	assert_string_equal(res, ":/x");
	free(res);
	assert_int_equal(source("one:700,two:/x", "mnt", &res), 0);
	assert_string_equal(res, "one:700,two:/x");
	free(res);
	/* below the mount point is no loop: it is only hidden by it */
	assert_int_equal(source("src/in", "src", &res), 0);
	free(res);
}

static void test_source_refused(void **state)
{
	static const struct {
		const char *src, *dir;
		int error;
		const char *says;
	} cases[] = {
		{ "nowhere", "mnt", -ENOENT, "source nowhere" },
		{ "file", "mnt", -ENOTDIR, "source file" },
		{ "posix://file", "mnt", -ENOTDIR, "source posix://file" },
		{ "src", "nowhere", -ENOENT, "mount point nowhere" },
		{ "src", "file", -ENOTDIR, "mount point file" },
		{ "mnt", "mnt", -ELOOP, "is the mount point (Too many" },
		{ "link", "src", -ELOOP, "is the mount point (Too many" },
		{ "src", "src/in/mnt", -ELOOP, "contains the mount point" },
		{ "/", "mnt", -ELOOP, "contains the mount point" },
		{ "", "mnt", -ENOENT, "source" },
		{ "./a:/x", "mnt", -ENOENT, "source ./a:/x" },
		{ "1://x", "mnt", -ENOENT, "source 1://x" },
	};
	char *res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(source(cases[i].src, cases[i].dir, &res),
				 cases[i].error);
		if (!strstr(err, cases[i].says) || strchr(err, '\n'))
			fail_msg("%s on %s: %s", cases[i].src, cases[i].dir, err);
		assert_null(res);
	}
}

/* A daemon that is never ready and does not care about SIGTERM. */
static void test_daemon_not_ready(void **state)
{
	char script[] = "/tmp/datafs-daemon.XXXXXX", log[200];
	struct datafs_mount_opts o;
	int fd = mkstemp(script);

	(void)state;
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\ntrap '' TERM\nexec sleep 60\n") > 0);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	if ((mkdir(DATAFS_RUN_DIR, 0755) && access(DATAFS_RUN_DIR, W_OK)) ||
	    setenv("DATAFSD", script, 1)) {
		unlink(script);
		skip();
	}
	snprintf(log, sizeof(log), "instance=unit-test-%d", getpid());
	o = parsed(log);
	assert_int_equal(datafs_daemon_start(&o, 300, err, sizeof(err)), -ETIMEDOUT);
	unsetenv("DATAFSD");
	if (!strstr(err, "was ended") || strchr(err, '\n'))
		fail_msg("%s", err);
	/* It was ended, and waited for. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	unlink(script);
	snprintf(log, sizeof(log), DATAFS_RUN_DIR "/%s.log", o.instance);
	unlink(log);
	datafs_mount_opts_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_remount_attributes),
		cmocka_unit_test(test_words_of_others),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_daemon_not_ready),
		cmocka_unit_test(test_mountinfo),
		cmocka_unit_test_setup_teardown(test_source, setup_tree,
						teardown_tree),
		cmocka_unit_test_setup_teardown(test_source_refused, setup_tree,
						teardown_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
