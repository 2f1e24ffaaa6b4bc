// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.pt_reclaim: how much is freed, from whom, when the write returns and
 * what it says. Everybody's background work is off. cgbusy.c has signals, many writers
 * and locks that are held.
 *
 * With --expect-off each request is refused with EOPNOTSUPP and nothing goes.
 */
#include "cg.h"

#include <sys/ptrace.h>

#define TABLES		2048L
#define BYTES		(TABLES * (long)PAGE)
/* Bytes of whole tables, of which under one percent may be left. */
#define MOST(tables)	((tables) * 99 / 100 * (long)PAGE)
#define LEFT		(BYTES - MOST(TABLES))
/* What one piece of work takes at most: more than that is never freed unasked. */
#define PIECE		(512L * (long)PAGE)

FIXTURE(reclaim) {
	struct cg_child c;
	long base;		/* what the group had before the child filled */
};

FIXTURE_SETUP(reclaim)
{
	ASSERT_TRUE(have_pt());
	if (expectation == EXPECT_OFF && strcmp(_metadata->name, "off"))
		SKIP(return, "requests are refused here");
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make_parent("t"));
	ASSERT_EQ(0, cg_make("t/a"));
	ASSERT_EQ(0, cg_make("t/b"));
	ASSERT_EQ(0, cg_child_start(&self->c, "t/a", TABLES));
	ASSERT_EQ(0, cg_child_do(&self->c, 'e', 0));
	self->base = pt_current("t/a");
}

FIXTURE_TEARDOWN(reclaim)
{
	cg_enter("", getpid());
	if (self->c.pid)
		kill(self->c.pid, SIGCONT);
	cg_child_end(&self->c);
	EXPECT_EQ(0, cg_clear("t"));
}

#define order(self, what, n) ASSERT_EQ(0, cg_child_do(&(self)->c, what, n))

/* The child holds TABLES empties, or half of them where every second is in use. */
#define make_empties(self, how) __make_empties(_metadata, self, how)
static void __make_empties(struct __test_metadata *_metadata, FIXTURE_DATA(reclaim) *self,
			   char how)
{
	order(self, 'f', TABLES);
	order(self, how, TABLES);
	ASSERT_LE(self->base + BYTES, pt_current("t/a"));
}

/* All that the request is about has left memory.pt.current, right now. */
#define all_gone(self, group, left) __all_gone(_metadata, self, group, left)
static void __all_gone(struct __test_metadata *_metadata, FIXTURE_DATA(reclaim) *self,
		       const char *group, long left)
{
	expect_within(left, pt_current(group), self->base + left + LEFT + 4 * (long)PAGE,
		      "memory.pt.current after the request");
}

TEST_F(reclaim, off)
{
	static const char * const amounts[] = { "max", "1M", "0", "1G" };
	static const char * const groups[] = { "t/a", "t", "" };
	long before, vm;
	size_t i, j;

	make_empties(self, 'e');
	if (expectation != EXPECT_OFF)
		SKIP(return, "requests are granted here");
	before = pt_current("t/a");
	vm = vmpte_kb(self->c.pid);
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (j = 0; j < ARRAY_SIZE(amounts); j++) {
			EXPECT_EQ(-EOPNOTSUPP, pt_reclaim(groups[i], amounts[j]));
		}
	EXPECT_EQ(before, pt_current("t/a"));
	EXPECT_EQ(vm, vmpte_kb(self->c.pid));
	/* A limit is taken, shown, and does nothing. */
	ASSERT_EQ(0, pt_limit("t/a", PT_MAX, MiB));
	ASSERT_EQ(0, pt_limit("t/a", PT_HIGH, MiB));
	order(self, 'f', TABLES);
	nap_ms(IDLE_MS);
	EXPECT_EQ((long)MiB, cg_number("t/a", PT_MAX));
	EXPECT_EQ(before, pt_current("t/a"));
	EXPECT_EQ(0, pt_event("t/a", "max", false));
	EXPECT_EQ(0, pt_event("t/a", "high", false));
	EXPECT_EQ(0, cg_child_do(&self->c, 'c', TABLES));
}

/* Amounts */

