// SPDX-License-Identifier: GPL-2.0-only
/*
 * Living with memory.pt.high and memory.pt.max: programs that touch and free
 * far more address space than their budget has tables for, neighbours whose
 * empties are taken, who is asked when a child or when its parent is over, and
 * a dense program over pt.high. Nobody is killed here: for that see cgoom.c.
 *
 * vm.freept is 0 throughout: what is freed was freed by the budget.
 */
#include <sys/param.h>

#include "cgbudget.h"

/*
 * Programs that live inside pt.max
 */

struct life {
	long max;		/* pt.max, in tables */
	long tables;		/* touched and freed in a round */
	long window;		/* in use at a time, in each thread */
	int rounds;
	int threads;
	bool of_parent;		/* the limit is the parent's */
	const char *thp;	/* NULL: not for this process */
};

/* A child's orders know no structures: set before the child is forked. */
static const struct life *life;

/*
 * A debug kernel takes minutes for the whole of a life. There it has one round, of
 * @times its budget: still more than the budget has tables for.
 */
static struct life life_for_this_kernel(const struct life *whole, long times)
{
	const long step = whole->window * whole->threads;
	struct life l = *whole;

	if (scale > 1) {
		l.rounds = 1;
		l.tables = MIN(l.tables, roundup(times * l.max, step));
	}
	return l;
}

