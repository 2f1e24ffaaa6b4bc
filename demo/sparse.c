// SPDX-License-Identifier: GPL-2.0-only
/*
 * sparse heap|FILE GIGABYTES - a big mapping of which one byte in 2 MiB is
 * used: every page in use costs a page table of its own.
 *
 * "heap" is anonymous memory, given back with MADV_DONTNEED. Anything else
 * names a file, mapped shared and given back by punching one hole into it, as
 * data bases and log stores do when they drop old data: the process keeps its
 * mapping and never takes part.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#include "step.h"

#define STRIDE	(2UL << 20)

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) << 30 : 0;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	int fd = -1;
	size_t off;
	volatile char *p;

	if (!size) {
		fprintf(stderr, "usage: sparse heap|FILE GIGABYTES\n");
		return 1;
	}
	if (strcmp(argv[1], "heap")) {
		flags = MAP_SHARED;
		fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || ftruncate(fd, size))
			die(argv[1]);
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");

	step("ready");
	for (off = 0; off < size; off += STRIDE)
		p[off] = 1;
	step("full");
	if (fd < 0) {
		if (madvise((void *)p, size, MADV_DONTNEED))
			die("madvise");
	} else {
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      0, size))
			die("fallocate");
	}
	step("empty");
	return 0;
}
