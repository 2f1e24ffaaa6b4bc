#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config tests/hostile.c tests/bomb.c
# needs: build vm
#
# Users who mean harm, on the debug kernel: see tests/hostile.c. Cgroups that come and
# go, on the lean one as well, where there is time for thousands. And the neighbours
# of a page-table bomb, on one CPU on which time is instructions: tests/bomb.c.
# HOSTILE_SEED=S and HOSTILE_ROUNDS=N change what is tried.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)

"$top/scripts/tree" lay >&2
"$top/scripts/kernel" lean >&2
"$top/scripts/kernel" debug >&2
"$top/scripts/guest-tests" >&2
hostile="HOSTILE_SEED=${HOSTILE_SEED:-1} HOSTILE_ROUNDS=${HOSTILE_ROUNDS:-2} hostile"
{
	"$top/tests/run" --kernel "${KERNEL:-debug}" --timeout 2400 "$hostile" || echo "@failed"
	"$top/tests/run" --kernel lean --timeout 1500 "$hostile -t thousands_of_groups" ||
		echo "@failed"
	"$top/tests/run" --kernel lean --icount --timeout 1200 bomb || echo "@failed"
} | awk -f "$top/tests/one-stream.awk"
