// SPDX-License-Identifier: GPL-2.0-only
/*
 * mixer FILE READY
 *
 * Tables in mappings of all kinds, a third of them empty in each: of FILE, shared
 * and private; of a memfd; of anonymous memory, in swap and as the zero page; in
 * slots of 2 MiB that belong to two mappings, or to one and a gap; and in memory
 * that is registered with userfaultfd, where the kernel frees none. Then create
 * READY and wait.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOT	(2UL << 20)
#define PAGE	4096UL
#define SLOTS	96UL

static void need(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static char *map(int flags, int fd)
{
	char *area = mmap(NULL, (SLOTS + 1) * SLOT, PROT_READ | PROT_WRITE,
			  flags | MAP_NORESERVE, fd, 0);

	need(area != MAP_FAILED, "mmap");
	area = (char *)(((unsigned long)area + SLOT - 1) & ~(SLOT - 1));
	madvise(area, SLOTS * SLOT, MADV_NOHUGEPAGE);
	return area;
}

static void touch(char *area)
{
	unsigned long i;

	for (i = 0; i < SLOTS; i++)
		area[i * SLOT] = 1;
}

/* Page by page: whole tables at once are freed by some kernels. */
static void empty(char *area)
{
	unsigned long i;

	for (i = 0; i < SLOTS; i += 3)
		need(!madvise(area + i * SLOT, PAGE, MADV_DONTNEED), "MADV_DONTNEED");
}

static void files(const char *name)
{
	int fd = open(name, O_CREAT | O_RDWR, 0644), mem = memfd_create("mixer", 0);
	unsigned long i;
	char *area;

	need(fd >= 0 && mem >= 0, name);
	need(!ftruncate(fd, (SLOTS + 1) * SLOT) && !ftruncate(mem, (SLOTS + 1) * SLOT), name);
	area = map(MAP_SHARED, fd);
	touch(area);
	empty(area);
	area = map(MAP_PRIVATE, fd);
	touch(area);
	empty(area);
	area = map(MAP_SHARED, mem);
	touch(area);
	/* area may begin anywhere in the memfd's first slot */
	for (i = 0; i < SLOTS; i += 3)
		need(!madvise(area + i * SLOT, PAGE, MADV_REMOVE), "MADV_REMOVE");
}

static void anonymous(void)
{
	char *area = map(MAP_PRIVATE | MAP_ANONYMOUS, -1), *zero;
	volatile char sink;
	unsigned long i;

	touch(area);
	need(!madvise(area, SLOTS * SLOT, MADV_PAGEOUT), "MADV_PAGEOUT");
	empty(area);
	zero = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (i = 0; i < SLOTS; i++)
		sink = zero[i * SLOT];
	(void)sink;
	empty(zero);
}

static void parts(void)
{
	char *area = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	unsigned long i;

	touch(area);
	for (i = 0; i < SLOTS; i++)
		if (i % 2)
			need(!munmap(area + i * SLOT + SLOT / 4, SLOT / 2), "munmap");
		else
			need(!mprotect(area + i * SLOT + SLOT / 2, SLOT / 2, PROT_NONE),
			     "mprotect");
	empty(area);
}

static void registered(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *area = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct uffdio_register reg = {
		.range = { (unsigned long)area, SLOTS * SLOT },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	need(fd >= 0 && !ioctl(fd, UFFDIO_API, &api), "userfaultfd");
	touch(area);
	empty(area);
	need(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: mixer FILE READY\n");
		return 2;
	}
	files(argv[1]);
	anonymous();
	parts();
	registered();
	need(open(argv[2], O_CREAT | O_WRONLY, 0644) >= 0, argv[2]);
	pause();
	return 0;
}
