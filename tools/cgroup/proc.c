// SPDX-License-Identifier: GPL-2.0-only
/*
 * The processes of the machine
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "ptfree.h"

static char *user_name(uid_t uid)
{
	static uid_t *known;
	static char **names;
	static size_t nr;
	struct passwd *pw;
	size_t i;

	for (i = 0; i < nr; i++)
		if (known[i] == uid)
			return names[i];
	known = array_grow(known, nr);
	names = array_grow(names, nr);
	pw = getpwuid(uid);
	known[nr] = uid;
	names[nr] = pw ? xstrdup(pw->pw_name) : xasprintf("%u", uid);
	return names[nr++];
}

/* The cgroup v2 path of a process, or NULL. */
char *proc_cgroup(pid_t pid)
{
	char *path, *text, *line, *found = NULL;

	path = xasprintf("/proc/%d/cgroup", pid);
	text = read_text(path, NULL);
	free(path);
	if (!text)
		return NULL;
	for (line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (!strncmp(line, "0::", 3)) {
			found = line + 3;
			found[strcspn(found, "\n")] = 0;
			break;
		}
	}
	found = found ? xstrdup(found) : NULL;
	free(text);
	return found;
}

/* "Name:\tcat\n" of the status file */
static char *status_name(const char *status)
{
	const char *name = status + strlen("Name:\t");
	size_t len = strcspn(name, "\n");
	char *copy = xstrdup(name);

	copy[len] = 0;
	return copy;
}

/* Field 22 of stat; the name in field 2 may have anything in it. */
static unsigned long long start_time(pid_t pid)
{
	unsigned long long start = 0;
	char *path, *text, *p;
	int field;

	path = xasprintf("/proc/%d/stat", pid);
	text = read_text(path, NULL);
	free(path);
	if (!text)
		return 0;
	p = strrchr(text, ')');
	for (field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (p)
		start = strtoull(p, NULL, 10);
	free(text);
	return start;
}

/* False: it is gone, or has no memory of its own (a kernel thread, a zombie). */
static bool read_one(pid_t pid, struct holder *e)
{
	char *path, *status;
	const char *uid;

	path = xasprintf("/proc/%d/status", pid);
	status = read_text(path, NULL);
	free(path);
	if (!status)
		return false;
	*e = (struct holder) {
		.pid = pid,
		.processes = 1,
		.parent = -1,
		.mapped = key_value(status, "VmSize"),
		.resident = key_value(status, "VmRSS"),
		.swap = key_value(status, "VmSwap"),
		.tables = key_value(status, "VmPTE"),
		.high = UNKNOWN,
		.max = UNKNOWN,
		.peak = UNKNOWN,
	};
	uid = strstr(status, "\nUid:");
	if (e->mapped == UNKNOWN || e->tables == UNKNOWN || !uid) {
		free(status);
		return false;
	}
	if (e->resident == UNKNOWN)
		e->resident = 0;
	if (e->swap == UNKNOWN)
		e->swap = 0;
	e->uid = strtoul(uid + 5, NULL, 10);
	e->user = user_name(e->uid);
	e->name = status_name(status);
	e->start = start_time(pid);
	e->cgroup = proc_cgroup(pid);
	free(status);
	return true;
}

/* Whatever may be read of /proc; with hidepid= that is less than all. */
void proc_read(struct list *procs)
{
	struct dirent *d;
	DIR *dir;

	*procs = (struct list) {};
	dir = opendir("/proc");
	if (!dir)
		die(CODE_SYSTEM, "/proc: %s", strerror(errno));
	while ((d = readdir(dir))) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		procs->e = array_grow(procs->e, procs->nr);
		if (read_one(atoi(d->d_name), &procs->e[procs->nr]))
			procs->nr++;
	}
	closedir(dir);
}

static int by_tables(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;

	return (x->tables < y->tables) - (x->tables > y->tables);
}

static int by_pid(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Pointers to all of the list, in the order of @compare. */
static struct holder **sorted(struct list *list, int (*compare)(const void *a, const void *b))
{
	struct holder **order = xrealloc(NULL, (list->nr + 1) * sizeof(*order));
	size_t i;

	for (i = 0; i < list->nr; i++)
		order[i] = &list->e[i];
	qsort(order, list->nr, sizeof(*order), compare);
	return order;
}

/* The same process as in the list before, with the same figures? */
static const struct holder *unchanged(const struct holder *e, struct holder **before, size_t nr)
{
	struct holder **found = NULL;

	if (nr)
		found = bsearch(&e, before, nr, sizeof(*before), by_pid);
	if (!found || (*found)->start != e->start || (*found)->tables != e->tables ||
	    (*found)->resident != e->resident || (*found)->mapped != e->mapped ||
	    (*found)->t.how < HOW_ESTIMATED)
		return NULL;
	return *found;
}

/*
 * Find out what could be freed, for the processes with the most tables first,
 * for no longer than @seconds (0: for all). The others get the upper bound. What
 * has not changed since @before keeps its figures.
 */
void proc_scan(struct list *procs, enum scan mode, double seconds, struct list *before)
{
	double end = now_seconds() + seconds;
	struct holder **order = sorted(procs, by_tables);
	struct holder **known = before ? sorted(before, by_pid) : NULL;
	bool able = mode != SCAN_NONE;
	size_t i;

	for (i = 0; i < procs->nr; i++) {
		struct holder *e = order[i];
		const struct holder *same = unchanged(e, known, before ? before->nr : 0);
		int err;

		tables_guess(e->tables, e->resident, e->swap, &e->t);
		if (same) {
			e->t = same->t;
			continue;
		}
		if (!able || (seconds && now_seconds() > end))
			continue;
		err = tables_count(e->pid, e->tables, mode, seconds ? end : 0, &e->t);
		/* a kernel before 6.7 knows it for none */
		if (err == -ENOTTY)
			able = false;
	}
	free(order);
	free(known);
}

void list_clear(struct list *list)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		free(list->e[i].name);
		free(list->e[i].cgroup);
	}
	free(list->e);
	*list = (struct list) {};
}
