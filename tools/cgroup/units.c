// SPDX-License-Identifier: GPL-2.0-only
/*
 * Budgets that unit files of the system manager ask for
 *
 * X-MemoryPageTableMax=, X-MemoryPageTableHigh= and the same without X-, as
 * ptfree-systemd reads them. The files are found the way systemd finds them: the
 * fragment first, then the drop-ins by their names, a folder nearer to the unit's
 * own name before one farther away. No bus is needed, so that this works for
 * anybody, and also where systemd is not running.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../systemd/ptfree-systemd.h"
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

/* What unitfile.c wants of its program: it does not speak, read_unit_file() is quiet. */
void say(enum level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

void *must(void *p)
{
	if (!p)
		die(CODE_SYSTEM, "out of memory");
	return p;
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
	names_add(&levels, xstrdup(strrchr(unit, '.') + 1));
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

/*
 * ptfree-systemd takes care of services, slices and scopes; keys of systemd's own
 * are for other units with a cgroup as well.
 */
bool unit_with_cgroup(const char *unit, const char **section)
{
	static const struct {
		const char *suffix, *section;
	} others[] = {
		{ ".socket", "Socket" },
		{ ".mount", "Mount" },
		{ ".swap", "Swap" },
	};
	const char *dot = strrchr(unit, '.');
	size_t i;

	if (unit_section(unit, section))
		return true;
	for (i = 0; dot && i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(dot, others[i].suffix))
			continue;
		if (section)
			*section = others[i].section;
		return true;
	}
	return false;
}

struct found {
	struct budget *b;
	size_t nr;
	struct names units;
};

static struct budget *add_budget(struct found *f, const char *unit, const char *key,
				 const char *file)
{
	struct budget *b;

	f->b = array_grow(f->b, f->nr);
	b = &f->b[f->nr++];
	*b = (struct budget) {
		.unit = xstrdup(unit), .key = xstrdup(key), .file = xstrdup(file),
		.bytes = UNKNOWN, .in_force = UNKNOWN,
	};
	return b;
}

/* What @path changes is from @path; an assignment in it may be no good. */
static void read_file(struct found *f, const char *unit, const char *path, struct settings *s,
		      const char *from[NR_KEYS])
{
	struct settings fresh = {};
	const char *section;
	int i, err;

	unit_with_cgroup(unit, &section);
	err = read_unit_file(path, section, true, &fresh);
	if (err && err != -ENOENT)
		warn("%s: %s", path, strerror(-err));
	read_unit_file(path, section, true, s);
	for (i = 0; i < NR_KEYS; i++)
		if (fresh.set[i] || (fresh.native[i] && !s->set[i]))
			from[i] = path;
	if (fresh.bad)
		add_budget(f, unit, "X-MemoryPageTable*", path)->bad = true;
}

static void add_unit(struct found *f, const char *unit, const char *cgroup)
{
	const char *from[NR_KEYS] = {};
	struct settings s = {};
	struct names files = {};
	size_t n, first = f->nr;
	int i;

	unit_files(unit, &files);
	for (n = 0; n < files.nr; n++)
		read_file(f, unit, files.v[n], &s, from);
	for (i = 0; i < NR_KEYS; i++) {
		struct budget *b;

		if (!s.set[i] && !s.native[i])
			continue;
		b = add_budget(f, unit, s.native[i] ? keys[i].native : keys[i].ours,
			       from[i] ? from[i] : "?");
		b->native = s.native[i];
		/* Only systemd itself can say what its own key means, if it knows it. */
		if (b->native)
			b->unheard = !bus_unit_limit(unit, false, keys[i].native,
						      &b->bytes);
		if (b->unheard && s.set[i]) {
			b->native = b->unheard = false;
			free(b->key);
			b->key = xstrdup(keys[i].ours);
		}
		if (!b->native) {
			b->bytes = s.limit[i];
			b->other_type = !unit_section(unit, NULL);
		}
		b->in_force = cgroup ? cgroup_number(cgroup, keys[i].file) : UNKNOWN;
		/* as the kernel does */
		if (b->bytes < UNKNOWN)
			b->bytes &= ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);
	}
	for (n = first; n < f->nr; n++) {
		f->b[n].active = cgroup;
		f->b[n].cgroup = cgroup ? xstrdup(cgroup) : NULL;
	}
	names_clear(&files);
}

/*
 * Is it somebody else's unit of that name, of a user's manager or of one in a
 * container? The system's manager has its units in slices and nothing else, and
 * a slice "a-b.slice" in "a.slice".
 */
static bool foreign(const char *cgroup)
{
	const char *above = cgroup, *end, *dash;
	size_t len, above_len = 0;

	while (*cgroup == '/') {
		cgroup++;
		end = strchrnul(cgroup, '/');
		len = end - cgroup;
		if (len > 6 && !strncmp(end - 6, ".slice", 6)) {
			len -= 6;
			dash = memrchr(cgroup, '-', len);
			if (dash ? above_len != (size_t)(dash - cgroup) ||
				   strncmp(cgroup, above, above_len) : above_len > 0)
				return true;
			above = cgroup;
			above_len = len;
		} else if (*end) {
			return true;
		}
		cgroup = end;
	}
	return false;
}

static void look_at(const char *cgroup, void *arg)
{
	const char *unit = strcmp(cgroup, "/") ? strrchr(cgroup, '/') + 1 : "-.slice";
	struct found *f = arg;

	if (!unit_with_cgroup(unit, NULL) || foreign(cgroup) || names_have(&f->units, unit))
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
		/* not a template, and not a prefix for others; ".service" is nothing at all */
		if (!unit_with_cgroup(unit, NULL) || dot == unit || dot[-1] == '@' ||
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
