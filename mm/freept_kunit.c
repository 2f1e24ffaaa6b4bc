// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the engine that frees empty PTE tables
 *
 * Included by mm/freept.c.  Each test gets an mm of its own with anonymous
 * memory mapped in it (kunit_vm_mmap()), gives memory back the way madvise() does,
 * and looks at what one request to the engine did: to the tables, counted by
 * mm_pgtables_bytes() and by a walk of the test's own, to the contents, and to
 * the control block.
 */
#include <kunit/test.h>
#include <linux/mman.h>
#include <linux/uaccess.h>

#define FK_TABLES	24
#define FK_SIZE		((FK_TABLES + 1) * PMD_SIZE)

/* A mapping with room for FK_TABLES tables from an aligned address on */
static unsigned long fk_map(struct kunit *test)
{
	unsigned long addr;

	addr = kunit_vm_mmap(test, NULL, 0, FK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	mmap_write_lock(current->mm);
	vm_flags_set(find_vma(current->mm, addr), VM_NOHUGEPAGE);
	mmap_write_unlock(current->mm);
	return ALIGN(addr, PMD_SIZE);
}

static unsigned long fk_pattern(unsigned long addr)
{
	return addr * 0x9e3779b97f4a7c15UL | 1;
}

static void fk_touch(struct kunit *test, unsigned long addr)
{
	unsigned long val = fk_pattern(addr);

	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)addr, &val,
					      sizeof(val)));
}

static void fk_check(struct kunit *test, unsigned long addr, unsigned long want)
{
	unsigned long val = ~0UL;

	KUNIT_ASSERT_EQ(test, 0, copy_from_user(&val, (void __user *)addr,
						sizeof(val)));
	KUNIT_EXPECT_EQ(test, val, want);
}

static void fk_zap(unsigned long addr, unsigned long len)
{
	struct vm_area_struct *vma;

	mmap_read_lock(current->mm);
	vma = find_vma(current->mm, addr);
	zap_page_range_single(vma, addr, len, NULL);
	mmap_read_unlock(current->mm);
}

/* Is there a PTE table for this address?  By a walk that is not the engine's. */
static bool fk_has_table(unsigned long addr)
{
	pmd_t *pmd;
	bool ret;

	mmap_read_lock(current->mm);
	pmd = mm_find_pmd(current->mm, addr);
	ret = pmd && pmd_present(*pmd) && !pmd_leaf(*pmd);
	mmap_read_unlock(current->mm);
	return ret;
}

static unsigned int fk_count(unsigned long addr)
{
	unsigned int i, nr = 0;

	for (i = 0; i < FK_TABLES; i++)
		nr += fk_has_table(addr + i * PMD_SIZE);
	return nr;
}

static struct freept_control fk_control(unsigned long addr)
{
	DEFINE_FREEPT_CONTROL(fc);

	fc.start = addr;
	fc.end = addr + FK_TABLES * PMD_SIZE;
	fc.flags = FREEPT_WAIT;
	return fc;
}

/* All of FK_TABLES tables exist, with one page each at a place of its own */
static unsigned long fk_populate(struct kunit *test)
{
	unsigned long addr = fk_map(test);
	unsigned int i;

	for (i = 0; i < FK_TABLES; i++)
		fk_touch(test, addr + i * PMD_SIZE + i * 17 * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, fk_count(addr), FK_TABLES);
	return addr;
}

static void fk_all_empty(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	unsigned long before = mm_pgtables_bytes(current->mm);
	struct freept_control fc = fk_control(addr);

	fk_zap(addr, FK_TABLES * PMD_SIZE);
	KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fk_count(addr), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_GE(test, fc.nr_scanned, FK_TABLES);
	KUNIT_EXPECT_GE(test, fc.start, fc.end);
	KUNIT_EXPECT_EQ(test, before - mm_pgtables_bytes(current->mm),
			FK_TABLES * PTRS_PER_PTE * sizeof(pte_t));
	/* and the memory can be used again */
	fk_check(test, addr + PMD_SIZE, 0);
	fk_touch(test, addr + PMD_SIZE);
	fk_check(test, addr + PMD_SIZE, fk_pattern(addr + PMD_SIZE));
}

