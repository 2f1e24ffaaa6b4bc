// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page-table bomb in a group with memory.pt.max, and its neighbours. What they
 * get done beside it is compared with what they get done beside as many threads
 * that do nothing but count; in turns, so that what the machine does otherwise
 * counts for both. They are not killed, see no error, and lose no page.
 *
 * With one CPU and --icount the figures are instructions, and repeatable.
 */
#include "cg.h"

#define NEIGHBOURS	2
#define ROUNDS		7
#define TURN_MS		800L
#define BUDGET		(1 * MiB)
#define WORK		(16 * TABLE_SPAN)
#define LEAST_PERCENT	90

struct common {
	atomic_long done[NEIGHBOURS], bad, bombs;
};

static struct common *common;
static pid_t neighbour[NEIGHBOURS];

/* Somebody with work to do: faults, madvise, fork, a file; all of it must succeed. */
static void live(int who)
{
	char *at = map_anon(WORK);
	int fd = make_memfd(64 * PAGE), status;
	uint64_t gen = 0;
	char page[PAGE];
	pid_t pid;

	if (!at || fd < 0)
		_exit(1);
	for (;;) {
		fill(at, WORK, 256 * KiB, ++gen);
		if (bad_marks(at, WORK, 256 * KiB, gen) ||
		    madvise(at, WORK, MADV_DONTNEED) || not_zero(at, WORK, TABLE_SPAN) ||
		    pwrite(fd, page, PAGE, gen % 64 * PAGE) != PAGE)
			atomic_fetch_add(&common->bad, 1);
		if (!(gen % 8)) {
			pid = fork();
			if (!pid)
				_exit(0);
			if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
				atomic_fetch_add(&common->bad, 1);
		}
		atomic_fetch_add(&common->done[who], 1);
	}
}

/* New tables for ever: a page in each of them, so that none can be freed. */
static void explode(bool fork_too)
{
	char *at = map_anon(64 * GiB);
	size_t i;

	/* Not as the one who lights it again, who is spared */
	if (!at || write_text("/proc/self/oom_score_adj", "0"))
		_exit(3);
	for (i = 0; i < 64 * GiB; i += TABLE_SPAN) {
		*(volatile char *)(at + i) = 1;
		/* Copies of all that, by children who do the same */
		if (fork_too && i % (64 * TABLE_SPAN) == 0 && !fork())
			continue;
	}
	_exit(2);
}

/*
 * @n at once in the group: bombs, each of which is replaced when it was killed, or
 * threads that count. Until it is killed itself.
 */
static void attack(int n, bool bomb, bool fork_too)
{
	volatile long count = 0;
	int i, status;

	for (i = 0; i < n; i++) {
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (bomb)
				explode(fork_too);
			for (;;)
				count++;
		}
	}
	while (waitpid(-1, &status, 0) > 0) {
		atomic_fetch_add(&common->bombs, 1);
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			explode(fork_too);
		}
	}
	for (;;)
		pause();
}

static long all_done(void)
{
	long sum = 0;
	int i;

	for (i = 0; i < NEIGHBOURS; i++)
		sum += atomic_load(&common->done[i]);
	return sum;
}

/* What the neighbours get done beside the attackers in a turn, per second */
static long turn(struct __test_metadata *_metadata, int n, bool bomb, bool fork_too)
{
	long start, before, took, ret;
	pid_t pid;

	/* Over the budget by its own doing at the most once: the supervisor is small. */
	pid = fork_child();
	EXPECT_LE(0, pid);
	if (!pid) {
		if (cg_enter("k/bomb", 0))
			_exit(1);
		cg_write("k/bomb", "memory.oom.group", "0");
		write_text("/proc/self/oom_score_adj", "-1000");
		attack(n, bomb, fork_too);
	}
	/* The first moments are those of forks. */
	nap_ms(TURN_MS / 4);
	start = now_ms();
	before = all_done();
	nap_ms(TURN_MS);
	took = now_ms() - start;
	ret = (all_done() - before) * 1000000 / took;
	cg_write("k/bomb", "cgroup.kill", "1");
	waitpid(pid, NULL, 0);
	EXPECT_TRUE(wait_current_below("k/bomb", 0, 10000 * scale));
	return ret;
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long median(long *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_size);
	return v[ROUNDS / 2];
}

