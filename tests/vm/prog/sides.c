// SPDX-License-Identifier: Apache-2.0
/*
 * sides serve PORT DIR
 * sides [-s SEED] [-i INSTANCE] run HOST PORT DIR ROUNDS
 *
 * One filesystem through two kernels, this one and that of HOST, where "serve" does what
 * it is told. Names in two directories are made, removed and renamed on either side, and
 * listed on either, at once and piece by piece, while the other side goes on with it:
 *
 *   - a listing shows once each name that was there from before its begin to its end, and
 *     none that was not there all the while; what has changed meanwhile no more often than
 *     it was there
 *   - whatever a listing still had of a name that is removed meanwhile: stat(2) and the
 *     next listing know that it is gone
 *   - a complete listing once more, with nothing changed, asks the daemon for nothing
 *
 * Only one that was acknowledged counts as changed. What happens follows from the seed.
 */
#define _GNU_SOURCE 1
#include <sys/stat.h>

#include "sides/side.h"

#define AT_ONCE		6u	/* changes beside a listing */
#define TRIES		5u	/* a lease may end on a busy host */

/* ------------------------------------------------------------- what is right */

/* A name. */
struct known {
	bool there;
	unsigned int changed;	/* when it was, the last time */
	unsigned int made;	/* how often */
};

/* What began, and has told so far. */
struct listing {
	bool on;
	unsigned int side, dir, room, begun;
	unsigned int seen[NAMES], made[NAMES];
	bool was[NAMES];
};

static struct known known[DIRS][NAMES];
static struct listing pending[SIDES];
static unsigned int now, listings, beside, pieces, late, none_asked, asked_again;
static uint64_t seed;

static unsigned int pick(unsigned int n)
{
	return (unsigned int)(rnd(&seed) % n);
}

static const char *side_name(unsigned int side)
{
	return side == HERE ? "here" : "there";
}

static void begin(struct listing *l, unsigned int side, unsigned int dir)
{
	static const unsigned int rooms[] = { 320, 1024, 4096, ROOM };

	*l = (struct listing) {
		.on = true, .side = side, .dir = dir, .room = rooms[pick(4)], .begun = ++now,
	};
	for (unsigned int i = 0; i < NAMES; i++) {
		l->made[i] = known[dir][i].made;
		l->was[i] = known[dir][i].there;
	}
}

static void tell(struct listing *l, const struct answer *a)
{
	if (a->err)
		broken("a listing %s of %s: %s", side_name(l->side), dirs[l->dir],
		       strerrorname_np(a->err));
	for (unsigned int i = 0; i < a->n; i++) {
		if (listed[i] == NAMES)
			broken("a listing %s of %s has a name that never was",
			       side_name(l->side), dirs[l->dir]);
		l->seen[listed[i]]++;
	}
}

static void stat_of(unsigned int side, unsigned int dir, unsigned int name)
{
	const struct request r = { .op = STAT, .dir = dir, .name = name };
	struct answer a = on(side, &r);
	char text[16];

	name_of(name, text);
	if (a.err != (known[dir][name].there ? 0 : ENOENT))
		broken("stat %s of %s/%s, which is %sthere: %s", side_name(side), dirs[dir],
		       text, known[dir][name].there ? "" : "not ",
		       a.err ? strerrorname_np(a.err) : "it is there");
}

/* It is complete. */
static void end(struct listing *l)
{
	bool changed = false;
	char text[16];

	for (unsigned int i = 0; i < NAMES; i++) {
		const struct known *k = &known[l->dir][i];
		unsigned int least = 0, most = l->was[i] + k->made - l->made[i];

		if (k->changed < l->begun)
			least = most = k->there;
		else
			changed = true;
		name_of(i, text);
		if (l->seen[i] < least || l->seen[i] > most)
			broken("a listing %s of %s has %s %u times, not %u to %u",
			       side_name(l->side), dirs[l->dir], text, l->seen[i], least, most);
	}
	l->on = false;
	listings++;
	beside += changed;
}