/* One entry, wherever it is, keeps its table, and its page */
static void fk_one_entry(struct kunit *test)
{
	static const unsigned int where[] = { 0, 1, 7, 8, 255, 504, 510, 511 };
	unsigned long addr = fk_map(test);
	struct freept_control fc = fk_control(addr);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(where); i++)
		fk_touch(test, addr + i * PMD_SIZE + where[i] * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 0);
	KUNIT_EXPECT_EQ(test, fc.nr_scanned, ARRAY_SIZE(where));
	for (i = 0; i < ARRAY_SIZE(where); i++) {
		unsigned long a = addr + i * PMD_SIZE + where[i] * PAGE_SIZE;

		KUNIT_EXPECT_TRUE(test, fk_has_table(a));
		fk_check(test, a, fk_pattern(a));
	}
}

static void fk_some_empty(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	struct freept_control fc = fk_control(addr);
	unsigned int i;

	for (i = 0; i < FK_TABLES; i += 3)
		fk_zap(addr + i * PMD_SIZE, PMD_SIZE);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, DIV_ROUND_UP(FK_TABLES, 3));
	for (i = 0; i < FK_TABLES; i++) {
		unsigned long a = addr + i * PMD_SIZE;

		KUNIT_EXPECT_EQ(test, fk_has_table(a), i % 3 != 0);
		if (i % 3) {
			a += i * 17 * PAGE_SIZE;
			fk_check(test, a, fk_pattern(a));
		}
	}
}

/* Limits hold, and the next request goes on where the last one ended */
static void fk_limits(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	struct freept_control fc = fk_control(addr);

	fk_zap(addr, FK_TABLES * PMD_SIZE);

	fc.nr_to_free = 5;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 5);
	KUNIT_EXPECT_EQ(test, fc.nr_to_free, 0);
	KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES - 5);
	KUNIT_EXPECT_EQ(test, fc.start, addr + 5 * PMD_SIZE);

	fc.nr_to_free = ULONG_MAX;
	fc.span = 3 * PMD_SIZE;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.span, 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 8);
	KUNIT_EXPECT_EQ(test, fc.start, addr + 8 * PMD_SIZE);

	fc.span = ULONG_MAX;
	fc.end = addr + 9 * PMD_SIZE + PAGE_SIZE;	/* part of a table */
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 10);
	KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES - 10);

	fc.end = addr + FK_TABLES * PMD_SIZE;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_EQ(test, fk_count(addr), 0);
}

/* A table in which several VMAs and a hole meet */
static void fk_straddle(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	unsigned long edge = addr + 2 * PMD_SIZE;
	struct freept_control fc = fk_control(addr);

	KUNIT_ASSERT_EQ(test, vm_munmap(edge + 64 * PAGE_SIZE, 64 * PAGE_SIZE), 0);
	fk_zap(addr, 2 * PMD_SIZE + 64 * PAGE_SIZE);
	/* munmap() above cannot free it, the zap did not either */
	KUNIT_EXPECT_TRUE(test, fk_has_table(edge));
	/* the page beyond the hole keeps it */
	fk_touch(test, edge + 200 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_TRUE(test, fk_has_table(edge));
	fk_check(test, edge + 200 * PAGE_SIZE,
		 fk_pattern(edge + 200 * PAGE_SIZE));

	fk_zap(edge + 200 * PAGE_SIZE, PAGE_SIZE);
	fc = fk_control(addr);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fk_has_table(edge), IS_ENABLED(CONFIG_FREEPT_KEEP_GAPS));
	KUNIT_EXPECT_TRUE(test, fk_has_table(edge + PMD_SIZE));
}

