// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of memory cgroups: empty ones are freed when memory is short
 *
 * Whatever vm.freept and the switches of processes say: an empty table is memory
 * that nobody has a use for.
 *
 * kswapd and direct reclaim
 *   of a cgroup or of the machine find them through a shrinker.  How many tables
 *   are empty is not known before they are looked at; what is known is how many
 *   there are, and how many would do for the pages that are mapped, if these lay
 *   dense.  The difference is what the shrinker offers.  Where that turns out to
 *   be wrong, since a program maps pages sparsely, it offers nothing for a while.
 *
 * Before an OOM kill
 *   in a cgroup or of the machine a pass goes through all processes there, and
 *   waits until what it has freed is no longer charged.  Only when that was
 *   nothing is somebody killed.
 *
 * All this may run under any lock that a memory allocation is made under, so
 * locks are only tried, and nothing is allocated.
 */
#include <linux/cgroup.h>
#include <linux/freept.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/oom.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "memcontrol-v1.h"
#include "memcontrol-ptfree.h"

/* Holds of mmap locks in one call of the shrinker */
#define PT_SHRINK_PIECES	8

/* Tables after which a kill is put off */
#define PT_OOM_ENOUGH		4096

/* Tables that a process has in any case, and what a look is not worth */
#define PT_FEW			16

static struct shrinker *pt_shrinker;

/* Tables that are charged to the children of a cgroup, and below these */
static unsigned long pt_of_children(struct mem_cgroup *memcg)
{
	struct cgroup_subsys_state *css;
	unsigned long nr = 0;

	rcu_read_lock();
	css_for_each_child(css, &memcg->css) {
		/* what one that was removed has left is uncharged from its parent */
		if (css->flags & CSS_ONLINE)
			nr += page_counter_read(&mem_cgroup_from_css(css)->pt.usage);
	}
	rcu_read_unlock();
	return nr;
}

/*
 * Tables of a cgroup, without those below it.  By the counters of the budgets: the
 * statistics are seconds late, and by then memory was found elsewhere, or not.
 */
static unsigned long pt_local(struct mem_cgroup *memcg)
{
	unsigned long nr, children = pt_of_children(memcg);

	if (mem_cgroup_is_root(memcg))
		nr = global_node_page_state(NR_PAGETABLE);	/* most have no charge */
	else
		nr = page_counter_read(&memcg->pt.usage);
	return nr - min(nr, children);
}

/* Tables that would do for the pages that a cgroup has mapped, if these lay dense */
static unsigned long pt_dense(struct mem_cgroup *memcg)
{
	unsigned long mapped;

	if (mem_cgroup_is_root(memcg))
		return 0;	/* not known; most are mapped by others */
	/* memory that was given back just now must not count as mapped */
	mem_cgroup_flush_stats(memcg);
	mapped = memcg_page_state_local(memcg, NR_ANON_MAPPED) +
		 memcg_page_state_local(memcg, NR_FILE_MAPPED);
	return mapped / PTRS_PER_PTE;
}

static unsigned long pt_shrink_count(struct shrinker *shrinker,
				     struct shrink_control *sc)
{
	struct mem_cgroup *memcg = sc->memcg ?: root_mem_cgroup;
	unsigned long nr;

	if (!freept_enabled() || memcg_pt_paused(&memcg->pt.pause_pressure, 0))
		return 0;
	nr = pt_local(memcg);
	if (nr <= PT_FEW)
		return 0;
	nr -= PT_FEW;
	return nr - min(nr, pt_dense(memcg));
}

static void pt_pressure_init(struct memcg_pt_pass *pass, struct mem_cgroup *memcg,
			     unsigned long nr, unsigned int pieces)
{
	memcg_pt_pass_init(pass, memcg);
	pass->pressure = true;
	pass->nr = nr;
	pass->pieces = pieces;
}

/*
 * Nothing was to be had: nothing is offered for a while, and for ever longer; not so
 * if somebody was only busy, or had tables that were too young.
 */
static void pt_shrink_pause(struct memcg_pt *pt, struct memcg_pt_pass *pass)
{
	if (pass->again)
		WRITE_ONCE(pt->pause_pressure.retry, jiffies + MEMCG_PT_VISIT_DELAY);
	else
		memcg_pt_back_off(&pt->pause_pressure, pass->wasted_ns);
}

static unsigned long pt_shrink_scan(struct shrinker *shrinker,
				    struct shrink_control *sc)
{
	struct mem_cgroup *memcg = sc->memcg ?: root_mem_cgroup;
	struct memcg_pt *pt = &memcg->pt;
	struct memcg_pt_pass pass;
	bool vain;

