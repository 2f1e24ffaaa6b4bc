// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine, a table at a time: guest part.
 *
 * Arguments say what is measured, each in a process of its own:
 *
 * "left": tables that are left of 64 which were emptied in some way, without any
 * request. Says what a kernel can do.
 *
 * "look": explicit requests that find nothing: the difference between two lengths,
 * a table. "look-empty" is the first look of the background at empties, from the
 * tracepoint freept_hold, which frees none of them.
 *
 * "free": explicit requests that free 1, 64 and 511 tables, next to those which find
 * none. "call" is what the request takes, "after" what the machine takes from then on
 * (RCU, its callbacks, the freeing): measured by a loop that sees when it is stopped.
 *
 * "rescan=GIB": so much with all tables in use, where nothing was unmapped but in one
 * of them: the lap that looks at all, and one that goes by marks.
 *
 * "scale GIB": so much address space, full of empties. On a kernel that cannot free
 * them, munmap does.
 */
#include "bench.h"

#include <ctype.h>

#define TRACING		"/sys/kernel/tracing/"
#define HOLD_EVENT	TRACING "events/freept/freept_hold/"
#define FLUSH_EVENT	TRACING "events/tlb/tlb_flush/"
#define GROUP		"bench-engine"
#define TABLES		512	/* of one PMD table */
#define ROUNDS		6
#define SLACK		16	/* of many tables */
#define SPIN		(20 * 1000 * 1000UL)	/* 20 ms: about an RCU grace period */

#ifndef MADV_PT_RECLAIM
#define MADV_PT_RECLAIM	1062
#endif

/* What stops the loop for longer than this many instructions was not the loop. */
#define STOPPED		150

struct stops {
	uint64_t all, longest;
};

/* Burn @span instructions; how many of them were somebody else's? */
static struct stops spin(uint64_t span)
{
	uint64_t t0 = instructions(), last = t0, now, own = UINT64_MAX;
	struct stops s = { };

	for (;;) {
		now = instructions();
		if (now - last > STOPPED) {
			s.all += now - last - own;
			if (now - last > s.longest)
				s.longest = now - last;
		} else if (now - last < own) {
			own = now - last;
		}
		last = now;
		if (now - t0 >= span)
			return s;
	}
}

static long request(char *at, size_t len)
{
	return madvise(at, len, MADV_PT_RECLAIM);
}

static void must_request(char *at, size_t len)
{
	if (request(at, len))
		die("MADV_PT_RECLAIM");
}

/* Tracing */

struct holds {
	long nr, scanned, freed;
	double ns;
	long max_scanned, max_freed, max_ns;
	double best_look;	/* ns a table in the best hold that freed none */
	double best_free;	/* and in the best that freed 512 */
};

static void trace_on(bool on)
{
	if (write_text(HOLD_EVENT "enable", on ? "1" : "0"))
		die(HOLD_EVENT);
}

static void trace_clear(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		die("trace");
	close(fd);
}

/* What freept_hold has told since the last clearing */
static struct holds trace_read(void)
{
	struct holds h = { .best_look = 1e9, .best_free = 1e9 };
	long scanned, freed, ns;
	char line[512], *p;
	FILE *f = fopen(TRACING "trace", "r");

	if (!f)
		die("trace");
	while (fgets(line, sizeof(line), f)) {
		p = strstr(line, " scanned=");
		if (*line == '#' || !p || sscanf(p, " scanned=%ld freed=%ld held_ns=%ld",
						 &scanned, &freed, &ns) != 3)
			continue;
		h.nr++;
		h.scanned += scanned;
		h.freed += freed;
		h.ns += ns;
		if (scanned > h.max_scanned)
			h.max_scanned = scanned;
		if (freed > h.max_freed)
			h.max_freed = freed;
		if (ns > h.max_ns)
			h.max_ns = ns;
		if (!freed && scanned >= TABLES && (double)ns / scanned < h.best_look)
			h.best_look = (double)ns / scanned;
		if (freed == TABLES && (double)ns / freed < h.best_free)
			h.best_free = (double)ns / freed;
	}
	fclose(f);
	return h;
}

