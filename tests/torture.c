// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that a process can do to its page tables, by threads and other
 * processes at once, on the same tables, against a scanner that never rests.
 * Every page that lives carries its address and a generation and is checked
 * over and over; see torture.h for how it is known what must be where.
 *
 *	torture [--seconds N] [--seed S] [--min N]
 *
 * The seed fixes the operations that each worker chooses, in their order.
 * An operation that was done fewer than --min times is a failure: a run that
 * tortured nothing proves nothing. On a slow or busy machine the run goes on for
 * up to eight times N seconds until each was done so often.
 */
#include "torture_ops.h"

#define THREADS		4
#define PROCESSES	2
#define WORKERS		(THREADS + PROCESSES)

static void *work(void *arg)
{
	struct worker *w = arg;
	int total = 0;
	size_t op;

	for (op = 0; op < ARRAY_SIZE(ops); op++)
		total += w->process && !ops[op].process ? 0 : ops[op].weight;
	while (!atomic_load(&shared->stop)) {
		int at = (rnd(&w->choice) >> 16) % total;

		for (op = 0; op < ARRAY_SIZE(ops); op++) {
			if (w->process && !ops[op].process)
				continue;
			at -= ops[op].weight;
			if (at < 0)
				break;
		}
		atomic_store(&shared->worker[w->index].op, op);
		atomic_fetch_add(&shared->worker[w->index].beat, 1);
		if (ops[op].fn(w) == DONE)
			atomic_fetch_add(&shared->count[op], 1);
		/* Few operations are theirs: do not take the CPUs from the threads. */
		if (w->process)
			nap_ms(1 + dice(w, 4));
	}
	return NULL;
}

/* Setting up */

