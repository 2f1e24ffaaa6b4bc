// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hot paths: what counting page tables, hints and checks add to them: guest part.
 *
 * A figure is CASE/WORK, in instructions a unit (fault, table, page, fork). CASE is
 * how deep the cgroup lies, and whether it has a budget: 0-none, 4-budget. A round
 * is shorter than the 4 ms between two ticks where that can be; only fork of much
 * memory is longer, and has five ticks in each round.
 */
#include "bench.h"

#include <spawn.h>

#define TABLES		64	/* a round of faults, one table each */
#define EMPTIES		128	/* for fork */
#define MOVES		8	/* of mremap, in a round */
#define POPULATED	(256 * MiB)
#define FILE_SIZE	(8 * MiB)
#define AROUND		(16 * PAGE)	/* what a read fault in a file maps */

static void cost_tables(const char *name, int rounds)
{
	struct series fault = { "fault-table", TABLES };
	struct series again = { "fault-again", TABLES };
	struct series unmap = { "munmap-table", TABLES };
	struct series empty = { "munmap-empty", TABLES };
	struct series purge = { "madvise-table", TABLES };
	size_t len = TABLES * TABLE_SPAN;
	uint64_t t0;
	int i;

	for (i = 0; i < rounds; i++) {
		map(place, len);
		t0 = instructions();
		touch(place, len, TABLE_SPAN);
		series_add(&fault, t0);
		t0 = instructions();
		munmap(place, len);
		series_add(&unmap, t0);
	}
	for (i = 0; i < rounds; i++) {
		map(place, len);
		touch(place, len, TABLE_SPAN);
		t0 = instructions();
		discard(place, len);
		series_add(&purge, t0);
		t0 = instructions();
		touch(place, len, TABLE_SPAN);
		series_add(&again, t0);
		discard(place, len);
		t0 = instructions();
		munmap(place, len);
		series_add(&empty, t0);
	}
	series_print(&fault, name);
	series_print(&again, name);
	series_print(&unmap, name);
	series_print(&purge, name);
	series_print(&empty, name);
}

static void cost_pages(const char *name, int rounds)
{
	struct series fault = { "fault-page", TABLE_SPAN / PAGE };
	struct series whole = { "madvise-page", TABLE_SPAN / PAGE };
	struct series piece = { "madvise-piece", TABLE_SPAN / PIECE };
	struct series unmap = { "munmap-page", TABLE_SPAN / PAGE };
	uint64_t t0;
	size_t at;
	int i;

	for (i = 0; i < rounds; i++) {
		map(place, TABLE_SPAN);
		t0 = instructions();
		touch(place, TABLE_SPAN, PAGE);
		series_add(&fault, t0);
		t0 = instructions();
		discard(place, TABLE_SPAN);
		series_add(&whole, t0);
		touch(place, TABLE_SPAN, PAGE);
		t0 = instructions();
		for (at = 0; at < TABLE_SPAN; at += PIECE)
			discard(place + at, PIECE);
		series_add(&piece, t0);
		touch(place, TABLE_SPAN, PAGE);
		t0 = instructions();
		munmap(place, TABLE_SPAN);
		series_add(&unmap, t0);
	}
	series_print(&fault, name);
	series_print(&whole, name);
	series_print(&piece, name);
	series_print(&unmap, name);
}

static void move(char *from, char *to, size_t len)
{
	if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		die("mremap");
}

/*
 * As tables, where both places begin where a table does, and as entries. To and fro
 * a few times in a round: what one call allocates for its VMAs differs each time.
 */
static void cost_mremap(const char *name)
{
	struct series tables = { "mremap-table", MOVES * TABLES };
	struct series pages = { "mremap-page", MOVES * TABLE_SPAN / PAGE };
	size_t len = TABLES * TABLE_SPAN;
	char *to = place + 2 * len;
	uint64_t t0;
	int i, j;

	for (i = 0; i < 48; i++) {
		map(place, len);
		touch(place, len, TABLE_SPAN);
		t0 = instructions();
		for (j = 0; j < MOVES; j += 2) {
			move(place, to, len);
			move(to, place, len);
		}
		series_add(&tables, t0);
		munmap(place, len);

		map(place, TABLE_SPAN);
		touch(place, TABLE_SPAN, PAGE);
		t0 = instructions();
		for (j = 0; j < MOVES; j += 2) {
			move(place, to + PAGE, TABLE_SPAN);
			move(to + PAGE, place, TABLE_SPAN);
		}
		series_add(&pages, t0);
		munmap(place, TABLE_SPAN);
	}
	series_print(&tables, name);
	series_print(&pages, name);
}

