// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of memory cgroups: the counter, the files, the events
 *
 * PTE, PMD and PUD tables are charged to the memory cgroup of the task that
 * allocates them, as pages, to memory.current.  memory.pt.* is a second view of
 * the same pages: what the cgroup and its descendants hold in page tables, a
 * soft and a hard budget for that, and a way to ask for the empty ones.
 *
 * The counter moves where the statistic `pagetables` of memory.stat moves, and
 * for the same cgroup, with the difference that it is exact at once.  It follows
 * the memory and not the task: a task that is moved leaves its tables behind,
 * fork charges the child's tables to the parent's cgroup, and tables of a cgroup
 * that is removed are handed to its parent.  So the tables charged to a cgroup,
 * and those of the processes in it, are two different sets.
 *
 * A charge never fails: a task must not be refused a table in the middle of a
 * page fault, where all that the kernel could do about it is to kill it or to
 * let it fault for ever.  What happens to a cgroup over its budget is told in
 * mm/memcontrol-ptbudget.c.
 *
 * The root cgroup has no counter.  Tables of tasks in it are charged to nobody,
 * and those of a removed child of it are no longer charged to anybody.
 */
#define pr_fmt(fmt) "memcg-pt: " fmt

#include <linux/cgroup.h>
#include <linux/ctype.h>
#include <linux/freept.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "memcontrol-ptfree.h"

/* Some cgroup has a budget */
DEFINE_STATIC_KEY_DEFERRED_FALSE(memcg_pt_budgets, HZ);

/* Serializes changes of the limits; memcg->pt.limited, the number of true ones */
static DEFINE_MUTEX(pt_limits_lock);
static unsigned int pt_nr_limited;

/**
 * memcg_pt_budgets_exist - has any cgroup a budget that is enforced?
 *
 * Context: Any.
 * Return: true or false.
 */
bool memcg_pt_budgets_exist(void)
{
	return READ_ONCE(pt_nr_limited);
}

/* A table is charged to @memcg: over which budgets is it now? */
static noinline void memcg_pt_check(struct mem_cgroup *memcg)
{
	bool over_max = false;

	for (; !mem_cgroup_is_root(memcg); memcg = parent_mem_cgroup(memcg)) {
		struct memcg_pt *pt = &memcg->pt;
		unsigned long usage = page_counter_read(&pt->usage);
		unsigned long max = READ_ONCE(pt->usage.max);
		struct memcg_pt_pause *pause;

		memcg_pt_came_down(&pt->pause_max, usage, max);
		if (usage > max)
			pause = &pt->pause_max;
		else if (usage > READ_ONCE(pt->usage.high))
			pause = &pt->pause_high;
		else
			continue;
		/* nothing could be done a short while ago? */
		if (memcg_pt_paused(pause, usage))
			continue;
		memcg_pt_over_budget(memcg);
		over_max |= pause == &pt->pause_max;
	}
	if (over_max)
		current->memcg_pt_over++;
}

static struct mem_cgroup *pt_folio_memcg(struct folio *folio)
{
	/* charged by the page allocator, so to an object cgroup */
	return obj_cgroup_memcg(__folio_objcg(folio));
}

/*
 * Every table that is allocated and freed goes through the following two.  So
 * they are page_counter_charge() and page_counter_uncharge() for one page, less
 * what these do for memory.min and memory.low, and inlined.
 */

/**
 * __memcg_pt_charge - a page table was allocated and charged
 * @folio: the table
 *
 * Counts it in its cgroup and in those above.  Over a budget, work is queued for
 * the return to user space, or done at once where that is too late.
 *
 * Context: No page-table lock is held.
 */
void __memcg_pt_charge(struct folio *folio)
{
	struct page_counter *counter;
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = pt_folio_memcg(folio);
	if (mem_cgroup_is_root(memcg))
		goto unlock;
	for (counter = &memcg->pt.usage; counter; counter = counter->parent) {
		unsigned long usage = atomic_long_inc_return(&counter->usage);

		/* local_watermark is never above watermark */
		if (usage > READ_ONCE(counter->local_watermark)) {
			WRITE_ONCE(counter->local_watermark, usage);
			if (usage > READ_ONCE(counter->watermark))
				WRITE_ONCE(counter->watermark, usage);
		}
	}
	if (static_branch_unlikely(&memcg_pt_budgets.key))
		memcg_pt_check(memcg);
unlock:
	rcu_read_unlock();

	if (static_branch_unlikely(&memcg_pt_budgets.key) &&
	    current->memcg_pt_over >= MEMCG_PT_OVERSHOOT)
		memcg_pt_overshoot();
}

