// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of memory cgroups: which processes are searched for empty ones
 *
 * The engine in mm/freept.c frees empty PTE tables of one mm.  This file takes
 * it through all processes of a cgroup and its descendants, for a budget
 * (mm/memcontrol-ptbudget.c) or for a write to memory.pt_reclaim.
 *
 * A pass
 *   visits all processes of the subtree, with trylocks.  It is complete if no
 *   mm was missed: because its mmap lock was held, or, for a budget, because it
 *   had tables that are empty but younger than a jiffy.  (A table that is freed
 *   between its allocation and its use is allocated again: nobody must do that
 *   for ever to a task that reclaims inside its own charge.)  After so many
 *   visits, 10 ms apart, such an mm counts as looked at.
 *
 * In flight
 *   are tables that were unlinked and wait for RCU.  They are charged until
 *   they are freed.  Decisions are made on what usage will be then.
 */
#include <linux/cgroup.h>
#include <linux/freept.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/wait.h>

#include "memcontrol-v1.h"
#include "memcontrol-ptfree.h"

/* An explicit request goes on for so long without success, in jiffies */
#define PT_REQUEST_PATIENCE	HZ

/* Inside a visit, after some progress, a piece is tried again so often */
#define PT_TRIES		3

/* Some tables in flight have been freed */
static DECLARE_WAIT_QUEUE_HEAD(pt_freed_wait);

static atomic_t pt_pass_id;

/**
 * memcg_pt_in_flight - tables of a cgroup that were unlinked and are charged yet
 * @memcg: the cgroup
 *
 * Context: Any.
 * Return: Number of tables, rather too many than too few.
 */
unsigned long memcg_pt_in_flight(struct mem_cgroup *memcg)
{
	unsigned long freed = atomic_long_read(&memcg->pt.freed);

	smp_rmb();	/* none is freed that has not been unlinked */
	return atomic_long_read(&memcg->pt.unlinked) - freed;
}

/**
 * memcg_pt_settled - the usage of a cgroup without what is in flight
 * @memcg: the cgroup, not the root
 *
 * Context: Any.
 * Return: Number of tables, rather too few than too many.
 */
unsigned long memcg_pt_settled(struct mem_cgroup *memcg)
{
	unsigned long in_flight = memcg_pt_in_flight(memcg);
	unsigned long usage;

	smp_rmb();	/* uncharged first, then counted as freed */
	usage = page_counter_read(&memcg->pt.usage);
	return usage - min(usage, in_flight);
}

/**
 * memcg_pt_unlinked - tables are on their way to be freed by RCU
 * @memcg: the cgroup that they are charged to, or NULL
 * @nr: how many
 *
 * Context: Any, in the RCU read-side section in which @memcg was found.
 */
void memcg_pt_unlinked(struct mem_cgroup *memcg, unsigned int nr)
{
	if (mem_cgroup_disabled())
		return;
	for (memcg = memcg ?: root_mem_cgroup; memcg; memcg = parent_mem_cgroup(memcg))
		atomic_long_add(nr, &memcg->pt.unlinked);
}

/**
 * memcg_pt_freed - tables that were reported as unlinked are freed, uncharged
 * @memcg: the cgroup that they were charged to, or NULL
 * @nr: how many
 *
 * Who waits for that learns of it by memcg_pt_freed_wake().
 *
 * Context: Any, in the RCU read-side section in which @memcg was found.
 */
void memcg_pt_freed(struct mem_cgroup *memcg, unsigned int nr)
{
	if (mem_cgroup_disabled())
		return;
	smp_mb__before_atomic();	/* pairs with memcg_pt_settled() */
	for (memcg = memcg ?: root_mem_cgroup; memcg; memcg = parent_mem_cgroup(memcg))
		atomic_long_add(nr, &memcg->pt.freed);
}

/**
 * memcg_pt_freed_wake - memcg_pt_freed() was called, have those look who wait
 *
 * Once for many tables: all waiters are woken, whatever they wait for.
 *
 * Context: Any.
 */
void memcg_pt_freed_wake(void)
{
	if (wq_has_sleeper(&pt_freed_wait))
		wake_up_all(&pt_freed_wait);
}

/**
 * memcg_pt_wait_in_flight - wait until few tables are in flight
 * @memcg: the cgroup
 * @nr: so many may be
 * @timeout: jiffies to wait at the most
 *
 * Context: Process context, no mmap lock is held.
 * Return: The jiffies that are left of @timeout; negative on a fatal signal.
 */
long memcg_pt_wait_in_flight(struct mem_cgroup *memcg, unsigned long nr, long timeout)
{
	return wait_event_killable_timeout(pt_freed_wait,
					   memcg_pt_in_flight(memcg) <= nr, timeout);
}

