// SPDX-License-Identifier: Apache-2.0
/*
 * What changes a posix store, when calls of the system fail, one after the other, when
 * a filesystem lacks them, and when somebody else is at it.
 */
#define _GNU_SOURCE
#include "under_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The double of a filesystem: of the calls that may fail, the one that is @fail_at is not
 * made; what @lacks has is never made; @meanwhile is called once, within a call.
 */
enum lacking {
	NO_TMPFILE = 1, NO_NOREPLACE = 2, NO_COPY_RANGE = 4, NO_DIR_SYNC = 8,
};

static int fail_at, calls, lacks;
static void (*meanwhile)(void);

static bool fails(int err)
{
	if (!fail_at || ++calls != fail_at)
		return false;
	errno = err;
	return true;
}

static bool lacking(int what, int err)
{
	if (lacks & what)
		errno = err;
	return lacks & what;
}

static void others(void)
{
	void (*f)(void) = meanwhile;

	meanwhile = NULL;
	if (f)
		f();
}

int openat(int dfd_, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_TMPFILE) == O_TMPFILE && lacking(NO_TMPFILE, EOPNOTSUPP))
		return -1;
	return fails(ENOSPC) ? -1 : syscall(SYS_openat, dfd_, path, flags, mode);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (fails(ENOSPC))
		return -1;
	/* not all at once, either */
	return syscall(SYS_pwrite64, fd, buf, len > 70000 ? 70000 : len, off);
}

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	ssize_t n;

	if (fails(EIO))
		return -1;
	n = syscall(SYS_pread64, fd, buf, len > 3000 ? 3000 : len, off);
	others();
	return n;
}

ssize_t copy_file_range(int in, loff_t *inoff, int out, loff_t *outoff, size_t len,
			unsigned int flags)
{
	ssize_t n;

	if (lacking(NO_COPY_RANGE, EXDEV) || fails(EIO))
		return -1;
	n = syscall(SYS_copy_file_range, in, inoff, out, outoff, len > 70000 ? 70000 : len, flags);
	others();
	return n;
}

int fsync(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISDIR(st.st_mode) && lacking(NO_DIR_SYNC, EINVAL))
		return -1;
	return fails(EIO) ? -1 : syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails(EIO) ? -1 : syscall(SYS_fdatasync, fd);
}

int fchmod(int fd, mode_t mode)
{
	return fails(EPERM) ? -1 : syscall(SYS_fchmod, fd, mode);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return fails(EPERM) ? -1 : syscall(SYS_fchown, fd, uid, gid);
}

int futimens(int fd, const struct timespec times[2])
{
	return fails(EPERM) ? -1 : syscall(SYS_utimensat, fd, NULL, times, 0);
}

int ftruncate(int fd, off_t size)
{
	return fails(EIO) ? -1 : syscall(SYS_ftruncate, fd, size);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	int ret = fails(EMLINK) ? -1 : syscall(SYS_linkat, from, old, to, new, flags);

	others();
	return ret;
}

int renameat(int from, const char *old, int to, const char *new)
{
	int ret = fails(EIO) ? -1 : syscall(SYS_renameat, from, old, to, new);

	others();
	return ret;
}

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags)
{
	if (lacking(NO_NOREPLACE, EINVAL) || fails(EIO))
		return -1;
	return syscall(SYS_renameat2, from, old, to, new, flags);
}

static int teardown(void **state)
{
	fail_at = lacks = 0;
	meanwhile = NULL;
	return under_teardown(state);
}

