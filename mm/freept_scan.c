// SPDX-License-Identifier: GPL-2.0
/*
 * Background reclaim of empty PTE tables: when, for whom, and how fast
 *
 * The engine in mm/freept.c knows how to free empty tables.  This file lets it
 * run by itself.  A run covers vm.freept_scan_size_mb of a process' address
 * space, going on where the last one ended; vm.freept_scan_delay_ms lie between
 * the end of a run and the start of the next one for the same mm.  A run is
 * done in pieces, each of one hold of the mmap lock, with a pause in between.
 *
 * Two hands do the work.  The tasks of a process do it for their own mm: the
 * scheduler tick sees that a piece is due and queues a task work, which is run
 * on return to user space, where no locks are held and the mm is at hand.  What
 * no tick sees (processes that sleep, are stopped or frozen, run on nohz_full
 * CPUs or hardly ever) is left to a kernel thread that visits all processes.
 * Whoever moves mm->freept.next on does the piece, everybody else stays away.
 *
 * What keeps the cost down:
 *
 *  - looking at tables in use takes 3 % of the time at the most: the next piece
 *    for the mm is due no sooner than FREEPT_PACE times what looking took, the
 *    next piece done by the same task not before it has used that much CPU, and
 *    the thread sleeps as long.  Looking at what then is freed, and freeing it,
 *    is work that pays, and bounded per piece;
 *  - it looks where entries were removed, see mm/freept_hints.c, and frees what
 *    was empty at two looks; mm/freept_lap.c says how long it waits for the next;
 *  - nobody waits for the mmap lock: if it is taken, the piece is put off;
 *  - while nobody asks for background work the tick hook is a static branch.
 */
#define pr_fmt(fmt) "freept: " fmt

#include <linux/freept.h>
#include <linux/freezer.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/memcontrol-ptfree.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/prctl.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/sched/rt.h>
#include <linux/sched/task.h>
#include <linux/sysctl.h>
#include <linux/task_work.h>

#include <trace/events/freept.h>

#include "freept.h"

enum freept_mode {
	FREEPT_NEVER,		/* no background work */
	FREEPT_ASKED,		/* for those who asked for it */
	FREEPT_ALWAYS,		/* for every process */
};

/* Time from one piece to the next, in multiples of what looking took: 1 / 3 % */
#define FREEPT_PACE		33

/* Ticks that the tasks of a process have to take a piece before the thread does */
#define FREEPT_GRACE		2

/* Processes that the thread considers between two chances to reschedule */
#define FREEPT_PIDS		64

static int freept_mode __read_mostly = FREEPT_ASKED;
static int freept_scan_delay_ms __read_mostly = 1000;
static int freept_scan_size_mb __read_mostly = 16384;

DEFINE_STATIC_KEY_FALSE(freept_background);

static DECLARE_WAIT_QUEUE_HEAD(freept_wait);

/* Some process has asked for background work, with prctl() or madvise() */
static bool freept_asked __read_mostly;

/* Is there anybody for whom background work is to be done? */
static bool freept_active(void)
{
	int mode = READ_ONCE(freept_mode);

	return freept_enabled() &&
	       (mode == FREEPT_ALWAYS ||
		(mode == FREEPT_ASKED &&
		 (READ_ONCE(freept_asked) || memcg_pt_budgets_exist())));
}

/**
 * freept_delay - the time between two runs, as it is set
 *
 * Context: Any.
 * Return: vm.freept_scan_delay_ms in jiffies.
 */
unsigned long freept_delay(void)
{
	return msecs_to_jiffies(READ_ONCE(freept_scan_delay_ms));
}

/* For what of an mm is background work to be done? */
enum freept_want {
	FREEPT_NOTHING,
	FREEPT_ASKED_RANGES,	/* those marked with MADV_FREEPT */
	FREEPT_ALL,		/* but not those marked with MADV_NOFREEPT */
};

/* Who wins: the order is that of Documentation/admin-guide/mm/freept.rst */
static enum freept_want freept_wanted(struct mm_struct *mm)
{
	int mode = READ_ONCE(freept_mode);
	u8 choice = READ_ONCE(mm->freept.choice);

	if (mode == FREEPT_NEVER || choice == PR_FREEPT_DISABLE)
		return FREEPT_NOTHING;
	if (choice == PR_FREEPT_ENABLE || mode == FREEPT_ALWAYS || memcg_pt_asked(mm))
		return FREEPT_ALL;
	return READ_ONCE(mm->freept.ranges) ? FREEPT_ASKED_RANGES : FREEPT_NOTHING;
}

