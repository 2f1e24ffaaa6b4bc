// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is cleaned in the background, and when: processes that do not run at all
 * in mode 2, nobody in modes 0 and 1, and every change of a setting at once.
 *
 * A sleeper makes its empties while background work is off, gets into its
 * state, and only then is vm.freept set to 2: whatever is freed was freed in
 * that state.
 */
#include "common.h"

#include <sys/ptrace.h>

#define TABLES		256L
#define LEN		(TABLES * TABLE_SPAN)
#define LAST		(LEN - TABLE_SPAN)	/* keeps its page */

/* Globals: the sleeper checks its pages in a signal handler. */
static char *area;
static int to_child[2], to_parent[2];

static void on_check(int sig)
{
	_exit(bad_marks(area + LAST, TABLE_SPAN, 128 * KiB, 1) ||
	      not_zero(area, LAST, 128 * KiB));
}

static void tell(char c)
{
	if (write(to_parent[1], &c, 1) != 1)
		_exit(3);
}

static void await(void)
{
	char c;

	if (read(to_child[0], &c, 1) != 1)
		_exit(3);
}

/* The sleeper's life up to its empties. */
static void make_empties(void)
{
	signal(SIGUSR1, on_check);
	tell('s');
	await();
	fill(area, LEN, 128 * KiB, 1);
	tell('f');
	await();
	if (madvise(area, LAST, MADV_DONTNEED))
		_exit(3);
	tell('d');
}

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

FIXTURE(sleeper) {
	struct measure m;
	pid_t pid;
};

FIXTURE_SETUP(sleeper)
{
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	area = map_anon(LEN);
	ASSERT_NE(NULL, area);
	ASSERT_EQ(0, scanner(0, 100, 65536));
}

FIXTURE_TEARDOWN(sleeper)
{
	if (self->pid)
		reap(self->pid);
	scanner(2, 100, 65536);
}

/* Lead the sleeper to its empties, measured by way of task @tid. */
#define lead(self, tid) __lead(_metadata, self, tid)
static void __lead(struct __test_metadata *_metadata, FIXTURE_DATA(sleeper) *self, pid_t tid)
{
	char c = 0;

	ASSERT_TRUE(wait_byte(to_parent[0], &c, 10000 * scale));
	ASSERT_EQ('s', c);
	self->m = measure_start(tid, area, LEN, TABLES);
	ASSERT_EQ(1, write(to_child[1], "g", 1));
	ASSERT_TRUE(wait_byte(to_parent[0], &c, 10000 * scale));
	ASSERT_EQ('f', c);
	measure_peak(&self->m);
	ASSERT_EQ(1, write(to_child[1], "g", 1));
	ASSERT_TRUE(wait_byte(to_parent[0], &c, 10000 * scale));
	ASSERT_EQ('d', c);
}

/* Nothing was freed before; now it must be. */
#define cleaned(self) __cleaned(_metadata, self)
static void __cleaned(struct __test_metadata *_metadata, FIXTURE_DATA(sleeper) *self)
{
	EXPECT_LE(self->m.peak, vmpte_kb(self->m.pid)) {
		TH_LOG("tables were freed with vm.freept 0");
	}
	if (expectation != EXPECT_STOCK) {
		ASSERT_EQ(0, scanner(2, 100, 65536));
	}
	check_floor(&self->m, 1, self->m.peak);
}

/* The sleeper wakes up, finds its pages as they should be, and says so. */
#define wakes_up(self) __wakes_up(_metadata, self)
static void __wakes_up(struct __test_metadata *_metadata, FIXTURE_DATA(sleeper) *self)
{
	int status = -1;

	kill(self->pid, SIGUSR1);
	kill(self->pid, SIGCONT);
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	self->pid = 0;
	EXPECT_EQ(0, status) {
		TH_LOG("the sleeper found its pages damaged (status %#x)", status);
	}
}

TEST_F(sleeper, asleep)
{
	self->pid = fork_child();
	if (!self->pid) {
		make_empties();
		sleep_for_ever();
	}
	lead(self, self->pid);
	ASSERT_TRUE(wait_state(self->pid, 'S', 5000 * scale));
	cleaned(self);
	EXPECT_EQ('S', task_state(self->pid));
	wakes_up(self);
}

TEST_F(sleeper, stopped)
{
	self->pid = fork_child();
	if (!self->pid) {
		make_empties();
		raise(SIGSTOP);
		sleep_for_ever();
	}
	lead(self, self->pid);
	ASSERT_TRUE(wait_state(self->pid, 'T', 5000 * scale));
	cleaned(self);
	EXPECT_EQ('T', task_state(self->pid));
	wakes_up(self);
}

