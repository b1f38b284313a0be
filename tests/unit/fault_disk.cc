// SPDX-License-Identifier: Apache-2.0
/* What a disk does, and where it fails. */
#include "fault_disk.hh"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>

using leveldb::Status;

namespace {

class fault_file final : public leveldb::WritableFile {
public:
	fault_file(fault_disk *disk, const std::string &path, const inode_ref &node,
		   leveldb::WritableFile *below)
		: disk(disk), path(path), node(node), below(below)
	{
	}

	Status Append(const leveldb::Slice &data) override
	{
		Status s = disk->append(below.get(), path, data);

		if (s.ok())
			size += data.size();
		return s;
	}

	Status Flush() override
	{
		return below->Flush();
	}

	Status Sync() override
	{
		return disk->sync(below.get(), path, node.get(), size);
	}

	Status Close() override
	{
		return below->Close();
	}

private:
	fault_disk *disk;
	const std::string path;
	inode_ref node;
	std::unique_ptr<leveldb::WritableFile> below;
	uint64_t size = 0;
};

Status io_error(const std::string &path, int err)
{
	return Status::IOError(path, strerror(err));
}

} /* namespace */

void fault_must(bool ok, const std::string &what)
{
	if (ok)
		return;
	fprintf(stderr, "fault_env: %s: %s\n", what.c_str(), strerror(errno));
	abort();
}

fault_disk::fault_disk(const char *root, uint64_t seed)
	: datafs_disk(leveldb::Env::Default()), root(root),
	  inodes(this->root + ".inodes"), top(std::make_shared<inode>()),
	  rng((seed + 1) * 0x9e3779b97f4a7c15ull | 1)
{
	top->is_dir = true;
	fault_must(!mkdir(inodes.c_str(), 0700), inodes);
	worker = std::thread(&fault_disk::run, this);
}

fault_disk::~fault_disk()
{
	{
		held hold(queue_lock);

		end = true;
	}
	queue_changed.notify_all();
	worker.join();
	top.reset();
	fault_must(!rmdir(inodes.c_str()), inodes);
}

/* The one place where operations are counted and fail. The lock is held. */
Status fault_disk::gate(enum fault_op op, const std::string &path)
{
	if (!off && cut_in && !--cut_in)
		off = true;
	if (off)
		return io_error(path, EIO);
	if (!(fail_ops & op) || !fail_times ||
	    datafs_base_of(path).find(fail_part) == std::string::npos)
		return Status::OK();
	if (fail_in > 1) {
		fail_in--;
		return Status::OK();
	}
	fail_times--;
	return io_error(path, fail_err);
}

/* What is there and not known was made by other means: it is durable. */
inode_ref fault_disk::adopt(const std::string &path)
{
	struct stat st;
	inode_ref node;

	if (lstat(path.c_str(), &st))
		return nullptr;
	node = std::make_shared<inode>();
	node->is_dir = S_ISDIR(st.st_mode);
	if (!node->is_dir) {
		node->hidden = inodes + "/" + std::to_string(next_inode++);
		node->synced = st.st_size;
		fault_must(!link(path.c_str(), node->hidden.c_str()), path);
	}
	return node;
}

inode_ref fault_disk::find(const std::string &path)
{
	inode_ref dir, node;
	std::string name;

	if (path == root)
		return top;
	fault_must(!path.compare(0, root.size() + 1, root + "/"), path);
	dir = find(datafs_dir_of(path));
	name = datafs_base_of(path);
	if (!dir)
		return nullptr;
	if (dir->live.count(name))
		return dir->live[name];
	node = adopt(path);
	if (node)
		dir->live[name] = dir->durable[name] = node;
	return node;
}

Status fault_disk::NewWritableFile(const std::string &path,
				   leveldb::WritableFile **res)
{
	leveldb::WritableFile *below;
	held hold(lock);
	Status s = gate(FAULT_NAME, path);
	inode_ref dir, node;

	*res = nullptr;
	if (!s.ok())
		return s;
	node = find(path);
	s = target()->NewWritableFile(path, &below);
	if (!s.ok())
		return s;
	if (!node) {
		node = adopt(path);
		dir = find(datafs_dir_of(path));
		dir->live[datafs_base_of(path)] = node;
		dir->pending.push_back({ change::ADD, datafs_base_of(path), "", node });
	}
	node->synced = 0; /* a truncation is durable at the worst moment */
	*res = new fault_file(this, path, node, below);
	return s;
}

Status fault_disk::NewAppendableFile(const std::string &path,
				     leveldb::WritableFile **res)
{
	*res = nullptr;
	return Status::NotSupported(path, "appending to a file");
}

Status fault_disk::removed(const std::string &path, const Status &s)
{
	inode_ref dir = find(datafs_dir_of(path));

	if (s.ok()) {
		dir->live.erase(datafs_base_of(path));
		dir->pending.push_back({ change::DEL, datafs_base_of(path), "", nullptr });
	}
	return s;
}

