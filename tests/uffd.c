// SPDX-License-Identifier: GPL-2.0-only
/*
 * userfaultfd against the scanner. VM migration and CRIU take -EEXIST for "the
 * page is there already" and any other error for the end: a table that vanishes
 * between two looks of the kernel must show in neither, and no page may go
 * into a table that is no longer linked.
 *
 * Workers use slots, each in a range that is registered just before and
 * unregistered right after, so that the scanner, which may pass over armed
 * ranges, frees tables next to and in between the calls.
 */
#include "uffd.h"

#define SLOTS		256L			/* of one table each */
#define LEN		(SLOTS * TABLE_SPAN)
#define WORKERS		2
#define RACE_MS		2500L
#define RACE_ROUNDS	(slow_kernel() ? 25 : 100)	/* and at least so many, */
#define RACE_FREED	50				/* in so many tables freed: */
#define RACE_MS_MAX	(60000L * scale)		/* that takes long on a busy host */
#define RETRY_MS	(5000L * scale)

static char *dst, *src;
static int fd;
static _Atomic bool enough;

/*
 * -EAGAIN is part of the interface (the mmap changes), -EBUSY of UFFDIO_MOVE
 * (the page is in somebody's hands). Neither may last.
 */
#define PERSIST(call) ({					\
	long __end = now_ms() + RETRY_MS;			\
	int __err;						\
								\
	do {							\
		__err = (call);					\
	} while ((__err == -EAGAIN || __err == -EBUSY) && now_ms() < __end);	\
	__err;							\
})

static int unregister(char *at, size_t len)
{
	struct uffdio_range r = { (uintptr_t)at, len };

	return ioctl(fd, UFFDIO_UNREGISTER, &r) ? -errno : 0;
}

struct worker {
	const char *(*round)(struct worker *w, char *to, char *from, uint64_t gen);
	long index;
	_Atomic long rounds;
	unsigned int seed;
	const char *wrong;	/* what went wrong, and with what error */
	int err;
	char page[PAGE] __attribute__((aligned(4096)));
};

#define TRY(w, call, want, what) do {				\
	(w)->err = (call);					\
	if ((w)->err != (want))					\
		return what;					\
} while (0)

/* The range of a round: a whole table, or half of one that stays shared. */
static size_t armed_len(struct worker *w)
{
	return w->rounds & 1 ? TABLE_SPAN : TABLE_SPAN / 2;
}

static const char *copy_round(struct worker *w, char *to, char *from, uint64_t gen)
{
	size_t len = armed_len(w), at = gen % (len / PAGE) * PAGE;

	memcpy(w->page, &gen, sizeof(gen));
	TRY(w, PERSIST(uffd_register(fd, to, len, UFFDIO_REGISTER_MODE_MISSING)), 0, "register");
	TRY(w, PERSIST(uffd_copy(fd, to + at, w->page, 0)), 0, "UFFDIO_COPY into a free slot");
	TRY(w, PERSIST(uffd_copy(fd, to + at, w->page, 0)), -EEXIST, "UFFDIO_COPY over a page");
	TRY(w, *(uint64_t *)(to + at) != gen, 0, "contents after UFFDIO_COPY");
	TRY(w, PERSIST(unregister(to, len)), 0, "unregister");
	TRY(w, *(uint64_t *)(to + at) != gen, 0, "contents, unregistered");
	TRY(w, madvise(to, TABLE_SPAN, MADV_DONTNEED), 0, "MADV_DONTNEED");
	return NULL;
}

static const char *zero_round(struct worker *w, char *to, char *from, uint64_t gen)
{
	size_t len = armed_len(w), at = gen % (len / PAGE) * PAGE;

	TRY(w, PERSIST(uffd_register(fd, to, len, UFFDIO_REGISTER_MODE_MISSING)), 0, "register");
	TRY(w, PERSIST(uffd_zero(fd, to + at, 0)), 0, "UFFDIO_ZEROPAGE into a free slot");
	TRY(w, PERSIST(uffd_zero(fd, to + at, 0)), -EEXIST, "UFFDIO_ZEROPAGE over a page");
	TRY(w, *(uint64_t *)(to + at) != 0, 0, "contents after UFFDIO_ZEROPAGE");
	TRY(w, PERSIST(unregister(to, len)), 0, "unregister");
	*(volatile uint64_t *)(to + at) = gen;
	TRY(w, *(uint64_t *)(to + at) != gen, 0, "contents, unregistered");
	TRY(w, madvise(to, TABLE_SPAN, MADV_DONTNEED), 0, "MADV_DONTNEED");
	return NULL;
}