/**
 * __memcg_pt_uncharge - a page table that was charged is about to be freed
 * @folio: the table
 *
 * Context: Any.
 */
void __memcg_pt_uncharge(struct folio *folio)
{
	struct page_counter *counter;
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = pt_folio_memcg(folio);
	if (mem_cgroup_is_root(memcg))
		goto unlock;
	for (counter = &memcg->pt.usage; counter; counter = counter->parent)
		if (WARN_ON_ONCE(atomic_long_dec_return(&counter->usage) < 0))
			atomic_long_set(&counter->usage, 0);
unlock:
	rcu_read_unlock();
}

/**
 * memcg_pt_usage - the page tables of a cgroup and below
 * @memcg: the cgroup, not the root
 *
 * Context: Any.
 * Return: Number of tables, what is in flight included, but not 0.
 */
unsigned long memcg_pt_usage(struct mem_cgroup *memcg)
{
	return page_counter_read(&memcg->pt.usage) ?: 1;
}

/**
 * memcg_pt_count - an event of memory.pt.events
 * @memcg: the cgroup over its limit, or that of the victim
 * @event: what has happened
 *
 * Counts in @memcg and up, and wakes those who watch.
 *
 * Context: Any.  The caller keeps @memcg.
 */
void memcg_pt_count(struct mem_cgroup *memcg, enum memcg_pt_event event)
{
	if (mem_cgroup_is_root(memcg))
		return;
	atomic_long_inc(&memcg->pt.events_local[event]);
	cgroup_file_notify(&memcg->pt.events_local_file);
	for (; memcg && !mem_cgroup_is_root(memcg); memcg = parent_mem_cgroup(memcg)) {
		atomic_long_inc(&memcg->pt.events[event]);
		cgroup_file_notify(&memcg->pt.events_file);
	}
}

/**
 * memcg_pt_count_kill - a process was killed for the tables of a cgroup
 * @mm: its mm
 *
 * Context: oom_lock is held.
 */
void memcg_pt_count_kill(struct mm_struct *mm)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(mm);

	memcg_pt_count(memcg, MEMCG_PT_OOM_KILL);
	mem_cgroup_put(memcg);
}

/**
 * memcg_pt_init - prepare the page-table part of a new memory cgroup
 * @memcg: the cgroup
 * @parent: its parent, NULL for the root
 *
 * Context: Process context, nobody else knows @memcg yet.
 */
void memcg_pt_init(struct mem_cgroup *memcg, struct mem_cgroup *parent)
{
	struct memcg_pt *pt = &memcg->pt;

	/* the root's counter is not used: one level less to charge */
	page_counter_init(&pt->usage, parent && !mem_cgroup_is_root(parent) ?
			  &parent->pt.usage : NULL, false);
	page_counter_set_high(&pt->usage, PAGE_COUNTER_MAX);
	mutex_init(&pt->budget_lock);
	mutex_init(&pt->request_lock);
	INIT_DELAYED_WORK(&pt->work, memcg_pt_work);
	INIT_LIST_HEAD(&pt->peaks);
	memcg_pt_pause_end(&pt->pause_high);
	memcg_pt_pause_end(&pt->pause_max);
	memcg_pt_pause_end(&pt->pause_pressure);

	if (parent && !cgroup_subsys_on_dfl(memory_cgrp_subsys))
		pr_info_once("no budgets for page tables: memory is a controller of cgroup v1\n");
}

