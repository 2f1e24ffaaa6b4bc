// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a budget costs that a program is over, and nothing can be freed: guest part.
 *
 * "NAME/before", "/over", "/after": all that the machine took, ticks and kernel
 * threads included, for a program that works without a budget, with one that it
 * is over, and without again. "NAME/attempts" is how often reclaim was tried,
 * "NAME/freed" what came of it.
 */
#include "bench.h"

#define POPULATED	(256 * MiB)
#define TABLES		64	/* a round of faults, one table each */

/*
 * Over a budget with nothing to free. Each program holds tables that cannot be
 * freed and works on; all work is the same with the budget and without.
 */
#define HOLD_GROUP	"cost-held"

static void hold_dense(void)
{
	touch(map(place, POPULATED), POPULATED, PAGE);
}

/* What a look finds last: the only entry of each table is its last one. */
static void hold_last_entry(void)
{
	size_t len = 2048 * TABLE_SPAN;
	char *at = map_anon(len);

	if (!at)
		die("mmap");
	touch(at + TABLE_SPAN - PAGE, len - TABLE_SPAN + PAGE, TABLE_SPAN);
}

static void work_grow(int rounds)
{
	char *at = place + POPULATED;
	size_t len = 32 * TABLE_SPAN;

	while (rounds--) {
		map(at, len);
		touch(at, len, PAGE);
		munmap(at, len);
	}
}

/* No table is made, none becomes empty, but there is always an unmapping. */
static void work_purge(int rounds)
{
	size_t i;

	while (rounds--) {
		for (i = 0; i < POPULATED; i += PIECE) {
			discard(place + i, PIECE);
			touch(place + i, PIECE, PAGE);
		}
	}
}

static void work_sparse(int rounds)
{
	char *at = place + POPULATED;
	size_t len = TABLES * TABLE_SPAN;

	while (rounds--) {
		map(at, len);
		touch(at, len, TABLE_SPAN);
		munmap(at, len);
	}
}

static void work_fork(int rounds)
{
	pid_t pid;

	while (rounds--) {
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
	}
}

static const struct held {
	const char *name;
	void (*hold)(void);
	void (*work)(int rounds);
	int rounds;		/* a second or so */
} helds[] = {
	{ "dense-grow",		hold_dense,		work_grow,	16 },
	{ "dense-purge",	hold_dense,		work_purge,	4 },
	{ "dense-fork",		hold_dense,		work_fork,	40 },
	{ "last-entry-grow",	hold_last_entry,	work_grow,	16 },
	{ "last-entry-sparse",	hold_last_entry,	work_sparse,	1600 },
};

static uint64_t timed(const struct held *h)
{
	uint64_t t0 = instructions();

	h->work(h->rounds);
	return instructions() - t0;
}

static void held(const char *name)
{
	const struct held *h = helds;
	uint64_t before, over, after;
	long freed, events;

	while (strcmp(h->name, name))
		h++;
	h->hold();
	h->work(2);
	before = timed(h);

	/* nothing is to be freed: what had been emptied is not the question here */
	if (pt_reclaim(HOLD_GROUP, "max"))
		die("pt_reclaim");
	freed = vmstat("ptfree");
	events = pt_event(HOLD_GROUP, "high", false);
	if (pt_limit(HOLD_GROUP, PT_HIGH, 64 * KiB))
		die("pt.high");
	over = timed(h);
	freed = vmstat("ptfree") - freed;
	events = pt_event(HOLD_GROUP, "high", false) - events;
	if (pt_current(HOLD_GROUP) <= 64 * (long)KiB || events < 1) {
		errno = ERANGE;
		die("the program was not over its budget");
	}
	if (pt_limit(HOLD_GROUP, PT_HIGH, NO_LIMIT))
		die("pt.high");
	after = timed(h);
	figure(before, "%s/before", name);
	figure(over, "%s/over", name);
	figure(after, "%s/after", name);
	figure(events, "%s/attempts", name);
	figure(freed, "%s/freed", name);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;	/* for a closer look */
	unsigned int i;

	bench_start_counting(argv);
	if (!have_pt()) {
		puts("cannot held");
		return bench_end();
	}
	if (write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
	for (i = 0; i < ARRAY_SIZE(helds); i++) {
		if (only && strcmp(only, helds[i].name))
			continue;
		if (cg_make(HOLD_GROUP))
			die("cannot make a group");
		in_group(HOLD_GROUP, held, helds[i].name);
		if (cg_clear(HOLD_GROUP))
			die("cannot remove a group");
	}
	return bench_end();
}
