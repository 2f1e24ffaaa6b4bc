// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptscan, ptfree and ptrefault, in /proc/vmstat and in memory.stat:
 *
 *	ptscan		tables looked at, to the cgroup of the mm
 *	ptfree		tables freed, to the cgroup that they were charged to
 *	ptrefault	tables installed within 10 s in a slot that was emptied, to
 *			the cgroup of the task that installs it; an estimate
 */
#include "common.h"

#define TABLES		512L
#define LEN		(TABLES * TABLE_SPAN)
/* Tables that others on the machine (init, a shell) have freed meanwhile. */
#define OTHERS		64L
/* An estimate from a filter: so much may be lost to, or taken for, others. */
#define BLUR		(TABLES / 8)
/* memory.stat is flushed every 2 s. */
#define FLUSH_MS	(8000L * scale)

static const char * const keys[] = { "ptscan", "ptfree", "ptrefault" };

/* A statistic of a cgroup once it has reached @at_least, or in the end. */
static long stat_settled(const char *group, const char *key, long at_least)
{
	long end = now_ms() + FLUSH_MS, value;

	while ((value = cg_stat(group, key)) < at_least && now_ms() < end)
		nap_ms(50);
	return value;
}

/* What is expected to stay as it is gets the time for a flush, and a bit. */
static void flush_wait(void)
{
	nap_ms(3000);
}

/*
 * A child with its tables in one cgroup. It does what it is told by a letter:
 * f fill, e empty, and answers each.
 */
struct child {
	pid_t pid;
	char *at;
	int to[2], from[2];
	struct measure m;
};

static void child_loop(struct child *c)
{
	char what;

	while (read(c->to[0], &what, 1) == 1) {
		if (what == 'f')
			fill(c->at, LEN, TABLE_SPAN, 1);
		if (what == 'e' && madvise(c->at, LEN, MADV_DONTNEED))
			_exit(1);
		if (write(c->from[1], &what, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

#define child_start(c, group) __child_start(_metadata, c, group)
static void __child_start(struct __test_metadata *_metadata, struct child *c, const char *group)
{
	ASSERT_EQ(0, pipe(c->to));
	ASSERT_EQ(0, pipe(c->from));
	c->at = map_anon(LEN);
	ASSERT_NE(NULL, c->at);
	c->pid = fork_child();
	ASSERT_LE(0, c->pid);
	if (!c->pid)
		child_loop(c);
	if (group) {
		ASSERT_EQ(0, cg_enter(group, c->pid));
	}
	c->m = measure_start(c->pid, c->at, LEN, TABLES);
}

#define child_do(c, what) __child_do(_metadata, c, what)
static void __child_do(struct __test_metadata *_metadata, struct child *c, char what)
{
	char answer = 0;

	ASSERT_EQ(1, write(c->to[1], &what, 1));
	ASSERT_TRUE(wait_byte(c->from[0], &answer, 20000 * scale));
	ASSERT_EQ(what, answer);
}

/* Have the scanner take the child's empties, and rest again. */
#define child_clean(c) __child_clean(_metadata, c)
static void __child_clean(struct __test_metadata *_metadata, struct child *c)
{
	ASSERT_EQ(0, scanner(2, 100, 65536));
	check_floor(&c->m, 0, c->m.start + TABLES * TABLE_KB);
	ASSERT_EQ(0, scanner(0, 100, 65536));
}

#define within(low, value, high, what) do {				\
	long __v = (value);						\
									\
	EXPECT_TRUE(__v >= (low) && __v <= (high)) {			\
		TH_LOG("%s is %ld, not from %ld to %ld", what, __v, (long)(low), (long)(high)); \
	}								\
} while (0)

TEST(there)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (expectation == EXPECT_STOCK) {
			EXPECT_EQ(-ENOENT, vmstat(keys[i]));
		} else {
			EXPECT_LE(0, vmstat(keys[i]));
		}
	}
	if (!have_memcg())
		return;
	ASSERT_EQ(0, cg_make("there"));
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (expectation == EXPECT_STOCK) {
			EXPECT_EQ(-ENOENT, cg_stat("there", keys[i]));
		} else {
			EXPECT_EQ(0, cg_stat("there", keys[i]));
		}
	}
	EXPECT_EQ(0, cg_remove("there"));
}

