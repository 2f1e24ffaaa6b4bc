// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables that vanish while the kernel is in the middle of something with them: what
 * looks for such moments one kind at a time, and more often than torture.c does.
 * Explicit requests, MADV_PT_RECLAIM, free at once what is empty, as fast as one
 * thread can ask.
 */
#include "cghold.h"
#include "switches.h"
#include "uffd.h"

#define TABLES		16L
#define LEN		(TABLES * TABLE_SPAN)
#define RACE_MS		(3000L * scale)
#define GROUP	"vanish"

/* Some of the threads that make one race */
struct racer {
	pthread_t thread;
	char *at;
	size_t len;
	int fd;
	long rounds, wrong;
	const char *what;
};

static atomic_bool stop;

static bool go_on(struct racer *r)
{
	return !atomic_load(&stop) && !r->wrong;
}

/* The first thing that goes wrong ends the race. */
static void wrong(struct racer *r, const char *what)
{
	r->what = what;
	r->wrong++;
	atomic_store(&stop, true);
}

static void *ask(void *arg)
{
	struct racer *r = arg;
	int err;

	for (; go_on(r); r->rounds++) {
		err = give_advice(r->at, r->len, ADV_PT_RECLAIM);
		if (err && err != -EAGAIN && err != -EINTR)
			wrong(r, "MADV_PT_RECLAIM");
	}
	return NULL;
}

#define race(racers, fns, n) __race(_metadata, racers, fns, n)
static void __race(struct __test_metadata *_metadata, struct racer *racers,
		   void *(*const *fns)(void *), int n)
{
	long end = now_ms() + RACE_MS, told = 0;
	int i;

	atomic_store(&stop, false);
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, fns[i], &racers[i]));
	while (now_ms() < end && !atomic_load(&stop)) {
		/* Who uses again what was freed is left alone after a while, until told anew. */
		if (!(told++ % 20) && expectation == EXPECT_FREED)
			scanner(2, 10, SIZE_MAX_MB);
		nap_ms(10);
	}
	atomic_store(&stop, true);
	for (i = 0; i < n; i++) {
		pthread_join(racers[i].thread, NULL);
		EXPECT_EQ(0, racers[i].wrong) {
			TH_LOG("racer %d: %s, round %ld", i, racers[i].what, racers[i].rounds);
		}
		EXPECT_LT(0, racers[i].rounds);
	}
	TH_LOG("rounds: %ld and %ld", racers[0].rounds, racers[n - 1].rounds);
}

/*
 * Two walkers in one mm: the background looks at what requests unlink, and leaves
 * its mark on it late.
 */
static void *fill_and_empty(void *arg)
{
	struct racer *r = arg;
	size_t i;

	for (; go_on(r); r->rounds++) {
		fill(r->at, r->len, 64 * KiB, r->rounds);
		if (bad_marks(r->at, r->len, 64 * KiB, r->rounds)) {
			wrong(r, "a page is not what was written");
			break;
		}
		for (i = 0; i < r->len; i += 64 * KiB)
			if (madvise(r->at + i, 64 * KiB, MADV_DONTNEED))
				wrong(r, "MADV_DONTNEED");
		/* Empty for two looks of the background at times */
		if (!(r->rounds % 4))
			nap_ms(30);
	}
	return NULL;
}

TEST(two_walkers)
{
	static void *(*const fns[])(void *) = { ask, ask, fill_and_empty, fill_and_empty };
	struct racer racers[4] = { 0 };
	char *at = map_anon(2 * LEN);
	long freed = vmstat("ptfree");
	int i;

	if (expectation != EXPECT_FREED)
		SKIP(return, "nobody walks");
	ASSERT_NE(NULL, at);
	for (i = 0; i < 4; i++)
		racers[i] = (struct racer){ .at = at + i % 2 * LEN, .len = LEN };
	race(racers, fns, 4);
	/* a round of one of them at the least, on a kernel that is slow as well */
	EXPECT_LT(20, vmstat("ptfree") - freed);
}

/*
 * A huge page in a file takes the tables of all that map it: of one that maps it a
 * second time, and empties and gives up its own table meanwhile.
 */
