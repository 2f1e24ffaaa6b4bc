// SPDX-License-Identifier: GPL-2.0-only
/*
 * All of user space for a machine of another architecture: mounts what the tests
 * need, prints the results of the KUnit tests, runs the programs that the command
 * line names (tests=A:B), and switches the machine off. As /bin/true, which tests
 * execute, it does nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void mount_at(const char *type, const char *at)
{
	mkdir(at, 0755);
	if (mount(type, at, type, 0, NULL))
		printf("# cannot mount %s at %s\n", type, at);
}

/* The inner level of the indented TAP */
static void kunit(void)
{
	FILE *f = fopen("/sys/kernel/debug/kunit/freept/results", "r");
	char line[512];

	printf("@@begin kunit\n");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "    ", 4) && line[4] != ' ')
			printf("%s", line + 4);
	if (f)
		fclose(f);
	printf("@@end kunit %d\n", f ? 0 : 1);
}

static void run(const char *program)
{
	char path[128];
	int status = -1;
	pid_t pid;

	printf("@@begin %s\n", program);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		snprintf(path, sizeof(path), "/tests/%s", program);
		execl(path, program, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = 256;
	printf("@@end %s %d\n", program, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char words[4096] = "", *p, *next;
	int fd;

	if (argc && !strcmp(argv[0], "true"))
		return 0;
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("devtmpfs", "/dev");
	mount_at("tmpfs", "/tmp");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("tracefs", "/sys/kernel/tracing");
	mount_at("cgroup2", "/sys/fs/cgroup");
	fd = open("/dev/console", O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	chdir("/tmp");
	fd = open("/proc/cmdline", O_RDONLY);
	if (fd >= 0 && read(fd, words, sizeof(words) - 1) > 0) {
		kunit();
		p = strstr(words, "tests=");
		for (p = p ? p + 6 : NULL; p && *p; p = next) {
			next = p + strcspn(p, ": \n");
			if (*next == ':')
				*next++ = 0;
			else
				*next = 0;
			run(p);
		}
	}
	printf("@@done\n");
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
