/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of fault_env.h: fault_disk.cc, and fault_loss.cc for its restart. */
#ifndef DATAFS_TEST_FAULT_DISK_HH
#define DATAFS_TEST_FAULT_DISK_HH

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/env.hh"
#include "fault_env.h"

struct inode;
using inode_ref = std::shared_ptr<inode>;

/* A change of a directory that was not synced yet. */
struct change {
	enum { ADD, DEL, MOVE } what;
	std::string name, to;
	inode_ref node;
};

struct inode {
	~inode()
	{
		if (!hidden.empty())
			unlink(hidden.c_str());
	}

	bool is_dir = false;
	/* A file: its second name, under which its bytes outlive all others. */
	std::string hidden;
	uint64_t synced = 0;
	uint64_t lost_at = 0;	/* the restart that took from it last */
	/* A directory: as it is, as it surely is on the disk, and in between. */
	std::map<std::string, inode_ref> live, durable;
	std::vector<change> pending;
};

/* A broken disk would make every test's result worthless: ends the test. */
void fault_must(bool ok, const std::string &what);

class fault_disk final : public datafs_disk {
public:
	fault_disk(const char *root, uint64_t seed);
	~fault_disk() override;

	leveldb::Status NewWritableFile(const std::string &path,
			       leveldb::WritableFile **res) override;
	leveldb::Status NewAppendableFile(const std::string &path,
				 leveldb::WritableFile **res) override;
	leveldb::Status GetChildren(const std::string &path,
				    std::vector<std::string> *res) override;
	leveldb::Status RemoveFile(const std::string &path) override;
	leveldb::Status RemoveDir(const std::string &path) override;
	leveldb::Status CreateDir(const std::string &path) override;
	leveldb::Status RenameFile(const std::string &from, const std::string &to) override;
	leveldb::Status LinkFile(const std::string &from, const std::string &to) override;
	leveldb::Status SyncDir(const std::string &path) override;
	void Schedule(void (*fn)(void *), void *arg) override;

	leveldb::Status append(leveldb::WritableFile *below, const std::string &path,
		      const leveldb::Slice &data);
	leveldb::Status sync(leveldb::WritableFile *below, const std::string &path,
		    inode *node, uint64_t size);

	void fail(unsigned int ops, const char *part, unsigned int nth,
		  unsigned int times, int err);
	void cut(unsigned int nth);
	void restart();
	void settle();

private:
	using held = std::lock_guard<std::mutex>;

	leveldb::Status gate(enum fault_op op, const std::string &path);
	leveldb::Status removed(const std::string &path, const leveldb::Status &s);
	inode_ref adopt(const std::string &path);
	inode_ref find(const std::string &path);
	void adopt_all(inode *dir, const std::string &path);
	void lose(inode *dir);
	void lose_end(inode *file);
	void build(inode *dir, const std::string &path);
	uint64_t random(uint64_t below);
	void run();

	const std::string root, inodes;
	std::mutex lock;	/* protects all up to the queue */
	inode_ref top;
	uint64_t rng, next_inode = 0, restarts = 0;
	bool off = false;
	unsigned int cut_in = 0;	/* operations; 0: never */
	unsigned int fail_ops = 0, fail_in = 0, fail_times = 0;
	int fail_err = 0;
	std::string fail_part;

	std::mutex queue_lock;	/* protects the queue */
	std::condition_variable queue_changed;
	std::deque<std::pair<void (*)(void *), void *>> queue;
	bool busy = false, end = false;
	std::thread worker;
};

#endif
