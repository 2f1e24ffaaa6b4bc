// SPDX-License-Identifier: GPL-2.0-only
/*
 * alloc GIGABYTES THREADS - what a busy server does to its allocator: fill
 * the heap, then free all of it and stay alive.
 *
 * It only calls malloc() and free(); the scene preloads the allocator. The
 * threads stay until the end: an allocator may treat the heap of a thread
 * that exits differently, and threads of servers do not exit. They fill at the
 * same time and free one after the other: to flush each other's TLB takes
 * emulated processors ten times as long as all the rest of the freeing.
 */
#include <pthread.h>
#include <stddef.h>

#include "step.h"

#define BLOCK	(128UL << 10)
#define PAGE	4096UL

static pthread_barrier_t barrier;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static size_t blocks;

static void *worker(void *arg)
{
	char **block = malloc(blocks * sizeof(*block));
	size_t i, off;

	(void)arg;
	if (!block)
		die("malloc");
	pthread_barrier_wait(&barrier);		/* fill */
	for (i = 0; i < blocks; i++) {
		block[i] = malloc(BLOCK);
		if (!block[i])
			die("malloc");
		for (off = 0; off < BLOCK; off += PAGE)
			((volatile char *)block[i])[off] = 1;
	}
	pthread_barrier_wait(&barrier);		/* filled */
	pthread_barrier_wait(&barrier);		/* empty */
	pthread_mutex_lock(&turn);
	for (i = 0; i < blocks; i++)
		free(block[i]);
	pthread_mutex_unlock(&turn);
	pthread_barrier_wait(&barrier);		/* emptied */
	pthread_barrier_wait(&barrier);		/* end */
	free(block);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t gigabytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	size_t threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	pthread_t thread;
	size_t i;

	if (!gigabytes || !threads) {
		fprintf(stderr, "usage: alloc GIGABYTES THREADS\n");
		return 1;
	}
	blocks = (gigabytes << 30) / BLOCK / threads;
	if (pthread_barrier_init(&barrier, NULL, threads + 1))
		die("pthread_barrier_init");
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, worker, NULL))
			die("pthread_create");

	step("ready");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	step("full");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	step("empty");
	_exit(0);
}
