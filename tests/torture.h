/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bookkeeping of torture.c: what must be in every page at any time.
 *
 * Address space is cut into cells. Who works on a cell holds its lock, so that
 * its contents are known; the tables under it are shared with the cells beside
 * it, with the scanner, and with reclaim, who ask for no lock of ours. Cells
 * and locks lie in shared memory: workers are threads and processes.
 */
#ifndef PTFREE_TESTS_TORTURE_H
#define PTFREE_TESTS_TORTURE_H

#include "switches.h"
#include "uffd.h"
#include "uring.h"

#define SLOTS		8		/* pages of a cell that carry marks */
#define MAX_CELLS	1024
#define THREADS		4
#define PROCESSES	3
#define WORKERS		(THREADS + PROCESSES)
#define MAX_OPS		64
#define MAX_REGIONS	8

struct cell {
	atomic_int lock;
	bool absent;			/* not mapped at the moment */
	uint8_t maybe;			/* bit per slot: the mark, or zero (MADV_FREE) */
	uint32_t gen[SLOTS];		/* 0: reads as zero */
};

struct region {
	const char *name;
	char *at;
	long cells;
	size_t cell, stride;
	int fd;				/* the file behind it, or -1 */
	bool same;			/* pages of a generation are alike: for KSM */
	struct cell *cell_of;
};

struct shared {
	atomic_bool ready, stop, failed;
	atomic_bool late;		/* from now on what was done too seldom */
	bool can[MAX_OPS];
	long floor, vmpte;		/* in the end, in kB */
	atomic_long count[MAX_OPS];
	atomic_long ms[MAX_OPS];	/* what they took, those that came to nothing as well */
	atomic_int alone[3];		/* held by who does something that one does at a time */
	pid_t pid;			/* of the process whose pages all are after */
	char failure[400];
	struct {
		atomic_long beat;	/* operations begun */
		atomic_int op;		/* the one that is going on */
	} worker[WORKERS];
	struct cell cells[MAX_REGIONS][MAX_CELLS];
};

static struct shared *shared;

/* xorshift64*, one for the choice of operations and one for everything else */
static inline uint64_t rnd(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

struct worker {
	struct uring ring;		/* for threads, if there is such a thing */
	int file;			/* a page for each worker */
	int index;
	bool process;			/* has an mm of its own */
	uint64_t choice, dice;
	int pipe[2];
	char *room;			/* space to move a cell to */
	uint32_t gen;
	char page[PAGE] __attribute__((aligned(4096)));
};

static inline long dice(struct worker *w, long sides)
{
	return (rnd(&w->dice) >> 16) % sides;
}

/* The first failure is kept and stops all. Always false, to be returned. */
static inline bool __attribute__((format(printf, 2, 3)))
fail(struct worker *w, const char *fmt, ...)
{
	va_list args;

	if (!atomic_exchange(&shared->failed, true)) {
		va_start(args, fmt);
		vsnprintf(shared->failure, sizeof(shared->failure), fmt, args);
		va_end(args);
	}
	atomic_store(&shared->stop, true);
	return false;
}

static inline char *cell_at(struct region *r, long i)
{
	return r->at + i * r->cell;
}

static inline char *slot_at(struct region *r, long i, int k)
{
	return cell_at(r, i) + k * r->stride;
}

static inline bool cell_lock(struct region *r, long i)
{
	int zero = 0;

	return atomic_compare_exchange_strong(&r->cell_of[i].lock, &zero, 1);
}

static inline void cell_unlock(struct region *r, long i)
{
	atomic_store(&r->cell_of[i].lock, 0);
}

static inline void cells_unlock(struct region *r, long i, long n)
{
	while (n--)
		cell_unlock(r, i + n);
}

static inline bool cells_lock(struct region *r, long i, long n)
{
	long j;

	for (j = 0; j < n; j++) {
		if (!cell_lock(r, i + j)) {
			cells_unlock(r, i, j);
			return false;
		}
	}
	return true;
}

/* What one does at a time: it is not waited for. */
enum { ALONE_SWAP, ALONE_SETTINGS, ALONE_TRACE };

static inline bool alone(int what)
{
	int zero = 0;

	return atomic_compare_exchange_strong(&shared->alone[what], &zero, 1);
}

static inline void together(int what)
{
	atomic_store(&shared->alone[what], 0);
}

/* @n cells in a row, aligned, all locked; -1 when none was to be had. */
static inline long pick(struct worker *w, struct region *r, long n)
{
	int tries;

	for (tries = 0; tries < 64; tries++) {
		long i = dice(w, r->cells / n) * n;

		if (cells_lock(r, i, n))
			return i;
	}
	return -1;
}

/* What a page of a generation begins with */
static inline uint64_t mark_for(struct region *r, long i, int k, uint32_t gen)
{
	return mark_of(r->same ? NULL : slot_at(r, i, k), gen);
}

static inline bool value_ok(struct region *r, long i, int k, uint64_t value)
{
	struct cell *c = &r->cell_of[i];

	if (!c->gen[k])
		return !value;
	if (value == mark_for(r, i, k, c->gen[k]))
		return true;
	return (c->maybe & (1 << k)) && !value;
}

/* Is all of a cell, which may have been moved to @at, as it must be? */
static inline bool check_at(struct worker *w, struct region *r, long i, const char *at)
{
	int k;

	for (k = 0; k < SLOTS; k++) {
		uint64_t value = *(volatile uint64_t *)(at + k * r->stride);

		if (!value_ok(r, i, k, value))
			return fail(w, "%s cell %ld page %d at %p holds %#lx, wanted generation %u%s",
				    r->name, i, k, at + k * r->stride, value,
				    r->cell_of[i].gen[k],
				    r->cell_of[i].maybe & (1 << k) ? " or zero" : "");
	}
	return true;
}

static inline bool check(struct worker *w, struct region *r, long i)
{
	return check_at(w, r, i, cell_at(r, i));
}

static inline void put(struct worker *w, struct region *r, long i, int k)
{
	struct cell *c = &r->cell_of[i];

	/* pages that are alike have few generations, or none would meet another */
	c->gen[k] = r->same ? 1 + dice(w, 3) : ++w->gen;
	c->maybe &= ~(1 << k);
	*(volatile uint64_t *)slot_at(r, i, k) = mark_for(r, i, k, c->gen[k]);
}

static inline void put_some(struct worker *w, struct region *r, long i)
{
	int k, bits = dice(w, 1 << SLOTS);

	for (k = 0; k < SLOTS; k++)
		if (bits & (1 << k))
			put(w, r, i, k);
}

static inline void forget(struct region *r, long i)
{
	struct cell *c = &r->cell_of[i];

	memset(c->gen, 0, sizeof(c->gen));
	c->maybe = 0;
}

#endif /* PTFREE_TESTS_TORTURE_H */
