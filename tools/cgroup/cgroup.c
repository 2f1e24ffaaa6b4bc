// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control groups, version 2
 *
 * A cgroup is named by its path below the mount point, as /proc/PID/cgroup does:
 * "/system.slice/foo.service"; the root is "/".
 */
#include <dirent.h>
#include <errno.h>
#include <mntent.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptfree.h"

/* Where cgroup v2 is mounted, or NULL. On a hybrid host that is a folder below. */
const char *cgroup_root(void)
{
	static char *root;
	static bool looked;
	struct mntent *m;
	FILE *mounts;

	if (looked)
		return root;
	looked = true;
	mounts = setmntent("/proc/self/mounts", "r");
	if (!mounts)
		return NULL;
	while (!root && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			root = xstrdup(m->mnt_dir);
	endmntent(mounts);
	return root;
}

char *cgroup_file(const char *cgroup, const char *file)
{
	const char *root = cgroup_root();

	if (!root)
		die(CODE_FEATURE, "no cgroup v2 is mounted (/proc/self/mounts)");
	return xasprintf("%s%s/%s", root, strcmp(cgroup, "/") ? cgroup : "", file);
}

/* What the file holds: a number, NO_LIMIT for `max`, UNKNOWN without the file. */
uint64_t cgroup_number(const char *cgroup, const char *file)
{
	char *path = cgroup_file(cgroup, file), *text;
	uint64_t n;

	text = read_text(path, NULL);
	free(path);
	if (!text)
		return UNKNOWN;
	n = !strncmp(text, "max", 3) ? NO_LIMIT : strtoull(text, NULL, 10);
	free(text);
	return n;
}

bool cgroup_has(const char *cgroup, const char *file)
{
	char *path = cgroup_file(cgroup, file);
	bool has = !access(path, F_OK);

	free(path);
	return has;
}

bool cgroup_exists(const char *cgroup)
{
	return cgroup_has(cgroup, "cgroup.procs");
}

bool cgroup_below(const char *cgroup, const char *top)
{
	size_t len = strlen(top);

	if (!strcmp(top, "/"))
		return true;
	return !strncmp(cgroup, top, len) && (!cgroup[len] || cgroup[len] == '/');
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* @fn for the cgroup and all below it, in the order of their names. */
void cgroup_walk(const char *cgroup, void (*fn)(const char *cgroup, void *arg), void *arg)
{
	char *path = cgroup_file(cgroup, ""), **names = NULL;
	struct dirent *d;
	size_t nr = 0, i;
	DIR *dir;

	dir = opendir(path);
	free(path);
	/* gone meanwhile, or not for us */
	if (!dir)
		return;
	fn(cgroup, arg);
	while ((d = readdir(dir))) {
		if (d->d_type != DT_DIR || !strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		names = array_grow(names, nr);
		names[nr++] = xstrdup(d->d_name);
	}
	closedir(dir);
	if (nr)
		qsort(names, nr, sizeof(*names), by_name);
	for (i = 0; i < nr; i++) {
		path = xasprintf("%s/%s", strcmp(cgroup, "/") ? cgroup : "", names[i]);
		cgroup_walk(path, fn, arg);
		free(path);
		free(names[i]);
	}
	free(names);
}

static int depth_of(const char *cgroup)
{
	int depth = 0;

	if (!strcmp(cgroup, "/"))
		return 0;
	for (; *cgroup; cgroup++)
		depth += *cgroup == '/';
	return depth;
}

static void read_events(struct holder *e)
{
	char *path = cgroup_file(e->name, "memory.pt.events"), *text;

	text = read_text(path, NULL);
	free(path);
	e->over_high = text ? key_value(text, "high") : UNKNOWN;
	e->over_max = text ? key_value(text, "max") : UNKNOWN;
	e->oom = text ? key_value(text, "oom") : UNKNOWN;
	e->oom_kill = text ? key_value(text, "oom_kill") : UNKNOWN;
	free(text);
}

static void add_group(const char *cgroup, void *arg)
{
	struct list *groups = arg;
	struct holder *e;
	char *path, *stat;
	int i;

	groups->e = array_grow(groups->e, groups->nr);
	e = &groups->e[groups->nr];
	*e = (struct holder) {
		.name = xstrdup(cgroup),
		.depth = depth_of(cgroup),
		.parent = -1,
		.tables = cgroup_number(cgroup, "memory.pt.current"),
		.peak = cgroup_number(cgroup, "memory.pt.peak"),
		.high = cgroup_number(cgroup, "memory.pt.high"),
		.max = cgroup_number(cgroup, "memory.pt.max"),
		.t = { .how = HOW_COUNTED },
	};
	path = cgroup_file(cgroup, "memory.stat");
	stat = read_text(path, NULL);
	free(path);
	e->scanned = stat ? key_value(stat, "ptscan") : UNKNOWN;
	e->freed = stat ? key_value(stat, "ptfree") : UNKNOWN;
	e->refaulted = stat ? key_value(stat, "ptrefault") : UNKNOWN;
	if (!strcmp(cgroup, "/"))
		e->tables = file_value("/proc/meminfo", "PageTables");
	else if (e->tables == UNKNOWN && stat)
		e->tables = key_value(stat, "pagetables");
	free(stat);
	read_events(e);

	/* The walk goes down first: the parent is the last one that is above. */
	for (i = groups->nr - 1; i >= 0; i--)
		if (groups->e[i].depth < e->depth && cgroup_below(cgroup, groups->e[i].name))
			break;
	e->parent = i;
	groups->nr++;
}

/* All cgroups, parents before their children; none where there is no cgroup v2. */
void cgroup_read(struct list *groups)
{
	*groups = (struct list) {};
	if (cgroup_root())
		cgroup_walk("/", add_group, groups);
}

/* glibc's hash table of names; hdestroy_r() leaves the names alone. */
static void index_names(struct list *groups, struct hsearch_data *index)
{
	ENTRY item, *slot;
	size_t i;

	*index = (struct hsearch_data) {};
	if (!hcreate_r(groups->nr * 2 + 1, index))
		die(CODE_SYSTEM, "out of memory");
	for (i = 0; i < groups->nr; i++) {
		item = (ENTRY) { .key = groups->e[i].name, .data = &groups->e[i] };
		hsearch_r(item, ENTER, &slot, index);
	}
}

static struct holder *find(struct hsearch_data *index, char *name)
{
	ENTRY item = { .key = name }, *slot;

	return hsearch_r(item, FIND, &slot, index) ? slot->data : NULL;
}

/*
 * Add what the processes have to their cgroups and those above. What is known
 * worst of a process is how well it is known of the cgroup.
 */
void cgroup_add(struct list *groups, const struct list *procs)
{
	struct hsearch_data index;
	size_t i;

	index_names(groups, &index);
	for (i = 0; i < procs->nr; i++) {
		const struct holder *p = &procs->e[i];
		struct holder *g = p->cgroup ? find(&index, p->cgroup) : NULL;

		for (; g; g = g->parent < 0 ? NULL : &groups->e[g->parent]) {
			g->processes++;
			g->mapped += p->mapped;
			g->resident += p->resident;
			g->swap += p->swap;
			g->t.freeable += p->t.freeable;
			g->t.freeable_min += p->t.freeable_min;
			if (p->t.how < g->t.how)
				g->t.how = p->t.how;
		}
	}
	hdestroy_r(&index);
}
