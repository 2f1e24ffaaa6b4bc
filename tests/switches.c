// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process can ask for: prctl(PR_SET_FREEPT), madvise(MADV_FREEPT) and
 * MADV_NOFREEPT. What they lead to is in whowins.c, MADV_PT_RECLAIM in
 * ptreclaim.c.
 *
 * --expect-off: with freept=off all of this is accepted, as limits are.
 * --expect-stock: none of it is known.
 */
#include "switches.h"
#include "uring.h"

#define TABLES	16L
#define LEN	(TABLES * TABLE_SPAN)

/* Run again by a test: say what was inherited. */
#define TELL	"--tell-choice"
#define TOLD	10

static const unsigned long choices[] = { CHOICE_DEFAULT, CHOICE_ENABLE, CHOICE_DISABLE };

static int exit_code(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void tell_by_exec(void)
{
	execl("/proc/self/exe", "switches", TELL, NULL);
	_exit(99);
}

TEST(stock_knows_nothing)
{
	char *at = map_anon(LEN);
	int advice;

	if (expectation != EXPECT_STOCK)
		SKIP(return, "this is not a stock kernel");
	EXPECT_EQ(-EINVAL, choose(CHOICE_ENABLE));
	EXPECT_EQ(-EINVAL, chosen());
	for (advice = ADV_FREEPT; advice <= ADV_PT_RECLAIM; advice++) {
		EXPECT_EQ(-EINVAL, give_advice(at, LEN, advice));
	}
}

/* prctl() */

FIXTURE(choice) { };
FIXTURE_SETUP(choice)
{
	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no PR_SET_FREEPT");
	ASSERT_EQ(0, choose(CHOICE_DEFAULT));
}
FIXTURE_TEARDOWN(choice) { }

TEST_F(choice, is_kept)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(choices); i++) {
		EXPECT_EQ(0, choose(choices[i]));
		EXPECT_EQ((int)choices[i], chosen());
	}
	for (i = ARRAY_SIZE(choices); i-- > 0; ) {
		EXPECT_EQ(0, choose(choices[i]));
		EXPECT_EQ((int)choices[i], chosen());
	}
}

TEST_F(choice, unknown_ones_are_refused)
{
	const unsigned long bad[] = {
		3, 4, 127, 255, 256, 257, -1UL, -2UL, 1UL << 31, 1UL << 32, (1UL << 32) + 1,
		(1UL << 63) + 2,
	};
	size_t i, j;

	for (j = 0; j < ARRAY_SIZE(choices); j++) {
		ASSERT_EQ(0, choose(choices[j]));
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-EINVAL, choose(bad[i])) {
				TH_LOG("%#lx was taken", bad[i]);
			}
			EXPECT_EQ((int)choices[j], chosen());
		}
	}
}

TEST_F(choice, unused_arguments_must_be_zero)
{
	const unsigned long some[] = { 1, 2, -1UL, 1UL << 32 };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(some); i++) {
		for (j = 0; j < ARRAY_SIZE(choices); j++) {
			EXPECT_EQ(-1, prctl(SET_FREEPT, choices[j], some[i], 0UL, 0UL));
			EXPECT_EQ(EINVAL, errno);
			EXPECT_EQ(-1, prctl(SET_FREEPT, choices[j], 0UL, some[i], 0UL));
			EXPECT_EQ(EINVAL, errno);
			EXPECT_EQ(-1, prctl(SET_FREEPT, choices[j], 0UL, 0UL, some[i]));
			EXPECT_EQ(EINVAL, errno);
			EXPECT_EQ((int)CHOICE_DEFAULT, chosen());
		}
		EXPECT_EQ(-1, prctl(GET_FREEPT, some[i], 0UL, 0UL, 0UL));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, prctl(GET_FREEPT, 0UL, some[i], 0UL, 0UL));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, prctl(GET_FREEPT, 0UL, 0UL, some[i], 0UL));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, prctl(GET_FREEPT, 0UL, 0UL, 0UL, some[i]));
		EXPECT_EQ(EINVAL, errno);
	}
}

TEST_F(choice, is_kept_over_fork)
{
	size_t i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(choices); i++) {
		ASSERT_EQ(0, choose(choices[i]));
		pid = fork_child();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(TOLD + chosen());
		EXPECT_EQ(TOLD + (int)choices[i], exit_code(pid));
	}
}

