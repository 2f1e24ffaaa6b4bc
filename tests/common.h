/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all ptfree guest test programs share.
 *
 * A test measures and never assumes: page-table memory is VmPTE of
 * /proc/PID/status, what a table holds is /proc/PID/pagemap, what the engine
 * did is /proc/vmstat. The same programs run on three kinds of machine:
 *
 *	the patched kernel			empties must be freed
 *	the patched kernel with freept=off	nothing may be freed (--expect-off)
 *	a kernel without the patches		nothing is freed (--expect-stock)
 *
 * The last two show that a test is able to fail: an assertion that also holds
 * where nothing frees tables proves nothing.
 */
#ifndef PTFREE_TESTS_COMMON_H
#define PTFREE_TESTS_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A program may have a main() of its own. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "kselftest_harness.h"

/* The harness's setjmp() makes the compiler doubt variables of every test. */
#pragma GCC diagnostic ignored "-Wclobbered"

/* The debug kernel is 4 to 8 times slower: the watchdog is not the contract. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	240

#define KiB		1024UL
#define MiB		(1024UL * KiB)
#define GiB		(1024UL * MiB)
#define PAGE		4096UL
#define TABLE_SPAN	(2 * MiB)	/* what one PTE table maps */
#define PMD_SPAN	GiB		/* what one PMD table maps */
#define PUD_SPAN	(512 * GiB)
#define TABLE_KB	4L		/* what one table costs */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif

#define VM_FREEPT	"/proc/sys/vm/freept"
#define VM_DELAY	"/proc/sys/vm/freept_scan_delay_ms"
#define VM_SIZE		"/proc/sys/vm/freept_scan_size_mb"
#define SIZE_MAX_MB	16777216L
#define CG_ROOT		"/sys/fs/cgroup"

enum expectation {
	EXPECT_FREED,	/* the patched kernel, working */
	EXPECT_OFF,	/* the patched kernel, booted with freept=off */
	EXPECT_STOCK,	/* a kernel that knows nothing of it */
};

static enum expectation expectation;
static long scale = 1;		/* 4 on a debug kernel, see slow_kernel() */

/* Time */

static inline long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000L;
}

static inline void nap_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* CPU time of a process, in microseconds. */
static inline long cpu_us(pid_t pid)
{
	struct timespec ts;
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) || clock_gettime(id, &ts))
		return -1;
	return ts.tv_sec * 1000000L + ts.tv_nsec / 1000;
}

/*
 * Stay on one CPU: a page that has just been touched or freed waits in a batch
 * of the CPU, out of reach for whoever reclaims from another one.
 */
static inline void stay_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Small files. No stdio: its buffers would come and go in the mm under test. */

static inline long read_text(const char *path, char *buf, size_t len)
{
	size_t have = 0;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (have < len - 1) {
		n = read(fd, buf + have, len - 1 - have);
		if (n < 0) {
			n = -errno;
			close(fd);
			return n;
		}
		if (!n)
			break;
		have += n;
	}
	close(fd);
	buf[have] = 0;
	return have;
}

/* 0, or -errno of what went wrong. */
static inline int write_text(const char *path, const char *text)
{
	ssize_t n;
	int fd, err = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		err = -errno;
	else if ((size_t)n != strlen(text))
		err = -EIO;
	close(fd);
	return err;
}

static inline int write_long(const char *path, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", value);
	return write_text(path, text);
}

static inline long read_long(const char *path)
{
	char text[64];
	long n = read_text(path, text, sizeof(text));

	return n < 0 ? n : strtol(text, NULL, 10);
}

/*
 * The number behind @key at the start of a line of @path: status, vmstat and
 * memory.stat alike. -ENOENT where there is no such line.
 */
static inline long key_value(const char *path, const char *key)
{
	static char text[32768];
	size_t len = strlen(key);
	char *line;
	long n;

	n = read_text(path, text, sizeof(text));
	if (n < 0)
		return n;
	for (line = text; line && *line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (!strncmp(line, key, len) &&
		    (line[len] == ' ' || line[len] == '\t' || line[len] == ':'))
			return strtol(line + len + 1, NULL, 10);
	}
	return -ENOENT;
}

