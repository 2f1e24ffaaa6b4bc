// SPDX-License-Identifier: GPL-2.0-only
/*
 * Background work looks only where somebody has said that entries were removed.
 * So whoever removes any has to say so, and whoever makes a table eligible that
 * was not: here is each way, in a process that the scanner has been all through
 * before, so that nothing but a hint leads it to the table. The ways of a program
 * that runs as usual are in empty.c, see --scanned there.
 */
#include "cg.h"
#include "swap.h"
#include "switches.h"
#include "uffd.h"

#define TABLES	64L
#define LEN	(TABLES * TABLE_SPAN)
#define DELAY	20L
#define DISK	"/dev/ram0"
#define GROUP	"hints"
#define HINTS_MISSED	"/sys/kernel/debug/freept/hints_missed"


FIXTURE(hinted) {
	struct measure m;
	char *at;
	long missed;
};

FIXTURE_SETUP(hinted)
{
	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is freed here");
	self->missed = read_long(HINTS_MISSED);
	ASSERT_LE(0, self->missed) {
		TH_LOG("no " HINTS_MISSED);
	}
	ASSERT_EQ(0, scanner(2, DELAY, 65536));
	self->at = map_anon(LEN);
	ASSERT_NE(NULL, self->at);
	self->m = measure_start(0, self->at, LEN, TABLES);
}

/* What else is empty, a request finds: for all of it there has been a hint. */
FIXTURE_TEARDOWN(hinted)
{
	scanner(2, DELAY, 65536);
	if (expectation != EXPECT_FREED || !self->at)
		return;
	give_advice(self->at, LEN, ADV_PT_RECLAIM);
	EXPECT_EQ(self->missed, read_long(HINTS_MISSED));
}

/* All tables in use, and looked at as such. */
#define fill_and_scan(self) __fill_and_scan(_metadata, self)
static void __fill_and_scan(struct __test_metadata *_metadata, FIXTURE_DATA(hinted) *self)
{
	fill(self->at, LEN, TABLE_SPAN, 1);
	measure_peak(&self->m);
	scanner_passes(2);
}

/* @tables fewer than at the peak, in time, whatever holds the rest. */
#define go_away(self, tables) __go_away(_metadata, self, tables)
static void __go_away(struct __test_metadata *_metadata, FIXTURE_DATA(hinted) *self, long tables)
{
	EXPECT_TRUE(wait_vmpte_below(0, self->m.peak - tables * TABLE_KB, CLEAN_MS)) {
		TH_LOG("VmPTE is %ld kB, was %ld kB with all %ld tables: %ld were to go",
		       vmpte_kb(0), self->m.peak, TABLES, tables);
	}
}

TEST_F(hinted, one_page_at_a_time)
{
	long i;

	fill_and_scan(self);
	for (i = 0; i < TABLES; i++) {
		ASSERT_EQ(0, give_advice(self->at + i * TABLE_SPAN, PAGE, MADV_DONTNEED));
		nap_ms(DELAY / 2);
	}
	go_away(self, TABLES - 1);
}

/*
 * Tables are emptied, and at once moved as a whole to where the scanner has been:
 * below another PMD table, in which nothing was removed.
 */
