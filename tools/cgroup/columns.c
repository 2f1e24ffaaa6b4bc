// SPDX-License-Identifier: GPL-2.0-only
/*
 * The columns of survey and top: what they are called, show and sort by
 */
#include <stdlib.h>
#include <string.h>

#include "ptfree.h"

#define TEXT(field)							\
static void text_##field(const struct holder *e, char *buf, size_t len)	\
{									\
	char size[16];							\
									\
	snprintf(buf, len, "%s", format_size(e->field, size));		\
}

#define LARGEST_FIRST(field)						\
static int compare_##field(const struct holder *a, const struct holder *b) \
{									\
	/* what is not known comes last */				\
	uint64_t x = a->field == UNKNOWN ? 0 : a->field;		\
	uint64_t y = b->field == UNKNOWN ? 0 : b->field;		\
									\
	return (x < y) - (x > y);					\
}

TEXT(mapped)
TEXT(resident)
TEXT(tables)
TEXT(high)
TEXT(max)
LARGEST_FIRST(mapped)
LARGEST_FIRST(resident)
LARGEST_FIRST(tables)

/* A limit that is none is not the largest one: lowest limits first. */
static int compare_lowest(uint64_t x, uint64_t y)
{
	return (x > y) - (x < y);
}

static int compare_limit_high(const struct holder *a, const struct holder *b)
{
	return compare_lowest(a->high, b->high);
}

static int compare_limit_max(const struct holder *a, const struct holder *b)
{
	return compare_lowest(a->max, b->max);
}

/* Page tables for each byte of memory: 0.2 % is what dense memory needs. */
static double ratio(const struct holder *e)
{
	if (e->tables == UNKNOWN || !e->resident)
		return 0;
	return 100.0 * e->tables / e->resident;
}

static void text_ratio(const struct holder *e, char *buf, size_t len)
{
	double r = ratio(e);

	if (!e->resident || e->tables == UNKNOWN)
		snprintf(buf, len, "-");
	else
		snprintf(buf, len, r < 99.95 ? "%.1f%%" : "%.0f%%", r);
}

static int compare_ratio(const struct holder *a, const struct holder *b)
{
	return (ratio(a) < ratio(b)) - (ratio(a) > ratio(b));
}

/*
 * "<": nobody has counted, it is not more than that. "~": about that, as nobody
 * knows which mappings keep their tables.
 */
static void text_freeable(const struct holder *e, char *buf, size_t len)
{
	const char *mark = "";
	char size[16];

	if (e->t.how == HOW_AT_MOST && e->t.freeable)
		mark = "<";
	else if (e->t.how == HOW_ESTIMATED)
		mark = "~";
	if (e->t.how == HOW_UNKNOWN)
		snprintf(buf, len, "-");
	else
		snprintf(buf, len, "%s%s", mark, format_size(e->t.freeable, size));
}

static int compare_freeable(const struct holder *a, const struct holder *b)
{
	return (a->t.freeable < b->t.freeable) - (a->t.freeable > b->t.freeable);
}

static void text_pid(const struct holder *e, char *buf, size_t len)
{
	snprintf(buf, len, "%d", e->pid);
}

