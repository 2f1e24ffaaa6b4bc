// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of empty PTE tables
 *
 * madvise(MADV_DONTNEED), MADV_FREE, hole punching and truncation give memory
 * back and leave the PTE tables that mapped it, for as long as the mapping
 * lives.  A table is 4 KiB for every 2 MiB of address space that was ever
 * touched.  This is the engine that finds the tables of one mm in which all
 * entries are none, and frees them.  It has no opinion on when that is a good
 * idea: whoever calls it (the scanner of mm/freept_scan.c, to begin with) says
 * where to look and how much to do, in a struct freept_control.
 *
 * The work is done one PMD table, that is 1 GiB of address space, at a time:
 *
 *  1. Which slots may be touched at all?  Those that some VMA covers and that
 *     no VMA covers in which a table must stay; freept_eligible().
 *  2. Which of their tables look empty?  No lock but RCU; a table in use costs
 *     the reading of its first entries; freept_look().
 *  3. Under the lock of the PMD table, and of each PTE table nested in it, see
 *     whether that is so, and clear the PMD entry in the same hold.  Flush the
 *     TLB once for all of them before the lock is dropped; freept_unlink().
 *  4. Hand the tables to RCU, many in one callback; mm/freept_batch.c.
 *
 * The mmap lock is held for reading, which keeps VMAs and all levels above the
 * PTE tables in place, and is dropped after a bounded amount of work.  A VMA
 * lock would not do: collapse_huge_page() decides on a PMD entry under the mmap
 * lock for writing before it takes the VMA lock.
 *
 * What is known of a table without looking at it is in mm/freept_hints.c.
 *
 * Documentation/mm/freept.rst says why each step is safe, and for whom.
 */
#define pr_fmt(fmt) "freept: " fmt

#include <linux/bitmap.h>
#include <linux/freept.h>
#include <linux/init.h>
#include <linux/memcontrol.h>
#include <linux/memcontrol-ptfree.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/vmstat.h>

#include <asm/tlbflush.h>

#include "internal.h"
#include "freept.h"
#include "freept_debug.h"

#define CREATE_TRACE_POINTS
#include <trace/events/freept.h>

/* asm/tlbflush.h: can tables be freed while their mm is alive? */
#ifndef arch_freept_possible
#error "an architecture that selects ARCH_SUPPORTS_FREEPT has to say"
#endif

static bool freept_off __ro_after_init;

static int __init setup_freept(char *str)
{
	if (str && !strcmp(str, "off"))
		freept_off = true;
	else
		pr_warn("unknown value '%s' of the boot parameter, known: off\n",
			str ?: "");
	return 0;
}
early_param("freept", setup_freept);

static int __init freept_check_platform(void)
{
	if (!freept_off && !arch_freept_possible()) {
		pr_info("page tables are pinned by the hypervisor, none is freed\n");
		freept_off = true;
	} else if (freept_off) {
		pr_info("off by boot parameter, no page table is freed\n");
	}
	return 0;
}
core_initcall(freept_check_platform);

/**
 * freept_enabled - may tables be freed on this machine?
 *
 * Context: Any, after core_initcall().
 * Return: false with the boot parameter freept=off, and where the platform
 * does not allow it (Xen PV).
 */
bool freept_enabled(void)
{
	return !freept_off;
}

/*
 * ARCH_SUPPORTS_FREEPT promises that pte_none() of several entries or'ed
 * together says whether all of them are none: 1 test instead of 8.
 */
#define FREEPT_OR	8

/*
 * The raw values, and not ptep_get(), which on arm64 gathers the flags of all
 * entries of a contiguous block: an entry is none if and only if it is empty.
 * Read by plain loads: they can be operands, which saves a third of the code that
 * runs.  Under the lock nobody adds an entry, and without it this is a hint.
 */
static __always_inline pteval_t freept_entries(pte_t *pte)
{
	/* see above */
	return data_race(pte_val(pte[0]) | pte_val(pte[1]) |
			 pte_val(pte[2]) | pte_val(pte[3]) |
			 pte_val(pte[4]) | pte_val(pte[5]) |
			 pte_val(pte[6]) | pte_val(pte[7]));
}

