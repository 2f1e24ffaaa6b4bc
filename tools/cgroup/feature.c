// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the running kernel can do
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ptfree.h"

/* A word of the kernel's command line, as "freept=off" */
static bool booted_with(const char *word)
{
	char *text = read_text("/proc/cmdline", NULL), *rest = text, *w;
	bool found = false;

	while (rest && (w = strsep(&rest, " \n")))
		found |= !strcmp(w, word);
	free(text);
	return found;
}

/* "cgroup_disable=memory,cpuset": the values are a list */
static bool boot_list(const char *key, const char *value)
{
	char *text = read_text("/proc/cmdline", NULL), *rest = text, *w, *v;
	size_t len = strlen(key);
	bool found = false;

	while (rest && (w = strsep(&rest, " \n"))) {
		if (strncmp(w, key, len) || w[len] != '=')
			continue;
		w += len + 1;
		while ((v = strsep(&w, ",")))
			found |= !strcmp(v, value);
	}
	free(text);
	return found;
}

static void find_limits(const char *cgroup, void *arg)
{
	bool *found = arg;

	if (!*found && strcmp(cgroup, "/"))
		*found = cgroup_has(cgroup, "memory.pt.max");
}

static bool memory_controller(void)
{
	char *path = cgroup_file("/", "cgroup.controllers");
	char *text = read_text(path, NULL), *rest = text, *w;
	bool found = false;

	while (rest && (w = strsep(&rest, " \n")))
		found |= !strcmp(w, "memory");
	free(text);
	free(path);
	return found;
}

void feature_read(struct feature *f)
{
	char *text;

	*f = (struct feature) { .mode = -1 };
	text = read_text("/proc/sys/vm/freept", NULL);
	if (text)
		f->mode = strtol(text, NULL, 10);
	free(text);
	f->off = booted_with("freept=off");
	f->cgroup2 = cgroup_root();
	if (f->cgroup2) {
		f->files = cgroup_has("/", "memory.pt_reclaim");
		cgroup_walk("/", find_limits, &f->limits);
	}
	if (f->files)
		f->reason = f->off ? "booted with freept=off: no page table is freed, limits are "
			"accepted and not enforced" : NULL;
	else if (f->mode < 0)
		f->reason = "this kernel does not have ptfree (no /proc/sys/vm/freept)";
	else if (boot_list("cgroup_disable", "memory"))
		f->reason = "booted with cgroup_disable=memory: there is no memory controller";
	else if (boot_list("cgroup.memory", "nokmem"))
		f->reason = "booted with cgroup.memory=nokmem: page tables are not charged";
	else if (!f->cgroup2)
		f->reason = "no cgroup v2 is mounted (/proc/self/mounts)";
	else if (!memory_controller())
		f->reason = "the memory controller is not one of cgroup v2 (cgroup.controllers)";
	else
		f->reason = "this kernel was built without CONFIG_MEMCG_PTFREE";
}

/* Before a write: say it in words where the file cannot be there. 0 or an exit code. */
int need_feature(const char *cgroup, const char *file)
{
	struct feature f;
	char *path;
	int code = CODE_TARGET;

	if (cgroup_has(cgroup, file))
		return CODE_OK;
	feature_read(&f);
	path = cgroup_file(cgroup, file);
	if (!f.files) {
		warn("%s: %s", path, f.reason);
		code = CODE_FEATURE;
	} else if (!strcmp(cgroup, "/")) {
		warn("%s: the root cgroup has no limits", path);
	} else {
		warn("%s: the memory controller is not enabled for this cgroup "
		     "(cgroup.subtree_control of its parent)", path);
	}
	free(path);
	return code;
}
