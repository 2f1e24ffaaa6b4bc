/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM freept

#if !defined(_TRACE_FREEPT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_FREEPT_H

#include <linux/freept.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

#ifndef __FREEPT_TRACE_HELPERS
#define __FREEPT_TRACE_HELPERS
/* The process whose tables they are, which need not be the one that works */
static inline pid_t freept_trace_tgid(struct mm_struct *mm)
{
	pid_t tgid = 0;

#ifdef CONFIG_MEMCG
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	if (owner)
		tgid = task_tgid_nr(owner);
	rcu_read_unlock();
#else
	if (mm == current->mm)
		tgid = task_tgid_nr(current);
#endif
	return tgid;
}
#endif

#define show_freept_flags(flags)				\
	__print_flags(flags, "|",				\
		{ FREEPT_WAIT,		"wait"		},	\
		{ FREEPT_OLD,		"old"		},	\
		{ FREEPT_BACKGROUND,	"background"	},	\
		{ FREEPT_RANGES,	"ranges"	},	\
		{ FREEPT_HINTED,	"hinted"	},	\
		{ FREEPT_AGED,		"aged"		})

/* enum freept_skip */
#define FREEPT_SKIP_REASONS				\
	EM(FREEPT_SKIP_BUSY,		"busy")		\
	EM(FREEPT_SKIP_VMA,		"vma")		\
	EM(FREEPT_SKIP_UNMARKED,	"unmarked")	\
	EM(FREEPT_SKIP_AGED,		"aged")		\
	EM(FREEPT_SKIP_YOUNG,		"young")	\
	EMe(FREEPT_SKIP_REFILLED,	"refilled")

/* enum freept_action */
#define FREEPT_ACTIONS					\
	EM(FREEPT_ACTION_TASK,		"task")		\
	EM(FREEPT_ACTION_WORKER,	"worker")	\
	EM(FREEPT_ACTION_RECLAIM,	"reclaim")	\
	EM(FREEPT_ACTION_BACK_OFF,	"back_off")	\
	EM(FREEPT_ACTION_KILL,		"kill")		\
	EMe(FREEPT_ACTION_NO_KILL,	"no_kill")

/* No field is a u64: without BTF, bpftrace does not know what that is */

#undef EM
#undef EMe
#define EM(a, b)	TRACE_DEFINE_ENUM(a);
#define EMe(a, b)	TRACE_DEFINE_ENUM(a);
FREEPT_SKIP_REASONS
FREEPT_ACTIONS
#undef EM
#undef EMe
#define EM(a, b)	{ a, b },
#define EMe(a, b)	{ a, b }

TRACE_EVENT(freept_run_start,

	TP_PROTO(struct mm_struct *mm, unsigned long start, unsigned long end,
		 unsigned int flags),

	TP_ARGS(mm, start, end, flags),

	TP_STRUCT__entry(
		__field(pid_t,		tgid)
		__field(unsigned int,	flags)
		__field(unsigned long,	start)
		__field(unsigned long,	end)
	),

	TP_fast_assign(
		__entry->tgid = freept_trace_tgid(mm);
		__entry->flags = flags;
		__entry->start = start;
		__entry->end = end;
	),

	TP_printk("tgid=%d start=0x%lx end=0x%lx flags=%s",
		  __entry->tgid, __entry->start, __entry->end,
		  show_freept_flags(__entry->flags))
);

/* Where it ended, tables looked at and freed, and how long that took */
TRACE_EVENT(freept_run_end,

	TP_PROTO(struct mm_struct *mm, unsigned long addr, unsigned long nr_scanned,
		 unsigned long nr_freed, u64 held_ns, int ret),

	TP_ARGS(mm, addr, nr_scanned, nr_freed, held_ns, ret),

	TP_STRUCT__entry(
		__field(pid_t,		tgid)
		__field(int,		ret)
		__field(unsigned long,	addr)
		__field(unsigned long,	nr_scanned)
		__field(unsigned long,	nr_freed)
		__field(unsigned long,	held_ns)
	),

	TP_fast_assign(
		__entry->tgid = freept_trace_tgid(mm);
		__entry->ret = ret;
		__entry->addr = addr;
		__entry->nr_scanned = nr_scanned;
		__entry->nr_freed = nr_freed;
		__entry->held_ns = held_ns;
	),

	TP_printk("tgid=%d addr=0x%lx scanned=%lu freed=%lu held_ns=%lu ret=%d",
		  __entry->tgid, __entry->addr, __entry->nr_scanned,
		  __entry->nr_freed, __entry->held_ns, __entry->ret)
);

