/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process that stays outside of torture.c: it gets the machine ready, watches,
 * and tells how it went, and whether all page tables came back in the end.
 */
#ifndef PTFREE_TESTS_TORTURE_WATCH_H
#define PTFREE_TESTS_TORTURE_WATCH_H

#include "torture_list.h"

#define WINDOWS		"/sys/kernel/debug/freept/windows"
#define WINDOW_DELAY	"/sys/kernel/debug/freept/delay_us"
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define MM		"/sys/kernel/mm/"

/*
 * Race windows, as mm/freept_debug.c names them; and that in which what was seen
 * before has to have changed now and then, or nobody was there to race with. In the
 * others it has once in hundreds of stays, which is nothing to ask of a minute.
 */
static const struct {
	const char *name;
	bool changes;
} windows[] = {
	{ "found", false }, { "unmarked", false }, { "empty", false }, { "looked", true },
	{ "unlinked", false }, { "flushed", false }, { "removed", false }, { "walker", false },
};
#define NR_WINDOWS	ARRAY_SIZE(windows)

static long tables_before;	/* of the machine */
static bool only;	/* some operations: others than these are no failure */
static const char *lacks = "";	/* what may be missing here */

static bool option(int argc, char **argv, const char *name)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return false;
}

static const char *option_text(int argc, char **argv, const char *name)
{
	int i;

	for (i = 1; i < argc - 1; i++)
		if (!strcmp(argv[i], name))
			return argv[i + 1];
	return NULL;
}

static void number(int argc, char **argv, const char *name, long *value)
{
	const char *text = option_text(argc, argv, name);

	if (text)
		*value = strtol(text, NULL, 0);
}

/* The tortured process says why it could not begin. */
static int __attribute__((format(printf, 1, 2))) say_failure(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(shared->failure, sizeof(shared->failure), fmt, args);
	va_end(args);
	atomic_store(&shared->failed, true);
	return 1;
}

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);
	const char *at = list;

	while ((at = strstr(at, name))) {
		if ((at == list || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
		at += len;
	}
	return false;
}

static void make_groups(void)
{
	if (!have_pt() || cg_clear(GROUP) || cg_make_parent(GROUP) || cg_make(GROUP "/a") ||
	    cg_make(GROUP "/b") || cg_make(GROUP "/oom") || cg_make(GROUP "/ptoom"))
		return;
	/* Over it all the time: the worker goes through its processes, too. */
	pt_limit(GROUP "/b", PT_HIGH, 64 * KiB);
	cg_write(GROUP "/oom", "memory.max", "2M");
	cg_write(GROUP "/oom", "memory.swap.max", "0");
	pt_limit(GROUP "/ptoom", PT_MAX, 128 * KiB);
}

static const char *const kind[] = { "fail_page_alloc", "failslab" };
#define MAX_FAULTS	1000000000L	/* "times" counts down from there */

/* One allocation of a hundred or two hundred fails, of those who ask for it. */
static bool prepare_faults(void)
{
	static const struct {
		const char *file, *text;
	} set[] = {
		{ "task-filter", "Y" }, { "ignore-gfp-wait", "N" }, { "min-order", "0" },
		{ "interval", "20" }, { "probability", "10" }, { "times", "1000000000" },
		{ "verbose", "0" },
	};
	char path[128];
	size_t i, j;
	int err;

	for (i = 0; i < ARRAY_SIZE(kind); i++) {
		for (j = 0; j < ARRAY_SIZE(set); j++) {
			snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind[i],
				 set[j].file);
			err = write_text(path, set[j].text);
			if (err && strcmp(set[j].file, "min-order")) {
				bail("%s: %s", path, strerror(-err));
				return false;
			}
		}
	}
	return true;
}

/* Page tables of the machine. What CPUs have counted by themselves is gathered first. */
static long machine_tables(void)
{
	write_text("/proc/sys/vm/stat_refresh", "1");
	return vmstat("nr_page_table_pages");
}

