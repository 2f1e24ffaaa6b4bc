// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree(8): page tables of processes and control groups, and budgets for them
 */
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "ptfree.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments, *what, *options;
} commands[] = {
	{ "survey", cmd_survey, "[OPTION]... [TARGET]...",
	  "who holds how much page table, for how much memory",
	  "  -p, --processes    only processes\n"
	  "  -g, --cgroups      only cgroups\n"
	  "  -s, --sort=COLUMN  mapped, resident, tables (default), ratio, freeable, ...\n"
	  "  -r, --reverse      the other way round\n"
	  "  -n, --lines=N      no more than N lines of each\n"
	  "  -q, --quick        do not find out which mappings keep their tables\n"
	  "  -T, --thorough     find out of large processes too, which stops them\n"
	  "  -N, --no-scan      do not count what could be freed, guess\n" },
	{ "top", cmd_top, "[OPTION]...", "the same, live",
	  "  -b, --batch         print, no terminal needed\n"
	  "  -d, --delay=SEC     between two looks (default 2)\n"
	  "  -n, --iterations=N  end after N looks\n"
	  "  -g, --cgroups       begin with cgroups\n"
	  "  -t, --tree          cgroups as a tree\n"
	  "  -s, --sort=COLUMN\n"
	  "  -r, --reverse\n"
	  "  -N, --no-scan       do not count what could be freed, guess\n" },
	{ "set", cmd_set, "[--high=SIZE] [--max=SIZE] TARGET... | SIZE TARGET...",
	  "set the budget of a cgroup",
	  "  -H, --high=SIZE    the soft limit\n"
	  "  -M, --max=SIZE     the hard limit; the one that SIZE alone means\n" },
	{ "reclaim", cmd_reclaim, "[SIZE|max] TARGET...",
	  "free empty page tables now, and say how much that was",
	  "  -s, --size=SIZE    at least that much; all there is without\n" },
	{ "watch", cmd_watch, "[OPTION]... [TARGET]...",
	  "a line for each event of memory.pt.events, here and below",
	  "  -n, --count=N      end after N lines\n"
	  "  -t, --timeout=SEC  end after SEC seconds, with exit code 1\n" },
	{ "metrics", cmd_metrics, "[OPTION]...", "print OpenMetrics text",
	  "  -o, --output=FILE   replace FILE by it\n"
	  "  -d, --depth=N       cgroups no deeper than N levels (default 3)\n"
	  "  -c, --cgroup=REGEX  only cgroups that match\n"
	  "  -S, --scan          also what could be freed\n" },
	{ "status", cmd_status, "[OPTION]...",
	  "is the feature there, and are the configured budgets in force?",
	  "  -q, --quiet        only the exit code\n" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char exit_codes[] =
	"Exit codes: 0 done; 1 the answer is no; 2 usage; 3 the kernel cannot;\n"
	"4 no such target; 5 a file could not be read or written.\n";

static const struct command *find(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void overview(FILE *out)
{
	size_t i;

	fprintf(out, "Usage: ptfree COMMAND [ARGUMENT]...\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].what);
	fprintf(out, "\nptfree COMMAND --help has the options; ptfree(8) has the rest.\n%s",
		exit_codes);
}

void usage_error(const char *command)
{
	fprintf(stderr, "Usage: ptfree %s %s\n", command, find(command)->arguments);
	fprintf(stderr, "`ptfree %s --help` has the options.\n", command);
	exit(CODE_USAGE);
}

void command_help(const char *command)
{
	const struct command *c = find(command);
	bool target = strstr(c->arguments, "TARGET");

	printf("Usage: ptfree %s %s\n%c%s.\n\n%s", c->name, c->arguments,
	       c->what[0] - 'a' + 'A', c->what + 1, c->options);
	if (target)
		printf("  -u, --user         units of the user's own systemd\n");
	if (c->run != cmd_metrics)
		printf("  -j, --json         JSON instead of text%s\n",
		       c->run == cmd_top ? ", with --batch" : "");
	if (target)
		printf("\nTARGET is the path of a cgroup, a systemd unit, or a process\n"
		       "(digits; its cgroup is meant). SIZE is bytes, with K, M, G or T,\n"
		       "a percentage of the memory, or max.\n");
	printf("\n%s", exit_codes);
	finish_output();
	exit(CODE_OK);
}

int main(int argc, char **argv)
{
	const struct command *c;
	int code;

	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		overview(stderr);
		return CODE_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		overview(stdout);
		finish_output();
		return CODE_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("ptfree " PTFREE_VERSION);
		finish_output();
		return CODE_OK;
	}
	c = find(argv[1]);
	if (!c) {
		warn("there is no command %s", argv[1]);
		overview(stderr);
		return CODE_USAGE;
	}
	code = c->run(argc - 1, argv + 1);
	finish_output();
	return code;
}
