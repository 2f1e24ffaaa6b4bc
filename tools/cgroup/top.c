// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree top: the survey, live
 *
 * ncurses sends to the terminal only what has changed, so nothing flickers. What
 * could be freed is counted for as long as a fifth of the delay, beginning with
 * the processes with the most tables; who has not changed is not counted again.
 */
#define _XOPEN_SOURCE_EXTENDED 1
#include <errno.h>
#include <getopt.h>
#include <curses.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ptfree.h"

#define FIRST_LINE	3	/* below the two of the summary and the titles */
#define SHARE		0.2

struct top {
	struct list procs, groups;
	struct machine machine;
	const struct column *by_process, *by_group;
	double delay;
	enum scan mode;
	bool show_groups, tree, reverse, help;
	size_t first;		/* what is scrolled out above */
	unsigned long left;	/* looks to take, 0: any number */
};

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	ended = sig;
}

static const struct column *columns_of(const struct top *t)
{
	return t->show_groups ? cgroup_columns : process_columns;
}

static const struct column **sort_of(struct top *t)
{
	return t->show_groups ? &t->by_group : &t->by_process;
}

static void arrange(struct top *t)
{
	list_sort(&t->procs, t->by_process, t->reverse);
	if (t->tree)
		list_tree(&t->groups);
	else
		list_sort(&t->groups, t->by_group, t->reverse);
}

static void look(struct top *t)
{
	struct list procs;

	proc_read(&procs);
	proc_scan(&procs, t->mode, t->delay * SHARE, &t->procs);
	list_clear(&t->procs);
	list_clear(&t->groups);
	t->procs = procs;
	cgroup_read(&t->groups);
	cgroup_add(&t->groups, &t->procs);
	machine_read(&t->machine, &t->procs);
	arrange(t);
}

static void second_line(struct top *t, char *buf, size_t len)
{
	char stamp[32];
	time_t now = time(NULL);

	strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime(&now));
	if (t->show_groups && t->tree)
		snprintf(buf, len, "%s  %zu cgroups, as a tree, every %gs  (h: help, q: quit)",
			 stamp, t->groups.nr, t->delay);
	else
		snprintf(buf, len, "%s  %zu %s by %s%s, every %gs  (h: help, q: quit)",
			 stamp, t->show_groups ? t->groups.nr : t->procs.nr,
			 t->show_groups ? "cgroups" : "processes", (*sort_of(t))->key,
			 t->reverse ? ", reversed" : "", t->delay);
}

/* The title of the column that is sorted by stands out. */
static void draw_titles(struct top *t)
{
	const struct column *c;
	char line[1024], title[64];
	int at = 0;

	line_header(columns_of(t), line, sizeof(line));
	attron(A_REVERSE);
	mvaddnstr(FIRST_LINE - 1, 0, line, COLS);
	for (at = strlen(line); at < COLS; at++)
		mvaddch(FIRST_LINE - 1, at, ' ');
	attroff(A_REVERSE);
	if (t->show_groups && t->tree)
		return;
	for (at = 0, c = columns_of(t); c->key; at += abs(c->width) + 1, c++) {
		if (c != *sort_of(t) || at >= COLS)
			continue;
		snprintf(title, sizeof(title), "%*s", c->width == -1 ? 0 : c->width, c->title);
		attron(A_BOLD);
		mvaddnstr(FIRST_LINE - 1, at, title, COLS - at);
		attroff(A_BOLD);
	}
}

static void draw_help(void)
{
	static const char *const lines[] = {
		"",
		"  g, Tab     processes or cgroups",
		"  t          cgroups as a tree",
		"  <  >       sort by the column to the left, to the right",
		"  T R M F    sort by tables, resident, mapped, freeable",
		"  r          reverse the order",
		"  c          count what could be freed, or not",
		"  d          change the delay",
		"  Space      look again now",
		"  arrows, Page Up, Page Down, Home, End: scroll",
		"  q          quit",
		"",
		"  FREEABLE  page tables without an entry: counted, or",
		"            ~ about that, some mappings keep theirs",
		"            < not more than that",
		"",
		"  Any key goes back.",
	};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]) && (int)i + 2 < LINES; i++)
		mvaddnstr(i + 2, 0, lines[i], COLS);
}

