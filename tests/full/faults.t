#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/faults.config tests/torture.c tests/torture.h tests/torture_list.h tests/torture_ops.h tests/torture_sys.h tests/torture_uffd.h tests/torture_watch.h
# needs: build vm
#
# The torture on a kernel whose allocations fail, pages and slabs, for the tortured
# processes and at random: no page is lost, nothing hangs, no report of lockdep or the
# slabs' own checks, all page tables come back, kmemleak finds nothing. Two memory
# nodes, between which pages move: first without failures, then with them.
# FAULTS_SECONDS=N for each.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)

"$top/scripts/tree" lay >&2
"$top/scripts/kernel" faults >&2
"$top/scripts/guest-tests" >&2
seconds=${FAULTS_SECONDS:-400}
nodes="-object memory-backend-ram,size=1G,id=m0 -object memory-backend-ram,size=1G,id=m1"
nodes="$nodes -numa node,nodeid=0,cpus=0,memdev=m0 -numa node,nodeid=1,cpus=1,memdev=m1"
# What has not come up often enough by then makes the torture longer by itself: to twice
# that at the most.
for faults in "" " --faults"; do
	"$top/tests/run" --kernel "${KERNEL:-faults}" --timeout $((seconds * 2 + 300)) --mem 2G \
		--vm "--qemu '$nodes'" --append "kmemleak=on slab_debug=FZP" \
		"torture --seconds $seconds --seed ${TORTURE_SEED:-1}$faults" || echo "@failed"
done | awk -f "$top/tests/one-stream.awk"
