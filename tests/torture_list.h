/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What torture.c does, and what it looks at to know that it was done.
 */
#ifndef PTFREE_TESTS_TORTURE_LIST_H
#define PTFREE_TESTS_TORTURE_LIST_H

#include "torture_ops.h"
#include "torture_sys.h"
#include "torture_uffd.h"

/*
 * Who does it: threads of the process that is tortured, processes beside it. Dear is
 * what takes seconds each on a debug kernel in an emulator, most of it in paths that
 * all kernels have (a kill for memory.max tries to reclaim some 200 times before).
 */
enum { THREAD = 1, PROCESS = 2, BOTH = 3, DEAR = 4 };

static const struct op {
	const char *name;
	enum outcome (*fn)(struct worker *w);
	int weight;
	int who;
	bool (*can)(void);	/* is it possible here? */
	const char *without;	/* what is missing, if it is not: a word of --lacks */
} ops[] = {
	{ "touch",		op_touch,		60, BOTH },
	{ "read",		op_read,		12, BOTH },
	{ "populate",		op_populate,		8, THREAD },
	{ "dontneed-page",	op_dontneed_page,	12, THREAD },
	{ "dontneed-cell",	op_dontneed_cell,	16, THREAD },
	{ "dontneed-tables",	op_dontneed_tables,	24, THREAD },
	{ "free",		op_free,		12, THREAD },
	{ "fork",		op_fork,		10, THREAD | DEAR },
	{ "mremap",		op_mremap,		12, THREAD },
	{ "munmap",		op_munmap,		12, THREAD },
	{ "mprotect",		op_mprotect,		12, THREAD },
	{ "collapse",		op_collapse,		10, THREAD },
	{ "huge-fault",		op_huge_fault,		10, THREAD },
	{ "alike",		op_alike,		12, THREAD },
	{ "process-vm",		op_process_vm,		12, THREAD },
	{ "vmsplice",		op_vmsplice,		12, THREAD },
	{ "collapse-shared",	op_collapse_shared,	10, THREAD },
	{ "punch-hole",		op_punch,		12, BOTH },
	{ "shared-dontneed",	op_shared_dontneed,	12, BOTH },
	{ "truncate",		op_truncate,		6, BOTH | DEAR },
	{ "pagemap",		op_pagemap,		10, THREAD },
	{ "pagemap-scan",	op_pagemap_scan,	10, THREAD },
	{ "mincore",		op_mincore,		10, THREAD },
	{ "smaps",		op_smaps,		8, THREAD | DEAR },
	{ "rest",		op_rest,		6, BOTH },
	{ "uffd-copy",		op_uffd_copy,		12, THREAD, can_uffd, "UFFDIO_MOVE" },
	{ "uffd-move",		op_uffd_move,		12, THREAD, can_uffd, "UFFDIO_MOVE" },
	{ "uffd-zero",		op_uffd_zero,		10, THREAD, can_uffd, "UFFDIO_MOVE" },
	{ "uffd-protect",	op_uffd_protect,	10, THREAD | DEAR, can_uffd, "UFFDIO_MOVE" },
	{ "io-uring",		op_uring,		10, THREAD, can_uring, "io_uring" },
	{ "gup",		op_gup,			10, THREAD | DEAR, can_gup, "CONFIG_GUP_TEST" },
	{ "move-pages",		op_move_pages,		10, THREAD, can_nodes, "second-node" },
	{ "migrate-pages",	op_migrate_pages,	6, PROCESS, can_nodes, "second-node" },
	{ "pt-reclaim",		op_pt_reclaim,		16, THREAD, can_freept, "ptfree" },
	{ "hints",		op_hints,		8, THREAD, can_freept, "ptfree" },
	{ "prctl",		op_prctl,		6, THREAD, can_freept, "ptfree" },
	{ "sysctl",		op_sysctl,		6, PROCESS, can_freept, "ptfree" },
	{ "process-madvise",	op_process_madvise,	16, PROCESS, can_freept, "ptfree" },
	{ "process-collapse",	op_process_collapse,	8, PROCESS },
	{ "proc-mem",		op_proc_mem,		12, BOTH },
	{ "ptrace",		op_ptrace,		10, PROCESS },
	{ "swapoff",		op_swapoff,		10, PROCESS | DEAR },
	{ "age",		op_age,			12, PROCESS },
	{ "compact",		op_compact,		6, PROCESS | DEAR },
	{ "migrate-cgroup",	op_migrate_cgroup,	8, BOTH, can_groups, "memory.pt.high" },
	{ "group-reclaim",	op_group_reclaim,	10, PROCESS, can_groups, "memory.pt.high" },
	{ "memory-reclaim",	op_memory_reclaim,	10, PROCESS | DEAR, can_groups, "memory.pt.high" },
	{ "oom",		op_oom,			8, PROCESS | DEAR, can_groups, "memory.pt.high" },
	{ "pt-oom",		op_pt_oom,		8, PROCESS | DEAR, can_groups, "memory.pt.high" },
};

static long dear_min;		/* of the dear ones, 0: as of the others */

/* How often an operation is to be done, if the others are to be done @min times */
static long least(size_t op, long min)
{
	return dear_min && ops[op].who & DEAR ? dear_min : min;
}

/* Those who are at work beside the workers: what has to have grown, and how much */
static const struct activity {
	const char *name, *file;	/* a number, or NULL for a key of /proc/vmstat */
	long least;
	bool (*can)(void);
	const char *without;
} activities[] = {
	{ "ptfree",		NULL, 1000, can_freept, "ptfree" },
	{ "ptscan",		NULL, 1000, can_freept, "ptfree" },
	{ "khugepaged",		"/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans", 10 },
	{ "khugepaged-collapse", "/sys/kernel/mm/transparent_hugepage/khugepaged/pages_collapsed", 10 },
	{ "thp_collapse_alloc",	NULL, 100 },
	{ "ksmd",		"/sys/kernel/mm/ksm/full_scans", 10 },
	{ "cow_ksm",		NULL, 10 },
	{ "pswpout",		NULL, 100 },
	{ "pswpin",		NULL, 100 },
	{ "pgmigrate_success",	NULL, 100 },
	{ "numa_hint_faults",	NULL, 100, can_nodes, "second-node" },
};

static long activity(const struct activity *a)
{
	return a->file ? read_long(a->file) : vmstat(a->name);
}

#endif /* PTFREE_TESTS_TORTURE_LIST_H */
