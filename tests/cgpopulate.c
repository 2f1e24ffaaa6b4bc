// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that fill page tables in advance, at memory.pt.max. Those whose answer
 * is about the pages say ENOMEM, mmap() succeeds and has populated less, and
 * both only when there is nothing to free. Those that merely reach pages on
 * behalf of somebody, from O_DIRECT to process_vm_writev(), are never stopped,
 * nor is mremap().
 */
#include <sys/syscall.h>

#include "cgbudget.h"
#include "uring.h"

/* Two mappings side by side, so that there is one after the one that fails. */
#define FIRST		75L
#define SECOND		25L
#define REGION		(FIRST + SECOND)

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT	1
#endif

/* Out of the way of what the child's area and libraries are given. */
static char * const region = (char *)(256 * GiB);

/* PROT_READ: the zero page, tables without memory. @second is a mapping of its own. */
static long map_region(int prot, int flags, bool second)
{
	const size_t first = FIRST * TABLE_SPAN, len = REGION * TABLE_SPAN;
	const int base = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	if (!map_at(region, len, prot, base | flags, -1, 0))
		return -errno;
	if (second && madvise(region + first, len - first, MADV_DONTDUMP))
		return -errno;
	return 0;
}

static long unmap_region(void)
{
	munlockall();
	return munmap(region, REGION * TABLE_SPAN) ? -errno : 0;
}

static long result_of(long res)
{
	return res < 0 ? -errno : res;
}

/*
 *	P	mmap(MAP_POPULATE)		L	mmap(MAP_LOCKED)
 *	F	mlockall(MCL_FUTURE), mmap	a	mlockall(MCL_CURRENT)
 *	r w	MADV_POPULATE_READ, _WRITE	l p	mlock() of a new region, of the old one
 *	2 o	mlock2(), with MLOCK_ONFAULT
 */
static long populate(char how)
{
	const size_t len = REGION * TABLE_SPAN;
	const int rw = PROT_READ | PROT_WRITE;
	long err;

	switch (how) {
	case 'P':
		return map_region(PROT_READ, MAP_POPULATE, false);
	case 'L':
		return map_region(PROT_READ, MAP_LOCKED, false);
	case 'F':
		err = result_of(mlockall(MCL_FUTURE));
		return err ?: map_region(PROT_READ, 0, false);
	case 'p':
		return result_of(mlock(region, len));
	}
	err = map_region(how == 'w' ? rw : PROT_READ, 0, true);
	if (err)
		return err;
	switch (how) {
	case 'r':
		return result_of(madvise(region, len, MADV_POPULATE_READ));
	case 'w':
		return result_of(madvise(region, len, MADV_POPULATE_WRITE));
	case 'l':
		return result_of(mlock(region, len));
	case '2':
		return result_of(syscall(SYS_mlock2, region, len, 0));
	case 'o':
		return result_of(syscall(SYS_mlock2, region, len, MLOCK_ONFAULT));
	case 'a':
		return result_of(mlockall(MCL_CURRENT));
	}
	return -EINVAL;
}

/*
 * Pages that somebody else reaches: one in each of @n tables of the area, which
 * nobody has touched. The number of pages reached, or -errno.
 */
#define REACH	64L

static struct iovec fresh[REACH], there[REACH];

static void lay_out(char *at)
{
	static char here[REACH * PAGE];
	long i;

	for (i = 0; i < REACH; i++) {
		here[i * PAGE] = i + 1;
		there[i] = (struct iovec){ here + i * PAGE, PAGE };
		fresh[i] = (struct iovec){ at + i * TABLE_SPAN, PAGE };
	}
}

static long contents(long n)
{
	long i;

	for (i = 0; i < REACH; i++)
		if (*(char *)fresh[i].iov_base != i + 1)
			return -EBADMSG;
	return n;
}

/* Into our own memory, by way of the one for others. */
static long reach_process_vm(void)
{
	long n = process_vm_writev(getpid(), there, REACH, fresh, REACH, 0);

	return n < 0 ? -errno : contents(n / PAGE);
}

