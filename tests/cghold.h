/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process whose mmap lock is held for writing, for as long as a test needs.
 *
 * Nothing that user space may ask for sleeps with that lock held for longer than
 * a moment. But a system call that works for long under the lock can be kept
 * from the CPU: mremap() that moves 2^18 entries one by one, by a task that gets
 * only what others leave (SCHED_IDLE), on a CPU where somebody always wants to
 * run. It gives way within the call, in cond_resched(), with the lock held.
 */
#ifndef PTFREE_TESTS_CGHOLD_H
#define PTFREE_TESTS_CGHOLD_H

#include "cg.h"

#define HOLD_CPU	1
#define HOLD_LEN	GiB

struct holder {
	struct cg_child c;	/* with an area of its own to be filled and emptied */
	pid_t hog;
};

/* 'H': for ever back and forth. There is no answer: kill it. */
static long hold_extra(struct cg_child *c, struct cg_order *o)
{
	struct sched_param none = { 0 };
	char *place[2], *p;
	int i;

	if (o->what != 'H')
		return -EINVAL;
	stay_on_cpu(HOLD_CPU);
	place[0] = map_anon(HOLD_LEN);
	place[1] = reserve(2 * HOLD_LEN);
	if (!place[0] || !place[1])
		return -ENOMEM;
	/* Out of step with the tables, so that they cannot be moved as a whole. */
	place[1] += 16 * PAGE;
	/* The zero page everywhere: entries without memory. */
	if (madvise(place[0], HOLD_LEN, MADV_POPULATE_READ))
		return -errno;
	if (sched_setscheduler(0, SCHED_IDLE, &none))
		return -errno;
	for (i = 0; ; i = !i) {
		p = mremap(place[i], HOLD_LEN, HOLD_LEN, MREMAP_MAYMOVE | MREMAP_FIXED, place[!i]);
		if (p != place[!i])
			return -errno;
	}
}

/* Does somebody who wants the lock wait for it? Reading maps takes it. */
static inline bool lock_is_held(pid_t pid)
{
	long end = now_ms() + 150;
	bool held = true;
	char path[64], c;
	pid_t probe;

	probe = fork_child();
	if (!probe) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/maps", pid);
		fd = open(path, O_RDONLY);
		_exit(fd >= 0 && read(fd, &c, 1) == 1 ? 0 : 1);
	}
	while (held && now_ms() < end) {
		if (waitpid(probe, NULL, WNOHANG) == probe)
			held = false;
		else
			nap_ms(2);
	}
	if (held)
		reap(probe);
	return held;
}

static inline void hold_end(struct holder *h)
{
	if (h->hog > 0)
		reap(h->hog);
	h->hog = 0;
	cg_child_end(&h->c);
}

static inline int hold_start(struct holder *h, const char *group, long tables)
{
	h->c.extra = hold_extra;
	return cg_child_start(&h->c, group, tables);
}

/* From now on until hold_end(): 0, or what went wrong. */
static inline int hold_lock(struct holder *h)
{
	long end = now_ms() + 20000 * scale;
	int err;

	err = cg_child_tell(&h->c, 'H', 0);
	if (err)
		return err;
	/* What the moving begins with goes on undisturbed. */
	while (sched_getscheduler(h->c.pid) != SCHED_IDLE) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		nap_ms(5);
	}
	h->hog = fork_child();
	if (!h->hog) {
		stay_on_cpu(HOLD_CPU);
		for (;;)
			;
	}
	if (h->hog < 0)
		return -errno;
	/* Not in the gap between two calls, though that is rare. */
	while (!lock_is_held(h->c.pid))
		if (now_ms() > end)
			return -EBUSY;
	return 0;
}

#endif /* PTFREE_TESTS_CGHOLD_H */
