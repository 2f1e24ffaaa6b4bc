// SPDX-License-Identifier: GPL-2.0-only
/*
 * Background work that does no harm: who has unmapped nothing is not looked at,
 * where something was unmapped only that is, what is used again soon is left
 * alone, and in the end what is empty goes, in time.
 *
 * /proc/vmstat counts the whole machine at once and exactly, memory.stat late: so
 * nobody but the child under test is to be scanned. The test and whoever started
 * it have nothing to do meanwhile, and the test has background work disabled.
 */
#include "cg.h"
#include "switches.h"

#define GROUP	"pacing"
#define DELAY	50L
#define TABLES	2000L
/* Tables of others on the machine that are looked at, or freed, meanwhile. */
#define OTHERS	8L

/*
 * More orders:	X	one entry in each of n tables goes, another one stays
 *		2	a second entry in each of n tables
 *		Y	empty the first n tables of the second GiB
 *		D	take the choice back that the test has made for itself
 */
static long pacing_orders(struct cg_child *c, struct cg_order *o)
{
	long i;

	switch (o->what) {
	case 'D':
		return choose(CHOICE_DEFAULT);
	case '2':
		for (i = 0; i < o->n; i++)
			*(volatile char *)(c->at + i * TABLE_SPAN + 9 * PAGE) = 1;
		return 0;
	case 'X':
		for (i = 0; i < o->n; i++)
			if (madvise(c->at + i * TABLE_SPAN + 9 * PAGE, PAGE, MADV_DONTNEED))
				return -errno;
		return 0;
	case 'Y':
		return give_advice(c->at + GiB, o->n * TABLE_SPAN, MADV_DONTNEED);
	}
	return -EINVAL;
}

FIXTURE(pacing) {
	struct cg_child c;
	long before;	/* ptscan, or what a test likes to keep */
};

FIXTURE_SETUP(pacing)
{
	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is scanned here");
	ASSERT_EQ(0, choose(CHOICE_DISABLE));
	ASSERT_TRUE(have_memcg());
	ASSERT_EQ(0, cg_clear(GROUP));
	ASSERT_EQ(0, cg_make(GROUP));
	ASSERT_EQ(0, scanner(2, DELAY, 65536));
	self->c.extra = pacing_orders;
}

static int start(FIXTURE_DATA(pacing) *self, long tables)
{
	return cg_child_start(&self->c, GROUP, tables) ?: cg_child_do(&self->c, 'D', 0);
}

FIXTURE_TEARDOWN(pacing)
{
	cg_child_end(&self->c);
	EXPECT_EQ(0, cg_clear(GROUP));
	choose(CHOICE_DEFAULT);
}

/*
 * A child with @tables in use that has been looked at, all through, and is quiet.
 * It fills them in mode 0: the lap after that looks at all of them.
 */
#define looked_at(self, tables) __looked_at(_metadata, self, tables)
static void __looked_at(struct __test_metadata *_metadata, FIXTURE_DATA(pacing) *self, long tables)
{
	long last, quiet, end;

	ASSERT_EQ(0, scanner(0, DELAY, 65536));
	ASSERT_EQ(0, start(self, tables));
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', tables));
	last = vmstat("ptscan");
	ASSERT_EQ(0, scanner(2, DELAY, 65536));
	end = now_ms() + 5 * CLEAN_MS;
	while (vmstat("ptscan") < last + tables) {
		ASSERT_GT(end, now_ms()) {
			TH_LOG("the scanner has not come by");
		}
		nap_ms(10);
	}
	/* The last lap of those that find something: then nothing for long. */
	last = vmstat("ptscan");
	for (quiet = now_ms(); now_ms() < quiet + 20 * DELAY; nap_ms(20)) {
		if (vmstat("ptscan") == last)
			continue;
		last = vmstat("ptscan");
		quiet = now_ms();
		ASSERT_GT(end, quiet) {
			TH_LOG("there is no end of looking");
		}
	}
	self->before = last;
}

/* Tables looked at since looked_at(). */
static long scanned(FIXTURE_DATA(pacing) *self)
{
	return vmstat("ptscan") - self->before;
}

/* Nothing was unmapped: for forty delays not one table is looked at. */
TEST_F(pacing, nothing_unmapped_asleep)
{
	looked_at(self, TABLES);
	nap_ms(40 * DELAY);
	EXPECT_EQ(0, scanned(self));
	EXPECT_EQ(0, cg_child_do(&self->c, 'c', TABLES));
}

TEST_F(pacing, nothing_unmapped_running)
{
	looked_at(self, TABLES);
	ASSERT_EQ(0, cg_child_do(&self->c, 'b', 40 * DELAY));
	EXPECT_EQ(0, scanned(self));
}

/* New tables, and tables with more in them: nothing to look at either. */
TEST_F(pacing, only_filled)
{
	looked_at(self, TABLES);
	ASSERT_EQ(0, cg_child_do(&self->c, '2', TABLES));
	nap_ms(20 * DELAY);
	EXPECT_EQ(0, scanned(self));
}

