/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __MM_FREEPT_H
#define __MM_FREEPT_H

/*
 * Between mm/freept.c (the engine), mm/freept_batch.c (what it has unlinked),
 * mm/freept_hints.c (what is known of tables without looking at them),
 * mm/freept_scan.c (background work), mm/freept_lap.c (when that is due) and
 * mm/freept_user.c (what a process can ask for).
 */

#include <linux/freept.h>
#include <linux/mm.h>

/* mm/freept_vma.c */
bool freept_vma_possible(struct vm_area_struct *vma);
bool freept_vma_eligible(struct vm_area_struct *vma, unsigned int flags);
bool freept_vma_asked(struct vm_area_struct *vma, unsigned int flags);
unsigned long freept_eligible(struct mm_struct *mm, unsigned long start,
			      unsigned long end, unsigned long *slots,
			      unsigned int flags, unsigned int *nr_vmas);

/**
 * struct freept_batch - tables that were unlinked, on their way to RCU
 * @first: the last one that was added, which leads to the others
 * @nr: how many they are
 */
struct freept_batch {
	struct ptdesc *first;
	unsigned int nr;
};

/* mm/freept_batch.c */
void freept_batch_add(struct freept_batch *batch, struct ptdesc *pt);
struct ptdesc *freept_batch_next(struct ptdesc *pt);
void freept_batch_free(struct freept_batch *batch, struct freept_control *fc);

/* mm/freept_scan.c */
void freept_was_asked(void);
unsigned long freept_delay(void);

/* In place of a generation: the lap that looks at all tables is not over yet */
#define FREEPT_LAP		UINT_MAX

/* mm/freept_lap.c */
unsigned long freept_lap_delay(struct mm_struct *mm);
bool freept_lap_begin(struct mm_struct *mm);
void freept_lap_end(struct mm_struct *mm);

struct dentry;

/* mm/freept_hints.c */
struct dentry *freept_debugfs(void);
bool freept_pmd_marked(pmd_t *pmd);
void freept_pmd_mark(struct mm_struct *mm, pmd_t *pmd);
void freept_pmd_unmark(pmd_t *pmd);
extern unsigned int freept_generation;
extern atomic_t freept_hints_missed;
bool freept_hints_complete(struct mm_struct *mm);
void freept_hint_check(struct mm_struct *mm, struct ptdesc *pt);
void freept_filter_prepare(struct mm_struct *mm);
void freept_filter_freed(struct mm_struct *mm, pmd_t *pmd);

#endif /* __MM_FREEPT_H */
