// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who wins: freept=off, a request, a budget, memory pressure, vm.freept, the
 * choice of a process, the hint of a range, the budget of its cgroup. One line of
 * TAP for each combination.
 *
 * For each combination of choice, hint and budget there is a process with two
 * lots of empty tables: HINTED lie in a range that has the hint, if it is to have
 * one, and BESIDE do not. They differ in number, so that the fall of VmPTE tells
 * which of them are gone. In each mode of vm.freept all these processes are left
 * to the background, and then, with the background too slow to matter, to each of
 * those who win over everything.
 *
 * That empties stay is said when witnesses, that are cleaned by the background
 * under the same settings, have lost theirs several times over.
 */
#include "cgbudget.h"
#include "switches.h"

#define HINTED		64L
#define BESIDE		24L
#define TABLES		(HINTED + BESIDE)

#define DELAY		20L
#define HOUR		3600000L
#define WHO		"whowins"
/* Tables of the process itself, its stack for one, that may come and go. */
#define SLACK		4L
#define ROUNDS		3	/* in which witnesses have lost their empties */

enum range { NO_HINT, FREEPT, NOFREEPT, NR_RANGES };
static const char * const range_name[] = { "no hint", "MADV_FREEPT", "MADV_NOFREEPT" };

enum budget { NO_BUDGET, OWN_MAX, OWN_HIGH, OF_PARENT, NR_BUDGETS };
static const char * const budget_name[] = {
	"no budget", "memory.pt.max", "memory.pt.high", "memory.pt.max of the parent",
};
static const char * const group[] = {
	WHO "/none", WHO "/max", WHO "/high", WHO "/parent/below",
};

static const char * const choice_name[] = { "default", "ENABLE", "DISABLE" };
#define NR_CHOICES	3

/* One process. The groups of a budget have it in `parent` for OF_PARENT. */
struct cell {
	struct cg_child c;
	int choice;
	enum range range;
	enum budget budget;
	long empty;	/* VmPTE in kB with all the empties there */
};

#define NR_CELLS	(NR_CHOICES * NR_RANGES * NR_BUDGETS)
static struct cell cells[NR_CELLS];

/* 'S': what the cell is to set, as one number */
static long cell_orders(struct cg_child *c, struct cg_order *o)
{
	static const int advice[] = { 0, ADV_FREEPT, ADV_NOFREEPT };
	int range = o->n / NR_CHOICES, err;

	if (o->what != 'S')
		return range_orders(c, o);
	err = choose(o->n % NR_CHOICES);
	if (err || !range)
		return err;
	/* A witness has its hint everywhere, and is longer. */
	return give_advice(c->at, (c->tables > TABLES ? c->tables : HINTED) * TABLE_SPAN,
			   advice[range]);
}

/* The empties are there: whatever was freed before is filled and emptied again. */
static int make_empties(struct cell *cell)
{
	long err = cg_child_do(&cell->c, 'f', TABLES);

	err = err ?: cg_child_do(&cell->c, 'e', TABLES);
	vmpte_kb(cell->c.pid);
	cell->empty = vmpte_kb(cell->c.pid);
	return err;
}

static long gone(struct cell *cell)
{
	return (cell->empty - vmpte_kb(cell->c.pid)) / TABLE_KB;
}

static bool about(long value, long expected)
{
	return value >= expected - SLACK && value <= expected + SLACK;
}

/* The contract: does background work free in a range of a process? */
static bool in_background(int mode, int choice, enum range range, enum budget budget)
{
	if (expectation == EXPECT_OFF || mode == 0)
		return false;
	if (choice == CHOICE_DISABLE || range == NOFREEPT)
		return false;
	if (choice == CHOICE_ENABLE || range == FREEPT || budget != NO_BUDGET)
		return true;
	return mode == 2;
}

static long expected_in_background(int mode, const struct cell *cell)
{
	long n = 0;

	if (in_background(mode, cell->choice, cell->range, cell->budget))
		n += HINTED;
	if (in_background(mode, cell->choice, NO_HINT, cell->budget))
		n += BESIDE;
	return n;
}

static const char *lots(long n)
{
	if (about(n, 0))
		return "nothing";
	if (about(n, HINTED))
		return "the range";
	if (about(n, BESIDE))
		return "what lies beside it";
	return about(n, TABLES) ? "all" : "something else";
}

