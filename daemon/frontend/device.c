// SPDX-License-Identifier: Apache-2.0
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"

struct datafs_device {
	int fd;
	pthread_mutex_t lock;		/* protects the rest */
	bool greeted;			/* has said hello: nothing is kept any more */
	struct datafs_backing *kept;	/* to be registered with the hello */
	uint32_t nkept;
	uint64_t features;		/* those of both, since the hello */
};

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
	{ EEXIST, "its mounts were made with another namespace than that in this cache directory; unmount them, or start it with the one they had" },
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

int datafs_device_open(const char *path, struct datafs_device **res)
{
	struct datafs_device *dev = calloc(1, sizeof(*dev));
	int err;

	if (!dev)
		return -ENOMEM;
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0) {
		err = errno;
		datafs_log(LOG_ERR, "%s: %s", path, advice_for(err));
		free(dev);
		return -err;
	}
	pthread_mutex_init(&dev->lock, NULL);
	*res = dev;
	return 0;
}

void datafs_device_close(struct datafs_device *dev)
{
	if (!dev)
		return;
	close(dev->fd);
	pthread_mutex_destroy(&dev->lock);
	free(dev->kept);
	free(dev);
}

int datafs_device_fd(const struct datafs_device *dev)
{
	return dev->fd;
}

static int register_backing(struct datafs_device *dev,
			    struct datafs_backing backing)
{
	int err;

	err = ioctl(dev->fd, DATAFS_IOC_BACKING_ADD, &backing) ? errno : 0;
	if (err == EEXIST) {
		/* A predecessor's slab, which has been made anew since. */
		ioctl(dev->fd, DATAFS_IOC_BACKING_DEL, &backing.id);
		err = ioctl(dev->fd, DATAFS_IOC_BACKING_ADD, &backing) ?
			      errno : 0;
	}
	if (!err)
		return 0;
	datafs_log(LOG_ERR, "the module does not take slab %u as a backing file: %s; put the cache directory on a filesystem of its own, as ext4 or xfs",
		   backing.id, strerror(err));
	return -err;
}

static int keep_backing(struct datafs_device *dev,
			const struct datafs_backing *backing)
{
	struct datafs_backing *kept;

	kept = realloc(dev->kept, (dev->nkept + 1) * sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	kept[dev->nkept++] = *backing;
	dev->kept = kept;
	return 0;
}

int datafs_device_backing_add(struct datafs_device *dev, int fd, uint32_t id)
{
	struct datafs_backing backing = { .fd = fd, .id = id };
	int err;

	pthread_mutex_lock(&dev->lock);
	err = dev->greeted ? register_backing(dev, backing) :
			     keep_backing(dev, &backing);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int datafs_device_lease(struct datafs_device *dev, uint32_t mount, uint64_t until)
{
	struct datafs_lease_end lease = { .mount_id = mount, .until = until };

	return ioctl(dev->fd, DATAFS_IOC_LEASE, &lease) ? -errno : 0;
}

#define SAME(name)	((int)DATAFS_UNDER_M_##name - (int)DATAFS_COUNT_##name == 0)

_Static_assert(SAME(STAT) && SAME(LIST) && SAME(GET) && SAME(PUT) && SAME(COPY) &&
	       SAME(DELETE) && SAME(OTHER) &&
	       (int)DATAFS_UNDER_M_NR - (int)DATAFS_COUNT_RETRIES == 0,
	       "methods are counted as the module names them");

int datafs_device_counts(struct datafs_device *dev, uint32_t mount,
			 const struct datafs_under_stats *st)
{
	const struct datafs_under_total t = datafs_under_total(st);
	struct datafs_counts c = { .mount_id = mount };

	for (int m = 0; m < DATAFS_UNDER_M_NR; m++)
		c.count[m] = st->by[m].requests;
	c.count[DATAFS_COUNT_RETRIES] = t.retries;
	c.count[DATAFS_COUNT_ERRORS] = t.errors;
	c.count[DATAFS_COUNT_BYTES] = t.down;
	c.count[DATAFS_COUNT_BYTES_UP] = t.up;
	c.count[DATAFS_COUNT_PRICE] = st->price < 1e12 ? st->price * 1e6 + 0.5 : 1e18;
	return ioctl(dev->fd, DATAFS_IOC_COUNTS, &c) ? -errno : 0;
}

static int say_hello(struct datafs_device *dev, const char *name,
		     const uint8_t session[16], uint64_t epoch)
{
	struct datafs_hello hello = {
		.size = sizeof(hello), .major = DATAFS_ABI_MAJOR,
		.minor = DATAFS_ABI_MINOR, .epoch = epoch,
		.features = DATAFS_FEATURE_TAKEOVER | DATAFS_FEATURE_LEASE |
			    DATAFS_FEATURE_LISTING | DATAFS_FEATURE_COUNTS,
		.flags = DATAFS_HELLO_TAKEOVER,
	};
	int err;

	memcpy(hello.session, session, sizeof(hello.session));
	strncpy(hello.name, name, sizeof(hello.name) - 1);
	if (!ioctl(dev->fd, DATAFS_IOC_HELLO, &hello)) {
		dev->features = hello.features;
		return 0;
	}
	err = errno;
	if (err == EPROTONOSUPPORT)
		datafs_log(LOG_ERR, "instance %s: the module speaks protocol %u.%u, this datafsd %u.%u: install versions that fit",
			   name, hello.major, hello.minor, DATAFS_ABI_MAJOR,
			   DATAFS_ABI_MINOR);
	else
		datafs_log(LOG_ERR, "instance %s: %s", name, advice_for(err));
	return -err;
}

int datafs_device_hello(struct datafs_device *dev, const char *name,
			const uint8_t session[16], uint64_t epoch)
{
	uint32_t all_others = 0;
	int err;

	pthread_mutex_lock(&dev->lock);
	err = say_hello(dev, name, session, epoch);
	for (uint32_t i = 0; !err && i < dev->nkept; i++)
		err = register_backing(dev, dev->kept[i]);
	if (!err)
		ioctl(dev->fd, DATAFS_IOC_BACKING_DEL, &all_others);
	dev->greeted = !err;
	pthread_mutex_unlock(&dev->lock);
	return err;
}

uint64_t datafs_device_features(const struct datafs_device *dev)
{
	return dev->features;
}

int datafs_device_held(struct datafs_device *dev,
		       int (*fn)(void *arg, const struct datafs_held *held),
		       void *arg)
{
	struct datafs_held_list list = { .room = DATAFS_HELD_MAX };
	struct datafs_held *items = calloc(list.room, sizeof(*items));
	int err = items ? 0 : -ENOMEM;

	list.items = (uintptr_t)items;
	while (!err) {
		if (ioctl(dev->fd, DATAFS_IOC_HELD, &list)) {
			err = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (!list.count)
			break;
		for (uint32_t i = 0; !err && i < list.count; i++)
			err = fn(arg, &items[i]);
	}
	free(items);
	if (err)
		datafs_log(LOG_ERR, "extents of a predecessor: %s; start the daemon again",
			   strerror(-err));
	return err;
}