static void *collapse_file(void *arg)
{
	struct racer *r = arg;
	static char buf[TABLE_SPAN];
	size_t i;

	memset(buf, 0x5a, sizeof(buf));
	for (; go_on(r); r->rounds++) {
		if (fallocate(r->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, r->len)) {
			wrong(r, "fallocate");
			break;
		}
		for (i = 0; i < r->len; i += sizeof(buf))
			if (pwrite(r->fd, buf, sizeof(buf), i) != sizeof(buf))
				wrong(r, "pwrite");
		/* It may find a page busy: that is its right. */
		madvise(r->at, r->len, MADV_COLLAPSE);
		for (i = 0; i < r->len; i += PAGE)
			if (*(volatile unsigned char *)(r->at + i) != 0x5a) {
				wrong(r, "a page is not what was written");
				break;
			}
	}
	return NULL;
}

static void *map_and_empty(void *arg)
{
	struct racer *r = arg;
	size_t i;

	for (; go_on(r); r->rounds++) {
		for (i = 0; i < r->len; i += TABLE_SPAN / 2)
			(void)*(volatile char *)(r->at + i);
		if (madvise(r->at, r->len, MADV_DONTNEED))
			wrong(r, "MADV_DONTNEED");
		give_advice(r->at, r->len, ADV_PT_RECLAIM);
	}
	return NULL;
}

/*
 * While a page of the file is replaced, a fault waits for it, and with it who would
 * empty the table next. What was mapped there before is unmapped by then: the table
 * is empty, and there is somebody else to ask for it, now and then only, or it would
 * be gone before it is looked at.
 */
static void *ask_at_times(void *arg)
{
	struct racer *r = arg;

	for (; go_on(r); r->rounds++) {
		give_advice(r->at, r->len, ADV_PT_RECLAIM);
		nap_ms(r->rounds % 16);
	}
	return NULL;
}

