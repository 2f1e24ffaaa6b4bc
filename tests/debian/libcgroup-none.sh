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
# What does not name the files works, and does not show them.
ok "cgcreate, with the memory controller" cgcreate -g memory:lab/inner
ok "its files are there" [ -e $group/lab/inner/memory.max ]
ok "cgset of others of the controller" cgset -r memory.max=512M lab
ok "cgget of them" is 536870912 cgget -n -v -r memory.max lab
ok "cgget of ours cannot be read: 96" code 96 cgget -n -v -r memory.pt.max lab
cgget -g memory:lab >/tmp/all
ok "cgget -g shows no file of ours" is 0 grep -c 'memory\.pt' /tmp/all
ok "but the others" grep -q '^memory.max: 536870912' /tmp/all
ok "cgexec runs a program in the group" is "0::/lab/inner" \
	cgexec -g memory:lab/inner cat /proc/self/cgroup
: >/tmp/deny
cgsnapshot -b /tmp/deny memory >/tmp/snap 2>/dev/null
ok "cgsnapshot has the group" grep -q '^group lab' /tmp/snap
ok "without files of ours" fails grep 'memory\.pt' /tmp/snap
cgdelete -g memory:lab/inner
cgdelete -g memory:lab
finish