static inline long vmstat(const char *key)
{
	return key_value("/proc/vmstat", key);
}

static inline long status_kb(pid_t pid, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid ? pid : getpid());
	return key_value(path, key);
}

/* Page tables of a process in kB: PTE, PMD and PUD tables. 0 is ourselves. */
static inline long vmpte_kb(pid_t pid)
{
	return status_kb(pid, "VmPTE");
}

/* True as soon as @pid has no more than @kb of page tables, false after @ms. */
static inline bool wait_vmpte_below(pid_t pid, long kb, long ms)
{
	long end = now_ms() + ms;

	for (;;) {
		if (vmpte_kb(pid) <= kb)
			return true;
		if (now_ms() > end)
			return false;
		nap_ms(10);
	}
}

/* Address space */

/*
 * Room for @len bytes that starts on a PMD table's boundary, so that figures
 * are exact. Reserved with PROT_NONE; the caller maps over it with MAP_FIXED.
 */
static inline char *reserve(size_t len)
{
	size_t room = (len + PMD_SPAN - 1) / PMD_SPAN * PMD_SPAN + PMD_SPAN;
	char *raw, *at;

	raw = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	at = (char *)(((uintptr_t)raw + PMD_SPAN - 1) / PMD_SPAN * PMD_SPAN);
	munmap(raw, room);
	return at;
}

static inline char *map_at(char *at, size_t len, int prot, int flags, int fd, off_t off)
{
	char *p;

	if (!at)
		return NULL;
	p = mmap(at, len, prot, flags | MAP_FIXED_NOREPLACE, fd, off);
	return p == MAP_FAILED ? NULL : p;
}

