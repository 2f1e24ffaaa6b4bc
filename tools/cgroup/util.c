// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages, memory, small files and sizes
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ptfree.h"

/* Names are quoted in messages too. */
static void message(const char *fmt, va_list args)
{
	char *text;

	fflush(stdout);
	if (vasprintf(&text, fmt, args) < 0) {
		fputs("ptfree: out of memory\n", stderr);
		return;
	}
	printable(text);
	fprintf(stderr, "ptfree: %s\n", text);
	free(text);
}

void die(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message(fmt, args);
	va_end(args);
	exit(code);
}

void warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message(fmt, args);
	va_end(args);
}

void *xrealloc(void *old, size_t size)
{
	void *new = realloc(old, size);

	if (!new)
		die(CODE_SYSTEM, "out of memory");
	return new;
}

char *xstrdup(const char *s)
{
	return strcpy(xrealloc(NULL, strlen(s) + 1), s);
}

char *xasprintf(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		die(CODE_SYSTEM, "out of memory");
	va_end(args);
	return text;
}

/* Room for one more element behind @nr: doubled at each power of two. */
void *array_room(void *array, size_t nr, size_t size)
{
	if (nr & (nr - 1))
		return array;
	return xrealloc(array, (nr ? nr * 2 : 1) * size);
}

/* The whole file as a string, or NULL and errno. */
char *read_text(const char *path, size_t *len)
{
	size_t have = 0, room = 4096;
	char *text;
	ssize_t n;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = xrealloc(NULL, room);
	for (;;) {
		if (have == room - 1)
			text = xrealloc(text, room *= 2);
		n = read(fd, text + have, room - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += n;
	}
	err = errno;
	close(fd);
	if (n < 0) {
		free(text);
		errno = err;
		return NULL;
	}
	text[have] = 0;
	if (len)
		*len = have;
	return text;
}

/* In one write(), as the files of a cgroup want it. 0 or -errno. */
int write_text(const char *path, const char *text)
{
	int fd, err = 0;
	ssize_t n;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		err = -errno;
	else if ((size_t)n != strlen(text))
		err = -EIO;
	close(fd);
	return err;
}

/*
 * The number behind @key, which begins a line of @text and ends with a space or
 * a colon. "kB" behind the number means what it says.
 */
uint64_t key_value(const char *text, const char *key)
{
	size_t len = strlen(key);
	const char *line;

	for (line = text; line; line = strchr(line, '\n')) {
		unsigned long long n;
		char *end;

		if (*line == '\n' && !*++line)
			break;
		if (strncmp(line, key, len) || (line[len] != ' ' && line[len] != ':'))
			continue;
		n = strtoull(line + len + 1, &end, 10);
		return strncmp(end, " kB", 3) ? n : n * 1024;
	}
	return UNKNOWN;
}

/* The same of a file; UNKNOWN where it cannot be read, too. */
uint64_t file_value(const char *path, const char *key)
{
	char *text = read_text(path, NULL);
	uint64_t n = text ? key_value(text, key) : UNKNOWN;

	free(text);
	return n;
}

static int parse_percent(const char *text, uint64_t *bytes)
{
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	double percent;
	char *end;

	percent = strtod(text, &end);
	if (strcmp(end, "%") || percent < 0 || percent > 100)
		return -EINVAL;
	*bytes = total * (percent / 100);
	return 0;
}

/*
 * Bytes with K, M, G, T, P or E (powers of 1024) behind, fractions allowed, or
 * a percentage of the physical memory, or `max`, or `infinity`.
 */
int parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGTPE";
	const char *unit, *digits = text;
	unsigned long long whole;
	double fraction = 0;
	int shift = 0;
	char *end;

	if (!strcmp(text, "max") || !strcmp(text, "infinity")) {
		*bytes = NO_LIMIT;
		return 0;
	}
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	/* no 0x, 1e9 or nan: digits, and a point between digits */
	digits += strspn(digits, "0123456789");
	if (*digits == '.') {
		if (!isdigit((unsigned char)digits[1]))
			return -EINVAL;
		digits++;
		digits += strspn(digits, "0123456789");
	}
	if (*digits == '%')
		return parse_percent(text, bytes);
	errno = 0;
	whole = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end == '.') {
		char *point = xstrdup(end);

		point[digits - end] = 0;
		fraction = strtod(point, NULL);
		free(point);
	}
	if (*digits) {
		unit = strchr(units, toupper((unsigned char)*digits));
		if (!unit || digits[1])
			return -EINVAL;
		shift = 10 * (unit - units + 1);
	}
	if (whole > (UINT64_MAX >> 1) >> shift)
		return -ERANGE;
	*bytes = ((uint64_t)whole << shift) + fraction * (1ULL << shift);
	return 0;
}

