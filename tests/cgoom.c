// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last resort of memory.pt.max: who is killed when tables in use are over
 * the limit, that it is one at a time, what is counted and what the log says.
 * Where nobody is to be killed: see cgspare.c;
 * where that has to wait: cgputoff.c.
 *
 * A hog keeps one page in each of its tables: nothing can be freed.
 */
#include "cgbudget.h"

#define LIMIT	1024L

/* Orders beyond those of cg.h and cgbudget.h */
static long oom_orders(struct cg_child *c, struct cg_order *o);

FIXTURE(oom) {
	struct cg_child child[4], outside;
	int log;
};

FIXTURE_SETUP(oom)
{
	setup_groups();
	self->log = kmsg_open();
	ASSERT_LE(0, self->log);
}

FIXTURE_TEARDOWN(oom)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(self->child); i++)
		cg_child_end(&self->child[i]);
	cg_child_end(&self->outside);
	close(self->log);
	teardown_groups();
}

/*
 * First of all, as the kernel's log is throttled: the kill of a dense program,
 * with everybody near it unhurt, even those with more tables.
 */
TEST_F(oom, dense_is_killed)
{
	struct cg_child *victim = &self->child[0], *sibling = &self->child[1];
	char line[512] = "";

	hog(sibling, GROUP_B, 3000, 3000, 0);
	hog(&self->outside, NULL, 3000, 3000, 0);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	hog(victim, GROUP_A, 1, 20000, 0);
	ASSERT_EQ(0, cg_child_tell(victim, 'f', 20000));
	dies(victim);

	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	EXPECT_LT(0, pt_event(GROUP_A, "oom", false));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", true));
	EXPECT_EQ(1, memory_event(GROUP_A, "oom_kill"));
	EXPECT_EQ(0, pt_event(GROUP_A, "high", false));
	note("limit %ld tables, peak %ld", LIMIT, pt_peak(GROUP_A) / 4096);
	EXPECT_GE(TABLE_BYTES(LIMIT + TASK_OVER + BLUR), pt_peak(GROUP_A));
	EXPECT_LE(TABLE_BYTES(LIMIT), pt_peak(GROUP_A)) {
		TH_LOG("killed below the limit");
	}
	EXPECT_TRUE(wait_current_below(GROUP_A, 0, SOON_MS));

	EXPECT_LE(1, kmsg_count(self->log, "page table", "limit", line, sizeof(line))) {
		TH_LOG("the log does not tell of page tables and their limit");
	}
	note("log: %s", line);
	EXPECT_NE(NULL, strcasestr(line, "usage"));
	/* 1024 tables, in kB or in bytes. */
	EXPECT_TRUE(strstr(line, "4096") || strstr(line, "4194304"));

	EXPECT_EQ(0, pt_event(GROUP_B, "oom_kill", false));
	EXPECT_EQ(0, memory_event(GROUP_B, "oom_kill"));
	child_is_well(sibling, 3000);
	child_is_well(&self->outside, 3000);
}

/* Resident memory is no argument: 200 MB in few tables, beside many tables. */
TEST_F(oom, bomb_beside_large_innocent)
{
	struct cg_child *bomb = &self->child[0], *innocent = &self->child[1];

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	hog(innocent, GROUP_A, 100, 100, 0);
	ASSERT_EQ(0, cg_child_do(innocent, 'd', 100));
	EXPECT_LE(200 * 1024, status_kb(innocent->pid, "VmRSS"));
	hog(bomb, GROUP_A, 1, 5000, 0);
	ASSERT_EQ(0, cg_child_tell(bomb, 'f', 5000));
	dies(bomb);
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	child_is_well(innocent, 100);
}

