// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.pt.current counts the tables that are charged to a group and below it,
 * at once and to the page, and the same ones as memory.stat `pagetables`, which
 * shows them seconds later.
 *
 * A process that joins a group before it touches its area has all tables of the
 * area charged there, so what its VmPTE gains the group's memory.pt.current must
 * gain. Where tables are charged to others than the mm's group (fork, migration,
 * rmdir) the test says to whom. cgcrowd.c has many groups at once.
 */
#include "cg.h"

#define TABLES		256L
#define BYTES		(TABLES * (long)PAGE)
/* What TABLES tables in one area need above them, at most. */
#define UPPER		(4L * (long)PAGE)

static char *self_path = "/proc/self/exe";

FIXTURE(count) {
	struct cg_child c;
	long vm, current;	/* where the child's own figures began */
	const char *thp;	/* the setting that was found */
};

FIXTURE_SETUP(count)
{
	char text[64] = "";

	ASSERT_TRUE(have_pt());
	read_text(THP_ENABLED, text, sizeof(text));
	self->thp = strstr(text, "[always]") ? "always" :
		    strstr(text, "[madvise]") ? "madvise" : "never";
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make_parent("t"));
	ASSERT_EQ(0, cg_make("t/a"));
	ASSERT_EQ(0, cg_make("t/b"));
}

FIXTURE_TEARDOWN(count)
{
	cg_enter("", getpid());
	cg_child_end(&self->c);
	EXPECT_EQ(0, cg_clear("t"));
	thp_set(self->thp);
}

static long vm_bytes(pid_t pid)
{
	return vmpte_kb(pid) * 1024;
}

/*
 * A process is dead before its tables are: one that nobody here waits for, or
 * one whose mm the scanner holds just then, gives the last back a little later.
 */
static bool all_gone(const char *group)
{
	return wait_current_below(group, 0, 5000 * scale);
}

#define begin(self, group) __begin(_metadata, self, group)
static void __begin(struct __test_metadata *_metadata, FIXTURE_DATA(count) *self,
		    const char *group)
{
	ASSERT_EQ(0, cg_child_start(&self->c, group, TABLES));
	/* An order has been obeyed: whatever that needs is there. */
	ASSERT_EQ(0, cg_child_do(&self->c, 'e', 0));
	self->vm = vm_bytes(self->c.pid);
	self->current = pt_current(group);
}

#define order(self, what, n) ASSERT_EQ(0, cg_child_do(&(self)->c, what, n))

/* Now, without waiting: the group has gained what the child has. */
#define same_gain(self, group) __same_gain(_metadata, self, group)
static long __same_gain(struct __test_metadata *_metadata, FIXTURE_DATA(count) *self,
			const char *group)
{
	long vm = vm_bytes(self->c.pid) - self->vm;

	EXPECT_EQ(vm, pt_current(group) - self->current) {
		TH_LOG("%s: the process has gained %ld, the group %ld", group, vm,
		       pt_current(group) - self->current);
	}
	return vm;
}

/* In the end memory.stat says so, too, in the group and above. */
#define stat_agrees(group) __stat_agrees(_metadata, group)
static void __stat_agrees(struct __test_metadata *_metadata, const char *group)
{
	char up[64], *slash;

	snprintf(up, sizeof(up), "%s", group);
	do {
		EXPECT_TRUE(wait_stat_equal(up)) {
			TH_LOG("%s: memory.pt.current %ld, pagetables %ld", up, pt_current(up),
			       cg_stat(up, "pagetables"));
		}
		slash = strrchr(up, '/');
		if (slash)
			*slash = 0;
	} while (slash);
}

TEST_F(count, fill_and_munmap)
{
	begin(self, "t/a");
	order(self, 'f', TABLES);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain");
	EXPECT_EQ(pt_current("t/a"), pt_current("t"));
	EXPECT_EQ(0, pt_current("t/b"));
	stat_agrees("t/a");
	/* Empty tables are tables. */
	order(self, 'e', TABLES);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain, emptied");
	order(self, 'U', 0);
	EXPECT_EQ(0, same_gain(self, "t/a"));
	stat_agrees("t/a");
}

TEST_F(count, exit_returns_all)
{
	begin(self, "t/a");
	order(self, 'f', TABLES);
	EXPECT_LE(BYTES, pt_current("t/a"));
	cg_child_end(&self->c);
	EXPECT_TRUE(all_gone("t/a"));
	EXPECT_TRUE(all_gone("t"));
	stat_agrees("t/a");
}

