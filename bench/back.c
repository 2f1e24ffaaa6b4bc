// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the background does to programs: guest part.
 *
 * With vm.freept=2 and the default delays; an idle machine skips the time.
 *
 * "loop/MS/...": a program that touches 64 tables and gives them back, every MS
 * milliseconds for 30 s, or 360 rounds after the first 36 if that is longer:
 * instructions of its own in a round; in a second, those of kfreept; tables freed,
 * and put back soon. Where there is no background, 360 rounds tell it all.
 *
 * "idle/TABLES/...": a program with so many tables in use that unmaps nothing and
 * burns CPU for a second: tables looked at, and what that took.
 *
 * "rss/THP/...": kB resident after 256 MiB were touched and given back in pieces of
 * 64 KiB; when one page in 2 MiB was touched again 10 s later; a minute after that.
 * "rss/budget-THP/...": the same with vm.freept=1 under a memory.pt.max that the program
 * hits, since it fills and gives back others as well before the 10 s.
 */
#include "bench.h"

#include <ctype.h>

#define LOOP_TABLES	64
#define LOOP_SECONDS	30
#define LOOP_ROUNDS	360
#define IDLE_TABLES	4096
#define RSS_SIZE	(256UL * MiB)
#define RSS_OTHERS	(1024 * TABLE_SPAN)
#define BUDGET		"budget-"
#define GROUP		"bench-back"
#define LIMIT		MiB		/* 256 tables; 128 are needed */

static long own_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static void until(struct timespec *t, long ms)
{
	t->tv_nsec += ms % 1000 * 1000000;
	t->tv_sec += ms / 1000 + t->tv_nsec / 1000000000;
	t->tv_nsec %= 1000000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, t, NULL);
}

static void loop(long ms)
{
	long rounds = is_stock() ? LOOP_ROUNDS : LOOP_SECONDS * 1000 / ms;
	long own = 0, thread = 0, freed = 0, back = 0;
	long warm = rounds <= LOOP_ROUNDS ? LOOP_ROUNDS / 10 : 0;
	char *at = map_anon(LOOP_TABLES * TABLE_SPAN);
	struct timespec t;

	madvise(at, LOOP_TABLES * TABLE_SPAN, MADV_NOHUGEPAGE);
	touch(at, LOOP_TABLES * TABLE_SPAN, TABLE_SPAN);
	if (rounds < LOOP_ROUNDS)
		rounds = LOOP_ROUNDS;
	clock_gettime(CLOCK_MONOTONIC, &t);
	for (long i = -warm; i < rounds; i++) {
		if (!i) {
			freed = vmstat("ptfree");
			back = vmstat("ptrefault");
			thread = thread_ns();
			own = own_ns();
		}
		touch(at, LOOP_TABLES * TABLE_SPAN, TABLE_SPAN);
		discard(at, LOOP_TABLES * TABLE_SPAN);
		until(&t, ms);
	}
	own = own_ns() - own;
	thread = thread_ns() - thread;
	figure(rounds, "loop/%ld/rounds", ms);
	figure((double)own / rounds, "loop/%ld/own", ms);
	if (is_stock())
		return;
	figure(thread * 1000.0 / ms / rounds, "loop/%ld/thread", ms);
	figure(vmstat("ptfree") - freed, "loop/%ld/freed", ms);
	figure(vmstat("ptrefault") - back, "loop/%ld/refaults", ms);
}

static void idle(long tables)
{
	char *at = map_anon(tables * TABLE_SPAN);
	struct timespec t;
	long scanned, own, left;

	madvise(at, tables * TABLE_SPAN, MADV_NOHUGEPAGE);
	touch(at, tables * TABLE_SPAN, TABLE_SPAN);
	clock_gettime(CLOCK_MONOTONIC, &t);
	until(&t, 10000);	/* the first lap has been */
	scanned = vmstat("ptscan");
	own = own_ns();
	for (left = 300000000; left; left--)
		asm volatile("" ::: "memory");
	figure(own_ns() - own, "idle/%ld/own", tables);
	if (!is_stock())
		figure(vmstat("ptscan") - scanned, "idle/%ld/scanned", tables);
}

static void rss(const char *name)
{
	bool budget = !strncmp(name, BUDGET, strlen(BUDGET));
	const char *thp = budget ? name + strlen(BUDGET) : name;
	char *at = map_anon(RSS_SIZE), *others;
	struct timespec t;
	long before, after;

	thp_allow(true);
	if (!thp_set(thp))
		die(THP_ENABLED);
	if (!is_stock() && write_long(VM_FREEPT, budget ? 1 : 2))
		die(VM_FREEPT);
	touch(at, RSS_SIZE, PAGE);
	for (size_t i = 0; i < RSS_SIZE; i += 64 * KiB)
		discard(at + i, 64 * KiB);
	if (budget) {
		if (!is_stock() && pt_limit(GROUP, "memory.pt.max", LIMIT))
			die("memory.pt.max");
		others = map_anon(RSS_OTHERS);
		madvise(others, RSS_OTHERS, MADV_NOHUGEPAGE);
		/* a bit at a time: what is in use must not pass the limit */
		for (size_t i = 0; i < RSS_OTHERS; i += 32 * TABLE_SPAN) {
			touch_zero(others + i, 32 * TABLE_SPAN, TABLE_SPAN);
			discard(others + i, 32 * TABLE_SPAN);
		}
	}
	before = status_kb(getpid(), "VmRSS");
	clock_gettime(CLOCK_MONOTONIC, &t);
	until(&t, 10000);
	touch(at, RSS_SIZE, TABLE_SPAN);
	after = status_kb(getpid(), "VmRSS");
	until(&t, 60000);
	figure(before, "rss/%s/before", name);
	figure(after, "rss/%s/after", name);
	figure(status_kb(getpid(), "VmRSS"), "rss/%s/later", name);
}

static void one(const char *arg)
{
	if (isdigit(*arg))
		loop(atol(arg));
	else if (!strcmp(arg, "idle"))
		idle(IDLE_TABLES);
	else
		rss(arg);
}

/* Arguments: periods in ms, "idle", and settings of transparent huge pages */
int main(int argc, char **argv)
{
	bench_start_counting(argv);
	if (!is_stock() && write_long(VM_FREEPT, 2))
		die(VM_FREEPT);
	if (!have_memcg() || cg_make(GROUP))
		die("no memory controller");
	for (int i = 1; i < argc; i++) {
		in_group(strncmp(argv[i], BUDGET, strlen(BUDGET)) ? "" : GROUP, one, argv[i]);
		if (!is_stock() && pt_limit(GROUP, "memory.pt.max", NO_LIMIT))
			die("memory.pt.max");
	}
	if (cg_clear(GROUP))
		die("cannot remove the group");
	return bench_end();
}
