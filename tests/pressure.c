// SPDX-License-Identifier: GPL-2.0-only
/*
 * Empty page tables are freed when memory is short, before anybody is killed: in
 * a cgroup at memory.max, by a reclaim that finds pages of files as well, and
 * (--machine, in a small one) of the whole machine. vm.freept, prctl() and hints
 * make no difference; freept=off does, and then somebody is killed as on a stock
 * kernel.
 *
 * Needs a ram disk that is much larger than the cgroup, or with --machine than
 * the machine: what is read of it costs memory only in the page cache.
 */
#include "cg.h"
#include "switches.h"

#define GROUP		"pressure"
#define INNER		"pressure/inner"
#define MAX_MB		64L
/* Tables that do not fit into that group, and such that do but leave little. */
#define TOO_MANY	24000L
#define MANY		13000L
#define DISK		"/dev/ram0"

/* Somebody is killed, or not, within this time. */
#define KILL_MS		(60000L * scale)

static bool machine;

static bool kills(void)
{
	return expectation != EXPECT_FREED;
}

/*
 * More orders:	L	touch one page in each of n tables, and give it back at once
 *		P	prctl(PR_SET_FREEPT, n)
 *		A	madvise(n) for all of the area
 *		R	read n MiB of the ram disk
 */
static long pressure_orders(struct cg_child *c, struct cg_order *o)
{
	static char buf[64 * KiB];
	long i;
	int fd;

	switch (o->what) {
	case 'L':
		for (i = 0; i < o->n; i++) {
			char *at = c->at + i * TABLE_SPAN;

			*(volatile uint64_t *)at = i + 1;
			if (*(volatile uint64_t *)at != i + 1 ||
			    madvise(at, TABLE_SPAN, MADV_DONTNEED))
				return -EFAULT;
		}
		return 0;
	case 'P':
		return choose(o->n);
	case 'A':
		return give_advice(c->at, c->tables * TABLE_SPAN, o->n);
	case 'R':
		fd = open(DISK, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		/* A little of it may be left in the cache: begin anew. */
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		for (i = 0; i < o->n * 16; i++)
			if (read(fd, buf, sizeof(buf)) != sizeof(buf))
				return -EIO;
		close(fd);
		return 0;
	}
	return -EINVAL;
}

static int start(struct cg_child *c, const char *group, long tables)
{
	int err;

	c->extra = pressure_orders;
	err = cg_child_start(c, group, tables);
	/* It is to be killed, if anybody is, and never this program. */
	return err ?: set_oom_score_adj(c->pid, 1000);
}

static long order(struct cg_child *c, char what, long n)
{
	int err = cg_child_tell(c, what, n);

	return err ?: cg_child_answer(c, KILL_MS);
}

static bool was_killed(struct cg_child *c)
{
	int status = cg_child_status(c, KILL_MS);

	return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Two groups, one in the other, and a limit for both. */
#define setup_group(mode, delay_ms) __setup_group(_metadata, mode, delay_ms)
static void __setup_group(struct __test_metadata *_metadata, long mode, long delay_ms)
{
	ASSERT_TRUE(have_memcg());
	ASSERT_EQ(0, scanner(mode, delay_ms, 65536));
	ASSERT_EQ(0, cg_clear(GROUP));
	ASSERT_EQ(0, cg_make_parent(GROUP));
	ASSERT_EQ(0, cg_make(INNER));
	ASSERT_EQ(0, pt_limit(GROUP, "memory.max", MAX_MB * MiB));
}

#define teardown_group() __teardown_group(_metadata)
static void __teardown_group(struct __test_metadata *_metadata)
{
	if (!machine) {
		EXPECT_EQ(0, cg_clear(GROUP));
	}
	scanner(1, 1000, 16384);
}

FIXTURE(group) { };

FIXTURE_SETUP(group)
{
	if (machine)
		SKIP(return, "only without --machine");
	setup_group(0, 100);
}

FIXTURE_TEARDOWN(group)
{
	teardown_group();
}

/*
 * The known case: one program that gives back each page before it touches the
 * next. On a stock kernel its tables fill the group.
 */
FIXTURE(loop) { };

FIXTURE_VARIANT(loop) {
	long mode, choice;
	int advice;
};

FIXTURE_VARIANT_ADD(loop, mode_0) { .mode = 0 };
FIXTURE_VARIANT_ADD(loop, mode_1) { .mode = 1 };
FIXTURE_VARIANT_ADD(loop, disabled) { .mode = 2, .choice = CHOICE_DISABLE };
FIXTURE_VARIANT_ADD(loop, range_left_alone) { .mode = 0, .advice = ADV_NOFREEPT };

FIXTURE_SETUP(loop)
{
	if (machine)
		SKIP(return, "only without --machine");
	if (expectation == EXPECT_STOCK && (variant->choice || variant->advice || variant->mode))
		SKIP(return, "a stock kernel knows no such settings");
	/* The delay: nothing is to be freed in the background in time. */
	setup_group(variant->mode, 3600000);
}

FIXTURE_TEARDOWN(loop)
{
	teardown_group();
}

TEST_F(loop, lives)
{
	struct cg_child c = { 0 };
	long most = 0, start_ms, took, i;

	ASSERT_EQ(0, start(&c, INNER, TOO_MANY));
	ASSERT_EQ(0, order(&c, 'P', variant->choice) * (expectation != EXPECT_STOCK));
	if (variant->advice) {
		ASSERT_EQ(0, order(&c, 'A', variant->advice));
	}
	start_ms = now_ms();
	if (kills()) {
		ASSERT_EQ(0, cg_child_tell(&c, 'L', TOO_MANY));
		while (is_stock() || memory_event(GROUP, "oom_kill") == 0) {
			long kb = vmpte_kb(c.pid);

			if (kb < 0 || memory_event(GROUP, "oom_kill") > 0)
				break;
			if (kb > most)
				most = kb;
			ASSERT_GT(KILL_MS, now_ms() - start_ms);
			nap_ms(2);
		}
		EXPECT_TRUE(was_killed(&c)) {
			TH_LOG("a kernel that frees no tables has let it live");
		}
		EXPECT_EQ(1, memory_event(GROUP, "oom_kill"));
		TH_LOG("killed with %ld kB of page tables or more", most);
		return;
	}
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, order(&c, 'L', TOO_MANY)) {
			TH_LOG("round %ld: it has not come through", i);
		}
	}
	took = now_ms() - start_ms;
	EXPECT_EQ(0, memory_event(GROUP, "oom_kill"));
	EXPECT_EQ(0, pt_event(GROUP, "oom_kill", false));
	EXPECT_GT(MAX_MB * 1024, vmpte_kb(c.pid));
	TH_LOG("%ld tables in a group of %ld MiB: %ld ms, %ld times at memory.max", 2 * TOO_MANY,
	       MAX_MB, took, memory_event(GROUP, "max"));
	cg_child_end(&c);
}