/* Counted where the limit is, and where the victim was, and up from there. */
TEST_F(oom, limit_of_the_parent)
{
	struct cg_child *victim = &self->child[0], *small = &self->child[1];

	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(LIMIT)));
	hog(small, GROUP_B, 200, 400, 0);
	hog(victim, GROUP_A, LIMIT - 300, LIMIT, 0);
	/* It is the smaller one in the other cgroup that goes over. */
	ASSERT_EQ(0, cg_child_do(small, 'f', 400));
	dies(victim);
	child_is_well(small, 400);

	EXPECT_LT(0, pt_event(TOP, "oom", true));
	EXPECT_LT(0, pt_event(TOP, "max", true));
	EXPECT_EQ(0, pt_event(TOP, "oom_kill", true));
	EXPECT_EQ(1, pt_event(TOP, "oom_kill", false));
	EXPECT_EQ(1, memory_event(TOP, "oom_kill"));
	EXPECT_EQ(0, pt_event(GROUP_A, "oom", false));
	EXPECT_EQ(0, pt_event(GROUP_A, "max", false));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", true));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	EXPECT_EQ(1, memory_event(GROUP_A, "oom_kill"));
	EXPECT_EQ(0, pt_event(GROUP_B, "oom", false));
	EXPECT_EQ(0, pt_event(GROUP_B, "oom_kill", false));
	EXPECT_EQ(0, memory_event(GROUP_B, "oom_kill"));
}

/*
 * oom_score_adj. Two processes of @tables; the first grows until the limit is
 * passed, and [dies] is the one that goes.
 */
FIXTURE(adj) {
	struct cg_child child[2];
};

FIXTURE_VARIANT(adj) {
	long tables[2], adj[2];
	int dies;
};

FIXTURE_VARIANT_ADD(adj, none) {
	.tables = { 400, 550 }, .dies = 1,
};

FIXTURE_VARIANT_ADD(adj, protected_grows) {
	.tables = { 600, 350 }, .adj = { -1000, 0 }, .dies = 1,
};

FIXTURE_VARIANT_ADD(adj, preferred) {
	.tables = { 550, 400 }, .adj = { 0, 1000 }, .dies = 1,
};

FIXTURE_VARIANT_ADD(adj, grows_and_is_preferred) {
	.tables = { 350, 600 }, .adj = { 1000, 0 }, .dies = 0,
};

FIXTURE_VARIANT_ADD(adj, half_protected) {
	.tables = { 600, 350 }, .adj = { -500, 0 }, .dies = 1,
};

/* Too small a difference to make up for twice the tables. */
FIXTURE_VARIANT_ADD(adj, a_bit_preferred) {
	.tables = { 650, 300 }, .adj = { 0, 100 }, .dies = 0,
};

FIXTURE_SETUP(adj)
{
	setup_groups();
}

FIXTURE_TEARDOWN(adj)
{
	cg_child_end(&self->child[0]);
	cg_child_end(&self->child[1]);
	teardown_groups();
}

TEST_F(adj, victim)
{
	struct cg_child *c = self->child;
	int i, dead = variant->dies;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	for (i = 0; i < 2; i++)
		hog(&c[i], GROUP_A, variant->tables[i], 2000, variant->adj[i]);
	/* Over by 30 to 100, whatever they have besides. */
	ASSERT_EQ(0, cg_child_tell(&c[0], 'f', variant->tables[0] + 150));
	dies(&c[dead]);
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	if (dead) {
		EXPECT_EQ(0, cg_child_answer(&c[0], SOON_MS));
	}
	child_is_well(&c[!dead], variant->tables[!dead]);
}

/*
 * memory.oom.group: all of the group, but for those with -1000; only where the
 * group is within the reach of the limit.
 */
FIXTURE(oom_group) {
	struct cg_child hog, mate, protected, sibling;
};

FIXTURE_VARIANT(oom_group) {
	const char *limited, *group;
	bool mate_dies, sibling_dies;
};

FIXTURE_VARIANT_ADD(oom_group, same) {
	.limited = GROUP_A, .group = GROUP_A, .mate_dies = true,
};

FIXTURE_VARIANT_ADD(oom_group, both_the_parent) {
	.limited = TOP, .group = TOP, .mate_dies = true, .sibling_dies = true,
};

FIXTURE_VARIANT_ADD(oom_group, child_of_the_limited) {
	.limited = TOP, .group = GROUP_A, .mate_dies = true,
};

FIXTURE_VARIANT_ADD(oom_group, parent_of_the_limited) {
	.limited = GROUP_A, .group = TOP,
};