static bool prepare(const char *list, long delay)
{
	size_t i;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (shared == MAP_FAILED)
		return false;
	if (faults && !prepare_faults())
		return false;
	tables_before = machine_tables();
	only = list;
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		shared->can[i] = !list || in_list(list, ops[i].name);
	thp_set("madvise");
	thp_allow(true);
	write_long(MM "transparent_hugepage/khugepaged/scan_sleep_millisecs", 10);
	write_long(MM "transparent_hugepage/khugepaged/alloc_sleep_millisecs", 10);
	write_long(MM "ksm/sleep_millisecs", 20);
	write_long(MM "ksm/pages_to_scan", 500);
	write_long(MM "ksm/run", 1);
	/* A list of tasks for each kill would drown the console. */
	write_long("/proc/sys/vm/oom_dump_tasks", 0);
	make_groups();
	if (!swap_on())
		printf("# no swap on " DISK ": %s\n", strerror(errno));
	write_text(WINDOWS, "0");
	write_long(WINDOW_DELAY, delay);
	return true;
}

/* The first operation that was done too seldom so far, or NULL */
static const char *op_left(long min)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (shared->can[i] && atomic_load(&shared->count[i]) < least(i, min))
			return ops[i].name;
	return NULL;
}

static const char *activity_left(const long *before)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(activities); i++) {
		const struct activity *a = &activities[i];

		if (!only && (!a->can || a->can()) && activity(a) - before[i] < a->least)
			return a->name;
	}
	return NULL;
}

/*
 * Wait for the end, say now and then how it goes, notice who is stuck. How the
 * tortured process ended, as waitpid() puts it.
 */
static int watch(pid_t pid, long seconds, uint64_t seed, long min, const long *before)
{
	long start = now_ms(), said = start, beat[WORKERS] = { 0 }, when[WORKERS];
	long end = start + seconds * 1000, last = start + seconds * 10000, told = 0, total;
	const char *left = NULL;
	int i, status;

	for (i = 0; i < WORKERS; i++)
		when[i] = start;
	while (waitpid(pid, &status, WNOHANG) != pid) {
		nap_ms(100);
		if (now_ms() > end) {
			left = op_left(min);
			/* What others have done too seldom, they do for all operations. */
			atomic_store(&shared->late, left != NULL);
			left = left ?: activity_left(before);
			if (now_ms() > last || !left)
				atomic_store(&shared->stop, true);
		}
		/* It would leave us alone, as what it frees comes back: told anew, it does not. */
		if (!(++told % 10) && alone(ALONE_SETTINGS)) {
			scanner(2, 10, SIZE_MAX_MB);
			together(ALONE_SETTINGS);
		}
		for (i = 0; atomic_load(&shared->ready) && i < WORKERS; i++) {
			long b = atomic_load(&shared->worker[i].beat);

			if (b != beat[i] || atomic_load(&shared->stop)) {
				beat[i] = b;
				when[i] = now_ms();
			} else if (now_ms() > when[i] + 60000 * scale) {
				int op = atomic_load(&shared->worker[i].op);

				printf("Bail out! worker %d has been in %s for %ld s, seed %lu\n",
				       i, ops[op].name, 60 * scale, seed);
				fflush(stdout);
				_exit(1);
			}
		}
		if (now_ms() > said + 10000) {
			said = now_ms();
			for (total = 0, i = 0; i < WORKERS; i++)
				total += beat[i];
			printf("# %ld s: %ld operations, ptfree %ld%s%s\n", (said - start) / 1000,
			       total, vmstat("ptfree"), left ? ", too seldom so far: " : "",
			       left ?: "");
			fflush(stdout);
		}
	}
	printf("# ended after %ld s\n", (now_ms() - start) / 1000);
	return status;
}

/* A test that loses what it is about has not passed: what may be missing was said. */
static void report_lack(const char *name, const char *what)
{
	if (in_list(lacks, what))
		ksft_test_result_skip("%s: no %s\n", name, what);
	else
		ksft_test_result_fail("%s: no %s\n", name, what);
}

static void report_windows(long min)
{
	static char text[4096];
	char *line, *rest = text;
	size_t i;

	if (read_text(WINDOWS, text, sizeof(text)) <= 0) {
		for (i = 0; i < NR_WINDOWS; i++)
			report_lack(windows[i].name, "CONFIG_FREEPT_DEBUG");
		return;
	}
	for (i = 0; i < NR_WINDOWS; i++) {
		long entered = 0, delayed = 0, changed = 0;
		char name[32] = "";

		line = strsep(&rest, "\n");
		if (line)
			sscanf(line, "%31s %ld %ld %ld", name, &entered, &delayed, &changed);
		/* one stay in 16 is prolonged: none of a dozen may well be */
		ksft_test_result(!strcmp(name, windows[i].name) && entered >= min &&
				 (entered < 100 || (delayed && (changed || !windows[i].changes))),
				 "window %s: entered %ld times, at least %ld, prolonged %ld, raced %ld\n",
				 windows[i].name, entered, min, delayed, changed);
	}
}

