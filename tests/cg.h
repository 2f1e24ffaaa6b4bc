/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for the tests of memory.pt.*: nested groups, the files, counters that
 * are waited for, and children that fill and empty page tables when told.
 *
 * Groups are named by their path below /sys/fs/cgroup; "" is the root. Sizes
 * are bytes. What reads a number returns -errno where it cannot, and NO_LIMIT
 * for `max`.
 */
#ifndef PTFREE_TESTS_CG_H
#define PTFREE_TESTS_CG_H

#include "common.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#define PT_CURRENT	"memory.pt.current"
#define PT_PEAK		"memory.pt.peak"
#define PT_HIGH		"memory.pt.high"
#define PT_MAX		"memory.pt.max"
#define PT_RECLAIM	"memory.pt_reclaim"
#define PT_EVENTS	"memory.pt.events"
#define PT_EVENTS_LOCAL	"memory.pt.events.local"

#define NO_LIMIT	LONG_MAX
/* memory.stat is flushed every 2 s, and is true at the latest 5 s after a change. */
#define SETTLE_MS	(5000L * scale)

/* Files */

static inline long cg_text(const char *group, const char *file, char *buf, size_t len)
{
	char path[512];

	cg_path(path, sizeof(path), group, file);
	return read_text(path, buf, len);
}

static inline long cg_number(const char *group, const char *file)
{
	char text[64];
	long n = cg_text(group, file, text, sizeof(text));

	if (n < 0)
		return n;
	return strncmp(text, "max", 3) ? strtol(text, NULL, 10) : NO_LIMIT;
}

static inline bool cg_has(const char *group, const char *file)
{
	char path[512];

	cg_path(path, sizeof(path), group, file);
	return !access(path, F_OK);
}

static inline long pt_current(const char *group)
{
	return cg_number(group, PT_CURRENT);
}

static inline long pt_peak(const char *group)
{
	return cg_number(group, PT_PEAK);
}

/* @file is PT_HIGH or PT_MAX. */
static inline int pt_limit(const char *group, const char *file, long bytes)
{
	char text[32] = "max";

	if (bytes != NO_LIMIT)
		snprintf(text, sizeof(text), "%ld", bytes);
	return cg_write(group, file, text);
}

static inline int pt_reclaim(const char *group, const char *amount)
{
	return cg_write(group, PT_RECLAIM, amount);
}

static inline int pt_reclaim_bytes(const char *group, long bytes)
{
	return pt_limit(group, PT_RECLAIM, bytes);
}

/* @key is high, max, oom or oom_kill. */
static inline long pt_event(const char *group, const char *key, bool local)
{
	char path[512];

	cg_path(path, sizeof(path), group, local ? PT_EVENTS_LOCAL : PT_EVENTS);
	return key_value(path, key);
}

/* oom_kill and the like, of memory.events. */
static inline long memory_event(const char *group, const char *key)
{
	char path[512];

	cg_path(path, sizeof(path), group, "memory.events");
	return key_value(path, key);
}

static inline bool have_pt(void)
{
	return have_memcg() && cg_has("", PT_RECLAIM);
}

/* Waiting. True as soon as it is so, false after @ms. */

static inline bool wait_current_below(const char *group, long bytes, long ms)
{
	long end = now_ms() + ms;

	while (pt_current(group) > bytes) {
		if (now_ms() > end)
			return false;
		nap_ms(5);
	}
	return true;
}

static inline bool wait_event(const char *group, const char *key, long at_least, long ms)
{
	long end = now_ms() + ms;

	while (pt_event(group, key, false) < at_least) {
		if (now_ms() > end)
			return false;
		nap_ms(5);
	}
	return true;
}

/* Tables in flight come down within an RCU grace period or two. */
static inline long pt_settled(const char *group)
{
	long last = pt_current(group), now, quiet = now_ms(), end = quiet + SETTLE_MS;

	while (now_ms() - quiet < 200 * scale && now_ms() < end) {
		nap_ms(10);
		now = pt_current(group);
		if (now != last)
			quiet = now_ms();
		last = now;
	}
	return last;
}

