// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of empty PTE tables: what is known of tables without looking at them
 *
 * Marks say where entries were removed, so that background work costs what was
 * emptied and not what is mapped.  Whoever removes entries leaves a mark in the
 * descriptor of the PTE table, whose lock he holds; then in that of the PMD table
 * above, which stands for a gigabyte; then in the mm.  Background work takes
 * them off from the top: first the mark, then it looks.  So what is removed
 * after its look leaves marks at all levels again.
 *
 * Marks are made only while there is background work.  An mm that background
 * work has not been through since then has none to rely on: its first lap looks
 * at all tables.  Requests, budgets and memory pressure look at all tables always.
 *
 * A mark too many costs a look.  A mark too few would keep an empty table from
 * background work until an entry is removed in it the next time.
 *
 * Who removes stores twice, the entry and then the mark, with smp_wmb() in between;
 * who looks stores the mark and then loads the entry, with smp_mb().  That keeps a
 * look from missing both only where a store is seen by all others at the same time:
 * x86-64 and arm64 promise that, the kernel's memory model does not.  Where it does
 * not hold (POWER), an architecture that selects ARCH_SUPPORTS_FREEPT needs smp_mb()
 * in place of each smp_wmb() below.
 *
 * The filter knows in which slots tables were freed a short while ago: a table
 * that is installed there soon should not have been freed.  And a page fault that
 * would have found the table makes no huge page in its place.  A word in the mm does
 * the latter where there is no filter.
 */
#define pr_fmt(fmt) "freept: " fmt

#include <linux/debugfs.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/memcontrol.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#include "internal.h"
#include "freept.h"
#include "freept_debug.h"

DEFINE_STATIC_KEY_FALSE(freept_hints);

/*
 * Counts changes of the settings.  Times that were computed from the old ones are
 * void, or a delay of an hour would have to pass before a shorter one works.  And so
 * is what marks tell: for a while, none may have been made.
 */
unsigned int freept_generation __read_mostly = 1;

/* The descriptor of the PMD table that an entry is in */
static struct ptdesc *freept_pmd_ptdesc(pmd_t *pmd)
{
	unsigned long mask = ~(PTRS_PER_PMD * sizeof(pmd_t) - 1);

	return virt_to_ptdesc((void *)((unsigned long)pmd & mask));
}

/**
 * freept_pmd_marked - were entries removed from tables below a PMD table?
 * @pmd: any of its entries
 *
 * Context: The mmap lock is held.
 * Return: true or false.
 */
bool freept_pmd_marked(pmd_t *pmd)
{
	return READ_ONCE(freept_pmd_ptdesc(pmd)->pt_emptied);
}

/**
 * freept_pmd_mark - something below a PMD table is for the next lap
 * @mm: the mm
 * @pmd: any of its entries
 *
 * Context: The mmap lock or the lock of a PTE table is held.
 */
void freept_pmd_mark(struct mm_struct *mm, pmd_t *pmd)
{
	WRITE_ONCE(freept_pmd_ptdesc(pmd)->pt_emptied, FREEPT_REMOVED);
	smp_wmb();	/* from below: pairs with the barriers of those who look */
	WRITE_ONCE(mm->freept.marked, true);
}

/**
 * freept_pmd_unmark - all below a PMD table is about to be looked at
 * @pmd: any of its entries
 *
 * Context: The mmap lock is held.
 */
void freept_pmd_unmark(pmd_t *pmd)
{
	WRITE_ONCE(freept_pmd_ptdesc(pmd)->pt_emptied, FREEPT_FILLED);
	smp_mb();	/* pairs with __freept_emptied() */
}

void __freept_emptied(struct mm_struct *mm, pmd_t *pmd)
{
	pmd_t pmdval = pmdp_get_lockless(pmd);
	unsigned char *emptied;
	bool again;

	/* hugetlb has PTE entries in PMD tables */
	if (!pmd_present(pmdval) || pmd_leaf(pmdval) || pmd_bad(pmdval))
		return;
	freept_window(FREEPT_WINDOW_REMOVED, pmd, pmdval);
	/*
	 * Always a store, and never a look whether it is needed: a load could
	 * pass the removal of the entries, and see a mark that is just being
	 * taken off.
	 */
	smp_wmb();	/* the entries first */
	emptied = &page_ptdesc(pmd_pgtable(pmdval))->pt_emptied;
	again = READ_ONCE(*emptied) >= FREEPT_SEEN_EMPTY;
	WRITE_ONCE(*emptied, again ? FREEPT_REMOVED_AGAIN : FREEPT_REMOVED);
	smp_wmb();	/* from below */
	freept_pmd_mark(mm, pmd);
}

/*
 * Empty tables that background work would have passed over for ever, but for
 * somebody who looks at all: 0, or somewhere a mark is not made.
 */
atomic_t freept_hints_missed = ATOMIC_INIT(0);

