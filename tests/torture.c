// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that a process can do to its page tables, by threads and other
 * processes at once, on the same tables, against a scanner that never rests, and
 * against others who ask for the same. Every page that lives carries its address
 * and a generation and is checked over and over; see torture.h for how it is known
 * what must be where, and torture_list.h for what is done.
 *
 *	torture [--seconds N] [--seed S] [--min N] [--delay US] [--only OP,OP...]
 *		[--dear N] [--lacks WHAT,WHAT...] [--faults]
 *
 * The seed fixes the operations that each worker chooses, in their order, as long
 * as the time is not over. An operation that was done fewer than --min times is a
 * failure: a run that tortured nothing proves nothing. So is a race window that
 * was entered as seldom, on a kernel that counts them (CONFIG_FREEPT_DEBUG); there
 * one in 16 stays is prolonged by --delay microseconds at the most. On a slow or
 * busy machine the run goes on with what was done too seldom, for up to ten
 * times N seconds.
 *
 * --dear: as --min, for operations that take longest.
 * --lacks: what is left out if the kernel or the machine has not got it; without that,
 * it is a failure. The words are those of torture_list.h, kmemleak and CONFIG_FREEPT_DEBUG.
 * --faults: allocations of the tortured processes fail, at random; see tests/full/faults.t.
 */
#include "torture_list.h"
#include "torture_watch.h"

static void draw(struct worker *w, int *weight, int *total, long min)
{
	bool late = atomic_load(&shared->late);
	size_t op;

	*total = 0;
	for (op = 0; op < ARRAY_SIZE(ops); op++) {
		weight[op] = 0;
		if (shared->can[op] && ops[op].who & (w->process ? PROCESS : THREAD) &&
		    (!late || atomic_load(&shared->count[op]) < least(op, min)))
			weight[op] = ops[op].weight;
		/* What threads do as well, they do: of processes there are few. */
		if (w->process && ops[op].who & THREAD)
			weight[op] = late ? 0 : (weight[op] + 3) / 4;
		*total += weight[op];
	}
}

static void work(struct worker *w, long min)
{
	int weight[ARRAY_SIZE(ops)], total, at;
	bool late, few = false;		/* only those that were too seldom are drawn */
	enum outcome outcome;
	long begin;
	size_t op;

	draw(w, weight, &total, min);
	while (!atomic_load(&shared->stop)) {
		late = atomic_load(&shared->late);
		if (late || few)
			draw(w, weight, &total, min);
		few = late;
		if (!total) {
			nap_ms(10);
			atomic_fetch_add(&shared->worker[w->index].beat, 1);
			continue;
		}
		at = (rnd(&w->choice) >> 16) % total;
		for (op = 0; at >= weight[op]; op++)
			at -= weight[op];
		atomic_store(&shared->worker[w->index].op, op);
		atomic_fetch_add(&shared->worker[w->index].beat, 1);
		begin = now_ms();
		outcome = ops[op].fn(w);
		if (outcome == DONE)
			atomic_fetch_add(&shared->count[op], 1);
		atomic_fetch_add(&shared->ms[op], now_ms() - begin);
		/* Do not take the CPUs from the threads, nor from who holds what it takes. */
		if (w->process || outcome == NOT_NOW)
			nap_ms(1 + dice(w, 4));
	}
}

struct job {
	struct worker *worker;
	long min;
};

static void *thread_main(void *arg)
{
	struct job *job = arg;

	work(job->worker, job->min);
	return NULL;
}

/* Setting up: all in the process that is tortured */

