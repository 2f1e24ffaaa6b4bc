// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree survey: every process and every cgroup, once
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ptfree.h"

void machine_read(struct machine *m, const struct list *procs)
{
	char *text = read_text("/proc/meminfo", NULL);
	size_t i;

	if (!text)
		die(CODE_SYSTEM, "/proc/meminfo: %s", strerror(errno));
	*m = (struct machine) {
		.total = key_value(text, "MemTotal"),
		.tables = key_value(text, "PageTables"),
		.processes = procs->nr,
		.how = HOW_COUNTED,
	};
	free(text);
	for (i = 0; i < procs->nr; i++) {
		const struct holder *e = &procs->e[i];

		if (e->t.how == HOW_COUNTED)
			m->counted_processes++;
		if (e->t.how < m->how)
			m->how = e->t.how;
		m->freeable += e->t.freeable;
		m->freeable_min += e->t.freeable_min;
	}
}

void machine_line(const struct machine *m, char *buf, size_t len)
{
	char total[16], tables[16], freeable[16];
	const char *about = "";

	if (m->how == HOW_ESTIMATED)
		about = "about ";
	else if (m->how != HOW_COUNTED)
		about = "at most ";
	snprintf(buf, len, "Memory %s, page tables %s (%.2f%%), freeable %s%s "
		 "(counted in %u of %u processes)",
		 format_size(m->total, total), format_size(m->tables, tables),
		 100.0 * m->tables / m->total,
		 about, format_size(m->freeable, freeable), m->counted_processes, m->processes);
}

static json_t *list_json(const struct column *columns, const struct list *list, size_t lines)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < list->nr && i < lines; i++)
		json_array_append_new(array, entry_json(columns, &list->e[i]));
	return array;
}

/* Lists that are NULL are left out. */
json_t *survey_json(const struct machine *m, const struct list *procs,
		    const struct list *groups, size_t lines)
{
	json_t *doc = json_object();

	json_object_set_new(doc, "memory", json_bytes(m->total));
	json_object_set_new(doc, "tables", json_bytes(m->tables));
	json_object_set_new(doc, "freeable", json_bytes(m->freeable));
	json_object_set_new(doc, "freeable_min", json_bytes(m->freeable_min));
	if (procs)
		json_object_set_new(doc, "processes", list_json(process_columns, procs, lines));
	if (groups)
		json_object_set_new(doc, "cgroups", list_json(cgroup_columns, groups, lines));
	return doc;
}

static void list_print(const struct column *columns, const struct list *list, size_t lines)
{
	char line[8192];
	size_t i;

	line_header(columns, line, sizeof(line));
	puts(line);
	for (i = 0; i < list->nr && i < lines; i++) {
		line_entry(columns, &list->e[i], false, line, sizeof(line));
		puts(line);
	}
}

struct filter {
	char **cgroups;
	size_t nr;
};

static bool wanted(const struct filter *f, const char *cgroup)
{
	size_t i;

	for (i = 0; i < f->nr; i++)
		if (cgroup && cgroup_below(cgroup, f->cgroups[i]))
			return true;
	return !f->nr;
}

/* Processes that are of no interest are not looked at, so this is done first. */
static void keep_processes(struct list *list, const struct filter *f)
{
	size_t from, to = 0;

	for (from = 0; from < list->nr; from++) {
		struct holder *e = &list->e[from];

		if (wanted(f, e->cgroup)) {
			list->e[to++] = *e;
			continue;
		}
		free(e->name);
		free(e->cgroup);
	}
	list->nr = to;
}

static void keep_groups(struct list *list, const struct filter *f)
{
	size_t from, to = 0;

	for (from = 0; from < list->nr; from++) {
		if (wanted(f, list->e[from].name))
			list->e[to++] = list->e[from];
		else
			free(list->e[from].name);
	}
	list->nr = to;
}

static const struct column *sort_by(const struct column *columns, const char *key, bool must)
{
	const struct column *c = column_find(columns, key);
	char keys[256];

	if (!c && must) {
		column_keys(columns, keys, sizeof(keys));
		die(CODE_USAGE, "--sort: no column %s; there are %s", key, keys);
	}
	return c ? c : column_find(columns, "tables");
}

int cmd_survey(int argc, char **argv)
{
	static const struct option options[] = {
		{ "processes", no_argument, NULL, 'p' },
		{ "cgroups", no_argument, NULL, 'g' },
		{ "sort", required_argument, NULL, 's' },
		{ "reverse", no_argument, NULL, 'r' },
		{ "lines", required_argument, NULL, 'n' },
		{ "quick", no_argument, NULL, 'q' },
		{ "thorough", no_argument, NULL, 'T' },
		{ "no-scan", no_argument, NULL, 'N' },
		{ "user", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	bool processes = false, cgroups = false, reverse = false, user = false, json = false;
	const struct column *by_process, *by_cgroup;
	enum scan mode = SCAN_USUAL;
	size_t lines = SIZE_MAX;
	const char *sort = "tables";
	struct list procs, groups;
	struct filter filter = {};
	struct machine machine;
	char line[512];
	int opt;

	while ((opt = getopt_long(argc, argv, "pgs:rn:qTNujh", options, NULL)) != -1) {
		switch (opt) {
		case 'p':
			processes = true;
			break;
		case 'g':
			cgroups = true;
			break;
		case 's':
			sort = optarg;
			break;
		case 'r':
			reverse = true;
			break;
		case 'n':
			lines = parse_count("--lines", optarg, 1000000000);
			break;
		case 'q':
			mode = SCAN_QUICK;
			break;
		case 'T':
			mode = SCAN_THOROUGH;
			break;
		case 'N':
			mode = SCAN_NONE;
			break;
		case 'u':
			user = true;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			command_help(argv[0]);
		default:
			usage_error(argv[0]);
		}
	}
	if (!processes && !cgroups)
		processes = cgroups = true;
	by_process = sort_by(process_columns, sort, processes && !cgroups);
	by_cgroup = sort_by(cgroup_columns, sort, cgroups && !processes);
	if (!column_find(process_columns, sort))
		sort_by(cgroup_columns, sort, true);

	for (; optind < argc; optind++) {
		filter.cgroups = array_grow(filter.cgroups, filter.nr);
		filter.cgroups[filter.nr++] = target_cgroup(argv[optind], user);
	}
	proc_read(&procs);
	keep_processes(&procs, &filter);
	proc_scan(&procs, mode, 0, NULL);
	machine_read(&machine, &procs);
	cgroup_read(&groups);
	cgroup_add(&groups, &procs);
	keep_groups(&groups, &filter);
	list_sort(&procs, by_process, reverse);
	list_sort(&groups, by_cgroup, reverse);

	if (json) {
		json_print(survey_json(&machine, processes ? &procs : NULL,
				       cgroups ? &groups : NULL, lines), true);
	} else {
		machine_line(&machine, line, sizeof(line));
		puts(line);
		if (processes) {
			putchar('\n');
			list_print(process_columns, &procs, lines);
		}
		if (cgroups) {
			putchar('\n');
			list_print(cgroup_columns, &groups, lines);
		}
	}
	list_clear(&procs);
	list_clear(&groups);
	while (filter.nr)
		free(filter.cgroups[--filter.nr]);
	free(filter.cgroups);
	return CODE_OK;
}
