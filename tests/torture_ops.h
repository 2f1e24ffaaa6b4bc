/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The operations of torture.c. Each picks cells, locks them, checks them, does
 * its work, notes what must be there from now on, and checks again.
 */
#ifndef PTFREE_TESTS_TORTURE_OPS_H
#define PTFREE_TESTS_TORTURE_OPS_H

#include "torture.h"

/*
 * Four cells share a table in the anonymous and in the shared region. The huge
 * one may have huge pages. Cells of `moved' are armed now and then, and get
 * pages from `source'. Pages of `alike' are, and KSM merges them.
 */
enum { ANON, SHARED, FILE_CUT, HUGE_PAGES, MOVED, SOURCE, ALIKE, REGIONS };

static struct region region[REGIONS] = {
	[ANON]		= { "anon", .cells = 256, .cell = 512 * KiB },
	[SHARED]	= { "shared", .cells = 128, .cell = 512 * KiB },
	[FILE_CUT]	= { "truncated", .cells = 8, .cell = TABLE_SPAN },
	[HUGE_PAGES]	= { "huge", .cells = 16, .cell = TABLE_SPAN },
	[MOVED]		= { "moved", .cells = 32, .cell = TABLE_SPAN },
	[SOURCE]	= { "source", .cells = 32, .cell = TABLE_SPAN },
	[ALIKE]		= { "alike", .cells = 32, .cell = 512 * KiB, .same = true },
};

static struct region *const anon = &region[ANON], *const shm = &region[SHARED],
	*const cut = &region[FILE_CUT], *const huge = &region[HUGE_PAGES],
	*const moved = &region[MOVED], *const source = &region[SOURCE],
	*const alike = &region[ALIKE];
static int uffd = -1;

/* What an operation was: done and right, not possible this time, or wrong. */
enum outcome { DONE, NOT_NOW, WRONG };

/*
 * Where allocations are made to fail, whatever is asked for may fail, in words of many
 * kinds (mincore() says EAGAIN, /proc ENOENT), and is asked for again: true if it failed
 * all the time, or is done.
 */
static bool faults;

#define TRIED_UNLESS(done, call) ({					\
	int __tries = 0;						\
	bool __failed;							\
									\
	do {								\
		errno = 0;						\
		__failed = (call);					\
	} while (__failed && faults && __tries++ < 1000 && !(done));	\
	__failed;							\
})
#define TRIED(call)	TRIED_UNLESS(false, call)

/* The same for what gives -errno, and means something else by EAGAIN */
#define TRIED_ERR(err, call)						\
	TRIED_UNLESS(errno == EAGAIN,					\
		     ((err) = (call)) < 0 && ((errno = -(err)), true))

#define MUST(call, what) do {						\
	if (TRIED(call)) {						\
		fail(w, "%s: %s", what, strerror(errno));		\
		return WRONG;						\
	}								\
} while (0)

#define CHECKED(ok) do {						\
	if (!(ok))							\
		return WRONG;						\
} while (0)

/* A cell that munmap() left absent comes back, empty, when it is picked. */
static bool present(struct worker *w, struct region *r, long i)
{
	struct cell *c = &r->cell_of[i];

	if (!c->absent)
		return true;
	if (TRIED(!map_at(cell_at(r, i), r->cell, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)))
		return fail(w, "mmap of %s cell %ld: %s", r->name, i, strerror(errno));
	c->absent = false;
	forget(r, i);
	return true;
}

/* Pick a present cell of @r as @i, and check it. */
#define PICK(r, i)							\
	long i = pick(w, r, 1);						\
	if (i < 0)							\
		return NOT_NOW;						\
	CHECKED(present(w, r, i) && check(w, r, i))

static enum outcome done(struct worker *w, struct region *r, long i)
{
	CHECKED(check(w, r, i));
	cell_unlock(r, i);
	return DONE;
}

static enum outcome op_touch(struct worker *w)
{
	struct region *r = w->process || dice(w, 4) == 0 ? shm : anon;
	PICK(r, i);