/* A thread's tables are charged to the group of the process. */
static void *fill_in_thread(void *arg)
{
	struct cg_child *c = arg;

	fill(c->at, c->tables * TABLE_SPAN, TABLE_SPAN, 1);
	return NULL;
}

static long threads_extra(struct cg_child *c, struct cg_order *o)
{
	pthread_t thread[4];
	struct cg_child part[4];
	int i;

	for (i = 0; i < 4; i++) {
		part[i] = *c;
		part[i].tables = c->tables / 4;
		part[i].at += i * part[i].tables * TABLE_SPAN;
		if (pthread_create(&thread[i], NULL, fill_in_thread, &part[i]))
			return -EAGAIN;
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

TEST_F(count, threads)
{
	self->c.extra = threads_extra;
	begin(self, "t/a");
	order(self, 't', 0);
	/* and their stacks */
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + 64 * (long)PAGE, "gain");
	EXPECT_EQ(0, cg_child_do(&self->c, 'c', TABLES));
	stat_agrees("t/a");
}

/* The copies are charged to the one who makes them, wherever the copy goes. */
static long fork_extra(struct cg_child *c, struct cg_order *o)
{
	pid_t pid = fork_child();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

TEST_F(count, fork)
{
	long pid, before, with;

	self->c.extra = fork_extra;
	begin(self, "t/a");
	order(self, 'f', TABLES);
	before = pt_current("t/a");
	pid = cg_child_do(&self->c, 'k', 0);
	ASSERT_LT(0, pid);
	with = pt_current("t/a");
	/* The copy's VmPTE, and what copy-on-write has added meanwhile on either side. */
	expect_within(BYTES, with - before, vm_bytes(pid) + UPPER, "gain by fork");
	/* The other group pays for nothing, with the copy in it. */
	ASSERT_EQ(0, cg_enter("t/b", pid));
	EXPECT_EQ(0, pt_current("t/b"));
	EXPECT_EQ(with, pt_current("t/a"));
	stat_agrees("t/a");
	stat_agrees("t/b");
	/* It dies there, and it is the parent's group that gets it back. */
	kill(pid, SIGKILL);
	EXPECT_TRUE(wait_current_below("t/a", before + UPPER, 5000 * scale));
	cg_child_end(&self->c);
	EXPECT_TRUE(all_gone("t"));
}

/* Everything of a program that is started inside is charged: to the page. */
static long exec_extra(struct cg_child *c, struct cg_order *o)
{
	char *argv[] = { self_path, "--hold", NULL };

	return execv(self_path, argv) ? -errno : 0;
}

TEST_F(count, exec)
{
	long end = now_ms() + 5000 * scale, old;

	self->c.extra = exec_extra;
	begin(self, "t/a");
	order(self, 'f', TABLES);
	old = pt_current("t/a");
	/* The socket is closed by exec: the child is another program now. */
	ASSERT_EQ(0, cg_child_tell(&self->c, 'X', 0));
	ASSERT_EQ(-EPIPE, cg_child_answer(&self->c, 20000 * scale));
	while (pt_current("t/a") > old / 2 && now_ms() < end)
		nap_ms(5);
	ASSERT_TRUE(wait_state(self->c.pid, 'S', 5000 * scale));
	EXPECT_LT(0, pt_current("t/a"));
	EXPECT_EQ(vm_bytes(self->c.pid), pt_current("t/a"));
	stat_agrees("t/a");
	cg_child_end(&self->c);
	EXPECT_TRUE(all_gone("t/a"));
}

/* Moving a process moves no charge; what it allocates later is the new group's. */
TEST_F(count, migration)
{
	long first;

	begin(self, "t/a");
	order(self, 'f', TABLES / 2);
	first = pt_current("t/a");
	ASSERT_EQ(0, cg_enter("t/b", self->c.pid));
	EXPECT_EQ(first, pt_current("t/a"));
	EXPECT_EQ(0, pt_current("t/b"));
	order(self, 'f', TABLES);
	EXPECT_EQ(first, pt_current("t/a"));
	EXPECT_EQ(BYTES / 2, pt_current("t/b"));
	EXPECT_EQ(first + BYTES / 2, pt_current("t"));
	stat_agrees("t/a");
	stat_agrees("t/b");
	/* and to the root, where nothing is charged to anybody */
	ASSERT_EQ(0, cg_enter("", self->c.pid));
	EXPECT_EQ(first + BYTES / 2, pt_current("t"));
	order(self, 'U', 0);
	EXPECT_EQ(self->current, pt_current("t/a"));
	EXPECT_EQ(0, pt_current("t/b"));
	order(self, 'M', 0);
	order(self, 'f', TABLES);
	EXPECT_EQ(self->current, pt_current("t"));
	stat_agrees("t/a");
	stat_agrees("t/b");
}

/* Groups in groups: each has what is below it, and every step pays once. */
TEST_F(count, five_levels)
{
	static const char * const deep[] = {
		"t/a", "t/a/2", "t/a/2/3", "t/a/2/3/4", "t/a/2/3/4/5"
	};
	const int n = ARRAY_SIZE(deep);
	struct cg_child c[ARRAY_SIZE(deep)] = { 0 };
	long sum = 0, here[ARRAY_SIZE(deep)];
	char leaf[64];
	int i;

	/* A group with controllers for its children has no processes: leaves have. */
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, cg_make_parent(deep[i]));
		snprintf(leaf, sizeof(leaf), "%s/leaf", deep[i]);
		ASSERT_EQ(0, cg_make(leaf));
		ASSERT_EQ(0, cg_child_start(&c[i], leaf, TABLES));
		ASSERT_EQ(0, cg_child_do(&c[i], 'f', 32 * (i + 1)));
		here[i] = pt_current(leaf);
		EXPECT_LE(32 * (i + 1) * (long)PAGE, here[i]);
	}
	for (i = n - 1; i >= 0; i--) {
		sum += here[i];
		EXPECT_EQ(sum, pt_current(deep[i])) {
			TH_LOG("%s", deep[i]);
		}
	}
	EXPECT_EQ(sum, pt_current("t"));
	stat_agrees("t/a/2/3/4/5/leaf");
	/* From the middle outwards, each removal is seen by those above, not below. */
	cg_child_end(&c[2]);
	sum -= here[2];
	EXPECT_EQ(sum, pt_current("t"));
	EXPECT_EQ(here[3] + here[4], pt_current("t/a/2/3/4"));
	for (i = 0; i < n; i++)
		cg_child_end(&c[i]);
	EXPECT_TRUE(all_gone("t"));
	stat_agrees("t/a/2/3/4/5/leaf");
}

