// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.pt.events and memory.pt.events.local: which group's numbers move, and
 * whose watchers wake up, by poll() and by inotify; and that nobody wakes up
 * where nothing happened. What kills, and its counters, is cgoom.c's matter.
 *
 * Every test goes over a limit by the same means: a sleeper that holds empty
 * tables, and a second process that fills tables until both are over it. There
 * is enough to free, so that a hard limit kills nobody.
 */
#include "cg.h"

#include <sys/inotify.h>

#define EMPTY		192L	/* tables that the sleeper holds */
#define FILLED		128L	/* tables that the other one needs */
#define LIMIT		MiB	/* below what both hold, above what is needed */
#define NOTHING_MS	(500L * scale)
#define EVENT_MS	(5000L * scale)

FIXTURE(events) {
	struct cg_child sleeper, filler;
};

FIXTURE_VARIANT(events) {
	const char *file, *key;
};

FIXTURE_VARIANT_ADD(events, high) { .file = PT_HIGH, .key = "high" };
FIXTURE_VARIANT_ADD(events, max) { .file = PT_MAX, .key = "max" };

FIXTURE_SETUP(events)
{
	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make_parent("t"));
	ASSERT_EQ(0, cg_make("t/a"));
	ASSERT_EQ(0, cg_make("t/b"));
	ASSERT_EQ(0, cg_child_start(&self->sleeper, "t/a", EMPTY));
	ASSERT_EQ(0, cg_child_start(&self->filler, "t/a", FILLED));
}

FIXTURE_TEARDOWN(events)
{
	cg_child_end(&self->sleeper);
	cg_child_end(&self->filler);
	EXPECT_EQ(0, cg_clear("t"));
}

#define go_over(self) __go_over(_metadata, self)
static void __go_over(struct __test_metadata *_metadata, FIXTURE_DATA(events) *self)
{
	ASSERT_EQ(0, cg_child_do(&self->sleeper, 'f', EMPTY));
	ASSERT_EQ(0, cg_child_do(&self->sleeper, 'e', EMPTY));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', FILLED));
}

/* Both files show what is expected of one key, and nothing of the others. */
#define check_events(group, key, counts, local_counts) \
	__check_events(_metadata, group, key, counts, local_counts)
static void __check_events(struct __test_metadata *_metadata, const char *group,
			   const char *key, bool counts, bool local_counts)
{
	static const char * const keys[] = { "high", "max", "oom", "oom_kill" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		bool this = !strcmp(key, keys[i]);

		EXPECT_EQ(this && counts, pt_event(group, keys[i], false) > 0) {
			TH_LOG("%s: %s %ld", group, keys[i], pt_event(group, keys[i], false));
		}
		EXPECT_EQ(this && local_counts, pt_event(group, keys[i], true) > 0) {
			TH_LOG("%s: %s %ld, local", group, keys[i],
			       pt_event(group, keys[i], true));
		}
	}
}

/* The child's own limit: its events, and its parent's, but not the local ones. */
TEST_F(events, of_the_child)
{
	bool counts = expectation != EXPECT_OFF;

	ASSERT_EQ(0, pt_limit("t/a", variant->file, LIMIT));
	go_over(self);
	EXPECT_EQ(counts, wait_event("t/a", variant->key, 1, counts ? EVENT_MS : NOTHING_MS));
	check_events("t/a", variant->key, counts, counts);
	check_events("t", variant->key, counts, false);
	check_events("t/b", variant->key, false, false);
	EXPECT_EQ(0, cg_child_do(&self->filler, 'c', FILLED));
}

/* The parent's limit: its events, whoever was charged. */
TEST_F(events, of_the_parent)
{
	bool counts = expectation != EXPECT_OFF;

	ASSERT_EQ(0, pt_limit("t", variant->file, LIMIT));
	go_over(self);
	EXPECT_EQ(counts, wait_event("t", variant->key, 1, counts ? EVENT_MS : NOTHING_MS));
	check_events("t", variant->key, counts, counts);
	check_events("t/a", variant->key, false, false);
	check_events("t/b", variant->key, false, false);
	EXPECT_EQ(0, cg_child_do(&self->filler, 'c', FILLED));
}

/* What the children count, the parent has, also when they are gone. */
TEST_F(events, stay_with_the_parent)
{
	long before;

	if (expectation == EXPECT_OFF)
		SKIP(return, "limits are not enforced here");
	ASSERT_EQ(0, pt_limit("t/a", variant->file, LIMIT));
	go_over(self);
	ASSERT_TRUE(wait_event("t/a", variant->key, 1, EVENT_MS));
	/* until all is quiet */
	ASSERT_EQ(0, pt_limit("t/a", variant->file, NO_LIMIT));
	pt_settled("t");
	before = pt_event("t", variant->key, false);
	EXPECT_EQ(pt_event("t/a", variant->key, false), before);
	cg_child_end(&self->sleeper);
	cg_child_end(&self->filler);
	ASSERT_EQ(0, cg_clear("t/a"));
	EXPECT_EQ(before, pt_event("t", variant->key, false));
}

/* Not over the limit, or at it to the page: nothing counts. */
TEST_F(events, none_below_the_limit)
{
	long at;

	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', FILLED));
	at = pt_current("t/a");
	ASSERT_EQ(0, cg_child_do(&self->filler, 'U', 0));
	ASSERT_EQ(0, pt_limit("t/a", variant->file, at));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'M', 0));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', FILLED));
	EXPECT_EQ(at, pt_current("t/a"));
	nap_ms(NOTHING_MS);
	check_events("t/a", variant->key, false, false);
	check_events("t", variant->key, false, false);
}

