/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * userfaultfd, as far as the ptfree tests use it. Every call gives 0 or -errno.
 */
#ifndef PTFREE_TESTS_UFFD_H
#define PTFREE_TESTS_UFFD_H

#include <linux/userfaultfd.h>
#include <poll.h>

#include "common.h"

static inline int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static inline int uffd_register(int fd, void *at, size_t len, uint64_t mode)
{
	struct uffdio_register r = {
		.range = { (uintptr_t)at, len }, .mode = mode,
	};

	return ioctl(fd, UFFDIO_REGISTER, &r) ? -errno : 0;
}

/*
 * The kernel reports a part that it did, if any, and -EAGAIN when the mmap is
 * changing. For one page either it is done or it is not.
 */
static inline int uffd_copy(int fd, void *to, const void *from, uint64_t mode)
{
	struct uffdio_copy c = {
		.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = PAGE, .mode = mode,
	};

	return ioctl(fd, UFFDIO_COPY, &c) ? -errno : 0;
}

static inline int uffd_zero(int fd, void *to, uint64_t mode)
{
	struct uffdio_zeropage z = { .range = { (uintptr_t)to, PAGE }, .mode = mode };

	return ioctl(fd, UFFDIO_ZEROPAGE, &z) ? -errno : 0;
}

static inline int uffd_move(int fd, void *to, void *from, uint64_t mode)
{
	struct uffdio_move m = {
		.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = PAGE, .mode = mode,
	};

	return ioctl(fd, UFFDIO_MOVE, &m) ? -errno : 0;
}

static inline int uffd_protect(int fd, void *at, size_t len, bool on)
{
	struct uffdio_writeprotect w = {
		.range = { (uintptr_t)at, len },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &w) ? -errno : 0;
}

static inline int uffd_poison(int fd, void *at, size_t len)
{
	struct uffdio_poison p = { .range = { (uintptr_t)at, len } };

	return ioctl(fd, UFFDIO_POISON, &p) ? -errno : 0;
}

static inline int uffd_wake(int fd, void *at, size_t len)
{
	struct uffdio_range r = { (uintptr_t)at, len };

	return ioctl(fd, UFFDIO_WAKE, &r) ? -errno : 0;
}

/* The next page fault that is waiting, at most @ms from now. */
static inline bool uffd_fault(int fd, struct uffd_msg *msg, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && read(fd, msg, sizeof(*msg)) == sizeof(*msg) &&
	       msg->event == UFFD_EVENT_PAGEFAULT;
}

#endif /* PTFREE_TESTS_UFFD_H */
