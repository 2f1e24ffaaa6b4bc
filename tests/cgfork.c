// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork() at memory.pt.max: where empties make room it succeeds, else it fails
 * with ENOMEM and the parent is as before. What copies no tables never fails.
 */
#include <spawn.h>

#include "cgbudget.h"
#include "uffd.h"

extern char **environ;

/* The child's other mappings, which a fork that is undone must leave alone. */
#define ODD		4L
static char *odd[ODD];

static long wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status;
}

/* fork(), and the copy looks for the marks of the first @n tables. */
static long fork_and_check(struct cg_child *c, long n)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(!!bad_marks(c->at, n * TABLE_SPAN, TABLE_SPAN, 1));
	return wait_for(pid);
}

static long vfork_and_exec(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	return pid < 0 ? -errno : wait_for(pid);
}

static long spawn(void)
{
	char *const words[] = { (char *)"true", NULL };
	pid_t pid;
	int err = posix_spawn(&pid, "/bin/true", NULL, NULL, words, environ);

	return err ? -err : wait_for(pid);
}

static int exit_at_once(void *arg)
{
	_exit(0);
}

static long clone_vm(void)
{
	static char stack[64 * KiB] __attribute__((aligned(16)));
	pid_t pid = clone(exit_at_once, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

	return pid < 0 ? -errno : wait_for(pid);
}

static void *end_at_once(void *arg)
{
	return arg;
}

static long make_thread(void)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, end_at_once, NULL);

	return -(err ?: pthread_join(thread, NULL));
}

/* Mappings of every kind that fork() treats in a way of its own. */
static long make_odd(void)
{
	const size_t len = 32 * TABLE_SPAN;
	int fd = make_memfd(len);
	long i;

	for (i = 0; i < ODD; i++) {
		odd[i] = i ? map_anon(len) : map_at(reserve(len), len, PROT_READ | PROT_WRITE,
						    MAP_SHARED, fd, 0);
		if (!odd[i])
			return -ENOMEM;
		fill(odd[i], len, TABLE_SPAN, i);
	}
	close(fd);
	if (mlock(odd[1], PAGE) || madvise(odd[2], len, MADV_DONTFORK) ||
	    madvise(odd[3], len, MADV_WIPEONFORK))
		return -errno;
	return 0;
}

static long check_odd(void)
{
	long bad = 0, i;

	for (i = 0; i < ODD; i++)
		bad += bad_marks(odd[i], 32 * TABLE_SPAN, TABLE_SPAN, i);
	return bad;
}

/* The monitor of a child's userfaultfd: counts the forks that it is told of. */
static int monitor_fd;
static _Atomic long forks_told;

