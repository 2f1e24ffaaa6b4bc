// SPDX-License-Identifier: GPL-2.0-only
/*
 * sample SCENE WHAT - one line each 100 ms, until WHAT is gone
 * sample SCENE WHAT MARK - one line now, under that name
 *
 * sample,SCENE,MILLISECONDS,VIRT,RES,PAGETABLES		(kB)
 * mark,SCENE,MARK,MILLISECONDS,VIRT,RES,PAGETABLES		(kB)
 *
 * WHAT is a process by its number, or a cgroup by its folder: VIRT and RES are
 * the sums of its processes then, those of cgroups below it too, and its page
 * tables are what is charged to it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct figures {
	long virt, res, tables;
};

/* false, and an empty string, where the file cannot be read */
static bool slurp(char *buf, size_t size, const char *dir, const char *file)
{
	char path[512];
	int fd, n;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n >= 0;
}

static long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

/* Add what a process has; false if it has no address space (any more). */
static bool process(long pid, struct figures *sum)
{
	char dir[32], status[8192];
	long tables;

	snprintf(dir, sizeof(dir), "/proc/%ld", pid);
	slurp(status, sizeof(status), dir, "status");
	tables = field(status, "\nVmPTE:");
	if (tables < 0)
		return false;
	sum->virt += field(status, "\nVmSize:");
	sum->res += field(status, "\nVmRSS:");
	sum->tables += tables;
	return true;
}

static bool members(const char *dir, struct figures *sum)
{
	char procs[4096], path[512];
	const char *at = procs;
	struct dirent *entry;
	bool any = false;
	char *end;
	long pid;
	DIR *d;

	slurp(procs, sizeof(procs), dir, "cgroup.procs");
	for (pid = strtol(at, &end, 10); end != at; pid = strtol(at, &end, 10)) {
		any |= process(pid, sum);
		at = end;
	}
	d = opendir(dir);
	while (d && (entry = readdir(d))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		any |= members(path, sum);
	}
	if (d)
		closedir(d);
	return any;
}

/* memory.stat is the only place where a stock kernel has this figure. */
static bool group(const char *dir, struct figures *sum)
{
	char text[8192];

	if (!members(dir, sum))
		return false;
	sum->tables = 0;
	if (slurp(text, sizeof(text), dir, "memory.pt.current")) {
		sum->tables = atol(text) / 1024;
	} else {
		slurp(text, sizeof(text), dir, "memory.stat");
		sum->tables = field(text, "\npagetables ") / 1024;
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	struct timespec now;
	char line[256];
	int len;

	if (argc < 3) {
		fprintf(stderr, "usage: sample SCENE PID|CGROUP [MARK]\n");
		return 1;
	}
	for (;;) {
		struct figures sum = { 0 };

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!(argv[2][0] == '/' ? group(argv[2], &sum) : process(atol(argv[2]), &sum))) {
			if (argc == 3)
				return 0;
			fprintf(stderr, "%s: %s is gone at %s\n", argv[1], argv[2], argv[3]);
			return 1;
		}
		len = snprintf(line, sizeof(line), "%s,%s,%s%s%ld,%ld,%ld,%ld\n",
			       argc > 3 ? "mark" : "sample", argv[1],
			       argc > 3 ? argv[3] : "", argc > 3 ? "," : "",
			       now.tv_sec * 1000L + now.tv_nsec / 1000000,
			       sum.virt, sum.res, sum.tables);
		/* one write: lines of several processes share the channel */
		if (write(STDOUT_FILENO, line, len) != len)
			return 1;
		if (argc > 3)
			return 0;
		nanosleep(&pause, NULL);
	}
}