static int compare_pid(const struct holder *a, const struct holder *b)
{
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static void text_user(const struct holder *e, char *buf, size_t len)
{
	snprintf(buf, len, "%s", e->user);
}

static int compare_user(const struct holder *a, const struct holder *b)
{
	return strcmp(a->user, b->user);
}

static void text_name(const struct holder *e, char *buf, size_t len)
{
	snprintf(buf, len, "%s", e->name);
	printable(buf);
}

static int compare_name(const struct holder *a, const struct holder *b)
{
	return strcmp(a->name, b->name);
}

static void text_cgroup(const struct holder *e, char *buf, size_t len)
{
	snprintf(buf, len, "%s", e->cgroup ? e->cgroup : "-");
	printable(buf);
}

static int compare_cgroup(const struct holder *a, const struct holder *b)
{
	return strcmp(a->cgroup ? a->cgroup : "", b->cgroup ? b->cgroup : "");
}

static void text_processes(const struct holder *e, char *buf, size_t len)
{
	snprintf(buf, len, "%u", e->processes);
}

static int compare_processes(const struct holder *a, const struct holder *b)
{
	return (a->processes < b->processes) - (a->processes > b->processes);
}

const struct column process_columns[] = {
	{ "pid", "PID", 7, text_pid, compare_pid },
	{ "user", "USER", -8, text_user, compare_user },
	{ "mapped", "MAPPED", 7, text_mapped, compare_mapped },
	{ "resident", "RESIDENT", 8, text_resident, compare_resident },
	{ "tables", "TABLES", 7, text_tables, compare_tables },
	{ "ratio", "TAB/RES", 7, text_ratio, compare_ratio },
	{ "freeable", "FREEABLE", 8, text_freeable, compare_freeable },
	{ "command", "COMMAND", -15, text_name, compare_name },
	{ "cgroup", "CGROUP", -1, text_cgroup, compare_cgroup },
	{}
};

const struct column cgroup_columns[] = {
	{ "processes", "PROCS", 6, text_processes, compare_processes },
	{ "mapped", "MAPPED", 7, text_mapped, compare_mapped },
	{ "resident", "RESIDENT", 8, text_resident, compare_resident },
	{ "tables", "TABLES", 7, text_tables, compare_tables },
	{ "ratio", "TAB/RES", 7, text_ratio, compare_ratio },
	{ "freeable", "FREEABLE", 8, text_freeable, compare_freeable },
	{ "high", "HIGH", 7, text_high, compare_limit_high },
	{ "max", "MAX", 7, text_max, compare_limit_max },
	{ "cgroup", "CGROUP", -1, text_name, compare_name },
	{}
};

const struct column *column_find(const struct column *columns, const char *key)
{
	for (; columns->key; columns++)
		if (!strcmp(columns->key, key))
			return columns;
	return NULL;
}

void column_keys(const struct column *columns, char *buf, size_t len)
{
	size_t have = 0;

	*buf = 0;
	for (; columns->key && have < len; columns++)
		have += snprintf(buf + have, len - have, "%s%s", have ? ", " : "", columns->key);
}

static const struct column *sort_column;
static int sort_sign;

static int compare_entries(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;
	int order = sort_sign * sort_column->compare(x, y);

	/* Lines must not change places from one look to the next without need. */
	if (!order)
		order = strcmp(x->name, y->name);
	return order ? order : (x->pid > y->pid) - (x->pid < y->pid);
}

void list_sort(struct list *list, const struct column *by, bool reverse)
{
	sort_column = by;
	sort_sign = reverse ? -1 : 1;
	if (list->nr)
		qsort(list->e, list->nr, sizeof(*list->e), compare_entries);
}

/* "/" before "-": children come right behind their parent. */
static int compare_tree(const void *a, const void *b)
{
	const char *x = ((const struct holder *)a)->name, *y = ((const struct holder *)b)->name;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (!*x || !*y)
		return !!*x - !!*y;
	if (*x == '/' || *y == '/')
		return *x == '/' ? -1 : 1;
	return (unsigned char)*x - (unsigned char)*y;
}

void list_tree(struct list *groups)
{
	if (groups->nr)
		qsort(groups->e, groups->nr, sizeof(*groups->e), compare_tree);
}

static size_t add(char *buf, size_t have, size_t len, int width, const char *text)
{
	int n;

	if (have >= len)
		return have;
	if (width == -1)
		n = snprintf(buf + have, len - have, "%s", text);
	else if (width < 0)
		n = snprintf(buf + have, len - have, "%-*.*s ", -width, -width, text);
	else
		n = snprintf(buf + have, len - have, "%*s ", width, text);
	return have + n;
}

void line_header(const struct column *columns, char *buf, size_t len)
{
	size_t have = 0;

	for (; columns->key; columns++)
		have = add(buf, have, len, columns->width, columns->title);
}

void line_entry(const struct column *columns, const struct holder *e, bool tree,
		char *buf, size_t len)
{
	size_t have = 0;
	char cell[4096];

	for (; columns->key; columns++) {
		const char *slash;

		columns->text(e, cell, sizeof(cell));
		slash = strrchr(cell, '/');
		if (columns->width == -1 && tree && slash && slash[1]) {
			snprintf(buf + have, len - have, "%*s%s", 2 * e->depth, "", slash + 1);
			break;
		}
		have = add(buf, have, len, columns->width, cell);
	}
}

/* The same for the columns, as numbers of bytes, and what has no column. */
json_t *entry_json(const struct column *columns, const struct holder *e)
{
	bool process = columns == process_columns;
	json_t *o;

	o = json_pack("{so so so so}",
		      "mapped", json_bytes(e->mapped), "resident", json_bytes(e->resident),
		      "swap", json_bytes(e->swap), "tables", json_bytes(e->tables));
	json_object_set_new(o, "freeable_known", json_string(how_name(e->t.how)));
	json_object_set_new(o, "freeable", e->t.how == HOW_UNKNOWN ? json_null() :
			    json_bytes(e->t.freeable));
	json_object_set_new(o, "freeable_min", e->t.how == HOW_UNKNOWN ? json_null() :
			    json_bytes(e->t.freeable_min));
	if (process) {
		json_object_set_new(o, "pid", json_integer(e->pid));
		json_object_set_new(o, "uid", json_integer(e->uid));
		json_object_set_new(o, "user", json_text(e->user));
		json_object_set_new(o, "command", json_text(e->name));
		json_object_set_new(o, "cgroup", e->cgroup ? json_text(e->cgroup) : json_null());
		return o;
	}
	json_object_set_new(o, "cgroup", json_text(e->name));
	json_object_set_new(o, "processes", json_integer(e->processes));
	json_object_set_new(o, "peak", json_bytes(e->peak));
	json_object_set_new(o, "high", json_bytes(e->high));
	json_object_set_new(o, "max", json_bytes(e->max));
	if (e->over_high != UNKNOWN)
		json_object_set_new(o, "events",
			json_pack("{sI sI sI sI}", "high", (json_int_t)e->over_high,
				  "max", (json_int_t)e->over_max, "oom", (json_int_t)e->oom,
				  "oom_kill", (json_int_t)e->oom_kill));
	return o;
}
