// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.pt.max where somebody cannot be looked at, or nothing can be done: what is
 * waited for and for how long, and that the limit holds again after that.
 */
#include "cgbudget.h"
#include "cghold.h"

#define LIMIT	1024L

FIXTURE(oom) {
	struct cg_child child[2];
};

FIXTURE_SETUP(oom)
{
	setup_groups();
}

FIXTURE_TEARDOWN(oom)
{
	cg_child_end(&self->child[0]);
	cg_child_end(&self->child[1]);
	teardown_groups();
}

/*
 * A neighbour whose mmap lock is taken for minutes cannot be looked at. After
 * three visits it has been, or it would save everybody from the limit.
 */
TEST_F(oom, beside_a_busy_lock)
{
	struct cg_child *c = &self->child[0];
	struct holder h = { 0 };
	int status;

	hog(c, GROUP_A, 1, 20000, 0);
	ASSERT_EQ(0, hold_start(&h, GROUP_A, 100));
	ASSERT_EQ(0, cg_child_do(&h.c, 'f', 100));
	ASSERT_EQ(0, cg_child_do(&h.c, 'e', 100));
	ASSERT_EQ(0, hold_lock(&h));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(3 * LIMIT)));
	ASSERT_EQ(0, cg_child_tell(c, 'f', 20000));
	status = cg_child_status(c, SOON_MS);
	EXPECT_TRUE(is_alive(h.c.pid));
	hold_end(&h);
	EXPECT_TRUE(was_killed(status)) {
		TH_LOG("wait status 0x%x", status);
	}
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
}

/*
 * Who has the most tables holds his own mmap lock for writing, as in an mremap() that
 * needs many twice until it is done: he is let through, but not for ever.
 */
TEST_F(oom, busy_one_is_put_off)
{
	struct cg_child *c = &self->child[0];
	struct holder h = { 0 };
	long end;

	hog(c, GROUP_A, 20, 20, 0);
	ASSERT_EQ(0, hold_start(&h, GROUP_A, 1));
	ASSERT_EQ(0, hold_lock(&h));
	/* It has 512 tables at least. */
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(300)));
	for (end = now_ms() + 3000; now_ms() < end; nap_ms(50))
		if (pt_event(GROUP_A, "oom_kill", false))
			break;
	nobody_killed(GROUP_A);
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	for (end = now_ms() + 30000 * scale; now_ms() < end; nap_ms(50))
		if (pt_event(GROUP_A, "oom_kill", false))
			break;
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false)) {
		TH_LOG("it is put off for ever");
	}
	hold_end(&h);
	child_is_well(c, 20);
}

/*
 * Nothing could be done for a while, and then the limit was not reached any more:
 * the next one who comes to it may be over by what a task may be, and no more.
 */
TEST_F(oom, limit_after_a_pause)
{
	struct cg_child *protected = &self->child[0], *next = &self->child[1];
	const long limit = 4000;	/* a sixteenth is 250 */
	char path[256], text[32] = "";
	long end;
	int fd;

	hog(protected, GROUP_A, limit + 200, limit + 200, -1000);
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	/* In vain, again and again, and ever more rarely. */
	for (end = now_ms() + 20000 * scale; now_ms() < end; nap_ms(50))
		if (pt_event(GROUP_A, "oom", false) >= 6)
			break;
	EXPECT_LE(6, pt_event(GROUP_A, "oom", false));
	nobody_killed(GROUP_A);
	hog(next, GROUP_B, 1, 20000, 0);
	cg_child_end(protected);
	ASSERT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(100), SOON_MS));
	ASSERT_EQ(0, cg_enter(GROUP_A, next->pid));

	cg_path(path, sizeof(path), GROUP_A, PT_PEAK);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(6, write(fd, "reset\n", 6));
	ASSERT_EQ(0, cg_child_tell(next, 'f', 20000));
	dies(next);
	ASSERT_LT(0, pread(fd, text, sizeof(text) - 1, 0));
	close(fd);
	note("limit %ld tables, peak %ld", limit, atol(text) / 4096);
	EXPECT_LE(TABLE_BYTES(limit), atol(text));
	EXPECT_GE(TABLE_BYTES(limit + TASK_OVER + BLUR), atol(text));
}

PTFREE_TEST_MAIN(0, 100, 65536)