	put_some(w, r, i);
	return done(w, r, i);
}

static enum outcome op_read(struct worker *w)
{
	struct region *r = w->process || dice(w, 4) == 0 ? shm : anon;
	PICK(r, i);

	return done(w, r, i);
}

/* Every page of a cell at once */
static enum outcome op_populate(struct worker *w)
{
	PICK(anon, i);

	MUST(madvise(cell_at(anon, i), anon->cell, dice(w, 2) ? MADV_POPULATE_WRITE :
		     MADV_POPULATE_READ), "MADV_POPULATE");
	return done(w, anon, i);
}

static enum outcome op_dontneed_page(struct worker *w)
{
	PICK(anon, i);
	int k = dice(w, SLOTS);

	MUST(madvise(slot_at(anon, i, k), PAGE, MADV_DONTNEED), "MADV_DONTNEED of a page");
	anon->cell_of[i].gen[k] = 0;
	return done(w, anon, i);
}

static enum outcome op_dontneed_cell(struct worker *w)
{
	PICK(anon, i);

	MUST(madvise(cell_at(anon, i), anon->cell, MADV_DONTNEED), "MADV_DONTNEED of a cell");
	forget(anon, i);
	return done(w, anon, i);
}

/* Whole tables, one or eight */
static enum outcome op_dontneed_tables(struct worker *w)
{
	long n = dice(w, 8) ? 4 : 32, i = pick(w, anon, n), j;

	if (i < 0)
		return NOT_NOW;
	for (j = 0; j < n; j++)
		CHECKED(present(w, anon, i + j) && check(w, anon, i + j));
	MUST(madvise(cell_at(anon, i), n * anon->cell, MADV_DONTNEED), "MADV_DONTNEED of tables");
	for (j = 0; j < n; j++) {
		forget(anon, i + j);
		/* Half of the time without a look, which would fill them again. */
		if (n == 4 && dice(w, 2))
			CHECKED(check(w, anon, i + j));
	}
	cells_unlock(anon, i, n);
	return DONE;
}

static enum outcome op_free(struct worker *w)
{
	PICK(anon, i);

	MUST(madvise(cell_at(anon, i), anon->cell, MADV_FREE), "MADV_FREE");
	anon->cell_of[i].maybe = 0xff;
	if (dice(w, 2))
		MUST(madvise(cell_at(anon, i), anon->cell, MADV_PAGEOUT), "MADV_PAGEOUT");
	/* What is written now is there to stay. */
	put_some(w, anon, i);
	return done(w, anon, i);
}

/*
 * A copy of the process, which checks the cells that we hold, changes and
 * empties some of them, is scanned, and goes. Nothing of it may show here.
 */
static void child_life(struct worker *w, long i, long n)
{
	long j;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (j = 0; j < n; j++) {
		if (!check(w, anon, i + j))
			_exit(1);
		if (TRIED(madvise(cell_at(anon, i + j), anon->cell / 2, MADV_DONTNEED)))
			_exit(2);
		*(volatile uint64_t *)slot_at(anon, i + j, SLOTS - 1) = 1;
	}
	nap_ms(dice(w, 3) * 6);
	for (j = 0; j < n; j++) {
		if (not_zero(cell_at(anon, i + j), anon->cell / 2, anon->stride))
			_exit(3);
		if (*(volatile uint64_t *)slot_at(anon, i + j, SLOTS - 1) != 1)
			_exit(4);
	}
	_exit(0);
}

static enum outcome op_fork(struct worker *w)
{
	long n = 16, i = pick(w, anon, n), j;
	int status = -1;
	pid_t pid;