FIXTURE_SETUP(oom_group)
{
	setup_groups();
}

FIXTURE_TEARDOWN(oom_group)
{
	cg_child_end(&self->hog);
	cg_child_end(&self->mate);
	cg_child_end(&self->protected);
	cg_child_end(&self->sibling);
	teardown_groups();
}

TEST_F(oom_group, who_goes)
{
	long killed = 1 + variant->mate_dies + variant->sibling_dies;

	ASSERT_EQ(0, cg_write(variant->group, "memory.oom.group", "1"));
	ASSERT_EQ(0, pt_limit(variant->limited, PT_MAX, TABLE_BYTES(LIMIT)));
	hog(&self->mate, GROUP_A, 50, 50, 0);
	hog(&self->protected, GROUP_A, 50, 50, -1000);
	hog(&self->sibling, GROUP_B, 50, 50, 0);
	hog(&self->hog, GROUP_A, 1, 5000, 0);
	ASSERT_EQ(0, cg_child_tell(&self->hog, 'f', 5000));
	dies(&self->hog);
	if (variant->mate_dies) {
		dies(&self->mate);
	} else {
		child_is_well(&self->mate, 50);
	}
	if (variant->sibling_dies) {
		dies(&self->sibling);
	} else {
		child_is_well(&self->sibling, 50);
	}
	child_is_well(&self->protected, 50);
	/* Who is killed first is a member as well, and may be counted twice. */
	expect_within(killed, pt_event(TOP, "oom_kill", false), killed + (killed > 1),
		      "oom_kill");
	EXPECT_EQ(pt_event(TOP, "oom_kill", false), memory_event(TOP, "oom_kill"));
	EXPECT_EQ(killed > 1, memory_event(TOP, "oom_group_kill"));
}

/*
 * More orders
 */

struct bomb {
	pthread_t thread;
	char *at;
	size_t len;
};

static void *bomb_thread(void *arg)
{
	struct bomb *b = arg;

	fill(b->at, b->len, TABLE_SPAN, 1);
	return NULL;
}

/* Fill the area with @count threads. */
static long bomb(struct cg_child *c, long count)
{
	struct bomb b[16];
	long i;

	for (i = 0; i < count; i++) {
		b[i].len = c->tables / count * TABLE_SPAN;
		b[i].at = c->at + i * b[i].len;
		if (pthread_create(&b[i].thread, NULL, bomb_thread, &b[i]))
			return -EAGAIN;
	}
	for (i = 0; i < count; i++)
		pthread_join(b[i].thread, NULL);
	return 0;
}

/* What another thread does when the first one has ended. */
static void *headless_thread(void *arg)
{
	struct cg_child *c = arg;
	long end = now_ms() + SOON_MS;

	/* A zombie that waits for its threads, and has no mm. */
	while (task_state(getpid()) != 'Z' && now_ms() < end)
		nap_ms(1);
	fill(c->at, c->tables * TABLE_SPAN, TABLE_SPAN, 1);
	for (;;)
		pause();
	return NULL;
}

/* The tables are those of two processes: one waits for the other's exec. */
static long vfork_and_fill(struct cg_child *c)
{
	pid_t pid = vfork();

	if (!pid) {
		fill(c->at, c->tables * TABLE_SPAN, TABLE_SPAN, 1);
		_exit(0);
	}
	return pid < 0 ? -errno : 0;
}

static atomic_bool has_moved;

static void *fill_when_moved(void *arg)
{
	struct cg_child *c = arg;

	while (!has_moved)
		nap_ms(1);
	fill(c->at, c->tables * TABLE_SPAN, TABLE_SPAN, 1);
	return NULL;
}

/* By a thread, while a vforked child waits for ever in another cgroup. */
static long fill_beside_vforked(struct cg_child *c)
{
	pthread_t thread;
	pid_t pid;

	if (pthread_create(&thread, NULL, fill_when_moved, c))
		return -EAGAIN;
	pid = vfork();
	if (!pid) {
		if (cg_enter(GROUP_A, 0))
			_exit(1);
		has_moved = true;
		for (;;)
			pause();
	}
	return -errno;
}