/*
 * A sleeper has the empties, somebody else needs the memory.
 */
#define sleeper_gives(self, stopped) __sleeper_gives(_metadata, stopped)
static void __sleeper_gives(struct __test_metadata *_metadata, bool stopped)
{
	struct cg_child sleeper = { 0 }, worker = { 0 };
	const long dense = 20;	/* 40 MiB */
	long ret;

	ASSERT_EQ(0, start(&sleeper, INNER, MANY));
	ASSERT_EQ(0, start(&worker, INNER, dense));
	ASSERT_EQ(0, order(&sleeper, 'L', MANY));
	if (stopped) {
		kill(sleeper.pid, SIGSTOP);
		ASSERT_TRUE(wait_state(sleeper.pid, 'T', 5000 * scale));
	}
	ASSERT_LE(MANY * TABLE_KB, vmpte_kb(sleeper.pid));
	ret = order(&worker, 'd', dense);
	if (kills()) {
		EXPECT_TRUE(ret || memory_event(GROUP, "oom_kill") > 0);
		EXPECT_LE(1, memory_event(GROUP, "oom_kill"));
	} else {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(0, memory_event(GROUP, "oom_kill"));
		EXPECT_EQ(stopped ? 'T' : 'S', task_state(sleeper.pid));
		EXPECT_GT(MANY * TABLE_KB * 3 / 4, vmpte_kb(sleeper.pid));
		EXPECT_EQ(0, order(&worker, 'c', dense));
		/* What it gave back is zeroes, and it goes on. */
		if (stopped)
			kill(sleeper.pid, SIGCONT);
		EXPECT_EQ(0, order(&sleeper, 'z', MANY / 10));
	}
	cg_child_end(&sleeper);
	cg_child_end(&worker);
}

