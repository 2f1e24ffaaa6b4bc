/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The operations of torture.c that use userfaultfd, on cells of `moved'.
 */
#ifndef PTFREE_TESTS_TORTURE_UFFD_H
#define PTFREE_TESTS_TORTURE_UFFD_H

#include "torture_ops.h"

static bool can_uffd(void)
{
	return uffd >= 0;
}

/* userfaultfd: arm a cell, put a page there, disarm it. */
static int uffd_put(struct worker *w, char *to, char *from, uint64_t want)
{
	long end = now_ms() + 20000 * scale;
	int err;

	do {
		if (from) {
			/* Written again: a fork shares it, and that cannot be moved. */
			*(volatile uint64_t *)from = want;
			err = uffd_move(uffd, to, from, 0);
		} else {
			*(uint64_t *)w->page = want;
			err = uffd_copy(uffd, to, w->page, 0);
		}
	} while ((err == -EAGAIN || err == -EBUSY || (faults && err == -ENOMEM)) &&
		 now_ms() < end);
	return err;
}

static enum outcome uffd_round(struct worker *w, bool move)
{
	PICK(moved, i);
	struct uffdio_range range = { (uintptr_t)cell_at(moved, i), moved->cell };
	int k = dice(w, SLOTS), err;
	char *to = slot_at(moved, i, k);
	long j = -1;

	if (move) {
		j = pick(w, source, 1);
		if (j < 0) {
			cell_unlock(moved, i);
			return NOT_NOW;
		}
	}
	MUST(madvise(to, moved->stride, MADV_DONTNEED), "MADV_DONTNEED");
	TRIED_ERR(err, uffd_register(uffd, (void *)range.start, range.len,
				     UFFDIO_REGISTER_MODE_MISSING));
	moved->cell_of[i].gen[k] = ++w->gen;
	if (!err)
		err = uffd_put(w, to, move ? slot_at(source, j, k) : NULL,
			       mark_of(to, w->gen));
	if (err) {
		fail(w, "userfaultfd %s: %s", move ? "UFFDIO_MOVE" : "UFFDIO_COPY", strerror(-err));
		return WRONG;
	}
	MUST(ioctl(uffd, UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
	if (move) {
		if (dice(w, 2) && *(volatile uint64_t *)slot_at(source, j, k)) {
			fail(w, "UFFDIO_MOVE left the page in its old place");
			return WRONG;
		}
		MUST(madvise(cell_at(source, j), source->cell, MADV_DONTNEED), "MADV_DONTNEED");
		cell_unlock(source, j);
	}
	CHECKED(check(w, moved, i));
	if (dice(w, 2)) {
		MUST(madvise(cell_at(moved, i), moved->cell, MADV_DONTNEED), "MADV_DONTNEED");
		forget(moved, i);
	}
	cell_unlock(moved, i);
	return DONE;
}

static enum outcome op_uffd_copy(struct worker *w)
{
	return uffd_round(w, false);
}

static enum outcome op_uffd_move(struct worker *w)
{
	return uffd_round(w, true);
}

/* The zero page is a page as well. */
static enum outcome op_uffd_zero(struct worker *w)
{
	PICK(moved, i);
	struct uffdio_range range = { (uintptr_t)cell_at(moved, i), moved->cell };
	long end = now_ms() + 20000 * scale;
	int k = dice(w, SLOTS), err;
	char *to = slot_at(moved, i, k);

	MUST(madvise(to, moved->stride, MADV_DONTNEED), "MADV_DONTNEED");
	moved->cell_of[i].gen[k] = 0;
	TRIED_ERR(err, uffd_register(uffd, (void *)range.start, range.len,
				     UFFDIO_REGISTER_MODE_MISSING));
	while (!err) {
		err = uffd_zero(uffd, to, 0);
		if ((err != -EAGAIN && err != -EBUSY && !(faults && err == -ENOMEM)) ||
		    now_ms() > end)
			break;
		err = 0;
	}
	if (err) {
		fail(w, "userfaultfd UFFDIO_ZEROPAGE: %s", strerror(-err));
		return WRONG;
	}
	/* Read while it is armed: a page that is missing would not come back. */
	if (*(volatile uint64_t *)to) {
		fail(w, "UFFDIO_ZEROPAGE: %p holds %#lx", to, *(volatile uint64_t *)to);
		return WRONG;
	}
	MUST(ioctl(uffd, UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
	return done(w, moved, i);
}

/* Pages are protected, some of them let go again, and none forgets that it was. */
static enum outcome op_uffd_protect(struct worker *w)
{
	PICK(moved, i);
	char *at = cell_at(moved, i);
	struct uffdio_range range = { (uintptr_t)at, moved->cell };
	int k = dice(w, SLOTS), err, j;

	put_some(w, moved, i);
	put(w, moved, i, k);
	TRIED_ERR(err, uffd_register(uffd, at, moved->cell, UFFDIO_REGISTER_MODE_WP) ?:
		       uffd_protect(uffd, at, moved->cell, true));
	if (!err && dice(w, 2))
		MUST(madvise(at, moved->cell, MADV_PAGEOUT), "MADV_PAGEOUT");
	CHECKED(check(w, moved, i));
	for (j = 0; !err && j < SLOTS; j++) {
		if (moved->cell_of[i].gen[j] &&
		    TRIED(!(pagemap(0, slot_at(moved, i, j)) & PM_WP))) {
			fail(w, "moved cell %ld page %d is no longer protected", i, j);
			return WRONG;
		}
	}
	if (!err)
		TRIED_ERR(err, uffd_protect(uffd, slot_at(moved, i, k), PAGE, false));
	if (err) {
		fail(w, "userfaultfd UFFDIO_WRITEPROTECT: %s", strerror(-err));
		return WRONG;
	}
	put(w, moved, i, k);
	MUST(ioctl(uffd, UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
	put_some(w, moved, i);
	if (dice(w, 2)) {
		MUST(madvise(at, moved->cell, MADV_DONTNEED), "MADV_DONTNEED");
		forget(moved, i);
	}
	return done(w, moved, i);
}

#endif /* PTFREE_TESTS_TORTURE_UFFD_H */