/* Is a piece for @mm overdue by @grace ticks? */
static bool freept_due(struct mm_struct *mm, unsigned long grace)
{
	unsigned int generation = READ_ONCE(mm->freept.generation);

	if (freept_wanted(mm) == FREEPT_NOTHING)
		return false;
	if (likely(generation == READ_ONCE(freept_generation)))
		return time_after_eq(jiffies, READ_ONCE(mm->freept.next) + grace);
	if (generation)
		return true;
	/* seen for the first time: most processes end soon, or have just begun */
	WRITE_ONCE(mm->freept.next, jiffies + freept_delay());
	WRITE_ONCE(mm->freept.generation, READ_ONCE(freept_generation));
	return false;
}

/*
 * Do a piece for @mm if it is due and nobody else does it, and free @nr_to_free
 * tables at the most.
 *
 * Returns the time to pay for; *more says whether the run goes on at once.
 */
static u64 freept_piece(struct mm_struct *mm, unsigned long grace,
			unsigned long nr_to_free, bool *more)
{
	struct freept_mm *fm = &mm->freept;
	unsigned long delay = freept_delay();
	/* before the generation: who sees the time set below sees that as well */
	unsigned long next = smp_load_acquire(&fm->next);
	unsigned long left, pause, guard;
	DEFINE_FREEPT_CONTROL(fc);
	enum freept_want want;
	u64 price;
	int ret;

	if (!freept_due(mm, grace))
		return 0;
	/* what was learnt under other settings need not hold under these */
	if (READ_ONCE(fm->generation) != READ_ONCE(freept_generation)) {
		fm->idle = 0;
		fm->harm = 0;
	}
	/* before the election: who sees the new time sees that it is current */
	WRITE_ONCE(fm->generation, READ_ONCE(freept_generation));
	/* Elected.  The time is a guard only: it is set anew below. */
	guard = jiffies + delay + HZ;
	if (!try_cmpxchg(&fm->next, &next, guard))
		return 0;

	want = freept_wanted(mm);
	if (want != fm->want) {
		/* tables that nobody has asked for may be empty for long */
		fm->want = want;
		freept_hints_lost(mm);
	}
	fc.start = READ_ONCE(fm->addr);
	if (!fc.start && !freept_lap_begin(mm)) {
		WRITE_ONCE(fm->next, jiffies + freept_lap_delay(mm));
		return 0;
	}
	left = READ_ONCE(fm->span);
	if (!left)	/* a new run, and with a new size from now on */
		left = (unsigned long)READ_ONCE(freept_scan_size_mb) << 20;
	fc.span = left;
	fc.nr_to_scan = FREEPT_HOLD_SCAN;
	fc.nr_to_free = nr_to_free;
	fc.flags = FREEPT_BACKGROUND | FREEPT_AGED;
	if (READ_ONCE(fm->hinted) == fm->lap)
		fc.flags |= FREEPT_HINTED;
	if (want == FREEPT_ASKED_RANGES)
		fc.flags |= FREEPT_RANGES;

	ret = freept_reclaim_mm(mm, &fc);
	/* what is empty for the first time pays as well, unless it is in use */
	price = freept_price(fc.scan_ns, fc.work, fc.nr_empty - fc.nr_reused);
	pause = nsecs_to_jiffies64(price * FREEPT_PACE) + 1;
	/*
	 * It has taken too long, by a throttled CPU for example: somebody else was
	 * elected meanwhile, and goes on from where this began, or has done so.  What
	 * this has not come to may have lost the mark of the mm, and gets one.
	 */
	next = guard;
	if (!try_cmpxchg(&fm->next, &next, jiffies + delay + HZ)) {
		WRITE_ONCE(fm->marked, true);
		return price;
	}
	fm->lap_scanned += fc.nr_scanned;
	fm->lap_empty += fc.nr_empty;
	fm->lap_reused += fc.nr_reused;
	fm->lap_freed += fc.nr_freed;

	/* The lock was taken when the lap began: what it was begun for is to come */
	if (!fc.start)
		WRITE_ONCE(fm->marked, true);
	if (fc.start >= fc.end) {	/* end of the address space and of the run */
		fc.start = 0;
		fc.span = 0;
		freept_lap_end(mm);
	}
	WRITE_ONCE(fm->addr, fc.start);
	WRITE_ONCE(fm->span, fc.span);

	if (ret == -EAGAIN)
		/* the mmap lock is busy: let the others have it for a while */
		pause = max(pause, delay / 8);
	else if (!fc.span)
		pause = max(pause, fc.start ? delay : freept_lap_delay(mm));
	else
		*more = true;
	WRITE_ONCE(fm->next, jiffies + pause);
	return price;
}