static bool make_regions(void)
{
	int i;

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
		/* The shared one gets huge pages where they are asked for. */
		if (i != SHARED)
			madvise(r->at, len, i == HUGE_PAGES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		if (r->same)
			madvise(r->at, len, MADV_MERGEABLE);
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
	w->file = make_memfd(PAGE);
	if (!w->process && can_uring() && uring_open(&w->ring))
		return NULL;
	/* Mapped for good: nothing else may end up between two moves. */
	w->room = map_at(reserve(TABLE_SPAN), TABLE_SPAN, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return w->room ? w : NULL;
}

/* Empty all there is: no more page tables than with nothing in them? */
static void measure_floor(struct worker **worker, long start)
{
	long i;

	shared->floor = start;
	for (i = 0; i < REGIONS; i++) {
		madvise(region[i].at, region[i].cells * region[i].cell, MADV_DONTNEED);
		shared->floor += upper_kb(region[i].at, region[i].cells * region[i].cell);
	}
	for (i = 0; i < THREADS; i++)
		shared->floor += upper_kb(worker[i]->room, TABLE_SPAN);
	wait_vmpte_below(0, shared->floor, CLEAN_MS);
	shared->vmpte = vmpte_kb(0);
}

/* The process that is tortured */
static int body(uint64_t seed, long min)
{
	struct worker *worker[WORKERS];
	pthread_t thread[THREADS];
	struct job job[THREADS];
	pid_t pid[PROCESSES];
	long start, i, j;
	int status, err = 0;
	size_t op;

	shared->pid = getpid();
	cg_enter(GROUP "/a", 0);
	if (!make_regions())
		return say_failure("cannot map the regions: %s", strerror(errno));
	uffd = uffd_open(UFFD_FEATURE_MOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	for (op = 0; op < ARRAY_SIZE(ops); op++)
		shared->can[op] = shared->can[op] && (!ops[op].can || ops[op].can());
	for (i = 0; i < WORKERS; i++) {
		worker[i] = make_worker(i, seed);
		if (!worker[i])
			return say_failure("cannot make a worker: %s", strerror(errno));
	}
	/* What we have before there is anything, and a stack for each thread */
	start = vmpte_kb(0) + 2 * THREADS * TABLE_KB;
	if (faults && write_text("/proc/self/make-it-fail", "1"))
		return say_failure("this kernel has no CONFIG_FAULT_INJECTION");
	for (i = 0; i < PROCESSES; i++) {
		TRIED((pid[i] = fork_child()) < 0);
		if (!pid[i]) {
			work(worker[THREADS + i], min);
			_exit(0);
		}
	}
	for (i = 0; i < THREADS; i++) {
		job[i] = (struct job){ worker[i], min };
		if (TRIED((errno = pthread_create(&thread[i], NULL, thread_main, &job[i]))))
			return say_failure("cannot start a thread: %s", strerror(errno));
	}
	atomic_store(&shared->ready, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	/* All that is left, once more: what got lost and was never looked at again. */
	for (i = 0; i < PROCESSES; i++)
		err += waitpid(pid[i], &status, 0) != pid[i] || status;
	if (faults)
		write_text("/proc/self/make-it-fail", "0");
	if (err)
		return say_failure("a worker process ended with status %#x", status);
	for (i = 0; i < REGIONS; i++)
		for (j = 0; j < region[i].cells; j++)
			if (!region[i].cell_of[j].absent && i != SOURCE)
				check(worker[0], &region[i], j);
	if (!atomic_load(&shared->failed) && expectation == EXPECT_FREED)
		measure_floor(worker, start);
	return 0;
}

int main(int argc, char **argv)
{
	long seconds = 20, seed = 1, min = 100, delay = 50, before[ARRAY_SIZE(activities)], i;
	pid_t pid;
	int err;

	err = common_setup(&argc, argv, 2, 10, SIZE_MAX_MB);
	if (err)
		return err;
	number(argc, argv, "--seconds", &seconds);
	number(argc, argv, "--seed", &seed);
	number(argc, argv, "--min", &min);
	number(argc, argv, "--dear", &dear_min);
	number(argc, argv, "--delay", &delay);
	lacks = option_text(argc, argv, "--lacks") ?: "";
	faults = option(argc, argv, "--faults");
	if (!prepare(option_text(argc, argv, "--only"), delay))
		return 1;
	ksft_print_header();
	ksft_set_plan(7 + ARRAY_SIZE(ops) + ARRAY_SIZE(activities) + NR_WINDOWS +
		      (faults ? ARRAY_SIZE(kind) : 0));
	printf("# seed %ld, %ld s, %d threads, %d processes, scanner every 10 ms\n", seed, seconds,
	       THREADS, PROCESSES);
	fflush(stdout);
	for (i = 0; i < (long)ARRAY_SIZE(activities); i++)
		before[i] = activity(&activities[i]);
	pid = fork_child();
	if (!pid)
		_exit(body(seed, min));
	err = watch(pid, seconds, seed, min, before);
	report(err, seed, min, before);
	common_teardown();
	ksft_exit(!ksft_get_fail_cnt());
}