/* One page in every table, each eighth one written by the kernel. */
static long fill_mixed(char *at, long tables, long gen, int *pipes)
{
	uint64_t mark;
	ssize_t n;
	long i;

	for (i = 0; i < tables; i++) {
		char *page = at + i * TABLE_SPAN;

		if (i % 8) {
			*(volatile uint64_t *)page = mark_of(page, gen);
			continue;
		}
		mark = mark_of(page, gen);
		if (write(pipes[1], &mark, sizeof(mark)) != sizeof(mark))
			return -EIO;
		n = read(pipes[0], page, sizeof(mark));
		if (n != sizeof(mark))
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

/*
 * Give back, in one piece or in pieces of 64 KiB, as allocators do. Where
 * threads do so at the same time every call ends in a TLB flush on all CPUs,
 * which is slow under emulation: they leave out the pieces they did not touch.
 */
static long give_back(char *at, long tables, bool pieces)
{
	size_t len = tables * TABLE_SPAN, piece = pieces ? 64 * KiB : len, step = piece, i;

	if (pieces && life->threads > 1)
		step = TABLE_SPAN;
	for (i = 0; i < len; i += step)
		if (madvise(at + i, piece, MADV_DONTNEED))
			return -errno;
	return 0;
}

struct part {
	pthread_t thread;
	char *at;
	long tables, result;
};

static void *live_part(void *arg)
{
	struct part *p = arg;
	long w, round, gen = 0;
	int pipes[2];

	p->result = pipe(pipes) ? -errno : 0;
	for (round = 0; round < life->rounds; round++) {
		for (w = 0; w < p->tables && !p->result; w += life->window, gen++) {
			char *at = p->at + w * TABLE_SPAN;

			p->result = fill_mixed(at, life->window, gen, pipes);
			p->result = p->result ?:
				bad_marks(at, life->window * TABLE_SPAN, TABLE_SPAN, gen);
			p->result = p->result ?: give_back(at, life->window, gen % 2);
		}
	}
	close(pipes[0]);
	close(pipes[1]);
	return NULL;
}

static long live(struct cg_child *c, struct cg_order *o)
{
	struct part parts[8];
	long i, result = 0;

	if (o->what != 'L')
		return -EINVAL;
	if (life->thp)
		thp_allow(true);
	/* Under `madvise` one half of the area asks for huge pages. */
	if (life->thp && madvise(c->at, c->tables / 2 * TABLE_SPAN, MADV_HUGEPAGE))
		return -errno;
	for (i = 0; i < life->threads; i++) {
		struct part *p = &parts[i];

		p->tables = c->tables / life->threads;
		p->at = c->at + i * p->tables * TABLE_SPAN;
		if (pthread_create(&p->thread, NULL, live_part, p))
			return -EAGAIN;
	}
	for (i = 0; i < life->threads; i++) {
		pthread_join(parts[i].thread, NULL);
		result = result ?: parts[i].result;
	}
	return result;
}

FIXTURE(inside_max) {
	char thp[64];
};

FIXTURE_VARIANT(inside_max) {
	struct life life;
};

/* 20 GiB, two times, in 8 MiB of tables. */
FIXTURE_VARIANT_ADD(inside_max, one_thread) {
	.life = { .max = 2048, .tables = 10240, .window = 512, .rounds = 2, .threads = 1 },
};

FIXTURE_VARIANT_ADD(inside_max, four_threads) {
	.life = { .max = 2048, .tables = 8192, .window = 256, .rounds = 1, .threads = 4 },
};

FIXTURE_VARIANT_ADD(inside_max, limit_of_the_parent) {
	.life = { .max = 1024, .tables = 5120, .window = 512, .rounds = 1, .threads = 1,
		  .of_parent = true },
};

/* Nearly all of the budget is in use all of the time. */
FIXTURE_VARIANT_ADD(inside_max, tight) {
	.life = { .max = 640, .tables = 5120, .window = 512, .rounds = 1, .threads = 1 },
};

FIXTURE_VARIANT_ADD(inside_max, thp_madvise) {
	.life = { .max = 256, .tables = 2048, .window = 64, .rounds = 1, .threads = 1,
		  .thp = "madvise" },
};

FIXTURE_VARIANT_ADD(inside_max, thp_always) {
	.life = { .max = 256, .tables = 2048, .window = 64, .rounds = 1, .threads = 1,
		  .thp = "always" },
};

FIXTURE_SETUP(inside_max)
{
	char *mode;

	setup_groups();
	if (!variant->life.thp)
		return;
	/* The file has the mode in brackets, among the others. */
	ASSERT_LT(0, read_text(THP_ENABLED, self->thp, sizeof(self->thp)));
	mode = strchr(self->thp, '[');
	ASSERT_NE(NULL, mode);
	mode[strcspn(mode, "]")] = 0;
	memmove(self->thp, mode + 1, strlen(mode + 1) + 1);
	ASSERT_TRUE(thp_set(variant->life.thp));
}

FIXTURE_TEARDOWN(inside_max)
{
	if (variant->life.thp)
		thp_set(self->thp);
	teardown_groups();
}

TEST_F(inside_max, never_killed)
{
	const char *limited = variant->life.of_parent ? TOP : GROUP_A;
	const struct life this = life_for_this_kernel(&variant->life, 3);
	long max = TABLE_BYTES(this.max), peak, freed;
	struct cg_child c = { .extra = live };

	life = &this;
	ASSERT_EQ(0, pt_limit(limited, PT_MAX, max));
	ASSERT_EQ(0, cg_child_start(&c, GROUP_A, life->tables));
	freed = vmstat("ptfree");
	ASSERT_EQ(0, cg_child_tell(&c, 'L', 0));
	EXPECT_EQ(0, cg_child_answer(&c, 100000 * scale)) {
		TH_LOG("no answer, or a system call that failed, or wrong contents");
	}
	EXPECT_TRUE(is_alive(c.pid));
	nobody_killed(TOP);
	EXPECT_EQ(0, pt_event(TOP, "oom", false));
	EXPECT_LT(0, pt_event(limited, "max", true));
	peak = pt_peak(limited);
	note("pt.max %ld kB, peak %ld kB", max / 1024, peak / 1024);
	EXPECT_GE(max + max / 4 + TABLE_BYTES(life->threads * TASK_OVER + BLUR), peak);
	if (max == 8 * MiB) {
		EXPECT_GE(12 * MiB, peak);
	}
	/* The proof that the limit was in the way. A huge page given back whole
	 * takes its table along, so that half of them is what all variants share.
	 */
	EXPECT_LE(life->rounds * life->tables / 2 - life->max - EXTRAS(life->tables),
		  vmstat("ptfree") - freed);
	EXPECT_TRUE(wait_current_below(limited, max, SOON_MS));
	cg_child_end(&c);
}

/*
 * Who gives
 */

FIXTURE(budget) {
	struct cg_child filler, a, b, stopped;
};

FIXTURE_VARIANT(budget) {
	const char *file, *event;
};

FIXTURE_VARIANT_ADD(budget, max) {
	.file = PT_MAX, .event = "max",
};

FIXTURE_VARIANT_ADD(budget, high) {
	.file = PT_HIGH, .event = "high",
};

FIXTURE_SETUP(budget)
{
	setup_groups();
}

FIXTURE_TEARDOWN(budget)
{
	cg_freeze(GROUP_B, false, 0);
	cg_child_end(&self->filler);
	cg_child_end(&self->a);
	cg_child_end(&self->b);
	cg_child_end(&self->stopped);
	teardown_groups();
}

/*
 * Three who do not run, one asleep, one stopped, one frozen, have empties. A
 * fourth needs nearly all of them for tables in use.
 */
TEST_F(budget, sleepers_give_theirs)
{
	const long live = 50, empty = 500, need = 1400, limit = 1700;

	ASSERT_EQ(0, pt_limit(TOP, variant->file, TABLE_BYTES(limit)));
	ASSERT_EQ(0, sleeper_start(&self->a, GROUP_A, live, empty));
	ASSERT_EQ(0, sleeper_start(&self->stopped, GROUP_A, live, empty));
	ASSERT_EQ(0, sleeper_start(&self->b, GROUP_B, live, empty));
	kill(self->stopped.pid, SIGSTOP);
	ASSERT_TRUE(wait_state(self->stopped.pid, 'T', SOON_MS));
	ASSERT_TRUE(cg_freeze(GROUP_B, true, SOON_MS));
	EXPECT_EQ(0, pt_event(TOP, variant->event, false)) {
		TH_LOG("over the limit before the test has begun");
	}

	ASSERT_EQ(0, range_child(&self->filler, GROUP_A, need));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', need));
	child_is_well(&self->filler, need);
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(limit), SOON_MS)) {
		TH_LOG("%ld tables, the limit is %ld", pt_current(TOP) / 4096, limit);
	}
	EXPECT_LT(0, pt_event(TOP, variant->event, false));
	nobody_killed(TOP);

	kill(self->stopped.pid, SIGCONT);
	ASSERT_TRUE(cg_freeze(GROUP_B, false, SOON_MS));
	child_is_well(&self->a, live);
	child_is_well(&self->b, live);
	child_is_well(&self->stopped, live);
}

