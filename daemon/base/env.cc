// SPDX-License-Identifier: Apache-2.0
#include "env.hh"

#include <cerrno>
#include <cstring>
#include <new>

extern "C" {
#include "log.h"
}

using leveldb::Status;

namespace {

/*
 * A file that is written. A log is synced when it is closed; LevelDB closes it by
 * destroying it, where no error can be returned: then the next log, which is
 * there already and still empty, refuses to be written.
 */
class shim_file final : public leveldb::WritableFile {
public:
	shim_file(datafs_shim *env, const std::string &path,
		  leveldb::WritableFile *below)
		: env(env), path(path), below(below)
	{
		kind = datafs_db_file_of(path, nullptr);
	}

	~shim_file() override
	{
		Close();
	}

	Status Append(const leveldb::Slice &data) override
	{
		Status s;

		/*
		 * What reaches the disk unasked must not name files that are
		 * not surely there.
		 */
		if (kind == DATAFS_DB_MANIFEST)
			s = env->sync_entries(path);
		else if (kind == DATAFS_DB_LOG)
			s = env->log_state();
		if (!s.ok())
			return s;
		unsynced = true;
		return told(below->Append(data));
	}

	Status Flush() override
	{
		return told(below->Flush());
	}

	Status Sync() override
	{
		Status s;

		if (kind == DATAFS_DB_LOG)
			s = env->log_state();
		if (s.ok())
			s = sync();
		return s;
	}

	Status Close() override
	{
		Status s, closed;

		if (!below)
			return s;
		if (kind == DATAFS_DB_LOG && unsynced)
			s = sync();
		closed = told(below->Close());
		below.reset();
		if (kind == DATAFS_DB_TABLE)
			env->written(path);
		return s.ok() ? closed : s;
	}

private:
	Status sync()
	{
		Status s;

		/* A log's name needs it once: it does not change. */
		if (kind == DATAFS_DB_MANIFEST ||
		    (kind == DATAFS_DB_LOG && !named))
			s = env->sync_entries(path);
		named = s.ok();
		if (s.ok())
			s = below->Sync();
		if (s.ok())
			unsynced = false;
		return told(s);
	}

	/* Nothing may follow a record that is torn or perhaps lost. */
	Status told(const Status &s)
	{
		if (!s.ok() && kind == DATAFS_DB_LOG)
			env->log_fail(path, s);
		return s;
	}

	datafs_shim *env;
	const std::string path;
	std::unique_ptr<leveldb::WritableFile> below;	/* empty: closed */
	enum datafs_db_file kind;
	bool unsynced = false;
	bool named = false;	/* its name is durable */
};

bool ends_with(const std::string &s, const char *end)
{
	size_t n = strlen(end);

	return s.size() > n && !s.compare(s.size() - n, n, end);
}

} /* namespace */

std::string datafs_dir_of(const std::string &path)
{
	size_t at = path.rfind('/');

	if (at == std::string::npos)
		return ".";
	return at ? path.substr(0, at) : "/";
}

std::string datafs_base_of(const std::string &path)
{
	return path.substr(path.rfind('/') + 1);
}

enum datafs_db_file datafs_db_file_of(const std::string &path, uint64_t *number)
{
	std::string name = datafs_base_of(path);

	if (!name.compare(0, 9, "MANIFEST-"))
		return DATAFS_DB_MANIFEST;
	if (ends_with(name, ".ldb") || ends_with(name, ".sst"))
		return DATAFS_DB_TABLE;
	if (!ends_with(name, ".log"))
		return DATAFS_DB_OTHER;
	if (number)
		*number = strtoull(name.c_str(), nullptr, 10);
	return DATAFS_DB_LOG;
}

Status datafs_shim::wrap(const std::string &path, const Status &opened,
			 leveldb::WritableFile *file,
			 leveldb::WritableFile **res)
{
	if (opened.ok()) {
		made++;
		*res = new shim_file(this, path, file);
	} else {
		written(path);
		*res = nullptr;
	}
	return opened;
}

Status datafs_shim::NewWritableFile(const std::string &path,
				    leveldb::WritableFile **res)
{
	leveldb::WritableFile *file = nullptr;
	Status s;

	{
		std::lock_guard<std::mutex> hold(lock);

		/* Before it is there: a checkpoint must not take it for whole. */
		if (datafs_db_file_of(path, nullptr) == DATAFS_DB_TABLE)
			writing.insert(path);
		removals.erase(path);
		if (disk->FileExists(path))
			s = disk->RemoveFile(path);
	}
	if (s.ok())
		s = disk->NewWritableFile(path, &file);
	return wrap(path, s, file, res);
}

Status datafs_shim::NewAppendableFile(const std::string &path,
				      leveldb::WritableFile **res)
{
	leveldb::WritableFile *file = nullptr;
	Status s = disk->NewAppendableFile(path, &file);

	return wrap(path, s, file, res);
}