static void draw(struct top *t)
{
	const struct list *list = t->show_groups ? &t->groups : &t->procs;
	int room = LINES - FIRST_LINE, i;
	char text[8192];

	if (room < 0)
		room = 0;
	if (t->first + room > list->nr)
		t->first = list->nr > (size_t)room ? list->nr - room : 0;
	erase();
	machine_line(&t->machine, text, sizeof(text));
	mvaddnstr(0, 0, text, COLS);
	second_line(t, text, sizeof(text));
	mvaddnstr(1, 0, text, COLS);
	if (t->help) {
		draw_help();
	} else {
		draw_titles(t);
		for (i = 0; i < room && t->first + i < list->nr; i++) {
			line_entry(columns_of(t), &list->e[t->first + i],
				   t->show_groups && t->tree, text, sizeof(text));
			mvaddnstr(FIRST_LINE + i, 0, text, COLS);
		}
	}
	move(LINES - 1, 0);
	refresh();
}

static void ask_delay(struct top *t)
{
	char text[16], *end;
	double n;

	move(1, 0);
	clrtoeol();
	mvprintw(1, 0, "Delay in seconds (now %g): ", t->delay);
	echo();
	curs_set(1);
	timeout(-1);
	if (getnstr(text, sizeof(text) - 1) == OK && *text) {
		n = strtod(text, &end);
		if (*end || !(n >= 0.1 && n <= 86400))
			beep();
		else
			t->delay = n;
	}
	noecho();
	curs_set(0);
}

static void sort_next(struct top *t, int step)
{
	const struct column **by = sort_of(t), *all = columns_of(t);

	if (step < 0 ? *by > all : (*by)[step].key != NULL)
		*by += step;
}

static void sort_key(struct top *t, const char *key)
{
	*sort_of(t) = column_find(columns_of(t), key);
	t->tree = false;
}

/* False: the end. */
static bool key(struct top *t, int c)
{
	int page = LINES - FIRST_LINE > 1 ? LINES - FIRST_LINE - 1 : 1;

	if (t->help) {
		t->help = c == KEY_RESIZE;
		return c != 'q';
	}
	switch (c) {
	case 'q':
		return false;
	case 'h':
	case '?':
		t->help = true;
		break;
	case 'g':
	case '\t':
		t->show_groups = !t->show_groups;
		t->first = 0;
		break;
	case 't':
		t->tree = !(t->show_groups && t->tree);
		t->show_groups = true;
		break;
	case '<':
		sort_next(t, -1);
		break;
	case '>':
		sort_next(t, 1);
		break;
	case 'T':
		sort_key(t, "tables");
		break;
	case 'R':
		sort_key(t, "resident");
		break;
	case 'M':
		sort_key(t, "mapped");
		break;
	case 'F':
		sort_key(t, "freeable");
		break;
	case 'r':
		t->reverse = !t->reverse;
		break;
	case 'c':
		t->mode = t->mode == SCAN_NONE ? SCAN_QUICK : SCAN_NONE;
		break;
	case 'd':
	case 's':
		ask_delay(t);
		break;
	case KEY_DOWN:
		t->first++;
		break;
	case KEY_UP:
		t->first -= t->first > 0;
		break;
	case KEY_NPAGE:
		t->first += page;
		break;
	case KEY_PPAGE:
		t->first -= t->first > (size_t)page ? (size_t)page : t->first;
		break;
	case KEY_HOME:
		t->first = 0;
		break;
	case KEY_END:
		t->first = SIZE_MAX / 2;
		break;
	}
	arrange(t);
	return true;
}