/* Container runtimes parse memory.stat strictly: `key number` on every line. */
TEST(memory_stat_lines)
{
	static char text[32768];
	char *line, *end, *save;

	if (!have_memcg())
		SKIP(return, "no memory controller");
	ASSERT_EQ(0, cg_make("lines"));
	ASSERT_LT(0, read_text(CG_ROOT "/lines/memory.stat", text, sizeof(text)));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');

		ASSERT_NE(NULL, space);
		strtoull(space + 1, &end, 10);
		EXPECT_TRUE(end > space + 1 && !*end) {
			TH_LOG("not a key and a number: \"%s\"", line);
		}
	}
	EXPECT_EQ(0, cg_remove("lines"));
}

TEST(vmstat_counts)
{
	struct child c = { 0 };
	long scanned, freed, again;

	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no such counters");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	child_start(&c, NULL);
	freed = vmstat("ptfree");
	child_do(&c, 'f');
	c.m.peak = vmpte_kb(c.pid);
	child_do(&c, 'e');
	EXPECT_EQ(freed, vmstat("ptfree"));
	scanned = vmstat("ptscan");
	child_clean(&c);
	if (expectation == EXPECT_OFF) {
		EXPECT_EQ(freed, vmstat("ptfree"));
		EXPECT_EQ(scanned, vmstat("ptscan"));
		reap(c.pid);
		return;
	}
	within(TABLES * 99 / 100, vmstat("ptfree") - freed, TABLES + OTHERS, "ptfree");
	EXPECT_LE(TABLES * 99 / 100, vmstat("ptscan") - scanned);

	/* The same slots, at once. */
	again = vmstat("ptrefault");
	child_do(&c, 'f');
	within(TABLES - BLUR, vmstat("ptrefault") - again, TABLES + OTHERS, "ptrefault");
	/* One refault for one free: the next round of tables was not freed. */
	child_do(&c, 'e');
	again = vmstat("ptrefault");
	child_do(&c, 'f');
	within(0, vmstat("ptrefault") - again, OTHERS, "ptrefault without a free");
	reap(c.pid);
}

TEST(refault_is_over_after_ten_seconds)
{
	struct child c = { 0 };
	long again;

	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is freed here");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	child_start(&c, NULL);
	child_do(&c, 'f');
	c.m.peak = vmpte_kb(c.pid);
	child_do(&c, 'e');
	child_clean(&c);
	nap_ms(11000);
	again = vmstat("ptrefault");
	child_do(&c, 'f');
	within(0, vmstat("ptrefault") - again, OTHERS, "ptrefault, too late");
	reap(c.pid);
}

/* Slots in which nothing was freed are no refaults, whatever their number. */
TEST(new_slots_are_no_refaults)
{
	struct child c = { 0 };
	long again = vmstat("ptrefault");

	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is freed here");
	ASSERT_EQ(0, scanner(2, 100, 65536));
	child_start(&c, NULL);
	child_do(&c, 'f');
	within(0, vmstat("ptrefault") - again, OTHERS, "ptrefault");
	reap(c.pid);
}

/*
 * Filled in one cgroup, moved to another, emptied and filled again there: the
 * tables were charged to the first, the mm and the refaults are the second's.
 * Both have a parent that shows the sum.
 */
