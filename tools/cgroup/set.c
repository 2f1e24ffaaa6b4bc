// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree set and ptfree reclaim: what changes something
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ptfree.h"

static char *size_text(uint64_t bytes)
{
	if (bytes == NO_LIMIT)
		return xstrdup("max");
	return xasprintf("%llu", (unsigned long long)bytes);
}

static uint64_t size_arg(const char *what, const char *text)
{
	uint64_t bytes;
	int err = parse_size(text, &bytes);

	if (err)
		die(CODE_USAGE, "%s: %s: %s", what, text,
		    err == -ERANGE ? "too large" : "not a size: bytes, with K, M, G or T, "
		    "N% of the memory, or max");
	return bytes;
}

/* What is held. In the root cgroup that is the machine's. */
static uint64_t held(const char *cgroup)
{
	if (strcmp(cgroup, "/"))
		return cgroup_number(cgroup, "memory.pt.current");
	return file_value("/proc/meminfo", "PageTables");
}

/*
 * A systemd that has the property must hear of the limit, or puts back what it
 * knows. Then it also lasts over a restart of the unit.
 */
static bool tell_systemd(const char *target, bool user_bus, const char *file, uint64_t bytes)
{
	const char *property = !strcmp(file, "memory.pt.high") ? "MemoryPageTableHigh" :
		"MemoryPageTableMax";
	uint64_t now;
	char *why;

	if (!target_is_unit(target) || !bus_unit_limit(target, user_bus, property, &now))
		return true;
	if (bus_unit_set_limit(target, user_bus, property, bytes, &why))
		return true;
	warn("%s: %s: %s", target, property, why);
	free(why);
	return false;
}

/* All are looked for before the first is changed: a slip of the pen changes nothing. */
static char **all_targets(char **targets, int nr, bool user_bus)
{
	char **cgroups = xrealloc(NULL, (nr + 1) * sizeof(*cgroups));
	int i;

	for (i = 0; i < nr; i++)
		cgroups[i] = target_cgroup(targets[i], user_bus);
	return cgroups;
}

static int set_one(const char *target, const char *cgroup, bool user_bus, const char *file,
		   uint64_t bytes, json_t *lines)
{
	char *path, *text, was[16], is[16], now[16];
	uint64_t before, after;
	int err;

	err = need_feature(cgroup, file);
	if (err)
		return err;
	before = cgroup_number(cgroup, file);
	if (!tell_systemd(target, user_bus, file, bytes))
		return CODE_SYSTEM;
	path = cgroup_file(cgroup, file);
	text = size_text(bytes);
	err = write_text(path, text);
	after = cgroup_number(cgroup, file);
	if (err) {
		warn("%s: %s", path, strerror(-err));
	} else if (lines) {
		json_array_append_new(lines, json_pack("{so so so so so so}",
			"target", json_text(target), "cgroup", json_text(cgroup),
			"file", json_text(file), "before", json_bytes(before),
			"after", json_bytes(after), "tables", json_bytes(held(cgroup))));
	} else {
		char *name = printable_copy(target);

		printf("%s: %s %s (was %s), holds %s\n", name, file, format_size(after, is),
		       format_size(before, was), format_size(held(cgroup), now));
		free(name);
	}
	free(path);
	free(text);
	return err ? CODE_SYSTEM : CODE_OK;
}

