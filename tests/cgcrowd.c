// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hundreds of groups and processes that fill, empty, fork, move, reclaim and die
 * at random while their groups come and go; and rmdir() in the middle of exits
 * and of requests. In the end the count is what it was: nothing.
 *
 * A count that goes below zero is a WARNING of the kernel's ("page_counter
 * underflow"), which the runner takes for a failure.
 */
#include "cg.h"

/*
 * All descend from one process and queue for the lock of its anon_vma when they fork
 * and exit: four hundred of them leave a debug kernel no time for anything else.
 */
#define GROUPS		(200 / scale)
#define PER_GROUP	2
#define PROCESSES	(GROUPS * PER_GROUP)
#define RUN_MS		(6000L * scale)
#define AREA		16L	/* tables a process has room for */

/* The crowd begins when the last writing end of this pipe is closed. */
static int gate[2];

/* What all processes of the crowd see. */
struct common {
	atomic_bool stop;
	atomic_long ops, bad;
	atomic_long reclaims, moves;
};

static struct common *common;

static uint32_t next_random(uint32_t *state)
{
	/* xorshift: the same numbers for the same seed, everywhere */
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void group_name(char *name, size_t len, int i)
{
	snprintf(name, len, "t/g%d", i);
}

/* What a request may answer, in a group that others empty and remove. */
static bool sane_answer(int err)
{
	if (expectation == EXPECT_OFF)
		return err == -EOPNOTSUPP || err == -ENOENT || err == -ENODEV;
	return !err || err == -EAGAIN || err == -ENOENT || err == -ENODEV;
}

FIXTURE(crowd) { };

FIXTURE_SETUP(crowd)
{
	ASSERT_TRUE(have_pt());
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)common);
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make_parent("t"));
}

FIXTURE_TEARDOWN(crowd)
{
	EXPECT_EQ(0, cg_clear("t"));
}

/* One of the crowd. */
static void live(int group, uint32_t seed)
{
	const size_t len = AREA * TABLE_SPAN;
	char *at = map_anon(len), name[64];
	long filled = 0;
	pid_t pid;
	int err;

	if (!at)
		_exit(1);
	close(gate[1]);
	if (read(gate[0], name, 1) != 0)
		_exit(1);
	group_name(name, sizeof(name), group);
	while (!atomic_load(&common->stop)) {
		uint32_t dice = next_random(&seed) >> 8;

		atomic_fetch_add(&common->ops, 1);
		switch (dice % 20) {
		case 0 ... 4:
			filled = 1 + dice / 32 % AREA;
			fill(at, filled * TABLE_SPAN, TABLE_SPAN, 1);
			break;
		case 5 ... 7:
			/* Whatever has been freed below them, the pages are there. */
			if (bad_marks(at, filled * TABLE_SPAN, TABLE_SPAN, 1))
				atomic_fetch_add(&common->bad, 1);
			madvise(at, len, MADV_DONTNEED);
			filled = 0;
			break;
		case 8:
			munmap(at, len);
			at = map_anon(len);
			filled = 0;
			if (!at)
				_exit(1);
			break;
		case 9:
			pid = fork();
			if (!pid)
				_exit(bad_marks(at, filled * TABLE_SPAN, TABLE_SPAN, 1));
			if (pid > 0 && waitpid(pid, &err, 0) == pid && err)
				atomic_fetch_add(&common->bad, 1);
			break;
		case 10:
			err = pt_reclaim(name, dice & 32 ? "max" : "32K");
			atomic_fetch_add(&common->reclaims, 1);
			if (!sane_answer(err))
				atomic_fetch_add(&common->bad, 1);
			break;
		case 11:
			group_name(name, sizeof(name), dice / 32 % GROUPS);
			/* It may not be there at this moment. */
			if (!cg_enter(name, 0))
				atomic_fetch_add(&common->moves, 1);
			break;
		case 12:
			if (!(dice / 32 % 8))
				_exit(0);
			break;
		default:
			/* Many more sleep than run, or nobody gets anywhere. */
			nap_ms(dice / 32 % 256);
		}
	}
	_exit(0);
}