static bool wait_tables(long most)
{
	long end = now_ms() + SETTLE_MS;

	while (machine_tables() > most) {
		if (now_ms() > end)
			return false;
		nap_ms(50);
	}
	return true;
}

/* Twice: what was on its way at the first time is found by the second one. */
static void report_leaks(void)
{
	static char text[8192];
	bool looks;
	long n;

	/* It switches itself off where its own memory cannot be had. */
	write_text(KMEMLEAK, "scan");
	nap_ms(1000);
	looks = !write_text(KMEMLEAK, "scan");
	n = read_text(KMEMLEAK, text, sizeof(text));
	ksft_test_result(looks && !n, "kmemleak looks, and has nothing to say\n");
	if (n > 0)
		printf("# %s\n", text);
}

/* What is left when all that was tortured is gone */
static void report_rest(bool skip)
{
	if (skip) {
		ksft_test_result_skip("the floor: nothing to be measured\n");
		ksft_test_result_skip("what is left: nothing to be measured\n");
		ksft_test_result_skip("memory.stat: nothing to be measured\n");
		ksft_test_result_skip("the machine: nothing to be measured\n");
		ksft_test_result_skip("kmemleak: nothing to be measured\n");
		return;
	}
	ksft_test_result(shared->vmpte <= shared->floor, "VmPTE %ld kB at the end, floor %ld kB\n",
			 shared->vmpte, shared->floor);
	ksft_test_result(pt_current(GROUP) < 0 || wait_current_below(GROUP, 0, SETTLE_MS),
			 "all page tables came back: %ld bytes are left\n", pt_current(GROUP));
	ksft_test_result(pt_current(GROUP) < 0 || wait_stat_equal(GROUP),
			 "memory.stat agrees\n");
	/* The second run of a machine finds the shell's tables where they were. */
	ksft_test_result(wait_tables(tables_before + 4),
			 "nr_page_table_pages is %ld, was %ld before\n",
			 machine_tables(), tables_before);
	if (access(KMEMLEAK, F_OK))
		report_lack("leaks", "kmemleak");
	else
		report_leaks();
}

static void report_faults(void)
{
	char path[128];
	size_t i;
	long n;

	for (i = 0; i < ARRAY_SIZE(kind); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/times", kind[i]);
		n = MAX_FAULTS - read_long(path);
		ksft_test_result(n >= 100 && n < MAX_FAULTS, "%s: %ld allocations have failed\n",
				 kind[i], n);
	}
}

static void report(int status, long seed, long min, const long *before)
{
	bool failed = atomic_load(&shared->failed);
	size_t i;

	write_long(WINDOW_DELAY, 0);
	swapoff(DISK);
	ksft_test_result(!failed, "every page is what it must be\n");
	if (failed)
		printf("# %s; seed %ld reproduces the choice of operations\n", shared->failure,
		       seed);
	ksft_test_result(!status, "the tortured processes ended well, status %#x\n", status);

	/* An operation that was not done is not tested, on the lean side of luck. */
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		long n = atomic_load(&shared->count[i]);

		if (shared->can[i])
			ksft_test_result(n >= least(i, min), "%s: %ld times in %ld s, at least %ld\n",
					 ops[i].name, n, atomic_load(&shared->ms[i]) / 1000,
					 least(i, min));
		else if (only)
			ksft_test_result_skip("%s: not asked for\n", ops[i].name);
		else
			report_lack(ops[i].name, ops[i].without);
	}
	for (i = 0; i < ARRAY_SIZE(activities); i++) {
		const struct activity *a = &activities[i];
		long n = activity(a) - before[i];

		if (only)
			ksft_test_result_skip("%s: not asked for\n", a->name);
		else if (a->can && !a->can())
			report_lack(a->name, a->without);
		else
			ksft_test_result(n >= a->least, "%s grew by %ld, at least %ld\n", a->name,
					 n, a->least);
	}
	report_windows(only ? 1 : min);
	if (faults)
		report_faults();
	report_rest(failed || status || expectation != EXPECT_FREED);
}

#endif /* PTFREE_TESTS_TORTURE_WATCH_H */