/* TLB flushes that a hist trigger has counted, but for those of a switch of tasks: 0 */
static long flushes(void)
{
	char line[256];
	long all = 0, reason, hits;
	FILE *f = fopen(FLUSH_EVENT "hist", "r");

	if (!f)
		die(FLUSH_EVENT "hist");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "{ reason: %ld } hitcount: %ld", &reason, &hits) == 2 && reason)
			all += hits;
	fclose(f);
	return all;
}

/* What is left, by itself */

static void left(const char *name, char *at, long before)
{
	nap_ms(100);	/* RCU */
	figure((vmpte_kb(0) - before) / TABLE_KB, "left/%s", name);
	munmap(at, 64 * TABLE_SPAN);
}

static char *filled(long *before)
{
	char *at = place;

	vmpte_kb(0);
	map(at, 64 * TABLE_SPAN);
	*before = vmpte_kb(0);
	touch(at, 64 * TABLE_SPAN, PIECE);
	return at;
}

static void measure_left(void)
{
	size_t len = 64 * TABLE_SPAN, i;
	long before;
	char *at;
	int fd;

	at = filled(&before);
	for (i = 0; i < len; i += TABLE_SPAN)
		discard(at + i, TABLE_SPAN);
	left("whole", at, before);

	at = filled(&before);
	for (i = 0; i < len; i += PIECE)
		discard(at + i, PIECE);
	left("pieces", at, before);

	vmpte_kb(0);
	fd = make_memfd(len);
	before = vmpte_kb(0);
	if (!map_at(place, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0))
		die("a file");
	touch(place, len, PIECE);
	if (ftruncate(fd, 0))
		die("truncate");
	left("truncate", place, before);
	close(fd);
}

static void can_request(void)
{
	size_t len = 64 * TABLE_SPAN;
	long before;
	char *at = filled(&before);

	discard(at, len);
	if (request(at, len)) {
		puts("cannot request");
		return;
	}
	left("request", at, before);
}

/* Looks that find nothing: the slope between an eighth of the tables and all */

static double look(size_t first, const char *what)
{
	struct series few = { what, 1 }, all = { what, 1 };
	size_t len = PMD_SPAN - TABLE_SPAN;
	long tables = len / TABLE_SPAN, some = 64;
	uint64_t t0;
	int i;

	map(place, len);
	touch_zero(place + first, len - first, TABLE_SPAN);
	for (i = 0; i < 40; i++) {
		t0 = instructions();
		must_request(place, some * TABLE_SPAN);
		series_add(&few, t0);
		t0 = instructions();
		must_request(place, len);
		series_add(&all, t0);
	}
	munmap(place, len);
	return (series_value(&all) - series_value(&few)) / (tables - some);
}

static void measure_look(void)
{
	struct series hole = { "hole", 1 }, one = { "one", 1 };
	size_t room = 64 * PMD_SPAN;
	double call;
	char *at;

	figure(look(0, "first"), "look/first-entry");
	figure(look(TABLE_SPAN - PAGE, "last"), "look/last-entry");

	/* gigabytes that were never touched, mapped as one */
	at = map_anon(room);
	*(volatile char *)at = 1;
	for (int i = 0; i < 40; i++) {
		uint64_t t0 = instructions();

		must_request(at, PMD_SPAN);
		series_add(&one, t0);
		t0 = instructions();
		must_request(at, room);
		series_add(&hole, t0);
	}
	call = series_value(&one);
	figure(call, "look/request");
	figure((series_value(&hole) - call) / 63, "look/hole-gib");
	munmap(at, room);
}