	if (i < 0)
		return NOT_NOW;
	for (j = 0; j < n; j++) {
		CHECKED(present(w, anon, i + j) && check(w, anon, i + j));
		put_some(w, anon, i + j);
	}
	MUST((pid = fork()) < 0, "fork");
	if (!pid)
		child_life(w, i, n);
	MUST(waitpid(pid, &status, 0) != pid, "waitpid");
	if (status) {
		fail(w, "a forked child ended with status %#x, see child_life()", status);
		return WRONG;
	}
	for (j = 0; j < n; j++)
		CHECKED(check(w, anon, i + j));
	cells_unlock(anon, i, n);
	return DONE;
}

/* The pages of a cell go elsewhere, are looked at there, and come back. */
static enum outcome op_mremap(struct worker *w)
{
	PICK(anon, i);
	char *at = cell_at(anon, i), *to = w->room + dice(w, 8) * PAGE;

	MUST(mremap(at, anon->cell, anon->cell,
		    MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) != to, "mremap away");
	CHECKED(check_at(w, anon, i, to));
	if (dice(w, 2) && not_zero(at, anon->cell, anon->stride)) {
		fail(w, "mremap left something behind in anon cell %ld", i);
		return WRONG;
	}
	/* The cell was split or not: what is there is unmapped on the way. */
	MUST(mremap(to, anon->cell, anon->cell, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at,
	     "mremap back");
	return done(w, anon, i);
}

static enum outcome op_munmap(struct worker *w)
{
	PICK(anon, i);

	MUST(munmap(cell_at(anon, i), anon->cell), "munmap");
	anon->cell_of[i].absent = true;
	/* A hole for a moment, or until somebody picks the cell. */
	if (dice(w, 2)) {
		CHECKED(present(w, anon, i));
		return done(w, anon, i);
	}
	cell_unlock(anon, i);
	return DONE;
}

static enum outcome op_mprotect(struct worker *w)
{
	PICK(anon, i);

	MUST(mprotect(cell_at(anon, i), anon->cell, PROT_READ), "mprotect read");
	CHECKED(check(w, anon, i));
	MUST(mprotect(cell_at(anon, i), anon->cell, PROT_NONE), "mprotect none");
	MUST(mprotect(cell_at(anon, i), anon->cell, PROT_READ | PROT_WRITE), "mprotect write");
	put_some(w, anon, i);
	return done(w, anon, i);
}

/* Build a huge page, or a table, from what is there; break it; empty it. */
static enum outcome op_collapse(struct worker *w)
{
	PICK(huge, i);
	int k = dice(w, SLOTS);

	put_some(w, huge, i);
	/* It may find a page busy or no memory: that is its right. */
	if (madvise(cell_at(huge, i), huge->cell, MADV_COLLAPSE) &&
	    errno != EAGAIN && errno != EBUSY && errno != ENOMEM && errno != EINVAL) {
		fail(w, "MADV_COLLAPSE: %s", strerror(errno));
		return WRONG;
	}
	CHECKED(check(w, huge, i));
	put_some(w, huge, i);
	MUST(madvise(slot_at(huge, i, k), PAGE, MADV_DONTNEED), "MADV_DONTNEED in a huge page");
	huge->cell_of[i].gen[k] = 0;
	CHECKED(check(w, huge, i));
	if (dice(w, 2)) {
		for (k = 0; k < SLOTS; k++)
			MUST(madvise(slot_at(huge, i, k), huge->stride, MADV_DONTNEED),
			     "MADV_DONTNEED in pieces");
		forget(huge, i);
	}
	return done(w, huge, i);
}

/* Faults in a range that allows huge pages, after it was emptied */
static enum outcome op_huge_fault(struct worker *w)
{
	PICK(huge, i);

	MUST(madvise(cell_at(huge, i), huge->cell, MADV_DONTNEED), "MADV_DONTNEED of a huge page");
	forget(huge, i);
	put_some(w, huge, i);
	return done(w, huge, i);
}

/* The kernel's way to the pages: get_user_pages, remote and pinned */
static enum outcome op_process_vm(struct worker *w)
{
	PICK(anon, i);
	int k = dice(w, SLOTS);
	uint64_t value = 0;
	struct iovec here = { &value, sizeof(value) };
	struct iovec there = { slot_at(anon, i, k), sizeof(value) };

