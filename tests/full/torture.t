#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config tests/torture.c tests/torture.h tests/torture_list.h tests/torture_ops.h tests/torture_sys.h tests/torture_uffd.h tests/torture_watch.h
# needs: build vm
#
# The torture of tests/60-torture.t for most of an hour. TORTURE_SECONDS=N and
# TORTURE_SEED=S change that; a seed chooses the same operations again.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)

"$top/scripts/tree" lay >&2
"$top/scripts/kernel" debug >&2
"$top/scripts/guest-tests" >&2
seconds=${TORTURE_SECONDS:-3000}
exec "$top/tests/run" --kernel "${KERNEL:-debug}" --timeout $((seconds + 900)) \
	"torture --lacks second-node,kmemleak --seconds $seconds --seed ${TORTURE_SEED:-1} --min $((100 + seconds / 20))"
