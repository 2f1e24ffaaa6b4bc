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
 *   trylocks only.  For one that never comes back a work item does it.
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
 * removed from a page table of the cgroup; see pt_back_off().
 */
#define pr_fmt(fmt) "memcg-pt: " fmt

#include <linux/cgroup.h>
#include <linux/freept.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "internal.h"
#include "memcontrol-ptfree.h"

/* Visits to a busy mm in one pass */
#define PT_VISITS		3

/* Attempts with some success that one caller makes over memory.pt.max */
#define PT_ATTEMPTS		16

/* Pauses: at the most, and in multiples of the time that was wasted */
#define PT_PAUSE_MAX		(10 * HZ)
#define PT_PACE			64

/**
 * memcg_pt_pause_end - the next attempt may be made at once
 * @pause: of which budget
 *
 * Context: Any.
 */
void memcg_pt_pause_end(struct memcg_pt_pause *pause)
{
	WRITE_ONCE(pause->delay, 0);
	WRITE_ONCE(pause->earliest, jiffies);
	WRITE_ONCE(pause->retry, jiffies);
}

/* Jiffies to let pass for so much time that was spent for nothing */
static unsigned long pt_price(u64 wasted_ns)
{
	return nsecs_to_jiffies64(wasted_ns * PT_PACE + TICK_NSEC - 1);
}

/*
 * Nothing was found: no attempt for a while, twice as long as the last time.  An
 * unmapping in one of the mms that were visited shortens that, but not to less
 * than PT_PACE times what the pass took: this keeps the cost at a 64th of the
 * time, whatever the program does.
 */
static void pt_back_off(struct mem_cgroup *memcg, struct memcg_pt_pause *pause,
			u64 wasted_ns, int nr_unmaps)
{
	unsigned long least = pt_price(wasted_ns);
	unsigned int delay = clamp_t(unsigned int, pause->delay * 2, HZ / 100 + 1,
				     PT_PAUSE_MAX);

	delay = max_t(unsigned long, delay, least);
	WRITE_ONCE(pause->delay, delay);
	WRITE_ONCE(pause->earliest, jiffies + least);
	WRITE_ONCE(pause->retry, jiffies + delay);
	smp_mb();	/* either we see the unmapping, or it sees the pause */
	if (atomic_read(&memcg->pt.nr_unmaps) != nr_unmaps)
		WRITE_ONCE(pause->retry, jiffies + least);
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
		smp_mb__after_atomic();		/* pairs with pt_back_off() */
		delay = min(pt_pause_unmapped(&memcg->pt.pause_high),
			    pt_pause_unmapped(&memcg->pt.pause_max));
		/* it may allocate no table any more: then nobody else looks */
		if (delay != ULONG_MAX)
			memcg_pt_kick(memcg, delay + MEMCG_PT_VISIT_DELAY);
	}
	rcu_read_unlock();
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

/* Where an attempt stops: the budget less some room */
static unsigned long pt_target(unsigned long limit)
{
	return limit - limit / 16;
}

struct pt_killable {
	unsigned long sum;
	unsigned long most;
};

static int pt_add_killable(struct task_struct *task, void *arg)
{
	struct pt_killable *killable = arg;
	unsigned long nr;

	if (is_global_init(task) || (task->flags & PF_KTHREAD) ||
	    task->signal->oom_score_adj == OOM_SCORE_ADJ_MIN)
		return 0;
	task = find_lock_task_mm(task);
	if (!task)
		return 0;
	__acquire(&task->alloc_lock);	/* find_lock_task_mm() did */
	nr = mm_pgtables_bytes(task->mm) / PAGE_SIZE;
	task_unlock(task);
	killable->sum += nr;
	killable->most = max(killable->most, nr);
	return 0;
}

/*
 * Tables can be left from tasks that were moved away, or belong to tasks that
 * must not be killed.  Whose table is whose is not known; but if all that can be
 * killed have not as many as have to go, and none of them has the greater part,
 * then it is not their fault.
 */