/* Is there a budget now where there was none, or the other way round? */
static void memcg_pt_update(struct mem_cgroup *memcg)
{
	struct memcg_pt *pt = &memcg->pt;
	bool limited = pt->usage.high != PAGE_COUNTER_MAX ||
		       pt->usage.max != PAGE_COUNTER_MAX;

	lockdep_assert_held(&pt_limits_lock);

	/* What was found under the old limits says nothing of the new ones */
	memcg_pt_pause_end(&pt->pause_high);
	memcg_pt_pause_end(&pt->pause_max);

	if (limited == pt->limited)
		return;
	WRITE_ONCE(pt->limited, limited);
	if (!freept_enabled()) {
		pr_info_once("freept=off: limits of page tables are not enforced\n");
		return;
	}
	if (limited) {
		static_branch_inc(&memcg_pt_budgets.key);
		WRITE_ONCE(pt_nr_limited, pt_nr_limited + 1);
		freept_budgets_exist();
	} else {
		WRITE_ONCE(pt_nr_limited, pt_nr_limited - 1);
		static_branch_slow_dec_deferred(&memcg_pt_budgets);
	}
}

/**
 * memcg_pt_reset - take the limits off a cgroup
 * @memcg: the cgroup, which is about to be hidden or removed
 *
 * Context: Process context; cgroup_mutex may be held.
 */
void memcg_pt_reset(struct mem_cgroup *memcg)
{
	mutex_lock(&pt_limits_lock);
	WRITE_ONCE(memcg->pt.usage.max, PAGE_COUNTER_MAX);
	page_counter_set_high(&memcg->pt.usage, PAGE_COUNTER_MAX);
	memcg_pt_update(memcg);
	mutex_unlock(&pt_limits_lock);
}

/**
 * memcg_pt_release - let go of what a cgroup holds
 * @memcg: the cgroup, which is about to be freed
 *
 * Context: Process context.  An RCU grace period has passed since @memcg could
 * last be charged.
 */
void memcg_pt_release(struct mem_cgroup *memcg)
{
	memcg_pt_reset(memcg);
	cancel_delayed_work_sync(&memcg->pt.work);
	if (memcg->pt.victim)
		mmdrop(memcg->pt.victim);
}

/*
 * A number of bytes in decimal, with a suffix or none, in pages; or "max".
 * Other than page_counter_memparse(), takes neither an empty string for 0 nor
 * an overflow for what is left of it.
 */
static int memcg_pt_parse(char *buf, unsigned long *nr_pages, bool *max)
{
	static const char suffixes[] = "kmgtpe";
	unsigned int shift = 0;
	size_t digits;
	u64 bytes;

	buf = strstrip(buf);
	*max = !strcmp(buf, "max");
	*nr_pages = PAGE_COUNTER_MAX;
	if (*max)
		return 0;

	digits = strspn(buf, "0123456789");
	if (!digits)
		return -EINVAL;
	if (buf[digits]) {
		const char *suffix = strchr(suffixes, tolower(buf[digits]));

		if (!suffix || buf[digits + 1])
			return -EINVAL;
		shift = (suffix - suffixes + 1) * 10;
		buf[digits] = '\0';
	}
	if (kstrtoull(buf, 10, &bytes) || check_shl_overflow(bytes, shift, &bytes))
		return -EINVAL;
	*nr_pages = min(bytes / PAGE_SIZE, (u64)PAGE_COUNTER_MAX);
	return 0;
}

static u64 pt_current_read(struct cgroup_subsys_state *css, struct cftype *cft)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(css);

	return (u64)page_counter_read(&memcg->pt.usage) * PAGE_SIZE;
}

static int pt_peak_show(struct seq_file *sf, void *v)
{
	return peak_show(sf, v, &mem_cgroup_from_seq(sf)->pt.usage);
}

static ssize_t pt_peak_write(struct kernfs_open_file *of, char *buf,
			     size_t nbytes, loff_t off)
{
	struct memcg_pt *pt = &mem_cgroup_from_css(of_css(of))->pt;

	return peak_write(of, buf, nbytes, off, &pt->usage, &pt->peaks);
}

static int pt_high_show(struct seq_file *m, void *v)
{
	return seq_puts_memcg_tunable(m,
		READ_ONCE(mem_cgroup_from_seq(m)->pt.usage.high));
}

static ssize_t pt_high_write(struct kernfs_open_file *of, char *buf,
			     size_t nbytes, loff_t off)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(of_css(of));
	unsigned long high;
	bool unlimited;
	int err;

	err = memcg_pt_parse(buf, &high, &unlimited);
	if (err)
		return err;

	mutex_lock(&pt_limits_lock);
	page_counter_set_high(&memcg->pt.usage, high);
	memcg_pt_update(memcg);
	mutex_unlock(&pt_limits_lock);

	if (freept_enabled() && memcg_pt_settled(memcg) > high)
		memcg_pt_kick(memcg, 0);
	return nbytes;
}

