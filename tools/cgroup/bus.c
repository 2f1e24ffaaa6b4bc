// SPDX-License-Identifier: GPL-2.0-only
/*
 * What systemd knows of a unit, and is told
 */
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "ptfree.h"

#define MANAGER		"org.freedesktop.systemd1"

/* A connection, and what names a unit on it */
struct unit {
	sd_bus *bus;
	sd_bus_error error;
	char *path, *interface;
};

/* 0, or an error of which *@why tells, if that is asked for. */
static int unit_open(struct unit *u, const char *name, bool user_bus, char **why)
{
	const char *section;
	int err;

	*u = (struct unit) {};
	err = user_bus ? sd_bus_open_user(&u->bus) : sd_bus_open_system(&u->bus);
	if (err >= 0 && unit_with_cgroup(name, &section)) {
		u->interface = xasprintf(MANAGER ".%s", section);
		err = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, &u->path);
	}
	if (err < 0 && why)
		*why = xasprintf("no %s bus to ask systemd: %s", user_bus ? "user" : "system",
				 strerror(-err));
	return err < 0 ? err : 0;
}

static void unit_close(struct unit *u)
{
	sd_bus_error_free(&u->error);
	sd_bus_flush_close_unref(u->bus);
	free(u->interface);
	free(u->path);
}

static char *reason(const struct unit *u, int err)
{
	return xasprintf("systemd: %s", u->error.message ? u->error.message : strerror(-err));
}

/* systemd answers for a name of which it has no unit file as for a unit that rests. */
static bool unknown(const struct unit *u)
{
	char *state = NULL;
	bool is;

	is = sd_bus_get_property_string(u->bus, MANAGER, u->path, MANAGER ".Unit", "LoadState",
					NULL, &state) >= 0 && !strcmp(state, "not-found");
	free(state);
	return is;
}

/*
 * NULL and *@why where systemd does not say; "" where the unit has none, and *@why
 * where it is no unit at all.
 */
char *bus_unit_cgroup(const char *name, bool user_bus, char **why)
{
	char *cgroup = NULL;
	struct unit u;
	int err;

	err = unit_open(&u, name, user_bus, why);
	if (!err) {
		err = sd_bus_get_property_string(u.bus, MANAGER, u.path, u.interface,
						 "ControlGroup", &u.error, &cgroup);
		if (err < 0) {
			*why = reason(&u, err);
		} else if (!*cgroup && unknown(&u)) {
			*why = xstrdup("there is no such unit");
		}
	}
	unit_close(&u);
	return err < 0 ? NULL : cgroup;
}

/* A limit that systemd has for a unit; false where it does not say, or know. */
bool bus_unit_limit(const char *name, bool user_bus, const char *property, uint64_t *bytes)
{
	struct unit u;
	int err;

	err = unit_open(&u, name, user_bus, NULL);
	if (!err)
		err = sd_bus_get_property_trivial(u.bus, MANAGER, u.path, u.interface, property,
						  NULL, 't', bytes);
	unit_close(&u);
	return err >= 0;
}

/* Until the next boot, as `systemctl set-property --runtime` does. */
bool bus_unit_set_limit(const char *name, bool user_bus, const char *property, uint64_t bytes,
			char **why)
{
	struct unit u;
	int err;

	err = unit_open(&u, name, user_bus, why);
	if (!err) {
		err = sd_bus_call_method(u.bus, MANAGER, "/org/freedesktop/systemd1",
					 MANAGER ".Manager", "SetUnitProperties", &u.error, NULL,
					 "sba(sv)", name, 1, 1, property, "t", bytes);
		if (err < 0)
			*why = reason(&u, err);
	}
	unit_close(&u);
	return err >= 0;
}
