// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking costs 3 % of the time at most, also where there is much to look at and the
 * delay is short: for the thread, which looks after those who sleep, and for a process
 * that looks after itself.
 *
 * For a machine where a nanosecond is an instruction (tests/run --icount). On others the
 * time that the host takes away is counted, or not, where it happens to.
 */
#include "cg.h"
#include "switches.h"

#define SHORT		10L
/* Of a process: two holds of the mmap lock, of some 0.3 ms each */
#define TABLES		6000L
#define SLEEPERS	24
/* Per mille */
#define SHARE_MOST	30L
/* It is what looking costs that holds it back, not the delay or the ticks. */
#define SHARE_LEAST	10L

/* D: take the choice back that the test has made for itself */
static long pace_orders(struct cg_child *c, struct cg_order *o)
{
	return o->what == 'D' ? choose(CHOICE_DEFAULT) : -EINVAL;
}

static pid_t kfreept(void)
{
	char path[64], name[32];
	pid_t pid;

	for (pid = 1; pid < 1000; pid++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (read_text(path, name, sizeof(name)) > 0 && !strcmp(name, "kfreept\n"))
			return pid;
	}
	return -1;
}

FIXTURE(pace) {
	struct cg_child c[SLEEPERS];
	int started;
	pid_t thread;
};

FIXTURE_SETUP(pace)
{
	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is scanned here");
	ASSERT_EQ(0, choose(CHOICE_DISABLE));
	self->thread = kfreept();
	ASSERT_LT(0, self->thread);
	ASSERT_EQ(0, scanner(0, SHORT, 65536));
}

FIXTURE_TEARDOWN(pace)
{
	while (self->started)
		cg_child_end(&self->c[--self->started]);
	choose(CHOICE_DEFAULT);
}

/* One more process, with @tables in use. */
static int start(FIXTURE_DATA(pace) *self, long tables)
{
	struct cg_child *c = &self->c[self->started];
	int err;

	c->extra = pace_orders;
	err = cg_child_start(c, NULL, tables);
	if (err)
		return err;
	self->started++;
	return cg_child_do(c, 'D', 0) ?: cg_child_do(c, 'r', tables);
}

/*
 * What a setting that is written makes void is looked at anew: how many ms it takes until
 * @tables have been looked at, and how many us of the thread. -1 if it takes too long.
 */
static long lap_ms(FIXTURE_DATA(pace) *self, long tables, long *used)
{
	long first = vmstat("ptscan"), begin, end;

	*used = cpu_us(self->thread);
	if (scanner(2, SHORT, 65536))
		return -1;
	begin = now_ms();
	end = begin + 10 * CLEAN_MS;
	while (vmstat("ptscan") < first + tables) {
		if (now_ms() > end)
			return -1;
		nap_ms(5);
	}
	*used = cpu_us(self->thread) - *used;
	return now_ms() - begin;
}

TEST_F(pace, thread)
{
	long took, used, share;
	int i;

	for (i = 0; i < SLEEPERS; i++)
		ASSERT_EQ(0, start(self, TABLES));
	took = lap_ms(self, SLEEPERS * TABLES, &used);
	ASSERT_LT(0, took);
	share = used / took;
	TH_LOG("%ld tables: %ld ms, and %ld us of the thread: %ld per mille",
	       SLEEPERS * TABLES, took, used, share);
	EXPECT_GE(SHARE_MOST, share);
	EXPECT_LE(SHARE_LEAST, share);
}

/* How long looking takes is told by the thread, for a process that sleeps. */
TEST_F(pace, itself)
{
	long took, used, also, share, tables = SLEEPERS * TABLES;

	ASSERT_EQ(0, start(self, tables));
	took = lap_ms(self, tables, &used);
	ASSERT_LT(0, took);
	TH_LOG("%ld tables, asleep: %ld ms, and %ld us of the thread", tables, took, used);
	ASSERT_EQ(0, cg_child_tell(&self->c[0], 'b', 10 * CLEAN_MS));
	took = lap_ms(self, tables, &also);
	ASSERT_LT(0, took);
	share = used / took;
	TH_LOG("running: %ld ms, and %ld us of the thread: %ld per mille", took, also, share);
	/* it was not the thread that did it */
	EXPECT_GT(used / 4, also);
	EXPECT_GE(SHARE_MOST, share);
	EXPECT_LE(SHARE_LEAST, share);
}

PTFREE_TEST_MAIN(2, SHORT, 65536)
