// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_PT_RECLAIM: the empty tables of a range are gone when the call returns,
 * whatever vm.freept says, for oneself and with process_madvise() for others.
 *
 * All of it runs with vm.freept=0: nothing else frees. With --expect-off the
 * call says EOPNOTSUPP and frees nothing.
 */
#include "gaps.h"
#include "switches.h"
#include "uffd.h"

#define TABLES	64L
#define LEN	(TABLES * TABLE_SPAN)

/* Tables that are gone since @before, as VmPTE says at once. */
static long gone(pid_t pid, long before)
{
	return (before - vmpte_kb(pid)) / TABLE_KB;
}

FIXTURE(reclaim) {
	char *at;
	long full;	/* VmPTE with all tables there, and empty */
};

/* Filled, then emptied, all of it. */
static long make_empties(char *at, size_t len)
{
	fill(at, len, TABLE_SPAN, 1);
	if (madvise(at, len, MADV_DONTNEED))
		return -errno;
	vmpte_kb(0);
	return vmpte_kb(0);
}

FIXTURE_SETUP(reclaim)
{
	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no MADV_PT_RECLAIM");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	self->at = map_anon(LEN);
	ASSERT_NE(NULL, self->at);
	self->full = make_empties(self->at, LEN);
	ASSERT_LE(TABLES * TABLE_KB, self->full);
}

FIXTURE_TEARDOWN(reclaim) { }

/*
 * Call it for a range; @tables of those that were there must be gone at once,
 * and @ret must come back.
 */
#define reclaims(tables, ret, at, len) __reclaims(_metadata, tables, ret, at, len)
static void __reclaims(struct __test_metadata *_metadata, long tables, int ret, char *at,
		       size_t len)
{
	long before = vmpte_kb(0);

	if (expectation == EXPECT_OFF) {
		EXPECT_EQ(-EOPNOTSUPP, give_advice(at, len, ADV_PT_RECLAIM));
		tables = 0;
	} else {
		EXPECT_EQ(ret, give_advice(at, len, ADV_PT_RECLAIM));
	}
	EXPECT_EQ(tables, gone(0, before));
}

TEST_F(reclaim, all_at_once)
{
	reclaims(TABLES, 0, self->at, LEN);
	/* None left, and none there from the start: success as well. */
	reclaims(0, 0, self->at, LEN);
	EXPECT_EQ(0, not_zero(self->at, LEN, TABLE_SPAN));
	reclaims(0, 0, self->at, LEN);
	EXPECT_EQ(self->full, vmpte_kb(0));
}

TEST_F(reclaim, nothing_ever_there)
{
	char *at = map_anon(GiB);

	reclaims(0, 0, at, GiB);
}

TEST_F(reclaim, what_is_in_use_stays)
{
	long i;

	for (i = 0; i < TABLES; i += 4)
		*(volatile uint64_t *)(self->at + i * TABLE_SPAN + i % 512 * PAGE) = i + 1;
	reclaims(TABLES * 3 / 4, 0, self->at, LEN);
	for (i = 0; i < TABLES; i += 4) {
		EXPECT_EQ(i + 1, *(volatile uint64_t *)(self->at + i * TABLE_SPAN +
							i % 512 * PAGE));
	}
}

/* More than a hold of the mmap lock does: 4,096 looked at, 512 unlinked. */
TEST_F(reclaim, many)
{
	const long tables = 5000;
	char *at = map_anon(tables * TABLE_SPAN);

	ASSERT_LT(0, make_empties(at, tables * TABLE_SPAN));
	reclaims(tables, 0, at, tables * TABLE_SPAN);
}

/* Only the range, and of tables that lie across its ends the whole. */
TEST_F(reclaim, ends_of_the_range)
{
	char *at = self->at;

	reclaims(1, 0, at + 8 * TABLE_SPAN, TABLE_SPAN);
	reclaims(1, 0, at + 10 * TABLE_SPAN + 7 * PAGE, PAGE);
	reclaims(3, 0, at + 13 * TABLE_SPAN - PAGE, TABLE_SPAN + 2 * PAGE);
	reclaims(2, 0, at + 21 * TABLE_SPAN - PAGE, 2 * PAGE);
	/* An entry outside the range keeps the table. */
	*(volatile char *)(at + 30 * TABLE_SPAN) = 1;
	reclaims(0, 0, at + 30 * TABLE_SPAN + PAGE, TABLE_SPAN - PAGE);
	EXPECT_EQ(1, *(volatile char *)(at + 30 * TABLE_SPAN));
	reclaims(TABLES - 8, 0, at, LEN);
}

