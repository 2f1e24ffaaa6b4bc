// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every way in which a program can leave PTE tables empty, and for each:
 * the empties are freed, pages that still live keep their contents, and the
 * slots can be used again.
 *
 * With --expect-stock or --expect-off the same program asserts that the tables
 * stay, so that no test passes by itself. With --scanned the scanner has been all
 * through the process before anything is emptied, so that it must be told.
 */
#include "common.h"

/* Of every RUN tables in a row the last one keeps its pages. */
#define RUN		32L
#define TABLES		(8 * RUN)

/* --scanned */
static bool scanned_before;

/* A mapping of @len bytes at @at, and the file behind it, if any. */
struct area {
	char *at;
	size_t len;
	size_t step;	/* one page is touched every @step bytes */
	int fd;
	int shmid;
};

static bool area_anon(struct area *a)
{
	a->at = map_anon(a->len);
	return a->at;
}

static bool area_shared_anon(struct area *a)
{
	a->at = map_at(reserve(a->len), a->len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return a->at;
}

static bool area_memfd(struct area *a)
{
	a->fd = make_memfd(a->len);
	if (a->fd < 0)
		return false;
	a->at = map_at(reserve(a->len), a->len, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	return a->at;
}

static bool area_memfd_private(struct area *a)
{
	a->fd = make_memfd(a->len);
	if (a->fd < 0)
		return false;
	a->at = map_at(reserve(a->len), a->len, PROT_READ | PROT_WRITE, MAP_PRIVATE, a->fd, 0);
	return a->at;
}

static bool area_tmpfs_file(struct area *a)
{
	a->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (a->fd < 0 || ftruncate(a->fd, a->len))
		return false;
	a->at = map_at(reserve(a->len), a->len, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	return a->at;
}

static bool area_sysv(struct area *a)
{
	a->shmid = shmget(IPC_PRIVATE, a->len, IPC_CREAT | SHM_NORESERVE | 0600);
	if (a->shmid < 0)
		return false;
	a->at = shmat(a->shmid, reserve(a->len), 0);
	shmctl(a->shmid, IPC_RMID, NULL);
	if (a->at == (void *)-1)
		a->at = NULL;
	return a->at;
}

/* The ways to empty [at, at + len) of an area. 0 or -errno. */

static int advise(char *at, size_t len, int advice)
{
	return madvise(at, len, advice) ? -errno : 0;
}

static int by_dontneed(struct area *a, char *at, size_t len)
{
	(void)a;
	return advise(at, len, MADV_DONTNEED);
}

/* How allocators purge: many small ranges, none of which covers a table. */
static int by_pieces(struct area *a, char *at, size_t len)
{
	size_t i;
	int err = 0;

	(void)a;
	for (i = 0; i < len && !err; i += 64 * KiB)
		err = advise(at + i, 64 * KiB, MADV_DONTNEED);
	return err;
}

/*
 * Lazily freed pages go when reclaim takes them. They are clean for it, so no
 * swap is needed, and MADV_PAGEOUT is reclaim on demand.
 */
static int by_free(struct area *a, char *at, size_t len)
{
	(void)a;
	return advise(at, len, MADV_FREE) ?: advise(at, len, MADV_PAGEOUT);
}

static int by_remove(struct area *a, char *at, size_t len)
{
	(void)a;
	return advise(at, len, MADV_REMOVE);
}

static int by_punch(struct area *a, char *at, size_t len)
{
	/* FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE */
	return syscall(SYS_fallocate, a->fd, 3, at - a->at, len) ? -errno : 0;
}

static int by_punch_pieces(struct area *a, char *at, size_t len)
{
	size_t i;
	int err = 0;

	for (i = 0; i < len && !err; i += 64 * KiB)
		err = by_punch(a, at + i, 64 * KiB);
	return err;
}

/* Cuts off the whole file and makes it as long again: empties everything. */
static int by_truncate(struct area *a, char *at, size_t len)
{
	(void)at;
	(void)len;
	return ftruncate(a->fd, 0) || ftruncate(a->fd, a->len) ? -errno : 0;
}

/* Moves the pages away and keeps the mapping. Unaligned: no table is moved. */
static int by_mremap(struct area *a, char *at, size_t len)
{
	char *room = mmap(NULL, len + TABLE_SPAN, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *to = room + (TABLE_SPAN - (uintptr_t)room % TABLE_SPAN) % TABLE_SPAN + PAGE;
	int err = 0;

	if (room == MAP_FAILED)
		return -errno;
	if (mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) != to)
		err = -errno;
	munmap(room, len + TABLE_SPAN);
	return err;
}

static int by_dontneed_locked(struct area *a, char *at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += a->step)
		if (mlock(at + i, PAGE))
			return -errno;
	return advise(at, len, MADV_DONTNEED_LOCKED);
}

FIXTURE(way) {
	struct area a;
	char thp[128];
};

FIXTURE_VARIANT(way) {
	bool (*make)(struct area *a);
	int (*empty)(struct area *a, char *at, size_t len);
	const char *thp;	/* what to set transparent huge pages to */
	int advice;		/* madvise() for the mapping */
	size_t step;		/* between touched pages, 0: 128 KiB */
	bool all;		/* empties all, no page can be kept */
	bool contents;		/* the pages remain in a file */
};

#define WAY(name, ...)						\
	FIXTURE_VARIANT_ADD(way, name) { __VA_ARGS__ }

WAY(anon_dontneed, .make = area_anon, .empty = by_dontneed);
WAY(anon_one_page_a_table, .make = area_anon, .empty = by_dontneed, .step = TABLE_SPAN);
WAY(anon_dontneed_64k_pieces, .make = area_anon, .empty = by_pieces);
WAY(anon_free_reclaimed, .make = area_anon, .empty = by_free);
WAY(anon_dontneed_locked, .make = area_anon, .empty = by_dontneed_locked, .step = TABLE_SPAN);
WAY(anon_mremapped_away, .make = area_anon, .empty = by_mremap);
WAY(shared_anon_dontneed, .make = area_shared_anon, .empty = by_dontneed, .contents = true);
WAY(shared_anon_pieces, .make = area_shared_anon, .empty = by_pieces, .contents = true);
WAY(shared_anon_remove, .make = area_shared_anon, .empty = by_remove);
WAY(memfd_dontneed, .make = area_memfd, .empty = by_dontneed, .contents = true);
WAY(memfd_punch_hole, .make = area_memfd, .empty = by_punch);
WAY(memfd_punch_64k_pieces, .make = area_memfd, .empty = by_punch_pieces);
WAY(memfd_truncate, .make = area_memfd, .empty = by_truncate, .all = true);
WAY(private_file_dontneed, .make = area_memfd_private, .empty = by_dontneed);
WAY(private_file_truncate, .make = area_memfd_private, .empty = by_truncate, .all = true);
WAY(shared_file_dontneed, .make = area_tmpfs_file, .empty = by_dontneed, .contents = true);
WAY(shared_file_punch_hole, .make = area_tmpfs_file, .empty = by_punch);
WAY(sysv_shm_dontneed, .make = area_sysv, .empty = by_dontneed, .contents = true);
WAY(thp_always_pieces, .make = area_anon, .empty = by_pieces, .thp = "always");
WAY(thp_always_dontneed, .make = area_anon, .empty = by_dontneed, .thp = "always");
WAY(thp_always_nohugepage, .make = area_anon, .empty = by_dontneed, .thp = "always",
    .advice = MADV_NOHUGEPAGE);
WAY(thp_madvise_pieces, .make = area_anon, .empty = by_pieces, .thp = "madvise",
    .advice = MADV_HUGEPAGE);
WAY(thp_madvise_unadvised, .make = area_anon, .empty = by_pieces, .thp = "madvise");

FIXTURE_SETUP(way)
{
	char *on, *end;

	self->a.fd = -1;
	self->a.step = variant->step ?: 128 * KiB;
	self->a.len = TABLES * TABLE_SPAN;
	if (variant->empty == by_free)
		stay_on_cpu(0);
	if (!variant->thp)
		return;
	if (read_text(THP_ENABLED, self->thp, sizeof(self->thp)) <= 0)
		SKIP(return, "no transparent huge pages in this kernel");
	on = strchr(self->thp, '[');
	end = strchr(self->thp, ']');
	ASSERT_TRUE(on && end);
	*end = 0;
	memmove(self->thp, on + 1, end - on);
	ASSERT_TRUE(thp_set(variant->thp));
	thp_allow(true);
}

FIXTURE_TEARDOWN(way)
{
	if (variant->thp)
		thp_set(self->thp);
}

TEST_F(way, empties_go)
{
	struct area *a = &self->a;
	struct measure m;
	size_t run, emptied = (RUN - 1) * TABLE_SPAN;
	bool huge;

	ASSERT_TRUE(variant->make(a)) {
		TH_LOG("cannot map %zu MiB: %s", a->len / MiB, strerror(errno));
	}
	if (variant->advice) {
		ASSERT_EQ(0, advise(a->at, a->len, variant->advice));
	}
	m = measure_start(0, a->at, a->len, TABLES);
	fill(a->at, a->len, a->step, 1);
	measure_peak(&m);
	/* A huge page has all 512 pages of a table, else only ours are there. */
	if (scanned_before)
		scanner_passes(2);
	huge = pagemap(0, a->at + PAGE) & PM_PRESENT;
	EXPECT_EQ(huge, variant->thp && (variant->advice == MADV_HUGEPAGE ||
					 (variant->advice != MADV_NOHUGEPAGE &&
					  !strcmp(variant->thp, "always"))));

	if (variant->all) {
		ASSERT_EQ(0, variant->empty(a, a->at, a->len));
		check_floor(&m, 0, m.peak);
	} else {
		for (run = 0; run < a->len; run += RUN * TABLE_SPAN) {
			ASSERT_EQ(0, variant->empty(a, a->at + run, emptied));
		}
		/* Who zaps a whole huge page frees its table on any kernel. */
		check_floor(&m, TABLES / RUN, huge && variant->empty == by_dontneed ? 0 : m.peak);
		for (run = emptied; run < a->len; run += RUN * TABLE_SPAN) {
			EXPECT_EQ(0, bad_marks(a->at + run, TABLE_SPAN, a->step, 1));
		}
	}

	/* What was emptied reads as it must, and takes new pages. */
	for (run = 0; run < a->len; run += RUN * TABLE_SPAN) {
		if (variant->contents) {
			EXPECT_EQ(0, bad_marks(a->at + run, emptied, a->step, 1));
		} else {
			EXPECT_EQ(0, not_zero(a->at + run, emptied, a->step));
		}
	}
	fill(a->at, a->len, a->step, 2);
	EXPECT_EQ(0, bad_marks(a->at, a->len, a->step, 2));
}

/* Lazily freed by the process itself, taken by reclaim of its cgroup. */
TEST(free_then_cgroup_reclaim)
{
	const size_t len = TABLES * TABLE_SPAN;
	struct measure m;
	char *at;
	int i;

	if (!have_memcg())
		SKIP(return, "no memory controller");
	ASSERT_EQ(0, cg_make("empty"));
	ASSERT_EQ(0, cg_enter("empty", getpid()));
	at = map_anon(len);
	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	fill(at, len, 128 * KiB, 1);
	measure_peak(&m);
	if (scanned_before)
		scanner_passes(2);
	ASSERT_EQ(0, madvise(at, len, MADV_FREE));
	/* Pages wait in per-CPU batches: what reclaim leaves is asked for again. */
	for (i = 0; i < 50 && live_entries(0, at, len, NULL) > 16; i++) {
		cg_write("empty", "memory.reclaim", "32M");
		nap_ms(20);
	}
	EXPECT_GE(32, live_entries(0, at, len, NULL));
	/* At most the batches are left, see above. */
	check_floor(&m, live_tables(0, at, len), m.peak);
	EXPECT_GE(32, live_tables(0, at, len));
	cg_enter("", getpid());
	EXPECT_EQ(0, cg_remove("empty"));
}

/* Another process empties our tables: process_madvise(MADV_PAGEOUT). */
TEST(paged_out_by_another)
{
	const size_t len = TABLES * TABLE_SPAN;
	struct iovec iov = { .iov_len = len };
	struct measure m;
	int done[2], pidfd;
	char *at = map_anon(len), c;

	ASSERT_NE(NULL, at);
	ASSERT_EQ(0, pipe(done));
	stay_on_cpu(0);
	m = measure_start(0, at, len, TABLES);
	m.pid = fork_child();
	ASSERT_LE(0, m.pid);
	if (!m.pid) {
		fill(at, len, 128 * KiB, 1);
		if (madvise(at, len, MADV_FREE) || write(done[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(wait_byte(done[0], &c, 20000 * scale));
	measure_peak(&m);
	pidfd = syscall(SYS_pidfd_open, m.pid, 0);
	ASSERT_LE(0, pidfd);
	iov.iov_base = at;
	ASSERT_EQ((long)len, syscall(SYS_process_madvise, pidfd, &iov, 1UL, MADV_PAGEOUT, 0U));
	check_floor(&m, 0, m.peak);
	close(pidfd);
	reap(m.pid);
}

/*
 * Empty, full, empty again, many times: what is freed is found again, and what
 * is in use at the moment of a pass is not lost.
 */
TEST(again_and_again)
{
	const size_t len = TABLES * TABLE_SPAN;
	struct measure m;
	char *at = map_anon(len);
	int i;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, len, TABLES);
	for (i = 0; i < 50; i++) {
		fill(at, len, TABLE_SPAN / 2, i);
		EXPECT_EQ(0, bad_marks(at, len, TABLE_SPAN / 2, i));
		if (i == 49)
			measure_peak(&m);
		ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
		nap_ms(i % 7 * 10);
	}
	/* It was seen that this does harm, and the scanner waits: until it is told anew. */
	if (expectation == EXPECT_FREED)
		ASSERT_EQ(0, scanner(2, scanned_before ? 20 : 100, 65536));
	check_floor(&m, 0, m.peak);
	EXPECT_EQ(0, not_zero(at, len, TABLE_SPAN / 2));
}

int main(int argc, char **argv)
{
	int err, i, n = 1;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--scanned"))
			scanned_before = true;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	/* Laps that go by before a test begins need not be long ones. */
	err = common_setup(&n, argv, 2, scanned_before ? 20 : 100, 65536);
	if (err)
		return err;
	atexit(common_teardown);
	return test_harness_run(n, argv);
}
