// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork() does not copy empty tables, and copies everything else: entries at
 * either end and in the middle of a table, swap entries, pages of private files,
 * markers of userfaultfd, mappings that begin and end within a table.
 *
 * The parent's figures are those of the child with --expect-stock, but its
 * contents are the same there. All of it runs with vm.freept=0, and holds with
 * freept=off as well: fork has nothing to free.
 */
#include "swap.h"
#include "switches.h"
#include "uffd.h"

#define EMPTIES		16384L		/* 64 MiB of tables */
#define PAGES		512L		/* entries of a table */

/* Tables that a child has of its own: stack, heap, programs; measured by a bare one. */
#define BLUR_KB		32L

struct answer {
	long vmpte;
	long bad;
};

/*
 * A child that says how much page table it was born with and how many places it
 * finds to be wrong, by @check.
 */
static struct answer ask_child(long (*check)(void *arg), void *arg)
{
	struct answer a = { -1, -1 };
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return a;
	pid = fork_child();
	if (!pid) {
		a.vmpte = vmpte_kb(0);
		a.bad = check ? check(arg) : 0;
		_exit(write(fds[1], &a, sizeof(a)) != sizeof(a));
	}
	close(fds[1]);
	if (pid < 0 || read(fds[0], &a, sizeof(a)) != sizeof(a))
		a.bad = -1;
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return a;
}

/* A child as it is while we have nothing special. */
static long bare_child(void)
{
	return ask_child(NULL, NULL).vmpte;
}

/*
 * The child has @bare kB, tables for what it must have, and on a stock kernel
 * those that are empty as well.
 */
#define child_has(a, bare, live, empty) __child_has(_metadata, a, bare, live, empty)
static void __child_has(struct __test_metadata *_metadata, struct answer *a, long bare, long live,
			long empty)
{
	long kb = bare + live * TABLE_KB;

	if (expectation == EXPECT_STOCK)
		kb += empty * TABLE_KB;
	EXPECT_LE(kb, a->vmpte);
	EXPECT_GE(kb + BLUR_KB + upper_kb(NULL, (live + empty) * TABLE_SPAN), a->vmpte) {
		TH_LOG("the child has %ld kB, a bare one %ld kB; %ld tables are in use, %ld empty",
		       a->vmpte, bare, live, empty);
	}
	EXPECT_EQ(0, a->bad);
}

FIXTURE(parent) {
	long bare;
};

FIXTURE_SETUP(parent)
{
	ASSERT_EQ(0, scanner(0, 100, 65536));
	self->bare = bare_child();
	ASSERT_LT(0, self->bare);
}

FIXTURE_TEARDOWN(parent) { }

static long check_zero(void *arg)
{
	return not_zero(arg, EMPTIES * TABLE_SPAN, 64 * TABLE_SPAN);
}

TEST_F(parent, of_64_MiB_of_empties)
{
	const size_t len = EMPTIES * TABLE_SPAN;
	char *at = map_anon(len);
	struct answer a;
	long before;
	int i;

	ASSERT_NE(NULL, at);
	/*
	 * Zero pages do: a table a touch, and no memory. But of a mapping that was
	 * never written to, no kernel copies anything.
	 */
	*(volatile char *)at = 1;
	for (i = 0; i < EMPTIES; i++)
		(void)*(volatile char *)(at + i * TABLE_SPAN);
	ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
	before = vmpte_kb(0);
	EXPECT_LE(EMPTIES * TABLE_KB, before);
	for (i = 0; i < 8; i++) {
		a = ask_child(NULL, NULL);
		child_has(&a, self->bare, 0, EMPTIES);
	}
	/* Reading brings back some; the parent keeps what it has. */
	a = ask_child(check_zero, at);
	EXPECT_EQ(0, a.bad);
	EXPECT_EQ(before, vmpte_kb(0));
}

/*
 * One entry a table, at a place that goes through all of them: 512 tables, with
 * as many empty ones in between.
 */