TEST_F(reclaim, at_least_what_was_asked)
{
	static const struct {
		const char *text;
		long bytes;
	} amounts[] = {
		{ "4096", PAGE }, { "64K", 64 * KiB }, { "100000", 24 * PAGE }, { "1M", MiB },
		{ "  2M \n", 2 * MiB },
	};
	size_t i;

	make_empties(self, 'e');
	for (i = 0; i < ARRAY_SIZE(amounts); i++) {
		long before = pt_current("t/a");

		EXPECT_EQ(0, pt_reclaim("t/a", amounts[i].text));
		expect_within(amounts[i].bytes, before - pt_current("t/a"),
			      amounts[i].bytes + PIECE, amounts[i].text);
	}
}

TEST_F(reclaim, max_takes_all)
{
	make_empties(self, 'e');
	EXPECT_EQ(0, pt_reclaim("t/a", "max"));
	all_gone(self, "t/a", 0);
	/* Nothing is left, and that is no error. */
	EXPECT_EQ(0, pt_reclaim("t/a", "max"));
	EXPECT_EQ(0, pt_reclaim("t/b", "max"));
	EXPECT_EQ(0, pt_reclaim("t", "max\n"));
	order(self, 'z', TABLES);
}

/* Less than was asked: it says so, and has freed what there was. */
TEST_F(reclaim, again_if_less)
{
	make_empties(self, 'e');
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/a", "64M"));
	all_gone(self, "t/a", 0);
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/a", "64K"));
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/a", "1E"));
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/b", "4096"));
}

/* Exactly as much as there is: no more, and no error. */
TEST_F(reclaim, exactly_all)
{
	make_empties(self, 'e');
	EXPECT_EQ(0, pt_reclaim_bytes("t/a", BYTES));
	all_gone(self, "t/a", 0);
}

TEST_F(reclaim, less_than_a_page)
{
	long before;

	make_empties(self, 'e');
	before = pt_current("t/a");
	EXPECT_EQ(0, pt_reclaim("t/a", "4095"));
	EXPECT_EQ(0, pt_reclaim("t/a", "0"));
	EXPECT_EQ(0, pt_reclaim("t/a", "1"));
	EXPECT_EQ(before, pt_current("t/a"));
}

/* Tables in use stay, with what is in them, and count for nothing. */
TEST_F(reclaim, what_is_in_use_stays)
{
	make_empties(self, 'h');
	EXPECT_EQ(-EAGAIN, pt_reclaim_bytes("t/a", BYTES * 3 / 4));
	all_gone(self, "t/a", BYTES / 2);
	order(self, 'C', TABLES);
	order(self, 'f', TABLES);
	order(self, 'c', TABLES);
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/a", "4096"));
	EXPECT_LE(self->base + BYTES, pt_current("t/a"));
	order(self, 'c', TABLES);
}

/* A request is no event. */
TEST_F(reclaim, counts_no_event)
{
	char text[128];

	make_empties(self, 'e');
	EXPECT_EQ(0, pt_reclaim("t/a", "1M"));
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/a", "1G"));
	ASSERT_LT(0, cg_text("t/a", PT_EVENTS, text, sizeof(text)));
	EXPECT_STREQ("high 0\nmax 0\noom 0\noom_kill 0\n", text);
}

/* Who is found: in whatever state he is. */

TEST_F(reclaim, asleep)
{
	make_empties(self, 'e');
	ASSERT_TRUE(wait_state(self->c.pid, 'S', 5000 * scale));
	EXPECT_EQ(0, pt_reclaim_bytes("t/a", MOST(TABLES)));
	EXPECT_EQ('S', task_state(self->c.pid));
	all_gone(self, "t/a", 0);
}

TEST_F(reclaim, stopped)
{
	make_empties(self, 'h');
	kill(self->c.pid, SIGSTOP);
	ASSERT_TRUE(wait_state(self->c.pid, 'T', 5000 * scale));
	EXPECT_EQ(0, pt_reclaim_bytes("t/a", MOST(TABLES / 2)));
	EXPECT_EQ('T', task_state(self->c.pid));
	all_gone(self, "t/a", BYTES / 2);
	kill(self->c.pid, SIGCONT);
	order(self, 'C', TABLES);
}

TEST_F(reclaim, frozen)
{
	make_empties(self, 'h');
	ASSERT_TRUE(cg_freeze("t/a", true, 5000 * scale));
	EXPECT_EQ(0, pt_reclaim_bytes("t/a", MOST(TABLES / 2)));
	EXPECT_EQ(1, key_value(CG_ROOT "/t/a/cgroup.events", "frozen"));
	all_gone(self, "t/a", BYTES / 2);
	ASSERT_TRUE(cg_freeze("t/a", false, 5000 * scale));
	order(self, 'C', TABLES);
}

