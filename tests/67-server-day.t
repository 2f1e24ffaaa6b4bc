#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A day of a server: redis-server, a slice with several services, a user's
# service, budgets in their unit files. Once with X-MemoryPageTableMax= and its like in
# Debian's systemd, once with the keys of a systemd that has the patches.
# build/server-day.svg shows the page tables of the first.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
mkdir -p "$BUILD/log"
day() {	# day SYSTEMD UNITS ARG...: the day with what these folders have
	systemd=$1 units=$2
	shift 2
	"$top/tests/run-debian" --kernel "${KERNEL:-lean}" --overlay "$systemd" \
		--overlay "$units" --vm "--put '$BUILD/guest/tables:usr/local/bin/tables'" \
		"server-day.sh $*" || echo "@failed"
}
picture() {
	sed -n 's/^# tables //p' "$BUILD/log/server-day.tap" >"$BUILD/server-day.dat"
	rm -f "$BUILD/server-day.svg"
	gnuplot -e "data='$BUILD/server-day.dat'; out='$BUILD/server-day.svg'" \
		"$top/tests/debian/server-day.gnuplot" 2>&1 | sed 's/^/# /'
	[ "$(wc -l <"$BUILD/server-day.dat")" -gt 10 ] && grep -q '</svg>' "$BUILD/server-day.svg"
}

# The same units with the keys that systemd has itself.
native=$BUILD/server-day-native
rm -rf "$native"
cp -R "$top/tests/debian/server-day.root" "$native"
find "$native" -type f -exec sed -i 's/^X-MemoryPageTable/MemoryPageTable/' {} +

{
	day "$BUILD/systemd/root" "$top/tests/debian/server-day.root" | tee "$BUILD/log/server-day.tap"
	if picture; then echo "ok 0 - the page tables of the day are plotted"
	else echo "not ok 0 - the page tables of the day are plotted"; fi
	if "$top/scripts/systemd" build >&2 &&
	   "$top/scripts/systemd" install "$BUILD/systemd-252/root" >&2; then
		day "$BUILD/systemd-252/root" "$native" native
	else
		echo "not ok 0 - systemd with the patches is built"
	fi
} | awk -f "$top/tests/one-stream.awk"