static long reach_proc_mem(void)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	long i, n = 0;

	for (i = 0; i < REACH && fd >= 0; i++)
		n += pwrite(fd, there[i].iov_base, PAGE, (uintptr_t)fresh[i].iov_base) == PAGE;
	close(fd);
	return contents(n);
}

static long reach_vmsplice(void)
{
	int fds[2], i;
	long n, sum = 0;
	char page[PAGE];

	if (pipe(fds))
		return -errno;
	for (i = 0; i < REACH; i++) {
		n = vmsplice(fds[1], &fresh[i], 1, 0);
		if (n != PAGE || read(fds[0], page, PAGE) != PAGE)
			return n < 0 ? -errno : -EIO;
		sum++;
	}
	close(fds[0]);
	close(fds[1]);
	return sum;
}

static long reach_uring(void)
{
	struct uring r;
	long err = uring_open(&r);

	err = err ?: uring_register(&r, fresh, REACH);
	close(r.fd);
	return err ?: REACH;
}

/* A disk of the kernel's own memory, so that O_DIRECT pins our pages. */
static long reach_o_direct(void)
{
	int fd = open("/dev/ram0", O_RDWR | O_DIRECT | O_CLOEXEC);
	long n;

	if (fd < 0)
		return -errno;
	n = preadv(fd, fresh, REACH, 0);
	n = n < 0 ? -errno : n / (long)PAGE;
	close(fd);
	return n;
}

static long reach(struct cg_child *c, long which)
{
	lay_out(c->at + (c->tables - REACH * (which + 1)) * TABLE_SPAN);
	switch (which) {
	case 0:
		return reach_process_vm();
	case 1:
		return reach_proc_mem();
	case 2:
		return reach_vmsplice();
	case 3:
		return reach_uring();
	case 4:
		return reach_o_direct();
	}
	return -EINVAL;
}

static const char * const reaches[] = {
	"process_vm_writev", "/proc/self/mem", "vmsplice", "io_uring buffers", "O_DIRECT",
};

/*
 * Move @n tables to a place where no table can be moved as a whole: a second
 * set is built while the mmap lock is held for writing.
 */
