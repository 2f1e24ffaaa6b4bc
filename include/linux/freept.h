/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_FREEPT_H
#define _LINUX_FREEPT_H

#include <linux/jiffies.h>
#include <linux/jump_label.h>
#include <linux/memcontrol-ptfree.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/sizes.h>

/*
 * Reclaim of empty PTE tables of live processes: see
 * Documentation/mm/freept.rst for the theory and for the rules of locking.
 */

/*
 * What one hold of the mmap lock may do at the most, whoever asks: 4096 tables
 * looked at, or what takes as long, and this many unlinked.  A PMD table that was
 * begun is looked at to its end.
 */
#define FREEPT_HOLD_SCAN	(PTRS_PER_PMD < 4096 ? 4096 - PTRS_PER_PMD : 1)
#define FREEPT_HOLD_FREE	512

/* Wait for the mmap lock, until a fatal signal; without it: trylock only */
#define FREEPT_WAIT		BIT(0)
/*
 * Leave tables alone that may be about to be used: those installed less than a
 * jiffy ago, and the one that current has installed last
 */
#define FREEPT_OLD		BIT(1)
/* Background work: leave ranges alone that are marked with MADV_NOFREEPT */
#define FREEPT_BACKGROUND	BIT(2)
/* Only ranges that are marked with MADV_FREEPT */
#define FREEPT_RANGES		BIT(3)
/* Look only where entries were removed: see freept_emptied() */
#define FREEPT_HINTED		BIT(4)
/* Free only what was empty when it was looked at before, and since */
#define FREEPT_AGED		BIT(5)

/**
 * struct freept_control - one request to the engine, and what became of it
 * @start: first address to look at; on return, where to go on
 * @end: first address not to look at
 * @span: bytes of address space to cover at the most; on return, what is left.
 *	Only address space below a present PMD table counts: a hole above that
 *	is passed in one step, and costs nothing.
 * @nr_to_scan: tables to look at, at the most; on return, what is left.  Holes,
 *	and mappings that are passed over, count as well, as one table each, and
 *	slots in which there is nothing to look at as an eighth.
 * @nr_to_free: tables to free, at the most; on return, what is left
 * @flags: FREEPT_WAIT and so on, or 0
 * @memcg: a cgroup of which @nr_charged is told, or NULL
 * @nr_scanned: tables looked at
 * @work: what was taken from @nr_to_scan, or would have been
 * @nr_freed: tables unlinked and handed to RCU
 * @nr_charged: of @nr_freed, those that are charged to @memcg or below
 * @nr_young: tables that were left for FREEPT_OLD
 * @nr_empty: tables that looked empty
 * @nr_reused: of these, those that had been empty at the last look, and were used
 *	since; FREEPT_AGED
 * @scan_ns: time spent on looking
 * @free_ns: time spent on unlinking, flushing and freeing
 *
 * A table that lies across @start or @end belongs to the range.  Results are
 * added to, so that a caller can sum up over several requests; @nr_to_scan and
 * @nr_to_free can be passed a little, by what one PMD table holds at most, in
 * the case of @nr_to_scan.
 */
struct freept_control {
	unsigned long start;
	unsigned long end;
	unsigned long span;
	unsigned long nr_to_scan;
	unsigned long nr_to_free;
	unsigned int flags;
	struct mem_cgroup *memcg;
	unsigned long nr_scanned;
	unsigned long work;
	unsigned long nr_freed;
	unsigned long nr_charged;
	unsigned long nr_young;
	unsigned long nr_empty;
	unsigned long nr_reused;
	u64 scan_ns;
	u64 free_ns;
};

#define DEFINE_FREEPT_CONTROL(name)		\
	struct freept_control name = {		\
		.end = TASK_SIZE_MAX,		\
		.span = ULONG_MAX,		\
		.nr_to_scan = ULONG_MAX,	\
		.nr_to_free = ULONG_MAX,	\
	}

