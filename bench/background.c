// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the background does to programs: guest part.
 *
 * Runs in a machine of `scripts/vm --icount`, where an instruction takes a
 * nanosecond and an idle machine skips the time; bench/background compares a
 * kernel with the patches and one without. One line for each figure:
 *
 * "loop MS ROUNDS OWN THREAD FREED REFAULTS": a program that touches 256 tables
 * and gives them back, every MS milliseconds for two minutes, or 360 rounds after
 * the first 36 if that is longer: instructions of its own, and of kfreept
 * meanwhile; tables freed, and put back soon.
 *
 * "idle TABLES SCANNED OWN": a program with so many tables in use that unmaps
 * nothing and burns CPU for a second: tables looked at, and what that took.
 *
 * "fork EMPTY INSTRUCTIONS": fork, exit and wait with so many empty tables.
 *
 * "rss THP BEFORE AFTER LATER": kB resident after 256 MiB were touched and given
 * back in pieces of 64 KiB; when one page in 2 MiB was touched again 10 s later;
 * and a minute after that.
 */
#include "../tests/common.h"

#include <limits.h>

#define LOOP_TABLES	256
#define LOOP_SECONDS	120
#define LOOP_ROUNDS	360
#define IDLE_TABLES	4096
#define RSS_SIZE	(256UL * MiB)
#define THP		"/sys/kernel/mm/transparent_hugepage/enabled"

static void die(const char *what)
{
	printf("bench-error %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static long own_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

/* CPU time of kfreept, 0 where there is none */
static long thread_ns(void)
{
	static int pid = -1;
	char path[64], comm[32];
	long ns = 0;
	FILE *f;

	for (int i = 1; pid < 0 && i < 400; i++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", i);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strcmp(comm, "kfreept\n"))
			pid = i;
		fclose(f);
	}
	if (pid < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%ld", &ns) != 1)
		die(path);
	fclose(f);
	return ns;
}

static char *map(size_t len)
{
	char *at = map_anon(len);

	if (!at)
		die("mmap");
	return at;
}

static void touch(char *at, size_t len, size_t step)
{
	for (size_t i = 0; i < len; i += step)
		*(volatile char *)(at + i) = 1;
}

static void discard(char *at, size_t len)
{
	if (madvise(at, len, MADV_DONTNEED))
		die("madvise");
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
	long rounds = LOOP_SECONDS * 1000 / ms, own = 0, thread = 0, freed = 0, back = 0;
	long warm = rounds < LOOP_ROUNDS ? LOOP_ROUNDS / 10 : 0;
	char *at = map(LOOP_TABLES * TABLE_SPAN);
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
	printf("loop %ld %ld %ld %ld %ld %ld\n", ms, rounds, own_ns() - own,
	       thread_ns() - thread, vmstat("ptfree") - freed,
	       vmstat("ptrefault") - back);
}

static void idle(long tables)
{
	char *at = map(tables * TABLE_SPAN);
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
	printf("idle %ld %ld %ld\n", tables, vmstat("ptscan") - scanned, own_ns() - own);
}

static void forks(long empty)
{
	char *at = map((empty + 1) * TABLE_SPAN);
	long best = LONG_MAX;

	madvise(at, (empty + 1) * TABLE_SPAN, MADV_NOHUGEPAGE);
	touch(at, empty * TABLE_SPAN, TABLE_SPAN);
	discard(at, empty * TABLE_SPAN);
	*(volatile char *)(at + empty * TABLE_SPAN) = 1;	/* has an anon_vma anyway */
	for (int i = 0; i < 20; i++) {
		long t0 = __builtin_ia32_rdtsc(), took;
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
		took = __builtin_ia32_rdtsc() - t0;
		if (took < best)
			best = took;
	}
	printf("fork %ld %ld\n", empty, best);
}

static void rss(const char *thp)
{
	char *at = map(RSS_SIZE);
	struct timespec t;
	long before, after;

	if (write_text(THP, thp))
		die(THP);
	touch(at, RSS_SIZE, PAGE);
	for (size_t i = 0; i < RSS_SIZE; i += 64 * KiB)
		discard(at + i, 64 * KiB);
	before = status_kb(getpid(), "VmRSS");
	clock_gettime(CLOCK_MONOTONIC, &t);
	until(&t, 10000);
	touch(at, RSS_SIZE, TABLE_SPAN);
	after = status_kb(getpid(), "VmRSS");
	until(&t, 60000);
	printf("rss %s %ld %ld %ld\n", thp, before, after, status_kb(getpid(), "VmRSS"));
}

static void in_child(void (*what)(long), long arg, void (*what_s)(const char *),
		     const char *arg_s)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (what)
			what(arg);
		else
			what_s(arg_s);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("a measurement failed");
}

int main(void)
{
	static const long periods[] = { 10, 30, 100, 300, 1000, 3000, 10000 };
	static const char * const thps[] = { "never", "madvise", "always" };

	write_text("/proc/sys/vm/freept", "0");
	in_child(forks, 0, NULL, NULL);
	in_child(forks, 128, NULL, NULL);
	write_text("/proc/sys/vm/freept", "2");
	for (size_t i = 0; i < ARRAY_SIZE(periods); i++)
		in_child(loop, periods[i], NULL, NULL);
	in_child(idle, IDLE_TABLES, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(thps); i++)
		in_child(NULL, 0, rss, thps[i]);
	puts("bench-end");
	return 0;
}
