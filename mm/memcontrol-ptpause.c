// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of memory cgroups: when to try again
 *
 * An attempt to bring a cgroup under its budget goes through all page tables of its
 * processes.  Where it finds nothing to free, that is the case for as long as no entry
 * is removed from any of them; so the next one is made after a pause, each twice as
 * long as the last, and no sooner than what an attempt costs is an 80th of the time.
 * An unmapping in one of the mms that were visited ends it, but not that rule: in a
 * cgroup with a million tables in use, the next attempt comes a second or two later.
 * So does usage that grows on.
 */
#include <linux/cgroup.h>
#include <linux/freept.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>

#include "memcontrol-ptfree.h"

/* Pauses: at the most, and in multiples of the time that was wasted */
#define PT_PAUSE_MAX		(10 * HZ)
#define PT_PACE			80

/**
 * memcg_pt_pause_end - the next attempt may be made at once
 * @pause: of which budget
 *
 * Context: Any.
 */
void memcg_pt_pause_end(struct memcg_pt_pause *pause)
{
	WRITE_ONCE(pause->delay, 0);
	WRITE_ONCE(pause->bound, PAGE_COUNTER_MAX);
	WRITE_ONCE(pause->earliest, jiffies);
	WRITE_ONCE(pause->retry, jiffies);
}

/**
 * memcg_pt_price - how long to wait for what an attempt has cost
 * @wasted_ns: time that was spent for nothing
 *
 * Context: Any.
 * Return: Jiffies.
 */
unsigned long memcg_pt_price(u64 wasted_ns)
{
	return nsecs_to_jiffies64(wasted_ns * PT_PACE + TICK_NSEC - 1);
}

/**
 * memcg_pt_paused - was nothing to be had a short while ago?
 * @pause: of which budget
 * @usage: tables that are charged now
 *
 * Context: Any.
 * Return: true if an attempt would be for nothing.  Not if usage has grown by
 * more than a sixteenth, or what one task may be over, from the least since then.
 */
bool memcg_pt_paused(struct memcg_pt_pause *pause, unsigned long usage)
{
	return time_before(jiffies, READ_ONCE(pause->retry)) &&
	       usage <= READ_ONCE(pause->bound);
}

/* How far usage may grow in a pause: nothing could be done about what is over @max */
static unsigned long pt_pause_bound(unsigned long usage, unsigned long max)
{
	if (usage <= max)
		return max + MEMCG_PT_OVERSHOOT;
	return usage + max(usage / 16, (unsigned long)MEMCG_PT_OVERSHOOT);
}

/**
 * memcg_pt_came_down - usage may be lower than when nothing was to be had
 * @pause: of memory.pt.max
 * @usage: tables that are charged now
 * @max: the limit
 *
 * From there on it counts how far it has grown.  Otherwise each process that
 * follows one which was killed could be over by what one task may be more than that.
 *
 * Context: Any.
 */
void memcg_pt_came_down(struct memcg_pt_pause *pause, unsigned long usage,
			unsigned long max)
{
	unsigned long bound = READ_ONCE(pause->bound);

	if (bound == PAGE_COUNTER_MAX)
		return;
	usage = pt_pause_bound(usage, max);
	if (usage < bound)
		WRITE_ONCE(pause->bound, usage);
}

/**
 * memcg_pt_back_off - nothing was found: no attempt for a while
 * @pause: what for
 * @wasted_ns: time that the attempt took
 *
 * Twice as long as the last time, and PT_PACE times what the attempt took: this
 * keeps the cost at an 80th of the time, whatever the program does.
 *
 * Context: Any.
 * Return: Jiffies.
 */
unsigned long memcg_pt_back_off(struct memcg_pt_pause *pause, u64 wasted_ns)
{
	unsigned long least = memcg_pt_price(wasted_ns);
	unsigned int delay = clamp_t(unsigned int, pause->delay * 2, HZ / 100 + 1,
				     PT_PAUSE_MAX);

	delay = max_t(unsigned long, delay, least);
	WRITE_ONCE(pause->delay, delay);
	WRITE_ONCE(pause->earliest, jiffies + least);
	WRITE_ONCE(pause->retry, jiffies + delay);
	return delay;
}

/**
 * memcg_pt_in_vain - nothing was found under a budget
 * @memcg: the cgroup, not the root
 * @pause: of which budget
 * @wasted_ns: time that the attempt took
 * @nr_unmaps: pt.nr_unmaps when it began
 *
 * An unmapping in one of the mms that were visited shortens the pause, but not to
 * less than what the pass costs.  At its end the work item looks again, if no task
 * has: not all who remove entries say so.
 *
 * Context: Process context, budget_lock is held.
 */
void memcg_pt_in_vain(struct mem_cgroup *memcg, struct memcg_pt_pause *pause,
		      u64 wasted_ns, int nr_unmaps)
{
	unsigned long least = memcg_pt_price(wasted_ns);
	unsigned long delay;

	/* nobody is stopped over high, however far */
	WRITE_ONCE(pause->bound, pause == &memcg->pt.pause_max ?
		   pt_pause_bound(memcg_pt_usage(memcg), READ_ONCE(memcg->pt.usage.max)) :
		   PAGE_COUNTER_MAX);
	WRITE_ONCE(pause->nr_unmaps, nr_unmaps);
	delay = memcg_pt_back_off(pause, wasted_ns);
	memcg_pt_trace(memcg, pause == &memcg->pt.pause_max ?
		       READ_ONCE(memcg->pt.usage.max) : READ_ONCE(memcg->pt.usage.high),
		       0, FREEPT_ACTION_BACK_OFF);
	smp_mb();	/* either we see the unmapping, or it sees the pause */
	if (atomic_read(&memcg->pt.nr_unmaps) != nr_unmaps) {
		WRITE_ONCE(pause->retry, jiffies + least);
		delay = least;
	}
	memcg_pt_kick(memcg, delay + 1);
}

/* Returns the jiffies until an attempt makes sense again, ULONG_MAX: none */
static unsigned long pt_pause_unmapped(struct memcg_pt_pause *pause)
{
	unsigned long earliest = READ_ONCE(pause->earliest), now = jiffies;

	if (!READ_ONCE(pause->delay))
		return ULONG_MAX;
	WRITE_ONCE(pause->retry, earliest);
	return time_after(earliest, now) ? earliest - now : 0;
}

void __memcg_pt_unmapped(struct mm_struct *mm)
{
	struct mem_cgroup *memcg;

	smp_mb();	/* entries first: pairs with memcg_pt_piece() */
	if (likely(!READ_ONCE(mm->freept.watched)))
		return;
	WRITE_ONCE(mm->freept.watched, false);

	rcu_read_lock();
	memcg = mem_cgroup_from_task(rcu_dereference(mm->owner));
	for (; memcg && !mem_cgroup_is_root(memcg); memcg = parent_mem_cgroup(memcg)) {
		unsigned long delay;

		if (!READ_ONCE(memcg->pt.limited))
			continue;
		atomic_inc(&memcg->pt.nr_unmaps);
		smp_mb__after_atomic();		/* pairs with memcg_pt_in_vain() */
		delay = min(pt_pause_unmapped(&memcg->pt.pause_high),
			    pt_pause_unmapped(&memcg->pt.pause_max));
		/* it may allocate no table any more: then nobody else looks */
		if (delay != ULONG_MAX)
			memcg_pt_kick(memcg, delay + MEMCG_PT_VISIT_DELAY);
	}
	rcu_read_unlock();
}