static bool pt_kill_helps(struct mem_cgroup *memcg, unsigned long max)
{
	struct pt_killable killable = { };
	unsigned long settled;

	mem_cgroup_scan_tasks(memcg, pt_add_killable, &killable);
	settled = memcg_pt_settled(memcg);
	return killable.sum && (killable.sum + max >= settled ||
				killable.most >= settled / 2);
}

/* Has the last victim tables yet?  Context: budget_lock is held. */
static bool pt_victim_alive(struct mem_cgroup *memcg)
{
	struct mm_struct *mm = memcg->pt.victim;

	if (!mm)
		return false;
	if (mm_pgtables_bytes(mm))
		return true;
	memcg->pt.victim = NULL;
	mmdrop(mm);
	return false;
}

/*
 * Have a process killed.  mem_cgroup_out_of_memory() would see the margin that
 * memory.max has, and let everybody live.
 *
 * Returns whether there is a process that dies, to wait for.
 * Context: budget_lock is held, no mmap lock is.
 */
static bool pt_oom(struct mem_cgroup *memcg, unsigned long max)
{
	struct oom_control oc = {
		.memcg = memcg,
		.gfp_mask = GFP_KERNEL,
		.pagetables = true,
	};
	bool ret = true;

	if (pt_victim_alive(memcg))
		return true;

	memcg_pt_count(memcg, MEMCG_PT_OOM);
	if (!pt_kill_helps(memcg, max)) {
		if (!memcg->pt.warned) {
			memcg->pt.warned = true;
			pr_warn("over memory.pt.max, nothing to free, and no kill can help: ");
			pr_cont_cgroup_path(memcg->css.cgroup);
			pr_cont("\n");
		}
		return false;
	}

	if (mutex_lock_killable(&oom_lock))
		return true;
	if (memcg_pt_settled(memcg) > max && !fatal_signal_pending(current) &&
	    !(current->flags & PF_EXITING))
		ret = out_of_memory(&oc);
	if (oc.victim) {
		memcg->pt.victim = oc.victim;
		pr_warn("page tables: usage %lukB, limit %lukB, killed for it in ",
			memcg_pt_settled(memcg) << (PAGE_SHIFT - 10),
			max << (PAGE_SHIFT - 10));
		pr_cont_cgroup_path(memcg->css.cgroup);
		pr_cont("\n");
	}
	mutex_unlock(&oom_lock);
	return ret;
}

/* Give a victim the time to exit, a second at the most */
static void pt_wait_victim(struct mem_cgroup *memcg, unsigned long max)
{
	unsigned long end = jiffies + HZ;

	while (memcg_pt_settled(memcg) > max && time_before(jiffies, end) &&
	       !fatal_signal_pending(current))
		schedule_timeout_killable(MEMCG_PT_VISIT_DELAY);
}

/*
 * A pass was not enough.  What else can the caller do?  Returns false: nothing.
 */
static bool pt_last_resort(struct memcg_pt_pass *pass, enum memcg_pt_caller caller,
			   unsigned int *visits, unsigned long max)
{
	struct mem_cgroup *memcg = pass->memcg;

	if (caller == MEMCG_PT_POPULATE)
		return false;
	if (caller == MEMCG_PT_CHARGE) {
		/* the work item may do what must not be done here */
		memcg_pt_kick(memcg, 1);
		return false;
	}
	if (pass->again && ++*visits < PT_VISITS) {
		pass->again = false;
		schedule_timeout_killable(MEMCG_PT_VISIT_DELAY);
		return true;
	}
	memcg_pt_wait_in_flight(memcg, 0);
	if (caller == MEMCG_PT_FORK)
		return false;
	if (memcg_pt_settled(memcg) <= max)
		return true;
	if (memcg_pt_in_flight(memcg)) {
		/* others free without pause: not the time to decide on a kill */
		memcg_pt_kick(memcg, MEMCG_PT_VISIT_DELAY);
		return false;
	}
	if (!pt_oom(memcg, max))
		return false;
	pt_wait_victim(memcg, max);
	return memcg_pt_settled(memcg) <= max || !pt_victim_alive(memcg);
}

/**
 * memcg_pt_enforce_max - bring a cgroup under its memory.pt.max
 * @memcg: the cgroup, not the root
 * @caller: who asks, and so what may be done
 *
 * Context: Process context; see enum memcg_pt_caller for the locks.
 * Return: true if there is a chance that another call gets further.
 */
