// SPDX-License-Identifier: GPL-2.0-only
/*
 * Budgets that unit files of the system manager ask for
 *
 * X-MemoryPageTableMax=, X-MemoryPageTableHigh= and the same without X-, in the
 * section of the unit's type. The files are found the way systemd finds them:
 * the fragment first, then the drop-ins by their names, a folder nearer to the
 * unit's own name before one farther away. No bus is needed, so that this works
 * for anybody, and also where systemd is not running.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptfree.h"

static const char *const paths[] = {
	"/etc/systemd/system.control", "/run/systemd/system.control",
	"/run/systemd/transient", "/run/systemd/generator.early",
	"/etc/systemd/system", "/etc/systemd/system.attached",
	"/run/systemd/system", "/run/systemd/system.attached",
	"/run/systemd/generator", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system",
	"/run/systemd/generator.late", NULL
};

static const struct {
	const char *suffix, *section;
} types[] = {
	{ ".service", "Service" }, { ".slice", "Slice" }, { ".scope", "Scope" },
	{ ".socket", "Socket" }, { ".mount", "Mount" }, { ".swap", "Swap" },
};

#define NR_TYPES (sizeof(types) / sizeof(types[0]))

static const struct {
	const char *key, *file;
} keys[] = {
	{ "MemoryPageTableHigh", "memory.pt.high" },
	{ "MemoryPageTableMax", "memory.pt.max" },
};

#define NR_KEYS 2

/* The index of its type, or -1 where it is no unit with a cgroup. */
static int type_of(const char *unit)
{
	const char *dot = strrchr(unit, '.');
	size_t i;

	for (i = 0; dot && dot != unit && i < NR_TYPES; i++)
		if (!strcmp(dot, types[i].suffix))
			return i;
	return -1;
}

struct names {
	char **v;
	size_t nr;
};

static void names_add(struct names *n, char *name)
{
	n->v = array_grow(n->v, n->nr);
	n->v[n->nr++] = name;
}

static bool names_have(const struct names *n, const char *name)
{
	size_t i;

	for (i = 0; i < n->nr; i++)
		if (!strcmp(n->v[i], name))
			return true;
	return false;
}

static void names_clear(struct names *n)
{
	while (n->nr)
		free(n->v[--n->nr]);
	free(n->v);
	*n = (struct names) {};
}

/* "foo@.service" of "foo@bar.service", or NULL */
static char *template_of(const char *unit)
{
	const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');

	if (!at || !dot || at > dot || at + 1 == dot)
		return NULL;
	return xasprintf("%.*s%s", (int)(at + 1 - unit), unit, dot);
}

/* "a-b.service", then "a-.service": what a drop-in folder may be named after. */
static void add_prefixes(struct names *n, const char *unit)
{
	const char *dot = strrchr(unit, '.');
	int len = dot - unit;

	names_add(n, xstrdup(unit));
	/* the last "-" is followed by something */
	for (len -= 2; len > 0; len--)
		if (unit[len] == '-')
			names_add(n, xasprintf("%.*s%s", len + 1, unit, dot));
}

static int by_base_name(const void *a, const void *b)
{
	return strcmp(strrchr(*(char *const *)a, '/'), strrchr(*(char *const *)b, '/'));
}

/* Files of @dir that no folder before has under the same name. */
static void add_dropins(struct names *files, struct names *seen, const char *dir)
{
	struct dirent *d;
	DIR *handle;

	handle = opendir(dir);
	while (handle && (d = readdir(handle))) {
		size_t len = strlen(d->d_name);

		if (len < 6 || d->d_name[0] == '.' || strcmp(d->d_name + len - 5, ".conf") ||
		    names_have(seen, d->d_name))
			continue;
		names_add(seen, xstrdup(d->d_name));
		names_add(files, xasprintf("%s/%s", dir, d->d_name));
	}
	if (handle)
		closedir(handle);
}

/* All files that say something about the unit, the last word last. */
static void unit_files(const char *unit, struct names *files)
{
	struct names levels = {}, seen = {};
	char *template = template_of(unit), *dir;
	size_t i, first;
	int p;

	for (p = 0; paths[p] && !files->nr; p++) {
		char *path = xasprintf("%s/%s", paths[p], unit);

		if (access(path, F_OK))
			free(path);
		else
			names_add(files, path);
	}
	for (p = 0; template && paths[p] && !files->nr; p++) {
		char *path = xasprintf("%s/%s", paths[p], template);

		if (access(path, F_OK))
			free(path);
		else
			names_add(files, path);
	}
	first = files->nr;
	add_prefixes(&levels, unit);
	if (template)
		add_prefixes(&levels, template);
	names_add(&levels, xstrdup(types[type_of(unit)].suffix + 1));
	for (i = 0; i < levels.nr; i++) {
		for (p = 0; paths[p]; p++) {
			dir = xasprintf("%s/%s.d", paths[p], levels.v[i]);
			add_dropins(files, &seen, dir);
			free(dir);
		}
	}
	if (files->nr > first)
		qsort(files->v + first, files->nr - first, sizeof(*files->v), by_base_name);
	names_clear(&levels);
	names_clear(&seen);
	free(template);
}

static char *strip(char *text)
{
	char *end;

	text += strspn(text, " \t\r");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r", end[-1]))
		*--end = 0;
	return text;
}

