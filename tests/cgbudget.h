/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for the tests of what memory.pt.high and memory.pt.max do: the groups
 * they all work in, more orders for children, and what a budget costs.
 */
#ifndef PTFREE_TESTS_CGBUDGET_H
#define PTFREE_TESTS_CGBUDGET_H

#include "cg.h"

/* One group with two below it. Whoever tests budgets works in these. */
#define TOP		"budget"
#define GROUP_A		"budget/a"
#define GROUP_B		"budget/b"

/* Limits are written in tables: one table is a page. */
#define TABLE_BYTES(n)	((long)(n) * 4096)

/*
 * What a child has besides the tables of its area: PMD tables of the area, its
 * stack, its heap. A guess on the safe side, for areas of up to @n tables.
 */
#define EXTRAS(n)	((n) / 512 + 16)

/* A task may pass pt.max by so much before it does something about it. */
#define TASK_OVER	64L
/* Charges that are on their way while somebody else counts. */
#define BLUR		32L

/* A busy host takes its time, an emulated one even more. */
#define SOON_MS		(5000L * scale)

#define setup_groups() do {						\
	if (expectation != EXPECT_FREED)				\
		SKIP(return, "no budget is enforced here");		\
	ASSERT_TRUE(have_pt()) {					\
		TH_LOG("no memory.pt.* on this kernel");		\
	}								\
	/* No background: what is freed was freed by the budget. */	\
	ASSERT_EQ(0, scanner(0, 100, 65536));				\
	ASSERT_EQ(0, cg_clear(TOP));					\
	ASSERT_EQ(0, cg_make_parent(TOP));				\
	ASSERT_EQ(0, cg_make(GROUP_A));					\
	ASSERT_EQ(0, cg_make(GROUP_B));					\
} while (0)

#define teardown_groups() do {						\
	EXPECT_EQ(0, cg_clear(TOP));					\
	scanner(1, 1000, 16384);					\
} while (0)

/* Something worth knowing that is no verdict. */
#define note(fmt, ...) do {						\
	printf("# " fmt "\n", ##__VA_ARGS__);				\
	fflush(stdout);							\
} while (0)

/*
 * More orders, on a part of the area: RANGE(first, count) tables.
 *
 *	F	fill: one page in each table
 *	E	empty
 *	K	check what F or f wrote
 */
#define RANGE(first, count)	((long)(first) << 32 | (long)(count))

static inline long range_orders(struct cg_child *c, struct cg_order *o)
{
	char *at = c->at + (o->n >> 32) * TABLE_SPAN;
	size_t len = (o->n & 0xffffffff) * TABLE_SPAN;

	switch (o->what) {
	case 'F':
		fill(at, len, TABLE_SPAN, 1);
		return 0;
	case 'E':
		return madvise(at, len, MADV_DONTNEED) ? -errno : 0;
	case 'K':
		return bad_marks(at, len, TABLE_SPAN, 1);
	}
	return -EINVAL;
}

static inline int range_child(struct cg_child *c, const char *group, long tables)
{
	if (!c->extra)
		c->extra = range_orders;
	return cg_child_start(c, group, tables);
}

/* A sleeper: @live tables in use, then @empty tables with nothing in them. */
static inline long sleeper_start(struct cg_child *c, const char *group, long live, long empty)
{
	long err = range_child(c, group, live + empty);

	err = err ?: cg_child_do(c, 'f', live + empty);
	return err ?: cg_child_do(c, 'E', RANGE(live, empty));
}

static inline bool is_alive(pid_t pid)
{
	char state = task_state(pid);

	return state && state != 'Z' && state != 'X';
}

static inline bool was_killed(int status)
{
	return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* A process with @tables in use, room for @room, and oom_score_adj @adj. */
#define hog(c, group, tables, room, adj) __hog(_metadata, c, group, tables, room, adj)
static void __hog(struct __test_metadata *_metadata, struct cg_child *c, const char *group,
		  long tables, long room, long adj)
{
	ASSERT_EQ(0, range_child(c, group, room));
	if (adj) {
		ASSERT_EQ(0, set_oom_score_adj(c->pid, adj));
	}
	ASSERT_EQ(0, cg_child_do(c, 'f', tables));
}

/* The child is dead by SIGKILL, or will be in a moment. */
#define dies(c) __dies(_metadata, c)
static void __dies(struct __test_metadata *_metadata, struct cg_child *c)
{
	int status = cg_child_status(c, SOON_MS);

	EXPECT_TRUE(was_killed(status)) {
		TH_LOG("wait status 0x%x", status);
	}
}

/* True if @c still lives and answers for its pages. */
#define child_is_well(c, live) __child_is_well(_metadata, c, live)
static inline void __child_is_well(struct __test_metadata *_metadata, struct cg_child *c,
				   long live)
{
	ASSERT_TRUE(is_alive(c->pid)) {
		TH_LOG("a process that must live is dead");
	}
	EXPECT_EQ(0, cg_child_do(c, 'c', live));
}

/* No process of @group or below has been killed, and none was to be. */
#define nobody_killed(group) __nobody_killed(_metadata, group)
static inline void __nobody_killed(struct __test_metadata *_metadata, const char *group)
{
	EXPECT_EQ(0, pt_event(group, "oom_kill", false));
	EXPECT_EQ(0, memory_event(group, "oom_kill"));
}

/* How often a process has gone to sleep by itself. Spinning and being preempted do not count. */
static inline long sleeps_of(pid_t pid)
{
	return status_kb(pid, "voluntary_ctxt_switches");
}

/* The kernel's log from now on. */
static inline int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * Number of records since kmsg_open() or the last call in which both @a and @b
 * occur (NULL: anything does), whatever their case; the last of them in @line.
 */
static inline long kmsg_count(int fd, const char *a, const char *b, char *line, size_t len)
{
	char record[4096], *text;
	long found = 0;
	ssize_t n;

	for (;;) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;	/* overwritten before we read it */
		if (n <= 0)
			break;
		record[n] = 0;
		text = strchr(record, ';');
		if (!text++)
			continue;
		text[strcspn(text, "\n")] = 0;
		if ((a && !strcasestr(text, a)) || (b && !strcasestr(text, b)))
			continue;
		found++;
		if (line)
			snprintf(line, len, "%s", text);
	}
	return found;
}

#endif /* PTFREE_TESTS_CGBUDGET_H */
