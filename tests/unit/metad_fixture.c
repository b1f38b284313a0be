// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <dirent.h>

#include "tmpdir.h"

struct datafs_metad *m;
char dir[4096];
uint64_t entry_index, entry_time, request;

static struct datafs_metad *open_in(const char *path)
{
	struct datafs_metad_options opt = { .dir = path, .id = "id" };
	struct datafs_metad *res;

	assert_int_equal(datafs_metad_open(&opt, &res), 0);
	return res;
}

void reopen(void)
{
	datafs_metad_close(m);
	m = open_in(dir);
}

struct datafs_metad *open_other(char *path, size_t len)
{
	assert_int_equal(tmpdir_make(path, len, "metad"), 0);
	return open_in(path);
}

unsigned int metad_log_number(const char *path)
{
	unsigned int n, res = 0;
	struct dirent *e;
	DIR *d = opendir(path);

	assert_non_null(d);
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".log") && sscanf(e->d_name, "%u.log", &n) == 1 && n > res)
			res = n;
	closedir(d);
	assert_int_not_equal(res, 0);
	return res;
}

int metad_setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_EMERG);
	if (tmpdir_make(dir, sizeof(dir), "metad"))
		return -1;
	entry_index = 0;
	entry_time = 1000000000;
	request = 0;
	m = open_in(dir);
	must((struct req){ OP(SESSION_OPEN) });
	return 0;
}

int metad_teardown(void **state)
{
	const char *why = metad_check(m);

	(void)state;
	if (why)
		print_error("does not hold: %s\n", why);
	datafs_metad_close(m);
	tmpdir_remove(dir);
	return why ? -1 : 0;
}

int apply_reqs(struct req *r, size_t n, struct datafs_metad_results *res)
{
	uint8_t *buf;
	size_t len;
	int ret;

	for (size_t i = 0; i < n; i++) {
		if (r[i].request || r[i].session)
			continue;
		r[i].session = SESSION;
		r[i].request = ++request;
		r[i].lowest = r[i].request;
	}
	entry_time += 1000000007;
	buf = req_pack(r, n, entry_time, 0, &len);
	ret = datafs_metad_apply(m, ++entry_index, 1, buf, len, res);
	free(buf);
	return ret;
}

Metad__Result *call(struct req r)
{
	struct datafs_metad_results res;
	Metad__Result *one;

	assert_int_equal(apply_reqs(&r, 1, &res), 0);
	assert_int_equal(res.n, 1);
	one = metad__result__unpack(NULL, res.r[0].len, res.r[0].data);
	assert_non_null(one);
	datafs_metad_results_free(&res);
	return one;
}

void result_free(Metad__Result *r)
{
	metad__result__free_unpacked(r, NULL);
}

int error_of(struct req r)
{
	Metad__Result *res = call(r);
	int err = (int)res->error;

	if (err)
		assert_true(!res->node && !res->parent && !res->new_parent && !res->other);
	result_free(res);
	return err;
}

uint64_t must(struct req r)
{
	Metad__Result *res = call(r);
	uint64_t ino = res->node ? res->node->ino : 0;

	assert_int_equal(res->error, 0);
	result_free(res);
	return ino;
}

struct datafs_metad_attr attr_of(uint64_t ino)
{
	struct datafs_metad_attr a;

	assert_int_equal(datafs_metad_getattr(m, ino, &a), 0);
	return a;
}

uint64_t make_file(uint64_t parent, const char *name)
{
	return must((struct req){ OP(CREATE), parent, name, .mode = 0644 });
}

uint64_t make_dir(uint64_t parent, const char *name)
{
	return must((struct req){ OP(MKDIR), parent, name, .mode = 0755 });
}

static int add_name(void *arg, uint64_t cookie, const char *name, size_t len,
		    const struct datafs_metad_attr *attr)
{
	char *text = arg;

	(void)cookie, (void)attr;
	snprintf(text + strlen(text), 4096 - strlen(text), "%s%.*s",
		 *text ? " " : "", (int)len, name);
	return 0;
}

const char *names_in(uint64_t ino)
{
	static char text[4096];
	bool eof;

	*text = '\0';
	assert_int_equal(datafs_metad_readdir(m, ino, 0, add_name, text, &eof), 0);
	assert_true(eof);
	return text;
}