/* Is all freed that was unlinked when pt.unlinked was @goal? */
static bool pt_has_freed(struct mem_cgroup *memcg, unsigned long goal)
{
	return (long)(atomic_long_read(&memcg->pt.freed) - goal) >= 0;
}

/**
 * memcg_pt_wait_freed - wait until all is freed that is in flight now
 * @memcg: the cgroup
 * @timeout: jiffies to wait at the most
 *
 * Context: Process context, no mmap lock is held.
 * Return: false if the time was too short, or on a fatal signal.
 */
bool memcg_pt_wait_freed(struct mem_cgroup *memcg, long timeout)
{
	unsigned long goal = atomic_long_read(&memcg->pt.unlinked);

	return wait_event_killable_timeout(pt_freed_wait,
					   pt_has_freed(memcg, goal), timeout) > 0;
}

/**
 * memcg_pt_new_id - what mms are marked with that were visited
 *
 * Context: Any.
 * Return: A number that no other pass has, for a long time.
 */
int memcg_pt_new_id(void)
{
	return atomic_inc_return(&pt_pass_id);
}

/**
 * memcg_pt_pass_init - begin a pass
 * @pass: the pass
 * @memcg: whose subtree to go through
 *
 * Context: Any.
 */
void memcg_pt_pass_init(struct memcg_pt_pass *pass, struct mem_cgroup *memcg)
{
	*pass = (struct memcg_pt_pass) {
		.memcg = memcg,
		.id = memcg_pt_new_id(),
		.pieces = UINT_MAX,
	};
}

/* How many tables are still to be freed? */
static unsigned long pt_left(struct memcg_pt_pass *pass)
{
	unsigned long settled;

	if (pass->pressure || pass->request)
		return pass->nr - min(pass->nr, pass->nr_counted);
	settled = memcg_pt_settled(pass->memcg);
	return settled - min(settled, pass->target);
}

static bool pt_stop(struct memcg_pt_pass *pass)
{
	if (pass->interruptible ? signal_pending(current) :
				  fatal_signal_pending(current))
		return true;
	return !pass->pieces || !pt_left(pass);
}

/**
 * memcg_pt_piece - free empty tables of one mm, as far as a hold of its lock goes
 * @pass: for whom, and how many; takes the counts
 * @mm: the mm, which the caller keeps alive
 * @fc: the range, of which fc->start is moved on
 *
 * Context: Process context; locks may be held, as it does not wait for any.
 * Return: 0; -EAGAIN if something was left that may be had later.
 */
int memcg_pt_piece(struct memcg_pt_pass *pass, struct mm_struct *mm,
		   struct freept_control *fc)
{
	bool root = mem_cgroup_is_root(pass->memcg);
	int ret;

	/* whatever is unmapped from now on ends the back-off */
	WRITE_ONCE(mm->freept.watched, true);
	smp_mb();	/* pairs with __memcg_pt_unmapped() */
	pass->pieces--;
	fc->memcg = root ? NULL : pass->memcg;
	fc->flags = pass->request ? 0 : FREEPT_OLD;
	fc->nr_scanned = 0;
	fc->work = 0;
	fc->nr_freed = 0;
	fc->nr_charged = 0;
	fc->nr_young = 0;
	fc->scan_ns = 0;
	fc->nr_to_scan = FREEPT_HOLD_SCAN;
	fc->nr_to_free = min_t(unsigned long, pt_left(pass), FREEPT_HOLD_FREE);

	ret = freept_reclaim_mm(mm, fc);

	pass->wasted_ns += freept_price(fc->scan_ns, fc->work, fc->nr_freed);
	pass->nr_scanned += fc->nr_scanned;
	pass->nr_freed += fc->nr_freed;
	pass->nr_counted += root ? fc->nr_freed : fc->nr_charged;
	WRITE_ONCE(mm->freept.cursor, fc->start < fc->end ? fc->start : 0);
	if (ret == -EAGAIN || fc->nr_young)
		pass->again = true;
	return fc->nr_young && !ret ? -EAGAIN : ret;
}

/**
 * memcg_pt_walk_mm - go once round an mm, beginning where the last pass ended
 * @pass: for whom, and how many; takes the counts
 * @mm: the mm, which the caller keeps alive
 *
 * Does nothing if the pass has been there.
 *
 * Context: Process context; locks may be held, as it does not wait for any.
 */
