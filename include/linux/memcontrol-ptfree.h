/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MEMCONTROL_PTFREE_H
#define _LINUX_MEMCONTROL_PTFREE_H

/*
 * Page tables of memory cgroups: counting, budgets, reclaim.  The opening
 * comment of mm/memcontrol-ptfree.c tells the contract.
 */

#include <linux/atomic.h>
#include <linux/cgroup-defs.h>
#include <linux/jump_label_ratelimit.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/page_counter.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

struct folio;
struct mem_cgroup;
struct mm_struct;
struct vm_area_struct;

#ifdef CONFIG_MEMCG_PTFREE

enum memcg_pt_event {
	MEMCG_PT_HIGH,
	MEMCG_PT_MAX,
	MEMCG_PT_OOM,
	MEMCG_PT_OOM_KILL,
	MEMCG_PT_NR_EVENTS,
};

/* No attempt before @retry, or @earliest if something is unmapped; in jiffies */
struct memcg_pt_pause {
	unsigned long retry;
	unsigned long earliest;
	unsigned int delay;
	int nr_unmaps;		/* pt.nr_unmaps when nothing was found */
	unsigned long bound;	/* usage from which on an attempt is made all the same */
};

/* What a memory cgroup knows of its page tables */
struct memcg_pt {
	/* Tables charged to the cgroup and below, memory.pt.high and .max */
	struct page_counter usage;

	/*
	 * Tables of the cgroup and below that were unlinked to be freed by RCU,
	 * and those of them that were freed: the difference is in flight.
	 */
	atomic_long_t unlinked;
	atomic_long_t freed;

	struct memcg_pt_pause pause_high;
	struct memcg_pt_pause pause_max;
	struct memcg_pt_pause pause_pressure;

	/* Under pressure: processes visited in this lap, and what that has freed */
	unsigned int pressure_pos;
	unsigned long pressure_freed;
	atomic_t nr_unmaps;

	/* One at a time who enforces memory.pt.max, or high for the subtree */
	struct mutex budget_lock;
	/* One at a time who has written to memory.pt_reclaim */
	struct mutex request_lock;

	/* For those who do not come back to user space: see memcg_pt_kick() */
	struct delayed_work work;

	/* Killed over memory.pt.max, with tables yet; under budget_lock */
	struct mm_struct *victim;
	/* Since when a kill is put off, or 0: the victim is busy; under budget_lock */
	unsigned long busy_since;

	bool limited;		/* has a budget: under pt_limits_lock */
	bool warned;		/* that no kill can help: once */

	atomic_long_t events[MEMCG_PT_NR_EVENTS];
	atomic_long_t events_local[MEMCG_PT_NR_EVENTS];
	struct cgroup_file events_file;
	struct cgroup_file events_local_file;

	/* Registered watchers of memory.pt.peak, under peaks_lock of the memcg */
	struct list_head peaks;
};

extern struct static_key_false_deferred memcg_pt_budgets;

void memcg_pt_init(struct mem_cgroup *memcg, struct mem_cgroup *parent);
void memcg_pt_online(struct mem_cgroup *memcg);
void memcg_pt_reset(struct mem_cgroup *memcg);
void memcg_pt_release(struct mem_cgroup *memcg);
bool memcg_pt_reclaim_before_oom(struct mem_cgroup *memcg);

bool memcg_pt_budgets_exist(void);
void memcg_pt_unlinked(struct mem_cgroup *memcg, unsigned int nr);
void memcg_pt_freed(struct mem_cgroup *memcg, unsigned int nr);
void memcg_pt_freed_wake(void);

bool __memcg_pt_return_to_user(void);
bool __memcg_pt_asked(struct mm_struct *mm);
void __memcg_pt_unmapped(struct mm_struct *mm);
bool __memcg_pt_fork_stops(void);
bool __memcg_pt_stop_populate(struct vm_area_struct *vma, unsigned long addr);
void memcg_pt_make_room(void);
bool __memcg_pt_retry_fork(void);
unsigned long memcg_pt_usage(struct mem_cgroup *memcg);
void memcg_pt_count_kill(struct mm_struct *mm);

/**
 * memcg_pt_task_init - a new task has not gone over any budget
 * @p: the task, a copy of current as yet
 *
 * Context: fork; the task does not run.
 */
static inline void memcg_pt_task_init(struct task_struct *p)
{
	p->memcg_pt_pending = false;
	p->memcg_pt_over = 0;
	p->memcg_pt_fork_stopped = 0;
}

/**
 * memcg_pt_return_to_user - enforce the budgets that current has gone over
 *
 * Context: Task work, on return to user space: no locks are held.
 * Return: true if it took a hold of an mmap lock or more: enough for one return.
 */