/* A table that two mappings share, of which only one is in the range. */
TEST_F(reclaim, shared_by_two_mappings)
{
	char *mid = self->at + 4 * TABLE_SPAN + TABLE_SPAN / 2;

	ASSERT_EQ(0, mprotect(mid, self->at + LEN - mid, PROT_READ));
	reclaims(5, 0, self->at, mid - self->at);
	/* Cut off in its middle: the table goes with what is left, if it may. */
	mid += 4 * TABLE_SPAN;
	ASSERT_EQ(0, munmap(mid, TABLE_SPAN));
	if (expectation == EXPECT_FREED) {
		EXPECT_EQ(self->full - 5 * TABLE_KB, vmpte_kb(0));
	}
	reclaims(!keeps_gaps(), 0, mid - PAGE, PAGE);
	reclaims(!keeps_gaps(), 0, mid + TABLE_SPAN, PAGE);
}

TEST_F(reclaim, parts_that_are_not_mapped)
{
	char *at = self->at, *none = reserve(LEN);
	long before;

	ASSERT_EQ(0, munmap(at + 8 * TABLE_SPAN, 4 * TABLE_SPAN));
	before = vmpte_kb(0);
	EXPECT_EQ(self->full - 4 * TABLE_KB, before);
	/* A hole in the middle: both sides are done. */
	reclaims(8 + 2, -ENOMEM, at, 14 * TABLE_SPAN);
	/* The range begins in a hole, ends in one, is one. */
	reclaims(2, -ENOMEM, at + 8 * TABLE_SPAN, 8 * TABLE_SPAN);
	reclaims(TABLES - 16, -ENOMEM, at + 16 * TABLE_SPAN, LEN);
	reclaims(0, -ENOMEM, at + 9 * TABLE_SPAN, TABLE_SPAN);
	reclaims(0, -ENOMEM, none, LEN);
	reclaims(0, -ENOMEM, (char *)(-64UL * GiB), PAGE);
}

#ifdef __aarch64__
#define USER_END	(1UL << 48)
#else
#define USER_END	((1UL << 47) - PAGE)
#endif

TEST_F(reclaim, all_of_the_address_space)
{
	/* It is full of holes; whatever else is empty may go too. */
	EXPECT_EQ(expectation == EXPECT_OFF ? -EOPNOTSUPP : -ENOMEM,
		  give_advice(NULL, USER_END, ADV_PT_RECLAIM));
	if (expectation == EXPECT_OFF) {
		EXPECT_EQ(self->full, vmpte_kb(0));
	} else {
		EXPECT_LE(TABLES, gone(0, self->full));
	}
}

TEST_F(reclaim, bad_ranges)
{
	EXPECT_EQ(-EINVAL, give_advice(self->at + 1, LEN, ADV_PT_RECLAIM));
	EXPECT_EQ(-EINVAL, give_advice(self->at + PAGE - 1, 1, ADV_PT_RECLAIM));
	EXPECT_EQ(-EINVAL, give_advice(self->at, -PAGE, ADV_PT_RECLAIM));
	EXPECT_EQ(-EINVAL, give_advice(self->at, -1UL, ADV_PT_RECLAIM));
	EXPECT_EQ(0, give_advice(self->at, 0, ADV_PT_RECLAIM));
	EXPECT_EQ(0, gone(0, self->full));
	reclaims(1, 0, self->at, 1);
}