/* The group goes and the tables stay: the parent has them, until they are freed. */
TEST_F(count, rmdir_hands_on)
{
	long charged;

	ASSERT_EQ(0, cg_make_parent("t/a"));
	ASSERT_EQ(0, cg_make("t/a/in"));
	begin(self, "t/a/in");
	order(self, 'f', TABLES);
	charged = pt_current("t/a/in");
	ASSERT_EQ(0, cg_enter("t/b", self->c.pid));
	ASSERT_EQ(0, cg_remove("t/a/in"));
	EXPECT_EQ(charged, pt_current("t/a"));
	EXPECT_EQ(charged, pt_current("t"));
	stat_agrees("t/a");
	/* once more */
	ASSERT_EQ(0, cg_remove("t/a"));
	EXPECT_EQ(charged, pt_current("t"));
	EXPECT_EQ(0, pt_current("t/b"));
	EXPECT_TRUE(wait_stat_equal("t"));
	order(self, 'U', 0);
	expect_within(charged - BYTES - UPPER, pt_current("t"), charged - BYTES,
		      "what is left after the area");
	cg_child_end(&self->c);
	EXPECT_TRUE(all_gone("t"));
	EXPECT_TRUE(wait_stat_equal("t"));
}

/* The engine frees tables that belong to a group that is no more. */
TEST_F(count, rmdir_then_reclaim)
{
	long charged;

	begin(self, "t/a");
	order(self, 'f', TABLES);
	order(self, 'e', TABLES);
	charged = pt_current("t/a");
	ASSERT_EQ(0, cg_enter("t/b", self->c.pid));
	ASSERT_EQ(0, cg_remove("t/a"));
	EXPECT_EQ(charged, pt_current("t"));
	if (expectation == EXPECT_OFF) {
		EXPECT_EQ(-EOPNOTSUPP, pt_reclaim("t", "max"));
		EXPECT_EQ(charged, pt_current("t"));
		return;
	}
	EXPECT_EQ(0, pt_reclaim("t", "max"));
	EXPECT_GE(charged - BYTES * 99 / 100, pt_current("t"));
	EXPECT_TRUE(wait_stat_equal("t"));
}

