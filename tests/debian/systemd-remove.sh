#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree-systemd is removed from a machine whose units use it; run as the last.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

X="X-MemoryPageTableMax"

unit gone.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	$X=64M
UNIT
unit gone-in.service <<-UNIT
	[Service]
	Slice=gone.slice
	ExecStart=/bin/sleep infinity
UNIT
unit gone.slice <<-UNIT
	[Slice]
	$X=128M
UNIT
reload
# As on a machine where it was installed a moment ago.
systemctl stop ptfree-apply.path
systemctl start gone gone-in
ok "a unit with a budget starts what watches for changes" \
	is active systemctl is-active ptfree-apply.path
ok "a service and a slice have budgets" \
	soon is "67108864 134217728" sh -c "echo \$(cat $group/system.slice/gone.service/memory.pt.max \
	$group/gone.slice/memory.pt.max)"
rm /usr/bin/ptfree-systemd
find /usr/lib/systemd -name 'ptfree-*' ! -name 'ptfree-run*' -exec rm {} +
ok "its files removed, and no daemon-reload yet: a unit starts" systemctl restart gone
ok "and one in a slice" systemctl restart gone-in
reload
ok "after daemon-reload units start" systemctl restart gone gone-in
ok "and nothing is left in /etc, /usr or /run/systemd" is "" \
	find /etc /usr/lib/systemd /usr/bin /run/systemd -path /run/systemd/units -prune -o \
	-name '*ptfree*' ! -name 'ptfree-run*' -print
ok "no unit knows of it" fails grep -r ptfree-systemd /run/systemd/generator
systemctl stop gone gone-in gone.slice
systemctl start gone-in
ok "a slice is made anew without" is max knob gone.slice memory.pt.max
finish
