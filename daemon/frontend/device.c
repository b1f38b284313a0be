// SPDX-License-Identifier: Apache-2.0
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"

#define DEVICE	"/dev/" DATAFS_DEVICE

/* What to do about an error of open or hello. */
static const struct {
	int err;
	const char *what;
} advice[] = {
	{ ENOENT, "it does not exist; load the module: modprobe datafs" },
	{ ENODEV, "the module is gone; load it: modprobe datafs" },
	{ ENXIO, "the module is gone; load it: modprobe datafs" },
	{ EPERM, "not permitted; datafsd needs CAP_SYS_ADMIN: run it as root" },
	{ EACCES, "no permission; datafsd must run as root" },
	{ EBUSY, "the name has a living daemon, or mounts that one left which died: umount them" },
	{ ESTALE, "a later daemon has had the name; is the clock right?" },
	{ ENOTTY, "it is not the device of the datafs module" },
};

static const char *advice_for(int err)
{
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		if (advice[i].err == err)
			return advice[i].what;
	return strerror(err);
}

int datafs_device_open(const char *name, const uint8_t session[16],
		       uint64_t epoch)
{
	struct datafs_hello hello = {
		.size = sizeof(hello), .major = DATAFS_ABI_MAJOR,
		.minor = DATAFS_ABI_MINOR, .epoch = epoch,
	};
	int fd, err;

	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		datafs_log(LOG_ERR, "%s: %s", DEVICE, advice_for(err));
		return -err;
	}
	memcpy(hello.session, session, sizeof(hello.session));
	strncpy(hello.name, name, sizeof(hello.name) - 1);
	if (!ioctl(fd, DATAFS_IOC_HELLO, &hello))
		return fd;
	err = errno;
	if (err == EPROTONOSUPPORT)
		datafs_log(LOG_ERR, "instance %s: the module speaks protocol %u.%u, this datafsd %u.%u: install versions that fit",
			   name, hello.major, hello.minor, DATAFS_ABI_MAJOR,
			   DATAFS_ABI_MINOR);
	else
		datafs_log(LOG_ERR, "instance %s: %s", name, advice_for(err));
	close(fd);
	return -err;
}

int datafs_device_backing_add(int dev, int fd, uint32_t id)
{
	struct datafs_backing backing = { .fd = fd, .id = id };
	int err;

	if (!ioctl(dev, DATAFS_IOC_BACKING_ADD, &backing))
		return 0;
	err = errno;
	datafs_log(LOG_ERR, "the module does not take slab %u as a backing file: %s",
		   id, strerror(err));
	return -err;
}