static long move(struct cg_child *c, long n, bool keep)
{
	const size_t len = n * TABLE_SPAN;
	char *to = reserve(len + TABLE_SPAN);
	long bad = 0, i;

	to += 64 * KiB;
	if (mremap(c->at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED |
		   (keep ? MREMAP_DONTUNMAP : 0), to) != to)
		return -errno;
	for (i = 0; i < n; i++)
		bad += *(uint64_t *)(to + i * TABLE_SPAN) != mark_of(c->at + i * TABLE_SPAN, 1);
	if (!keep && map_at(c->at, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != c->at)
		return -errno;
	return bad;
}

/*
 *	n	populate(), @n is the letter for how	u	unmap the region
 *	m k	move @n tables with mremap(), k keeps the old mapping
 *	R	reach(), @n says which way		N	mprotect(RANGE(), PROT_NONE)
 */
static long populate_orders(struct cg_child *c, struct cg_order *o)
{
	switch (o->what) {
	case 'n':
		return populate(o->n);
	case 'u':
		return unmap_region();
	case 'N':
		return result_of(mprotect(c->at + (o->n >> 32) * TABLE_SPAN,
					  (o->n & 0xffffffff) * TABLE_SPAN, PROT_NONE));
	case 'R':
		return reach(c, o->n);
	case 'm':
		return move(c, o->n, false);
	case 'k':
		return move(c, o->n, true);
	}
	return range_orders(c, o);
}

FIXTURE(populate) {
	struct cg_child c, sleeper;
};

FIXTURE_VARIANT(populate) {
	char how;
	int refused;		/* what it says when there is no room */
	bool one_mapping;
};

FIXTURE_VARIANT_ADD(populate, map_populate) {
	.how = 'P', .one_mapping = true,
};

FIXTURE_VARIANT_ADD(populate, map_locked) {
	.how = 'L', .one_mapping = true,
};

FIXTURE_VARIANT_ADD(populate, mcl_future) {
	.how = 'F', .one_mapping = true,
};

FIXTURE_VARIANT_ADD(populate, populate_read) {
	.how = 'r', .refused = -ENOMEM,
};

FIXTURE_VARIANT_ADD(populate, populate_write) {
	.how = 'w', .refused = -ENOMEM,
};

FIXTURE_VARIANT_ADD(populate, mlock) {
	.how = 'l', .refused = -ENOMEM,
};

FIXTURE_VARIANT_ADD(populate, mlock2) {
	.how = '2', .refused = -ENOMEM,
};

FIXTURE_VARIANT_ADD(populate, mlockall) {
	.how = 'a', .refused = -ENOMEM,
};

FIXTURE_SETUP(populate)
{
	setup_groups();
	self->c.extra = populate_orders;
}

FIXTURE_TEARDOWN(populate)
{
	cg_child_end(&self->c);
	cg_child_end(&self->sleeper);
	teardown_groups();
}

/*
 * Room for 40 tables, 100 wanted, nothing to free: it ends where the budget
 * ends, mappings behind that are left alone, and the program lives on.
 */
TEST_F(populate, without_room)
{
	const long room = 40, limit = 100;
	struct cg_child *c = &self->c;
	long filled;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(c, GROUP_A, limit - room));
	ASSERT_EQ(0, cg_child_do(c, 'f', limit - room));
	EXPECT_EQ(variant->refused, cg_child_do(c, 'n', variant->how));
	filled = live_tables(c->pid, region, REGION * TABLE_SPAN);
	note("room for %ld tables, %ld populated, peak %ld of %ld", room, filled,
	     pt_peak(GROUP_A) / 4096, limit);
	EXPECT_GE(room, filled);
	/* It did begin, and came far. */
	EXPECT_LE(room / 2, filled);
	if (!variant->one_mapping) {
		EXPECT_EQ(0, live_tables(c->pid, region + FIRST * TABLE_SPAN,
					 SECOND * TABLE_SPAN));
	}
	EXPECT_GE(TABLE_BYTES(limit + TASK_OVER + BLUR), pt_peak(GROUP_A));
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	EXPECT_EQ(0, cg_child_do(c, 'u', 0));
	child_is_well(c, limit - room);
	nobody_killed(TOP);

	/* The same again, with room. */
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit + REGION)));
	EXPECT_EQ(0, cg_child_do(c, 'n', variant->how));
	EXPECT_EQ(REGION, live_tables(c->pid, region, REGION * TABLE_SPAN));
	child_is_well(c, limit - room);
}

/* Empties of its own, and of a sleeper, make room for all of it. */
#define populates_all(self, variant) __populates_all(_metadata, self, (variant)->how)
static void __populates_all(struct __test_metadata *_metadata, FIXTURE_DATA(populate) *self,
			    char how)
{
	EXPECT_EQ(0, cg_child_do(&self->c, 'n', how));
	EXPECT_EQ(REGION, live_tables(self->c.pid, region, REGION * TABLE_SPAN));
	EXPECT_LT(0, pt_event(TOP, "max", true));
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(350), SOON_MS));
	child_is_well(&self->c, 20);
	nobody_killed(TOP);
}

TEST_F(populate, with_empties_of_its_own)
{
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(350)));
	ASSERT_EQ(0, sleeper_start(&self->c, GROUP_A, 20, 300));
	/* Or mlockall() would populate them as well, and they were none. */
	ASSERT_EQ(0, cg_child_do(&self->c, 'N', RANGE(20, 300)));
	populates_all(self, variant);
}

TEST_F(populate, with_empties_of_a_sleeper)
{
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(350)));
	ASSERT_EQ(0, sleeper_start(&self->c, GROUP_A, 20, 0));
	ASSERT_EQ(0, sleeper_start(&self->sleeper, GROUP_B, 20, 300));
	populates_all(self, variant);
	child_is_well(&self->sleeper, 20);
}