/* Watchers */

struct watcher {
	const char *name;
	int fd;			/* open file, for poll() */
	int watch;		/* for inotify */
	bool inotified, polled;
};

static int poll_fd(const char *group, const char *file)
{
	char path[512], text[256];
	int fd;

	cg_path(path, sizeof(path), group, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* What has been read is known: only later events wake. */
	if (fd >= 0 && read(fd, text, sizeof(text)) <= 0)
		return -1;
	return fd;
}

/* Look for @ms, or until @until, if there is one, was woken both ways. */
static void watch(int notify, struct watcher *w, int n, struct watcher *until, long ms)
{
	char buf[4096] __attribute__((aligned(8)));
	long end = now_ms() + ms;
	struct pollfd p[8];
	int i;

	do {
		for (i = 0; i < n; i++)
			p[i] = (struct pollfd){ .fd = w[i].polled ? -1 : w[i].fd,
						.events = POLLPRI };
		p[n] = (struct pollfd){ .fd = notify, .events = POLLIN };
		if (poll(p, n + 1, 50) <= 0)
			continue;
		for (i = 0; i < n; i++)
			w[i].polled |= p[i].revents & POLLPRI;
		if (p[n].revents & POLLIN) {
			ssize_t len = read(notify, buf, sizeof(buf)), at = 0;

			while (at < len) {
				struct inotify_event *e = (void *)(buf + at);

				for (i = 0; i < n; i++)
					w[i].inotified |= e->wd == w[i].watch;
				at += sizeof(*e) + e->len;
			}
		}
	} while (now_ms() < end && !(until && until->polled && until->inotified));
}

TEST_F(events, wake_their_watchers)
{
	/* Who watches what, and whether the child's limit wakes him. */
	static const struct {
		const char *group, *file;
		bool wakes;
	} seats[] = {
		{ "t/a", PT_EVENTS, true },
		{ "t/a", PT_EVENTS_LOCAL, true },
		{ "t", PT_EVENTS, true },
		{ "t", PT_EVENTS_LOCAL, false },
		{ "t/b", PT_EVENTS, false },
		{ "t/b", PT_EVENTS_LOCAL, false },
		{ "t/a", "memory.events", false },
	};
	struct watcher w[ARRAY_SIZE(seats)] = { 0 };
	const int n = ARRAY_SIZE(seats);
	bool wakes = expectation != EXPECT_OFF;
	int notify, i;

	notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ASSERT_LE(0, notify);
	for (i = 0; i < n; i++) {
		char path[512];

		w[i].fd = poll_fd(seats[i].group, seats[i].file);
		ASSERT_LE(0, w[i].fd);
		cg_path(path, sizeof(path), seats[i].group, seats[i].file);
		w[i].watch = inotify_add_watch(notify, path, IN_MODIFY);
		ASSERT_LE(0, w[i].watch);
	}

	/* Tables come and go below the limit, and far above one that is not there. */
	ASSERT_EQ(0, pt_limit("t/b", variant->file, LIMIT));
	go_over(self);
	watch(notify, w, n, NULL, NOTHING_MS);
	for (i = 0; i < n; i++) {
		EXPECT_FALSE(w[i].polled || w[i].inotified) {
			TH_LOG("%s/%s woke up for nothing", seats[i].group, seats[i].file);
		}
	}

	/* Now there is one. */
	ASSERT_EQ(0, cg_child_do(&self->filler, 'U', 0));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'M', 0));
	ASSERT_EQ(0, pt_limit("t/a", variant->file, LIMIT));
	ASSERT_EQ(0, cg_child_do(&self->filler, 'f', FILLED));
	watch(notify, w, n, &w[0], wakes ? EVENT_MS : NOTHING_MS);
	/* The others a moment later: the file's own timer keeps them 10 ms apart. */
	watch(notify, w, n, NULL, NOTHING_MS);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(seats[i].wakes && wakes, w[i].polled) {
			TH_LOG("%s/%s, poll()", seats[i].group, seats[i].file);
		}
		EXPECT_EQ(seats[i].wakes && wakes, w[i].inotified) {
			TH_LOG("%s/%s, inotify", seats[i].group, seats[i].file);
		}
	}
}

/* One who has read what happened sleeps until something else does. */
TEST_F(events, wake_again)
{
	struct pollfd p = { .events = POLLPRI };
	char text[256];
	int round;

	if (expectation == EXPECT_OFF)
		SKIP(return, "limits are not enforced here");
	p.fd = poll_fd("t/a", PT_EVENTS);
	ASSERT_LE(0, p.fd);
	for (round = 0; round < 3; round++) {
		EXPECT_EQ(0, poll(&p, 1, 0));
		ASSERT_EQ(0, pt_limit("t/a", variant->file, LIMIT));
		go_over(self);
		EXPECT_EQ(1, poll(&p, 1, EVENT_MS)) {
			TH_LOG("round %d", round);
		}
		/* Over, and all watchers told, before the next round. */
		ASSERT_EQ(0, pt_limit("t/a", variant->file, NO_LIMIT));
		ASSERT_EQ(0, cg_child_do(&self->filler, 'U', 0));
		ASSERT_EQ(0, cg_child_do(&self->filler, 'M', 0));
		pt_settled("t/a");
		EXPECT_LT(0, pread(p.fd, text, sizeof(text), 0));
	}
	close(p.fd);
}

PTFREE_TEST_MAIN(0, 1000, 16384)
