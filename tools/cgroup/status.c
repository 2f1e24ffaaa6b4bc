// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree status: is the feature there, and are the budgets in force?
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "ptfree.h"

/* Why a configured budget does nothing, or NULL. */
static const char *missing(const struct budget *b, const struct feature *f)
{
	if (b->bad)
		return "an assignment is passed over: not a size, or in the wrong section";
	if (!b->active)
		return NULL;
	if (b->other_type)
		return "only services, slices and scopes have a key with X-";
	if (b->unheard)
		return "this systemd does not know the key, or cannot be asked";
	if (f->reason)
		return f->off ? "booted with freept=off" : "the kernel cannot";
	if (b->in_force == UNKNOWN)
		return "the cgroup has no such file";
	if (b->in_force != b->bytes)
		return "another limit is set";
	return NULL;
}

static const char *state(const struct budget *b, const struct feature *f)
{
	if (missing(b, f))
		return "NOT IN FORCE";
	return b->active ? "in force" : "not running";
}

static const char *mode_text(long mode)
{
	switch (mode) {
	case 0:
		return "no background work";
	case 1:
		return "background work where asked for";
	case 2:
		return "background work for every process";
	default:
		return "?";
	}
}

static bool has_limit(const struct holder *e)
{
	return (e->high != NO_LIMIT && e->high != UNKNOWN) ||
		(e->max != NO_LIMIT && e->max != UNKNOWN);
}

static void print_text(const struct feature *f, const char *release,
		       const struct budget *b, size_t nr, const struct list *groups)
{
	char want[16], now[16], high[16], max[16], usage[16];
	bool first = true;
	size_t i;

	printf("kernel:      %s\n", release);
	if (f->mode < 0)
		printf("vm.freept:   -\n");
	else
		printf("vm.freept:   %ld, %s\n", f->mode, mode_text(f->mode));
	printf("memory.pt.*: %s\n", f->files ? "yes" : "no");
	printf("state:       %s\n", f->reason ? f->reason : "budgets work");

	for (i = 0; i < nr; i++) {
		char *unit = printable_copy(b[i].unit), *file = printable_copy(b[i].file);
		const char *why = missing(&b[i], f);

		if (first)
			printf("\n%-12s %8s %8s  %s\n", "CONFIGURED", "LIMIT", "NOW", "UNIT");
		first = false;
		printf("%-12s %8s %8s  %s: %s= (%s)%s%s\n", state(&b[i], f),
		       format_size(b[i].bytes, want), format_size(b[i].in_force, now),
		       unit, b[i].key, file, why ? ": " : "", why ? why : "");
		free(unit);
		free(file);
	}
	first = true;
	for (i = 0; i < groups->nr; i++) {
		const struct holder *e = &groups->e[i];
		char *name;

		if (!has_limit(e))
			continue;
		if (first)
			printf("\n%8s %8s %8s  %s\n", "TABLES", "HIGH", "MAX", "CGROUP");
		first = false;
		name = printable_copy(e->name);
		printf("%8s %8s %8s  %s\n", format_size(e->tables, usage),
		       format_size(e->high, high), format_size(e->max, max), name);
		free(name);
	}
}

static void print_json(const struct feature *f, const char *release,
		       const struct budget *b, size_t nr, const struct list *groups)
{
	json_t *doc, *configured = json_array(), *limits = json_array();
	size_t i;

	for (i = 0; i < nr; i++) {
		const char *why = missing(&b[i], f);

		json_array_append_new(configured, json_pack("{so so so so so so so sb sb}",
			"unit", json_text(b[i].unit), "key", json_text(b[i].key),
			"file", json_text(b[i].file),
			"cgroup", b[i].cgroup ? json_text(b[i].cgroup) : json_null(),
			"limit", json_bytes(b[i].bytes),
			"now", json_bytes(b[i].in_force),
			"problem", why ? json_string(why) : json_null(),
			"running", b[i].active, "in_force", b[i].active && !why));
	}
	for (i = 0; i < groups->nr; i++) {
		const struct holder *e = &groups->e[i];

		if (has_limit(e))
			json_array_append_new(limits, json_pack("{so so so so}",
				"cgroup", json_text(e->name), "tables", json_bytes(e->tables),
				"high", json_bytes(e->high), "max", json_bytes(e->max)));
	}
	doc = json_pack("{ss sb so so so so}", "kernel", release, "available", !f->reason,
			"reason", f->reason ? json_string(f->reason) : json_null(),
			"vm.freept", f->mode < 0 ? json_null() : json_integer(f->mode),
			"configured", configured, "limits", limits);
	json_print(doc, true);
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	bool json = false, quiet = false;
	int opt, code = CODE_OK;
	struct list groups;
	struct feature f;
	struct utsname uts;
	struct budget *b;
	size_t nr, i;

	while ((opt = getopt_long(argc, argv, "jqh", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			command_help(argv[0]);
		default:
			usage_error(argv[0]);
		}
	}
	if (optind < argc)
		usage_error(argv[0]);
	feature_read(&f);
	cgroup_read(&groups);
	list_tree(&groups);
	nr = units_budgets(&b);
	uname(&uts);
	if (json)
		print_json(&f, uts.release, b, nr, &groups);
	else if (!quiet)
		print_text(&f, uts.release, b, nr, &groups);
	if (f.reason)
		code = CODE_FEATURE;
	for (i = 0; i < nr; i++) {
		if (missing(&b[i], &f))
			code = CODE_NO;
		free(b[i].unit);
		free(b[i].cgroup);
		free(b[i].key);
		free(b[i].file);
	}
	free(b);
	list_clear(&groups);
	return code;
}
