// SPDX-License-Identifier: GPL-2.0-only
/*
 * What counting page tables per cgroup, and budgets for them, cost: guest part.
 *
 * Runs in a machine of `scripts/vm --icount`, where an instruction takes a
 * nanosecond, on a kernel with and one without the patches. The host script
 * bench/cgcost starts it, compares the two, and says what each figure may be.
 *
 * A figure is one line: "cost CASE WORK UNITS INSTRUCTIONS", where INSTRUCTIONS
 * is what a round of so many UNITS (faults, tables, pages, forks) took in the
 * lower quartile of many rounds. A round is shorter than the 4 ms between two
 * ticks where that can be; those without a tick take the same to the last
 * instruction, and they are the lower quartile, while at times not the median.
 * Only fork is longer, and has five ticks in each round.
 *
 * "held WORK BEFORE OVER AFTER EVENTS" is a program that works with a budget it
 * is over, and before and after that without: all of it, ticks and kernel
 * threads included.
 */
#include "../tests/cg.h"

#include <spawn.h>
#include <sys/personality.h>

#define TABLES		64	/* a round of faults, one table each */
#define POPULATED	(256 * MiB)
#define PIECE		(64 * KiB)
#define ROUNDS_MAX	512

static uint64_t instructions(void)
{
#ifdef __x86_64__
	/* the counter itself: no calibration by the kernel that could be off */
	return __builtin_ia32_rdtsc();
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
#endif
}

/* Is this machine one that counts instructions? */
static bool counts_instructions(void)
{
	unsigned long loops = 4000000, i;
	uint64_t t0 = instructions(), t;

	for (i = 0; i < loops; i++)
		asm volatile("" ::: "memory");
	t = instructions() - t0;
	/* two or three in a loop, and the ticks */
	return t > 2 * loops * 99 / 100 && t < 3 * loops * 110 / 100;
}

static void die(const char *what)
{
	printf("bench-error %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* Rounds of one kind of work */
struct series {
	const char *work;
	long units;		/* in a round */
	int nr;
	uint64_t taken[ROUNDS_MAX];
};

static void series_add(struct series *s, uint64_t t0)
{
	if (s->nr < ROUNDS_MAX)
		s->taken[s->nr++] = instructions() - t0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The first quarter is to warm up: lists of free pages, slabs, stocks of charges. */
static void series_print(struct series *s, const char *name)
{
	int warm = s->nr / 4, n = s->nr - warm;
	uint64_t *taken = s->taken + warm;

	qsort(taken, n, sizeof(*taken), compare);
	printf("cost %s %s %ld %lu\n", name, s->work, s->units,
	       (unsigned long)taken[n / 4]);
}

static char *map(char *at, size_t len)
{
	char *p = map_at(at, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!p)
		die("mmap");
	return p;
}

/*
 * Where the rounds map: in one PMD table, which a page at its end keeps, so
 * that a round makes and frees PTE tables and no others.
 */
static char *place;

static void make_place(void)
{
	place = reserve(PMD_SPAN);
	if (!place)
		die("no room");
	*(volatile char *)map(place + PMD_SPAN - PAGE, PAGE) = 1;
}

static void discard(char *at, size_t len)
{
	if (madvise(at, len, MADV_DONTNEED))
		die("madvise");
}

static void touch(char *at, size_t len, size_t step)
{
	size_t i;

	for (i = 0; i < len; i += step)
		*(volatile char *)(at + i) = 1;
}

static void cost_tables(const char *name, int rounds)
{
	struct series fault = { "fault-table", TABLES };
	struct series unmap = { "munmap-table", TABLES };
	struct series purge = { "madvise-table", TABLES };
	size_t len = TABLES * TABLE_SPAN;
	uint64_t t0;
	int i;

	for (i = 0; i < rounds; i++) {
		map(place, len);
		t0 = instructions();
		touch(place, len, TABLE_SPAN);
		series_add(&fault, t0);
		t0 = instructions();
		munmap(place, len);
		series_add(&unmap, t0);
	}
	for (i = 0; i < rounds; i++) {
		map(place, len);
		touch(place, len, TABLE_SPAN);
		t0 = instructions();
		discard(place, len);
		series_add(&purge, t0);
		munmap(place, len);
	}
	series_print(&fault, name);
	series_print(&unmap, name);
	series_print(&purge, name);
}

static void cost_pages(const char *name, int rounds)
{
	struct series fault = { "fault-page", TABLE_SPAN / PAGE };
	struct series purge = { "madvise-page", TABLE_SPAN / PAGE };
	uint64_t t0;
	int i;

	for (i = 0; i < rounds; i++) {
		map(place, TABLE_SPAN);
		t0 = instructions();
		touch(place, TABLE_SPAN, PAGE);
		series_add(&fault, t0);
		t0 = instructions();
		discard(place, TABLE_SPAN);
		series_add(&purge, t0);
		munmap(place, TABLE_SPAN);
	}
	series_print(&fault, name);
	series_print(&purge, name);
}

static void cost_fork(const char *name, int rounds)
{
	struct series s = { "fork-exit", 1 };
	uint64_t t0;
	pid_t pid;
	int i;

	map(place, POPULATED);
	touch(place, POPULATED, PAGE);
	for (i = 0; i < rounds; i++) {
		t0 = instructions();
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
		series_add(&s, t0);
	}
	munmap(place, POPULATED);
	series_print(&s, name);
}

static void cost_exec(const char *name, int rounds)
{
	char *args[] = { "cgcost", "--nothing", NULL }, *env[] = { NULL };
	struct series s = { "exec-exit", 1 };
	uint64_t t0;
	pid_t pid;
	int i;

	for (i = 0; i < rounds; i++) {
		t0 = instructions();
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, env) ||
		    waitpid(pid, NULL, 0) != pid)
			die("exec");
		series_add(&s, t0);
	}
	series_print(&s, name);
}

/* Run @what in a process of its own, in @group. */
static void in_group(const char *group, void (*what)(const char *arg), const char *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		if (*group && cg_enter(group, 0))
			die("cannot enter the group");
		make_place();
		what(arg);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("a measurement failed");
}

static void costs(const char *name)
{
	cost_tables(name, 80);
	cost_pages(name, 48);
	cost_fork(name, 12);
	cost_exec(name, 480);
}

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
	printf("held %s %lu %lu %lu %ld %ld\n", name, (unsigned long)before,
	       (unsigned long)over, (unsigned long)after, events, freed);
}

