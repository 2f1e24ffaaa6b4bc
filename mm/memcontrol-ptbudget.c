// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of memory cgroups: what happens over a budget
 *
 * A cgroup that holds more page tables than memory.pt.high or memory.pt.max is
 * brought back under it by freeing empty PTE tables of the processes in it and
 * below: down to the budget less a sixteenth, so that there is some time until
 * the next attempt.
 *
 * Over memory.pt.high
 *   a task that charges a table does one piece of work, one hold of its mmap
 *   lock, for its own mm on its return to user space.  If that is not enough,
 *   a work item goes through all processes of the cgroup.
 *
 * Over memory.pt.max
 *   a task that charges a table goes through its own mm, and then through all
 *   processes of the cgroup, on its return to user space, where no locks are
 *   held.  Those who come while another one does so wait for him.  A task that
 *   does not come back to user space soon, in the middle of a long system call,
 *   does the same inside the charge after MEMCG_PT_OVERSHOOT tables, with
 *   trylocks only, and beside another one that is at it: he may have to wait,
 *   for a process that is busy or for a CPU, and the charges go on.  For one
 *   that never comes back a work item does it.
 *
 *   Fork and populating stop before they would be over: they can fail.
 *
 *   When a complete pass has found nothing to free, and no table is in flight,
 *   the process with the most page tables is killed, if that can help.
 *
 *   Tasks that have gone over wait on their return to user space while more
 *   than a quarter of the budget is in flight, a second at the most: or the
 *   cgroup would grow on what it frees.
 *
 * With nothing to free, attempts are made ever more rarely, until entries are
 * removed from a page table of the cgroup; see mm/memcontrol-ptpause.c.
 */
#define pr_fmt(fmt) "memcg-pt: " fmt

#include <linux/cgroup.h>
#include <linux/freept.h>
#include <linux/fs.h>
#include <linux/hugetlb_inline.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include <trace/events/freept.h>

#include "internal.h"
#include "memcontrol-ptfree.h"

/* Holds of mmap locks inside a charge, whose caller holds one himself */
#define PT_CHARGE_PIECES	16

/**
 * memcg_pt_trace - tell the tracepoint what was done over a budget
 * @memcg: the cgroup that is over
 * @limit: which one, in tables
 * @nr_freed: tables freed
 * @action: what was done
 *
 * Context: Any; with a reference to @memcg, or in an RCU read-side section.
 */
void memcg_pt_trace(struct mem_cgroup *memcg, unsigned long limit,
		    unsigned long nr_freed, enum freept_action action)
{
	if (trace_freept_over_budget_enabled())
		trace_freept_over_budget(cgroup_id(memcg->css.cgroup),
					 memcg_pt_usage(memcg), limit, nr_freed,
					 action);
}

bool __memcg_pt_asked(struct mm_struct *mm)
{
	struct mem_cgroup *memcg;
	bool asked = false;

	rcu_read_lock();
	memcg = mem_cgroup_from_task(rcu_dereference(mm->owner));
	for (; memcg && !asked; memcg = parent_mem_cgroup(memcg))
		asked = READ_ONCE(memcg->pt.limited);
	rcu_read_unlock();
	return asked;
}

/* Tables that are needed at once at the most: one of each kind that is charged */
#define PT_KINDS		3

/* Where an attempt stops: the budget less some room */
static unsigned long pt_target(unsigned long limit, enum memcg_pt_caller caller)
{
	unsigned long room = limit / 16;

	if (caller == MEMCG_PT_FORK)
		return 0;
	if (caller == MEMCG_PT_POPULATE)
		room = max(room, min_t(unsigned long, limit, PT_KINDS));
	return limit - room;
}

/*
 * A call that holds its own mmap lock for writing, such as mremap(), may be over
 * by what it needs.  The work item would take its mm for one that is always
 * busy, and have it killed.
 */
static bool pt_others_can_read(struct mm_struct *mm)
{
	if (mm) {
		if (!mmap_read_trylock(mm))
			return false;
		mmap_read_unlock(mm);
	}
	return true;
}