/**
 * freept_hints_complete - does the next lap go by marks?
 * @mm: the mm
 *
 * Context: Any.
 * Return: true if a lap has been through all of @mm under the current settings,
 * and marks were made of everything since.
 */
bool freept_hints_complete(struct mm_struct *mm)
{
	return READ_ONCE(mm->freept.hinted) == READ_ONCE(freept_generation);
}

/**
 * freept_hint_check - would background work have found an empty table?
 * @mm: the mm
 * @pt: the table
 *
 * For those who look at tables whether these are marked or not.  Marks are made
 * under the lock of the table, so an entry that was removed without one shows.
 * A table that background work has just taken the mark off, and finds empty at the
 * same time, is counted in error.
 *
 * Context: The lock of the table is held.
 */
void freept_hint_check(struct mm_struct *mm, struct ptdesc *pt)
{
	if (static_branch_unlikely(&freept_hints) &&
	    READ_ONCE(pt->pt_emptied) == FREEPT_FILLED && freept_hints_complete(mm))
		atomic_inc(&freept_hints_missed);
}

/**
 * freept_debugfs - the folder freept of debugfs
 *
 * Context: late_initcall(), one after the other.
 * Return: what debugfs_create_dir() does.
 */
struct dentry * __init freept_debugfs(void)
{
	static struct dentry *dir __initdata;

	if (!dir)
		dir = debugfs_create_dir("freept", NULL);
	return dir;
}

static int __init freept_hints_init(void)
{
	debugfs_create_atomic_t("hints_missed", 0444, freept_debugfs(),
				&freept_hints_missed);
	return 0;
}
late_initcall(freept_hints_init);

/*
 * The filter of an mm: for each of its places, the time at which a table was
 * last freed in a slot that hashes to it, in 15 bits, and whether one has come
 * back since.  0: never.  15 bits are 2.3 hours; whatever is found there as long
 * after that looks fresh once more, for the ten minutes in which it then costs a
 * huge page, or the ten seconds in which it may be counted as a refault.
 */
#define FREEPT_FILTER_BITS	12
#define FREEPT_FILTER_TICK	(HZ / 4)
#define FREEPT_BACK		1
#define FREEPT_REFAULT_TICKS	(10 * 4)	/* 10 seconds */
#define FREEPT_NO_HUGE_TICKS	(600 * 4)	/* 10 minutes */

struct freept_filter {
	u16 when[1 << FREEPT_FILTER_BITS];
};

void __freept_moved(struct mm_struct *mm, pmd_t *pmd)
{
	if (pmd)
		freept_pmd_mark(mm, pmd);
	else	/* it has taken its mark along, to where this lap may have been */
		WRITE_ONCE(mm->freept.marked, true);
}

static void freept_mark_at(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = mm_find_pmd(mm, addr);

	if (!pmd)
		return;
	rcu_read_lock();	/* keeps the table */
	__freept_emptied(mm, pmd);
	rcu_read_unlock();
}

void __freept_unmapped(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	if (!IS_ALIGNED(start, PMD_SIZE))
		freept_mark_at(mm, start);
	if (!IS_ALIGNED(end, PMD_SIZE))
		freept_mark_at(mm, end - 1);
}

/*
 * The filter uses the address of the PMD entry for the slot: who installs a
 * table knows that, and not always the virtual address.  PMD tables stay where
 * they are while something is mapped there.
 */
static u16 *freept_filter_place(struct freept_filter *filter, pmd_t *pmd)
{
	return filter->when + hash_long((unsigned long)pmd / sizeof(pmd_t),
					FREEPT_FILTER_BITS);
}

static u16 freept_filter_now(void)
{
	return (u16)(jiffies / FREEPT_FILTER_TICK << 1) ?: 2;
}

/* Was a table freed at a place of the filter in the last @ticks? */
static bool freept_filter_recent(u16 when, unsigned int ticks)
{
	return when && (u16)(freept_filter_now() - (when & ~FREEPT_BACK)) >> 1 <= ticks;
}

/*
 * What there is without a filter: 64 places, and the time of the last note for all
 * of them.  Those who free because memory is short allocate none, and it is not
 * worth it for a few tables; but each slot has to be remembered for huge pages.
 */
static unsigned int freept_note_place(pmd_t *pmd)
{
	return hash_long((unsigned long)pmd / sizeof(pmd_t), ilog2(BITS_PER_LONG));
}

static bool freept_notes_old(struct mm_struct *mm)
{
	return time_after(jiffies, READ_ONCE(mm->freept.noted_when) +
				   FREEPT_NO_HUGE_TICKS * FREEPT_FILTER_TICK);
}

static void freept_note(struct mm_struct *mm, pmd_t *pmd)
{
	/* two at a time, below two PMD tables, can lose one note in ten minutes */
	if (READ_ONCE(mm->freept.noted) && freept_notes_old(mm))
		WRITE_ONCE(mm->freept.noted, 0);
	WRITE_ONCE(mm->freept.noted_when, jiffies);
	set_bit(freept_note_place(pmd), &mm->freept.noted);
}