static unsigned int count(const char *path)
{
	unsigned int n = 0;
	struct dirent *e;
	DIR *d = opendir(path);

	assert_non_null(d);
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static int count_one(void *arg, const char *name, const struct datafs_under_stat *st)
{
	assert_true(*name && st);
	++*(unsigned int *)arg;
	return 0;
}

/* What readers of the store see. */
static unsigned int listed(const char *key)
{
	unsigned int n = 0;

	assert_int_equal(datafs_under_list(u, key, NULL, count_one, &n), 0);
	return n;
}

#define LEN	200000

/* The letter of which all LEN bytes of it are; '-': it is not there. */
static char letter(const char *key)
{
	struct datafs_under_stat st;
	char *buf, c;

	if (datafs_under_stat(u, key, &st) == -ENOENT)
		return '-';
	buf = malloc(LEN + 1);
	assert_int_equal(st.size, LEN);
	assert_int_equal(rd(key, &st, 0, buf, LEN + 1), LEN);
	c = *buf;
	for (int i = 0; i < LEN; i++)
		assert_int_equal(buf[i], c);
	free(buf);
	return c;
}

static const char *all(char c)
{
	static char buf[LEN];

	memset(buf, c, LEN);
	return buf;
}

static int puts_all(const char *key, char c)
{
	return datafs_under_put(u, key, all(c), LEN, NULL, NULL, NULL);
}

/* ---- each call fails ---- */

/* Of somebody else, if we may. */
static struct datafs_under_attr attr = { .mode = 0640, .uid = 7, .gid = 8 };

static int do_put(char c, enum lacking l)
{
	lacks = l;
	return datafs_under_put(u, "f", all(c), LEN, &attr, NULL, NULL);
}

static int do_upload(char c, enum lacking l)
{
	struct datafs_under_part part[2] = {
		{ .number = 1, .len = LEN / 2 },
		{ .number = 2, .off = LEN / 2, .len = LEN / 2 },
	};
	struct datafs_under_upload up;
	int err, failing = fail_at;

	lacks = l;
	err = datafs_under_begin(u, "f", &attr, &up);
	if (err)
		return err;
	/* More than is kept of it, as one that failed may leave. */
	part[1].len += 10;
	err = datafs_under_part(u, "f", &up, &part[1], all(c) + LEN / 2 - 10);
	part[1].len -= 10;
	for (int i = 0; i < 2 && !err; i++)
		err = datafs_under_part(u, "f", &up, &part[i], all(c));
	if (!err)
		err = datafs_under_complete(u, "f", &up, part, 2, &attr, NULL, NULL);
	fail_at = 0;
	if (err)
		assert_int_equal(datafs_under_abort(u, "f", &up), 0);
	fail_at = failing;
	return err;
}

static int do_copy(char c, enum lacking l)
{
	struct datafs_under_stat st;
	int failing = fail_at;

	fail_at = 0;
	assert_int_equal(puts_all("from", c), 0);
	st = look("from");
	fail_at = failing;
	lacks = l;
	return datafs_under_copy(u, "from", &st.fp, "f", &attr, NULL, NULL);
}

static int do_put_new(char c, enum lacking l)
{
	const struct datafs_under_cond cond = { .is = DATAFS_UNDER_ABSENT };

	lacks = l;
	return datafs_under_put(u, "f", all(c), LEN, &attr, &cond, NULL);
}

static int do_rename(char c, enum lacking l)
{
	int failing = fail_at;

	(void)l;
	fail_at = 0;
	assert_int_equal(datafs_under_put(u, "from", all(c), LEN, &attr, NULL, NULL), 0);
	fail_at = failing;
	return datafs_under_rename(u, "from", "f");
}

static void reopen(void)
{
	datafs_under_close(u);
	assert_int_equal(datafs_under_open(dir, NULL, &u), 0);
}

/* Old or new, whole, nothing else there and nothing kept open, whatever failed. */
static void failing(void **state)
{
	static const struct {
		int (*run)(char c, enum lacking l);
		enum lacking lacks;
		bool is_new, moves;
	} ways[] = {
		{ do_put, 0, false, false },
		{ do_put, NO_TMPFILE, false, false },
		{ do_put_new, 0, true, false },
		{ do_put_new, NO_TMPFILE, true, false },
		{ do_put_new, NO_TMPFILE | NO_NOREPLACE, true, false },
		{ do_upload, 0, false, false },
		{ do_copy, 0, false, false },
		{ do_copy, NO_COPY_RANGE, false, false },
		{ do_rename, 0, false, true },
	};
	unsigned int files;
	int err;

	(void)state;
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		assert_int_equal(puts_all("from", 'z'), 0);
		assert_int_equal(puts_all("f", 'a'), 0);
		reopen();
		files = count("/proc/self/fd");
		for (int n = 1;; n++) {
			char old, new = 'b' + n % 20, is;

			if (ways[w].is_new)
				unlinkat(dfd, "f", 0);
			old = letter("f");
			fail_at = n;
			calls = 0;
			err = ways[w].run(new, ways[w].lacks);
			fail_at = 0;
			is = letter("f");
			if (calls < n) {
				assert_int_equal(err, 0);
				assert_int_equal(is, new);
				assert_true(n > 3);
				break;
			}
			/* An error may come when it is done, but not the other way round. */
			assert_true(is == new || (is == old && err < 0));
			assert_int_equal(count(dir), listed(""));
			assert_int_equal(count(dir), 1 + (is != '-') -
					 (ways[w].moves && is == new));
		}
		assert_int_equal(look("f").mode, S_IFREG | 0640);
		assert_int_equal(look("f").uid, attr.uid);
		reopen();
		assert_int_equal(count("/proc/self/fd"), files);
	}
}

