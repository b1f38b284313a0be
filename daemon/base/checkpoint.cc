// SPDX-License-Identifier: Apache-2.0
/*
 * A checkpoint of a database that is being written.
 *
 *   checkpoint                 what the database may do then
 *   ----------                 -----------------------------
 *   pin                        a removal that began before is finished. Its file
 *                              is of no use to the MANIFEST as it is now
 *    |                         from here on no name of a file goes away
 *   read CURRENT: MANIFEST-n
 *    |                         a new MANIFEST (LevelDB makes one only when it
 *    |                         opens): n stays, and all it names
 *   copy MANIFEST-n, up to     a compaction, or a memtable made a table: its edit
 *   its size now               is in the copy or is not. A torn edit at the end
 *    |                         is none to LevelDB. If it is not, the tables and
 *    |                         logs it retires are still there. If it is, the
 *    |                         table it adds was whole and synced before
 *   list: H, the last log      the next log, H+1
 *   list again: tables, logs   every name that was there when H was seen is in
 *    |                         the second list, which one list would not promise:
 *    |                         it may show what was made meanwhile and yet not
 *    |                         what was made before that. Logs above H are left out
 *   link the tables            new ones. A table that is being written is left
 *    |                         out: nothing names it yet
 *   copy the logs, each up     a record: it is in the copy, or not, or torn, which
 *   to its size now            is as not. The next log: then H is whole, and what
 *    |                         comes after it is left out
 *   unpin                      what was retired is removed
 *
 * The copy of the MANIFEST says up to where the tables go, and from which log on
 * the rest is. That log and all later ones up to H are there: they are pinned,
 * or were made after. All of them but H are whole, because a log gets its last
 * byte before the next one is made. So the checkpoint has all that was written
 * up to a point, which is later than the pin, and nothing after that point.
 *
 * Tables never change once they are written, so they can be shared. The MANIFEST
 * and the logs are still appended to, so they are copied: no later byte can get
 * into a copy. Nothing of this holds up a writer: appending takes no lock, and
 * making a log takes env.cc's for a moment.
 */
#include "env.hh"

#include <algorithm>
#include <cerrno>
#include <vector>

extern "C" {
#include "leveldb.h"
}

using leveldb::Status;

static const size_t COPY_SIZE = 256 << 10;

static Status copy_to(leveldb::SequentialFile *from, leveldb::WritableFile *to,
		      const std::string &path, uint64_t left)
{
	std::unique_ptr<char[]> buf(new char[COPY_SIZE]);
	leveldb::Slice got;
	Status s;

	while (left) {
		s = from->Read(std::min<uint64_t>(left, COPY_SIZE), &got,
			       buf.get());
		if (s.ok() && got.empty())
			s = Status::Corruption(path, "is shorter than it was");
		if (s.ok())
			s = to->Append(got);
		if (!s.ok())
			return s;
		left -= got.size();
	}
	s = to->Sync();
	return s.ok() ? to->Close() : s;
}

/* As long as it is at this moment. Durable but for its name. */
static Status copy_now(datafs_disk *disk, const std::string &from,
		       const std::string &to)
{
	leveldb::SequentialFile *in = nullptr;
	leveldb::WritableFile *out = nullptr;
	uint64_t size;
	Status s = disk->GetFileSize(from, &size);

	if (s.ok())
		s = disk->NewSequentialFile(from, &in);
	if (s.ok())
		s = disk->NewWritableFile(to, &out);
	if (s.ok())
		s = copy_to(in, out, from, size);
	delete in;
	delete out;
	return s;
}

static Status write_file(datafs_disk *disk, const std::string &path,
			 const std::string &text)
{
	leveldb::WritableFile *file = nullptr;
	Status s = disk->NewWritableFile(path, &file);

	if (s.ok())
		s = file->Append(text);
	if (s.ok())
		s = file->Sync();
	if (s.ok())
		s = file->Close();
	delete file;
	return s;
}

/* MANIFEST-n, and a CURRENT that names it whatever the database's names now. */
static Status copy_manifest(datafs_disk *disk, const std::string &db,
			    const std::string &to)
{
	std::string name;
	Status s = leveldb::ReadFileToString(disk, db + "/CURRENT", &name);

	if (!s.ok())
		return s;
	if (name.empty() || name.back() != '\n' ||
	    datafs_db_file_of(name, nullptr) != DATAFS_DB_MANIFEST ||
	    name.find('/') != std::string::npos)
		return Status::Corruption(db, "CURRENT names no MANIFEST");
	s = write_file(disk, to + "/CURRENT", name);
	name.pop_back();
	return s.ok() ? copy_now(disk, db + "/" + name, to + "/" + name) : s;
}

static Status last_log(datafs_disk *disk, const std::string &db, uint64_t *last)
{
	std::vector<std::string> names;
	Status s = disk->GetChildren(db, &names);
	uint64_t n;

	*last = 0;
	for (const std::string &name : names)
		if (datafs_db_file_of(name, &n) == DATAFS_DB_LOG)
			*last = std::max(*last, n);
	return s;
}

static Status take_files(datafs_shim *shim, const std::string &db,
			 const std::string &to)
{
	std::vector<std::string> names;
	uint64_t last, n;
	Status s = last_log(shim->disk, db, &last);

	if (s.ok())
		s = shim->disk->GetChildren(db, &names);
	for (size_t i = 0; s.ok() && i < names.size(); i++) {
		std::string from = db + "/" + names[i];

		switch (datafs_db_file_of(from, &n)) {
		case DATAFS_DB_TABLE:
			if (!shim->is_writing(from))
				s = shim->disk->LinkFile(from, to + "/" + names[i]);
			break;
		case DATAFS_DB_LOG:
			if (n <= last)
				s = copy_now(shim->disk, from, to + "/" + names[i]);
			break;
		default:
			break;
		}
	}
	return s;
}

static Status take_pinned(datafs_shim *shim, const std::string &db,
			  const std::string &to)
{
	Status s;

	shim->pin();
	s = copy_manifest(shim->disk, db, to);
	if (s.ok())
		s = take_files(shim, db, to);
	shim->unpin();
	return s;
}

static Status remove_dir(datafs_disk *disk, const std::string &dir)
{
	std::vector<std::string> names;
	Status s = disk->GetChildren(dir, &names);

	for (size_t i = 0; s.ok() && i < names.size(); i++)
		if (names[i] != "." && names[i] != "..")
			s = disk->RemoveFile(dir + "/" + names[i]);
	return s.ok() ? disk->RemoveDir(dir) : s;
}

int datafs_checkpoint(struct datafs_env *env, const char *db, const char *to)
{
	datafs_disk *disk = env->shim.disk;
	std::string end = to, tmp = end + ".tmp";
	Status s;

	if (disk->FileExists(end))
		return -EEXIST;
	if (disk->FileExists(tmp))
		s = remove_dir(disk, tmp);
	if (s.ok())
		s = disk->CreateDir(tmp);
	if (s.IsNotFound())
		return -ENOENT;
	if (!s.ok())
		return datafs_leveldb_error(s.ToString().c_str());
	s = take_pinned(&env->shim, db, tmp);
	if (s.ok())
		s = disk->SyncDir(tmp);
	if (s.ok())
		s = disk->RenameFile(tmp, end);
	if (!s.ok())
		remove_dir(disk, tmp); /* or the next one does */
	else
		s = disk->SyncDir(datafs_dir_of(end));
	return s.ok() ? 0 : datafs_leveldb_error(s.ToString().c_str());
}
