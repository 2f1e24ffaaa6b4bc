// SPDX-License-Identifier: GPL-2.0-only
/*
 * loop GIGABYTES ROUNDS - goes through a big mapping as a cache does that fills
 * and evicts: 1024 pages at a time are written, one in each 2 MiB, and given
 * back one by one. It never has more than 4 MiB in use and never waits; what
 * it leaves behind is one empty page table for each 2 MiB.
 *
 * It says "round" after each round; see step.h for the rest.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "step.h"

#define STRIDE	(2UL << 20)
#define PIECE	(1024 * STRIDE)
#define PAGE	4096UL

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[1], NULL, 10) << 30 : 0;
	long round, rounds = argc > 2 ? atol(argv[2]) : 0;
	size_t at, off;
	char *p;

	if (!size || size % PIECE || rounds < 1) {
		fprintf(stderr, "usage: loop GIGABYTES ROUNDS (an even number of GIGABYTES)\n");
		return 1;
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");

	step("ready");
	for (round = 0; round < rounds; round++) {
		for (at = 0; at < size; at += PIECE) {
			for (off = at; off < at + PIECE; off += STRIDE)
				p[off] = 1;
			for (off = at; off < at + PIECE; off += STRIDE)
				if (madvise(p + off, PAGE, MADV_DONTNEED))
					die("madvise");
		}
		/* nobody is waited for here */
		if (write(STDOUT_FILENO, "round\n", 6) != 6)
			return 2;
	}
	step("done");
	return 0;
}