int cmd_set(int argc, char **argv)
{
	static const struct option options[] = {
		{ "high", required_argument, NULL, 'H' },
		{ "max", required_argument, NULL, 'M' },
		{ "user", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	bool with_high = false, with_max = false, user = false, json = false;
	uint64_t high = NO_LIMIT, max = NO_LIMIT;
	json_t *lines = NULL;
	int code = CODE_OK, opt, i;
	struct feature f;
	char **cgroups;

	while ((opt = getopt_long(argc, argv, "H:M:ujh", options, NULL)) != -1) {
		switch (opt) {
		case 'H':
			high = size_arg("--high", optarg);
			with_high = true;
			break;
		case 'M':
			max = size_arg("--max", optarg);
			with_max = true;
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
	if (!with_high && !with_max) {
		if (optind >= argc)
			usage_error(argv[0]);
		max = size_arg("limit", argv[optind++]);
		with_max = true;
	}
	if (optind >= argc)
		usage_error(argv[0]);
	if (json)
		lines = json_array();
	argv += optind;
	argc -= optind;
	cgroups = all_targets(argv, argc, user);
	for (i = 0; i < argc; i++) {
		int one = CODE_OK;

		/* The soft one first: nobody is to be killed for what it can free. */
		if (with_high)
			one = set_one(argv[i], cgroups[i], user, "memory.pt.high", high, lines);
		if (with_max && !one)
			one = set_one(argv[i], cgroups[i], user, "memory.pt.max", max, lines);
		if (!code)
			code = one;
		free(cgroups[i]);
	}
	free(cgroups);
	if (json)
		json_print(lines, true);
	feature_read(&f);
	if (!code && f.off) {
		warn("%s", f.reason);
		code = CODE_FEATURE;
	}
	return code;
}

/*
 * What was freed. The counter of the machine's page tables is exact only to some
 * hundred of them, that of those freed is to one.
 */
static uint64_t freed_so_far(const char *cgroup)
{
	if (strcmp(cgroup, "/"))
		return -held(cgroup);
	return file_value("/proc/vmstat", "ptfree") * TABLE;
}

/*
 * The kernel says EAGAIN where there was less than was asked for: what was freed
 * is told all the same. `before` and `after` are what the cgroup holds; others
 * go on allocating meanwhile.
 */
static int reclaim_one(const char *target, const char *cgroup, uint64_t bytes, json_t *lines)
{
	char *path, *text, b[16], a[16], f[16], want[16];
	uint64_t before, after, start;
	int64_t freed;
	int err, code = CODE_OK;

	err = need_feature(cgroup, "memory.pt_reclaim");
	if (err)
		return err;
	path = cgroup_file(cgroup, "memory.pt_reclaim");
	text = size_text(bytes);
	before = held(cgroup);
	start = freed_so_far(cgroup);
	err = write_text(path, text);
	freed = freed_so_far(cgroup) - start;
	after = held(cgroup);
	if (freed < 0)
		freed = 0;
	if (err == -EOPNOTSUPP) {
		warn("%s: %s (booted with freept=off?)", path, strerror(-err));
		code = CODE_FEATURE;
	} else if (err == -EAGAIN) {
		warn("%s: less than %s could be freed", target, format_size(bytes, want));
		code = CODE_NO;
	} else if (err) {
		warn("%s: %s", path, strerror(-err));
		code = CODE_SYSTEM;
	}
	if (lines) {
		json_array_append_new(lines, json_pack("{so so so so so sb}",
			"target", json_text(target), "cgroup", json_text(cgroup),
			"before", json_bytes(before), "after", json_bytes(after),
			"freed", json_bytes(freed), "enough", !err));
	} else if (code != CODE_FEATURE && code != CODE_SYSTEM) {
		char *name = printable_copy(target);

		printf("%s: freed %s, page tables %s -> %s\n", name, format_size(freed, f),
		       format_size(before, b), format_size(after, a));
		free(name);
	}
	free(path);
	free(text);
	return code;
}

int cmd_reclaim(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "user", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	bool user = false, json = false, sized = false;
	uint64_t bytes = NO_LIMIT;
	json_t *lines = NULL;
	int code = CODE_OK, opt, i;
	char **cgroups;

	while ((opt = getopt_long(argc, argv, "s:ujh", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			bytes = size_arg("--size", optarg);
			sized = true;
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
	/* Digits alone are a process. */
	if (!sized && argc - optind >= 2 && looks_like_size(argv[optind]))
		bytes = size_arg("size", argv[optind++]);
	if (optind >= argc)
		usage_error(argv[0]);
	if (json)
		lines = json_array();
	argv += optind;
	argc -= optind;
	cgroups = all_targets(argv, argc, user);
	for (i = 0; i < argc; i++) {
		int one = reclaim_one(argv[i], cgroups[i], bytes, lines);

		if (one > code)
			code = one;
		free(cgroups[i]);
	}
	free(cgroups);
	if (json)
		json_print(lines, true);
	return code;
}
