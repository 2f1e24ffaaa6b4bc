// SPDX-License-Identifier: GPL-2.0-only
/*
 * Empties in every shape of address space: 50 GiB in one piece, tables that
 * mappings and holes share, islands far apart, copies made by fork(), the heap,
 * a stack, the arenas of several threads. empty.c has the ways to empty them.
 *
 * With --expect-stock or --expect-off the same program asserts that the tables
 * stay, so that no test passes by itself.
 */
#include "common.h"
#include "gaps.h"

/* Where some tables keep their pages, it is so many. */
#define RUN		32L
#define TABLES		(8 * RUN)

/*
 * The case that this project is measured by: 50 GiB, a page every 2 MiB,
 * given back, 102640 kB of page tables before and 248 kB or less after, within
 * 4 s of the last unmap, asleep or running.
 */
static void flagship(char *at, size_t len, bool run, int done)
{
	size_t i;
	char c = 'p';

	fill(at, len, TABLE_SPAN, 1);
	if (write(done, &c, 1) != 1)
		_exit(1);
	for (i = 0; i < len; i += TABLE_SPAN)
		if (madvise(at + i, TABLE_SPAN, MADV_DONTNEED))
			_exit(1);
	c = 'd';
	if (write(done, &c, 1) != 1)
		_exit(1);
	while (run)
		;
	for (;;)
		pause();
}

static void flagship_parent(struct __test_metadata *_metadata, bool run)
{
	const size_t len = 50 * GiB;
	struct measure m = { .len = len, .tables = len / TABLE_SPAN };
	int done[2];
	long t, kb;
	char c = 0;

	ASSERT_EQ(0, pipe(done));
	m.at = map_anon(len);
	ASSERT_NE(NULL, m.at);
	m.pid = fork_child();
	ASSERT_LE(0, m.pid);
	if (!m.pid)
		flagship(m.at, len, run, done[1]);
	ASSERT_TRUE(wait_byte(done[0], &c, 60000 * scale));
	m.peak = vmpte_kb(m.pid);
	ASSERT_LE(102400, m.peak);
	ASSERT_TRUE(wait_byte(done[0], &c, 60000 * scale));
	ASSERT_EQ('d', c);
	t = now_ms();
	if (expectation == EXPECT_FREED) {
		EXPECT_TRUE(wait_vmpte_below(m.pid, 248, CLEAN_MS));
		TH_LOG("%ld kB -> %ld kB after %ld ms", m.peak, vmpte_kb(m.pid), now_ms() - t);
	} else {
		nap_ms(run ? IDLE_MS : 4000);
		kb = vmpte_kb(m.pid);
		EXPECT_EQ(m.peak, kb);
		TH_LOG("%ld kB -> %ld kB after %ld ms", m.peak, kb, now_ms() - t);
	}
	EXPECT_EQ(0, live_tables(m.pid, m.at, m.len));
	reap(m.pid);
}

TEST(fifty_gib_asleep)
{
	flagship_parent(_metadata, false);
}

TEST(fifty_gib_running)
{
	flagship_parent(_metadata, true);
}

/* The verdict where a hole has a part in every table */
#define check_with_holes(m) __check_with_holes(_metadata, m)
static void __check_with_holes(struct __test_metadata *_metadata, struct measure *m)
{
	if (expectation == EXPECT_FREED && keeps_gaps()) {
		scanner_passes(2);
		EXPECT_LE(m->peak, vmpte_kb(0)) {
			TH_LOG("tables were freed in which hugetlb may have a part");
		}
	} else {
		check_floor(m, 0, m->peak);
	}
}

/*
 * One table, three mappings and a hole. munmap() and MADV_DONTNEED of one
 * mapping leave the table to the others.
 */
TEST(straddled_by_mappings_and_a_hole)
{
	const size_t len = TABLES * TABLE_SPAN, part = TABLE_SPAN / 4;
	char *at = map_anon(len);
	struct measure m;
	size_t i;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	for (i = 0; i < len; i += part)
		*(volatile char *)(at + i) = 1;
	for (i = 0; i < len; i += TABLE_SPAN) {
		ASSERT_EQ(0, mprotect(at + i + part, part, PROT_READ));
		ASSERT_EQ(0, munmap(at + i + 2 * part, part));
	}
	measure_peak(&m);
	for (i = 0; i < len; i += TABLE_SPAN) {
		ASSERT_EQ(0, madvise(at + i, part, MADV_DONTNEED));
		ASSERT_EQ(0, madvise(at + i + part, part, MADV_DONTNEED));
		ASSERT_EQ(0, madvise(at + i + 3 * part, part, MADV_DONTNEED));
	}
	check_with_holes(&m);
	for (i = 0; i < len; i += TABLE_SPAN) {
		EXPECT_EQ(0, at[i] | at[i + part] | at[i + 3 * part]);
		at[i] = 2;
		EXPECT_EQ(2, at[i]);
	}
}

