// SPDX-License-Identifier: Apache-2.0
/*
 * The end of a daemon, in each state of its requests, and the next daemon. All are
 * files of this process.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "hostile.h"

static uint64_t epoch = 100;

static int open_device(void)
{
	int fd, tries;

	for (tries = 0; tries < 1000; tries++) {
		fd = open("/dev/" DATAFS_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 || !no_memory(errno))
			break;
	}
	if (fd < 0)
		die("/dev/%s: %m", DATAFS_DEVICE);
	return fd;
}

/* 0 or an errno */
static int hello_as(int fd, uint64_t with_epoch, uint32_t flags, uint8_t session)
{
	struct datafs_hello h = {
		.size = sizeof(h), .major = DATAFS_ABI_MAJOR, .minor = DATAFS_ABI_MINOR,
		.features = DATAFS_FEATURE_TAKEOVER, .epoch = with_epoch, .flags = flags,
		.name = INSTANCE,
	};

	memset(h.session, session, sizeof(h.session));
	return ioctl(fd, DATAFS_IOC_HELLO, &h) ? errno : 0;
}

static void register_all(void)
{
	int tries = 0;

	while (!tree_register(device))
		if (!no_memory(errno) || ++tries == 1000)
			die("a backing file was not taken: %m");
}

void daemon_first(void)
{
	device = open_device();
	if (hello_as(device, epoch, 0, 1))
		die("hello: %m");
	register_all();
}

static int succeed(int fd)
{
	int e, tries = 0;

	do
		e = hello_as(fd, epoch + 1, DATAFS_HELLO_TAKEOVER, 1);
	while (no_memory(e) && ++tries < 1000);
	/* It may be that only the answer was not to be had. */
	if (e && !(tries && e == EALREADY))
		die("takeover: %s", strerror(e));
	epoch++;
	tally.deaths++;
	return fd;
}

/* Who may not follow. */
static void impostors(uint64_t *choice)
{
	int fd = open_device(), e = 0, want = 0;

	switch (rnd(choice) % 4) {
	case 0:
		e = hello_as(fd, epoch, DATAFS_HELLO_TAKEOVER, 1);
		want = ESTALE;
		break;
	case 1:
		e = hello_as(fd, epoch + 1, DATAFS_HELLO_TAKEOVER, 2);
		want = EEXIST;
		break;
	case 2:
		e = hello_as(fd, epoch + 1, 0, 1);
		want = EBUSY;
		break;
	case 3:
		e = hello_as(fd, 0, DATAFS_HELLO_TAKEOVER, 1);
		want = EINVAL;
		break;
	}
	if (e != want && !no_memory(e))
		report(false, "who may not follow gets %s, not %s", strerrorname_np(want),
		       strerrorname_np(e));
	close(fd);
}

/* What the kernel holds makes sense, however much of it is asked for at a time. */
static void held(uint64_t *choice)
{
	static struct datafs_held items[64];
	struct datafs_held_list l = {
		.items = (uintptr_t)items, .room = 8 + rnd(choice) % 56,
	};
	unsigned int i;

	do {
		if (ioctl(device, DATAFS_IOC_HELD, &l)) {
			if (errno != ERANGE && !no_memory(errno))
				report(false, "HELD: %m");
			return;
		}
		for (i = 0; i < l.count; i++)
			if (!items[i].len || items[i].len % GRANULE || items[i].off % GRANULE ||
			    items[i].backing_off % GRANULE || items[i].reserved ||
			    items[i].flags > 3 || !items[i].content ||
			    !items[i].backing_id || items[i].backing_id > BACKING_SHORT)
				report(false, "HELD told of no extent");
	} while (l.count);
}

/*
 * Ends that make no sense, of mounts that may be none; the last word is that there is no
 * lease, as what the answers say of validity is looked at.
 */
static void leases(uint64_t *choice)
{
	for (int i = 0; i < 8; i++) {
		struct datafs_lease_end l = {
			.mount_id = mount_id + (rnd(choice) % 4 ? 0 : rnd(choice)),
			.reserved = rnd(choice) % 8 ? 0 : (uint32_t)rnd(choice),
			.until = i == 7 ? DATAFS_LEASE_NONE : rnd(choice) >> rnd(choice) % 64,
		};
		int want = l.reserved ? EINVAL : l.mount_id != mount_id ? ENOENT : 0;
		int e;

		if (i == 7) {
			l.mount_id = mount_id;
			l.reserved = want = 0;
		}
		e = ioctl(device, DATAFS_IOC_LEASE, &l) ? errno : 0;
		if (e != want)
			report(false, "LEASE %u of %u, reserved %u: %s, not %s", l.mount_id,
			       mount_id, l.reserved, strerrorname_np(e), strerrorname_np(want));
	}
}

void daemon_next(uint64_t *choice)
{
	struct datafs_rep rep = { .len = sizeof(rep) };
	int old = device, fd;

	/* Others ask meanwhile, and are not heard. */
	if (rnd(choice) % 2)
		usleep(rnd(choice) % 5000);
	switch (rnd(choice) % 4) {
	case 0:		/* dies, and is followed at once */
		close(old);
		device = succeed(open_device());
		break;
	case 1:		/* dies, and for a while there is none */
		close(old);
		impostors(choice);
		usleep(rnd(choice) % 20000);
		device = succeed(open_device());
		break;
	case 2:		/* is fenced, and learns of it */
		device = succeed(open_device());
		tally.fenced++;
		rep.id = n_pending ? ((struct datafs_req *)pending[0].req)->id : 1;
		if (write(old, &rep, sizeof(rep)) != -1 ||
		    (errno != ENOTCONN && !no_memory(errno)))
			report(false, "a fenced daemon still answers");
		close(old);
		break;
	case 3:		/* one after another, without a word */
		close(old);
		fd = succeed(open_device());
		device = succeed(open_device());
		close(fd);
		break;
	}
	serve_died();
	if (rnd(choice) % 3 == 0)
		held(choice);
	if (mount_id)
		leases(choice);
	register_all();
}

static pthread_barrier_t both;

static void *follower(void *arg)
{
	int fd = *(int *)arg;

	pthread_barrier_wait(&both);
	succeed(fd);
	return NULL;
}

ssize_t daemon_fenced_at(const void *batch, size_t len, bool *fenced)
{
	int next = open_device(), old = device, error;
	pthread_t thread;
	ssize_t n;

	pthread_barrier_init(&both, NULL, 2);
	*fenced = !pthread_create(&thread, NULL, follower, &next);
	if (!*fenced) {
		close(next);
		return write(device, batch, len);
	}
	pthread_barrier_wait(&both);
	n = write(old, batch, len);
	error = errno;
	pthread_join(thread, NULL);
	close(old);
	device = next;
	tally.fenced++;
	register_all();
	errno = error;
	return n;
}