static const char *move_round(struct worker *w, char *to, char *from, uint64_t gen)
{
	size_t len = armed_len(w), at = gen % (len / PAGE) * PAGE;

	TRY(w, PERSIST(uffd_register(fd, to, len, UFFDIO_REGISTER_MODE_MISSING)), 0, "register");
	*(volatile uint64_t *)(from + at) = gen;
	TRY(w, PERSIST(uffd_move(fd, to + at, from + at, 0)), 0, "UFFDIO_MOVE");
	TRY(w, *(uint64_t *)(to + at) != gen, 0, "contents after UFFDIO_MOVE");
	/* The source is empty now, its table with it, or gone altogether. */
	TRY(w, PERSIST(uffd_move(fd, to + at + PAGE < to + len ? to + at + PAGE : to, from + at,
				 UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES)), 0,
	    "UFFDIO_MOVE of a hole that may be one");
	TRY(w, PERSIST(uffd_move(fd, to + at + PAGE < to + len ? to + at + PAGE : to, from + at,
				 0)), -ENOENT, "UFFDIO_MOVE of a hole");
	TRY(w, *(uint64_t *)(from + at) != 0, 0, "what is left at the source");
	TRY(w, PERSIST(unregister(to, len)), 0, "unregister");
	TRY(w, *(uint64_t *)(to + at) != gen, 0, "contents, unregistered");
	TRY(w, madvise(to, TABLE_SPAN, MADV_DONTNEED), 0, "MADV_DONTNEED");
	TRY(w, madvise(from, TABLE_SPAN, MADV_DONTNEED), 0, "MADV_DONTNEED");
	return NULL;
}

static const char *protect_round(struct worker *w, char *to, char *from, uint64_t gen)
{
	size_t len = armed_len(w), at = gen % (len / PAGE) * PAGE;

	*(volatile uint64_t *)(to + at) = gen;
	TRY(w, PERSIST(uffd_register(fd, to, len, UFFDIO_REGISTER_MODE_WP)), 0, "register");
	TRY(w, PERSIST(uffd_protect(fd, to, len, true)), 0, "UFFDIO_WRITEPROTECT on");
	TRY(w, !(pagemap(0, to + at) & PM_WP), 0, "the page is not write-protected");
	TRY(w, *(uint64_t *)(to + at) != gen, 0, "contents under write protection");
	TRY(w, PERSIST(uffd_protect(fd, to, len, false)), 0, "UFFDIO_WRITEPROTECT off");
	*(volatile uint64_t *)(to + at) = gen + 1;
	TRY(w, PERSIST(unregister(to, len)), 0, "unregister");
	TRY(w, *(uint64_t *)(to + at) != gen + 1, 0, "contents, unregistered");
	TRY(w, madvise(to, TABLE_SPAN, MADV_DONTNEED), 0, "MADV_DONTNEED");
	return NULL;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!enough && !w->wrong) {
		/* Every worker has the tables of its own, in changing order. */
		long slot = rand_r(&w->seed) % (SLOTS / WORKERS) * WORKERS + w->index;

		w->wrong = w->round(w, dst + slot * TABLE_SPAN, src + slot * TABLE_SPAN,
				    ((uint64_t)rand_r(&w->seed) << 8) + 2);
		w->rounds++;
	}
	return NULL;
}

FIXTURE(race) {
	int unused;
};

FIXTURE_VARIANT(race) {
	const char *(*round)(struct worker *w, char *to, char *from, uint64_t gen);
	uint64_t features;
};

FIXTURE_VARIANT_ADD(race, copy) {
	.round = copy_round,
};

FIXTURE_VARIANT_ADD(race, zeropage) {
	.round = zero_round,
};

FIXTURE_VARIANT_ADD(race, move) {
	.round = move_round, .features = UFFD_FEATURE_MOVE,
};

FIXTURE_VARIANT_ADD(race, writeprotect) {
	.round = protect_round, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
};

FIXTURE_SETUP(race)
{
	fd = uffd_open(variant->features);
	if (fd == -EINVAL)
		SKIP(return, "this kernel's userfaultfd cannot do that");
	ASSERT_LE(0, fd) {
		TH_LOG("userfaultfd: %s", strerror(-fd));
	}
	dst = map_anon(LEN);
	src = map_anon(LEN);
	ASSERT_TRUE(dst && src);
}

FIXTURE_TEARDOWN(race)
{
}

