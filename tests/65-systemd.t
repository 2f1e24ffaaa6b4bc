#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# X-MemoryPageTableMax= and its like in unit files of an unpatched systemd:
# services, slices, scopes, users' units, and what is left when it is removed.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
exec "$top/tests/run-debian" --kernel "${KERNEL:-lean}" \
	--overlay "${BUILD:-$top/build}/systemd/root" \
	--vm "--put '$top/tools/systemd/Makefile:srv/ptfree/tools/systemd/Makefile'" \
	--vm "--put '$top/tools/systemd/forget:srv/ptfree/tools/systemd/forget'" \
	systemd-service.sh systemd-slice.sh systemd-user.sh systemd-remove.sh