/* By way of fork, exec, vfork and exec, and a chain of both. */
TEST_F(choice, is_kept_over_exec)
{
	size_t i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(choices); i++) {
		ASSERT_EQ(0, choose(choices[i]));
		pid = fork_child();
		ASSERT_LE(0, pid);
		if (!pid)
			tell_by_exec();
		EXPECT_EQ(TOLD + (int)choices[i], exit_code(pid));

		pid = vfork();
		if (!pid)
			tell_by_exec();
		EXPECT_EQ(TOLD + (int)choices[i], exit_code(pid));

		/* As a service manager would: not for itself, for the program. */
		ASSERT_EQ(0, choose(CHOICE_DEFAULT));
		pid = fork_child();
		if (!pid) {
			if (choose(choices[i]))
				_exit(98);
			tell_by_exec();
		}
		EXPECT_EQ(TOLD + (int)choices[i], exit_code(pid));
		EXPECT_EQ((int)CHOICE_DEFAULT, chosen());
	}
}

/* The program that is run may be another user's, the choice is the caller's. */
TEST_F(choice, needs_no_privilege)
{
	pid_t pid = fork_child();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (setgid(65534) || setuid(65534) || choose(CHOICE_DISABLE) || chosen() != 2)
			_exit(97);
		_exit(0);
	}
	EXPECT_EQ(0, exit_code(pid));
	EXPECT_EQ((int)CHOICE_DEFAULT, chosen());
}

static void *choose_in_thread(void *choice)
{
	return (void *)(long)choose((unsigned long)choice);
}

/* It belongs to the mm: all threads have one, and so has who shares it. */
TEST_F(choice, is_of_the_whole_process)
{
	volatile int seen = -1;
	pthread_t thread;
	void *ret;
	pid_t pid;

	ASSERT_EQ(0, pthread_create(&thread, NULL, choose_in_thread, (void *)CHOICE_ENABLE));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ((int)CHOICE_ENABLE, chosen());

	pid = vfork();
	if (!pid) {
		seen = chosen();
		choose(CHOICE_DISABLE);
		_exit(0);
	}
	exit_code(pid);
	EXPECT_EQ((int)CHOICE_ENABLE, seen);
	EXPECT_EQ((int)CHOICE_DISABLE, chosen());
}

TEST_F(choice, of_a_child_is_its_own)
{
	pid_t pid;

	ASSERT_EQ(0, choose(CHOICE_ENABLE));
	pid = fork_child();
	if (!pid)
		_exit(choose(CHOICE_DISABLE) || chosen() != (int)CHOICE_DISABLE);
	EXPECT_EQ(0, exit_code(pid));
	EXPECT_EQ((int)CHOICE_ENABLE, chosen());
}

/* madvise(): what is kept with the mapping */

FIXTURE(hint) {
	char *at;
};

FIXTURE_VARIANT(hint) {
	int advice, other;
	const char *flag, *other_flag;
};

FIXTURE_VARIANT_ADD(hint, freept) {
	.advice = ADV_FREEPT, .other = ADV_NOFREEPT, .flag = "fp", .other_flag = "nf",
};

FIXTURE_VARIANT_ADD(hint, nofreept) {
	.advice = ADV_NOFREEPT, .other = ADV_FREEPT, .flag = "nf", .other_flag = "fp",
};

FIXTURE_SETUP(hint)
{
	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no MADV_FREEPT");
	self->at = map_anon(LEN);
	ASSERT_NE(NULL, self->at);
}

FIXTURE_TEARDOWN(hint) { }

TEST_F(hint, shows_in_smaps)
{
	EXPECT_TRUE(none_has(0, self->at, LEN, variant->flag, 1));
	EXPECT_EQ(0, give_advice(self->at, LEN, variant->advice));
	EXPECT_TRUE(all_have(0, self->at, LEN, variant->flag, 1));
	EXPECT_TRUE(none_has(0, self->at, LEN, variant->other_flag, 1));
	/* Twice is once, and the other one takes its place. */
	EXPECT_EQ(0, give_advice(self->at, LEN, variant->advice));
	EXPECT_TRUE(all_have(0, self->at, LEN, variant->flag, 1));
	EXPECT_EQ(0, give_advice(self->at, LEN, variant->other));
	EXPECT_TRUE(all_have(0, self->at, LEN, variant->other_flag, 1));
	EXPECT_TRUE(none_has(0, self->at, LEN, variant->flag, 1));
}

