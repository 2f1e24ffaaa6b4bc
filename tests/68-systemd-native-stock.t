#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The patched systemd on Debian's own kernel, which has no memory.pt.*: units
# with MemoryPageTableMax= start, and nobody hears of it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
"$top/scripts/systemd" build
"$top/scripts/systemd" install "$BUILD/systemd-252/root"
exec "$top/tests/run-debian" --kernel stock --overlay "$BUILD/systemd-252/root" systemd-native-none.sh
