/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * prctl(PR_SET_FREEPT) and the madvise() calls of ptfree, for programs that test
 * them, and what /proc/PID/smaps says of a mapping. Every call gives a number
 * that is 0 or more, or -errno.
 */
#ifndef PTFREE_TESTS_SWITCHES_H
#define PTFREE_TESTS_SWITCHES_H

#include "common.h"

#include <linux/prctl.h>

/* The numbers are the contract: they are not taken from the kernel's headers. */
#define SET_FREEPT	0x46505401
#define GET_FREEPT	0x46505402
#define CHOICE_DEFAULT	0UL
#define CHOICE_ENABLE	1UL
#define CHOICE_DISABLE	2UL
#define ADV_FREEPT	1060
#define ADV_NOFREEPT	1061
#define ADV_PT_RECLAIM	1062

static inline int choose(unsigned long choice)
{
	return prctl(SET_FREEPT, choice, 0UL, 0UL, 0UL) ? -errno : 0;
}

static inline int chosen(void)
{
	int ret = prctl(GET_FREEPT, 0UL, 0UL, 0UL, 0UL);

	return ret < 0 ? -errno : ret;
}

static inline int give_advice(void *at, size_t len, int advice)
{
	return madvise(at, len, advice) ? -errno : 0;
}

/* For one range of a process. The number of bytes that were advised, or -errno. */
static inline long advise_process(pid_t pid, void *at, size_t len, int advice)
{
	struct iovec iov = { .iov_base = at, .iov_len = len };
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	long ret;

	if (pidfd < 0)
		return -errno;
	ret = syscall(SYS_process_madvise, pidfd, &iov, 1UL, advice, 0U);
	if (ret < 0)
		ret = -errno;
	close(pidfd);
	return ret;
}

/*
 * The mappings of a process that lie in [at, at + len), and how many of them have
 * the two letters @flag in VmFlags; both start and end with those of a mapping.
 */
static inline long count_vmas(pid_t pid, const void *at, size_t len, const char *flag, long *with)
{
	uintptr_t first = (uintptr_t)at, last = first + len;
	char path[64], line[512], word[8];
	unsigned long start, end;
	bool inside = false;
	long vmas = 0;
	FILE *f;

	*with = 0;
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid ? pid : getpid());
	snprintf(word, sizeof(word), " %s ", flag);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-') < line + 20) {
			inside = start >= first && end <= last;
			vmas += inside;
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			/* Each pair of letters has a space after it. */
			*with += strstr(line, word) != NULL;
		}
	}
	fclose(f);
	return vmas;
}

/* Does every mapping of the range have the flag? There must be @vmas of them. */
static inline bool all_have(pid_t pid, const void *at, size_t len, const char *flag, long vmas)
{
	long with, n = count_vmas(pid, at, len, flag, &with);

	return n == vmas && with == vmas;
}

static inline bool none_has(pid_t pid, const void *at, size_t len, const char *flag, long vmas)
{
	long with, n = count_vmas(pid, at, len, flag, &with);

	return n == vmas && !with;
}

#endif /* PTFREE_TESTS_SWITCHES_H */
