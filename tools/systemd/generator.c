// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generator: finds the unit files and drop-ins that name a page-table
 * budget and adds a drop-in to each of these units, which runs this program
 * when the unit starts. How large the budget is it finds out then, from the files
 * that systemd itself has chosen: a generator runs before systemd has read any.
 *
 * The drop-in has one name on all levels (service.d/, foo-.service.d/,
 * foo@.service.d/, foo@bar.service.d/), so that the innermost alone counts and
 * the program runs once. It sorts last, so that an `ExecStartPre=` that resets
 * the list in somebody's drop-in does not take it away.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptfree-systemd.h"

#ifndef PROGRAM
#error PROGRAM is not defined: the path that this program is installed at
#endif

/* A unit, a template, a prefix ("foo-.service") or a type ("service"). */
struct record {
	char *name;
	struct settings s;
};

static struct record *records;
static size_t nr_records;

/* Names that a folder of higher priority had: those of lower ones are hidden. */
static char **seen;
static size_t nr_seen;

static bool first_time(char *name)
{
	for (size_t i = 0; i < nr_seen; i++) {
		if (!strcmp(seen[i], name)) {
			free(name);
			return false;
		}
	}
	seen = must(realloc(seen, (nr_seen + 1) * sizeof(*seen)));
	seen[nr_seen++] = name;
	return true;
}

static struct settings *record(const char *name)
{
	for (size_t i = 0; i < nr_records; i++)
		if (!strcmp(records[i].name, name))
			return &records[i].s;
	records = must(realloc(records, (nr_records + 1) * sizeof(*records)));
	memset(&records[nr_records], 0, sizeof(*records));
	records[nr_records].name = must(strdup(name));
	return &records[nr_records++].s;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && !strcmp(text + len - n, end);
}

/* The section of a unit, or of a whole type: "service" is where service.d/ leads. */
static bool section_of(const char *name, const char **section)
{
	char *dotted;
	bool ok;

	if (strchr(name, '.'))
		return unit_section(name, section);
	dotted = str(".%s", name);
	ok = unit_section(dotted, section);
	free(dotted);
	return ok;
}

static void read_file(const char *path, const char *name)
{
	struct settings s = { 0 }, *all;
	const char *section;

	if (!section_of(name, &section) || read_unit_file(path, section, true, &s))
		return;
	if (!s.any && !s.chroot && !s.start_only && !s.covered)
		return;
	all = record(name);
	all->any |= s.any;
	all->required |= s.required;
	all->chroot |= s.chroot;
	all->start_only |= s.start_only;
	all->covered |= s.covered;
}

static void read_dropins(const char *path, const char *name)
{
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		char *file;

		if (!ends_with(entry->d_name, ".conf") || !strcmp(entry->d_name, HOOK_FILE))
			continue;
		if (!first_time(str("%s.d/%s", name, entry->d_name)))
			continue;
		file = str("%s/%s", path, entry->d_name);
		read_file(file, name);
		free(file);
	}
	closedir(dir);
}

static void read_folder(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		char *file = str("%s/%s", path, entry->d_name);
		char *name = must(strdup(entry->d_name));

		if (ends_with(name, ".d")) {
			name[strlen(name) - 2] = 0;
			if (section_of(name, NULL))
				read_dropins(file, name);
		} else if (unit_section(name, NULL) && first_time(must(strdup(name)))) {
			read_file(file, name);
		}
		free(name);
		free(file);
	}
	closedir(dir);
}

/* Do drop-ins of outer apply to inner? */
static bool covers(const char *outer, const char *inner)
{
	const char *odot = strrchr(outer, '.'), *idot = strrchr(inner, '.');
	const char *at;
	size_t len;

	if (!idot)
		return false;
	if (!odot)
		return !strcmp(outer, idot + 1);
	if (strcmp(odot, idot))
		return false;
	len = (size_t)(odot - outer);
	if (!len || strncmp(outer, inner, len) || inner + len >= idot)
		return false;
	at = strchr(inner, '@');
	return outer[len - 1] == '-' || (at && inner + len - 1 == at);
}

static int write_file(const char *folder, const char *name, const char *text)
{
	char *path = str("%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(text);
	int r = 0;

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r)
		say(SAY_ERROR, "%s: %s", path, strerror(-r));
	free(path);
	return r;
}

/* Must the budget be written from outside the unit's file system? */
static bool outside(const struct settings *s)
{
	return s->covered || (s->chroot && !s->start_only);
}