static long check_places(void *arg)
{
	char *at = arg;
	long i, bad = 0;

	for (i = 0; i < PAGES; i++) {
		char *page = at + 2 * i * TABLE_SPAN + i * PAGE;

		bad += *(volatile uint64_t *)page != mark_of(page, 7);
		/* And what is beside it is none. */
		bad += live_entries(0, at + 2 * i * TABLE_SPAN, TABLE_SPAN, NULL) != 1;
		bad += live_entries(0, at + (2 * i + 1) * TABLE_SPAN, TABLE_SPAN, NULL) != 0;
	}
	return bad;
}

TEST_F(parent, an_entry_anywhere)
{
	const size_t len = 2 * PAGES * TABLE_SPAN;
	char *at = map_anon(len);
	struct answer a;
	long i;

	ASSERT_NE(NULL, at);
	fill(at, len, TABLE_SPAN, 1);
	ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
	for (i = 0; i < PAGES; i++)
		fill(at + 2 * i * TABLE_SPAN + i * PAGE, PAGE, PAGE, 7);
	a = ask_child(check_places, at);
	child_has(&a, self->bare, PAGES, PAGES);
	EXPECT_EQ(0, check_places(at));
}

/* Holes of all sizes between entries, in one table, against a copy kept aside. */
static long check_pattern(void *arg)
{
	char *at = arg;
	long i, bad = 0;

	for (i = 0; i < PAGES; i++) {
		bool there = (i * i / 7 + i / 5) % 3 == 0;
		uint64_t e = pagemap(0, at + i * PAGE);

		bad += there != !!(e & PM_PRESENT);
		if (there)
			bad += *(volatile uint64_t *)(at + i * PAGE) != mark_of(at + i * PAGE, 2);
	}
	return bad;
}

TEST_F(parent, holes_of_all_sizes)
{
	char *at = map_anon(TABLE_SPAN);
	struct answer a;
	long i;

	for (i = 0; i < PAGES; i++)
		if ((i * i / 7 + i / 5) % 3 == 0)
			fill(at + i * PAGE, PAGE, PAGE, 2);
	ASSERT_EQ(0, check_pattern(at));
	a = ask_child(check_pattern, at);
	child_has(&a, self->bare, 1, 0);
}

/*
 * Mappings that begin and end inside of tables, several to a table, with and
 * without entries, and one that is not copied at all.
 */
#define PART	(PAGES / 8 * PAGE)

static long check_parts(void *arg)
{
	char *at = arg;
	long i, bad = 0;

	for (i = 0; i < 64; i++) {
		char *part = at + i * PART;

		if (i % 8 == 5)
			continue;	/* MADV_DONTFORK */
		if (i % 8 == 2 || i / 8 == 3)
			bad += live_entries(0, part, PART, NULL) != 0;
		else
			bad += bad_marks(part + PAGE, PART - PAGE, 3 * PAGE, 4);
	}
	return bad;
}

TEST_F(parent, parts_of_tables)
{
	char *at = map_anon(8 * TABLE_SPAN);
	struct answer a;
	long i;

	ASSERT_NE(NULL, at);
	fill(at, 8 * TABLE_SPAN, TABLE_SPAN, 1);
	ASSERT_EQ(0, madvise(at, 8 * TABLE_SPAN, MADV_DONTNEED));
	for (i = 0; i < 64; i++) {
		char *part = at + i * PART;

		/* Not made one with its neighbours. */
		ASSERT_EQ(0, mprotect(part, PART, i % 2 ? PROT_READ | PROT_WRITE | PROT_EXEC :
				      PROT_READ | PROT_WRITE));
		if (i % 8 == 5) {
			ASSERT_EQ(0, madvise(part, PART, MADV_DONTFORK));
		}
		if (i % 8 != 2 && i / 8 != 3)
			fill(part + PAGE, PART - PAGE, 3 * PAGE, 4);
	}
	a = ask_child(check_parts, at);
	/* The fourth table has nothing but what is not copied. */
	child_has(&a, self->bare, 7, 1);
	EXPECT_EQ(0, check_parts(at));
}

/* Pages of a private file that were written are nowhere else. */
static long check_private(void *arg)
{
	return bad_marks((char *)arg + 3 * TABLE_SPAN, TABLE_SPAN, 16 * PAGE, 5);
}

