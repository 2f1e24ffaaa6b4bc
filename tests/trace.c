// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints of ptfree, as an administrator finds them in tracefs: what they
 * say of one process is what /proc/vmstat, memory.stat and VmPTE say of it, to
 * the last table; and histograms of them answer how long a lock was held, or a
 * task was stopped, at the most.
 *
 * A buffer of its own (an instance) keeps others out of it.
 */
#include "cgbudget.h"
#include "cghold.h"
#include "switches.h"

#define TRACEFS		"/sys/kernel/tracing"
#define BUFFER		TRACEFS "/instances/ptfree"
#define EVENTS		BUFFER "/events/freept"
/* One call of process_madvise() takes less than 2 GiB. */
#define TABLES		1000L
#define LEN		(TABLES * TABLE_SPAN)
#define DELAY		50L

/* What one hold of the mmap lock may do at the most. */
#define HOLD_SCAN	4096L
#define HOLD_FREE	512L

static char *text;
static const size_t text_len = 16 * MiB;

/* Stop writing, and take what is there. */
static long take_trace(void)
{
	long n;

	write_text(BUFFER "/tracing_on", "0");
	n = read_text(BUFFER "/trace", text, text_len);
	return n;
}

static int begin_trace(void)
{
	int err = write_text(BUFFER "/tracing_on", "0");

	err = err ?: write_text(BUFFER "/trace", "\n");
	err = err ?: write_text(EVENTS "/enable", "1");
	return err ?: write_text(BUFFER "/tracing_on", "1");
}

/* What is behind `name=` in a line, or -1. Numbers are decimal, or begin with 0x. */
static long field(const char *line, const char *name)
{
	char word[64];
	const char *at;

	snprintf(word, sizeof(word), " %s=", name);
	at = strstr(line, word);
	return at ? strtol(at + strlen(word), NULL, 0) : -1;
}

/*
 * The events @name of process @tgid (0: of any) that have @with in them (NULL: or
 * not): how many, and of the field @sum of all of them the sum and the maximum.
 */
struct found {
	long n, sum, max;
};

static struct found find(const char *name, pid_t tgid, const char *with, const char *sum)
{
	struct found f = { 0 };
	char *line, *end, *at, what[64];

	snprintf(what, sizeof(what), ": %s: ", name);
	for (line = text; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			break;
		*end = 0;
		at = *line == '#' ? NULL : strstr(line, what);
		/* Keep the space before the first field. */
		if (at)
			at += strlen(what) - 1;
		if (at && (!tgid || field(at, "tgid") == tgid) && (!with || strstr(at, with))) {
			long v = sum ? field(at, sum) : 0;

			f.n++;
			f.sum += v;
			if (v > f.max)
				f.max = v;
		}
		*end = '\n';
	}
	return f;
}

/*
 * The same while tracing goes on, as soon as there are @n: what was done can be
 * seen elsewhere a moment before it is reported.
 */
static bool reported(const char *name, const char *with, long n)
{
	long end = now_ms() + SOON_MS;

	while (read_text(BUFFER "/trace", text, text_len) >= 0 && now_ms() < end) {
		if (find(name, 0, with, NULL).n >= n)
			return true;
		nap_ms(20);
	}
	return false;
}

FIXTURE(trace) {
	struct cg_child c;
	long full;	/* VmPTE with all tables there */
};

FIXTURE_SETUP(trace)
{
	if (expectation != EXPECT_FREED)
		SKIP(return, "nothing is freed here");
	setup_groups();
	ASSERT_EQ(0, choose(CHOICE_DISABLE));
	text = mmap(NULL, text_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, text);
	ASSERT_TRUE(!mkdir(BUFFER, 0755) || errno == EEXIST) {
		TH_LOG("%s: %s", BUFFER, strerror(errno));
	}
	ASSERT_EQ(0, write_text(BUFFER "/buffer_size_kb", "4096"));
}

FIXTURE_TEARDOWN(trace)
{
	if (expectation != EXPECT_FREED)
		return;
	cg_child_end(&self->c);
	write_text(EVENTS "/enable", "0");
	EXPECT_EQ(0, rmdir(BUFFER));
	teardown_groups();
}

static long trace_orders(struct cg_child *c, struct cg_order *o)
{
	return o->what == 'D' ? choose(CHOICE_DEFAULT) : range_orders(c, o);
}

