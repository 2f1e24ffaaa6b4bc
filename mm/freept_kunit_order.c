// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the engine that frees empty PTE tables: the order of its steps
 *
 * Included by mm/freept_kunit.c.  Much of what the engine must do shows on few
 * machines, or in few moments: a CPU that caches PMD entries, an IOMMU that shares
 * the tables, somebody who waits for the mmap lock just then.  So these tests look
 * at what is called, in which order, and under which locks.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mmu_notifier.h>
#include <linux/prctl.h>

#ifdef CONFIG_X86
/* those of freept.c are made already */
#undef CREATE_TRACE_POINTS
#include <trace/events/tlb.h>
#endif

/*
 * Unlink all that is empty of the FK_TABLES tables at @addr, in one batch, unless
 * somebody else wants the CPU just then, which ends a hold.  With strict grace
 * periods RCU wants it whenever a reader is done, which is after each table.
 */
static void fk_unlink(unsigned long addr, struct freept_control *fc)
{
	unsigned long base = addr & PUD_MASK;
	DECLARE_BITMAP(slots, PTRS_PER_PMD);
	pmd_t *pmd;

	bitmap_zero(slots, PTRS_PER_PMD);
	bitmap_set(slots, pmd_index(addr), FK_TABLES);
	do {
		cond_resched();
		mmap_read_lock(current->mm);
		pmd = mm_find_pmd(current->mm, addr) - pmd_index(addr);
		freept_unlink(current->mm, pmd, base, slots, FREEPT_HOLD_FREE, fc);
		mmap_read_unlock(current->mm);
	} while (!bitmap_empty(slots, PTRS_PER_PMD));
}

/* A mapping of small pages */
static unsigned long fk_map_size(struct kunit *test, unsigned long size)
{
	unsigned long addr;

	addr = kunit_vm_mmap(test, NULL, 0, size, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	mmap_write_lock(current->mm);
	vm_flags_set(find_vma(current->mm, addr), VM_NOHUGEPAGE);
	mmap_write_unlock(current->mm);
	return addr;
}

/* FK_TABLES empty tables below one PMD table */
static unsigned long fk_empties(struct kunit *test)
{
	unsigned long addr = ALIGN(fk_map_size(test, 2 * PUD_SIZE), PUD_SIZE);
	unsigned int i;

	for (i = 0; i < FK_TABLES; i++)
		fk_touch(test, addr + i * PMD_SIZE);
	fk_zap(addr, FK_TABLES * PMD_SIZE);
	KUNIT_ASSERT_EQ(test, fk_count(addr), FK_TABLES);
	return addr;
}

/*
 * A table that looked empty is in use when its lock is taken: freept_unlink() is
 * asked for it all the same.
 */
static void fk_refilled(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct freept_control fc = fk_control(addr);
	unsigned int i;

	for (i = 0; i < FK_TABLES; i += 2)
		fk_touch(test, addr + i * PMD_SIZE + i * 21 * PAGE_SIZE);
	fk_unlink(addr, &fc);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES / 2);
	for (i = 0; i < FK_TABLES; i++) {
		unsigned long a = addr + i * PMD_SIZE + i * 21 * PAGE_SIZE;

		KUNIT_EXPECT_EQ(test, fk_has_table(a), i % 2 == 0);
		fk_check(test, a, i % 2 ? 0 : fk_pattern(a));
	}
}

/* The look, without locks, leaves nothing for the locks but what is empty */
static void fk_look(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	DECLARE_BITMAP(slots, PTRS_PER_PMD);
	struct freept_look look;
	unsigned int i;

	for (i = 0; i < FK_TABLES; i += 2)
		fk_touch(test, addr + i * PMD_SIZE);
	bitmap_fill(slots, PTRS_PER_PMD);
	mmap_read_lock(current->mm);
	look = freept_look(current->mm, mm_find_pmd(current->mm, addr), addr, slots, 0);
	mmap_read_unlock(current->mm);
	KUNIT_EXPECT_EQ(test, look.nr_scanned, FK_TABLES);
	KUNIT_EXPECT_EQ(test, look.nr_empty, FK_TABLES / 2);
	for (i = 0; i < PTRS_PER_PMD; i++)
		KUNIT_EXPECT_EQ(test, test_bit(i, slots), i < FK_TABLES && i % 2);
}

