// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of memory cgroups: who is killed over memory.pt.max, and when
 *
 * The last resort, when a complete pass over the processes of the cgroup has found
 * no empty table and none is in flight.  The victim is chosen by page tables, see
 * oom_badness(), and nobody is killed where that cannot help.
 */
#define pr_fmt(fmt) "memcg-pt: " fmt

#include <linux/cgroup.h>
#include <linux/freept.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "memcontrol-ptfree.h"

/* How long the kill of one whose mmap lock cannot be had is put off */
#define PT_BUSY_PATIENCE	(10 * HZ)

struct pt_killable {
	unsigned long sum;
	unsigned long most;
	int id;		/* mms that are counted are marked with */
	bool busy;	/* the mmap lock of the one with the most is held for writing */
	bool dying;	/* somebody gives his tables back right now */
};

static int pt_add_killable(struct task_struct *p, void *arg)
{
	struct pt_killable *killable = arg;
	struct task_struct *task;
	unsigned long nr = 0;

	/* it changes others of its flags itself, never this one */
	if (is_global_init(p) || (data_race(p->flags) & PF_KTHREAD))
		return 0;
	task = find_lock_task_mm(p);
	if (!task) {
		/* between exit_mm() and the end: nobody finds the mm any more */
		killable->dying = true;
		return 0;
	}
	__acquire(&task->alloc_lock);	/* find_lock_task_mm() did */
	if (task->signal->flags & SIGNAL_GROUP_EXIT) {
		killable->dying = true;
	} else if (task->signal->oom_score_adj != OOM_SCORE_ADJ_MIN &&
		   !test_bit(MMF_OOM_SKIP, &task->mm->flags) &&
		   !in_vfork(task) &&
		   READ_ONCE(task->mm->freept.pass) != killable->id) {
		nr = mm_pgtables_bytes(task->mm) / PAGE_SIZE;
		/* only now: of two with one mm the other may be the one to count */
		WRITE_ONCE(task->mm->freept.pass, killable->id);
	}
	if (nr > killable->most) {
		killable->most = nr;
		killable->busy = !mmap_read_trylock(task->mm);
		if (!killable->busy)
			mmap_read_unlock(task->mm);
	}
	task_unlock(task);
	killable->sum += nr;
	return 0;
}

/*
 * Tables can be left from tasks that were moved away, or belong to tasks that
 * must not be killed.  Whose table is whose is not known; but if all that can be
 * killed have not as many as have to go, and none of them has the greater part,
 * then it is not their fault.
 */
static bool pt_kill_helps(struct pt_killable *killable, unsigned long settled,
			  unsigned long max)
{
	return killable->sum && (killable->sum + max >= settled ||
				 killable->most >= (settled + 1) / 2);
}

/*
 * A call that holds its own mmap lock for writing may be over by what it needs:
 * mremap() has many tables twice until it is done.  Who is not let go of for long is
 * taken for one that never will be.  Context: budget_lock is held.
 */
static bool pt_put_off(struct mem_cgroup *memcg, bool busy)
{
	unsigned long *since = &memcg->pt.busy_since;

	if (!busy) {
		*since = 0;
		return false;
	}
	if (!*since)
		*since = jiffies ?: 1;
	return time_before(jiffies, *since + PT_BUSY_PATIENCE);
}

/**
 * memcg_pt_victim_alive - has the last victim tables yet?
 * @memcg: the cgroup
 *
 * Context: budget_lock is held.
 * Return: true if there is one and it has.
 */
bool memcg_pt_victim_alive(struct mem_cgroup *memcg)
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

/* Wait until usage falls under @max.  Returns whether it has fallen at all. */
static bool pt_wait_exit(struct mem_cgroup *memcg, unsigned long max,
			 enum memcg_pt_caller caller)
{
	unsigned long end = jiffies + (caller == MEMCG_PT_WRITE ? 10 * HZ : HZ);
	unsigned long before = memcg_pt_settled(memcg);

	while (memcg_pt_settled(memcg) > max && time_before(jiffies, end)) {
		if (caller == MEMCG_PT_WRITE ? signal_pending(current) :
					       fatal_signal_pending(current))
			break;
		/* the rest of what was his, or another one's turn */
		if (memcg->pt.victim && !memcg_pt_victim_alive(memcg))
			break;
		schedule_timeout_idle(MEMCG_PT_VISIT_DELAY);
	}
	return memcg_pt_settled(memcg) < before;
}

static void pt_say(struct mem_cgroup *memcg, unsigned long max, const char *what)
{
	char path[256];

	cgroup_path(memcg->css.cgroup, path, sizeof(path));
	pr_warn("page tables: usage %lukB, limit %lukB, %s, in %s\n",
		memcg_pt_usage(memcg) << (PAGE_SHIFT - 10),
		max << (PAGE_SHIFT - 10), what, path);
}

/**
 * memcg_pt_oom - a complete pass over memory.pt.max has found nothing to free
 * @memcg: the cgroup, not the root
 * @max: its limit, in tables
 * @caller: who enforces it: MEMCG_PT_RETURN, MEMCG_PT_WRITE or MEMCG_PT_WORKER
 *
 * Has a process killed, but not while one is dying.  mem_cgroup_out_of_memory()
 * would see the margin that memory.max has, and let everybody live.
 *
 * Context: Process context; budget_lock is held, no mmap lock is.
 * Return: Whether usage has fallen, or that may be so after another pass.
 */
bool memcg_pt_oom(struct mem_cgroup *memcg, unsigned long max,
		  enum memcg_pt_caller caller)
{
	struct pt_killable killable = { .id = memcg_pt_new_id() };
	struct mm_struct *victim = NULL;
	struct oom_control oc = {
		.memcg = memcg,
		.gfp_mask = GFP_KERNEL,
		.pt_victim = &victim,
	};
	bool ret = false;

	if (!memcg_pt_wait_freed(memcg, HZ))
		return false;
	if (memcg_pt_settled(memcg) <= max)
		return true;
	if (memcg_pt_victim_alive(memcg))
		return pt_wait_exit(memcg, max, caller);

	mem_cgroup_scan_tasks(memcg, pt_add_killable, &killable);
	if (killable.dying && pt_wait_exit(memcg, max, caller))
		return true;
	if (caller == MEMCG_PT_WRITE ? signal_pending(current) :
				       fatal_signal_pending(current))
		return false;

	if (pt_put_off(memcg, killable.busy))
		return false;

	memcg_pt_count(memcg, MEMCG_PT_OOM);
	if (!pt_kill_helps(&killable, memcg_pt_settled(memcg), max)) {
		memcg_pt_trace(memcg, max, 0, FREEPT_ACTION_NO_KILL);
		if (!memcg->pt.warned)
			pt_say(memcg, max, "nothing to free, and no kill can help");
		memcg->pt.warned = true;
		return false;
	}

	if (mutex_lock_killable(&oom_lock))
		return false;
	/* it may have been raised meanwhile */
	max = READ_ONCE(memcg->pt.usage.max);
	if (memcg_pt_settled(memcg) > max && !(current->flags & PF_EXITING))
		ret = out_of_memory(&oc);
	if (victim) {
		memcg->pt.victim = victim;
		memcg_pt_trace(memcg, max, 0, FREEPT_ACTION_KILL);
		pt_say(memcg, max, "a process was killed");
	}
	mutex_unlock(&oom_lock);
	return ret && pt_wait_exit(memcg, max, caller);
}
