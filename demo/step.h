/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a demo program and its scene keep step. The program says on stdout
 * where it has arrived and goes on when it is sent a line, so that the scene
 * can look at the process from outside while it stands still there.
 */
#ifndef DEMO_STEP_H
#define DEMO_STEP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* write() and read(), not stdio: no buffer may come from the heap we measure */
static void step(const char *name)
{
	char c = 0;

	if (write(STDOUT_FILENO, name, strlen(name)) < 0 ||
	    write(STDOUT_FILENO, "\n", 1) != 1)
		exit(2);
	while (c != '\n')
		if (read(STDIN_FILENO, &c, 1) != 1)
			exit(2);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

#endif
