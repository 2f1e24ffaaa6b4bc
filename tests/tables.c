// SPDX-License-Identifier: GPL-2.0-only
/*
 * tables COUNT used|empty - a process that holds COUNT page tables, each with one
 * page in it or none, until it is killed.
 *
 * Work for the tests in the Debian image, where limits are set by others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SPAN	(2UL << 20)	/* of one page table */

int main(int argc, char **argv)
{
	size_t count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, i;
	char *p;

	if (!count || (strcmp(argv[2], "used") && strcmp(argv[2], "empty"))) {
		fprintf(stderr, "usage: tables COUNT used|empty\n");
		return 2;
	}
	p = mmap(NULL, count * SPAN, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || madvise(p, count * SPAN, MADV_NOHUGEPAGE)) {
		perror("tables");
		return 1;
	}
	for (i = 0; i < count; i++)
		p[i * SPAN] = 1;
	/* In pieces, as allocators do it: a whole table at once may be freed with it. */
	for (i = 0; !strcmp(argv[2], "empty") && i < count; i++) {
		if (madvise(p + i * SPAN, SPAN / 2, MADV_DONTNEED)) {
			perror("tables: madvise");
			return 1;
		}
	}
	for (;;)
		pause();
}