/* The only pages of a table go with a mapping; the other one lives, empty. */
TEST(neighbour_unmapped)
{
	const size_t len = TABLES * TABLE_SPAN, half = TABLE_SPAN / 2;
	char *at = map_anon(len);
	struct measure m;
	size_t i;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	fill(at, len, TABLE_SPAN, 1);
	measure_peak(&m);
	for (i = 0; i < len; i += TABLE_SPAN) {
		ASSERT_EQ(0, munmap(at + i, half));
	}
	check_with_holes(&m);
	fill(at + half, len - half, TABLE_SPAN, 2);
	EXPECT_EQ(0, bad_marks(at + half, len - half, TABLE_SPAN, 2));
}

/* One live page in one of the mappings that share a table keeps it. */
TEST(straddled_one_lives)
{
	const size_t len = TABLES * TABLE_SPAN, half = TABLE_SPAN / 2;
	char *at = map_anon(len);
	struct measure m;
	size_t i;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	fill(at, len, half, 1);
	measure_peak(&m);
	for (i = 0; i < len; i += TABLE_SPAN) {
		ASSERT_EQ(0, mprotect(at + i + half, half, PROT_READ));
		ASSERT_EQ(0, madvise(at + i, half, MADV_DONTNEED));
		/* Every other table loses its second half, too. */
		if (i / TABLE_SPAN % 2) {
			ASSERT_EQ(0, madvise(at + i + half, half, MADV_DONTNEED));
		}
	}
	check_floor(&m, TABLES / 2, m.peak);
	for (i = 0; i < len; i += 2 * TABLE_SPAN) {
		EXPECT_EQ(mark_of(at + i + half, 1), *(uint64_t *)(at + i + half));
	}
}

/*
 * Decommitted the way some allocators do it: no page, no permission. One
 * mapping over a table, then one that is split into many.
 */