/* memory.stat `pagetables` has become what memory.pt.current says. */
static inline bool wait_stat_equal(const char *group)
{
	long end = now_ms() + SETTLE_MS;

	while (cg_stat(group, "pagetables") != pt_current(group)) {
		if (now_ms() > end)
			return false;
		nap_ms(50);
	}
	return true;
}

/* Groups */

/* A group that can have children with memory.* files. */
static inline int cg_make_parent(const char *group)
{
	return cg_make(group) ?: cg_write(group, "cgroup.subtree_control", "+memory");
}

/* Everybody in @group and below is killed, and all of it removed. */
static inline int cg_clear(const char *group)
{
	char path[512], inner[512];
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), CG_ROOT "/%s", group);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	cg_write(group, "cgroup.kill", "1");
	cg_write(group, "cgroup.freeze", "0");
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (snprintf(inner, sizeof(inner), "%s/%s", group, entry->d_name) <
		    (int)sizeof(inner))
			err = err ?: cg_clear(inner);
	}
	closedir(dir);
	return err ?: cg_remove(group);
}

static inline bool cg_populated(const char *group)
{
	char path[512];

	cg_path(path, sizeof(path), group, "cgroup.events");
	return key_value(path, "populated") == 1;
}

static inline bool cg_freeze(const char *group, bool on, long ms)
{
	long end = now_ms() + ms;
	char path[512];

	if (cg_write(group, "cgroup.freeze", on ? "1" : "0"))
		return false;
	cg_path(path, sizeof(path), group, "cgroup.events");
	while (key_value(path, "frozen") != on) {
		if (now_ms() > end)
			return false;
		nap_ms(2);
	}
	return true;
}

/*
 * Children. Each has an area of its own for @tables PTE tables and does what an
 * order says, on the first @n tables of the area:
 *
 *	f	fill: one page in each table		r	the same, the zero page
 *	d	dense: every page of each table
 *	e	empty: one MADV_DONTNEED		p	the same in 64 KiB pieces
 *	h	empty every second table (the odd ones)
 *	c	check: what f wrote is there		z	nothing but zeroes is there
 *	C	what f wrote is there in the even tables
 *	U	munmap the whole area			M	map it again
 *	b	be busy for n ms			x	exit
 *
 * A letter that is none of these goes to @extra, for a test's own orders. The
 * answer is 0, a count of bad places for c, C and z, or -errno; child_do()
 * returns it, -ETIMEDOUT where none came, and -EPIPE where the child is dead.
 */
struct cg_order {
	char what;
	long n;
};

struct cg_child {
	pid_t pid;
	int fd;			/* one end of a socket pair: orders out, answers in */
	char *at;
	long tables;
	long (*extra)(struct cg_child *c, struct cg_order *o);
};

static inline long cg_child_obey(struct cg_child *c, struct cg_order *o)
{
	size_t len = o->n * TABLE_SPAN, i;
	long end = now_ms() + o->n;
	volatile char sum = 0;

	switch (o->what) {
	case 'f':
		fill(c->at, len, TABLE_SPAN, 1);
		return 0;
	case 'r':
		for (i = 0; i < len; i += TABLE_SPAN)
			sum += *(volatile char *)(c->at + i);
		return 0;
	case 'd':
		fill(c->at, len, PAGE, 1);
		return 0;
	case 'e':
		return madvise(c->at, len, MADV_DONTNEED) ? -errno : 0;
	case 'p':
		for (i = 0; i < len; i += 64 * KiB)
			if (madvise(c->at + i, 64 * KiB, MADV_DONTNEED))
				return -errno;
		return 0;
	case 'h':
		for (i = TABLE_SPAN; i < len; i += 2 * TABLE_SPAN)
			if (madvise(c->at + i, TABLE_SPAN, MADV_DONTNEED))
				return -errno;
		return 0;
	case 'c':
		return bad_marks(c->at, len, TABLE_SPAN, 1);
	case 'C':
		return bad_marks(c->at, len, 2 * TABLE_SPAN, 1);
	case 'z':
		return not_zero(c->at, len, TABLE_SPAN);
	case 'U':
		return munmap(c->at, c->tables * TABLE_SPAN) ? -errno : 0;
	case 'M':
		return map_at(c->at, c->tables * TABLE_SPAN, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) ? 0 : -errno;
	case 'b':
		while (now_ms() < end)
			;
		return 0;
	case 'x':
		_exit(0);
	}
	return c->extra ? c->extra(c, o) : -EINVAL;
}

