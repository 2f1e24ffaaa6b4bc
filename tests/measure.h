/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a process has in its page tables, how that changes, and whether it is
 * what the kernel under test promises. Part of common.h.
 */
#ifndef PTFREE_TESTS_MEASURE_H
#define PTFREE_TESTS_MEASURE_H

#include "common.h"

/* How long a kernel that frees nothing is watched doing so. */
#define IDLE_MS		500L
/* Within this time after its last unmap a process has no empties left. */
#define CLEAN_MS	(4000L * scale)

/* What the page tables of a process hold */

#define PM_WP		(1ULL << 57)
#define PM_FILE		(1ULL << 61)
#define PM_SWAPPED	(1ULL << 62)
#define PM_PRESENT	(1ULL << 63)
#define PM_ENTRY	(PM_WP | PM_FILE | PM_SWAPPED | PM_PRESENT)

static uint64_t pagemap_buf[TABLE_SPAN / PAGE * 8];

static inline int pagemap_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid ? pid : getpid());
	return open(path, O_RDONLY | O_CLOEXEC);
}

static inline uint64_t pagemap(pid_t pid, const void *addr)
{
	uint64_t e = 0;
	int fd = pagemap_open(pid);

	if (fd < 0)
		return 0;
	if (pread(fd, &e, sizeof(e), (uintptr_t)addr / PAGE * 8) != sizeof(e))
		e = 0;
	close(fd);
	return e;
}

/*
 * Entries that are not none in [addr, addr + len), and in *tables how many
 * tables hold them. A file entry that is none shows no bit of PM_ENTRY.
 */
static inline long live_entries(pid_t pid, const void *addr, size_t len, long *tables)
{
	uintptr_t at = (uintptr_t)addr, end = at + len, last = 0;
	long entries = 0, n, i, with = 0;
	int fd = pagemap_open(pid);

	if (fd < 0)
		return -errno;
	for (; at < end; at += n * PAGE) {
		size_t want = (end - at) / PAGE * 8;

		if (want > sizeof(pagemap_buf))
			want = sizeof(pagemap_buf);
		n = pread(fd, pagemap_buf, want, at / PAGE * 8) / 8;
		if (n <= 0) {
			entries = -EIO;
			break;
		}
		for (i = 0; i < n; i++) {
			if (!(pagemap_buf[i] & PM_ENTRY))
				continue;
			entries++;
			if (last != (at + i * PAGE) / TABLE_SPAN + 1) {
				last = (at + i * PAGE) / TABLE_SPAN + 1;
				with++;
			}
		}
	}
	close(fd);
	if (tables)
		*tables = with;
	return entries;
}

static inline long live_tables(pid_t pid, const void *addr, size_t len)
{
	long tables = 0, err = live_entries(pid, addr, len, &tables);

	return err < 0 ? err : tables;
}

/*
 * One measurement: what a process held before, at the peak, and how many
 * tables of the range under test still hold something.
 */
struct measure {
	pid_t pid;		/* 0: ourselves */
	char *at;
	size_t len;
	long tables;		/* PTE tables that the test filled */
	long start, peak;	/* VmPTE in kB */
};

/* Tables above the PTE level that a range needs at most, in kB. */
static inline long upper_kb(const char *at, size_t len)
{
	uintptr_t a = (uintptr_t)at, e = a + len - 1;

	return TABLE_KB * (e / PMD_SPAN - a / PMD_SPAN + 1 + e / PUD_SPAN - a / PUD_SPAN + 1);
}

/*
 * Whatever a test may need of its own process: stack, heap, clock. Any of them can
 * lie across a table's boundary, where the process happens to be loaded, and a table
 * made for it at the first touch after the peak would be counted as one that stayed.
 */
static __attribute__((noinline, unused)) void touch_own(void)
{
	volatile char deep[64 * 1024];
	char *heap = malloc(sizeof(deep));
	size_t i;

	for (i = 0; i < sizeof(deep); i += PAGE) {
		deep[i] = 1;
		if (heap)
			((volatile char *)heap)[i] = 1;
	}
	free(heap);
	wait_vmpte_below(0, 0, 0);
}