static bool freept_table_empty(pte_t *pte)
{
	pte_t *end = pte + PTRS_PER_PTE;

	BUILD_BUG_ON(PTRS_PER_PTE % (4 * FREEPT_OR));
	/* a table in use mostly shows it here; an empty one is all read, twice */
	if (!pte_none(__pte(freept_entries(pte))))
		return false;
	for (; pte < end; pte += 4 * FREEPT_OR)
		if (!pte_none(__pte(freept_entries(pte) |
				    freept_entries(pte + FREEPT_OR) |
				    freept_entries(pte + 2 * FREEPT_OR) |
				    freept_entries(pte + 3 * FREEPT_OR))))
			return false;
	return true;
}

/**
 * freept_fork_skips - address of the first entry that is not none
 * @mm: the parent
 * @pmd: the PMD entry that points to the table
 * @addr: where to begin
 * @end: where to end, in the range of the same table
 *
 * Under the lock of the table, as an entry can be none for a moment while it is
 * being replaced, by that of a swapped out page for example.
 *
 * Context: mmap lock held for writing, and the VMA is locked: what is none stays
 * so.
 * Return: The address, or @end.
 */
unsigned long freept_fork_skips(struct mm_struct *mm, pmd_t *pmd,
				unsigned long addr, unsigned long end)
{
	pte_t *start, *pte, *last;
	spinlock_t *ptl;	/* of the table */

	start = pte_offset_map_lock(mm, pmd, addr, &ptl);
	if (!start)	/* retract_page_tables(): there is nothing to copy */
		return end;
	__acquire(RCU);		/* pte_offset_map_lock() did */
	pte = start;
	last = start + (end - addr) / PAGE_SIZE;
	/* nearly always the first entry, or none of a whole table */
	while (last - pte >= 2 * FREEPT_OR &&
	       pte_none(__pte(freept_entries(pte) | freept_entries(pte + FREEPT_OR))))
		pte += 2 * FREEPT_OR;
	while (pte < last && pte_none(ptep_get(pte)))
		pte++;
	addr += (pte - start) * PAGE_SIZE;
	pte_unmap_unlock(start, ptl);
	return addr;
}

/* Does the entry point to a PTE table? */
static bool freept_pmd_table(pmd_t pmdval)
{
	return pmd_present(pmdval) && !pmd_leaf(pmdval) && !pmd_devmap(pmdval) &&
	       !pmd_bad(pmdval);
}

/* What a look at the tables of one PMD table has come to */
struct freept_look {
	unsigned int nr_scanned;
	unsigned int nr_empty;
	unsigned int nr_reused;
	bool again;	/* there is something for the next look */
};

/*
 * Is the table that *@pmd, which was @pmdval, points to a candidate?  Context: RCU
 * keeps a table that is unlinked while we read it.
 *
 * The mark is taken off before the entries are read: whoever removes the last
 * one afterwards sets it again.
 */
static bool freept_candidate(struct mm_struct *mm, unsigned long addr, pmd_t *pmd,
			     pmd_t pmdval, unsigned int flags,
			     struct freept_look *look)
{
	struct ptdesc *pt = page_ptdesc(pmd_pgtable(pmdval));
	unsigned int emptied;

	freept_window(FREEPT_WINDOW_FOUND, pmd, pmdval);
	emptied = READ_ONCE(pt->pt_emptied);
	if (flags & FREEPT_HINTED) {
		if (emptied == FREEPT_FILLED)
			return false;
		WRITE_ONCE(pt->pt_emptied, FREEPT_FILLED);
		smp_mb();	/* pairs with __freept_emptied() */
		freept_window(FREEPT_WINDOW_UNMARKED, pmd, pmdval);
	}
	look->nr_scanned++;
	if (!freept_table_empty((pte_t *)pmd_page_vaddr(pmdval)))
		return false;
	look->nr_empty++;
	look->nr_reused += emptied == FREEPT_REMOVED_AGAIN;
	if (flags & FREEPT_AGED) {
		freept_window(FREEPT_WINDOW_EMPTY, pmd, pmdval);
		WRITE_ONCE(pt->pt_emptied, FREEPT_SEEN_EMPTY);
		look->again = true;
		if (emptied == FREEPT_SEEN_EMPTY)
			return true;
		trace_freept_skip(mm, addr, FREEPT_SKIP_AGED);
		return false;
	}
	return true;
}

