// SPDX-License-Identifier: Apache-2.0
#include "fault_disk.hh"

struct fault_env {
	fault_env(const char *root, uint64_t seed)
		: disk(root, seed), raw{ &disk, false }
	{
	}

	fault_disk disk;
	datafs_leveldb_env raw;
};

struct fault_env *fault_env_new(const char *root, uint64_t seed)
{
	return new fault_env(root, seed);
}

void fault_env_free(struct fault_env *f)
{
	delete f;
}

struct datafs_env *fault_env_shim(struct fault_env *f)
{
	struct datafs_env *env;

	fault_must(!datafs_env_over(&f->disk, &env), "no environment");
	return env;
}

leveldb_env_t *fault_env_raw(struct fault_env *f)
{
	return (leveldb_env_t *)&f->raw;
}

void fault_env_fail(struct fault_env *f, unsigned int ops, const char *part,
		    unsigned int nth, unsigned int times, int err)
{
	f->disk.fail(ops, part, nth, times, err);
}

void fault_env_cut(struct fault_env *f, unsigned int nth)
{
	f->disk.cut(nth);
}

void fault_env_restart(struct fault_env *f)
{
	f->disk.restart();
}

void fault_env_settle(struct fault_env *f)
{
	f->disk.settle();
}
