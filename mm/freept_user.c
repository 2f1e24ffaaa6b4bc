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
	vm_flags_t wanted = behavior == MADV_FREEPT ? VM_FREEPT : VM_NOFREEPT;
	struct mm_struct *mm = vma->vm_mm;

	if (!freept_vma_possible(vma))
		return -EINVAL;
	if ((*vm_flags & (VM_FREEPT | VM_NOFREEPT)) == wanted)
		return 0;
	*vm_flags &= ~(VM_FREEPT | VM_NOFREEPT);
	*vm_flags |= wanted;
	if (behavior == MADV_FREEPT) {
		/* tables that were to be left alone may be empty for long */
		freept_hints_lost(mm);
		WRITE_ONCE(mm->freept.ranges, true);
	}
	return 0;
}

/**
 * freept_range_asked - MADV_FREEPT is done: have what it asks for begin
 * @mm: the mm
 *
 * If that was a part of the range only, or nothing, the flags tell.
 *
 * Context: Process context, no mmap lock is held: code may be patched.
 */
void freept_range_asked(struct mm_struct *mm)
{
	if (READ_ONCE(mm->freept.ranges))
		freept_was_asked();
}

/*
 * How far is [start, end) mapped?  Not all at once where there are many VMAs: *more
 * says whether to ask again from there.  Context: The mmap lock is held.
 */
static unsigned long freept_mapped(struct mm_struct *mm, unsigned long start,
				   unsigned long end, bool *more)
{
	VMA_ITERATOR(vmi, mm, start);
	unsigned int nr_vmas = 0;
	struct vm_area_struct *vma;

	*more = false;
	for_each_vma_range(vmi, vma, end) {
		if (vma->vm_start > start)
			break;
		start = vma->vm_end;
		if (start < end && (++nr_vmas == FREEPT_HOLD_SCAN ||
				    mmap_lock_is_contended(mm))) {
			*more = true;
			break;
		}
	}
	return start;
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
	unsigned long mapped = 0, end = 0;
	bool more;
	int ret;

	do {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		if (!mapped) {
			start = untagged_addr_remote(mm, start);
			end = start + len;
			mapped = start;
		}
		mapped = freept_mapped(mm, mapped, end, &more);
		mmap_read_unlock(mm);
		cond_resched();
	} while (more);

	fc.start = start;
	fc.end = end;
	fc.flags = FREEPT_WAIT;
	ret = freept_reclaim_mm(mm, &fc);
	if (ret)
		return ret;
	return mapped >= end ? 0 : -ENOMEM;
}