/* Flags that make a VMA keep its tables, and those of a neighbour in one */
static void fk_keep(struct kunit *test)
{
	static const vm_flags_t flags[] = {
		VM_PFNMAP, VM_MIXEDMAP, VM_IO,
#ifdef CONFIG_USERFAULTFD
		VM_UFFD_MISSING, VM_UFFD_WP,
#endif
	};
	unsigned long addr = fk_populate(test);
	struct freept_control fc;
	struct vm_area_struct *vma;
	unsigned int i;

	fk_zap(addr, FK_TABLES * PMD_SIZE);
	/* split in the middle of the third table: its neighbour is ordinary */
	KUNIT_ASSERT_EQ(test, vm_munmap(addr + 2 * PMD_SIZE + 64 * PAGE_SIZE,
					PAGE_SIZE), 0);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		mmap_write_lock(current->mm);
		vma = find_vma(current->mm, addr);
		vm_flags_set(vma, flags[i]);
		mmap_write_unlock(current->mm);

		fc = fk_control(addr);
		fc.end = addr + 3 * PMD_SIZE;
		KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
		KUNIT_EXPECT_EQ(test, fc.nr_freed, 0);
		/* from the neighbour's side */
		fc = fk_control(addr + 2 * PMD_SIZE + 128 * PAGE_SIZE);
		fc.end = addr + 3 * PMD_SIZE;
		KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
		KUNIT_EXPECT_EQ(test, fc.nr_freed, 0);
		KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES);

		mmap_write_lock(current->mm);
		vma = find_vma(current->mm, addr);
		vm_flags_clear(vma, flags[i]);
		mmap_write_unlock(current->mm);
	}
	fc = fk_control(addr);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fk_count(addr), IS_ENABLED(CONFIG_FREEPT_KEEP_GAPS));
}

/* Trylock only, unless asked to wait: a lock that is held is not waited for */
static void fk_busy(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	struct freept_control fc = fk_control(addr);

	fk_zap(addr, FK_TABLES * PMD_SIZE);
	fc.flags = 0;
	mmap_write_lock(current->mm);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), -EAGAIN);
	mmap_write_unlock(current->mm);
	KUNIT_EXPECT_EQ(test, fc.start, addr);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 0);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
}

/* A walker that has mapped a table keeps it, its lock and its type, by RCU */
static void fk_rcu(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	struct freept_control fc = fk_control(addr);
	DECLARE_BITMAP(slots, PTRS_PER_PMD);
	struct page *page;
	spinlock_t *ptl;	/* of the table that vanishes */
	pmd_t pmdval;
	pmd_t *pmd;
	pte_t *pte;

	fk_zap(addr, PMD_SIZE);
	mmap_read_lock(current->mm);
	pmd = mm_find_pmd(current->mm, addr);
	pte = pte_offset_map_nolock(current->mm, pmd, addr, &pmdval, &ptl);
	if (!pte) {
		mmap_read_unlock(current->mm);
		KUNIT_FAIL(test, "no table");
		return;
	}
	__acquire(RCU);	/* pte_offset_map_nolock() did */
	page = pmd_page(pmdval);
	bitmap_zero(slots, PTRS_PER_PMD);
	__set_bit(pmd_index(addr), slots);
	freept_unlink(current->mm, pmd - pmd_index(addr), addr & PUD_MASK, slots,
		      FREEPT_HOLD_FREE, &fc);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 1);
	KUNIT_EXPECT_TRUE(test, pmd_none(*pmd));
	/* what a walker does next: lock, look again, find it gone */
	spin_lock(ptl);
	KUNIT_EXPECT_TRUE(test, PageTable(page));
	KUNIT_EXPECT_TRUE(test, pte_none(ptep_get(pte)));
	KUNIT_EXPECT_FALSE(test, pmd_same(pmdval, pmdp_get_lockless(pmd)));
	pte_unmap_unlock(pte, ptl);
	mmap_read_unlock(current->mm);
}

