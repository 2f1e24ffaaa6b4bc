/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The operations of torture.c that come from elsewhere: from another process, from
 * a control group, from the kernel's own threads; and those by which ptfree is
 * asked, switched and hindered.
 */
#ifndef PTFREE_TESTS_TORTURE_SYS_H
#define PTFREE_TESTS_TORTURE_SYS_H

#include <sys/ptrace.h>

#include <linux/fs.h>

#include "cg.h"
#include "torture_ops.h"

#define DISK		"/dev/ram0"
#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define GUP_TEST	"/sys/kernel/debug/gup_test"
#define NODE1		"/sys/devices/system/node/node1"
/* Groups of the torture: a, b with a soft budget, and two in which one is killed */
#define GROUP		"torture"

static int gup_fd = -1;

static bool can_freept(void)
{
	return expectation == EXPECT_FREED;
}

static bool can_groups(void)
{
	return expectation == EXPECT_FREED && cg_has(GROUP "/b", PT_HIGH);
}

/* ptfree is asked, by any number at once and while the scanner is there as well. */
static enum outcome op_pt_reclaim(struct worker *w)
{
	long n = dice(w, 4) ? 64 : 256, i = dice(w, anon->cells / n) * n;
	int err;

	/* Whose cells these are is all the same: nothing that lives may go. */
	TRIED_ERR(err, give_advice(cell_at(anon, i), n * anon->cell, ADV_PT_RECLAIM));
	/* -ENOMEM: cells that are not there at the moment */
	if (err && err != -EAGAIN && err != -ENOMEM) {
		fail(w, "MADV_PT_RECLAIM: %s", strerror(-err));
		return WRONG;
	}
	return DONE;
}

/* From another process, whose business it is not */
static enum outcome op_process_madvise(struct worker *w)
{
	static const int advice[] = { ADV_PT_RECLAIM, ADV_PT_RECLAIM, MADV_PAGEOUT, MADV_COLD };
	int what = advice[dice(w, ARRAY_SIZE(advice))];
	long n = 32, i = dice(w, anon->cells / n) * n, ret;

	TRIED_ERR(ret, advise_process(shared->pid, cell_at(anon, i), n * anon->cell, what));
	if (ret < 0 && ret != -EAGAIN && ret != -ENOMEM) {
		fail(w, "process_madvise(%d): %s", what, strerror(-ret));
		return WRONG;
	}
	return DONE;
}

static enum outcome op_process_collapse(struct worker *w)
{
	long i = dice(w, huge->cells), ret;

	TRIED_ERR(ret, advise_process(shared->pid, cell_at(huge, i), huge->cell, MADV_COLLAPSE));
	if (ret < 0 && ret != -EAGAIN && ret != -EBUSY && ret != -ENOMEM && ret != -EINVAL) {
		fail(w, "process_madvise(MADV_COLLAPSE): %s", strerror(-ret));
		return WRONG;
	}
	return DONE;
}

static enum outcome op_prctl(struct worker *w)
{
	int choice = dice(w, 3), err = choose(choice), is = chosen();

	if (err || is < 0 || is > 2) {
		fail(w, "PR_SET_FREEPT %d: %s, then %d", choice, strerror(-err), is);
		return WRONG;
	}
	nap_ms(dice(w, 3));
	err = choose(CHOICE_ENABLE);
	MUST(err, "PR_SET_FREEPT 1");
	return DONE;
}

/* Mappings are cut to pieces by it, and put together again. */
static enum outcome op_hints(struct worker *w)
{
	PICK(anon, i);

	MUST(madvise(cell_at(anon, i), anon->cell, dice(w, 2) ? ADV_FREEPT : ADV_NOFREEPT),
	     "MADV_FREEPT");
	MUST(madvise(slot_at(anon, i, 4), anon->cell / 2, dice(w, 2) ? ADV_FREEPT : ADV_NOFREEPT),
	     "MADV_FREEPT of a half");
	CHECKED(check(w, anon, i));
	MUST(madvise(cell_at(anon, i), anon->cell, ADV_FREEPT), "MADV_FREEPT");
	return done(w, anon, i);
}

static enum outcome op_sysctl(struct worker *w)
{
	int err;