static inline struct measure measure_start(pid_t pid, char *at, size_t len, long tables)
{
	struct measure m = { .pid = pid, .at = at, .len = len, .tables = tables };

	/* Touch what measuring itself touches, then measure. */
	touch_own();
	live_tables(pid, at, TABLE_SPAN);
	vmpte_kb(pid);
	m.start = vmpte_kb(pid);
	return m;
}

/* The tables are full: now or never VmPTE shows them. */
#define measure_peak(m) __measure_peak(_metadata, m)
static inline void __measure_peak(struct __test_metadata *_metadata, struct measure *m)
{
	m->peak = vmpte_kb(m->pid);
	ASSERT_LE(m->start + m->tables * TABLE_KB, m->peak) {
		TH_LOG("the test has built too few tables to measure anything");
	}
}

/*
 * The verdict. @live tables of the range still hold entries (checked against
 * pagemap). Working: VmPTE falls to the floor in time, where the floor is what
 * the process started with, the tables above PTE level, the live ones, and
 * under one percent of the empties. Not working (stock, off): @stay kB of the
 * peak or more stay for as long as we watch.
 */
#define check_floor(m, live, stay) __check_floor(_metadata, m, live, stay)
static inline void __check_floor(struct __test_metadata *_metadata, struct measure *m,
				 long live, long stay)
{
	long floor, end, seen;

	EXPECT_EQ(live, live_tables(m->pid, m->at, m->len)) {
		TH_LOG("the range does not hold the entries that the test expects");
	}
	if (expectation != EXPECT_FREED) {
		end = now_ms() + IDLE_MS;
		do {
			nap_ms(50);
			seen = vmpte_kb(m->pid);
		} while (seen >= stay && now_ms() < end);
		EXPECT_LE(stay, seen) {
			TH_LOG("tables were freed on a kernel that must not free any");
		}
		return;
	}
	floor = m->start + upper_kb(m->at, m->len) + live * TABLE_KB;
	floor += ((m->tables - live) * TABLE_KB - 1) / 100;
	EXPECT_TRUE(wait_vmpte_below(m->pid, floor, CLEAN_MS)) {
		TH_LOG("VmPTE start %ld kB, peak %ld kB, floor %ld kB, now %ld kB", m->start,
		       m->peak, floor, vmpte_kb(m->pid));
	}
}

/*
 * Wait until the scanner has been over the whole of this process @times more.
 * The proof is bait, empties at two places: between the end of one lot and the
 * end of the next the scanner, which goes on where it stopped, has been round.
 * No lot is where another was: a process that fills again what was freed is
 * scanned less often for it.
 */
#define scanner_passes(times) __scanner_passes(_metadata, times)
static inline void __scanner_passes(struct __test_metadata *_metadata, int times)
{
	const size_t len = 32 * TABLE_SPAN, all = (times + 1) * len;
	char *bait[2];
	int i, j;

	if (expectation != EXPECT_FREED) {
		nap_ms(IDLE_MS);
		return;
	}
	bait[0] = map_at((char *)(64 * GiB), all, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bait[1] = map_anon(all);
	ASSERT_NE(NULL, bait[0]);
	ASSERT_NE(NULL, bait[1]);
	for (i = 0; i <= times; i++) {
		long with;

		for (j = 0; j < 2; j++)
			fill(bait[j] + i * len, len, TABLE_SPAN, i);
		with = vmpte_kb(0);
		for (j = 0; j < 2; j++) {
			ASSERT_EQ(0, madvise(bait[j] + i * len, len, MADV_DONTNEED));
		}
		ASSERT_TRUE(wait_vmpte_below(0, with - 2 * 30 * TABLE_KB, 5 * CLEAN_MS)) {
			TH_LOG("the scanner has not come by: VmPTE %ld kB, with bait %ld kB",
			       vmpte_kb(0), with);
		}
	}
	for (j = 0; j < 2; j++)
		munmap(bait[j], all);
}

#endif /* PTFREE_TESTS_MEASURE_H */
