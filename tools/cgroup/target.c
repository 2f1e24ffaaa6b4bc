// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which cgroup somebody means: a path, a systemd unit, or a process
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "ptfree.h"

struct search {
	const char *name;
	char *found;
	bool twice;
};

static void match(const char *cgroup, void *arg)
{
	struct search *s = arg;

	if (strcmp(strrchr(cgroup, '/') + 1, s->name))
		return;
	if (s->found)
		s->twice = true;
	else
		s->found = xstrdup(cgroup);
}

/*
 * The cgroup of a unit: as systemd says, or, where nobody answers, the one of
 * that name. NULL and *@why without.
 */
static char *unit_cgroup(const char *unit, bool user_bus, char **why)
{
	struct search search = { .name = unit };
	char *cgroup;

	*why = NULL;
	cgroup = bus_unit_cgroup(unit, user_bus, why);
	if (cgroup && *cgroup)
		return cgroup;
	if (cgroup) {
		/* -.slice has an empty path on some versions, the others do not run */
		free(cgroup);
		if (!strcmp(unit, "-.slice"))
			return xstrdup("/");
		if (!*why)
			*why = xstrdup("the unit is not running");
		return NULL;
	}
	if (cgroup_root())
		cgroup_walk("/", match, &search);
	if (search.found && !search.twice) {
		free(*why);
		*why = NULL;
		return search.found;
	}
	if (search.twice) {
		free(*why);
		*why = xstrdup("several cgroups have this name, give the path");
	}
	free(search.found);
	return NULL;
}

static char *path_cgroup(const char *target)
{
	const char *root = cgroup_root();
	char *real, *cgroup;
	struct statfs fs;

	if (!root)
		die(CODE_FEATURE, "no cgroup v2 is mounted (/proc/self/mounts)");
	/* a path in the file system, or one below the mount point */
	real = realpath(target, NULL);
	if (real && !statfs(real, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC &&
	    cgroup_below(real, root)) {
		cgroup = xstrdup(real[strlen(root)] ? real + strlen(root) : "/");
		free(real);
	} else {
		free(real);
		while (*target == '/')
			target++;
		cgroup = xasprintf("/%s", target);
		while (strlen(cgroup) > 1 && cgroup[strlen(cgroup) - 1] == '/')
			cgroup[strlen(cgroup) - 1] = 0;
	}
	if (!cgroup_exists(cgroup)) {
		char *path = cgroup_file(cgroup, "cgroup.procs");

		die(CODE_TARGET, "%s: not a cgroup (%s: %s)", target, path, strerror(errno));
	}
	return cgroup;
}

static char *pid_cgroup(const char *target)
{
	unsigned long pid = parse_count("process", target, INT_MAX);
	char *cgroup = proc_cgroup(pid);

	if (!cgroup)
		die(CODE_TARGET, "process %s: /proc/%lu/cgroup: %s", target, pid,
		    errno ? strerror(errno) : "not in a cgroup of version 2");
	if (!cgroup_exists(cgroup))
		die(CODE_TARGET, "process %s: its cgroup %s is not visible from here",
		    target, cgroup);
	return cgroup;
}

bool target_is_unit(const char *target)
{
	return !strchr(target, '/') && unit_with_cgroup(target, NULL);
}

/* Does not come back with less than a cgroup. */
char *target_cgroup(const char *target, bool user_bus)
{
	char *cgroup, *why;

	if (!*target)
		die(CODE_TARGET, "a target is empty");
	if (!target[strspn(target, "0123456789")])
		return pid_cgroup(target);
	if (target_is_unit(target)) {
		cgroup = unit_cgroup(target, user_bus, &why);
		if (cgroup && cgroup_exists(cgroup))
			return cgroup;
		die(CODE_TARGET, "%s: %s", target, why ? why : "its cgroup is gone");
	}
	return path_cgroup(target);
}
