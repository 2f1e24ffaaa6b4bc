// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.pt.max is lowered below what is charged: the write sets it at once,
 * frees empties in the writer's context, kills one at a time where that is not
 * enough, ends on a signal, and succeeds.
 */
#include <sys/time.h>

#include "cgbudget.h"

FIXTURE(lower) {
	struct cg_child child[4];
};

FIXTURE_SETUP(lower)
{
	setup_groups();
}

FIXTURE_TEARDOWN(lower)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(self->child); i++)
		cg_child_end(&self->child[i]);
	teardown_groups();
}

/* When the write returns it has been done: nobody else is there to do it. */
TEST_F(lower, frees_empties_at_once)
{
	struct cg_child *c = self->child;
	const long live = 50, empty = 700, limit = 300;
	long kb, i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, sleeper_start(&c[i], i == 2 ? GROUP_B : GROUP_A, live, empty));
	}
	kill(c[1].pid, SIGSTOP);
	ASSERT_TRUE(wait_state(c[1].pid, 'T', SOON_MS));
	EXPECT_LE(TABLE_BYTES(3 * (live + empty)), pt_current(TOP));
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(limit)));
	for (i = kb = 0; i < 3; i++)
		kb += vmpte_kb(c[i].pid);
	/* What the children have from before they came into the group is not charged. */
	EXPECT_GE((limit + 3 * 40) * TABLE_KB, kb) {
		TH_LOG("the write has returned, and %ld kB are still mapped", kb);
	}
	EXPECT_EQ(TABLE_BYTES(limit), cg_number(TOP, PT_MAX));
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(limit), SOON_MS));
	EXPECT_LT(0, pt_event(TOP, "max", true));
	EXPECT_EQ(0, pt_event(TOP, "oom", false));
	nobody_killed(TOP);
	kill(c[1].pid, SIGCONT);
	for (i = 0; i < 3; i++)
		child_is_well(&c[i], live);
}

/* Under the limit nothing happens, empties or not. */
TEST_F(lower, not_below_current)
{
	struct cg_child *c = self->child;
	long before;

	ASSERT_EQ(0, sleeper_start(c, GROUP_A, 50, 500));
	before = pt_current(GROUP_A);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, before + TABLE_BYTES(10)));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, before));
	nap_ms(IDLE_MS);
	EXPECT_EQ(before, pt_current(GROUP_A));
	EXPECT_EQ(0, pt_event(GROUP_A, "max", false));
	child_is_well(c, 50);
}

/*
 * Tables in use: the largest goes first, and no one more than needed. Each
 * write has done its killing when it returns.
 */
TEST_F(lower, kills_one_at_a_time)
{
	static const long tables[] = { 300, 1000, 800 };
	struct cg_child *c = self->child;
	long i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, range_child(&c[i], i ? GROUP_A : GROUP_B, 1000));
		ASSERT_EQ(0, cg_child_do(&c[i], 'f', tables[i]));
	}
	/* 2100: without the 1000 the rest fits. */
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(1200)));
	EXPECT_TRUE(was_killed(cg_child_status(&c[1], SOON_MS)));
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(1200), SOON_MS));
	EXPECT_EQ(1, pt_event(TOP, "oom_kill", false));
	child_is_well(&c[0], tables[0]);
	child_is_well(&c[2], tables[2]);

	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(400)));
	EXPECT_TRUE(was_killed(cg_child_status(&c[2], SOON_MS)));
	EXPECT_EQ(2, pt_event(TOP, "oom_kill", false));
	child_is_well(&c[0], tables[0]);
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false) - 1);
	EXPECT_EQ(0, pt_event(GROUP_B, "oom_kill", false));
}

/* Two have to go: one write, two victims, and the third is spared. */
TEST_F(lower, kills_until_under)
{
	struct cg_child *c = self->child;
	long i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, range_child(&c[i], GROUP_A, 1000));
		ASSERT_EQ(0, cg_child_do(&c[i], 'f', 700 + 100 * i));
	}
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(750)));
	EXPECT_TRUE(was_killed(cg_child_status(&c[2], SOON_MS)));
	EXPECT_TRUE(was_killed(cg_child_status(&c[1], SOON_MS)));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(750), SOON_MS));
	EXPECT_EQ(2, pt_event(GROUP_A, "oom_kill", false));
	EXPECT_EQ(2, memory_event(GROUP_A, "oom_kill"));
	child_is_well(&c[0], 700);
}

