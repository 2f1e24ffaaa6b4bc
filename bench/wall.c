// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several processors: locks, and interrupts between them: guest part.
 *
 * Two threads of one process work for some slots of time; a figure is what they have
 * done in a second, pages, the median of the slots. The host compares machines that ran in
 * turns. Arguments: NAME=MODE, MODE being what vm.freept is, or "request": mode 0, and
 * a third thread that frees what is empty all the time.
 *
 * "fault": each thread touches 32 tables of its own and gives them back, in one call.
 * "shared": both in the same tables, one page each, a call for each, so that they meet
 * in the locks. Counted are pages.
 * "ipis": TLB flushes that another processor was asked for, for a thousand pages.
 * "ipis/munmap", "ipis/request": the same, for each GiB of address space whose empty
 * tables are freed, by munmap and by a request, while a thread runs there.
 */
#include "bench.h"

#define THREADS	2
#define TABLES	32
#define SLOTS	5
#define SLOT_MS	1000
#define IPI_GIB	16

#ifndef MADV_PT_RECLAIM
#define MADV_PT_RECLAIM	1062
#endif

static atomic_long done[THREADS];
static atomic_bool stop;
static char *area;
static bool shared;

static void *work(void *arg)
{
	long me = (long)arg, i;
	char *at = area + (shared ? me * PIECE : me * TABLES * TABLE_SPAN);

	stay_on_cpu(me);
	while (!stop) {
		for (i = 0; i < TABLES; i++)
			*(volatile char *)(at + i * TABLE_SPAN) = 1;
		if (!shared)
			discard(at, TABLES * TABLE_SPAN);
		for (i = 0; shared && i < TABLES && !stop; i++)
			discard(at + i * TABLE_SPAN, PAGE);
		done[me] += TABLES;
	}
	return NULL;
}

static void *requests(void *unused)
{
	while (!stop) {
		if (madvise(area, THREADS * TABLES * TABLE_SPAN, MADV_PT_RECLAIM) &&
		    errno != EAGAIN)
			die("MADV_PT_RECLAIM");
		nap_ms(1);
	}
	return NULL;
}

/* The line TLB of /proc/interrupts, all processors together */
static long tlb_ipis(void)
{
	char line[512], *p, *end;
	long sum = -1, n;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f && fgets(line, sizeof(line), f)) {
		p = strstr(line, "TLB:");
		if (!p)
			continue;
		for (sum = 0, p += 4;; sum += n, p = end) {
			n = strtol(p, &end, 10);
			if (end == p)
				break;
		}
	}
	if (f)
		fclose(f);
	return sum;
}

static void measure(const char *name, const char *kind, bool request)
{
	pthread_t thread[THREADS], third;
	double rate[SLOTS + 1];
	long i, ipis, pages = 0;

	shared = !strcmp(kind, "shared");
	stop = false;
	area = map_anon(THREADS * TABLES * TABLE_SPAN);
	ipis = tlb_ipis();
	for (i = 0; i < THREADS; i++) {
		done[i] = 0;
		if (pthread_create(&thread[i], NULL, work, (void *)i))
			die("pthread_create");
	}
	if (request && pthread_create(&third, NULL, requests, NULL))
		die("pthread_create");
	for (i = 0; i <= SLOTS; i++) {
		long t0 = now_ms(), before = done[0] + done[1];

		nap_ms(SLOT_MS);
		rate[i] = (done[0] + done[1] - before) * 1000.0 / (now_ms() - t0);
	}
	stop = true;
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		pages += done[i];
	}
	if (request)
		pthread_join(third, NULL);
	ipis = tlb_ipis() - ipis;
	munmap(area, THREADS * TABLES * TABLE_SPAN);
	/* the first is to warm up; the others in order */
	for (i = 2; i <= SLOTS; i++)
		for (long j = i; j > 1 && rate[j] < rate[j - 1]; j--) {
			double r = rate[j];

			rate[j] = rate[j - 1];
			rate[j - 1] = r;
		}
	figure(rate[1 + SLOTS / 2], "%s/%s", name, kind);
	figure(ipis * 1000.0 / pages, "%s/%s-ipis", name, kind);
}

static void *run_only(void *unused)
{
	stay_on_cpu(1);
	while (!stop)
		;
	return NULL;
}

static void measure_ipis(const char *name, bool request)
{
	size_t len = IPI_GIB * PMD_SPAN;
	pthread_t thread;
	long ipis, kb;

	stop = false;
	kb = vmpte_kb(0);
	area = map_anon(len);
	touch_zero(area, len, TABLE_SPAN);
	discard(area, len);
	if (pthread_create(&thread, NULL, run_only, NULL))
		die("pthread_create");
	nap_ms(100);	/* it is on its processor */
	ipis = tlb_ipis();
	if (request ? madvise(area, len, MADV_PT_RECLAIM) : munmap(area, len))
		die(name);
	ipis = tlb_ipis() - ipis;
	stop = true;
	pthread_join(thread, NULL);
	if (vmpte_kb(0) - kb > (long)(len / TABLE_SPAN) * TABLE_KB / 100) {
		errno = EAGAIN;
		die("the tables are still there");
	}
	figure((double)ipis / IPI_GIB, "ipis/%s", name);
	if (request)
		munmap(area, len);
}

int main(int argc, char **argv)
{
	bench_start(argv);
	measure_ipis("munmap", false);
	if (is_stock())
		puts("cannot ipis/request");
	else
		measure_ipis("request", true);
	for (int i = 1; i < argc; i++) {
		char *mode = strchr(argv[i], '=');

		*mode++ = '\0';
		if (is_stock() && strcmp(mode, "0")) {
			printf("cannot %s\n", argv[i]);
			continue;
		}
		if (!is_stock() && write_long(VM_FREEPT, atoi(mode)))
			die(VM_FREEPT);
		measure(argv[i], "fault", !strcmp(mode, "request"));
		measure(argv[i], "shared", !strcmp(mode, "request"));
	}
	return bench_end();
}