TEST_F(hinted, emptied_and_moved_as_a_whole)
{
	char *to = reserve(2 * LEN);

	/* The PMD table is there, and one table in use. */
	ASSERT_NE(NULL, map_at(to + LEN, LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	*(volatile char *)(to + LEN) = 1;
	fill_and_scan(self);
	self->m.peak = vmpte_kb(0);
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	ASSERT_EQ(to, mremap(self->at, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	go_away(self, TABLES - 1);
}

TEST_F(hinted, emptied_by_moving_entries)
{
	char *to = reserve(2 * LEN) + 5 * PAGE;

	fill_and_scan(self);
	ASSERT_EQ(to, mremap(self->at, LEN, LEN,
			     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to));
	/* There are as many tables at the new place: not to be counted. */
	ASSERT_EQ(0, munmap(to, LEN));
	check_floor(&self->m, 0, self->m.peak - TABLE_KB);
}

/* Tables are made for entries that are moved, and there are none. */
TEST_F(hinted, empty_and_moved_as_entries)
{
	char *to = reserve(2 * LEN) + 5 * PAGE;

	fill_and_scan(self);
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	ASSERT_EQ(to, mremap(self->at, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	go_away(self, TABLES - 1);
}

/* The only entries of a table are in a part that is unmapped. */
TEST_F(hinted, part_unmapped)
{
	long i;

	fill_and_scan(self);
	for (i = 0; i < TABLES; i++)
		ASSERT_EQ(0, munmap(self->at + i * TABLE_SPAN, TABLE_SPAN / 2));
	go_away(self, TABLES - 1);
}

TEST_F(hinted, part_mapped_over)
{
	long i;

	fill_and_scan(self);
	for (i = 0; i < TABLES; i++)
		ASSERT_NE(MAP_FAILED, mmap(self->at + i * TABLE_SPAN, 2 * PAGE, PROT_READ,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	go_away(self, TABLES - 1);
}

/* UFFDIO_MOVE takes pages away, one at a time. */
TEST_F(hinted, moved_by_userfaultfd)
{
	char *to = map_anon(LEN);
	int fd = uffd_open(UFFD_FEATURE_MOVE);
	long i;

	ASSERT_LE(0, fd);
	fill_and_scan(self);
	ASSERT_EQ(0, uffd_register(fd, to, LEN, UFFDIO_REGISTER_MODE_MISSING));
	for (i = 0; i < TABLES; i++)
		ASSERT_EQ(0, uffd_move(fd, to + i * PAGE, self->at + i * TABLE_SPAN, 0));
	/* One table holds them now, below tables of its own. */
	go_away(self, TABLES - 1 - upper_kb(to, LEN) / TABLE_KB);
	for (i = 0; i < TABLES; i++)
		EXPECT_EQ(mark_of(self->at + i * TABLE_SPAN, 1), *(uint64_t *)(to + i * PAGE));
	close(fd);
}

/* Tables that were empty while they had to stay: with userfaultfd, ... */
TEST_F(hinted, userfaultfd_unregistered)
{
	int fd = uffd_open(0);

	ASSERT_LE(0, fd);
	fill_and_scan(self);
	ASSERT_EQ(0, uffd_register(fd, self->at, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	scanner_passes(2);
	EXPECT_LE(self->m.peak, vmpte_kb(0));
	close(fd);
	check_floor(&self->m, 0, self->m.peak);
}

/* ... with markers in them, that go with the descriptor, ... */
TEST_F(hinted, markers_removed)
{
	int fd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uffd_register(fd, self->at, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_protect(fd, self->at, LEN, true));
	measure_peak(&self->m);
	scanner_passes(2);
	EXPECT_EQ(TABLES, live_tables(0, self->at, LEN));
	close(fd);
	check_floor(&self->m, 0, self->m.peak);
}

/* ... shared with a mapping that is armed, and is unmapped: no entry is removed. */
TEST_F(hinted, neighbour_unmapped)
{
	const size_t half = TABLE_SPAN / 2;
	int fd = uffd_open(0);
	long i;

	ASSERT_LE(0, fd);
	for (i = 0; i < TABLES; i++)
		ASSERT_EQ(0, uffd_register(fd, self->at + i * TABLE_SPAN + half, half,
					   UFFDIO_REGISTER_MODE_MISSING));
	fill_and_scan(self);
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	scanner_passes(2);
	EXPECT_LE(self->m.peak, vmpte_kb(0));
	for (i = 0; i < TABLES; i++)
		ASSERT_EQ(0, munmap(self->at + i * TABLE_SPAN + half, half));
	go_away(self, TABLES - 1);
	close(fd);
}

/* Armed mappings that are moved away lose their descriptor, if it has not asked. */
TEST_F(hinted, armed_and_moved)
{
	int fd = uffd_open(0);
	char *to = reserve(LEN);

	ASSERT_LE(0, fd);
	fill_and_scan(self);
	ASSERT_EQ(0, uffd_register(fd, self->at, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	scanner_passes(2);
	EXPECT_LE(self->m.peak, vmpte_kb(0));
	ASSERT_EQ(to, mremap(self->at, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	go_away(self, TABLES - 2);
	close(fd);
}

/* Hints and choices that change: what was left alone, or not asked for, is due. */
TEST_F(hinted, range_no_longer_left_alone)
{
	ASSERT_EQ(0, give_advice(self->at, LEN, ADV_NOFREEPT));
	fill_and_scan(self);
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	scanner_passes(2);
	EXPECT_LE(self->m.peak, vmpte_kb(0));
	ASSERT_EQ(0, give_advice(self->at, LEN, ADV_FREEPT));
	check_floor(&self->m, 0, self->m.peak);
}

TEST_F(hinted, disabled_and_enabled)
{
	fill_and_scan(self);
	ASSERT_EQ(0, choose(CHOICE_DISABLE));
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	nap_ms(DELAY * 20);
	EXPECT_LE(self->m.peak, vmpte_kb(0));
	ASSERT_EQ(0, choose(CHOICE_DEFAULT));
	check_floor(&self->m, 0, self->m.peak);
}

/*
 * In mode 1 only a range was asked for, and laps go by that find its tables: then
 * the rest of the process is asked for, by prctl() or a budget.
 */
#define more_is_asked_for(self, by_budget) __more_is_asked_for(_metadata, self, by_budget)
static void __more_is_asked_for(struct __test_metadata *_metadata, FIXTURE_DATA(hinted) *self,
				bool by_budget)
{
	char *rest = self->at + 8 * TABLE_SPAN;
	const size_t len = LEN - 8 * TABLE_SPAN;
	long i;

	ASSERT_EQ(0, scanner(1, DELAY, 65536));
	ASSERT_EQ(0, give_advice(self->at, 8 * TABLE_SPAN, ADV_FREEPT));
	fill(self->at, LEN, TABLE_SPAN, 1);
	measure_peak(&self->m);
	ASSERT_EQ(0, give_advice(rest, len, MADV_DONTNEED));
	/* The range loses its tables, one after another: so many laps at least. */
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, give_advice(self->at + i * TABLE_SPAN, TABLE_SPAN, MADV_DONTNEED));
		go_away(self, i + 1);
		EXPECT_LE(self->m.peak - (i + 2) * TABLE_KB, vmpte_kb(0));
	}
	/* One more, for what lies below the same PMD table. */
	nap_ms(DELAY * 50);
	EXPECT_LE(self->m.peak - 9 * TABLE_KB, vmpte_kb(0));
	if (by_budget) {
		ASSERT_EQ(0, pt_limit(GROUP, PT_MAX, GiB));
	} else {
		ASSERT_EQ(0, choose(CHOICE_ENABLE));
	}
	go_away(self, TABLES - 1);
}

TEST_F(hinted, range_first_then_all_by_prctl)
{
	more_is_asked_for(self, false);
}

TEST_F(hinted, range_first_then_all_by_budget)
{
	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_make(GROUP));
	ASSERT_EQ(0, cg_enter(GROUP, getpid()));
	more_is_asked_for(self, true);
	cg_enter("", getpid());
	EXPECT_EQ(0, cg_remove(GROUP));
}

TEST_F(hinted, emptied_while_nobody_took_notes)
{
	fill_and_scan(self);
	ASSERT_EQ(0, write_long(VM_FREEPT, 0));
	ASSERT_EQ(0, give_advice(self->at, LEN, MADV_DONTNEED));
	ASSERT_EQ(0, write_long(VM_FREEPT, 2));
	check_floor(&self->m, 0, self->m.peak);
}

/* A file that another process cuts off, and pages that reclaim takes. */
TEST_F(hinted, truncated_by_another)
{
	int fd = make_memfd(LEN), status;
	char *at = map_at(reserve(LEN), LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct measure m = measure_start(0, at, LEN, TABLES);
	pid_t pid;

	ASSERT_NE(NULL, at);
	fill(at, LEN, TABLE_SPAN, 1);
	measure_peak(&m);
	scanner_passes(2);
	pid = fork_child();
	if (!pid)
		_exit(ftruncate(fd, 0) != 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	check_floor(&m, 0, m.peak);
}

TEST_F(hinted, file_pages_reclaimed)
{
	const size_t len = 32 * TABLE_SPAN;	/* of a ram disk */
	int fd = open(DISK, O_RDONLY | O_CLOEXEC);
	long end = now_ms() + CLEAN_MS, i;
	char *at = map_at(reserve(len), len, PROT_READ, MAP_SHARED, fd, 0);
	struct measure m = measure_start(0, at, len, 32);
	volatile char sum = 0;

	ASSERT_NE(NULL, at) {
		TH_LOG("cannot map 64 MiB of %s: %s", DISK, strerror(errno));
	}
	/* What is read around a fault is mapped with it: not wanted here. */
	ASSERT_EQ(0, give_advice(at, len, MADV_RANDOM));
	stay_on_cpu(0);
	for (i = 0; i < 32; i++)
		sum += at[i * TABLE_SPAN];
	measure_peak(&m);
	scanner_passes(2);
	while (live_entries(0, at, len, NULL) && now_ms() < end)
		ASSERT_EQ(0, give_advice(at, len, MADV_PAGEOUT));
	check_floor(&m, 0, m.peak);
}

/* Pages in swap: the entries go by MADV_DONTNEED, or by MADV_FREE. */
#define swap_entries_go(self, advice) __swap_entries_go(_metadata, self, advice)
static void __swap_entries_go(struct __test_metadata *_metadata, FIXTURE_DATA(hinted) *self,
			      int advice)
{
	long end = now_ms() + CLEAN_MS, i, left;

	ASSERT_EQ(0, swap_on(DISK, 1024));
	stay_on_cpu(0);
	fill(self->at, LEN, TABLE_SPAN, 1);
	measure_peak(&self->m);
	do {
		ASSERT_EQ(0, give_advice(self->at, LEN, MADV_PAGEOUT));
		for (left = i = 0; i < TABLES; i++)
			left += !(pagemap(0, self->at + i * TABLE_SPAN) & PM_SWAPPED);
	} while (left && now_ms() < end);
	ASSERT_EQ(0, left);
	scanner_passes(2);
	EXPECT_EQ(TABLES, live_tables(0, self->at, LEN));
	ASSERT_EQ(0, give_advice(self->at, LEN, advice));
	check_floor(&self->m, 0, self->m.peak);
	EXPECT_EQ(0, swapoff(DISK));
}

TEST_F(hinted, swapped_then_dontneed)
{
	swap_entries_go(self, MADV_DONTNEED);
}

TEST_F(hinted, swapped_then_free)
{
	swap_entries_go(self, MADV_FREE);
}

/* A child begins with no hints, whatever its parent had. */
TEST_F(hinted, in_a_child)
{
	int status = -1;
	pid_t pid;

	fill_and_scan(self);
	pid = fork_child();
	if (!pid) {
		long before = vmpte_kb(0);

		nap_ms(10 * DELAY);
		if (madvise(self->at, LEN, MADV_DONTNEED))
			_exit(2);
		_exit(!wait_vmpte_below(0, before - (TABLES - 1) * TABLE_KB, CLEAN_MS));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LE(self->m.peak, vmpte_kb(0));
	EXPECT_EQ(0, bad_marks(self->at, LEN, TABLE_SPAN, 1));
}

PTFREE_TEST_MAIN(2, DELAY, 65536)