static void verdict(struct cell *cell, int mode, const char *who, long expected, long seen)
{
	ksft_test_result(about(seen, expected), "vm.freept=%d, PR_FREEPT %s, %s, %s: %s: %s goes\n",
			 mode, choice_name[cell->choice], range_name[cell->range],
			 budget_name[cell->budget], who, lots(expected));
	if (!about(seen, expected))
		ksft_print_msg("%ld tables of %ld and %ld are gone, %ld were to go\n", seen,
			       HINTED, BESIDE, expected);
}

static void stop(const char *what, int err)
{
	ksft_exit_fail_msg("%s: %s\n", what, strerror(err < 0 ? -err : err));
}

static void must(const char *what, int err)
{
	if (err)
		stop(what, err);
}

static void all_empty(void)
{
	int i;

	for (i = 0; i < NR_CELLS; i++)
		must("a child cannot make its empties", make_empties(&cells[i]));
}

/* Wait until in each cell what is expected is gone, at most @ms. */
static void wait_for_all(const long *expected, long ms)
{
	long end = now_ms() + ms;
	int i;

	for (i = 0; i < NR_CELLS; i++)
		while (gone(&cells[i]) < expected[i] - SLACK && now_ms() < end)
			nap_ms(10);
}

static void all_verdicts(int mode, const char *who, const long *expected)
{
	int i;

	for (i = 0; i < NR_CELLS; i++)
		verdict(&cells[i], mode, who, expected[i], gone(&cells[i]));
}

/*
 * The witnesses: one with each thing that gets a process cleaned in mode 1. They
 * are sleepers as the others are, and have their empties in another place each
 * time: who fills again what was freed is left alone for a while.
 */
static struct cell witnesses[] = {
	{ .choice = CHOICE_ENABLE, .range = NO_HINT, .budget = NO_BUDGET },
	{ .choice = CHOICE_DEFAULT, .range = FREEPT, .budget = NO_BUDGET },
	{ .choice = CHOICE_DEFAULT, .range = NO_HINT, .budget = OWN_MAX },
};

static void start(struct cell *cell, long tables)
{
	cell->c.extra = cell_orders;
	must("cannot start a child", cg_child_start(&cell->c, group[cell->budget], tables));
	must("a child cannot set its choice",
	     cg_child_do(&cell->c, 'S', cell->range * NR_CHOICES + cell->choice));
}

static long witness_loses(const struct cell *w, int mode)
{
	if (in_background(mode, w->choice, w->range, w->budget))
		return TABLES;
	return 0;
}

/* Several laps have gone by, for all: or a second, where none does. */
static void let_witnesses_lose(int mode)
{
	size_t i, j;

	if (!mode || expectation == EXPECT_OFF) {
		nap_ms(1000);
		return;
	}
	for (i = 0; i < ROUNDS; i++)
		for (j = 0; j < ARRAY_SIZE(witnesses); j++) {
			struct cell *w = &witnesses[j];
			long end = now_ms() + CLEAN_MS, place = RANGE(i * TABLES, TABLES);

			must("a witness cannot fill", cg_child_do(&w->c, 'F', place));
			w->empty = vmpte_kb(w->c.pid);
			must("a witness cannot empty", cg_child_do(&w->c, 'E', place));
			while (gone(w) < witness_loses(w, mode) - SLACK) {
				if (now_ms() > end)
					stop("a witness was not cleaned", ETIMEDOUT);
				nap_ms(5);
			}
		}
}

static void background(int mode)
{
	long expected[NR_CELLS];
	int i;

	must("vm.freept", scanner(0, DELAY, 65536));
	all_empty();
	must("vm.freept", scanner(mode, DELAY, 65536));
	for (i = 0; i < NR_CELLS; i++)
		expected[i] = expected_in_background(mode, &cells[i]);
	wait_for_all(expected, CLEAN_MS);
	let_witnesses_lose(mode);
	all_verdicts(mode, "background", expected);
}

/* The mode is in force, but its next look is an hour away. */
static void quiet_background(int mode)
{
	must("vm.freept", scanner(mode, HOUR, 65536));
	/* The change of the settings itself brings one. */
	nap_ms(200 * scale);
	all_empty();
}

static long expected_always(void)
{
	return expectation == EXPECT_OFF ? 0 : TABLES;
}