static pid_t join_crowd(int group, uint32_t seed)
{
	char name[64];
	pid_t pid;

	pid = fork_child();
	if (pid)
		return pid;
	setpriority(PRIO_PROCESS, 0, 0);
	group_name(name, sizeof(name), group);
	/* Without its group it dies at once; the next one may be lucky. */
	if (cg_enter(name, 0))
		_exit(0);
	live(group, seed | 1);
	_exit(1);
}

/*
 * The groups come and go under the processes: kill all who are in one, remove
 * it as soon as that is possible, make it again, with or without a soft limit.
 */
static bool renew(int group, uint32_t dice)
{
	char name[64];
	int i, err = 0;

	group_name(name, sizeof(name), group);
	cg_write(name, "cgroup.kill", "1");
	for (i = 0; i < 50; i++) {
		char path[128];

		snprintf(path, sizeof(path), CG_ROOT "/%s", name);
		err = rmdir(path) ? errno : 0;
		if (err != EBUSY)
			break;
		nap_ms(1);
	}
	/* Somebody has moved in at once: another time. */
	if (err)
		return err == EBUSY;
	err = cg_make(name);
	if (!err && dice & 1)
		err = pt_limit(name, PT_HIGH, (dice >> 1) % 64 * PAGE);
	return !err;
}

TEST_F(crowd, hundreds_at_random)
{
	pid_t pids[PROCESSES];
	uint32_t seed = 12345;
	long end, born = 0, longest = 0;
	char name[64];
	int i, status;

	ASSERT_EQ(0, pipe(gate));
	/* Not one of the crowd. */
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, -10));
	for (i = 0; i < GROUPS; i++) {
		group_name(name, sizeof(name), i);
		ASSERT_EQ(0, cg_make(name));
	}
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = join_crowd(i / PER_GROUP, next_random(&seed));
		ASSERT_LT(0, pids[i]);
	}
	close(gate[1]);
	gate[1] = -1;
	end = now_ms() + RUN_MS;
	while (now_ms() < end) {
		uint32_t dice = next_random(&seed) >> 4;
		pid_t dead;

		if (!(dice & 3)) {
			EXPECT_TRUE(renew(dice / 4 % GROUPS, dice / 4 / GROUPS));
		}
		/* The dead are replaced. */
		while ((dead = waitpid(-1, &status, WNOHANG)) > 0) {
			EXPECT_TRUE(status == 0 || (WIFSIGNALED(status) &&
						    WTERMSIG(status) == SIGKILL)) {
				TH_LOG("a process ended with status %#x", status);
			}
			for (i = 0; i < PROCESSES && pids[i] != dead; i++)
				;
			if (i == PROCESSES)
				continue;
			pids[i] = join_crowd(next_random(&seed) % GROUPS, next_random(&seed));
			ASSERT_LT(0, pids[i]);
			born++;
		}
		if (dice & 8) {
			long start = now_ms();
			int err = pt_reclaim("t", dice & 16 ? "max" : "1M");

			if (now_ms() - start > longest)
				longest = now_ms() - start;
			EXPECT_TRUE(sane_answer(err)) {
				TH_LOG("a request to the parent said %d", err);
			}
		}
		nap_ms(10);
	}
	atomic_store(&common->stop, true);
	for (i = 0; i < PROCESSES; i++)
		waitpid(pids[i], &status, 0);
	TH_LOG("%ld operations, %ld requests, %ld moves, %ld births; longest request %ld ms",
	       atomic_load(&common->ops), atomic_load(&common->reclaims),
	       atomic_load(&common->moves), born, longest);
	EXPECT_EQ(0, atomic_load(&common->bad));
	EXPECT_LT(PROCESSES, atomic_load(&common->ops));

	/* All are dead: nobody has a table, in the end. */
	EXPECT_TRUE(wait_current_below("t", 0, 10000 * scale)) {
		TH_LOG("%ld bytes are left", pt_current("t"));
	}
	for (i = 0; i < GROUPS; i++) {
		group_name(name, sizeof(name), i);
		EXPECT_EQ(0, pt_current(name)) {
			TH_LOG("%s", name);
		}
		EXPECT_EQ(0, cg_remove(name));
	}
	EXPECT_EQ(0, pt_current("t"));
	EXPECT_TRUE(wait_stat_equal("t"));
}

