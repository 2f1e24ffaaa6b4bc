#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A minute of everything at once on the debug kernel. TORTURE_SECONDS=N,
# TORTURE_SEED=S and TORTURE_MIN=N change that; a seed chooses the same operations
# again.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-debug}" \
	"torture --seconds ${TORTURE_SECONDS:-60} --seed ${TORTURE_SEED:-1} --min ${TORTURE_MIN:-100}"