/* A directory that was not made as it was asked for is not made. */
static void failing_mkdir(void **state)
{
	/* open, chown if it takes one, chmod, fsync, and the directory's */
	const int last = geteuid() ? 4 : 5;
	int err = -1;

	(void)state;
	for (int n = 1; err; n++) {
		fail_at = n;
		calls = 0;
		err = datafs_under_mkdir(u, "d", &attr);
		fail_at = 0;
		/* All was done but for the last one, which makes it durable. */
		assert_int_equal(count(dir), !err || n == last);
		assert_true(n <= last + 1);
		if (err && count(dir))
			assert_int_equal(unlinkat(dfd, "d", AT_REMOVEDIR), 0);
	}
	assert_int_equal(look("d").mode, S_IFDIR | 0640);
	assert_int_equal(look("d").gid, attr.gid);
}

/* ---- without a filesystem's help ---- */

static void without(void **state)
{
	static const int ways[] = {
		0, NO_TMPFILE, NO_TMPFILE | NO_NOREPLACE | NO_COPY_RANGE | NO_DIR_SYNC,
	};
	const struct datafs_under_cond absent = { .is = DATAFS_UNDER_ABSENT };
	struct datafs_fingerprint fp;
	struct datafs_under_stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		lacks = ways[i];
		assert_int_equal(datafs_under_put(u, "f", all('a'), LEN, NULL, &absent, &fp), 0);
		st = look("f");
		assert_memory_equal(&fp, &st.fp, sizeof(fp));
		assert_int_equal(st.nlink, 1);
		assert_int_equal(datafs_under_put(u, "f", all('b'), LEN, NULL, &absent, NULL),
				 -EEXIST);
		assert_int_equal(letter("f"), 'a');
		assert_int_equal(datafs_under_copy(u, "f", &st.fp, "g", NULL, &absent, NULL), 0);
		assert_int_equal(datafs_under_copy(u, "f", &st.fp, "g", NULL, &absent, NULL),
				 -EEXIST);
		assert_int_equal(letter("g"), 'a');
		assert_int_equal(puts_all("f", 'c'), 0);
		assert_int_equal(letter("f"), 'c');
		assert_int_equal(count(dir), 2);
		assert_int_equal(datafs_under_remove(u, "f", NULL), 0);
		assert_int_equal(datafs_under_remove(u, "g", NULL), 0);
	}
}

#define RACERS	4
#define RACES	40

static atomic_int won, lost;

static void *race(void *arg)
{
	const struct datafs_under_cond absent = { .is = DATAFS_UNDER_ABSENT };
	char c = 'a' + (intptr_t)arg, key[16], text[1000];

	memset(text, c, sizeof(text));
	for (int i = 0; i < RACES; i++) {
		int err;

		snprintf(key, sizeof(key), "%d", i);
		err = datafs_under_put(u, key, text, sizeof(text), NULL, &absent, NULL);
		if (!err)
			won++;
		else if (err == -EEXIST)
			lost++;
	}
	return NULL;
}

/* Of those who are the first, one is. */
static void first(void **state)
{
	static const int ways[] = { 0, NO_TMPFILE, NO_TMPFILE | NO_NOREPLACE };
	pthread_t t[RACERS];
	char key[16];

	(void)state;
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		lacks = ways[w];
		won = lost = 0;
		for (intptr_t i = 0; i < RACERS; i++)
			assert_int_equal(pthread_create(&t[i], NULL, race, (void *)i), 0);
		for (int i = 0; i < RACERS; i++)
			pthread_join(t[i], NULL);
		assert_int_equal(won, RACES);
		assert_int_equal(lost, RACES * (RACERS - 1));
		assert_int_equal(count(dir), RACES);
		for (int i = 0; i < RACES; i++) {
			snprintf(key, sizeof(key), "%d", i);
			assert_int_equal(datafs_under_remove(u, key, NULL), 0);
		}
	}
}