/* A child over its limit is not the business of its sibling. */
TEST_F(budget, of_a_child)
{
	const long live = 20, empty = 600, need = 500, limit = 700;
	long before, kb;

	ASSERT_EQ(0, sleeper_start(&self->a, GROUP_A, live, empty));
	ASSERT_EQ(0, sleeper_start(&self->b, GROUP_B, live, empty));
	ASSERT_EQ(0, pt_limit(GROUP_A, variant->file, TABLE_BYTES(limit)));
	before = pt_current(GROUP_B);
	kb = vmpte_kb(self->b.pid);
	ASSERT_EQ(0, range_child(&self->filler, GROUP_A, need));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', need));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(limit), SOON_MS));
	EXPECT_EQ(before, pt_current(GROUP_B)) {
		TH_LOG("the sibling of a cgroup over its limit was cleaned");
	}
	EXPECT_EQ(kb, vmpte_kb(self->b.pid));

	/* Counted where the limit is and up, local only where it is. */
	EXPECT_LT(0, pt_event(GROUP_A, variant->event, false));
	EXPECT_EQ(pt_event(GROUP_A, variant->event, false),
		  pt_event(GROUP_A, variant->event, true));
	EXPECT_EQ(pt_event(GROUP_A, variant->event, false),
		  pt_event(TOP, variant->event, false));
	EXPECT_EQ(0, pt_event(TOP, variant->event, true));
	EXPECT_EQ(0, pt_event(GROUP_B, variant->event, false));
	child_is_well(&self->filler, need);
	child_is_well(&self->a, live);
	nobody_killed(TOP);
}

/* A parent over its limit asks all of its children. */
TEST_F(budget, of_a_parent)
{
	const long live = 20, empty = 400, need = 600, limit = 900;
	long a, b;

	ASSERT_EQ(0, pt_limit(TOP, variant->file, TABLE_BYTES(limit)));
	ASSERT_EQ(0, sleeper_start(&self->a, GROUP_A, live, empty));
	ASSERT_EQ(0, sleeper_start(&self->b, GROUP_B, live, empty));
	a = vmpte_kb(self->a.pid);
	b = vmpte_kb(self->b.pid);
	ASSERT_EQ(0, range_child(&self->filler, GROUP_A, need));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', need));
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(limit), SOON_MS));
	EXPECT_GT(a, vmpte_kb(self->a.pid));
	EXPECT_GT(b, vmpte_kb(self->b.pid));
	EXPECT_LT(0, pt_event(TOP, variant->event, true));
	EXPECT_EQ(0, pt_event(GROUP_A, variant->event, false));
	EXPECT_EQ(0, pt_event(GROUP_B, variant->event, false));
	child_is_well(&self->filler, need);
	child_is_well(&self->a, live);
	child_is_well(&self->b, live);
	nobody_killed(TOP);
}

/*
 * Empties among tables in use, charged by somebody who runs all the time: the
 * budget is kept while it does, not only when it sleeps.
 */