/* One hold of the mmap lock for reading */
TRACE_EVENT(freept_hold,

	TP_PROTO(struct mm_struct *mm, unsigned long nr_scanned,
		 unsigned long nr_freed, u64 held_ns),

	TP_ARGS(mm, nr_scanned, nr_freed, held_ns),

	TP_STRUCT__entry(
		__field(pid_t,		tgid)
		__field(unsigned long,	nr_scanned)
		__field(unsigned long,	nr_freed)
		__field(unsigned long,	held_ns)
	),

	TP_fast_assign(
		__entry->tgid = freept_trace_tgid(mm);
		__entry->nr_scanned = nr_scanned;
		__entry->nr_freed = nr_freed;
		__entry->held_ns = held_ns;
	),

	TP_printk("tgid=%d scanned=%lu freed=%lu held_ns=%lu",
		  __entry->tgid, __entry->nr_scanned, __entry->nr_freed,
		  __entry->held_ns)
);

/* A table is unlinked */
TRACE_EVENT(freept_table,

	TP_PROTO(struct mm_struct *mm, unsigned long addr),

	TP_ARGS(mm, addr),

	TP_STRUCT__entry(
		__field(pid_t,		tgid)
		__field(unsigned long,	addr)
	),

	TP_fast_assign(
		__entry->tgid = freept_trace_tgid(mm);
		__entry->addr = addr;
	),

	TP_printk("tgid=%d addr=0x%lx", __entry->tgid, __entry->addr)
);

/* A table, or more than one, is passed over */
TRACE_EVENT(freept_skip,

	TP_PROTO(struct mm_struct *mm, unsigned long addr, int reason),

	TP_ARGS(mm, addr, reason),

	TP_STRUCT__entry(
		__field(pid_t,		tgid)
		__field(int,		reason)
		__field(unsigned long,	addr)
	),

	TP_fast_assign(
		__entry->tgid = freept_trace_tgid(mm);
		__entry->reason = reason;
		__entry->addr = addr;
	),

	TP_printk("tgid=%d addr=0x%lx reason=%s", __entry->tgid, __entry->addr,
		  __print_symbolic(__entry->reason, FREEPT_SKIP_REASONS))
);

/* A task is stopped on its return to user space */
TRACE_EVENT(freept_stop,

	TP_PROTO(u64 stopped_ns),

	TP_ARGS(stopped_ns),

	TP_STRUCT__entry(
		__field(unsigned long,	stopped_ns)
	),

	TP_fast_assign(
		__entry->stopped_ns = stopped_ns;
	),

	TP_printk("stopped_ns=%lu", __entry->stopped_ns)
);

/* A cgroup is over memory.pt.high or memory.pt.max; in tables */
TRACE_EVENT(freept_over_budget,

	TP_PROTO(u64 cgroup, unsigned long usage, unsigned long limit,
		 unsigned long nr_freed, int action),

	TP_ARGS(cgroup, usage, limit, nr_freed, action),

	TP_STRUCT__entry(
		__field(unsigned long,	cgroup)
		__field(unsigned long,	usage)
		__field(unsigned long,	limit)
		__field(unsigned long,	nr_freed)
		__field(int,		action)
	),

	TP_fast_assign(
		__entry->cgroup = cgroup;
		__entry->usage = usage;
		__entry->limit = limit;
		__entry->nr_freed = nr_freed;
		__entry->action = action;
	),

	TP_printk("cgroup=%lu usage=%lu limit=%lu freed=%lu action=%s",
		  __entry->cgroup, __entry->usage, __entry->limit,
		  __entry->nr_freed,
		  __print_symbolic(__entry->action, FREEPT_ACTIONS))
);

#endif /* _TRACE_FREEPT_H */

#include <trace/define_trace.h>
