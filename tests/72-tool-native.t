#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree(8) in a Debian whose systemd has MemoryPageTableMax= itself: what
# `set` tells it, and what `status` asks it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}

# NATIVE=DIR: a patched systemd that somebody has installed there
native=${NATIVE:-$build/tools/native}
if [ -z "${NATIVE:-}" ]; then
	if [ ! -x "$top/scripts/systemd" ]; then
		echo "1..0 # SKIP no scripts/systemd here to build a patched systemd with"
		exit 0
	fi
	"$top/scripts/systemd" build >&2
	rm -rf "$native"
	"$top/scripts/systemd" install "$native" >&2
fi
make -s -C "$top/tools/cgroup" O="$build/tools/cgroup" DESTDIR="$build/tools/root" install
exec "$top/tests/run-debian" --kernel "${KERNEL:-lean}" --overlay "$build/systemd/root" \
	--overlay "$build/tools/root" --overlay "$native" tool-native.sh