/*
 * What is known of a PTE table, in pt_emptied of its descriptor.  In that of a
 * PMD table: of all tables below it, FREEPT_FILLED or not.
 */
enum {
	FREEPT_FILLED,		/* no entry was removed since it was looked at */
	FREEPT_REMOVED,		/* entries were removed: it may be empty */
	FREEPT_SEEN_EMPTY,	/* it was empty, and no entry was removed since */
	FREEPT_REMOVED_AGAIN,	/* it was, and has been filled and emptied again */
};

/* Why something was passed over: for the tracepoint freept_skip */
enum freept_skip {
	FREEPT_SKIP_BUSY,	/* the mmap lock is held */
	FREEPT_SKIP_VMA,	/* a mapping whose tables stay, or not asked for */
	FREEPT_SKIP_UNMARKED,	/* no entry was removed below a PMD table */
	FREEPT_SKIP_AGED,	/* empty, but not yet for long */
	FREEPT_SKIP_YOUNG,	/* installed just now */
	FREEPT_SKIP_REFILLED,	/* no longer empty when its lock was held */
};

/* What is done for a cgroup over a budget: for the tracepoint freept_over_budget */
enum freept_action {
	FREEPT_ACTION_TASK,	/* one piece, by a task of the cgroup */
	FREEPT_ACTION_WORKER,	/* left to the worker */
	FREEPT_ACTION_RECLAIM,	/* a pass over the processes */
	FREEPT_ACTION_BACK_OFF,	/* nothing to free: not again for a while */
	FREEPT_ACTION_KILL,
	FREEPT_ACTION_NO_KILL,	/* no kill can help */
};

#ifdef CONFIG_FREEPT

bool freept_enabled(void);
int freept_reclaim_mm(struct mm_struct *mm, struct freept_control *fc);

void freept_mm_init(struct mm_struct *mm);
void freept_mm_destroy(struct mm_struct *mm);
void freept_task_init(struct task_struct *p);

void __freept_refault(struct mm_struct *mm, pmd_t *pmd);
bool freept_recently_freed(struct mm_struct *mm, pmd_t *pmd);

/**
 * freept_table_installed - a PTE table is put where there was none
 * @mm: the mm
 * @pmd: the PMD entry that points to it
 * @table: the table
 *
 * Notes when that was, and counts ptrefault if the engine emptied that slot a
 * short while ago.
 *
 * Context: The lock of the PMD table is held.
 */
static inline void freept_table_installed(struct mm_struct *mm, pmd_t *pmd,
					  pgtable_t table)
{
	struct ptdesc *pt = page_ptdesc(table);

	pt->pt_installed = jiffies;
	pt->pt_emptied = FREEPT_FILLED;
	current->freept_pmd = pmd;
	if (unlikely(READ_ONCE(mm->freept.filter)))
		__freept_refault(mm, pmd);
}

DECLARE_STATIC_KEY_FALSE(freept_hints);
void __freept_emptied(struct mm_struct *mm, pmd_t *pmd);

/**
 * freept_emptied - entries were removed from a PTE table
 * @mm: the mm
 * @pmd: the PMD entry that points to the table
 *
 * Leaves a mark for background work, and ends the back-off of budgets.
 *
 * Context: The lock of the PTE table is held.
 */
static inline void freept_emptied(struct mm_struct *mm, pmd_t *pmd)
{
	if (static_branch_unlikely(&freept_hints))
		__freept_emptied(mm, pmd);
	memcg_pt_unmapped(mm);
}

void __freept_moved(struct mm_struct *mm, pmd_t *pmd);

/**
 * freept_moved - a PTE table, or a PMD table, is in another place now
 * @mm: the mm
 * @pmd: the new PMD entry, or NULL for a PMD table
 *
 * Tables keep their marks, but those above may have none.
 *
 * Context: mmap lock held for writing.
 */
static inline void freept_moved(struct mm_struct *mm, pmd_t *pmd)
{
	if (static_branch_unlikely(&freept_hints))
		__freept_moved(mm, pmd);
}

