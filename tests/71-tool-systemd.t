#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree(8) in a Debian with systemd: units by name, and whether the budgets that
# unit files ask for are in force.
# As 71-tool-systemd-stock.t on a kernel that knows none of it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
kernel=${KERNEL:-lean}
script=tool.sh
case $0 in
*-stock.t)
	kernel=${STOCK:-stock}
	script=tool-none.sh
	;;
esac

# The program of this tree, not what somebody has once built.
make -s -C "$top/tools/cgroup" O="$build/tools/cgroup" DESTDIR="$build/tools/root" install
mkdir -p "$build/tools/root/usr/local/bin"
gcc -O2 -static -o "$build/tools/root/usr/local/bin/filler" "$top/tests/tool/filler.c"
exec "$top/tests/run-debian" --kernel "$kernel" --overlay "$build/systemd/root" \
	--overlay "$build/tools/root" $script