/* The background's first look leaves empties, its second one frees them. */
static void measure_look_empty(void)
{
	size_t len = 16 * PMD_SPAN;
	struct holds h;
	char *at;
	long end;

	at = map_anon(len);
	if (scanner(2, 1000, SIZE_MAX_MB))
		die("vm.freept");
	nap_ms(5000);	/* it knows the process, and takes notes */
	touch_zero(at, len, TABLE_SPAN);
	discard(at, len);
	trace_clear();
	trace_on(true);
	end = now_ms() + 60000;
	while (vmpte_kb(0) > (long)(len / TABLE_SPAN * TABLE_KB / 8) && now_ms() < end)
		nap_ms(500);
	trace_on(false);
	h = trace_read();
	if (h.best_look == 1e9 || h.best_free == 1e9) {
		errno = ENODATA;
		die("no hold that looked at empties only, or freed none");
	}
	figure(h.best_look, "look/empty");
	figure(h.best_free, "free/background");
	figure(h.max_scanned, "hold/scanned");
	figure(h.max_freed, "hold/freed");
	figure(h.max_ns, "hold/ns");
	munmap(at, len);
	if (write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
}

/* Freeing */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void measure_free_of(long tables)
{
	struct series call = { "call", tables }, none = { "none", tables };
	size_t len = TABLES * TABLE_SPAN - TABLE_SPAN;
	double after[ROUNDS];
	uint64_t t0, longest = 0;
	long before, spins;
	double quiet;
	int i;

	map(place, len);
	touch_zero(place, len, TABLE_SPAN);
	must_request(place, len);
	before = pt_current(GROUP);
	for (i = 0; i < ROUNDS; i++) {
		discard(place, tables * TABLE_SPAN);
		nap_ms(20);	/* a tick has been, nothing is in the air */
		quiet = spin(2 * SPIN).all / 2;
		t0 = instructions();
		must_request(place, len);
		series_add(&call, t0);
		after[i] = 0;
		for (spins = 0; pt_current(GROUP) > before - tables * (long)PAGE; spins++) {
			struct stops s = spin(SPIN);

			after[i] += (s.all - quiet) / tables;
			if (s.longest > longest)
				longest = s.longest;
			if (spins > 100) {
				errno = EAGAIN;
				die("tables did not come back");
			}
		}
		/* as many tables looked at, none freed */
		touch_zero(place, tables * TABLE_SPAN, TABLE_SPAN);
		t0 = instructions();
		must_request(place, len);
		series_add(&none, t0);
	}
	munmap(place, len);
	qsort(after, ROUNDS, sizeof(*after), by_value);
	figure(series_value(&call) - series_value(&none), "free/%ld/call", tables);
	figure(after[ROUNDS / 2], "free/%ld/after", tables);
	figure(longest, "free/%ld/stop", tables);
}

/* Re-scan */

static void laps(struct holds *h, long ms)
{
	trace_clear();
	trace_on(true);
	nap_ms(ms);
	trace_on(false);
	*h = trace_read();
}

static void measure_rescan(long gib)
{
	size_t len = gib * PMD_SPAN;
	long scanned, begun, lap_ms;
	struct holds h;
	char *at = map_anon(len);

	touch_zero(at, len, TABLE_SPAN);
	scanned = vmstat("ptscan");
	begun = now_ms();
	trace_clear();
	trace_on(true);
	/* the mode last: what is set while a lap is on its way voids that lap */
	if (scanner(0, 1000, 16384) || write_long(VM_FREEPT, 2))
		die("vm.freept");
	while (vmstat("ptscan") - scanned < gib * TABLES) {
		nap_ms(100);
		if (now_ms() - begun > 60000 + gib * 1000) {
			errno = ETIMEDOUT;
			die("no first lap");
		}
	}
	trace_on(false);
	h = trace_read();
	if (!h.scanned) {
		errno = ENODATA;
		die("no first lap");
	}
	lap_ms = now_ms() - begun;
	figure(lap_ms, "rescan/first-lap-ms");
	/* the rest of it, as tables of other processes were counted, too */
	nap_ms(3000);
	/* between two laps there are eight delays at the most */
	lap_ms += 10000;
	/* not one lap alone: what it has cost for each look, 512 of them */
	figure(h.ns / h.scanned * TABLES, "rescan/first-lap");
	laps(&h, lap_ms);
	figure(h.ns / gib, "rescan/nothing");
	figure(h.scanned, "rescan/nothing-looks");
	/* one page of one table, which has another */
	*(volatile char *)(at + len / 2 + PAGE) = 1;
	discard(at + len / 2 + PAGE, PAGE);
	laps(&h, lap_ms);
	if (!h.nr) {
		errno = ENODATA;
		die("no lap");
	}
	figure(h.ns / gib, "rescan/one-table");
	figure(h.scanned, "rescan/one-table-looks");
	/* one in each GiB */
	for (long i = 0; i < gib; i++) {
		*(volatile char *)(at + i * PMD_SPAN + PAGE) = 1;
		discard(at + i * PMD_SPAN + PAGE, PAGE);
	}
	laps(&h, lap_ms);
	figure(h.ns / gib, "rescan/each-gib");
	figure(h.scanned, "rescan/each-gib-looks");
	if (write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
}

/* Many */

static void measure_scale(long gib)
{
	size_t len = gib * PMD_SPAN, i;
	long tables = gib * TABLES, before, kb = vmpte_kb(0);
	struct stops quiet, s = { };
	uint64_t t0, t, all;
	char *at = map_anon(len);
	struct holds h;

	if (!at)
		die("mmap");
	for (i = 0; i < len; i += PMD_SPAN) {
		touch_zero(at + i, PMD_SPAN, TABLE_SPAN);
		discard(at + i, PMD_SPAN);
		if (i / PMD_SPAN % 256 == 255)
			fprintf(stderr, "bench: %lu GiB of %ld\n", i / PMD_SPAN + 1, gib);
	}
	kb = vmpte_kb(0) - kb;
	if (!kb || kb < tables * TABLE_KB) {
		errno = ENODATA;
		die("the tables are not there");
	}
	figure(tables, "scale/tables");
	figure(kb, "scale/kb");
	if (!have_pt()) {
		t0 = instructions();
		munmap(at, len);
		figure((double)(instructions() - t0) / tables, "scale/munmap");
		return;
	}
	before = pt_current(GROUP);
	quiet = spin(20 * SPIN);
	if (write_text(FLUSH_EVENT "trigger", "hist:keys=reason"))
		die(FLUSH_EVENT "trigger");
	trace_clear();
	trace_on(true);
	t0 = instructions();
	if (pt_reclaim(GROUP, "max"))
		die("pt_reclaim");
	t = instructions() - t0;
	figure((double)t / tables, "scale/request");
	trace_on(false);
	h = trace_read();
	figure(flushes(), "scale/flushes");
	write_text(FLUSH_EVENT "trigger", "!hist:keys=reason");
	/*
	 * From the return of the request until all of it is back, but for a few tables
	 * that this program may have got meanwhile.
	 */
	for (all = 0; pt_current(GROUP) > before - (tables - SLACK) * (long)PAGE; all += SPIN) {
		struct stops more = spin(SPIN);

		s.all += more.all;
		if (more.longest > s.longest)
			s.longest = more.longest;
		if (all > 200 * SPIN) {
			errno = EAGAIN;
			die("tables did not come back");
		}
	}
	figure((s.all - (double)quiet.all * all / (20 * SPIN)) / tables, "scale/after");
	figure((t + all) / 1e6, "scale/ms");
	figure(s.longest, "scale/stop");
	figure(h.max_scanned, "scale/hold-scanned");
	figure(h.max_freed, "scale/hold-freed");
	figure(h.max_ns, "scale/hold-ns");
	figure(vmpte_kb(0), "scale/left-kb");
}

static void one(const char *what)
{
	if (!strcmp(what, "left")) {
		measure_left();
		can_request();
	} else if (isdigit(*what)) {
		measure_scale(atol(what));
	} else if (!have_pt()) {
		printf("cannot %s\n", what);
	} else if (!strcmp(what, "look")) {
		measure_look();
		measure_look_empty();
	} else if (!strcmp(what, "free")) {
		measure_free_of(1);
		measure_free_of(64);
		measure_free_of(TABLES - 1);
	} else {
		measure_rescan(atol(strchr(what, '=') + 1));
	}
}

int main(int argc, char **argv)
{
	bench_start_counting(argv);
	if (!is_stock() && write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
	if (!have_memcg() || cg_make(GROUP))
		die("no memory controller");
	for (int i = 1; i < argc; i++)
		in_group(GROUP, one, argv[i]);
	if (cg_clear(GROUP))
		die("cannot remove the group");
	return bench_end();
}