/* Slots that no VMA covers are nobody's business but munmap()'s */
static void fk_uncovered(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	unsigned long end = addr + FK_TABLES * PMD_SIZE;
	/* table 7 has a hole in it, which may have a part of it */
	const unsigned int full = IS_ENABLED(CONFIG_FREEPT_KEEP_GAPS) ? 7 : 8;
	DECLARE_BITMAP(slots, PTRS_PER_PMD);
	unsigned int i, nr_vmas = 0;

	/* tables 8 to 15, and the upper half of table 7 */
	KUNIT_ASSERT_EQ(test, vm_munmap(addr + 8 * PMD_SIZE - PMD_SIZE / 2,
					8 * PMD_SIZE + PMD_SIZE / 2), 0);
	mmap_read_lock(current->mm);
	KUNIT_EXPECT_EQ(test, freept_eligible(current->mm, addr, end, slots, 0, &nr_vmas),
			end);
	mmap_read_unlock(current->mm);
	for (i = 0; i < FK_TABLES; i++)
		KUNIT_EXPECT_EQ(test, test_bit(i, slots), i < full || i >= 16);
}

/* PMD tables stay, even if there is nothing in them any more */
static void fk_pmd_stays(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct freept_control fc = fk_control(addr);
	pmd_t *pmd = mm_find_pmd(current->mm, addr);

	fc.end = addr + PUD_SIZE;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_PTR_EQ(test, mm_find_pmd(current->mm, addr), pmd);
}

/* Holes are passed a level at a time, and an entry at a time on each of them */
static void fk_holes(struct kunit *test)
{
	/* not PGDIR_SIZE: where the fifth level is folded at boot, that can be all there is */
	const unsigned long size = 8 * P4D_SIZE;
	unsigned long addr = fk_map_size(test, size);
	DEFINE_FREEPT_CONTROL(fc);

	fk_touch(test, addr);
	fk_touch(test, addr + size - PAGE_SIZE);
	fk_zap(addr, size);
	fc.start = addr;
	fc.end = addr + size;
	/* the entries of two PUD tables, and those of the level above */
	fc.nr_to_scan = 2 * PTRS_PER_PUD + 64;
	fc.flags = FREEPT_WAIT;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 2);
	KUNIT_EXPECT_GE(test, fc.start, fc.end);
}

/* Slots without a table are no work of nothing: a hold ends before all are passed */
static void fk_nothing_there(struct kunit *test)
{
	const unsigned int nr = 2 * 4096 * FREEPT_SLOTS_A_LOOK / PTRS_PER_PMD;
	unsigned long addr = ALIGN(fk_map_size(test, (nr + 1) * PUD_SIZE), PUD_SIZE);
	struct mm_struct *mm = current->mm;
	struct freept_control fc;
	unsigned int i;

	for (i = 0; i < nr; i++)
		fk_touch(test, addr + i * PUD_SIZE);
	fk_zap(addr, nr * PUD_SIZE);
	fc = fk_control(addr);
	fc.end = addr + nr * PUD_SIZE;
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(mm, &fc), 0);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, nr);

	fc = fk_control(addr);
	fc.end = addr + nr * PUD_SIZE;
	mmap_read_lock(mm);
	freept_walk(mm, &fc);
	mmap_read_unlock(mm);
	KUNIT_EXPECT_EQ(test, fc.nr_scanned, 0);
	KUNIT_EXPECT_GT(test, fc.start, addr);
	KUNIT_EXPECT_LT(test, fc.start, fc.end);
	KUNIT_EXPECT_LE(test, fc.work, 4096);
	/* half the way at the most, and what it was has its price, all of it */
	KUNIT_EXPECT_EQ(test, freept_price(1000, fc.work, 0), 1000);
}

struct fk_writer {
	struct mm_struct *mm;
	struct completion done;
};

static int fk_write_lock(void *arg)
{
	struct fk_writer *writer = arg;

	mmap_write_lock(writer->mm);
	mmap_write_unlock(writer->mm);
	complete(&writer->done);
	return 0;
}