TEST_F(sleeper, traced)
{
	int status;

	self->pid = fork_child();
	if (!self->pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(3);
		make_empties();
		raise(SIGSTOP);
		sleep_for_ever();
	}
	lead(self, self->pid);
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	cleaned(self);
	EXPECT_EQ('t', task_state(self->pid));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, self->pid, 0, 0));
	wakes_up(self);
}

TEST_F(sleeper, frozen)
{
	long end = now_ms() + 5000 * scale;

	if (cg_make("sleepers") || access(CG_ROOT "/sleepers/cgroup.freeze", F_OK))
		SKIP(return, "no cgroup freezer");
	self->pid = fork_child();
	if (!self->pid) {
		make_empties();
		sleep_for_ever();
	}
	ASSERT_EQ(0, cg_enter("sleepers", self->pid));
	lead(self, self->pid);
	ASSERT_TRUE(wait_state(self->pid, 'S', 5000 * scale));
	ASSERT_EQ(0, cg_write("sleepers", "cgroup.freeze", "1"));
	while (key_value(CG_ROOT "/sleepers/cgroup.events", "frozen") != 1 && now_ms() < end)
		nap_ms(2);
	ASSERT_EQ(1, key_value(CG_ROOT "/sleepers/cgroup.events", "frozen"));
	cleaned(self);
	EXPECT_EQ(1, key_value(CG_ROOT "/sleepers/cgroup.events", "frozen"));
	ASSERT_EQ(0, cg_write("sleepers", "cgroup.freeze", "0"));
	wakes_up(self);
	EXPECT_EQ(0, cg_remove("sleepers"));
}

/* The leader is gone and has no mm any more; a thread of it lives on. */
static void *survivor(void *arg)
{
	pid_t tid = syscall(SYS_gettid);

	if (write(to_parent[1], &tid, sizeof(tid)) != sizeof(tid))
		_exit(3);
	make_empties();
	sleep_for_ever();
	return NULL;
}

TEST_F(sleeper, zombie_leader)
{
	pid_t tid = 0;

	self->pid = fork_child();
	if (!self->pid) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, survivor, NULL))
			_exit(3);
		/* Not pthread_exit(): it would unwind through the harness. */
		syscall(SYS_exit, 0);
	}
	ASSERT_EQ((ssize_t)sizeof(tid), read(to_parent[0], &tid, sizeof(tid)));
	ASSERT_TRUE(wait_state(self->pid, 'Z', 5000 * scale));
	lead(self, tid);
	ASSERT_TRUE(wait_state(tid, 'S', 5000 * scale));
	cleaned(self);
	EXPECT_EQ('Z', task_state(self->pid));
	wakes_up(self);
}

/* Parent and vfork()ed child have one mm; the parent is in state D. */
TEST_F(sleeper, vfork_parent)
{
	char path[64], text[64];
	volatile pid_t inner;

	self->pid = fork_child();
	if (!self->pid) {
		make_empties();
		inner = vfork();
		if (!inner) {
			sleep_for_ever();
			_exit(0);
		}
		_exit(4);
	}
	lead(self, self->pid);
	ASSERT_TRUE(wait_state(self->pid, 'D', 5000 * scale));
	cleaned(self);
	EXPECT_EQ('D', task_state(self->pid));
	/* Killing the parent leaves the child, which must go as well. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", self->pid, self->pid);
	ASSERT_LT(0, read_text(path, text, sizeof(text)));
	reap(self->pid);
	self->pid = 0;
	kill(atoi(text), SIGKILL);
}

/* In a PID namespace of its own, as in a container. */
TEST_F(sleeper, in_a_pid_namespace)
{
	long end = now_ms() + 5000 * scale;
	char path[64], text[64];
	pid_t outer, inner;

	outer = fork_child();
	ASSERT_LE(0, outer);
	if (!outer) {
		if (unshare(CLONE_NEWPID))
			_exit(77);
		/* fork_child() would miss its parent, who is not in there. */
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			make_empties();
			sleep_for_ever();
		}
		sleep_for_ever();
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", outer, outer);
	while (read_text(path, text, sizeof(text)) <= 0 && now_ms() < end) {
		if (task_state(outer) == 'Z')
			SKIP(reap(outer); return, "no PID namespaces");
		nap_ms(5);
	}
	inner = atoi(text);
	ASSERT_LT(0, inner);
	lead(self, inner);
	ASSERT_TRUE(wait_state(inner, 'S', 5000 * scale));
	cleaned(self);
	reap(outer);
}

/*
 * Modes: 0 and 1 free nothing (nobody asks for it here), 2 does, each switch
 * at once, in both directions.
 */
#define stays(m) __stays(_metadata, m)
static void __stays(struct __test_metadata *_metadata, struct measure *m)
{
	long end = now_ms() + IDLE_MS, kb;

	do {
		nap_ms(50);
		kb = vmpte_kb(m->pid);
	} while (kb >= m->peak && now_ms() < end);
	EXPECT_LE(m->peak, kb) {
		TH_LOG("tables were freed in mode %ld", read_long(VM_FREEPT));
	}
}

TEST(modes)
{
	static const int modes[] = { 0, 1, 2, 1, 2, 0, 2 };
	struct measure m;
	char *at;
	size_t i;

	if (is_stock())
		SKIP(return, "a stock kernel has no vm.freept");
	at = map_anon(LEN);
	ASSERT_NE(NULL, at);
	m = measure_start(0, at, LEN, TABLES);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		ASSERT_EQ(0, write_long(VM_FREEPT, 0));
		fill(at, LEN, TABLE_SPAN, i);
		EXPECT_EQ(0, bad_marks(at, LEN, TABLE_SPAN, i));
		measure_peak(&m);
		ASSERT_EQ(0, madvise(at, LEN, MADV_DONTNEED));
		ASSERT_EQ(0, write_long(VM_FREEPT, modes[i]));
		if (modes[i] == 2) {
			check_floor(&m, 0, m.peak);
		} else {
			stays(&m);
		}
	}
}

