// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a budget means for the background: in mode 1 of vm.freept, the default,
 * the processes of a cgroup with a finite budget of its own or of an ancestor
 * are cleaned although the budget is never reached, others are not; in mode 0
 * nobody is.
 *
 * With freept=off (--expect-off): limits are accepted and shown, and nothing
 * comes of them.
 */
#include "cgbudget.h"

#define EMPTIES		128L
#define FINITE		(64 * MiB)

enum when { NEVER, BEFORE, AFTER };	/* there are empties */

struct place {
	const char *what;
	const char *group;		/* where the process starts */
	const char *limited, *file;
	enum when limit;		/* when the limit is set */
	enum when unlimit;		/* when it is taken back */
	const char *to;
	enum when move;			/* when the process moves there */
	bool cleaned;
};

static const struct place places[] = {
	{ "pt.max", TOP "/a", TOP "/a", PT_MAX, BEFORE, .cleaned = true },
	{ "pt.high", TOP "/c", TOP "/c", PT_HIGH, BEFORE, .cleaned = true },
	{ "of the grandparent", TOP "/d/e/f", TOP "/d", PT_MAX, BEFORE, .cleaned = true },
	{ "set when empties are there", TOP "/g", TOP "/g", PT_MAX, AFTER, .cleaned = true },
	{ "set then, of the grandparent", TOP "/h/i/j", TOP "/h", PT_HIGH, AFTER,
	  .cleaned = true },
	{ "moved in with empties", TOP "/b", TOP "/k", PT_MAX, BEFORE,
	  .to = TOP "/k", .move = AFTER, .cleaned = true },
	{ "moved in without", TOP "/b", TOP "/k", PT_MAX, BEFORE,
	  .to = TOP "/k", .move = BEFORE, .cleaned = true },
	/* The others show that they are left alone. */
	{ "no limit", TOP "/b" },
	{ "taken back", TOP "/l", TOP "/l", PT_MAX, BEFORE, .unlimit = BEFORE },
	{ "taken back from the grandparent", TOP "/m/n/o", TOP "/m", PT_HIGH, BEFORE,
	  .unlimit = BEFORE },
	{ "moved out", TOP "/k", TOP "/k", PT_MAX, BEFORE, .to = TOP "/b", .move = BEFORE },
	{ "in the root cgroup", "" },
};

#define MANY		ARRAY_SIZE(places)

/* A group in groups, each with the controller for those below. */
static int make_path(const char *group)
{
	char path[128], *slash;
	int err = 0;

	snprintf(path, sizeof(path), "%s", group);
	for (slash = strchr(path, '/'); slash && !err; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		err = cg_make_parent(path);
		*slash = '/';
	}
	return err ?: cg_make(group);
}

static int do_limit(const struct place *p, enum when now)
{
	int err = 0;

	if (p->limit == now)
		err = pt_limit(p->limited, p->file, FINITE);
	if (p->unlimit == now)
		err = err ?: pt_limit(p->limited, p->file, NO_LIMIT);
	return err;
}

FIXTURE(mode) {
	struct cg_child child[MANY];
	struct measure m[MANY];
};

FIXTURE_SETUP(mode)
{
	const struct place *p = places;
	size_t i;

	setup_groups();
	for (i = 0; i < MANY; i++, p++) {
		struct cg_child *c = &self->child[i];

		if (*p->group) {
			ASSERT_EQ(0, make_path(p->group));
		}
		if (p->to) {
			ASSERT_EQ(0, make_path(p->to));
		}
		/* For the one that is never cleaned, groups share a limit. */
		ASSERT_EQ(0, do_limit(p, BEFORE));
		ASSERT_EQ(0, range_child(c, p->group, EMPTIES));
		if (p->move == BEFORE) {
			ASSERT_EQ(0, cg_enter(p->to, c->pid));
		}
		self->m[i] = measure_start(c->pid, c->at, EMPTIES * TABLE_SPAN, EMPTIES);
		ASSERT_EQ(0, cg_child_do(c, 'f', EMPTIES));
		measure_peak(&self->m[i]);
		ASSERT_EQ(0, cg_child_do(c, 'e', EMPTIES));
		if (p->move == AFTER) {
			ASSERT_EQ(0, cg_enter(p->to, c->pid));
		}
	}
	for (i = 0, p = places; i < MANY; i++, p++) {
		ASSERT_EQ(0, do_limit(p, AFTER));
	}
}

FIXTURE_TEARDOWN(mode)
{
	size_t i;

	for (i = 0; i < MANY; i++)
		cg_child_end(&self->child[i]);
	teardown_groups();
}

#define all_as_at_their_peak(self, mode) __all_as_at_their_peak(_metadata, self, mode)
static void __all_as_at_their_peak(struct __test_metadata *_metadata, FIXTURE_DATA(mode) *self,
				   int mode)
{
	size_t i;

	for (i = 0; i < MANY; i++) {
		EXPECT_LE(self->m[i].peak, vmpte_kb(self->m[i].pid)) {
			TH_LOG("%s: cleaned in mode %d", places[i].what, mode);
		}
	}
}