/*
 * Clear in @slots all but those whose table looks empty.  @pmd is the PMD table
 * for the addresses from @base.
 * All that is read without locks can be out of date at once, and is a hint.
 */
static struct freept_look freept_look(struct mm_struct *mm, pmd_t *pmd,
				      unsigned long base, unsigned long *slots,
				      unsigned int flags)
{
	struct freept_look look = { };
	unsigned int i;

	for_each_set_bit(i, slots, PTRS_PER_PMD) {
		pmd_t pmdval;

		rcu_read_lock();
		pmdval = pmdp_get_lockless(pmd + i);
		if (!freept_pmd_table(pmdval) ||
		    !freept_candidate(mm, base + i * PMD_SIZE, pmd + i, pmdval, flags,
				      &look))
			__clear_bit(i, slots);
		rcu_read_unlock();
	}
	return look;
}

/*
 * A table that was installed in this tick or the last one may have been put
 * there by a fault that has not come to use it yet: see freept_table_new().
 * Not all who install a table say when: what is there then is old, or looks
 * young for a jiffy once in a while.
 */
static bool freept_table_young(pmd_t *pmd, struct ptdesc *pt)
{
	/*
	 * A fault that reclaims, in the charge of its page, can take much longer.
	 * It must not free its own new table, and be back where it was.
	 */
	return (unsigned int)jiffies - pt->pt_installed <= 1 ||
	       current->freept_pmd == pmd;
}

/* Unlink the table of *@pmd if it is empty.  Context: pml is held. */
static bool freept_unlink_one(struct mm_struct *mm, pmd_t *pmd, spinlock_t *pml,
			      unsigned long addr, struct freept_batch *batch,
			      struct freept_control *fc)
{
	pmd_t pmdval = pmdp_get(pmd);
	struct ptdesc *pt;
	spinlock_t *ptl;	/* of the table, nests in pml */
	bool empty;

	if (!freept_pmd_table(pmdval)) {
		freept_window_changed(FREEPT_WINDOW_LOOKED);
		return false;
	}
	pt = page_ptdesc(pmd_pgtable(pmdval));
	if ((fc->flags & FREEPT_OLD) && freept_table_young(pmd, pt)) {
		fc->nr_young++;
		trace_freept_skip(mm, addr, FREEPT_SKIP_YOUNG);
		return false;
	}

	ptl = pte_lockptr(mm, &pmdval);
	if (ptl != pml)
		spin_lock_nested(ptl, SINGLE_DEPTH_NESTING);
	else
		__acquire(ptl);
	/* Not one entry can be added between this look and the clearing */
	empty = freept_table_empty((pte_t *)pmd_page_vaddr(pmdval));
	if (empty) {
		if (!(fc->flags & FREEPT_HINTED) && !freept_table_young(pmd, pt))
			freept_hint_check(mm, pt);
		/* first counted as in flight, then no longer to be found */
		rcu_read_lock();
		memcg_pt_unlinked(folio_memcg(ptdesc_folio(pt)), 1);
		rcu_read_unlock();
		lockdep_assert_held(ptl);	/* and has been since the look */
		pmd_clear(pmd);
	}
	if (ptl != pml)
		spin_unlock(ptl);
	else
		__release(ptl);
	if (!empty) {
		freept_window_changed(FREEPT_WINDOW_LOOKED);
		trace_freept_skip(mm, addr, FREEPT_SKIP_REFILLED);
		return false;
	}