TEST_F(reclaim, traced)
{
	int status;

	make_empties(self, 'h');
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, self->c.pid, 0, 0));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, self->c.pid, 0, 0));
	ASSERT_EQ(self->c.pid, waitpid(self->c.pid, &status, 0));
	EXPECT_EQ(0, pt_reclaim("t/a", "max"));
	EXPECT_EQ('t', task_state(self->c.pid));
	all_gone(self, "t/a", BYTES / 2);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, self->c.pid, 0, 0));
	order(self, 'C', TABLES);
}

/* The leader has gone and has no mm any more, a thread of it lives. */
static void *survivor(void *arg)
{
	cg_child_loop(arg);
	return NULL;
}

static long thread_extra(struct cg_child *c, struct cg_order *o)
{
	pthread_t thread;
	long answer = 0;

	if (pthread_create(&thread, NULL, survivor, c))
		return -EAGAIN;
	if (write(c->fd, &answer, sizeof(answer)) == sizeof(answer))
		syscall(SYS_exit, 0);
	return -EIO;
}

TEST_F(reclaim, zombie_leader)
{
	struct cg_child c = { .extra = thread_extra };

	ASSERT_EQ(0, cg_child_start(&c, "t/b", TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 't', 0));
	ASSERT_TRUE(wait_state(c.pid, 'Z', 5000 * scale));
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'e', TABLES));
	EXPECT_EQ(0, pt_reclaim_bytes("t/b", MOST(TABLES)));
	EXPECT_EQ('Z', task_state(c.pid));
	cg_child_end(&c);
}

