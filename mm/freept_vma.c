// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of empty PTE tables: which tables may be touched at all
 *
 * That depends on the mappings that a table serves, and on who asks.
 */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/userfaultfd_k.h>

#include "internal.h"
#include "freept.h"

/**
 * freept_vma_possible - can tables of a VMA ever be freed?
 * @vma: the VMA
 *
 * Not so where a table has to stay even if it is empty:
 *
 * - hugetlb has entries of its own kind in tables that it may share;
 * - drivers insert pages into VM_PFNMAP, VM_MIXEDMAP and VM_IO mappings, and
 *   DAX into its own: vmf_insert_pfn(), vmf_insert_mixed(), vm_insert_pages()
 *   and remap_pfn_range() report an error to the user when the table that they
 *   have just allocated is gone.
 *
 * Context: The mmap lock is held.
 * Return: true or false.
 */
bool freept_vma_possible(struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_HUGETLB | VM_PFNMAP | VM_MIXEDMAP | VM_IO)) &&
	       !vma_is_dax(vma);
}

/**
 * freept_vma_eligible - may tables of a VMA be freed for a request?
 * @vma: the VMA
 * @flags: of the request
 *
 * UFFDIO_COPY takes a table that vanished for a page that is there (-EEXIST),
 * and with userfaultfd "none" and "a table with none" are not the same.
 *
 * Context: The mmap lock is held.
 * Return: true or false.
 */
bool freept_vma_eligible(struct vm_area_struct *vma, unsigned int flags)
{
	if (!freept_vma_possible(vma) || userfaultfd_armed(vma))
		return false;
	return !(flags & FREEPT_BACKGROUND) || !(vma->vm_flags & VM_NOFREEPT);
}

/**
 * freept_vma_asked - does a request want the tables of a VMA?
 * @vma: the VMA
 * @flags: of the request
 *
 * Context: The mmap lock is held.
 * Return: true or false.
 */
bool freept_vma_asked(struct vm_area_struct *vma, unsigned int flags)
{
	return !(flags & FREEPT_RANGES) || (vma->vm_flags & VM_FREEPT);
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

/**
 * freept_eligible - which slots of a PMD table may be touched
 * @mm: the mm
 * @start: first address, in the range of the PMD table
 * @end: end of the range, of the same PMD table
 * @slots: to be set for those whose tables may be freed if they are empty
 * @flags: of the request, FREEPT_BACKGROUND and FREEPT_RANGES count
 * @nr_vmas: raised by the number of VMAs visited
 *
 * A table that several VMAs share must be eligible in all of them.  Slots that no
 * VMA covers are not set: munmap() frees tables there without locks, after
 * downgrading the mmap lock.
 *
 * Context: The mmap lock is held.
 * Return: The end of what was looked at, short of @end where there are more VMAs
 * than one hold of the mmap lock should visit.
 */
unsigned long freept_eligible(struct mm_struct *mm, unsigned long start,
			      unsigned long end, unsigned long *slots,
			      unsigned int flags, unsigned int *nr_vmas)
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
		unsigned long *bits;

		/* The first slot is done with all its VMAs: there is progress */
		if (++*nr_vmas > FREEPT_HOLD_SCAN && (first & PMD_MASK) > start) {
			end = first & PMD_MASK;
			bitmap_clear(slots, pmd_index(end),
				     PTRS_PER_PMD - pmd_index(end));
			break;
		}
		freept_keep_gap(keep, gap, first);
		gap = last + 1;
		if (freept_vma_eligible(vma, flags)) {
			/* a table of which any part was asked for is asked for */
			if (!freept_vma_asked(vma, flags))
				continue;
			bits = slots;
		} else {
			bits = keep;
		}
		bitmap_set(bits, pmd_index(first),
			   pmd_index(last) - pmd_index(first) + 1);
	}
	freept_keep_gap(keep, gap, end);
	bitmap_andnot(slots, slots, keep, PTRS_PER_PMD);
	return end;
}

