#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A day of a server: redis-server, a slice with several services, a user's
# service, budgets in their unit files. build/server-day.svg shows the page
# tables, if gnuplot is there.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build}
mkdir -p "$BUILD/log"
"$top/tests/run-debian" --kernel "${KERNEL:-lean}" --overlay "$BUILD/systemd/root" \
	--overlay "$top/tests/debian/server-day.root" \
	--vm "--put '$BUILD/guest/tables:usr/local/bin/tables'" server-day.sh |
	tee "$BUILD/log/server-day.tap"

sed -n 's/^# tables //p' "$BUILD/log/server-day.tap" >"$BUILD/server-day.dat"
command -v gnuplot >/dev/null || exit 0
gnuplot -e "data='$BUILD/server-day.dat'; out='$BUILD/server-day.svg'" \
	"$top/tests/debian/server-day.gnuplot" 2>&1 | sed 's/^/# /'