static void live(struct top *t)
{
	struct sigaction sa = { .sa_handler = on_signal };
	double next;
	int c;

	/* Whatever ends this, the terminal is left as it was. */
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (!newterm(NULL, stdout, stdin))
		die(CODE_SYSTEM, "the terminal type %s is not known; try --batch",
		    getenv("TERM") ? getenv("TERM") : "(TERM is not set)");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	while (!ended) {
		look(t);
		next = now_seconds() + t->delay;
		for (;;) {
			double left = next - now_seconds();

			draw(t);
			if (ended || left <= 0)
				break;
			timeout(left * 1000 + 1);
			errno = 0;
			c = getch();
			if (c == ERR && errno == EIO)
				ended = SIGHUP;
			if (c == ' ' && !t->help)
				break;
			if (c != ERR && !key(t, c)) {
				ended = -1;
				break;
			}
			if (c == 'd' || c == 's')
				next = now_seconds() + t->delay;
		}
		if (t->left && !--t->left)
			break;
	}
	endwin();
}

static void print_text(struct top *t)
{
	const struct list *list = t->show_groups ? &t->groups : &t->procs;
	char text[8192];
	size_t i;

	machine_line(&t->machine, text, sizeof(text));
	puts(text);
	second_line(t, text, sizeof(text));
	*strstr(text, "  (h:") = 0;
	puts(text);
	line_header(columns_of(t), text, sizeof(text));
	puts(text);
	for (i = 0; i < list->nr; i++) {
		line_entry(columns_of(t), &list->e[i], t->show_groups && t->tree,
			   text, sizeof(text));
		puts(text);
	}
}

/* In JSON, each look is a line. */
static void batch(struct top *t, bool json)
{
	for (;;) {
		struct timespec ts = {
			.tv_sec = t->delay,
			.tv_nsec = (t->delay - (time_t)t->delay) * 1e9,
		};

		look(t);
		if (json)
			json_print(survey_json(&t->machine, t->show_groups ? NULL : &t->procs,
					       t->show_groups ? &t->groups : NULL, SIZE_MAX),
				   false);
		else
			print_text(t);
		if (t->left && !--t->left)
			break;
		if (!json)
			putchar('\n');
		finish_output();
		nanosleep(&ts, NULL);
	}
}

int cmd_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", no_argument, NULL, 'b' },
		{ "delay", required_argument, NULL, 'd' },
		{ "iterations", required_argument, NULL, 'n' },
		{ "cgroups", no_argument, NULL, 'g' },
		{ "tree", no_argument, NULL, 't' },
		{ "sort", required_argument, NULL, 's' },
		{ "reverse", no_argument, NULL, 'r' },
		{ "no-scan", no_argument, NULL, 'N' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	struct top t = { .delay = 2, .mode = SCAN_QUICK };
	const char *sort = "tables";
	bool in_batch = false, json = false;
	char keys[256];
	int opt;

	while ((opt = getopt_long(argc, argv, "bd:n:gts:rNjh", options, NULL)) != -1) {
		switch (opt) {
		case 'b':
			in_batch = true;
			break;
		case 'd':
			t.delay = parse_seconds("--delay", optarg, 0.1);
			break;
		case 'n':
			t.left = parse_count("--iterations", optarg, 1000000000);
			break;
		case 'g':
			t.show_groups = true;
			break;
		case 't':
			t.show_groups = t.tree = true;
			break;
		case 's':
			sort = optarg;
			break;
		case 'r':
			t.reverse = true;
			break;
		case 'N':
			t.mode = SCAN_NONE;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			command_help(argv[0]);
		default:
			usage_error(argv[0]);
		}
	}
	if (optind < argc)
		usage_error(argv[0]);
	t.by_process = column_find(process_columns, "tables");
	t.by_group = column_find(cgroup_columns, "tables");
	*sort_of(&t) = column_find(columns_of(&t), sort);
	if (!*sort_of(&t)) {
		column_keys(columns_of(&t), keys, sizeof(keys));
		die(CODE_USAGE, "--sort: no column %s; there are %s", sort, keys);
	}
	if (json && !in_batch)
		die(CODE_USAGE, "top: --json goes with --batch");
	if (!in_batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		die(CODE_USAGE, "top: not a terminal; use --batch");
	if (in_batch)
		batch(&t, json);
	else
		live(&t);
	list_clear(&t.procs);
	list_clear(&t.groups);
	return CODE_OK;
}