static inline char *map_anon(size_t len)
{
	return map_at(reserve(len), len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Every page that is touched carries its own address and a generation. */
static inline uint64_t mark_of(const char *at, uint64_t gen)
{
	return ((uintptr_t)at * 0x9e3779b97f4a7c15ULL) ^ (gen + 1);
}

static inline void fill(char *at, size_t len, size_t step, uint64_t gen)
{
	size_t i;

	for (i = 0; i < len; i += step)
		*(volatile uint64_t *)(at + i) = mark_of(at + i, gen);
}

/* Number of marks that are not what fill() wrote. */
static inline long bad_marks(char *at, size_t len, size_t step, uint64_t gen)
{
	long bad = 0;
	size_t i;

	for (i = 0; i < len; i += step)
		bad += *(volatile uint64_t *)(at + i) != mark_of(at + i, gen);
	return bad;
}

static inline long not_zero(char *at, size_t len, size_t step)
{
	long bad = 0;
	size_t i;

	for (i = 0; i < len; i += step)
		bad += *(volatile uint64_t *)(at + i) != 0;
	return bad;
}

static inline int make_memfd(size_t size)
{
	int fd = syscall(SYS_memfd_create, "ptfree", 1 /* MFD_CLOEXEC */);

	if (fd >= 0 && ftruncate(fd, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Children: die with their parent, so that a failed test leaves nobody. */

static inline pid_t fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

static inline void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Read one byte, at most @ms from now. False when none came. */
static inline bool wait_byte(int fd, char *c, long ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &tv) == 1 && read(fd, c, 1) == 1;
}

/* State letter of /proc/PID/stat: R, S, D, T, Z ... */
static inline char task_state(pid_t pid)
{
	char path[64], text[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	p = strrchr(text, ')');
	return p && p[1] ? p[2] : 0;
}

static inline bool wait_state(pid_t pid, char state, long ms)
{
	long end = now_ms() + ms;

	while (task_state(pid) != state) {
		if (now_ms() > end)
			return false;
		nap_ms(2);
	}
	return true;
}

/* Control groups */

static inline void cg_path(char *path, size_t len, const char *name, const char *file)
{
	snprintf(path, len, CG_ROOT "/%s/%s", name, file);
}

static inline int cg_write(const char *name, const char *file, const char *text)
{
	char path[256];

	cg_path(path, sizeof(path), name, file);
	return write_text(path, text);
}

static inline long cg_stat(const char *name, const char *key)
{
	char path[256];

	cg_path(path, sizeof(path), name, "memory.stat");
	return key_value(path, key);
}

static inline int cg_make(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), CG_ROOT "/%s", name);
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	return 0;
}

/* A cgroup is busy until its dead have been buried: try for a while. */
static inline int cg_remove(const char *name)
{
	long end = now_ms() + 5000 * scale;
	char path[256];

	snprintf(path, sizeof(path), CG_ROOT "/%s", name);
	while (rmdir(path)) {
		if (errno != EBUSY || now_ms() > end)
			return -errno;
		nap_ms(10);
	}
	return 0;
}

static inline int cg_enter(const char *name, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", pid);
	return cg_write(name, "cgroup.procs", text);
}

static inline bool have_memcg(void)
{
	char text[512];

	if (read_text(CG_ROOT "/cgroup.controllers", text, sizeof(text)) <= 0)
		return false;
	if (!strstr(text, "memory"))
		return false;
	return !write_text(CG_ROOT "/cgroup.subtree_control", "+memory");
}

/* Transparent huge pages */

#define THP_ENABLED	"/sys/kernel/mm/transparent_hugepage/enabled"

static inline bool thp_set(const char *mode)
{
	return !write_text(THP_ENABLED, mode);
}

/* Programs run with THP off, so that a table a touch is what they get. */
static inline void thp_allow(bool on)
{
	prctl(PR_SET_THP_DISABLE, !on, 0, 0, 0);
}

/* Scanner */

static inline bool is_stock(void)
{
	return access(VM_FREEPT, F_OK) != 0;
}

static inline int scanner(long mode, long delay_ms, long size_mb)
{
	int err = 0;

	if (is_stock())
		return 0;
	err = err ?: write_long(VM_FREEPT, mode);
	err = err ?: write_long(VM_DELAY, delay_ms);
	err = err ?: write_long(VM_SIZE, size_mb);
	return err;
}

/* Lockdep's files show a debug kernel; KASAN itself shows none. */
static inline bool slow_kernel(void)
{
	return !access("/proc/lockdep", F_OK) || !access("/proc/lock_stat", F_OK);
}

#include "measure.h"

/*
 * main() of every program: what kernel is this, is it the one that the caller
 * expects, then the tests under the given setting, then the defaults again.
 */
static inline int bail(const char *fmt, ...)
{
	va_list args;

	printf("TAP version 13\nBail out! ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return KSFT_FAIL;
}

/* Takes our options out of argv; returns 0, or what main() shall return. */
static inline int common_setup(int *argc, char **argv, long mode, long delay, long size)
{
	int i, n = 1;

	for (i = 1; i < *argc; i++) {
		if (!strcmp(argv[i], "--expect-stock"))
			expectation = EXPECT_STOCK;
		else if (!strcmp(argv[i], "--expect-off"))
			expectation = EXPECT_OFF;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	*argc = n;

	if (is_stock() != (expectation == EXPECT_STOCK))
		return bail(is_stock() ?
			    "this kernel has no vm.freept: boot the patched one or say --expect-stock" :
			    "this kernel has vm.freept: boot a stock one or leave out --expect-stock");
	if (slow_kernel())
		scale = 4;
	/* A negative mode leaves the settings as they are. */
	i = mode < 0 ? 0 : scanner(mode, delay, size);
	if (i)
		return bail("cannot set vm.freept* to %ld, %ld ms, %ld MB: %s", mode, delay, size,
			    strerror(-i));
	thp_allow(false);
	return 0;
}

#define PTFREE_TEST_MAIN(mode, delay, size)					\
	int main(int argc, char **argv)						\
	{									\
		int err = common_setup(&argc, argv, mode, delay, size);		\
		if (err)							\
			return err;						\
		atexit(common_teardown);					\
		return test_harness_run(argc, argv);				\
	}

static inline void common_teardown(void)
{
	scanner(1, 1000, 16384);
}

#endif /* PTFREE_TESTS_COMMON_H */