TEST_F(race, with_the_scanner)
{
	static struct worker w[WORKERS];
	long freed = vmstat("ptfree"), start, took, rounds;
	pthread_t thread[WORKERS];
	struct measure m;
	int i;

	m = measure_start(0, dst, LEN, SLOTS);
	enough = false;
	for (i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){
			.round = variant->round, .index = i, .seed = i + 1,
		};
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, work, &w[i]));
	}
	start = now_ms();
	do {
		/* A program like this one is left alone after a while: not as long as it is told. */
		if (expectation == EXPECT_FREED)
			scanner(2, 10, SIZE_MAX_MB);
		nap_ms(100);
		took = now_ms() - start;
		rounds = 0;
		for (i = 0; i < WORKERS; i++) {
			rounds += w[i].rounds;
			if (w[i].wrong)
				took = RACE_MS_MAX;
		}
	} while (took < RACE_MS ||
		 (took < RACE_MS_MAX &&
		  (rounds < RACE_ROUNDS || (expectation == EXPECT_FREED &&
					    vmstat("ptfree") - freed < RACE_FREED))));
	enough = true;
	rounds = 0;
	for (i = 0; i < WORKERS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(NULL, w[i].wrong) {
			TH_LOG("%s: %d (%s), round %ld of worker %d", w[i].wrong, w[i].err,
			       w[i].err < 0 ? strerror(-w[i].err) : "", w[i].rounds, i);
		}
		rounds += w[i].rounds;
	}
	EXPECT_LE(RACE_ROUNDS, rounds);
	if (expectation == EXPECT_FREED) {
		freed = vmstat("ptfree") - freed;
		EXPECT_LE(RACE_FREED, freed) {
			TH_LOG("the scanner freed %ld tables meanwhile: there was no race", freed);
		}
		/* All is unregistered and empty: nothing stays (2 stacks are ours). */
		m.start += 2 * WORKERS * TABLE_KB + upper_kb(src, LEN);
		check_floor(&m, 0, 0);
	}
	TH_LOG("%ld rounds, %ld tables freed meanwhile", rounds, freed);
}

/*
 * The same without a race: the slots' tables have been freed, and each way to
 * put a page there makes a new one.
 */
FIXTURE(freed) {
	int unused;
};

FIXTURE_SETUP(freed)
{
	struct measure m;

	fd = uffd_open(UFFD_FEATURE_MOVE);
	if (fd == -EINVAL)
		SKIP(return, "this kernel's userfaultfd cannot move pages");
	ASSERT_LE(0, fd);
	dst = map_anon(LEN);
	src = map_anon(LEN);
	ASSERT_TRUE(dst && src);
	m = measure_start(0, dst, LEN, SLOTS);
	fill(dst, LEN, TABLE_SPAN, 1);
	measure_peak(&m);
	ASSERT_EQ(0, madvise(dst, LEN, MADV_DONTNEED));
	check_floor(&m, 0, m.peak);
	ASSERT_EQ(0, uffd_register(fd, dst, LEN, UFFDIO_REGISTER_MODE_MISSING));
}

FIXTURE_TEARDOWN(freed)
{
}

TEST_F(freed, copy)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	long i;

	for (i = 0; i < SLOTS; i++) {
		*(uint64_t *)page = i + 1;
		ASSERT_EQ(0, PERSIST(uffd_copy(fd, dst + i * TABLE_SPAN, page, 0)));
	}
	for (i = 0; i < SLOTS; i++) {
		EXPECT_EQ((uint64_t)i + 1, *(uint64_t *)(dst + i * TABLE_SPAN));
	}
}

TEST_F(freed, zeropage)
{
	long i;

	for (i = 0; i < SLOTS; i++) {
		ASSERT_EQ(0, PERSIST(uffd_zero(fd, dst + i * TABLE_SPAN, 0)));
	}
	EXPECT_EQ(0, not_zero(dst, LEN, TABLE_SPAN));
}

TEST_F(freed, move_in)
{
	fill(src, LEN, TABLE_SPAN, 1);
	for (long i = 0; i < SLOTS; i++) {
		char *from = src + i * TABLE_SPAN, *to = dst + i * TABLE_SPAN;

		ASSERT_EQ(0, PERSIST(uffd_move(fd, to, from, 0)));
		ASSERT_EQ(mark_of(from, 1), *(uint64_t *)to);
	}
	/* Nothing to be lost on the way out of what moves left behind. */
	scanner_passes(1);
	for (long i = 0; i < SLOTS; i++) {
		EXPECT_EQ(mark_of(src + i * TABLE_SPAN, 1), *(uint64_t *)(dst + i * TABLE_SPAN));
	}
	EXPECT_EQ(0, not_zero(src, LEN, TABLE_SPAN));
}

PTFREE_TEST_MAIN(2, 10, SIZE_MAX_MB)