static inline bool memcg_pt_return_to_user(void)
{
	return unlikely(current->memcg_pt_pending) && __memcg_pt_return_to_user();
}

/**
 * memcg_pt_asked - is there a budget that asks for background work on an mm?
 * @mm: the mm
 *
 * Context: Any, run-queue locks included.
 * Return: true if a cgroup that the mm belongs to has one.
 */
static inline bool memcg_pt_asked(struct mm_struct *mm)
{
	return static_branch_unlikely(&memcg_pt_budgets.key) && __memcg_pt_asked(mm);
}

/**
 * memcg_pt_unmapped - entries were removed from the page tables of an mm
 * @mm: the mm
 *
 * Ends the back-off of budgets that had found nothing to free there.
 *
 * Context: Any in which a work item can be queued.
 */
static inline void memcg_pt_unmapped(struct mm_struct *mm)
{
	if (static_branch_unlikely(&memcg_pt_budgets.key))
		__memcg_pt_unmapped(mm);
}

/**
 * memcg_pt_fork_stops - may fork not allocate another table?
 * @needs_table: the child has none for the range
 *
 * Context: Process context; locks may be held.
 * Return: true if current's next table would be over a memory.pt.max; fork is
 * to be undone then, and memcg_pt_retry_fork() tells whether to try again.
 */
static inline bool memcg_pt_fork_stops(bool needs_table)
{
	return static_branch_unlikely(&memcg_pt_budgets.key) && needs_table &&
	       __memcg_pt_fork_stops();
}

/**
 * memcg_pt_retry_fork - fork has failed: try once more?
 *
 * Reclaims from the cgroups that are at their memory.pt.max, if that is what
 * stopped the fork.
 *
 * Context: Process context, no mmap lock is held.  May sleep.
 * Return: true if it is worth it: once for each fork.
 */
static inline bool memcg_pt_retry_fork(void)
{
	return unlikely(current->memcg_pt_fork_stopped) && __memcg_pt_retry_fork();
}

/**
 * memcg_pt_fork_end - fork has succeeded, or it has failed for good
 *
 * Context: Process context.
 */
static inline void memcg_pt_fork_end(void)
{
	current->memcg_pt_fork_stopped = 0;
}

/**
 * memcg_pt_stop_populate - may current not populate @addr?
 * @vma: the VMA
 * @addr: the address, for which no page is there
 *
 * Context: mmap lock held for reading, or for writing.
 * Return: true if a table is needed and would be over a memory.pt.max: with no
 * lock held, memcg_pt_make_room() may help.
 */
static inline bool memcg_pt_stop_populate(struct vm_area_struct *vma, unsigned long addr)
{
	return static_branch_unlikely(&memcg_pt_budgets.key) &&
	       __memcg_pt_stop_populate(vma, addr);
}

#else /* !CONFIG_MEMCG_PTFREE */

static inline void memcg_pt_init(struct mem_cgroup *memcg, struct mem_cgroup *parent) { }
static inline void memcg_pt_online(struct mem_cgroup *memcg) { }
static inline void memcg_pt_reset(struct mem_cgroup *memcg) { }
static inline void memcg_pt_release(struct mem_cgroup *memcg) { }
static inline void memcg_pt_unlinked(struct mem_cgroup *memcg, unsigned int nr) { }
static inline void memcg_pt_freed(struct mem_cgroup *memcg, unsigned int nr) { }
static inline void memcg_pt_freed_wake(void) { }
static inline bool memcg_pt_budgets_exist(void) { return false; }
static inline bool memcg_pt_reclaim_before_oom(struct mem_cgroup *memcg) { return false; }
static inline void memcg_pt_task_init(struct task_struct *p) { }
static inline bool memcg_pt_return_to_user(void) { return false; }
static inline bool memcg_pt_asked(struct mm_struct *mm) { return false; }
static inline void memcg_pt_unmapped(struct mm_struct *mm) { }
static inline bool memcg_pt_fork_stops(bool needs_table) { return false; }
static inline bool memcg_pt_retry_fork(void) { return false; }
static inline unsigned long memcg_pt_usage(struct mem_cgroup *memcg) { return 1; }
static inline void memcg_pt_fork_end(void) { }
static inline void memcg_pt_make_room(void) { }
static inline bool memcg_pt_stop_populate(struct vm_area_struct *vma, unsigned long addr)
{
	return false;
}

static inline void memcg_pt_count_kill(struct mm_struct *mm) { }

#endif /* CONFIG_MEMCG_PTFREE */
#endif /* _LINUX_MEMCONTROL_PTFREE_H */