/* Does the caller have to look at all, or was there nothing a moment ago? */
static bool pt_skip(struct mem_cgroup *memcg, enum memcg_pt_caller caller,
		    unsigned long max)
{
	struct memcg_pt_pause *pause = &memcg->pt.pause_max;

	switch (caller) {
	case MEMCG_PT_WRITE:
		return memcg_pt_settled(memcg) <= max;
	case MEMCG_PT_FORK:
	case MEMCG_PT_POPULATE:
		/*
		 * There is an answer to give, and nothing else to wait for: no sooner
		 * than the pace allows, but for what was unmapped meanwhile.
		 */
		return time_before(jiffies, READ_ONCE(pause->earliest)) &&
		       atomic_read(&memcg->pt.nr_unmaps) == READ_ONCE(pause->nr_unmaps);
	default:
		return memcg_pt_settled(memcg) <= max ||
		       memcg_pt_paused(pause, memcg_pt_usage(memcg));
	}
}

/**
 * memcg_pt_enforce_max - bring a cgroup under its memory.pt.max
 * @memcg: the cgroup, not the root
 * @caller: who asks, and so what may be done
 *
 * Makes one attempt.  Inside a charge it is made in any case, but what is to
 * follow is left to another one that is at it.
 *
 * Context: Process context; see enum memcg_pt_caller for the locks.
 * Return: true if usage has fallen: another attempt may get further.
 */
bool memcg_pt_enforce_max(struct mem_cgroup *memcg, enum memcg_pt_caller caller)
{
	struct memcg_pt_pause *pause = &memcg->pt.pause_max;
	int nr_unmaps = atomic_read(&memcg->pt.nr_unmaps);
	unsigned long max, before;
	unsigned int visits = 0;
	struct memcg_pt_pass pass;
	bool locked = true, ret = false;

	if (caller == MEMCG_PT_CHARGE) {
		locked = mutex_trylock(&memcg->pt.budget_lock);
	} else {
		if (mutex_lock_killable(&memcg->pt.budget_lock))
			return false;
		current->freept_pmd = NULL;	/* no fault of ours needs it */
	}

	max = READ_ONCE(memcg->pt.usage.max);
	if (pt_skip(memcg, caller, max))
		goto unlock;
	if (caller == MEMCG_PT_RETURN && signal_pending(current)) {
		/* first the signal: it is no attempt if nothing can be done */
		memcg_pt_kick(memcg, 1);
		goto unlock;
	}
	memcg_pt_count(memcg, MEMCG_PT_MAX);

	memcg_pt_pass_init(&pass, memcg);
	pass.target = pt_target(max, caller);
	pass.interruptible = caller == MEMCG_PT_WRITE || caller == MEMCG_PT_RETURN;
	pass.may_wait = caller != MEMCG_PT_CHARGE;
	if (caller == MEMCG_PT_CHARGE)
		pass.pieces = PT_CHARGE_PIECES;
	before = memcg_pt_settled(memcg);
	for (;;) {
		pass.again = false;
		if (caller != MEMCG_PT_WRITE && current->mm)
			memcg_pt_walk_mm(&pass, current->mm);
		memcg_pt_walk_subtree(&pass);
		if (memcg_pt_settled(memcg) < max && caller != MEMCG_PT_FORK)
			break;
		if (!pass.again || !pass.may_wait || ++visits == MEMCG_PT_VISITS)
			break;
		schedule_timeout_killable(MEMCG_PT_VISIT_DELAY);
	}

	ret = pass.nr_freed || memcg_pt_settled(memcg) < before;
	memcg_pt_trace(memcg, max, pass.nr_freed, FREEPT_ACTION_RECLAIM);
	if (!locked)
		goto unlock;	/* he has seen more than this */
	if (!ret && caller >= MEMCG_PT_RETURN && !signal_pending(current))
		ret = memcg_pt_oom(memcg, max, caller);

	if (!ret && (caller == MEMCG_PT_FORK || caller == MEMCG_PT_POPULATE)) {
		WRITE_ONCE(pause->nr_unmaps, nr_unmaps);
		WRITE_ONCE(pause->earliest, jiffies + memcg_pt_price(pass.wasted_ns));
	} else if (memcg_pt_settled(memcg) <= max) {
		memcg_pt_pause_end(pause);
		memcg_pt_victim_alive(memcg);	/* lets go of one that is gone */
		memcg->pt.busy_since = 0;
	} else if (ret) {
		memcg_pt_kick(memcg, MEMCG_PT_VISIT_DELAY);
	} else if (caller == MEMCG_PT_CHARGE ? pt_others_can_read(current->mm) :
					       signal_pending(current)) {
		/* what the caller may not do, or has no time for */
		memcg_pt_kick(memcg, 1);
	} else if (caller != MEMCG_PT_CHARGE) {
		/* a charge that could do nothing goes on when the call is done */
		memcg_pt_in_vain(memcg, pause, pass.wasted_ns, nr_unmaps);
	}
unlock:
	if (locked)
		mutex_unlock(&memcg->pt.budget_lock);
	if (caller == MEMCG_PT_FORK)
		memcg_pt_wait_freed(memcg, HZ);
	return ret;
}

