#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Page tables are not charged to anybody: no file of memory.pt.* is there, and the
# boot log says so.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" --append cgroup.memory=nokmem \
	"cgfiles --expect-absent"
