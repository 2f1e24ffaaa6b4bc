/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest parts of the benchmarks share.
 *
 * They run in a machine of `scripts/vm --icount`, where an instruction takes a
 * nanosecond, on kernels with and without the patches; bench/run starts them
 * and compares. What they print is
 *
 *	figure NAME VALUE	one figure; instructions where nothing else is said
 *	cannot NAME		this kernel has no such thing
 *	bench-error TEXT	nothing can be said
 *	bench-end		all was measured
 */
#ifndef PTFREE_BENCH_H
#define PTFREE_BENCH_H

#include "../tests/cg.h"

#include <sys/personality.h>

#define PIECE		(64 * KiB)
#define ROUNDS_MAX	512

static inline uint64_t instructions(void)
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

static inline void die(const char *what)
{
	printf("bench-error %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static inline void figure(double value, const char *format, ...)
{
	va_list args;

	printf("figure ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" %.3f\n", value);
	fflush(stdout);
}

/* Is this machine one that counts instructions? */
static inline bool counts_instructions(void)
{
	unsigned long loops = 4000000, i;
	uint64_t t0 = instructions(), t;

	for (i = 0; i < loops; i++)
		asm volatile("" ::: "memory");
	t = instructions() - t0;
	/* two or three in a loop, and the ticks */
	return t > 2 * loops * 99 / 100 && t < 3 * loops * 110 / 100;
}

/* Rounds of one kind of work */
struct series {
	const char *work;
	long units;		/* in a round */
	int nr;
	uint64_t taken[ROUNDS_MAX];
};

static inline void series_add(struct series *s, uint64_t t0)
{
	if (s->nr < ROUNDS_MAX)
		s->taken[s->nr++] = instructions() - t0;
}

static inline int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The lower quartile: a round is shorter than the 4 ms between two ticks where
 * that can be, and those without a tick take the same to the last instruction.
 * The first quarter is to warm up: lists of free pages, slabs, stocks of charges.
 */
static inline double series_value(struct series *s)
{
	int warm = s->nr / 4, n = s->nr - warm;
	uint64_t *taken = s->taken + warm;

	qsort(taken, n, sizeof(*taken), compare);
	return (double)taken[n / 4] / s->units;
}

static inline void series_print(struct series *s, const char *name)
{
	figure(series_value(s), "%s/%s", name, s->work);
}

static inline char *map(char *at, size_t len)
{
	char *p = map_at(at, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!p)
		die("mmap");
	return p;
}

static inline void discard(char *at, size_t len)
{
	if (madvise(at, len, MADV_DONTNEED))
		die("madvise");
}

static inline void touch(char *at, size_t len, size_t step)
{
	size_t i;

	for (i = 0; i < len; i += step)
		*(volatile char *)(at + i) = 1;
}

/* The zero page: tables without the memory below them */
static inline void touch_zero(char *at, size_t len, size_t step)
{
	size_t i;

	for (i = 0; i < len; i += step)
		(void)*(volatile char *)(at + i);
}

/*
 * Where the rounds map: in one PMD table, which a page at its end keeps, so
 * that a round makes and frees PTE tables and no others.
 */
static char *place;

static inline void make_place(void)
{
	place = reserve(PMD_SPAN);
	if (!place)
		die("no room");
	*(volatile char *)map(place + PMD_SPAN - PAGE, PAGE) = 1;
}

/* Run @what in a process of its own, in @group if that is not empty. */
static inline void in_group(const char *group, void (*what)(const char *arg), const char *arg)
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

/* CPU time of kfreept, 0 where there is none */
static inline long thread_ns(void)
{
	static int pid = -1;
	char path[64], comm[32];
	struct timespec used;
	clockid_t clock;
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
	errno = clock_getcpuclockid(pid, &clock);
	if (errno || clock_gettime(clock, &used))
		die("CPU time of kfreept");
	return used.tv_sec * 1000000000L + used.tv_nsec;
}

/* The same addresses each time: no luck with where things lie. */
static inline void bench_start(char **argv)
{
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", argv);
		die("exec");
	}
	stay_on_cpu(0);
	thp_allow(false);
	printf("kernel %s\n", is_stock() ? "other" : "ptfree");
}

static inline void bench_start_counting(char **argv)
{
	bench_start(argv);
	if (!counts_instructions()) {
		printf("bench-error not a machine that counts instructions\n");
		exit(1);
	}
}

static inline int bench_end(void)
{
	common_teardown();
	puts("bench-end");
	return 0;
}

#endif /* PTFREE_BENCH_H */