	/* A lap takes several calls.  Two at a time do something twice, no more. */
	pt_pressure_init(&pass, memcg, sc->nr_to_scan, PT_SHRINK_PIECES);
	pass.skip = READ_ONCE(pt->pressure_pos);
	memcg_pt_walk_subtree(&pass);
	sc->nr_scanned = max(pass.nr_scanned, pass.nr_freed);
	mm_account_reclaimed_pages(pass.nr_freed);
	WRITE_ONCE(pt->pressure_freed, READ_ONCE(pt->pressure_freed) + pass.nr_freed);
	if (fatal_signal_pending(current))
		return pass.nr_freed ?: SHRINK_STOP;	/* no lap at all */
	if (!pass.pieces || pass.nr_counted >= pass.nr) {
		/* the last one may have more: it is visited again */
		WRITE_ONCE(pt->pressure_pos, max(pass.visited, pass.skip + 2) - 1);
		return pass.nr_freed;
	}

	vain = !READ_ONCE(pt->pressure_freed);
	WRITE_ONCE(pt->pressure_pos, 0);
	WRITE_ONCE(pt->pressure_freed, 0);
	if (vain) {
		pt_shrink_pause(pt, &pass);
		return SHRINK_STOP;
	}
	memcg_pt_pause_end(&pt->pause_pressure);
	return pass.nr_freed;
}

/*
 * Returns the number of tables that were freed for @memcg.  None if RCU does not come
 * to an end: that must not put off a kill for ever.
 */
static unsigned long pt_reclaim_before_oom(struct mem_cgroup *memcg)
{
	unsigned long in_flight = memcg_pt_in_flight(memcg);
	struct memcg_pt_pass pass;
	unsigned int visits = 0;

	pt_pressure_init(&pass, memcg, PT_OOM_ENOUGH, UINT_MAX);
	for (;;) {
		pass.again = false;
		if (current->mm)
			memcg_pt_walk_mm(&pass, current->mm);
		memcg_pt_walk_subtree(&pass);
		/* nobody is killed for who was busy for a moment */
		if (pass.nr_counted || in_flight || !pass.again ||
		    ++visits == MEMCG_PT_VISITS || fatal_signal_pending(current))
			break;
		schedule_timeout_killable(MEMCG_PT_VISIT_DELAY);
	}
	if (!pass.nr_counted && !in_flight)
		return 0;
	return memcg_pt_wait_freed(memcg, HZ) ? pass.nr_counted + in_flight : 0;
}

/**
 * memcg_pt_reclaim_before_oom - a cgroup is about to have a process killed
 * @memcg: the cgroup, which is at its memory.max
 *
 * Context: oom_lock is held, and any lock under which memory is charged.
 * Return: true if empty tables were freed: the charge should be tried again.
 */
bool memcg_pt_reclaim_before_oom(struct mem_cgroup *memcg)
{
	return freept_enabled() && cgroup_subsys_on_dfl(memory_cgrp_subsys) &&
	       pt_reclaim_before_oom(memcg);
}

/* The whole machine is about to have a process killed */
static int pt_oom_notify(struct notifier_block *nb, unsigned long unused, void *freed)
{
	*(unsigned long *)freed += pt_reclaim_before_oom(root_mem_cgroup);
	return NOTIFY_OK;
}

static struct notifier_block pt_oom_nb = {
	.notifier_call = pt_oom_notify,
};

/**
 * memcg_pt_online - reclaim in a cgroup is to find its page tables
 * @memcg: the cgroup, which is coming online
 *
 * Context: Process context.
 */
void memcg_pt_online(struct mem_cgroup *memcg)
{
	int nid;

	if (!pt_shrinker || mem_cgroup_is_root(memcg))
		return;
	for_each_node(nid)
		set_shrinker_bit(memcg, nid, pt_shrinker->id);
}

static int __init memcg_pt_pressure_init(void)
{
	struct shrinker *shrinker;

	if (!freept_enabled() || mem_cgroup_disabled())
		return 0;
	shrinker = shrinker_alloc(SHRINKER_MEMCG_AWARE, "mm-pagetable");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = pt_shrink_count;
	shrinker->scan_objects = pt_shrink_scan;
	/*
	 * Nothing has to be read again: half of them at once.  By the default, a
	 * cgroup with clean pages of files would have to have a gigabyte of empty
	 * tables before they are looked at.
	 */
	shrinker->seeks = 0;
	shrinker_register(shrinker);
	pt_shrinker = shrinker;
	return register_oom_notifier(&pt_oom_nb);
}
subsys_initcall(memcg_pt_pressure_init);
