// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must never be freed: a table with any entry that is not none. Each test
 * builds tables with one kind of entry, empties the rest of the same tables so
 * that they look worth a visit, lets an aggressive scanner go over the process
 * twice (proved by bait, see scanner_passes()), and then checks tables,
 * entries and contents.
 */
#include <setjmp.h>

#include "swap.h"
#include "uffd.h"
#include "uring.h"

#define TABLES		64L
#define LEN		(TABLES * TABLE_SPAN)

/* The slot in table @i that keeps its page: first, last and those between. */
static size_t slot(long i)
{
	return i * TABLE_SPAN + (i * 73 + (i & 1) * 511) % 512 * PAGE;
}

/* A second slot in the same table, to be emptied. */
static size_t other(long i)
{
	return i * TABLE_SPAN + ((slot(i) % TABLE_SPAN) / PAGE + 200) % 512 * PAGE;
}

/* Let the scanner take what is not ours before anything is measured. */
#define kept_start(at, len) __kept_start(_metadata, at, len)
static struct measure __kept_start(struct __test_metadata *_metadata, char *at, size_t len)
{
	scanner_passes(1);
	return measure_start(0, at, len, len / TABLE_SPAN);
}

/* Touch a neighbour in every table and give it back. */
#define make_holes(at) __make_holes(_metadata, at)
static void __make_holes(struct __test_metadata *_metadata, char *at)
{
	long i;

	for (i = 0; i < TABLES; i++) {
		*(volatile char *)(at + other(i)) = 1;
		ASSERT_EQ(0, madvise(at + other(i), PAGE, MADV_DONTNEED));
	}
}

/* Two passes, then @live tables are all there, and nothing else is gone. */
#define check_kept(m, live) __check_kept(_metadata, m, live)
static void __check_kept(struct __test_metadata *_metadata, struct measure *m, long live)
{
	int pass;

	for (pass = 0; pass < 2; pass++) {
		if (pass)
			scanner_passes(2);
		EXPECT_EQ(live, live_tables(0, m->at, m->len));
		EXPECT_LE(m->start + live * TABLE_KB, vmpte_kb(0)) {
			TH_LOG("%s: start %ld kB, %ld live tables",
			       pass ? "after the scanner" : "before the scanner", m->start, live);
		}
	}
}

/* 512 tables, each with one page, in each of the 512 places. */
TEST(one_page_in_every_place)
{
	const size_t len = 512 * TABLE_SPAN;
	char *at = map_anon(len), *p;
	struct measure m;
	long i;

	ASSERT_NE(NULL, at);
	m = kept_start(at, len);
	for (i = 0; i < 512; i++) {
		p = at + i * TABLE_SPAN;
		*(uint64_t *)(p + i * PAGE) = mark_of(p, 1);
		*(volatile char *)(p + (i + 256) % 512 * PAGE) = 1;
		ASSERT_EQ(0, madvise(p + (i + 256) % 512 * PAGE, PAGE, MADV_DONTNEED));
	}
	check_kept(&m, 512);
	EXPECT_EQ(512, live_entries(0, at, len, NULL));
	for (i = 0; i < 512; i++) {
		p = at + i * TABLE_SPAN;
		EXPECT_EQ(mark_of(p, 1), *(uint64_t *)(p + i * PAGE));
	}
}

/* The zero page is a present entry. */
TEST(zero_page)
{
	char *at = map_anon(LEN);
	struct measure m;
	long i;

	ASSERT_NE(NULL, at);
	m = kept_start(at, LEN);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(0, *(volatile char *)(at + slot(i)));
	}
	make_holes(at);
	check_kept(&m, TABLES);
	EXPECT_EQ(TABLES, live_entries(0, at, LEN, NULL));
}

TEST(mlocked)
{
	char *at = map_anon(LEN);
	struct measure m;
	long i;

	ASSERT_NE(NULL, at);
	m = kept_start(at, LEN);
	for (i = 0; i < TABLES; i++) {
		*(uint64_t *)(at + slot(i)) = mark_of(at + slot(i), 1);
		ASSERT_EQ(0, mlock(at + slot(i), PAGE));
	}
	make_holes(at);
	check_kept(&m, TABLES);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(mark_of(at + slot(i), 1), *(uint64_t *)(at + slot(i)));
	}
}