/* ---- somebody else ---- */

static void write_in_place(void)
{
	int fd = open("f", O_WRONLY);

	assert_int_equal(write(fd, "!", 1), 1);
	close(fd);
}

static void replace(void)
{
	int fd = open("g", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	close(fd);
	assert_int_equal(rename("g", "f"), 0);
}

static void cut_off(void)
{
	assert_int_equal(truncate("f", 10), 0);
}

static void take_away(void)
{
	assert_int_equal(unlink("f"), 0);
}

/* Bytes that changed while they were read or copied are not given out. */
static void changed(void **state)
{
	static void (*const how[])(void) = { write_in_place, replace, cut_off, take_away };
	char *buf = malloc(LEN), here[4096];
	struct datafs_under_stat st;

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(fchdir(dfd), 0);
	assert_int_equal(puts_all("copy", 'c'), 0);
	for (size_t i = 0; i < 4 * (sizeof(how) / sizeof(how[0])); i++) {
		assert_int_equal(puts_all("f", 'a'), 0);
		a_tick();
		st = look("f");
		/* kept open from a read before, or not */
		if (i / 4 % 2)
			assert_int_equal(rd("f", &st, 0, buf, 10), 10);
		meanwhile = how[i % 4];
		if (i / 4 / 2) {
			lacks = i % 8 / 4 ? NO_COPY_RANGE : 0;
			assert_int_equal(datafs_under_copy(u, "f", &st.fp, "copy", NULL, NULL,
							   NULL), -ESTALE);
			assert_int_equal(letter("copy"), 'c');
		} else {
			assert_int_equal(rd("f", &st, 0, buf, LEN), -ESTALE);
		}
		assert_null(meanwhile);
		assert_int_equal(rd("f", &st, 0, buf, LEN), -ESTALE);
	}
	assert_int_equal(chdir(here), 0);
	free(buf);
}

/* The fingerprint is that of what was published, not of what was made of it since. */
static void published(void **state)
{
	static void (*const how[])(void) = { write_in_place, replace, cut_off };
	struct datafs_fingerprint fp;
	struct datafs_under_stat st;
	char here[4096];

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(fchdir(dfd), 0);
	for (size_t i = 0; i < 2 * (sizeof(how) / sizeof(how[0])); i++) {
		if (i % 2)
			unlink("f");
		else
			assert_int_equal(puts_all("f", 'a'), 0);
		lacks = i % 2 ? 0 : NO_TMPFILE;
		/* so that the change is no younger than its clock can tell */
		meanwhile = NULL;
		assert_int_equal(datafs_under_put(u, "f", all('b'), LEN, &attr, NULL, &fp), 0);
		st = look("f");
		assert_memory_equal(&fp, &st.fp, sizeof(fp));
		if (i % 2)
			unlink("f");
		meanwhile = how[i / 2];
		assert_int_equal(datafs_under_put(u, "f", all('b'), LEN, &attr, NULL, &fp), 0);
		assert_null(meanwhile);
		st = look("f");
		assert_memory_not_equal(&fp, &st.fp, sizeof(fp));
	}
	assert_int_equal(chdir(here), 0);
}

/* ---- what is not published ---- */

#define TEMP	".datafs-0123456789abcdef0123456789abcdef.part"

static void reserved(void **state)
{
	static const char *const others_[] = {
		".datafs-0123456789abcdef0123456789abcde.part",
		".datafs-0123456789abcdef0123456789abcdef0.part",
		".datafs-0123456789ABCDEF0123456789abcdef.part",
		".datafs-0123456789abcdef0123456789abcdef.par",
		".datafs-0123456789abcdef0123456789abcdef.part~",
		"x" TEMP, ".datafs-.part",
	};
	const unsigned int n = sizeof(others_) / sizeof(others_[0]);
	struct datafs_under_upload up;
	struct datafs_under_stat st;
	char name[5000];
	struct stat sb;

	(void)state;
	put(TEMP, "left by somebody who died");
	assert_int_equal(listed(""), 0);
	assert_int_equal(datafs_under_stat(u, TEMP, &st), -ENOENT);
	memset(&st, 0, sizeof(st));
	assert_int_equal(rd(TEMP, &st, 0, name, 8), -ESTALE);
	assert_int_equal(puts_all(TEMP, 'a'), -EINVAL);
	assert_int_equal(datafs_under_begin(u, TEMP, NULL, &up), -EINVAL);
	assert_int_equal(datafs_under_mkdir(u, TEMP, NULL), -EINVAL);
	assert_int_equal(datafs_under_remove(u, TEMP, NULL), -EINVAL);
	assert_int_equal(datafs_under_rename(u, TEMP, "f"), -EINVAL);
	assert_int_equal(puts_all("f", 'a'), 0);
	assert_int_equal(datafs_under_rename(u, "f", TEMP), -EINVAL);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(puts_all(others_[i], 'a'), 0);
	assert_int_equal(listed(""), n + 1);
	/* It keeps no directory from going that seems empty, and goes in no other. */
	assert_int_equal(datafs_under_mkdir(u, "d", NULL), 0);
	for (int i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "d/.datafs-%032x.part", i);
		put(name, "x");
	}
	put("d/f", "x");
	snprintf(name, sizeof(name), "%s/d", dir);
	assert_int_equal(datafs_under_rmdir(u, "d"), -ENOTEMPTY);
	assert_int_equal(count(name), 17);
	assert_int_equal(datafs_under_remove(u, "d/f", NULL), 0);
	assert_int_equal(listed("d"), 0);
	assert_int_equal(datafs_under_rmdir(u, "d"), 0);
	assert_int_equal(fstatat(dfd, "d", &sb, 0), -1);
	/* ... even a directory of that name, which none of ours is. */
	assert_int_equal(mkdirat(dfd, "d", 0755), 0);
	assert_int_equal(mkdirat(dfd, "d/" TEMP, 0755), 0);
	assert_int_equal(datafs_under_rmdir(u, "d"), -EISDIR);
}