static void list_all(unsigned int side, unsigned int dir)
{
	static struct listing l;
	struct request r = { .op = LIST, .dir = dir };
	struct answer a;

	begin(&l, side, dir);
	r.room = l.room;
	a = on(side, &r);
	tell(&l, &a);
	end(&l);
}

/* ------------------------------------------------------------- what happens */

static unsigned int some_name(void)
{
	return STAY + pick(COME);
}

/* A change, and what it is to be answered; what is known is as after it. */
static struct request some_change(int *err)
{
	struct request r = { pick(3), pick(DIRS), some_name(), pick(DIRS), some_name(), 0 };
	struct known *k = &known[r.dir][r.name], *to = &known[r.to_dir][r.to_name];

	*err = 0;
	if (r.op == MAKE ? k->there : !k->there) {
		/* mostly one that can be made */
		if (pick(8))
			r.op = k->there ? REMOVE : MAKE;
		else
			*err = k->there ? EEXIST : ENOENT;
	}
	if (*err || (r.op == RENAME && k == to))
		return r;
	k->there = r.op == MAKE;
	k->made += r.op == MAKE;
	k->changed = ++now;
	/* one that is replaced stays where it was */
	if (r.op == RENAME && !to->there) {
		to->there = true;
		to->made++;
		to->changed = now;
	}
	return r;
}

static void is_done(unsigned int side, const struct request *r, int want, int err)
{
	static const char *const ops[] = { "mkdir", "rmdir", "rename" };
	char text[16];

	name_of(r->name, text);
	if (err != want)
		broken("%s %s of %s/%s: %d, not %d", ops[r->op], side_name(side), dirs[r->dir],
		       text, err, want);
}

static void change(unsigned int side)
{
	int want;
	struct request r = some_change(&want);

	is_done(side, &r, want, on(side, &r).err);
}

/* A listing on one side, or a piece of it (@r), while the other one changes names. */
static void both(struct listing *l, struct request *r)
{
	struct request c[AT_ONCE];
	unsigned int n = 1 + pick(AT_ONCE);
	struct answer a;
	int want[AT_ONCE];

	r->room = l->room;
	if (l->side == THERE)
		there_begin(r);
	for (unsigned int i = 0; i < n; i++) {
		c[i] = some_change(&want[i]);
		if (l->side == THERE)
			is_done(HERE, &c[i], want[i], on(HERE, &c[i]).err);
		else
			there_begin(&c[i]);
	}
	if (l->side == THERE) {
		a = there_end();
		tell(l, &a);
		return;
	}
	act(r, &a);
	tell(l, &a);
	for (unsigned int i = 0; i < n; i++)
		is_done(THERE, &c[i], want[i], there_end().err);
}

static void list_beside(unsigned int side, unsigned int dir)
{
	static struct listing l;
	struct request r = { .op = LIST, .dir = dir };

	begin(&l, side, dir);
	both(&l, &r);
	end(&l);
}

/* What it has told of names that changed meanwhile, or was about to, is not believed. */
static void end_late(struct listing *l)
{
	unsigned int side = l->side, dir = l->dir;

	end(l);
	for (unsigned int i = STAY; i < NAMES; i++)
		if (known[dir][i].changed >= l->begun) {
			stat_of(side, dir, i);
			late++;
		}
	list_all(side, dir);
}

static unsigned int seen_by(const struct listing *l)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NAMES; i++)
		n += l->seen[i];
	return n;
}

/* A piece of a listing that takes its time. */
static void list_piece(unsigned int side)
{
	struct listing *l = &pending[side];
	struct request r = { .op = NEXT };
	unsigned int before;
	struct answer a;

	if (!l->on || !pick(40)) {
		begin(l, side, pick(4) ? LARGE : FEW);
		r.op = BEGIN;
	}
	r.dir = l->dir;
	r.room = l->room;
	before = seen_by(l);
	if (pick(2)) {
		both(l, &r);
	} else {
		a = on(side, &r);
		tell(l, &a);
	}
	pieces++;
	if (seen_by(l) == before)
		end_late(l);
}