FIXTURE(bomb) { };

FIXTURE_VARIANT(bomb) {
	int attackers;
	bool fork_too;
};

FIXTURE_VARIANT_ADD(bomb, one) { .attackers = 1 };
FIXTURE_VARIANT_ADD(bomb, four_that_fork) { .attackers = 4, .fork_too = true };

FIXTURE_SETUP(bomb)
{
	int i;

	ASSERT_TRUE(have_pt());
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)common);
	ASSERT_EQ(0, cg_clear("k"));
	ASSERT_EQ(0, cg_make_parent("k"));
	ASSERT_EQ(0, cg_make("k/bomb"));
	ASSERT_EQ(0, cg_make("k/near"));
	ASSERT_EQ(0, pt_limit("k/bomb", PT_MAX, BUDGET));
	write_long("/proc/sys/vm/oom_dump_tasks", 0);
	for (i = 0; i < NEIGHBOURS; i++) {
		neighbour[i] = fork_child();
		ASSERT_LE(0, neighbour[i]);
		if (!neighbour[i]) {
			if (cg_enter("k/near", 0))
				_exit(1);
			live(i);
		}
	}
}

FIXTURE_TEARDOWN(bomb)
{
	EXPECT_EQ(0, cg_clear("k"));
	munmap(common, sizeof(*common));
}

TEST_F(bomb, neighbours)
{
	long beside_bomb[ROUNDS], beside_count[ROUNDS], kills, i, a, b;

	for (i = 0; i < ROUNDS; i++) {
		beside_count[i] = turn(_metadata, variant->attackers, false, false);
		beside_bomb[i] = turn(_metadata, variant->attackers, true, variant->fork_too);
		TH_LOG("round %ld: %ld beside threads that count, %ld beside bombs (a thousandth a second)",
		       i + 1, beside_count[i], beside_bomb[i]);
	}
	kills = pt_event("k/bomb", "oom_kill", false);
	a = median(beside_count);
	b = median(beside_bomb);
	TH_LOG("medians %ld and %ld: %ld %%; %ld bombs were killed, peak %ld kB of %ld kB", a, b,
	       b * 100 / a, kills, pt_peak("k/bomb") / 1024, BUDGET / 1024);
	EXPECT_LT(0, a);
	EXPECT_LE(a * LEAST_PERCENT / 100, b);
	/* It was one, and each of them ended that way. */
	EXPECT_LT(ROUNDS, kills);
	EXPECT_EQ(0, atomic_load(&common->bad));
	for (i = 0; i < NEIGHBOURS; i++)
		EXPECT_EQ(0, waitpid(neighbour[i], NULL, WNOHANG)) {
			TH_LOG("neighbour %ld is dead", i);
		}
	EXPECT_EQ(0, pt_event("k/near", "oom_kill", false));
	EXPECT_EQ(0, memory_event("k/near", "oom_kill"));
	EXPECT_EQ(0, memory_event("k/near", "oom"));
	/* 64 pages a task over it at the most, and what the one before has not given back */
	if (!variant->fork_too)
		EXPECT_GE(BUDGET + (2 * variant->attackers + 1) * 64 * (long)PAGE,
			  pt_peak("k/bomb"));
}

/*
 * Each that is killed is followed by another one at once: none may go further than
 * the one before. What is over: what one task may be, and what its forerunners have
 * not given back yet.
 */
TEST(one_after_another)
{
	const int bombs = 24;
	int i, status;
	pid_t pid;

	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_clear("k"));
	ASSERT_EQ(0, cg_make("k"));
	ASSERT_EQ(0, pt_limit("k", PT_MAX, BUDGET));
	write_long("/proc/sys/vm/oom_dump_tasks", 0);
	for (i = 0; i < bombs; i++) {
		pid = fork_child();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (cg_enter("k", 0))
				_exit(1);
			explode(false);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			TH_LOG("bomb %d ended with status %#x", i, status);
		}
	}
	TH_LOG("%d bombs, peak %ld kB of %ld kB", bombs, pt_peak("k") / 1024, BUDGET / 1024);
	EXPECT_GE(BUDGET + 3 * 64 * (long)PAGE, pt_peak("k"));
	EXPECT_EQ(0, cg_clear("k"));
}

PTFREE_TEST_MAIN(1, 1000, 16384)