static int pt_max_show(struct seq_file *m, void *v)
{
	return seq_puts_memcg_tunable(m,
		READ_ONCE(mem_cgroup_from_seq(m)->pt.usage.max));
}

static ssize_t pt_max_write(struct kernfs_open_file *of, char *buf,
			    size_t nbytes, loff_t off)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(of_css(of));
	unsigned long max;
	bool unlimited;
	int err;

	err = memcg_pt_parse(buf, &max, &unlimited);
	if (err)
		return err;

	mutex_lock(&pt_limits_lock);
	xchg(&memcg->pt.usage.max, max);
	memcg_pt_update(memcg);
	mutex_unlock(&pt_limits_lock);

	if (!freept_enabled())
		return nbytes;
	/* until under, or another limit is set, or a signal, or no way */
	while (memcg_pt_settled(memcg) > max &&
	       max == READ_ONCE(memcg->pt.usage.max) &&
	       !signal_pending(current)) {
		if (!memcg_pt_enforce_max(memcg, MEMCG_PT_WRITE))
			break;
		cond_resched();
	}
	if (memcg_pt_settled(memcg) > max)
		memcg_pt_kick(memcg, 1);
	return nbytes;
}

static ssize_t pt_reclaim_write(struct kernfs_open_file *of, char *buf,
				size_t nbytes, loff_t off)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(of_css(of));
	unsigned long nr;
	bool all;
	int err;

	err = memcg_pt_parse(buf, &nr, &all);
	if (err)
		return err;
	if (!freept_enabled())
		return -EOPNOTSUPP;
	if (!nr)
		return nbytes;
	err = memcg_pt_reclaim(memcg, nr);
	if (err == -EAGAIN && all)
		err = 0;
	return err ?: nbytes;
}

static void __pt_events_show(struct seq_file *m, atomic_long_t *events)
{
	static const char * const names[MEMCG_PT_NR_EVENTS] = {
		[MEMCG_PT_HIGH]		= "high",
		[MEMCG_PT_MAX]		= "max",
		[MEMCG_PT_OOM]		= "oom",
		[MEMCG_PT_OOM_KILL]	= "oom_kill",
	};
	int i;

	for (i = 0; i < MEMCG_PT_NR_EVENTS; i++)
		seq_printf(m, "%s %lu\n", names[i], atomic_long_read(events + i));
}

static int pt_events_show(struct seq_file *m, void *v)
{
	__pt_events_show(m, mem_cgroup_from_seq(m)->pt.events);
	return 0;
}

static int pt_events_local_show(struct seq_file *m, void *v)
{
	__pt_events_show(m, mem_cgroup_from_seq(m)->pt.events_local);
	return 0;
}

static struct cftype memcg_pt_files[] = {
	{
		.name = "pt.current",
		.flags = CFTYPE_NOT_ON_ROOT,
		.read_u64 = pt_current_read,
	},
	{
		.name = "pt.peak",
		.flags = CFTYPE_NOT_ON_ROOT,
		.open = peak_open,
		.release = peak_release,
		.seq_show = pt_peak_show,
		.write = pt_peak_write,
	},
	{
		.name = "pt.high",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = pt_high_show,
		.write = pt_high_write,
	},
	{
		.name = "pt.max",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = pt_max_show,
		.write = pt_max_write,
	},
	{
		.name = "pt.events",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct mem_cgroup, pt.events_file),
		.seq_show = pt_events_show,
	},
	{
		.name = "pt.events.local",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct mem_cgroup, pt.events_local_file),
		.seq_show = pt_events_local_show,
	},
	{
		.name = "pt_reclaim",
		.flags = CFTYPE_NS_DELEGATABLE,
		.write = pt_reclaim_write,
	},
	{ }	/* terminate */
};

static int __init memcg_pt_files_init(void)
{
	if (mem_cgroup_disabled() || mem_cgroup_kmem_disabled()) {
		pr_info("no budgets for page tables: they are not charged to cgroups\n");
		return 0;
	}
	WARN_ON(cgroup_add_dfl_cftypes(&memory_cgrp_subsys, memcg_pt_files));
	return 0;
}
subsys_initcall(memcg_pt_files_init);
