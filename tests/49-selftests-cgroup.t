#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own selftests of cgroups pass as they do on Debian's kernel, with
# the feature there and unused, and with all processes cleaned in the background.
# Which are left out, and why: tests/selftests-cgroup --help.
set -eu
exec "$(dirname "$0")/selftests-cgroup" --kernel "${KERNEL:-lean}"
