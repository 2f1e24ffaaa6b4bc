// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree metrics: OpenMetrics text
 */
#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptfree.h"

struct family {
	const char *name, *type, *unit, *help;
};

static void head(FILE *out, const struct family *f)
{
	fprintf(out, "# TYPE %s %s\n", f->name, f->type);
	if (f->unit)
		fprintf(out, "# UNIT %s %s\n", f->name, f->unit);
	fprintf(out, "# HELP %s %s\n", f->name, f->help);
}

/*
 * A label's value: UTF-8, three characters of which have to be escaped. One that
 * is not, or two that are the same, and the node exporter takes nothing at all.
 */
static void label(FILE *out, const char *name)
{
	char *copy = utf8_copy(name), *value;

	for (value = copy; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
	free(copy);
}

static void sample(FILE *out, const char *name, const char *cgroup, const char *event,
		   uint64_t value)
{
	fprintf(out, "%s{cgroup=\"", name);
	label(out, cgroup);
	if (event)
		fprintf(out, "\",event=\"%s", event);
	fprintf(out, "\"} %llu\n", (unsigned long long)value);
}

#define FIELD(group, at) (*(const uint64_t *)((const char *)(group) + (at)))

/* Limits that are none, and what this kernel does not tell, are left out. */
static void each_group(FILE *out, const struct family *f, const struct list *groups, size_t at)
{
	bool counter = !strcmp(f->type, "counter");
	char *name = xasprintf("%s%s", f->name, counter ? "_total" : "");
	size_t i;

	head(out, f);
	for (i = 0; i < groups->nr; i++) {
		uint64_t n = FIELD(&groups->e[i], at);

		if (n != UNKNOWN && n != NO_LIMIT)
			sample(out, name, groups->e[i].name, NULL, n);
	}
	free(name);
}

static void machine(FILE *out)
{
	static const struct family available = {
		"ptfree_available", "gauge", NULL,
		"1 where budgets for page tables work on this kernel."
	}, mode = {
		"ptfree_mode", "gauge", NULL, "The sysctl vm.freept."
	}, tables = {
		"ptfree_page_tables_bytes", "gauge", "bytes", "Page tables of the machine."
	};
	struct feature f;
	uint64_t held;

	feature_read(&f);
	head(out, &available);
	fprintf(out, "ptfree_available %d\n", !f.reason);
	if (f.mode >= 0) {
		head(out, &mode);
		fprintf(out, "ptfree_mode %ld\n", f.mode);
	}
	held = file_value("/proc/meminfo", "PageTables");
	if (held != UNKNOWN) {
		head(out, &tables);
		fprintf(out, "ptfree_page_tables_bytes %llu\n", (unsigned long long)held);
	}
}

static void groups_out(FILE *out, const struct list *groups, bool scan)
{
	static const struct {
		struct family f;
		size_t at;
	} fields[] = {
		{ { "memcg_pt_bytes", "gauge", "bytes",
		    "Page tables charged to the cgroup and those below it." },
		  offsetof(struct holder, tables) },
		{ { "memcg_pt_peak_bytes", "gauge", "bytes", "The most there was." },
		  offsetof(struct holder, peak) },
		{ { "memcg_pt_high_bytes", "gauge", "bytes",
		    "Soft limit; absent where there is none." },
		  offsetof(struct holder, high) },
		{ { "memcg_pt_max_bytes", "gauge", "bytes",
		    "Hard limit; absent where there is none." },
		  offsetof(struct holder, max) },
		{ { "memcg_pt_scanned_tables", "counter", NULL,
		    "Tables looked at, of processes of the cgroup." },
		  offsetof(struct holder, scanned) },
		{ { "memcg_pt_freed_tables", "counter", NULL,
		    "Empty tables freed that were charged to the cgroup." },
		  offsetof(struct holder, freed) },
		{ { "memcg_pt_refaulted_tables", "counter", NULL,
		    "Tables allocated again soon after they were freed." },
		  offsetof(struct holder, refaulted) },
	};
	static const struct family events = {
		"memcg_pt_events", "counter", NULL, "Lines of memory.pt.events."
	}, freeable = {
		"memcg_pt_freeable_bytes", "gauge", "bytes",
		"Empty page tables of the processes, estimated."
	};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		each_group(out, &fields[i].f, groups, fields[i].at);
	if (scan) {
		head(out, &freeable);
		for (i = 0; i < groups->nr; i++)
			sample(out, freeable.name, groups->e[i].name, NULL,
			       groups->e[i].t.freeable);
	}
	head(out, &events);
	for (i = 0; i < groups->nr; i++) {
		const struct holder *e = &groups->e[i];

		if (e->over_high == UNKNOWN)
			continue;
		sample(out, "memcg_pt_events_total", e->name, "high", e->over_high);
		sample(out, "memcg_pt_events_total", e->name, "max", e->over_max);
		sample(out, "memcg_pt_events_total", e->name, "oom", e->oom);
		sample(out, "memcg_pt_events_total", e->name, "oom_kill", e->oom_kill);
	}
}

/* Whoever reads the file sees all of the old text or all of the new one. */
static void replace(const char *path, const char *text, size_t len)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? slash - path + 1 : 0;
	char *tmp = xasprintf("%.*s.%s.XXXXXX", dir, path, path + dir);
	int fd = mkstemp(tmp);
	ssize_t n;

	if (fd < 0)
		die(CODE_SYSTEM, "%s: %s", tmp, strerror(errno));
	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto failed;
		text += n;
		len -= n;
	}
	if (fchmod(fd, 0644) || close(fd))
		goto failed;
	if (rename(tmp, path))
		goto failed;
	free(tmp);
	return;
