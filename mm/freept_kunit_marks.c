// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the reclaim of empty PTE tables: what background work knows
 *
 * Included by mm/freept_kunit.c, after mm/freept_kunit_order.c.  Marks that are lost, or
 * made for nothing, show in nothing but the time that a table stays.
 */

#include <linux/pgalloc.h>

/* Background work for current's mm is due, and comes */
static void fk_background(void)
{
	struct callback_head *work = &current->freept_work;

	WRITE_ONCE(current->mm->freept.next, jiffies);
	work->func(work);
}

/* The mmap lock is taken when a lap begins: its marks are for the next try */
static void fk_lap_put_off(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct mm_struct *mm = current->mm;
	unsigned int tries;

	mm->freept.choice = PR_FREEPT_ENABLE;
	/* the first lap looks at all, and finds the tables empty for the first time */
	for (tries = 0; tries < 100 && !freept_hints_complete(mm); tries++)
		fk_background();
	KUNIT_ASSERT_LT(test, tries, 100);
	KUNIT_EXPECT_TRUE(test, mm->freept.marked);
	KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES);

	mmap_write_lock(mm);
	fk_background();
	mmap_write_unlock(mm);
	KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES);
	for (tries = 0; tries < 100 && fk_count(addr); tries++)
		fk_background();
	KUNIT_EXPECT_EQ(test, fk_count(addr), 0);
}

/* Hints of ranges: what is known of tables is void if a hint is new, only then */
static void fk_hints_kept(struct kunit *test)
{
	struct vm_area_struct *vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);
	struct mm_struct *mm = kunit_kzalloc(test, sizeof(*mm), GFP_KERNEL);
	unsigned long flags = 0;

	KUNIT_ASSERT_NOT_NULL(test, vma);
	KUNIT_ASSERT_NOT_NULL(test, mm);
	vma->vm_mm = mm;
	mm->freept.hinted = 1;
	KUNIT_EXPECT_EQ(test, freept_madvise_vma(vma, MADV_NOFREEPT, &flags), 0);
	KUNIT_EXPECT_TRUE(test, flags == VM_NOFREEPT);
	KUNIT_EXPECT_EQ(test, mm->freept.hinted, 1);

	KUNIT_EXPECT_EQ(test, freept_madvise_vma(vma, MADV_FREEPT, &flags), 0);
	KUNIT_EXPECT_TRUE(test, flags == VM_FREEPT);
	KUNIT_EXPECT_EQ(test, mm->freept.hinted, 0);
	KUNIT_EXPECT_TRUE(test, mm->freept.ranges);

	mm->freept.hinted = 1;
	KUNIT_EXPECT_EQ(test, freept_madvise_vma(vma, MADV_FREEPT, &flags), 0);
	KUNIT_EXPECT_TRUE(test, flags == VM_FREEPT);
	KUNIT_EXPECT_EQ(test, mm->freept.hinted, 1);
}

/* A copy, for fork, has ranges if its original has some; a new mm, for exec, not */
static void fk_ranges(struct kunit *test)
{
	struct mm_struct *mm = kunit_kzalloc(test, sizeof(*mm), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mm);
	fk_map(test);
	current->mm->freept.ranges = true;
	current->mm->freept.choice = PR_FREEPT_ENABLE;
	freept_mm_init(mm);
	KUNIT_EXPECT_FALSE(test, mm->freept.ranges);
	KUNIT_EXPECT_EQ(test, mm->freept.choice, PR_FREEPT_ENABLE);
	mm->freept.ranges = true;
	freept_mm_init(mm);
	KUNIT_EXPECT_TRUE(test, mm->freept.ranges);
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/* A table that was kept for a huge page has a mark of before, or of anybody */
static void fk_deposit(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct mm_struct *mm = current->mm;
	pgtable_t table = pte_alloc_one(mm);
	pmd_t *pmd = mm_find_pmd(mm, addr);
	spinlock_t *pml;	/* of the PMD table */

	KUNIT_ASSERT_NOT_NULL(test, table);
	page_ptdesc(table)->pt_emptied = FREEPT_SEEN_EMPTY;
	pml = pmd_lock(mm, pmd);
	pgtable_trans_huge_deposit(mm, pmd, table);
	table = pgtable_trans_huge_withdraw(mm, pmd);
	spin_unlock(pml);
	KUNIT_EXPECT_EQ(test, page_ptdesc(table)->pt_emptied, FREEPT_FILLED);
	pte_free(mm, table);
}
#else
static void fk_deposit(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this configuration");
}
#endif