static uint64_t asked(unsigned int side)
{
	const struct request r = { .op = UPCALLS };
	struct answer a = on(side, &r);

	if (a.err)
		broken("no statistics %s", side_name(side));
	return a.value;
}

/* If the lease ended meanwhile it is asked for once more, and that is counted. */
static void nothing_asked(unsigned int side, unsigned int dir)
{
	uint64_t before = 0, after = 1;

	for (unsigned int i = 0; i < TRIES && before != after; i++) {
		asked_again += i > 0;
		list_all(side, dir);
		list_all(side, dir);
		before = asked(side);
		list_all(side, dir);
		after = asked(side);
	}
	if (before != after)
		broken("%s listed %s again and again: %llu upcalls", dirs[dir], side_name(side),
		       (unsigned long long)(after - before));
	none_asked++;
}

static void make_all(void)
{
	struct request r = { .op = MAKE };
	char path[4200];

	for (r.dir = 0; r.dir < DIRS; r.dir++) {
		snprintf(path, sizeof(path), "%s/%s", top, dirs[r.dir]);
		if (mkdir(path, 0755))
			broken("%s: %m", path);
		for (r.name = 0; r.name < (r.dir == LARGE ? STAY : 3); r.name++) {
			/* some from either side */
			if (on(r.name % 64 ? HERE : THERE, &r).err)
				broken("%s cannot be filled", path);
			known[r.dir][r.name].there = true;
			known[r.dir][r.name].made = 1;
		}
	}
}

static void one_round(void)
{
	unsigned int side = pick(SIDES);

	switch (pick(12)) {
	case 0:
		list_all(side, pick(DIRS));
		break;
	case 1:
	case 2:
		list_beside(side, pick(DIRS));
		break;
	case 3:
	case 4:
	case 5:
		for (unsigned int i = 1 + pick(8); i; i--)
			list_piece(side);
		break;
	case 6:
		stat_of(side, pick(DIRS), some_name());
		break;
	default:
		change(side);
	}
}

static int run(unsigned int rounds)
{
	make_all();
	for (unsigned int i = 0; i < rounds; i++) {
		one_round();
		if (i % 100 == 99) {
			nothing_asked(HERE, i / 100 % DIRS);
			nothing_asked(THERE, i / 100 % DIRS);
			printf("# round %u\n", i + 1);
			fflush(stdout);
		}
	}
	/* or nothing was seen of what this is for */
	ok(listings > rounds / 10 && beside, "%u listings, %u while names changed: each has what it must",
	   listings, beside);
	ok(late, "%u pieces; of %u names that changed meanwhile none is there again", pieces, late);
	ok(none_asked, "%u listings once more asked for nothing (%u at a second try)", none_asked,
	   asked_again);
	return failures != 0;
}

int main(int argc, char **argv)
{
	const char *given = NULL;
	int c;

	while ((c = getopt(argc, argv, "s:i:")) != -1) {
		if (c == 's')
			given = optarg;
		else if (c == 'i')
			instance = optarg;
		else
			return 2;
	}
	argv += optind;
	argc -= optind;
	if (argc == 3 && !strcmp(*argv, "serve")) {
		top = argv[2];
		return serve((unsigned int)strtoul(argv[1], NULL, 0));
	}
	if (argc != 5 || strcmp(*argv, "run"))
		die("usage: sides serve PORT DIR | sides [-s SEED] [-i INSTANCE] run HOST PORT DIR ROUNDS");
	seed = parse_seed(given);
	top = argv[3];
	/* it says only that somebody hangs */
	alarm(1200);
	connect_to(argv[1], (unsigned int)strtoul(argv[2], NULL, 0));
	return run((unsigned int)strtoul(argv[4], NULL, 0));
}
