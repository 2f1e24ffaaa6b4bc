#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A minute of everything at once on the debug kernel; and some seconds of several
# who look for empty tables in one mm, with the race windows wide open, which is how
# a mark meets a table that was unlinked just before. TORTURE_SECONDS=N,
# TORTURE_SEED=S and TORTURE_MIN=N change the former; a seed chooses the same
# operations again.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-debug}" \
	"torture --seconds 10 --min 20 --delay 400 --only touch,dontneed-tables,pt-reclaim" \
	"torture --seconds ${TORTURE_SECONDS:-60} --seed ${TORTURE_SEED:-1} --min ${TORTURE_MIN:-100}"