/* What was written through a shared mapping arrives in the file. */
TEST(dirty_shared_file)
{
	int fd = make_memfd(LEN);
	char *at = map_at(reserve(LEN), LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct measure m;
	uint64_t got;
	long i;

	ASSERT_NE(NULL, at);
	m = kept_start(at, LEN);
	for (i = 0; i < TABLES; i++) {
		*(uint64_t *)(at + slot(i)) = mark_of(at + slot(i), 1);
		*(uint64_t *)(at + other(i)) = mark_of(at + other(i), 1);
		ASSERT_EQ(0, madvise(at + other(i), PAGE, MADV_DONTNEED));
	}
	check_kept(&m, TABLES);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(8, pread(fd, &got, 8, slot(i)));
		EXPECT_EQ(mark_of(at + slot(i), 1), got);
		EXPECT_EQ(8, pread(fd, &got, 8, other(i)));
		EXPECT_EQ(mark_of(at + other(i), 1), got);
	}
}

/* Pages that parent and child share until one of them writes. */
TEST(copy_on_write)
{
	char *at = map_anon(LEN);
	struct measure m;
	int status = -1;
	pid_t pid;
	long i;

	ASSERT_NE(NULL, at);
	m = kept_start(at, LEN);
	for (i = 0; i < TABLES; i++)
		*(uint64_t *)(at + slot(i)) = mark_of(at + slot(i), 1);
	make_holes(at);
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		raise(SIGSTOP);
		for (i = 0; i < TABLES; i++)
			if (*(uint64_t *)(at + slot(i)) != mark_of(at + slot(i), 1))
				_exit(1);
		_exit(0);
	}
	ASSERT_TRUE(wait_state(pid, 'T', 5000 * scale));
	check_kept(&m, TABLES);
	EXPECT_EQ(TABLES, live_tables(pid, at, LEN));
	for (i = 0; i < TABLES; i++)
		*(uint64_t *)(at + slot(i)) = mark_of(at + slot(i), 2);
	kill(pid, SIGCONT);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(mark_of(at + slot(i), 2), *(uint64_t *)(at + slot(i)));
	}
}

/*
 * A huge page owns a table that is deposited and in no PMD entry: it must be
 * there when the page is split.
 */
TEST(huge_page)
{
	char thp[128], *on, *at = map_anon(LEN);
	struct measure m;
	size_t i;

	if (read_text(THP_ENABLED, thp, sizeof(thp)) <= 0)
		SKIP(return, "no transparent huge pages in this kernel");
	ASSERT_NE(NULL, at);
	on = strchr(thp, '[');
	*strchr(thp, ']') = 0;
	ASSERT_TRUE(thp_set("always"));
	thp_allow(true);
	m = kept_start(at, LEN);
	fill(at, LEN, PAGE, 1);
	thp_allow(false);
	thp_set(on + 1);
	EXPECT_EQ(LEN / PAGE, live_entries(0, at, LEN, NULL));
	check_kept(&m, TABLES);
	for (i = 0; i < LEN; i += TABLE_SPAN) {
		ASSERT_EQ(0, madvise(at + i, 64 * KiB, MADV_DONTNEED));
	}
	check_kept(&m, TABLES);
	for (i = 0; i < LEN; i += TABLE_SPAN) {
		EXPECT_EQ(0, not_zero(at + i, 64 * KiB, PAGE));
		EXPECT_EQ(0, bad_marks(at + i + 64 * KiB, TABLE_SPAN - 64 * KiB, PAGE, 1));
	}
}