/* A long delay ends when the administrator shortens it, not an hour later. */
TEST(shorter_delay_at_once)
{
	struct measure m;
	char *at;

	if (is_stock())
		SKIP(return, "a stock kernel has no vm.freept");
	at = map_anon(LEN);
	ASSERT_NE(NULL, at);
	m = measure_start(0, at, LEN, TABLES);
	/* One run under the long delay, so that the next is an hour away. */
	ASSERT_EQ(0, scanner(2, 3600000, SIZE_MAX_MB));
	nap_ms(IDLE_MS);
	fill(at, LEN, TABLE_SPAN, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(at, LEN, MADV_DONTNEED));
	nap_ms(IDLE_MS);
	ASSERT_EQ(0, scanner(2, 100, 65536));
	check_floor(&m, 0, m.peak);
}

/* Runs of the smallest size: each goes on where the last one ended. */
TEST(smallest_size)
{
	const long tables = 64;
	char *at = map_anon(tables * TABLE_SPAN);
	struct measure m;

	ASSERT_NE(NULL, at);
	m = measure_start(0, at, tables * TABLE_SPAN, tables);
	ASSERT_EQ(0, scanner(0, 10, 2));
	fill(at, m.len, TABLE_SPAN, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(at, m.len, MADV_DONTNEED));
	ASSERT_EQ(0, scanner(2, 10, 2));
	if (expectation == EXPECT_FREED)
		wait_vmpte_below(0, m.start + upper_kb(at, m.len), 3 * CLEAN_MS);
	check_floor(&m, 0, m.peak);
	scanner(2, 100, 65536);
}

/* Page tables of the machine. What CPUs have counted by themselves is gathered first. */
static long all_tables(void)
{
	write_text("/proc/sys/vm/stat_refresh", "1");
	return vmstat("nr_page_table_pages");
}

/*
 * Processes that come, work, exec and go under an aggressive scanner: each
 * ends as it should, and no page table is left behind.
 */
TEST(exiting_while_scanned)
{
	long before, end;
	int i, j, status;
	pid_t pid[4];
	char *at = map_anon(64 * TABLE_SPAN);

	ASSERT_NE(NULL, at);
	ASSERT_EQ(0, scanner(2, 10, SIZE_MAX_MB));
	before = all_tables();
	for (i = 0; i < 50; i++) {
		for (j = 0; j < 4; j++) {
			pid[j] = fork_child();
			ASSERT_LE(0, pid[j]);
			if (pid[j])
				continue;
			fill(at, 64 * TABLE_SPAN, TABLE_SPAN, j);
			madvise(at, 32 * TABLE_SPAN, MADV_DONTNEED);
			nap_ms(i % 5 * 4);
			if (bad_marks(at + 32 * TABLE_SPAN, 32 * TABLE_SPAN, TABLE_SPAN, j))
				_exit(1);
			/* One in four is killed, one execs, the others exit. */
			if (j == 0)
				kill(getpid(), SIGKILL);
			if (j == 1)
				execl("/bin/true", "true", NULL);
			_exit(0);
		}
		for (j = 0; j < 4; j++) {
			ASSERT_EQ(pid[j], waitpid(pid[j], &status, 0));
			EXPECT_EQ(j ? 0 : SIGKILL, status);
		}
	}
	/* Tables on their way through RCU take a moment. */
	end = now_ms() + CLEAN_MS;
	while (all_tables() > before + 16 && now_ms() < end)
		nap_ms(20);
	EXPECT_GE(before + 16, all_tables());
	scanner(2, 100, 65536);
}

PTFREE_TEST_MAIN(2, 100, 65536)
