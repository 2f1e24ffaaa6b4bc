#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree-systemd on a systemd that has the property itself.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
"$top/scripts/systemd" build
"$top/scripts/systemd" install "$BUILD/systemd-252/root"
exec "$top/tests/run-debian" --kernel "${KERNEL:-lean}" --overlay "$BUILD/systemd-252/root" \
	--overlay "$BUILD/systemd/root" systemd-both.sh