static int write_hook(const char *folder, const struct record *r)
{
	bool required = r->s.required, apart = outside(&r->s);
	const char *section;
	char *dir, *text;
	int ret;

	section_of(r->name, &section);
	for (size_t i = 0; i < nr_records; i++) {
		if (!covers(records[i].name, r->name))
			continue;
		required |= records[i].s.required;
		apart |= outside(&records[i].s);
	}
	/* A companion for every service would want one itself. */
	if (!strchr(r->name, '.'))
		apart = false;

	/* What puts changes into effect is there at boot, and after an installation. */
	if (!strcmp(section, "Service") && !apart)
		text = str("[Unit]\nWants=ptfree-apply.path\n\n"
			   "[Service]\nMemoryAccounting=yes\nExecStartPre=+%s%s start %%n\n",
			   required ? "" : "-", PROGRAM);
	else
		text = str("[Unit]\nWants=ptfree-apply.path\n%s=ptfree-unit@%%n.service\n\n[%s]\nMemoryAccounting=yes\n",
			   required ? "BindsTo" : "Wants", section);
	dir = str("%s/%s.d", folder, r->name);
	if (mkdir(dir, 0755) && errno != EEXIST) {
		ret = -errno;
		say(SAY_ERROR, "%s: %s", dir, strerror(errno));
	} else {
		ret = write_file(dir, HOOK_FILE, text);
	}
	free(dir);
	free(text);
	return ret;
}

/* Folders of a list like PATH, each with something behind it. */
static void read_list(const char *list, const char *behind)
{
	char *copy = must(strdup(list)), *rest = copy, *word;

	while ((word = strsep(&rest, ":"))) {
		char *path;

		if (!*word)
			continue;
		path = str("%s%s", word, behind);
		read_folder(path);
		free(path);
	}
	free(copy);
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* As systemd.unit(5) lists them, but for what other generators are writing now. */
static void read_defaults(bool user)
{
	const char *home = env("HOME"), *run = env("XDG_RUNTIME_DIR");
	const char *config = env("XDG_CONFIG_HOME"), *data = env("XDG_DATA_HOME");
	char *own, *text;

	if (!user) {
		read_list("/etc/systemd/system.control:/run/systemd/system.control:"
			  "/run/systemd/transient:/etc/systemd/system:"
			  "/etc/systemd/system.attached:/run/systemd/system:"
			  "/run/systemd/system.attached:/usr/local/lib/systemd/system:"
			  "/usr/lib/systemd/system:/lib/systemd/system", "");
		return;
	}
	own = config ? must(strdup(config)) : str("%s/.config", home ? home : "");
	if (!run)
		run = "/nonexistent";
	text = str("%s/systemd/user.control:%s/systemd/user.control:%s/systemd/transient:"
		   "%s/systemd/user", own, run, run, own);
	read_list(text, "");
	free(text);
	free(own);
	read_list(env("XDG_CONFIG_DIRS") ? getenv("XDG_CONFIG_DIRS") : "/etc/xdg", "/systemd/user");
	read_list("/etc", "/systemd/user");
	read_list(run, "/systemd/user");
	read_list("/run", "/systemd/user");
	own = data ? must(strdup(data)) : str("%s/.local/share", home ? home : "");
	read_list(own, "/systemd/user");
	free(own);
	read_list(env("XDG_DATA_DIRS") ? getenv("XDG_DATA_DIRS") : "/usr/local/share:/usr/share",
		  "/systemd/user");
	read_list("/usr/local/lib:/usr/lib", "/systemd/user");
}

int generator_main(int argc, char **argv)
{
	const char *scope = env("SYSTEMD_SCOPE"), *path = env("SYSTEMD_UNIT_PATH");
	const char *folder, *run;
	bool user, hooked = false;
	char *used;
	int ret = 0;

	if (argc != 2 && argc != 4) {
		say(SAY_ERROR, "a generator takes one or three folders");
		return 1;
	}
	folder = argv[1];
	user = scope ? !strcmp(scope, "user") : strstr(argv[0], "/user-generators/") != NULL;
	if (path)
		read_list(path, "");
	if (!path || ends_with(path, ":"))
		read_defaults(user);

	for (size_t i = 0; i < nr_records; i++) {
		if (!records[i].s.any)
			continue;
		hooked = true;
		if (write_hook(folder, &records[i]))
			ret = 1;
	}
	/* Also when the last budget was just removed: somebody must lift it. */
	run = user ? env("XDG_RUNTIME_DIR") : "/run";
	used = str("%s/ptfree/used", run ? run : "/nonexistent");
	if ((hooked || !access(used, F_OK)) && write_file(folder, STAMP_FILE, ""))
		ret = 1;
	free(used);
	return ret;
}