	mm_dec_nr_ptes(mm);
	freept_filter_freed(mm, pmd);
	trace_freept_table(mm, addr);
	freept_batch_add(batch, pt);
	return true;
}

/*
 * Unlink and free the tables of @slots that are empty indeed, @max at the most.
 * @pmd is the PMD table for the addresses from @base.  Slots that were dealt
 * with are cleared.
 *
 * Returns the first slot that was not dealt with.
 */
static unsigned int freept_unlink(struct mm_struct *mm, pmd_t *pmd,
				  unsigned long base, unsigned long *slots,
				  unsigned long max, struct freept_control *fc)
{
	struct freept_batch batch = { };
	unsigned long start = 0, end = 0;
	unsigned int i, next = PTRS_PER_PMD;
	spinlock_t *pml;	/* of the PMD table */

	pml = pmd_lock(mm, pmd);
	for_each_set_bit(i, slots, PTRS_PER_PMD) {
		/* whoever wants the lock gets it, once there is progress */
		if (batch.nr >= max ||
		    (batch.nr && (need_resched() || spin_is_contended(pml)))) {
			next = i;
			break;
		}
		__clear_bit(i, slots);
		if (!freept_unlink_one(mm, pmd + i, pml, base + i * PMD_SIZE,
				       &batch, fc))
			continue;
		if (!end)
			start = base + i * PMD_SIZE;
		end = base + (i + 1) * PMD_SIZE;
	}
	if (batch.nr) {
		freept_window(FREEPT_WINDOW_UNLINKED, NULL, __pmd(0));
		/*
		 * A PMD entry that is none can be filled with a huge page as
		 * soon as pml is dropped.  Whoever removed the last entries of
		 * a table did so under its lock, which we have held since: the
		 * flush that he owes shows in one of these, and the flush for
		 * the tables does not cover it, as it leaves alone what the TLB
		 * knows of single pages.
		 */
		flush_tlb_batched_pending(mm);
		if (mm_tlb_flush_pending(mm))
			flush_tlb_mm(mm);
		else
			flush_tlb_pte_tables(mm, start, end);
	}
	spin_unlock(pml);

	if (batch.nr)
		freept_window(FREEPT_WINDOW_FLUSHED, NULL, __pmd(0));
	freept_batch_free(&batch, fc);
	fc->nr_freed += batch.nr;
	fc->nr_to_free -= batch.nr;
	return next;
}

/* What is left to be done in this hold of the mmap lock */
struct freept_hold {
	unsigned long nr_to_scan;
	unsigned long nr_to_free;
};

/*
 * Work that amounts to looking at @nr tables has been done.  Slots without a table,
 * or with one that has no mark, cost a cache line or two and not a look, VMAs a
 * little more: without a price for them a hold could pass a terabyte of them.
 */
#define FREEPT_SLOTS_A_LOOK	8
#define FREEPT_VMAS_A_LOOK	4

static void freept_charge(struct freept_control *fc, struct freept_hold *hold,
			  unsigned long nr)
{
	fc->work += nr;
	fc->nr_to_scan -= min(fc->nr_to_scan, nr);
	hold->nr_to_scan -= min(hold->nr_to_scan, nr);
}

/* Fewer candidates than this are not worth a filter: it takes 8 KiB */
#define FREEPT_FILTER_LEAST	4

/* One PMD table, from fc->start on, which is moved forward */
static void freept_pmd_range(struct mm_struct *mm, pmd_t *pmd, unsigned long end,
			     struct freept_control *fc, struct freept_hold *hold)
{
	unsigned long start = fc->start & PMD_MASK;
	unsigned long base = start & PUD_MASK;
	DECLARE_BITMAP(slots, PTRS_PER_PMD);
	unsigned int weight, nr_slots, nr_vmas = 0;
	struct freept_look look;
	u64 t0;

	if ((fc->flags & FREEPT_HINTED) && !freept_pmd_marked(pmd)) {
		trace_freept_skip(mm, start, FREEPT_SKIP_UNMARKED);
		freept_charge(fc, hold, 1);
		fc->start = end;
		return;
	}

