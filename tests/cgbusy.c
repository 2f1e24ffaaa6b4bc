// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.pt_reclaim when it is not alone: signals in the middle of it, many
 * writers at once, and a process whose mmap lock cannot be had.
 */
#include "cghold.h"

#define TABLES		2048L
#define BYTES		(TABLES * (long)PAGE)
/* So many that a request for them works for a good while, on a debug kernel a fourth. */
#define MANY		(32L * 1024 / scale)
/* Within this time a request gives up on a lock that it cannot have. */
#define BOUND_MS	(10000L * scale)
#define WRITERS		50

FIXTURE(busy) {
	struct holder h;
};

FIXTURE_SETUP(busy)
{
	ASSERT_TRUE(have_pt());
	if (expectation == EXPECT_OFF)
		SKIP(return, "requests are refused here");
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make_parent("t"));
	ASSERT_EQ(0, cg_make("t/a"));
	ASSERT_EQ(0, cg_make("t/b"));
}

FIXTURE_TEARDOWN(busy)
{
	hold_end(&self->h);
	EXPECT_EQ(0, cg_clear("t"));
}

/* Signals */

static atomic_int alarms;

static void on_alarm(int sig)
{
	atomic_fetch_add(&alarms, 1);
}

/*
 * One request in a process of its own that gets a signal every @us: what it said
 * (0 or -errno), and how long it took.
 */
struct request {
	pid_t pid;
	int fd;
	int answer;
	long ms;
};

struct report {
	int answer;
	long ms;
};

static int request_start(struct request *r, const char *group, const char *amount, long us)
{
	struct itimerval every = { { 0, us }, { 0, us } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction act = { .sa_handler = on_alarm };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	r->pid = fork_child();
	if (!r->pid) {
		struct report out;
		long start = now_ms();

		sigaction(SIGALRM, &act, NULL);
		setitimer(ITIMER_REAL, &every, NULL);
		out.answer = pt_reclaim(group, amount);
		setitimer(ITIMER_REAL, &never, NULL);
		out.ms = now_ms() - start;
		_exit(write(fds[1], &out, sizeof(out)) != sizeof(out));
	}
	close(fds[1]);
	r->fd = fds[0];
	return r->pid < 0 ? -EAGAIN : 0;
}

/* False if it has not ended within @ms, and is killed then. */
static bool request_end(struct request *r, long ms)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	struct report in = { .answer = -EPIPE };
	bool ended = poll(&p, 1, ms) == 1;

	if (ended && read(r->fd, &in, sizeof(in)) != sizeof(in))
		in.answer = -EPIPE;
	reap(r->pid);
	close(r->fd);
	r->answer = in.answer;
	r->ms = in.ms;
	return ended;
}

/* A request for everything; the zero page makes empties at the least expense. */
#define long_request(c) __long_request(_metadata, c)
static void __long_request(struct __test_metadata *_metadata, struct cg_child *c)
{
	ASSERT_EQ(0, cg_child_start(c, "t/a", MANY));
	ASSERT_EQ(0, cg_child_do(c, 'r', MANY));
	ASSERT_EQ(0, cg_child_do(c, 'e', MANY));
	ASSERT_LE(MANY * (long)PAGE, pt_current("t/a"));
}

TEST_F(busy, signal_in_the_middle)
{
	struct request r = { 0 };

	long_request(&self->h.c);
	ASSERT_EQ(0, request_start(&r, "t/a", "max", 5000));
	EXPECT_TRUE(request_end(&r, 60000 * scale));
	EXPECT_EQ(-EINTR, r.answer) {
		TH_LOG("after %ld ms", r.ms);
	}
	/* What it had done is done, the rest is there for the next one. */
	EXPECT_LT(MANY / 8 * (long)PAGE, pt_settled("t/a"));
	EXPECT_EQ(0, pt_reclaim("t/a", "max"));
	EXPECT_GT(MANY / 100 * (long)PAGE, pt_current("t/a"));
	EXPECT_EQ(0, cg_child_do(&self->h.c, 'z', MANY));
}