TEST_F(parent, private_file)
{
	int fd = make_memfd(8 * TABLE_SPAN);
	struct answer a;
	char *at;

	at = map_at(reserve(8 * TABLE_SPAN), 8 * TABLE_SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		    fd, 0);
	ASSERT_NE(NULL, at);
	fill(at, 8 * TABLE_SPAN, 16 * PAGE, 5);
	ASSERT_EQ(0, madvise(at, 3 * TABLE_SPAN, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(at + 4 * TABLE_SPAN, 4 * TABLE_SPAN, MADV_DONTNEED));
	a = ask_child(check_private, at);
	child_has(&a, self->bare, 1, 7);
	EXPECT_EQ(0, check_private(at));
}

/* Swap entries: in the first, the last and a middle place, alone in their tables. */
static const char ram_disk[] = "/dev/ram0";

static const long swap_place[] = { 0, 511, 255, 8, 7 };

static char *swap_page(char *at, size_t i)
{
	return at + 2 * i * TABLE_SPAN + swap_place[i] * PAGE;
}

static long check_swapped(void *arg)
{
	long bad = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(swap_place); i++) {
		char *page = swap_page(arg, i);

		bad += !(pagemap(0, page) & PM_SWAPPED);
	}
	for (i = 0; i < ARRAY_SIZE(swap_place); i++)
		bad += bad_marks(swap_page(arg, i), PAGE, PAGE, 9);
	return bad;
}

TEST_F(parent, swap_entries)
{
	const long tables = 2 * ARRAY_SIZE(swap_place);
	char *at = map_anon(tables * TABLE_SPAN);
	long end = now_ms() + 10000 * scale;
	struct answer a;
	size_t i;

	ASSERT_NE(NULL, at);
	if (expectation == EXPECT_STOCK && access(ram_disk, F_OK))
		SKIP(return, "no ram disk in this kernel");
	ASSERT_EQ(0, swap_on(ram_disk, 1024)) {
		TH_LOG("no swap on %s", ram_disk);
	}
	stay_on_cpu(0);
	for (i = 0; i < ARRAY_SIZE(swap_place); i++) {
		char *page = swap_page(at, i);

		/* An empty table after each. */
		fill(at + (2 * i + 1) * TABLE_SPAN, PAGE, PAGE, 1);
		ASSERT_EQ(0, madvise(at + (2 * i + 1) * TABLE_SPAN, PAGE, MADV_DONTNEED));
		fill(page, PAGE, PAGE, 9);
		while (!(pagemap(0, page) & PM_SWAPPED)) {
			ASSERT_EQ(0, madvise(page, PAGE, MADV_PAGEOUT));
			ASSERT_GT(end, now_ms());
		}
	}
	a = ask_child(check_swapped, at);
	child_has(&a, self->bare, tables / 2, tables / 2);
	/* They are still swapped out here, and come back whole. */
	EXPECT_EQ(0, check_swapped(at));
	EXPECT_EQ(0, swapoff(ram_disk));
	EXPECT_EQ(0, bad_marks(swap_page(at, 1), PAGE, PAGE, 9));
}

/*
 * userfaultfd: what is protected against writing must be so in the child as well
 * where it follows (UFFD_FEATURE_EVENT_FORK): a page, and a marker where there is
 * no page. The child's descriptor comes with the event.
 */