/* Something that can only be a size: plain digits might be a process. */
bool looks_like_size(const char *text)
{
	uint64_t bytes;

	return !parse_size(text, &bytes) && text[strspn(text, "0123456789")];
}

/* Three digits at least, as "132K" or "8.4M". */
const char *format_size(uint64_t bytes, char buf[16])
{
	static const char units[] = "KMGTPE";
	double value = bytes / 1024.0;
	int unit = 0;

	if (bytes == NO_LIMIT)
		return strcpy(buf, "max");
	if (bytes == UNKNOWN)
		return strcpy(buf, "-");
	if (!bytes)
		return strcpy(buf, "0");
	if (bytes < 1024) {
		snprintf(buf, 16, "%uB", (unsigned int)bytes);
		return buf;
	}
	/* 1023.5 would be printed as 1024 */
	while (value >= 1023.5 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	if (value < 9.95 && (unit || value != (int)value))
		snprintf(buf, 16, "%.1f%c", value, units[unit]);
	else
		snprintf(buf, 16, "%.0f%c", value, units[unit]);
	return buf;
}

/*
 * How many bytes the character at @s takes; 0 if that is not UTF-8: not a whole
 * character, not the shortest way to write it, or not one at all.
 */
static size_t utf8_length(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned int c = *p, least;
	size_t len, i;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	least = len == 2 ? 0x80 : len == 3 ? 0x800 : 0x10000;
	c &= 0x7f >> len;
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

/*
 * Names come from anybody: nothing in them may reach the terminal as a command.
 * These are the control characters of ASCII and U+0080 to U+009F; the latter as
 * bytes, too, which are not UTF-8 then.
 */
void printable(char *text)
{
	size_t len;

	for (; *text; text += len) {
		unsigned char c = *text;

		len = utf8_length(text);
		if (!len || c < ' ' || c == 0x7f)
			*text = '?';
		else if (c == 0xc2 && (unsigned char)text[1] < 0xa0)
			text[0] = text[1] = '?';
		len = len ?: 1;
	}
}

/* A copy of a name, to be printed */
char *printable_copy(const char *text)
{
	char *copy = xstrdup(text);

	printable(copy);
	return copy;
}

/*
 * A copy of a name for formats that are UTF-8. The kernel takes any bytes; those
 * that are none become U+FFFD and two digits, as does U+FFFD itself, so that two
 * names never become the same.
 */
char *utf8_copy(const char *text)
{
	static const char mark[] = "\xef\xbf\xbd";
	char *copy = xrealloc(NULL, 5 * strlen(text) + 1), *to = copy;

	while (*text) {
		size_t len = utf8_length(text);

		if (len && strncmp(text, mark, 3)) {
			memcpy(to, text, len);
			to += len;
			text += len;
		} else {
			to += sprintf(to, "%s%02x", mark, (unsigned char)*text++);
		}
	}
	*to = 0;
	return copy;
}

unsigned long parse_count(const char *what, const char *text, unsigned long max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*text) || n > max)
		die(CODE_USAGE, "%s: %s is not a number from 0 to %lu", what, text, max);
	return n;
}

double parse_seconds(const char *what, const char *text, double min)
{
	double n;
	char *end;

	n = strtod(text, &end);
	if (*end || !isdigit((unsigned char)*text) || !(n >= min && n <= 1e6))
		die(CODE_USAGE, "%s: %s is not a number of seconds of at least %g",
		    what, text, min);
	return n;
}

double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* A full disk or a closed pipe must not look like success. */
void finish_output(void)
{
	if (fflush(stdout) || ferror(stdout))
		die(CODE_SYSTEM, "standard output: %s", strerror(errno));
}