TEST(retract)
{
	static void *(*const fns[])(void *) = { collapse_file, map_and_empty, ask_at_times };
	const size_t len = 2 * TABLE_SPAN;
	struct racer racers[3] = { 0 };
	int i, fd = make_memfd(len);

	ASSERT_LE(0, fd);
	thp_allow(true);
	for (i = 0; i < 2; i++) {
		racers[i] = (struct racer){ .len = len, .fd = fd };
		racers[i].at = map_at(reserve(len), len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(NULL, racers[i].at);
	}
	ASSERT_EQ(0, madvise(racers[1].at, len, MADV_NOHUGEPAGE));
	racers[2] = racers[1];
	race(racers, fns, 3);
	thp_allow(false);
	close(fd);
}

/*
 * A huge page of a file that is mapped by a table, which is to be replaced: it is
 * empty for a moment.
 */
static void *collapse_mapped(void *arg)
{
	struct racer *r = arg;
	size_t i;

	for (; go_on(r); r->rounds++) {
		thp_allow(false);
		if (madvise(r->at, r->len, MADV_DONTNEED))
			wrong(r, "MADV_DONTNEED");
		for (i = 0; i < r->len; i += 16 * PAGE)
			if (*(volatile uint64_t *)(r->at + i) != mark_of(r->at + i, 1)) {
				wrong(r, "a page is not what was written, by a table");
				return NULL;
			}
		thp_allow(true);
		madvise(r->at, r->len, MADV_COLLAPSE);
		for (i = 0; i < r->len; i += 16 * PAGE)
			if (*(volatile uint64_t *)(r->at + i) != mark_of(r->at + i, 1)) {
				wrong(r, "a page is not what was written, by a huge page");
				return NULL;
			}
	}
	return NULL;
}

TEST(collapse_of_what_is_mapped)
{
	static void *(*const fns[])(void *) = { collapse_mapped, ask };
	const size_t len = 4 * TABLE_SPAN;
	struct racer racers[2] = { 0 };
	int i, fd = make_memfd(len);
	char *at;

	ASSERT_LE(0, fd);
	at = map_at(reserve(len), len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(NULL, at);
	fill(at, len, PAGE, 1);
	thp_allow(true);
	if (madvise(at, len, MADV_COLLAPSE))
		SKIP(return, "no huge pages in shared memory here");
	for (i = 0; i < 2; i++)
		racers[i] = (struct racer){ .at = at, .len = len, .fd = fd };
	race(racers, fns, 2);
	EXPECT_EQ(0, bad_marks(at, len, PAGE, 1));
	thp_allow(false);
	close(fd);
}

/*
 * UFFDIO_MOVE and UFFDIO_COPY into a table that is there, and empty. The range is
 * armed, which should be enough to keep the table; if not, the calls notice.
 */
static void *put_and_empty(void *arg, bool move)
{
	struct racer *r = arg;
	static char page[PAGE] __attribute__((aligned(4096)));
	long end = now_ms() + RACE_MS;
	char *src = map_anon(TABLE_SPAN);

	if (!src)
		wrong(r, "mmap");
	for (; go_on(r); r->rounds++) {
		uint64_t want = r->rounds + 1;
		int err;

		if (uffd_register(r->fd, r->at, r->len, UFFDIO_REGISTER_MODE_MISSING)) {
			wrong(r, "UFFDIO_REGISTER");
			break;
		}
		do {
			*(volatile uint64_t *)src = want;
			*(uint64_t *)page = want;
			err = move ? uffd_move(r->fd, r->at, src, 0) :
				     uffd_copy(r->fd, r->at, page, 0);
		} while ((err == -EAGAIN || err == -EBUSY) && now_ms() < 2 * end);
		if (err)
			wrong(r, strerror(-err));
		else if (ioctl(r->fd, UFFDIO_UNREGISTER,
			       &(struct uffdio_range){ (uintptr_t)r->at, r->len }))
			wrong(r, "UFFDIO_UNREGISTER");
		else if (*(volatile uint64_t *)r->at != want)
			wrong(r, "the page is lost");
		/* the table stays, empty, until somebody asks for it */
		if (madvise(r->at, r->len, MADV_DONTNEED))
			wrong(r, "MADV_DONTNEED");
	}
	return NULL;
}

static void *move_and_empty(void *arg)
{
	return put_and_empty(arg, true);
}

static void *copy_and_empty(void *arg)
{
	return put_and_empty(arg, false);
}

#define put_race(fn) __put_race(_metadata, fn)
static void __put_race(struct __test_metadata *_metadata, void *(*fn)(void *))
{
	void *(*const fns[])(void *) = { fn, ask };
	struct racer racers[2] = { 0 };
	int i, fd = uffd_open(UFFD_FEATURE_MOVE);
	char *at = map_anon(TABLE_SPAN);

	if (fd == -EINVAL)
		SKIP(return, "this kernel's userfaultfd cannot move pages");
	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, at);
	for (i = 0; i < 2; i++)
		racers[i] = (struct racer){ .at = at, .len = TABLE_SPAN, .fd = fd };
	race(racers, fns, 2);
	close(fd);
}

TEST(move)
{
	put_race(move_and_empty);
}

TEST(copy)
{
	put_race(copy_and_empty);
}

/*
 * A table that was freed keeps huge pages out for a while, as if it were there: who
 * touches little gets little.
 */
TEST(no_huge_page_where_a_table_was)
{
	static const char none[] =
		"/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none";
	char thp[128], *on, *end, *at = map_anon(LEN);
	long i, huge = 0, most;

	if (read_text(THP_ENABLED, thp, sizeof(thp)) <= 0)
		SKIP(return, "no transparent huge pages in this kernel");
	on = strchr(thp, '[') + 1;
	end = strchr(on, ']');
	*end = 0;
	ASSERT_NE(NULL, at);
	fill(at, LEN, TABLE_SPAN, 1);
	ASSERT_EQ(0, madvise(at, LEN, MADV_DONTNEED));
	if (expectation == EXPECT_FREED) {
		ASSERT_EQ(0, give_advice(at, LEN, ADV_PT_RECLAIM));
	}
	/* khugepaged, which may come by on a slow kernel, is not what is looked at */
	most = read_long(none);
	ASSERT_EQ(0, write_long(none, 0));
	ASSERT_TRUE(thp_set("always"));
	thp_allow(true);
	fill(at, LEN, TABLE_SPAN, 2);
	thp_allow(false);
	thp_set(on);
	ASSERT_EQ(0, write_long(none, most));
	for (i = 0; i < TABLES; i++)
		huge += !!(pagemap(0, at + i * TABLE_SPAN + PAGE) & PM_PRESENT);
	EXPECT_EQ(0, huge);
	EXPECT_EQ(0, bad_marks(at, LEN, TABLE_SPAN, 2));
}

/* kfreept does not wait for one who has his mmap lock held: others get their turn. */
TEST(sleeper_beside_a_held_lock)
{
	const long tables = 64;
	struct cg_child sleeper = { 0 };
	struct holder h = { 0 };
	long floor;

	if (expectation != EXPECT_FREED || !have_memcg())
		SKIP(return, "nobody comes");
	/* Nothing yet: the holder is there first, and visited first. */
	ASSERT_EQ(0, scanner(0, 100, SIZE_MAX_MB));
	ASSERT_EQ(0, cg_make(GROUP));
	ASSERT_EQ(0, hold_start(&h, GROUP, tables));
	ASSERT_EQ(0, cg_child_do(&h.c, 'f', tables));
	ASSERT_EQ(0, cg_child_do(&h.c, 'e', tables));
	ASSERT_EQ(0, cg_child_start(&sleeper, GROUP, tables));
	floor = vmpte_kb(sleeper.pid);
	ASSERT_EQ(0, cg_child_do(&sleeper, 'f', tables));
	ASSERT_EQ(0, cg_child_do(&sleeper, 'e', tables));
	ASSERT_EQ(0, hold_lock(&h));
	ASSERT_EQ(0, scanner(2, 100, SIZE_MAX_MB));
	EXPECT_TRUE(wait_vmpte_below(sleeper.pid, floor + 4 * TABLE_KB, CLEAN_MS)) {
		TH_LOG("%ld kB of page tables, %ld kB before they were filled",
		       vmpte_kb(sleeper.pid), floor);
	}
	hold_end(&h);
	cg_child_end(&sleeper);
	EXPECT_EQ(0, cg_remove(GROUP));
	scanner(2, 10, SIZE_MAX_MB);
}

/*
 * Reclaim by another process replaces entries by swap entries, and for a moment
 * there is none: fork must not take that for an empty table.
 */
#define DISK		"/dev/ram0"

static int swap_on(void)
{
	uint32_t info[3] = { 1, 0, 0 };
	int fd = open(DISK, O_RDWR | O_CLOEXEC), err = 0;
	off_t size;

	if (fd < 0)
		return -errno;
	/* A header as mkswap writes it: version, last page, and the magic at the end. */
	size = lseek(fd, 0, SEEK_END);
	info[1] = size / PAGE - 1;
	if (pwrite(fd, info, sizeof(info), 1024) != sizeof(info) ||
	    pwrite(fd, "SWAPSPACE2", 10, PAGE - 10) != 10)
		err = -errno;
	close(fd);
	if (!err && swapon(DISK, 0))
		err = -errno;
	return err;
}

TEST(fork_while_swapped_out)
{
	const long pages = 64;
	char *at = map_anon(pages * TABLE_SPAN);
	long end, rounds = 0, swapped = 0, i;
	pid_t reclaimer;

	ASSERT_NE(NULL, at);
	if (!have_memcg() || access(DISK, F_OK))
		SKIP(return, "takes a memory controller and a ram disk");
	ASSERT_EQ(0, swap_on());
	ASSERT_EQ(0, cg_make(GROUP));
	reclaimer = fork_child();
	ASSERT_LE(0, reclaimer);
	if (!reclaimer)
		for (;;)
			cg_write(GROUP, "memory.reclaim", "1M");
	ASSERT_EQ(0, cg_enter(GROUP, getpid()));
	for (end = now_ms() + RACE_MS; now_ms() < end; rounds++) {
		int status = -1;
		pid_t pid;

		/* One page in each table: none of it is none */
		fill(at, pages * TABLE_SPAN, TABLE_SPAN, rounds);
		pid = fork_child();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(bad_marks(at, pages * TABLE_SPAN, TABLE_SPAN, rounds) != 0);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status) {
			TH_LOG("round %ld: the child has not all that the parent had", rounds);
		}
		for (i = 0; i < pages; i++)
			swapped += !!(pagemap(0, at + i * TABLE_SPAN) & PM_SWAPPED);
		ASSERT_EQ(0, bad_marks(at, pages * TABLE_SPAN, TABLE_SPAN, rounds));
	}
	TH_LOG("%ld forks, %ld pages were in swap", rounds, swapped);
	EXPECT_LT(0, swapped);
	reap(reclaimer);
	cg_enter("", getpid());
	EXPECT_EQ(0, swapoff(DISK));
	EXPECT_EQ(0, cg_remove(GROUP));
}

PTFREE_TEST_MAIN(2, 10, SIZE_MAX_MB)
