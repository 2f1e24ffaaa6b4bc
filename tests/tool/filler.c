// SPDX-License-Identifier: GPL-2.0-only
/*
 * filler TABLES KEEP READY [more]
 *
 * Touch one page in each of TABLES slots of 2 MiB, give all but every KEEPth of
 * them back (0: all of them, 1: none), create the file READY, and wait. With
 * "more": at SIGUSR1, touch all again and create READY.more.
 *
 * In the environment: RESERVE=N, that many slots more are mapped, and not touched;
 * HUGE=N, HUGETLB=N and FILE=PATH, with huge pages in N (16) slots: of anonymous
 * memory, of hugetlb, of a file on a tmpfs with huge pages.
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

static unsigned long from_env(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : 0;
}

static char *map(unsigned long slots, int flags, int fd)
{
	/* One slot more, so that the area begins where a slot does. */
	char *area = mmap(NULL, (slots + (fd < 0)) * SLOT, PROT_READ | PROT_WRITE,
			  flags | MAP_NORESERVE, fd, 0);

	if (area == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return (char *)(((unsigned long)area + SLOT - 1) & ~(SLOT - 1));
}

/* Each in one huge page, which is not checked here. */
static void touch(char *area, unsigned long slots)
{
	while (slots--)
		area[slots * SLOT] = 1;
}

static void huge_pages(void)
{
	unsigned long slots = from_env("HUGE");
	const char *path = getenv("FILE");
	char *area;

	if (slots) {
		area = map(slots, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		madvise(area, slots * SLOT, MADV_HUGEPAGE);
		touch(area, slots);
	}
	slots = from_env("HUGETLB");
	if (slots)
		touch(map(slots, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1), slots);
	if (path) {
		int fd = open(path, O_CREAT | O_RDWR, 0644);

		if (fd < 0 || ftruncate(fd, 16 * SLOT)) {
			perror(path);
			exit(1);
		}
		touch(map(16, MAP_SHARED, fd), 16);
	}
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
	huge_pages();
	area = map(tables + from_env("RESERVE"), MAP_PRIVATE | MAP_ANONYMOUS, -1);
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
