// SPDX-License-Identifier: GPL-2.0-only
/*
 * Over memory.pt.max, and a kill would be wrong: everybody protected, tables
 * whose task has moved away; and system calls that go over while they run,
 * which must never fail for it.
 */
#include "cgbudget.h"
#include "cghold.h"
#include "uring.h"

#define LIMIT	256L

/* Pages that the kernel is asked to write in one request. */
#define BATCH	512L

/* The file that is read, and what a child says while it is inside a call. */
static int pattern;
static volatile struct {
	int inside, outside;
} *seen;

static int make_pattern(void)
{
	uint64_t mark;
	long i;

	pattern = make_memfd(BATCH * PAGE);
	if (pattern < 0)
		return pattern;
	for (i = 0; i < BATCH; i++) {
		mark = mark_of(NULL, i);
		if (pwrite(pattern, &mark, sizeof(mark), i * PAGE) != sizeof(mark))
			return -EIO;
	}
	return 0;
}

/* One page into each of @n tables, from the table @first, in requests of BATCH. */
static long read_into(struct cg_child *c, long first, long n, bool async)
{
	static struct iovec iov[BATCH];
	struct uring r;
	long i, j, got;

	if (async) {
		got = uring_open(&r);
		if (got)
			return got;
	}
	for (i = first; i < first + n; i += BATCH) {
		long count = first + n - i < BATCH ? first + n - i : BATCH;

		for (j = 0; j < count; j++) {
			iov[j].iov_base = c->at + (i + j) * TABLE_SPAN;
			iov[j].iov_len = PAGE;
		}
		if (async) {
			struct io_uring_sqe sqe = {
				.opcode = IORING_OP_READV, .flags = IOSQE_ASYNC, .fd = pattern,
				.addr = (uintptr_t)iov, .len = count,
			};

			got = uring_do(&r, &sqe);
		} else {
			got = preadv(pattern, iov, count, 0);
			got = got < 0 ? -errno : got;
		}
		if (got != count * PAGE)
			return got < 0 ? got : -EIO;
		for (j = 0; j < count; j++)
			if (*(uint64_t *)(c->at + (i + j) * TABLE_SPAN) != mark_of(NULL, j))
				return -EBADMSG;
	}
	return 0;
}

/* A single call that takes long: 64 pages into each of 1024 tables. */
static long long_read(struct cg_child *c)
{
	static struct iovec iov[1024];
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	long i, got;

	for (i = 0; i < 1024; i++) {
		iov[i].iov_base = c->at + i * TABLE_SPAN;
		iov[i].iov_len = 256 * KiB;
	}
	seen->inside = 1;
	got = readv(zero, iov, 1024);
	seen->outside = 1;
	return got;
}

/*
 *	Q	preadv into RANGE(first, count)		A	the same by io_uring's worker
 *	W	one long readv()
 *	T	a new table every 10 ms, RANGE(first, ms)
 */
static long spare_orders(struct cg_child *c, struct cg_order *o)
{
	long first = o->n >> 32, n = o->n & 0xffffffff, end;

	switch (o->what) {
	case 'Q':
		return read_into(c, first, n, false);
	case 'A':
		return read_into(c, first, n, true);
	case 'W':
		return long_read(c);
	case 'T':
		end = now_ms() + n;
		for (; now_ms() < end && first < c->tables; first++) {
			fill(c->at + first * TABLE_SPAN, TABLE_SPAN, TABLE_SPAN, 1);
			nap_ms(10);
		}
		return 0;
	}
	return range_orders(c, o);
}

#define start(c, group, tables, room, adj) __start(_metadata, c, group, tables, room, adj)
static void __start(struct __test_metadata *_metadata, struct cg_child *c, const char *group,
		    long tables, long room, long adj)
{
	c->extra = spare_orders;
	ASSERT_EQ(0, range_child(c, group, room));
	ASSERT_EQ(0, set_oom_score_adj(c->pid, adj));
	ASSERT_EQ(0, cg_child_do(c, 'f', tables));
}

FIXTURE(spare) {
	struct cg_child a, b, other;
	int log;
};

FIXTURE_SETUP(spare)
{
	setup_groups();
	self->log = kmsg_open();
	seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)seen);
}

FIXTURE_TEARDOWN(spare)
{
	cg_child_end(&self->a);
	cg_child_end(&self->b);
	cg_child_end(&self->other);
	close(self->log);
	teardown_groups();
}

/*
 * Everybody protected: the budget is exceeded, that is counted, said once, and
 * costs next to nothing. Whoever gives back in the end is under it at once.
 */
