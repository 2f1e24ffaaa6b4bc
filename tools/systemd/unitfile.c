// SPDX-License-Identifier: GPL-2.0-only
/*
 * The few keys of a unit file that matter here, read as systemd reads them:
 * sections, comments, continued lines, the last assignment wins, an empty one
 * resets, an invalid one is passed over with a line in the log.
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "ptfree-systemd.h"

const struct key keys[NR_KEYS] = {
	[KEY_MAX] = { "X-MemoryPageTableMax", "MemoryPageTableMax", "memory.pt.max" },
	[KEY_HIGH] = { "X-MemoryPageTableHigh", "MemoryPageTableHigh", "memory.pt.high" },
};

static const char required_key[] = "X-MemoryPageTableRequired";

static const struct {
	const char *suffix, *section;
} types[] = {
	{ ".service", "Service" },
	{ ".slice", "Slice" },
	{ ".scope", "Scope" },
};

/* False for a unit of a type in which nothing runs but short commands of the manager. */
bool unit_section(const char *unit, const char **section)
{
	const char *dot = strrchr(unit, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++) {
		if (!strcmp(dot, types[i].suffix)) {
			if (section)
				*section = types[i].section;
			return true;
		}
	}
	return false;
}

int parse_bool(const char *text)
{
	static const char * const yes[] = { "1", "yes", "y", "true", "t", "on" };
	static const char * const no[] = { "0", "no", "n", "false", "f", "off" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcasecmp(text, yes[i]))
			return 1;
		if (!strcasecmp(text, no[i]))
			return 0;
	}
	return -EINVAL;
}

static uint64_t physical_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* "12%", "12.34%", "123.4" and a per mille or per ten thousand sign: in 1/10000. */
static int parse_share(const char *text, uint64_t *share)
{
	static const struct {
		const char *sign;
		unsigned int scale, digits;
	} signs[] = {
		{ "%", 100, 2 },
		{ "\xe2\x80\xb0", 10, 1 },	/* per mille */
		{ "\xe2\x80\xb1", 1, 0 },	/* per ten thousand */
	};
	size_t len = strlen(text);

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		size_t sign = strlen(signs[i].sign);
		unsigned int scale = signs[i].scale, digits = 0;
		uint64_t value = 0;
		const char *p = text;

		if (len <= sign || strcmp(text + len - sign, signs[i].sign))
			continue;
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++) {
			value = value * 10 + (uint64_t)(*p - '0');
			if (value > 10000)
				return -ERANGE;
		}
		value *= scale;
		if (*p == '.') {
			for (p++; isdigit((unsigned char)*p); p++) {
				if (++digits > signs[i].digits)
					return -EINVAL;
				scale /= 10;
				value += (uint64_t)(*p - '0') * scale;
			}
			if (!digits)
				return -EINVAL;
		}
		if (p != text + len - sign)
			return -EINVAL;
		if (value > 10000)
			return -ERANGE;
		*share = value;
		return 0;
	}
	return -ENOENT;
}

/* One or more numbers with falling suffixes, "1G 512M", fractions allowed. */
static int parse_size(const char *text, uint64_t *limit)
{
	static const char suffixes[] = "BKMGTPE";
	unsigned __int128 sum = 0;
	int last = sizeof(suffixes);

	do {
		unsigned __int128 value, part = 0;
		unsigned long long whole;
		uint64_t unit, tenth = 1;
		const char *which;
		char *end;
		int rank;

		text += strspn(text, " \t");
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		errno = 0;
		whole = strtoull(text, &end, 10);
		if (errno)
			return -ERANGE;
		if (*end == '.') {
			for (end++; isdigit((unsigned char)*end); end++) {
				if (tenth > UINT64_MAX / 1000)
					return -ERANGE;
				part = part * 10 + (unsigned int)(*end - '0');
				tenth *= 10;
			}
		}
		end += strspn(end, " \t");
		which = *end ? strchr(suffixes, *end) : NULL;
		if (*end && !which && !isdigit((unsigned char)*end))
			return -EINVAL;
		rank = which ? (int)(which - suffixes) : 0;
		if (rank >= last)
			return -EINVAL;
		last = rank;
		if (which)
			end++;
		unit = UINT64_C(1) << (10 * rank);
		value = (unsigned __int128)whole * unit + part * unit / tenth;
		sum += value;
		if (sum >= UINT64_MAX)
			return -ERANGE;
		text = end + strspn(end, " \t");
	} while (*text);
	*limit = (uint64_t)sum;
	return 0;
}

/* The grammar of MemoryMax=, where 0 is a limit too. */
int parse_limit(const char *text, uint64_t *limit)
{
	uint64_t share;
	int r;

	if (!*text || !strcmp(text, "infinity")) {
		*limit = LIMIT_MAX;
		return 0;
	}
	r = parse_share(text, &share);
	if (!r) {
		*limit = (uint64_t)((unsigned __int128)physical_memory() * share / 10000);
		return 0;
	}
	return r == -ENOENT ? parse_size(text, limit) : r;
}

/*
 * `ExecStartPre=+` escapes from every sandbox but what is mounted: does one of
 * these hide this program, its libraries, the manager's socket or the files that
 * it writes? TemporaryFileSystem=PATH:OPTIONS, the others FROM:TO:OPTIONS.
 */