static inline void cg_child_loop(struct cg_child *c)
{
	struct cg_order o;
	long answer;

	while (read(c->fd, &o, sizeof(o)) == sizeof(o)) {
		answer = cg_child_obey(c, &o);
		if (write(c->fd, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(1);
}

/*
 * Start a child in @group (NULL: where we are). The area is mapped before the
 * fork, so that we know where it is, and unmapped here; no table of it exists
 * before the child, already in its group, touches it. 0 or -errno.
 */
static inline int cg_child_start(struct cg_child *c, const char *group, long tables)
{
	int fds[2], err = 0;

	c->tables = tables;
	c->at = map_anon(tables * TABLE_SPAN);
	if (!c->at)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	c->pid = fork_child();
	if (!c->pid) {
		close(fds[0]);
		c->fd = fds[1];
		cg_child_loop(c);
	}
	err = c->pid < 0 ? -errno : 0;
	close(fds[1]);
	c->fd = fds[0];
	munmap(c->at, tables * TABLE_SPAN);
	return err ?: group ? cg_enter(group, c->pid) : 0;
}

/* Give an order without waiting for the answer; 0 or -errno. */
static inline int cg_child_tell(struct cg_child *c, char what, long n)
{
	struct cg_order o = { .what = what, .n = n };

	return send(c->fd, &o, sizeof(o), MSG_NOSIGNAL) == sizeof(o) ? 0 : -errno;
}

static inline long cg_child_answer(struct cg_child *c, long ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	long answer;

	if (poll(&p, 1, ms) != 1)
		return -ETIMEDOUT;
	return recv(c->fd, &answer, sizeof(answer), MSG_DONTWAIT) == sizeof(answer) ?
	       answer : -EPIPE;
}

static inline long cg_child_do(struct cg_child *c, char what, long n)
{
	int err = cg_child_tell(c, what, n);

	return err ?: cg_child_answer(c, 30000 * scale);
}

static inline void cg_child_end(struct cg_child *c)
{
	if (c->pid > 0)
		reap(c->pid);
	if (c->pid)
		close(c->fd);
	c->pid = 0;
}

/*
 * How the child ended, as waitpid() puts it; -1 while it lives after @ms. It is
 * buried, so cg_child_end() has nothing left to kill.
 */
static inline int cg_child_status(struct cg_child *c, long ms)
{
	long end = now_ms() + ms;
	int status;

	while (waitpid(c->pid, &status, WNOHANG) != c->pid) {
		if (now_ms() > end)
			return -1;
		nap_ms(2);
	}
	close(c->fd);
	c->pid = 0;
	return status;
}

static inline int set_oom_score_adj(pid_t pid, long adj)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	return write_long(path, adj);
}

/* The value is from @low to @high, both included; TAP says what it was if not. */
#define expect_within(low, value, high, what) do {				\
	long __v = (value), __low = (low), __high = (high);			\
										\
	EXPECT_TRUE(__v >= __low && __v <= __high) {				\
		TH_LOG("%s is %ld, not from %ld to %ld", what, __v, __low, __high); \
	}									\
} while (0)

#endif /* PTFREE_TESTS_CG_H */
