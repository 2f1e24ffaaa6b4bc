#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# There is no memory controller: no file of memory.pt.* is there, and the
# boot log says so.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" --append cgroup_disable=memory \
	"cgfiles --expect-absent"