/* Empties first: who is in use is spared where they are enough. */
TEST_F(lower, empties_before_lives)
{
	struct cg_child *c = self->child;

	ASSERT_EQ(0, range_child(&c[0], GROUP_A, 1000));
	ASSERT_EQ(0, cg_child_do(&c[0], 'f', 1000));
	ASSERT_EQ(0, sleeper_start(&c[1], GROUP_A, 20, 1000));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(1100)));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(1100), SOON_MS));
	nobody_killed(GROUP_A);
	child_is_well(&c[0], 1000);
	child_is_well(&c[1], 20);
}

/* 0 is a legal limit: nobody may have a table. */
TEST_F(lower, zero)
{
	struct cg_child *c = self->child;

	ASSERT_EQ(0, range_child(c, GROUP_A, 100));
	ASSERT_EQ(0, cg_child_do(c, 'f', 100));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, 0));
	EXPECT_EQ(0, cg_number(GROUP_A, PT_MAX));
	EXPECT_TRUE(was_killed(cg_child_status(c, SOON_MS)));
	EXPECT_TRUE(wait_current_below(GROUP_A, 0, SOON_MS));

	/* Who comes later dies of its first table. */
	ASSERT_EQ(0, range_child(c, GROUP_A, 100));
	ASSERT_EQ(0, cg_child_tell(c, 'f', 100));
	EXPECT_TRUE(was_killed(cg_child_status(c, SOON_MS)));
	EXPECT_EQ(2, pt_event(GROUP_A, "oom_kill", false));
}

/* pt.high of 0 frees what there is, and kills nobody. */
TEST_F(lower, high_zero)
{
	struct cg_child *c = self->child;

	ASSERT_EQ(0, sleeper_start(c, GROUP_A, 50, 500));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_HIGH, 0));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(50 + EXTRAS(550)), SOON_MS)) {
		TH_LOG("%ld tables", pt_current(GROUP_A) / 4096);
	}
	child_is_well(c, 50);
	nobody_killed(GROUP_A);
}

static volatile sig_atomic_t signals;

static void on_alarm(int sig)
{
	signals++;
}

/* Write pt.max, with a signal every @us (0: none). How long it took in us, or -errno. */
static long timed_write(const char *group, const char *text, long us)
{
	struct itimerval every = { { 0, us }, { 0, us } }, never = { { 0 } };
	struct sigaction act = { .sa_handler = on_alarm };
	struct timespec a, b;
	char path[256];
	int fd, err = 0;

	cg_path(path, sizeof(path), group, PT_MAX);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	sigaction(SIGALRM, &act, NULL);
	signals = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	setitimer(ITIMER_REAL, &every, NULL);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -errno;
	setitimer(ITIMER_REAL, &never, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	close(fd);
	return err ?: (b.tv_sec - a.tv_sec) * 1000000L + (b.tv_nsec - a.tv_nsec) / 1000;
}

/*
 * A signal ends the work, and the write has still succeeded. Twice the same
 * amount of work, once with nobody who disturbs.
 */
TEST_F(lower, signal_ends_it)
{
	const long count = 4, each = 5000;
	struct cg_child *c = self->child;
	long whole, cut, i;

	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, sleeper_start(&c[i], GROUP_A, 50, each));
	}
	whole = timed_write(GROUP_A, "2M", 0);
	ASSERT_LT(0, whole);
	EXPECT_TRUE(wait_current_below(GROUP_A, 2 * MiB, SOON_MS)) {
		TH_LOG("%ld kB, VmPTE %ld %ld %ld %ld kB", pt_current(GROUP_A) / 1024,
		       vmpte_kb(c[0].pid), vmpte_kb(c[1].pid), vmpte_kb(c[2].pid),
		       vmpte_kb(c[3].pid));
	}

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, NO_LIMIT));
	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, cg_child_do(&c[i], 'f', 50 + each));
		ASSERT_EQ(0, cg_child_do(&c[i], 'E', RANGE(50, each)));
	}
	EXPECT_LE(TABLE_BYTES(count * each), pt_current(GROUP_A));
	cut = timed_write(GROUP_A, "2M", 500);
	EXPECT_LE(0, cut) {
		TH_LOG("a write that a signal interrupts gives %s", strerror(-cut));
	}
	EXPECT_LT(0, signals);
	note("lowering took %ld us, with a signal %ld us", whole, cut);
	EXPECT_GT(whole / 2, cut);
	EXPECT_EQ(2 * MiB, cg_number(GROUP_A, PT_MAX));
	nobody_killed(GROUP_A);
	for (i = 0; i < count; i++)
		child_is_well(&c[i], 50);
}

PTFREE_TEST_MAIN(0, 100, 65536)