	if (!alone(ALONE_SETTINGS))
		return NOT_NOW;
	switch (dice(w, 3)) {
	case 0:
		TRIED_ERR(err, write_long(VM_FREEPT, dice(w, 2)));
		break;
	case 1:
		TRIED_ERR(err, write_long(VM_DELAY, 10 + dice(w, 90)));
		break;
	default:
		TRIED_ERR(err, write_long(VM_SIZE, 2 + dice(w, 1000)));
	}
	nap_ms(1 + dice(w, 4));
	if (!err)
		TRIED_ERR(err, scanner(2, 10, SIZE_MAX_MB));
	together(ALONE_SETTINGS);
	if (err) {
		fail(w, "sysctl vm.freept*: %s", strerror(-err));
		return WRONG;
	}
	return DONE;
}

/* Control groups */

static const char *some_group(struct worker *w)
{
	return dice(w, 2) ? GROUP "/a" : GROUP "/b";
}

/* We move: what is allocated from now on is charged there. */
static enum outcome op_migrate_cgroup(struct worker *w)
{
	int err;

	if (TRIED_ERR(err, cg_enter(some_group(w), 0))) {
		fail(w, "cgroup.procs: %s", strerror(-err));
		return WRONG;
	}
	return DONE;
}

static enum outcome op_group_reclaim(struct worker *w)
{
	int err;

	TRIED_ERR(err, pt_reclaim(dice(w, 2) ? GROUP : some_group(w), dice(w, 2) ? "max" : "64K"));
	if (err && err != -EAGAIN && err != -EINTR) {
		fail(w, "memory.pt_reclaim: %s", strerror(-err));
		return WRONG;
	}
	return DONE;
}

static enum outcome op_memory_reclaim(struct worker *w)
{
	int err = cg_write(some_group(w), "memory.reclaim", dice(w, 2) ? "64K" : "256K");

	if (err && !(faults && err == -ENOMEM) && err != -EAGAIN && err != -EINTR) {
		fail(w, "memory.reclaim: %s", strerror(-err));
		return WRONG;
	}
	return DONE;
}

/* A child uses more than its group may have, and is killed for it. */
static enum outcome oom(struct worker *w, const char *group, size_t len, size_t step)
{
	int status = -1;
	pid_t pid;

	MUST((pid = fork()) < 0, "fork");
	if (!pid) {
		char *at;
		int err;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (TRIED_ERR(err, cg_enter(group, 0)))
			_exit(1);
		if (TRIED(!(at = map_anon(len))))
			_exit(2);
		fill(at, len, step, 1);
		/* What it is killed for may be noticed on the way out. */
		nap_ms(2000 * scale);
		_exit(3);
	}
	MUST(waitpid(pid, &status, 0) != pid, "waitpid");
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		fail(w, "a child in %s was not killed: status %#x", group, status);
		return WRONG;
	}
	return DONE;
}

static enum outcome op_oom(struct worker *w)
{
	return oom(w, GROUP "/oom", 8 * MiB, PAGE);
}

static enum outcome op_pt_oom(struct worker *w)
{
	return oom(w, GROUP "/ptoom", 256 * TABLE_SPAN, TABLE_SPAN);
}

/* Those who look from outside: at pages of the main process, which holds still. */
static bool outside_ok(struct worker *w, long i, const char *how, int k, uint64_t value)
{
	return value_ok(anon, i, k, value) ||
	       fail(w, "%s of anon cell %ld page %d: %#lx", how, i, k, value);
}

static long pick_outside(struct worker *w)
{
	long i = pick(w, anon, 1);

	if (i >= 0 && anon->cell_of[i].absent) {
		cell_unlock(anon, i);
		return -1;
	}
	return i;
}

static enum outcome op_proc_mem(struct worker *w)
{
	long i = pick_outside(w);
	int k = dice(w, SLOTS), fd;
	uint64_t value = 0;
	char path[64];
	off_t at;

	if (i < 0)
		return NOT_NOW;
	at = (off_t)slot_at(anon, i, k);
	snprintf(path, sizeof(path), "/proc/%d/mem", shared->pid);
	MUST((fd = open(path, O_RDWR | O_CLOEXEC)) < 0, "open /proc/PID/mem");
	MUST(pread(fd, &value, sizeof(value), at) != sizeof(value), "read /proc/PID/mem");
	CHECKED(outside_ok(w, i, "/proc/PID/mem", k, value));
	anon->cell_of[i].gen[k] = ++w->gen;
	anon->cell_of[i].maybe &= ~(1 << k);
	value = mark_for(anon, i, k, w->gen);
	MUST(pwrite(fd, &value, sizeof(value), at) != sizeof(value), "write /proc/PID/mem");
	close(fd);
	cell_unlock(anon, i);
	return DONE;
}