/*
 * B: with @n threads. G: by a thread whose leader has gone. V: by a vforked child.
 * W: by a thread beside one.
 */
static long oom_orders(struct cg_child *c, struct cg_order *o)
{
	pthread_t thread;

	switch (o->what) {
	case 'B':
		return bomb(c, o->n);
	case 'G':
		if (pthread_create(&thread, NULL, headless_thread, c))
			return -EAGAIN;
		syscall(SYS_exit, 0);
		return 0;
	case 'V':
		return vfork_and_fill(c);
	case 'W':
		return fill_beside_vforked(c);
	}
	return range_orders(c, o);
}

/*
 * Hogs of other kinds: killed like any other, and nobody else is.
 */
FIXTURE(kind) {
	struct cg_child hog, small;
};

FIXTURE_VARIANT(kind) {
	char order;
	long n, tasks;
};

FIXTURE_VARIANT_ADD(kind, threads) {
	.order = 'B', .n = 8, .tasks = 8,
};

FIXTURE_VARIANT_ADD(kind, without_a_leader) {
	.order = 'G', .tasks = 1,
};

FIXTURE_VARIANT_ADD(kind, vforked) {
	.order = 'V', .tasks = 2,
};

FIXTURE_SETUP(kind)
{
	setup_groups();
}

FIXTURE_TEARDOWN(kind)
{
	cg_child_end(&self->hog);
	cg_child_end(&self->small);
	teardown_groups();
}

TEST_F(kind, dies)
{
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	hog(&self->small, GROUP_A, 300, 300, 0);
	self->hog.extra = oom_orders;
	hog(&self->hog, GROUP_A, 1, 16000, 0);
	ASSERT_EQ(0, cg_child_tell(&self->hog, variant->order, variant->n));
	dies(&self->hog);
	note("limit %ld tables, peak %ld", LIMIT, pt_peak(GROUP_A) / 4096);
	EXPECT_GE(TABLE_BYTES(LIMIT + variant->tasks * TASK_OVER + BLUR), pt_peak(GROUP_A));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(300 + EXTRAS(300)), SOON_MS)) {
		TH_LOG("tables of the dead are still there");
	}
	child_is_well(&self->small, 300);
	/* Two processes with one mm are one victim, and two that die. */
	expect_within(1, pt_event(GROUP_A, "oom_kill", false), variant->tasks == 2 ? 2 : 1,
		      "oom_kill");
}

/*
 * One at a time
 */

/* Four that all grow, room for one: three have to go, one by one, and one stays. */
TEST_F(oom, four_grow_one_stays)
{
	const long each = LIMIT - 50;
	int i, dead = 0;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	for (i = 0; i < 4; i++)
		hog(&self->child[i], GROUP_A, 1, each, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, cg_child_tell(&self->child[i], 'f', each));
	}
	/* Who is ready first may well be the largest, and die later. */
	for (i = 0; i < 4; i++) {
		long answer = cg_child_answer(&self->child[i], SOON_MS);

		EXPECT_TRUE(!answer || answer == -EPIPE);
	}
	EXPECT_TRUE(wait_event(GROUP_A, "oom_kill", 3, SOON_MS)) {
		TH_LOG("%ld tables, and nobody dies any more", pt_current(GROUP_A) / 4096);
	}
	for (i = 0; i < 4; i++) {
		int status = cg_child_status(&self->child[i], 200 * scale);

		if (status == -1) {
			child_is_well(&self->child[i], each);
			continue;
		}
		EXPECT_TRUE(was_killed(status));
		dead++;
	}
	EXPECT_EQ(3, dead);
	EXPECT_EQ(3, pt_event(GROUP_A, "oom_kill", false));
	note("limit %ld tables, peak %ld", LIMIT, pt_peak(GROUP_A) / 4096);
	EXPECT_GE(TABLE_BYTES(LIMIT + 4 * TASK_OVER + BLUR), pt_peak(GROUP_A));
}

/*
 * The tables of a process are those of its vforked child as well, which waits in a
 * cgroup that is looked at first: still they are tables of somebody who can be killed.
 */