/* Page cache: 16 pages a read fault, a table every 32nd */
static void cost_file(const char *name, int rounds)
{
	struct series fault = { "file-fault", FILE_SIZE / AROUND };
	struct series unmap = { "file-munmap", FILE_SIZE / PAGE };
	int fd = make_memfd(FILE_SIZE), i;
	uint64_t t0;

	for (i = -1; i < rounds; i++) {
		if (fd < 0 || !map_at(place, FILE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_SHARED, fd, 0))
			die("a file");
		if (i < 0) {	/* the cache */
			touch(place, FILE_SIZE, PAGE);
			munmap(place, FILE_SIZE);
			continue;
		}
		t0 = instructions();
		touch_zero(place, FILE_SIZE, AROUND);
		series_add(&fault, t0);
		t0 = instructions();
		munmap(place, FILE_SIZE);
		series_add(&unmap, t0);
	}
	close(fd);
	series_print(&fault, name);
	series_print(&unmap, name);
}

static void cost_fork(const char *name, const char *work, int rounds)
{
	struct series s = { work, 1 };
	uint64_t t0;
	pid_t pid;
	int i;

	for (i = 0; i < rounds; i++) {
		t0 = instructions();
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
		series_add(&s, t0);
	}
	series_print(&s, name);
}

static void cost_forks(const char *name)
{
	/* an anon_vma, one table and a page in any case: the rest is the empties */
	size_t len = (EMPTIES + 1) * TABLE_SPAN;

	map(place, len);
	touch(place + len - TABLE_SPAN, PAGE, PAGE);
	cost_fork(name, "fork-small", 120);
	touch(place, len - TABLE_SPAN, TABLE_SPAN);
	discard(place, len - TABLE_SPAN);
	cost_fork(name, "fork-empties", 48);
	munmap(place, len);

	map(place, POPULATED);
	touch(place, POPULATED, PAGE);
	cost_fork(name, "fork-populated", 8);
	munmap(place, POPULATED);
}

static void cost_exec(const char *name, int rounds)
{
	char *args[] = { "hot", "--nothing", NULL }, *env[] = { NULL };
	struct series s = { "exec", 1 };
	uint64_t t0;
	pid_t pid;
	int i;

	for (i = 0; i < rounds; i++) {
		t0 = instructions();
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, env) ||
		    waitpid(pid, NULL, 0) != pid)
			die("exec");
		series_add(&s, t0);
	}
	series_print(&s, name);
}

static void costs(const char *name)
{
	cost_tables(name, 64);
	cost_pages(name, 24);
	cost_file(name, 32);
	cost_forks(name);
	cost_exec(name, 160);
}

/* Groups nested to @depth below the root; the path of the innermost. */
static const char *nested(int depth)
{
	static char path[128];
	int i;

	*path = '\0';
	for (i = 1; i <= depth; i++) {
		sprintf(path + strlen(path), "%scost%d", i > 1 ? "/" : "", i);
		if (i < depth ? cg_make_parent(path) : cg_make(path))
			die("cannot make a group");
	}
	return path;
}

/* Arguments: "paths" or "mremap" */
int main(int argc, char **argv)
{
	bool paths = argc > 1 && !strcmp(argv[1], "paths");
	static const int depths[] = { 0, 1, 4 };
	const char *group;
	char name[64];
	int i, budget;

	if (argc > 1 && !strcmp(argv[1], "--nothing"))
		return 0;
	bench_start_counting(argv);
	if (!is_stock() && write_long(VM_FREEPT, 0))
		die(VM_FREEPT);
	if (!have_memcg())
		die("no memory controller");
	if (!have_pt())
		puts("cannot budget");

	for (budget = 0; budget <= have_pt(); budget++) {
		for (i = 0; i < 3; i++) {
			/*
			 * There is a group with the root, too: the first one on a
			 * machine switches the charging of kernel memory on. The
			 * budget is its then, since the root has none.
			 */
			group = nested(depths[i] ?: 1);
			if (budget && pt_limit(group, PT_MAX, 10 * GiB))
				die("pt.max");
			group = nested(depths[i]);
			snprintf(name, sizeof(name), "%d-%s", depths[i],
				 budget ? "budget" : "none");
			in_group(group, paths ? costs : cost_mremap, name);
			if (cg_clear("cost1"))
				die("cannot remove the groups");
		}
	}
	return bench_end();
}