bool memcg_pt_enforce_max(struct mem_cgroup *memcg, enum memcg_pt_caller caller)
{
	/* what may fail or goes on later makes one attempt */
	bool persistent = caller >= MEMCG_PT_RETURN;
	struct memcg_pt_pause *pause = &memcg->pt.pause_max;
	int nr_unmaps = atomic_read(&memcg->pt.nr_unmaps);
	unsigned int attempts = 0, visits = 0;
	bool counted = false, chance = true;
	struct memcg_pt_pass pass;
	unsigned long max;

	if (caller == MEMCG_PT_CHARGE) {
		if (!mutex_trylock(&memcg->pt.budget_lock))
			return true;	/* somebody is at it */
	} else if (mutex_lock_killable(&memcg->pt.budget_lock)) {
		return false;
	}

	memcg_pt_pass_init(&pass, memcg);
	while (chance) {
		max = READ_ONCE(memcg->pt.usage.max);
		if (persistent && memcg_pt_settled(memcg) <= max)
			break;
		/* explicit calls have an answer to give */
		if (fatal_signal_pending(current) ||
		    ((caller == MEMCG_PT_CHARGE || caller == MEMCG_PT_RETURN ||
		      caller == MEMCG_PT_WORKER) &&
		     time_before(jiffies, READ_ONCE(pause->retry)))) {
			chance = false;
			break;
		}
		if (!counted)
			memcg_pt_count(memcg, MEMCG_PT_MAX);
		counted = true;

		pass.target = caller == MEMCG_PT_FORK ? 0 : pt_target(max);
		pass.nr_freed = 0;
		if (caller != MEMCG_PT_WRITE && current->mm)
			memcg_pt_walk_mm(&pass, current->mm);
		memcg_pt_walk_subtree(&pass);

		if (caller != MEMCG_PT_FORK && memcg_pt_settled(memcg) <= max)
			break;
		if (persistent && pass.nr_freed) {
			/* there may be more by now */
			if (++attempts == PT_ATTEMPTS) {
				memcg_pt_kick(memcg, MEMCG_PT_VISIT_DELAY);
				break;
			}
			memcg_pt_pass_init(&pass, memcg);
			visits = 0;
			continue;
		}
		chance = pt_last_resort(&pass, caller, &visits, max);
	}

	if (counted && persistent) {
		if (memcg_pt_settled(memcg) <= READ_ONCE(memcg->pt.usage.max))
			memcg_pt_pause_end(pause);
		else if (!pass.nr_freed)
			pt_back_off(memcg, pause, pass.wasted_ns, nr_unmaps);
	}
	mutex_unlock(&memcg->pt.budget_lock);
	return chance;
}

/* Over memory.pt.high: one piece of the caller's own mm.  Context: no locks. */
static void pt_piece_of_own(struct mem_cgroup *memcg, unsigned long high)
{
	struct memcg_pt_pause *pause = &memcg->pt.pause_high;
	struct memcg_pt_pass pass;
	DEFINE_FREEPT_CONTROL(fc);

	if (time_before(jiffies, READ_ONCE(pause->retry)))
		return;
	memcg_pt_count(memcg, MEMCG_PT_HIGH);

	memcg_pt_pass_init(&pass, memcg);
	pass.target = pt_target(high);
	fc.start = READ_ONCE(current->mm->freept.cursor);
	memcg_pt_piece(&pass, current->mm, &fc);
	if (memcg_pt_settled(memcg) <= high)
		return;
	/* the next one would find the same, until the work item has been at it */
	WRITE_ONCE(pause->retry, jiffies + pt_price(pass.wasted_ns) +
				 (pass.nr_freed ? 0 : 2));
	memcg_pt_kick(memcg, 1);
}

/*
 * Over memory.pt.high: all of the subtree.  Returns the jiffies after which to
 * come back, 0: not.
 */
