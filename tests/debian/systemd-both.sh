#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree-systemd beside a systemd that has MemoryPageTableMax= itself: a native
# key wins, each for itself; the key with X- goes on where there is none.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
X="X-MemoryPageTable"
N="MemoryPageTable"

service() {	# service NAME LINE...
	name=$1
	shift
	{
		echo "[Service]"
		echo "ExecStart=/bin/sleep infinity"
		printf '%s\n' "$@"
	} | unit "$name.service"
}

ok "this systemd has the property" \
	is infinity systemctl show -P ${N}Max system.slice
service b1 "${X}Max=1M" "${N}Max=2M"
service b2 "${N}Max=2M" "${X}Max=1M"
service b3 "${X}Max=3M"
service b4 "${X}Max=1M" "${N}Max=infinity"
service b5 "${X}Max=5M" "${X}High=4M" "${N}High=3M"
{ echo "[Slice]"; echo "${X}Max=1M"; echo "${N}Max=6M"; } | unit b6.slice
{ echo "[Slice]"; echo "${X}Max=7M"; } | unit b7.slice
reload
systemctl start b1 b2 b3 b4 b5 b6.slice b7.slice
check() {
	ok "$1" soon is "$3" knob "$2" "memory.pt.${4:-max}"
}
check "both keys: the native one wins" b1.service $((2 * M))
check "in whatever order" b2.service $((2 * M))
check "the key with X- alone" b3.service $((3 * M))
check "a native infinity wins, too" b4.service max
check "each key for itself: max" b5.service $((5 * M))
check "each key for itself: high" b5.service $((3 * M)) high
check "a slice with both" b6.slice $((6 * M))
check "a slice with X-" b7.slice $((7 * M))
reload
ok "daemon-reload has everything looked at again" soon applied
check "the native value stays" b1.service $((2 * M))
check "and that of X-" b3.service $((3 * M))
systemctl set-property --runtime b3.service ${N}Max=8M
check "set-property wins over X-" b3.service $((8 * M))
reload
ok "also after daemon-reload" soon applied
check "it stays" b3.service $((8 * M))
systemctl restart b3
check "and after a restart" b3.service $((8 * M))
systemctl set-property --runtime b7.slice ${N}Max=9M
ptfree-systemd apply b7.slice
check "also for a slice, and when asked by hand" b7.slice $((9 * M))
finish