TEST_F(budget, of_one_who_never_sleeps)
{
	const struct life whole = {
		.max = 1024, .tables = 10240, .window = 256, .rounds = 1, .threads = 1,
	}, busy = life_for_this_kernel(&whole, 5);
	const char *group = GROUP_A;
	long end = now_ms() + 100000 * scale, seen, top = 0, answer;

	life = &busy;
	self->filler.extra = live;
	ASSERT_EQ(0, pt_limit(group, variant->file, TABLE_BYTES(busy.max)));
	ASSERT_EQ(0, cg_child_start(&self->filler, group, busy.tables));
	ASSERT_EQ(0, cg_child_tell(&self->filler, 'L', 0));
	do {
		seen = pt_current(group);
		if (seen > top)
			top = seen;
		answer = cg_child_answer(&self->filler, 1);
	} while (answer == -ETIMEDOUT && now_ms() < end);
	EXPECT_EQ(0, answer);
	note("%s: limit %ld tables, most seen %ld, peak %ld", variant->file, busy.max,
	     top / 4096, pt_peak(group) / 4096);
	EXPECT_TRUE(is_alive(self->filler.pid));
	/* pt.high promises no bound; without it all would be reached. */
	EXPECT_GE(TABLE_BYTES(busy.tables) / 2, pt_peak(group));
	EXPECT_TRUE(wait_current_below(group, TABLE_BYTES(busy.max), SOON_MS));
	nobody_killed(TOP);
}

/*
 * pt.high and nothing to free
 */

/* T: a new table every 10 ms for @n ms. */
static long trickle(struct cg_child *c, struct cg_order *o)
{
	long end, i;

	if (o->what != 'T')
		return range_orders(c, o);
	end = now_ms() + (o->n & 0xffffffff);
	for (i = o->n >> 32; now_ms() < end && i < c->tables; i++) {
		fill(c->at + i * TABLE_SPAN, TABLE_SPAN, TABLE_SPAN, 1);
		nap_ms(10);
	}
	return 0;
}

#define DENSE	6000L

/*
 * A program that needs its tables works on over pt.high: not killed, not put to
 * sleep, not slowed down. When it gives back at last, the pause that has grown
 * to seconds meanwhile ends, and the budget is kept at once.
 */
TEST_F(budget, dense_over_high)
{
	const long limit = 256, all = DENSE + 1000;
	struct cg_child *c = &self->a, *free = &self->b;
	long slept, spent, free_spent, looked, high;

	if (strcmp(variant->file, PT_HIGH))
		SKIP(return, "pt.max kills a dense program, see cgoom");
	ASSERT_EQ(0, range_child(free, GROUP_B, DENSE));
	free_spent = -cpu_us(free->pid);
	ASSERT_EQ(0, cg_child_do(free, 'f', DENSE));
	free_spent += cpu_us(free->pid);
	cg_child_end(free);

	c->extra = trickle;
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_HIGH, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(c, GROUP_A, all));
	slept = sleeps_of(c->pid);
	spent = -cpu_us(c->pid);
	ASSERT_EQ(0, cg_child_do(c, 'f', DENSE));
	spent += cpu_us(c->pid);
	slept = sleeps_of(c->pid) - slept;
	high = pt_event(GROUP_A, "high", false);
	note("%ld tables over a high of %ld: %ld ms of CPU, %ld ms without a limit, %ld events",
	     DENSE, limit, spent / 1000, free_spent / 1000, high);
	EXPECT_GE(20, slept) {
		TH_LOG("slept %ld times while it filled", slept);
	}
	/* Loose: bench/ counts instructions. A pass a table would be 100 times. */
	EXPECT_GE(3 * free_spent + 200000 * scale, spent);
	expect_within(1, high, 200, "high");
	EXPECT_EQ(0, pt_event(GROUP_A, "oom", false));
	nobody_killed(TOP);

	/*
	 * Tables looked at, not time: a loaded host takes that from the guest. An
	 * 80th of 4 s may go into it, which is some 60 passes of a fast machine.
	 */
	looked = -vmstat("ptscan");
	ASSERT_EQ(0, cg_child_do(c, 'T', RANGE(DENSE, 4000)));
	looked += vmstat("ptscan");
	note("4 s over the limit with nothing to free: %ld tables looked at", looked);
	EXPECT_GE(200 * DENSE, looked);
	EXPECT_GE(200, pt_event(GROUP_A, "high", false) - high);
	EXPECT_EQ(0, cg_child_do(c, 'c', DENSE));

	ASSERT_EQ(0, cg_child_do(c, 'E', RANGE(100, all - 100)));
	/* The pause has ended; thousands of tables take a loaded host some time more. */
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(all - 500), 1500 * scale)) {
		TH_LOG("%ld tables left 1.5 s after they were emptied",
		       pt_current(GROUP_A) / 4096);
	}
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(limit), SOON_MS)) {
		TH_LOG("%ld tables left", pt_current(GROUP_A) / 4096);
	}
	child_is_well(c, 100);
}

PTFREE_TEST_MAIN(0, 100, 65536)