TEST_F(group, sleeper_gives_to_another)
{
	sleeper_gives(self, false);
}

TEST_F(group, stopped_one_gives_to_another)
{
	sleeper_gives(self, true);
}

/* Many sleepers with a few each: none of them alone would do. */
TEST_F(group, many_sleepers_give)
{
	struct cg_child sleepers[40] = { 0 }, worker = { 0 };
	const long each = 300, dense = 20;
	size_t i;
	long ret;

	ASSERT_EQ(0, start(&worker, INNER, dense));
	for (i = 0; i < ARRAY_SIZE(sleepers); i++) {
		ASSERT_EQ(0, start(&sleepers[i], INNER, each));
		ASSERT_EQ(0, order(&sleepers[i], 'L', each));
	}
	ret = order(&worker, 'd', dense);
	if (kills()) {
		EXPECT_LE(1, memory_event(GROUP, "oom_kill"));
	} else {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(0, memory_event(GROUP, "oom_kill"));
	}
	for (i = 0; i < ARRAY_SIZE(sleepers); i++)
		cg_child_end(&sleepers[i]);
	cg_child_end(&worker);
}

/* There is no way out but a kill, and it comes in time, whatever was empty before. */
#define dense_dies(empties) __dense_dies(_metadata, empties)
static void __dense_dies(struct __test_metadata *_metadata, long empties)
{
	const long dense = MAX_MB;	/* 128 MiB */
	struct cg_child c = { 0 };
	long start_ms;

	ASSERT_EQ(0, start(&c, INNER, MANY));
	ASSERT_EQ(0, order(&c, 'L', empties));
	start_ms = now_ms();
	EXPECT_EQ(-EPIPE, order(&c, 'd', dense));
	EXPECT_TRUE(was_killed(&c));
	EXPECT_EQ(1, memory_event(GROUP, "oom_kill"));
	TH_LOG("killed after %ld ms", now_ms() - start_ms);
	EXPECT_GT(20000 * scale, now_ms() - start_ms);
}

TEST_F(group, dense_is_killed)
{
	dense_dies(0);
}

TEST_F(group, dense_with_empties_is_killed)
{
	dense_dies(MANY / 2);
}

/*
 * Reclaim that has pages of files to take takes empty tables as well, and does
 * not wait until there is nothing else.
 */
TEST_F(group, page_cache_takes_its_part)
{
	struct cg_child sleeper = { 0 }, reader = { 0 };
	long before;

	if (expectation == EXPECT_STOCK && access(DISK, F_OK))
		SKIP(return, "no ram disk in this kernel");
	ASSERT_EQ(0, start(&sleeper, INNER, MANY));
	ASSERT_EQ(0, start(&reader, INNER, 1));
	ASSERT_EQ(0, order(&sleeper, 'L', MANY));
	before = vmpte_kb(sleeper.pid);
	ASSERT_LE(MANY * TABLE_KB, before);
	ASSERT_EQ(0, order(&reader, 'R', 500));
	EXPECT_EQ(0, memory_event(GROUP, "oom"));
	EXPECT_EQ(0, memory_event(GROUP, "oom_kill"));
	TH_LOG("VmPTE of the sleeper: %ld kB, and %ld kB after 500 MiB were read; %ld times at max",
	       before, vmpte_kb(sleeper.pid), memory_event(GROUP, "max"));
	if (kills()) {
		EXPECT_EQ(before, vmpte_kb(sleeper.pid));
	} else {
		EXPECT_GE(before / 2, vmpte_kb(sleeper.pid));
	}
	cg_child_end(&sleeper);
	cg_child_end(&reader);
}

