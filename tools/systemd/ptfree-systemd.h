/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PTFREE_SYSTEMD_H
#define PTFREE_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_MAX UINT64_MAX		/* "infinity", "max" in the cgroup's file */

/* The drop-in that the generator adds; sorts after whatever people call theirs. */
#define HOOK_FILE "~ptfree.conf"
/* In the generator's folder: units changed since `apply` has last looked. */
#define STAMP_FILE ".ptfree-reload"

enum { KEY_MAX, KEY_HIGH, NR_KEYS };

/* One of the two keys, as each of its names. */
struct key {
	const char *ours;		/* X-MemoryPageTableMax */
	const char *native;		/* MemoryPageTableMax */
	const char *file;		/* memory.pt.max */
};

extern const struct key keys[NR_KEYS];

/* What the files of one unit say; a later file overrides an earlier one. */
struct settings {
	uint64_t limit[NR_KEYS];
	bool set[NR_KEYS];
	bool native[NR_KEYS];		/* given with the name without X- */
	bool required;
	bool chroot;			/* RootDirectory= or RootImage= */
	bool start_only;		/* ... for ExecStart= alone */
	bool covered;			/* something is mounted over what we need */
	bool bad;			/* an assignment was passed over */
	bool any;			/* an assignment of ours was seen at all */
};

/* log.c */
enum level { SAY_ERROR = 3, SAY_WARNING = 4, SAY_INFO = 6 };

__attribute__((format(printf, 2, 3)))
void say(enum level level, const char *fmt, ...);
void say_about(const char *unit, const char *cgroup);
void *must(void *p);
__attribute__((format(printf, 1, 2)))
char *str(const char *fmt, ...);

/* unitfile.c */
int parse_limit(const char *text, uint64_t *limit);
int parse_bool(const char *text);
bool unit_section(const char *unit, const char **section);
int read_unit_file(const char *path, const char *section, bool quiet, struct settings *s);

/* generator.c */
int generator_main(int argc, char **argv);

/* cgroup.c */
char *own_cgroup(void);
int cgroup_apply(const char *unit, const char *cgroup, const struct settings *s);
bool cgroup_of_user(const char *cgroup);
bool cgroup_marked(const char *cgroup);

/* manager.c */
struct sd_bus;

int manager_open(struct sd_bus **bus);
int manager_settings(struct sd_bus *bus, const char *unit, struct settings *s, bool *hooked);
char *manager_cgroup(struct sd_bus *bus, const char *unit);
int manager_each_active(struct sd_bus *bus, int (*visit)(struct sd_bus *bus, const char *unit));

#endif
