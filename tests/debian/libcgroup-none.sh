#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# libcgroup on a kernel without budgets for page tables: what the guide says of it.
# shellcheck disable=SC2317 # what ok is calls
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

cgcreate -g memory:lab
code() {
	want=$1
	shift
	"$@"
	r=$?
	[ "$r" = "$want" ] || { echo "exit code $r, expected $want"; return 1; }
}
ok "cgset says that there is no such parameter: 95" code 95 cgset -r memory.pt.max=64M lab
printf 'group web { memory { memory.pt.max = "64M"; } }\n' >/tmp/web.conf
ok "cgconfigparser fails: 95" code 95 cgconfigparser -l /tmp/web.conf
ok "and has not made the group" [ ! -d $group/web ]
cgdelete -g memory:lab
finish