Status datafs_shim::RemoveFile(const std::string &path)
{
	std::lock_guard<std::mutex> hold(lock);

	if (!pins && !keep)
		return disk->RemoveFile(path);
	removals.insert(path);
	return Status::OK();
}

/*
 * LevelDB removes the old MANIFEST after CURRENT names the new one: the rename
 * has to be durable first. If that fails LevelDB must not be told so, as it would
 * remove the new MANIFEST, which CURRENT names now; both stay.
 */
Status datafs_shim::RenameFile(const std::string &from, const std::string &to)
{
	Status s;

	{
		std::lock_guard<std::mutex> hold(lock);

		removals.erase(from);
		removals.erase(to);
	}
	s = disk->RenameFile(from, to);
	if (!s.ok())
		return s;
	made++;
	if (datafs_base_of(to) != "CURRENT")
		return s;
	s = sync_entries(to);
	if (!s.ok()) {
		keep_files();
		log_fail(to, s);
	}
	return Status::OK();
}

void datafs_shim::keep_files()
{
	std::lock_guard<std::mutex> hold(lock);

	keep = true;
}

Status datafs_shim::CreateDir(const std::string &dir)
{
	Status s = disk->CreateDir(dir);

	return s.ok() ? disk->SyncDir(datafs_dir_of(dir)) : s;
}

/* The first thing LevelDB does when it opens a database. */
Status datafs_shim::LockFile(const std::string &path, leveldb::FileLock **res)
{
	Status s = disk->LockFile(path, res);
	std::lock_guard<std::mutex> hold(lock);

	if (s.ok()) {
		failed = false;
		keep = false;
		if (!pins)
			removals.clear();
	}
	return s;
}

void datafs_shim::pin()
{
	std::lock_guard<std::mutex> hold(lock);

	pins++;
}

void datafs_shim::unpin()
{
	std::unique_lock<std::mutex> hold(lock);

	pins--;
	while (!pins && !keep && !removals.empty()) {
		/* As for LevelDB: what could not be removed is, at the next open. */
		disk->RemoveFile(*removals.begin());
		removals.erase(removals.begin());
		hold.unlock();
		hold.lock();
	}
}

bool datafs_shim::is_writing(const std::string &path)
{
	std::lock_guard<std::mutex> hold(lock);

	return writing.count(path);
}

void datafs_shim::written(const std::string &path)
{
	std::lock_guard<std::mutex> hold(lock);

	writing.erase(path);
}

Status datafs_shim::sync_entries(const std::string &path)
{
	std::lock_guard<std::mutex> hold(dir_lock);
	uint64_t n = made;
	Status s;

	if (durable == n)
		return s;
	s = disk->SyncDir(datafs_dir_of(path));
	if (s.ok())
		durable = n;
	return s;
}

Status datafs_shim::log_state()
{
	if (!failed)
		return Status::OK();

	std::lock_guard<std::mutex> hold(lock);

	return why;
}

void datafs_shim::log_fail(const std::string &path, const Status &s)
{
	std::lock_guard<std::mutex> hold(lock);

	if (failed)
		return;
	why = s;
	failed = true;
	datafs_log(LOG_ERR, "database: %s: %s; nothing is written to it until it is opened again",
		   path.c_str(), s.ToString().c_str());
}

/*
 * Reads what may not be there if the layout is another; that ends here loudly,
 * in the first database that is opened, and not in the middle of one.
 */
static bool layout_is_known(void)
{
	leveldb_env_t *made = leveldb_create_default_env();
	struct datafs_leveldb_env *seen = (struct datafs_leveldb_env *)made;
	unsigned char flag;
	bool res;

	memcpy(&flag, &seen->is_default, 1);
	res = seen->rep == leveldb::Env::Default() && flag == 1;
	leveldb_env_destroy(made);
	return res;
}

static int env_new(datafs_disk *below, std::unique_ptr<datafs_disk> own,
		   struct datafs_env **res)
{
	if (!layout_is_known()) {
		datafs_log(LOG_ERR, "this LevelDB's leveldb_env_t is not that of 1.23");
		return -ENOTSUP;
	}
	*res = new (std::nothrow) datafs_env(below, std::move(own));
	return *res ? 0 : -ENOMEM;
}

int datafs_env_over(datafs_disk *disk, struct datafs_env **res)
{
	return env_new(disk, nullptr, res);
}

int datafs_env_open(struct datafs_env **res)
{
	std::unique_ptr<datafs_disk> own(
		new (std::nothrow) datafs_disk(leveldb::Env::Default()));
	datafs_disk *below = own.get();

	return own ? env_new(below, std::move(own), res) : -ENOMEM;
}

void datafs_env_close(struct datafs_env *env)
{
	delete env;
}

leveldb_env_t *datafs_env_leveldb(struct datafs_env *env)
{
	return (leveldb_env_t *)&env->c;
}

void datafs_env_pin(struct datafs_env *env)
{
	env->shim.pin();
}

void datafs_env_unpin(struct datafs_env *env)
{
	env->shim.unpin();
}