TEST_F(spare, unkillable)
{
	const long all = 4000, more = 600;
	struct cg_child *c = &self->a, *free = &self->b;
	long slept, spent, free_spent, looked, events;
	char line[512] = "";

	start(free, GROUP_B, 1, all, -1000);
	free_spent = -cpu_us(free->pid);
	ASSERT_EQ(0, cg_child_do(free, 'f', all));
	free_spent += cpu_us(free->pid);
	cg_child_end(free);

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	start(c, GROUP_A, 1, all + more, -1000);
	slept = sleeps_of(c->pid);
	spent = -cpu_us(c->pid);
	ASSERT_EQ(0, cg_child_do(c, 'f', all));
	spent += cpu_us(c->pid);
	slept = sleeps_of(c->pid) - slept;
	events = pt_event(GROUP_A, "max", false);
	note("%ld tables over a max of %ld: CPU %ld ms, else %ld ms, slept %ld, %ld events",
	     all, LIMIT, spent / 1000, free_spent / 1000, slept, events);
	EXPECT_GE(20, slept) {
		TH_LOG("stopped or throttled, though that cannot help");
	}
	EXPECT_GE(3 * free_spent + 200000 * scale, spent);
	expect_within(1, events, 200, "max");
	EXPECT_LT(0, pt_event(GROUP_A, "oom", false));
	nobody_killed(TOP);

	/* Tables looked at, not time: a loaded host takes that from the guest. */
	looked = -vmstat("ptscan");
	ASSERT_EQ(0, cg_child_do(c, 'T', RANGE(all, 2000)));
	looked += vmstat("ptscan");
	note("2 s over the limit: %ld tables looked at, %ld events more", looked,
	     pt_event(GROUP_A, "max", false) - events);
	EXPECT_GE(40 * all, looked);
	EXPECT_GE(200, pt_event(GROUP_A, "max", false) - events);
	EXPECT_EQ(1, kmsg_count(self->log, GROUP_A, "no kill can help", line,
				sizeof(line))) {
		TH_LOG("there is to be one warning for a cgroup");
	}
	note("log: %s", line);
	child_is_well(c, all);

	ASSERT_EQ(0, cg_child_do(c, 'E', RANGE(100, all + more - 100)));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(LIMIT), 1500 * scale)) {
		TH_LOG("%ld tables left 1.5 s after they were emptied",
		       pt_current(GROUP_A) / 4096);
	}
	child_is_well(c, 100);
	nobody_killed(TOP);
}

/* A protected one over the limit is no reason to kill those beside it in vain. */
TEST_F(spare, protected_hog_beside_small)
{
	start(&self->b, GROUP_A, 50, 100, 0);
	start(&self->a, GROUP_A, 1000, 2000, -1000);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	ASSERT_EQ(0, cg_child_do(&self->a, 'f', 2000));
	ASSERT_EQ(0, cg_child_do(&self->b, 'f', 100));
	nap_ms(IDLE_MS);
	child_is_well(&self->a, 2000);
	child_is_well(&self->b, 100);
	EXPECT_LT(0, pt_event(GROUP_A, "oom", false));
	nobody_killed(TOP);
}

/*
 * Tables stay charged to the cgroup whose task allocated them. Who has moved
 * away cannot be killed for them; who stayed need not die for them.
 */
TEST_F(spare, left_behind)
{
	struct cg_child *gone = &self->a, *stays = &self->b;

	start(gone, GROUP_A, 1000, 1000, 0);
	start(stays, GROUP_A, 20, 300, 0);
	ASSERT_EQ(0, cg_enter(GROUP_B, gone->pid));
	EXPECT_LE(TABLE_BYTES(1000), pt_current(GROUP_A));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(500)));
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	ASSERT_EQ(0, cg_child_do(stays, 'f', 150));
	nap_ms(IDLE_MS);
	child_is_well(stays, 150);
	child_is_well(gone, 1000);
	nobody_killed(TOP);

	/* Back again it can be. */
	ASSERT_EQ(0, cg_enter(GROUP_A, gone->pid));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(499)));
	EXPECT_TRUE(was_killed(cg_child_status(gone, SOON_MS)));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(499), SOON_MS));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	child_is_well(stays, 150);
}