	MUST(process_vm_readv(getpid(), &here, 1, &there, 1, 0) != sizeof(value),
	     "process_vm_readv");
	if (!value_ok(anon, i, k, value)) {
		fail(w, "process_vm_readv of anon cell %ld page %d: %#lx", i, k, value);
		return WRONG;
	}
	anon->cell_of[i].gen[k] = ++w->gen;
	anon->cell_of[i].maybe &= ~(1 << k);
	value = mark_of(slot_at(anon, i, k), w->gen);
	MUST(process_vm_writev(getpid(), &here, 1, &there, 1, 0) != sizeof(value),
	     "process_vm_writev");
	return done(w, anon, i);
}

/* A page is in a pipe while its table is emptied: the pipe keeps the page. */
static enum outcome op_vmsplice(struct worker *w)
{
	PICK(anon, i);
	int k = dice(w, SLOTS);
	char *at = slot_at(anon, i, k);
	struct iovec iov = { at, PAGE };
	uint64_t want;

	put(w, anon, i, k);
	want = mark_of(at, anon->cell_of[i].gen[k]);
	MUST(vmsplice(w->pipe[1], &iov, 1, 0) != PAGE, "vmsplice");
	if (dice(w, 2)) {
		MUST(madvise(cell_at(anon, i), anon->cell, MADV_DONTNEED), "MADV_DONTNEED");
		forget(anon, i);
	}
	MUST(read(w->pipe[0], w->page, PAGE) != PAGE, "read from the pipe");
	if (*(uint64_t *)w->page != want) {
		fail(w, "a page in a pipe changed: %#lx, must be %#lx", *(uint64_t *)w->page, want);
		return WRONG;
	}
	return done(w, anon, i);
}

/*
 * A huge page of a shared file, for a table: the tables that map it go, wherever they
 * are, this one first. Holes and reclaim break it again.
 */
static enum outcome op_collapse_shared(struct worker *w)
{
	long n = TABLE_SPAN / shm->cell, i = pick(w, shm, n), j;
	bool collapsed;

	if (i < 0)
		return NOT_NOW;
	for (j = 0; j < n; j++) {
		CHECKED(check(w, shm, i + j));
		put_some(w, shm, i + j);
	}
	collapsed = !madvise(cell_at(shm, i), TABLE_SPAN, MADV_COLLAPSE);
	/* It may find a page busy or no memory: that is its right, and none was collapsed. */
	if (!collapsed && errno != EAGAIN && errno != EBUSY && errno != ENOMEM && errno != EINVAL) {
		fail(w, "MADV_COLLAPSE of a shared file: %s", strerror(errno));
		return WRONG;
	}
	for (j = 0; j < n; j++) {
		CHECKED(check(w, shm, i + j));
		put_some(w, shm, i + j);
		CHECKED(check(w, shm, i + j));
	}
	cells_unlock(shm, i, n);
	return collapsed ? DONE : NOT_NOW;
}

static enum outcome op_punch(struct worker *w)
{
	PICK(shm, i);

	MUST(fallocate(shm->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, i * shm->cell,
		       shm->cell), "fallocate(PUNCH_HOLE)");
	forget(shm, i);
	return done(w, shm, i);
}

/* A shared file's pages are unmapped and stay in the file. */
static enum outcome op_shared_dontneed(struct worker *w)
{
	long n = dice(w, 2) ? 1 : 4, i = pick(w, shm, n), j;

	if (i < 0)
		return NOT_NOW;
	MUST(madvise(cell_at(shm, i), n * shm->cell, MADV_DONTNEED), "shared MADV_DONTNEED");
	for (j = 0; j < n; j++)
		CHECKED(check(w, shm, i + j));
	cells_unlock(shm, i, n);
	return DONE;
}

static enum outcome op_truncate(struct worker *w)
{
	long i = pick(w, cut, cut->cells), j;

