/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring, as far as the ptfree tests use it: one request at a time, and its
 * result. Every call gives -errno where it fails.
 */
#ifndef PTFREE_TESTS_URING_H
#define PTFREE_TESTS_URING_H

#include <linux/io_uring.h>

#include "common.h"

#define URING_ENTRIES	8

struct uring {
	int fd;
	char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_params p;
};

static inline int uring_open(struct uring *r)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;

	memset(r, 0, sizeof(*r));
	r->fd = syscall(SYS_io_uring_setup, URING_ENTRIES, &r->p);
	if (r->fd < 0)
		return -errno;
	r->sq = mmap(NULL, r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t), prot, flags,
		     r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe),
		     prot, flags, r->fd, IORING_OFF_CQ_RING);
	r->sqe = mmap(NULL, r->p.sq_entries * sizeof(*r->sqe), prot, flags, r->fd,
		      IORING_OFF_SQES);
	if (r->sq == MAP_FAILED || r->cq == MAP_FAILED || r->sqe == MAP_FAILED)
		return -ENOMEM;
	return 0;
}

static inline int uring_register(struct uring *r, const struct iovec *iov, unsigned int count)
{
	return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, iov, count) ?
	       -errno : 0;
}

/* Hand in @sqe and wait for its end. */
static inline long uring_do(struct uring *r, const struct io_uring_sqe *sqe)
{
	uint32_t *sq_tail = (uint32_t *)(r->sq + r->p.sq_off.tail);
	uint32_t *cq_head = (uint32_t *)(r->cq + r->p.cq_off.head);
	uint32_t sq_mask = *(uint32_t *)(r->sq + r->p.sq_off.ring_mask);
	uint32_t cq_mask = *(uint32_t *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes);
	uint32_t at = *sq_tail & sq_mask;
	long res;

	r->sqe[at] = *sqe;
	((uint32_t *)(r->sq + r->p.sq_off.array))[at] = at;
	__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -errno;
	res = cqes[*cq_head & cq_mask].res;
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	return res;
}

#endif /* PTFREE_TESTS_URING_H */