/* The controller is switched off and on for the children, with tables alive. */
TEST_F(count, controller_off_and_on)
{
	long charged, later;

	begin(self, "t/a");
	order(self, 'f', TABLES / 2);
	charged = pt_current("t/a");
	ASSERT_EQ(0, cg_write("t", "cgroup.subtree_control", "-memory"));
	EXPECT_FALSE(cg_has("t/a", PT_CURRENT));
	EXPECT_EQ(charged, pt_current("t"));
	order(self, 'f', TABLES);
	later = pt_current("t");
	EXPECT_EQ(charged + BYTES / 2, later);
	EXPECT_TRUE(wait_stat_equal("t"));
	/* Back on: a new account, which begins at nothing. */
	ASSERT_EQ(0, cg_write("t", "cgroup.subtree_control", "+memory"));
	EXPECT_EQ(0, pt_current("t/a"));
	EXPECT_EQ(later, pt_current("t"));
	order(self, 'U', 0);
	EXPECT_EQ(0, pt_current("t/a"));
	EXPECT_GE(later - BYTES, pt_current("t"));
	order(self, 'M', 0);
	order(self, 'f', TABLES);
	expect_within(BYTES, pt_current("t/a"), BYTES + UPPER, "charged to the new account");
	stat_agrees("t/a");
	cg_child_end(&self->c);
	EXPECT_TRUE(all_gone("t"));
	EXPECT_TRUE(all_gone("t/a"));
	EXPECT_TRUE(wait_stat_equal("t"));
}

/* Kinds of mappings and what is done to them, by letter. */

static long mapping_extra(struct cg_child *c, struct cg_order *o)
{
	const size_t len = c->tables * TABLE_SPAN;
	static char *moved;
	int fd = -1, flags;
	size_t i;
	char *p;

	switch (o->what) {
	case 's':		/* shared memory */
	case 'F':		/* a file, private */
		fd = make_memfd(len);
		flags = MAP_FIXED | (o->what == 's' ? MAP_SHARED : MAP_PRIVATE);
		p = mmap(c->at, len, PROT_READ | PROT_WRITE, flags, fd, 0);
		close(fd);
		if (p == MAP_FAILED)
			return -errno;
		fill(c->at, len, TABLE_SPAN, 1);
		return 0;
	case 'm':		/* mremap(), whole tables change places */
	case 'n':		/* the same, entry by entry */
		moved = reserve(len + TABLE_SPAN);
		if (!moved)
			return -ENOMEM;
		moved += o->what == 'n' ? 16 * PAGE : 0;
		p = mremap(c->at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, moved);
		if (p != moved)
			return -errno;
		c->at = moved;
		return 0;
	case 'T':		/* transparent huge pages, at first touch */
		thp_allow(true);
		if (madvise(c->at, len, MADV_HUGEPAGE))
			return -errno;
		fill(c->at, o->n * TABLE_SPAN, TABLE_SPAN, 1);
		return 0;
	case 'L':		/* the same, later: MADV_COLLAPSE */
		thp_allow(true);
		for (i = 0; i < o->n; i++)
			if (madvise(c->at + i * TABLE_SPAN, TABLE_SPAN, MADV_COLLAPSE))
				return -errno;
		return 0;
	case 'S':		/* huge pages are split: one entry changes */
		for (i = 0; i < o->n; i++)
			if (mprotect(c->at + i * TABLE_SPAN, PAGE, PROT_READ))
				return -errno;
		return 0;
	}
	return -EINVAL;
}

#define LETTERS(self) ((self)->c.extra = mapping_extra)

TEST_F(count, shared_memory)
{
	LETTERS(self);
	begin(self, "t/a");
	order(self, 's', 0);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain");
	order(self, 'U', 0);
	EXPECT_EQ(0, same_gain(self, "t/a"));
	stat_agrees("t/a");
}

TEST_F(count, private_file)
{
	LETTERS(self);
	begin(self, "t/a");
	order(self, 'F', 0);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain");
	order(self, 'U', 0);
	EXPECT_EQ(0, same_gain(self, "t/a"));
	stat_agrees("t/a");
}

TEST_F(count, mremap_of_tables)
{
	LETTERS(self);
	begin(self, "t/a");
	order(self, 'f', TABLES);
	order(self, 'm', 0);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain");
	EXPECT_EQ(0, cg_child_do(&self->c, 'U', 0));
	EXPECT_EQ(0, same_gain(self, "t/a"));
	stat_agrees("t/a");
}