/* What was left behind does not protect a hog that holds most of the tables. */
TEST_F(spare, left_behind_and_a_hog)
{
	struct cg_child *gone = &self->a, *stays = &self->b, *hog = &self->other;

	start(gone, GROUP_A, 300, 300, 0);
	start(stays, GROUP_A, 20, 20, 0);
	ASSERT_EQ(0, cg_enter(GROUP_B, gone->pid));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	start(hog, GROUP_A, 0, 5000, 0);
	ASSERT_EQ(0, cg_child_tell(hog, 'f', 5000));
	EXPECT_TRUE(was_killed(cg_child_status(hog, SOON_MS)));
	nap_ms(IDLE_MS);
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	child_is_well(stays, 20);
	child_is_well(gone, 300);
}

/* A limit that is raised or taken back in time saves lives. */
TEST_F(spare, limit_raised)
{
	start(&self->a, GROUP_A, 200, 1000, 0);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, NO_LIMIT));
	ASSERT_EQ(0, cg_child_do(&self->a, 'f', 1000));
	child_is_well(&self->a, 1000);
	EXPECT_EQ(0, pt_event(GROUP_A, "max", false));
	nobody_killed(TOP);
}

/*
 * A call that takes seconds is not the end of the budget: the worker kills while
 * it goes on.
 */
TEST_F(spare, killed_in_a_long_call)
{
	start(&self->b, GROUP_A, 20, 20, 0);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	start(&self->a, GROUP_A, 0, 1024, 0);
	ASSERT_EQ(0, cg_child_tell(&self->a, 'W', 0));
	EXPECT_TRUE(was_killed(cg_child_status(&self->a, 4 * SOON_MS)));
	EXPECT_EQ(1, seen->inside);
	EXPECT_EQ(0, seen->outside);
	note("limit %ld tables, peak %ld of 1024", LIMIT, pt_peak(GROUP_A) / 4096);
	EXPECT_GT(TABLE_BYTES(700), pt_peak(GROUP_A));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	child_is_well(&self->b, 20);
}

/* Lowers the limit of TOP, and gets only the CPU time that others leave. */
static pid_t slow_writer(long tables)
{
	struct sched_param none = { 0 };
	pid_t pid = fork_child();

	if (!pid) {
		stay_on_cpu(HOLD_CPU);
		sched_setscheduler(0, SCHED_IDLE, &none);
		pt_limit(TOP, PT_MAX, TABLE_BYTES(tables));
		_exit(0);
	}
	return pid;
}

/*
 * Who enforces the limit waits for a process that is busy, and then for a CPU: a
 * call need not go over for that, as long as there are empties of its own.
 */
TEST_F(spare, another_is_at_it)
{
	const long live = 1000, limit = 800;
	const struct sched_param first = { .sched_priority = 1 };
	struct cg_child *c = &self->a;
	struct holder h = { 0 };
	long end, before, kb, most = 0, answer;
	pid_t writer;

	ASSERT_EQ(0, make_pattern());
	start(c, GROUP_A, live, live + BATCH, -1000);
	ASSERT_EQ(0, hold_start(&h, GROUP_B, 1));
	ASSERT_EQ(0, set_oom_score_adj(h.c.pid, -1000));
	ASSERT_EQ(0, hold_lock(&h));
	writer = slow_writer(limit);
	ASSERT_LT(0, writer);
	for (end = now_ms() + 30000 * scale; !pt_event(TOP, "max", false);)
		ASSERT_GT(end, now_ms());
	/* It has looked round once, and now it gets no time at all. */
	ASSERT_EQ(0, sched_setscheduler(h.hog, SCHED_FIFO, &first));
	ASSERT_EQ(0, cg_child_do(c, 'E', RANGE(0, live)));
	before = vmpte_kb(c->pid);
	ASSERT_EQ(0, cg_child_tell(c, 'Q', RANGE(live, BATCH)));
	end = now_ms() + 10000 * scale;
	do {
		kb = vmpte_kb(c->pid);
		if (kb > most)
			most = kb;
		answer = cg_child_answer(c, 0);
		/* the call is through, and its return waits for the other one */
	} while (answer == -ETIMEDOUT && now_ms() < end &&
		 (task_state(c->pid) != 'D' || status_kb(c->pid, "RssAnon") < BATCH * 4));
	EXPECT_EQ(0, waitpid(writer, NULL, WNOHANG)) {
		TH_LOG("nobody was at it any more");
	}
	EXPECT_LE(BATCH * 4, status_kb(c->pid, "RssAnon"));
	note("%ld tables, a limit of %ld for all, most in a call that needs %ld: %ld",
	     before / 4, limit, BATCH, most / 4);
	EXPECT_GE(before + (TASK_OVER + BLUR) * TABLE_KB, most);

	hold_end(&h);
	if (answer == -ETIMEDOUT)
		answer = cg_child_answer(c, SOON_MS);
	EXPECT_EQ(0, answer);
	EXPECT_EQ(writer, waitpid(writer, NULL, 0));
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(limit), SOON_MS));
	nobody_killed(TOP);
}

