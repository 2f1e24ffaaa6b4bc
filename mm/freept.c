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
 *  4. Hand the tables to RCU, many in one callback; freept_free().
 *
 * The mmap lock is held for reading, which keeps VMAs and all levels above the
 * PTE tables in place, and is dropped after a bounded amount of work.  A VMA
 * lock would not do: collapse_huge_page() decides on a PMD entry under the mmap
 * lock for writing before it takes the VMA lock.
 *
 * Documentation/mm/freept.rst says why each step is safe, and for whom.
 */
#define pr_fmt(fmt) "freept: " fmt

#include <linux/bitmap.h>
#include <linux/freept.h>
#include <linux/fs.h>
#include <linux/hash.h>
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
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>
#include <linux/vmstat.h>

#include <asm/tlbflush.h>

#include "internal.h"

/* Tables that one RCU callback frees: few callbacks, and none that is long */
#define FREEPT_RCU_BATCH	64

/*
 * The refault filter of an mm: for each of its places, the time at which a
 * table was last freed in a slot that hashes to it.
 */
#define FREEPT_FILTER_BITS	12
#define FREEPT_FILTER_TICK	(HZ / 4)
#define FREEPT_REFAULT_TICKS	40	/* 10 seconds */

struct freept_filter {
	u16 when[1 << FREEPT_FILTER_BITS];
};

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
	return (jiffies / FREEPT_FILTER_TICK) | 1;	/* 0: never */
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

void __freept_refault(struct mm_struct *mm, pmd_t *pmd)
{
	/* pairs with cmpxchg_release() in freept_filter_prepare() */
	struct freept_filter *filter = smp_load_acquire(&mm->freept.filter);
	u16 *place = freept_filter_place(filter, pmd);
	u16 when = READ_ONCE(*place);

	if (likely(!when))
		return;
	/* one refault for one free */
	WRITE_ONCE(*place, 0);
	if ((u16)(freept_filter_now() - when) > FREEPT_REFAULT_TICKS)
		return;

	count_vm_event(PTREFAULT);
	freept_count_memcg_refault();
}

/* Without memory for the filter, refaults of this mm are not counted. */
static void freept_filter_prepare(struct mm_struct *mm)
{
	struct freept_filter *filter;

	if (READ_ONCE(mm->freept.filter))
		return;
	filter = kzalloc(sizeof(*filter), GFP_NOWAIT | __GFP_NOWARN);
	/* zeroes first: pairs with __freept_refault() */
	if (filter && cmpxchg_release(&mm->freept.filter, NULL, filter))
		kfree(filter);
}

/**
 * freept_mm_init - prepare the fields of a new mm
 * @mm: the mm, which may be a copy of another one
 *
 * Context: Process context, nobody else knows @mm yet.
 */
void freept_mm_init(struct mm_struct *mm)
{
	memset(&mm->freept, 0, sizeof(mm->freept));
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

/*
 * VMAs in which a table has to stay even if it is empty:
 *
 *  - hugetlb has entries of its own kind in tables that it may share;
 *  - drivers insert pages into VM_PFNMAP, VM_MIXEDMAP and VM_IO mappings, and
 *    DAX into its own: vmf_insert_pfn(), vmf_insert_mixed(), vm_insert_pages()
 *    and remap_pfn_range() report an error to the user when the table that they
 *    have just allocated is gone;
 *  - UFFDIO_COPY takes a table that vanished for a page that is there (-EEXIST),
 *    and with userfaultfd "none" and "a table with none" are not the same.
 */
static bool freept_vma_eligible(struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_HUGETLB | VM_PFNMAP | VM_MIXEDMAP | VM_IO)) &&
	       !vma_is_dax(vma) && !userfaultfd_armed(vma);
}

/*
 * Where hugetlb pages smaller than PMD_SIZE have their entries in PTE tables, a
 * munmap() that has downgraded the mmap lock may be walking such a table below
 * a gap between the VMAs, without RCU: then a table has to stay that a gap has
 * a part in.
 */
static void freept_keep_gap(unsigned long *keep, unsigned long start,
			    unsigned long end)
{
	if (!IS_ENABLED(CONFIG_FREEPT_KEEP_GAPS) || start >= end)
		return;
	if (!IS_ALIGNED(start, PMD_SIZE))
		__set_bit(pmd_index(start), keep);
	if (!IS_ALIGNED(end, PMD_SIZE))
		__set_bit(pmd_index(end), keep);
}