/* A child with @tables that are all empty. */
#define empties(self, group, tables) __empties(_metadata, self, group, tables)
static void __empties(struct __test_metadata *_metadata, FIXTURE_DATA(trace) *self,
		      const char *group, long tables)
{
	self->c.extra = trace_orders;
	ASSERT_EQ(0, cg_child_start(&self->c, group, tables));
	ASSERT_EQ(0, cg_child_do(&self->c, 'D', 0));
	ASSERT_EQ(0, cg_child_do(&self->c, 'f', tables));
	ASSERT_EQ(0, cg_child_do(&self->c, 'e', tables));
	self->full = vmpte_kb(self->c.pid);
}

/* The value of the group, once memory.stat is flushed. */
static long flushed(const char *key, long expected)
{
	long end = now_ms() + 2 * SETTLE_MS, v;

	while ((v = cg_stat(GROUP_A, key)) != expected && now_ms() < end)
		nap_ms(50);
	return v;
}

TEST_F(trace, all_events_are_there)
{
	static const char * const events[] = {
		"freept_run_start", "freept_run_end", "freept_hold", "freept_table",
		"freept_skip", "freept_stop", "freept_over_budget",
	};
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		snprintf(path, sizeof(path), EVENTS "/%s/enable", events[i]);
		EXPECT_EQ(0, access(path, W_OK)) {
			TH_LOG("no %s", path);
		}
	}
}

/* A request for a range: everything else is at rest, so everything is exact. */
TEST_F(trace, request)
{
	struct found run, hold, table;
	long scan, freed, range;
	pid_t pid;

	empties(self, GROUP_A, TABLES);
	pid = self->c.pid;
	ASSERT_EQ(0, cg_child_do(&self->c, 'F', RANGE(7, 1)));
	scan = vmstat("ptscan");
	freed = vmstat("ptfree");
	ASSERT_EQ(0, begin_trace());
	range = advise_process(pid, self->c.at, LEN, ADV_PT_RECLAIM);
	ASSERT_LT(0, take_trace());
	ASSERT_EQ((long)LEN, range);
	scan = vmstat("ptscan") - scan;
	freed = vmstat("ptfree") - freed;
	/* Some twice, if it had to let go of the lock in between. */
	EXPECT_LE(TABLES, scan);
	EXPECT_EQ(TABLES - 1, freed);
	EXPECT_EQ((TABLES - 1) * TABLE_KB, self->full - vmpte_kb(pid));

	run = find("freept_run_start", pid, " flags=wait", "start");
	EXPECT_EQ(1, run.n);
	EXPECT_EQ((long)self->c.at, run.sum);
	EXPECT_EQ((long)self->c.at + LEN, find("freept_run_start", pid, NULL, "end").sum);
	EXPECT_EQ(1, find("freept_run_end", pid, " ret=0", NULL).n);
	EXPECT_EQ(scan, find("freept_run_end", pid, NULL, "scanned").sum);
	EXPECT_EQ(freed, find("freept_run_end", pid, NULL, "freed").sum);

	table = find("freept_table", pid, NULL, "addr");
	EXPECT_EQ(freed, table.n);
	/* Each of them once, and not the one in use: the sum tells. */
	EXPECT_EQ(table.sum, (TABLES - 1) * (long)self->c.at +
		  (TABLES * (TABLES - 1) / 2 - 7) * (long)TABLE_SPAN);

	hold = find("freept_hold", pid, NULL, "freed");
	EXPECT_EQ(freed, hold.sum);
	EXPECT_LE((TABLES + HOLD_FREE - 1) / HOLD_FREE, hold.n);
	EXPECT_GE(HOLD_FREE, hold.max);
	EXPECT_GE(HOLD_SCAN, find("freept_hold", pid, NULL, "scanned").max);
	EXPECT_EQ(scan, find("freept_hold", pid, NULL, "scanned").sum);
	/* The run held the lock for as long as its holds did; 0 where the clock is coarse. */
	EXPECT_EQ(find("freept_hold", pid, NULL, "held_ns").sum,
		  find("freept_run_end", pid, NULL, "held_ns").sum);

	EXPECT_EQ(freed, flushed("ptfree", freed));
	EXPECT_EQ(scan, flushed("ptscan", scan));
}

