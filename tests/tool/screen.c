// SPDX-License-Identifier: GPL-2.0-only
/*
 * screen ROWSxCOLUMNS STEP... -- COMMAND...
 *
 * Run COMMAND on a terminal (a vt100 in 200 lines) and use it as a person does:
 *
 *	wait:TEXT	until TEXT is on the screen, 30 s at most
 *	gone:TEXT	until it is not
 *	key:KEYS	press them; ^I and the like, \e for escape
 *	size:RxC	resize the terminal
 *	steady:N	for N screens that change, nothing may be cleared, and no more
 *			than a third of a screen be sent each time
 *	print:		the screen as it is, a line beginning with "|" for each of its
 *			own; and after it one beginning with "~": b is bold, r reversed
 *	exit:CODE	until it has ended by itself, with CODE; the terminal must be
 *			as it was
 *
 * 0, or 1 with the step that failed and the screen as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define ROWS	100
#define COLS	300
#define LIMIT_MS 30000

static char cell[ROWS][COLS + 1], style[ROWS][COLS + 1], pen = ' ';
static int rows, cols, row, col, saved_row, saved_col, top, bottom;
static unsigned long cleared, bytes;
static int master;
static pid_t child;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

static void fill(int r, int from, int to)
{
	for (; from < to; from++)
		cell[r][from] = style[r][from] = ' ';
}

static int within(int n, int low, int high)
{
	return n < low ? low : n > high ? high : n;
}

static void scroll(int up)
{
	if (up) {
		memmove(cell[top], cell[top + 1], (bottom - top) * sizeof(cell[0]));
		memmove(style[top], style[top + 1], (bottom - top) * sizeof(style[0]));
		fill(bottom, 0, cols);
	} else {
		memmove(cell[top + 1], cell[top], (bottom - top) * sizeof(cell[0]));
		memmove(style[top + 1], style[top], (bottom - top) * sizeof(style[0]));
		fill(top, 0, cols);
	}
}

static void erase(int r, int mode, bool all)
{
	int i;

	if (mode == 0)
		fill(r, col, cols);
	else if (mode == 1)
		fill(r, 0, col + 1);
	else
		fill(r, 0, cols);
	if (!all)
		return;
	if (mode == 2 || (mode == 0 && !row && !col))
		cleared++;
	for (i = 0; i < rows; i++)
		if (mode == 2 || (mode == 0 && i > r) || (mode == 1 && i < r))
			fill(i, 0, cols);
}

/* ESC [ parameters final */
static void control(const char *text, char final)
{
	int a = 0, b = 0, n = sscanf(text, "%d;%d", &a, &b), one = n > 0 && a ? a : 1;

	switch (final) {
	case 'A':
		row = within(row - one, 0, rows - 1);
		break;
	case 'B':
		row = within(row + one, 0, rows - 1);
		break;
	case 'C':
		col = within(col + one, 0, cols - 1);
		break;
	case 'D':
		col = within(col - one, 0, cols - 1);
		break;
	case 'H':
		row = within(a - 1, 0, rows - 1);
		col = within(b - 1, 0, cols - 1);
		break;
	case 'J':
		erase(row, a, true);
		break;
	case 'K':
		erase(row, a, false);
		break;
	case 'r':
		top = within(a - 1, 0, rows - 1);
		bottom = n > 1 ? within(b - 1, 0, rows - 1) : rows - 1;
		row = col = 0;
		break;
	case 'm':
		while (1) {
			a = strtol(text, (char **)&text, 10);
			pen = a == 1 ? 'b' : a == 7 ? 'r' : a == 0 ? ' ' : pen;
			if (*text++ != ';')
				break;
		}
		break;
	case 'h': case 'l':
		break;
	default:
		fprintf(stderr, "screen: not a vt100: ESC [ %s %c\n", text, final);
		exit(1);
	}
}

static void plain(char c)
{
	if (c == '\r') {
		col = 0;
	} else if (c == '\b') {
		col -= col > 0;
	} else if (c == '\n') {
		if (row == bottom)
			scroll(1);
		else
			row = within(row + 1, 0, rows - 1);
	} else if (c == '\t') {
		col = within((col / 8 + 1) * 8, 0, cols - 1);
	} else if ((unsigned char)c >= ' ') {
		if (col == cols) {
			col = 0;
			plain('\n');
		}
		style[row][col] = pen;
		cell[row][col++] = c;
	}
}

static void feed(const char *p, size_t len)
{
	static char seq[64];
	static size_t have;

	bytes += len;
	for (; len; p++, len--) {
		if (!have) {
			if (*p == 033)
				seq[have++] = *p;
			else
				plain(*p);
			continue;
		}
		if (have < sizeof(seq) - 1)
			seq[have++] = *p;
		seq[have] = 0;
		if (have == 2 && *p == '7') {
			saved_row = row;
			saved_col = col;
		} else if (have == 2 && *p == '8') {
			row = saved_row;
			col = saved_col;
		} else if (have == 2 && *p == 'M') {
			if (row == top)
				scroll(0);
			else
				row -= row > 0;
		} else if (have == 2 && (*p == '[' || *p == '(' || *p == ')')) {
			continue;
		} else if (seq[1] == '[' && (*p < '@' || *p > '~')) {
			continue;
		} else if (seq[1] == '[') {
			seq[have - 1] = 0;
			control(seq + 2 + (seq[2] == '?'), *p);
		}
		have = 0;
	}
}