/*
 * Reclaim has found nothing, several times, and does not look again for a while. Just
 * then tables become empty, and memory is short: before a kill, they are looked for.
 */
TEST_F(group, emptied_after_searches_in_vain)
{
	struct cg_child sleeper = { 0 }, worker = { 0 };
	const long sparse = 5000, dense = 28;	/* 20 MiB of tables, 56 MiB of pages */
	long end, ret;

	ASSERT_EQ(0, start(&sleeper, INNER, sparse));
	ASSERT_EQ(0, start(&worker, INNER, dense));
	ASSERT_EQ(0, order(&sleeper, 'f', sparse));
	for (end = now_ms() + 10000 * scale; now_ms() < end; nap_ms(5))
		cg_write(GROUP, "memory.reclaim", "1M");
	ASSERT_EQ(0, order(&sleeper, 'e', sparse));
	ASSERT_LE(sparse * TABLE_KB, vmpte_kb(sleeper.pid));
	ret = order(&worker, 'd', dense);
	if (kills()) {
		EXPECT_LE(1, memory_event(GROUP, "oom_kill"));
	} else {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(0, memory_event(GROUP, "oom_kill"));
		EXPECT_EQ(0, order(&worker, 'c', dense));
	}
	cg_child_end(&sleeper);
	cg_child_end(&worker);
}

/*
 * What was freed counts as reclaimed: whoever has asked for it is told so. For the
 * whole machine, as the kernel counts nothing but pages of lists in other cgroups.
 */
TEST_F(group, reclaim_counts_them)
{
	struct cg_child sleeper = { 0 };
	long before;

	if (expectation == EXPECT_STOCK)
		SKIP(return, "nothing to reclaim");
	ASSERT_EQ(0, start(&sleeper, INNER, MANY));
	ASSERT_EQ(0, order(&sleeper, 'L', MANY));
	before = vmpte_kb(sleeper.pid);
	ASSERT_LE(MANY * TABLE_KB, before);
	/* Less than what is empty, and more than what else there is in this machine. */
	EXPECT_EQ(kills() ? -EAGAIN : 0, write_text(CG_ROOT "/memory.reclaim", "24M"));
	if (!kills()) {
		EXPECT_GE(before - 8192, vmpte_kb(sleeper.pid));
	}
	TH_LOG("VmPTE of the sleeper: %ld kB, was %ld kB", vmpte_kb(sleeper.pid), before);
	cg_child_end(&sleeper);
}

/* What memory is there in the machine, in MiB? */
static long total_mb(void)
{
	return key_value("/proc/meminfo", "MemTotal") / 1024;
}

/*
 * Whoever is killed for its tables gives them back only when it has exited, and nobody
 * waits for that: where the host is busy, the kernel's next allocation finds no memory
 * and another victim. That is not to be the shell that this runs in, and there has to
 * be somebody, or the machine panics.
 */
#define STANDINS	16

static int shield(pid_t standins[STANDINS])
{
	pid_t pid;
	int i, err;

	for (pid = getpid(); pid > 1; pid = status_kb(pid, "PPid")) {
		err = set_oom_score_adj(pid, -1000);
		if (err)
			return err;
	}
	for (i = 0; i < STANDINS; i++) {
		pid = fork_child();
		if (!pid) {
			for (;;)
				pause();
		}
		if (pid < 0)
			return pid;
		standins[i] = pid;
		err = set_oom_score_adj(pid, 500);
		if (err)
			return err;
	}
	return 0;
}

FIXTURE(whole) {
	long kills;
	pid_t standins[STANDINS];
};

FIXTURE_SETUP(whole)
{
	if (!machine)
		SKIP(return, "only with --machine");
	ASSERT_GE(400, total_mb()) {
		TH_LOG("%ld MiB: the machine is too large for this test", total_mb());
	}
	ASSERT_EQ(0, scanner(0, 100, 65536));
	ASSERT_EQ(0, shield(self->standins));
	self->kills = vmstat("oom_kill");
}

