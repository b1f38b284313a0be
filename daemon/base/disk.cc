// SPDX-License-Identifier: Apache-2.0
/* What LevelDB's Env lacks of a disk. */
#include "env.hh"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

using leveldb::Status;

static Status disk_error(const std::string &path)
{
	return Status::IOError(path, strerror(errno));
}

Status datafs_disk::SyncDir(const std::string &dir)
{
	int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	Status s;

	if (fd < 0)
		return disk_error(dir);
	if (fsync(fd))
		s = disk_error(dir);
	close(fd);
	return s;
}

Status datafs_disk::LinkFile(const std::string &from, const std::string &to)
{
	return link(from.c_str(), to.c_str()) ? disk_error(to) : Status::OK();
}
