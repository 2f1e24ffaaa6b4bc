// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of empty PTE tables: what a process can ask for
 *
 * prctl(PR_SET_FREEPT) switches background work on or off for a process and its
 * children; madvise(MADV_FREEPT) and MADV_NOFREEPT do so for a range, as flags of
 * its VMAs; MADV_PT_RECLAIM frees the empty tables of a range now.  Who wins is
 * decided in freept_wanted() and freept_vma_eligible().
 */
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/prctl.h>
#include <linux/sched/signal.h>

#include "freept.h"

/**
 * freept_prctl_set - PR_SET_FREEPT
 * @choice: PR_FREEPT_DEFAULT, _ENABLE or _DISABLE
 *
 * Context: Process context.
 * Return: 0, or -EINVAL.
 */
int freept_prctl_set(unsigned long choice)
{
	if (choice > PR_FREEPT_DISABLE)
		return -EINVAL;
	WRITE_ONCE(current->mm->freept.choice, choice);
	if (choice == PR_FREEPT_ENABLE)
		freept_was_asked();
	return 0;
}

/**
 * freept_prctl_get - PR_GET_FREEPT
 *
 * Context: Process context.
 * Return: What was set, PR_FREEPT_DEFAULT if nothing was.
 */
int freept_prctl_get(void)
{
	return READ_ONCE(current->mm->freept.choice);
}

/**
 * freept_madvise_vma - MADV_FREEPT and MADV_NOFREEPT
 * @vma: the VMA
 * @behavior: which of them
 * @vm_flags: its flags, to be changed
 *
 * Context: mmap lock held for writing.
 * Return: 0; -EINVAL if tables of the VMA can never be freed.
 */
int freept_madvise_vma(struct vm_area_struct *vma, int behavior,
		       unsigned long *vm_flags)
{
	struct mm_struct *mm = vma->vm_mm;

	if (!freept_vma_possible(vma))
		return -EINVAL;
	*vm_flags &= ~(VM_FREEPT | VM_NOFREEPT);
	*vm_flags |= behavior == MADV_FREEPT ? VM_FREEPT : VM_NOFREEPT;
	/* tables that were to be left alone may be empty for long */
	freept_hints_lost(mm);
	if (behavior == MADV_FREEPT)
		WRITE_ONCE(mm->freept.ranges, true);
	return 0;
}

/* Is all of [start, end) mapped?  Context: The mmap lock is held. */
static bool freept_all_mapped(struct mm_struct *mm, unsigned long start,
			      unsigned long end)
{
	VMA_ITERATOR(vmi, mm, start);
	struct vm_area_struct *vma;

	for_each_vma_range(vmi, vma, end) {
		if (vma->vm_start > start)
			return false;
		start = vma->vm_end;
	}
	return start >= end;
}

/**
 * freept_madvise - MADV_PT_RECLAIM: free the empty tables of a range now
 * @mm: the mm, which the caller keeps alive
 * @start: first address, page aligned; a tag in it is ignored
 * @len: bytes
 *
 * A table that lies across an end of the range belongs to it.  Mappings of which
 * no table can be freed are passed over.
 *
 * Context: Process context, no mmap lock is held.
 * Return: 0 if no empty table is left that may be freed; -ENOMEM if a part of
 * the range is not mapped, the rest is done; -EINTR on a fatal signal;
 * -EOPNOTSUPP where the feature is off.
 */
int freept_madvise(struct mm_struct *mm, unsigned long start, size_t len)
{
	DEFINE_FREEPT_CONTROL(fc);
	bool mapped;
	int ret;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	start = untagged_addr_remote(mm, start);
	mapped = freept_all_mapped(mm, start, start + len);
	mmap_read_unlock(mm);

	fc.start = start;
	fc.end = start + len;
	fc.flags = FREEPT_WAIT;
	ret = freept_reclaim_mm(mm, &fc);
	if (ret)
		return ret;
	return mapped ? 0 : -ENOMEM;
}