TEST_F(hint, splits_and_merges)
{
	char *mid = self->at + 5 * TABLE_SPAN + 3 * PAGE;
	const size_t part = 4 * TABLE_SPAN + PAGE;

	ASSERT_EQ(0, give_advice(mid, part, variant->advice));
	EXPECT_TRUE(all_have(0, mid, part, variant->flag, 1));
	EXPECT_TRUE(none_has(0, self->at, mid - self->at, variant->flag, 1));
	EXPECT_TRUE(none_has(0, mid + part, self->at + LEN - mid - part, variant->flag, 1));
	/* One page further: the neighbour gives it. */
	ASSERT_EQ(0, give_advice(mid + part, PAGE, variant->advice));
	EXPECT_TRUE(all_have(0, mid, part + PAGE, variant->flag, 1));
	/* In the middle of it the other one: five mappings. */
	ASSERT_EQ(0, give_advice(mid + PAGE, PAGE, variant->other));
	EXPECT_TRUE(none_has(0, mid + PAGE, PAGE, variant->flag, 1));
	EXPECT_TRUE(all_have(0, mid + PAGE, PAGE, variant->other_flag, 1));
	ASSERT_EQ(0, give_advice(mid + PAGE, PAGE, variant->advice));
	EXPECT_TRUE(all_have(0, mid, part + PAGE, variant->flag, 1));
	ASSERT_EQ(0, give_advice(self->at, LEN, variant->advice));
	EXPECT_TRUE(all_have(0, self->at, LEN, variant->flag, 1));
}

/* A mapping that has the hint and one that has not are not made one. */
TEST_F(hint, keeps_neighbours_apart)
{
	char *at = reserve(2 * LEN);

	ASSERT_NE(NULL, map_at(at, LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	ASSERT_EQ(0, give_advice(at, LEN, variant->advice));
	ASSERT_NE(NULL, map_at(at + LEN, LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 1));
	EXPECT_TRUE(none_has(0, at + LEN, LEN, variant->flag, 1));
}

TEST_F(hint, survives_what_changes_a_mapping)
{
	char *at = self->at, *to = reserve(2 * LEN);
	long vmas, with;

	ASSERT_EQ(0, give_advice(at, LEN, variant->advice));
	ASSERT_EQ(0, mprotect(at + TABLE_SPAN, TABLE_SPAN, PROT_READ));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 3));
	ASSERT_EQ(0, mprotect(at + TABLE_SPAN, TABLE_SPAN, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 1));
	ASSERT_EQ(0, munmap(at + TABLE_SPAN, PAGE));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 2));
	ASSERT_EQ(0, mlock(at, TABLE_SPAN / 2));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 3));
	/* One half has pages and the other none: whether they are made one is another matter. */
	ASSERT_EQ(0, munlock(at, TABLE_SPAN / 2));
	EXPECT_EQ(vmas = count_vmas(0, at, LEN, variant->flag, &with), with);
	ASSERT_EQ(0, give_advice(at, TABLE_SPAN, MADV_DONTNEED));
	ASSERT_EQ(0, give_advice(at, TABLE_SPAN, MADV_NOHUGEPAGE));
	EXPECT_EQ(vmas = count_vmas(0, at, TABLE_SPAN, variant->flag, &with), with);
	EXPECT_LT(0, vmas);

	/* Moved, made larger, and moved with the old place kept. */
	at += 2 * TABLE_SPAN;
	fill(at, 4 * TABLE_SPAN, PAGE * 64, 1);
	ASSERT_EQ(to, mremap(at, 4 * TABLE_SPAN, 8 * TABLE_SPAN, MREMAP_MAYMOVE | MREMAP_FIXED,
			     to));
	EXPECT_TRUE(all_have(0, to, 8 * TABLE_SPAN, variant->flag, 1));
	ASSERT_EQ(to + LEN, mremap(to, 8 * TABLE_SPAN, 8 * TABLE_SPAN,
				   MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to + LEN));
	EXPECT_TRUE(all_have(0, to + LEN, 8 * TABLE_SPAN, variant->flag, 1));
	EXPECT_TRUE(all_have(0, to, 8 * TABLE_SPAN, variant->flag, 1));
}

TEST_F(hint, survives_fork)
{
	const size_t half = LEN / 2;
	pid_t pid;

	ASSERT_EQ(0, give_advice(self->at, half, variant->advice));
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (!all_have(0, self->at, half, variant->flag, 1) ||
		    !none_has(0, self->at + half, half, variant->flag, 1))
			_exit(1);
		/* And the child's change is its own. */
		_exit(give_advice(self->at, half, variant->other) ? 2 : 0);
	}
	EXPECT_EQ(0, exit_code(pid));
	EXPECT_TRUE(all_have(0, self->at, half, variant->flag, 1));
}

TEST_F(hint, of_files_and_shared_memory)
{
	int fd = make_memfd(LEN), flags[] = { MAP_SHARED, MAP_PRIVATE };
	size_t i;
	char *at;

	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		at = map_at(reserve(LEN), LEN, PROT_READ | PROT_WRITE, flags[i], fd, 0);
		ASSERT_NE(NULL, at);
		EXPECT_EQ(0, give_advice(at, LEN, variant->advice));
		EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 1));
	}
	at = map_at(reserve(LEN), LEN, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(0, give_advice(at, LEN, variant->advice));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 1));
}

