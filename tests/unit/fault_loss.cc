// SPDX-License-Identifier: Apache-2.0
/* What a loss of power takes from a disk. */
#include "fault_disk.hh"

#include <cstring>
#include <dirent.h>
#include <sys/stat.h>

static void remove_tree(const std::string &path, bool itself)
{
	DIR *d = opendir(path.c_str());
	struct dirent *e;

	fault_must(d, path);
	while ((e = readdir(d))) {
		std::string name = e->d_name, sub = path + "/" + name;
		struct stat st;

		if (name == "." || name == "..")
			continue;
		fault_must(!lstat(sub.c_str(), &st), sub);
		if (S_ISDIR(st.st_mode))
			remove_tree(sub, true);
		else
			fault_must(!unlink(sub.c_str()), sub);
	}
	closedir(d);
	fault_must(!itself || !rmdir(path.c_str()), path);
}

uint64_t fault_disk::random(uint64_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % below;
}

void fault_disk::adopt_all(inode *dir, const std::string &path)
{
	DIR *d = opendir(path.c_str());
	struct dirent *e;

	fault_must(d, path);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			find(path + "/" + e->d_name);
	closedir(d);
	for (auto &i : dir->live)
		if (i.second->is_dir)
			adopt_all(i.second.get(), path + "/" + i.first);
}

void fault_disk::lose_end(inode *file)
{
	struct stat st;
	uint64_t more;

	fault_must(!stat(file->hidden.c_str(), &st), file->hidden);
	more = (uint64_t)st.st_size - file->synced;
	switch (random(3)) {
	case 0:
		more = 0;
		break;
	case 1:
		more = random(more + 1);
		break;
	}
	file->synced += more;
	fault_must(!truncate(file->hidden.c_str(), file->synced), file->hidden);
}

void fault_disk::lose(inode *dir)
{
	size_t n = dir->pending.size(), first;
	bool any = random(2);

	/* The last ones are lost, which may be none of them, or any. */
	first = random(2) ? random(n + 1) : n;
	for (size_t i = 0; i < n; i++) {
		const change &c = dir->pending[i];

		if (any ? random(2) : i >= first)
			continue;
		if (c.what != change::ADD)
			dir->durable.erase(c.name);
		if (c.what != change::DEL)
			dir->durable[c.what == change::ADD ? c.name : c.to] = c.node;
	}
	dir->pending.clear();
	dir->live = dir->durable;
	for (auto &i : dir->live) {
		if (i.second->lost_at == restarts)
			continue;
		i.second->lost_at = restarts;
		if (i.second->is_dir)
			lose(i.second.get());
		else
			lose_end(i.second.get());
	}
}

void fault_disk::build(inode *dir, const std::string &path)
{
	for (auto &i : dir->live) {
		std::string sub = path + "/" + i.first;

		if (i.second->is_dir) {
			fault_must(!mkdir(sub.c_str(), 0700), sub);
			build(i.second.get(), sub);
		} else {
			fault_must(!link(i.second->hidden.c_str(), sub.c_str()), sub);
		}
	}
}

void fault_disk::restart()
{
	held hold(lock);

	restarts++;
	adopt_all(top.get(), root);
	lose(top.get());
	remove_tree(root, false);
	build(top.get(), root);
	off = false;
	cut_in = 0;
	fail_times = 0;
}
