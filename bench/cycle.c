// SPDX-License-Identifier: GPL-2.0-only
/*
 * cycle MEGABYTES ROUNDS MS - a program that fills its heap and empties it, each MS
 * milliseconds, with whatever allocator is preloaded. Says what page tables it has
 * left at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK	(64UL << 10)
#define PAGE	4096UL

static long table_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPTE: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

int main(int argc, char **argv)
{
	struct timespec t;
	size_t nr, i, off;
	long rounds, ms;
	char **block;

	if (argc != 4)
		return 1;
	nr = (strtoul(argv[1], NULL, 10) << 20) / BLOCK;
	rounds = atol(argv[2]);
	ms = atol(argv[3]);
	block = calloc(nr, sizeof(*block));
	clock_gettime(CLOCK_MONOTONIC, &t);
	while (block && rounds--) {
		for (i = 0; i < nr; i++) {
			block[i] = malloc(BLOCK);
			if (!block[i])
				return 1;
			for (off = 0; off < BLOCK; off += PAGE)
				((volatile char *)block[i])[off] = 1;
		}
		for (i = 0; i < nr; i++)
			free(block[i]);
		t.tv_nsec += ms % 1000 * 1000000;
		t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	}
	printf("tables %ld\n", table_kb());
	return !block;
}
