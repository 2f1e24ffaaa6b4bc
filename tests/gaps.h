/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels on which a table stays that a hole between mappings has a part in.
 */
#ifndef PTFREE_TESTS_GAPS_H
#define PTFREE_TESTS_GAPS_H

#include "common.h"

/*
 * Those with hugetlb pages that are smaller than what a table maps, which have their
 * entries in it (CONFIG_FREEPT_KEEP_GAPS: arm64 with hugetlb).
 */
static inline bool keeps_gaps(void)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	struct dirent *entry;
	bool small = false;
	size_t kb;

	while (dir && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "hugepages-%zukB", &kb) == 1 && kb * KiB < TABLE_SPAN)
			small = true;
	if (dir)
		closedir(dir);
	return small;
}

#endif /* PTFREE_TESTS_GAPS_H */