/* A signal that is not delivered (ignored, here) does not end it. */
TEST_F(busy, ignored_signal)
{
	struct itimerval every = { { 0, 5000 }, { 0, 5000 } };
	int status = -1;
	pid_t pid;

	ASSERT_EQ(0, cg_child_start(&self->h.c, "t/a", 4 * TABLES));
	ASSERT_EQ(0, cg_child_do(&self->h.c, 'r', 4 * TABLES));
	ASSERT_EQ(0, cg_child_do(&self->h.c, 'e', 4 * TABLES));
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGALRM, SIG_IGN);
		setitimer(ITIMER_REAL, &every, NULL);
		_exit(-pt_reclaim_bytes("t/a", 4 * BYTES * 99 / 100));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(busy, killed_in_the_middle)
{
	struct request r = { 0 };
	long start, all;
	int status;

	long_request(&self->h.c);
	all = pt_current("t/a");
	ASSERT_EQ(0, request_start(&r, "t/a", "max", 0));
	/* It is at work. */
	ASSERT_TRUE(wait_current_below("t/a", all - 1, 10000 * scale));
	start = now_ms();
	kill(r.pid, SIGKILL);
	ASSERT_EQ(r.pid, waitpid(r.pid, &status, 0));
	EXPECT_GT(500 * scale, now_ms() - start);
	EXPECT_TRUE(WIFSIGNALED(status));
	close(r.fd);
	EXPECT_EQ(0, pt_reclaim("t/a", "max"));
	EXPECT_EQ(0, cg_child_do(&self->h.c, 'z', MANY));
}

/* Many writers */

#define many(amount, answers) __many(_metadata, amount, answers)
/* All at once; answers[0] said 0, [1] EAGAIN, [2] something else. */
static long __many(struct __test_metadata *_metadata, const char *amount, long answers[3])
{
	static struct request r[WRITERS];
	long start = now_ms();
	int i;

	memset(answers, 0, 3 * sizeof(*answers));
	for (i = 0; i < WRITERS; i++) {
		ASSERT_EQ(0, request_start(&r[i], "t/a", amount, 0));
	}
	for (i = 0; i < WRITERS; i++) {
		EXPECT_TRUE(request_end(&r[i], 30000 * scale)) {
			TH_LOG("writer %d hangs", i);
		}
		answers[!r[i].answer ? 0 : r[i].answer == -EAGAIN ? 1 : 2]++;
	}
	return now_ms() - start;
}

TEST_F(busy, many_writers)
{
	long answers[3], before, took;
	struct cg_child c[8] = { 0 };
	int i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, cg_child_start(&c[i], "t/a", TABLES));
		ASSERT_EQ(0, cg_child_do(&c[i], 'r', TABLES));
		ASSERT_EQ(0, cg_child_do(&c[i], 'e', TABLES));
	}
	/* 50 MB of the 64 that there are: each gets his, and all that he asked for. */
	before = pt_current("t/a");
	took = many("1M", answers);
	EXPECT_EQ(WRITERS, answers[0]) {
		TH_LOG("%ld said EAGAIN, %ld something else", answers[1], answers[2]);
	}
	EXPECT_LE(WRITERS * (long)MiB, before - pt_current("t/a"));
	TH_LOG("%d requests for 1M took %ld ms", WRITERS, took);

	/* 50 MB of the 14 that are left: nobody says that he got what he did not. */
	before = pt_current("t/a");
	many("1M", answers);
	EXPECT_EQ(0, answers[2]);
	EXPECT_LT(0, answers[1]);
	EXPECT_LE(answers[0] * (long)MiB, before - pt_current("t/a"));
	EXPECT_GT(TABLES / 10 * (long)PAGE, pt_current("t/a"));

	/* Nothing is left: all of them say so, and soon. */
	took = many("4096", answers);
	EXPECT_EQ(WRITERS, answers[1]);
	EXPECT_GT(10000 * scale, took);
	many("max", answers);
	EXPECT_EQ(WRITERS, answers[0]);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(0, cg_child_do(&c[i], 'z', TABLES));
		cg_child_end(&c[i]);
	}
}

