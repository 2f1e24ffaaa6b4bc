#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree(8) with a systemd that has the properties MemoryPageTableMax= and
# MemoryPageTableHigh=.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576

unit shop.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	MemoryPageTableMax=64M
	X-MemoryPageTableMax=1M
UNIT
unit ours.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	X-MemoryPageTableMax=5M
UNIT
reload
systemctl start shop ours
ok "systemd knows the property" is $((64 * M)) systemctl show -P MemoryPageTableMax shop
ok "and has set it" soon is $((64 * M)) knob shop.service memory.pt.max
ok "status: systemd's own key, in force" says 0 "64M      64M  shop.service: MemoryPageTableMax=" \
	ptfree status
ok "status: and ours" says 0 "5.0M     5.0M  ours.service: X-MemoryPageTableMax=" ptfree status
echo 32M >"$group$(cgroup_of shop.service)/memory.pt.max"
ok "status: another limit is set" says 1 "another limit is set" ptfree status
ok "set of a unit" says 0 "memory.pt.max 16M (was 32M)" ptfree set 16M shop.service
ok "systemd knows of it" is $((16 * M)) systemctl show -P MemoryPageTableMax shop
ok "status: what systemd knows is configured" says 0 "16M      16M" ptfree status
reload
ok "daemon-reload keeps it" is $((16 * M)) knob shop.service memory.pt.max
systemctl restart shop
ok "and so does a restart" soon is $((16 * M)) knob shop.service memory.pt.max
ok "status after that" says 0 "16M      16M" ptfree status
ok "no limit" says 0 "memory.pt.max max" ptfree set max shop.service
ok "systemd knows of that" is infinity systemctl show -P MemoryPageTableMax shop
finish