/* One entry in one table goes: that table is looked at, once. */
TEST_F(pacing, one_entry)
{
	looked_at(self, TABLES);
	ASSERT_EQ(0, cg_child_do(&self->c, '2', 1));
	ASSERT_EQ(0, cg_child_do(&self->c, 'X', 1));
	nap_ms(40 * DELAY);
	expect_within(1, scanned(self), 1 + OTHERS, "ptscan after one entry was removed");
	EXPECT_EQ(0, cg_child_do(&self->c, 'c', TABLES));
}

/* 50 of 2,000 are emptied: each is looked at twice, as it must be, and freed. */
TEST_F(pacing, a_few_emptied)
{
	const long few = 50;
	long freed, full;

	looked_at(self, TABLES);
	full = vmpte_kb(self->c.pid);
	freed = vmstat("ptfree");
	ASSERT_EQ(0, cg_child_do(&self->c, 'Y', few));
	EXPECT_TRUE(wait_vmpte_below(self->c.pid, full - few * TABLE_KB, CLEAN_MS));
	nap_ms(20 * DELAY);
	expect_within(2 * few, scanned(self), 2 * few + OTHERS, "ptscan after 50 were emptied");
	expect_within(few, vmstat("ptfree") - freed, few + OTHERS, "ptfree");
}

/* memory.stat of the group says the same, when it is flushed. */
TEST_F(pacing, in_memory_stat)
{
	long stat, end;

	looked_at(self, TABLES);
	/* Twice as long as the flush takes at most. */
	nap_ms(5000);
	stat = cg_stat(GROUP, "ptscan");
	EXPECT_LE(TABLES, stat);
	nap_ms(3000);
	EXPECT_EQ(stat, cg_stat(GROUP, "ptscan"));
	ASSERT_EQ(0, cg_child_do(&self->c, 'Y', 50));
	/* A flush may come between the two. */
	for (end = now_ms() + 8000; now_ms() < end; nap_ms(50))
		if (cg_stat(GROUP, "ptscan") >= stat + 100 && cg_stat(GROUP, "ptfree") >= 50)
			break;
	expect_within(100, cg_stat(GROUP, "ptscan") - stat, 100 + OTHERS, "ptscan of the group");
	expect_within(50, cg_stat(GROUP, "ptfree"), 50 + OTHERS, "ptfree of the group");
}

/*
 * The age rule: what is emptied again and again, and is touched in between, is
 * never empty at two looks with nothing removed between them. Half of the time
 * it is empty, and there are 4 rounds to a delay.
 */
#define TOUCHED		100L

/* Rounds for twelve delays; returns the longest of them, or -1. */
static long touch_and_empty(struct cg_child *c, long delay)
{
	long end = now_ms() + 12 * delay, slow = 0, t, took;

	while (now_ms() < end) {
		t = now_ms();
		if (cg_child_do(c, 'f', TOUCHED))
			return -1;
		nap_ms(delay / 8);
		if (cg_child_do(c, 'e', TOUCHED))
			return -1;
		nap_ms(delay / 8);
		took = now_ms() - t;
		if (took > slow)
			slow = took;
	}
	return slow;
}

TEST_F(pacing, touched_between_looks)
{
	long delay = 400 * scale, slow, freed = 0, refaults = 0, full, i;

	ASSERT_EQ(0, start(self, TOUCHED));
	/* A busy host may stop us for longer than a delay: then with a longer one. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, scanner(2, delay, 65536));
		freed = vmstat("ptfree");
		refaults = vmstat("ptrefault");
		slow = touch_and_empty(&self->c, delay);
		ASSERT_LE(0, slow);
		if (slow < delay)
			break;
		delay = 2 * slow;
	}
	ASSERT_LT(slow, delay) {
		TH_LOG("this machine is too slow: a round took %ld ms", slow);
	}
	EXPECT_GE(OTHERS, vmstat("ptfree") - freed);
	EXPECT_GE(OTHERS, vmstat("ptrefault") - refaults);
	/* Left alone at last, they go: how soon depends on what was learnt of it. */
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', TOUCHED));
	full = vmpte_kb(self->c.pid);
	ASSERT_EQ(0, scanner(2, DELAY, 65536));
	ASSERT_EQ(0, cg_child_do(&self->c, 'e', TOUCHED));
	EXPECT_TRUE(wait_vmpte_below(self->c.pid, full - TOUCHED * TABLE_KB, 10 * CLEAN_MS));
}

/*
 * Loops with short and long periods, half of which their tables are empty. With a
 * delay much shorter than that, tables are freed and come back; that is noticed,
 * and they are left alone. Each has a group of its own.
 */
#define LOOPS		3
#define LOOP_TABLES	200L
#define LOOP_GROUP	GROUP "/loop%d"