TEST_F(oom, vforked_child_elsewhere)
{
	struct cg_child *c = &self->child[0];

	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(LIMIT)));
	c->extra = oom_orders;
	hog(c, GROUP_B, 1, 16000, 0);
	ASSERT_EQ(0, cg_child_tell(c, 'W', 0));
	dies(c);
	note("limit %ld tables, peak %ld", LIMIT, pt_peak(TOP) / 4096);
	EXPECT_GE(TABLE_BYTES(LIMIT + 2 * TASK_OVER + BLUR), pt_peak(TOP));
}

static void spin(void)
{
	pid_t parent = getppid();

	stay_on_cpu(0);
	setpriority(PRIO_PROCESS, 0, -10);
	while (getppid() == parent)
		;
}

/*
 * A victim that takes seconds to die, since somebody else has its CPU: longer
 * than the OOM reaper waits, which takes its memory and cannot take its tables.
 * The other hog, over the limit and growing all the while, is spared. Returns false
 * if the victim was kept from its CPU before its exit() had the mm for itself: then
 * the tables from which the reaper took the pages are empties like others, and gone.
 */
#define slow_victim(self, kills) __slow_victim(_metadata, self, kills)
static bool __slow_victim(struct __test_metadata *_metadata, FIXTURE_DATA(oom) *self, long kills)
{
	struct cg_child *slow = &self->child[0], *other = &self->child[1];
	struct sched_param idle = { 0 };
	bool slowly = true;
	long i, killed_at;
	cpu_set_t cpu;
	pid_t spinner;

	hog(slow, GROUP_A, 1200, 1300, 0);
	ASSERT_EQ(0, cg_child_do(slow, 'd', 100));
	hog(other, GROUP_A, 700, 1200, 0);
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	ASSERT_EQ(0, sched_setaffinity(slow->pid, sizeof(cpu), &cpu));
	ASSERT_EQ(0, sched_setscheduler(slow->pid, SCHED_IDLE, &idle));
	CPU_ZERO(&cpu);
	CPU_SET(1, &cpu);
	ASSERT_EQ(0, sched_setaffinity(other->pid, sizeof(cpu), &cpu));
	spinner = fork_child();
	ASSERT_LE(0, spinner);
	if (!spinner)
		spin();

	for (i = 0; i < 250 && pt_event(GROUP_A, "oom_kill", false) < kills; i++) {
		ASSERT_EQ(0, cg_child_do(other, 'F', RANGE(700 + i, 1)));
		nap_ms(1);
	}
	killed_at = now_ms();
	EXPECT_EQ(kills, pt_event(GROUP_A, "oom_kill", false));
	for (; slowly && i < 500 && now_ms() < killed_at + 4000; i++) {
		ASSERT_EQ(0, cg_child_do(other, 'F', RANGE(700 + i, 1)));
		if (now_ms() < killed_at + 2500)
			slowly = TABLE_BYTES(2 * LIMIT) <= pt_current(GROUP_A);
		nap_ms(20);
	}
	EXPECT_EQ(kills, pt_event(GROUP_A, "oom_kill", false)) {
		TH_LOG("a second victim while the first one dies");
	}
	reap(spinner);
	dies(slow);
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(2 * LIMIT), SOON_MS));
	child_is_well(other, 700 + i);
	EXPECT_EQ(kills, pt_event(GROUP_A, "oom_kill", false));
	EXPECT_EQ(kills, memory_event(GROUP_A, "oom_kill"));
	if (!slowly)
		note("its tables went %ld ms after the kill", now_ms() - killed_at);
	cg_child_end(slow);
	cg_child_end(other);
	return slowly;
}

TEST_F(oom, slow_to_die)
{
	long kills = 1;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(2 * LIMIT)));
	stay_on_cpu(1);
	while (!slow_victim(self, kills) && __test_passed(_metadata) && ++kills <= 4)
		;
	EXPECT_GE(4, kills) {
		TH_LOG("no victim that dies slowly, in 4 tries");
	}
}

PTFREE_TEST_MAIN(0, 100, 65536)
