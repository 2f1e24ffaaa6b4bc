// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the service manager knows of a unit: which files make it up, in their
 * order, and where its control group is. Asked over the manager's own socket,
 * which is there before, and without, the D-Bus daemon.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ptfree-systemd.h"

static const char dest[] = "org.freedesktop.systemd1";
static const char unit_iface[] = "org.freedesktop.systemd1.Unit";

/* Is this process one of a user manager's? The manager itself is the system's. */
static bool below_user_manager(void)
{
	char *cgroup = own_cgroup();
	bool user = getuid() || (cgroup && cgroup_of_user(cgroup));

	free(cgroup);
	return user;
}

int manager_open(sd_bus **ret)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	sd_bus *bus = NULL;
	char *address;
	int r;

	if (below_user_manager()) {
		address = run ? str("unix:path=%s/systemd/private", run) :
			str("unix:path=/run/user/%u/systemd/private", getuid());
	} else {
		address = str("unix:path=/run/systemd/private");
	}
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_start(bus);
	free(address);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

static char *unit_path(const char *unit)
{
	char *path;

	if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0)
		must(NULL);
	return path;
}

static char *type_iface(const char *unit)
{
	const char *section;

	if (!unit_section(unit, &section))
		return NULL;
	return str("org.freedesktop.systemd1.%s", section);
}

/* The manager has a property for this key, and somebody has set it. */
static bool native_set(sd_bus *bus, const char *unit, const struct key *key, bool in_file)
{
	char *path = unit_path(unit), *iface = type_iface(unit);
	uint64_t value;
	int r;

	r = sd_bus_get_property_trivial(bus, dest, path, iface, key->native, NULL, 't', &value);
	free(path);
	free(iface);
	return r >= 0 && (in_file || value != LIMIT_MAX);
}

/*
 * What the files of a unit say. *hooked: the generator's drop-in is among them.
 */
int manager_settings(sd_bus *bus, const char *unit, struct settings *s, bool *hooked)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *path = unit_path(unit), *fragment = NULL, **dropins = NULL;
	const char *section;
	int r;

	memset(s, 0, sizeof(*s));
	*hooked = false;
	if (!unit_section(unit, &section)) {
		free(path);
		return -EINVAL;
	}
	r = sd_bus_get_property_string(bus, dest, path, unit_iface, "FragmentPath", &error,
				       &fragment);
	if (r >= 0)
		r = sd_bus_get_property_strv(bus, dest, path, unit_iface, "DropInPaths", &error,
					     &dropins);
	free(path);
	if (r < 0) {
		say(SAY_ERROR, "%s: cannot ask for its files: %s", unit,
		    error.message ? error.message : strerror(-r));
		sd_bus_error_free(&error);
		free(fragment);
		return r;
	}
	for (char **p = dropins; p && *p; p++) {
		const char *base = strrchr(*p, '/');

		*hooked |= base && !strcmp(base + 1, HOOK_FILE);
	}
	if (*fragment)
		read_unit_file(fragment, section, !*hooked, s);
	for (char **p = dropins; p && *p; p++) {
		read_unit_file(*p, section, !*hooked, s);
		free(*p);
	}
	free(dropins);
	free(fragment);
	for (int i = 0; i < NR_KEYS; i++)
		if (s->set[i] || s->native[i])
			s->native[i] = native_set(bus, unit, &keys[i], s->native[i]);
	return 0;
}

/* NULL if the unit has none now. */
char *manager_cgroup(sd_bus *bus, const char *unit)
{
	char *path = unit_path(unit), *iface = type_iface(unit), *cgroup = NULL;

	sd_bus_get_property_string(bus, dest, path, iface, "ControlGroup", NULL, &cgroup);
	free(path);
	free(iface);
	if (cgroup && !*cgroup) {
		free(cgroup);
		cgroup = NULL;
	}
	return cgroup;
}

/* Call visit() for every unit that may have processes now, also after one that failed. */
int manager_each_active(sd_bus *bus, int (*visit)(sd_bus *bus, const char *unit))
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *unit, *state;
	int r, ret = 0;

	r = sd_bus_call_method(bus, dest, "/org/freedesktop/systemd1",
			       "org.freedesktop.systemd1.Manager", "ListUnits", &error, &reply, "");
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &unit, NULL, NULL, &state,
						  NULL, NULL, NULL, NULL, NULL, NULL)) > 0) {
		if (!unit_section(unit, NULL) || !strcmp(state, "inactive") ||
		    !strcmp(state, "failed"))
			continue;
		if (visit(bus, unit))
			ret = -EIO;
	}
	if (r < 0)
		say(SAY_ERROR, "cannot list the units: %s",
		    error.message ? error.message : strerror(-r));
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	return r < 0 ? r : ret;
}
