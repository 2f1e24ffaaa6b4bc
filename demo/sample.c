// SPDX-License-Identifier: GPL-2.0-only
/*
 * sample SCENE PID - one line each 100 ms about a process until it is gone
 * sample SCENE PID MARK - one line now, under that name
 *
 * sample,SCENE,MILLISECONDS,VIRT,RES,PAGETABLES		(kB)
 * mark,SCENE,MARK,MILLISECONDS,VIRT,RES,PAGETABLES		(kB)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long field(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	char path[64], status[8192], line[256];
	long virt, res, tables;
	struct timespec now;
	int fd, n, len;

	if (argc < 3) {
		fprintf(stderr, "usage: sample SCENE PID [MARK]\n");
		return 1;
	}
	snprintf(path, sizeof(path), "/proc/%s/status", argv[2]);
	for (;;) {
		fd = open(path, O_RDONLY);
		n = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);
		close(fd);
		status[n > 0 ? n : 0] = '\0';
		clock_gettime(CLOCK_MONOTONIC, &now);
		virt = field(status, "\nVmSize:");
		res = field(status, "\nVmRSS:");
		tables = field(status, "\nVmPTE:");
		if (tables < 0) {	/* a zombie has no address space */
			if (argc == 3)
				return 0;
			fprintf(stderr, "%s: process %s is gone at %s\n",
				argv[1], argv[2], argv[3]);
			return 1;
		}
		len = snprintf(line, sizeof(line), "%s,%s,%s%s%ld,%ld,%ld,%ld\n",
			       argc > 3 ? "mark" : "sample", argv[1],
			       argc > 3 ? argv[3] : "", argc > 3 ? "," : "",
			       now.tv_sec * 1000L + now.tv_nsec / 1000000,
			       virt, res, tables);
		/* one write: lines of several processes share the channel */
		if (write(STDOUT_FILENO, line, len) != len)
			return 1;
		if (argc > 3)
			return 0;
		nanosleep(&pause, NULL);
	}
}
