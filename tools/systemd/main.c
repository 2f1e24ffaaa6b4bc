// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree-systemd - budgets for page tables in unit files, for a systemd that
 * does not know them. See Documentation/admin-guide/mm/freept-services.rst.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ptfree-systemd.h"

static const char usage[] =
"usage: ptfree-systemd run [--max=SIZE] [--high=SIZE] [--required] [OPTION OF SYSTEMD-RUN]... -- COMMAND...\n"
"       ptfree-systemd set [--max=SIZE] [--high=SIZE] [--required]\n"
"       ptfree-systemd exec [--max=SIZE] [--high=SIZE] [--required] -- COMMAND...\n"
"       ptfree-systemd apply [UNIT]...\n"
"       ptfree-systemd size SIZE\n"
"\n"
"  run    as systemd-run, with a budget for the page tables of the service or scope\n"
"  set    give the control group that this runs in a budget, as in\n"
"         ExecStartPre=+/usr/bin/ptfree-systemd set --max=64M\n"
"  exec   the same, and then become COMMAND\n"
"  apply  put what the unit files say into effect for these units, or for all that\n"
"         run; done after every daemon-reload\n"
"  size   what SIZE is in bytes, on this machine\n"
"\n"
"SIZE is as for MemoryMax=: bytes, K M G T P E, percent of memory, or infinity.\n";

static int bad_usage(void)
{
	fputs(usage, stderr);
	return 2;
}

/* ExecStartPre= of a service: this process is in its control group. */
static int start_main(const char *unit)
{
	char *cgroup = own_cgroup();
	struct settings s;
	sd_bus *bus;
	bool hooked;
	int r;

	if (!cgroup) {
		say(SAY_WARNING, "%s: no budget for page tables: no unified control groups", unit);
		return 1;
	}
	say_about(unit, cgroup);
	r = manager_open(&bus);
	if (r < 0) {
		say(SAY_ERROR, "%s: cannot ask the service manager: %s", unit, strerror(-r));
		return 1;
	}
	r = manager_settings(bus, unit, &s, &hooked);
	if (!r)
		r = cgroup_apply(unit, cgroup, &s);
	sd_bus_unref(bus);
	free(cgroup);
	return r ? 1 : 0;
}

static int visit(sd_bus *bus, const char *unit)
{
	char *cgroup = manager_cgroup(bus, unit);
	struct settings s;
	bool hooked;
	int r = 0;

	/* The root has no budget; what is not running has no control group. */
	if (!cgroup || !strcmp(cgroup, "/")) {
		free(cgroup);
		return 0;
	}
	say_about(unit, cgroup);
	r = manager_settings(bus, unit, &s, &hooked);
	if (!r && (hooked || cgroup_marked(cgroup)))
		r = cgroup_apply(unit, cgroup, &s);
	free(cgroup);
	return r;
}

static int apply_main(int argc, char **argv)
{
	sd_bus *bus;
	int r, i = 1;

	/*
	 * Before looking, so that a reload that comes in between is not lost. In
	 * the generator's folder, and not a unit: the file is systemd's to remove.
	 */
	if (argc == 3 && !strcmp(argv[1], "--stamp")) {
		if (unlink(argv[2]) && errno != ENOENT) {
			say(SAY_ERROR, "%s: %s", argv[2], strerror(errno));
			return 1;
		}
		i = 3;
	}
	r = manager_open(&bus);
	if (r < 0) {
		say(SAY_ERROR, "cannot ask the service manager: %s", strerror(-r));
		return 1;
	}
	if (i == argc) {
		r = manager_each_active(bus, visit);
	} else {
		for (r = 0; i < argc; i++) {
			if (!unit_section(argv[i], NULL)) {
				say(SAY_ERROR, "%s is not a service, slice or scope", argv[i]);
				r = -EINVAL;
			} else if (visit(bus, argv[i])) {
				r = -EIO;
			}
		}
	}
	sd_bus_unref(bus);
	return r ? 1 : 0;
}