/* False when COMMAND has closed the terminal. */
static bool pump(int ms)
{
	struct pollfd p = { .fd = master, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return true;
	n = read(master, buf, sizeof(buf));
	if (n <= 0)
		return false;
	feed(buf, n);
	return true;
}

static bool shown(const char *text)
{
	int i;

	for (i = 0; i < rows; i++) {
		cell[i][cols] = 0;
		if (strstr(cell[i], text))
			return true;
	}
	return false;
}

static void failed(const char *step)
{
	int i;

	printf("# screen: %s: failed\n", step);
	for (i = 0; i < rows; i++) {
		cell[i][cols] = 0;
		printf("#  |%s|\n", cell[i]);
	}
	kill(child, SIGKILL);
	exit(1);
}

static void print(void)
{
	unsigned long before;
	int i;

	/* What is just being drawn is drawn to its end. */
	do
		before = bytes;
	while (pump(200) && bytes != before);
	for (i = 0; i < rows; i++) {
		cell[i][cols] = style[i][cols] = 0;
		printf("|%s\n~%s\n", cell[i], style[i]);
	}
	fflush(stdout);
}

static bool wait_text(const char *text, bool there)
{
	long end = now_ms() + LIMIT_MS;

	while (shown(text) != there)
		if (!pump(100) || now_ms() > end)
			return shown(text) == there;
	return true;
}

static void resize(const char *text, int fd)
{
	struct winsize size = {};
	int i;

	if (sscanf(text, "%dx%d", &rows, &cols) != 2 || rows > ROWS || cols > COLS) {
		fprintf(stderr, "screen: %s: not a size\n", text);
		exit(2);
	}
	for (i = 0; i < ROWS; i++)
		fill(i, 0, COLS);
	top = 0;
	bottom = rows - 1;
	size.ws_row = rows;
	size.ws_col = cols;
	if (fd >= 0)
		ioctl(fd, TIOCSWINSZ, &size);
}

static void keys(const char *text)
{
	for (; *text; text++) {
		char c = *text;

		if (c == '^' && text[1])
			c = *++text & 0x1f;
		else if (c == '\\' && text[1] == 'e')
			c = 033, text++;
		if (write(master, &c, 1) != 1)
			failed(text);
	}
}

/* A screen has changed when something came, and then nothing for a moment. */
static bool steady(int screens)
{
	long end = now_ms() + LIMIT_MS;

	cleared = 0;
	while (screens--) {
		bytes = 0;
		while (!bytes)
			if (!pump(100) || now_ms() > end)
				return false;
		for (;;) {
			unsigned long before = bytes;

			if (!pump(150))
				return false;
			if (bytes == before)
				break;
		}
		printf("# screen: %lu bytes for a change of %dx%d\n", bytes, rows, cols);
		if (bytes > (unsigned long)rows * cols / 3)
			return false;
	}
	return !cleared;
}

static bool ended(int code, const struct termios *before)
{
	long end = now_ms() + LIMIT_MS;
	struct termios after;
	int status;

	while (waitpid(child, &status, WNOHANG) != child) {
		pump(50);
		if (now_ms() > end)
			return false;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
		printf("# screen: status %#x\n", status);
		return false;
	}
	return !tcgetattr(master, &after) && after.c_lflag == before->c_lflag &&
		after.c_oflag == before->c_oflag && after.c_iflag == before->c_iflag;
}

int main(int argc, char **argv)
{
	struct termios before;
	struct winsize size;
	int i, end, slave;
	bool good = true;

	for (end = 2; end < argc && strcmp(argv[end], "--"); end++)
		;
	if (end >= argc - 1) {
		fprintf(stderr, "usage: screen ROWSxCOLUMNS STEP... -- COMMAND...\n");
		return 2;
	}
	resize(argv[1], -1);
	size = (struct winsize) { .ws_row = rows, .ws_col = cols };
	/* The slave stays open here: what it was set to can be seen at the end. */
	if (openpty(&master, &slave, NULL, NULL, &size)) {
		perror("screen: openpty");
		return 2;
	}
	tcgetattr(slave, &before);
	child = fork();
	if (!child) {
		login_tty(slave);
		close(master);
		setenv("TERM", "vt100", 1);
		unsetenv("LINES");
		unsetenv("COLUMNS");
		execvp(argv[end + 1], argv + end + 1);
		_exit(127);
	}
	for (i = 2; i < end && good; i++) {
		const char *arg = strchr(argv[i], ':');

		if (!arg)
			return 2;
		arg++;
		if (!strncmp(argv[i], "wait:", 5))
			good = wait_text(arg, true);
		else if (!strncmp(argv[i], "gone:", 5))
			good = wait_text(arg, false);
		else if (!strncmp(argv[i], "key:", 4))
			keys(arg);
		else if (!strncmp(argv[i], "size:", 5))
			resize(arg, master);
		else if (!strncmp(argv[i], "print:", 6))
			print();
		else if (!strncmp(argv[i], "steady:", 7))
			good = steady(atoi(arg));
		else if (!strncmp(argv[i], "exit:", 5))
			good = ended(atoi(arg), &before);
		else
			return 2;
		if (!good)
			failed(argv[i]);
	}
	kill(child, SIGKILL);
	return 0;
}
