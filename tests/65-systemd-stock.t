#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# X-MemoryPageTableMax= and its like, and libcgroup, on Debian's own kernel, which
# knows none of it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
exec "$top/tests/run-debian" --kernel "${STOCK:-stock}" \
	--overlay "${BUILD:-$top/build}/systemd/root" systemd-none.sh libcgroup-none.sh