/* Ranges whose tables were freed can be collapsed, those with pages keep them. */
TEST(collapse_beside_freed_tables)
{
	const long few = 16;
	char *at = map_anon(few * TABLE_SPAN);
	long i, done = 0;

	if (access(THP_ENABLED, F_OK))
		SKIP(return, "no transparent huge pages in this kernel");
	ASSERT_NE(NULL, at);
	for (i = 0; i < few; i++) {
		fill(at + i * TABLE_SPAN, TABLE_SPAN, 64 * KiB, 1);
		if (i & 1) {
			ASSERT_EQ(0, madvise(at + i * TABLE_SPAN, TABLE_SPAN, MADV_DONTNEED));
		}
	}
	scanner_passes(1);
	thp_allow(true);
	/* One call may lose to a busy page; that is no failure of the tables. */
	for (i = 0; i < few; i++)
		done += !madvise(at + i * TABLE_SPAN, TABLE_SPAN, MADV_COLLAPSE);
	thp_allow(false);
	EXPECT_LE(few / 2 - 1, done);
	scanner_passes(1);
	for (i = 0; i < few; i++) {
		char *p = at + i * TABLE_SPAN;

		if (i & 1) {
			EXPECT_EQ(0, not_zero(p, TABLE_SPAN, 64 * KiB));
		} else {
			EXPECT_EQ(0, bad_marks(p, TABLE_SPAN, 64 * KiB, 1));
		}
	}
}

/*
 * Swap entries. The lean kernel has no disk; a RAM disk serves where there is
 * one, and where there is none this is said.
 */
TEST(swapped_out)
{
	const char *dev = "/dev/ram0";
	char *at = map_anon(LEN);
	struct measure m;
	long i;
	int err;

	ASSERT_NE(NULL, at);
	if (access(dev, F_OK))
		SKIP(return, "no /dev/ram0 in this kernel (CONFIG_BLK_DEV_RAM): no swap");
	err = swap_on(dev, 0);
	ASSERT_EQ(0, err) {
		TH_LOG("cannot swap on %s: %s", dev, strerror(-err));
	}
	m = kept_start(at, LEN);
	for (i = 0; i < TABLES; i++)
		*(uint64_t *)(at + slot(i)) = mark_of(at + slot(i), 1);
	make_holes(at);
	/* Some may be busy: each is asked for until it is out. */
	for (i = 0; i < TABLES; i++) {
		long end = now_ms() + 5000 * scale;

		while (!(pagemap(0, at + slot(i)) & PM_SWAPPED) && now_ms() < end)
			madvise(at + slot(i), PAGE, MADV_PAGEOUT);
		EXPECT_NE(0, pagemap(0, at + slot(i)) & PM_SWAPPED);
	}
	check_kept(&m, TABLES);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(mark_of(at + slot(i), 1), *(uint64_t *)(at + slot(i)));
	}
	EXPECT_EQ(0, swapoff(dev));
}

/* userfaultfd's write-protect markers, in tables that hold nothing else. */
struct writer {
	char *at;
	long faults;
};

static void *write_slots(void *arg)
{
	struct writer *w = arg;
	long i;

	for (i = 0; i < TABLES; i++)
		*(uint64_t *)(w->at + slot(i)) = mark_of(w->at + slot(i), 2);
	return NULL;
}

static void wp_markers(struct __test_metadata *_metadata, bool shmem)
{
	struct writer w = { 0 };
	struct measure m;
	struct uffd_msg msg;
	pthread_t thread;
	long i;
	char *at;
	int fd;

	fd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
		       UFFD_FEATURE_WP_UNPOPULATED);
	if (fd == -EINVAL)
		SKIP(return, "no userfaultfd write-protect markers in this kernel");
	ASSERT_LE(0, fd) {
		TH_LOG("userfaultfd: %s", strerror(-fd));
	}
	at = shmem ? map_at(reserve(LEN), LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			    make_memfd(LEN), 0) : map_anon(LEN);
	ASSERT_NE(NULL, at);
	m = kept_start(at, LEN);
	ASSERT_EQ(0, uffd_register(fd, at, LEN, UFFDIO_REGISTER_MODE_WP));
	for (i = 0; i < TABLES; i++) {
		/* Half of the markers replace a page, half were never one. */
		if (shmem && i % 2)
			*(uint64_t *)(at + slot(i)) = mark_of(at + slot(i), 1);
		ASSERT_EQ(0, uffd_protect(fd, at + slot(i), PAGE, true));
		if (shmem && i % 2) {
			ASSERT_EQ(0, madvise(at + slot(i), PAGE, MADV_DONTNEED));
		}
	}
	make_holes(at);
	check_kept(&m, TABLES);
	for (i = 0; i < TABLES; i++) {
		EXPECT_NE(0, pagemap(0, at + slot(i)) & PM_WP);
	}
	/* Every write must still be seen. */
	w.at = at;
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_slots, &w));
	for (i = 0; i < TABLES; i++) {
		ASSERT_TRUE(uffd_fault(fd, &msg, 10000 * scale)) {
			TH_LOG("the write to slot %ld was not seen: its marker is lost", i);
		}
		EXPECT_EQ((uintptr_t)at + slot(i), msg.arg.pagefault.address & ~(PAGE - 1));
		ASSERT_EQ(0, uffd_protect(fd, at + slot(i), PAGE, false));
	}
	pthread_join(thread, NULL);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(mark_of(at + slot(i), 2), *(uint64_t *)(at + slot(i)));
	}
}