Status fault_disk::RemoveFile(const std::string &path)
{
	held hold(lock);
	Status s = gate(FAULT_NAME, path);

	find(path);
	return s.ok() ? removed(path, target()->RemoveFile(path)) : s;
}

Status fault_disk::RemoveDir(const std::string &path)
{
	held hold(lock);
	Status s = gate(FAULT_NAME, path);

	find(path);
	return s.ok() ? removed(path, target()->RemoveDir(path)) : s;
}

Status fault_disk::CreateDir(const std::string &path)
{
	held hold(lock);
	Status s = gate(FAULT_NAME, path);
	inode_ref dir, node;

	if (s.ok())
		s = target()->CreateDir(path);
	if (!s.ok())
		return s;
	node = adopt(path);
	dir = find(datafs_dir_of(path));
	dir->live[datafs_base_of(path)] = node;
	dir->pending.push_back({ change::ADD, datafs_base_of(path), "", node });
	return s;
}

Status fault_disk::RenameFile(const std::string &from, const std::string &to)
{
	std::string old = datafs_base_of(from), name = datafs_base_of(to);
	held hold(lock);
	Status s = gate(FAULT_NAME, to);
	inode_ref dir, node;

	if (datafs_dir_of(from) != datafs_dir_of(to))
		return Status::NotSupported(from, "rename to another directory");
	node = find(from);
	find(to);
	if (s.ok())
		s = target()->RenameFile(from, to);
	if (!s.ok())
		return s;
	dir = find(datafs_dir_of(to));
	dir->live.erase(old);
	dir->live[name] = node;
	dir->pending.push_back({ change::MOVE, old, name, node });
	return s;
}

Status fault_disk::LinkFile(const std::string &from, const std::string &to)
{
	held hold(lock);
	Status s = gate(FAULT_NAME, to);
	inode_ref dir, node = find(from);

	if (s.ok())
		s = datafs_disk::LinkFile(from, to);
	if (!s.ok())
		return s;
	dir = find(datafs_dir_of(to));
	dir->live[datafs_base_of(to)] = node;
	dir->pending.push_back({ change::ADD, datafs_base_of(to), "", node });
	return s;
}

/* In an order of its own: what is done with them is remembered, and lost, in order. */
Status fault_disk::GetChildren(const std::string &path, std::vector<std::string> *res)
{
	Status s = target()->GetChildren(path, res);

	std::sort(res->begin(), res->end());
	return s;
}

Status fault_disk::SyncDir(const std::string &path)
{
	/* Where the directory of the whole is, is not on this disk. */
	if (path.size() < root.size())
		return Status::OK();

	held hold(lock);
	Status s = gate(FAULT_SYNC, path);
	inode_ref dir = find(path);

	if (!dir)
		return io_error(path, ENOENT);
	if (s.ok()) {
		dir->durable = dir->live;
		dir->pending.clear();
	}
	return s;
}

Status fault_disk::append(leveldb::WritableFile *below, const std::string &path,
			  const leveldb::Slice &data)
{
	held hold(lock);
	Status s = gate(FAULT_WRITE, path);

	if (s.ok())
		return below->Append(data);
	if (!off) {
		below->Append(leveldb::Slice(data.data(), data.size() / 2));
		below->Flush();
	}
	return s;
}

/* As LevelDB's own: the names that a MANIFEST may tell go before it. */
Status fault_disk::sync(leveldb::WritableFile *below, const std::string &path,
			inode *node, uint64_t size)
{
	Status s;

	if (datafs_db_file_of(path, nullptr) == DATAFS_DB_MANIFEST)
		s = SyncDir(datafs_dir_of(path));
	if (!s.ok())
		return s;

	held hold(lock);

	s = gate(FAULT_SYNC, path);
	if (s.ok())
		s = below->Flush();
	if (s.ok())
		node->synced = size;
	return s;
}

void fault_disk::fail(unsigned int ops, const char *part, unsigned int nth,
		      unsigned int times, int err)
{
	held hold(lock);

	fail_ops = ops;
	fail_part = part;
	fail_in = nth;
	fail_times = times;
	fail_err = err;
}

void fault_disk::cut(unsigned int nth)
{
	held hold(lock);

	cut_in = nth;
	if (!nth)
		off = true;
}

void fault_disk::Schedule(void (*fn)(void *), void *arg)
{
	{
		held hold(queue_lock);

		queue.push_back({ fn, arg });
	}
	queue_changed.notify_all();
}

void fault_disk::run()
{
	std::unique_lock<std::mutex> hold(queue_lock);

	for (;;) {
		queue_changed.wait(hold, [this] { return end || !queue.empty(); });
		if (queue.empty())
			return;

		auto job = queue.front();

		queue.pop_front();
		busy = true;
		hold.unlock();
		job.first(job.second);
		hold.lock();
		busy = false;
		queue_changed.notify_all();
	}
}

void fault_disk::settle()
{
	std::unique_lock<std::mutex> hold(queue_lock);

	queue_changed.wait(hold, [this] { return !busy && queue.empty(); });
}