/* Those who wait for their turn can be killed, and do not stop the others. */
TEST_F(busy, killed_in_the_queue)
{
	struct request r[WRITERS] = { 0 };
	int i, status;
	long start;

	long_request(&self->h.c);
	for (i = 0; i < WRITERS; i++) {
		ASSERT_EQ(0, request_start(&r[i], "t/a", i & 1 ? "max" : "64K", 0));
	}
	nap_ms(20);
	start = now_ms();
	for (i = 0; i < WRITERS; i += 3)
		kill(r[i].pid, SIGKILL);
	for (i = 0; i < WRITERS; i += 3) {
		ASSERT_EQ(r[i].pid, waitpid(r[i].pid, &status, 0));
		close(r[i].fd);
	}
	EXPECT_GT(2000 * scale, now_ms() - start);
	for (i = 0; i < WRITERS; i++) {
		if (!(i % 3))
			continue;
		EXPECT_TRUE(request_end(&r[i], 30000 * scale));
		EXPECT_TRUE(!r[i].answer || r[i].answer == -EAGAIN) {
			TH_LOG("writer %d said %d", i, r[i].answer);
		}
	}
	EXPECT_GT(MANY / 100 * (long)PAGE, pt_current("t/a"));
	EXPECT_EQ(0, cg_child_do(&self->h.c, 'z', MANY));
}

/* A lock that is held */

#define hold(self) __hold(_metadata, self)
static void __hold(struct __test_metadata *_metadata, FIXTURE_DATA(busy) *self)
{
	ASSERT_EQ(0, hold_start(&self->h, "t/a", TABLES));
	ASSERT_EQ(0, cg_child_do(&self->h.c, 'f', TABLES));
	ASSERT_EQ(0, cg_child_do(&self->h.c, 'e', TABLES));
	ASSERT_EQ(0, hold_lock(&self->h));
}

/* It gives up, and says so; there is nobody else to take from. */
TEST_F(busy, lock_is_held)
{
	struct request r = { 0 };
	long before;

	hold(self);
	before = pt_current("t/a");
	ASSERT_EQ(0, request_start(&r, "t/a", "4096", 0));
	EXPECT_TRUE(request_end(&r, BOUND_MS));
	ASSERT_TRUE(lock_is_held(self->h.c.pid)) {
		TH_LOG("the lock was not held: this has tested nothing");
	}
	if (pt_current("t/a") <= before - BYTES / 2)
		SKIP(return, "the lock was free for a moment");
	EXPECT_EQ(-EAGAIN, r.answer);
	TH_LOG("gave up after %ld ms", r.ms);
	ASSERT_EQ(0, request_start(&r, "t/a", "max", 0));
	EXPECT_TRUE(request_end(&r, BOUND_MS));
	EXPECT_EQ(0, r.answer);
}

/* The others are not spared for it. */
TEST_F(busy, lock_of_one_is_held)
{
	struct cg_child c = { 0 };
	struct request r = { 0 };

	hold(self);
	ASSERT_EQ(0, cg_child_start(&c, "t/a", TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'e', TABLES));
	ASSERT_TRUE(lock_is_held(self->h.c.pid));
	ASSERT_EQ(0, request_start(&r, "t/a", "7M", 0));
	EXPECT_TRUE(request_end(&r, BOUND_MS));
	EXPECT_EQ(0, r.answer);
	TH_LOG("7 MB beside a held lock took %ld ms", r.ms);
	cg_child_end(&c);
}

/* A signal ends the waiting, too. */
TEST_F(busy, signal_at_a_held_lock)
{
	struct request r = { 0 };

	hold(self);
	ASSERT_EQ(0, request_start(&r, "t/a", "max", 5000));
	EXPECT_TRUE(request_end(&r, BOUND_MS));
	EXPECT_EQ(-EINTR, r.answer) {
		TH_LOG("after %ld ms", r.ms);
	}
}

TEST_F(busy, killed_at_a_held_lock)
{
	struct request r = { 0 };
	long start;
	int status;

	hold(self);
	ASSERT_EQ(0, request_start(&r, "t/a", "max", 0));
	nap_ms(20);
	start = now_ms();
	kill(r.pid, SIGKILL);
	ASSERT_EQ(r.pid, waitpid(r.pid, &status, 0));
	EXPECT_GT(500 * scale, now_ms() - start);
	close(r.fd);
}

PTFREE_TEST_MAIN(0, 1000, 16384)