/* A hold of the mmap lock ends when somebody waits for it */
static void fk_gives_way(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct fk_writer writer;
	struct task_struct *thread;
	unsigned int tries = 1000;
	DEFINE_FREEPT_CONTROL(fc);

	writer.mm = current->mm;
	init_completion(&writer.done);
	fk_touch(test, addr - PMD_SIZE);	/* below another PMD table */
	fk_zap(addr - PMD_SIZE, PMD_SIZE);
	fc.start = addr - PMD_SIZE;
	fc.end = addr + PUD_SIZE;

	mmap_read_lock(current->mm);
	thread = kthread_run(fk_write_lock, &writer, "freept-kunit");
	if (IS_ERR(thread)) {
		mmap_read_unlock(current->mm);
		kunit_skip(test, "no thread");
	}
	while (!mmap_lock_is_contended(current->mm) && --tries)
		usleep_range(1000, 10000);
	freept_walk(current->mm, &fc);
	mmap_read_unlock(current->mm);
	wait_for_completion(&writer.done);

	KUNIT_EXPECT_NE(test, tries, 0);
	/* one PMD table is done with, the next is for later */
	KUNIT_EXPECT_EQ(test, fc.nr_freed, 1);
	KUNIT_EXPECT_EQ(test, fc.start, addr);
	KUNIT_EXPECT_EQ(test, fk_count(addr), FK_TABLES);
}

/* Between two holds of the mmap lock others get the CPU */
static void fk_resched(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct freept_control fc = fk_control(addr);

	if (IS_ENABLED(CONFIG_PREEMPTION))
		kunit_skip(test, "they get it anyway");
	fc.flags = 0;
	set_tsk_need_resched(current);
	set_preempt_need_resched();
	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	KUNIT_EXPECT_FALSE(test, need_resched());
}

/* Who frees memory to allocate some takes none of the reserves */
static void fk_memalloc(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct freept_control fc = fk_control(addr);
	unsigned int flags = memalloc_noreclaim_save();
	pmd_t *pmd = mm_find_pmd(current->mm, addr);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, freept_reclaim_mm(current->mm, &fc), 0);
	memalloc_noreclaim_restore(flags);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_NULL(test, current->mm->freept.filter);
	/* and it is remembered all the same where there were tables */
	for (i = 0; i < FK_TABLES; i++)
		KUNIT_EXPECT_TRUE(test, freept_recently_freed(current->mm, pmd + i));
	/* but not for ever */
	current->mm->freept.noted_when -= 600 * HZ + 1;
	for (i = 0; i < FK_TABLES; i++)
		KUNIT_EXPECT_FALSE(test, freept_recently_freed(current->mm, pmd + i));
}

/*
 * A task work that runs late: in exit_task_work(), without an mm, or between the
 * beginning of exit() and exit_mm().
 */
static void fk_exiting(struct kunit *test)
{
	struct callback_head *work = &current->freept_work;

	KUNIT_ASSERT_NULL(test, current->mm);
	work->next = NULL;
	work->func(work);
	KUNIT_EXPECT_PTR_EQ(test, work->next, work);

	fk_map(test);
	KUNIT_ASSERT_NOT_NULL(test, current->mm);
	current->mm->freept.choice = PR_FREEPT_ENABLE;
	current->flags |= PF_EXITING;
	work->func(work);
	current->flags &= ~PF_EXITING;
	KUNIT_EXPECT_EQ(test, current->mm->freept.generation, 0);
	/* and it is seen to as soon as this is not so */
	work->func(work);
	KUNIT_EXPECT_NE(test, current->mm->freept.generation, 0);
}

#ifdef CONFIG_FS_DAX
/* DAX is a property of the file, and not a flag of the VMA */
static void fk_dax(struct kunit *test)
{
	struct inode *inode = kunit_kzalloc(test, sizeof(*inode), GFP_KERNEL);
	struct file *file = kunit_kzalloc(test, sizeof(*file), GFP_KERNEL);
	struct vm_area_struct *vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, inode);
	KUNIT_ASSERT_NOT_NULL(test, file);
	KUNIT_ASSERT_NOT_NULL(test, vma);
	file->f_mapping = &inode->i_data;
	file->f_inode = inode;
	inode->i_data.host = inode;
	vma->vm_file = file;
	KUNIT_EXPECT_TRUE(test, freept_vma_possible(vma));
	inode->i_flags = S_DAX;
	KUNIT_EXPECT_FALSE(test, freept_vma_possible(vma));
}
#else
static void fk_dax(struct kunit *test)
{
	kunit_skip(test, "no DAX in this configuration");
}
#endif

#if defined(CONFIG_SMP) && (defined(CONFIG_X86) || defined(CONFIG_MMU_NOTIFIER))

/* Who listens to the flushes of a batch, and to what secondary MMUs are told */
struct fk_listener {
	struct mmu_notifier tlb;	/* nobody may be told of both by one */
	struct mmu_notifier ranges;
	struct mm_struct *mm;
	struct task_struct *task;
	unsigned long addr;		/* of FK_TABLES tables */
	struct page *table[FK_TABLES];
	spinlock_t *pml;		/* of the PMD table */
	unsigned int nr_ranges;		/* calls of invalidate_range_start() */
	unsigned int nr_flushes;
	unsigned int nr_whole;		/* of these, of the whole mm */
	bool too_small;			/* a flush did not cover the batch */
	bool unlocked;			/* a flush came after pml was dropped */
	bool linked;			/* or before all was unlinked */
	bool destructed;		/* or after a table was given up */
};