/* An upload outlives who began it. */
static void handed_over(void **state)
{
	struct datafs_under_part part[2] = {
		{ .number = 1, .len = LEN - 5 }, { .number = 2, .off = LEN - 5, .len = 5 },
	};
	struct datafs_under_upload up;
	int pipes[2], status;
	pid_t pid;

	(void)state;
	for (int completed = 0; completed < 2; completed++) {
		assert_int_equal(pipe(pipes), 0);
		pid = fork();
		if (!pid) {
			status = datafs_under_begin(u, "f", NULL, &up) ||
				 datafs_under_part(u, "f", &up, &part[0], all('x')) ||
				 write(pipes[1], &up, sizeof(up)) != sizeof(up);
			_exit(status);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(read(pipes[0], &up, sizeof(up)), sizeof(up));
		close(pipes[0]);
		close(pipes[1]);
		assert_int_equal(count(dir), 1);
		assert_int_equal(listed(""), 0);
		/* not all of it is there */
		assert_int_equal(datafs_under_complete(u, "f", &up, part, 2, NULL, NULL, NULL),
				 -EIO);
		if (!completed) {
			assert_int_equal(datafs_under_abort(u, "f", &up), 0);
			assert_int_equal(count(dir), 0);
			continue;
		}
		assert_int_equal(datafs_under_part(u, "f", &up, &part[1], all('x')), 0);
		assert_int_equal(datafs_under_complete(u, "f", &up, part, 2, NULL, NULL, NULL), 0);
		assert_int_equal(letter("f"), 'x');
		assert_int_equal(count(dir), 1);
	}
}

static void poke(const char *key, const struct datafs_under_upload *up, int want)
{
	struct datafs_under_part part = { .number = 1, .len = 4 };

	assert_int_equal(datafs_under_part(u, key, up, &part, "evil"), want);
	assert_int_equal(datafs_under_complete(u, key, up, &part, 1, NULL, NULL, NULL), want);
}

/* What somebody has put where an upload was is neither written to nor published. */
static void usurped(void **state)
{
	static const char *const no_token[] = {
		"", "secret", "../secret", "/etc/passwd", TEMP "/x 1 2", "x" TEMP " 1 2.3", NULL,
	};
	struct datafs_under_upload up, bad;
	struct datafs_under_stat st;
	char name[64], longer[400];

	(void)state;
	put("secret", "secret");
	assert_int_equal(mkdirat(dfd, "d", 0755), 0);
	assert_int_equal(datafs_under_begin(u, "d/f", NULL, &up), 0);
	snprintf(name, sizeof(name), "d/%.*s", (int)strcspn(up.token, " "), up.token);
	assert_int_equal(unlinkat(dfd, name, 0), 0);
	poke("d/f", &up, -ENOENT);
	assert_int_equal(linkat(dfd, "secret", dfd, name, 0), 0);
	poke("d/f", &up, -ENOENT);
	assert_int_equal(unlinkat(dfd, name, 0), 0);
	assert_int_equal(symlinkat("../secret", dfd, name), 0);
	poke("d/f", &up, -ENOENT);
	assert_int_equal(unlinkat(dfd, name, 0), 0);
	assert_int_equal(mkfifoat(dfd, name, 0666), 0);
	poke("d/f", &up, -ENOENT);
	assert_int_equal(unlinkat(dfd, name, 0), 0);
	assert_int_equal(mkdirat(dfd, name, 0755), 0);
	poke("d/f", &up, -ENOENT);
	st = look("secret");
	assert_int_equal(st.size, 6);
	assert_int_equal(st.nlink, 1);
	assert_int_equal(st.mode, S_IFREG | 0640);
	assert_int_equal(datafs_under_stat(u, "d/f", &st), -ENOENT);
	/* What is no token is not made a path of. */
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	for (size_t i = 0; i < sizeof(no_token) / sizeof(no_token[0]); i++) {
		snprintf(bad.token, sizeof(bad.token), "%s", no_token[i] ? no_token[i] : longer);
		poke("d/f", &bad, -EINVAL);
		assert_int_equal(datafs_under_abort(u, "d/f", &bad), -EINVAL);
	}
	/* With the directory the upload has gone. */
	assert_int_equal(unlinkat(dfd, name, AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dfd, "d", AT_REMOVEDIR), 0);
	assert_int_equal(datafs_under_abort(u, "d/f", &up), 0);
}

/* Links are in the way of names, and lead nowhere. */
static void links(void **state)
{
	struct datafs_under_cond absent = { .is = DATAFS_UNDER_ABSENT };
	struct datafs_under_stat st;

	(void)state;
	assert_int_equal(mkdirat(dfd, "d", 0755), 0);
	put("target", "old");
	assert_int_equal(symlinkat("target", dfd, "l"), 0);
	assert_int_equal(symlinkat("nowhere", dfd, "m"), 0);
	assert_int_equal(symlinkat("d", dfd, "to_d"), 0);
	assert_int_equal(datafs_under_put(u, "l", "new", 3, NULL, &absent, NULL), -EEXIST);
	assert_int_equal(datafs_under_put(u, "m", "new", 3, NULL, &absent, NULL), -EEXIST);
	assert_int_equal(datafs_under_mkdir(u, "m", NULL), -EEXIST);
	assert_int_equal(puts_all("to_d/f", 'a'), -ENOTDIR);
	assert_int_equal(datafs_under_mkdir(u, "to_d/e", NULL), -ENOTDIR);
	assert_int_equal(datafs_under_rmdir(u, "to_d"), -ENOTDIR);
	assert_int_equal(puts_all("l", 'a'), 0);
	assert_int_equal(letter("l"), 'a');
	assert_int_equal(look("target").size, 3);
	assert_int_equal(datafs_under_remove(u, "m", NULL), 0);
	assert_int_equal(datafs_under_remove(u, "to_d", NULL), 0);
	assert_int_equal(datafs_under_stat(u, "m", &st), -ENOENT);
	assert_true(S_ISDIR(look("d").mode));
	assert_int_equal(symlinkat("target", dfd, "l2"), 0);
	assert_int_equal(datafs_under_rename(u, "l2", "l"), 0);
	assert_true(S_ISLNK(look("l").mode));
	st = look("l");
	assert_int_equal(datafs_under_copy(u, "l", &st.fp, "x", NULL, NULL, NULL), -ESTALE);
}

/* Of two names of one file, which rename(2) leaves as they are, the first one goes. */
static void renamed_links(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(dfd, "d", 0755), 0);
	assert_int_equal(puts_all("f", 'a'), 0);
	assert_int_equal(linkat(dfd, "f", dfd, "d/g", 0), 0);
	assert_int_equal(linkat(dfd, "f", dfd, "h", 0), 0);
	assert_int_equal(datafs_under_rename(u, "f", "d/g"), 0);
	assert_int_equal(letter("f"), '-');
	assert_int_equal(letter("d/g"), 'a');
	assert_int_equal(look("d/g").nlink, 2);
	assert_int_equal(datafs_under_rename(u, "h", "h"), 0);
	assert_int_equal(letter("h"), 'a');
	for (int n = 0; n <= 4; n++) {
		fail_at = n;
		calls = 0;
		assert_int_equal(datafs_under_rename(u, "h", "d/g"), n ? -EIO : 0);
		assert_true(calls >= n);
		fail_at = 0;
		assert_int_equal(letter("d/g"), 'a');
		if (letter("h") == '-')
			assert_int_equal(linkat(dfd, "d/g", dfd, "h", 0), 0);
		assert_int_equal(count(dir), 2);
	}
}