void memcg_pt_walk_mm(struct memcg_pt_pass *pass, struct mm_struct *mm)
{
	unsigned long cursor = READ_ONCE(mm->freept.cursor);
	bool complete = true;
	int half, tries = 0;

	if (READ_ONCE(mm->freept.pass) == pass->id)
		return;
	for (half = 0; half < 2; half++) {
		DEFINE_FREEPT_CONTROL(fc);
		unsigned long start;
		int ret;

		if (half)
			fc.end = cursor;
		else
			fc.start = cursor;
		while (fc.start < fc.end) {
			/* it is to exit: do not keep it from that */
			if (mm != current->mm && atomic_read(&mm->mm_users) == 1)
				return;
			if (pt_stop(pass))
				return;
			start = fc.start;
			ret = memcg_pt_piece(pass, mm, &fc);
			if (fc.nr_young)
				complete = false;
			if (fc.start != start) {
				tries = PT_TRIES;
			} else if (ret && !fc.nr_young) {
				/* a lap that has begun is not given up at once */
				if (!pass->may_wait || !tries--)
					return;
				schedule_timeout_killable(MEMCG_PT_VISIT_DELAY);
			}
			cond_resched();
		}
	}
	if (complete)
		WRITE_ONCE(mm->freept.pass, pass->id);
}

/* The mm of @task's process with a reference, if it was not visited yet */
static struct mm_struct *pt_get_mm(struct memcg_pt_pass *pass, struct task_struct *task)
{
	struct mm_struct *mm = NULL;

	/* it changes others of its flags itself, never this one */
	if (data_race(task->flags) & PF_KTHREAD)
		return NULL;
	/* a leader can be a zombie while its threads live */
	task = find_lock_task_mm(task);
	if (!task)
		return NULL;
	__acquire(&task->alloc_lock);	/* find_lock_task_mm() did */
	if (READ_ONCE(task->mm->freept.pass) != pass->id &&
	    mmget_not_zero(task->mm))
		mm = task->mm;
	task_unlock(task);
	return mm;
}

/**
 * memcg_pt_walk_subtree - go through all processes of a cgroup and below
 * @pass: for whom, and how many; takes the counts
 *
 * Visits every mm that this pass has not been through yet.  The iterator over
 * tasks holds no lock between two steps: it pins its css_set, and a task that
 * leaves moves it on.
 *
 * Context: Process context; locks may be held, as it does not wait for any.
 */
void memcg_pt_walk_subtree(struct memcg_pt_pass *pass)
{
	struct mem_cgroup *iter;

	for_each_mem_cgroup_tree(iter, pass->memcg) {
		struct css_task_iter it;
		struct task_struct *task;

		css_task_iter_start(&iter->css, CSS_TASK_ITER_PROCS, &it);
		while (!pt_stop(pass) && (task = css_task_iter_next(&it))) {
			struct mm_struct *mm = NULL;

			if (pass->visited++ >= pass->skip)
				mm = pt_get_mm(pass, task);
			cond_resched();
			if (!mm)
				continue;
			memcg_pt_walk_mm(pass, mm);
			/* locks may be held: exit_mmap() not here */
			mmput_async(mm);
		}
		css_task_iter_end(&it);
		cond_resched();
		if (pt_stop(pass)) {
			mem_cgroup_iter_break(pass->memcg, iter);
			return;
		}
	}
}

/**
 * memcg_pt_reclaim - free empty tables of a subtree, as asked for
 * @memcg: the cgroup; for the root, tables that are not charged count as well
 * @nr: how many
 *
 * Returns when the charge of those that were freed is gone.
 *
 * Context: Process context, no mmap lock is held.
 * Return: 0; -EAGAIN if there were fewer; -EINTR on a signal.
 */
int memcg_pt_reclaim(struct mem_cgroup *memcg, unsigned long nr)
{
	struct memcg_pt_pass pass;
	unsigned long end, goal, nr_freed = 0;
	int ret = 0;

	/* many at once would all look at the same */
	if (mutex_lock_interruptible(&memcg->pt.request_lock))
		return -EINTR;

	memcg_pt_pass_init(&pass, memcg);
	pass.request = true;
	pass.interruptible = true;
	pass.may_wait = true;
	pass.nr = nr;
	end = jiffies + PT_REQUEST_PATIENCE;
	for (;;) {
		memcg_pt_walk_subtree(&pass);
		if (!pt_left(&pass))
			break;
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		if (pass.nr_freed != nr_freed)
			end = jiffies + PT_REQUEST_PATIENCE;
		nr_freed = pass.nr_freed;
		if (!pass.again || time_after(jiffies, end)) {
			ret = -EAGAIN;
			break;
		}
		pass.again = false;
		schedule_timeout_interruptible(MEMCG_PT_VISIT_DELAY);
	}
	mutex_unlock(&memcg->pt.request_lock);

	if (pass.nr_freed && ret != -EINTR) {
		goal = atomic_long_read(&memcg->pt.unlinked);
		if (wait_event_interruptible(pt_freed_wait, pt_has_freed(memcg, goal)))
			ret = -EINTR;
	}
	return ret;
}