/* Mappings of which no table is ever freed are passed over, and no error. */
TEST_F(reclaim, what_cannot_qualify)
{
	const size_t bios_size = 16 * PAGE;
	int mem = open("/dev/mem", O_RDONLY | O_CLOEXEC), uffd;
	char *at = reserve(LEN), *hole = at + 8 * TABLE_SPAN;
	volatile char *bios;
	long before;

	ASSERT_NE(NULL, map_at(at, LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	ASSERT_EQ(0, munmap(hole, 4 * TABLE_SPAN));
	ASSERT_LE(0, mem);
	/* All that CONFIG_STRICT_DEVMEM leaves to be mapped, and an ordinary neighbour */
	bios = map_at(hole, bios_size, PROT_READ, MAP_SHARED, mem, 0xf0000);
	ASSERT_NE(NULL, bios);
	ASSERT_NE(NULL, map_at(hole + bios_size, TABLE_SPAN - bios_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	ASSERT_NE(NULL, map_at(hole + TABLE_SPAN, TABLE_SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			       MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0));
	ASSERT_NE(NULL, map_at(hole + 2 * TABLE_SPAN, 2 * TABLE_SPAN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	fill(at, 8 * TABLE_SPAN, TABLE_SPAN, 1);
	fill(hole + 2 * TABLE_SPAN, LEN - 10 * TABLE_SPAN, TABLE_SPAN, 1);
	ASSERT_EQ(0, give_advice(at, 8 * TABLE_SPAN, MADV_DONTNEED));
	ASSERT_EQ(0, give_advice(hole + 2 * TABLE_SPAN, LEN - 10 * TABLE_SPAN, MADV_DONTNEED));
	/* Two tables are armed; one of them with a part that is not. */
	uffd = uffd_open(0);
	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, hole + 2 * TABLE_SPAN, TABLE_SPAN + TABLE_SPAN / 2,
				   UFFDIO_REGISTER_MODE_MISSING));
	before = bios[0];
	reclaims(8 + LEN / TABLE_SPAN - 12, 0, at, LEN);
	EXPECT_EQ((char)before, bios[0]);
	/* Disarmed they can be had. */
	close(uffd);
	reclaims(2, 0, at, LEN);
}

/* What one has said about background work does not count when one asks. */
TEST_F(reclaim, in_spite_of_hints)
{
	ASSERT_EQ(0, choose(CHOICE_DISABLE));
	ASSERT_EQ(0, give_advice(self->at, LEN, ADV_NOFREEPT));
	reclaims(TABLES, 0, self->at, LEN);
	ASSERT_EQ(0, choose(CHOICE_DEFAULT));
}

/* Of all kinds of memory; the pages of a file are still there. */
TEST_F(reclaim, files_and_shared_memory)
{
	int fd = make_memfd(LEN);
	char *at = map_at(reserve(LEN), LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_NE(NULL, at);
	fill(at, LEN, TABLE_SPAN, 3);
	ASSERT_EQ(0, give_advice(at, LEN, MADV_DONTNEED));
	reclaims(TABLES, 0, at, LEN);
	EXPECT_EQ(0, bad_marks(at, LEN, TABLE_SPAN, 3));
	ASSERT_EQ(0, ftruncate(fd, 0));
	reclaims(TABLES, 0, at, LEN);
}

/* For another process */

FIXTURE(other) {
	pid_t pid;
	char *at;
	long full;
};

FIXTURE_SETUP(other)
{
	int ready[2];
	char c;

	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no MADV_PT_RECLAIM");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	self->at = map_anon(LEN);
	ASSERT_NE(NULL, self->at);
	ASSERT_EQ(0, pipe(ready));
	self->pid = fork_child();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		fill(self->at, LEN, TABLE_SPAN, 1);
		if (madvise(self->at + TABLE_SPAN, LEN - TABLE_SPAN, MADV_DONTNEED) ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		raise(SIGSTOP);
		_exit(bad_marks(self->at, TABLE_SPAN, TABLE_SPAN, 1) ||
		      not_zero(self->at + TABLE_SPAN, LEN - TABLE_SPAN, TABLE_SPAN));
	}
	ASSERT_TRUE(wait_byte(ready[0], &c, 20000 * scale));
	ASSERT_TRUE(wait_state(self->pid, 'T', 10000 * scale));
	self->full = vmpte_kb(self->pid);
}

FIXTURE_TEARDOWN(other)
{
	if (self->pid)
		reap(self->pid);
}

TEST_F(other, is_stopped)
{
	bool off = expectation == EXPECT_OFF;
	int status = -1;

	EXPECT_EQ(off ? -EOPNOTSUPP : (long)LEN,
		  advise_process(self->pid, self->at, LEN, ADV_PT_RECLAIM));
	EXPECT_EQ(off ? 0 : TABLES - 1, gone(self->pid, self->full));
	EXPECT_EQ('T', task_state(self->pid));
	kill(self->pid, SIGCONT);
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	self->pid = 0;
	EXPECT_EQ(0, status);
}

/* Several ranges; where one fails, what was done before it is the result. */
TEST_F(other, several_ranges)
{
	struct iovec iov[3] = {
		{ .iov_base = self->at + TABLE_SPAN, .iov_len = 4 * TABLE_SPAN },
		{ .iov_base = self->at + 8 * TABLE_SPAN, .iov_len = 2 * TABLE_SPAN },
		{ .iov_base = self->at + 16 * TABLE_SPAN, .iov_len = TABLE_SPAN },
	};
	int pidfd = syscall(SYS_pidfd_open, self->pid, 0);

	if (expectation == EXPECT_OFF)
		SKIP(return, "nothing is freed with freept=off");
	ASSERT_LE(0, pidfd);
	EXPECT_EQ(7 * (long)TABLE_SPAN, syscall(SYS_process_madvise, pidfd, iov, 3UL,
						ADV_PT_RECLAIM, 0U));
	EXPECT_EQ(7, gone(self->pid, self->full));
	iov[0].iov_base = self->at + 20 * TABLE_SPAN;
	iov[1].iov_base = self->at + 24 * TABLE_SPAN + 1;
	EXPECT_EQ(4 * (long)TABLE_SPAN, syscall(SYS_process_madvise, pidfd, iov, 3UL,
						ADV_PT_RECLAIM, 0U));
	EXPECT_EQ(11, gone(self->pid, self->full));
	EXPECT_EQ(-1, syscall(SYS_process_madvise, pidfd, iov + 1, 1UL, ADV_PT_RECLAIM, 0U));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, syscall(SYS_process_madvise, pidfd, iov, 1UL, ADV_PT_RECLAIM, 1U));
	EXPECT_EQ(EINVAL, errno);
	close(pidfd);
}

/* As any other advice of process_madvise(): here MADV_COLD is the measure. */
static int without_privilege(pid_t pid, char *at, uid_t uid)
{
	pid_t helper = fork_child();
	int status = -1;

	if (!helper) {
		long cold, mine;

		if (setgid(uid) || setuid(uid))
			_exit(200);
		prctl(PR_SET_DUMPABLE, 1);
		cold = advise_process(pid, at, LEN, MADV_COLD);
		mine = advise_process(pid, at, LEN, ADV_PT_RECLAIM);
		_exit(cold >= 0 || mine != cold ? 201 : -cold);
	}
	if (waitpid(helper, &status, 0) != helper || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(other, of_another_user)
{
	int err = without_privilege(self->pid, self->at, 65534);

	EXPECT_TRUE(err == EPERM || err == EACCES) {
		TH_LOG("the result was %d", err);
	}
	EXPECT_EQ(self->full, vmpte_kb(self->pid));
}

/* Of the same user, but without CAP_SYS_NICE; for oneself it is not needed. */
TEST(same_user_without_sys_nice)
{
	pid_t pid, target;
	int status = -1;
	char *at;

	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no MADV_PT_RECLAIM");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	at = map_anon(LEN);
	ASSERT_LT(0, make_empties(at, LEN));
	pid = fork_child();
	if (!pid) {
		bool off = expectation == EXPECT_OFF;
		long full, err;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		prctl(PR_SET_DUMPABLE, 1);
		full = make_empties(at, LEN);
		target = fork_child();
		if (!target)
			for (;;)
				pause();
		err = advise_process(target, at, LEN, ADV_PT_RECLAIM);
		if (err != -EPERM)
			_exit(3);
		err = advise_process(getpid(), at, LEN, ADV_PT_RECLAIM);
		if (err != (off ? -EOPNOTSUPP : (long)LEN))
			_exit(4);
		if (gone(0, full) != (off ? 0 : TABLES))
			_exit(5);
		reap(target);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

PTFREE_TEST_MAIN(0, 100, 65536)