static void request(int mode)
{
	int i;

	quiet_background(mode);
	for (i = 0; i < NR_CELLS; i++) {
		struct cg_child *c = &cells[i].c;
		size_t len = TABLES * TABLE_SPAN;
		long was = gone(&cells[i]), ret;

		ret = advise_process(c->pid, c->at, len, ADV_PT_RECLAIM);
		if (ret != (expectation == EXPECT_OFF ? -EOPNOTSUPP : (long)len) || !about(was, 0))
			ksft_print_msg("MADV_PT_RECLAIM: %ld; %ld tables were gone before\n", ret,
				       was);
		verdict(&cells[i], mode, "MADV_PT_RECLAIM", expected_always(),
			about(was, 0) ? gone(&cells[i]) : -1);
	}
}

static void always_expected(long *expected)
{
	int i;

	for (i = 0; i < NR_CELLS; i++)
		expected[i] = expected_always();
}

static void cgroup_request(int mode)
{
	long expected[NR_CELLS];
	int err;

	always_expected(expected);
	quiet_background(mode);
	err = pt_reclaim(WHO, "max");
	if (err != (expectation == EXPECT_OFF ? -EOPNOTSUPP : 0))
		ksft_print_msg("memory.pt_reclaim: %d\n", err);
	all_verdicts(mode, "memory.pt_reclaim", expected);
}

/* memory.pt.high of 0 is a budget that everybody is over, and kills nobody. */
static void over_budget(int mode)
{
	long expected[NR_CELLS];

	always_expected(expected);
	quiet_background(mode);
	must(PT_HIGH, pt_limit(WHO, PT_HIGH, 0));
	if (expectation == EXPECT_OFF)
		nap_ms(1000);
	else
		wait_for_all(expected, CLEAN_MS);
	all_verdicts(mode, "over memory.pt.high", expected);
	must(PT_HIGH, pt_limit(WHO, PT_HIGH, NO_LIMIT));
}

/* What the groups hold but for page tables is little: reclaim has to turn to those. */
static void pressure(int mode)
{
	long expected[NR_CELLS], end = now_ms() + CLEAN_MS;
	int i, left;

	always_expected(expected);
	quiet_background(mode);
	do {
		cg_write(WHO, "memory.reclaim", "4M");
		for (left = i = 0; i < NR_CELLS; i++)
			left += gone(&cells[i]) < TABLES - SLACK;
	} while (left && now_ms() < end && expectation == EXPECT_FREED);
	all_verdicts(mode, "memory.reclaim", expected);
}

static void make_groups(void)
{
	must("groups", cg_clear(WHO));
	must("groups", cg_make_parent(WHO) ?: cg_make_parent(WHO "/parent"));
	must("groups", cg_make(group[NO_BUDGET]) ?: cg_make(group[OWN_MAX]) ?:
		       cg_make(group[OWN_HIGH]) ?: cg_make(group[OF_PARENT]));
	/* Finite, and never reached. */
	must(PT_MAX, pt_limit(group[OWN_MAX], PT_MAX, GiB));
	must(PT_HIGH, pt_limit(group[OWN_HIGH], PT_HIGH, GiB));
	must(PT_MAX, pt_limit(WHO "/parent", PT_MAX, GiB));
}

static void start_all(void)
{
	size_t j;
	int i;

	for (i = 0; i < NR_CELLS; i++) {
		cells[i].choice = i % NR_CHOICES;
		cells[i].range = i / NR_CHOICES % NR_RANGES;
		cells[i].budget = i / NR_CHOICES / NR_RANGES;
		start(&cells[i], TABLES);
	}
	for (j = 0; j < ARRAY_SIZE(witnesses); j++)
		start(&witnesses[j], ROUNDS * TABLES);
}

static void end_all(void)
{
	size_t j;
	int i;

	for (i = 0; i < NR_CELLS; i++)
		cg_child_end(&cells[i].c);
	for (j = 0; j < ARRAY_SIZE(witnesses); j++)
		cg_child_end(&witnesses[j].c);
}

int main(int argc, char **argv)
{
	int err = common_setup(&argc, argv, 0, HOUR, 65536), mode;

	if (err)
		return err;
	ksft_print_header();
	if (!have_pt())
		ksft_exit_fail_msg("no memory.pt.* on this kernel\n");
	ksft_set_plan(3 * 5 * NR_CELLS);
	make_groups();
	/* New processes in each mode: what they have seen before counts. */
	for (mode = 0; mode <= 2; mode++) {
		start_all();
		background(mode);
		request(mode);
		cgroup_request(mode);
		over_budget(mode);
		pressure(mode);
		end_all();
	}
	cg_clear(WHO);
	common_teardown();
	ksft_finished();
}