failed:
	n = errno;
	unlink(tmp);
	die(CODE_SYSTEM, "%s: %s", path, strerror(n));
}

static void keep(struct list *groups, unsigned long depth, const regex_t *re)
{
	size_t from, to = 0;

	for (from = 0; from < groups->nr; from++) {
		struct holder *e = &groups->e[from];

		if ((unsigned long)e->depth <= depth &&
		    (!re || !regexec(re, e->name, 0, NULL, 0)))
			groups->e[to++] = *e;
		else
			free(e->name);
	}
	groups->nr = to;
}

int cmd_metrics(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "depth", required_argument, NULL, 'd' },
		{ "cgroup", required_argument, NULL, 'c' },
		{ "scan", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	const char *output = NULL;
	unsigned long depth = 3;
	struct list procs = {}, groups;
	bool scan = false, filtered = false;
	regex_t re;
	char *text, reason[256];
	size_t len;
	FILE *out;
	int opt, err;

	while ((opt = getopt_long(argc, argv, "o:d:c:Sh", options, NULL)) != -1) {
		switch (opt) {
		case 'o':
			output = optarg;
			break;
		case 'd':
			depth = parse_count("--depth", optarg, 1000);
			break;
		case 'c':
			err = regcomp(&re, optarg, REG_EXTENDED | REG_NOSUB);
			if (err) {
				regerror(err, &re, reason, sizeof(reason));
				die(CODE_USAGE, "--cgroup: %s: %s", optarg, reason);
			}
			filtered = true;
			break;
		case 'S':
			scan = true;
			break;
		case 'h':
			command_help(argv[0]);
		default:
			usage_error(argv[0]);
		}
	}
	if (optind < argc)
		usage_error(argv[0]);
	cgroup_read(&groups);
	if (scan) {
		proc_read(&procs);
		proc_scan(&procs, SCAN_QUICK, 0, NULL);
		cgroup_add(&groups, &procs);
	}
	keep(&groups, depth, filtered ? &re : NULL);

	out = open_memstream(&text, &len);
	if (!out)
		die(CODE_SYSTEM, "out of memory");
	machine(out);
	groups_out(out, &groups, scan);
	fputs("# EOF\n", out);
	if (fclose(out))
		die(CODE_SYSTEM, "out of memory");
	if (output)
		replace(output, text, len);
	else
		fwrite(text, 1, len, stdout);
	free(text);
	list_clear(&procs);
	list_clear(&groups);
	if (filtered)
		regfree(&re);
	return CODE_OK;
}