/* A slot that was emptied and is filled again counts as a refault, once */
static void fk_refault(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	struct freept_control fc = fk_control(addr);
	unsigned int before;

	fk_zap(addr, FK_TABLES * PMD_SIZE);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_ASSERT_NOT_NULL(test, current->mm->freept.filter);
	before = current->mm->freept.nr_refaults;
	fk_touch(test, addr);
	KUNIT_EXPECT_EQ(test, current->mm->freept.nr_refaults, before + 1);
	/* one refault for one free */
	fk_zap(addr, PMD_SIZE);
	fk_touch(test, addr);
	KUNIT_EXPECT_EQ(test, current->mm->freept.nr_refaults, before + 1);
}

static void fk_stamp(unsigned long addr, unsigned long when)
{
	unsigned int i;

	for (i = 0; i < FK_TABLES; i++) {
		pmd_t *pmd = mm_find_pmd(current->mm, addr + i * PMD_SIZE);

		if (pmd && !pmd_none(*pmd))
			page_ptdesc(pmd_pgtable(*pmd))->pt_installed = when;
	}
}

/* FREEPT_OLD: a table that was installed a moment ago may be about to be used */
static void fk_young(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	struct freept_control fc;
	unsigned int i, tries = 100;
	unsigned long when;

	fk_zap(addr, FK_TABLES * PMD_SIZE);
	do {	/* a moment is two ticks: we can be late */
		KUNIT_ASSERT_NE(test, tries--, 0);
		when = jiffies;
		fk_stamp(addr, when);
		fc = fk_control(addr);
		fc.flags |= FREEPT_OLD;
		KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
		if (jiffies - when <= 1)
			break;
		for (i = 0; i < FK_TABLES; i++)
			fk_touch(test, addr + i * PMD_SIZE);
		fk_zap(addr, FK_TABLES * PMD_SIZE);
	} while (true);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 0);
	KUNIT_EXPECT_EQ(test, fc.nr_young, FK_TABLES);

	/* The one that current has installed last may be what a fault waits for */
	fk_stamp(addr, jiffies - 2);
	fc = fk_control(addr);
	fc.flags |= FREEPT_OLD;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES - 1);
	KUNIT_EXPECT_EQ(test, fc.nr_young, 1);

	current->freept_pmd = NULL;	/* back in user space */
	fc = fk_control(addr);
	fc.flags |= FREEPT_OLD;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 1);
	KUNIT_EXPECT_EQ(test, fc.nr_young, 0);
}

static int fk_init(struct kunit *test)
{
	if (!freept_enabled())
		kunit_skip(test, "freept=off");
	return 0;
}

/*
 * A mark that comes late: from one who found the table before it was unlinked.
 * The chain of what was unlinked has to lead to all tables all the same.
 */
static void fk_late_mark(struct kunit *test)
{
	struct ptdesc *pt[3];
	unsigned int i, mark;

	for (i = 0; i < ARRAY_SIZE(pt); i++) {
		pt[i] = pagetable_alloc(GFP_KERNEL, 0);
		KUNIT_ASSERT_NOT_NULL(test, pt[i]);
	}
	for (mark = FREEPT_FILLED; mark <= FREEPT_REMOVED_AGAIN; mark++) {
		struct freept_batch batch = { };

		for (i = 0; i < ARRAY_SIZE(pt); i++)
			freept_batch_add(&batch, pt[i]);
		for (i = 0; i < ARRAY_SIZE(pt); i++)
			WRITE_ONCE(pt[i]->pt_emptied, mark);
		for (i = 0; i < ARRAY_SIZE(pt); i++)
			KUNIT_EXPECT_PTR_EQ(test, freept_batch_next(pt[i]),
					    i ? pt[i - 1] : NULL);
		/* and the other way round: what is chained keeps its mark */
		for (i = 0; i < ARRAY_SIZE(pt); i++)
			KUNIT_EXPECT_EQ(test, pt[i]->pt_emptied, mark);
	}
	for (i = 0; i < ARRAY_SIZE(pt); i++)
		pagetable_free(pt[i]);
}