static void *monitor(void *arg)
{
	struct uffd_msg msg;
	struct pollfd p = { .fd = monitor_fd, .events = POLLIN };

	while (poll(&p, 1, -1) == 1) {
		if (read(monitor_fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (msg.event != UFFD_EVENT_FORK)
			continue;
		close(msg.arg.fork.ufd);
		forks_told++;
	}
	return NULL;
}

static long monitor_start(struct cg_child *c)
{
	pthread_t thread;
	char *p = map_anon(TABLE_SPAN);
	long err;

	monitor_fd = uffd_open(UFFD_FEATURE_EVENT_FORK);
	if (monitor_fd < 0)
		return monitor_fd;
	err = uffd_register(monitor_fd, p, TABLE_SPAN, UFFDIO_REGISTER_MODE_MISSING);
	return err ?: -pthread_create(&thread, NULL, monitor, NULL);
}

/* UFFDIO_COPY of one page into each of @n tables; the first error. */
static long monitor_copies(struct cg_child *c, long first, long n)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	char *at = c->at + first * TABLE_SPAN;
	int fd = uffd_open(0);
	long err, i;

	if (fd < 0)
		return fd;
	err = uffd_register(fd, at, n * TABLE_SPAN, UFFDIO_REGISTER_MODE_MISSING);
	for (i = 0; i < n && !err; i++) {
		*(uint64_t *)page = mark_of(at + i * TABLE_SPAN, 1);
		err = uffd_copy(fd, at + i * TABLE_SPAN, page, 0);
	}
	close(fd);
	return err ?: bad_marks(at, n * TABLE_SPAN, TABLE_SPAN, 1);
}

/* Write into every page again: it is ours and writable, copy or no copy. */
static long rewrite(struct cg_child *c, long n)
{
	fill(c->at, n * TABLE_SPAN, TABLE_SPAN, 2);
	if (bad_marks(c->at, n * TABLE_SPAN, TABLE_SPAN, 2))
		return -EIO;
	fill(c->at, n * TABLE_SPAN, TABLE_SPAN, 1);
	return 0;
}

/*
 *	k	fork, and the copy checks @n tables; its wait status
 *	v s t	vfork and exec, posix_spawn, a thread;	V	a process with our mm
 *	o O	make odd mappings, check them		w	write to @n tables again
 *	y	a monitor of forks			Y	how many it was told of
 *	i	UFFDIO_COPY into RANGE()		X	exec in our place
 */
static long fork_orders(struct cg_child *c, struct cg_order *o)
{
	switch (o->what) {
	case 'k':
		return fork_and_check(c, o->n);
	case 'v':
		return vfork_and_exec();
	case 's':
		return spawn();
	case 't':
		return make_thread();
	case 'V':
		return clone_vm();
	case 'o':
		return make_odd();
	case 'O':
		return check_odd();
	case 'w':
		return rewrite(c, o->n);
	case 'y':
		return monitor_start(c);
	case 'Y':
		return forks_told;
	case 'i':
		return monitor_copies(c, o->n >> 32, o->n & 0xffffffff);
	case 'X':
		execl("/bin/true", "true", NULL);
		return -errno;
	}
	return range_orders(c, o);
}

FIXTURE(fork) {
	struct cg_child c, sleeper;
};

FIXTURE_SETUP(fork)
{
	setup_groups();
	self->c.extra = fork_orders;
}

FIXTURE_TEARDOWN(fork)
{
	cg_child_end(&self->c);
	cg_child_end(&self->sleeper);
	teardown_groups();
}

#define USED	1000L
#define FEWER	600L

/* A fork is refused after it has copied no more than the tables of 1 GiB too many. */
#define check_peak(group, limit) __check_peak(_metadata, group, limit)
static void __check_peak(struct __test_metadata *_metadata, const char *group, long limit)
{
	note("limit %ld tables, peak %ld", limit, pt_peak(group) / 4096);
	EXPECT_GE(TABLE_BYTES(limit + 512 + TASK_OVER + BLUR), pt_peak(group));
}

TEST_F(fork, far_from_the_limit)
{
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(4 * USED)));
	ASSERT_EQ(0, range_child(&self->c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', USED));
	EXPECT_EQ(0, cg_child_do(&self->c, 'k', USED));
	EXPECT_LT(TABLE_BYTES(2 * USED), pt_peak(GROUP_A));
	EXPECT_EQ(0, pt_event(GROUP_A, "max", false));
	child_is_well(&self->c, USED);
}

/* 1000 in use, 1000 empties elsewhere, a limit of 2500, a copy of 1000. */
TEST_F(fork, empties_of_a_sleeper_make_room)
{
	const long limit = 2500;

	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, sleeper_start(&self->sleeper, GROUP_B, 20, USED));
	ASSERT_EQ(0, range_child(&self->c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', USED));
	EXPECT_EQ(0, cg_child_do(&self->c, 'k', USED));
	check_peak(TOP, limit);
	EXPECT_LT(0, pt_event(TOP, "max", true));
	child_is_well(&self->c, USED);
	child_is_well(&self->sleeper, 20);
	nobody_killed(TOP);
}

/* The same in the mm that is copied. */
TEST_F(fork, own_empties_make_room)
{
	const long limit = 2500;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, sleeper_start(&self->c, GROUP_A, USED, USED));
	EXPECT_EQ(0, cg_child_do(&self->c, 'k', USED));
	check_peak(GROUP_A, limit);
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	child_is_well(&self->c, USED);
	nobody_killed(TOP);
}

/*
 * Nothing makes room: ENOMEM, as often as it is tried, and nothing is different
 * afterwards. With less to copy it succeeds.
 */
TEST_F(fork, refused)
{
	const long limit = 1700;
	struct cg_child *c = &self->c;
	long before, kb, rss, i;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(c, 'f', USED));
	ASSERT_EQ(0, cg_child_do(c, 'o', 0));
	before = pt_settled(GROUP_A);
	kb = vmpte_kb(c->pid);
	rss = status_kb(c->pid, "VmRSS");
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(-ENOMEM, cg_child_do(c, 'k', USED));
	}
	check_peak(GROUP_A, limit);
	expect_within(before - TABLE_BYTES(8), pt_settled(GROUP_A), before,
		      "usage after a fork that was undone");
	expect_within(kb - 8 * TABLE_KB, vmpte_kb(c->pid), kb, "VmPTE");
	expect_within(rss - 64, status_kb(c->pid, "VmRSS"), rss + 64, "VmRSS");
	EXPECT_EQ(0, cg_child_do(c, 'O', 0));
	EXPECT_EQ(0, cg_child_do(c, 'w', USED));
	child_is_well(c, USED);
	EXPECT_LT(0, pt_event(GROUP_A, "max", false));
	nobody_killed(TOP);

	/*
	 * Now what is empty makes room, and not without being freed: that nothing was
	 * to be had a moment ago says nothing about it.
	 */
	ASSERT_EQ(0, cg_child_do(c, 'E', RANGE(FEWER, USED - FEWER)));
	EXPECT_EQ(0, cg_child_do(c, 'k', FEWER));
	EXPECT_EQ(0, cg_child_do(c, 'O', 0));
}