/* Groups nested to @depth below the root; the path of the innermost. */
static const char *nested(int depth)
{
	static char path[128];
	int i;

	*path = '\0';
	for (i = 1; i <= depth; i++) {
		sprintf(path + strlen(path), "%scost%d", i > 1 ? "/" : "", i);
		if (i < depth ? cg_make_parent(path) : cg_make(path))
			die("cannot make a group");
	}
	return path;
}

static void all_costs(void)
{
	static const int depths[] = { 0, 1, 4 };
	const char *group;
	char name[64];
	int i, budget;

	for (budget = 0; budget <= have_pt(); budget++) {
		for (i = 0; i < 3; i++) {
			/*
			 * There is a group with the root, too: the first one on a
			 * machine switches the charging of kernel memory on. The
			 * budget is its then, since the root has none.
			 */
			group = nested(depths[i] ?: 1);
			if (budget && pt_limit(group, PT_MAX, 10 * GiB))
				die("pt.max");
			group = nested(depths[i]);
			snprintf(name, sizeof(name), "%d-%s", depths[i],
				 budget ? "budget" : "none");
			in_group(group, costs, name);
			if (cg_clear("cost1"))
				die("cannot remove the groups");
		}
	}
}

int main(int argc, char **argv)
{
	const char *only = NULL;	/* for a closer look at one of helds[] */
	unsigned int i;

	if (argc > 1) {
		if (!strcmp(argv[1], "--nothing"))
			return 0;
		only = argv[1];
	}
	/* The same addresses each time: no luck with where things lie. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", argv);
		die("exec");
	}
	if (!counts_instructions()) {
		printf("bench-error not a machine that counts instructions\n");
		return 1;
	}
	stay_on_cpu(0);
	thp_allow(false);
	if (!is_stock() && write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
	if (!have_memcg())
		die("no memory controller");
	printf("kernel %s\n", have_pt() ? "ptfree" : "stock");

	if (!only)
		all_costs();
	if (have_pt()) {
		for (i = 0; i < sizeof(helds) / sizeof(*helds); i++) {
			if (only && strcmp(only, helds[i].name))
				continue;
			if (cg_make(HOLD_GROUP))
				die("cannot make a group");
			in_group(HOLD_GROUP, held, helds[i].name);
			if (cg_clear(HOLD_GROUP))
				die("cannot remove a group");
		}
	}
	common_teardown();
	printf("bench-end\n");
	return 0;
}