static void fk_set_marks(unsigned long addr, unsigned int nr, unsigned char mark)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		pmd_t *pmd = mm_find_pmd(current->mm, addr + i * PMD_SIZE);

		if (pmd && !pmd_none(*pmd))
			page_ptdesc(pmd_pgtable(*pmd))->pt_emptied = mark;
	}
}

/* Empty tables that have no mark, where those who rely on marks had been */
static void fk_hints_missed(struct kunit *test)
{
	unsigned long addr = fk_populate(test);
	bool hints = static_key_enabled(&freept_hints);
	struct freept_control fc;
	int missed;

	if (!hints)
		static_branch_enable(&freept_hints);
	/* the settings' generation is not known here, but a small number */
	while (!freept_hints_complete(current->mm))
		current->mm->freept.hinted++;

	/* marks where they should be */
	fk_zap(addr, FK_TABLES * PMD_SIZE);
	fk_stamp(addr, jiffies - 2);
	current->freept_pmd = NULL;
	missed = atomic_read(&freept_hints_missed);
	fc = fk_control(addr);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_EQ(test, atomic_read(&freept_hints_missed), missed);

	/* and three that have lost theirs */
	addr = fk_populate(test);
	fk_zap(addr, FK_TABLES * PMD_SIZE);
	fk_set_marks(addr, 3, FREEPT_FILLED);
	fk_stamp(addr, jiffies - 2);
	current->freept_pmd = NULL;
	fc = fk_control(addr);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_EQ(test, atomic_read(&freept_hints_missed), missed + 3);

	/* which is nothing to say of an mm that has to be looked at anyway */
	freept_hints_lost(current->mm);
	addr = fk_populate(test);
	fk_zap(addr, FK_TABLES * PMD_SIZE);
	fk_set_marks(addr, FK_TABLES, FREEPT_FILLED);
	fk_stamp(addr, jiffies - 2);
	current->freept_pmd = NULL;
	fc = fk_control(addr);
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&freept_hints_missed), missed + 3);
	if (!hints)
		static_branch_disable(&freept_hints);
}

#include "freept_kunit_order.c"
#include "freept_kunit_marks.c"

static struct kunit_case fk_cases[] = {
	KUNIT_CASE(fk_all_empty),
	KUNIT_CASE(fk_one_entry),
	KUNIT_CASE(fk_some_empty),
	KUNIT_CASE(fk_limits),
	KUNIT_CASE(fk_straddle),
	KUNIT_CASE(fk_keep),
	KUNIT_CASE(fk_busy),
	KUNIT_CASE(fk_late_mark),
	KUNIT_CASE(fk_hints_missed),
	KUNIT_CASE(fk_rcu),
	KUNIT_CASE(fk_refault),
	KUNIT_CASE(fk_young),
	/* mm/freept_kunit_order.c */
	KUNIT_CASE(fk_refilled),
	KUNIT_CASE(fk_look),
	KUNIT_CASE(fk_uncovered),
	KUNIT_CASE(fk_pmd_stays),
	KUNIT_CASE(fk_holes),
	KUNIT_CASE(fk_nothing_there),
	KUNIT_CASE(fk_gives_way),
	KUNIT_CASE(fk_resched),
	KUNIT_CASE(fk_memalloc),
	KUNIT_CASE(fk_exiting),
	KUNIT_CASE(fk_dax),
	KUNIT_CASE(fk_flush),
	KUNIT_CASE(fk_flush_pending),
	KUNIT_CASE(fk_flush_batched),
	KUNIT_CASE(fk_flush_lazy),
	/* mm/freept_kunit_marks.c */
	KUNIT_CASE(fk_lap_put_off),
	KUNIT_CASE(fk_hints_kept),
	KUNIT_CASE(fk_ranges),
	KUNIT_CASE(fk_deposit),
	{}
};

static struct kunit_suite fk_suite = {
	.name = "freept",
	.init = fk_init,
	.test_cases = fk_cases,
};

kunit_test_suite(fk_suite);