static void fk_heard_flush(struct fk_listener *l, bool whole, bool too_small)
{
	unsigned int i;

	l->nr_flushes++;
	l->nr_whole += whole;
	l->too_small |= too_small;
	if (spin_trylock(l->pml)) {
		l->unlocked = true;
		spin_unlock(l->pml);
	}
	for (i = 0; i < FK_TABLES; i++) {
		l->linked |= !pmd_none(*mm_find_pmd(l->mm, l->addr + i * PMD_SIZE));
		l->destructed |= !PageTable(l->table[i]);
	}
}

#ifdef CONFIG_X86
/* By the tracepoint: an IOMMU need not be there */
static void fk_traced_flush(void *data, int reason, unsigned long pages)
{
	struct fk_listener *l = data;

	if (current != l->task || reason != TLB_LOCAL_MM_SHOOTDOWN)
		return;
	fk_heard_flush(l, pages == TLB_FLUSH_ALL,
		       pages != TLB_FLUSH_ALL && pages < FK_TABLES);
}

static int fk_listen_start(struct fk_listener *l)
{
	return register_trace_tlb_flush(fk_traced_flush, l);
}

static void fk_listen_stop(struct fk_listener *l)
{
	unregister_trace_tlb_flush(fk_traced_flush, l);
	tracepoint_synchronize_unregister();
}
#else
static int fk_listen_start(struct fk_listener *l)
{
	return 0;
}

static void fk_listen_stop(struct fk_listener *l)
{
}
#endif

#ifdef CONFIG_MMU_NOTIFIER
static void fk_told_flush(struct mmu_notifier *mn, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	struct fk_listener *l = container_of(mn, struct fk_listener, tlb);

	if (!IS_ENABLED(CONFIG_X86))
		fk_heard_flush(l, !start && end == -1UL,
			       start > l->addr || end < l->addr + FK_TABLES * PMD_SIZE);
}

static int fk_told_range(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	container_of(mn, struct fk_listener, ranges)->nr_ranges++;
	return 0;
}

static const struct mmu_notifier_ops fk_tlb_ops = {
	.arch_invalidate_secondary_tlbs = fk_told_flush,
};

static const struct mmu_notifier_ops fk_range_ops = {
	.invalidate_range_start = fk_told_range,
};
#endif

/* Unlink a batch of FK_TABLES empty tables at l->addr, and listen */
static void fk_listen(struct kunit *test, struct fk_listener *l)
{
	struct freept_control fc = fk_control(l->addr);
	pmd_t *pmd = mm_find_pmd(current->mm, l->addr);
	unsigned int i;

	l->mm = current->mm;
	l->task = current;
	l->pml = pmd_lockptr(current->mm, pmd);
	for (i = 0; i < FK_TABLES; i++)
		l->table[i] = pmd_page(pmd[i]);
#ifdef CONFIG_MMU_NOTIFIER
	l->tlb.ops = &fk_tlb_ops;
	l->ranges.ops = &fk_range_ops;
	KUNIT_ASSERT_EQ(test, mmu_notifier_register(&l->tlb, current->mm), 0);
	KUNIT_ASSERT_EQ(test, mmu_notifier_register(&l->ranges, current->mm), 0);
#endif
	KUNIT_EXPECT_EQ(test, fk_listen_start(l), 0);
	fk_unlink(l->addr, &fc);
	fk_listen_stop(l);
#ifdef CONFIG_MMU_NOTIFIER
	mmu_notifier_unregister(&l->ranges, current->mm);
	mmu_notifier_unregister(&l->tlb, current->mm);
#endif

	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_FALSE(test, l->too_small);
	KUNIT_EXPECT_FALSE(test, l->unlocked);
	KUNIT_EXPECT_FALSE(test, l->linked);
	KUNIT_EXPECT_FALSE(test, l->destructed);
	/* who emptied the tables has told what was in them */
	KUNIT_EXPECT_EQ(test, l->nr_ranges, 0);
}