/* The first thread of the main process only watches: it can be stopped. */
static enum outcome op_ptrace(struct worker *w)
{
	long i, value;
	int k, status;

	if (!alone(ALONE_TRACE))
		return NOT_NOW;
	MUST(ptrace(PTRACE_SEIZE, shared->pid, 0, 0), "PTRACE_SEIZE");
	MUST(ptrace(PTRACE_INTERRUPT, shared->pid, 0, 0), "PTRACE_INTERRUPT");
	MUST(waitpid(shared->pid, &status, __WALL) != shared->pid, "waitpid of a tracee");
	i = pick_outside(w);
	for (k = 0; i >= 0 && k < SLOTS; k++) {
		MUST((value = ptrace(PTRACE_PEEKDATA, shared->pid, slot_at(anon, i, k), 0)) == -1 &&
		     errno, "PTRACE_PEEKDATA");
		CHECKED(outside_ok(w, i, "PTRACE_PEEKDATA", k, value));
	}
	if (i >= 0)
		cell_unlock(anon, i);
	MUST(ptrace(PTRACE_DETACH, shared->pid, 0, 0), "PTRACE_DETACH");
	together(ALONE_TRACE);
	return i < 0 ? NOT_NOW : DONE;
}

static enum outcome op_pagemap_scan(struct worker *w)
{
	PICK(anon, i);
	struct cell *c = &anon->cell_of[i];
	struct page_region found[512 * KiB / PAGE];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)cell_at(anon, i),
		.end = (uintptr_t)cell_at(anon, i) + anon->cell,
		.vec = (uintptr_t)found, .vec_len = ARRAY_SIZE(found),
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	int fd, n, k, j;

	MUST((fd = pagemap_open(0)) < 0, "open pagemap");
	MUST((n = ioctl(fd, PAGEMAP_SCAN, &arg)) < 0, "PAGEMAP_SCAN");
	close(fd);
	for (k = 0; k < SLOTS; k++) {
		uintptr_t at = (uintptr_t)slot_at(anon, i, k);

		if (!c->gen[k] || (c->maybe & (1 << k)))
			continue;
		for (j = 0; j < n && !(found[j].start <= at && at < found[j].end); j++)
			;
		if (j == n) {
			fail(w, "PAGEMAP_SCAN misses anon cell %ld page %d", i, k);
			return WRONG;
		}
	}
	return done(w, anon, i);
}

/* Pinning */

static bool can_uring(void)
{
	struct uring r;
	bool can = !uring_open(&r);

	if (r.fd >= 0)
		close(r.fd);
	return can;
}

/* What io_uring has registered stays with it, whatever becomes of the mapping. */
static enum outcome op_uring(struct worker *w)
{
	PICK(anon, i);
	int k = dice(w, SLOTS), err;
	char *at = slot_at(anon, i, k);
	struct iovec iov = { at, PAGE };
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_WRITE_FIXED, .fd = w->file, .addr = (uintptr_t)at,
		.len = PAGE,
	};
	uint64_t want;

	put(w, anon, i, k);
	want = mark_for(anon, i, k, anon->cell_of[i].gen[k]);
	MUST((err = uring_register(&w->ring, &iov, 1)) && (errno = -err), "io_uring_register");
	if (dice(w, 2)) {
		MUST(madvise(cell_at(anon, i), anon->cell, MADV_DONTNEED), "MADV_DONTNEED");
		forget(anon, i);
	}
	MUST((err = uring_do(&w->ring, &sqe)) != PAGE && (errno = err < 0 && err != -EAGAIN ? -err : EIO),
	     "IORING_OP_WRITE_FIXED");
	MUST(syscall(SYS_io_uring_register, w->ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0),
	     "IORING_UNREGISTER_BUFFERS");
	MUST(pread(w->file, w->page, PAGE, 0) != PAGE, "read what io_uring wrote");
	if (*(uint64_t *)w->page != want) {
		fail(w, "a registered page changed: %#lx, must be %#lx",
		     *(uint64_t *)w->page, want);
		return WRONG;
	}
	return done(w, anon, i);
}

/* As in mm/gup_test.h, which is not installed */
struct gup_test {
	uint64_t get_us, put_us, addr, size;
	uint32_t pages_per_call, gup_flags, test_flags, which[8];
};

static bool can_gup(void)
{
	gup_fd = open(GUP_TEST, O_RDWR | O_CLOEXEC);
	return gup_fd >= 0;
}