TEST(only_prot_none)
{
	const size_t len = TABLES * TABLE_SPAN;
	char *at = map_anon(len);
	struct measure m;
	size_t i;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	fill(at, len, 128 * KiB, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(at, len, PROT_NONE));
	for (i = 0; i < len; i += 16 * TABLE_SPAN) {
		ASSERT_EQ(0, mprotect(at + i, 64 * KiB, PROT_READ));
	}
	check_floor(&m, 0, m.peak);
	ASSERT_EQ(0, mprotect(at, len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, not_zero(at, len, 128 * KiB));
}

/* A mapping much larger than what was ever used of it, in islands. */
TEST(islands_in_a_large_mapping)
{
	const size_t len = 256 * GiB, gap = 2 * GiB;
	char *at = map_anon(len);
	struct measure m;
	size_t i;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, len / gap * 4);
	for (i = 0; i < len; i += gap)
		fill(at + i, 4 * TABLE_SPAN, TABLE_SPAN, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
	/* Only the used half of the PMD tables exists; the rest is tolerance. */
	m.start -= len / gap * TABLE_KB;
	check_floor(&m, 0, m.peak);
}

/* fork() copies: parent and child have empties of their own. */
TEST(forked)
{
	const size_t len = TABLES * TABLE_SPAN, kept = len - RUN * TABLE_SPAN;
	struct measure m, c;
	int done[2], status = -1;
	char *at = map_anon(len), ok;

	ASSERT_NE(NULL, at);
	ASSERT_EQ(0, pipe(done));
	m = measure_start(0, at, len, TABLES);
	fill(at, len, TABLE_SPAN, 1);
	measure_peak(&m);
	c = m;
	c.pid = fork_child();
	ASSERT_LE(0, c.pid);
	if (!c.pid) {
		ok = bad_marks(at, len, TABLE_SPAN, 1) ? 'b' : 'g';
		if (madvise(at, kept, MADV_DONTNEED) || write(done[1], &ok, 1) != 1)
			_exit(1);
		raise(SIGSTOP);
		_exit(bad_marks(at + kept, len - kept, TABLE_SPAN, 1) ||
		      not_zero(at, kept, TABLE_SPAN));
	}
	ASSERT_TRUE(wait_byte(done[0], &ok, 20000 * scale));
	EXPECT_EQ('g', ok);
	c.peak = vmpte_kb(c.pid);
	/* The child's empties, while the parent's tables are all in use. */
	check_floor(&c, RUN, c.start + TABLES * TABLE_KB);
	EXPECT_EQ(0, bad_marks(at, len, TABLE_SPAN, 1));
	EXPECT_LE(m.start + TABLES * TABLE_KB, vmpte_kb(0));
	/* And the other way round. */
	ASSERT_EQ(0, madvise(at, kept, MADV_DONTNEED));
	check_floor(&m, RUN, m.start + TABLES * TABLE_KB);
	EXPECT_EQ(0, bad_marks(at + kept, len - kept, TABLE_SPAN, 1));
	kill(c.pid, SIGCONT);
	ASSERT_EQ(c.pid, waitpid(c.pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Empties that fork() copied, if it did: a child that never touched them. */
TEST(inherited_empties)
{
	const size_t len = TABLES * TABLE_SPAN;
	struct measure m, c;
	char *at = map_anon(len);

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	fill(at, len, TABLE_SPAN, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
	c = m;
	c.pid = fork_child();
	ASSERT_LE(0, c.pid);
	if (!c.pid)
		for (;;)
			pause();
	/* A later step lets fork skip empties: what stays at least is nothing. */
	check_floor(&c, 0, expectation == EXPECT_STOCK ? m.start + TABLES * TABLE_KB : 0);
	check_floor(&m, 0, m.start + TABLES * TABLE_KB);
	reap(c.pid);
}

TEST(heap)
{
	const size_t len = 128 * TABLE_SPAN;
	uintptr_t cur = (uintptr_t)sbrk(0);
	struct measure m;
	char *at;

	ASSERT_NE((void *)-1, sbrk((TABLE_SPAN - cur % TABLE_SPAN) % TABLE_SPAN));
	at = sbrk(len + TABLE_SPAN);
	ASSERT_NE((char *)-1, at);
	m = measure_start(0, at, len, 128);
	fill(at, len, 128 * KiB, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(at, len - TABLE_SPAN, MADV_DONTNEED));
	check_floor(&m, 1, m.peak);
	EXPECT_EQ(0, bad_marks(at + len - TABLE_SPAN, TABLE_SPAN, 128 * KiB, 1));
	fill(at, len, 128 * KiB, 2);
	EXPECT_EQ(0, bad_marks(at, len, 128 * KiB, 2));
}

/* A stack that grew, was used, and was given back below the stack pointer. */
TEST(grown_stack)
{
	const size_t len = 128 * TABLE_SPAN;
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char *low = reserve(len), *top, *p;
	struct measure m;

	ASSERT_EQ(0, setrlimit(RLIMIT_STACK, &all));
	ASSERT_NE(NULL, low);
	top = map_at(low + len - PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	ASSERT_NE(NULL, top);
	m = measure_start(0, low, len, 128);
	for (p = top; p >= low; p -= 128 * KiB)
		*(volatile uint64_t *)p = mark_of(p, 1);
	p += 128 * KiB;
	measure_peak(&m);
	ASSERT_EQ(0, madvise(p, low + len - TABLE_SPAN - p, MADV_DONTNEED));
	check_floor(&m, 1, m.peak);
	for (p = top; p >= low + len - TABLE_SPAN; p -= 128 * KiB) {
		EXPECT_EQ(mark_of(p, 1), *(uint64_t *)p);
	}
	for (p = top; p >= low; p -= 128 * KiB)
		*(volatile uint64_t *)p = mark_of(p, 2);
	for (p = top; p >= low; p -= 128 * KiB) {
		ASSERT_EQ(mark_of(p, 2), *(uint64_t *)p);
	}
}

/* Several threads, each with an arena; all of one process's are cleaned. */
#define THREADS		4

struct arena {
	char *at;
	size_t len;
	pthread_barrier_t *full, *empty;
	atomic_bool *stop;
	bool run;
	long bad;
};

static void *arena_thread(void *arg)
{
	struct arena *a = arg;
	int round;

	for (round = 0; round < 4; round++) {
		fill(a->at, a->len, TABLE_SPAN, round);
		a->bad += bad_marks(a->at, a->len, TABLE_SPAN, round);
		if (round == 3)
			pthread_barrier_wait(a->full);
		/* The last table stays in use. */
		if (madvise(a->at, a->len - TABLE_SPAN, MADV_DONTNEED))
			a->bad++;
	}
	pthread_barrier_wait(a->empty);
	while (!atomic_load(a->stop))
		if (!a->run)
			nap_ms(20);
	a->bad += bad_marks(a->at + a->len - TABLE_SPAN, TABLE_SPAN, TABLE_SPAN, 3);
	a->bad += not_zero(a->at, a->len - TABLE_SPAN, TABLE_SPAN);
	return NULL;
}

static void arenas(struct __test_metadata *_metadata, bool run)
{
	const size_t len = TABLES * TABLE_SPAN, each = len / THREADS;
	pthread_barrier_t full, empty;
	pthread_t thread[THREADS];
	struct arena a[THREADS];
	atomic_bool stop = false;
	char *at = map_anon(len);
	struct measure m;
	int i;

	ASSERT_NE(NULL, at);
	/* The heap that pthread_create() takes for its first thread belongs to the start. */
	free(malloc(64 * KiB));
	m = measure_start(0, at, len, TABLES);
	pthread_barrier_init(&full, NULL, THREADS + 1);
	pthread_barrier_init(&empty, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++) {
		a[i] = (struct arena){ at + i * each, each, &full, &empty, &stop, run, 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, arena_thread, &a[i]));
	}
	pthread_barrier_wait(&full);
	measure_peak(&m);
	pthread_barrier_wait(&empty);
	/* THREADS stacks of 8 MiB have a table or two each, which are in use. */
	m.start += 2 * THREADS * TABLE_KB;
	check_floor(&m, THREADS, m.peak);
	atomic_store(&stop, true);
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, a[i].bad);
	}
}

TEST(threads_asleep)
{
	arenas(_metadata, false);
}

TEST(threads_running)
{
	arenas(_metadata, true);
}

PTFREE_TEST_MAIN(2, 100, 65536)