/*
 * System calls that need tables: never EFAULT, never a short count. What they
 * cannot have is taken with the whole process.
 */
FIXTURE(call) {
	struct cg_child a, sleeper;
};

FIXTURE_VARIANT(call) {
	char order;
};

FIXTURE_VARIANT_ADD(call, preadv) {
	.order = 'Q',
};

/* A worker of io_uring never returns to user space. */
FIXTURE_VARIANT_ADD(call, io_uring_worker) {
	.order = 'A',
};

FIXTURE_SETUP(call)
{
	setup_groups();
	ASSERT_EQ(0, make_pattern());
}

FIXTURE_TEARDOWN(call)
{
	cg_child_end(&self->a);
	cg_child_end(&self->sleeper);
	teardown_groups();
}

#define EMPTY	1000L
#define NEED	900L
#define ROOM	1100L

/*
 * Without the empties 1900 tables would be charged. pt.peak knows of tables in
 * flight and so of more than is mapped; the limit is for what is mapped.
 */
#define call_completes(self, order, first) __call_completes(_metadata, self, order, first)
static void __call_completes(struct __test_metadata *_metadata, FIXTURE_DATA(call) *self,
			     char order, long first)
{
	long end = now_ms() + 30000 * scale, answer, kb, most = 0;

	ASSERT_EQ(0, cg_child_tell(&self->a, order, RANGE(first, NEED)));
	do {
		kb = vmpte_kb(self->a.pid) + (self->sleeper.pid ? vmpte_kb(self->sleeper.pid) : 0);
		if (kb > most)
			most = kb;
		answer = cg_child_answer(&self->a, 0);
	} while (answer == -ETIMEDOUT && now_ms() < end);
	EXPECT_EQ(0, answer) {
		TH_LOG("a call failed, was short, or gave wrong contents");
	}
	EXPECT_TRUE(is_alive(self->a.pid));
	note("limit %ld tables, most mapped %ld, peak %ld", ROOM, most / 4, pt_peak(TOP) / 4096);
	EXPECT_GE((ROOM + 2 * (TASK_OVER + BLUR)) * TABLE_KB, most);
	EXPECT_TRUE(wait_current_below(TOP, TABLE_BYTES(ROOM), SOON_MS));
	EXPECT_LT(0, pt_event(TOP, "max", false));
	nobody_killed(TOP);
}

TEST_F(call, with_empties_of_its_own)
{
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(ROOM)));
	start(&self->a, GROUP_A, EMPTY, EMPTY + NEED, 0);
	ASSERT_EQ(0, cg_child_do(&self->a, 'E', RANGE(0, EMPTY)));
	call_completes(self, variant->order, EMPTY);
}

TEST_F(call, with_empties_of_a_sleeper)
{
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(ROOM)));
	start(&self->sleeper, GROUP_B, EMPTY, EMPTY, 0);
	ASSERT_EQ(0, cg_child_do(&self->sleeper, 'E', RANGE(10, EMPTY - 10)));
	start(&self->a, GROUP_A, 0, NEED, 0);
	call_completes(self, variant->order, 0);
	child_is_well(&self->sleeper, 10);
}

/* Nothing to free and nobody to kill: the call has all it asked for. */
TEST_F(call, protected)
{
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	start(&self->a, GROUP_A, 0, NEED, -1000);
	EXPECT_EQ(0, cg_child_do(&self->a, variant->order, RANGE(0, NEED)));
	EXPECT_TRUE(is_alive(self->a.pid));
	EXPECT_LE(TABLE_BYTES(NEED), pt_current(GROUP_A));
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	nobody_killed(TOP);
}

/* Nothing to free: killed, and no call has failed before. */
TEST_F(call, killed)
{
	start(&self->sleeper, GROUP_A, 20, 20, 0);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(LIMIT)));
	start(&self->a, GROUP_A, 0, 20000, 0);
	EXPECT_EQ(-EPIPE, cg_child_do(&self->a, variant->order, RANGE(0, 20000)));
	EXPECT_TRUE(was_killed(cg_child_status(&self->a, SOON_MS)));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	child_is_well(&self->sleeper, 20);
}

PTFREE_TEST_MAIN(0, 100, 65536)