/*
 * Set in @slots the slots of [start, end), all in one PMD table, whose tables
 * may be freed if they are empty.  A table that several VMAs share must be
 * eligible in all of them.  Slots that no VMA covers are not set: munmap()
 * frees tables there without locks, after downgrading the mmap lock.
 *
 * Adds the number of VMAs to *nr_vmas, and returns the end of what was looked
 * at, short of @end where there are more VMAs than one hold of the mmap lock
 * should visit.
 */
static noinline_for_stack
unsigned long freept_eligible(struct mm_struct *mm, unsigned long start,
			      unsigned long end, unsigned long *slots,
			      unsigned int *nr_vmas)
{
	VMA_ITERATOR(vmi, mm, start);
	DECLARE_BITMAP(keep, PTRS_PER_PMD);
	unsigned long gap = start;
	struct vm_area_struct *vma;

	bitmap_zero(slots, PTRS_PER_PMD);
	bitmap_zero(keep, PTRS_PER_PMD);
	for_each_vma_range(vmi, vma, end) {
		unsigned long first = max(vma->vm_start, start);
		unsigned long last = min(vma->vm_end, end) - 1;

		/* The first slot is done with all its VMAs: there is progress */
		if (++*nr_vmas > FREEPT_HOLD_SCAN && (first & PMD_MASK) > start) {
			end = first & PMD_MASK;
			bitmap_clear(slots, pmd_index(end),
				     PTRS_PER_PMD - pmd_index(end));
			break;
		}
		freept_keep_gap(keep, gap, first);
		gap = last + 1;
		bitmap_set(freept_vma_eligible(vma) ? slots : keep,
			   pmd_index(first),
			   pmd_index(last) - pmd_index(first) + 1);
	}
	freept_keep_gap(keep, gap, end);
	bitmap_andnot(slots, slots, keep, PTRS_PER_PMD);
	return end;
}

/*
 * The raw value, and not ptep_get(), which on arm64 gathers the flags of all
 * entries of a contiguous block: an entry is none if and only if it is empty.
 */
static pteval_t freept_entry(pte_t *pte)
{
	return pte_val(READ_ONCE(*pte));
}

/*
 * ARCH_SUPPORTS_FREEPT promises that pte_none() of several entries or'ed
 * together says whether all of them are none: 1 test instead of 8.
 */
static bool freept_table_empty(pte_t *pte)
{
	pte_t *end = pte + PTRS_PER_PTE;

	BUILD_BUG_ON(PTRS_PER_PTE % 8);
	for (; pte < end; pte += 8) {
		pteval_t val = freept_entry(pte) | freept_entry(pte + 1) |
			       freept_entry(pte + 2) | freept_entry(pte + 3) |
			       freept_entry(pte + 4) | freept_entry(pte + 5) |
			       freept_entry(pte + 6) | freept_entry(pte + 7);

		if (!pte_none(__pte(val)))
			return false;
	}
	return true;
}

/* Does the entry point to a PTE table? */
static bool freept_pmd_table(pmd_t pmdval)
{
	return pmd_present(pmdval) && !pmd_leaf(pmdval) && !pmd_devmap(pmdval) &&
	       !pmd_bad(pmdval);
}

/*
 * Clear in @slots all but those whose table looks empty.  @pmd is the PMD table.
 * RCU keeps a table that is unlinked while we read it; all that we read can be
 * out of date at once, and is a hint.
 *
 * Returns the number of tables looked at.
 */
static unsigned int freept_look(pmd_t *pmd, unsigned long *slots)
{
	unsigned int i, nr = 0;

	for_each_set_bit(i, slots, PTRS_PER_PMD) {
		bool empty = false;
		pte_t *pte = NULL;

		if (freept_pmd_table(pmdp_get_lockless(pmd + i)))
			pte = pte_offset_map(pmd + i, 0);
		if (pte) {
			__acquire(RCU);	/* pte_offset_map() did */
			empty = freept_table_empty(pte);
			pte_unmap(pte);
			nr++;
		}
		if (!empty)
			__clear_bit(i, slots);
	}
	return nr;
}