	if (i < 0)
		return NOT_NOW;
	for (j = 0; j < cut->cells; j++)
		CHECKED(check(w, cut, j));
	MUST(ftruncate(cut->fd, 0), "ftruncate");
	MUST(ftruncate(cut->fd, cut->cells * cut->cell), "ftruncate");
	for (j = 0; j < cut->cells; j++) {
		forget(cut, j);
		put_some(w, cut, j);
		CHECKED(check(w, cut, j));
	}
	cells_unlock(cut, 0, cut->cells);
	return DONE;
}

/* pagemap and mincore of a cell: no page is missing there that lives. */
static enum outcome op_pagemap(struct worker *w)
{
	PICK(anon, i);
	struct cell *c = &anon->cell_of[i];
	int k;

	for (k = 0; k < SLOTS; k++) {
		if (c->gen[k] && !(c->maybe & (1 << k)) &&
		    TRIED(!(pagemap(0, slot_at(anon, i, k)) & (PM_PRESENT | PM_SWAPPED)))) {
			fail(w, "pagemap misses anon cell %ld page %d", i, k);
			return WRONG;
		}
	}
	return done(w, anon, i);
}

/*
 * In core, or swapped out: which it was when mincore() looked is not known any more
 * when pagemap does, so a page that comes back just then is looked at again.
 */
static bool in_core_or_swap(char *at, unsigned char in_core)
{
	int tries;

	for (tries = 0; tries < 100 && !(in_core & 1); tries++) {
		if (pagemap(0, at) & PM_SWAPPED)
			return true;
		if (mincore(at, PAGE, &in_core))
			return false;
	}
	return in_core & 1;
}

static enum outcome op_mincore(struct worker *w)
{
	unsigned char vec[512 * KiB / PAGE];
	PICK(anon, i);
	struct cell *c = &anon->cell_of[i];
	int k;

	MUST(mincore(cell_at(anon, i), anon->cell, vec), "mincore");
	for (k = 0; k < SLOTS; k++) {
		if (c->gen[k] && !(c->maybe & (1 << k)) &&
		    !in_core_or_swap(slot_at(anon, i, k), vec[k * anon->stride / PAGE])) {
			fail(w, "mincore misses anon cell %ld page %d", i, k);
			return WRONG;
		}
	}
	return done(w, anon, i);
}

/* All of the address space is walked, as monitors do. */
static enum outcome op_smaps(struct worker *w)
{
	const char *file = dice(w, 2) ? "/proc/self/smaps" : "/proc/self/smaps_rollup";
	ssize_t n;
	int fd;

	MUST((fd = open(file, O_RDONLY | O_CLOEXEC)) < 0, "open smaps");
	do
		MUST((n = read(fd, w->page, sizeof(w->page))) < 0, "read smaps");
	while (n > 0 && !atomic_load(&shared->stop));
	close(fd);
	return DONE;
}

/* KSM merges what is alike, and a write parts it again. */
static enum outcome op_alike(struct worker *w)
{
	PICK(alike, i);

	put_some(w, alike, i);
	CHECKED(check(w, alike, i));
	switch (dice(w, 4)) {
	case 0:
		MUST(madvise(cell_at(alike, i), alike->cell, MADV_DONTNEED), "MADV_DONTNEED");
		forget(alike, i);
		break;
	case 1:
		MUST(madvise(cell_at(alike, i), alike->cell, MADV_UNMERGEABLE),
		     "MADV_UNMERGEABLE");
		MUST(madvise(cell_at(alike, i), alike->cell, MADV_MERGEABLE), "MADV_MERGEABLE");
	}
	return done(w, alike, i);
}

/* A moment in which nothing happens but what the scanner does */
static enum outcome op_rest(struct worker *w)
{
	nap_ms(1 + dice(w, 8));
	return DONE;
}

#endif /* PTFREE_TESTS_TORTURE_OPS_H */