TEST_F(hint, bad_ranges)
{
	char *at = self->at;

	EXPECT_EQ(-EINVAL, give_advice(at + 1, LEN, variant->advice));
	EXPECT_EQ(-EINVAL, give_advice(at + PAGE / 2, PAGE, variant->advice));
	EXPECT_EQ(-EINVAL, give_advice(at, -PAGE, variant->advice));
	EXPECT_TRUE(none_has(0, at, LEN, variant->flag, 1));
	EXPECT_EQ(0, give_advice(at, 0, variant->advice));
	EXPECT_TRUE(none_has(0, at, LEN, variant->flag, 1));
	/* A length is rounded up, as for any other advice. */
	EXPECT_EQ(0, give_advice(at, 1, variant->advice));
	EXPECT_TRUE(all_have(0, at, PAGE, variant->flag, 1));
	EXPECT_TRUE(none_has(0, at + PAGE, LEN - PAGE, variant->flag, 1));
}

TEST_F(hint, holes)
{
	char *at = self->at;

	ASSERT_EQ(0, munmap(at + 4 * TABLE_SPAN, TABLE_SPAN));
	EXPECT_EQ(-ENOMEM, give_advice(at, LEN, variant->advice));
	/* What is mapped has it, on both sides. */
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 2));
	EXPECT_EQ(-ENOMEM, give_advice(at + 4 * TABLE_SPAN, TABLE_SPAN, variant->other));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 2));
}

/* Only for oneself: it is no advice that process_madvise() takes. */
TEST_F(hint, not_for_others)
{
	pid_t pid = fork_child();

	if (!pid)
		for (;;)
			pause();
	EXPECT_EQ(-EINVAL, advise_process(pid, self->at, LEN, variant->advice));
	EXPECT_TRUE(none_has(pid, self->at, LEN, variant->flag, 1));
	reap(pid);
}

#define refused(at, len) __refused(_metadata, variant, at, len, #at)
static void __refused(struct __test_metadata *_metadata, const FIXTURE_VARIANT(hint) *variant,
		      char *at, size_t len, const char *what)
{
	EXPECT_EQ(-EINVAL, give_advice(at, len, variant->advice)) {
		TH_LOG("%s: a hint was taken for tables that are never freed", what);
	}
	EXPECT_TRUE(none_has(0, at, len, variant->flag, 1));
}

TEST_F(hint, refused_for_hugetlb)
{
	char *hugetlb = mmap(NULL, 4 * MiB, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, hugetlb);
	refused(hugetlb, 4 * MiB);
}

TEST_F(hint, refused_for_devices)
{
	int mem = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	struct uring ring;
	char *pfnmap;

	/* VM_IO and VM_PFNMAP: the BIOS. */
	ASSERT_LE(0, mem);
	pfnmap = mmap(NULL, 16 * PAGE, PROT_READ, MAP_SHARED, mem, 0xf0000);
	ASSERT_NE(MAP_FAILED, pfnmap);
	refused(pfnmap, 16 * PAGE);

	/* VM_MIXEDMAP: pages that a driver puts in one by one. */
	ASSERT_EQ(0, uring_open(&ring));
	ASSERT_TRUE(all_have(0, ring.sq, PAGE, "mm", 1));
	refused(ring.sq, PAGE);
}

/* The part before a mapping that is refused has it, as with any other advice. */
TEST_F(hint, stops_at_what_is_refused)
{
	char *at = reserve(LEN + 4 * MiB);

	ASSERT_NE(NULL, map_at(at, LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	ASSERT_NE(NULL, map_at(at + LEN, 4 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			       MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0));
	EXPECT_EQ(-EINVAL, give_advice(at, LEN + 4 * MiB, variant->advice));
	EXPECT_TRUE(all_have(0, at, LEN, variant->flag, 1));
}

TEST(unknown_advice)
{
	char *at = map_anon(LEN);
	int advice[] = { ADV_FREEPT - 1, ADV_PT_RECLAIM + 1 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		EXPECT_EQ(-EINVAL, give_advice(at, LEN, advice[i]));
	}
}

int main(int argc, char **argv)
{
	int err;

	if (argc == 2 && !strcmp(argv[1], TELL))
		return TOLD + chosen();
	err = common_setup(&argc, argv, -1, 0, 0);
	return err ?: test_harness_run(argc, argv);
}