static unsigned long pt_enforce_high(struct mem_cgroup *memcg)
{
	struct memcg_pt_pause *pause = &memcg->pt.pause_high;
	unsigned long high = READ_ONCE(memcg->pt.usage.high), again = 0;
	int nr_unmaps = atomic_read(&memcg->pt.nr_unmaps);
	struct memcg_pt_pass pass;

	if (memcg_pt_settled(memcg) <= high)
		return 0;

	mutex_lock(&memcg->pt.budget_lock);
	memcg_pt_count(memcg, MEMCG_PT_HIGH);
	memcg_pt_pass_init(&pass, memcg);
	pass.target = pt_target(high);
	memcg_pt_walk_subtree(&pass);
	if (memcg_pt_settled(memcg) <= high) {
		memcg_pt_pause_end(pause);
	} else if (pass.nr_freed) {
		again = MEMCG_PT_VISIT_DELAY + pt_price(pass.wasted_ns);
		WRITE_ONCE(pause->retry, jiffies + again);
	} else {
		pt_back_off(memcg, pause, pass.wasted_ns, nr_unmaps);
		if (pass.again)
			again = pause->delay;
	}
	mutex_unlock(&memcg->pt.budget_lock);
	return again;
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
	unsigned long again = 0;

	if (!mem_cgroup_online(memcg))
		return;
	if (memcg_pt_settled(memcg) > READ_ONCE(memcg->pt.usage.max) &&
	    memcg_pt_enforce_max(memcg, MEMCG_PT_WORKER))
		again = MEMCG_PT_VISIT_DELAY;
	again = max(again, pt_enforce_high(memcg));
	if (again)
		memcg_pt_kick(memcg, again);
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
	queue_delayed_work(system_unbound_wq, &memcg->pt.work, delay);
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
	    (current->memcg_pt_pending || freept_notify()))
		current->memcg_pt_pending = true;
	else
		memcg_pt_kick(memcg, 1);
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
	if (!gfpflags_allow_blocking(current_gfp_context(GFP_KERNEL)) ||
	    (current->flags & PF_MEMALLOC) || !in_task())
		return;
	memcg = get_mem_cgroup_from_current();
	for (iter = memcg; iter && !mem_cgroup_is_root(iter); iter = parent_mem_cgroup(iter))
		if (memcg_pt_settled(iter) > READ_ONCE(iter->pt.usage.max))
			memcg_pt_enforce_max(iter, MEMCG_PT_CHARGE);
	mem_cgroup_put(memcg);
}

void __memcg_pt_return_to_user(void)
{
	struct mem_cgroup *memcg, *iter;

	current->memcg_pt_pending = false;
	current->memcg_pt_over = 0;
	memcg = get_mem_cgroup_from_current();
	for (iter = memcg; iter && !mem_cgroup_is_root(iter); iter = parent_mem_cgroup(iter)) {
		unsigned long max = READ_ONCE(iter->pt.usage.max);
		unsigned long high = READ_ONCE(iter->pt.usage.high);

		if (fatal_signal_pending(current))
			break;
		if (memcg_pt_settled(iter) > max)
			memcg_pt_enforce_max(iter, MEMCG_PT_RETURN);
		else if (memcg_pt_settled(iter) > high)
			pt_piece_of_own(iter, high);
		if (page_counter_read(&iter->pt.usage) > max)
			memcg_pt_wait_in_flight(iter, max / 4);
	}
	mem_cgroup_put(memcg);
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

bool __memcg_pt_stop_populate(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = mm_find_pmd(mm, addr);
	unsigned int nr = pmd ? 1 : 3;	/* up to a PUD table */
	struct mem_cgroup *memcg, *iter;
	bool stop = false;

	if (pmd && !pmd_none(pmdp_get_lockless(pmd)))
		return false;

	memcg = get_mem_cgroup_from_current();
	for (iter = memcg; iter && !mem_cgroup_is_root(iter) && !stop;
	     iter = parent_mem_cgroup(iter)) {
		unsigned long max = READ_ONCE(iter->pt.usage.max);

		if (memcg_pt_settled(iter) + nr <= max)
			continue;
		memcg_pt_enforce_max(iter, MEMCG_PT_POPULATE);
		stop = memcg_pt_settled(iter) + nr > max;
	}
	mem_cgroup_put(memcg);
	return stop;
}