/* The background: each table is passed over once as too young, and then freed. */
TEST_F(trace, background)
{
	long scan, freed;
	pid_t pid;

	empties(self, GROUP_A, TABLES);
	pid = self->c.pid;
	ASSERT_EQ(0, begin_trace());
	ASSERT_EQ(0, scanner(2, DELAY, 65536));
	EXPECT_TRUE(wait_vmpte_below(pid, self->full - TABLES * TABLE_KB, CLEAN_MS));
	/* Once more, with nothing to find; then nobody is scanned any more. */
	nap_ms(20 * DELAY);
	ASSERT_EQ(0, scanner(0, DELAY, 65536));
	nap_ms(4 * DELAY);
	ASSERT_LT(0, take_trace());
	freed = find("freept_table", pid, NULL, NULL).n;
	scan = find("freept_run_end", pid, NULL, "scanned").sum;
	EXPECT_LE(TABLES, freed);
	EXPECT_LE(2 * TABLES, scan);
	EXPECT_EQ(freed, find("freept_run_end", pid, NULL, "freed").sum);
	EXPECT_EQ(freed, find("freept_hold", pid, NULL, "freed").sum);
	EXPECT_LE(TABLES, find("freept_skip", pid, " reason=aged", NULL).n);
	EXPECT_GE(HOLD_SCAN, find("freept_hold", pid, NULL, "scanned").max);
	EXPECT_EQ(scan, find("freept_hold", pid, NULL, "scanned").sum);
	EXPECT_LT(0, find("freept_run_start", pid, "background|aged", NULL).n);
	EXPECT_LT(0, find("freept_run_start", pid, "background|hinted|aged", NULL).n);
	EXPECT_EQ(find("freept_run_start", pid, NULL, NULL).n,
		  find("freept_run_end", pid, NULL, NULL).n);
	EXPECT_EQ(freed, flushed("ptfree", freed));
	EXPECT_EQ(scan, flushed("ptscan", scan));
}

/* A task that runs does it itself, and is stopped for it. */
TEST_F(trace, stop)
{
	struct found stop;
	long end = now_ms() + CLEAN_MS;

	empties(self, GROUP_A, TABLES);
	ASSERT_EQ(0, begin_trace());
	ASSERT_EQ(0, scanner(2, DELAY, 65536));
	while (vmpte_kb(self->c.pid) > self->full - TABLES * TABLE_KB && now_ms() < end)
		ASSERT_EQ(0, cg_child_do(&self->c, 'b', 100));
	ASSERT_LT(0, take_trace());
	stop = find("freept_stop", 0, NULL, "stopped_ns");
	EXPECT_LT(0, stop.n);
	/* It is a measured time: above what a look takes, and far below a second. */
	EXPECT_LT(0, stop.max);
	EXPECT_GT(1000000000L * scale, stop.max);
	TH_LOG("%ld stops, the longest of %ld us; longest hold %ld us", stop.n, stop.max / 1000,
	       find("freept_hold", self->c.pid, NULL, "held_ns").max / 1000);
}

/* A mapping whose tables stay, with its reason. */
TEST_F(trace, skip_for_the_mapping)
{
	char *at = map_at(reserve(4 * MiB), 4 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			  MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

	ASSERT_NE(NULL, at);
	ASSERT_EQ(0, begin_trace());
	EXPECT_EQ(0, give_advice(at, 4 * MiB, ADV_PT_RECLAIM));
	ASSERT_LT(0, take_trace());
	EXPECT_EQ((long)at, find("freept_skip", getpid(), " reason=vma", "addr").sum);
	EXPECT_EQ(0, find("freept_run_end", getpid(), NULL, "scanned").sum);
	munmap(at, 4 * MiB);
}

/* Somebody holds the lock: a request to the cgroup says so and gives up. */
TEST_F(trace, skip_for_the_lock)
{
	struct holder h = { 0 };

	ASSERT_EQ(0, hold_start(&h, GROUP_A, 16));
	ASSERT_EQ(0, cg_child_do(&h.c, 'f', 16));
	ASSERT_EQ(0, cg_child_do(&h.c, 'e', 16));
	ASSERT_EQ(0, hold_lock(&h));
	ASSERT_EQ(0, begin_trace());
	/* What is asked for is more than there is, so it comes back at all. */
	EXPECT_EQ(-EAGAIN, pt_reclaim(GROUP_A, "64M"));
	ASSERT_LT(0, take_trace());
	EXPECT_LT(0, find("freept_skip", h.c.pid, " reason=busy", NULL).n);
	EXPECT_LT(0, find("freept_run_end", h.c.pid, " ret=-11", NULL).n);
	hold_end(&h);
}

/* The number of a cgroup is that of its directory. */
static long cgroup_id(const char *group)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), CG_ROOT "/%s", group);
	return stat(path, &st) ? -1 : (long)st.st_ino;
}