TEST(uffd_wp_markers_shmem)
{
	wp_markers(_metadata, true);
}

TEST(uffd_wp_markers_anon)
{
	wp_markers(_metadata, false);
}

static sigjmp_buf bus_env;

static void on_bus(int sig)
{
	siglongjmp(bus_env, sig);
}

/* False when the read ends in SIGBUS. */
static bool __attribute__((noinline)) readable(char *at)
{
	if (sigsetjmp(bus_env, 1))
		return false;
	*(volatile char *)at;
	return true;
}

TEST(uffd_poison_markers)
{
	struct sigaction sa = { .sa_handler = on_bus };
	char *at = map_anon(LEN);
	long i, lost = 0;
	struct measure m;
	int fd;

	fd = uffd_open(UFFD_FEATURE_POISON);
	if (fd == -EINVAL)
		SKIP(return, "no UFFDIO_POISON in this kernel");
	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, at);
	m = kept_start(at, LEN);
	for (i = 0; i < TABLES; i++)
		*(volatile char *)(at + other(i)) = 1;
	ASSERT_EQ(0, uffd_register(fd, at, LEN, UFFDIO_REGISTER_MODE_MISSING));
	for (i = 0; i < TABLES; i++) {
		ASSERT_EQ(0, uffd_poison(fd, at + slot(i), PAGE));
		ASSERT_EQ(0, madvise(at + other(i), PAGE, MADV_DONTNEED));
	}
	/* A process may leave userfaultfd and keep its poison. */
	close(fd);
	check_kept(&m, TABLES);
	sigaction(SIGBUS, &sa, NULL);
	for (i = 0; i < TABLES; i++)
		lost += readable(at + slot(i));
	EXPECT_EQ(0, lost) {
		TH_LOG("poisoned pages became readable: their markers are lost");
	}
}

/*
 * A range armed for missing pages: whether its empties are freed is the
 * engine's choice, that the program sees each fault is not.
 */
TEST(uffd_missing)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	struct writer w = { 0 };
	char *at = map_anon(LEN);
	struct uffd_msg msg;
	pthread_t thread;
	long i;
	int fd;

	fd = uffd_open(0);
	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, at);
	fill(at, LEN, TABLE_SPAN / 4, 1);
	ASSERT_EQ(0, uffd_register(fd, at, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, madvise(at, LEN, MADV_DONTNEED));
	scanner_passes(2);
	w.at = at;
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_slots, &w));
	for (i = 0; i < TABLES; i++) {
		ASSERT_TRUE(uffd_fault(fd, &msg, 10000 * scale)) {
			TH_LOG("the fault in slot %ld was not reported", i);
		}
		EXPECT_EQ((uintptr_t)at + slot(i), msg.arg.pagefault.address & ~(PAGE - 1));
		memset(page, i, sizeof(page));
		ASSERT_EQ(0, uffd_copy(fd, at + slot(i), page, 0));
	}
	pthread_join(thread, NULL);
	for (i = 0; i < TABLES; i++) {
		EXPECT_EQ(mark_of(at + slot(i), 2), *(uint64_t *)(at + slot(i)));
		EXPECT_EQ((char)i, at[slot(i) + 8]);
	}
}

