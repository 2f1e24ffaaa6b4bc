/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __MM_MEMCONTROL_PTFREE_H
#define __MM_MEMCONTROL_PTFREE_H

/*
 * Between mm/memcontrol.c, mm/memcontrol-ptfree.c (counter, files, events),
 * mm/memcontrol-ptbudget.c (budgets), mm/memcontrol-ptpause.c (when to try again),
 * mm/memcontrol-ptoom.c (kills) and mm/memcontrol-ptreclaim.c (passes over the
 * processes of a cgroup).
 */

#include <linux/freept.h>
#include <linux/kernfs.h>
#include <linux/memcontrol.h>
#include <linux/seq_file.h>

/* mm/memcontrol.c: how a limit and a peak are shown and set */
int seq_puts_memcg_tunable(struct seq_file *m, unsigned long value);
int peak_open(struct kernfs_open_file *of);
void peak_release(struct kernfs_open_file *of);
int peak_show(struct seq_file *sf, void *v, struct page_counter *pc);
ssize_t peak_write(struct kernfs_open_file *of, char *buf, size_t nbytes,
		   loff_t off, struct page_counter *pc,
		   struct list_head *watchers);

#ifdef CONFIG_MEMCG_PTFREE

/* Tables of a task over memory.pt.max before it reclaims inside a charge */
#define MEMCG_PT_OVERSHOOT	64

/* Who enforces a budget, and so what may be done */
enum memcg_pt_caller {
	MEMCG_PT_CHARGE,	/* inside a charge: locks are held, no waiting */
	MEMCG_PT_POPULATE,	/* can fail: no OOM kill */
	MEMCG_PT_FORK,		/* can fail: no OOM kill; frees all that there is */
	MEMCG_PT_RETURN,	/* on return to user space */
	MEMCG_PT_WRITE,		/* a write to memory.pt.max: ends with any signal */
	MEMCG_PT_WORKER,
};

/* mm/memcontrol-ptfree.c */
void memcg_pt_count(struct mem_cgroup *memcg, enum memcg_pt_event event);

/**
 * struct memcg_pt_pass - one pass over the processes of a cgroup and below
 * @memcg: the cgroup
 * @id: what mms that it has been through are marked with
 * @request: for memory.pt_reclaim: @nr counts, of tables charged to @memcg
 * @pressure: for memory: the same, but no locks are waited for
 * @interruptible: any signal ends it, not only a fatal one
 * @may_wait: no locks are held that others might want
 * @pieces: holds of mmap locks after which it ends
 * @skip: processes to leave out at the beginning
 * @visited: processes that it has come to, those left out included
 * @target: of a budget: ends when settled usage has come down to this
 * @nr: of a request: ends when so many tables are freed
 * @nr_counted: tables freed of those charged to @memcg or below; all, if it is
 *	the root
 * @nr_freed: tables freed
 * @nr_scanned: tables looked at
 * @wasted_ns: time spent on looking at tables that were not freed
 * @again: some mm was busy, or had tables that were too young
 */
struct memcg_pt_pass {
	struct mem_cgroup *memcg;
	int id;
	bool request;
	bool pressure;
	bool interruptible;
	bool may_wait;
	unsigned int pieces;
	unsigned int skip;
	unsigned int visited;
	unsigned long target;
	unsigned long nr;
	unsigned long nr_counted;
	unsigned long nr_freed;
	unsigned long nr_scanned;
	u64 wasted_ns;
	bool again;
};

/* Visits to a busy mm in one pass, and the time between two of them */
#define MEMCG_PT_VISITS		3
#define MEMCG_PT_VISIT_DELAY	msecs_to_jiffies(10)

/* mm/memcontrol-ptreclaim.c */
unsigned long memcg_pt_in_flight(struct mem_cgroup *memcg);
unsigned long memcg_pt_settled(struct mem_cgroup *memcg);
long memcg_pt_wait_in_flight(struct mem_cgroup *memcg, unsigned long nr, long timeout);
bool memcg_pt_wait_freed(struct mem_cgroup *memcg, long timeout);
int memcg_pt_new_id(void);
void memcg_pt_pass_init(struct memcg_pt_pass *pass, struct mem_cgroup *memcg);
int memcg_pt_piece(struct memcg_pt_pass *pass, struct mm_struct *mm,
		   struct freept_control *fc);
void memcg_pt_walk_mm(struct memcg_pt_pass *pass, struct mm_struct *mm);
void memcg_pt_walk_subtree(struct memcg_pt_pass *pass);
int memcg_pt_reclaim(struct mem_cgroup *memcg, unsigned long nr);

/* mm/memcontrol-ptbudget.c */
void memcg_pt_trace(struct mem_cgroup *memcg, unsigned long limit,
		    unsigned long nr_freed, enum freept_action action);
void memcg_pt_work(struct work_struct *work);
void memcg_pt_kick(struct mem_cgroup *memcg, unsigned long delay);
void memcg_pt_over_budget(struct mem_cgroup *memcg);
void memcg_pt_overshoot(void);
bool memcg_pt_enforce_max(struct mem_cgroup *memcg, enum memcg_pt_caller caller);

/* mm/memcontrol-ptpause.c */
unsigned long memcg_pt_price(u64 wasted_ns);
unsigned long memcg_pt_back_off(struct memcg_pt_pause *pause, u64 wasted_ns);
void memcg_pt_in_vain(struct mem_cgroup *memcg, struct memcg_pt_pause *pause,
		      u64 wasted_ns, int nr_unmaps);
void memcg_pt_pause_end(struct memcg_pt_pause *pause);
bool memcg_pt_paused(struct memcg_pt_pause *pause, unsigned long usage);
void memcg_pt_came_down(struct memcg_pt_pause *pause, unsigned long usage,
			unsigned long max);

/* mm/memcontrol-ptoom.c */
bool memcg_pt_victim_alive(struct mem_cgroup *memcg);
bool memcg_pt_oom(struct mem_cgroup *memcg, unsigned long max,
		  enum memcg_pt_caller caller);

#endif /* CONFIG_MEMCG_PTFREE */
#endif /* __MM_MEMCONTROL_PTFREE_H */