TEST_F(trace, over_budget)
{
	long end = now_ms() + CLEAN_MS;
	char word[64];
	struct found f;

	empties(self, GROUP_A, TABLES);
	snprintf(word, sizeof(word), " cgroup=%ld ", cgroup_id(GROUP_A));
	ASSERT_EQ(0, begin_trace());
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_HIGH, TABLE_BYTES(300)));
	EXPECT_TRUE(wait_current_below(GROUP_A, TABLE_BYTES(300), SOON_MS));
	/* The last of it is reported when it is done. */
	do {
		nap_ms(20);
		ASSERT_LT(0, read_text(BUFFER "/trace", text, text_len));
		f = find("freept_over_budget", 0, word, "freed");
	} while (f.sum < find("freept_table", self->c.pid, NULL, NULL).n && now_ms() < end);
	ASSERT_LT(0, take_trace());
	f = find("freept_over_budget", 0, word, "freed");
	EXPECT_LT(0, f.n);
	EXPECT_EQ(300 * f.n, find("freept_over_budget", 0, word, "limit").sum);
	/* What is left when that is done; most of what was freed is charged still, or none. */
	EXPECT_LE(TABLES, find("freept_over_budget", 0, word, "usage").max + f.sum);
	EXPECT_EQ(find("freept_table", self->c.pid, NULL, NULL).n, f.sum) {
		TH_LOG("%ld events", f.n);
	}
}

TEST_F(trace, over_budget_and_killed)
{
	char word[64];

	empties(self, GROUP_A, 16);
	snprintf(word, sizeof(word), " cgroup=%ld ", cgroup_id(GROUP_A));
	ASSERT_EQ(0, pt_limit(GROUP_A, PT_MAX, TABLE_BYTES(400)));
	cg_child_end(&self->c);
	self->c.extra = trace_orders;
	ASSERT_EQ(0, cg_child_start(&self->c, GROUP_A, TABLES));
	ASSERT_EQ(0, begin_trace());
	EXPECT_EQ(-EPIPE, cg_child_do(&self->c, 'f', TABLES));
	EXPECT_EQ(1, pt_event(GROUP_A, "oom_kill", false));
	/* By somebody else, maybe, who has not come to that yet. */
	EXPECT_TRUE(reported("freept_over_budget", " action=kill", 1));
	ASSERT_LT(0, take_trace());
	EXPECT_EQ(1, find("freept_over_budget", 0, " action=kill", NULL).n);
	EXPECT_LT(1, find("freept_over_budget", 0, word, NULL).n);
	EXPECT_LT(400, find("freept_over_budget", 0, " action=kill", "usage").max);
}

/*
 * The recipe of the guide: a histogram of how long locks were held. It counts each
 * hold once, and its largest bucket is that of the longest.
 */
static long hist_hits(const char *path, long *largest)
{
	char *line, *save, *at;
	long hits = 0;

	*largest = -1;
	if (read_text(path, text, text_len) <= 0)
		return -1;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		at = strstr(line, "hitcount:");
		if (*line != '{' || !at)
			continue;
		hits += strtol(at + 9, NULL, 10);
		at = strstr(line, "~ 2^");
		if (at && strtol(at + 4, NULL, 10) > *largest)
			*largest = strtol(at + 4, NULL, 10);
	}
	return hits;
}

TEST_F(trace, histogram_of_holds)
{
	static const char recipe[] = "hist:keys=held_ns.log2:sort=held_ns";
	const char *trigger = EVENTS "/freept_hold/trigger", *hist = EVENTS "/freept_hold/hist";
	struct found hold;
	long hits, largest;

	ASSERT_EQ(0, access(hist, R_OK)) {
		TH_LOG("no histograms: the kernel needs CONFIG_HIST_TRIGGERS");
	}
	empties(self, GROUP_A, TABLES);
	ASSERT_EQ(0, begin_trace());
	ASSERT_EQ(0, write_text(trigger, recipe));
	ASSERT_EQ((long)LEN, advise_process(self->c.pid, self->c.at, LEN, ADV_PT_RECLAIM));
	ASSERT_LT(0, take_trace());
	hold = find("freept_hold", 0, NULL, "held_ns");
	hits = hist_hits(hist, &largest);
	EXPECT_EQ(hold.n, hits);
	/* 2^n is the bucket of what is above 2^(n - 1). */
	EXPECT_LE(hold.max, 1L << largest);
	EXPECT_GT(hold.max, 1L << (largest - 1));
	EXPECT_EQ(0, write_text(trigger, "!hist:keys=held_ns.log2:sort=held_ns"));
}

PTFREE_TEST_MAIN(0, DELAY, 65536)