/*
 * Over memory.pt.high: one piece of the caller's own mm.  Context: no locks.
 * Returns whether it was worth one.
 */
static bool pt_piece_of_own(struct mem_cgroup *memcg, unsigned long high)
{
	struct memcg_pt_pause *pause = &memcg->pt.pause_high;
	struct memcg_pt_pass pass;
	DEFINE_FREEPT_CONTROL(fc);
	unsigned long next;

	if (memcg_pt_paused(pause, memcg_pt_usage(memcg)))
		return false;
	memcg_pt_count(memcg, MEMCG_PT_HIGH);

	memcg_pt_pass_init(&pass, memcg);
	pass.target = pt_target(high, MEMCG_PT_RETURN);
	fc.start = READ_ONCE(current->mm->freept.cursor);
	memcg_pt_piece(&pass, current->mm, &fc);
	memcg_pt_trace(memcg, high, pass.nr_freed, FREEPT_ACTION_TASK);
	if (memcg_pt_settled(memcg) <= high)
		return true;
	/* the next one would find the same, until the work item has been at it */
	next = jiffies + memcg_pt_price(pass.wasted_ns) + (pass.nr_freed ? 0 : 2);
	WRITE_ONCE(pause->earliest, next);
	WRITE_ONCE(pause->retry, next);
	memcg_pt_kick(memcg, 1);
	return true;
}

/* Over memory.pt.high: all of the subtree */
static void pt_enforce_high(struct mem_cgroup *memcg)
{
	struct memcg_pt_pause *pause = &memcg->pt.pause_high;
	unsigned long high = READ_ONCE(memcg->pt.usage.high), again;
	int nr_unmaps = atomic_read(&memcg->pt.nr_unmaps);
	struct memcg_pt_pass pass;

	mutex_lock(&memcg->pt.budget_lock);
	if (memcg_pt_settled(memcg) <= high)
		goto unlock;	/* while it waited */
	memcg_pt_count(memcg, MEMCG_PT_HIGH);
	memcg_pt_pass_init(&pass, memcg);
	pass.target = pt_target(high, MEMCG_PT_WORKER);
	pass.may_wait = true;
	memcg_pt_walk_subtree(&pass);
	memcg_pt_trace(memcg, high, pass.nr_freed, FREEPT_ACTION_RECLAIM);
	if (memcg_pt_settled(memcg) <= high) {
		memcg_pt_pause_end(pause);
	} else if (pass.nr_freed) {
		again = MEMCG_PT_VISIT_DELAY + memcg_pt_price(pass.wasted_ns);
		WRITE_ONCE(pause->retry, jiffies + again);
		memcg_pt_kick(memcg, again);
	} else {
		memcg_pt_in_vain(memcg, pause, pass.wasted_ns, nr_unmaps);
	}
unlock:
	mutex_unlock(&memcg->pt.budget_lock);
}

