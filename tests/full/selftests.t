#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs tests/selftests-cgroup
# needs: build vm lean stock
#
# The kernel's own selftests of cgroups pass as they do on Debian's kernel, with
# the feature there and unused, and with all processes cleaned in the background.
# Which are left out, and why: tests/selftests-cgroup --help. Not a part of `make
# check`: the freezer's tests have time limits of their own, which a busy host misses.
set -eu
exec "$(dirname "$0")/../selftests-cgroup" --kernel "${KERNEL:-lean}"