/* Tables on their way to RCU: the first of a chain has the rcu_head */
struct freept_batch {
	struct ptdesc *first;
	unsigned int nr;
};

/* pt_index is not used by PTE tables on the architectures that we support */
static struct ptdesc *freept_chain_next(struct ptdesc *pt)
{
	return (struct ptdesc *)pt->pt_index;
}

static void freept_rcu_free(struct rcu_head *head)
{
	struct ptdesc *pt = container_of(head, struct ptdesc, pt_rcu_head);

	rcu_read_lock();
	while (pt) {
		struct ptdesc *next = freept_chain_next(pt);
		struct mem_cgroup *owner = folio_memcg(ptdesc_folio(pt));

		pt->pt_index = 0;
		pagetable_pte_dtor(pt);
		/* one by one: what is uncharged shall not be in flight as well */
		memcg_pt_freed(owner, 1);
		pagetable_free(pt);
		pt = next;
	}
	rcu_read_unlock();
}

/* Tables that were charged to @memcg, or to nobody, are freed */
static void freept_count_memcg(struct mem_cgroup *memcg, unsigned int nr,
			       struct freept_control *fc)
{
#ifdef CONFIG_MEMCG
	if (!memcg || !nr)
		return;
	count_memcg_events(memcg, PTFREE, nr);
	if (fc->memcg && mem_cgroup_is_descendant(memcg, fc->memcg))
		fc->nr_charged += nr;
#endif
}

/*
 * Free what was unlinked.  Until the grace period is over, walkers that found a
 * table before may look at it and take its lock, so the destructor, too, waits
 * for it.  The charge is returned there as well.
 */
static void freept_free(struct freept_batch *batch, struct freept_control *fc)
{
	struct mem_cgroup *memcg = NULL;
	unsigned int in_chain = 0, nr_memcg = 0;
	struct ptdesc *pt = batch->first, *head = pt;

	rcu_read_lock();
	while (pt) {
		struct ptdesc *next = freept_chain_next(pt);
		struct mem_cgroup *owner = folio_memcg(ptdesc_folio(pt));

		if (owner != memcg) {
			freept_count_memcg(memcg, nr_memcg, fc);
			memcg = owner;
			nr_memcg = 0;
		}
		nr_memcg++;
		if (++in_chain == FREEPT_RCU_BATCH || !next) {
			pt->pt_index = 0;
			/* memory that somebody may be waiting for: not lazily */
			call_rcu_hurry(&head->pt_rcu_head, freept_rcu_free);
			head = next;
			in_chain = 0;
		}
		pt = next;
	}
	freept_count_memcg(memcg, nr_memcg, fc);
	rcu_read_unlock();
	count_vm_events(PTFREE, batch->nr);
}

/*
 * A table that was installed in this tick or the last one may have been put
 * there by a fault that has not come to use it yet: see freept_table_installed().
 * Not all who install a table say when: a stamp that is none is old.
 */
static bool freept_table_young(struct ptdesc *pt)
{
	return jiffies - pt->pt_index <= 1;
}

/* Unlink the table of *@pmd if it is empty.  Context: pml is held. */
static bool freept_unlink_one(struct mm_struct *mm, pmd_t *pmd, spinlock_t *pml,
			      struct freept_batch *batch,
			      struct freept_control *fc)
{
	struct freept_filter *filter = READ_ONCE(mm->freept.filter);
	pmd_t pmdval = pmdp_get(pmd);
	struct ptdesc *pt;
	spinlock_t *ptl;	/* of the table, nests in pml */
	bool empty;

	if (!freept_pmd_table(pmdval))
		return false;
	pt = page_ptdesc(pmd_pgtable(pmdval));
	if ((fc->flags & FREEPT_OLD) && freept_table_young(pt)) {
		fc->nr_young++;
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
		/* first counted as in flight, then no longer to be found */
		rcu_read_lock();
		memcg_pt_unlinked(folio_memcg(ptdesc_folio(pt)), 1);
		rcu_read_unlock();
		pmd_clear(pmd);
	}
	if (ptl != pml)
		spin_unlock(ptl);
	else
		__release(ptl);
	if (!empty)
		return false;