/**
 * memcg_pt_work - do for a cgroup what its tasks do not
 * @work: pt.work of the cgroup
 *
 * Context: A worker.
 */
void memcg_pt_work(struct work_struct *work)
{
	struct mem_cgroup *memcg = container_of(to_delayed_work(work),
						struct mem_cgroup, pt.work);
	struct memcg_pt *pt = &memcg->pt;
	unsigned long settled = memcg_pt_settled(memcg);
	struct memcg_pt_pause *pause;

	if (!mem_cgroup_online(memcg))
		return;
	if (settled > READ_ONCE(pt->usage.max))
		pause = &pt->pause_max;
	else if (settled > READ_ONCE(pt->usage.high))
		pause = &pt->pause_high;
	else
		return;

	if (memcg_pt_paused(pause, memcg_pt_usage(memcg)))
		memcg_pt_kick(memcg, READ_ONCE(pause->retry) - jiffies + 1);
	else if (pause == &pt->pause_max)
		memcg_pt_enforce_max(memcg, MEMCG_PT_WORKER);
	else
		pt_enforce_high(memcg);
}

/**
 * memcg_pt_kick - have a worker look at a cgroup's budgets
 * @memcg: the cgroup, not the root
 * @delay: jiffies from now
 *
 * Context: Any; in an RCU read-side section, or with a reference to @memcg.
 */
void memcg_pt_kick(struct mem_cgroup *memcg, unsigned long delay)
{
	struct delayed_work *work = &memcg->pt.work;

	/* the earlier one of two counts */
	if (!queue_delayed_work(system_unbound_wq, work, delay) &&
	    time_before(jiffies + delay, READ_ONCE(work->timer.expires)))
		mod_delayed_work(system_unbound_wq, work, delay);
}

/**
 * memcg_pt_over_budget - current has charged a table over a budget
 * @memcg: the cgroup that is over
 *
 * Context: Process context, in an RCU read-side section.
 */
void memcg_pt_over_budget(struct mem_cgroup *memcg)
{
	/* not a remote charge, and there will be a return to user space? */
	if (in_task() && !current->active_memcg &&
	    (current->memcg_pt_pending || freept_notify())) {
		current->memcg_pt_pending = true;
	} else {
		memcg_pt_trace(memcg, READ_ONCE(memcg->pt.usage.max), 0, FREEPT_ACTION_WORKER);
		memcg_pt_kick(memcg, 1);
	}
}

/**
 * memcg_pt_overshoot - current has gone far over a memory.pt.max
 *
 * It charges tables and does not come back to user space.
 *
 * Context: Process context, inside the allocation of a table: no page-table
 * locks, but any mmap lock and folio locks may be held.
 */
void memcg_pt_overshoot(void)
{
	struct mem_cgroup *memcg, *iter;

	current->memcg_pt_over = 0;
	/* a remote charge has kicked the worker of its cgroup */
	if ((current->flags & PF_MEMALLOC) || !in_task() || current->active_memcg)
		return;
	memcg = get_mem_cgroup_from_current();
	for (iter = memcg; iter && !mem_cgroup_is_root(iter); iter = parent_mem_cgroup(iter))
		if (memcg_pt_settled(iter) > READ_ONCE(iter->pt.usage.max))
			memcg_pt_enforce_max(iter, MEMCG_PT_CHARGE);
	mem_cgroup_put(memcg);
}

/*
 * What current does for one of its cgroups on return to user space.  @done: it has
 * held an mmap lock already, which is enough for one return but over memory.pt.max.
 * Returns whether it has now.
 */