/* ---- a filesystem that is full, another one, one that is not written ---- */

static void full(void **state)
{
	struct datafs_under_part part = { .number = 1, .len = LEN };
	struct datafs_under_upload up;
	struct datafs_under_stat st;
	char path[5000], *big;

	(void)state;
	snprintf(path, sizeof(path), "%s/small", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", path, "tmpfs", 0, "size=1m"))
		skip();
	/* What is open already sees the mounts of before. */
	reopen();
	big = calloc(1, 2 << 20);
	assert_int_equal(puts_all("small/f", 'a'), 0);
	assert_int_equal(datafs_under_put(u, "small/f", big, 2 << 20, NULL, NULL, NULL), -ENOSPC);
	assert_int_equal(letter("small/f"), 'a');
	lacks = NO_TMPFILE;
	assert_int_equal(datafs_under_put(u, "small/f", big, 2 << 20, NULL, NULL, NULL), -ENOSPC);
	assert_int_equal(letter("small/f"), 'a');
	assert_int_equal(count(path), 1);
	lacks = 0;
	assert_int_equal(datafs_under_begin(u, "small/f", NULL, &up), 0);
	part.len = 2 << 20;
	assert_int_equal(datafs_under_part(u, "small/f", &up, &part, big), -ENOSPC);
	assert_int_equal(puts_all("small/g", 'g'), -ENOSPC);
	assert_int_equal(datafs_under_abort(u, "small/f", &up), 0);
	assert_int_equal(puts_all("small/g", 'g'), 0);
	/* Not a rename, but it can be copied. */
	assert_int_equal(datafs_under_rename(u, "small/f", "f"), -EOPNOTSUPP);
	st = look("small/f");
	assert_int_equal(datafs_under_copy(u, "small/f", &st.fp, "f", NULL, NULL, NULL), 0);
	assert_int_equal(letter("f"), 'a');
	assert_int_equal(datafs_under_rmdir(u, "small"), -EBUSY);
	assert_int_equal(mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(puts_all("small/f", 'b'), -EROFS);
	assert_int_equal(datafs_under_remove(u, "small/f", NULL), -EROFS);
	assert_int_equal(datafs_under_mkdir(u, "small/d", NULL), -EROFS);
	assert_int_equal(letter("small/f"), 'a');
	free(big);
	reopen();
	assert_int_equal(umount2(path, 0), 0);
}

int main(void)
{
	if (geteuid()) {
		attr.uid = geteuid();
		attr.gid = getegid();
	}
#define T(f) cmocka_unit_test_setup_teardown(f, under_setup, teardown)
	const struct CMUnitTest tests[] = {
		T(failing),
		T(failing_mkdir),
		T(without),
		T(first),
		T(changed),
		T(published),
		T(reserved),
		T(handed_over),
		T(usurped),
		T(links),
		T(renamed_links),
		T(full),
	};

	return cmocka_run_group_tests_name("under_write", tests, NULL, NULL);
}