/* One flush for a batch: of all its tables, after the last and under pml */
static void fk_flush(struct kunit *test)
{
	struct fk_listener *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);

	if (IS_ENABLED(CONFIG_RCU_STRICT_GRACE_PERIOD))
		kunit_skip(test, "batches are of one table, see fk_unlink()");
	KUNIT_ASSERT_NOT_NULL(test, l);
	l->addr = fk_empties(test);
	fk_listen(test, l);
	KUNIT_EXPECT_EQ(test, l->nr_flushes, 1);
	KUNIT_EXPECT_EQ(test, l->nr_whole, 0);
}

/* Somebody removes entries, and has not flushed yet: that is done for him */
static void fk_flush_pending(struct kunit *test)
{
	struct fk_listener *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);

	if (IS_ENABLED(CONFIG_RCU_STRICT_GRACE_PERIOD))
		kunit_skip(test, "batches are of one table, see fk_unlink()");
	KUNIT_ASSERT_NOT_NULL(test, l);
	l->addr = fk_empties(test);
	inc_tlb_flush_pending(current->mm);
	fk_listen(test, l);
	dec_tlb_flush_pending(current->mm);
	KUNIT_EXPECT_EQ(test, l->nr_flushes, 1);
	KUNIT_EXPECT_EQ(test, l->nr_whole, 1);
}

#else

static void fk_flush(struct kunit *test)
{
	kunit_skip(test, "nobody tells of flushes in this configuration");
}

static void fk_flush_pending(struct kunit *test)
{
	kunit_skip(test, "nobody tells of flushes in this configuration");
}

#endif

#ifdef CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH
/* Reclaim has unmapped pages, and flushes for many at once, later: not so late */
static void fk_flush_batched(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct freept_control fc = fk_control(addr);

	atomic_set(&current->mm->tlb_flush_batched, 1);		/* pending, not flushed */
	fk_unlink(addr, &fc);
	KUNIT_EXPECT_EQ(test, fc.nr_freed, FK_TABLES);
	KUNIT_EXPECT_NE(test, atomic_read(&current->mm->tlb_flush_batched), 1);
	atomic_set(&current->mm->tlb_flush_batched, 0);
}
#else
static void fk_flush_batched(struct kunit *test)
{
	kunit_skip(test, "flushes are not batched here");
}
#endif

#if defined(CONFIG_X86) && defined(CONFIG_SMP)

struct fk_lazy {
	struct mm_struct *mm;
	struct completion ready, done;
	bool stop;
};

static int fk_be_lazy(void *arg)
{
	struct fk_lazy *lazy = arg;

	kthread_use_mm(lazy->mm);
	kthread_unuse_mm(lazy->mm);
	complete(&lazy->ready);
	/* a CPU that goes idle may let go of the mm: stay here */
	while (!READ_ONCE(lazy->stop))
		cpu_relax();
	complete(&lazy->done);
	return 0;
}

/*
 * A CPU that is in lazy mode for the mm, for a kernel thread, may walk its tables
 * by speculation: it has to let go of them before tables are freed.
 */
static void fk_flush_lazy(struct kunit *test)
{
	unsigned long addr = fk_empties(test);
	struct freept_control fc = fk_control(addr);
	struct mm_struct *mm = current->mm;
	struct fk_lazy lazy = { .mm = mm };
	struct task_struct *thread;
	bool before, after;
	int cpu, here;

	init_completion(&lazy.ready);
	init_completion(&lazy.done);
	here = raw_smp_processor_id();
	cpu = cpumask_any_but(cpu_online_mask, here);
	if (cpu >= nr_cpu_ids)
		kunit_skip(test, "takes two CPUs");
	thread = kthread_create(fk_be_lazy, &lazy, "freept-kunit");
	if (IS_ERR(thread))
		kunit_skip(test, "no thread");
	set_cpus_allowed_ptr(current, cpumask_of(here));
	kthread_bind(thread, cpu);
	wake_up_process(thread);
	wait_for_completion(&lazy.ready);

	/* once a second all CPUs are asked whether they need the mm: not now */
	mm->context.next_trim_cpumask = jiffies + 60 * HZ;
	before = cpumask_test_cpu(cpu, mm_cpumask(mm));
	fk_unlink(addr, &fc);
	after = cpumask_test_cpu(cpu, mm_cpumask(mm));

	WRITE_ONCE(lazy.stop, true);
	wait_for_completion(&lazy.done);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	KUNIT_EXPECT_TRUE(test, before);
	KUNIT_EXPECT_FALSE(test, after);
}

#else

static void fk_flush_lazy(struct kunit *test)
{
	kunit_skip(test, "no lazy CPUs here");
}

#endif
