/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_FREEPT_H
#define _LINUX_FREEPT_H

#include <linux/jiffies.h>
#include <linux/jump_label.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/sizes.h>

/*
 * Reclaim of empty PTE tables of live processes: see
 * Documentation/mm/freept.rst for the theory and for the rules of locking.
 */

/*
 * What one hold of the mmap lock may do at the most, whoever asks: this many
 * tables looked at, this many unlinked.
 */
#define FREEPT_HOLD_SCAN	4096
#define FREEPT_HOLD_FREE	512

/* Wait for the mmap lock, until a fatal signal; without it: trylock only */
#define FREEPT_WAIT		BIT(0)
/* Leave tables alone that were installed less than a jiffy ago */
#define FREEPT_OLD		BIT(1)

/**
 * struct freept_control - one request to the engine, and what became of it
 * @start: first address to look at; on return, where to go on
 * @end: first address not to look at
 * @span: bytes of address space to cover at the most; on return, what is left.
 *	Only address space below a present PMD table counts: a hole above that
 *	is passed in one step, and costs nothing.
 * @nr_to_scan: tables to look at, at the most; on return, what is left.  Holes,
 *	and mappings that are passed over, count as well, as one table each.
 * @nr_to_free: tables to free, at the most; on return, what is left
 * @flags: FREEPT_WAIT, FREEPT_OLD, or 0
 * @memcg: a cgroup of which @nr_charged is told, or NULL
 * @nr_scanned: tables looked at
 * @nr_freed: tables unlinked and handed to RCU
 * @nr_charged: of @nr_freed, those that are charged to @memcg or below
 * @nr_young: tables that were left for FREEPT_OLD
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
	unsigned long nr_freed;
	unsigned long nr_charged;
	unsigned long nr_young;
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

#ifdef CONFIG_FREEPT

bool freept_enabled(void);
int freept_reclaim_mm(struct mm_struct *mm, struct freept_control *fc);

void freept_mm_init(struct mm_struct *mm);
void freept_mm_destroy(struct mm_struct *mm);
void freept_task_init(struct task_struct *p);

void __freept_refault(struct mm_struct *mm, pmd_t *pmd);

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
	page_ptdesc(table)->pt_index = jiffies;
	if (unlikely(READ_ONCE(mm->freept.filter)))
		__freept_refault(mm, pmd);
}

u64 freept_price(u64 scan_ns, unsigned long nr_scanned, unsigned long nr_freed);
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

static inline void freept_tick(struct task_struct *curr) { }

#endif /* CONFIG_FREEPT */
#endif /* _LINUX_FREEPT_H */