FIXTURE_TEARDOWN(whole)
{
	int i;

	for (i = 0; i < STANDINS; i++) {
		if (self->standins[i] > 0)
			reap(self->standins[i]);
	}
	scanner(1, 1000, 16384);
}

/* One program's empties alone are more than the machine has. */
TEST_F(whole, loop_lives)
{
	const long tables = total_mb() * 256 * 3 / 2;
	struct cg_child c = { 0 };
	long ret, start_ms = now_ms();

	ASSERT_EQ(0, start(&c, NULL, tables));
	ret = order(&c, 'L', tables);
	if (kills()) {
		EXPECT_EQ(-EPIPE, ret);
		EXPECT_TRUE(was_killed(&c));
		EXPECT_LE(self->kills + 1, vmstat("oom_kill"));
		return;
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(self->kills, vmstat("oom_kill"));
	TH_LOG("%ld tables in a machine of %ld MiB: %ld ms", tables, total_mb(),
	       now_ms() - start_ms);
	cg_child_end(&c);
}

/* Half of the machine is empties of a sleeper, another takes two thirds of it. */
TEST_F(whole, sleeper_gives_to_another)
{
	const long empties = total_mb() * 256 / 2, dense = total_mb() * 2 / 3 / 2;
	struct cg_child sleeper = { 0 }, worker = { 0 };
	long ret;

	ASSERT_EQ(0, start(&sleeper, NULL, empties));
	ASSERT_EQ(0, start(&worker, NULL, dense));
	ASSERT_EQ(0, order(&sleeper, 'L', empties));
	ASSERT_LE(empties * TABLE_KB, vmpte_kb(sleeper.pid));
	ret = order(&worker, 'd', dense);
	if (kills()) {
		EXPECT_LE(self->kills + 1, vmstat("oom_kill"));
	} else {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(self->kills, vmstat("oom_kill"));
		EXPECT_EQ(0, order(&worker, 'c', dense));
		EXPECT_EQ('S', task_state(sleeper.pid));
	}
	cg_child_end(&sleeper);
	cg_child_end(&worker);
}

/* kswapd, woken for the page cache, frees some: nobody comes near a kill. */
TEST_F(whole, page_cache_takes_its_part)
{
	const long empties = total_mb() * 256 / 3;
	struct cg_child sleeper = { 0 }, reader = { 0 };
	long before;

	if (expectation == EXPECT_STOCK && access(DISK, F_OK))
		SKIP(return, "no ram disk in this kernel");
	ASSERT_EQ(0, start(&sleeper, NULL, empties));
	ASSERT_EQ(0, start(&reader, NULL, 1));
	ASSERT_EQ(0, order(&sleeper, 'L', empties));
	before = vmpte_kb(sleeper.pid);
	ASSERT_EQ(0, order(&reader, 'R', 500));
	EXPECT_EQ(self->kills, vmstat("oom_kill"));
	if (kills()) {
		EXPECT_EQ(before, vmpte_kb(sleeper.pid));
	} else {
		/* kswapd may have some in hand yet. */
		EXPECT_TRUE(wait_vmpte_below(sleeper.pid, before / 2, CLEAN_MS));
	}
	TH_LOG("VmPTE of the sleeper: %ld kB, and %ld kB after 500 MiB were read", before,
	       vmpte_kb(sleeper.pid));
	cg_child_end(&sleeper);
	cg_child_end(&reader);
}

TEST_F(whole, dense_is_killed)
{
	const long dense = total_mb();	/* twice the memory */
	struct cg_child c = { 0 };
	long start_ms = now_ms();

	ASSERT_EQ(0, start(&c, NULL, dense));
	EXPECT_EQ(-EPIPE, order(&c, 'd', dense));
	EXPECT_TRUE(was_killed(&c));
	EXPECT_EQ(self->kills + 1, vmstat("oom_kill"));
	TH_LOG("killed after %ld ms", now_ms() - start_ms);
}

int main(int argc, char **argv)
{
	int err, i, n = 1;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--machine"))
			machine = true;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	err = common_setup(&n, argv, 0, 100, 65536);
	if (err)
		return err;
	atexit(common_teardown);
	return test_harness_run(n, argv);
}