/* A group is removed while the last of its processes is still giving back. */
TEST_F(crowd, rmdir_against_exit)
{
	char path[128];
	int round;

	snprintf(path, sizeof(path), CG_ROOT "/t/r");
	for (round = 0; round < 60; round++) {
		struct cg_child c = { 0 };
		long end = now_ms() + 10000 * scale;
		int err;

		ASSERT_EQ(0, cg_make("t/r"));
		ASSERT_EQ(0, cg_child_start(&c, "t/r", 128));
		ASSERT_EQ(0, cg_child_do(&c, 'f', 128));
		if (round & 1) {
			/* with tables in flight */
			ASSERT_EQ(0, cg_child_do(&c, 'h', 128));
			EXPECT_TRUE(sane_answer(pt_reclaim("t/r", "max")));
		}
		kill(c.pid, SIGKILL);
		while ((err = rmdir(path) ? errno : 0) == EBUSY && now_ms() < end)
			;
		EXPECT_EQ(0, err);
		cg_child_end(&c);
	}
	EXPECT_TRUE(wait_current_below("t", 0, 5000 * scale));
	EXPECT_TRUE(wait_stat_equal("t"));
}

/* Writes through one descriptor until the group is gone; 0 if that went well. */
static int write_on(const char *group, const char *amount, int ready)
{
	char path[512];
	int fd;

	cg_path(path, sizeof(path), group, PT_RECLAIM);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(ready, "r", 1) != 1)
		return 1;
	for (;;) {
		if (write(fd, amount, strlen(amount)) > 0)
			continue;
		if (errno == ENODEV)
			return 0;
		if (!sane_answer(-errno))
			return 2;
	}
}

/* A group is removed while requests are at work in it and above. */
TEST_F(crowd, rmdir_against_requests)
{
	int round, i, status, ready[2];
	pid_t above;
	char c;

	if (expectation == EXPECT_OFF)
		SKIP(return, "requests are refused here");
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, cg_make("t/b"));
	above = fork_child();
	ASSERT_LE(0, above);
	while (!above)
		if (!sane_answer(pt_reclaim("t", "max")))
			_exit(1);
	for (round = 0; round < 25; round++) {
		struct cg_child child = { 0 };
		pid_t writer[2];

		ASSERT_EQ(0, cg_make("t/r"));
		ASSERT_EQ(0, cg_child_start(&child, "t/r", 512));
		for (i = 0; i < 2; i++) {
			writer[i] = fork_child();
			ASSERT_LE(0, writer[i]);
			if (!writer[i])
				_exit(write_on("t/r", i ? "max" : "64M", ready[1]));
			ASSERT_TRUE(wait_byte(ready[0], &c, 10000 * scale));
		}
		ASSERT_EQ(0, cg_child_do(&child, 'f', 512));
		ASSERT_EQ(0, cg_child_do(&child, 'e', 512));
		if (round & 1) {
			/* alive elsewhere, and its tables handed on */
			ASSERT_EQ(0, cg_enter("t/b", child.pid));
		} else {
			kill(child.pid, SIGKILL);
		}
		EXPECT_EQ(0, cg_remove("t/r"));
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(writer[i], waitpid(writer[i], &status, 0));
			EXPECT_EQ(0, status);
		}
		cg_child_end(&child);
	}
	EXPECT_EQ(0, waitpid(above, &status, WNOHANG)) {
		TH_LOG("the request to the parent failed, status %#x", status);
	}
	reap(above);
	EXPECT_TRUE(wait_current_below("t", 0, 5000 * scale));
	EXPECT_TRUE(wait_stat_equal("t"));
}

PTFREE_TEST_MAIN(0, 1000, 16384)