static bool pt_enforce_on_return(struct mem_cgroup *memcg, bool done)
{
	unsigned long settled = memcg_pt_settled(memcg);
	unsigned long high = READ_ONCE(memcg->pt.usage.high);
	bool over_max = settled > READ_ONCE(memcg->pt.usage.max);

	if (!over_max && settled <= high)
		return done;
	/* the tables may belong to others as well, who live on */
	if (fatal_signal_pending(current) || (done && !over_max)) {
		memcg_pt_kick(memcg, 1);
		return done;
	}
	if (!over_max)
		return pt_piece_of_own(memcg, high);
	memcg_pt_enforce_max(memcg, MEMCG_PT_RETURN);
	return true;
}

bool __memcg_pt_return_to_user(void)
{
	struct mem_cgroup *memcg, *iter;
	long left = HZ;		/* for all levels together */
	bool done = false;

	current->memcg_pt_pending = false;
	current->memcg_pt_over = 0;
	current->freept_pmd = NULL;	/* no fault of ours needs it */
	memcg = get_mem_cgroup_from_current();
	for (iter = memcg; iter && !mem_cgroup_is_root(iter); iter = parent_mem_cgroup(iter)) {
		unsigned long max = READ_ONCE(iter->pt.usage.max);

		done = pt_enforce_on_return(iter, done);
		if (page_counter_read(&iter->pt.usage) > max && left > 0)
			left = memcg_pt_wait_in_flight(iter, max / 4, left);
	}
	mem_cgroup_put(memcg);
	return done;
}

/* The highest cgroup in which @nr more tables of @memcg would be over pt.max */
static struct mem_cgroup *pt_at_max(struct mem_cgroup *memcg, unsigned int nr)
{
	struct mem_cgroup *at_max = NULL;

	for (; memcg && !mem_cgroup_is_root(memcg); memcg = parent_mem_cgroup(memcg))
		if (memcg_pt_settled(memcg) + nr > READ_ONCE(memcg->pt.usage.max))
			at_max = memcg;
	return at_max;
}

bool __memcg_pt_fork_stops(void)
{
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = pt_at_max(mem_cgroup_from_task(current), 1);
	if (memcg)
		current->memcg_pt_fork_stopped = mem_cgroup_id(memcg);
	rcu_read_unlock();
	return memcg;
}

bool __memcg_pt_retry_fork(void)
{
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = mem_cgroup_from_id(current->memcg_pt_fork_stopped);
	if (memcg && !css_tryget(&memcg->css))
		memcg = NULL;
	rcu_read_unlock();
	current->memcg_pt_fork_stopped = 0;
	if (!memcg)
		return false;
	memcg_pt_enforce_max(memcg, MEMCG_PT_FORK);
	mem_cgroup_put(memcg);
	return !fatal_signal_pending(current);
}

bool __memcg_pt_stop_populate(struct vm_area_struct *vma, unsigned long addr)
{
	unsigned int nr = 1;
	pmd_t *pmd;
	bool stop;

	/* they may need no table, and have entries of their own kind above */
	if (is_vm_hugetlb_page(vma) || vma_is_dax(vma))
		return false;
	pmd = mm_find_pmd(vma->vm_mm, addr);
	if (!pmd)
		nr = PT_KINDS;
	else if (!pmd_none(pmdp_get_lockless(pmd)))
		return false;

	rcu_read_lock();
	stop = pt_at_max(mem_cgroup_from_task(current), nr);
	rcu_read_unlock();
	return stop;
}

/**
 * memcg_pt_make_room - populating has stopped: free empty tables
 *
 * Reclaims from those cgroups of current that are at their memory.pt.max.
 *
 * Context: Process context, no mmap lock is held.
 */
void memcg_pt_make_room(void)
{
	struct mem_cgroup *memcg, *iter;

	memcg = get_mem_cgroup_from_current();
	for (iter = memcg; iter && !mem_cgroup_is_root(iter); iter = parent_mem_cgroup(iter))
		if (memcg_pt_settled(iter) + PT_KINDS > READ_ONCE(iter->pt.usage.max))
			memcg_pt_enforce_max(iter, MEMCG_PT_POPULATE);
	mem_cgroup_put(memcg);
}