/*
 * The ones who are cleaned prove that the background has run: whoever is not by
 * then, and half a second later, is left alone.
 */
TEST_F(mode, one)
{
	size_t i;

	nap_ms(IDLE_MS);
	all_as_at_their_peak(self, 0);
	ASSERT_EQ(0, scanner(1, 100, 65536));
	for (i = 0; i < MANY; i++) {
		if (!places[i].cleaned)
			continue;
		check_floor(&self->m[i], 0, 0);
		if (vmpte_kb(self->m[i].pid) >= self->m[i].peak)
			TH_LOG("%s: not cleaned in mode 1", places[i].what);
	}
	nap_ms(IDLE_MS);
	for (i = 0; i < MANY; i++) {
		if (places[i].cleaned)
			continue;
		EXPECT_LE(self->m[i].peak, vmpte_kb(self->m[i].pid)) {
			TH_LOG("%s: cleaned in mode 1", places[i].what);
		}
	}
	/* They are all as willing: mode 2 has them. */
	ASSERT_EQ(0, scanner(2, 100, 65536));
	for (i = 0; i < MANY; i++)
		check_floor(&self->m[i], 0, 0);
	nobody_killed(TOP);
	EXPECT_EQ(0, pt_event(TOP, "max", false));
	EXPECT_EQ(0, pt_event(TOP, "high", false));
}

/* Limits that come and go while the process lives on. */
TEST_F(mode, on_and_off_again)
{
	struct cg_child *c = &self->child[0];
	struct measure *m = &self->m[0];
	int i;

	ASSERT_EQ(0, scanner(1, 100, 65536));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pt_limit(TOP "/a", PT_MAX, FINITE));
		check_floor(m, 0, 0);
		ASSERT_EQ(0, pt_limit(TOP "/a", PT_MAX, NO_LIMIT));
		/* A run that had begun may still be on its way. */
		nap_ms(IDLE_MS);
		ASSERT_EQ(0, cg_child_do(c, 'f', EMPTIES));
		measure_peak(m);
		ASSERT_EQ(0, cg_child_do(c, 'e', EMPTIES));
		nap_ms(IDLE_MS);
		EXPECT_LE(m->peak, vmpte_kb(m->pid)) {
			TH_LOG("cleaned though the limit was taken back");
		}
	}
}

/* What the defaults promise: a second's delay, nothing else to be set. */
TEST_F(mode, one_by_default)
{
	ASSERT_EQ(0, scanner(1, 1000, 16384));
	check_floor(&self->m[0], 0, 0);
}

/*
 * freept=off: the limits are there, and that is all.
 */
TEST(off)
{
	struct cg_child c = { 0 }, copy = { 0 };
	char *p;

	if (expectation != EXPECT_OFF)
		SKIP(return, "for a machine booted with freept=off");
	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_clear(TOP));
	ASSERT_EQ(0, cg_make(TOP));
	ASSERT_EQ(0, pt_limit(TOP, PT_HIGH, TABLE_BYTES(50)));
	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(100)));
	EXPECT_EQ(TABLE_BYTES(50), cg_number(TOP, PT_HIGH));
	EXPECT_EQ(TABLE_BYTES(100), cg_number(TOP, PT_MAX));

	/* Over both, in use and empty; nobody dies, nothing is freed. */
	ASSERT_EQ(0, range_child(&c, TOP, 1000));
	ASSERT_EQ(0, cg_child_do(&c, 'f', 1000));
	ASSERT_EQ(0, cg_child_do(&c, 'E', RANGE(500, 500)));
	EXPECT_EQ(0, pt_limit(TOP, PT_MAX, 0));
	nap_ms(IDLE_MS);
	child_is_well(&c, 500);
	EXPECT_LE(TABLE_BYTES(1000), pt_current(TOP));
	EXPECT_EQ(0, pt_event(TOP, "high", false));
	EXPECT_EQ(0, pt_event(TOP, "max", false));
	EXPECT_EQ(0, pt_event(TOP, "oom", false));
	nobody_killed(TOP);

	/* Nor is anything refused. */
	ASSERT_EQ(0, cg_enter(TOP, getpid()));
	p = map_anon(64 * TABLE_SPAN);
	ASSERT_NE(NULL, p);
	fill(p, 64 * TABLE_SPAN, TABLE_SPAN, 1);
	EXPECT_EQ(0, mlock(p, PAGE));
	EXPECT_EQ(0, madvise(p, 4 * TABLE_SPAN, MADV_POPULATE_WRITE));
	copy.pid = fork_child();
	if (!copy.pid)
		_exit(0);
	EXPECT_LT(0, copy.pid);
	ASSERT_EQ(0, cg_enter("", getpid()));
	if (copy.pid > 0)
		waitpid(copy.pid, NULL, 0);
	cg_child_end(&c);
	EXPECT_EQ(0, cg_clear(TOP));
}

PTFREE_TEST_MAIN(0, 100, 65536)
