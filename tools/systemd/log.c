// SPDX-License-Identifier: GPL-2.0-only
/* Messages, and allocations that do not fail. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "ptfree-systemd.h"

static char *about;

/*
 * The unit that messages are about from now on. journald finds out by itself which
 * unit a line comes from, but too late where the process has ended by then, and
 * for slices and scopes another unit's process does the work.
 */
void say_about(const char *unit, const char *cgroup)
{
	free(about);
	about = str("OBJECT_SYSTEMD_%sUNIT=%s", cgroup_of_user(cgroup) ? "USER_" : "", unit);
}

/*
 * Under a service manager a line goes to the journal itself: the stderr of the
 * unit that this runs for may be a client's socket, a file or nothing.
 */
void say(enum level level, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		abort();
	va_end(args);
	if (!getenv("INVOCATION_ID") || isatty(STDERR_FILENO) ||
	    sd_journal_send("PRIORITY=%d", level, "SYSLOG_IDENTIFIER=ptfree",
			    "MESSAGE=%s", text, about ? "%s" : NULL, about, NULL) < 0)
		fprintf(stderr, "ptfree: %s\n", text);
	free(text);
}

void *must(void *p)
{
	if (!p) {
		perror("ptfree");
		exit(1);
	}
	return p;
}

char *str(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		must(NULL);
	va_end(args);
	return text;
}