/* Runs on return to user space, queued by the tick */
static void freept_task_work(struct callback_head *work)
{
	struct task_struct *p = current;
	struct mm_struct *mm = p->mm;
	bool more = false;
	u64 price = 0, t0;

	work->next = work;	/* not queued: the tick may do so again */
	/* exit_task_work() comes after exit_mm() */
	if (!mm || (p->flags & PF_EXITING))
		return;
	t0 = local_clock();
	/* one hold of the mmap lock, for whatever: the task has other things to do */
	if (!memcg_pt_return_to_user())
		price = freept_piece(mm, 0, FREEPT_HOLD_FREE, &more);
	if (price)
		p->freept_exec = p->se.sum_exec_runtime + FREEPT_PACE * price;
	trace_freept_stop(local_clock() - t0);
}

/*
 * Kernel threads with a borrowed mm, io workers and vhost tasks return to user
 * space late or never.
 */
static bool freept_returns_to_user(struct task_struct *p)
{
	return p->mm && !(p->flags & (PF_EXITING | PF_KTHREAD | PF_IO_WORKER |
				      PF_USER_WORKER));
}

/* No page allocation under rq lock; nobody is woken or interrupted */
static bool freept_queue(struct task_struct *p)
{
	return p->freept_work.next != &p->freept_work ||
	       !task_work_add(p, &p->freept_work, TWA_RESUME | TWAF_NO_ALLOC);
}

/**
 * freept_notify - have current look at its budgets on return to user space
 *
 * Context: Process context.
 * Return: false if current will not return, or not soon.
 */
bool freept_notify(void)
{
	unsigned long flags;
	bool queued;

	if (!freept_returns_to_user(current))
		return false;
	local_irq_save(flags);	/* the tick queues the same work */
	queued = freept_queue(current);
	local_irq_restore(flags);
	return queued;
}

/**
 * freept_task_init - prepare the fields of a new task
 * @p: the task, a copy of its parent
 *
 * Context: Process context, nobody else knows @p yet.
 */
void freept_task_init(struct task_struct *p)
{
	memcg_pt_task_init(p);
	p->freept_exec = 0;
	p->freept_pmd = NULL;
	init_task_work(&p->freept_work, freept_task_work);
	p->freept_work.next = &p->freept_work;
}

void __freept_tick(struct task_struct *curr)
{
	/* a real-time task does as it is told, on time */
	if (!freept_returns_to_user(curr) || rt_or_dl_task(curr))
		return;
	if (!freept_due(curr->mm, 0) ||
	    curr->se.sum_exec_runtime < curr->freept_exec)
		return;
	freept_queue(curr);
}

/* The mm of the process @pid if a piece is overdue, with a reference */
static struct mm_struct *freept_get_mm(struct pid *pid)
{
	struct task_struct *p = pid_task(pid, PIDTYPE_TGID);
	struct mm_struct *mm = NULL;

	/* it changes others of its flags itself, never this one */
	if (!p || (data_race(p->flags) & PF_KTHREAD))
		return NULL;
	/* the leader can be a zombie while its threads live */
	p = find_lock_task_mm(p);
	if (!p)
		return NULL;
	__acquire(&p->alloc_lock);	/* find_lock_task_mm() did */
	if (freept_due(p->mm, FREEPT_GRACE) && mmget_not_zero(p->mm))
		mm = p->mm;
	task_unlock(p);
	return mm;
}

/*
 * The next process from *nr on with an mm for which a piece is overdue, or NULL
 * when FREEPT_PIDS have been considered, or all: then *nr is 0.
 */
static struct mm_struct *freept_next_mm(pid_t *nr)
{
	struct mm_struct *mm = NULL;
	struct pid *pid;
	int i;

	rcu_read_lock();
	for (i = 0; i < FREEPT_PIDS && !mm; i++) {
		pid = find_ge_pid(*nr, &init_pid_ns);
		if (!pid) {
			*nr = 0;
			break;
		}
		*nr = pid_nr(pid) + 1;
		mm = freept_get_mm(pid);
	}
	rcu_read_unlock();
	return mm;
}

/* Sleep for @pause ticks, or until the settings are not those of @generation */
static void freept_pause(unsigned long pause, unsigned int generation)
{
	wait_event_freezable_timeout(freept_wait,
				     generation != READ_ONCE(freept_generation),
				     pause);
}

/*
 * One piece for every process that is overdue.  Returns whether to go on at once.
 *
 * No reference is held while the thread sleeps, so that a process can exit; and
 * *debt, the time for which no pause was made yet, may be too short for one tick.
 */
