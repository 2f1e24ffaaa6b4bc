#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A minute of everything at once on the debug kernel; and some seconds of several
# who look for empty tables in one mm, with the race windows wide open, which is how
# a mark meets a table that was unlinked just before. TORTURE_SECONDS=N,
# TORTURE_SEED=S, TORTURE_MIN=N and TORTURE_DEAR=N change the former; a seed chooses
# the same operations again. The ten dearest operations, which took 60 % of the time,
# are done 25 times at the least; in PART=torture as often as the others.
set -eu
lacks=second-node,kmemleak	# PART=faults has both
exec "$(dirname "$0")/run" --kernel "${KERNEL:-debug}" \
	"torture --seconds 10 --min 20 --delay 400 --lacks $lacks --only touch,dontneed-tables,pt-reclaim" \
	"torture --lacks $lacks --seconds ${TORTURE_SECONDS:-60} --seed ${TORTURE_SEED:-1} --min ${TORTURE_MIN:-100} --dear ${TORTURE_DEAR:-25}"