/**
 * freept_recently_freed - was a table freed in a slot, or one that hashes like it?
 * @mm: the mm
 * @pmd: the PMD entry, which is none
 *
 * Context: The mmap lock or the lock of a VMA is held.
 * Return: true if that was in the last ten minutes.
 */
bool freept_recently_freed(struct mm_struct *mm, pmd_t *pmd)
{
	/* pairs with cmpxchg_release() in freept_filter_prepare() */
	struct freept_filter *filter = smp_load_acquire(&mm->freept.filter);

	if (filter && freept_filter_recent(READ_ONCE(*freept_filter_place(filter, pmd)),
					   FREEPT_NO_HUGE_TICKS))
		return true;
	return test_bit(freept_note_place(pmd), &mm->freept.noted) &&
	       !freept_notes_old(mm);
}

/* The cgroup of the task, and not of the mm: it is the one that pays */
static void freept_count_memcg_refault(void)
{
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;

	if (mem_cgroup_disabled())
		return;
	rcu_read_lock();
	memcg = mem_cgroup_from_task(current);
	if (memcg)
		count_memcg_events(memcg, PTREFAULT, 1);
	rcu_read_unlock();
#endif
}

/**
 * __freept_refault - a PTE table is put where the engine may have freed one
 * @mm: the mm, which has a filter
 * @pmd: the PMD entry
 *
 * Context: As for freept_table_installed(): the lock of the PMD table is held.
 */
void __freept_refault(struct mm_struct *mm, pmd_t *pmd)
{
	/* pairs with cmpxchg_release() in freept_filter_prepare() */
	struct freept_filter *filter = smp_load_acquire(&mm->freept.filter);
	u16 *place = freept_filter_place(filter, pmd);
	u16 when = READ_ONCE(*place);

	/* one refault for one free */
	if ((when & FREEPT_BACK) || !freept_filter_recent(when, FREEPT_REFAULT_TICKS))
		return;
	WRITE_ONCE(*place, when | FREEPT_BACK);

	/* pml of one PMD table is held, others count at the same time: an estimate */
	WRITE_ONCE(mm->freept.nr_refaults, READ_ONCE(mm->freept.nr_refaults) + 1);
	count_vm_event(PTREFAULT);
	freept_count_memcg_refault();
}

/**
 * freept_filter_prepare - tables of an mm are about to be freed
 * @mm: the mm
 *
 * Without memory for the filter, refaults of this mm are not counted, and more
 * slots get small pages first: see freept_note().
 *
 * Context: The mmap lock is held for reading; does not sleep.
 */
void freept_filter_prepare(struct mm_struct *mm)
{
	struct freept_filter *filter;

	/* not from the reserves of those who free memory */
	if (READ_ONCE(mm->freept.filter) || (current->flags & PF_MEMALLOC))
		return;
	filter = kzalloc(sizeof(*filter), GFP_NOWAIT | __GFP_NOWARN);
	/* zeroes first: pairs with __freept_refault() */
	if (filter && cmpxchg_release(&mm->freept.filter, NULL, filter))
		kfree(filter);
}

/**
 * freept_filter_freed - a table was unlinked
 * @mm: the mm
 * @pmd: the PMD entry that has pointed to it
 *
 * Context: The lock of the PMD table is held.
 */
void freept_filter_freed(struct mm_struct *mm, pmd_t *pmd)
{
	struct freept_filter *filter = READ_ONCE(mm->freept.filter);

	if (filter)
		WRITE_ONCE(*freept_filter_place(filter, pmd),
			   freept_filter_now());
	else
		freept_note(mm, pmd);
}

/**
 * freept_mm_init - prepare the fields of a new mm
 * @mm: the mm, which may be a copy of another one
 *
 * The switch of prctl(PR_SET_FREEPT) is that of the parent, for fork, or of the
 * program that is to be replaced, for exec: in both cases that of current.
 *
 * Context: Process context, nobody else knows @mm yet.
 */
void freept_mm_init(struct mm_struct *mm)
{
	/* VMAs keep their flags over fork; the mm for exec is all zeroes, and has none */
	bool ranges = mm->freept.ranges;
	u8 choice = 0;

	if (current->mm)
		choice = READ_ONCE(current->mm->freept.choice);
	memset(&mm->freept, 0, sizeof(mm->freept));
	mm->freept.choice = choice;
	mm->freept.ranges = ranges;
}

/**
 * freept_mm_destroy - let go of what an mm holds
 * @mm: the mm, with no users and no references left
 *
 * Context: Any context in which kfree() is allowed.
 */
void freept_mm_destroy(struct mm_struct *mm)
{
	kfree(mm->freept.filter);
}

