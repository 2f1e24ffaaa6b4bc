// SPDX-License-Identifier: GPL-2.0-only
/*
 * filler TABLES KEEP READY [more]
 *
 * Touch one page in each of TABLES slots of 2 MiB, give all but every KEEPth of
 * them back (0: all of them, 1: none), create the file READY, and wait. With
 * "more": at SIGUSR1, touch all again and create READY.more.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOT (2UL << 20)

static void ready(const char *name, const char *suffix)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s%s", name, suffix);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned long tables, keep, i;
	sigset_t set;
	char *area;
	int sig;

	if (argc < 4) {
		fprintf(stderr, "usage: filler TABLES KEEP READY [more]\n");
		return 2;
	}
	tables = strtoul(argv[1], NULL, 0);
	keep = strtoul(argv[2], NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);

	/* One slot more, so that the area begins where a slot does. */
	area = mmap(NULL, (tables + 1) * SLOT, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	area = (char *)(((unsigned long)area + SLOT - 1) & ~(SLOT - 1));
	madvise(area, tables * SLOT, MADV_NOHUGEPAGE);
	for (i = 0; i < tables; i++)
		area[i * SLOT] = 1;
	for (i = 0; i < tables; i++)
		if (!keep || i % keep)
			madvise(area + i * SLOT, SLOT / 2, MADV_DONTNEED);
	ready(argv[3], "");
	while (argc > 4) {
		sigwait(&set, &sig);
		for (i = 0; i < tables; i++)
			area[i * SLOT] = 1;
		ready(argv[3], ".more");
	}
	pause();
	return 0;
}