/* The writer's own tables, and those of everybody below the group. */
TEST_F(reclaim, own_mm)
{
	pid_t pid = fork_child();
	int status = -1;

	ASSERT_LE(0, pid);
	if (!pid) {
		char *at = map_anon(TABLES * TABLE_SPAN);
		long full;

		if (!at || cg_enter("t/b", 0))
			_exit(1);
		fill(at, TABLES * TABLE_SPAN, TABLE_SPAN, 1);
		madvise(at, TABLES * TABLE_SPAN, MADV_DONTNEED);
		full = pt_current("t/b");
		if (pt_reclaim_bytes("t/b", MOST(TABLES)))
			_exit(2);
		if (full - pt_current("t/b") < MOST(TABLES))
			_exit(3);
		if (not_zero(at, TABLES * TABLE_SPAN, TABLE_SPAN))
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_F(reclaim, everybody_below)
{
	static const char * const below[] = { "t/a/x", "t/a/x/y", "t/a/x/y/z" };
	struct cg_child c[3] = { 0 };
	char leaf[64];
	long full;
	int i;

	cg_child_end(&self->c);
	ASSERT_EQ(0, cg_make_parent("t/a"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, cg_make_parent(below[i]));
		snprintf(leaf, sizeof(leaf), "%s/leaf", below[i]);
		ASSERT_EQ(0, cg_make(leaf));
		ASSERT_EQ(0, cg_child_start(&c[i], leaf, TABLES / 4));
		ASSERT_EQ(0, cg_child_do(&c[i], 'f', TABLES / 4));
		ASSERT_EQ(0, cg_child_do(&c[i], 'e', TABLES / 4));
	}
	full = pt_current("t/a");
	/* A sibling's request finds nothing of theirs. */
	EXPECT_EQ(0, pt_reclaim("t/b", "max"));
	EXPECT_EQ(full, pt_current("t/a"));
	/* From the middle: those above keep theirs. */
	EXPECT_EQ(0, pt_reclaim_bytes("t/a/x/y", MOST(TABLES / 2)));
	EXPECT_LE(BYTES / 4, pt_current("t/a/x/leaf"));
	EXPECT_GE(full - MOST(TABLES / 2), pt_current("t/a"));
	/* and the rest */
	EXPECT_EQ(0, pt_reclaim_bytes("t", MOST(TABLES / 4)));
	for (i = 0; i < 3; i++)
		cg_child_end(&c[i]);
}

/* Below a group that does not give the controller on: it is their group still. */
TEST_F(reclaim, where_there_is_no_controller)
{
	cg_child_end(&self->c);
	ASSERT_EQ(0, cg_make("t/a/x"));
	ASSERT_EQ(0, cg_make("t/a/x/y"));
	ASSERT_FALSE(cg_has("t/a/x/y", PT_RECLAIM));
	ASSERT_EQ(0, cg_child_start(&self->c, "t/a/x/y", TABLES));
	make_empties(self, 'e');
	EXPECT_EQ(0, pt_reclaim_bytes("t/a", MOST(TABLES)));
	all_gone(self, "t/a", 0);
}

/* Whose tables count */

/*
 * Filled here, living there: a request looks where the processes are, and counts
 * what is charged to the group. It frees what it meets all the same.
 */
TEST_F(reclaim, of_one_who_moved_away)
{
	long vm;

	make_empties(self, 'e');
	ASSERT_EQ(0, cg_enter("t/b", self->c.pid));
	vm = vmpte_kb(self->c.pid);

	/* The group that pays finds nobody to look at. */
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/a", "4096"));
	EXPECT_EQ(0, pt_reclaim("t/a", "max"));
	EXPECT_EQ(vm, vmpte_kb(self->c.pid));
	EXPECT_LE(self->base + BYTES, pt_current("t/a"));

	/* The group where the process is pays for nothing. */
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/b", "4096"));
	EXPECT_GE(vm - TABLES * TABLE_KB * 99 / 100, vmpte_kb(self->c.pid));
	EXPECT_TRUE(wait_current_below("t/a", self->base + LEFT + 4 * (long)PAGE,
				       5000 * scale));
	order(self, 'z', TABLES);
}

/*
 * One mm, two processes in two groups: it is found in both, and counts where it
 * was charged, once.
 */
static int share_mm(void *arg)
{
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);	/* arm64 has no pause() */
	return 0;
}

static long clone_extra(struct cg_child *c, struct cg_order *o)
{
	static char stack[16 * KiB] __attribute__((aligned(16)));

	return clone(share_mm, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
}

TEST_F(reclaim, of_a_shared_mm)
{
	struct cg_child c = { .extra = clone_extra };
	long base, pid;

	ASSERT_EQ(0, cg_child_start(&c, "t/a", TABLES));
	pid = cg_child_do(&c, 'k', 0);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, cg_enter("t/b", pid));
	base = pt_current("t/a");
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'e', TABLES));
	EXPECT_EQ(0, pt_reclaim_bytes("t/a", BYTES / 2));
	EXPECT_EQ(-EAGAIN, pt_reclaim("t/b", "4096"));
	EXPECT_TRUE(wait_current_below("t/a", base + LEFT + 4 * (long)PAGE, 5000 * scale));
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'e', TABLES));
	EXPECT_EQ(-EAGAIN, pt_reclaim_bytes("t", BYTES + 8 * (long)PAGE));
	EXPECT_EQ(0, cg_child_do(&c, 'z', TABLES));
	cg_child_end(&c);
	kill(pid, SIGKILL);
}

/* Above both it is a process with tables like any other. */
TEST_F(reclaim, of_one_who_moved_within)
{
	make_empties(self, 'e');
	ASSERT_EQ(0, cg_enter("t/b", self->c.pid));
	EXPECT_EQ(0, pt_reclaim_bytes("t", MOST(TABLES)));
	all_gone(self, "t/a", 0);
}

/* In the root group every table counts, those that nobody is charged for, too. */
TEST_F(reclaim, root)
{
	struct cg_child c = { 0 };
	long full;

	ASSERT_EQ(0, cg_child_start(&c, NULL, TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES));
	/* One request with nothing to find: whatever others had is gone. */
	EXPECT_EQ(0, pt_reclaim("", "max"));
	ASSERT_EQ(0, cg_child_do(&c, 'c', TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'e', TABLES));
	full = vmpte_kb(c.pid);
	EXPECT_EQ(0, pt_reclaim_bytes("", BYTES / 2));
	expect_within(BYTES / 2 / 1024, full - vmpte_kb(c.pid), (BYTES / 2 + PIECE) / 1024,
		      "kB freed by half");
	EXPECT_EQ(-EAGAIN, pt_reclaim_bytes("", 2 * BYTES));
	EXPECT_GE(full - TABLES * TABLE_KB * 99 / 100, vmpte_kb(c.pid));

	/* Those of groups as well. */
	make_empties(self, 'e');
	EXPECT_EQ(0, pt_reclaim_bytes("", MOST(TABLES)));
	all_gone(self, "t/a", 0);
	cg_child_end(&c);
}

PTFREE_TEST_MAIN(0, 1000, 16384)
