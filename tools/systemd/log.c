// SPDX-License-Identifier: GPL-2.0-only
/* Messages, and allocations that do not fail. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "ptfree-systemd.h"

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
			    "MESSAGE=%s", text, NULL) < 0)
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
