/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What a program can ask of a kernel with ptfree, for a C library and kernel
 * headers that do not know it. A kernel without ptfree answers EINVAL to all of it.
 */
#ifndef _PTFREE_H
#define _PTFREE_H

/* prctl(): background reclaim of the calling process's empty page tables */
#ifndef PR_SET_FREEPT
#define PR_SET_FREEPT			0x46505401
# define PR_FREEPT_DEFAULT		0 /* As the system, or the cgroup, has it */
# define PR_FREEPT_ENABLE		1
# define PR_FREEPT_DISABLE		2
#endif
#ifndef PR_GET_FREEPT
#define PR_GET_FREEPT			0x46505402
#endif

/* madvise(), process_madvise() */
#ifndef MADV_FREEPT
#define MADV_FREEPT	1060		/* Free empty page tables in the background */
#endif
#ifndef MADV_NOFREEPT
#define MADV_NOFREEPT	1061		/* Leave them alone in the background */
#endif
#ifndef MADV_PT_RECLAIM
#define MADV_PT_RECLAIM	1062		/* Free empty page tables now */
#endif

#endif /* _PTFREE_H */