TEST(right_cgroup)
{
	struct child c = { 0 };
	long scanned, refaults;

	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is freed here");
	if (!have_memcg())
		SKIP(return, "no memory controller");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	ASSERT_EQ(0, cg_make("top"));
	ASSERT_EQ(0, cg_write("top", "cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, cg_make("top/first"));
	ASSERT_EQ(0, cg_make("top/second"));
	child_start(&c, "top/first");
	child_do(&c, 'f');
	c.m.peak = vmpte_kb(c.pid);
	flush_wait();
	scanned = cg_stat("top/first", "ptscan");
	ASSERT_EQ(0, cg_enter("top/second", c.pid));
	child_do(&c, 'e');
	child_clean(&c);

	within(TABLES * 99 / 100, stat_settled("top/first", "ptfree", TABLES * 99 / 100),
	       TABLES + 8, "ptfree where the tables were charged");
	EXPECT_LE(TABLES * 99 / 100, stat_settled("top/second", "ptscan", TABLES * 99 / 100));
	flush_wait();
	within(0, cg_stat("top/second", "ptfree"), 8, "ptfree where the process is");
	EXPECT_EQ(scanned, cg_stat("top/first", "ptscan")) {
		TH_LOG("ptscan went to the cgroup that the process has left");
	}

	refaults = cg_stat("top/first", "ptrefault");
	child_do(&c, 'f');
	within(TABLES - BLUR, stat_settled("top/second", "ptrefault", TABLES - BLUR),
	       TABLES + 8, "ptrefault of the task");
	flush_wait();
	EXPECT_EQ(refaults, cg_stat("top/first", "ptrefault"));

	/* The parent has what its children have. */
	EXPECT_EQ(cg_stat("top/first", "ptfree") + cg_stat("top/second", "ptfree"),
		  cg_stat("top", "ptfree"));
	EXPECT_LE(cg_stat("top/second", "ptscan"), cg_stat("top", "ptscan"));

	/* A cgroup that goes hands its tables on, and its history to the parent. */
	ASSERT_EQ(0, cg_remove("top/first"));
	EXPECT_LE(TABLES * 99 / 100, stat_settled("top", "ptfree", TABLES * 99 / 100));
	reap(c.pid);
	EXPECT_EQ(0, cg_remove("top/second"));
	EXPECT_EQ(0, cg_remove("top"));
}

/* Tables of one process, charged to two cgroups: each gets its own. */
TEST(parent_pays_for_the_copies)
{
	struct child c = { 0 };
	struct measure m;
	pid_t pid;
	long freed;

	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is freed here");
	if (!have_memcg())
		SKIP(return, "no memory controller");
	ASSERT_EQ(0, scanner(0, 100, 65536));
	ASSERT_EQ(0, cg_make("parent"));
	ASSERT_EQ(0, cg_make("copy"));
	ASSERT_EQ(0, cg_enter("parent", getpid()));
	c.at = map_anon(LEN);
	ASSERT_NE(NULL, c.at);
	fill(c.at, LEN, TABLE_SPAN, 1);
	m = measure_start(0, c.at, LEN, 0);
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		raise(SIGSTOP);
		if (madvise(c.at, LEN, MADV_DONTNEED))
			_exit(1);
		for (;;)
			raise(SIGSTOP);
	}
	ASSERT_TRUE(wait_state(pid, 'T', 5000 * scale));
	ASSERT_EQ(0, cg_enter("copy", pid));
	flush_wait();
	freed = cg_stat("parent", "ptfree");
	m.pid = pid;
	m.tables = TABLES;
	m.start -= TABLES * TABLE_KB;
	m.peak = vmpte_kb(pid);
	kill(pid, SIGCONT);
	{
		long end = now_ms() + 5000 * scale;

		while (live_tables(pid, c.at, LEN) && now_ms() < end)
			nap_ms(5);
	}
	ASSERT_EQ(0, scanner(2, 100, 65536));
	check_floor(&m, 0, m.peak);
	ASSERT_EQ(0, scanner(0, 100, 65536));
	within(TABLES * 99 / 100,
	       stat_settled("parent", "ptfree", freed + TABLES * 99 / 100) - freed, TABLES + 16,
	       "ptfree of the parent who made the copies");
	within(0, cg_stat("copy", "ptfree"), 8, "ptfree of the child's cgroup");
	reap(pid);
	cg_enter("", getpid());
	EXPECT_EQ(0, cg_remove("copy"));
	EXPECT_EQ(0, cg_remove("parent"));
}

PTFREE_TEST_MAIN(2, 100, 65536)
