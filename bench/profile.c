// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the instructions go: guest part.
 *
 * The kernel's clock event of perf (cpu-clock) interrupts some work every PERIOD
 * nanoseconds, which are instructions here, and notes which function of the kernel it
 * has met. A figure is the share of a function, in per cent of all that was met;
 * what runs with interrupts off is met where they are let in again.
 *
 * Arguments: free (a request for 511 empty tables, and RCU after it), fault (page
 * faults that make a table), munmap (of empty tables), fork (with 128 empty tables).
 */
#include "bench.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef MADV_PT_RECLAIM
#define MADV_PT_RECLAIM	1062
#endif

#define GROUP	"bench-profile"
#define PERIOD	20000
#define PAGES	512	/* of the ring: 2^n */
#define ROUNDS	150
#define SHOWN	12
#define TABLES	511
#define EMPTIES	128

static struct symbol {
	uint64_t at;
	long hits;
	char name[56];
} *symbols;
static long nr_symbols;

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static int by_hits(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->hits < y->hits ? 1 : x->hits > y->hits ? -1 : strcmp(x->name, y->name);
}

static void read_symbols(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	struct symbol s = { 0 };
	long room = 0;
	char type;

	if (!f)
		die("/proc/kallsyms");
	while (fscanf(f, "%lx %c %55s%*[^\n]", &s.at, &type, s.name) == 3) {
		if (!strchr("tTwW", type))
			continue;
		if (nr_symbols == room) {
			room = room * 2 + 4096;
			symbols = realloc(symbols, room * sizeof(s));
			if (!symbols)
				die("memory");
		}
		symbols[nr_symbols++] = s;
	}
	fclose(f);
	qsort(symbols, nr_symbols, sizeof(s), by_address);
	if (!nr_symbols || !symbols[nr_symbols - 1].at) {
		errno = EPERM;
		die("addresses of the kernel");
	}
}

static void hit(uint64_t ip)
{
	long low = 0, high = nr_symbols;

	while (high - low > 1) {
		long mid = (low + high) / 2;

		if (symbols[mid].at <= ip)
			low = mid;
		else
			high = mid;
	}
	symbols[low].hits++;
}

static int event = -1;
static struct perf_event_mmap_page *ring;

static void open_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD,
		.sample_type = PERF_SAMPLE_IP,
		.disabled = 1,
		.exclude_user = 1,
		.exclude_idle = 1,
	};

	/* all that runs on the one CPU there is */
	event = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		die("perf_event_open");
	ring = mmap(NULL, (PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
	if (ring == MAP_FAILED)
		die("the ring of perf");
}

static void watch(bool on)
{
	if (ioctl(event, on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0))
		die("perf");
}

static void show(const char *work)
{
	char *data = (char *)ring + PAGE;
	uint64_t at = ring->data_tail, head = ring->data_head;
	long all = 0, i;

	__sync_synchronize();
	while (at < head) {
		struct perf_event_header *h = (void *)(data + at % (PAGES * PAGE));

		if (h->type == PERF_RECORD_LOST) {
			errno = ENOBUFS;
			die("the ring of perf");
		}
		if (h->type == PERF_RECORD_SAMPLE) {
			hit(*(uint64_t *)(data + (at + sizeof(*h)) % (PAGES * PAGE)));
			all++;
		}
		at += h->size;
	}
	if (all < 200) {
		errno = ENODATA;
		die(work);
	}
	qsort(symbols, nr_symbols, sizeof(*symbols), by_hits);
	figure(all, "profile/%s", work);
	for (i = 0; i < SHOWN && symbols[i].hits; i++)
		figure(symbols[i].hits * 100.0 / all, "profile/%s/%s", work, symbols[i].name);
}

static void empties(size_t len)
{
	touch_zero(place, len, TABLE_SPAN);
	discard(place, len);
}

static void profile(const char *work)
{
	size_t len = TABLES * TABLE_SPAN;
	int i;

	if (!strcmp(work, "fork"))
		len = EMPTIES * TABLE_SPAN;
	read_symbols();
	open_event();
	for (i = 0; i < ROUNDS; i++) {
		map(place, len);
		if (strcmp(work, "fault"))
			empties(len);
		nap_ms(20);	/* nothing is in the air */
		watch(true);
		if (!strcmp(work, "free")) {
			if (madvise(place, len, MADV_PT_RECLAIM))
				die("MADV_PT_RECLAIM");
			nap_ms(50);	/* RCU, its callbacks, the freeing */
		} else if (!strcmp(work, "fault")) {
			touch_zero(place, len, TABLE_SPAN);
		} else if (!strcmp(work, "munmap")) {
			munmap(place, len);
		} else {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			if (waitpid(pid, NULL, 0) != pid)
				die("fork");
		}
		watch(false);
		munmap(place, len);
	}
	show(work);
}

int main(int argc, char **argv)
{
	bench_start_counting(argv);
	if (!is_stock() && write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
	if (!have_memcg() || cg_make(GROUP))
		die("no memory controller");
	for (int i = 1; i < argc; i++) {
		if (is_stock() && !strcmp(argv[i], "free"))
			puts("cannot free");
		else
			in_group(GROUP, profile, argv[i]);
	}
	if (cg_clear(GROUP))
		die("cannot remove the group");
	return bench_end();
}