/* An ancestor's limit counts as well, and what siblings hold. */
TEST_F(fork, refused_for_the_parents_limit)
{
	const long limit = 2500;

	ASSERT_EQ(0, pt_limit(TOP, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(&self->sleeper, GROUP_B, USED));
	ASSERT_EQ(0, cg_child_do(&self->sleeper, 'f', USED));
	ASSERT_EQ(0, range_child(&self->c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', USED));
	EXPECT_EQ(-ENOMEM, cg_child_do(&self->c, 'k', USED));
	check_peak(TOP, limit);
	EXPECT_GE(TABLE_BYTES(limit), pt_settled(TOP));
	child_is_well(&self->c, USED);
	child_is_well(&self->sleeper, USED);
	nobody_killed(TOP);
}

/* The limit of the one who forks, not that of the cgroup its mm was filled in. */
TEST_F(fork, of_one_who_moved_away)
{
	ASSERT_EQ(0, range_child(&self->c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', USED));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(USED + 100)));
	ASSERT_EQ(0, cg_enter(GROUP_B, self->c.pid));
	EXPECT_EQ(0, cg_child_do(&self->c, 'k', USED));
	ASSERT_EQ(0, pt_limit(GROUP_B, PT_MAX, TABLE_BYTES(USED / 2)));
	EXPECT_EQ(-ENOMEM, cg_child_do(&self->c, 'k', USED));
	child_is_well(&self->c, USED);
	nobody_killed(TOP);
}

/*
 * Over the limit for good, as nobody may be killed: no fork, however small, but
 * all that copies nothing.
 */
TEST_F(fork, what_copies_nothing_never_fails)
{
	static const char orders[] = "vsVt";
	struct cg_child *c = &self->c;
	long i, round;

	ASSERT_EQ(0, range_child(c, GROUP_A, USED));
	ASSERT_EQ(0, set_oom_score_adj(c->pid, -1000));
	ASSERT_EQ(0, cg_child_do(c, 'f', USED));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(100)));
	EXPECT_EQ(-ENOMEM, cg_child_do(c, 'k', USED));
	for (round = 0; round < 5; round++) {
		for (i = 0; orders[i]; i++) {
			EXPECT_EQ(0, cg_child_do(c, orders[i], 0)) {
				TH_LOG("order %c", orders[i]);
			}
		}
	}
	child_is_well(c, USED);
	nobody_killed(TOP);
}

/* Exactly at the limit: the new mm is over it until the old one has gone. */
TEST_F(fork, exec_at_the_limit)
{
	struct cg_child *c = &self->c;

	ASSERT_EQ(0, range_child(c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(c, 'f', USED));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, pt_current(GROUP_A)));
	ASSERT_EQ(0, cg_child_tell(c, 'X', 0));
	EXPECT_EQ(0, cg_child_status(c, SOON_MS));
	nobody_killed(TOP);
	EXPECT_TRUE(wait_current_below(GROUP_A, 0, SOON_MS));
}

/* A monitor hears of no fork that was undone, and of each that was not. */
TEST_F(fork, monitor_hears_nothing)
{
	struct cg_child *c = &self->c;
	long end = now_ms() + SOON_MS;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(1700)));
	ASSERT_EQ(0, range_child(c, GROUP_A, USED));
	ASSERT_EQ(0, cg_child_do(c, 'f', USED));
	ASSERT_EQ(0, cg_child_do(c, 'y', 0));
	EXPECT_EQ(-ENOMEM, cg_child_do(c, 'k', USED));
	EXPECT_EQ(-ENOMEM, cg_child_do(c, 'k', USED));
	EXPECT_EQ(0, cg_child_do(c, 'Y', 0));
	ASSERT_EQ(0, cg_child_do(c, 'E', RANGE(100, USED - 100)));
	EXPECT_EQ(0, cg_child_do(c, 'k', 100));
	while (!cg_child_do(c, 'Y', 0) && now_ms() < end)
		nap_ms(5);
	EXPECT_EQ(1, cg_child_do(c, 'Y', 0));
	child_is_well(c, 100);
}

/* A monitor that fills in pages goes on at the limit, with or without room. */
TEST_F(fork, monitor_fills_at_the_limit)
{
	const long limit = 600;
	struct cg_child *c = &self->c;

	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(limit)));
	ASSERT_EQ(0, range_child(c, GROUP_A, 2 * USED));
	ASSERT_EQ(0, cg_child_do(c, 'f', 500));
	ASSERT_EQ(0, cg_child_do(c, 'E', RANGE(0, 500)));
	EXPECT_EQ(0, cg_child_do(c, 'i', RANGE(500, 500)));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(limit), SOON_MS));
	ASSERT_EQ(0, set_oom_score_adj(c->pid, -1000));
	EXPECT_EQ(0, cg_child_do(c, 'i', RANGE(1000, 1000)));
	EXPECT_EQ(0, cg_child_do(c, 'K', RANGE(500, 1500)));
	nobody_killed(TOP);
}

PTFREE_TEST_MAIN(0, 100, 65536)