/* Entries without a struct page, beside mappings whose pages are gone. */
TEST(pfnmap)
{
	const off_t bios = 0xf0000;
	const size_t len = 64 * KiB;
	static char before[64 * KiB];
	char *at = reserve(TABLE_SPAN), *dev, *anon;
	struct measure m;
	int fd;

	fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no /dev/mem in this kernel");
	ASSERT_NE(NULL, at);
	m = kept_start(at, TABLE_SPAN);
	dev = map_at(at, len, PROT_READ, MAP_SHARED, fd, bios);
	if (!dev && (errno == EPERM || errno == EINVAL))
		SKIP(return, "this kernel does not let /dev/mem be mapped");
	ASSERT_NE(NULL, dev);
	anon = map_at(at + len, TABLE_SPAN - len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(NULL, anon);
	memcpy(before, dev, len);
	fill(anon, TABLE_SPAN - len, 64 * KiB, 1);
	ASSERT_EQ(0, madvise(anon, TABLE_SPAN - len, MADV_DONTNEED));
	/* pagemap passes over such mappings: VmPTE is all there is to look at. */
	EXPECT_LE(m.start + TABLE_KB, vmpte_kb(0));
	scanner_passes(2);
	EXPECT_LE(m.start + TABLE_KB, vmpte_kb(0));
	EXPECT_EQ(0, memcmp(before, dev, len));
}

/* hugetlb has its own entries at PMD level, and reservations without any. */
TEST(hugetlb)
{
	const size_t len = 4 * TABLE_SPAN;
	char *at = reserve(len);
	struct measure m;

	if (write_text("/proc/sys/vm/nr_hugepages", "4") ||
	    read_long("/proc/sys/vm/nr_hugepages") != 4)
		SKIP(return, "no huge pages to be had");
	ASSERT_NE(NULL, at);
	m = kept_start(at, len);
	at = map_at(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		    -1, 0);
	ASSERT_NE(NULL, at);
	fill(at, len / 2, 64 * KiB, 1);
	scanner_passes(2);
	EXPECT_LE(m.start, vmpte_kb(0));
	EXPECT_EQ(0, bad_marks(at, len / 2, 64 * KiB, 1));
	fill(at, len, 64 * KiB, 2);
	scanner_passes(1);
	EXPECT_EQ(0, bad_marks(at, len, 64 * KiB, 2));
	munmap(at, len);
	write_text("/proc/sys/vm/nr_hugepages", "0");
}

/*
 * Pinned pages: io_uring holds them, and reads a file into them. Those that
 * are still mapped show it; those that were given back do no harm.
 */
TEST(pinned)
{
	const size_t len = 4 * TABLE_SPAN;
	char *at = map_anon(len);
	struct iovec iov = { .iov_base = at, .iov_len = len };
	struct io_uring_sqe read = { .opcode = IORING_OP_READ_FIXED };
	struct measure m;
	struct uring r;
	size_t i;
	int fd;

	ASSERT_NE(NULL, at);
	i = -uring_open(&r);
	if (i == ENOSYS || i == EPERM)
		SKIP(return, "no io_uring in this kernel");
	ASSERT_EQ(0, i);
	fd = make_memfd(len);
	ASSERT_LE(0, fd);
	for (i = 0; i < len; i += PAGE) {
		uint64_t mark = mark_of(at + i, 7);

		ASSERT_EQ(8, pwrite(fd, &mark, 8, i));
	}
	m = kept_start(at, len);
	fill(at, len, PAGE, 1);
	ASSERT_EQ(0, uring_register(&r, &iov, 1));
	/* Two tables stay, two lose all their pages while these are pinned. */
	ASSERT_EQ(0, madvise(at + len / 2, len / 2, MADV_DONTNEED));
	check_kept(&m, 2);
	read.fd = fd;
	read.addr = (uintptr_t)at;
	read.len = len;
	ASSERT_EQ((long)len, uring_do(&r, &read));
	EXPECT_EQ(0, bad_marks(at, len / 2, PAGE, 7));
	EXPECT_EQ(0, not_zero(at + len / 2, len / 2, PAGE));
	fill(at, len, PAGE, 8);
	EXPECT_EQ(0, bad_marks(at, len, PAGE, 8));
	close(r.fd);
}

PTFREE_TEST_MAIN(2, 10, SIZE_MAX_MB)
