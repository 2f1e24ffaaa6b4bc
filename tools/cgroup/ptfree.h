/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ptfree(8): who holds how much page table, and budgets for it.
 *
 * Sizes are bytes everywhere; NO_LIMIT is `max`, UNKNOWN what could not be read.
 */
#ifndef PTFREE_H
#define PTFREE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PTFREE_VERSION	"1.0"

#define NO_LIMIT	UINT64_MAX
#define UNKNOWN		(UINT64_MAX - 1)
#define TABLE		4096ULL		/* what one page table costs */

/* Exit codes; the man page has them too. */
enum {
	CODE_OK,
	CODE_NO,	/* the answer is no: freed less, a budget is not in force */
	CODE_USAGE,
	CODE_FEATURE,	/* the kernel has no budgets for page tables, or they are off */
	CODE_TARGET,	/* no such cgroup, unit or process */
	CODE_SYSTEM,	/* a file could not be read or written */
};

/* util.c */
void die(int code, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define array_grow(array, nr)	array_room(array, nr, sizeof(*(array)))
void *array_room(void *array, size_t nr, size_t size);

char *read_text(const char *path, size_t *len);
int write_text(const char *path, const char *text);
uint64_t key_value(const char *text, const char *key);
uint64_t file_value(const char *path, const char *key);
int parse_size(const char *text, uint64_t *bytes);
bool looks_like_size(const char *text);
const char *format_size(uint64_t bytes, char buf[16]);
void printable(char *text);
char *printable_copy(const char *text);
char *utf8_copy(const char *text);
unsigned long parse_count(const char *what, const char *text, unsigned long max);
double parse_seconds(const char *what, const char *text, double min);
double now_seconds(void);
void finish_output(void);

/* json.c */
json_t *json_text(const char *s);
json_t *json_bytes(uint64_t bytes);
void json_print(json_t *object, bool indent);

/*
 * How well `freeable` is known, the worst first: not at all; as an upper bound from
 * the resident memory of the process; from its entries, where it was not looked up
 * which mappings keep their tables; from its entries, with that. Only the last is
 * the same as freeable_min, which is 0 for the others.
 */
enum how { HOW_UNKNOWN, HOW_AT_MOST, HOW_ESTIMATED, HOW_COUNTED };
const char *how_name(enum how how);

/* tables.c: the page tables of a process that hold nothing */
struct tables {
	uint64_t freeable_min, freeable;
	enum how how;
};

/* To read smaps costs the process more the more tables it has. */
enum scan {
	SCAN_NONE,
	SCAN_QUICK,		/* without smaps */
	SCAN_USUAL,		/* with smaps of small processes */
	SCAN_THOROUGH,		/* of all */
};

void tables_guess(uint64_t pte, uint64_t resident, uint64_t swap, struct tables *t);
int tables_count(pid_t pid, uint64_t pte, enum scan mode, double until, struct tables *t);

/* A line of the tables: a process or a cgroup */
struct holder {
	char *name;		/* command, or path of the cgroup */
	char *cgroup;		/* of a process */
	char *user;
	pid_t pid;
	uid_t uid;
	unsigned long long start;
	int depth, parent;	/* of a cgroup; parent: index, -1 for the root */
	unsigned int processes;
	uint64_t mapped, resident, swap, tables;
	struct tables t;
	uint64_t high, max, peak;
	uint64_t over_high, over_max, oom, oom_kill;
	uint64_t scanned, freed, refaulted;	/* tables, from memory.stat */
};

struct list {
	struct holder *e;
	size_t nr;
};

void list_clear(struct list *list);

/* proc.c */
void proc_read(struct list *procs);
void proc_scan(struct list *procs, enum scan mode, double seconds, struct list *before);
char *proc_cgroup(pid_t pid);

/* cgroup.c */
const char *cgroup_root(void);
char *cgroup_file(const char *cgroup, const char *file);
uint64_t cgroup_number(const char *cgroup, const char *file);
bool cgroup_has(const char *cgroup, const char *file);
bool cgroup_exists(const char *cgroup);
void cgroup_read(struct list *groups);
void cgroup_add(struct list *groups, const struct list *procs);
void cgroup_walk(const char *cgroup, void (*fn)(const char *cgroup, void *arg), void *arg);
bool cgroup_below(const char *cgroup, const char *top);

/* target.c */
char *target_cgroup(const char *target, bool user_bus);
bool target_is_unit(const char *target);

/* bus.c */
char *bus_unit_cgroup(const char *name, bool user_bus, char **why);
bool bus_unit_limit(const char *name, bool user_bus, const char *property, uint64_t *bytes);
bool bus_unit_set_limit(const char *name, bool user_bus, const char *property, uint64_t bytes,
			char **why);

/* columns.c */
struct column {
	const char *key, *title;
	int width;	/* below 0: to the left; the last one takes what is left */
	void (*text)(const struct holder *e, char *buf, size_t len);
	int (*compare)(const struct holder *a, const struct holder *b);
};

extern const struct column process_columns[], cgroup_columns[];
const struct column *column_find(const struct column *columns, const char *key);
void column_keys(const struct column *columns, char *buf, size_t len);
void list_sort(struct list *list, const struct column *by, bool reverse);
void list_tree(struct list *groups);
void line_header(const struct column *columns, char *buf, size_t len);
void line_entry(const struct column *columns, const struct holder *e, bool tree,
		char *buf, size_t len);
json_t *entry_json(const struct column *columns, const struct holder *e);

/* survey.c */
struct machine {
	uint64_t total, tables, counted, freeable, freeable_min;
	unsigned int processes, counted_processes;
	enum how how;		/* of the process that is known worst */
};

void machine_read(struct machine *m, const struct list *procs);
void machine_line(const struct machine *m, char *buf, size_t len);
json_t *survey_json(const struct machine *m, const struct list *procs,
		    const struct list *groups, size_t lines);

/* feature.c */
struct feature {
	bool cgroup2, files, limits, off;
	long mode;		/* vm.freept, -1: no such sysctl */
	const char *reason;	/* why there are no budgets, or NULL */
};

void feature_read(struct feature *f);
int need_feature(const char *cgroup, const char *file);

/* units.c: budgets that unit files ask for */
struct budget {
	char *unit, *cgroup, *key, *file;
	uint64_t bytes, in_force;
	bool native;		/* a key of systemd's own, */
	bool unheard;		/* which this one does not know */
	bool other_type;	/* of a unit that ptfree-systemd leaves alone */
	bool active, bad;
};

bool unit_with_cgroup(const char *unit, const char **section);
size_t units_budgets(struct budget **budgets);

/* The commands. argv[0] is the command's name. */
int cmd_survey(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_reclaim(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_status(int argc, char **argv);
void usage_error(const char *command) __attribute__((noreturn));
void command_help(const char *command) __attribute__((noreturn));

#endif