FIXTURE(full) {
	struct cg_child c;
};

FIXTURE_SETUP(full)
{
	setup_groups();
	self->c.extra = populate_orders;
}

FIXTURE_TEARDOWN(full)
{
	cg_child_end(&self->c);
	teardown_groups();
}

/* What needs no table is not refused: nothing to populate, or all of it there. */
TEST_F(full, what_needs_no_table)
{
	struct cg_child *c = &self->c;

	ASSERT_EQ(0, range_child(c, GROUP_A, 10));
	ASSERT_EQ(0, cg_child_do(c, 'f', 10));
	EXPECT_EQ(0, cg_child_do(c, 'n', 'r'));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, pt_current(GROUP_A)));
	EXPECT_EQ(0, cg_child_do(c, 'n', 'p')) {
		TH_LOG("mlock() of what is populated");
	}
	EXPECT_EQ(0, cg_child_do(c, 'u', 0));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, pt_settled(GROUP_A)));
	EXPECT_EQ(0, cg_child_do(c, 'n', 'o')) {
		TH_LOG("mlock2() with MLOCK_ONFAULT populates nothing");
	}
	EXPECT_EQ(0, live_tables(c->pid, region, REGION * TABLE_SPAN));
	child_is_well(c, 10);
	nobody_killed(TOP);
}

/*
 * Over the limit for good. Populating is refused at once; pages that others
 * reach for are there, all of them.
 */
TEST_F(full, reached_by_others)
{
	const long used = 300, room = used + REACH * ARRAY_SIZE(reaches);
	struct cg_child *c = &self->c;
	size_t i;

	ASSERT_EQ(0, range_child(c, GROUP_A, room));
	ASSERT_EQ(0, set_oom_score_adj(c->pid, -1000));
	ASSERT_EQ(0, cg_child_do(c, 'f', used));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(100)));
	for (i = 0; i < ARRAY_SIZE(reaches); i++) {
		EXPECT_EQ(REACH, cg_child_do(c, 'R', i)) {
			TH_LOG("%s was stopped", reaches[i]);
		}
	}
	EXPECT_EQ(-ENOMEM, cg_child_do(c, 'n', 'r'));
	EXPECT_EQ(0, cg_child_do(c, 'u', 0));
	EXPECT_EQ(0, cg_child_do(c, 'n', 'P'));
	expect_within(0, live_tables(c->pid, region, REGION * TABLE_SPAN), TASK_OVER,
		      "tables populated over the limit");
	child_is_well(c, used);
	nobody_killed(TOP);
}

/* mremap() may exceed the limit by what it needs, and is back below at once. */
TEST_F(full, mremap)
{
	const long used = 600, limit = 650;
	struct cg_child *c = &self->c;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(c, GROUP_A, used));
	ASSERT_EQ(0, cg_child_do(c, 'f', used));
	EXPECT_EQ(0, cg_child_do(c, 'm', used));
	note("limit %ld tables, peak %ld", limit, pt_peak(GROUP_A) / 4096);
	EXPECT_LE(TABLE_BYTES(2 * used), pt_peak(GROUP_A)) {
		TH_LOG("the limit was never in the way");
	}
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	EXPECT_TRUE(is_alive(c->pid));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(limit), SOON_MS));
	nobody_killed(TOP);
}

/* The old tables stay, empty, until the budget takes them. */
TEST_F(full, mremap_dontunmap)
{
	const long used = 600, limit = 650;
	struct cg_child *c = &self->c;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(c, GROUP_A, used));
	ASSERT_EQ(0, cg_child_do(c, 'f', used));
	EXPECT_EQ(0, cg_child_do(c, 'k', used));
	EXPECT_LE(TABLE_BYTES(2 * used), pt_peak(GROUP_A));
	EXPECT_TRUE(is_alive(c->pid));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(limit), SOON_MS));
	nobody_killed(TOP);
}

PTFREE_TEST_MAIN(0, 100, 65536)
