// SPDX-License-Identifier: GPL-2.0-only
/*
 * What libjansson leaves to its users: names that are not UTF-8, and our sizes
 */
#include <stdlib.h>

#include "ptfree.h"

/* The kernel takes any bytes as a name, JSON takes UTF-8. */
json_t *json_text(const char *s)
{
	char *copy = utf8_copy(s);
	json_t *text = json_string(copy);

	free(copy);
	return text;
}

/* `max` as the kernel spells it, and null for what is not known. */
json_t *json_bytes(uint64_t bytes)
{
	if (bytes == NO_LIMIT)
		return json_string("max");
	if (bytes == UNKNOWN)
		return json_null();
	return json_integer(bytes);
}

/* Takes the reference. @indent: a document; else one line. */
void json_print(json_t *object, bool indent)
{
	if (!object)
		die(CODE_SYSTEM, "out of memory");
	if (json_dumpf(object, stdout, indent ? JSON_INDENT(2) : JSON_COMPACT))
		die(CODE_SYSTEM, "standard output: cannot write");
	putchar('\n');
	json_decref(object);
}