static void *read_fork_event(void *arg)
{
	struct uffd_msg msg;
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	if (poll(&p, 1, 20000 * scale) != 1 || read(p.fd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_FORK)
		return NULL;
	return (void *)(long)msg.arg.fork.ufd;
}

static long check_protected(void *arg)
{
	char *at = arg;

	/* The page, the marker beyond the end of a table, and none in between. */
	return !(pagemap(0, at) & PM_WP) + !(pagemap(0, at + 2 * TABLE_SPAN - PAGE) & PM_WP) +
	       !!(pagemap(0, at + 3 * TABLE_SPAN) & PM_WP);
}

TEST_F(parent, write_protection_and_markers)
{
	int fd = uffd_open(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			   UFFD_FEATURE_WP_UNPOPULATED);
	char *at = map_anon(4 * TABLE_SPAN);
	pthread_t thread;
	struct answer a;
	void *child_fd;

	ASSERT_LE(0, fd);
	fill(at, 4 * TABLE_SPAN, TABLE_SPAN, 1);
	ASSERT_EQ(0, madvise(at + PAGE, 4 * TABLE_SPAN - PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, uffd_register(fd, at, 4 * TABLE_SPAN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_protect(fd, at, PAGE, true));
	/* Nothing was ever there: a marker, alone in its table, in its last place. */
	ASSERT_EQ(0, uffd_protect(fd, at + 2 * TABLE_SPAN - PAGE, PAGE, true));
	ASSERT_EQ(0, check_protected(at));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_fork_event, &fd));
	a = ask_child(check_protected, at);
	ASSERT_EQ(0, pthread_join(thread, &child_fd));
	ASSERT_NE(NULL, child_fd);
	close((long)child_fd);
	child_has(&a, self->bare, 2, 2);
	EXPECT_EQ(0, check_protected(at));
	close(fd);
}

/* Shared memory is faulted in by the child: no table for it, as on any kernel. */
static long check_shared(void *arg)
{
	return bad_marks(arg, 8 * TABLE_SPAN, TABLE_SPAN, 6);
}

TEST_F(parent, shared_memory)
{
	char *at = map_at(reserve(8 * TABLE_SPAN), 8 * TABLE_SPAN, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct answer a;

	fill(at, 8 * TABLE_SPAN, TABLE_SPAN, 6);
	a = ask_child(check_shared, at);
	EXPECT_GE(self->bare + BLUR_KB, a.vmpte);
	EXPECT_EQ(0, a.bad);
}

/* Parent and child write after the fork: each has its own. */
static long check_own(void *arg)
{
	char *at = arg;
	long bad = bad_marks(at, 16 * TABLE_SPAN, 4 * TABLE_SPAN, 1);

	fill(at, 16 * TABLE_SPAN, TABLE_SPAN, 2);
	return bad + bad_marks(at, 16 * TABLE_SPAN, TABLE_SPAN, 2);
}

TEST_F(parent, and_child_are_apart)
{
	char *at = map_anon(16 * TABLE_SPAN);
	struct answer a;
	long i;

	fill(at, 16 * TABLE_SPAN, TABLE_SPAN, 1);
	for (i = 0; i < 16; i++)
		if (i % 4) {
			ASSERT_EQ(0, madvise(at + i * TABLE_SPAN, TABLE_SPAN, MADV_DONTNEED));
		}
	a = ask_child(check_own, at);
	child_has(&a, self->bare, 4, 12);
	EXPECT_EQ(0, bad_marks(at, 16 * TABLE_SPAN, 4 * TABLE_SPAN, 1));
	EXPECT_EQ(0, not_zero(at + TABLE_SPAN, 3 * TABLE_SPAN, TABLE_SPAN));
}

/* A child of a child, and all over again: what is passed on is what there is. */
TEST_F(parent, generations)
{
	char *at = map_anon(64 * TABLE_SPAN);
	int status = -1, i;
	pid_t pid;

	fill(at, 64 * TABLE_SPAN, TABLE_SPAN, 1);
	pid = fork_child();
	for (i = 1; !pid && i <= 8; i++) {
		long before = vmpte_kb(0), bare_kb;

		if (bad_marks(at + i * TABLE_SPAN, (64 - i) * TABLE_SPAN, TABLE_SPAN, 1))
			_exit(1);
		if (madvise(at, i * TABLE_SPAN, MADV_DONTNEED))
			_exit(2);
		pid = fork();
		if (pid) {
			waitpid(pid, &status, 0);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
		}
		/* One table less in each generation, but on a stock kernel. */
		bare_kb = vmpte_kb(0);
		if (expectation == EXPECT_STOCK ? bare_kb != before : bare_kb > before - TABLE_KB)
			_exit(4);
		if (i == 8)
			_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

PTFREE_TEST_MAIN(0, 100, 65536)
