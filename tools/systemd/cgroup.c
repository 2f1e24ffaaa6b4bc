// SPDX-License-Identifier: GPL-2.0-only
/* The control group of a unit: where it is, and writing a budget to it. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ptfree-systemd.h"

/*
 * On the control group: which of its files were written for a unit file, and, as
 * a second attribute, that the journal has been told why they were not. Of the
 * system's units only root may say so: who owns a delegated group could lift its
 * budget otherwise.
 */
static const char *mark_name(void)
{
	char *cgroup = own_cgroup();
	bool user = getuid() || (cgroup && cgroup_of_user(cgroup));

	free(cgroup);
	return user ? "user.ptfree" : "trusted.ptfree";
}

static char *told_name(void)
{
	return str("%s.told", mark_name());
}

/* When a unit starts, ptfree-apply.service may look at it at the same time. */
static bool first_to_tell(const char *dir)
{
	char *name = told_name();
	bool first = !setxattr(dir, name, "1", 1, XATTR_CREATE) || errno != EEXIST;

	free(name);
	return first;
}

static void tell_again(const char *dir)
{
	char *name = told_name();

	removexattr(dir, name);
	free(name);
}

static const char *mount_point(void)
{
	return access("/sys/fs/cgroup/cgroup.controllers", F_OK) ?
		"/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
}

/*
 * The control group of this process in the unified hierarchy, NULL without one.
 * Control processes of a unit with Delegate= run in a group below the unit's.
 */
char *own_cgroup(void)
{
	static const char below[] = "/.control";
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL, *found = NULL;
	size_t size = 0;
	ssize_t len;

	while (f && !found && (len = getline(&line, &size, f)) > 0) {
		line[len - 1] = 0;
		if (!strncmp(line, "0::/", 4))
			found = must(strdup(line + 3));
	}
	if (f)
		fclose(f);
	free(line);
	if (found) {
		size_t n = strlen(found), m = strlen(below);

		if (n > m && !strcmp(found + n - m, below))
			found[n - m] = 0;
	}
	return found;
}

static int get_mark(const char *dir)
{
	char text[64];
	ssize_t len = getxattr(dir, mark_name(), text, sizeof(text) - 1);
	int mark = 0;

	if (len < 0)
		return 0;
	text[len] = 0;
	for (int i = 0; i < NR_KEYS; i++)
		if (strstr(text, keys[i].file))
			mark |= 1 << i;
	return mark;
}

static void set_mark(const char *dir, int mark)
{
	char text[64] = "";

	if (!mark) {
		removexattr(dir, mark_name());
		return;
	}
	for (int i = 0; i < NR_KEYS; i++) {
		if (mark & 1 << i) {
			strcat(text, keys[i].file);
			strcat(text, " ");
		}
	}
	setxattr(dir, mark_name(), text, strlen(text), 0);
}

bool cgroup_marked(const char *cgroup)
{
	char *dir = str("%s%s", mount_point(), cgroup);
	bool marked = get_mark(dir);

	free(dir);
	return marked;
}

/* A unit of a user's manager: below the service that the manager is, root's too. */
bool cgroup_of_user(const char *cgroup)
{
	const char *manager = strstr(cgroup, "/user@");

	return manager && strchr(manager + 1, '/');
}

/* From now on the generator has `apply` look at each daemon-reload. */
static void set_used(const char *cgroup)
{
	const char *run = "/run";
	char *dir, *path;
	int fd;

	if (cgroup_of_user(cgroup))
		run = getenv("XDG_RUNTIME_DIR");
	if (!run)
		return;
	dir = str("%s/ptfree", run);
	path = str("%s/used", dir);
	mkdir(dir, 0755);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
	free(path);
	free(dir);
}

static int write_value(const char *dir, const char *file, uint64_t value)
{
	char *path = str("%s/%s", dir, file);
	char *text = value == LIMIT_MAX ? must(strdup("max")) : str("%" PRIu64, value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(text);
	free(path);
	return r;
}

/* Why a file of ours is not there. */
static const char *missing(const char *dir)
{
	char *path = str("%s/memory.max", dir);
	bool memory = !access(path, F_OK);

	free(path);
	if (access(dir, F_OK))
		return "its control group is gone";
	return memory ? "this kernel has no page-table budgets" :
		"the memory controller is not enabled for it";
}

/*
 * Put what the unit file says into effect; a file that was written before and
 * is no longer asked for goes back to "max". Without a unit the values come
 * from a command line and nobody takes them back. Returns 0, or a negative
 * error when the unit must not start.
 */
int cgroup_apply(const char *unit, const char *cgroup, const struct settings *s)
{
	char *dir = str("%s%s", mount_point(), cgroup);
	int mark = unit ? get_mark(dir) : 0, old = mark, ret = 0;
	const char *must_have = s->required ? ", and the budget is required" : "";
	const char *name = unit ? unit : cgroup;

	for (int i = 0; i < NR_KEYS; i++) {
		bool ours = s->set[i] && !s->native[i];
		int r;

		if (!ours && !(mark & 1 << i))
			continue;
		/* A native key has taken over: what it wrote stays. */
		if (s->native[i]) {
			mark &= ~(1 << i);
			continue;
		}
		r = write_value(dir, keys[i].file, ours ? s->limit[i] : LIMIT_MAX);
		if (!r) {
			mark = ours ? mark | 1 << i : mark & ~(1 << i);
			tell_again(dir);
			continue;
		}
		if (!ours)
			continue;
		ret = r;
		if (r != -ENOENT) {
			say(SAY_ERROR, "%s: cannot write %s/%s: %s", name, dir, keys[i].file,
			    strerror(-r));
			continue;
		}
		/* One line is enough where the kernel has neither file, or at a reload. */
		if (!unit || first_to_tell(dir))
			say(s->required ? SAY_ERROR : SAY_WARNING,
			    "%s: no budget for page tables: %s%s", name, missing(dir), must_have);
		break;
	}
	if (unit && mark != old) {
		set_mark(dir, mark);
		if (mark)
			set_used(cgroup);
	}
	free(dir);
	if (s->bad && s->required && !ret) {
		say(SAY_ERROR, "%s: a setting for page tables is wrong%s", name, must_have);
		ret = -EINVAL;
	}
	return s->required ? ret : 0;
}