static bool make_regions(void)
{
	int i;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (shared == MAP_FAILED)
		return false;
	for (i = 0; i < REGIONS; i++) {
		struct region *r = &region[i];
		size_t len = r->cells * r->cell;

		r->stride = r->cell / SLOTS;
		r->cell_of = shared->cells[i];
		r->fd = i == SHARED || i == FILE_CUT ? make_memfd(len) : -1;
		r->at = r->fd < 0 ? map_anon(len) :
			map_at(reserve(len), len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
		if (!r->at)
			return false;
		madvise(r->at, len, i == HUGE_PAGES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	}
	return true;
}

static struct worker *make_worker(int index, uint64_t seed)
{
	struct worker *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (w == MAP_FAILED || pipe(w->pipe))
		return NULL;
	w->index = index;
	w->process = index >= THREADS;
	w->choice = (seed + 1) * 0x9e3779b97f4a7c15ULL + index * 0xbf58476d1ce4e5b9ULL;
	w->dice = w->choice ^ 0x94d049bb133111ebULL;
	/* Generations of different workers do not meet. */
	w->gen = (index + 1) << 24;
	/* Mapped for good: nothing else may end up between two moves. */
	w->room = map_at(reserve(TABLE_SPAN), TABLE_SPAN, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return w->room ? w : NULL;
}

static bool all_done(long min)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (atomic_load(&shared->count[i]) < min &&
		    (uffd >= 0 || strncmp(ops[i].name, "uffd", 4)))
			return false;
	return true;
}

/* Wait for the end, say now and then how it goes, notice who is stuck. */
static void watch(long seconds, uint64_t seed, long min)
{
	long start = now_ms(), said = start, beat[WORKERS] = { 0 }, when[WORKERS];
	long end = start + seconds * 1000, last = start + seconds * 8000, told = 0;
	int i;

	for (i = 0; i < WORKERS; i++)
		when[i] = start;
	while (!atomic_load(&shared->stop) && now_ms() < last &&
	       (now_ms() < end || !all_done(min))) {
		nap_ms(100);
		/* It would leave us alone, as what it frees comes back: told anew, it does not. */
		if (!(++told % 10))
			scanner(2, 10, SIZE_MAX_MB);
		for (i = 0; i < WORKERS; i++) {
			long b = atomic_load(&shared->worker[i].beat);

			if (b != beat[i]) {
				beat[i] = b;
				when[i] = now_ms();
			} else if (now_ms() > when[i] + 60000 * scale) {
				int op = atomic_load(&shared->worker[i].op);

				printf("Bail out! worker %d has been in %s for %ld s, seed %lu\n",
				       i, ops[op].name, 60 * scale, seed);
				_exit(1);
			}
		}
		if (now_ms() > said + 10000) {
			long total = 0;

			said = now_ms();
			for (i = 0; i < WORKERS; i++)
				total += beat[i];
			printf("# %ld s: %ld operations, ptfree %ld\n", (said - start) / 1000,
			       total, vmstat("ptfree"));
		}
	}
	atomic_store(&shared->stop, true);
}

static void option(int argc, char **argv, const char *name, long *value)
{
	int i;

	for (i = 1; i < argc - 1; i++)
		if (!strcmp(argv[i], name))
			*value = strtol(argv[i + 1], NULL, 0);
}

int main(int argc, char **argv)
{
	static const char thp[] = "madvise";
	long seconds = 20, seed = 1, min = 100, freed, start, floor, i, j;
	struct worker *worker[WORKERS];
	pthread_t thread[THREADS];
	pid_t pid[PROCESSES];
	int status, err;

	err = common_setup(&argc, argv, 2, 10, SIZE_MAX_MB);
	if (err)
		return err;
	option(argc, argv, "--seconds", &seconds);
	option(argc, argv, "--seed", &seed);
	option(argc, argv, "--min", &min);
	thp_set(thp);
	thp_allow(true);
	if (!make_regions())
		return bail("cannot map the regions: %s", strerror(errno));
	uffd = uffd_open(UFFD_FEATURE_MOVE);
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(ops) + 4);
	printf("# seed %ld, %ld s, %d threads, %d processes, scanner every 10 ms\n", seed, seconds,
	       THREADS, PROCESSES);
	fflush(stdout);
	for (i = 0; i < WORKERS; i++) {
		worker[i] = make_worker(i, seed);
		if (!worker[i])
			return bail("cannot make a worker: %s", strerror(errno));
	}
	freed = vmstat("ptfree");
	/* What we have before there is anything, and a stack for each thread */
	start = vmpte_kb(0) + 2 * THREADS * TABLE_KB;
	for (i = 0; i < PROCESSES; i++) {
		pid[i] = fork_child();
		if (!pid[i]) {
			work(worker[THREADS + i]);
			_exit(0);
		}
	}
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, work, worker[i]))
			return bail("cannot start a thread");
	watch(seconds, seed, min);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	/* All that is left, once more: what got lost and was never looked at again. */
	for (err = 0, i = 0; i < PROCESSES; i++)
		err += waitpid(pid[i], &status, 0) != pid[i] || status;
	for (i = 0; i < REGIONS; i++)
		for (j = 0; j < region[i].cells; j++)
			if (!region[i].cell_of[j].absent && i != SOURCE)
				check(worker[0], &region[i], j);
	ksft_test_result(!atomic_load(&shared->failed), "every page is what it must be\n");
	if (atomic_load(&shared->failed))
		printf("# %s; seed %ld reproduces the choice of operations\n",
		       shared->failure, seed);
	ksft_test_result(!err, "worker processes ended well\n");

	/* An operation that was not done is not tested, on the lean side of luck. */
	for (i = 0; i < (long)ARRAY_SIZE(ops); i++) {
		long n = atomic_load(&shared->count[i]);

		if (uffd < 0 && !strncmp(ops[i].name, "uffd", 4))
			ksft_test_result_skip("%s: this kernel cannot UFFDIO_MOVE\n", ops[i].name);
		else
			ksft_test_result(n >= min, "%s: %ld times, at least %ld\n",
					 ops[i].name, n, min);
	}
	if (atomic_load(&shared->failed) || expectation != EXPECT_FREED) {
		ksft_test_result_skip("the floor: nothing to be measured\n");
		ksft_test_result_skip("ptfree: nothing to be measured\n");
		ksft_exit(!ksft_get_fail_cnt());
	}
	freed = vmstat("ptfree") - freed;
	ksft_test_result(freed > 1000, "ptfree grew by %ld, more than 1000\n", freed);
	for (floor = start, i = 0; i < REGIONS; i++) {
		madvise(region[i].at, region[i].cells * region[i].cell, MADV_DONTNEED);
		floor += upper_kb(region[i].at, region[i].cells * region[i].cell);
	}
	for (i = 0; i < THREADS; i++)
		floor += upper_kb(worker[i]->room, TABLE_SPAN);
	i = wait_vmpte_below(0, floor, CLEAN_MS);
	ksft_test_result(i, "VmPTE %ld kB at the end, floor %ld kB\n", vmpte_kb(0), floor);
	common_teardown();
	ksft_exit(!ksft_get_fail_cnt());
}
