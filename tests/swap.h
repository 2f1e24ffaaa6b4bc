/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Swap on a ram disk, for programs that test what becomes of swap entries.
 */
#ifndef PTFREE_TESTS_SWAP_H
#define PTFREE_TESTS_SWAP_H

#include "common.h"

/*
 * Swap on the first @pages of @dev (0: on all of it), with a header as mkswap
 * writes it: version, last page, and the magic at the end. 0 or -errno.
 */
static inline int swap_on(const char *dev, long pages)
{
	static union {
		char page[PAGE];
		uint32_t word[PAGE / 4];
	} head;
	uint64_t size = 0;
	int fd, err = 0;

	fd = open(dev, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, BLKGETSIZE64, &size))
		err = -errno;
	else if (size < 16 * PAGE || (uint64_t)pages > size / PAGE)
		err = -ENOSPC;
	head.word[256] = 1;
	head.word[257] = (pages ? (uint64_t)pages : size / PAGE) - 1;
	memcpy(head.page + PAGE - 10, "SWAPSPACE2", 10);
	if (!err && pwrite(fd, head.page, PAGE, 0) != PAGE)
		err = -EIO;
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	if (!err && swapon(dev, 0))
		err = -errno;
	return err;
}

#endif /* PTFREE_TESTS_SWAP_H */
