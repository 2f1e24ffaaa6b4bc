#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A day of a server: redis-server, a slice with several services, a user's
# service, budgets in their unit files, with X-MemoryPageTableMax= and its like in
# Debian's systemd. build/server-day.svg shows its page tables. `67-server-day.t native`
# is the same day with the keys of a systemd that has the patches, which lies built
# below build/systemd-252 (make check-full PART=systemd).
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

if [ "${1:-}" = native ]; then
	units=$BUILD/server-day-native
	rm -rf "$units"
	cp -R "$top/tests/debian/server-day.root" "$units"
	find "$units" -type f -exec sed -i 's/^X-MemoryPageTable/MemoryPageTable/' {} +
	day "$BUILD/systemd-252/root" "$units" native
	exit
fi
{
	day "$BUILD/systemd/root" "$top/tests/debian/server-day.root" | tee "$BUILD/log/server-day.tap"
	if picture; then echo "ok 0 - the page tables of the day are plotted"
	else echo "not ok 0 - the page tables of the day are plotted"; fi
} | awk -f "$top/tests/one-stream.awk"