	/* Neither the span nor the hold need to be met to the last table */
	if (fc->span < end - start)
		end = start + max(fc->span & PMD_MASK, PMD_SIZE);

	end = freept_eligible(mm, start, end, slots, fc->flags, &nr_vmas);
	/* who looks at a part does not know what there is in the rest */
	if ((fc->flags & FREEPT_HINTED) && start == base && end - base == PUD_SIZE)
		freept_pmd_unmark(pmd);
	nr_slots = bitmap_weight(slots, PTRS_PER_PMD);
	look = freept_look(mm, pmd, base, slots, fc->flags);
	fc->nr_scanned += look.nr_scanned;
	fc->nr_empty += look.nr_empty;
	fc->nr_reused += look.nr_reused;
	freept_charge(fc, hold, 1 + look.nr_scanned + nr_slots / FREEPT_SLOTS_A_LOOK +
		      nr_vmas / FREEPT_VMAS_A_LOOK);

	weight = bitmap_weight(slots, PTRS_PER_PMD);
	if (!weight)
		goto out;
	freept_window(FREEPT_WINDOW_LOOKED, NULL, __pmd(0));
	t0 = local_clock();
	if (weight >= FREEPT_FILTER_LEAST)
		freept_filter_prepare(mm);
	do {
		unsigned long nr_freed = fc->nr_freed;
		unsigned int next;

		next = freept_unlink(mm, pmd, base, slots,
				     min(fc->nr_to_free, hold->nr_to_free), fc);
		hold->nr_to_free -= fc->nr_freed - nr_freed;
		if (next == PTRS_PER_PMD)
			break;
		/* go on with what was looked at, or come back for it */
		if (!fc->nr_to_free || !hold->nr_to_free || need_resched() ||
		    mmap_lock_is_contended(mm))
			end = base + next * PMD_SIZE;
		else
			cpu_relax();
	} while (end > base + find_first_bit(slots, PTRS_PER_PMD) * PMD_SIZE);
	fc->free_ns += local_clock() - t0;
out:
	if (look.again)
		freept_pmd_mark(mm, pmd);
	fc->span -= min(fc->span, end - start);
	fc->start = end;
}

/*
 * The PMD table for @addr, or NULL and the end of the hole that @addr is in, as
 * far as one entry tells.
 */
