/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of env.h, in C++: the disk below an environment, and the
 * environment. A test may put a disk of its own below.
 *
 * LevelDB is built without RTTI and exceptions, and so is this. What LevelDB
 * calls keeps LevelDB's names.
 */
#ifndef DATAFS_ENV_HH
#define DATAFS_ENV_HH

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <leveldb/env.h>

#include "env.h"

/* LevelDB's Env, and what that lacks. Any thread. */
class datafs_disk : public leveldb::EnvWrapper {
public:
	explicit datafs_disk(leveldb::Env *env) : leveldb::EnvWrapper(env)
	{
	}

	/* What was made, renamed and removed in @dir is durable after it. */
	virtual leveldb::Status SyncDir(const std::string &dir);
	/* A second name, @to, for the same file. */
	virtual leveldb::Status LinkFile(const std::string &from, const std::string &to);
};

enum datafs_db_file {
	DATAFS_DB_OTHER,	/* CURRENT, LOCK, LOG, temporary ones */
	DATAFS_DB_LOG,
	DATAFS_DB_TABLE,
	DATAFS_DB_MANIFEST,
};

/* What a file of a database is by its name; the number of a log in *@number. */
enum datafs_db_file datafs_db_file_of(const std::string &path, uint64_t *number);

/* Directory and last part of a path. */
std::string datafs_dir_of(const std::string &path);
std::string datafs_base_of(const std::string &path);

class datafs_shim final : public leveldb::EnvWrapper {
public:
	explicit datafs_shim(datafs_disk *disk)
		: leveldb::EnvWrapper(disk), disk(disk)
	{
	}

	leveldb::Status NewWritableFile(const std::string &path,
					leveldb::WritableFile **res) override;
	leveldb::Status NewAppendableFile(const std::string &path,
					  leveldb::WritableFile **res) override;
	leveldb::Status RemoveFile(const std::string &path) override;
	leveldb::Status RenameFile(const std::string &from,
				   const std::string &to) override;
	leveldb::Status CreateDir(const std::string &dir) override;
	leveldb::Status LockFile(const std::string &path,
				 leveldb::FileLock **res) override;

	void pin();
	void unpin();
	/* Is a table of this path being written? Once false, false for good. */
	bool is_writing(const std::string &path);

	/* For its files. */
	leveldb::Status sync_entries(const std::string &path);
	leveldb::Status log_state();
	void log_fail(const std::string &path, const leveldb::Status &why);
	void written(const std::string &path);

	datafs_disk *const disk;

private:
	leveldb::Status wrap(const std::string &path, const leveldb::Status &opened,
			     leveldb::WritableFile *file,
			     leveldb::WritableFile **res);
	void keep_files();

	/* Protects what follows. Held over the removal of one file. */
	std::mutex lock;
	unsigned int pins = 0;
	bool keep = false;	/* CURRENT is not surely durable: remove nothing */
	std::set<std::string> removals;		/* to be done at unpin */
	std::set<std::string> writing;		/* tables */
	leveldb::Status why;			/* of failed */

	/* No log is written any more. Read without the lock by writers. */
	std::atomic<bool> failed{ false };

	/* Names made in the database's directory. Never goes down. */
	std::atomic<uint64_t> made{ 0 };
	std::mutex dir_lock;	/* protects @durable, held over a sync */
	uint64_t durable = 0;	/* so many of @made are */
};

/*
 * leveldb_env_t as LevelDB 1.23 has it in db/c.cc. datafs_env_open() checks it
 * against one that LevelDB made.
 */
struct datafs_leveldb_env {
	leveldb::Env *rep;
	bool is_default;
};

struct datafs_env {
	datafs_env(datafs_disk *below, std::unique_ptr<datafs_disk> own)
		: own(std::move(own)), shim(below), c{ &shim, false }
	{
	}

	std::unique_ptr<datafs_disk> own;	/* empty: the disk is another's */
	datafs_shim shim;
	datafs_leveldb_env c;
};

/* Over @disk, which stays the caller's. The errors of datafs_env_open(). */
int datafs_env_over(datafs_disk *disk, struct datafs_env **res);

#endif