/* A logical line, with "\" at its end going on in the next one; NULL at the end. */
static char *next_line(char **rest)
{
	char *line = NULL, *part;

	while ((part = strsep(rest, "\n"))) {
		char *text = part + strspn(part, " \t");
		size_t len;
		char *whole;

		/* Comments may stand between the parts. */
		if (*text == '#' || *text == ';')
			continue;
		len = strcspn(text, "\r");
		text[len] = 0;
		whole = xasprintf("%s%s", line ? line : "", text);
		free(line);
		line = whole;
		len = strlen(line);
		if (!len || line[len - 1] != '\\')
			break;
		line[len - 1] = ' ';
	}
	return line;
}

static void assign(const char *path, char *key, char *value, struct budget *b)
{
	bool native = strncmp(key, "X-", 2);
	size_t i;

	for (i = 0; i < NR_KEYS; i++) {
		if (strcmp(native ? key : key + 2, keys[i].key))
			continue;
		/* a native key wins over ours, wherever it stands */
		if (b[i].value && b[i].native && !native)
			continue;
		free(b[i].value);
		free(b[i].file);
		free(b[i].key);
		b[i].value = b[i].file = b[i].key = NULL;
		if (!*value)
			continue;
		b[i].native = native;
		b[i].bad = parse_size(value, &b[i].bytes);
		b[i].value = xstrdup(value);
		b[i].file = xstrdup(path);
		b[i].key = xstrdup(key);
	}
}

static void read_file(const char *path, const char *wanted, struct budget *b)
{
	char *text = read_text(path, NULL), *rest = text, *line;
	bool here = false;

	while (rest && (line = next_line(&rest))) {
		char *s = strip(line), *equals = strchr(s, '=');
		size_t len = strlen(s);

		if (*s == '[') {
			here = len == strlen(wanted) + 2 && !strncmp(s + 1, wanted, len - 2) &&
				s[len - 1] == ']';
		} else if (here && equals) {
			*equals = 0;
			assign(path, strip(s), strip(equals + 1), b);
		}
		free(line);
	}
	free(text);
}

struct found {
	struct budget *b;
	size_t nr;
	struct names units;
};

static void add_unit(struct found *f, const char *unit, const char *cgroup)
{
	struct budget b[NR_KEYS] = {};
	int type = type_of(unit), i;
	struct names files = {};
	size_t n;

	unit_files(unit, &files);
	for (n = 0; n < files.nr; n++)
		read_file(files.v[n], types[type].section, b);
	names_clear(&files);
	for (i = 0; i < NR_KEYS; i++) {
		if (!b[i].value)
			continue;
		b[i].unit = xstrdup(unit);
		b[i].active = cgroup;
		b[i].cgroup = cgroup ? xstrdup(cgroup) : NULL;
		b[i].in_force = cgroup ? cgroup_number(cgroup, keys[i].file) : UNKNOWN;
		/* as the kernel does */
		if (!b[i].bad && b[i].bytes != NO_LIMIT)
			b[i].bytes &= ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);
		f->b = array_grow(f->b, f->nr);
		f->b[f->nr++] = b[i];
	}
}

/* Below user@.service and below containers it is somebody else's unit of that name. */
static bool foreign(const char *cgroup)
{
	const char *end = strrchr(cgroup, '/'), *p;

	for (p = strstr(cgroup, ".service/"); p && p < end; p = strstr(p + 1, ".service/"))
		return true;
	for (p = strstr(cgroup, ".scope/"); p && p < end; p = strstr(p + 1, ".scope/"))
		return true;
	return false;
}

static void look_at(const char *cgroup, void *arg)
{
	const char *unit = strcmp(cgroup, "/") ? strrchr(cgroup, '/') + 1 : "-.slice";
	struct found *f = arg;

	if (type_of(unit) < 0 || foreign(cgroup) || names_have(&f->units, unit))
		return;
	names_add(&f->units, xstrdup(unit));
	add_unit(f, unit, cgroup);
}

/* Units that do not run: a file or a folder of drop-ins with their name. */
static void look_in(struct found *f, const char *path)
{
	struct dirent *d;
	DIR *dir;

	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		char *unit = xstrdup(d->d_name);
		size_t len = strlen(unit);
		char *dot;

		if (len > 2 && !strcmp(unit + len - 2, ".d"))
			unit[len - 2] = 0;
		dot = strrchr(unit, '.');
		/* not a template, and not a prefix for others */
		if (type_of(unit) < 0 || dot[-1] == '@' ||
		    (dot[-1] == '-' && strcmp(unit, "-.slice")) || names_have(&f->units, unit)) {
			free(unit);
			continue;
		}
		names_add(&f->units, unit);
		add_unit(f, unit, NULL);
	}
	if (dir)
		closedir(dir);
}

static int by_unit(const void *a, const void *b)
{
	const struct budget *x = a, *y = b;

	if (x->active != y->active)
		return y->active - x->active;
	return strcmp(x->unit, y->unit) ?: strcmp(x->key, y->key);
}

size_t units_budgets(struct budget **budgets)
{
	struct found f = {};
	int p;

	if (cgroup_root())
		cgroup_walk("/", look_at, &f);
	for (p = 0; paths[p]; p++)
		look_in(&f, paths[p]);
	names_clear(&f.units);
	if (f.nr)
		qsort(f.b, f.nr, sizeof(*f.b), by_unit);
	*budgets = f.b;
	return f.nr;
}
