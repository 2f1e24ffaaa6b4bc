// SPDX-License-Identifier: GPL-2.0-only
/*
 * To be preloaded into ptfree: what it asks the kernel about processes, in a line
 * on standard error at the end:
 *
 *	asked CALLS entries BYTES tables BYTES smaps PID PID ...
 *
 * that is how often PAGEMAP_SCAN was called, the most address space in one call that
 * looks at tables and in one that ends at the first table, and whose smaps were
 * opened.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long calls, entries, tables;
static char pids[4096];

int ioctl(int fd, unsigned long request, ...)
{
	/* struct pm_scan_arg: [7] is max_pages, [10] what entries are asked for */
	const unsigned long long *arg;
	int (*real)(int, unsigned long, ...);
	va_list args;

	*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (_IOC_TYPE(request) == 'f' && _IOC_NR(request) == 16) {
		unsigned long long range = arg[3] - arg[2];
		unsigned long long *most = arg[10] || !arg[7] ? &entries : &tables;

		calls++;
		if (range > *most)
			*most = range;
	}
	return real(fd, request, arg);
}

int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...);
	mode_t mode = 0;
	va_list args;
	int pid;

	*(void **)&real = dlsym(RTLD_NEXT, "open");
	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if (sscanf(path, "/proc/%d/", &pid) == 1 && strstr(path, "/smaps"))
		snprintf(pids + strlen(pids), sizeof(pids) - strlen(pids), " %d", pid);
	return real(path, flags, mode);
}

__attribute__((destructor)) static void tell(void)
{
	fprintf(stderr, "asked %llu entries %llu tables %llu smaps%s \n", calls, entries, tables,
		pids);
}
