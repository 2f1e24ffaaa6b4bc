// SPDX-License-Identifier: GPL-2.0-only
/*
 * Known programs and allocators with the background on: guest part.
 *
 * Arguments are NAME=COMMAND; a command is a line for sh. "NAME/own" is the CPU time
 * of all its processes, "NAME/thread" that of kfreept meanwhile; instructions both,
 * in a machine where one takes a nanosecond. "NAME/tables" is what a command says
 * of its page tables, kB, in a line "tables N", and "NAME/ops" what it has done, in a
 * line "ops N".
 */
#include "bench.h"

static double children_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static void run(const char *name, const char *command)
{
	double own = children_ns(), thread = thread_ns();
	char line[256];
	long n, ended;
	FILE *out;

	fflush(stdout);
	out = popen(command, "r");
	if (!out)
		die(command);
	while (fgets(line, sizeof(line), out)) {
		if (sscanf(line, "tables %ld", &n) == 1)
			figure(n, "%s/tables", name);
		else if (sscanf(line, "ops %ld", &n) == 1)
			figure(n, "%s/ops", name);
		else
			fprintf(stderr, "%s: %s", name, line);
	}
	ended = pclose(out);
	if (ended) {
		errno = ECHILD;
		die(name);
	}
	figure(children_ns() - own, "%s/own", name);
	if (!is_stock())
		figure(thread_ns() - thread, "%s/thread", name);
}

int main(int argc, char **argv)
{
	bench_start_counting(argv);
	if (!is_stock() && write_long(VM_FREEPT, 2))
		die(VM_FREEPT);
	for (int i = 1; i < argc; i++) {
		char *command = strchr(argv[i], '=');

		*command = '\0';
		run(argv[i], command + 1);
	}
	return bench_end();
}
