// SPDX-License-Identifier: GPL-2.0
/*
 * Tables that mm/freept.c has unlinked, on their way to RCU
 *
 * Up to FREEPT_RCU_BATCH of them share a callback.  They are chained through their
 * descriptors, so that nothing has to be allocated in order to free memory.
 */
#include <linux/freept.h>
#include <linux/memcontrol.h>
#include <linux/memcontrol-ptfree.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/vmstat.h>

#include "freept.h"

/* Tables that one RCU callback frees: few callbacks, and none that is long */
#define FREEPT_RCU_BATCH	64

/*
 * The next of a chain, as its PFN plus one in two fields: the mark beside them is
 * not to be touched.  Who removed entries, or looked, may have found the table
 * when it was still linked, and leaves a mark on it until the grace period is
 * over.  Nothing else of the descriptor is free: the first of a chain has its
 * rcu_head, and whoever found the table may take its lock.
 */
static void freept_chain(struct ptdesc *pt, struct ptdesc *next)
{
	u64 link = next ? (u64)page_to_pfn(ptdesc_page(next)) + 1 : 0;

	BUILD_BUG_ON(MAX_PHYSMEM_BITS - PAGE_SHIFT >= 32 + 16);
	pt->pt_next_low = lower_32_bits(link);
	pt->pt_next_high = upper_32_bits(link);
}

/**
 * freept_batch_next - the table that was added before another one
 * @pt: a table of a batch
 *
 * Context: Whoever owns the batch.
 * Return: The table, or NULL for the first that was added, and for the last of a
 * chain that was handed to RCU.
 */
struct ptdesc *freept_batch_next(struct ptdesc *pt)
{
	u64 link = (u64)pt->pt_next_high << 32 | pt->pt_next_low;

	return link ? page_ptdesc(pfn_to_page(link - 1)) : NULL;
}

static void freept_rcu_free(struct rcu_head *head)
{
	struct ptdesc *pt = container_of(head, struct ptdesc, pt_rcu_head);

	rcu_read_lock();
	while (pt) {
		struct ptdesc *next = freept_batch_next(pt);
		struct mem_cgroup *owner = folio_memcg(ptdesc_folio(pt));

		pagetable_pte_dtor(pt);
		pagetable_free(pt);
		/*
		 * One by one: what is uncharged shall not be in flight as well.  And
		 * not before memory.current is told: that is what a kill waits for.
		 */
		memcg_pt_freed(owner, 1);
		pt = next;
	}
	rcu_read_unlock();
	memcg_pt_freed_wake();
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

/**
 * freept_batch_add - take a table into a batch
 * @batch: the batch
 * @pt: the table, which the PMD entry does not point to any more
 *
 * Context: The lock of the PMD table that the entry is in is held.
 */
void freept_batch_add(struct freept_batch *batch, struct ptdesc *pt)
{
	freept_chain(pt, batch->first);
	batch->first = pt;
	batch->nr++;
}

/**
 * freept_batch_free - free what was unlinked
 * @batch: the tables, of which no TLB knows any more
 * @fc: where those are counted that were charged to the cgroup that is asked for
 *
 * Until the grace period is over, walkers that found a table before may look at it
 * and take its lock, so the destructor, too, waits for it.  The charge is returned
 * there as well.
 *
 * Context: Any; without the lock under which they were unlinked, as waking the
 * grace period's thread need not keep others waiting.
 */
void freept_batch_free(struct freept_batch *batch, struct freept_control *fc)
{
	struct mem_cgroup *memcg = NULL;
	unsigned int in_chain = 0, nr_memcg = 0;
	struct ptdesc *pt = batch->first, *head = pt;

	rcu_read_lock();
	while (pt) {
		struct ptdesc *next = freept_batch_next(pt);
		struct mem_cgroup *owner = folio_memcg(ptdesc_folio(pt));

		if (owner != memcg) {
			freept_count_memcg(memcg, nr_memcg, fc);
			memcg = owner;
			nr_memcg = 0;
		}
		nr_memcg++;
		if (++in_chain == FREEPT_RCU_BATCH || !next) {
			freept_chain(pt, NULL);
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