/*
 * get_user_pages_fast(), pin_user_pages_fast(), and pinned for long.  Pins are for
 * writing: the zero page cannot be pinned, and gup_test warns of that.
 */
static enum outcome op_gup(struct worker *w)
{
	PICK(anon, i);
	long command = 1 + dice(w, 3);
	struct gup_test g = {
		.addr = (uintptr_t)cell_at(anon, i), .size = anon->cell,
		.pages_per_call = 16,
		.gup_flags = command > 1 || dice(w, 2),		/* FOLL_WRITE */
	};

	MUST(ioctl(gup_fd, _IOWR('g', command, struct gup_test), &g), "gup_test");
	return done(w, anon, i);
}

/* Memory management in its own right */

static bool swap_on(void)
{
	static uint32_t header[PAGE / 4];
	int fd = open(DISK, O_RDWR | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	/* As mkswap writes it: version, last page, and the magic at the end. */
	header[256] = 1;
	header[257] = 1023;
	memcpy((char *)header + PAGE - 10, "SWAPSPACE2", 10);
	ok = write(fd, header, PAGE) == PAGE && !fsync(fd);
	close(fd);
	return ok && !swapon(DISK, 0);
}

static enum outcome op_swapoff(struct worker *w)
{
	bool off;

	if (!alone(ALONE_SWAP))
		return NOT_NOW;
	off = !swapoff(DISK);
	/* No memory for what is there, or a signal: so it stays. */
	if (!off && errno != ENOMEM && errno != EINTR)
		MUST(true, "swapoff");
	MUST(off && swapon(DISK, 0), "swapon");
	nap_ms(10);
	together(ALONE_SWAP);
	return off ? DONE : NOT_NOW;
}

/*
 * Age the pages of a group, that is walk the page tables of its processes: one of
 * those in LRU_GEN, by its youngest generation.
 */
static enum outcome op_age(struct worker *w)
{
	unsigned long memcg = 0, node = 0, seq, found[64][3];
	char text[8192], *line, *rest = text, command[80];
	long n = 0, last = -1, err;

	if (read_text(LRU_GEN, text, sizeof(text)) <= 0)
		return NOT_NOW;
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, "memcg %lu", &memcg) == 1 || sscanf(line, " node %lu", &node) == 1) {
			last = -1;
			continue;
		}
		if (sscanf(line, " %lu", &seq) != 1)
			continue;
		if (last < 0 && n < (long)ARRAY_SIZE(found))
			last = n++;
		if (last >= 0)
			memcpy(found[last], (unsigned long[]){ memcg, node, seq }, sizeof(found[0]));
	}
	if (!n)
		return NOT_NOW;
	n = dice(w, n);
	snprintf(command, sizeof(command), "+ %lu %lu %lu 1 1", found[n][0], found[n][1],
		 found[n][2]);
	err = write_text(LRU_GEN, command);
	/* It has been aged, or is gone, since we looked. */
	if (err == -EINVAL || err == -ERANGE || err == -EINTR || (faults && err == -ENOMEM))
		return NOT_NOW;
	if (err) {
		fail(w, "lru_gen '%s': %s", command, strerror(-err));
		return WRONG;
	}
	return DONE;
}

static enum outcome op_compact(struct worker *w)
{
	int err;

	if (TRIED_ERR(err, write_text("/proc/sys/vm/compact_memory", "1"))) {
		fail(w, "vm.compact_memory: %s", strerror(-err));
		return WRONG;
	}
	return DONE;
}

/* From one memory node to the other */

static bool can_nodes(void)
{
	return !access(NODE1, F_OK);
}

static enum outcome op_move_pages(struct worker *w)
{
	PICK(anon, i);
	int node[SLOTS], status[SLOTS], k;
	void *at[SLOTS];

	for (k = 0; k < SLOTS; k++) {
		at[k] = slot_at(anon, i, k);
		node[k] = dice(w, 2);
	}
	/* A page may be busy, or not there: that is in status. */
	MUST(syscall(SYS_move_pages, 0, (unsigned long)SLOTS, at, node, status, 2) < 0,
	     "move_pages");
	return done(w, anon, i);
}

static enum outcome op_migrate_pages(struct worker *w)
{
	unsigned long from = 1 + dice(w, 2), to = 3 - from;

	MUST(syscall(SYS_migrate_pages, shared->pid, 3UL, &from, &to) < 0, "migrate_pages");
	return DONE;
}

#endif /* PTFREE_TESTS_TORTURE_SYS_H */