static bool covers_us(const char *value, bool target_second)
{
	static const char * const needed[] = { "/usr", "/lib", "/run", "/sys", "/proc", "/etc" };
	char *copy = must(strdup(value)), *rest = copy, *word;
	bool found = false;

	while ((word = strsep(&rest, " \t"))) {
		char *path = strsep(&word, ":");

		if (target_second)
			path = word ? strsep(&word, ":") : NULL;
		if (!path || !*path)
			continue;
		found |= !strcmp(path, "/");
		for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
			found |= !strncmp(path, needed[i], strlen(needed[i]));
	}
	free(copy);
	return found;
}

struct place {
	const char *path;
	unsigned int line;
	bool quiet;
};

__attribute__((format(printf, 3, 4)))
static void complain(const struct place *at, struct settings *s, const char *fmt, ...)
{
	va_list args;
	char *text;

	s->bad = true;
	if (at->quiet)
		return;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		must(NULL);
	va_end(args);
	say(SAY_WARNING, "%s:%u: %s, ignoring", at->path, at->line, text);
	free(text);
}

static void assign(const struct place *at, const char *section, const char *wanted,
		   const char *key, const char *value, struct settings *s)
{
	bool here = section && !strcmp(section, wanted);
	uint64_t limit;
	int r;

	for (int i = 0; i < NR_KEYS; i++) {
		if (!strcmp(key, keys[i].native) && here)
			s->native[i] = *value;
		if (strcmp(key, keys[i].ours))
			continue;
		s->any = true;
		if (!here) {
			complain(at, s, "%s= belongs in [%s]", key, wanted);
		} else if (!*value) {
			s->set[i] = false;
		} else if (parse_limit(value, &limit)) {
			complain(at, s, "%s=%s is not a size", key, value);
		} else {
			s->limit[i] = limit;
			s->set[i] = true;
		}
	}
	if (!strcmp(key, required_key)) {
		s->any = true;
		r = *value ? parse_bool(value) : 0;
		if (!here)
			complain(at, s, "%s= belongs in [%s]", key, wanted);
		else if (r < 0)
			complain(at, s, "%s=%s is neither yes nor no", key, value);
		else
			s->required = r;
	}
	if (here && (!strcmp(key, "RootDirectory") || !strcmp(key, "RootImage")))
		s->chroot = *value && strcmp(value, "/");
	if (here && !strcmp(key, "TemporaryFileSystem"))
		s->covered |= covers_us(value, false);
	if (here && (!strcmp(key, "BindPaths") || !strcmp(key, "BindReadOnlyPaths") ||
		     !strcmp(key, "MountImages")))
		s->covered |= covers_us(value, true);
	if (here && !strcmp(key, "RootDirectoryStartOnly"))
		s->start_only = parse_bool(value) > 0;
}

static char *strip(char *text)
{
	char *end;

	text += strspn(text, " \t\r\n");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r\n", end[-1]))
		*--end = 0;
	return text;
}

/* One logical line. */
static void take(const struct place *at, char **section, const char *wanted, char *line,
		 struct settings *s)
{
	size_t len;
	char *eq;

	line = strip(line);
	len = strlen(line);
	if (*line == '[') {
		free(*section);
		*section = NULL;
		if (len > 2 && line[len - 1] == ']')
			*section = must(strndup(line + 1, len - 2));
		return;
	}
	eq = strchr(line, '=');
	if (!eq)
		return;
	*eq = 0;
	assign(at, *section, wanted, strip(line), strip(eq + 1), s);
}

/*
 * Add to s what path says in section. Returns -ENOENT and the like if it cannot
 * be read. quiet: somebody else says what is wrong with the file.
 */
int read_unit_file(const char *path, const char *section, bool quiet, struct settings *s)
{
	struct place at = { .path = path, .quiet = quiet };
	char *line = NULL, *whole = NULL, *current = NULL;
	size_t size = 0, used = 0;
	unsigned int number = 0;
	FILE *f = fopen(path, "re");
	ssize_t len;

	if (!f)
		return -errno;
	while ((len = getline(&line, &size, f)) >= 0) {
		char *text = line;
		bool more;

		if (!number++ && !strncmp(text, "\xef\xbb\xbf", 3))
			text += 3;
		text += strspn(text, " \t\r\n");
		/* Comments may stand between the parts of a continued line. */
		if (*text == '#' || *text == ';')
			continue;
		len = (ssize_t)strcspn(text, "\r\n");
		more = len && text[len - 1] == '\\';
		if (more)
			text[len - 1] = ' ';
		if (!whole)
			at.line = number;
		whole = must(realloc(whole, used + (size_t)len + 1));
		memcpy(whole + used, text, (size_t)len);
		used += (size_t)len;
		whole[used] = 0;
		if (more)
			continue;
		take(&at, &current, section, whole, s);
		free(whole);
		whole = NULL;
		used = 0;
	}
	if (whole)
		take(&at, &current, section, whole, s);
	free(whole);
	free(current);
	free(line);
	fclose(f);
	return 0;
}
