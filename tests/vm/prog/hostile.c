// SPDX-License-Identifier: Apache-2.0
/*
 * hostile DIR SLABDIR: a daemon that answers in all wrong ways. DIR is an empty
 * directory to mount on, SLABDIR has direct I/O. In the environment: SEED; REPLIES,
 * how many bad answers are given; WAYS=N, only every Nth way to spoil an answer is
 * looked at by itself; FAULTS=1, allocations of the daemon and of the callers fail as
 * debugfs was told before.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "hostile/hostile.h"

struct shared *shared;
uint64_t seed;
bool faults;
const char *mount_dir;

static const char *const op_name[] = DATAFS_OP_NAMES;
static uint64_t choice;			/* of what happens between answers */

bool report(bool good, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ok(good, "%s", text);
}

bool no_memory(int e)
{
	/* A page of this process may be wanted by the kernel, and not be there. */
	return faults && (e == ENOMEM || e == EFAULT);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

void knob(const char *name, const char *value)
{
	char file[100];
	int fd;

	snprintf(file, sizeof(file), "/sys/fs/datafs/%u/%s", mount_id, name);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if ((fd < 0 || write(fd, value, strlen(value)) < 0) && !faults)
		die("%s: %m", file);
	close(fd);
}

uint64_t mount_counter(const char *name)
{
	char file[100], text[30] = "";
	int fd;

	snprintf(file, sizeof(file), "/sys/fs/datafs/%u/stats/%s", mount_id, name);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		die("%s: %m", file);
	close(fd);
	return strtoull(text, NULL, 10);
}

static void mount_all(void)
{
	struct datafs_req *r;
	static struct draft d;
	int status;
	pid_t pid = fork();

	if (!pid) {
		close_range(3, ~0u, 0);
		/* By a lie there may be devices in it. */
		_exit(mount("/hostile/source", mount_dir, "datafs", MS_NODEV | MS_NOSUID,
			    "instance=" INSTANCE) ? errno : 0);
	}
	r = serve_next(20000);
	if (!r || r->opcode != DATAFS_OP_MOUNT)
		die("no MOUNT came");
	mount_id = r->mount_id;
	tree_answer(r, &d, &choice);
	d.head.len = sizeof(d.head) + d.len;
	serve_send(&d);
	if (waitpid(pid, &status, 0) != pid || status)
		die("mount: status %x", status);
}

/* What may happen at any time; programs notice nothing of it. */
static void between(void)
{
	uint64_t what = rnd(&choice);

	if (what % 300 == 0)
		daemon_next(&choice);
	if (what % 100 == 1)
		take_back(tree_ino(rnd(&choice) % n_nodes, shared->generation), 0, 0);
}

static void hostile_phase(uint64_t until)
{
	static const char *const ms[] = { "0", "20", "4294967295" };
	uint64_t start = now_ms(), watched = start;

	hostile = true;
	knob("attr_max_ms", ms[rnd(&choice) % 3]);
	knob("entry_max_ms", ms[rnd(&choice) % 3]);
	callers_order(RUN);
	while (tally.total < until) {
		fail_allocations(true);
		serve(20);
		between();
		if (rnd(&choice) % 150 == 0)
			callers_kill(rnd(&choice) % CALLERS);
		if (now_ms() - watched > 1000) {
			callers_watch();
			watched = now_ms();
		}
	}
	hostile = false;
	tally.hostile_ms += now_ms() - start;
	fail_allocations(false);
}

/*
 * The same mount, with all that was believed of it. Every name leads to an inode
 * that is new, but for the root, and every file has another content.
 */
static void good_phase(void)
{
	unsigned int i, wrong = 0;
	uint64_t checks = 0;

	callers_order(REST);
	while (!callers_obeyed()) {
		serve(5);
		callers_watch();
	}
	shared->generation++;
	for (i = 0; i < n_nodes; i++)
		shared->content[i]++;
	/* Some lies were to be believed for ever: until now, or not for much longer. */
	knob("attr_max_ms", rnd(&choice) % 2 ? "0" : "20");
	knob("entry_max_ms", rnd(&choice) % 2 ? "0" : "20");
	usleep(50000);
	callers_order(CHECK);
	while (!callers_obeyed()) {
		serve(5);
		between();
		callers_watch();
	}
	for (i = 0; i < CALLERS; i++) {
		struct caller *c = &shared->caller[i];

		if (c->wrong && wrong < 5)
			printf("# caller %u: %u of %u wrong; %s\n", i, c->wrong, c->checks, c->what);
		wrong += c->wrong;
		checks += c->checks;
		c->wrong = c->checks = 0;
	}
	tally.checks += checks;
	tally.good_phases++;
	if (wrong)
		report(false, "after %llu bad answers it recovers (%u of %llu checks are wrong)",
		       (unsigned long long)tally.total, wrong, (unsigned long long)checks);
}

static void unmount_all(void)
{
	uint64_t until = now_ms() + 60000;
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(umount(mount_dir) ? errno : 0);
	while (waitpid(pid, &status, WNOHANG) != pid && now_ms() < until)
		serve(5);
	report(!status, "unmount");
	while ((revokes_open() || n_pending) && now_ms() < until)
		serve(5);
	report(!revokes_open(), "a REVOKE_DONE for each of %llu REVOKEs",
	       (unsigned long long)tally.revokes);
}

static void counts(uint64_t ms)
{
	static const char *const kinds[KINDS] = { "breach", "lie", "framing", "no request" };
	unsigned int op, k;

	printf("# %-12s %9s %9s %8s %8s", "opcode", "requests", "right", "outlived", "unread");
	for (k = 0; k < KINDS; k++)
		printf(" %10s", kinds[k]);
	printf("\n");
	for (op = 1; op < DATAFS_OP_NR; op++) {
		uint64_t bad = 0;

		printf("# %-12s %9llu %9llu %8llu %8llu", op_name[op],
		       (unsigned long long)tally.requests[op], (unsigned long long)tally.right[op],
		       (unsigned long long)tally.outlived[op][0],
		       (unsigned long long)tally.outlived[op][1]);
		for (k = 0; k < KINDS; k++) {
			printf(" %10llu", (unsigned long long)tally.bad[op][k]);
			bad += tally.bad[op][k];
		}
		printf("\n");
		report(bad * 5000 >= tally.total || faults, "%s: %llu bad answers", op_name[op],
		       (unsigned long long)bad);
	}
	printf("# %llu deaths (%llu fenced), %llu requests sent again, %llu writes cut, %llu revokes, %llu killed, %llu ms, %llu hostile\n",
	       (unsigned long long)tally.deaths, (unsigned long long)tally.fenced,
	       (unsigned long long)tally.resent, (unsigned long long)tally.cut_writes,
	       (unsigned long long)tally.revokes, (unsigned long long)tally.kills,
	       (unsigned long long)ms, (unsigned long long)tally.hostile_ms);
	report(tally.strays * 3 <= tally.total || faults, "%llu bad answers, of which %llu to no request",
	       (unsigned long long)tally.total, (unsigned long long)tally.strays);
	report(tally.checks > 0, "%llu phases in which it behaved well, with %llu checks",
	       (unsigned long long)tally.good_phases, (unsigned long long)tally.checks);
	report(!tally.unmarked, "what is sent again says so (%llu do not)",
	       (unsigned long long)tally.unmarked);
	report(!tally.missing, "what was read and not answered comes again (%llu did not)",
	       (unsigned long long)tally.missing);
	report(!tally.again, "what was answered does not (%llu did)",
	       (unsigned long long)tally.again);
	report(!tally.done_twice, "one REVOKE_DONE for a REVOKE (%llu more)",
	       (unsigned long long)tally.done_twice);
	report(!tally.miscut, "a write is consumed up to what breaks it (%llu are not)",
	       (unsigned long long)tally.miscut);
}

int main(int argc, char **argv)
{
	uint64_t target = getenv("REPLIES") ? parse_size(getenv("REPLIES")) : 20000;
	uint64_t segment = target / 8, start;
	char other[] = "/tmp/hostile-walkXXXXXX";
	unsigned int i;

	if (argc != 3)
		die("usage: hostile DIR SLABDIR");
	mount_dir = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	seed = parse_seed(getenv("SEED"));
	choice = mix(seed);
	faults = getenv("FAULTS");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED || !mkdtemp(other))
		die("no memory");
	for (i = 0; i < NODES; i++)
		shared->content[i] = 10;
	shared->order = REST;
	tree_init(argv[2]);
	serve_init();
	daemon_first();
	mount_all();
	start = now_ms();
	walk(other, getenv("WAYS") ? parse_size(getenv("WAYS")) : 1);
	rmdir(other);
	callers_start();
	good_phase();
	report(!failures, "a daemon that behaves well is served well");
	/* Not too many phases in which nothing bad is done. */
	segment = segment < 2000 ? 2000 : segment > 50000 ? 50000 : segment;
	while (tally.total < target) {
		hostile_phase(tally.total + segment < target ? tally.total + segment : target);
		good_phase();
		if (tally.good_phases % 10 == 0)
			printf("# %llu bad answers in %llu ms\n", (unsigned long long)tally.total,
			       (unsigned long long)(now_ms() - start));
	}
	report(tally.total >= target, "%llu bad answers were wanted", (unsigned long long)target);
	callers_end();
	unmount_all();
	counts(now_ms() - start);
	printf("# %d failed\n", failures);
	return !!failures;
}