void __freept_unmapped(struct mm_struct *mm, unsigned long start, unsigned long end);

/**
 * freept_unmapped - a mapping is going
 * @vma: the VMA
 * @start: where it is unmapped from
 * @end: and to, at the most
 *
 * The tables at its ends may be empty, and had to stay for its sake.
 *
 * Context: mmap lock held.
 */
static inline void freept_unmapped(struct vm_area_struct *vma, unsigned long start,
				   unsigned long end)
{
	if (static_branch_unlikely(&freept_hints))
		__freept_unmapped(vma->vm_mm, max(start, vma->vm_start),
				  min(end, vma->vm_end));
}

/**
 * freept_hints_lost - what is known of the tables of an mm is void
 * @mm: the mm
 *
 * Tables that were to be left alone are to be so no longer, or entries were
 * removed of which nobody was told: the next lap looks at all tables.
 *
 * Context: Any.
 */
static inline void freept_hints_lost(struct mm_struct *mm)
{
	WRITE_ONCE(mm->freept.hinted, 0);
}

unsigned long freept_fork_skips(struct mm_struct *mm, pmd_t *pmd,
				unsigned long addr, unsigned long end);

int freept_madvise(struct mm_struct *mm, unsigned long start, size_t len);
int freept_madvise_vma(struct vm_area_struct *vma, int behavior,
		       unsigned long *vm_flags);
int freept_prctl_set(unsigned long choice);
void freept_was_asked(void);
int freept_prctl_get(void);

u64 freept_price(u64 scan_ns, unsigned long work, unsigned long nr_freed);
bool freept_notify(void);
void freept_budgets_exist(void);

DECLARE_STATIC_KEY_FALSE(freept_background);
void __freept_tick(struct task_struct *curr);

/**
 * freept_tick - scheduler tick: is a run due for the task's mm?
 * @curr: the running task
 *
 * Context: Interrupts off, run-queue lock held.
 */
static inline void freept_tick(struct task_struct *curr)
{
	if (static_branch_unlikely(&freept_background))
		__freept_tick(curr);
}

#else /* !CONFIG_FREEPT */

static inline bool freept_enabled(void) { return false; }
static inline int freept_reclaim_mm(struct mm_struct *mm,
				    struct freept_control *fc)
{
	return -EOPNOTSUPP;
}

static inline void freept_mm_init(struct mm_struct *mm) { }
static inline void freept_mm_destroy(struct mm_struct *mm) { }
static inline void freept_task_init(struct task_struct *p) { }
static inline void freept_table_installed(struct mm_struct *mm, pmd_t *pmd,
					  pgtable_t table)
{
}

static inline bool freept_recently_freed(struct mm_struct *mm, pmd_t *pmd)
{
	return false;
}

static inline void freept_emptied(struct mm_struct *mm, pmd_t *pmd) { }
static inline void freept_moved(struct mm_struct *mm, pmd_t *pmd) { }
static inline void freept_unmapped(struct vm_area_struct *vma, unsigned long start,
				   unsigned long end)
{
}

static inline void freept_hints_lost(struct mm_struct *mm) { }
static inline unsigned long freept_fork_skips(struct mm_struct *mm, pmd_t *pmd,
					      unsigned long addr,
					      unsigned long end)
{
	return addr;
}

static inline int freept_madvise(struct mm_struct *mm, unsigned long start,
				 size_t len)
{
	return -EINVAL;
}

static inline int freept_madvise_vma(struct vm_area_struct *vma, int behavior,
				     unsigned long *vm_flags)
{
	return -EINVAL;
}

static inline int freept_prctl_set(unsigned long choice) { return -EINVAL; }
static inline void freept_was_asked(void) { }
static inline int freept_prctl_get(void) { return -EINVAL; }
static inline void freept_tick(struct task_struct *curr) { }

#endif /* CONFIG_FREEPT */
#endif /* _LINUX_FREEPT_H */