TEST_F(count, mremap_of_entries)
{
	LETTERS(self);
	begin(self, "t/a");
	order(self, 'f', TABLES);
	order(self, 'n', 0);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain");
	stat_agrees("t/a");
}

/* A huge page has a table put by for the day it is split: that counts. */
#define HUGE 16L

TEST_F(count, huge_pages)
{
	long at_first;

	if (access(THP_ENABLED, W_OK) || !thp_set("always"))
		SKIP(return, "no transparent huge pages");
	LETTERS(self);
	begin(self, "t/a");
	order(self, 'T', HUGE);
	at_first = same_gain(self, "t/a");
	expect_within(HUGE * PAGE, at_first, HUGE * PAGE + UPPER, "tables put by");
	stat_agrees("t/a");
	order(self, 'S', HUGE);
	EXPECT_EQ(at_first, same_gain(self, "t/a"));
	order(self, 'U', 0);
	EXPECT_EQ(0, same_gain(self, "t/a"));
	stat_agrees("t/a");
}

TEST_F(count, collapse)
{
	long before;

	if (access(THP_ENABLED, W_OK) || !thp_set("madvise"))
		SKIP(return, "no transparent huge pages");
	LETTERS(self);
	begin(self, "t/a");
	order(self, 'd', HUGE);
	before = same_gain(self, "t/a");
	order(self, 'L', HUGE);
	EXPECT_LT(0, status_kb(self->c.pid, "VmRSS"));
	/* The table that mapped the pages is the one put by. */
	EXPECT_EQ(before, same_gain(self, "t/a"));
	EXPECT_EQ(0, cg_child_do(&self->c, 'c', HUGE));
	order(self, 'U', 0);
	/* Tables that collapse retracts are freed by RCU. */
	EXPECT_TRUE(wait_current_below("t/a", self->current, 5000 * scale));
	EXPECT_EQ(0, same_gain(self, "t/a"));
	stat_agrees("t/a");
}

/* What the engine frees is gone from both when the request returns. */
TEST_F(count, engine)
{
	long freed;

	begin(self, "t/a");
	order(self, 'f', TABLES);
	order(self, 'h', TABLES);
	freed = same_gain(self, "t/a");
	if (expectation == EXPECT_OFF) {
		EXPECT_EQ(-EOPNOTSUPP, pt_reclaim("t/a", "max"));
		EXPECT_EQ(freed, same_gain(self, "t/a"));
		return;
	}
	ASSERT_EQ(0, pt_reclaim("t/a", "max"));
	freed -= same_gain(self, "t/a");
	expect_within(BYTES / 2 * 99 / 100, freed, BYTES / 2 + UPPER, "freed");
	EXPECT_EQ(0, cg_child_do(&self->c, 'C', TABLES));
	stat_agrees("t/a");
	/* Filled again: charged again. */
	order(self, 'f', TABLES);
	expect_within(BYTES, same_gain(self, "t/a"), BYTES + UPPER, "gain, filled again");
	stat_agrees("t/a");
}

/* One mm, tables of two groups: each gets back its own. */
TEST_F(count, engine_on_a_mixed_mm)
{
	long a, b;

	begin(self, "t/a");
	order(self, 'f', TABLES / 2);
	ASSERT_EQ(0, cg_enter("t/b", self->c.pid));
	order(self, 'f', TABLES);
	order(self, 'e', TABLES);
	a = pt_current("t/a");
	b = pt_current("t/b");
	if (expectation == EXPECT_OFF)
		return;
	ASSERT_EQ(0, pt_reclaim("t", "max"));
	expect_within(BYTES / 2 * 99 / 100, a - pt_current("t/a"), BYTES / 2 + UPPER, "a's");
	expect_within(BYTES / 2 * 99 / 100, b - pt_current("t/b"), BYTES / 2, "b's");
	stat_agrees("t/a");
	stat_agrees("t/b");
}

int main(int argc, char **argv)
{
	int err;

	/* What the exec test runs: nothing, in a process of its own. */
	if (argc > 1 && !strcmp(argv[1], "--hold"))
		for (;;)
			pause();
	err = common_setup(&argc, argv, 0, 1000, 16384);
	if (err)
		return err;
	atexit(common_teardown);
	return test_harness_run(argc, argv);
}