static bool freept_visit_all(unsigned int generation, u64 *debt)
{
	unsigned long pause;
	bool more = false;
	pid_t nr = 1;
	u64 t0;

	do {
		struct mm_struct *mm;

		t0 = local_clock();
		mm = freept_next_mm(&nr);
		*debt += local_clock() - t0;
		if (mm) {
			/* nobody waits for this thread: as many as one scan finds */
			*debt += freept_piece(mm, FREEPT_GRACE, FREEPT_HOLD_SCAN,
					      &more);
			/* ours may be the last reference: exit_mmap() not here */
			mmput_async(mm);
		}
		pause = nsecs_to_jiffies64(*debt * FREEPT_PACE);
		if (pause) {
			freept_pause(pause, generation);
			*debt = 0;
		} else {
			cond_resched();
		}
	} while (nr && generation == READ_ONCE(freept_generation));

	return more;
}

static int freept_thread(void *unused)
{
	u64 debt = 0;

	set_freezable();
	for (;;) {
		unsigned int generation;
		unsigned long delay = 0;

		wait_event_freezable(freept_wait, freept_active());
		generation = READ_ONCE(freept_generation);
		if (!freept_visit_all(generation, &debt))
			delay = freept_delay();
		/* then those visited just now are overdue again */
		freept_pause(delay + FREEPT_GRACE + 2, generation);
	}
	return 0;
}

static DEFINE_MUTEX(freept_lock);

/* The settings have changed: is there anything to do in the background? */
static void freept_update(void)
{
	lockdep_assert_held(&freept_lock);
	if (!freept_enabled())
		return;
	if (freept_active()) {
		/* from now on; of what was removed before, no mark tells */
		static_branch_enable(&freept_hints);
		static_branch_enable(&freept_background);
	} else {
		static_branch_disable(&freept_background);
		static_branch_disable(&freept_hints);
	}
	WRITE_ONCE(freept_generation, (freept_generation + 1) % FREEPT_LAP ?: 1);
	wake_up(&freept_wait);
}

/* Background work was asked for, and not by a sysctl */
static void freept_start(void)
{
	lockdep_assert_held(&freept_lock);
	if (!freept_active() || static_key_enabled(&freept_background))
		return;
	static_branch_enable(&freept_hints);
	static_branch_enable(&freept_background);
	wake_up(&freept_wait);
}

/**
 * freept_budgets_exist - there are budgets for page tables from now on
 *
 * Budgets can be set and removed by whoever a cgroup is delegated to: nothing
 * is patched when the last one goes, and nobody's times are made void.
 *
 * Context: Process context.
 */
void freept_budgets_exist(void)
{
	mutex_lock(&freept_lock);
	freept_start();
	mutex_unlock(&freept_lock);
}

/**
 * freept_was_asked - a process has asked for background work
 *
 * For good: anybody may ask, and nobody shall have kernel code patched again and
 * again.
 *
 * Context: Process context, no mmap lock is held: code may be patched.
 */
void freept_was_asked(void)
{
	if (READ_ONCE(freept_asked))
		return;
	mutex_lock(&freept_lock);
	WRITE_ONCE(freept_asked, true);
	freept_start();
	mutex_unlock(&freept_lock);
}

static int freept_sysctl(const struct ctl_table *table, int write,
			 void *buffer, size_t *lenp, loff_t *ppos)
{
	int ret;

	mutex_lock(&freept_lock);
	ret = proc_dointvec_minmax(table, write, buffer, lenp, ppos);
	if (!ret && write)
		freept_update();
	mutex_unlock(&freept_lock);
	return ret;
}

static int freept_scan_delay_min = 10;
static int freept_scan_delay_max = 3600 * 1000;
static int freept_scan_size_min = 2;
static int freept_scan_size_max = 16 << 20;

static struct ctl_table freept_sysctls[] = {
	{
		.procname	= "freept",
		.data		= &freept_mode,
		.maxlen		= sizeof(freept_mode),
		.mode		= 0644,
		.proc_handler	= freept_sysctl,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_TWO,
	},
	{
		.procname	= "freept_scan_delay_ms",
		.data		= &freept_scan_delay_ms,
		.maxlen		= sizeof(freept_scan_delay_ms),
		.mode		= 0644,
		.proc_handler	= freept_sysctl,
		.extra1		= &freept_scan_delay_min,
		.extra2		= &freept_scan_delay_max,
	},
	{
		.procname	= "freept_scan_size_mb",
		.data		= &freept_scan_size_mb,
		.maxlen		= sizeof(freept_scan_size_mb),
		.mode		= 0644,
		.proc_handler	= freept_sysctl,
		.extra1		= &freept_scan_size_min,
		.extra2		= &freept_scan_size_max,
	},
};

static int __init freept_scan_init(void)
{
	struct task_struct *thread;

	register_sysctl_init("vm", freept_sysctls);
	if (!freept_enabled())
		return 0;

	thread = kthread_run(freept_thread, NULL, "kfreept");
	if (IS_ERR(thread))
		pr_err("no thread for sleeping processes (%pe)\n", thread);
	return 0;
}
subsys_initcall(freept_scan_init);