/* --max, --high, --required: in s, and as words for another call in words. */
static int option(const char *arg, struct settings *s, char **words)
{
	static const char * const names[] = { [KEY_MAX] = "--max=", [KEY_HIGH] = "--high=" };
	char *old;

	if (!strcmp(arg, "--required")) {
		s->required = true;
	} else {
		int i;

		for (i = 0; i < NR_KEYS; i++)
			if (!strncmp(arg, names[i], strlen(names[i])))
				break;
		if (i == NR_KEYS)
			return -ENOENT;
		if (parse_limit(arg + strlen(names[i]), &s->limit[i])) {
			fprintf(stderr, "ptfree-systemd: %s is not a size\n", arg);
			return -EINVAL;
		}
		s->set[i] = true;
	}
	old = *words;
	*words = str("%s \"%s\"", old ? old : "", arg);
	free(old);
	return 0;
}

static int set_main(int argc, char **argv, bool command)
{
	struct settings s = { 0 };
	char *cgroup, *words = NULL;
	int i, r;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		r = option(argv[i], &s, &words);
		if (r)
			return r == -ENOENT ? bad_usage() : 2;
	}
	free(words);
	if (command ? i + 1 >= argc : i != argc)
		return bad_usage();
	cgroup = own_cgroup();
	if (!cgroup || !strcmp(cgroup, "/")) {
		say(SAY_ERROR, "no control group here that could have a budget");
		r = s.required ? -ENOENT : 0;
	} else {
		say_about(strrchr(cgroup, '/') + 1, cgroup);
		r = cgroup_apply(NULL, cgroup, &s);
	}
	free(cgroup);
	if (r)
		return 1;
	if (!command)
		return 0;
	execvp(argv[i + 1], argv + i + 1);
	r = errno;
	fprintf(stderr, "ptfree-systemd: %s: %s\n", argv[i + 1], strerror(r));
	return r == ENOENT ? 127 : 126;
}

static int run_main(int argc, char **argv)
{
	struct settings s = { 0 };
	char **out = must(calloc((size_t)argc * 2 + 16, sizeof(*out)));
	char *words = NULL;
	bool scope = false;
	int i, n = 0, r;

	out[n++] = "systemd-run";
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		r = option(argv[i], &s, &words);
		if (r == -EINVAL)
			return 2;
		if (!r)
			continue;
		scope |= !strcmp(argv[i], "--scope");
		out[n++] = argv[i];
	}
	if (i + 1 >= argc)
		return bad_usage();
	out[n++] = "--property=MemoryAccounting=yes";
	if (!scope)
		out[n++] = str("--property=ExecStartPre=+%s%s set%s", s.required ? "" : "-",
			       PROGRAM, words ? words : "");
	out[n++] = "--";
	if (scope) {
		out[n++] = PROGRAM;
		out[n++] = "exec";
		for (int j = 1; j < i; j++) {
			struct settings scratch = { 0 };

			if (!option(argv[j], &scratch, &words))
				out[n++] = argv[j];
		}
		out[n++] = "--";
	}
	while (++i < argc)
		out[n++] = argv[i];
	execvp(out[0], out);
	fprintf(stderr, "ptfree-systemd: systemd-run: %s\n", strerror(errno));
	return 127;
}

static int size_main(const char *text)
{
	uint64_t limit;

	if (parse_limit(text, &limit)) {
		fprintf(stderr, "ptfree-systemd: %s is not a size\n", text);
		return 1;
	}
	if (limit == LIMIT_MAX)
		puts("max");
	else
		printf("%" PRIu64 "\n", limit);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/'), *verb;

	name = name ? name + 1 : argv[0];
	if (!strcmp(name, "ptfree-generator"))
		return generator_main(argc, argv);
	if (argc < 2)
		return bad_usage();
	verb = argv[1];
	argc--;
	argv++;
	if (!strcmp(verb, "start") && argc == 2)
		return start_main(argv[1]);
	if (!strcmp(verb, "apply"))
		return apply_main(argc, argv);
	if (!strcmp(verb, "set"))
		return set_main(argc, argv, false);
	if (!strcmp(verb, "exec"))
		return set_main(argc, argv, true);
	if (!strcmp(verb, "run"))
		return run_main(argc, argv);
	if (!strcmp(verb, "size") && argc == 2)
		return size_main(argv[1]);
	if (!strcmp(verb, "--help") || !strcmp(verb, "help")) {
		fputs(usage, stdout);
		return 0;
	}
	return bad_usage();
}