	mm_dec_nr_ptes(mm);
	if (filter)
		WRITE_ONCE(*freept_filter_place(filter, pmd),
			   freept_filter_now());
	pt->pt_index = (pgoff_t)batch->first;
	batch->first = pt;
	batch->nr++;
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
		if (!freept_unlink_one(mm, pmd + i, pml, &batch, fc))
			continue;
		if (!end)
			start = base + i * PMD_SIZE;
		end = base + (i + 1) * PMD_SIZE;
	}
	if (batch.nr) {
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

	freept_free(&batch, fc);
	fc->nr_freed += batch.nr;
	fc->nr_to_free -= batch.nr;
	return next;
}

/* What is left to be done in this hold of the mmap lock */
struct freept_hold {
	unsigned long nr_to_scan;
	unsigned long nr_to_free;
};

/* Work that amounts to looking at @nr tables has been done */
static void freept_charge(struct freept_control *fc, struct freept_hold *hold,
			  unsigned long nr)
{
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
	unsigned int nr_scanned, weight, nr_vmas = 0;
	u64 t0;

	/* Neither the span nor the hold need to be met to the last table */
	if (fc->span < end - start)
		end = start + max(fc->span & PMD_MASK, PMD_SIZE);

	end = freept_eligible(mm, start, end, slots, &nr_vmas);
	nr_scanned = freept_look(pmd, slots);
	fc->nr_scanned += nr_scanned;
	freept_charge(fc, hold, 1 + nr_scanned + nr_vmas / 8);

	weight = bitmap_weight(slots, PTRS_PER_PMD);
	if (!weight)
		goto out;
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

/* As much as one hold of the mmap lock may do */
static void freept_walk(struct mm_struct *mm, struct freept_control *fc)
{
	struct freept_hold hold = {
		.nr_to_scan = FREEPT_HOLD_SCAN,
		.nr_to_free = FREEPT_HOLD_FREE,
	};
	u64 t0 = local_clock(), free_ns = fc->free_ns;

	while (fc->start < fc->end && fc->span && fc->nr_to_scan &&
	       fc->nr_to_free && hold.nr_to_scan && hold.nr_to_free) {
		struct vm_area_struct *vma = find_vma(mm, fc->start);
		unsigned long end;
		pmd_t *pmd;

		if (!vma || vma->vm_start >= fc->end) {
			fc->start = fc->end;
			break;
		}
		if (!freept_vma_eligible(vma)) {
			fc->start = vma->vm_end;
			freept_charge(fc, &hold, 1);
			continue;
		}
		fc->start = max(fc->start, vma->vm_start);
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
	fc->scan_ns += local_clock() - t0 - (fc->free_ns - free_ns);
}

/**
 * freept_reclaim_mm - free the empty PTE tables of an mm
 * @mm: the mm, which the caller keeps alive (mm_users)
 * @fc: where to look, how much to do, and what was done
 *
 * Goes on until the range is done or a limit of @fc is met; fc->start tells
 * how far it came.  The mmap lock is taken for reading, for at most
 * FREEPT_HOLD_SCAN tables looked at and FREEPT_HOLD_FREE unlinked at a time,
 * and dropped earlier when somebody waits for it.
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
	unsigned long nr_scanned = fc->nr_scanned;
	int ret = 0;

	if (!freept_enabled())
		return -EOPNOTSUPP;
	fc->end = min(fc->end, TASK_SIZE_MAX);

	while (fc->start < fc->end && fc->span && fc->nr_to_scan &&
	       fc->nr_to_free) {
		if (fc->flags & FREEPT_WAIT) {
			ret = mmap_read_lock_killable(mm);
			if (ret)
				break;
		} else if (!mmap_read_trylock(mm)) {
			ret = -EAGAIN;
			break;
		}
		freept_walk(mm, fc);
		mmap_read_unlock(mm);

		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}

	nr_scanned = fc->nr_scanned - nr_scanned;
	if (nr_scanned) {
		count_vm_events(PTSCAN, nr_scanned);
		count_memcg_events_mm(mm, PTSCAN, nr_scanned);
	}
	return ret;
}

#ifdef CONFIG_FREEPT_KUNIT_TEST
#include "freept_kunit.c"
#endif