static void loop_for_ever(long period, volatile long *rounds)
{
	char *at = map_anon(LOOP_TABLES * TABLE_SPAN);

	for (;; (*rounds)++) {
		fill(at, LOOP_TABLES * TABLE_SPAN, TABLE_SPAN, 1);
		nap_ms(period / 2);
		if (madvise(at, LOOP_TABLES * TABLE_SPAN, MADV_DONTNEED))
			_exit(1);
		nap_ms(period / 2);
	}
}

#define loops_left_alone(delay) __loops_left_alone(_metadata, delay)
static void __loops_left_alone(struct __test_metadata *_metadata, long delay)
{
	static const long period[LOOPS] = { 10, 100, 1000 };
	const long warm_up = 8000, window = 8000;
	volatile long *rounds;
	char name[LOOPS][64];
	long first[LOOPS], count[LOOPS], done[LOOPS];
	pid_t pid[LOOPS];
	int i;

	ASSERT_EQ(0, scanner(2, delay, 65536));
	ASSERT_EQ(0, cg_make_parent(GROUP));
	rounds = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, rounds);
	for (i = 0; i < LOOPS; i++) {
		snprintf(name[i], sizeof(name[i]), LOOP_GROUP, i);
		ASSERT_EQ(0, cg_make(name[i]));
		pid[i] = fork_child();
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			if (cg_enter(name[i], getpid()) || choose(CHOICE_DEFAULT))
				_exit(1);
			loop_for_ever(period[i], rounds + i);
		}
	}
	nap_ms(warm_up);
	for (i = 0; i < LOOPS; i++) {
		first[i] = cg_stat(name[i], "ptrefault");
		count[i] = rounds[i];
	}
	nap_ms(window);
	for (i = 0; i < LOOPS; i++) {
		kill(pid[i], SIGSTOP);
		done[i] = rounds[i] - count[i];
	}
	/* Until the last are flushed. */
	nap_ms(3000);
	for (i = 0; i < LOOPS; i++) {
		long late = cg_stat(name[i], "ptrefault") - first[i];
		long tables = done[i] * LOOP_TABLES;

		TH_LOG("period %4ld ms: looked at %ld tables; ptrefault %ld, and then %ld of %ld",
		       period[i], cg_stat(name[i], "ptscan"), first[i], late, tables);
		EXPECT_LT(0, tables);
		/* It was not left alone by not being looked at at all. */
		EXPECT_LE(LOOP_TABLES, cg_stat(name[i], "ptscan"));
		/* One round is what it takes to notice. */
		EXPECT_GE(tables / 10 + LOOP_TABLES + OTHERS, late) {
			TH_LOG("more than a tenth was freed in vain");
		}
		reap(pid[i]);
	}
}

TEST_F(pacing, loops_are_left_alone)
{
	loops_left_alone(100);
}

TEST_F(pacing, loops_are_left_alone_by_short_delays)
{
	loops_left_alone(20);
}

/*
 * Sparse, 50 GiB, a page each 2 MiB: with 100 ms and 65,536 MiB all are gone
 * within 4 s of the last unmap, while it runs and while it sleeps; and that with
 * a scanner that has seen all of it in use.
 */
#define BIG	25600L

#define all_gone(self, spinning) __all_gone(_metadata, self, spinning)
static void __all_gone(struct __test_metadata *_metadata, FIXTURE_DATA(pacing) *self,
		       bool spinning)
{
	long start_kb, start_ms, floor;
	bool gone = false;
	int i;

	ASSERT_EQ(0, scanner(2, 100, 65536));
	/* 4 s of a host that has other things to do are less than 4 s: three attempts. */
	for (i = 0; i < 3 && !gone; i++) {
		if (i)
			cg_child_end(&self->c);
		ASSERT_EQ(0, start(self, BIG));
		start_kb = vmpte_kb(self->c.pid);
		ASSERT_EQ(0, cg_child_do(&self->c, 'r', BIG));
		EXPECT_LE(start_kb + BIG * TABLE_KB, vmpte_kb(self->c.pid));
		/* Looked at in use, but for what has been just now. */
		nap_ms(1000);
		ASSERT_EQ(0, cg_child_do(&self->c, 'e', BIG));
		start_ms = now_ms();
		if (spinning) {
			ASSERT_EQ(0, cg_child_tell(&self->c, 'b', CLEAN_MS));
		}
		floor = start_kb + upper_kb(self->c.at, BIG * TABLE_SPAN) + BIG * TABLE_KB / 100;
		gone = wait_vmpte_below(self->c.pid, floor, CLEAN_MS);
		TH_LOG("%ld ms, %ld kB left", now_ms() - start_ms, vmpte_kb(self->c.pid));
	}
	EXPECT_TRUE(gone) {
		TH_LOG("%ld kB were to be left in %ld ms", floor, CLEAN_MS);
	}
}

TEST_F(pacing, fifty_GiB_asleep)
{
	all_gone(self, false);
}

TEST_F(pacing, fifty_GiB_running)
{
	all_gone(self, true);
}

PTFREE_TEST_MAIN(2, DELAY, 65536)