static pmd_t *freept_find_pmd(struct mm_struct *mm, unsigned long addr,
			      unsigned long *end)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud, pudval;

	*end = pgd_addr_end(addr, *end);
	if (pgd_none(*pgd) || unlikely(pgd_bad(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	*end = p4d_addr_end(addr, *end);
	if (p4d_none(READ_ONCE(*p4d)) || unlikely(p4d_bad(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	*end = pud_addr_end(addr, *end);
	/* a huge entry can be cleared under us; a PMD table stays */
	pudval = pudp_get(pud);
	if (!pud_present(pudval) || pud_leaf(pudval) || pud_devmap(pudval) ||
	    unlikely(pud_bad(pudval)))
		return NULL;
	return pmd_offset(pud, addr & PUD_MASK);
}

/* As much as one hold of the mmap lock may do.  Returns how long that took. */
static u64 freept_walk(struct mm_struct *mm, struct freept_control *fc)
{
	struct freept_hold hold = {
		.nr_to_scan = FREEPT_HOLD_SCAN,
		.nr_to_free = FREEPT_HOLD_FREE,
	};
	unsigned long nr_scanned = fc->nr_scanned, nr_freed = fc->nr_freed;
	unsigned long work = fc->work;
	u64 t0 = local_clock(), free_ns = fc->free_ns, held_ns;

	while (fc->start < fc->end && fc->span && fc->nr_to_scan &&
	       fc->nr_to_free && hold.nr_to_scan && hold.nr_to_free) {
		struct vm_area_struct *vma = find_vma(mm, fc->start);
		unsigned long end;
		pmd_t *pmd;

		if (!vma || vma->vm_start >= fc->end) {
			fc->start = fc->end;
			break;
		}
		if (!freept_vma_eligible(vma, fc->flags) ||
		    !freept_vma_asked(vma, fc->flags)) {
			trace_freept_skip(mm, fc->start, FREEPT_SKIP_VMA);
			fc->start = vma->vm_end;
			freept_charge(fc, &hold, 1);
			continue;
		}
		/* a PMD table is looked at as a whole, if that can be afforded */
		fc->start = max(fc->start, fc->span < PUD_SIZE ? vma->vm_start :
					   vma->vm_start & PUD_MASK);
		/* no further than the PUD entry, or the entry that is a hole */
		end = ALIGN(fc->end, PMD_SIZE);
		pmd = freept_find_pmd(mm, fc->start, &end);
		if (!pmd) {
			fc->start = end;
			freept_charge(fc, &hold, 1);
			continue;
		}
		freept_pmd_range(mm, pmd, end, fc, &hold);
		if (mmap_lock_is_contended(mm) || need_resched())
			break;
	}
	held_ns = local_clock() - t0;
	/* what took much longer than it can was interrupted: that does not count */
	fc->scan_ns += min(held_ns - (fc->free_ns - free_ns),
			   NSEC_PER_MSEC + (fc->work - work) * 2 * NSEC_PER_USEC);
	trace_freept_hold(mm, fc->nr_scanned - nr_scanned,
			  fc->nr_freed - nr_freed, held_ns);
	return held_ns;
}

/**
 * freept_reclaim_mm - free the empty PTE tables of an mm
 * @mm: the mm, which the caller keeps alive (mm_users)
 * @fc: where to look, how much to do, and what was done
 *
 * Goes on until the range is done or a limit of @fc is met; fc->start tells
 * how far it came.  The mmap lock is taken for reading, for at most 4096 tables
 * looked at (FREEPT_HOLD_SCAN) and FREEPT_HOLD_FREE unlinked at a time, and
 * dropped earlier when somebody waits for it.
 *
 * The tables, and their charge, are gone after an RCU grace period.
 *
 * Context: Process context, may sleep between two holds.  The caller holds
 * neither the mmap lock of @mm nor a spinlock.
 * Return: 0; -EAGAIN if the lock was taken and FREEPT_WAIT is not set; -EINTR
 * on a fatal signal; -EOPNOTSUPP where the feature is off.
 */
int freept_reclaim_mm(struct mm_struct *mm, struct freept_control *fc)
{
	unsigned long nr_scanned = fc->nr_scanned, nr_freed = fc->nr_freed;
	u64 held_ns = 0;
	int ret = 0;

	if (!freept_enabled())
		return -EOPNOTSUPP;
	fc->end = min(fc->end, TASK_SIZE_MAX);
	trace_freept_run_start(mm, fc->start, fc->end, fc->flags);

	while (fc->start < fc->end && fc->span && fc->nr_to_scan &&
	       fc->nr_to_free) {
		if (fc->flags & FREEPT_WAIT) {
			ret = mmap_read_lock_killable(mm);
			if (ret)
				break;
		} else if (!mmap_read_trylock(mm)) {
			trace_freept_skip(mm, fc->start, FREEPT_SKIP_BUSY);
			ret = -EAGAIN;
			break;
		}
		held_ns += freept_walk(mm, fc);
		mmap_read_unlock(mm);

		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		/* all others are gone: it is to exit, do not keep it from that */
		if (mm != current->mm && atomic_read(&mm->mm_users) == 1)
			break;
		cond_resched();
	}

	nr_scanned = fc->nr_scanned - nr_scanned;
	trace_freept_run_end(mm, fc->start, nr_scanned, fc->nr_freed - nr_freed,
			     held_ns, ret);
	if (nr_scanned) {
		count_vm_events(PTSCAN, nr_scanned);
		count_memcg_events_mm(mm, PTSCAN, nr_scanned);
	}
	return ret;
}

#ifdef CONFIG_FREEPT_KUNIT_TEST
#include "freept_kunit.c"
#endif
